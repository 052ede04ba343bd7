/* bench - the same work for one allocator after another
 *
 *     bench_fpheap                  every row
 *     bench_fpheap pair mixed       the rows whose names contain one of these
 *     bench_fpheap -l               the names
 *     bench_fpheap -a               compiler, flags, processor
 *     bench_fpheap -r 7 mixed       seven repeats of each row
 *
 * One source, one program for each allocator: the macro PEER names the file that
 * says how to allocate.  Each row runs in a process of its own, so that no row
 * finds what another left behind, and prints one line for each repeat:
 *
 *     row unit value
 *
 * run.sh starts the programs in turn and puts the lines into a table.  What the
 * rows mean is in README.md.
 */
#ifndef _GNU_SOURCE
#  define _GNU_SOURCE 1
#endif
#include "peer.h"

#ifndef PEER
#  error "bench: give -DPEER='\"peer_fpheap.h\"' or another peer"
#endif
#include PEER

#ifndef PEER_POOL
#  define PEER_POOL 0
#endif
#ifndef PEER_POOL_ONLY
#  define PEER_POOL_ONLY 0
#endif

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef BENCH_FLAGS
#  define BENCH_FLAGS "unknown"
#endif

#define STEPS     (1u << 20) /* operations in one repeat of most rows */
#define LINE      64         /* bytes in a cache line */
#define MIXED_MIN 16u
#define MIXED_MAX 2048u
#define MIXED_N   10000u     /* live objects of the mixed rows */
#define MANY      1000000u

/* The compiler must believe that p is used, and that memory has changed: then it
 * can neither drop an allocation nor keep the allocator's state in registers from
 * one call to the next. */
#define USE(p)    __asm__ volatile("" : : "r"(p) : "memory")
#define HIDE(x)   __asm__ volatile("" : "+r"(x))
#define COMPLETE() __asm__ volatile("" : : : "memory")

static unsigned repeats = 7;

/* --- the machine ----------------------------------------------------------- */

static int cpu_of[2] = { -1, -1 }; /* the first two that we may use */

static void
find_cpus(void)
{
    cpu_set_t allowed;
    int       cpu;
    int       found = 0;

    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0)
        return;
    for (cpu = 0; cpu < CPU_SETSIZE && found < 2; cpu++)
        if (CPU_ISSET(cpu, &allowed))
            cpu_of[found++] = cpu;
}

static void
pin(int which)
{
    cpu_set_t one;

    if (cpu_of[which] < 0)
        return;
    CPU_ZERO(&one);
    CPU_SET(cpu_of[which], &one);
    (void)sched_setaffinity(0, sizeof one, &one);
}

static double
now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* Cycles of the time stamp counter where there is one, all earlier instructions
 * done and no later one begun. */
BENCH_INLINE uint64_t
ticks(void)
{
#if defined(__x86_64__)
    uint64_t t;

    __builtin_ia32_lfence();
    t = __builtin_ia32_rdtsc();
    __builtin_ia32_lfence();
    return t;
#else
    return (uint64_t)now_ns();
#endif
}

BENCH_INLINE void
relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
}

/* Memory of our own that is none of the allocator's business. */
static void *
own_memory(size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

    if (p == MAP_FAILED) {
        fprintf(stderr, "bench: out of memory\n");
        exit(1);
    }
    return p;
}

/* stdio would allocate a buffer, so read by hand. */
static size_t
resident_bytes(void)
{
    char    text[128];
    ssize_t n;
    size_t  total = 0;
    size_t  resident = 0;
    int     fd = open("/proc/self/statm", O_RDONLY);

    if (fd < 0)
        return 0;
    n = read(fd, text, sizeof text - 1);
    close(fd);
    if (n <= 0)
        return 0;
    text[n] = '\0';
    if (sscanf(text, "%zu %zu", &total, &resident) != 2)
        return 0;
    return resident * (size_t)sysconf(_SC_PAGESIZE);
}

static uint64_t random_state = 88172645463325252u;

