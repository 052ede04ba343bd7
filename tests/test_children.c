/* test_children.c - heaps whose memory comes from another heap: limits, reserves,
 * their ends, and how an object of a child is found by its parent; and what a heap
 * sets aside for critical objects.
 */
#define FPHEAP_MAX_HEAPS 1024
#define FPHEAP_IMPLEMENTATION
#include "fpheap.h"
#include "test_util.h"

#include <pthread.h>
#include <sys/resource.h>

static test_provider provider;

/* ThreadSanitizer needs addresses itself. */
#ifdef __SANITIZE_THREAD__
#  define FEW_ADDRESSES 1
#else
#  define FEW_ADDRESSES 0
#endif

static fpheap *
child_of(fpheap *parent, const char *name, size_t limit, size_t reserve)
{
    fpheap_config config;

    memset(&config, 0, sizeof config);
    config.parent = parent;
    config.limit = limit;
    config.reserve = reserve;
    return fpheap_create(name, &config);
}

static fpheap *
parent_with(size_t limit, size_t emergency)
{
    fpheap_config config;
    fpheap       *heap;

    memset(&config, 0, sizeof config);
    test_provider_init(&provider);
    config.provider = &provider.calls;
    config.limit = limit;
    config.emergency = emergency;
    heap = fpheap_create("parent", &config);
    assert_non_null(heap);
    return heap;
}

static fpheap_stats
stats_of(fpheap *heap)
{
    fpheap_stats stats;

    fpheap_stats_get(heap, &stats);
    assert_true(test_adds_up(&stats));
    return stats;
}

static int
count(void *n, const fpheap_object *object)
{
    (void)object;
    ++*(size_t *)n;
    return 0;
}

/* The objects that a walk shows. */
static size_t
walked(fpheap *heap)
{
    size_t n = 0;

    assert_int_equal(fpheap_walk(heap, count, &n), 0);
    return n;
}

static void
has_no_more(fpheap *heap, size_t size, int error)
{
    errno = 0;
    assert_null(fpheap_alloc(heap, size));
    assert_int_equal(errno, error);
}

/* --- memory ---------------------------------------------------------------- */

static void
a_child_takes_memory_of_its_parent_and_gives_all_of_it_back(void **state)
{
    fpheap      *parent = parent_with(0, 0);
    fpheap_stats before, during, after;
    fpheap      *child;
    unsigned     i;

    (void)state;
    assert_int_equal(fpheap_reserve(parent, 64 * TEST_MIB, 0), 0);
    before = stats_of(parent);
    child = child_of(parent, "child", 0, 0);
    assert_non_null(child);
    for (i = 0; i < 100000; i++)
        assert_non_null(fpheap_alloc(child, i % 1500));
    assert_non_null(fpheap_alloc(child, 3 * FPHEAP_CHUNK));
    during = stats_of(parent);
    assert_int_equal(during.children, 1);
    assert_int_equal(during.child_bytes, stats_of(child).region_bytes);
    assert_int_equal(during.live_bytes, during.child_bytes);
    assert_int_equal(during.live_objects, 0);
    TEST_CHECK(parent);
    TEST_CHECK(child);
    assert_int_equal(fpheap_destroy(child), -EBUSY);
    assert_int_equal(fpheap_destroy_forced(child), 0);
    after = stats_of(parent);
    assert_int_equal(after.children, 0);
    assert_int_equal(after.child_bytes, 0);
    assert_int_equal(after.live_bytes, 0);
    assert_int_equal(after.page_free_bytes + after.metadata_bytes,
                     before.page_free_bytes + before.metadata_bytes
                     + after.region_bytes - before.region_bytes);
    TEST_DESTROY_OVER(parent, &provider);
}

static void
a_walk_shows_a_heaps_own_objects_and_none_of_children(void **state)
{
    fpheap       *parent = parent_with(16 * TEST_MIB, TEST_MIB);
    fpheap       *child  = child_of(parent, "child", 0, 0);
    fpheap_group *group;
    void         *list;
    size_t        n;

    (void)state;
    assert_int_equal(walked(parent), 0);
    group = fpheap_group_begin(parent);
    assert_non_null(fpheap_group_alloc(group, 100));
    assert_int_equal(walked(parent), 1);
    fpheap_group_end(group);
    assert_non_null(fpheap_alloc(child, 100));
    assert_non_null(fpheap_alloc(child, FPHEAP_CHUNK));
    assert_int_equal(walked(child), 2);
    assert_int_equal(walked(parent), 0);
    n = test_take_all(parent, 1000, &list);
    assert_non_null(fpheap_alloc_critical(parent, 1000));
    assert_int_equal(walked(parent), n);
    assert_int_equal(fpheap_destroy_forced(parent), 0);
}

static void
children_have_children(void **state)
{
    fpheap  *parent = parent_with(0, 0);
    fpheap  *heap[8];
    unsigned i;

    (void)state;
    for (i = 0; i < TEST_COUNT(heap); i++) {
        heap[i] = child_of(i == 0 ? parent : heap[i - 1], "child", 0, 0);
        assert_non_null(heap[i]);
        assert_non_null(fpheap_alloc(heap[i], 100));
    }
    for (i = 0; i < TEST_COUNT(heap); i++) {
        void *object = fpheap_alloc(heap[i], 1000);

        assert_int_equal(fpheap_usable_size(parent, object),
                         fpheap_usable_size(heap[i], object));
        fpheap_free(parent, object);
        assert_int_equal(stats_of(heap[i]).requested_bytes,
                         FPHEAP_HEADER ? 100 : 0);
        assert_int_equal(stats_of(parent).requested_bytes, 0);
        assert_int_equal(stats_of(heap[i]).children,
                         i + 1 < TEST_COUNT(heap));
        TEST_CHECK(heap[i]);
    }
    assert_int_equal(fpheap_destroy_forced(heap[4]), 0);
    assert_int_equal(stats_of(heap[3]).children, 0);
    assert_int_equal(fpheap_destroy(parent), -EBUSY);
    assert_int_equal(fpheap_destroy_forced(parent), 0);
    assert_int_equal(provider.held, 0);
}

