/* test_races_memory.c - another thread comes between two steps of this one, which
 * needs memory or gives it back
 *
 * Each compare-and-swap of a page, a chunk's group or a block for records that
 * fails because another thread was there first, and each second look that finds
 * what the first one did not, made to happen at that moment (races.h): both
 * threads get what they ask for, and the heap is whole.
 */
#include "panics.h"
#include "races.h"

#define FPHEAP_CHUNK_SHIFT 16
#include "system_memory.h"

#define FPHEAP_MAX_NODES   8
#define FPHEAP_GROWTH_WAIT_MS 50   /* that who grows second waits */
#define FPHEAP_IMPLEMENTATION
#include "fpheap.h"
#include "races_util.h"

/* --- what the other thread does ------------------------------------------- */

/* Leave no room in the block for records. */
static void
fill_metadata(void)
{
    while (fph_meta_cut(heap->state, FPH_LINE) != 0)
        ;
}

/* Cut a record; from a new block if *full is set. */
static void *
have_a_record(void *full)
{
    static uint32_t ref;
    int             error;

    if (full != NULL && *(int *)full)
        fill_metadata();
    ref = fph_meta_get(heap, 0, FPH_LINE, &error);
    theirs = ref == 0 ? NULL : &ref;
    return NULL;
}

static uint32_t
their_ref(void)
{
    assert_non_null(theirs);
    return *(uint32_t *)theirs;
}

/* The chunk that an object is in, and its free pages. */
static size_t
chunk_number(const void *object)
{
    return fph_page_of(heap->state, object) / FPH_PAGES;
}

static fph_word *
free_word(const void *object)
{
    return &heap->state->free[chunk_number(object)];
}

/* --- a thread that stops when its region's pages are free ------------------ */

/* It has not counted the growth, and the provider has no more. */
static void
open_a_region_and_stop(void)
{
    assert_int_equal(fph_grow_now(heap, 0, fph_need_of(heap, 4 * FPH_PAGES, 1),
                                  4), 0);
    provider.limit_bytes = provider.held_bytes;
}

static void
begin_behind_a_growth(void)
{
    begin();
    heap->provider.put = NULL; /* nothing is exchanged for its region */
    heap->state->growing = 99;
    at_yield = open_a_region_and_stop;
}

static void
end_behind_a_growth(void)
{
    heap->state->growths++;
    heap->provider.put = provider.calls.put;
    end();
}

static void
who_overtakes_a_growth_finds_the_region_that_it_has_left(void **state)
{
    void *object;

    (void)state;
    begin_behind_a_growth();
    object = fpheap_alloc(heap, LARGE);
    assert_non_null(object);
    assert_int_equal(provider.refused, 1);
    fpheap_free(heap, object);
    end_behind_a_growth();
}

static void
so_does_who_reserves(void **state)
{
    (void)state;
    begin_behind_a_growth();
    assert_int_equal(fpheap_reserve(heap, LARGE, 0), 0);
    assert_int_equal(provider.refused, 1);
    end_behind_a_growth();
}

static void
so_does_who_needs_a_record(void **state)
{
    void    *object;
    uint32_t ref;
    int      error = 0;

    (void)state;
    begin_behind_a_growth();
    fill_metadata();
    object = fpheap_alloc(heap, free_pages() * FPHEAP_PAGE);
    assert_non_null(object);
    assert_int_equal(free_pages(), 0);
    system_is_out = 1;
    fill_metadata();
    fph_wait_begin();
    ref = fph_meta_get(heap, 0, FPH_LINE, &error);
    system_is_out = 0;
    assert_int_not_equal(ref, 0);
    assert_int_equal(provider.refused, 1);
    fpheap_free(heap, object);
    end_behind_a_growth();
}

/* --- pages ---------------------------------------------------------------- */

static void *
claim_a_page(void *page)
{
    theirs = fph_pages_take(heap->state, *(size_t *)page, 1) ? page : NULL;
    return NULL;
}

