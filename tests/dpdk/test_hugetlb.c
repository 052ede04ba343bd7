/* test_hugetlb.c - a heap on hugepages of its own: its IOVAs are those of the
 * kernel, what it had is back after destroy, and a lack of pages leaves a
 * working heap.  run.sh builds it without DPDK, and again with
 * FPHEAP_HUGETLB_EXTMEM, where the EAL has to know all of it.
 */
#define FPHEAP_MAX_NODES 8
#define FPHEAP_IMPLEMENTATION
#include "fpheap.h"
#include "tests/test_util.h"
/* Files that the provider opens are counted. */
#include <fcntl.h>
static unsigned opened;
#define open(...) (opened++, (open)(__VA_ARGS__))
#include "examples/dpdk/fpheap_hugetlb.h"
#undef open
#if FPHEAP_HUGETLB_EXTMEM
#  include "eal.h"
#endif

#define OBJECTS 10000
#define SIZE    (20 * TEST_KIB)
#define RETRIES 20

static fpheap_hugetlb  pages;
static fpheap_provider provider;
static void           *objects[OBJECTS];

static fpheap *
heap_with(unsigned flags)
{
    fpheap_config config = { .provider = &provider };

    fpheap_hugetlb_provider(&provider, &pages, flags);
    return fpheap_create("hugetlb", &config);
}

/* Pages may be short for a moment as others use some: 0, or the test is
 * skipped. */
static void
have_objects(fpheap *heap)
{
    assert_non_null(heap);
    if (fpheap_alloc_bulk(heap, SIZE, objects, OBJECTS) == 0)
        return;
    print_message("why: less than 220 MiB of hugepages are free\n");
    assert_int_equal(fpheap_destroy(heap), 0);
    skip();
}

/* What the EAL, or without it the kernel, thinks of one byte. */
/* As the kernel says. */
static uint64_t
physical(const void *byte)
{
    int      pagemap = fpheap_hugetlb_pagemap();
    uint64_t iova = fpheap_hugetlb_physical(pagemap, byte);

    opened--;
    if (pagemap >= 0)
        (void)close(pagemap);
    return iova;
}

static uint64_t
iova_of(const void *byte)
{
#if FPHEAP_HUGETLB_EXTMEM
    const struct rte_memseg *seg = rte_mem_virt2memseg(byte, NULL);

    assert_non_null(seg);
    assert_true(seg->iova + ((uintptr_t)byte - seg->addr_64)
                == rte_mem_virt2iova(byte));
    return rte_mem_virt2iova(byte);
#else
    return (pages.flags & FPHEAP_HUGETLB_PA) == 0
         ? (uintptr_t)byte : physical(byte);
#endif
}

/* With DPDK one file for each region, which it is told of; else one for each
 * chunk; and none where IOVAs are virtual. */
static void
check_iovas(unsigned flags)
{
    fpheap      *heap;
    const void  *was;
    fpheap_stats stats;
    unsigned     i;

    opened = 0;
    heap = heap_with(flags);
    have_objects(heap);
    fpheap_stats_get(heap, &stats);
    assert_true(opened <= (!(flags & FPHEAP_HUGETLB_PA) ? 0
                           : FPHEAP_HUGETLB_EXTMEM ? stats.regions
                           : stats.region_bytes / FPHEAP_CHUNK));
    assert_true(opened != 0 || !(flags & FPHEAP_HUGETLB_PA));
    for (i = 0; i < OBJECTS; i++) {
        uint64_t iova = fpheap_iova(heap, objects[i]);
        char    *end = (char *)objects[i] + SIZE - 1;

        *end = 1;
        assert_true(iova != FPHEAP_BAD_IOVA);
        assert_true(iova == iova_of(objects[i]));
        assert_true(iova + SIZE - 1 == iova_of(end));
    }
    print_message("figure: %d objects, IOVA as %s\n", OBJECTS,
                  flags & FPHEAP_HUGETLB_PA ? "PA" : "VA");
    was = objects[0];
    fpheap_free_bulk(heap, objects, OBJECTS);
    TEST_DESTROY(heap);
#if FPHEAP_HUGETLB_EXTMEM
    assert_null(rte_mem_virt2memseg(was, NULL));
#else
    (void)was;
#endif
}

static void
iova_is_the_virtual_address(void **state)
{
    (void)state;
#if FPHEAP_HUGETLB_EXTMEM
    if (rte_eal_iova_mode() == RTE_IOVA_PA) {
        print_message("why: the EAL runs with physical ones\n");
        skip();
    }
#endif
    check_iovas(0);
}

static void
iova_is_the_physical_address(void **state)
{
    int here = 0;

    (void)state;
    if (physical(&here) == FPHEAP_BAD_IOVA) {
        print_message("why: /proc/self/pagemap shows no addresses\n");
        skip();
    }
#if FPHEAP_HUGETLB_EXTMEM
    if (rte_eal_iova_mode() == RTE_IOVA_VA) {
        print_message("why: the EAL runs with virtual ones\n");
        skip();
    }
#endif
    check_iovas(FPHEAP_HUGETLB_PA);
}

