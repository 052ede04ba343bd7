/* test_races_objects.c - another thread comes between two steps of this one, which
 * allocates, frees, enters or leaves a heap, or names a pool
 *
 * Each compare-and-swap of a counter, a slab, a stack, a seat, a gate or a name
 * that fails because another thread was there first, and each second look that
 * finds what the first one did not, made to happen at that moment (races.h):
 * both threads get what they ask for, and the heap is whole.
 */
#include "panics.h"
#include "races.h"

#define FPHEAP_CHUNK_SHIFT 16
#define FPHEAP_MAX_NODES   8

/* What a process that runs out of memory hears of the C library. */
static int  no_atfork, no_setspecific, keys;
static void use_it_first(void);
#define pthread_atfork(prepare, parent, child) \
    (no_atfork ? ENOMEM : pthread_atfork(prepare, parent, child))
#define pthread_setspecific(key, value) \
    (no_setspecific ? ENOMEM : pthread_setspecific(key, value))
#define pthread_key_create(key, end) \
    (keys++, use_it_first(), pthread_key_create(key, end))
#define pthread_key_delete(key) (keys--, pthread_key_delete(key))

#define FPHEAP_IMPLEMENTATION
#include "fpheap.h"
#include "races_util.h"

static test_provider other_provider;
static fpheap_pool  *pool;

/* --- a pool, and what the other thread does with it ----------------------- */

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
    assert_int_equal(heap->state->empty_pages,
                     heap->state->classes[FPH_SIZES + pool->number].pages);
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

/* --- slabs and magazines -------------------------------------------------- */

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

/* A slab with all of its objects, n of them, in this thread's hands. */
static fph_slab *
slab_in_hand(void **objects, size_t most, size_t *n)
{
    int       refused = 0;
    fph_slab *slab = fph_slab_carve(heap, fph_class_of(FPHEAP_PAGE), &refused);

    assert_non_null(slab);
    *n = fph_slab_claim(heap->state, slab, objects, most);
    assert_int_equal(*n, fph_info_count(slab->info));
    assert_true(*n > 2);
    return slab;
}

