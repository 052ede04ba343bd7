/* mempool_fpheap.c - a mempool driver whose pools share a heap and grow
 * SPDX-License-Identifier: MIT OR Unlicense
 *
 *     cc -O3 -fPIC -shared $(pkg-config --cflags libdpdk) -I. \
 *         examples/dpdk/mempool_fpheap.c -o librte_mempool_fpheap.so
 *     app -d DIR/librte_mempool_fpheap.so --mbuf-pool-ops-name=fpheap ...
 *
 * The application stays as it is.  A pool of packet buffers begins with one
 * slice of its socket's heap, takes another whenever a get finds nothing, and
 * gives all of them back when it is freed.  (The EAL loads nothing from a
 * directory that everyone may write to.)
 *
 * Full pools.  These are populated at once, from mempool's own memory, as with
 * any driver: pools of anything but plain packet buffers, since nobody tells a
 * driver how to initialize their objects; objects above a quarter of a slice;
 * memory without long runs of IOVAs, or brought along by the application; DPDK
 * other than 22.11, which the trick below is made for, or built with
 * RTE_LIBRTE_MEMPOOL_DEBUG, whose audit wants to see all objects.  And all
 * pools when the environment has FPHEAP_MEMPOOL_FULL=1: for an application
 * that initializes packet buffers in a way of its own, or that must see them
 * all in rte_mempool_obj_iter(), which shows what there is so far.
 *
 * Growing ahead.  A get that finds nothing waits for a slice: some 20 us, or
 * milliseconds if the heap has to grow too.  With FPHEAP_MEMPOOL_AHEAD=N in
 * the environment a control thread looks every millisecond and adds slices to
 * pools that are in use and have fewer than N objects free.  It ends with the
 * last pool: free them all before rte_eal_cleanup().
 *
 * How a pool grows with public functions only.  calc_mem_size asks for a cache
 * line instead of the pool's memory; the populate that brings it adds a slice
 * by rte_mempool_populate_iova() but claims that all objects are there, which
 * ends mempool's loop.  So mempool itself makes each object's header, cookies
 * and list entry, and each slice is one of its memory chunks.
 *
 * Where free objects are.  Not in an fpheap_pool: what its threads park is out
 * of reach of others, so a get could fail while avail_count says otherwise,
 * or n objects had to become more than n; and its constructor is not told what
 * chunk an object is in.  Here each lcore has a shelf with a lock of its own,
 * which nobody else takes but in need, and all share a stack behind:
 *
 *   S1  An object that is not handed out is on one shelf or on the stack, or
 *       moves between them under the stack's lock.
 *   S2  Who fails has looked everywhere under the stack's lock: then fewer than
 *       n were free.
 *   S3  Locks are taken in this order: growing, stack, shelf.
 *   S4  The stack has room for all objects, so a put never fails.
 *   S5  All of this is in memory that processes share.  Only the primary grows,
 *       as the heap is its own; secondaries get what there is.
 */
#define FPHEAP_STATIC
#define FPHEAP_MAX_NODES 1
#define FPHEAP_MAX_POOLS 1
#define FPHEAP_IMPLEMENTATION
#include "fpheap.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_eal_memconfig.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_log.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>
#include <rte_memcpy.h>
#include <rte_mempool.h>
#include <rte_spinlock.h>
#include <rte_tailq.h>
#include <rte_version.h>

#include "fpheap_memzone.h"

/* With a page less than half a chunk two slices fit beside a chunk's header. */
#define SLICE    (FPHEAP_CHUNK / 2 - FPHEAP_PAGE)
#define SHELF    512u          /* objects; a cache of 256 flushes 384 at once */
#define RETRY_MS 10            /* after a failure, before asking again */
#define AHEAD_US 1000
#define TOKEN    RTE_CACHE_LINE_SIZE /* less than an object with its header */
#define HEAPS    (RTE_MAX_NUMA_NODES + 1) /* the last: SOCKET_ID_ANY */

#define COMPLAIN(...) RTE_LOG(ERR, MEMPOOL, "fpheap: " __VA_ARGS__)

typedef struct shelf {
    rte_spinlock_t lock;
    unsigned       count;
    void          *objects[SHELF];
} __rte_cache_aligned shelf;

