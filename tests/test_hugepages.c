/* test_hugepages.c - the mmap provider over the kernel's own hugepages
 *
 * What the statistics say, what a heap has in the beginning, where reserved
 * hugepages end, what a cgroup's limit does, and that all goes back.  The
 * program reserves 24 pages of 2 MiB while it runs, if it may; a case that
 * finds none, or that may not make a cgroup, is skipped and says why.  (What
 * kernels that are not there would do is in test_mmap.)
 */
#define FPHEAP_IMPLEMENTATION
#include "fpheap.h"
#include "test_util.h"

#include <sys/prctl.h>
#include <sys/stat.h>

#define PAGES   24
#define OBJECTS 64             /* of a MiB: more than PAGES have */
#define NONE    77

static fpheap_provider provider;
static void           *objects[OBJECTS];
static char            text[4096];
static long            reserved;   /* by this program */
static char            root[200];  /* of the cgroups */
static int             enabled;    /* by this program: its hugetlb controller */
static char            cgroup[256];

/* The start of a file, in `text`. */
static const char *
content(const char *dir, const char *name)
{
    char   path[400];
    FILE  *in;
    size_t n = 0;

    (void)snprintf(path, sizeof path, "%s%s", dir, name);
    in = fopen(path, "r");
    if (in != NULL) {
        n = fread(text, 1, sizeof text - 1, in);
        (void)fclose(in);
    }
    text[n] = '\0';
    return text;
}

/* 1 if the kernel takes what is written. */
static int
put_into(const char *dir, const char *name, const char *what)
{
    char  path[400];
    FILE *out;
    int   failed;

    (void)snprintf(path, sizeof path, "%s%s", dir, name);
    out = fopen(path, "w");
    if (out == NULL)
        return 0;
    failed = fputs(what, out) < 0;
    return fclose(out) == 0 && !failed;
}

static long
pool_pages(void)
{
    return strtol(content("/proc/sys/vm/", "nr_hugepages"), NULL, 10);
}

static void
pool_add(long pages)
{
    char number[32];

    (void)snprintf(number, sizeof number, "%ld", pool_pages() + pages);
    (void)put_into("/proc/sys/vm/", "nr_hugepages", number);
}

static int
reserve(void **state)
{
    long had = pool_pages();

    (void)state;
    pool_add(PAGES);
    reserved = pool_pages() - had;
    return 0;
}

static int
give_back(void **state)
{
    (void)state;
    pool_add(-reserved);
    return 0;
}

/* Pages of 2 MiB that are neither used nor promised to anybody. */
static size_t
free_pages(void)
{
    if (test_number_in("/proc/meminfo", "Hugepagesize:") != 2048)
        return 0;
    return test_number_in("/proc/meminfo", "HugePages_Free:")
         - test_number_in("/proc/meminfo", "HugePages_Rsvd:");
}

/* A heap that grows by a chunk at a time, full of objects, all of them
 * written to. */
static fpheap *
filled_heap(unsigned flags, fpheap_stats *stats)
{
    fpheap_config config;
    fpheap       *heap;
    unsigned      i;

    memset(&config, 0, sizeof config);
    config.provider = &provider;
    config.growth_max = FPHEAP_CHUNK;
    if (fpheap_provider_mmap(&provider, flags) != 0)
        return NULL;
    heap = fpheap_create("huge", &config);
    for (i = 0; heap != NULL && i < OBJECTS; i++) {
        objects[i] = fpheap_alloc(heap, TEST_MIB);
        if (objects[i] == NULL)
            return NULL;
        memset(objects[i], 1, TEST_MIB);
    }
    if (heap != NULL)
        fpheap_stats_get(heap, stats);
    return heap;
}

static int
emptied(fpheap *heap)
{
    fpheap_free_bulk(heap, objects, OBJECTS);
    return fpheap_destroy(heap);
}

