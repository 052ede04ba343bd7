/* What DPDK's peers have in common: the EAL, once in each row's process, and an
 * lcore number for each thread, without which rte_mempool uses no cache. */
#include <rte_eal.h>
#include <rte_lcore.h>

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define DPDK_SLACK_MB 64u /* for the EAL's own, and the ends of pages */

/* Free hugepages in MB, 0 if the row is to do without. */
static size_t
dpdk_huge_mb(void)
{
    char   line[128];
    size_t n = 0;
    size_t kb = 0;
    FILE  *f = wants_hugepages() ? fopen("/proc/meminfo", "r") : NULL;

    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        (void)sscanf(line, "HugePages_Free: %zu", &n);
        (void)sscanf(line, "Hugepagesize: %zu", &kb);
    }
    if (f != NULL)
        fclose(f);
    return n * kb / 1024;
}

/* In small pages twice as much address space: no object of a mempool lies across
 * two of them. */
static void
dpdk_init(size_t mb)
{
    int   huge = dpdk_huge_mb() >= mb;
    char  without[] = "--no-huge";
    char  in_memory[] = "--in-memory"; /* needs no mount */
    char  cpu[16];
    char  megabytes[16];
    char  prefix[48];
    char *argv[] = { (char[]){ "bench" }, (char[]){ "--no-pci" },
                     (char[]){ "--no-telemetry" }, (char[]){ "--no-shconf" },
                     (char[]){ "--iova-mode=va" },
                     (char[]){ "--log-level=*:error" }, prefix,
                     (char[]){ "-l" }, cpu, (char[]){ "-m" }, megabytes,
                     huge ? in_memory : without, NULL };

    snprintf(cpu, sizeof cpu, "%d", sched_getcpu());
    snprintf(megabytes, sizeof megabytes, "%zu", huge ? mb : 2 * mb);
    snprintf(prefix, sizeof prefix, "--file-prefix=bench%d", (int)getpid());
    if (rte_eal_init((int)(sizeof argv / sizeof argv[0]) - 1, argv) < 0) {
        fprintf(stderr, "bench: DPDK does not start\n");
        exit(1);
    }
    (void)rmdir(rte_eal_get_runtime_dir()); /* nothing is in it */
}

static void
dpdk_leave(void *unused)
{
    (void)unused;
    rte_thread_unregister();
}

/* The first call starts the EAL on the processor that the row is pinned to; the
 * row's other threads register until they end. */
static void
dpdk_thread(size_t bytes)
{
    static int           started;
    static pthread_key_t leaving;

    if (!started) {
        started = 1;
        dpdk_init((bytes >> 20) + DPDK_SLACK_MB);
        (void)pthread_key_create(&leaving, dpdk_leave);
    } else if (rte_lcore_id() == LCORE_ID_ANY) {
        if (rte_thread_register() != 0) {
            fprintf(stderr, "bench: no lcore for a thread\n");
            exit(1);
        }
        (void)pthread_setspecific(leaving, "");
    }
}
