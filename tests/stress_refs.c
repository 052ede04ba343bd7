/* stress_refs.c - the last reference to an object ends it, once, whoever drops
 * it, and what the destructor keeps is nobody else's
 * SPDX-License-Identifier: MIT OR Unlicense
 *
 *     source --[ring]--> clone --[ring]--> sink
 *     allocates          more references   drops those that it got
 *                        and drops its own
 *        ^                 |                 |
 *        +----[ring]-------+----[ring]-------+   what the destructor kept
 *
 * Clone and sink drop the references of an object in any order, so either may
 * have the last one.  Its destructor then finds all that both have written:
 * they write by plain accesses, so that ThreadSanitizer sees if fpheap_unref
 * does not order them.  Half of the objects go back to the source without being
 * freed.
 *
 * An object's stamp says whose it is.  Unlike in the other programs memory that
 * nobody owns is not zero, since headers of freed objects are in it; but it has
 * no stamp of an object that is live or kept.
 */
#define FPHEAP_HEADER 1
#define FPHEAP_IMPLEMENTATION
#include "fpheap.h"
#include "stress_util.h"

#define RING       1024     /* pointers between one thread and another */
#define LATE       256      /* objects that clone holds on to for a while */
#define MOST_REFS  3        /* that it makes of one object */
#define POOL_BYTES 2304
#define HEAP_TAG   7
#define POOL_TAG   8

enum { FROM_HEAP = 1, FROM_POOL = 2, FROM_BOTH = 3 };

/* The upper half of a stamp; the lower one numbers the objects. */
#define LIVE  (UINT64_C(0x4c495645) << 32)
#define KEPT  (UINT64_C(0x4b455054) << 32)
#define DEAD  (UINT64_C(0x44454144) << 32)
#define STATE (UINT64_C(0xffffffff) << 32)

typedef struct packet {
    uint64_t stamp;         /* read and written by relaxed atomics */
    uint64_t sent;          /* references that went to the sink */
    uint64_t cloned;        /* the stamp, when clone has done */
    uint64_t arrived;       /* references that the sink has dropped */
} packet;

/* One writer, one reader. */
typedef struct ring {
    unsigned head __attribute__((aligned(128)));
    unsigned tail __attribute__((aligned(128)));
    void    *slot[RING] __attribute__((aligned(128)));
} ring;

enum { SOURCE, CLONE, SINK, STATIONS };

typedef struct line line;

typedef struct station {
    line    *line;
    uint64_t random;
    uint64_t made;          /* objects allocated */
    uint64_t reused;
    uint64_t ended;         /* calls of the destructor */
    uint64_t kept;
    ring    *back;          /* to the source; NULL: the destructor keeps none */
} station;

struct line {
    fpheap      *heap;
    fpheap_pool *pool;
    int          from;
    uint64_t     items;
    int          source_done;
    int          clone_done;
    uint64_t     alone;     /* times that clone had the only reference left */
    station      stations[STATIONS];
    ring         to_clone;
    ring         to_sink;
    ring         back[STATIONS];
};

static __thread station *here;
static int               destructor; /* its number */
static char              argument;

static int
ring_put(ring *r, void *object)
{
    unsigned head = r->head;

    if (head - __atomic_load_n(&r->tail, __ATOMIC_ACQUIRE) == RING)
        return 0;
    r->slot[head % RING] = object;
    __atomic_store_n(&r->head, head + 1, __ATOMIC_RELEASE);
    return 1;
}

static void *
ring_get(ring *r)
{
    unsigned tail = r->tail;
    void    *object;

    if (tail == __atomic_load_n(&r->head, __ATOMIC_ACQUIRE))
        return NULL;
    object = r->slot[tail % RING];
    __atomic_store_n(&r->tail, tail + 1, __ATOMIC_RELEASE);
    return object;
}

static void
ring_put_all(ring *r, void *object)
{
    while (!ring_put(r, object))
        sched_yield();
}

/* --- stamps --------------------------------------------------------------- */

static uint64_t *
last_word(fpheap *heap, packet *p)
{
    size_t bytes = fpheap_usable_size(heap, p);

    CHECK(bytes >= sizeof(*p) + 8);
    return (uint64_t *)(void *)((char *)p + bytes / 8 * 8 - 8);
}

