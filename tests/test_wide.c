/* test_wide.c - chunks of 16 MiB, the widest
 */
#define FPHEAP_CHUNK_SHIFT 24
#define FPHEAP_IMPLEMENTATION
#include "fpheap.h"
#include "test_util.h"

static fpheap_provider pages;
static size_t          freed_bytes; /* calls for so many bytes are counted */
static unsigned        freed;

static void
decommit(void *ctx, void *base, size_t bytes)
{
    freed += bytes == freed_bytes;
    pages.decommit(ctx, base, bytes);
}

/* A trim frees what is behind each free object of 16 KiB and more, also in a slab
 * that has more than 64 of them. */
static void
all_free_objects_of_a_slab_are_decommitted(void **state)
{
    enum { SIZE = 18432 - FPH_HEAD };      /* 85 in a slab */
    void           *objects[96];
    fpheap_config   config;
    fpheap_provider provider;
    fpheap         *heap;
    unsigned        n, i;

    (void)state;
    memset(&config, 0, sizeof config);
    assert_int_equal(fpheap_provider_mmap(&pages, 0), 0);
    provider = pages;
    provider.decommit = decommit;
    config.provider = &provider;
    heap = fpheap_create("wide", &config);
    assert_non_null(heap);
    n = fph_bin_class(heap->state, fph_class_of(SIZE))->count;
    assert_true(n > 64 && n <= TEST_COUNT(objects));
    for (i = 0; i < n; i++) {
        objects[i] = fpheap_alloc(heap, SIZE);
        assert_non_null(objects[i]);
        memset(objects[i], 1, SIZE);
    }
    for (i = 1; i < n; i++)
        fpheap_free(heap, objects[i]);
    freed_bytes = SIZE;
    fpheap_trim(heap);
    assert_int_equal(freed, n - 1);
    fpheap_free(heap, objects[0]);
    assert_int_equal(fpheap_destroy(heap), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_free_objects_of_a_slab_are_decommitted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
