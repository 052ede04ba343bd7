/* test_thp.c - transparent hugepages, chunk by chunk
 *
 * For which chunks the heap asks its provider, when, and when no longer; what
 * the statistics say of it; how much memory objects take that are hardly
 * touched, and what a trim gives back between live ones.  The provider is the
 * mmap one, whose answers are the kernel's, or always yes.
 */
#define FPHEAP_IMPLEMENTATION
#include "fpheap.h"
#include "test_util.h"

static fpheap_provider pages;  /* the mmap provider */
static unsigned        asked[3];
static unsigned        turns;     /* times that a full chunk was asked for while
                                     others had to wait for this thread */
static fpheap         *the_heap;
static void           *last_none, *decommitted;
static char           *watched;   /* memory, so many bytes */
static size_t          watched_bytes;
static unsigned        watched_decommits;
static void           *objects[4096];

static int
get(void *ctx, size_t bytes, size_t align, int node, fpheap_region *region)
{
    return pages.get(ctx, bytes, align, node, region);
}

static int
put(void *ctx, const fpheap_region *region)
{
    return pages.put(ctx, region);
}

static void
decommit(void *ctx, void *base, size_t bytes)
{
    decommitted = base;
    watched_decommits += (size_t)((char *)base - watched) < watched_bytes;
    pages.decommit(ctx, base, bytes);
}

static int
huge(void *ctx, void *chunk, size_t bytes, fpheap_huge what)
{
    (void)ctx;
    assert_int_equal(bytes, FPHEAP_CHUNK);
    assert_int_equal((uintptr_t)chunk % FPHEAP_CHUNK, 0);
    asked[what]++;
    if (what == FPHEAP_HUGE_IF_FULL)
        turns += fph_load_relaxed(&the_heap->state->growing) != 0;
    if (what == FPHEAP_HUGE_NONE)
        last_none = chunk;
    return what != FPHEAP_HUGE_NONE;
}

static fpheap *
made(void)
{
    fpheap_config   config;
    fpheap_provider provider;

    memset(&config, 0, sizeof config);
    memset(asked, 0, sizeof asked);
    last_none = decommitted = NULL;
    watched_bytes = watched_decommits = 0;
    assert_int_equal(fpheap_provider_mmap(&pages, 0), 0);
    provider = pages;
    provider.get = get;
    provider.put = put;
    provider.decommit = decommit;
    provider.huge = huge;
    config.provider = &provider;
    turns = 0;
    the_heap = fpheap_create("thp", &config);
    return the_heap;
}

static size_t
thp_bytes(fpheap *heap)
{
    fpheap_stats s;

    fpheap_stats_get(heap, &s);
    assert_int_equal(s.backing_bytes[FPHEAP_BACKING_PAGES]
                     + s.backing_bytes[FPHEAP_BACKING_THP], s.region_bytes);
    return s.backing_bytes[FPHEAP_BACKING_THP];
}

/* Allocate n objects. */
static void
fill(fpheap *heap, unsigned n, size_t size)
{
    unsigned i;

    for (i = 0; i < n; i++)
        assert_non_null(objects[i] = fpheap_alloc(heap, size));
}

static void
ended(fpheap *heap)
{
    TEST_CHECK(heap);
    assert_int_equal(fpheap_destroy(heap), 0);
}

/* --- when ----------------------------------------------------------------- */

static void
reserved_memory_has_hugepages_at_once(void **state)
{
    fpheap *heap = made();

    (void)state;
    assert_int_equal(fpheap_reserve(heap, 10 * FPHEAP_CHUNK, 0), 0);
    assert_true(asked[FPHEAP_HUGE_NOW] >= 10);
    assert_int_equal(thp_bytes(heap), test_region_bytes(heap));
    ended(heap);
}

static void
a_heap_of_less_than_32_mib_asks_for_none(void **state)
{
    fpheap *heap = made();

    (void)state;
    fill(heap, 28, TEST_MIB);
    assert_true(test_region_bytes(heap) < FPH_HUGE_FULL_FROM);
    assert_int_equal(asked[FPHEAP_HUGE_NOW] + asked[FPHEAP_HUGE_IF_FULL], 0);
    assert_int_equal(thp_bytes(heap), 0);
    fpheap_free_bulk(heap, objects, 28);
    ended(heap);
}

