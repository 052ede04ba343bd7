/* test_provider.c - whatever the provider does, the heap survives it: it fails
 * at its first, second, third ... call, once or for ever, under every function;
 * it hands over memory that cannot be used; it takes nothing back.  Each time
 * the caller gets the documented error, nothing is lost, what is refused goes
 * back exactly once, and later calls succeed.  A free never calls the provider.
 */
#include "system_memory.h"

#define FPHEAP_MAX_NODES 8
#define FPHEAP_IMPLEMENTATION
#include "fpheap.h"
#include "test_util.h"

#include <pthread.h>
#include <semaphore.h>
#include <sys/resource.h>

static test_provider provider;

/* --- failing calls -------------------------------------------------------- */

/* What a scenario works with.  A refusal is noted and checked, not fatal. */
typedef struct scene {
    fpheap  *heap;
    int      error;            /* the one error that may be seen */
    unsigned refusals;
    unsigned n;
    void    *objects[4096];
} scene;

static scene the_scene;

static void
refusal(scene *s, int error)
{
    assert_int_equal(error, s->error);
    s->refusals++;
    TEST_CHECK_LIVE(s->heap, s->n);
}

static void
keep(scene *s, void *object)
{
    if (object == NULL) {
        refusal(s, errno);
        return;
    }
    assert_non_null(test_grant_of(&provider, object));
    assert_non_null(test_grant_of(
        &provider,
        (char *)object + fpheap_usable_size(s->heap, object) - 1));
    assert_true(s->n < TEST_COUNT(s->objects));
    s->objects[s->n++] = object;
}

static void
scene_singles(scene *s)
{
    unsigned i;

    for (i = 0; i < 2000; i++)
        keep(s, fpheap_alloc(s->heap, 16 + i * 7 % 9000));
}

static void
scene_zeroed(scene *s)
{
    unsigned i;

    for (i = 0; i < 60; i++) {
        keep(s, fpheap_zalloc(s->heap, 200000));
        keep(s, fpheap_calloc(s->heap, 1000, 100));
    }
}

static void
scene_large(scene *s)
{
    unsigned i;

    for (i = 0; i < 12; i++)
        keep(s, fpheap_alloc(s->heap, 700000 + i * 30000));
}

static void
scene_huge(scene *s)
{
    unsigned i;

    for (i = 1; i < 6; i++)
        keep(s, fpheap_alloc(s->heap, i * FPHEAP_CHUNK + 100));
}

static void
scene_aligned(scene *s)
{
    size_t align;

    for (align = 16; align <= FPHEAP_CHUNK; align *= 2) {
        keep(s, fpheap_aligned_alloc(s->heap, align, 100));
        keep(s, fpheap_aligned_alloc(s->heap, align, 300000));
        keep(s, fpheap_aligned_alloc(s->heap, align, FPHEAP_CHUNK));
    }
}

static void
scene_bulk(scene *s)
{
    size_t   sizes[] = { 64, 2048, 30000, 600000 };
    unsigned counts[] = { 1500, 600, 100, 6 };
    unsigned i;

    for (i = 0; i < 4; i++) {
        void **objects = &s->objects[s->n];
        int    result;

        objects[0] = s;
        result = fpheap_alloc_bulk(s->heap, sizes[i], objects, counts[i]);
        if (result == 0) {
            s->n += counts[i];
        } else {
            assert_ptr_equal(objects[0], s);
            refusal(s, -result);
        }
    }
}

static void
scene_burst(scene *s)
{
    size_t   sizes[] = { 64, 2048, 30000, 600000 };
    unsigned counts[] = { 1500, 600, 100, 6 };
    unsigned i;

    for (i = 0; i < 4; i++) {
        unsigned given = fpheap_alloc_burst(s->heap, sizes[i],
                                            &s->objects[s->n], counts[i]);
        int      error = errno;

        s->n += given;
        if (given != counts[i])
            refusal(s, error);
    }
}

static void
scene_realloc(scene *s)
{
    char  *object = (char *)fpheap_alloc(s->heap, 16);
    size_t size;

    test_fill(object, 16, 16);
    for (size = 64; size < 9 * FPHEAP_CHUNK; size *= 3) {
        size_t old = fpheap_usable_size(s->heap, object);
        char  *moved = (char *)(size % 2 != 0
                                ? fpheap_realloc(s->heap, object, size)
                                : fpheap_aligned_realloc(s->heap, object, 4096,
                                                         size));

        if (moved == NULL) {
            s->n++;            /* object is live, but not in the list */
            refusal(s, errno);
            s->n--;
            assert_int_equal(fpheap_usable_size(s->heap, object), old);
            continue;
        }
        object = moved;
    }
    keep(s, object);
}

static void
scene_reserve(scene *s)
{
    size_t   bytes;
    unsigned i;

    for (bytes = 1; bytes < 10 * FPHEAP_CHUNK; bytes += FPHEAP_CHUNK) {
        int result = fpheap_reserve(s->heap, bytes, FPHEAP_ANY_NODE);

        if (result != 0)
            refusal(s, -result);
    }
    for (i = 0; i < 200; i++)
        keep(s, fpheap_alloc(s->heap, 60000));
}

static void
scene_cache(scene *s)
{
    unsigned i;

    for (i = 0; i < 5; i++) {
        fpheap_cache *cache = fpheap_self(s->heap);
        void         *two[2];
        int           result;

        if (cache == NULL) {
            refusal(s, errno);
            continue;
        }
        keep(s, fpheap_cache_alloc(cache, FPHEAP_CHUNK / 2));
        result = fpheap_cache_alloc_bulk(cache, FPHEAP_CHUNK / 4, two, 2);
        if (result == 0) {
            keep(s, two[0]);
            keep(s, two[1]);
        } else {
            refusal(s, -result);
        }
        fpheap_thread_leave(s->heap);
    }
}

