/* page.c - a model of free pages: who claims, gives, brings and describes them
 * SPDX-License-Identifier: MIT OR Unlicense
 *
 * Shows edges F3 to F7, F9 to F11 and N2.  A page is free, or one thread's, who
 * sees all that the last one did to it, and where its chunk is.  Whoever finds
 * records, or what they cover, finds what these lead to.  Each group is listed
 * once, with its tables.  Bounds: two chunks or groups, three threads.
 */
#include "model.h"

#define CHUNKS 2
#define BASE   ((char *)(uintptr_t)(2 * FPHEAP_CHUNK))

static fpheap      heap;
static fph_word    free_pages[CHUNKS];
static fph_chunk   chunk[CHUNKS];
static fph_records records[3];
static uint16_t    map[2 * FPH_PAGES];
static uint32_t    groups[2], group_at[2];
static int         owned[2 * FPH_PAGES];   /* plain: 1 by a thread */
static int         is_open[2];             /* plain */

static void
own(size_t page, size_t n)
{
    for (; n > 0; page++, n--) {
        assert(!owned[page]);
        owned[page] = 1;
    }
}

static void
give(size_t page, size_t n)
{
    size_t i;

    for (i = 0; i < n; i++)
        owned[page + i] = 0;
    fph_pages_give(&state, page, n);
}

/* Claim a page of a chunk and give it back. */
static void
use(size_t number)
{
    size_t page = fph_chunk_take(&state, number, 1, 1);

    if (page == FPH_NO_PAGE)
        return;
    assert(fph_page_address(&state, page) == BASE + page * FPHEAP_PAGE);
    own(page, 1);
    give(page, 1);
}

/* The same with a run that crosses from chunk to chunk, or with what is free
 * in a chunk. */
static void
use_both(void)
{
    if (fph_pages_take(&state, FPH_PAGES - 1, 2)) {
        own(FPH_PAGES - 1, 2);
        give(FPH_PAGES - 1, 2);
    }
}

static void
use_all(size_t number)
{
    uint64_t free = fph_part_take(&state, number, FPH_ALL_PAGES);

    if (free == 0)
        return;
    own(number * FPH_PAGES + fph_lowest_bit(free), 1);
    give(number * FPH_PAGES + fph_lowest_bit(free), 1);
}

/* Bring a chunk. */
static void
come(size_t pages)
{
    static fpheap_region raw;

    fph_pages_come(&state, BASE, pages, &raw);
    fph_pages_open(&state, BASE, pages);
}

/* Make the first page of chunk 1 a slab of a new pool. */
static void
describe(void)
{
    FPH_STORE(&state.classes[FPH_SIZES].size, 16, RELAXED);
    fph_slab_make(&state, FPH_PAGES, FPH_SIZES);
}

/* Look what an address in it belongs to. */
static void
look(void)
{
    char *at   = BASE + FPHEAP_CHUNK + 24;
    char *base = (char *)fph_base_of(&state, at);

    assert(base == NULL || base == at - 8);
}

static void
ready(void)
{
    if (fph_chunk_ready(&heap, 1))
        assert(fph_chunk_records(&chunk[1])->chunk == 1);
}

static void
list(size_t group)
{
    assert(fph_group_list(&state, group * FPH_GROUP));
}

/* Find a group's tables, if it is listed. */
static void
search(size_t group)
{
    if (fph_is_open(&state, group * FPH_GROUP))
        assert(is_open[group]);
}

#if SCENE == 1                 /* a page is claimed and given back */
#  define FREE_0 1
#  define FREE_1 0
#  define A use(0)
#  define B use(0)
#elif SCENE == 2               /* in a run that crosses chunks, and without */
#  define FREE_0 ((uint64_t)1 << (FPH_PAGES - 1))
#  define FREE_1 1
#  define A use_both()
#  define B use(1)
#elif SCENE == 3               /* with all that is free */
#  define FREE_0 1
#  define FREE_1 0
#  define A use_all(0)
#  define B use(0)
#elif SCENE == 4               /* a new chunk's */
#  define A come(2)
#  define B use(0)
#elif SCENE == 5               /* groups are listed */
#  define A list(0)
#  define B list(1)
#  define C list(0)
#elif SCENE == 6               /* a slab begins, and somebody looks */
#  define FREE_0 1
#  define FREE_1 0
#  define A describe()
#  define B look()
#elif SCENE == 7               /* two make records for a chunk */
#  define FREE_0 1
#  define FREE_1 0
#  define A ready()
#  define B ready()
#elif SCENE == 8               /* a group's tables are there before it is */
#  define A is_open[0] = 1; list(0)
#  define B search(0)
#endif
#ifndef C
#  define C (void)0
#endif
static void *a(void *arg) { A; return arg; }
static void *b(void *arg) { B; return arg; }
static void *c(void *arg) { C; return arg; }

static void
begin(void)
{
    unsigned i;

    heap.state = &state;
    state.classes[FPH_SIZES].size = 32;
    state.classes[FPH_SIZES].count = 1;
    state.classes[FPH_SIZES].pages = 1;
    state.mask = CHUNKS * FPH_PAGES - 1;
    state.map = map;
    state.free = free_pages;
    state.chunks = chunk;
    state.groups = groups;
    state.group_at = group_at;
    state.groups_max = 2;
    state.meta[1] = (char *)records;
    for (i = 0; i < 2; i++) {
        records[i].link.self = 1u << FPH_UNIT_BITS
                             | i * (unsigned)(sizeof *records / FPH_LINE);
        fph_stack_push(&state.records.word, &records[i].link);
    }
#ifdef FREE_0
    group_at[0] = groups[0] = 1;
    state.groups_used = 1;
    chunk[0].base = BASE + 1;
    chunk[1].base = BASE + FPHEAP_CHUNK + 1;
    free_pages[0] = FREE_0;
    free_pages[1] = FREE_1;
#endif
    if (SCENE == 6)
        chunk[1].records = &records[2];
}

int
main(void)
{
    size_t i;

    begin();
    model_run(a, b, c);
#if SCENE < 4
    assert(free_pages[0] == FREE_0 && free_pages[1] == FREE_1);
#elif SCENE == 5
    assert(state.groups_used == 2 && groups[0] + groups[1] == 3);
    assert(groups[group_at[0] - 1] == 1 && groups[group_at[1] - 1] == 2);
#endif
    for (i = 0; i < sizeof owned / sizeof *owned; i++)
        assert(!owned[i]);
    return 0;
}
