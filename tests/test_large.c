/* test_large.c - an object that is a run of pages of its own: which pages it
 * has, what it grows into and what it gives back, with memory that lies where
 * the test says, to the page.
 */
#define FPHEAP_CHUNK_SHIFT 16
#define FPHEAP_MAX_NODES   2
#define FPHEAP_IMPLEMENTATION
#include "fpheap.h"
#include "ground.h"

/* Where the objects lie: behind the chunk that has the heap's own, in the chunk
 * that begins with this page.  Neither chunk beside it is there at first. */
#define HERE   (4 * FPH_PAGES)
#define BEHIND (5 * FPH_PAGES)

/* Most objects begin 16 pages before the chunk's end. */
#define AT     (BEHIND - 16)

/* What the provider was asked for. */
static fpheap_region asked[8];
static unsigned      asks;

static int
note_get(void *ctx, size_t bytes, size_t align, int node, fpheap_region *region)
{
    assert_true(asks < TEST_COUNT(asked));
    asked[asks].base = region->base;
    asked[asks++].bytes = bytes;
    return ground_get(ctx, bytes, align, node, region);
}

/* A heap with a chunk of its own and one at HERE. */
static void
begin_here(ground *g, unsigned flags)
{
    begin(g, 0, FPH_PAGES, 2, 0);
    g->heap->provider.get = note_get;
    g->heap->provider.flags = flags;
    assert_int_equal(give(g, HERE, FPH_PAGES, 0), 0);
    asks = 0;
}

/* A live object of these pages of the ground. */
static fph_slab *
object_at(const ground *g, size_t page, size_t pages)
{
    size_t    first = g->first + page;
    fph_slab *record;

    assert_int_equal(fph_pages_take(g->state, first, pages), 1);
    assert_int_equal(fph_chunk_ready(g->heap, first / FPH_PAGES), 1);
    record = fph_record_begin(g->state, first);
    record->base = at_page(g, page);
    fph_pages_lead(g->state, first, first, pages);
    fph_info_store(record, fph_info(FPH_LARGE, 0, pages));
    return record;
}

static void
end_object(const ground *g, fph_slab *record)
{
    uint64_t info = record->info;

    record->info = 0;
    fph_large_end(g->state, record, info);
}

/* How many pages of the ground are free from one on. */
static size_t
free_from(const ground *g, size_t page)
{
    size_t n = 0;

    while (fph_page_is_free(g->state, g->first + page + n))
        n++;
    return n;
}

static void
expect_object_at(const ground *g, const fph_slab *record, size_t pages,
                 int line)
{
    size_t first = record->page;
    size_t i;

    if (record->info != fph_info(FPH_LARGE, 0, pages)) {
        print_error("%u pages\n", fph_info_count(record->info));
        _fail(__FILE__, line);
    }
    for (i = 0; i < pages; i++)
        if (fph_page_is_free(g->state, first + i)
            || fph_first_of(g->state, first + i) != first)
            _fail(__FILE__, line);
}

#define EXPECT_OBJECT(g, record, pages) \
    expect_object_at(g, record, pages, __LINE__)

/* Make what the next function finds on its stack none that would do. */
__attribute__((noinline)) static void
spoil_stack(void)
{
    volatile unsigned char spoilt[2048];
    size_t                 i;

    for (i = 0; i < sizeof spoilt; i++)
        spoilt[i] = 0xee;
}

/* --- a run ---------------------------------------------------------------- */

static void
a_size_needs_all_pages_that_it_begins(void **state)
{
    static const struct { size_t size, align, pages, step; } cases[] = {
        { 0, 16, 1, 1 }, { 1, 16, 1, 1 }, { FPHEAP_PAGE, 16, 1, 1 },
        { FPHEAP_PAGE + 1, FPHEAP_PAGE, 2, 1 },
        { 5 * FPHEAP_PAGE, 2 * FPHEAP_PAGE, 5, 2 },
        { 5 * FPHEAP_PAGE + 1, FPHEAP_CHUNK, 6, FPH_PAGES }
    };
    ground   g;
    size_t   most;
    unsigned i;

    (void)state;
    begin_here(&g, 0);
    for (i = 0; i < TEST_COUNT(cases); i++) {
        fph_need need = fph_run_need(g.heap, cases[i].size, cases[i].align);

        assert_int_equal(need.pages, cases[i].pages);
        assert_int_equal(need.align, cases[i].step);
    }
    most = g.state->mask * FPHEAP_PAGE;
    assert_int_equal(fph_run_need(g.heap, most, 16).pages,
                     most <= SIZE_MAX / 2 ? g.state->mask : 0);
    assert_int_equal(fph_run_need(g.heap, most + 1, 16).pages, 0);
    assert_int_equal(fph_run_need(g.heap, SIZE_MAX, 16).pages, 0);
    end(&g, 2 * FPHEAP_CHUNK);
}

