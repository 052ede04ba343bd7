/* numa.c - the memory of a partition is that of the node which it names
 * SPDX-License-Identifier: MIT OR Unlicense
 *
 * Whoever touches it first: the node belongs to the file, so another process,
 * which names none, gets memory there too.  What names a node that is not there
 * makes no file.  numa.sh builds this with libnuma.
 */
#define FPHEAP_USE_LIBNUMA 1
#define FPHEAP_IMPLEMENTATION
#include "fpheap.h"

#include <limits.h>
#include <numaif.h>
#include <stdio.h>
#include <sys/wait.h>

#define OBJECT (8u << 20)

static char name[FPHEAP_NAME_BYTES];

static void
check(int holds, int line, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "numa.c:%d: %s: %s\n", line, what, strerror(errno));
    fpheap_unlink(name, NULL);
    exit(1);
}

#define CHECK(condition) check(condition, __LINE__, #condition)

static fpheap_partition
on_node(int node)
{
    fpheap_partition desc;

    memset(&desc, 0, sizeof desc);
    desc.bytes = 64u << 20;
    desc.flags = FPHEAP_ON_NODE;
    desc.node = node;
    return desc;
}

/* Whether an object of this process lies in memory that is bound to node 0. */
static int
is_bound(fpheap *heap)
{
    unsigned long nodes[16] = { 0 };
    int           mode      = -1;
    char         *object    = (char *)fpheap_alloc(heap, OBJECT);

    CHECK(object != NULL);
    memset(object, 0x5a, OBJECT);
    CHECK(get_mempolicy(&mode, nodes, 8 * sizeof nodes, object + OBJECT / 2,
                        MPOL_F_ADDR) == 0);
    fpheap_free(heap, object);
    return mode == MPOL_BIND && nodes[0] == 1;
}

static void
all_memory_is_of_the_node(void)
{
    fpheap_partition desc = on_node(0);
    fpheap          *heap = fpheap_open(name, &desc,
                                        FPHEAP_CREATE | FPHEAP_EXCLUSIVE);
    int              status;
    pid_t            other;

    CHECK(heap != NULL);
    CHECK(is_bound(heap));
    other = fork();
    if (other == 0) {
        heap = fpheap_open(name, NULL, 0);
        CHECK(heap != NULL);
        CHECK(is_bound(heap));
        _exit(0);
    }
    CHECK(waitpid(other, &status, 0) == other && status == 0);
    CHECK(fpheap_close(heap) == 0);
    CHECK(fpheap_unlink(name, NULL) == 0);
}

static void
without_a_node_memory_is_bound_to_none(void)
{
    fpheap_partition desc = on_node(0);
    fpheap          *heap;

    desc.flags = 0;
    heap = fpheap_open(name, &desc, FPHEAP_CREATE | FPHEAP_EXCLUSIVE);
    CHECK(heap != NULL);
    CHECK(!is_bound(heap));
    CHECK(fpheap_close(heap) == 0);
    CHECK(fpheap_unlink(name, NULL) == 0);
}

static void
a_node_that_is_not_there_is_refused(void)
{
    const int        nodes[] = { -1, numa_max_node() + 1, 4096, INT_MAX, INT_MIN };
    fpheap_partition desc;
    size_t           i;

    for (i = 0; i < sizeof nodes / sizeof *nodes; i++) {
        desc = on_node(nodes[i]);
        errno = 0;
        CHECK(fpheap_open(name, &desc, FPHEAP_CREATE) == NULL);
        CHECK(errno == EINVAL);
        CHECK(fpheap_unlink(name, NULL) == -ENOENT);
        desc.flags = 0;        /* nobody asks for it */
        CHECK(fpheap_close(fpheap_open(name, &desc, FPHEAP_CREATE)) == 0);
        CHECK(fpheap_unlink(name, NULL) == 0);
    }
}

int
main(void)
{
    int mode;

    snprintf(name, sizeof name, "numa-%d", (int)getpid());
    if (numa_available() < 0 || get_mempolicy(&mode, NULL, 0, NULL, 0) != 0)
        return 77;
    all_memory_is_of_the_node();
    without_a_node_memory_is_bound_to_none();
    a_node_that_is_not_there_is_refused();
    return 0;
}
