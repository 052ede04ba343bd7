/* test_references.c - with FPHEAP_HEADER the last reference ends an object,
 * once, and calls its destructor, of a pool too; each misuse is told, and loses
 * nothing.
 */
#include "races.h"

#include "header_util.h"

/* --- references and destructors ------------------------------------------- */

/* What a destructor saw last, and what it is to do. */
typedef struct witness {
    unsigned    calls;
    void       *object;
    size_t      requested;
    unsigned    tag;
    unsigned    flags;
    unsigned    harmed;        /* objects not as test_fill left them */
    fpheap_fate fate;
} witness;

static witness seen;
static witness seen_too;

static fpheap_fate
note_end(void *arg, void *object)
{
    witness *w = (witness *)arg;

    w->calls++;
    w->object = object;
    w->requested = fpheap_requested(object);
    w->tag = fpheap_tag(object);
    w->flags = fpheap_flags(object);
    w->harmed += !test_filled(object, w->requested, 1);
    return w->fate;
}

/* The number of note_end with one of the two as its argument. */
static unsigned
number_of(witness *w)
{
    static int numbers[2];
    int       *number = &numbers[w == &seen_too];

    if (*number == 0)
        *number = fpheap_destructor_register(note_end, w);
    assert_true(*number >= 1 && *number <= 255);
    memset(w, 0, sizeof(*w));
    w->fate = FPHEAP_RELEASE;
    return (unsigned)*number;
}

static char *
watched(fpheap *heap, size_t size, unsigned tag, unsigned number)
{
    char *object = (char *)fpheap_alloc_tagged(heap, size, tag);

    assert_non_null(object);
    test_fill(object, size, 1);
    assert_int_equal(fpheap_set_destructor(object, number), 0);
    return object;
}

static void
the_last_reference_calls_the_destructor_once(void **state)
{
    fpheap  *heap = test_heap_over(&provider);
    unsigned number = number_of(&seen);
    size_t   s;
    unsigned refs;
    unsigned i;

    (void)state;
    for (s = 0; s < TEST_COUNT(sizes); s++) {
        for (refs = 1; refs < 70000; refs = refs * 6 + s % 2) {
            char *object = watched(heap, sizes[s], 4, number);

            fpheap_set_flags(object, 0xc3);
            seen.calls = 0;
            for (i = 1; i < refs; i++) {
                fpheap_ref(object);
                assert_int_equal(fpheap_refs(object), i + 1);
            }
            for (i = refs; i > 1; i--) {
                fpheap_unref(heap, object);
                assert_int_equal(fpheap_refs(object), i - 1);
            }
            assert_int_equal(seen.calls, 0);
            TEST_CHECK_LIVE(heap, 1);
            fpheap_unref(heap, object);
            assert_int_equal(seen.calls, 1);
            assert_ptr_equal(seen.object, object);
            assert_true(seen.requested == sizes[s] && seen.tag == 4);
            assert_int_equal(seen.flags, 0xc3);
            assert_int_equal(seen.harmed, 0);
            TEST_CHECK_LIVE(heap, 0);
        }
    }
    fpheap_unref(heap, NULL);
    TEST_DESTROY_OVER(heap, &provider);
    EXPECT_PANICS(0);
}

static fpheap *dropped_from;

static void *
drop_a_reference(void *object)
{
    fpheap_unref(dropped_from, object);
    return NULL;
}

/* Both threads have seen that there are two. */
static void
the_last_two_references_dropped_at_a_time_call_it_once(void **state)
{
    fpheap *heap = test_heap_over(&provider);
    char   *object = watched(heap, 100, 4, number_of(&seen));

    (void)state;
    dropped_from = heap;
    fpheap_ref(object);
    meanwhile(&fph_head_of(object)->hold.refs, MEANWHILE_CHANGE, 0,
              drop_a_reference, object);
    fpheap_unref(heap, object);
    assert_null(meanwhile_moment.word);
    assert_int_equal(seen.calls, 1);
    assert_ptr_equal(seen.object, object);
    TEST_DESTROY_OVER(heap, &provider);
    EXPECT_PANICS(0);
}

