/* stress_provider.c - many threads in need of memory, and a provider that fails
 * SPDX-License-Identifier: MIT OR Unlicense
 *
 *   - threads that need memory at the same moment cause as much growth as they
 *     need together, not one growth each
 *   - a provider that fails at random, gives regions that cannot be used, and
 *     refuses to take regions back, costs failed calls and nothing else:
 *     outputs are untouched, errors are the documented ones, every region is
 *     accounted for and handed back
 *   - a slow provider delays only calls that need new memory, and those for
 *     FPHEAP_GROWTH_WAIT_MS at most
 *   - a provider may use the heap it serves while others use it
 *   - a watcher is told of each region once each way, whatever threads do at the
 *     same time, and a walk shows none that it was not told of
 */
#ifndef FPHEAP_CHUNK_SHIFT
#  define FPHEAP_CHUNK_SHIFT 18
#endif
#ifndef FPHEAP_MAGAZINE
#  define FPHEAP_MAGAZINE 8
#endif
#ifndef FPHEAP_GROWTH_WAIT_MS
#  define FPHEAP_GROWTH_WAIT_MS 50
#endif
#define FPHEAP_IMPLEMENTATION
#include "fpheap.h"
#include "stress_util.h"

#define CROWD    8
#define REGIONS  4096
#define TRIES    5      /* a busy machine spoils some, a defect all of them */

/* --- a provider that can be told to behave badly -------------------------- */

typedef struct bad {
    fpheap_provider inner;
    pthread_mutex_t lock;
    uint64_t        random;
    unsigned        fail_get;       /* of 256 calls, so many fail */
    unsigned        spoil_get;      /* so many give what cannot be used */
    unsigned        fail_put;
    unsigned        delay_us;
    unsigned        closed;         /* nothing is given at all */
    unsigned        asks;           /* calls of get, all of them */
    unsigned        failed;
    unsigned        spoiled;
    unsigned        refused;
    unsigned        given;
    unsigned        outstanding;
    fpheap_region   region[REGIONS];
    size_t          whole[REGIONS]; /* its length before it was spoiled */
    void           *begin[REGIONS];
    unsigned char   spoilt[REGIONS];
    /* the watcher's: at the slots of region[] */
    unsigned        fail_come;
    unsigned        fail_leave;
    unsigned        came;
    unsigned        left;
    unsigned        unwanted;
    unsigned        kept;
    unsigned        known;          /* regions */
    unsigned char   told[REGIONS];
} bad;

static unsigned
bad_slot(const bad *b, const void *base)
{
    unsigned i;

    for (i = 0; i < REGIONS; i++)
        if (b->region[i].base == base)
            return i;
    stress_fail(__FILE__, __LINE__, "a region that the provider does not know");
}

/* Too short, so misaligned that no page is left, or read-only. */
static void
bad_spoil(bad *b, fpheap_region *region)
{
    switch (stress_below(&b->random, 3)) {
    case 0:
        region->bytes = stress_below(&b->random, FPHEAP_PAGE - 1) + 1;
        break;
    case 1:
        region->base  = (char *)region->base + 4096;
        region->bytes = FPHEAP_PAGE;
        break;
    default:
        CHECK_EQ(mprotect(region->base, region->bytes, PROT_READ), 0);
        break;
    }
    b->spoiled++;
}

/* The fate of this call: 0, an error, or 1 for a spoiled region. */
static int
bad_fate(bad *b)
{
    unsigned chance = stress_below(&b->random, 256);

    b->asks++;
    if (b->closed || chance < b->fail_get) {
        b->failed++;
        return -ENOMEM;
    }
    return chance < b->fail_get + b->spoil_get;
}

