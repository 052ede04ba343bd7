/* test_window.c - the window of addresses that the tables have places for
 *
 * It is as wide as the space that the process may have allows, the tables are
 * written where pages come, and regions collide in a narrow one or serve at both
 * sides of its end.
 */
#ifndef _GNU_SOURCE
#  define _GNU_SOURCE 1
#endif
#include <sys/resource.h>
#include <unistd.h>

static int note_getrlimit(int what, struct rlimit *limit);
#define getrlimit(what, limit) note_getrlimit((int)(what), limit)
#define FPHEAP_CHUNK_SHIFT 16
#define FPHEAP_MAX_NODES   2
#define FPHEAP_IMPLEMENTATION
#include "fpheap.h"
#undef getrlimit
#include "ground.h"

/* Bytes of addresses for which a window is so narrow that two regions a
 * window's length apart lie in what the ground maps. */
#define NARROW (64 * TEST_MIB)

static uint64_t address_space; /* that the process may have; 0: any */

static int
note_getrlimit(int what, struct rlimit *limit)
{
    assert_int_equal(what, RLIMIT_AS);
    limit->rlim_cur = address_space == 0 || address_space > RLIM_INFINITY
                    ? RLIM_INFINITY : (rlim_t)address_space;
    return 0;
}

/* Whether there is memory that can be read: the kernel is asked to copy it. */
static int
can_read(const void *at, void *to, size_t bytes)
{
    int pipes[2], can;

    assert_int_equal(pipe(pipes), 0);
    can = write(pipes[1], at, bytes) == (ssize_t)bytes
       && read(pipes[0], to, bytes) == (ssize_t)bytes;
    close(pipes[0]);
    close(pipes[1]);
    return can;
}

/* To ask overwrites it. */
static int
can_write(void *at_)
{
    char    *at = (char *)((uintptr_t)at_ & ~(uintptr_t)7);
    uint64_t was;
    int      can;

    if (!can_read(at, &was, sizeof was))
        return 0;
    can = fph_is_writable(at);
    if (can)
        memcpy(at, &was, sizeof was);
    return can;
}

static void
expect_tables(const fph_state *s, size_t page, int written)
{
    assert_int_equal(can_write((void *)&s->map[page]), written);
    assert_int_equal(can_write((void *)&s->free[page / FPH_PAGES]), written);
    assert_int_equal(can_write((void *)&s->chunks[page / FPH_PAGES]), written);
}

/* Elsewhere nobody reads them. */
static void
tables_are_written_where_pages_come(void **state)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    ground       g;
    fph_state   *s;
    size_t       far, group;
    uintptr_t    from, to;

    (void)state;
    begin(&g, 0, 2 * FPH_PAGES, 1, 0);
    s = g.state;
    far = (g.first + s->mask / 2) & s->mask;
    expect_tables(s, g.first, 1);
    expect_tables(s, g.first + 2 * FPH_PAGES - 1, 1);
    expect_tables(s, far, 0);
    assert_null(fpheap_base_of(g.heap, (char *)(far * FPHEAP_PAGE)));
    assert_int_equal(fph_tables_open(s, far, 3), 1);
    expect_tables(s, far, 1);
    expect_tables(s, far + 2, 1);
    assert_int_equal(s->map[far], 0);
    /* Of the two groups that they are in, and no more, but for what lies in
     * the same pages of the system. */
    assert_int_equal((far + 1) % (FPH_GROUP * FPH_PAGES), 0);
    group = far / FPH_PAGES / FPH_GROUP * FPH_GROUP;
    assert_true(FPH_GROUP * sizeof s->chunks[0] >= page);
    from = (uintptr_t)&s->chunks[group] & ~(uintptr_t)(page - 1);
    to = ((uintptr_t)&s->chunks[group + 2 * FPH_GROUP] + page - 1)
         & ~(uintptr_t)(page - 1);
    assert_int_equal(can_write((void *)from), 1);
    assert_int_equal(can_write((void *)(from - 1)), 0);
    assert_int_equal(can_write((void *)(to - 1)), 1);
    assert_int_equal(can_write((void *)to), 0);
    TEST_CHECK(g.heap);
    end(&g, 2 * FPHEAP_CHUNK);
}

