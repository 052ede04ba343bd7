/* fpheap_hugetlb.h - a heap on reserved hugepages of its own, without DPDK's
 * heap
 * SPDX-License-Identifier: MIT OR Unlicense OR BSD-3-Clause
 *
 *     fpheap_provider provider;
 *     fpheap_hugetlb  pages;                       // lives as long as the heap
 *     fpheap_config   config = { .provider = &provider };
 *
 *     fpheap_hugetlb_provider(&provider, &pages, 0);
 *     heap = fpheap_create("packets", &config);
 *
 * Copy it and include it after fpheap.h; it needs Linux and no DPDK.  With
 * FPHEAP_HUGETLB_EXTMEM defined to 1 each region is made known to DPDK:
 * rte_mem_virt2iova and rte_mem_virt2memseg work on its objects.  Then create
 * the heap after rte_eal_init and destroy it before rte_eal_cleanup.
 * Devices behind an IOMMU need rte_dev_dma_map for each region as well.  EAL
 * has room for some 100 regions; set `least` so that they are few.
 */
#ifndef FPHEAP_HUGETLB_H
#define FPHEAP_HUGETLB_H

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef FPHEAP_HUGETLB_EXTMEM
#  define FPHEAP_HUGETLB_EXTMEM 0
#endif
#if FPHEAP_HUGETLB_EXTMEM
#  include <rte_eal.h>
#  include <rte_errno.h>
#  include <rte_memory.h>
#endif

/* flags */
#define FPHEAP_HUGETLB_PA     1u /* IOVAs are physical: /proc/self/pagemap
                                    shows them to root */
#define FPHEAP_HUGETLB_SHARED 2u /* from a memfd, for vhost-user and others that
                                    take a descriptor; a forked child shares it
                                    and must not use the heap */

#define FPHEAP_HUGETLB_SHIFT_AT 26 /* where mmap and memfd_create want it */
#define FPHEAP_HUGETLB_PREFER   1  /* MPOL_PREFERRED */
#define FPHEAP_HUGETLB_POPULATE 23 /* MADV_POPULATE_WRITE */

/* Filled in by fpheap_hugetlb_provider; yours to change before the heap is
 * made. */
typedef struct fpheap_hugetlb {
    unsigned flags;
    unsigned page_shift;       /* 21: pages of 2 MiB; 30: of 1 GiB */
    size_t   least;            /* bytes of a region, 0: as the heap asks */
    int      node[FPHEAP_MAX_NODES]; /* the system's of each of the heap's, or
                                  FPHEAP_ANY_NODE; preferred, not forced */
} fpheap_hugetlb;

/* The memfd of a region, or -1. */
static inline int
fpheap_hugetlb_fd(const fpheap_region *region)
{
    return (int)(intptr_t)region->cookie - 1;
}

/* Put a region's pages where they belong and fault them in: what is missing
 * shows as an error here and not as a SIGBUS later, from Linux 5.14 on.  A
 * forked child does not get what devices use, or the next write would move a
 * page under them. */
static inline int
fpheap_hugetlb_place(const fpheap_hugetlb *pages, const fpheap_region *region,
                     int node)
{
    if ((FPHEAP_HUGETLB_EXTMEM || (pages->flags & FPHEAP_HUGETLB_PA) != 0)
        && madvise(region->base, region->bytes, MADV_DONTFORK) != 0)
        return -errno;
    if (node >= 0 && node < FPHEAP_MAX_NODES && pages->node[node] >= 0
        && pages->node[node] < 64) {
        uint64_t mask = UINT64_C(1) << pages->node[node];

        (void)syscall(SYS_mbind, region->base, region->bytes,
                      FPHEAP_HUGETLB_PREFER, &mask, 65ul, 0u);
    }
    if (madvise(region->base, region->bytes, FPHEAP_HUGETLB_POPULATE) != 0
        && errno != EINVAL) /* before Linux 5.14 */
        return errno == EFAULT || errno == EHWPOISON ? -ENOMEM : -errno;
    return 0;
}

