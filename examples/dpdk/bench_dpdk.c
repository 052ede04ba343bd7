/* bench_dpdk.c - fpheap beside rte_mempool and rte_malloc, in one process
 * SPDX-License-Identifier: MIT OR Unlicense OR BSD-3-Clause
 *
 *     cc -O3 -march=native $(pkg-config --cflags libdpdk) bench_dpdk.c \
 *        -o bench_dpdk $(pkg-config --libs libdpdk) -pthread
 *     ./bench_dpdk --no-pci --in-memory -l 0,1 -m 512 -- [-r repeats] [-R] [row ...]
 *
 * bench_dpdk.sh builds it twice, runs both in turn and prints one table.
 *
 * Each repeat of a row runs all allocators, one after the other, beginning with
 * another one each time; what a row does is the same source for everybody and
 * is inlined into it but for rte_malloc, which is a call.  A first repeat is for
 * practice.  -R prints each figure instead of the least and the median.
 *
 *     pair, bulk_N    256 bytes got and put at once, one or N in a call
 *     fifo_N          64 bytes, N outstanding: get one, put the oldest
 *     mixed           16 .. 2048 bytes, 10,000 live: put any one, get another
 *     pipeline        256 bytes, bursts of 32 from one lcore to the other; _late:
 *                     once more, after other rows have parked a million objects
 *     two_pair, two_mixed   the same work on two lcores at the same time
 *     pN              one allocation of mixed, in TSC cycles with reading it
 *     pN_hammered     the same while a control thread works on the same heap
 *
 * heap is fpheap as rte_malloc is called, heap_sized with the size given to free,
 * which is what a mempool knows.  A mempool's bursts come from its cache of 512
 * on each lcore; a heap's magazines hold as many.
 */
#define FPHEAP_MAX_NODES 8
#define FPHEAP_IMPLEMENTATION
#include "../../fpheap.h"
#include "fpheap_memzone.h"

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_malloc.h>
#include <rte_mempool.h>
#include <rte_ring.h>
#include <rte_version.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#ifndef BENCH_FLAGS
#  define BENCH_FLAGS "unknown"
#endif

#define STEPS   (1u << 17)       /* of a repeat; rte_malloc's: */
#define SLOW    (STEPS / 16)     /* it takes up to a thousand times as long */
#define BIG     256u
#define SMALL   64u
#define LIVE    262144u
#define MIXED   10000u
#define HAMMER  1000u
#define CACHE   RTE_MEMPOOL_CACHE_MAX_SIZE
#define TICKS   (1u << 20)       /* longer ones count as this long */

#define INLINE  static inline __attribute__((always_inline))
#define USE(p)  __asm__ volatile("" : : "r"(p) : "memory")
#define HIDE(x) __asm__ volatile("" : "+r"(x))
#define DONE()  __asm__ volatile("" : : : "memory")

/* fpheap told no size, fpheap told the size, its pool, three mempools. */
enum { HEAP, SIZED, POOL, RING, STACK, LF, MALLOC, PEERS };

static const char *const peer_names[PEERS] = {
    "heap", "heap_sized", "pool", "mp_ring", "mp_stack", "mp_lf", "rte_malloc"
};

static unsigned repeats = 21;
static int      raw;
static fpheap  *heap;
static void    *big[PEERS];      /* what take and give want, for BIG */
static void    *small[PEERS];
static void   **outstanding[PEERS];
static double   ns_per_cycle;

static void
die(const char *what)
{
    fprintf(stderr, "bench_dpdk: %s\n", what);
    exit(1);
}

/* --- allocators: which one is a constant wherever these are called ---------- */

INLINE void *
take(int peer, void *from, size_t size)
{
    void *object = NULL;

    if (peer == HEAP || peer == SIZED)
        return fpheap_alloc(from, size);
    if (peer == POOL)
        return fpheap_pool_get(from);
    if (peer == MALLOC)
        return rte_malloc(NULL, size, 0);
    if (rte_mempool_get(from, &object) != 0)
        return NULL;
    return object;
}

