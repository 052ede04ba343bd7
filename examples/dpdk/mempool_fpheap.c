/* mempool_fpheap.c - two mempool drivers: one is fast, one grows as well
 * SPDX-License-Identifier: MIT OR Unlicense OR BSD-3-Clause
 *
 *     cc -O3 -fPIC -shared $(pkg-config --cflags libdpdk) -I. \
 *         examples/dpdk/mempool_fpheap.c -o librte_mempool_fpheap.so
 *     app -d DIR/librte_mempool_fpheap.so --mbuf-pool-ops-name=fpheap ...
 *
 * With -DFPHEAP_MEMPOOL_GROWS=1 it is librte_mempool_fpheap_grow.so and its
 * driver "fpheap_grow".  They are two since mempool's table of drivers has 16
 * entries, of which DPDK's own take 14 to 16.
 *
 * "fpheap" populates each pool at once, from mempool's own memory, as any
 * driver does: whatever runs on ring_mp_mc runs on it.  "fpheap_grow" makes
 * pools of packet buffers that begin with one slice of their socket's heap,
 * take another whenever a get finds nothing, and give all of them back when
 * they are freed.  Whoever looks at a pool's memory or objects once, and uses
 * what it saw later, must not be given such a pool; README.md beside this file
 * has the list.
 *
 * What "fpheap_grow" populates at once all the same: pools of anything but
 * plain packet buffers, since nobody tells a driver how to initialize their
 * objects; objects above a quarter of a slice; memory without long runs of
 * IOVAs, or brought along by the application; pools that a secondary process
 * makes; and all pools of a DPDK with RTE_LIBRTE_MEMPOOL_DEBUG, whose audit
 * wants to see every object.
 *
 * Options come from the environment, or from the text that the application
 * passes to rte_mempool_set_ops_byname(): "min=N,ahead=N".
 *
 *   FPHEAP_MEMPOOL_MIN=N    objects that are made with the pool; without memory
 *                           for them it is not created.
 *   FPHEAP_MEMPOOL_AHEAD=N  objects that a control thread keeps ready, so that
 *                           gets wait neither for a slice, some 20 us, nor for
 *                           the heap, which takes milliseconds to grow.
 *
 * What the application does to the objects of a new pool.  Open vSwitch, for
 * one, initializes its private area of each by rte_mempool_obj_iter().  So the
 * first get compares all that there are, byte by byte.  If they differ in
 * nothing but buf_addr and buf_iova, the first becomes the template of those to
 * come.  If they do differ, the pool stays as it is, and says so.
 *
 * How a pool grows.  calc_mem_size asks for a cache line instead of the pool's
 * memory; the populate that brings it makes what the pool begins with and
 * claims that all objects are there, which ends mempool's loop.  Each later
 * slice is laid out aside, as a chain of whole objects, and then linked to
 * mempool's lists with one store each.  So rte_mempool_obj_iter(), mem_iter(),
 * dump and telemetry may run beside it, and a get takes no lock of the EAL's
 * lists.  That the lists are what this file takes them for is checked against
 * what mempool itself did with the objects of the first populate.
 *
 * Where free objects are.  Not in an fpheap_pool: what its threads park is out
 * of reach of others, so a get could fail while avail_count says otherwise,
 * or n objects had to become more than n; and its constructor is not told what
 * chunk an object is in.  Here each lcore has a shelf, which nobody else looks
 * at but in need, and all share a stack behind:
 *
 *   S1  An object that is not handed out is on one shelf or on the stack, or
 *       moves between them under the stack's lock.
 *   S2  A call that fails has looked everywhere under the stack's lock, and
 *       found fewer than n; what comes meanwhile may be missed.
 *   S3  Locks are taken in this order: pools_lock, growing, stack, shelf.
 *   S4  The stack has room for all objects, so a put never fails.
 *   S5  All of this is in memory that processes share.  The primary's heap
 *       makes the slices; a secondary asks for one and links it itself.
 *   S6  Nobody waits for another's growth longer than WAIT_MS: whoever grows
 *       may wait for a lock of the EAL whose holder is in a get.  But each
 *       waits for the first get, which waits for nothing.
 *   S7  The control thread lays slices out but links none, and keeps away from
 *       struct rte_mempool, which rte_mempool_free() takes apart without a word
 *       to its driver.  It sleeps unless a get rang, so it rests when the EAL
 *       is cleaned up.
 *   S8  Only its lcore puts on a shelf, above end, and needs no lock for that:
 *       objects leave under the shelf's lock, by others from first on, and only
 *       the lcore itself lowers end.  Two threads with the same lcore, which
 *       the EAL forbids within a process and among those that share memory,
 *       would lose objects.
 */
#ifndef FPHEAP_MEMPOOL_GROWS
#define FPHEAP_MEMPOOL_GROWS 0
#endif
#if FPHEAP_MEMPOOL_GROWS
#define DRIVER "fpheap_grow"
#else
#define DRIVER "fpheap"
#endif

#define FPHEAP_STATIC
#define FPHEAP_MAX_NODES 1
#define FPHEAP_MAX_POOLS 1
#define FPHEAP_IMPLEMENTATION
#include "fpheap.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_log.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>
#include <rte_memcpy.h>
#include <rte_mempool.h>
#include <rte_spinlock.h>
#include <rte_telemetry.h>
#include <rte_thread.h>
#include <rte_version.h>

#include "fpheap_memzone.h"

/* Two fit in a chunk, and leave pages of it for the heap's records. */
#define SLICE    (FPHEAP_CHUNK / 2 - FPHEAP_PAGE)
#define SHELF    512u          /* objects; a cache of 256 flushes 384 at once */
#define RETRY_MS 10            /* after a failure, before asking again */
#define WAIT_MS  100           /* for another's growth */
#define QUIET_S  10            /* between two messages of one pool */
#define TOKEN    RTE_CACHE_LINE_SIZE /* less than an object with its header */
#define HEAPS    (RTE_MAX_NUMA_NODES + 1) /* the last: SOCKET_ID_ANY */
#define CHANNEL  "fpheap_mempool" /* of secondaries to the primary */