/* Give it all back to the provider and take it again. */
static void
scene_trim(scene *s)
{
    unsigned round;
    unsigned i;

    for (round = 0; round < 3; round++) {
        for (i = 0; i < 40; i++)
            keep(s, fpheap_alloc(s->heap, FPHEAP_CHUNK / 5));
        fpheap_free_bulk(s->heap, s->objects, s->n);
        s->n = 0;
        (void)fpheap_trim(s->heap);
        TEST_CHECK_LIVE(s->heap, 0);
    }
}

static void
scene_on_nodes(scene *s)
{
    unsigned i;

    for (i = 0; i < 300; i++)
        keep(s, fpheap_alloc_on(s->heap, 20000, (int)(i % 3)));
}

typedef struct named_scene {
    const char *name;
    void      (*run)(scene *s);
    unsigned    nodes;
    size_t      growth_max;
} named_scene;

static const named_scene scenes[] = {
    { "singles", scene_singles, 1, 0 },
    { "zeroed", scene_zeroed, 1, FPHEAP_CHUNK },
    { "large", scene_large, 1, FPHEAP_CHUNK },
    { "huge", scene_huge, 1, 0 },
    { "aligned", scene_aligned, 1, FPHEAP_CHUNK },
    { "bulk", scene_bulk, 1, FPHEAP_CHUNK },
    { "burst", scene_burst, 1, FPHEAP_CHUNK },
    { "realloc", scene_realloc, 1, 0 },
    { "reserve", scene_reserve, 1, FPHEAP_CHUNK },
    { "cache", scene_cache, 1, FPHEAP_CHUNK },
    { "trim", scene_trim, 1, FPHEAP_CHUNK },
    { "nodes", scene_on_nodes, 3, FPHEAP_CHUNK }
};

/* Run one scenario in which the calls from `from` to `to` fail.  Returns 0
 * if the run ends before it reaches them. */
static int
run_scene(const named_scene *named, unsigned from, unsigned to, int error,
          test_fault fault, size_t offset)
{
    scene        *s = &the_scene;
    fpheap_config config;

    memset(&config, 0, sizeof(config));
    test_provider_init(&provider);
    provider.fail_from = from;
    provider.fail_to = to;
    provider.error = -error;
    provider.fault = fault;
    provider.offset = offset;
    config.provider = &provider.calls;
    config.nodes = named->nodes;
    config.growth_max = named->growth_max;
    s->error = fault == TEST_GOOD ? error : EFAULT;
    s->refusals = 0;
    s->n = 0;
    s->heap = fpheap_create(named->name, &config);
    if (s->heap == NULL) {
        assert_int_equal(errno, s->error);
        assert_true(provider.refused + provider.faults > 0);
        assert_int_equal(provider.held, 0);
        assert_int_equal(provider.wrong, 0);
        return 1;
    }
    named->run(s);
    /* Whatever failed, every call succeeds once the provider has recovered. */
    provider.fail_from = 0;
    TEST_CHECK_LIVE(s->heap, s->n);
    keep(s, fpheap_alloc(s->heap, FPHEAP_CHUNK));
    keep(s, fpheap_alloc(s->heap, 100));
    fpheap_free_bulk(s->heap, s->objects, s->n);
    (void)fpheap_trim(s->heap);
    TEST_DESTROY_OVER(s->heap, &provider);
    return provider.refused + provider.faults > 0;
}

static void
fail_each_call(const named_scene *named, int for_ever, int error,
               test_fault fault, size_t offset)
{
    unsigned call = 1;

    while (run_scene(named, call, for_ever ? UINT_MAX : call, error, fault,
                     offset))
        call++;
    assert_true(call > 2);     /* the scenario needs the provider at all */
}

static void
a_call_that_fails_once_is_survived_everywhere(void **state)
{
    size_t i;

    (void)state;
    for (i = 0; i < TEST_COUNT(scenes); i++)
        fail_each_call(&scenes[i], 0, i % 2 == 0 ? ENOMEM : ENOSPC, TEST_GOOD,
                       0);
}

static void
a_provider_that_fails_for_ever_is_survived_everywhere(void **state)
{
    size_t i;

    (void)state;
    for (i = 0; i < TEST_COUNT(scenes); i++)
        fail_each_call(&scenes[i], 1, i % 2 == 0 ? ENOMEM : EPERM, TEST_GOOD,
                       0);
}

static void
failures_are_survived_over_unaligned_regions(void **state)
{
    size_t i;

    (void)state;
    for (i = 0; i < TEST_COUNT(scenes); i++) {
        fail_each_call(&scenes[i], 0, ENOMEM, TEST_GOOD, 4096);
        fail_each_call(&scenes[i], 1, ENOMEM, TEST_GOOD, 64);
    }
}

/* A refusal of one call changes nothing for the next: once the provider serves
 * again, what was refused is given. */
/* In place of one less than 0, as the errors are. */
static void
an_error_above_0_is_einval(void **state)
{
    static const int errors[] = { 1, ENODEV, INT_MAX };
    fpheap          *heap = test_heap_over(&provider);
    void            *objects[100];
    unsigned         i;

    (void)state;
    provider.fail_from = 2;
    provider.fail_to = UINT_MAX;
    for (i = 0; i < TEST_COUNT(errors); i++) {
        provider.error = errors[i];
        errno = 0;
        assert_null(fpheap_alloc(heap, 5 * FPHEAP_CHUNK));
        assert_int_equal(errno, EINVAL);
        assert_int_equal(fpheap_alloc_bulk(heap, FPHEAP_CHUNK, objects, 100),
                         -EINVAL);
    }
    TEST_DESTROY_OVER(heap, &provider);
}