static uint64_t
stamp_of(const packet *p)
{
    return __atomic_load_n(&p->stamp, __ATOMIC_RELAXED);
}

/* From one state to another, which nobody else may do at the same time. */
static void
restamp(fpheap *heap, packet *p, uint64_t from, uint64_t to)
{
    uint64_t was = from;
    uint64_t *last = last_word(heap, p);

    if (!__atomic_compare_exchange_n(&p->stamp, &was, to, 0, __ATOMIC_RELAXED,
                                     __ATOMIC_RELAXED))
        stress_fail_values(__FILE__, __LINE__, "an object has another owner",
                           (long long)was, (long long)from);
    CHECK_EQ(*last, ~from);
    *last = ~to;
}

/* Whatever a new object contains, it is nobody's. */
static void
stamp_new(fpheap *heap, packet *p, uint64_t to)
{
    uint64_t was = __atomic_exchange_n(&p->stamp, to, __ATOMIC_RELAXED);
    uint64_t *last = last_word(heap, p);

    CHECK((was & STATE) != LIVE && (was & STATE) != KEPT);
    CHECK((~*last & STATE) != LIVE && (~*last & STATE) != KEPT);
    *last = ~to;
}

/* --- the destructor ------------------------------------------------------- */

/* Called by whoever dropped the last reference.  What it keeps another thread
 * may use before it has returned. */
static fpheap_fate
end_packet(void *arg, void *object)
{
    packet  *p = (packet *)object;
    fpheap  *heap = here->line->heap;
    uint64_t stamp = stamp_of(p);
    uint64_t number = stamp & ~STATE;

    CHECK(arg == &argument);
    here->ended++;
    CHECK_EQ(fpheap_flags(p), number & 255);
    if ((stamp & STATE) == LIVE) {
        CHECK_EQ(p->cloned, stamp);
        CHECK_EQ(p->arrived, p->sent);
    } else {
        CHECK_EQ(stamp & STATE, KEPT); /* dropped before it was used again */
    }
    if (here->back != NULL && stress_below(&here->random, 2) == 0
        && here->back->head - __atomic_load_n(&here->back->tail,
                                              __ATOMIC_ACQUIRE) < RING) {
        restamp(heap, p, stamp, KEPT | number);
        here->kept++;
        CHECK(ring_put(here->back, p));
        return FPHEAP_KEPT;
    }
    restamp(heap, p, stamp, DEAD | number);
    return FPHEAP_RELEASE;
}

/* --- the stations --------------------------------------------------------- */

static const size_t sizes[] = { 40, 64, 200, 256, 1000, 1500, 2048, 9000 };

static packet *
new_packet(station *s, uint64_t number)
{
    line   *l = s->line;
    int     pooled = l->from == FROM_POOL
                  || (l->from == FROM_BOTH && stress_below(&s->random, 2) == 0);
    size_t  size = sizes[stress_below(&s->random, STRESS_LEN(sizes))];
    packet *p = (packet *)(pooled ? fpheap_pool_get(l->pool)
                                  : fpheap_alloc_tagged(l->heap, size,
                                                        HEAP_TAG));

    CHECK(p != NULL);
    CHECK_EQ(fpheap_tag(p), pooled ? POOL_TAG : HEAP_TAG);
    CHECK_EQ(fpheap_requested(p), pooled ? POOL_BYTES : size);
    if (!pooled)
        CHECK_EQ(fpheap_set_destructor(p, (unsigned)destructor), 0);
    stamp_new(l->heap, p, LIVE | number);
    s->made++;
    return p;
}

/* One that a destructor kept, or NULL. */
static packet *
old_packet(station *s, uint64_t number)
{
    line    *l = s->line;
    unsigned i = stress_below(&s->random, STATIONS);
    packet  *p = (packet *)ring_get(&l->back[i]);

    if (p == NULL)
        return NULL;
    CHECK_EQ(stamp_of(p) & STATE, KEPT);
    restamp(l->heap, p, stamp_of(p), LIVE | number);
    s->reused++;
    return p;
}

