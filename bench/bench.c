/* bench - the same work for one allocator after another
 *
 *     bench_fpheap                  every row
 *     bench_fpheap pair mixed       the rows whose names contain one of these
 *     bench_fpheap -x pair          the rows of exactly these names
 *     bench_fpheap -l               the names of the rows that it can do
 *     bench_fpheap -a               compiler, flags, processor
 *     bench_fpheap -r 7 mixed       seven repeats of each row
 *     bench_fpheap -f mixed         in a heap that is littered first
 *     bench_fpheap -1               one object, for the row startup_process
 *
 * One source, one program for each allocator: the macro PEER names the file that
 * says how to allocate.  Each row runs in a process of its own, so that no row
 * finds what another left behind, and prints one line for each repeat:
 *
 *     row unit value
 *
 * run.sh starts the programs in turn and puts the lines into a table.  What the
 * rows mean is in README.md.
 */
#ifndef _GNU_SOURCE
#  define _GNU_SOURCE 1
#endif
#include "peer.h"

#include "machine.inc"
#include "rows_one.inc"
#include "rows_size.inc"
#include "rows_mixed.inc"
#include "rows_statistics.inc"
#include "rows_cores.inc"
#include "rows_shared.inc"
#include "rows_latency.inc"
#include "rows_classic.inc"
#include "rows_percpu.inc"
#include "rows_groups.inc"
#include "rows_guarantees.inc"
#include "rows_memory.inc"
#include "rows_start.inc"
#include "rows_trace.inc"

#ifndef BENCH_FLAGS
#  define BENCH_FLAGS "unknown"
#endif

/* --- the rows -------------------------------------------------------------- */

static const row rows[] = {
    ROWS_ONE,
    ROWS_SIZE,
    ROWS_MIXED,
    ROWS_LATENCY,
    ROWS_STATISTICS,
    ROWS_CORES,
    ROWS_SHARED,
    ROWS_CLASSIC,
    ROWS_PERCPU,
    ROWS_GROUPS,
    ROWS_GUARANTEES,
    ROWS_MEMORY,
    ROWS_START,
    ROWS_TRACE
};

#define ROWS (sizeof rows / sizeof rows[0])

static int
wanted(const char *name, char **names, int n, int exactly)
{
    int i;

    for (i = 0; i < n; i++)
        if (exactly ? strcmp(name, names[i]) == 0
                    : strstr(name, names[i]) != NULL)
            return 1;
    return n == 0;
}

static int
begins_with_any(const char *name, const char *const *prefixes)
{
    for (; *prefixes != NULL; prefixes++)
        if (strncmp(name, *prefixes, strlen(*prefixes)) == 0)
            return 1;
    return 0;
}

/* What this peer cannot do it leaves out, without a word: the table has "-". */
static int
can_do(const row *r)
{
    static const char *const one_size[] = {
        "pair_", "bulk_", "lifo_", "fifo_", "random_", "pipeline_",
        "threads_pair", "latency_", "hammered_", "pool_", "percpu_",
        "prefill_", "critical", "water_", NULL
    };
    static const char *const pools[] = { "pool_", NULL };
    static const char *const many[] = { "percpu_", NULL }; /* not for a look */
    static const char *const at_start[] = {
        "memory", "trace", "startup", "first_touch", NULL
    };
    static const char *const fresh[] = { /* pages of their own, new heaps, limits */
        "pool_", "startup", "first_touch", "memory_limited", "shared_",
        "critical", "water_", NULL
    };
    static const char *const shared[] = { "shared_", NULL };
    static const char *const groups[] = { "grouped_", NULL };

    return r->run != NULL
        && (begins_with_any(r->name, shared) ? PEER_SHARED : !PEER_PROCESSES)
        && (!PEER_ONE_SIZE || begins_with_any(r->name, one_size))
        && (PEER_POOL || !begins_with_any(r->name, pools))
        && (begins_with_any(r->name, groups) ? PEER_GROUP : !PEER_ONLY_GROUPS)
        && (STEPS >= 1u << 20 || (repeats >= 5 && !littered)
            || !begins_with_any(r->name, many))
        && (!PEER_READY || !begins_with_any(r->name, at_start))
        && (!littered || (!PEER_ONE_SIZE && !begins_with_any(r->name, fresh)));
}

#define LONGEST 600 /* seconds after which a row counts as hung */

/* In a child, which ends without running anybody's exit handlers. */
static int
run_row(const row *r)
{
    pid_t child;
    int   status;

    fflush(stdout);
    child = fork();
    if (child == 0) {
        pin(0);
        alarm(LONGEST);
        r->run(r);
        fflush(stdout);
        _exit(0);
    }
    if (child < 0 || waitpid(child, &status, 0) != child)
        return 1;
    if (status != 0)
        fprintf(stderr, "bench: %s failed with status %d\n", r->name, status);
    return status != 0;
}

static void
about(void)
{
    char  line[256];
    FILE *f = fopen("/proc/cpuinfo", "r");

    printf("compiler  %s\n", __VERSION__);
    printf("flags     %s\n", BENCH_FLAGS);
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        char *colon = strchr(line, ':');

        if (strncmp(line, "model name", 10) == 0 && colon != NULL) {
            printf("cpu       %s", colon + 2);
            break;
        }
    }
    if (f != NULL)
        fclose(f);
}

/* A library that could not be preloaded would leave us with another malloc than
 * the table says. */
static int
library_is_loaded(const char *library)
{
    char  line[512];
    int   found = 0;
    FILE *f = fopen("/proc/self/maps", "r");

    while (f != NULL && fgets(line, sizeof line, f) != NULL)
        found |= strstr(line, library) != NULL;
    if (f != NULL)
        fclose(f);
    return found;
}

int
main(int argc, char **argv)
{
    const char *library = getenv("BENCH_LIBRARY");
    size_t      i;
    int         failed = 0;
    int         exactly = 0;
    int         option;

    while ((option = getopt(argc, argv, "1aflr:x")) != -1) {
        if (option == '1') {
            first_object();
            return 0;
        } else if (option == 'a') {
            about();
            return 0;
        } else if (option == 'f') {
            littered = 1;
        } else if (option == 'l') {
            for (i = 0; i < ROWS; i++)
                if (can_do(&rows[i]))
                    puts(rows[i].name);
            return 0;
        } else if (option == 'r') {
            repeats = (unsigned)atoi(optarg);
        } else if (option == 'x') {
            exactly = 1;
        } else {
            return 2;
        }
    }
    if (library != NULL && !library_is_loaded(library)) {
        fprintf(stderr, "bench: %s is not loaded\n", library);
        return 1;
    }
    find_cpus();
    (void)setpriority(PRIO_PROCESS, 0, -20); /* if we may */
    for (i = 0; i < ROWS; i++)
        if (can_do(&rows[i])
            && wanted(rows[i].name, argv + optind, argc - optind, exactly))
            failed |= run_row(&rows[i]);
    return failed;
}
