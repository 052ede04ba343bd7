/* test_water.c - who waits for room is told: low and high of a heap and a pool,
 * once for each crossing, in order, at the end of a call and never in the middle
 * of one, and after a call has failed as soon as another has freed something.
 */
#define FPHEAP_IMPLEMENTATION
#include "fpheap.h"
#include "pool_util.h"

#include <pthread.h>
#include <time.h>

/* What crossed() was told, and what it does then. */
typedef struct told {
    unsigned     n;
    unsigned     wrong;        /* not 0, 1, 0, 1 ...; or within itself */
    unsigned     inside;
    int          room;         /* the last */
    fpheap      *heap;
    fpheap_pool *pool;
    pthread_t    by;
    void       (*then)(struct told *of);
    void        *kept[64];
    unsigned     keeps;
} told;

static void
crossed(void *arg, fpheap *in, fpheap_pool *of, int room)
{
    told *to = (told *)arg;

    to->wrong += to->inside != 0 || room != (int)(to->n % 2);
    to->wrong += fpheap_check(in) != NULL;
    to->inside = 1;
    to->n++;
    to->room = room;
    to->heap = in;
    to->pool = of;
    to->by = pthread_self();
    if (to->then != NULL)
        to->then(to);
    to->inside = 0;
}

static fpheap_water
watermarks(told *of, size_t low, size_t high)
{
    fpheap_water water = { low, high, crossed, of };

    memset(of, 0, sizeof *of);
    return water;
}

/* What most cases have: a heap, and a pool that tells t. */
static fpheap      *heap;
static fpheap_pool *pool;
static told         t;

static fpheap_pool *
make_pool(const char *name, told *of, size_t max, size_t low, size_t high,
          unsigned magazine)
{
    fpheap_pool_desc desc = described(name, 200, 0);

    desc.max = max;
    desc.magazine = magazine;
    desc.water = watermarks(of, low, high);
    return of->pool = CREATE(heap, &desc);
}

static void
begin(size_t max, size_t low, size_t high, unsigned magazine)
{
    heap = test_heap_over(&provider);
    pool = make_pool("pool", &t, max, low, high, magazine);
}

/* Put the first n objects, and end all. */
static void
end(unsigned n)
{
    put_all(pool, n);
    END(pool);
    TEST_DESTROY_OVER(heap, &provider);
}

/* Put what t kept. */
static void
put_kept(void)
{
    while (t.keeps > 0)
        fpheap_pool_put(pool, t.kept[--t.keeps]);
}

static fpheap *
make_heap(told *of, size_t limit, size_t low, size_t high)
{
    fpheap_config config;

    memset(&config, 0, sizeof config);
    test_provider_init(&provider);
    config.provider = &provider.calls;
    config.growth_max = FPHEAP_CHUNK;
    config.limit = limit;
    config.water = watermarks(of, low, high);
    return heap = fpheap_create("watched", &config);
}

/* Run work(NULL) in a thread of its own. */
static void
elsewhere(void *(*work)(void *))
{
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, work, NULL), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

#define TOLD(t, times)                     \
    do {                                   \
        assert_int_equal((t).wrong, 0);    \
        assert_int_equal((t).n, times);    \
    } while (0)

/* --- crossings ------------------------------------------------------------ */

static void
a_pools_crossings_are_told_once_each_and_between_its_watermarks_none(void **state)
{
    unsigned n = 0;
    unsigned round;

    (void)state;
    begin(100, 10, 60, 0);
    assert_true(STATS(pool).magazine <= 50 / 16);
    for (round = 0; round < 3; round++) {
        for (; t.n == 2 * round; n++)
            objects[n] = fpheap_pool_get(pool);
        assert_ptr_equal(t.heap, heap);
        assert_ptr_equal(t.pool, pool);
        assert_true(100 - n <= 10 + 2 * STATS(pool).magazine);
        for (; n < 95; n++)
            assert_non_null(objects[n] = fpheap_pool_get(pool));
        TOLD(t, 2 * round + 1);
        while (n > 41)
            fpheap_pool_put(pool, objects[--n]);
        TOLD(t, 2 * round + 1);
        for (; n < 60; n++)
            assert_non_null(objects[n] = fpheap_pool_get(pool));
        while (n > 41)
            fpheap_pool_put(pool, objects[--n]);
        TOLD(t, 2 * round + 1);
        fpheap_pool_put(pool, objects[--n]);
        TOLD(t, 2 * round + 2);
    }
    put_all(pool, n);
    TOLD(t, 2 * round);
    end(0);
}

