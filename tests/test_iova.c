/* test_iova.c - the IOVA of an object is that of its chunk and the offset in it
 *
 * The provider is asked once for each chunk, or once for a region; each byte of
 * an object of up to half a chunk leads to its IOVA, and so does the start of
 * any; a chunk without one, or a provider without any, is FPHEAP_BAD_IOVA.
 */
#define FPHEAP_IMPLEMENTATION
#include "fpheap.h"
#include "test_util.h"

static test_provider provider;

#define IOVA_SHIFT (UINT64_C(1) << 52)

static unsigned iova_calls;
static unsigned iova_none_call;       /* the chunk that this call asks for has
                                         none */
static uintptr_t iova_none_chunk;

static uint64_t
iova_of(void *ctx, const void *chunk)
{
    test_provider *p = (test_provider *)ctx;

    if (((uintptr_t)chunk & (FPHEAP_CHUNK - 1)) != 0)
        p->wrong++;
    if (++iova_calls == iova_none_call) {
        iova_none_chunk = (uintptr_t)chunk;
        return FPHEAP_BAD_IOVA;
    }
    return IOVA_SHIFT + (uintptr_t)chunk / FPHEAP_CHUNK * 3 * FPHEAP_CHUNK;
}

static fpheap *
heap_with_iova(unsigned none_call)
{
    fpheap_config config;
    fpheap       *heap;

    memset(&config, 0, sizeof(config));
    test_provider_init(&provider);
    provider.calls.iova = iova_of;
    config.provider = &provider.calls;
    iova_calls = 0;
    iova_none_call = none_call;
    iova_none_chunk = 0;
    heap = fpheap_create("iova", &config);
    assert_non_null(heap);
    return heap;
}

static uint64_t
iova_expected(const char *byte)
{
    uintptr_t in_chunk = (uintptr_t)byte & (FPHEAP_CHUNK - 1);

    return IOVA_SHIFT
         + ((uintptr_t)byte - in_chunk) / FPHEAP_CHUNK * 3 * FPHEAP_CHUNK
         + in_chunk;
}

static void
an_iova_is_that_of_the_chunk_plus_the_offset(void **state)
{
    size_t        sizes[] = { 1, 100, 2048, FPHEAP_PAGE, FPHEAP_CHUNK / 2,
                              FPHEAP_CHUNK, 3 * FPHEAP_CHUNK };
    char         *objects[50 * TEST_COUNT(sizes)];
    fpheap       *heap = heap_with_iova(0);
    unsigned      calls;
    size_t        i;

    (void)state;
    for (i = 0; i < TEST_COUNT(objects); i++) {
        size_t size = sizes[i % TEST_COUNT(sizes)];
        char  *o = i % 3 == 0
                   ? (char *)fpheap_aligned_alloc(heap, FPHEAP_CHUNK, size)
                   : (char *)fpheap_alloc(heap, size);

        objects[i] = o;
        assert_non_null(o);
        assert_true(fpheap_iova(heap, o) == iova_expected(o));
        if (((uintptr_t)o & (FPHEAP_CHUNK - 1)) != 0) {
            size_t rest = FPHEAP_CHUNK - ((uintptr_t)o & (FPHEAP_CHUNK - 1));
            size_t last = fpheap_usable_size(heap, o);

            if (last > rest)
                last = rest;
            assert_true(fpheap_iova(heap, o + last - 1)
                        == iova_expected(o + last - 1));
        }
    }
    calls = iova_calls;
    for (i = 0; i < TEST_COUNT(objects); i++) {
        if (((uintptr_t)objects[i] & (FPHEAP_CHUNK - 1)) != 0)
            assert_true(fpheap_iova(heap, objects[i] + 1)
                        == iova_expected(objects[i] + 1));
    }
    assert_int_equal(iova_calls, calls);
    for (i = 0; i < TEST_COUNT(objects); i++)
        fpheap_free(heap, objects[i]);
    TEST_DESTROY_OVER(heap, &provider);
}

/* Also if it grows or shrinks there. */
static void
an_object_of_up_to_a_chunk_is_in_one_where_iovas_are(void **state)
{
    enum { OBJECTS = 8 };
    char    *objects[OBJECTS] = { NULL };
    fpheap  *heap = heap_with_iova(0);
    unsigned i;

    (void)state;
    for (i = 0; i < 4000; i++) {
        char **o = &objects[i % OBJECTS];
        size_t pages = 1 + (size_t)i * 2654435761u % (2 * FPH_PAGES);
        size_t usable;

        *o = (char *)fpheap_realloc(heap, *o, pages * FPHEAP_PAGE);
        assert_non_null(*o);
        usable = fpheap_usable_size(heap, *o);
        if (usable <= FPHEAP_CHUNK)
            assert_ptr_equal((uintptr_t)*o / FPHEAP_CHUNK,
                             ((uintptr_t)*o + usable - 1) / FPHEAP_CHUNK);
    }
    for (i = 0; i < OBJECTS; i++)
        fpheap_free(heap, objects[i]);
    TEST_DESTROY_OVER(heap, &provider);
}

