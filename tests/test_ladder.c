/* test_ladder.c - the steps by which a call gets memory, one by one
 *
 * How much is parked, and what is given back for a need; which pages are made
 * ready, and what is asked for them; what a bulk gathers; where a large object
 * grows to.
 */
#ifndef _GNU_SOURCE
#  define _GNU_SOURCE 1
#endif
#define FPHEAP_CHUNK_SHIFT    16
#define FPHEAP_MAX_NODES      2
#define FPHEAP_GROWTH_WAIT_MS 1
#define FPHEAP_IMPLEMENTATION
#include "fpheap.h"
#include "pool_util.h"

static fpheap *
heap_of_two_nodes(void)
{
    fpheap_config config;
    fpheap       *heap;

    memset(&config, 0, sizeof config);
    test_provider_init(&provider);
    config.provider = &provider.calls;
    config.nodes = 2;
    heap = fpheap_create("ladder", &config);
    assert_non_null(heap);
    return heap;
}

/* --- what may be given back ----------------------------------------------- */

static size_t
exchange(const fpheap *heap, size_t pages)
{
    return fph_need_exchange(heap, fph_need_of(heap, pages, 1));
}

/* As much as will be asked for, if the provider takes parts. */
static void
for_a_need_whole_chunks_go_back_or_everything(void **state)
{
    fpheap *heap = test_heap_over(&provider);
    size_t  pages;

    (void)state;
    for (pages = 1; pages < 5 * FPH_PAGES; pages += 7)
        assert_true(exchange(heap, pages) == SIZE_MAX);
    heap->provider.flags = FPHEAP_PARTS << 1;
    assert_true(exchange(heap, 3 * FPH_PAGES) == SIZE_MAX);
    heap->provider.flags = FPHEAP_PARTS;
    assert_int_equal(fph_growth_step(heap), 1);
    assert_int_equal(exchange(heap, 1), FPHEAP_CHUNK);
    assert_int_equal(exchange(heap, FPH_PAGES), FPHEAP_CHUNK);
    assert_int_equal(exchange(heap, FPH_PAGES + 1), 2 * FPHEAP_CHUNK);
    assert_int_equal(exchange(heap, 9 * FPH_PAGES), 9 * FPHEAP_CHUNK);
    heap->provider.flags = 0;
    assert_int_equal(fpheap_reserve(heap, 48 * FPHEAP_CHUNK, 0), 0);
    heap->provider.flags = FPHEAP_PARTS;
    assert_int_equal(fph_growth_step(heap), 3);
    assert_int_equal(exchange(heap, 2 * FPH_PAGES), 3 * FPHEAP_CHUNK);
    assert_int_equal(exchange(heap, 3 * FPH_PAGES + 1), 4 * FPHEAP_CHUNK);
    heap->provider.flags = 0;
    TEST_DESTROY_OVER(heap, &provider);
}

/* Free two bulks of a size from a node: what the cache has no room for is in
 * the depot then. */
static void
park(fpheap *heap, size_t size, int node, unsigned n)
{
    unsigned i;

    for (i = 0; i < n; i++)
        assert_non_null(objects[i] = fpheap_alloc_on(heap, size, node));
    fpheap_free_bulk(heap, objects, n);
}

/* In the cache only objects of a page or more: each holds a slab. */
static void
what_is_parked_counts_for_its_node(void **state)
{
    fpheap             *heap = heap_of_two_nodes();
    const fpheap_cache *cache;
    int                 node;

    (void)state;
    for (node = 0; node < 2; node++) {
        unsigned k, bin;

        assert_int_equal(fph_parked_bytes(heap, node, NULL), 0);
        park(heap, 16, node, 3);
        park(heap, FPHEAP_PAGE - 256, node, 3);
        cache = fph_cache_mine(heap);
        assert_non_null(cache);
        assert_int_equal(fph_parked_bytes(heap, node, cache), 0);
        park(heap, FPHEAP_PAGE, node, 3);
        assert_int_equal(fph_parked_bytes(heap, node, cache), 3 * FPHEAP_PAGE);
        park(heap, FPH_CLASS_MAX, node, 2);
        assert_int_equal(fph_parked_bytes(heap, node, cache),
                         3 * FPHEAP_PAGE + 2 * FPH_CLASS_MAX);
        assert_int_equal(fph_parked_bytes(heap, node, NULL), 0);
        assert_int_equal(fph_parked_bytes(heap, 1 - node, cache), 0);
        fpheap_flush(heap);
        (void)fph_reclaim(heap, node, 1);
        park(heap, 16, node, 8 * FPHEAP_MAGAZINE);
        bin = (unsigned)node * FPH_CLASSES + fph_class_of(16);
        k = (unsigned)fph_depot_objects(heap->state, bin);
        assert_true(k >= FPHEAP_MAGAZINE);
        assert_int_equal(fph_parked_bytes(heap, node, NULL), k * 16);
        assert_int_equal(fph_parked_bytes(heap, node, cache), k * 16);
        assert_int_equal(fph_parked_bytes(heap, 1 - node, cache), 0);
        fpheap_trim(heap);
    }
    TEST_DESTROY_OVER(heap, &provider);
}

