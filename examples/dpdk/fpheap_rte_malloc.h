/* fpheap_rte_malloc.h - the calls of rte_malloc and rte_mempool, served by
 * fpheap
 * SPDX-License-Identifier: MIT OR Unlicense OR BSD-3-Clause
 *
 *     in exactly one C file                in every file of the application
 *     #define FPHEAP_IMPLEMENTATION        #include "fpheap_rte_malloc.h"
 *     #include "fpheap_rte_malloc.h"
 *
 * Built with -DFPHEAP_RTE_MALLOC the names below mean fpheap, else they are
 * DPDK's: one define, two programs to compare.  Copy it beside fpheap.h and
 * fpheap_memzone.h, and include it after DPDK's own headers.
 *
 *     rte_malloc  rte_zmalloc  rte_calloc  rte_realloc, each with _socket
 *     rte_free  rte_malloc_validate  rte_malloc_virt2iova
 *     rte_mempool_create  _free  _lookup  _obj_iter  _virt2iova
 *     rte_mempool_get  _put  _get_bulk  _put_bulk  _generic_get  _generic_put
 *     rte_mempool_avail_count  _in_use_count  _full  _empty
 *
 * One heap per socket, made by the first call that needs it, after
 * rte_eal_init, in memzones; it lives as long as the process.  What fpheap
 * cannot do (alignment above a chunk, a heap or pool too many) DPDK does, and
 * what DPDK has made the functions above still take: a table knows whose a
 * chunk is, and a mempool says whose it is.
 *
 * NOT REPLACED
 *   - pools of mbufs, and whatever a driver or library gets by itself.  They
 *     call DPDK's own inline functions: rte_mempool_create with
 *     rte_pktmbuf_init and all other functions of mempools stay DPDK's.  For
 *     these use a mempool driver (mempool_fpheap.c).
 *   - an object or pool of ours given to code that is built without this: it
 *     may not free, put or get.  Nor a secondary process.
 *   - rte_mempool_from_obj and _cache_*: our objects have no header in front,
 *     and their cache is fpheap's.  Statistics: fpheap_rte_heap, fpheap_dump.
 *
 * DIFFERENT
 *   - a pool's memory comes when it is needed.  FPHEAP_RTE_AHEAD 1: all at
 *     create, as a mempool's.  Objects are initialised when their memory comes,
 *     once, numbered in that order; the last numbers may go beyond n.
 *   - as with a mempool's caches, what other lcores park cannot be got: that
 *     is two magazines of cache_size objects each at most
 *   - rte_mempool_free leaves a pool alone, and logs it, while objects are in
 *     use; rte_zmalloc always writes the zeros
 */
#ifndef FPHEAP_RTE_MALLOC_H
#define FPHEAP_RTE_MALLOC_H

#include <rte_malloc.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>

#ifdef FPHEAP_RTE_MALLOC

#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_log.h>
#include <rte_spinlock.h>

#if __has_include("fpheap.h")
#  include "fpheap.h"
#else
#  include "../../fpheap.h"
#endif
#include "fpheap_memzone.h"

/* FPHEAP_RTE_AHEAD - 1: pools have all objects at create.  Default 0. */
#ifndef FPHEAP_RTE_AHEAD
#  define FPHEAP_RTE_AHEAD 0
#endif

/* rte_malloc promises the alignment of malloc and gives a cache line; who has
 * one variable per lcore counts on that.  A size that is a multiple of it has a
 * class that is one, too. */
#define FPH_RTE_ALIGN ((size_t)RTE_CACHE_LINE_SIZE)

#if FPHEAP_HEADER
#  error "fpheap_rte_malloc: headers leave objects at 16 bytes, not at a line"
#endif

/* In rte_mempool.flags, where DPDK has none: the pool is ours. */
#define FPH_RTE_OURS 0x40000000u

