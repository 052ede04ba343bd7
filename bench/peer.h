/* What bench.c asks of an allocator.  A peer is one file, which -DPEER names:
 * '"peer_malloc.inc"' is the shortest example.  It must have
 *
 *     peer                 what each call gets: a heap, a cache, or nothing
 *     peer_prepare         once per thread, before the clock starts
 *     peer_alloc           size may be a constant that the compiler folds
 *     peer_free            size may be looked at by the floor only
 *
 * and, for what else it can do, a macro that is 1 and these functions.  Without
 * them a bulk is a loop, no free is told the size, and rows are left out.
 *
 *     PEER_SIZED           peer_free_sized
 *     PEER_BULK            peer_alloc_bulk, not 0 if it failed, and
 *                          peer_free_bulk, all of one size
 *     PEER_BULK_UNSIZED    peer_free_bulk_unsized, to which the size means
 *                          nothing; without it the size is told
 *     PEER_POOL            pools of objects of one size: peer_pool, what each
 *                          call gets; peer_pool_prepare, once per thread, all
 *                          of which get the same pool; peer_pool_get and
 *                          peer_pool_put; peer_pool_get_bulk, not 0 if it
 *                          failed, and peer_pool_put_bulk
 *     PEER_MEMORY          peer_memory: bytes obtained and bytes in use
 *     PEER_TRIM            peer_trim: gives back to the system what is free; 0
 *                          if it cannot
 *     PEER_STATISTICS      peer_statistics: bytes in use as the allocator
 *                          counts them; 0 if it cannot say
 *     PEER_GROUP           peer_group, a pointer to objects that end together;
 *                          peer_group_begin, peer_group_alloc and
 *                          peer_group_end; peer_group_stays: not 0 if a group
 *                          must end in the thread that began it
 *     PEER_PREFILL         peer_prefill: the thread's next n allocations of the
 *                          size do not fail; not 0 if it failed
 *     PEER_CRITICAL        objects that are there when all others are used up:
 *                          peer_critical_prepare, in place of peer_prepare,
 *                          uses the others up; peer_critical_alloc, which asks
 *                          for one of those first, and peer_critical_free; for
 *                          pools peer_pool_critical_prepare, _get and _put
 *     PEER_WATER           peer_water, before peer_prepare: the heap gets that
 *                          limit, and adds one to *told when more than `most` is
 *                          used, and when less than `least` is after that; told
 *                          NULL: it gets the limit only
 *     PEER_SHARED          the rows shared_*
 *     PEER_PROCESSES       what those rows ask of a second thread is done by a
 *                          second process, forked after the first
 *                          peer_prepare: peer_forked, called there before it
 *                          calls peer_prepare itself; peer_open and
 *                          peer_close, one more handle of what is shared, for
 *                          a process that has none.  It has no other rows
 *
 * What it is, if it is not like others:
 *
 *     PEER_BARE            1: no allocator but a yardstick.  The pipeline passes
 *                          the same objects for ever, and rows about memory are
 *                          left out
 *     PEER_ONE_SIZE        1: it is a pool, so that it has the rows of one size
 *                          and of pools only; the number of its objects is
 *                          known beforehand (see stock)
 *     PEER_ONLY_GROUPS     1: it has the rows grouped_* only
 *     PEER_TENANT          peer_tenant, a pointer to a heap that ends as a whole,
 *                          or NULL; peer_tenant_begin, peer_tenant_alloc and
 *                          peer_tenant_end
 *     PEER_READY           1: its memory is obtained when it starts, which takes
 *                          long: no rows about memory and start-up
 *     PEER_STEPS           operations in one repeat, for a slow peer; a power
 *                          of two, at least 4096; rows of a million objects
 *                          need 5 repeats then
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

#ifndef PEER
#  error "bench: give -DPEER='\"peer_fpheap.inc\"' or another peer"
#endif
#include PEER

/* --- what the peer left out ------------------------------------------------ */