/* --- what is made ready --------------------------------------------------- */

static size_t   huge_chunks;   /* that were asked for */
static uint64_t free_then;     /* pages of the chunk that were free meanwhile */
static fpheap  *huge_heap;

static int
note_huge(void *ctx, void *chunk, size_t bytes, fpheap_huge what)
{
    const fph_state *s = huge_heap->state;

    (void)ctx;
    assert_int_equal(bytes, FPHEAP_CHUNK);
    huge_chunks += what == FPHEAP_HUGE_NOW;
    free_then |= s->free[fph_page_of(s, chunk) >> FPH_PAGE_BITS];
    return 0;
}

/* Whether the system has memory there. */
static int
is_resident(void *at)
{
    char         *page = (char *)((uintptr_t)at & ~(uintptr_t)4095);
    unsigned char is   = 0;

    assert_int_equal(mincore(page, 4096, &is), 0);
    return is & 1;
}

/* A chunk without memory, of which pages 8, 9, and the last four are free. */
static size_t
chunk_of_few(fpheap *heap)
{
    fph_state *s = heap->state;
    fph_chunk *chunk;
    size_t     number;
    void      *at;

    assert_int_equal(fph_grow_now(heap, 1, fph_need_of(heap, 1, 1), 1), 0);
    chunk = fph_chunk_of(s, test_newest(&provider)->region.base);
    assert_non_null(chunk);
    number = (size_t)(chunk - s->chunks);
    assert_true(s->free[number] == FPH_ALL_PAGES);
    at = (void *)fph_chunk_address(chunk);
    (void)madvise(at, FPHEAP_CHUNK, MADV_NOHUGEPAGE);
    assert_int_equal(madvise(at, FPHEAP_CHUNK, MADV_DONTNEED), 0);
    s->free[number] = (uint64_t)3 << 8 | (uint64_t)15 << (FPH_PAGES - 4);
    return number;
}

/* Nobody else has them meanwhile. */
static void
the_free_pages_of_a_chunk_are_touched_and_no_others(void **state)
{
    fpheap    *heap   = heap_of_two_nodes();
    fph_state *s      = heap->state;
    size_t     number = chunk_of_few(heap);
    fph_chunk *chunk  = &s->chunks[number];
    uint64_t   free   = s->free[number];
    unsigned   page;

    (void)state;
    huge_heap = heap;
    heap->provider.huge = note_huge;
    huge_chunks = 0;
    free_then = 0;
    s->free[number] = 0;
    assert_int_equal(fph_chunk_touch(heap, number), 0);
    assert_int_equal(chunk->reserved, 0);
    assert_int_equal(huge_chunks, 0);
    s->free[number] = free;
    assert_int_equal(fph_chunk_touch(heap, number), 6);
    assert_true(s->free[number] == free);
    assert_int_equal(chunk->reserved, 1);
    assert_int_equal(huge_chunks, 1);
    assert_true(free_then == 0);
    for (page = 0; page < FPH_PAGES; page++)
        assert_int_equal(is_resident((char *)fph_chunk_address(chunk)
                                     + page * FPHEAP_PAGE), free >> page & 1);
    heap->provider.huge = NULL;
    s->free[number] = FPH_ALL_PAGES;
    TEST_DESTROY_OVER(heap, &provider);
}