static void
a_parent_is_busy_while_it_has_children_and_its_forced_end_ends_them(void **state)
{
    fpheap *parent = parent_with(0, 0);
    fpheap *one    = child_of(parent, "one", 0, 0);
    fpheap *two    = child_of(parent, "two", 0, 0);

    (void)state;
    assert_int_equal(fpheap_destroy(parent), -EBUSY);
    assert_int_equal(fpheap_destroy(one), 0);
    assert_int_equal(fpheap_destroy(parent), -EBUSY);
    assert_non_null(fpheap_alloc(two, 100));
    assert_int_equal(fpheap_destroy_forced(parent), 0);
    assert_int_equal(provider.held, 0);
    parent = parent_with(0, 0);
    TEST_DESTROY_OVER(parent, &provider);
}

static fpheap *outer;
static int     inner_result;

static int
ends_the_parent(void *arg, void *object)
{
    (void)arg, (void)object;
    inner_result = fpheap_destroy_forced(outer);
    return 0;
}

static void
a_callback_of_a_child_cannot_end_its_parent(void **state)
{
    fpheap_pool_desc desc;
    fpheap_pool     *pool;
    fpheap          *child;

    (void)state;
    outer = parent_with(0, 0);
    child = child_of(child_of(outer, "middle", 0, 0), "child", 0, 0);
    memset(&desc, 0, sizeof desc);
    desc.name = "ends";
    desc.size = 100;
    desc.construct = ends_the_parent;
    pool = fpheap_pool_create(child, &desc);
    assert_non_null(pool);
    fpheap_pool_put(pool, fpheap_pool_get(pool));
    assert_int_equal(inner_result, -EBUSY);
    TEST_CHECK(child);
    assert_int_equal(fpheap_destroy_forced(outer), 0);
    assert_int_equal(provider.held, 0);
}

static void
what_cannot_be_is_einval(void **state)
{
    fpheap       *parent = parent_with(0, 0);
    fpheap_config config;

    (void)state;
    memset(&config, 0, sizeof config);
    config.parent = parent;
    config.provider = &provider.calls;
    errno = 0;
    assert_null(fpheap_create("two sources", &config));
    assert_int_equal(errno, EINVAL);
    config.provider = NULL;
    config.limit = FPHEAP_CHUNK / 4 - 1;
    assert_null(fpheap_create("too low a limit", &config));
    assert_int_equal(errno, EINVAL);
    config.limit = 0;
    config.growth_max = FPHEAP_CHUNK / 8 - 1;
    assert_null(fpheap_create("too small a step", &config));
    assert_int_equal(errno, EINVAL);
    config.growth_max = 0;
    config.reserve = 4 * FPHEAP_CHUNK;
    config.limit = 2 * FPHEAP_CHUNK;
    assert_null(fpheap_create("more reserved than allowed", &config));
    assert_int_equal(errno, ENOSPC);
    assert_int_equal(stats_of(parent).children, 0);
    TEST_DESTROY_OVER(parent, &provider);
}

/* With each call to the provider failing in turn, and all after it. */
static void
a_child_that_finds_no_memory_leaves_nothing(void **state)
{
    unsigned failing, made = 0;

    (void)state;
    for (failing = 2; failing < 40 && !made; failing++) {
        fpheap *parent = parent_with(0, 0);
        fpheap *child;

        provider.fail_from = failing;
        provider.fail_to = UINT_MAX;
        errno = 0;
        child = child_of(parent, "child", 0, 16 * FPHEAP_CHUNK);
        if (child == NULL)
            assert_int_equal(errno, ENOMEM);
        else
            made = fpheap_destroy(child) == 0;
        TEST_CHECK(parent);
        assert_int_equal(stats_of(parent).child_bytes, 0);
        provider.fail_from = 0;
        TEST_DESTROY_OVER(parent, &provider);
    }
    assert_int_equal(made, 1);
    assert_true(failing > 3);
}

/* --- limits ---------------------------------------------------------------- */

static int watching;
static size_t most_seen;

static void *
watch(void *heap)
{
    while (__atomic_load_n(&watching, __ATOMIC_RELAXED)) {
        fpheap_stats stats;

        fpheap_stats_get((fpheap *)heap, &stats);
        if (most_seen < stats.region_bytes)
            most_seen = stats.region_bytes;
    }
    return NULL;
}

static void
a_child_never_has_more_than_its_limit(void **state)
{
    fpheap   *parent = parent_with(0, 0);
    size_t    limit  = 8 * FPHEAP_CHUNK;
    fpheap   *child  = child_of(parent, "child", limit, 0);
    unsigned  round;
    pthread_t watcher;

    (void)state;
    watching = 1;
    most_seen = 0;
    assert_int_equal(pthread_create(&watcher, NULL, watch, child), 0);
    for (round = 0; round < 20; round++) {
        void *list;

        assert_true(test_take_all(child, 64 << round % 10, &list) > 0);
        assert_int_equal(errno, ENOSPC);
        assert_true(test_charged(child) <= limit);
        test_free_all(child, list);
        (void)fpheap_trim(child);
    }
    __atomic_store_n(&watching, 0, __ATOMIC_RELAXED);
    assert_int_equal(pthread_join(watcher, NULL), 0);
    assert_true(most_seen <= limit);
    assert_true(most_seen > 0);
    fpheap_set_limit(child, 2 * limit);
    assert_int_equal(stats_of(child).limit, 2 * limit);
    fpheap_free(child, fpheap_alloc(child, limit));
    TEST_DESTROY(child);
    TEST_DESTROY_OVER(parent, &provider);
}

