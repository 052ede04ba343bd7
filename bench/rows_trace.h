/* Rows that replay what real programs asked of malloc: for each file *.trace in
 * the directory BENCH_TRACES, in the format of trace.h.
 *
 * One thread replays the events of all threads, in the order of the trace.  If
 * two or more threads were busy, it is also replayed by as many, in lanes: each
 * does what its threads did, waits for an object that another lane has yet to
 * make, and at gates, which all lanes have at the same events of the trace, for
 * those that are more than one gate behind.  Nobody waits for anything that
 * comes later in the trace, so somebody can always go on.
 *
 * Events are decoded before the clock starts.  So that all peers do the same:
 *
 *   realloc    is an allocation, a copy of what fits, and a free
 *   calloc     is an allocation: nobody's zeros are counted
 *   alignment  is left to the peer, size 0 is 1, and no size is over 1 GiB
 *
 * What is live at the end is freed then, the oldest first.
 */
#ifndef BENCH_ROWS_TRACE_H
#define BENCH_ROWS_TRACE_H

#include "trace.h"

#include <dirent.h>
#include <sys/stat.h>

/* The floor has objects of classes only: larger ones count as this large. */
#define REPLAY_FLOOR_MAX 65536u
#define REPLAY_SIZE_MAX  ((1u << 30) - 1)
#define REPLAY_SAMPLES   500u /* of resident memory, evenly over the events */
#define REPLAY_BANDS     31u  /* sizes up to 1, 2, 4, ... */
#define REPLAY_STRIDE    1024u /* events of the trace from gate to gate */
#define REPLAY_BUSY      1000u /* events of a thread that is busy */

enum { REPLAY_ALLOC, REPLAY_COPY, REPLAY_FREE, REPLAY_GATE };

/* A slot has one object at a time.  COPY allocates too, and copies from the
 * object that the next step frees; GATE's size is its number. */
typedef struct replay_step {
    uint32_t slot;
    uint32_t size : 30;
    uint32_t what : 2;
} replay_step;

typedef struct replay_object {
    uint32_t slot;
    uint32_t size;             /* 0: ended */
    uint8_t  lane;             /* that makes it */
    uint8_t  crosses;          /* another lane ends it */
} replay_object;

/* What one thread replays. */
typedef struct replay_lane {
    shared_word  gate;         /* the last one that it has come to */
    replay_step *steps;
    size_t       n_steps;
    uint32_t    *free_slots;
    uint32_t     n_free;
} replay_lane;

typedef struct replay {
    const char     *path;
    char            name[64];  /* of the file, without .trace */
    const char     *bytes;
    size_t          length;
    replay_lane     lanes[CREW_MAX];
    unsigned        n_lanes;
    uint8_t         lane_of[CREW_MAX]; /* by thread modulo CREW_MAX */
    size_t          operations; /* what a program would call: realloc is one */
    replay_object  *objects;
    uint32_t        n_slots;   /* the most that were in use */
    uint32_t        gates;
    void          **slots;
    uint64_t        live;      /* bytes, while steps are added or gone over */
    uint64_t        peak;
    size_t          peak_step; /* after it the most bytes are live */
    size_t          resident;  /* the most at any gate; 0: nobody looks */
    unsigned        band_live[REPLAY_BANDS];
    unsigned        band_most[REPLAY_BANDS];
} replay;

/* --- decoding ------------------------------------------------------------- */

static int
replay_fail(const replay *t, const char *what)
{
    fprintf(stderr, "bench: %s: %s\n", t->path, what);
    return 0;
}

static int
replay_map(replay *t)
{
    int         fd = open(t->path, O_RDONLY);
    struct stat about;
    void       *p = MAP_FAILED;

    if (fd >= 0 && fstat(fd, &about) == 0 && about.st_size > 0) {
        t->length = (size_t)about.st_size;
        p = mmap(NULL, t->length, PROT_READ, MAP_PRIVATE, fd, 0);
    }
    if (fd >= 0)
        close(fd);
    if (p == MAP_FAILED)
        return replay_fail(t, "cannot be read");
    t->bytes = p;
    return 1;
}

static uint32_t
replay_size(uint64_t size)
{
    uint64_t most = PEER_BARE ? REPLAY_FLOOR_MAX : REPLAY_SIZE_MAX;

    return (uint32_t)(size == 0 ? 1 : size < most ? size : most);
}