static void
told_nothing(void *arg, fpheap *heap, fpheap_pool *pool, int room)
{
    (void)arg, (void)heap, (void)pool, (void)room;
}

/* A heap with watermarks counts its bytes, a member what it has of others'. */
static void
a_run_is_counted_as_it_comes_and_goes(void **state)
{
    ground    g;
    fph_word  taken = 7;
    unsigned  number;
    fph_slab *record;
    char     *object;

    (void)state;
    begin_here(&g, 0);
    number = g.state->number;
    g.state->marked = 1;
    g.state->water[0].marks.crossed = told_nothing;
#if FPHEAP_SHARED
    g.heap->taken = &taken;
    g.state->number = FPH_SHARED;
#endif
    object = (char *)fph_run_alloc(g.heap, 0, fph_need_of(g.heap, 3, 1));
    record = fph_record_of(g.state, object);
    assert_ptr_equal(record->base, object);
    assert_ptr_equal(object, fph_page_address(g.state, record->page));
    EXPECT_OBJECT(&g, record, 3);
    assert_int_equal(g.state->claimed, 3 * FPHEAP_PAGE);
    assert_int_equal(taken, 7 + (FPHEAP_SHARED ? 3 * FPHEAP_PAGE : 0));
    assert_int_equal(fph_this.did[number], FPH_TOOK);
    end_object(&g, record);
    assert_int_equal(g.state->claimed, 0);
    assert_int_equal(taken, 7);
    assert_int_equal(fph_this.did[number], FPH_TOOK | FPH_GAVE);
    fph_this.did[number] = 0;
    g.state->number = number;
    g.state->water[0].marks.crossed = NULL;
    g.state->marked = 0;
#if FPHEAP_SHARED
    g.heap->taken = NULL;
#endif
    end(&g, 2 * FPHEAP_CHUNK);
}

/* A reader of its record sees no object, whoever has its pages next. */
static void
of_a_run_that_was_freed_nothing_is_said(void **state)
{
    ground    g;
    fph_slab *record;

    (void)state;
    begin_here(&g, 0);
    assert_int_equal(give(&g, BEHIND, 3 * FPH_PAGES, 0), 0);
    record = object_at(&g, HERE, 2 * FPH_PAGES + 1);
    assert_null(fph_large_cache(g.heap, 2 * FPH_PAGES + 1));
    fph_large_free(g.heap, at_page(&g, HERE));
    assert_int_equal(record->info, 0);
    assert_int_equal(free_from(&g, HERE), 4 * FPH_PAGES);
    end(&g, 5 * FPHEAP_CHUNK);
}

/* --- memory of children --------------------------------------------------- */

static void
a_child_has_pages_of_any_place_of_the_node_that_it_asks_for(void **state)
{
    ground        g;
    fpheap_config config;
    fpheap       *child;
    void         *spans[3];

    (void)state;
    begin_here(&g, 0);
    assert_int_equal(give(&g, 8 * FPH_PAGES, FPH_PAGES, 1), 0);
    memset(&config, 0, sizeof config);
    config.parent = g.heap;
    assert_non_null(child = fpheap_create("child", &config));
    fph_this.wait_end = 1;     /* of a call before */
    assert_int_equal(fph_span_get(child, 1, 1, &spans[0]), 0);
    assert_int_equal(fph_this.wait_end, 0);
    assert_int_equal(fph_span_get(child, 1, 1, &spans[1]), 0);
    assert_ptr_equal(spans[0], at_page(&g, 8 * FPH_PAGES));
    assert_ptr_equal(spans[1], at_page(&g, 8 * FPH_PAGES + 1));
    spoil_stack();
    assert_int_equal(fph_span_get(child, 0, 2, &spans[2]), 0);
    assert_int_equal(fph_chunk_of(g.state, spans[2])->node, 0);
    assert_int_equal(fph_record_of(g.state, spans[1])->info,
                     fph_info(FPH_CHILD, (unsigned)(child - fph_heaps), 1));
    fph_span_put(g.heap, spans[1]);
    assert_int_equal(fph_record_of(g.state, spans[1])->info, 0);
    fph_span_put(g.heap, spans[0]);
    fph_span_put(g.heap, spans[2]);
    assert_int_equal(free_from(&g, 8 * FPH_PAGES), FPH_PAGES);
    TEST_DESTROY(child);
    end(&g, 3 * FPHEAP_CHUNK);
}