#define KIND 0x33706866u       /* "fph3": the number of struct pool's layout */

RTE_LOG_REGISTER(log_type, mempool.fpheap, INFO)
#define SAY(level, ...) rte_log(RTE_LOG_##level, (uint32_t)log_type, \
                                "fpheap: " __VA_ARGS__)

/* Objects from first up to end, S8.  Both are SHELF until there is memory for
 * them: nothing to get, and no room. */
typedef struct shelf {
    rte_spinlock_t lock;
    unsigned       first;
    unsigned       end;
    void         **objects;
} __rte_cache_aligned shelf;

/* A process that loaded other drivers takes the pool for one of theirs.  What
 * is behind kind is an empty ring or stack then, without capacity. */
typedef struct pool {
    union {
        uint32_t kind;
        char stranger[8 * RTE_CACHE_LINE_SIZE];
    };
    uint32_t       size;       /* objects that there may be */
    uint32_t       stride;     /* bytes from one to the next */
    uint32_t       shelfless;  /* there was no memory for a shelf */
    uint32_t       lcores;     /* above all that have a shelf; atomic */

    /* Of a pool that grows; under growing, but for what is constant. */
    struct rte_mempool *mp;
    char           name[RTE_MEMPOOL_NAMESIZE];
    struct pool   *next;       /* of pools, in the primary */
    fpheap        *heap;       /* the primary's; NULL: a full pool */
    unsigned       heap_index;
    uint32_t       header;     /* bytes before each object, and */
    uint32_t       bytes;      /* of it */
    uint32_t       least;      /* objects made with the pool */
    uint32_t       ahead;      /* objects that the control thread keeps ready */
    bool           open;       /* it may grow; atomic, as the next three are */
    bool           seen;       /* the application's objects were looked at */
    bool           failing;    /* the last time that it should grow */
    bool           asked;      /* a secondary waits for a slice */
    bool           sized;      /* mempool, not the application, brings memory */
    bool           ended;      /* by a secondary: the primary frees it */
    uint32_t       made;       /* objects in mempool's lists; atomic; 0: a pool
                                * that never grows */
    uint32_t       laid;       /* and those in ready slices; atomic */
    uint32_t       by_gets;    /* slices that a get had to lay out */
    uint32_t       failures;   /* to lay one out; atomic */
    uint64_t       retry;      /* TSC before which growing is not tried again */
    uint64_t       deaf;       /* TSC before which no secondary asks again */
    uint64_t       quiet;      /* TSC before which a failure is not logged */
    void          *template;   /* the first bytes of each object */
    uint32_t       template_bytes;
    struct rte_mempool_memhdr *ready; /* slices laid out, the oldest first */
    void          *slices;     /* all of the heap; each begins with the next */
    rte_spinlock_t growing;

    shelf          shelves[RTE_MAX_LCORE];
    rte_spinlock_t lock __rte_cache_aligned;
    unsigned       count;
    void          *stack[];
} __rte_cache_aligned pool;

/* The primary's.  pools_lock guards them all, and the life of each pool. */
static pthread_mutex_t pools_lock = PTHREAD_MUTEX_INITIALIZER;
static pool           *pools;  /* those that grow */
static struct {
    fpheap        *heap;
    fpheap_memzone zones;
    unsigned       users;
} heaps[HEAPS];

static sem_t bell;             /* what the control thread sleeps on */
static bool  has_thread;

static bool
is_ours(const struct rte_mempool *mp)
{
    const pool *p = mp->pool_data;

    return likely(p->kind == KIND);
}

/* The index of a mempool's driver is the order of loading, in each process. */
static __rte_noinline int
refuse(const struct rte_mempool *mp)
{
    static unsigned once;

    if (__atomic_exchange_n(&once, 1, __ATOMIC_RELAXED) == 0)
        SAY(ERR, "pool %s is not of this driver: this process and the primary "
            "loaded different drivers, or in a different order; give both the "
            "same -d options\n", mp->name);
    return -EINVAL;
}

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

/* Without the lock it may be a moment old, and less than there are. */
static inline unsigned
count_on(const shelf *s)
{
    unsigned first = __atomic_load_n(&s->first, __ATOMIC_ACQUIRE);
    unsigned end   = __atomic_load_n(&s->end, __ATOMIC_ACQUIRE);

    return likely(first <= end) ? end - first : 0;
}

/* n objects are at the bottom of the caller's own shelf.  end is first, so that
 * nobody counts too many. */
static inline void
begin_shelf(shelf *s, unsigned n)
{
    set(&s->end, n);
    __atomic_store_n(&s->first, 0, __ATOMIC_RELEASE);
}

/* For an lcore's first call.  Without memory nobody asks again. */
static void
make_shelf(pool *p, unsigned lcore)
{
    shelf *s = &p->shelves[lcore];

    if (p->shelfless)
        return;
    s->objects = rte_malloc_socket("fpheap_shelf", SHELF * sizeof *s->objects,
                                   RTE_CACHE_LINE_SIZE, (int)rte_socket_id());
    p->shelfless = s->objects == NULL;
    if (s->objects != NULL) {
        begin_shelf(s, 0);
        set(&p->lcores, RTE_MAX(p->lcores, lcore + 1));
    }
}

/* NULL: the caller is no lcore, or there is no memory.  It has the stack's
 * lock. */
static shelf *
my_shelf(pool *p)
{
    unsigned lcore = rte_lcore_id();

    if (lcore >= RTE_MAX_LCORE)
        return NULL;
    if (p->shelves[lcore].objects == NULL)
        make_shelf(p, lcore);
    return p->shelves[lcore].objects != NULL ? &p->shelves[lcore] : NULL;
}

