/* stress_pools.c - pools and limits while many threads use them
 * SPDX-License-Identifier: MIT OR Unlicense
 *
 * Objects of the size of a packet buffer keep all of their bytes from put to
 * get, whoever got them last; eight types whose peaks do not coincide share the
 * memory of the highest; a pool's maximum and a heap's limit are kept at every
 * moment; a pool ends while other threads have its objects in their caches, and
 * one name has one pool, whoever asks at the same time.
 */
#ifndef FPHEAP_GROWTH_WAIT_MS
#  define FPHEAP_GROWTH_WAIT_MS 10000   /* a shorter wait may grow instead */
#endif
#define FPHEAP_IMPLEMENTATION
#include "fpheap.h"
#include "stress_util.h"

#define MADE        UINT64_C(0x9a6d3b51c7e4f082)
#define GONE        UINT64_C(0x07d2e8c45b9131fa)
#define MBUF        ((size_t)2304)
#define MAX_WORKERS 8

/* --- constructed objects -------------------------------------------------- */

/* What constructors and destructors of one pool did. */
typedef struct book {
    uint64_t constructed;
    uint64_t destructed;
} book;

/* Each object begins with a word that its constructor writes and nobody else
 * but its destructor. */
static int
construct(void *arg, void *object)
{
    uint64_t *word = (uint64_t *)object;

    CHECK(*word != (MADE ^ (uintptr_t)object));
    *word = MADE ^ (uintptr_t)object;
    __atomic_fetch_add(&((book *)arg)->constructed, 1, __ATOMIC_RELAXED);
    return 0;
}

static void
destruct(void *arg, void *object)
{
    uint64_t *word = (uint64_t *)object;

    CHECK_EQ(*word, MADE ^ (uintptr_t)object);
    *word = GONE ^ (uintptr_t)object;
    __atomic_fetch_add(&((book *)arg)->destructed, 1, __ATOMIC_RELAXED);
}

static fpheap_pool_desc
described(const char *name, size_t size, book *b)
{
    fpheap_pool_desc desc;

    memset(&desc, 0, sizeof(desc));
    memset(b, 0, sizeof(*b));
    desc.name      = name;
    desc.size      = size;
    desc.construct = construct;
    desc.destruct  = destruct;
    desc.arg       = b;
    return desc;
}

static fpheap_pool *
create(fpheap *heap, const fpheap_pool_desc *desc)
{
    fpheap_pool *pool = fpheap_pool_create(heap, desc);

    CHECK(pool != NULL);
    return pool;
}

/* Of a pool that nobody uses. */
static fpheap_pool_stats
check_pool(fpheap_pool *pool, const book *b)
{
    fpheap_pool_stats s;

    fpheap_pool_stats_get(pool, &s);
    CHECK_EQ(s.objects, s.live_objects + s.parked_objects + s.free_objects);
    CHECK_EQ(s.claimed_objects, s.live_objects + s.parked_objects);
    CHECK_LE(s.claimed_objects, s.max);
    CHECK_EQ(b->constructed, s.objects + b->destructed);
    return s;
}

static void
end_pool(fpheap_pool *pool, const book *b)
{
    size_t live = 77;

    CHECK_EQ(fpheap_pool_destroy(pool, &live), 0);
    CHECK_EQ(live, 0);
    CHECK_EQ(b->constructed, b->destructed);
}

/* --- packet buffers --------------------------------------------------------
 *
 * Word 0 is the constructor's, word 1 the number of the last put; all others
 * follow from the object's address and that number.
 */
#define MBUF_WORDS (MBUF / 8)
#define MBUF_KEPT  128         /* objects that a thread has in hands */
#define MBUF_BURST 32
#define MBUF_PEAK  25000       /* per thread */

typedef struct mbuf_scene {
    fpheap            *heap;
    fpheap_pool       *pool;
    stress_boxes       boxes;
    pthread_barrier_t  barrier;
} mbuf_scene;

typedef struct mbuf_worker {
    mbuf_scene *scene;
    uint64_t    random;
    uint64_t    sequence;
    uint64_t    wanted;
    uint64_t    done;          /* gets and puts */
    unsigned    kept;
    uint64_t   *mbuf[MBUF_PEAK];
} mbuf_worker;

static void
mbuf_fill(uint64_t *mbuf, uint64_t number)
{
    uint64_t word = (uintptr_t)mbuf ^ number * UINT64_C(0x9e3779b97f4a7c15);
    size_t   i;

    mbuf[1] = number;
    for (i = 2; i < MBUF_WORDS; i++)
        mbuf[i] = word + i;
}

/* All bytes of a new object. */
static void
mbuf_check(const uint64_t *mbuf)
{
    uint64_t number = mbuf[1];
    uint64_t word = (uintptr_t)mbuf ^ number * UINT64_C(0x9e3779b97f4a7c15);
    uint64_t wrong = mbuf[0] ^ MADE ^ (uintptr_t)mbuf;
    size_t   i;

    for (i = 2; i < MBUF_WORDS; i++)
        wrong |= mbuf[i] ^ (word + i);
    CHECK_EQ(wrong, 0);
}

static int
mbuf_construct(void *arg, void *object)
{
    mbuf_fill((uint64_t *)object, 0);
    return construct(arg, object);
}

static void
mbuf_take(mbuf_worker *w, unsigned n, int single)
{
    fpheap_pool *pool = w->scene->pool;
    void       **to = (void **)&w->mbuf[w->kept];
    unsigned     i;

    if (single)
        for (i = 0; i < n; i++)
            CHECK((to[i] = fpheap_pool_get(pool)) != NULL);
    else
        CHECK_EQ(fpheap_pool_get_bulk(pool, to, n), 0);
    for (i = 0; i < n; i++)
        mbuf_check((const uint64_t *)to[i]);
    w->kept += n;
    w->done += n;
}

