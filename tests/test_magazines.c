/* test_magazines.c - what threads park, and where it goes
 *
 * How many objects a magazine has after each step, which of three goes to the
 * depot, whose is taken when there is no memory for another; when a cache is
 * made, flushed, and gone.
 */
#define FPHEAP_CHUNK_SHIFT 16
#include "system_memory.h"

#define FPHEAP_MAX_NODES   2
#define FPHEAP_IMPLEMENTATION
#include "fpheap.h"
#include "test_util.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

static test_provider provider, other_provider;

/* --- depots --------------------------------------------------------------- */

static size_t
in_depot(fpheap *heap, size_t size)
{
    return fph_depot_count(heap->state, fph_class_of(size));
}

static void
what_all_depots_of_a_node_park_counts(void **state)
{
    fpheap      *heap = test_heap_over(&provider);
    fpheap_pool *pools[FPHEAP_MAX_POOLS];
    void        *objects[64];
    fpheap_stats stats;
    size_t       bytes;
    unsigned     i, k;

    (void)state;
    for (i = 0; i < FPHEAP_MAX_POOLS; i++) {
        char             name[8];
        fpheap_pool_desc desc;

        memset(&desc, 0, sizeof desc);
        (void)snprintf(name, sizeof name, "%u", i);
        desc.name = name;
        desc.size = 16 * (i + 1);
        desc.magazine = 2;
        pools[i] = fpheap_pool_create(heap, &desc);
        assert_non_null(pools[i]);
    }
    for (i = 0; i < FPHEAP_MAX_POOLS; i++) {
        bytes = fph_parked_bytes(heap, 0, NULL);
        assert_int_equal(fpheap_pool_get_bulk(pools[i], objects, 4), 0);
        fpheap_pool_put_bulk(pools[i], objects, 4);
        fpheap_flush(heap);
        assert_true(fph_parked_bytes(heap, 0, NULL) > bytes);
    }
    for (k = 1; k < FPH_SIZES; k++) {
        size_t size = heap->state->classes[k].size;

        assert_int_equal(fpheap_alloc_bulk(heap, size, objects, 48), 0);
        fpheap_free_bulk(heap, objects, 48);
        fpheap_flush(heap);
        assert_true(fph_depot_count(heap->state, k) > 0);
        fpheap_stats_get(heap, &stats);
        assert_int_equal(fph_parked_bytes(heap, 0, NULL), stats.depot_bytes);
    }
    TEST_DESTROY_OVER(heap, &provider);
}

/* A type-stable pool, and one with a minimum, keep theirs. */
static void
what_a_pool_keeps_does_not_count_as_worth_a_pass(void **state)
{
    fpheap  *heap = test_heap_over(&provider);
    unsigned kind;

    (void)state;
    for (kind = 0; kind < 3; kind++) {
        fpheap_pool_desc desc;
        fpheap_pool     *pool;
        void            *objects[4];
        uint64_t         empty = heap->state->empty_pages, pages;

        memset(&desc, 0, sizeof desc);
        desc.name = "kept";
        desc.size = 2 * FPHEAP_PAGE;
        desc.magazine = 2;
        desc.flags = kind == 1 ? FPHEAP_TYPE_STABLE : 0;
        desc.min = kind == 2;
        pool = fpheap_pool_create(heap, &desc);
        assert_non_null(pool);
        assert_int_equal(fph_keeps_slabs(pool), kind != 0);
        pages = heap->state->classes[FPH_SIZES + pool->number].pages;
        assert_int_equal(fpheap_pool_get_bulk(pool, objects, 4), 0);
        fpheap_pool_put_bulk(pool, objects, 4);
        fpheap_flush(heap);
        assert_int_equal(fph_parked_bytes(heap, 0, NULL),
                         kind == 0 ? 4 * desc.size : 0);
        fph_depot_drain(heap->state, FPH_SIZES + pool->number);
        assert_int_equal(heap->state->empty_pages,
                         empty + (kind == 0 ? pages : 0));
        assert_int_equal(fpheap_pool_destroy(pool, NULL), 0);
        assert_int_equal(heap->state->empty_pages, empty);
    }
    TEST_DESTROY_OVER(heap, &provider);
}

/* --- what a thread no longer uses ------------------------------------------ */

/* Claim objects of 16 bytes, which stay live, until each class was looked at n
 * times, and call use(), if any, after each claim. */
static void
claim_others(fpheap *heap, unsigned n, void (*use)(fpheap *heap))
{
    fpheap_cache *cache = fpheap_self(heap);
    unsigned      looks = 0, looked = cache->looked;

    while (looks < n * FPH_SIZES) {
        assert_non_null(fpheap_alloc(heap, 16));
        if (cache->looked == looked)
            continue;
        looked = cache->looked;
        looks++;
        if (use != NULL)
            use(heap);
    }
}

static size_t
parked(fpheap *heap, size_t size)
{
    return fph_cache_objects(heap->state, fpheap_self(heap), fph_class_of(size));
}

static void
park(fpheap *heap, size_t size, unsigned n)
{
    void *objects[2 * FPHEAP_MAGAZINE];

    assert_int_equal(fpheap_alloc_bulk(heap, size, objects, n), 0);
    fpheap_free_bulk(heap, objects, n);
    assert_true(parked(heap, size) >= n);
}

/* Its pages too, but for a slab with a live object. */
static void
what_a_thread_no_longer_uses_goes_back(void **state)
{
    unsigned live;

    (void)state;
    for (live = 0; live < 2; live++) {
        fpheap            *heap = test_heap_over(&provider);
        unsigned           k    = fph_class_of(8192);
        fpheap_class_stats stats;

        if (live)
            assert_non_null(fpheap_alloc(heap, 8192));
        park(heap, 8192, 2);
        claim_others(heap, 2, NULL);
        assert_int_equal(parked(heap, 8192), 0);
        assert_int_equal(fpheap_class_stats_get(heap, k - 1, &stats), 0);
        assert_int_equal(stats.live_objects, live);
        assert_int_equal(stats.slabs, live);
        assert_int_equal(fpheap_destroy_forced(heap), 0);
    }
}

static void
use_in_pairs(fpheap *heap)
{
    fpheap_free(heap, fpheap_alloc(heap, 8192));
}

static void
what_it_uses_in_pairs_stays(void **state)
{
    fpheap *heap = test_heap_over(&provider);

    (void)state;
    park(heap, 8192, 2);
    claim_others(heap, 3, use_in_pairs);
    assert_int_equal(parked(heap, 8192), 2);
    assert_int_equal(fpheap_destroy_forced(heap), 0);
}

/* Not by the objects of a bin that has been used, as it may be again. */
static void
two_magazines_of_a_size_go_one_after_the_other(void **state)
{
    fpheap  *heap = test_heap_over(&provider);
    unsigned full = heap->state->classes[fph_class_of(100)].magazine;

    (void)state;
    park(heap, 100, 2 * full);
    claim_others(heap, 1, NULL);
    assert_int_equal(parked(heap, 100), full);
    assert_int_equal(in_depot(heap, 100), 1);
    claim_others(heap, 1, NULL);
    assert_int_equal(parked(heap, 100), 0);
    assert_int_equal(fpheap_destroy_forced(heap), 0);
}

/* Have n full magazines in the depot of a class, and no others. */
static void
fill_depot(fpheap *heap, size_t size, unsigned n)
{
    void    *objects[6 * FPHEAP_MAGAZINE];
    unsigned i;

    assert_true(n <= 6);
    for (i = 0; i < n * FPHEAP_MAGAZINE; i++)
        assert_non_null(objects[i] = fpheap_alloc(heap, size));
    fpheap_flush(heap);
    fpheap_free_bulk(heap, objects, n * FPHEAP_MAGAZINE);
    fpheap_flush(heap);
    assert_int_equal(fph_depot_count(heap->state, fph_class_of(size)), n);
}

/* It comes from its own depot if that has more than one, else from another,
 * else it is the last of its own. */
static void
a_magazine_is_taken_where_it_is_missed_least(void **state)
{
    fpheap    *heap = test_heap_over(&provider);
    fph_state *s = heap->state;
    unsigned   own = fph_class_of(64);
    uint64_t   begun;

    (void)state;
    begun = s->moves_begun;
    assert_null(fph_depot_rob(s, own));
    assert_true(s->moves_begun == begun);
    fill_depot(heap, 64, 3);
    fill_depot(heap, 16, 1);
    fill_depot(heap, 128, 2);
    begun = s->moves_begun;
    fph_empty_put(s, own, fph_depot_rob(s, own));
    assert_true(s->moves_begun == begun + 1 && s->moves_ended == begun + 1);
    assert_int_equal(in_depot(heap, 64), 2);
    fph_empty_put(s, own, fph_depot_rob(s, own));
    assert_int_equal(in_depot(heap, 64), 1);
    assert_int_equal(in_depot(heap, 16) + in_depot(heap, 128), 3);
    fph_empty_put(s, own, fph_depot_rob(s, own));
    assert_int_equal(in_depot(heap, 64), 1);
    assert_int_equal(in_depot(heap, 16) + in_depot(heap, 128), 2);
    fph_empty_put(s, own, fph_depot_rob(s, own));
    fph_empty_put(s, own, fph_depot_rob(s, own));
    assert_int_equal(in_depot(heap, 64), 1);
    assert_int_equal(in_depot(heap, 16) + in_depot(heap, 128), 0);
    fph_empty_put(s, own, fph_depot_rob(s, own));
    assert_int_equal(in_depot(heap, 64), 0);
    assert_null(fph_depot_rob(s, own));
    TEST_CHECK_LIVE(heap, 0);
    TEST_DESTROY_OVER(heap, &provider);
}

