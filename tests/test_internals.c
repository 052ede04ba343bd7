/* test_internals.c - parts of the heap by themselves
 *
 * Small functions for all that they may be asked, against a plain version of
 * them; numbers at both sides of each bound; what a page, a record, a charge or
 * a pool's name is after one step.
 */
static void note_store(const volatile void *word);
#define __atomic_store_n(p, v, order) \
    (note_store(p), __atomic_store_n(p, v, order))
#define FPHEAP_CHUNK_SHIFT 16
#include "system_memory.h"

#define FPHEAP_MAX_NODES   2
#define FPHEAP_MAX_THREADS 61  /* that do not fill the state's last line */
#define FPHEAP_IMPLEMENTATION
#include "fpheap.h"
#include "pool_util.h"

static test_provider other_provider;

static unsigned destructed;    /* objects */

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

/* All runs longer than a chunk share the last. */
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
    assert_int_equal(fph_length(SIZE_MAX / 2 + 1), FPH_LENGTHS - 1);
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

/* The highest comes first; a word in which all are set takes another path. */
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

/* It recurs after 2^32 changes of its stack, and no sooner. */
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
    system_is_out = 1;         /* so that it is of a page */
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
    system_is_out = 0;
    TEST_DESTROY_OVER(heap, &provider);
}

