/* test_sizes.c - every size and every alignment gives an object that is large
 * enough, aligned as documented, no larger than documented, apart from all
 * other objects and found again by any pointer into it; every argument that
 * cannot be served is refused with the documented error and without a trace.
 */
#define FPHEAP_IMPLEMENTATION
#include "fpheap.h"
#include "test_util.h"

#define WINDOW 64              /* objects live at a time in the sweeps */

static test_provider provider;

static size_t
low_bit(size_t x)
{
    return x & (~x + 1);
}

/* What [API] says of fpheap_alloc's alignment. */
static size_t
documented_alignment(size_t usable)
{
    size_t align = low_bit(usable);

    if (usable > FPH_CLASS_MAX || align > FPHEAP_PAGE)
        return FPHEAP_PAGE;
    return align;
}

/* 1 if usable bytes are as many as documented for a size. */
static int
documented_usable(size_t size, size_t usable)
{
    size_t need = size == 0 ? 1 : size;

    if (usable < need || usable % 16 != 0)
        return 0;
    if (need <= 128)
        return usable - need < 16;
    return usable - need <= usable >> FPHEAP_CLASS_BITS;
}

static void
check_object(fpheap *heap, char *object, size_t size, size_t align)
{
    size_t usable;

    assert_non_null(object);
    assert_int_equal((uintptr_t)object & (align - 1), 0);
    usable = fpheap_usable_size(heap, object);
    assert_true(usable >= size && usable >= 16);
    assert_ptr_equal(fpheap_base_of(heap, object), object);
    assert_ptr_equal(fpheap_base_of(heap, object + usable / 2), object);
    assert_ptr_equal(fpheap_base_of(heap, object + usable - 1), object);
    assert_true(fpheap_base_of(heap, object - 1) != object);
    assert_true(fpheap_base_of(heap, object + usable) != object);
    assert_int_equal(fpheap_owns(heap, object + usable - 1), 1);
}

/* A ring of live objects, each stamped at both ends. */
typedef struct sweep {
    fpheap     *heap;
    test_object ring[WINDOW];
    size_t      count;
} sweep;

static void
sweep_stamp(test_object *object)
{
    test_fill(object->base, 16, object->number);
    test_fill(object->base + object->bytes - 16, 16, object->number);
}

static void
sweep_free(sweep *s, test_object *object)
{
    if (object->base == NULL)
        return;
    assert_true(test_filled(object->base, object->bytes == 16 ? 0 : 16,
                            object->number));
    assert_true(test_filled(object->base + object->bytes - 16, 16,
                            object->number));
    if (object->number % 2 == 0)
        fpheap_free(s->heap, object->base);
    else
        fpheap_free_sized(s->heap, object->base, object->size);
    object->base = NULL;
}

static void
sweep_size(sweep *s, size_t size)
{
    test_object *object = &s->ring[s->count++ % WINDOW];

    sweep_free(s, object);
    object->base = (char *)fpheap_alloc(s->heap, size);
    assert_non_null(object->base);
    object->bytes = fpheap_usable_size(s->heap, object->base);
    object->size = size;
    object->number = s->count;
    assert_true(documented_usable(size, object->bytes));
    check_object(s->heap, object->base, size,
                 documented_alignment(object->bytes));
    sweep_stamp(object);
    if (s->count % WINDOW == 0)
        assert_true(test_disjoint(s->ring, WINDOW));
}

static void
sweep_end(sweep *s)
{
    size_t i;

    for (i = 0; i < WINDOW; i++)
        sweep_free(s, &s->ring[i]);
    TEST_DESTROY(s->heap);
}

static void
every_size_up_to_64_kib_is_served_as_documented(void **state)
{
    static sweep s;
    size_t       size;

    (void)state;
    memset(&s, 0, sizeof(s));
    s.heap = fpheap_create(NULL, NULL);
    assert_non_null(s.heap);
    for (size = 0; size <= 64 * TEST_KIB; size++)
        sweep_size(&s, size);
    sweep_end(&s);
}

/* With FPHEAP_SOAK of 1000 or more it is every size. */
static void
sizes_up_to_4_mib_are_served_as_documented(void **state)
{
    static sweep s;
    size_t       stride = test_soak() >= 1000 ? 1 : 1021 / test_soak();
    size_t       size;

    (void)state;
    memset(&s, 0, sizeof(s));
    s.heap = fpheap_create(NULL, NULL);
    assert_non_null(s.heap);
    if (stride == 0)
        stride = 1;
    for (size = 64 * TEST_KIB; size <= 4 * TEST_MIB; size += stride)
        sweep_size(&s, size);
    sweep_end(&s);
}

static void
sizes_around_every_boundary_are_served_as_documented(void **state)
{
    static sweep       s;
    fpheap_class_stats class_stats;
    unsigned           index;
    size_t             at;
    size_t             d;

    (void)state;
    memset(&s, 0, sizeof(s));
    s.heap = fpheap_create(NULL, NULL);
    assert_non_null(s.heap);
    for (index = 0; fpheap_class_stats_get(s.heap, index, &class_stats) == 0;
         index++)
        for (d = 0; d < 5; d++)
            sweep_size(&s, class_stats.size - 2 + d);
    for (at = FPHEAP_PAGE; at <= 4 * TEST_MIB; at += FPHEAP_PAGE)
        for (d = 0; d < 5; d++)
            sweep_size(&s, at - 2 + d);
    for (at = FPHEAP_CHUNK; at <= 4 * FPHEAP_CHUNK; at += FPHEAP_CHUNK)
        for (d = 0; d < 33; d++)
            sweep_size(&s, at - FPHEAP_CHUNK / 512 - 16 + d);
    sweep_end(&s);
}

static void
usable_bytes_never_shrink_as_the_size_grows(void **state)
{
    fpheap *heap = fpheap_create(NULL, NULL);
    size_t  last = 0;
    size_t  size;

    (void)state;
    for (size = 0; size <= 4 * TEST_MIB; size += size < 4096 ? 1 : 509) {
        void  *object = fpheap_alloc(heap, size);
        size_t usable = fpheap_usable_size(heap, object);

        assert_true(usable >= last);
        fpheap_free(heap, object);
        last = usable;
    }
    TEST_DESTROY(heap);
}

static void
a_size_that_is_usable_in_full_is_given_without_rounding(void **state)
{
    fpheap *heap = fpheap_create(NULL, NULL);
    size_t  size;

    (void)state;
    for (size = 0; size <= 3 * TEST_MIB; size += 1 + size / 50) {
        void  *object = fpheap_alloc(heap, size);
        size_t usable = fpheap_usable_size(heap, object);
        void  *exact = fpheap_alloc(heap, usable);

        assert_int_equal(fpheap_usable_size(heap, exact), usable);
        fpheap_free(heap, object);
        fpheap_free(heap, exact);
    }
    TEST_DESTROY(heap);
}

static const size_t align_sizes[] = {
    0, 1, 15, 16, 17, 31, 48, 100, 128, 129, 1000, 1500, 2048, 4096, 4097,
    24 * TEST_KIB, 65535, 65536, 65537, 100000, 300000, 512 * TEST_KIB - 1,
    512 * TEST_KIB, 512 * TEST_KIB + 1, TEST_MIB, 1500 * TEST_KIB,
    2 * TEST_MIB - 4096, 2 * TEST_MIB - 1, 2 * TEST_MIB, 2 * TEST_MIB + 1,
    3 * TEST_MIB, 4 * TEST_MIB, 5 * TEST_MIB + 12345
};