/* Each growth looks at a few, so that none takes long, and all have their turn;
 * and no other thread waits for that. */
static void
chunks_that_have_filled_get_hugepages_as_the_heap_grows(void **state)
{
    enum { MANY = 200 };
    fpheap  *heap = made();
    unsigned before = 0;
    unsigned i;

    (void)state;
    for (i = 0; i < MANY; i++) {
        assert_non_null(objects[i] = fpheap_alloc(heap, TEST_MIB));
        assert_true(asked[FPHEAP_HUGE_IF_FULL] - before <= FPH_HUGE_LOOKS);
        before = asked[FPHEAP_HUGE_IF_FULL];
    }
    assert_int_equal(asked[FPHEAP_HUGE_NOW], 0);
    assert_int_equal(turns, 0);
    assert_true(thp_bytes(heap) >= MANY * TEST_MIB / 8 * 7);
    assert_true(thp_bytes(heap) <= MANY * TEST_MIB);
    fpheap_free_bulk(heap, objects, MANY);
    ended(heap);
}

static void
a_heap_of_256_mib_has_hugepages_behind_new_chunks_of_small_objects(void **state)
{
    fpheap  *heap = made();
    unsigned i;

    (void)state;
    fill(heap, 300, TEST_MIB);
    assert_true(test_region_bytes(heap) >= FPH_HUGE_NEW_FROM);
    assert_int_equal(asked[FPHEAP_HUGE_NOW], 0);
    for (i = 300; i < 4096; i++)
        assert_non_null(objects[i] = fpheap_alloc(heap, 4096));
    /* 15 MiB, in part in chunks that had room. */
    assert_in_range(asked[FPHEAP_HUGE_NOW], 5, 8);
    fpheap_free_bulk(heap, objects, 4096);
    ended(heap);
}

/* Regions that begin and end in the middle of chunks, one behind the other. */
#define SHARED 200

static struct {
    char         *base;
    size_t        bytes;       /* given */
    fpheap_region region[SHARED];
    unsigned      regions;
    unsigned      asked;       /* times, for a chunk, */
    unsigned      partly;      /* of which not all was given */
    unsigned      split;       /* or, full, is of two regions */
} shared;

static int
shared_get(void *ctx, size_t bytes, size_t align, int node,
           fpheap_region *region)
{
    (void)ctx, (void)align, (void)node;
    if (shared.regions == SHARED
        || bytes > (SHARED - 1) * FPHEAP_CHUNK - shared.bytes)
        return -ENOMEM;
    region->base = shared.base + shared.bytes;
    region->bytes = bytes;
    region->backing = FPHEAP_BACKING_PAGES;
    shared.bytes += bytes;
    shared.region[shared.regions++] = *region;
    return 0;
}

static int
shared_huge(void *ctx, void *chunk, size_t bytes, fpheap_huge what)
{
    size_t   at = (size_t)((char *)chunk - shared.base);
    unsigned i;

    (void)ctx;
    shared.asked++;
    shared.partly += at > shared.bytes || shared.bytes - at < bytes;
    for (i = 0; i < shared.regions; i++) {
        size_t first = (size_t)((char *)shared.region[i].base - shared.base);
        size_t end   = first + shared.region[i].bytes;

        shared.split += what == FPHEAP_HUGE_IF_FULL && at < end
                     && at + bytes > end;
    }
    return 1;
}

static fpheap *
made_of_shared_chunks(void)
{
    fpheap_provider provider;
    fpheap_config   config;
    fpheap         *heap;

    memset(&config, 0, sizeof config);
    memset(&provider, 0, sizeof provider);
    memset(&shared, 0, sizeof shared);
    shared.base = test_map((SHARED + 1) * FPHEAP_CHUNK);
    assert_non_null(shared.base);
    shared.base += (-(uintptr_t)shared.base & FPH_CHUNK_MASK)
                 + FPHEAP_CHUNK / 2;
    provider.get = shared_get;
    provider.huge = shared_huge;
    config.provider = &provider;
    heap = fpheap_create("shared", &config);
    assert_non_null(heap);
    return heap;
}