static void
a_reserve_is_the_childs_whatever_others_take(void **state)
{
    size_t  share  = 16 * FPHEAP_CHUNK;
    fpheap *parent = parent_with(3 * share, 0);
    fpheap *greedy = child_of(parent, "greedy", 0, 0);
    fpheap *child  = child_of(parent, "child", 0, share);
    void   *list, *of_parent, *of_greedy;
    size_t  first, again;

    (void)state;
    assert_non_null(child);
    assert_true(stats_of(child).region_bytes >= share);
    (void)fpheap_trim(child);
    (void)fpheap_trim(parent);
    assert_true(stats_of(child).region_bytes >= share);
    (void)test_take_all(greedy, 4000, &of_greedy);
    (void)test_take_all(parent, 4000, &of_parent);
    has_no_more(parent, 4000, ENOSPC);
    first = test_take_all(child, 4000, &list);
    assert_true(first * 4000 >= share / 100 * 85);
    test_free_all(child, list);
    (void)fpheap_trim(child);
    has_no_more(parent, FPHEAP_CHUNK, ENOSPC);
    has_no_more(greedy, FPHEAP_CHUNK, ENOSPC);
    again = test_take_all(child, 4000, &list);
    assert_true(again >= first);
    test_free_all(child, list);
    test_free_all(greedy, of_greedy);
    test_free_all(parent, of_parent);
    TEST_DESTROY(child);
    TEST_DESTROY(greedy);
    TEST_DESTROY_OVER(parent, &provider);
}

static void
what_a_heap_reserves_stays_through_a_trim(void **state)
{
    fpheap_config config;
    fpheap       *heap;
    void         *list;

    (void)state;
    memset(&config, 0, sizeof config);
    config.reserve = 10 * FPHEAP_CHUNK;
    heap = fpheap_create("parts", &config); /* mmap's: any chunk may go */
    assert_non_null(heap);
    fpheap_set_limit(heap, 30 * FPHEAP_CHUNK);
    assert_true(test_take_all(heap, 1000, &list) > 0);
    assert_true(stats_of(heap).region_bytes > 20 * FPHEAP_CHUNK);
    test_free_all(heap, list);
    (void)fpheap_trim(heap);
    assert_true(stats_of(heap).region_bytes >= 10 * FPHEAP_CHUNK);
    assert_true(stats_of(heap).region_bytes <= 12 * FPHEAP_CHUNK);
    TEST_CHECK(heap);
    TEST_DESTROY(heap);
}