/* A run of three chunks, of which another thread takes a page of the last. */
static void
of_a_run_that_another_is_in_nothing_is_claimed(void **state)
{
    void    *object;
    size_t   page, last;
    unsigned free;

    (void)state;
    begin();
    object = fpheap_alloc(heap, LARGE);
    page = fph_page_of(heap->state, object);
    fpheap_free(heap, object);
    fpheap_flush(heap);
    free = free_pages();
    last = page + 2 * FPH_PAGES + 1;
    meanwhile(&heap->state->free[last / FPH_PAGES], MEANWHILE_CHANGE, 0,
              claim_a_page, &last);
    assert_int_equal(fph_pages_take(heap->state, page, 3 * FPH_PAGES), 0);
    assert_non_null(theirs);
    assert_int_equal(free_pages(), free - 1);
    fph_pages_give(heap->state, last, 1);
    assert_int_equal(fph_pages_take(heap->state, page, 3 * FPH_PAGES), 1);
    fph_pages_give(heap->state, page, 3 * FPH_PAGES);
    end();
}

/* A search that loses a run to another finds the next one. */
static void
a_run_is_found_behind_a_page_that_another_has_taken(void **state)
{
    fph_gap  gap = { 2 * FPH_PAGES, 1, FPHEAP_ANY_NODE, 0, 0, FPH_NO_PAGE, 0, 0,
                     0 };
    void    *object;
    size_t   page, found;

    (void)state;
    begin();
    object = fpheap_alloc(heap, LARGE);
    page = fph_page_of(heap->state, object);
    fpheap_free(heap, object);
    fpheap_flush(heap);
    meanwhile(&heap->state->free[page / FPH_PAGES], MEANWHILE_LOAD, 1,
              claim_a_page, &page);
    found = fph_sweep(heap->state, &gap, fph_position_of(heap->state,
                                                         page / FPH_PAGES));
    assert_non_null(theirs);
    assert_int_equal(found, page + FPH_PAGES);
    fph_pages_give(heap->state, found, 2 * FPH_PAGES);
    fph_pages_give(heap->state, page, 1);
    end();
}

static void *
move_to_node_7(void *chunk)
{
    ((fph_chunk *)chunk)->node = 7;
    return NULL;
}

/* As if it had gone, and come back for another node. */
static void
pages_of_another_node_are_not_kept(void **state)
{
    fph_gap    gap = { 1, 1, 0, 0, 0, FPH_NO_PAGE, 0, 0, 0 };
    fph_chunk *chunk;
    void      *object;
    unsigned   free;
    size_t     page;

    (void)state;
    begin();
    object = fpheap_alloc(heap, 100);
    chunk = fph_chunk_of(heap->state, object);
    free = free_pages();
    meanwhile(free_word(object), MEANWHILE_CHANGE, 0, move_to_node_7, chunk);
    page = fph_gap_try(heap->state, &gap, chunk_number(object),
                       *free_word(object));
    chunk->node = 0;
    assert_true(page == FPH_NO_PAGE);
    assert_int_equal(free_pages(), free);
    fpheap_free(heap, object);
    end();
}

/* It was free as a whole when the trim looked at it. */
static void
a_region_of_which_another_takes_a_page_stays(void **state)
{
    void    *kept, *object;
    size_t   page;
    unsigned free;

    (void)state;
    begin();
    kept = fpheap_alloc(heap, 100);    /* with its region */
    object = fpheap_alloc(heap, LARGE);
    page = fph_page_of(heap->state, object) + FPH_PAGES;
    fpheap_free(heap, object);
    fpheap_flush(heap);
    free = free_pages();
    meanwhile(&heap->state->free[page / FPH_PAGES], MEANWHILE_CHANGE, 0,
              claim_a_page, &page);
    assert_int_equal(fpheap_trim(heap), 0);
    assert_non_null(theirs);
    assert_int_equal(provider.puts, 0);
    assert_int_equal(free_pages(), free - 1);
    fph_pages_give(heap->state, page, 1);
    assert_true(fpheap_trim(heap) > 0);
    fpheap_free(heap, kept);
    end();
}

static void
a_cursor_is_lowered_whoever_moves_it(void **state)
{
    void     *object;
    fph_word *cursor;
    change    there;

    (void)state;
    begin();
    object = fpheap_alloc(heap, FPH_CLASS_MAX + 1);
    cursor = &heap->state->cursor[0][0];
    *cursor = there.to = 1 << 20;
    there.to++;
    there.word = cursor;
    meanwhile(cursor, MEANWHILE_CHANGE, 0, set_word, &there);
    fph_cursors_lower(heap->state, chunk_number(object), 1);
    assert_int_equal(*cursor, fph_position_of(heap->state,
                                              chunk_number(object)));
    fpheap_free(heap, object);
    end();
}

