/* test_prefill.c - after fpheap_prefill(heap, size, n) this thread's next n
 * allocations of that size are hits, whatever the provider and other threads do
 *
 * So they neither fail nor wait; stepped through, they execute no instruction
 * twice and call no system.  What the thread frees or allocates otherwise, a
 * pass, idleness and a fork take nothing of it; it ends when it has been used, or
 * the thread says so.  test_prefill_check.c is the same with other settings.
 *
 * A miss is noticed by what only a miss does: it follows what others ask for.
 */
#ifndef _GNU_SOURCE
#  define _GNU_SOURCE 1
#endif
#include "reports.h"

#define FPHEAP_IMPLEMENTATION
#include "fpheap.h"
#include "shared_util.h"

static unsigned
most_of(const fpheap *heap, size_t size)
{
    return heap->state->classes[fph_class_said(size)].magazine;
}

static size_t
loaded(const fpheap *heap, unsigned bin)
{
    const fph_bin *at = &fph_cache_mine(heap)->bins[bin];

    return (size_t)(at->top - at->base);
}

static unsigned
bin_of(size_t size)
{
    return fph_class_said(size);
}

static unsigned
bin_of_pool(const fpheap_pool *pool)
{
    return FPH_SIZES + pool->number;
}

/* From here on a heap gets nothing more from its provider. */
static void
refuse(test_provider *from)
{
    from->fail_from = from->gets + 1;
    from->fail_to = UINT_MAX;
}

static void
serve(test_provider *from)
{
    from->fail_from = 0;
}

/* Others ask for what is parked.  Then no call of this thread is a miss until
 * hits_end. */
static void
hits_begin(fpheap *heap)
{
    (void)fph_cache_here(heap, 0 /* grow */);
    fph_fetch_add_relaxed(&heap->state->asked, 1);
}

static int
all_were_hits(const fpheap *heap)
{
    return fph_cache_mine(heap)->asked
           != fph_load_relaxed(&heap->state->asked);
}

enum { ONE_BY_ONE, IN_A_BULK, IN_BULKS, BY_CACHE, WAYS };

/* Allocate n objects.  Returns 0: one failed. */
static int
take(fpheap *heap, size_t size, unsigned n, int way, void **to)
{
    fpheap_cache *cache = fph_cache_mine(heap);
    unsigned      i, step;

    if (way == IN_A_BULK)
        return fpheap_alloc_bulk(heap, size, to, n) == 0;
    for (i = 0; i < n; i += step) {
        step = way == IN_BULKS && n - i >= 3 ? 3 : 1;
        if (way == IN_BULKS) {
            if (fpheap_alloc_bulk(heap, size, to + i, step) != 0)
                return 0;
            continue;
        }
        to[i] = way == BY_CACHE ? fpheap_cache_alloc(cache, size)
                                : fpheap_alloc(heap, size);
        if (to[i] == NULL)
            return 0;
    }
    return 1;
}

/* So many allocations, written to objects[] and freed again, are hits. */
static void
expect_hits_at(fpheap *heap, size_t size, unsigned n, int way, const char *file,
               int line)
{
    unsigned i;

    hits_begin(heap);
    if (!take(heap, size, n, way, objects) || !all_were_hits(heap)) {
        print_error("%u objects of %zu bytes, way %d\n", n, size, way);
        _fail(file, line);
    }
    for (i = 0; i < n; i++)
        test_fill(objects[i], size, i);
    for (i = 0; i < n; i++)
        assert_true(test_filled(objects[i], size, i));
    fpheap_free_bulk(heap, objects, n);
}

#define EXPECT_HITS(heap, size, n, way) \
    expect_hits_at(heap, size, n, way, __FILE__, __LINE__)

static const size_t sizes[] = { 1, 16, 100, 1500, 2048, 9000, 70000,
                                FPH_SIZED_MAX };

/* --- what is promised ----------------------------------------------------- */

static void
the_next_n_allocations_hit_in_every_form(void **state)
{
    fpheap  *heap = test_heap_over(&provider);
    unsigned i, n;
    int      way;

    (void)state;
    for (i = 0; i < TEST_COUNT(sizes); i++) {
        unsigned most = most_of(heap, sizes[i]);

        for (way = 0; way < WAYS; way++) {
            for (n = 1; n <= most; n = n < most && 3 * n > most ? most : 3 * n) {
                fpheap_flush(heap);
                (void)fpheap_trim(heap);
                assert_int_equal(fpheap_prefill(heap, sizes[i], n), 0);
                refuse(&provider);
                EXPECT_HITS(heap, sizes[i], n, way);
                serve(&provider);
            }
        }
    }
    TEST_DESTROY_OVER(heap, &provider);
}

static fpheap_pool *
pool_of(fpheap *heap, unsigned magazine, size_t max)
{
    fpheap_pool_desc desc;
    fpheap_pool     *pool;

    memset(&desc, 0, sizeof desc);
    desc.name = "prefilled";
    desc.size = 104;
    desc.magazine = magazine;
    desc.max = max;
    pool = fpheap_pool_create(heap, &desc);
    assert_non_null(pool);
    return pool;
}

static const unsigned magazines[] = { 2, 3, 5, 16, 31, 32, 100, FPHEAP_MAGAZINE };

static void
so_do_gets_of_a_pool(void **state)
{
    fpheap  *heap = test_heap_over(&provider);
    unsigned i, j, n;

    (void)state;
    for (i = 0; i < TEST_COUNT(magazines); i++) {
        unsigned     most = magazines[i];
        fpheap_pool *pool = pool_of(heap, most, 0);

        for (n = 1; n <= most; n = n < most && 3 * n > most ? most : 3 * n) {
            assert_int_equal(fpheap_pool_prefill(pool, n), 0);
            hits_begin(heap);
            for (j = 0; j < n / 2; j++)
                assert_non_null(objects[j] = fpheap_pool_get(pool));
            assert_int_equal(fpheap_pool_get_bulk(pool, objects + j, n - j), 0);
            assert_true(all_were_hits(heap));
            fpheap_pool_put_bulk(pool, objects, n);
        }
        assert_int_equal(fpheap_pool_prefill(pool, most + 1), -EINVAL);
        assert_int_equal(fpheap_pool_destroy(pool, NULL), 0);
    }
    TEST_DESTROY_OVER(heap, &provider);
}

