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
 *   FPHEAP_MEMPOOL_RESERVE=N
 *                           MiB of hugepages that the heap of a socket's pools
 *                           has from the first pool to the last; secondaries
 *                           take slices there without the primary.  Only from
 *                           the environment, and only where there may be
 *                           secondaries.
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
 * chunk an object is in.  Here each lcore has a shelf with a lock of its own,
 * which nobody else takes but in need, and all share a stack behind:
 *
 *   S1  An object that is not handed out is on one shelf or on the stack, or
 *       moves between them under the stack's lock.
 *   S2  A call that fails has looked everywhere under the stack's lock: at
 *       that time fewer than n were free.
 *   S3  Locks are taken in this order: pools_lock, growing, arena_lock, stack,
 *       shelf.
 *   S4  The stack has room for all objects, so a put never fails.
 *   S5  All of this is in memory that processes share.  Where there may be
 *       secondaries, so are the heaps that slices come from: arenas, each a
 *       memzone that the primary has made.  Any process takes a slice and links
 *       it; a secondary asks for an arena when none has room.
 *   S6  Nobody waits for another's growth longer than WAIT_MS: whoever grows
 *       may wait for a lock of the EAL whose holder is in a get.  But each
 *       waits for the first get, which waits for nothing.
 *   S7  The control thread lays slices out but links none, and keeps away from
 *       struct rte_mempool, which rte_mempool_free() takes apart without a word
 *       to its driver.  It sleeps unless a get rang, so it rests when the EAL
 *       is cleaned up.
 *
 * When a process is killed.  Its locks name it, and each is taken over by
 * whoever waits for it and finds that its owner has died:
 *
 *   S8  A process is alive while it has the lock of its place in a file, which
 *       the system gives up when it ends.
 *   S9  What one count says is whole at any time: an object is written below a
 *       count before that covers it, and read before it does no longer.  What
 *       takes two counts is in the journal first, and done again.
 *   S10 So it is with slices that are linked.
 *   S11 Only what the dead had got, or was about to put, is lost with it.  A
 *       slice's memory that it had not linked is lost until the pools of the
 *       socket end.  A process that is killed within rte_malloc(), as when an
 *       lcore's shelf is made, leaves the EAL's lock to nobody: no driver mends
 *       that.
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
#include <fcntl.h>
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
#include <rte_memzone.h>
#include <rte_pause.h>
#include <rte_telemetry.h>
#include <rte_thread.h>
#include <rte_version.h>

#include "fpheap_memzone.h"
#include "fpheap_multiprocess.h"

/* Two fit in a chunk, and leave pages of it for the heap's records. */
#define SLICE    (FPHEAP_CHUNK / 2 - FPHEAP_PAGE)
#define SHELF    512u          /* objects; a cache of 256 flushes 384 at once */
#define RETRY_MS 10            /* after a failure, before asking again */
#define WAIT_MS  100           /* for another's growth */
#define QUIET_S  10            /* between two messages of one pool */
#define TOKEN    RTE_CACHE_LINE_SIZE /* less than an object with its header */
#define HEAPS    (RTE_MAX_NUMA_NODES + 1) /* the last: SOCKET_ID_ANY */
#define CHANNEL  DRIVER "_mempool" /* of secondaries to the primary */
#define COMMON   DRIVER "_common"  /* a memzone, and a file of locks */
#define PLACES   255u          /* of processes */
#define NOWHERE  255u          /* the place of one that has none */
#define LOOK     1024u         /* pauses until a lock's owner is looked at */
#define ARENAS   128u
#define ARENA_LEAST ((size_t)8 << 20)
#define ARENA_MOST  ((size_t)1 << 30)

static const char KIND[] = "fpheap3"; /* the number of struct pool's layout */

RTE_LOG_REGISTER(log_type, mempool.fpheap, INFO)
#define SAY(level, ...) rte_log(RTE_LOG_##level, (uint32_t)log_type, \
                                "fpheap: " __VA_ARGS__)

typedef struct shelf {
    uint32_t       lock;
    unsigned       count;
    void          *objects[SHELF];
} __rte_cache_aligned shelf;

/* What a thread with the stack's lock is about to change: see commit(). */
typedef struct journal {
    bool     active;           /* atomic, and the last to be written */
    shelf   *from;             /* or NULL */
    unsigned shift;            /* objects that leave the shelf's lower end */
    unsigned left;             /* objects on the shelf after that */
    unsigned count;            /* and on the stack */
    uint32_t made;
} journal;

/* A process that loaded other drivers takes the pool for one of theirs.  What
 * is behind kind is an empty ring or stack then, without capacity. */