/* All pages of a chunk are another thread's. */
static void *
claim_all_pages(void *word)
{
    fph_fetch_and_acquire((fph_word *)word, 0);
    return NULL;
}

static void
a_page_that_another_claims_is_not_touched(void **state)
{
    void    *object;
    uint64_t free;
    size_t   chunk;

    (void)state;
    begin();
    object = fpheap_alloc(heap, FPHEAP_PAGE);
    chunk = chunk_number(object);
    free = heap->state->free[chunk];
    assert_true(free != 0);
    meanwhile(free_word(object), MEANWHILE_CHANGE, 0, claim_all_pages,
              (void *)free_word(object));
    assert_int_equal(fph_chunk_touch(heap, chunk), 0);
    assert_int_equal(heap->state->free[chunk], 0);
    fph_part_give(heap->state, chunk, free);
    assert_int_equal(fph_chunk_touch(heap, chunk), fph_popcount(free));
    fpheap_free(heap, object);
    end();
}

static void *
have_a_run(void *unused)
{
    (void)unused;
    theirs = fpheap_alloc(heap, FPH_CLASS_MAX + 1);
    return NULL;
}

static void
two_runs_at_a_time_have_pages_of_their_own(void **state)
{
    void *first, *ours;

    (void)state;
    begin();
    first = fpheap_alloc(heap, FPH_CLASS_MAX + 1);
    meanwhile(free_word(first), MEANWHILE_CHANGE, 0, have_a_run, NULL);
    ours = fpheap_alloc(heap, FPH_CLASS_MAX + 1);
    assert_true(ours != NULL && theirs != NULL && ours != theirs);
    TEST_CHECK_LIVE(heap, 3);
    fpheap_free(heap, first);
    fpheap_free(heap, ours);
    fpheap_free(heap, theirs);
    end();
}

/* --- chunks and their groups ---------------------------------------------- */

/* A group that has none of the heap's memory. */
static size_t
unlisted_chunk(void)
{
    size_t chunk = FPH_GROUP;

    while (heap->state->group_at[chunk / FPH_GROUP] != 0)
        chunk += FPH_GROUP;
    assert_true(fph_tables_open(heap->state, chunk * FPH_PAGES, 1));
    return chunk;
}

static void *
list_it(void *chunk)
{
    theirs = fph_group_list(heap->state, *(size_t *)chunk) ? chunk : NULL;
    return NULL;
}

static void
a_group_that_two_list_is_listed_once(void **state)
{
    size_t   chunk, at;
    unsigned i;

    (void)state;
    for (i = 0; i < 3; i++) {
        begin();
        chunk = unlisted_chunk();
        at = heap->state->groups_used;
        meanwhile(i == 0 ? (void *)&heap->state->groups[at]
                : i == 1 ? (void *)&heap->state->groups_used
                         : (void *)&heap->state->group_at[chunk / FPH_GROUP],
                  i == 2 ? MEANWHILE_LOAD : MEANWHILE_CHANGE, 0, list_it,
                  &chunk);
        assert_int_equal(fph_group_list(heap->state, chunk), 1);
        assert_non_null(theirs);
        assert_int_equal(heap->state->groups_used, at + 1);
        assert_int_equal(heap->state->group_at[chunk / FPH_GROUP], at + 1);
        end();
    }
}

/* It stopped after its first step: another does the rest, and then its own. */
static void
a_group_whose_thread_has_stopped_is_listed_by_others(void **state)
{
    size_t chunk, next, at;

    (void)state;
    begin();
    chunk = unlisted_chunk();
    at = heap->state->groups_used;
    heap->state->groups[at] = (uint32_t)(chunk / FPH_GROUP + 1);
    next = chunk + FPH_GROUP;
    while (heap->state->group_at[next / FPH_GROUP] != 0)
        next += FPH_GROUP;
    assert_true(fph_tables_open(heap->state, next * FPH_PAGES, 1));
    assert_int_equal(fph_group_list(heap->state, next), 1);
    assert_int_equal(heap->state->group_at[chunk / FPH_GROUP], at + 1);
    assert_int_equal(heap->state->group_at[next / FPH_GROUP], at + 2);
    assert_int_equal(heap->state->groups_used, at + 2);
    end();
}

