/* stress_water.c - requests of many threads wait for room, and none for ever
 * SPDX-License-Identifier: MIT OR Unlicense
 *
 * Threads queue requests for objects of a pool or a heap that has few, and free
 * what others were served with.  After a get has failed only what crossed() is
 * told wakes the queue.  In each round all requests are served, though in its
 * last part nothing is asked for any more and only frees can wake them; and room
 * is told as 0, 1, 0, 1 ..., by one thread at a time.
 */
#define FPHEAP_IMPLEMENTATION
#include "fpheap.h"
#include "stress_util.h"

#define WORKERS   4
#define PER_ROUND 500          /* requests of each worker */
#define PATIENCE  20.0         /* seconds in which nothing is served */

/* A request that waits; once it is served, an object to be freed. */
typedef struct request {
    struct request *next;
    size_t          size;
    unsigned        n;
    void           *object[8];
} request;

typedef struct scene {
    fpheap         *heap;
    fpheap_pool    *pool;      /* or NULL */
    size_t          max_size;
    unsigned        max_n;
    uint64_t        rounds;
    pthread_mutex_t lock;
    request        *first, **last;
    request        *done;
    uint64_t        served;
    uint64_t        wanted;    /* calls of pump that have come since the last */
    uint64_t        crossings; /* written in crossed() only */
    uint64_t        failed;
    pthread_barrier_t barrier;
} scene;

static int
get(const scene *s, request *r)
{
    if (s->pool != NULL && r->n > 1)
        return fpheap_pool_get_bulk(s->pool, r->object, r->n) == 0;
    if (s->pool != NULL)
        return (r->object[0] = fpheap_pool_get(s->pool)) != NULL;
    if (r->n > 1)
        return fpheap_alloc_bulk(s->heap, r->size, r->object, r->n) == 0;
    return (r->object[0] = fpheap_alloc(s->heap, r->size)) != NULL;
}

static void
put(const scene *s, request *r)
{
    unsigned i;

    for (i = 0; i < r->n; i++)
        if (s->pool != NULL)
            fpheap_pool_put(s->pool, r->object[i]);
        else
            fpheap_free(s->heap, r->object[i]);
}

/* Serve the first request in the queue.  Returns 0: there is none, or not
 * enough. */
static int
serve_first(scene *s)
{
    request *r;

    pthread_mutex_lock(&s->lock);
    r = s->first;
    pthread_mutex_unlock(&s->lock);
    if (r == NULL)
        return 0;
    if (!get(s, r)) {
        s->failed++;
        return 0;
    }
    pthread_mutex_lock(&s->lock);
    s->first = r->next;
    if (s->first == NULL)
        s->last = &s->first;
    r->next = s->done;
    s->done = r;
    pthread_mutex_unlock(&s->lock);
    __atomic_fetch_add(&s->served, 1, __ATOMIC_RELAXED);
    return 1;
}

/* One thread serves, also for those that come meanwhile. */
static void
pump(scene *s)
{
    uint64_t seen = 1;

    if (__atomic_fetch_add(&s->wanted, 1, __ATOMIC_ACQ_REL) != 0)
        return;
    do {
        seen = __atomic_load_n(&s->wanted, __ATOMIC_ACQUIRE);
        while (serve_first(s))
            ;
    } while (__atomic_sub_fetch(&s->wanted, seen, __ATOMIC_ACQ_REL) != 0);
}

static void
crossed(void *arg, fpheap *heap, fpheap_pool *pool, int room)
{
    scene *s = (scene *)arg;

    CHECK(heap == s->heap && pool == s->pool);
    CHECK_EQ(room, s->crossings % 2);
    s->crossings++;
    if (room)
        pump(s);
}

static void
submit(scene *s, request *r)
{
    r->next = NULL;
    pthread_mutex_lock(&s->lock);
    *s->last = r;
    s->last = &r->next;
    pthread_mutex_unlock(&s->lock);
    pump(s);
}

static int
free_one(scene *s)
{
    request *r;

    pthread_mutex_lock(&s->lock);
    r = s->done;
    if (r != NULL)
        s->done = r->next;
    pthread_mutex_unlock(&s->lock);
    if (r == NULL)
        return 0;
    put(s, r);
    return 1;
}

/* Free what is served until all is; what this thread has parked is for others
 * before it waits. */
static void
finish_round(scene *s, uint64_t goal)
{
    uint64_t last  = 0;
    double   since = stress_seconds();

    for (;;) {
        uint64_t served = __atomic_load_n(&s->served, __ATOMIC_RELAXED);

        if (free_one(s))
            continue;
        if (served >= goal)
            break;
        if (served != last)
            since = stress_seconds();
        last = served;
        CHECK(stress_seconds() - since < PATIENCE * STRESS_SLOWDOWN);
        fpheap_flush(s->heap);
        sched_yield();
    }
}

