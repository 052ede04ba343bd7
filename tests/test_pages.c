/* test_pages.c - the tables of pages, and the records
 *
 * A provider of the test's own says where each region lies.  So runs are looked
 * for in chunks that came in any order, against a plain search; regions share
 * chunks, are split and joined; records come and stay; free pages are
 * decommitted.
 */
#ifndef _GNU_SOURCE
#  define _GNU_SOURCE 1
#endif
#define FPHEAP_CHUNK_SHIFT 16
#include "system_memory.h"

#define FPHEAP_MAX_NODES   2
#define FPHEAP_IMPLEMENTATION
#include "fpheap.h"
#include "ground.h"

/* --- sweeps --------------------------------------------------------------- */

/* Groups in another order than their addresses; group 2 has every other chunk
 * but the first half. */
static void
give_groups(ground *g)
{
    static const unsigned order[] = { 1, 4, 0 };
    const size_t          all = FPH_GROUP * FPH_PAGES;
    unsigned              i;

    for (i = 0; i < TEST_COUNT(order); i++)
        assert_int_equal(give(g, order[i] * all, all, 0), 0);
    assert_int_equal(give(g, 2 * all + all / 2, all / 2, 0), 0);
    for (i = 0; i < 4; i++)
        assert_int_equal(give(g, 2 * all + 2 * i * FPH_PAGES, FPH_PAGES, 0),
                         0);
}

static int
is_free(const uint64_t *words, size_t page)
{
    return (int)(words[page / FPH_PAGES] >> page % FPH_PAGES & 1);
}

/* Whether these pages, of the ground, are free, and of the node. */
static int
run_is_free(const ground *g, const uint64_t *words, int node, size_t page,
            size_t pages)
{
    size_t i;

    for (i = page; i < page + pages; i++)
        if (i >= PAGES || !is_free(words, i)
            || fph_chunk_of_page(g->state, g->first + i)->node != node)
            return 0;
    return 1;
}

static int
run_may_be(size_t page, size_t pages, unsigned align, int whole)
{
    return page % align == 0
        && (!whole || pages > FPH_PAGES
            || page / FPH_PAGES == (page + pages - 1) / FPH_PAGES);
}

static int
plain_search(const ground *g, const uint64_t *words, int node, size_t pages,
             unsigned align, int whole)
{
    size_t page;

    for (page = 0; page < PAGES; page += align)
        if (run_may_be(page, pages, align, whole)
            && run_is_free(g, words, node, page, pages))
            return 1;
    return 0;
}

/* Free some of what is here: words of zeros, of ones, of both, and with the
 * first page alone, or the last. */
static void
shuffle(ground *g, test_random *random, uint64_t *words, unsigned full)
{
    size_t i;

    for (i = 0; i < CHUNKS; i++) {
        fph_chunk *chunk = &g->state->chunks[g->first / FPH_PAGES + i];
        uint64_t   word = test_next(random) | test_next(random);

        if (test_below(random, 100) < full)
            word = ~(uint64_t)0;
        else
            switch (test_below(random, full == 0 ? 4 : 6)) {
            case 0:
            case 1:
                word = 0;
                break;
            case 2:
                word = 1;
                break;
            case 3:
                word = (uint64_t)1 << (FPH_PAGES - 1);
                break;
            default:
                break;
            }
        words[i] = word & chunk->present;
        chunk->node = test_below(random, 8) == 0;
        g->state->free[g->first / FPH_PAGES + i] = words[i];
    }
}

/* Any guess that another thread may have left. */
static void
guess(ground *g, test_random *random)
{
    size_t   positions = fph_positions(g->state);
    unsigned k, node;

    for (node = 0; node < 2; node++)
        for (k = 0; k < FPH_LENGTHS; k++)
            g->state->cursor[node][k] = test_below(random, 3) == 0
                                      ? 0 : test_below(random, positions + 2);
}

static uint64_t
no_iova(void *ctx, const void *chunk)
{
    (void)ctx, (void)chunk;
    return FPHEAP_BAD_IOVA;
}

/* Returns 1 if there was one. */
static int
look_once(ground *g, test_random *random, const uint64_t *words, size_t most)
{
    int      node = (int)test_below(random, 2);
    int      whole = (int)test_below(random, 2);
    size_t   pages = 1 + test_below(random, most);
    unsigned align = 1u << test_below(random, FPH_PAGE_BITS + 1);
    size_t   page;

    if (test_below(random, 4) == 0)
        pages = FPH_PAGES - 1 + test_below(random, 3);
    if (test_below(random, 2) == 0)
        align = 1;
    guess(g, random);
    g->heap->provider.iova = whole ? no_iova : NULL;
    page = fph_pages_find(g->heap, node, pages, align);
    g->heap->provider.iova = NULL;
    assert_true(g->state->moves_begun == g->state->moves_ended);
    if (page == FPH_NO_PAGE) {
        assert_false(plain_search(g, words, node, pages, align, whole));
        return 0;
    }
    page -= g->first;
    assert_true(page < PAGES);
    assert_true(run_may_be(page, pages, align, whole));
    assert_true(run_is_free(g, words, node, page, pages));
    fph_pages_give(g->state, g->first + page, pages);
    return 1;
}

/* Across chunks and groups, whatever the order of these and the guesses. */
static void
a_run_is_found_where_there_is_one(void **state)
{
    static uint64_t words[CHUNKS];
    test_random     random = test_random_of(41);
    ground          g;
    unsigned        round, i, found = 0, missed = 0;
    size_t          c;

    (void)state;
    begin(&g, 3 * FPH_GROUP * FPH_PAGES, FPH_GROUP * FPH_PAGES, 2, 0);
    give_groups(&g);
    for (round = 0; round < 60 * test_soak(); round++) {
        shuffle(&g, &random, words, round % 8 * 12);
        for (i = 0; i < 12; i++) {
            unsigned one = (unsigned)look_once(
                &g, &random, words, i % 3 == 0 ? 90 * FPH_PAGES
                                    : i % 3 == 1 ? 2 * FPH_PAGES : 3);

            found += one;
            missed += 1 - one;
            for (c = 0; c < CHUNKS; c++)
                assert_true(g.state->free[g.first / FPH_PAGES + c]
                            == words[c]);
        }
    }
    assert_true(found > 100 && missed > 100);
    for (c = g.first / FPH_PAGES; c < g.first / FPH_PAGES + CHUNKS; c++) {
        g.state->free[c] = g.state->chunks[c].present;
        g.state->chunks[c].node = 0;
    }
    end(&g, (4 * FPH_GROUP + FPH_GROUP / 2 + 4) * FPHEAP_CHUNK);
}

/* It begins in the last chunk of a group, and ends in one of the next, which
 * came before, or after. */
static void
a_run_crosses_from_a_group_to_one_that_came_before(void **state)
{
    enum { MORE = 3 };
    const size_t border = FPH_GROUP * FPH_PAGES;
    ground       g;
    size_t       pages, page;
    unsigned     first;

    (void)state;
    for (first = 0; first < 2; first++) {
        begin(&g, first ? border : border - FPH_PAGES,
              first ? MORE * FPH_PAGES : FPH_PAGES, 1, 0);
        assert_int_equal(give(&g, first ? border - FPH_PAGES : border,
                              first ? FPH_PAGES : MORE * FPH_PAGES, 0), 0);
        for (pages = MORE * FPH_PAGES + 1; pages <= (MORE + 1) * FPH_PAGES;
             pages++) {
            page = fph_pages_find(g.heap, 0, pages, 1);
            assert_int_equal(page, g.first + border - FPH_PAGES);
            fph_pages_give(g.state, page, pages);
            assert_int_equal(fph_pages_find(g.heap, 0, pages, FPH_PAGES),
                             page);
            fph_pages_give(g.state, page, pages);
        }
        assert_int_equal(fph_pages_find(g.heap, 0, pages, 1), FPH_NO_PAGE);
        assert_true(g.state->moves_begun > 0);
        assert_true(g.state->moves_begun == g.state->moves_ended);
        end(&g, (MORE + 1) * FPHEAP_CHUNK);
    }
}

/* A search for a run that has become free across a border begins at the chunk
 * before it, and one for a longer run where it did. */
static void
what_is_free_across_a_border_is_looked_for(void **state)
{
    const uint64_t far = 1000;
    ground   g;
    unsigned tail, head, k;
    size_t   chunk, place;

    (void)state;
    begin(&g, 0, 2 * FPH_PAGES, 1, 0);
    chunk = g.first / FPH_PAGES + 1;
    place = fph_position_of(g.state, chunk - 1);
    for (tail = 0; tail < FPH_PAGES; tail++) {
        for (head = 0; head < FPH_PAGES; head++) {
            unsigned run = tail != 0 && head != 0 ? tail + head : 0;

            g.state->free[chunk - 1] = tail == 0 ? 0
                                     : fph_page_mask(FPH_PAGES - tail, tail);
            g.state->free[chunk] = head == 0 ? 0 : fph_page_mask(0, head);
            for (k = 0; k < FPH_LENGTHS; k++)
                g.state->cursor[0][k] = far;
            fph_cursors_cross(g.state, chunk);
            for (k = 0; k < FPH_LENGTHS; k++)
                assert_true(g.state->cursor[0][k]
                            == (run >= (k < FPH_LENGTHS - 1 ? 1u << k
                                                            : FPH_PAGES)
                                ? place : far));
        }
    }
    g.state->free[chunk - 1] = g.state->free[chunk] = FPH_ALL_PAGES;
    end(&g, 2 * FPHEAP_CHUNK);
}