static int
bad_get(void *ctx, size_t bytes, size_t align, int node, fpheap_region *region)
{
    bad     *b = (bad *)ctx;
    unsigned at;
    int      fate;
    int      error;

    pthread_mutex_lock(&b->lock);
    fate = bad_fate(b);
    pthread_mutex_unlock(&b->lock);
    if (b->delay_us > 0)
        stress_sleep_us(b->delay_us);
    if (fate < 0)
        return fate;
    error = b->inner.get(b->inner.ctx, bytes, align, node, region);
    if (error != 0)
        return error;
    pthread_mutex_lock(&b->lock);
    at = bad_slot(b, NULL);
    b->begin[at] = region->base;
    b->whole[at] = region->bytes;
    b->spoilt[at] = fate > 0;
    if (fate > 0)
        bad_spoil(b, region);
    b->region[at] = *region;
    b->given++;
    b->outstanding++;
    pthread_mutex_unlock(&b->lock);
    return 0;
}

static int
bad_put(void *ctx, const fpheap_region *region)
{
    bad          *b = (bad *)ctx;
    fpheap_region whole;
    unsigned      at;

    pthread_mutex_lock(&b->lock);
    at = bad_slot(b, region->base);
    CHECK_EQ(region->bytes, b->region[at].bytes);
    CHECK(region->cookie == b->region[at].cookie);
    /* One that the heap could not use is handed back once: take it. */
    if (!b->spoilt[at] && stress_below(&b->random, 256) < b->fail_put) {
        b->refused++;
        pthread_mutex_unlock(&b->lock);
        return -EAGAIN;
    }
    whole       = *region;
    whole.base  = b->begin[at];
    whole.bytes = b->whole[at];
    memset(&b->region[at], 0, sizeof(b->region[at]));
    b->outstanding--;
    pthread_mutex_unlock(&b->lock);
    CHECK_EQ(b->inner.put(b->inner.ctx, &whole), 0);
    return 0;
}

static int
bad_watch(void *ctx, const fpheap_region *region, int leaving)
{
    bad     *b = (bad *)ctx;
    unsigned at;
    int      rc = 0;

    pthread_mutex_lock(&b->lock);
    at = bad_slot(b, region->base);
    CHECK_EQ(region->bytes, b->region[at].bytes);
    CHECK_EQ(b->told[at], leaving);
    CHECK(!b->spoilt[at]);
    if (stress_below(&b->random, 256)
        < (leaving ? b->fail_leave : b->fail_come)) {
        *(leaving ? &b->kept : &b->unwanted) += 1;
        b->spoilt[at] = !leaving;   /* the next put takes it */
        rc = -EPERM;
    } else {
        *(leaving ? &b->left : &b->came) += 1;
        b->told[at] = !leaving;
        b->known += leaving ? -1u : 1u;
    }
    pthread_mutex_unlock(&b->lock);
    return rc;
}

static void
bad_knows(bad *b, const fpheap_region *region)
{
    unsigned at;

    pthread_mutex_lock(&b->lock);
    at = bad_slot(b, region->base);
    CHECK_EQ(region->bytes, b->region[at].bytes);
    CHECK(b->told[at]);
    pthread_mutex_unlock(&b->lock);
}

/* What a walk shows is there to its end; and its watcher was told of it, if it
 * has one. */
static int
show(void *watched, const fpheap_region *region)
{
    unsigned char resident[FPHEAP_PAGE / 4096];

    if (watched != NULL)
        bad_knows((bad *)watched, region);
    CHECK_EQ(mincore((char *)region->base + region->bytes - FPHEAP_PAGE,
                     FPHEAP_PAGE, resident), 0);
    return 0;
}

static fpheap_provider
bad_init(bad *b)
{
    fpheap_provider provider = {.get = bad_get, .put = bad_put, .ctx = b};

    memset(b, 0, sizeof(*b));
    pthread_mutex_init(&b->lock, NULL);
    b->random = stress_state(77);
    CHECK_EQ(fpheap_provider_mmap(&b->inner, FPHEAP_NO_THP), 0);
    return provider;
}