/* What a reserve asks for if so many pages more than there are on node 1 are
 * wanted; 0: nothing. */
static size_t
asked_for(size_t more)
{
    fpheap *heap = heap_of_two_nodes();
    size_t  have;

    assert_int_equal(fph_grow_now(heap, 1, fph_need_of(heap, 1, 1), 1), 0);
    have = fph_node_touch(heap, 1);
    assert_true(have == FPH_PAGES);
    provider.gets = 0;
    provider.max_asked = 0;
    assert_int_equal(fph_ready_grow(heap, 1, have + more), 0);
    assert_true(provider.gets <= 1);
    assert_int_equal(provider.wrong, 0);
    assert_true(fph_node_touch(heap, 1) >= have + more);
    TEST_DESTROY_OVER(heap, &provider);
    return provider.max_asked;
}

static void
a_reserve_asks_for_the_chunks_that_it_lacks(void **state)
{
    (void)state;
    assert_int_equal(asked_for(0), 0);
    assert_int_equal(asked_for(1), FPHEAP_CHUNK);
    assert_int_equal(asked_for(2), FPHEAP_CHUNK);
    assert_int_equal(asked_for(FPH_PAGES - 1), FPHEAP_CHUNK);
    assert_int_equal(asked_for(FPH_PAGES), FPHEAP_CHUNK);
    assert_int_equal(asked_for(FPH_PAGES + 1), 2 * FPHEAP_CHUNK);
    assert_int_equal(asked_for(FPH_PAGES + 2), 2 * FPHEAP_CHUNK);
    assert_int_equal(asked_for(5 * FPH_PAGES), 5 * FPHEAP_CHUNK);
}

/* One at a time, where it happens to lie. */
static void
a_reserve_is_content_with_single_pages(void **state)
{
    fpheap *heap = heap_of_two_nodes();
    size_t  have = fph_node_touch(heap, 0);

    (void)state;
    provider.offset = 3 * FPHEAP_PAGE;
    provider.extra = FPHEAP_PAGE - FPHEAP_CHUNK; /* (less, that is) */
    provider.gets = 0;
    assert_int_equal(fph_ready_grow(heap, 0, have + 3), 0);
    assert_int_equal(fph_node_touch(heap, 0), have + 3);
    assert_int_equal(provider.gets, 3);
    /* No less than a chunk is asked for in vain. */
    provider.fail_from = provider.gets + 1;
    provider.fail_to = UINT_MAX;
    assert_int_equal(fph_ready_grow(heap, 0, have + 4), -ENOMEM);
    assert_int_equal(provider.wrong, 0);
    TEST_DESTROY_OVER(heap, &provider);
}

static fpheap  *freed_heap;
static unsigned freed_pages;

static void
free_meanwhile(test_provider *unused)
{
    (void)unused;
    fph_pages_give(freed_heap->state, fph_page_of(freed_heap->state,
                                                  objects[0]), freed_pages);
}

/* A thread that has stopped while it grew has been waited for; while this one
 * asks the provider in vain, pages are freed: all that it lacks, or one
 * fewer. */
static void
a_reserve_that_went_beside_another_growth_looks_once_more(void **state)
{
    unsigned lacks;

    (void)state;
    for (lacks = 0; lacks < 2; lacks++) {
        fpheap    *heap = heap_of_two_nodes();
        fph_state *s = heap->state;
        size_t     have = fph_node_touch(heap, 0);
        size_t     page = fph_pages_find(heap, 0, 4, 4);

        assert_true(page != FPH_NO_PAGE);
        objects[0] = fph_page_address(s, page);
        freed_heap = heap;
        freed_pages = 4 - lacks;
        provider.inside_get = free_meanwhile;
        provider.fail_from = provider.gets + 1;
        provider.fail_to = provider.fail_from;
        s->growing = ++s->growth_tickets;
        fph_wait_begin();
        assert_int_equal(fph_ready_grow(heap, 0, have), lacks ? -ENOMEM : 0);
        s->growing = 0;
        provider.inside_get = NULL;
        provider.fail_from = 0;
        if (lacks)
            fph_pages_give(s, page + 3, 1);
        TEST_DESTROY_OVER(heap, &provider);
    }
}

/* --- what a bulk gathers -------------------------------------------------- */