static void
where_hugepages_end_base_pages_follow_and_all_can_be_written(void **state)
{
    size_t       left = free_pages();
    size_t       others = left < 4 ? 0 : (left - 3) * 2 * TEST_MIB;
    void        *taken = MAP_FAILED;
    fpheap      *heap;
    fpheap_stats s;

    (void)state;
    if (others != 0)
        taken = mmap(NULL, others, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
    if (taken == MAP_FAILED) {
        print_message("why: fewer than 4 hugepages of 2 MiB are free\n");
        skip();
    }
    assert_non_null(heap = filled_heap(FPHEAP_HUGETLB, &s));
    assert_true(s.backing_bytes[FPHEAP_BACKING_HUGETLB] != 0);
    assert_true(s.backing_bytes[FPHEAP_BACKING_HUGETLB] < s.region_bytes);
    assert_int_equal(test_number_in("/proc/self/status", "HugetlbPages:")
                         * TEST_KIB,
                     s.backing_bytes[FPHEAP_BACKING_HUGETLB]);
    assert_int_equal(emptied(heap), 0);
    assert_int_equal(test_number_in("/proc/self/status", "HugetlbPages:"), 0);
    assert_int_equal(munmap(taken, others), 0);
}

/* Make a cgroup that may have 16 MiB of hugepages.  Returns NULL, or why there
 * is none. */
static const char *
cgroup_make(void)
{
    FILE *in = fopen("/proc/self/mounts", "r");
    char  line[512];

    root[0] = '\0';
    while (in != NULL && fgets(line, sizeof line, in) != NULL)
        if (strncmp(line, "cgroup2 ", 8) == 0)
            (void)sscanf(line, "cgroup2 %199s", root);
    if (in != NULL)
        (void)fclose(in);
    if (strstr(content(root, "/cgroup.controllers"), "hugetlb") == NULL)
        return "no cgroup of version 2 with the hugetlb controller";
    enabled = strstr(content(root, "/cgroup.subtree_control"), "hugetlb")
              == NULL;
    if (!put_into(root, "/cgroup.subtree_control", "+hugetlb"))
        return "the hugetlb controller may not be used";
    (void)snprintf(cgroup, sizeof cgroup, "%s/fpheap-test-%ld", root,
                   (long)getpid());
    if (mkdir(cgroup, 0755) != 0)
        return "no cgroup may be made";
    if (!put_into(cgroup, "/hugetlb.2MB.max", "16777216"))
        return "no limit may be set";
    return NULL;
}

/* In a process of the cgroup: 0, NONE if it gets no hugepage at all, as under
 * an emulator, or which step failed. */
static int
work_in_cgroup(void)
{
    fpheap_stats s;
    fpheap      *heap;

    if (!put_into(cgroup, "/cgroup.procs", "0"))
        return 2;
    heap = filled_heap(FPHEAP_HUGETLB, &s);
    if (heap == NULL)
        return 3;
    if (s.backing_bytes[FPHEAP_BACKING_HUGETLB] == 0)
        return NONE;
    if (s.backing_bytes[FPHEAP_BACKING_HUGETLB] > 16 * TEST_MIB)
        return 4;
    if (test_number_in("/proc/self/status", "HugetlbPages:") * TEST_KIB
        != s.backing_bytes[FPHEAP_BACKING_HUGETLB])
        return 5;
    if (free_pages() == 0)     /* the limit has ended them, not the pool */
        return 6;
    return emptied(heap) == 0 ? 0 : 7;
}

static void
under_a_cgroups_limit_other_pages_serve_and_all_can_be_written(void **state)
{
    const char *why = NULL;
    int         status = 0;
    pid_t       child;

    (void)state;
    cgroup[0] = '\0';
    enabled = 0;
    if (free_pages() < PAGES)
        why = "fewer than 24 hugepages of 2 MiB are free";
    else
        why = cgroup_make();
    if (why == NULL && (child = fork()) == 0)
        _exit(work_in_cgroup());
    if (why == NULL)
        assert_int_equal(waitpid(child, &status, 0), child);
    if (why == NULL && WIFEXITED(status) && WEXITSTATUS(status) == NONE)
        why = "the process gets no hugepages";
    if (cgroup[0] != '\0')
        (void)rmdir(cgroup);
    if (enabled)
        (void)put_into(root, "/cgroup.subtree_control", "-hugetlb");
    if (why != NULL) {
        print_message("why: %s\n", why);
        skip();
    }
    assert_int_equal(status, 0);
}

/* Free hugepages of a gigabyte. */
static size_t
free_gigabytes(void)
{
    return strtoul(content("/sys/kernel/mm/hugepages/hugepages-1048576kB/",
                           "free_hugepages"), NULL, 10);
}

static void
region_bytes_are_what_hugepages_of_a_gigabyte_take(void **state)
{
    size_t       had = free_pages();
    fpheap      *heap;
    fpheap_stats s;

    (void)state;
    if (free_gigabytes() == 0) {
        print_message("why: no hugepage of 1 GiB is free\n");
        skip();
    }
    assert_non_null(heap = filled_heap(FPHEAP_HUGETLB_1G, &s));
    assert_int_equal(s.backing_bytes[FPHEAP_BACKING_HUGETLB], 1024 * TEST_MIB);
    assert_int_equal(s.region_bytes, 1024 * TEST_MIB);
    assert_int_equal(test_number_in("/proc/self/status", "HugetlbPages:"),
                     1024 * TEST_KIB);
    assert_int_equal(emptied(heap), 0);
    assert_int_equal(test_number_in("/proc/self/status", "HugetlbPages:"), 0);
    assert_int_equal(free_pages(), had);
}

static int
has_no_thp(void)
{
    fpheap_stats s;
    fpheap      *heap;

    if (prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) != 0)
        return 1;
    heap = filled_heap(0, &s);
    if (heap == NULL)
        return 2;
    if (s.backing_bytes[FPHEAP_BACKING_THP] != 0
        || s.backing_bytes[FPHEAP_BACKING_PAGES] != s.region_bytes)
        return 3;
    if (test_number_in("/proc/self/smaps", "AnonHugePages:") != 0)
        return 4;
    return emptied(heap) == 0 ? 0 : 5;
}

