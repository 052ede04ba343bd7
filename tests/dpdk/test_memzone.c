/* test_memzone.c - a heap over memzones: its IOVAs are those of the EAL, what
 * it had is back after destroy, and no zone, no memory, a limit are errors that
 * leave a working heap.  run.sh runs it under each mode of the EAL.
 */
#define FPHEAP_MAX_NODES 8
#define FPHEAP_IMPLEMENTATION
#include "fpheap.h"
#include "tests/test_util.h"

/* Zones are the EAL's, or invented here to see what 2,560 would give. */
#include <rte_memzone.h>
static const struct rte_memzone *reserve(const char *name, size_t bytes,
                                         int socket, unsigned flags,
                                         unsigned align);
static int give_back(const struct rte_memzone *zone);
#define rte_memzone_reserve_aligned reserve
#define rte_memzone_free            give_back
#include "examples/dpdk/fpheap_memzone.h"
#undef rte_memzone_reserve_aligned
#undef rte_memzone_free
#include "eal.h"

#include <pthread.h>

#define OBJECTS 10000
#define SIZE    (20 * TEST_KIB) /* that many: over a hundred chunks */
#define FILLERS 4096
#define RETRIES 20

#define ZONES   2560

static fpheap_memzone  zones;
static fpheap_provider provider;
static void           *objects[65536];

static int                made_up;
static struct rte_memzone zone_made_up[ZONES];

static const struct rte_memzone *
reserve(const char *name, size_t bytes, int socket, unsigned flags,
        unsigned align)
{
    unsigned i = 0;

    if (!made_up)
        return rte_memzone_reserve_aligned(name, bytes, socket, flags, align);
    while (i < ZONES && zone_made_up[i].len != 0)
        i++;
    if (i == ZONES) {
        rte_errno = ENOSPC;
        return NULL;
    }
    zone_made_up[i].len = bytes;
    zone_made_up[i].addr = (void *)(((uintptr_t)i + 1) << 36);
    zone_made_up[i].hugepage_sz = 2 * TEST_MIB;
    return &zone_made_up[i];
}

static int
give_back(const struct rte_memzone *zone)
{
    if (!made_up)
        return rte_memzone_free(zone);
    zone_made_up[zone - zone_made_up].len = 0;
    return 0;
}

static fpheap *
heap_of(const char *prefix, size_t limit)
{
    fpheap_config config = { .provider = &provider, .limit = limit };
    fpheap       *heap;

    fpheap_memzone_provider(&provider, &zones, prefix, 1);
    heap = fpheap_create("zones", &config);
    assert_non_null(heap);
    return heap;
}

/* Allocate until it fails; how many there are then. */
static unsigned
fill(fpheap *heap, size_t size)
{
    unsigned n = 0;

    while (n < TEST_COUNT(objects)
           && (objects[n] = fpheap_alloc(heap, size)) != NULL)
        memset(objects[n++], 0x5a, 64);
    return n;
}

/* Chunks that the first n of the objects lie in. */
static size_t
chunks_of(unsigned n)
{
    uintptr_t last = 0;
    size_t    chunks = 0;
    unsigned  i;

    for (i = 0; i < n; i++) {
        uintptr_t chunk = (uintptr_t)objects[i] / FPHEAP_CHUNK;

        chunks += chunk != last;
        last = chunk;
    }
    return chunks;
}

static void
iova_of_10000_objects_is_the_eals(void **state)
{
    fpheap  *heap;
    unsigned i;

    (void)state;
    if (getenv("FPHEAP_SMALL") != NULL) {
        print_message("why: 200 MiB do not fit into 64\n");
        skip();
    }
    heap = heap_of("iova", 0);
    assert_int_equal(fpheap_alloc_bulk(heap, SIZE, objects, OBJECTS), 0);
    for (i = 0; i < OBJECTS; i++) {
        char    *object = objects[i];
        uint64_t iova = fpheap_iova(heap, object);

        object[0] = object[SIZE - 1] = 1;
        assert_true(iova != FPHEAP_BAD_IOVA);
        assert_true(iova == rte_mem_virt2iova(object));
        assert_true(iova + SIZE - 1 == rte_mem_virt2iova(object + SIZE - 1));
    }
    assert_true(chunks_of(OBJECTS) >= 100);
    print_message("figure: %d objects in %zu chunks, IOVA as %s, %s\n", OBJECTS,
                  chunks_of(OBJECTS),
                  rte_eal_iova_mode() == RTE_IOVA_VA ? "VA" : "PA",
                  rte_eal_has_hugepages() ? "hugepages" : "no hugepages");
    fpheap_free_bulk(heap, objects, OBJECTS);
    TEST_DESTROY(heap);
}

