/* test_races_regions.c - another thread comes between two steps of this one, for
 * which a region comes or leaves
 *
 * Each compare-and-swap of a limit or a region that fails because another thread
 * was there first, each second look that finds what the first one did not, and a
 * fork in between, made to happen at that moment (races.h): both threads get
 * what they ask for, and the heap is whole.
 */
#include "panics.h"
#include "races.h"

#define FPHEAP_CHUNK_SHIFT 16
#define FPHEAP_GROWTH_WAIT_MS 50   /* that who grows second waits */
#define FPHEAP_IMPLEMENTATION
#include "fpheap.h"
#include "races_util.h"

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
    void    *kept; /* with the first region */
    uint64_t charged;

    (void)state;
    begin();
    kept = fpheap_alloc(heap, 64);
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
    fpheap_free(heap, kept);
    end();
}

static void
two_limits_at_a_time_are_one_after_the_other(void **state)
{
    fpheap_stats stats;
    void        *kept; /* with the first region */

    (void)state;
    begin();
    kept = fpheap_alloc(heap, 64);
    fpheap_set_limit(heap, 20 * FPHEAP_CHUNK);
    meanwhile(&heap->state->limit, MEANWHILE_CHANGE, 0, lower_the_limit, NULL);
    fpheap_set_limit(heap, 10 * FPHEAP_CHUNK);
    assert_int_equal(test_charged(heap), heap->state->region_bytes);
    fpheap_stats_get(heap, &stats);
    assert_int_equal(stats.limit, 10 * FPHEAP_CHUNK);
    assert_null(fpheap_alloc(heap, 9 * FPHEAP_CHUNK));
    fpheap_free(heap, fpheap_alloc(heap, 7 * FPHEAP_CHUNK));
    fpheap_free(heap, kept);
    end();
}