static void
each_destructor_has_its_own_argument(void **state)
{
    fpheap  *heap = test_heap_over(&provider);
    unsigned one = number_of(&seen);
    unsigned two = number_of(&seen_too);
    unsigned i;

    (void)state;
    assert_int_not_equal(one, two);
    for (i = 0; i < 100; i++) {
        char *a = watched(heap, 100 + i, 0, one);
        char *b = watched(heap, 100 + i, 0, two);

        fpheap_unref(heap, b);
        fpheap_unref(heap, a);
        assert_true(seen.calls == i + 1 && seen_too.calls == i + 1);
        assert_ptr_equal(seen.object, a);
        assert_ptr_equal(seen_too.object, b);
    }
    TEST_DESTROY_OVER(heap, &provider);
    EXPECT_PANICS(0);
}

static void
what_a_destructor_keeps_is_live_with_one_reference(void **state)
{
    fpheap  *heap = test_heap_over(&provider);
    unsigned number = number_of(&seen);
    books    b;
    size_t   s;
    unsigned i;

    (void)state;
    for (s = 0; s < TEST_COUNT(sizes); s++) {
        char *object = watched(heap, sizes[s], 6, number);

        memset(&b, 0, sizeof(b));
        book(&b, 6, sizes[s]);
        fpheap_set_flags(object, 0x81);
        seen.calls = 0;
        seen.fate = FPHEAP_KEPT;
        for (i = 1; i <= 5; i++) {
            if (i % 2 == 0) {
                fpheap_ref(object);
                fpheap_unref(heap, object);
            }
            fpheap_unref(heap, object);
            assert_int_equal(seen.calls, i);
            EXPECT_HEADER(object, sizes[s], 6, 0x81);
            assert_true(test_filled(object, sizes[s], 1));
            CHECK_BOOKS(heap, &b);
        }
        seen.fate = FPHEAP_RELEASE;
        if (s % 2 == 0)
            fpheap_unref(heap, object);
        else
            fpheap_free(heap, object);
        assert_int_equal(seen.calls, 5 + (s % 2 == 0));
        assert_int_equal(seen.harmed, 0);
        TEST_CHECK_LIVE(heap, 0);
    }
    TEST_DESTROY_OVER(heap, &provider);
    EXPECT_PANICS(0);
}

/* fpheap_free calls no destructor, 0 takes it away, and the next owner of the
 * memory has none. */
static void
a_destructor_goes_with_its_object_and_its_number(void **state)
{
    fpheap  *heap = test_heap_over(&provider);
    unsigned number = number_of(&seen);
    void    *two[2];
    char    *object;
    unsigned i;

    (void)state;
    for (i = 0; i < 2000; i++) {
        object = watched(heap, 200, 1, number);
        fpheap_set_flags(object, 7);
        fpheap_free(heap, object);
        object = (char *)fpheap_alloc(heap, 200);
        EXPECT_HEADER(object, 200, 0, 0);
        fpheap_unref(heap, object);
        object = watched(heap, 200, 1, number);
        assert_int_equal(fpheap_set_destructor(object, 0), 0);
        fpheap_unref(heap, object);
        two[0] = watched(heap, 200, 1, number);
        two[1] = watched(heap, 200, 1, number);
        fpheap_free_bulk(heap, two, 2);
        assert_int_equal(fpheap_alloc_bulk(heap, 200, two, 2), 0);
        EXPECT_HEADER(two[0], 200, 0, 0);
        fpheap_unref(heap, two[0]);
        fpheap_unref(heap, two[1]);
    }
    assert_int_equal(seen.calls, 0);
    TEST_CHECK_LIVE(heap, 0);
    TEST_DESTROY_OVER(heap, &provider);
    EXPECT_PANICS(0);
}