/* What is at an address: pages of its chunk, by their bits. */
static fph_part
part_of(const char *at, uint64_t mask)
{
    fph_part part = fph_parts((uintptr_t)at, fph_popcount(mask));

    (void)fph_part_next(heap->state, &part);
    part.mask = mask;
    return part;
}

static int
part_come(const char *at, uint64_t mask, int node)
{
    fph_part      part = part_of(at, mask);
    fpheap_region raw;

    memset(&raw, 0, sizeof raw);
    raw.node = node;
    return fph_part_come(heap->state, &part, &raw);
}

static void
part_leave(const char *at, uint64_t mask)
{
    fph_part part = part_of(at, mask);

    fph_part_leave(heap->state, &part);
}

/* A chunk in the table with half of its pages, none of them free. */
static fph_chunk *shared;
static char      *shared_base;
#define HALF ((uint64_t)FPH_ALL_PAGES >> FPH_PAGES / 2)

static void
begin_with_half_a_chunk(void)
{
    begin();
    shared_base = (char *)(unlisted_chunk() << FPHEAP_CHUNK_SHIFT);
    shared = fph_chunk_of_page(heap->state,
                               fph_page_of(heap->state, shared_base));
    assert_int_equal(part_come(shared_base, HALF, 0), 1);
}

/* An address whose pages have the same numbers, a window further on. */
static char *
a_window_on(char *address)
{
    return address + ((heap->state->mask + 1) << FPHEAP_PAGE_SHIFT);
}

static void
needs_another_window(void)
{
    if (a_window_on(shared_base) == shared_base) {
        part_leave(shared_base, HALF);
        end();
        print_message("why: the tables cover all addresses\n");
        skip();
    }
}

static void *
leave_and_let_another_come(void *unused)
{
    (void)unused;
    part_leave(shared_base, HALF);
    assert_null(shared->base);
    assert_int_equal(part_come(a_window_on(shared_base), HALF, 0), 1);
    return NULL;
}

/* It has as many pages then, and lies a window further on. */
static void
a_chunk_that_was_exchanged_takes_no_pages_in(void **state)
{
    (void)state;
    begin_with_half_a_chunk();
    needs_another_window();
    meanwhile(&shared->present, MEANWHILE_CHANGE, 0, leave_and_let_another_come,
              NULL);
    assert_int_equal(part_come(shared_base
                                   + FPHEAP_CHUNK / 2, ~HALF & FPH_ALL_PAGES,
                                   0), 0);
    assert_int_equal(shared->present, HALF);
    assert_ptr_equal(fph_chunk_address(shared), a_window_on(shared_base));
    part_leave((char *)fph_chunk_address(shared), HALF);
    end();
}

static void *
leave_it(void *unused)
{
    (void)unused;
    part_leave(shared_base, HALF);
    return NULL;
}

static void
the_base_goes(void)
{
    FPH_STORE(&shared->base, (char *)NULL, RELEASE);
}

/* Between two looks, and in the middle of it. */
static void
pages_come_whoever_takes_the_chunks_last_ones_out(void **state)
{
    uint64_t others = ~HALF & FPH_ALL_PAGES;
    char    *from;

    (void)state;
    begin_with_half_a_chunk();
    from = shared_base + FPHEAP_CHUNK / 2;
    meanwhile(&shared->present, MEANWHILE_CHANGE, 0, leave_it, NULL);
    assert_int_equal(part_come(from, others, 0), 1);
    assert_int_equal(shared->present, others);
    shared->present = 0;
    at_yield = the_base_goes;
    fph_wait_begin();
    assert_int_equal(part_come(from, others, 0), 1);
    assert_ptr_equal(fph_chunk_address(shared), shared_base);
    part_leave(from, others);
    assert_null(shared->base);
    end();
}

static void *
come_too(void *unused)
{
    (void)unused;
    theirs = part_come(shared_base + FPHEAP_CHUNK / 2, ~HALF & FPH_ALL_PAGES,
                       0) ? shared : NULL;
    return NULL;
}