static void *
trim(void *heap)
{
    (void)fpheap_trim((fpheap *)heap);
    return NULL;
}

static void
let_another(void *(*work)(void *), void *arg)
{
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, work, arg), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

/* Miss so often that each class is looked at twice. */
static void
use_other_sizes(fpheap *heap)
{
    unsigned i, n = 0;

    for (i = 0; i < 3 * FPH_SIZES; i++) {
        objects[n] = fpheap_alloc(heap, 5000 + i % 2 * 50000);
        n += objects[n] != NULL;
    }
    fpheap_free_bulk(heap, objects, n);
}

static void
passes_and_idleness_take_nothing_of_it(void **state)
{
    fpheap  *heap = test_heap_over(&provider);
    unsigned i;
    void    *list;

    (void)state;
    for (i = 0; i < TEST_COUNT(sizes); i++)
        assert_int_equal(fpheap_prefill(heap, sizes[i],
                                        most_of(heap, sizes[i])), 0);
    let_another(trim, heap);
    use_other_sizes(heap);
    (void)fpheap_trim(heap);
    refuse(&provider);
    (void)test_take_all(heap, 300, &list);
    use_other_sizes(heap);
    for (i = 1; i < TEST_COUNT(sizes); i++) /* the first is the next one's too */
        EXPECT_HITS(heap, sizes[i], most_of(heap, sizes[i]), ONE_BY_ONE);
    test_free_all(heap, list);
    TEST_DESTROY_OVER(heap, &provider);
}

/* Of what the thread parks besides, the spare. */
static void
a_pass_takes_what_is_beyond_it(void **state)
{
    fpheap  *heap = test_heap_over(&provider);
    unsigned most = most_of(heap, 64), i;

    (void)state;
    assert_int_equal(fpheap_alloc_bulk(heap, 64, objects, 2 * most), 0);
    assert_int_equal(fpheap_prefill(heap, 64, 8), 0);
    for (i = 0; i < 2 * most; i++)
        fpheap_free(heap, objects[i]);
    assert_true(fph_spare_count(fph_cache_mine(heap), bin_of(64)) > 0);
    fph_fetch_add_relaxed(&heap->state->asked, 1);
    fpheap_free(heap, fpheap_alloc(heap, 3 * FPHEAP_CHUNK));
    assert_int_equal(fph_spare_count(fph_cache_mine(heap), bin_of(64)), 0);
    EXPECT_HITS(heap, 64, 8, ONE_BY_ONE);
    TEST_DESTROY_OVER(heap, &provider);
}

/* What is kept cannot be taken back, so no pass is begun for it. */
static void
what_is_kept_does_not_make_a_pass_pay(void **state)
{
    fpheap  *heap = test_heap_over(&provider);
    size_t   size = FPH_SIZED_MAX;
    unsigned i;
    uint64_t passes;

    (void)state;
    for (i = 0; i < 8; i++)
        assert_int_equal(fpheap_prefill(heap, size - i * (size / 16),
                                        most_of(heap, size - i * (size / 16))),
                         0);
    passes = fph_load_relaxed(&heap->state->reclaims);
    for (i = 0; i < 8; i++)
        assert_non_null(fpheap_alloc(heap, 3 * FPHEAP_CHUNK));
    assert_int_equal(fph_load_relaxed(&heap->state->reclaims), passes);
    assert_int_equal(fpheap_destroy_forced(heap), 0);
    assert_int_equal(provider.held, 0);
}

/* There are no more magazines than the heap has. */
static void
take_empty_magazines(fpheap *heap)
{
    while (fph_stack_pop(heap->state, fph_empties(heap->state, 0)) != NULL)
        ;
    while (fph_meta_cut(heap->state, FPH_LINE) != 0)
        ;
    fph_store_relaxed(&heap->state->magazines, 1u << 20);
}

/* Leave a bin in any state: with a spare that is full, empty or neither, or with
 * none. */
static void
churn(fpheap_pool *pool, test_random *random, unsigned most)
{
    unsigned i, n = (unsigned)test_below(random, 2 * most), got = 0;

    assert_int_equal(fpheap_pool_prefill(pool, 0), 0);
    for (i = 0; i < n; i++)
        if ((others[got] = fpheap_pool_get(pool)) != NULL)
            got++;
    if (test_below(random, 4) == 0)
        fpheap_flush(pool->heap);
    while (got > 0)
        fpheap_pool_put(pool, others[--got]);
}

/* Any gets and puts, in bulks too; after each the promise holds. */
static void
walk(fpheap_pool *pool, test_random *random, unsigned most, size_t live)
{
    fpheap  *heap = pool->heap;
    unsigned bin  = bin_of_pool(pool);
    size_t   n    = 0, taken = 0, few;
    unsigned step;

    for (step = 0; step < 3000; step++) {
        if (step == 0 || taken == n) {
            churn(pool, random, most);
            n = 1 + test_below(random, most);
            taken = 0;
            if (fpheap_pool_prefill(pool, (unsigned)n) != 0)
                n = 0;         /* all that the pool may have is live */
        }
        few = 1 + test_below(random, test_below(random, 4) == 0 ? most : 3);
        if (test_below(random, 100) < (step / 500 % 2 == 0 ? 30 : 70)) {
            few = few < n - taken ? few : n - taken;
            if (live + few > MOST)
                continue;
            hits_begin(heap);
            assert_int_equal(fpheap_pool_get_bulk(pool, objects + live,
                                                  (unsigned)few), 0);
            assert_true(all_were_hits(heap));
            live += few;
            taken += few;
        } else {
            few = few < live ? few : live;
            live -= few;
            if (few == 1)
                fpheap_pool_put(pool, objects[live]);
            else
                fpheap_free_bulk(heap, objects + live, (unsigned)few);
        }
        assert_true(loaded(heap, bin) + taken >= n);
    }
    fpheap_pool_put_bulk(pool, objects, (unsigned)live);
}