static void
realloc_keeps_the_destructor(void **state)
{
    fpheap  *heap = test_heap_over(&provider);
    unsigned number = number_of(&seen);
    size_t   from;
    size_t   to;

    (void)state;
    for (from = 0; from < TEST_COUNT(sizes); from++) {
        for (to = 0; to < TEST_COUNT(sizes); to++) {
            char *object = watched(heap, sizes[from], 2, number);

            fpheap_set_flags(object, 9);
            object = (char *)fpheap_realloc(heap, object, sizes[to]);
            assert_non_null(object);
            EXPECT_HEADER(object, sizes[to], 2, 9);
            test_fill(object, sizes[to], 1);
            seen.calls = 0;
            fpheap_unref(heap, object);
            assert_int_equal(seen.calls, 1);
            assert_ptr_equal(seen.object, object);
            assert_true(seen.requested == sizes[to] && seen.tag == 2);
        }
        TEST_CHECK_LIVE(heap, 0);
    }
    assert_int_equal(seen.harmed, 0);
    TEST_DESTROY_OVER(heap, &provider);
    EXPECT_PANICS(0);
}

/* A chain of objects: each destructor drops the next one, and makes and frees
 * another object meanwhile. */
typedef struct chain {
    fpheap      *heap;
    struct chain *next;
} chain;

static unsigned links_ended;

static fpheap_fate
end_link(void *arg, void *object)
{
    chain *l = (chain *)object;
    void *other = fpheap_alloc(l->heap, 1 + links_ended % 3000);

    (void)arg;
    links_ended++;
    fpheap_unref(l->heap, l->next);
    fpheap_free(l->heap, other);
    return FPHEAP_RELEASE;
}

static void
a_destructor_may_use_the_heap(void **state)
{
    enum { LENGTH = 1500 };
    fpheap *heap = test_heap_over(&provider);
    int     number = fpheap_destructor_register(end_link, NULL);
    chain  *head = NULL;
    size_t  i;

    (void)state;
    assert_true(number >= 1);
    for (i = 0; i < LENGTH; i++) {
        chain *l = (chain *)fpheap_alloc(heap, sizeof(*l) + i % 500);

        assert_non_null(l);
        l->heap = heap;
        l->next = head;
        assert_int_equal(fpheap_set_destructor(l, (unsigned)number), 0);
        head = l;
    }
    links_ended = 0;
    fpheap_unref(heap, head);
    assert_int_equal(links_ended, LENGTH);
    TEST_CHECK_LIVE(heap, 0);
    TEST_DESTROY_OVER(heap, &provider);
    EXPECT_PANICS(0);
}

/* --- misuse --------------------------------------------------------------- */

/* The five ways to free, and the one for pools. */
static void
free_by(fpheap *heap, unsigned way, void *object, size_t size)
{
    switch (way) {
    case 0:
        fpheap_free(heap, object);
        return;
    case 1:
        fpheap_free_sized(heap, object, size);
        return;
    case 2:
        fpheap_free_bulk(heap, &object, 1);
        return;
    case 3:
        fpheap_free_bulk_sized(heap, &object, 1, size);
        return;
    case 4:
        fpheap_cache_free(fpheap_self(heap), object);
        return;
    default:
        fpheap_cache_free_sized(fpheap_self(heap), object, size);
        return;
    }
}

#define WAYS 6

static void
a_free_of_a_shared_object_is_reported_and_leaves_it(void **state)
{
    fpheap  *heap = test_heap_over(&provider);
    unsigned number = number_of(&seen);
    size_t   s;
    unsigned way;

    (void)state;
    for (s = 0; s < TEST_COUNT(sizes); s++) {
        for (way = 0; way < WAYS; way++) {
            char *object = watched(heap, sizes[s], 8, number);
            books b;

            memset(&b, 0, sizeof(b));
            book(&b, 8, sizes[s]);
            seen.calls = 0;
            fpheap_ref(object);
            free_by(heap, way, object, sizes[s]);
            EXPECT_PANIC("object with references");
            assert_int_equal(fpheap_refs(object), 2);
            assert_true(test_filled(object, sizes[s], 1));
            CHECK_BOOKS(heap, &b);
            fpheap_unref(heap, object);
            EXPECT_HEADER(object, sizes[s], 8, 0);
            assert_int_equal(seen.calls, 0);
            fpheap_unref(heap, object);
            assert_int_equal(seen.calls, 1);
            TEST_CHECK_LIVE(heap, 0);
        }
    }
    TEST_DESTROY_OVER(heap, &provider);
    EXPECT_PANICS(0);
}

