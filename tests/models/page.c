/* page.c - a model of free pages: who claims them, gives them and brings more
 * SPDX-License-Identifier: MIT OR Unlicense
 *
 * Shows edges F3 and F4, G3 and G4.  A page is free, or one thread's, who sees
 * all that the last one did to it, and where its chunk is.  Who brings pages
 * finds what chunk is there, and nothing of the one before.  Bounds: two chunks,
 * two pages that matter, three threads.
 */
#include "model.h"

#if SCENE == 1                 /* a page is claimed and given back */
#  define FREE_0 1
#  define A use(0)
#  define B use(0)
#  define C use(0)
#elif SCENE == 2               /* in a run that crosses chunks, and without */
#  define FREE_0 ((uint64_t)1 << (FPH_PAGES - 1))
#  define FREE_1 1
#  define A use_both()
#  define B use(1)
#elif SCENE == 3               /* with all that is free */
#  define FREE_0 1
#  define A use_all(0)
#  define B use(0)
#elif SCENE == 4               /* pages of one chunk come, one after the other */
#  define FREE_0 0
#  define A come(0, 2)
#  define B come(2, 1)
#  define C use(0)
#elif SCENE == 5               /* a chunk goes, and comes back */
#  define FREE_0 2
#  define A leave()
#  define B come(0, 2)
#  define C use(0)
#elif SCENE == 6               /* another comes, with as many pages */
#  define FREE_0 2
#  define A leave()
#  define B come(2 * FPH_PAGES + 1, 1)
#  define C come(2, 1)
#elif SCENE == 7               /* a page comes back, and a hugepage */
#  define FREE_0 FPH_ALL_PAGES
#  define A leave()
#  define B came = come(1, 1); fph_chunk_huge(&heap, 0, FPHEAP_HUGE_NOW)
#endif
#ifndef FREE_1
#  define FREE_1 0
#endif
#define BASE ((char *)(uintptr_t)(2 * FPHEAP_CHUNK))

static fpheap        heap;
static fpheap_region raw;
static fph_word      free_pages[2];
static fph_chunk     chunk[2];
static fph_records   records;
static uint32_t      groups[1], group_at[1];
static int           owned[2 * FPH_PAGES]; /* plain: 1 by a thread */
static int           came;                 /* plain: 1: a page came back */

static void
own(size_t page)
{
    assert(!owned[page]);
    owned[page] = 1;
}

/* Claim a page of a chunk and give it back. */
static void
use(size_t number)
{
    size_t page = fph_chunk_take(&state, number, 1, 1);

    if (page == FPH_NO_PAGE)
        return;
    assert(fph_page_address(&state, page) == BASE + page * FPHEAP_PAGE);
    own(page);
    owned[page] = 0;
    fph_pages_give(&state, page, 1);
}

/* The same with a run that crosses from chunk to chunk. */
static void
use_both(void)
{
    size_t page = FPH_PAGES - 1;

    if (!fph_pages_take(&state, page, 2))
        return;
    own(page);
    own(page + 1);
    owned[page] = owned[page + 1] = 0;
    fph_pages_give(&state, page, 2);
}

/* The same with what is free in a chunk. */
static void
use_all(size_t number)
{
    uint64_t free = fph_part_take(&state, number, FPH_ALL_PAGES);
    size_t   page;

    if (free == 0)
        return;
    page = number * FPH_PAGES + fph_lowest_bit(free);
    own(page);
    owned[page] = 0;
    fph_part_give(&state, number, free);
}

/* Bring pages, but for the window's first.  Returns 0: a chunk is in their way. */
static int
come(size_t page, size_t pages)
{
    char *base = BASE + page * FPHEAP_PAGE;

    if (fph_pages_come(&state, base, pages, &raw) != 0) {
        assert(SCENE > 4);
        return 0;
    }
    assert(SCENE > 5 || fph_chunk_records(&chunk[0]) == NULL);
    assert(fph_chunk_of(&state, base) == &chunk[0]);
    fph_pages_open(&state, base, pages);
    return 1;
}

/* The page in the chunk leaves if it is free. */
static void
leave(void)
{
    if (fph_pages_take(&state, 1, 1))
        fph_pages_leave(&state, BASE + FPHEAP_PAGE, 1);
}

static int
huge(void *self, void *base, size_t bytes, fpheap_huge what)
{
    (void)self, (void)base, (void)bytes, (void)what;
    return 1;
}

#include "threads.h"

int
main(void)
{
    size_t i;

    state.mask = 2 * FPH_PAGES - 1;
    state.free = free_pages;
    state.chunks = chunk;
    state.groups = groups;
    state.group_at = group_at;
    state.groups_max = 1;
    if (SCENE != 4) {
        state.groups_used = groups[0] = group_at[0] = 1;
        chunk[0].base = BASE + 1;
        chunk[1].base = BASE + FPHEAP_CHUNK + 1;
        free_pages[0] = FREE_0;
        free_pages[1] = FREE_1;
    }
    if (SCENE > 4) {
        chunk[0].present = FREE_0;
        chunk[0].records = SCENE == 5 ? &records : NULL;
        chunk[0].plain = 1;
    }
    raw.backing = FPHEAP_BACKING_PAGES;
    heap.state = &state;
    heap.provider.huge = huge;
    run_threads();
    if (SCENE < 4)
        assert(free_pages[0] == FREE_0 && free_pages[1] == FREE_1);
    assert(!came || chunk[0].huge);
    for (i = 0; i < 2 * FPH_PAGES; i++)
        assert(!owned[i]);
    return 0;
}