#ifndef PEER_BARE
#  define PEER_BARE 0
#endif
#ifndef PEER_ONE_SIZE
#  define PEER_ONE_SIZE 0
#endif
#ifndef PEER_READY
#  define PEER_READY 0
#endif
#ifndef PEER_STATISTICS
#  define PEER_STATISTICS 0
#endif

#ifndef PEER_SIZED
BENCH_INLINE void
peer_free_sized(peer p, void *object, size_t size)
{
    peer_free(p, object, size);
}
#endif

#ifndef PEER_BULK
BENCH_INLINE int
peer_alloc_bulk(peer p, size_t size, void **objects, unsigned n)
{
    unsigned i;

    for (i = 0; i < n; i++)
        objects[i] = peer_alloc(p, size);
    return 0;
}

BENCH_INLINE void
peer_free_bulk(peer p, void **objects, unsigned n, size_t size)
{
    unsigned i;

    for (i = 0; i < n; i++)
        peer_free(p, objects[i], size);
}
#endif

#ifndef PEER_BULK_UNSIZED
#  define peer_free_bulk_unsized peer_free_bulk
#endif

/* A peer with objects of one size is a pool. */
#ifndef PEER_POOL
#  define PEER_POOL PEER_ONE_SIZE
typedef peer peer_pool;
#  define peer_pool_prepare(s)              peer_prepare(s)
#  define peer_pool_get(pool)               peer_alloc(pool, 0)
#  define peer_pool_put(pool, object)       peer_free(pool, object, 0)
#  define peer_pool_get_bulk(pool, list, n) peer_alloc_bulk(pool, 0, list, n)
#  define peer_pool_put_bulk(pool, list, n) peer_free_bulk(pool, list, n, 0)
#endif

#ifndef PEER_ONLY_GROUPS
#  define PEER_ONLY_GROUPS 0
#endif

#ifndef PEER_TENANT
typedef void *peer_tenant;
#  define peer_tenant_begin(p)            ((void)(p), (void *)NULL)
#  define peer_tenant_alloc(tenant, size) ((void)(tenant), (void)(size), (void *)NULL)
#  define peer_tenant_end(tenant)         ((void)(tenant))
#endif

#ifndef PEER_GROUP
#  define PEER_GROUP 0
typedef void *peer_group;
#  define peer_group_begin(p)           ((void)(p), (void *)NULL)
#  define peer_group_alloc(group, size) ((void)(group), (void)(size), (void *)NULL)
#  define peer_group_end(group)         ((void)(group))
#  define peer_group_stays()            0
#endif

#ifndef PEER_PREFILL
#  define peer_prefill(p, size, n) ((void)(p), (void)(n), 0)
#endif

/* A peer with objects of one size is a pool, for critical ones too. */
#ifndef PEER_CRITICAL
#  define PEER_CRITICAL 0
#  define peer_critical_prepare(s)      peer_prepare(s)
#  define peer_critical_alloc(p, size)  peer_alloc(p, size)
#  define peer_critical_free(p, object) peer_free(p, object, 0)
#endif
#if PEER_ONE_SIZE || !PEER_CRITICAL
#  define peer_pool_critical_prepare(s)        peer_critical_prepare(s)
#  define peer_pool_critical_get(pool)         peer_critical_alloc(pool, 0)
#  define peer_pool_critical_put(pool, object) peer_critical_free(pool, object)
#endif

#ifndef PEER_WATER
#  define PEER_WATER 0
#  define peer_water(limit, most, least, told) ((void)0)
#endif

#ifndef PEER_SHARED
#  define PEER_SHARED 0
#endif

#ifndef PEER_PROCESSES
#  define PEER_PROCESSES       0
#  define peer_forked()        ((void)0)
#  define peer_open(read_only) peer_prepare(NULL)
#  define peer_close(p)        ((void)(p))
#endif

#ifndef PEER_TRIM
#  define peer_trim(p) ((void)(p), 0)
#endif

#ifndef PEER_MEMORY
static inline memory_use
peer_memory(void)
{
    memory_use unknown = { 0, 0 };

    return unknown;
}
#endif

#endif /* BENCH_PEER_H */