static void
bulk_and_back(fpheap *heap, size_t size, unsigned n)
{
    assert_int_equal(fpheap_alloc_bulk(heap, size, objects, n), 0);
    fpheap_free_bulk(heap, objects, n);
}

/* What the cache has counts, and no magazine is gathered beyond. */
static void
a_bulk_takes_what_it_lacks_and_no_more(void **state)
{
    fpheap   *heap = test_heap_over(&provider);
    unsigned  bin  = fph_class_of(64), n;
    size_t    left;

    (void)state;
    for (n = FPHEAP_MAGAZINE + 1; n < 4 * FPHEAP_MAGAZINE; n += 5) {
        const fpheap_cache *cache;

        bulk_and_back(heap, 64, 10);
        fpheap_flush(heap);
        (void)fph_reclaim(heap, 0, 1);
        cache = fph_cache_mine(heap);
        assert_int_equal(fpheap_alloc_bulk(heap, 64, objects, n), 0);
        assert_int_equal(fph_cache_objects(heap->state, cache, bin)
                         + fph_depot_objects(heap->state, bin), 0);
        fpheap_free_bulk(heap, objects + 7, n - 7);
        left = fph_cache_objects(heap->state, cache, bin);
        assert_true(left != 0 && left < MOST / 2);
        fph_depot_drain(heap->state, bin);
        assert_int_equal(fpheap_alloc_bulk(heap, 64, others,
                                           (unsigned)left + 9), 0);
        assert_int_equal(fph_cache_objects(heap->state, cache, bin), 0);
        fpheap_free_bulk(heap, objects, 7);
        fpheap_free_bulk(heap, others, (unsigned)left + 9);
    }
    TEST_DESTROY_OVER(heap, &provider);
}

/* Of a magazine from the depot. */
static void
what_a_bulk_leaves_is_the_threads(void **state)
{
    fpheap             *heap = test_heap_over(&provider);
    unsigned            bin  = fph_class_of(64);
    const fpheap_cache *cache;

    (void)state;
    bulk_and_back(heap, 64, 8 * FPHEAP_MAGAZINE);
    fpheap_flush(heap);
    cache = fph_cache_mine(heap);
    assert_int_equal(fph_cache_objects(heap->state, cache, bin), 0);
    assert_true(fph_depot_objects(heap->state, bin) >= FPHEAP_MAGAZINE);
    assert_int_equal(fpheap_alloc_bulk(heap, 64, objects, 10), 0);
    assert_true(fph_cache_objects(heap->state, cache, bin) > 0);
    assert_int_equal((fph_cache_objects(heap->state, cache, bin) + 10) % FPHEAP_MAGAZINE, 0);
    fpheap_free_bulk(heap, objects, 10);
    TEST_DESTROY_OVER(heap, &provider);
}

/* Be it served or not, and whatever its objects are. */
static void
bulks_take_no_magazine_for_good(void **state)
{
    fpheap  *heap = test_heap_within(&provider, 6 * FPHEAP_CHUNK);
    uint64_t had  = 0;
    unsigned round;

    (void)state;
    for (round = 0; round < 200; round++) {
        bulk_and_back(heap, 64, 40);
        bulk_and_back(heap, 64, FPHEAP_MAGAZINE + 7);
        bulk_and_back(heap, FPH_CLASS_MAX + 1, 3);
        assert_int_equal(fpheap_alloc_bulk(heap, FPHEAP_CHUNK, objects, 9),
                         -ENOMEM);
        if (round == 20)
            had = heap->state->magazines;
    }
    assert_true(heap->state->magazines == had);
    TEST_DESTROY_OVER(heap, &provider);
}

/* --- where a large object grows to ---------------------------------------- */

#define PLACES (16 * FPHEAP_CHUNK)

/* Memory that is given where the heap wants it, or else from the front. */
typedef struct places {
    fpheap_provider calls;
    fpheap         *heap;
    char           *map, *base;
    char           *next;      /* to be given without a wish */
    char           *wish;      /* of the last call */
    size_t          asked;     /* by it, bytes */
    size_t          most;      /* that are given */
    size_t          back;      /* bytes */
    unsigned        gets;
    int             comes;     /* 1: in put a chunk comes behind the object */
} places;