/* So it need not empty one of its own. */
static void
a_free_without_memory_takes_a_magazine_of_a_depot(void **state)
{
    fpheap *heap = test_heap_over(&provider);
    void   *object;

    (void)state;
    fill_depot(heap, 64, 1);
    object = fpheap_alloc(heap, 500);
    fpheap_flush(heap);
    while (fph_stack_pop(heap->state, fph_empties(heap->state, 0)) != NULL)
        ;
    while (fph_meta_cut(heap->state, FPH_LINE) != 0)
        ;
    system_is_out = 1;
    fpheap_free(heap, object);
    system_is_out = 0;
    assert_int_equal(in_depot(heap, 64), 0);
    assert_ptr_equal(fph_cache_mine(heap)->bins[fph_class_of(500)].next,
                     object);
    TEST_CHECK_LIVE(heap, 0);
    TEST_DESTROY_OVER(heap, &provider);
}

/* What is freed waits in depots, in magazines that the frees make, as far as
 * all of them take a 32nd of the memory. */
static void
frees_make_magazines_up_to_a_32nd_of_the_memory(void **state)
{
    enum { MANY = 64 * FPHEAP_CHUNK / 64 };
    static void *objects[MANY];
    fpheap      *heap = test_heap_over(&provider);
    fpheap_stats stats;
    size_t       most, index;
    unsigned     gets;

    (void)state;
    for (index = 0; index < MANY; index++)
        assert_non_null(objects[index] = fpheap_alloc(heap, 64));
    fpheap_stats_get(heap, &stats);
    gets = provider.gets;
    most = stats.region_bytes / 32 / sizeof(fph_magazine) + 1;
    for (index = 0; index < MANY; index++)
        fpheap_free(heap, objects[index]);
    assert_int_equal(provider.gets, gets);
    assert_in_range(heap->state->magazines, most - 1,
                    most + (FPHEAP_CHUNK - FPH_MAP_SKIP) / sizeof(fph_magazine));
    assert_true(in_depot(heap, 64) > most / 2);
    TEST_CHECK_LIVE(heap, 0);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
an_exchange_with_the_depot_does_not_call_the_provider(void **state)
{
    enum { MANY = 20 * FPHEAP_MAGAZINE };
    static void *objects[MANY];
    fpheap      *heap = test_heap_over(&provider);
    unsigned     gets;
    size_t       index;

    (void)state;
    assert_int_equal(fpheap_alloc_bulk(heap, 16, objects, MANY), 0);
    fpheap_free_bulk(heap, objects, MANY);
    assert_true(in_depot(heap, 16) >= 10);
    while (fph_pages_find(heap, 0, 1, 1) != FPH_NO_PAGE)
        ;
    while (fph_meta_cut(heap->state, FPH_LINE) != 0)
        ;
    gets = provider.gets;
    for (index = 0; index < 10 * FPHEAP_MAGAZINE; index++)
        assert_non_null(objects[index] = fpheap_alloc(heap, 16));
    assert_int_equal(provider.gets, gets);
    assert_int_equal(fpheap_destroy_forced(heap), 0);
    test_provider_drop(&provider);
}

/* --- caches --------------------------------------------------------------- */

static void
after_a_pass_of_another_thread_a_cache_goes_to_the_slabs(void **state)
{
    fpheap      *heap = test_heap_over(&provider);
    void        *objects[FPHEAP_MAGAZINE];
    fpheap_stats stats;

    (void)state;
    assert_int_equal(fpheap_alloc_bulk(heap, 64, objects, FPHEAP_MAGAZINE), 0);
    fpheap_flush(heap);
    fpheap_free_bulk(heap, objects, FPHEAP_MAGAZINE);
    assert_int_equal(fph_cache_objects(heap->state, fph_cache_mine(heap), fph_class_of(64)),
                     FPHEAP_MAGAZINE);
    heap->state->asked++;
    assert_ptr_equal(fpheap_self(heap), fph_cache_mine(heap));
    assert_int_equal(in_depot(heap, 64), 0);
    fpheap_stats_get(heap, &stats);
    assert_int_equal(stats.parked_objects, 0);
    /* It does so once: the next miss leaves what is parked where it is. */
    fpheap_free(heap, fpheap_alloc(heap, 64));
    fpheap_stats_get(heap, &stats);
    assert_true(stats.parked_objects > 0);
    assert_non_null(fpheap_self(heap));
    fpheap_stats_get(heap, &stats);
    assert_true(stats.parked_objects > 0);
    TEST_DESTROY_OVER(heap, &provider);
}

/* If it were, others would wait for it. */
static void
a_flush_of_nothing_is_no_move(void **state)
{
    fpheap  *heap = test_heap_over(&provider);
    void    *object = fpheap_alloc(heap, 64);
    uint64_t begun;

    (void)state;
    fpheap_flush(heap);
    begun = heap->state->moves_begun;
    fpheap_flush(heap);
    assert_true(heap->state->moves_begun == begun);
    fpheap_free(heap, object);
    fpheap_flush(heap);
    assert_true(heap->state->moves_begun == begun + 1);
    assert_true(heap->state->moves_ended == begun + 1);
    TEST_DESTROY_OVER(heap, &provider);
}

/* A pool's magazines may have an odd number of objects. */
static void
half_of_a_full_magazine_is_loaded(void **state)
{
    fpheap           *heap = test_heap_over(&provider);
    fpheap_pool_desc  desc;
    fpheap_pool      *pool;
    void             *objects[10];
    const fph_bin    *bin;
    fpheap_cache     *cache;
    unsigned          number, i;

    (void)state;
    memset(&desc, 0, sizeof desc);
    desc.name = "odd";
    desc.size = 100;
    desc.magazine = 5;
    pool = fpheap_pool_create(heap, &desc);
    number = FPH_SIZES + pool->number;
    assert_int_equal(fpheap_pool_get_bulk(pool, objects, 10), 0);
    fpheap_flush(heap);
    cache = fpheap_self(heap);
    bin = &cache->bins[number];
    for (i = 0; i < 6; i++)
        fpheap_pool_put(pool, objects[i]);
    assert_int_equal(bin->top - bin->base, 1);
    assert_int_equal(fph_spare_count(cache, number), 5);
    for (i = 6; i-- > 5;)
        assert_ptr_equal(fpheap_pool_get(pool), objects[i]);
    /* The loaded one is empty, and the spare full. */
    assert_ptr_equal(fpheap_pool_get(pool), objects[4]);
    assert_int_equal(bin->top - bin->base, 2);
    assert_int_equal(fph_spare_count(cache, number), 2);
    for (i = 0; i < 3; i++)                /* both become empty */
        objects[i] = fpheap_pool_get(pool);
    assert_int_equal(bin->top - bin->base, 1);
    assert_int_equal(fph_spare_count(cache, number), 0);
    objects[3] = objects[5];               /* what that was is parked */
    for (i = 0; i < 5; i++)
        fpheap_pool_put(pool, objects[i]);
    /* The loaded one was full, and the spare empty. */
    assert_int_equal(bin->top - bin->base, 3);
    assert_int_equal(fph_spare_count(cache, number), 3);
    for (i = 6; i < 10; i++)
        fpheap_pool_put(pool, objects[i]);
    assert_int_equal(bin->top - bin->base, 5);
    assert_int_equal(fph_spare_count(cache, number), 5);
    assert_int_equal(fpheap_pool_destroy(pool, NULL), 0);
    TEST_DESTROY_OVER(heap, &provider);
}

/* Of three magazines the oldest goes where others find it. */
static void
what_was_freed_last_stays_with_the_thread(void **state)
{
    enum { FULL = FPHEAP_MAGAZINE };
    fpheap       *heap = test_heap_over(&provider);
    unsigned      bin = fph_class_of(64);
    void         *objects[2 * FULL + 1];
    fpheap_cache *cache;

    (void)state;
    assert_int_equal(fpheap_alloc_bulk(heap, 64, objects, 2 * FULL + 1), 0);
    fpheap_flush(heap);
    fpheap_free_bulk(heap, objects, 2 * FULL + 1);
    cache = fph_cache_mine(heap);
    assert_int_equal(cache->spare[bin]->count, FULL);
    assert_memory_equal(cache->spare[bin]->slot, objects + FULL,
                        FULL * sizeof(void *));
    assert_ptr_equal(cache->bins[bin].next, objects[2 * FULL]);
    assert_int_equal(fph_depot_count(heap->state, bin), 1);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
what_a_bulk_leaves_of_its_last_magazine_stays_with_the_thread(void **state)
{
    enum { FULL = FPHEAP_MAGAZINE };
    fpheap  *heap = test_heap_over(&provider);
    void    *objects[3 * FULL];
    unsigned i, n = 2 * FULL + 10;

    (void)state;
    for (i = 0; i < 3 * FULL; i++)
        assert_non_null(objects[i] = fpheap_alloc(heap, 64));
    fpheap_flush(heap);
    fpheap_free_bulk(heap, objects, 3 * FULL);
    fpheap_flush(heap);
    assert_int_equal(in_depot(heap, 64), 3);
    assert_int_equal(fpheap_alloc_bulk(heap, 64, objects, n), 0);
    assert_int_equal(fph_cache_objects(heap->state, fph_cache_mine(heap), fph_class_of(64)),
                     3 * FULL - n);
    assert_int_equal(in_depot(heap, 64), 0);
    fpheap_free_bulk(heap, objects, n);
    TEST_DESTROY_OVER(heap, &provider);
}

/* In a heap that cannot grow, and has no room for records. */
static void
one_object_needs_no_magazine(void **state)
{
    fpheap           *heap = test_heap_over(&provider);
    fpheap_pool_desc  desc;
    fpheap_pool      *pool;
    void             *objects[3];
    unsigned          i;

    (void)state;
    memset(&desc, 0, sizeof desc);
    desc.name = "one";
    desc.size = 100;
    pool = fpheap_pool_create(heap, &desc);
    assert_non_null(pool);
    assert_non_null(fpheap_alloc(heap, 64)); /* keeps its slab */
    assert_non_null(fpheap_pool_get(pool));
    fpheap_flush(heap);
    while (fph_stack_pop(heap->state, fph_empties(heap->state, 0)) != NULL)
        ;
    while (fph_meta_cut(heap->state, FPH_LINE) != 0)
        ;
    provider.limit_bytes = provider.held_bytes;
    while (fph_pages_find(heap, 0, 1, 1) != FPH_NO_PAGE)
        ;
    system_is_out = 1;
    objects[0] = fpheap_alloc(heap, 64);
    objects[1] = fpheap_alloc_on(heap, 64, 0);
    objects[2] = fpheap_pool_get(pool);
    for (i = 0; i < 3; i++) {
        assert_non_null(objects[i]);
        fpheap_free(heap, objects[i]);
    }
    assert_null(fph_cache_mine(heap)->bins[fph_class_of(64)].base);
    system_is_out = 0;
    assert_int_equal(fpheap_destroy_forced(heap), 0);
    assert_int_equal(provider.held, 0);
}

/* The heap's first block has no room for a cache, and nothing else makes one
 * before a pool on a node of its own is served. */
static void *
get_a_bulk(void *pool_)
{
    fpheap_pool *pool = (fpheap_pool *)pool_;
    void        *object = NULL;

    if (fpheap_pool_get_bulk(pool, &object, 1) != 0
        || fph_cache_mine(pool->heap) == NULL)
        return NULL;
    fpheap_pool_put(pool, object);
    return pool;
}

static void *
get_one(void *pool_)
{
    fpheap_pool *pool = (fpheap_pool *)pool_;
    void        *object = fpheap_pool_get(pool);

    if (object == NULL || fph_cache_mine(pool->heap) == NULL)
        return NULL;
    fpheap_pool_put(pool, object);
    return pool;
}

static void
memory_for_a_cache_is_got_by_who_allocates(void **state)
{
    void *(*const calls[])(void *) = { get_a_bulk, get_one };
    unsigned i;

    (void)state;
    for (i = 0; i < TEST_COUNT(calls); i++) {
        fpheap          *heap = test_heap_over(&provider);
        fpheap_pool_desc desc;
        fpheap_pool     *pool;
        pthread_t        thread;
        void            *end = NULL;

        memset(&desc, 0, sizeof desc);
        desc.name = "near";
        desc.size = 100;
        desc.flags = FPHEAP_ON_NODE;
        pool = fpheap_pool_create(heap, &desc);
        assert_non_null(pool);
        while (fph_meta_cut(heap->state, FPH_LINE) != 0)
            ;
        assert_int_equal(pthread_create(&thread, NULL, calls[i], pool), 0);
        assert_int_equal(pthread_join(thread, &end), 0);
        assert_ptr_equal(end, pool);
        TEST_DESTROY_OVER(heap, &provider);
    }
}

static void
what_has_failed_is_tried_again_after_1000_misses(void **state)
{
    unsigned usual = fph_this.patience;
    unsigned misses;

    (void)state;
    fph_this.patience = 0;
    assert_int_equal(fph_try_again(), 1);
    for (misses = 0; !fph_try_again(); misses++)
        assert_true(misses < 1000);
    assert_int_equal(misses, 1000);
    fph_this.patience = FPH_NEVER;
    assert_int_equal(fph_try_again(), 0);
    assert_int_equal(fph_this.patience, FPH_NEVER);
    fph_this.patience = usual;
}

static void *
destroy_it(void *heap)
{
    return fpheap_destroy((fpheap *)heap) == 0 ? heap : NULL;
}

/* This thread has the first seat, and nobody told it. */
static void
a_heap_that_another_thread_destroys_leaves_no_cache(void **state)
{
    fpheap   *heap = test_heap_over(&provider);
    fpheap   *again;
    pthread_t thread;
    void     *end = NULL;

    (void)state;
    fpheap_free(heap, fpheap_alloc(heap, 64));
    assert_int_equal(fph_this.seat, 1);
    assert_int_equal(pthread_create(&thread, NULL, destroy_it, heap), 0);
    assert_int_equal(pthread_join(thread, &end), 0);
    assert_ptr_equal(end, heap);
    again = test_heap_over(&other_provider);
    assert_ptr_equal(again, heap);
    assert_null(fph_cache_mine(again));
    fpheap_free(again, fpheap_alloc(again, 64));
    TEST_DESTROY_OVER(again, &other_provider);
}

static void
a_sized_free_goes_to_the_objects_own_node(void **state)
{
    const unsigned bin = FPH_CLASSES + fph_class_of(100);
    fpheap_config  config;
    fpheap        *heap;
    void          *object;

    (void)state;
    memset(&config, 0, sizeof config);
    config.nodes = 2;
    heap = fpheap_create("two", &config);
    assert_non_null(heap);
    object = fpheap_alloc_on(heap, 100, 1);
    fpheap_free(heap, fpheap_alloc_on(heap, 100, 1));
    fpheap_free(heap, fpheap_alloc_on(heap, 100, 0));
    fpheap_free_sized(heap, object, 100);
    assert_ptr_equal(fph_cache_mine(heap)->bins[bin].next, object);
    TEST_DESTROY(heap);
}

/* --- large objects -------------------------------------------------------- */

static void
a_large_object_is_parked_up_to_two_chunks_and_an_eighth(void **state)
{
    fpheap   *heap = test_heap_over(&provider);
    uint64_t  usual = heap->state->region_bytes;
    uint64_t  pages;

    (void)state;
    assert_non_null(fpheap_self(heap));
    heap->state->region_bytes = 100 * FPHEAP_CHUNK;
    assert_non_null(fph_large_cache(heap, 2 * FPH_PAGES));
    assert_null(fph_large_cache(heap, 2 * FPH_PAGES + 1));
    for (pages = 9; pages < 2 * FPH_PAGES; pages++) {
        heap->state->region_bytes = 8 * pages * FPHEAP_PAGE;
        assert_non_null(fph_large_cache(heap, pages));
        heap->state->region_bytes--;
        assert_null(fph_large_cache(heap, pages));
    }
    heap->state->region_bytes = usual;
    TEST_DESTROY_OVER(heap, &provider);
}

static void
the_parked_large_object_serves_the_next_call_that_it_fits(void **state)
{
    const size_t size = FPHEAP_CHUNK / 2 + 1;
    fpheap      *heap = test_heap_over(&provider);
    void        *objects[4];
    unsigned     i;

    (void)state;
    assert_int_equal(fpheap_reserve(heap, 40 * FPHEAP_CHUNK, 0), 0);
    for (i = 0; i < 3; i++)
        assert_non_null(objects[i] = fpheap_alloc(heap, size));
    for (i = 0; ((uintptr_t)objects[i] & FPH_CHUNK_MASK) == 0; i++)
        assert_true(i < 2);
    fpheap_free(heap, objects[i]);
    assert_non_null(fph_cache_mine(heap)->large);
    /* It is not aligned to a chunk. */
    objects[3] = fpheap_aligned_alloc(heap, FPHEAP_CHUNK, size);
    assert_int_equal((uintptr_t)objects[3] & FPH_CHUNK_MASK, 0);
    assert_non_null(fph_cache_mine(heap)->large);
    assert_ptr_equal(fpheap_alloc(heap, size), objects[i]);
    assert_null(fph_cache_mine(heap)->large);
    fpheap_free_bulk(heap, objects, 4);
    fpheap_flush(heap);
    TEST_DESTROY_OVER(heap, &provider);
}

/* --- bins ----------------------------------------------------------------- */

/* A thread that is gone may have had it in hand, so what it says is no more. */
static void
a_bin_has_one_short_magazine_for_ever(void **state)
{
    fpheap       *heap = test_heap_over(&provider);
    fpheap_cache *cache = fpheap_self(heap);
    unsigned      k = fph_class_of(100);
    fph_magazine *one;
    uint64_t      cursor;

    (void)state;
    heap->state->classes[k].magazine = 2 * FPH_SHORT;
    assert_int_equal(*fph_bin_small(cache, k), 0);
    one = fph_bin_short(cache, k);
    assert_non_null(one);
    assert_ptr_equal(fph_meta_at(heap->state, *fph_bin_small(cache, k)), one);
    assert_true(fph_is_short(one));
    one->count = 7;
    cursor = heap->state->meta_cursor.word;
    assert_ptr_equal(fph_bin_short(cache, k), one);
    assert_int_equal(one->count, 0);
    assert_true(heap->state->meta_cursor.word == cursor);
    /* Not beside another, nor if the others are hardly longer. */
    cache->spare[k] = one;
    assert_null(fph_bin_short(cache, k));
    cache->spare[k] = NULL;
    heap->state->classes[k].magazine = 2 * FPH_SHORT - 1;
    assert_null(fph_bin_short(cache, k));
    /* And none if there is no room for it. */
    heap->state->classes[k + 1].magazine = 2 * FPH_SHORT;
    while (fph_meta_cut(heap->state, FPH_SHORT_BYTES) != 0)
        ;
    assert_null(fph_bin_short(cache, k + 1));
    TEST_DESTROY_OVER(heap, &provider);
}

/* In 16ths of a magazine, rounded up. */
static void
a_bin_keeps_as_many_as_it_is_told(void **state)
{
    fpheap       *heap = test_heap_over(&provider);
    fpheap_cache *cache = fpheap_self(heap);
    unsigned      k = fph_class_of(100);
    fph_class    *klass = &heap->state->classes[k];
    fph_class     was = *klass;
    size_t        n;

    (void)state;
    assert_int_equal(fph_bin_kept(cache, k), 0);
    for (klass->magazine = 2; klass->magazine <= 512;
         klass->magazine += klass->magazine < 40 ? 1 : 59) {
        for (n = 1; n <= klass->magazine; n++) {
            size_t part = (n * 16 + klass->magazine - 1) / klass->magazine;

            fph_bin_keep(cache, k, n);
            assert_int_equal(cache->fills[k], FPH_KEPT + part);
            assert_int_equal(fph_bin_kept(cache, k),
                             (part * klass->magazine + 15) / 16);
            assert_true(fph_bin_kept(cache, k) >= n);
        }
    }
    fph_bin_keep_none(cache, k);
    assert_int_equal(cache->fills[k], 0);
    cache->fills[k] = FPH_KEPT;
    fph_bin_keep_none(cache, k);
    assert_int_equal(cache->fills[k], FPH_KEPT);
    *klass = was;
    TEST_DESTROY_OVER(heap, &provider);
}

/* Of a pool that is gone a full one would have no object. */
static void
an_empty_magazine_is_never_in_a_depot(void **state)
{
    fpheap       *heap = test_heap_over(&provider);
    unsigned      bin = FPH_SIZES;
    fph_magazine *magazine;

    (void)state;
    fpheap_free(heap, fpheap_alloc(heap, 100));
    assert_int_equal(heap->state->classes[bin].magazine, 0);
    magazine = fph_empty_get(heap, bin, 1 /* more */);
    assert_non_null(magazine);
    fph_magazine_return(heap->state, bin, magazine, 0 /* drain */);
    assert_int_equal(fph_depot_count(heap->state, bin), 0);
    assert_ptr_equal(fph_empty_get(heap, bin, 0), magazine);
    fph_empty_put(heap->state, bin, magazine);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
each_look_is_at_the_next_class_and_after_the_last_at_the_first(void **state)
{
    fpheap       *heap = test_heap_over(&provider);
    fpheap_cache *cache = fpheap_self(heap);
    unsigned      i, k = cache->looked;

    (void)state;
    for (i = 0; i < 3 * FPH_SIZES; i++) {
        fph_idle_flush(cache, 0);
        k = k == FPH_SIZES - 1 ? 1 : k + 1;
        assert_int_equal(cache->looked, k);
    }
    assert_int_equal(fph_large_drop(cache), 0);
    TEST_DESTROY_OVER(heap, &provider);
}

/* And so does its slab, if it is empty. */
static void
what_a_short_magazine_has_goes_back_at_once(void **state)
{
    fpheap       *heap = test_heap_over(&provider);
    fpheap_cache *cache = fpheap_self(heap);
    unsigned      k = fph_class_of(100);
    fph_magazine *small;
    int           refused = 0;

    (void)state;
    heap->state->classes[k].magazine = 2 * FPH_SHORT;
    small = fph_bin_short(cache, k);
    small->count = (uint32_t)fph_bin_claim(heap, k, small->slot, 5, &refused);
    assert_int_equal(small->count, 5);
    fph_bin_load(cache, k, small);
    cache->fills[k] = 3;
    cache->looked = k - 1;
    assert_true((uint32_t)heap->state->depots[k].partial != 0);
    fph_idle_flush(cache, 0);
    assert_null(cache->bins[k].base);
    assert_null(cache->spare[k]);
    assert_int_equal(cache->fills[k], 0);
    assert_int_equal((uint32_t)heap->state->depots[k].partial, 0);
    TEST_CHECK_LIVE(heap, 0);
    TEST_DESTROY_OVER(heap, &provider);
}

/* --- in the child of a fork ----------------------------------------------- */

/* A thread that is gone was loading a magazine, or unloading it. */
static void
a_bin_that_is_half_changed_is_mended(void **state)
{
    fpheap       *heap = test_heap_over(&provider);
    fpheap_cache *cache = fpheap_self(heap);
    unsigned      k = fph_class_of(100), one;
    fph_bin      *bin = &cache->bins[k];

    (void)state;
    heap->state->classes[k].magazine = 2 * FPH_SHORT;
    for (one = 0; one < 2; one++) {
        fph_magazine *it = one == 0 ? fph_bin_short(cache, k)
                                    : fph_empty_get(heap, k, 1 /* more */);
        void        **slot  = it->slot;
        void        **limit = slot + (one == 0 ? 1 : 2) * FPH_SHORT;

        it->count = 4;
        bin->base = NULL;
        bin->limit = limit;
        bin->top = it->slot + 3;
        fph_bin_mend(cache, k);
        assert_ptr_equal(bin->base, it->slot);
        assert_ptr_equal(bin->top, it->slot + 3);
        bin->base = bin->top = NULL;
        fph_bin_mend(cache, k);
        assert_ptr_equal(bin->base, it->slot);
        assert_ptr_equal(bin->top, it->slot + 4);
        bin->limit = bin->top = NULL;
        fph_bin_mend(cache, k);
        assert_ptr_equal(bin->top, it->slot + 4);
        bin->base = bin->limit = bin->top = NULL;
        fph_bin_mend(cache, k);
        assert_null(bin->base);
        assert_null(bin->top);
        it->count = 0;
        fph_empty_put(heap->state, k, it);
    }
    TEST_DESTROY_OVER(heap, &provider);
}

/* Full magazines too, and one whose thread was about to unload it; and be they
 * the only ones. */
static void
what_a_gone_thread_has_goes_to_the_slabs(void **state)
{
    unsigned k;

    (void)state;
    for (k = 1; k < FPH_SIZES; k += k < 6 ? 1 : 11) {
        fpheap       *heap = test_heap_over(&provider);
        size_t        size = heap->state->classes[k].size;
        unsigned      most = heap->state->classes[k].magazine;
        void         *objects[2 * FPHEAP_MAGAZINE];
        fpheap_cache *cache;

        assert_int_equal(fpheap_alloc_bulk(heap, size, objects, 2 * most), 0);
        fpheap_free_bulk(heap, objects, 2 * most);
        cache = fph_cache_mine(heap);
        assert_int_equal(fph_spare_count(cache, k), most);
        fph_depot_drain(heap->state, k);
        cache->bins[k].base = NULL;
        cache->fills[k] = 3;
        fph_cache_adopt(cache);
        assert_null(cache->entry);
        assert_null(cache->spare[k]);
        assert_null(cache->bins[k].limit);
        assert_int_equal(cache->fills[k], 0);
        assert_int_equal(fph_depot_count(heap->state, k), 0);
        cache->entry = fph_my_entry(heap);
        TEST_CHECK_LIVE(heap, 0);
        TEST_DESTROY_OVER(heap, &provider);
    }
}

/* Those that threads were showing are shown by none; those that had a slot and
 * showed nothing have none, unless only the heap's end hands it back. */
static void
a_child_has_the_regions_that_are_here(void **state)
{
    fpheap     *heap = test_heap_over(&provider);
    fph_state  *s = heap->state;
    fph_region *r = s->region;
    uint64_t    regions = s->regions;

    (void)state;
    assert_int_equal(regions, 1);
    r[0].shown = FPH_HERE + 2;
    r[1].used = r[4].used = 1;
    r[2].used = FPH_BARRED;
    r[3].used = 1;
    r[3].shown = 3;
    s->regions = 4;
    fph_forked_regions(s);
    assert_true(r[0].shown == FPH_HERE && r[0].used == 1);
    assert_true(r[1].shown == 0 && r[1].used == 0);
    assert_true(r[2].shown == 0 && r[2].used == FPH_BARRED);
    assert_true(r[3].shown == FPH_HERE && r[3].used == 1);
    assert_true(r[4].shown == 0 && r[4].used == 1);
    memset((void *)&r[1], 0, 4 * sizeof r[1]);
    s->regions = regions;
    TEST_DESTROY_OVER(heap, &provider);
}

static void
a_chunk_without_pages_is_not_here_in_a_child(void **state)
{
    fpheap    *heap = test_heap_over(&provider);
    fph_state *s = heap->state;
    size_t     number = fph_page_of(s, s->region[0].raw.base) / FPH_PAGES;
    size_t     empty = number % FPH_GROUP == 0 ? number + FPH_GROUP - 1
                                               : number / FPH_GROUP * FPH_GROUP;
    fph_chunk *here = &s->chunks[number], *gone = &s->chunks[empty];
    char      *base;

    (void)state;
    fpheap_free(heap, fpheap_alloc(heap, 100));
    base = here->base;
    assert_true(base != NULL && here->records != NULL);
    assert_null(gone->base);
    gone->base = (char *)1;
    gone->records = here->records;
    fph_forked_heap(heap);
    s->orphans = s->forked = 0;
    assert_null(gone->base);
    assert_null(gone->records);
    assert_ptr_equal(here->base, base);
    assert_non_null(here->records);
    TEST_DESTROY_OVER(heap, &provider);
}

/* What threads that are gone have left, as the word of a growth is. */
static void
leave_all_half_done(fph_state *s)
{
    s->growing = 1;
    s->moves_begun += 3;
    s->moves_stuck = 2;
    s->left -= 4096;
    s->orphans = 0;
    s->forked = 0;
    s->region[0].shown = FPH_HERE + 1;
    s->marked = 1;
    s->water[0].is = FPH_TELLING | 2;
}

static void
expect_all_done(const fph_state *s, int provides, int walks, int waters)
{
    assert_int_equal(s->growing, 0);
    assert_true(s->moves_begun == s->moves_ended);
    assert_int_equal(s->moves_stuck, 0);
    assert_true((s->left == fph_limit_bytes(s->limit) - s->region_bytes)
                == !provides);
    assert_true((s->region[0].shown == FPH_HERE) == !(provides || walks));
    assert_true(s->water[0].is == (waters ? FPH_TELLING | 2 : 2));
    assert_int_equal(s->forked, 1);
}

/* Unless the thread that has forked is in the midst of it. */
static void
a_child_undoes_what_others_have_begun(void **state)
{
    static const unsigned in[] = { FPH_IN_CALL, FPH_IN_PROVIDER, FPH_IN_WATER };
    fpheap    *heap = test_heap_over(&provider);
    fph_state *s = heap->state;
    uint64_t   is = s->water[0].is;
    unsigned   i, walks;

    (void)state;
    fpheap_free(heap, fpheap_alloc(heap, 100));
    for (i = 0; i < TEST_COUNT(in); i++) {
        fph_frame frame = { in[i], heap, NULL, fph_this.frames };

        for (walks = 0; walks < 3; walks++) {
            leave_all_half_done(s);
            fph_this.frames = &frame;
            fph_this.walks = walks;
            fph_forked_heap(heap);
            fph_this.walks = 0;
            fph_this.frames = frame.outer;
            expect_all_done(s, i == 1, walks != 0, i == 2);
            assert_int_equal(s->orphans, fph_this.seat);
            s->left = fph_limit_bytes(s->limit) - s->region_bytes;
        }
    }
    /* A thread without a cache here has no seat among those that stay. */
    fpheap_thread_leave(heap);
    fph_forked_heap(heap);
    assert_int_equal(s->orphans, 1 + FPHEAP_MAX_THREADS);
    s->orphans = s->forked = 0;
    s->marked = 0;
    s->water[0].is = is;
    s->region[0].shown = FPH_HERE;
    TEST_DESTROY_OVER(heap, &provider);
}

/* --- memory for a cache --------------------------------------------------- */

/* As long as its bins are, `front` bytes behind a record's start. */
static void
a_cache_takes_one_record_of_its_length(void **state)
{
    fpheap       *heap = test_heap_over(&provider);
    size_t        bytes = offsetof(fpheap_cache, bins)
                        + heap->bins * (sizeof(fph_bin) + sizeof(void *)
                                        + sizeof(uint32_t) + 1);
    size_t        front;

    (void)state;
    fpheap_free(heap, fpheap_alloc(heap, 100));
    for (front = 0; front <= 2 * FPH_LINE; front += FPH_LINE) {
        uint32_t      ref;
        uint64_t      cursor;
        fpheap_cache *cache;

        do
            ref = fph_meta_cut(heap->state, 1);
        while (ref == 0 && fph_meta_get(heap, 0, 1, NULL) != 0);
        cursor = heap->state->meta_cursor.word;
        fph_this.patience = 500;
        cache = fph_cache_make(heap, 0, 1 /* grow */, front);
        assert_ptr_equal(cache, (char *)fph_meta_at(heap->state, ref)
                                + FPH_LINE + front);
        assert_int_equal(heap->state->meta_cursor.word - cursor,
                         fph_meta_units(bytes + front));
        assert_ptr_equal(cache->fills + heap->bins, (char *)cache + bytes);
        assert_int_equal(fph_this.patience, 0);
    }
    while (fph_meta_cut(heap->state, bytes) != 0)
        ;
    fph_this.patience = 500;
    assert_null(fph_cache_make(heap, 0, 0 /* grow */, 0));
    assert_int_equal(fph_this.patience, 499);
    assert_non_null(fph_cache_make(heap, 0, 1 /* grow */, 0));
    assert_int_equal(fph_this.patience, 0);
    TEST_DESTROY_OVER(heap, &provider);
}

static size_t        taken_page, taken_pages;
static fpheap_cache *made_inside;

static void
make_a_cache(test_provider *p)
{
    fpheap *heap = (fpheap *)p->arg;

    p->inside_get = NULL;
    fph_pages_give(heap->state, taken_page, taken_pages);
    fpheap_free(heap, fpheap_alloc(heap, 100));
    made_inside = fph_cache_mine(heap);
}

/* The one that this thread made meanwhile, as it waited for memory. */
static void
a_thread_has_the_first_cache_that_it_makes(void **state)
{
    fpheap       *heap = test_heap_over(&provider);
    fph_state    *s = heap->state;
    fpheap_cache *cache;

    (void)state;
    system_is_out = 1;
    taken_page = fph_page_of(s, s->region[0].raw.base);
    taken_pages = s->region[0].raw.bytes / FPHEAP_PAGE;
    assert_int_equal(fph_pages_take(s, taken_page, taken_pages), 1);
    provider.arg = heap;
    provider.inside_get = make_a_cache;
    made_inside = NULL;
    cache = fpheap_self(heap);
    assert_null(provider.inside_get);
    assert_non_null(made_inside);
    assert_ptr_equal(cache, made_inside);
    assert_ptr_equal(s->cache[fph_this.seat - 1], cache);
    assert_int_equal((uintptr_t)cache % FPH_LINE, 0);
    system_is_out = 0;
    TEST_DESTROY_OVER(heap, &provider);
}

/* And a call in a callback does not. */
static void
a_miss_begins_to_wait_anew(void **state)
{
    fpheap   *heap = test_heap_over(&provider);
    fph_frame frame = { FPH_IN_PROVIDER, heap, NULL, NULL };

    (void)state;
    fph_this.wait_end = fph_this.beside = 1;
    fph_this.frames = &frame;
    (void)fpheap_self(heap);
    assert_true(fph_this.wait_end == 1 && fph_this.beside == 1);
    fph_this.frames = NULL;
    (void)fpheap_self(heap);
    assert_true(fph_this.wait_end == 0 && fph_this.beside == 0);
    TEST_DESTROY_OVER(heap, &provider);
}

/* --- threads that leave --------------------------------------------------- */

/* The call that it is in goes on with the cache. */
static void
who_leaves_in_a_callback_is_flushed_and_stays(void **state)
{
    fpheap   *heap = test_heap_over(&provider);
    fph_frame frame = { FPH_IN_PROVIDER, heap, NULL, fph_this.frames };
    unsigned  k = fph_class_of(100);
    unsigned  most = heap->state->classes[k].magazine;
    void     *objects[2 * FPHEAP_MAGAZINE];
    size_t    had;

    (void)state;
    assert_int_equal(fpheap_alloc_bulk(heap, 100, objects, 2 * most), 0);
    fpheap_free_bulk(heap, objects, 2 * most);
    assert_int_equal(fph_spare_count(fph_cache_mine(heap), k), most);
    had = in_depot(heap, 100);
    fph_this.frames = &frame;
    fpheap_thread_leave(heap);
    fph_this.frames = frame.outer;
    assert_non_null(fph_cache_mine(heap));
    assert_null(fph_cache_mine(heap)->spare[k]);
    assert_true(in_depot(heap, 100) > had);
    fpheap_thread_leave(heap);
    assert_null(fph_cache_mine(heap));
    TEST_DESTROY_OVER(heap, &provider);
}

static fpheap *left[2];

/* Another destructor of the thread comes later, and allocates. */
static void *
leave_and_allocate(void *unused)
{
    unsigned i, n;

    (void)unused;
    for (i = 0; i < 2; i++) {
        fpheap_free(left[i], fpheap_alloc(left[i], 100));
        assert_non_null(fph_cache_mine(left[i]));
    }
    fph_seat_leave(fph_table);
    for (n = 0; n < 1100; n++) {
        void *object = fpheap_alloc(left[0], 100);

        assert_non_null(object);
        fpheap_free(left[0], object);
    }
    assert_int_equal(fph_this.seat, 0);
    for (i = 0; i < 2; i++)
        assert_null(fph_cache_mine(left[i]));
    return NULL;
}

/* It leaves all heaps. */
static void
a_thread_that_has_left_has_no_seat_again(void **state)
{
    pthread_t thread;
    unsigned  i;

    (void)state;
    left[0] = test_heap_over(&provider);
    left[1] = test_heap_over(&other_provider);
    assert_int_equal(pthread_create(&thread, NULL, leave_and_allocate, NULL),
                     0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    for (i = 0; i < FPHEAP_MAX_THREADS; i++)
        if (i + 1 != fph_this.seat)
            assert_int_equal(fph_seats[i], 0);
    TEST_DESTROY_OVER(left[1], &other_provider);
    TEST_DESTROY_OVER(left[0], &provider);
}

static void *
look_for_a_seat(void *unused)
{
    fph_word had[FPHEAP_MAX_THREADS];
    unsigned i;

    (void)unused;
    for (i = 0; i < FPHEAP_MAX_THREADS; i++) {
        had[i] = fph_seats[i];
        fph_seats[i] = 1;
    }
    assert_int_equal(fph_seated(), 0);
    assert_int_equal(fph_this.seat, 0);
    assert_int_equal(fph_this.patience, 1000);
    for (i = 0; i < FPHEAP_MAX_THREADS; i++)
        fph_seats[i] = had[i];
    fph_this.patience = 0;
    assert_int_equal(fph_seated(), 1);
    assert_int_equal(fph_this.patience, 0);
    return NULL;
}

static void
without_a_free_seat_a_thread_has_none(void **state)
{
    pthread_t thread;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, look_for_a_seat, NULL), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

/* Threads that live on do not come back to it. */
static void
a_library_that_is_unloaded_has_no_key(void **state)
{
    fpheap       *heap = test_heap_over(&provider);
    pthread_key_t key;
    pid_t         child;
    int           status = -1;

    (void)state;
    fpheap_free(heap, fpheap_alloc(heap, 100));
    key = (pthread_key_t)(fph_key_made - 1);
    assert_int_equal(pthread_setspecific(key, fph_table), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        fph_unloaded();
        _exit(fph_key_made == FPH_KEY_GONE
              && pthread_setspecific(key, fph_table) == EINVAL ? 42 : 43);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 42);
    TEST_DESTROY_OVER(heap, &provider);
}

/* --- a pool's callbacks --------------------------------------------------- */

static struct {
    fpheap_pool *pool;         /* whose call it is */
    char        *next;         /* object */
    ptrdiff_t    step;
    size_t       nth, left;    /* until one is refused; SIZE_MAX: never */
    unsigned     calls;
} called;

static void
expect_call(const void *arg, const void *object)
{
    assert_ptr_equal(arg, &called);
    assert_ptr_equal(object, called.next);
    assert_int_equal(fph_this.frames->what, FPH_IN_POOL);
    assert_ptr_equal(fph_this.frames->pool, called.pool);
    assert_ptr_equal(fph_this.frames->heap, called.pool->heap);
    called.next += called.step;
    called.calls++;
}

static void
note_end(void *arg, void *object)
{
    expect_call(arg, object);
}

static int
note_begin(fpheap_pool *pool, void *arg, void *object, size_t nth)
{
    expect_call(arg, object);
    assert_ptr_equal(pool, called.pool);
    assert_int_equal(fph_this.nested, 1);
    assert_int_equal(nth, called.nth++);
    if (called.left-- != 0)
        return 0;
    called.step = -64;         /* and the ones before it end */
    called.next -= 2 * 64;
    return 7;
}

/* A pool over 64 bytes an object, or the front of one, and what is called. */
static void
begin_calls(fpheap_pool *pool, fpheap *heap, char *first, ptrdiff_t step,
            size_t left)
{
    memset(&called, 0, sizeof called);
    pool->heap = heap;
    pool->arg = &called;
    pool->destruct = note_end;
    pool->construct_nth = note_begin;
    pool->constructs = pool->destructs = 1;
    called.pool = pool;
    called.next = first;
    called.step = step;
    called.left = left;
    called.nth = (size_t)pool->nth;
}

/* The last object first; and of one whose objects are another's, that one. */
static void
a_destructor_is_called_in_its_pool(void **state)
{
    fpheap          *heap = test_heap_over(&provider);
    const fph_frame *frames = fph_this.frames;
    fpheap_pool      pool, front;
    char             objects[5 * 64];
    fpheap           other;
    unsigned         one;

    (void)state;
    for (one = 0; one < 2; one++) {
        memset(&pool, 0, sizeof pool);
        memset(&front, 0, sizeof front);
        fph_pool_destruct(&pool, objects, 64, 5);
        begin_calls(&front, &other, objects + 4 * 64, -64, 0);
        begin_calls(&pool, heap, objects + 4 * 64, -64, 0);
        if (one == 1) {
            pool.front = &front;
            called.pool = &front;
        }
        fph_pool_destruct(&pool, objects, 64, 5);
        assert_int_equal(called.calls, 5);
        assert_ptr_equal(fph_this.frames, frames);
    }
    TEST_DESTROY_OVER(heap, &provider);
}

/* And so is a constructor; if it refuses one, those before it end. */
static void
a_constructor_is_called_in_its_pool(void **state)
{
    fpheap     *heap = test_heap_over(&provider);
    fph_state  *s = heap->state;
    fpheap_pool pool, front;
    char        objects[5 * 64];
    fpheap      other;
    unsigned    one;

    (void)state;
    memset(&pool, 0, sizeof pool);
    assert_int_equal(fph_pool_construct(s, &pool, objects, 64, 5), 0);
    pool.constructs = 1;
    assert_int_equal(fph_pool_construct(s, &pool, objects, 64, 5), -ENOTSUP);
    for (one = 0; one < 2; one++) {
        fpheap_pool *whose = one == 0 ? &pool : &front;

        memset(&pool, 0, sizeof pool);
        memset(&front, 0, sizeof front);
        pool.constructs = 1;
        pool.front = one == 0 ? NULL : &front;
        begin_calls(whose, one == 0 ? heap : &other, objects, 64, SIZE_MAX);
        assert_int_equal(fph_pool_construct(s, &pool, objects, 64, 5), 0);
        assert_int_equal(called.calls, 5);
        assert_int_equal(whose->nth, 5);
        begin_calls(whose, whose->heap, objects, 64, 3);
        assert_int_equal(fph_pool_construct(s, &pool, objects, 64, 5),
                         -EINVAL);
        assert_int_equal(called.calls, 4 + 3);
        assert_int_equal(fph_this.nested, 0);
        fph_this.nested = FPH_NESTED;
        assert_int_equal(fph_pool_construct(s, &pool, objects, 64, 5),
                         -EDEADLK);
        fph_this.nested = 0;
    }
    TEST_DESTROY_OVER(heap, &provider);
}

/* Down to its minimum, and none that is type-stable, until the pool ends. */
static void
a_pool_spares_the_slabs_that_it_need_not_keep(void **state)
{
    fpheap_pool pool;

    (void)state;
    memset(&pool, 0, sizeof pool);
    pool.min = 10;
    pool.objects = 30;
    assert_int_equal(fph_pool_spares(&pool, 10), 1);
    assert_int_equal(pool.objects, 20);
    assert_int_equal(fph_pool_spares(&pool, 11), 0);
    assert_int_equal(fph_pool_spares(&pool, 10), 1);
    assert_int_equal(fph_pool_spares(&pool, 1), 0);
    assert_int_equal(pool.objects, 10);
    pool.flags = FPHEAP_TYPE_STABLE;
    pool.min = 0;
    assert_int_equal(fph_pool_spares(&pool, 5), 0);
    assert_int_equal(pool.objects, 10);
    pool.ending = 1;
    pool.min = 10;
    assert_int_equal(fph_pool_spares(&pool, 10), 1);
    assert_int_equal(pool.objects, 0);
}

/* --- misses --------------------------------------------------------------- */

/* In memory that holds anything. */
static void
a_search_begins_with_nothing(void **state)
{
    fpheap    *heap = test_heap_over(&provider);
    fph_want   want = fph_want_size(100, NULL, 5);
    fph_search search;
    unsigned   k = fph_class_of(100), large;

    (void)state;
    assert_int_equal(want.tag, 0);
    assert_int_equal(want.destructor, 0);
    assert_int_equal(want.node, FPHEAP_ANY_NODE);
    want.cache = fpheap_self(heap);
    for (large = 0; large < 2; large++) {
        memset(&search, 0x5a, sizeof search);
        want.k = large ? 0 : k;
        want.size = large ? 3 * FPHEAP_CHUNK : 100;
        fph_search_begin(&search, heap, 1, &want, (int)large);
        assert_ptr_equal(search.heap, heap);
        assert_int_equal(search.node, 1);
        assert_int_equal(search.bin, FPH_CLASSES + want.k);
        assert_ptr_equal(search.cache, large ? NULL : want.cache);
        assert_true(search.look == (large ? fph_large_look : fph_bin_look));
        assert_int_equal(search.need.pages, large ? 3 * FPH_PAGES
                         : heap->state->classes[k].pages);
        assert_int_equal(search.n, 5);
        assert_int_equal(search.objects, 0);
        assert_null(search.first);
        assert_int_equal(search.grow, large);
        assert_int_equal(search.tight, 0);
    }
    TEST_DESTROY_OVER(heap, &provider);
}

/* Be it after a failure, if it allocates. */
static void
who_allocates_has_a_cache_as_long_as_there_is_memory(void **state)
{
    fpheap *heap = test_heap_over(&provider);
    void   *object;

    (void)state;
    assert_int_equal(fph_seated(), 1);
    fph_this.patience = 500;
    object = fpheap_alloc(heap, 100);
    assert_non_null(fph_cache_mine(heap));
    assert_int_equal(fph_this.patience, 0);
    fpheap_free(heap, object);
    TEST_DESTROY_OVER(heap, &provider);
    heap = test_heap_over(&provider);
    fph_this.patience = 500;
    assert_int_equal(fpheap_prefill(heap, 100, 5), 0);
    TEST_DESTROY_OVER(heap, &provider);
}

/* The first pool as the others. */
static void
no_pool_of_a_heap_that_ends_serves(void **state)
{
    fpheap  *heap = test_heap_over(&provider);
    void    *object = NULL;
    fph_want want = fph_want_size(100, &object, 1);

    (void)state;
    assert_int_equal(fph_serve_want(heap, &want), 0);
    fpheap_free(heap, object);
    heap->state->ends = 1;
    want.k = FPH_SIZES - 1;
    want.size = FPH_CLASS_MAX;
    assert_int_equal(fph_serve_want(heap, &want), 0);
    for (want.k = FPH_SIZES; want.k < FPH_CLASSES; want.k++)
        assert_int_equal(fph_serve_want(heap, &want), -EBUSY);
    heap->state->ends = 0;
    fpheap_free(heap, object);
    TEST_DESTROY_OVER(heap, &provider);
}

/* Up to the first that is another bin's, and none if that is the first. */
static void
a_run_of_frees_is_put_at_once(void **state)
{
    fpheap       *heap = test_heap_over(&provider);
    unsigned      k = fph_class_of(100), n, other;
    void         *objects[12];
    void         *strange = fpheap_alloc(heap, 3000);
    fpheap_cache *cache;
    fph_bin      *bin;

    (void)state;
    assert_int_equal(fpheap_alloc_bulk(heap, 100, objects, 12), 0);
    fpheap_flush(heap);
    cache = fpheap_self(heap);
    fph_bin_load(cache, k, fph_empty_get(heap, k, 1 /* more */));
    bin = &cache->bins[k];
    for (n = 0; n <= 12; n++) {
        for (other = 0; other <= n; other++) {
            void   *mixed[12];
            unsigned i;

            memcpy(mixed, objects, sizeof mixed);
            if (other < n)
                mixed[other] = strange;
            bin->next = NULL;
            assert_int_equal(fph_put_run(heap, bin, mixed, n,
                                         fph_place_of(heap, objects[0])),
                             other);
            assert_int_equal(bin->top - bin->base, other);
            for (i = 0; i < other; i++)
                assert_ptr_equal(bin->base[i], objects[i]);
            assert_ptr_equal(bin->next, other == 0 ? NULL : objects[other - 1]);
            bin->top = bin->base;
        }
    }
    fph_magazine_drain(heap->state, k, fph_bin_unload(cache, k));
    fpheap_free_bulk(heap, objects, 12);
    fpheap_free(heap, strange);
    TEST_DESTROY_OVER(heap, &provider);
}

#if FPHEAP_SHARED
/* And of those that are whole pages. */
static void
a_process_counts_the_bytes_that_it_has(void **state)
{
    fpheap       *heap = test_heap_over(&provider);
    fph_state    *s = heap->state;
    unsigned      k = fph_class_of(100), number = s->number;
    size_t        size = s->classes[k].size;
    void         *objects[5];
    fph_magazine *full;
    fph_slab     *slab, *large;
    fph_word      taken = 0;
    uint64_t      info;
    int           refused = 0;

    (void)state;
    large = fph_record_of(s, fpheap_alloc(heap, 3 * FPHEAP_CHUNK / 2));
    assert_non_null(large);
    full = fph_empty_get(heap, k, 1 /* more */);
    full->count = (uint32_t)fph_bin_claim(heap, k, full->slot,
                                          s->classes[k].magazine, &refused);
    slab = fph_slab_carve(heap, k, &refused);
    heap->taken = &taken;
    s->number = FPH_SHARED;
    assert_int_equal(fph_slab_claim(s, slab, objects, 5), 5);
    assert_int_equal(taken, 5 * size);
    fph_slab_let_go(s, slab);
    fph_slab_give(s, objects, 5);
    assert_int_equal(taken, 0);
    fph_depot_put(s, k, full);
    assert_true(taken == 0 - (uint64_t)full->count * size);
    assert_ptr_equal(fph_depot_get(s, k), full);
    assert_int_equal(taken, 0);
    info = large->info;
    large->info = 0;
    fph_large_end(s, large, info);
    assert_true(taken == 0 - (uint64_t)fph_info_count(info) * FPHEAP_PAGE);
    s->number = number;
    heap->taken = NULL;
    fph_magazine_drain(s, k, full);
    TEST_CHECK_LIVE(heap, 0);
    TEST_DESTROY_OVER(heap, &provider);
}
#endif

/* What it gives back is no news if it has failed; it took that before. */
static void
a_bulk_tells_what_it_did_if_it_is_served(void **state)
{
    fpheap    *heap = test_heap_over(&provider);
    fph_state *s = heap->state;
    void      *objects[2 * FPHEAP_MAGAZINE];
    uint32_t  *did = &fph_this.did[fph_number_of(s)];
    fph_want   want = fph_want_size(100, objects, 2 * FPHEAP_MAGAZINE);
    fph_search search;

    (void)state;
    assert_int_equal(fpheap_alloc_bulk(heap, 100, objects, want.n), 0);
    fpheap_free_bulk(heap, objects, want.n);
    fpheap_flush(heap);
    assert_true(in_depot(heap, 100) > 0);
    s->marked = 1;
    *did = 0;
    want.n = 5;
    fph_search_begin(&search, heap, 0, &want, 1);
    assert_int_equal(fph_bulk_find(&search, &want), 0);
    assert_true((*did & FPH_GAVE) != 0);
    *did = 0;
    want.n = 1000000;
    want.objects = NULL;
    fpheap_set_limit(heap, test_charged(heap));
    fph_search_begin(&search, heap, 0, &want, 1);
    assert_int_equal(fph_bulk_find(&search, &want), -ENOSPC);
    assert_true(in_depot(heap, 100) > 0);
    assert_int_equal(*did & ~(uint32_t)(FPH_TOOK | FPH_GAVE), 0);
    s->marked = 0;
    *did = 0;
    fpheap_free_bulk(heap, objects, 5);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
an_alignment_is_a_power_of_two_up_to_a_chunk(void **state)
{
    fpheap *heap = test_heap_over(&provider);
    size_t  align;

    (void)state;
    for (align = 0; align <= 4 * FPHEAP_CHUNK; align++) {
        assert_int_equal(fph_is_align(align), fph_popcount(align) == 1
                                              && align <= FPHEAP_CHUNK);
    }
    errno = 0;
    assert_null(fpheap_aligned_alloc(heap, 48, 100));
    assert_int_equal(errno, EINVAL);
    assert_int_equal(fph_aligned_class(heap, FPHEAP_PAGE, FPHEAP_PAGE),
                     fph_class_of(FPHEAP_PAGE));
    assert_int_equal(fph_aligned_class(heap, 2 * FPHEAP_PAGE, 16), 0);
    TEST_DESTROY_OVER(heap, &provider);
}

/* Whole pages of what has pages of its own, and its size of another. */
static void
a_critical_object_counts_with_all_that_it_takes(void **state)
{
    const size_t left = 4 * FPHEAP_CHUNK, large = 3 * FPHEAP_CHUNK / 2 - 5;
    fpheap      *heap = test_heap_over(&provider);
    fpheap      *from = test_heap_over(&other_provider);
    void        *object = fpheap_alloc(from, large), *small;

    (void)state;
    small = fpheap_alloc(from, 100);
    assert_int_equal(fph_critical_bytes(from, object), 3 * FPHEAP_CHUNK / 2);
    assert_int_equal(fph_critical_bytes(from, small),
                     from->state->classes[fph_class_of(100)].size);
    fpheap_free(from, small);
    fpheap_free(from, object);
    assert_int_equal(fph_serve_critical(heap, fph_want_size(100, &object, 1),
                                        -EIO), -EIO);
    fpheap_thread_leave(from);
    heap->emergency = from;
    from->critical = 1;
    from->critical_left = left;
    assert_int_equal(fph_serve_critical(heap, fph_want_size(large, &object, 1),
                                        -EIO), 0);
    assert_int_equal(from->critical_left, left - 3 * FPHEAP_CHUNK / 2);
    fpheap_free(from, object);
    assert_int_equal(from->critical_left, left);
    from->critical_left = 3 * FPHEAP_CHUNK / 2 - 1;
    assert_int_equal(fph_serve_critical(heap, fph_want_size(large, &object, 1),
                                        -EIO), -ENOMEM);
    assert_int_equal(from->critical_left, 3 * FPHEAP_CHUNK / 2 - 1);
    heap->emergency = NULL;
    from->critical = 0;
    TEST_DESTROY_OVER(from, &other_provider);
    TEST_DESTROY_OVER(heap, &provider);
}

#if FPHEAP_SHARED
/* --- what processes share ------------------------------------------------- */

static fph_partition *
begin_partition(fpheap *heap)
{
    fph_partition *partition = (fph_partition *)test_map(sizeof *partition);

    assert_non_null(partition);
    heap->partition = partition;
    heap->member = 3;
    return partition;
}

static void
end_partition(fpheap *heap)
{
    assert_int_equal(test_unmap(heap->partition, sizeof *heap->partition), 0);
    heap->partition = NULL;
    heap->member = 0;
    fph_this.calls[heap - fph_heaps] = NULL;
}

/* One that began with the slot does. */
static void
a_call_that_gives_up_its_slot_counts_for_its_process(void **state)
{
    fpheap        *heap = test_heap_over(&provider);
    fph_partition *partition = begin_partition(heap);
    fpheap_cache  *cache = fph_cache_make(heap, 0, 1, sizeof(fph_slot));
    fph_slot      *slot = fph_slot_of(cache);
    fph_word     **calls = &fph_this.calls[heap - fph_heaps];
    fph_word       other = 1;

    (void)state;
    slot->owner = 4;
    slot->calls = 1;
    *calls = &other;
    fph_slot_leave(cache);
    assert_ptr_equal(*calls, &other);
    assert_true(other == 1 && slot->calls == 1 && slot->owner == 0);
    assert_int_equal(partition->member[3].calls, 0);
    slot->owner = 4;
    *calls = &slot->calls;
    fph_slot_leave(cache);
    assert_ptr_equal(*calls, &partition->member[3].calls);
    assert_true(slot->calls == 0 && slot->owner == 0);
    assert_int_equal(partition->member[3].calls, 1);
    end_partition(heap);
    TEST_DESTROY_OVER(heap, &provider);
}

/* The first that nobody has, and a new one if there is none, in the first place
 * that is free. */
static void
a_thread_takes_a_slot_or_makes_one(void **state)
{
    fpheap       *heap = test_heap_over(&provider);
    fph_state    *s = heap->state;
    fpheap_cache *made[3], **last = &s->cache[FPHEAP_MAX_THREADS - 1];
    uint64_t      cursor;
    unsigned      i;

    (void)state;
    begin_partition(heap);
    for (i = 0; i < 3; i++) {
        made[i] = fph_cache_memory(heap, 0, 1 /* grow */);
        assert_non_null(made[i]);
        assert_ptr_equal(s->cache[i], made[i]);
        assert_ptr_equal(made[i]->heap, heap);
        assert_int_equal(fph_slot_of(made[i])->owner, 3 + 1);
    }
    for (i = 0; i < 3; i++) {
        fph_slot_of(made[i])->owner = 0;
        made[i]->heap = NULL;
        assert_ptr_equal(fph_cache_memory(heap, 0, 1), made[i]);
        assert_ptr_equal(made[i]->heap, heap);
        assert_int_equal(fph_slot_of(made[i])->owner, 3 + 1);
    }
    for (i = 3; i < FPHEAP_MAX_THREADS; i++)
        s->cache[i] = made[0];
    cursor = s->meta_cursor.word;
    assert_null(fph_cache_memory(heap, 0, 1));
    assert_int_equal(fph_slot_show(s, made[0]), 0);
    assert_true(s->meta_cursor.word == cursor);
    *last = NULL;
    assert_non_null(fph_cache_memory(heap, 0, 1));
    assert_non_null(*last);
    assert_ptr_not_equal(*last, made[0]);
    memset((void *)s->cache, 0, FPHEAP_MAX_THREADS * sizeof s->cache[0]);
    end_partition(heap);
    TEST_DESTROY_OVER(heap, &provider);
}

/* File 0 too, which a process may have closed before. */
static void
the_handle_of_a_partition_ends_in_a_child(void **state)
{
    const size_t  number = FPHEAP_MAX_HEAPS - 1;
    fpheap       *heap = &fph_heaps[number];
    fph_entry    *entry = &fph_table[number];
    int           usual = dup(0);
    fph_word      call = 1;
    char         *pools = test_map(FPH_POOLS_BYTES);
    unsigned char in[FPH_POOLS_BYTES / 4096 + 1];

    (void)state;
    assert_null(heap->state);
    assert_int_equal(fph_forked_partition(heap), 0);
    assert_true(usual >= 0 && dup2(usual, 0) == 0);
    begin_partition(heap);
    heap->state = (fph_state *)(void *)heap;
    heap->view = (void *)heap;
    heap->pools = (fpheap_pool *)(void *)pools;
    heap->file = 0;
    heap->map = NULL;
    heap->lookup = (uint64_t)5 << 32 | number * sizeof(fph_entry);
    fph_heap_used[number] = 1;
    fph_this.depth[number] = 2;
    fph_this.calls[number] = &call;
    fph_entry_set(entry, NULL, NULL);
    (void)test_unmap(heap->partition, sizeof *heap->partition);
    assert_int_equal(fph_forked_partition(heap), 1);
    assert_int_equal(fcntl(0, F_GETFD), -1);
    assert_int_equal(dup2(usual, 0), 0);
    close(usual);
    assert_int_equal(mincore(pools, FPH_POOLS_BYTES, in), -1);
    assert_true(heap->state == NULL && heap->partition == NULL);
    assert_null(heap->view);
    assert_ptr_equal(heap->map, fph_no_map);
    assert_true(heap->lookup == number * sizeof(fph_entry));
    assert_int_equal(fph_heap_used[number], 0);
    assert_int_equal(fph_this.depth[number], 0);
    assert_null(fph_this.calls[number]);
    assert_true(entry->bins == fph_no_bins && entry->local == fph_no_bins);
    heap->pools = NULL;
    heap->file = 0;
    heap->member = 0;
}
#endif

/* Be it of a thread that leaves, or that only asks for its cache. */
static void
watermarks_are_looked_at_when_a_call_ends(void **state)
{
    fpheap    *heap = test_heap_over(&provider);
    fph_state *s = heap->state;
    uint32_t  *did = &fph_this.did[fph_number_of(s)];

    (void)state;
    heap->counted = 1;
    *did = FPH_TOOK;
    assert_non_null(fpheap_self(heap));
    assert_int_equal(*did, 0);
    *did = FPH_TOOK;
    fpheap_flush(heap);
    assert_int_equal(*did, 0);
    *did = FPH_TOOK;
    fpheap_thread_leave(heap);
    assert_int_equal(*did, 0);
    assert_non_null(fpheap_self(heap));
    *did = FPH_TOOK;
    fph_seat_leave_heap(fph_my_entry(heap));
    assert_int_equal(*did, 0);
    assert_null(fph_cache_mine(heap));
    TEST_DESTROY_OVER(heap, &provider);
}

static void
a_cache_that_serves_again_has_filled_no_bin(void **state)
{
    fpheap       *heap = test_heap_over(&provider);
    fpheap_cache *cache = fpheap_self(heap);
    unsigned      bin;

    (void)state;
    fpheap_thread_leave(heap);
    for (bin = 0; bin <= heap->bins; bin++)
        cache->fills[bin] = 7;
    assert_ptr_equal(fpheap_self(heap), cache);
    for (bin = 0; bin < heap->bins; bin++)
        assert_int_equal(cache->fills[bin], 0);
    assert_int_equal(cache->fills[bin], 7);    /* what lies behind */
    cache->fills[bin] = 0;
    TEST_DESTROY_OVER(heap, &provider);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(frees_make_magazines_up_to_a_32nd_of_the_memory),
    cmocka_unit_test(an_exchange_with_the_depot_does_not_call_the_provider),
    cmocka_unit_test(what_all_depots_of_a_node_park_counts),
    cmocka_unit_test(what_a_pool_keeps_does_not_count_as_worth_a_pass),
    cmocka_unit_test(a_magazine_is_taken_where_it_is_missed_least),
    cmocka_unit_test(a_free_without_memory_takes_a_magazine_of_a_depot),
    cmocka_unit_test(after_a_pass_of_another_thread_a_cache_goes_to_the_slabs),
    cmocka_unit_test(a_flush_of_nothing_is_no_move),
    cmocka_unit_test(what_a_thread_no_longer_uses_goes_back),
    cmocka_unit_test(what_it_uses_in_pairs_stays),
    cmocka_unit_test(two_magazines_of_a_size_go_one_after_the_other),
    cmocka_unit_test(half_of_a_full_magazine_is_loaded),
    cmocka_unit_test(memory_for_a_cache_is_got_by_who_allocates),
    cmocka_unit_test(what_has_failed_is_tried_again_after_1000_misses),
    cmocka_unit_test(a_large_object_is_parked_up_to_two_chunks_and_an_eighth),
    cmocka_unit_test(
        the_parked_large_object_serves_the_next_call_that_it_fits),
    cmocka_unit_test(what_was_freed_last_stays_with_the_thread),
    cmocka_unit_test(
        what_a_bulk_leaves_of_its_last_magazine_stays_with_the_thread),
    cmocka_unit_test(a_heap_that_another_thread_destroys_leaves_no_cache),
    cmocka_unit_test(a_sized_free_goes_to_the_objects_own_node),
    cmocka_unit_test(one_object_needs_no_magazine),
    cmocka_unit_test(a_bin_has_one_short_magazine_for_ever),
    cmocka_unit_test(a_bin_keeps_as_many_as_it_is_told),
    cmocka_unit_test(an_empty_magazine_is_never_in_a_depot),
    cmocka_unit_test(
        each_look_is_at_the_next_class_and_after_the_last_at_the_first),
    cmocka_unit_test(what_a_short_magazine_has_goes_back_at_once),
    cmocka_unit_test(a_bin_that_is_half_changed_is_mended),
    cmocka_unit_test(what_a_gone_thread_has_goes_to_the_slabs),
    cmocka_unit_test(a_child_has_the_regions_that_are_here),
    cmocka_unit_test(a_chunk_without_pages_is_not_here_in_a_child),
    cmocka_unit_test(a_child_undoes_what_others_have_begun),
    cmocka_unit_test(a_cache_takes_one_record_of_its_length),
    cmocka_unit_test(a_thread_has_the_first_cache_that_it_makes),
    cmocka_unit_test(a_miss_begins_to_wait_anew),
    cmocka_unit_test(who_leaves_in_a_callback_is_flushed_and_stays),
    cmocka_unit_test(a_thread_that_has_left_has_no_seat_again),
    cmocka_unit_test(without_a_free_seat_a_thread_has_none),
    cmocka_unit_test(a_library_that_is_unloaded_has_no_key),
    cmocka_unit_test(a_destructor_is_called_in_its_pool),
    cmocka_unit_test(a_constructor_is_called_in_its_pool),
    cmocka_unit_test(a_pool_spares_the_slabs_that_it_need_not_keep),
    cmocka_unit_test(a_search_begins_with_nothing),
    cmocka_unit_test(who_allocates_has_a_cache_as_long_as_there_is_memory),
    cmocka_unit_test(no_pool_of_a_heap_that_ends_serves),
    cmocka_unit_test(a_run_of_frees_is_put_at_once),
    cmocka_unit_test(watermarks_are_looked_at_when_a_call_ends),
    cmocka_unit_test(a_cache_that_serves_again_has_filled_no_bin),
    cmocka_unit_test(an_alignment_is_a_power_of_two_up_to_a_chunk),
    cmocka_unit_test(a_critical_object_counts_with_all_that_it_takes),
#if FPHEAP_SHARED
    cmocka_unit_test(a_call_that_gives_up_its_slot_counts_for_its_process),
    cmocka_unit_test(a_thread_takes_a_slot_or_makes_one),
    cmocka_unit_test(the_handle_of_a_partition_ends_in_a_child),
    cmocka_unit_test(a_process_counts_the_bytes_that_it_has),
#endif
    cmocka_unit_test(a_bulk_tells_what_it_did_if_it_is_served)
};

int
main(void)
{
    return cmocka_run_group_tests_name("magazines", tests, NULL, NULL);
}