static void *
run_source(void *arg)
{
    station *s = (station *)arg;
    line    *l = s->line;
    uint64_t i;

    here = s;
    for (i = 0; i < l->items; i++) {
        packet *p = old_packet(s, i);

        if (p == NULL)
            p = new_packet(s, i);
        CHECK_EQ(fpheap_refs(p), 1);
        fpheap_set_flags(p, i & 255);
        p->sent = 0;
        p->arrived = 0;
        p->cloned = 0;
        ring_put_all(&l->to_clone, p);
    }
    __atomic_store_n(&l->source_done, 1, __ATOMIC_RELEASE);
    return NULL;
}

/* Drop the reference that clone has kept.  The sink has its own already, so
 * nothing but fpheap_unref orders what is written here. */
static void
drop(station *s, packet *p)
{
    if (p == NULL)
        return;
    p->cloned = stamp_of(p);
    if (fpheap_refs(p) == 1) {
        CHECK_EQ(p->arrived, p->sent);
        s->line->alone++;
    }
    fpheap_unref(s->line->heap, p);
}

static void
send_clones(station *s, packet *p)
{
    unsigned n = 1 + stress_below(&s->random, MOST_REFS);
    unsigned i;

    p->sent = n;
    for (i = 0; i < n; i++)
        fpheap_ref(p);
    for (i = 0; i < n; i++)
        ring_put_all(&s->line->to_sink, p);
}

/* Each object takes the place of one that came any time before, and that goes:
 * sometimes the sink has dropped all of its references by then. */
static void *
run_clone(void *arg)
{
    station *s = (station *)arg;
    line    *l = s->line;
    packet  *late[LATE] = {NULL};
    packet  *p;
    unsigned i;
    int      last = 0;

    here = s;
    while (!last) {
        last = __atomic_load_n(&l->source_done, __ATOMIC_ACQUIRE);
        while ((p = (packet *)ring_get(&l->to_clone)) != NULL) {
            i = stress_below(&s->random, LATE);
            send_clones(s, p);
            drop(s, late[i]);
            late[i] = p;
        }
        sched_yield();
    }
    for (i = 0; i < LATE; i++)
        drop(s, late[i]);
    __atomic_store_n(&l->clone_done, 1, __ATOMIC_RELEASE);
    return NULL;
}

static void *
run_sink(void *arg)
{
    station *s = (station *)arg;
    line    *l = s->line;
    int      last = 0;

    here = s;
    while (!last) {
        packet *p;

        last = __atomic_load_n(&l->clone_done, __ATOMIC_ACQUIRE);
        while ((p = (packet *)ring_get(&l->to_sink)) != NULL) {
            p->arrived++;
            fpheap_unref(l->heap, p);
        }
        sched_yield();
    }
    return NULL;
}

/* --- the line ------------------------------------------------------------- */

static void
check_tags(line *l, size_t live)
{
    fpheap_stats      s = stress_check(l->heap);
    fpheap_tag_stats  heaps;
    fpheap_tag_stats  pools;
    fpheap_pool_stats p;

    CHECK_EQ(fpheap_tag_stats_get(l->heap, HEAP_TAG, &heaps), 0);
    CHECK_EQ(fpheap_tag_stats_get(l->heap, POOL_TAG, &pools), 0);
    fpheap_pool_stats_get(l->pool, &p);
    CHECK_EQ(s.live_objects, live);
    CHECK_EQ(heaps.objects + pools.objects, live);
    CHECK_EQ(heaps.bytes + pools.bytes, s.requested_bytes);
    CHECK_EQ(pools.objects, p.live_objects);
    CHECK_EQ(pools.bytes, pools.objects * POOL_BYTES);
}

static void
run_threads(line *l)
{
    void    *(*const run[STATIONS])(void *) = {run_source, run_clone, run_sink};
    pthread_t thread[STATIONS];
    unsigned  i;

    l->source_done = 0;
    l->clone_done = 0;
    for (i = 0; i < STATIONS; i++)
        thread[i] = stress_spawn(run[i], &l->stations[i]);
    for (i = 0; i < STATIONS; i++)
        stress_join(thread[i]);
}

/* Every object that began has ended; what was kept and not used again is what
 * lives. */
