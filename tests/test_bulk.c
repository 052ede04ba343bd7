/* test_bulk.c - a bulk gives all of its objects or takes nothing and writes
 * nothing, a burst gives what there is, and a bulk of any mixture, with holes,
 * can be given back.
 */
#define FPHEAP_IMPLEMENTATION
#include "fpheap.h"
#include "test_util.h"

#define LIMIT (6 * FPHEAP_CHUNK)
#define MOST  (20 * FPHEAP_MAGAZINE + (unsigned)(LIMIT / FEW_LEAST) + 4000)

/* Sizes of which LIMIT bytes hold few. */
#define FEW_LEAST (FPHEAP_CHUNK / 1024)
static const size_t few[] = { FEW_LEAST, FPHEAP_PAGE / 7, FPHEAP_PAGE,
                              FPHEAP_CHUNK / 7, FPH_CLASS_MAX + 1,
                              FPHEAP_CHUNK * 3 / 2 };

static test_provider provider;
static void         *objects[MOST];
static test_object   sorted[MOST];
static char          mark;     /* its address is in places not to be written */

static const size_t sizes[] = { 0, 1, 16, 64, 200, 1000, 2048, 9000, 65536,
                                300000, 512 * 1024, 512 * 1024 + 1, 3000000 };

static const unsigned counts[] = {
    0, 1, 2, 3, 7, 8, 9, 31, 32, 33, 63, 64, 65, 255, 256, FPHEAP_MAGAZINE - 1,
    FPHEAP_MAGAZINE, FPHEAP_MAGAZINE + 1, 2 * FPHEAP_MAGAZINE - 1,
    2 * FPHEAP_MAGAZINE, 2 * FPHEAP_MAGAZINE + 1, 3 * FPHEAP_MAGAZINE + 5,
    7 * FPHEAP_MAGAZINE, 20 * FPHEAP_MAGAZINE + 99
};

static void
mark_all(void)
{
    size_t i;

    for (i = 0; i < MOST; i++)
        objects[i] = &mark;
}

static int
all_marked(unsigned from)
{
    size_t i;

    for (i = from; i < MOST; i++)
        if (objects[i] != &mark)
            return 0;
    return 1;
}

/* Exactly n objects of size bytes were given, whole and apart. */
static void
check_given(fpheap *heap, size_t size, unsigned n)
{
    unsigned i;

    for (i = 0; i < n; i++) {
        sorted[i].base = (char *)objects[i];
        sorted[i].bytes = fpheap_usable_size(heap, objects[i]);
        assert_true(sorted[i].bytes >= size);
        assert_int_equal((uintptr_t)objects[i] % 16, 0);
        test_fill(objects[i], 16, i);
    }
    for (i = 0; i < n; i++)
        assert_true(test_filled(objects[i], 16, i));
    assert_true(test_disjoint(sorted, n));
    assert_true(all_marked(n));
}

static int
give(fpheap *heap, unsigned way, size_t size, unsigned n)
{
    switch (way) {
    case 0:
        return fpheap_alloc_bulk(heap, size, objects, n);
    case 1:
        return fpheap_cache_alloc_bulk(fpheap_self(heap), size, objects, n);
    default:
        return fpheap_alloc_burst(heap, size, objects, n) == n ? 0 : -1;
    }
}

static void
take(fpheap *heap, unsigned way, size_t size, unsigned n)
{
    unsigned i;

    switch (way) {
    case 0:
        fpheap_free_bulk_sized(heap, objects, n, size);
        return;
    case 1:
        fpheap_cache_free_bulk_sized(fpheap_self(heap), objects, n, size);
        return;
    case 2:
        fpheap_free_bulk(heap, objects, n);
        return;
    case 3:
        for (i = 0; i < n; i++)
            fpheap_free(heap, objects[i]);
        return;
    default:
        for (i = 0; i < n; i++)
            fpheap_cache_free_sized(fpheap_self(heap), objects[i], size);
        return;
    }
}

static void
every_count_of_every_size_is_given_and_taken_back(void **state)
{
    fpheap  *heap = test_heap_over(&provider);
    unsigned way;
    size_t   s;
    size_t   c;

    (void)state;
    for (s = 0; s < TEST_COUNT(sizes); s++) {
        for (c = 0; c < TEST_COUNT(counts); c++) {
            if (counts[c] * (sizes[s] + 1) > 48 * TEST_MIB)
                continue;
            for (way = 0; way < 15; way++) {
                if (way >= 3 && counts[c] > 300 && (way + s + c) % 4 != 0)
                    continue;
                mark_all();
                assert_int_equal(give(heap, way % 3, sizes[s], counts[c]), 0);
                check_given(heap, sizes[s], counts[c]);
                take(heap, way % 5, sizes[s], counts[c]);
            }
            TEST_CHECK_LIVE(heap, 0);
        }
        (void)fpheap_trim(heap);
        TEST_CHECK_LIVE(heap, 0);
    }
    TEST_DESTROY_OVER(heap, &provider);
}

