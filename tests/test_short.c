/* test_short.c - the short magazine with which a bin begins
 *
 * What a thread hardly uses takes no whole magazine; what a short one has is
 * served, moved and given back like what others have.
 */
#define FPHEAP_IMPLEMENTATION
#include "fpheap.h"
#include "test_util.h"

static test_provider provider;

/* n objects of a pool, and none parked. */
static void
get_singly(fpheap_pool *pool, void **objects, unsigned n)
{
    unsigned i;

    for (i = 0; i < n; i++) {
        objects[i] = fpheap_pool_get(pool);
        assert_non_null(objects[i]);
    }
    fpheap_flush(pool->heap);
}

static void
put_singly(fpheap_pool *pool, void *const *objects, unsigned n)
{
    unsigned i;

    for (i = 0; i < n; i++)
        fpheap_pool_put(pool, objects[i]);
}

static fpheap_pool *
pool_of(fpheap *heap, unsigned magazine)
{
    fpheap_pool_desc desc;
    fpheap_pool     *pool;

    memset(&desc, 0, sizeof desc);
    desc.name = "short";
    desc.size = 64;
    desc.magazine = magazine;
    pool = fpheap_pool_create(heap, &desc);
    assert_non_null(pool);
    return pool;
}

static size_t
pool_parks(const fpheap_pool *pool)
{
    return fph_cache_objects(pool->heap->state, fpheap_self(pool->heap),
                             FPH_SIZES + pool->number);
}