static fpheap *
bad_heap(bad *b, size_t growth_max)
{
    fpheap_provider provider = bad_init(b);
    fpheap_config   config;
    fpheap         *heap;

    memset(&config, 0, sizeof(config));
    config.provider   = &provider;
    config.growth_max = growth_max;
    config.watch      = bad_watch;
    config.watch_ctx  = b;
    heap = fpheap_create("bad", &config);
    CHECK(heap != NULL);
    return heap;
}

static void
bad_finish(bad *b, fpheap *heap)
{
    b->fail_put = b->fail_leave = 0;
    stress_finish(heap);
    CHECK_EQ(b->outstanding, 0);
    CHECK_EQ(b->known, 0);
    pthread_mutex_destroy(&b->lock);
}

/* --- growth at the same moment -------------------------------------------- */

#define LARGE (FPH_CLASS_MAX + FPHEAP_PAGE)     /* no magazine has these */
#define FULL  65536

typedef struct needy {
    fpheap            *heap;
    size_t             size;
    pthread_barrier_t *start;
    void              *object;
} needy;

static void *
need(void *arg)
{
    needy *n = (needy *)arg;

    pthread_barrier_wait(n->start);
    n->object = fpheap_alloc(n->heap, n->size);
    CHECK(n->object != NULL);
    stress_own(n->heap, n->object, stress_stamp(1, n->size));
    return NULL;
}

/* Allocate all that fits without the provider. */
static unsigned
fill(fpheap *heap, bad *b, size_t size, void **objects)
{
    unsigned n = 0;

    b->closed = 1;
    while (n < FULL && (objects[n] = fpheap_alloc(heap, size)) != NULL)
        n++;
    CHECK(n < FULL);
    b->closed = 0;
    return n;
}

/* How many regions CROWD threads obtained together, each in need of one object
 * of which a chunk holds `per_chunk`. */
static unsigned
grow_together(size_t size, unsigned delay_us)
{
    pthread_barrier_t start;
    static bad        b;
    static void      *full[FULL];
    fpheap           *heap = bad_heap(&b, FPHEAP_CHUNK);
    unsigned          n    = fill(heap, &b, size, full);
    unsigned          before;
    unsigned          grown;
    needy             needs[CROWD];
    pthread_t         thread[CROWD];
    unsigned          i;

    before     = b.given;
    b.delay_us = delay_us;
    pthread_barrier_init(&start, NULL, CROWD);
    for (i = 0; i < CROWD; i++) {
        needs[i].heap  = heap;
        needs[i].size  = size;
        needs[i].start = &start;
        thread[i] = stress_spawn(need, &needs[i]);
    }
    for (i = 0; i < CROWD; i++)
        stress_join(thread[i]);
    grown = b.given - before;
    stress_check(heap);
    b.delay_us = 0;
    for (i = 0; i < CROWD; i++) {
        stress_disown(heap, needs[i].object, stress_stamp(1, size));
        fpheap_free(heap, needs[i].object);
    }
    fpheap_free_bulk(heap, full, n);
    pthread_barrier_destroy(&start);
    bad_finish(&b, heap);
    return grown;
}

/* The fewest in several tries: a thread that lost its processor in the provider
 * for FPHEAP_GROWTH_WAIT_MS is waited for no longer. */
static unsigned
fewest_regions(size_t size, unsigned delay_us, unsigned enough)
{
    unsigned fewest = grow_together(size, delay_us);
    unsigned i;

    for (i = 1; i < TRIES && fewest > enough; i++) {
        unsigned grown = grow_together(size, delay_us);

        if (grown < fewest)
            fewest = grown;
    }
    return fewest;
}