/* The kernel's list of this process's pages; -1: it shows none. */
static inline int
fpheap_hugetlb_pagemap(void)
{
    return open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
}

static inline uint64_t
fpheap_hugetlb_physical(int pagemap, const void *byte)
{
    long     size = sysconf(_SC_PAGESIZE);
    uint64_t entry = 0;
    ssize_t  got = pread(pagemap, &entry, sizeof entry,
                         (off_t)((uintptr_t)byte / (size_t)size
                                 * sizeof entry));

    entry &= entry >> 63 ? (UINT64_C(1) << 55) - 1 : 0; /* 63: it is there */
    if (got != (ssize_t)sizeof entry || entry == 0)
        return FPHEAP_BAD_IOVA;
    return entry * (size_t)size + (uintptr_t)byte % (size_t)size;
}

#if FPHEAP_HUGETLB_EXTMEM
/* Make a region known to DPDK, with the IOVA of each of its pages. */
static inline int
fpheap_hugetlb_register(const fpheap_hugetlb *pages,
                        const fpheap_region *region)
{
    size_t      page = (size_t)1 << pages->page_shift;
    size_t      n = region->bytes >> pages->page_shift;
    rte_iova_t *iova = (rte_iova_t *)malloc(n * sizeof *iova);
    int         physical = (pages->flags & FPHEAP_HUGETLB_PA) != 0;
    int         pagemap = physical ? fpheap_hugetlb_pagemap() : -1;
    size_t      i;
    int         rc = -ENOMEM;

    for (i = 0; iova != NULL && i < n; i++) {
        char *at = (char *)region->base + i * page;

        iova[i] = physical ? fpheap_hugetlb_physical(pagemap, at)
                           : (uintptr_t)at;
    }
    if (iova != NULL)
        rc = rte_extmem_register(region->base, region->bytes, iova,
                                 (unsigned)n, page) == 0 ? 0 : -rte_errno;
    free(iova);
    if (pagemap >= 0)
        (void)close(pagemap);
    return rc;
}

/* That of a byte of a region that is registered. */
static inline uint64_t
fpheap_hugetlb_page(int pagemap, const void *byte)
{
    const struct rte_memseg *page = rte_mem_virt2memseg(byte, NULL);

    (void)pagemap;
    return page == NULL || page->iova == RTE_BAD_IOVA
         ? FPHEAP_BAD_IOVA : page->iova + (uintptr_t)byte - page->addr_64;
}
#else
#  define fpheap_hugetlb_page fpheap_hugetlb_physical
#endif

/* Asked once for each chunk.  DPDK has what it was told; without it a file is
 * opened each time, as a forked child must not have its parent's. */
static inline uint64_t
fpheap_hugetlb_iova(void *ctx, const void *chunk)
{
    const fpheap_hugetlb *pages = (const fpheap_hugetlb *)ctx;
    size_t   page = (size_t)1 << pages->page_shift;
    int      pagemap;
    uint64_t first;
    size_t   at;

    if ((pages->flags & FPHEAP_HUGETLB_PA) == 0)
        return (uintptr_t)chunk;
    pagemap = FPHEAP_HUGETLB_EXTMEM ? -1 : fpheap_hugetlb_pagemap();
    first = fpheap_hugetlb_page(pagemap, chunk);
    for (at = page; at < FPHEAP_CHUNK && first != FPHEAP_BAD_IOVA; at += page)
        if (fpheap_hugetlb_page(pagemap, (const char *)chunk + at)
            != first + at)
            first = FPHEAP_BAD_IOVA;
    if (pagemap >= 0)
        (void)close(pagemap);
    return first;
}

