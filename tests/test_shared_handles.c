/* test_shared_handles.c - handles and the root, for who writes and who reads
 *
 * Bound by bound, and bit by bit: what has a handle, and what that leads to.
 * test_shared.c tries handles of every kind of object, and a million at random.
 */
#ifndef _GNU_SOURCE
#  define _GNU_SOURCE 1
#endif
#include "panics.h"
#include "reports.h"

#define FPHEAP_IMPLEMENTATION
#include "fpheap.h"
#include "shared_util.h"

static fpheap *
open_to_read(void)
{
    fpheap *heap = fpheap_open(name, NULL, FPHEAP_READ_ONLY);

    NEED(heap != NULL);
    return heap;
}

/* Handles count in 16 bytes from the partition's beginning to its end. */
static void
need_handles(fpheap *heap)
{
    const char *base = (const char *)heap->partition;
    size_t      all  = heap->bytes;
    size_t      at;

    for (at = 0; at < 1000; at++)
        NEED(fpheap_handle(heap, base + at) == (at % 16 == 0 ? at / 16 : 0));
    for (at = all - 1000; at < all; at++)
        NEED(fpheap_handle(heap, base + at) == (at % 16 == 0 ? at / 16 : 0));
    for (at = 0; at < 100; at++) {
        NEED(fpheap_handle(heap, base + all + at) == 0);
        NEED(fpheap_handle(heap, base - 1 - at) == 0);
    }
    NEED(fpheap_handle(heap, NULL) == 0);
    NEED(fpheap_object(heap, 0) == NULL);
    NEED(fpheap_object(heap, (uint32_t)(all / 16 - 1)) == NULL);
    NEED(fpheap_object(heap, (uint32_t)(all / 16)) == NULL);
    NEED(fpheap_object(heap, (uint32_t)(all / 16 + 1)) == NULL);
    NEED(fpheap_object(heap, UINT32_MAX) == NULL);
}

static int
read_handles(peer *p, void *arg)
{
    fpheap *heap = open_to_read();

    (void)p, (void)arg;
    need_handles(heap);
    NEED(fpheap_close(heap) == 0);
    return 0;
}

static void
a_handle_is_a_multiple_of_16_bytes_inside_the_partition(void **state)
{
    fpheap *heap = create();
    peer    p;

    (void)state;
    need_handles(heap);
    peer_begin(&p, read_handles, NULL);
    peer_end(&p);
    close_empty(heap);
}

/* --- objects -------------------------------------------------------------- */

#define SOME 1000

static char lives[SOME];       /* of these objects; a number of no word's bits
                                  is like that of another */

static void
choose_some(void)
{
    test_random random = test_random_of(11);
    unsigned    i;

    for (i = 0; i < SOME; i++)
        lives[i] = (char)test_below(&random, 2);
}

/* The handle of each leads to it if it lives, and else nowhere; between objects
 * there is none. */
static void
need_objects(fpheap *heap, void **some, size_t size)
{
    unsigned i;
    size_t   at;

    for (i = 0; i < SOME; i++) {
        uint32_t handle = fpheap_handle(heap, some[i]);

        NEED(handle != 0);
        NEED(fpheap_object(heap, handle) == (lives[i] ? some[i] : NULL));
        for (at = 1; at < size / 16 && at < 5; at++)
            NEED(fpheap_object(heap, handle + (uint32_t)at) == NULL);
    }
}

static int
read_objects(peer *p, void *arg)
{
    fpheap *heap = open_to_read();

    (void)p;
    need_objects(heap, objects, (size_t)(uintptr_t)arg);
    NEED(fpheap_close(heap) == 0);
    return 0;
}

static void
a_handle_leads_to_its_object_while_that_lives(void **state)
{
    static const size_t sizes[] = { 16, 48, 1000, 5000, 40000 };
    fpheap             *heap    = create();
    size_t              i, size;
    unsigned            n;
    peer                p;

    (void)state;
    choose_some();
    for (i = 0; i < TEST_COUNT(sizes); i++) {
        size = sizes[i];
        for (n = 0; n < SOME; n++)
            NEED((objects[n] = fpheap_alloc(heap, size)) != NULL);
        for (n = 0; n < SOME; n++)
            if (!lives[n])
                fpheap_free(heap, objects[n]);
        (void)fpheap_trim(heap); /* what is parked still counts as live */
        need_objects(heap, objects, size);
        peer_begin(&p, read_objects, (void *)(uintptr_t)size);
        peer_end(&p);
        for (n = 0; n < SOME; n++)
            if (lives[n])
                fpheap_free(heap, objects[n]);
        fpheap_flush(heap);
    }
    close_empty(heap);
}

static void
the_handle_of_a_large_object_ends_with_it(void **state)
{
    fpheap  *heap   = create();
    char    *object = (char *)fpheap_alloc(heap, 3 * TEST_MIB);
    uint32_t handle = fpheap_handle(heap, object);

    (void)state;
    assert_ptr_equal(fpheap_object(heap, handle), object);
    assert_null(fpheap_object(heap, handle + 1));
    assert_null(fpheap_object(heap, fpheap_handle(heap, object + TEST_MIB)));
    fpheap_free(heap, object);
    assert_null(fpheap_object(heap, handle));
    close_empty(heap);
}

/* --- the root ------------------------------------------------------------- */