static void
frees_in_between_take_nothing_of_it(void **state)
{
    test_random random = test_random_of(17);
    unsigned    i, few, round, rounds = 2 * test_soak();

    (void)state;
    for (round = 0; round < rounds; round++) {
        for (i = 0; i < TEST_COUNT(magazines); i++) {
            for (few = 0; few < 2; few++) {
                fpheap      *heap = test_heap_over(&provider);
                unsigned     most = magazines[i];
                fpheap_pool *pool = pool_of(heap, most, 6 * most);
                unsigned     live = 5 * most;

                assert_int_equal(fpheap_pool_get_bulk(pool, objects, live), 0);
                assert_int_equal(fpheap_pool_prefill(pool, 1), 0);
                if (few)
                    take_empty_magazines(heap);
                walk(pool, &random, most, live);
                fpheap_flush(heap);
                assert_int_equal(fpheap_destroy(heap), 0);
            }
        }
    }
}

/* The loaded magazine has them already, and the spare is empty: a free that finds
 * no room divides between the two. */
static void
nor_does_one_that_finds_the_spare_empty(void **state)
{
    fpheap      *heap = test_heap_over(&provider);
    fpheap_pool *pool = pool_of(heap, 16, 0);
    unsigned     bin  = bin_of_pool(pool), i;

    (void)state;
    assert_int_equal(fpheap_pool_get_bulk(pool, objects, 40), 0);
    fpheap_flush(heap);
    for (i = 0; i < 20; i++)
        fpheap_pool_put(pool, objects[i]);
    for (i = 0; i < 13; i++)
        assert_non_null(objects[i] = fpheap_pool_get(pool));
    assert_int_equal(fph_spare_count(fph_cache_mine(heap), bin), 0);
    assert_non_null(fph_cache_mine(heap)->spare[bin]);
    while (loaded(heap, bin) < 12)
        fpheap_pool_put(pool, objects[--i]);
    assert_int_equal(fpheap_pool_prefill(pool, 12), 0);
    while (loaded(heap, bin) < 16)
        fpheap_pool_put(pool, objects[--i]);
    fpheap_pool_put(pool, objects[39]);
    assert_int_equal(loaded(heap, bin), 13);
    assert_int_equal(fpheap_destroy_forced(heap), 0);
    assert_int_equal(provider.held, 0);
}

/* A thread that only frees has room for many after each that is no hit. */
static void
frees_are_still_hits(void **state)
{
    fpheap        *heap = test_heap_over(&provider);
    unsigned       most = most_of(heap, 64), i, misses = 0;
    fpheap_cache  *cache;

    (void)state;
    for (i = 0; i < MOST; i++)
        assert_non_null(objects[i] = fpheap_alloc(heap, 64));
    fpheap_flush(heap);
    assert_int_equal(fpheap_prefill(heap, 64, most / 16), 0);
    cache = fph_cache_mine(heap);
    for (i = 0; i < MOST; i++) {
        misses += cache->bins[bin_of(64)].top == cache->bins[bin_of(64)].limit;
        fpheap_free(heap, objects[i]);
    }
    assert_true(misses <= 2 * MOST / most + 2);
    EXPECT_HITS(heap, 64, most / 16, ONE_BY_ONE);
    TEST_DESTROY_OVER(heap, &provider);
}

/* --- what is not ---------------------------------------------------------- */

static void
what_cannot_be_kept_is_refused(void **state)
{
    fpheap  *heap = test_heap_over(&provider);
    unsigned i;

    (void)state;
    for (i = 0; i < TEST_COUNT(sizes); i++) {
        assert_int_equal(fpheap_prefill(heap, sizes[i],
                                        most_of(heap, sizes[i]) + 1), -EINVAL);
        assert_int_equal(fpheap_prefill(heap, sizes[i], UINT_MAX), -EINVAL);
    }
    assert_int_equal(fpheap_prefill(heap, FPH_SIZED_MAX + 1, 1), -EINVAL);
    assert_int_equal(fpheap_prefill(heap, SIZE_MAX, 1), -EINVAL);
    assert_int_equal(fpheap_prefill(heap, SIZE_MAX, 0), -EINVAL);
    TEST_DESTROY_OVER(heap, &provider);
}

static void *
prefill_without_a_cache(void *heap_)
{
    static int rc;
    fpheap    *heap = (fpheap *)heap_;

    fph_this.patience = FPH_NEVER; /* as a thread that exits */
    rc = fpheap_prefill(heap, 64, 1);
    return &rc;
}

static void
a_thread_without_a_cache_cannot_have_it(void **state)
{
    fpheap   *heap = test_heap_over(&provider);
    pthread_t thread;
    void     *rc;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, prefill_without_a_cache,
                                    heap), 0);
    assert_int_equal(pthread_join(thread, &rc), 0);
    assert_int_equal(*(int *)rc, -EAGAIN);
    TEST_DESTROY_OVER(heap, &provider);
}

static void *
prefill_one(void *heap)
{
    static int rc;

    rc = fpheap_prefill((fpheap *)heap, 2048, 1);
    return &rc;
}