/* Let the process map nothing any more.  Returns 0: it can all the same. */
static int
map_nothing(void)
{
    struct rlimit none;

    none.rlim_cur = none.rlim_max = test_number_in("/proc/self/status", "VmSize:")
                                  * 1024;
    return setrlimit(RLIMIT_AS, &none) == 0
        && mmap(NULL, 1 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
           == MAP_FAILED;
}

/* Under an emulator there is none. */
static int
has_a_limit(void)
{
    return !map_nothing();
}

/* A process that can map nothing any more works on in what it has reserved. */
static int
works_in_its_reserve(void)
{
    enum { LIVE = 32768 };
    static void  *object[LIVE];
    static size_t bytes[LIVE];
    size_t        room   = 64 * TEST_MIB, in_use = 0, most = 0;
    size_t        asked  = 0, rounded = 0;
    fpheap       *parent = fpheap_create("parent", NULL);
    fpheap       *child  = child_of(parent, "child", 0, room);
    test_random   random = test_random_of(64);
    unsigned      i, operations = 1000000 * test_soak();
    fpheap_stats  before, after;

    if (child == NULL)
        return 1;
    fpheap_stats_get(parent, &before);
    if (!map_nothing())
        return 2;
    for (i = 0; i < operations; i++) {
        size_t slot = test_below(&random, LIVE);
        size_t size = test_size(&random, 15);

        if (object[slot] != NULL) {
            in_use -= bytes[slot];
            fpheap_free(child, object[slot]);
            object[slot] = NULL;
        }
        if (in_use + size > room / 2)
            continue;
        object[slot] = fpheap_alloc(child, size);
        if (object[slot] == NULL)
            return 3;
        bytes[slot] = size;
        in_use += size;
        if (size >= 128) {
            asked += size;
            rounded += fpheap_usable_size(child, object[slot]);
        }
        most = in_use > most ? in_use : most;
    }
    fpheap_stats_get(parent, &after);
    return most < room / 2 - TEST_MIB ? 4
         : rounded > asked / 8 * 9 ? 6
         : after.region_bytes != before.region_bytes ? 5
         : fpheap_check(child) != 0;
}

static void
a_reserve_serves_when_the_process_can_map_nothing(void **state)
{
    (void)state;
    if (FEW_ADDRESSES || test_status_of(has_a_limit) != 0)
        skip();
    test_in_child(works_in_its_reserve);
}

/* Three children have all that they may, and wait; the fourth and the critical
 * never fail. */
static void
consumers_that_wait_starve_nobody(void **state)
{
    enum { LIVE = 1000 };
    static void *object[LIVE];
    size_t       share  = 4 * TEST_MIB;
    fpheap      *parent = parent_with(32 * TEST_MIB, TEST_MIB);
    fpheap      *blocked[3], *fourth;
    void        *list[3], *critical;
    test_random  random = test_random_of(4);
    unsigned     i, operations = 20000 * test_soak();

    (void)state;
    for (i = 0; i < 3; i++)
        blocked[i] = child_of(parent, "blocked", share, 0);
    fourth = child_of(parent, "fourth", 2 * share, share);
    assert_non_null(fourth);
    for (i = 0; i < 3; i++)
        (void)test_take_all(blocked[i], 500 + 500 * i, &list[i]);
    while (fpheap_alloc(parent, 1000) != NULL) {
    }
    for (i = 0; i < operations; i++) {
        size_t slot = test_below(&random, LIVE);

        fpheap_free(fourth, object[slot]);
        object[slot] = fpheap_alloc(fourth, test_size(&random, 11));
        assert_non_null(object[slot]);
        critical = fpheap_alloc_critical(parent, 1 + slot);
        assert_non_null(critical);
        fpheap_free(parent, critical);
        has_no_more(blocked[i % 3], 1500, ENOSPC);
        assert_true(test_charged(blocked[i % 3]) <= share);
    }
    assert_int_equal(stats_of(parent).emergency_bytes, TEST_MIB);
    assert_int_equal(fpheap_destroy_forced(parent), 0);
    assert_int_equal(provider.held, 0);
}

static void
a_child_without_memory_is_its_parents_all_the_same(void **state)
{
    fpheap *parent = parent_with(0, 0);
    fpheap *child  = child_of(parent, "child", 0, 0);

    (void)state;
    (void)fpheap_trim(child);
    assert_int_equal(test_charged(child), 0);
    assert_int_equal(stats_of(parent).children, 1);
    assert_int_equal(fpheap_destroy(parent), -EBUSY);
    assert_int_equal(fpheap_destroy_forced(parent), 0);
    assert_null(fph_handle_at((unsigned)(child - fph_heaps)));
    assert_int_equal(provider.held, 0);
}

/* --- whose an object is ---------------------------------------------------- */

static void
a_parent_finds_the_child_of_an_object(void **state)
{
    static const size_t sizes[] = { 1, 100, 1000, 20000, 200000, 3000000 };
    fpheap  *parent = parent_with(0, 0);
    fpheap  *child  = child_of(parent, "child", 0, 0);
    void    *many[TEST_COUNT(sizes)];
    unsigned i;

    (void)state;
    for (i = 0; i < TEST_COUNT(sizes); i++) {
        char *object = (char *)fpheap_alloc(child, sizes[i]);

        assert_null(fpheap_base_of(parent, object + sizes[i] / 2));
        assert_ptr_equal(fpheap_base_of(child, object + sizes[i] / 2), object);
        assert_int_equal(fpheap_usable_size(parent, object),
                         fpheap_usable_size(child, object));
        assert_false(fpheap_owns(parent, object));
        assert_true(fpheap_owns(child, object));
        many[i] = object;
    }
    assert_int_equal(stats_of(child).live_objects, TEST_COUNT(sizes));
    fpheap_free_bulk(parent, many, TEST_COUNT(sizes));
    assert_int_equal(stats_of(child).live_objects, 0);
    for (i = 0; i < TEST_COUNT(sizes); i++) {
        char *object = (char *)fpheap_alloc(child, sizes[i]);

        memset(object, 77, sizes[i]);
        object = (char *)fpheap_realloc(parent, object, 2 * sizes[i]);
        assert_non_null(object);
        assert_true(test_all_bytes(object, sizes[i], 77));
        assert_ptr_equal(fpheap_base_of(child, object), object);
        fpheap_free(parent, object);
    }
    assert_int_equal(stats_of(child).live_objects, 0);
    assert_int_equal(stats_of(parent).live_objects, 0);
    TEST_DESTROY(child);
    TEST_DESTROY_OVER(parent, &provider);
}

static uint64_t
iova_of(void *ctx, const void *chunk)
{
    (void)ctx;
    return (uintptr_t)chunk + 4096;
}

static void
an_object_of_a_child_has_the_parents_iova(void **state)
{
    fpheap_config config;
    fpheap       *parent, *child;
    unsigned      i;

    (void)state;
    memset(&config, 0, sizeof config);
    test_provider_init(&provider);
    provider.calls.iova = iova_of;
    config.provider = &provider.calls;
    parent = fpheap_create("parent", &config);
    child = child_of(parent, "child", 0, 0);
    for (i = 0; i < 2000; i++) {
        size_t size   = 64 << i % 15;
        char  *object = (char *)fpheap_alloc(child, size);

        assert_non_null(object);
        assert_true(fpheap_iova(child, object) == (uintptr_t)object + 4096);
        if (size <= FPHEAP_CHUNK)
            assert_int_equal((uintptr_t)object >> FPHEAP_CHUNK_SHIFT,
                             (uintptr_t)(object + size - 1)
                             >> FPHEAP_CHUNK_SHIFT);
    }
    assert_true(stats_of(child).waste_bytes < stats_of(child).region_bytes / 8);
    assert_int_equal(fpheap_destroy_forced(parent), 0);
    assert_int_equal(provider.held, 0);
}

/* Whether a heap takes the page in front of its first region, which begins
 * within a chunk. */
static int
takes_the_page_in_front(fpheap *heap)
{
    fpheap_region raw = provider.grant[0].region;
    fph_part      part;
    int           taken;

    raw.base = (char *)raw.base - FPHEAP_PAGE;
    raw.bytes = FPHEAP_PAGE;
    part = fph_parts((uintptr_t)raw.base, 1);
    assert_true(fph_part_next(heap->state, &part));
    taken = fph_part_come(heap->state, &part, &raw);
    if (taken)
        fph_part_leave(heap->state, &part);
    return taken;
}

/* Two of a provider's regions may have IOVAs that do not follow each other. */
static void
a_chunk_with_an_iova_is_of_one_region(void **state)
{
    fpheap_config config;
    unsigned      with;

    (void)state;
    for (with = 0; with < 2; with++) {
        fpheap *heap;

        memset(&config, 0, sizeof config);
        test_provider_init(&provider);
        provider.offset = FPHEAP_PAGE;
        provider.calls.iova = with ? iova_of : NULL;
        config.provider = &provider.calls;
        heap = fpheap_create("heap", &config);
        assert_non_null(heap);
        assert_int_equal(takes_the_page_in_front(heap), !with);
        TEST_DESTROY_OVER(heap, &provider);
    }
}

static void
the_holders_are_named_the_largest_first(void **state)
{
    fpheap          *parent = parent_with(0, 0);
    fpheap          *child  = child_of(parent, "tenant", 0, 8 * TEST_MIB);
    fpheap_pool_desc desc;
    fpheap_pool     *pool;
    fpheap_holder    holder[16];
    unsigned         n, i;

    (void)state;
    memset(&desc, 0, sizeof desc);
    desc.name = "sessions";
    desc.size = 1000;
    pool = fpheap_pool_create(parent, &desc);
    for (i = 0; i < 3000; i++)
        assert_non_null(fpheap_pool_get(pool));
    for (i = 0; i < 1000; i++)
        assert_non_null(fpheap_alloc(parent, 500));
    assert_non_null(fpheap_alloc(parent, 5 * TEST_MIB));
    n = fpheap_holders(parent, holder, 16);
    assert_true(n >= 4);
    assert_int_equal(holder[0].kind, FPHEAP_HOLDER_CHILD);
    assert_string_equal(holder[0].name, "tenant");
    assert_int_equal(holder[0].bytes, stats_of(child).region_bytes);
    assert_int_equal(holder[0].size, 0);
    assert_int_equal(holder[0].objects, 0);
    assert_int_equal(holder[1].kind, FPHEAP_HOLDER_SIZE);
    assert_int_equal(holder[1].size, 0);
    assert_int_equal(holder[1].objects, 1);
    assert_true(holder[1].bytes >= 5 * TEST_MIB);
    assert_int_equal(holder[2].kind, FPHEAP_HOLDER_POOL);
    assert_string_equal(holder[2].name, "sessions");
    assert_int_equal(holder[2].objects, 3000);
    assert_int_equal(holder[3].kind, FPHEAP_HOLDER_SIZE);
    assert_int_equal(holder[3].objects, 1000);
    memset(&holder[1], 5, sizeof holder[1]);
    assert_int_equal(fpheap_holders(parent, holder, 1), 1);
    assert_string_equal(holder[0].name, "tenant");
    assert_true(test_all_bytes(&holder[1], sizeof holder[1], 5));
    assert_int_equal(fpheap_holders(parent, NULL, 0), 0);
    assert_int_equal(fpheap_destroy_forced(parent), 0);
    assert_int_equal(provider.held, 0);
}

/* Each byte of it, whatever the name of its number's last heap was. */
static void
a_holder_has_the_whole_name_of_its_child(void **state)
{
    static const char *const names[] = {
        "0123456789012345678901234567890", "short", "",
        "abcdefghijklmnopqrstuvwxyzabcde"
    };
    fpheap       *parent = parent_with(0, 0);
    fpheap_holder holder;
    unsigned      i;

    (void)state;
    for (i = 0; i < TEST_COUNT(names); i++) {
        fpheap *child = child_of(parent, names[i], 0, TEST_MIB);
        char    filled[FPHEAP_NAME_BYTES] = "";

        assert_non_null(child);
        memcpy(filled, names[i], strlen(names[i]));
        assert_int_equal(fpheap_holders(parent, &holder, 1), 1);
        assert_int_equal(holder.kind, FPHEAP_HOLDER_CHILD);
        assert_memory_equal(holder.name, filled, sizeof filled);
        assert_int_equal(fpheap_destroy(child), 0);
    }
    TEST_DESTROY_OVER(parent, &provider);
}

static unsigned lows, highs;

static void
crossed(void *arg, fpheap *heap, fpheap_pool *pool, int room)
{
    (void)arg, (void)heap, (void)pool;
    ++*(room ? &highs : &lows);
}

static void
what_children_have_counts_for_the_parents_watermarks(void **state)
{
    fpheap_config config;
    fpheap       *parent, *child;

    (void)state;
    lows = highs = 0;
    memset(&config, 0, sizeof config);
    test_provider_init(&provider);
    config.provider = &provider.calls;
    config.limit = 32 * TEST_MIB;
    config.emergency = TEST_MIB;
    config.water.low = 8 * TEST_MIB;
    config.water.high = 16 * TEST_MIB;
    config.water.crossed = crossed;
    parent = fpheap_create("parent", &config);
    assert_non_null(parent);
    child = child_of(parent, "child", 0, 12 * TEST_MIB);
    assert_int_equal(lows, 0);
    TEST_CHECK(parent);
    fpheap_free(child, fpheap_alloc(child, 14 * TEST_MIB));
    assert_int_equal(lows, 1);
    assert_int_equal(highs, 0);
    assert_int_equal(fpheap_destroy_forced(child), 0);
    assert_int_equal(highs, 1);
    assert_int_equal(lows, 1);
    TEST_CHECK(parent);
    assert_int_equal(fpheap_destroy(parent), 0);
    assert_int_equal(provider.held, 0);
}

/* --- many ------------------------------------------------------------------ */

/* Of the process, page tables included. */
static size_t
resident_kib(void)
{
    return test_number_in("/proc/self/status", "VmRSS:")
         + test_number_in("/proc/self/status", "VmPTE:");
}

static void
a_thousand_children_live_at_a_time(void **state)
{
    enum { MANY = FEW_ADDRESSES ? 100 : 1000 };
    static fpheap *child[MANY];
    fpheap        *parent = fpheap_create("parent", NULL);
    void          *object;
    unsigned       i;
    size_t         kib;

    (void)state;
    assert_int_equal(fpheap_reserve(parent, MANY * FPHEAP_CHUNK / 4, 0), 0);
    kib = resident_kib();
    for (i = 0; i < MANY; i++) {
        child[i] = child_of(parent, "child", 0, 0);
        assert_non_null(child[i]);
        object = fpheap_alloc(child[i], 100);
        assert_non_null(object);
        memcpy(object, &i, sizeof i);
    }
    assert_int_equal(stats_of(parent).children, MANY);
    assert_int_equal(stats_of(parent).child_bytes, MANY * FPHEAP_CHUNK / 4);
    if (FPHEAP_CHECK == 0 && !FEW_ADDRESSES) /* beside the objects' pages */
        assert_in_range((resident_kib() - kib) / MANY, 0, 128);
    for (i = 0; i < MANY; i++)
        assert_int_equal(fpheap_destroy_forced(child[i]), 0);
    assert_int_equal(stats_of(parent).children, 0);
    TEST_DESTROY(parent);
}

static void *
make_and_end(void *parent)
{
    unsigned i, n = 100 * test_soak();

    for (i = 0; i < n; i++) {
        fpheap *child = child_of((fpheap *)parent, "child", 0, 0);
        void   *object = fpheap_alloc(child, 100 + i);

        if (object == NULL)
            return parent;
        if (i % 2 != 0)
            fpheap_free((fpheap *)parent, object);
        if ((i % 2 != 0 ? fpheap_destroy(child)
                        : fpheap_destroy_forced(child)) != 0)
            return parent;
    }
    return NULL;
}

static void
children_come_and_go_in_eight_threads(void **state)
{
    fpheap   *parent = fpheap_create("parent", NULL);
    pthread_t thread[8];
    unsigned  i;
    void     *wrong;

    (void)state;
    for (i = 0; i < 8; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, make_and_end, parent),
                         0);
    for (i = 0; i < 8; i++) {
        assert_int_equal(pthread_join(thread[i], &wrong), 0);
        assert_null(wrong);
    }
    assert_int_equal(stats_of(parent).child_bytes, 0);
    assert_int_equal(stats_of(parent).live_bytes, 0);
    TEST_CHECK(parent);
    TEST_DESTROY(parent);
}