/* Large objects have gone by then, and their memory may have as well. */
static void
a_double_free_is_reported_at_once(void **state)
{
    fpheap  *heap = test_heap_over(&provider);
    void    *kept = fpheap_alloc_tagged(heap, 64, 1);
    books    b;
    size_t   s;
    unsigned way;

    (void)state;
    memset(&b, 0, sizeof(b));
    book(&b, 1, 64);
    for (s = 0; s < TEST_COUNT(sizes); s++) {
        for (way = 0; way < WAYS; way++) {
            void *beside = fpheap_alloc(heap, sizes[s]);
            void *object = fpheap_alloc_tagged(heap, sizes[s], 2);

            if (sizes[s] + IN_FRONT > FPH_CLASS_MAX) {
                fpheap_free(heap, object);
                fpheap_free(heap, beside);
                continue;
            }
            fpheap_free(heap, object);
            free_by(heap, way, object, sizes[s]);
            EXPECT_PANICS(1);
            fpheap_free(heap, beside);
            CHECK_BOOKS(heap, &b);
        }
    }
    fpheap_free(heap, kept);
    TEST_DESTROY_OVER(heap, &provider);
    EXPECT_PANICS(0);
}

/* Of such an object the header is looked at before the heap is. */
static void
a_free_of_a_shared_object_with_no_heap_is_reported_as_that(void **state)
{
    fpheap *heap = test_heap_over(&provider);
    void   *object = fpheap_alloc(heap, 100);

    (void)state;
    fpheap_ref(object);
    fpheap_free(NULL, object);
    EXPECT_PANIC("NULL for a heap");
    fpheap_free_sized(NULL, object, 100);
    EXPECT_PANIC("NULL for a heap");
    assert_int_equal(fpheap_refs(object), 2);
    fpheap_unref(heap, object);
    fpheap_unref(heap, object);
    TEST_DESTROY_OVER(heap, &provider);
    EXPECT_PANICS(0);
}

static void
null_has_no_header(void **state)
{
    fpheap *heap = test_heap_over(&provider);
    void   *object = fpheap_alloc(heap, 100);

    (void)state;
    fpheap_free(heap, NULL);
    fpheap_free_sized(heap, NULL, 100);
    fpheap_cache_free(fpheap_self(heap), NULL);
    TEST_CHECK_LIVE(heap, 1);
    fpheap_free(heap, object);
    TEST_DESTROY_OVER(heap, &provider);
    EXPECT_PANICS(0);
}

/* What lies before it looks like the header of an object that is free, or that
 * has references. */
static void
a_free_of_what_is_not_from_the_heap_is_reported_as_that(void **state)
{
    static uint64_t foreign[100];
    fpheap         *heap = test_heap_over(&provider);
    fph_head       *head = fph_head_of(foreign + 8);
    unsigned        refs;

    (void)state;
    for (refs = 0; refs <= 2; refs += 2) {
        head->hold.refs = refs;
        fpheap_free(heap, foreign + 8);
        EXPECT_PANIC("not from this heap");
        TEST_CHECK_LIVE(heap, 0);
    }
    TEST_DESTROY_OVER(heap, &provider);
    EXPECT_PANICS(0);
}

static void
one_bad_object_in_a_bulk_does_not_stop_the_others(void **state)
{
    enum { N = 40 };
    fpheap  *heap = test_heap_over(&provider);
    void    *objects[N];
    books    b;
    unsigned round;
    unsigned i;

    (void)state;
    for (round = 0; round < 200; round++) {
        unsigned bad = round % N;
        int      twice = round % 3 == 0;

        memset(&b, 0, sizeof(b));
        assert_int_equal(fpheap_alloc_bulk(heap, 500, objects, N), 0);
        if (twice)
            fpheap_free(heap, objects[bad]);
        else
            fpheap_ref(objects[bad]);
        if (round % 2 == 0)
            fpheap_free_bulk(heap, objects, N);
        else
            fpheap_free_bulk_sized(heap, objects, N, 500);
        EXPECT_PANICS(1);
        if (!twice) {
            book(&b, 0, 500);
            CHECK_BOOKS(heap, &b);
            for (i = 0; i < 2; i++)
                fpheap_unref(heap, objects[bad]);
        }
        memset(&b, 0, sizeof(b));
        CHECK_BOOKS(heap, &b);
    }
    TEST_DESTROY_OVER(heap, &provider);
    EXPECT_PANICS(0);
}