static uint32_t
random_below(uint32_t n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)(((random_state >> 32) * n) >> 32);
}

static void
emit(const char *row, const char *unit, double value)
{
    printf("%s %s %.4f\n", row, unit, value);
}

/* --- a second thread ------------------------------------------------------- */

typedef struct shared_word {
    _Alignas(LINE) uint64_t value;
    char pad[LINE - sizeof(uint64_t)];
} shared_word;

BENCH_INLINE uint64_t
load_acquire(const shared_word *w)
{
    return __atomic_load_n(&w->value, __ATOMIC_ACQUIRE);
}

BENCH_INLINE void
store_release(shared_word *w, uint64_t value)
{
    __atomic_store_n(&w->value, value, __ATOMIC_RELEASE);
}

/* Waits politely once it has waited long: other programs may want the core that
 * the value will come from. */
BENCH_INLINE void
wait_until(const shared_word *w, uint64_t least)
{
    unsigned spins = 0;

    while (load_acquire(w) < least) {
        if (++spins > 20000)
            sched_yield();
        else
            relax();
    }
}

/* The second thread lives as long as its row, so that what its cache holds is
 * not flushed between repeats. */
typedef struct second_thread {
    shared_word command;           /* number of jobs ordered */
    shared_word finished;          /* number of jobs done */
    void      (*job)(void *arg);
    void       *arg;
    pthread_t   id;
} second_thread;

static second_thread other;

static void *
second_main(void *unused)
{
    uint64_t job = 0;

    (void)unused;
    pin(1);
    for (;;) {
        wait_until(&other.command, ++job);
        if (other.job == NULL)
            return NULL;
        other.job(other.arg);
        store_release(&other.finished, job);
    }
}

static int
second_start(const char *row)
{
    if (cpu_of[1] < 0) {
        fprintf(stderr, "bench: %s needs two processors\n", row);
        return 0;
    }
    return pthread_create(&other.id, NULL, second_main, NULL) == 0;
}

static void
second_order(void (*job)(void *arg), void *arg)
{
    other.job = job;
    other.arg = arg;
    store_release(&other.command, other.command.value + 1);
}

static void
second_wait(void)
{
    wait_until(&other.finished, other.command.value);
}

static void
second_end(void)
{
    second_order(NULL, NULL);
    pthread_join(other.id, NULL);
}

/* --- one object at a time -------------------------------------------------- */

typedef struct row {
    const char *name;
    void      (*run)(const struct row *row);
    unsigned    n; /* objects outstanding, or in a burst */
} row;

typedef enum freeing { UNSIZED, SIZED } freeing;

BENCH_INLINE void
give_back(peer p, void *object, size_t size, freeing how)
{
    if (how == SIZED)
        peer_free_sized(p, object, size);
    else
        peer_free(p, object, size);
}

/* Run once for practice and then for the record. */
#define REPEAT(row_, unit_, operations, work)                              \
    do {                                                                   \
        unsigned repeat_;                                                  \
        for (repeat_ = 0; repeat_ <= repeats; repeat_++) {                 \
            double start_ = now_ns();                                      \
            work;                                                          \
            if (repeat_ > 0)                                               \
                emit((row_)->name, unit_,                                  \
                     (now_ns() - start_) / (double)(operations));          \
        }                                                                  \
    } while (0)

BENCH_INLINE void
pair_steps(peer p, size_t size, freeing how)
{
    unsigned i;

    for (i = 0; i < STEPS; i++) {
        void *object = peer_alloc(p, size);

        USE(object);
        give_back(p, object, size, how);
        COMPLETE();
    }
}

static const stock stock_256 = { 256, 256, 4096, 16u << 20 };

static void
run_pair_sized(const row *r)
{
    peer p = peer_prepare(&stock_256);

    REPEAT(r, "ns", STEPS, pair_steps(p, 256, SIZED));
}