static uint64_t
check_sums(line *l)
{
    const station *source = &l->stations[SOURCE];
    uint64_t       ended = 0;
    uint64_t       kept = 0;
    unsigned       i;

    for (i = 0; i < STATIONS; i++) {
        ended += l->stations[i].ended;
        kept += l->stations[i].kept;
    }
    CHECK_EQ(ended, source->made + source->reused);
    CHECK_EQ(source->ended, 0);
    check_tags(l, kept - source->reused);
    return kept - source->reused;
}

/* Drop what is kept, here, with a destructor that keeps nothing. */
static uint64_t
release_kept(line *l)
{
    station mine;
    void   *object;
    int     i;

    memset(&mine, 0, sizeof(mine));
    mine.line = l;
    here = &mine;
    for (i = 0; i < STATIONS; i++)
        while ((object = ring_get(&l->back[i])) != NULL)
            fpheap_unref(l->heap, object);
    check_tags(l, 0);
    return mine.ended;
}

static void
run_line(int from, uint64_t items, uint64_t rounds)
{
    static line      l;
    fpheap_pool_desc desc;
    stress_pages     pages;
    double           begin = stress_seconds();
    uint64_t         kept = 0;
    uint64_t         r;
    int              i;

    memset(&l, 0, sizeof(l));
    memset(&desc, 0, sizeof(desc));
    l.heap = stress_heap("refs", &pages, FPHEAP_CHUNK);
    l.from = from;
    l.items = stress_work(items);
    desc.name = "packets";
    desc.size = POOL_BYTES;
    desc.tag = POOL_TAG;
    desc.destructor = (unsigned)destructor;
    l.pool = fpheap_pool_create(l.heap, &desc);
    CHECK(l.pool != NULL);
    for (i = 0; i < STATIONS; i++) {
        l.stations[i].line = &l;
        l.stations[i].random = stress_state((uint64_t)i);
        l.stations[i].back = &l.back[i];
    }
    for (r = 0; r < rounds; r++) {
        run_threads(&l);
        kept = check_sums(&l);
    }
    printf("  %llu objects made, %llu used again, by clone %llu ended, %llu "
           "seen alone, by sink %llu; %llu kept at the end; %.1f s\n",
           (unsigned long long)l.stations[SOURCE].made,
           (unsigned long long)l.stations[SOURCE].reused,
           (unsigned long long)l.stations[CLONE].ended,
           (unsigned long long)l.alone,
           (unsigned long long)l.stations[SINK].ended,
           (unsigned long long)kept, stress_seconds() - begin);
    CHECK_EQ(release_kept(&l), kept);
    CHECK_EQ(fpheap_pool_destroy(l.pool, NULL), 0);
    stress_finish(l.heap);
    stress_pages_finish(&pages);
}

static void
the_last_of_two_threads_ends_an_object_of_any_size(void **state)
{
    (void)state;
    stress_test();
    run_line(FROM_HEAP, 2500000, 1);
}

static void
the_last_of_two_threads_ends_an_object_of_a_pool(void **state)
{
    (void)state;
    stress_test();
    run_line(FROM_POOL, 2500000, 1);
}

/* What is kept goes from the threads of one round to those of the next. */
static void
objects_outlive_the_threads_that_kept_them(void **state)
{
    (void)state;
    stress_test();
    run_line(FROM_BOTH, 8000, 300);
}

/* --- all at once ---------------------------------------------------------- */

#define CROWD   4
#define TARGETS 2000

typedef struct crowd {
    fpheap           *heap;
    packet           *target[TARGETS];
    uint64_t          rounds;
    unsigned          ended;   /* by all threads */
    pthread_barrier_t turn;
} crowd;

typedef struct head {
    crowd   *crowd;
    unsigned index;
    uint64_t random;
} head;

/* Each thread has written its own word before it dropped its reference. */
static fpheap_fate
end_target(void *arg, void *object)
{
    crowd          *c = *(crowd **)arg;
    const uint64_t *word = (const uint64_t *)object;
    int             i;

    for (i = 1; i < CROWD; i++)
        CHECK_EQ(word[i], word[0]);
    __atomic_fetch_add(&c->ended, 1, __ATOMIC_RELAXED);
    return FPHEAP_RELEASE;
}

