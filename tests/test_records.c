/* test_records.c - the heap's own records
 *
 * They lie apart from objects, between pages that nobody may touch, and go back
 * to the system when the heap ends.  Where the system has no memory for them
 * they lie in free pages: the heap goes on, and nothing is lost.
 */
#include "system_memory.h"

#define FPHEAP_IMPLEMENTATION
#include "fpheap.h"
#include "test_util.h"

#include <pthread.h>
#include <signal.h>

#define MOST 40000

static test_provider provider;
static void         *objects[MOST];
static unsigned      filled;

/* --- what the process has ------------------------------------------------- */

typedef struct mappings {
    size_t n, bytes;
} mappings;

static mappings
mappings_now(void)
{
    FILE    *in = fopen("/proc/self/maps", "r");
    mappings m  = { 0, 0 };
    char     line[512];

    assert_non_null(in);
    while (fgets(line, sizeof line, in) != NULL) {
        char  *end;
        size_t from = strtoul(line, &end, 16);

        m.n++;
        m.bytes += strtoul(end + 1, NULL, 16) - from;
    }
    (void)fclose(in);
    return m;
}

static int
is_mapped(const void *at)
{
    char *page = (char *)((uintptr_t)at & ~(uintptr_t)4095);

    return msync(page, 4096, MS_ASYNC) == 0;
}

static char *volatile target;

static int
write_there(void)
{
    (void)signal(SIGSEGV, SIG_DFL);
    (void)signal(SIGBUS, SIG_DFL);
    *target = 1;
    return 0;
}

/* Whether a write there ends the program. */
static int
is_out_of_reach(char *at)
{
    int   status = 0;
    pid_t child;

    target = at;
    (void)fflush(NULL);
    child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(write_there());
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status);
}

/* --- apart ---------------------------------------------------------------- */

static fpheap *
heap_with_records(void)
{
    fpheap  *heap = test_heap_over(&provider);
    unsigned i;

    for (i = 0; i < 64; i++)
        assert_non_null(objects[i] = fpheap_alloc(heap, FPHEAP_CHUNK / 2));
    assert_int_equal(test_meta_pages(heap), 0);
    return heap;
}

static void
no_write_that_runs_on_reaches_a_record(void **state)
{
    fpheap    *heap = heap_with_records();
    fph_state *s = heap->state;
    size_t     i;
    unsigned   blocks = 0;

    (void)state;
    for (i = 1; i < FPH_TABLE_MAX; i++) {
        char *from = s->meta[i] == NULL ? NULL : s->meta[i] - FPH_MAP_SKIP;

        if (from == NULL)
            continue;
        blocks++;
        assert_false(is_out_of_reach(from));
        assert_false(is_out_of_reach(from + FPHEAP_CHUNK - 1));
        assert_true(is_out_of_reach(from - 1));
        assert_true(is_out_of_reach(from - FPH_MAP_BORDER));
        assert_true(is_out_of_reach(from + FPHEAP_CHUNK));
        assert_true(is_out_of_reach(from + FPHEAP_CHUNK + FPH_MAP_BORDER - 1));
    }
    assert_true(blocks >= 1);
    assert_false(is_out_of_reach((char *)s));
    assert_true(is_out_of_reach((char *)s - 1));
    assert_true(is_out_of_reach((char *)s - FPH_MAP_BORDER));
    fpheap_free_bulk(heap, objects, 64);
    TEST_DESTROY_OVER(heap, &provider);
}

/* A heap over the first part of what is mapped here, from a chunk on. */
typedef struct near_heap {
    char           *map;
    char           *base;
    size_t          bytes;
    fpheap         *heap;
    fpheap_buffer   buffer;
    fpheap_provider calls;
} near_heap;

/* The records' first block is mapped so many bytes behind the base. */
static void
near_create(near_heap *near, size_t bytes, size_t place)
{
    fpheap_config config;

    near->bytes = bytes + 8 * FPHEAP_CHUNK;
    near->map = test_map(near->bytes);
    assert_non_null(near->map);
    near->base = near->map + (-(uintptr_t)near->map & FPH_CHUNK_MASK);
    fpheap_provider_buffer(&near->calls, &near->buffer, near->base, bytes);
    memset(&config, 0, sizeof config);
    config.provider = &near->calls;
    near->heap = fpheap_create("near", &config);
    assert_non_null(near->heap);
    system_place = near->base + place;
    objects[0] = fpheap_alloc(near->heap, FPHEAP_PAGE);
    assert_non_null(objects[0]);
    assert_ptr_equal(near->heap->state->meta[1],
                     near->base + place + FPH_MAP_BORDER + FPH_MAP_SKIP);
    TEST_CHECK_LIVE(near->heap, 1);
}

static void
near_destroy(near_heap *near)
{
    char *block = near->heap->state->meta[1];

    fpheap_free(near->heap, objects[0]);
    TEST_DESTROY(near->heap);
    assert_int_equal(near->buffer.taken, 0);
    assert_false(is_mapped(block));
    assert_int_equal(test_unmap(near->map, near->bytes), 0);
}

/* The block is the region's neighbour: there is nothing between them but what
 * the block has around it. */
static void
a_write_past_the_last_object_of_a_region_meets_a_page_of_no_access(
    void **state)
{
    near_heap near;

    (void)state;
    near_create(&near, 2 * FPHEAP_CHUNK, 2 * FPHEAP_CHUNK);
    assert_false(is_out_of_reach(near.base + 2 * FPHEAP_CHUNK - 1));
    assert_true(is_out_of_reach(near.base + 2 * FPHEAP_CHUNK));
    near_destroy(&near);
}

/* --- what goes back ------------------------------------------------------- */