enum { FAR = 1000 };

/* Have the searches for runs begin behind all chunks. */
static void
set_cursors_far(fph_state *s)
{
    unsigned node, k;

    for (node = 0; node < FPHEAP_MAX_NODES; node++)
        for (k = 0; k < FPH_LENGTHS; k++)
            s->cursor[node][k] = FAR;
}

/* Whether the searches of node 0 for up to so many pages, and no others, begin
 * at a position. */
static int
cursors_begin_at(const fph_state *s, size_t position, unsigned pages)
{
    unsigned k;

    for (k = 0; k < FPH_LENGTHS; k++) {
        unsigned n = k < FPH_LENGTHS - 1 ? 1u << k : FPH_PAGES;

        if (s->cursor[0][k] != (n <= pages ? position : FAR)
            || s->cursor[1][k] != FAR)
            return 0;
    }
    return 1;
}

/* They make one run with what is free in the chunk before, or behind. */
static void
pages_that_are_given_at_a_chunks_ends_are_looked_for(void **state)
{
    ground    g;
    fph_word *free;
    size_t    chunk, place;

    (void)state;
    begin(&g, 0, 3 * FPH_PAGES, 2, 0);
    chunk = g.first / FPH_PAGES + 1;
    place = fph_position_of(g.state, chunk);
    free = &g.state->free[chunk];
    free[-1] = fph_page_mask(FPH_PAGES - 1, 1);
    free[0] = 0;
    free[1] = 1;
    set_cursors_far(g.state);
    fph_part_give(g.state, chunk, 2);
    assert_true(cursors_begin_at(g.state, place, 1));
    free[0] = 0;
    set_cursors_far(g.state);
    fph_part_give(g.state, chunk, 1);
    assert_true(g.state->cursor[0][0] == place - 1);
    assert_true(g.state->cursor[0][1] == place - 1);
    assert_true(g.state->cursor[0][2] == FAR);
    free[0] = 0;
    set_cursors_far(g.state);
    fph_part_give(g.state, chunk, fph_page_mask(FPH_PAGES - 1, 1));
    assert_true(cursors_begin_at(g.state, place, 2));
    /* And what is given last may be all of it. */
    free[-1] = free[1] = 0;
    set_cursors_far(g.state);
    fph_part_give(g.state, chunk, FPH_ALL_PAGES >> 1);
    assert_true(cursors_begin_at(g.state, place, FPH_PAGES));
    free[-1] = free[1] = FPH_ALL_PAGES;
    end(&g, 3 * FPHEAP_CHUNK);
}

/* The tables of some groups, and what lies in front and behind, as if chunks
 * were there too. */
enum { TABLES = 4, ENTRIES = TABLES * FPH_GROUP };

typedef struct tables {
    fph_state state;
    fph_chunk chunks[ENTRIES + 2];
    fph_word  free[ENTRIES + 2];
    uint32_t  group_at[TABLES + 2];
} tables;

static tables *
begin_tables(void)
{
    tables *t = (tables *)test_map(sizeof *t);
    size_t  i;

    assert_non_null(t);
    t->state.mask = ENTRIES * FPH_PAGES - 1;
    t->state.chunks = t->chunks + 1;
    t->state.free = t->free + 1;
    t->state.group_at = t->group_at + 1;
    for (i = 0; i < TEST_COUNT(t->chunks); i++) {
        t->chunks[i].base = (char *)(i * FPHEAP_CHUNK + 1);
        t->free[i] = FPH_ALL_PAGES;
    }
    for (i = 0; i < TEST_COUNT(t->group_at); i++)
        t->group_at[i] = (uint32_t)i;
    t->group_at[0] = 1;
    return t;
}

/* Of the groups at both sides of a border; those of others do not matter. */
static void
chunks_are_neighbours_if_both_have_tables(void **state)
{
    tables  *t = begin_tables();
    unsigned open;
    size_t   border, i;

    (void)state;
    for (border = FPH_GROUP; border < ENTRIES; border += FPH_GROUP) {
        for (open = 0; open < 1 << TABLES; open++) {
            unsigned both = open >> (border / FPH_GROUP - 1) & 3;

            for (i = 0; i < TABLES; i++)
                t->state.group_at[i] = open >> i & 1 ? (uint32_t)i + 1 : 0;
            assert_int_equal(fph_chunk_follows(&t->state, border), both >> 1);
            set_cursors_far(&t->state);
            fph_cursors_cross(&t->state, border);
            assert_true(both == 3
                        ? cursors_begin_at(&t->state, border - 1, FPH_PAGES)
                        : cursors_begin_at(&t->state, 0, 0));
        }
    }
    assert_int_equal(test_unmap(t, sizeof *t), 0);
}

/* Nor does one that lies elsewhere follow the chunk before it. */
static void
nothing_crosses_the_windows_ends(void **state)
{
    tables *t = begin_tables();

    (void)state;
    set_cursors_far(&t->state);
    fph_cursors_cross(&t->state, 0);
    fph_cursors_cross(&t->state, ENTRIES);
    t->state.chunks[5].base += 3 * FPHEAP_CHUNK;
    fph_cursors_cross(&t->state, 5);
    fph_cursors_cross(&t->state, 6);
    assert_true(cursors_begin_at(&t->state, 0, 0));
    fph_cursors_cross(&t->state, ENTRIES - 1);
    assert_true(cursors_begin_at(&t->state, ENTRIES - 2, FPH_PAGES));
    set_cursors_far(&t->state);
    fph_cursors_cross(&t->state, 1);
    assert_true(cursors_begin_at(&t->state, 0, FPH_PAGES));
    assert_int_equal(test_unmap(t, sizeof *t), 0);
}

static void
a_run_at_the_windows_end_goes_no_further(void **state)
{
    tables   *t = begin_tables();
    const size_t all = t->state.mask + 1;
    size_t    n, i;

    (void)state;
    for (n = 1; n < 3 * FPH_PAGES; n += 5) {
        assert_int_equal(fph_pages_take(&t->state, all - n, n + 1), 0);
        assert_int_equal(fph_pages_take(&t->state, all - n, 2 * n), 0);
        assert_int_equal(fph_pages_take(&t->state, all - n, all), 0);
        for (i = 0; i < TEST_COUNT(t->free); i++)
            assert_true(t->free[i] == FPH_ALL_PAGES);
        assert_int_equal(fph_pages_take(&t->state, all - n, n), 1);
        for (i = 0; i <= n; i++)
            assert_int_equal(fph_page_is_free(&t->state, all - 1 - i), i == n);
        fph_pages_give(&t->state, all - n, n);
        assert_int_equal(fph_page_is_free(&t->state, all - 1), 1);
    }
    assert_int_equal(fph_page_is_free(&t->state, all), 0);
    /* What lies in the place of tables that are not there is no word. */
    t->state.group_at[1] = 0;
    assert_int_equal(fph_pages_take(&t->state, FPH_GROUP * FPH_PAGES, 1), 0);
    assert_int_equal(fph_page_is_free(&t->state, FPH_GROUP * FPH_PAGES), 0);
    assert_int_equal(test_unmap(t, sizeof *t), 0);
}

/* Some chunks of free pages, with a few that are not of node 0, or not where
 * their place is. */
static void
shuffle_tables(tables *t, test_random *random)
{
    size_t i;

    for (i = 1; i <= ENTRIES; i++) {
        unsigned what = test_below(random, 16);

        t->free[i] = what == 0 ? 0
                   : what == 1 ? FPH_ALL_PAGES - 1
                   : what == 2 ? fph_page_mask(0, 1 + test_below(random,
                                                                 FPH_PAGES))
                   : FPH_ALL_PAGES;
        t->chunks[i].node = what == 3;
        t->chunks[i].base = (char *)((i + (what == 4)) * FPHEAP_CHUNK + 1);
    }
    for (i = 0; i < TABLES; i++)
        t->state.group_at[i] = test_below(random, 4) != 0 ? (uint32_t)i + 1 : 0;
}

/* The same by looking at each page. */
static size_t
plain_end(const tables *t, const fph_gap *gap, size_t chunk)
{
    size_t page = (chunk + 1) * FPH_PAGES;
    size_t most = page + (gap->pages + FPH_PAGES - 1) / FPH_PAGES * FPH_PAGES;

    for (; page < most && page <= t->state.mask; page++) {
        size_t at = page / FPH_PAGES;

        if (!fph_chunk_follows(&t->state, at)
            || (gap->node != FPHEAP_ANY_NODE
                && t->state.chunks[at].node != gap->node)
            || !(t->state.free[at] >> page % FPH_PAGES & 1))
            break;
    }
    return page;
}

