/* Rows that replay what real programs asked of malloc: for each file *.trace in
 * the directory BENCH_TRACES, in the format of trace.h.
 *
 * One thread replays the events of all threads, in the order of the trace.
 * They are decoded before the clock starts.  So that all peers do the same:
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

enum { REPLAY_ALLOC, REPLAY_RESIZE, REPLAY_FREE };

/* A slot has one object at a time.  RESIZE makes its new object before it frees
 * the old one, whose size is in the step that follows. */
typedef struct replay_step {
    uint32_t slot;
    uint32_t size : 30;
    uint32_t what : 2;
} replay_step;

typedef struct replay_object {
    uint32_t slot;
    uint32_t size;             /* 0: ended */
} replay_object;

typedef struct replay {
    const char     *path;
    char            name[64];  /* of the file, without .trace */
    const char     *bytes;
    size_t          length;
    replay_step    *steps;
    size_t          n_steps;
    size_t          operations; /* what a program would call: resize is one */
    replay_object  *objects;
    uint32_t       *free_slots;
    uint32_t        n_slots;   /* the most that were in use */
    uint32_t        n_free;
    void          **slots;
    uint64_t        live;      /* bytes, while steps are added or gone over */
    uint64_t        peak;
    size_t          peak_step; /* after it the most bytes are live */
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
replay_add(replay *t, unsigned what, const replay_object *o)
{
    replay_step *step = &t->steps[t->n_steps++];

    step->slot = o->slot;
    step->size = o->size;
    step->what = what;
    replay_account(t, o->size, what != REPLAY_FREE);
}

static void
replay_end_object(replay *t, replay_object *o)
{
    replay_add(t, REPLAY_FREE, o);
    t->free_slots[t->n_free++] = o->slot;
    o->size = 0;
}

/* 0 if the event ends an object that is not live.  The youngest free slot is
 * taken, so that the table of slots is no larger than it must be. */
static int
replay_event(replay *t, const trace_event *e)
{
    replay_object *o = &t->objects[e->object];
    replay_object *old = &t->objects[e->old];

    if (e->op >= TRACE_REALLOC && old->size == 0)
        return 0;
    t->operations++;
    if (e->op == TRACE_FREE) {
        replay_end_object(t, o);
        return 1;
    }
    o->size = replay_size(e->size);
    if (e->op == TRACE_REALLOC) {
        o->slot = old->slot;
        replay_add(t, REPLAY_RESIZE, o);
        replay_add(t, REPLAY_FREE, old); /* RESIZE reads it and goes past it */
        old->size = 0;
    } else {
        o->slot = t->n_free > 0 ? t->free_slots[--t->n_free] : t->n_slots++;
        replay_add(t, REPLAY_ALLOC, o);
    }
    if (t->live > t->peak) {
        t->peak = t->live;
        t->peak_step = t->n_steps;
    }
    return 1;
}

/* Reads the trace twice: what it has of each sort says how large the arrays
 * must be. */
static int
replay_decode(replay *t)
{
    trace_reader r;
    trace_event  e;
    size_t       events = 0;
    uint64_t     i;
    int          more;

    if (!trace_open(&r, t->bytes, t->length))
        return replay_fail(t, "is no trace");
    while ((more = trace_next(&r, &e)) > 0)
        events++;
    if (more < 0 || r.objects == 0 || r.objects > UINT32_MAX)
        return replay_fail(t, "is damaged or empty");
    /* Two steps for a realloc, and each object may be live at the end. */
    t->steps = own_memory((events * 2 + r.objects) * sizeof *t->steps);
    t->objects = own_memory(r.objects * sizeof *t->objects);
    t->free_slots = own_memory(r.objects * sizeof *t->free_slots);
    (void)trace_open(&r, t->bytes, t->length);
    while (trace_next(&r, &e) > 0)
        if (!replay_event(t, &e))
            return replay_fail(t, "frees an object twice");
    for (i = 0; i < r.objects; i++) {
        if (t->objects[i].size == 0)
            continue;
        replay_end_object(t, &t->objects[i]);
        t->operations++;
    }
    t->slots = own_memory(t->n_slots * sizeof *t->slots);
    munmap(t->objects, r.objects * sizeof *t->objects);
    munmap(t->free_slots, r.objects * sizeof *t->free_slots);
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

/* The steps from begin on, up to and without end. */
BENCH_INLINE void
replay_steps(peer p, const replay *t, size_t begin, size_t end, int all_pages)
{
    const replay_step *step = t->steps + begin;
    void             **slots = t->slots;

    for (; step < t->steps + end; step++) {
        void   **slot = &slots[step->slot];
        uint32_t size = step->size;
        void    *old = *slot;

        if (step->what == REPLAY_ALLOC) {
            *slot = replay_alloc(p, size, all_pages);
        } else if (step->what == REPLAY_FREE) {
            peer_free(p, old, size);
        } else {
            uint32_t had = (++step)->size;

            *slot = replay_alloc(p, size, all_pages);
            memcpy(*slot, old, size < had ? size : had);
            peer_free(p, old, had);
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

static void
replay_time(const replay *t)
{
    peer p = replay_prepare(t, t->peak / 4 * 5 + (8u << 20));
    char name[96];
    row  r = { name, NULL, 0 };

    snprintf(name, sizeof name, "trace_%s_time", t->name);
    REPEAT(&r, "ns", t->operations, replay_steps(p, t, 0, t->n_steps, 0));
}

/* Bytes live after the steps from begin on, up to and without end. */
static uint64_t
replay_live(const replay *t, uint64_t live, size_t begin, size_t end)
{
    size_t i;

    for (i = begin; i < end; i++)
        live += t->steps[i].what == REPLAY_FREE
            ? -(uint64_t)t->steps[i].size : t->steps[i].size;
    return live;
}

/* Resident memory added, sampled evenly over the program's own events and where
 * the most bytes are live: its maximum over that of the live bytes, and its sum
 * over theirs.  Nothing was reserved. */
static void
replay_memory(const replay *t)
{
    size_t before = resident_bytes();
    peer   p = replay_prepare(t, 0);
    size_t last = t->n_steps - 1;
    size_t each;
    size_t at = 0;
    double resident_sum = 0;
    double live_sum = 0;
    double most = 0;
    uint64_t live = 0;
    char   name[96];

    while (last > 0 && t->steps[last].what == REPLAY_FREE)
        last--; /* what was live at the end goes unmeasured */
    each = last / REPLAY_SAMPLES + 1;
    while (at <= last) {
        size_t next = at + each;
        double added;

        if (at < t->peak_step && t->peak_step < next)
            next = t->peak_step;
        if (next > last + 1)
            next = last + 1;
        if (t->steps[next - 1].what == REPLAY_RESIZE)
            next++;
        replay_steps(p, t, at, next, 1);
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

/* In a process of its own, like a row.  0 if that failed. */
static int
replay_in_child(replay *t, void (*job)(const replay *t))
{
    pid_t child;
    int   status = 0;

    fflush(stdout);
    child = fork();
    if (child == 0) {
        if (!replay_map(t) || !replay_decode(t))
            _exit(1);
        job(t);
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
        ok &= replay_in_child(&t, replay_time)
            && (PEER_BARE || replay_in_child(&t, replay_memory));
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