static void
threads_that_need_memory_at_once_grow_the_heap_together(void **state)
{
    unsigned per_chunk = (unsigned)(FPHEAP_CHUNK / LARGE);
    unsigned needed    = (CROWD + per_chunk - 1) / per_chunk;
    uint64_t rounds    = stress_work(60);
    unsigned most_large = 0;
    unsigned most_small = 0;
    uint64_t r;

    (void)state;
    stress_test();
    for (r = 0; r < rounds; r++) {
        unsigned delay = r % 3 == 0 ? 5000 : r % 3 == 1 ? 500 : 0;
        /* One more where a thread looks just before a growth is published. */
        unsigned large = fewest_regions(LARGE, delay, needed + 1);
        unsigned small = fewest_regions(64, delay, 2);

        if (large > most_large)
            most_large = large;
        if (small > most_small)
            most_small = small;
    }
    printf("  %llu rounds: %u threads with an object of %zu bytes each "
           "obtained %u regions at most (%u needed), with one of 64 bytes %u "
           "(1)\n",
           (unsigned long long)rounds, CROWD, (size_t)LARGE, most_large, needed,
           most_small);
    CHECK_LE(most_large, needed + 1);
    CHECK_LE(most_small, 2);
}

/* --- a provider that fails at random -------------------------------------- */

#define HELD 128

typedef struct user {
    fpheap  *heap;
    bad     *provider;
    uint64_t owner;
    uint64_t random;
    uint64_t wanted;
    uint64_t refused;       /* calls that failed */
    void    *held[HELD];
} user;

static void
check_error(int error)
{
    if (error != ENOMEM && error != EFAULT && error != EPERM)
        stress_fail_values(__FILE__, __LINE__, "an error of growth", error, 0);
}

static size_t
random_size(uint64_t *random)
{
    unsigned kind = stress_below(random, 16);

    if (kind < 8)
        return stress_below(random, 2049);
    if (kind < 15)
        return stress_below(random, FPHEAP_CHUNK / 2);
    return stress_below(random, 4 * FPHEAP_CHUNK);
}

static void
give(user *u, void *object)
{
    uint64_t stamp = stress_stamp_of(u->heap, object);

    CHECK_EQ(stamp >> 48, u->owner);
    stress_disown(u->heap, object, stamp);
    fpheap_free(u->heap, object);
}

static void
turn_one(user *u)
{
    void **held = &u->held[stress_below(&u->random, HELD)];
    size_t size = random_size(&u->random);

    if (*held != NULL) {
        give(u, *held);
        *held = NULL;
        return;
    }
    errno = 0;
    *held = stress_below(&u->random, 4) == 0
          ? fpheap_aligned_alloc(u->heap, FPHEAP_PAGE, size)
          : fpheap_alloc(u->heap, size);
    if (*held == NULL) {
        check_error(errno);
        u->refused++;
        return;
    }
    stress_own(u->heap, *held, stress_stamp(u->owner, size));
}

static void
turn_bulk(user *u)
{
    void    *objects[100];
    unsigned n    = 1 + stress_below(&u->random, STRESS_LEN(objects));
    size_t   size = stress_below(&u->random, FPHEAP_PAGE);
    unsigned got  = n;
    int      all  = stress_below(&u->random, 2) == 0;
    int      error;
    unsigned i;

    for (i = 0; i < n; i++)
        objects[i] = u;
    if (all) {
        error = fpheap_alloc_bulk(u->heap, size, objects, n);
        got   = error == 0 ? n : 0;
    } else {
        errno = 0;
        got   = fpheap_alloc_burst(u->heap, size, objects, n);
        error = -errno;
    }
    if (got < n) {
        check_error(-error);
        u->refused++;
    }
    for (i = got; i < n; i++)
        CHECK(objects[i] == u);
    for (i = 0; i < got; i++)
        stress_own(u->heap, objects[i], stress_stamp(u->owner, size));
    for (i = 0; i < got; i++)
        stress_disown(u->heap, objects[i], stress_stamp(u->owner, size));
    fpheap_free_bulk(u->heap, objects, got);
}