static void
every_alignment_up_to_a_chunk_is_kept(void **state)
{
    fpheap     *heap = fpheap_create(NULL, NULL);
    test_object objects[3 * TEST_COUNT(align_sizes)];
    size_t      align;
    size_t      i;

    (void)state;
    for (align = 1; align <= FPHEAP_CHUNK; align *= 2) {
        for (i = 0; i < TEST_COUNT(objects); i++) {
            test_object *o = &objects[i];

            o->size = align_sizes[i % TEST_COUNT(align_sizes)];
            o->base = (char *)fpheap_aligned_alloc(heap, align, o->size);
            check_object(heap, o->base, o->size, align < 16 ? 16 : align);
            o->bytes = fpheap_usable_size(heap, o->base);
            o->number = i + align;
            sweep_stamp(o);
        }
        assert_true(test_disjoint(objects, TEST_COUNT(objects)));
        TEST_CHECK_LIVE(heap, TEST_COUNT(objects));
        for (i = 0; i < TEST_COUNT(objects); i++) {
            test_object *o = &objects[i];

            assert_true(test_filled(o->base, 8, o->number));
            assert_true(test_filled(o->base + o->bytes - 16, 16, o->number));
            fpheap_free(heap, o->base);
        }
    }
    TEST_DESTROY(heap);
}

static void
an_alignment_of_a_page_costs_less_than_the_alignment(void **state)
{
    fpheap *heap = fpheap_create(NULL, NULL);
    size_t  align;
    size_t  i;

    (void)state;
    for (align = 1; align <= FPHEAP_PAGE; align *= 2) {
        for (i = 0; i < TEST_COUNT(align_sizes); i++) {
            size_t size = align_sizes[i] == 0 ? 1 : align_sizes[i];
            size_t need = (size + align - 1) & ~(align - 1);
            void  *object = fpheap_aligned_alloc(heap, align, size);
            void  *plain = fpheap_alloc(heap, need);

            assert_true(fpheap_usable_size(heap, object)
                        <= fpheap_usable_size(heap, plain) + align);
            fpheap_free(heap, object);
            fpheap_free(heap, plain);
        }
    }
    TEST_DESTROY(heap);
}