static fpheap *before_fork[2];

static int
works_after_a_fork(void)
{
    fpheap *parent = before_fork[0], *child = before_fork[1];
    void   *object = fpheap_alloc(child, 3000), *critical;

    if (object == NULL || fpheap_check(parent) != NULL
        || fpheap_check(child) != NULL)
        return 1;
    fpheap_free(parent, object);
    critical = fpheap_alloc_critical(parent, 100);
    fpheap_free(parent, critical);
    if (fpheap_destroy(parent) != -EBUSY)
        return 2;
    return fpheap_destroy_forced(child) != 0 || critical == NULL
        || fpheap_destroy(parent) != 0;
}

static void
the_child_of_a_fork_has_the_children_too(void **state)
{
    fpheap *parent = parent_with(0, TEST_MIB);
    fpheap *child  = child_of(parent, "child", 0, 0);
    void   *object = fpheap_alloc(child, 100);

    (void)state;
    before_fork[0] = parent;
    before_fork[1] = child;
    test_in_child(works_after_a_fork);
    fpheap_free(parent, object);
    TEST_DESTROY(child);
    assert_int_equal(fpheap_destroy(parent), 0);
    assert_int_equal(provider.held, 0);
}

static void
a_dump_shows_children(void **state)
{
    fpheap *parent = parent_with(0, TEST_MIB);
    FILE   *out    = tmpfile();
    char    text[4096];
    size_t  n;

    (void)state;
    assert_non_null(out);
    assert_non_null(child_of(parent, "child", 0, 0));
    fpheap_dump(parent, out);
    rewind(out);
    n = fread(text, 1, sizeof text - 1, out);
    text[n] = '\0';
    (void)fclose(out);
    assert_non_null(strstr(text, " 2, 1048576 left for the critical"));
    assert_int_equal(fpheap_destroy_forced(parent), 0);
}

