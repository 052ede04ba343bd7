/* eal.h - what the DPDK test programs share: an EAL that is started with the
 * options in the environment variable FPHEAP_EAL, and what the kernel and DPDK
 * say about memory.
 *
 * Include it after fpheap.h, and with cmocka.
 */
#ifndef EAL_H
#define EAL_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_memory.h>
#include <rte_memzone.h>

#define EAL_DEFAULT "--no-pci --no-huge --no-telemetry -m 512 -l 0"
#define EAL_SKIP    77         /* exit status that run.sh counts as skipped */
#define EAL_UNUSED  __attribute__((unused))

/* Options, cut at the spaces.  An EAL that does not start skips the program. */
EAL_UNUSED static void
eal_start(const char *more)
{
    const char *text = getenv("FPHEAP_EAL");
    static char options[1024];
    char       *argv[64] = { (char *)(uintptr_t)"test" };
    int         argc = 1;
    char       *save = NULL;
    char       *word;

    snprintf(options, sizeof options, "%s %s",
             text == NULL ? EAL_DEFAULT : text, more);
    for (word = strtok_r(options, " ", &save); word != NULL && argc < 63;
         word = strtok_r(NULL, " ", &save))
        argv[argc++] = word;
    if (rte_eal_init(argc, argv) < 0) {
        printf("skip: the EAL does not start: %s\n", rte_strerror(rte_errno));
        exit(EAL_SKIP);
    }
}

/* A number of /proc/self/status or /proc/meminfo, in kilobytes or pages; 0 if
 * it is not there. */
EAL_UNUSED static size_t
eal_proc(const char *file, const char *name)
{
    FILE  *in = fopen(file, "r");
    size_t length = strlen(name);
    size_t number = 0;
    char   line[256];

    while (in != NULL && fgets(line, sizeof line, in) != NULL)
        if (strncmp(line, name, length) == 0 && line[length] == ':')
            number = strtoul(line + length + 1, NULL, 10);
    if (in != NULL)
        fclose(in);
    return number;
}

EAL_UNUSED static size_t
eal_free_hugepages(void)
{
    return eal_proc("/proc/meminfo", "HugePages_Free");
}

/* Hugepages of this process, in kilobytes. */
EAL_UNUSED static size_t
eal_own_hugepages(void)
{
    return eal_proc("/proc/self/status", "HugetlbPages");
}

static inline void
eal_count_zone(const struct rte_memzone *zone, void *arg)
{
    (void)zone;
    ++*(unsigned *)arg;
}

/* Memzones there are. */
EAL_UNUSED static unsigned
eal_zones(void)
{
    unsigned n = 0;

    rte_memzone_walk(eal_count_zone, &n);
    return n;
}

#endif /* EAL_H */