/* Whose a chunk is: its socket plus one, or 0.  Two levels for 47 bits of
 * address; a leaf, once there, stays. */
#define FPH_RTE_LEAF_BITS 13
#define FPH_RTE_ROOTS     (1 << (47 - FPHEAP_CHUNK_SHIFT - FPH_RTE_LEAF_BITS))

typedef struct fph_rte_pool {
    struct rte_mempool   *mp;
    fpheap_pool          *pool;
    rte_mempool_obj_cb_t *init;
    void                 *init_arg;
    unsigned              cache_size;
    struct fph_rte_pool  *next;  /* with the lock */
} fph_rte_pool;

typedef struct fph_rte_state {
    fpheap         *heap[RTE_MAX_NUMA_NODES];  /* atomic; NULL: not yet */
    fpheap         *only;        /* atomic; where there is but one socket */
    uint8_t        *owner[FPH_RTE_ROOTS];      /* atomic, entries too */
    fpheap_provider memzones[RTE_MAX_NUMA_NODES];
    fpheap_memzone  zones[RTE_MAX_NUMA_NODES];
    rte_spinlock_t  lock;
    fph_rte_pool   *pools;
} fph_rte_state;

/* Weak: all files that include this have one. */
__attribute__((weak)) fph_rte_state fph_rte;

/* --- memory ---------------------------------------------------------------- */

static inline unsigned
fph_rte_owner(const void *object)
{
    uintptr_t      chunk = (uintptr_t)object >> FPHEAP_CHUNK_SHIFT;
    const uint8_t *leaf;

    if ((chunk >> FPH_RTE_LEAF_BITS) >= FPH_RTE_ROOTS)
        return 0;
    leaf = __atomic_load_n(&fph_rte.owner[chunk >> FPH_RTE_LEAF_BITS],
                           __ATOMIC_ACQUIRE);
    if (leaf == NULL)
        return 0;
    return __atomic_load_n(&leaf[chunk & ((1u << FPH_RTE_LEAF_BITS) - 1)],
                           __ATOMIC_RELAXED);
}

static inline uint8_t *
fph_rte_leaf(uintptr_t chunk)
{
    uint8_t **root = &fph_rte.owner[chunk >> FPH_RTE_LEAF_BITS];
    uint8_t  *leaf = __atomic_load_n(root, __ATOMIC_ACQUIRE);
    uint8_t  *mine;

    if (leaf != NULL)
        return leaf;
    mine = (uint8_t *)calloc(1u << FPH_RTE_LEAF_BITS, 1);
    /* Acquire and release would do, but gcc 12 for RISC-V drops a release. */
    if (mine != NULL
        && !__atomic_compare_exchange_n(root, &leaf, mine, 0, __ATOMIC_SEQ_CST,
                                        __ATOMIC_SEQ_CST))
        free(mine);              /* another thread was first */
    else
        leaf = mine;
    return leaf;
}

/* Of a zone, the heap has the whole chunks only: those at its ends may have
 * DPDK's own objects too. */
static inline void
fph_rte_trim(fpheap_region *region)
{
    uintptr_t base = RTE_ALIGN_CEIL((uintptr_t)region->base, FPHEAP_CHUNK);
    uintptr_t end  = RTE_ALIGN_FLOOR((uintptr_t)region->base + region->bytes,
                                     FPHEAP_CHUNK);

    region->base  = (void *)base;
    region->bytes = end > base ? end - base : 0;
}

/* Hand back the zone that a region was made of. */
static inline int
fph_rte_zone_put(fpheap_provider *memzones, const fpheap_region *region)
{
    const struct rte_memzone *zone = (const struct rte_memzone *)region->cookie;
    fpheap_region             all  = *region;

    all.base  = zone->addr;
    all.bytes = zone->len;
    return memzones->put(memzones->ctx, &all);
}