static void *
work(void *arg)
{
    static uint64_t number;
    scene   *s      = (scene *)arg;
    uint64_t random = stress_state(__atomic_fetch_add(&number, 1,
                                                      __ATOMIC_RELAXED));
    request *r      = (request *)calloc(PER_ROUND, sizeof *r);
    uint64_t round;
    unsigned i;

    CHECK(r != NULL);
    for (round = 1; round <= s->rounds; round++) {
        for (i = 0; i < PER_ROUND; i++) {
            r[i].size = 1 + stress_below(&random, s->max_size);
            r[i].n = 1 + stress_below(&random, s->max_n);
            submit(s, &r[i]);
            if (stress_below(&random, 16) == 0)
                while (stress_below(&random, 8) != 0 && free_one(s))
                    ;
        }
        pthread_barrier_wait(&s->barrier);
        finish_round(s, round * WORKERS * PER_ROUND);
        pthread_barrier_wait(&s->barrier);
    }
    free(r);
    return NULL;
}

static void
run(scene *s, uint64_t requests)
{
    pthread_t thread[WORKERS];
    unsigned  i;

    s->rounds = stress_work(requests) / (WORKERS * PER_ROUND) + 1;
    s->last = &s->first;
    pthread_mutex_init(&s->lock, NULL);
    pthread_barrier_init(&s->barrier, NULL, WORKERS);
    for (i = 0; i < WORKERS; i++)
        thread[i] = stress_spawn(work, s);
    for (i = 0; i < WORKERS; i++)
        stress_join(thread[i]);
    CHECK_EQ(s->served, s->rounds * WORKERS * PER_ROUND);
    CHECK(s->failed > 0);
    CHECK_LE(s->failed, 4 * s->served);
    fpheap_flush(s->heap);
    CHECK_EQ(s->crossings % 2, 0);
    printf("  %llu requests, %llu failed once or more, %llu crossings\n",
           (unsigned long long)s->served, (unsigned long long)s->failed,
           (unsigned long long)s->crossings);
    pthread_barrier_destroy(&s->barrier);
    pthread_mutex_destroy(&s->lock);
}

static void
run_pool(size_t max, size_t low, size_t high, unsigned max_n, uint64_t requests)
{
    scene            s;
    stress_pages     pages;
    fpheap_pool_desc desc;
    fpheap_water     water = { low, high, crossed, &s };

    stress_test();
    memset(&s, 0, sizeof s);
    memset(&desc, 0, sizeof desc);
    desc.name = "watched";
    desc.size = 200;
    desc.max = max;
    desc.water = water;
    s.heap = stress_heap("waiters", &pages, 0);
    s.pool = fpheap_pool_create(s.heap, &desc);
    s.max_size = 1;
    s.max_n = max_n;
    CHECK(s.pool != NULL);
    run(&s, requests);
    CHECK_EQ(fpheap_pool_destroy(s.pool, NULL), 0);
    stress_finish(s.heap);
    stress_pages_finish(&pages);
}

static void
run_heap(size_t low, size_t high, size_t max_size, unsigned max_n,
         uint64_t requests)
{
    scene           s;
    stress_pages    pages;
    fpheap_provider provider = stress_pages_init(&pages);
    fpheap_water    water    = { low, high, crossed, &s };
    fpheap_config   config;

    stress_test();
    memset(&s, 0, sizeof s);
    memset(&config, 0, sizeof config);
    config.provider = &provider;
    config.growth_max = FPHEAP_CHUNK;
    config.limit = 8 * FPHEAP_CHUNK;
    config.water = water;
    s.heap = fpheap_create("waiters", &config);
    s.max_size = max_size;
    s.max_n = max_n;
    CHECK(s.heap != NULL);
    run(&s, requests);
    stress_finish(s.heap);
    stress_pages_finish(&pages);
}

static void
requests_for_one_object_of_a_small_pool_are_all_served(void **state)
{
    (void)state;
    run_pool(32, 0, 1, 1, 400000);
}

static void
and_of_a_larger_one_with_marks_apart(void **state)
{
    (void)state;
    run_pool(600, 50, 200, 1, 300000);
}

static void
and_requests_for_up_to_eight(void **state)
{
    (void)state;
    run_pool(64, 4, 8, 8, 100000);
}

static void
and_those_of_a_heap_for_small_objects(void **state)
{
    (void)state;
    run_heap(FPHEAP_CHUNK, 3 * FPHEAP_CHUNK, 60000, 1, 100000);
}

static void
and_those_of_a_heap_for_large_ones(void **state)
{
    (void)state;
    run_heap(FPHEAP_CHUNK / 2, FPHEAP_CHUNK, 2 * FPHEAP_CHUNK, 1, 100000);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            requests_for_one_object_of_a_small_pool_are_all_served),
        cmocka_unit_test(and_of_a_larger_one_with_marks_apart),
        cmocka_unit_test(and_requests_for_up_to_eight),
        cmocka_unit_test(and_those_of_a_heap_for_small_objects),
        cmocka_unit_test(and_those_of_a_heap_for_large_ones)
    };

    stress_program("stress_water");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
