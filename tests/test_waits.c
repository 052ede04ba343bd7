/* test_waits.c - for whom a call waits, and for how long
 *
 * With a clock of the test's own, in which only a yield takes time: a call that
 * needs memory, or ends a pool, waits for threads that grow the heap, move what
 * is free, or hold a slab.  It waits for all of them together no longer than
 * FPHEAP_GROWTH_WAIT_MS, and what it fails to get it does not look for again
 * at the same cost.
 */
#include "clock.h"

#define FPHEAP_CHUNK_SHIFT    16
#define FPHEAP_GROWTH_WAIT_MS 10
#define FPHEAP_MAX_NODES      2
#define FPHEAP_IMPLEMENTATION
#include "fpheap.h"
#include "pool_util.h"

#define WAIT_NS 10000000u      /* FPHEAP_GROWTH_WAIT_MS */

/* --- growth, with others -------------------------------------------------- */

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
    /* It does not finish in time. */
    s->growing = 99;
    fph_wait_begin();
    begin_waiting(NULL, NULL);
    assert_int_equal(fph_growth_enter(heap, &ticket), 1);
    assert_int_equal(waited(), WAIT_NS / STEP_NS);
    assert_true(s->growing == ticket && ticket == next + 2);
    assert_int_equal(fph_this.beside, 1);
    fph_wait_begin();
    assert_int_equal(fph_this.beside, 0);
    fph_growth_leave(s, 99);
    assert_true(s->growing == ticket);
    fph_growth_leave(s, ticket);
    assert_true(s->growing == 0);
    TEST_DESTROY_OVER(heap, &provider);
}