static void
a_chunk_stays_for_pages_that_come_while_others_leave(void **state)
{
    (void)state;
    begin_with_half_a_chunk();
    meanwhile(&shared->present, MEANWHILE_CHANGE, 0, come_too, NULL);
    part_leave(shared_base, HALF);
    assert_non_null(theirs);
    assert_ptr_equal(fph_chunk_address(shared), shared_base);
    assert_int_equal(shared->present, ~HALF & FPH_ALL_PAGES);
    part_leave(shared_base, ~HALF & FPH_ALL_PAGES);
    assert_null(shared->base);
    end();
}

/* A region's IOVAs have nothing to do with those of the next. */
static void
a_chunk_is_of_one_region_where_iovas_are(void **state)
{
    (void)state;
    begin_with_half_a_chunk();
    assert_false(heap->state->alone);
    heap->state->alone = 1;
    come_too(NULL);
    assert_null(theirs);
    assert_int_equal(shared->present, HALF);
    part_leave(shared_base, HALF);
    end();
}

static size_t
shared_number(void)
{
    return (size_t)(shared - heap->state->chunks);
}

static void *
come_with_records(void *unused)
{
    fph_wait_begin();
    come_too(unused);
    if (theirs != NULL && !fph_chunk_ready(heap, shared_number()))
        abort();
    return NULL;
}

/* Who takes the last pages out has the chunk until its records are out. */
static void
the_records_of_a_chunk_leave_before_others_come(void **state)
{
    (void)state;
    begin_with_half_a_chunk();
    assert_int_equal(fph_chunk_ready(heap, shared_number()), 1);
    meanwhile(&shared->records, MEANWHILE_LOAD, 0, come_with_records, NULL);
    part_leave(shared_base, HALF);
    assert_null(theirs);
    assert_null(shared->base);
    assert_null(shared->records);
    end();
}

static void *
make_it_ready(void *chunk)
{
    theirs = fph_chunk_ready(heap, *(size_t *)chunk) ? chunk : NULL;
    return NULL;
}

/* Those that are not needed serve the next chunk. */
static void
two_that_make_a_chunk_ready_agree_on_its_records(void **state)
{
    fph_records *records;
    void        *object;
    size_t       number;

    (void)state;
    begin();
    object = fpheap_alloc(heap, LARGE);
    number = chunk_number(object) + 1;
    assert_null(heap->state->chunks[number].records);
    meanwhile(&heap->state->chunks[number].records, MEANWHILE_CHANGE, 0,
              make_it_ready, &number);
    assert_int_equal(fph_chunk_ready(heap, number), 1);
    assert_non_null(theirs);
    records = heap->state->chunks[number].records;
    assert_non_null(records);
    assert_int_not_equal(records->link.self, 0);
    assert_true((uint32_t)heap->state->records.word != 0);
    assert_true((uint32_t)heap->state->records.word != records->link.self);
    fpheap_free(heap, object);
    end();
}

/* --- growth --------------------------------------------------------------- */

static void
the_growth_of_another_serves_as_ones_own(void **state)
{
    change   ended;
    unsigned gets;

    (void)state;
    begin();
    ended.word = &heap->state->growing;
    ended.to = 0;
    heap->state->growing = 99;
    gets = provider.gets;
    meanwhile(ended.word, MEANWHILE_LOAD, 0, set_word, &ended);
    assert_int_equal(fph_grow(heap, 0, fph_need_of(heap, FPH_PAGES, 1), 2,
                              heap->state->growths), 0);
    assert_int_equal(provider.gets, gets);
    end();
}

/* The growth of another ends while this one waits for it. */
static void
who_has_waited_for_a_pass_looks_again(void **state)
{
    enum { MANY = 3 * FPHEAP_CHUNK / 112 };
    static void *objects[MANY];
    change       ended;

    (void)state;
    begin();
    assert_int_equal(fpheap_alloc_bulk(heap, 112, objects, MANY), 0);
    fpheap_free_bulk(heap, objects, MANY);
    fpheap_flush(heap);
    assert_true(fph_reclaim_pays(heap, 0));
    ended.word = &heap->state->growing;
    ended.to = 0;
    heap->state->growing = 99;
    meanwhile(&heap->state->growing, MEANWHILE_LOAD, 0, set_word, &ended);
    fph_wait_begin();
    assert_int_equal(fph_climb_parked(heap, 0), 1);
    assert_int_equal(heap->state->reclaims, 0);
    assert_int_equal(heap->state->growing, 0);
    end();
}