/* The rest is another's. */
static void
a_chunk_of_which_the_heap_has_a_part_gets_none(void **state)
{
    fpheap *heap = made_of_shared_chunks();

    (void)state;
    assert_int_equal(fpheap_reserve(heap, 10 * FPHEAP_CHUNK, 0), 0);
    assert_true(shared.asked >= 9);
    assert_int_equal(shared.partly, 0);
    ended(heap);
}

/* As one of the two may leave meanwhile. */
static void
a_full_chunk_that_two_regions_share_gets_none(void **state)
{
    enum { MANY = 250 };
    fpheap *heap = made_of_shared_chunks();

    (void)state;
    fill(heap, MANY, TEST_MIB);
    assert_true(shared.regions > 10 && shared.asked > 10);
    assert_int_equal(shared.split, 0);
    fpheap_free_bulk(heap, objects, MANY);
    ended(heap);
}

/* --- when no longer ------------------------------------------------------- */

static void
a_chunk_of_which_a_part_is_decommitted_has_none(void **state)
{
    fpheap *heap = made();
    char   *first;

    (void)state;
    assert_int_equal(fpheap_reserve(heap, 4 * FPHEAP_CHUNK, 0), 0);
    first = fpheap_alloc(heap, 64);
    assert_non_null(first);
    fpheap_trim(heap);
    assert_non_null(decommitted);
    assert_int_equal((uintptr_t)decommitted / FPHEAP_CHUNK,
                     (uintptr_t)last_none / FPHEAP_CHUNK);
    assert_int_equal(thp_bytes(heap), 0);
    fpheap_free(heap, first);
    ended(heap);
}

static void
a_chunk_that_comes_again_begins_without(void **state)
{
    fpheap *heap = made();

    (void)state;
    assert_int_equal(fpheap_reserve(heap, 20 * FPHEAP_CHUNK, 0), 0);
    assert_true(thp_bytes(heap) >= 20 * FPHEAP_CHUNK);
    fpheap_trim(heap);
    assert_int_equal(thp_bytes(heap), 0);
    fill(heap, 30, TEST_MIB / 2);
    assert_int_equal(thp_bytes(heap), 0);
    fpheap_free_bulk(heap, objects, 30);
    ended(heap);
}

/* --- what is resident ----------------------------------------------------- */

static size_t
resident(void)
{
    return test_number_in("/proc/self/status", "VmRSS:") * TEST_KIB;
}

static int
touch_little(void)
{
    fpheap *heap = fpheap_create("little", NULL);
    size_t  before = resident();
    int     i;

    for (i = 0; i < 400; i++) {
        objects[i] = fpheap_alloc(heap, FPHEAP_CHUNK);
        if (objects[i] == NULL)
            return 2;
        *(char *)objects[i] = 1;
    }
    return resident() - before <= 8 * TEST_MIB ? 0 : 3;
}

static void
large_objects_take_what_of_them_is_touched(void **state)
{
    (void)state;
    if (FPHEAP_CHECK >= 2 || sysconf(_SC_PAGESIZE) != 4096) {
        print_message("why: objects are filled, or pages are not of 4 KiB\n");
        skip();
    }
    test_in_child(touch_little);
}

/* --- what a trim gives back ----------------------------------------------- */

/* One of 33 stays. */
static int
keep_few(void)
{
    fpheap *heap = fpheap_create("few", NULL);
    size_t  before = resident();
    int     i;

    for (i = 0; i < 2000; i++) {
        objects[i] = fpheap_alloc(heap, 100000);
        if (objects[i] == NULL)
            return 2;
        memset(objects[i], 1, 100000);
    }
    for (i = 0; i < 2000; i++)
        if (i % 33 != 0)
            fpheap_free(heap, objects[i]);
    fpheap_trim(heap);
    if (resident() - before > 10 * TEST_MIB)
        return 3;
    for (i = 0; i < 2000; i += 33)
        if (!test_all_bytes(objects[i], 100000, 1))
            return 4;
    return 0;
}