/* --- critical -------------------------------------------------------------- */

#define SIZE (1024 - FPH_HEAD - FPH_SLACK) /* so that its class is 1 KiB */
#define N    (TEST_MIB / 1024)

/* Nothing is live but what is set aside. */
static void
ends_whole(fpheap *heap)
{
    fpheap_stats stats = stats_of(heap);

    assert_int_equal(stats.live_objects, 0);
    assert_int_equal(stats.live_bytes, stats.child_bytes);
    TEST_CHECK(heap->emergency);
    TEST_CHECK(heap);
    assert_int_equal(fpheap_destroy(heap), 0);
    assert_int_equal(provider.held, 0);
    assert_int_equal(provider.wrong, 0);
}

static void
the_emergency_is_an_eighth_and_a_chunk_more_at_once(void **state)
{
    fpheap *heap = parent_with(0, 24 * TEST_MIB);

    (void)state;
    assert_int_equal(stats_of(heap).emergency_bytes, 24 * TEST_MIB);
    assert_int_equal(stats_of(heap).child_bytes, 27 * TEST_MIB + FPHEAP_CHUNK);
    ends_whole(heap);
}

static void
critical_objects_have_the_emergencys_bytes_and_no_others_do(void **state)
{
    fpheap  *heap = parent_with(16 * TEST_MIB, TEST_MIB);
    void    *list, *ordinary;
    unsigned i, round;
    static void *critical[N];

    (void)state;
    assert_int_equal(stats_of(heap).emergency_bytes, TEST_MIB);
    fpheap_free(heap, fpheap_alloc_critical(heap, SIZE));
    assert_int_equal(stats_of(heap).emergency_bytes, TEST_MIB);
    assert_true(test_take_all(heap, SIZE, &list) > 0);
    for (round = 0; round < 3; round++) {
        for (i = 0; i < N; i++) {
            assert_int_equal(stats_of(heap).emergency_bytes,
                             TEST_MIB - i * 1024);
            has_no_more(heap, SIZE, ENOSPC);
            critical[i] = fpheap_alloc_critical(heap, SIZE);
            assert_non_null(critical[i]);
            assert_ptr_equal(fpheap_base_of(heap, (char *)critical[i] + 9),
                             critical[i]);
            memset(critical[i], (int)i, SIZE);
        }
        errno = 0;
        assert_null(fpheap_alloc_critical(heap, SIZE));
        assert_int_equal(errno, ENOMEM);
        for (i = 0; i < N; i++) {
            assert_true(test_all_bytes(critical[i], SIZE, (unsigned char)i));
            fpheap_free(heap, critical[i]);
            has_no_more(heap, SIZE, ENOSPC);
        }
        assert_int_equal(stats_of(heap).emergency_bytes, TEST_MIB);
    }
    ordinary = list;
    memcpy(&list, ordinary, sizeof list);
    fpheap_free(heap, ordinary);
    ordinary = fpheap_alloc_critical(heap, SIZE);
    assert_int_equal(stats_of(heap).emergency_bytes, TEST_MIB);
    fpheap_free(heap, ordinary);
    test_free_all(heap, list);
    TEST_CHECK(heap);
    ends_whole(heap);
}