/* A realloc that fails leaves the object as it was. */
static void
turn_realloc(user *u)
{
    void   **held = &u->held[stress_below(&u->random, HELD)];
    size_t   size = random_size(&u->random);
    uint64_t stamp;
    void    *moved;

    if (*held == NULL)
        return;
    stamp = stress_stamp_of(u->heap, *held);
    stress_disown(u->heap, *held, stamp);
    errno = 0;
    moved = fpheap_realloc(u->heap, *held, size);
    if (moved == NULL) {
        check_error(errno);
        u->refused++;
        stress_own(u->heap, *held, stamp);
        return;
    }
    *held = moved;
    stress_own(u->heap, moved, stress_stamp(u->owner, size));
}

static void
turn_memory(user *u)
{
    int error;

    switch (stress_below(&u->random, 5)) {
    case 0:
        error = fpheap_reserve(u->heap,
                               stress_below(&u->random, 16 * FPHEAP_CHUNK), 0);
        if (error != 0) {
            check_error(-error);
            u->refused++;
        }
        break;
    case 1:
        fpheap_thread_leave(u->heap);
        break;
    case 2:
        CHECK_EQ(fpheap_region_walk(u->heap, show, u->provider), 0);
        break;
    default:
        fpheap_trim(u->heap);
        break;
    }
}

static void *
suffer(void *arg)
{
    user    *u = (user *)arg;
    uint64_t n;
    unsigned i;

    for (n = 0; n < u->wanted; n++) {
        unsigned kind = stress_below(&u->random, 256);

        if (kind < 150)
            turn_one(u);
        else if (kind < 200)
            turn_bulk(u);
        else if (kind < 246)
            turn_realloc(u);
        else
            turn_memory(u);
    }
    for (i = 0; i < HELD; i++)
        if (u->held[i] != NULL)
            give(u, u->held[i]);
    return NULL;
}

static void
fail_at_random(unsigned threads, unsigned fail, unsigned spoil, unsigned refuse,
               unsigned watch, uint64_t operations)
{
    static bad   b;
    static user  users[CROWD];
    fpheap      *heap = bad_heap(&b, 8 * FPHEAP_CHUNK);
    pthread_t    thread[CROWD];
    double       begin   = stress_seconds();
    uint64_t     refused = 0;
    fpheap_stats s;
    unsigned     i;

    memset(users, 0, sizeof(users));
    b.fail_get  = fail;
    b.spoil_get = spoil;
    b.fail_put  = refuse;
    b.fail_come = b.fail_leave = watch;
    for (i = 0; i < threads; i++) {
        users[i].heap   = heap;
        users[i].provider = &b;
        users[i].owner  = i + 1;
        users[i].random = stress_state(i);
        users[i].wanted = stress_work(operations / threads);
        thread[i] = stress_spawn(suffer, &users[i]);
    }
    for (i = 0; i < threads; i++) {
        stress_join(thread[i]);
        refused += users[i].refused;
    }
    b.fail_get = b.spoil_get = b.fail_come = 0;
    s = stress_check(heap);
    CHECK_EQ(s.live_objects, 0);
    CHECK_EQ(s.regions, b.outstanding);
    CHECK_EQ(s.growths - s.releases, s.regions);
    printf("  %u threads, %u+%u of 256 fail, %u not taken back: %u regions "
           "given, %u spoiled, %u refused; %llu calls failed, in %.1f s\n",
           threads, fail, spoil, refuse, b.given, b.spoiled, b.refused,
           (unsigned long long)refused, stress_seconds() - begin);
    printf("  the watcher: %u came, %u left, %u refused, %u kept\n", b.came,
           b.left, b.unwanted, b.kept);
    CHECK(b.left > 0);
    CHECK_EQ(b.came - b.left, b.known);
    if (watch > 0)
        CHECK(b.unwanted > 0 && b.kept > 0);
    if (fail > 0)
        CHECK(b.failed > 0);
    if (spoil > 0)
        CHECK(b.spoiled > 0);
    bad_finish(&b, heap);
}

