/* What all rows of bench.c stand on: processors, time, memory, numbers at random,
 * a second thread, and repeats. */
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

/* --- rows ------------------------------------------------------------------ */

typedef struct row {
    const char *name;
    void      (*run)(const struct row *row);
    unsigned    n; /* objects outstanding or in a burst, or bytes of one */
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

#endif /* BENCH_MACHINE_H */