/* Who only reads sees the root, and sets none. */
static int
read_the_root(peer *p, void *arg)
{
    fpheap *heap = open_to_read();

    NEED(fpheap_root(heap) == arg);
    NEED(fpheap_set_root(heap, NULL) == -EINVAL);
    NEED(fpheap_set_root(heap, arg) == -EINVAL);
    pass_on(p);
    NEED(fpheap_root(heap) == NULL);
    NEED(fpheap_close(heap) == 0);
    return 0;
}

static void
the_root_is_an_object_of_the_heap_or_none(void **state)
{
    fpheap *heap    = create();
    fpheap *other   = fpheap_create("private", NULL);
    char   *object  = (char *)fpheap_alloc(heap, 100);
    char    on_stack[64];
    peer    p;

    (void)state;
    assert_non_null(other);
    assert_null(fpheap_root(heap));
    assert_int_equal(fpheap_set_root(heap, object), 0);
    assert_ptr_equal(fpheap_root(heap), object);
    assert_int_equal(fpheap_set_root(heap, on_stack), -EINVAL);
    assert_int_equal(fpheap_set_root(heap, object + 1), -EINVAL);
    assert_int_equal(fpheap_set_root(heap, heap->partition), -EINVAL);
    assert_int_equal(fpheap_set_root(other, NULL), -EINVAL);
    assert_int_equal(fpheap_set_root(other, object), -EINVAL);
    assert_null(fpheap_root(other));
    assert_ptr_equal(fpheap_root(heap), object);
    peer_begin(&p, read_the_root, object);
    (void)hear(&p);
    assert_int_equal(fpheap_set_root(heap, NULL), 0);
    assert_null(fpheap_root(heap));
    say(&p, 0);
    peer_end(&p);
    assert_int_equal(fpheap_set_root(heap, object), 0);
    fpheap_free(heap, object);
    (void)fpheap_trim(heap);
    assert_null(fpheap_root(heap));
    assert_int_equal(fpheap_destroy(other), 0);
    close_empty(heap);
}

/* --- other heaps ---------------------------------------------------------- */

/* Who calls all the same, and goes on after that was said, gets nothing. */
static void
a_heap_that_was_closed_has_neither_handles_nor_a_root(void **state)
{
    fpheap  *heap   = create();
    void    *object = fpheap_alloc(heap, 100);
    uint32_t handle = fpheap_handle(heap, object);
    census   sum;

    (void)state;
    assert_int_equal(fpheap_set_root(heap, object), 0);
    assert_int_equal(fpheap_close(heap), 0);
    assert_int_equal(panics, 0);
    assert_int_equal(fpheap_handle(heap, object), 0);
    assert_null(fpheap_object(heap, handle));
    assert_null(fpheap_object(heap, 1));
    assert_null(fpheap_root(heap));
    assert_int_equal(fpheap_members(heap, count_member, &sum), -EINVAL);
    assert_int_equal(fpheap_close(heap), -EINVAL);
    assert_int_equal(panics, 6);
    panics = 0;
    heap = open_it();
    assert_ptr_equal(fpheap_root(heap), object);
    fpheap_free(heap, object);
    close_empty(heap);
    assert_int_equal(panics, 0);
}

#define LOW ((uintptr_t)1 << (sizeof(void *) > 4 ? 33 : 28))

static int
get_low(void *ctx, size_t bytes, size_t align, int node, fpheap_region *region)
{
    (void)ctx, (void)align, (void)node;
    region->base = mmap((void *)LOW, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | FPH_MAP_THERE, -1, 0);
    if (region->base == (void *)LOW) {
        region->bytes = bytes;
        return 0;
    }
    if (region->base != MAP_FAILED)
        (void)munmap(region->base, bytes);
    return -ENOMEM;
}

static int
put_low(void *ctx, const fpheap_region *region)
{
    (void)ctx;
    return munmap(region->base, region->bytes);
}

/* Also not where a handle would lead from address 0. */
static void
a_heap_that_is_not_shared_has_no_handles(void **state)
{
    fpheap_provider low;
    fpheap_config   config;
    fpheap         *heap;
    void           *object;

    (void)state;
    memset(&low, 0, sizeof low);
    memset(&config, 0, sizeof config);
    low.get = get_low;
    low.put = put_low;
    config.provider = &low;
    heap = fpheap_create("low", &config);
    if (heap == NULL)
        skip();                /* something else is there */
    object = fpheap_alloc(heap, 100);
    assert_non_null(object);
    assert_int_equal(fpheap_handle(heap, object), 0);
    assert_null(fpheap_object(heap, (uint32_t)((uintptr_t)object / 16)));
    assert_null(fpheap_root(heap));
    fpheap_free(heap, object);
    assert_int_equal(fpheap_destroy(heap), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        SHARED_TEST(a_handle_is_a_multiple_of_16_bytes_inside_the_partition),
        SHARED_TEST(a_handle_leads_to_its_object_while_that_lives),
        SHARED_TEST(the_handle_of_a_large_object_ends_with_it),
        SHARED_TEST(the_root_is_an_object_of_the_heap_or_none),
        SHARED_TEST(a_heap_that_was_closed_has_neither_handles_nor_a_root),
        SHARED_TEST(a_heap_that_is_not_shared_has_no_handles)
    };

    return cmocka_run_group_tests_name("shared_handles", tests, NULL, NULL);
}
