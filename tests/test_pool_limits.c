/* test_pool_limits.c - a pool's objects are claimed up to its maximum and no
 * further, in any order of calls; a heap has no byte more than its limit.
 */
#define FPHEAP_MAX_NODES 8
#define FPHEAP_IMPLEMENTATION
#include "fpheap.h"
#include "pool_util.h"

/* --- max ------------------------------------------------------------------ */

static const size_t maxima[] = { 1, 2, 3, 7, 31, 32, 63, 64, 65, 100, 511, 513,
                                 1000, 4000 };

static void
max_objects_can_be_had_and_not_one_more(void **state)
{
    fpheap  *heap = test_heap_over(&provider);
    unsigned magazine;
    size_t   m;

    (void)state;
    for (magazine = 0; magazine < 3; magazine++) {
        for (m = 0; m < TEST_COUNT(maxima); m++) {
            fpheap_pool_desc desc = described("most", 200, 0);
            unsigned         max = (unsigned)maxima[m];
            fpheap_pool     *pool;
            unsigned         round;

            desc.max = max;
            desc.magazine = magazine == 0 ? 0
                          : magazine == 1 ? 2 : FPHEAP_MAGAZINE;
            pool = CREATE(heap, &desc);
            assert_int_equal(STATS(pool).max, max);
            if (magazine == 0)
                assert_true(STATS(pool).magazine <= (max < 32 ? 2 : max / 16));
            else
                assert_int_equal(STATS(pool).magazine, desc.magazine);
            for (round = 0; round < 3; round++) {
                assert_int_equal(get_until(pool, ENOSPC), max);
                assert_int_equal(STATS(pool).claimed_objects, max);
                assert_int_equal(fpheap_pool_get_bulk(pool, others, 1),
                                 -ENOSPC);
                put_all(pool, max);
                if (round == 1)
                    fpheap_flush(heap);
            }
            END(pool);
        }
    }
    TEST_DESTROY_OVER(heap, &provider);
}

static void
at_the_border_a_bulk_takes_all_or_nothing_and_a_burst_the_rest(void **state)
{
    fpheap  *heap = test_heap_over(&provider);
    size_t   m;
    unsigned spare;

    (void)state;
    for (m = 0; m < TEST_COUNT(maxima); m++) {
        unsigned         max = (unsigned)maxima[m];
        fpheap_pool_desc desc = described("border", 200, 0);
        fpheap_pool     *pool;

        desc.max = max;
        pool = CREATE(heap, &desc);
        for (spare = 0; spare <= max && spare < 40; spare++) {
            assert_int_equal(fpheap_pool_get_bulk(pool, objects, max), 0);
            check_disjoint(heap, max);
            fpheap_pool_put_bulk(pool, objects, spare);
            others[0] = &mark;
            others[spare] = &mark;
            assert_int_equal(fpheap_pool_get_bulk(pool, others, spare + 1),
                             -ENOSPC);
            assert_int_equal(fpheap_pool_get_bulk(pool, others, UINT_MAX),
                             -ENOSPC);
            assert_ptr_equal(others[0], &mark);
            TEST_CHECK_LIVE(heap, max - spare);
            errno = 0;
            assert_int_equal(fpheap_pool_get_burst(pool, others, spare + 9),
                             spare);
            assert_int_equal(errno, ENOSPC);
            assert_ptr_equal(others[spare], &mark);
            fpheap_pool_put_bulk(pool, others, spare);
            assert_int_equal(fpheap_pool_get_bulk(pool, others, spare), 0);
            TEST_CHECK_LIVE(heap, max);
            fpheap_pool_put_bulk(pool, others, spare);
            fpheap_pool_put_bulk(pool, objects + spare, max - spare);
        }
        END(pool);
    }
    TEST_DESTROY_OVER(heap, &provider);
}