static void
run_pair_unsized(const row *r)
{
    peer p = peer_prepare(&stock_256);

    REPEAT(r, "ns", STEPS, pair_steps(p, 256, UNSIZED));
}

/* The compiler does not know the size and has to compute the class. */
static void
run_pair_variable(const row *r)
{
    peer   p = peer_prepare(&stock_256);
    size_t size = 256;

    HIDE(size);
    REPEAT(r, "ns", STEPS, pair_steps(p, size, SIZED));
}

/* --- bulks ----------------------------------------------------------------- */

static void *burst[256];

/* The caller's array lies elsewhere in its page at each repeat: a load that has the
 * low 12 address bits of an earlier store waits for it, and whom that befalls would
 * be a matter of luck. */
static void *bursts[256 + 4096 / sizeof(void *)]
    __attribute__((aligned(4096)));

BENCH_INLINE void
bulk_steps(peer p, unsigned n, unsigned repeat)
{
    void   **burst = bursts + repeat * (9 * 64 / sizeof(void *)) % 512;
    unsigned i;

    for (i = 0; i < STEPS; i += n) {
        if (peer_alloc_bulk(p, 256, burst, n) != 0)
            abort();
        COMPLETE();
        peer_free_bulk(p, burst, n, 256);
        COMPLETE();
    }
}

static void
run_bulk(const row *r)
{
    peer     p = peer_prepare(&stock_256);
    unsigned n = r->n;

    HIDE(n);
    REPEAT(r, "ns", STEPS, bulk_steps(p, n, repeat_));
}

/* --- pools ----------------------------------------------------------------- */

#if PEER_POOL
BENCH_INLINE void
pool_pair_steps(peer_pool pool)
{
    unsigned i;

    for (i = 0; i < STEPS; i++) {
        void *object = peer_pool_get(pool);

        USE(object);
        peer_pool_put(pool, object);
        COMPLETE();
    }
}

static void
run_pool_pair(const row *r)
{
    peer_pool pool = peer_pool_prepare(&stock_256);

    REPEAT(r, "ns", STEPS, pool_pair_steps(pool));
}

BENCH_INLINE void
pool_bulk_steps(peer_pool pool, unsigned n, unsigned repeat)
{
    void   **burst = bursts + repeat * (9 * 64 / sizeof(void *)) % 512;
    unsigned i;

    for (i = 0; i < STEPS; i += n) {
        if (peer_pool_get_bulk(pool, burst, n) != 0)
            abort();
        COMPLETE();
        peer_pool_put_bulk(pool, burst, n);
        COMPLETE();
    }
}

static void
run_pool_bulk(const row *r)
{
    peer_pool pool = peer_pool_prepare(&stock_256);
    unsigned  n = r->n;

    HIDE(n);
    REPEAT(r, "ns", STEPS, pool_bulk_steps(pool, n, repeat_));
}
#else
#  define run_pool_pair NULL
#  define run_pool_bulk NULL
#endif

/* --- many outstanding ------------------------------------------------------ */

static void   **live;     /* the objects that are outstanding */
static uint32_t *choice;  /* which of them to replace, STEPS entries */

static void
fill_live(peer p, size_t size, unsigned n)
{
    unsigned i;

    live = own_memory(n * sizeof *live);
    for (i = 0; i < n; i++)
        live[i] = peer_alloc(p, size);
}

static void
fill_choice(unsigned n)
{
    unsigned i;

    choice = own_memory(STEPS * sizeof *choice);
    for (i = 0; i < STEPS; i++)
        choice[i] = random_below(n);
}

/* Take n, then give all back, the last one first. */
BENCH_INLINE void
lifo_steps(peer p, size_t size, unsigned n)
{
    unsigned done;
    unsigned i;

    for (done = 0; done < STEPS; done += n) {
        for (i = 0; i < n; i++) {
            live[i] = peer_alloc(p, size);
            USE(live[i]);
        }
        for (i = n; i-- > 0;) {
            peer_free(p, live[i], size);
            COMPLETE();
        }
    }
}