typedef struct pool {
    union {
        char kind[sizeof KIND];
        char stranger[8 * RTE_CACHE_LINE_SIZE];
    };
    uint32_t       size;       /* objects that there may be */
    uint32_t       stride;     /* bytes from one to the next */
    uint32_t       shelfless;  /* there was no memory for a shelf */

    /* Of a pool that grows; under growing, but for what is constant. */
    struct rte_mempool *mp;
    char           name[RTE_MEMPOOL_NAMESIZE];
    struct pool   *next;       /* of pools, in the primary */
    bool           grows;      /* or else it is a full pool */
    fpheap        *heap;       /* the primary's; NULL: it has arenas */
    unsigned       heap_index;
    int            socket;
    uint32_t       header;     /* bytes before each object, and */
    uint32_t       bytes;      /* of it */
    uint32_t       least;      /* objects made with the pool */
    uint32_t       ahead;      /* objects that the control thread keeps ready */
    uint32_t       reserve;    /* MiB that the arenas of its socket have */
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
    struct rte_mempool_memhdr *spare; /* mempool's records of slices to come */
    struct rte_mempool_memhdr *linking; /* on its way to mempool's lists */
    uint32_t       link_made;  /* objects in them before it, and */
    uint32_t       link_chunks; /* chunks */
    void          *slices;     /* all of the heap; each begins with the next */
    uint32_t       growing;

    shelf         *shelves[RTE_MAX_LCORE]; /* made when first used */
    uint32_t       lock __rte_cache_aligned;
    unsigned       count;
    journal        journal;
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

/* A memzone with a heap that processes share. */
typedef struct arena {
    const struct rte_memzone *zone;
    int      socket;           /* of the pools that it is for */
    int      users;            /* processes in it; 0 - UNUSED, or CLOSED */
    bool     full;             /* it had no slice; atomic, as users is */
    bool     kept;             /* until the last pool ends */
} arena;

enum { CLOSED = -1, UNUSED = -2 }; /* arenas that nobody may enter */

/* What all processes have of this driver. */
typedef struct common {
    uint32_t number;           /* of the next arena's name; the primary's */
    uint32_t times[PLACES];    /* that a process took this place; atomic */
    arena    arenas[ARENAS];
} common;

static common         *all;        /* NULL: this process is alone */
static uint32_t        me;         /* times << 8 | place, or 0; atomic */
static int             lock_file = -1;
static pthread_mutex_t join_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t arena_lock = PTHREAD_MUTEX_INITIALIZER;

static bool
is_ours(const struct rte_mempool *mp)
{
    const pool *p = mp->pool_data;

    return likely(memcmp(p->kind, KIND, sizeof KIND) == 0);
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

/* --- processes ------------------------------------------------------------ */

static inline bool
is_primary(void)
{
    return rte_eal_process_type() == RTE_PROC_PRIMARY;
}

/* Ask for the lock of a place, or whether it could be had. */
static bool
lock_place(unsigned place, int what)
{
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET,
                          .l_start = place, .l_len = 1 };

    return fcntl(lock_file, what, &lock) == 0
        && (what != F_OFD_GETLK || lock.l_type == F_UNLCK);
}

/* S8.  Of a process without a place nobody knows. */
static bool
is_dead(uint32_t owner)
{
    unsigned place = owner % 256;

    return owner != me && place != NOWHERE && all != NULL
        && (__atomic_load_n(&all->times[place], __ATOMIC_RELAXED) != owner >> 8
            || lock_place(place, F_OFD_GETLK));
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

/* What the processes share.  NULL: there are no others. */
static common *
find_common(void)
{
    const struct rte_memzone *zone;
    common  *c;
    unsigned i;

    if (!is_primary()) {
        zone = rte_memzone_lookup(COMMON);
        return zone == NULL ? NULL : zone->addr;
    }
    if (sem_init(&bell, 0, 0) != 0      /* before it can be rung */
        || (rte_mp_action_register(CHANNEL, hear_secondary) != 0
            && rte_errno != EEXIST)
        || !rte_eal_has_hugepages())
        return NULL;
    zone = rte_memzone_reserve(COMMON, sizeof *c, SOCKET_ID_ANY, 0);
    if (zone == NULL)
        return NULL;
    c = memset(zone->addr, 0, sizeof *c);
    for (i = 0; i < ARENAS; i++)
        c->arenas[i].users = UNUSED;
    return c;
}

/* The file of an earlier primary is not this one's. */
static int
open_locks(void)
{
    int  flags = O_RDWR | O_CLOEXEC;
    char path[PATH_MAX];

    snprintf(path, sizeof path, "%s/%s", rte_eal_get_runtime_dir(), COMMON);
    if (is_primary()) {
        unlink(path);
        flags |= O_CREAT | O_EXCL;
    }
    return open(path, flags, 0600);
}

/* A place whose lock no process has.  Its number of times says who has it now,
 * so what an earlier one holds of locks is a dead one's. */
static uint32_t
take_place(void)
{
    unsigned place;

    lock_file = open_locks();
    for (place = 0; lock_file >= 0 && place < PLACES; place++)
        if (lock_place(place, F_OFD_SETLK))
            return ((__atomic_add_fetch(&all->times[place], 1, __ATOMIC_RELAXED)
                     << 8) | place);
    SAY(ERR, "no place: if this process is killed, others may wait for it\n");
    return 1u << 8 | NOWHERE;
}

/* Before this process takes the first lock. */
static __rte_noinline void
join(void)
{
    pthread_mutex_lock(&join_lock);
    if (me == 0) {
        all = find_common();
        __atomic_store_n(&me, all == NULL ? 1u << 8 | NOWHERE : take_place(),
                         __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&join_lock);
}

/* --- locks ---------------------------------------------------------------- */

static inline bool
take(uint32_t *lock, uint32_t from)
{
    return __atomic_compare_exchange_n(lock, &from, me, false /* strong */,
                                       __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

/* Returns 0: this thread has it; or the owner, which has died. */
static __rte_noinline uint32_t
lock_wait(uint32_t *lock)
{
    uint32_t owner, n;

    for (n = 1; ; n++) {
        owner = __atomic_load_n(lock, __ATOMIC_RELAXED);
        if (owner == 0 && take(lock, 0))
            return 0;
        if (n % LOOK == 0 && owner != 0 && is_dead(owner))
            return owner;
        rte_pause();
    }
}

static inline uint32_t
lock_alive(uint32_t *lock)
{
    return likely(take(lock, 0)) ? 0 : lock_wait(lock);
}

static inline void
unlock(uint32_t *lock)
{
    __atomic_store_n(lock, 0, __ATOMIC_RELEASE);
}

/* --- free objects --------------------------------------------------------- */

/* Counts are read without the lock, too; and what is below one is there even if
 * this process is killed at once. */
static inline void
set(unsigned *count, unsigned n)
{
    __atomic_store_n(count, n, __ATOMIC_RELEASE);
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

/* S9.  What the journal says; again, if whoever began it was killed.  (At most
 * half of a shelf stays, so the two halves do not overlap.) */
static void
commit(pool *p)
{
    journal *j = &p->journal;
    shelf   *s = j->from;

    if (s != NULL && j->shift != 0)
        memcpy(s->objects, s->objects + j->shift, j->left * sizeof *s->objects);
    if (s != NULL)
        set(&s->count, j->left);
    set(&p->count, j->count);
    __atomic_store_n(&p->made, j->made, __ATOMIC_RELEASE);
    __atomic_store_n(&j->active, false, __ATOMIC_RELEASE);
}

/* Objects go from a shelf to the stack, or back, or are new there: the caller
 * has both locks, and has written those that a count does not cover yet. */
static void
transfer(pool *p, shelf *s, unsigned shift, unsigned left, unsigned count,
         uint32_t made)
{
    p->journal.from  = s;
    p->journal.shift = shift;
    p->journal.left  = left;
    p->journal.count = count;
    p->journal.made  = made;
    __atomic_store_n(&p->journal.active, true, __ATOMIC_RELEASE);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    commit(p);
}

static void
lock_stack(pool *p)
{
    uint32_t dead;

    do {
        dead = lock_alive(&p->lock);
        if (dead == 0)
            return;
    } while (!take(&p->lock, dead));
    if (__atomic_load_n(&p->journal.active, __ATOMIC_ACQUIRE))
        commit(p);
}

/* The caller has the stack's lock, so no journal is half done, and the shelf of
 * one that has died is as whole as any. */
static void
lock_shelf(shelf *s)
{
    uint32_t dead;

    do
        dead = lock_alive(&s->lock);
    while (dead != 0 && !take(&s->lock, dead));
}

/* The caller has the stack's lock.  Without memory there is no shelf, and
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

/* n objects from wherever they are, or none, S2.  They gather on the stack: the
 * caller's array may be a cache of mempool's, whose content a get that fails
 * must leave as it is.  The caller has the lock. */
static bool
collect(pool *p, void **objects, unsigned n)
{
    unsigned i;

    for (i = 0; i < RTE_MAX_LCORE && p->count < n; i++) {
        shelf   *s = p->shelves[i];
        unsigned some;

        if (s == NULL)
            continue;
        lock_shelf(s);
        some = RTE_MIN(n - p->count, s->count);
        move(p->stack + p->count, s->objects + s->count - some, some);
        transfer(p, s, 0, s->count - some, p->count + some, p->made);
        unlock(&s->lock);
    }
    if (p->count < n)
        return false;
    move(objects, p->stack + p->count - n, n);
    set(&p->count, p->count - n);
    return true;
}

/* Half a shelf for the gets to come.  The caller has the stack's lock. */
static void
refill(pool *p, shelf *s)
{
    unsigned n;

    if (s == NULL || p->count == 0)
        return;
    lock_shelf(s);
    n = s->count < SHELF / 2 ? RTE_MIN(p->count, SHELF / 2 - s->count) : 0;
    move(s->objects + s->count, p->stack + p->count - n, n);
    transfer(p, s, 0, s->count + n, p->count - n, p->made);
    unlock(&s->lock);
}

/* The lower half of a shelf, which was put first, and then objects: to the
 * stack; the objects to the shelf if they fit. */
static __rte_noinline int
put_slow(pool *p, void *const *objects, unsigned n)
{
    shelf   *s;
    unsigned half, kept;

    lock_stack(p);
    s = make_shelf(p);
    if (s != NULL) {
        lock_shelf(s);
        half = RTE_MIN(s->count, SHELF / 2);
        if (half + n <= p->size - p->count) {
            move(p->stack + p->count, s->objects, half);
            transfer(p, s, half, s->count - half, p->count + half, p->made);
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
    shelf *s;

    if (unlikely(!is_ours(mp)))
        return refuse(mp);
    if (unlikely(me == 0))
        join();
    s = my_shelf(p);
    if (likely(s != NULL && lock_alive(&s->lock) == 0)) {
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

/* --- arenas ---------------------------------------------------------------
 *
 * The memory of a socket's growing pools where there may be secondaries: zones,
 * each with a heap that processes share.  Whoever needs a slice opens one that
 * has room, and closes it again, so none is open when the primary removes it.
 * The primary makes them: a secondary that did so would ask the primary for the
 * hugepages, in the EAL, and for longer.
 */

/* Nobody removes it until leave_arena().  Who dies in it keeps it for good. */
static bool
enter_arena(arena *a)
{
    int users = __atomic_load_n(&a->users, __ATOMIC_RELAXED);

    while (users >= 0)
        if (__atomic_compare_exchange_n(&a->users, &users, users + 1, true,
                                        __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
            return true;
    return false;
}

static void
leave_arena(arena *a)
{
    __atomic_fetch_sub(&a->users, 1, __ATOMIC_RELEASE);
}

static uint64_t
wait_end(void)
{
    return rte_rdtsc() + rte_get_tsc_hz() / 1000 * WAIT_MS;
}

/* A process opens one at a time.  S6. */
static bool
begin_arena(void)
{
    uint64_t end = wait_end();

    while (pthread_mutex_trylock(&arena_lock) != 0) {
        if (rte_rdtsc() > end)
            return false;
        sched_yield();
    }
    return true;
}

/* The same memory, if it has an IOVA. */
static void *
with_iova(fpheap *heap, void *memory, rte_iova_t *iova)
{
    *iova = memory == NULL ? RTE_BAD_IOVA : fpheap_iova(heap, memory);
    if (memory != NULL && *iova == RTE_BAD_IOVA) {
        fpheap_free(heap, memory);
        memory = NULL;
    }
    return memory;
}

/* NULL: it is full, or cannot be opened now. */
static void *
alloc_in_arena(arena *a, size_t bytes, rte_iova_t *iova)
{
    fpheap *heap   = fpheap_multiprocess_use(a->zone);
    void   *memory = heap == NULL ? NULL
                   : fpheap_aligned_alloc(heap, RTE_MEMPOOL_ALIGN, bytes);

    if (heap == NULL)
        return NULL;
    if (memory == NULL)
        __atomic_store_n(&a->full, true, __ATOMIC_RELAXED);
    memory = with_iova(heap, memory, iova);
    fpheap_close(heap);
    return memory;
}

static void *
alloc_in_arenas(const pool *p, size_t bytes, rte_iova_t *iova)
{
    void    *memory = NULL;
    unsigned i;

    if (all == NULL || !begin_arena())
        return NULL;
    for (i = 0; i < ARENAS && memory == NULL; i++) {
        arena *a = &all->arenas[i];

        if (__atomic_load_n(&a->full, __ATOMIC_RELAXED) || !enter_arena(a))
            continue;
        if (a->socket == p->socket)
            memory = alloc_in_arena(a, bytes, iova);
        leave_arena(a);
    }
    pthread_mutex_unlock(&arena_lock);
    return memory;
}

/* What arenas of a socket there are. */
static size_t
arena_bytes(int socket)
{
    size_t   bytes = 0;
    unsigned i;

    for (i = 0; i < ARENAS; i++) {
        arena *a = &all->arenas[i];

        if (!enter_arena(a))
            continue;
        if (a->socket == socket)
            bytes += a->zone->len;
        leave_arena(a);
    }
    return bytes;
}

static arena *
unused_arena(void)
{
    unsigned i;

    for (i = 0; i < ARENAS; i++) {
        int unused = UNUSED;

        if (__atomic_compare_exchange_n(&all->arenas[i].users, &unused, CLOSED,
                                        false, __ATOMIC_ACQUIRE,
                                        __ATOMIC_RELAXED))
            return &all->arenas[i];
    }
    return NULL;
}

/* In the primary: one of so many bytes, or of half, and so on, which the caller
 * is in.  NULL: no memory, or too many arenas. */
static arena *
add_arena(int socket, size_t bytes, bool kept)
{
    arena  *a    = unused_arena();
    fpheap *heap = NULL;
    char    name[RTE_MEMZONE_NAMESIZE];

    if (a == NULL)
        return NULL;
    for (; heap == NULL && bytes >= FPHEAP_CHUNK; bytes /= 2) {
        snprintf(name, sizeof name, "mempool_%x",
                 __atomic_fetch_add(&all->number, 1, __ATOMIC_RELAXED));
        heap = fpheap_multiprocess_create(name, bytes, socket, 0);
    }
    if (heap != NULL) {
        fpheap_close(heap);
        a->zone = rte_memzone_lookup(name);
        a->socket = socket;
        a->kept = kept;
        __atomic_store_n(&a->full, false, __ATOMIC_RELAXED);
    }
    __atomic_store_n(&a->users, heap != NULL ? 1 : UNUSED, __ATOMIC_RELEASE);
    return heap != NULL ? a : NULL;
}

/* In a new one, of a quarter of what there is. */
static void *
alloc_in_new_arena(const pool *p, size_t bytes, rte_iova_t *iova)
{
    size_t quarter = RTE_MAX(arena_bytes(p->socket) / 4, ARENA_LEAST);
    arena *a       = add_arena(p->socket, RTE_MIN(quarter, ARENA_MOST), false);
    void  *memory  = NULL;

    if (a == NULL)
        return NULL;
    if (begin_arena()) {
        memory = alloc_in_arena(a, bytes, iova);
        pthread_mutex_unlock(&arena_lock);
    }
    leave_arena(a);
    return memory;
}

static int
reserve_arenas(int socket, size_t bytes)
{
    size_t had;
    arena *a;

    while ((had = arena_bytes(socket)) < bytes) {
        a = add_arena(socket, RTE_MIN(bytes - had, ARENA_MOST), true);
        if (a == NULL)
            return -ENOMEM;
        leave_arena(a);
    }
    return 0;
}

static void
remove_arena(arena *a)
{
    char name[RTE_MEMZONE_NAMESIZE];

    snprintf(name, sizeof name, "%s", a->zone->name);
    fpheap_multiprocess_remove(name);
    __atomic_store_n(&a->users, UNUSED, __ATOMIC_RELEASE);
}

static bool
is_empty(const arena *a)
{
    fpheap      *heap = fpheap_multiprocess_use(a->zone);
    fpheap_stats s;

    if (heap == NULL)
        return false;
    fpheap_stats_get(heap, &s);
    fpheap_close(heap);
    return s.live_objects == 0;
}

/* If nobody is in it and nothing is live. */
static void
remove_if_empty(arena *a)
{
    int none = 0;

    if (a->kept
        || !__atomic_compare_exchange_n(&a->users, &none, CLOSED, false,
                                        __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
        return;
    if (is_empty(a))
        remove_arena(a);
    else
        __atomic_store_n(&a->users, 0, __ATOMIC_RELEASE);
}

/* In the primary, with pools_lock: what a socket's pools need no longer, or
 * without pools all, though somebody may have died in one. */
static void
remove_arenas(int socket, bool whatever)
{
    unsigned i;

    pthread_mutex_lock(&arena_lock);
    for (i = 0; i < ARENAS; i++) {
        arena *a = &all->arenas[i];

        if (__atomic_load_n(&a->users, __ATOMIC_ACQUIRE) < 0
            || a->socket != socket)
            continue;
        if (whatever)
            remove_arena(a);
        else
            remove_if_empty(a);
    }
    pthread_mutex_unlock(&arena_lock);
}

/* Those of a pool's slices that are in an arena. */
static void
free_in_arena(pool *p, arena *a)
{
    fpheap *heap = NULL;
    void  **link = &p->slices, *memory;

    while ((memory = *link) != NULL) {
        if ((uintptr_t)memory - a->zone->addr_64 >= a->zone->len) {
            link = memory;
            continue;
        }
        if (heap == NULL && (heap = fpheap_multiprocess_use(a->zone)) == NULL)
            return;
        *link = *(void **)memory;
        fpheap_free(heap, memory);
        __atomic_store_n(&a->full, false, __ATOMIC_RELAXED);
    }
    if (heap != NULL)
        fpheap_close(heap);
}

static void
free_in_arenas(pool *p)
{
    unsigned i;

    pthread_mutex_lock(&arena_lock);
    for (i = 0; i < ARENAS; i++)
        if (enter_arena(&all->arenas[i])) {
            free_in_arena(p, &all->arenas[i]);
            leave_arena(&all->arenas[i]);
        }
    pthread_mutex_unlock(&arena_lock);
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

/* Memory that the pool has until it ends; NULL: no more, or not for this
 * process. */
static char *
get_memory(pool *p, size_t bytes, rte_iova_t *iova)
{
    char *memory = NULL;

    if (p->heap == NULL) {
        memory = alloc_in_arenas(p, bytes, iova);
        if (memory == NULL && is_primary() && all != NULL)
            memory = alloc_in_new_arena(p, bytes, iova);
    } else if (is_primary()) {
        memory = with_iova(p->heap,
                           fpheap_aligned_alloc(p->heap, RTE_MEMPOOL_ALIGN,
                                                bytes), iova);
        fpheap_thread_leave(p->heap);   /* a cache is no use for slices */
    }
    if (memory != NULL) {
        *(void **)memory = p->slices;
        p->slices = memory;
    }
    return memory;
}

static uint32_t
objects_in_slice(const pool *p)
{
    return (uint32_t)((SLICE - TOKEN) / p->stride);
}

/* Mempool frees them, so they come from its heap: beforehand, as a process that
 * is killed there would have the EAL's lock for ever. */
static struct rte_mempool_memhdr *
take_spare(pool *p)
{
    struct rte_mempool_memhdr *slice = p->spare;

    if (slice == NULL)
        return rte_zmalloc("fpheap_slice", sizeof *slice, 0);
    p->spare = STAILQ_NEXT(slice, next);
    STAILQ_NEXT(slice, next) = NULL;
    return slice;
}

static void
give_spare(pool *p, struct rte_mempool_memhdr *slice)
{
    STAILQ_NEXT(slice, next) = p->spare;
    p->spare = slice;
}

static int
make_spares(pool *p)
{
    uint32_t n = (p->size + objects_in_slice(p) - 1) / objects_in_slice(p), i;

    for (i = 0; i < n; i++) {
        struct rte_mempool_memhdr *slice =
            rte_zmalloc("fpheap_slice", sizeof *slice, 0);

        if (slice == NULL)
            return -ENOMEM;
        give_spare(p, slice);
    }
    return 0;
}

/* A slice's memory and mempool's record of it.  The memory is zero as long as
 * the application initializes objects, so that what it wrote can be told. */
static int
get_slice(pool *p, uint32_t n, struct rte_mempool_memhdr **slice)
{
    size_t      bytes  = (size_t)n * p->stride;
    rte_iova_t  iova   = RTE_BAD_IOVA;
    char       *memory;

    *slice = take_spare(p);
    if (*slice == NULL)
        return -ENOMEM;
    memory = get_memory(p, TOKEN + bytes, &iova);
    if (memory == NULL) {
        give_spare(p, *slice);
        return -ENOMEM;
    }
    (*slice)->mp   = p->mp;
    (*slice)->addr = memory + TOKEN;
    (*slice)->iova = iova + TOKEN;
    (*slice)->len  = bytes;
    if (!p->seen)
        memset((*slice)->addr, 0, bytes);
    return 0;
}

/* One more, at the end of p->ready.  Returns 0, or a negative errno; the caller
 * has growing. */
static int
lay_slice(pool *p)
{
    uint32_t n = RTE_MIN(p->size - p->laid, objects_in_slice(p));
    struct rte_mempool_memhdr *slice, **end;
    int      rc = get_slice(p, n, &slice);

    if (rc != 0)
        return rc;
    lay_objects(p, slice);
    for (end = &p->ready; *end != NULL; end = &STAILQ_NEXT(*end, next))
        ;
    *end = slice;
    __atomic_store_n(&p->laid, p->laid + n, __ATOMIC_RELEASE);
    return 0;
}

/* The same unless it failed a moment ago.  Where a secondary finds nothing the
 * primary may find something. */
static bool
try_to_lay(pool *p)
{
    int rc;

    if (p->laid == p->size || rte_rdtsc() < p->retry)
        return false;
    rc = lay_slice(p);
    if (rc != 0 && !is_primary())
        return false;
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
    if (p->heap == NULL && p->slices != NULL)
        free_in_arenas(p);
    while (p->heap != NULL && p->slices != NULL) {
        void *memory = p->slices;

        p->slices = *(void **)memory;
        fpheap_free(p->heap, memory);
    }
    p->slices = NULL;
    p->laid = 0;
}

/* --- linking slices -------------------------------------------------------
 *
 * S10.  Each step can be repeated: what was there before is in p->link_made and
 * p->link_chunks, and a list whose end is the slice's has it.
 */

/* Whoever walks the list meanwhile sees the slice's objects whole, or none. */
static void
link_objects(struct rte_mempool *mp, const pool *p,
             const struct rte_mempool_memhdr *slice)
{
    uint32_t n = objects_in(p, slice);
    struct rte_mempool_objhdr *last =
        rte_mempool_get_header(object_of(p, slice, n - 1));

    if (mp->elt_list.stqh_last != &STAILQ_NEXT(last, next))
        __atomic_store_n(mp->elt_list.stqh_last,
                         rte_mempool_get_header(object_of(p, slice, 0)),
                         __ATOMIC_RELEASE);
    mp->elt_list.stqh_last = &STAILQ_NEXT(last, next);
    __atomic_store_n(&mp->populated_size, p->link_made + n, __ATOMIC_RELAXED);
}

static void
link_chunk(struct rte_mempool *mp, const pool *p,
           struct rte_mempool_memhdr *slice)
{
    STAILQ_NEXT(slice, next) = NULL;
    if (mp->mem_list.stqh_last != &STAILQ_NEXT(slice, next))
        __atomic_store_n(mp->mem_list.stqh_last, slice, __ATOMIC_RELEASE);
    mp->mem_list.stqh_last = &STAILQ_NEXT(slice, next);
    __atomic_store_n(&mp->nb_mem_chunks, p->link_chunks + 1, __ATOMIC_RELAXED);
}

static void
push_objects(pool *p, const struct rte_mempool_memhdr *slice)
{
    uint32_t n = objects_in(p, slice), i;

    lock_stack(p);
    if (p->made == p->link_made) {
        for (i = 0; i < n; i++)
            p->stack[p->count + i] = object_of(p, slice, i);
        transfer(p, NULL, 0, 0, p->count + n, p->made + n);
    }
    unlock(&p->lock);
}

/* The oldest slice that is ready; NULL: none is. */
static struct rte_mempool_memhdr *
take_ready(const struct rte_mempool *mp, pool *p)
{
    struct rte_mempool_memhdr *slice = p->ready;

    if (slice == NULL)
        return NULL;
    p->link_made = p->made;
    p->link_chunks = mp->nb_mem_chunks;
    __atomic_store_n(&p->linking, slice, __ATOMIC_RELEASE);
    __atomic_store_n(&p->ready, STAILQ_NEXT(slice, next), __ATOMIC_RELEASE);
    return slice;
}

static void
link_taken(struct rte_mempool *mp, pool *p, struct rte_mempool_memhdr *slice)
{
    link_objects(mp, p, slice);
    link_chunk(mp, p, slice);
    push_objects(p, slice);
    __atomic_store_n(&p->linking, NULL, __ATOMIC_RELEASE);
}

/* The caller has growing. */
static bool
link_slice(struct rte_mempool *mp, pool *p)
{
    struct rte_mempool_memhdr *slice = take_ready(mp, p);

    if (slice != NULL)
        link_taken(mp, p, slice);
    return slice != NULL;
}

/* Whoever had growing has died: go on where it was. */
static void
mend_growth(struct rte_mempool *mp, pool *p)
{
    struct rte_mempool_memhdr *slice = p->linking;
    uint32_t laid = 0;

    if (slice != NULL) {
        if (p->ready == slice)
            p->ready = STAILQ_NEXT(slice, next);
        link_taken(mp, p, slice);
    }
    for (slice = p->ready; slice != NULL; slice = STAILQ_NEXT(slice, next))
        laid += objects_in(p, slice);
    __atomic_store_n(&p->laid, p->made + laid, __ATOMIC_RELEASE);
}

/* A slice that the pool begins with, by mempool's own function.  Returns
 * whether that does what link_objects() would have done. */
static bool
link_first(struct rte_mempool *mp, pool *p, rte_mempool_populate_obj_cb_t *add,
           void *arg)
{
    struct rte_mempool_memhdr *slice = take_ready(mp, p);
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
    link_chunk(mp, p, slice);
    push_objects(p, slice);
    p->linking = NULL;
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

/* S6.  Whoever has it may share this processor.  Without a mempool, S7, nothing
 * can be mended that a dead one has left. */
static bool
begin_growth(struct rte_mempool *mp, pool *p)
{
    uint64_t end = wait_end();

    while (!take(&p->growing, 0)) {
        uint32_t owner = __atomic_load_n(&p->growing, __ATOMIC_RELAXED);

        if (owner != 0 && is_dead(owner)) {
            if (mp == NULL)
                return false;
            if (take(&p->growing, owner)) {
                mend_growth(mp, p);
                return true;
            }
        }
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
    uint64_t end = wait_end();
    uint32_t failures = __atomic_load_n(&p->failures, __ATOMIC_ACQUIRE);

    if (rte_rdtsc() < __atomic_load_n(&p->retry, __ATOMIC_RELAXED)
        || rte_rdtsc() < __atomic_load_n(&p->deaf, __ATOMIC_RELAXED))
        return false;
    if (rte_eal_primary_proc_alive(NULL))
        ring(p);
    else
        end = 0;
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

    if (!is_open(p) || !begin_growth(mp, p))
        return false;
    more = p->made != made;
    if (!more && p->made < p->size && mp->populated_size == p->made) {
        if (p->ready == NULL && try_to_lay(p))
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
see_first(struct rte_mempool *mp, pool *p)
{
    while (is_open(p) && !__atomic_load_n(&p->seen, __ATOMIC_ACQUIRE)) {
        if (!begin_growth(mp, p))
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
    see_first(mp, p);
    do {
        made = made_of(p);
        lock_stack(p);
        got = collect(p, objects, n);
        if (got)
            refill(p, make_shelf(p));
        unlock(&p->lock);
    } while (!got && grow(mp, p, made));
    if (is_low(p) && !__atomic_load_n(&p->asked, __ATOMIC_RELAXED))
        ring(p);
    return got ? 0 : -ENOBUFS;
}

static int
ops_get(struct rte_mempool *mp, void **objects, unsigned n)
{
    pool  *p = mp->pool_data;
    shelf *s;

    if (unlikely(!is_ours(mp)))
        return refuse(mp);
    if (unlikely(me == 0))
        join();
    s = my_shelf(p);
    if (likely(s != NULL && lock_alive(&s->lock) == 0)) {
        if (likely(n <= s->count)) {
            move(objects, s->objects + s->count - n, n);
            set(&s->count, s->count - n);
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

/* This process's heap of the pool's socket; the first pool makes it. */
static int
make_heap(unsigned i, int socket)
{
    fpheap_provider provider;
    fpheap_config   config = { .provider = &provider, .nodes = 1 };
    char            name[sizeof heaps[i].zones.prefix];

    if (heaps[i].heap == NULL) {
        snprintf(name, sizeof name, "mempool_%d", socket);
        fpheap_memzone_provider(&provider, &heaps[i].zones, name, 1);
        heaps[i].zones.socket[0] = socket;
        heaps[i].heap = fpheap_create(name, &config);
    }
    return heaps[i].heap != NULL ? 0 : -errno;
}

/* The heap of the pool's socket, or its arenas.  The caller has pools_lock, as
 * for put_heap. */
static int
get_heap(pool *p)
{
    unsigned i  = p->heap_index;
    int      rc = all == NULL ? make_heap(i, p->socket)
                : reserve_arenas(p->socket, (size_t)p->reserve << 20);

    if (rc == 0) {
        p->heap = heaps[i].heap;
        heaps[i].users++;
    } else if (all != NULL && heaps[i].users == 0) {
        remove_arenas(p->socket, true);
    }
    return rc;
}

/* The last pool ends the heap, another gives its regions back. */
static void
put_heap(const pool *p)
{
    unsigned i = p->heap_index;
    int      rc;

    --heaps[i].users;
    if (all != NULL) {
        remove_arenas(p->socket, heaps[i].users == 0);
    } else if (heaps[i].users != 0) {
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
        rte_free(p->shelves[i]);
    while (p->spare != NULL)
        rte_free(take_spare(p));
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
    put_heap(p);
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
        || !begin_growth(NULL, p))
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

/* For the first pool that needs the control thread: one with objects ahead, or
 * any if there may be secondaries.  The caller has pools_lock. */
static int
need_thread(const pool *p)
{
    thread_id thread;
    int       rc;

    if (has_thread || (all == NULL && p->ahead == 0))
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
        SAY(ERR, "%s=%s is not a number\n", name, text);
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
    if (rc == 0)
        rc = set_option("FPHEAP_MEMPOOL_RESERVE",
                        getenv("FPHEAP_MEMPOOL_RESERVE"), &p->reserve);
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
    rc = make_spares(p);
    if (rc != 0)
        return rc;
    p->heap_index = heap_index(mp);
    p->socket = mp->socket_id;
    rc = get_heap(p);
    if (rc != 0) {
        SAY(ERR, "no heap for pool %s: %s\n", mp->name, rte_strerror(-rc));
        return rc;
    }
    p->grows  = true;
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
    pool *p = rte_zmalloc_socket("fpheap_pool",
                                 sizeof *p + mp->size * sizeof *p->stack,
                                 RTE_CACHE_LINE_SIZE, mp->socket_id);

    if (p != NULL) {
        memcpy(p->kind, KIND, sizeof KIND);
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
    join();
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
    if (!p->grows) {
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

    if (p == NULL || !p->grows)
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
    (void)take(&p->growing, 0);  /* nobody else knows it yet */
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