/* Others may use hugepages at the same time, so their number is looked at
 * again; that of this process is exact at once. */
static void
hugepages_and_zones_are_back_after_destroy(void **state)
{
    unsigned zones_before = eal_zones();
    size_t   own = eal_own_hugepages();
    size_t   before = 0;
    size_t   most = 0;
    size_t   after = 1;
    unsigned try;

    (void)state;
    if (!rte_eal_has_hugepages()) {
        print_message("why: no hugepages in this mode\n");
        skip();
    }
    for (try = 0; try < RETRIES && after != before; try++) {
        fpheap *heap;

        before = eal_free_hugepages();
        heap = heap_of("back", 0);
        assert_int_equal(fpheap_alloc_bulk(heap, SIZE, objects, 1500), 0);
        most = eal_own_hugepages();
        fpheap_free_bulk(heap, objects, 1500);
        TEST_DESTROY(heap);
        after = eal_free_hugepages();
        assert_int_equal(eal_own_hugepages(), own);
        assert_int_equal(eal_zones(), zones_before);
        assert_int_equal(zones.held, 0);
    }
    assert_int_equal(after, before);
    assert_true(most > own);
    print_message("figure: HugePages_Free %zu before, %zu after; %zu MiB at"
                  " most\n", before, after, (most - own) / 1024);
}

static void
region_bytes_are_the_zones_and_the_backing_is_told(void **state)
{
    fpheap      *heap = heap_of("backing", 0);
    fpheap_stats s;

    (void)state;
    assert_int_equal(fpheap_reserve(heap, 24 * TEST_MIB, 0), 0);
    fpheap_stats_get(heap, &s);
    assert_int_equal(s.region_bytes, zones.held);
    assert_int_equal(s.backing_bytes[rte_eal_has_hugepages()
                                     ? FPHEAP_BACKING_HUGETLB
                                     : FPHEAP_BACKING_PAGES], s.region_bytes);
    assert_int_equal(zones.elsewhere, 0);
    TEST_DESTROY(heap);
}

static void
few_zones_as_they_grow(void **state)
{
    unsigned     before = eal_zones();
    fpheap      *heap;
    fpheap_stats s;
    unsigned     n;

    (void)state;
    if (getenv("FPHEAP_SMALL") != NULL) {
        print_message("why: 200 MiB do not fit into 64\n");
        skip();
    }
    heap = heap_of("grow", 0);
    for (n = 0; n < OBJECTS; n++)
        assert_non_null(objects[n] = fpheap_alloc(heap, SIZE));
    fpheap_stats_get(heap, &s);
    print_message("figure: %u zones for %zu MiB, %zu MiB live\n",
                  eal_zones() - before, s.region_bytes >> 20,
                  s.live_bytes >> 20);
    assert_true(eal_zones() - before <= 16);
    fpheap_free_bulk(heap, objects, OBJECTS);
    assert_true(fpheap_trim(heap) >= 150 * TEST_MIB);
    TEST_DESTROY(heap);
    assert_int_equal(eal_zones(), before);
}

/* What zones make of which a heap asks for as it does, `ask` bytes at most at a
 * time, and hands back each n-th at once. */
static size_t
bytes_of_zones(unsigned most, size_t ask, unsigned n, unsigned *used)
{
    fpheap_region region;
    size_t        held = 0;
    unsigned      gets = 0;

    made_up = 1;
    memset(zone_made_up, 0, sizeof zone_made_up);
    fpheap_memzone_provider(&provider, &zones, "made up", 1);
    for (*used = 0; *used < most; ++*used) {
        size_t bytes = held / 16 > 2 * FPHEAP_CHUNK ? held / 16
                                                    : 2 * FPHEAP_CHUNK;

        bytes = (bytes < ask ? bytes : ask) & ~(FPHEAP_CHUNK - 1);
        if (provider.get(&zones, bytes, FPHEAP_CHUNK, 0, &region) != 0)
            break;
        if (n != 0 && ++gets % n == 0) {
            assert_int_equal(provider.put(&zones, &region), 0);
            assert_int_equal(provider.get(&zones, bytes, FPHEAP_CHUNK, 0,
                                          &region), 0);
            assert_int_equal(region.bytes, bytes);
        }
        (void)provider.iova(&zones, region.base);
        held += region.bytes;
    }
    assert_int_equal(held, zones.held);
    made_up = 0;
    return held;
}