/* Take one, then give back the oldest. */
BENCH_INLINE void
fifo_steps(peer p, size_t size, unsigned n, freeing how)
{
    unsigned i;

    for (i = 0; i < STEPS; i++) {
        void **oldest = &live[i & (n - 1)];
        void  *object = peer_alloc(p, size);

        USE(object);
        give_back(p, *oldest, size, how);
        *oldest = object;
        COMPLETE();
    }
}

/* Take one, then give back any of those outstanding. */
BENCH_INLINE void
random_steps(peer p, size_t size)
{
    unsigned i;

    for (i = 0; i < STEPS; i++) {
        void **any = &live[choice[i]];
        void  *object = peer_alloc(p, size);

        USE(object);
        peer_free(p, *any, size);
        *any = object;
        COMPLETE();
    }
}

static peer
prepare_outstanding(size_t size, unsigned n)
{
    stock s;

    s.smallest = size;
    s.largest = size;
    s.each = n + 4096;
    s.bytes = (n + 8192) * size / 8 * 9 + (8u << 20); /* ends of slabs */
    return peer_prepare(&s);
}

static void
run_lifo(const row *r)
{
    peer p = prepare_outstanding(64, r->n);

    live = own_memory(r->n * sizeof *live);
    REPEAT(r, "ns", STEPS, lifo_steps(p, 64, r->n));
}

static void
run_fifo(const row *r)
{
    peer p = prepare_outstanding(64, r->n);

    fill_live(p, 64, r->n);
    REPEAT(r, "ns", STEPS, fifo_steps(p, 64, r->n, UNSIZED));
}

static void
run_fifo_sized(const row *r)
{
    peer p = prepare_outstanding(64, r->n);

    fill_live(p, 64, r->n);
    REPEAT(r, "ns", STEPS, fifo_steps(p, 64, r->n, SIZED));
}

static void
run_random(const row *r)
{
    peer p = prepare_outstanding(64, r->n);

    fill_live(p, 64, r->n);
    fill_choice(r->n);
    REPEAT(r, "ns", STEPS, random_steps(p, 64));
}

static void
run_random_2k(const row *r)
{
    peer p = prepare_outstanding(2048, r->n);

    fill_live(p, 2048, r->n);
    fill_choice(r->n);
    REPEAT(r, "ns", STEPS, random_steps(p, 2048));
}

/* --- mixed sizes ----------------------------------------------------------- */

typedef struct mixed_step {
    uint32_t index; /* of the object that goes */
    uint32_t size;  /* of the object that comes */
} mixed_step;

typedef struct mixed_slot {
    void  *object;
    size_t size;
} mixed_slot;

/* What a thread needs for the mixed work. */
typedef struct mixed_work {
    mixed_step *steps;
    mixed_slot *slots;
    peer        p;
} mixed_work;

static const stock stock_mixed = { MIXED_MIN, MIXED_MAX, 4096, 64u << 20 };

static mixed_work
mixed_prepare(void)
{
    mixed_work w;
    unsigned   i;

    w.p = peer_prepare(&stock_mixed);
    w.steps = own_memory(STEPS * sizeof *w.steps);
    w.slots = own_memory(MIXED_N * sizeof *w.slots);
    for (i = 0; i < STEPS; i++) {
        w.steps[i].index = random_below(MIXED_N);
        w.steps[i].size = MIXED_MIN + random_below(MIXED_MAX - MIXED_MIN + 1);
    }
    for (i = 0; i < MIXED_N; i++) {
        w.slots[i].size = MIXED_MIN + random_below(MIXED_MAX - MIXED_MIN + 1);
        w.slots[i].object = peer_alloc(w.p, w.slots[i].size);
    }
    return w;
}

/* Replace one object by one of another size.  Everybody reads the old size, also
 * those who do not ask for it. */