typedef struct pool {
    fpheap        *heap;       /* the primary's; NULL: a full pool */
    bool           open;       /* it may grow */
    bool           adopt;      /* new objects are initialized here, and not by
                                  the application */
    bool           failed;     /* the last time that it should grow */
    bool           shelfless;  /* there was no memory for a shelf */
    uint32_t       made;       /* objects that there are */
    uint32_t       size;       /* objects that there may be */
    uint64_t       retry;      /* TSC before which growing is not tried again */
    rte_spinlock_t growing;
    shelf         *shelves[RTE_MAX_LCORE]; /* made when first used */
    rte_spinlock_t lock __rte_cache_aligned;
    unsigned       count;
    void          *stack[];
} __rte_cache_aligned pool;

static struct {
    fpheap        *heap;
    fpheap_memzone zones;
    unsigned       users;
} heaps[HEAPS];                /* under heaps_lock, as are the next two */
static pthread_mutex_t heaps_lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned        users;  /* of all heaps */
static pthread_t       ahead_thread;
static unsigned        ahead;  /* atomic; 0: there is no thread */

static int ops_populate(struct rte_mempool *mp, unsigned max, void *at,
                        rte_iova_t iova, size_t bytes,
                        rte_mempool_populate_obj_cb_t *add, void *arg);

/* --- free objects --------------------------------------------------------- */

/* rte_spinlock_unlock() on x86 is an exchange, as dear as the lock. */
static inline void
unlock(rte_spinlock_t *lock)
{
    __atomic_store_n(&lock->locked, 0, __ATOMIC_RELEASE);
}

/* Counts are read without the lock, too. */
static inline void
set(unsigned *count, unsigned n)
{
    __atomic_store_n(count, n, __ATOMIC_RELAXED);
}

/* Put and got one by one without a cache of mempool's, objects come as one. */
static inline void
move(void **to, void *const *from, unsigned n)
{
    if (n == 1)
        *to = *from;
    else
        rte_memcpy(to, from, n * sizeof *to);
}

/* The same variable, which a shared object would ask a function for. */
extern __thread unsigned per_lcore__lcore_id
    __attribute__((tls_model("initial-exec")));

static inline shelf *
my_shelf(const pool *p)
{
    unsigned lcore = rte_lcore_id();

    return likely(lcore < RTE_MAX_LCORE)
         ? __atomic_load_n(&p->shelves[lcore], __ATOMIC_ACQUIRE) : NULL;
}

/* The caller has the stack's lock.  Without memory there is just no shelf, and
 * nobody asks again. */
static shelf *
make_shelf(pool *p)
{
    unsigned lcore = rte_lcore_id();
    shelf   *s     = my_shelf(p);

    if (s != NULL || lcore >= RTE_MAX_LCORE || p->shelfless)
        return s;
    s = rte_zmalloc_socket("fpheap_shelf", sizeof *s, RTE_CACHE_LINE_SIZE,
                           (int)rte_socket_id());
    p->shelfless = s == NULL;
    __atomic_store_n(&p->shelves[lcore], s, __ATOMIC_RELEASE);
    return s;
}

/* n objects from wherever they are, or none, S2.  The caller has the lock. */
static bool
collect(pool *p, void **objects, unsigned n)
{
    unsigned got = RTE_MIN(n, p->count), i;

    set(&p->count, p->count - got);
    move(objects, p->stack + p->count, got);
    for (i = 0; i < RTE_MAX_LCORE && got < n; i++) {
        shelf   *s = p->shelves[i];
        unsigned take;

        if (s == NULL)
            continue;
        rte_spinlock_lock(&s->lock);
        take = RTE_MIN(n - got, s->count);
        set(&s->count, s->count - take);
        move(objects + got, s->objects + s->count, take);
        unlock(&s->lock);
        got += take;
    }
    if (got == n)
        return true;
    move(p->stack + p->count, objects, got);
    set(&p->count, p->count + got);
    return false;
}