/* Of sizes up to 4 KiB: neither a slab nor the depot is asked. */
static void
a_burst_of_256_that_came_back_is_taken_from_the_thread(void **state)
{
    fpheap *heap = test_heap_over(&provider);
    size_t  size;

    (void)state;
    for (size = 16; size <= 4096; size = size * 17 / 16 + 1) {
        fph_state         *s = heap->state;
        unsigned           k = fph_class_of(size);
        fpheap_class_stats before, after;
        uint64_t           full;

        assert_int_equal(fpheap_alloc_bulk(heap, size, objects, 256), 0);
        fpheap_free_bulk(heap, objects, 256);
        full = fph_load_relaxed(&s->depots[k].full);
        assert_int_equal(fpheap_class_stats_get(heap, k - 1, &before), 0);
        assert_int_equal(fpheap_alloc_bulk(heap, size, objects, 256), 0);
        assert_int_equal(fpheap_class_stats_get(heap, k - 1, &after), 0);
        assert_int_equal(after.free_objects, before.free_objects);
        assert_int_equal(fph_load_relaxed(&s->depots[k].full), full);
        fpheap_free_bulk(heap, objects, 256);
    }
    TEST_DESTROY_OVER(heap, &provider);
}

static void
a_bulk_of_nothing_does_nothing(void **state)
{
    fpheap *heap = test_heap_over(&provider);
    size_t  s;

    (void)state;
    for (s = 0; s < TEST_COUNT(sizes); s++) {
        assert_int_equal(fpheap_alloc_bulk(heap, sizes[s], NULL, 0), 0);
        assert_int_equal(fpheap_alloc_burst(heap, sizes[s], NULL, 0), 0);
        fpheap_free_bulk_sized(heap, NULL, 0, sizes[s]);
    }
    assert_int_equal(fpheap_alloc_bulk(heap, SIZE_MAX, NULL, 0), 0);
    assert_int_equal(fpheap_alloc_burst(heap, SIZE_MAX, NULL, 0), 0);
    assert_int_equal(
        fpheap_cache_alloc_bulk(fpheap_self(heap), SIZE_MAX, NULL, 0), 0);
    fpheap_free_bulk(heap, NULL, 0);
    fpheap_free_bulk_sized(heap, NULL, 0, SIZE_MAX);
    fpheap_cache_free_bulk_sized(fpheap_self(heap), NULL, 0, 64);
    TEST_CHECK_LIVE(heap, 0);
    assert_int_equal(provider.gets, 1);
    TEST_DESTROY_OVER(heap, &provider);
}

/* Fill a heap with single objects, then give them all back. */
static unsigned
capacity(fpheap *heap, size_t size)
{
    void    *list;
    unsigned n = (unsigned)test_take_all(heap, size, &list);

    assert_int_equal(errno, ENOMEM);
    test_free_all(heap, list);
    return n;
}

static void
a_bulk_that_cannot_be_served_takes_nothing(void **state)
{
    fpheap_stats before;
    fpheap_stats after;
    unsigned     full;
    unsigned     more;
    size_t       s;

    (void)state;
    for (s = 0; s < TEST_COUNT(few); s++) {
        fpheap *heap = test_heap_within(&provider, LIMIT);
        void   *kept = fpheap_alloc(heap, 100);

        full = capacity(heap, few[s]);
        assert_true(full > 0 && full + 65 < MOST);
        for (more = 1; more <= 64; more *= 4) {
            mark_all();
            fpheap_stats_get(heap, &before);
            assert_int_equal(
                fpheap_alloc_bulk(heap, few[s], objects, full + more), -ENOMEM);
            assert_true(all_marked(0));
            assert_int_equal(fpheap_cache_alloc_bulk(
                fpheap_self(heap), few[s], objects, full + more), -ENOMEM);
            assert_true(all_marked(0));
            fpheap_stats_get(heap, &after);
            assert_int_equal(after.live_objects, before.live_objects);
            assert_int_equal(after.live_bytes, before.live_bytes);
            TEST_CHECK_LIVE(heap, 1);
        }
        /* What there is can still be had as one bulk. */
        assert_int_equal(fpheap_alloc_bulk(heap, few[s], objects, full), 0);
        check_given(heap, few[s], full);
        assert_int_equal(fpheap_alloc_bulk(heap, few[s], objects, 1), -ENOMEM);
        fpheap_free_bulk(heap, objects, full);
        assert_int_equal(capacity(heap, few[s]), full);
        fpheap_free(heap, kept);
        TEST_DESTROY_OVER(heap, &provider);
    }
}