BENCH_INLINE void
mixed_steps(mixed_work w, int sized, int touch)
{
    unsigned i;

    for (i = 0; i < STEPS; i++) {
        mixed_slot *slot = &w.slots[w.steps[i].index];
        size_t      size = w.steps[i].size;

        USE(slot->size);
        if (sized)
            peer_free_sized(w.p, slot->object, slot->size);
        else
            peer_free(w.p, slot->object, slot->size);
        slot->size = size;
        slot->object = peer_alloc(w.p, size);
        if (touch)
            memset(slot->object, 1, 16);
        USE(slot->object);
    }
}

static void
run_mixed(const row *r)
{
    mixed_work w = mixed_prepare();

    REPEAT(r, "ns", STEPS, mixed_steps(w, 0 /* sized */, 0 /* touch */));
}

static void
run_mixed_sized(const row *r)
{
    mixed_work w = mixed_prepare();

    REPEAT(r, "ns", STEPS, mixed_steps(w, 1 /* sized */, 0 /* touch */));
}

static void
run_mixed_touch(const row *r)
{
    mixed_work w = mixed_prepare();

    REPEAT(r, "ns", STEPS, mixed_steps(w, 0 /* sized */, 1 /* touch */));
}

/* --- how long one allocation may take -------------------------------------- */

#define TICKS_MAX (1u << 20) /* longer ones count as this long */

static void
emit_percentiles(const uint32_t *histogram)
{
    static const struct {
        const char *name;
        double      share;
    } wanted[] = {
        { "latency_p50", 0.5 },
        { "latency_p99", 0.99 },
        { "latency_p99.9", 0.999 },
        { "latency_p99.99", 0.9999 },
    };
    uint64_t seen = 0;
    unsigned next = 0;
    unsigned t;

    for (t = 0; t < TICKS_MAX && next < 4; t++) {
        seen += histogram[t];
        while (next < 4 && (double)seen >= wanted[next].share * STEPS)
            emit(wanted[next++].name, "tsc", t);
    }
}

static void
run_latency(const row *r)
{
    mixed_work w = mixed_prepare();
    uint32_t  *histogram = own_memory(TICKS_MAX * sizeof *histogram);
    unsigned   repeat;
    unsigned   i;

    (void)r;
    for (repeat = 0; repeat <= repeats; repeat++) {
        memset(histogram, 0, TICKS_MAX * sizeof *histogram);
        for (i = 0; i < STEPS; i++) {
            mixed_slot *slot = &w.slots[w.steps[i].index];
            size_t      size = w.steps[i].size;
            uint64_t    taken;

            peer_free(w.p, slot->object, slot->size);
            slot->size = size;
            taken = ticks();
            slot->object = peer_alloc(w.p, size);
            USE(slot->object);
            taken = ticks() - taken;
            histogram[taken < TICKS_MAX ? taken : TICKS_MAX - 1]++;
        }
        if (repeat > 0)
            emit_percentiles(histogram);
    }
}

/* --- from one core to another ---------------------------------------------- */

#define PINGS 20000u

static shared_word ping;

static void
answer_pings(void *unused)
{
    uint64_t i;

    (void)unused;
    for (i = 1; i <= PINGS; i++) {
        while (load_acquire(&ping) != 2 * i - 1)
            ;
        store_release(&ping, 2 * i);
    }
}

static void
send_pings(void)
{
    uint64_t i;

    store_release(&ping, 0);
    second_order(answer_pings, NULL);
    for (i = 1; i <= PINGS; i++) {
        store_release(&ping, 2 * i - 1);
        while (load_acquire(&ping) != 2 * i)
            ;
    }
    second_wait();
}

static void
run_pingpong(const row *r)
{
    if (!second_start(r->name))
        return;
    REPEAT(r, "ns", 2 * PINGS, send_pings());
    second_end();
}

/* A ring with one writer and one reader.  Each keeps the other's index as it saw
 * it last and looks again only when the ring seems full or empty. */
#define RING 1024u

static struct {
    shared_word head;       /* pointers ever written */
    shared_word tail;       /* pointers ever read */
    _Alignas(LINE) uint64_t seen_tail; /* writer only */
    _Alignas(LINE) uint64_t seen_head; /* reader only */
    _Alignas(LINE) void    *slots[RING];
} ring;

