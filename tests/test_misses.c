/* test_misses.c - what a miss does, step by step: how many objects it claims,
 * which magazine they are in then, and what it does without memory for one.
 */
#define FPHEAP_IMPLEMENTATION
#include "fpheap.h"
#include "test_util.h"

static test_provider provider;

/* What most cases have: a heap, a pool of it, and this thread's cache. */
static fpheap       *heap;
static fpheap_pool  *pool;
static fpheap_cache *cache;
static unsigned      bin;      /* the pool's */

static void *objects[4096];

static void
begin_sized(size_t size, unsigned magazine)
{
    fpheap_pool_desc desc;

    heap = test_heap_over(&provider);
    memset(&desc, 0, sizeof desc);
    desc.name = "pool";
    desc.size = size;
    desc.magazine = magazine;
    pool = fpheap_pool_create(heap, &desc);
    assert_non_null(pool);
    bin = FPH_SIZES + pool->number;
    cache = fpheap_self(heap);
    assert_non_null(cache);
}

static void
begin(unsigned magazine)
{
    begin_sized(64, magazine);
}

static void
end(void)
{
    assert_int_equal(fpheap_pool_destroy(pool, NULL), 0);
    TEST_DESTROY_OVER(heap, &provider);
}

static size_t
parked(void)
{
    return fph_cache_objects(heap->state, cache, bin);
}

static size_t
loaded(void)
{
    return (size_t)(cache->bins[bin].top - cache->bins[bin].base);
}

static size_t
claimed(void)
{
    fpheap_pool_stats stats;

    fpheap_pool_stats_get(pool, &stats);
    return stats.claimed_objects;
}

/* The first n objects, one by one, and none parked. */
static void
get_singly(unsigned n)
{
    unsigned i;

    for (i = 0; i < n; i++)
        assert_non_null(objects[i] = fpheap_pool_get(pool));
    fpheap_flush(heap);
    assert_int_equal(parked(), 0);
}

static void
put_singly(unsigned from, unsigned to)
{
    for (; from < to; from++)
        fpheap_pool_put(pool, objects[from]);
}

/* A search of the pool's for one object. */
static fph_search
search_of(fpheap_cache *own, int tight)
{
    fph_search search;

    memset(&search, 0, sizeof search);
    search.heap = heap;
    search.bin = bin;
    search.cache = own;
    search.tight = tight;
    return search;
}

/* Have no room for another record, and so many magazines that none is made only
 * since there are few.  Returns how many to take off again. */
static uint64_t
use_up_records(void)
{
    uint64_t many = heap->state->region_bytes / sizeof(fph_magazine);

    while (fph_meta_cut(heap->state, FPH_LINE) != 0)
        ;
    heap->state->magazines += many;
    assert_int_equal(fph_magazines_few(heap->state, bin), 0);
    return many;
}

/* --- how many it claims --------------------------------------------------- */

static void
a_bin_claims_twice_as_many_each_time_up_to_a_magazine(void **state)
{
    static const struct { unsigned magazine, claims[10]; } cases[] = {
        { 64, { 1, 1, 2, 4, 8, 16, 32, 64, 64, 64 } },
        { 5, { 1, 1, 1, 1, 1, 1, 2, 5, 5, 5 } }
    };
    unsigned i, j;

    (void)state;
    for (i = 0; i < TEST_COUNT(cases); i++) {
        begin(cases[i].magazine);
        for (j = 0; j < 10; j++) {
            assert_int_equal(fph_bin_claims(cache, bin), cases[i].claims[j]);
            assert_int_equal(cache->fills[bin], j < 7 ? j + 1 : 7);
        }
        end();
    }
}

static void
while_little_is_left_a_bin_claims_one(void **state)
{
    (void)state;
    begin(64);
    cache->fills[bin] = 5;
    heap->state->marked = 1;
    heap->state->water[0].is |= FPH_CROSSING;
    assert_int_equal(fph_bin_claims(cache, bin), 1);
    assert_int_equal(cache->fills[bin], 5);
    heap->state->water[0].is &= ~FPH_CROSSING;
    assert_int_equal(fph_bin_claims(cache, bin), 16);
    heap->state->marked = 0;
    end();
}

