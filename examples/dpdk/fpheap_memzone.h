/* fpheap_memzone.h - a heap whose regions are DPDK memzones
 * SPDX-License-Identifier: MIT OR Unlicense OR BSD-3-Clause
 *
 *     fpheap_provider provider;
 *     fpheap_memzone  zones;                       // lives as long as the heap
 *     fpheap_config   config = { .provider = &provider, .nodes = 1 };
 *
 *     fpheap_memzone_provider(&provider, &zones, "packets", config.nodes);
 *     heap = fpheap_create("packets", &config);    // after rte_eal_init
 *     fpheap_destroy(heap);                        // before rte_eal_cleanup
 *
 * Copy it and include it after fpheap.h.  A get takes DPDK's memory lock and up
 * to milliseconds: fpheap_reserve ahead of time what must not wait for that.
 */
#ifndef FPHEAP_MEMZONE_H
#define FPHEAP_MEMZONE_H

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_memzone.h>

#define FPHEAP_MEMZONE_STEP ((size_t)32 << 20) /* see fpheap_memzone_get */

typedef struct fpheap_memzone {
    char     prefix[RTE_MEMZONE_NAMESIZE - 9];
    unsigned nodes;
    int      socket[FPHEAP_MAX_NODES]; /* of each node; yours to change */
    unsigned flags;            /* RTE_MEMZONE_2MB ... */
    size_t   held;             /* bytes in zones; all from here are atomic */
    size_t   elsewhere;        /* bytes obtained from another socket */
    unsigned exact;            /* 1: zones as long as asked for and no more */
    void    *newest;           /* where the newest zone begins */
} fpheap_memzone;

/* One for the process (weak), so that no two heaps try the same names. */
__attribute__((weak)) unsigned fpheap_memzone_number;

/* Reserve, under the next name that no other process has taken. */
static inline const struct rte_memzone *
fpheap_memzone_reserve(const fpheap_memzone *zones, size_t bytes, size_t align,
                       int socket)
{
    const struct rte_memzone *zone;
    char name[RTE_MEMZONE_NAMESIZE];

    do {
        unsigned n = __atomic_fetch_add(&fpheap_memzone_number, 1,
                                        __ATOMIC_RELAXED);
        snprintf(name, sizeof name, "%s_%x", zones->prefix, n);
        zone = rte_memzone_reserve_aligned(name, bytes, socket, zones->flags,
                                           (unsigned)align);
    } while (zone == NULL && rte_errno == EEXIST);
    return zone;
}

/* Each zone is one of 2,560 and takes most of a hugepage beside its own, so
 * they grow: they double, if that can be had.  -ENOSPC: no zone is left. */
static inline int
fpheap_memzone_get(void *ctx, size_t bytes, size_t align, int node,
                   fpheap_region *region)
{
    fpheap_memzone *zones = (fpheap_memzone *)ctx;
    size_t wish = __atomic_load_n(&zones->exact, __ATOMIC_RELAXED)
                ? 0 : __atomic_load_n(&zones->held, __ATOMIC_RELAXED);
    int    socket = node >= 0 && (unsigned)node < zones->nodes
                  && rte_eal_has_hugepages() ? zones->socket[node]
                                             : SOCKET_ID_ANY;
    const struct rte_memzone *zone = NULL;

    wish = wish < FPHEAP_MEMZONE_STEP ? wish : FPHEAP_MEMZONE_STEP;
    rte_errno = 0;
    for (; zone == NULL && rte_errno != ENOSPC && wish > bytes; wish /= 2)
        zone = fpheap_memzone_reserve(zones, wish & ~(FPHEAP_CHUNK - 1), align,
                                      socket);
    if (zone == NULL && rte_errno != ENOSPC)
        zone = fpheap_memzone_reserve(zones, bytes, align, socket);
    /* DPDK aligns to a hugepage at most: larger chunks lie inside. */
    if (zone == NULL && rte_errno != ENOSPC)
        zone = fpheap_memzone_reserve(zones, bytes + align, 64, socket);
    if (zone == NULL)
        return rte_errno == ENOSPC ? -ENOSPC : -ENOMEM;
    region->base = zone->addr;
    region->bytes = zone->len;
    region->cookie = (void *)(uintptr_t)zone;
    region->backing = zone->hugepage_sz > (uint64_t)sysconf(_SC_PAGESIZE)
                    ? FPHEAP_BACKING_HUGETLB : FPHEAP_BACKING_PAGES;
    if (socket != zone->socket_id && socket != SOCKET_ID_ANY)
        __atomic_fetch_add(&zones->elsewhere, zone->len, __ATOMIC_RELAXED);
    __atomic_fetch_add(&zones->held, zone->len, __ATOMIC_RELAXED);
    __atomic_store_n(&zones->newest, zone->addr, __ATOMIC_RELAXED);
    return 0;
}

/* A zone that comes back before the next is made was too long for the heap's
 * limit: from then on exactly what is asked for. */
static inline int
fpheap_memzone_put(void *ctx, const fpheap_region *region)
{
    fpheap_memzone *zones = (fpheap_memzone *)ctx;

    if (__atomic_load_n(&zones->newest, __ATOMIC_RELAXED) == region->base)
        __atomic_store_n(&zones->exact, 1u, __ATOMIC_RELAXED);
    if (rte_memzone_free((const struct rte_memzone *)region->cookie) != 0)
        return -EINVAL;
    __atomic_fetch_sub(&zones->held, region->bytes, __ATOMIC_RELAXED);
    return 0;
}

/* By memseg: rte_mem_virt2iova opens a file each time when IOVAs are physical.
 * A chunk of several pages has none then. */
static inline uint64_t
fpheap_memzone_iova(void *ctx, const void *chunk)
{
    const struct rte_memseg *page = rte_mem_virt2memseg(chunk, NULL);

    (void)ctx;
    if (rte_eal_iova_mode() == RTE_IOVA_VA)
        return (uintptr_t)chunk;
    return page == NULL || page->iova == RTE_BAD_IOVA
           || page->len < FPHEAP_CHUNK
         ? FPHEAP_BAD_IOVA : page->iova + (uintptr_t)chunk - page->addr_64;
}

/* prefix: of the zones' names, 22 characters.  nodes: as in fpheap_config; one
 * is the calling thread's socket first; of more, n is the EAL's n-th. */
static inline void
fpheap_memzone_provider(fpheap_provider *provider, fpheap_memzone *zones,
                        const char *prefix, unsigned nodes)
{
    unsigned n;

    memset(zones, 0, sizeof *zones);
    snprintf(zones->prefix, sizeof zones->prefix, "%.22s", prefix);
    zones->nodes = nodes < FPHEAP_MAX_NODES ? nodes : FPHEAP_MAX_NODES;
    for (n = 0; n < FPHEAP_MAX_NODES; n++)
        zones->socket[n] = nodes > 1 && n < rte_socket_count()
                         ? rte_socket_id_by_idx(n) : SOCKET_ID_ANY;
    memset(provider, 0, sizeof *provider);
    provider->get = fpheap_memzone_get;
    provider->put = fpheap_memzone_put;
    provider->iova = fpheap_memzone_iova;
    provider->ctx = zones;
}
#endif /* FPHEAP_MEMZONE_H */