static uint64_t
iova_shifted(void *ctx, const void *base)
{
    (void)ctx;
    iova_calls++;
    return IOVA_SHIFT + (uintptr_t)base;
}

/* Five chunks whose IOVAs are there without a call. */
static void
check_iovas_of_five_chunks(fpheap *heap)
{
    char    *object = (char *)fpheap_alloc(heap, 5 * FPHEAP_CHUNK);
    unsigned calls = iova_calls;
    size_t   at;

    assert_non_null(object);
    for (at = 0; at < 5 * FPHEAP_CHUNK; at += FPHEAP_PAGE)
        assert_true(fpheap_iova(heap, object + at)
                    == IOVA_SHIFT + (uintptr_t)object + at);
    assert_int_equal(iova_calls, calls);
    fpheap_free(heap, object);
}

/* Not by the first fpheap_iova in a chunk, which may be on a packet's way; and
 * again for a region that put has left here.  A region may begin anywhere in
 * its first chunk. */
static void
iovas_are_asked_when_a_region_comes(void **state)
{
    size_t offsets[] = { 0, FPHEAP_PAGE, FPHEAP_CHUNK - FPHEAP_PAGE };
    size_t i;

    (void)state;
    for (i = 0; i < TEST_COUNT(offsets); i++) {
        fpheap_config config;
        fpheap       *heap;
        unsigned      gets;

        memset(&config, 0, sizeof(config));
        test_provider_init(&provider);
        provider.calls.iova = iova_shifted;
        provider.offset = offsets[i];
        config.provider = &provider.calls;
        heap = fpheap_create("offset", &config);
        assert_non_null(heap);
        check_iovas_of_five_chunks(heap);
        gets = provider.gets;
        provider.put_error = -EBUSY;
        (void)fpheap_trim(heap);
        check_iovas_of_five_chunks(heap);
        assert_int_equal(provider.gets, gets);
        provider.put_error = 0;
        TEST_DESTROY_OVER(heap, &provider);
    }
}

static void
an_iova_is_found_at_the_start_of_any_object(void **state)
{
    size_t   sizes[] = { 1, FPHEAP_PAGE, FPHEAP_CHUNK / 2, FPHEAP_CHUNK,
                         2 * FPHEAP_CHUNK + 1, 4 * FPHEAP_CHUNK };
    fpheap  *heap = heap_with_iova(0);
    char    *objects[4 * TEST_COUNT(sizes)];
    unsigned at_start;
    unsigned round;
    unsigned i;

    (void)state;
    /* The second round finds what the first left in the chunks' records. */
    for (round = 0; round < 2; round++) {
        at_start = 0;
        for (i = 0; i < TEST_COUNT(objects); i++) {
            size_t size = sizes[(i + round) % TEST_COUNT(sizes)];
            char  *o = i % 2 == 0
                       ? (char *)fpheap_aligned_alloc(heap, FPHEAP_CHUNK, size)
                       : (char *)fpheap_alloc(heap, size);

            objects[i] = o;
            assert_non_null(o);
            memset(o, 0x11, size);
            at_start += ((uintptr_t)o & (FPHEAP_CHUNK - 1)) == 0;
        }
        assert_true(at_start >= TEST_COUNT(objects) / 2);
        for (i = 0; i < TEST_COUNT(objects); i++)
            assert_true(fpheap_iova(heap, objects[i])
                        == iova_expected(objects[i]));
        for (i = 0; i < TEST_COUNT(objects); i++)
            fpheap_free(heap, objects[i]);
    }
    TEST_DESTROY_OVER(heap, &provider);
}