static void
mbuf_give(mbuf_worker *w, unsigned n, unsigned way)
{
    fpheap_pool *pool = w->scene->pool;
    void       **from;
    unsigned     i;

    w->kept -= n;
    w->done += n;
    from = (void **)&w->mbuf[w->kept];
    for (i = 0; i < n; i++) {
        /* Whoever had it left nothing of its own outside of its words. */
        CHECK_EQ(*(uint64_t *)from[i], MADE ^ (uintptr_t)from[i]);
        mbuf_fill((uint64_t *)from[i], ++w->sequence);
    }
    if (way == 0)
        fpheap_free_bulk(w->scene->heap, from, n);
    else if (way == 1)
        for (i = 0; i < n; i++)
            fpheap_pool_put(pool, from[i]);
    else
        fpheap_pool_put_bulk(pool, from, n);
}

/* Exchange an object with another thread. */
static void
mbuf_pass(mbuf_worker *w)
{
    unsigned box  = stress_below(&w->random, STRESS_BOXES);
    void    *mbuf = NULL;

    if (w->kept > 0)
        mbuf = w->mbuf[--w->kept];
    mbuf = stress_swap_box(&w->scene->boxes, box, mbuf);
    if (mbuf != NULL)
        w->mbuf[w->kept++] = (uint64_t *)mbuf;
}

static void *
mbuf_work(void *arg)
{
    mbuf_worker *w = (mbuf_worker *)arg;

    w->sequence = stress_random(&w->random) << 32;
    while (w->done < w->wanted) {
        unsigned n = 1 + stress_below(&w->random, MBUF_BURST);

        if (w->kept + n <= MBUF_KEPT)
            mbuf_take(w, n, stress_below(&w->random, 4) == 0);
        n = stress_below(&w->random, w->kept + 1);
        if (n > 0 && (w->kept > MBUF_KEPT - MBUF_BURST || n % 2 == 0))
            mbuf_give(w, n, stress_below(&w->random, 8));
        mbuf_pass(w);
        if (stress_below(&w->random, 4096) == 0)
            fpheap_flush(w->scene->heap);
    }
    mbuf_give(w, w->kept, 2);
    pthread_barrier_wait(&w->scene->barrier);   /* quiet: checked */
    pthread_barrier_wait(&w->scene->barrier);
    mbuf_take(w, MBUF_PEAK, 1);
    pthread_barrier_wait(&w->scene->barrier);   /* the peak: measured */
    pthread_barrier_wait(&w->scene->barrier);
    mbuf_give(w, MBUF_PEAK, 1);
    return NULL;
}

static void
mbuf_measure(fpheap *heap)
{
    fpheap_stats s    = stress_check(heap);
    double       live = (double)s.live_objects * (double)MBUF;

    CHECK_EQ(s.live_objects, 2 * MBUF_PEAK);
    printf("  %zu live of %zu bytes: region %zu KiB, %.3f x live; objects of "
           "4096 bytes: %.3f x\n", s.live_objects, MBUF, s.region_bytes >> 10,
           (double)s.region_bytes / live, 4096.0 / (double)MBUF);
    CHECK((double)s.region_bytes < 1.2 * live);
}

static void
mbuf_empty_boxes(mbuf_scene *s)
{
    unsigned i;

    for (i = 0; i < STRESS_BOXES; i++) {
        uint64_t *mbuf = (uint64_t *)stress_swap_box(&s->boxes, i, NULL);

        if (mbuf == NULL)
            continue;
        mbuf_fill(mbuf, 7);
        fpheap_pool_put(s->pool, mbuf);
    }
}

static void
packet_buffers_keep_every_byte_from_put_to_get(void **state)
{
    static mbuf_worker w[2];
    mbuf_scene         s;
    stress_pages       pages;
    book               b;
    fpheap_pool_desc   desc  = described("mbuf", MBUF, &b);
    double             begin = stress_seconds();
    pthread_t          thread[2];
    unsigned           i;

    (void)state;
    stress_test();
    memset(&s, 0, sizeof(s));
    memset(w, 0, sizeof(w));
    s.heap         = stress_heap("mbufs", &pages, 2 * FPHEAP_CHUNK);
    desc.align     = 64;
    desc.construct = mbuf_construct;
    s.pool         = create(s.heap, &desc);
    pthread_barrier_init(&s.barrier, NULL, 3);
    for (i = 0; i < 2; i++) {
        w[i].scene  = &s;
        w[i].random = stress_state(i);
        w[i].wanted = stress_work(5000000 / (STRESS_TSAN ? 4 : 1));
        thread[i]   = stress_spawn(mbuf_work, &w[i]);
    }
    pthread_barrier_wait(&s.barrier);
    mbuf_empty_boxes(&s);
    CHECK_EQ(check_pool(s.pool, &b).live_objects, 0);
    stress_check(s.heap);
    printf("  %llu gets and puts in %.1f s, %llu constructed\n",
           (unsigned long long)(w[0].done + w[1].done),
           stress_seconds() - begin, (unsigned long long)b.constructed);
    fpheap_trim(s.heap);
    pthread_barrier_wait(&s.barrier);
    pthread_barrier_wait(&s.barrier);
    mbuf_measure(s.heap);
    check_pool(s.pool, &b);
    pthread_barrier_wait(&s.barrier);
    for (i = 0; i < 2; i++)
        stress_join(thread[i]);
    CHECK_EQ(check_pool(s.pool, &b).live_objects, 0);
    end_pool(s.pool, &b);
    stress_finish(s.heap);
    stress_pages_finish(&pages);
    pthread_barrier_destroy(&s.barrier);
}

/* --- peaks at different times ----------------------------------------------
 *
 * Each of eight types of object has its peak while the others are low: a floor
 * that stays, a rise to the peak, and a fall in random order.  Two threads do
 * one half of it each, and flush when a peak is over: what a thread parks may
 * lie in as many slabs as it is objects, and keeps these from other types.
 */
#define TYPES      8
#define PEAK_BYTES ((size_t)64 << 20)
#define FLOOR      32          /* a 32nd of the peak stays */
#define ROUNDS     (STRESS_TSAN ? 1 : 4)

static const size_t type_sizes[TYPES] = { 192, 2304, 448, 9216, 1088, 320,
                                          4160, 704 };

