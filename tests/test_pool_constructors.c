/* test_pool_constructors.c - a pool's objects are constructed once and
 * destructed once, whatever fails and whatever the callbacks do; each has an
 * index of its own; a pool that ends leaves nothing behind.
 */
#define FPHEAP_MAX_NODES 8
#define FPHEAP_IMPLEMENTATION
#include "fpheap.h"
#include "pool_util.h"

#include <unistd.h>

/* --- constructors and destructors ----------------------------------------- */

static void
an_object_is_constructed_once_and_destructed_once(void **state)
{
    static const size_t sizes[] = { 16, 2304, 40000 };
    book     b;
    size_t   s;
    unsigned i;
    unsigned round;

    (void)state;
    for (s = 0; s < TEST_COUNT(sizes); s++) {
        fpheap          *heap = test_heap_over(&provider);
        fpheap_pool_desc desc = with_book("counted", sizes[s], &b);
        unsigned         n = sizes[s] > 10000 ? 200 : 2000;
        fpheap_pool     *pool = CREATE(heap, &desc);

        assert_int_equal(b.constructed, STATS(pool).objects);
        for (round = 0; round < 6; round++) {
            for (i = 0; i < n; i++) {
                objects[i] = fpheap_pool_get(pool);
                assert_int_equal(word_of(objects[i]), made(objects[i]));
            }
            BALANCED(pool, &b);
            assert_int_equal(STATS(pool).live_objects, n);
            put_all(pool, n);
            if (round % 2 == 1)
                fpheap_flush(heap);
            BALANCED(pool, &b);
            if (round >= 4) {
                (void)fpheap_trim(heap);
                assert_true(b.destructed > 0);
                BALANCED(pool, &b);
            } else {
                assert_int_equal(b.destructed, 0);
            }
        }
        END(pool);
        assert_int_equal(b.constructed, b.destructed);
        assert_int_equal(b.wrong, 0);
        TEST_DESTROY_OVER(heap, &provider);
    }
}

static unsigned null_args;
static unsigned other_args;

static int
construct_null(void *arg, void *object)
{
    (void)object;
    *(arg == NULL ? &null_args : &other_args) += 1;
    return 0;
}

static void
destruct_null(void *arg, void *object)
{
    (void)construct_null(arg, object);
}