static void
an_iova_is_found_from_any_byte_of_up_to_half_a_chunk(void **state)
{
    size_t   sizes[] = { 1, 100, 2048, FPHEAP_PAGE, FPH_CLASS_MAX,
                         FPH_CLASS_MAX + 1, FPHEAP_CHUNK / 2 };
    fpheap  *heap = heap_with_iova(0);
    char    *objects[21 * TEST_COUNT(sizes)];
    unsigned i;

    (void)state;
    for (i = 0; i < TEST_COUNT(objects); i++) {
        size_t size = sizes[i / 21];
        size_t align = (size_t)1 << i % 21;
        char  *o = (char *)fpheap_aligned_alloc(
            heap, align < FPHEAP_CHUNK ? align : 1, size);
        size_t usable;
        size_t k;

        if (i % 2 == 1)
            o = (char *)fpheap_realloc(heap, o, size);
        objects[i] = o;
        assert_non_null(o);
        usable = fpheap_usable_size(heap, o);
        memset(o, 0x11, usable);
        for (k = 0; k < usable; k += 1 + usable / 300)
            assert_true(fpheap_iova(heap, o + k) == iova_expected(o + k));
        assert_true(fpheap_iova(heap, o + usable - 1)
                    == iova_expected(o + usable - 1));
    }
    for (i = 0; i < TEST_COUNT(objects); i++)
        fpheap_free(heap, objects[i]);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
without_an_iova_it_is_bad_iova(void **state)
{
    fpheap *heap = test_heap_over(&provider);
    char   *object = (char *)fpheap_alloc(heap, 100);
    char   *aligned = (char *)fpheap_aligned_alloc(heap, FPHEAP_CHUNK, 1);

    (void)state;
    assert_true(fpheap_iova(heap, object) == FPHEAP_BAD_IOVA);
    assert_true(fpheap_iova(heap, object + 99) == FPHEAP_BAD_IOVA);
    assert_true(fpheap_iova(heap, aligned) == FPHEAP_BAD_IOVA);
    assert_true(fpheap_iova(heap, &provider) == FPHEAP_BAD_IOVA);
    fpheap_free(heap, object);
    fpheap_free(heap, aligned);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
one_chunk_without_an_iova_does_not_matter_to_the_others(void **state)
{
    void    *objects[100];
    unsigned none_call;
    unsigned without = 0;
    unsigned i;

    (void)state;
    for (none_call = 1; none_call < 8; none_call++) {
        fpheap *heap = heap_with_iova(none_call);

        for (i = 0; i < 100; i++) {
            char    *o = (char *)fpheap_alloc(heap, FPHEAP_CHUNK / 8);
            uint64_t iova = fpheap_iova(heap, o);

            objects[i] = o;
            if ((uintptr_t)o - iova_none_chunk < FPHEAP_CHUNK) {
                assert_true(iova == FPHEAP_BAD_IOVA);
                assert_true(fpheap_iova(heap, o + 99) == FPHEAP_BAD_IOVA);
                without++;
            } else {
                assert_true(iova == iova_expected(o));
            }
        }
        fpheap_free_bulk(heap, objects, 100);
        TEST_DESTROY_OVER(heap, &provider);
    }
    assert_true(without > 0);
}

/* Two pages within a chunk, whatever is asked for. */
static int
get_two_pages(void *ctx, size_t bytes, size_t align, int node,
              fpheap_region *region)
{
    provider.offset = FPHEAP_PAGE;
    provider.extra = 2 * FPHEAP_PAGE - bytes;
    return test_provider_get(ctx, bytes, align, node, region);
}

static void
memory_too_short_for_what_was_needed_is_efault_with_iovas_too(void **state)
{
    fpheap  *heap = heap_with_iova(0);
    void    *objects[64];
    unsigned n = 0;

    (void)state;
    heap->provider.get = get_two_pages;
    while ((objects[n] = fpheap_alloc(heap, FPHEAP_CHUNK / 2)) != NULL)
        assert_true(++n < TEST_COUNT(objects));
    assert_int_equal(errno, EFAULT);
    assert_true(provider.puts > 0);
    assert_int_equal(provider.held, 1);
    TEST_CHECK_LIVE(heap, n);
    fpheap_free_bulk(heap, objects, n);
    TEST_DESTROY_OVER(heap, &provider);
}

static fpheap  *iova_heap;
static unsigned iova_served;

/* It has what is there, and not more. */
static uint64_t
iova_that_allocates(void *ctx, const void *chunk)
{
    void *object = fpheap_alloc(iova_heap, 100);

    assert_non_null(object);
    fpheap_free(iova_heap, object);
    errno = 0;
    assert_null(fpheap_alloc(iova_heap, 9 * FPHEAP_CHUNK));
    assert_int_equal(errno, EDEADLK);
    assert_int_equal(fpheap_trim(iova_heap), 0);
    iova_served++;
    return iova_of(ctx, chunk);
}

static void
the_call_for_an_iova_does_not_make_the_heap_grow(void **state)
{
    fpheap  *heap = heap_with_iova(0);
    void    *object;
    unsigned gets;

    (void)state;
    fpheap_free(heap, fpheap_alloc(heap, 100));
    iova_heap = heap;
    iova_served = 0;
    heap->provider.iova = iova_that_allocates;
    gets = provider.gets;
    object = fpheap_alloc(heap, 9 * FPHEAP_CHUNK);
    assert_non_null(object);
    assert_true(iova_served >= 9);
    assert_int_equal(provider.gets, gets + 1);
    heap->provider.iova = iova_of;
    /* Afterwards it grows again. */
    fpheap_free(heap, object);
    object = fpheap_alloc(heap, 99 * FPHEAP_CHUNK);
    assert_non_null(object);
    fpheap_free(heap, object);
    TEST_DESTROY_OVER(heap, &provider);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(the_call_for_an_iova_does_not_make_the_heap_grow),
    cmocka_unit_test(an_iova_is_that_of_the_chunk_plus_the_offset),
    cmocka_unit_test(an_object_of_up_to_a_chunk_is_in_one_where_iovas_are),
    cmocka_unit_test(iovas_are_asked_when_a_region_comes),
    cmocka_unit_test(an_iova_is_found_at_the_start_of_any_object),
    cmocka_unit_test(an_iova_is_found_from_any_byte_of_up_to_half_a_chunk),
    cmocka_unit_test(without_an_iova_it_is_bad_iova),
    cmocka_unit_test(
        memory_too_short_for_what_was_needed_is_efault_with_iovas_too),
    cmocka_unit_test(one_chunk_without_an_iova_does_not_matter_to_the_others)
};

int
main(void)
{
    return cmocka_run_group_tests_name("iova", tests, NULL, NULL);
}