static void
a_trim_frees_what_is_behind_free_objects_beside_live_ones(void **state)
{
    (void)state;
    if (FPHEAP_CHECK >= 2 || sysconf(_SC_PAGESIZE) != 4096) {
        print_message("why: objects are filled, or pages are not of 4 KiB\n");
        skip();
    }
    test_in_child(keep_few);
}

static int
construct(void *arg, void *object)
{
    (void)arg;
    memset(object, 7, 32768);
    return 0;
}

static void
objects_of_pools_stay_constructed_through_a_trim(void **state)
{
    fpheap          *heap = made();
    fpheap_pool_desc desc;
    fpheap_pool     *pool;
    unsigned         i;

    (void)state;
    memset(&desc, 0, sizeof desc);
    desc.name = "large";
    desc.size = 32768;
    desc.construct = construct;
    pool = fpheap_pool_create(heap, &desc);
    assert_non_null(pool);
    for (i = 0; i < 100; i++)
        assert_non_null(objects[i] = fpheap_pool_get(pool));
    for (i = 1; i < 100; i++)
        fpheap_pool_put(pool, objects[i]);
    fpheap_trim(heap);
    for (i = 1; i < 100; i++) {
        assert_non_null(objects[i] = fpheap_pool_get(pool));
        assert_true(test_all_bytes(objects[i], 32768, 7));
    }
    for (i = 0; i < 100; i++)
        fpheap_pool_put(pool, objects[i]);
    assert_int_equal(fpheap_pool_destroy(pool, NULL), 0);
    ended(heap);
}

/* A slab over two chunks, by an object of it: all its others are free. */
static fph_slab *
slab_over_two_chunks(fpheap *heap, void **object)
{
    const size_t size = 100000;
    unsigned     n;

    for (n = 0; n < TEST_COUNT(objects); n++) {
        fph_slab *slab;

        *object = objects[n] = fpheap_alloc(heap, size);
        assert_non_null(objects[n]);
        slab = fph_record_of(heap->state, objects[n]);
        if (slab->page % FPH_PAGES
            + heap->state->classes[fph_class_of(size)].pages > FPH_PAGES) {
            fpheap_free_bulk(heap, objects, n);
            return slab;
        }
    }
    return NULL;
}

/* Its free objects are decommitted if both are of base pages, and then neither
 * has hugepages. */
static void
both_chunks_of_a_slab_are_looked_at(void **state)
{
    unsigned which;

    (void)state;
    for (which = 0; which < 3; which++) {
        fpheap    *heap = made();
        void      *object = NULL;
        fph_slab  *slab = slab_over_two_chunks(heap, &object);
        fph_chunk *first;

        assert_non_null(slab);
        first = fph_chunk_of_page(heap->state, slab->page);
        first[0].huge = first[1].huge = 1;
        first[0].plain = which != 1;
        first[1].plain = which != 2;
        watched = slab->base;
        watched_bytes = (size_t)slab->size * fph_info_count(slab->info);
        fpheap_flush(heap);
        fph_depot_drain(heap->state, fph_info_bin(slab->info));
        fph_objects_decommit(heap);
        assert_int_equal(watched_decommits != 0, which == 0);
        if (which == 0)
            assert_int_equal(first[0].huge | first[1].huge, 0);
        first[0].plain = first[1].plain = 1;
        fpheap_free(heap, object);
        TEST_DESTROY(heap);
    }
}

/* As it may be swapped out; and whole pages only.  (For a tool zalloc writes
 * all.) */