static inline int
fpheap_hugetlb_put(void *ctx, const fpheap_region *region)
{
    int fd = fpheap_hugetlb_fd(region);

    (void)ctx;
#if FPHEAP_HUGETLB_EXTMEM
    /* ENOENT: it was not registered, as get failed there. */
    if (rte_extmem_unregister(region->base, region->bytes) != 0
        && rte_errno != ENOENT)
        return -rte_errno;
#endif
    if (munmap(region->base, region->bytes) != 0)
        return -errno;
    if (fd >= 0)
        (void)close(fd);
    return 0;
}

/* Map a region.  Its cookie is one more than the memfd, 0 if there is none. */
static inline int
fpheap_hugetlb_map(const fpheap_hugetlb *pages, fpheap_region *region)
{
    unsigned size = pages->page_shift << FPHEAP_HUGETLB_SHIFT_AT;
    int      how = MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | (int)size;
    int      fd = -1;
    int      rc = 0;

    if ((pages->flags & FPHEAP_HUGETLB_SHARED) != 0) {
        how = MAP_SHARED;
        fd = memfd_create("fpheap", MFD_CLOEXEC | MFD_HUGETLB | size);
        if (fd < 0 || ftruncate(fd, (off_t)region->bytes) != 0)
            rc = -errno;
    }
    if (rc == 0) {
        region->base = mmap(NULL, region->bytes, PROT_READ | PROT_WRITE, how,
                            fd, 0);
        region->cookie = (void *)(intptr_t)(fd + 1);
        region->backing = FPHEAP_BACKING_HUGETLB;
        if (region->base == MAP_FAILED)
            rc = -errno;
    }
    if (rc != 0 && fd >= 0)
        (void)close(fd);
    return rc;
}

/* A region of at least so many bytes. */
static inline int
fpheap_hugetlb_obtain(fpheap_hugetlb *pages, size_t bytes, int node,
                      fpheap_region *region)
{
    size_t page = (size_t)1 << pages->page_shift;
    int    rc;

    region->bytes = (bytes + page - 1) & ~(page - 1);
    rc = fpheap_hugetlb_map(pages, region);
    if (rc != 0)
        return rc;
    rc = fpheap_hugetlb_place(pages, region, node);
#if FPHEAP_HUGETLB_EXTMEM
    if (rc == 0)
        rc = fpheap_hugetlb_register(pages, region);
#endif
    if (rc != 0)
        (void)fpheap_hugetlb_put(pages, region);
    return rc;
}

static inline int
fpheap_hugetlb_get(void *ctx, size_t bytes, size_t align, int node,
                   fpheap_region *region)
{
    fpheap_hugetlb *pages = (fpheap_hugetlb *)ctx;
    int             rc = -ENOMEM;

    (void)align;        /* larger than a page: the heap uses what is inside */
    if (pages->least > bytes)
        rc = fpheap_hugetlb_obtain(pages, pages->least, node, region);
    return rc == -ENOMEM ? fpheap_hugetlb_obtain(pages, bytes, node, region)
                         : rc;
}

/*
 * fpheap_hugetlb_provider - fill in a provider of hugepages
 *
 * flags  FPHEAP_HUGETLB_PA, _SHARED, or 0.  With DPDK: _PA if rte_eal_iova_mode
 *        is RTE_IOVA_PA.
 */
static inline void
fpheap_hugetlb_provider(fpheap_provider *provider, fpheap_hugetlb *pages,
                        unsigned flags)
{
    unsigned i;

    memset(pages, 0, sizeof *pages);
    pages->flags = flags;
    pages->page_shift = 21;
    for (i = 0; i < FPHEAP_MAX_NODES; i++)
        pages->node[i] = FPHEAP_ANY_NODE;
    memset(provider, 0, sizeof *provider);
    provider->get = fpheap_hugetlb_get;
    provider->put = fpheap_hugetlb_put;
    provider->iova = fpheap_hugetlb_iova;
    provider->ctx = pages;
}

#endif /* FPHEAP_HUGETLB_H */
