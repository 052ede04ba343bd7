/* record.c - a model of what leads to records: blocks, chunks' records, groups
 * SPDX-License-Identifier: MIT OR Unlicense
 *
 * Shows edges F5 to F7, F9 to F11, N2, M1 and M2.  Whoever finds a record, or
 * what it covers, or that a group is listed, finds what these lead to.  A record
 * is cut once; a group is listed once.  Bounds: two records, groups or blocks,
 * three threads.
 */
#include "model.h"

#define BASE ((char *)(uintptr_t)(2 * FPHEAP_CHUNK))

static fpheap      heap;
static fph_word    free_pages[1];
static fph_chunk   chunk[1];
static fph_records records[3];
static uint16_t    map[FPH_PAGES];
static uint32_t    groups[2], group_at[2];
static int         is_open;            /* plain: a group's tables are */
static int         handed;             /* atomic: to another thread */
static struct { uint64_t owned[FPH_LINE / 8]; } block[4];

/* Two find that the chunk has no records. */
static void
ready(void)
{
    if (fph_chunk_ready(&heap, 0))
        assert(fph_chunk_records(&chunk[0])->chunk == 0);
}

/* A page is the first slab of a new pool, in whose place there was another pool
 * of larger objects.  Somebody asks for the start of an object. */
static void
carve(void)
{
    FPH_STORE(&state.classes[FPH_SIZES].size, 16, RELAXED);
    fph_slab_make(&state, 0, FPH_SIZES);
}

static void
look(void)
{
    char *base = (char *)fph_base_of(&state, BASE + 24);

    assert(base == NULL || base == BASE + 16);
}

/* A large object is handed to another thread, which frees it. */
static void
begin_large(void)
{
    size_t    page = fph_chunk_take(&state, 0, 1, 1);
    fph_slab *record;

    if (page == FPH_NO_PAGE)
        return;
    record = fph_record_begin(&state, page);
    record->base = BASE;
    fph_info_store(record, fph_info(FPH_LARGE, 0, 1));
    FPH_STORE(&handed, 1, RELEASE);
}

static void
end_large(void)
{
    fph_slab *record = fph_record_of(&state, BASE);
    uint64_t  info;

    if (!FPH_LOAD(&handed, ACQUIRE))
        return;
    info = fph_info_load(record);
    assert(info == fph_info(FPH_LARGE, 0, 1) && record->base == BASE);
    assert(fph_info_change(record, &info, 0));
    fph_large_end(&state, record, info);
}

/* Cut a record from a block, or from a new one. */
static void
cut(unsigned room)
{
    uint64_t full = fph_meta_block(&state);
    uint32_t ref  = fph_meta_cut(&state, FPH_LINE);

    if (ref == 0 && room != 0)
        ref = fph_meta_install(&state, full, (char *)&block[1],
                               room * FPH_LINE, FPH_LINE);
    if (ref != 0) {
        uint64_t *owned = (uint64_t *)fph_meta_at(&state, ref);

        assert(!*owned);
        *owned = 1;
    }
}

static void
list(size_t group)
{
    assert(fph_group_list(&state, group * FPH_GROUP));
}

static void
search(size_t group)
{
    if (fph_is_open(&state, group * FPH_GROUP))
        assert(is_open);
}

#if SCENE == 1                 /* two make records for a chunk */
#  define A ready()
#  define B ready()
#elif SCENE == 2               /* a slab begins, and somebody looks */
#  define A carve()
#  define B look()
#elif SCENE == 3               /* a large object ends, and another begins */
#  define A begin_large()
#  define B end_large()
#  define C begin_large()
#elif SCENE == 4               /* a block is full, and another comes */
#  define A cut(0)
#  define B cut(3)
#  define C cut(0)
#elif SCENE == 5               /* groups are listed */
#  define A list(0)
#  define B list(1)
#  define C list(0)
#elif SCENE == 6               /* a group's tables are there before it is */
#  define A is_open = 1; list(0)
#  define B search(0)
#elif SCENE == 7               /* also where another finishes its listing */
#  define A is_open = 1; list(1)
#  define B list(0)
#  define C search(1)
#endif
#include "threads.h"

static void
begin(void)
{
    unsigned i;

    heap.state = &state;
    state.classes[FPH_SIZES].size = 32;
    state.classes[FPH_SIZES].count = 1;
    state.classes[FPH_SIZES].pages = 1;
    state.mask = FPH_PAGES - 1;
    state.map = map;
    state.free = free_pages;
    state.chunks = chunk;
    state.groups = groups;
    state.group_at = group_at;
    state.groups_max = 2;
    state.meta[1] = (char *)records;
    state.meta[2] = (char *)block;
    state.meta_numbers = 3;
    state.meta_cursor.word = fph_meta_word(2, 1, 0);
    for (i = 0; i < 3; i++)
        records[i].link.self = 1u << FPH_UNIT_BITS
                             | i * (unsigned)(sizeof *records / FPH_LINE);
    fph_stack_push(&state.records.word, &records[0].link);
    fph_stack_push(&state.records.word, &records[1].link);
    records[0].chunk = records[1].chunk = 1;
    free_pages[0] = 1;
    chunk[0].base = BASE + 1;
    if (SCENE != 1)
        chunk[0].records = &records[2];
    if (SCENE < 5)
        state.groups_used = groups[0] = group_at[0] = 1;
}

int
main(void)
{
    begin();
    run_threads();
    if (SCENE == 5) {
        assert(state.groups_used == 2 && groups[0] + groups[1] == 3);
        assert(groups[group_at[0] - 1] == 1 && groups[group_at[1] - 1] == 2);
    }
    return 0;
}