INLINE void
give(int peer, void *from, void *object, size_t size)
{
    if (peer == HEAP)
        fpheap_free(from, object);
    else if (peer == SIZED)
        fpheap_free_sized(from, object, size);
    else if (peer == POOL)
        fpheap_pool_put(from, object);
    else if (peer == MALLOC)
        rte_free(object);
    else
        rte_mempool_put(from, object);
}

INLINE int
take_bulk(int peer, void *from, void **objects, unsigned n, size_t size)
{
    unsigned i;

    if (peer == HEAP || peer == SIZED)
        return fpheap_alloc_bulk(from, size, objects, n);
    if (peer == POOL)
        return fpheap_pool_get_bulk(from, objects, n);
    if (peer != MALLOC)
        return rte_mempool_get_bulk(from, objects, n);
    for (i = 0; i < n; i++)
        objects[i] = rte_malloc(NULL, size, 0);
    return objects[n - 1] == NULL;
}

INLINE void
give_bulk(int peer, void *from, void **objects, unsigned n, size_t size)
{
    unsigned i;

    if (peer == HEAP)
        fpheap_free_bulk(from, objects, n);
    else if (peer == SIZED)
        fpheap_free_bulk_sized(from, objects, n, size);
    else if (peer == POOL)
        fpheap_pool_put_bulk(from, objects, n);
    else if (peer != MALLOC)
        rte_mempool_put_bulk(from, objects, n);
    else
        for (i = 0; i < n; i++)
            rte_free(objects[i]);
}

INLINE unsigned
steps_of(int peer)
{
    return peer == MALLOC ? SLOW : STEPS;
}

/* --- the work of a repeat ---------------------------------------------------- */

typedef struct work {
    int      peer;
    unsigned n;
    unsigned repeat;
} work;

INLINE void
pair_steps(int peer, const work *w)
{
    void    *from = big[peer];
    unsigned i;

    (void)w;
    for (i = 0; i < steps_of(peer); i++) {
        void *object = take(peer, from, BIG);

        USE(object);
        give(peer, from, object, BIG);
        DONE();
    }
}

/* The array lies elsewhere in its page at each repeat: a load that has the low 12
 * address bits of an earlier store waits for it, and whom that befalls would be
 * a matter of luck. */
static void *bursts[256 + 4096 / sizeof(void *)] __rte_aligned(4096);

INLINE void
bulk_steps(int peer, const work *w)
{
    void   **burst = bursts + w->repeat * (9 * 64 / sizeof(void *)) % 512;
    void    *from  = big[peer];
    unsigned n     = w->n;
    unsigned i;

    HIDE(n);
    for (i = 0; i < steps_of(peer); i += n) {
        if (take_bulk(peer, from, burst, n, BIG) != 0)
            die("no memory for a bulk");
        DONE();
        give_bulk(peer, from, burst, n, BIG);
        DONE();
    }
}

INLINE void
fifo_steps(int peer, const work *w)
{
    void    *from = small[peer];
    void   **live = outstanding[peer];
    unsigned at   = w->repeat * steps_of(peer); /* where the last one ended */
    unsigned end  = at + steps_of(peer);

    for (; at != end; at++) {
        void **oldest = &live[at & (w->n - 1)];
        void  *object = take(peer, from, SMALL);

        USE(object);
        give(peer, from, *oldest, SMALL);
        *oldest = object;
        DONE();
    }
}

typedef struct step {
    uint32_t index;              /* of the object that goes */
    uint32_t size;               /* of the one that comes */
} step;

typedef struct slot {
    void  *object;
    size_t size;
} slot;

static step steps[STEPS];
static slot slots[2][PEERS][MIXED]; /* of each lcore */