static inline int
fph_rte_own(const fpheap_region *region, unsigned owner)
{
    uintptr_t at  = (uintptr_t)region->base >> FPHEAP_CHUNK_SHIFT;
    uintptr_t end = at + (region->bytes >> FPHEAP_CHUNK_SHIFT);

    for (; at < end; at++) {
        uint8_t *leaf = fph_rte_leaf(at);

        if (leaf == NULL)
            return -ENOMEM;
        __atomic_store_n(&leaf[at & ((1u << FPH_RTE_LEAF_BITS) - 1)],
                         (uint8_t)owner, __ATOMIC_RELEASE);
    }
    return 0;
}

static inline int
fph_rte_get(void *ctx, size_t bytes, size_t align, int node,
            fpheap_region *region)
{
    unsigned         socket   = (unsigned)((fpheap_memzone *)ctx - fph_rte.zones);
    fpheap_provider *memzones = &fph_rte.memzones[socket];
    int              rc = memzones->get(memzones->ctx, bytes, align, node, region);

    if (rc != 0)
        return rc;
    fph_rte_trim(region);
    if (fph_rte_own(region, socket + 1) == 0)
        return 0;
    fph_rte_own(region, 0);
    fph_rte_zone_put(memzones, region);
    return -ENOMEM;
}

static inline int
fph_rte_put(void *ctx, const fpheap_region *region)
{
    unsigned         socket   = (unsigned)((fpheap_memzone *)ctx - fph_rte.zones);
    fpheap_provider *memzones = &fph_rte.memzones[socket];
    int              rc;

    /* First, as the next owner of the memory may be another thread's. */
    fph_rte_own(region, 0);
    rc = fph_rte_zone_put(memzones, region);
    if (rc != 0)
        fph_rte_own(region, socket + 1);
    return rc;
}

/* --- heaps ----------------------------------------------------------------- */

static inline int
fph_rte_is_socket(int socket)
{
    unsigned i = 0;

    while (i < rte_socket_count() && rte_socket_id_by_idx(i) != socket)
        i++;
    return i < rte_socket_count();
}

static inline fpheap *
fph_rte_make_heap(unsigned socket)
{
    fpheap_provider *memzones = &fph_rte.memzones[socket];
    fpheap_memzone  *zones    = &fph_rte.zones[socket];
    fpheap_provider  provider;
    fpheap_config    config   = { 0 };
    char             name[FPHEAP_NAME_BYTES];
    fpheap          *heap;

    rte_spinlock_lock(&fph_rte.lock);
    heap = fph_rte.heap[socket];
    if (heap == NULL) {
        snprintf(name, sizeof name, "socket%u", socket);
        fpheap_memzone_provider(memzones, zones, name, 1);
        if (rte_socket_count() > 1)
            zones->socket[0] = (int)socket;
        provider     = *memzones;
        provider.get = fph_rte_get;
        provider.put = fph_rte_put;
        config.provider = &provider;
        config.nodes    = 1;
        heap = fpheap_create(name, &config);
        __atomic_store_n(&fph_rte.heap[socket], heap, __ATOMIC_RELEASE);
        if (rte_socket_count() == 1)
            __atomic_store_n(&fph_rte.only, heap, __ATOMIC_RELEASE);
    }
    rte_spinlock_unlock(&fph_rte.lock);
    return heap;
}

/*
 * fpheap_rte_heap - the heap of a socket, for what has no name in DPDK:
 * fpheap_reserve, fpheap_trim, fpheap_dump ...
 *
 * socket  or SOCKET_ID_ANY: the calling thread's, or the first, which without
 *         hugepages is everybody's
 *
 * Returns  NULL if there is no such socket, or no memory.
 */