/* For as many as it may have at most the provider is asked; for more it is
 * not. */
static void
a_child_gets_nothing_in_place_of_what_is_too_much(void **state)
{
    ground        g;
    fpheap_config config;
    fpheap       *child;
    void         *span = &g;

    (void)state;
    begin_here(&g, 0);
    memset(&config, 0, sizeof config);
    config.parent = g.heap;
    assert_non_null(child = fpheap_create("child", &config));
    assert_int_equal(asks, 0);
    spoil_stack();
    assert_int_equal(fph_span_get(child, 0, g.state->mask + 1, &span), -ENOMEM);
    assert_null(span);
    assert_int_equal(asks, 0);
    assert_int_equal(fph_span_get(child, 0, g.state->mask, &span), -ENOMEM);
    assert_null(span);
    assert_true(asks != 0 || g.state->mask > SIZE_MAX / 2 / FPHEAP_PAGE);
    TEST_DESTROY(child);
    end(&g, 2 * FPHEAP_CHUNK);
}

/* --- what it grows into --------------------------------------------------- */

static void
what_grows_gets_an_eighth_and_a_page_more_and_at_most_a_gibibyte(void **state)
{
    size_t page = FPHEAP_PAGE;

    (void)state;
    assert_int_equal(fph_large_room(8 * page), 10 * page);
    assert_int_equal(fph_large_room(FPH_ROOM_MAX),
                     FPH_ROOM_MAX + FPH_ROOM_MAX / 8 + page);
    assert_true(fph_large_room(SIZE_MAX / 2) == SIZE_MAX / 2 + FPH_ROOM_MAX
                || sizeof page < 8);
    assert_true(fph_large_room(SIZE_MAX / 2) > SIZE_MAX / 2);
    assert_true(fph_large_room(SIZE_MAX / 2 + 1) == SIZE_MAX / 2 + 1);
    assert_true(fph_large_room(SIZE_MAX) == SIZE_MAX);
}

/* Only where a chunk's IOVAs are contiguous, and only what fits into one. */
static void
a_run_that_fits_into_a_chunk_crosses_to_no_other(void **state)
{
    ground    g;
    size_t    end_of = HERE + FPH_PAGES;
    fph_slab *record;

    (void)state;
    begin_here(&g, 0);
    assert_int_equal(give(&g, BEHIND, FPH_PAGES, 0), 0);
    assert_int_equal(fph_run_crosses(g.state, end_of - 1, 2), 0);
    record = object_at(&g, AT + 8, 4);
    g.state->alone = 1;
    assert_int_equal(fph_run_crosses(g.state, end_of - 1, 1), 0);
    assert_int_equal(fph_run_crosses(g.state, end_of - 1, 2), 1);
    assert_int_equal(fph_run_crosses(g.state, end_of - 2, 2), 0);
    assert_int_equal(fph_run_crosses(g.state, HERE, FPH_PAGES), 0);
    assert_int_equal(fph_run_crosses(g.state, HERE + 1, FPH_PAGES), 1);
    assert_int_equal(fph_run_crosses(g.state, HERE + 1, FPH_PAGES + 1), 0);
    assert_int_equal(fph_large_take(g.state, record, g.first + AT + 12, 5), 0);
    assert_int_equal(free_from(&g, AT + 12), 4 + FPH_PAGES);
    assert_int_equal(fph_large_take(g.state, record, g.first + AT + 12, 4), 1);
    fph_pages_give(g.state, g.first + AT + 12, 4);
    g.state->alone = 0;
    assert_int_equal(fph_large_take(g.state, record, g.first + AT + 12, 5), 1);
    fph_pages_give(g.state, g.first + AT + 12, 5);
    end_object(&g, record);
    end(&g, 3 * FPHEAP_CHUNK);
}

