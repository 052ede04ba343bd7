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

#include <pthread.h>

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
    cmocka_unit_test(one_object_needs_no_magazine)
};

int
main(void)
{
    return cmocka_run_group_tests_name("magazines", tests, NULL, NULL);
}