static void
all_zones_make_terabytes_and_some_that_are_refused_do_not_change_that(
    void **state)
{
    unsigned used;
    unsigned ten = 0;
    size_t   bytes;

    (void)state;
    while (bytes_of_zones(++ten, 1024 * TEST_MIB, 0, &used) < 10240 * TEST_MIB)
        ;
    assert_true(ten <= 40);
    bytes = bytes_of_zones(ZONES + 1, 1024 * TEST_MIB, 0, &used);
    assert_int_equal(used, ZONES);
    print_message("figure: %u zones make 10 GiB, %u make %zu GiB\n", ten, used,
                  bytes >> 30);
    assert_true(bytes >= 2400 * 1024 * TEST_MIB);
    /* One step of growth is a chunk, the first zone is refused, and each
     * tenth. */
    assert_true(bytes_of_zones(ZONES + 1, FPHEAP_CHUNK, 2600, &used)
                >= 2400 * 1024 * TEST_MIB);
    assert_true(bytes_of_zones(ZONES + 1, FPHEAP_CHUNK, 10, &used)
                >= 200 * 1024 * TEST_MIB);
}

static int
count_pages(void *arg, const fpheap_region *region)
{
    const size_t page = 2 * TEST_MIB;

    *(size_t *)arg += (region->bytes + FPHEAP_CHUNK + page - 1) / page;
    return 0;
}

/* The EAL puts 128 bytes in front of a zone: its last chunk's pages, and room
 * to align the first.  No more. */
static void
a_zone_takes_hugepages_for_its_chunks_and_one_more(void **state)
{
    size_t       own = eal_own_hugepages() / 2048;
    fpheap      *heap;
    fpheap_stats s;
    size_t       pages = 0;
    unsigned     n;

    (void)state;
    if (!rte_eal_has_hugepages() || getenv("FPHEAP_SMALL") != NULL) {
        print_message("why: no hugepages in this mode, or too few\n");
        skip();
    }
    heap = heap_of("pages", 0);
    for (n = 0; n < OBJECTS; n++)
        assert_non_null(objects[n] = fpheap_alloc(heap, SIZE));
    own = eal_own_hugepages() / 2048 - own;
    fpheap_stats_get(heap, &s);
    assert_int_equal(fpheap_region_walk(heap, count_pages, &pages), 0);
    print_message("figure: %zu hugepages for %zu MiB in %u regions, %.3f of"
                  " their bytes\n", own, s.region_bytes >> 20, s.regions,
                  (double)own * 2 * TEST_MIB / (double)s.region_bytes);
    assert_true(own <= pages);
    assert_true(own * 2 * TEST_MIB <= s.region_bytes / 8 * 9);
    fpheap_free_bulk(heap, objects, OBJECTS);
    TEST_DESTROY(heap);
}

/* Neither what a trim gave back, though it was the newest, nor what went beyond
 * a limit makes the later zones small. */
static void
zones_grow_again_after_a_trim_and_after_a_limit(void **state)
{
    unsigned before = eal_zones();
    fpheap  *heap;
    unsigned round;
    unsigned n;

    (void)state;
    if (getenv("FPHEAP_SMALL") != NULL) {
        print_message("why: 200 MiB do not fit into 64\n");
        skip();
    }
    for (round = 0; round < 2; round++) {
        heap = heap_of("again", round == 0 ? 0 : 41 * TEST_MIB);
        n = round == 0 ? 2000 : fill(heap, SIZE);
        if (round == 0)
            assert_int_equal(fpheap_alloc_bulk(heap, SIZE, objects, n), 0);
        fpheap_free_bulk(heap, objects, n);
        fpheap_trim(heap);
        fpheap_set_limit(heap, 0);
        for (n = 0; n < OBJECTS; n++)
            assert_non_null(objects[n] = fpheap_alloc(heap, SIZE));
        print_message("figure: %u zones after a trim or a limit\n",
                      eal_zones() - before);
        assert_true(eal_zones() - before <= 24);
        fpheap_free_bulk(heap, objects, OBJECTS);
        TEST_DESTROY(heap);
    }
}