BENCH_INLINE void
consume(peer p, unsigned n)
{
    uint64_t at = ring.tail.value;
    uint64_t end = at + STEPS;
    unsigned i;

    for (; at != end; at += n) {
        void **slots = &ring.slots[at & (RING - 1)];
        void  *taken[256];

        if (ring.seen_head < at + n) {
            wait_until(&ring.head, at + n);
            ring.seen_head = load_acquire(&ring.head);
        }
        for (i = 0; i < n; i++)
            taken[i] = slots[i];
        store_release(&ring.tail, at + n);
        USE(taken);
        if (PEER_BARE)
            continue;
        if (n == 1)
            peer_free(p, taken[0], 256);
        else
            peer_free_bulk(p, taken, n, 256);
    }
}

BENCH_INLINE void
produce(peer p, unsigned n)
{
    uint64_t at = ring.head.value;
    uint64_t end = at + STEPS;
    unsigned i;

    for (; at != end; at += n) {
        void **slots = &ring.slots[at & (RING - 1)];

        if (n == 1 && !PEER_BARE)
            burst[0] = peer_alloc(p, 256);
        else if (!PEER_BARE && peer_alloc_bulk(p, 256, burst, n) != 0)
            abort();
        USE(burst);
        if (at + n - ring.seen_tail > RING) {
            wait_until(&ring.tail, at + n - RING);
            ring.seen_tail = load_acquire(&ring.tail);
        }
        for (i = 0; i < n; i++)
            slots[i] = burst[i];
        store_release(&ring.head, at + n);
    }
}

static void
consume_32(void *unused)
{
    (void)unused;
    consume(peer_prepare(&stock_256), 32);
}

static void
consume_1(void *unused)
{
    (void)unused;
    consume(peer_prepare(&stock_256), 1);
}

static void
run_pipeline(const row *r)
{
    peer p = peer_prepare(&stock_256);

    if (!second_start(r->name))
        return;
    if (r->n == 32)
        REPEAT(r, "ns", STEPS, (second_order(consume_32, NULL),
                                produce(p, 32), second_wait()));
    else
        REPEAT(r, "ns", STEPS, (second_order(consume_1, NULL),
                                produce(p, 1), second_wait()));
    second_end();
}

/* --- a million at once ----------------------------------------------------- */

BENCH_INLINE void
million(const row *r, size_t size)
{
    peer     p = prepare_outstanding(size, MANY);
    char     name[64];
    unsigned repeat;
    unsigned i;

    live = own_memory(MANY * sizeof *live);
    for (repeat = 0; repeat <= repeats; repeat++) {
        double start = now_ns();
        double middle;
        double end;

        for (i = 0; i < MANY; i++) {
            live[i] = peer_alloc(p, size);
            USE(live[i]);
        }
        middle = now_ns();
        for (i = 0; i < MANY; i++) {
            peer_free(p, live[i], size);
            COMPLETE();
        }
        end = now_ns();
        if (repeat == 0)
            continue;
        snprintf(name, sizeof name, "%s_alloc", r->name);
        emit(name, "ms", (middle - start) / 1e6);
        snprintf(name, sizeof name, "%s_free", r->name);
        emit(name, "ms", (end - middle) / 1e6);
    }
}

static void
run_million_64(const row *r)
{
    million(r, 64);
}

static void
run_million_1k(const row *r)
{
    million(r, 1024);
}

/* --- memory ---------------------------------------------------------------- */

/* A heap grows by itself here: nothing is reserved.  Both ends of each object are
 * written, and none is larger than a page, so all of it is resident. */