/* The least b with size <= 1 << b. */
static unsigned
replay_band(uint32_t size)
{
    return size <= 1 ? 0 : 32 - (unsigned)__builtin_clz(size - 1);
}

static void
replay_account(replay *t, uint32_t size, int begins)
{
    unsigned band = replay_band(size);

    if (!begins) {
        t->live -= size;
        t->band_live[band]--;
        return;
    }
    t->live += size;
    if (++t->band_live[band] > t->band_most[band])
        t->band_most[band] = t->band_live[band];
}

static void
replay_add(replay *t, unsigned lane, unsigned what, const replay_object *o)
{
    replay_lane *l = &t->lanes[lane];
    replay_step *step = &l->steps[l->n_steps++];

    step->slot = o->slot;
    step->size = o->size;
    step->what = what;
    replay_account(t, o->size, what != REPLAY_FREE);
}

/* The lane's youngest free slot, so that the table is no larger than it must be.
 * An object that another lane ends has one for itself alone: there that lane
 * must find this object or none. */
static void
replay_begin_object(replay *t, unsigned lane, unsigned what, replay_object *o)
{
    replay_lane *l = &t->lanes[lane];

    if (l->n_free > 0 && !o->crosses)
        o->slot = l->free_slots[--l->n_free];
    else
        o->slot = t->n_slots++;
    replay_add(t, lane, what, o);
}

static void
replay_end_object(replay *t, unsigned lane, replay_object *o)
{
    replay_lane *l = &t->lanes[lane];

    replay_add(t, lane, REPLAY_FREE, o);
    if (!o->crosses)
        l->free_slots[l->n_free++] = o->slot;
    o->size = 0;
}

static unsigned
replay_lane_of(const replay *t, const trace_event *e)
{
    return t->lane_of[e->thread % CREW_MAX];
}

/* 0 if the event ends an object that is not live. */
static int
replay_event(replay *t, const trace_event *e)
{
    replay_object *o = &t->objects[e->object];
    replay_object *old = &t->objects[e->old];
    unsigned       lane = replay_lane_of(t, e);

    if (e->op >= TRACE_REALLOC && old->size == 0)
        return 0;
    t->operations++;
    if (e->op == TRACE_FREE) {
        replay_end_object(t, lane, o);
        return 1;
    }
    o->size = replay_size(e->size);
    replay_begin_object(t, lane, e->op == TRACE_REALLOC ? REPLAY_COPY
                                                        : REPLAY_ALLOC, o);
    if (e->op == TRACE_REALLOC)
        replay_end_object(t, lane, old);
    if (t->live > t->peak) {
        t->peak = t->live;
        t->peak_step = t->lanes[lane].n_steps;
    }
    return 1;
}

/* Every lane has all gates. */
static void
replay_add_gate(replay *t)
{
    replay_step  gate = { 0, ++t->gates & REPLAY_SIZE_MAX, REPLAY_GATE };
    replay_lane *l;

    for (l = t->lanes; l < t->lanes + t->n_lanes; l++)
        l->steps[l->n_steps++] = gate;
}

/* What a trace has of each sort says how large the arrays must be. */
typedef struct replay_counts {
    size_t   events;
    uint64_t objects;
    size_t   of[CREW_MAX];     /* events, by thread modulo CREW_MAX */
} replay_counts;

static int
replay_count(replay *t, replay_counts *c)
{
    trace_reader r;
    trace_event  e;
    int          more;

    memset(c, 0, sizeof *c);
    if (!trace_open(&r, t->bytes, t->length))
        return replay_fail(t, "is no trace");
    while ((more = trace_next(&r, &e)) > 0) {
        c->events++;
        c->of[e.thread % CREW_MAX]++;
    }
    c->objects = r.objects;
    if (more < 0 || r.objects == 0 || r.objects > UINT32_MAX)
        return replay_fail(t, "is damaged or empty");
    return 1;
}

/* Two steps for a realloc, and each object may be live at the end.  Pages that
 * nobody writes are none, so that each lane may have room for everything. */