typedef struct peaks_scene {
    fpheap            *heap;
    fpheap_pool       *pool[TYPES];
    book               b[TYPES];
    pthread_barrier_t  barrier;
    size_t             live;       /* bytes, relaxed */
    size_t             most;
    int                flush;
} peaks_scene;

typedef struct peaks_worker {
    peaks_scene *scene;
    uint64_t     random;
    unsigned     n[TYPES];
    void       **object[TYPES];
} peaks_worker;

static size_t
peak_of(unsigned type)
{
    return PEAK_BYTES / 2 / type_sizes[type];
}

static void
count_live(peaks_scene *s, size_t bytes)
{
    size_t now  = __atomic_add_fetch(&s->live, bytes, __ATOMIC_RELAXED);
    size_t most = __atomic_load_n(&s->most, __ATOMIC_RELAXED);

    while (now > most && (intptr_t)bytes > 0
           && !__atomic_compare_exchange_n(&s->most, &most, now, 1,
                                           __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ;
}

static void
rise(peaks_worker *w, unsigned type, size_t to)
{
    while (w->n[type] < to) {
        unsigned n  = 1 + stress_below(&w->random, 32);
        void   **at = &w->object[type][w->n[type]];

        if (n > to - w->n[type])
            n = (unsigned)(to - w->n[type]);
        CHECK_EQ(fpheap_pool_get_bulk(w->scene->pool[type], at, n), 0);
        w->n[type] += n;
        count_live(w->scene, n * type_sizes[type]);
    }
}

static void
fall(peaks_worker *w, unsigned type, size_t to)
{
    void **object = w->object[type];

    while (w->n[type] > to) {
        unsigned left = (unsigned)(w->n[type] - to);
        unsigned i    = (unsigned)to + stress_below(&w->random, left);

        CHECK_EQ(*(uint64_t *)object[i], MADE ^ (uintptr_t)object[i]);
        fpheap_pool_put(w->scene->pool[type], object[i]);
        object[i] = object[--w->n[type]];
        count_live(w->scene, 0 - type_sizes[type]);
    }
}

static void *
peaks_work(void *arg)
{
    peaks_worker *w = (peaks_worker *)arg;
    unsigned      step;
    unsigned      type;

    for (type = 0; type < TYPES; type++) {
        w->object[type] = (void **)calloc(peak_of(type), sizeof(void *));
        CHECK(w->object[type] != NULL);
        rise(w, type, peak_of(type) / FLOOR);
    }
    for (step = 0; step < ROUNDS * TYPES; step++) {
        type = step % TYPES;
        rise(w, type, peak_of(type));
        pthread_barrier_wait(&w->scene->barrier);
        fall(w, type, peak_of(type) / FLOOR);
        if (w->scene->flush)
            fpheap_flush(w->scene->heap);
        pthread_barrier_wait(&w->scene->barrier);
    }
    for (type = 0; type < TYPES; type++) {
        fall(w, type, 0);
        free(w->object[type]);
    }
    return NULL;
}

/* Returns the most bytes that were ever live. */
static size_t
replay_peaks(peaks_scene *s)
{
    peaks_worker w[2];
    pthread_t    thread[2];
    unsigned     i;

    s->live = 0;
    s->most = 0;
    memset(w, 0, sizeof(w));
    pthread_barrier_init(&s->barrier, NULL, 2);
    for (i = 0; i < 2; i++) {
        w[i].scene  = s;
        w[i].random = stress_state(i + 10);
        thread[i]   = stress_spawn(peaks_work, &w[i]);
    }
    for (i = 0; i < 2; i++)
        stress_join(thread[i]);
    pthread_barrier_destroy(&s->barrier);
    CHECK_EQ(s->live, 0);
    return s->most;
}

static void
make_types(peaks_scene *s, stress_pages *pages, int ahead)
{
    unsigned type;

    memset(s, 0, sizeof(*s));
    s->heap = stress_heap("peaks", pages, 2 * FPHEAP_CHUNK);
    for (type = 0; type < TYPES; type++) {
        char             name[] = { 't', 'y', 'p', 'e',
                                    (char)('0' + type), '\0' };
        fpheap_pool_desc desc = described(name, type_sizes[type],
                                          &s->b[type]);

        desc.align = 64;
        desc.min   = ahead ? 2 * peak_of(type) : 0;
        s->pool[type] = create(s->heap, &desc);
    }
}

static void
end_types(peaks_scene *s, const stress_pages *pages)
{
    unsigned type;

    for (type = 0; type < TYPES; type++) {
        check_pool(s->pool[type], &s->b[type]);
        end_pool(s->pool[type], &s->b[type]);
    }
    stress_finish(s->heap);
    stress_pages_finish(pages);
}

/* On one heap, with its pools made ahead or not.  Returns the most region bytes
 * that the replay had. */
static size_t
replay_on_a_heap(int ahead, int flush, size_t *most)
{
    static peaks_scene s;
    stress_pages       pages;
    fpheap_stats       stats;

    make_types(&s, &pages, ahead);
    s.flush = flush;
    *most = replay_peaks(&s);
    stats = stress_check(s.heap);
    end_types(&s, &pages);
    CHECK_LE(PEAK_BYTES, *most);
    return stats.peak_region_bytes;
}

static void
staggered_peaks_share_the_memory_of_the_highest(void **state)
{
    size_t most;
    size_t shared;
    size_t parked;
    size_t apart;

    (void)state;
    stress_test();
    apart = replay_on_a_heap(1, 1, &most);
    parked = replay_on_a_heap(0, 0, &most);
    shared = replay_on_a_heap(0, 1, &most);
    printf("  %u peaks of %zu MiB, most live %zu KiB; pools of their peaks: "
           "%zu KiB, %.3f x; shared: %zu KiB, %.3f x; if nobody flushes: %zu "
           "KiB, %.3f x\n", TYPES, PEAK_BYTES >> 20, most >> 10, apart >> 10,
           (double)apart / (double)most, shared >> 10,
           (double)shared / (double)most, parked >> 10,
           (double)parked / (double)most);
    CHECK((double)shared <= 1.2 * (double)most);
    CHECK(2 * shared < apart);
}

/* --- a pool's maximum ----------------------------------------------------- */

#define MOST_HELD 400

typedef struct max_scene {
    fpheap      *heap;
    fpheap_pool *pool;
    book         b;
    uint64_t     hands;        /* objects, never less than are out */
    uint64_t     ceiling;      /* the highest maximum there was */
    uint64_t     seen;         /* the most in hands */
    unsigned     running;
} max_scene;

typedef struct max_worker {
    max_scene *scene;
    uint64_t   random;
    uint64_t   wanted;
    uint64_t   refused;
    unsigned   held;
    void      *object[MOST_HELD];
} max_worker;

static void
max_get(max_worker *w)
{
    max_scene *s   = w->scene;
    unsigned   n   = 1 + stress_below(&w->random, 40);
    void     **to  = &w->object[w->held];
    unsigned   got = 0;
    uint64_t   hands;
    uint64_t   seen;

    if (w->held + n > MOST_HELD)
        return;
    errno = 0;
    switch (stress_below(&w->random, 3)) {
    case 0:
        *to = fpheap_pool_get(s->pool);
        got = *to != NULL;
        break;
    case 1:
        errno = -fpheap_pool_get_bulk(s->pool, to, n);
        got   = errno == 0 ? n : 0;
        break;
    default:
        got = fpheap_pool_get_burst(s->pool, to, n);
    }
    if (got == 0) {
        CHECK_EQ(errno, ENOSPC);
        w->refused++;
        return;
    }
    w->held += got;
    hands = __atomic_add_fetch(&s->hands, got, __ATOMIC_SEQ_CST);
    CHECK_LE(hands, s->ceiling);
    seen = __atomic_load_n(&s->seen, __ATOMIC_RELAXED);
    if (hands > seen)
        __atomic_store_n(&s->seen, hands, __ATOMIC_RELAXED);
}

static void
max_put(max_worker *w)
{
    unsigned n = stress_below(&w->random, w->held + 1);
    unsigned i;

    w->held -= n;
    for (i = 0; i < n; i++)
        CHECK_EQ(*(uint64_t *)w->object[w->held + i],
                 MADE ^ (uintptr_t)w->object[w->held + i]);
    __atomic_fetch_sub(&w->scene->hands, n, __ATOMIC_SEQ_CST);
    if (n % 2 == 0)
        fpheap_pool_put_bulk(w->scene->pool, &w->object[w->held], n);
    else
        fpheap_free_bulk(w->scene->heap, &w->object[w->held], n);
}

static void *
max_work(void *arg)
{
    max_worker *w = (max_worker *)arg;
    uint64_t    i;

    for (i = 0; i < w->wanted; i++) {
        max_get(w);
        if (stress_below(&w->random, 2) == 0)
            max_put(w);
        if (stress_below(&w->random, 64) == 0)
            fpheap_flush(w->scene->heap);
        if (stress_below(&w->random, 512) == 0)
            fpheap_trim(w->scene->heap);
        if (stress_below(&w->random, 1024) == 0)
            fpheap_thread_leave(w->scene->heap);
    }
    while (w->held > 0)
        max_put(w);
    __atomic_fetch_sub(&w->scene->running, 1, __ATOMIC_RELEASE);
    return NULL;
}

/* Look all the time; with moves, also change the maximum, and see that once it
 * is lower nothing is claimed beyond what already was. */
static uint64_t
max_watch(max_scene *s, unsigned low, unsigned high, int moves)
{
    uint64_t random = stress_state(50);
    uint64_t looks  = 0;
    uint64_t top    = high;

    while (__atomic_load_n(&s->running, __ATOMIC_ACQUIRE) != 0) {
        fpheap_pool_stats p;

        fpheap_pool_stats_get(s->pool, &p);
        CHECK_LE(p.claimed_objects, top);
        /* While the maximum only goes down, what is claimed only goes down
         * to it. */
        top = p.claimed_objects > p.max ? p.claimed_objects : p.max;
        looks++;
        if (moves && looks % 64 == 0) {
            unsigned max = low + stress_below(&random, high - low + 1);

            CHECK_EQ(fpheap_pool_set_max(s->pool, max), 0);
            if (max > top)
                top = max;
        }
        if (looks % 16 == 0)
            sched_yield();
    }
    return looks;
}

static void
share_a_maximum(unsigned workers, unsigned magazine, unsigned max, int moves)
{
    static max_worker w[MAX_WORKERS];
    static void      *object[5000];
    static max_scene  s;
    pthread_t         thread[MAX_WORKERS];
    stress_pages      pages;
    fpheap_pool_desc  desc;
    uint64_t          refused = 0;
    uint64_t          looks;
    unsigned          i;

    memset(&s, 0, sizeof(s));
    memset(w, 0, sizeof(w));
    s.heap        = stress_heap("maximum", &pages, 0);
    s.running     = workers;
    s.ceiling     = max;
    desc          = described("most", 200, &s.b);
    desc.max      = max;
    desc.magazine = magazine;
    s.pool        = create(s.heap, &desc);
    for (i = 0; i < workers; i++) {
        w[i].scene  = &s;
        w[i].random = stress_state(i + 100);
        w[i].wanted = stress_work(600000 / workers);
        thread[i]   = stress_spawn(max_work, &w[i]);
    }
    looks = max_watch(&s, max / 4, max, moves);
    for (i = 0; i < workers; i++) {
        stress_join(thread[i]);
        refused += w[i].refused;
    }
    /* It may have ended below what is parked. */
    CHECK_EQ(fpheap_pool_set_max(s.pool, max), 0);
    CHECK_EQ(check_pool(s.pool, &s.b).live_objects, 0);
    /* Exactly what others had parked can be had again. */
    CHECK_EQ(fpheap_pool_get_burst(s.pool, object, 5000), max);
    CHECK_EQ(errno, ENOSPC);
    fpheap_pool_put_bulk(s.pool, object, max);
    printf("  %u threads, %u in a magazine: %llu of %u in hands, %llu refused, "
           "%llu looks\n", workers, magazine, (unsigned long long)s.seen, max,
           (unsigned long long)refused, (unsigned long long)looks);
    end_pool(s.pool, &s.b);
    stress_finish(s.heap);
    stress_pages_finish(&pages);
}

static void
never_more_than_max_objects_are_claimed(void **state)
{
    (void)state;
    stress_test();
    share_a_maximum(2, 0, 500, 0);
    share_a_maximum(8, 2, 400, 0);
    share_a_maximum(8, 64, 600, 0);
    share_a_maximum(8, 8, 37, 0);
}

static void
nor_while_max_goes_up_and_down(void **state)
{
    (void)state;
    stress_test();
    share_a_maximum(2, 16, 300, 1);
    share_a_maximum(8, 8, 500, 1);
}

/* --- a heap's limit ------------------------------------------------------- */

#define LIMIT_LOW  (8 * FPHEAP_CHUNK)
#define LIMIT_HIGH (24 * FPHEAP_CHUNK)
#define LIMIT_KEPT 300

typedef struct limit_scene {
    fpheap         *heap;
    stress_pages    pages;
    fpheap_provider provider;  /* that of pages */
    uint64_t        limit;     /* the lower of the last and the next */
    uint64_t        beyond;    /* regions that went beyond it; one per thread
                                  may be on its way when it goes down */
    unsigned        running;
} limit_scene;

typedef struct limit_worker {
    limit_scene *scene;
    uint64_t     random;
    uint64_t     wanted;
    uint64_t     refused;
    void        *object[LIMIT_KEPT];
} limit_worker;

static int
limit_get(void *ctx, size_t bytes, size_t align, int node,
          fpheap_region *region)
{
    limit_scene *s     = (limit_scene *)ctx;
    int          error = s->provider.get(s->provider.ctx, bytes, align, node,
                                         region);
    size_t       now   = __atomic_load_n(&s->pages.bytes, __ATOMIC_SEQ_CST);

    CHECK_EQ(error, 0);
    CHECK_LE(now, LIMIT_HIGH);
    if (now > __atomic_load_n(&s->limit, __ATOMIC_SEQ_CST))
        __atomic_fetch_add(&s->beyond, 1, __ATOMIC_RELAXED);
    return 0;
}

static int
limit_put(void *ctx, const fpheap_region *region)
{
    limit_scene *s = (limit_scene *)ctx;

    return s->provider.put(s->provider.ctx, region);
}

static void *
limit_work(void *arg)
{
    limit_worker *w    = (limit_worker *)arg;
    fpheap       *heap = w->scene->heap;
    uint64_t      i;

    for (i = 0; i < w->wanted; i++) {
        void **slot = &w->object[stress_below(&w->random, LIMIT_KEPT)];
        size_t size = stress_below(&w->random, 40000);

        if (*slot != NULL) {
            fpheap_free(heap, *slot);
            *slot = NULL;
        } else {
            if (stress_below(&w->random, 16) == 0)
                size = stress_below(&w->random, 3 * FPHEAP_CHUNK);
            *slot = fpheap_alloc(heap, size);
            if (*slot == NULL) {
                CHECK_EQ(errno, ENOSPC);
                w->refused++;
                fpheap_trim(heap);
            }
        }
        if (stress_below(&w->random, 256) == 0)
            fpheap_trim(heap);
    }
    fpheap_free_bulk(heap, w->object, LIMIT_KEPT);
    __atomic_fetch_sub(&w->scene->running, 1, __ATOMIC_RELEASE);
    return NULL;
}

/* Go down and up; returns how often. */
static uint64_t
limit_move(limit_scene *s, unsigned workers)
{
    uint64_t random = stress_state(60);
    uint64_t moves  = 0;

    while (__atomic_load_n(&s->running, __ATOMIC_ACQUIRE) != 0) {
        size_t   low = LIMIT_LOW + stress_below(&random, 4 * FPHEAP_CHUNK);
        uint64_t beyond;

        fpheap_set_limit(s->heap, low);
        beyond = __atomic_load_n(&s->beyond, __ATOMIC_RELAXED);
        __atomic_store_n(&s->limit, low, __ATOMIC_SEQ_CST);
        stress_sleep_us(300 + stress_below(&random, 1000));
        beyond = __atomic_load_n(&s->beyond, __ATOMIC_RELAXED) - beyond;
        CHECK_LE(beyond, workers);
        __atomic_store_n(&s->limit, LIMIT_HIGH, __ATOMIC_SEQ_CST);
        fpheap_set_limit(s->heap, LIMIT_HIGH);
        stress_sleep_us(300 + stress_below(&random, 1000));
        moves++;
    }
    return moves;
}

static void
share_a_limit(unsigned workers, int moves)
{
    static limit_worker w[MAX_WORKERS];
    static limit_scene  s;
    pthread_t           thread[MAX_WORKERS];
    fpheap_provider     provider = {.get = limit_get, .put = limit_put,
                                    .ctx = &s};
    fpheap_config       config;
    fpheap_stats        stats;
    uint64_t            refused = 0;
    uint64_t            moved   = 0;
    unsigned            i;

    memset(&s, 0, sizeof(s));
    memset(w, 0, sizeof(w));
    memset(&config, 0, sizeof(config));
    s.provider      = stress_pages_init(&s.pages);
    s.limit         = LIMIT_HIGH;
    s.running       = workers;
    config.provider = &provider;
    config.limit    = LIMIT_HIGH;
    s.heap          = fpheap_create("limit", &config);
    CHECK(s.heap != NULL);
    for (i = 0; i < workers; i++) {
        w[i].scene  = &s;
        w[i].random = stress_state(i + 200);
        w[i].wanted = stress_work(60000 / workers);
        thread[i]   = stress_spawn(limit_work, &w[i]);
    }
    if (moves)
        moved = limit_move(&s, workers);
    for (i = 0; i < workers; i++) {
        stress_join(thread[i]);
        refused += w[i].refused;
    }
    stats = stress_check(s.heap);
    CHECK_LE(stats.peak_region_bytes, LIMIT_HIGH);
    CHECK_LE(s.pages.peak, LIMIT_HIGH);
    printf("  %u threads: peak %zu of %zu KiB, %llu growths, %llu refused, the "
           "limit moved %llu times\n", workers, s.pages.peak >> 10,
           LIMIT_HIGH >> 10, (unsigned long long)stats.growths,
           (unsigned long long)refused, (unsigned long long)moved);
    stress_finish(s.heap);
    stress_pages_finish(&s.pages);
}

static void
the_provider_never_has_more_out_than_the_limit(void **state)
{
    (void)state;
    stress_test();
    share_a_limit(2, 0);
    share_a_limit(8, 0);
}

static void
nor_while_the_limit_goes_up_and_down(void **state)
{
    (void)state;
    stress_test();
    share_a_limit(2, 1);
    share_a_limit(8, 1);
}

/* --- pools that begin and end ----------------------------------------------
 *
 * Two threads make and end pools in four places.  Workers use them while they
 * are there, each under a lock that says so and nothing else, and keep their
 * objects in the caches when they are gone.
 */
#define PLACES       4
#define PLACE_BOXES  4
#define SESSION      400       /* rounds in a worker's life */

typedef struct place {
    pthread_rwlock_t  lock;
    fpheap_pool      *pool;
    int               open;        /* 0 keeps workers from the lock: it may let
                                      a writer wait for ever */
    size_t            size;
    book              b;
    void             *box[PLACE_BOXES];
} place;

typedef struct end_scene {
    fpheap   *heap;
    place     places[PLACES];
    unsigned  running;         /* makers */
    uint64_t  made;
    uint64_t  had_name;        /* creates that met the name */
    uint64_t  busy;            /* destroys that met a thread */
    uint64_t  live;            /* and objects */
    uint64_t  used;            /* objects got */
    uint64_t  lives;           /* of workers */
} end_scene;

typedef struct end_worker {
    end_scene *scene;
    uint64_t   random;
} end_worker;

/* Get some, write to them, and put all but one, which may go into a box. */
static void
use_place(end_worker *w, place *p)
{
    void     *object[64];
    void     *boxed;
    uint64_t  random = stress_random(&w->random);
    unsigned  n = fpheap_pool_get_burst(p->pool, object, 1 + random % 64);
    unsigned  i;

    for (i = 0; i < n; i++) {
        CHECK_EQ(*(uint64_t *)object[i], MADE ^ (uintptr_t)object[i]);
        memset((char *)object[i] + 8, (int)random, p->size - 8);
    }
    __atomic_fetch_add(&w->scene->used, n, __ATOMIC_RELAXED);
    if (n > 0 && random >> 32 & 1) {
        boxed = __atomic_exchange_n(&p->box[random >> 40 & 3], object[n - 1],
                                    __ATOMIC_ACQ_REL);
        object[n - 1] = boxed;
    }
    if (random >> 60 < 4)
        fpheap_free_bulk(w->scene->heap, object, n);
    else if (random >> 60 < 12)
        fpheap_pool_put_bulk(p->pool, object, n);
    else
        for (i = 0; i < n; i++)
            fpheap_pool_put(p->pool, object[i]);
}

/* What a thread does to the rest of the heap. */
static void
use_heap(end_worker *w)
{
    fpheap *heap = w->scene->heap;
    void   *object[20];
    size_t  size = stress_below(&w->random, 5000);

    switch (stress_below(&w->random, 16)) {
    case 0:
        fpheap_flush(heap);
        break;
    case 1:
        fpheap_trim(heap);
        break;
    case 2:
        if (stress_below(&w->random, 8) == 0)
            fpheap_thread_leave(heap);
        break;
    case 3:
        fpheap_free(heap, fpheap_alloc(heap, FPHEAP_CHUNK));
        break;
    default:
        CHECK_EQ(fpheap_alloc_bulk(heap, size, object, 20), 0);
        fpheap_free_bulk(heap, object, 20);
    }
}

static void *
end_session(void *arg)
{
    end_worker *w = (end_worker *)arg;
    unsigned    i;

    for (i = 0; i < SESSION; i++) {
        place *p = &w->scene->places[stress_below(&w->random, PLACES)];

        if (__atomic_load_n(&p->open, __ATOMIC_RELAXED)
            && pthread_rwlock_tryrdlock(&p->lock) == 0) {
            if (p->pool != NULL)
                use_place(w, p);
            pthread_rwlock_unlock(&p->lock);
        }
        use_heap(w);
    }
    return NULL;
}

/* One thread after the other. */
static void *
end_work(void *arg)
{
    end_worker *w = (end_worker *)arg;

    while (__atomic_load_n(&w->scene->running, __ATOMIC_ACQUIRE) != 0) {
        stress_join(stress_spawn(end_session, w));
        __atomic_fetch_add(&w->scene->lives, 1, __ATOMIC_RELAXED);
    }
    return NULL;
}

static void
open_place(end_scene *s, place *p, uint64_t *random)
{
    char             name[FPHEAP_NAME_BYTES];
    int              shared = stress_below(random, 4) == 0;
    fpheap_pool_desc desc;
    fpheap_pool     *pool;

    desc          = described(name, 16 + stress_below(random, 3000), &p->b);
    desc.align    = (size_t)8 << stress_below(random, 7);
    desc.magazine = stress_below(random, 3) == 0
                  ? 0 : 2 + stress_below(random, 30);
    desc.flags    = stress_below(random, 4) * 2;
    if (stress_below(random, 8) == 0)
        desc.size = stress_below(random, FPHEAP_CHUNK / 4) + 16;
    if (stress_below(random, 4) == 0)
        desc.max = 10 + stress_below(random, 500);
    if (stress_below(random, 4) == 0)
        desc.min = 1 + stress_below(random, 10);
    desc.private_bytes = stress_below(random, 300);
    snprintf(name, sizeof(name), shared ? "shared" : "own-%d",
             (int)(p - s->places));
    pool = fpheap_pool_create(s->heap, &desc);
    if (pool == NULL) {
        CHECK(shared);
        CHECK_EQ(errno, EEXIST);
        __atomic_fetch_add(&s->had_name, 1, __ATOMIC_RELAXED);
        return;
    }
    CHECK(fpheap_pool_lookup(s->heap, name) == pool);
    pthread_rwlock_wrlock(&p->lock);
    p->size = desc.size;
    p->pool = pool;
    pthread_rwlock_unlock(&p->lock);
    __atomic_store_n(&p->open, 1, __ATOMIC_RELAXED);
}

/* The pool, which from now on nobody else uses. */
static fpheap_pool *
take_place(place *p)
{
    fpheap_pool *pool;

    __atomic_store_n(&p->open, 0, __ATOMIC_RELAXED);
    pthread_rwlock_wrlock(&p->lock);
    pool    = p->pool;
    p->pool = NULL;
    pthread_rwlock_unlock(&p->lock);
    return pool;
}

static void
close_place(end_scene *s, place *p)
{
    fpheap_pool *pool = take_place(p);
    double       begin = stress_seconds();
    size_t       kept = 0;
    size_t       live = 77;
    unsigned     i;

    if (pool == NULL)
        return;
    for (i = 0; i < PLACE_BOXES; i++)
        kept += p->box[i] != NULL;
    if (kept > 0) {
        CHECK_EQ(fpheap_pool_destroy(pool, &live), -EBUSY);
        CHECK_EQ(live, kept);
        __atomic_fetch_add(&s->live, 1, __ATOMIC_RELAXED);
    }
    for (i = 0; i < PLACE_BOXES; i++) {
        fpheap_pool_put(pool, p->box[i]);
        p->box[i] = NULL;
    }
    for (;;) {
        int error = fpheap_pool_destroy(pool, &live);

        CHECK_EQ(live, 0);
        if (error == 0)
            break;
        CHECK_EQ(error, -EBUSY);
        __atomic_fetch_add(&s->busy, 1, __ATOMIC_RELAXED);
        CHECK(stress_seconds() - begin < 60);
    }
    CHECK_EQ(__atomic_load_n(&p->b.constructed, __ATOMIC_RELAXED),
             __atomic_load_n(&p->b.destructed, __ATOMIC_RELAXED));
    __atomic_fetch_add(&s->made, 1, __ATOMIC_RELAXED);
}

typedef struct maker {
    end_scene *scene;
    place     *places;         /* two of them */
    uint64_t   random;
    uint64_t   wanted;
} maker;

static void *
make_and_end(void *arg)
{
    maker   *m = (maker *)arg;
    uint64_t i;

    for (i = 0; i < m->wanted; i++) {
        place *p = &m->places[stress_below(&m->random, 2)];

        if (stress_below(&m->random, 16) == 0)
            close_place(m->scene, p);
        close_place(m->scene, p);
        open_place(m->scene, p, &m->random);
        stress_sleep_us(stress_below(&m->random, 200));
    }
    close_place(m->scene, &m->places[0]);
    close_place(m->scene, &m->places[1]);
    __atomic_fetch_sub(&m->scene->running, 1, __ATOMIC_RELEASE);
    return NULL;
}

static void
begin_and_end_beside(unsigned workers)
{
    static end_scene s;
    end_worker       w[MAX_WORKERS];
    maker            m[2];
    pthread_t        thread[MAX_WORKERS + 2];
    stress_pages     pages;
    double           begin = stress_seconds();
    unsigned         i;

    memset(&s, 0, sizeof(s));
    s.heap    = stress_heap("ends", &pages, 0);
    s.running = 2;
    for (i = 0; i < PLACES; i++)
        pthread_rwlock_init(&s.places[i].lock, NULL);
    for (i = 0; i < 2; i++) {
        m[i].scene  = &s;
        m[i].places = &s.places[2 * i];
        m[i].random = stress_state(i + 300);
        m[i].wanted = stress_work(6000 / workers);
        thread[i]   = stress_spawn(make_and_end, &m[i]);
    }
    for (i = 0; i < workers; i++) {
        w[i].scene    = &s;
        w[i].random   = stress_state(i + 310);
        thread[i + 2] = stress_spawn(end_work, &w[i]);
    }
    for (i = 0; i < workers + 2; i++)
        stress_join(thread[i]);
    printf("  %u threads in %llu lives: %llu pools, %llu objects, %llu had the "
           "name, %llu with live objects, %llu tried again, %.1f s\n", workers,
           (unsigned long long)s.lives, (unsigned long long)s.made,
           (unsigned long long)s.used, (unsigned long long)s.had_name,
           (unsigned long long)s.live, (unsigned long long)s.busy,
           stress_seconds() - begin);
    stress_finish(s.heap);
    stress_pages_finish(&pages);
    for (i = 0; i < PLACES; i++)
        pthread_rwlock_destroy(&s.places[i].lock);
}

static void
a_pool_ends_while_others_have_its_objects_in_their_caches(void **state)
{
    (void)state;
    stress_test();
    begin_and_end_beside(2);
    begin_and_end_beside(6);
}

/* --- one name ------------------------------------------------------------- */

#define NAMERS 4

typedef struct name_scene {
    fpheap            *heap;
    pthread_barrier_t  barrier;
    fpheap_pool       *pool[NAMERS];
    book               b[NAMERS];
    uint64_t           rounds;
    uint64_t           without;    /* in which nobody had the name */
} name_scene;

typedef struct namer {
    name_scene *scene;
    unsigned    number;
    uint64_t    random;
} namer;

static void
count_winners(name_scene *s)
{
    fpheap_pool *winner = NULL;
    unsigned     winners = 0;
    unsigned     i;

    for (i = 0; i < NAMERS; i++) {
        if (s->pool[i] == NULL)
            continue;
        winner = s->pool[i];
        winners++;
    }
    CHECK_LE(winners, 1);
    CHECK(fpheap_pool_lookup(s->heap, "one") == winner);
    s->without += winners == 0;
}

static void *
name_work(void *arg)
{
    namer      *n = (namer *)arg;
    name_scene *s = n->scene;
    uint64_t    round;

    for (round = 0; round < s->rounds; round++) {
        book            *b    = &s->b[n->number];
        fpheap_pool_desc desc = described("one", 16 + stress_below(&n->random,
                                                                   4000), b);
        void            *object;

        pthread_barrier_wait(&s->barrier);
        s->pool[n->number] = fpheap_pool_create(s->heap, &desc);
        if (s->pool[n->number] == NULL)
            CHECK_EQ(errno, EEXIST);
        pthread_barrier_wait(&s->barrier);
        if (n->number == 0)
            count_winners(s);
        pthread_barrier_wait(&s->barrier);
        if (s->pool[n->number] == NULL)
            continue;
        object = fpheap_pool_get(s->pool[n->number]);
        CHECK(object != NULL);
        memset((char *)object + 8, 1, desc.size - 8);
        fpheap_pool_put(s->pool[n->number], object);
        end_pool(s->pool[n->number], b);
    }
    return NULL;
}

static void
one_name_has_one_pool_whoever_asks_at_the_same_time(void **state)
{
    static name_scene s;
    namer             n[NAMERS];
    pthread_t         thread[NAMERS];
    stress_pages      pages;
    unsigned          i;

    (void)state;
    stress_test();
    memset(&s, 0, sizeof(s));
    s.heap   = stress_heap("names", &pages, 0);
    s.rounds = stress_work(20000);
    pthread_barrier_init(&s.barrier, NULL, NAMERS);
    for (i = 0; i < NAMERS; i++) {
        n[i].scene  = &s;
        n[i].number = i;
        n[i].random = stress_state(i + 400);
        thread[i]   = stress_spawn(name_work, &n[i]);
    }
    for (i = 0; i < NAMERS; i++)
        stress_join(thread[i]);
    printf("  %llu rounds of %u, %llu without a pool\n",
           (unsigned long long)s.rounds, NAMERS,
           (unsigned long long)s.without);
    stress_finish(s.heap);
    stress_pages_finish(&pages);
    pthread_barrier_destroy(&s.barrier);
}

/* --- indices ---------------------------------------------------------------
 *
 * Threads grow a pool at the same time, and give back what they got.
 */
#define INDEXERS 4
#define INDICES  400000

typedef struct index_scene {
    fpheap_pool      *pool;
    pthread_barrier_t barrier;
    unsigned char     given[INDICES];
} index_scene;

static int
index_construct(fpheap_pool *pool, void *arg, void *object, size_t nth)
{
    index_scene *s = (index_scene *)arg;

    CHECK(pool == __atomic_load_n(&s->pool, __ATOMIC_RELAXED));
    CHECK_LE(nth, INDICES - 1);
    CHECK_EQ(__atomic_fetch_add(&s->given[nth], 1, __ATOMIC_RELAXED), 0);
    *(size_t *)object = nth;
    return 0;
}

static void *
index_work(void *arg)
{
    index_scene *s = (index_scene *)arg;
    void        *taken[32];
    unsigned     round, i, n;
    size_t       kept = 0;
    void        *keep[2000];

    pthread_barrier_wait(&s->barrier);
    for (round = 0; round < 100; round++) {
        n = fpheap_pool_get_burst(s->pool, taken, 32);
        CHECK_EQ(n, 32);
        for (i = 0; i < n; i++)
            CHECK_EQ(s->given[*(size_t *)taken[i]], 1);
        while (n > 12)
            keep[kept++] = taken[--n];
        fpheap_pool_put_bulk(s->pool, taken, n);
    }
    pthread_barrier_wait(&s->barrier);
    fpheap_pool_put_bulk(s->pool, keep, (unsigned)kept);
    return NULL;
}

static void
each_index_is_given_once_whichever_threads_grow_the_pool(void **state)
{
    static index_scene s;
    stress_pages       pages;
    fpheap            *heap;
    fpheap_pool_desc   desc;
    fpheap_pool_stats  stats;
    pthread_t          thread[INDEXERS];
    unsigned           i;

    (void)state;
    stress_test();
    memset(&desc, 0, sizeof(desc));
    desc.name          = "indexed";
    desc.size          = 2304;
    desc.flags         = FPHEAP_TYPE_STABLE;
    desc.arg           = &s;
    desc.construct_nth = index_construct;
    desc.magazine      = 8;
    heap = stress_heap("indices", &pages, 0);
    __atomic_store_n(&s.pool, create(heap, &desc), __ATOMIC_RELAXED);
    pthread_barrier_init(&s.barrier, NULL, INDEXERS);
    for (i = 0; i < INDEXERS; i++)
        thread[i] = stress_spawn(index_work, &s);
    for (i = 0; i < INDEXERS; i++)
        stress_join(thread[i]);
    fpheap_pool_stats_get(s.pool, &stats);
    CHECK_LE(INDEXERS * 2000, stats.objects);
    for (i = 0; i < INDICES; i++)
        CHECK_EQ(s.given[i], i < stats.objects);
    printf("  %zu objects of %u threads\n", stats.objects, INDEXERS);
    CHECK_EQ(fpheap_pool_destroy(s.pool, NULL), 0);
    stress_finish(heap);
    stress_pages_finish(&pages);
    pthread_barrier_destroy(&s.barrier);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packet_buffers_keep_every_byte_from_put_to_get),
        cmocka_unit_test(never_more_than_max_objects_are_claimed),
        cmocka_unit_test(nor_while_max_goes_up_and_down),
        cmocka_unit_test(the_provider_never_has_more_out_than_the_limit),
        cmocka_unit_test(nor_while_the_limit_goes_up_and_down),
        cmocka_unit_test(
            a_pool_ends_while_others_have_its_objects_in_their_caches),
        cmocka_unit_test(one_name_has_one_pool_whoever_asks_at_the_same_time),
        cmocka_unit_test(
            each_index_is_given_once_whichever_threads_grow_the_pool),
        cmocka_unit_test(staggered_peaks_share_the_memory_of_the_highest),
    };

    stress_program("stress_pools");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