static int
places_get(void *ctx, size_t bytes, size_t align, int node,
           fpheap_region *region)
{
    places *p = (places *)ctx;

    (void)align, (void)node;
    p->gets++;
    p->wish = (char *)region->base;
    p->asked = bytes;
    if (bytes > p->most)
        return -ENOMEM;
    if (p->wish < p->base || p->wish >= p->base + PLACES)
        region->base = p->next;
    region->bytes = bytes;
    region->backing = FPHEAP_BACKING_PAGES;
    return 0;
}

static int
places_put(void *ctx, const fpheap_region *region)
{
    places *p = (places *)ctx;

    p->back += region->bytes;
    if (p->comes) {
        p->comes = 0;
        p->heap->state->end = p->base + 2 * FPHEAP_CHUNK;
        assert_int_equal(fph_grow_now(p->heap, 0, fph_need_of(p->heap, 1, 1),
                                      1), 0);
    }
    return 0;
}

/* An object fills the first two chunks but for some pages.  Its record. */
static fph_slab *
begin_places(places *p, size_t left)
{
    fpheap_config config;
    char         *object;

    memset(p, 0, sizeof *p);
    memset(&config, 0, sizeof config);
    p->map = test_map(PLACES + FPHEAP_CHUNK);
    assert_non_null(p->map);
    p->base = p->map + (-(uintptr_t)p->map & FPH_CHUNK_MASK);
    p->next = p->base;
    p->most = PLACES;
    p->calls.get = places_get;
    p->calls.put = places_put;
    p->calls.ctx = p;
    p->calls.flags = FPHEAP_PARTS;
    config.provider = &p->calls;
    p->heap = fpheap_create("places", &config);
    assert_non_null(p->heap);
    object = (char *)fpheap_alloc(p->heap,
                                  2 * FPHEAP_CHUNK - left * FPHEAP_PAGE);
    assert_ptr_equal(object, p->base);
    p->gets = 0;
    return fph_record_of(p->heap->state, object);
}

static void
end_places(places *p)
{
    assert_int_equal(fpheap_destroy_forced(p->heap), 0);
    assert_int_equal(test_unmap(p->map, PLACES + FPHEAP_CHUNK), 0);
}

static size_t
grows(const places *p, fph_slab *record, size_t least, size_t most)
{
    size_t n = fph_large_grow(p->heap, record, record->info, least, most);

    fph_info_store(record, record->info + ((uint64_t)n << 32));
    return n;
}

/* The free pages behind it serve first, and the rest is new. */
static void
an_object_grows_into_new_memory_behind_it(void **state)
{
    size_t left, i;

    (void)state;
    for (left = 0; left <= 3; left += 3) {
        const size_t more[] = { 1, FPH_PAGES, FPH_PAGES + 1, 3 * FPH_PAGES };

        for (i = 0; i < TEST_COUNT(more); i++) {
            size_t    chunks = (more[i] + FPH_PAGES - 1) / FPH_PAGES;
            size_t    most   = left + more[i];
            places    p;
            fph_slab *record = begin_places(&p, left);

            assert_int_equal(grows(&p, record, left + 1, most), most);
            assert_int_equal(p.gets, 1);
            assert_ptr_equal(p.wish, p.base + 2 * FPHEAP_CHUNK);
            assert_int_equal(p.asked, chunks << FPHEAP_CHUNK_SHIFT);
            assert_int_equal(p.back, 0);
            TEST_CHECK(p.heap);
            /* What has come serves without a call. */
            most = 2 * FPH_PAGES - left + most;
            most = chunks * FPH_PAGES + 2 * FPH_PAGES - most;
            assert_int_equal(grows(&p, record, most, most), most);
            assert_int_equal(p.gets, 1);
            end_places(&p);
        }
    }
}

/* As much as it needs, if there is no more. */
static void
an_object_grows_by_the_least_if_the_provider_has_no_more(void **state)
{
    places    p;
    fph_slab *record = begin_places(&p, 3);

    (void)state;
    p.most = FPHEAP_CHUNK;
    assert_int_equal(grows(&p, record, 3 + FPH_PAGES, 3 + 4 * FPH_PAGES),
                     3 + FPH_PAGES);
    assert_int_equal(p.asked, FPHEAP_CHUNK);
    p.most = 0;
    assert_int_equal(grows(&p, record, 1, 1), 0);
    TEST_CHECK(p.heap);
    end_places(&p);
}