static void
run_memory(const row *r)
{
    static const stock nothing_ready = { MIXED_MIN, MIXED_MAX, 1, 0 };
    peer       p;
    uint32_t  *sizes;
    size_t     requested = 0;
    size_t     before;
    memory_use use;
    unsigned   i;

    (void)r;
    if (PEER_BARE)
        return;
    live = own_memory(MANY * sizeof *live);
    sizes = own_memory(MANY * sizeof *sizes);
    for (i = 0; i < MANY; i++) {
        sizes[i] = MIXED_MIN + random_below(MIXED_MAX - MIXED_MIN + 1);
        requested += sizes[i];
    }
    before = resident_bytes();
    p = peer_prepare(&nothing_ready);
    for (i = 0; i < MANY; i++) {
        char *object = peer_alloc(p, sizes[i]);

        object[0] = 1;
        object[sizes[i] - 1] = 1;
        live[i] = object;
    }
    emit("memory_resident", "x",
         (double)(resident_bytes() - before) / (double)requested);
    use = peer_memory();
    if (use.obtained == 0)
        return;
    emit("memory_in_use", "x", (double)use.in_use / (double)requested);
    emit("memory_obtained", "x", (double)use.obtained / (double)requested);
}

/* --- two threads ----------------------------------------------------------- */

/* How much more two threads do than one, in the same process and run. */
static void
speed_up(const row *r, void (*job)(void *arg), void *mine, void *its)
{
    unsigned repeat;

    if (!second_start(r->name))
        return;
    second_order(job, its); /* its cache is made and filled */
    second_wait();
    for (repeat = 0; repeat <= repeats; repeat++) {
        double start = now_ns();
        double one;
        double two;

        job(mine);
        one = now_ns() - start;
        start = now_ns();
        second_order(job, its);
        job(mine);
        second_wait();
        two = now_ns() - start;
        if (repeat > 0)
            emit(r->name, "times", 2 * one / two);
    }
    second_end();
}

static void
pair_job(void *unused)
{
    (void)unused;
    pair_steps(peer_prepare(&stock_256), 256, SIZED);
}

static void
run_threads_pair(const row *r)
{
    (void)peer_prepare(&stock_256);
    speed_up(r, pair_job, NULL, NULL);
}

/* A thread prepares its own work, with its own objects, when it first comes. */
static void
mixed_job(void *arg)
{
    mixed_work *w = arg;

    if (w->steps == NULL)
        *w = mixed_prepare();
    mixed_steps(*w, 0 /* sized */, 0 /* touch */);
}

static void
run_threads_mixed(const row *r)
{
    static mixed_work mine;
    static mixed_work its;

    mixed_job(&mine);
    speed_up(r, mixed_job, &mine, &its);
}

/* --- the rows -------------------------------------------------------------- */

static const row rows[] = {
    { "pair_sized", run_pair_sized, 1 },
    { "pair_unsized", run_pair_unsized, 1 },
    { "pair_variable", run_pair_variable, 1 },
    { "bulk_8", run_bulk, 8 },
    { "bulk_32", run_bulk, 32 },
    { "bulk_64", run_bulk, 64 },
    { "bulk_256", run_bulk, 256 },
    { "pool_pair", run_pool_pair, 1 },
    { "pool_bulk_8", run_pool_bulk, 8 },
    { "pool_bulk_32", run_pool_bulk, 32 },
    { "pool_bulk_64", run_pool_bulk, 64 },
    { "pool_bulk_256", run_pool_bulk, 256 },
    { "lifo_32", run_lifo, 32 },
    { "lifo_256", run_lifo, 256 },
    { "lifo_4096", run_lifo, 4096 },
    { "lifo_32768", run_lifo, 32768 },
    { "lifo_262144", run_lifo, 262144 },
    { "fifo_32", run_fifo, 32 },
    { "fifo_256", run_fifo, 256 },
    { "fifo_4096", run_fifo, 4096 },
    { "fifo_32768", run_fifo, 32768 },
    { "fifo_262144", run_fifo, 262144 },
    { "fifo_sized_32", run_fifo_sized, 32 },
    { "fifo_sized_256", run_fifo_sized, 256 },
    { "fifo_sized_4096", run_fifo_sized, 4096 },
    { "fifo_sized_32768", run_fifo_sized, 32768 },
    { "fifo_sized_262144", run_fifo_sized, 262144 },
    { "random_32", run_random, 32 },
    { "random_256", run_random, 256 },
    { "random_4096", run_random, 4096 },
    { "random_32768", run_random, 32768 },
    { "random_262144", run_random, 262144 },
    { "random_2k_262144", run_random_2k, 262144 },
    { "mixed", run_mixed, MIXED_N },
    { "mixed_sized", run_mixed_sized, MIXED_N },
    { "mixed_touch", run_mixed_touch, MIXED_N },
    { "latency", run_latency, MIXED_N },
    { "pingpong", run_pingpong, 1 },
    { "pipeline_32", run_pipeline, 32 },
    { "pipeline_1", run_pipeline, 1 },
    { "million_64", run_million_64, MANY },
    { "million_1k", run_million_1k, MANY },
    { "memory", run_memory, MANY },
    { "threads_pair", run_threads_pair, 2 },
    { "threads_mixed", run_threads_mixed, 2 },
};

