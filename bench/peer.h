/* What bench.c asks of an allocator.  A peer is one file of this shape, included
 * with -DPEER='"peer_x.h"'; peer_malloc.h is the shortest example.
 *
 *     PEER_NAME            a string
 *     PEER_BARE            1: the pipeline passes the same objects for ever and
 *                          rows about memory are left out; 0 for an allocator
 *     PEER_POOL            1: it has pools; else the rows pool_* are left out
 *     peer                 what each call gets: a heap, a cache, or nothing
 *     peer_prepare         once per thread, before the clock starts
 *     peer_memory          bytes obtained and bytes in use; 0 if it cannot say
 *     peer_alloc           size may be a constant that the compiler folds
 *     peer_free            size may be looked at by the floor only
 *     peer_free_sized
 *     peer_alloc_bulk      not 0 if it failed
 *     peer_free_bulk       all of one size
 *
 * With PEER_STATISTICS, for the rows that read statistics:
 *
 *     peer_statistics      bytes in use as the allocator counts them; 0 if it
 *                          cannot say
 *
 *     PEER_ONE_SIZE        1: it has objects of one size, and their number is
 *                          known beforehand (see stock); else 0 or nothing
 *     PEER_STEPS           operations in one repeat, for a slow peer; a power
 *                          of two, at least 4096; rows of a million objects
 *                          need 5 repeats then
 *     PEER_READY           1: its memory is obtained when it starts, which takes
 *                          long: no rows about memory and start-up
 *
 * With PEER_POOL also the following, for objects of one size:
 *
 *     peer_pool            what each call gets
 *     peer_pool_prepare    once, before the clock starts
 *     peer_pool_get
 *     peer_pool_put
 *     peer_pool_get_bulk   not 0 if it failed
 *     peer_pool_put_bulk
 */
#ifndef BENCH_PEER_H
#define BENCH_PEER_H

#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>

/* What a row is going to use. */
typedef struct stock {
    size_t   smallest; /* sizes of the objects */
    size_t   largest;
    unsigned each;     /* objects that the floor needs of every class */
    size_t   bytes;    /* memory that a heap should have ready */
} stock;

typedef struct memory_use {
    size_t obtained;   /* from the system */
    size_t in_use;     /* of that, in slabs, large objects and records */
} memory_use;

/* run.sh sets it when hugepages are reserved and the row is to use them. */
static inline int
wants_hugepages(void)
{
    return getenv("BENCH_HUGE") != NULL;
}

/* Address space for objects, in hugepages if the others have them: transparent
 * ones, for these need not be counted beforehand. */
static inline void *
map_objects(size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (p == MAP_FAILED)
        return NULL;
    if (wants_hugepages())
        (void)madvise(p, bytes, MADV_HUGEPAGE);
    return p;
}

#define BENCH_INLINE static inline __attribute__((always_inline, unused))

#endif /* BENCH_PEER_H */