static void
a_failure_takes_nothing(void **state)
{
    fpheap    *heap = test_heap_within(&provider, 4 * FPHEAP_CHUNK);
    unsigned   most = most_of(heap, 2048);
    void      *list;
    size_t     n = test_take_all(heap, 100000, &list);
    pthread_t  thread;
    void      *rc;

    (void)state;
    while (fpheap_prefill(heap, 2048, 1) == 0)
        test_push(&list, (n++, fpheap_alloc(heap, 2048)));
    assert_int_equal(fpheap_prefill(heap, 2048, most), -ENOMEM);
    assert_int_equal(fpheap_prefill(heap, 2048, 1), -ENOMEM);
    provider.error = -EIO;
    assert_int_equal(fpheap_prefill(heap, 2048, 1), -EIO);
    assert_int_equal(pthread_create(&thread, NULL, prefill_one, heap), 0);
    assert_int_equal(pthread_join(thread, &rc), 0);
    assert_true(*(int *)rc != 0);
    fpheap_set_limit(heap, 2 * FPHEAP_CHUNK);
    assert_int_equal(fpheap_prefill(heap, 2048, 1), -ENOSPC);
    TEST_CHECK_LIVE(heap, n);
    fpheap_flush(heap);
    test_free_all(heap, list);
    TEST_DESTROY_OVER(heap, &provider);
}

/* Also of what this thread and the depot park, and with a quota that is lowered
 * meanwhile. */
static void
a_pools_quota_counts_what_is_kept(void **state)
{
    fpheap      *heap = test_heap_over(&provider);
    fpheap_pool *pool = pool_of(heap, 8, 20);
    fpheap_pool_stats stats;
    unsigned     i;

    (void)state;
    assert_int_equal(fpheap_pool_get_bulk(pool, objects, 20), 0);
    assert_int_equal(fpheap_pool_prefill(pool, 1), -ENOSPC);
    for (i = 0; i < 9; i++)
        fpheap_pool_put(pool, objects[i]);
    assert_int_equal(fpheap_pool_prefill(pool, 7), 0);
    fpheap_pool_put_bulk(pool, objects + 9, 11);
    assert_int_equal(fpheap_pool_get_bulk(pool, objects, 13), 0);
    assert_int_equal(fpheap_pool_prefill(pool, 8), -ENOSPC);
    assert_int_equal(fpheap_pool_prefill(pool, 7), 0);
    assert_int_equal(fpheap_pool_set_max(pool, 1), 0);
    hits_begin(heap);
    assert_int_equal(fpheap_pool_get_bulk(pool, objects + 13, 7), 0);
    assert_true(all_were_hits(heap));
    assert_null(fpheap_pool_get(pool));
    fpheap_pool_stats_get(pool, &stats);
    assert_int_equal(stats.claimed_objects, 20);
    fpheap_pool_put_bulk(pool, objects, 20);
    assert_int_equal(fpheap_pool_destroy(pool, NULL), 0);
    TEST_DESTROY_OVER(heap, &provider);
}

static int
prefill_own(fpheap_pool *pool, void *arg, void *object, size_t nth)
{
    (void)object;
    (void)nth;
    *(int *)arg = fpheap_pool_prefill(pool, 1);
    return 0;
}

static void
a_callback_cannot_have_it(void **state)
{
    fpheap          *heap = test_heap_over(&provider);
    int              rc   = 0;
    fpheap_pool_desc desc = { .name = "nth", .size = 100, .arg = &rc,
                              .construct_nth = prefill_own };
    fpheap_pool     *pool = fpheap_pool_create(heap, &desc);

    (void)state;
    assert_non_null(pool);
    fpheap_pool_put(pool, fpheap_pool_get(pool));
    assert_int_equal(rc, -EBUSY);
    TEST_DESTROY_OVER(heap, &provider);
}

static int
put_what_is_held(fpheap_pool *pool, void *arg, void *object, size_t nth)
{
    unsigned *held = (unsigned *)arg;

    (void)object;
    (void)nth;
    while (*held > 0)
        fpheap_pool_put(pool, objects[--*held]);
    return 0;
}

/* What it puts into the bin is not counted. */
static void
a_constructor_may_use_the_bin_meanwhile(void **state)
{
    fpheap          *heap = test_heap_over(&provider);
    unsigned         held = 0, i;
    fpheap_pool_desc desc = { .name = "puts", .size = 60000, .magazine = 40,
                              .arg = &held, .construct_nth = put_what_is_held };
    fpheap_pool     *pool = fpheap_pool_create(heap, &desc);

    (void)state;
    assert_non_null(pool);
    assert_int_equal(fpheap_pool_get_bulk(pool, objects, 35), 0);
    held = 35;
    assert_int_equal(fpheap_pool_prefill(pool, 40), 0);
    assert_int_equal(held, 0);
    hits_begin(heap);
    for (i = 0; i < 40; i++)
        assert_non_null(objects[i] = fpheap_pool_get(pool));
    assert_true(all_were_hits(heap));
    fpheap_pool_put_bulk(pool, objects, 40);
    TEST_DESTROY_OVER(heap, &provider);
}

/* --- its end -------------------------------------------------------------- */

/* Others ask, and the thread misses elsewhere: then a pass has what was kept. */
static void
expect_ended_at(fpheap *heap, size_t size, const char *file, int line)
{
    fph_fetch_add_relaxed(&heap->state->asked, 1);
    fpheap_free(heap, fpheap_alloc(heap, 3 * FPHEAP_CHUNK));
    if (loaded(heap, bin_of(size)) != 0)
        _fail(file, line);
}

#define EXPECT_ENDED(heap, size) \
    expect_ended_at(heap, size, __FILE__, __LINE__)

/* With FPHEAP_CHECK 2 the bytes that it verifies stay as they are, but for
 * whole slabs that go back. */
