/* test_races.c - another thread comes between two steps of this one
 *
 * Each compare-and-swap that fails because another thread was there first, and
 * each second look that finds what the first one did not, made to happen at
 * just that moment (races.h): what both threads ask for they get, and the
 * heap is whole.
 */
#include "panics.h"
#include "races.h"

#define FPHEAP_CHUNK_SHIFT    16
#define FPHEAP_MAX_NODES 8
#define FPHEAP_GROWTH_WAIT_MS 50   /* that who grows second waits */

/* What a process that runs out of memory hears of the C library. */
static int   no_atfork, no_setspecific, keys;
static void *use_the_heap(void *unused);
static void  use_it_first(void);
#define pthread_atfork(prepare, parent, child) \
    (no_atfork ? ENOMEM : pthread_atfork(prepare, parent, child))
#define pthread_setspecific(key, value) \
    (no_setspecific ? ENOMEM : pthread_setspecific(key, value))
#define pthread_key_create(key, end) \
    (keys++, use_it_first(), pthread_key_create(key, end))
#define pthread_key_delete(key) (keys--, pthread_key_delete(key))

/* Called once when this thread waits. */
#include <sched.h>
static __thread void (*at_yield)(void);
static void yielded(void);
#define sched_yield() (yielded(), sched_yield())

#define FPHEAP_IMPLEMENTATION
#include "fpheap.h"
#include "test_util.h"

#include <sys/wait.h>
#include <unistd.h>

#define LARGE (3 * FPHEAP_CHUNK)   /* a region of four chunks */

static test_provider provider, other_provider;
static fpheap       *heap;
static fpheap_pool  *pool;
static void         *theirs;       /* what the other thread has */

static void
yielded(void)
{
    void (*act)(void) = at_yield;

    at_yield = NULL;
    if (act != NULL)
        act();
}

static void
begin(void)
{
    heap = test_heap_over(&provider);
    theirs = NULL;
    panics = 0;
}