static void
critical_objects_may_be_of_many_sizes(void **state)
{
    test_random random = test_random_of(16);
    unsigned    trial;

    (void)state;
    for (trial = 0; trial < 20 * test_soak(); trial++) {
        size_t  bytes = TEST_MIB / 2 + test_below(&random, 4 * TEST_MIB);
        fpheap *heap  = parent_with(0, bytes);
        size_t  size[16];
        void   *list  = NULL, *object;
        unsigned i;

        fpheap_set_limit(heap, 1);
        (void)test_take_all(heap, 16, &list);
        for (i = 0; i < TEST_COUNT(size); i++) {
            size[i] = 1 + test_below(&random, 4096);
            (void)test_take_all(heap, size[i], &list);
        }
        for (i = 0;; i = (unsigned)test_below(&random, TEST_COUNT(size))) {
            object = fpheap_alloc_critical(heap, size[i]);
            if (object == NULL)
                break;
            memset(object, 1, size[i]);
        }
        assert_int_equal(errno, ENOMEM);
        assert_true(stats_of(heap).emergency_bytes < 4096 + 512);
        assert_int_equal(fpheap_destroy(heap), -EBUSY);
        assert_int_equal(fpheap_destroy_forced(heap), 0);
        assert_int_equal(provider.held, 0);
    }
}

static void
a_critical_object_of_pages_gives_back_what_it_took(void **state)
{
    const size_t size = 2 * FPHEAP_PAGE;
    fpheap      *heap = parent_with(0, 16 * TEST_MIB);
    void        *object[256], *list;
    size_t       least = SIZE_MAX;
    unsigned     n, i;

    (void)state;
    fpheap_set_limit(heap, 1);
    (void)test_take_all(heap, size, &list);
    for (n = 0; (object[n] = fpheap_alloc_critical(heap, size)) != NULL; n++)
        least = stats_of(heap).emergency_bytes;
    assert_true(n > 8 && least < 2 * size);
    for (i = 0; i < n; i += 2)
        fpheap_free(heap, object[i]);
    least = stats_of(heap).emergency_bytes;
    /* There are bytes enough, but not in a row. */
    assert_true(least > 6 * TEST_MIB);
    assert_null(fpheap_alloc_critical(heap, 6 * TEST_MIB));
    assert_int_equal(errno, ENOMEM);
    assert_int_equal(stats_of(heap).emergency_bytes, least);
    for (i = 1; i < n; i += 2)
        fpheap_free(heap, object[i]);
    assert_int_equal(stats_of(heap).emergency_bytes, 16 * TEST_MIB);
    object[0] = fpheap_alloc_critical(heap, 6 * TEST_MIB);
    assert_non_null(object[0]);
    fpheap_free(heap, object[0]);
    test_free_all(heap, list);
    TEST_CHECK(heap);
    ends_whole(heap);
}

static void
a_critical_bulk_is_all_or_nothing(void **state)
{
    fpheap      *heap = parent_with(0, TEST_MIB);
    static void *objects[2 * N];
    void        *list;

    (void)state;
    fpheap_set_limit(heap, 1);
    (void)test_take_all(heap, SIZE, &list);
    objects[0] = NULL;
    assert_int_equal(fpheap_alloc_critical_bulk(heap, SIZE, objects,
                                                N + 1), -ENOMEM);
    assert_null(objects[0]);
    assert_int_equal(fpheap_alloc_critical_bulk(heap, SIZE, objects,
                                                N), 0);
    assert_int_equal(stats_of(heap).emergency_bytes, 0);
    fpheap_free_bulk(heap, objects, N);
    assert_int_equal(stats_of(heap).emergency_bytes, TEST_MIB);
    assert_int_equal(fpheap_alloc_critical_bulk(heap, SIZE, objects, 0), 0);
    test_free_all(heap, list);
    ends_whole(heap);
}

static void
a_pool_that_cannot_be_made_leaves_none_for_critical_objects(void **state)
{
    fpheap          *heap = parent_with(0, TEST_MIB);
    fpheap_pool_desc desc;
    fpheap_pool     *pool;

    (void)state;
    memset(&desc, 0, sizeof desc);
    desc.name = "control";
    desc.size = 500;
    desc.min = 100000;
    fpheap_set_limit(heap, 1);
    errno = 0;
    assert_null(fpheap_pool_create(heap, &desc));
    assert_int_equal(errno, ENOSPC);
    fpheap_set_limit(heap, 0);
    desc.min = 0;
    pool = fpheap_pool_create(heap, &desc);
    assert_non_null(pool);
    fpheap_pool_put(pool, fpheap_pool_get_critical(pool));
    assert_int_equal(fpheap_pool_destroy(pool, NULL), 0);
    ends_whole(heap);
}

static void
a_critical_object_that_is_reallocated_is_one_like_others(void **state)
{
    fpheap *heap = parent_with(0, TEST_MIB);
    void   *list, *object;

    (void)state;
    fpheap_set_limit(heap, 1);
    (void)test_take_all(heap, SIZE, &list);
    object = fpheap_alloc_critical(heap, SIZE);
    memset(object, 9, SIZE);
    assert_null(fpheap_realloc(heap, object, 2 * SIZE));
    assert_true(test_all_bytes(object, SIZE, 9));
    fpheap_set_limit(heap, 0);
    object = fpheap_realloc(heap, object, 2 * SIZE);
    assert_non_null(object);
    assert_true(test_all_bytes(object, SIZE, 9));
    assert_int_equal(stats_of(heap).emergency_bytes, TEST_MIB);
    fpheap_free(heap, object);
    test_free_all(heap, list);
    ends_whole(heap);
}

#define FULL ((500 + FPH_HEAD + FPH_SLACK + 15) & ~15u) /* with its header */

static unsigned constructed, destructed;

static int
construct_nth(fpheap_pool *pool, void *arg, void *object, size_t nth)
{
    (void)arg, (void)nth;
    assert_string_equal((char *)fpheap_pool_private(pool), "private");
    memset(object, 42, 500);
    constructed++;
    return 0;
}

static void
destruct(void *arg, void *object)
{
    (void)arg;
    assert_true(test_all_bytes(object, 500, 42));
    destructed++;
}