static void
enospc_is_the_pools_maximum_and_other_errors_the_providers(void **state)
{
    static const int errors[] = { -ENOMEM, -EIO, -EPERM };
    size_t           e;

    (void)state;
    for (e = 0; e < TEST_COUNT(errors); e++) {
        fpheap          *heap = test_heap_within(&provider, 4 * FPHEAP_CHUNK);
        fpheap_pool_desc desc = described("refused", 20000, 0);
        fpheap_pool     *pool;
        unsigned         n;

        desc.max = 10000;
        provider.error = errors[e];
        pool = CREATE(heap, &desc);
        n = get_until(pool, -errors[e]);
        assert_int_equal(fpheap_pool_get_bulk(pool, others, 1), errors[e]);
        errno = 0;
        assert_int_equal(fpheap_pool_get_burst(pool, others, 5), 0);
        assert_int_equal(errno, -errors[e]);
        assert_int_equal(fpheap_pool_set_max(pool, n), 0);
        assert_null(fpheap_pool_get(pool));
        assert_int_equal(errno, ENOSPC);
        /* More than max can never be had, whatever the provider says. */
        assert_int_equal(fpheap_pool_get_bulk(pool, others, n + 1), -ENOSPC);
        put_all(pool, n);
        TEST_DESTROY_OVER(heap, &provider);
    }
}

static void
null_is_no_object_for_put(void **state)
{
    fpheap          *heap = test_heap_over(&provider);
    fpheap_pool_desc desc = described("holes", 64, 0);
    fpheap_pool     *pool = CREATE(heap, &desc);
    unsigned         pattern;
    unsigned         n;
    unsigned         i;

    (void)state;
    fpheap_pool_put(pool, NULL);
    fpheap_pool_put_bulk(pool, NULL, 0);
    assert_int_equal(fpheap_pool_get_bulk(pool, NULL, 0), 0);
    assert_int_equal(fpheap_pool_get_burst(pool, NULL, 0), 0);
    for (n = 1; n < 1200; n = n * 3 / 2 + 1) {
        for (pattern = 0; pattern < 5; pattern++) {
            get_all(pool, n);
            for (i = 0; i < n; i++) {
                int hole = pattern == 0 || (pattern == 1 && i == 0)
                        || (pattern == 2 && i == n - 1)
                        || (pattern == 3 && i % 2 == 0)
                        || (pattern == 4 && i != n / 2);

                if (!hole)
                    continue;
                fpheap_pool_put(pool, objects[i]);
                objects[i] = NULL;
            }
            fpheap_pool_put_bulk(pool, objects, n);
            TEST_CHECK_LIVE(heap, 0);
            assert_int_equal(STATS(pool).live_objects, 0);
        }
    }
    TEST_DESTROY_OVER(heap, &provider);
}

/* --- any order of calls --------------------------------------------------- */

/* What a thread knows of a pool that no other uses. */
typedef struct model {
    fpheap      *heap;
    fpheap_pool *pool;
    test_random  random;
    unsigned     live;         /* objects[0 .. live - 1] */
    size_t       max;
    size_t       min;
} model;

/* How many more can be had: what is parked here or in the depot, and what may
 * still be claimed. */
static size_t
there_are(const model *m)
{
    fpheap_pool_stats s = STATS(m->pool);
    size_t            more = s.claimed_objects < m->max
                           ? m->max - s.claimed_objects : 0;

    assert_int_equal(s.live_objects, m->live);
    assert_int_equal(s.max, m->max);
    return s.parked_objects + more;
}

static void
model_get(model *m, unsigned n, size_t kind)
{
    size_t there = there_are(m);
    void **to = &objects[m->live];

    if (m->live + n > MOST)
        return;
    errno = 0;
    if (kind == 0) {
        *to = fpheap_pool_get(m->pool);
        n = *to != NULL;
        assert_int_equal(n, there > 0);
        if (n == 0)
            assert_int_equal(errno, ENOSPC);
    } else if (kind == 1) {
        int error = fpheap_pool_get_bulk(m->pool, to, n);

        assert_int_equal(error, there >= n ? 0 : -ENOSPC);
        n = error == 0 ? n : 0;
    } else {
        unsigned got = fpheap_pool_get_burst(m->pool, to, n);

        assert_int_equal(got, there < n ? there : n);
        if (got < n)
            assert_int_equal(errno, ENOSPC);
        n = got;
    }
    m->live += n;
}