/* Of the node, in neighbours, within the window, and as far as the need. */
static void
free_pages_go_on_to_the_first_that_does_not_serve(void **state)
{
    tables     *t = begin_tables();
    test_random random = test_random_of(91);
    unsigned    round;

    (void)state;
    for (round = 0; round < 4000; round++) {
        fph_gap gap = { 1 + test_below(&random, 6 * FPH_PAGES), 1,
                        round % 2 == 0 ? 0 : FPHEAP_ANY_NODE, 0, 0,
                        FPH_NO_PAGE, 0, 7, 9 };
        size_t  chunk = round % TABLES * FPH_GROUP + FPH_GROUP - 1
                      - test_below(&random, 8);
        size_t  page;

        if (round % 16 == 0)
            shuffle_tables(t, &random);
        page = fph_gap_end(&t->state, &gap, chunk);
        assert_int_equal(page, plain_end(t, &gap, chunk));
        assert_int_equal(gap.from, chunk + 1);
        assert_int_equal(gap.to, page / FPH_PAGES);
        assert_true(fph_gap_free(&t->state, &gap, chunk)
                    == (round % 2 == 0 && t->state.chunks[chunk].node != 0
                        ? 0 : t->state.free[chunk]));
    }
    assert_int_equal(test_unmap(t, sizeof *t), 0);
}

/* From a chunk in which the one before it ends, which is too short; and if that
 * is too short as well, no move tells of it. */
static void
a_run_begins_in_the_chunk_that_ended_the_one_before(void **state)
{
    ground    g;
    fph_word *free;
    uint64_t  moves;

    (void)state;
    begin(&g, 0, 3 * FPH_PAGES, 1, 0);
    free = &g.state->free[g.first / FPH_PAGES];
    free[0] = fph_page_mask(FPH_PAGES - 3, 3);
    free[1] = fph_page_mask(0, 2) | fph_page_mask(FPH_PAGES - 10, 10);
    free[2] = fph_page_mask(0, FPH_PAGES - 1);
    moves = g.state->moves_begun;
    assert_int_equal(fph_pages_find(g.heap, 0, FPH_PAGES + 10, 1), FPH_NO_PAGE);
    assert_true(g.state->moves_begun == moves);
    assert_int_equal(fph_pages_find(g.heap, 0, FPH_PAGES + 9, 1),
                     g.first + 2 * FPH_PAGES - 10);
    assert_true(g.state->moves_begun == moves + 1);
    free[0] = free[1] = free[2] = FPH_ALL_PAGES;
    end(&g, 3 * FPHEAP_CHUNK);
}

/* A chunk has gone since the look at it, and one of another node is here. */
static void
a_run_with_a_page_of_another_node_is_given_back(void **state)
{
    ground   g;
    unsigned chunk;
    size_t   page;

    (void)state;
    begin(&g, 0, 3 * FPH_PAGES, 2, 0);
    page = g.first + FPH_PAGES - 1;
    assert_int_equal(fph_pages_keep(g.state, FPH_NO_PAGE, 1, 0), FPH_NO_PAGE);
    for (chunk = 0; chunk < 3; chunk++) {
        fph_chunk *it = &g.state->chunks[g.first / FPH_PAGES + chunk];

        it->node = 1;
        assert_int_equal(fph_pages_take(g.state, page, FPH_PAGES + 2), 1);
        assert_int_equal(fph_pages_keep(g.state, page, FPH_PAGES + 2,
                                        FPHEAP_ANY_NODE), page);
        assert_int_equal(fph_pages_keep(g.state, page, FPH_PAGES + 2, 0),
                         FPH_NO_PAGE);
        assert_true(fph_moves_quiet(g.state));
        it->node = 0;
        assert_int_equal(fph_pages_take(g.state, page, FPH_PAGES + 2), 1);
        assert_int_equal(fph_pages_keep(g.state, page, FPH_PAGES + 2, 0), page);
        fph_pages_give(g.state, page, FPH_PAGES + 2);
    }
    end(&g, 3 * FPHEAP_CHUNK);
}

/* They may have no memory: a group's are opened as it comes. */
static void
a_border_to_tables_that_are_not_there_is_not_looked_at(void **state)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    tables      *t = begin_tables();
    char        *map = test_map(4 * page);

    (void)state;
    t->state.group_at[0] = 0;
    t->state.chunks = (fph_chunk *)(void *)(map + page) - FPH_GROUP;
    t->state.free = (fph_word *)(void *)(map + 3 * page) - FPH_GROUP;
    t->state.chunks[FPH_GROUP].base = (char *)(FPH_GROUP * FPHEAP_CHUNK + 1);
    t->state.free[FPH_GROUP] = FPH_ALL_PAGES;
    assert_int_equal(mprotect(map, page, PROT_NONE), 0);
    assert_int_equal(mprotect(map + 2 * page, page, PROT_NONE), 0);
    set_cursors_far(&t->state);
    fph_cursors_cross(&t->state, FPH_GROUP);
    assert_true(cursors_begin_at(&t->state, 0, 0));
    assert_int_equal(test_unmap(map, 4 * page), 0);
    assert_int_equal(test_unmap(t, sizeof *t), 0);
}

/* The window has fewer chunks than the group. */
static void
a_sweep_skips_places_without_a_chunk(void **state)
{
    enum { HERE = 16 };
    tables  *t = begin_tables();
    fph_gap  gap = { 1, 1, FPHEAP_ANY_NODE, 0, 0, FPH_NO_PAGE, 0, 0, 0 };
    uint32_t groups[2] = { 1, 0 };
    size_t   i;

    (void)state;
    t->state.mask = HERE * FPH_PAGES - 1;
    t->state.groups = groups;
    t->state.groups_used = 1;
    for (i = 0; i < HERE; i++)
        t->state.free[i] = 0;
    assert_int_equal(fph_sweep(&t->state, &gap, 0), FPH_NO_PAGE);
    assert_int_equal(fph_sweep(&t->state, &gap, HERE), FPH_NO_PAGE);
    assert_true(t->state.free[-1] == FPH_ALL_PAGES);
    t->state.free[HERE - 1] = 4;
    assert_int_equal(fph_sweep(&t->state, &gap, 0), HERE * FPH_PAGES
                                                    - FPH_PAGES + 2);
    assert_int_equal(gap.position, HERE - 1);
    assert_int_equal(test_unmap(t, sizeof *t), 0);
}

static void
a_run_may_begin_in_the_windows_first_chunk(void **state)
{
    tables  *t = begin_tables();
    uint32_t groups[2] = { 1, 0 };
    fpheap   heap;

    (void)state;
    memset(&heap, 0, sizeof heap);
    heap.nodes = 1;
    heap.state = &t->state;
    t->state.groups = groups;
    t->state.groups_used = 1;
    memset((void *)t->state.free, 0, ENTRIES * sizeof t->state.free[0]);
    t->state.free[0] = fph_page_mask(FPH_PAGES - 1, 1);
    t->state.free[1] = fph_page_mask(0, FPH_PAGES - 1);
    assert_int_equal(fph_pages_find(&heap, 0, FPH_PAGES, 1), FPH_PAGES - 1);
    assert_true(t->state.free[0] == 0 && t->state.free[1] == 0);
    assert_int_equal(test_unmap(t, sizeof *t), 0);
}

/* The first of them from where the search begins. */
static void
where_all_chunks_are_free_the_next_is_broken(void **state)
{
    ground   g;
    unsigned i, pages;

    (void)state;
    begin(&g, 0, 3 * FPH_PAGES, 1, 0);
    for (pages = 1; pages < FPH_PAGES; pages *= 2) {
        fph_word *cursor = &g.state->cursor[0][fph_length(pages)];

        for (i = 0; i < 3; i++) {
            size_t from = fph_position_of(g.state, g.first / FPH_PAGES + i);
            size_t page;

            *cursor = from;
            page = fph_pages_find(g.heap, 0, pages, 1);
            assert_int_equal(page, g.first + i * FPH_PAGES);
            assert_int_equal(*cursor, from);
            fph_pages_give(g.state, page, pages);
        }
    }
    end(&g, 3 * FPHEAP_CHUNK);
}

/* Be it from a page within a chunk that has none any more. */
static void
a_walk_of_records_goes_on_with_the_next_chunks_first(void **state)
{
    ground       g;
    fph_chunk   *chunk;
    fph_records *records;
    size_t       at, start;

    (void)state;
    begin(&g, 0, 2 * FPH_PAGES, 1, 0);
    assert_non_null(fpheap_alloc(g.heap, 2 * FPHEAP_CHUNK));
    chunk = &g.state->chunks[g.first / FPH_PAGES];
    start = fph_position_of(g.state, g.first / FPH_PAGES) * FPH_PAGES;
    records = chunk[0].records;
    if (chunk[1].records == NULL)
        chunk[1].records = records;
    chunk[0].records = NULL;
    for (at = start; at < start + FPH_PAGES; at++) {
        size_t next = at;

        assert_ptr_equal(fph_record_next(g.state, &next),
                         &chunk[1].records->slab[0]);
        assert_int_equal(next, start + FPH_PAGES + 1);
    }
    if (chunk[1].records == records)
        chunk[1].records = NULL;
    chunk[0].records = records;
    assert_int_equal(fpheap_destroy_forced(g.heap), 0);
    assert_int_equal(test_unmap(g.map, MAPPED), 0);
}