static void
replay_make_room(replay *t, const replay_counts *c)
{
    size_t       gates = c->events / REPLAY_STRIDE;
    size_t       steps = c->events * 2 + c->objects + gates;
    replay_lane *l;

    t->objects = own_memory(c->objects * sizeof *t->objects);
    for (l = t->lanes; l < t->lanes + t->n_lanes; l++) {
        l->steps = own_map(steps * sizeof *l->steps, MAP_NORESERVE);
        l->free_slots = own_map(c->objects * sizeof *l->free_slots,
                                MAP_NORESERVE);
    }
}

/* A lane for each busy thread; a lane that only waits would be in the way of
 * another on its processor, so the first one has the other threads' events too. */
static void
replay_assign_lanes(replay *t, const replay_counts *c)
{
    unsigned i;

    for (i = 0; i < CREW_MAX; i++)
        if (c->of[i] >= REPLAY_BUSY)
            t->lane_of[i] = (uint8_t)t->n_lanes++;
}

/* Who makes an object, and whether another lane ends it. */
static void
replay_find_crossing(replay *t)
{
    trace_reader r;
    trace_event  e;

    (void)trace_open(&r, t->bytes, t->length);
    while (trace_next(&r, &e) > 0) {
        unsigned lane = replay_lane_of(t, &e);

        if (e.op >= TRACE_REALLOC && t->objects[e.old].lane != lane)
            t->objects[e.old].crosses = 1;
        if (e.op != TRACE_FREE)
            t->objects[e.object].lane = (uint8_t)lane;
    }
}

/* Reads the trace again and again rather than to keep its events. */
static int
replay_decode(replay *t, const replay_counts *c)
{
    trace_reader r;
    trace_event  e;
    size_t       events = 0;
    uint64_t     i;

    replay_make_room(t, c);
    if (t->n_lanes > 1)
        replay_find_crossing(t);
    (void)trace_open(&r, t->bytes, t->length);
    while (trace_next(&r, &e) > 0) {
        if (!replay_event(t, &e))
            return replay_fail(t, "frees an object twice");
        if (t->n_lanes > 1 && ++events % REPLAY_STRIDE == 0)
            replay_add_gate(t);
    }
    for (i = 0; i < c->objects; i++) {
        if (t->objects[i].size == 0)
            continue;
        replay_end_object(t, t->objects[i].lane, &t->objects[i]);
        t->operations++;
    }
    t->slots = own_memory(t->n_slots * sizeof *t->slots);
    munmap(t->objects, c->objects * sizeof *t->objects);
    munmap((void *)(uintptr_t)t->bytes, t->length);
    return 1;
}

/* --- replaying ------------------------------------------------------------ */

/* Memory that nobody writes is none: the first byte of each object is written
 * or, with all_pages, a byte in each of its pages. */
BENCH_INLINE void *
replay_alloc(peer p, uint32_t size, int all_pages)
{
    volatile char *object = peer_alloc(p, size);
    uint32_t       i;

    if (object == NULL) {
        fprintf(stderr, "bench: no memory for the trace\n");
        _exit(1);
    }
    object[0] = 1;
    if (all_pages) {
        for (i = 4096; i < size; i += 4096)
            object[i] = 1;
        object[size - 1] = 1;
    }
    return (void *)object;
}

/* How a replay is done: alone or beside other lanes, and what is written. */
enum { ALONE = 0, BESIDE = 1, ALL_PAGES = 2 };

/* The object in a slot, as soon as it is there. */
BENCH_INLINE void *
slot_object(void *const *slot, unsigned how)
{
    void    *object = __atomic_load_n(slot, __ATOMIC_ACQUIRE);
    unsigned spins = 0;

    while ((how & BESIDE) && object == NULL) {
        wait_a_little(&spins);
        object = __atomic_load_n(slot, __ATOMIC_ACQUIRE);
    }
    return object;
}

static void
pass_gate(replay *t, unsigned lane, uint32_t number)
{
    unsigned i;

    store_release(&t->lanes[lane].gate, number);
    for (i = 0; i < t->n_lanes; i++)
        wait_until(&t->lanes[i].gate, number - 1);
    if (lane == 0 && t->resident != 0) {
        size_t resident = resident_bytes();

        if (resident > t->resident)
            t->resident = resident;
    }
}