/* Half a shelf for the gets to come.  The caller has the stack's lock. */
static void
refill(pool *p, shelf *s)
{
    unsigned n;

    if (s == NULL || p->count == 0)
        return;
    rte_spinlock_lock(&s->lock);
    n = s->count < SHELF / 2 ? RTE_MIN(p->count, SHELF / 2 - s->count) : 0;
    set(&p->count, p->count - n);
    move(s->objects + s->count, p->stack + p->count, n);
    set(&s->count, s->count + n);
    unlock(&s->lock);
}

/* The lower half of a shelf, which was put first, and then objects: to the
 * stack; the objects to the shelf if they fit. */
static __rte_noinline int
put_slow(pool *p, void *const *objects, unsigned n)
{
    shelf   *s;
    unsigned half, kept;

    rte_spinlock_lock(&p->lock);
    s = make_shelf(p);
    if (s != NULL) {
        rte_spinlock_lock(&s->lock);
        half = RTE_MIN(s->count, SHELF / 2);
        if (half + n <= p->size - p->count) {
            move(p->stack + p->count, s->objects, half);
            set(&p->count, p->count + half);
            set(&s->count, s->count - half);
            memmove(s->objects, s->objects + half,
                    s->count * sizeof *s->objects);
        }
        kept = n <= SHELF - s->count ? n : 0;
        move(s->objects + s->count, objects, kept);
        set(&s->count, s->count + kept);
        n -= kept;
        unlock(&s->lock);
    }
    if (unlikely(n > p->size - p->count)) {     /* S4: some were put twice */
        unlock(&p->lock);
        return -ENOBUFS;
    }
    move(p->stack + p->count, objects, n);
    set(&p->count, p->count + n);
    unlock(&p->lock);
    return 0;
}

static int
ops_put(struct rte_mempool *mp, void *const *objects, unsigned n)
{
    pool  *p = mp->pool_data;
    shelf *s = my_shelf(p);

    if (likely(s != NULL)) {
        rte_spinlock_lock(&s->lock);
        if (likely(n <= SHELF - s->count)) {
            move(s->objects + s->count, objects, n);
            set(&s->count, s->count + n);
            unlock(&s->lock);
            return 0;
        }
        unlock(&s->lock);
    }
    return put_slow(p, objects, n);
}

/* --- growing -------------------------------------------------------------- */

static void
free_slice(struct rte_mempool_memhdr *chunk, void *slice)
{
    const pool *p = chunk->mp->pool_data;

    if (rte_eal_process_type() == RTE_PROC_PRIMARY)
        fpheap_free(p->heap, slice);
}

/* One more slice.  Returns 0, or a negative errno; the caller has growing. */
static int
add_slice(struct rte_mempool *mp, pool *p)
{
    size_t     page, least, align;
    ssize_t    bytes;
    rte_iova_t iova;
    void      *slice;
    int        rc = rte_mempool_get_page_size(mp, &page);

    if (rc != 0)
        return rc;
    bytes = rte_mempool_op_calc_mem_size_default(
        mp, p->size - mp->populated_size, page != 0 ? rte_bsf32(page) : 0,
        &least, &align);
    if (bytes < 0)
        return (int)bytes;
    bytes = RTE_MIN(bytes, (ssize_t)SLICE);
    slice = fpheap_aligned_alloc(p->heap, align, (size_t)bytes);
    rc = slice != NULL ? 0 : -errno;
    if (rc == 0) {
        iova = fpheap_iova(p->heap, slice);
        rc = iova == RTE_BAD_IOVA ? -EFAULT
           : rte_mempool_populate_iova(mp, slice, iova, (size_t)bytes,
                                       free_slice, slice);
        if (rc <= 0) {
            fpheap_free(p->heap, slice);
            rc = rc == 0 ? -ENOBUFS : rc;
        }
    }
    fpheap_thread_leave(p->heap);       /* a cache is no use for slices */
    __atomic_store_n(&p->made, mp->populated_size, __ATOMIC_RELEASE);
    return rc < 0 ? rc : 0;
}

/* Whether there may be more now than when `made` were there.  While mempool
 * frees the pool, which counts populated_size down, it must not grow. */