static void
hugepages_are_back_after_destroy(void **state)
{
    size_t   before = 0;
    size_t   after = 1;
    size_t   own = test_number_in("/proc/self/status", "HugetlbPages:");
    unsigned try;

    (void)state;
    for (try = 0; try < RETRIES && after != before; try++) {
        fpheap *heap;

        before = test_number_in("/proc/meminfo", "HugePages_Free:");
        heap = heap_with(try % 2 ? FPHEAP_HUGETLB_SHARED : 0);
        have_objects(heap);
        fpheap_free_bulk(heap, objects, OBJECTS);
        TEST_DESTROY(heap);
        after = test_number_in("/proc/meminfo", "HugePages_Free:");
        assert_int_equal(test_number_in("/proc/self/status", "HugetlbPages:"),
                         own);
    }
    assert_int_equal(after, before);
    print_message("figure: HugePages_Free %zu before, %zu after\n", before,
                  after);
}

/* The descriptor shows the same bytes to whoever gets it. */
static void
a_memfd_shows_the_region(void **state)
{
    fpheap_region region = { .base = NULL };
    char         *other;

    (void)state;
    fpheap_hugetlb_provider(&provider, &pages, FPHEAP_HUGETLB_SHARED);
    assert_int_equal(provider.get(&pages, 2 * TEST_MIB, FPHEAP_CHUNK, 0,
                                  &region), 0);
    assert_true(fpheap_hugetlb_fd(&region) >= 0);
    other = mmap(NULL, region.bytes, PROT_READ, MAP_SHARED,
                 fpheap_hugetlb_fd(&region), 0);
    assert_true(other != MAP_FAILED);
    memset(region.base, 0x7e, region.bytes);
    assert_true(test_all_bytes(other, region.bytes, 0x7e));
    assert_int_equal(munmap(other, region.bytes), 0);
    assert_int_equal(provider.put(&pages, &region), 0);
}

static void
regions_are_hugetlb_and_at_least_as_long_as_wished(void **state)
{
    fpheap_config config = { .provider = &provider };
    fpheap_stats  s;
    fpheap       *heap;

    (void)state;
    fpheap_hugetlb_provider(&provider, &pages, 0);
    pages.least = 32 * TEST_MIB;
    pages.node[0] = 0;
    heap = fpheap_create("least", &config);
    assert_non_null(heap);
    fpheap_stats_get(heap, &s);
    assert_int_equal(s.region_bytes, 32 * TEST_MIB);
    assert_int_equal(s.backing_bytes[FPHEAP_BACKING_HUGETLB], s.region_bytes);
    TEST_DESTROY(heap);
}

/* Pages of a gigabyte: nobody reserves them here, or the kernel has no such
 * size. */
static void
no_pages_is_an_error(void **state)
{
    fpheap_config config = { .provider = &provider };

    (void)state;
    fpheap_hugetlb_provider(&provider, &pages, 0);
    pages.page_shift = 30;
    assert_null(fpheap_create("gigabyte", &config));
    assert_true(errno == ENOMEM || errno == EINVAL);
}

/* A minimum that cannot be had is no reason to fail. */
static void
less_than_wished_is_taken(void **state)
{
    fpheap_config config = { .provider = &provider };
    fpheap       *heap;
    fpheap_stats  s;

    (void)state;
    fpheap_hugetlb_provider(&provider, &pages, 0);
    pages.least = (size_t)1 << 40;
    heap = fpheap_create("least", &config);
    assert_non_null(heap);
    fpheap_stats_get(heap, &s);
    assert_int_equal(s.region_bytes, 2 * FPHEAP_CHUNK);
    TEST_DESTROY(heap);
}

/* The EAL has a table of the regions it knows. */
static void
the_eals_table_full_is_an_error_and_the_heap_works(void **state)
{
#if FPHEAP_HUGETLB_EXTMEM
    fpheap_config config = { .provider = &provider,
                             .growth_max = FPHEAP_CHUNK };
    fpheap_stats  s;
    fpheap       *heap;
    unsigned      n = 0;
    int           error;

    (void)state;
    fpheap_hugetlb_provider(&provider, &pages,
                            rte_eal_iova_mode() == RTE_IOVA_PA
                            ? FPHEAP_HUGETLB_PA : 0);
    heap = fpheap_create("table", &config);
    assert_non_null(heap);
    while (n < OBJECTS && (objects[n] = fpheap_alloc(heap, TEST_MIB)) != NULL)
        n++;
    error = errno;
    assert_true(n < OBJECTS);
    assert_true(error == ENOSPC || error == ENOMEM);
    fpheap_stats_get(heap, &s);
    print_message("figure: %u regions, then %s\n", s.regions, strerror(error));
    TEST_CHECK_LIVE(heap, n);
    fpheap_free_bulk(heap, objects, n);
    assert_non_null(objects[0] = fpheap_alloc(heap, SIZE));
    fpheap_free(heap, objects[0]);
    TEST_DESTROY(heap);
#else
    (void)state;
    print_message("why: the program has no DPDK\n");
    skip();
#endif
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(iova_is_the_virtual_address),
        cmocka_unit_test(iova_is_the_physical_address),
        cmocka_unit_test(hugepages_are_back_after_destroy),
        cmocka_unit_test(a_memfd_shows_the_region),
        cmocka_unit_test(regions_are_hugetlb_and_at_least_as_long_as_wished),
        cmocka_unit_test(no_pages_is_an_error),
        cmocka_unit_test(less_than_wished_is_taken),
        cmocka_unit_test(the_eals_table_full_is_an_error_and_the_heap_works)
    };

#if FPHEAP_HUGETLB_EXTMEM
    eal_start("");
#endif
    return cmocka_run_group_tests(tests, NULL, NULL);
}