static void
what_was_refused_is_given_when_the_provider_recovers(void **state)
{
    size_t   sizes[] = { 1, 2048, FPHEAP_PAGE, FPH_CLASS_MAX + 1,
                         FPHEAP_CHUNK, 5 * FPHEAP_CHUNK };
    void    *objects[100];
    unsigned i;
    size_t   n;

    (void)state;
    for (i = 0; i < TEST_COUNT(sizes); i++) {
        fpheap *heap = test_heap_over(&provider);
        void   *list, *object;

        provider.fail_from = 2;
        provider.fail_to = UINT_MAX;
        provider.error = -ENODEV;
        n = test_take_all(heap, sizes[i], &list);
        assert_int_equal(errno, ENODEV);
        assert_int_equal(fpheap_alloc_bulk(heap, sizes[i], objects, 100),
                         -ENODEV);
        errno = 0;
        assert_int_equal(fpheap_alloc_burst(heap, sizes[i], objects, 100), 0);
        assert_int_equal(errno, ENODEV);
        TEST_CHECK_LIVE(heap, n);
        provider.fail_from = 0;
        object = fpheap_alloc(heap, sizes[i]);
        assert_non_null(object);
        fpheap_free(heap, object);
        assert_int_equal(fpheap_alloc_bulk(heap, sizes[i], objects, 20), 0);
        fpheap_free_bulk(heap, objects, 20);
        test_free_all(heap, list);
        TEST_DESTROY_OVER(heap, &provider);
    }
}

/* --- memory that cannot be used ------------------------------------------- */

/* 1 if such a region can be told from a good one at create. */
static int
is_refused_at_create(test_fault fault)
{
    return fault != TEST_SAME && fault != TEST_INSIDE && fault != TEST_AROUND;
}

static void
bad_memory_at_create_is_efault_and_handed_back_once(void **state)
{
    fpheap_config config;
    unsigned      fault;
    unsigned      i;

    (void)state;
    for (fault = TEST_NO_BASE; fault < TEST_FAULTS; fault++) {
        if (!is_refused_at_create((test_fault)fault))
            continue;
        memset(&config, 0, sizeof(config));
        test_provider_init(&provider);
        provider.fail_from = 1;
        provider.fail_to = UINT_MAX;
        provider.fault = (test_fault)fault;
        config.provider = &provider.calls;
        errno = 0;
        assert_null(fpheap_create("bad", &config));
        assert_int_equal(errno, EFAULT);
        assert_true(provider.faults >= 1);
        assert_int_equal(provider.puts, provider.faults);
        assert_int_equal(provider.held, 0);
        assert_int_equal(provider.wrong, 0);
        /* No slot of the table was lost. */
        for (i = 0; i < 2 * FPHEAP_MAX_HEAPS; i++)
            assert_null(fpheap_create("bad", &config));
        provider.fail_from = 0;
        {
            fpheap *heap = fpheap_create("good", &config);

            assert_non_null(heap);
            TEST_DESTROY_OVER(heap, &provider);
        }
    }
}

/* There is no heap to which it could be charged. */
static void
bad_memory_at_create_that_cannot_be_handed_back_is_forgotten(void **state)
{
    fpheap_config config;
    unsigned      fault;

    (void)state;
    memset(&config, 0, sizeof(config));
    config.provider = &provider.calls;
    for (fault = TEST_NO_BASE; fault < TEST_FAULTS; fault++) {
        if (!is_refused_at_create((test_fault)fault))
            continue;
        test_provider_init(&provider);
        provider.fail_from = 1;
        provider.fail_to = UINT_MAX;
        provider.fault = (test_fault)fault;
        provider.put_error = -EIO;
        errno = 0;
        assert_null(fpheap_create("bad", &config));
        assert_int_equal(errno, EFAULT);
        assert_true(provider.faults >= 1);
        assert_int_equal(provider.puts, provider.faults);
        assert_int_equal(provider.wrong, 0);
        test_provider_drop(&provider);
    }
}

static void
bad_memory_later_is_efault_and_handed_back_once(void **state)
{
    size_t   sizes[] = { 2048, FPHEAP_CHUNK / 2, FPHEAP_CHUNK,
                         3 * FPHEAP_CHUNK };
    unsigned fault;
    unsigned i;

    (void)state;
    for (fault = TEST_NO_BASE; fault < TEST_FAULTS; fault++) {
        for (i = 0; i < TEST_COUNT(sizes); i++) {
            fpheap *heap = test_heap_over(&provider);
            void   *kept = fpheap_alloc(heap, 100); /* with its region */
            void   *list, *object;
            size_t  n;

            provider.fail_from = 2;
            provider.fail_to = UINT_MAX;
            provider.fault = (test_fault)fault;
            n = test_take_all(heap, sizes[i], &list);
            assert_int_equal(errno, EFAULT);
            assert_true(provider.faults > 0);
            assert_int_equal(provider.puts, provider.faults);
            assert_int_equal(provider.held, 1);
            assert_int_equal(provider.wrong, 0);
            TEST_CHECK_LIVE(heap, n + 1);
            errno = 0;
            assert_int_equal(fpheap_reserve(heap, 9 * FPHEAP_CHUNK, 0),
                             -EFAULT);
            assert_int_equal(provider.puts, provider.faults);
            provider.fail_from = 0;
            object = fpheap_alloc(heap, sizes[i]);
            assert_non_null(object);
            fpheap_free(heap, object);
            test_free_all(heap, list);
            fpheap_free(heap, kept);
            TEST_DESTROY_OVER(heap, &provider);
        }
    }
}