static void *
drop_targets(void *arg)
{
    head    *h = (head *)arg;
    crowd   *c = h->crowd;
    uint64_t r;
    unsigned i;

    for (r = 1; r <= c->rounds; r++) {
        pthread_barrier_wait(&c->turn);
        for (i = 0; i < TARGETS; i++) {
            packet *p = c->target[i];

            ((uint64_t *)(void *)p)[h->index] = r;
            if (stress_below(&h->random, 4) == 0) {
                fpheap_ref(p);
                fpheap_unref(c->heap, p);
            }
            fpheap_unref(c->heap, p);
        }
        pthread_barrier_wait(&c->turn);
    }
    return NULL;
}

static void
one_of_many_threads_ends_each_object(void **state)
{
    static crowd  c;
    static crowd *the_crowd = &c;
    stress_pages  pages;
    pthread_t     thread[CROWD];
    head          heads[CROWD];
    int           number = fpheap_destructor_register(end_target, &the_crowd);
    uint64_t      r;
    unsigned      i;
    unsigned      k;

    (void)state;
    stress_test();
    CHECK(number > 0);
    c.heap = stress_heap("crowd", &pages, FPHEAP_CHUNK);
    c.rounds = stress_work(400);
    pthread_barrier_init(&c.turn, NULL, CROWD + 1);
    for (i = 0; i < CROWD; i++) {
        heads[i].crowd = &c;
        heads[i].index = i;
        heads[i].random = stress_state(i);
        thread[i] = stress_spawn(drop_targets, &heads[i]);
    }
    for (r = 0; r < c.rounds; r++) {
        for (i = 0; i < TARGETS; i++) {
            c.target[i] = (packet *)fpheap_alloc(c.heap, sizes[i % 6]);
            CHECK(c.target[i] != NULL);
            CHECK_EQ(fpheap_set_destructor(c.target[i], (unsigned)number), 0);
            for (k = 1; k < CROWD; k++)
                fpheap_ref(c.target[i]);
        }
        pthread_barrier_wait(&c.turn);
        pthread_barrier_wait(&c.turn);
        CHECK_EQ(c.ended, (r + 1) * TARGETS);
    }
    for (i = 0; i < CROWD; i++)
        stress_join(thread[i]);
    printf("  %u objects with %u references, each by a thread of its own\n",
           c.ended, CROWD);
    pthread_barrier_destroy(&c.turn);
    stress_finish(c.heap);
    stress_pages_finish(&pages);
}

/* --- sums beside the threads ---------------------------------------------- */

#define BYSTANDERS 200      /* caches between that of giver and taker */

typedef struct pair {
    fpheap           *heap;
    void             *slot;
    int               ready;
    int               stop;
    pthread_barrier_t end;
} pair;

static void *
stand_by(void *arg)
{
    pair *p = (pair *)arg;

    CHECK(fpheap_self(p->heap) != NULL);
    __atomic_fetch_add(&p->ready, 1, __ATOMIC_RELEASE);
    pthread_barrier_wait(&p->end);
    return NULL;
}

static void *
give_objects(void *arg)
{
    pair *p = (pair *)arg;
    void *object;

    CHECK(fpheap_self(p->heap) != NULL);
    __atomic_fetch_add(&p->ready, 1, __ATOMIC_RELEASE);
    while (!__atomic_load_n(&p->stop, __ATOMIC_RELAXED)) {
        if (__atomic_load_n(&p->slot, __ATOMIC_ACQUIRE) != NULL)
            continue;
        object = fpheap_alloc_tagged(p->heap, 100, HEAP_TAG);
        CHECK(object != NULL);
        __atomic_store_n(&p->slot, object, __ATOMIC_RELEASE);
    }
    return NULL;
}

static void *
take_objects(void *arg)
{
    pair *p = (pair *)arg;

    while (!__atomic_load_n(&p->stop, __ATOMIC_RELAXED))
        fpheap_free(p->heap, __atomic_exchange_n(&p->slot, NULL,
                                                 __ATOMIC_ACQ_REL));
    return NULL;
}