static void
a_trim_before_it_leaves_the_bytes_that_it_verifies(void **state)
{
    const size_t size = FPH_DECOMMIT_FROM;
    fpheap      *heap = fpheap_create("trim", NULL);
    void        *objects[2];

    (void)state;
    objects[0] = fpheap_alloc(heap, size);
    objects[1] = fpheap_alloc(heap, size);
    fpheap_free(heap, objects[1]);
    fpheap_flush(heap);
    fpheap_trim(heap);
    last_report[0] = '\0';
    assert_int_equal(fpheap_prefill(heap, size, 2), 0);
    assert_non_null(objects[1] = fpheap_alloc(heap, size));
    assert_string_equal(last_report, "");
    fpheap_free_bulk(heap, objects, 2);
    assert_int_equal(fpheap_prefill(heap, size, 0), 0);
    TEST_DESTROY(heap);
}

static void
it_ends_when_it_is_used_or_given_up(void **state)
{
    fpheap *heap = test_heap_over(&provider);
    void   *object;

    (void)state;
    assert_int_equal(fpheap_prefill(heap, 64, 5), 0);
    assert_int_equal(fpheap_prefill(heap, 64, 0), 0);
    assert_true(loaded(heap, bin_of(64)) >= 5);
    EXPECT_ENDED(heap, 64);

    object = fpheap_alloc(heap, 64);
    assert_int_equal(fpheap_prefill(heap, 64, 5), 0);
    fpheap_flush(heap);
    fpheap_free(heap, object);
    EXPECT_ENDED(heap, 64);

    object = fpheap_alloc(heap, 64);
    assert_int_equal(fpheap_prefill(heap, 64, 5), 0);
    fpheap_thread_leave(heap);
    fpheap_free(heap, object);
    EXPECT_ENDED(heap, 64);

    assert_int_equal(fpheap_prefill(heap, 64, 5), 0);
    assert_true(take(heap, 64, 6, ONE_BY_ONE, objects));
    fpheap_free_bulk(heap, objects, 6);
    EXPECT_ENDED(heap, 64);

    assert_int_equal(fpheap_prefill(heap, 64, 5), 0);
    assert_true(take(heap, 64, 6, IN_A_BULK, objects));
    fpheap_free_bulk(heap, objects, 6);
    EXPECT_ENDED(heap, 64);
    TEST_DESTROY_OVER(heap, &provider);
}

/* Also of one that this thread parks already, in the spare, and in a short
 * magazine. */
static void
a_later_call_replaces_it(void **state)
{
    fpheap  *heap = test_heap_over(&provider);
    unsigned most = most_of(heap, 64), n;

    (void)state;
    for (n = 1; n <= most; n = 2 * n + 1) {
        assert_true(take(heap, 64, most + 2, ONE_BY_ONE, objects));
        fpheap_free_bulk(heap, objects, most + 2);
        assert_int_equal(fpheap_prefill(heap, 64, n), 0);
        assert_int_equal(fpheap_prefill(heap, 64, most - n + 1), 0);
        EXPECT_HITS(heap, 64, most - n + 1, ONE_BY_ONE);
    }
    fpheap_flush(heap);
    assert_true(take(heap, 64, 3, ONE_BY_ONE, objects));
    fpheap_free_bulk(heap, objects, 3);
    assert_int_equal(fpheap_prefill(heap, 64, 2), 0);
    EXPECT_HITS(heap, 64, 2, ONE_BY_ONE);
    assert_true(take(heap, 64, FPH_SHORT + 9, ONE_BY_ONE, objects + 100));
    assert_int_equal(fpheap_prefill(heap, 64, 2), 0);
    fpheap_free_bulk(heap, objects + 100, FPH_SHORT + 9);
    EXPECT_HITS(heap, 64, 2, ONE_BY_ONE);
    TEST_DESTROY_OVER(heap, &provider);
}

static void *
prefill_and_exit(void *heap)
{
    static int rc;

    rc = fpheap_prefill((fpheap *)heap, 64, 5);
    return &rc;
}

static void *
use_and_be_asked(void *heap_)
{
    static int ended;
    fpheap    *heap = (fpheap *)heap_;

    fpheap_free(heap, fpheap_alloc(heap, 64));
    fph_fetch_add_relaxed(&heap->state->asked, 1);
    fpheap_free(heap, fpheap_alloc(heap, 3 * FPHEAP_CHUNK));
    ended = loaded(heap, bin_of(64)) == 0;
    return &ended;
}

static void
the_next_thread_of_a_cache_has_no_part_in_it(void **state)
{
    fpheap   *heap = test_heap_over(&provider);
    pthread_t thread;
    void     *result;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, prefill_and_exit, heap), 0);
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_int_equal(*(int *)result, 0);
    assert_int_equal(pthread_create(&thread, NULL, use_and_be_asked, heap), 0);
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_int_equal(*(int *)result, 1);
    TEST_DESTROY_OVER(heap, &provider);
}

static void *
end_pool(void *pool)
{
    return fpheap_pool_destroy((fpheap_pool *)pool, NULL) == 0 ? pool : NULL;
}

static void *
get_one(void *pool)
{
    return fpheap_pool_get((fpheap_pool *)pool);
}

/* The next pool has the same number, and a bin that nobody has asked to keep
 * anything. */
static void
it_ends_with_the_pool(void **state)
{
    fpheap      *heap = test_heap_over(&provider);
    fpheap_pool *pool = pool_of(heap, 40, 0);
    fpheap_pool *next;
    pthread_t    thread;
    void        *ended, *object;

    (void)state;
    assert_int_equal(fpheap_pool_prefill(pool, 40), 0);
    assert_int_equal(pthread_create(&thread, NULL, end_pool, pool), 0);
    assert_int_equal(pthread_join(thread, &ended), 0);
    assert_non_null(ended);
    next = pool_of(heap, 2, 0);
    assert_int_equal(next->number, pool->number);
    assert_int_equal(pthread_create(&thread, NULL, get_one, next), 0);
    assert_int_equal(pthread_join(thread, &object), 0);
    fpheap_pool_put(next, object);
    fph_fetch_add_relaxed(&heap->state->asked, 1);
    fpheap_free(heap, fpheap_alloc(heap, 3 * FPHEAP_CHUNK));
    assert_int_equal(loaded(heap, bin_of_pool(next)), 0);
    TEST_DESTROY_OVER(heap, &provider);
}