static void
tables_are_written_around_the_windows_end(void **state)
{
    ground     g;
    fph_state *s;

    (void)state;
    begin(&g, 0, 2 * FPH_PAGES, 1, 0);
    s = g.state;
    assert_int_equal(fph_tables_open(s, s->mask, 2), 1);
    expect_tables(s, s->mask, 1);
    expect_tables(s, 0, 1);
    end(&g, 2 * FPHEAP_CHUNK);
}

/* Where the process may have so many bytes of addresses, and then again any. */
static void
begin_narrow(ground *g, uint64_t bytes, size_t page)
{
    address_space = bytes;
    begin(g, page, 2 * FPH_PAGES, 1, 0);
    address_space = 0;
}

static void
a_window_takes_a_64th_of_the_address_space_at_most(void **state)
{
    uint64_t bytes;
    size_t   before = 0;

    (void)state;
    for (bytes = (uint64_t)1 << 20; bytes < (uint64_t)1 << 46; bytes *= 4) {
        ground g;
        void  *objects[100];

        begin_narrow(&g, bytes, 0);
        assert_true(g.state->bytes <= bytes / 64
                    || g.state->mask + 1 == 128 * FPH_PAGES);
        assert_true(g.state->bytes <= FPH_TABLES_MAX);
        assert_true(g.state->mask >= before);
        assert_int_equal(g.state->mask & (g.state->mask + 1), 0);
        before = g.state->mask;
        assert_int_equal(fpheap_alloc_bulk(g.heap, 200, objects, 100), 0);
        TEST_CHECK_LIVE(g.heap, 100);
        fpheap_free_bulk(g.heap, objects, 100);
        end(&g, 2 * FPHEAP_CHUNK);
    }
    assert_true(before > (sizeof before > 4 ? 1000000 : 60000));
}

/* To the byte: with one less it is half as wide. */
static void
a_window_of_just_a_64th_of_the_address_space_is_taken(void **state)
{
    size_t   chunks;
    unsigned less;

    (void)state;
    for (chunks = 1024; chunks <= 65536; chunks *= 8) {
        for (less = 0; less < 2; less++) {
            ground   g;
            uint64_t bytes;

            begin_narrow(&g, NARROW, 0);
            bytes = fph_layout_of(g.heap, chunks).bytes;
            end(&g, 2 * FPHEAP_CHUNK);
            begin_narrow(&g, bytes * 64 - less, 0);
            assert_int_equal(g.state->mask + 1, (chunks >> less) * FPH_PAGES);
            end(&g, 2 * FPHEAP_CHUNK);
        }
    }
}

/* A window's length apart, they would have the same places.  The one that comes
 * second goes back. */
static void
a_region_whose_place_is_taken_is_refused(void **state)
{
    ground g;
    size_t window, i;
    char  *object;

    (void)state;
    begin_narrow(&g, NARROW, 0);
    window = g.state->mask + 1;
    assert_true((window + 16 * FPH_PAGES) * FPHEAP_PAGE <= MAPPED);
    object = (char *)fpheap_alloc(g.heap, 64);
    for (i = 0; i < 4; i++) {
        /* The last ones have places for some of their chunks. */
        const size_t from[] = { window, window + FPH_PAGES,
                                window - 2 * FPH_PAGES,
                                window + FPH_PAGES };
        const size_t n = (1 + i / 2 * 2) * FPH_PAGES;
        uint64_t     lost = g.state->lost;

        assert_int_equal(give(&g, from[i], n, 0), -ENOMEM);
        assert_int_equal(g.puts, i + 1);
        assert_ptr_equal(g.back[i].base, at_page(&g, from[i]));
        assert_true(g.state->lost == lost);
        assert_int_equal(regions_of(&g).n, 1);
        assert_null(fph_chunk_of(g.state, at_page(&g, from[i])));
        assert_null(fph_chunk_of(g.state, at_page(&g, from[i] + n - 1)));
        TEST_CHECK_LIVE(g.heap, 1);
    }
    /* One behind it serves, and is no neighbour of what has the places. */
    assert_int_equal(give(&g, window + 2 * FPH_PAGES, 2 * FPH_PAGES, 0), 0);
    assert_int_equal(regions_of(&g).n, 2);
    assert_int_equal(fph_pages_find(g.heap, 0, 3 * FPH_PAGES, 1), FPH_NO_PAGE);
    TEST_CHECK_LIVE(g.heap, 1);
    fpheap_free(g.heap, object);
    end(&g, (2 + 1 + 1 + 3 + 3 + 2) * FPHEAP_CHUNK);
}