/* A sum taken meanwhile sees the two caches at two moments. */
static void
read_sums(fpheap *heap)
{
    uint64_t         n = stress_work(150000);
    fpheap_tag_stats t;
    fpheap_stats     s;
    uint64_t         i;

    for (i = 0; i < n; i++) {
        CHECK_EQ(fpheap_tag_stats_get(heap, HEAP_TAG, &t), 0);
        CHECK_LE(t.objects, SIZE_MAX / 2);
        CHECK_LE(t.bytes, SIZE_MAX / 2);
        if (i % 100 != 0)
            continue;
        fpheap_stats_get(heap, &s);
        CHECK_LE(s.requested_bytes, SIZE_MAX / 2);
    }
}

static void
sums_by_tag_are_never_below_zero(void **state)
{
    static pair  p;
    stress_pages pages;
    pthread_t    bystander[BYSTANDERS];
    pthread_t    giver;
    pthread_t    taker;
    int          i;

    (void)state;
    stress_test();
    memset(&p, 0, sizeof(p));
    p.heap = stress_heap("sums", &pages, FPHEAP_CHUNK);
    pthread_barrier_init(&p.end, NULL, BYSTANDERS + 1);
    giver = stress_spawn(give_objects, &p);
    while (__atomic_load_n(&p.ready, __ATOMIC_ACQUIRE) < 1)
        sched_yield();
    for (i = 0; i < BYSTANDERS; i++)
        bystander[i] = stress_spawn(stand_by, &p);
    while (__atomic_load_n(&p.ready, __ATOMIC_ACQUIRE) < 1 + BYSTANDERS)
        sched_yield();
    taker = stress_spawn(take_objects, &p);
    read_sums(p.heap);
    __atomic_store_n(&p.stop, 1, __ATOMIC_RELAXED);
    stress_join(giver);
    stress_join(taker);
    pthread_barrier_wait(&p.end);
    for (i = 0; i < BYSTANDERS; i++)
        stress_join(bystander[i]);
    fpheap_free(p.heap, p.slot);
    pthread_barrier_destroy(&p.end);
    stress_finish(p.heap);
    stress_pages_finish(&pages);
}

/* --- destructors ---------------------------------------------------------- */

#define REGISTERED 100

/* What a thread writes before it registers a destructor for it. */
typedef struct target {
    unsigned number;
    unsigned ended;
} target;

static target targets[REGISTERED];

static fpheap_fate
count_end(void *arg, void *object)
{
    target *one = (target *)arg;

    (void)object;
    CHECK_EQ(one->number, (unsigned)(one - targets) + 1);
    one->ended++;
    return FPHEAP_RELEASE;
}

static void *
register_all(void *unused)
{
    unsigned i;

    for (i = 0; i < REGISTERED; i++) {
        targets[i].number = i + 1;
        CHECK(fpheap_destructor_register(count_end, &targets[i]) > 0);
    }
    return unused;
}

/* Nothing but its number tells of it. */
static void
a_destructor_of_another_thread_has_its_argument(void **state)
{
    stress_pages pages;
    fpheap      *heap;
    pthread_t    thread;
    int          first = fpheap_destructor_register(count_end, NULL) + 1;
    unsigned     i;

    (void)state;
    stress_test();
    CHECK(first > 1);
    heap = stress_heap("destructors", &pages, FPHEAP_CHUNK);
    thread = stress_spawn(register_all, NULL);
    for (i = 0; i < REGISTERED; i++) {
        void *object = fpheap_alloc(heap, 100);

        while (fpheap_set_destructor(object, (unsigned)first + i) != 0)
            sched_yield();
        fpheap_unref(heap, object);
        CHECK_EQ(targets[i].ended, 1);
    }
    stress_join(thread);
    stress_finish(heap);
    stress_pages_finish(&pages);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_destructor_of_another_thread_has_its_argument),
        cmocka_unit_test(the_last_of_two_threads_ends_an_object_of_any_size),
        cmocka_unit_test(the_last_of_two_threads_ends_an_object_of_a_pool),
        cmocka_unit_test(objects_outlive_the_threads_that_kept_them),
        cmocka_unit_test(one_of_many_threads_ends_each_object),
        cmocka_unit_test(sums_by_tag_are_never_below_zero),
    };

    stress_program("stress_refs");
    destructor = fpheap_destructor_register(end_packet, &argument);
    CHECK(destructor > 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