/* Whoever drops it then may not run the destructor a second time. */
static void
a_reference_dropped_once_too_often_is_reported(void **state)
{
    fpheap  *heap = test_heap_over(&provider);
    unsigned number = number_of(&seen);
    void    *kept = fpheap_alloc_tagged(heap, 64, 1);
    books    b;
    size_t   s;

    (void)state;
    memset(&b, 0, sizeof(b));
    book(&b, 1, 64);
    for (s = 0; s < TEST_COUNT(sizes); s++) {
        void *plain = fpheap_alloc(heap, sizes[s]);
        void *object = watched(heap, sizes[s], 2, number);

        if (sizes[s] + IN_FRONT > FPH_CLASS_MAX) {
            fpheap_free(heap, plain);
            fpheap_free(heap, object);
            continue;
        }
        seen.calls = 0;
        fpheap_unref(heap, plain);
        fpheap_unref(heap, plain);
        EXPECT_PANICS(1);
        fpheap_unref(heap, object);
        fpheap_unref(heap, object);
        EXPECT_PANICS(1);
        assert_int_equal(seen.calls, 1);
        CHECK_BOOKS(heap, &b);
    }
    fpheap_free(heap, kept);
    TEST_DESTROY_OVER(heap, &provider);
    EXPECT_PANICS(0);
}

/* As after a write past the object before. */
static void
a_header_with_a_tag_that_there_is_not_is_reported_and_counts_nothing(
    void **state)
{
    fpheap  *heap = test_heap_over(&provider);
    char    *object = fpheap_alloc_tagged(heap, 500, 3);
    void    *objects[2];
    books    b;
    unsigned tag;

    (void)state;
    memset(&b, 0, sizeof(b));
    for (tag = FPHEAP_TAGS; tag < 256; tag++) {
        objects[0] = fpheap_alloc_tagged(heap, 500, 2);
        objects[1] = object;
        book(&b, 3, 500);
        fph_head_set(fph_head_of(object), FPH_HEAD_TAG, (unsigned)tag);
        if (tag % 2 == 0) {
            fpheap_free(heap, object);
            EXPECT_PANIC("header of an object was overwritten");
            fpheap_free(heap, objects[0]);
        } else {
            fpheap_free_bulk_sized(heap, objects, 2, 500);
            EXPECT_PANIC("header of an object was overwritten");
        }
        fph_head_set(fph_head_of(object), FPH_HEAD_TAG, 3);
        CHECK_BOOKS(heap, &b);
        unbook(&b, 3, 500);
    }
    fpheap_free(heap, object);
    CHECK_BOOKS(heap, &b);
    TEST_DESTROY_OVER(heap, &provider);
    EXPECT_PANICS(0);
}

/* Also where the magazine has room for all of them, so that nothing else is
 * looked at. */
static void
an_object_that_is_twice_in_a_bulk_is_reported(void **state)
{
    enum { MOST = 62 };
    fpheap  *heap = test_heap_over(&provider);
    void    *others[2 * MOST];
    void    *objects[MOST];
    unsigned round;
    books    b;

    (void)state;
    memset(&b, 0, sizeof(b));
    assert_int_equal(fpheap_alloc_bulk(heap, 500, others, 2 * MOST), 0);
    fpheap_free_bulk_sized(heap, others + MOST, MOST, 500);
    for (round = 0; round < MOST; round++)
        book(&b, 0, 500);
    for (round = 0; round < MOST - 2; round++) {
        unsigned n = 2 + round;

        assert_int_equal(fpheap_alloc_bulk(heap, 500, objects, n - 1), 0);
        objects[n - 1] = objects[round / 2];
        if (round % 2 == 0)
            fpheap_free_bulk(heap, objects, n);
        else
            fpheap_free_bulk_sized(heap, objects, n, 500);
        EXPECT_PANICS(1);
        CHECK_BOOKS(heap, &b);
    }
    fpheap_free_bulk(heap, others, MOST);
    TEST_DESTROY_OVER(heap, &provider);
    EXPECT_PANICS(0);
}