static void
a_limit_is_reached_to_the_chunk(void **state)
{
    size_t       limit = 41 * TEST_MIB; /* no sum of growing zones */
    fpheap      *heap = heap_of("limit", limit);
    fpheap_stats s;
    unsigned     n = fill(heap, SIZE);

    (void)state;
    assert_int_equal(errno, ENOSPC);
    fpheap_stats_get(heap, &s);
    print_message("figure: %zu of %zu MiB\n", s.region_bytes >> 20,
                  limit >> 20);
    assert_true(s.region_bytes <= limit);
    assert_true(s.region_bytes > limit - FPHEAP_CHUNK);
    fpheap_free_bulk(heap, objects, n);
    TEST_DESTROY(heap);
}

static void
zones_used_up_is_enospc_and_the_heap_works(void **state)
{
    static const struct rte_memzone *filler[FILLERS];
    fpheap  *heap = heap_of("many", 0);
    char     name[RTE_MEMZONE_NAMESIZE];
    unsigned fillers;
    unsigned n;
    unsigned more;

    (void)state;
    for (fillers = 0; fillers < FILLERS; fillers++) {
        snprintf(name, sizeof name, "filler_%u", fillers);
        filler[fillers] = rte_memzone_reserve(name, 64, SOCKET_ID_ANY, 0);
        if (filler[fillers] == NULL)
            break;
    }
    assert_true(fillers > 2000 && fillers < FILLERS);
    print_message("figure: %u zones in all\n", eal_zones());
    n = fill(heap, SIZE);
    assert_int_equal(errno, ENOSPC);
    assert_true(n > 0);
    TEST_CHECK_LIVE(heap, n);
    fpheap_free(heap, objects[--n]);
    assert_non_null(objects[n++] = fpheap_alloc(heap, SIZE));

    assert_int_equal(rte_memzone_free(filler[--fillers]), 0);
    more = (unsigned)(2 * TEST_MIB / SIZE);
    for (; more > 0; more--)
        assert_non_null(objects[n++] = fpheap_alloc(heap, SIZE));
    fpheap_free_bulk(heap, objects, n);
    while (fillers > 0)
        assert_int_equal(rte_memzone_free(filler[--fillers]), 0);
    TEST_DESTROY(heap);
}

static void
memory_used_up_is_enomem_and_the_heap_works(void **state)
{
    fpheap      *heap = heap_of("full", 0);
    fpheap_stats s;
    unsigned     n;

    (void)state;
    if (getenv("FPHEAP_SMALL") == NULL) {
        TEST_DESTROY(heap);
        print_message("why: would take all memory that there is\n");
        skip();
    }
    n = fill(heap, SIZE);
    assert_int_equal(errno, ENOMEM);
    fpheap_stats_get(heap, &s);
    print_message("figure: %zu MiB of 64 in regions, %zu live\n",
                  s.region_bytes >> 20, s.live_bytes >> 20);
    assert_true(s.live_bytes >= 40 * TEST_MIB);
    TEST_CHECK_LIVE(heap, n);
    fpheap_free_bulk(heap, objects, n);
    assert_int_equal(fill(heap, SIZE), n);
    fpheap_free_bulk(heap, objects, n);
    TEST_DESTROY(heap);
}

static void
long_and_equal_prefixes_make_different_names(void **state)
{
    const char *prefix = "a prefix of forty characters, all of them";
    fpheap     *first = heap_of(prefix, 0);
    fpheap_memzone  other_zones;
    fpheap_provider other;
    fpheap_config   config = { .provider = &other };
    fpheap         *second;

    (void)state;
    fpheap_memzone_provider(&other, &other_zones, prefix, 1);
    second = fpheap_create("second", &config);
    assert_non_null(second);
    assert_int_equal(fpheap_reserve(second, 8 * TEST_MIB, 0), 0);
    assert_int_equal(fpheap_reserve(first, 8 * TEST_MIB, 0), 0);
    TEST_DESTROY(first);
    TEST_DESTROY(second);
}

/* Another process may have taken the next names, and more of them than there
 * are sizes to try. */
static void
names_that_are_taken_are_passed_over(void **state)
{
    const struct rte_memzone *taken[32];
    char     name[RTE_MEMZONE_NAMESIZE];
    fpheap  *heap;
    unsigned i;

    (void)state;
    for (i = 0; i < TEST_COUNT(taken); i++) {
        snprintf(name, sizeof name, "taken_%x", fpheap_memzone_number + i);
        taken[i] = rte_memzone_reserve(name, 64, SOCKET_ID_ANY, 0);
        assert_non_null(taken[i]);
    }
    heap = heap_of("taken", 0);
    TEST_DESTROY(heap);
    for (i = 0; i < TEST_COUNT(taken); i++)
        assert_int_equal(rte_memzone_free(taken[i]), 0);
}

