/* mbuf_memory.c - what the EAL's heap holds for the packet buffers in use
 * SPDX-License-Identifier: MIT OR Unlicense OR BSD-3-Clause
 *
 *     cc -O2 $(pkg-config --cflags libdpdk) mbuf_memory.c -o mbuf_memory \
 *        $(pkg-config --libs libdpdk)
 *     ./mbuf_memory --no-pci --in-memory -m 512 -- ring_mp_mc
 *     ./mbuf_memory --no-pci --in-memory -m 512 \
 *         -d DIR/librte_mempool_fpheap_grow.so -- fpheap_grow
 *
 * A pool of 150,000 buffers with the driver named last is created, used up and
 * freed again, in steps of 10,000.  Prints the buffers in use, the largest
 * number so far, and the bytes of the EAL's heap, which begin without the pool.
 * mbuf_memory.sh makes a chart of it.
 */
#include <stdio.h>
#include <string.h>

#include <rte_debug.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>

enum { MBUFS = 150000, STEP = 10000 };

static size_t before;

static size_t
heap_bytes(void)
{
    struct rte_malloc_socket_stats s;

    memset(&s, 0, sizeof s);
    rte_malloc_get_socket_stats((int)rte_socket_id(), &s);
    return s.heap_allocsz_bytes;
}

static void
report(unsigned in_use, unsigned most)
{
    printf("%u %u %zu\n", in_use, most, heap_bytes() - before);
}

int
main(int argc, char **argv)
{
    static struct rte_mbuf *m[MBUFS];
    struct rte_mempool     *mp;
    unsigned n;
    int      used = rte_eal_init(argc, argv);

    if (used < 0 || argc - used < 2)
        rte_exit(1, "usage: mbuf_memory EAL-OPTIONS -- DRIVER\n");
    before = heap_bytes();
    mp = rte_pktmbuf_pool_create_by_ops("memory", MBUFS, 256, 0,
                                        RTE_MBUF_DEFAULT_BUF_SIZE,
                                        (int)rte_socket_id(), argv[used + 1]);
    if (mp == NULL)
        rte_exit(1, "no pool of %s: %s\n", argv[used + 1],
                 rte_strerror(rte_errno));
    report(0, 0);
    for (n = 0; n < MBUFS; n += STEP) {
        if (rte_pktmbuf_alloc_bulk(mp, &m[n], STEP) != 0)
            rte_exit(1, "only %u buffers\n", n);
        report(n + STEP, n + STEP);
    }
    for (; n > 0; n -= STEP) {
        rte_pktmbuf_free_bulk(&m[n - STEP], STEP);
        report(n - STEP, MBUFS);
    }
    rte_mempool_free(mp);
    report(0, 0);
    return rte_eal_cleanup() != 0;
}