static void
a_move_that_began_and_ended_is_noticed(void **state)
{
    uint32_t mark;

    (void)state;
    begin();
    fph_wait_begin();
    mark = fph_moves_mark(heap->state);
    assert_int_equal(fph_moves_wait(heap, mark), 0);
    heap->state->moves_begun++;
    heap->state->moves_ended++;
    assert_int_equal(fph_moves_wait(heap, mark), 1);
    mark = fph_moves_mark(heap->state);
    assert_int_equal(fph_moves_wait(heap, mark), 0);
    end();
}

static void
end_their_move(void)
{
    heap->state->moves_ended++;
}

static void
move_a_little_longer(void)
{
    at_yield = end_their_move;
}

static unsigned looks;

static int
see_nothing(fph_search *search)
{
    (void)search;
    looks++;
    return 0;
}

/* It may give back what is lacked, or hand it to the provider: that is asked
 * again after it, and not before. */
static void
while_another_moves_a_call_only_looks(void **state)
{
    fph_search search;
    unsigned   gets;

    (void)state;
    begin();
    memset(&search, 0, sizeof search);
    search.heap = heap;
    search.need = fph_need_of(heap, 1, 1);
    search.look = see_nothing;
    search.grow = 1;
    provider.limit_bytes = provider.held_bytes;
    heap->growth_max = FPHEAP_CHUNK;    /* so it is asked once each time */
    heap->provider.put = NULL;          /* and nothing is exchanged */
    gets = provider.gets;
    looks = 0;
    heap->state->moves_begun++;
    at_yield = move_a_little_longer;
    fph_wait_begin();
    assert_int_equal(fph_find(&search), -ENOMEM);
    assert_int_equal(looks, 3);
    assert_int_equal(provider.gets, gets + 2);
    heap->provider.put = provider.calls.put;
    end();
}

/* --- blocks for records --------------------------------------------------- */

static void
expect_a_record_beside(uint32_t ref)
{
    assert_true(ref != 0 && ref != their_ref());
    assert_true(ref >> FPH_UNIT_BITS == their_ref() >> FPH_UNIT_BITS);
}

static void
two_records_at_a_time_are_two(void **state)
{
    uint32_t ref;

    (void)state;
    begin();
    use_the_heap(NULL);
    meanwhile(&heap->state->meta_cursor.word, MEANWHILE_CHANGE, 0,
              have_a_record, NULL);
    ref = fph_meta_cut(heap->state, FPH_LINE);
    expect_a_record_beside(ref);
    assert_int_equal(ref, their_ref() + 1);
    end();
}

static void
a_record_that_is_cut_delays_a_block_only(void **state)
{
    enum { BYTES = 600 * FPH_LINE };
    uint32_t ref;
    uint64_t blocks;
    int      error, full = 0;

    (void)state;
    begin();
    use_the_heap(NULL);
    blocks = heap->state->meta_numbers;
    while (fph_meta_cut(heap->state, BYTES) != 0)
        ;
    meanwhile(&heap->state->meta_cursor.word, MEANWHILE_CHANGE, 0,
              have_a_record, &full);
    ref = fph_meta_get(heap, 0, BYTES, &error);
    assert_true(ref != 0 && their_ref() != 0);
    assert_int_equal(their_ref() >> FPH_UNIT_BITS, blocks - 1);
    assert_int_equal(heap->state->meta_numbers, blocks + 1);
    end();
}

/* The memory that was to be one goes back, be it the system's or pages, and its
 * number stands for nothing. */