static bool
grow(struct rte_mempool *mp, pool *p, uint32_t made)
{
    bool more;
    int  rc;

    if (!p->open || rte_eal_process_type() != RTE_PROC_PRIMARY)
        return false;
    rte_spinlock_lock(&p->growing);
    more = p->made != made;
    if (!more && p->made < p->size && mp->populated_size == p->made
        && rte_rdtsc() >= p->retry) {
        rc = add_slice(mp, p);
        more = rc == 0;
        if (!more) {
            p->retry = rte_rdtsc() + rte_get_tsc_hz() / 1000 * RETRY_MS;
            if (!p->failed)
                COMPLAIN("pool %s cannot grow beyond %u of %u objects: %s\n",
                         mp->name, p->made, p->size, rte_strerror(-rc));
        }
        p->failed = !more;
    }
    unlock(&p->growing);
    return more;
}

static __rte_noinline int
get_slow(struct rte_mempool *mp, pool *p, void **objects, unsigned n)
{
    uint32_t made;
    bool     got;

    if (n > p->size)
        return -ENOBUFS;
    do {
        made = __atomic_load_n(&p->made, __ATOMIC_ACQUIRE);
        rte_spinlock_lock(&p->lock);
        got = collect(p, objects, n);
        if (got)
            refill(p, make_shelf(p));
        unlock(&p->lock);
    } while (!got && grow(mp, p, made));
    return got ? 0 : -ENOBUFS;
}

static int
ops_get(struct rte_mempool *mp, void **objects, unsigned n)
{
    pool  *p = mp->pool_data;
    shelf *s = my_shelf(p);

    if (likely(s != NULL)) {
        rte_spinlock_lock(&s->lock);
        if (likely(n <= s->count)) {
            set(&s->count, s->count - n);
            move(objects, s->objects + s->count, n);
            unlock(&s->lock);
            return 0;
        }
        unlock(&s->lock);
    }
    return get_slow(mp, p, objects, n);
}

static unsigned
count_free(const pool *p)
{
    unsigned n = __atomic_load_n(&p->count, __ATOMIC_RELAXED), i;

    for (i = 0; i < RTE_MAX_LCORE; i++) {
        shelf *s = __atomic_load_n(&p->shelves[i], __ATOMIC_ACQUIRE);

        if (s != NULL)
            n += __atomic_load_n(&s->count, __ATOMIC_RELAXED);
    }
    return n;
}

/* What is not made yet is as good as free. */
static unsigned
ops_count(const struct rte_mempool *mp)
{
    const pool *p     = mp->pool_data;
    uint32_t    there = __atomic_load_n(&mp->populated_size, __ATOMIC_RELAXED);
    unsigned    n     = count_free(p);

    if (p->open && there < p->size)
        n += p->size - there;
    return RTE_MIN(n, p->size);
}

/* --- growing ahead -------------------------------------------------------- */

/* The EAL's lock on lists keeps a pool from being freed: that begins with
 * taking it off its list.  A pool that nobody has taken from yet is left alone,
 * as the application may be just about to initialize what it has. */
static void *
grow_ahead(void *unused)
{
    struct rte_tailq_entry_head *list =
        RTE_TAILQ_LOOKUP("RTE_MEMPOOL", rte_tailq_entry_head);
    struct rte_tailq_entry *entry;
    unsigned want;

    while ((want = __atomic_load_n(&ahead, __ATOMIC_ACQUIRE)) != 0) {
        rte_mcfg_tailq_read_lock();
        TAILQ_FOREACH(entry, list, next) {
            struct rte_mempool *mp = entry->data;
            pool *p = __atomic_load_n(&mp->pool_data, __ATOMIC_ACQUIRE);
            uint32_t            made;
            unsigned            n;

            if (p == NULL
                || rte_mempool_get_ops(mp->ops_index)->populate != ops_populate
                || !__atomic_load_n(&p->adopt, __ATOMIC_ACQUIRE))
                continue;
            made = __atomic_load_n(&p->made, __ATOMIC_ACQUIRE);
            n = count_free(p);
            if (n < want && n < made)
                grow(mp, p, made);
        }
        rte_mcfg_tailq_read_unlock();
        usleep(AHEAD_US);
    }
    return unused;
}

/* --- heaps ---------------------------------------------------------------- */