static void
untouched_memory_is_made_sure_of_by_a_decommit(void **state)
{
    const size_t bytes = 4 * FPH_ZERO_STEP;
    fpheap      *heap = made();
    char        *object = (char *)fpheap_alloc(heap, bytes);
    unsigned     n;

    (void)state;
    assert_non_null(object);
    watched = object;
    watched_bytes = fpheap_usable_size(heap, object);
    assert_false(fph_is_untouched(heap, object, FPH_ZERO_STEP + 16));
    assert_false(fph_is_untouched(heap, object + 16, FPH_ZERO_STEP));
    assert_int_equal(watched_decommits, 0);
    fpheap_free(heap, object);
    fpheap_flush(heap);
    assert_ptr_equal(fpheap_zalloc(heap, bytes), object);
    n = watched_decommits;
    assert_int_equal(n != 0, FPHEAP_TOOL == 0);
    object[FPH_ZERO_STEP] = 1;
    assert_false(fph_is_untouched(heap, object + FPH_ZERO_STEP, FPH_ZERO_STEP));
    assert_int_equal(watched_decommits, n);
    fpheap_free(heap, object);
    TEST_DESTROY(heap);
}

/* Claim pages, with a large heap or one that is smaller by some bytes, of a
 * chunk that was free or has a page taken.  Returns whether its hugepages were
 * asked for. */
static unsigned
asks(fpheap *heap, size_t pages_claimed, unsigned in_use, uint64_t less)
{
    fph_state *s     = heap->state;
    uint64_t   bytes = s->region_bytes;
    unsigned   before = asked[FPHEAP_HUGE_NOW];
    size_t     n     = pages_claimed + in_use;
    size_t     page  = fph_pages_find(heap, 0, n, 1);

    assert_true(page != FPH_NO_PAGE && page % FPH_PAGES + n <= FPH_PAGES);
    assert_int_equal(fph_popcount(s->free[page >> FPH_PAGE_BITS]),
                     FPH_PAGES - n);
    s->region_bytes = ((uint64_t)256 << 20) - less;
    fph_huge_new(heap, page, pages_claimed);
    s->region_bytes = bytes;
    s->chunks[page >> FPH_PAGE_BITS].huge = 0;
    fph_pages_give(s, page, n);
    return asked[FPHEAP_HUGE_NOW] - before;
}

static void
a_large_heap_asks_for_a_chunk_with_the_first_few_of_its_pages(void **state)
{
    fpheap *heap = made();
    size_t  few = FPH_PAGES / 4;

    (void)state;
    assert_int_equal(asks(heap, few, 0, 0), 1);
    assert_int_equal(asks(heap, few - 1, 0, 0), 1);
    assert_int_equal(asks(heap, few + 1, 0, 0), 0);
    assert_int_equal(asks(heap, few, 1, 0), 0);
    assert_int_equal(asks(heap, few, 0, 1), 0);
    assert_int_equal(asks(heap, 1, 0, 0), 1);
    ended(heap);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(reserved_memory_has_hugepages_at_once),
    cmocka_unit_test(a_heap_of_less_than_32_mib_asks_for_none),
    cmocka_unit_test(chunks_that_have_filled_get_hugepages_as_the_heap_grows),
    cmocka_unit_test(
        a_heap_of_256_mib_has_hugepages_behind_new_chunks_of_small_objects),
    cmocka_unit_test(a_chunk_of_which_the_heap_has_a_part_gets_none),
    cmocka_unit_test(a_full_chunk_that_two_regions_share_gets_none),
    cmocka_unit_test(a_chunk_of_which_a_part_is_decommitted_has_none),
    cmocka_unit_test(both_chunks_of_a_slab_are_looked_at),
    cmocka_unit_test(a_chunk_that_comes_again_begins_without),
    cmocka_unit_test(large_objects_take_what_of_them_is_touched),
    cmocka_unit_test(untouched_memory_is_made_sure_of_by_a_decommit),
    cmocka_unit_test(a_trim_frees_what_is_behind_free_objects_beside_live_ones),
    cmocka_unit_test(objects_of_pools_stay_constructed_through_a_trim),
    cmocka_unit_test(
        a_large_heap_asks_for_a_chunk_with_the_first_few_of_its_pages)
};

int
main(void)
{
    return cmocka_run_group_tests(tests, NULL, NULL);
}