static void
a_block_that_another_makes_serves_both(void **state)
{
    const size_t length = 4 * FPHEAP_CHUNK;
    unsigned free, pages;
    uint32_t ref;
    size_t   mine;
    int      error, out;

    (void)state;
    for (out = 0; out < 2; out++) {
        char *place = test_map(length);

        begin();
        fill_metadata();
        free = free_pages();
        pages = test_meta_pages(heap);
        mine = (size_t)heap->state->meta_numbers;
        system_is_out = out;
        system_place = out ? NULL : place;
        meanwhile(&heap->state->meta_cursor.word, MEANWHILE_CHANGE, 0,
                  have_a_record, NULL);
        ref = fph_meta_get(heap, 0, FPH_LINE, &error);
        expect_a_record_beside(ref);
        assert_null(heap->state->meta[mine]);
        assert_non_null(heap->state->meta[mine + 1]);
        assert_int_equal(fph_is_meta_page(heap->state,
                                          heap->state->meta[mine + 1]), out);
        pages = test_meta_pages(heap) - pages;
        assert_int_equal(pages > 0, out);
        assert_int_equal(free_pages(), free - pages);
        if (!out)
            assert_int_equal(msync(place, 4096, MS_ASYNC), -1);
        system_is_out = 0;
        end();
        assert_int_equal(test_unmap(place, length), 0);
    }
}

static void *
look_for_moves(void *quiet_)
{
    *(int *)quiet_ = fph_moves_quiet(heap->state);
    return NULL;
}

/* They may become free again, so who finds no pages then looks once more. */
static void
pages_that_are_to_be_a_block_are_on_the_move(void **state)
{
    int quiet = 1;
    int error;

    (void)state;
    begin();
    fill_metadata();
    meanwhile(&heap->state->meta_cursor.word, MEANWHILE_CHANGE, 0,
              look_for_moves, &quiet);
    assert_true(fph_meta_get(heap, 0, FPH_LINE, &error) != 0);
    assert_false(quiet);
    look_for_moves(&quiet);
    assert_true(quiet);
    end();
}

/* Until it is known whether all of it can be had. */
static void
pages_of_a_run_that_crosses_are_on_the_move(void **state)
{
    fph_gap gap   = { FPH_PAGES + 1, 1, FPHEAP_ANY_NODE, 0, 0, FPH_NO_PAGE, 0, 0,
                      0 };
    int     quiet = 1;
    void   *object;
    size_t  chunk, page;

    (void)state;
    begin();
    object = fpheap_alloc(heap, LARGE);
    fpheap_free(heap, object);
    fpheap_flush(heap);
    chunk = chunk_number(object) + 1;
    meanwhile(&heap->state->free[chunk], MEANWHILE_CHANGE, 0, look_for_moves,
              &quiet);
    page = fph_gap_cross(heap->state, &gap, chunk - 1,
                         heap->state->free[chunk - 1]);
    assert_int_equal(page, (chunk - 1) * FPH_PAGES);
    assert_false(quiet);
    fph_pages_give(heap->state, page, FPH_PAGES + 1);
    look_for_moves(&quiet);
    assert_true(quiet);
    end();
}

/* Each has filled the block that the other made. */
static void
two_blocks_at_a_time_are_both_kept(void **state)
{
    uint64_t blocks;
    uint32_t ref;
    int      error, full = 1;

    (void)state;
    begin();
    fill_metadata();
    blocks = heap->state->meta_numbers;
    meanwhile(&heap->state->meta_cursor.word, MEANWHILE_CHANGE, 0,
              have_a_record, &full);
    ref = fph_meta_get(heap, 0, FPH_LINE, &error);
    expect_a_record_beside(ref);
    fill_metadata();
    assert_true(fph_meta_get(heap, 0, FPH_LINE, &error) != 0);
    assert_true(heap->state->meta_numbers >= blocks + 2);
    end();
}

/* --- at other moments ----------------------------------------------------- */

static fpheap_buffer   a_buffer;
static fpheap_provider buffer_calls;

static void *
have_the_buffer(void *region)
{
    theirs = buffer_calls.get(buffer_calls.ctx, FPHEAP_CHUNK, FPHEAP_CHUNK, 0,
                              (fpheap_region *)region) == 0 ? region : NULL;
    return NULL;
}

static void
a_buffer_that_two_ask_for_goes_to_one(void **state)
{
    fpheap_region region, other;

    (void)state;
    fpheap_provider_buffer(&buffer_calls, &a_buffer, &a_buffer, FPHEAP_CHUNK);
    meanwhile(&a_buffer.taken, MEANWHILE_CHANGE, 0, have_the_buffer, &other);
    assert_int_equal(buffer_calls.get(buffer_calls.ctx, FPHEAP_CHUNK,
                                      FPHEAP_CHUNK, 0, &region), -ENOMEM);
    assert_ptr_equal(theirs, &other);
    assert_null(meanwhile_moment.word);
}