/* All that it claims but the one that it is for.  As many as a short magazine
 * takes need no other, and no look at what is idle. */
static void
what_a_miss_claims_is_parked(void **state)
{
    uint64_t magazines;
    unsigned looked, i, n = 0;

    (void)state;
    begin(64);
    magazines = heap->state->magazines;
    looked = cache->looked;
    for (i = 0; i < 6; i++) {
        size_t claims = i < 2 ? 1 : (size_t)1 << (i - 1);

        assert_non_null(objects[n++] = fpheap_pool_get(pool));
        assert_int_equal(parked(), claims - 1);
        while (parked() != 0)
            assert_non_null(objects[n++] = fpheap_pool_get(pool));
    }
    assert_int_equal(fph_is_short(fph_magazine_of(cache->bins[bin].base)), 1);
    assert_int_equal(heap->state->magazines, magazines);
    assert_int_equal(cache->looked, looked);
    assert_non_null(objects[n++] = fpheap_pool_get(pool));
    assert_int_equal(parked(), 31);
    assert_int_equal(fph_is_short(fph_magazine_of(cache->bins[bin].base)), 0);
    assert_int_equal(heap->state->magazines, magazines + 1);
    assert_int_not_equal(cache->looked, looked);
    TEST_CHECK_LIVE(heap, n);
    put_singly(0, n);
    end();
}

/* A search that would rather have none than take pages for a record parks
 * nothing. */
static void
without_a_magazine_a_miss_gives_the_others_back(void **state)
{
    int tight;

    (void)state;
    for (tight = 0; tight < 2; tight++) {
        fph_search search;
        uint64_t   many;
        int        refused = 0;

        begin(8);              /* which has no short one */
        get_singly(1);
        many = use_up_records();
        cache->fills[bin] = 6;
        search = search_of(cache, tight);
        assert_int_equal(fph_bin_fill(&search, &refused), 1);
        assert_int_equal(refused, 0);
        assert_int_equal(parked(), tight ? 0 : 3);
        assert_int_equal(claimed(), tight ? 2 : 5);
        heap->state->magazines -= many;
        TEST_CHECK_LIVE(heap, 2);
        fpheap_pool_put(pool, search.found);
        put_singly(0, 1);
        end();
    }
}

static void
without_a_whole_magazine_a_miss_claims_one(void **state)
{
    int tight;

    (void)state;
    for (tight = 0; tight < 2; tight++) {
        fph_search search;
        uint64_t   many;
        int        refused = 0;

        begin(64);
        get_singly(1);
        put_singly(0, 1);      /* so that it has its short one */
        fpheap_flush(heap);
        assert_int_not_equal(*fph_bin_small(cache, bin), 0);
        many = use_up_records();
        cache->fills[bin] = 7;
        search = search_of(cache, tight);
        assert_int_equal(fph_bin_fill(&search, &refused), 1);
        assert_non_null(search.found);
        assert_int_equal(parked(), tight ? 0 : 63);
        assert_int_equal(claimed(), tight ? 1 : 64);
        heap->state->magazines -= many;
        fpheap_pool_put(pool, search.found);
        end();
    }
}

/* --- what is in which magazine -------------------------------------------- */

/* To the last place. */
static void
a_short_magazine_is_emptied_into_one_that_has_room_for_all(void **state)
{
    const unsigned all = 2 * FPH_SHORT;
    fph_magazine  *whole;
    unsigned       i;

    (void)state;
    begin(all);
    get_singly(all);
    put_singly(all - 5, all);
    assert_int_equal(fph_is_short(fph_magazine_of(cache->bins[bin].base)), 1);
    whole = fph_empty_get(heap, bin, 1 /* more */);
    assert_non_null(whole);
    memcpy(whole->slot, objects, (all - 5) * sizeof *objects);
    fph_magazine_set_count(whole, all - 5);
    fph_bin_exchange(cache, bin, whole);
    assert_ptr_equal(fph_magazine_of(cache->bins[bin].base), whole);
    assert_int_equal(loaded(), all);
    for (i = 0; i < all; i++)
        assert_ptr_equal(whole->slot[i], objects[i]);
    end();
}