static void
without_thp_in_the_process_its_backing_is_pages(void **state)
{
    (void)state;
    if (prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0) < 0) {
        print_message("why: no process can be without them\n");
        skip();
    }
    test_in_child(has_no_thp);
}

static size_t
present_in(char *base, size_t bytes)
{
    static unsigned char in[65536];
    size_t page  = (size_t)sysconf(_SC_PAGESIZE);
    size_t count = 0;
    size_t at, p;

    for (at = 0; at < bytes; at += sizeof(in) * page) {
        size_t n = (bytes - at + page - 1) / page;

        n = n < sizeof(in) ? n : sizeof(in);
        if (mincore(base + at, n * page, in) != 0)
            return SIZE_MAX;
        for (p = 0; p < n; p++)
            count += in[p] & 1;
    }
    return count * page;
}

/* Bytes of the heap's first region, and of its tables, that are present. */
static size_t
present(const fpheap *heap)
{
    const fpheap_region *raw = &heap->state->region[0].raw;

    return present_in((char *)raw->base, raw->bytes)
         + present_in((char *)heap->state, heap->state->bytes
                                                    - FPH_STATE_GUARD);
}

/* In a process of its own, whose first three heaps these are. */
static int
three_heaps(void)
{
    fpheap *heap[3];
    size_t  made[3], used[3];
    int     i;

    for (i = 0; i < 3; i++) {
        heap[i] = fpheap_create("cost", NULL);
        if (heap[i] == NULL)
            return 2;
        made[i] = present(heap[i]);
        fpheap_free(heap[i], fpheap_alloc(heap[i], 64));
        used[i] = present(heap[i]);
    }
    for (i = 0; i < 3; i++)
        if (made[i] > 48 * TEST_KIB || used[i] > 80 * TEST_KIB)
            return 3;
    for (i = 0; i < 3; i++)
        if (fpheap_destroy(heap[i]) != 0)
            return 5;
    return 0;
}

static void
each_heap_begins_with_80_kib(void **state)
{
    (void)state;
    if (sysconf(_SC_PAGESIZE) != 4096) {
        print_message("why: pages are not of 4 KiB\n");
        skip();
    }
    test_in_child(three_heaps);
}

/* The program, the regions and the tables that they need are resident then. */
static int
locks(int before)
{
    size_t  had, has;
    fpheap *heap;

    if (before && mlockall(MCL_CURRENT | MCL_FUTURE) != 0)
        return 0;              /* it may not */
    had = test_number_in("/proc/self/status", "VmRSS:");
    heap = fpheap_create("locked", NULL);
    if (heap == NULL)
        return 2;
    fpheap_free(heap, fpheap_alloc(heap, 64));
    if (!before && mlockall(MCL_CURRENT) != 0)
        return 0;
    has = test_number_in("/proc/self/status", "VmRSS:");
    if (has > had + 128 * 1024)
        return 3;
    return fpheap_destroy(heap) == 0 ? 0 : 4;
}

static int
locks_before(void)
{
    return locks(1);
}

static int
locks_after(void)
{
    return locks(0);
}

/* A partition that is longer than all reserved hugepages: it takes them as it
 * needs them, and gives them back. */
