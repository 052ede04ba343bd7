/* fpheap_multiprocess.h - a heap that a primary and its secondaries share
 * SPDX-License-Identifier: MIT OR Unlicense OR BSD-3-Clause
 *
 *     // in the primary, after rte_eal_init
 *     heap = fpheap_multiprocess_create("flows", 64 << 20, SOCKET_ID_ANY, 0);
 *
 *     // in a secondary, after rte_eal_init; ENOENT: not there yet
 *     heap = fpheap_multiprocess_open("flows");
 *
 *     fpheap_close(heap);                  // in each, before rte_eal_cleanup
 *     fpheap_multiprocess_remove("flows"); // once all have closed it
 *
 * Copy it and include it after fpheap.h.  The heap is one memzone, which the
 * EAL has mapped at the same address in all its processes.  A secondary that has
 * it open allocates and frees as the primary does, in any thread, whether the
 * EAL knows it or not; nobody asks the primary for anything.  It takes its
 * memory when it is made and does not grow: ENOMEM is the end of the zone.
 *
 * The processes' locks, by which the heap knows who is alive, are bytes of a
 * file in the EAL's runtime directory, fpheap_ and the zone's name.
 */
#ifndef FPHEAP_MULTIPROCESS_H
#define FPHEAP_MULTIPROCESS_H

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_memory.h>
#include <rte_memzone.h>

/* The IOVA of a chunk.  It is in one page, as the zone's pages are as long as a
 * chunk at least; or every address is its own IOVA. */
static inline uint64_t
fpheap_multiprocess_iova(void *unused, const void *chunk)
{
    const struct rte_memseg *page;

    (void)unused;
    if (rte_eal_iova_mode() == RTE_IOVA_VA)
        return (uintptr_t)chunk;
    page = rte_mem_virt2memseg(chunk, NULL);
    return page == NULL || page->iova == RTE_BAD_IOVA
           || page->len < FPHEAP_CHUNK
         ? FPHEAP_BAD_IOVA : page->iova + (uintptr_t)chunk - page->addr_64;
}

/* The name of the file, which is none of the EAL's; one that is too long stays
 * so. */
typedef struct fpheap_multiprocess_file {
    char name[sizeof "fpheap_" + RTE_MEMZONE_NAMESIZE];
} fpheap_multiprocess_file;

static inline fpheap_multiprocess_file
fpheap_multiprocess_file_of(const char *name)
{
    fpheap_multiprocess_file file;

    snprintf(file.name, sizeof file.name, "fpheap_%s", name);
    return file;
}

static inline fpheap *
fpheap_multiprocess_call(const char *name, const fpheap_partition *desc,
                         unsigned flags)
{
    return fpheap_open(fpheap_multiprocess_file_of(name).name, desc, flags);
}

/* What fpheap_open is told of a zone. */
static inline fpheap_partition
fpheap_multiprocess_partition(const struct rte_memzone *zone)
{
    fpheap_partition desc;

    memset(&desc, 0, sizeof desc);
    desc.address = (void *)(((uintptr_t)zone->addr + FPHEAP_CHUNK - 1)
                            & ~(uintptr_t)(FPHEAP_CHUNK - 1));
    desc.bytes = (zone->len - (size_t)((char *)desc.address
                                       - (char *)zone->addr))
               & ~(size_t)(FPHEAP_CHUNK - 1);
    desc.directory = rte_eal_get_runtime_dir();
    desc.flags = FPHEAP_MAPPED;
    desc.iova = fpheap_multiprocess_iova;
    return desc;
}

/* DPDK aligns to a hugepage at most: of larger chunks there is room inside
 * then. */
static inline const struct rte_memzone *
fpheap_multiprocess_zone(const char *name, size_t bytes, int socket,
                         unsigned flags)
{
    const struct rte_memzone *zone;

    bytes = (bytes + FPHEAP_CHUNK - 1) & ~(size_t)(FPHEAP_CHUNK - 1);
    zone = rte_memzone_reserve_aligned(name, bytes, socket, flags,
                                       (unsigned)FPHEAP_CHUNK);
    if (zone == NULL && rte_errno == ENOMEM)
        zone = rte_memzone_reserve_aligned(name, bytes + FPHEAP_CHUNK, socket,
                                           flags, 64);
    return zone;
}

/* Once no process has it open, and for one that could not be made: the memory
 * goes back to the EAL, and the name with it.  Only the primary can.  Returns 0
 * or a negative errno. */
static inline int
fpheap_multiprocess_remove(const char *name)
{
    const struct rte_memzone *zone = rte_memzone_lookup(name);
    fpheap_partition          desc;

    if (zone == NULL)
        return -ENOENT;
    desc = fpheap_multiprocess_partition(zone);
    fpheap_unlink(fpheap_multiprocess_file_of(name).name, &desc);
    return rte_memzone_free(zone);
}

/* name: 24 characters.  bytes: of the zone, of which the heap's tables take some
 * 250 KiB.  flags: RTE_MEMZONE_2MB ...; with RTE_MEMZONE_IOVA_CONTIG objects of
 * several chunks are contiguous for devices, too, but where IOVAs are physical
 * that can hardly be had; what is in one chunk always is.  NULL and errno:
 * EEXIST, ENOMEM, or what fpheap_open says.
 *
 * A file of that name is an earlier primary's.  The zone is cleared, since the
 * EAL may have found it in old files: what an earlier heap has left there must
 * not be taken for this one. */
static inline fpheap *
fpheap_multiprocess_create(const char *name, size_t bytes, int socket,
                           unsigned flags)
{
    const struct rte_memzone *zone = fpheap_multiprocess_zone(name, bytes,
                                                              socket, flags);
    fpheap_partition          desc;
    fpheap                   *heap;
    int                       error;

    if (zone == NULL) {
        errno = rte_errno;
        return NULL;
    }
    desc = fpheap_multiprocess_partition(zone);
    fpheap_unlink(fpheap_multiprocess_file_of(name).name, &desc);
    memset(zone->addr, 0, zone->len);
    heap = fpheap_multiprocess_call(name, &desc, FPHEAP_CREATE);
    if (heap == NULL) {
        error = errno;
        fpheap_multiprocess_remove(name);
        errno = error;
    }
    return heap;
}

/* Open the heap in a zone that has one. */
static inline fpheap *
fpheap_multiprocess_use(const struct rte_memzone *zone)
{
    fpheap_partition desc = fpheap_multiprocess_partition(zone);
    const uint64_t  *word = (const uint64_t *)desc.address;

    if (__atomic_load_n(word, __ATOMIC_ACQUIRE) == 0) { /* no heap yet */
        errno = ENOENT;
        return NULL;
    }
    return fpheap_multiprocess_call(zone->name, &desc, 0);
}

/* In a secondary, or a second time in a primary that has closed it.  NULL and
 * errno: ENOENT, also while the primary makes it, or what fpheap_open says. */
static inline fpheap *
fpheap_multiprocess_open(const char *name)
{
    const struct rte_memzone *zone = rte_memzone_lookup(name);

    if (zone == NULL) {
        errno = ENOENT;
        return NULL;
    }
    return fpheap_multiprocess_use(zone);
}
#endif /* FPHEAP_MULTIPROCESS_H */