/* It was about to be dropped, as without free objects. */
static void
a_slab_to_which_one_comes_back_is_listed(void **state)
{
    void     *objects[FPHEAP_PAGE];
    unsigned  bin = fph_class_of(FPHEAP_PAGE);
    fph_slab *slab;
    size_t    n;

    (void)state;
    begin();
    slab = slab_in_hand(objects, TEST_COUNT(objects), &n);
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
    fph_slab *slab;
    size_t    n;

    (void)state;
    begin();
    slab = slab_in_hand(objects, TEST_COUNT(objects), &n);
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

/* Where a panic returns.  Nothing is done to no objects, whatever the heap. */
static void
a_free_of_many_to_no_heap_does_nothing(void **state)
{
    void *object;

    (void)state;
    begin();
    object = fpheap_alloc(heap, 100);
    fpheap_free_bulk(NULL, &object, 0);
    assert_int_equal(panics, 0);
    fpheap_free_bulk(NULL, &object, 1);
    assert_int_equal(panics, 1);
    fph_free_bulk_miss(NULL, &object, 1);
    assert_int_equal(panics, 2);
    panics = 0;
    fph_free_bulk_miss(heap, &object, 1);
    end();
}

/* In one call or in two; nor is what is no object's start given back. */
static void
an_object_is_given_back_once(void **state)
{
    void     *objects[FPHEAP_PAGE], *again[2];
    fph_slab *slab;
    size_t    n;

    (void)state;
    begin();
    slab = slab_in_hand(objects, TEST_COUNT(objects), &n);
    fph_slab_let_go(heap->state, slab);
    again[0] = again[1] = objects[0];
    fph_slab_give(heap->state, again, 2);
    assert_int_equal(panics, 1);
    assert_int_equal(fph_slab_free_objects(slab->state), 1);
    fph_slab_give(heap->state, again, 1);
    assert_int_equal(panics, 2);
    again[0] = (char *)objects[1] + 1;
    fph_slab_give(heap->state, again, 1);
    assert_int_equal(panics, 3);
    assert_int_equal(fph_slab_free_objects(slab->state), 1);
    errno = 0;
    assert_null(fpheap_self(NULL));
    assert_int_equal(errno, EINVAL);
    assert_int_equal(panics, 4);
    panics = 0;
    fph_slab_give(heap->state, objects + 1, n - 1);
    end();
}

/* What others put there meanwhile stays. */
static void
a_drain_takes_as_many_as_a_depot_had_at_first(void **state)
{
    unsigned      bin = fph_class_of(100);
    fph_word     *stack;
    fph_magazine *magazine;

    (void)state;
    begin();
    fill_the_depot();
    stack = &heap->state->depots[bin].full;
    magazine = fph_depot_get(heap->state, bin);
    assert_true(fph_depot_count(heap->state, bin) > 0);
    meanwhile(stack, MEANWHILE_CHANGE, 0, put_into_the_depot, magazine);
    fph_depot_drain(heap->state, bin);
    assert_int_equal(fph_depot_count(heap->state, bin), 1);
    fph_depot_drain(heap->state, bin);
    assert_int_equal(fph_depot_count(heap->state, bin), 0);
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

static void *
empty_the_orphans_caches(void *unused)
{
    (void)unused;
    theirs = fph_orphans_adopt(heap) ? heap : NULL;
    return NULL;
}

static void
the_caches_of_gone_threads_are_emptied_by_one(void **state)
{
    (void)state;
    begin();
    use_the_heap(NULL);
    heap->state->orphans = fph_this.seat;
    meanwhile(&heap->state->orphans, MEANWHILE_CHANGE, 0,
              empty_the_orphans_caches, NULL);
    assert_int_equal(fph_orphans_adopt(heap), 0);
    assert_ptr_equal(theirs, heap);
    assert_int_equal(fph_orphans_adopt(heap), 1);
    end();
}

static void *
go_without_a_cache(void *unused)
{
    (void)unused;
    use_the_heap(NULL);
    theirs = fph_cache_mine(heap) == NULL ? heap : NULL;
    return NULL;
}

/* This thread has its own. */
static void
while_another_empties_them_new_threads_go_without_a_cache(void **state)
{
    fpheap_cache *mine;
    pthread_t     thread;

    (void)state;
    begin();
    mine = fpheap_self(heap);
    heap->state->orphans = FPH_ADOPTING;
    assert_int_equal(pthread_create(&thread, NULL, go_without_a_cache, NULL),
                     0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_ptr_equal(theirs, heap);
    assert_non_null(mine);
    assert_ptr_equal(fpheap_self(heap), mine);
    use_the_heap(NULL);
    heap->state->orphans = 0;
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

static void *
destroy_this_one(void *unused)
{
    (void)unused;
    theirs = fpheap_destroy(heap) == 0 ? heap : NULL;
    return NULL;
}

static void *
end_after_a_destroy(void *unused)
{
    use_the_heap(unused);
    meanwhile(gate(), MEANWHILE_CHANGE, 0, destroy_this_one, NULL);
    return NULL;
}

static void
a_thread_that_exits_as_its_heap_ends_leaves_nothing(void **state)
{
    pthread_t thread;

    (void)state;
    begin();
    assert_int_equal(pthread_create(&thread, NULL, end_after_a_destroy, NULL),
                     0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_ptr_equal(theirs, heap);
    assert_int_equal(provider.held, 0);
    assert_int_equal(panics, 0);
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

static void
two_pools_at_a_time_are_two(void **state)
{
    char         other[] = "other";
    fpheap_pool *one;

    (void)state;
    begin_pool(0, 0);
    meanwhile(&heap->state->pool_is[pool->number + 1], MEANWHILE_CHANGE, 0,
              name_one_so, other);
    one = another_pool("one");
    assert_non_null(one);
    assert_non_null(theirs);
    assert_ptr_not_equal(theirs, one);
    assert_ptr_equal(fpheap_pool_lookup(heap, "one"), one);
    assert_ptr_equal(fpheap_pool_lookup(heap, "other"), theirs);
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

static void
a_name_that_is_half_of_one_pool_is_free(void **state)
{
    enum { LAST = FPHEAP_NAME_BYTES / 8 - 1 };
    fpheap_pool *one;

    (void)state;
    begin_pool(0, 0);
    meanwhile(&pool->name[LAST], MEANWHILE_LOAD, 0, name_it_anew, NULL);
    one = another_pool("pool");
    assert_non_null(one);
    assert_ptr_equal(theirs, pool);
    assert_ptr_equal(fpheap_pool_lookup(heap, "pool"), one);
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

static void *
have_a_type_stable_pool(void *unused)
{
    fpheap_pool_desc desc;

    (void)unused;
    if (fpheap_pool_destroy(pool, NULL) != 0)
        return NULL;
    memset(&desc, 0, sizeof desc);
    desc.name = "stable";
    desc.size = 500;
    desc.flags = FPHEAP_TYPE_STABLE;
    theirs = fpheap_pool_create(heap, &desc);
    fpheap_pool_put((fpheap_pool *)theirs,
                    fpheap_pool_get((fpheap_pool *)theirs));
    fpheap_flush(heap);
    return NULL;
}

/* A trim goes to the slabs of another that had the number. */
static void
the_memory_of_a_pool_that_has_just_begun_stays_its_own(void **state)
{
    fph_word *slabs;
    size_t    objects;

    (void)state;
    begin_pool(0, 0);
    fpheap_pool_put(pool, fpheap_pool_get(pool));
    fpheap_flush(heap);
    objects = (size_t)pool->objects;
    assert_true(objects > 0);
    slabs = &heap->state->depots[FPH_SIZES + pool->number].partial;
    assert_true((uint32_t)*slabs != 0);
    meanwhile(slabs, MEANWHILE_LOAD, 0, have_a_type_stable_pool, NULL);
    fpheap_trim(heap);
    assert_ptr_equal(theirs, pool);
    assert_int_equal(pool->objects, objects);
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
    cmocka_unit_test(a_slab_that_is_given_up_beside_a_new_one_is_counted_once),
    cmocka_unit_test(an_empty_slab_that_another_holds_stays),
    cmocka_unit_test(a_stack_that_another_has_changed_is_taken_as_it_is),
    cmocka_unit_test(a_slab_to_which_one_comes_back_is_listed),
    cmocka_unit_test(objects_given_at_a_time_are_counted_each),
    cmocka_unit_test(records_that_come_and_go_at_a_time_are_each_in_one_place),
    cmocka_unit_test(magazines_put_at_a_time_are_counted_each),
    cmocka_unit_test(a_depot_that_another_empties_has_no_magazine),
    cmocka_unit_test(a_drain_takes_as_many_as_a_depot_had_at_first),
    cmocka_unit_test(a_free_of_many_to_no_heap_does_nothing),
    cmocka_unit_test(an_object_is_given_back_once),
    cmocka_unit_test(a_pointer_into_an_object_that_ends_leads_to_nothing),
    cmocka_unit_test(a_large_object_that_is_freed_twice_at_a_time_ends_once),
    cmocka_unit_test(a_magazine_that_is_taken_is_missed_by_nobody),
    cmocka_unit_test(a_seat_has_one_thread),
    cmocka_unit_test(the_caches_of_gone_threads_are_emptied_by_one),
    cmocka_unit_test(
        while_another_empties_them_new_threads_go_without_a_cache),
    cmocka_unit_test(
        threads_that_exit_wait_for_a_destroy_and_not_for_each_other),
    cmocka_unit_test(a_destroy_waits_for_threads_that_leave_this_heap),
    cmocka_unit_test(a_thread_that_exits_as_its_heap_ends_leaves_nothing),
    cmocka_unit_test(a_child_of_fork_waits_for_nobody_in_the_gate),
    cmocka_unit_test(live_objects_are_counted_again_after_a_move),
    cmocka_unit_test(a_pool_has_a_name_from_when_it_wants_it),
    cmocka_unit_test(a_name_that_a_higher_number_wants_is_got),
    cmocka_unit_test(of_two_that_want_a_name_one_gets_it),
    cmocka_unit_test(two_pools_at_a_time_are_two),
    cmocka_unit_test(a_name_that_is_half_of_one_pool_is_not_found),
    cmocka_unit_test(a_name_that_is_given_up_during_the_look_is_free),
    cmocka_unit_test(the_memory_of_a_pool_that_has_just_begun_stays_its_own),
    cmocka_unit_test(a_name_that_is_half_of_one_pool_is_free)
};

int
main(void)
{
    return cmocka_run_group_tests_name("races_objects", tests, NULL, NULL);
}