static void
a_partition_of_hugepages_takes_those_that_it_uses(void **state)
{
    size_t           left = free_pages();
    fpheap_partition desc;
    fpheap_stats     stats;
    fpheap          *heap;
    unsigned         n;
    int              file = memfd_create("huge", MFD_CLOEXEC | MFD_HUGETLB);

    (void)state;
    if (left < 4 || file < 0) {
        (void)close(file);
        print_message("why: fewer than 4 hugepages of 2 MiB are free\n");
        skip();
    }
    memset(&desc, 0, sizeof desc);
    desc.bytes = (sizeof(void *) > 4 ? 1024 : 256) * TEST_MIB;
    desc.page_bytes = 2 * TEST_MIB;
    desc.descriptor = file;
    desc.flags = FPHEAP_DESCRIPTOR;
    heap = fpheap_open(NULL, &desc, FPHEAP_CREATE);
    assert_non_null(heap);
    for (n = 0; n < OBJECTS; n++) {
        objects[n] = fpheap_alloc(heap, TEST_MIB);
        if (objects[n] == NULL)
            break;
        memset(objects[n], 1, TEST_MIB);
    }
    assert_true(n == OBJECTS || (n >= left && errno == ENOMEM));
    fpheap_free_bulk(heap, objects, n);
    fpheap_trim(heap);
    assert_null(fpheap_check(heap));
    fpheap_stats_get(heap, &stats);
    assert_true(stats.region_bytes < left * TEST_MIB); /* half of it is back */
    assert_int_equal(free_pages(), left - stats.region_bytes / (2 * TEST_MIB));
    assert_int_equal(fpheap_close(heap), 0);
    assert_int_equal(close(file), 0);
    assert_int_equal(free_pages(), left);
}

static void
a_partition_of_gigabyte_pages_takes_those_that_it_uses(void **state)
{
    size_t           left = free_gigabytes();
    fpheap_partition desc;
    fpheap          *heap;
    void            *half[3];
    unsigned         i;
    int              file = memfd_create("huge", MFD_CLOEXEC | MFD_HUGETLB
                                                 | 30u << 26); /* 1 GiB */

    (void)state;
    if (left < 2 || file < 0) {
        (void)close(file);
        print_message("why: fewer than 2 hugepages of 1 GiB are free\n");
        skip();
    }
    memset(&desc, 0, sizeof desc);
    desc.bytes = 8192 * TEST_MIB;
    desc.page_bytes = 1024 * TEST_MIB;
    desc.descriptor = file;
    desc.flags = FPHEAP_DESCRIPTOR;
    heap = fpheap_open(NULL, &desc, FPHEAP_CREATE);
    assert_non_null(heap);
    assert_int_equal(free_gigabytes(), left - 1);
    for (i = 0; i < 3; i++) {
        half[i] = fpheap_alloc(heap, 500 * TEST_MIB);
        assert_non_null(half[i]);
        memset(half[i], 1, 500 * TEST_MIB);
    }
    assert_int_equal(free_gigabytes(), left - 2);
    for (i = 0; i < 3; i++)
        fpheap_free(heap, half[i]);
    fpheap_trim(heap);         /* where records lie, pages stay */
    assert_null(fpheap_check(heap));
    assert_in_range(free_gigabytes(), left - 2, left - 1);
    assert_int_equal(fpheap_close(heap), 0);
    assert_int_equal(close(file), 0);
    assert_int_equal(free_gigabytes(), left);
}

static void
a_process_that_locks_its_memory_locks_no_tables(void **state)
{
    (void)state;
    if (test_number_in("/proc/self/status", "VmSize:") > (size_t)64 << 20) {
        print_message("why: a sanitizer has more addresses than can be locked\n");
        skip();
    }
    test_in_child(locks_before);
    test_in_child(locks_after);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            where_hugepages_end_base_pages_follow_and_all_can_be_written),
        cmocka_unit_test(
            under_a_cgroups_limit_other_pages_serve_and_all_can_be_written),
        cmocka_unit_test(a_partition_of_hugepages_takes_those_that_it_uses),
        cmocka_unit_test(
            a_partition_of_gigabyte_pages_takes_those_that_it_uses),
        cmocka_unit_test(region_bytes_are_what_hugepages_of_a_gigabyte_take),
        cmocka_unit_test(without_thp_in_the_process_its_backing_is_pages),
        cmocka_unit_test(
            each_heap_begins_with_80_kib),
        cmocka_unit_test(a_process_that_locks_its_memory_locks_no_tables)
    };

    return cmocka_run_group_tests(tests, reserve, give_back);
}