static inline fpheap *
fpheap_rte_heap(int socket)
{
    fpheap *heap;

    if (socket == SOCKET_ID_ANY) {
        socket = (int)rte_socket_id();
    }
    if (socket == SOCKET_ID_ANY || !rte_eal_has_hugepages())
        socket = rte_socket_id_by_idx(0);
    if (socket < 0 || socket >= RTE_MAX_NUMA_NODES || !fph_rte_is_socket(socket))
        return NULL;
    heap = __atomic_load_n(&fph_rte.heap[socket], __ATOMIC_ACQUIRE);
    return heap != NULL ? heap : fph_rte_make_heap((unsigned)socket);
}

/* --- rte_malloc ------------------------------------------------------------ */

/* Errors are rte_errno's. */
static inline void *
fph_rte_malloc_slow(const char *type, size_t size, unsigned align, int socket)
{
    fpheap *heap;
    void   *object;

    if (size == 0 || (align & (align - 1)) != 0) {
        rte_errno = EINVAL;
        return NULL;
    }
    heap = align <= FPHEAP_CHUNK ? fpheap_rte_heap(socket) : NULL;
    if (heap == NULL || size > SIZE_MAX / 2)
        return rte_malloc_socket(type, size, align, socket);
    object = fpheap_aligned_alloc(heap, RTE_MAX((size_t)align, FPH_RTE_ALIGN),
                                  RTE_ALIGN_CEIL(size, FPH_RTE_ALIGN));
    if (object == NULL)
        rte_errno = errno == ENOSPC ? ENOSPC : ENOMEM;
    return object;
}

FPH_INLINE void *
fph_rte_malloc(const char *type, size_t size, unsigned align)
{
    fpheap *heap = __atomic_load_n(&fph_rte.only, __ATOMIC_ACQUIRE);

    /* 0 wraps, as sizes that have no class. */
    if (FPH_LIKELY(heap != NULL && align <= FPH_RTE_ALIGN
                   && (align & (align - 1)) == 0
                   && size - 1 < FPH_CLASS_MAX)) {
        void *object = fpheap_alloc(heap, RTE_ALIGN_CEIL(size, FPH_RTE_ALIGN));

        if (FPH_LIKELY(object != NULL))
            return object;
    }
    return fph_rte_malloc_slow(type, size, align, SOCKET_ID_ANY);
}

static inline void *
fph_rte_malloc_socket(const char *type, size_t size, unsigned align, int socket)
{
    return socket == SOCKET_ID_ANY
           ? fph_rte_malloc(type, size, align)
           : fph_rte_malloc_slow(type, size, align, socket);
}

static inline void *
fph_rte_zmalloc_socket(const char *type, size_t size, unsigned align, int socket)
{
    void *object = fph_rte_malloc_socket(type, size, align, socket);

    return object != NULL ? memset(object, 0, size) : NULL;
}

static inline void *
fph_rte_zmalloc(const char *type, size_t size, unsigned align)
{
    return fph_rte_zmalloc_socket(type, size, align, SOCKET_ID_ANY);
}

static inline void *
fph_rte_calloc_socket(const char *type, size_t num, size_t size, unsigned align,
                      int socket)
{
    size_t bytes;

    if (__builtin_mul_overflow(num, size, &bytes)) {
        rte_errno = ENOMEM;
        return NULL;
    }
    return fph_rte_zmalloc_socket(type, bytes, align, socket);
}

static inline void *
fph_rte_calloc(const char *type, size_t num, size_t size, unsigned align)
{
    return fph_rte_calloc_socket(type, num, size, align, SOCKET_ID_ANY);
}

FPH_INLINE void
fph_rte_free(void *object)
{
    unsigned owner = fph_rte_owner(object);

    if (FPH_LIKELY(owner != 0))
        fpheap_free(__atomic_load_n(&fph_rte.heap[owner - 1],
                                    __ATOMIC_RELAXED), object);
    else
        rte_free(object);        /* DPDK's, or NULL */
}