/* The caller has heaps_lock, as for put_heap. */
static void
start_ahead(void)
{
    const char *text = getenv("FPHEAP_MEMPOOL_AHEAD");
    long        n    = text != NULL ? strtol(text, NULL, 10) : 0;
    int         rc;

    if (n <= 0)
        return;
    __atomic_store_n(&ahead, (unsigned)RTE_MIN(n, (long)INT32_MAX),
                     __ATOMIC_RELEASE);
    rc = rte_ctrl_thread_create(&ahead_thread, "fpheap-ahead", NULL, grow_ahead,
                                NULL);
    if (rc != 0) {
        __atomic_store_n(&ahead, 0, __ATOMIC_RELAXED);
        COMPLAIN("no thread to grow ahead: %s\n", rte_strerror(-rc));
    }
}

static unsigned
heap_index(const struct rte_mempool *mp)
{
    return mp->socket_id >= 0 && mp->socket_id < RTE_MAX_NUMA_NODES
         ? (unsigned)mp->socket_id : RTE_MAX_NUMA_NODES;
}

/* The heap of the pool's socket; the first pool makes it.  NULL: errno. */
static fpheap *
get_heap(const struct rte_mempool *mp)
{
    unsigned        i = heap_index(mp);
    fpheap_provider provider;
    fpheap_config   config = { .provider = &provider, .nodes = 1 };
    char            name[sizeof heaps[i].zones.prefix];

    pthread_mutex_lock(&heaps_lock);
    if (heaps[i].heap == NULL) {
        snprintf(name, sizeof name, "mempool_%d", mp->socket_id);
        fpheap_memzone_provider(&provider, &heaps[i].zones, name, 1);
        heaps[i].zones.socket[0] = mp->socket_id;
        heaps[i].heap = fpheap_create(name, &config);
    }
    if (heaps[i].heap != NULL) {
        heaps[i].users++;
        if (users++ == 0)
            start_ahead();
    }
    pthread_mutex_unlock(&heaps_lock);
    return heaps[i].heap;
}

/* The last pool ends the heap, another gives its regions back. */
static void
put_heap(const struct rte_mempool *mp)
{
    unsigned i = heap_index(mp);
    int      rc;

    pthread_mutex_lock(&heaps_lock);
    if (--users == 0 && ahead != 0) {
        __atomic_store_n(&ahead, 0, __ATOMIC_RELEASE);
        pthread_join(ahead_thread, NULL);
    }
    if (--heaps[i].users != 0) {
        fpheap_trim(heaps[i].heap);
        fpheap_thread_leave(heaps[i].heap);
    } else if ((rc = fpheap_destroy(heaps[i].heap)) == 0) {
        heaps[i].heap = NULL;
    } else {
        COMPLAIN("heap of socket %d stays: %s\n", mp->socket_id,
                 rte_strerror(-rc));
    }
    pthread_mutex_unlock(&heaps_lock);
}

/* --- the driver ----------------------------------------------------------- */

/* Whether rte_pktmbuf_init() is how objects are made.  A pool of packet buffers
 * has its private data written before it is populated. */
static bool
is_plain_pktmbuf(struct rte_mempool *mp)
{
    const struct rte_pktmbuf_pool_private *mbp = rte_mempool_get_priv(mp);

    return mp->private_data_size >= sizeof *mbp
        && mp->private_data_size < sizeof *mbp + RTE_MEMPOOL_ALIGN
        && mbp->mbuf_data_room_size != 0 && mbp->flags == 0
        && mp->elt_size == RTE_ALIGN_CEIL(sizeof(struct rte_mbuf)
                                          + mbp->mbuf_priv_size
                                          + mbp->mbuf_data_room_size,
                                          sizeof(uint64_t));
}

static bool
can_grow(struct rte_mempool *mp)
{
#if RTE_VERSION >> 16 != (22 << 8 | 11) || defined(RTE_LIBRTE_MEMPOOL_DEBUG)
    (void)is_plain_pktmbuf;
    return mp == NULL;
#else
    const char *full = getenv("FPHEAP_MEMPOOL_FULL");
    size_t      page;

    /* The DPDK that runs need not be the one that it was compiled for. */
    return strncmp(rte_version(), "DPDK 22.11", 10) == 0
        && (full == NULL || strcmp(full, "1") != 0)
        && rte_eal_process_type() == RTE_PROC_PRIMARY
        && is_plain_pktmbuf(mp)
        && mp->header_size + mp->elt_size + mp->trailer_size <= SLICE / 4
        && rte_malloc_heap_socket_is_external(mp->socket_id) == 0
        && rte_mempool_get_page_size(mp, &page) == 0
        && (page == 0 || page >= FPHEAP_CHUNK
            || rte_eal_iova_mode() == RTE_IOVA_VA);
#endif
}