/* Both have asked the provider, as each waits for a while only. */
static void
two_regions_at_a_time_are_both_kept(void **state)
{
    void    *ours, *kept; /* that with the first region */
    unsigned i;

    (void)state;
    for (i = 0; i < 2; i++) {
        begin();
        kept = fpheap_alloc(heap, 64);
        meanwhile(i == 0 ? &heap->state->regions : &heap->state->left,
                  MEANWHILE_CHANGE, 0, have_a_large_object, NULL);
        ours = fpheap_alloc(heap, LARGE);
        assert_non_null(ours);
        assert_non_null(theirs);
        assert_int_equal(provider.held, 3);
        assert_int_equal(test_charged(heap), heap->state->region_bytes);
        assert_int_equal(fph_region_count(heap->state), 3);
        TEST_CHECK_LIVE(heap, 3);
        fpheap_free(heap, ours);
        fpheap_free(heap, theirs);
        fpheap_free(heap, kept);
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
    void        *object, *kept; /* that with the first region */

    (void)state;
    begin();
    kept = fpheap_alloc(heap, 64);
    meanwhile(&heap->state->peak_region_bytes, MEANWHILE_CHANGE, 0,
              take_statistics, &stats);
    object = fpheap_alloc(heap, LARGE);
    assert_true(stats.region_bytes > LARGE);
    assert_int_equal(stats.peak_region_bytes, stats.region_bytes);
    fpheap_free(heap, object);
    fpheap_free(heap, kept);
    end();
}

static int
all_can_be_huge(void *ctx, void *chunk, size_t bytes, fpheap_huge what)
{
    (void)ctx, (void)chunk, (void)bytes;
    return what != FPHEAP_HUGE_NONE;
}

static void *
trim_it(void *unused)
{
    (void)unused;
    theirs = fpheap_trim(heap) > 0 ? heap : NULL;
    return NULL;
}

/* The chunks with hugepages are counted, and leave before the bytes are. */
static void
hugepages_are_of_the_bytes_that_are_there(void **state)
{
    fpheap_stats stats;

    (void)state;
    begin();
    heap->provider.huge = all_can_be_huge;
    assert_int_equal(fpheap_reserve(heap, LARGE, 0), 0);
    fpheap_stats_get(heap, &stats);
    assert_true(stats.backing_bytes[FPHEAP_BACKING_THP] >= LARGE);
    meanwhile(&heap->state->backing_bytes[FPHEAP_BACKING_PAGES],
              MEANWHILE_LOAD, 0, trim_it, NULL);
    fpheap_stats_get(heap, &stats);
    assert_non_null(theirs);
    assert_int_equal(stats.backing_bytes[FPHEAP_BACKING_THP],
                     provider.held_bytes);
    assert_int_equal(stats.backing_bytes[FPHEAP_BACKING_PAGES], 0);
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
    unsigned      wrong;       /* chunks that came back and were not given */
    int           refuses;     /* 1: put takes nothing */
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
    if (ground.refuses)
        return -EBUSY;
    for (i = first; i < first + region->bytes / FPHEAP_CHUNK; i++) {
        if (i >= GROUND || !ground.given[i])
            ground.wrong++;
        else
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
    assert_int_equal(ground.wrong, 0);
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
    void       *kept; /* with the first region */

    (void)state;
    begin_over_ground();
    kept = fpheap_alloc(heap, 64);
    region = free_region();
    meanwhile(&region->shown, MEANWHILE_LOAD, 1, have_a_large_object, NULL);
    assert_true(fpheap_trim(heap) > 0);
    assert_non_null(theirs);
    assert_true((char *)region->raw.base <= (char *)theirs);
    TEST_CHECK_LIVE(heap, 2);
    fpheap_free(heap, theirs);
    fpheap_free(heap, kept);
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
two_walks_show_a_region_at_a_time(void **state)
{
    fph_region *region;

    (void)state;
    begin_over_ground();
    region = free_region();
    meanwhile(&region->shown, MEANWHILE_CHANGE, 0, keep_it, region);
    assert_int_equal(fph_region_keep(region), 1);
    assert_ptr_equal(theirs, region);
    assert_true(region->shown == FPH_HERE + 2);
    fph_region_unkeep(region);
    fph_region_unkeep(region);
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
    assert_int_equal(next.bytes, raw.bytes);
    fph_region_unkeep(region);
    assert_int_equal(fph_region_join(region, &next), 1);
    assert_ptr_equal(next.base, raw.base);
    assert_int_equal(next.bytes, 2 * raw.bytes);
    assert_int_equal(region->shown, 0);
    fph_region_show(region, &raw);
    end_over_ground();
}

/* Grow by the chunk behind an object. */
static void *
have_the_chunk_behind(void *end)
{
    ground.top = (size_t)((char *)end - ground.base) / FPHEAP_CHUNK + 2;
    theirs = fph_grow_now(heap, 0, fph_need_of(heap, 1, 1), 1) == 0 ? end
                                                                    : NULL;
    return NULL;
}

/* There was none when the first look found nothing to grow into. */
static void
an_object_grows_into_memory_that_another_brings(void **state)
{
    char *object, *end;

    (void)state;
    begin_over_ground();
    object = (char *)fpheap_alloc(heap, LARGE);
    assert_non_null(object);
    end = object + LARGE;
    assert_null(fph_chunk_of(heap->state, end));
    meanwhile(&heap->state->moves_ended, MEANWHILE_CHANGE, 1,
              have_the_chunk_behind, end);
    assert_ptr_equal(fpheap_realloc(heap, object, LARGE + FPHEAP_PAGE), object);
    assert_ptr_equal(theirs, end);
    fpheap_free(heap, object);
    end_over_ground();
}

/* --- forks ---------------------------------------------------------------- */

/* What fpheap_check may say after a fork: pages, or a region, were in the hands
 * of a thread that is gone. */
static int
is_lost_in_a_fork(const char *wrong)
{
    static const char *const lost[] = {
        "F1: a page is in no place", "F1: a page is in no region, or in two",
        "the regions' bytes are not those that are counted",
        "the bytes by backing do not add up"
    };
    size_t i;

    for (i = 0; i < TEST_COUNT(lost); i++)
        if (strcmp(wrong, lost[i]) == 0)
            return 1;
    return 0;
}

/* Use the heap as a child of fork: 0, or what is not as it should be. */
static int
live_as_child(void)
{
    size_t      top   = ground.top;
    void       *large = fpheap_alloc(heap, 10 * FPHEAP_CHUNK);
    const char *wrong;

    if (large == NULL || ground.top == top)
        return 2;              /* it did not grow */
    memset(large, 1, 10 * FPHEAP_CHUNK);
    use_the_heap(NULL);
    fpheap_free(heap, large);
    fpheap_flush(heap);
    ground.refuses = 0;
    if (fpheap_trim(heap) < 10 * FPHEAP_CHUNK)
        return 3;
    wrong = fpheap_check(heap);
    if (wrong != NULL && !is_lost_in_a_fork(wrong)) {
        print_error("fpheap_check: %s\n", wrong);
        return 4;
    }
    use_the_heap(NULL);
    if (fpheap_destroy_forced(heap) != 0)
        return 5;
    return ground.wrong != 0 ? 6 : panics != 0 ? 7 : 0;
}

/* *status becomes what the child ends with. */
static void *
fork_and_wait(void *status)
{
    pid_t child = fork();

    if (child == 0)
        _exit(live_as_child());
    if (child < 0 || waitpid(child, (int *)status, 0) != child)
        *(int *)status = -1;
    return NULL;
}

enum { ROW = 6 };              /* chunks in a region */

/* A region of live objects, a chunk each, of which those in `freed` are freed. */
static void
begin_with_a_row(void **row, unsigned freed)
{
    unsigned i;

    begin_over_ground();
    assert_int_equal(fpheap_reserve(heap, ROW * FPHEAP_CHUNK, 0), 0);
    for (i = 0; i < ROW; i++)
        assert_non_null(row[i] = fpheap_alloc(heap, FPHEAP_CHUNK));
    for (i = 0; i < ROW; i++)
        if (freed >> i & 1) {
            fpheap_free(heap, row[i]);
            row[i] = NULL;
        }
    fpheap_flush(heap);
}

/* Fork in front of that access of a release.  Returns 0: it has fewer. */
static int
fork_in_a_release(unsigned freed, int refuses, unsigned step)
{
    void *row[ROW];
    int   status = 0;
    int   reached;

    begin_with_a_row(row, freed);
    ground.refuses = refuses;
    meanwhile(&meanwhile_any, MEANWHILE_LOAD, step, fork_and_wait, &status);
    fph_regions_release(heap, FPHEAP_ANY_NODE, 0, SIZE_MAX);
    reached = meanwhile_moment.word == NULL;
    meanwhile_moment.word = NULL;
    ground.refuses = 0;
    if (status != 0)
        print_error("freed %x, step %u: status %x\n", freed, step,
                    (unsigned)status);
    assert_int_equal(status, 0);
    fpheap_free_bulk(heap, row, ROW);
    end_over_ground();
    return reached;
}

/* The whole region leaves, its end, its start, or its middle; or the provider
 * does not take it, and it is joined again. */
static void
a_fork_while_another_thread_cuts_a_region_leaves_a_child_that_works(
    void **state)
{
    static const unsigned freed[] = { 0x3f, 0x38, 0x03, 0x0c, 0x2d };
    unsigned i, step, steps = 0;

    (void)state;
    for (i = 0; i < 2 * TEST_COUNT(freed); i++) {
        for (step = i; fork_in_a_release(freed[i / 2], i % 2, step); step += 7)
            continue;
        assert_true(step > 20);
        steps += (step - i) / 7;
    }
    print_message("%u forks\n", steps);
}

static void *
trim_in_a_child(void *status)
{
    pid_t child = fork();

    if (child == 0)
        _exit(fpheap_trim(heap) < LARGE || fpheap_check(heap) != NULL
              || fpheap_destroy(heap) != 0 || ground.wrong != 0);
    if (child < 0 || waitpid(child, (int *)status, 0) != child)
        *(int *)status = -1;
    return NULL;
}

/* Its trim, or its walk, was looking at it. */
static void
a_region_that_a_thread_shows_at_a_fork_goes_back_in_the_child(void **state)
{
    fph_region *region;
    pthread_t   thread;
    int         status = 0;

    (void)state;
    begin_over_ground();
    region = free_region();
    assert_int_equal(fph_region_keep(region), 1);
    assert_int_equal(pthread_create(&thread, NULL, trim_in_a_child, &status),
                     0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(status, 0);
    fph_region_unkeep(region);
    end_over_ground();
}

static int
fork_in_a_visit(void *status, const fpheap_region *region)
{
    pid_t child = *(pid_t *)status < 0 ? fork() : 0;

    (void)region;
    if (child > 0 && waitpid(child, (int *)status, 0) != child)
        return -1;
    if (child > 0)
        return 1;              /* the walk goes on in the child */
    *(pid_t *)status = 0;
    return 0;
}

static void
a_walk_whose_visitor_forks_goes_on_in_the_child(void **state)
{
    int status = -1;

    (void)state;
    begin_over_ground();
    (void)free_region();
    if (fpheap_region_walk(heap, fork_in_a_visit, &status) == 0)
        _exit(fpheap_trim(heap) < LARGE || fpheap_destroy(heap) != 0
              || ground.wrong != 0);
    assert_int_equal(status, 0);
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

/* --- words that two change at a time -------------------------------------- */

/* The other one was first, and this one goes on from there. */
static void
numbers_of_regions_are_changed_one_after_the_other(void **state)
{
    fph_region region;
    change     c;
    uint64_t   usual;

    (void)state;
    begin();
    memset(&region, 0, sizeof region);
    region.shown = FPH_HERE;
    c.word = &region.shown;
    c.to = FPH_HERE + 1;
    meanwhile(&region.shown, MEANWHILE_CHANGE, 0, set_word, &c);
    assert_int_equal(fph_region_keep(&region), 1);
    assert_true(region.shown == FPH_HERE + 2);
    c.to = 0;
    meanwhile(&region.shown, MEANWHILE_CHANGE, 0, set_word, &c);
    assert_int_equal(fph_region_keep(&region), 0);
    assert_true(region.shown == 0);
    usual = heap->state->region_bytes;
    heap->reserve = 300;
    c.word = &heap->state->region_bytes;
    c.to = 400;
    meanwhile(c.word, MEANWHILE_CHANGE, 0, set_word, &c);
    assert_int_equal(fph_region_may_leave(heap, 100), 1);
    assert_true(heap->state->region_bytes == 300);
    heap->state->region_bytes = 1000;
    c.to = 399;
    meanwhile(c.word, MEANWHILE_CHANGE, 0, set_word, &c);
    assert_int_equal(fph_region_may_leave(heap, 100), 0);
    assert_true(heap->state->region_bytes == 399);
    heap->state->region_bytes = usual;
    heap->reserve = 0;
    end();
}

/* A chunk has some pages, of which the other thread takes one out, or lets
 * others come, in front of a step of this one, which wants two. */
static void
come_meanwhile(uint64_t had, int kind, uint64_t to, int rc, uint64_t has)
{
    fph_state    *s = heap->state;
    char         *map = test_map(2 * FPHEAP_CHUNK);
    char         *base = (char *)(((uintptr_t)map + FPHEAP_CHUNK - 1)
                                  & ~(uintptr_t)FPH_CHUNK_MASK);
    fph_chunk    *chunk = fph_chunk_of_page(s, fph_page_of(s, base));
    fpheap_region raw;
    change        c;

    memset(&raw, 0, sizeof raw);
    raw.base = base;
    raw.bytes = 2 * FPHEAP_PAGE;
    assert_int_equal(fph_pages_come(s, base, 2, &raw), 0);
    chunk->present = had;
    c.word = &chunk->present;
    c.to = to;
    meanwhile(&chunk->present, kind, 0, set_word, &c);
    assert_int_equal(fph_pages_come(s, base, 2, &raw), rc);
    assert_null(meanwhile_moment.word);
    assert_true(chunk->present == has);
    fph_pages_leave(s, base, FPH_PAGES);
    assert_null(chunk->base);
    assert_int_equal(test_unmap(map, 2 * FPHEAP_CHUNK), 0);
}

/* As if it went, and another came there. */
static void *
be_of_another_node(void *chunk)
{
    FPH_STORE(&((fph_chunk *)chunk)->node, 7, RELAXED);
    return NULL;
}

static void
pages_do_not_stay_in_a_chunk_of_another_node(void **state)
{
    fph_state    *s;
    char         *map, *base;
    fph_chunk    *chunk;
    fpheap_region raw;

    (void)state;
    begin();
    s = heap->state;
    map = test_map(2 * FPHEAP_CHUNK);
    base = (char *)(((uintptr_t)map + FPHEAP_CHUNK - 1)
                    & ~(uintptr_t)FPH_CHUNK_MASK);
    chunk = fph_chunk_of_page(s, fph_page_of(s, base));
    memset(&raw, 0, sizeof raw);
    raw.base = base;
    raw.bytes = 4 * FPHEAP_PAGE;
    assert_int_equal(fph_pages_come(s, base, 2, &raw), 0);
    meanwhile(&chunk->present, MEANWHILE_CHANGE, 0, be_of_another_node, chunk);
    assert_int_equal(fph_pages_come(s, base + 2 * FPHEAP_PAGE, 2, &raw),
                     -EFAULT);
    assert_true(chunk->present == 3 && chunk->node == 7);
    fph_pages_leave(s, base, 2);
    assert_int_equal(test_unmap(map, 2 * FPHEAP_CHUNK), 0);
    end();
}

static void
a_chunk_that_changes_while_pages_come_is_looked_at_again(void **state)
{
    (void)state;
    begin();
    come_meanwhile(0xf0, MEANWHILE_CHANGE, 0x1f0, 0, 0x1f3);
    come_meanwhile(0xf0, MEANWHILE_CHANGE, 0xf2, -EFAULT, 0xf2);
    come_meanwhile(0xf1, MEANWHILE_STORE, 0xf0, 0, 0xf3);
    come_meanwhile(1, MEANWHILE_STORE, 0x10, 0, 0x13);
    come_meanwhile(0xf1, MEANWHILE_STORE, 0xf2, -EFAULT, 0xf2);
    end();
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_limit_that_is_lowered_holds_at_once),
    cmocka_unit_test(numbers_of_regions_are_changed_one_after_the_other),
    cmocka_unit_test(pages_do_not_stay_in_a_chunk_of_another_node),
    cmocka_unit_test(a_chunk_that_changes_while_pages_come_is_looked_at_again),
    cmocka_unit_test(two_limits_at_a_time_are_one_after_the_other),
    cmocka_unit_test(two_regions_at_a_time_are_both_kept),
    cmocka_unit_test(a_peak_is_never_below_what_there_is),
    cmocka_unit_test(hugepages_are_of_the_bytes_that_are_there),
    cmocka_unit_test(a_trim_gives_back_no_more_than_the_region_that_is_there),
    cmocka_unit_test(a_region_that_a_walk_shows_does_not_leave),
    cmocka_unit_test(two_walks_show_a_region_at_a_time),
    cmocka_unit_test(a_region_that_a_walk_shows_is_not_joined),
    cmocka_unit_test(an_object_grows_into_memory_that_another_brings),
    cmocka_unit_test(
        a_fork_while_another_thread_cuts_a_region_leaves_a_child_that_works),
    cmocka_unit_test(
        a_region_that_a_thread_shows_at_a_fork_goes_back_in_the_child),
    cmocka_unit_test(a_walk_whose_visitor_forks_goes_on_in_the_child),
    cmocka_unit_test(a_slot_has_one_region)
};

int
main(void)
{
    return cmocka_run_group_tests_name("races_regions", tests, NULL, NULL);
}