/* Node 1 is a socket that the machine does not have.  Without hugepages there
 * are no sockets, and its memory is anyone's. */
static void
each_node_has_its_socket(void **state)
{
    fpheap_config config = { .provider = &provider, .nodes = 2,
                             .flags = FPHEAP_SPILL };
    fpheap *heap;
    void   *there;
    void   *here;

    (void)state;
    fpheap_memzone_provider(&provider, &zones, "nodes", 2);
    assert_int_equal(zones.socket[0], rte_socket_id_by_idx(0));
    zones.socket[1] = 7;
    heap = fpheap_create("nodes", &config);
    assert_non_null(heap);
    assert_non_null(here = fpheap_alloc_on(heap, 1000, 0));
    assert_int_equal(zones.elsewhere, 0);
    there = fpheap_alloc_on(heap, 1000, 1);
    if (rte_eal_has_hugepages()) {
        assert_null(there);
        assert_int_equal(errno, ENOMEM);
    } else {
        assert_non_null(there);
    }
    fpheap_free(heap, here);
    fpheap_free(heap, there);
    TEST_DESTROY(heap);
}

static void *
churn(void *arg)
{
    fpheap  *heap = arg;
    void    *mine[64];
    unsigned round;

    for (round = 0; round < 200; round++) {
        if (fpheap_alloc_bulk(heap, 30000, mine, 64) != 0)
            return arg;
        test_fill(mine[63], 30000, round);
        if (!test_filled(mine[63], 30000, round))
            return arg;
        fpheap_free_bulk(heap, mine, 64);
        if (round % 16 == 0)
            fpheap_trim(heap);
    }
    return NULL;
}

/* Threads that the EAL does not know: none of them is an lcore. */
static void
threads_grow_and_trim_at_once(void **state)
{
    fpheap   *heap = heap_of("threads", 0);
    pthread_t thread[4];
    unsigned  i;

    (void)state;
    for (i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, churn, heap), 0);
    for (i = 0; i < 4; i++) {
        void *failed = NULL;

        assert_int_equal(pthread_join(thread[i], &failed), 0);
        assert_null(failed);
    }
    TEST_DESTROY(heap);
    assert_int_equal(zones.held, 0);
}

static pthread_barrier_t used, ended;

static void *
use_and_outlive(void *heap)
{
    fpheap_free(heap, fpheap_alloc(heap, 100));
    (void)pthread_barrier_wait(&used);
    (void)pthread_barrier_wait(&ended);
    return NULL;
}

/* The last case, as it is the EAL's last. */
static void
threads_may_outlive_the_eal_if_the_heap_has_ended_before_it(void **state)
{
    fpheap   *heap = heap_of("outlived", 0);
    pthread_t thread;

    (void)state;
    assert_int_equal(pthread_barrier_init(&used, NULL, 2), 0);
    assert_int_equal(pthread_barrier_init(&ended, NULL, 2), 0);
    assert_int_equal(pthread_create(&thread, NULL, use_and_outlive, heap), 0);
    (void)pthread_barrier_wait(&used);
    TEST_DESTROY(heap);
    assert_int_equal(rte_eal_cleanup(), 0);
    (void)pthread_barrier_wait(&ended);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(iova_of_10000_objects_is_the_eals),
        cmocka_unit_test(hugepages_and_zones_are_back_after_destroy),
        cmocka_unit_test(region_bytes_are_the_zones_and_the_backing_is_told),
        cmocka_unit_test(few_zones_as_they_grow),
        cmocka_unit_test(
            all_zones_make_terabytes_and_some_that_are_refused_do_not_change_that),
        cmocka_unit_test(a_zone_takes_hugepages_for_its_chunks_and_one_more),
        cmocka_unit_test(zones_grow_again_after_a_trim_and_after_a_limit),
        cmocka_unit_test(a_limit_is_reached_to_the_chunk),
        cmocka_unit_test(zones_used_up_is_enospc_and_the_heap_works),
        cmocka_unit_test(memory_used_up_is_enomem_and_the_heap_works),
        cmocka_unit_test(long_and_equal_prefixes_make_different_names),
        cmocka_unit_test(names_that_are_taken_are_passed_over),
        cmocka_unit_test(each_node_has_its_socket),
        cmocka_unit_test(threads_grow_and_trim_at_once),
        cmocka_unit_test(
            threads_may_outlive_the_eal_if_the_heap_has_ended_before_it)
    };

    eal_start("");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