/* A lane's steps from begin on, up to and without end. */
BENCH_INLINE void
replay_steps(peer p, replay *t, unsigned lane, size_t begin, size_t end,
             unsigned how)
{
    const replay_step *step = t->lanes[lane].steps + begin;
    const replay_step *last = t->lanes[lane].steps + end;

    for (; step < last; step++) {
        void   **slot = &t->slots[step->slot];
        uint32_t size = step->size;
        void    *object;

        if (step->what == REPLAY_FREE) {
            object = slot_object(slot, how);
            if (how & BESIDE)
                *slot = NULL;
            peer_free(p, object, size);
        } else if (step->what == REPLAY_GATE) {
            pass_gate(t, lane, size);
        } else {
            object = replay_alloc(p, size, how & ALL_PAGES);
            if (step->what == REPLAY_COPY)
                memcpy(object, slot_object(&t->slots[step[1].slot], how),
                       size < step[1].size ? size : step[1].size);
            __atomic_store_n(slot, object, __ATOMIC_RELEASE);
        }
        COMPLETE();
    }
}

/* The floor needs to know how many objects of each class there will be: no more
 * than of each band of sizes. */
static peer
replay_prepare(const replay *t, size_t bytes)
{
    stock    s = { 1, REPLAY_FLOOR_MAX, 1, bytes };
    unsigned band;

    for (band = 4; PEER_BARE && band <= 16; band++) {
        s.smallest = band == 4 ? 1 : (1u << (band - 1)) + 1;
        s.largest = 1u << band;
        s.each = t->band_most[band] + 16;
        if (band == 4) /* all the smaller ones too */
            s.each += t->band_most[0] + t->band_most[1] + t->band_most[2]
                + t->band_most[3];
        (void)peer_prepare(&s);
    }
    return peer_prepare(&s);
}

/* --- the rows ------------------------------------------------------------- */

static size_t
replay_reserve(const replay *t)
{
    return t->peak / 4 * 5 + (8u << 20);
}

static void
replay_time(replay *t)
{
    peer p = replay_prepare(t, replay_reserve(t));
    char name[96];
    row  r = { name, NULL, 0 };

    snprintf(name, sizeof name, "trace_%s_time", t->name);
    REPEAT(&r, "ns", t->operations,
           replay_steps(p, t, 0, 0, t->lanes[0].n_steps, ALONE));
}

/* Bytes live after the steps from begin on, up to and without end. */
static uint64_t
replay_live(const replay *t, uint64_t live, size_t begin, size_t end)
{
    const replay_step *steps = t->lanes[0].steps;
    size_t             i;

    for (i = begin; i < end; i++)
        live += steps[i].what == REPLAY_FREE
            ? -(uint64_t)steps[i].size : steps[i].size;
    return live;
}

/* Resident memory added, sampled evenly over the program's own events and where
 * the most bytes are live: its maximum over that of the live bytes, and its sum
 * over theirs.  Nothing was reserved. */
static void
replay_memory(replay *t)
{
    size_t before = resident_bytes();
    peer   p = replay_prepare(t, 0);
    size_t last = t->lanes[0].n_steps - 1;
    size_t each;
    size_t at = 0;
    double resident_sum = 0;
    double live_sum = 0;
    double most = 0;
    uint64_t live = 0;
    char   name[96];

    while (last > 0 && t->lanes[0].steps[last].what == REPLAY_FREE)
        last--; /* what was live at the end goes unmeasured */
    each = last / REPLAY_SAMPLES + 1;
    while (at <= last) {
        size_t next = at + each;
        double added;

        if (at < t->peak_step && t->peak_step < next)
            next = t->peak_step;
        if (next > last + 1)
            next = last + 1;
        replay_steps(p, t, 0, at, next, ALONE | ALL_PAGES);
        live = replay_live(t, live, at, next);
        at = next;
        added = (double)resident_bytes() - (double)before;
        most = added > most ? added : most;
        resident_sum += added;
        live_sum += (double)live;
    }
    snprintf(name, sizeof name, "trace_%s_peak", t->name);
    emit(name, "x", most / (double)t->peak);
    snprintf(name, sizeof name, "trace_%s_frag", t->name);
    emit(name, "x", resident_sum / live_sum);
}

/* --- the rows of lanes ---------------------------------------------------- */

static replay *replay_now;