/* --- a fork --------------------------------------------------------------- */

static fpheap           *forked;
static pthread_barrier_t ready, over;

static void *
prefill_and_wait(void *arg)
{
    (void)arg;
    (void)fpheap_prefill(forked, 2048, 50);
    pthread_barrier_wait(&ready);
    pthread_barrier_wait(&over);
    return NULL;
}

/* What this thread had is there; what another had is free after a miss. */
static int
be_forked(void)
{
    fpheap_stats stats;
    unsigned     i;

    refuse(&provider);
    hits_begin(forked);
    for (i = 0; i < 30; i++)
        if ((objects[i] = fpheap_alloc(forked, 64)) == NULL)
            return 1;
    if (!all_were_hits(forked))
        return 2;
    fpheap_free_bulk(forked, objects, 30);
    fpheap_free(forked, fpheap_alloc(forked, 3 * FPHEAP_CHUNK));
    fpheap_flush(forked);
    (void)fpheap_trim(forked);
    fpheap_stats_get(forked, &stats);
    return stats.parked_objects != 0 ? 3 : fpheap_check(forked) != NULL ? 4 : 0;
}

static void
a_forked_child_has_what_its_thread_had(void **state)
{
    pthread_t thread;

    (void)state;
    forked = test_heap_over(&provider);
    pthread_barrier_init(&ready, NULL, 2);
    pthread_barrier_init(&over, NULL, 2);
    assert_int_equal(pthread_create(&thread, NULL, prefill_and_wait, NULL), 0);
    pthread_barrier_wait(&ready);
    assert_int_equal(fpheap_prefill(forked, 64, 30), 0);
    test_in_child(be_forked);
    pthread_barrier_wait(&over);
    assert_int_equal(pthread_join(thread, NULL), 0);
    TEST_DESTROY_OVER(forked, &provider);
}

/* --- several processes ---------------------------------------------------- */

/* Take all that the heap has, and trim. */
static int
exhaust(peer *p, void *arg)
{
    fpheap  *heap = open_it();
    unsigned n;

    (void)arg;
    (void)hear(p);
    n = fill_heap(heap, 3 * FPHEAP_CHUNK);
    (void)fpheap_trim(heap);
    pass_on(p);
    while (n > 0)
        fpheap_free(heap, objects[--n]);
    NEED(fpheap_close(heap) == 0);
    return 0;
}

/* Nor does a call wait for who cleans up after a process that has died. */
static void
it_is_the_same_on_a_shared_heap(void **state)
{
    fpheap_partition desc = partition_of(64 * TEST_MIB);
    fpheap          *heap = fpheap_open(name, &desc, FPHEAP_CREATE);
    fpheap_pool     *pool = pool_of(heap, 32, 0);
    fph_word        *cleaner = &heap->partition->cleaner;
    void            *mine[32];
    peer             p;

    (void)state;
    peer_begin(&p, exhaust, NULL);
    assert_int_equal(fpheap_prefill(heap, 1500, 32), 0);
    assert_int_equal(fpheap_pool_prefill(pool, 32), 0);
    pass_on(&p);
    fph_store_release(cleaner, (uint64_t)1 << 32 | (heap->member + 1));
    hits_begin(heap);
    assert_true(take(heap, 1500, 32, ONE_BY_ONE, mine));
    assert_int_equal(fpheap_pool_get_bulk(pool, objects, 32), 0);
    assert_true(all_were_hits(heap));
    fph_store_release(cleaner, 0);
    say(&p, 0);
    peer_end(&p);
    fpheap_free_bulk(heap, mine, 32);
    fpheap_pool_put_bulk(pool, objects, 32);
    close_empty(heap);
}

static int
prefill_and_stay(peer *p, void *arg)
{
    fpheap *heap = open_it();

    (void)arg;
    NEED(fpheap_prefill(heap, 64, 5) == 0);
    pass_on(p);
    return 0;
}

/* Its cache is the next thread's. */
static void
of_a_process_that_is_killed_nothing_is_kept(void **state)
{
    fpheap *heap = create();
    void   *object;
    peer    p;

    (void)state;
    peer_begin(&p, prefill_and_stay, NULL);
    (void)hear(&p);
    peer_kill(&p);
    assert_int_equal(fpheap_recover(heap, 0), 1);
    object = fpheap_alloc_on(heap, 200, 0);
    assert_non_null(object);
    assert_int_equal(fph_cache_mine(heap)->fills[bin_of(64)], 0);
    fpheap_free(heap, object);
    close_empty(heap);
}

/* --- beside others -------------------------------------------------------- */

static struct {
    fpheap  *heap;
    fph_word refuses;          /* 1: the provider does */
    fph_word ends;
} beside;

static int
get_unless_refused(void *ctx, size_t bytes, size_t align, int node,
                   fpheap_region *region)
{
    const fpheap_provider *calls = (const fpheap_provider *)ctx;

    return fph_load_relaxed(&beside.refuses) ? -ENOMEM
         : calls->get(calls->ctx, bytes, align, node, region);
}

static int
put_back(void *ctx, const fpheap_region *region)
{
    const fpheap_provider *calls = (const fpheap_provider *)ctx;

    return calls->put(calls->ctx, region);
}

static void *
keep_trimming(void *arg)
{
    (void)arg;
    while (!fph_load_relaxed(&beside.ends))
        (void)fpheap_trim(beside.heap);
    return NULL;
}