static void
bad_memory_is_survived_everywhere(void **state)
{
    unsigned fault;
    size_t   i;

    (void)state;
    for (fault = TEST_NO_BASE; fault < TEST_FAULTS; fault++) {
        for (i = 0; i < TEST_COUNT(scenes); i++) {
            if (!is_refused_at_create((test_fault)fault)
                || (fault + i) % 3 != 0)
                continue;
            fail_each_call(&scenes[i], 1, EFAULT, (test_fault)fault, 0);
        }
    }
}

/* Memory that is handed back more often than it was given would be counted
 * here. */
static void
bad_memory_that_cannot_be_handed_back_is_forgotten(void **state)
{
    fpheap_config config;
    unsigned      fault;

    (void)state;
    for (fault = TEST_NO_BASE; fault < TEST_FAULTS; fault++) {
        fpheap *heap;
        void   *kept;          /* with the first region */
        int     with_put;

        for (with_put = 0; with_put < 2; with_put++) {
            memset(&config, 0, sizeof(config));
            test_provider_init(&provider);
            if (!with_put)
                provider.calls.put = NULL;
            config.provider = &provider.calls;
            heap = fpheap_create("forgets", &config);
            assert_non_null(heap);
            kept = fpheap_alloc(heap, 100);
            provider.fail_from = 2;
            provider.fail_to = UINT_MAX;
            provider.fault = (test_fault)fault;
            provider.put_error = -EIO;
            errno = 0;
            assert_null(fpheap_alloc(heap, 4 * FPHEAP_CHUNK));
            assert_int_equal(errno, EFAULT);
            assert_int_equal(provider.puts,
                             with_put ? provider.faults : 0);
            TEST_CHECK_LIVE(heap, 1);
            provider.put_error = 0;
            fpheap_free(heap, kept);
            TEST_DESTROY(heap);
            assert_int_equal(provider.wrong, 0);
            test_provider_drop(&provider);
        }
    }
}

static void
regions_of_any_base_and_length_are_used_but_for_parts_of_pages(void **state)
{
    size_t offsets[] = { 1, 8, 16, 64, 4096, 12345, FPHEAP_PAGE,
                         FPHEAP_CHUNK / 2, FPHEAP_CHUNK - 1 };
    size_t extras[] = { 0, 1, 4095, FPHEAP_CHUNK - 1, FPHEAP_CHUNK,
                        2 * FPHEAP_CHUNK + 17 };
    size_t i;
    size_t k;

    (void)state;
    for (i = 0; i < TEST_COUNT(offsets); i++) {
        for (k = 0; k < TEST_COUNT(extras); k++) {
            fpheap_config config;
            fpheap_stats  stats;
            scene        *s = &the_scene;

            memset(&config, 0, sizeof(config));
            test_provider_init(&provider);
            provider.offset = offsets[i];
            provider.extra = extras[k];
            config.provider = &provider.calls;
            s->n = 0;
            s->heap = fpheap_create("anywhere", &config);
            assert_non_null(s->heap);
            fpheap_stats_get(s->heap, &stats);
            assert_true(stats.waste_bytes < 2 * FPHEAP_PAGE);
            scene_singles(s);
            scene_huge(s);
            TEST_CHECK_LIVE(s->heap, s->n);
            fpheap_stats_get(s->heap, &stats);
            assert_int_equal(stats.regions, provider.held);
            assert_int_equal(stats.region_bytes, provider.held_bytes);
            fpheap_free_bulk(s->heap, s->objects, s->n);
            TEST_DESTROY_OVER(s->heap, &provider);
        }
    }
}

static void
give_no_more(test_provider *p)
{
    p->extra = 0;
}

/* As memzones do: the region goes beyond the limit and is handed back, and
 * the next one is exactly as long as asked. */
