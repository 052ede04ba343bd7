/* test_stats.c - every byte of every region is counted once, after any history;
 * the numbers of the classes add up to those of the heap; a walk visits exactly
 * the live objects; trim gives back what is free and reserve has ready what it
 * promised.
 */
#define FPHEAP_IMPLEMENTATION
#include "fpheap.h"
#include "test_util.h"

#define OBJECTS 4000

static test_provider provider;
static test_object   objects[OBJECTS];

/* --- what is known of the live objects ------------------------------------ */

static size_t live_objects;
static size_t live_bytes;

static void
add(fpheap *heap, size_t i, size_t size, size_t align)
{
    test_object *o = &objects[i];

    o->base = align == 0 ? (char *)fpheap_alloc(heap, size)
                         : (char *)fpheap_aligned_alloc(heap, align, size);
    assert_non_null(o->base);
    o->size = size;
    o->bytes = fpheap_usable_size(heap, o->base);
    live_objects++;
    live_bytes += o->bytes;
}

static void
drop(fpheap *heap, size_t i)
{
    test_object *o = &objects[i];

    if (o->base == NULL)
        return;
    fpheap_free(heap, o->base);
    live_objects--;
    live_bytes -= o->bytes;
    o->base = NULL;
    o->bytes = 0;
}

static void
drop_all(fpheap *heap)
{
    size_t i;

    for (i = 0; i < OBJECTS; i++)
        drop(heap, i);
    assert_int_equal(live_objects, 0);
    assert_int_equal(live_bytes, 0);
}

/* --- the walk ------------------------------------------------------------- */

typedef struct visits {
    test_object *seen;
    size_t       count;
    size_t       stop_after;   /* 0: never */
    int          node;
} visits;

static int
visit(void *arg, const fpheap_object *object)
{
    visits *v = (visits *)arg;

    if (v->count < OBJECTS) {
        v->seen[v->count].base = (char *)object->base;
        v->seen[v->count].bytes = object->bytes;
    }
    if (object->node != v->node)
        return 4242;
    v->count++;
    return v->count == v->stop_after ? 17 : 0;
}

static void
check_walk(fpheap *heap)
{
    static test_object seen[OBJECTS];
    static test_object sorted[OBJECTS];
    visits v = { seen, 0, 0, 0 };
    size_t first = OBJECTS - live_objects;
    size_t i;

    assert_int_equal(fpheap_walk(heap, visit, &v), 0);
    assert_int_equal(v.count, live_objects);
    memcpy(sorted, objects, sizeof(sorted));
    qsort(sorted, OBJECTS, sizeof(sorted[0]), test_by_base);
    qsort(seen, v.count, sizeof(seen[0]), test_by_base);
    for (i = 0; i < live_objects; i++) {
        assert_ptr_equal(seen[i].base, sorted[first + i].base);
        assert_int_equal(seen[i].bytes, sorted[first + i].bytes);
    }
}

/* --- the sums ------------------------------------------------------------- */

static void
check_classes(fpheap *heap, const fpheap_stats *stats)
{
    fpheap_class_stats c;
    size_t   last = 0;
    size_t   parked = 0;
    size_t   parked_bytes = 0;
    size_t   free_bytes = 0;
    size_t   class_live = 0;
    size_t   known_live = 0;
    unsigned index;
    size_t   i;

    for (index = 0; fpheap_class_stats_get(heap, index, &c) == 0; index++) {
        assert_true(c.size > last);
        assert_true(c.magazine >= 1 && c.magazine <= FPHEAP_MAGAZINE);
        assert_true(c.slabs > 0
                    || c.live_objects + c.parked_objects + c.free_objects == 0);
        known_live = 0;
        for (i = 0; i < OBJECTS; i++)
            known_live += objects[i].base != NULL && objects[i].bytes == c.size;
        /* Page runs of the same size may come from an aligned allocation. */
        if (c.size < FPHEAP_PAGE)
            assert_int_equal(c.live_objects, known_live);
        else
            assert_true(c.live_objects <= known_live);
        last = c.size;
        class_live += c.live_objects;
        parked += c.parked_objects;
        parked_bytes += c.parked_objects * c.size;
        free_bytes += c.free_objects * c.size;
    }
    /* And the large object that was freed last. */
    assert_true(stats->parked_objects == parked
                || stats->parked_objects == parked + 1);
    if (stats->parked_objects == parked)
        assert_int_equal(parked_bytes, stats->parked_bytes);
    else
        assert_true(stats->parked_bytes > parked_bytes);
    assert_int_equal(free_bytes, stats->slab_free_bytes);
    assert_true(class_live <= stats->live_objects);
    assert_int_equal(last, FPH_CLASS_MAX);
}

static void
check_stats(fpheap *heap)
{
    fpheap_stats stats;

    TEST_CHECK_LIVE(heap, live_objects);
    fpheap_stats_get(heap, &stats);
    assert_int_equal(stats.live_bytes, live_bytes);
    assert_int_equal(stats.region_bytes, provider.held_bytes);
    assert_int_equal(stats.regions, provider.held);
    assert_int_equal(stats.backing_bytes[FPHEAP_BACKING_PAGES],
                     stats.region_bytes);
    assert_true(stats.peak_region_bytes >= stats.region_bytes);
    assert_true(stats.depot_bytes <= stats.parked_bytes);
    assert_int_equal(stats.metadata_bytes, 0);
    /* Regions that are not aligned may be too short: then they went back. */
    if (provider.offset == 0) {
        assert_int_equal(stats.growths, provider.gets - provider.refused);
        assert_int_equal(stats.releases, provider.puts);
    }
    assert_true((stats.growth_failures != 0) == (provider.refused != 0));
    assert_true((stats.parked_bytes == 0) == (stats.parked_objects == 0));
    check_classes(heap, &stats);
    check_walk(heap);
}

/* --- histories ------------------------------------------------------------ */

static void
begin(void)
{
    memset(objects, 0, sizeof(objects));
    live_objects = 0;
    live_bytes = 0;
}

static void
each_size_alone_is_counted_exactly(void **state)
{
    fpheap *heap = test_heap_over(&provider);
    size_t  size;
    size_t  n;
    size_t  i;

    (void)state;
    begin();
    check_stats(heap);
    for (size = 1; size < 5 * TEST_MIB; size += 1 + size / 2) {
        n = 3 * TEST_MIB / size;
        n = n < 2 ? 2 : n > 1500 ? 1500 : n;
        for (i = 0; i < n; i++)
            add(heap, i, size, 0);
        check_stats(heap);
        for (i = 0; i < n; i += 2)
            drop(heap, i);
        check_stats(heap);
        drop_all(heap);
        check_stats(heap);
        if (size % 3 == 0) {
            fpheap_flush(heap);
            check_stats(heap);
        }
        if (size % 5 == 0) {
            (void)fpheap_trim(heap);
            check_stats(heap);
        }
    }
    TEST_DESTROY_OVER(heap, &provider);
}

static void
any_history_is_counted_exactly(void **state)
{
    test_random random = test_random_of(17);
    unsigned    round;
    unsigned    i;

    (void)state;
    for (round = 0; round < 4 * test_soak(); round++) {
        fpheap *heap = test_heap_over(&provider);

        /* Unaligned regions, with ends that are no chunk. */
        if (round % 2 == 1) {
            provider.offset = 4096 * round;
            provider.extra = 12345 * round;
        }
        begin();
        for (i = 0; i < 12000; i++) {
            size_t at = test_below(&random, OBJECTS);
            size_t kind = test_below(&random, 1000);

            if (objects[at].base != NULL)
                drop(heap, at);
            else if (kind < 980)
                add(heap, at, test_size(&random, 13), 0);
            else if (kind < 990)
                add(heap, at, test_size(&random, 22), 0);
            else if (kind < 994)
                add(heap, at, test_size(&random, 18),
                    (size_t)1 << test_below(&random, FPHEAP_CHUNK_SHIFT + 1));
            else if (kind == 994)
                fpheap_flush(heap);
            else if (kind == 995)
                (void)fpheap_trim(heap);
            else if (kind == 996)
                fpheap_thread_leave(heap);
            if (i % 250 == 0)
                check_stats(heap);
        }
        check_stats(heap);
        drop_all(heap);
        check_stats(heap);
        TEST_DESTROY_OVER(heap, &provider);
    }
}