/* The page behind the object may be the first of a chunk that is here by
 * chance: of another node, or, where the window is narrow, of addresses far
 * away. */
static void
pages_of_another_place_are_not_the_objects(void **state)
{
    ground     g;
    fph_slab  *record;
    fph_chunk *here, *behind;

    (void)state;
    begin_here(&g, 0);
    assert_int_equal(give(&g, BEHIND, FPH_PAGES, 0), 0);
    record = object_at(&g, HERE, FPH_PAGES);
    here = fph_chunk_of_page(g.state, g.first + HERE);
    behind = fph_chunk_of_page(g.state, g.first + BEHIND);
    here->base -= FPHEAP_CHUNK;
    assert_int_equal(fph_large_take(g.state, record, g.first + BEHIND, 2), 0);
    here->base += FPHEAP_CHUNK;
    assert_int_equal(free_from(&g, BEHIND), FPH_PAGES);
    behind->node = 1;
    assert_int_equal(fph_large_take(g.state, record, g.first + BEHIND, 2), 0);
    behind->node = 0;
    assert_int_equal(free_from(&g, BEHIND), FPH_PAGES);
    assert_int_equal(fph_large_take(g.state, record, g.first + BEHIND, 2), 1);
    assert_int_equal(free_from(&g, BEHIND), 0);
    fph_pages_give(g.state, g.first + BEHIND, 2);
    end_object(&g, record);
    end(&g, 3 * FPHEAP_CHUNK);
}

/* Though the chunk before the object's is not here. */
static void
an_object_gets_what_it_would_like_or_what_it_needs_or_nothing(void **state)
{
    ground    g;
    fph_slab *record;
    size_t    page;

    (void)state;
    begin_here(&g, 0);
    record = object_at(&g, AT, 8);
    page = record->page;
    assert_int_equal(fph_large_behind(g.state, record, record->info, 4), 4);
    assert_int_equal(fph_large_behind(g.state, record, record->info, 99), 8);
    assert_int_equal(fph_large_extend(g.state, record, record->info, 2, 4), 4);
    assert_int_equal(fph_large_behind(g.state, record, record->info, 4), 0);
    fph_info_store(record, fph_info(FPH_LARGE, 0, 12));
    EXPECT_OBJECT(&g, record, 12);
    assert_int_equal(fph_large_extend(g.state, record, record->info, 3, 5), 3);
    fph_info_store(record, fph_info(FPH_LARGE, 0, 15));
    EXPECT_OBJECT(&g, record, 15);
    assert_int_equal(free_from(&g, AT + 15), 1);
    assert_int_equal(fph_large_extend(g.state, record, record->info, 2, 3), 0);
    assert_int_equal(free_from(&g, AT + 15), 1);
    assert_int_equal(fph_first_of(g.state, page + 15), page + 15);
    assert_int_equal(fph_moves_quiet(g.state), 1);
    end_object(&g, record);
    end(&g, 2 * FPHEAP_CHUNK);
}

/* Where the provider takes and gives parts.  Of what the objects would like 8
 * pages are behind them. */
#define MOST (8 + FPH_PAGES)

static void
an_object_grows_into_memory_that_comes_just_behind_it(void **state)
{
    ground    g;
    fph_slab *record;

    (void)state;
    begin_here(&g, 0);
    record = object_at(&g, AT, 8);
    assert_int_equal(fph_large_grow(g.heap, record, record->info, 10, MOST), 0);
    assert_int_equal(asks, 0);
    g.heap->provider.flags = FPHEAP_PARTS;
    lay(&g, at_page(&g, BEHIND), 2 * FPHEAP_CHUNK, FPHEAP_BACKING_PAGES);
    spoil_stack();
    assert_int_equal(fph_large_grow(g.heap, record, record->info, 10, MOST),
                     MOST);
    assert_int_equal(asks, 1);
    assert_ptr_equal(asked[0].base, at_page(&g, BEHIND));
    assert_int_equal(asked[0].bytes, FPHEAP_CHUNK);
    fph_info_store(record, fph_info(FPH_LARGE, 0, 8 + MOST));
    EXPECT_OBJECT(&g, record, 8 + MOST);
    assert_int_equal(free_from(&g, BEHIND + FPH_PAGES), FPH_PAGES);
    end_object(&g, record);
    end(&g, 4 * FPHEAP_CHUNK);
}