INLINE void
mixed_steps(int peer, const work *w, slot *mine)
{
    void    *from = big[peer];
    unsigned at   = w->repeat * steps_of(peer);
    unsigned end  = at + steps_of(peer);

    for (; at != end; at++) {
        slot  *s    = &mine[steps[at % STEPS].index];
        size_t size = steps[at % STEPS].size;

        USE(s->size);
        give(peer, from, s->object, s->size);
        s->size   = size;
        s->object = take(peer, from, size);
        USE(s->object);
    }
}

static struct rte_ring *ring;

INLINE void
produce_steps(int peer, const work *w)
{
    void    *from = big[peer];
    void    *burst[32];
    unsigned i;

    (void)w;
    for (i = 0; i < steps_of(peer); i += 32) {
        if (take_bulk(peer, from, burst, 32, BIG) != 0)
            die("no memory in the pipeline");
        USE(burst);
        while (rte_ring_sp_enqueue_bulk(ring, burst, 32, NULL) == 0)
            rte_pause();
    }
}

INLINE void
consume_steps(int peer, const work *w)
{
    void    *from = big[peer];
    void    *burst[32];
    unsigned i;

    (void)w;
    for (i = 0; i < steps_of(peer); i += 32) {
        while (rte_ring_sc_dequeue_bulk(ring, burst, 32, NULL) == 0)
            rte_pause();
        give_bulk(peer, from, burst, 32, BIG);
        DONE();
    }
}

/* One function for each kind of work, in which each allocator has a loop of its
 * own, all begun at the start of a cache line by the call. */