/* Take whatever there is, of the same sizes too. */
static void *
keep_draining(void *arg)
{
    test_random random = { 5 };
    void       *own[64];
    unsigned    i, n;

    (void)arg;
    while (!fph_load_relaxed(&beside.ends)) {
        size_t size = sizes[test_below(&random, TEST_COUNT(sizes))];

        for (n = 0; n < 64; n++)
            if ((own[n] = fpheap_alloc(beside.heap, size)) == NULL)
                break;
        for (i = 0; i < n; i++)
            fpheap_free(beside.heap, own[i]);
        fpheap_flush(beside.heap);
    }
    return NULL;
}

static void *
keep_ending_pools(void *arg)
{
    fpheap_pool_desc desc = { .name = "brief", .size = 300 };
    fpheap_pool     *pool;

    (void)arg;
    while (!fph_load_relaxed(&beside.ends)) {
        pool = fpheap_pool_create(beside.heap, &desc);
        if (pool == NULL)
            continue;
        fpheap_pool_put(pool, fpheap_pool_get(pool));
        while (fpheap_pool_destroy(pool, NULL) != 0)
            ;
    }
    return NULL;
}

/* A round: prefill some sizes and a pool; free others of them; miss elsewhere;
 * then take them all from a heap that cannot grow. */
static void
prefill_round(fpheap_pool *pool, test_random *random, void **all)
{
    fpheap  *heap = beside.heap;
    unsigned of_pool = 1 + (unsigned)test_below(random, 40);
    unsigned count[TEST_COUNT(sizes)];
    unsigned i, n = 0, more;
    uint64_t growths;

    for (i = 0; i < TEST_COUNT(sizes); i++) {
        /* The first two are one class. */
        count[i] = i == 0 ? 0
                 : 1 + (unsigned)test_below(random, most_of(heap, sizes[i]));
        more = (unsigned)test_below(random, 2 * most_of(heap, sizes[i]));
        assert_int_equal(fpheap_alloc_bulk(heap, sizes[i], all, more), 0);
        assert_int_equal(count[i] == 0 ? 0 : fpheap_prefill(heap, sizes[i],
                                                            count[i]), 0);
        fpheap_free_bulk(heap, all, more);
    }
    assert_int_equal(fpheap_pool_prefill(pool, of_pool), 0);
    fph_store_relaxed(&beside.refuses, 1);
    use_other_sizes(heap);
    growths = fph_growths(heap->state);
    hits_begin(heap);
    for (i = 1; i < TEST_COUNT(sizes); n += count[i++])
        assert_true(take(heap, sizes[i], count[i],
                         (int)test_below(random, WAYS), all + n));
    assert_int_equal(fpheap_pool_get_bulk(pool, all + n, of_pool), 0);
    n += of_pool;
    assert_true(all_were_hits(heap));
    assert_int_equal(fph_growths(heap->state), growths);
    fph_store_relaxed(&beside.refuses, 0);
    fpheap_free_bulk(heap, all, n);
}

static void
beside_threads_that_trim_drain_and_end_pools_none_fails(void **state)
{
    void *(*const   work[])(void *) = { keep_trimming, keep_draining,
                                        keep_ending_pools };
    test_random     random = test_random_of(4);
    fpheap_provider calls, provider_of;
    fpheap_config   config;
    fpheap_pool    *pool;
    pthread_t       thread[TEST_COUNT(work)];
    unsigned        i, rounds = 60 * test_soak();

    (void)state;
    memset(&config, 0, sizeof config);
    assert_int_equal(fpheap_provider_mmap(&calls, 0), 0);
    provider_of = calls;
    provider_of.ctx = &calls;
    provider_of.get = get_unless_refused;
    provider_of.put = put_back;
    provider_of.decommit = NULL;
    provider_of.huge = NULL;
    provider_of.iova = NULL;
    config.provider = &provider_of;
    memset(&beside, 0, sizeof beside);
    beside.heap = fpheap_create("beside", &config);
    assert_non_null(beside.heap);
    pool = pool_of(beside.heap, 40, 0);
    for (i = 0; i < TEST_COUNT(work); i++)
        assert_int_equal(pthread_create(&thread[i], NULL, work[i], NULL), 0);
    for (i = 0; i < rounds; i++)
        prefill_round(pool, &random, others);
    fph_store_relaxed(&beside.ends, 1);
    for (i = 0; i < TEST_COUNT(work); i++)
        assert_int_equal(pthread_join(thread[i], NULL), 0);
    TEST_DESTROY(beside.heap);
}

/* --- step by step --------------------------------------------------------- */

/* A call of one that is kept executes at most so many instructions. */
#define STEPS 100
#define KEPT  64

#if (defined(__x86_64__) || defined(__aarch64__)) && FPHEAP_CHECK < 2 \
    && FPHEAP_TOOL == 0 && !defined(__SANITIZE_THREAD__)
#  include <sys/ptrace.h>
#  include <sys/uio.h>
#  include <sys/user.h>

void *stepped_alloc(fpheap *heap, size_t size);
void *stepped_get(fpheap_pool *pool);

__attribute__((noinline)) void *
stepped_alloc(fpheap *heap, size_t size)
{
    return fpheap_alloc(heap, size);
}

__attribute__((noinline)) void *
stepped_get(fpheap_pool *pool)
{
    return fpheap_pool_get(pool);
}