static void
a_provider_that_fails_at_random_costs_failed_calls_only(void **state)
{
    (void)state;
    stress_test();
    fail_at_random(4, 128, 0, 0, 0, 400000);
    fail_at_random(4, 0, 96, 0, 0, 400000);
    fail_at_random(CROWD, 64, 64, 96, 0, 400000);
    fail_at_random(2, 250, 3, 128, 0, 200000);
}

static void
a_watcher_is_told_once_each_way_whatever_threads_do(void **state)
{
    (void)state;
    stress_test();
    fail_at_random(4, 0, 0, 0, 96, 200000);
    fail_at_random(CROWD, 32, 32, 96, 64, 200000);
}

/* --- a provider that takes long ------------------------------------------- */

typedef struct slow {
    stress_pages pages;
    unsigned     armed;         /* the next call waits */
    unsigned     inside;
    unsigned     release;
} slow;

static int
slow_get(void *ctx, size_t bytes, size_t align, int node, fpheap_region *region)
{
    slow *s = (slow *)ctx;

    if (__atomic_exchange_n(&s->armed, 0, __ATOMIC_ACQ_REL)) {
        __atomic_store_n(&s->inside, 1, __ATOMIC_RELEASE);
        while (!__atomic_load_n(&s->release, __ATOMIC_ACQUIRE))
            stress_sleep_us(100);
    }
    return stress_pages_get(&s->pages, bytes, align, node, region);
}

static int
slow_put(void *ctx, const fpheap_region *region)
{
    return stress_pages_put(&((slow *)ctx)->pages, region);
}

static void *
need_large(void *arg)
{
    fpheap *heap = (fpheap *)arg;
    void   *object = fpheap_alloc(heap, 16 * FPHEAP_CHUNK);

    CHECK(object != NULL);
    fpheap_free(heap, object);
    return NULL;
}

/* Seconds that hits and a trim take while a thread hangs in the provider, and
 * those of an object that needs new memory. */
static void
beside_a_hang(double *hit, double *fresh)
{
    slow            s;
    fpheap_provider provider = {.get = slow_get, .put = slow_put, .ctx = &s};
    fpheap_config   config   = {.provider = &provider};
    fpheap         *heap;
    pthread_t       stuck;
    double          begin;
    unsigned        i;

    memset(&s, 0, sizeof(s));
    stress_pages_init(&s.pages);
    heap = fpheap_create("slow", &config);
    CHECK(heap != NULL);
    CHECK_EQ(fpheap_reserve(heap, 8 * FPHEAP_CHUNK, 0), 0);
    s.armed = 1;
    stuck = stress_spawn(need_large, heap);
    while (!__atomic_load_n(&s.inside, __ATOMIC_ACQUIRE))
        stress_sleep_us(100);
    begin = stress_seconds();
    for (i = 0; i < 100000; i++)
        fpheap_free(heap, fpheap_alloc(heap, i % 1024));
    fpheap_flush(heap);
    fpheap_trim(heap);
    *hit  = stress_seconds() - begin;
    begin = stress_seconds();
    need_large(heap);
    *fresh = stress_seconds() - begin;
    __atomic_store_n(&s.release, 1, __ATOMIC_RELEASE);
    stress_join(stuck);
    stress_finish(heap);
    stress_pages_finish(&s.pages);
}