static void
a_heaps_crossings_are_told_in_bytes_of_small_and_large_objects(void **state)
{
    static const size_t sizes[] = { 3000, 20000, 150000,
                                    FPHEAP_CHUNK - 2 * FPHEAP_PAGE };
    size_t   limit = 16 * FPHEAP_CHUNK;
    unsigned n, round = 0;

    (void)state;
    make_heap(&t, limit, 4 * FPHEAP_CHUNK, 8 * FPHEAP_CHUNK);
    while (round < TEST_COUNT(sizes)) {
        size_t size = sizes[round];
        size_t step;

        for (n = 0; t.n == 2 * round; n++)
            assert_non_null(objects[n] = fpheap_alloc(heap, size));
        step = fpheap_usable_size(heap, objects[0]) + 2 * FPHEAP_PAGE;
        assert_true((n + 1) * step + FPHEAP_CHUNK / 2 > limit - 4 * FPHEAP_CHUNK);
        assert_true(n * size <= limit - 4 * FPHEAP_CHUNK + step);
        assert_null(t.pool);
        while (t.n == 2 * round + 1 && n > 0)
            fpheap_free(heap, objects[--n]);
        TOLD(t, 2 * round + 2);
        assert_true(n * size <= limit - 8 * FPHEAP_CHUNK);
        assert_true((n + 2) * step > limit - 8 * FPHEAP_CHUNK);
        while (n > 0)
            fpheap_free(heap, objects[--n]);
        fpheap_trim(heap);
        TOLD(t, 2 * ++round);
    }
    TEST_DESTROY_OVER(heap, &provider);
}