static void
an_unknown_destructor_is_einval(void **state)
{
    fpheap          *heap = test_heap_over(&provider);
    unsigned         number = number_of(&seen);
    unsigned         bad[] = { 250, 255, 256, 256 + number, 511, 65536 + number,
                               INT_MAX, UINT_MAX };
    char            *object = watched(heap, 100, 3, number);
    fpheap_pool_desc desc;
    size_t           i;

    (void)state;
    memset(&desc, 0, sizeof(desc));
    desc.name = "bad";
    desc.size = 100;
    for (i = 0; i < TEST_COUNT(bad); i++) {
        assert_int_equal(fpheap_set_destructor(object, bad[i]), -EINVAL);
        EXPECT_HEADER(object, 100, 3, 0);
        desc.destructor = bad[i];
        errno = 0;
        assert_null(fpheap_pool_create(heap, &desc));
        assert_int_equal(errno, EINVAL);
    }
    fpheap_unref(heap, object);
    assert_int_equal(seen.calls, 1); /* it is still the one that it had */
    TEST_DESTROY_OVER(heap, &provider);
    EXPECT_PANICS(0);
}

static void *
register_one(void *number)
{
    *(int *)number = fpheap_destructor_register(note_end, &seen_too);
    return NULL;
}

static void
two_that_register_at_a_time_have_a_number_each(void **state)
{
    int theirs = 0, ours;

    (void)state;
    meanwhile(&fph_destructor_count, MEANWHILE_CHANGE, 0, register_one,
              &theirs);
    ours = fpheap_destructor_register(note_end, &seen);
    assert_null(meanwhile_moment.word);
    assert_true(ours > 0 && theirs > 0 && ours != theirs);
    assert_ptr_equal(fph_destructors[ours].arg, &seen);
    assert_ptr_equal(fph_destructors[theirs].arg, &seen_too);
}

/* The last test: it takes all numbers of the process. */
static void
there_are_255_destructors(void **state)
{
    fpheap  *heap = test_heap_over(&provider);
    unsigned own = number_of(&seen);
    char     given[256] = { 0 };
    unsigned last = number_of(&seen_too);
    unsigned i;

    (void)state;
    assert_int_equal(fpheap_destructor_register(NULL, NULL), -EINVAL);
    for (i = 0; i < 255; i++) {
        int number = fpheap_destructor_register(note_end, &seen_too);

        if (number == -ENOSPC)
            break;
        assert_true(number >= 1 && number <= 255 && !given[number]);
        given[number] = 1;
        last = (unsigned)number;
    }
    assert_int_equal(given[own], 0);
    assert_true(i > 200 && i < 254 && given[255]);
    for (i = 0; i < 3; i++) {
        assert_int_equal(fpheap_destructor_register(note_end, &seen), -ENOSPC);
        assert_int_equal(fpheap_destructor_register(NULL, NULL), -EINVAL);
    }
    fpheap_unref(heap, watched(heap, 100, 0, last));
    assert_true(seen_too.calls == 1 && seen.calls == 0);
    fpheap_unref(heap, watched(heap, 100, 0, own));
    assert_true(seen_too.calls == 1 && seen.calls == 1);
    TEST_DESTROY_OVER(heap, &provider);
    EXPECT_PANICS(0);
}

/* --- pools ---------------------------------------------------------------- */