/* Nor into pages that have their places behind its own and lie elsewhere. */
static void
an_object_does_not_grow_into_another_nodes_pages(void **state)
{
    ground          g;
    char           *object;
    const fph_slab *record;
    fph_chunk      *behind;
    char           *base;

    (void)state;
    begin(&g, 0, FPH_PAGES, 2, 0);
    object = (char *)fpheap_alloc(g.heap, FPHEAP_CHUNK);
    assert_ptr_equal(object, g.base);
    assert_int_equal(give(&g, FPH_PAGES, 2 * FPH_PAGES, 1), 0);
    record = fph_record_of(g.state, object);
    behind = fph_chunk_of(g.state, object + FPHEAP_CHUNK);
    assert_int_equal(fph_large_extend(g.state, record, record->info, 1, 40), 0);
    TEST_CHECK_LIVE(g.heap, 1);
    behind->node = 0;
    base = behind->base;
    behind->base = base + FPHEAP_CHUNK;
    assert_int_equal(fph_large_extend(g.state, record, record->info, 1, 1), 0);
    behind->base = base;
    assert_int_equal(fph_large_extend(g.state, record, record->info, 1, 1), 1);
    fph_pages_give(g.state, record->page + FPH_PAGES, 1);
    behind->node = 1;
    TEST_CHECK_LIVE(g.heap, 1);
    fpheap_free(g.heap, object);
    end(&g, 3 * FPHEAP_CHUNK);
}

/* Whether who looks at all chunks meets the one of a page. */
static int
is_met(const fph_state *s, size_t page)
{
    const fph_chunk *chunk;
    size_t           at = 0;

    do
        chunk = fph_chunk_next(s, &at);
    while (chunk != NULL && chunk != &s->chunks[page / FPH_PAGES]);
    return chunk != NULL;
}

/* The pages behind it have their places at the start of the tables.  (So may
 * the ground: its first region begins at chunk 8.) */
static void
a_region_serves_at_both_sides_of_the_windows_end(void **state)
{
    ground g;
    size_t before, page;
    char  *object;

    (void)state;
    begin_narrow(&g, NARROW, 8 * FPH_PAGES);
    before = g.state->mask + 1 - g.first;
    assert_true((before + 2 * FPH_PAGES) * FPHEAP_PAGE <= MAPPED);
    object = (char *)fpheap_alloc(g.heap, 64);
    while (fph_pages_find(g.heap, 0, 1, 1) != FPH_NO_PAGE)
        ;
    /* (Page 0 serves nobody.) */
    assert_int_equal(give(&g, before - 2 * FPH_PAGES, 5 * FPH_PAGES, 0), 0);
    assert_true(is_met(g.state, 0));
    assert_true(is_met(g.state, g.state->mask));
    assert_int_equal(fph_pages_find(g.heap, 0, 3 * FPH_PAGES, 1), FPH_NO_PAGE);
    page = fph_pages_find(g.heap, 0, 2 * FPH_PAGES, FPH_PAGES);
    assert_true(page == FPH_PAGES || page == g.state->mask + 1 - 2 * FPH_PAGES);
    assert_int_equal(page + fph_pages_find(g.heap, 0, 2 * FPH_PAGES, FPH_PAGES),
                     g.state->mask + 1 - FPH_PAGES);
    assert_ptr_equal(fph_page_address(g.state, 0), at_page(&g, before));
    assert_ptr_equal(fph_page_address(g.state, g.state->mask),
                     at_page(&g, before - 1));
    fph_pages_give(g.state, FPH_PAGES, 2 * FPH_PAGES);
    fph_pages_give(g.state, g.state->mask + 1 - 2 * FPH_PAGES, 2 * FPH_PAGES);
    /* One fills a side, and does not grow into the other. */
    object = (char *)fpheap_alloc(g.heap, 2 * FPHEAP_CHUNK);
    assert_non_null(object);
    assert_ptr_equal(fpheap_base_of(g.heap, object + FPHEAP_CHUNK), object);
    assert_int_equal(fph_large_extend(g.state,
                                      fph_record_of(g.state, object),
                                      fph_record_of(g.state, object)->info, 2,
                                      2), 0);
    assert_int_equal(fpheap_destroy_forced(g.heap), 0);
    assert_int_equal(g.puts, 2);
    assert_int_equal(test_unmap(g.map, MAPPED), 0);
}