static void
an_alignment_out_of_range_is_einval(void **state)
{
    fpheap *heap = test_heap_over(&provider);
    size_t  bad[] = { 0, 3, 5, 6, 7, 9, 12, 15, 17, 24, 48, 100,
                      FPHEAP_CHUNK - 1, FPHEAP_CHUNK + 1, FPHEAP_CHUNK * 3 / 2,
                      FPHEAP_CHUNK * 3, SIZE_MAX, SIZE_MAX - 1, SIZE_MAX / 2,
                      SIZE_MAX / 2 + 2 };
    size_t  sizes[] = { 0, 1, 4096, FPHEAP_CHUNK, SIZE_MAX };
    char   *object = (char *)fpheap_alloc(heap, 100);
    size_t  align;
    size_t  i;
    size_t  k;

    (void)state;
    test_fill(object, 100, 1);
    for (k = 0; k < TEST_COUNT(sizes); k++) {
        for (i = 0; i < TEST_COUNT(bad); i++) {
            errno = 0;
            assert_null(fpheap_aligned_alloc(heap, bad[i], sizes[k]));
            assert_int_equal(errno, EINVAL);
            errno = 0;
            assert_null(fpheap_aligned_realloc(heap, object, bad[i],
                                               sizes[k]));
            assert_int_equal(errno, EINVAL);
        }
        for (align = FPHEAP_CHUNK * 2; align != 0; align *= 2) {
            errno = 0;
            assert_null(fpheap_aligned_alloc(heap, align, sizes[k]));
            assert_int_equal(errno, EINVAL);
            errno = 0;
            assert_null(fpheap_aligned_realloc(heap, object, align, sizes[k]));
            assert_int_equal(errno, EINVAL);
        }
    }
    assert_true(test_filled(object, 100, 1));
    TEST_CHECK_LIVE(heap, 1);
    fpheap_free(heap, object);
    assert_int_equal(provider.gets, 1);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
a_chunk_aligned_object_is_an_object_like_any_other(void **state)
{
    fpheap     *heap = test_heap_over(&provider);
    size_t      sizes[] = { 1, 4096, FPHEAP_PAGE, FPHEAP_CHUNK / 2,
                            FPHEAP_CHUNK - FPHEAP_PAGE, FPHEAP_CHUNK,
                            FPHEAP_CHUNK + 1, 3 * FPHEAP_CHUNK };
    test_object objects[2 * TEST_COUNT(sizes)];
    char       *moved;
    unsigned    round;
    size_t      i;

    (void)state;
    for (round = 0; round < 6; round++) {
        for (i = 0; i < TEST_COUNT(objects); i++) {
            test_object *o = &objects[i];

            o->size = sizes[i % TEST_COUNT(sizes)];
            o->base = (char *)fpheap_aligned_alloc(heap, FPHEAP_CHUNK, o->size);
            check_object(heap, o->base, o->size, FPHEAP_CHUNK);
            o->bytes = fpheap_usable_size(heap, o->base);
            o->number = i * 77 + round;
            test_fill(o->base, o->bytes, o->number);
        }
        assert_true(test_disjoint(objects, TEST_COUNT(objects)));
        TEST_CHECK_LIVE(heap, TEST_COUNT(objects));
        for (i = 0; i < TEST_COUNT(objects); i++) {
            test_object *o = &objects[i];
            size_t       at;

            assert_true(test_filled(o->base, o->bytes, o->number));
            for (at = 0; at < o->bytes; at += 4093)
                assert_ptr_equal(fpheap_base_of(heap, o->base + at), o->base);
            switch ((i + round) % 4) {
            case 0:
                fpheap_free(heap, o->base);
                break;
            case 1:
                fpheap_free_bulk(heap, (void *const *)&o->base, 1);
                break;
            case 2:
                moved = (char *)fpheap_realloc(heap, o->base, o->bytes + 1);
                assert_non_null(moved);
                assert_true(test_filled_at(moved, (uintptr_t)o->base, o->bytes,
                                           o->number));
                fpheap_free(heap, moved);
                break;
            case 3:
                fpheap_cache_free(fpheap_self(heap), o->base);
                break;
            }
        }
        TEST_CHECK_LIVE(heap, 0);
    }
    TEST_DESTROY_OVER(heap, &provider);
}

/* Each way to ask for one object; NULL if it was refused. */
static void *
ask(fpheap *heap, unsigned way, size_t size, int *error)
{
    void *objects[2] = { heap, heap };
    void *object = NULL;

    errno = 0;
    *error = 0;
    switch (way) {
    case 0: object = fpheap_alloc(heap, size); break;
    case 1: object = fpheap_zalloc(heap, size); break;
    case 2: object = fpheap_calloc(heap, 1, size); break;
    case 3: object = fpheap_calloc(heap, size, 1); break;
    case 4: object = fpheap_aligned_alloc(heap, 1, size); break;
    case 5: object = fpheap_aligned_alloc(heap, 64, size); break;
    case 6: object = fpheap_aligned_alloc(heap, FPHEAP_PAGE, size); break;
    case 7: object = fpheap_aligned_alloc(heap, FPHEAP_CHUNK, size); break;
    case 8: object = fpheap_alloc_on(heap, size, 0); break;
    case 9: object = fpheap_alloc_on(heap, size, FPHEAP_ANY_NODE); break;
    case 10: object = fpheap_realloc(heap, NULL, size); break;
    case 11: object = fpheap_cache_alloc(fpheap_self(heap), size); break;
    case 12:
        *error = -fpheap_alloc_bulk(heap, size, objects, 1);
        assert_ptr_equal(objects[1], heap);
        return *error == 0 ? objects[0] : NULL;
    case 13:
        *error = -fpheap_cache_alloc_bulk(fpheap_self(heap), size, objects, 1);
        assert_ptr_equal(objects[1], heap);
        return *error == 0 ? objects[0] : NULL;
    case 14:
        if (fpheap_alloc_burst(heap, size, objects, 1) == 1)
            object = objects[0];
        else
            assert_ptr_equal(objects[0], heap);
        assert_ptr_equal(objects[1], heap);
        break;
    default:
        return NULL;
    }
    *error = object == NULL ? errno : 0;
    return object;
}

#define WAYS 15

static void
refused_every_way(fpheap *heap, size_t size)
{
    unsigned way;
    int      error;

    for (way = 0; way < WAYS; way++) {
        assert_null(ask(heap, way, size, &error));
        assert_int_equal(error, ENOMEM);
    }
}

static void
no_size_near_the_top_wraps_into_an_object(void **state)
{
    fpheap *heap = test_heap_within(&provider, 32 * TEST_MIB);
    size_t  d;
    int     bits;

    (void)state;
    for (d = 0; d < 5000; d += 1 + d / 100) {
        refused_every_way(heap, SIZE_MAX - d);
        assert_int_equal(fpheap_reserve(heap, SIZE_MAX - d, 0), -ENOMEM);
    }
    for (d = 4096; d <= 8 * FPHEAP_CHUNK; d += d / 2) {
        refused_every_way(heap, SIZE_MAX - d - 1);
        refused_every_way(heap, SIZE_MAX - d);
        refused_every_way(heap, SIZE_MAX - d + 1);
    }
    for (bits = 26; bits < (int)sizeof(size_t) * 8; bits++) {
        size_t power = (size_t)1 << bits;

        for (d = 0; d < 5; d++)
            refused_every_way(heap, power - 2 + d);
        refused_every_way(heap, power - FPHEAP_PAGE + 1);
        refused_every_way(heap, power - FPHEAP_CHUNK + 1);
        refused_every_way(heap, power / 2 * 3);
    }
    TEST_CHECK_LIVE(heap, 0);
    assert_true(provider.held_bytes <= 32 * TEST_MIB);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
the_default_provider_refuses_what_no_machine_has(void **state)
{
    fpheap *heap = fpheap_create(NULL, NULL);
    size_t  d;

    (void)state;
    for (d = 0; d < 100; d++)
        refused_every_way(heap, SIZE_MAX - d);
    for (d = 128; d < SIZE_MAX / 16; d *= 2)
        refused_every_way(heap, SIZE_MAX - d);
    TEST_DESTROY(heap);
}

static void
every_way_serves_every_size_that_the_others_serve(void **state)
{
    fpheap  *heap = test_heap_over(&provider);
    size_t   sizes[] = { 0, 1, 16, 128, 129, 2048, FPHEAP_PAGE, FPH_CLASS_MAX,
                         FPH_CLASS_MAX + 1, FPHEAP_CHUNK - 1, FPHEAP_CHUNK,
                         5 * FPHEAP_CHUNK };
    unsigned way;
    size_t   i;
    int      error;

    (void)state;
    for (i = 0; i < TEST_COUNT(sizes); i++) {
        for (way = 0; way < WAYS; way++) {
            char *object = (char *)ask(heap, way, sizes[i], &error);

            assert_int_equal(error, 0);
            check_object(heap, object, sizes[i], 16);
            fpheap_free(heap, object);
        }
    }
    TEST_DESTROY_OVER(heap, &provider);
}

static void
a_product_that_overflows_is_enomem(void **state)
{
    fpheap *heap = test_heap_within(&provider, 32 * TEST_MIB);
    size_t  half = (size_t)1 << sizeof(size_t) * 4;
    size_t  pairs[][2] = {
        { SIZE_MAX, 2 }, { SIZE_MAX / 2 + 1, 2 }, { half, half },
        { half + 1, half }, { SIZE_MAX / 16 + 2, 16 }, { SIZE_MAX, SIZE_MAX },
        { SIZE_MAX / 3 + 1, 3 }, { SIZE_MAX / 2, 3 }, { half * 16, half / 8 }
    };
    size_t  i;

    (void)state;
    for (i = 0; i < TEST_COUNT(pairs); i++) {
        errno = 0;
        assert_null(fpheap_calloc(heap, pairs[i][0], pairs[i][1]));
        assert_int_equal(errno, ENOMEM);
        errno = 0;
        assert_null(fpheap_calloc(heap, pairs[i][1], pairs[i][0]));
        assert_int_equal(errno, ENOMEM);
    }
    assert_int_equal(provider.gets, 1);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
a_bulk_whose_bytes_overflow_is_enomem(void **state)
{
    fpheap  *heap = test_heap_within(&provider, 32 * TEST_MIB);
    size_t   size;
    unsigned counts[] = { 2, 3, 16, 17, 32, 256, 65536, 65537, UINT_MAX / 2,
                          UINT_MAX - 1, UINT_MAX };
    size_t   i;
    void    *objects[4] = { heap, heap, heap, heap };

    (void)state;
    /* Where n * size wraps to something small, and around it. */
    for (i = 0; i < TEST_COUNT(counts); i++) {
        size_t wrap = SIZE_MAX / counts[i];

        for (size = wrap - 2; size <= wrap + 2 && size > 32 * TEST_MIB; size++)
            assert_int_equal(fpheap_alloc_bulk(heap, size, objects, counts[i]),
                             -ENOMEM);
        assert_int_equal(fpheap_alloc_bulk(heap, SIZE_MAX, objects, counts[i]),
                         -ENOMEM);
    }
    for (i = 0; i < 4; i++)
        assert_ptr_equal(objects[i], heap);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
calloc_of_nothing_is_the_smallest_object(void **state)
{
    fpheap *heap = fpheap_create(NULL, NULL);
    size_t  smallest;
    void   *objects[6];
    size_t  i;

    (void)state;
    objects[0] = fpheap_alloc(heap, 0);
    objects[1] = fpheap_calloc(heap, 0, 0);
    objects[2] = fpheap_calloc(heap, 0, SIZE_MAX);
    objects[3] = fpheap_calloc(heap, SIZE_MAX, 0);
    objects[4] = fpheap_zalloc(heap, 0);
    objects[5] = fpheap_realloc(heap, NULL, 0);
    smallest = fpheap_usable_size(heap, objects[0]);
    for (i = 0; i < 6; i++) {
        check_object(heap, (char *)objects[i], 0, 16);
        assert_int_equal(fpheap_usable_size(heap, objects[i]), smallest);
        fpheap_free(heap, objects[i]);
    }
    TEST_DESTROY(heap);
}

static void
an_object_of_many_chunks_is_one_piece_and_its_tail_is_apart(void **state)
{
    fpheap     *heap = test_heap_over(&provider);
    size_t      sizes[] = { FPHEAP_CHUNK - FPHEAP_CHUNK / 512,
                            FPHEAP_CHUNK - 1, FPHEAP_CHUNK, FPHEAP_CHUNK + 1,
                            2 * FPHEAP_CHUNK - 5 * FPHEAP_PAGE,
                            2 * FPHEAP_CHUNK, 5 * FPHEAP_CHUNK + 4096,
                            20 * FPHEAP_CHUNK - 100,
                            40 * FPHEAP_CHUNK + FPHEAP_PAGE };
    test_object objects[TEST_COUNT(sizes) * 101];
    unsigned    round;
    size_t      n;
    size_t      i;
    size_t      k;

    (void)state;
    for (round = 0; round < 3; round++) {
        n = 0;
        for (i = 0; i < TEST_COUNT(sizes); i++) {
            /* The objects between are to come from the tails. */
            for (k = 0; k < 101; k++, n++) {
                size_t small = k < 90 ? 500 + k * 50 : k * 1000;

                objects[n].size = k == 0 ? sizes[i] : small;
                objects[n].base = (char *)fpheap_alloc(heap, objects[n].size);
                check_object(heap, objects[n].base, objects[n].size, 16);
                objects[n].bytes = fpheap_usable_size(heap, objects[n].base);
                objects[n].number = n;
                test_fill(objects[n].base, objects[n].bytes, n);
                if (k == 0)
                    assert_true(documented_usable(sizes[i], objects[n].bytes));
            }
        }
        assert_true(test_disjoint(objects, n));
        TEST_CHECK_LIVE(heap, n);
        for (i = 0; i < n; i++) {
            test_object *o = &objects[i];

            assert_true(test_filled(o->base, o->bytes, o->number));
            for (k = 0; k < o->bytes; k += o->bytes / 64 + 1)
                assert_ptr_equal(fpheap_base_of(heap, o->base + k), o->base);
            fpheap_free(heap, o->base);
        }
        TEST_CHECK_LIVE(heap, 0);
    }
    TEST_DESTROY_OVER(heap, &provider);
}

/* Its memory is addresses that are reserved and hardly touched.  (limits.sh has
 * both sides of the largest.) */
static void
an_object_of_65_gib_is_served(void **state)
{
    const uint64_t bytes = (uint64_t)65 << 30;
    fpheap        *heap = test_heap_over(&provider);
    char          *object = NULL;

    (void)state;
    if (bytes <= SIZE_MAX)
        object = (char *)fpheap_alloc(heap, (size_t)bytes);
    if (object == NULL && (bytes > SIZE_MAX || provider.refused != 0)) {
        print_message("why: so many addresses cannot be had\n");
        TEST_DESTROY_OVER(heap, &provider);
        skip();
    }
    assert_non_null(object);
    assert_int_equal(fpheap_usable_size(heap, object), bytes);
    object[0] = object[bytes / 2] = object[bytes - 1] = 1;
    assert_ptr_equal(fpheap_base_of(heap, object + bytes - 1), object);
    TEST_CHECK_LIVE(heap, 1);
    fpheap_free(heap, object);
    TEST_DESTROY_OVER(heap, &provider);
}

/* The provider is asked for the one, and not for the other.  Of 32 bits, half is
 * no region's. */
static void
the_largest_object_is_what_the_tables_cover_less_a_page(void **state)
{
    fpheap *heap = test_heap_over(&provider);
    size_t  most = heap->state->mask < SIZE_MAX / 2 / FPHEAP_PAGE
                 ? heap->state->mask * FPHEAP_PAGE
                 : SIZE_MAX / 2 / FPHEAP_CHUNK * FPHEAP_CHUNK;

    (void)state;
    provider.fail_from = 2;
    provider.fail_to = UINT_MAX;
    provider.error = -EIO;
    errno = 0;
    assert_null(fpheap_alloc(heap, most + 1));
    assert_int_equal(errno, ENOMEM);
    assert_int_equal(provider.gets, 1);
    assert_null(fpheap_alloc(heap, most));
    assert_int_equal(errno, EIO);
    assert_true(provider.max_asked >= most);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
zalloc_and_calloc_clear_every_usable_byte(void **state)
{
    fpheap  *heap = fpheap_create(NULL, NULL);
    void    *objects[8];
    size_t   size;
    unsigned i;

    (void)state;
    for (size = 0; size < 3 * TEST_MIB; size += 1 + size / 16) {
        for (i = 0; i < 8; i++) {
            objects[i] = fpheap_alloc(heap, size);
            memset(objects[i], 0xa5, fpheap_usable_size(heap, objects[i]));
        }
        for (i = 0; i < 8; i++)
            fpheap_free(heap, objects[i]);
        for (i = 0; i < 8; i++) {
            objects[i] = i % 2 == 0
                         ? fpheap_zalloc(heap, size)
                         : fpheap_calloc(heap, i, (size + i - 1) / i);
            assert_true(test_all_bytes(objects[i],
                                       fpheap_usable_size(heap, objects[i]),
                                       0));
        }
        for (i = 0; i < 8; i++)
            fpheap_free(heap, objects[i]);
    }
    TEST_DESTROY(heap);
}

static const size_t realloc_sizes[] = {
    0, 1, 8, 16, 17, 32, 33, 64, 100, 128, 129, 200, 256, 257, 384, 512, 513,
    640, 700, 768, 1000, 1024, 1500, 2048, 2049, 4096, 9000, 32 * TEST_KIB,
    64 * TEST_KIB, 100000, 200000, 512 * TEST_KIB, 512 * TEST_KIB + 1, TEST_MIB,
    2 * TEST_MIB, 2 * TEST_MIB + 1, 5 * TEST_MIB
};

static void
realloc_keeps_the_contents_and_stays_where_it_should(void **state)
{
    fpheap  *heap = fpheap_create(NULL, NULL);
    unsigned count = TEST_COUNT(realloc_sizes);
    unsigned i;
    unsigned k;

    (void)state;
    for (i = 0; i < count; i++) {
        for (k = 0; k < count; k++) {
            size_t from = realloc_sizes[i];
            size_t to = realloc_sizes[k];
            char  *old = (char *)fpheap_alloc(heap, from);
            size_t old_bytes = fpheap_usable_size(heap, old);
            char  *fresh = (char *)fpheap_alloc(heap, to);
            size_t need = fpheap_usable_size(heap, fresh);
            char  *new;

            fpheap_free(heap, fresh);
            test_fill(old, old_bytes, i * count + k);
            new = (char *)fpheap_realloc(heap, old, to);
            check_object(heap, new, to, 16);
            assert_true(test_filled_at(new, (uintptr_t)old,
                                       from < to ? from : to, i * count + k));
            if (old_bytes <= FPH_CLASS_MAX || need <= FPH_CLASS_MAX)
                assert_int_equal(new == old, need == old_bytes);
            else if (to <= old_bytes && to > old_bytes / 2)
                assert_ptr_equal(new, old);
            assert_true(fpheap_usable_size(heap, new) < 2 * need);
            fpheap_free(heap, new);
        }
    }
    TEST_DESTROY(heap);
}

static size_t
lower(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* From one size and alignment to another. */
static void
realign(fpheap *heap, size_t from, size_t old_align, size_t to, size_t align)
{
    char  *old = (char *)fpheap_aligned_alloc(heap, old_align, from);
    char  *fresh = (char *)fpheap_aligned_alloc(heap, align, to);
    size_t had = fpheap_usable_size(heap, old);
    size_t need = fpheap_usable_size(heap, fresh);
    int    small = had <= FPH_CLASS_MAX && old_align <= FPHEAP_PAGE;
    int    is = ((uintptr_t)old & (align - 1)) == 0;
    /* Over a provider with IOVAs what fits into one chunk is in one. */
    int    crosses = heap->provider.iova != NULL && need <= FPHEAP_CHUNK
                  && ((uintptr_t)old ^ ((uintptr_t)old + need - 1))
                     >> FPHEAP_CHUNK_SHIFT != 0;
    char  *new;

    fpheap_free(heap, fresh);
    test_fill(old, had, from ^ to);
    new = (char *)fpheap_aligned_realloc(heap, old, align, to);
    check_object(heap, new, to, align < 16 ? 16 : align);
    assert_true(test_filled_at(new, (uintptr_t)old, lower(from, to),
                               from ^ to));
    assert_true(fpheap_usable_size(heap, new) < 2 * need);
    if (small != (need <= FPH_CLASS_MAX && align <= FPHEAP_PAGE))
        assert_ptr_not_equal(new, old);
    else if (small)
        assert_int_equal(new == old, is && need == had);
    else if (to <= had && need > had / 2)
        assert_int_equal(new == old, is && !crosses);
    fpheap_free(heap, new);
}

static void
aligned_realloc_keeps_the_contents_and_stays_where_it_should(void **state)
{
    static const size_t sizes[] = {
        0, 1, 100, 1000, 5000, 64 * TEST_KIB, 100000, 512 * TEST_KIB,
        512 * TEST_KIB + 1, TEST_MIB + 1, 2 * TEST_MIB + 1
    };
    static const size_t aligns[] = {
        1, 64, 4096, FPHEAP_PAGE, 2 * FPHEAP_PAGE, FPHEAP_CHUNK
    };
    unsigned count = TEST_COUNT(aligns);
    fpheap  *heap = fpheap_create(NULL, NULL);
    unsigned i, k, a;
    char    *object;

    (void)state;
    for (i = 0; i < TEST_COUNT(sizes); i++)
        for (k = 0; k < TEST_COUNT(sizes); k++)
            for (a = 0; a < count * count; a++)
                realign(heap, sizes[i], aligns[a / count], sizes[k],
                        aligns[a % count]);
    object = (char *)fpheap_aligned_realloc(heap, NULL, 4096, 100);
    check_object(heap, object, 100, 4096);
    fpheap_free(heap, object);
    TEST_DESTROY(heap);
}

/* Aligned as asked, and not. */
static void
a_pools_object_stays_while_it_fits_and_is_aligned(void **state)
{
    fpheap_pool_desc desc;
    fpheap          *heap = fpheap_create(NULL, NULL);
    fpheap_pool     *pool;
    char            *object, *other, *moved;

    (void)state;
    memset(&desc, 0, sizeof(desc));
    desc.name = "p";
    desc.size = 960;
    desc.align = 64;
    pool = fpheap_pool_create(heap, &desc);
    object = (char *)fpheap_pool_get(pool);
    other = (char *)fpheap_pool_get(pool);
    if (((uintptr_t)object & 4095) == 0) {
        moved = object;
        object = other;
        other = moved;
    }
    test_fill(object, 960, 1);
    assert_ptr_equal(fpheap_aligned_realloc(heap, object, 64, 1), object);
    assert_ptr_equal(fpheap_aligned_realloc(heap, object, 16, 960), object);
    moved = (char *)fpheap_aligned_realloc(heap, object, 4096, 960);
    assert_ptr_not_equal(moved, object);
    check_object(heap, moved, 960, 4096);
    assert_true(test_filled_at(moved, (uintptr_t)object, 960, 1));
    fpheap_free(heap, moved);
    moved = (char *)fpheap_aligned_realloc(heap, other, 64, 961);
    assert_ptr_not_equal(moved, other);
    check_object(heap, moved, 961, 64);
    fpheap_free(heap, moved);
    TEST_CHECK_LIVE(heap, 0);
    assert_int_equal(fpheap_pool_destroy(pool, NULL), 0);
    TEST_DESTROY(heap);
}

/* By 64 KiB each time to 64 MiB, alone and with a neighbour that is live: the
 * bytes that are copied are a small multiple of the last size. */
static void
a_large_object_that_grows_by_little_is_copied_seldom(void **state)
{
    int beside;

    (void)state;
    for (beside = 0; beside < 2; beside++) {
        fpheap *heap = fpheap_create(NULL, NULL);
        size_t  step = 64 * TEST_KIB;
        size_t  size = step, copied = 0;
        char   *object = (char *)fpheap_alloc(heap, size);
        void   *neighbours[64];
        size_t  n = 0;

        while (size < 64 * TEST_MIB) {
            char *old = object;

            object[size - 1] = (char)(size / step);
            size += step;
            object = (char *)fpheap_realloc(heap, old, size);
            assert_non_null(object);
            assert_int_equal(object[size - step - 1],
                             (char)(size / step - 1));
            if (object == old)
                continue;
            copied += size;
            if (beside && n < TEST_COUNT(neighbours))
                neighbours[n++] = fpheap_alloc(heap, TEST_MIB);
        }
        assert_true(copied < 12 * size);
        assert_true(fpheap_usable_size(heap, object)
                    <= size + size / 8 + 2 * FPHEAP_CHUNK);
        fpheap_free_bulk(heap, neighbours, (unsigned)n);
        fpheap_free(heap, object);
        TEST_DESTROY(heap);
    }
}

/* A run into the pages behind it, an object above a chunk into the chunks. */
static void
a_large_object_grows_where_it_is_if_the_memory_behind_is_free(void **state)
{
    static const size_t from[] = { 600 * TEST_KIB, 9 * TEST_MIB };
    static const size_t to[] = { 900 * TEST_KIB, 14 * TEST_MIB };
    fpheap      *heap = fpheap_create(NULL, NULL);
    fpheap_stats stats;
    unsigned     i;

    (void)state;
    fpheap_free(heap, fpheap_alloc(heap, 40 * TEST_MIB));
    for (i = 0; i < TEST_COUNT(from); i++) {
        char *object = (char *)fpheap_alloc(heap, from[i]);
        char *behind;

        assert_non_null(object);
        test_fill(object, from[i], i);
        assert_ptr_equal(fpheap_realloc(heap, object, to[i]), object);
        assert_true(fpheap_usable_size(heap, object) >= to[i]);
        assert_true(test_filled(object, from[i], i));
        test_fill(object, fpheap_usable_size(heap, object), i);
        assert_ptr_equal(fpheap_base_of(heap, object + to[i] - 1), object);
        assert_ptr_equal(fpheap_aligned_realloc(heap, object, FPHEAP_PAGE,
                                                to[i] + TEST_MIB), object);
        TEST_CHECK_LIVE(heap, 1);
        fpheap_stats_get(heap, &stats);
        assert_int_equal(stats.live_bytes, fpheap_usable_size(heap, object));
        /* What is live behind it stays as it is. */
        behind = (char *)fpheap_alloc(heap, from[i]);
        test_fill(behind, from[i], 7);
        object = (char *)fpheap_realloc(heap, object, 3 * to[i]);
        assert_non_null(object);
        assert_true(test_filled(behind, from[i], 7));
        TEST_CHECK_LIVE(heap, 2);
        fpheap_free(heap, object);
        fpheap_free(heap, behind);
        TEST_CHECK_LIVE(heap, 0);
    }
    TEST_DESTROY(heap);
}

/* A run gives back the pages that it does not need, and an object above a chunk
 * the chunks: others get them, and their bytes are theirs. */
static void
a_large_object_that_shrinks_gives_back_what_is_behind_it(void **state)
{
    static const size_t from[] = { 31 * 64 * TEST_KIB, 40 * TEST_MIB };
    static const size_t to[] = { 700 * TEST_KIB, 23 * TEST_MIB };
    unsigned i;

    (void)state;
    for (i = 0; i < TEST_COUNT(from); i++) {
        fpheap      *heap = test_heap_over(&provider);
        char        *object = (char *)fpheap_alloc(heap, from[i]);
        char        *other;
        fpheap_stats stats;
        unsigned     gets = provider.gets;

        test_fill(object, to[i], i);
        assert_ptr_equal(fpheap_realloc(heap, object, to[i]), object);
        assert_true(fpheap_usable_size(heap, object) < to[i] + FPHEAP_CHUNK);
        TEST_CHECK_LIVE(heap, 1);
        fpheap_stats_get(heap, &stats);
        assert_int_equal(stats.live_bytes, fpheap_usable_size(heap, object));
        assert_ptr_not_equal(fpheap_base_of(heap, object + from[i] - 1),
                             object);
        other = (char *)fpheap_alloc(heap, (from[i] - to[i]) * 7 / 8);
        assert_int_equal(provider.gets, gets);
        assert_true(other > object && other < object + from[i]);
        test_fill(other, (from[i] - to[i]) * 7 / 8, 7);
        assert_true(test_filled(object, to[i], i));
        fpheap_free(heap, object);
        fpheap_free(heap, other);
        TEST_DESTROY_OVER(heap, &provider);
    }
}

/* An eighth at least, where another object that is live lets it grow in place,
 * and where it moves. */
static void
a_large_object_that_grows_has_an_eighth_to_spare(void **state)
{
    fpheap *heap = test_heap_over(&provider);
    size_t  size = TEST_MIB;
    char   *object;

    (void)state;
    fpheap_free(heap, fpheap_alloc(heap, 100 * TEST_MIB));
    object = (char *)fpheap_alloc(heap, size);
    assert_int_equal(fpheap_usable_size(heap, object), size);
    while (size < 50 * TEST_MIB) {
        char  *old;
        size_t usable;

        size += size / 4;
        object = (char *)fpheap_realloc(heap, object, size);
        usable = fpheap_usable_size(heap, object);
        if (size > FPHEAP_CHUNK)
            assert_true(usable >= size + size / 8 - FPHEAP_CHUNK);
        assert_true(usable <= size + size / 8 + FPHEAP_CHUNK);
        old = object;
        object = (char *)fpheap_realloc(heap, object, usable);
        assert_ptr_equal(object, old);
    }
    fpheap_free(heap, object);
    TEST_DESTROY_OVER(heap, &provider);
}

/* The bytes that one of many objects of `bytes` takes at most: a sixteenth
 * more, for its part of the end of a slab, or the pages that it needs alone. */
static size_t
most_taken(size_t bytes)
{
    size_t shared = bytes + bytes / 16;
    size_t alone  = (bytes + FPHEAP_PAGE - 1) & ~(size_t)(FPHEAP_PAGE - 1);

    return bytes > FPHEAP_PAGE && alone > shared ? alone : shared;
}

/* Beyond that a step of growth is a sixteenth, records take 3 in a hundred, and
 * the first chunks are there in any case. */
static void
expect_regions(fpheap *heap, size_t size, size_t n, size_t bytes, int as_pool)
{
    fpheap_stats stats;
    size_t       most = n * most_taken(bytes);

    most += most / 16 + most / 32 + 4 * FPHEAP_CHUNK + 64 * FPHEAP_PAGE;
    fpheap_stats_get(heap, &stats);
    if (stats.region_bytes <= most)
        return;
    print_error("%zu %s of %zu bytes: %zu KiB, and %zu at most\n", n,
                as_pool ? "of a pool" : "objects", size,
                stats.region_bytes >> 10, most >> 10);
    fail();
}

static void
fill_with(size_t size, int as_pool)
{
    fpheap          *heap  = fpheap_create(NULL, NULL);
    fpheap_pool     *pool  = NULL;
    size_t           n     = 48 * TEST_MIB / size + 1;
    size_t           bytes = (size + 15) / 16 * 16;
    fpheap_pool_desc desc;
    size_t           i;

    memset(&desc, 0, sizeof desc);
    desc.name = "objects";
    desc.size = size;
    if (as_pool)
        assert_non_null(pool = fpheap_pool_create(heap, &desc));
    for (i = 0; i < n; i++) {
        void *object = as_pool ? fpheap_pool_get(pool)
                               : fpheap_alloc(heap, size);

        assert_non_null(object);
        if (!as_pool)
            bytes = fpheap_usable_size(heap, object);
    }
    assert_true(as_pool || documented_usable(size, bytes)
                || bytes < size + FPHEAP_PAGE);
    expect_regions(heap, size, n, bytes, as_pool);
    assert_int_equal(fpheap_destroy_forced(heap), 0);
}

/* Sizes of a class and just above one, four in each doubling.  mmap's regions
 * are neighbours, so that objects lie across their ends. */
static void
objects_of_every_size_fill_their_chunks(void **state)
{
    size_t power, part, more;

    (void)state;
    test_needs_neighbours();
    for (power = 16; power <= 8 * TEST_MIB; power *= 2)
        for (part = 0; part < 4; part++)
            for (more = 0; more < 2; more++) {
                size_t size = power + power / 4 * part + more;

                fill_with(size, 0);
                if (size <= FPHEAP_POOL_SIZE_MAX)
                    fill_with(size, 1);
            }
}

/* A chunk has room for one such object and a part of the next. */
static void
objects_begin_in_the_chunk_before_the_one_that_came(void **state)
{
    fpheap      *heap;
    size_t       bytes = 0;
    fpheap_stats stats;
    unsigned     i;

    (void)state;
    test_needs_neighbours();
    heap = fpheap_create(NULL, NULL);
    for (i = 0; i < 48; i++) {
        void *object = fpheap_alloc(heap, FPHEAP_CHUNK / 2 + 1);

        assert_non_null(object);
        bytes += fpheap_usable_size(heap, object);
    }
    fpheap_stats_get(heap, &stats);
    assert_in_range(stats.region_bytes, bytes,
                    bytes + bytes / 8 + 3 * FPHEAP_CHUNK);
    assert_int_equal(fpheap_destroy_forced(heap), 0);
}

/* Objects of 9 pages to 16 MiB side by side, each of another size again and
 * again: every byte stays, no two share one, and every page is counted once. */
static void
large_objects_change_their_size_beside_each_other(void **state)
{
    fpheap     *heap   = test_heap_over(&provider);
    test_random random = test_random_of(3);
    test_object o[24];
    unsigned    round, i;

    (void)state;
    memset(o, 0, sizeof o);
    for (round = 0; round < 3000 * test_soak(); round++) {
        test_object *one  = &o[test_below(&random, TEST_COUNT(o))];
        size_t       size = FPH_CLASS_MAX + 1 + test_size(&random, 24);
        size_t       kept = one->size < size ? one->size : size;
        char        *base = (char *)fpheap_realloc(heap, one->base, size);

        assert_non_null(base);
        assert_true(test_filled_at(base, (uintptr_t)one->base,
                                   kept < 4096 ? kept : 4096, one->number));
        assert_true(one->base == NULL
                    || base[kept - 1] == (char)one->number);
        one->base = base;
        one->size = size;
        one->bytes = fpheap_usable_size(heap, base);
        one->number = round;
        test_fill(base, 4096, round);
        base[size - 1] = (char)round;
        /* A shorter size later ends at a byte of its own. */
        memset(base + 4096, (int)(char)round, size - 4096);
        if (round % 64 == 0)
            TEST_CHECK(heap);
    }
    assert_true(test_disjoint(o, TEST_COUNT(o)));
    for (i = 0; i < TEST_COUNT(o); i++)
        fpheap_free(heap, o[i].base);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
a_large_object_grows_without_slack_where_memory_is_short(void **state)
{
    fpheap_config config;
    fpheap       *heap;
    void         *object;

    (void)state;
    memset(&config, 0, sizeof config);
    config.limit = 58 * TEST_MIB;
    heap = fpheap_create(NULL, &config);
    object = fpheap_alloc(heap, 3 * TEST_MIB);
    object = fpheap_realloc(heap, object, 52 * TEST_MIB);
    assert_non_null(object);
    assert_true(fpheap_usable_size(heap, object) < 56 * TEST_MIB);
    fpheap_free(heap, object);
    TEST_DESTROY(heap);
}

static void
a_reallocated_object_can_be_freed_with_its_last_size(void **state)
{
    fpheap  *heap = fpheap_create(NULL, NULL);
    unsigned count = TEST_COUNT(realloc_sizes);
    void    *objects[16];
    unsigned i;
    unsigned k;
    unsigned n;

    (void)state;
    for (i = 0; i < count; i++) {
        for (k = 0; k < count; k++) {
            size_t to = realloc_sizes[k];

            for (n = 0; n < 4; n++)
                objects[n] = fpheap_alloc(heap, realloc_sizes[i]);
            for (n = 0; n < 4; n++) {
                objects[n] = fpheap_realloc(heap, objects[n], to);
                assert_non_null(objects[n]);
            }
            fpheap_free_sized(heap, objects[0], to);
            fpheap_free_bulk_sized(heap, &objects[1], 2, to);
            fpheap_cache_free_sized(fpheap_self(heap), objects[3], to);
            TEST_CHECK_LIVE(heap, 0);
            n = (unsigned)(TEST_MIB / (to + 1));
            if (n > 16)
                n = 16;
            assert_int_equal(fpheap_alloc_bulk(heap, to, objects, n), 0);
            while (n-- > 0) {
                char  *object = (char *)objects[n];
                size_t usable = fpheap_usable_size(heap, object);

                assert_true(documented_usable(to, usable));
                check_object(heap, object, to, documented_alignment(usable));
                fpheap_free(heap, object);
            }
        }
    }
    TEST_DESTROY(heap);
}

/* A run of as many pages as its class has, but aligned to more, is of no class:
 * a free that is told the size must not take it for one. */
static void
a_reallocated_aligned_object_can_be_freed_with_its_last_size(void **state)
{
    fpheap  *heap = fpheap_create(NULL, NULL);
    unsigned pages;
    unsigned way;

    (void)state;
    for (pages = 3; pages <= 8; pages++) {
        size_t size = pages * FPHEAP_PAGE;
        void  *other = fpheap_alloc(heap, size);    /* a slab of the class */

        for (way = 0; way < 3; way++) {
            char *object = (char *)fpheap_aligned_alloc(heap, 2 * FPHEAP_PAGE,
                                                        size);
            char *moved;

            test_fill(object, size, pages);
            moved = (char *)fpheap_realloc(heap, object, size);
            check_object(heap, moved, size, FPHEAP_PAGE);
            assert_true(test_filled_at(moved, (uintptr_t)object, size, pages));
            if (way == 0)
                fpheap_free_sized(heap, moved, size);
            else if (way == 1)
                fpheap_free_bulk_sized(heap, (void **)&moved, 1, size);
            else
                fpheap_cache_free_sized(fpheap_self(heap), moved, size);
            TEST_CHECK_LIVE(heap, 1);
            fpheap_flush(heap);
            TEST_CHECK_LIVE(heap, 1);
        }
        fpheap_free(heap, other);
    }
    TEST_DESTROY(heap);
}

static void
a_realloc_that_cannot_be_served_leaves_the_object(void **state)
{
    fpheap *heap = test_heap_within(&provider, 8 * FPHEAP_CHUNK);
    size_t  sizes[] = { 16, 1000, FPHEAP_PAGE, FPHEAP_CHUNK };
    size_t  i;

    (void)state;
    for (i = 0; i < TEST_COUNT(sizes); i++) {
        char  *object = (char *)fpheap_alloc(heap, sizes[i]);
        size_t usable = fpheap_usable_size(heap, object);

        test_fill(object, usable, i);
        errno = 0;
        assert_null(fpheap_realloc(heap, object, 9 * FPHEAP_CHUNK));
        assert_int_equal(errno, ENOMEM);
        errno = 0;
        assert_null(fpheap_realloc(heap, object, SIZE_MAX));
        assert_int_equal(errno, ENOMEM);
        errno = 0;
        assert_null(fpheap_aligned_realloc(heap, object, FPHEAP_CHUNK,
                                           8 * FPHEAP_CHUNK));
        assert_int_equal(errno, ENOMEM);
        assert_int_equal(fpheap_usable_size(heap, object), usable);
        assert_true(test_filled(object, usable, i));
        TEST_CHECK_LIVE(heap, 1);
        fpheap_free(heap, object);
    }
    TEST_DESTROY_OVER(heap, &provider);
}

/* Also when it would only become smaller: it moves to its class or fails, but a
 * large one that stays large needs no memory for it. */
static void
a_realloc_to_less_without_memory_leaves_the_object(void **state)
{
    size_t sizes[] = { 768, 4096, FPHEAP_PAGE, FPH_CLASS_MAX,
                       3 * FPHEAP_CHUNK / 4, 2 * FPHEAP_CHUNK };
    size_t i;

    (void)state;
    for (i = 0; i < TEST_COUNT(sizes); i++) {
        fpheap *heap = test_heap_within(&provider, 8 * FPHEAP_CHUNK);
        size_t  half = sizes[i] * 3 / 8;
        char   *first = (char *)fpheap_alloc(heap, sizes[i]);
        void   *list;

        test_take_all(heap, half, &list);
        test_fill(first, sizes[i], i);
        errno = 0;
        if (half > FPH_CLASS_MAX) {
            assert_ptr_equal(fpheap_realloc(heap, first, half), first);
            assert_true(test_filled(first, half, i));
            fpheap_free_sized(heap, first, half);
        } else {
            assert_null(fpheap_realloc(heap, first, half));
            assert_int_equal(errno, ENOMEM);
            assert_true(test_filled(first, sizes[i], i));
            fpheap_free_sized(heap, first, sizes[i]);
        }
        test_free_all(heap, list);
        TEST_DESTROY_OVER(heap, &provider);
    }
}

static void
pointers_from_elsewhere_belong_to_no_object(void **state)
{
    static char static_bytes[64];
    fpheap     *heap = test_heap_over(&provider);
    fpheap     *other = fpheap_create("other", NULL);
    char        stack_bytes[64];
    char       *from_malloc = (char *)malloc(100);
    char       *small = (char *)fpheap_alloc(heap, 100);
    char       *huge = (char *)fpheap_alloc(heap, 3 * FPHEAP_CHUNK);
    char       *others = (char *)fpheap_alloc(other, 100);
    const void *foreign[64];
    unsigned    n = 0;
    unsigned    i;
    int         bits;

    (void)state;
    foreign[n++] = NULL;
    foreign[n++] = (const void *)(uintptr_t)1;
    foreign[n++] = (const void *)(uintptr_t)4096;
    foreign[n++] = (const void *)UINTPTR_MAX;
    foreign[n++] = (const void *)(UINTPTR_MAX - FPHEAP_CHUNK + 1);
    foreign[n++] = (const void *)(UINTPTR_MAX / 2);
    foreign[n++] = (const void *)(UINTPTR_MAX / 2 + 1);
    for (bits = 12; bits < (int)sizeof(uintptr_t) * 8; bits += 2)
        foreign[n++] = (const void *)((uintptr_t)1 << bits);
    foreign[n++] = static_bytes;
    foreign[n++] = stack_bytes;
    foreign[n++] = from_malloc;
    foreign[n++] = others;
    foreign[n++] = (const void *)heap;
    for (i = 0; i < provider.grants && n + 4 <= 64; i++) {
        char *base = (char *)provider.grant[i].region.base;

        foreign[n++] = base - 1;
        foreign[n++] = base - FPHEAP_CHUNK;
        foreign[n++] = base + provider.grant[i].region.bytes;
        foreign[n++] = base + provider.grant[i].region.bytes + FPHEAP_CHUNK;
    }
    for (i = 0; i < n; i++) {
        if (test_grant_of(&provider, foreign[i]) != NULL)
            continue;
        assert_null(fpheap_base_of(heap, foreign[i]));
        assert_int_equal(fpheap_owns(heap, foreign[i]), 0);
    }
    assert_int_equal(fpheap_usable_size(heap, NULL), 0);
    free(from_malloc);
    fpheap_free(heap, small);
    fpheap_free(heap, huge);
    fpheap_free(other, others);
    TEST_DESTROY_OVER(heap, &provider);
    TEST_DESTROY(other);
}

/* Walk over every region in small steps: what base_of names is an object that
 * contains the byte, and each byte of a live object leads to it. */
static void
any_byte_of_any_region_leads_to_its_object_or_to_none(void **state)
{
    fpheap     *heap = test_heap_over(&provider);
    test_random random = test_random_of(11);
    test_object objects[600];
    size_t      none = 0;
    unsigned    i;

    (void)state;
    for (i = 0; i < 600; i++) {
        size_t size = test_size(&random, 22);

        objects[i].base = (char *)fpheap_alloc(heap, i % 64 == 0 ? size
                                                     : size % 100000);
        objects[i].bytes = fpheap_usable_size(heap, objects[i].base);
    }
    for (i = 0; i < 600; i += 3) {
        fpheap_free(heap, objects[i].base);
        objects[i].bytes = 0;
    }
    if (objects[1].bytes > 0)
        fpheap_flush(heap);
    for (i = 0; i < provider.grants; i++) {
        char  *base = (char *)provider.grant[i].region.base;
        size_t at;

        for (at = 0; at < provider.grant[i].region.bytes; at += 1237) {
            char  *object = (char *)fpheap_base_of(heap, base + at);
            size_t bytes;

            if (object == NULL) {
                none++;
                continue;
            }
            assert_true(object <= base + at);
            bytes = fpheap_usable_size(heap, object);
            assert_true((size_t)(base + at - object) < bytes);
            assert_ptr_equal(fpheap_base_of(heap, object), object);
            assert_ptr_equal(fpheap_base_of(heap, object + bytes - 1), object);
        }
    }
    assert_true(none > 0);
    for (i = 0; i < 600; i++) {
        size_t at;

        for (at = 0; at < objects[i].bytes; at += 1 + objects[i].bytes / 61)
            assert_ptr_equal(fpheap_base_of(heap, objects[i].base + at),
                             objects[i].base);
    }
    for (i = 0; i < 600; i++)
        if (objects[i].bytes != 0)
            fpheap_free(heap, objects[i].base);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
live_objects_never_overlap(void **state)
{
    enum { LIVE = 3000 };
    static test_object objects[LIVE];
    static test_object sorted[LIVE];
    fpheap     *heap = fpheap_create(NULL, NULL);
    test_random random = test_random_of(5);
    size_t      live = 0;
    size_t      steps = (size_t)200000 * test_soak();
    size_t      i;

    (void)state;
    memset(objects, 0, sizeof(objects));
    for (i = 0; i < steps; i++) {
        test_object *o = &objects[test_below(&random, LIVE)];

        if (o->base != NULL) {
            assert_true(test_filled(o->base, 8, o->number));
            fpheap_free(heap, o->base);
            o->base = NULL;
            o->bytes = 0;
            live--;
        } else {
            o->size = i % 500 == 0 ? test_size(&random, 22)
                                   : test_size(&random, 15);
            o->base = (char *)fpheap_alloc(heap, o->size);
            assert_non_null(o->base);
            o->bytes = fpheap_usable_size(heap, o->base);
            o->number = i;
            test_fill(o->base, 8, i);
            live++;
        }
        if (i % 5000 == 4999) {
            memcpy(sorted, objects, sizeof(sorted));
            assert_true(test_disjoint(sorted, LIVE));
            TEST_CHECK_LIVE(heap, live);
        }
    }
    for (i = 0; i < LIVE; i++)
        fpheap_free(heap, objects[i].base);
    TEST_DESTROY(heap);
}

/* --- slabs ---------------------------------------------------------------- */

static void
a_slab_has_no_more_objects_than_bits(void **state)
{
    const unsigned most = FPH_SLAB_WORDS * 64;
    fph_class      klass;
    size_t         n;

    (void)state;
    memset(&klass, 0, sizeof klass);
    klass.skip = FPH_HEAD;
    for (n = most - 2; n <= 2 * most; n++) {
        klass.size = (uint32_t)(15 * FPHEAP_PAGE / n);
        assert_int_equal(fph_shape_count(&klass, 15),
                         15 * FPHEAP_PAGE / klass.size < most
                         ? 15 * FPHEAP_PAGE / klass.size : most);
    }
}

/* A record that was overwritten may say that there are more. */
static void
bits_are_counted_to_the_end_of_a_record_and_no_further(void **state)
{
    const unsigned most = FPH_SLAB_WORDS * 64;
    fph_slab       slabs[2];

    (void)state;
    memset(slabs, 0xff, sizeof slabs);
    fph_info_store(&slabs[0], fph_info(FPH_SLAB, 1, most));
    assert_int_equal(fph_slab_bits(&slabs[0]), most);
    fph_info_store(&slabs[0], fph_info(FPH_SLAB, 1, most + 64));
    assert_int_equal(fph_slab_bits(&slabs[0]), most);
    fph_info_store(&slabs[0], fph_info(FPH_SLAB, 1, most - 1));
    assert_true(fph_slab_bits(&slabs[0]) == SIZE_MAX);
}

/* And nothing is looked for. */
static void
a_large_object_has_no_more_pages_than_its_record_can_say(void **state)
{
    fpheap    *heap = test_heap_over(&provider);
    fph_state *s = heap->state;
    void      *object = fpheap_alloc(heap, FPHEAP_CHUNK);
    uint64_t   begun;

    (void)state;
    assert_non_null(object);
    begun = s->moves_begun;
    assert_int_equal(fph_large_extend(s, fph_record_of(s, object),
                                      fph_info(FPH_LARGE, 0, UINT32_MAX - 3), 1,
                                      4), 0);
    assert_true(s->moves_begun == begun);
    fpheap_free(heap, object);
    TEST_DESTROY_OVER(heap, &provider);
}

#if FPHEAP_SHARED
static void
of_a_large_object_a_member_has_what_it_still_has(void **state)
{
    fpheap   *heap = test_heap_over(&provider);
    size_t    pages = 8 * FPH_PAGES;
    char     *object = (char *)fpheap_alloc(heap, pages * FPHEAP_PAGE);
    fph_word  taken = pages * FPHEAP_PAGE;
    fph_word *usual = heap->taken;
    unsigned  number = heap->state->number;

    (void)state;
    assert_non_null(object);
    heap->taken = &taken;
    heap->state->number = FPH_SHARED;
    assert_int_equal(fph_large_resize(heap, object,
                                      fph_info_of(heap->state, object),
                                      (pages - FPH_PAGES) * FPHEAP_PAGE), 1);
    heap->state->number = number;
    heap->taken = usual;
    assert_true(fpheap_usable_size(heap, object) < pages * FPHEAP_PAGE);
    assert_int_equal(taken, fpheap_usable_size(heap, object));
    fpheap_free(heap, object);
    TEST_DESTROY_OVER(heap, &provider);
}
#endif

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_size_up_to_64_kib_is_served_as_documented),
        cmocka_unit_test(sizes_up_to_4_mib_are_served_as_documented),
        cmocka_unit_test(sizes_around_every_boundary_are_served_as_documented),
        cmocka_unit_test(usable_bytes_never_shrink_as_the_size_grows),
        cmocka_unit_test(
            a_size_that_is_usable_in_full_is_given_without_rounding),
        cmocka_unit_test(every_alignment_up_to_a_chunk_is_kept),
        cmocka_unit_test(an_alignment_of_a_page_costs_less_than_the_alignment),
        cmocka_unit_test(an_alignment_out_of_range_is_einval),
        cmocka_unit_test(a_chunk_aligned_object_is_an_object_like_any_other),
        cmocka_unit_test(no_size_near_the_top_wraps_into_an_object),
        cmocka_unit_test(the_default_provider_refuses_what_no_machine_has),
        cmocka_unit_test(every_way_serves_every_size_that_the_others_serve),
        cmocka_unit_test(a_product_that_overflows_is_enomem),
        cmocka_unit_test(a_bulk_whose_bytes_overflow_is_enomem),
        cmocka_unit_test(calloc_of_nothing_is_the_smallest_object),
        cmocka_unit_test(
            an_object_of_many_chunks_is_one_piece_and_its_tail_is_apart),
        cmocka_unit_test(an_object_of_65_gib_is_served),
        cmocka_unit_test(
            the_largest_object_is_what_the_tables_cover_less_a_page),
        cmocka_unit_test(zalloc_and_calloc_clear_every_usable_byte),
        cmocka_unit_test(realloc_keeps_the_contents_and_stays_where_it_should),
        cmocka_unit_test(
            aligned_realloc_keeps_the_contents_and_stays_where_it_should),
        cmocka_unit_test(a_pools_object_stays_while_it_fits_and_is_aligned),
        cmocka_unit_test(a_large_object_that_grows_by_little_is_copied_seldom),
        cmocka_unit_test(
            a_large_object_grows_where_it_is_if_the_memory_behind_is_free),
        cmocka_unit_test(
            a_large_object_that_shrinks_gives_back_what_is_behind_it),
        cmocka_unit_test(a_large_object_that_grows_has_an_eighth_to_spare),
        cmocka_unit_test(large_objects_change_their_size_beside_each_other),
        cmocka_unit_test(objects_of_every_size_fill_their_chunks),
        cmocka_unit_test(objects_begin_in_the_chunk_before_the_one_that_came),
        cmocka_unit_test(
            a_large_object_grows_without_slack_where_memory_is_short),
        cmocka_unit_test(a_reallocated_object_can_be_freed_with_its_last_size),
        cmocka_unit_test(
            a_reallocated_aligned_object_can_be_freed_with_its_last_size),
        cmocka_unit_test(a_realloc_that_cannot_be_served_leaves_the_object),
        cmocka_unit_test(a_realloc_to_less_without_memory_leaves_the_object),
        cmocka_unit_test(pointers_from_elsewhere_belong_to_no_object),
        cmocka_unit_test(any_byte_of_any_region_leads_to_its_object_or_to_none),
        cmocka_unit_test(live_objects_never_overlap),
        cmocka_unit_test(a_slab_has_no_more_objects_than_bits),
        cmocka_unit_test(
            a_large_object_has_no_more_pages_than_its_record_can_say),
#if FPHEAP_SHARED
        cmocka_unit_test(of_a_large_object_a_member_has_what_it_still_has),
#endif
        cmocka_unit_test(
            bits_are_counted_to_the_end_of_a_record_and_no_further)
    };

    return cmocka_run_group_tests_name("sizes", tests, NULL, NULL);
}