static inline int
fph_rte_malloc_validate(const void *object, size_t *size)
{
    unsigned owner = fph_rte_owner(object);
    fpheap  *heap;

    if (owner == 0)
        return rte_malloc_validate(object, size);
    heap = fph_rte.heap[owner - 1];
    if (fpheap_base_of(heap, object) != object)
        return -1;
    if (size != NULL)
        *size = fpheap_usable_size(heap, object);
    return 0;
}

static inline void *
fph_rte_realloc_socket(void *object, size_t size, unsigned align, int socket)
{
    unsigned owner = fph_rte_owner(object);
    size_t   had   = 0;
    void    *moved;

    if (object != NULL && owner == 0)
        return rte_realloc_socket(object, size, align, socket);
    if (object == NULL)
        return fph_rte_malloc_socket(NULL, size, align, socket);
    if (size == 0) {
        fph_rte_free(object);
        return NULL;
    }
    had = fpheap_usable_size(fph_rte.heap[owner - 1], object);
    if (size <= had && ((uintptr_t)object & (align != 0 ? align - 1 : 0)) == 0
        && (align & (align - 1)) == 0 && size > had / 2
        && (socket == SOCKET_ID_ANY || (unsigned)socket + 1 == owner))
        return object;
    moved = fph_rte_malloc_socket(NULL, size, align, socket);
    if (moved == NULL)
        return NULL;
    memcpy(moved, object, RTE_MIN(had, size));
    fph_rte_free(object);
    return moved;
}

static inline void *
fph_rte_realloc(void *object, size_t size, unsigned align)
{
    return fph_rte_realloc_socket(object, size, align, SOCKET_ID_ANY);
}

/* Not fpheap_iova: where IOVAs are physical, a chunk of several pages has none,
 * but each page has its own. */
static inline rte_iova_t
fph_rte_malloc_virt2iova(const void *address)
{
    const struct rte_memseg *seg;

    if (fph_rte_owner(address) == 0)
        return rte_malloc_virt2iova(address);
    if (rte_eal_iova_mode() == RTE_IOVA_VA)
        return (uintptr_t)address;
    seg = rte_mem_virt2memseg(address, NULL);
    if (seg == NULL || seg->iova == RTE_BAD_IOVA)
        return RTE_BAD_IOVA;
    return seg->iova + RTE_PTR_DIFF(address, seg->addr);
}

/* --- rte_mempool ----------------------------------------------------------- */

/* The pool's record in DPDK's form, so that it has name, size, elt_size, flags
 * and private area where they are looked for.  Of the pool there is pool_data,
 * of us pool_config. */
FPH_INLINE fpheap_pool *
fph_rte_pool_of(const struct rte_mempool *mp)
{
    return (fpheap_pool *)mp->pool_data;
}

FPH_INLINE int
fph_rte_is_ours(const struct rte_mempool *mp)
{
    return FPH_LIKELY((mp->flags & FPH_RTE_OURS) != 0);
}

static inline int
fph_rte_construct(fpheap_pool *pool, void *arg, void *object, size_t nth)
{
    fph_rte_pool *p = (fph_rte_pool *)arg;

    (void)pool;
    if (p->init != NULL)
        p->init(p->mp, p->init_arg, object, (unsigned)nth);
    return 0;
}

static inline struct rte_mempool *
fph_rte_mempool_lookup(const char *name)
{
    fph_rte_pool *p;

    rte_spinlock_lock(&fph_rte.lock);
    for (p = fph_rte.pools; p != NULL; p = p->next)
        if (strcmp(p->mp->name, name) == 0)
            break;
    rte_spinlock_unlock(&fph_rte.lock);
    return p != NULL ? p->mp : rte_mempool_lookup(name);
}

/* Type-stable, as a mempool's memory is: an object is initialised once.  A
 * cache_size of 0 means that nothing shall be parked; two is the least. */