/* Its parent steps through what it allocates, while another thread trims. */
static int
be_stepped(peer *p, void *arg)
{
    fpheap_pool *pool;
    pthread_t    thread;
    unsigned     i;

    (void)arg;
    memset(&beside, 0, sizeof beside);
    beside.heap = fpheap_create("stepped", NULL);
    NEED(beside.heap != NULL);
    pool = pool_of(beside.heap, 100, 0);
    NEED(fpheap_alloc_bulk(beside.heap, 256, objects, 2000) == 0);
    NEED(fpheap_prefill(beside.heap, 256, KEPT) == 0);
    NEED(fpheap_pool_prefill(pool, KEPT) == 0);
    for (i = 0; i < 2000; i++)
        fpheap_free(beside.heap, objects[i]);
    NEED(pthread_create(&thread, NULL, keep_trimming, NULL) == 0);
    while (fph_cache_mine(beside.heap)->asked
           == fph_load_relaxed(&beside.heap->state->asked))
        ;
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
        return 77;
    say(p, 0);
    (void)raise(SIGSTOP);
    for (i = 0; i < KEPT; i++)
        if ((objects[i] = stepped_alloc(beside.heap, 256)) == NULL)
            return 2;
    for (i = 0; i < KEPT; i++)
        if ((objects[i] = stepped_get(pool)) == NULL)
            return 3;
    return 0;
}

/* Where a stopped child is; 0: nobody knows. */
static uintptr_t
where(pid_t child)
{
    struct user_regs_struct registers;
    struct iovec            all = { &registers, sizeof registers };

    if (ptrace(PTRACE_GETREGSET, child, (void *)1 /* NT_PRSTATUS */, &all) != 0)
        return 0;
#  if defined(__x86_64__)
    return registers.rip;
#  else
    return registers.pc;
#  endif
}

static int
calls_the_system(pid_t child, uintptr_t pc)
{
    long code = ptrace(PTRACE_PEEKTEXT, child, (void *)pc, NULL);

#  if defined(__x86_64__)
    return (code & 0xffff) == 0x050f || (code & 0xffff) == 0x340f
        || (code & 0xff) == 0xcd;
#  else
    return ((unsigned long)code & 0xffe0001f) == 0xd4000001;
#  endif
}

static int
step(pid_t child)
{
    int status;

    return ptrace(PTRACE_SINGLESTEP, child, NULL, NULL) == 0
        && waitpid(child, &status, 0) == child && WIFSTOPPED(status)
        && WSTOPSIG(status) == SIGTRAP;
}

/* Step to the call that begins at `first`, and through it until it is back in
 * its caller, whose instruction comes before that.  Returns its instructions;
 * or 0: one was a system call, or was executed twice, or there were too many. */
static unsigned
count_steps(pid_t child, uintptr_t first)
{
    uintptr_t seen[STEPS];
    uintptr_t pc     = 0;
    uintptr_t caller = 0;
    unsigned  n = 0, i;

    while (pc != first) {
        caller = pc;
        if (!step(child) || (pc = where(child)) == 0)
            return 0;
    }
    while (pc - caller > 16) {
        for (i = 0; i < n; i++)
            if (seen[i] == pc)
                return 0;
        if (n == STEPS || calls_the_system(child, pc))
            return 0;
        seen[n++] = pc;
        if (!step(child) || (pc = where(child)) == 0)
            return 0;
    }
    return n;
}

static void
stepped_through_it_calls_no_system_and_has_no_loop(void **state)
{
    unsigned i, steps, most = 0;
    int      status;
    peer     p;

    (void)state;
    peer_begin(&p, be_stepped, NULL);
    (void)hear(&p);
    assert_int_equal(waitpid(p.process, &status, 0), p.process);
    if (!WIFSTOPPED(status)) {
        print_message("why: cannot step through a child\n");
        skip();
    }
    for (i = 0; i < 2 * KEPT; i++) {
        steps = count_steps(p.process, i < KEPT ? (uintptr_t)stepped_alloc
                                                : (uintptr_t)stepped_get);
        assert_true(steps > 0);
        most = steps > most ? steps : most;
    }
    print_message("  at most %u instructions\n", most);
    assert_int_equal(ptrace(PTRACE_DETACH, p.process, NULL, NULL), 0);
    peer_end(&p);
}
#else
static void
stepped_through_it_calls_no_system_and_has_no_loop(void **state)
{
    (void)state;
    print_message("why: checks and tools look at objects, or nobody can step\n");
    skip();
}
#endif

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_next_n_allocations_hit_in_every_form),
        cmocka_unit_test(so_do_gets_of_a_pool),
        cmocka_unit_test(passes_and_idleness_take_nothing_of_it),
        cmocka_unit_test(a_pass_takes_what_is_beyond_it),
        cmocka_unit_test(what_is_kept_does_not_make_a_pass_pay),
        cmocka_unit_test(frees_in_between_take_nothing_of_it),
        cmocka_unit_test(nor_does_one_that_finds_the_spare_empty),
        cmocka_unit_test(frees_are_still_hits),
        cmocka_unit_test(what_cannot_be_kept_is_refused),
        cmocka_unit_test(a_thread_without_a_cache_cannot_have_it),
        cmocka_unit_test(a_failure_takes_nothing),
        cmocka_unit_test(a_pools_quota_counts_what_is_kept),
        cmocka_unit_test(a_callback_cannot_have_it),
        cmocka_unit_test(a_constructor_may_use_the_bin_meanwhile),
        cmocka_unit_test(a_trim_before_it_leaves_the_bytes_that_it_verifies),
        cmocka_unit_test(it_ends_when_it_is_used_or_given_up),
        cmocka_unit_test(a_later_call_replaces_it),
        cmocka_unit_test(the_next_thread_of_a_cache_has_no_part_in_it),
        cmocka_unit_test(it_ends_with_the_pool),
        cmocka_unit_test(a_forked_child_has_what_its_thread_had),
        SHARED_TEST(it_is_the_same_on_a_shared_heap),
        SHARED_TEST(of_a_process_that_is_killed_nothing_is_kept),
        cmocka_unit_test(
            beside_threads_that_trim_drain_and_end_pools_none_fails),
        cmocka_unit_test(stepped_through_it_calls_no_system_and_has_no_loop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