/* Of a chunk at its end, that is; the rest of the region serves. */
static void
a_part_whose_place_is_taken_is_left_out(void **state)
{
    const size_t half = FPH_PAGES / 2;
    const size_t pages = FPH_PAGES + half;
    ground       g;
    fpheap_stats stats;
    size_t       window, page, next, zero;

    (void)state;
    begin_narrow(&g, NARROW, 0);
    window = g.state->mask + 1;
    zero = g.first == 0;       /* page 0 serves nobody */
    assert_int_equal(give(&g, window + FPH_PAGES + half, pages, 0), 0);
    TEST_CHECK(g.heap);
    fpheap_stats_get(g.heap, &stats);
    assert_int_equal(stats.page_free_bytes,
                     3 * FPHEAP_CHUNK - zero * FPHEAP_PAGE);
    assert_int_equal(stats.region_bytes, (2 * FPH_PAGES + pages) * FPHEAP_PAGE);
    assert_null(fph_chunk_of(g.state, at_page(&g, window + FPH_PAGES + half)));
    page = fph_pages_find(g.heap, 0, 2 * FPH_PAGES - zero, 1);
    assert_int_equal(page, g.first + zero);
    next = fph_pages_find(g.heap, 0, FPH_PAGES, 1);
    assert_int_equal(next, (g.first + 2 * FPH_PAGES) & g.state->mask);
    fph_pages_give(g.state, next, FPH_PAGES);
    /* It goes back, and what has the place stays. */
    assert_int_equal(fpheap_trim(g.heap), pages * FPHEAP_PAGE);
    assert_int_equal(g.puts, 1);
    assert_non_null(fph_chunk_of(g.state, at_page(&g, FPH_PAGES)));
    fph_pages_give(g.state, page, 2 * FPH_PAGES - zero);
    TEST_CHECK(g.heap);
    end(&g, (2 * FPH_PAGES + pages) * FPHEAP_PAGE);
}

/* By both regions that had a part of it, and are one: another chunk is there. */
static void
a_chunk_that_was_left_out_is_not_full(void **state)
{
    const size_t half = FPH_PAGES / 2, pages = FPH_PAGES + half;
    const size_t at = 5 * FPH_PAGES;
    ground       g;
    fph_part     part;
    size_t       window;

    (void)state;
    begin_narrow(&g, NARROW, 0);
    g.heap->provider.flags = FPHEAP_PARTS;
    window = g.state->mask + 1;
    assert_int_equal(give(&g, at, FPH_PAGES, 0), 0);
    assert_int_equal(give(&g, window + at - FPH_PAGES, pages, 0), 0);
    assert_int_equal(give(&g, window + at + half, pages, 0), 0);
    EXPECT_REGION(&g, 2, window + at - FPH_PAGES, 2 * pages);
    assert_int_equal(fph_pages_take(g.state, (g.first + at) & g.state->mask,
                                    FPH_PAGES), 1);
    part = fph_parts((uintptr_t)at_page(&g, at), FPH_PAGES);
    assert_true(fph_part_next(g.state, &part));
    assert_true(fph_part_is_full(g.state, &part));
    part = fph_parts((uintptr_t)at_page(&g, window + at), FPH_PAGES);
    assert_true(fph_part_next(g.state, &part));
    assert_false(fph_part_is_full(g.state, &part));
    fph_pages_give(g.state, (g.first + at) & g.state->mask, FPH_PAGES);
    end(&g, (3 * FPH_PAGES + 2 * pages) * FPHEAP_PAGE);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tables_are_written_where_pages_come),
        cmocka_unit_test(tables_are_written_around_the_windows_end),
        cmocka_unit_test(a_window_takes_a_64th_of_the_address_space_at_most),
        cmocka_unit_test(a_window_of_just_a_64th_of_the_address_space_is_taken),
        cmocka_unit_test(a_region_whose_place_is_taken_is_refused),
        cmocka_unit_test(an_object_does_not_grow_into_another_nodes_pages),
        cmocka_unit_test(a_region_serves_at_both_sides_of_the_windows_end),
        cmocka_unit_test(a_part_whose_place_is_taken_is_left_out),
        cmocka_unit_test(a_chunk_that_was_left_out_is_not_full)
    };

    return cmocka_run_group_tests_name("window", tests, NULL, NULL);
}