static inline fpheap_pool *
fph_rte_pool_make(fpheap *heap, fph_rte_pool *p)
{
    struct rte_mempool *mp   = p->mp;
    fpheap_pool_desc    desc = { 0 };
    int spread = (mp->flags & RTE_MEMPOOL_F_NO_SPREAD) == 0;

    desc.name      = mp->name;
    desc.size      = mp->elt_size;
    desc.align     = mp->flags & RTE_MEMPOOL_F_NO_CACHE_ALIGN ? 0 : FPH_RTE_ALIGN;
    desc.construct_nth = fph_rte_construct;
    desc.arg       = p;
    desc.max       = mp->size;
    desc.min       = FPHEAP_RTE_AHEAD ? mp->size : 0;
    desc.magazine  = RTE_MIN(RTE_MAX(p->cache_size, 2u),
                             (unsigned)FPHEAP_MAGAZINE);
    desc.channels  = spread ? rte_memory_get_nchannel() : 0;
    desc.ranks     = spread ? rte_memory_get_nrank() : 0;
    desc.flags     = FPHEAP_TYPE_STABLE;
    return fpheap_pool_create(heap, &desc);
}

static inline struct rte_mempool *
fph_rte_mempool_make(fpheap *heap, const char *name, unsigned n,
                     unsigned elt_size, unsigned cache_size,
                     unsigned private_size, rte_mempool_ctor_t *mp_init,
                     void *mp_init_arg, rte_mempool_obj_cb_t *init,
                     void *init_arg, int socket_id, unsigned flags)
{
    size_t at = RTE_ALIGN_CEIL(sizeof(struct rte_mempool) + (size_t)private_size,
                               FPH_RTE_ALIGN);
    struct rte_mempool *mp = (struct rte_mempool *)
        fpheap_aligned_alloc(heap, FPH_RTE_ALIGN, at + sizeof(fph_rte_pool));
    fph_rte_pool *p = (fph_rte_pool *)(void *)((char *)mp + at);

    if (mp == NULL)
        return NULL;
    memset(mp, 0, at + sizeof *p);
    snprintf(mp->name, sizeof mp->name, "%s", name);
    mp->pool_config       = p;
    mp->flags             = flags | FPH_RTE_OURS;
    mp->socket_id         = socket_id;
    mp->size              = n;
    mp->populated_size    = n;
    mp->elt_size          = elt_size;
    mp->private_data_size = private_size;
    mp->ops_index         = RTE_MEMPOOL_MAX_OPS_IDX; /* DPDK has none for it */
    p->mp       = mp;
    p->init     = init;
    p->init_arg = init_arg;
    p->cache_size = cache_size;
    if (mp_init != NULL)
        mp_init(mp, mp_init_arg);
    p->pool = fph_rte_pool_make(heap, p);
    mp->pool_data = p->pool;
    if (p->pool == NULL) {
        fpheap_free(heap, mp);
        return NULL;
    }
    rte_spinlock_lock(&fph_rte.lock);
    p->next = fph_rte.pools;
    fph_rte.pools = p;
    rte_spinlock_unlock(&fph_rte.lock);
    return mp;
}

static inline struct rte_mempool *
fph_rte_mempool_create(const char *name, unsigned n, unsigned elt_size,
                       unsigned cache_size, unsigned private_size,
                       rte_mempool_ctor_t *mp_init, void *mp_init_arg,
                       rte_mempool_obj_cb_t *init, void *init_arg,
                       int socket_id, unsigned flags)
{
    struct rte_mempool *mp   = NULL;
    fpheap             *heap = NULL;

    if (strlen(name) < RTE_MEMPOOL_NAMESIZE
        && fph_rte_mempool_lookup(name) != NULL) {
        rte_errno = EEXIST;
        return NULL;
    }
    if (mp_init != rte_pktmbuf_pool_init && init != rte_pktmbuf_init && n > 0
        && cache_size <= RTE_MEMPOOL_CACHE_MAX_SIZE
        && strlen(name) < RTE_MEMPOOL_NAMESIZE)
        heap = fpheap_rte_heap(socket_id);
    if (heap != NULL)
        mp = fph_rte_mempool_make(heap, name, n, elt_size, cache_size,
                                  private_size, mp_init, mp_init_arg, init,
                                  init_arg, socket_id, flags);
    if (mp == NULL)              /* mbufs, wrong arguments, or a pool too many */
        mp = rte_mempool_create(name, n, elt_size, cache_size, private_size,
                                mp_init, mp_init_arg, init, init_arg, socket_id,
                                flags);
    return mp;
}