/* The array cannot be accessed: to touch it would be a fault. */
static void
a_bulk_above_anything_is_refused_without_a_write(void **state)
{
    fpheap  *heap = test_heap_within(&provider, LIMIT);
    unsigned huge[] = { 10000000, INT_MAX, UINT_MAX - 1, UINT_MAX };
    void    *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS,
                         -1, 0);
    void    *object;
    size_t   s;
    size_t   i;

    (void)state;
    assert_true(page != MAP_FAILED);
    for (s = 0; s < TEST_COUNT(sizes); s++) {
        for (i = 0; i < TEST_COUNT(huge); i++) {
            assert_int_equal(fpheap_alloc_bulk(heap, sizes[s], (void **)page,
                                               huge[i]), -ENOMEM);
            TEST_CHECK_LIVE(heap, 0);
        }
    }
    object = fpheap_alloc(heap, 2048);
    assert_non_null(object);
    fpheap_free(heap, object);
    TEST_DESTROY_OVER(heap, &provider);
    (void)munmap(page, 4096);
}

static void
a_burst_gives_what_there_is(void **state)
{
    unsigned full;
    size_t   s;

    (void)state;
    for (s = 0; s < TEST_COUNT(few); s++) {
        fpheap *heap = test_heap_within(&provider, LIMIT);

        full = capacity(heap, few[s]);
        assert_true(full + 65 < MOST);
        mark_all();
        errno = 0;
        assert_int_equal(fpheap_alloc_burst(heap, few[s], objects, full + 64),
                         full);
        assert_int_equal(errno, ENOMEM);
        check_given(heap, few[s], full);
        errno = 0;
        assert_int_equal(fpheap_alloc_burst(heap, few[s], objects + full, 1),
                         0);
        assert_int_equal(errno, ENOMEM);
        assert_true(all_marked(full));
        TEST_CHECK_LIVE(heap, full);
        fpheap_free_bulk_sized(heap, objects, full, few[s]);
        mark_all();
        assert_int_equal(fpheap_alloc_burst(heap, few[s], objects, full), full);
        check_given(heap, few[s], full);
        fpheap_free_bulk(heap, objects, full);
        TEST_DESTROY_OVER(heap, &provider);
    }
}

static void
holes_in_a_bulk_are_skipped(void **state)
{
    fpheap  *heap = test_heap_over(&provider);
    size_t   holed[] = { 16, 64, 2048, 65536, 524289 };
    unsigned lengths[] = { 1, 2, 3, 8, 33, 200, FPHEAP_MAGAZINE,
                           2 * FPHEAP_MAGAZINE + 3 };
    unsigned pattern;
    size_t   s;
    size_t   c;
    unsigned i;

    (void)state;
    for (s = 0; s < TEST_COUNT(holed); s++) {
        for (c = 0; c < TEST_COUNT(lengths); c++) {
            unsigned n = lengths[c];
            unsigned live = n;

            if (n * holed[s] > 24 * TEST_MIB)
                continue;
            for (pattern = 0; pattern < 6; pattern++) {
                unsigned way;

                for (way = 0; way < 3; way++) {
                    live = 0;
                    for (i = 0; i < n; i++) {
                        int hole = pattern == 0 || (pattern == 1 && i == 0)
                                || (pattern == 2 && i == n - 1)
                                || (pattern == 3 && i % 2 == 0)
                                || (pattern == 4 && i % 2 == 1)
                                || (pattern == 5 && i != n / 2);

                        objects[i] = hole ? NULL : fpheap_alloc(heap, holed[s]);
                        live += !hole;
                    }
                    TEST_CHECK_LIVE(heap, live);
                    take(heap, way, holed[s], n);
                    TEST_CHECK_LIVE(heap, 0);
                }
            }
        }
    }
    TEST_DESTROY_OVER(heap, &provider);
}

