/* test_pool_check.c - with FPHEAP_CHECK an object that is put into a pool which
 * is not its own ends in FPHEAP_PANIC, here in a function that notes the
 * message, and neither the pool nor the object's owner loses anything.
 */
#include "../panics.h"

#define FPHEAP_CHECK 1
#define FPHEAP_IMPLEMENTATION
#include "fpheap.h"
#include "../test_util.h"

#define MANY 300

static test_provider provider;
static void         *objects[MANY];

static fpheap_pool *
pool_of(fpheap *heap, const char *name, size_t size)
{
    fpheap_pool_desc desc;
    fpheap_pool     *pool;

    memset(&desc, 0, sizeof(desc));
    desc.name = name;
    desc.size = size;
    desc.align = 8;
    pool = fpheap_pool_create(heap, &desc);
    assert_non_null(pool);
    return pool;
}

static size_t
live_in(fpheap_pool *pool)
{
    fpheap_pool_stats s;

    fpheap_pool_stats_get(pool, &s);
    assert_int_equal(s.objects,
                     s.live_objects + s.parked_objects + s.free_objects);
    return s.live_objects;
}

/* Put what is not an object of the pool, alone and among some that are.  The
 * pool has one object in hands, and goes on. */
static void
expect_refused(fpheap *heap, fpheap_pool *pool, void *wrong, const char *what)
{
    size_t   live = live_in(pool);
    unsigned place;

    fpheap_pool_put(pool, wrong);
    EXPECT_PANICS_BY(what, 1);
    assert_int_equal(live_in(pool), live);
    fpheap_pool_put_bulk(pool, &wrong, 1);
    EXPECT_PANICS_BY(what, 1);
    for (place = 0; place < MANY; place += 149) {
        void *right;

        assert_int_equal(fpheap_pool_get_bulk(pool, objects, MANY), 0);
        right = objects[place];
        objects[place] = wrong;
        fpheap_pool_put_bulk(pool, objects, MANY);
        EXPECT_PANICS_BY(what, 1);
        assert_int_equal(live_in(pool), live + 1);
        fpheap_pool_put(pool, right);
        EXPECT_PANICS_BY(what, 0);
    }
    assert_int_equal(live_in(pool), live);
    TEST_CHECK(heap);
}

static void
right_objects_are_put_without_a_word(void **state)
{
    static const size_t sizes[] = { 8, 24, 1000, 2304, 70000,
                                    FPHEAP_POOL_SIZE_MAX };
    const int    plain = FPHEAP_CHECK == 1 && FPHEAP_SITES == 0
                      && FPHEAP_TOOL == 0;
    fpheap      *heap = test_heap_over(&provider);
    fpheap_pool *other = pool_of(heap, "other", 64); /* not all are the first */
    uintptr_t    mark;
    size_t       s;
    unsigned     i;

    (void)state;
    for (s = 0; s < TEST_COUNT(sizes); s++) {
        fpheap_pool *pool = pool_of(heap, "right", sizes[s]);
        unsigned     n = sizes[s] > 10000 ? 9 : MANY;

        assert_int_equal(fpheap_pool_get_bulk(pool, objects, n), 0);
        assert_int_equal(fph_marks_find(heap, objects, 1, &mark),
                         plain && (uintptr_t)objects[0] % 16 == 0);
        fpheap_pool_put_bulk(pool, objects, n);
        for (i = 0; i < n; i++)
            objects[i] = fpheap_pool_get(pool);
        for (i = 0; i < n; i++)
            fpheap_pool_put(pool, i % 3 == 0 ? NULL : objects[i]);
        for (i = 0; i < n; i++)
            if (i % 3 != 0)
                objects[i] = NULL;
        fpheap_pool_put_bulk(pool, objects, n);
        assert_int_equal(live_in(pool), 0);
        EXPECT_PANICS_BY("right", 0);
        assert_int_equal(fpheap_pool_destroy(pool, NULL), 0);
    }
    assert_int_equal(fpheap_pool_destroy(other, NULL), 0);
    TEST_DESTROY_OVER(heap, &provider);
    EXPECT_PANICS_BY("right", 0);
}