static inline void
fph_rte_mempool_free(struct rte_mempool *mp)
{
    fph_rte_pool **link = &fph_rte.pools;
    fpheap        *heap;
    size_t         live = 0;
    int            rc;

    if (mp == NULL || !fph_rte_is_ours(mp)) {
        rte_mempool_free(mp);
        return;
    }
    heap = fph_rte_pool_of(mp)->heap;
    rte_spinlock_lock(&fph_rte.lock);
    rc = fpheap_pool_destroy(fph_rte_pool_of(mp), &live);
    while (rc == 0 && *link != mp->pool_config)
        link = &(*link)->next;
    if (rc == 0)
        *link = (*link)->next;
    rte_spinlock_unlock(&fph_rte.lock);
    if (rc == 0)
        fpheap_free(heap, mp);
    else
        RTE_LOG(ERR, MEMPOOL, "%s is kept: %zu objects are in use\n", mp->name,
                live);
}

FPH_INLINE int
fph_rte_mempool_get_bulk(struct rte_mempool *mp, void **objects, unsigned n)
{
    if (!fph_rte_is_ours(mp))
        return rte_mempool_get_bulk(mp, objects, n);
    return FPH_LIKELY(fpheap_pool_get_bulk(fph_rte_pool_of(mp), objects, n) == 0)
           ? 0 : -ENOENT;
}

FPH_INLINE void
fph_rte_mempool_put_bulk(struct rte_mempool *mp, void *const *objects, unsigned n)
{
    if (!fph_rte_is_ours(mp))
        rte_mempool_put_bulk(mp, objects, n);
    else
        fpheap_pool_put_bulk(fph_rte_pool_of(mp), objects, n);
}

FPH_INLINE int
fph_rte_mempool_get(struct rte_mempool *mp, void **object)
{
    if (!fph_rte_is_ours(mp))
        return rte_mempool_get(mp, object);
    *object = fpheap_pool_get(fph_rte_pool_of(mp));
    return FPH_LIKELY(*object != NULL) ? 0 : -ENOENT;
}

FPH_INLINE void
fph_rte_mempool_put(struct rte_mempool *mp, void *object)
{
    if (!fph_rte_is_ours(mp))
        rte_mempool_put(mp, object);
    else
        fpheap_pool_put(fph_rte_pool_of(mp), object);
}

/* A cache of the caller's is left as it is: ours has one. */
FPH_INLINE int
fph_rte_mempool_generic_get(struct rte_mempool *mp, void **objects, unsigned n,
                            struct rte_mempool_cache *cache)
{
    return fph_rte_is_ours(mp) ? fph_rte_mempool_get_bulk(mp, objects, n)
                               : rte_mempool_generic_get(mp, objects, n, cache);
}

FPH_INLINE void
fph_rte_mempool_generic_put(struct rte_mempool *mp, void *const *objects,
                            unsigned n, struct rte_mempool_cache *cache)
{
    if (fph_rte_is_ours(mp))
        fph_rte_mempool_put_bulk(mp, objects, n);
    else
        rte_mempool_generic_put(mp, objects, n, cache);
}

static inline unsigned
fph_rte_mempool_in_use_count(const struct rte_mempool *mp)
{
    fpheap_pool_stats stats;

    if (!fph_rte_is_ours(mp))
        return rte_mempool_in_use_count(mp);
    fpheap_pool_stats_get(fph_rte_pool_of(mp), &stats);
    return (unsigned)stats.live_objects;
}