static void
a_pools_critical_objects_are_constructed_and_beyond_its_max(void **state)
{
    fpheap          *heap = parent_with(0, 100 * FULL);
    fpheap_pool_desc desc;
    fpheap_pool     *pool;
    void            *object[10], *critical[100];
    size_t           live;
    unsigned         i;

    (void)state;
    constructed = destructed = 0;
    memset(&desc, 0, sizeof desc);
    desc.name = "control";
    desc.size = 500;
    desc.max = 10;
    desc.private_bytes = 8;
    desc.construct_nth = construct_nth;
    desc.destruct = destruct;
    pool = fpheap_pool_create(heap, &desc);
    assert_non_null(pool);
    memcpy(fpheap_pool_private(pool), "private", 8);
    for (i = 0; i < 10; i++)
        object[i] = fpheap_pool_get_critical(pool);
    assert_null(fpheap_pool_get(pool));
    assert_int_equal(errno, ENOSPC);
    for (i = 0; i < 100; i++) {
        critical[i] = fpheap_pool_get_critical(pool);
        assert_non_null(critical[i]);
        assert_true(test_all_bytes(critical[i], 500, 42));
        assert_null(fpheap_pool_get(pool));
    }
    assert_null(fpheap_pool_get_critical(pool));
    assert_int_equal(errno, ENOMEM);
    assert_int_equal(fpheap_pool_destroy(pool, &live), -EBUSY);
    assert_int_equal(live, 110);
    fpheap_pool_put_bulk(pool, object, 10);
    assert_int_equal(fpheap_pool_destroy(pool, &live), -EBUSY);
    assert_int_equal(live, 100);
    for (i = 0; i < 50; i++)
        fpheap_pool_put(pool, critical[i]);
    fpheap_pool_put_bulk(pool, critical + 50, 50);
    assert_int_equal(stats_of(heap).emergency_bytes, 100 * FULL);
    assert_int_equal(fpheap_pool_destroy(pool, &live), 0);
    assert_int_equal(constructed, destructed);
    pool = fpheap_pool_create(heap, &desc);
    assert_non_null(pool);
    errno = 0;
    assert_null(fpheap_pool_create(heap, &desc));
    assert_int_equal(errno, EEXIST);
    ends_whole(heap);
}

/* Everything is exhausted by eight threads, one of which then needs more. */
static fpheap  *common;
static unsigned refused, critical_had;

static void *
exhaust(void *wants_critical)
{
    void    *list, *critical = NULL, *object;
    unsigned round;

    for (round = 0; round < 20; round++) {
        (void)test_take_all(common, 200 + 100 * (round % 5), &list);
        while (wants_critical != NULL
               && (object = fpheap_alloc_critical(common, 200)) != NULL) {
            __atomic_fetch_add(&critical_had, 1, __ATOMIC_RELAXED);
            test_push(&critical, object);
        }
        test_free_all(common, critical);
        critical = NULL;
        __atomic_fetch_add(&refused, 1, __ATOMIC_RELAXED);
        test_free_all(common, list);
    }
    return NULL;
}

static void
eight_threads_exhaust_a_heap_and_the_critical_one_goes_on(void **state)
{
    pthread_t    thread[8];
    unsigned     i;
    fpheap_stats stats;

    (void)state;
    refused = critical_had = 0;
    common = parent_with(32 * TEST_MIB, TEST_MIB);
    for (i = 0; i < 8; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, exhaust,
                                        i == 0 ? common : NULL), 0);
    for (i = 0; i < 8; i++)
        assert_int_equal(pthread_join(thread[i], NULL), 0);
    assert_int_equal(refused, 160);
    assert_true(critical_had >= 20 * (TEST_MIB / 256));
    stats = stats_of(common);
    assert_int_equal(stats.emergency_bytes, TEST_MIB);
    assert_int_equal(stats.live_objects, 0);
    TEST_CHECK(common->emergency);
    ends_whole(common);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            a_child_takes_memory_of_its_parent_and_gives_all_of_it_back),
        cmocka_unit_test(a_walk_shows_a_heaps_own_objects_and_none_of_children),
        cmocka_unit_test(children_have_children),
        cmocka_unit_test(
            a_parent_is_busy_while_it_has_children_and_its_forced_end_ends_them),
        cmocka_unit_test(a_callback_of_a_child_cannot_end_its_parent),
        cmocka_unit_test(what_cannot_be_is_einval),
        cmocka_unit_test(a_child_that_finds_no_memory_leaves_nothing),
        cmocka_unit_test(a_child_never_has_more_than_its_limit),
        cmocka_unit_test(a_reserve_is_the_childs_whatever_others_take),
        cmocka_unit_test(what_a_heap_reserves_stays_through_a_trim),
        cmocka_unit_test(a_reserve_serves_when_the_process_can_map_nothing),
        cmocka_unit_test(consumers_that_wait_starve_nobody),
        cmocka_unit_test(a_child_without_memory_is_its_parents_all_the_same),
        cmocka_unit_test(a_parent_finds_the_child_of_an_object),
        cmocka_unit_test(an_object_of_a_child_has_the_parents_iova),
        cmocka_unit_test(a_chunk_with_an_iova_is_of_one_region),
        cmocka_unit_test(the_holders_are_named_the_largest_first),
        cmocka_unit_test(a_holder_has_the_whole_name_of_its_child),
        cmocka_unit_test(what_children_have_counts_for_the_parents_watermarks),
        cmocka_unit_test(a_thousand_children_live_at_a_time),
        cmocka_unit_test(children_come_and_go_in_eight_threads),
        cmocka_unit_test(the_child_of_a_fork_has_the_children_too),
        cmocka_unit_test(a_dump_shows_children),
        cmocka_unit_test(the_emergency_is_an_eighth_and_a_chunk_more_at_once),
        cmocka_unit_test(
            critical_objects_have_the_emergencys_bytes_and_no_others_do),
        cmocka_unit_test(critical_objects_may_be_of_many_sizes),
        cmocka_unit_test(a_critical_object_of_pages_gives_back_what_it_took),
        cmocka_unit_test(a_critical_bulk_is_all_or_nothing),
        cmocka_unit_test(
            a_pool_that_cannot_be_made_leaves_none_for_critical_objects),
        cmocka_unit_test(
            a_critical_object_that_is_reallocated_is_one_like_others),
        cmocka_unit_test(
            a_pools_critical_objects_are_constructed_and_beyond_its_max),
        cmocka_unit_test(
            eight_threads_exhaust_a_heap_and_the_critical_one_goes_on)
    };

    return cmocka_run_group_tests_name("children", tests, NULL, NULL);
}