/* Be it in front of those with a gap, or behind. */
static void
a_chunk_that_is_free_as_a_whole_is_the_last_to_be_broken(void **state)
{
    ground   g;
    unsigned whole, pages, i;

    (void)state;
    begin(&g, 0, 3 * FPH_PAGES, 1, 0);
    for (whole = 0; whole < 3; whole++) {
        for (pages = 1; pages < FPH_PAGES / 2; pages += 3) {
            size_t free = g.first + whole * FPH_PAGES;

            /* In the middle of the others half is free. */
            for (i = 0; i < 3; i++)
                if (i != whole)
                    g.state->free[g.first / FPH_PAGES + i] =
                        fph_page_mask(FPH_PAGES / 4, FPH_PAGES / 2);
            for (i = 0; i < 2 * (FPH_PAGES / 2 / pages); i++)
                assert_true(fph_pages_find(g.heap, 0, pages, 1) / FPH_PAGES
                            != free / FPH_PAGES);
            assert_true(g.state->free[free / FPH_PAGES] == FPH_ALL_PAGES);
            for (i = 0; i < 3; i++)
                g.state->free[g.first / FPH_PAGES + i] = FPH_ALL_PAGES;
            memset((void *)g.state->cursor, 0, sizeof g.state->cursor);
        }
    }
    end(&g, 3 * FPHEAP_CHUNK);
}

/* It ends in one that is free as a whole, as there is no room for it
 * elsewhere. */
static void
a_run_goes_on_from_a_chunk_in_use(void **state)
{
    ground g;
    size_t pages;

    (void)state;
    begin(&g, 0, 3 * FPH_PAGES, 1, 0);
    assert_int_equal(fph_pages_take(g.state, g.first + FPH_PAGES,
                                    FPH_PAGES - 5), 1);
    for (pages = 6; pages <= FPH_PAGES; pages++) {
        size_t page = fph_pages_find(g.heap, 0, pages, 1);

        assert_int_equal(page, pages < FPH_PAGES
                               ? g.first + 2 * FPH_PAGES - 5 : g.first);
        fph_pages_give(g.state, page, pages);
        memset((void *)g.state->cursor, 0, sizeof g.state->cursor);
    }
    fph_pages_give(g.state, g.first + FPH_PAGES, FPH_PAGES - 5);
    end(&g, 3 * FPHEAP_CHUNK);
}

/* Be it in a chunk in use, in one that is free as a whole, or nowhere. */
static void
a_search_begins_where_the_last_one_of_the_length_ended(void **state)
{
    const unsigned k = fph_length(1);
    ground         g;
    size_t         from;

    (void)state;
    begin(&g, 0, 3 * FPH_PAGES, 1, 0);
    from = fph_position_of(g.state, g.first / FPH_PAGES);
    assert_int_equal(fph_pages_take(g.state, g.first, FPH_PAGES), 1);
    assert_int_equal(fph_pages_take(g.state, g.first + FPH_PAGES, 1), 1);
    g.state->cursor[0][k] = 0;
    assert_int_equal(fph_pages_find(g.heap, 0, 1, 1), g.first + FPH_PAGES + 1);
    assert_int_equal(g.state->cursor[0][k], from + 1);
    assert_int_equal(fph_pages_take(g.state, g.first + FPH_PAGES + 2,
                                    FPH_PAGES - 2), 1);
    assert_int_equal(fph_pages_find(g.heap, 0, 1, 1), g.first + 2 * FPH_PAGES);
    assert_int_equal(g.state->cursor[0][k], from + 2);
    assert_int_equal(fph_pages_take(g.state, g.first + 2 * FPH_PAGES + 1,
                                    FPH_PAGES - 1), 1);
    assert_int_equal(fph_pages_find(g.heap, 0, 1, 1), FPH_NO_PAGE);
    assert_int_equal(g.state->cursor[0][k], fph_positions(g.state));
    fph_pages_give(g.state, g.first, 3 * FPH_PAGES);
    assert_int_equal(g.state->cursor[0][k], from);
    end(&g, 3 * FPHEAP_CHUNK);
}

static void
these_very_pages_are_claimed_or_none(void **state)
{
    ground g;
    size_t from, n, i;

    (void)state;
    begin(&g, 0, 4 * FPH_PAGES, 1, 0);
    for (from = 0; from < 3 * FPH_PAGES; from += 7) {
        for (n = 1; from + n < 4 * FPH_PAGES; n += 9) {
            assert_int_equal(fph_pages_take(g.state, g.first + from, n), 1);
            for (i = 0; i < 4 * FPH_PAGES; i++)
                assert_int_equal(fph_page_is_free(g.state, g.first + i),
                                 i < from || i >= from + n);
            /* One of them is taken: the first, one within, the last. */
            assert_int_equal(fph_pages_take(g.state, g.first,
                                            from + 1 + n / 2), 0);
            assert_int_equal(fph_pages_take(g.state, g.first + from + n - 1,
                                            FPH_PAGES / 2), 0);
            for (i = 0; i < 4 * FPH_PAGES; i++)
                assert_int_equal(fph_page_is_free(g.state, g.first + i),
                                 i < from || i >= from + n);
            fph_pages_give(g.state, g.first + from, n);
        }
    }
    end(&g, 4 * FPHEAP_CHUNK);
}

/* Be it one with a lower number or a higher; the provider gives nothing. */
static void
a_node_without_memory_is_served_by_the_other(void **state)
{
    ground   g;
    int      home;
    void    *object = NULL;

    (void)state;
    for (home = 0; home < 2; home++) {
        fph_want want = fph_want_size(100, &object, 1);

        begin(&g, 0, 2 * FPH_PAGES, 2, 0);
        g.heap->flags |= FPHEAP_SPILL;
        assert_int_equal(give(&g, 2 * FPH_PAGES, 2 * FPH_PAGES, 1), 0);
        assert_int_equal(fph_serve_on_others(g.heap, home, &want, 0), 0);
        assert_int_equal(fph_chunk_of(g.state, object)->node, 1 - home);
        fph_slab_give(g.state, &object, 1);
        (void)fpheap_self(g.heap);
        assert_int_equal(fph_cache_mine(g.heap)->node, 0);
        fph_cache_mine(g.heap)->node = home;
        while (fph_pages_find(g.heap, home, 1, 1) != FPH_NO_PAGE)
            ;
        object = fpheap_alloc_on(g.heap, 3 * FPHEAP_PAGE, 1 - home);
        fpheap_free(g.heap, object);
        object = fpheap_alloc(g.heap, FPHEAP_CHUNK);
        assert_non_null(object);
        assert_int_equal(fph_chunk_of(g.state, object)->node, 1 - home);
        assert_int_equal(fpheap_destroy_forced(g.heap), 0);
        assert_int_equal(test_unmap(g.map, MAPPED), 0);
    }
}

/* Where the provider has just given it nothing, the others do not grow for it
 * before it asks again. */
static void
a_dry_node_has_of_others_what_is_there(void **state)
{
    ground   g;
    void    *object;
    unsigned round;

    (void)state;
    for (round = 0; round < 4; round++) {
        begin(&g, 0, 2 * FPH_PAGES, 2, 0);
        g.heap->flags |= FPHEAP_SPILL;
        (void)fpheap_self(g.heap);
        while (fph_pages_find(g.heap, 0, 1, 1) != FPH_NO_PAGE)
            ;
        lay(&g, at_page(&g, 4 * FPH_PAGES), 2 * FPHEAP_CHUNK,
            FPHEAP_BACKING_PAGES);
        g.state->dry_ns[0] = fph_now_ns();
        object = fpheap_alloc(g.heap, FPHEAP_CHUNK);
        assert_ptr_equal(object, at_page(&g, 4 * FPH_PAGES));
        assert_int_equal(fph_chunk_of(g.state, object)->node, 0);
        assert_int_equal(fpheap_destroy_forced(g.heap), 0);
        assert_int_equal(test_unmap(g.map, MAPPED), 0);
    }
}

/* --- regions -------------------------------------------------------------- */

/* A chunk has the end of one and the start of another; objects cross from one
 * to the other, and each goes back by itself. */
static void
regions_share_a_chunk(void **state)
{
    const size_t half = FPH_PAGES / 2, last = 3 * FPH_PAGES - 5;
    ground       g;
    fph_chunk   *chunk;
    char        *object;
    void        *elsewhere;

    (void)state;
    begin(&g, 4 * FPH_PAGES, 4 * FPH_PAGES, 1, 0);
    elsewhere = fpheap_alloc(g.heap, 64);
    assert_int_equal(give(&g, 0, FPH_PAGES + half, 0), 0);
    assert_int_equal(give(&g, FPH_PAGES + half, last - FPH_PAGES - half, 0), 0);
    chunk = fph_chunk_of(g.state, at_page(&g, FPH_PAGES));
    assert_non_null(chunk);
    assert_true(chunk->present == FPH_ALL_PAGES);
    object = (char *)fpheap_alloc(g.heap, last * FPHEAP_PAGE);
    assert_ptr_equal(object, g.base);
    test_fill(object, last * FPHEAP_PAGE, 7);
    assert_true(test_filled(object, last * FPHEAP_PAGE, 7));
    TEST_CHECK_LIVE(g.heap, 2);
    fpheap_free(g.heap, object);
    /* The second one is in use, at its end. */
    assert_int_equal(fph_pages_take(g.state, g.first + last - 1, 1), 1);
    fpheap_trim(g.heap);
    assert_int_equal(g.puts, 1);
    assert_ptr_equal(g.back[0].base, g.base);
    assert_true(fph_chunk_address(chunk) == (uintptr_t)at_page(&g, FPH_PAGES));
    assert_true(chunk->present
                == fph_page_mask((unsigned)half, FPH_PAGES - (unsigned)half));
    assert_null(fph_chunk_of(g.state, g.base));
    assert_int_equal(fph_page_is_free(g.state, g.first + FPH_PAGES), 0);
    fph_pages_give(g.state, g.first + last - 1, 1);
    fpheap_trim(g.heap);
    assert_null(fph_chunk_of(g.state, at_page(&g, FPH_PAGES + half)));
    fpheap_free(g.heap, elsewhere);
    assert_int_equal(fpheap_trim(g.heap), 4 * FPHEAP_CHUNK);
    assert_int_equal(regions_of(&g).n, 0);
    end(&g, (last + 4 * FPH_PAGES) * FPHEAP_PAGE);
}