/* What is not there yet counts as available: it comes when it is asked for. */
static inline unsigned
fph_rte_mempool_avail_count(const struct rte_mempool *mp)
{
    return fph_rte_is_ours(mp) ? mp->size - fph_rte_mempool_in_use_count(mp)
                               : rte_mempool_avail_count(mp);
}

static inline int
fph_rte_mempool_full(const struct rte_mempool *mp)
{
    return fph_rte_mempool_avail_count(mp) == mp->size;
}

static inline int
fph_rte_mempool_empty(const struct rte_mempool *mp)
{
    return fph_rte_mempool_avail_count(mp) == 0;
}

typedef struct fph_rte_round {
    struct rte_mempool   *mp;
    rte_mempool_obj_cb_t *visit;
    void                 *arg;
    uint32_t              n;
} fph_rte_round;

static inline int
fph_rte_show(void *arg, void *object)
{
    fph_rte_round *round = (fph_rte_round *)arg;

    round->visit(round->mp, round->arg, object, round->n++);
    return 0;
}

/* Objects that exist: without FPHEAP_RTE_AHEAD they may be few, or, as slabs
 * are whole, more than n.  No other call on the heap may run. */
static inline uint32_t
fph_rte_mempool_obj_iter(struct rte_mempool *mp, rte_mempool_obj_cb_t *visit,
                         void *arg)
{
    fph_rte_round round = { mp, visit, arg, 0 };

    if (!fph_rte_is_ours(mp))
        return rte_mempool_obj_iter(mp, visit, arg);
    fpheap_pool_for_each(fph_rte_pool_of(mp), FPHEAP_ALL, fph_rte_show, &round);
    return round.n;
}

static inline rte_iova_t
fph_rte_mempool_virt2iova(const void *object)
{
    return fph_rte_owner(object) != 0 ? fph_rte_malloc_virt2iova(object)
                                      : rte_mempool_virt2iova(object);
}

/* --- the names ------------------------------------------------------------- */

#define rte_malloc               fph_rte_malloc
#define rte_malloc_socket        fph_rte_malloc_socket
#define rte_zmalloc              fph_rte_zmalloc
#define rte_zmalloc_socket       fph_rte_zmalloc_socket
#define rte_calloc               fph_rte_calloc
#define rte_calloc_socket        fph_rte_calloc_socket
#define rte_realloc              fph_rte_realloc
#define rte_realloc_socket       fph_rte_realloc_socket
#define rte_free                 fph_rte_free
#define rte_malloc_validate      fph_rte_malloc_validate
#define rte_malloc_virt2iova     fph_rte_malloc_virt2iova
#define rte_mempool_create       fph_rte_mempool_create
#define rte_mempool_free         fph_rte_mempool_free
#define rte_mempool_lookup       fph_rte_mempool_lookup
#define rte_mempool_obj_iter     fph_rte_mempool_obj_iter
#define rte_mempool_virt2iova    fph_rte_mempool_virt2iova
#define rte_mempool_get          fph_rte_mempool_get
#define rte_mempool_put          fph_rte_mempool_put
#define rte_mempool_get_bulk     fph_rte_mempool_get_bulk
#define rte_mempool_put_bulk     fph_rte_mempool_put_bulk
#define rte_mempool_generic_get  fph_rte_mempool_generic_get
#define rte_mempool_generic_put  fph_rte_mempool_generic_put
#define rte_mempool_in_use_count fph_rte_mempool_in_use_count
#define rte_mempool_avail_count  fph_rte_mempool_avail_count
#define rte_mempool_full         fph_rte_mempool_full
#define rte_mempool_empty        fph_rte_mempool_empty

#endif /* FPHEAP_RTE_MALLOC */
#endif /* FPHEAP_RTE_MALLOC_H */