static void
a_provider_that_hangs_delays_those_who_need_memory_and_for_a_while(void **state)
{
    const double hit_limit     = 1.0 * STRESS_SLOWDOWN;
    const double fresh_limit   = hit_limit + FPHEAP_GROWTH_WAIT_MS * 1e-3;
    double       longest_hit   = 0;
    double       longest_fresh = 0;
    unsigned     round;

    (void)state;
    stress_test();
    for (round = 0; round < 5; round++) {
        unsigned i = 0;
        double   hit;
        double   fresh;

        do
            beside_a_hang(&hit, &fresh);
        while ((hit >= hit_limit || fresh >= fresh_limit) && ++i < TRIES);
        if (hit > longest_hit)
            longest_hit = hit;
        if (fresh > longest_fresh)
            longest_fresh = fresh;
    }
    printf("  while a thread hung in the provider: 100000 pairs and a trim "
           "took %.1f ms at most, new memory %.1f ms "
           "(FPHEAP_GROWTH_WAIT_MS %d)\n",
           longest_hit * 1e3, longest_fresh * 1e3, FPHEAP_GROWTH_WAIT_MS);
    CHECK(longest_hit < hit_limit);
    CHECK(longest_fresh < fresh_limit);
}

/* --- a provider that uses the heap ---------------------------------------- */

typedef struct recursive {
    stress_pages pages;
    fpheap      *heap;
    uint64_t     served;
    uint64_t     refused;
} recursive;

static void
use_from_inside(recursive *r, size_t size)
{
    void *object;

    errno  = 0;
    object = fpheap_alloc(r->heap, size);
    if (object == NULL) {
        CHECK_EQ(errno, EDEADLK);
        __atomic_fetch_add(&r->refused, 1, __ATOMIC_RELAXED);
        return;
    }
    stress_own(r->heap, object, stress_stamp(99, size));
    stress_disown(r->heap, object, stress_stamp(99, size));
    fpheap_free(r->heap, object);
    __atomic_fetch_add(&r->served, 1, __ATOMIC_RELAXED);
}

static int
recursive_get(void *ctx, size_t bytes, size_t align, int node,
              fpheap_region *region)
{
    recursive *r = (recursive *)ctx;

    if (r->heap != NULL) {
        use_from_inside(r, 100);
        use_from_inside(r, 64 * FPHEAP_CHUNK);
    }
    return stress_pages_get(&r->pages, bytes, align, node, region);
}

static int
recursive_put(void *ctx, const fpheap_region *region)
{
    return stress_pages_put(&((recursive *)ctx)->pages, region);
}

static void
a_provider_uses_the_heap_that_it_serves(void **state)
{
    recursive       r;
    fpheap_provider provider = {.get = recursive_get, .put = recursive_put,
                                .ctx = &r};
    fpheap_config   config   = {.provider = &provider};
    static user     users[4];
    pthread_t       thread[4];
    fpheap         *heap;
    unsigned        i;

    (void)state;
    stress_test();
    memset(&r, 0, sizeof(r));
    memset(users, 0, sizeof(users));
    stress_pages_init(&r.pages);
    config.growth_max = 2 * FPHEAP_CHUNK;
    heap = fpheap_create("recursive", &config);
    CHECK(heap != NULL);
    r.heap = heap;
    for (i = 0; i < STRESS_LEN(users); i++) {
        users[i].heap   = heap;
        users[i].owner  = i + 1;
        users[i].random = stress_state(i);
        users[i].wanted = stress_work(50000);
        thread[i] = stress_spawn(suffer, &users[i]);
    }
    for (i = 0; i < STRESS_LEN(users); i++) {
        stress_join(thread[i]);
        CHECK_EQ(users[i].refused, 0);
    }
    printf("  %llu allocations inside the provider served, %llu refused\n",
           (unsigned long long)r.served, (unsigned long long)r.refused);
    CHECK(r.refused > 0);
    r.heap = NULL;
    stress_finish(heap);
    stress_pages_finish(&r.pages);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            threads_that_need_memory_at_once_grow_the_heap_together),
        cmocka_unit_test(
            a_provider_that_fails_at_random_costs_failed_calls_only),
        cmocka_unit_test(a_watcher_is_told_once_each_way_whatever_threads_do),
        cmocka_unit_test(
            a_provider_that_hangs_delays_those_who_need_memory_and_for_a_while),
        cmocka_unit_test(a_provider_uses_the_heap_that_it_serves),
    };

    stress_program("stress_provider");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