static void
model_put(model *m, unsigned n, size_t kind)
{
    void   **from;
    unsigned i;

    n = n < m->live ? n : m->live;
    m->live -= n;
    from = &objects[m->live];
    if (kind == 0)
        fpheap_pool_put_bulk(m->pool, from, n);
    else if (kind == 1)
        fpheap_free_bulk(m->heap, from, n);
    for (i = 0; i < n && kind == 2; i++)
        fpheap_pool_put(m->pool, from[i]);
    for (i = 0; i < n && kind == 3; i++)
        fpheap_free(m->heap, from[i]);
}

static void
model_set_max(model *m)
{
    size_t max = test_below(&m->random, 4) == 0
               ? 0 : test_below(&m->random, 1500);

    if (max != 0 && max < m->min) {
        assert_int_equal(fpheap_pool_set_max(m->pool, max), -EINVAL);
        return;
    }
    assert_int_equal(fpheap_pool_set_max(m->pool, max), 0);
    m->max = max == 0 ? UINT32_MAX : max;
}

static void
model_step(model *m)
{
    size_t   kind = test_below(&m->random, 100);
    size_t   claimed = STATS(m->pool).claimed_objects;
    unsigned n = (unsigned)test_below(&m->random,
                                      kind % 4 == 0 ? 700 : 40) + 1;

    if (kind < 45) {
        model_get(m, n, kind % 3);
        /* Never more than max, unless there were more before. */
        assert_true(STATS(m->pool).claimed_objects
                    <= (claimed > m->max ? claimed : m->max));
    } else if (kind < 88) {
        model_put(m, n, kind % 4);
    } else if (kind < 91) {
        fpheap_flush(m->heap);
    } else if (kind < 93) {
        (void)fpheap_trim(m->heap);
    } else if (kind < 95) {
        fpheap_thread_leave(m->heap);
    } else if (kind < 98) {
        model_set_max(m);
    } else {
        fpheap_free(m->heap, fpheap_alloc(m->heap, 300000));
    }
}

static void
run_model(unsigned magazine, size_t min, unsigned flags, size_t size)
{
    book             b;
    fpheap_pool_desc desc = with_book("model", size, &b);
    unsigned         step;
    model            m;

    memset(&m, 0, sizeof(m));
    m.heap = test_heap_over(&provider);
    m.random = test_random_of(magazine + min + flags + size);
    m.max = 1000;
    m.min = min;
    desc.magazine = magazine;
    desc.min = min;
    desc.max = m.max;
    desc.flags = flags;
    m.pool = CREATE(m.heap, &desc);
    for (step = 0; step < 2500 * test_soak(); step++) {
        model_step(&m);
        BALANCED(m.pool, &b);
        if (step % 100 == 0)
            TEST_CHECK_LIVE(m.heap, m.live);
    }
    check_disjoint(m.heap, m.live);
    model_put(&m, MOST, 0);
    END(m.pool);
    assert_int_equal(b.constructed, b.destructed);
    TEST_DESTROY_OVER(m.heap, &provider);
}

static void
in_any_order_the_numbers_are_exact_and_max_is_kept(void **state)
{
    (void)state;
    run_model(0, 0, 0, 100);
    run_model(2, 100, 0, 2304);
    run_model(8, 0, FPHEAP_TYPE_STABLE, 24);
    run_model(33, 300, FPHEAP_PAGE_ISOLATED, 700);
    run_model(FPHEAP_MAGAZINE, 0, 0, 64);
    run_model(7, 20, FPHEAP_TYPE_STABLE | FPHEAP_PAGE_ISOLATED, 9000);
}

