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
 * rte_eal_cleanup unmaps the zones.  A destroy after it touches what is gone,
 * and without a destroy before it so does each thread that used the heap when
 * it exits.
 *
 * A zone is one of 2,560 that DPDK has for everything, so zones grow: each has
 * a quarter of what the heap holds, from 8 MiB to 1 GiB.  So 2,560 of them make
 * 2.5 TiB, and 10 GiB take 33.  The EAL puts 128 bytes in front of a zone, so n
 * chunks of 2 MiB take n + 1 hugepages of 2 MiB, aligned or not; of an aligned
 * one the rest of the first page stays in the EAL's heap and serves others.
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

#define FPHEAP_MEMZONE_LEAST ((size_t)8 << 20) /* of a zone but the first */
#define FPHEAP_MEMZONE_MOST  ((size_t)1 << 30) /* unless more is asked for */

typedef struct fpheap_memzone {
    char     prefix[RTE_MEMZONE_NAMESIZE - 9];
    unsigned nodes;
    int      socket[FPHEAP_MAX_NODES]; /* of each node */
    unsigned flags;            /* RTE_MEMZONE_2MB ... */
    unsigned exact;            /* 1: zones exactly as long as asked for;
                                  yours to change, as the two above */
    size_t   held;             /* bytes in zones; all from here are atomic */
    size_t   elsewhere;        /* bytes obtained from another socket */
    size_t   most;             /* bytes of a zone, unless more is asked for */
    size_t   page;             /* bytes, of the newest zone; 0: none yet */
    void    *newest;           /* where it begins, until the heap accepts it */
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

/* How long the next zone should be: the first as asked for, as the heap's limit
 * may have no room for more.  Where a hugepage has several chunks, whole pages
 * less one chunk, in which the EAL aligns the zone. */
static inline size_t
fpheap_memzone_wish(const fpheap_memzone *zones, size_t bytes, size_t align)
{
    size_t most = __atomic_load_n(&zones->most, __ATOMIC_RELAXED);
    size_t page = __atomic_load_n(&zones->page, __ATOMIC_RELAXED);
    size_t held = __atomic_load_n(&zones->held, __ATOMIC_RELAXED);
    size_t wish = held / 4 > FPHEAP_MEMZONE_LEAST ? held / 4
                                                  : FPHEAP_MEMZONE_LEAST;

    wish = (wish < most ? wish : most) & ~(align - 1);
    if (page > align && wish >= page)
        wish = (wish & ~(page - 1)) - align;
    return zones->exact || held == 0 || wish < bytes ? bytes : wish;
}

/* A zone was had of the length that was wished for, or only a shorter one:
 * begin there the next time, and then with twice as much. */
static inline void
fpheap_memzone_learn(fpheap_memzone *zones, const struct rte_memzone *zone,
                     size_t wish)
{
    size_t most = __atomic_load_n(&zones->most, __ATOMIC_RELAXED);

    if (zone->len < wish)
        most = zone->len;
    else if (most < FPHEAP_MEMZONE_MOST)
        most = 2 * zone->len > FPHEAP_MEMZONE_LEAST ? 2 * zone->len
                                                    : FPHEAP_MEMZONE_LEAST;
    __atomic_store_n(&zones->most, most, __ATOMIC_RELAXED);
    __atomic_store_n(&zones->page, (size_t)zone->hugepage_sz,
                     __ATOMIC_RELAXED);
    __atomic_store_n(&zones->newest, zone->addr, __ATOMIC_RELAXED);
    __atomic_fetch_add(&zones->held, zone->len, __ATOMIC_RELAXED);
}

/* Reserve `wish` bytes, or half, and so on down to `bytes`.  DPDK aligns to a
 * hugepage at most: of larger chunks there is room inside then. */
static inline const struct rte_memzone *
fpheap_memzone_obtain(const fpheap_memzone *zones, size_t wish, size_t bytes,
                      size_t align, int socket)
{
    const struct rte_memzone *zone = NULL;

    rte_errno = 0;
    for (; zone == NULL && rte_errno != ENOSPC && wish > bytes; wish /= 2)
        zone = fpheap_memzone_reserve(zones, wish & ~(align - 1), align,
                                      socket);
    if (zone == NULL && rte_errno != ENOSPC)
        zone = fpheap_memzone_reserve(zones, bytes, align, socket);
    if (zone == NULL && rte_errno != ENOSPC)
        zone = fpheap_memzone_reserve(zones, bytes + align, 64, socket);
    return zone;
}

/* -ENOSPC: no zone is left. */
static inline int
fpheap_memzone_get(void *ctx, size_t bytes, size_t align, int node,
                   fpheap_region *region)
{
    fpheap_memzone *zones = (fpheap_memzone *)ctx;
    size_t wish   = fpheap_memzone_wish(zones, bytes, align);
    int    socket = node >= 0 && (unsigned)node < zones->nodes
                  && rte_eal_has_hugepages() ? zones->socket[node]
                                             : SOCKET_ID_ANY;
    const struct rte_memzone *zone = fpheap_memzone_obtain(zones, wish, bytes,
                                                           align, socket);

    if (zone == NULL)
        return rte_errno == ENOSPC ? -ENOSPC : -ENOMEM;
    fpheap_memzone_learn(zones, zone, wish);
    region->base = zone->addr;
    region->bytes = zone->len;
    region->cookie = (void *)(uintptr_t)zone;
    region->backing = zone->hugepage_sz > (uint64_t)sysconf(_SC_PAGESIZE)
                    ? FPHEAP_BACKING_HUGETLB : FPHEAP_BACKING_PAGES;
    if (socket != zone->socket_id && socket != SOCKET_ID_ANY)
        __atomic_fetch_add(&zones->elsewhere, zone->len, __ATOMIC_RELAXED);
    return 0;
}

/* A zone that comes back before the heap has used it was too long for the
 * heap's limit, which asks again: the next is as long as is asked for, and
 * those after it grow from there. */
static inline int
fpheap_memzone_put(void *ctx, const fpheap_region *region)
{
    fpheap_memzone *zones = (fpheap_memzone *)ctx;
    void           *base  = region->base;

    if (__atomic_compare_exchange_n(&zones->newest, &base, (void *)NULL,
                                    0 /* strong */, __ATOMIC_RELAXED,
                                    __ATOMIC_RELAXED))
        __atomic_store_n(&zones->most, (size_t)0, __ATOMIC_RELAXED);
    if (rte_memzone_free((const struct rte_memzone *)region->cookie) != 0)
        return -EINVAL;
    __atomic_fetch_sub(&zones->held, region->bytes, __ATOMIC_RELAXED);
    return 0;
}

/* Asked for each chunk of a zone that the heap has accepted.  By memseg, as
 * rte_mem_virt2iova opens a file each time when IOVAs are physical; a chunk of
 * several pages has none then. */
static inline uint64_t
fpheap_memzone_iova(void *ctx, const void *chunk)
{
    fpheap_memzone          *zones = (fpheap_memzone *)ctx;
    const struct rte_memseg *page;

    __atomic_store_n(&zones->newest, (void *)NULL, __ATOMIC_RELAXED);
    if (rte_eal_iova_mode() == RTE_IOVA_VA)
        return (uintptr_t)chunk;
    page = rte_mem_virt2memseg(chunk, NULL);
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
    zones->most = FPHEAP_MEMZONE_MOST;
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