#define ROWS (sizeof rows / sizeof rows[0])

static int
wanted(const char *name, char **names, int n)
{
    int i;

    for (i = 0; i < n; i++)
        if (strstr(name, names[i]) != NULL)
            return 1;
    return n == 0;
}

/* What this peer cannot do it leaves out, without a word: the table has "-". */
static int
can_do(const row *r)
{
    return r->run != NULL
        && (!PEER_POOL_ONLY || strncmp(r->name, "pool_", 5) == 0);
}

/* In a child, which ends without running anybody's exit handlers. */
static int
run_row(const row *r)
{
    pid_t child;
    int   status;

    fflush(stdout);
    child = fork();
    if (child == 0) {
        pin(0);
        r->run(r);
        fflush(stdout);
        _exit(0);
    }
    if (child < 0 || waitpid(child, &status, 0) != child)
        return 1;
    if (status != 0)
        fprintf(stderr, "bench: %s failed with status %d\n", r->name, status);
    return status != 0;
}

static void
about(void)
{
    char  line[256];
    FILE *f = fopen("/proc/cpuinfo", "r");

    printf("compiler  %s\n", __VERSION__);
    printf("flags     %s\n", BENCH_FLAGS);
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        char *colon = strchr(line, ':');

        if (strncmp(line, "model name", 10) == 0 && colon != NULL) {
            printf("cpu       %s", colon + 2);
            break;
        }
    }
    if (f != NULL)
        fclose(f);
}

/* A library that could not be preloaded would leave us with another malloc than
 * the table says. */
static int
library_is_loaded(const char *library)
{
    char  line[512];
    int   found = 0;
    FILE *f = fopen("/proc/self/maps", "r");

    while (f != NULL && fgets(line, sizeof line, f) != NULL)
        found |= strstr(line, library) != NULL;
    if (f != NULL)
        fclose(f);
    return found;
}

int
main(int argc, char **argv)
{
    const char *library = getenv("BENCH_LIBRARY");
    size_t      i;
    int         failed = 0;
    int         option;

    while ((option = getopt(argc, argv, "alr:")) != -1) {
        if (option == 'a') {
            about();
            return 0;
        } else if (option == 'l') {
            for (i = 0; i < ROWS; i++)
                puts(rows[i].name);
            return 0;
        } else if (option == 'r') {
            repeats = (unsigned)atoi(optarg);
        } else {
            return 2;
        }
    }
    if (library != NULL && !library_is_loaded(library)) {
        fprintf(stderr, "bench: %s is not loaded\n", library);
        return 1;
    }
    find_cpus();
    (void)setpriority(PRIO_PROCESS, 0, -20); /* if we may */
    for (i = 0; i < ROWS; i++)
        if (can_do(&rows[i])
            && wanted(rows[i].name, argv + optind, argc - optind))
            failed |= run_row(&rows[i]);
    return failed;
}
