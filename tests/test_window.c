/* test_window.c - the window of addresses that the tables have places for
 *
 * It is as wide as the space that the process may have allows, the tables are
 * written where pages come, and regions collide in a narrow one or serve at both
 * sides of its end.
 */
#ifndef _GNU_SOURCE
#  define _GNU_SOURCE 1
#endif
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

static int note_getrlimit(int what, struct rlimit *limit);
static int note_mprotect(void *at, size_t bytes, int access);
static int note_munmap(void *at, size_t bytes);
static void *note_mmap(void *at, size_t bytes, int access, int flags, int file,
                       off_t offset);
#define getrlimit(what, limit) note_getrlimit((int)(what), limit)
#define mmap          note_mmap
#define mprotect      note_mprotect
#define munmap        note_munmap
#define FPHEAP_CHUNK_SHIFT 16
#define FPHEAP_MAX_NODES   2
#define FPHEAP_IMPLEMENTATION
#include "fpheap.h"
#undef getrlimit
#undef mmap
#undef mprotect
#undef munmap
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

/* Calls for access that are noted, and not done, or both; and what was unmapped
 * last. */
static struct {
    int      on, done;
    unsigned calls, fails;     /* the number of the one that fails */
    void    *ended;
    size_t   ended_bytes;
    char    *at[4];
    size_t   bytes[4];
    int      access[4];
} notes;

static int
note_mprotect(void *at, size_t bytes, int access)
{
    unsigned i = notes.calls;

    if (!notes.on)
        return mprotect(at, bytes, access);
    assert_true(i < TEST_COUNT(notes.at));
    notes.at[i] = (char *)at;
    notes.bytes[i] = bytes;
    notes.access[i] = access;
    if (++notes.calls == notes.fails)
        return -1;
    return notes.done ? mprotect(at, bytes, access) : 0;
}

static int
note_munmap(void *at, size_t bytes)
{
    notes.ended = at;
    notes.ended_bytes = bytes;
    return munmap(at, bytes);
}

static size_t map_most = SIZE_MAX; /* bytes that the system has in a row */

static void *
note_mmap(void *at, size_t bytes, int access, int flags, int file,
          off_t offset)
{
    return bytes > map_most ? MAP_FAILED
                            : mmap(at, bytes, access, flags, file, offset);
}

/* Whether a call was for these bytes, and what lies in the same pages of the
 * system. */
static void
expect_access(unsigned call, void *at, size_t bytes, int access)
{
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE) - 1;
    uintptr_t       from = (uintptr_t)at & ~page;

    assert_true(call < notes.calls);
    assert_ptr_equal(notes.at[call], from);
    assert_int_equal(notes.bytes[call],
                     (((uintptr_t)at + bytes + page) & ~page) - from);
    assert_int_equal(notes.access[call], access);
}

/* A state of which there are no tables. */
static fph_state *
state_of(size_t pages)
{
    static fph_state s;

    memset(&s, 0, sizeof s);
    s.mask = pages - 1;
    s.free = (fph_word *)((uintptr_t)1 << 24);
    s.chunks = (fph_chunk *)((uintptr_t)2 << 24);
    s.map = (uint16_t *)((uintptr_t)4 << 24);
    return &s;
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

/* Those of whole groups: of a page's own, of two and three that a region lies
 * in, of the last, and of all where it lies around the window's end. */
static void
the_tables_of_a_regions_groups_are_opened(void **state)
{
    enum { GROUP = FPH_GROUP * FPH_PAGES, LAST = 15 };
    static const struct {
        size_t page, pages, first, groups;
    } cases[] = { { 8 * GROUP, 1, 8, 1 }, { 9 * GROUP - 1, 1, 8, 1 },
                  { 9 * GROUP - 1, 2, 8, 2 }, { 7 * GROUP, GROUP, 7, 1 },
                  { 6 * GROUP + 5, 2 * GROUP, 6, 3 }, { 0, 1, 0, 1 },
                  { LAST * GROUP, GROUP, LAST, 1 },
                  { LAST * GROUP + 1, GROUP, 0, LAST + 1 } };
    fph_state *s = state_of((LAST + 1) * GROUP);
    size_t     i;

    (void)state;
    notes.on = 1;
    for (i = 0; i < TEST_COUNT(cases); i++) {
        size_t first = cases[i].first * FPH_GROUP;
        size_t n = cases[i].groups * FPH_GROUP;

        for (notes.fails = 4; notes.fails-- > 0; ) {
            notes.calls = 0;
            assert_int_equal(fph_tables_open(s, cases[i].page, cases[i].pages),
                             notes.fails == 0);
            assert_int_equal(notes.calls, notes.fails == 0 ? 3 : notes.fails);
        }
        expect_access(0, (void *)&s->free[first], n * sizeof s->free[0],
                      PROT_READ | PROT_WRITE);
        expect_access(1, &s->chunks[first], n * sizeof s->chunks[0],
                      PROT_READ | PROT_WRITE);
        expect_access(2, &s->map[first * FPH_PAGES],
                      n * FPH_PAGES * sizeof s->map[0],
                      PROT_READ | PROT_WRITE);
    }
    /* What processes share is mapped. */
    s->number = FPH_SHARED;
    notes.calls = 0;
    assert_int_equal(fph_tables_open(s, 0, 1), 1);
    assert_int_equal(notes.calls, 0);
    notes.on = 0;
}

/* A heap of one node, with so many bins that the words of free pages begin a
 * page of the system's. */
static fpheap
heap_of_whole_pages(void)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    fpheap       heap;

    memset(&heap, 0, sizeof heap);
    heap.nodes = heap.bins = 1;
    while (fph_layout_of(&heap, 128).free % page != 0)
        heap.bins++;
    return heap;
}