static void
an_object_of_a_pool_has_its_tag_and_its_destructor(void **state)
{
    enum { N = 1200 };
    fpheap      *heap = test_heap_over(&provider);
    fpheap_pool *pool = pool_of(heap, "tagged", 1000, 11, number_of(&seen));
    void        *objects[N];
    books        b;
    unsigned     round;
    unsigned     i;

    (void)state;
    for (round = 0; round < 12; round++) {
        memset(&b, 0, sizeof(b));
        objects[0] = fpheap_pool_get(pool);
        assert_int_equal(fpheap_pool_get_burst(pool, objects + 1, 99), 99);
        assert_int_equal(fpheap_pool_get_bulk(pool, objects + 100, N - 100), 0);
        for (i = 0; i < N; i++) {
            EXPECT_HEADER(objects[i], 1000, 11, 0);
            assert_true(fpheap_usable_size(heap, objects[i]) >= 1000);
            fpheap_set_flags(objects[i], i % 256);
            test_fill(objects[i], 1000, 1);
            book(&b, 11, 1000);
        }
        CHECK_BOOKS(heap, &b);
        seen.calls = 0;
        for (i = 0; i < N / 2; i++)
            fpheap_unref(heap, objects[i]);
        assert_int_equal(seen.calls, N / 2);
        assert_true(seen.requested == 1000 && seen.tag == 11);
        fpheap_pool_put(pool, objects[i]);
        fpheap_free(heap, objects[i + 1]);
        fpheap_free_bulk(heap, objects + i + 2, 100);
        fpheap_pool_put_bulk(pool, objects + i + 102, N - i - 102);
        assert_int_equal(seen.calls, N / 2);
        memset(&b, 0, sizeof(b));
        CHECK_BOOKS(heap, &b);
        if (round % 4 == 3)
            (void)fpheap_trim(heap);
    }
    assert_int_equal(seen.harmed, 0);
    assert_int_equal(fpheap_pool_destroy(pool, NULL), 0);
    TEST_DESTROY_OVER(heap, &provider);
    EXPECT_PANICS(0);
}

static void
a_pool_says_ebusy_while_its_destructor_keeps_an_object(void **state)
{
    fpheap      *heap = test_heap_over(&provider);
    fpheap_pool *pool = pool_of(heap, "kept", 100, 1, number_of(&seen));
    void        *object = fpheap_pool_get(pool);
    size_t       live = 0;

    (void)state;
    test_fill(object, 100, 1);
    seen.fate = FPHEAP_KEPT;
    fpheap_unref(heap, object);
    EXPECT_HEADER(object, 100, 1, 0);
    assert_int_equal(fpheap_pool_destroy(pool, &live), -EBUSY);
    assert_int_equal(live, 1);
    seen.fate = FPHEAP_RELEASE;
    fpheap_unref(heap, object);
    assert_true(seen.calls == 2 && seen.harmed == 0);
    assert_int_equal(fpheap_pool_destroy(pool, &live), 0);
    assert_int_equal(live, 0);
    TEST_DESTROY_OVER(heap, &provider);
    EXPECT_PANICS(0);
}

typedef struct made {
    size_t   align;
    size_t   size;
    unsigned wrong;            /* alignments */
    size_t   alive;
} made;

static int
make_object(void *arg, void *object)
{
    made *m = (made *)arg;

    m->wrong += (uintptr_t)object % m->align != 0;
    m->alive++;
    test_fill(object, m->size, 0);
    return 0;
}

static void
end_object(void *arg, void *object)
{
    made *m = (made *)arg;

    m->wrong += !test_filled(object, m->size, 0);
    m->alive--;
}

static int
still_filled(void *arg, void *object)
{
    return test_filled(object, ((made *)arg)->size, 0) ? 0 : 1;
}