static void
half_of_an_even_magazine_is_loaded(void **state)
{
    (void)state;
    begin(6);
    get_singly(7);
    put_singly(0, 7);
    assert_int_equal(loaded(), 1);
    assert_int_equal(fph_spare_count(cache, bin), 6);
    assert_ptr_equal(fpheap_pool_get(pool), objects[6]);
    assert_ptr_equal(fpheap_pool_get(pool), objects[5]);
    assert_int_equal(loaded(), 2);
    assert_int_equal(fph_spare_count(cache, bin), 3);
    put_singly(5, 7);
    end();
}

#define NONE UINT_MAX

/* Park so many in the loaded magazine, of which `keeps` are to stay there, and
 * `other` in the spare, or have no spare. */
static void
park(unsigned full, unsigned other, unsigned keeps)
{
    unsigned      n = full + (other == NONE ? 0 : other);
    fph_magazine *magazine;
    int           refused = 0;

    fpheap_flush(heap);
    fph_depot_drain(heap->state, bin);
    assert_int_equal(fph_bin_claim(heap, bin, objects, n, &refused), n);
    magazine = fph_empty_get(heap, bin, 1 /* more */);
    memcpy(magazine->slot, objects, full * sizeof *objects);
    fph_magazine_set_count(magazine, full);
    fph_bin_load(cache, bin, magazine);
    if (other != NONE) {
        magazine = fph_empty_get(heap, bin, 1 /* more */);
        memcpy(magazine->slot, objects + full, other * sizeof *objects);
        fph_magazine_set_count(magazine, other);
        fph_bin_spare(cache, bin, magazine);
    }
    cache->fills[bin] = 0;
    if (keeps != 0)
        fph_bin_keep(cache, bin, keeps);
}

static void
room_is_made_beside_what_a_bin_keeps(void **state)
{
    static const struct {
        unsigned full, other, keeps, then, spare;
    } cases[] = {
        { 32, 0, 12, 16, 16 }, { 32, 0, 24, 24, 8 }, { 32, 0, 0, 16, 16 },
        { 32, 12, 12, 12, 32 }, { 32, 14, 12, 14, 32 }, { 32, 12, 0, 12, 32 },
        { 32, 32, 0, 0, 32 }, { 32, 32, 12, 12, 20 }, { 32, 10, 12, 12, 20 },
        { 32, 32, 2, 2, 30 }
    };
    unsigned i;

    (void)state;
    begin(32);
    for (i = 0; i < TEST_COUNT(cases); i++) {
        park(cases[i].full, cases[i].other, cases[i].keeps);
        assert_int_equal(fph_bin_make_room(cache, bin), 1);
        assert_int_equal(loaded(), cases[i].then);
        assert_int_equal(fph_spare_count(cache, bin), cases[i].spare);
    }
    park(32, 0, 32);
    assert_int_equal(fph_bin_make_room(cache, bin), 0);
    assert_int_equal(loaded(), 32);
    assert_int_equal(fph_spare_count(cache, bin), 0);
    fpheap_flush(heap);
    TEST_CHECK_LIVE(heap, 0);
    end();
}

static void
one_object_that_a_bin_keeps_stays_loaded(void **state)
{
    (void)state;
    begin(16);
    park(16, 16, 1);
    assert_int_equal(fph_bin_kept(cache, bin), 1);
    assert_int_equal(fph_bin_make_room(cache, bin), 1);
    assert_int_equal(loaded(), 1);
    assert_int_equal(fph_spare_count(cache, bin), 15);
    end();
}

/* A free does not take pages for a record. */
static void
without_a_third_magazine_one_at_hand_is_emptied(void **state)
{
    static const struct { unsigned spare, keeps, room; } cases[] = {
        { NONE, 0, 1 }, { NONE, 4, 0 }, { 8, 0, 1 }
    };
    unsigned i;

    (void)state;
    for (i = 0; i < TEST_COUNT(cases); i++) {
        uint64_t many;
        size_t   left;

        begin(8);
        park(8, cases[i].spare, cases[i].keeps);
        many = use_up_records();
        assert_int_equal(fph_bin_make_room(cache, bin), cases[i].room);
        left = cases[i].spare == NONE && cases[i].room ? 0 : 8;
        assert_int_equal(parked(), left);
        assert_int_equal(loaded(), cases[i].room ? 0 : 8);
        assert_int_equal(claimed(), left);
        heap->state->magazines -= many;
        end();
    }
}