static void
what_is_too_long_for_the_limit_is_asked_for_once_more(void **state)
{
    fpheap_config config;
    fpheap       *heap;
    void         *objects[24];
    unsigned      n = 0;
    fpheap_stats  stats;

    (void)state;
    memset(&config, 0, sizeof(config));
    test_provider_init(&provider);
    config.provider = &provider.calls;
    config.growth_max = FPHEAP_CHUNK;
    config.limit = 5 * FPHEAP_CHUNK;
    heap = fpheap_create("long", &config);
    assert_non_null(heap);
    provider.extra = FPHEAP_CHUNK;
    provider.inside_put = give_no_more;
    while ((objects[n] = fpheap_alloc(heap, FPHEAP_CHUNK / 4)) != NULL)
        assert_true(++n < TEST_COUNT(objects));
    assert_int_equal(errno, ENOSPC);
    assert_int_equal(provider.puts, 1);
    fpheap_stats_get(heap, &stats);
    assert_int_equal(stats.region_bytes, config.limit);
    fpheap_free_bulk(heap, objects, n);
    assert_int_equal(fpheap_trim(heap), config.limit);

    /* It asks once more, but not for ever. */
    provider.inside_put = NULL;
    provider.extra = FPHEAP_CHUNK;
    provider.puts = 0;
    assert_int_equal(fpheap_reserve(heap, 5 * FPHEAP_CHUNK, 0), -ENOSPC);
    assert_in_range(provider.puts, 2, 8);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
a_backing_that_is_none_is_counted_somewhere(void **state)
{
    fpheap_config config;
    fpheap_stats  stats;
    fpheap       *heap;
    int           backing;

    (void)state;
    for (backing = 0; backing < 8; backing++) {
        memset(&config, 0, sizeof(config));
        test_provider_init(&provider);
        provider.backing = (fpheap_backing)backing;
        config.provider = &provider.calls;
        heap = fpheap_create("backing", &config);
        assert_non_null(heap);
        fpheap_stats_get(heap, &stats);
        assert_int_equal(stats.backing_bytes[0] + stats.backing_bytes[1]
                         + stats.backing_bytes[2] + stats.backing_bytes[3],
                         stats.region_bytes);
        if (backing <= FPHEAP_BACKING_HUGETLB)
            assert_int_equal(stats.backing_bytes[backing], stats.region_bytes);
        TEST_DESTROY_OVER(heap, &provider);
    }
}

/* --- giving back ---------------------------------------------------------- */

static void
a_region_that_is_not_taken_back_stays_in_use(void **state)
{
    fpheap      *heap = test_heap_over(&provider);
    void        *objects[20];
    fpheap_stats before;
    fpheap_stats after;
    unsigned     gets;
    unsigned     i;

    (void)state;
    for (i = 0; i < 20; i++)
        objects[i] = fpheap_alloc(heap, FPHEAP_CHUNK);
    fpheap_free_bulk(heap, objects, 20);
    provider.put_error = -EBUSY;
    fpheap_stats_get(heap, &before);
    assert_int_equal(fpheap_trim(heap), 0);
    assert_true(provider.puts > 0);
    fpheap_stats_get(heap, &after);
    assert_int_equal(after.region_bytes, before.region_bytes);
    assert_int_equal(after.regions, before.regions);
    assert_int_equal(after.releases, before.releases);
    TEST_CHECK_LIVE(heap, 0);
    gets = provider.gets;
    for (i = 0; i < 20; i++) {
        objects[i] = fpheap_alloc(heap, FPHEAP_CHUNK);
        assert_non_null(objects[i]);
        memset(objects[i], 1, FPHEAP_CHUNK);
    }
    assert_int_equal(provider.gets, gets);
    fpheap_free_bulk(heap, objects, 20);
    provider.put_error = 0;
    assert_true(fpheap_trim(heap) >= 17 * FPHEAP_CHUNK);
    fpheap_stats_get(heap, &after);
    assert_true(after.regions <= 2); /* the first, and one with records */
    TEST_DESTROY_OVER(heap, &provider);
}

static void
a_provider_without_put_keeps_its_regions_in_use(void **state)
{
    fpheap_config config;
    fpheap       *heap;
    void         *objects[20];
    unsigned      gets;
    unsigned      i;

    (void)state;
    memset(&config, 0, sizeof(config));
    test_provider_init(&provider);
    provider.calls.put = NULL;
    config.provider = &provider.calls;
    heap = fpheap_create("no put", &config);
    assert_non_null(heap);
    assert_int_equal(fpheap_alloc_bulk(heap, FPHEAP_CHUNK, objects, 20), 0);
    fpheap_free_bulk(heap, objects, 20);
    assert_int_equal(fpheap_trim(heap), 0);
    TEST_CHECK_LIVE(heap, 0);
    gets = provider.gets;
    for (i = 0; i < 3; i++) {
        assert_int_equal(fpheap_alloc_bulk(heap, FPHEAP_CHUNK, objects, 20), 0);
        fpheap_free_bulk(heap, objects, 20);
    }
    assert_int_equal(provider.gets, gets);
    TEST_DESTROY(heap);
    assert_int_equal(provider.puts, 0);
    test_provider_drop(&provider);
}

static void
destroy_forgets_what_the_provider_does_not_take(void **state)
{
    fpheap  *heap = test_heap_over(&provider);
    void    *objects[20];
    unsigned held;

    (void)state;
    assert_int_equal(fpheap_alloc_bulk(heap, FPHEAP_CHUNK, objects, 20), 0);
    fpheap_free_bulk(heap, objects, 20);
    provider.put_error = -EIO;
    held = provider.held;
    TEST_DESTROY(heap);
    assert_int_equal(provider.puts, held);
    assert_int_equal(provider.held, held);
    assert_int_equal(provider.wrong, 0);
    test_provider_drop(&provider);
}

/* --- frees ---------------------------------------------------------------- */

/* Threads that make their caches with a free, and keep them until the end. */
typedef struct freers {
    fpheap         *heap;
    pthread_mutex_t end;       /* locked until they may exit */
    sem_t           freed;
    void           *objects[100];
    unsigned        next;
} freers;

static void *
freer(void *arg)
{
    freers *f = (freers *)arg;
    void  **object = &f->objects[f->next];

    switch (f->next++ % 3) {
    case 0:
        fpheap_free(f->heap, *object);
        break;
    case 1:
        fpheap_free_sized(f->heap, *object, 100);
        break;
    default:
        fpheap_free_bulk(f->heap, object, 1);
    }
    (void)sem_post(&f->freed);
    (void)pthread_mutex_lock(&f->end);
    (void)pthread_mutex_unlock(&f->end);
    return NULL;
}

/* A heap on as many nodes as there can be has large caches. */
static fpheap *
heap_that_is_full(freers *f)
{
    fpheap_config config;

    memset(&config, 0, sizeof(config));
    test_provider_init(&provider);
    provider.limit_bytes = 4 * FPHEAP_CHUNK;
    config.provider = &provider.calls;
    config.nodes = FPHEAP_MAX_NODES;
    config.growth_max = FPHEAP_CHUNK;
    f->heap = fpheap_create("full", &config);
    assert_non_null(f->heap);
    assert_int_equal(fpheap_alloc_bulk(f->heap, 100, f->objects, 100), 0);
    return f->heap;
}

/* Not even a thread's first one does: if there is no room for its cache, it
 * goes without. */
static void
a_free_never_calls_the_provider(void **state)
{
    static freers f;
    pthread_t     threads[100];
    void         *rest[64];
    unsigned      calls;
    unsigned      held = 0;
    unsigned      i;
    fpheap       *heap = heap_that_is_full(&f);
    fpheap_stats  stats;

    (void)state;
    while ((rest[held] = fpheap_alloc(heap, FPHEAP_CHUNK / 2 + 1)) != NULL)
        held++;
    provider.limit_bytes = 0;
    calls = provider.gets;
    system_is_out = 1;
    (void)pthread_mutex_init(&f.end, NULL);
    (void)sem_init(&f.freed, 0, 0);
    (void)pthread_mutex_lock(&f.end);
    for (i = 0; i < 100; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, freer, &f), 0);
        while (sem_wait(&f.freed) != 0)
            continue;
    }
    fpheap_stats_get(heap, &stats);
    (void)pthread_mutex_unlock(&f.end);
    for (i = 0; i < 100; i++)
        (void)pthread_join(threads[i], NULL);
    assert_int_equal(provider.gets, calls);
    assert_true(stats.caches < 100);         /* some threads have none */
    TEST_CHECK_LIVE(heap, held);
    fpheap_free_bulk(heap, rest, held);
    assert_int_equal(provider.gets, calls);
    system_is_out = 0;
    TEST_DESTROY_OVER(heap, &provider);
}