static void
an_object_asks_for_what_it_needs_where_there_is_no_more(void **state)
{
    static const unsigned chunks[] = { 4, 2, 1 };
    ground    g;
    fph_slab *record;
    unsigned  i;

    (void)state;
    begin_here(&g, FPHEAP_PARTS);
    record = object_at(&g, AT, 8);
    assert_int_equal(fph_large_grow(g.heap, record, record->info, MOST,
                                    8 + 4 * FPH_PAGES), 0);
    assert_int_equal(asks, TEST_COUNT(chunks));
    for (i = 0; i < asks; i++) {
        assert_ptr_equal(asked[i].base, at_page(&g, BEHIND));
        assert_int_equal(asked[i].bytes, chunks[i] * FPHEAP_CHUNK);
    }
    assert_int_equal(free_from(&g, AT + 8), 8);
    end_object(&g, record);
    end(&g, 2 * FPHEAP_CHUNK);
}

/* So that the heap stays within its limit.  But not what was reserved. */
static void
as_much_as_comes_behind_an_object_goes_back_elsewhere_first(void **state)
{
    ground    g;
    fph_slab *record;
    unsigned  i;

    (void)state;
    begin_here(&g, FPHEAP_PARTS);
    for (i = 2; i < 6; i++)
        assert_int_equal(give(&g, 4 * i * FPH_PAGES, FPH_PAGES, 0), 0);
    fph_chunk_of_page(g.state, g.first + 20 * FPH_PAGES)->reserved = 1;
    record = object_at(&g, AT, 8);
    lay(&g, at_page(&g, BEHIND), FPHEAP_CHUNK, FPHEAP_BACKING_PAGES);
    assert_int_equal(fph_large_grow(g.heap, record, record->info, 9, MOST),
                     MOST);
    assert_int_equal(g.puts, 1);
    assert_ptr_equal(g.back[0].base, at_page(&g, 16 * FPH_PAGES));
    assert_int_equal(asks, 5);
    assert_ptr_equal(asked[4].base, at_page(&g, BEHIND));
    fph_info_store(record, fph_info(FPH_LARGE, 0, 8 + MOST));
    EXPECT_OBJECT(&g, record, 8 + MOST);
    end_object(&g, record);
    end(&g, 7 * FPHEAP_CHUNK);
}

/* While memory goes back, another thread gets some. */
static int
put_and_get(void *ctx, const fpheap_region *region)
{
    ground *g = (ground *)ctx;

    if (g->puts == 0)
        assert_int_equal(give(g, BEHIND, FPH_PAGES, 0), 0);
    return ground_put(ctx, region);
}

static void
memory_that_another_thread_has_brought_meanwhile_serves(void **state)
{
    ground    g;
    fph_slab *record;

    (void)state;
    begin_here(&g, FPHEAP_PARTS);
    assert_int_equal(give(&g, 8 * FPH_PAGES, FPH_PAGES, 0), 0);
    record = object_at(&g, AT, 8);
    g.heap->provider.put = put_and_get;
    asks = 0;
    assert_int_equal(fph_large_grow(g.heap, record, record->info, 10, MOST),
                     MOST);
    assert_int_equal(g.puts, 1);
    assert_int_equal(asks, 1); /* the other thread's */
    fph_info_store(record, fph_info(FPH_LARGE, 0, 8 + MOST));
    EXPECT_OBJECT(&g, record, 8 + MOST);
    end_object(&g, record);
    end(&g, 4 * FPHEAP_CHUNK);
}

/* --- another size --------------------------------------------------------- */

/* An object of so many pages gets a size of so many; it has `then` pages in the
 * end, or has to move. */