static void
what_is_parked_is_counted_apart_from_what_is_free(void **state)
{
    fpheap      *heap = test_heap_over(&provider);
    fpheap_stats stats;
    size_t       i;

    (void)state;
    begin();
    for (i = 0; i < OBJECTS; i++)
        add(heap, i, 2048, 0);
    drop_all(heap);
    check_stats(heap);
    fpheap_stats_get(heap, &stats);
    assert_true(stats.parked_bytes > 0);
    assert_int_equal(stats.caches, 1);
    fpheap_flush(heap);
    check_stats(heap);
    fpheap_stats_get(heap, &stats);
    /* Nothing is left in the cache; the depots have full magazines only. */
    assert_int_equal(stats.parked_bytes, stats.depot_bytes);
    fpheap_thread_leave(heap);
    check_stats(heap);
    fpheap_stats_get(heap, &stats);
    assert_int_equal(stats.caches, 0);
    (void)fpheap_trim(heap);
    check_stats(heap);
    fpheap_stats_get(heap, &stats);
    assert_int_equal(stats.parked_bytes, 0);
    assert_int_equal(stats.parked_objects, 0);
    assert_int_equal(stats.slab_free_bytes, 0);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
a_heap_without_objects_has_a_small_and_constant_cost(void **state)
{
    fpheap      *heap = test_heap_over(&provider);
    fpheap_stats stats;

    (void)state;
    begin();
    check_stats(heap);
    fpheap_stats_get(heap, &stats);
    assert_int_equal(stats.growths, 1);
    assert_int_equal(stats.regions, 1);
    assert_int_equal(stats.live_bytes, 0);
    assert_int_equal(stats.caches, 0);
    assert_int_equal(stats.region_bytes, stats.peak_region_bytes);
    assert_int_equal(stats.page_free_bytes, stats.region_bytes);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
the_peak_stays_when_the_regions_go(void **state)
{
    fpheap      *heap = test_heap_over(&provider);
    fpheap_stats stats;
    size_t       peak;

    (void)state;
    begin();
    add(heap, 0, 50 * TEST_MIB, 0);
    fpheap_stats_get(heap, &stats);
    peak = stats.peak_region_bytes;
    assert_int_equal(peak, provider.held_bytes);
    drop_all(heap);
    assert_true(fpheap_trim(heap) >= 50 * TEST_MIB);
    fpheap_stats_get(heap, &stats);
    assert_int_equal(stats.peak_region_bytes, peak);
    assert_true(stats.region_bytes < peak);
    add(heap, 0, 90 * TEST_MIB, 0);
    fpheap_stats_get(heap, &stats);
    assert_true(stats.peak_region_bytes > peak);
    drop_all(heap);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
a_class_that_is_none_is_einval_and_nothing_is_written(void **state)
{
    fpheap            *heap = test_heap_over(&provider);
    fpheap_class_stats c;
    fpheap_class_stats kept;
    unsigned           n = 0;

    (void)state;
    while (fpheap_class_stats_get(heap, n, &c) == 0)
        n++;
    assert_true(n >= 50);
    memset(&c, 0x5a, sizeof(c));
    kept = c;
    assert_int_equal(fpheap_class_stats_get(heap, n, &c), -EINVAL);
    assert_int_equal(fpheap_class_stats_get(heap, n + 1, &c), -EINVAL);
    assert_int_equal(fpheap_class_stats_get(heap, UINT_MAX, &c), -EINVAL);
    assert_memory_equal(&c, &kept, sizeof(c));
    TEST_DESTROY_OVER(heap, &provider);
}

static fpheap      *asked;
static fpheap_pool *asked_pool;

static void
tell_heap(void *stats, size_t bytes)
{
    fpheap_stats_get_sized(asked, (fpheap_stats *)stats, bytes);
}

static void
tell_class(void *stats, size_t bytes)
{
    assert_int_equal(fpheap_class_stats_get_sized(
        asked, 0, (fpheap_class_stats *)stats, bytes), 0);
}

static void
tell_pool(void *stats, size_t bytes)
{
    fpheap_pool_stats_get_sized(asked_pool, (fpheap_pool_stats *)stats, bytes);
}

static void
statistics_are_told_to_programs_of_any_version(void **state)
{
    fpheap_pool_desc desc = { .name = "asked", .size = 100, .min = 50 };
    void            *object;
    unsigned char    none[64];

    (void)state;
    asked = test_heap_over(&provider);
    asked_pool = fpheap_pool_create(asked, &desc);
    object = fpheap_alloc(asked, 1);
    assert_true(asked_pool != NULL && object != NULL);
    test_told(tell_heap, sizeof(fpheap_stats));
    test_told(tell_class, sizeof(fpheap_class_stats));
    test_told(tell_pool, sizeof(fpheap_pool_stats));
    memset(none, 0xa5, sizeof(none));
    assert_int_equal(fpheap_class_stats_get_sized(
        asked, UINT_MAX, (fpheap_class_stats *)(void *)none, sizeof(none)),
                     -EINVAL);
    assert_true(test_all_bytes(none, sizeof(none), 0xa5));
    fpheap_free(asked, object);
    TEST_DESTROY_OVER(asked, &provider);
}

static void
statistics_say_their_size(void **state)
{
    fpheap_pool_desc   desc = { .name = "sizes", .size = 100 };
    fpheap            *heap = test_heap_over(&provider);
    fpheap_pool       *pool = fpheap_pool_create(heap, &desc);
    fpheap_stats       stats;
    fpheap_class_stats class_stats;
    fpheap_pool_stats  pool_stats;

    (void)state;
    assert_non_null(pool);
    memset(&stats, 0xa5, sizeof(stats));
    memset(&class_stats, 0xa5, sizeof(class_stats));
    memset(&pool_stats, 0xa5, sizeof(pool_stats));
    fpheap_stats_get(heap, &stats);
    assert_int_equal(fpheap_class_stats_get(heap, 0, &class_stats), 0);
    fpheap_pool_stats_get(pool, &pool_stats);
    assert_int_equal(stats.struct_bytes, sizeof(stats));
    assert_int_equal(class_stats.struct_bytes, sizeof(class_stats));
    assert_int_equal(pool_stats.struct_bytes, sizeof(pool_stats));
    TEST_DESTROY_OVER(heap, &provider);
}

static void
a_walk_ends_when_the_visitor_says_so(void **state)
{
    static test_object seen[OBJECTS];
    fpheap *heap = test_heap_over(&provider);
    visits  v = { seen, 0, 0, 0 };
    size_t  i;

    (void)state;
    begin();
    assert_int_equal(fpheap_walk(heap, visit, &v), 0);
    assert_int_equal(v.count, 0);
    for (i = 0; i < 100; i++)
        add(heap, i, i * 9000, 0);
    for (i = 1; i <= 100; i++) {
        v.count = 0;
        v.stop_after = i;
        assert_int_equal(fpheap_walk(heap, visit, &v), 17);
        assert_int_equal(v.count, i);
    }
    drop_all(heap);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
a_thread_parks_two_magazines_of_a_size(void **state)
{
    static void *many[2048];
    unsigned     k, reached = 0;

    (void)state;
    for (k = 1; k < FPH_SIZES; k++) {
        fpheap      *heap = test_heap_over(&provider);
        size_t       size = heap->state->classes[k].size;
        unsigned     n    = size < 4096 ? 2048 : 300;
        size_t       most = FPHEAP_CHUNK / 4;
        fpheap_stats stats;
        size_t       cached;

        if (most < 4 * size)
            most = 4 * size;
        if (most < 512 * size && size <= FPHEAP_CHUNK / 512)
            most = 512 * size;
        assert_int_equal(fpheap_alloc_bulk(heap, size, many, n), 0);
        fpheap_free_bulk(heap, many, n);
        fpheap_stats_get(heap, &stats);
        cached = stats.parked_bytes - stats.depot_bytes;
        assert_true(cached != 0 && cached <= most);
        reached += cached == most;
        TEST_DESTROY_OVER(heap, &provider);
    }
    assert_true(reached != 0);
}

/* --- trim ----------------------------------------------------------------- */

static void
trim_gives_back_every_region_that_is_free(void **state)
{
    size_t       sizes[] = { 64, 2048, 60000, 600000, 7000000 };
    fpheap_stats before;
    fpheap_stats after;
    size_t       s;
    size_t       i;

    (void)state;
    for (s = 0; s < TEST_COUNT(sizes); s++) {
        fpheap  *heap = test_heap_over(&provider);
        size_t   n = 100 * TEST_MIB / sizes[s];
        size_t   given;

        begin();
        n = n < OBJECTS ? n : OBJECTS;
        for (i = 0; i < n; i++)
            add(heap, i, sizes[s], 0);
        drop_all(heap);
        fpheap_stats_get(heap, &before);
        given = fpheap_trim(heap);
        fpheap_stats_get(heap, &after);
        assert_int_equal(before.region_bytes - after.region_bytes, given);
        assert_int_equal(after.region_bytes, provider.held_bytes);
        assert_int_equal(after.releases, provider.puts);
        assert_int_equal(after.regions, 0);
        assert_int_equal(after.region_bytes, 0);
        check_stats(heap);
        assert_int_equal(fpheap_trim(heap), 0);
        check_stats(heap);
        TEST_DESTROY_OVER(heap, &provider);
    }
}

/* The regions of the table are of different lengths; one object in the last. */
static void
a_live_object_keeps_its_whole_region_and_no_other(void **state)
{
    fpheap     *heap = test_heap_over(&provider);
    test_grant *grant;
    size_t      i;

    (void)state;
    begin();
    for (i = 0; i < 100; i++)
        add(heap, i, TEST_MIB, 0);
    grant = test_grant_of(&provider, objects[99].base);
    assert_true(grant != &provider.grant[0]);
    for (i = 0; i < 99; i++)
        drop(heap, i);
    (void)fpheap_trim(heap);
    assert_int_equal(grant->held, 1);
    assert_int_equal(provider.held, 1);
    check_stats(heap);
    drop_all(heap);
    (void)fpheap_trim(heap);
    assert_int_equal(provider.held, 0);
    TEST_DESTROY_OVER(heap, &provider);
}

static int
by_number(const void *a, const void *b)
{
    size_t one = *(const size_t *)a;
    size_t other = *(const size_t *)b;

    return (one > other) - (one < other);
}

/* How many chunks have live objects, or slabs of these. */
static size_t
chunks_in_use(const fpheap *heap)
{
    static size_t chunks[4 * OBJECTS];
    size_t        n = 0, different = 0;
    size_t        i;

    for (i = 0; i < OBJECTS; i++) {
        const fph_slab *record = objects[i].base == NULL ? NULL
                               : fph_record_of(heap->state, objects[i].base);
        size_t          pages = fph_info_pages(heap->state,
                                               fph_info_load(record));
        size_t          page;

        for (page = 0; page < pages; page++)
            if (page == 0 || (record->page + page) % FPH_PAGES == 0) {
                assert_true(n < TEST_COUNT(chunks));
                chunks[n++] = (record->page + page) / FPH_PAGES;
            }
    }
    qsort(chunks, n, sizeof chunks[0], by_number);
    for (i = 0; i < n; i++)
        different += i == 0 || chunks[i] != chunks[i - 1];
    return different;
}

/* Where chunks can go one by one; whatever the order in which sizes come. */
static void
trim_leaves_chunks_with_live_objects_and_no_other(void **state)
{
    size_t       sizes[] = { 64, 2048, 60000, 600000, 7000000, 0 };
    size_t       most[] = { 3, 30, 300 };
    test_random  random = test_random_of(53);
    fpheap_stats stats;
    size_t       s;

    (void)state;
    test_needs_parts();
    for (s = 0; s < TEST_COUNT(sizes) * TEST_COUNT(most); s++) {
        size_t  size = sizes[s % TEST_COUNT(sizes)];
        size_t  left = most[s / TEST_COUNT(sizes)] * TEST_MIB;
        fpheap *heap = fpheap_create(NULL, NULL);
        size_t  i;

        begin();
        for (i = 0; i < OBJECTS && left > 0; i++) {
            size_t bytes = size != 0 ? size : test_size(&random, 20);

            add(heap, i, bytes, 0);
            left -= bytes < left ? bytes : left;
        }
        while (live_objects > 0) {
            for (i = 0; i < OBJECTS; i++)
                if (objects[i].base != NULL
                    && (live_objects < 10 || test_below(&random, 20) != 0))
                    drop(heap, i);
            (void)fpheap_trim(heap);
            fpheap_stats_get(heap, &stats);
            assert_int_equal(stats.region_bytes,
                             chunks_in_use(heap) * FPHEAP_CHUNK);
            TEST_CHECK_LIVE(heap, live_objects);
        }
        TEST_DESTROY(heap);
    }
}

static void
trim_keeps_what_is_live(void **state)
{
    fpheap     *heap = test_heap_over(&provider);
    test_random random = test_random_of(23);
    size_t      i;

    (void)state;
    begin();
    for (i = 0; i < 1000; i++)
        add(heap, i, test_size(&random, 17), 0);
    for (i = 0; i < 1000; i++)
        if (i % 10 != 0)
            drop(heap, i);
    for (i = 0; i < 1000; i += 10)
        test_fill(objects[i].base, objects[i].bytes, i);
    (void)fpheap_trim(heap);
    check_stats(heap);
    for (i = 0; i < 1000; i += 10)
        assert_true(test_filled(objects[i].base, objects[i].bytes, i));
    drop_all(heap);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
trim_and_growth_again_is_stable(void **state)
{
    fpheap  *heap = test_heap_over(&provider);
    size_t   first = 0;
    unsigned round;
    size_t   i;

    (void)state;
    begin();
    for (round = 0; round < 30; round++) {
        for (i = 0; i < 2000; i++)
            add(heap, i, 10000, 0);
        drop_all(heap);
        (void)fpheap_trim(heap);
        check_stats(heap);
        if (round == 1)
            first = provider.held_bytes;
        if (round > 1)
            assert_int_equal(provider.held_bytes, first);
    }
    TEST_DESTROY_OVER(heap, &provider);
}

/* What a region leaves behind serves another one, longer or shorter. */
static void
regions_of_any_length_follow_each_other(void **state)
{
    fpheap     *heap = test_heap_over(&provider);
    test_random random = test_random_of(37);
    unsigned    round;
    size_t      i;

    (void)state;
    begin();
    for (round = 0; round < 60 * test_soak(); round++) {
        size_t n = 1 + test_below(&random, 6);

        if (provider.grants > TEST_GRANTS / 2)
            break;
        for (i = 0; i < n; i++)
            add(heap, i, test_below(&random, 20 * FPHEAP_CHUNK), 0);
        for (; i < n + 200; i++)
            add(heap, i, test_size(&random, 14), 0);
        check_stats(heap);
        for (i = 0; i < n + 200; i++)
            if (test_below(&random, 3) != 0)
                drop(heap, i);
        (void)fpheap_trim(heap);
        check_stats(heap);
        drop_all(heap);
        if (round % 4 != 0)
            (void)fpheap_trim(heap);
    }
    TEST_DESTROY_OVER(heap, &provider);
}

/* --- reserve -------------------------------------------------------------- */

/* What is promised is pages.  Objects that are small against a page get all but
 * the chunks' headers; slabs of several pages do not fit into every gap. */
static void
what_is_reserved_is_allocated_without_the_provider(void **state)
{
    size_t small = FPHEAP_CHUNK / 1024;
    size_t sizes[] = { 64, small / 2, small, FPHEAP_PAGE / 2, FPHEAP_PAGE };
    size_t amounts[] = { 1, FPHEAP_PAGE, FPHEAP_CHUNK, 10 * FPHEAP_CHUNK,
                         33 * FPHEAP_CHUNK + 5 };
    size_t s;
    size_t a;

    (void)state;
    for (s = 0; s < TEST_COUNT(sizes); s++) {
        for (a = 0; a < TEST_COUNT(amounts); a++) {
            fpheap  *heap = test_heap_over(&provider);
            void    *list = NULL;
            size_t   taken = 0;
            unsigned gets;

            assert_int_equal(fpheap_reserve(heap, amounts[a], 0), 0);
            TEST_CHECK_LIVE(heap, 0);
            gets = provider.gets;
            while (taken + amounts[a] / (sizes[s] > small ? 2 : 256) + sizes[s]
                   <= amounts[a]) {
                void *object = fpheap_alloc(heap, sizes[s]);

                assert_non_null(object);
                test_push(&list, object);
                taken += sizes[s];
            }
            assert_int_equal(provider.gets, gets);
            test_free_all(heap, list);
            TEST_DESTROY_OVER(heap, &provider);
        }
    }
}

/* Free pages, of which META has none. */
static size_t
free_pages(const fpheap *heap)
{
    const fph_chunk *chunk;
    size_t           at = 0, sum = 0;

    while ((chunk = fph_chunk_next(heap->state, &at)) != NULL)
        sum += fph_popcount(heap->state->free[chunk - heap->state->chunks]);
    return sum;
}

/* However little the provider has beyond it, and what their records take. */
static void
a_reserve_is_never_eaten_by_its_magazines(void **state)
{
    size_t chunks, pages, less;

    (void)state;
    for (chunks = 2; chunks < 14; chunks += 3)
        for (less = 0; less < 3; less++) {
            fpheap *heap = test_heap_within(&provider, chunks * FPHEAP_CHUNK);

            pages = chunks * FPH_PAGES - 2 - less * less
                  - (chunks * sizeof(fph_records) + FPH_GUARDS) / FPHEAP_PAGE;
            assert_int_equal(fpheap_reserve(heap, pages * FPHEAP_PAGE, 0), 0);
            assert_true(free_pages(heap) >= pages);
            TEST_DESTROY_OVER(heap, &provider);
            heap = test_heap_over(&provider);
            assert_int_equal(fpheap_reserve(heap, pages * FPHEAP_PAGE, 0), 0);
            assert_true(free_pages(heap) >= pages);
            assert_true(heap->state->magazines >= pages / (FPH_PAGES / 8));
            TEST_DESTROY_OVER(heap, &provider);
        }
}

static void
what_is_free_already_counts_as_reserved(void **state)
{
    fpheap  *heap = test_heap_over(&provider);
    unsigned gets;
    size_t   bytes;

    (void)state;
    assert_int_equal(fpheap_reserve(heap, 20 * FPHEAP_CHUNK, 0), 0);
    gets = provider.gets;
    assert_true(gets > 1);
    for (bytes = 0; bytes <= 20 * FPHEAP_CHUNK; bytes += FPHEAP_CHUNK)
        assert_int_equal(fpheap_reserve(heap, bytes, FPHEAP_ANY_NODE), 0);
    assert_int_equal(provider.gets, gets);
    assert_int_equal(fpheap_reserve(heap, 60 * FPHEAP_CHUNK, 0), 0);
    assert_true(provider.gets > gets);
    TEST_DESTROY_OVER(heap, &provider);
}

/* Pages of 4 KiB of a chunk that are present, of those heap pages whose bits are
 * set. */
static unsigned
present_pages(const fph_chunk *chunk, uint64_t pages)
{
    static unsigned char in[FPHEAP_CHUNK / 4096];
    const size_t per     = FPHEAP_PAGE / 4096;
    unsigned     present = 0;
    size_t       p;

    assert_int_equal(mincore((void *)fph_chunk_address(chunk), FPHEAP_CHUNK, in),
                     0);
    for (p = 0; p < FPHEAP_CHUNK / 4096; p++)
        present += pages >> p / per & in[p] & 1;
    return present;
}

static void
what_is_reserved_is_touched(void **state)
{
    fpheap          *heap = test_heap_over(&provider);
    size_t           absent = 0, seen = 0, at = 0;
    const fph_chunk *chunk;
    unsigned         i;

    (void)state;
    assert_int_equal(fpheap_reserve(heap, 30 * TEST_MIB, 0), 0);
    while ((chunk = fph_chunk_next(heap->state, &at)) != NULL) {
        uint64_t free_word = heap->state->free[chunk - heap->state->chunks];

        assert_int_equal(present_pages(chunk, free_word),
                         fph_popcount(free_word) * (FPHEAP_PAGE / 4096));
        seen += fph_popcount(free_word);
    }
    assert_true(seen * FPHEAP_PAGE >= 30 * TEST_MIB);
    for (i = 0; i < provider.grants; i++) {
        size_t         pages = provider.grant[i].region.bytes / 4096;
        unsigned char *in = (unsigned char *)malloc(pages);
        size_t         p;

        assert_non_null(in);
        assert_int_equal(mincore(provider.grant[i].region.base, pages * 4096,
                                 in), 0);
        for (p = 0; p < pages; p++)
            absent += (in[p] & 1) == 0;
        free(in);
    }
    /* More than was reserved may have been obtained. */
    assert_true(provider.held_bytes - absent * 4096 >= 30 * TEST_MIB);
    TEST_DESTROY_OVER(heap, &provider);
}

/* Of a chunk that has objects: all of each page that is free, and nothing of the
 * object. */
static void
what_is_reserved_in_chunks_in_use_is_touched_too(void **state)
{
    fpheap          *heap = test_heap_over(&provider);
    char            *object = (char *)fpheap_alloc(heap, FPH_CLASS_MAX + 1);
    const fph_chunk *chunk = fph_chunk_of(heap->state, object);
    const fph_word  *word = &heap->state->free[chunk - heap->state->chunks];
    uint64_t         free = *word;
    uint64_t         others = ~free & ~chunk->meta;
    unsigned         present = present_pages(chunk, others);

    (void)state;
    assert_true(fph_popcount(free) > FPH_PAGES / 2);
    assert_int_equal(fpheap_reserve(heap, FPHEAP_CHUNK / 4, 0), 0);
    free = *word;
    assert_true(fph_popcount(free) > FPH_PAGES / 2);
    assert_int_equal(present_pages(chunk, free),
                     fph_popcount(free) * (FPHEAP_PAGE / 4096));
    assert_int_equal(present_pages(chunk, others), present);
    fpheap_free(heap, object);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
what_was_reserved_and_is_not_used_can_be_trimmed(void **state)
{
    fpheap *heap = test_heap_over(&provider);

    (void)state;
    assert_int_equal(fpheap_reserve(heap, 30 * FPHEAP_CHUNK, 0), 0);
    assert_true(fpheap_trim(heap) >= 25 * FPHEAP_CHUNK);
    TEST_CHECK_LIVE(heap, 0);
    assert_true(provider.held_bytes <= 4 * FPHEAP_CHUNK);
    assert_int_equal(fpheap_reserve(heap, 30 * FPHEAP_CHUNK, 0), 0);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
a_reserve_that_fails_keeps_what_it_got(void **state)
{
    fpheap      *heap = test_heap_within(&provider, 10 * FPHEAP_CHUNK);
    fpheap_stats stats;

    (void)state;
    assert_int_equal(fpheap_reserve(heap, 40 * FPHEAP_CHUNK, 0), -ENOMEM);
    TEST_CHECK_LIVE(heap, 0);
    fpheap_stats_get(heap, &stats);
    assert_int_equal(stats.region_bytes, provider.held_bytes);
    assert_int_equal(fpheap_reserve(heap, 1, -2), -EINVAL);
    assert_int_equal(fpheap_reserve(heap, 1, 1), -EINVAL);
    assert_int_equal(fpheap_reserve(heap, 1, INT_MAX), -EINVAL);
    assert_int_equal(fpheap_reserve(heap, 1, INT_MIN), -EINVAL);
    TEST_DESTROY_OVER(heap, &provider);
}

/* --- growth --------------------------------------------------------------- */

static fpheap *
heap_with_step(size_t growth_max)
{
    fpheap_config config;
    fpheap       *heap;

    memset(&config, 0, sizeof(config));
    test_provider_init(&provider);
    config.provider = &provider.calls;
    config.growth_max = growth_max;
    heap = fpheap_create("steps", &config);
    assert_non_null(heap);
    begin();
    return heap;
}

static void
steps_of_growth_stay_within_the_largest(void **state)
{
    size_t   most[] = { 1, 2, 3, 7, 16 };
    unsigned n      = sizeof(void *) < 8 ? 150 : 400; /* of 10 MiB addresses */
    size_t   m;
    unsigned i;

    (void)state;
    for (m = 0; m < TEST_COUNT(most); m++) {
        fpheap *heap = heap_with_step(most[m] * FPHEAP_CHUNK);

        for (i = 0; i < n; i++)
            add(heap, i, FPHEAP_CHUNK / 2 + 1, 0);
        for (i = 1; i < provider.grants; i++)
            assert_true(provider.grant[i].asked <= most[m] * FPHEAP_CHUNK);
        check_stats(heap);
        drop_all(heap);
        TEST_DESTROY_OVER(heap, &provider);
    }
}

static void
a_step_of_growth_is_a_gigabyte_at_most_by_default(void **state)
{
    fpheap  *heap = test_heap_over(&provider);
    uint64_t usual = heap->state->region_bytes;

    (void)state;
    heap->state->region_bytes = (uint64_t)3 << 30;
    assert_int_equal(fph_growth_step(heap) * FPHEAP_CHUNK,
                     (uint64_t)3 << 26);
    if (sizeof(size_t) > 4)
        heap->state->region_bytes = (uint64_t)1 << 40;
    assert_int_equal(heap->growth_max, (size_t)1 << 30);
    assert_true(fph_growth_step(heap) * FPHEAP_CHUNK <= (size_t)1 << 30);
    heap->state->region_bytes = usual;
    TEST_DESTROY_OVER(heap, &provider);
}

/* A provider of few large pieces, as memzones are, must not run out of them. */
static void
growth_needs_few_regions_and_little_more_than_is_used(void **state)
{
    fpheap      *heap = heap_with_step(0);
    fpheap_stats stats;
    unsigned     i;

    (void)state;
    for (i = 0; i < 500; i++) {
        add(heap, i, FPHEAP_CHUNK / 2 + 1, 0);
        assert_true(provider.held_bytes
                    <= (i + 5) * (FPHEAP_CHUNK / 8 * 9) + 2 * FPHEAP_CHUNK);
    }
    assert_true(provider.held <= 80);
    fpheap_stats_get(heap, &stats);
    assert_true(stats.growth_max_ns > 0);
    check_stats(heap);
    drop_all(heap);
    TEST_DESTROY_OVER(heap, &provider);
}

/* The limit is on steps, not on objects. */
static void
an_object_above_the_largest_step_is_served(void **state)
{
    fpheap *heap = test_heap_within(&provider, 100 * FPHEAP_CHUNK);

    (void)state;
    begin();
    add(heap, 0, 40 * FPHEAP_CHUNK, 0);
    assert_true(provider.max_asked >= 40 * FPHEAP_CHUNK);
    assert_true(provider.max_asked <= 43 * FPHEAP_CHUNK);
    add(heap, 1, FPHEAP_CHUNK / 2, 0);
    check_stats(heap);
    drop_all(heap);
    TEST_DESTROY_OVER(heap, &provider);
}

/* What other classes park is used before the provider is asked for more. */
static void
what_is_parked_elsewhere_is_taken_back_before_growth(void **state)
{
    fpheap      *heap = test_heap_within(&provider, 24 * FPHEAP_CHUNK);
    fpheap_stats stats;
    size_t       size;
    void        *list;

    (void)state;
    for (size = 1024; size < 60000; size += 1000) {
        test_take_all(heap, size, &list);
        /* Two of three bytes at least are there for every size in its turn;
         * the others are records, ends of slabs and gaps too short for one. */
        fpheap_stats_get(heap, &stats);
        assert_true(stats.live_bytes >= 16 * FPHEAP_CHUNK);
        assert_int_equal(stats.parked_bytes + stats.slab_free_bytes, 0);
        test_free_all(heap, list);
    }
    fpheap_stats_get(heap, &stats);
    assert_true(stats.reclaims > 0);
    TEST_DESTROY_OVER(heap, &provider);
}

/* No pass over all depots and slabs is made when there is nothing to find. */
static void
growth_takes_nothing_back_when_nothing_is_parked(void **state)
{
    fpheap      *heap = test_heap_over(&provider);
    fpheap_stats before;
    fpheap_stats after;
    unsigned     round;
    size_t       i;

    (void)state;
    begin();
    for (round = 0; round < 3; round++) {
        (void)fpheap_trim(heap);
        fpheap_stats_get(heap, &before);
        for (i = 0; i < 2000; i++)
            add(heap, i, 10000, 0);
        fpheap_stats_get(heap, &after);
        assert_true(after.growths > before.growths);
        assert_true(after.reclaims == before.reclaims);
        drop_all(heap);
    }
    TEST_DESTROY_OVER(heap, &provider);
}

/* --- for people ----------------------------------------------------------- */

static void
a_dump_names_the_heap_and_its_bytes(void **state)
{
    fpheap_config config;
    fpheap_stats  stats;
    fpheap       *heap;
    char         *text = NULL;
    size_t        bytes = 0;
    char          number[32];
    FILE         *out;

    (void)state;
    memset(&config, 0, sizeof(config));
    test_provider_init(&provider);
    config.provider = &provider.calls;
    heap = fpheap_create("dumped heap", &config);
    assert_non_null(heap);
    begin();
    add(heap, 0, 1000, 0);
    add(heap, 1, 3 * TEST_MIB, 0);
    out = open_memstream(&text, &bytes);
    assert_non_null(out);
    fpheap_dump(heap, out);
    (void)fclose(out);
    assert_true(bytes > 100);
    assert_non_null(strstr(text, "dumped heap"));
    assert_int_equal(text[bytes - 1], '\n');
    fpheap_stats_get(heap, &stats);
    (void)snprintf(number, sizeof(number), "%zu", stats.region_bytes);
    assert_non_null(strstr(text, number));
    (void)snprintf(number, sizeof(number), "%zu", stats.live_bytes);
    assert_non_null(strstr(text, number));
    free(text);
    check_stats(heap);
    drop_all(heap);
    TEST_DESTROY_OVER(heap, &provider);
}

/* Returns whether a heap's dump has a line that begins so. */
static int
dumps(fpheap *heap, const char *line)
{
    char  *text = NULL;
    size_t bytes = 0;
    FILE  *out = open_memstream(&text, &bytes);
    int    has;

    assert_non_null(out);
    fpheap_dump(heap, out);
    (void)fclose(out);
    has = strstr(text, line) != NULL;
    free(text);
    return has;
}

/* The large ones are told of together. */
static void
a_dump_has_a_row_for_each_size_that_has_memory_and_no_other(void **state)
{
    fpheap            *heap = test_heap_over(&provider);
    fpheap_class_stats c;
    char               row[32];
    unsigned           k;

    (void)state;
    begin();
    for (k = 0; fpheap_class_stats_get(heap, k, &c) == 0; k++) {
        (void)snprintf(row, sizeof(row), "\n  %10zu ", c.size);
        assert_false(dumps(heap, row));
        add(heap, k, c.size - FPH_HEAD - FPH_SLACK, 0);
        assert_true(dumps(heap, row));
    }
    assert_true(k > 0);
    assert_false(dumps(heap, "\n       large"));
    add(heap, k, 3 * TEST_MIB, 0);
    assert_true(dumps(heap, "\n       large                   1 "));
    add(heap, k + 1, 3 * TEST_MIB, 0);
    assert_true(dumps(heap, "\n       large                   2 "));
    drop_all(heap);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
the_settings_can_be_read(void **state)
{
    const char *text = fpheap_config_string();
    char        want[64];

    (void)state;
    assert_non_null(text);
    (void)snprintf(want, sizeof(want), "FPHEAP_CHUNK_SHIFT=%d",
                   FPHEAP_CHUNK_SHIFT);
    assert_non_null(strstr(text, want));
    (void)snprintf(want, sizeof(want), "FPHEAP_MAGAZINE=%d", FPHEAP_MAGAZINE);
    assert_non_null(strstr(text, want));
    (void)snprintf(want, sizeof(want), "FPHEAP_NO_THREADS=%d",
                   FPHEAP_NO_THREADS);
    assert_non_null(strstr(text, want));
}

/* Of a run of pages in a chunk, and of an object above a chunk. */
static void
a_large_object_that_was_freed_last_is_parked(void **state)
{
    const size_t sizes[] = { FPHEAP_CHUNK / 2 + 1, FPHEAP_CHUNK - 1,
                             FPHEAP_CHUNK * 3 / 2 };
    unsigned     i;

    (void)state;
    for (i = 0; i < TEST_COUNT(sizes); i++) {
        fpheap      *heap = test_heap_within(&provider, 64 * FPHEAP_CHUNK);
        fpheap_stats empty, parked;
        void        *object;

        begin();
        assert_int_equal(fpheap_reserve(heap, 32 * FPHEAP_CHUNK, 0), 0);
        assert_non_null(fpheap_self(heap));
        fpheap_stats_get(heap, &empty);
        object = fpheap_alloc(heap, sizes[i]);
        memset(object, 1, sizes[i]);
        fpheap_free(heap, object);
        fpheap_stats_get(heap, &parked);
        assert_int_equal(parked.live_objects, 0);
        assert_int_equal(parked.parked_objects, empty.parked_objects + 1);
        assert_true(parked.parked_bytes >= empty.parked_bytes + sizes[i]);
        assert_false(fpheap_owns(heap, object));
        check_walk(heap);
        check_stats(heap);
        assert_ptr_equal(fpheap_alloc(heap, sizes[i]), object);
        fpheap_free(heap, object);
        fpheap_flush(heap);
        fpheap_stats_get(heap, &parked);
        assert_int_equal(parked.parked_bytes, empty.parked_bytes);
        assert_true(parked.page_free_bytes >= empty.page_free_bytes);
        check_stats(heap);
        TEST_DESTROY_OVER(heap, &provider);
    }
}

/* It may be what another thread needs. */
static void
more_than_an_eighth_of_the_heap_is_not_parked(void **state)
{
    fpheap      *heap = test_heap_within(&provider, 6 * FPHEAP_CHUNK);
    fpheap_stats stats;

    (void)state;
    begin();
    fpheap_free(heap, fpheap_alloc(heap, FPHEAP_CHUNK * 3 / 2));
    fpheap_stats_get(heap, &stats);
    assert_int_equal(stats.parked_objects, 0);
    check_stats(heap);
    TEST_DESTROY_OVER(heap, &provider);
}

/* Of other sizes, of other alignments, or in a heap of which it is more than an
 * eighth. */
static void
a_parked_large_object_is_in_the_way_of_nothing(void **state)
{
    fpheap      *heap = test_heap_within(&provider, 32 * FPHEAP_CHUNK);
    fpheap_stats stats;
    size_t       size, largest;
    void        *object;

    (void)state;
    begin();
    for (largest = 31 * FPHEAP_CHUNK; ; largest -= FPHEAP_PAGE) {
        object = fpheap_alloc(heap, largest);
        if (object != NULL)
            break;
    }
    fpheap_free(heap, object);
    fpheap_stats_get(heap, &stats);
    assert_int_equal(stats.parked_bytes, stats.depot_bytes);
    for (size = FPHEAP_CHUNK / 2; size <= 2 * FPHEAP_CHUNK;
         size += FPHEAP_PAGE) {
        object = fpheap_alloc(heap, size);
        assert_non_null(object);
        fpheap_free(heap, object);
        object = fpheap_aligned_alloc(heap, 2 * FPHEAP_PAGE, size);
        assert_non_null(object);
        assert_int_equal((uintptr_t)object % (2 * FPHEAP_PAGE), 0);
        fpheap_free(heap, object);
        object = fpheap_aligned_alloc(heap, FPHEAP_CHUNK, size);
        assert_non_null(object);
        assert_int_equal((uintptr_t)object % FPHEAP_CHUNK, 0);
        fpheap_free(heap, object);
        object = fpheap_alloc(heap, largest);
        assert_non_null(object);
        fpheap_free(heap, object);
        check_stats(heap);
    }
    TEST_DESTROY_OVER(heap, &provider);
}

/* --- the numbers one by one ----------------------------------------------- */

static fph_slab
a_record(unsigned kind, unsigned bin, uint64_t count, int64_t free)
{
    fph_slab slab;

    memset(&slab, 0, sizeof(slab));
    slab.info = fph_info(kind, bin, count);
    slab.state = (uint64_t)(free * 2);
    return slab;
}

/* Free objects were counted at another moment than all of them. */
static void
a_slab_counts_as_many_free_objects_as_it_has_at_most(void **state)
{
    static const int64_t free[] = { -3, -1, 0, 1, 6, 7, 8, 1000 };
    static const size_t  counts[] = { 0, 0, 0, 1, 6, 7, 7, 7 };
    static fph_census census;
    fpheap   *heap = test_heap_over(&provider);
    unsigned  k = fph_class_of(1000);
    size_t    pages = heap->state->classes[k].pages;
    size_t    size = heap->state->classes[k].size;
    fph_slab  slab;
    size_t    i;

    (void)state;
    for (i = 0; i < TEST_COUNT(free); i++) {
        memset(&census, 0, sizeof(census));
        census.classes[k].size = size;
        slab = a_record(FPH_SLAB, k + FPH_CLASSES, 7, free[i]);
        fph_census_record(heap->state, &census, &slab);
        fph_census_record(heap->state, &census, &slab);
        assert_int_equal(census.classes[k].slabs, 2);
        assert_int_equal(census.classes[k].live_objects, 14);
        assert_int_equal(census.classes[k].free_objects, 2 * counts[i]);
        assert_int_equal(census.stats.waste_bytes,
                         2 * (pages * FPHEAP_PAGE - 7 * size));
        assert_int_equal(census.stats.live_bytes, 0);
    }
    TEST_DESTROY_OVER(heap, &provider);
}

static void
runs_of_pages_are_counted_by_what_they_are(void **state)
{
    static fph_census census;
    fpheap  *heap = test_heap_over(&provider);
    fph_slab large = a_record(FPH_LARGE, 2, 9, 0);
    fph_slab parked = a_record(FPH_PARKED, 2, 9, 0);
    fph_slab child = a_record(FPH_CHILD, 3, 9, 0);
    fph_slab nothing = a_record(FPH_NOTHING, 1, 9, 0);
    int      i;

    (void)state;
    memset(&census, 0, sizeof(census));
    for (i = 0; i < 2; i++) {
        fph_census_record(heap->state, &census, &nothing);
        fph_census_record(heap->state, &census, &large);
    }
    assert_int_equal(census.classes[0].live_objects, 2);
    assert_int_equal(census.classes[0].parked_objects, 0);
    assert_int_equal(census.stats.live_bytes, 2 * 7 * FPHEAP_PAGE);
    assert_int_equal(census.stats.waste_bytes, 2 * 2 * FPHEAP_PAGE);
    fph_census_record(heap->state, &census, &parked);
    fph_census_record(heap->state, &census, &parked);
    assert_int_equal(census.classes[0].live_objects, 4);
    assert_int_equal(census.classes[0].parked_objects, 2);
    assert_int_equal(census.stats.parked_bytes, 2 * 9 * FPHEAP_PAGE);
    fph_census_record(heap->state, &census, &child);
    fph_census_record(heap->state, &census, &child);
    assert_int_equal(census.child[3], 2 * 9 * FPHEAP_PAGE);
    assert_int_equal(census.stats.child_bytes, 2 * 9 * FPHEAP_PAGE);
    assert_int_equal(census.stats.live_bytes, 2 * (7 + 9) * FPHEAP_PAGE);
    assert_int_equal(census.stats.waste_bytes, 2 * 2 * FPHEAP_PAGE);
    TEST_DESTROY_OVER(heap, &provider);
}

/* Of each class so many objects are live, and add up. */
static void
what_is_live_is_neither_free_nor_parked_and_never_below_nothing(void **state)
{
    static const size_t gone[] = { 0, 5, 9, 10, 11 };
    static fph_census census;
    size_t   i;
    unsigned k;

    (void)state;
    for (i = 0; i < TEST_COUNT(gone); i++) {
        size_t parked = gone[i] / 3, free = gone[i] - gone[i] / 3;
        size_t live = gone[i] < 10 ? 10 - gone[i] : 0;
        size_t sizes = 0;

        memset(&census, 0, sizeof(census));
        for (k = 0; k < FPH_CLASSES; k++) {
            census.classes[k].size = 16 * k;
            census.classes[k].live_objects = 10;
            census.classes[k].free_objects = free;
            census.classes[k].parked_objects = parked;
            sizes += 16 * k;
        }
        fph_census_sum(&census);
        for (k = 0; k < FPH_CLASSES; k++)
            assert_int_equal(census.classes[k].live_objects, live);
        assert_int_equal(census.stats.live_objects, live * FPH_CLASSES);
        assert_int_equal(census.stats.live_bytes, live * sizes);
        assert_int_equal(census.stats.parked_objects, parked * FPH_CLASSES);
        assert_int_equal(census.stats.parked_bytes, parked * sizes);
        assert_int_equal(census.stats.slab_free_bytes, free * sizes);
    }
}

/* What a heap counts as it goes is told as it is. */
static void
what_is_counted_on_the_way_is_told(void **state)
{
    static fph_census census;
    fpheap     *heap = test_heap_over(&provider);
    fph_state  *s = heap->state;
    fph_state   was = *s;
    uint64_t    first, last;
    unsigned    i;

    (void)state;
    memset(&census, 0, sizeof(census));
    census.stats.region_bytes = 1000;
    s->peak_region_bytes = 1001;
    s->limit = 77;
    for (i = 0; i < 4; i++)
        s->backing_bytes[i] = 100 + i;
    s->growths = 1;
    s->growth_failures = 2;
    s->growth_max_ns = 3;
    s->releases = 4;
    s->reclaims = 5;
    census.huge = 7;
    first = fph_heap_within[0];
    last = fph_heap_within[FPHEAP_MAX_HEAPS - 1];
    fph_heap_within[0] = fph_heap_within[FPHEAP_MAX_HEAPS - 1]
                       = 1 + (uint64_t)(heap - fph_heaps);
    fph_census_counts(heap, &census);
    fph_heap_within[0] = first;
    fph_heap_within[FPHEAP_MAX_HEAPS - 1] = last;
    assert_int_equal(census.stats.peak_region_bytes, 1001);
    assert_int_equal(census.stats.limit, 77);
    for (i = 0; i < 4; i++)
        assert_int_equal(census.stats.backing_bytes[i],
                         i == FPHEAP_BACKING_PAGES ? 100 + i - 7
                         : i == FPHEAP_BACKING_THP ? 100 + i + 7 : 100 + i);
    assert_int_equal(census.stats.growths, 1);
    assert_int_equal(census.stats.growth_failures, 2);
    assert_int_equal(census.stats.growth_max_ns, 3);
    assert_int_equal(census.stats.releases, 4);
    assert_int_equal(census.stats.reclaims, 5);
    assert_int_equal(census.stats.children, 2);
    assert_int_equal(census.stats.emergency_bytes, 0);
    s->peak_region_bytes = 999; /* as it is about to be raised */
    census.huge = 1000;        /* more than all pages: told as all of them */
    fph_census_counts(heap, &census);
    assert_int_equal(census.stats.peak_region_bytes, 1000);
    assert_int_equal(census.stats.backing_bytes[FPHEAP_BACKING_PAGES], 0);
    assert_int_equal(census.stats.backing_bytes[FPHEAP_BACKING_THP],
                     100 + FPHEAP_BACKING_THP + 100 + FPHEAP_BACKING_PAGES);
    s->peak_region_bytes = was.peak_region_bytes;
    s->limit = was.limit;
    memcpy(s->backing_bytes, was.backing_bytes, sizeof(was.backing_bytes));
    s->growths = was.growths;
    s->growth_failures = was.growth_failures;
    TEST_DESTROY_OVER(heap, &provider);
}

static fph_region *
region_in_use(const fph_state *s)
{
    size_t i;

    for (i = 0; i < fph_region_count(s); i++)
        if (s->region[i].shown != 0)
            return &s->region[i];
    return NULL;
}

/* A region that could not go back counts, and bytes that are in no chunk are
 * waste. */
static void
regions_count_while_the_provider_waits_for_them(void **state)
{
    static fph_census census;
    fpheap     *heap = test_heap_over(&provider);
    fph_state  *s = heap->state;
    fph_region *region = region_in_use(s);
    size_t      at = 0;
    fph_chunk  *chunk = fph_chunk_next(s, &at);
    uint64_t    bytes = s->region_bytes, used, shown;

    (void)state;
    assert_true(region != NULL && chunk != NULL);
    used = region->used;
    shown = region->shown;
    memset(&census, 0, sizeof(census));
    region->used = FPH_BARRED;
    fph_census_pages(s, &census);
    assert_int_equal(census.stats.regions, 1);
    region->shown = 0;
    s->region_bytes = bytes + 5;
    fph_census_pages(s, &census);
    assert_int_equal(census.stats.regions, 2);
    assert_int_equal(census.stats.waste_bytes, 5);
    assert_int_equal(census.stats.region_bytes, bytes + 5);
    region->used = used;
    s->region_bytes = bytes - 5;
    s->region[fph_region_count(s)].shown = 1; /* one that never was */
    fph_census_pages(s, &census);
    s->region[fph_region_count(s)].shown = 0;
    assert_int_equal(census.stats.regions, 2);
    assert_int_equal(census.stats.waste_bytes, 5);
    assert_int_equal(census.huge, 0);
    chunk->huge = 1;
    fph_census_pages(s, &census);
    chunk->huge = 0;
    assert_int_equal(census.huge, FPHEAP_CHUNK);
    region->shown = shown;
    s->region_bytes = bytes;
    TEST_DESTROY_OVER(heap, &provider);
}

/* There are as many classes as are told of, and what is behind them is no
 * class. */
static void
a_census_has_each_class_and_begins_with_nothing(void **state)
{
    static fph_census census;
    fpheap   *heap = test_heap_over(&provider);
    unsigned  k;

    (void)state;
    memset(&census, 0x5a, sizeof(census));
    fph_census_take(heap, &census);
    for (k = 1; k < FPH_CLASSES; k++) {
        assert_int_equal(census.classes[k].size, heap->state->classes[k].size);
        assert_int_equal(census.classes[k].magazine,
                         heap->state->classes[k].magazine);
        assert_int_equal(census.classes[k].live_objects, 0);
    }
    assert_int_equal(census.huge, 0);
    for (k = 0; k < FPHEAP_MAX_HEAPS; k++)
        assert_int_equal(census.child[k], 0);
    TEST_DESTROY_OVER(heap, &provider);
}

/* Wherever it lies: those that come later are in front of the first, too. */
static void
every_chunk_is_counted_with_what_begins_in_it(void **state)
{
    fpheap      *heap = test_heap_over(&provider);
    fpheap_stats stats;
    unsigned     i;

    (void)state;
    begin();
    for (i = 0; i < 40; i++) {
        objects[i].base = (char *)fpheap_aligned_alloc(heap, FPHEAP_CHUNK,
                                                       FPHEAP_CHUNK);
        assert_non_null(objects[i].base);
        fpheap_stats_get(heap, &stats);
        assert_int_equal(stats.live_objects, i + 1);
        assert_int_equal(stats.waste_bytes, FPHEAP_HEADER * (i + 1)
                                            * FPHEAP_PAGE);
        assert_int_equal(stats.region_bytes, provider.held_bytes);
    }
    for (i = 0; i < 40; i++)
        fpheap_free(heap, objects[i].base);
    begin();
    TEST_DESTROY_OVER(heap, &provider);
}

/* The first page of all that a heap can have is one of them. */
static void
the_first_chunk_of_a_group_is_counted_from_its_first_page(void **state)
{
    size_t          group = FPH_GROUP * (size_t)FPHEAP_CHUNK;
    size_t          bytes = 2 * FPHEAP_CHUNK;
    char           *map = test_map(2 * group);
    char           *base;
    fpheap_buffer   buffer;
    fpheap_provider calls;
    fpheap_config   config;
    fpheap         *heap;
    fpheap_stats    stats;

    (void)state;
    assert_non_null(map);
    base = map + (-(uintptr_t)map & (group - 1));
    fpheap_provider_buffer(&calls, &buffer, base, bytes);
    memset(&config, 0, sizeof(config));
    config.provider = &calls;
    heap = fpheap_create("group", &config);
    assert_non_null(heap);
    begin();
    add(heap, 0, FPHEAP_CHUNK - FPHEAP_HEADER * FPHEAP_PAGE, 0);
    add(heap, 1, FPHEAP_CHUNK - FPHEAP_HEADER * FPHEAP_PAGE, 0);
    fpheap_stats_get(heap, &stats);
    assert_int_equal(stats.live_objects, 2);
    assert_int_equal(stats.page_free_bytes, 0);
    assert_int_equal(stats.waste_bytes, FPHEAP_HEADER * 2 * FPHEAP_PAGE);
    assert_int_equal(stats.region_bytes, bytes);
    drop_all(heap);
    TEST_DESTROY(heap);
    assert_int_equal(test_unmap(map, 2 * group), 0);
}

/* After a fork the caches of threads that are gone are emptied first. */
static void
what_gone_threads_have_parked_is_free_when_it_is_counted(void **state)
{
    fpheap      *heap = test_heap_over(&provider);
    fpheap_stats stats;

    (void)state;
    assert_non_null(fpheap_self(heap));
    heap->state->orphans = fph_this.seat;
    fpheap_stats_get(heap, &stats);
    assert_int_equal(heap->state->orphans, 0);
    assert_int_equal(stats.caches, 1);
    TEST_DESTROY_OVER(heap, &provider);
}

/* --- who has most --------------------------------------------------------- */

static fpheap_holder
a_holder(size_t number, size_t bytes)
{
    fpheap_holder holder;

    memset(&holder, 0, sizeof(holder));
    holder.size = number;
    holder.bytes = bytes;
    return holder;
}

/* Those of the same bytes stay in the order in which they came. */
static void
the_first_of_a_ranking_have_most_and_no_more_are_written(void **state)
{
    static const size_t bytes[] = { 5, 0, 7, 5, 9, 1, 9, 3 };
    static const size_t ranks[] = { 4, 6, 2, 0, 3, 7, 5 }; /* which it is */
    fpheap_holder holders[10];
    unsigned      n, i, have;

    (void)state;
    for (n = 0; n < 9; n++) {
        memset(holders, 0x5a, sizeof(holders));
        for (have = i = 0; i < TEST_COUNT(bytes); i++) {
            fpheap_holder holder = a_holder(i, bytes[i]);
            unsigned      seen = i < 1 ? 1 : i;

            have = fph_rank(holders, n, have, &holder);
            assert_int_equal(have, n < seen ? n : seen);
        }
        for (i = 0; i < have; i++) {
            assert_int_equal(holders[i].size, ranks[i]);
            assert_int_equal(holders[i].bytes, bytes[ranks[i]]);
        }
        assert_true(test_all_bytes(&holders[have],
                                   (10 - have) * sizeof(holders[0]), 0x5a));
    }
}

static void
a_holder_is_a_class_or_a_pool_by_its_name(void **state)
{
    static fph_census census;
    fpheap          *heap = test_heap_over(&provider);
    fpheap_pool_desc desc = { .name = "0123456789012345678901234567890",
                              .size = 100 };
    fpheap_pool     *pool = fpheap_pool_create(heap, &desc);
    unsigned         k = FPH_SIZES;
    fpheap_holder    holder;

    (void)state;
    assert_true(pool != NULL && pool->number == 0);
    memset(&census, 0, sizeof(census));
    census.classes[k].size = census.classes[k - 1].size = 100;
    census.classes[k].live_objects = census.classes[k - 1].live_objects = 3;
    census.classes[0].live_objects = 2;
    holder = fph_holder_class(heap, &census, k, 77);
    assert_int_equal(holder.kind, FPHEAP_HOLDER_POOL);
    assert_string_equal(holder.name, desc.name);
    assert_int_equal(holder.size, 100);
    assert_int_equal(holder.objects, 3);
    assert_int_equal(holder.bytes, 300);
    holder = fph_holder_class(heap, &census, k - 1, 77);
    assert_int_not_equal(holder.kind, FPHEAP_HOLDER_POOL);
    assert_true(test_all_bytes(holder.name, sizeof(holder.name), 0));
    assert_int_equal(holder.bytes, 300);
    holder = fph_holder_class(heap, &census, 0, 77);
    assert_int_equal(holder.size, 0);
    assert_int_equal(holder.objects, 2);
    assert_int_equal(holder.bytes, 77);
    holder = fph_holder_class(heap, &census, k + 1, 77); /* no pool */
    assert_int_equal(holder.bytes, 0);
    assert_int_not_equal(holder.kind, FPHEAP_HOLDER_POOL);
    TEST_DESTROY_OVER(heap, &provider);
}

/* Large objects have what no class and no child has. */
static void
holders_are_told_with_all_that_is_live(void **state)
{
    fpheap          *heap = test_heap_over(&provider);
    fpheap_pool_desc desc = { .name = "named", .size = 2000 };
    fpheap_pool     *pool = fpheap_pool_create(heap, &desc);
    void            *object[4];
    fpheap_holder    holders[5];

    (void)state;
    assert_non_null(pool);
    object[0] = fpheap_alloc(heap, 3 * TEST_MIB);
    object[1] = fpheap_pool_get(pool);
    object[2] = fpheap_alloc(heap, 16);
    object[3] = fpheap_alloc(heap, 16);
    assert_int_equal(fpheap_holders(heap, holders, 5), 3);
    assert_int_equal(holders[0].size, 0);
    assert_int_equal(holders[0].objects, 1);
    assert_int_equal(holders[0].bytes, fpheap_usable_size(heap, object[0]));
    assert_string_equal(holders[1].name, "named");
    assert_int_equal(holders[1].objects, 1);
    assert_int_equal(holders[2].objects, 2);
    assert_int_equal(holders[2].bytes, 2 * holders[2].size);
    assert_int_equal(fpheap_holders(heap, holders, 1), 1);
    assert_int_equal(fpheap_holders(heap, NULL, 0), 0);
    fpheap_free_bulk(heap, object, 4);
    assert_int_equal(fpheap_holders(heap, holders, 5), 0);
    TEST_DESTROY_OVER(heap, &provider);
}

/* --- a pool's numbers ----------------------------------------------------- */

static fpheap_pool_stats
pool_told(fpheap_pool *pool, uint64_t objects_made, uint64_t claimed)
{
    fph_word          made = pool->objects, quota = pool->quota;
    fpheap_pool_stats told;

    pool->objects = objects_made;
    pool->quota = (uint64_t)55 << 32 | claimed;
    fpheap_pool_stats_get(pool, &told);
    pool->objects = made;
    pool->quota = quota;
    assert_int_equal(told.max, 55);
    assert_int_equal(told.objects, objects_made);
    assert_int_equal(told.claimed_objects, claimed);
    return told;
}

/* The numbers are read one after the other, while they change. */
static void
what_a_pool_has_live_and_free_is_never_below_nothing(void **state)
{
    fpheap           *heap = test_heap_over(&provider);
    fpheap_pool_desc  other = { .name = "other", .size = 300 };
    fpheap_pool      *first = fpheap_pool_create(heap, &other);
    fpheap_pool_desc  desc = { .name = "told", .size = 100, .min = 5 };
    fpheap_pool      *pool = fpheap_pool_create(heap, &desc);
    fpheap_pool_stats told;
    void             *object[4];
    size_t            parked;

    (void)state;
    assert_true(first != NULL && pool != NULL && pool->number == 1);
    assert_int_equal(fpheap_pool_get_bulk(pool, object, 4), 0);
    fpheap_pool_put_bulk(pool, object, 4);
    fpheap_pool_stats_get(pool, &told);
    parked = told.parked_objects;
    assert_true(parked > 1);
    assert_int_equal(told.min, 5);
    assert_int_equal(told.slabs, 1);
    assert_int_equal(told.size, heap->state->classes[FPH_SIZES + 1].size);
    assert_int_equal(told.magazine,
                     heap->state->classes[FPH_SIZES + 1].magazine);
    told = pool_told(pool, parked + 3, parked + 1);
    assert_int_equal(told.live_objects, 1);
    assert_int_equal(told.free_objects, 2);
    told = pool_told(pool, parked, parked);
    assert_int_equal(told.live_objects, 0);
    assert_int_equal(told.free_objects, 0);
    told = pool_told(pool, parked - 2, parked - 1);
    assert_int_equal(told.live_objects, 0);
    assert_int_equal(told.free_objects, 0);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
statistics_are_cut_or_followed_by_zeros(void **state)
{
    uint64_t numbers[4], to[6];
    size_t   bytes;
    size_t   room;

    (void)state;
    for (room = sizeof(bytes); room <= 5 * 8; room++) {
        size_t told = room < sizeof(numbers) ? room : sizeof(numbers);

        memset(numbers, 0x33, sizeof(numbers));
        memset(to, 0x5a, sizeof(to));
        fph_stats_tell(to, room, numbers, sizeof(numbers));
        memcpy(&bytes, to, sizeof(bytes));
        assert_int_equal(bytes, told);
        assert_true(test_all_bytes((char *)to + sizeof(bytes),
                                   told - sizeof(bytes), 0x33));
        assert_true(test_all_bytes((char *)to + told, room - told, 0));
        assert_true(test_all_bytes((char *)to + room, sizeof(to) - room, 0x5a));
    }
}

/* A child that has the first number of all is told like the others. */
static void
a_child_is_a_holder_by_its_name(void **state)
{
    fpheap        *first = test_heap_over(&provider);
    fpheap_config  config;
    fpheap        *parent, *child;
    fpheap_holder  holders[3];
    fpheap_stats   stats;
    void          *large;

    (void)state;
    memset(&config, 0, sizeof(config));
    config.provider = &provider.calls;
    parent = fpheap_create("parent", &config);
    assert_non_null(parent);
    assert_int_equal(fpheap_destroy(first), 0);
    config.provider = NULL;
    config.parent = parent;
    child = fpheap_create("the first of all", &config);
    assert_ptr_equal(child, &fph_heaps[0]);
    large = fpheap_alloc(parent, 10 * FPHEAP_PAGE); /* that is told of first */
    assert_int_equal(fpheap_holders(parent, holders, 3), 2);
    if (holders[0].kind != FPHEAP_HOLDER_CHILD)
        holders[0] = holders[1];
    fpheap_free(parent, large);
    assert_int_equal(holders[0].kind, FPHEAP_HOLDER_CHILD);
    assert_string_equal(holders[0].name, "the first of all");
    assert_int_equal(holders[0].objects, 0);
    assert_int_equal(holders[0].size, 0);
    fpheap_stats_get(parent, &stats);
    assert_true(stats.child_bytes > 0);
    assert_int_equal(holders[0].bytes, stats.child_bytes);
    TEST_DESTROY(child);
    TEST_DESTROY_OVER(parent, &provider);
}

/* Whatever lies behind the classes and in front of them. */
static void
a_dump_of_classes_has_no_more_rows_than_there_are(void **state)
{
    static fph_census census;
    fpheap *heap = test_heap_over(&provider);
    char   *text = NULL;
    size_t  bytes = 0, i;
    FILE   *out = open_memstream(&text, &bytes);

    (void)state;
    assert_non_null(out);
    memset(&census, 0, sizeof(census));
    for (i = 0; i < FPHEAP_MAX_HEAPS; i++)
        census.child[i] = 5;
    census.huge = census.classes[0].slabs = 5;
    fph_dump_classes(heap->state, &census, out);
    if (!FPHEAP_HEADER)
        fph_dump_tags(heap, &census.stats, out);
    (void)fclose(out);
    assert_ptr_equal(strchr(text, '\n'), text + bytes - 1);
    free(text);
    TEST_DESTROY_OVER(heap, &provider);
}

/* A name that is read while it changes may have no end. */
static void
a_name_for_people_ends(void **state)
{
    fpheap_pool pool;
    char        text[FPHEAP_NAME_BYTES + 1];

    (void)state;
    memset(&pool, 0, sizeof(pool));
    memset(pool.name, 'n', sizeof(pool.name));
    memset(text, 'x', sizeof(text));
    fph_pool_name(&pool, text);
    assert_int_equal(strlen(text), FPHEAP_NAME_BYTES - 1);
    assert_true(test_all_bytes(text, FPHEAP_NAME_BYTES - 1, 'n'));
    assert_int_equal(text[FPHEAP_NAME_BYTES], 'x');
    memset(pool.name, 0, sizeof(pool.name));
    memcpy(pool.name, "short", 5);
    fph_pool_name(&pool, text);
    assert_string_equal(text, "short");
}

static void
without_headers_no_tag_has_anything(void **state)
{
    fpheap *heap = test_heap_over(&provider);
    void   *object = fpheap_alloc(heap, 100);

    (void)state;
    assert_int_equal(fph_tag_live(heap, 0).objects, 0);
    assert_int_equal(fph_tag_live(heap, 0).bytes, 0);
    fpheap_free(heap, object);
    TEST_DESTROY_OVER(heap, &provider);
}

static const struct CMUnitTest numbers[] = {
    cmocka_unit_test(a_slab_counts_as_many_free_objects_as_it_has_at_most),
    cmocka_unit_test(runs_of_pages_are_counted_by_what_they_are),
    cmocka_unit_test(
        what_is_live_is_neither_free_nor_parked_and_never_below_nothing),
    cmocka_unit_test(what_is_counted_on_the_way_is_told),
    cmocka_unit_test(regions_count_while_the_provider_waits_for_them),
    cmocka_unit_test(
        the_first_of_a_ranking_have_most_and_no_more_are_written),
    cmocka_unit_test(a_holder_is_a_class_or_a_pool_by_its_name),
    cmocka_unit_test(holders_are_told_with_all_that_is_live),
    cmocka_unit_test(what_a_pool_has_live_and_free_is_never_below_nothing),
    cmocka_unit_test(statistics_are_cut_or_followed_by_zeros),
    cmocka_unit_test(a_name_for_people_ends),
    cmocka_unit_test(a_census_has_each_class_and_begins_with_nothing),
    cmocka_unit_test(every_chunk_is_counted_with_what_begins_in_it),
    cmocka_unit_test(
        what_gone_threads_have_parked_is_free_when_it_is_counted),
    cmocka_unit_test(
        the_first_chunk_of_a_group_is_counted_from_its_first_page),
    cmocka_unit_test(a_child_is_a_holder_by_its_name),
    cmocka_unit_test(a_dump_of_classes_has_no_more_rows_than_there_are),
    cmocka_unit_test(without_headers_no_tag_has_anything)
};

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_large_object_that_was_freed_last_is_parked),
        cmocka_unit_test(more_than_an_eighth_of_the_heap_is_not_parked),
        cmocka_unit_test(a_parked_large_object_is_in_the_way_of_nothing),
        cmocka_unit_test(each_size_alone_is_counted_exactly),
        cmocka_unit_test(any_history_is_counted_exactly),
        cmocka_unit_test(what_is_parked_is_counted_apart_from_what_is_free),
        cmocka_unit_test(a_heap_without_objects_has_a_small_and_constant_cost),
        cmocka_unit_test(the_peak_stays_when_the_regions_go),
        cmocka_unit_test(a_class_that_is_none_is_einval_and_nothing_is_written),
        cmocka_unit_test(statistics_are_told_to_programs_of_any_version),
        cmocka_unit_test(statistics_say_their_size),
        cmocka_unit_test(a_walk_ends_when_the_visitor_says_so),
        cmocka_unit_test(trim_gives_back_every_region_that_is_free),
        cmocka_unit_test(
            a_thread_parks_two_magazines_of_a_size),
        cmocka_unit_test(a_live_object_keeps_its_whole_region_and_no_other),
        cmocka_unit_test(
            trim_leaves_chunks_with_live_objects_and_no_other),
        cmocka_unit_test(trim_keeps_what_is_live),
        cmocka_unit_test(trim_and_growth_again_is_stable),
        cmocka_unit_test(regions_of_any_length_follow_each_other),
        cmocka_unit_test(what_is_reserved_is_allocated_without_the_provider),
        cmocka_unit_test(a_reserve_is_never_eaten_by_its_magazines),
        cmocka_unit_test(what_is_free_already_counts_as_reserved),
        cmocka_unit_test(what_is_reserved_is_touched),
        cmocka_unit_test(what_is_reserved_in_chunks_in_use_is_touched_too),
        cmocka_unit_test(what_was_reserved_and_is_not_used_can_be_trimmed),
        cmocka_unit_test(a_reserve_that_fails_keeps_what_it_got),
        cmocka_unit_test(steps_of_growth_stay_within_the_largest),
        cmocka_unit_test(a_step_of_growth_is_a_gigabyte_at_most_by_default),
        cmocka_unit_test(growth_needs_few_regions_and_little_more_than_is_used),
        cmocka_unit_test(an_object_above_the_largest_step_is_served),
        cmocka_unit_test(what_is_parked_elsewhere_is_taken_back_before_growth),
        cmocka_unit_test(growth_takes_nothing_back_when_nothing_is_parked),
        cmocka_unit_test(a_dump_names_the_heap_and_its_bytes),
        cmocka_unit_test(
            a_dump_has_a_row_for_each_size_that_has_memory_and_no_other),
        cmocka_unit_test(the_settings_can_be_read)
    };

    return cmocka_run_group_tests_name("stats", tests, NULL, NULL)
         + cmocka_run_group_tests_name("numbers", numbers, NULL, NULL);
}