/* Its part of a chunk that has pages of another node serves nobody; the rest
 * does. */
static void
a_chunk_is_of_one_node(void **state)
{
    const size_t half = FPH_PAGES / 2;
    ground       g;
    fpheap_stats stats;
    size_t       taken = 0;

    (void)state;
    begin(&g, 0, FPH_PAGES + half, 2, 0);
    assert_int_equal(give(&g, FPH_PAGES + half, FPH_PAGES, 1), 0);
    TEST_CHECK(g.heap);
    fpheap_stats_get(g.heap, &stats);
    assert_int_equal(stats.region_bytes, (2 * FPH_PAGES + half) * FPHEAP_PAGE);
    assert_int_equal(stats.page_free_bytes, 2 * FPH_PAGES * FPHEAP_PAGE);
    while (fph_pages_find(g.heap, 1, 1, 1) != FPH_NO_PAGE)
        taken++;
    assert_int_equal(taken, half);
    while (fph_pages_find(g.heap, 0, 1, 1) != FPH_NO_PAGE)
        taken++;
    assert_int_equal(taken, 2 * FPH_PAGES);
    fph_pages_give(g.state, g.first, FPH_PAGES + half);
    fph_pages_give(g.state, g.first + 2 * FPH_PAGES, half);
    end(&g, (2 * FPH_PAGES + half) * FPHEAP_PAGE);
}

/* As its IOVAs are contiguous, and these of another region are not. */
static void
a_chunk_with_iovas_is_of_one_region(void **state)
{
    const size_t half = FPH_PAGES / 2;
    ground       g;
    fpheap_stats stats;

    (void)state;
    begin(&g, 0, FPH_PAGES + half, 1, 0);
    g.state->alone = 1;
    assert_int_equal(give(&g, FPH_PAGES + half, FPH_PAGES, 0), 0);
    TEST_CHECK(g.heap);
    fpheap_stats_get(g.heap, &stats);
    assert_int_equal(stats.region_bytes, (2 * FPH_PAGES + half) * FPHEAP_PAGE);
    assert_int_equal(stats.page_free_bytes, 2 * FPH_PAGES * FPHEAP_PAGE);
    assert_true(fph_chunk_of(g.state, at_page(&g, FPH_PAGES))->present
                == fph_page_mask(0, (unsigned)half));
    g.state->alone = 0;
    end(&g, (2 * FPH_PAGES + half) * FPHEAP_PAGE);
}

/* In other memory there may be hugepages already, or none can be. */
static void
a_chunk_that_is_partly_of_other_memory_is_asked_no_hugepage_for(void **state)
{
    const size_t half = FPH_PAGES / 2;
    ground       g;
    fph_chunk   *chunk;
    unsigned     kind;

    (void)state;
    for (kind = FPHEAP_BACKING_UNKNOWN; kind <= FPHEAP_BACKING_HUGETLB;
         kind++) {
        begin(&g, 0, half, 1, 0);
        chunk = fph_chunk_of(g.state, g.base);
        assert_int_equal(chunk->plain, 1);
        lay(&g, at_page(&g, half), half * FPHEAP_PAGE, (fpheap_backing)kind);
        assert_int_equal(fph_grow_now(g.heap, 0, fph_need_of(g.heap, 1, 1), 1),
                         0);
        assert_true(chunk->present == FPH_ALL_PAGES);
        assert_int_equal(chunk->plain, kind == FPHEAP_BACKING_PAGES);
        end(&g, FPHEAP_CHUNK);
    }
}

/* What has all its pages taken out belongs to who does that, or who takes its
 * first ones in, until the base says so. */
static void
a_chunk_that_just_comes_or_leaves_is_not_shared(void **state)
{
    const fpheap_region raw = { NULL, 0, NULL, FPHEAP_BACKING_PAGES, 0 };
    ground     g;
    fph_part   part;
    fph_chunk *chunk;
    uint64_t   had = 0;

    (void)state;
    begin(&g, 0, 2 * FPH_PAGES, 1, 0);
    part = fph_parts((uintptr_t)at_page(&g, 2 * FPH_PAGES), 1);
    assert_int_equal(fph_part_next(g.state, &part), 1);
    chunk = fph_chunk_of_page(g.state, part.page);
    chunk->base = at_page(&g, 2 * FPH_PAGES) + 1;
    chunk->node = 0;
    assert_int_equal(fph_chunk_share(g.state, &part, &raw, &had), 0);
    assert_true(chunk->present == 0);
    chunk->base = NULL;
    end(&g, 2 * FPHEAP_CHUNK);
}

/* Chunks in the middle go back; they come again, and are one with it. */
static void
a_region_is_split_and_joined(void **state)
{
    const size_t last = 6 * FPH_PAGES - 3;
    ground       g;

    (void)state;
    begin(&g, 2, last, 1, FPHEAP_PARTS);
    assert_int_equal(fph_pages_take(g.state, g.first + 2, 1), 1);
    assert_int_equal(fph_pages_take(g.state, g.first + last, 1), 1);
    EXPECT_REGION(&g, 0, 2, last);
    assert_int_equal(fpheap_trim(g.heap), 4 * FPHEAP_CHUNK);
    assert_int_equal(g.puts, 1);
    assert_ptr_equal(g.back[0].base, at_page(&g, FPH_PAGES));
    assert_int_equal(g.back[0].bytes, 4 * FPHEAP_CHUNK);
    assert_int_equal(regions_of(&g).n, 2);
    EXPECT_REGION(&g, 0, 2, FPH_PAGES - 2);
    EXPECT_REGION(&g, 1, 5 * FPH_PAGES, last + 2 - 5 * FPH_PAGES);
    /* At its end, at its start, and what touches neither. */
    assert_int_equal(give(&g, FPH_PAGES, FPH_PAGES, 0), 0);
    assert_int_equal(regions_of(&g).n, 2);
    EXPECT_REGION(&g, 0, 2, 2 * FPH_PAGES - 2);
    assert_int_equal(give(&g, 4 * FPH_PAGES, FPH_PAGES, 0), 0);
    assert_int_equal(regions_of(&g).n, 2);
    EXPECT_REGION(&g, 1, 4 * FPH_PAGES, last + 2 - 4 * FPH_PAGES);
    assert_int_equal(give(&g, 8 * FPH_PAGES, FPH_PAGES, 0), 0);
    assert_int_equal(regions_of(&g).n, 3);
    /* What is joined goes back as one again. */
    assert_int_equal(fpheap_trim(g.heap), 3 * FPHEAP_CHUNK);
    assert_int_equal(g.puts, 4);
    EXPECT_REGION(&g, 0, 2, FPH_PAGES - 2);
    EXPECT_REGION(&g, 1, 5 * FPH_PAGES, last + 2 - 5 * FPH_PAGES);
    fph_pages_give(g.state, g.first + 2, 1);
    fph_pages_give(g.state, g.first + last, 1);
    end(&g, (last + 3 * FPH_PAGES) * FPHEAP_PAGE);
}

static void
what_is_left_of_a_region_is_shown_while_a_part_goes_back(void **state)
{
    const size_t pages = 6 * FPH_PAGES;
    ground       g;

    (void)state;
    begin(&g, 0, pages, 1, FPHEAP_PARTS);
    assert_int_equal(fph_pages_take(g.state, g.first, 1), 1);
    assert_int_equal(fph_pages_take(g.state, g.first + pages - 1, 1), 1);
    g.refuses = 1;
    assert_int_equal(fpheap_trim(g.heap), 0);
    assert_int_equal(g.shown, 2);
    assert_int_equal(fph_pages_take(g.state, g.first + 1, pages - 2), 1);
    fph_pages_give(g.state, g.first, pages);
    g.refuses = 0;
    end(&g, pages * FPHEAP_PAGE);
}