static void
what_an_object_grows_or_shrinks_by_counts(void **state)
{
    void  *object;
    size_t halves;

    (void)state;
    make_heap(&t, 64 * FPHEAP_CHUNK, 44 * FPHEAP_CHUNK, 52 * FPHEAP_CHUNK);
    object = fpheap_alloc(heap, FPHEAP_CHUNK);
    for (halves = 3; t.n == 0; halves++)
        assert_non_null(object = fpheap_realloc(heap, object,
                                                halves * FPHEAP_CHUNK / 2));
    assert_in_range(halves, 20, 40);
    while (halves > 30)
        assert_non_null(object = fpheap_realloc(heap, object,
                                                --halves * FPHEAP_CHUNK / 2));
    TOLD(t, 1);
    assert_non_null(object = fpheap_realloc(heap, object, 10 * FPHEAP_CHUNK));
    TOLD(t, 2);
    fpheap_free(heap, object);
    TEST_CHECK(heap);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
what_a_child_takes_and_gives_back_is_told_as_it_does(void **state)
{
    fpheap_config config;
    fpheap       *child;
    unsigned      n = 0;

    (void)state;
    make_heap(&t, 16 * FPHEAP_CHUNK, 4 * FPHEAP_CHUNK, 8 * FPHEAP_CHUNK);
    memset(&config, 0, sizeof config);
    config.parent = heap;
    assert_non_null(child = fpheap_create("child", &config));
    for (; t.n == 0; n++)
        assert_non_null(objects[n] = fpheap_alloc(child, FPHEAP_CHUNK / 2));
    assert_in_range(n, 16, 24);
    TOLD(t, 1);
    while (n > 0)
        fpheap_free(child, objects[--n]);
    fpheap_trim(child);
    TOLD(t, 2);
    TEST_DESTROY(child);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
a_limit_or_max_that_changes_crosses(void **state)
{
    told h;

    (void)state;
    make_heap(&h, 16 * FPHEAP_CHUNK, FPHEAP_CHUNK, 8 * FPHEAP_CHUNK);
    pool = make_pool("pool", &t, 100, 10, 50, 0);
    get_all(pool, 40);
    fpheap_flush(heap);
    assert_int_equal(fpheap_pool_set_max(pool, 51), 0);
    TOLD(t, 0);
    assert_int_equal(fpheap_pool_set_max(pool, 50), 0);
    TOLD(t, 1);
    assert_int_equal(fpheap_pool_set_max(pool, 89), 0);
    TOLD(t, 1);
    assert_int_equal(fpheap_pool_set_max(pool, 90), 0);
    TOLD(t, 2);
    assert_int_equal(fpheap_pool_set_max(pool, 45), 0);
    TOLD(t, 3);
    assert_int_equal(fpheap_pool_set_max(pool, 0), 0);
    TOLD(t, 4);
    TOLD(h, 0);
    fpheap_set_limit(heap, FPHEAP_CHUNK);
    TOLD(h, 1);
    fpheap_set_limit(heap, 0);
    TOLD(h, 2);
    TOLD(t, 4);
    end(40);
}

static void
a_limit_below_what_is_claimed_leaves_nothing(void **state)
{
    void *object;

    (void)state;
    make_heap(&t, 16 * FPHEAP_CHUNK, 0, 8 * FPHEAP_CHUNK);
    assert_non_null(object = fpheap_alloc(heap, 4 * FPHEAP_CHUNK));
    TOLD(t, 0);
    fpheap_set_limit(heap, 2 * FPHEAP_CHUNK);
    TOLD(t, 1);
    fpheap_set_limit(heap, 16 * FPHEAP_CHUNK);
    TOLD(t, 2);
    fpheap_free(heap, object);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
watermarks_out_of_range_or_without_a_limit_are_einval(void **state)
{
    static const struct { size_t most, low, high; } wrong[] = {
        { 0, 1, 2 }, { 100, 50, 50 }, { 100, 60, 50 }, { 100, 50, 101 }
    };
    unsigned i;

    (void)state;
    heap = test_heap_over(&provider);
    for (i = 0; i < TEST_COUNT(wrong); i++) {
        fpheap_pool_desc desc = described("wrong", 200, 0);

        desc.max = wrong[i].most;
        desc.water = watermarks(&t, wrong[i].low, wrong[i].high);
        REFUSED(heap, &desc, EINVAL);
        desc.water.crossed = NULL;
        END(CREATE(heap, &desc));
    }
    TEST_DESTROY_OVER(heap, &provider);
    for (i = 0; i < TEST_COUNT(wrong); i++) {
        errno = 0;
        assert_null(make_heap(&t, wrong[i].most * FPHEAP_CHUNK,
                                wrong[i].low * FPHEAP_CHUNK,
                                wrong[i].high * FPHEAP_CHUNK));
        assert_int_equal(errno, EINVAL);
    }
}

/* Keep how many objects are live. */
static void
count_live(told *of)
{
    fpheap_stats stats;

    fpheap_stats_get(of->heap, &stats);
    of->keeps = (unsigned)stats.live_objects;
}

static void
a_bulk_is_told_of_when_all_of_it_is_freed(void **state)
{
    unsigned n;

    (void)state;
    make_heap(&t, 16 * FPHEAP_CHUNK, 4 * FPHEAP_CHUNK, 8 * FPHEAP_CHUNK);
    for (n = 0; t.n == 0; n++)
        assert_non_null(objects[n] = fpheap_alloc(heap, FPHEAP_CHUNK / 2));
    t.then = count_live;
    fpheap_free_bulk(heap, objects, n);
    TOLD(t, 2);
    assert_int_equal(t.keeps, 0);
    TEST_DESTROY_OVER(heap, &provider);
}

/* --- calls that fail ------------------------------------------------------ */

static void *
put_elsewhere(void *unused)
{
    (void)unused;
    fpheap_pool_put(pool, t.kept[--t.keeps]);
    return NULL;
}

static void
a_get_that_failed_is_told_of_the_next_put_of_any_thread(void **state)
{
    unsigned n, round;

    (void)state;
    begin(50, 0, 1, 0);
    n = get_until(pool, ENOSPC);
    assert_int_equal(n, 50);
    TOLD(t, 1);
    for (round = 0; round < 5; round++) {
        t.kept[t.keeps++] = objects[--n];
        elsewhere(put_elsewhere);
        TOLD(t, 2 * round + 2);
        assert_int_equal(t.room, 1);
        assert_false(pthread_equal(t.by, pthread_self()));
        assert_non_null(objects[n] = fpheap_pool_get(pool));
        n++;
        assert_null(fpheap_pool_get(pool));
        TOLD(t, 2 * round + 3);
    }
    end(n);
}

static void
a_bulk_that_failed_is_told_of_what_others_free_and_not_of_its_own(void **state)
{
    unsigned i;

    (void)state;
    begin(1000, 2, 20, 0);
    get_all(pool, 900);
    fpheap_flush(heap);        /* what it parks counts when it is given back */
    TOLD(t, 0);
    for (i = 1; i < 4; i++) {
        assert_int_equal(fpheap_pool_get_bulk(pool, others, 150), -ENOSPC);
        TOLD(t, 1);            /* 100 are left, and it had them */
    }
    t.kept[t.keeps++] = objects[899];
    elsewhere(put_elsewhere);
    TOLD(t, 2);
    put_all(pool, 899);
    TOLD(t, 2);
    end(0);
}

static void
for_want_of_memory_a_pool_is_told_of_any_free_of_the_heap(void **state)
{
    void    *one;
    unsigned n;

    (void)state;
    heap = test_heap_within(&provider, 4 * FPHEAP_CHUNK);
    pool = make_pool("pool", &t, 1000000, 10, 20, 0);
    one = fpheap_alloc(heap, FPHEAP_CHUNK / 2);
    provider.error = -ENOMEM;
    n = fill_with_others(heap, 20000);
    assert_non_null(one);
    while (fpheap_pool_get(pool) != NULL)
        ;
    assert_int_equal(errno, ENOMEM);
    TOLD(t, 1);
    assert_int_equal(t.room, 0);
    /* The heap's own crossing is told to nobody, and waits for nobody. */
    assert_int_equal(heap->state->water[0].is / FPH_CROSSING % 2, 1);
    assert_int_equal(heap->state->water[0].is % FPH_CROSSING, FPH_OPEN);
    fpheap_free(heap, one);
    TOLD(t, 2);
    assert_int_equal(heap->state->water[0].is / FPH_CROSSING % 2, 0);
    assert_int_equal(heap->state->water[0].is % FPH_CROSSING, FPH_OPEN);
    assert_non_null(fpheap_pool_get(pool));
    TOLD(t, 2);
    fpheap_free_bulk(heap, others, n);
    fpheap_destroy_forced(heap);
}

static void
a_pools_max_is_no_want_of_the_heap_but_memory_is(void **state)
{
    told             h;
    fpheap_pool_desc desc = described("large", 100000, 0);
    fpheap_pool     *large;
    unsigned         n;

    (void)state;
    make_heap(&h, 16 * FPHEAP_CHUNK, 0, FPHEAP_CHUNK / 2);
    pool = make_pool("small", &t, 100, 0, 50, 0);
    large = CREATE(heap, &desc);
    n = get_until(pool, ENOSPC);
    TOLD(t, 1);
    TOLD(h, 0);
    put_all(pool, n);
    TOLD(t, 2);
    n = get_until(large, ENOSPC); /* the heap's limit */
    TOLD(h, 1);
    put_all(large, n);
    TOLD(h, 2);
    TOLD(t, 2);
    END(large);
    end(0);
}

static void
a_failure_of_as_many_as_max_leaves_is_a_want_of_the_heap(void **state)
{
    told     h;
    unsigned bin;

    (void)state;
    make_heap(&h, 16 * FPHEAP_CHUNK, 0, FPHEAP_CHUNK / 2);
    pool = make_pool("small", &t, 5, 0, 3, 0);
    bin = FPH_SIZES + pool->number;
    fph_water_failed(heap, bin, 6, fph_water_turn(heap->state));
    assert_int_equal(heap->state->water[0].is / FPH_CROSSING % 2, 0);
    assert_int_equal(heap->state->water[1 + pool->number].is / FPH_CROSSING % 2,
                     1);
    fph_water_failed(heap, bin, 5, fph_water_turn(heap->state));
    assert_int_equal(heap->state->water[0].is / FPH_CROSSING % 2, 1);
    fpheap_free(heap, fpheap_alloc(heap, FPHEAP_CHUNK));
    TOLD(h, 2);
    end(0);
}

/* Another thread has noted it, and has still to tell it. */
static void
a_call_that_has_done_nothing_tells_nothing(void **state)
{
    (void)state;
    begin(50, 5, 30, 0);
    fph_fetch_add_relaxed(&heap->state->water[1 + pool->number].is,
                          FPH_CROSSING + FPH_UNTOLD);
    fpheap_flush(heap);
    assert_int_equal(fpheap_reserve(heap, 0, 0), 0);
    TOLD(t, 0);
    fpheap_free(heap, fpheap_alloc(heap, 500));
    TOLD(t, 1);
    assert_int_equal(t.room, 0);
    end(0);
}

/* --- what is counted ------------------------------------------------------ */

static uint64_t
pools_water(void)
{
    return fph_load_relaxed(&heap->state->water[1 + pool->number].is);
}

static void
crossings_go_on_behind_those_of_a_pool_that_has_ended(void **state)
{
    (void)state;
    begin(50, 5, 30, 0);
    assert_int_equal(pools_water(), 2 * FPH_CROSSING + FPH_OPEN);
    put_all(pool, get_until(pool, ENOSPC));
    TOLD(t, 2);
    assert_int_equal(pools_water(), 4 * FPH_CROSSING + FPH_OPEN);
    assert_int_equal(fpheap_pool_set_max(pool, 5), 0);
    assert_int_equal(pools_water(), 5 * FPH_CROSSING + FPH_OPEN);
    END(pool);
    assert_int_equal(heap->state->water[1].is, 6 * FPH_CROSSING);
    pool = make_pool("next", &t, 50, 5, 30, 0);
    assert_int_equal(pool->number, 0);
    assert_int_equal(pools_water(), 8 * FPH_CROSSING + FPH_OPEN);
    end(0);
}

static void
a_turn_counts_the_calls_that_gave_something(void **state)
{
    uint64_t turn;
    void    *large;

    (void)state;
    begin(50, 5, 30, 0);
    turn = fph_water_turn(heap->state);
    large = fpheap_alloc(heap, 3 * FPHEAP_CHUNK);
    assert_int_equal(fph_water_turn(heap->state), turn);
    fpheap_free(heap, large);
    assert_int_equal(fph_water_turn(heap->state), turn + 1);
    end(0);
}

/* The crossings that a call notes which fails, wanted n, has done this, and
 * began at a turn.  Little is left of the pool before and after it, as others
 * have given more and have still to look. */
static uint64_t
crossed_by_failure(unsigned n, uint32_t did, uint64_t turn)
{
    uint32_t *mine = &fph_this.did[fph_number_of(heap->state)];
    uint64_t  was = pools_water() / FPH_CROSSING;

    *mine = did;
    fph_water_failed(heap, FPH_SIZES + pool->number, n, turn);
    *mine = 0;
    return pools_water() / FPH_CROSSING - was;
}

static void
a_failed_call_looks_at_what_it_gave_and_what_others_did_meanwhile(void **state)
{
    fph_word *turn;

    (void)state;
    begin(50, 5, 30, 0);
    turn = &heap->state->turn;
    fph_fetch_add_relaxed(&heap->state->water[1 + pool->number].is,
                          FPH_CROSSING);
    assert_int_equal(crossed_by_failure(1, 0, *turn), 0);
    assert_int_equal(crossed_by_failure(2, 0, *turn), 0);
    assert_int_equal(crossed_by_failure(1, FPH_GAVE, *turn), 2);
    assert_int_equal(*turn / FPH_FAILURE, 3);
    assert_int_equal(crossed_by_failure(1, 0, *turn - FPH_FAILURE), 0);
    fph_fetch_add_relaxed(turn, FPH_FAILURE);
    assert_int_equal(*turn / FPH_FAILURE, 5);
    assert_int_equal(crossed_by_failure(2, 0, *turn - FPH_FAILURE), 2);
    assert_int_equal(crossed_by_failure(1, 0, *turn - 1), 1); /* others gave */
    assert_int_equal(crossed_by_failure(1, 0, *turn - 1), 2);
    assert_int_equal(crossed_by_failure(1, 0, *turn), 1);
    fph_fetch_add_relaxed(&heap->state->water[1 + pool->number].is,
                          FPH_CROSSING);
    end(0);
}

/* --- within crossed() ----------------------------------------------------- */

static void
look_at_wait(told *of)
{
    of->wrong += fph_this.wait_end != 0;
}

/* Whatever the call has waited that tells it. */
static void
crossed_may_wait_as_long_as_a_call(void **state)
{
    unsigned i;

    (void)state;
    begin(50, 5, 30, 0);
    i = 1 + pool->number;
    t.then = look_at_wait;
    fph_fetch_add_relaxed(&heap->state->water[i].is, FPH_CROSSING + FPH_UNTOLD);
    fph_this.wait_end = 1;     /* long ago */
    assert_int_equal(fph_water_tell(heap, i), 1);
    TOLD(t, 1);
    assert_int_equal(fph_water_tell(heap, i), 0);
    TOLD(t, 1);
    fph_fetch_add_relaxed(&heap->state->water[i].is, FPH_CROSSING);
    end(0);
}

static void
use_everything(told *of)
{
    fpheap_stats stats;
    void        *bulk[40];

    if (fpheap_pool_get_bulk(of->pool, bulk, 40) == 0)
        fpheap_pool_put_bulk(of->pool, bulk, 40);
    if (fpheap_alloc_bulk(of->heap, 500, bulk, 40) == 0)
        fpheap_free_bulk(of->heap, bulk, 40);
    fpheap_free(of->heap, fpheap_alloc(of->heap, 3 * FPHEAP_CHUNK));
    fpheap_stats_get(of->heap, &stats);
    fpheap_trim(of->heap);
    fpheap_thread_leave(of->heap);
    of->wrong += fpheap_destroy(of->heap) != -EBUSY;
    of->wrong += fpheap_destroy_forced(of->heap) != -EBUSY;
    of->wrong += fpheap_pool_destroy(of->pool, NULL) != -EBUSY;
    errno = EDOM;
}

static void
it_may_use_the_heap_but_not_end_it_and_errno_stays(void **state)
{
    unsigned n;

    (void)state;
    begin(100, 10, 60, 0);
    t.then = use_everything;
    n = get_until(pool, ENOSPC);
    assert_int_equal(n, 100);
    assert_true(t.n >= 1);
    errno = 7;
    put_all(pool, n);
    assert_int_equal(errno, 7);
    assert_int_equal(t.wrong, 0);
    assert_int_equal(t.n % 2, 0);
    end(0);
}

/* Take what there is at 1, and give it back at 0, so that each crossing makes
 * the next. */
static void
cross_again(told *of)
{
    if (of->n >= 100)
        of->then = NULL;
    else if (of->room)
        while ((of->kept[of->keeps] = fpheap_pool_get(of->pool)) != NULL)
            of->keeps++;
    else
        while (of->keeps > 0)
            fpheap_pool_put(of->pool, of->kept[--of->keeps]);
}

/* With nothing live it is not the pool's objects that keep it. */
static void
end_pool(told *of)
{
    struct timespec from, to;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
    if (of->room)
        of->wrong += fpheap_pool_destroy(of->pool, NULL) != -EBUSY;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
    of->wrong += (to.tv_sec - from.tv_sec) * 1000000000L + to.tv_nsec
              - from.tv_nsec > FPHEAP_GROWTH_WAIT_MS * 100000L; /* a tenth of it */
}

static void
its_own_pool_is_ebusy_at_once(void **state)
{
    (void)state;
    begin(50, 5, 50, 0);
    t.then = end_pool;
    put_all(pool, get_until(pool, ENOSPC));
    TOLD(t, 2);
    end(0);
}

static void *
end_it(void *arg)
{
    const told     *of = (const told *)arg;
    struct timespec from, to;

    clock_gettime(CLOCK_MONOTONIC, &from);
    if (fpheap_pool_destroy(of->pool, NULL) != -EBUSY)
        return NULL;
    clock_gettime(CLOCK_MONOTONIC, &to);
    return (to.tv_sec - from.tv_sec) * 1000 + (to.tv_nsec - from.tv_nsec)
           / 1000000 < FPHEAP_GROWTH_WAIT_MS / 2 ? NULL : arg;
}

/* Have another thread end the pool, of which nothing is live. */
static void
end_elsewhere(told *of)
{
    pthread_t thread;
    void     *waited = NULL;

    if (!of->room)
        return;
    of->wrong += pthread_create(&thread, NULL, end_it, of) != 0;
    of->wrong += pthread_join(thread, &waited) != 0;
    of->wrong += waited != of;
}

static void
who_ends_a_pool_waits_for_whoever_is_told_of_it(void **state)
{
    unsigned n;

    (void)state;
    begin(50, 5, 50, 0);
    t.then = end_elsewhere;
    put_all(pool, get_until(pool, ENOSPC));
    TOLD(t, 2);
    assert_int_equal(t.wrong, 0);
    t.then = NULL;             /* and the pool goes on as it was */
    n = get_until(pool, ENOSPC);
    assert_int_equal(n, 50);
    TOLD(t, 3);
    put_all(pool, n);
    TOLD(t, 4);
    end(0);
}

/* Two pools, of which the one's crossing makes the other's. */
static told second;

static void
get_second(told *of)
{
    if (of->room == 0)
        of->keeps = (unsigned)fpheap_pool_get_burst(second.pool, of->kept, 60);
    of->wrong += second.inside != 0 || second.n != 0;
}

static void
no_crossing_is_told_within_another(void **state)
{
    unsigned n;

    (void)state;
    begin(50, 5, 30, 0);
    (void)make_pool("second", &second, 50, 5, 30, 0);
    t.then = get_second;
    for (n = 0; t.n == 0; n++)
        assert_non_null(objects[n] = fpheap_pool_get(pool));
    TOLD(t, 1);
    TOLD(second, 1);
    fpheap_pool_put_bulk(second.pool, t.kept, t.keeps);
    TOLD(second, 2);
    t.then = NULL;
    END(second.pool);
    end(n);
}

/* The next pool of the number has no watermarks, and is not short of anything. */
static void
the_watermarks_of_a_pool_end_with_it(void **state)
{
    fpheap_pool_desc desc = described("plain", 200, 0);
    unsigned         n;

    (void)state;
    begin(100, 99, 100, 0);
    get_all(pool, 40);
    TOLD(t, 1);
    assert_int_equal(fpheap_pool_destroy(pool, NULL), -EBUSY);
    assert_int_equal(fpheap_pool_set_max(pool, 139), 0);
    TOLD(t, 1);
    assert_int_equal(fpheap_pool_set_max(pool, 140), 0);
    TOLD(t, 2);
    fpheap_pool_set_max(pool, 100);
    TOLD(t, 3);
    assert_int_equal(fpheap_pool_set_max(pool, 60), 0);
    put_all(pool, 40);
    TOLD(t, 3);
    END(pool);
    desc.max = 100;
    pool = CREATE(heap, &desc);
    n = get_until(pool, ENOSPC);
    assert_int_equal(n, 100);
    put_all(pool, n);
    get_all(pool, 10);
    put_all(pool, 10);
    assert_true(STATS(pool).parked_objects != 0);
    TOLD(t, 3);
    end(0);
}

/* While it is tried, nobody is told of the pool. */
static void
a_destroy_that_fails_tells_of_what_was_put_meanwhile(void **state)
{
    fph_word *water;
    unsigned  n = 95;

    (void)state;
    begin(100, 10, 60, 0);
    get_all(pool, n);
    TOLD(t, 1);
    water = &heap->state->water[1 + pool->number].is;
    fph_fetch_and_relaxed(water, ~FPH_OPEN);
    while (n > 20)
        fpheap_pool_put(pool, objects[--n]);
    TOLD(t, 1);
    fph_fetch_or_relaxed(water, FPH_OPEN);
    assert_int_equal(fpheap_pool_destroy(pool, NULL), -EBUSY);
    TOLD(t, 2);
    end(n);
}

static void
what_it_crosses_itself_is_told_when_it_has_returned(void **state)
{
    (void)state;
    begin(50, 5, 30, 0);
    get_all(pool, 10);
    t.then = cross_again;
    while (t.n == 0) {
        void *object = fpheap_pool_get(pool); /* which may change t */

        assert_non_null(object);
        t.kept[t.keeps++] = object;
    }
    assert_in_range(t.n, 100, 102);
    assert_int_equal(t.wrong, 0);
    put_kept();
    end(10);
}

/* A constructor that crosses a pool's watermark: the call around it is not over. */
static int
take_inner(void *arg, void *object)
{
    (void)arg, (void)object;
    t.kept[t.keeps++] = fpheap_pool_get(pool);
    return t.n == 0 ? 0 : -EIO;
}

static void
it_is_told_after_the_outermost_call(void **state)
{
    fpheap_pool_desc desc = described("outer", 100000, 0);
    fpheap_pool     *outer;

    (void)state;
    begin(20, 18, 19, 0);
    desc.construct = take_inner;
    outer = CREATE(heap, &desc);
    assert_non_null(objects[0] = fpheap_pool_get(outer));
    assert_true(t.keeps >= 2);
    TOLD(t, 1);
    fpheap_pool_put(outer, objects[0]);
    put_kept();
    TOLD(t, 2);
    END(outer);
    end(0);
}

/* --- what is parked ------------------------------------------------------- */

static pthread_barrier_t barrier;

/* A thread that has parked objects, and later frees one: by a hit, as many as
 * its magazine takes. */
static void *
park_then_free(void *unused)
{
    unsigned i;

    (void)unused;
    for (i = 0; i < 30; i++)
        t.kept[i] = fpheap_pool_get(pool);
    for (i = 20; i < 30; i++)
        fpheap_pool_put(pool, t.kept[i]);
    pthread_barrier_wait(&barrier);    /* the other takes the rest */
    pthread_barrier_wait(&barrier);
    for (i = 0; i < 20 && t.n == 1; i++)
        fpheap_pool_put(pool, t.kept[i]);
    t.keeps = i;
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    for (; i < 20; i++)
        fpheap_pool_put(pool, t.kept[i]);
    return NULL;
}

static void
a_free_is_seen_when_its_thread_has_freed_a_magazine_more(void **state)
{
    static const unsigned magazines[] = { 0, 2, 8, 16 };
    unsigned              m;

    (void)state;
    for (m = 0; m < TEST_COUNT(magazines); m++) {
        pthread_t thread;
        unsigned  n;

        begin(200, 0, 1, magazines[m]);
        assert_int_equal(pthread_barrier_init(&barrier, NULL, 2), 0);
        assert_int_equal(pthread_create(&thread, NULL, park_then_free, NULL), 0);
        pthread_barrier_wait(&barrier);
        n = get_until(pool, ENOSPC);
        TOLD(t, 1);
        pthread_barrier_wait(&barrier);
        pthread_barrier_wait(&barrier);
        TOLD(t, 2);
        assert_true(t.keeps <= STATS(pool).magazine + 1);
        assert_non_null(objects[n++] = fpheap_pool_get(pool));
        pthread_barrier_wait(&barrier);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(pthread_barrier_destroy(&barrier), 0);
        end(n);
    }
}

static size_t
bytes_in_depots(void)
{
    fpheap_stats stats;

    fpheap_stats_get(heap, &stats);
    return stats.depot_bytes;
}

/* What lies in a depot, or is put there while little is left. */
static void
no_object_waits_in_a_depot_while_little_is_left(void **state)
{
    (void)state;
    begin(400, 50, 300, 64);
    get_all(pool, 220);
    put_all(pool, 220);
    TOLD(t, 0);
    assert_true(bytes_in_depots() != 0);
    get_all(pool, 20);
    assert_int_equal(fpheap_pool_set_max(pool, 100), 0);
    TOLD(t, 1);
    fpheap_flush(heap);
    assert_int_equal(STATS(pool).parked_objects, 0);
    assert_int_equal(fpheap_pool_set_max(pool, 0), 0);
    TOLD(t, 2);
    end(20);
}

/* Nor in those of any class when a large object leaves the heap little, and then
 * no thread parks any of what it frees. */
static void
nothing_is_parked_while_a_heap_has_little_left(void **state)
{
    static const size_t sizes[] = { 200, 1000, 1100, 1300 };
    fpheap_stats        stats;
    void               *large;
    unsigned            i;

    (void)state;
    make_heap(&t, 16 * FPHEAP_CHUNK, 4 * FPHEAP_CHUNK, 8 * FPHEAP_CHUNK);
    for (i = 0; i < TEST_COUNT(sizes); i++) {
        assert_int_equal(fpheap_alloc_bulk(heap, sizes[i], objects, 1000), 0);
        fpheap_free_bulk(heap, objects, 1000);
    }
    assert_true(bytes_in_depots() != 0);
    large = fpheap_alloc(heap, 12 * FPHEAP_CHUNK);
    TOLD(t, 1);
    assert_int_equal(bytes_in_depots(), 0);
    for (i = 0; i < TEST_COUNT(sizes); i++) {
        assert_int_equal(fpheap_alloc_bulk(heap, sizes[i], objects, 500), 0);
        fpheap_free_bulk(heap, objects, 500);
        fpheap_free(heap, fpheap_alloc(heap, sizes[i]));
    }
    fpheap_stats_get(heap, &stats);
    assert_int_equal(stats.parked_bytes, 0);
    TOLD(t, 1);
    fpheap_free(heap, large);
    TOLD(t, 2);
    TEST_DESTROY_OVER(heap, &provider);
}

/* Nor in one of a pool of which a call has failed. */
static void
no_depot_has_any_of_a_pool_that_has_failed(void **state)
{
    (void)state;
    begin(300, 0, 100, 16);
    get_all(pool, 150);
    put_all(pool, 150);
    assert_true(bytes_in_depots() != 0);
    get_all(pool, 4);
    assert_int_equal(fpheap_pool_get_bulk(pool, others, 298), -ENOSPC);
    TOLD(t, 1);
    assert_int_equal(bytes_in_depots(), 0);
    end(4);
}

static void *
leave_at_exit(void *unused)
{
    (void)unused;
    put_kept();
    return NULL;
}

static void
what_a_thread_frees_last_is_seen_when_it_exits(void **state)
{
    unsigned n;

    (void)state;
    begin(100, 60, 100, 64);
    get_all(pool, n = 50);
    while (t.keeps < 50)
        t.kept[t.keeps++] = objects[--n];
    fpheap_flush(heap);
    t.n = t.n & 1;
    elsewhere(leave_at_exit);
    TOLD(t, 2);
    assert_false(pthread_equal(t.by, pthread_self()));
    end(0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            a_pools_crossings_are_told_once_each_and_between_its_watermarks_none),
        cmocka_unit_test(
            a_heaps_crossings_are_told_in_bytes_of_small_and_large_objects),
        cmocka_unit_test(what_an_object_grows_or_shrinks_by_counts),
        cmocka_unit_test(what_a_child_takes_and_gives_back_is_told_as_it_does),
        cmocka_unit_test(a_limit_or_max_that_changes_crosses),
        cmocka_unit_test(a_limit_below_what_is_claimed_leaves_nothing),
        cmocka_unit_test(watermarks_out_of_range_or_without_a_limit_are_einval),
        cmocka_unit_test(a_bulk_is_told_of_when_all_of_it_is_freed),
        cmocka_unit_test(
            a_get_that_failed_is_told_of_the_next_put_of_any_thread),
        cmocka_unit_test(
            a_bulk_that_failed_is_told_of_what_others_free_and_not_of_its_own),
        cmocka_unit_test(
            for_want_of_memory_a_pool_is_told_of_any_free_of_the_heap),
        cmocka_unit_test(a_pools_max_is_no_want_of_the_heap_but_memory_is),
        cmocka_unit_test(
            a_failure_of_as_many_as_max_leaves_is_a_want_of_the_heap),
        cmocka_unit_test(a_call_that_has_done_nothing_tells_nothing),
        cmocka_unit_test(crossings_go_on_behind_those_of_a_pool_that_has_ended),
        cmocka_unit_test(a_turn_counts_the_calls_that_gave_something),
        cmocka_unit_test(
            a_failed_call_looks_at_what_it_gave_and_what_others_did_meanwhile),
        cmocka_unit_test(crossed_may_wait_as_long_as_a_call),
        cmocka_unit_test(it_may_use_the_heap_but_not_end_it_and_errno_stays),
        cmocka_unit_test(its_own_pool_is_ebusy_at_once),
        cmocka_unit_test(who_ends_a_pool_waits_for_whoever_is_told_of_it),
        cmocka_unit_test(no_crossing_is_told_within_another),
        cmocka_unit_test(the_watermarks_of_a_pool_end_with_it),
        cmocka_unit_test(a_destroy_that_fails_tells_of_what_was_put_meanwhile),
        cmocka_unit_test(what_it_crosses_itself_is_told_when_it_has_returned),
        cmocka_unit_test(it_is_told_after_the_outermost_call),
        cmocka_unit_test(
            a_free_is_seen_when_its_thread_has_freed_a_magazine_more),
        cmocka_unit_test(no_object_waits_in_a_depot_while_little_is_left),
        cmocka_unit_test(nothing_is_parked_while_a_heap_has_little_left),
        cmocka_unit_test(no_depot_has_any_of_a_pool_that_has_failed),
        cmocka_unit_test(what_a_thread_frees_last_is_seen_when_it_exits)
    };

    return cmocka_run_group_tests_name("water", tests, NULL, NULL);
}