static void
the_argument_of_a_constructor_may_be_null(void **state)
{
    fpheap          *heap = test_heap_over(&provider);
    fpheap_pool_desc desc = described("null", 100, 0);
    fpheap_pool     *pool;
    size_t           constructed;

    (void)state;
    null_args = 0;
    other_args = 0;
    desc.construct = construct_null;
    desc.destruct = destruct_null;
    pool = CREATE(heap, &desc);
    fpheap_pool_put(pool, fpheap_pool_get(pool));
    constructed = STATS(pool).objects;
    assert_true(constructed > 0);
    assert_int_equal(null_args, constructed);
    END(pool);
    assert_int_equal(null_args, 2 * constructed);
    assert_int_equal(other_args, 0);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
only_a_constructor_or_only_a_destructor_is_enough(void **state)
{
    fpheap          *heap = test_heap_over(&provider);
    fpheap_pool_desc desc = described("half", 100, 0);
    fpheap_pool     *pool;
    size_t           there;

    (void)state;
    null_args = 0;
    desc.construct = construct_null;
    pool = CREATE(heap, &desc);
    fpheap_pool_put(pool, fpheap_pool_get(pool));
    there = STATS(pool).objects;
    END(pool);
    assert_int_equal(null_args, there);
    null_args = 0;
    desc.construct = NULL;
    desc.destruct = destruct_null;
    pool = CREATE(heap, &desc);
    fpheap_pool_put(pool, fpheap_pool_get(pool));
    there = STATS(pool).objects;
    assert_int_equal(null_args, 0);
    END(pool);
    assert_int_equal(null_args, there);
    TEST_DESTROY_OVER(heap, &provider);
}

/* --- the index of an object ------------------------------------------------ */

/* A constructor that keeps a book of the indices it was given. */
typedef struct indices {
    fpheap_pool *pool;         /* of all calls; NULL: none yet */
    size_t       calls;
    size_t       wrong;
    size_t       next;         /* index, if they come one after the other */
    size_t       gaps;
    size_t       fail_at;      /* the first call that fails, from 1; 0: none */
    unsigned     depth;
    unsigned     nested;       /* calls that get an object of the pool */
    unsigned char given[4 * MOST];
} indices;

static indices the_indices;

static int
construct_nth(fpheap_pool *pool, void *arg, void *object, size_t nth)
{
    indices *x = (indices *)arg;

    if (x->pool == NULL)
        x->pool = pool;
    x->wrong += x->pool != pool || nth >= sizeof(x->given);
    x->wrong += nth < sizeof(x->given) && x->given[nth]++ != 0;
    x->gaps += nth != x->next;
    x->next = nth + 1;
    set_word(object, nth);
    if (fpheap_pool_private(pool) != NULL)
        ++*(size_t *)fpheap_pool_private(pool);
    if (++x->calls >= x->fail_at && x->fail_at != 0)
        return -EIO;
    if (x->nested > 0) {
        void *other;

        x->nested--;
        other = fpheap_pool_get(pool);
        x->wrong += other == NULL;
        fpheap_pool_put(pool, other);
    }
    return 0;
}

static fpheap_pool_desc
with_indices(const char *name, size_t size)
{
    fpheap_pool_desc desc = described(name, size, 0);

    memset(&the_indices, 0, sizeof(the_indices));
    desc.construct_nth = construct_nth;
    desc.arg = &the_indices;
    return desc;
}

static void
the_constructor_is_given_the_pool_and_the_objects_index(void **state)
{
    static const size_t sizes[] = { 16, 2304, 40000 };
    size_t s;

    (void)state;
    for (s = 0; s < TEST_COUNT(sizes); s++) {
        fpheap          *heap = test_heap_over(&provider);
        fpheap_pool_desc desc = with_indices("indexed", sizes[s]);
        unsigned         n = sizes[s] > 10000 ? 200 : 2000;
        fpheap_pool     *pool;
        unsigned         i;

        desc.flags = FPHEAP_TYPE_STABLE;
        desc.private_bytes = sizeof(size_t);
        desc.min = 3;
        pool = CREATE(heap, &desc);
        assert_true(the_indices.calls >= 3); /* create has not returned yet */
        assert_ptr_equal(the_indices.pool, pool);
        get_all(pool, n);
        for (i = 0; i < n; i++)
            assert_true(word_of(objects[i]) < STATS(pool).objects);
        assert_int_equal(the_indices.gaps, 0);
        assert_int_equal(the_indices.next, STATS(pool).objects);
        assert_int_equal(*(size_t *)fpheap_pool_private(pool),
                         STATS(pool).objects);
        put_all(pool, n);
        fpheap_trim(heap);
        get_all(pool, n);
        assert_int_equal(the_indices.next, STATS(pool).objects);
        put_all(pool, n);
        assert_int_equal(the_indices.wrong, 0);
        END(pool);
        TEST_DESTROY_OVER(heap, &provider);
    }
}

static void
an_index_is_given_once_in_a_pools_life(void **state)
{
    fpheap          *heap = test_heap_over(&provider);
    fpheap_pool_desc desc = with_indices("again", 2304);
    fpheap_pool     *pool = CREATE(heap, &desc);
    unsigned         round;

    (void)state;
    for (round = 0; round < 5; round++) {
        the_indices.nested = round;
        get_all(pool, 500);
        put_all(pool, 500);
        (void)fpheap_trim(heap);
    }
    assert_int_equal(the_indices.wrong, 0);
    assert_true(the_indices.calls > 4 * STATS(pool).objects);
    END(pool);

    /* The next pool with its number begins anew. */
    desc = with_indices("next", 100);
    pool = CREATE(heap, &desc);
    get_all(pool, 10);
    assert_int_equal(the_indices.given[0], 1);
    put_all(pool, 10);
    END(pool);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
the_indices_of_a_slab_that_failed_are_left_out(void **state)
{
    fpheap          *heap = test_heap_over(&provider);
    fpheap_pool_desc desc = with_indices("failing", 2304);
    fpheap_pool     *pool = CREATE(heap, &desc);
    size_t           first;

    (void)state;
    the_indices.fail_at = 4;
    assert_null(fpheap_pool_get(pool));
    assert_int_equal(errno, EIO);
    assert_int_equal(the_indices.calls, 4);
    the_indices.fail_at = 0;
    get_all(pool, 1);
    first = word_of(objects[0]) - word_of(objects[0]) % STATS(pool).objects;
    assert_int_equal(first, STATS(pool).objects);
    put_all(pool, 1);
    assert_int_equal(the_indices.wrong, 0);
    END(pool);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
two_constructors_are_einval(void **state)
{
    fpheap          *heap = test_heap_over(&provider);
    fpheap_pool_desc desc = with_indices("two", 100);

    (void)state;
    desc.construct = construct_null;
    REFUSED(heap, &desc, EINVAL);
    desc.construct = NULL;
    desc.flags = FPHEAP_SCRATCH;
    REFUSED(heap, &desc, EINVAL);
    desc.construct_nth = NULL;
    desc.destruct = destruct_null;
    REFUSED(heap, &desc, EINVAL);
    desc.destruct = NULL;
    desc.construct = construct_null;
    REFUSED(heap, &desc, EINVAL);
    desc.construct = NULL;
    END(CREATE(heap, &desc));
    TEST_DESTROY_OVER(heap, &provider);
}

/* One get in which the constructor fails at its k-th call. */
static void
fail_at(fpheap *heap, fpheap_pool *pool, book *b, size_t k, unsigned way)
{
    static const int errors[] = { -EIO, -ENOMEM, -ENOSPC, -EAGAIN };
    size_t           constructed = b->constructed;
    size_t           destructed = b->destructed;

    b->calls = 0;
    b->fail_at = k;
    b->error = errors[k % TEST_COUNT(errors)];
    objects[0] = &mark;
    errno = 0;
    if (way % 3 == 0) {
        assert_null(fpheap_pool_get(pool));
        assert_int_equal(errno, -b->error);
    } else if (way % 3 == 1) {
        assert_int_equal(fpheap_pool_get_bulk(pool, objects, 3), b->error);
    } else {
        assert_int_equal(fpheap_pool_get_burst(pool, objects, 3), 0);
        assert_int_equal(errno, -b->error);
    }
    assert_ptr_equal(objects[0], &mark);
    assert_int_equal(b->constructed - constructed, k - 1);
    assert_int_equal(b->destructed - destructed, k - 1);
    b->fail_at = 0;
    BALANCED(pool, b);
    TEST_CHECK(heap);
}

static void
a_constructor_may_fail_at_any_object_and_nothing_is_lost(void **state)
{
    static const size_t sizes[] = { 600, 2304, 40000 };
    book   b;
    size_t s;
    size_t k;

    (void)state;
    for (s = 0; s < TEST_COUNT(sizes); s++) {
        fpheap           *heap = test_heap_over(&provider);
        fpheap_pool_desc  desc = with_book("failing", sizes[s], &b);
        fpheap_pool      *pool = CREATE(heap, &desc);
        fpheap_pool_stats none = STATS(pool);
        fpheap_stats      before;
        fpheap_stats      after;
        size_t            slab;

        /* How many calls a get makes. */
        fpheap_pool_put(pool, fpheap_pool_get(pool));
        slab = b.constructed;
        (void)fpheap_trim(heap);
        fail_at(heap, pool, &b, 1, 0);
        fpheap_stats_get(heap, &before);
        for (k = 1; k <= slab; k++) {
            fpheap_pool_stats now;

            fail_at(heap, pool, &b, k, (unsigned)k);
            now = STATS(pool);
            assert_memory_equal(&now, &none, sizeof(now));
            fpheap_stats_get(heap, &after);
            expect_same_bytes(&before, &after);
        }
        get_all(pool, 50);
        put_all(pool, 50);
        END(pool);
        assert_int_equal(b.constructed, b.destructed);
        TEST_DESTROY_OVER(heap, &provider);
    }
}

static void
a_constructor_that_fails_for_min_leaves_no_pool(void **state)
{
    fpheap          *heap = test_heap_over(&provider);
    book             b;
    fpheap_pool_desc desc = with_book("never", 2304, &b);
    fpheap_stats     before;
    fpheap_stats     after;
    size_t           k;

    (void)state;
    desc.min = 300;
    desc.private_bytes = 100;
    for (k = 1; k <= 300; k += 13) {
        b.calls = 0;
        b.fail_at = k;
        b.error = -EPROTO;
        REFUSED(heap, &desc, EPROTO);
        assert_int_equal(b.constructed, b.destructed);
        assert_int_equal(b.wrong, 0);
        errno = 0;
        assert_null(fpheap_pool_lookup(heap, "never"));
        assert_int_equal(errno, ENOENT);
        (void)fpheap_trim(heap);
        fpheap_stats_get(heap, k == 1 ? &before : &after);
        if (k > 1)
            expect_same_bytes(&before, &after);
        TEST_CHECK_LIVE(heap, 0);
    }
    b.fail_at = 0;
    END(CREATE(heap, &desc));
    TEST_DESTROY_OVER(heap, &provider);
}

/* An object has one from the heap and one of another pool as long as it is. */
static int
construct_with_parts(void *arg, void *object)
{
    book  *b = (book *)arg;
    void **parts = (void **)object;

    parts[0] = fpheap_alloc(b->heap, 100);
    parts[1] = fpheap_pool_get(b->other);
    if (parts[0] == NULL || parts[1] == NULL)
        return -errno;
    memset(parts[0], 1, 100);
    memset(parts[1], 2, 50);
    b->constructed++;
    return 0;
}

static void
destruct_with_parts(void *arg, void *object)
{
    book  *b = (book *)arg;
    void **parts = (void **)object;

    if (!test_all_bytes(parts[0], 100, 1) || !test_all_bytes(parts[1], 50, 2))
        b->wrong++;
    fpheap_free(b->heap, parts[0]);
    fpheap_pool_put(b->other, parts[1]);
    b->destructed++;
}

static void
constructor_and_destructor_may_use_the_heap(void **state)
{
    fpheap          *heap = test_heap_over(&provider);
    fpheap_pool_desc parts = described("parts", 50, 0);
    book             b;
    fpheap_pool_desc desc = with_book("wholes", 300, &b);
    fpheap_pool     *pool;
    unsigned         round;

    (void)state;
    desc.construct = construct_with_parts;
    desc.destruct = destruct_with_parts;
    b.heap = heap;
    b.other = CREATE(heap, &parts);
    pool = CREATE(heap, &desc);
    for (round = 0; round < 4; round++) {
        get_all(pool, 3000);
        BALANCED(pool, &b);
        assert_int_equal(STATS(b.other).live_objects, STATS(pool).objects);
        TEST_CHECK_LIVE(heap, 3000 + 2 * STATS(pool).objects);
        put_all(pool, 3000);
        (void)fpheap_trim(heap);
        BALANCED(pool, &b);
        assert_int_equal(STATS(pool).objects, 0);
        TEST_CHECK_LIVE(heap, 0);
    }
    get_all(pool, 3000);
    put_all(pool, 3000);
    END(pool);
    assert_int_equal(b.constructed, b.destructed);
    assert_int_equal(b.wrong, 0);
    TEST_CHECK_LIVE(heap, 0);
    END(b.other);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
so_may_a_destructor_that_the_end_of_the_heap_calls(void **state)
{
    fpheap          *heap = test_heap_over(&provider);
    fpheap_pool_desc parts = described("parts", 50, 0);
    book             b;
    fpheap_pool_desc desc = with_book("wholes", 300, &b);

    (void)state;
    desc.construct = construct_with_parts;
    desc.destruct = destruct_with_parts;
    b.heap = heap;
    b.other = CREATE(heap, &parts);
    get_all(CREATE(heap, &desc), 3000);
    assert_int_equal(fpheap_destroy_forced(heap), 0);
    assert_true(b.constructed >= 3000);
    assert_int_equal(b.constructed, b.destructed);
    assert_int_equal(b.wrong, 0);
    assert_int_equal(provider.held, 0);
}

static int
construct_endless(void *arg, void *object)
{
    book *b = (book *)arg;
    void *another;

    (void)object;
    errno = 0;
    another = fpheap_pool_get(b->own);
    if (another == NULL)
        return -errno;
    fpheap_pool_put(b->own, another);
    b->constructed++;
    return 0;
}

static void
destruct_counted(void *arg, void *object)
{
    (void)object;
    ((book *)arg)->destructed++;
}

static void
a_constructor_that_gets_from_its_pool_without_end_is_edeadlk(void **state)
{
    fpheap          *heap = test_heap_over(&provider);
    book             b;
    fpheap_pool_desc desc = with_book("endless", 300, &b);
    fpheap_stats     before;
    fpheap_stats     after;
    unsigned         i;

    (void)state;
    desc.construct = construct_endless;
    desc.destruct = destruct_counted;
    b.own = CREATE(heap, &desc);
    for (i = 0; i < 10; i++) {
        errno = 0;
        assert_null(fpheap_pool_get(b.own));
        assert_int_equal(errno, EDEADLK);
        assert_int_equal(fpheap_pool_get_bulk(b.own, objects, 40), -EDEADLK);
        assert_int_equal(b.constructed, b.destructed);
        assert_int_equal(STATS(b.own).objects, 0);
        TEST_CHECK_LIVE(heap, 0);
        fpheap_stats_get(heap, i == 0 ? &before : &after);
    }
    expect_same_bytes(&before, &after);
    END(b.own);
    TEST_DESTROY_OVER(heap, &provider);
}

/* Gets one more object unless it was called from within itself. */
static int
construct_twice(void *arg, void *object)
{
    book *b = (book *)arg;
    void *another = NULL;
    int   error = construct(arg, object);

    if (b->depth++ == 0) {
        another = fpheap_pool_get(b->own);
        if (another == NULL || word_of(another) != made(another))
            b->wrong++;
        fpheap_pool_put(b->own, another);
    }
    b->depth--;
    return error;
}

static void
a_constructor_may_get_from_its_pool_a_few_times(void **state)
{
    fpheap          *heap = test_heap_over(&provider);
    book             b;
    fpheap_pool_desc desc = with_book("twice", 300, &b);
    unsigned         i;

    (void)state;
    desc.construct = construct_twice;
    b.own = CREATE(heap, &desc);
    get_all(b.own, 2000);
    check_disjoint(heap, 2000);
    for (i = 0; i < 2000; i++)
        assert_int_equal(word_of(objects[i]), made(objects[i]));
    BALANCED(b.own, &b);
    put_all(b.own, 2000);
    END(b.own);
    assert_int_equal(b.constructed, b.destructed);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
destruct_and_allocate(void *arg, void *object)
{
    static const size_t sizes[] = { 16, 300, 2304, 70000, 3 * FPHEAP_PAGE };
    book               *b = (book *)arg;
    void               *more = fpheap_alloc(b->heap, sizes[b->destructed
                                                           % 5]);

    destruct(arg, object);
    if (more == NULL)
        b->wrong++;
    fpheap_free(b->heap, more);
}

static void
a_destructor_may_allocate_while_trim_runs(void **state)
{
    fpheap          *heap = test_heap_over(&provider);
    book             b;
    fpheap_pool_desc desc = with_book("allocating", 2304, &b);
    fpheap_pool     *pool;
    unsigned         round;

    (void)state;
    desc.destruct = destruct_and_allocate;
    b.heap = heap;
    pool = CREATE(heap, &desc);
    for (round = 0; round < 4; round++) {
        get_all(pool, 3000);
        put_all(pool, 3000);
        (void)fpheap_trim(heap);
        assert_int_equal(STATS(pool).objects, 0);
        BALANCED(pool, &b);
        TEST_CHECK_LIVE(heap, 0);
    }
    get_all(pool, 3000);
    put_all(pool, 3000);
    END(pool);
    assert_int_equal(b.constructed, b.destructed);
    TEST_DESTROY_OVER(heap, &provider);
}

/* --- the end -------------------------------------------------------------- */

static void
destroy_is_ebusy_with_the_number_of_live_objects(void **state)
{
    fpheap          *heap = test_heap_over(&provider);
    book             b;
    fpheap_pool_desc desc = with_book("busy", 2304, &b);
    fpheap_pool     *pool = CREATE(heap, &desc);
    size_t           live;
    unsigned         n;

    (void)state;
    for (n = 1; n < 1500; n = n * 2 + 1) {
        get_all(pool, 1500);
        fpheap_pool_put_bulk(pool, objects + n, 1500 - n);
        live = 77;
        assert_int_equal(fpheap_pool_destroy(pool, &live), -EBUSY);
        assert_int_equal(live, n);
        assert_int_equal(fpheap_pool_destroy(pool, NULL), -EBUSY);
        /* The pool goes on. */
        assert_ptr_equal(fpheap_pool_lookup(heap, "busy"), pool);
        BALANCED(pool, &b);
        TEST_CHECK_LIVE(heap, n);
        fpheap_pool_put(pool, fpheap_pool_get(pool));
        put_all(pool, n);
    }
    END(pool);
    assert_int_equal(b.constructed, b.destructed);
    desc.name = "again";
    assert_int_equal(fpheap_pool_destroy(CREATE(heap, &desc), NULL), 0);
    TEST_DESTROY_OVER(heap, &provider);
}

/* Where objects lie when their pool ends. */
enum { IN_CACHE, IN_DEPOT, IN_SLABS, PLACES };

static void
destroy_gives_everything_back_wherever_it_is_parked(void **state)
{
    static const size_t sizes[] = { 24, 2304, 100000 };
    fpheap      *heap = test_heap_over(&provider);
    fpheap_stats before;
    fpheap_stats after;
    size_t       s;
    unsigned     flags;
    int          place;

    (void)state;
    fpheap_free(heap, fpheap_alloc(heap, 100));
    (void)fpheap_trim(heap);
    fpheap_stats_get(heap, &before);
    for (s = 0; s < TEST_COUNT(sizes); s++) {
        for (place = 0; place < PLACES; place++) {
            for (flags = 0; flags < 8; flags += 2) {
                book             b;
                fpheap_pool_desc desc = with_book("gone", sizes[s], &b);
                unsigned         n = s == 2 ? 150 : 2500;
                fpheap_pool     *pool;

                desc.flags = flags;
                desc.min = 10;
                pool = CREATE(heap, &desc);
                get_all(pool, n);
                put_all(pool, n);
                if (place != IN_CACHE)
                    fpheap_flush(heap);
                if (place == IN_SLABS)
                    (void)fpheap_trim(heap);
                END(pool);
                assert_int_equal(b.wrong, 0);
                assert_int_equal(b.constructed, b.destructed);
                (void)fpheap_trim(heap);
                fpheap_stats_get(heap, &after);
                expect_same_bytes(&before, &after);
                TEST_CHECK_LIVE(heap, 0);
            }
        }
    }
    TEST_DESTROY_OVER(heap, &provider);
}

static void
the_heaps_end_is_its_pools_end(void **state)
{
    unsigned forced;
    unsigned k;

    (void)state;
    for (forced = 0; forced < 2; forced++) {
        fpheap          *heap = test_heap_over(&provider);
        book             b[5];
        fpheap_pool_desc desc;
        fpheap_pool     *pool[5];

        for (k = 0; k < 5; k++) {
            desc = with_book("a", 20 + k * 800, &b[k]);
            desc.name = &"abcde"[k];
            desc.min = k * 10;
            desc.flags = k % 2 == 0 ? 0 : FPHEAP_TYPE_STABLE;
            desc.private_bytes = k * 1000;
            pool[k] = CREATE(heap, &desc);
            get_all(pool[k], 700);
            if (!forced)
                put_all(pool[k], 700);
        }
        if (!forced) {
            void *live = fpheap_pool_get(pool[2]);

            assert_int_equal(fpheap_destroy(heap), -EBUSY);
            for (k = 0; k < 5; k++)
                BALANCED(pool[k], &b[k]);
            fpheap_pool_put(pool[2], live);
            assert_int_equal(fpheap_destroy(heap), 0);
        } else {
            assert_int_equal(fpheap_destroy_forced(heap), 0);
        }
        for (k = 0; k < 5; k++) {
            assert_true(b[k].constructed >= 700);
            assert_int_equal(b[k].constructed, b[k].destructed);
            assert_int_equal(b[k].wrong, 0);
        }
        assert_int_equal(provider.held, 0);
        assert_int_equal(provider.wrong, 0);
    }
}

#if FPHEAP_SHARED
/* A process keeps the callbacks of its pools on a shared heap beside it. */
static void
each_pool_of_a_number_has_its_own_callbacks_on_a_shared_heap(void **state)
{
    fpheap_partition partition;
    char             name[FPHEAP_NAME_BYTES];
    fpheap          *heap;
    unsigned         i;

    (void)state;
    memset(&partition, 0, sizeof(partition));
    partition.bytes = 64 * TEST_MIB;
    (void)snprintf(name, sizeof(name), "fpheap-pools-%d", (int)getpid());
    heap = fpheap_open(name, &partition, FPHEAP_CREATE | FPHEAP_EXCLUSIVE);
    assert_non_null(heap);
    assert_int_equal(fpheap_unlink(name, NULL), 0);
    for (i = 0; i < 20; i++) {
        book             b;
        fpheap_pool_desc desc = with_book("pool", 100, &b);
        fpheap_pool     *pool = CREATE(heap, &desc);

        assert_int_equal(pool->number, 0);
        assert_ptr_equal(fpheap_pool_lookup(heap, "pool"), pool);
        get_all(pool, 10);
        BALANCED(pool, &b);
        put_all(pool, 10);
        END(pool);
        assert_true(b.constructed >= 10);
        assert_int_equal(b.constructed, b.destructed);
    }
    TEST_CHECK_LIVE(heap, 0);
    assert_int_equal(fpheap_close(heap), 0);
}
#endif

/* As it is while one thread ends a pool, or where a pool could not be made as a
 * thread that has stopped holds a slab of it. */
static void
the_heaps_end_destructs_what_a_pool_that_nobody_has_left(void **state)
{
    fpheap          *heap = test_heap_over(&provider);
    book             b;
    fpheap_pool_desc desc = with_book("left", 100, &b);
    fpheap_pool     *pool = CREATE(heap, &desc);

    (void)state;
    get_all(pool, 50);
    put_all(pool, 50);
    fph_pool_set(heap->state, pool->number, FPH_POOL_NAMED);
    TEST_DESTROY_OVER(heap, &provider);
    assert_true(b.constructed >= 50);
    assert_int_equal(b.constructed, b.destructed);
    assert_int_equal(b.wrong, 0);
}

static void
the_heaps_functions_free_and_move_a_pools_objects(void **state)
{
    fpheap          *heap = test_heap_over(&provider);
    fpheap_pool_desc desc = described("moving", 1000, 8);
    fpheap_pool     *pool = CREATE(heap, &desc);
    void            *kept;
    char            *moved;
    unsigned         i;

    (void)state;
    get_all(pool, 1200);
    for (i = 0; i < 400; i++)
        fpheap_free(heap, objects[i]);
    assert_int_equal(STATS(pool).live_objects, 800);
    for (i = 400; i < 800; i++)
        fpheap_cache_free(fpheap_self(heap), objects[i]);
    assert_int_equal(STATS(pool).live_objects, 400);
    kept = objects[900];
    objects[900] = fpheap_alloc(heap, 1000);
    fpheap_free_bulk(heap, objects + 800, 400);
    assert_int_equal(STATS(pool).live_objects, 1);
    TEST_CHECK_LIVE(heap, 1);
    moved = (char *)fpheap_pool_get(pool);
    test_fill(moved, 1000, 5);
    /* In place while it fits. */
    assert_ptr_equal(fpheap_realloc(heap, moved, 1000), moved);
    assert_ptr_equal(fpheap_realloc(heap, moved, 1), moved);
    assert_ptr_equal(fpheap_realloc(heap, moved, 0), moved);
    assert_int_equal(STATS(pool).live_objects, 2);
    objects[0] = moved;
    moved = (char *)fpheap_realloc(heap, moved, 1001);
    assert_ptr_not_equal(moved, objects[0]);
    assert_true(test_filled_at(moved, (uintptr_t)objects[0], 1000, 5));
    assert_int_equal(STATS(pool).live_objects, 1);
    TEST_CHECK_LIVE(heap, 2);
    fpheap_free(heap, moved);
    assert_int_equal(STATS(pool).live_objects, 1);
    fpheap_pool_put(pool, kept);
    TEST_DESTROY_OVER(heap, &provider);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_object_is_constructed_once_and_destructed_once),
        cmocka_unit_test(the_argument_of_a_constructor_may_be_null),
        cmocka_unit_test(only_a_constructor_or_only_a_destructor_is_enough),
        cmocka_unit_test(
            the_constructor_is_given_the_pool_and_the_objects_index),
        cmocka_unit_test(an_index_is_given_once_in_a_pools_life),
        cmocka_unit_test(the_indices_of_a_slab_that_failed_are_left_out),
        cmocka_unit_test(two_constructors_are_einval),
        cmocka_unit_test(
            a_constructor_may_fail_at_any_object_and_nothing_is_lost),
        cmocka_unit_test(a_constructor_that_fails_for_min_leaves_no_pool),
        cmocka_unit_test(constructor_and_destructor_may_use_the_heap),
        cmocka_unit_test(so_may_a_destructor_that_the_end_of_the_heap_calls),
        cmocka_unit_test(
            a_constructor_that_gets_from_its_pool_without_end_is_edeadlk),
        cmocka_unit_test(a_constructor_may_get_from_its_pool_a_few_times),
        cmocka_unit_test(a_destructor_may_allocate_while_trim_runs),
        cmocka_unit_test(destroy_is_ebusy_with_the_number_of_live_objects),
        cmocka_unit_test(destroy_gives_everything_back_wherever_it_is_parked),
        cmocka_unit_test(the_heaps_end_is_its_pools_end),
#if FPHEAP_SHARED
        cmocka_unit_test(
            each_pool_of_a_number_has_its_own_callbacks_on_a_shared_heap),
#endif
        cmocka_unit_test(
            the_heaps_end_destructs_what_a_pool_that_nobody_has_left),
        cmocka_unit_test(the_heaps_functions_free_and_move_a_pools_objects)
    };

    return cmocka_run_group_tests_name("pool constructors", tests, NULL, NULL);
}