/* Aligned as without headers, and no more bytes than header and object need. */
static void
check_pool_of(fpheap *heap, size_t size, size_t align)
{
    enum { N = 300 };
    fpheap_pool_desc  desc;
    fpheap_pool_stats stats;
    fpheap_pool      *pool;
    made              m = { align, size, 0, 0 };
    void             *objects[N];
    unsigned          n = size > 100000 ? 6 : N;
    unsigned          round;
    unsigned          i;

    memset(&desc, 0, sizeof(desc));
    desc.name = "made";
    desc.size = size;
    desc.align = align;
    desc.construct = make_object;
    desc.destruct = end_object;
    desc.arg = &m;
    desc.tag = 2;
    pool = fpheap_pool_create(heap, &desc);
    assert_non_null(pool);
    fpheap_pool_stats_get(pool, &stats);
    assert_int_equal(stats.size, (size + IN_FRONT + align - 1) / align * align);
    for (round = 0; round < 3; round++) {
        assert_int_equal(fpheap_pool_get_bulk(pool, objects, n), 0);
        for (i = 0; i < n; i++) {
            assert_int_equal((uintptr_t)objects[i] % align, 0);
            assert_true(fpheap_usable_size(heap, objects[i]) >= size);
            assert_true(test_filled(objects[i], size, 0));
            EXPECT_HEADER(objects[i], size, 2, 0);
            fpheap_set_flags(objects[i], 0xff);
            fpheap_ref(objects[i]);
        }
        assert_int_equal(fpheap_pool_for_each(pool, FPHEAP_ALL, still_filled,
                                              &m), 0);
        TEST_CHECK_LIVE(heap, n);
        for (i = 0; i < n; i++)
            fpheap_unref(heap, objects[i]);
        fpheap_pool_put_bulk(pool, objects, n);
        if (round == 1)
            fpheap_thread_leave(heap);
        assert_int_equal(fpheap_pool_for_each(pool, FPHEAP_ALL, still_filled,
                                              &m), 0);
    }
    assert_true(m.alive >= n);
    assert_int_equal(fpheap_pool_destroy(pool, NULL), 0);
    assert_true(m.wrong == 0 && m.alive == 0);
    TEST_CHECK_LIVE(heap, 0);
}

static void
an_object_of_a_pool_keeps_all_bytes_and_its_alignment(void **state)
{
    size_t  some[] = { 1, 8, 16, 17, 48, 64, 100, 240, 256, 1000, 2048, 2304,
                       4096, 9000, FPHEAP_PAGE - 16, FPHEAP_PAGE,
                       FPHEAP_CHUNK / 4 };
    fpheap *heap = test_heap_over(&provider);
    size_t  align;
    size_t  s;

    (void)state;
    for (align = 16; align <= FPHEAP_PAGE; align *= 4)
        for (s = 0; s < TEST_COUNT(some); s++)
            check_pool_of(heap, some[s], align);
    check_pool_of(heap, 2304, 64);
    check_pool_of(heap, 2304, 128);
    check_pool_of(heap, 4096, 4096);
    check_pool_of(heap, 1, FPHEAP_PAGE);
    TEST_DESTROY_OVER(heap, &provider);
    EXPECT_PANICS(0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_reference_calls_the_destructor_once),
        cmocka_unit_test(
            the_last_two_references_dropped_at_a_time_call_it_once),
        cmocka_unit_test(each_destructor_has_its_own_argument),
        cmocka_unit_test(what_a_destructor_keeps_is_live_with_one_reference),
        cmocka_unit_test(a_destructor_goes_with_its_object_and_its_number),
        cmocka_unit_test(realloc_keeps_the_destructor),
        cmocka_unit_test(a_destructor_may_use_the_heap),
        cmocka_unit_test(a_free_of_a_shared_object_is_reported_and_leaves_it),
        cmocka_unit_test(a_double_free_is_reported_at_once),
        cmocka_unit_test(
            a_free_of_a_shared_object_with_no_heap_is_reported_as_that),
        cmocka_unit_test(null_has_no_header),
        cmocka_unit_test(
            a_free_of_what_is_not_from_the_heap_is_reported_as_that),
        cmocka_unit_test(one_bad_object_in_a_bulk_does_not_stop_the_others),
        cmocka_unit_test(a_reference_dropped_once_too_often_is_reported),
        cmocka_unit_test(
            a_header_with_a_tag_that_there_is_not_is_reported_and_counts_nothing),
        cmocka_unit_test(an_object_that_is_twice_in_a_bulk_is_reported),
        cmocka_unit_test(an_object_of_a_pool_has_its_tag_and_its_destructor),
        cmocka_unit_test(
            a_pool_says_ebusy_while_its_destructor_keeps_an_object),
        cmocka_unit_test(an_object_of_a_pool_keeps_all_bytes_and_its_alignment),
        cmocka_unit_test(an_unknown_destructor_is_einval),
        cmocka_unit_test(two_that_register_at_a_time_have_a_number_each),
        cmocka_unit_test(there_are_255_destructors)
    };

    return cmocka_run_group_tests_name("references", tests, NULL, NULL);
}