/* It was the region's middle, its start, its end, or all of it. */
static void
a_part_that_is_refused_is_one_with_what_is_left_on_both_sides(void **state)
{
    static const struct {
        size_t pinned[2];      /* pages */
        unsigned shown;        /* regions, meanwhile */
    } cases[] = { { { 0, 6 * FPH_PAGES - 1 }, 2 },
                  { { 3 * FPH_PAGES, 6 * FPH_PAGES - 1 }, 1 },
                  { { 0, 3 * FPH_PAGES }, 1 } };
    const size_t pages = 6 * FPH_PAGES;
    ground       g;
    size_t       i, j;

    (void)state;
    for (i = 0; i < TEST_COUNT(cases); i++) {
        begin(&g, 0, pages, 1, FPHEAP_PARTS);
        for (j = 0; j < 2; j++)
            assert_int_equal(fph_pages_take(g.state,
                                            g.first + cases[i].pinned[j], 1),
                             1);
        g.refuses = 1;
        assert_int_equal(fpheap_trim(g.heap), 0);
        assert_in_range(g.shown, cases[i].shown, 2);
        assert_int_equal(regions_of(&g).n, 1);
        EXPECT_REGION(&g, 0, 0, pages);
        for (j = 0; j < 2; j++)
            fph_pages_give(g.state, g.first + cases[i].pinned[j], 1);
        assert_int_equal(fpheap_trim(g.heap), 0);
        assert_int_equal(regions_of(&g).n, 1);
        assert_int_equal(fph_pages_take(g.state, g.first, pages), 1);
        fph_pages_give(g.state, g.first, pages);
        g.refuses = 0;
        end(&g, pages * FPHEAP_PAGE);
    }
}

/* And so is memory that comes between two regions. */
static void
a_region_between_two_others_is_one_with_both(void **state)
{
    ground g;

    (void)state;
    begin(&g, 0, FPH_PAGES, 1, FPHEAP_PARTS);
    assert_int_equal(give(&g, 2 * FPH_PAGES, FPH_PAGES, 0), 0);
    assert_int_equal(regions_of(&g).n, 2);
    assert_int_equal(give(&g, FPH_PAGES, FPH_PAGES, 0), 0);
    assert_int_equal(regions_of(&g).n, 1);
    EXPECT_REGION(&g, 0, 0, 3 * FPH_PAGES);
    assert_int_equal(fpheap_trim(g.heap), 3 * FPHEAP_CHUNK);
    assert_int_equal(g.puts, 1);
    end(&g, 3 * FPHEAP_CHUNK);
}

/* Of another cookie, or other pages behind it, it is another region. */
static void
a_neighbour_of_another_kind_is_not_joined(void **state)
{
    unsigned what;

    (void)state;
    for (what = 0; what < 3; what++) {
        ground g;

        begin(&g, 0, FPH_PAGES, 2, FPHEAP_PARTS);
        lay(&g, at_page(&g, FPH_PAGES), FPHEAP_CHUNK,
            what == 0 ? FPHEAP_BACKING_THP : FPHEAP_BACKING_PAGES);
        g.next.cookie = what == 1 ? &g : NULL;
        assert_int_equal(fph_grow_now(g.heap, what == 2,
                                      fph_need_of(g.heap, 1, 1), 1), 0);
        assert_int_equal(regions_of(&g).n, 2);
        EXPECT_REGION(&g, 0, 0, FPH_PAGES);
        EXPECT_REGION(&g, 1, FPH_PAGES, FPH_PAGES);
        end(&g, 2 * FPHEAP_CHUNK);
    }
}

/* --- records -------------------------------------------------------------- */

static void
records_stay_until_the_pages_leave_and_serve_again(void **state)
{
    ground       g;
    fph_chunk   *chunk;
    fph_records *records;
    uint64_t     meta;
    char        *object;
    unsigned     i;

    (void)state;
    begin(&g, 0, 2 * FPH_PAGES, 1, 0);
    assert_int_equal(give(&g, 4 * FPH_PAGES, 3 * FPH_PAGES, 0), 0);
    object = (char *)fpheap_alloc(g.heap, 3 * FPHEAP_CHUNK);
    assert_ptr_equal(object, at_page(&g, 4 * FPH_PAGES));
    chunk = fph_chunk_of(g.state, object);
    records = chunk->records;
    assert_non_null(records);
    assert_ptr_equal(fph_record_of(g.state, object), &records->slab[0]);
    fpheap_free(g.heap, object);
    fpheap_flush(g.heap);
    assert_ptr_equal(chunk->records, records);
    meta = g.state->meta_cursor.word;
    for (i = 0; i < 3; i++) {
        assert_int_equal(fpheap_trim(g.heap),
                         (i == 0 ? 5 : 3) * FPHEAP_CHUNK);
        assert_null(chunk->records);
        assert_null(chunk->base);
        assert_int_equal((uint32_t)g.state->records.word, records->link.self);
        /* What they say of a chunk is nothing now, be there one or not. */
        records->chunk = g.state->mask;
        TEST_CHECK(g.heap);
        assert_int_equal(give(&g, (8 + 4 * i) * FPH_PAGES, 3 * FPH_PAGES, 0),
                         0);
        object = (char *)fpheap_alloc(g.heap, 3 * FPHEAP_CHUNK);
        chunk = fph_chunk_of(g.state, object);
        assert_ptr_equal(chunk->records, records);
        assert_int_equal(records->slab[0].page,
                         g.first + (8 + 4 * i) * FPH_PAGES);
        TEST_CHECK(g.heap);
        fpheap_free(g.heap, object);
        fpheap_flush(g.heap);
        assert_true(g.state->meta_cursor.word == meta);
    }
    end(&g, 14 * FPHEAP_CHUNK);
}

/* More pages than a step back has bits for. */
static void
every_page_of_a_long_object_leads_to_its_record(void **state)
{
    static test_provider provider;
    static const size_t  at[] = { 0, 1, 31, 32, 33, 65534, 65535, 65536, 65537,
                                  131069, 131070, 131071, 131072, 139999 };
    const size_t         pages = 140000;
    fpheap              *heap = test_heap_over(&provider);
    char                *object = (char *)fpheap_alloc(heap,
                                                       pages * FPHEAP_PAGE);
    fph_slab            *record = fph_record_of(heap->state, object);
    unsigned             i;

    (void)state;
    assert_non_null(object);
    assert_int_equal(fph_info_count(record->info), pages);
    for (i = 0; i < TEST_COUNT(at); i++) {
        char *within = object + at[i] * FPHEAP_PAGE;

        assert_ptr_equal(fph_record_of(heap->state, within), record);
        assert_ptr_equal(fpheap_base_of(heap, within), object);
        assert_ptr_equal(fpheap_base_of(heap, within + FPHEAP_PAGE - 1),
                         object);
    }
    assert_null(fpheap_base_of(heap, object + pages * FPHEAP_PAGE));
    TEST_CHECK_LIVE(heap, 1);
    fpheap_free(heap, object);
    TEST_DESTROY_OVER(heap, &provider);
}

/* The heap grows by pages of the ground. */
static void
grow(ground *g, size_t page, size_t pages)
{
    lay(g, at_page(g, page), pages * FPHEAP_PAGE, FPHEAP_BACKING_PAGES);
    assert_int_equal(fph_grow(g->heap, 0, fph_need_of(g->heap, 1, 1), 1,
                              UINT64_MAX), 0);
}

/* Cut records until there is a new block for one.  Returns the block's pages,
 * and in *page the first. */
static unsigned
next_block(const ground *g, size_t bytes, size_t *page)
{
    unsigned had = test_meta_pages(g->heap);
    unsigned have;
    int      error;

    do {
        uint32_t ref = fph_meta_get(g->heap, 0, bytes, &error);
        void    *record = fph_meta_at(g->state, ref);

        assert_int_not_equal(ref, 0);
        memset(record, 0xa5, bytes);
        *page = fph_page_of(g->state, record);
        assert_true(fph_is_meta(g->state, record));
        have = test_meta_pages(g->heap);
    } while (have == had);
    return have - had;
}

/* A page for each of the first, and a chunk in the end; no shorter than its
 * first record. */
static void
short_blocks_in_pages_come_first_and_long_ones_later(void **state)
{
    ground   g;
    size_t   page;
    unsigned i, had, pages = 0;

    (void)state;
    begin(&g, 0, FPH_GROUP * FPH_PAGES, 1, 0);
    system_is_out = 1;
    for (i = 0; pages < FPH_PAGES; i++) {
        had = pages;
        pages = next_block(&g, 640, &page);
        assert_in_range(pages, had == 0 ? 1 : had, i < 3 ? 1 : i);
        TEST_CHECK_LIVE(g.heap, 0);
    }
    assert_in_range(i, FPH_PAGES, FPH_TABLE_MAX - FPH_GROUP);
    assert_int_equal(fpheap_destroy_forced(g.heap), 0);
    assert_int_equal(test_unmap(g.map, MAPPED), 0);

    system_is_out = 0;
    begin(&g, 0, 4 * FPH_PAGES, 1, 0);
    system_is_out = 1;
    for (i = 1; i < 4; i++)
        assert_in_range(next_block(&g, i * 8 * FPHEAP_PAGE - FPH_GUARDS, &page),
                        8 * i, 8 * i + 1);
    system_is_out = 0;
    end(&g, 4 * FPHEAP_CHUNK);
}

/* The system has no memory.  A block of the usual length finds no room; one for
 * the record alone does. */