/* --- without a cache ------------------------------------------------------ */

/* And then no others than it needs. */
static void
what_a_pool_may_not_claim_comes_from_its_depot(void **state)
{
    fph_search search;
    int        refused = 0;

    (void)state;
    begin(8);
    get_singly(9);
    fpheap_pool_put_bulk(pool, objects + 1, 8);
    fpheap_flush(heap);
    assert_int_equal(fph_depot_count(heap->state, bin), 1);
    search = search_of(NULL, 0);
    assert_int_equal(fph_claim_one(&search, &refused), 1);
    objects[1] = search.found;
    assert_int_equal(fph_depot_count(heap->state, bin), 1);
    assert_int_equal(claimed(), 10);
    assert_int_equal(fpheap_pool_set_max(pool, 10), 0);
    assert_int_equal(fph_claim_one(&search, &refused), 1);
    assert_int_equal(refused, 0);
    objects[2] = search.found;
    assert_int_equal(fph_depot_count(heap->state, bin), 0);
    assert_int_equal(claimed(), 3);
    assert_int_equal(fpheap_pool_set_max(pool, 3), 0);
    assert_int_equal(fph_claim_one(&search, &refused), 0);
    assert_int_equal(refused, -ENOSPC);
    put_singly(0, 3);
    end();
}

/* Claim all free pages.  Returns how many. */
static unsigned
claim_pages(size_t *pages, unsigned most)
{
    unsigned n = 0;

    while (n < most && (pages[n] = fph_pages_claim(heap, 0, 1, 1))
                       != FPH_NO_PAGE)
        n++;
    assert_true(n < most);
    return n;
}

static void
give_pages(const size_t *pages, unsigned n)
{
    while (n > 0)
        fph_pages_give(heap->state, pages[--n], 1);
}

/* It may grow then. */
static void
for_want_of_memory_a_depot_stays_as_it_is(void **state)
{
    fpheap_pool_stats stats;
    fph_search        search;
    size_t            pages[256];
    unsigned          n = 0, taken;
    int               refused = 0;

    (void)state;
    begin_sized(2000, 8);
    do {
        assert_non_null(objects[n++] = fpheap_pool_get(pool));
        fpheap_flush(heap);
        fpheap_pool_stats_get(pool, &stats);
    } while (stats.free_objects != 0 && n < TEST_COUNT(objects));
    assert_int_equal(stats.free_objects, 0);
    fpheap_pool_put_bulk(pool, objects + n - 8, 8);
    fpheap_flush(heap);
    taken = claim_pages(pages, TEST_COUNT(pages));
    search = search_of(NULL, 0);
    assert_int_equal(fph_claim_one(&search, &refused), 0);
    assert_int_equal(refused, 0);
    assert_int_equal(fph_depot_count(heap->state, bin), 1);
    give_pages(pages, taken);
    put_singly(0, n - 8);
    end();
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bin_claims_twice_as_many_each_time_up_to_a_magazine),
        cmocka_unit_test(while_little_is_left_a_bin_claims_one),
        cmocka_unit_test(what_a_miss_claims_is_parked),
        cmocka_unit_test(without_a_magazine_a_miss_gives_the_others_back),
        cmocka_unit_test(without_a_whole_magazine_a_miss_claims_one),
        cmocka_unit_test(
            a_short_magazine_is_emptied_into_one_that_has_room_for_all),
        cmocka_unit_test(half_of_an_even_magazine_is_loaded),
        cmocka_unit_test(room_is_made_beside_what_a_bin_keeps),
        cmocka_unit_test(one_object_that_a_bin_keeps_stays_loaded),
        cmocka_unit_test(without_a_third_magazine_one_at_hand_is_emptied),
        cmocka_unit_test(what_a_pool_may_not_claim_comes_from_its_depot),
        cmocka_unit_test(for_want_of_memory_a_depot_stays_as_it_is)
    };

    return cmocka_run_group_tests_name("misses", tests, NULL, NULL);
}