/* All in front of them, the map around the first region, and its first entry,
 * which a free of NULL looks at.  Without the second of these it goes on; if
 * another fails, nothing is left. */
static void
a_state_is_opened_as_far_as_its_free_pages(void **state)
{
    fpheap        heap = heap_of_whole_pages();
    fph_layout    it = fph_layout_of(&heap, 128);
    fpheap_region raw;

    (void)state;
    memset(&raw, 0, sizeof raw);
    address_space = 1 << 20;
    notes.on = notes.done = 1;
    for (notes.fails = 0; notes.fails < 4; notes.fails++) {
        fph_state *s;
        char      *base;

        notes.calls = 0;
        s = fph_state_apart(&heap, &raw);
        assert_int_equal(notes.calls, notes.fails == 1 ? 1 : 3);
        base = notes.at[0] - FPH_STATE_GUARD;
        expect_access(0, base + FPH_STATE_GUARD, it.free - FPH_STATE_GUARD,
                      PROT_READ | PROT_WRITE);
        if (notes.calls > 1) {
            expect_access(1, base + it.map, 128 * FPH_PAGES * sizeof *s->map,
                          PROT_READ);
            expect_access(2, base + it.map, sizeof *s->map,
                          PROT_READ | PROT_WRITE);
        }
        assert_int_equal(s != NULL, notes.fails % 2 == 0);
        if (s != NULL)
            fph_state_end(s);
        assert_ptr_equal(notes.ended, base);
        assert_int_equal(notes.ended_bytes, it.bytes);
        notes.ended = NULL;
    }
    notes.on = notes.done = 0;
    address_space = 0;
}

/* Where the system has no addresses for more. */
static void
no_window_has_fewer_than_128_chunks(void **state)
{
    fpheap        heap = heap_of_whole_pages();
    fpheap_region raw;
    size_t        chunks;

    (void)state;
    memset(&raw, 0, sizeof raw);
    for (chunks = 512; chunks >= 64; chunks /= 2) {
        fph_state *s;

        map_most = fph_layout_of(&heap, chunks).bytes;
        s = fph_state_apart(&heap, &raw);
        assert_int_equal(s != NULL, chunks >= 128);
        if (s == NULL)
            continue;
        assert_int_equal(s->mask + 1, chunks * FPH_PAGES);
        fph_state_end(s);
    }
    map_most = SIZE_MAX;
}

#if UINTPTR_MAX > UINT32_MAX
/* That is three pieces of addresses, or all that there are. */
static void
the_map_is_read_around_the_first_region(void **state)
{
    const size_t piece = (size_t)1 << (FPH_NEAR_SHIFT - FPHEAP_PAGE_SHIFT);
    size_t       all, at, first;
    unsigned     end;

    (void)state;
    notes.on = 1;
    notes.fails = 0;
    for (all = 1; all <= 8; all *= 2) {
        fph_state *s = state_of(all * piece);

        for (at = 0; at < all; at++) {
            for (end = 0; end < 2; end++) {
                notes.calls = 0;
                fph_map_show(s, (void *)(((at + end) * piece - end)
                                         << FPHEAP_PAGE_SHIFT));
                assert_int_equal(notes.calls, 1);
                first = at == 0 ? 0 : at - 1;
                if (first + 3 > all)
                    first = all < 3 ? 0 : all - 3;
                expect_access(0, &s->map[first * piece],
                              (all < 3 ? all : 3) * piece * sizeof s->map[0],
                              PROT_READ);
            }
        }
    }
    notes.on = 0;
}
#endif

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
    fph_pages_give(g.state, g.state->mask + 1 - 2 * FPH_PAGES, 2 * FPH_PAGES);
    /* One fills a side, and does not grow into the other. */
    object = (char *)fpheap_alloc(g.heap, 2 * FPHEAP_CHUNK);
    assert_ptr_equal(object, at_page(&g, before - 2 * FPH_PAGES));
    assert_ptr_equal(fpheap_base_of(g.heap, object + FPHEAP_CHUNK), object);
    assert_int_equal(fph_large_extend(g.state,
                                      fph_record_of(g.state, object),
                                      fph_record_of(g.state, object)->info, 2,
                                      2), 0);
    fph_pages_give(g.state, FPH_PAGES, 2 * FPH_PAGES);
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
        cmocka_unit_test(the_tables_of_a_regions_groups_are_opened),
        cmocka_unit_test(a_state_is_opened_as_far_as_its_free_pages),
        cmocka_unit_test(no_window_has_fewer_than_128_chunks),
#if UINTPTR_MAX > UINT32_MAX
        cmocka_unit_test(the_map_is_read_around_the_first_region),
#endif
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