static void
lane_job(crew_member *m)
{
    replay_steps(m->p, replay_now, m->index, 0,
                 replay_now->lanes[m->index].n_steps, BESIDE);
}

static void
lane_pages_job(crew_member *m)
{
    replay_steps(m->p, replay_now, m->index, 0,
                 replay_now->lanes[m->index].n_steps, BESIDE | ALL_PAGES);
}

/* A pass of all lanes, in nanoseconds from the first beginning to the last end. */
static double
lanes_order(replay *t, void (*job)(crew_member *m))
{
    unsigned i;

    for (i = 0; i < t->n_lanes; i++)
        t->lanes[i].gate.value = 0;
    return crew_order(job);
}

/* 0 without a second processor. */
static int
lanes_start(replay *t, size_t bytes)
{
    static stock s = { 1, REPLAY_FLOOR_MAX, 1, 0 };
    row          r = { t->name, NULL, t->n_lanes };

    s.bytes = bytes;
    replay_now = t;
    if (t->n_lanes > 2)
        patience = 20;
    return crew_start(&r, &s);
}

static void
replay_threads_time(replay *t)
{
    unsigned repeat;
    char     name[96];

    if (!lanes_start(t, replay_reserve(t)))
        return;
    snprintf(name, sizeof name, "trace_%s_threads_time", t->name);
    for (repeat = 0; repeat <= repeats; repeat++) {
        double taken = lanes_order(t, lane_job);

        if (repeat > 0)
            emit(name, "ns", taken / (double)t->operations);
    }
    crew_end();
}

/* The first lane looks at each of its gates. */
static void
replay_threads_memory(replay *t)
{
    size_t before = resident_bytes();
    char   name[96];

    if (!lanes_start(t, 0))
        return;
    t->resident = before;
    (void)lanes_order(t, lane_pages_job);
    crew_end();
    snprintf(name, sizeof name, "trace_%s_threads_peak", t->name);
    emit(name, "x", (double)(t->resident - before) / (double)t->peak);
}

/* --- every trace ---------------------------------------------------------- */

/* In a process of its own, like a row: by one thread, or in lanes if two threads
 * or more were busy.  0 if that failed. */
static int
replay_in_child(replay *t, void (*job)(replay *t), unsigned how)
{
    replay_counts c;
    pid_t         child;
    int           status = 0;

    fflush(stdout);
    child = fork();
    if (child == 0) {
        if (!replay_map(t) || !replay_count(t, &c))
            _exit(1);
        if (how == ALONE)
            t->n_lanes = 1;
        else
            replay_assign_lanes(t, &c);
        if (how == ALONE || t->n_lanes > 1) {
            if (!replay_decode(t, &c))
                _exit(1);
            job(t);
        }
        fflush(stdout);
        _exit(0);
    }
    return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

static int
is_trace(const struct dirent *file)
{
    const char *end = strrchr(file->d_name, '.');

    return end != NULL && end > file->d_name && strcmp(end, ".trace") == 0;
}

static void
run_traces(const row *r)
{
    const char     *dir = getenv("BENCH_TRACES");
    struct dirent **files = NULL;
    int             n;
    int             ok;
    int             i;

    if (dir == NULL || *dir == '\0')
        return;
    n = scandir(dir, &files, is_trace, alphasort);
    ok = n >= 0;
    for (i = 0; i < n; i++) {
        static char path[4096];
        replay      t;

        memset(&t, 0, sizeof t);
        snprintf(path, sizeof path, "%s/%s", dir, files[i]->d_name);
        snprintf(t.name, sizeof t.name, "%.*s",
                 (int)(strrchr(files[i]->d_name, '.') - files[i]->d_name),
                 files[i]->d_name);
        t.path = path;
        ok &= replay_in_child(&t, replay_time, ALONE)
            && (PEER_BARE
                || (replay_in_child(&t, replay_memory, ALONE)
                    && replay_in_child(&t, replay_threads_time, BESIDE)
                    && replay_in_child(&t, replay_threads_memory, BESIDE)));
    }
    if (!ok) {
        fprintf(stderr, "bench: %s: not all of %s was replayed\n", r->name,
                dir);
        fflush(stdout);
        _exit(1);
    }
}

#define ROWS_TRACE \
    { "trace", run_traces, 0 }

#endif /* BENCH_ROWS_TRACE_H */