static void
max_goes_up_and_down_while_the_pool_is_used(void **state)
{
    fpheap          *heap = test_heap_over(&provider);
    fpheap_pool_desc desc = described("moved", 2304, 0);
    fpheap_pool     *pool;
    unsigned         n;
    unsigned         i;

    (void)state;
    desc.max = 100;
    desc.min = 50;
    pool = CREATE(heap, &desc);
    assert_int_equal(fpheap_pool_set_max(pool, 49), -EINVAL);
    assert_int_equal(fpheap_pool_set_max(pool, 1), -EINVAL);
    assert_int_equal(STATS(pool).max, 100);
    assert_int_equal(get_until(pool, ENOSPC), 100);
    assert_int_equal(fpheap_pool_set_max(pool, 150), 0);
    n = 100 + fpheap_pool_get_burst(pool, objects + 100, 100);
    assert_int_equal(n, 150);
    /* Below what is claimed: nothing changes but that no more can be had. */
    assert_int_equal(fpheap_pool_set_max(pool, 50), 0);
    assert_null(fpheap_pool_get(pool));
    assert_int_equal(errno, ENOSPC);
    TEST_CHECK_LIVE(heap, 150);
    put_all(pool, 150);
    fpheap_flush(heap);
    (void)fpheap_trim(heap);
    assert_int_equal(get_until(pool, ENOSPC), 50);
    assert_int_equal(fpheap_pool_set_max(pool, 0), 0);
    assert_int_equal(STATS(pool).max, UINT32_MAX);
    put_all(pool, 50);
    get_all(pool, 5000);
    for (i = 0; i < n_too_many; i++)
        assert_int_equal(fpheap_pool_set_max(pool, too_many[i]), -EINVAL);
    assert_int_equal(fpheap_pool_set_max(pool, UINT32_MAX), 0);
    put_all(pool, 5000);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
a_thread_parks_two_magazines_at_most(void **state)
{
    static const unsigned magazines[] = { 2, 3, 8, 100, FPHEAP_MAGAZINE };
    fpheap *heap = test_heap_over(&provider);
    size_t  i;

    (void)state;
    for (i = 0; i < TEST_COUNT(magazines); i++) {
        fpheap_pool_desc desc = described("parking", 208, 0);
        fpheap_pool     *pool;
        fpheap_stats     stats;

        desc.magazine = magazines[i];
        pool = CREATE(heap, &desc);
        get_all(pool, 5000);
        put_all(pool, 5000);
        fpheap_stats_get(heap, &stats);
        assert_true(stats.parked_bytes - stats.depot_bytes
                    <= (size_t)2 * magazines[i] * 208);
        END(pool);
    }
    TEST_DESTROY_OVER(heap, &provider);
}

/* --- the limit of a heap -------------------------------------------------- */

#define LIMIT (6 * FPHEAP_CHUNK)

/* The recording provider, which also checks the limit. */
static fpheap  *limited;
static size_t   limit_now;     /* 0: none */
static unsigned beyond;        /* calls that were not to be made */

static int
get_within(void *ctx, size_t bytes, size_t align, int node,
           fpheap_region *region)
{
    const test_provider *p = (const test_provider *)ctx;

    if (limit_now != 0
        && (bytes > limit_now || p->held_bytes > limit_now - bytes))
        beyond++;
    return test_provider_get(ctx, bytes, align, node, region);
}

static fpheap *
heap_with_limit(size_t limit, size_t growth_max)
{
    fpheap_config config;

    memset(&config, 0, sizeof(config));
    test_provider_init(&provider);
    provider.calls.get = get_within;
    config.provider = &provider.calls;
    config.limit = limit;
    config.growth_max = growth_max;
    limit_now = limit;
    beyond = 0;
    limited = fpheap_create("limit", &config);
    return limited;
}

static void
check_limit_at(fpheap *heap, const char *file, int line)
{
    fpheap_stats stats;

    fpheap_stats_get(heap, &stats);
    test_check_at(heap, file, line);
    if (beyond == 0 && stats.limit == limit_now
        && (limit_now == 0 || stats.peak_region_bytes <= limit_now)
        && stats.region_bytes == provider.held_bytes)
        return;
    print_error("limit %zu (%zu), region %zu, peak %zu, held %zu, beyond %u\n",
                stats.limit, limit_now, stats.region_bytes,
                stats.peak_region_bytes, provider.held_bytes, beyond);
    _fail(file, line);
}

#define CHECK_LIMIT(heap) check_limit_at(heap, __FILE__, __LINE__)

/* All that the heap gives of a size, in bulks of n or one by one. */
static unsigned
exhaust(fpheap *heap, size_t size, unsigned bulk)
{
    unsigned n = 0;
    int      error = 0;

    while (error == 0) {
        assert_true(n + bulk <= MOST);
        errno = 0;
        if (bulk > 1) {
            error = fpheap_alloc_bulk(heap, size, objects + n, bulk);
        } else {
            objects[n] = fpheap_alloc(heap, size);
            error = objects[n] != NULL ? 0 : -errno;
        }
        n += error == 0 ? bulk : 0;
    }
    assert_int_equal(error, -ENOSPC);
    return n;
}

static void
a_heap_never_has_more_than_its_limit(void **state)
{
    static const size_t   sizes[] = { 2000, 30000, FPHEAP_PAGE, FPH_CLASS_MAX,
                                      FPH_CLASS_MAX + 1, FPHEAP_CHUNK,
                                      FPHEAP_CHUNK * 3 / 2, LIMIT };
    static const unsigned bulks[] = { 1, 7, 300 };
    static const size_t   extra[] = { 0, 1, FPHEAP_CHUNK - 1, 12345 };
    static const size_t   steps[] = { 0, FPHEAP_CHUNK, 5 * FPHEAP_CHUNK };
    size_t                i;
    unsigned              n;

    (void)state;
    for (i = 0; i < TEST_COUNT(sizes) * 12; i++) {
        size_t   size = sizes[i % TEST_COUNT(sizes)];
        unsigned bulk = bulks[i / 8 % 3];
        size_t   limit = LIMIT + extra[i / 24];
        fpheap  *heap = heap_with_limit(limit, steps[(i / 8 + i) % 3]);

        assert_non_null(heap);
        CHECK_LIMIT(heap);
        n = exhaust(heap, size, bulk);
        CHECK_LIMIT(heap);
        /* What is left is not enough for another region. */
        if (bulk == 1 && size <= FPH_CLASS_MAX)
            assert_true(test_region_bytes(heap) + FPHEAP_CHUNK > limit);
        TEST_CHECK_LIVE(heap, n);
        errno = 0;
        assert_null(fpheap_alloc(heap, 100 * LIMIT));
        assert_int_equal(errno, ENOSPC);
        /* All of it is there where nothing is live. */
        assert_int_equal(fpheap_reserve(heap, LIMIT, 0), n == 0 ? 0 : -ENOSPC);
        objects[n] = fpheap_zalloc(heap, LIMIT);
        assert_int_equal(objects[n] == NULL, n != 0);
        assert_int_equal(errno, ENOSPC);
        fpheap_free(heap, objects[n]);
        CHECK_LIMIT(heap);
        fpheap_free_bulk(heap, objects, n);
        CHECK_LIMIT(heap);
        TEST_DESTROY_OVER(heap, &provider);
    }
}

static void
a_limit_below_two_chunks_is_einval(void **state)
{
    static const size_t limits[] = { 1, FPHEAP_CHUNK, 2 * FPHEAP_CHUNK - 1 };
    size_t              i;

    (void)state;
    for (i = 0; i < TEST_COUNT(limits); i++) {
        errno = 0;
        assert_null(heap_with_limit(limits[i], 0));
        assert_int_equal(errno, EINVAL);
        assert_int_equal(provider.gets, 0);
    }
    assert_non_null(heap_with_limit(2 * FPHEAP_CHUNK, 0));
    assert_non_null(fpheap_alloc(limited, 100));
    assert_true(exhaust(limited, FPHEAP_PAGE, 1) > 10);
    CHECK_LIMIT(limited);
    assert_int_equal(fpheap_destroy_forced(limited), 0);
}

static void
enospc_is_the_limit_and_enomem_the_provider(void **state)
{
    fpheap  *heap = heap_with_limit(LIMIT, FPHEAP_CHUNK);
    unsigned n;

    (void)state;
    provider.limit_bytes = LIMIT - FPHEAP_CHUNK;
    errno = 0;
    n = fill_with_others(heap, 20000);
    assert_int_equal(errno, ENOMEM);
    assert_int_equal(provider.held_bytes, LIMIT - FPHEAP_CHUNK);
    provider.limit_bytes = 0;
    fpheap_free(heap, others[--n]);
    assert_true(exhaust(heap, 20000, 1) > 20);
    assert_int_equal(provider.held_bytes, LIMIT);
    CHECK_LIMIT(heap);
    provider.limit_bytes = 1;
    assert_null(fpheap_alloc(heap, 20000));
    assert_int_equal(errno, ENOSPC);
    assert_int_equal(fpheap_destroy_forced(heap), 0);
}

static void
the_limit_goes_up_and_down_at_any_time(void **state)
{
    fpheap  *heap = heap_with_limit(LIMIT, FPHEAP_CHUNK);
    unsigned n = exhaust(heap, 100000, 1);
    unsigned more;

    (void)state;
    limit_now = LIMIT + 2 * FPHEAP_CHUNK;
    fpheap_set_limit(heap, limit_now);
    more = fill_with_others(heap, 100000);
    assert_int_equal(errno, ENOSPC);
    assert_true(more >= 30);
    CHECK_LIMIT(heap);
    assert_int_equal(test_region_bytes(heap), limit_now);
    /* Below what it has: what is there can still be used, nothing is added. */
    limit_now = 0;
    fpheap_set_limit(heap, 3 * FPHEAP_CHUNK);
    fpheap_free_bulk(heap, others, more);
    assert_int_equal(fill_with_others(heap, 100000), more);
    assert_int_equal(errno, ENOSPC);
    assert_int_equal(test_region_bytes(heap), LIMIT + 2 * FPHEAP_CHUNK);
    fpheap_free_bulk(heap, others, more);
    fpheap_free_bulk(heap, objects, n);
    (void)fpheap_trim(heap);
    assert_true(test_region_bytes(heap) <= 3 * FPHEAP_CHUNK);
    n = fill_with_others(heap, 100000);
    assert_int_equal(errno, ENOSPC);
    assert_true(test_region_bytes(heap) <= 3 * FPHEAP_CHUNK);
    /* None. */
    fpheap_set_limit(heap, 0);
    objects[0] = fpheap_alloc(heap, 20 * FPHEAP_CHUNK);
    assert_non_null(objects[0]);
    fpheap_free(heap, objects[0]);
    fpheap_free_bulk(heap, others, n);
    CHECK_LIMIT(heap);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
a_region_that_goes_beyond_the_limit_is_handed_back_once(void **state)
{
    fpheap  *heap = heap_with_limit(LIMIT, FPHEAP_CHUNK);
    unsigned gets = provider.gets;
    unsigned n;

    (void)state;
    provider.extra = LIMIT;
    n = fill_with_others(heap, 100000);
    assert_int_equal(errno, ENOSPC);
    CHECK_LIMIT(heap);
    assert_int_equal(provider.held, 1);
    assert_true(provider.gets > gets);
    assert_int_equal(provider.puts, provider.gets - gets);
    assert_int_equal(provider.wrong, 0);
    /* What is asked for fits, and so does what comes. */
    provider.extra = FPHEAP_CHUNK / 2;
    objects[0] = fpheap_alloc(heap, FPHEAP_CHUNK);
    assert_non_null(objects[0]);
    fpheap_free(heap, objects[0]);
    fpheap_free_bulk(heap, others, n);
    CHECK_LIMIT(heap);
    TEST_DESTROY_OVER(heap, &provider);
    /* The first region of a heap. */
    test_provider_init(&provider);
    provider.extra = LIMIT;
    {
        fpheap_config config;

        memset(&config, 0, sizeof(config));
        config.provider = &provider.calls;
        config.limit = LIMIT;
        errno = 0;
        assert_null(fpheap_create("beyond", &config));
        assert_int_equal(errno, ENOSPC);
    }
    assert_int_equal(provider.held, 0);
    assert_int_equal(provider.wrong, 0);
}

static void
what_is_parked_is_taken_back_before_enospc(void **state)
{
    static const size_t sizes[] = { 2304, 700, 4 * FPHEAP_PAGE, 2000,
                                    100000 };
    fpheap             *heap = heap_with_limit(LIMIT, 0);
    fpheap_pool_desc    desc = described("parked", 2304, 0);
    book                b;
    fpheap_pool        *pool;
    size_t              round;
    size_t              i;
    unsigned            n;

    (void)state;
    desc = with_book("parked", 2304, &b);
    pool = CREATE(heap, &desc);
    for (round = 0; round < 3; round++) {
        for (i = 0; i < TEST_COUNT(sizes); i++) {
            void *large;

            n = get_until(pool, ENOSPC);
            assert_true(n > LIMIT / 2 / 2304);
            BALANCED(pool, &b);
            put_all(pool, n);
            large = fpheap_alloc(heap, FPHEAP_CHUNK);
            assert_non_null(large);
            fpheap_free(heap, large);
            n = 0;
            while (n * sizes[i] < 3 * FPHEAP_CHUNK) {
                others[n] = fpheap_alloc(heap, sizes[i]);
                assert_non_null(others[n]);
                n++;
            }
            fpheap_free_bulk(heap, others, n);
            CHECK_LIMIT(heap);
        }
    }
    END(pool);
    assert_int_equal(b.constructed, b.destructed);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
a_pool_that_meets_the_limit_is_enospc_and_loses_nothing(void **state)
{
    fpheap          *heap = heap_with_limit(LIMIT, 0);
    book             b;
    fpheap_pool_desc desc = with_book("within", 2304, &b);
    fpheap_pool     *pool;
    unsigned         n;

    (void)state;
    desc.min = LIMIT / 2304;
    REFUSED(heap, &desc, ENOSPC);
    assert_int_equal(b.constructed, b.destructed);
    assert_null(fpheap_pool_lookup(heap, "within"));
    TEST_CHECK_LIVE(heap, 0);
    CHECK_LIMIT(heap);
    desc.min = 100;
    pool = CREATE(heap, &desc);
    n = get_until(pool, ENOSPC);
    assert_true(n > LIMIT / 2 / 2304);
    others[0] = &mark;
    assert_int_equal(fpheap_pool_get_bulk(pool, others, 1), -ENOSPC);
    fpheap_pool_put_bulk(pool, objects, 50);
    assert_int_equal(fpheap_pool_get_bulk(pool, others, n), -ENOSPC);
    assert_ptr_equal(others[0], &mark);
    assert_int_equal(STATS(pool).live_objects, n - 50);
    assert_int_equal(fpheap_pool_get_burst(pool, others, n), 50);
    assert_int_equal(errno, ENOSPC);
    fpheap_pool_put_bulk(pool, others, 50);
    fpheap_pool_put_bulk(pool, objects + 50, n - 50);
    BALANCED(pool, &b);
    CHECK_LIMIT(heap);
    END(pool);
    TEST_DESTROY_OVER(heap, &provider);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(max_objects_can_be_had_and_not_one_more),
        cmocka_unit_test(
            at_the_border_a_bulk_takes_all_or_nothing_and_a_burst_the_rest),
        cmocka_unit_test(
            enospc_is_the_pools_maximum_and_other_errors_the_providers),
        cmocka_unit_test(null_is_no_object_for_put),
        cmocka_unit_test(in_any_order_the_numbers_are_exact_and_max_is_kept),
        cmocka_unit_test(max_goes_up_and_down_while_the_pool_is_used),
        cmocka_unit_test(a_thread_parks_two_magazines_at_most),
        cmocka_unit_test(a_heap_never_has_more_than_its_limit),
        cmocka_unit_test(a_limit_below_two_chunks_is_einval),
        cmocka_unit_test(enospc_is_the_limit_and_enomem_the_provider),
        cmocka_unit_test(the_limit_goes_up_and_down_at_any_time),
        cmocka_unit_test(
            a_region_that_goes_beyond_the_limit_is_handed_back_once),
        cmocka_unit_test(what_is_parked_is_taken_back_before_enospc),
        cmocka_unit_test(
            a_pool_that_meets_the_limit_is_enospc_and_loses_nothing)
    };

    return cmocka_run_group_tests_name("pool limits", tests, NULL, NULL);
}
