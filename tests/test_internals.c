/* test_internals.c - parts of the heap by themselves
 *
 * Small functions for all that they may be asked, against a plain version of
 * them; numbers at both sides of each bound; waits, with a clock and a
 * scheduler of the test's own; what a magazine, a page or a charge is after one
 * step.
 */
#ifndef _GNU_SOURCE
#  define _GNU_SOURCE 1
#endif
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>

static void *note_mmap(void *at, size_t bytes, int access, int flags, int file,
                       off_t offset);
static int note_munmap(void *at, size_t bytes);
static int note_madvise(void *at, size_t bytes, int advice);
static int note_open(const char *path, int flags);
static int note_prctl(int what);
static void note_store(const volatile void *word);
static int note_clock(clockid_t id, struct timespec *now);
static int note_yield(void);
#define clock_gettime note_clock
#define sched_yield   note_yield
#define mmap          note_mmap
#define munmap        note_munmap
#define __atomic_store_n(p, v, order) \
    (note_store(p), __atomic_store_n(p, v, order))
#define madvise       note_madvise
#define open          note_open
#define prctl(what, a, b, c, d) note_prctl(what)
#define FPHEAP_CHUNK_SHIFT    16
#define FPHEAP_GROWTH_WAIT_MS 10
#define FPHEAP_MAX_NODES      2
#define FPHEAP_MAX_THREADS    61   /* that do not fill the state's last line */
#define FPHEAP_IMPLEMENTATION
#include "fpheap.h"
#undef clock_gettime
#undef sched_yield
#undef mmap
#undef munmap
#undef madvise
#undef open
#undef prctl
#include "test_util.h"

#include <pthread.h>

#define WAIT_NS 10000000u      /* FPHEAP_GROWTH_WAIT_MS */
#define STEP_NS 1000000u       /* that each yield takes */

static test_provider provider, other_provider;

static unsigned destructed;    /* objects */

/* --- time ----------------------------------------------------------------- */

static uint64_t clock_ns = 5000000123u;
static unsigned yields;
static void   (*at_yield)(void *arg);
static void    *at_yield_arg;

static int
note_clock(clockid_t id, struct timespec *now)
{
    (void)id;
    now->tv_sec = (time_t)(clock_ns / 1000000000u);
    now->tv_nsec = (long)(clock_ns % 1000000000u);
    return 0;
}

static int
note_yield(void)
{
    clock_ns += STEP_NS;
    yields++;
    if (at_yield != NULL)
        at_yield(at_yield_arg);
    return 0;
}

/* Count yields from here on, and do something at each. */
static void
begin_waiting(void (*what)(void *arg), void *arg)
{
    yields = 0;
    at_yield = what;
    at_yield_arg = arg;
}

/* How many there were. */
static unsigned
waited(void)
{
    at_yield = NULL;
    return yields;
}

static void
set_to_zero(void *word)
{
    *(fph_word *)word = 0;
}

static void
a_deadline_is_the_time_and_the_wait(void **state)
{
    (void)state;
    clock_ns = 7000000009u;
    assert_int_equal(fph_now_ns(), 7000000009u);
    assert_int_equal(fph_deadline(), 7000000009u + WAIT_NS);
}

/* In front of the next store to this word. */
static const volatile void *watched;
static void (*at_store)(void);

static void
note_store(const volatile void *word)
{
    if (word != watched)
        return;
    watched = NULL;
    at_store();
}

/* --- words and bits ------------------------------------------------------- */

/* Whether bits first .. first + n - 1 are set. */
static int
all_set(uint64_t word, unsigned first, unsigned n)
{
    unsigned i;

    for (i = first; i < first + n; i++)
        if (i >= 64 || !(word >> i & 1))
            return 0;
    return 1;
}

static void
runs_of_pages_are_found_as_by_looking_at_each(void **state)
{
    test_random random = test_random_of(5);
    unsigned    round, pages, align, first, head, tail;

    (void)state;
    for (round = 0; round < 300; round++) {
        uint64_t free = test_next(&random) & FPH_ALL_PAGES;

        free |= round % 3 == 0 ? test_next(&random) & FPH_ALL_PAGES : 0;
        free |= round % 7 == 0 ? FPH_ALL_PAGES : 0;
        free &= round % 11 == 0 ? 0 : FPH_ALL_PAGES;
        for (pages = 1; pages <= FPH_PAGES; pages++) {
            for (align = 1; align <= FPH_PAGES; align *= 2) {
                for (first = 0; first < FPH_PAGES
                     && !all_set(free, first, pages); first += align)
                    ;
                assert_int_equal(fph_run_find(free, pages, align),
                                 first < FPH_PAGES ? first : FPH_PAGES);
            }
        }
        for (head = 0; head < FPH_PAGES && (free >> head & 1); head++)
            ;
        for (tail = 0; tail < FPH_PAGES
             && (free >> (FPH_PAGES - 1 - tail) & 1); tail++)
            ;
        assert_int_equal(fph_run_head(free), head);
        assert_int_equal(fph_run_tail(free), tail);
    }
}

/* The last is that of all that are longer than a chunk. */
static void
a_length_is_that_of_all_up_to_a_power_of_two(void **state)
{
    unsigned pages, k;

    (void)state;
    for (pages = 1; pages <= FPH_PAGES; pages++) {
        for (k = 0; 1u << k < pages; k++)
            ;
        assert_int_equal(fph_length(pages), k);
    }
    assert_int_equal(fph_length(FPH_PAGES + 1), FPH_LENGTHS - 1);
    assert_int_equal(fph_length((size_t)1 << 40), FPH_LENGTHS - 1);
    assert_int_equal(fph_length(FPH_PAGES), FPH_LENGTHS - 2);
}

static void
a_mask_has_the_bits_of_its_pages_and_objects(void **state)
{
    unsigned first, n, w, i;

    (void)state;
    for (first = 0; first < FPH_PAGES; first++) {
        for (n = 1; first + n <= FPH_PAGES; n++) {
            uint64_t mask = fph_page_mask(first, n);

            for (i = 0; i < 64; i++)
                assert_int_equal(mask >> i & 1, i >= first && i < first + n);
        }
    }
    for (n = 1; n < 300; n++) {
        for (w = 0; w * 64 < n; w++) {
            uint64_t mask = fph_slab_mask(n, w);

            for (i = 0; i < 64; i++)
                assert_int_equal(mask >> i & 1, w * 64 + i < n);
        }
    }
}

static void
the_highest_bits_of_a_word_are_taken_as_many_as_asked(void **state)
{
    test_random random = test_random_of(6);
    unsigned    round, n, i;

    (void)state;
    for (round = 0; round < 200; round++) {
        uint64_t word = test_next(&random) & test_next(&random);

        word = round == 0 ? 0 : round == 1 ? ~(uint64_t)0 : word;
        for (n = 0; n < 70; n++) {
            uint64_t some = fph_some_bits(word, n);
            unsigned all = fph_popcount(word);

            assert_int_equal(some & ~word, 0);
            assert_int_equal(fph_popcount(some), n < all ? n : all);
            if (some != 0)
                for (i = fph_lowest_bit(some); i < 64; i++)
                    assert_int_equal(some >> i & 1, word >> i & 1);
        }
    }
}

/* The highest first; a word in which all are set goes another way. */
static void
each_bit_of_a_word_is_a_pointer(void **state)
{
    static const uint64_t words[] = { 0, 1, ~(uint64_t)0, ~(uint64_t)1,
                                      ~(uint64_t)0 >> 1, ~(uint64_t)2,
                                      (uint64_t)1 << 63, 0x8000000180000001 };
    fph_slab slab;
    void    *out[65];
    unsigned i, bit, w;

    (void)state;
    memset(&slab, 0, sizeof slab);
    slab.base = (char *)4096;
    slab.size = 48;
    for (i = 0; i < TEST_COUNT(words); i++) {
        for (w = 0; w < 2; w++) {
            void **end = fph_slab_pointers(&slab, w, words[i], out);
            void **at = out;

            for (bit = 64; bit-- > 0;)
                if (words[i] >> bit & 1)
                    assert_ptr_equal(*at++, slab.base + (w * 64 + bit) * 48);
            assert_ptr_equal(at, end);
        }
    }
}

/* It comes again after 2^32 changes of its stack and no sooner. */
static void
a_tag_goes_through_all_numbers(void **state)
{
    uint64_t head = (uint64_t)7 << 32 | 99;

    (void)state;
    assert_true(fph_stack_next(head, 5) == ((uint64_t)8 << 32 | 5));
    head = (uint64_t)UINT32_MAX << 32 | 99;
    assert_true(fph_stack_next(head, 5) == 5);
}

static void
a_heap_is_quiet_when_no_move_is_open(void **state)
{
    fpheap    *heap = test_heap_over(&provider);
    fph_state *s = heap->state;
    uint32_t   mark = fph_moves_mark(s);

    (void)state;
    assert_true(fph_moves_quiet(s));
    fph_moves_begin(s);
    assert_int_equal(fph_this.open_moves[s->number], 1);
    assert_false(fph_moves_quiet(s));
    assert_false(fph_moves_since(s, mark));
    fph_moves_end(s);
    assert_int_equal(fph_this.open_moves[s->number], 0);
    assert_true(fph_moves_quiet(s));
    assert_false(fph_moves_since(s, mark));
    s->moves_begun++;          /* another thread's */
    assert_false(fph_moves_quiet(s));
    assert_true(fph_moves_since(s, mark));
    assert_true(fph_moves_since(s, fph_moves_mark(s)));
    s->moves_ended++;
    assert_true(fph_moves_quiet(s));
    assert_true(fph_moves_since(s, mark));
    assert_false(fph_moves_since(s, fph_moves_mark(s)));
    s->moves_ended++;          /* one from before a fork */
    assert_true(fph_moves_quiet(s));
    s->moves_ended--;
    TEST_DESTROY_OVER(heap, &provider);
}

/* --- records -------------------------------------------------------------- */

static void
a_record_takes_whole_lines_and_a_block_is_used_to_its_end(void **state)
{
    fpheap    *heap = test_heap_over(&provider);
    fph_state *s = heap->state;
    uint64_t   begun, end = (FPHEAP_PAGE - FPH_GUARDS) / FPH_LINE;
    uint32_t   first, ref;
    int        error;

    (void)state;
    assert_int_equal(fph_meta_units(1), 1);
    assert_int_equal(fph_meta_units(64), 1);
    assert_int_equal(fph_meta_units(65), 2);
    assert_int_equal(fph_meta_cut(s, 1), 0);       /* there is no block yet */
    begun = s->moves_begun;
    first = fph_meta_get(heap, 0, 1, &error);
    assert_int_equal(first, (uint32_t)1 << FPH_UNIT_BITS);
    /* A block is got in a move, which ends. */
    assert_true(s->moves_begun > begun && s->moves_ended == s->moves_begun);
    assert_int_equal(fph_this.open_moves[heap->state->number], 0);
    assert_int_equal(test_meta_pages(heap), 1);
    assert_int_equal(s->meta_numbers, 2);
    s->meta_cursor.word += end - 4;
    assert_int_equal(fph_meta_cut(s, 4 * FPH_LINE), 0);
    ref = fph_meta_cut(s, 2 * FPH_LINE);
    assert_int_equal(ref, first + end - 3);
    assert_ptr_equal(fph_meta_at(s, ref),
                     (char *)fph_meta_at(s, first) + FPHEAP_PAGE
                     - FPH_GUARDS - 3 * FPH_LINE);
    /* It begins and ends with unused bytes. */
    assert_int_equal(((uintptr_t)fph_meta_at(s, first) - FPH_GUARD)
                     % FPHEAP_PAGE, 0);
    assert_int_equal(fph_meta_cut(s, 1), first + end - 1);
    assert_int_equal(fph_meta_cut(s, 1), 0);
    assert_int_equal(fph_meta_get(heap, 0, 1, &error), 2 * first);
    assert_int_equal(s->meta_numbers, 3);
    TEST_DESTROY_OVER(heap, &provider);
}

/* As a cache is with many nodes and pools. */
static void
a_record_may_be_longer_than_a_chunk(void **state)
{
    fpheap        *heap = test_heap_over(&provider);
    fph_state     *s = heap->state;
    size_t         bytes = FPHEAP_CHUNK + 3 * FPHEAP_PAGE;
    unsigned char *at[40];
    unsigned       i;
    int            error;

    (void)state;
    for (i = 0; i < TEST_COUNT(at); i++) {
        size_t   n = i % 8 == 1 ? bytes : 640;
        uint32_t ref = fph_meta_get(heap, 0, n, &error);

        assert_int_not_equal(ref, 0);
        at[i] = (unsigned char *)fph_meta_at(s, ref);
        memset(at[i], (int)i + 1, n);
    }
    for (i = 0; i < TEST_COUNT(at); i++)
        assert_true(test_all_bytes(at[i], i % 8 == 1 ? bytes : 640,
                                   (unsigned char)(i + 1)));
    TEST_DESTROY_OVER(heap, &provider);
}