static void
a_bulk_of_any_mixture_can_be_freed(void **state)
{
    fpheap     *heap = test_heap_over(&provider);
    test_random random = test_random_of(7);
    unsigned    round;
    unsigned    i;

    (void)state;
    for (round = 0; round < 60 * test_soak(); round++) {
        unsigned n = 1 + (unsigned)test_below(&random, 3000);
        unsigned live = 0;

        for (i = 0; i < n; i++) {
            size_t kind = test_below(&random, 300);

            if (kind == 0)
                objects[i] = fpheap_aligned_alloc(heap, FPHEAP_CHUNK, 1);
            else if (kind == 1)
                objects[i] = fpheap_alloc(heap, test_size(&random, 22));
            else if (kind < 10)
                objects[i] = NULL;
            else
                objects[i] = fpheap_alloc(heap, test_size(&random, 12));
            if (objects[i] != NULL) {
                sorted[live].base = (char *)objects[i];
                sorted[live].bytes = fpheap_usable_size(heap, objects[i]);
                live++;
            }
        }
        assert_true(test_disjoint(sorted, live));
        fpheap_free_bulk(heap, objects, n);
        if (round % 10 == 0)
            TEST_CHECK_LIVE(heap, 0);
    }
    TEST_DESTROY_OVER(heap, &provider);
}

/* Bulks of several sizes and lengths, in any order and in pieces. */
static void
bulks_and_single_objects_mix(void **state)
{
    enum { SLOTS = 64, LONGEST = 700 };
    static void *slots[SLOTS][LONGEST];
    unsigned     length[SLOTS] = { 0 };
    size_t       size[SLOTS] = { 0 };
    fpheap      *heap = test_heap_over(&provider);
    test_random  random = test_random_of(13);
    size_t       live = 0;
    unsigned     steps = 15000 * test_soak();
    unsigned     step;
    unsigned     slot;

    (void)state;
    for (step = 0; step < steps; step++) {
        slot = (unsigned)test_below(&random, SLOTS);
        if (length[slot] == 0) {
            unsigned n = (unsigned)test_below(&random, LONGEST) + 1;

            size[slot] = test_size(&random, 11);
            if (test_below(&random, 3) != 0)
                n = n % 32 + 1;
            assert_int_equal(fpheap_alloc_bulk(heap, size[slot], slots[slot],
                                               n), 0);
            length[slot] = n;
            live += n;
        } else {
            unsigned n = (unsigned)test_below(&random, length[slot]) + 1;
            void   **from = &slots[slot][length[slot] - n];

            if (step % 3 == 0) {
                fpheap_free_bulk(heap, from, n);
            } else if (step % 3 == 1) {
                fpheap_free_bulk_sized(heap, from, n, size[slot]);
            } else {
                fpheap_free_sized(heap, from[n - 1], size[slot]);
                n = 1;
            }
            length[slot] -= n;
            live -= n;
        }
        if (step % 1000 == 0)
            TEST_CHECK_LIVE(heap, live);
    }
    for (slot = 0; slot < SLOTS; slot++)
        fpheap_free_bulk(heap, slots[slot], length[slot]);
    TEST_DESTROY_OVER(heap, &provider);
}

/* The bulk failed, and then there was memory. */
static void
a_burst_is_whole_when_the_provider_recovers(void **state)
{
    fpheap  *heap = test_heap_within(&provider, 0);
    unsigned n = 0, i;

    (void)state;
    for (i = 0; i < 4; i++)
        objects[n++] = fpheap_alloc(heap, FPHEAP_CHUNK);
    provider.fail_from = provider.fail_to = provider.gets + 1;
    assert_int_equal(fpheap_alloc_burst(heap, FPHEAP_CHUNK, &objects[n], 4), 4);
    assert_int_equal(provider.refused, 1);
    TEST_CHECK_LIVE(heap, n + 4);
    fpheap_free_bulk(heap, objects, n + 4);
    TEST_DESTROY_OVER(heap, &provider);
}

static void *theirs[8];

static void
free_eight(test_provider *p)
{
    p->inside_get = NULL;
    fpheap_free_bulk((fpheap *)p->arg, theirs, 8);
}

/* They are served first then, and what was gathered for them is left over, more
 * than a magazine of that size holds. */
