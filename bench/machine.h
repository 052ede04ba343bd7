/* What all rows of bench.c stand on: processors, time, memory, numbers at
 * random, a second thread and more, and repeats. */
#ifndef BENCH_MACHINE_H
#define BENCH_MACHINE_H

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

#ifdef PEER_STEPS
#  define STEPS   PEER_STEPS
#else
#  define STEPS   (1u << 20) /* operations in one repeat of most rows */
#endif
#define LINE      64         /* bytes in a cache line */
#define MIXED_MIN 16u
#define MIXED_MAX 2048u
#define MIXED_N   10000u     /* live objects of the mixed rows */
#define MANY      1000000u

/* The compiler must believe that p is used, and that memory has changed: then
 * it can neither drop an allocation nor keep the allocator's state in
 * registers from one call to the next. */
#define USE(p)    __asm__ volatile("" : : "r"(p) : "memory")
#define HIDE(x)   __asm__ volatile("" : "+r"(x))
#define COMPLETE() __asm__ volatile("" : : : "memory")

static unsigned repeats = 7;

/* How much of its work a row does in one repeat: a quarter, if there is one,
 * where the figures are only looked at. */
static unsigned
scaled(unsigned work)
{
    return repeats > 2 || work < 4 ? work : work / 4;
}

/* --- the machine ---------------------------------------------------------- */

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
own_map(size_t bytes, int flags)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);

    if (p == MAP_FAILED) {
        fprintf(stderr, "bench: out of memory\n");
        exit(1);
    }
    return p;
}

static void *
own_memory(size_t bytes)
{
    return own_map(bytes, MAP_POPULATE);
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

/* Each thread keeps a state of its own. */
BENCH_INLINE uint32_t
random_from(uint64_t *state, uint32_t n)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return (uint32_t)(((*state >> 32) * n) >> 32);
}

static uint64_t random_state = 88172645463325252u;

static uint32_t
random_below(uint32_t n)
{
    return random_from(&random_state, n);
}

static void
emit(const char *row, const char *unit, double value)
{
    printf("%s %s %.4f\n", row, unit, value);
}

/* --- a second thread ------------------------------------------------------ */

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

/* Politely once it has waited long: others may want the core that what it waits
 * for will come from, and do if there are more threads than cores. */
static unsigned patience = 20000;

BENCH_INLINE void
wait_a_little(unsigned *spins)
{
    if (++*spins > patience)
        sched_yield();
    else
        relax();
}