static void *
allocate_some(void *arg)
{
    fpheap *heap = (fpheap *)arg;

    fpheap_free(heap, fpheap_alloc(heap, 100));
    return NULL;
}

static void
use_a_heap(unsigned round)
{
    fpheap   *heap = fpheap_create("one of many", NULL);
    pthread_t thread;
    unsigned  n = round % 50 + 1;
    unsigned  i;

    assert_non_null(heap);
    for (i = 0; i < n; i++)
        assert_non_null(objects[i] = fpheap_alloc(heap, 1000 * i));
    if (round % 100 == 0) {
        assert_int_equal(pthread_create(&thread, NULL, allocate_some, heap), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
    }
    if (round % 3 == 0) {
        assert_int_equal(fpheap_destroy_forced(heap), 0);
        return;
    }
    fpheap_free_bulk(heap, objects, n);
    TEST_DESTROY(heap);
}

static void
a_thousand_heaps_that_ended_leave_no_address(void **state)
{
    mappings before, after;
    unsigned i;

    (void)state;
    for (i = 0; i < 101; i++)
        use_a_heap(i);
    before = mappings_now();
    for (i = 0; i < 1000; i++)
        use_a_heap(i);
    after = mappings_now();
    assert_int_equal(after.n, before.n);
    assert_int_equal(after.bytes, before.bytes);
}

static void
more_blocks_than_one_go_back(void **state)
{
    fpheap  *heap = test_heap_over(&provider);
    char    *block[8];
    unsigned i;

    (void)state;
    for (i = 0; i < TEST_COUNT(block); i++) {
        while (fph_meta_cut(heap->state, FPH_LINE) != 0)
            ;
        assert_int_not_equal(fph_meta_get(heap, 0, FPH_LINE, NULL), 0);
        block[i] = heap->state->meta[fph_meta_block(heap->state)];
        assert_true(is_mapped(block[i]));
    }
    TEST_DESTROY_OVER(heap, &provider);
    for (i = 0; i < TEST_COUNT(block); i++)
        assert_false(is_mapped(block[i]));
}

/* Both begin in the chunk in which the region ends; the second is one that
 * another thread's made needless. */
static void
blocks_in_a_chunk_that_a_region_shares_go_back_too(void **state)
{
    const size_t part = FPHEAP_CHUNK / 4;
    near_heap    near;
    fph_state   *s;
    size_t       chunk, room;
    uint64_t     free;
    char        *block;

    (void)state;
    near_create(&near, FPHEAP_CHUNK + part, FPHEAP_CHUNK + 3 * part);
    s = near.heap->state;
    chunk = fph_page_of(s, near.base) / FPH_PAGES + 1;
    assert_ptr_equal(fph_chunk_of(s, s->meta[1]), &s->chunks[chunk]);
    free = s->free[chunk];
    near_destroy(&near);

    near_create(&near, FPHEAP_CHUNK + part, 3 * FPHEAP_CHUNK);
    s = near.heap->state;
    system_place = near.base + FPHEAP_CHUNK + 3 * part;
    block = fph_block_new(near.heap, 0, FPH_LINE, &room);
    assert_ptr_equal(fph_chunk_of(s, block), &s->chunks[chunk]);
    fph_block_drop(s, block, room);
    assert_false(is_mapped(block));
    assert_true(s->free[chunk] == free);
    near_destroy(&near);
}

/* --- in pages ------------------------------------------------------------- */

/* Allocate of a size until that fails.  Returns how many. */
static unsigned
fill_up(fpheap *heap, size_t size)
{
    for (filled = 0; filled < MOST; filled++) {
        objects[filled] = fpheap_alloc(heap, size);
        if (objects[filled] == NULL)
            break;
        test_fill(objects[filled], size, filled);
    }
    assert_true(filled > 0 && filled < MOST);
    assert_int_equal(errno, ENOMEM);
    TEST_CHECK_LIVE(heap, filled);
    return filled;
}

static void
free_all(fpheap *heap, size_t size)
{
    unsigned i;

    for (i = 0; i < filled; i++) {
        assert_true(test_filled(objects[i], size, i));
        fpheap_free(heap, objects[i]);
    }
    TEST_CHECK_LIVE(heap, 0);
}

static void
without_the_system_s_memory_records_lie_in_pages_and_nothing_is_lost(
    void **state)
{
    static const size_t sizes[] = { 512, 3000, 70000, FPHEAP_CHUNK / 2,
                                    3 * FPHEAP_CHUNK };
    unsigned     count[TEST_COUNT(sizes)];
    fpheap      *heap = test_heap_within(&provider, 8 * FPHEAP_CHUNK);
    fpheap_stats stats;
    unsigned     round, i;

    (void)state;
    system_is_out = 1;
    for (round = 0; round < 4; round++) {
        for (i = 0; i < TEST_COUNT(sizes); i++) {
            (void)fpheap_trim(heap);
            if (round == 0)
                count[i] = fill_up(heap, sizes[i]);
            else
                assert_in_range(fill_up(heap, sizes[i]), count[i] * 9 / 10,
                                MOST);
            assert_true(filled * sizes[i]
                        >= (sizes[i] > FPHEAP_CHUNK ? 3 : 6) * FPHEAP_CHUNK);
            free_all(heap, sizes[i]);
        }
    }
    fpheap_stats_get(heap, &stats);
    assert_int_equal(stats.metadata_bytes,
                     test_meta_pages(heap) * FPHEAP_PAGE);
    assert_in_range(stats.metadata_bytes, FPHEAP_PAGE, FPHEAP_CHUNK / 2);
    system_is_out = 0;
    TEST_DESTROY_OVER(heap, &provider);
}

static void
what_no_record_is_in_goes_back_all_the_same(void **state)
{
    fpheap      *heap = test_heap_over(&provider);
    fpheap_stats stats;

    (void)state;
    system_is_out = 1;
    fpheap_free(heap, fpheap_alloc(heap, 100));
    fpheap_free(heap, fpheap_alloc(heap, 40 * FPHEAP_CHUNK));
    (void)fpheap_trim(heap);
    fpheap_stats_get(heap, &stats);
    assert_int_equal(stats.regions, 1);
    assert_true(stats.metadata_bytes > 0);
    TEST_CHECK_LIVE(heap, 0);
    system_is_out = 0;
    TEST_DESTROY_OVER(heap, &provider);
}

/* Blocks of both kinds, one after the other. */
static void
records_lie_apart_again_when_the_system_has_memory(void **state)
{
    fpheap  *heap = test_heap_over(&provider);
    unsigned i, pages = 0;

    (void)state;
    fpheap_free(heap, fpheap_alloc(heap, 100));
    for (i = 0; i < 20; i++) {
        const char *block;

        system_is_out = i % 2 == 0;
        while (fph_meta_cut(heap->state, FPH_LINE) != 0)
            ;
        assert_int_not_equal(fph_meta_get(heap, 0, FPH_LINE, NULL), 0);
        block = heap->state->meta[fph_meta_block(heap->state)];
        assert_int_equal(fph_is_meta(heap->state, block), 1);
        assert_int_equal(fph_chunk_of(heap->state, block) != NULL, i % 2 == 0);
        assert_int_equal(test_meta_pages(heap) > pages, i % 2 == 0);
        pages = test_meta_pages(heap);
        TEST_CHECK_LIVE(heap, 0);
    }
    system_is_out = 0;
    TEST_DESTROY_OVER(heap, &provider);
}

/* As many as a thread has: each makes a cache and magazines. */
static void
threads_come_and_go_without_the_system_s_memory(void **state)
{
    fpheap   *heap = test_heap_over(&provider);
    pthread_t threads[16];
    unsigned  pages = 0;
    unsigned  round, i;

    (void)state;
    system_is_out = 1;
    for (round = 0; round < 20; round++) {
        for (i = 0; i < TEST_COUNT(threads); i++)
            assert_int_equal(pthread_create(&threads[i], NULL, allocate_some,
                                            heap), 0);
        for (i = 0; i < TEST_COUNT(threads); i++)
            assert_int_equal(pthread_join(threads[i], NULL), 0);
        TEST_CHECK_LIVE(heap, 0);
        if (round == 10)
            pages = test_meta_pages(heap);
    }
    assert_true(pages > 0);
    assert_in_range(test_meta_pages(heap), pages, pages + 16);
    system_is_out = 0;
    TEST_DESTROY_OVER(heap, &provider);
}

static void
records_are_counted_wherever_they_lie(void **state)
{
    fpheap      *heap = heap_with_records();
    size_t       bytes = sizeof(fph_records) + sizeof(fph_magazine);
    fpheap_stats s, more;

    (void)state;
    fpheap_stats_get(heap, &s);
    assert_true(s.metadata_bytes == 0 && s.record_bytes >= bytes);
    assert_int_equal(s.record_bytes % FPH_LINE, 0);
    assert_true(fph_meta_cut(heap->state, 100 * FPH_LINE) != 0);
    fpheap_stats_get(heap, &more);
    assert_int_equal(more.record_bytes, s.record_bytes + 100 * FPH_LINE);
    while (fph_meta_cut(heap->state, FPH_LINE) != 0)
        continue;
    assert_true(fph_meta_find(heap, 0, FPH_LINE) != 0);    /* a second block */
    fpheap_stats_get(heap, &more);
    assert_int_equal(more.record_bytes, FPHEAP_CHUNK + FPH_LINE);
    while (fph_meta_cut(heap->state, FPH_LINE) != 0)
        continue;
    fpheap_free(heap, objects[63]);
    fpheap_flush(heap);
    (void)fpheap_trim(heap);
    system_is_out = 1;
    assert_true(fph_meta_find(heap, 0, FPH_LINE) != 0);    /* a third, in pages */
    system_is_out = 0;
    fpheap_stats_get(heap, &more);
    assert_int_equal(more.record_bytes, 2 * FPHEAP_CHUNK);
    assert_int_equal(more.metadata_bytes, test_meta_pages(heap) * FPHEAP_PAGE);
    assert_true(more.metadata_bytes != 0 && test_adds_up(&more));
    fpheap_free_bulk(heap, objects, 63);
    TEST_DESTROY_OVER(heap, &provider);
}

/* --- how much ------------------------------------------------------------- */

static void
a_block_has_room_for_its_record_and_the_guards(void **state)
{
    fpheap  *heap = test_heap_over(&provider);
    uint64_t numbers = heap->state->meta_numbers;

    (void)state;
    assert_int_equal(fph_meta_least(1), 1);
    assert_int_equal(fph_meta_least(FPHEAP_PAGE - FPH_GUARDS), 1);
    assert_int_equal(fph_meta_least(FPHEAP_PAGE - FPH_GUARDS + 1), 2);
    assert_int_equal(fph_meta_least(2 * FPHEAP_PAGE - FPH_GUARDS), 2);
    assert_int_equal(fph_meta_least(2 * FPHEAP_PAGE - FPH_GUARDS + 1), 3);
    heap->state->meta_numbers = FPH_TABLE_MAX - 1;
    assert_false(fph_meta_full(heap->state));
    heap->state->meta_numbers = FPH_TABLE_MAX;
    assert_true(fph_meta_full(heap->state));
    heap->state->meta_numbers = numbers;
    TEST_DESTROY_OVER(heap, &provider);
}

/* The pages that a shared heap takes ahead for records, where a 64th of it and
 * what it has for them are so many bytes. */
static size_t
pages_ahead(fpheap *heap, unsigned number, size_t want, size_t magazines,
            size_t room)
{
    fph_state *s = heap->state;
    uint64_t   bytes = s->region_bytes, made = s->magazines;
    uint64_t   cursor = s->meta_cursor.word;
    unsigned   was = s->number;
    size_t     pages;

    s->number = number;
    s->region_bytes = want * 64;
    s->magazines = magazines / FPHEAP_MAGAZINE / sizeof(void *);
    s->meta_cursor.word = (uint64_t)1 << 40
                        | (uint64_t)(5 + room / FPH_LINE) << 20 | 5;
    pages = fph_block_ahead(s);
    s->number = was;
    s->region_bytes = bytes;
    s->magazines = made;
    s->meta_cursor.word = cursor;
    return pages;
}

static void
a_shared_heap_takes_a_64th_of_it_ahead_by_half_of_that_or_a_chunk(void **state)
{
    const size_t chunk = FPHEAP_CHUNK;
    fpheap      *heap = test_heap_over(&provider);

    (void)state;
    assert_int_equal(pages_ahead(heap, 0, 4 * chunk, 0, 0), 0);
#define AHEAD(want, magazines, room) \
    pages_ahead(heap, FPH_SHARED, want, magazines, room)
    assert_int_equal(AHEAD(chunk / 8 - 1, 0, 0), 0);
    assert_int_equal(AHEAD(chunk / 8, 0, 0), FPH_PAGES / 8);
    assert_int_equal(AHEAD(chunk / 8, 0, chunk / 16), FPH_PAGES / 16);
    assert_int_equal(AHEAD(chunk / 8, 0, chunk / 16 + FPH_LINE), 0);
    assert_int_equal(AHEAD(chunk / 8, chunk / 16, 0), FPH_PAGES / 16);
    assert_int_equal(AHEAD(chunk / 8, chunk / 16, FPH_LINE), 0);
    assert_int_equal(AHEAD(chunk / 8, chunk / 32, chunk / 32), FPH_PAGES / 16);
    assert_int_equal(AHEAD(chunk / 2 * 3, 0, chunk / 4 * 3), FPH_PAGES / 4 * 3);
    assert_int_equal(AHEAD(chunk / 2 * 3, 0, 0), FPH_PAGES);
    assert_int_equal(AHEAD(2 * chunk, 0, chunk), FPH_PAGES);
    assert_int_equal(AHEAD(2 * chunk, 0, chunk + FPH_LINE), 0);
    assert_int_equal(AHEAD(chunk / 2 * 5, 0, chunk / 2 * 3), FPH_PAGES);
    assert_int_equal(AHEAD(chunk / 2 * 5, chunk, chunk / 2 + FPH_LINE), 0);
    assert_int_equal(AHEAD(4 * chunk, 3 * chunk, 0), FPH_PAGES);
    assert_int_equal(AHEAD(4 * chunk, 3 * chunk, FPH_LINE), 0);
    assert_int_equal(AHEAD(4 * chunk, 5 * chunk, 0), 0);
#undef AHEAD
    TEST_DESTROY_OVER(heap, &provider);
}

/* --- what is at an address ------------------------------------------------ */

static char *
base_in(const fpheap *heap, char *start, uint64_t info, const char *at)
{
    return fph_object_base(heap->state, start, info, at);
}

static void
an_address_in_an_object_of_a_slab_has_its_start(void **state)
{
    fpheap          *heap = test_heap_over(&provider);
    char            *start = (char *)fpheap_alloc(heap, 10 * FPHEAP_PAGE);
    unsigned         bin = fph_class_of(100);
    const fph_class *klass = &heap->state->classes[bin];
    size_t           size = klass->size, usable = size - FPH_HEAD;
    uint64_t         info = fph_info(FPH_SLAB, bin, 7);
    char            *first = start + klass->skip;
    size_t           i;

    (void)state;
    for (i = 0; i < 7; i++) {
        char *object = first + i * size;

        assert_ptr_equal(base_in(heap, start, info, object), object);
        assert_ptr_equal(base_in(heap, start, info, object + 1), object);
        assert_ptr_equal(base_in(heap, start, info, object + usable - 1),
                         object);
        if (FPH_HEAD != 0)
            assert_null(base_in(heap, start, info, object + usable));
    }
    assert_null(base_in(heap, start, info, first + 7 * size));
    assert_null(base_in(heap, start, info, first - 1));
    assert_int_equal(fph_info_bytes(heap->state, info), usable);
    assert_int_equal(fph_info_pages(heap->state, info), klass->pages);
    info = fph_info(FPH_SLAB, bin + FPH_CLASSES, 7); /* of another node */
    assert_ptr_equal(base_in(heap, start, info, first), first);
    assert_int_equal(fph_info_bytes(heap->state, info), usable);
    assert_int_equal(fph_info_pages(heap->state, info), klass->pages);
    fpheap_free(heap, start);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
a_large_object_begins_behind_the_pages_in_front(void **state)
{
    fpheap    *heap = test_heap_over(&provider);
    fph_state *s = heap->state;
    char      *start = (char *)fpheap_alloc(heap, 10 * FPHEAP_PAGE);
    uint64_t   info = fph_info(FPH_LARGE, 2, 9);
    char      *object = start + 2 * FPHEAP_PAGE;

    (void)state;
    assert_ptr_equal(base_in(heap, start, info, object), object);
    assert_ptr_equal(base_in(heap, start, info, object + 5000), object);
    assert_null(base_in(heap, start, info, object - 1));
    assert_null(base_in(heap, start, info, start));
    assert_int_equal(fph_info_bytes(s, info), 7 * FPHEAP_PAGE);
    assert_int_equal(fph_info_pages(s, info), 9);
    info = fph_info(FPH_LARGE, 0, 1);
    assert_ptr_equal(base_in(heap, start, info, start), start);
    assert_int_equal(fph_info_bytes(s, info), FPHEAP_PAGE);
    assert_int_equal(fph_info_pages(s, fph_info(FPH_PARKED, 2, 9)), 9);
    assert_null(base_in(heap, start, fph_info(FPH_PARKED, 2, 9), object));
    assert_int_equal(fph_info_pages(s, fph_info(FPH_NOTHING, 2, 9)), 0);
    assert_null(base_in(heap, start, fph_info(FPH_NOTHING, 0, 9), object));
    fpheap_free(heap, start);
    TEST_DESTROY_OVER(heap, &provider);
}

/* What is said of a page that nothing covers means nothing. */
static void
an_object_ends_with_the_last_page_that_its_record_covers(void **state)
{
    fpheap    *heap = test_heap_over(&provider);
    fph_state *s = heap->state;
    char      *object = (char *)fpheap_alloc(heap, 10 * FPHEAP_PAGE);
    char      *end = object + 10 * FPHEAP_PAGE;
    uint16_t  *back = fph_chunk_of(s, end)->back;
    size_t     page = fph_page_of(s, end);
    uint16_t   was = back[page % FPH_PAGES];
    size_t     i;

    (void)state;
    assert_ptr_equal(fph_chunk_of(s, end), fph_chunk_of(s, object));
    for (i = 0; i < 10 * FPHEAP_PAGE; i += FPHEAP_PAGE - 1)
        assert_ptr_equal(fph_base_of(s, object + i), object);
    back[page % FPH_PAGES] = 10;
    assert_null(fph_base_of(s, end));
    back[page % FPH_PAGES] = was;
    assert_null(fph_base_of(s, &page));
    assert_null(fph_base_of(s, NULL));
    assert_ptr_equal(fph_heap_of(heap, object), heap);
    assert_ptr_equal(fph_heap_of(heap, &page), heap);
    assert_int_equal(fph_info_kind(fph_info_of(s, object)), FPH_LARGE);
    assert_int_equal(fph_room_of(heap, object), 10 * FPHEAP_PAGE);
    fpheap_free(heap, object);
    TEST_DESTROY_OVER(heap, &provider);
}

/* As far as the child's pages go. */
static void
an_object_in_a_childs_pages_is_of_the_child(void **state)
{
    fpheap   *heap = test_heap_over(&provider);
    fpheap   *child = fpheap_create("child", NULL);
    char     *object = (char *)fpheap_alloc(heap, 10 * FPHEAP_PAGE);
    char     *end = object + 10 * FPHEAP_PAGE;
    uint16_t *back = fph_chunk_of(heap->state, end)->back;
    size_t    page = fph_page_of(heap->state, end) % FPH_PAGES;
    uint16_t  was = back[page];
    fph_slab *record = fph_record_of(heap->state, object);
    uint64_t  info = fph_info_load(record);

    (void)state;
    assert_true(child != NULL && fph_chunk_of(child->state, object) == NULL);
    assert_int_equal(fph_info_kind(info), FPH_LARGE);
    fph_info_store(record, fph_info(FPH_CHILD, (unsigned)(child - fph_heaps),
                                    10));
    back[page] = 10;
    assert_ptr_equal(fph_heap_of(heap, object), child);
    assert_ptr_equal(fph_heap_of(heap, object + FPHEAP_PAGE), child);
    assert_ptr_equal(fph_heap_of(heap, end - 1), child);
    assert_ptr_equal(fph_heap_of(heap, end), heap);
    back[page] = was;
    fph_info_store(record, info);
    assert_ptr_equal(fph_heap_of(heap, object), heap);
    fpheap_free(heap, object);
    TEST_DESTROY(child);
    TEST_DESTROY_OVER(heap, &provider);
}

/* --- blocks in pages ------------------------------------------------------ */

static size_t   taken[4096];
static unsigned n_taken;

/* Take all pages that are free. */
static void
take_pages(const fpheap *heap)
{
    for (n_taken = 0; n_taken < TEST_COUNT(taken); n_taken++) {
        taken[n_taken] = fph_pages_find(heap, 0, 1, 1);
        if (taken[n_taken] == FPH_NO_PAGE)
            return;
    }
    fail();
}

static void
give_pages(fph_state *s)
{
    while (n_taken > 0)
        fph_pages_give(s, taken[--n_taken], 1);
}

/* A heap, its pages written, whose block is used up; the system has no memory
 * for another. */
static fpheap *
heap_without_records(void)
{
    fpheap *heap = test_heap_over(&provider);

    assert_non_null(objects[0] = fpheap_alloc(heap, FPHEAP_CHUNK / 2));
    assert_non_null(objects[1] = fpheap_alloc(heap, FPHEAP_CHUNK / 2));
    memset(objects[0], 0xff, FPHEAP_CHUNK / 2);
    memset(objects[1], 0xff, FPHEAP_CHUNK / 2);
    fpheap_free_bulk(heap, objects, 2);
    fpheap_flush(heap);
    while (fph_meta_cut(heap->state, FPH_LINE) != 0)
        continue;
    system_is_out = 1;
    return heap;
}

static void
end_without_records(fpheap *heap)
{
    system_is_out = 0;
    TEST_DESTROY_OVER(heap, &provider);
}

static size_t
free_bytes(fpheap *heap)
{
    fpheap_stats stats;

    fpheap_stats_get(heap, &stats);
    assert_int_equal(stats.metadata_bytes,
                     test_meta_pages(heap) * FPHEAP_PAGE);
    return stats.page_free_bytes;
}

/* Look at a block of these pages, and give it back. */
static void
check_block(fpheap *heap, int node, size_t pages)
{
    size_t before = free_bytes(heap);
    size_t had    = test_meta_pages(heap);
    size_t room   = 0;
    char  *block  = fph_block_new(heap, node, 100, &room);

    assert_non_null(block);
    assert_int_equal(room, pages * FPHEAP_PAGE - FPH_GUARDS);
    assert_int_equal((uintptr_t)(block - FPH_GUARD) % FPHEAP_PAGE, 0);
    assert_true(test_all_bytes(block - FPH_GUARD, pages * FPHEAP_PAGE, 0));
    assert_true(fph_is_meta_page(heap->state, block));
    assert_int_equal(test_meta_pages(heap), had + pages);
    assert_int_equal(free_bytes(heap), before - pages * FPHEAP_PAGE);
    memset(block, 0xff, room);
    fph_block_drop(heap->state, block, room);
    assert_int_equal(test_meta_pages(heap), had);
    assert_int_equal(free_bytes(heap), before);
}

static void
a_block_in_pages_is_zeros_and_goes_back_whole(void **state)
{
    fpheap    *heap = heap_without_records();
    fph_state *s = heap->state;
    uint64_t   numbers = s->meta_numbers;
    uint64_t   bytes = s->region_bytes, made = s->magazines;
    unsigned   number = s->number;
    size_t     room;

    (void)state;
    check_block(heap, 0, fph_block_wish(s, 1));
    s->meta_numbers = 8;
    check_block(heap, 0, 3);
    s->meta_numbers = numbers;
    assert_null(fph_block_new(heap, FPH_NO_NODE, 100, &room));
    s->number = FPH_SHARED;
    assert_null(fph_block_new(heap, FPH_NO_NODE, 100, &room));
    s->magazines = 0;
    s->region_bytes = 8 * FPHEAP_CHUNK;
    assert_int_equal(fph_block_ahead(s), FPH_PAGES / 8);
    assert_non_null(fph_block_new(heap, FPH_NO_NODE, 100, &room));
    assert_int_equal(room, FPHEAP_CHUNK / 8 - FPH_GUARDS);
    assert_non_null(fph_block_new(heap, 0, 100, &room));
    assert_int_equal(room, FPHEAP_PAGE - FPH_GUARDS);
    s->region_bytes = bytes;
    s->magazines = made;
    s->number = number;
    take_pages(heap);
    assert_null(fph_block_new(heap, 0, 100, &room));
    give_pages(s);
    end_without_records(heap);
}

static void
a_block_that_lies_apart_is_as_long_as_its_record_or_a_chunk(void **state)
{
    fpheap *heap = test_heap_over(&provider);
    size_t  most = FPHEAP_CHUNK - FPH_MAP_SKIP;
    size_t  bytes, room;
    char   *block;

    (void)state;
    for (bytes = most - 1; bytes <= most + 1; bytes++) {
        block = fph_block_new(heap, 0, bytes, &room);
        assert_non_null(block);
        assert_int_equal(room, bytes > most ? bytes : most);
        block[room - 1] = 1;
        fph_block_drop(heap->state, block, room);
        assert_false(is_mapped(block));
    }
    TEST_DESTROY_OVER(heap, &provider);
}

static fph_chunk   *meant;
static fph_records *others;

static void
another_is_first(void)
{
    meant->records = others;
    system_meets = NULL;
}

/* While one thread makes records for a chunk another has done so. */
static void
records_that_another_made_needless_are_the_next_chunks(void **state)
{
    fpheap      *heap = heap_with_records();
    fph_state   *s = heap->state;
    fph_records *was, *spare;
    char        *block;

    (void)state;
    while (fph_meta_cut(s, FPH_LINE) != 0)
        continue;
    meant = fph_chunk_of(s, objects[0]);
    was = others = meant->records;
    meant->records = NULL;
    system_meets = another_is_first;
    assert_int_equal(fph_chunk_ready(heap, (size_t)(meant - s->chunks)), 1);
    assert_null(system_meets);
    assert_ptr_equal(meant->records, was);
    block = s->meta[fph_meta_block(s)];
    spare = fph_records_make(heap, 0);
    assert_ptr_equal(spare, block);
    fph_stack_push(&s->records.word, &spare->link);
    fpheap_free_bulk(heap, objects, 64);
    TEST_DESTROY_OVER(heap, &provider);
}

/* A page that is odd will do for a block. */
static void
pages_for_records_may_begin_anywhere(void **state)
{
    fpheap    *heap = heap_without_records();
    fph_state *s = heap->state;
    uint64_t   bytes = s->region_bytes, made = s->magazines;
    unsigned   number = s->number;
    size_t     room, page;
    unsigned   i;

    (void)state;
    take_pages(heap);
    page = taken[0] / FPH_PAGES * FPH_PAGES + FPH_PAGES / 2 + 1;
    for (i = 0; i < n_taken;)
        if (taken[i] >= page && taken[i] < page + FPH_PAGES / 8)
            taken[i] = taken[--n_taken];
        else
            i++;
    fph_pages_give(s, page, FPH_PAGES / 8);
    s->number = FPH_SHARED;
    s->magazines = 0;
    s->region_bytes = 8 * FPHEAP_CHUNK;
    assert_non_null(fph_block_new(heap, FPH_NO_NODE, 100, &room));
    s->region_bytes = bytes;
    s->magazines = made;
    s->number = number;
    assert_int_equal(room, FPHEAP_CHUNK / 8 - FPH_GUARDS);
    give_pages(s);
    end_without_records(heap);
}

static fpheap  *met;
static uint32_t first_ref;

static void
another_installs(void)
{
    system_meets = NULL;
    first_ref = fph_meta_find(met, 0, FPH_LINE);
}

/* Another thread's block serves whoever has lost to it. */
static void
a_record_is_cut_from_the_block_that_came_first(void **state)
{
    fpheap  *heap = test_heap_over(&provider);
    uint64_t full = fph_meta_block(heap->state);
    uint32_t ref;

    (void)state;
    while (fph_meta_cut(heap->state, FPH_LINE) != 0)
        continue;
    met = heap;
    system_meets = another_installs;
    ref = fph_meta_find(heap, 0, FPH_LINE);
    assert_null(system_meets);
    assert_int_not_equal(first_ref, 0);
    assert_int_equal(ref, first_ref + 1);
    assert_int_equal(fph_meta_block(heap->state), full + 1);
    TEST_DESTROY_OVER(heap, &provider);
}

/* Pages are claimed only with a record for the first. */
static void
pages_whose_chunk_can_have_no_records_go_back(void **state)
{
    fpheap    *heap = test_heap_over(&provider);
    fph_state *s = heap->state;
    uint64_t   numbers = s->meta_numbers, cursor = s->meta_cursor.word;
    uint64_t   moves = s->moves_begun;
    size_t     before = free_bytes(heap), page;

    (void)state;
    assert_int_equal((uint32_t)s->records.word, 0);
    s->meta_numbers = FPH_TABLE_MAX;
    s->meta_cursor.word = cursor >> 40 << 40; /* of which nothing is left */
    assert_true(fph_pages_claim(heap, 0, 3, 1) == FPH_NO_PAGE);
    assert_int_equal(free_bytes(heap), before);
    assert_int_equal(s->moves_begun, moves + 1);
    assert_int_equal(s->moves_ended, s->moves_begun);
    s->meta_numbers = numbers;
    s->meta_cursor.word = cursor;
    page = fph_pages_claim(heap, 0, 3, 1);
    assert_true(page != FPH_NO_PAGE);
    assert_int_equal(free_bytes(heap), before - 3 * FPHEAP_PAGE);
    assert_non_null(fph_record_at(s, page));
    fph_pages_give(s, page, 3);
    TEST_DESTROY_OVER(heap, &provider);
}

/* Another thread has installed one in its place, so nobody needs it. */
static void
a_block_that_another_made_needless_goes_back(void **state)
{
    fpheap    *heap = heap_without_records();
    fph_state *s = heap->state;
    uint64_t   full = fph_meta_block(s);
    size_t     before = free_bytes(heap);
    int        found = 7;

    (void)state;
    assert_int_equal(fph_meta_extend(heap, 0, full + 1, FPH_LINE, &found), 0);
    assert_int_equal(found, 1);
    assert_int_equal(fph_meta_block(s), full);
    assert_int_equal(free_bytes(heap), before);
    assert_int_not_equal(fph_meta_extend(heap, 0, full, FPH_LINE, &found), 0);
    assert_int_equal(found, 1);
    assert_int_equal(fph_meta_block(s), full + 1);
    assert_true(free_bytes(heap) < before);
    take_pages(heap);
    assert_int_equal(fph_meta_extend(heap, 0, full + 1, FPH_LINE, &found), 0);
    assert_int_equal(found, 0);
    give_pages(s);
    end_without_records(heap);
}

/* With an error, and not if no growth would help. */
static void
for_a_record_the_provider_is_asked_once_if_it_may_be(void **state)
{
    fpheap    *heap = heap_without_records();
    fph_state *s = heap->state;
    unsigned   gets = provider.gets;
    uint64_t   numbers = s->meta_numbers;
    int        error = 7;

    (void)state;
    take_pages(heap);
    assert_int_equal(fph_meta_get(heap, 0, FPH_LINE, NULL), 0);
    assert_int_equal(provider.gets, gets);
    s->meta_numbers = FPH_TABLE_MAX;
    assert_int_equal(fph_meta_get(heap, 0, FPH_LINE, &error), 0);
    s->meta_numbers = numbers;
    assert_int_equal(error, -ENOMEM);
    assert_int_equal(provider.gets, gets);
    provider.fail_from = 1;
    provider.fail_to = UINT_MAX;
    provider.error = -EIO;
    assert_int_equal(fph_meta_get(heap, 0, FPH_LINE, &error), 0);
    assert_int_equal(error, -EIO);
    assert_int_equal(provider.gets, gets + 1);
    provider.fail_from = 0;
    assert_int_not_equal(fph_meta_get(heap, 0, FPH_LINE, &error), 0);
    assert_int_equal(provider.gets, gets + 2);
    error = 7;
    assert_int_not_equal(fph_meta_get(heap, 0, FPH_LINE, &error), 0);
    assert_int_equal(error, 7);
    assert_int_equal(provider.gets, gets + 2);
    give_pages(s);
    end_without_records(heap);
}

static int
is_out(fpheap *heap, uint64_t numbers, uint64_t unused, size_t room)
{
    fph_state *s = heap->state;
    fph_state  was;
    int        out;

    was.meta_numbers = s->meta_numbers;
    was.records.word = s->records.word;
    was.meta_cursor.word = s->meta_cursor.word;
    s->meta_numbers = numbers;
    s->records.word = unused;
    s->meta_cursor.word = (uint64_t)1 << 40
                        | (uint64_t)(5 + room / FPH_LINE) << 20 | 5;
    out = fph_records_out(s);
    s->meta_numbers = was.meta_numbers;
    s->records.word = was.records.word;
    s->meta_cursor.word = was.meta_cursor.word;
    return out;
}

static void
records_are_out_when_none_is_unused_and_no_block_can_come(void **state)
{
    fpheap  *heap = test_heap_over(&provider);
    size_t   room = sizeof(fph_records);
    uint64_t tag  = (uint64_t)1 << 32;

    (void)state;
    assert_int_equal(room % FPH_LINE, 0);
    assert_int_equal(is_out(heap, FPH_TABLE_MAX, 0, 0), 1);
    assert_int_equal(is_out(heap, FPH_TABLE_MAX, tag, 0), 1);
    assert_int_equal(is_out(heap, FPH_TABLE_MAX, tag, room - FPH_LINE), 1);
    assert_int_equal(is_out(heap, FPH_TABLE_MAX, tag, room), 0);
    assert_int_equal(is_out(heap, FPH_TABLE_MAX, tag + 1, 0), 0);
    assert_int_equal(is_out(heap, FPH_TABLE_MAX, tag + 5, 0), 0);
    assert_int_equal(is_out(heap, FPH_TABLE_MAX - 1, 0, 0), 0);
    TEST_DESTROY_OVER(heap, &provider);
}

/* The count of numbers that were taken may be above that of those that there
 * are, and says nothing of what lies behind. */
static void
blocks_are_those_whose_numbers_were_taken(void **state)
{
    fpheap    *heap = heap_with_records();
    fph_state *s = heap->state;
    uint64_t   numbers = s->meta_numbers;
    char      *next = s->meta[numbers], *behind;
    size_t     at = 1;

    (void)state;
    assert_ptr_equal(fph_block_next(s, &at), s->meta[1]);
    assert_int_equal(at, 2);
    at = numbers;
    s->meta[numbers] = s->meta[1];
    assert_null(fph_block_next(s, &at));
    s->meta[numbers] = next;
    assert_int_equal(at, numbers);
    memcpy(&behind, s->meta + FPH_TABLE_MAX, sizeof behind);
    memcpy(s->meta + FPH_TABLE_MAX, s->meta + 1, sizeof behind);
    s->meta_numbers = FPH_TABLE_MAX + 1;
    at = FPH_TABLE_MAX;
    assert_null(fph_block_next(s, &at));
    s->meta_numbers = numbers;
    memcpy(s->meta + FPH_TABLE_MAX, &behind, sizeof behind);
    fpheap_free_bulk(heap, objects, 64);
    TEST_DESTROY_OVER(heap, &provider);
}

#if FPHEAP_SHARED
static uint32_t
first_made(const fph_state *s)
{
    return (uint32_t)fph_load_relaxed(&s->made[0]);
}

/* Each says whose it is; whoever is killed leaves none that is not found. */
static void
records_of_all_chunks_are_in_the_list_of_what_was_made(void **state)
{
    fpheap    *heap = heap_with_records();
    fph_state *s = heap->state;
    fph_chunk *chunk;
    size_t     at = 0;
    unsigned   n = 0;
    uint32_t   ref;

    (void)state;
    while ((chunk = fph_chunk_next(s, &at)) != NULL) {
        fph_records *records = chunk->records;

        if (records == NULL)
            continue;
        n++;
        assert_int_equal(records->chunk, chunk - s->chunks);
        assert_ptr_equal(fph_meta_at(s, records->link.self), records);
        assert_int_equal(records->made.self, records->link.self);
    }
    assert_true(n >= 32);
    for (ref = first_made(s); ref != 0; n--)
        ref = ((fph_records *)fph_meta_at(s, ref))->made.next;
    assert_int_equal(n, 0);
    fpheap_free_bulk(heap, objects, 64);
    TEST_DESTROY_OVER(heap, &provider);
}
#endif

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_write_that_runs_on_reaches_a_record),
        cmocka_unit_test(
            a_write_past_the_last_object_of_a_region_meets_a_page_of_no_access),
        cmocka_unit_test(a_thousand_heaps_that_ended_leave_no_address),
        cmocka_unit_test(more_blocks_than_one_go_back),
        cmocka_unit_test(blocks_in_a_chunk_that_a_region_shares_go_back_too),
        cmocka_unit_test(
            without_the_system_s_memory_records_lie_in_pages_and_nothing_is_lost
            ),
        cmocka_unit_test(what_no_record_is_in_goes_back_all_the_same),
        cmocka_unit_test(records_lie_apart_again_when_the_system_has_memory),
        cmocka_unit_test(threads_come_and_go_without_the_system_s_memory),
        cmocka_unit_test(records_are_counted_wherever_they_lie),
        cmocka_unit_test(a_block_has_room_for_its_record_and_the_guards),
        cmocka_unit_test(
            a_shared_heap_takes_a_64th_of_it_ahead_by_half_of_that_or_a_chunk),
        cmocka_unit_test(an_address_in_an_object_of_a_slab_has_its_start),
        cmocka_unit_test(a_large_object_begins_behind_the_pages_in_front),
        cmocka_unit_test(
            an_object_ends_with_the_last_page_that_its_record_covers),
        cmocka_unit_test(a_block_in_pages_is_zeros_and_goes_back_whole),
        cmocka_unit_test(
            a_block_that_lies_apart_is_as_long_as_its_record_or_a_chunk),
        cmocka_unit_test(pages_whose_chunk_can_have_no_records_go_back),
        cmocka_unit_test(
            records_that_another_made_needless_are_the_next_chunks),
        cmocka_unit_test(pages_for_records_may_begin_anywhere),
        cmocka_unit_test(a_record_is_cut_from_the_block_that_came_first),
        cmocka_unit_test(an_object_in_a_childs_pages_is_of_the_child),
        cmocka_unit_test(a_block_that_another_made_needless_goes_back),
        cmocka_unit_test(for_a_record_the_provider_is_asked_once_if_it_may_be),
        cmocka_unit_test(
            records_are_out_when_none_is_unused_and_no_block_can_come),
        cmocka_unit_test(blocks_are_those_whose_numbers_were_taken),
#if FPHEAP_SHARED
        cmocka_unit_test(
            records_of_all_chunks_are_in_the_list_of_what_was_made),
#endif
    };

    return cmocka_run_group_tests_name("records", tests, NULL, NULL);
}