static int
ops_alloc(struct rte_mempool *mp)
{
    pool *p = rte_zmalloc_socket("fpheap_pool",
                                 sizeof *p + mp->size * sizeof *p->stack,
                                 RTE_CACHE_LINE_SIZE, mp->socket_id);

    if (p == NULL)
        return -ENOMEM;
    p->size = mp->size;
    if (can_grow(mp)) {
        p->heap = get_heap(mp);
        if (p->heap == NULL) {
            int rc = -errno;

            COMPLAIN("no heap for pool %s: %s\n", mp->name, rte_strerror(-rc));
            rte_free(p);
            return rc;
        }
    }
    __atomic_store_n(&mp->pool_data, p, __ATOMIC_RELEASE);  /* grow_ahead */
    return 0;
}

/* Mempool calls it for a pool that was never populated, too. */
static void
ops_free(struct rte_mempool *mp)
{
    pool    *p = mp->pool_data;
    unsigned i;

    if (p == NULL)
        return;
    if (p->heap != NULL && rte_eal_process_type() == RTE_PROC_PRIMARY)
        put_heap(mp);
    for (i = 0; i < RTE_MAX_LCORE; i++)
        rte_free(p->shelves[i]);
    rte_free(p);
    mp->pool_data = NULL;
}

static ssize_t
ops_size(const struct rte_mempool *mp, uint32_t n, uint32_t page_shift,
         size_t *least, size_t *align)
{
    const pool *p = mp->pool_data;

    if (p->heap == NULL)
        return rte_mempool_op_calc_mem_size_default(mp, n, page_shift, least,
                                                    align);
    *least = TOKEN;
    *align = TOKEN;
    return TOKEN;
}

/* What mempool adds objects with, and its argument. */
typedef struct adder {
    rte_mempool_populate_obj_cb_t *add;
    void                          *arg;
} adder;

/* Before the object can be got: the helper puts it into the pool after this. */
static void
add_and_init(struct rte_mempool *mp, void *arg, void *object, rte_iova_t iova)
{
    const adder *a = arg;

    a->add(mp, a->arg, object, iova);
    rte_pktmbuf_init(mp, NULL, object, 0);
}

/* The first slice is for the application to initialize, which it does when its
 * rte_mempool_populate_default() returns; so each object is made once.  An
 * error is 0 here: mempool takes negative numbers for objects. */
static int
ops_populate(struct rte_mempool *mp, unsigned max, void *at, rte_iova_t iova,
             size_t bytes, rte_mempool_populate_obj_cb_t *add, void *arg)
{
    pool *p = mp->pool_data;
    adder a = { add, arg };
    int   rc;

    if (p->heap != NULL && !p->open && bytes <= TOKEN) {
        rc = add_slice(mp, p);
        if (rc != 0) {
            COMPLAIN("no memory for pool %s: %s\n", mp->name,
                     rte_strerror(-rc));
            return 0;
        }
        p->open = true;
        __atomic_store_n(&p->adopt, true, __ATOMIC_RELEASE);
        return (int)max;
    }
    if (p->adopt)
        return rte_mempool_op_populate_default(mp, max, at, iova, bytes,
                                               add_and_init, &a);
    return rte_mempool_op_populate_default(mp, max, at, iova, bytes, add, arg);
}

static const struct rte_mempool_ops ops = {
    .name          = "fpheap",
    .alloc         = ops_alloc,
    .free          = ops_free,
    .enqueue       = ops_put,
    .dequeue       = ops_get,
    .get_count     = ops_count,
    .calc_mem_size = ops_size,
    .populate      = ops_populate,
};

RTE_MEMPOOL_REGISTER_OPS(ops)