static void
a_record_fails_only_when_no_page_is_left(void **state)
{
    ground       g;
    fpheap_stats stats;
    size_t       page, pages;
    int          error = 0;

    (void)state;
    begin(&g, 0, FPH_PAGES, 1, 0);
    grow(&g, FPH_PAGES, FPH_PAGES);
    system_is_out = 1;
    for (page = g.first; page < g.first + 2 * FPH_PAGES; page += 2)
        assert_int_equal(fph_pages_take(g.state, page, 1), 1);
    for (pages = 0;
         fph_meta_get(g.heap, 0, FPHEAP_PAGE - FPH_GUARDS, &error) != 0;
         pages++)
        ;
    assert_int_equal(error, -ENOMEM);
    assert_int_equal(pages, FPH_PAGES);
    fpheap_stats_get(g.heap, &stats);
    assert_int_equal(stats.page_free_bytes, 0);
    assert_int_equal(stats.metadata_bytes, pages * FPHEAP_PAGE);
    assert_int_equal(test_meta_pages(g.heap), pages);
    system_is_out = 0;
    assert_int_equal(fpheap_destroy_forced(g.heap), 0);
    assert_int_equal(g.puts, 2);
    assert_int_equal(test_unmap(g.map, MAPPED), 0);
}

/* Or all but a few for records, where the system has no memory for these. */
static void
objects_have_all_pages_when_the_heap_cannot_grow(void **state)
{
    ground       g;
    fpheap_stats stats;
    void        *last = NULL, *object;
    size_t       n    = 0;
    int          out;

    (void)state;
    for (out = 0; out < 2; out++) {
        begin(&g, 0, FPH_PAGES, 1, 0);
        grow(&g, FPH_PAGES, 2 * FPH_PAGES);
        system_is_out = out;
        for (; (object = fpheap_alloc(g.heap, 64)) != NULL; last = object, n++)
            memcpy(object, &last, sizeof last);
        TEST_CHECK_LIVE(g.heap, n);
        fpheap_stats_get(g.heap, &stats);
        assert_int_equal(stats.page_free_bytes, 0);
        assert_int_equal(stats.slab_free_bytes + stats.parked_bytes, 0);
        assert_int_equal(stats.metadata_bytes,
                         test_meta_pages(g.heap) * FPHEAP_PAGE);
        assert_in_range(stats.metadata_bytes, out,
                        out * 16 * FPHEAP_PAGE);
        for (; last != NULL; last = object, n--) {
            memcpy(&object, last, sizeof object);
            fpheap_free(g.heap, last);
        }
        system_is_out = 0;
        end(&g, 3 * FPHEAP_CHUNK);
    }
}

/* Pages shorter than the system's, of which some are in use and some go. */
static void
a_trim_decommits_nothing_that_is_in_use(void **state)
{
    static unsigned char *objects[200];
    fpheap       *heap = fpheap_create("short", NULL);
    const size_t  size = FPH_CLASS_MAX + 1;
    fpheap_stats  stats;
    unsigned      i;

    (void)state;
    assert_true(FPHEAP_PAGE < (size_t)sysconf(_SC_PAGESIZE));
    for (i = 0; i < TEST_COUNT(objects); i++) {
        objects[i] = (unsigned char *)fpheap_alloc(heap, size);
        assert_non_null(objects[i]);
        test_fill(objects[i], size, i);
    }
    for (i = 0; i < TEST_COUNT(objects); i += 3)
        fpheap_free(heap, objects[i]);
    (void)fpheap_trim(heap);
    TEST_CHECK(heap);
    for (i = 0; i < TEST_COUNT(objects); i++)
        assert_true(i % 3 == 0 || test_filled(objects[i], size, i));
    fpheap_stats_get(heap, &stats);
    assert_true(stats.page_free_bytes != 0);
    for (i = 0; i < TEST_COUNT(objects); i++)
        fpheap_free(heap, i % 3 == 0 ? NULL : objects[i]);
    TEST_DESTROY(heap);
}

/* --- decommit ------------------------------------------------------------- */

static unsigned char decommitted[PAGES];
static const ground *decommits;

static void
note_decommit(void *ctx, void *base, size_t bytes)
{
    size_t page = (size_t)((char *)base - decommits->base) / FPHEAP_PAGE;
    size_t i;

    (void)ctx;
    assert_ptr_equal(base, at_page(decommits, page));
    assert_int_equal(bytes % FPHEAP_PAGE, 0);
    for (i = page; i < page + bytes / FPHEAP_PAGE; i++) {
        assert_true(i < PAGES);
        decommitted[i]++;
        /* Nobody else may have it meanwhile. */
        assert_false(fph_page_is_free(decommits->state, decommits->first + i));
    }
}

/* Each of them once, and none of those that are used, or hugepages. */
static void
a_trim_decommits_free_pages(void **state)
{
    enum { MANY = 40 };
    ground   g;
    void    *objects[MANY];
    size_t   page, some = 0;
    unsigned i;

    (void)state;
    begin(&g, 3, 12 * FPH_PAGES - 2, 1, 0);     /* of the last chunk one page */
    lay(&g, at_page(&g, 20 * FPH_PAGES), 4 * FPHEAP_CHUNK, FPHEAP_BACKING_THP);
    assert_int_equal(fph_grow_now(g.heap, 0, fph_need_of(g.heap, 1, 1), 1), 0);
    assert_int_equal(fph_pages_take(g.state, g.first + 21 * FPH_PAGES, 1), 1);
    g.heap->provider.decommit = note_decommit;
    decommits = &g;
    for (i = 0; i < MANY; i++)
        assert_non_null(objects[i] = fpheap_alloc(g.heap,
                                                  (9 + i % 2) * FPHEAP_PAGE));
    for (i = 0; i < MANY; i += 3) {
        fpheap_free(g.heap, objects[i]);
        objects[i] = NULL;
    }
    memset(decommitted, 0, sizeof decommitted);
    assert_int_equal(fpheap_trim(g.heap), 0);
    for (page = 0; page < PAGES; page++) {
        int free = page < 20 * FPH_PAGES
                && fph_page_is_free(g.state, g.first + page);

        assert_int_equal(decommitted[page], free);
        some += (size_t)free;
    }
    assert_true(some > MANY);
    assert_int_equal(decommitted[12 * FPH_PAGES], 1);
    fph_pages_give(g.state, g.first + 21 * FPH_PAGES, 1);
    TEST_CHECK(g.heap);
    fpheap_free_bulk(g.heap, objects, MANY);
    fpheap_flush(g.heap);
    g.heap->provider.decommit = NULL;
    end(&g, 16 * FPHEAP_CHUNK - 2 * FPHEAP_PAGE);
}

/* --- where something is in the way ---------------------------------------- */

/* A part of a region needs a slot of its own, and what is behind it another. */
static void
a_part_for_which_there_is_no_slot_stays(void **state)
{
    const size_t pages = 6 * FPH_PAGES;
    ground       g;
    size_t       left, i;

    (void)state;
    for (left = 0; left < 2; left++) {
        begin(&g, 0, pages, 1, FPHEAP_PARTS);
        assert_int_equal(fph_pages_take(g.state, g.first, 1), 1);
        assert_int_equal(fph_pages_take(g.state, g.first + pages - 1, 1), 1);
        for (i = 1; i < g.state->regions_max - left; i++)
            g.state->region[i].used = 1;
        assert_int_equal(fpheap_trim(g.heap), 0);
        assert_int_equal(g.puts, 0);
        for (i = 1; i < g.state->regions_max - left; i++)
            g.state->region[i].used = 0;
        EXPECT_REGION(&g, 0, 0, pages);
        fph_pages_give(g.state, g.first, 1);
        fph_pages_give(g.state, g.first + pages - 1, 1);
        end(&g, pages * FPHEAP_PAGE);
    }
}

/* What lies behind them may be 0, as a slot is that nobody has. */
static void
the_slots_end_where_the_table_does(void **state)
{
    ground      g;
    fph_region *last, behind;

    (void)state;
    begin(&g, 0, FPH_PAGES, 1, 0);
    last = &g.state->region[g.state->regions_max - 1];
    memcpy(&behind, last + 1, sizeof behind);
    memset((void *)(last + 1), 0, sizeof behind);
    while (fph_region_slot(g.state) != last)
        assert_true(g.state->regions < g.state->regions_max);
    assert_null(fph_region_slot(g.state));
    assert_int_equal(g.state->regions, g.state->regions_max);
    memcpy((void *)(last + 1), &behind, sizeof behind);
    for (; last > g.state->region; last--)
        last->used = 0;
    end(&g, FPHEAP_CHUNK);
}

static ground *taken_ground;

/* What another thread's region does to the place of one that is away. */
static int
take_its_place(void *ctx, const fpheap_region *region)
{
    fph_chunk *chunk = fph_chunk_of_page(taken_ground->state,
                                         fph_page_of(taken_ground->state,
                                                     region->base));

    (void)ctx;
    chunk->base = (char *)region->base + FPHEAP_CHUNK + 1;
    return -EIO;
}

static char   told[8];          /* '-': a region leaves; '+': it comes */
static size_t tells;

static int
note_watch(void *ctx, const fpheap_region *region, int leaving)
{
    (void)ctx, (void)region;
    assert_true(tells < sizeof told - 1);
    assert_true(leaving == 0 || leaving == 1);
    told[tells++] = leaving ? '-' : '+';
    return 0;
}