/* Each as long as what it is for, on lines of its own, none over another. */
static void
the_tables_lie_one_behind_the_other(void **state)
{
    fpheap *heap = test_heap_over(&provider);
    size_t  chunks;

    (void)state;
    for (chunks = 1; chunks < 300; chunks++) {
        fph_layout   it = fph_layout_of(heap, chunks);
        const size_t at[] = { 0, FPH_GUARD, it.depots, it.empty, it.region,
                              it.group, it.group_at, it.free, it.chunk, it.map,
                              it.bytes - FPH_GUARD_END };
        const size_t bytes[] = {
            FPH_GUARD, sizeof(fph_state), heap->bins * sizeof(fph_depot),
            heap->nodes * sizeof(fph_line), it.regions * sizeof(fph_region),
            it.groups * sizeof(uint32_t), it.groups * sizeof(uint32_t),
            chunks * sizeof(fph_word), chunks * sizeof(fph_chunk),
            chunks * FPH_PAGES * sizeof(uint16_t)
        };
        size_t       i;

        for (i = 0; i < TEST_COUNT(bytes); i++) {
            assert_int_equal(at[i] % FPH_LINE, 0);
            assert_true(at[i] + bytes[i] <= at[i + 1]);
            assert_true(at[i] + bytes[i] + FPH_LINE > at[i + 1]);
        }
        assert_int_equal(it.groups, (chunks + 63) / 64);
    }
    TEST_DESTROY_OVER(heap, &provider);
}

/* --- regions -------------------------------------------------------------- */

static void
regions_may_touch_and_not_overlap(void **state)
{
    fpheap    *heap = test_heap_over(&provider);
    fph_state *s = heap->state;
    char      *base = (char *)s->region[0].raw.base;
    size_t     pages = s->region[0].raw.bytes / FPHEAP_PAGE;
    char      *end = base + pages * FPHEAP_PAGE;
    unsigned   one, n;

    (void)state;
    for (one = 0; one < 2; one++) {
        for (n = 1; n < 3 * FPH_PAGES; n += 5) {
            assert_int_equal(fph_overlaps(s, base - n * FPHEAP_PAGE, n + one),
                             one);
            assert_int_equal(fph_overlaps(s, end - one * FPHEAP_PAGE, n), one);
        }
        assert_int_equal(fph_overlaps(s, base + one * FPHEAP_PAGE, 1), 1);
    }
    TEST_DESTROY_OVER(heap, &provider);
}

static void
bytes_are_charged_up_to_the_limit_and_no_further(void **state)
{
    fpheap    *heap = test_heap_over(&provider);
    fph_state *s = heap->state;
    uint64_t   had = test_charged(heap);

    (void)state;
    fpheap_set_limit(heap, had + 1000);
    assert_int_equal(fph_charge(s, 1001), 0);
    assert_true(test_charged(heap) == had);
    assert_int_equal(fph_charge(s, 1000), 1);
    assert_true(test_charged(heap) == had + 1000);
    assert_int_equal(fph_charge(s, 1), 0);
    assert_int_equal(fph_charge(s, 0), 1);
    assert_int_equal(fph_recharge(s, 1000, 1000), 1);
    assert_true(test_charged(heap) == had + 1000);
    assert_int_equal(fph_recharge(s, 1000, 1001), 0);
    assert_true(test_charged(heap) == had + 1000);
    assert_int_equal(fph_recharge(s, 1000, 400), 1);
    assert_true(test_charged(heap) == had + 400);
    assert_int_equal(fph_recharge(s, 400, 900), 1);
    assert_true(test_charged(heap) == had + 900);
    fpheap_set_limit(heap, had);           /* less than it has */
    assert_int_equal(fph_charge(s, 0), 0);
    fpheap_set_limit(heap, 0);
    assert_int_equal(fph_charge(s, SIZE_MAX / 4), 1);
    fph_uncharge(s, SIZE_MAX / 4 + 900);
    assert_true(test_charged(heap) == had);
    assert_int_equal(fph_charge(NULL, SIZE_MAX), 1);
    TEST_DESTROY_OVER(heap, &provider);
}

/* What the provider was asked for, in chunks. */
static size_t   asked[32];
static unsigned asks;
static int      answer;

static int
note_get(void *ctx, size_t bytes, size_t align, int node, fpheap_region *region)
{
    (void)ctx, (void)align, (void)node, (void)region;
    assert_true(asks < TEST_COUNT(asked));
    assert_int_equal(bytes % FPHEAP_CHUNK, 0);
    asked[asks++] = bytes / FPHEAP_CHUNK;
    return answer;
}

static int
note_put(void *ctx, const fpheap_region *region)
{
    (void)ctx, (void)region;
    return 0;
}

/* Let the provider answer so until listen_no_more. */
static fpheap_provider
listen(fpheap *heap, int rc)
{
    fpheap_provider usual = heap->provider;

    heap->provider.get = note_get;
    heap->provider.put = note_put;
    asks = 0;
    answer = rc;
    return usual;
}

static void
a_provider_that_refuses_is_asked_for_half_and_half_again(void **state)
{
    static const size_t halves[] = { 16, 8, 4, 3 };
    static const size_t aligned[] = { 7, 3, 4 };
    fpheap         *heap = test_heap_over(&provider);
    fpheap_provider usual = listen(heap, -ENOMEM);
    fpheap_region   raw;

    (void)state;
    assert_int_equal(fph_obtain(heap, 0, fph_need_of(heap, 3 * FPH_PAGES, 1),
                                16, &raw), -ENOMEM);
    assert_int_equal(asks, 4);
    assert_memory_equal(asked, halves, sizeof halves);
    asks = 0;
    assert_int_equal(fph_obtain(heap, 0, fph_need_of(heap, 3 * FPH_PAGES, 1),
                                3, &raw), -ENOMEM);
    assert_int_equal(asks, 1);
    assert_int_equal(asked[0], 3);
    /* It says that it gave memory, and where is not to be used: with room to
     * align it is asked for in the end. */
    listen(heap, 0);
    heap->state->growth_cap[0] = 0;
    assert_int_equal(fph_obtain(heap, 0, fph_need_of(heap, 3 * FPH_PAGES, 1),
                                7, &raw), -EFAULT);
    assert_int_equal(asks, 3);
    assert_memory_equal(asked, aligned, sizeof aligned);
    heap->provider = usual;
    TEST_DESTROY_OVER(heap, &provider);
}