/* Nor if the provider takes no parts. */
static void
an_object_with_a_neighbour_asks_for_no_memory_behind_it(void **state)
{
    places     p;
    fph_slab  *record = begin_places(&p, 3);
    fph_state *s      = p.heap->state;

    (void)state;
    assert_int_equal(fph_pages_take(s, record->page + 2 * FPH_PAGES - 1, 1), 1);
    assert_int_equal(grows(&p, record, 3, 9), 0);
    assert_int_equal(p.gets, 0);
    end_places(&p);
    record = begin_places(&p, 0);
    p.heap->provider.flags = 0;
    assert_int_equal(grows(&p, record, 3, 9), 0);
    assert_int_equal(p.gets, 0);
    end_places(&p);
}

/* For the new memory: as much as that, and nothing that is reserved.  There are
 * two regions of two chunks, each with a gap before it. */
static void
an_object_that_grows_gives_back_free_memory_elsewhere(void **state)
{
    unsigned reserved, i;

    (void)state;
    for (reserved = 0; reserved < 2; reserved++) {
        places    p;
        fph_slab *record = begin_places(&p, 3);

        for (i = 0; i < 2; i++) {
            fph_chunk *chunk;

            p.heap->state->end = NULL;
            p.next = p.base + (6 + 4 * i) * FPHEAP_CHUNK;
            assert_int_equal(fph_grow_now(p.heap, 0,
                                          fph_need_of(p.heap, 1, 1), 2), 0);
            chunk = fph_chunk_of(p.heap->state, p.next);
            chunk[0].reserved = chunk[1].reserved = (uint8_t)reserved;
        }
        assert_int_equal(grows(&p, record, 4, 3 + 2 * FPH_PAGES),
                         3 + 2 * FPH_PAGES);
        assert_ptr_equal(p.wish, p.base + 2 * FPHEAP_CHUNK);
        assert_int_equal(p.back, reserved ? 0 : 2 * FPHEAP_CHUNK);
        TEST_CHECK(p.heap);
        end_places(&p);
    }
}

static void
an_object_behind_which_memory_has_come_meanwhile_asks_for_none(void **state)
{
    places    p;
    fph_slab *record = begin_places(&p, 3);

    (void)state;
    p.heap->state->end = NULL;
    p.next = p.base + 8 * FPHEAP_CHUNK;
    assert_int_equal(fph_grow_now(p.heap, 0, fph_need_of(p.heap, 1, 1), 1), 0);
    p.gets = 0;
    p.comes = 1;
    assert_int_equal(grows(&p, record, 9, 3 + FPH_PAGES), 3 + FPH_PAGES);
    assert_int_equal(p.comes, 0);
    assert_int_equal(p.gets, 1);
    TEST_CHECK(p.heap);
    end_places(&p);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(for_a_need_whole_chunks_go_back_or_everything),
        cmocka_unit_test(what_is_parked_counts_for_its_node),
        cmocka_unit_test(the_free_pages_of_a_chunk_are_touched_and_no_others),
        cmocka_unit_test(a_reserve_asks_for_the_chunks_that_it_lacks),
        cmocka_unit_test(a_reserve_is_content_with_single_pages),
        cmocka_unit_test(
            a_reserve_that_went_beside_another_growth_looks_once_more),
        cmocka_unit_test(a_bulk_takes_what_it_lacks_and_no_more),
        cmocka_unit_test(what_a_bulk_leaves_is_the_threads),
        cmocka_unit_test(bulks_take_no_magazine_for_good),
        cmocka_unit_test(an_object_grows_into_new_memory_behind_it),
        cmocka_unit_test(
            an_object_grows_by_the_least_if_the_provider_has_no_more),
        cmocka_unit_test(
            an_object_with_a_neighbour_asks_for_no_memory_behind_it),
        cmocka_unit_test(an_object_that_grows_gives_back_free_memory_elsewhere),
        cmocka_unit_test(
            an_object_behind_which_memory_has_come_meanwhile_asks_for_none)
    };

    return cmocka_run_group_tests_name("ladder", tests, NULL, NULL);
}
