/* test_group_check.c - with FPHEAP_CHECK 1 what is done wrongly with a group is
 * named: use after its end, a second end, marks that are not its own or are of a
 * later moment, objects that it cut and that are freed, objects that are not to be
 * adopted.  The group, if there is one, goes on.
 */
#include "../panics.h"

#define FPHEAP_CHECK 1
#define FPHEAP_IMPLEMENTATION
#include "fpheap.h"
#include "../test_util.h"

static test_provider provider;

static void
nothing(void *arg)
{
    (void)arg;
}

static void
a_group_that_has_ended_is_named(void **state)
{
    fpheap       *heap   = test_heap_over(&provider);
    fpheap_group *group  = fpheap_group_begin(heap);
    fpheap_mark   mark   = fpheap_group_mark(group);
    void         *object = fpheap_alloc(heap, 100);

    (void)state;
    fpheap_group_end(group);
    EXPECT_PANICS(0);
    fpheap_group_end(group);
    EXPECT_PANIC("a call with what is no group, or one that has ended");
    errno = 0;
    assert_null(fpheap_group_alloc(group, 10));
    assert_int_equal(errno, EINVAL);
    EXPECT_PANIC("has ended");
    assert_null(fpheap_group_aligned(group, 64, 10));
    EXPECT_PANIC("has ended");
    assert_int_equal(fpheap_group_adopt(group, object), -EINVAL);
    EXPECT_PANIC("has ended");
    assert_int_equal(fpheap_group_cleanup(group, nothing, NULL), -EINVAL);
    EXPECT_PANIC("has ended");
    fpheap_group_rewind(group, mark);
    EXPECT_PANIC("has ended");
    (void)fpheap_group_mark(group);
    EXPECT_PANIC("has ended");
    fpheap_free(heap, object);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
an_object_that_is_no_group_is_named(void **state)
{
    fpheap *heap   = test_heap_over(&provider);
    void   *object = fpheap_zalloc(heap, 4096);

    (void)state;
    assert_null(fpheap_group_alloc((fpheap_group *)object, 10));
    EXPECT_PANIC("what is no group");
    fpheap_group_end((fpheap_group *)object);
    EXPECT_PANIC("what is no group");
    fpheap_free(heap, object);
    TEST_DESTROY_OVER(heap, &provider);
}

/* In every build, unless the mark shares pieces and endings with what there is. */
static void
a_mark_of_another_group_is_named(void **state)
{
    fpheap       *heap  = test_heap_over(&provider);
    fpheap_group *group = fpheap_group_begin(heap);
    fpheap_group *other = fpheap_group_begin(heap);
    fpheap_mark   mark  = fpheap_group_mark(other);
    char         *last  = (char *)fpheap_group_alloc(group, 16);

    (void)state;
    fpheap_group_rewind(group, mark);
    EXPECT_PANIC("rewind to a mark of another group, or of a later moment");
    assert_ptr_equal(fpheap_group_alloc(group, 16), last + 16);
    fpheap_group_end(other);
    fpheap_group_end(group);
    EXPECT_PANICS(0);
    TEST_DESTROY_OVER(heap, &provider);
}

/* A rewind to what was the group's state after a moment to which it went back. */
static void
expect_later(fpheap_group *group, fpheap_mark first, fpheap_mark later)
{
    fpheap_group_rewind(group, later);
    EXPECT_PANIC("or of a later moment");
    fpheap_group_rewind(group, first);
    EXPECT_PANICS(0);
}

static void
a_mark_of_a_later_moment_is_named(void **state)
{
    fpheap       *heap  = test_heap_over(&provider);
    fpheap_group *group = fpheap_group_begin(heap);
    fpheap_mark   first = fpheap_group_mark(group), later;
    unsigned      i;

    (void)state;
    assert_non_null(fpheap_group_alloc(group, 16));     /* in the same piece */
    later = fpheap_group_mark(group);
    fpheap_group_rewind(group, first);
    expect_later(group, first, later);

    assert_non_null(fpheap_group_alloc(group, 100000)); /* one of its own */
    later = fpheap_group_mark(group);
    fpheap_group_rewind(group, first);
    expect_later(group, first, later);

    assert_int_equal(fpheap_group_cleanup(group, nothing, NULL), 0);
    later = fpheap_group_mark(group);
    fpheap_group_rewind(group, first);
    assert_non_null(fpheap_group_alloc(group, 100));    /* as many bytes */
    expect_later(group, first, later);

    for (i = 0; i < 30; i++)                            /* another piece */
        assert_non_null(fpheap_group_alloc(group, 500));
    later = fpheap_group_mark(group);
    fpheap_group_rewind(group, later);
    EXPECT_PANICS(0);
    fpheap_group_rewind(group, first);
    expect_later(group, first, later);
    TEST_CHECK_LIVE(heap, 1);
    fpheap_group_end(group);
    EXPECT_PANICS(0);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
a_free_of_what_a_group_has_cut_is_named(void **state)
{
    fpheap       *heap  = test_heap_over(&provider);
    fpheap_group *group = fpheap_group_begin(heap);

    (void)state;
    fpheap_free(heap, fpheap_group_alloc(group, 100));
    EXPECT_PANIC(sizeof(void *) == 8 ? "48 bytes into the live object at "
                                     : "32 bytes into the live object at ");
    fpheap_free(heap, fpheap_group_alloc(group, 5000));
    EXPECT_PANIC("16 bytes into the live object at ");
    fpheap_free(heap, fpheap_group_alloc(group, FPHEAP_CHUNK));
    EXPECT_PANIC("16 bytes into the live object at ");
    assert_null(fpheap_realloc(heap, fpheap_group_alloc(group, 100), 200));
    EXPECT_PANICS(1);
    TEST_CHECK_LIVE(heap, 3);
    fpheap_group_end(group);
    EXPECT_PANICS(0);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
only_a_live_object_of_the_heap_is_adopted(void **state)
{
    static char   foreign[16] __attribute__((aligned(16)));
    fpheap       *heap   = test_heap_over(&provider);
    fpheap_group *group  = fpheap_group_begin(heap);
    char         *object = (char *)fpheap_alloc(heap, 100);

    (void)state;
    assert_int_equal(fpheap_group_adopt(group, object + 16), -EINVAL);
    EXPECT_PANIC("16 bytes into the live object");
    assert_int_equal(fpheap_group_adopt(group, foreign), -EINVAL);
    EXPECT_PANIC("it is not from this heap");
    assert_int_equal(fpheap_group_adopt(group, fpheap_group_alloc(group, 8)),
                     -EINVAL);
    EXPECT_PANIC("bytes into the live object");
    fpheap_free(heap, object);
    assert_int_equal(fpheap_group_adopt(group, object), -EINVAL);
    EXPECT_PANIC("double free");
    object = (char *)fpheap_alloc(heap, 100);
    assert_int_equal(fpheap_group_adopt(group, object), 0);
    assert_int_equal(fpheap_group_adopt(group, object), 0);
    fpheap_group_end(group);                         /* frees it twice */
    EXPECT_PANIC("double free");
    TEST_DESTROY_OVER(heap, &provider);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_group_that_has_ended_is_named),
        cmocka_unit_test(an_object_that_is_no_group_is_named),
        cmocka_unit_test(a_mark_of_another_group_is_named),
        cmocka_unit_test(a_mark_of_a_later_moment_is_named),
        cmocka_unit_test(a_free_of_what_a_group_has_cut_is_named),
        cmocka_unit_test(only_a_live_object_of_the_heap_is_adopted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