static void *
exchange_its_records(void *chunk_)
{
    fph_chunk *chunk = (fph_chunk *)chunk_;

    theirs = chunk->records;
    chunk->records = NULL;
    return NULL;
}

static void
a_pointer_into_a_chunk_whose_records_change_is_into_no_object(void **state)
{
    fph_chunk *chunk;
    void      *object;

    (void)state;
    begin();
    object = fpheap_alloc(heap, 1000);
    chunk = fph_chunk_of(heap->state, object);
    meanwhile(&chunk->records, MEANWHILE_LOAD, 1, exchange_its_records, chunk);
    assert_null(fpheap_base_of(heap, object));
    chunk->records = (fph_records *)theirs;
    assert_ptr_equal(fpheap_base_of(heap, object), object);
    fpheap_free(heap, object);
    end();
}

/* It is about to have its first pages, and lies a window further on. */
static void
pages_do_not_wait_for_a_chunk_of_another_address(void **state)
{
    char *usual;

    (void)state;
    begin_with_half_a_chunk();
    needs_another_window();
    usual = shared->base;
    shared->present = 0;
    shared->base = a_window_on(usual);
    fph_wait_begin();
    assert_int_equal(part_come(shared_base, HALF, 0), 0);
    assert_true(fph_this.wait_end == 0);
    shared->base = usual;
    shared->present = HALF;
    part_leave(shared_base, HALF);
    end();
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_buffer_that_two_ask_for_goes_to_one),
    cmocka_unit_test(
        a_pointer_into_a_chunk_whose_records_change_is_into_no_object),
    cmocka_unit_test(pages_do_not_wait_for_a_chunk_of_another_address),
    cmocka_unit_test(who_overtakes_a_growth_finds_the_region_that_it_has_left),
    cmocka_unit_test(so_does_who_reserves),
    cmocka_unit_test(so_does_who_needs_a_record),
    cmocka_unit_test(of_a_run_that_another_is_in_nothing_is_claimed),
    cmocka_unit_test(a_run_is_found_behind_a_page_that_another_has_taken),
    cmocka_unit_test(pages_of_another_node_are_not_kept),
    cmocka_unit_test(a_region_of_which_another_takes_a_page_stays),
    cmocka_unit_test(a_cursor_is_lowered_whoever_moves_it),
    cmocka_unit_test(a_group_that_two_list_is_listed_once),
    cmocka_unit_test(a_group_whose_thread_has_stopped_is_listed_by_others),
    cmocka_unit_test(a_chunk_that_was_exchanged_takes_no_pages_in),
    cmocka_unit_test(pages_come_whoever_takes_the_chunks_last_ones_out),
    cmocka_unit_test(a_chunk_stays_for_pages_that_come_while_others_leave),
    cmocka_unit_test(a_chunk_is_of_one_region_where_iovas_are),
    cmocka_unit_test(the_records_of_a_chunk_leave_before_others_come),
    cmocka_unit_test(two_that_make_a_chunk_ready_agree_on_its_records),
    cmocka_unit_test(the_growth_of_another_serves_as_ones_own),
    cmocka_unit_test(who_has_waited_for_a_pass_looks_again),
    cmocka_unit_test(a_move_that_began_and_ended_is_noticed),
    cmocka_unit_test(while_another_moves_a_call_only_looks),
    cmocka_unit_test(two_records_at_a_time_are_two),
    cmocka_unit_test(a_record_that_is_cut_delays_a_block_only),
    cmocka_unit_test(a_block_that_another_makes_serves_both),
    cmocka_unit_test(pages_that_are_to_be_a_block_are_on_the_move),
    cmocka_unit_test(pages_of_a_run_that_crosses_are_on_the_move),
    cmocka_unit_test(two_blocks_at_a_time_are_both_kept),
    cmocka_unit_test(a_page_that_another_claims_is_not_touched),
    cmocka_unit_test(two_runs_at_a_time_have_pages_of_their_own)
};

int
main(void)
{
    return cmocka_run_group_tests_name("races_memory", tests, NULL, NULL);
}