#define FOR_EACH_PEER(name, steps_)                                          \
    static __rte_noinline void name##_heap(const work *w) { steps_(HEAP); }   \
    static __rte_noinline void name##_sized(const work *w) { steps_(SIZED); } \
    static __rte_noinline void name##_pool(const work *w) { steps_(POOL); }   \
    static __rte_noinline void name##_mp(const work *w)                      \
    {                                                                        \
        if (w->peer == RING)                                                 \
            steps_(RING);                                                    \
        else if (w->peer == STACK)                                           \
            steps_(STACK);                                                   \
        else                                                                 \
            steps_(LF);                                                      \
    }                                                                        \
    static __rte_noinline void name##_malloc(const work *w) { steps_(MALLOC); } \
    static void name(void *arg)                                              \
    {                                                                        \
        static void (*const of[PEERS])(const work *) = {                     \
            name##_heap, name##_sized, name##_pool, name##_mp, name##_mp,    \
            name##_mp, name##_malloc };                                      \
        of[((work *)arg)->peer](arg);                                        \
    }

#define PAIR(p)     pair_steps(p, w)
#define BULK(p)     bulk_steps(p, w)
#define FIFO(p)     fifo_steps(p, w)
#define MIXED_1(p)  mixed_steps(p, w, slots[0][p])
#define MIXED_2(p)  mixed_steps(p, w, slots[1][p])
#define PRODUCE(p)  produce_steps(p, w)
#define CONSUME(p)  consume_steps(p, w)
FOR_EACH_PEER(pair, PAIR)
FOR_EACH_PEER(bulk, BULK)
FOR_EACH_PEER(fifo, FIFO)
FOR_EACH_PEER(mixed, MIXED_1)
FOR_EACH_PEER(mixed_2, MIXED_2)
FOR_EACH_PEER(produce, PRODUCE)
FOR_EACH_PEER(consume, CONSUME)

/* --- the other lcore --------------------------------------------------------- */

static struct {
    uint64_t ordered __rte_cache_aligned;
    uint64_t finished __rte_cache_aligned;
    void   (*job)(void *arg) __rte_cache_aligned;
    void    *arg;
    unsigned lcore;
} other;

static int
other_main(void *unused)
{
    uint64_t job = 0;

    (void)unused;
    for (;;) {
        job++;
        while (__atomic_load_n(&other.ordered, __ATOMIC_ACQUIRE) < job)
            rte_pause();
        if (other.job == NULL)
            return 0;
        other.job(other.arg);
        __atomic_store_n(&other.finished, job, __ATOMIC_RELEASE);
    }
}

static void
other_order(void (*job)(void *arg), void *arg)
{
    other.job = job;
    other.arg = arg;
    __atomic_store_n(&other.ordered, other.ordered + 1, __ATOMIC_RELEASE);
}

static void
other_wait(void)
{
    while (__atomic_load_n(&other.finished, __ATOMIC_ACQUIRE) != other.ordered)
        rte_pause();
}

/* Its processor is the control thread's while it is away. */
static void
other_start(void)
{
    other.ordered = other.finished = 0;
    if (rte_eal_remote_launch(other_main, NULL, other.lcore) != 0)
        die("the second lcore does not start");
}

static void
other_end(void)
{
    other_order(NULL, NULL);
    rte_eal_wait_lcore(other.lcore);
}

/* --- figures ----------------------------------------------------------------- */

static int
ascending(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return (x > y) - (x < y);
}

/* figures[peer][repeat] in TSC cycles; unit "ns" converts. */
static void
report(const char *row, const char *unit, double (*figures)[PEERS], unsigned peers)
{
    double   factor = strcmp(unit, "ns") == 0 ? ns_per_cycle : 1;
    double   sorted[1000];
    int      median;
    int      p;
    unsigned i;

    for (p = 0; raw && p < PEERS; p++)
        for (i = 0; (peers >> p & 1) != 0 && i < repeats; i++)
            printf("%s %s %s %.4f\n", row, peer_names[p], unit,
                   figures[i][p] * factor);
    for (median = 0; !raw && median < 2; median++) {
        printf("%-16s %-6s", median ? "" : row, median ? "median" : "min");
        for (p = 0; p < PEERS; p++) {
            for (i = 0; i < repeats; i++)
                sorted[i] = figures[i][p] * factor;
            qsort(sorted, repeats, sizeof sorted[0], ascending);
            if (peers >> p & 1)
                printf(" %10.2f", sorted[median ? repeats / 2 : 0]);
            else
                printf(" %10s", "-");
        }
        printf(" %s\n", unit);
    }
    fflush(stdout);
}

typedef struct row {
    const char *name;
    void      (*job)(void *arg);
    void      (*second)(void *arg); /* on the other lcore meanwhile; or NULL */
    unsigned    n;
    unsigned    peers;
} row;

#define ALL    ((1u << PEERS) - 1)
#define RANDOM (1u << HEAP | 1u << SIZED | 1u << MALLOC)

static void
fill_outstanding(int p, unsigned n, int filling)
{
    unsigned i;

    for (i = 0; i < n; i++)
        if (filling)
            outstanding[p][i] = p == MALLOC ? rte_malloc(NULL, SMALL, 0)
                              : p >= RING ? take(RING, small[p], SMALL)
                              : p == POOL ? fpheap_pool_get(small[p])
                                          : fpheap_alloc(heap, SMALL);
        else if (p == MALLOC)
            rte_free(outstanding[p][i]);
        else if (p >= RING)
            rte_mempool_put(small[p], outstanding[p][i]);
        else
            fpheap_free(heap, outstanding[p][i]);
}

/* What is live in the mixed rows is there in these only: rte_malloc's list of
 * free memory is not to be long in the others. */
static void
fill_slots(int p, unsigned lcore, int filling)
{
    unsigned i;

    for (i = 0; i < MIXED; i++) {
        slot *s = &slots[lcore][p][i];

        if (filling)
            s->size = steps[i].size;
        if (filling)
            s->object = p == MALLOC ? rte_malloc(NULL, s->size, 0)
                                    : fpheap_alloc(heap, s->size);
        else if (p == MALLOC)
            rte_free(s->object);
        else
            fpheap_free(heap, s->object);
    }
}

static void
fill(const row *r, int filling)
{
    int p;

    for (p = 0; p < PEERS; p++) {
        if (r->job == fifo)
            fill_outstanding(p, r->n, filling);
        if (r->job == mixed && (r->peers >> p & 1) != 0)
            fill_slots(p, 0, filling);
        if (r->second == mixed_2 && (r->peers >> p & 1) != 0)
            fill_slots(p, 1, filling);
    }
}

static void
run_row(const row *r)
{
    static double figures[1000][PEERS];
    unsigned      repeat;
    int           i;

    fill(r, 1);
    if (r->second != NULL)
        other_start();
    for (repeat = 0; repeat <= repeats; repeat++) {
        for (i = 0; i < PEERS; i++) {
            work     w = { (int)((repeat + (unsigned)i) % PEERS), r->n, repeat };
            work     w2 = w;
            uint64_t start = rte_rdtsc_precise();

            if ((r->peers >> w.peer & 1) == 0)
                continue;
            if (r->second != NULL)
                other_order(r->second, &w2);
            r->job(&w);
            if (r->second != NULL)
                other_wait();
            if (repeat > 0)
                figures[repeat - 1][w.peer] =
                    (double)(rte_rdtsc_precise() - start)
                    / steps_of(w.peer);
        }
    }
    if (r->second != NULL)
        other_end();
    fill(r, 0);
    report(r->name, "ns", figures, r->peers);
    if (!raw)
        report(r->name, "cycles", figures, r->peers);
}

/* --- how long one allocation may take ---------------------------------------- */

#define LATENCY(peer) ((peer) == MALLOC ? STEPS / 4 : STEPS)

INLINE void
latency_steps(int peer, uint32_t *histogram)
{
    slot    *mine = slots[0][peer];
    void    *from = big[peer];
    unsigned i;

    for (i = 0; i < LATENCY(peer); i++) {
        slot    *s    = &mine[steps[i].index];
        size_t   size = steps[i].size;
        uint64_t taken;

        give(peer, from, s->object, s->size);
        s->size = size;
        rte_mb();
        taken = rte_rdtsc_precise();
        s->object = take(peer, from, size);
        USE(s->object);
        taken = rte_rdtsc_precise() - taken;
        histogram[RTE_MIN(taken, TICKS - 1)]++;
    }
}

static void
percentiles(const uint32_t *histogram, unsigned n, double *p50, double *p99,
            double *p999)
{
    static const double shares[] = { 0.5, 0.99, 0.999 };
    double  *to[]  = { p50, p99, p999 };
    uint64_t seen  = 0;
    unsigned next  = 0;
    unsigned t;

    for (t = 0; t < TICKS && next < 3; t++) {
        seen += histogram[t];
        while (next < 3 && (double)seen >= shares[next] * n)
            *to[next++] = t;
    }
}

static int      hammering;       /* the peer, or -1: stop */
static uint64_t blows;           /* written by the control thread */

INLINE void
hammer(int peer)
{
    static slot mine[PEERS][HAMMER];
    unsigned    i;

    for (i = 0; __atomic_load_n(&hammering, __ATOMIC_RELAXED) == peer; i++) {
        slot *s = &mine[peer][i % HAMMER];

        if (s->object != NULL)
            give(peer, heap, s->object, s->size);
        s->size   = steps[i % STEPS].size;
        s->object = take(peer, heap, s->size);
        __atomic_store_n(&blows, blows + 1, __ATOMIC_RELAXED);
    }
    for (i = 0; i < HAMMER; i++)
        give(peer, heap, mine[peer][i].object, mine[peer][i].size);
    memset(mine, 0, sizeof mine);
}

/* A control thread as an application has it: no lcore, on another processor. */
static void *
control_main(void *unused)
{
    int peer = __atomic_load_n(&hammering, __ATOMIC_ACQUIRE);

    (void)unused;
    if (peer == HEAP)
        hammer(HEAP);
    else
        hammer(MALLOC);
    return NULL;
}

static pthread_t
control_start(int peer)
{
    rte_cpuset_t cpus = rte_lcore_cpuset(other.lcore);
    pthread_t    id;
    uint64_t     before = __atomic_load_n(&blows, __ATOMIC_RELAXED);

    __atomic_store_n(&hammering, peer, __ATOMIC_RELEASE);
    if (pthread_create(&id, NULL, control_main, NULL) != 0
        || pthread_setaffinity_np(id, sizeof cpus, &cpus) != 0)
        die("no control thread");
    while (__atomic_load_n(&blows, __ATOMIC_RELAXED) < before + HAMMER)
        rte_pause();
    return id;
}

static void
control_end(pthread_t id)
{
    __atomic_store_n(&hammering, -1, __ATOMIC_RELEASE);
    pthread_join(id, NULL);
}

static void
run_latency(const row *r)
{
    static const char *const names[2][3] = {
        { "p50", "p99", "p99.9" },
        { "p50_hammered", "p99_hammered", "p99.9_hammered" } };
    static double   figures[2][3][1000][PEERS];
    static uint32_t histogram[TICKS];
    unsigned        repeat, which;
    int             hammered, k;

    fill(r, 1);
    for (repeat = 0; repeat <= repeats; repeat++)
        for (which = 0; which < 4; which++) {
            int       peer = which & 1 ? MALLOC : HEAP;
            unsigned  at   = repeat == 0 ? 0 : repeat - 1;
            pthread_t id   = 0;

            hammered = which >> 1;
            memset(histogram, 0, sizeof histogram);
            if (hammered)
                id = control_start(peer);
            if (peer == HEAP)
                latency_steps(HEAP, histogram);
            else
                latency_steps(MALLOC, histogram);
            if (hammered)
                control_end(id);
            percentiles(histogram, LATENCY(peer),
                        &figures[hammered][0][at][peer],
                        &figures[hammered][1][at][peer],
                        &figures[hammered][2][at][peer]);
        }
    fill(r, 0);
    for (hammered = 0; hammered < 2; hammered++)
        for (k = 0; k < 3; k++)
            report(names[hammered][k], "cycles", figures[hammered][k],
                   1u << HEAP | 1u << MALLOC);
}

/* --- making ready ------------------------------------------------------------ */

static void
open_heap(void)
{
    fpheap_pool_desc desc = { .name = "big", .size = BIG,
                              .magazine = FPHEAP_MAGAZINE };
    static fpheap_memzone zones;
    fpheap_provider  provider;
    fpheap_config    config = { .provider = &provider, .nodes = 1 };

    fpheap_memzone_provider(&provider, &zones, "bench", config.nodes);
    heap = fpheap_create("bench", &config);
    if (heap == NULL || fpheap_reserve(heap, 128u << 20, 0) != 0)
        die("no heap");
    big[HEAP] = big[SIZED] = small[HEAP] = small[SIZED] = heap;
    big[POOL] = fpheap_pool_create(heap, &desc);
    desc.name = "small";
    desc.size = SMALL;
    small[POOL] = fpheap_pool_create(heap, &desc);
    if (big[POOL] == NULL || small[POOL] == NULL)
        die("no pool");
}

static void *
open_mempool(int peer, const char *ops, unsigned n, unsigned size)
{
    struct rte_mempool *mp;
    char                name[RTE_MEMPOOL_NAMESIZE];

    snprintf(name, sizeof name, "%s_%u", peer_names[peer], size);
    mp = rte_mempool_create_empty(name, n, size, CACHE, 0, SOCKET_ID_ANY, 0);
    if (mp == NULL || rte_mempool_set_ops_byname(mp, ops, NULL) != 0
        || rte_mempool_populate_default(mp) < 0)
        die("no mempool");
    return mp;
}

static uint64_t
next_random(void)
{
    static uint64_t state = 88172645463325252u;

    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state >> 32;
}

static void
prepare(void)
{
    static const char *const ops[] = { "ring_mp_mc", "stack", "lf_stack" };
    unsigned i;
    int      p;

    open_heap();
    for (p = RING; p <= LF; p++) {
        big[p]   = open_mempool(p, ops[p - RING], 16383, BIG);
        small[p] = open_mempool(p, ops[p - RING], LIVE + 8191, SMALL);
    }
    for (p = 0; p < PEERS; p++)
        outstanding[p] = calloc(LIVE, sizeof(void *));
    for (i = 0; i < STEPS; i++) {
        steps[i].index = (uint32_t)(next_random() % MIXED);
        steps[i].size  = (uint32_t)(16 + next_random() % 2033);
    }
    ring = rte_ring_create("bench", 1024, SOCKET_ID_ANY,
                           RING_F_SP_ENQ | RING_F_SC_DEQ);
    other.lcore = rte_get_next_lcore(-1, 1, 0);
    if (ring == NULL || other.lcore >= RTE_MAX_LCORE)
        die("no ring, or no second lcore");
    ns_per_cycle = 1e9 / (double)rte_get_tsc_hz();
}

static void
about(void)
{
    fpheap_stats s;

    fpheap_stats_get(heap, &s);
    printf("# %s, gcc %s\n# flags %s\n# heap of %zu MiB, %zu in hugepages; "
           "TSC %.2f GHz; mempool caches %u; -r %u\n", rte_version(), __VERSION__,
           BENCH_FLAGS, s.region_bytes >> 20,
           s.backing_bytes[FPHEAP_BACKING_HUGETLB] >> 20, 1 / ns_per_cycle, CACHE,
           repeats);
}

static int
wanted(const char *name, char **names, int n)
{
    int i;

    for (i = 0; i < n; i++)
        if (strstr(name, names[i]) != NULL)
            return 1;
    return n == 0;
}

int
main(int argc, char **argv)
{
    static const row rows[] = {
        { "pair", pair, NULL, 1, ALL },
        { "bulk_8", bulk, NULL, 8, ALL },
        { "bulk_32", bulk, NULL, 32, ALL },
        { "bulk_64", bulk, NULL, 64, ALL },
        { "bulk_256", bulk, NULL, 256, ALL },
        { "pipeline", produce, consume, 32, ALL },
        { "fifo_32", fifo, NULL, 32, ALL },
        { "fifo_4096", fifo, NULL, 4096, ALL },
        { "fifo_32768", fifo, NULL, 32768, ALL },
        { "fifo_262144", fifo, NULL, LIVE, ALL },
        { "mixed", mixed, NULL, MIXED, RANDOM },
        { "pipeline_late", produce, consume, 32, ALL },
        { "two_pair", pair, pair, 1, ALL },
        { "two_mixed", mixed, mixed_2, MIXED, RANDOM },
        { "latency", mixed, NULL, MIXED, 1u << HEAP | 1u << MALLOC },
    };
    fpheap_stats stats;
    int    used, option, p;
    size_t i;

    (void)setpriority(PRIO_PROCESS, 0, -20); /* if we may; lcores inherit it */
    used = rte_eal_init(argc, argv);
    if (used < 0)
        die("EAL does not start");
    optind = 1;                  /* EAL has used getopt */
    while ((option = getopt(argc - used, argv + used, "r:R")) != -1)
        if (option == 'r')
            repeats = RTE_MIN(RTE_MAX(atoi(optarg), 1), 999);
        else
            raw = option == 'R';
    prepare();
    about();
    printf("%-23s", "#");
    for (p = 0; p < PEERS; p++)
        printf(" %10s", peer_names[p]);
    printf("\n");
    for (i = 0; i < RTE_DIM(rows); i++)
        if (!wanted(rows[i].name, argv + used + optind, argc - used - optind))
            continue;
        else if (strcmp(rows[i].name, "latency") == 0)
            run_latency(&rows[i]);
        else
            run_row(&rows[i]);
    fpheap_stats_get(heap, &stats);
    printf("# afterwards the heap has %zu MiB; %u growths, %u reclaims\n",
           stats.region_bytes >> 20, (unsigned)stats.growths,
           (unsigned)stats.reclaims);
    return fflush(stdout) != 0;
}