BENCH_INLINE void
wait_until(const shared_word *w, uint64_t least)
{
    unsigned spins = 0;

    while (load_acquire(w) < least)
        wait_a_little(&spins);
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

/* --- rows ----------------------------------------------------------------- */

typedef struct row {
    const char *name;
    void      (*run)(const struct row *row);
    unsigned    n; /* objects outstanding or in a burst, or bytes of one */
} row;

/* Where objects of one size come from: a heap, whose free is told the size or
 * not, or a pool.  The compiler knows which, and asks nothing while it runs. */
typedef struct source {
    enum { UNSIZED, SIZED, POOLED } how;
    size_t    size;
    peer      heap;
    peer_pool pool;
} source;

#define FROM_HEAP(heap_, size_, how_) \
    ((source){ .how = (how_), .size = (size_), .heap = (heap_) })
#define FROM_POOL(pool_) ((source){ .how = POOLED, .pool = (pool_) })

BENCH_INLINE void *
take(source from)
{
    return from.how == POOLED ? peer_pool_get(from.pool)
                              : peer_alloc(from.heap, from.size);
}

BENCH_INLINE void
give_back(source to, void *object)
{
    if (to.how == POOLED)
        peer_pool_put(to.pool, object);
    else if (to.how == SIZED)
        peer_free_sized(to.heap, object, to.size);
    else
        peer_free(to.heap, object, to.size);
}

/* Not 0 if it failed. */
BENCH_INLINE int
take_bulk(source from, void **objects, unsigned n)
{
    return from.how == POOLED
        ? peer_pool_get_bulk(from.pool, objects, n)
        : peer_alloc_bulk(from.heap, from.size, objects, n);
}

BENCH_INLINE void
give_back_bulk(source to, void **objects, unsigned n)
{
    if (to.how == POOLED)
        peer_pool_put_bulk(to.pool, objects, n);
    else
        peer_free_bulk(to.heap, objects, n, to.size);
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

/* --- more threads --------------------------------------------------------- */

#define CREW_MAX 8u

/* Threads that live as long as their row and take every order together.
 * Between orders they sleep, and half of them are on each processor: what
 * takes turns on a processor is preempted in the middle of a call now and
 * then. */
typedef struct crew_member {
    _Alignas(LINE) pthread_t id;
    unsigned  index;
    double    began;
    double    ended;
    uint64_t  random;
    peer      p;
} crew_member;

static struct {
    crew_member       member[CREW_MAX];
    unsigned          n;
    void            (*job)(crew_member *m); /* NULL: the row is over */
    pthread_barrier_t gate;
    const stock      *stock;
    pthread_mutex_t   one_prepares; /* a floor has no lock of its own */
} crew;

static void *
crew_main(void *arg)
{
    crew_member *m = arg;

    pin((int)(m->index % 2));
    pthread_mutex_lock(&crew.one_prepares);
    m->p = peer_prepare(crew.stock);
    pthread_mutex_unlock(&crew.one_prepares);
    pthread_barrier_wait(&crew.gate);
    for (;;) {
        pthread_barrier_wait(&crew.gate);
        if (crew.job == NULL)
            return NULL;
        m->began = now_ns();
        crew.job(m);
        m->ended = now_ns();
        pthread_barrier_wait(&crew.gate);
    }
}

static int
crew_start(const row *r, const stock *s)
{
    unsigned i;

    if (cpu_of[1] < 0) {
        fprintf(stderr, "bench: %s needs two processors\n", r->name);
        return 0;
    }
    crew.n = r->n;
    crew.stock = s;
    pthread_barrier_init(&crew.gate, NULL, r->n + 1);
    pthread_mutex_init(&crew.one_prepares, NULL);
    for (i = 0; i < r->n; i++) {
        crew_member *m = &crew.member[i];

        m->index = i;
        m->random = random_state + (i + 1) * 0x9e3779b97f4a7c15u;
        if (pthread_create(&m->id, NULL, crew_main, m) != 0)
            exit(1);
    }
    pthread_barrier_wait(&crew.gate);
    return 1;
}

/* Nanoseconds from the first beginning to the last end. */
static double
crew_order(void (*job)(crew_member *m))
{
    double   began;
    double   ended;
    unsigned i;

    crew.job = job;
    pthread_barrier_wait(&crew.gate);
    if (job == NULL)
        return 0;
    pthread_barrier_wait(&crew.gate);
    began = crew.member[0].began;
    ended = crew.member[0].ended;
    for (i = 1; i < crew.n; i++) {
        if (crew.member[i].began < began)
            began = crew.member[i].began;
        if (crew.member[i].ended > ended)
            ended = crew.member[i].ended;
    }
    return ended - began;
}

static void
crew_end(void)
{
    unsigned i;

    (void)crew_order(NULL);
    for (i = 0; i < crew.n; i++)
        pthread_join(crew.member[i].id, NULL);
}

/* REPEAT for a crew, in nanoseconds of processor time: two processors work. */
static void
crew_repeat(const row *r, void (*job)(crew_member *m), unsigned each)
{
    double   operations = (double)each * crew.n;
    unsigned repeat;

    for (repeat = 0; repeat <= repeats; repeat++) {
        double taken = crew_order(job);

        if (repeat > 0)
            emit(r->name, "ns", 2 * taken / operations);
    }
}

#endif /* BENCH_MACHINE_H */