/* The moment has come, and nothing is lost. */
static void
end(void)
{
    assert_null(meanwhile_moment.word);
    assert_true(at_yield == NULL);
    assert_int_equal(panics, 0);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
begin_pool(size_t max, size_t magazine)
{
    fpheap_pool_desc desc;

    memset(&desc, 0, sizeof desc);
    desc.name = "pool";
    desc.size = 500;
    desc.max = max;
    desc.magazine = magazine;
    begin();
    pool = fpheap_pool_create(heap, &desc);
    assert_non_null(pool);
}

static void
end_pool(void)
{
    assert_int_equal(fpheap_pool_destroy(pool, NULL), 0);
    end();
}

/* --- what the other thread does ------------------------------------------- */

typedef struct change {
    fph_word *word;
    uint64_t  to;
} change;

static void *
set_word(void *arg)
{
    const change *c = (const change *)arg;

    fph_store_relaxed(c->word, c->to);
    return NULL;
}

static void *
use_the_heap(void *unused)
{
    (void)unused;
    fpheap_free(heap, fpheap_alloc(heap, 100));
    fpheap_free(heap, fpheap_alloc(heap, 5000));
    return NULL;
}

static void *
have_a_large_object(void *unused)
{
    (void)unused;
    theirs = fpheap_alloc(heap, LARGE);
    return NULL;
}

static void *
free_it(void *object)
{
    fpheap_free(heap, object);
    return NULL;
}

static void *
have_an_object_of_the_pool(void *unused)
{
    (void)unused;
    theirs = fpheap_pool_get(pool);
    return NULL;
}

static void *
set_max_to_35(void *unused)
{
    (void)unused;
    fpheap_pool_set_max(pool, 35);
    return NULL;
}

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

static unsigned
free_pages(void)
{
    const fph_chunk *chunk;
    unsigned         sum = 0;
    size_t           at  = 0;

    while ((chunk = fph_chunk_next(heap->state, &at)) != NULL)
        sum += fph_popcount(heap->state->free[chunk - heap->state->chunks]);
    return sum;
}

/* --- numbers -------------------------------------------------------------- */

static void
a_maximum_is_that_of_both(void **state)
{
    fph_word word = 1;
    change   c = { &word, 5 };

    (void)state;
    meanwhile(&word, MEANWHILE_CHANGE, 0, set_word, &c);
    fph_max_relaxed(&word, 10);
    assert_int_equal(word, 10);
    c.to = 30;
    meanwhile(&word, MEANWHILE_CHANGE, 0, set_word, &c);
    fph_max_relaxed(&word, 20);
    assert_int_equal(word, 30);
    assert_null(meanwhile_moment.word);
}

static void
claims_and_changes_of_max_are_all_counted(void **state)
{
    void *object;

    (void)state;
    begin_pool(40, 2);
    meanwhile(&pool->quota, MEANWHILE_CHANGE, 0, have_an_object_of_the_pool,
              NULL);
    assert_int_equal(fpheap_pool_set_max(pool, 30), 0);
    assert_non_null(theirs);
    assert_int_equal(pool->quota >> 32, 30);
    TEST_CHECK_LIVE(heap, 1);
    meanwhile(&pool->quota, MEANWHILE_CHANGE, 0, set_max_to_35, NULL);
    object = fpheap_pool_get(pool);
    assert_non_null(object);
    assert_int_equal(pool->quota >> 32, 35);
    TEST_CHECK_LIVE(heap, 2);
    fpheap_pool_put(pool, theirs);
    fpheap_pool_put(pool, object);
    end_pool();
}

/* This thread has a slab in its hands already. */
static void
the_last_object_goes_to_one(void **state)
{
    (void)state;
    begin_pool(1, 2);
    meanwhile(&pool->quota, MEANWHILE_LOAD, 1, have_an_object_of_the_pool,
              NULL);
    errno = 0;
    assert_null(fpheap_pool_get(pool));
    assert_int_equal(errno, ENOSPC);
    assert_non_null(theirs);
    assert_int_equal(heap->state->empty_slabs, 1);
    TEST_CHECK_LIVE(heap, 1);
    fpheap_pool_put(pool, theirs);
    end_pool();
}

static void *
have_more_objects(void *objects)
{
    if (fpheap_pool_get_bulk(pool, (void **)objects, 300) == 0)
        theirs = objects;
    return NULL;
}

static void
a_slab_that_is_given_up_beside_a_new_one_is_counted_once(void **state)
{
    void  *objects[300];
    size_t had;

    (void)state;
    begin_pool(0, 2);
    fpheap_pool_put(pool, fpheap_pool_get(pool));
    had = (size_t)pool->objects;
    meanwhile(&pool->objects, MEANWHILE_CHANGE, 0, have_more_objects, objects);
    fpheap_trim(heap);
    assert_ptr_equal(theirs, objects);
    assert_true(pool->objects >= 300 && pool->objects % had == 0);
    TEST_CHECK_LIVE(heap, 300);
    fpheap_pool_put_bulk(pool, objects, 300);
    end_pool();
}

/* --- regions -------------------------------------------------------------- */

static void *
lower_the_limit(void *unused)
{
    (void)unused;
    fpheap_set_limit(heap, 2 * FPHEAP_CHUNK);
    return NULL;
}

static void
a_limit_that_is_lowered_holds_at_once(void **state)
{
    uint64_t charged;

    (void)state;
    begin();
    charged = test_charged(heap);
    meanwhile(&heap->state->left, MEANWHILE_CHANGE, 0, lower_the_limit,
              NULL);
    errno = 0;
    assert_null(fpheap_alloc(heap, LARGE));
    assert_int_equal(errno, ENOSPC);
    assert_int_equal(provider.held, 1);
    assert_int_equal(test_charged(heap), charged);
    fpheap_set_limit(heap, 0);
    fpheap_free(heap, fpheap_alloc(heap, LARGE));
    end();
}

static void
two_limits_at_a_time_are_one_after_the_other(void **state)
{
    fpheap_stats stats;

    (void)state;
    begin();
    fpheap_set_limit(heap, 20 * FPHEAP_CHUNK);
    meanwhile(&heap->state->limit, MEANWHILE_CHANGE, 0, lower_the_limit, NULL);
    fpheap_set_limit(heap, 10 * FPHEAP_CHUNK);
    assert_int_equal(test_charged(heap), heap->state->region_bytes);
    fpheap_stats_get(heap, &stats);
    assert_int_equal(stats.limit, 10 * FPHEAP_CHUNK);
    assert_null(fpheap_alloc(heap, 9 * FPHEAP_CHUNK));
    fpheap_free(heap, fpheap_alloc(heap, 7 * FPHEAP_CHUNK));
    end();
}

/* Both have asked the provider, as each waits for a while only. */
static void
two_regions_at_a_time_are_both_kept(void **state)
{
    void    *ours;
    unsigned i;

    (void)state;
    for (i = 0; i < 2; i++) {
        begin();
        meanwhile(i == 0 ? &heap->state->regions : &heap->state->left,
                  MEANWHILE_CHANGE, 0, have_a_large_object, NULL);
        ours = fpheap_alloc(heap, LARGE);
        assert_non_null(ours);
        assert_non_null(theirs);
        assert_int_equal(provider.held, 3);
        assert_int_equal(test_charged(heap), heap->state->region_bytes);
        assert_int_equal(fph_region_count(heap->state), 3);
        TEST_CHECK_LIVE(heap, 2);
        fpheap_free(heap, ours);
        fpheap_free(heap, theirs);
        end();
    }
}

static void *
take_statistics(void *stats)
{
    fpheap_stats_get(heap, (fpheap_stats *)stats);
    return NULL;
}

/* The region is counted, and not yet that there have never been more bytes. */
static void
a_peak_is_never_below_what_there_is(void **state)
{
    fpheap_stats stats;
    void        *object;

    (void)state;
    begin();
    meanwhile(&heap->state->peak_region_bytes, MEANWHILE_CHANGE, 0,
              take_statistics, &stats);
    object = fpheap_alloc(heap, LARGE);
    assert_true(stats.region_bytes > LARGE);
    assert_int_equal(stats.peak_region_bytes, stats.region_bytes);
    fpheap_free(heap, object);
    end();
}

/* --- regions that leave --------------------------------------------------- */

/* A provider that takes parts.  Each region lies below the last one, and a
 * chunk that is nobody's between the two. */
#define GROUND 64

static struct {
    char         *base;
    size_t        top;
    unsigned char given[GROUND];
} ground;

static int
ground_get(void *unused, size_t bytes, size_t align, int node,
           fpheap_region *region)
{
    size_t n = bytes / FPHEAP_CHUNK;

    (void)unused, (void)align, (void)node;
    if (n + 1 > ground.top)
        return -ENOMEM;
    ground.top -= n + 1;
    memset(ground.given + ground.top, 1, n);
    region->base = ground.base + ground.top * FPHEAP_CHUNK;
    region->bytes = bytes;
    return 0;
}

static int
ground_put(void *unused, const fpheap_region *region)
{
    size_t first = (size_t)((char *)region->base - ground.base) / FPHEAP_CHUNK;
    size_t i;

    (void)unused;
    for (i = first; i < first + region->bytes / FPHEAP_CHUNK; i++) {
        assert_true(i < GROUND && ground.given[i]);
        ground.given[i] = 0;
    }
    return 0;
}

static void
begin_over_ground(void)
{
    static const fpheap_provider calls = {.get = ground_get, .put = ground_put,
                                          .flags = FPHEAP_PARTS};
    fpheap_config config;

    memset(&config, 0, sizeof config);
    memset(&ground, 0, sizeof ground);
    config.provider = &calls;
    ground.base = test_map((GROUND + 1) * FPHEAP_CHUNK);
    assert_non_null(ground.base);
    ground.base += -(uintptr_t)ground.base & FPH_CHUNK_MASK;
    ground.top = GROUND;
    heap = fpheap_create("ground", &config);
    assert_non_null(heap);
    theirs = NULL;
    panics = 0;
    fpheap_free(heap, fpheap_alloc(heap, 100));
}

static void
end_over_ground(void)
{
    size_t i;

    assert_null(meanwhile_moment.word);
    TEST_DESTROY(heap);
    for (i = 0; i < GROUND; i++)
        assert_false(ground.given[i]);
}

/* A region that is free as a whole, with nothing of it parked. */
static fph_region *
free_region(void)
{
    void  *object = fpheap_alloc(heap, LARGE);
    size_t i      = fph_region_count(heap->state) - 1;

    assert_non_null(object);
    fpheap_free(heap, object);
    fpheap_flush(heap);
    assert_true(i > 0);
    return &heap->state->region[i];
}

/* A trim goes through a region from its end to its start.  The region is gone
 * as a whole, and its slot has one that lies below it. */
static void
a_trim_gives_back_no_more_than_the_region_that_is_there(void **state)
{
    fph_region *region;

    (void)state;
    begin_over_ground();
    region = free_region();
    meanwhile(&region->shown, MEANWHILE_LOAD, 1, have_a_large_object, NULL);
    assert_true(fpheap_trim(heap) > 0);
    assert_non_null(theirs);
    assert_true((char *)region->raw.base <= (char *)theirs);
    TEST_CHECK_LIVE(heap, 1);
    fpheap_free(heap, theirs);
    end_over_ground();
}

static void *
keep_it(void *region)
{
    theirs = fph_region_keep((fph_region *)region) ? region : NULL;
    return NULL;
}

/* Its pages have been claimed, and are free again. */
static void
a_region_that_a_walk_shows_does_not_leave(void **state)
{
    fph_region *region;
    unsigned    free;

    (void)state;
    begin_over_ground();
    region = free_region();
    free = free_pages();
    meanwhile(&region->shown, MEANWHILE_CHANGE, 1, keep_it, region);
    fph_regions_release(heap, FPHEAP_ANY_NODE, 0, SIZE_MAX);
    assert_ptr_equal(theirs, region);
    assert_int_equal(free_pages(), free);
    fph_region_unkeep(region);
    fph_regions_release(heap, FPHEAP_ANY_NODE, 0, SIZE_MAX);
    assert_int_equal(region->used, 0);
    end_over_ground();
}

static void
a_region_that_a_walk_shows_is_not_joined(void **state)
{
    fph_region   *region;
    fpheap_region raw, next;

    (void)state;
    begin_over_ground();
    region = free_region();
    raw = next = region->raw;
    next.base = (char *)raw.base + raw.bytes;
    meanwhile(&region->shown, MEANWHILE_CHANGE, 1, keep_it, region);
    assert_int_equal(fph_region_join(region, &next), 0);
    assert_ptr_equal(theirs, region);
    assert_int_equal(region->raw.bytes, raw.bytes);
    fph_region_unkeep(region);
    assert_int_equal(fph_region_join(region, &next), 1);
    assert_int_equal(region->raw.bytes, 2 * raw.bytes);
    assert_int_equal(region->shown, FPH_HERE);
    region->raw = raw;
    end_over_ground();
}

static void *
take_a_slot(void *unused)
{
    (void)unused;
    theirs = fph_region_slot(heap->state);
    return NULL;
}

static void
a_slot_has_one_region(void **state)
{
    fph_region *slot;

    (void)state;
    begin();
    meanwhile(&heap->state->region[fph_region_count(heap->state)].used,
              MEANWHILE_CHANGE, 0, take_a_slot, NULL);
    slot = fph_region_slot(heap->state);
    assert_true(slot != NULL && theirs != NULL && theirs != (void *)slot);
    slot->used = ((fph_region *)theirs)->used = 0;
    end();
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
    fph_gap  gap = { 2 * FPH_PAGES, 1, FPHEAP_ANY_NODE, 0, 0, FPH_NO_PAGE, 0,
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
    fph_gap    gap = { 1, 1, 0, 0, 0, FPH_NO_PAGE, 0, 0 };
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
                       *free_word(object), 0);
    chunk->node = 0;
    assert_true(page == FPH_NO_PAGE);
    assert_int_equal(free_pages(), free);
    fpheap_free(heap, object);
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
    assert_int_equal(fph_part_come(heap->state, shared_base, HALF, 0), 1);
}

static void *
leave_and_let_another_come(void *unused)
{
    (void)unused;
    fph_part_leave(heap->state, shared_base, HALF);
    assert_null(shared->base);
    assert_int_equal(fph_part_come(heap->state,
                                   shared_base + ((heap->state->mask + 1)
                                                  << FPHEAP_PAGE_SHIFT),
                                   HALF, 0), 1);
    return NULL;
}

/* It has as many pages then, and lies a window further on. */
static void
a_chunk_that_was_exchanged_takes_no_pages_in(void **state)
{
    (void)state;
    begin_with_half_a_chunk();
    meanwhile(&shared->present, MEANWHILE_CHANGE, 0, leave_and_let_another_come,
              NULL);
    assert_int_equal(fph_part_come(heap->state, shared_base
                                   + FPHEAP_CHUNK / 2, ~HALF & FPH_ALL_PAGES,
                                   0), 0);
    assert_int_equal(shared->present, HALF);
    assert_ptr_equal(shared->base, shared_base + ((heap->state->mask + 1)
                                                  << FPHEAP_PAGE_SHIFT));
    fph_part_leave(heap->state, shared->base, HALF);
    end();
}

static void *
leave_it(void *unused)
{
    (void)unused;
    fph_part_leave(heap->state, shared_base, HALF);
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
    assert_int_equal(fph_part_come(heap->state, from, others, 0), 1);
    assert_int_equal(shared->present, others);
    shared->present = 0;
    at_yield = the_base_goes;
    fph_wait_begin();
    assert_int_equal(fph_part_come(heap->state, from, others, 0), 1);
    assert_ptr_equal(shared->base, shared_base);
    fph_part_leave(heap->state, from, others);
    assert_null(shared->base);
    end();
}

static void *
come_too(void *unused)
{
    (void)unused;
    theirs = fph_part_come(heap->state, shared_base + FPHEAP_CHUNK / 2,
                           ~HALF & FPH_ALL_PAGES, 0) ? shared : NULL;
    return NULL;
}

static void
a_chunk_stays_for_pages_that_come_while_others_leave(void **state)
{
    (void)state;
    begin_with_half_a_chunk();
    meanwhile(&shared->present, MEANWHILE_CHANGE, 0, come_too, NULL);
    fph_part_leave(heap->state, shared_base, HALF);
    assert_non_null(theirs);
    assert_ptr_equal(shared->base, shared_base);
    assert_int_equal(shared->present, ~HALF & FPH_ALL_PAGES);
    fph_part_leave(heap->state, shared_base, ~HALF & FPH_ALL_PAGES);
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
    fph_part_leave(heap->state, shared_base, HALF);
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
    fph_part_leave(heap->state, shared_base, HALF);
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
    assert_int_equal(records->slab[3].page, number * FPH_PAGES + 3);
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

/* The pages that were to be one are free again. */
static void
a_block_that_another_makes_serves_both(void **state)
{
    unsigned free, pages;
    uint32_t ref;
    int      error;

    (void)state;
    begin();
    fill_metadata();
    free = free_pages();
    pages = test_meta_pages(heap);
    meanwhile(&heap->state->meta_cursor.word, MEANWHILE_CHANGE, 0,
              have_a_record, NULL);
    ref = fph_meta_get(heap, 0, FPH_LINE, &error);
    expect_a_record_beside(ref);
    pages = test_meta_pages(heap) - pages;
    assert_true(pages > 0);
    assert_int_equal(free_pages(), free - pages);
    end();
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

/* Cut a record of three pages from the current block. */
static void *
cut_a_long_record(void *unused)
{
    static uint32_t ref;

    (void)unused;
    ref = fph_meta_cut(heap->state, 3 * FPHEAP_PAGE);
    theirs = ref == 0 ? NULL : &ref;
    return NULL;
}

/* It ends behind the record's last page, and what follows is free. */
static void
a_block_that_shrinks_while_another_cuts_a_record_keeps_it(void **state)
{
    unsigned free, pages;
    size_t   last, kept;
    char    *record;
    int      error;

    (void)state;
    begin();
    heap->state->meta_tight = 0;       /* the block is long */
    fill_metadata();
    assert_int_not_equal(fph_meta_get(heap, 0, FPH_LINE, &error), 0);
    pages = fph_meta_spare(heap->state->meta_cursor.word, &kept);
    assert_true(pages > 4);
    free = free_pages();
    meanwhile(&heap->state->meta_cursor.word, MEANWHILE_CHANGE, 0,
              cut_a_long_record, NULL);
    assert_true(fph_meta_yield(heap->state));
    record = (char *)fph_meta_at(heap->state, their_ref());
    last = fph_page_of(heap->state, record + 3 * FPHEAP_PAGE - 1);
    assert_true(fph_is_meta(heap->state, record));
    assert_true(fph_is_meta(heap->state, record + 3 * FPHEAP_PAGE - 1));
    assert_false(fph_page_is_free(heap->state, last));
    assert_true(fph_page_is_free(heap->state, last + 1));
    assert_int_equal(free_pages(), free + pages - 3);
    assert_false(fph_meta_yield(heap->state));
    end();
}

/* Whoever fails meanwhile looks once more. */
static void
pages_that_a_block_gives_back_are_on_the_move(void **state)
{
    int quiet = 1;
    int error;

    (void)state;
    begin();
    heap->state->meta_tight = 0;
    fill_metadata();
    assert_int_not_equal(fph_meta_get(heap, 0, FPH_LINE, &error), 0);
    meanwhile(&heap->state->meta_cursor.word, MEANWHILE_CHANGE, 0,
              look_for_moves, &quiet);
    assert_true(fph_meta_yield(heap->state));
    assert_false(quiet);
    end();
}

/* Until it is known whether all of it can be had. */
static void
pages_of_a_run_that_crosses_are_on_the_move(void **state)
{
    fph_gap gap   = { FPH_PAGES + 1, 1, FPHEAP_ANY_NODE, 0, 0, FPH_NO_PAGE, 0,
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
    page = fph_gap_cross(heap->state, &gap, chunk, heap->state->free[chunk],
                         FPH_PAGES);
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

/* --- pages and slabs ------------------------------------------------------ */

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
    assert_int_equal(fph_chunk_touch(heap->state, chunk), 0);
    assert_int_equal(heap->state->free[chunk], 0);
    fph_part_give(heap->state, chunk, free);
    assert_int_equal(fph_chunk_touch(heap->state, chunk), fph_popcount(free));
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

static fph_slab *held;

static void *
hold_the_slab(void *stack)
{
    held = (fph_slab *)fph_stack_pop(heap->state, (fph_word *)stack);
    return NULL;
}

/* Begin with one empty slab of a bin.  Returns the stack that it is in. */
static fph_word *
begin_with_a_slab(unsigned bin)
{
    begin();
    fpheap_free(heap, fpheap_alloc(heap, 100));
    fph_cache_flush(fph_cache_mine(heap), 1 /* drain */);
    return &heap->state->depots[bin].partial;
}

static void
an_empty_slab_that_another_holds_stays(void **state)
{
    unsigned  bin   = fph_class_of(100);
    fph_word *stack = begin_with_a_slab(bin);

    (void)state;
    meanwhile(stack, MEANWHILE_LOAD, 1, hold_the_slab, (void *)stack);
    fph_bin_retire(heap->state, bin);
    assert_non_null(held);
    assert_int_equal(fph_info_kind(held->info), FPH_SLAB);
    fph_slab_let_go(heap->state, held);
    fph_bin_retire(heap->state, bin);
    assert_int_equal(held->info, 0);
    end();
}

static void *
hold_it_and_let_go(void *stack)
{
    hold_the_slab(stack);
    fph_slab_let_go(heap->state, held);
    return NULL;
}

static void
a_stack_that_another_has_changed_is_taken_as_it_is(void **state)
{
    unsigned  bin   = fph_class_of(100);
    fph_word *stack = begin_with_a_slab(bin);

    (void)state;
    meanwhile(stack, MEANWHILE_CHANGE, 0, hold_it_and_let_go, (void *)stack);
    fph_bin_retire(heap->state, bin);
    assert_non_null(held);
    assert_int_equal(held->info, 0);
    assert_int_equal((uint32_t)*stack, 0);
    end();
}

static void *
give_to_the_slab(void *object)
{
    fph_slab_give(heap->state, &object, 1);
    return NULL;
}

/* It was about to be dropped, as without free objects. */
static void
a_slab_to_which_one_comes_back_is_listed(void **state)
{
    void     *objects[FPHEAP_PAGE];
    unsigned  bin = fph_class_of(FPHEAP_PAGE);
    int       refused = 0;
    fph_slab *slab;
    size_t    n;

    (void)state;
    begin();
    slab = fph_slab_carve(heap, bin, &refused);
    assert_non_null(slab);
    n = fph_slab_claim(heap->state, slab, objects, TEST_COUNT(objects));
    assert_int_equal(n, fph_info_count(slab->info));
    meanwhile(&slab->state, MEANWHILE_CHANGE, 0, give_to_the_slab, objects[0]);
    fph_slab_let_go(heap->state, slab);
    hold_the_slab((void *)&heap->state->depots[bin].partial);
    assert_ptr_equal(held, slab);
    fph_slab_let_go(heap->state, slab);
    fph_slab_give(heap->state, objects + 1, n - 1);
    end();
}

static void
objects_given_at_a_time_are_counted_each(void **state)
{
    void     *objects[FPHEAP_PAGE];
    unsigned  bin = fph_class_of(FPHEAP_PAGE);
    int       refused = 0;
    fph_slab *slab;
    size_t    n;

    (void)state;
    begin();
    slab = fph_slab_carve(heap, bin, &refused);
    assert_non_null(slab);
    n = fph_slab_claim(heap->state, slab, objects, TEST_COUNT(objects));
    assert_true(n > 2);
    fph_slab_let_go(heap->state, slab);
    meanwhile(&slab->state, MEANWHILE_CHANGE, 0, give_to_the_slab, objects[1]);
    fph_slab_give(heap->state, objects, 1);
    assert_int_equal(fph_slab_free_objects(slab->state), 2);
    fph_slab_give(heap->state, objects + 2, n - 2);
    end();
}

static void *
put_among_the_empty(void *magazine)
{
    fph_empty_put(heap->state, fph_class_of(100), (fph_magazine *)magazine);
    return NULL;
}

static void *
have_an_empty(void *unused)
{
    (void)unused;
    theirs = fph_empty_get(heap, fph_class_of(100), 1 /* more */);
    return NULL;
}

static void
records_that_come_and_go_at_a_time_are_each_in_one_place(void **state)
{
    unsigned      bin = fph_class_of(100);
    const void   *empties;
    fph_magazine *one, *two;

    (void)state;
    begin();
    empties = fph_empties(heap->state, bin);
    one = fph_empty_get(heap, bin, 1);
    two = fph_empty_get(heap, bin, 1);
    meanwhile(empties, MEANWHILE_CHANGE, 0, put_among_the_empty, two);
    fph_empty_put(heap->state, bin, one);
    meanwhile(empties, MEANWHILE_CHANGE, 0, have_an_empty, NULL);
    assert_ptr_equal(fph_empty_get(heap, bin, 1), two);
    assert_ptr_equal(theirs, one);
    fph_empty_put(heap->state, bin, one);
    fph_empty_put(heap->state, bin, two);
    end();
}

static void *
put_into_the_depot(void *magazine)
{
    fph_depot_put(heap->state, fph_class_of(100), (fph_magazine *)magazine);
    return NULL;
}

/* Objects of 100 bytes, in magazines of the depot. */
static void
fill_the_depot(void)
{
    void    *objects[4 * FPHEAP_MAGAZINE];
    unsigned n = TEST_COUNT(objects);

    assert_int_equal(fpheap_alloc_bulk(heap, 100, objects, n), 0);
    fpheap_free_bulk(heap, objects, n);
    assert_true(fph_depot_count(heap->state, fph_class_of(100)) >= 2);
}

static void
magazines_put_at_a_time_are_counted_each(void **state)
{
    unsigned      bin = fph_class_of(100);
    fph_magazine *one, *two;
    size_t        count;

    (void)state;
    begin();
    fill_the_depot();
    count = fph_depot_count(heap->state, bin);
    one = fph_depot_get(heap->state, bin);
    two = fph_depot_get(heap->state, bin);
    meanwhile(&heap->state->depots[bin].full, MEANWHILE_CHANGE, 0,
              put_into_the_depot, two);
    fph_depot_put(heap->state, bin, one);
    assert_int_equal(fph_depot_count(heap->state, bin), count);
    assert_ptr_equal(fph_depot_get(heap->state, bin), one);
    assert_ptr_equal(fph_depot_get(heap->state, bin), two);
    fph_depot_put(heap->state, bin, one);
    fph_depot_put(heap->state, bin, two);
    end();
}

static void *
drain_the_depot(void *bin)
{
    fph_depot_drain(heap->state, *(unsigned *)bin);
    return NULL;
}

static void
a_depot_that_another_empties_has_no_magazine(void **state)
{
    unsigned bin = fph_class_of(100);

    (void)state;
    begin();
    fill_the_depot();
    meanwhile(&heap->state->depots[bin].full, MEANWHILE_LOAD, 2,
              drain_the_depot, &bin);
    assert_null(fph_depot_rob(heap->state, bin));
    fill_the_depot();
    meanwhile(&heap->state->depots[bin].full, MEANWHILE_LOAD, 1,
              drain_the_depot, &bin);
    fph_depot_drain(heap->state, bin);
    assert_int_equal(fph_depot_count(heap->state, bin), 0);
    assert_int_equal(heap->state->moves_begun, heap->state->moves_ended);
    end();
}

static void *
free_it_and_flush(void *object)
{
    fpheap_free(heap, object);
    fpheap_flush(heap);
    return NULL;
}

/* Before the record's info is read, and before the chunk's records are. */
static void
a_pointer_into_an_object_that_ends_leads_to_nothing(void **state)
{
    unsigned i;

    (void)state;
    for (i = 0; i < 2; i++) {
        char     *object;
        fph_slab *record;

        begin();
        object = (char *)fpheap_alloc(heap, FPHEAP_CHUNK + FPHEAP_CHUNK / 2);
        record = fph_record_of(heap->state, object);
        meanwhile(i == 0 ? (void *)&record->info
                         : (void *)&fph_chunk_of(heap->state, object)->records,
                  MEANWHILE_LOAD, 0, free_it_and_flush, object);
        assert_null(fpheap_base_of(heap, object + FPHEAP_CHUNK));
        end();
    }
}

/* Of two threads that free it, one does. */
static void
a_large_object_that_is_freed_twice_at_a_time_ends_once(void **state)
{
    void     *object;
    fph_slab *record;

    (void)state;
    begin();
    object = fpheap_alloc(heap, LARGE);
    record = fph_record_of(heap->state, object);
    meanwhile(&record->info, MEANWHILE_CHANGE, 0, free_it, object);
    fpheap_free(heap, object);
    assert_int_equal(panics, 1);
    assert_non_null(strstr(last_panic, "no live object"));
    panics = 0;
    end();
}

/* --- caches --------------------------------------------------------------- */

/* As a fpheap_pool_destroy that finds an object live in the end: it takes all
 * magazines of the pool, these too. */
static void *
empty_the_pool(void *unused)
{
    (void)unused;
    fph_this.wait_end = 1;          /* it has waited enough */
    theirs = fph_pool_empty(pool) == -EBUSY ? pool : NULL;
    return NULL;
}

/* Until the loaded magazine is empty and the spare has `spare`. */
static void
have_a_spare_of(size_t spare, void **objects, unsigned n)
{
    const fpheap_cache *cache = fph_cache_mine(heap);
    unsigned            bin = FPH_SIZES + pool->number;
    unsigned            i;

    for (i = 0; i < n; i++)
        fpheap_pool_put(pool, objects[i]);
    for (i = 0; cache->bins[bin].next != NULL
                || fph_spare_count(cache, bin) != spare; i++) {
        assert_true(i < n);
        assert_non_null(objects[i] = fpheap_pool_get(pool));
    }
    for (; i < n; i++)
        objects[i] = NULL;
}

static void
a_magazine_that_is_taken_is_missed_by_nobody(void **state)
{
    static const struct {
        size_t spare;          /* of four */
        int    is_loaded;      /* which of the two swaps */
    } rows[] = { { 2, 0 }, { 4, 0 }, { 4, 1 } };
    unsigned i;

    (void)state;
    for (i = 0; i < TEST_COUNT(rows); i++) {
        void         *objects[9];
        fpheap_cache *cache;
        unsigned      bin;

        begin_pool(0, 4);
        bin = FPH_SIZES + pool->number;
        assert_int_equal(fpheap_pool_get_bulk(pool, objects, 9), 0);
        cache = fph_cache_mine(heap);
        have_a_spare_of(rows[i].spare, objects, 8);
        meanwhile(rows[i].is_loaded ? (void *)&cache->bins[bin].base
                                    : (void *)&cache->spare[bin],
                  MEANWHILE_CHANGE, 0, empty_the_pool, NULL);
        fpheap_pool_put(pool, fpheap_pool_get(pool));
        assert_ptr_equal(theirs, pool);
        fpheap_pool_put_bulk(pool, objects, 9);
        end_pool();
    }
}

/* The seat that this thread wants is another's in the last moment. */
static void *
want_a_seat(void *unused)
{
    change   taken;
    unsigned i = 0;

    (void)unused;
    while (fph_seats[i] != 0)
        i++;
    taken.word = &fph_seats[i];
    taken.to = 1;
    meanwhile(taken.word, MEANWHILE_CHANGE, 0, set_word, &taken);
    if (fpheap_self(heap) != NULL && fph_this.seat - 1 > i)
        theirs = heap;
    fph_seats[i] = 0;
    return NULL;
}

static void
a_seat_has_one_thread(void **state)
{
    pthread_t thread;

    (void)state;
    begin();
    assert_int_equal(pthread_create(&thread, NULL, want_a_seat, NULL), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_ptr_equal(theirs, heap);
    end();
}

static fph_word *
gate(void)
{
    return &fph_gates[heap->state->number];
}

/* These of this process are in the heap's gate. */
static void
set_gate(uint64_t inside)
{
    fph_store_release(gate(), fph_process() << 32 | inside);
}

static unsigned waits;

static void
empty_the_gate(void)
{
    set_gate(0);
    waits++;
}

static void
wait_once_more(void)
{
    at_yield = empty_the_gate;
    waits++;
}

static void *
destroy_another(void *unused)
{
    (void)unused;
    set_gate(FPH_DESTROY);
    return NULL;
}

/* Ends while an fpheap_destroy has just come into the gate. */
static void *
end_beside_a_destroy(void *unused)
{
    (void)unused;
    theirs = fpheap_self(heap);
    at_yield = wait_once_more;
    meanwhile(gate(), MEANWHILE_CHANGE, 0, destroy_another, NULL);
    return NULL;
}

static void *
end_beside_one_that_ends(void *unused)
{
    (void)unused;
    theirs = fpheap_self(heap);
    set_gate(FPH_EXIT);
    at_yield = empty_the_gate;
    return NULL;
}

static void
end_a_thread(void *(*of)(void *))
{
    pthread_t thread;

    waits = 0;
    assert_int_equal(pthread_create(&thread, NULL, of, NULL), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_non_null(theirs);
    assert_null(((fpheap_cache *)theirs)->entry);
}

static void
threads_that_exit_wait_for_a_destroy_and_not_for_each_other(void **state)
{
    (void)state;
    begin();
    end_a_thread(end_beside_a_destroy);
    assert_int_equal(waits, 2);
    assert_int_equal((uint32_t)*gate(), 0);
    end_a_thread(end_beside_one_that_ends);
    assert_int_equal(waits, 0);
    assert_int_equal((uint32_t)*gate(), FPH_EXIT);
    set_gate(0);
    end();
}

static void
a_destroy_waits_for_threads_that_leave_this_heap(void **state)
{
    fpheap *other = test_heap_over(&other_provider);

    (void)state;
    begin();
    waits = 0;
    set_gate(2 * FPH_EXIT);
    TEST_DESTROY_OVER(other, &other_provider);
    assert_int_equal(waits, 0);
    at_yield = wait_once_more;
    TEST_DESTROY_OVER(heap, &provider);
    assert_int_equal(waits, 2);
}

static int
pass_the_gate(void)
{
    pthread_t thread;

    if (pthread_create(&thread, NULL, use_the_heap, NULL) != 0
        || pthread_join(thread, NULL) != 0)
        return 1;
    return fpheap_destroy(heap) == 0 ? 0 : 2;
}

/* They are not in the child's, whether a handler of forks has run or not. */
static void
a_child_of_fork_waits_for_nobody_in_the_gate(void **state)
{
    uint32_t inside[] = {FPH_EXIT, FPH_DESTROY};
    unsigned i;

    (void)state;
    for (i = 0; i < 2; i++) {
        begin();
        set_gate(inside[i]);
        test_in_child(pass_the_gate);
        assert_int_equal((uint32_t)*gate(), inside[i]);
        set_gate(0);
        end();
    }
}

/* --- pools that begin and end --------------------------------------------- */

static void *
move_and_be_done(void *unused)
{
    (void)unused;
    fph_moves_begin(heap->state);
    fph_moves_end(heap->state);
    return NULL;
}

static void *
begin_a_move(void *unused)
{
    (void)unused;
    heap->state->moves_begun++;
    return NULL;
}

static void
end_the_move(void)
{
    heap->state->moves_ended++;
}

static void
wait_in_vain(void)
{
}

static void
live_objects_are_counted_again_after_a_move(void **state)
{
    (void)state;
    begin_pool(0, 0);
    meanwhile(&heap->state->moves_ended, MEANWHILE_LOAD, 1, move_and_be_done,
              NULL);
    at_yield = wait_in_vain;
    fph_this.wait_end = UINT64_MAX;
    assert_int_equal(fph_pool_live_exact(pool), 0);
    assert_null(meanwhile_moment.word);
    assert_true(at_yield == NULL);
    meanwhile(&heap->state->moves_ended, MEANWHILE_LOAD, 1, begin_a_move,
              NULL);
    at_yield = end_the_move;
    fph_this.wait_end = UINT64_MAX;
    assert_int_equal(fph_pool_live_exact(pool), 0);
    end_pool();
}

static fpheap_pool *
another_pool(const char *name)
{
    fpheap_pool_desc desc;

    memset(&desc, 0, sizeof desc);
    desc.name = name;
    desc.size = 100;
    return fpheap_pool_create(heap, &desc);
}

static int
has_name(const char *name)
{
    fpheap_pool *one = another_pool(name);

    if (one == NULL)
        return errno == EEXIST;
    assert_int_equal(fpheap_pool_destroy(one, NULL), 0);
    return 0;
}

/* Its thread has stopped once it had said that it wants one, or before. */
static void
a_pool_has_a_name_from_when_it_wants_it(void **state)
{
    fph_word *is;
    uint64_t  ready;

    (void)state;
    begin_pool(0, 0);
    is = &heap->state->pool_is[pool->number];
    ready = *is;
    at_yield = wait_in_vain;
    *is = ready - FPH_POOL_READY + FPH_POOL_WANTS;
    assert_true(has_name("pool"));
    assert_null(fpheap_pool_lookup(heap, "pool"));
    assert_false(has_name("another"));
    assert_true(has_name("pool"));
    *is = ready - FPH_POOL_READY + FPH_POOL_TAKEN;
    assert_false(has_name("pool"));
    *is = ready;
    assert_true(has_name("pool"));
    assert_true(at_yield == wait_in_vain);
    at_yield = NULL;
    end_pool();
}

/* The other's thread has stopped; it ends its try if it goes on. */
static void
a_name_that_a_higher_number_wants_is_got(void **state)
{
    fpheap_pool *high;
    fph_word    *is;

    (void)state;
    begin_pool(0, 0);
    high = another_pool("same");
    assert_non_null(high);
    assert_true(high->number > pool->number);
    is = &heap->state->pool_is[high->number];
    assert_int_equal(fpheap_pool_destroy(pool, NULL), 0);
    *is -= FPH_POOL_READY - FPH_POOL_WANTS;
    pool = another_pool("same");
    assert_non_null(pool);
    assert_true(pool->number < high->number);
    assert_int_equal(*is % 8, FPH_POOL_TAKEN);
    *is -= FPH_POOL_TAKEN - FPH_POOL_FREE;
    end_pool();
}

static void *
name_one_so(void *name)
{
    theirs = another_pool((const char *)name);
    return NULL;
}

static void
of_two_that_want_a_name_one_gets_it(void **state)
{
    char         same[] = "same", other[] = "other", again[] = "again";
    fpheap_pool *one;

    (void)state;
    begin_pool(0, 0);
    meanwhile(&heap->state->pool_is[pool->number + 1], MEANWHILE_CHANGE, 0,
              name_one_so, same);
    errno = 0;
    assert_null(another_pool("same"));
    assert_int_equal(errno, EEXIST);
    assert_non_null(theirs);
    meanwhile(&heap->state->names, MEANWHILE_CHANGE, 0, name_one_so,
              other);
    one = another_pool("one");
    assert_non_null(one);
    assert_ptr_equal(fpheap_pool_lookup(heap, "one"), one);
    assert_ptr_equal(fpheap_pool_lookup(heap, "other"), theirs);
    meanwhile(&heap->state->names, MEANWHILE_CHANGE, 0, name_one_so, again);
    assert_non_null(another_pool("again"));
    assert_null(theirs);
    end_pool();
}

static void *
name_it_anew(void *unused)
{
    (void)unused;
    if (fpheap_pool_destroy(pool, NULL) == 0)
        theirs = another_pool("another");
    return NULL;
}

static void
a_name_that_is_half_of_one_pool_is_not_found(void **state)
{
    enum { LAST = FPHEAP_NAME_BYTES / 8 - 1 };

    (void)state;
    begin_pool(0, 0);
    meanwhile(&pool->name[LAST], MEANWHILE_LOAD, 0, name_it_anew, NULL);
    assert_null(fpheap_pool_lookup(heap, "pool"));
    assert_int_equal(errno, ENOENT);
    assert_ptr_equal(theirs, pool);
    assert_ptr_equal(fpheap_pool_lookup(heap, "another"), pool);
    end_pool();
}

static void *
end_the_pool(void *rc)
{
    *(int *)rc = fpheap_pool_destroy(pool, NULL);
    return NULL;
}

static void
a_name_that_is_given_up_during_the_look_is_free(void **state)
{
    int rc = -1;

    (void)state;
    begin_pool(0, 0);
    meanwhile(&heap->state->pool_is[pool->number], MEANWHILE_LOAD, 1,
              end_the_pool, &rc);
    pool = another_pool("pool");
    assert_int_equal(rc, 0);
    assert_non_null(pool);
    assert_ptr_equal(fpheap_pool_lookup(heap, "pool"), pool);
    end_pool();
}

/* --- the first thread of a process ---------------------------------------- */

static int another_is_first;

/* Called when a thread is about to make the process's key. */
static void
use_it_first(void)
{
    pthread_t thread;

    if (!another_is_first)
        return;
    another_is_first = 0;
    if (pthread_create(&thread, NULL, use_the_heap, NULL) != 0
        || pthread_join(thread, NULL) != 0)
        abort();
}

/* Whether a thread of its own has a seat that is free again when it has
 * ended. */
static void *
is_seated(void *is)
{
    *(int *)is = fpheap_self(heap) != NULL;
    return NULL;
}

static int
thread_is_seated(void)
{
    pthread_t thread;
    unsigned  i;
    int       is = 0;

    if (pthread_create(&thread, NULL, is_seated, &is) != 0
        || pthread_join(thread, NULL) != 0)
        return -1;
    for (i = 0; i < FPHEAP_MAX_THREADS; i++)
        if (fph_seats[i] != 0)
            return -2;
    return is;
}

/* In a process that has not used a heap yet.  0: all was as it should be. */
static int
begin_as_the_first(void)
{
    heap = fpheap_create("first", NULL);
    if (heap == NULL)
        return 1;
    no_atfork = 1;
    if (thread_is_seated() != 0)
        return 2;
    no_atfork = 0;
    another_is_first = 1;
    if (thread_is_seated() != 1 || another_is_first || keys != 1)
        return 3;
    no_setspecific = 1;
    if (thread_is_seated() != 0)
        return 4;
    no_setspecific = 0;
    return thread_is_seated() == 1 && fpheap_check(heap) == NULL
        && fpheap_destroy(heap) == 0 ? 0 : 5;
}

/* Two threads are the first at a time; and what the C library refuses keeps a
 * thread from having a cache, and nothing else. */
static void
the_first_thread_has_a_seat_as_any_other(void **state)
{
    (void)state;
    test_in_child(begin_as_the_first);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(the_first_thread_has_a_seat_as_any_other),
    cmocka_unit_test(a_maximum_is_that_of_both),
    cmocka_unit_test(claims_and_changes_of_max_are_all_counted),
    cmocka_unit_test(the_last_object_goes_to_one),
    cmocka_unit_test(
        a_slab_that_is_given_up_beside_a_new_one_is_counted_once),
    cmocka_unit_test(a_limit_that_is_lowered_holds_at_once),
    cmocka_unit_test(two_limits_at_a_time_are_one_after_the_other),
    cmocka_unit_test(two_regions_at_a_time_are_both_kept),
    cmocka_unit_test(a_peak_is_never_below_what_there_is),
    cmocka_unit_test(
        a_trim_gives_back_no_more_than_the_region_that_is_there),
    cmocka_unit_test(a_region_that_a_walk_shows_does_not_leave),
    cmocka_unit_test(a_region_that_a_walk_shows_is_not_joined),
    cmocka_unit_test(a_slot_has_one_region),
    cmocka_unit_test(of_a_run_that_another_is_in_nothing_is_claimed),
    cmocka_unit_test(a_run_is_found_behind_a_page_that_another_has_taken),
    cmocka_unit_test(pages_of_another_node_are_not_kept),
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
    cmocka_unit_test(
        a_block_that_shrinks_while_another_cuts_a_record_keeps_it),
    cmocka_unit_test(pages_that_a_block_gives_back_are_on_the_move),
    cmocka_unit_test(pages_of_a_run_that_crosses_are_on_the_move),
    cmocka_unit_test(two_blocks_at_a_time_are_both_kept),
    cmocka_unit_test(a_page_that_another_claims_is_not_touched),
    cmocka_unit_test(two_runs_at_a_time_have_pages_of_their_own),
    cmocka_unit_test(an_empty_slab_that_another_holds_stays),
    cmocka_unit_test(a_stack_that_another_has_changed_is_taken_as_it_is),
    cmocka_unit_test(a_slab_to_which_one_comes_back_is_listed),
    cmocka_unit_test(objects_given_at_a_time_are_counted_each),
    cmocka_unit_test(
        records_that_come_and_go_at_a_time_are_each_in_one_place),
    cmocka_unit_test(magazines_put_at_a_time_are_counted_each),
    cmocka_unit_test(a_depot_that_another_empties_has_no_magazine),
    cmocka_unit_test(a_pointer_into_an_object_that_ends_leads_to_nothing),
    cmocka_unit_test(
        a_large_object_that_is_freed_twice_at_a_time_ends_once),
    cmocka_unit_test(a_magazine_that_is_taken_is_missed_by_nobody),
    cmocka_unit_test(a_seat_has_one_thread),
    cmocka_unit_test(
        threads_that_exit_wait_for_a_destroy_and_not_for_each_other),
    cmocka_unit_test(a_destroy_waits_for_threads_that_leave_this_heap),
    cmocka_unit_test(a_child_of_fork_waits_for_nobody_in_the_gate),
    cmocka_unit_test(live_objects_are_counted_again_after_a_move),
    cmocka_unit_test(a_pool_has_a_name_from_when_it_wants_it),
    cmocka_unit_test(a_name_that_a_higher_number_wants_is_got),
    cmocka_unit_test(of_two_that_want_a_name_one_gets_it),
    cmocka_unit_test(a_name_that_is_half_of_one_pool_is_not_found),
    cmocka_unit_test(a_name_that_is_given_up_during_the_look_is_free),
};

int
main(void)
{
    return cmocka_run_group_tests_name("races", tests, NULL, NULL);
}