static void
an_object_of_another_pool_or_size_or_heap_is_refused(void **state)
{
    static test_provider second_provider;
    fpheap      *heap = test_heap_over(&provider);
    fpheap      *second = test_heap_over(&second_provider);
    fpheap_pool *pool = pool_of(heap, "pool", 2304);
    fpheap_pool *other = pool_of(heap, "other", 2304);
    fpheap_pool *far = pool_of(second, "pool", 2304);
    void        *wrong[6];
    const char  *what[] = { "another pool's", "another heap's pool's",
                            "a class's", "the other heap's", "a large object",
                            "a small object" };
    unsigned     i;

    (void)state;
    wrong[0] = fpheap_pool_get(other);
    wrong[1] = fpheap_pool_get(far);
    wrong[2] = fpheap_alloc(heap, 2304);
    wrong[3] = fpheap_alloc(second, 2304);
    wrong[4] = fpheap_alloc(heap, FPHEAP_CHUNK);
    wrong[5] = fpheap_alloc(heap, 1);
    for (i = 0; i < TEST_COUNT(wrong); i++) {
        assert_non_null(wrong[i]);
        expect_refused(heap, pool, wrong[i], what[i]);
        TEST_CHECK(second);
    }
    fpheap_pool_put(other, wrong[0]);
    fpheap_pool_put(far, wrong[1]);
    fpheap_free(heap, wrong[2]);
    fpheap_free(second, wrong[3]);
    fpheap_free(heap, wrong[4]);
    fpheap_free(heap, wrong[5]);
    TEST_DESTROY_OVER(second, &second_provider);
    TEST_DESTROY_OVER(heap, &provider);
    EXPECT_PANICS_BY("the end", 0);
}

static void
an_interior_pointer_is_refused(void **state)
{
    static const size_t sizes[] = { 24, 1000, 2304, 70000 };
    fpheap *heap = test_heap_over(&provider);
    size_t  s;

    (void)state;
    for (s = 0; s < TEST_COUNT(sizes); s++) {
        fpheap_pool *pool = pool_of(heap, "interior", sizes[s]);
        char        *object = (char *)fpheap_pool_get(pool);

        expect_refused(heap, pool, object + 1, "a byte on");
        expect_refused(heap, pool, object + 8, "a word on");
        expect_refused(heap, pool, object + sizes[s] / 2, "the middle");
        expect_refused(heap, pool, object + sizes[s] - 1, "the last byte");
        fpheap_pool_put(pool, object);
        assert_int_equal(fpheap_pool_destroy(pool, NULL), 0);
    }
    TEST_DESTROY_OVER(heap, &provider);
    EXPECT_PANICS_BY("the end", 0);
}

static void
a_pointer_to_anywhere_is_refused(void **state)
{
    static char  data[64];
    char         local[64];
    fpheap      *heap = test_heap_over(&provider);
    fpheap_pool *pool = pool_of(heap, "anywhere", 2304);
    void        *hole = mmap(NULL, 4 * FPHEAP_CHUNK, PROT_NONE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
                             0);
    char        *object = (char *)fpheap_pool_get(pool);
    char        *chunk = (char *)((uintptr_t)object
                                  & ~(uintptr_t)(FPHEAP_CHUNK - 1));
    void        *heaps = malloc(100);

    (void)state;
    assert_true(hole != MAP_FAILED);
    expect_refused(heap, pool, local, "the stack");
    expect_refused(heap, pool, data, "static data");
    expect_refused(heap, pool, heaps, "malloc");
    expect_refused(heap, pool, (char *)hole + FPHEAP_CHUNK + 64, "no access");
    expect_refused(heap, pool, (void *)(uintptr_t)8, "next to nothing");
    expect_refused(heap, pool, (void *)(UINTPTR_MAX - 7), "the top");
    expect_refused(heap, pool, heap, "the heap");
    expect_refused(heap, pool, chunk, "the start of a chunk");
    expect_refused(heap, pool, chunk + 64, "behind the start of a chunk");
    expect_refused(heap, pool, chunk + FPHEAP_CHUNK - 8, "the end of a chunk");
    free(heaps);
    (void)munmap(hole, 4 * FPHEAP_CHUNK);
    fpheap_pool_put(pool, object);
    TEST_DESTROY_OVER(heap, &provider);
    EXPECT_PANICS_BY("the end", 0);
}

/* Whatever was asked for. */
static void
objects_are_multiples_of_16_bytes_at_least(void **state)
{
    fpheap_pool_desc desc;
    fph_class        klass;

    (void)state;
    memset(&desc, 0, sizeof(desc));
    for (desc.align = 0; desc.align <= 16; desc.align += desc.align + !desc.align) {
        for (desc.size = 16; desc.size < 64; desc.size++) {
            size_t bytes = desc.size + FPH_HEAD + FPH_SLACK;

            fph_pool_shape(&klass, &desc);
            assert_int_equal(klass.size, (bytes + 15) / 16 * 16);
        }
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(right_objects_are_put_without_a_word),
        cmocka_unit_test(an_object_of_another_pool_or_size_or_heap_is_refused),
        cmocka_unit_test(an_interior_pointer_is_refused),
        cmocka_unit_test(a_pointer_to_anywhere_is_refused),
        cmocka_unit_test(objects_are_multiples_of_16_bytes_at_least)
    };

    return cmocka_run_group_tests_name("pool_check", tests, NULL, NULL);
}