static void
the_first_objects_that_a_bin_parks_need_no_whole_magazine(void **state)
{
    fpheap      *heap = test_heap_over(&provider);
    fpheap_pool *pool = pool_of(heap, 2 * FPH_SHORT);
    void        *objects[FPH_SHORT + 1];
    size_t       before;

    (void)state;
    before = heap->state->magazines;
    get_singly(pool, objects, FPH_SHORT + 1);
    put_singly(pool, objects, FPH_SHORT);
    assert_int_equal(pool_parks(pool), FPH_SHORT);
    assert_int_equal(heap->state->magazines, before);
    fpheap_pool_put(pool, objects[FPH_SHORT]);
    assert_int_equal(pool_parks(pool), FPH_SHORT + 1);
    assert_int_equal(heap->state->magazines, before + 1);
    assert_int_equal(fpheap_pool_destroy(pool, NULL), 0);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
a_bin_of_small_magazines_has_no_short_one(void **state)
{
    fpheap      *heap = test_heap_over(&provider);
    fpheap_pool *pool = pool_of(heap, 2 * FPH_SHORT - 1);
    void        *object;

    (void)state;
    get_singly(pool, &object, 1);
    fpheap_pool_put(pool, object);
    assert_int_equal(pool_parks(pool), 1);
    assert_int_equal(*fph_bin_small(fpheap_self(heap), FPH_SIZES + pool->number),
                     0);
    assert_int_equal(fpheap_pool_destroy(pool, NULL), 0);
    TEST_DESTROY_OVER(heap, &provider);
}

/* Also of a bulk that takes all and more, and of one that leaves some of the
 * magazine that it gathered. */
static void
a_bulk_begins_with_what_a_short_magazine_has(void **state)
{
    fpheap      *heap = test_heap_over(&provider);
    fpheap_pool *pool = pool_of(heap, 2 * FPH_SHORT);
    void        *objects[2 * FPH_SHORT + 5], *bulk[9];
    unsigned     i, j;

    (void)state;
    get_singly(pool, objects, 2 * FPH_SHORT + 5);
    fpheap_pool_put_bulk(pool, objects + 5, 2 * FPH_SHORT);
    fpheap_flush(heap);        /* one in the depot */
    assert_int_equal(pool_parks(pool), 0);
    put_singly(pool, objects, 5);
    assert_int_equal(fpheap_pool_get_bulk(pool, bulk, 9), 0);
    for (i = 0; i < 5; i++)
        assert_ptr_equal(bulk[i], objects[i]);
    for (; i < 9; i++)
        for (j = 0; j < i; j++)
            assert_ptr_not_equal(bulk[i], bulk[j]);
    assert_int_equal(pool_parks(pool), 2 * FPH_SHORT - 4);
    fpheap_pool_put_bulk(pool, bulk, 9);
    assert_int_equal(fpheap_pool_destroy(pool, NULL), 0);
    TEST_DESTROY_OVER(heap, &provider);
}

/* An empty magazine of others is still found after it. */
static void
a_flush_leaves_it_with_its_bin(void **state)
{
    fpheap      *heap = test_heap_over(&provider);
    fpheap_pool *pool = pool_of(heap, 2 * FPH_SHORT);
    void        *objects[FPH_SHORT + 1];
    fph_word    *empties;

    (void)state;
    empties = fph_empties(heap->state, FPH_SIZES + pool->number);
    get_singly(pool, objects, FPH_SHORT + 1);
    put_singly(pool, objects, FPH_SHORT + 1);
    fpheap_flush(heap);
    assert_non_null(fph_stack_top(heap->state, empties));
    get_singly(pool, objects, 1);
    put_singly(pool, objects, 1);
    fpheap_flush(heap);
    assert_non_null(fph_stack_top(heap->state, empties));
    assert_int_equal(fpheap_pool_destroy(pool, NULL), 0);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
beside_a_spare_it_is_not_loaded(void **state)
{
    fpheap       *heap = test_heap_over(&provider);
    fpheap_pool  *pool = pool_of(heap, 2 * FPH_SHORT);
    unsigned      bin = FPH_SIZES + pool->number;
    fpheap_cache *cache = fpheap_self(heap);
    void         *objects[2 * FPH_SHORT + 1];

    (void)state;
    get_singly(pool, objects, 2 * FPH_SHORT + 1);
    put_singly(pool, objects, 2 * FPH_SHORT);
    fph_bin_swap(cache, bin);
    assert_null(cache->bins[bin].base);
    fpheap_pool_put(pool, objects[2 * FPH_SHORT]);
    assert_false(fph_is_short(fph_magazine_of(cache->bins[bin].base)));
    assert_int_equal(fpheap_pool_destroy(pool, NULL), 0);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
what_a_larger_magazine_has_no_room_for_goes_to_the_slabs(void **state)
{
    fpheap       *heap = test_heap_over(&provider);
    fpheap_pool  *pool = pool_of(heap, 2 * FPH_SHORT);
    unsigned      bin = FPH_SIZES + pool->number;
    void         *objects[2 * FPH_SHORT + 5];
    fph_magazine *full;

    (void)state;
    get_singly(pool, objects, 2 * FPH_SHORT + 5);
    fpheap_pool_put_bulk(pool, objects + 5, 2 * FPH_SHORT);
    fpheap_flush(heap);
    full = fph_depot_get(heap->state, bin);
    put_singly(pool, objects, 5);
    fph_bin_exchange(fpheap_self(heap), bin, full);
    assert_int_equal(pool_parks(pool), 2 * FPH_SHORT);
    TEST_CHECK_LIVE(heap, 0);
    assert_int_equal(fpheap_pool_destroy(pool, NULL), 0);
    TEST_DESTROY_OVER(heap, &provider);
}

/* It is no spare, so its objects go back at the first look. */
static void
what_a_short_magazine_has_idle_goes_back_at_once(void **state)
{
    fpheap       *heap = test_heap_over(&provider);
    unsigned      k = fph_class_of(32);
    fpheap_cache *cache = fpheap_self(heap);

    (void)state;
    while (cache->fills[fph_class_of(16)] < FPH_COLD + 5)
        assert_non_null(fpheap_alloc(heap, 16));
    while (fph_cache_objects(heap->state, cache, fph_class_of(16)) != 0)
        assert_non_null(fpheap_alloc(heap, 16));
    fpheap_free(heap, fpheap_alloc(heap, 32));
    assert_int_equal(fph_cache_objects(heap->state, cache, k), 1);
    cache->looked = k - 1;
    assert_non_null(fpheap_alloc(heap, 16)); /* claims many, so it looks */
    assert_int_equal(fph_cache_objects(heap->state, cache, k), 0);
    assert_null(cache->spare[k]);
    assert_int_equal(fpheap_destroy_forced(heap), 0);
}

/* Else each look would empty a bin whose next call would look. */
static void
sizes_of_which_a_thread_uses_two_at_a_time_stay(void **state)
{
    fpheap       *heap = test_heap_over(&provider);
    fpheap_cache *cache = fpheap_self(heap);
    unsigned      looked = 0, round, k;

    (void)state;
    for (round = 0; round < 400; round++) {
        if (round == 200)
            looked = cache->looked;
        for (k = 1; k < FPH_SIZES; k++) {
            const fph_class *klass = &heap->state->classes[k];
            size_t           size = klass->size - FPH_HEAD;
            void            *two[2];

            if (klass->magazine < 2 * FPH_SHORT)
                continue;
            two[0] = fpheap_alloc(heap, size);
            two[1] = fpheap_alloc(heap, size);
            fpheap_free(heap, two[0]);
            fpheap_free(heap, two[1]);
        }
    }
    assert_int_equal(cache->looked, looked);
    TEST_DESTROY_OVER(heap, &provider);
}

/* As another thread may see it: the short one's base, and what follows it. */
static void
slots_of_two_magazines_are_no_objects(void **state)
{
    fpheap      *heap = test_heap_over(&provider);
    fpheap_pool *pool = pool_of(heap, 2 * FPH_SHORT);
    unsigned     bin = FPH_SIZES + pool->number;
    fph_bin     *seen = &fpheap_self(heap)->bins[bin];
    void        *objects[FPH_SHORT + 1];
    void       **small, **base;

    (void)state;
    get_singly(pool, objects, FPH_SHORT + 1);
    put_singly(pool, objects, FPH_SHORT);
    small = seen->base;
    fpheap_pool_put(pool, objects[FPH_SHORT]);
    base = seen->base;
    assert_true(base > small && seen->top - small < FPHEAP_MAGAZINE);
    seen->base = small;
    assert_int_equal(pool_parks(pool), 0);
    seen->base = base;
    assert_int_equal(pool_parks(pool), FPH_SHORT + 1);
    assert_int_equal(fpheap_pool_destroy(pool, NULL), 0);
    TEST_DESTROY_OVER(heap, &provider);
}

/* Of a thread that a fork stopped while it took one out or put one in. */
static void
a_short_magazine_in_passage_is_mended(void **state)
{
    fpheap       *heap = test_heap_over(&provider);
    unsigned      k = fph_class_of(64);
    fpheap_cache *cache = fpheap_self(heap);
    void         *object = fpheap_alloc(heap, 64);
    void        **base, **top;

    (void)state;
    fpheap_free(heap, object);
    base = cache->bins[k].base;
    top = cache->bins[k].top;
    cache->bins[k].base = NULL;
    fph_bin_mend(cache, k);
    assert_ptr_equal(cache->bins[k].base, base);
    fph_magazine_of(base)->count = 1;
    cache->bins[k].top = NULL;
    fph_bin_mend(cache, k);
    assert_ptr_equal(cache->bins[k].top, top);
    assert_ptr_equal(fpheap_alloc(heap, 64), object);
    fpheap_flush(heap);
    fph_magazine_of(base)->count = 3; /* what it was about to give back */
    fpheap_free(heap, object);
    assert_int_equal(fph_cache_objects(heap->state, cache, k), 1);
    TEST_DESTROY_OVER(heap, &provider);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(the_first_objects_that_a_bin_parks_need_no_whole_magazine),
    cmocka_unit_test(a_bin_of_small_magazines_has_no_short_one),
    cmocka_unit_test(a_bulk_begins_with_what_a_short_magazine_has),
    cmocka_unit_test(a_flush_leaves_it_with_its_bin),
    cmocka_unit_test(beside_a_spare_it_is_not_loaded),
    cmocka_unit_test(what_a_larger_magazine_has_no_room_for_goes_to_the_slabs),
    cmocka_unit_test(what_a_short_magazine_has_idle_goes_back_at_once),
    cmocka_unit_test(sizes_of_which_a_thread_uses_two_at_a_time_stay),
    cmocka_unit_test(slots_of_two_magazines_are_no_objects),
    cmocka_unit_test(a_short_magazine_in_passage_is_mended)
};

int
main(void)
{
    return cmocka_run_group_tests_name("short magazines", tests, NULL, NULL);
}