/* The numbers of blocks go on when there is no more room for blocks. */
static void
no_number_behind_the_last_is_of_a_block(void **state)
{
    fpheap    *heap = test_heap_over(&provider);
    fph_state *s = heap->state;
    uint64_t   used;
    size_t     at = 0, blocks = 0;

    (void)state;
    fpheap_free(heap, fpheap_alloc(heap, 100));
    assert_non_null(s->cache[0]);             /* it lies behind the blocks */
    while (fph_block_next(s, &at) != NULL)
        blocks++;
    used = s->meta_numbers;
    s->meta_numbers = FPH_TABLE_MAX + 1;
    for (at = 0; fph_block_next(s, &at) != NULL; )
        blocks--;
    assert_int_equal(blocks, 0);
    s->meta_numbers = used;
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

static void
a_table_takes_whole_lines(void **state)
{
    fph_layout it;

    (void)state;
    memset(&it, 0, sizeof it);
    assert_int_equal(fph_layout_add(&it, 1, 1), 0);
    assert_int_equal(fph_layout_add(&it, 2, 32), FPH_LINE);
    assert_int_equal(fph_layout_add(&it, 1, 63), 2 * FPH_LINE);
    assert_int_equal(fph_layout_add(&it, 5, 13), 3 * FPH_LINE);
    assert_int_equal(fph_layout_add(&it, 0, 13), 5 * FPH_LINE);
    assert_int_equal(it.bytes, 5 * FPH_LINE);
}

#if FPHEAP_SHARED
/* In a partition of few chunks no more than one for each of them. */
static void
a_heap_has_places_for_as_many_regions_as_it_may_have(void **state)
{
    fpheap heap;

    (void)state;
    memset(&heap, 0, sizeof heap);
    heap.nodes = heap.bins = 1;
    assert_int_equal(fph_layout_of(&heap, 1).regions, FPH_TABLE_MAX);
    assert_int_equal(fph_layout_of(&heap, FPH_TABLE_MAX + 1).regions,
                     FPH_TABLE_MAX);
    heap.partition = (fph_partition *)(void *)&heap;
    assert_int_equal(fph_layout_of(&heap, 1).regions, 1);
    assert_int_equal(fph_layout_of(&heap, FPH_TABLE_MAX - 1).regions,
                     FPH_TABLE_MAX - 1);
    assert_int_equal(fph_layout_of(&heap, FPH_TABLE_MAX + 1).regions,
                     FPH_TABLE_MAX);
}
#endif

/* Each is as long as its contents and has lines of its own; no two overlap. */
static void
the_tables_lie_one_behind_the_other(void **state)
{
    fpheap *heap = test_heap_over(&provider);
    size_t  chunks;

    (void)state;
    for (chunks = 1; chunks < 300; chunks++) {
        fph_layout   it = fph_layout_of(heap, chunks);
        const size_t at[] = { 0, FPH_STATE_GUARD, it.depots, it.empty, it.region,
                              it.group, it.group_at, it.free, it.chunk, it.map,
                              it.bytes - FPH_GUARD_END };
        const size_t bytes[] = {
            FPH_STATE_GUARD, sizeof(fph_state), heap->bins * sizeof(fph_depot),
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

static int
take_back(void *ctx, const fpheap_region *raw)
{
    (void)ctx, (void)raw;
    return 0;
}

/* What is charged when so many bytes come where others were asked for. */
static int
recharge(const fpheap *heap, size_t asked, size_t bytes)
{
    fpheap_region raw;

    memset(&raw, 0, sizeof raw);
    raw.bytes = bytes;
    return fph_recharge(heap, &raw, asked);
}

/* Whether one of the places in these pages will do, by looking at each. */
static int
some_place_serves(size_t first, size_t pages, fph_need need)
{
    size_t at;

    for (at = first; at + need.pages <= first + pages; at++)
        if (at % need.align == 0
            && (!need.whole || need.pages > FPH_PAGES
                || at / FPH_PAGES == (at + need.pages - 1) / FPH_PAGES))
            return 1;
    return 0;
}

static void
memory_serves_if_there_is_a_place_in_it(void **state)
{
    fph_need need = { 0, 0, 0, NULL };
    size_t   first, pages;

    (void)state;
    for (need.whole = 0; need.whole < 2; need.whole++)
        for (need.align = 1; need.align <= FPH_PAGES; need.align *= 4)
            for (need.pages = 1; need.pages < 2 * FPH_PAGES;
                 need.pages += need.pages == 1 ? 1 : 3)
                for (first = 1; first <= FPH_PAGES; first++)
                    for (pages = 1; pages < 3 * FPH_PAGES; pages++)
                        assert_int_equal(
                            fph_serves((char *)(first << FPHEAP_PAGE_SHIFT),
                                       pages, need),
                            some_place_serves(first, pages, need));
}

static void
bytes_are_charged_up_to_the_limit_and_no_further(void **state)
{
    fpheap    *heap = test_heap_over(&provider);
    fph_state *s = heap->state;
    uint64_t   had = test_charged(heap);
    fpheap_region raw;

    (void)state;
    memset(&raw, 0, sizeof raw);
    fpheap_set_limit(heap, had + 1000);
    assert_int_equal(fph_charge(s, 1001), 0);
    assert_true(test_charged(heap) == had);
    assert_int_equal(fph_charge(s, 1000), 1);
    assert_true(test_charged(heap) == had + 1000);
    assert_int_equal(fph_charge(s, 1), 0);
    assert_int_equal(fph_charge(s, 0), 1);
    assert_int_equal(recharge(heap, 1000, 1000), 0);
    assert_true(test_charged(heap) == had + 1000);
    heap->provider.put = take_back;
    assert_int_equal(recharge(heap, 1000, 1001), -ENOSPC);
    heap->provider.put = provider.calls.put;
    assert_true(test_charged(heap) == had);
    assert_int_equal(fph_charge(s, 1000), 1);
    assert_int_equal(recharge(heap, 1000, 400), 0);
    assert_true(test_charged(heap) == had + 400);
    assert_int_equal(recharge(heap, 400, 900), 0);
    assert_true(test_charged(heap) == had + 900);
    heap->provider.put = NULL;             /* it is used beyond the limit */
    raw.bytes = 1001;
    assert_int_equal(fph_recharge(heap, &raw, 900), 0);
    assert_true(test_charged(heap) == had + 1001);
    heap->provider.put = provider.calls.put;
    fpheap_set_limit(heap, had);           /* less than it has */
    assert_int_equal(fph_charge(s, 0), 0);
    assert_int_equal(recharge(heap, 1001, 1001), 0);
    fpheap_set_limit(heap, 0);
    assert_int_equal(fph_charge(s, SIZE_MAX / 4), 1);
    fph_uncharge(s, SIZE_MAX / 4 + 1001);
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

/* Note what is asked for, and answer so, until the caller puts the provider
 * that this returns back. */
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
    /* It claims to have given memory at an address that cannot be used, so
     * in the end it is asked for more, with room to align it. */
    listen(heap, 0);
    heap->state->growth_cap[0] = 0;
    assert_int_equal(fph_obtain(heap, 0, fph_need_of(heap, 3 * FPH_PAGES, 1),
                                7, &raw), -EFAULT);
    assert_int_equal(asks, 3);
    assert_memory_equal(asked, aligned, sizeof aligned);
    heap->provider = usual;
    TEST_DESTROY_OVER(heap, &provider);
}

/* What the provider has not written into the region is not taken for memory
 * that it gave. */
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
#if UINTPTR_MAX > 0xffffffff
    assert_int_equal(fph_obtain_bytes(heap, 0, need, most, &raw), -ENOSPC);
#endif
    assert_int_equal(fph_obtain_bytes(heap, 0, need, SIZE_MAX, &raw), -ENOMEM);
    assert_int_equal(asks, 0);
    assert_int_equal(fph_obtain_bytes(heap, 0, need, most / 2, &raw), -ENOMEM);
    assert_int_equal(asks, 1);
    assert_int_equal(asked[0], most / 2);
    heap->provider = usual;
    TEST_DESTROY_OVER(heap, &provider);
}

/* Any base will do; parts of pages are waste. */
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

/* --- pools ---------------------------------------------------------------- */

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

/* Each word of it counts, and that the pool has one. */
static void
names_that_differ_in_any_byte_are_two(void **state)
{
    fpheap  *heap = test_heap_over(&provider);
    char     text[FPHEAP_NAME_BYTES] = "0123456789012345678901234567890";
    unsigned i, what;

    (void)state;
    renamed = heap->state;
    assert_non_null(named(heap, text, 0, NULL, NULL));
    assert_true(is_the_first(text));
    for (i = 0; i < FPHEAP_NAME_BYTES - 1; i++) {
        text[i]++;
        assert_false(is_the_first(text));
        text[i]--;
    }
    for (what = FPH_POOL_FREE; what <= FPH_POOL_READY; what++) {
        fph_name name = fph_name_of(text);
        uint64_t is   = (uint64_t)8 * 1000 + what;

        renamed->pool_is[0] = is;
        assert_true(fph_pool_named(renamed, 0, &name)
                    == (what < FPH_POOL_WANTS ? 0 : is));
    }
    TEST_DESTROY_OVER(heap, &provider);
}

/* It holds a 16th of what may be claimed, but at least two. */
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

/* Create a pool with a private area and destroy it.  Returns the area;
 * *lines is how many lines of records the pool took. */
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

/* One for each that the minimum fills, and two more: the loaded one and the
 * spare. */
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

/* In the child of a fork they may have parked the pool's objects; this thread's
 * are left to it. */
static void
a_pool_that_ends_has_the_caches_of_gone_threads_emptied(void **state)
{
    fpheap      *heap = test_heap_over(&provider);
    fpheap_pool *pool = named(heap, "forked", 0, NULL, NULL);
    size_t       live = 9;

    (void)state;
    fpheap_pool_put(pool, fpheap_pool_get(pool));
    heap->state->orphans = fph_this.seat;
    assert_int_equal(fpheap_pool_destroy(pool, &live), 0);
    assert_int_equal(live, 0);
    assert_int_equal(heap->state->orphans, 0);
    TEST_DESTROY_OVER(heap, &provider);
}

/* Of a pool with a minimum, when it has that without a slab, and a slab's
 * objects are in no thread's reach. */
static void
a_pool_looks_for_empty_slabs_when_it_can_spare_one(void **state)
{
    fpheap          *heap = test_heap_over(&provider);
    fpheap_pool_desc desc;
    fpheap_pool     *pool;
    unsigned         bin, more;
    size_t           count, objects;
    uint64_t         quota;

    (void)state;
    memset(&desc, 0, sizeof desc);
    desc.name = "spare";
    desc.size = 3000;
    desc.min = 5;
    pool = fpheap_pool_create(heap, &desc);
    assert_non_null(pool);
    bin = FPH_SIZES + pool->number;
    count = fph_bin_class(heap->state, bin)->count;
    objects = pool->objects;
    quota = pool->quota;
    for (more = 0; more < 4; more++) {
        size_t spare = more < 2 ? more + count - 1 : 3 * count;
        size_t none  = more < 2 ? spare : more - 2 + count - 1;

        pool->objects = desc.min + spare;
        pool->quota = pool->objects - none;
        assert_int_equal(fph_bin_has_empty(heap->state, bin), more % 2);
    }
    pool->objects = objects;
    pool->quota = quota;
    assert_int_equal(fpheap_pool_destroy(pool, NULL), 0);
    TEST_DESTROY_OVER(heap, &provider);
}

static fpheap *
heap_of_two_nodes(void)
{
    fpheap_config config;
    fpheap       *heap;

    memset(&config, 0, sizeof config);
    test_provider_init(&provider);
    config.provider = &provider.calls;
    config.nodes = 2;
    heap = fpheap_create("nodes", &config);
    assert_non_null(heap);
    return heap;
}

/* Whatever the pool before it was that had its number. */
static void
objects_of_any_node_go_to_the_bins_of_their_own(void **state)
{
    fpheap  *heap = heap_of_two_nodes();
    unsigned round;

    (void)state;
    for (round = 0; round < 4; round++) {
        fpheap_pool_desc desc = described("any", 100, 0);
        fpheap_pool     *pool;

        desc.flags = round % 2 ? FPHEAP_ON_NODE : 0;
        desc.node = 1;
        pool = fpheap_pool_create(heap, &desc);
        assert_non_null(pool);
        assert_int_equal(pool->number, 0);
        assert_int_equal(pool->one_bin, round % 2);
        assert_int_equal(fpheap_pool_destroy(pool, NULL), 0);
    }
    TEST_DESTROY_OVER(heap, &provider);
    heap = test_heap_over(&provider);
    assert_int_equal(named(heap, "one", 0, NULL, NULL)->one_bin, 1);
    TEST_DESTROY_OVER(heap, &provider);
}

/* A pool is everybody's. */
static void
the_record_of_a_pool_is_of_the_first_node(void **state)
{
    fpheap      *heap = heap_of_two_nodes();
    fpheap_pool *pool;
    int          node, error = 0;

    (void)state;
    for (node = 1; node >= 0; node--)
        assert_int_equal(fpheap_reserve(heap, FPHEAP_CHUNK, node), 0);
    while (fph_meta_cut(heap->state, FPH_LINE) != 0)
        ;                      /* the block is used up */
    system_is_out = 1;         /* so that the next does not lie apart */
    pool = fph_pool_record(heap, 3, &error);
    system_is_out = 0;
    assert_non_null(pool);
    assert_int_equal(fph_chunk_of(heap->state, pool)->node, 0);
    TEST_DESTROY_OVER(heap, &provider);
}

/* A stack's records. */
static unsigned
stacked(const fph_state *s, const fph_word *stack)
{
    const fph_link *link = fph_stack_top(s, stack);
    unsigned        n = 0;

    for (; link != NULL; link = fph_stack_below(s, link))
        n++;
    return n;
}

static void
magazines_come_from_a_block_from_another_or_not_at_all(void **state)
{
    fpheap    *heap = heap_of_two_nodes();
    fph_state *s = heap->state;
    uint64_t   block;

    (void)state;
    while (fph_meta_cut(s, FPH_LINE) != 0)
        ;
    block = fph_meta_block(s);
    assert_int_equal(fph_magazines_add(heap, 1, 2), 0);
    assert_int_equal(fph_meta_block(s), block + 1);
    assert_int_equal(stacked(s, &s->empty[1].word), 2);
    assert_int_equal(stacked(s, &s->empty[0].word), 0);
    while (fph_meta_cut(s, FPH_LINE) != 0)
        ;
    while (fph_pages_find(heap, 0, 1, 1) != FPH_NO_PAGE)
        ;
    system_is_out = 1;
    provider.limit_bytes = provider.held_bytes;
    provider.error = -EIO;
    assert_int_equal(fph_magazines_add(heap, 1, 2), -EIO);
    assert_int_equal(stacked(s, &s->empty[1].word), 2);
    system_is_out = 0;
    assert_int_equal(fph_magazines_add(heap, 1, 1), 0);
    assert_int_equal(stacked(s, &s->empty[1].word), 3);
    fph_pages_give(s, fph_page_of(s, provider.grant[0].region.base),
                   2 * FPH_PAGES);
    provider.limit_bytes = 0;
    TEST_DESTROY_OVER(heap, &provider);
}

/* --- pages, and what lies behind the last --------------------------------- */

/* Bytes are rounded up to pages. */
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
    /* Pages that come back lower the cursors of all lengths that they can
     * serve. */
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

/* What stands where the next region and the next thread's cache will be
 * entered. */
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
    behind->raw = s->region[0].raw;
    assert_null(fpheap_check(heap));
    assert_int_equal(fpheap_walk(heap, visit_nothing, NULL), 0);
    assert_int_equal(fpheap_region_walk(heap, count_region, &shown), 0);
    assert_int_equal(shown, fph_region_count(s));
    fpheap_stats_get(heap, &stats);
    assert_int_equal(fph_regions_fresh(heap), 0);
    assert_int_equal(fph_regions_release(heap, FPHEAP_ANY_NODE, 0, SIZE_MAX),
                     0);
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

#if FPHEAP_SHARED
static void
when_all_caches_have_a_place_there_is_none_for_another(void **state)
{
    fpheap        *heap = test_heap_over(&provider);
    fph_state     *s = heap->state;
    fpheap_cache **caches = s->cache;
    fpheap_cache  *usual[FPHEAP_MAX_THREADS + 1];
    unsigned       i;

    (void)state;
    memcpy(usual, caches, sizeof usual);
    for (i = 0; i < FPHEAP_MAX_THREADS; i++)
        caches[i] = (fpheap_cache *)8;
    caches[i] = NULL;                         /* not a place */
    assert_int_equal(fph_slot_show(s, (fpheap_cache *)16), 0);
    assert_null(caches[i]);
    caches[i - 1] = NULL;
    assert_int_equal(fph_slot_show(s, (fpheap_cache *)16), 1);
    assert_true(caches[i - 1] == (fpheap_cache *)16);
    memcpy(caches, usual, sizeof usual);
    TEST_DESTROY_OVER(heap, &provider);
}
#endif

static void
ignore_crossing(void *arg, fpheap *heap, fpheap_pool *pool, int room)
{
    (void)arg, (void)heap, (void)pool, (void)room;
}

/* Whoever looked at the last pool's may be about to note one. */
static void
no_crossing_of_a_pool_is_one_of_the_pool_before(void **state)
{
    fpheap          *heap = test_heap_over(&provider);
    fpheap_pool_desc desc = described("pool", 100, 0);
    uint64_t         last = 0;
    void            *object[14];
    unsigned         i;

    (void)state;
    desc.max = 16;
    desc.water.low = 4;
    desc.water.high = 8;
    desc.water.crossed = ignore_crossing;
    for (i = 0; i < 6; i++) {
        fpheap_pool *pool = fpheap_pool_create(heap, &desc);
        fph_water   *water;
        uint64_t     first;
        unsigned     n;

        assert_non_null(pool);
        water = &heap->state->water[1 + pool->number];
        first = water->is / FPH_CROSSING;
        assert_true(first % 2 == 0 && first > last);
        for (n = 0; i % 2 != 0 && n < TEST_COUNT(object); n++)
            object[n] = fpheap_pool_get(pool);
        while (n-- > 0)
            fpheap_pool_put(pool, object[n]);
        assert_int_equal(water->is / FPH_CROSSING - first, i % 2 * 2);
        if (i % 4 == 3)        /* as a thread does that finds little left */
            water->is += FPH_CROSSING;
        last = water->is / FPH_CROSSING;
        assert_int_equal(fpheap_pool_destroy(pool, NULL), 0);
        assert_int_equal(water->is % (2 * FPH_CROSSING), 0);
    }
    TEST_DESTROY_OVER(heap, &provider);
}

static void
who_makes_a_pool_has_a_cache_even_if_the_heap_must_grow(void **state)
{
    fpheap      *heap = test_heap_over(&provider);
    fpheap_pool *pool;

    (void)state;
    system_is_out = 1;         /* so that no record lies apart */
    pool = named(heap, "pool", 0, NULL, NULL);
    system_is_out = 0;
    assert_non_null(pool);
    assert_non_null(fph_cache_mine(heap));
    assert_int_equal(fpheap_pool_destroy(pool, NULL), 0);
    TEST_DESTROY_OVER(heap, &provider);
    heap = test_heap_over(&provider);
    while (fph_pages_find(heap, 0, 1, 1) != FPH_NO_PAGE)
        ;
    while (fph_meta_cut(heap->state, FPH_LINE) != 0)
        ;
    system_is_out = 1;
    assert_int_equal(fpheap_reserve(heap, FPHEAP_CHUNK, FPHEAP_ANY_NODE), 0);
    system_is_out = 0;
    assert_non_null(fph_cache_mine(heap));
    fph_pages_give(heap->state,
                   fph_page_of(heap->state, provider.grant[0].region.base),
                   2 * FPH_PAGES);
    TEST_DESTROY_OVER(heap, &provider);
}

/* --- heaps ---------------------------------------------------------------- */

/* What fpheap_create says of a configuration; 0: nothing. */
static int
refused(const char *name, const fpheap_config *config)
{
    fpheap *heap;

    errno = 0;
    heap = fpheap_create(name, config);
    if (heap == NULL)
        return -errno;
    assert_int_equal(fpheap_destroy(heap), 0);
    return 0;
}

static void
ignore(void *arg, fpheap *heap, fpheap_pool *pool, int low)
{
    (void)arg, (void)heap, (void)pool, (void)low;
}

static int
node_zero(void *ctx)
{
    (void)ctx;
    return 0;
}

/* To both sides of each bound. */
static void
a_configuration_has_bounds_in_each_field(void **state)
{
    const size_t  least = FPHEAP_CHUNK;
    char          name[FPHEAP_NAME_BYTES + 1];
    fpheap_config config;

    (void)state;
    memset(name, 'n', sizeof name);
    name[FPHEAP_NAME_BYTES] = '\0';
    assert_int_equal(refused(name, NULL), -ENAMETOOLONG);
    assert_int_equal(refused(name + 1, NULL), 0);
    memset(&config, 0, sizeof config);
    config.nodes = FPHEAP_MAX_NODES;
    assert_int_equal(refused("nodes", &config), 0);
    config.nodes++;
    assert_int_equal(refused("nodes", &config), -EINVAL);
    config.nodes = 0;
    config.flags = FPHEAP_SPILL;
    assert_int_equal(refused("flags", &config), 0);
    config.flags = FPHEAP_SPILL | FPHEAP_SPILL << 1;
    assert_int_equal(refused("flags", &config), -EINVAL);
    config.flags = ~FPHEAP_SPILL & 1;
    assert_int_equal(refused("flags", &config), config.flags ? -EINVAL : 0);
    config.flags = 0;
    config.growth_max = 1;
    assert_int_equal(refused("growth", &config), -EINVAL);
    config.growth_max = least - 1;
    assert_int_equal(refused("growth", &config), -EINVAL);
    config.growth_max = least;
    assert_int_equal(refused("growth", &config), 0);
    config.growth_max = 0;
    config.limit = 1;
    assert_int_equal(refused("limit", &config), -EINVAL);
    config.limit = 2 * least - 1;
    assert_int_equal(refused("limit", &config), -EINVAL);
    config.limit = 2 * least;
    assert_int_equal(refused("limit", &config), 0);
    config.water.low = 1;
    config.water.high = 2 * least + 1;
    config.water.crossed = ignore;
    assert_int_equal(refused("water", &config), -EINVAL);
    config.water.high--;
    assert_int_equal(refused("water", &config), 0);
}

static void
a_child_asks_for_no_less_than_its_unit_and_no_more_nodes(void **state)
{
    const size_t  least = (size_t)FPH_CHILD_UNIT << FPHEAP_PAGE_SHIFT;
    fpheap       *heap = heap_of_two_nodes(), *child;
    fpheap_config config;
    fpheap_provider none;

    (void)state;
    memset(&none, 0, sizeof none);
    memset(&config, 0, sizeof config);
    config.provider = &none;
    assert_int_equal(refused("get", &config), -EINVAL);
    config.provider = &provider.calls;
    config.parent = heap;
    assert_int_equal(refused("both", &config), -EINVAL);
    config.provider = NULL;
    assert_int_equal(refused("child", &config), 0);
    config.growth_max = least - 1;
    assert_int_equal(refused("child", &config), -EINVAL);
    config.growth_max = least;
    config.limit = 2 * least - 1;
    assert_int_equal(refused("child", &config), -EINVAL);
    config.limit = 2 * least;
    assert_int_equal(refused("child", &config), 0);
    config.nodes = heap->nodes;
    assert_int_equal(fph_config_error("child", &config), 0);
#if FPHEAP_SHARED
    heap->partition = (fph_partition *)(void *)heap; /* it is not looked at */
    assert_int_equal(fph_config_error("child", &config), -EINVAL);
    heap->partition = NULL;
#endif
    config.nodes = 1;
    child = fpheap_create("child", &config);
    assert_non_null(child);
    assert_int_equal(child->growth_max, least);
    assert_int_equal(child->unit, FPH_CHILD_UNIT);
    assert_true(child->parent == heap && child->nodes == 1);
    assert_int_equal(child->sized_max, FPH_SIZED_MAX);
    config.parent = child;
    config.nodes = 2;
    assert_int_equal(refused("grandchild", &config), -EINVAL);
    config.nodes = 0;
    config.thread_node = node_zero;
    assert_int_equal(refused("grandchild", &config), 0);
    assert_int_equal(fpheap_destroy(child), 0);
    TEST_DESTROY_OVER(heap, &provider);
}

static int
see_nothing(void *ctx, const fpheap_region *region, int leaving)
{
    (void)ctx, (void)region, (void)leaving;
    return 0;
}

static void
decommit_nothing(void *ctx, void *base, size_t bytes)
{
    (void)ctx, (void)base, (void)bytes;
}

static int
huge_nowhere(void *ctx, void *chunk, size_t bytes, fpheap_huge what)
{
    (void)ctx, (void)chunk, (void)bytes, (void)what;
    return 0;
}

/* All that is not configured is as if this handle had never had a heap. */
static void
a_handle_is_what_the_configuration_says(void **state)
{
    fpheap_config config;
    fpheap       *heap = fpheap_create("default", NULL);
    int           ctx;

    (void)state;
    assert_int_equal(heap->growth_max, (size_t)1 << 30);
    assert_int_equal(heap->unit, FPH_PAGES);
    assert_true(heap->nodes == 1 && heap->bins == FPH_CLASSES);
    assert_int_equal(heap->sized_max, FPH_SIZED_MAX);
    assert_null(heap->provider.ctx); /* no flags */
    assert_true(heap->provider.get != NULL && heap->parent == NULL);
    assert_true(heap->flags == 0 && heap->thread_node == NULL);
    TEST_DESTROY(heap);
    memset(&config, 0, sizeof config);
    test_provider_init(&provider);
    provider.calls.decommit = decommit_nothing;
    provider.calls.huge = huge_nowhere;
    config.provider = &provider.calls;
    config.thread_node = node_zero;
    config.thread_node_ctx = &ctx;
    config.flags = FPHEAP_SPILL;
    assert_non_null(heap = fpheap_create("no nodes", &config));
    assert_int_equal(heap->nodes, 1);
    TEST_DESTROY_OVER(heap, &provider);
    config.nodes = FPHEAP_MAX_NODES;
    heap = fpheap_create("most nodes", &config);
    assert_non_null(heap);
    assert_int_equal(heap->nodes, FPHEAP_MAX_NODES);
    assert_int_equal(heap->bins, FPHEAP_MAX_NODES * FPH_CLASSES);
    assert_int_equal(heap->sized_max, FPHEAP_MAX_NODES == 1 ? FPH_SIZED_MAX
                                                            : 0);
    assert_true(heap->thread_node == node_zero);
    assert_ptr_equal(heap->thread_node_ctx, &ctx);
    assert_int_equal(heap->flags, FPHEAP_SPILL);
    assert_string_equal((const char *)heap->name, "most nodes");
    assert_true(heap->provider.decommit == decommit_nothing);
    assert_true(heap->provider.huge == huge_nowhere);
    TEST_DESTROY_OVER(heap, &provider);
    provider.calls.flags = FPHEAP_PARTS | FPHEAP_ZEROES;
    config.watch = see_nothing;
    config.watch_ctx = &provider;
    heap = fpheap_create("watched", &config);
    assert_non_null(heap);
    assert_true(heap->watch == see_nothing && heap->watch_ctx == &provider);
    assert_int_equal(heap->provider.flags, FPHEAP_ZEROES);
    assert_true(heap->provider.decommit == NULL && heap->provider.huge == NULL);
    TEST_DESTROY_OVER(heap, &provider);
}

/* It asks for two units, or for one, and at most for what the limit has. */
static void
a_heap_begins_with_two_units_or_one(void **state)
{
    fpheap *heap = test_heap_over(&provider);
    fph_state *s = heap->state;
    fpheap_config config;

    (void)state;
    assert_int_equal(provider.gets, 1);
    assert_int_equal(provider.grant[0].asked, 2 * FPHEAP_CHUNK);
    assert_int_equal(provider.grant[0].node, 0);
    assert_int_equal(s->number, heap - fph_heaps);
    assert_true(s->growths == 1 && s->alone == 0 && s->limit == 0);
    assert_int_equal(s->left, INT64_MAX - 2 * FPHEAP_CHUNK);
    TEST_DESTROY_OVER(heap, &provider);
    memset(&config, 0, sizeof config);
    config.provider = &provider.calls;
    config.limit = 2 * FPHEAP_CHUNK;
    test_provider_init(&provider);
    provider.limit_bytes = FPHEAP_CHUNK;
    heap = fpheap_create("one", &config);
    assert_non_null(heap);
    assert_true(provider.gets == 2 && provider.held_bytes == FPHEAP_CHUNK);
    assert_int_equal(heap->state->limit, 2 * FPHEAP_CHUNK);
    assert_int_equal(heap->state->left, FPHEAP_CHUNK);
    TEST_DESTROY_OVER(heap, &provider);
    test_provider_init(&provider);
    provider.extra = 1;        /* beyond the limit */
    assert_int_equal(refused("more", &config), -ENOSPC);
    assert_true(provider.held == 0 && provider.gets == 1);
    test_provider_init(&provider);
    assert_int_equal(refused("as much", &config), 0);
}

static uint64_t
some_iova(void *ctx, const void *chunk)
{
    (void)ctx;
    return (uintptr_t)chunk;
}

static void
chunks_are_alone_where_there_are_iovas(void **state)
{
    fpheap_config config;
    fpheap       *heap, *child;

    (void)state;
    memset(&config, 0, sizeof config);
    test_provider_init(&provider);
    provider.calls.iova = some_iova;
    config.provider = &provider.calls;
    heap = fpheap_create("iova", &config);
    assert_non_null(heap);
    assert_int_equal(heap->state->alone, 1);
    memset(&config, 0, sizeof config);
    config.parent = heap;
    child = fpheap_create("child", &config);
    assert_non_null(child);
    assert_int_equal(child->state->alone, 2);
    assert_int_equal(fpheap_destroy(child), 0);
    TEST_DESTROY_OVER(heap, &provider);
}

/* In words, which are nobody's but this heap's. */
static void
a_heaps_name_is_found_by_its_number(void **state)
{
    const char    *text = "a name of 31 characters, is one";
    fpheap        *other = test_heap_over(&other_provider);
    fpheap        *heap = fpheap_create(text, NULL);
    uint64_t       row[2][FPHEAP_NAME_BYTES / 8];
    const unsigned number = (unsigned)(heap - fph_heaps);

    (void)state;
    assert_int_equal(strlen(text), FPHEAP_NAME_BYTES - 1);
    assert_true(number != 0 && number + 1 < FPHEAP_MAX_HEAPS);
    assert_int_equal(heap->state->number, number);
    assert_memory_equal((void *)fph_heap_name[number], text,
                        FPHEAP_NAME_BYTES);
    assert_memory_equal((void *)heap->name, text, FPHEAP_NAME_BYTES);
    memcpy(row, (void *)fph_heap_name[number], sizeof row);
    TEST_DESTROY(heap);
    fph_heap_name[number + 1][0] = row[1][0] = UINT64_C(0x5aa55aa55aa55aa5);
    heap = fpheap_create(NULL, NULL);
    assert_ptr_equal(heap, &fph_heaps[number]);
    assert_string_equal((const char *)heap->name, "heap");
    assert_memory_equal((void *)fph_heap_name[number + 1], row[1],
                        FPHEAP_NAME_BYTES);
    fph_heap_name[number + 1][0] = 0;
    TEST_DESTROY(heap);
    TEST_DESTROY_OVER(other, &other_provider);
}

/* Whether frees of untold size find nothing there. */
static int
has_no_map(const fpheap *heap)
{
    return heap->map == fph_no_map && heap->lookup >> 32 == 0;
}

static unsigned
handles(void)
{
    unsigned n = 0, i;

    for (i = 0; i < FPHEAP_MAX_HEAPS; i++)
        n += fph_heap_used[i] != 0;
    return n;
}

static void
a_handle_without_a_heap_leads_nowhere(void **state)
{
    const unsigned had = handles();
    fpheap_config  config;
    fpheap        *heap = test_heap_over(&provider);

    (void)state;
    assert_false(has_no_map(heap));
    assert_int_equal(handles(), had + 1);
    TEST_DESTROY_OVER(heap, &provider);
    assert_true(has_no_map(heap) && heap->state == NULL);
    assert_int_equal(handles(), had);
    memset(&config, 0, sizeof config);
    test_provider_init(&provider);
    config.provider = &provider.calls;
    provider.limit_bytes = 1;
    heap->map = NULL;
    assert_int_equal(refused("none", &config), -ENOMEM);
    assert_true(has_no_map(heap) && heap->state == NULL);
    assert_int_equal(handles(), had);
    assert_true(provider.refused == 2 && provider.wrong == 0);
}

/* A page, the second of a chunk. */
static int
get_a_page(void *ctx, size_t bytes, size_t align, int node,
           fpheap_region *region)
{
    test_grant *grant;
    int         rc = test_provider_get(ctx, bytes, align, node, region);

    if (rc != 0)
        return rc;
    grant = (test_grant *)region->cookie;
    provider.held_bytes -= region->bytes - FPHEAP_PAGE;
    region->base = (char *)region->base + FPHEAP_PAGE;
    region->bytes = FPHEAP_PAGE;
    grant->region = *region;
    return 0;
}

static void
a_heap_can_begin_with_a_page(void **state)
{
    fpheap_config config;
    fpheap       *heap;

    (void)state;
    memset(&config, 0, sizeof config);
    test_provider_init(&provider);
    provider.calls.get = get_a_page;
    config.provider = &provider.calls;
    assert_non_null(heap = fpheap_create("page", &config));
    assert_int_equal(provider.gets, 1);
    assert_int_equal(heap->state->region_bytes, FPHEAP_PAGE);
    TEST_DESTROY_OVER(heap, &provider);
}

/* Its watermarks are those of number 0. */
static void
the_watermarks_of_a_heap_are_its_own(void **state)
{
    fpheap_config config;
    fpheap       *heap;
    fph_state    *s;

    (void)state;
    memset(&config, 0, sizeof config);
    config.limit = 8 * FPHEAP_CHUNK;
    config.water.low = 100;
    config.water.high = 200;
    config.water.crossed = ignore;
    assert_non_null(heap = fpheap_create("water", &config));
    s = heap->state;
    assert_true(s->marked == 1 && (s->water[0].is & FPH_OPEN) != 0);
    assert_true(s->water[0].marks.low == 100 && s->water[0].marks.high == 200);
    assert_true(s->water[0].marks.crossed == ignore && heap->counted == 1);
    assert_true(s->water[1].is == 0 && s->water[1].marks.crossed == NULL);
    TEST_DESTROY(heap);
}

/* Also if its number is the first of all, below its parent's. */
static void
a_child_of_any_number_keeps_its_parent_and_ends_with_it(void **state)
{
    fpheap       *first = test_heap_over(&other_provider);
    fpheap       *heap = test_heap_over(&provider), *child;
    fpheap_config config;

    (void)state;
    assert_ptr_equal(first, &fph_heaps[0]);
    TEST_DESTROY_OVER(first, &other_provider);
    memset(&config, 0, sizeof config);
    config.parent = heap;
    config.nodes = heap->nodes;
    assert_non_null(child = fpheap_create("child", &config));
    assert_ptr_equal(child, &fph_heaps[0]);
    assert_true(fph_heap_within[0] == (uint64_t)(heap - fph_heaps) + 1);
    assert_non_null(fpheap_alloc(child, 64));
    assert_true(fph_heap_lives(heap));
    assert_int_equal(fpheap_destroy(heap), -EBUSY);
    assert_int_equal(fpheap_destroy(child), -EBUSY);
    assert_non_null(child->state);
    assert_int_equal(fpheap_destroy_forced(heap), 0);
    assert_true(child->state == NULL && fph_heap_within[0] == 0);
    assert_true(fph_heap_used[0] == 0 && provider.held == 0);
}

/* What its destructors see, of a heap that ends. */
static fpheap  *ending;
static unsigned begun, ended_in_a_pass, ended;

static int
begin_inside(void *arg, void *object)
{
    (void)arg, (void)object;
    begun++;
    return 0;
}

static void
end_inside(void *arg, void *object)
{
    (void)arg, (void)object;
    ended++;
    ended_in_a_pass += fph_is_in(FPH_IN_PASS, ending, NULL)
                    && ending->state->ends == 1
                    && fpheap_destroy(ending) == -EBUSY;
}

/* Live, parked or in a slab, each once, of whatever pool had the number before. */
static void
a_heap_that_ends_destructs_the_objects_of_its_pools(void **state)
{
    fpheap_pool_desc desc = described("ends", 100, 0);
    unsigned         before, i;

    (void)state;
    for (before = 0; before < 10; before++) {
        fpheap      *heap = test_heap_over(&provider);
        fpheap_pool *pool[2];

        desc.construct = NULL;
        desc.destruct = NULL;
        for (i = 0; i < before; i++) {
            pool[0] = fpheap_pool_create(heap, &desc);
            assert_int_equal(fpheap_pool_destroy(pool[0], NULL), 0);
        }
        desc.construct = begin_inside;
        desc.destruct = end_inside;
        begun = ended = ended_in_a_pass = 0;
        for (i = 0; i < 2; i++) {
            desc.name = i == 0 ? "first" : "second";
            assert_non_null(pool[i] = fpheap_pool_create(heap, &desc));
            assert_int_equal(pool[i]->number, i);
            assert_non_null(fpheap_pool_get(pool[i]));
        }
        ending = heap;
        fpheap_pool_put(pool[1], fpheap_pool_get(pool[1]));
        assert_int_equal(ended, 0);
        assert_int_equal(fpheap_destroy_forced(heap), 0);
        assert_true(begun >= 3 && ended == begun);
        assert_int_equal(ended_in_a_pass, ended);
        assert_null(fph_this.frames);
        assert_int_equal(provider.held, 0);
    }
}

static int end_says;

static void
end_it(test_provider *p)
{
    (void)p;
    end_says = fpheap_destroy(ending);
}

static void
nobody_ends_a_heap_that_asks_its_provider(void **state)
{
    fpheap *heap = test_heap_over(&provider);

    (void)state;
    ending = heap;
    end_says = 0;
    provider.inside_get = end_it;
    assert_int_equal(fpheap_reserve(heap, 3 * FPHEAP_CHUNK, 0), 0);
    provider.inside_get = NULL;
    assert_int_equal(end_says, -EBUSY);
    TEST_DESTROY_OVER(heap, &provider);
}

/* As a thread was ending it when the process forked. */
static void
a_child_that_nobody_can_end_is_forgotten(void **state)
{
    fpheap       *heap = test_heap_over(&provider), *child;
    fpheap_config config;
    fph_state    *s;
    size_t        number;

    (void)state;
    memset(&config, 0, sizeof config);
    config.parent = heap;
    assert_non_null(child = fpheap_create("child", &config));
    number = (size_t)(child - fph_heaps);
    s = child->state;
    child->state = NULL;
    assert_true(fph_heap_within[number] != 0);
    assert_int_equal(fpheap_destroy_forced(heap), 0);
    assert_true(fph_heap_within[number] == 0 && provider.held == 0);
    fph_state_end(s);
    fph_number_give(&fph_heap_used[number]);
}

static void *
use_and_leave(void *heap)
{
    fpheap_free((fpheap *)heap, fpheap_alloc((fpheap *)heap, 64));
    return NULL;
}

/* In the child of a fork the others' thread-local memory is anybody's. */
static void
a_heap_that_ends_writes_nothing_of_threads_that_a_fork_left_out(void **state)
{
    fpheap       *heap = test_heap_over(&provider);
    fpheap_cache *cache = NULL;
    fph_entry     gone = { NULL, NULL };
    size_t        seat = 0;
    pthread_t     thread;

    (void)state;
    fpheap_free(heap, fpheap_alloc(heap, 64));
    assert_int_equal(pthread_create(&thread, NULL, use_and_leave, heap), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    do
        cache = fph_cache_next(heap->state, &seat);
    while (cache != NULL && cache == fph_cache_mine(heap));
    assert_non_null(cache);
    assert_null(cache->entry);
    cache->entry = &gone;
    heap->state->orphans = fph_this.seat;
    assert_int_equal(fpheap_destroy_forced(heap), 0);
    assert_true(gone.bins == NULL && gone.local == NULL);
    assert_int_equal(provider.held, 0);
}

/* A child is found from its number on, and once. */
static void
the_children_of_a_heap_are_found_one_by_one(void **state)
{
    fpheap       *heap = test_heap_over(&provider);
    fpheap       *child[2];
    fpheap_config config;
    unsigned      at = 0;

    (void)state;
    memset(&config, 0, sizeof config);
    config.parent = heap;
    assert_null(fph_child_next(heap, &at));
    assert_int_equal(at, FPHEAP_MAX_HEAPS);
    assert_non_null(child[0] = fpheap_create("one", &config));
    assert_non_null(child[1] = fpheap_create("two", &config));
    at = 0;
    assert_ptr_equal(fph_child_next(heap, &at), child[0]);
    assert_int_equal(at, child[0] - fph_heaps + 1);
    assert_ptr_equal(fph_child_next(heap, &at), child[1]);
    assert_null(fph_child_next(heap, &at));
    at = 0;
    assert_null(fph_child_next(child[0], &at));
    assert_true(fph_heap_lives(heap) && !fph_heap_lives(child[0]));
    assert_int_equal(fpheap_destroy(heap), -EBUSY);
    assert_int_equal(fpheap_destroy(child[0]), 0);
    assert_int_equal(fpheap_destroy(child[1]), 0);
    assert_false(fph_heap_lives(heap));
    TEST_DESTROY_OVER(heap, &provider);
}

/* Nobody ends a heap from a callback of its own or of a child's. */
static void
a_callback_is_one_of_its_heap_and_of_those_above_it(void **state)
{
    fpheap       *heap = test_heap_over(&provider);
    fpheap       *child, *other;
    fpheap_config config;
    fph_frame     frame, outer;

    (void)state;
    memset(&config, 0, sizeof config);
    config.parent = heap;
    assert_non_null(child = fpheap_create("child", &config));
    assert_non_null(other = fpheap_create("other", &config));
    assert_false(fph_calls_back(heap));
    memset(&outer, 0, sizeof outer);
    memset(&frame, 0, sizeof frame);
    outer.what = FPH_IN_PROVIDER;
    outer.heap = child;
    frame.what = FPH_IN_PASS;
    frame.heap = other;
    frame.outer = &outer;
    fph_this.frames = &outer;
    assert_true(fph_calls_back(heap) && fph_calls_back(child));
    assert_false(fph_calls_back(other));
    fph_this.frames = &frame;
    assert_true(fph_calls_back(heap) && fph_calls_back(child));
    assert_int_equal(fph_calls_back(other),
                     (FPH_IN_PASS & FPH_IN_CALLBACK) != 0);
    outer.what = FPH_IN_PASS;
    fph_this.frames = &outer;
    assert_int_equal(fph_calls_back(child),
                     (FPH_IN_PASS & FPH_IN_CALLBACK) != 0);
    fph_this.frames = NULL;
    assert_int_equal(fpheap_destroy(child), 0);
    assert_int_equal(fpheap_destroy(other), 0);
    TEST_DESTROY_OVER(heap, &provider);
}

/* Its objects, its limit, and what it says of itself. */
static void
an_emergency_heap_has_just_what_it_was_made_for(void **state)
{
    const size_t  bytes = 8 * FPHEAP_CHUNK;
    fpheap       *heap, *child;
    fpheap_config config;
    fph_state    *s;

    (void)state;
    memset(&config, 0, sizeof config);
    test_provider_init(&provider);
    config.provider = &provider.calls;
    config.reserve = 3 * FPHEAP_CHUNK;
    config.emergency = bytes;
    heap = fpheap_create("critical", &config);
    assert_non_null(heap);
    assert_int_equal(heap->reserve, 3 * FPHEAP_CHUNK);
    child = heap->emergency;
    assert_non_null(child);
    assert_true(child->parent == heap && child->critical == 1);
    assert_int_equal(child->critical_left, bytes);
    assert_int_equal(child->reserve, bytes + bytes / 8 + FPHEAP_CHUNK);
    s = child->state;
    assert_true(s->limit == s->region_bytes && s->limit >= child->reserve);
    assert_false(fph_heap_lives(heap));
    assert_int_equal(fpheap_destroy(heap), 0);
    assert_int_equal(provider.held, 0);
    config.emergency = 0;
    test_provider_init(&provider);
    provider.limit_bytes = 2 * FPHEAP_CHUNK;
    assert_int_equal(refused("reserve", &config), -ENOMEM);
    assert_int_equal(provider.held, 0);
    config.reserve = 0;
    config.emergency = bytes;
    assert_int_equal(refused("emergency", &config), -ENOMEM);
    assert_int_equal(provider.held, 0);
    config.emergency = 1;
    test_provider_init(&provider);
    heap = fpheap_create("little", &config);
    assert_non_null(heap);
    assert_int_equal(heap->emergency->critical_left, 1);
    assert_int_equal(fpheap_destroy(heap), 0);
    assert_int_equal(provider.held, 0);
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

/* --- shapes and bounds ---------------------------------------------------- */

/* Whether a slab of that many pages has 8 objects, and less than a 64th of it
 * is left over. */
static int
will_do(const fph_class *klass, unsigned pages)
{
    size_t bytes = pages * FPHEAP_PAGE;
    size_t count = bytes / klass->size;

    return count >= 8 && bytes - count * klass->size < bytes / 64;
}

static size_t
used_of_a_page(const fph_class *klass, unsigned pages)
{
    return pages * FPHEAP_PAGE / klass->size * klass->size / pages;
}

/* If none will do, the least is left over. */
static void
a_slab_has_the_fewest_pages_that_will_do(void **state)
{
    fpheap  *heap = test_heap_over(&provider);
    unsigned k, pages, good = 0;

    (void)state;
    for (k = 1; k < FPH_SIZES; k++) {
        const fph_class *klass = &heap->state->classes[k];
        int              does  = will_do(klass, klass->pages);

        assert_int_equal(klass->count, klass->pages * FPHEAP_PAGE
                                       / klass->size);
        for (pages = 1; pages < klass->pages; pages++)
            assert_false(will_do(klass, pages));
        for (pages = 1; !does && pages <= FPH_PAGES / 2; pages++) {
            assert_false(will_do(klass, pages));
            assert_true(used_of_a_page(klass, pages)
                        <= used_of_a_page(klass, klass->pages));
        }
        good += does != 0;
    }
    assert_true(good > FPH_SIZES / 2);
    TEST_DESTROY_OVER(heap, &provider);
}

/* With headers there are bytes in front of the first object too. */
static void
a_slab_of_one_object_has_the_pages_that_it_is_in(void **state)
{
    fph_class klass;

    (void)state;
    memset(&klass, 0, sizeof klass);
    klass.size = 20 * FPHEAP_PAGE;
    klass.skip = FPH_HEAD;
    assert_int_equal(fph_shape_pages(&klass), 20);
    klass.size++;
    assert_int_equal(fph_shape_pages(&klass), 21);
    klass.size--;
    klass.skip += 3 * FPHEAP_PAGE;
    assert_int_equal(fph_shape_pages(&klass), 23);
    /* Less than a 64th is over, and not less than a 65th. */
    klass.size = 109;
    klass.skip = FPH_HEAD;
    assert_int_equal(2 * FPHEAP_PAGE / 64 - 1,
                     2 * FPHEAP_PAGE - 37 * klass.size);
    assert_int_equal(fph_shape_pages(&klass), 2);
    klass.size = 16;
    assert_int_equal(fph_shape_count(&klass, 1), FPH_SLAB_WORDS * 64);
    assert_int_equal(fph_shape_count(&klass, 2), FPH_SLAB_WORDS * 64);
    klass.skip += 16;
    assert_int_equal(fph_shape_count(&klass, 1), FPH_SLAB_WORDS * 64 - 1);
}

/* In front of the classes of sizes, and of a pool that there is not. */
static void
a_class_without_objects_is_zero(void **state)
{
    static const fph_class none;
    fpheap  *heap = test_heap_over(&provider);
    unsigned k;

    (void)state;
    assert_memory_equal(&heap->state->classes[0], &none, sizeof none);
    for (k = FPH_SIZES; k < FPH_CLASSES; k++)
        assert_memory_equal(&heap->state->classes[k], &none, sizeof none);
    TEST_DESTROY_OVER(heap, &provider);
}

/* As many are set as were announced, or more: those who give set them first. */
static void
a_slab_is_good_if_its_bits_are_those_of_objects(void **state)
{
    enum { COUNT = 70 };
    fph_slab slab;
    unsigned n, i;

    (void)state;
    assert_true(FPH_SLAB_WORDS == 2);
    memset(&slab, 0, sizeof slab);
    slab.info = fph_info(FPH_SLAB, 1, COUNT);
    for (n = 0; n <= COUNT; n++) {
        for (i = 0; i < 2; i++)
            slab.bits[i] = 0;
        for (i = 0; i < n; i++)
            slab.bits[(COUNT - 1 - i) / 64] |=
                (uint64_t)1 << (COUNT - 1 - i) % 64;
        assert_int_equal(fph_slab_bits(&slab), n);
        for (i = 0; i <= COUNT; i++) {
            slab.state = fph_slab_state(i, 1);
            assert_int_equal(fph_slab_good(&slab), i <= n);
        }
        slab.state = fph_slab_state(-1, 1);
        assert_true(fph_slab_good(&slab));
        slab.bits[1] |= (uint64_t)1 << (COUNT - 64);
        assert_true(fph_slab_bits(&slab) == SIZE_MAX);
        assert_false(fph_slab_good(&slab));
    }
    slab.info = fph_info(FPH_SLAB, 1, 64);
    assert_int_equal(fph_slab_bits(&slab), 64);
}

/* A page of the smallest objects has no bits behind its own. */
static void
a_slab_of_all_words_leaves_the_next_record_alone(void **state)
{
    fpheap   *heap = test_heap_over(&provider);
    size_t    page;
    fph_slab *next, was;
    int       refused = 0;
    fph_slab *slab;

    (void)state;
    fpheap_free(heap, fpheap_alloc(heap, 16));
    slab = fph_slab_carve(heap, 1, &refused);
    assert_non_null(slab);
    assert_int_equal(fph_info_count(slab->info), FPH_SLAB_WORDS * 64);
    page = slab->page;
    next = slab + 1;
    assert_true((page + 1) % FPH_PAGES != 0);
    memset((void *)next, 0x5a, sizeof *next);
    memcpy(&was, next, sizeof was);
    slab = fph_slab_make(heap->state, page, 1);
    assert_memory_equal(next, &was, sizeof was);
    memset((void *)next, 0, sizeof *next);
    fph_count_empty(heap->state, slab, -1); /* it was made twice */
    fph_slab_let_go(heap->state, slab);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
a_step_of_growth_is_a_chunk_then_two_or_a_sixteenth(void **state)
{
    fpheap  *heap = test_heap_over(&provider);
    uint64_t usual = heap->state->region_bytes;
    size_t   most  = heap->growth_max / FPHEAP_CHUNK;
    size_t   n;

    (void)state;
    for (n = 1; n < 5000; n += n < 20 ? 1 : 7) {
        heap->state->region_bytes = n * FPHEAP_CHUNK;
        assert_int_equal(fph_growth_step(heap),
                         n < 8 ? 1 : n / 16 < 2 ? 2
                         : n / 16 < most ? n / 16 : most);
    }
    heap->growth_max = 5 * FPHEAP_CHUNK;
    assert_int_equal(fph_growth_step(heap), 5);
    heap->state->region_bytes = usual;
    TEST_DESTROY_OVER(heap, &provider);
}

/* No caller asks for this, but the functions give the right answer all the
 * same. */
static void
functions_are_right_at_the_ends_of_their_arguments(void **state)
{
    fpheap       *heap = test_heap_over(&provider);
    fph_search    search;
    fpheap_region raw;
    fph_class     klass;
    char         *map = test_map(3 * FPHEAP_CHUNK);
    void         *object = heap;

    (void)state;
    assert_non_null(map);
    assert_true(fph_slab_mask(64, 0) == UINT64_MAX);
    assert_int_equal(fph_slab_mask(64, 1), 0);
    assert_int_equal(fph_slab_mask(65, 1), 1);
    assert_int_equal(fph_run_find(UINT64_MAX, 1, 64), 0);
    assert_int_equal(fph_run_find(UINT64_MAX - 1, 1, 64), FPH_PAGES);
    assert_int_equal(fph_run_find(UINT64_MAX - 1, 1, 16), 16);
    assert_int_equal(fph_quota_take(NULL, 5), 5);
    assert_int_equal(fph_quota_left((uint64_t)5 << 32 | 4), 1);
    assert_int_equal(fph_quota_left((uint64_t)5 << 32 | 5), 0);
    assert_int_equal(fph_quota_left((uint64_t)5 << 32 | 7), 0);
    assert_int_equal(fph_quota_left((uint64_t)5 << 32 | 4000), 0);
    assert_int_equal(fph_slab_pages(FPHEAP_PAGE, 3), 3);
    assert_int_equal(fph_slab_pages(FPHEAP_PAGE + 1, 1), 2);
    assert_int_equal(fph_slab_pages(1, 1), 1);
    memset(&raw, 0, sizeof raw);
    raw.base = map + 64;
    raw.bytes = 2 * FPHEAP_PAGE - 128;
    assert_int_equal(fph_raw_error(heap, &raw, fph_need_of(heap, 1, 1)),
                     -EFAULT);
    raw.base = map;
    raw.bytes = 3 * FPHEAP_PAGE;
    assert_int_equal(fph_raw_error(heap, &raw, fph_need_of(heap, 3, 1)), 0);
    assert_int_equal(fph_raw_error(heap, &raw, fph_need_of(heap, 4, 1)),
                     -EFAULT);
    assert_int_equal(test_unmap(map, 3 * FPHEAP_CHUNK), 0);
    memset(&klass, 0, sizeof klass);
    klass.size = 100;
    klass.skip = 2 * FPHEAP_PAGE;
    assert_int_equal(fph_shape_count(&klass, 1), 0);
    assert_int_equal(fph_shape_count(&klass, 3), FPHEAP_PAGE / 100);
    memset(&search, 0, sizeof search);
    search.heap = heap;
    search.n = 1;
    fph_batch_take(&search, &object);
    assert_ptr_equal(object, heap);
    TEST_DESTROY_OVER(heap, &provider);
}

#if FPHEAP_SHARED
/* A run of a partition's chunks is claimed as a whole or not at all, wherever
 * words of bits end. */
static void
chunks_of_a_partition_are_claimed_as_by_setting_each(void **state)
{
    enum { CHUNKS = 200 };
    union {
        fph_partition head;
        char          room[sizeof(fph_partition) + CHUNKS];
    } *it = aligned_alloc(64, sizeof *it);
    fph_partition *p = &it->head;
    size_t         first, end, i, n;

    (void)state;
    assert_non_null(it);
    memset(it, 0, sizeof *it);
    p->bytes = (size_t)CHUNKS << FPHEAP_CHUNK_SHIFT;
    for (first = 0; first < CHUNKS; first++) {
        for (end = first + 1; end <= CHUNKS; end++) {
            assert_true(fph_taken_claim(p, first, end));
            for (i = n = 0; i < CHUNKS; i++)
                n += p->taken[i] == (i >= first && i < end);
            assert_int_equal(n, CHUNKS);
            assert_false(fph_taken_claim(p, 0, first + 1));
            assert_false(fph_taken_claim(p, end - 1, CHUNKS));
            for (i = n = 0; i < CHUNKS; i++)
                n += p->taken[i];
            assert_int_equal(n, end - first);
            fph_taken_drop(p, first, end);
            for (i = 0; i < CHUNKS; i++)
                assert_int_equal(p->taken[i], 0);
        }
    }
    free(it);
}
#endif

static const struct CMUnitTest tests[] = {
#if FPHEAP_SHARED
    cmocka_unit_test(chunks_of_a_partition_are_claimed_as_by_setting_each),
#endif
    cmocka_unit_test(runs_of_pages_are_found_as_by_looking_at_each),
    cmocka_unit_test(a_length_is_that_of_all_up_to_a_power_of_two),
    cmocka_unit_test(a_mask_has_the_bits_of_its_pages_and_objects),
    cmocka_unit_test(the_highest_bits_of_a_word_are_taken_as_many_as_asked),
    cmocka_unit_test(a_tag_goes_through_all_numbers),
    cmocka_unit_test(a_heap_is_quiet_when_no_move_is_open),
    cmocka_unit_test(a_record_takes_whole_lines_and_a_block_is_used_to_its_end),
    cmocka_unit_test(no_number_behind_the_last_is_of_a_block),
    cmocka_unit_test(a_record_may_be_longer_than_a_chunk),
    cmocka_unit_test(a_table_takes_whole_lines),
#if FPHEAP_SHARED
    cmocka_unit_test(a_heap_has_places_for_as_many_regions_as_it_may_have),
#endif
    cmocka_unit_test(the_tables_lie_one_behind_the_other),
    cmocka_unit_test(regions_may_touch_and_not_overlap),
    cmocka_unit_test(memory_serves_if_there_is_a_place_in_it),
    cmocka_unit_test(bytes_are_charged_up_to_the_limit_and_no_further),
    cmocka_unit_test(a_provider_that_refuses_is_asked_for_half_and_half_again),
    cmocka_unit_test(a_provider_that_writes_no_region_gave_none),
    cmocka_unit_test(no_more_chunks_are_asked_for_than_there_can_be),
    cmocka_unit_test(a_part_of_a_page_is_reserved_as_a_page),
    cmocka_unit_test(a_pointer_into_free_pages_is_into_no_object),
    cmocka_unit_test(a_pool_with_a_minimum_has_its_magazines_ready),
    cmocka_unit_test(a_trim_leaves_the_minimum_of_a_pool),
    cmocka_unit_test(only_the_pools_own_objects_are_shown),
    cmocka_unit_test(a_dump_has_the_longest_name_of_a_pool),
    cmocka_unit_test(nobody_looks_behind_the_last_region_and_cache),
#if FPHEAP_SHARED
    cmocka_unit_test(when_all_caches_have_a_place_there_is_none_for_another),
#endif
    cmocka_unit_test(no_crossing_of_a_pool_is_one_of_the_pool_before),
    cmocka_unit_test(who_makes_a_pool_has_a_cache_even_if_the_heap_must_grow),
    cmocka_unit_test(a_pool_that_ends_is_not_found),
    cmocka_unit_test(an_aligned_object_of_no_bytes_is_a_small_one),
    cmocka_unit_test(a_look_for_pages_begins_where_the_last_found_none),
    cmocka_unit_test(a_private_area_serves_the_next_pool_if_it_is_large_enough),
    cmocka_unit_test(a_name_of_which_half_is_written_is_none),
    cmocka_unit_test(a_pool_that_ends_has_the_caches_of_gone_threads_emptied),
    cmocka_unit_test(a_pool_looks_for_empty_slabs_when_it_can_spare_one),
    cmocka_unit_test(objects_of_any_node_go_to_the_bins_of_their_own),
    cmocka_unit_test(the_record_of_a_pool_is_of_the_first_node),
    cmocka_unit_test(names_that_differ_in_any_byte_are_two),
    cmocka_unit_test(each_bit_of_a_word_is_a_pointer),
    cmocka_unit_test(a_region_that_is_not_aligned_serves),
    cmocka_unit_test(a_magazine_is_small_against_the_pools_maximum),
    cmocka_unit_test(a_put_of_null_puts_nothing),
    cmocka_unit_test(the_longest_name_leaves_the_other_heaps_alone),
    cmocka_unit_test(magazines_come_from_a_block_from_another_or_not_at_all),
    cmocka_unit_test(a_configuration_has_bounds_in_each_field),
    cmocka_unit_test(a_child_asks_for_no_less_than_its_unit_and_no_more_nodes),
    cmocka_unit_test(a_handle_is_what_the_configuration_says),
    cmocka_unit_test(a_heap_begins_with_two_units_or_one),
    cmocka_unit_test(chunks_are_alone_where_there_are_iovas),
    cmocka_unit_test(a_heaps_name_is_found_by_its_number),
    cmocka_unit_test(a_handle_without_a_heap_leads_nowhere),
    cmocka_unit_test(a_heap_can_begin_with_a_page),
    cmocka_unit_test(the_watermarks_of_a_heap_are_its_own),
    cmocka_unit_test(a_child_of_any_number_keeps_its_parent_and_ends_with_it),
    cmocka_unit_test(a_heap_that_ends_destructs_the_objects_of_its_pools),
    cmocka_unit_test(nobody_ends_a_heap_that_asks_its_provider),
    cmocka_unit_test(a_child_that_nobody_can_end_is_forgotten),
    cmocka_unit_test(
        a_heap_that_ends_writes_nothing_of_threads_that_a_fork_left_out),
    cmocka_unit_test(the_children_of_a_heap_are_found_one_by_one),
    cmocka_unit_test(a_callback_is_one_of_its_heap_and_of_those_above_it),
    cmocka_unit_test(an_emergency_heap_has_just_what_it_was_made_for),
    cmocka_unit_test(a_slab_has_the_fewest_pages_that_will_do),
    cmocka_unit_test(a_slab_of_one_object_has_the_pages_that_it_is_in),
    cmocka_unit_test(a_class_without_objects_is_zero),
    cmocka_unit_test(a_slab_is_good_if_its_bits_are_those_of_objects),
    cmocka_unit_test(a_slab_of_all_words_leaves_the_next_record_alone),
    cmocka_unit_test(a_step_of_growth_is_a_chunk_then_two_or_a_sixteenth),
    cmocka_unit_test(functions_are_right_at_the_ends_of_their_arguments)
};

int
main(void)
{
    return cmocka_run_group_tests_name("internals", tests, NULL, NULL);
}