/* n objects from wherever they are, or none, S2.  They gather on the stack: the
 * caller's array may be a cache of mempool's, whose content a get that fails
 * must leave as it is.  The caller has the lock. */
static bool
collect(pool *p, void **objects, unsigned n)
{
    unsigned i;

    for (i = 0; i < p->lcores && p->count < n; i++) {
        shelf   *s = &p->shelves[i];
        unsigned take;

        rte_spinlock_lock(&s->lock);
        take = RTE_MIN(n - p->count, count_on(s));
        move(p->stack + p->count, s->objects + s->first, take);
        set(&s->first, s->first + take);
        unlock(&s->lock);
        set(&p->count, p->count + take);
    }
    if (p->count < n)
        return false;
    set(&p->count, p->count - n);
    move(objects, p->stack + p->count, n);
    return true;
}

/* To the bottom of the caller's own shelf, whose lock it has. */
static void
settle(shelf *s)
{
    unsigned n = count_on(s);

    memmove(s->objects, s->objects + s->first, n * sizeof *s->objects);
    begin_shelf(s, n);
}

/* Half a shelf for the gets to come.  The caller has the stack's lock. */
static void
refill(pool *p, shelf *s)
{
    unsigned n;

    if (s == NULL || p->count == 0)
        return;
    rte_spinlock_lock(&s->lock);
    settle(s);
    n = s->end < SHELF / 2 ? RTE_MIN(p->count, SHELF / 2 - s->end) : 0;
    set(&p->count, p->count - n);
    move(s->objects + s->end, p->stack + p->count, n);
    set(&s->end, s->end + n);
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
    s = my_shelf(p);
    if (s != NULL) {
        rte_spinlock_lock(&s->lock);
        half = RTE_MIN(count_on(s), SHELF / 2);
        if (half + n <= p->size - p->count) {
            move(p->stack + p->count, s->objects + s->first, half);
            set(&p->count, p->count + half);
            set(&s->first, s->first + half);
        }
        settle(s);
        kept = n <= SHELF - s->end ? n : 0;
        move(s->objects + s->end, objects, kept);
        set(&s->end, s->end + kept);
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

/* Apart, so that ops_put() saves no registers. */
static __rte_noinline int
put_many(pool *p, void *const *objects, unsigned n)
{
    shelf *s = &p->shelves[rte_lcore_id()];

    if (unlikely(n > SHELF - s->end))
        return put_slow(p, objects, n);
    rte_memcpy(s->objects + s->end, objects, n * sizeof *objects);
    __atomic_store_n(&s->end, s->end + n, __ATOMIC_RELEASE);    /* S8 */
    return 0;
}

/* rte_pktmbuf_free() puts one object at a time where mempool has no cache, which
 * is what counts here: S8 spares it the lock. */
static int
ops_put(struct rte_mempool *mp, void *const *objects, unsigned n)
{
    pool    *p     = mp->pool_data;
    unsigned lcore = rte_lcore_id(), end;
    shelf   *s;

    if (unlikely(!is_ours(mp)))
        return refuse(mp);
    if (unlikely(lcore >= RTE_MAX_LCORE))
        return put_slow(p, objects, n);
    if (unlikely(n != 1))
        return put_many(p, objects, n);
    s   = &p->shelves[lcore];
    end = s->end;
    if (unlikely(end == SHELF))
        return put_slow(p, objects, 1);
    s->objects[end] = *objects;
    __atomic_store_n(&s->end, end + 1, __ATOMIC_RELEASE);       /* S8 */
    return 0;
}

static unsigned
count_free(const pool *p)
{
    unsigned n      = __atomic_load_n(&p->count, __ATOMIC_RELAXED), i;
    unsigned lcores = __atomic_load_n(&p->lcores, __ATOMIC_RELAXED);

    for (i = 0; i < lcores; i++)
        n += count_on(&p->shelves[i]);
    return n;
}

/* --- slices --------------------------------------------------------------- */

static inline uint32_t
made_of(const pool *p)
{
    return __atomic_load_n(&p->made, __ATOMIC_ACQUIRE);
}

static inline uint32_t
laid_of(const pool *p)
{
    return __atomic_load_n(&p->laid, __ATOMIC_ACQUIRE);
}

static inline bool
is_open(const pool *p)
{
    return __atomic_load_n(&p->open, __ATOMIC_ACQUIRE);
}

static inline bool
is_primary(void)
{
    return rte_eal_process_type() == RTE_PROC_PRIMARY;
}

static inline void *
object_of(const pool *p, const struct rte_mempool_memhdr *slice, uint32_t i)
{
    return (char *)slice->addr + (size_t)i * p->stride + p->header;
}

static inline uint32_t
objects_in(const pool *p, const struct rte_mempool_memhdr *slice)
{
    return (uint32_t)(slice->len / p->stride);
}

/* Both of an mbuf's addresses, by the distance to another place. */
static void
move_addresses(struct rte_mbuf *m, uintptr_t by, rte_iova_t iova_by)
{
    m->buf_addr = (void *)((uintptr_t)m->buf_addr + by);
    rte_mbuf_iova_set(m, rte_mbuf_iova_get(m) + iova_by);
}

/* A header as mempool writes it, and the object as the application does. */
static struct rte_mempool_objhdr *
lay_object(const pool *p, void *object, rte_iova_t iova)
{
    struct rte_mempool_objhdr *hdr = rte_mempool_get_header(object);

    memset(hdr, 0, sizeof *hdr);
    hdr->mp   = p->mp;
    hdr->iova = iova;
    if (p->seen) {
        rte_memcpy(object, p->template, p->template_bytes);
        move_addresses(object, (uintptr_t)object, iova);
    }
    return hdr;
}

static void
lay_objects(const pool *p, const struct rte_mempool_memhdr *slice)
{
    struct rte_mempool_objhdr *hdr, *last = NULL;
    uint32_t i;

    for (i = 0; i < objects_in(p, slice); i++) {
        hdr = lay_object(p, object_of(p, slice, i), slice->iova
                         + (size_t)i * p->stride + p->header);
        if (last != NULL)
            STAILQ_NEXT(last, next) = hdr;
        last = hdr;
    }
}

/* A slice's memory and mempool's record of it.  The memory is zero as long as
 * the application initializes objects, so that what it wrote can be told. */
static int
get_slice(pool *p, uint32_t n, struct rte_mempool_memhdr **slice)
{
    size_t      bytes  = (size_t)n * p->stride;
    char       *memory = fpheap_aligned_alloc(p->heap, RTE_MEMPOOL_ALIGN,
                                              TOKEN + bytes);
    rte_iova_t  iova   = memory == NULL ? RTE_BAD_IOVA
                                        : fpheap_iova(p->heap, memory);

    *slice = rte_zmalloc("fpheap_slice", sizeof **slice, 0);
    if (memory == NULL || *slice == NULL || iova == RTE_BAD_IOVA) {
        fpheap_free(p->heap, memory);
        rte_free(*slice);
        return memory != NULL && iova == RTE_BAD_IOVA ? -EFAULT : -ENOMEM;
    }
    (*slice)->mp   = p->mp;
    (*slice)->addr = memory + TOKEN;
    (*slice)->iova = iova + TOKEN;
    (*slice)->len  = bytes;
    if (!p->seen)
        memset((*slice)->addr, 0, bytes);
    *(void **)memory = p->slices;
    p->slices = memory;
    return 0;
}

/* One more, at the end of p->ready.  Returns 0, or a negative errno; the caller
 * has growing and is the primary. */
static int
lay_slice(pool *p)
{
    uint32_t n = RTE_MIN(p->size - p->laid,
                         (uint32_t)((SLICE - TOKEN) / p->stride));
    struct rte_mempool_memhdr *slice, **end;
    int      rc = get_slice(p, n, &slice);

    fpheap_thread_leave(p->heap);       /* a cache is no use for slices */
    if (rc != 0)
        return rc;
    lay_objects(p, slice);
    for (end = &p->ready; *end != NULL; end = &STAILQ_NEXT(*end, next))
        ;
    *end = slice;
    __atomic_store_n(&p->laid, p->laid + n, __ATOMIC_RELEASE);
    return 0;
}

/* The same unless it failed a moment ago. */
static bool
try_to_lay(pool *p)
{
    int rc;

    if (p->laid == p->size || rte_rdtsc() < p->retry)
        return false;
    rc = lay_slice(p);
    __atomic_store_n(&p->failing, rc != 0, __ATOMIC_RELAXED);
    if (rc == 0)
        return true;
    __atomic_store_n(&p->retry,
                     rte_rdtsc() + rte_get_tsc_hz() / 1000 * RETRY_MS,
                     __ATOMIC_RELAXED);
    if (rte_rdtsc() >= p->quiet) {
        SAY(ERR, "pool %s cannot grow beyond %u of %u objects: %s\n", p->name,
            p->laid, p->size, rte_strerror(-rc));
        p->quiet = rte_rdtsc() + rte_get_tsc_hz() * QUIET_S;
    }
    __atomic_store_n(&p->failures, p->failures + 1, __ATOMIC_RELEASE);
    return false;
}

/* For a pool that ends, or that could not begin. */
static void
free_slices(pool *p)
{
    while (p->ready != NULL) {
        struct rte_mempool_memhdr *slice = p->ready;

        p->ready = STAILQ_NEXT(slice, next);
        rte_free(slice);
    }
    while (p->slices != NULL) {
        void *memory = p->slices;

        p->slices = *(void **)memory;
        fpheap_free(p->heap, memory);
    }
    p->laid = 0;
}

/* --- linking slices ------------------------------------------------------- */

/* Whoever walks the list meanwhile sees the slice's objects whole, or none. */
static void
link_objects(struct rte_mempool *mp, const pool *p,
             const struct rte_mempool_memhdr *slice)
{
    uint32_t n = objects_in(p, slice);
    struct rte_mempool_objhdr *last =
        rte_mempool_get_header(object_of(p, slice, n - 1));

    __atomic_store_n(mp->elt_list.stqh_last,
                     rte_mempool_get_header(object_of(p, slice, 0)),
                     __ATOMIC_RELEASE);
    mp->elt_list.stqh_last = &STAILQ_NEXT(last, next);
    __atomic_store_n(&mp->populated_size, mp->populated_size + n,
                     __ATOMIC_RELAXED);
}

static void
link_chunk(struct rte_mempool *mp, struct rte_mempool_memhdr *slice)
{
    STAILQ_NEXT(slice, next) = NULL;
    __atomic_store_n(mp->mem_list.stqh_last, slice, __ATOMIC_RELEASE);
    mp->mem_list.stqh_last = &STAILQ_NEXT(slice, next);
    __atomic_store_n(&mp->nb_mem_chunks, mp->nb_mem_chunks + 1,
                     __ATOMIC_RELAXED);
}

static void
push_objects(pool *p, const struct rte_mempool_memhdr *slice)
{
    uint32_t n = objects_in(p, slice), i;

    rte_spinlock_lock(&p->lock);
    for (i = 0; i < n; i++)
        p->stack[p->count + i] = object_of(p, slice, i);
    set(&p->count, p->count + n);
    unlock(&p->lock);
    __atomic_store_n(&p->made, p->made + n, __ATOMIC_RELEASE);
}

static struct rte_mempool_memhdr *
take_ready(pool *p)
{
    struct rte_mempool_memhdr *slice = p->ready;

    if (slice != NULL)
        p->ready = STAILQ_NEXT(slice, next);
    return slice;
}

/* The oldest slice that is ready.  The caller has growing. */
static bool
link_slice(struct rte_mempool *mp, pool *p)
{
    struct rte_mempool_memhdr *slice = take_ready(p);

    if (slice == NULL)
        return false;
    link_objects(mp, p, slice);
    link_chunk(mp, slice);
    push_objects(p, slice);
    return true;
}

/* A slice that the pool begins with, by mempool's own function.  Returns
 * whether that does what link_objects() would have done. */
static bool
link_first(struct rte_mempool *mp, pool *p, rte_mempool_populate_obj_cb_t *add,
           void *arg)
{
    struct rte_mempool_memhdr *slice = take_ready(p);
    uint32_t n = objects_in(p, slice), i;
    bool     same = true;

    for (i = 0; i < n; i++) {
        void *object = object_of(p, slice, i);
        struct rte_mempool_objhdr *hdr = rte_mempool_get_header(object);
        rte_iova_t iova = hdr->iova;

        memset(hdr, 0, sizeof *hdr);
        add(mp, arg, object, iova);
        same = same && mp->elt_list.stqh_last == &STAILQ_NEXT(hdr, next)
            && hdr->mp == mp && hdr->iova == iova;
    }
    link_chunk(mp, slice);
    push_objects(p, slice);
    return same && mp->populated_size == p->made;
}

/* --- the objects of a new pool -------------------------------------------- */

/* Whether it differs from the template only in its addresses. */
static bool
is_alike(const pool *p, void *object)
{
    const char     *template = p->template;
    struct rte_mbuf head;

    memcpy(&head, template, sizeof head);
    move_addresses(&head, (uintptr_t)object,
                   rte_mempool_get_header(object)->iova);
    return memcmp(&head, object, sizeof head) == 0
        && memcmp(template + sizeof head, (char *)object + sizeof head,
                  p->bytes - sizeof head) == 0;
}

/* Before the first get all are on the stack, as the application left them.
 * What follows the template is zero in all.  The caller has growing. */
static void
see_objects(pool *p)
{
    uint32_t i;
    char    *template = p->template;

    memcpy(template, p->stack[0], p->bytes);
    move_addresses(p->template, 0 - (uintptr_t)p->stack[0],
                   0 - rte_mempool_get_header(p->stack[0])->iova);
    for (i = 1; i < p->count; i++)
        if (!is_alike(p, p->stack[i]))
            break;
    if (i < p->count) {
        SAY(ERR, "pool %s cannot grow beyond %u of %u objects: they differ; "
            "use \"fpheap\"\n", p->name, p->made, p->size);
        __atomic_store_n(&p->open, false, __ATOMIC_RELEASE);
    }
    p->template_bytes = p->bytes;
    while (p->template_bytes > sizeof(struct rte_mbuf)
           && template[p->template_bytes - 1] == 0)
        p->template_bytes--;
    __atomic_store_n(&p->seen, true, __ATOMIC_RELEASE);
}

/* --- growing -------------------------------------------------------------- */

/* S6.  Whoever has it may share this processor. */
static bool
begin_growth(pool *p)
{
    uint64_t end = rte_rdtsc() + rte_get_tsc_hz() / 1000 * WAIT_MS;

    while (!rte_spinlock_trylock(&p->growing)) {
        if (rte_rdtsc() > end)
            return false;
        sched_yield();
    }
    return true;
}

/* Wakes the primary's control thread, from whatever process. */
static void
ring(pool *p)
{
    struct rte_mp_msg message = { .name = CHANNEL };

    __atomic_store_n(&p->asked, true, __ATOMIC_RELEASE);
    if (is_primary())
        sem_post(&bell);
    else if (rte_mp_sendmsg(&message) != 0)
        __atomic_store_n(&p->asked, false, __ATOMIC_RELAXED);
}

/* A secondary's way to a slice, unless another took one since `made` objects
 * were there.  If none comes no secondary asks for a while; the primary goes on
 * growing. */
static bool
ask_primary(pool *p, uint32_t made)
{
    uint64_t end = rte_rdtsc() + rte_get_tsc_hz() / 1000 * WAIT_MS;
    uint32_t failures = __atomic_load_n(&p->failures, __ATOMIC_ACQUIRE);

    if (rte_rdtsc() < __atomic_load_n(&p->retry, __ATOMIC_RELAXED)
        || rte_rdtsc() < __atomic_load_n(&p->deaf, __ATOMIC_RELAXED))
        return false;
    ring(p);
    while (laid_of(p) == made && made_of(p) == made) {
        if (failures != __atomic_load_n(&p->failures, __ATOMIC_ACQUIRE))
            return false;
        if (rte_rdtsc() > end) {
            __atomic_store_n(&p->deaf, rte_rdtsc() + rte_get_tsc_hz(),
                             __ATOMIC_RELAXED);
            SAY(ERR, "pool %s: the primary process does not answer\n", p->name);
            return false;
        }
        sched_yield();
    }
    return true;
}

/* Whether there may be more now than when `made` were there.  While mempool
 * frees the pool, which counts populated_size down, it must not grow. */
static bool
grow(struct rte_mempool *mp, pool *p, uint32_t made)
{
    bool more, ask = false;

    if (!is_open(p) || !begin_growth(p))
        return false;
    more = p->made != made;
    if (!more && p->made < p->size && mp->populated_size == p->made) {
        if (p->ready == NULL && is_primary() && try_to_lay(p))
            p->by_gets++;
        more = link_slice(mp, p);
        ask = !more && !is_primary();
    }
    unlock(&p->growing);
    return more || (ask && ask_primary(p, made));
}

/* Whether fewer objects are ready than the control thread should keep. */
static bool
is_low(const pool *p)
{
    uint32_t laid = laid_of(p);

    return p->ahead != 0 && laid < p->size && is_open(p)
        && rte_rdtsc() >= __atomic_load_n(&p->retry, __ATOMIC_RELAXED)
        && count_free(p) + (laid - made_of(p)) < p->ahead;
}

/* S6.  Until then whoever has growing does nothing but compare. */
static void
see_first(pool *p)
{
    while (is_open(p) && !__atomic_load_n(&p->seen, __ATOMIC_ACQUIRE)) {
        if (!begin_growth(p))
            continue;
        if (!p->seen && is_open(p))
            see_objects(p);
        unlock(&p->growing);
    }
}

static __rte_noinline int
get_slow(struct rte_mempool *mp, pool *p, void **objects, unsigned n)
{
    uint32_t made;
    bool     got;

    if (n > p->size)
        return -ENOBUFS;
    see_first(p);
    do {
        made = made_of(p);
        rte_spinlock_lock(&p->lock);
        got = collect(p, objects, n);
        if (got)
            refill(p, my_shelf(p));
        unlock(&p->lock);
    } while (!got && grow(mp, p, made));
    if (is_low(p) && !__atomic_load_n(&p->asked, __ATOMIC_RELAXED))
        ring(p);
    return got ? 0 : -ENOBUFS;
}

static int
ops_get(struct rte_mempool *mp, void **objects, unsigned n)
{
    pool    *p     = mp->pool_data;
    unsigned lcore = rte_lcore_id();
    shelf   *s;

    if (unlikely(!is_ours(mp)))
        return refuse(mp);
    if (likely(lcore < RTE_MAX_LCORE)) {
        s = &p->shelves[lcore];
        rte_spinlock_lock(&s->lock);
        if (likely(n <= s->end - s->first)) {
            set(&s->end, s->end - n);
            move(objects, s->objects + s->end, n);
            unlock(&s->lock);
            return 0;
        }
        unlock(&s->lock);
    }
    return get_slow(mp, p, objects, n);
}

static unsigned
count_cached(const struct rte_mempool *mp)
{
    unsigned n = 0, i;

    for (i = 0; i < RTE_MAX_LCORE && mp->cache_size != 0; i++)
        n += mp->local_cache[i].len;
    return n;
}

/* What can be made is as good as free; after a failure only what there is, but
 * a pool that has all of its objects back is full, though mempool's caches hold
 * some: applications wait for that.  As mempool does, count the caches last. */
static unsigned
ops_count(const struct rte_mempool *mp)
{
    const pool *p = mp->pool_data;
    unsigned    n;
    uint32_t    made;

    if (unlikely(!is_ours(mp)))
        return 0;
    made = made_of(p);
    n = count_free(p);
    if (made != 0
        && ((is_open(p) && !__atomic_load_n(&p->failing, __ATOMIC_RELAXED))
            || n + count_cached(mp) >= made))
        n += p->size - made;
    return RTE_MIN(n, p->size);
}

/* --- heaps ---------------------------------------------------------------- */

static unsigned
heap_index(const struct rte_mempool *mp)
{
    return mp->socket_id >= 0 && mp->socket_id < RTE_MAX_NUMA_NODES
         ? (unsigned)mp->socket_id : RTE_MAX_NUMA_NODES;
}

/* The heap of the pool's socket; the first pool makes it.  NULL: errno.  The
 * caller has pools_lock, as for put_heap. */
static fpheap *
get_heap(const struct rte_mempool *mp)
{
    unsigned        i = heap_index(mp);
    fpheap_provider provider;
    fpheap_config   config = { .provider = &provider, .nodes = 1 };
    char            name[sizeof heaps[i].zones.prefix];

    if (heaps[i].heap == NULL) {
        snprintf(name, sizeof name, "mempool_%d", mp->socket_id);
        fpheap_memzone_provider(&provider, &heaps[i].zones, name, 1);
        heaps[i].zones.socket[0] = mp->socket_id;
        heaps[i].heap = fpheap_create(name, &config);
    }
    if (heaps[i].heap != NULL)
        heaps[i].users++;
    return heaps[i].heap;
}

/* The last pool ends the heap, another gives its regions back. */
static void
put_heap(unsigned i)
{
    int rc;

    if (--heaps[i].users != 0) {
        fpheap_trim(heaps[i].heap);
        fpheap_thread_leave(heaps[i].heap);
    } else if ((rc = fpheap_destroy(heaps[i].heap)) == 0) {
        heaps[i].heap = NULL;
    } else {
        SAY(ERR, "heap %u stays: %s\n", i, rte_strerror(-rc));
    }
}

/* --- pools that grow ------------------------------------------------------ */

static void
free_pool(pool *p)
{
    unsigned i;

    for (i = 0; i < RTE_MAX_LCORE; i++)
        rte_free(p->shelves[i].objects);
    rte_free(p->template);
    rte_free(p);
}

/* In the primary, which has pools_lock. */
static void
end_pool(pool *p)
{
    pool **link = &pools;

    while (*link != NULL && *link != p)
        link = &(*link)->next;
    if (*link != NULL)
        *link = p->next;
    free_slices(p);
    put_heap(p->heap_index);
    free_pool(p);
}

/* Those that secondaries freed. */
static void
end_pools(void)
{
    pool *p = pools, *next;

    for (; p != NULL; p = next) {
        next = p->next;
        if (__atomic_load_n(&p->ended, __ATOMIC_ACQUIRE))
            end_pool(p);
    }
}

/* One slice at most.  Returns whether there was one, so that another may be
 * wanted. */
static bool
keep_ready(pool *p)
{
    bool asked = __atomic_exchange_n(&p->asked, false, __ATOMIC_ACQ_REL);
    bool laid;

    if (!__atomic_load_n(&p->seen, __ATOMIC_ACQUIRE) || !is_open(p)
        || !((asked && laid_of(p) == made_of(p)) || is_low(p))
        || !begin_growth(p))
        return false;
    laid = try_to_lay(p);
    unlock(&p->growing);
    return laid;
}

#if RTE_VERSION >= RTE_VERSION_NUM(23, 11, 0, 0)
typedef uint32_t     thread_result;
typedef rte_thread_t thread_id;
#define CREATE_THREAD(id, run) \
    rte_thread_create_control(id, "fpheap", run, NULL)
#else
typedef void     *thread_result;
typedef pthread_t thread_id;
#define CREATE_THREAD(id, run) \
    rte_ctrl_thread_create(id, "fpheap", NULL, run, NULL)
#endif

/* The control thread.  Between two slices whoever makes or frees a pool gets
 * pools_lock, for which it must be asleep a moment. */
static thread_result
attend(void *unused)
{
    bool  more = false;
    pool *p;

    (void)unused;
    for (;;) {
        while (!more && sem_wait(&bell) != 0)
            ;
        pthread_mutex_lock(&pools_lock);
        end_pools();
        for (more = false, p = pools; p != NULL; p = p->next)
            more = keep_ready(p) || more;
        pthread_mutex_unlock(&pools_lock);
        if (more)
            usleep(20);
    }
    return 0;
}

/* Runs in the EAL's thread for messages, which must not wait for growth: that
 * waits for answers which this thread receives. */
static int
hear_secondary(const struct rte_mp_msg *message, const void *peer)
{
    (void)message;
    (void)peer;
    return sem_post(&bell);
}

/* For the first pool that needs the control thread: one with objects ahead, or
 * any if there may be secondaries.  The caller has pools_lock. */
static int
need_thread(const pool *p)
{
    thread_id thread;
    int       rc;

    if (has_thread)
        return 0;
    if (sem_init(&bell, 0, 0) != 0)     /* before it can be rung */
        return -errno;
    if (rte_mp_action_register(CHANNEL, hear_secondary) != 0 && p->ahead == 0
        && rte_errno != EEXIST)
        return 0;
    rc = CREATE_THREAD(&thread, attend);
    has_thread = rc == 0;
    if (rc != 0)
        SAY(ERR, "no control thread: %s\n", rte_strerror(-rc));
    return rc;
}

/* --- options -------------------------------------------------------------- */

/* No text, no change. */
static int
set_option(const char *name, const char *text, uint32_t *value)
{
    char         *end = NULL;
    unsigned long n;

    if (text == NULL)
        return 0;
    errno = 0;
    n = strtoul(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0
        || n > UINT32_MAX) {
        SAY(ERR, "%s=%s is not a number of objects\n", name, text);
        return -EINVAL;
    }
    *value = (uint32_t)n;
    return 0;
}

/* "min=N,ahead=N", or one of them */
static int
set_from_text(const char *text, pool *p)
{
    char  copy[64], *save = NULL, *word;
    int   rc = 0;

    if (snprintf(copy, sizeof copy, "%s", text) >= (int)sizeof copy)
        rc = -EINVAL;
    for (word = strtok_r(copy, ",", &save); word != NULL && rc == 0;
         word = strtok_r(NULL, ",", &save)) {
        if (strncmp(word, "min=", 4) == 0)
            rc = set_option("min", word + 4, &p->least);
        else if (strncmp(word, "ahead=", 6) == 0)
            rc = set_option("ahead", word + 6, &p->ahead);
        else
            rc = -EINVAL;
    }
    if (rc != 0)
        SAY(ERR, "\"%s\" is not \"min=N,ahead=N\"\n", text);
    return rc;
}

static int
set_options(const struct rte_mempool *mp, pool *p)
{
    int rc = set_option("FPHEAP_MEMPOOL_MIN", getenv("FPHEAP_MEMPOOL_MIN"),
                        &p->least);

    if (rc == 0)
        rc = set_option("FPHEAP_MEMPOOL_AHEAD", getenv("FPHEAP_MEMPOOL_AHEAD"),
                        &p->ahead);
    if (rc == 0 && mp->pool_config != NULL)
        rc = set_from_text(mp->pool_config, p);
    p->least = RTE_MIN(RTE_MAX(p->least, 1u), p->size);
    return rc;
}

/* --- the drivers ---------------------------------------------------------- */

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

#ifdef RTE_LIBRTE_MEMPOOL_DEBUG
#define SEES_ALL_OBJECTS true
#else
#define SEES_ALL_OBJECTS false
#endif

static bool
can_grow(struct rte_mempool *mp, const pool *p)
{
    size_t page;

    return FPHEAP_MEMPOOL_GROWS && !SEES_ALL_OBJECTS && is_primary()
        && is_plain_pktmbuf(mp) && p->stride <= SLICE / 4
        && rte_malloc_heap_socket_is_external(mp->socket_id) == 0
        && rte_mempool_get_page_size(mp, &page) == 0
        && (page == 0 || page >= FPHEAP_CHUNK
            || rte_eal_iova_mode() == RTE_IOVA_VA);
}

/* The caller has pools_lock. */
static int
begin_pool(struct rte_mempool *mp, pool *p)
{
    int rc = set_options(mp, p);

    if (rc == 0)
        rc = need_thread(p);
    if (rc != 0)
        return rc;
    p->template = rte_zmalloc("fpheap_template", mp->elt_size, 0);
    if (p->template == NULL)
        return -ENOMEM;
    p->heap_index = heap_index(mp);
    p->heap = get_heap(mp);
    if (p->heap == NULL) {
        rc = -errno;
        SAY(ERR, "no heap for pool %s: %s\n", mp->name, rte_strerror(-rc));
        return rc;
    }
    p->mp     = mp;
    p->header = mp->header_size;
    p->bytes  = mp->elt_size;
    snprintf(p->name, sizeof p->name, "%s", mp->name);
    p->next = pools;
    pools   = p;
    return 0;
}

static pool *
new_pool(const struct rte_mempool *mp)
{
    unsigned i;
    pool *p = rte_zmalloc_socket("fpheap_pool",
                                 sizeof *p + mp->size * sizeof *p->stack,
                                 RTE_CACHE_LINE_SIZE, mp->socket_id);

    if (p != NULL) {
        p->kind   = KIND;
        for (i = 0; i < RTE_MAX_LCORE; i++)
            p->shelves[i].first = p->shelves[i].end = SHELF;
        p->size   = mp->size;
        p->stride = mp->header_size + mp->elt_size + mp->trailer_size;
    }
    return p;
}

static int
ops_alloc(struct rte_mempool *mp)
{
    pool *p  = new_pool(mp);
    int   rc = 0;

    if (p == NULL)
        return -ENOMEM;
    if (can_grow(mp, p)) {
        pthread_mutex_lock(&pools_lock);
        end_pools();
        rc = begin_pool(mp, p);
        pthread_mutex_unlock(&pools_lock);
    }
    if (rc != 0)
        free_pool(p);
    else
        mp->pool_data = p;
    return rc;
}

/* Mempool calls it for a pool that was never populated, too. */
static void
ops_free(struct rte_mempool *mp)
{
    pool *p = mp->pool_data;

    if (p == NULL || !is_ours(mp))
        return;
    mp->pool_data = NULL;
    if (p->heap == NULL) {
        free_pool(p);
    } else if (is_primary()) {
        pthread_mutex_lock(&pools_lock);
        end_pool(p);
        pthread_mutex_unlock(&pools_lock);
    } else {
        __atomic_store_n(&p->ended, true, __ATOMIC_RELEASE);
        ring(p);
    }
}

static ssize_t
ops_size(const struct rte_mempool *mp, uint32_t n, uint32_t page_shift,
         size_t *least, size_t *align)
{
    pool *p = mp->pool_data;

    if (p == NULL || p->heap == NULL)
        return rte_mempool_op_calc_mem_size_default(mp, n, page_shift, least,
                                                    align);
    p->sized = true;
    *least = TOKEN;
    *align = TOKEN;
    return TOKEN;
}

/* What a growing pool begins with.  Returns 0, or a negative errno and the pool
 * is as before. */
static int
make_first(struct rte_mempool *mp, pool *p, rte_mempool_populate_obj_cb_t *add,
           void *arg)
{
    bool same = true;
    int  rc   = 0;

    while (rc == 0 && p->laid < p->least)
        rc = lay_slice(p);
    if (rc != 0) {
        free_slices(p);
        return rc;
    }
    while (p->ready != NULL)
        same = link_first(mp, p, add, arg) && same;
    p->open = same && p->made < p->size;
    if (!same)
        SAY(ERR, "pool %s does not grow: this DPDK's mempool is unknown\n",
            mp->name);
    return 0;
}

/* An error is 0 here: mempool takes negative numbers for objects.  So is memory
 * that an application brings to a pool which grows by itself. */
static int
ops_populate(struct rte_mempool *mp, unsigned max, void *at, rte_iova_t iova,
             size_t bytes, rte_mempool_populate_obj_cb_t *add, void *arg)
{
    pool *p = mp->pool_data;
    int   rc;

    if (p->slices != NULL)
        return 0;
    if (!p->sized)
        return rte_mempool_op_populate_default(mp, max, at, iova, bytes, add,
                                               arg);
    p->sized = false;
    rte_spinlock_lock(&p->growing);
    rc = make_first(mp, p, add, arg);
    unlock(&p->growing);
    if (rc == 0)
        return (int)max;
    SAY(ERR, "no memory for the first %u objects of pool %s: %s\n", p->least,
        mp->name, rte_strerror(-rc));
    return 0;
}

static const struct rte_mempool_ops ops = {
    .name          = DRIVER,
    .alloc         = ops_alloc,
    .free          = ops_free,
    .enqueue       = ops_put,
    .dequeue       = ops_get,
    .get_count     = ops_count,
    .calc_mem_size = ops_size,
    .populate      = ops_populate,
};

RTE_MEMPOOL_REGISTER_OPS(ops)

/* --- telemetry ------------------------------------------------------------ */

static void
add_pool(const pool *p, struct rte_tel_data *data)
{
    rte_tel_data_add_dict_string(data, "grows", is_open(p) ? "yes" : "no");
    rte_tel_data_add_dict_int(data, "size", (int)p->size);
    rte_tel_data_add_dict_int(data, "made", (int)made_of(p));
    rte_tel_data_add_dict_int(data, "ready", (int)(laid_of(p) - made_of(p)));
    rte_tel_data_add_dict_int(data, "free", (int)count_free(p));
    rte_tel_data_add_dict_int(data, "slices_by_gets", (int)p->by_gets);
    rte_tel_data_add_dict_int(data, "failures", (int)p->failures);
}

/* /fpheap/mempool,NAME: of a growing pool, in the primary */
static int
tell_pool(const char *command, const char *name, struct rte_tel_data *data)
{
    const pool *p;

    (void)command;
    if (name == NULL)
        return -EINVAL;
    rte_tel_data_start_dict(data);
    pthread_mutex_lock(&pools_lock);
    for (p = pools; p != NULL && strcmp(p->name, name) != 0; p = p->next)
        ;
    if (p != NULL)
        add_pool(p, data);
    pthread_mutex_unlock(&pools_lock);
    return p != NULL ? 0 : -ENOENT;
}

RTE_INIT(register_telemetry)
{
    if (FPHEAP_MEMPOOL_GROWS)
        rte_telemetry_register_cmd("/fpheap/mempool", tell_pool,
            "A mempool of fpheap_grow, its objects and how it grew. "
            "Parameter: its name");
}