/* Bytes that a provider does not write are none that it gave. */
static void
a_provider_that_writes_no_region_gave_none(void **state)
{
    fpheap         *heap = test_heap_over(&provider);
    fpheap_provider usual = listen(heap, 0);
    uint64_t        charged = test_charged(heap);
    char           *map = test_map(4 * FPHEAP_CHUNK);
    fpheap_region   raw;

    (void)state;
    memset(&raw, 0, sizeof raw);
    raw.base = map;
    raw.bytes = 4 * FPHEAP_CHUNK;
    assert_int_equal(fph_obtain_bytes(heap, 0, fph_need_of(heap, 1, 1), 1,
                                      &raw), -EFAULT);
    assert_true(test_charged(heap) == charged);
    heap->provider = usual;
    assert_int_equal(test_unmap(map, 4 * FPHEAP_CHUNK), 0);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
no_more_chunks_are_asked_for_than_there_can_be(void **state)
{
    fpheap         *heap = test_heap_over(&provider);
    fpheap_provider usual = listen(heap, -ENOMEM);
    fph_need        need = fph_need_of(heap, 1, 1);
    fpheap_region   raw;
    size_t          most = SIZE_MAX / 2 / FPHEAP_CHUNK;

    (void)state;
    assert_int_equal(fph_obtain_bytes(heap, 0, need, most + 1, &raw), -ENOMEM);
    assert_int_equal(asks, 0);
    assert_int_equal(fph_obtain_bytes(heap, 0, need, SIZE_MAX, &raw), -ENOMEM);
    assert_int_equal(asks, 0);
    assert_int_equal(fph_obtain_bytes(heap, 0, need, most / 2, &raw), -ENOMEM);
    assert_int_equal(asks, 1);
    assert_int_equal(asked[0], most / 2);
    heap->provider = usual;
    TEST_DESTROY_OVER(heap, &provider);
}

/* Before the heap grows, and after it could not; but most of the blocks that the
 * table has room for are long. */
static void
blocks_of_records_are_short_while_memory_is(void **state)
{
    fpheap    *heap = test_heap_over(&provider);
    fph_state *s = heap->state;
    uint64_t   numbers;

    (void)state;
    assert_true(fph_meta_is_tight(s));
    assert_int_equal(fph_grow(heap, 0, fph_need_of(heap, 1, 1), 1, UINT64_MAX),
                     0);
    assert_false(fph_meta_is_tight(s));
    provider.fail_from = provider.gets + 1;
    provider.fail_to = UINT_MAX;
    assert_null(fpheap_alloc(heap, 64 * FPHEAP_CHUNK));
    assert_true(fph_meta_is_tight(s));
    numbers = s->meta_numbers;
    s->meta_numbers = FPH_TABLE_MAX / 32 - 1;
    assert_true(fph_meta_is_tight(s));
    s->meta_numbers = FPH_TABLE_MAX / 32;
    assert_false(fph_meta_is_tight(s));
    s->meta_numbers = numbers;
    provider.fail_from = 0;
    assert_int_equal(fph_grow(heap, 0, fph_need_of(heap, 1, 1), 1, UINT64_MAX),
                     0);
    assert_false(fph_meta_is_tight(s));
    TEST_DESTROY_OVER(heap, &provider);
}

/* The page that the last record ends in stays, with unused bytes behind it. */
static void
pages_behind_the_last_record_are_spare(void **state)
{
    const size_t end = (8 * FPHEAP_PAGE - FPH_GUARDS) / FPH_LINE;
    size_t       unit, kept;

    (void)state;
    for (unit = 1; unit <= end; unit++) {
        size_t pages = fph_meta_spare(fph_meta_word(3, end, unit), &kept);
        size_t used = unit * FPH_LINE + FPH_GUARDS;

        assert_int_equal(pages + kept, 8);
        assert_true(kept * FPHEAP_PAGE >= used);
        assert_true(kept * FPHEAP_PAGE < used + FPHEAP_PAGE);
    }
    assert_int_equal(fph_meta_spare(0, &kept), 0);
    /* A block that is longer than references can say. */
    assert_int_equal(fph_meta_spare(fph_meta_word(3, FPHEAP_CHUNK / FPH_LINE,
                                                  1), &kept), 0);
}

/* From the page's alignment on. */
static void
a_region_that_is_not_aligned_serves(void **state)
{
    static const size_t offsets[] = { 0, 1, FPHEAP_PAGE - 1, FPHEAP_PAGE,
                                      FPHEAP_CHUNK / 2, FPHEAP_CHUNK - 1 };
    fpheap_config config;
    fpheap_stats  stats;
    unsigned      i;

    (void)state;
    for (i = 0; i < TEST_COUNT(offsets); i++) {
        fpheap *heap;

        memset(&config, 0, sizeof config);
        test_provider_init(&provider);
        provider.offset = offsets[i];
        config.provider = &provider.calls;
        config.limit = 2 * FPHEAP_CHUNK;
        heap = fpheap_create("unaligned", &config);
        assert_non_null(heap);
        assert_int_equal(provider.gets, 1);
        fpheap_stats_get(heap, &stats);
        assert_int_equal(stats.page_free_bytes,
                         2 * FPHEAP_CHUNK
                         - (offsets[i] % FPHEAP_PAGE != 0) * FPHEAP_PAGE);
        TEST_DESTROY_OVER(heap, &provider);
    }
}

/* --- growth, with others -------------------------------------------------- */

static void
take_time(test_provider *p)
{
    (void)p;
    clock_ns += 777;
}

static void
the_longest_growth_is_timed(void **state)
{
    fpheap      *heap = test_heap_over(&provider);
    fpheap_stats stats;
    void        *large;

    (void)state;
    provider.inside_get = take_time;
    large = fpheap_alloc(heap, 10 * FPHEAP_CHUNK);
    assert_non_null(large);
    fpheap_stats_get(heap, &stats);
    assert_int_equal(stats.growths, 2);
    assert_int_equal(stats.growth_max_ns, 777);
    provider.inside_get = NULL;
    fpheap_free(heap, fpheap_alloc(heap, 50 * FPHEAP_CHUNK));
    fpheap_stats_get(heap, &stats);
    assert_int_equal(stats.growths, 3);
    assert_int_equal(stats.growth_max_ns, 777);
    fpheap_free(heap, large);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
who_needs_memory_waits_for_the_one_that_grows(void **state)
{
    fpheap    *heap = test_heap_over(&provider);
    fph_state *s = heap->state;
    uint64_t   ticket = 5, next;

    (void)state;
    next = s->growth_tickets + 1;
    assert_int_equal(fph_growth_enter(heap, &ticket), 1);
    assert_true(ticket == next && s->growing == ticket);
    fph_growth_leave(s, ticket);
    assert_true(s->growing == 0);
    /* The other one is done. */
    s->growing = 99;
    begin_waiting(set_to_zero, (void *)&s->growing);
    assert_int_equal(fph_growth_enter(heap, &ticket), 0);
    assert_int_equal(waited(), 1);
    assert_true(s->growing == 0);
    /* It is not, in time. */
    s->growing = 99;
    fph_wait_begin();
    begin_waiting(NULL, NULL);
    assert_int_equal(fph_growth_enter(heap, &ticket), 1);
    assert_int_equal(waited(), WAIT_NS / STEP_NS);
    assert_true(s->growing == ticket && ticket == next + 2);
    fph_growth_leave(s, 99);
    assert_true(s->growing == ticket);
    fph_growth_leave(s, ticket);
    assert_true(s->growing == 0);
    TEST_DESTROY_OVER(heap, &provider);
}

/* As if this thread were in one of these, of a heap; or with 0 in none. */
static void
be_in(unsigned what, const fpheap *heap)
{
    static fph_frame frame;

    frame.what = what;
    frame.heap = heap;
    fph_this.frames = what == 0 ? NULL : &frame;
}

static void
what_a_thread_is_in_is_of_its_heap_and_its_pool(void **state)
{
    fpheap      heaps[2];
    fpheap_pool pools[2];
    fph_frame   outer = {FPH_IN_PASS, &heaps[0], NULL, NULL};
    fph_frame   inner = {FPH_IN_POOL, &heaps[1], &pools[1], &outer};

    (void)state;
    assert_int_equal(fph_is_in(FPH_IN_PASS, &heaps[0], NULL), 0);
    fph_this.frames = &inner;
    assert_int_equal(fph_is_in(FPH_IN_PASS, &heaps[0], NULL), 1);
    assert_int_equal(fph_is_in(FPH_IN_PASS, &heaps[1], NULL), 0);
    assert_int_equal(fph_is_in(FPH_IN_POOL, &heaps[0], NULL), 0);
    assert_int_equal(fph_is_in(FPH_IN_POOL, &heaps[1], NULL), 1);
    assert_int_equal(fph_is_in(FPH_IN_POOL, &heaps[1], &pools[0]), 0);
    assert_int_equal(fph_is_in(FPH_IN_POOL, &heaps[1], &pools[1]), 1);
    assert_int_equal(fph_is_in(FPH_IN_CALLBACK, &heaps[0], NULL), 0);
    assert_int_equal(fph_is_in(FPH_IN_CALLBACK, &heaps[1], NULL), 1);
    fph_this.frames = NULL;
}

static int
end_the_heap_from_its_node(void *heap_)
{
    fpheap **heap = (fpheap **)heap_;

    assert_int_equal(fpheap_destroy_forced(*heap), -EBUSY);
    return 0;
}

static void
thread_node_does_not_end_its_heap(void **state)
{
    fpheap_config config;
    fpheap       *heap = NULL;

    (void)state;
    memset(&config, 0, sizeof config);
    config.thread_node = end_the_heap_from_its_node;
    config.thread_node_ctx = &heap;
    heap = fpheap_create("node", &config);
    assert_non_null(fpheap_self(heap));
    assert_int_equal(fpheap_destroy(heap), 0);
}

static void
who_reclaims_waits_for_nobody_and_has_no_ticket(void **state)
{
    fpheap    *heap = test_heap_over(&provider);
    fph_state *s = heap->state;
    uint64_t   ticket = 5;

    (void)state;
    s->growing = 99;
    be_in(FPH_IN_PASS, heap);
    begin_waiting(NULL, NULL);
    assert_int_equal(fph_growth_enter(heap, &ticket), 1);
    assert_int_equal(waited(), 0);
    assert_true(ticket == 0 && s->growing == 99);
    fph_growth_leave(s, ticket);
    assert_true(s->growing == 99);
    be_in(0, NULL);
    s->growing = 0;
    TEST_DESTROY_OVER(heap, &provider);
}

/* Another thread has grown the heap since this one looked. */
static void
growth_that_has_happened_meanwhile_is_growth(void **state)
{
    fpheap  *heap = test_heap_over(&provider);
    unsigned gets = provider.gets;
    uint64_t growths = heap->state->growths;

    (void)state;
    assert_int_equal(fph_grow(heap, 0, fph_need_of(heap, 1, 1), 2,
                              growths - 1), 0);
    assert_int_equal(provider.gets, gets);
    assert_true(heap->state->growing == 0);
    assert_int_equal(fph_grow(heap, 0, fph_need_of(heap, 1, 1), 2,
                              growths), 0);
    assert_int_equal(provider.gets, gets + 1);
    assert_true(heap->state->growing == 0);
    assert_true(heap->state->growths == growths + 1);
    be_in(FPH_IN_PROVIDER, heap);
    assert_int_equal(fph_grow(heap, 0, fph_need_of(heap, 1, 1), 2,
                              growths + 1), -EDEADLK);
    be_in(0, NULL);
    TEST_DESTROY_OVER(heap, &provider);
}

/* --- searches ------------------------------------------------------------- */

static fpheap_pool *
named(fpheap *heap, const char *name, size_t min,
      int (*construct)(void *, void *), void *arg)
{
    fpheap_pool_desc desc;

    memset(&desc, 0, sizeof desc);
    desc.name = name;
    desc.size = 100;
    desc.min = min;
    desc.construct = construct;
    desc.arg = arg;
    return fpheap_pool_create(heap, &desc);
}

static size_t
in_depot(fpheap *heap, size_t size)
{
    return fph_depot_count(heap->state, fph_class_of(size));
}

static void
a_pass_pays_from_a_chunk_on(void **state)
{
    fpheap    *heap = test_heap_over(&provider);
    fph_state *s = heap->state;
    uint64_t   usual = s->empty_slabs;

    (void)state;
    s->empty_slabs = FPH_PAGES - 1;
    assert_false(fph_reclaim_pays(heap, 0));
    s->empty_slabs = FPH_PAGES;
    assert_true(fph_reclaim_pays(heap, 0));
    s->empty_slabs = (uint64_t)-1;
    assert_false(fph_reclaim_pays(heap, 0));
    s->empty_slabs = usual;
    TEST_DESTROY_OVER(heap, &provider);
}

/* A look without a move of others is the last one. */
static void
who_fails_looks_again_only_while_others_move(void **state)
{
    fpheap    *heap = test_heap_over(&provider);
    fph_state *s = heap->state;
    uint32_t   mark = fph_moves_mark(s);
    uint64_t   began;

    (void)state;
    fph_wait_begin();
    assert_int_equal(fph_moves_wait(heap, mark), 0);
    assert_true(fph_this.wait_end == 0);
    s->moves_begun++;                      /* one has begun and ended */
    s->moves_ended++;
    began = clock_ns;
    begin_waiting(NULL, NULL);
    assert_int_equal(fph_moves_wait(heap, mark), 1);
    assert_int_equal(waited(), 1);
    mark = fph_moves_mark(s);
    assert_int_equal(fph_moves_wait(heap, mark), 0);
    assert_true(fph_this.wait_end == began + WAIT_NS);
    s->moves_begun++;                      /* one is under way */
    for (yields = 1; yields < WAIT_NS / STEP_NS;)
        assert_int_equal(fph_moves_wait(heap, mark), 1);
    assert_true(fph_this.wait_end == began + WAIT_NS);
    assert_int_equal(fph_moves_wait(heap, mark), 0);
    /* Waited for in vain, it is waited for no more. */
    assert_int_equal(s->moves_stuck, 1);
    assert_true(fph_moves_quiet(s));
    assert_false(fph_moves_since(s, mark));
    s->moves_begun++;                      /* another one is */
    assert_false(fph_moves_quiet(s));
    assert_true(fph_moves_since(s, mark));
    fph_wait_begin();
    be_in(FPH_IN_PROVIDER, heap);
    assert_int_equal(fph_moves_wait(heap, mark), 0);
    be_in(0, NULL);
    fph_this.open_moves[s->number] = 1;
    assert_int_equal(fph_moves_wait(heap, mark), 0);
    fph_this.open_moves[s->number] = 0;
    be_in(FPH_IN_PASS, heap);
    assert_int_equal(fph_moves_wait(heap, mark), 0);
    be_in(0, NULL);
    assert_int_equal(fph_moves_wait(heap, mark), 1);
    s->moves_begun -= 2;                   /* both have ended */
    assert_false(fph_moves_since(s, mark));
    assert_int_equal(s->moves_stuck, 0);
    TEST_DESTROY_OVER(heap, &provider);
}

/* Two chunks are fresh as a whole: four fit in their place and two more. */
static void
a_limit_has_room_for_what_goes_back_as_well(void **state)
{
    fpheap  *heap = test_heap_over(&provider);
    void    *object = fpheap_alloc(heap, 64);  /* in the other region */
    size_t   most = provider.held_bytes + 4 * FPHEAP_CHUNK;
    fph_need four = fph_need_of(heap, 4 * FPH_PAGES, 1);
    fph_need more = fph_need_of(heap, 4 * FPH_PAGES + 1, 1);

    (void)state;
    assert_int_equal(fph_grow(heap, 0, fph_need_of(heap, 1, 1), 2,
                              heap->state->growths), 0);
    assert_int_equal(provider.held_bytes, most - 2 * FPHEAP_CHUNK);
    assert_int_equal(fph_regions_fresh(heap), 2 * FPHEAP_CHUNK);
    fpheap_set_limit(heap, most);
    assert_true(fph_limit_fits(heap, four));
    assert_false(fph_limit_fits(heap, more));
    fpheap_set_limit(heap, most - 1);
    assert_false(fph_limit_fits(heap, four));
    fpheap_free(heap, object);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
a_search_takes_the_parked_large_object_back(void **state)
{
    fpheap *heap = test_heap_over(&provider);

    (void)state;
    assert_int_equal(fpheap_reserve(heap, 20 * FPHEAP_CHUNK, 0), 0);
    fpheap_free(heap, fpheap_alloc(heap, FPHEAP_CHUNK / 2 + 1));
    assert_non_null(fph_cache_mine(heap)->large);
    assert_int_equal(fph_climb_parked(heap, 0), 1);
    assert_null(fph_cache_mine(heap)->large);
    assert_int_equal(fph_climb_parked(heap, 0), 0);
    TEST_DESTROY_OVER(heap, &provider);
}

/* Allocate pages until there are no more.  Returns how many. */
static unsigned
take_all_pages(fpheap *heap, void **objects, unsigned most)
{
    unsigned n = 0;

    while (n < most && (objects[n] = fpheap_alloc(heap, FPHEAP_PAGE)) != NULL)
        n++;
    assert_true(n > 0 && n < most);
    return n;
}

/* Another thread grows, and then the next one. */
static void
hand_the_ticket_on(void *growing)
{
    *(fph_word *)growing += 1;
}

static void
a_call_waits_for_all_others_together_no_longer_than_for_one(void **state)
{
    fpheap *heap = test_heap_over(&provider);
    void   *object;

    (void)state;
    heap->state->growing = 99;
    begin_waiting(hand_the_ticket_on, (void *)&heap->state->growing);
    object = fpheap_alloc(heap, 5 * FPHEAP_CHUNK);
    assert_non_null(object);
    assert_true(waited() <= WAIT_NS / STEP_NS);
    /* The next call has all of its time again. */
    heap->state->growing = 99;
    begin_waiting(NULL, NULL);
    assert_non_null(fpheap_alloc(heap, 9 * FPHEAP_CHUNK));
    assert_int_equal(waited(), WAIT_NS / STEP_NS);
    heap->state->growing = 0;
    assert_int_equal(fpheap_destroy_forced(heap), 0);
    test_provider_drop(&provider);
}

static void
a_move_that_stays_is_waited_for_once(void **state)
{
    static void *objects[256];
    fpheap      *heap = test_heap_within(&provider, 4 * FPHEAP_CHUNK);
    unsigned     n = take_all_pages(heap, objects, TEST_COUNT(objects));
    fpheap_pool *pool;
    size_t       live;

    (void)state;
    heap->state->moves_begun++;            /* another thread's */
    begin_waiting(NULL, NULL);
    assert_null(fpheap_alloc(heap, FPHEAP_PAGE));
    assert_int_equal(waited(), WAIT_NS / STEP_NS);
    begin_waiting(NULL, NULL);
    assert_null(fpheap_alloc(heap, FPHEAP_PAGE));
    pool = named(heap, "pool", 0, NULL, NULL);
    assert_non_null(pool);
    assert_int_equal(fpheap_pool_destroy(pool, &live), 0);
    assert_int_equal(waited(), 0);
    /* It has moved: the next one is waited for. */
    heap->state->moves_ended++;
    assert_false(fph_moves_since(heap->state, fph_moves_mark(heap->state)));
    heap->state->moves_begun++;
    begin_waiting(NULL, NULL);
    assert_null(fpheap_alloc(heap, FPHEAP_PAGE));
    assert_int_equal(waited(), WAIT_NS / STEP_NS);
    heap->state->moves_ended++;
    fpheap_free_bulk(heap, objects, n);
    TEST_DESTROY_OVER(heap, &provider);
}

static fpheap *turning;

static void
another_takes_the_turn(test_provider *p)
{
    (void)p;
    turning->state->growing = 99;
}

/* Of the threads that grow there is always one that has stopped, and one that
 * moves what is free has: a call, and all those that it is made of, wait for
 * them together. */
static void
one_deadline_holds_for_all_that_a_call_waits_for(void **state)
{
    static void *objects[256], *more[256];
    fpheap      *heap = test_heap_within(&provider, 8 * FPHEAP_CHUNK);
    void        *large = fpheap_alloc(heap, FPHEAP_CHUNK);
    unsigned     n = take_all_pages(heap, objects, TEST_COUNT(objects));
    unsigned     way;

    (void)state;
    turning = heap;
    provider.inside_get = another_takes_the_turn;
    for (way = 0; way < 5; way++) {
        heap->state->growing = 99;
        heap->state->moves_begun++;
        begin_waiting(hand_the_ticket_on, (void *)&heap->state->growing);
        errno = 0;
        switch (way) {
        case 0: assert_null(fpheap_alloc(heap, 3 * FPHEAP_CHUNK)); break;
        case 1: assert_int_equal(fpheap_alloc_burst(heap, FPHEAP_PAGE, more,
                                                    100), 0); break;
        case 2: assert_null(fpheap_realloc(heap, large, 3 * FPHEAP_CHUNK));
                break;
        case 3: assert_int_equal(fpheap_reserve(heap, 3 * FPHEAP_CHUNK,
                                                FPHEAP_ANY_NODE), -ENOMEM);
                errno = ENOMEM; break;
        default: assert_null(named(heap, "pool", 100000, NULL, NULL));
        }
        assert_int_equal(errno, ENOMEM);
        assert_true(waited() <= WAIT_NS / STEP_NS);
        heap->state->growing = 0;
        heap->state->moves_ended++;
        assert_false(fph_moves_since(heap->state,
                                     fph_moves_mark(heap->state)));
    }
    provider.inside_get = NULL;
    fpheap_free(heap, large);
    fpheap_free_bulk(heap, objects, n);
    TEST_DESTROY_OVER(heap, &provider);
}

/* And asks other threads for what they park once a millisecond. */
static void
a_call_that_fails_again_asks_the_provider_once_and_waits_for_nobody(
    void **state)
{
    static void *objects[4096];
    fpheap      *heap = test_heap_over(&provider);
    uint64_t     asked_others;
    unsigned     n, gets, i;

    (void)state;
    provider.limit_bytes = 128 * FPHEAP_CHUNK;
    n = take_all_pages(heap, objects, TEST_COUNT(objects));
    clock_ns += FPH_PAUSE_NS;
    assert_null(fpheap_alloc(heap, FPHEAP_PAGE));
    asked_others = heap->state->asked;
    gets = provider.gets;
    begin_waiting(NULL, NULL);
    for (i = 0; i < 100; i++)
        assert_null(fpheap_alloc(heap, FPHEAP_PAGE));
    assert_int_equal(waited(), 0);
    assert_int_equal(provider.gets, gets + 100);
    assert_true(heap->state->asked == asked_others);
    clock_ns += FPH_PAUSE_NS;
    assert_null(fpheap_alloc(heap, FPHEAP_PAGE));
    assert_true(heap->state->asked == asked_others + 1);
    provider.limit_bytes = 0;
    fpheap_free_bulk(heap, objects, n);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
an_exchange_with_the_depot_does_not_call_the_provider(void **state)
{
    enum { MANY = 20 * FPHEAP_MAGAZINE };
    static void *objects[MANY];
    fpheap      *heap = test_heap_over(&provider);
    unsigned     gets;
    size_t       index;

    (void)state;
    assert_int_equal(fpheap_alloc_bulk(heap, 16, objects, MANY), 0);
    fpheap_free_bulk(heap, objects, MANY);
    assert_true(in_depot(heap, 16) >= 10);
    while (fph_pages_find(heap, 0, 1, 1) != FPH_NO_PAGE)
        ;
    while (fph_meta_cut(heap->state, FPH_LINE) != 0)
        ;
    gets = provider.gets;
    for (index = 0; index < 10 * FPHEAP_MAGAZINE; index++)
        assert_non_null(objects[index] = fpheap_alloc(heap, 16));
    assert_int_equal(provider.gets, gets);
    assert_int_equal(fpheap_destroy_forced(heap), 0);
    test_provider_drop(&provider);
}

/* --- depots --------------------------------------------------------------- */

static void
what_all_depots_of_a_node_park_counts(void **state)
{
    fpheap      *heap = test_heap_over(&provider);
    fpheap_pool *pools[FPHEAP_MAX_POOLS];
    void        *objects[64];
    fpheap_stats stats;
    size_t       bytes;
    unsigned     i, k;

    (void)state;
    for (i = 0; i < FPHEAP_MAX_POOLS; i++) {
        char             name[8];
        fpheap_pool_desc desc;

        memset(&desc, 0, sizeof desc);
        (void)snprintf(name, sizeof name, "%u", i);
        desc.name = name;
        desc.size = 16 * (i + 1);
        desc.magazine = 2;
        pools[i] = fpheap_pool_create(heap, &desc);
        assert_non_null(pools[i]);
    }
    for (i = 0; i < FPHEAP_MAX_POOLS; i++) {
        bytes = fph_parked_bytes(heap, 0, NULL);
        assert_int_equal(fpheap_pool_get_bulk(pools[i], objects, 4), 0);
        fpheap_pool_put_bulk(pools[i], objects, 4);
        fpheap_flush(heap);
        assert_true(fph_parked_bytes(heap, 0, NULL) > bytes);
    }
    for (k = 1; k < FPH_SIZES; k++) {
        size_t size = heap->state->classes[k].size;

        assert_int_equal(fpheap_alloc_bulk(heap, size, objects, 48), 0);
        fpheap_free_bulk(heap, objects, 48);
        fpheap_flush(heap);
        assert_true(fph_depot_count(heap->state, k) > 0);
        fpheap_stats_get(heap, &stats);
        assert_int_equal(fph_parked_bytes(heap, 0, NULL), stats.depot_bytes);
    }
    TEST_DESTROY_OVER(heap, &provider);
}

/* A type-stable pool, and one with a minimum, keep theirs. */
static void
what_a_pool_keeps_does_not_count_as_worth_a_pass(void **state)
{
    fpheap  *heap = test_heap_over(&provider);
    unsigned kind;

    (void)state;
    for (kind = 0; kind < 3; kind++) {
        fpheap_pool_desc desc;
        fpheap_pool     *pool;
        void            *objects[4];
        uint64_t         empty = heap->state->empty_slabs;

        memset(&desc, 0, sizeof desc);
        desc.name = "kept";
        desc.size = 2 * FPHEAP_PAGE;
        desc.magazine = 2;
        desc.flags = kind == 1 ? FPHEAP_TYPE_STABLE : 0;
        desc.min = kind == 2;
        pool = fpheap_pool_create(heap, &desc);
        assert_non_null(pool);
        assert_int_equal(fph_keeps_slabs(pool), kind != 0);
        assert_int_equal(fpheap_pool_get_bulk(pool, objects, 4), 0);
        fpheap_pool_put_bulk(pool, objects, 4);
        fpheap_flush(heap);
        assert_int_equal(fph_parked_bytes(heap, 0, NULL),
                         kind == 0 ? 4 * desc.size : 0);
        fph_depot_drain(heap->state, FPH_SIZES + pool->number);
        assert_int_equal(heap->state->empty_slabs, empty + (kind == 0));
        assert_int_equal(fpheap_pool_destroy(pool, NULL), 0);
        assert_int_equal(heap->state->empty_slabs, empty);
    }
    TEST_DESTROY_OVER(heap, &provider);
}

/* Have n full magazines in the depot of a class, and no others. */
static void
fill_depot(fpheap *heap, size_t size, unsigned n)
{
    void    *objects[6 * FPHEAP_MAGAZINE];
    unsigned i;

    assert_true(n <= 6);
    for (i = 0; i < n * FPHEAP_MAGAZINE; i++)
        assert_non_null(objects[i] = fpheap_alloc(heap, size));
    fpheap_flush(heap);
    fpheap_free_bulk(heap, objects, n * FPHEAP_MAGAZINE);
    fpheap_flush(heap);
    assert_int_equal(fph_depot_count(heap->state, fph_class_of(size)), n);
}

/* Its own depot's, if that has more than one; else another's; else the last of
 * its own. */
static void
a_magazine_is_taken_where_it_is_missed_least(void **state)
{
    fpheap    *heap = test_heap_over(&provider);
    fph_state *s = heap->state;
    unsigned   own = fph_class_of(64);
    uint64_t   begun;

    (void)state;
    begun = s->moves_begun;
    assert_null(fph_depot_rob(s, own));
    assert_true(s->moves_begun == begun);
    fill_depot(heap, 64, 3);
    fill_depot(heap, 16, 1);
    fill_depot(heap, 128, 2);
    begun = s->moves_begun;
    fph_empty_put(s, own, fph_depot_rob(s, own));
    assert_true(s->moves_begun == begun + 1 && s->moves_ended == begun + 1);
    assert_int_equal(in_depot(heap, 64), 2);
    fph_empty_put(s, own, fph_depot_rob(s, own));
    assert_int_equal(in_depot(heap, 64), 1);
    assert_int_equal(in_depot(heap, 16) + in_depot(heap, 128), 3);
    fph_empty_put(s, own, fph_depot_rob(s, own));
    assert_int_equal(in_depot(heap, 64), 1);
    assert_int_equal(in_depot(heap, 16) + in_depot(heap, 128), 2);
    fph_empty_put(s, own, fph_depot_rob(s, own));
    fph_empty_put(s, own, fph_depot_rob(s, own));
    assert_int_equal(in_depot(heap, 64), 1);
    assert_int_equal(in_depot(heap, 16) + in_depot(heap, 128), 0);
    fph_empty_put(s, own, fph_depot_rob(s, own));
    assert_int_equal(in_depot(heap, 64), 0);
    assert_null(fph_depot_rob(s, own));
    TEST_CHECK_LIVE(heap, 0);
    TEST_DESTROY_OVER(heap, &provider);
}

/* So that it need not empty one of its own. */
static void
a_free_without_memory_takes_a_magazine_of_a_depot(void **state)
{
    fpheap *heap = test_heap_over(&provider);
    void   *object;

    (void)state;
    fill_depot(heap, 64, 1);
    object = fpheap_alloc(heap, 500);
    fpheap_flush(heap);
    while (fph_stack_pop(heap->state, fph_empties(heap->state, 0)) != NULL)
        ;
    while (fph_meta_cut(heap->state, FPH_LINE) != 0)
        ;
    fpheap_free(heap, object);
    assert_int_equal(in_depot(heap, 64), 0);
    assert_ptr_equal(fph_cache_mine(heap)->bins[fph_class_of(500)].next,
                     object);
    TEST_CHECK_LIVE(heap, 0);
    TEST_DESTROY_OVER(heap, &provider);
}

/* --- caches --------------------------------------------------------------- */

static void
after_a_pass_of_another_thread_a_cache_goes_to_the_slabs(void **state)
{
    fpheap      *heap = test_heap_over(&provider);
    void        *objects[FPHEAP_MAGAZINE];
    fpheap_stats stats;

    (void)state;
    assert_int_equal(fpheap_alloc_bulk(heap, 64, objects, FPHEAP_MAGAZINE), 0);
    fpheap_flush(heap);
    fpheap_free_bulk(heap, objects, FPHEAP_MAGAZINE);
    assert_int_equal(fph_cache_objects(fph_cache_mine(heap), fph_class_of(64)),
                     FPHEAP_MAGAZINE);
    heap->state->asked++;
    assert_ptr_equal(fpheap_self(heap), fph_cache_mine(heap));
    assert_int_equal(in_depot(heap, 64), 0);
    fpheap_stats_get(heap, &stats);
    assert_int_equal(stats.parked_objects, 0);
    /* Once: the next miss leaves what is parked where it is. */
    fpheap_free(heap, fpheap_alloc(heap, 64));
    fpheap_stats_get(heap, &stats);
    assert_true(stats.parked_objects > 0);
    assert_non_null(fpheap_self(heap));
    fpheap_stats_get(heap, &stats);
    assert_true(stats.parked_objects > 0);
    TEST_DESTROY_OVER(heap, &provider);
}

/* Others would wait for it. */
static void
a_flush_of_nothing_is_no_move(void **state)
{
    fpheap  *heap = test_heap_over(&provider);
    void    *object = fpheap_alloc(heap, 64);
    uint64_t begun;

    (void)state;
    fpheap_flush(heap);
    begun = heap->state->moves_begun;
    fpheap_flush(heap);
    assert_true(heap->state->moves_begun == begun);
    fpheap_free(heap, object);
    fpheap_flush(heap);
    assert_true(heap->state->moves_begun == begun + 1);
    assert_true(heap->state->moves_ended == begun + 1);
    TEST_DESTROY_OVER(heap, &provider);
}

/* A pool's magazines may have an odd number of objects. */
static void
half_of_a_full_magazine_is_loaded(void **state)
{
    fpheap           *heap = test_heap_over(&provider);
    fpheap_pool_desc  desc;
    fpheap_pool      *pool;
    void             *objects[10];
    const fph_bin    *bin;
    fpheap_cache     *cache;
    unsigned          number, i;

    (void)state;
    memset(&desc, 0, sizeof desc);
    desc.name = "odd";
    desc.size = 100;
    desc.magazine = 5;
    pool = fpheap_pool_create(heap, &desc);
    number = FPH_SIZES + pool->number;
    assert_int_equal(fpheap_pool_get_bulk(pool, objects, 10), 0);
    fpheap_flush(heap);
    cache = fpheap_self(heap);
    bin = &cache->bins[number];
    for (i = 0; i < 6; i++)
        fpheap_pool_put(pool, objects[i]);
    assert_int_equal(bin->top - bin->base, 1);
    assert_int_equal(fph_spare_count(cache, number), 5);
    for (i = 6; i-- > 5;)
        assert_ptr_equal(fpheap_pool_get(pool), objects[i]);
    /* The loaded one is empty, and the spare full. */
    assert_ptr_equal(fpheap_pool_get(pool), objects[4]);
    assert_int_equal(bin->top - bin->base, 2);
    assert_int_equal(fph_spare_count(cache, number), 2);
    for (i = 0; i < 3; i++)                /* both become empty */
        objects[i] = fpheap_pool_get(pool);
    assert_int_equal(bin->top - bin->base, 1);
    assert_int_equal(fph_spare_count(cache, number), 0);
    objects[3] = objects[5];               /* what that was is parked */
    for (i = 0; i < 5; i++)
        fpheap_pool_put(pool, objects[i]);
    /* The loaded one was full, and the spare empty. */
    assert_int_equal(bin->top - bin->base, 3);
    assert_int_equal(fph_spare_count(cache, number), 3);
    for (i = 6; i < 10; i++)
        fpheap_pool_put(pool, objects[i]);
    assert_int_equal(bin->top - bin->base, 5);
    assert_int_equal(fph_spare_count(cache, number), 5);
    assert_int_equal(fpheap_pool_destroy(pool, NULL), 0);
    TEST_DESTROY_OVER(heap, &provider);
}

/* Of three magazines the oldest goes where others find it. */
static void
what_was_freed_last_stays_with_the_thread(void **state)
{
    enum { FULL = FPHEAP_MAGAZINE };
    fpheap       *heap = test_heap_over(&provider);
    unsigned      bin = fph_class_of(64);
    void         *objects[2 * FULL + 1];
    fpheap_cache *cache;

    (void)state;
    assert_int_equal(fpheap_alloc_bulk(heap, 64, objects, 2 * FULL + 1), 0);
    fpheap_flush(heap);
    fpheap_free_bulk(heap, objects, 2 * FULL + 1);
    cache = fph_cache_mine(heap);
    assert_int_equal(cache->spare[bin]->count, FULL);
    assert_memory_equal(cache->spare[bin]->slot, objects + FULL,
                        FULL * sizeof(void *));
    assert_ptr_equal(cache->bins[bin].next, objects[2 * FULL]);
    assert_int_equal(fph_depot_count(heap->state, bin), 1);
    TEST_DESTROY_OVER(heap, &provider);
}

/* In a heap that cannot grow, and has no room for records. */
static void
one_object_needs_no_magazine(void **state)
{
    fpheap           *heap = test_heap_over(&provider);
    fpheap_pool_desc  desc;
    fpheap_pool      *pool;
    void             *objects[3];
    unsigned          i;

    (void)state;
    memset(&desc, 0, sizeof desc);
    desc.name = "one";
    desc.size = 100;
    pool = fpheap_pool_create(heap, &desc);
    assert_non_null(pool);
    assert_non_null(fpheap_alloc(heap, 64)); /* keeps its slab */
    assert_non_null(fpheap_pool_get(pool));
    fpheap_flush(heap);
    while (fph_stack_pop(heap->state, fph_empties(heap->state, 0)) != NULL)
        ;
    while (fph_meta_cut(heap->state, FPH_LINE) != 0)
        ;
    provider.limit_bytes = provider.held_bytes;
    while (fph_pages_find(heap, 0, 1, 1) != FPH_NO_PAGE)
        ;
    objects[0] = fpheap_alloc(heap, 64);
    objects[1] = fpheap_alloc_on(heap, 64, 0);
    objects[2] = fpheap_pool_get(pool);
    for (i = 0; i < 3; i++) {
        assert_non_null(objects[i]);
        fpheap_free(heap, objects[i]);
    }
    assert_null(fph_cache_mine(heap)->bins[fph_class_of(64)].base);
    assert_int_equal(fpheap_destroy_forced(heap), 0);
    assert_int_equal(provider.held, 0);
}

/* In a heap whose first block has no room for it; before a pool of a node's own
 * is served nothing else makes one. */
static void *
get_a_bulk(void *pool_)
{
    fpheap_pool *pool = (fpheap_pool *)pool_;
    void        *object = NULL;

    if (fpheap_pool_get_bulk(pool, &object, 1) != 0
        || fph_cache_mine(pool->heap) == NULL)
        return NULL;
    fpheap_pool_put(pool, object);
    return pool;
}

static void *
get_one(void *pool_)
{
    fpheap_pool *pool = (fpheap_pool *)pool_;
    void        *object = fpheap_pool_get(pool);

    if (object == NULL || fph_cache_mine(pool->heap) == NULL)
        return NULL;
    fpheap_pool_put(pool, object);
    return pool;
}

static void
memory_for_a_cache_is_got_by_who_allocates(void **state)
{
    void *(*const calls[])(void *) = { get_a_bulk, get_one };
    unsigned i;

    (void)state;
    for (i = 0; i < TEST_COUNT(calls); i++) {
        fpheap          *heap = test_heap_over(&provider);
        fpheap_pool_desc desc;
        fpheap_pool     *pool;
        pthread_t        thread;
        void            *end = NULL;

        memset(&desc, 0, sizeof desc);
        desc.name = "near";
        desc.size = 100;
        desc.flags = FPHEAP_ON_NODE;
        pool = fpheap_pool_create(heap, &desc);
        assert_non_null(pool);
        while (fph_meta_cut(heap->state, FPH_LINE) != 0)
            ;
        assert_int_equal(pthread_create(&thread, NULL, calls[i], pool), 0);
        assert_int_equal(pthread_join(thread, &end), 0);
        assert_ptr_equal(end, pool);
        TEST_DESTROY_OVER(heap, &provider);
    }
}

static void *
destroy_it(void *heap)
{
    return fpheap_destroy((fpheap *)heap) == 0 ? heap : NULL;
}

/* This thread sits on the first seat, and was not told. */
static void
a_heap_that_another_thread_destroys_leaves_no_cache(void **state)
{
    fpheap   *heap = test_heap_over(&provider);
    fpheap   *again;
    pthread_t thread;
    void     *end = NULL;

    (void)state;
    fpheap_free(heap, fpheap_alloc(heap, 64));
    assert_int_equal(fph_this.seat, 1);
    assert_int_equal(pthread_create(&thread, NULL, destroy_it, heap), 0);
    assert_int_equal(pthread_join(thread, &end), 0);
    assert_ptr_equal(end, heap);
    again = test_heap_over(&other_provider);
    assert_ptr_equal(again, heap);
    assert_null(fph_cache_mine(again));
    fpheap_free(again, fpheap_alloc(again, 64));
    TEST_DESTROY_OVER(again, &other_provider);
}

static void
a_sized_free_goes_to_the_objects_own_node(void **state)
{
    const unsigned bin = FPH_CLASSES + fph_class_of(100);
    fpheap_config  config;
    fpheap        *heap;
    void          *object;

    (void)state;
    memset(&config, 0, sizeof config);
    config.nodes = 2;
    heap = fpheap_create("two", &config);
    assert_non_null(heap);
    object = fpheap_alloc_on(heap, 100, 1);
    fpheap_free(heap, fpheap_alloc_on(heap, 100, 1));
    fpheap_free(heap, fpheap_alloc_on(heap, 100, 0));
    fpheap_free_sized(heap, object, 100);
    assert_ptr_equal(fph_cache_mine(heap)->bins[bin].next, object);
    TEST_DESTROY(heap);
}

static void
an_aligned_object_of_no_bytes_is_a_small_one(void **state)
{
    fpheap *heap = test_heap_over(&provider);
    size_t  align;

    (void)state;
    for (align = 1; align <= FPHEAP_PAGE; align *= 2) {
        void *object = fpheap_aligned_alloc(heap, align, 0);

        assert_non_null(object);
        assert_int_equal((uintptr_t)object % align, 0);
        assert_int_equal(fpheap_usable_size(heap, object),
                         align < 16 ? 16 : align);
        fpheap_free(heap, object);
    }
    TEST_DESTROY_OVER(heap, &provider);
}

/* --- large objects -------------------------------------------------------- */

static void
a_large_object_is_parked_up_to_two_chunks_and_an_eighth(void **state)
{
    fpheap   *heap = test_heap_over(&provider);
    uint64_t  usual = heap->state->region_bytes;
    uint64_t  pages;

    (void)state;
    assert_non_null(fpheap_self(heap));
    heap->state->region_bytes = 100 * FPHEAP_CHUNK;
    assert_non_null(fph_large_cache(heap, 2 * FPH_PAGES));
    assert_null(fph_large_cache(heap, 2 * FPH_PAGES + 1));
    for (pages = 9; pages < 2 * FPH_PAGES; pages++) {
        heap->state->region_bytes = 8 * pages * FPHEAP_PAGE;
        assert_non_null(fph_large_cache(heap, pages));
        heap->state->region_bytes--;
        assert_null(fph_large_cache(heap, pages));
    }
    heap->state->region_bytes = usual;
    TEST_DESTROY_OVER(heap, &provider);
}

/* --- hugepages ------------------------------------------------------------ */

/* Reserved ones are asked for so often, and there are some; transparent ones so
 * often, and the kernel takes the advice. */
static unsigned reserved, advised;
static unsigned reserved_log2; /* of the bytes of the last ones asked for */
static unsigned reserved_lack; /* the last page of so many regions cannot be
                                  written, as under a cgroup's limit */
static unsigned reserved_none; /* so many times there are none */
static unsigned odd_places;    /* so many regions are not aligned, and then */
static int      odd_then_none; /* there are no more */
static unsigned unmap_passes;  /* so many calls succeed before */
static unsigned unmap_fails;   /* so many fail */
static size_t   mapped_bytes;  /* and not unmapped */
static size_t   mapped_most;   /* at one time */

/* At a place of the heap's choice: there is something else, so that it is the
 * kernel that chooses; and addresses that take no memory. */
static void *
note_fixed(void *at, size_t bytes, int access, int flags, int file,
           off_t offset)
{
    if (access != PROT_NONE)
        return MAP_FAILED;
    mapped_bytes += bytes;
    return mmap(at, bytes, access, flags, file, offset);
}

static void *
note_mmap(void *at, size_t bytes, int access, int flags, int file, off_t offset)
{
    int   huge = (flags & FPH_MAP_HUGETLB) != 0;
    char *map;

    if (access == PROT_NONE || (flags & MAP_FIXED_NOREPLACE) != 0)
        return note_fixed(at, bytes, access, flags, file, offset);
    reserved += (unsigned)huge;
    if (huge)
        reserved_log2 = (unsigned)flags >> 26;
    if ((huge && reserved_none > 0 && reserved_none-- > 0)
        || (odd_then_none && odd_places == 0))
        return MAP_FAILED;
    map = (char *)mmap(at, bytes + 2 * FPHEAP_CHUNK, access,
                       (flags & ~FPH_MAP_HUGETLB & ((1 << 26) - 1))
                           | MAP_NORESERVE, file, offset);
    if (map == MAP_FAILED)
        return map;
    at = (void *)(((uintptr_t)map + FPHEAP_CHUNK) & ~FPH_CHUNK_MASK);
    if (odd_places > 0 && odd_places-- > 0)
        at = (char *)at + 4096;
    if (at != map)
        munmap(map, (size_t)((char *)at - map));
    munmap((char *)at + bytes, (size_t)(map + 2 * FPHEAP_CHUNK - (char *)at));
    if (huge && reserved_lack > 0 && reserved_lack-- > 0)
        assert_int_equal(mprotect((char *)at + bytes
                                  - ((size_t)1 << reserved_log2), 4096,
                                  PROT_READ), 0);
    mapped_bytes += bytes;
    if (mapped_most < mapped_bytes)
        mapped_most = mapped_bytes;
    return at;
}

static int
note_munmap(void *at, size_t bytes)
{
    if (unmap_passes > 0) {
        unmap_passes--;
    } else if (unmap_fails > 0) {
        unmap_fails--;
        errno = ENOMEM;
        return -1;
    }
    mapped_bytes -= bytes;
    return munmap(at, bytes);
}

static int
note_madvise(void *at, size_t bytes, int advice)
{
    (void)at, (void)bytes;
    advised += advice == MADV_HUGEPAGE;
    return 0;
}

/* What mmap gives with these flags. */
static fpheap_region
mapped_with(unsigned flags, size_t bytes)
{
    fpheap_region region;

    reserved = advised = 0;
    mapped_most = mapped_bytes;
    assert_int_equal(fph_mmap_get((void *)(uintptr_t)flags, bytes, FPHEAP_CHUNK,
                                  0, &region), 0);
    assert_non_null(region.base);
    assert_true(region.bytes >= bytes);
    return region;
}

static void
unmapped(const fpheap_region *region)
{
    fpheap_provider calls;

    assert_int_equal(fpheap_provider_mmap(&calls, 0), 0);
    assert_int_equal(calls.put(calls.ctx, region), 0);
}

static void
hugepages_are_asked_for_as_the_flags_say_and_after_8_mib(void **state)
{
    uint64_t      usual = fph_mapped;
    fpheap_region first, second;

    (void)state;
    fph_mapped = 0;
    mapped_bytes = 0;
    first = mapped_with(0, 8 * TEST_MIB);
    assert_int_equal(mapped_bytes, 8 * TEST_MIB);
    assert_int_equal(reserved + advised, 0);
    assert_int_equal(first.backing, FPHEAP_BACKING_PAGES);
    assert_int_equal(first.bytes, 8 * TEST_MIB);
    assert_int_equal(fph_mapped, 8 * TEST_MIB);
    second = mapped_with(0, FPHEAP_CHUNK);
    assert_int_equal(reserved, 0);
    assert_int_equal(advised, 1);
    assert_int_equal(second.backing, FPHEAP_BACKING_THP);
    unmapped(&second);
    second = mapped_with(FPHEAP_NO_THP, FPHEAP_CHUNK);
    assert_int_equal(reserved + advised, 0);
    assert_int_equal(second.backing, FPHEAP_BACKING_PAGES);
    unmapped(&second);
    second = mapped_with(FPHEAP_HUGETLB, 2 * TEST_MIB + 1);
    assert_int_equal(reserved, 1);
    assert_int_equal(advised, 0);
    assert_int_equal(second.backing, FPHEAP_BACKING_HUGETLB);
    assert_int_equal(second.bytes, 4 * TEST_MIB);
    assert_int_equal(fph_mapped, 12 * TEST_MIB);
    unmapped(&second);
    second = mapped_with(FPHEAP_HUGETLB, 2 * TEST_MIB);
    assert_int_equal(second.bytes, 2 * TEST_MIB);
    unmapped(&second);
    unmapped(&first);
    assert_int_equal(fph_mapped, 0);
    assert_int_equal(mapped_bytes, 0);
    fph_mapped = usual;
}

static void
reserved_hugepages_have_the_size_that_the_flag_names(void **state)
{
    fpheap_provider calls;
    fpheap_region   region;

    (void)state;
    mapped_bytes = 0;
    region = mapped_with(FPHEAP_HUGETLB, 4 * TEST_MIB + 1);
    assert_int_equal(reserved_log2, 21);
    assert_int_equal(region.bytes, 6 * TEST_MIB);
    assert_int_equal(mapped_bytes, region.bytes);
    unmapped(&region);
    assert_int_equal(mapped_bytes, 0);
    region = mapped_with(FPHEAP_HUGETLB_1G, FPHEAP_CHUNK);
    assert_int_equal(reserved_log2, 30);
    assert_int_equal(region.bytes, 1024 * TEST_MIB);
    assert_int_equal(region.backing, FPHEAP_BACKING_HUGETLB);
    assert_int_equal(mapped_bytes, region.bytes);
    unmapped(&region);
    assert_int_equal(mapped_bytes, 0);
    reserved_none = 1;
    region = mapped_with(FPHEAP_HUGETLB, FPHEAP_CHUNK);
    assert_int_equal(reserved, 1);
    assert_int_equal(region.bytes, FPHEAP_CHUNK);
    unmapped(&region);
    assert_int_equal(fph_map_huge(SIZE_MAX - 2 * TEST_MIB + 1, 21, &region), 0);
    assert_int_equal(fpheap_provider_mmap(&calls, FPHEAP_HUGETLB_1G), 0);
    assert_int_equal(fpheap_provider_mmap(&calls, FPHEAP_HUGETLB_1G << 1),
                     -EINVAL);
}

/* A cgroup's limit, or a node that has no more. */
static void
where_a_hugepage_cannot_be_written_other_pages_serve_and_it_is_left(
    void **state)
{
    fpheap_region region;

    (void)state;
    mapped_bytes = 0;
    reserved_lack = 1;
    region = mapped_with(FPHEAP_HUGETLB, 4 * TEST_MIB);
    assert_int_equal(reserved, 1);
    assert_int_not_equal(region.backing, FPHEAP_BACKING_HUGETLB);
    assert_int_equal(region.bytes, 4 * TEST_MIB);
    memset(region.base, 1, region.bytes);
    assert_int_equal(mapped_bytes, region.bytes);
    unmapped(&region);
    /* It is not tried again at each growth, but it is. */
    clock_ns += 900000000;
    region = mapped_with(FPHEAP_HUGETLB, 4 * TEST_MIB);
    assert_int_equal(reserved, 0);
    unmapped(&region);
    clock_ns += 100000000;
    region = mapped_with(FPHEAP_HUGETLB, 4 * TEST_MIB);
    assert_int_equal(reserved, 1);
    assert_int_equal(region.backing, FPHEAP_BACKING_HUGETLB);
    unmapped(&region);
    assert_int_equal(mapped_bytes, 0);
}

static void
without_hugepages_of_a_gigabyte_come_those_of_2_mib(void **state)
{
    fpheap_region region;

    (void)state;
    mapped_bytes = 0;
    reserved_lack = 1;
    region = mapped_with(FPHEAP_HUGETLB_1G | FPHEAP_HUGETLB, TEST_MIB);
    assert_int_equal(reserved, 2);
    assert_int_equal(region.bytes, 2 * TEST_MIB);
    assert_int_equal(region.backing, FPHEAP_BACKING_HUGETLB);
    unmapped(&region);
    /* Both pause by themselves. */
    reserved_lack = 1;
    region = mapped_with(FPHEAP_HUGETLB_1G | FPHEAP_HUGETLB, TEST_MIB);
    assert_int_equal(reserved, 1);
    assert_int_not_equal(region.backing, FPHEAP_BACKING_HUGETLB);
    unmapped(&region);
    assert_int_equal(mapped_bytes, 0);
    clock_ns += 2000000000;
}

static void
where_mmap_gives_an_aligned_place_no_more_is_mapped(void **state)
{
    fpheap_region region;

    (void)state;
    mapped_bytes = 0;
    odd_places = 1;
    odd_then_none = 1;
    assert_int_equal(fph_mmap_get(NULL, FPHEAP_CHUNK, FPHEAP_CHUNK, 0, &region),
                     -ENOMEM);
    odd_then_none = 0;
    assert_int_equal(mapped_bytes, 0);
    region = mapped_with(0, 3 * FPHEAP_CHUNK);
    assert_int_equal(mapped_most, 3 * FPHEAP_CHUNK);
    unmapped(&region);
    odd_places = 1;
    region = mapped_with(0, 3 * FPHEAP_CHUNK);
    assert_int_equal(odd_places, 0);
    assert_int_equal((uintptr_t)region.base & FPH_CHUNK_MASK, 0);
    assert_int_equal(region.bytes, 3 * FPHEAP_CHUNK);
    assert_int_equal(mapped_bytes, 3 * FPHEAP_CHUNK);
    unmapped(&region);
    assert_int_equal(mapped_bytes, 0);
}

/* After so many calls of munmap that succeed so many fail, as where the process
 * has all the mappings it may have.  The first place is not aligned, nor is the
 * larger one. */
static void
a_region_has(size_t bytes, unsigned passes, unsigned fails)
{
    fpheap_region region;

    mapped_bytes = 0;
    odd_places = 2;
    unmap_passes = passes;
    unmap_fails = fails;
    region = mapped_with(0, 3 * FPHEAP_CHUNK);
    assert_int_equal(unmap_fails, 0);
    assert_int_equal(region.bytes, bytes);
    assert_int_equal(mapped_bytes, bytes);
    memset(region.base, 1, bytes);
    odd_places = 0;
    unmapped(&region);
    assert_int_equal(mapped_bytes, 0);
}

static void
what_cannot_be_unmapped_stays_in_the_region_and_goes_back_with_it(void **state)
{
    (void)state;
    a_region_has(3 * FPHEAP_CHUNK, 0, 1);
    a_region_has(3 * FPHEAP_CHUNK + 4096, 1, 1);
    a_region_has(4 * FPHEAP_CHUNK - 4096, 2, 1);
    a_region_has(4 * FPHEAP_CHUNK, 1, 2);
}

/* --- what the system says of transparent hugepages ------------------------ */

static const char *says_2mib, *says_all; /* NULL: no such file; empty: one that
                                            cannot be read */
static unsigned    opened;
static int         without_thp;          /* what the process has of them */

static int
note_open(const char *path, int flags)
{
    const char *text = strstr(path, "2048kB") != NULL ? says_2mib : says_all;
    int         ends[2];

    (void)flags;
    opened++;
    if (text == NULL)
        return -1;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], text, strlen(text)), strlen(text));
    close(ends[text[0] != '\0']);
    return ends[text[0] == '\0'];
}

static int
note_prctl(int what)
{
    assert_int_equal(what, PR_GET_THP_DISABLE);
    return without_thp;
}

static fpheap_backing
backing_if(const char *all, const char *of_2mib, int without)
{
    fpheap_region region;

    says_all = all;
    says_2mib = of_2mib;
    without_thp = without;
    fph_thp_known = 0;
    opened = 0;
    region = mapped_with(0, 9 * TEST_MIB);
    unmapped(&region);
    region = mapped_with(0, 9 * TEST_MIB);
    unmapped(&region);
    assert_int_equal(advised, 1);
    assert_true(opened <= 2);
    fph_thp_known = 0;
    return region.backing;
}

static void
a_backing_is_thp_where_the_kernel_may_give_some_and_else_pages(void **state)
{
    const char *always = "[always] madvise never\n";
    const char *asked = "always [madvise] never\n";
    const char *never = "always madvise [never]\n";
    const char *inherit = "always [inherit] madvise never\n";
    const char *own_asked = "always inherit [madvise] never\n";
    const char *own_never = "always inherit madvise [never]\n";

    (void)state;
    assert_int_equal(backing_if(always, NULL, 0), FPHEAP_BACKING_THP);
    assert_int_equal(backing_if(asked, NULL, 0), FPHEAP_BACKING_THP);
    assert_int_equal(backing_if(never, NULL, 0), FPHEAP_BACKING_PAGES);
    assert_int_equal(backing_if(never, inherit, 0), FPHEAP_BACKING_PAGES);
    assert_int_equal(backing_if(never, own_asked, 0), FPHEAP_BACKING_THP);
    assert_int_equal(backing_if(asked, own_never, 0), FPHEAP_BACKING_PAGES);
    assert_int_equal(backing_if(NULL, NULL, 0), FPHEAP_BACKING_THP);
    assert_int_equal(backing_if("", "", 0), FPHEAP_BACKING_THP);
    /* The process has none; or only where it asks; or the kernel is older. */
    assert_int_equal(backing_if(always, NULL, 1), FPHEAP_BACKING_PAGES);
    assert_int_equal(backing_if(always, NULL, 3), FPHEAP_BACKING_THP);
    assert_int_equal(backing_if(always, NULL, -1), FPHEAP_BACKING_THP);
    without_thp = 0;
}

/* --- pools ---------------------------------------------------------------- */

static fph_state *renamed;

static int
is_the_first(const char *text)
{
    fph_name name = fph_name_of(text);

    return fph_pool_named(renamed, 0, &name) != 0;
}

static void
look_for_half_a_name(void)
{
    assert_false(is_the_first("11112222bbbbaaaa"));
    at_store = NULL;
}

/* The thread that writes it has stopped between its words. */
static void
a_name_of_which_half_is_written_is_none(void **state)
{
    fpheap  *heap = test_heap_over(&provider);
    fph_name name = fph_name_of("1111222233334444");

    (void)state;
    renamed = heap->state;
    assert_non_null(named(heap, "aaaabbbbbbbbaaaa", 0, NULL, NULL));
    assert_int_equal(fpheap_pool_destroy(renamed->pool[0], NULL), 0);
    assert_int_equal(fph_pool_number(renamed), 0);
    watched = &renamed->pool[0]->name[1];
    at_store = look_for_half_a_name;
    fph_pool_set_name(renamed->pool[0], &name);
    assert_null(at_store);
    assert_false(is_the_first("1111222233334444"));
    assert_true(fph_pool_get_name(renamed, 0, &name));
    assert_true(is_the_first("1111222233334444"));
    fph_pool_set(renamed, 0, FPH_POOL_FREE);
    TEST_DESTROY_OVER(heap, &provider);
}

/* A 16th of what may be claimed, two at least. */
static void
a_magazine_is_small_against_the_pools_maximum(void **state)
{
    static const size_t most[] = { 1, 2, 16, 31, 32, 48, 100, 16 * 24, 1000 };
    fpheap  *heap = test_heap_over(&provider);
    unsigned i;

    (void)state;
    for (i = 0; i < TEST_COUNT(most); i++) {
        fpheap_pool_desc  desc;
        fpheap_pool_stats stats;
        fpheap_pool      *pool;
        size_t            part = most[i] / 16;

        memset(&desc, 0, sizeof desc);
        desc.name = "small";
        desc.size = 100;
        desc.max = most[i];
        pool = fpheap_pool_create(heap, &desc);
        fpheap_pool_stats_get(pool, &stats);
        assert_int_equal(stats.magazine,
                         part < 2 ? 2 : part > 24 ? 24 : part);
        assert_int_equal(fpheap_pool_destroy(pool, NULL), 0);
    }
    TEST_DESTROY_OVER(heap, &provider);
}

static void
a_put_of_null_puts_nothing(void **state)
{
    fpheap      *heap = test_heap_over(&provider);
    fpheap_pool *pool = named(heap, "null", 0, NULL, NULL);
    void        *object = fpheap_pool_get(pool);
    void        *bulk[3] = { NULL, object, NULL };

    (void)state;
    fpheap_pool_put(pool, object);
    fpheap_pool_put(pool, NULL);
    assert_ptr_equal(fpheap_pool_get(pool), object);
    fpheap_pool_put_bulk(pool, bulk, 3);
    assert_ptr_equal(fpheap_pool_get(pool), object);
    fpheap_pool_put(pool, object);
    TEST_DESTROY_OVER(heap, &provider);
}

/* The private area of a pool that lives for a moment, and the lines of records
 * that it takes. */
static void *
private_of(fpheap *heap, size_t bytes, uint64_t *lines)
{
    fpheap_pool_desc desc;
    fpheap_pool     *pool;
    void            *area;
    uint64_t         cursor = heap->state->meta_cursor.word;

    memset(&desc, 0, sizeof desc);
    desc.name = "private";
    desc.size = 100;
    desc.private_bytes = bytes;
    pool = fpheap_pool_create(heap, &desc);
    assert_non_null(pool);
    area = fpheap_pool_private(pool);
    assert_true(bytes == 0 || test_all_bytes(area, bytes, 0));
    if (bytes != 0)
        memset(area, 1, bytes);
    *lines = heap->state->meta_cursor.word - cursor;
    assert_int_equal(fpheap_pool_destroy(pool, NULL), 0);
    return area;
}

static void
a_private_area_serves_the_next_pool_if_it_is_large_enough(void **state)
{
    fpheap  *heap = test_heap_over(&provider);
    uint64_t lines;
    void    *first;
    int      error;

    (void)state;
    assert_non_null(fpheap_self(heap));
    heap->state->meta_tight = 0;       /* a block for all of them */
    assert_int_not_equal(fph_meta_get(heap, 0, FPHEAP_PAGE, &error), 0);
    assert_null(private_of(heap, 0, &lines));
    assert_int_equal(lines, fph_meta_units(sizeof(fpheap_pool)));
    first = private_of(heap, 65, &lines);
    assert_int_equal(lines, 2);
    assert_ptr_equal(private_of(heap, 128, &lines), first);
    assert_int_equal(lines, 0);
    assert_null(private_of(heap, 0, &lines));
    assert_int_equal(lines, 0);
    assert_ptr_equal(private_of(heap, 1, &lines), first);
    assert_int_equal(lines, 0);
    assert_ptr_not_equal(private_of(heap, 129, &lines), first);
    assert_int_equal(lines, 4);
    TEST_DESTROY_OVER(heap, &provider);
}

/* Two of them for each that the minimum fills, and one more each for what is
 * loaded and spare. */
static void
a_pool_with_a_minimum_has_its_magazines_ready(void **state)
{
    fpheap  *heap = test_heap_over(&provider);
    unsigned min;

    (void)state;
    for (min = 1; min < 10 * FPHEAP_MAGAZINE; min += 13) {
        uint64_t     had = heap->state->magazines;
        fpheap_pool *pool = named(heap, "ready", min, NULL, NULL);

        assert_non_null(pool);
        assert_true(heap->state->magazines
                    == had + min / FPHEAP_MAGAZINE + 2);
        assert_int_equal(fpheap_pool_destroy(pool, NULL), 0);
    }
    TEST_DESTROY_OVER(heap, &provider);
}

static void
a_trim_leaves_the_minimum_of_a_pool(void **state)
{
    fpheap      *heap = test_heap_over(&provider);
    fpheap_pool *pool = named(heap, "trimmed", 1, NULL, NULL);
    void        *objects[200];

    (void)state;
    assert_int_equal(pool->slabs, 1);
    assert_int_equal(fpheap_pool_get_bulk(pool, objects, 200), 0);
    fpheap_pool_put_bulk(pool, objects, 200);
    assert_true(pool->slabs > 1);
    fpheap_trim(heap);
    assert_int_equal(pool->slabs, 1);
    TEST_DESTROY_OVER(heap, &provider);
}

typedef struct seen {
    void    *expected;
    unsigned times;
} seen;

static int
count_and_compare(void *arg, void *object)
{
    seen *s = (seen *)arg;

    assert_ptr_equal(object, s->expected);
    s->times++;
    return 0;
}

static void
only_the_pools_own_objects_are_shown(void **state)
{
    fpheap      *heap = test_heap_over(&provider);
    unsigned     i;
    fpheap_pool *pools[4];
    void        *objects[4];

    (void)state;
    for (i = 0; i < 4; i++) {
        const char name[2] = { (char)('a' + i), 0 };

        pools[i] = named(heap, name, 0, NULL, NULL);
        objects[i] = fpheap_pool_get(pools[i]);
        assert_non_null(objects[i]);
    }
    for (i = 0; i < 4; i++) {
        seen s = { objects[i], 0 };

        assert_int_equal(fpheap_pool_for_each(pools[i], FPHEAP_LIVE,
                                              count_and_compare, &s), 0);
        assert_int_equal(s.times, 1);
        fpheap_pool_put(pools[i], objects[i]);
    }
    TEST_DESTROY_OVER(heap, &provider);
}

static void
a_dump_has_the_longest_name_of_a_pool(void **state)
{
    static const char name[] = "0123456789012345678901234567890";
    fpheap      *heap = test_heap_over(&provider);
    fpheap_pool *pool = named(heap, name, 0, NULL, NULL);
    char        *text = NULL;
    const char  *found;
    size_t       bytes = 0;
    FILE        *out = open_memstream(&text, &bytes);

    (void)state;
    assert_int_equal(sizeof name, FPHEAP_NAME_BYTES);
    assert_non_null(pool);
    fpheap_pool_put(pool, fpheap_pool_get(pool));
    assert_non_null(out);
    fpheap_dump(heap, out);
    (void)fclose(out);
    found = strstr(text, name);
    assert_non_null(found);
    assert_int_equal(found[sizeof name - 1], '\n');
    free(text);
    TEST_DESTROY_OVER(heap, &provider);
}

/* A pool of the same name is asked for, with a lower number, while this one
 * makes its objects: it is known to have the name. */
static int
ask_for_the_name(void *low_, void *object)
{
    fpheap_pool **low = (fpheap_pool **)low_;
    fpheap       *heap;

    (void)object;
    if (*low == NULL)
        return 0;
    heap = (*low)->heap;
    assert_int_equal(fpheap_pool_destroy(*low, NULL), 0);
    *low = NULL;
    begin_waiting(NULL, NULL);
    errno = 0;
    assert_null(named(heap, "mine", 0, NULL, NULL));
    assert_int_equal(errno, EEXIST);
    assert_int_equal(waited(), 0);
    return 0;
}

static void
who_has_looked_has_the_name_at_once(void **state)
{
    fpheap      *heap = test_heap_over(&provider);
    fpheap_pool *low = named(heap, "low", 0, NULL, NULL);

    (void)state;
    assert_non_null(low);
    assert_non_null(named(heap, "mine", 1, ask_for_the_name, &low));
    assert_null(low);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
nobody_waits_for_a_name(void **state)
{
    fpheap      *heap = test_heap_over(&provider);
    fpheap_pool *pool = named(heap, "name", 0, NULL, NULL);

    (void)state;
    assert_non_null(pool);
    fph_pool_set(heap->state, pool->number, FPH_POOL_NAMED);
    begin_waiting(NULL, NULL);
    errno = 0;
    assert_null(named(heap, "name", 0, NULL, NULL));
    assert_int_equal(errno, EEXIST);
    assert_non_null(named(heap, "another", 0, NULL, NULL));
    assert_int_equal(waited(), 0);
    TEST_DESTROY_OVER(heap, &provider);
}

typedef struct holding {
    fpheap      *heap;
    fpheap_pool *pool;
    fph_slab    *slab;
    unsigned     yields;       /* until it lets the slab go */
} holding;

static void
let_go(void *arg)
{
    holding *h = (holding *)arg;

    if (--h->yields == 0)
        fph_slab_let_go(h->heap->state, h->slab);
}

static void
a_pool_that_ends_waits_for_who_has_a_slab(void **state)
{
    fpheap  *heap = test_heap_over(&provider);
    unsigned i;

    (void)state;
    for (i = 1; i < WAIT_NS / STEP_NS + 5; i += 3) {
        holding  h;
        int      rc;

        h.heap = heap;
        h.yields = i;
        h.pool = named(heap, "held", 0, NULL, NULL);
        assert_non_null(h.pool);
        fpheap_pool_put(h.pool, fpheap_pool_get(h.pool));
        fpheap_flush(heap);
        h.slab = (fph_slab *)fph_stack_pop(
            heap->state,
            &heap->state->depots[FPH_SIZES + h.pool->number].partial);
        assert_non_null(h.slab);
        begin_waiting(let_go, &h);
        rc = fpheap_pool_destroy(h.pool, NULL);
        assert_int_equal(waited(), i < WAIT_NS / STEP_NS ? i
                                                         : WAIT_NS / STEP_NS);
        assert_int_equal(rc, i <= WAIT_NS / STEP_NS ? 0 : -EBUSY);
        if (rc != 0) {
            assert_true(h.pool->ending == 0);
            fph_slab_let_go(heap->state, h.slab);
            assert_int_equal(fpheap_pool_destroy(h.pool, NULL), 0);
        }
    }
    TEST_DESTROY_OVER(heap, &provider);
}

static void
end_a_move(void *heap)
{
    ((fpheap *)heap)->state->moves_ended++;
}

/* While another thread moves parked objects they may be counted as live. */
static void
a_pool_that_ends_waits_for_who_moves_its_objects(void **state)
{
    fpheap      *heap = test_heap_over(&provider);
    fpheap_pool *pool = named(heap, "moved", 0, NULL, NULL);
    void        *object = fpheap_pool_get(pool);
    size_t       live = 0;

    (void)state;
    heap->state->moves_begun++;
    begin_waiting(end_a_move, heap);
    assert_int_equal(fpheap_pool_destroy(pool, &live), -EBUSY);
    assert_int_equal(waited(), 1);
    assert_int_equal(live, 1);
    heap->state->moves_begun++;            /* one that does not end */
    begin_waiting(NULL, NULL);
    assert_int_equal(fpheap_pool_destroy(pool, &live), -EBUSY);
    assert_int_equal(waited(), WAIT_NS / STEP_NS);
    heap->state->moves_ended++;
    begin_waiting(NULL, NULL);
    assert_int_equal(fpheap_pool_destroy(pool, &live), -EBUSY);
    assert_int_equal(waited(), 0);
    fpheap_pool_put(pool, object);
    assert_int_equal(fpheap_pool_destroy(pool, &live), 0);
    assert_int_equal(waited(), 0);
    assert_int_equal(live, 0);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
look_for_it(void *heap, void *object)
{
    (void)object;
    errno = 0;
    assert_null(fpheap_pool_lookup((fpheap *)heap, "ending"));
    assert_int_equal(errno, ENOENT);
    destructed++;
}

static void
a_pool_that_ends_is_not_found(void **state)
{
    fpheap          *heap = test_heap_over(&provider);
    fpheap_pool_desc desc;
    fpheap_pool     *pool;

    (void)state;
    memset(&desc, 0, sizeof desc);
    desc.name = "ending";
    desc.size = 3000;
    desc.destruct = look_for_it;
    desc.arg = heap;
    pool = fpheap_pool_create(heap, &desc);
    fpheap_pool_put(pool, fpheap_pool_get(pool));
    assert_ptr_equal(fpheap_pool_lookup(heap, "ending"), pool);
    destructed = 0;
    assert_int_equal(fpheap_pool_destroy(pool, NULL), 0);
    assert_true(destructed > 0);
    TEST_DESTROY_OVER(heap, &provider);
}

/* --- what trims and reserves leave ---------------------------------------- */

/* A destructor that trims meets its own pass. */
static void
trim_inside(void *heap, void *object)
{
    (void)object;
    destructed++;
    fpheap_trim((fpheap *)heap);
}

static void
a_destructor_begins_no_pass_of_its_own(void **state)
{
    fpheap          *heap = test_heap_over(&provider);
    fpheap_pool_desc desc;
    fpheap_pool     *pool;

    (void)state;
    memset(&desc, 0, sizeof desc);
    desc.name = "trims";
    desc.size = 3000;
    desc.destruct = trim_inside;
    desc.arg = heap;
    pool = fpheap_pool_create(heap, &desc);
    fpheap_pool_put(pool, fpheap_pool_get(pool));
    assert_int_equal(heap->state->reclaims, 0);
    destructed = 0;
    fpheap_trim(heap);
    assert_true(destructed > 0);
    assert_int_equal(heap->state->reclaims, 1);
    fpheap_trim(heap);
    assert_int_equal(heap->state->reclaims, 2);
    TEST_DESTROY_OVER(heap, &provider);
}

/* Bytes are pages, the last one too if it is not all asked for. */
static void
a_part_of_a_page_is_reserved_as_a_page(void **state)
{
    fpheap *heap = test_heap_within(&provider, 4 * FPHEAP_CHUNK);
    void   *objects[4 * FPH_PAGES];
    size_t  n = 0, pages = 0;

    (void)state;
    while ((objects[n] = fpheap_alloc(heap, 8 * FPHEAP_PAGE + 1)) != NULL)
        n++;
    fpheap_free(heap, objects[--n]);
    fpheap_flush(heap);
    while (fpheap_reserve(heap, pages * FPHEAP_PAGE, 0) == 0)
        pages++;
    assert_true(pages > 9);
    pages--;                   /* as many as there are */
    assert_int_equal(fpheap_reserve(heap, pages * FPHEAP_PAGE - 1, 0), 0);
    assert_int_equal(fpheap_reserve(heap, pages * FPHEAP_PAGE + 1, 0), -ENOMEM);
    assert_int_equal(fpheap_reserve(heap, pages * FPHEAP_PAGE + 64, 0),
                     -ENOMEM);
    fpheap_free_bulk(heap, objects, (unsigned)n);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
a_pointer_into_free_pages_is_into_no_object(void **state)
{
    fpheap *heap = test_heap_over(&provider);
    char   *object = (char *)fpheap_alloc(heap, FPHEAP_CHUNK / 2 + 1);

    (void)state;
    assert_ptr_equal(fpheap_base_of(heap, object + FPHEAP_PAGE), object);
    fpheap_free(heap, object);
    fpheap_flush(heap);
    assert_null(fpheap_base_of(heap, object));
    assert_null(fpheap_base_of(heap, object + FPHEAP_PAGE));
    assert_false(fpheap_owns(heap, object));
    TEST_DESTROY_OVER(heap, &provider);
}

static void
a_look_for_pages_begins_where_the_last_found_none(void **state)
{
    fpheap    *heap = test_heap_over(&provider);
    fph_state *s = heap->state;
    size_t     first = fph_page_of(s, s->region[0].raw.base);
    size_t     page, taken = 0;
    unsigned   k;

    (void)state;
    while (fph_pages_find(heap, 0, 1, 1) != FPH_NO_PAGE)
        taken++;
    assert_int_equal(taken, 2 * FPH_PAGES);
    for (k = 1; k < FPH_LENGTHS - 1; k++)
        assert_int_equal(fph_pages_find(heap, 0, (size_t)1 << k, 1),
                         FPH_NO_PAGE);
    for (k = 0; k < FPH_LENGTHS - 1; k++)
        assert_int_equal(s->cursor[0][k], fph_positions(s));
    /* What is given lowers those of all lengths that it can serve. */
    fph_pages_give(s, first, 5);
    for (k = 0; k < FPH_LENGTHS - 1; k++)
        assert_int_equal(s->cursor[0][k],
                         k <= 2 ? fph_position_of(s, first / FPH_PAGES)
                                : fph_positions(s));
    page = fph_pages_find(heap, 0, 5, 1);
    assert_int_equal(page, first);
    fph_pages_give(s, first, 2 * FPH_PAGES);
    for (k = 0; k < FPH_LENGTHS; k++)
        assert_true(s->cursor[0][k] <= fph_position_of(s, first / FPH_PAGES));
    TEST_DESTROY_OVER(heap, &provider);
}

static int
count_region(void *count, const fpheap_region *region)
{
    (void)region;
    ++*(size_t *)count;
    return 0;
}

static int
visit_nothing(void *arg, const fpheap_object *object)
{
    (void)arg, (void)object;
    return 0;
}

/* Where the next region will be known, and the next thread's cache. */
static void
nobody_looks_behind_the_last_region_and_cache(void **state)
{
    fpheap       *heap = test_heap_over(&provider);
    fph_state    *s = heap->state;
    fpheap_cache **caches;
    fph_region   *behind;
    fpheap_stats  stats;
    fpheap_pool  *pool;
    fpheap_pool_stats numbers;
    void         *object = fpheap_alloc(heap, 64);
    size_t        shown = 0;

    (void)state;
    caches = s->cache;
    assert_true((char *)(caches + FPHEAP_MAX_THREADS + 1) <= (char *)(s + 1));
    caches[FPHEAP_MAX_THREADS] = (fpheap_cache *)8;
    behind = &s->region[fph_region_count(s)];
    behind->shown = FPH_HERE;
    behind->pinned = 1;
    behind->raw = s->region[0].raw;
    assert_null(fpheap_check(heap));
    assert_int_equal(fpheap_walk(heap, visit_nothing, NULL), 0);
    assert_int_equal(fpheap_region_walk(heap, count_region, &shown), 0);
    assert_int_equal(shown, fph_region_count(s));
    fpheap_stats_get(heap, &stats);
    assert_int_equal(fph_regions_fresh(heap), 0);
    assert_int_equal(fph_regions_release(heap, FPHEAP_ANY_NODE, 0, SIZE_MAX),
                     0);
    s->region[0].pinned = 0;
    assert_int_equal(fph_meta_beside(s, 1), FPH_NO_PAGE);
    s->region[0].pinned = 1;
    assert_int_equal(fpheap_trim(heap), 0);
    pool = named(heap, "pool", 0, NULL, NULL);
    fpheap_pool_put(pool, fpheap_pool_get(pool));
    fpheap_pool_stats_get(pool, &numbers);
    assert_int_equal(fpheap_pool_destroy(pool, NULL), 0);
    assert_true(behind->shown == FPH_HERE);
    fpheap_free(heap, object);
    fpheap_flush(heap);
    TEST_DESTROY_OVER(heap, &provider);
}

/* --- heaps ---------------------------------------------------------------- */

static void
the_longest_name_leaves_the_other_heaps_alone(void **state)
{
    static const char  text[] = "0123456789012345678901234567890\0\xff\xff";
    fpheap            *heap = test_heap_over(&provider);
    fpheap            *next = test_heap_over(&other_provider);
    fpheap             usual = *next;

    (void)state;
    assert_ptr_equal(next, heap + 1);
    TEST_DESTROY_OVER(heap, &provider);
    assert_int_equal(strlen(text), FPHEAP_NAME_BYTES - 1);
    assert_ptr_equal(fpheap_create(text, NULL), heap);
    assert_string_equal(heap->name, text);
    assert_memory_equal(next, &usual, sizeof usual);
    TEST_DESTROY(heap);
    TEST_DESTROY_OVER(next, &other_provider);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_deadline_is_the_time_and_the_wait),
    cmocka_unit_test(runs_of_pages_are_found_as_by_looking_at_each),
    cmocka_unit_test(a_length_is_that_of_all_up_to_a_power_of_two),
    cmocka_unit_test(a_mask_has_the_bits_of_its_pages_and_objects),
    cmocka_unit_test(the_highest_bits_of_a_word_are_taken_as_many_as_asked),
    cmocka_unit_test(a_tag_goes_through_all_numbers),
    cmocka_unit_test(a_heap_is_quiet_when_no_move_is_open),
    cmocka_unit_test(
        a_record_takes_whole_lines_and_a_block_is_used_to_its_end),
    cmocka_unit_test(a_record_may_be_longer_than_a_chunk),
    cmocka_unit_test(the_tables_lie_one_behind_the_other),
    cmocka_unit_test(regions_may_touch_and_not_overlap),
    cmocka_unit_test(bytes_are_charged_up_to_the_limit_and_no_further),
    cmocka_unit_test(
        a_provider_that_refuses_is_asked_for_half_and_half_again),
    cmocka_unit_test(a_provider_that_writes_no_region_gave_none),
    cmocka_unit_test(no_more_chunks_are_asked_for_than_there_can_be),
    cmocka_unit_test(blocks_of_records_are_short_while_memory_is),
    cmocka_unit_test(pages_behind_the_last_record_are_spare),
    cmocka_unit_test(the_longest_growth_is_timed),
    cmocka_unit_test(who_needs_memory_waits_for_the_one_that_grows),
    cmocka_unit_test(what_a_thread_is_in_is_of_its_heap_and_its_pool),
    cmocka_unit_test(thread_node_does_not_end_its_heap),
    cmocka_unit_test(who_reclaims_waits_for_nobody_and_has_no_ticket),
    cmocka_unit_test(growth_that_has_happened_meanwhile_is_growth),
    cmocka_unit_test(a_pass_pays_from_a_chunk_on),
    cmocka_unit_test(who_fails_looks_again_only_while_others_move),
    cmocka_unit_test(a_limit_has_room_for_what_goes_back_as_well),
    cmocka_unit_test(a_search_takes_the_parked_large_object_back),
    cmocka_unit_test(
        a_call_waits_for_all_others_together_no_longer_than_for_one),
    cmocka_unit_test(one_deadline_holds_for_all_that_a_call_waits_for),
    cmocka_unit_test(a_move_that_stays_is_waited_for_once),
    cmocka_unit_test(
        a_call_that_fails_again_asks_the_provider_once_and_waits_for_nobody),
    cmocka_unit_test(an_exchange_with_the_depot_does_not_call_the_provider),
    cmocka_unit_test(what_all_depots_of_a_node_park_counts),
    cmocka_unit_test(what_a_pool_keeps_does_not_count_as_worth_a_pass),
    cmocka_unit_test(a_magazine_is_taken_where_it_is_missed_least),
    cmocka_unit_test(a_free_without_memory_takes_a_magazine_of_a_depot),
    cmocka_unit_test(
        after_a_pass_of_another_thread_a_cache_goes_to_the_slabs),
    cmocka_unit_test(a_flush_of_nothing_is_no_move),
    cmocka_unit_test(half_of_a_full_magazine_is_loaded),
    cmocka_unit_test(memory_for_a_cache_is_got_by_who_allocates),
    cmocka_unit_test(
        a_large_object_is_parked_up_to_two_chunks_and_an_eighth),
    cmocka_unit_test(
        hugepages_are_asked_for_as_the_flags_say_and_after_8_mib),
    cmocka_unit_test(reserved_hugepages_have_the_size_that_the_flag_names),
    cmocka_unit_test(
        where_a_hugepage_cannot_be_written_other_pages_serve_and_it_is_left),
    cmocka_unit_test(without_hugepages_of_a_gigabyte_come_those_of_2_mib),
    cmocka_unit_test(where_mmap_gives_an_aligned_place_no_more_is_mapped),
    cmocka_unit_test(
        what_cannot_be_unmapped_stays_in_the_region_and_goes_back_with_it),
    cmocka_unit_test(
        a_backing_is_thp_where_the_kernel_may_give_some_and_else_pages),
    cmocka_unit_test(who_has_looked_has_the_name_at_once),
    cmocka_unit_test(nobody_waits_for_a_name),
    cmocka_unit_test(a_pool_that_ends_waits_for_who_has_a_slab),
    cmocka_unit_test(a_pool_that_ends_waits_for_who_moves_its_objects),
    cmocka_unit_test(a_destructor_begins_no_pass_of_its_own),
    cmocka_unit_test(a_part_of_a_page_is_reserved_as_a_page),
    cmocka_unit_test(a_pointer_into_free_pages_is_into_no_object),
    cmocka_unit_test(what_was_freed_last_stays_with_the_thread),
    cmocka_unit_test(a_heap_that_another_thread_destroys_leaves_no_cache),
    cmocka_unit_test(a_pool_with_a_minimum_has_its_magazines_ready),
    cmocka_unit_test(a_trim_leaves_the_minimum_of_a_pool),
    cmocka_unit_test(only_the_pools_own_objects_are_shown),
    cmocka_unit_test(a_dump_has_the_longest_name_of_a_pool),
    cmocka_unit_test(nobody_looks_behind_the_last_region_and_cache),
    cmocka_unit_test(a_pool_that_ends_is_not_found),
    cmocka_unit_test(a_sized_free_goes_to_the_objects_own_node),
    cmocka_unit_test(an_aligned_object_of_no_bytes_is_a_small_one),
    cmocka_unit_test(one_object_needs_no_magazine),
    cmocka_unit_test(a_look_for_pages_begins_where_the_last_found_none),
    cmocka_unit_test(a_private_area_serves_the_next_pool_if_it_is_large_enough),
    cmocka_unit_test(a_name_of_which_half_is_written_is_none),
    cmocka_unit_test(each_bit_of_a_word_is_a_pointer),
    cmocka_unit_test(a_region_that_is_not_aligned_serves),
    cmocka_unit_test(a_magazine_is_small_against_the_pools_maximum),
    cmocka_unit_test(a_put_of_null_puts_nothing),
    cmocka_unit_test(the_longest_name_leaves_the_other_heaps_alone)
};

int
main(void)
{
    fph_map_next = FPHEAP_CHUNK; /* the address to try: no look for one */
    return cmocka_run_group_tests_name("internals", tests, NULL, NULL);
}