/* --- what get is asked for ------------------------------------------------ */

static void
get_is_asked_for_whole_aligned_chunks(void **state)
{
    size_t  sizes[] = { 1, FPHEAP_PAGE + 1, FPHEAP_CHUNK - 1, FPHEAP_CHUNK,
                        7 * FPHEAP_CHUNK + 1 };
    fpheap *heap = test_heap_over(&provider);
    void   *objects[5 * TEST_COUNT(sizes)];
    size_t  i;

    (void)state;
    assert_true(provider.max_asked >= 2 * FPHEAP_CHUNK);
    for (i = 0; i < TEST_COUNT(objects); i++) {
        objects[i] = fpheap_alloc(heap, sizes[i % TEST_COUNT(sizes)]);
        assert_non_null(objects[i]);
    }
    assert_true(provider.max_asked >= 7 * FPHEAP_CHUNK + 1);
    for (i = 0; i < provider.grants; i++)
        assert_int_equal(provider.grant[i].asked % FPHEAP_CHUNK, 0);
    assert_int_equal(provider.wrong, 0);
    fpheap_free_bulk(heap, objects, TEST_COUNT(objects));
    TEST_DESTROY_OVER(heap, &provider);
}

/* A provider with little left can still give that. */
static void
a_step_that_is_too_large_is_asked_for_in_less(void **state)
{
    fpheap *heap = test_heap_over(&provider);
    void   *objects[64];
    unsigned n = 0;

    (void)state;
    provider.limit_bytes = 21 * FPHEAP_CHUNK;
    while (n < 64
           && (objects[n] = fpheap_alloc(heap, FPHEAP_CHUNK / 2 + 1)) != NULL)
        n++;
    assert_int_equal(errno, ENOMEM);
    assert_int_equal(provider.held_bytes, provider.limit_bytes);
    assert_true(n >= 20);
    fpheap_free_bulk(heap, objects, n);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
the_mmap_provider_has_flags_and_refuses_others(void **state)
{
    fpheap_provider calls;
    fpheap_config   config;
    fpheap_stats    stats;
    unsigned        flags;
    unsigned        i;

    (void)state;
    assert_int_equal(fpheap_provider_mmap(&calls, 8), -EINVAL);
    assert_int_equal(fpheap_provider_mmap(&calls, UINT_MAX), -EINVAL);
    for (flags = 0; flags < 8; flags++) {
        fpheap *heap;
        void   *objects[20];

        assert_int_equal(fpheap_provider_mmap(&calls, flags), 0);
        memset(&config, 0, sizeof(config));
        config.provider = &calls;
        heap = fpheap_create("mmap", &config);
        assert_non_null(heap);
        for (i = 0; i < 20; i++) {
            objects[i] = fpheap_alloc(heap, 300000 * i);
            assert_non_null(objects[i]);
            memset(objects[i], 1, 300000 * i);
        }
        fpheap_stats_get(heap, &stats);
        assert_int_equal(stats.backing_bytes[0] + stats.backing_bytes[1]
                         + stats.backing_bytes[2] + stats.backing_bytes[3],
                         stats.region_bytes);
        assert_int_equal(stats.backing_bytes[FPHEAP_BACKING_UNKNOWN], 0);
        if (flags == FPHEAP_NO_THP)
            assert_int_equal(stats.backing_bytes[FPHEAP_BACKING_PAGES],
                             stats.region_bytes);
        /* Of the first 8 MiB most would be hugepages that nobody fills. */
        if ((flags & (FPHEAP_HUGETLB | FPHEAP_HUGETLB_1G)) == 0)
            assert_true(stats.backing_bytes[FPHEAP_BACKING_PAGES]
                        >= 2 * FPHEAP_CHUNK);
        fpheap_free_bulk(heap, objects, 20);
        assert_true(fpheap_trim(heap) > 0 || stats.regions == 1);
        TEST_DESTROY(heap);
    }
}

/* --- the process's own limit ---------------------------------------------- */

static size_t
mapped_bytes(void)
{
    FILE         *in    = fopen("/proc/self/statm", "r");
    unsigned long pages = 0;

    if (in == NULL)
        return 0;
    if (fscanf(in, "%lu", &pages) != 1)
        pages = 0;
    fclose(in);
    return (size_t)pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* Let the process map this many bytes more than it has.  Returns 0 where the
 * limit has no effect, as under an emulator. */
static int
allow_more(size_t bytes, struct rlimit *was)
{
    struct rlimit limit;
    void         *map;

    assert_int_equal(getrlimit(RLIMIT_AS, was), 0);
    limit = *was;
    limit.rlim_cur = mapped_bytes() + bytes;
    assert_int_equal(setrlimit(RLIMIT_AS, &limit), 0);
    map = mmap(NULL, 2 * bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED)
        return 1;
    munmap(map, 2 * bytes);
    assert_int_equal(setrlimit(RLIMIT_AS, was), 0);
    return 0;
}

static void
what_the_process_may_not_map_is_enomem_until_it_may(void **state)
{
    static void  *objects[1000];
    fpheap       *heap = fpheap_create("limited", NULL);
    unsigned      n    = 0;
    struct rlimit was;
    unsigned      i;

    (void)state;
    assert_non_null(heap);
    if (!allow_more(32 * TEST_MIB, &was)) {
        assert_int_equal(fpheap_destroy(heap), 0);
        skip();
    }
    errno = 0;
    while (n < TEST_COUNT(objects)
           && (objects[n] = fpheap_alloc(heap, 100000)) != NULL)
        n++;
    assert_int_equal(errno, ENOMEM);
    assert_true(n > 100 && n < TEST_COUNT(objects));
    assert_int_equal(fpheap_reserve(heap, 64 * TEST_MIB, 0), -ENOMEM);
    assert_null(fpheap_alloc(heap, 64 * TEST_MIB));
    TEST_CHECK_LIVE(heap, n);
    /* All that is there can be freed and allocated again. */
    for (i = 0; i < n; i++)
        memset(objects[i], (int)i, 100000);
    fpheap_free_bulk(heap, objects, n / 2);
    assert_int_equal(fpheap_alloc_bulk(heap, 100000, objects, n / 2), 0);
    TEST_CHECK_LIVE(heap, n);
    assert_int_equal(setrlimit(RLIMIT_AS, &was), 0);
    assert_non_null(objects[n] = fpheap_alloc(heap, 64 * TEST_MIB));
    fpheap_free_bulk(heap, objects, n + 1);
    assert_true(fpheap_trim(heap) >= 64 * TEST_MIB);
    TEST_DESTROY(heap);
}

/* --- memory that the program has ------------------------------------------ */

static void
a_buffer_is_handed_out_once_and_comes_back(void **state)
{
    size_t          bytes = 5 * FPHEAP_CHUNK + 999;
    char           *memory = test_map(bytes + 16);
    fpheap_provider calls;
    fpheap_buffer   buffer;
    fpheap_config   config;
    unsigned        round;

    (void)state;
    assert_non_null(memory);
    memset(&config, 0, sizeof(config));
    fpheap_provider_buffer(&calls, &buffer, memory + 3, bytes);
    config.provider = &calls;
    for (round = 0; round < 3; round++) {
        fpheap *heap = fpheap_create("buffer", &config);
        void   *objects[8];
        unsigned n = 0;

        assert_non_null(heap);
        assert_int_equal(buffer.taken, 1);
        errno = 0;
        assert_null(fpheap_create("second", &config));
        assert_int_equal(errno, ENOMEM);
        while (n < 8 && (objects[n] = fpheap_alloc(heap, FPHEAP_CHUNK / 2 + 1))
                        != NULL) {
            assert_true((char *)objects[n] >= memory + 3);
            assert_true((char *)objects[n] + FPHEAP_CHUNK / 2
                        < memory + 3 + bytes);
            n++;
        }
        assert_int_equal(errno, ENOMEM);
        assert_true(n >= 3);
        fpheap_free_bulk(heap, objects, n);
        TEST_DESTROY(heap);
        assert_int_equal(buffer.taken, 0);
    }
    (void)munmap(memory, bytes + 16);
}

/* Where programs for small machines, and static ones of some, have their data. */
static void
the_chunk_at_address_0_is_like_others(void **state)
{
    char           *low   = (char *)(uintptr_t)0x10000; /* what one may map */
    size_t          bytes = 2 * FPHEAP_CHUNK - 0x10000, n, there = 0;
    char           *memory;
    fpheap_provider calls;
    fpheap_buffer   buffer;
    fpheap_config   config;
    fpheap         *heap;
    static void    *objects[8192];

    (void)state;
    if (FPHEAP_CHUNK < 0x40000)
        skip();
    memory = (char *)mmap(low, bytes, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory != low) {
        (void)munmap(memory, bytes);
        skip();
    }
    memset(&config, 0, sizeof(config));
    fpheap_provider_buffer(&calls, &buffer, memory, bytes);
    config.provider = &calls;
    heap = fpheap_create("low", &config);
    assert_non_null(heap);
    for (n = 0; n < 8192; n++) {
        objects[n] = fpheap_alloc(heap, 20 + n);
        if (objects[n] == NULL)
            break;
        there += (uintptr_t)objects[n] < FPHEAP_CHUNK;
        assert_true(fpheap_owns(heap, objects[n]));
        assert_ptr_equal(fpheap_base_of(heap, objects[n]), objects[n]);
    }
    assert_true(there > 0);
    TEST_CHECK(heap);
    while (n-- > 0)
        fpheap_free(heap, objects[n]);
    TEST_CHECK(heap);
    TEST_DESTROY(heap);
    (void)munmap(memory, bytes);
}

static void
what_is_in_the_providers_memory_does_not_matter(void **state)
{
    size_t          bytes  = 24 * FPHEAP_CHUNK;
    char           *memory = test_map(bytes);
    unsigned        fill[] = { 0xff, 0xa5, 0x01 };
    fpheap_provider calls;
    fpheap_buffer   buffer;
    fpheap_config   config;
    size_t          f;

    (void)state;
    memset(&config, 0, sizeof(config));
    config.provider = &calls;
    for (f = 0; f < TEST_COUNT(fill); f++) {
        fpheap  *heap;
        void    *objects[300];
        unsigned i;

        memset(memory, (int)fill[f], bytes);
        fpheap_provider_buffer(&calls, &buffer, memory, bytes);
        heap = fpheap_create("dirty", &config);
        assert_non_null(heap);
        TEST_CHECK_LIVE(heap, 0);
        for (i = 0; i < 300; i++) {
            size_t size = (i % 30) * (i % 30) * 400 + i;

            objects[i] = fpheap_zalloc(heap, size);
            assert_non_null(objects[i]);
            assert_true(test_all_bytes(objects[i], size, 0));
        }
        TEST_CHECK_LIVE(heap, 300);
        fpheap_free_bulk(heap, objects, 300);
        TEST_DESTROY(heap);
    }
    assert_int_equal(test_unmap(memory, bytes), 0);
}

static void
a_buffer_below_a_chunk_is_refused_and_one_chunk_is_enough(void **state)
{
    char           *memory = test_map(4 * FPHEAP_CHUNK);
    char           *odd = (char *)(((uintptr_t)memory + FPHEAP_CHUNK)
                                   & ~(uintptr_t)(FPHEAP_CHUNK - 1)) + 64;
    size_t          lengths[] = { 0, 1, FPHEAP_PAGE, FPHEAP_CHUNK - 1 };
    fpheap_provider calls;
    fpheap_buffer   buffer;
    fpheap_config   config;
    fpheap         *heap;
    void           *object;
    size_t          i;

    (void)state;
    memset(&config, 0, sizeof(config));
    config.provider = &calls;
    for (i = 0; i < TEST_COUNT(lengths); i++) {
        fpheap_provider_buffer(&calls, &buffer, odd, lengths[i]);
        errno = 0;
        assert_null(fpheap_create("short", &config));
        assert_int_equal(errno, ENOMEM);
        assert_int_equal(buffer.taken, 0);
    }
    fpheap_provider_buffer(&calls, &buffer, odd, FPHEAP_CHUNK);
    heap = fpheap_create("enough", &config);
    assert_non_null(heap);
    object = fpheap_alloc(heap, 64);
    assert_in_range((uintptr_t)object, (uintptr_t)odd,
                    (uintptr_t)odd + FPHEAP_CHUNK - 64);
    fpheap_free(heap, object);
    TEST_DESTROY(heap);
    (void)munmap(memory, 4 * FPHEAP_CHUNK);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_call_that_fails_once_is_survived_everywhere),
    cmocka_unit_test(a_provider_that_fails_for_ever_is_survived_everywhere),
    cmocka_unit_test(failures_are_survived_over_unaligned_regions),
    cmocka_unit_test(an_error_above_0_is_einval),
    cmocka_unit_test(what_was_refused_is_given_when_the_provider_recovers),
    cmocka_unit_test(bad_memory_at_create_is_efault_and_handed_back_once),
    cmocka_unit_test(
        bad_memory_at_create_that_cannot_be_handed_back_is_forgotten),
    cmocka_unit_test(bad_memory_later_is_efault_and_handed_back_once),
    cmocka_unit_test(bad_memory_is_survived_everywhere),
    cmocka_unit_test(bad_memory_that_cannot_be_handed_back_is_forgotten),
    cmocka_unit_test(
        regions_of_any_base_and_length_are_used_but_for_parts_of_pages),
    cmocka_unit_test(what_is_too_long_for_the_limit_is_asked_for_once_more),
    cmocka_unit_test(a_backing_that_is_none_is_counted_somewhere),
    cmocka_unit_test(a_region_that_is_not_taken_back_stays_in_use),
    cmocka_unit_test(a_provider_without_put_keeps_its_regions_in_use),
    cmocka_unit_test(destroy_forgets_what_the_provider_does_not_take),
    cmocka_unit_test(a_free_never_calls_the_provider),
    cmocka_unit_test(get_is_asked_for_whole_aligned_chunks),
    cmocka_unit_test(a_step_that_is_too_large_is_asked_for_in_less),
    cmocka_unit_test(the_mmap_provider_has_flags_and_refuses_others),
    cmocka_unit_test(what_the_process_may_not_map_is_enomem_until_it_may),
    cmocka_unit_test(a_buffer_is_handed_out_once_and_comes_back),
    cmocka_unit_test(the_chunk_at_address_0_is_like_others),
    cmocka_unit_test(what_is_in_the_providers_memory_does_not_matter),
    cmocka_unit_test(a_buffer_below_a_chunk_is_refused_and_one_chunk_is_enough)
};

int
main(void)
{
    return cmocka_run_group_tests_name("provider", tests, NULL, NULL);
}