static void
a_part_whose_place_is_taken_when_it_is_refused_goes_at_the_end(void **state)
{
    ground     g;
    fph_chunk *chunk;

    (void)state;
    begin(&g, 0, 3 * FPH_PAGES, 1, FPHEAP_PARTS);
    taken_ground = &g;
    chunk = fph_chunk_of_page(g.state, g.first + FPH_PAGES);
    assert_int_equal(fph_pages_take(g.state, g.first, 1), 1);
    g.heap->provider.put = take_its_place;
    g.heap->watch = note_watch;
    tells = 0;
    memset(told, 0, sizeof told);
    assert_int_equal(fpheap_trim(g.heap), 0);
    assert_string_equal(told, "-+-");
    g.heap->watch = NULL;
    g.heap->provider.put = ground_put;
    chunk->base = NULL;
    assert_int_equal(regions_of(&g).n, 1);
    EXPECT_REGION(&g, 0, 0, FPH_PAGES);
    assert_null(fph_chunk_of(g.state, at_page(&g, FPH_PAGES)));
    assert_int_equal(g.state->region[1].used, FPH_BARRED);
    fph_pages_give(g.state, g.first, 1);
    end(&g, 3 * FPHEAP_CHUNK);
}

static void
pages_that_are_here_do_not_come_again(void **state)
{
    ground   g;
    fph_part part;
    char    *nowhere;

    (void)state;
    begin(&g, 0, 2 * FPH_PAGES, 1, 0);
    assert_int_equal(fph_pages_come(g.state, g.base, FPH_PAGES, 0), -EFAULT);
    assert_int_equal(fph_pages_come(g.state, g.base, 1, 0), -EFAULT);
    TEST_CHECK(g.heap);
    /* Nor is anything done to those that are not. */
    nowhere = at_page(&g, 3 * FPH_PAGES);
    g.heap->provider.iova = no_iova;
    fph_pages_ask(g.heap, g.state, nowhere, 1);
    g.heap->provider.iova = NULL;
    part = fph_parts((uintptr_t)nowhere, 1);
    assert_int_equal(fph_part_next(g.state, &part), 1);
    fph_part_decommit(g.heap, &part);
    assert_null(fph_chunk_of(g.state, nowhere));
    end(&g, 2 * FPHEAP_CHUNK);
}

/* Another chunk is there, from a place that is the same in the window. */
static void
a_run_into_a_chunk_that_is_elsewhere_is_not_claimed(void **state)
{
    ground     g;
    fph_chunk *chunk;
    char      *base;

    (void)state;
    begin(&g, 0, 2 * FPH_PAGES, 1, 0);
    chunk = fph_chunk_of_page(g.state, g.first + FPH_PAGES);
    base = chunk->base;
    chunk->base = base + 64 * FPHEAP_CHUNK;
    assert_int_equal(fph_pages_take(g.state, g.first, 2 * FPH_PAGES), 0);
    chunk->base = base;
    assert_int_equal(fph_pages_take(g.state, g.first, 2 * FPH_PAGES), 1);
    fph_pages_give(g.state, g.first, 2 * FPH_PAGES);
    end(&g, 2 * FPHEAP_CHUNK);
}

/* As its IOVAs are contiguous within a chunk only; the free pages are behind
 * it, so the provider is not asked for others. */
static void
an_object_that_may_not_cross_moves(void **state)
{
    const size_t skip = 20, pages = 10;
    ground       g;
    char        *object, *other;

    (void)state;
    begin(&g, 0, 6 * FPH_PAGES, 1, FPHEAP_PARTS);
    g.state->alone = 1;
    assert_int_equal(fph_pages_take(g.state, g.first, skip), 1);
    object = (char *)fpheap_alloc(g.heap, pages * FPHEAP_PAGE);
    assert_ptr_equal(object, at_page(&g, skip));
    assert_int_equal(fph_large_resize(g.heap, object,
                                      fph_info_of(g.state, object),
                                      (pages + 4) * FPHEAP_PAGE), 0);
    assert_int_equal(g.puts, 0);
    fpheap_free(g.heap, object);
    fpheap_flush(g.heap);
    /* It is longer than a chunk, and is to be shorter. */
    object = (char *)fpheap_alloc(g.heap, 2 * skip * FPHEAP_PAGE);
    assert_ptr_equal(object, at_page(&g, skip));
    other = (char *)fpheap_realloc(g.heap, object, (pages + 4) * FPHEAP_PAGE + 1);
    assert_non_null(other);
    assert_ptr_not_equal(other, object);
    fpheap_free(g.heap, other);
    fpheap_flush(g.heap);
    fph_pages_give(g.state, g.first, skip);
    g.state->alone = 0;
    end(&g, 6 * FPHEAP_CHUNK);
}

/* Behind the region, where the provider gives nothing. */
static void
an_object_grows_no_further_than_the_provider_gives(void **state)
{
    ground g;
    char  *object;

    (void)state;
    begin(&g, 0, 2 * FPH_PAGES, 1, FPHEAP_PARTS);
    object = (char *)fpheap_alloc(g.heap, 2 * FPHEAP_CHUNK);
    assert_ptr_equal(object, g.base);
    errno = 0;
    assert_null(fpheap_realloc(g.heap, object, 3 * FPHEAP_CHUNK));
    assert_int_equal(errno, ENOMEM);
    TEST_CHECK_LIVE(g.heap, 1);
    fpheap_free(g.heap, object);
    end(&g, 2 * FPHEAP_CHUNK);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_part_for_which_there_is_no_slot_stays),
        cmocka_unit_test(the_slots_end_where_the_table_does),
        cmocka_unit_test(
            a_part_whose_place_is_taken_when_it_is_refused_goes_at_the_end),
        cmocka_unit_test(pages_that_are_here_do_not_come_again),
        cmocka_unit_test(a_run_into_a_chunk_that_is_elsewhere_is_not_claimed),
        cmocka_unit_test(an_object_that_may_not_cross_moves),
        cmocka_unit_test(an_object_grows_no_further_than_the_provider_gives),
        cmocka_unit_test(a_run_is_found_where_there_is_one),
        cmocka_unit_test(a_run_crosses_from_a_group_to_one_that_came_before),
        cmocka_unit_test(what_is_free_across_a_border_is_looked_for),
        cmocka_unit_test(pages_that_are_given_at_a_chunks_ends_are_looked_for),
        cmocka_unit_test(chunks_are_neighbours_if_both_have_tables),
        cmocka_unit_test(nothing_crosses_the_windows_ends),
        cmocka_unit_test(a_walk_of_records_goes_on_with_the_next_chunks_first),
        cmocka_unit_test(
            a_border_to_tables_that_are_not_there_is_not_looked_at),
        cmocka_unit_test(a_sweep_skips_places_without_a_chunk),
        cmocka_unit_test(a_dry_node_has_of_others_what_is_there),
        cmocka_unit_test(a_node_without_memory_is_served_by_the_other),
        cmocka_unit_test(a_run_may_begin_in_the_windows_first_chunk),
        cmocka_unit_test(where_all_chunks_are_free_the_next_is_broken),
        cmocka_unit_test(a_run_at_the_windows_end_goes_no_further),
        cmocka_unit_test(free_pages_go_on_to_the_first_that_does_not_serve),
        cmocka_unit_test(a_run_begins_in_the_chunk_that_ended_the_one_before),
        cmocka_unit_test(a_run_with_a_page_of_another_node_is_given_back),
        cmocka_unit_test(
            a_chunk_that_is_free_as_a_whole_is_the_last_to_be_broken),
        cmocka_unit_test(a_run_goes_on_from_a_chunk_in_use),
        cmocka_unit_test(
            a_search_begins_where_the_last_one_of_the_length_ended),
        cmocka_unit_test(these_very_pages_are_claimed_or_none),
        cmocka_unit_test(regions_share_a_chunk),
        cmocka_unit_test(a_chunk_is_of_one_node),
        cmocka_unit_test(a_chunk_with_iovas_is_of_one_region),
        cmocka_unit_test(
            a_chunk_that_is_partly_of_other_memory_is_asked_no_hugepage_for),
        cmocka_unit_test(a_chunk_that_just_comes_or_leaves_is_not_shared),
        cmocka_unit_test(a_region_is_split_and_joined),
        cmocka_unit_test(
            what_is_left_of_a_region_is_shown_while_a_part_goes_back),
        cmocka_unit_test(
            a_part_that_is_refused_is_one_with_what_is_left_on_both_sides),
        cmocka_unit_test(a_region_between_two_others_is_one_with_both),
        cmocka_unit_test(a_neighbour_of_another_kind_is_not_joined),
        cmocka_unit_test(records_stay_until_the_pages_leave_and_serve_again),
        cmocka_unit_test(every_page_of_a_long_object_leads_to_its_record),
        cmocka_unit_test(short_blocks_in_pages_come_first_and_long_ones_later),
        cmocka_unit_test(a_record_fails_only_when_no_page_is_left),
        cmocka_unit_test(objects_have_all_pages_when_the_heap_cannot_grow),
        cmocka_unit_test(a_trim_decommits_nothing_that_is_in_use),
        cmocka_unit_test(a_trim_decommits_free_pages)
    };

    return cmocka_run_group_tests_name("pages", tests, NULL, NULL);
}