static void
an_object_keeps_an_eighth_and_a_page_and_moves_from_twice_its_size(void **state)
{
    static const struct { unsigned pages, size, stays, then; } cases[] = {
        { 8, 8, 1, 8 }, { 10, 8, 1, 10 }, { 11, 8, 1, 8 }, { 16, 8, 1, 8 },
        { 16, 14, 1, 16 }, { 2, 1, 0, 2 }, { 3, 2, 1, 3 }, { 3, 1, 0, 3 },
        { 4, 1, 1, 1 }, { 8, 10, 1, 13 }, { 12, 14, 1, 14 }, { 12, 17, 0, 12 }
    };
    ground   g;
    unsigned i;

    (void)state;
    begin_here(&g, 0);
    for (i = 0; i < TEST_COUNT(cases); i++) {
        fph_slab *record = object_at(&g, AT, cases[i].pages);
        size_t    size = cases[i].size * FPHEAP_PAGE - i;

        assert_int_equal(fph_large_resize(g.heap, record->base, record->info,
                                          size), cases[i].stays);
        EXPECT_OBJECT(&g, record, cases[i].then);
        assert_int_equal(free_from(&g, AT + cases[i].then),
                         16 - cases[i].then);
        end_object(&g, record);
    }
    end(&g, 2 * FPHEAP_CHUNK);
}

static void
what_is_no_object_gets_no_other_size(void **state)
{
    ground    g;
    fph_slab *record;
    uint64_t  info;

    (void)state;
    begin_here(&g, 0);
    record = object_at(&g, AT, 8);
    info = record->info;
    assert_int_equal(fph_large_resize(g.heap, record->base + FPHEAP_PAGE, info,
                                      8 * FPHEAP_PAGE), 0);
    assert_int_equal(fph_large_resize(g.heap, record->base,
                                      info - FPH_LARGE + FPH_PARKED,
                                      8 * FPHEAP_PAGE), 0);
    assert_int_equal(fph_large_resize(g.heap, record->base, info,
                                      8 * FPHEAP_PAGE), 1);
    assert_int_equal(record->info, info);
    end_object(&g, record);
    end(&g, 2 * FPHEAP_CHUNK);
}

/* Nothing goes back to make room for it. */
static void
a_size_that_no_object_has_is_not_tried(void **state)
{
    ground    g;
    fph_slab *record;

    (void)state;
    begin_here(&g, FPHEAP_PARTS);
    assert_int_equal(give(&g, 8 * FPH_PAGES, FPH_PAGES, 0), 0);
    record = object_at(&g, HERE, FPH_PAGES);
    assert_int_equal(fph_large_resize(g.heap, record->base, record->info,
                                      SIZE_MAX / 2 + 1), 0);
    assert_int_equal(g.puts, 0);
    assert_int_equal(fph_large_resize(g.heap, record->base, record->info,
                                      SIZE_MAX / 2), 0);
    assert_true(g.puts != 0);
    EXPECT_OBJECT(&g, record, FPH_PAGES);
    end_object(&g, record);
    end(&g, 3 * FPHEAP_CHUNK);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_size_needs_all_pages_that_it_begins),
        cmocka_unit_test(a_run_is_counted_as_it_comes_and_goes),
        cmocka_unit_test(of_a_run_that_was_freed_nothing_is_said),
        cmocka_unit_test(
            a_child_has_pages_of_any_place_of_the_node_that_it_asks_for),
        cmocka_unit_test(a_child_gets_nothing_in_place_of_what_is_too_much),
        cmocka_unit_test(
            what_grows_gets_an_eighth_and_a_page_more_and_at_most_a_gibibyte),
        cmocka_unit_test(a_run_that_fits_into_a_chunk_crosses_to_no_other),
        cmocka_unit_test(pages_of_another_place_are_not_the_objects),
        cmocka_unit_test(
            an_object_gets_what_it_would_like_or_what_it_needs_or_nothing),
        cmocka_unit_test(an_object_grows_into_memory_that_comes_just_behind_it),
        cmocka_unit_test(
            an_object_asks_for_what_it_needs_where_there_is_no_more),
        cmocka_unit_test(
            as_much_as_comes_behind_an_object_goes_back_elsewhere_first),
        cmocka_unit_test(
            memory_that_another_thread_has_brought_meanwhile_serves),
        cmocka_unit_test(
            an_object_keeps_an_eighth_and_a_page_and_moves_from_twice_its_size),
        cmocka_unit_test(what_is_no_object_gets_no_other_size),
        cmocka_unit_test(a_size_that_no_object_has_is_not_tried)
    };

    return cmocka_run_group_tests_name("large", tests, NULL, NULL);
}