static void
what_the_provider_frees_during_a_bulk_is_not_lost(void **state)
{
    fpheap      *heap = test_heap_over(&provider);
    const size_t size = FPHEAP_CHUNK / 32;
    unsigned     round;

    (void)state;
    assert_int_equal(heap->state->classes[fph_class_of(size)].magazine, 4);
    for (round = 0; round < 4; round++) {
        assert_int_equal(fpheap_alloc_bulk(heap, size, theirs, 8), 0);
        fpheap_flush(heap);
        provider.arg = heap;
        provider.inside_get = free_eight;
        assert_int_equal(fpheap_alloc_bulk(heap, size, objects, 400), 0);
        assert_null(provider.inside_get);
        TEST_CHECK_LIVE(heap, 400);
        fpheap_free_bulk(heap, objects, 400);
        (void)fpheap_trim(heap);
    }
    TEST_DESTROY_OVER(heap, &provider);
}

/* --- magazines ------------------------------------------------------------ */

/* Or a bulk, if that is no more than half of one; two objects, at least. */
static void
a_magazine_has_room_for_an_eighth_of_a_chunk(void **state)
{
    size_t size;

    (void)state;
    for (size = 15; size <= FPHEAP_CHUNK;
         size += size < 8192 ? 1 : size / 64) {
        size_t    fill = FPHEAP_CHUNK / 8 / size;
        fph_class klass;

        if (fill < 256 && 256 * size <= FPHEAP_CHUNK / 2)
            fill = 256;
        fph_shape(&klass, size, 16);
        assert_int_equal(klass.magazine, fill < 2 ? 2
                                         : fill > FPHEAP_MAGAZINE
                                         ? FPHEAP_MAGAZINE : fill);
        assert_int_equal(klass.size, size);
        assert_true((uint64_t)klass.inverse * size >= (uint64_t)1 << 32);
        assert_true((uint64_t)(klass.inverse - 1) * size < (uint64_t)1 << 32);
    }
}

static void
a_bin_begins_short_if_its_magazines_are_twice_as_long(void **state)
{
    fpheap   *heap = test_heap_over(&provider);
    unsigned  k = fph_class_of(256);
    fph_class was = heap->state->classes[k];

    (void)state;
    heap->state->classes[k].magazine = 2 * FPH_SHORT;
    assert_int_equal(fph_bin_begins_short(heap->state, k), 1);
    heap->state->classes[k].magazine--;
    assert_int_equal(fph_bin_begins_short(heap->state, k), 0);
    heap->state->classes[k] = was;
    TEST_DESTROY_OVER(heap, &provider);
}

/* To the byte, and not of a size of which one holds few. */
static void
magazines_are_few_in_less_than_a_32nd_of_the_memory(void **state)
{
    const uint64_t took = 100 * sizeof(fph_magazine);
    fpheap        *heap = test_heap_over(&provider);
    fph_state     *s = heap->state;
    unsigned       k = fph_class_of(256);
    fph_class      was = s->classes[k];
    uint64_t       magazines = s->magazines, bytes = s->region_bytes;

    (void)state;
    s->magazines = 100;
    s->classes[k].magazine = FPHEAP_MAGAZINE / 16;
    s->region_bytes = 32 * (took + 1) - 1;
    assert_int_equal(fph_magazines_few(s, k), 0);
    s->region_bytes++;
    assert_int_equal(fph_magazines_few(s, k), 1);
    s->classes[k].magazine--;
    assert_int_equal(fph_magazines_few(s, k), 0);
    s->magazines = magazines;
    s->region_bytes = bytes;
    s->classes[k] = was;
    TEST_DESTROY_OVER(heap, &provider);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_burst_is_whole_when_the_provider_recovers),
        cmocka_unit_test(what_the_provider_frees_during_a_bulk_is_not_lost),
        cmocka_unit_test(every_count_of_every_size_is_given_and_taken_back),
        cmocka_unit_test(a_burst_of_256_that_came_back_is_taken_from_the_thread),
        cmocka_unit_test(a_bulk_of_nothing_does_nothing),
        cmocka_unit_test(a_bulk_that_cannot_be_served_takes_nothing),
        cmocka_unit_test(a_bulk_above_anything_is_refused_without_a_write),
        cmocka_unit_test(a_burst_gives_what_there_is),
        cmocka_unit_test(holes_in_a_bulk_are_skipped),
        cmocka_unit_test(a_bulk_of_any_mixture_can_be_freed),
        cmocka_unit_test(bulks_and_single_objects_mix),
        cmocka_unit_test(a_magazine_has_room_for_an_eighth_of_a_chunk),
        cmocka_unit_test(
            a_bin_begins_short_if_its_magazines_are_twice_as_long),
        cmocka_unit_test(magazines_are_few_in_less_than_a_32nd_of_the_memory)
    };

    return cmocka_run_group_tests_name("bulk", tests, NULL, NULL);
}
