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