/* As if this thread were inside one of these for a heap; with 0, in none. */
static void
be_in(unsigned what, const fpheap *heap)
{
    static fph_frame frame;

    frame.what = what;
    frame.heap = heap;
    fph_this.frames = what == 0 ? NULL : &frame;
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
    assert_int_equal(fph_this.beside, 1);
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

static void
set_base_to_null(void *chunk)
{
    ((fph_chunk *)chunk)->base = NULL;
}

/* A thread takes the chunk's last pages out just now; or the place in the table
 * has another chunk. */
static void
a_chunk_that_is_leaving_is_waited_for(void **state)
{
    fpheap       *heap = test_heap_over(&provider);
    fph_state    *s = heap->state;
    char         *map = test_map(2 * FPHEAP_CHUNK);
    char         *base = (char *)(((uintptr_t)map + FPHEAP_CHUNK - 1)
                                  & ~(uintptr_t)FPH_CHUNK_MASK);
    fph_chunk    *chunk = fph_chunk_of_page(s, fph_page_of(s, base));
    fpheap_region raw;

    (void)state;
    memset(&raw, 0, sizeof raw);
    raw.base = base;
    raw.bytes = 4 * FPHEAP_PAGE;
    assert_int_equal(fph_pages_come(s, base, 4, &raw), 0);
    fph_pages_leave(s, base, 4);
    chunk->base = base + 1;
    fph_wait_begin();
    begin_waiting(set_base_to_null, chunk);
    assert_int_equal(fph_pages_come(s, base, 4, &raw), 0);
    assert_int_equal(waited(), 1);
    assert_true(chunk->present == 0xf && chunk->base == base + 1);
    fph_pages_leave(s, base, 4);
    chunk->base = base + 1;
    begin_waiting(NULL, NULL);
    assert_int_equal(fph_pages_come(s, base, 4, &raw), -EFAULT);
    assert_int_equal(waited(), WAIT_NS / STEP_NS - 1);
    chunk->base = base + 1 - FPHEAP_CHUNK;
    fph_wait_begin();
    begin_waiting(NULL, NULL);
    assert_int_equal(fph_pages_come(s, base, 4, &raw), -EFAULT);
    assert_int_equal(waited(), 0);
    chunk->base = NULL;
    assert_int_equal(test_unmap(map, 2 * FPHEAP_CHUNK), 0);
    TEST_DESTROY_OVER(heap, &provider);
}

/* --- searches ------------------------------------------------------------- */

static void
a_pass_pays_from_a_chunk_on(void **state)
{
    fpheap    *heap = test_heap_over(&provider);
    fph_state *s = heap->state;
    uint64_t   usual = s->empty_pages;

    (void)state;
    s->empty_pages = FPH_PAGES - 1;
    assert_false(fph_reclaim_pays(heap, 0));
    s->empty_pages = FPH_PAGES;
    assert_true(fph_reclaim_pays(heap, 0));
    s->empty_pages = (uint64_t)-1;
    assert_false(fph_reclaim_pays(heap, 0));
    s->empty_pages = usual;
    TEST_DESTROY_OVER(heap, &provider);
}

/* To the last page: what is parked and lacks one, and then has it. */
static void
a_page_that_is_empty_may_make_a_pass_pay(void **state)
{
    static void *objects[FPH_PAGES];
    fpheap      *heap = test_heap_over(&provider);
    fph_state   *s = heap->state;
    uint64_t     usual;
    size_t       parked;
    unsigned     i;

    (void)state;
    for (i = 0; i < FPH_PAGES; i++)
        assert_non_null(objects[i] = fpheap_alloc(heap, FPHEAP_PAGE - FPH_HEAD
                                                        - FPH_SLACK));
    for (i = 0; (parked = fph_parked_bytes(heap, 0, fph_cache_mine(heap)))
                + FPHEAP_PAGE < FPHEAP_CHUNK; i++)
        fpheap_free(heap, objects[i]);
    assert_true(parked < FPHEAP_CHUNK);
    usual = s->empty_pages;
    s->empty_pages = 0;
    assert_false(fph_reclaim_pays(heap, 0));
    s->empty_pages = 1;
    assert_true(fph_reclaim_pays(heap, 0));
    s->empty_pages = usual;
    fpheap_free_bulk(heap, objects + i, FPH_PAGES - i);
    TEST_DESTROY_OVER(heap, &provider);
}

/* A look during which no other thread moved anything is the last one. */
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
    /* After one wait in vain nobody waits for it again. */
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

/* Two chunks are free as a whole: four fit into their place and two more. */
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
    /* That thread has gone on, so the next move is waited for. */
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

/* At any time a thread that grows the heap has stopped, and so has one that
 * moves what is free: a call, with all the calls that it consists of, waits
 * for them together. */
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

/* The last one has waited for all of its time. */
static void
each_call_has_a_deadline_of_its_own(void **state)
{
    fpheap  *heap = test_heap_over(&provider);
    uint64_t began;
    unsigned way;

    (void)state;
    for (way = 0; way < 2; way++) {
        heap->state->growing = 99;
        fph_this.wait_end = 1;
        began = clock_ns;
        begin_waiting(set_to_zero, (void *)&heap->state->growing);
        if (way == 0)
            assert_int_equal(fpheap_reserve(heap, 20 * FPHEAP_CHUNK, 0), 0);
        else
            fpheap_trim(heap);
        assert_true(fph_this.wait_end == 0
                    || fph_this.wait_end >= began + WAIT_NS);
        heap->state->growing = 0;
    }
    TEST_DESTROY_OVER(heap, &provider);
}

/* Once a millisecond it asks other threads for what they park. */
static void
a_call_that_fails_again_asks_the_provider_once_and_waits_for_nobody(
    void **state)
{
    static void *objects[4200];
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

/* --- the ladder by itself ------------------------------------------------- */

static void
what_was_done_less_than_a_millisecond_ago_was_just_done(void **state)
{
    fpheap    *heap = test_heap_over(&provider);
    fph_state *s = heap->state;
    fph_word   when = 0;
    uint64_t   asked;

    (void)state;
    assert_false(fph_just_done(&when, 5));
    when = 1;
    assert_true(fph_just_done(&when, 1));
    assert_true(fph_just_done(&when, FPH_PAUSE_NS));
    assert_false(fph_just_done(&when, FPH_PAUSE_NS + 1));
    when = FPH_PAUSE_NS;
    assert_true(fph_just_done(&when, 2 * FPH_PAUSE_NS - 1));
    /* A partition may have the time of an earlier boot. */
    assert_false(fph_just_done(&when, FPH_PAUSE_NS - 1));
    s->asked_ns = 0;
    asked = s->asked;
    fph_pass_ask(s, 0 /* always */);
    assert_true(s->asked == asked + 1 && s->asked_ns == clock_ns);
    clock_ns += FPH_PAUSE_NS - 1;
    fph_pass_ask(s, 0 /* always */);
    assert_true(s->asked == asked + 1 && s->asked_ns != clock_ns);
    fph_pass_ask(s, 1 /* always */);
    assert_true(s->asked == asked + 2 && s->asked_ns == clock_ns);
    clock_ns += FPH_PAUSE_NS;
    fph_pass_ask(s, 0 /* always */);
    assert_true(s->asked == asked + 3 && s->asked_ns == clock_ns);
    TEST_DESTROY_OVER(heap, &provider);
}

/* A heap of two nodes; this thread is on this one. */
static int on_node;

static int
told_node(void *ctx)
{
    (void)ctx;
    return on_node;
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
    config.thread_node = told_node;
    on_node = 0;
    heap = fpheap_create("nodes", &config);
    assert_non_null(heap);
    return heap;
}

/* Allocate and free n objects on a node, so that some are parked. */
static void
park(fpheap *heap, size_t size, unsigned n, int node)
{
    void    *some[512];
    unsigned i;

    assert_true(n <= TEST_COUNT(some));
    for (i = 0; i < n; i++)
        assert_non_null(some[i] = fpheap_alloc_on(heap, size, node));
    for (i = 0; i < n; i++)
        fpheap_free(heap, some[i]);
}

/* Small objects count where they lie in depots, those of a page or more also in
 * the thread's cache, and those that a pool keeps not at all. */
static void
what_is_parked_on_a_node_is_counted_as_one_by_one(void **state)
{
    fpheap       *heap = heap_of_two_nodes();
    fph_state    *s = heap->state;
    fpheap_cache *cache;
    fpheap_pool  *pool = named(heap, "kept", 40, NULL, NULL);
    int           node;
    unsigned      bin;

    (void)state;
    assert_non_null(pool);
    for (node = 0; node < 2; node++) {
        park(heap, 64, 500, node);
        park(heap, FPHEAP_PAGE, 100, node);
        park(heap, FPHEAP_PAGE, 20 + 3 * (unsigned)node, node);
    }
    cache = fph_cache_mine(heap);
    for (node = 0; node < 2; node++) {
        size_t depots = 0, large = 0;

        for (bin = (unsigned)node * FPH_CLASSES + 1;
             bin < (unsigned)(node + 1) * FPH_CLASSES; bin++) {
            size_t size = fph_bin_class(s, bin)->size;

            if (!fph_keeps_slabs(fph_bin_pool(s, bin)))
                depots += fph_depot_objects(s, bin) * size;
            if (size >= FPHEAP_PAGE)
                large += fph_cache_objects(s, cache, bin) * size;
        }
        assert_true(depots != 0 && large != 0);
        assert_int_equal(fph_parked_bytes(heap, node, NULL), depots);
        assert_int_equal(fph_parked_bytes(heap, node, cache), depots + large);
    }
    TEST_DESTROY_OVER(heap, &provider);
}

/* Objects that the depots of a node have. */
static size_t
in_depots(const fpheap *heap, unsigned node)
{
    size_t   n = 0;
    unsigned i;

    for (i = 1; i < FPH_CLASSES; i++)
        n += fph_depot_objects(heap->state, node * FPH_CLASSES + i);
    return n;
}

static void
a_pass_empties_the_depots_of_its_node_and_this_cache(void **state)
{
    fpheap       *heap = heap_of_two_nodes();
    fph_state    *s = heap->state;
    fpheap_cache *cache;
    fpheap_stats  stats;
    uint64_t      asked, reclaims = s->reclaims;

    (void)state;
    park(heap, 64, 500, 0);
    park(heap, 64, 500, 1);
    cache = fph_cache_mine(heap);
    be_in(FPH_IN_PASS, heap);
    assert_int_equal(fph_reclaim(heap, 0, 1), 0);
    be_in(0, NULL);
    assert_true(s->reclaims == reclaims);
    assert_true(in_depots(heap, 0) != 0 && in_depots(heap, 1) != 0);
    asked = s->asked;
    assert_int_equal(fph_reclaim(heap, 1, 1), 1);
    assert_null(fph_this.frames);
    assert_true(s->reclaims == reclaims + 1 && s->asked == asked + 1);
    assert_true(cache->asked == s->asked);
    assert_true(in_depots(heap, 0) != 0 && in_depots(heap, 1) == 0);
    assert_int_equal(fph_reclaim(heap, 0, 0), 1);
    assert_true(s->reclaims == reclaims + 2 && s->asked == asked + 1);
    assert_true(in_depots(heap, 0) == 0);
    assert_int_equal(s->empty_pages, 0);
    assert_int_equal(fph_reclaim(heap, 0, 0), 0);
    fpheap_stats_get(heap, &stats);
    assert_int_equal(stats.parked_bytes, 0);
    TEST_DESTROY_OVER(heap, &provider);
}

/* What is kept for those that must not fail stays in the cache. */
static void
a_pass_leaves_what_was_prefilled(void **state)
{
    fpheap        *heap = test_heap_over(&provider);
    const fph_bin *bin;
    unsigned       k = 1;

    (void)state;
    assert_int_equal(fpheap_prefill(heap, 64, 5), 0);
    while (heap->state->classes[k].size < 64)
        k++;
    bin = &fph_cache_mine(heap)->bins[k];
    assert_true(bin->top - bin->base >= 5);
    fph_reclaim(heap, 0, 1 /* always */);
    assert_true(bin->top - bin->base >= 5);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
before_it_asks_a_heap_gives_back_what_it_will_ask_for(void **state)
{
    fpheap  *heap = test_heap_over(&provider);
    fph_need need = fph_need_of(heap, 3 * FPH_PAGES + 1, 1);

    (void)state;
    assert_int_equal(heap->provider.flags, 0);
    assert_true(fph_need_exchange(heap, need) == SIZE_MAX);
    heap->provider.flags = FPHEAP_PARTS;
    assert_int_equal(fph_need_exchange(heap, need), 4 * FPHEAP_CHUNK);
    heap->state->region_bytes += 200 * FPHEAP_CHUNK;
    assert_int_equal(fph_need_exchange(heap, need), 12 * FPHEAP_CHUNK);
    heap->state->region_bytes -= 200 * FPHEAP_CHUNK;
    heap->provider.flags = 0;
    TEST_DESTROY_OVER(heap, &provider);
}

/* A search that notes its looks, and what it finds in each. */
static int       finds[64];
static unsigned  looks;
static int       tight[64];
static void    (*at_look)(fpheap *heap);

static int
note_look(fph_search *search)
{
    assert_true(looks < TEST_COUNT(finds));
    tight[looks] = search->tight;
    if (at_look != NULL)
        at_look(search->heap);
    return finds[looks++];
}

static fph_search
search_for(fpheap *heap, size_t pages, int grow)
{
    fph_search search;

    memset(&search, 0, sizeof search);
    search.heap = heap;
    search.need = fph_need_of(heap, pages, 1);
    search.look = note_look;
    search.grow = grow;
    search.error = 77;
    memset(finds, 0, sizeof finds);
    memset(tight, 0, sizeof tight);
    looks = 0;
    at_look = NULL;
    fph_wait_begin();
    return search;
}

/* Nothing of this heap is free as a whole. */
static fpheap *
heap_in_use(void **object)
{
    fpheap *heap = test_heap_over(&provider);

    assert_non_null(*object = fpheap_alloc(heap, 64));
    assert_int_equal(fph_regions_fresh(heap), 0);
    provider.gets = provider.puts = provider.refused = 0;
    return heap;
}

static void
a_search_ends_when_it_has_found_something_or_memory_would_not_help(
    void **state)
{
    void      *object;
    fpheap    *heap = heap_in_use(&object);
    fph_search search = search_for(heap, 0, 1);

    (void)state;
    assert_int_equal(fph_find(&search), -ENOMEM);
    assert_true(looks == 0 && search.error == -ENOMEM);
    search = search_for(heap, 1, 1);
    finds[0] = 1;
    assert_int_equal(fph_find(&search), 0);
    assert_int_equal(looks, 1);
    search = search_for(heap, 1, 1);
    finds[0] = -EINVAL;
    assert_int_equal(fph_find(&search), -EINVAL);
    assert_int_equal(looks, 1);
    search = search_for(heap, 1, 0);
    assert_int_equal(fph_find(&search), -ENOMEM);
    assert_true(looks == 1 && provider.gets == 0);
    search = search_for(heap, 1, 1);
    finds[1] = -EINVAL;
    assert_int_equal(fph_find(&search), -EINVAL);
    assert_true(looks == 2 && provider.gets == 1);
    fpheap_free(heap, object);
    TEST_DESTROY_OVER(heap, &provider);
}

/* Each step is taken only when those before it were in vain. */
static void
a_search_grows_as_long_as_it_finds_nothing(void **state)
{
    void      *object;
    fpheap    *heap = heap_in_use(&object);
    uint64_t   growths = heap->state->growths;
    fph_search search = search_for(heap, 1, 1);

    (void)state;
    finds[3] = 1;
    assert_int_equal(fph_find(&search), 0);
    assert_true(looks == 4 && provider.gets == 3 && provider.puts == 0);
    assert_true(heap->state->growths == growths + 3);
    assert_true(search.growths == growths + 3);
    assert_true(!tight[0] && !tight[1] && !tight[2] && !tight[3]);
    /* There is no more, and all is in use. */
    search = search_for(heap, 1, 1);
    assert_int_equal(fph_regions_release(heap, FPHEAP_ANY_NODE, 0, SIZE_MAX),
                     3 * FPHEAP_CHUNK);
    provider.gets = 0;
    provider.error = -EIO;
    provider.limit_bytes = provider.held_bytes;
    assert_int_equal(fph_find(&search), -EIO);
    assert_true(looks == 1 && provider.gets == 1 && search.tight == 1);
    /* What it grows by in vain goes back and comes again, three times. */
    search = search_for(heap, 1, 1);
    provider.gets = provider.puts = 0;
    provider.limit_bytes = provider.held_bytes + 2 * FPHEAP_CHUNK;
    assert_int_equal(fph_find(&search), -EIO);
    assert_int_equal(looks, 1 + 4 * 2);
    assert_int_equal(provider.gets, 4 * 3);
    assert_int_equal(provider.puts, 3 * 2);
    assert_int_equal(provider.held, 1 + 2);
    provider.limit_bytes = 0;
    fpheap_free(heap, object);
    TEST_DESTROY_OVER(heap, &provider);
}

/* What others do while it looks. */
static unsigned moves_left;

static void
move_once(fpheap *heap)
{
    if (moves_left == 0)
        return;
    moves_left--;
    heap->state->moves_begun++;
    heap->state->moves_ended++;
}

static void
begin_a_move(fpheap *heap)
{
    if (looks == 0)
        heap->state->moves_begun++;
}

static void
a_search_begins_anew_three_times_and_only_looks_then(void **state)
{
    void      *object;
    fpheap    *heap = heap_in_use(&object);
    fph_search search = search_for(heap, 1, 1);

    (void)state;
    provider.limit_bytes = provider.held_bytes;
    at_look = move_once;
    moves_left = 6;
    begin_waiting(NULL, NULL);
    assert_int_equal(fph_find(&search), -ENOMEM);
    assert_int_equal(waited(), 6);
    assert_true(looks == 7 && provider.refused == 3);
    search = search_for(heap, 1, 1);
    at_look = move_once;
    moves_left = 6;
    finds[5] = 1;
    assert_int_equal(fph_find(&search), 0);
    assert_true(looks == 6 && provider.refused == 6);
    /* Not while a move is under way. */
    search = search_for(heap, 1, 1);
    at_look = begin_a_move;
    begin_waiting(NULL, NULL);
    assert_int_equal(fph_find(&search), -ENOMEM);
    assert_int_equal(waited(), WAIT_NS / STEP_NS);
    assert_int_equal(looks, 1 + WAIT_NS / STEP_NS);
    assert_int_equal(provider.refused, 7);
    heap->state->moves_ended++;
    heap->state->moves_stuck = 0;
    search = search_for(heap, 1, 0);       /* who may not grow does not wait */
    at_look = move_once;
    moves_left = 1;
    assert_int_equal(fph_find(&search), -ENOMEM);
    assert_int_equal(looks, 1);
    provider.limit_bytes = 0;
    fpheap_free(heap, object);
    TEST_DESTROY_OVER(heap, &provider);
}

/* Who cannot wait for the thread that grows looks once more when it is
 * refused. */
static void
who_asks_beside_another_looks_once_more(void **state)
{
    void      *object;
    fpheap    *heap = heap_in_use(&object);
    fph_search search = search_for(heap, 1, 1);

    (void)state;
    provider.limit_bytes = provider.held_bytes;
    be_in(FPH_IN_PASS, heap);
    assert_int_equal(fph_find(&search), -ENOMEM);
    be_in(0, NULL);
    assert_true(looks == 2 && provider.refused == 1);
    assert_true(!tight[0] && tight[1]);
    search = search_for(heap, 1, 1);
    finds[1] = 1;
    be_in(FPH_IN_PASS, heap);
    assert_int_equal(fph_find(&search), 0);
    be_in(0, NULL);
    assert_true(looks == 2 && provider.refused == 2);
    provider.limit_bytes = 0;
    fpheap_free(heap, object);
    TEST_DESTROY_OVER(heap, &provider);
}

/* Empty slabs of a chunk's pages are counted, as if other threads had them. */
static void
a_search_takes_back_what_is_parked_before_it_grows(void **state)
{
    void      *object;
    fpheap    *heap = heap_in_use(&object);
    fph_state *s = heap->state;
    uint64_t   usual = s->empty_pages, reclaims = s->reclaims;
    uint64_t   asked = s->asked;
    fph_search search = search_for(heap, 1, 1);

    (void)state;
    s->empty_pages = FPH_PAGES;
    finds[1] = 1;
    assert_int_equal(fph_find(&search), 0);
    assert_true(looks == 2 && provider.gets == 0);
    assert_true(!tight[0] && tight[1]);
    assert_true(s->reclaims == reclaims + 1 && s->growing == 0);
    assert_true(s->asked == asked + 1);
    assert_int_equal(fph_climb_parked(heap, 0), 1);
    assert_true(s->reclaims == reclaims + 2 && s->asked == asked + 2);
    /* Another thread does so just now. */
    s->growing = 99;
    begin_waiting(set_to_zero, (void *)&s->growing);
    assert_int_equal(fph_climb_parked(heap, 0), 1);
    assert_int_equal(waited(), 1);
    assert_true(s->reclaims == reclaims + 2 && s->growing == 0);
    s->empty_pages = usual;
    assert_int_equal(fph_climb_parked(heap, 0), 0);
    assert_true(s->reclaims == reclaims + 2);
    fpheap_free(heap, object);
    TEST_DESTROY_OVER(heap, &provider);
}

/* For a run that is longer than a chunk, free chunks go back first, but not
 * what is reserved. */
static void
only_a_long_run_takes_the_place_of_free_chunks(void **state)
{
    void      *object;
    fpheap    *heap = heap_in_use(&object);
    fph_search search;

    (void)state;
    assert_int_equal(fph_grow(heap, 0, fph_need_of(heap, 1, 1), 1,
                              heap->state->growths), 0);
    search = search_for(heap, FPH_PAGES, 1);
    finds[1] = 1;
    assert_int_equal(fph_find(&search), 0);
    assert_int_equal(provider.puts, 0);
    assert_int_equal(provider.held, 3);
    search = search_for(heap, FPH_PAGES + 1, 1);
    finds[1] = 1;
    assert_int_equal(fph_find(&search), 0);
    assert_int_equal(provider.puts, 2);
    assert_int_equal(provider.held, 2);
    assert_int_equal(fpheap_reserve(heap, 2 * FPHEAP_CHUNK, 0), 0);
    search = search_for(heap, FPH_PAGES + 1, 1);
    finds[1] = 1;
    assert_int_equal(fph_find(&search), 0);
    assert_int_equal(provider.puts, 2);
    fpheap_free(heap, object);
    TEST_DESTROY_OVER(heap, &provider);
}

/* What is free as a whole goes back where the provider has no more, or where
 * the limit has room then. */
static void
what_is_too_short_is_exchanged_if_that_helps(void **state)
{
    void      *object;
    fpheap    *heap = heap_in_use(&object);
    fph_search search = search_for(heap, FPH_PAGES + 1, 1);
    size_t     has = provider.held_bytes;

    (void)state;
    search.error = -ENOMEM;
    assert_int_equal(fph_climb_exchange(&search), 0);
    assert_int_equal(fph_grow(heap, 0, fph_need_of(heap, 1, 1), 1,
                              heap->state->growths), 0);
    search.error = -ENOSPC;
    fpheap_set_limit(heap, has + 2 * FPHEAP_CHUNK - 1);
    assert_int_equal(fph_climb_exchange(&search), 0);
    assert_int_equal(provider.puts, 0);
    fpheap_set_limit(heap, has + 2 * FPHEAP_CHUNK);
    assert_int_equal(fph_climb_exchange(&search), 1);
    assert_int_equal(provider.puts, 1);
    fpheap_set_limit(heap, 0);
    assert_int_equal(fph_grow(heap, 0, fph_need_of(heap, 1, 1), 1,
                              heap->state->growths), 0);
    fpheap_set_limit(heap, has + FPHEAP_CHUNK);
    search.error = -ENOMEM;
    assert_int_equal(fph_climb_exchange(&search), 1);
    assert_int_equal(provider.puts, 2);
    fpheap_free(heap, object);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
a_search_looks_again_when_a_pass_has_moved_something(void **state)
{
    void      *object;
    fpheap    *heap = heap_in_use(&object);
    fph_search search;

    (void)state;
    park(heap, 64, 9, 0);
    provider.limit_bytes = provider.held_bytes;
    search = search_for(heap, 1, 1);
    finds[1] = 1;
    assert_int_equal(fph_find(&search), 0);
    assert_true(looks == 2 && provider.refused == 1);
    assert_true(!tight[0] && tight[1]);
    provider.limit_bytes = 0;
    fpheap_free(heap, object);
    TEST_DESTROY_OVER(heap, &provider);
}

/* As if all numbers of blocks were given, and the last block were full. */
static uint64_t usual_numbers, usual_cursor;

static void
run_out_of_records(fpheap *heap)
{
    usual_numbers = heap->state->meta_numbers;
    usual_cursor = heap->state->meta_cursor.word;
    heap->state->meta_numbers = FPH_TABLE_MAX;
    heap->state->meta_cursor.word = fph_meta_word(usual_cursor >> 40, 0, 0);
}

static void
run_out_at_the_second_look(fpheap *heap)
{
    if (looks == 1)
        run_out_of_records(heap);
}

static void
find_records_again(fpheap *heap)
{
    heap->state->meta_numbers = usual_numbers;
    heap->state->meta_cursor.word = usual_cursor;
}

/* Memory that no record can describe would not help. */
static void
without_records_a_search_fails_even_if_it_has_grown(void **state)
{
    void      *object;
    fpheap    *heap = heap_in_use(&object);
    fph_search search = search_for(heap, 1, 1);

    (void)state;
    run_out_of_records(heap);
    assert_int_equal(fph_find(&search), -ENOMEM);
    find_records_again(heap);
    assert_true(looks == 1 && provider.gets == 0);
    search = search_for(heap, 1, 1);
    at_look = run_out_at_the_second_look;
    heap->provider.put = NULL;
    assert_int_equal(fph_find(&search), -ENOMEM);
    find_records_again(heap);
    assert_true(looks == 2 && provider.gets == 1);
    heap->provider.put = provider.calls.put;
    fpheap_free(heap, object);
    TEST_DESTROY_OVER(heap, &provider);
}

/* What a destructor that a pass calls uses starts no pass. */
static fpheap  *used_inside;
static unsigned passes_inside;

static void
use_in_a_pass(void *arg, void *object)
{
    (void)arg, (void)object;
    if (used_inside == NULL)
        return;
    passes_inside += fph_is_in(FPH_IN_PASS, used_inside, NULL) != 0;
    assert_int_equal(fph_reclaim(used_inside, 0, 1 /* always */), 0);
}

static void
a_destructor_in_a_pass_starts_no_pass_of_its_own(void **state)
{
    fpheap          *heap = test_heap_over(&provider);
    fpheap_pool_desc desc = described("ended", 100, 0);
    fpheap_pool     *pool;

    (void)state;
    desc.destruct = use_in_a_pass;
    pool = fpheap_pool_create(heap, &desc);
    assert_non_null(pool);
    fpheap_pool_put(pool, fpheap_pool_get(pool));
    used_inside = heap;
    passes_inside = 0;
    assert_int_equal(fph_reclaim(heap, 0, 1 /* always */), 1);
    used_inside = NULL;
    assert_true(passes_inside > 0);
    assert_null(fph_this.frames);
    assert_int_equal(fpheap_pool_destroy(pool, NULL), 0);
    TEST_DESTROY_OVER(heap, &provider);
}

/* How deep this thread is in calls on the heap, as a region goes back. */
static unsigned depth_at_put;

static void
note_depth(test_provider *p)
{
    fpheap *heap = (fpheap *)p->arg;

    depth_at_put = fph_this.depth[heap - fph_heaps];
}

/* Other threads are asked each time, and what was reserved goes too. */
static void
a_trim_gives_back_all_that_is_free_on_all_nodes(void **state)
{
    fpheap      *heap = heap_of_two_nodes();
    fph_state   *s = heap->state;
    void        *object = fpheap_alloc(heap, 64);
    fpheap_stats stats;
    uint64_t     asked, reclaims;
    size_t       held, back;

    (void)state;
    park(heap, 64, 500, 0);
    park(heap, 64, 500, 1);
    assert_int_equal(fpheap_reserve(heap, 3 * FPHEAP_CHUNK, 1), 0);
    held = provider.held_bytes;
    asked = s->asked;
    reclaims = s->reclaims;
    provider.inside_put = note_depth;
    provider.arg = heap;
    heap->counted = 1;         /* as with watermarks */
    back = fpheap_trim(heap);
    heap->counted = 0;
    provider.inside_put = NULL;
    assert_int_equal(depth_at_put, 1);
    assert_int_equal(fph_this.depth[heap - fph_heaps], 0);
    assert_true(back > 0 && back == held - provider.held_bytes);
    assert_true(s->asked == asked + 2 && s->reclaims == reclaims + 2);
    fpheap_stats_get(heap, &stats);
    assert_int_equal(stats.parked_bytes, 0);
    assert_int_equal(provider.held, 1);
    assert_int_equal(fpheap_trim(heap), 0);
    assert_true(s->asked == asked + 4);
    fpheap_free(heap, object);
    TEST_DESTROY_OVER(heap, &provider);
}

/* Memory whose node is another's, or no node at all, is not reserved. */
static void
a_reserve_names_a_node_that_the_heap_has(void **state)
{
    fpheap *heap = heap_of_two_nodes();
    int     node;

    (void)state;
    assert_int_equal(fpheap_reserve(heap, FPHEAP_CHUNK, 2), -EINVAL);
    assert_int_equal(fpheap_reserve(heap, FPHEAP_CHUNK, -2), -EINVAL);
    for (node = 1; node >= 0; node--) {
        unsigned gets = provider.gets;

        on_node = node;
        fpheap_flush(heap);
        assert_int_equal(fpheap_reserve(heap, 9 * FPHEAP_CHUNK,
                                        node ? 1 : FPHEAP_ANY_NODE), 0);
        assert_true(provider.gets > gets);
        assert_int_equal(provider.grant[provider.grants - 1].node, node);
        assert_int_equal(fpheap_reserve(heap, 9 * FPHEAP_CHUNK, node), 0);
        assert_int_equal(provider.gets, gets + 1);
    }
    assert_int_equal(fpheap_reserve(heap, 9 * FPHEAP_CHUNK + 1, 1), 0);
    assert_int_equal(provider.grant[provider.grants - 1].node, 1);
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

/* Of large objects one magazine holds an eighth of a chunk. */
static void
a_reserve_makes_the_magazines_for_what_it_can_hold(void **state)
{
    fpheap    *heap = heap_of_two_nodes();
    fph_state *s = heap->state;
    unsigned   had;

    (void)state;
    assert_int_equal(fph_magazines_add(heap, 1, 0), 0);
    assert_int_equal(stacked(s, &s->empty[1].word), 0);
    assert_int_equal(fph_magazines_add(heap, 1, 3), 0);
    assert_int_equal(stacked(s, &s->empty[1].word), 3);
    assert_int_equal(stacked(s, &s->empty[0].word), 0);
    assert_int_equal(fpheap_reserve(heap, 6 * FPHEAP_CHUNK, 0), 0);
    assert_int_equal(s->magazines, 48);
    assert_int_equal(stacked(s, &s->empty[0].word), 45);
    assert_int_equal(fpheap_reserve(heap, 6 * FPHEAP_CHUNK
                                          + FPHEAP_CHUNK / 8, 0), 0);
    assert_int_equal(s->magazines, 49);
    assert_int_equal(fpheap_reserve(heap, 2 * FPHEAP_CHUNK, 0), 0);
    had = stacked(s, &s->empty[0].word);
    assert_true(s->magazines == 49 && had == 46);
    TEST_DESTROY_OVER(heap, &provider);
}

/* --- pools ---------------------------------------------------------------- */

/* While this pool makes its objects, another of the same name and a lower
 * number is asked for; but this one is known to have the name. */
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

/* Parked objects that another thread is moving may be counted as live. */
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

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_deadline_is_the_time_and_the_wait),
    cmocka_unit_test(the_longest_growth_is_timed),
    cmocka_unit_test(who_needs_memory_waits_for_the_one_that_grows),
    cmocka_unit_test(who_reclaims_waits_for_nobody_and_has_no_ticket),
    cmocka_unit_test(growth_that_has_happened_meanwhile_is_growth),
    cmocka_unit_test(a_chunk_that_is_leaving_is_waited_for),
    cmocka_unit_test(a_pass_pays_from_a_chunk_on),
    cmocka_unit_test(a_page_that_is_empty_may_make_a_pass_pay),
    cmocka_unit_test(who_fails_looks_again_only_while_others_move),
    cmocka_unit_test(a_limit_has_room_for_what_goes_back_as_well),
    cmocka_unit_test(a_search_takes_the_parked_large_object_back),
    cmocka_unit_test(
        a_call_waits_for_all_others_together_no_longer_than_for_one),
    cmocka_unit_test(one_deadline_holds_for_all_that_a_call_waits_for),
    cmocka_unit_test(each_call_has_a_deadline_of_its_own),
    cmocka_unit_test(a_move_that_stays_is_waited_for_once),
    cmocka_unit_test(
        a_call_that_fails_again_asks_the_provider_once_and_waits_for_nobody),
    cmocka_unit_test(what_was_done_less_than_a_millisecond_ago_was_just_done),
    cmocka_unit_test(what_is_parked_on_a_node_is_counted_as_one_by_one),
    cmocka_unit_test(a_pass_empties_the_depots_of_its_node_and_this_cache),
    cmocka_unit_test(a_pass_leaves_what_was_prefilled),
    cmocka_unit_test(before_it_asks_a_heap_gives_back_what_it_will_ask_for),
    cmocka_unit_test(
        a_search_ends_when_it_has_found_something_or_memory_would_not_help),
    cmocka_unit_test(a_search_grows_as_long_as_it_finds_nothing),
    cmocka_unit_test(a_search_begins_anew_three_times_and_only_looks_then),
    cmocka_unit_test(who_asks_beside_another_looks_once_more),
    cmocka_unit_test(a_search_takes_back_what_is_parked_before_it_grows),
    cmocka_unit_test(only_a_long_run_takes_the_place_of_free_chunks),
    cmocka_unit_test(what_is_too_short_is_exchanged_if_that_helps),
    cmocka_unit_test(a_search_looks_again_when_a_pass_has_moved_something),
    cmocka_unit_test(without_records_a_search_fails_even_if_it_has_grown),
    cmocka_unit_test(a_destructor_in_a_pass_starts_no_pass_of_its_own),
    cmocka_unit_test(a_trim_gives_back_all_that_is_free_on_all_nodes),
    cmocka_unit_test(a_reserve_names_a_node_that_the_heap_has),
    cmocka_unit_test(a_reserve_makes_the_magazines_for_what_it_can_hold),
    cmocka_unit_test(who_has_looked_has_the_name_at_once),
    cmocka_unit_test(nobody_waits_for_a_name),
    cmocka_unit_test(a_pool_that_ends_waits_for_who_has_a_slab),
    cmocka_unit_test(a_pool_that_ends_waits_for_who_moves_its_objects)
};

int
main(void)
{
    return cmocka_run_group_tests_name("waits", tests, NULL, NULL);
}
