/* stress_killed.c - a process that is killed inside a shared heap stops nobody
 * SPDX-License-Identifier: MIT OR Unlicense
 *
 * A victim opens the partition of this process, does an operation of one kind,
 * and is killed in it, as by kill -9.  The survivor first works as if nothing
 * had happened, then recovers: every invariant holds, nothing is parked but its
 * own, and no more objects are lost than a magazine has; with FPHEAP_HEADER
 * none, and what the victim had live can be freed or listed.
 *
 *   - by access: the victim kills itself before its n-th atomic access or system
 *     call; n goes up in steps drawn so that a run meets all parts of the
 *     operation, and with FPHEAP_SOAK=100 each.  A victim finds what those before
 *     it have left.
 *   - by write: the same for its n-th write to the partition, whatever
 *     instruction makes it; with FPHEAP_SOAK=100 for each.  What a death leaves
 *     differs only by these and by system calls, so that is a death at every
 *     instruction.  x86-64, no sanitizer.
 *   - by write, by exec: another thread of the victim executes another program,
 *     so that the threads are dead and the process, with its number, is not.
 *   - by chance: several victims with two threads each work without end and are
 *     killed at random times, while three survivors work.
 *
 *     OPERATION=name    by access and by write: only this one
 *     PASS=n PLACE=n    by write: only in this heap, and there, as a failure says;
 *                       with its FPHEAP_SEED
 *
 * Chunks and magazines are small, so that most instructions are in exchanges,
 * claims, page maps and growth.
 */
#ifndef FPHEAP_CHUNK_SHIFT
#  define FPHEAP_CHUNK_SHIFT 16
#endif
#ifndef FPHEAP_PAGE_SHIFT
#  define FPHEAP_PAGE_SHIFT 12
#endif
#ifndef FPHEAP_CLASS_BITS
#  define FPHEAP_CLASS_BITS 2
#endif
#ifndef FPHEAP_MAGAZINE
#  define FPHEAP_MAGAZINE 8
#endif
#ifndef FPHEAP_MAX_THREADS
#  define FPHEAP_MAX_THREADS 64
#endif

#define _GNU_SOURCE 1

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <semaphore.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#define BYTES  (16u << 20)
#define KEPT   24
#define PLACES 100000u

/* Where a victim ends: at a write or system call, counted from 1, among those
 * after an access.  Access 0 is the beginning of the operation.  (Accesses cost
 * nothing to count, and after each there are few writes.) */
typedef struct place {
    uint32_t access;
    uint32_t write;             /* 0: before the access; if that is 0 too,
                                   nowhere, and it books all places */
} place;

typedef struct tale {
    place    end;               /* where the last victim has died */
    uint32_t accesses;          /* of a victim that has not been killed, */
    uint32_t n;                 /* and the places that it has booked */
    void    *kept[KEPT];        /* what must stay live */
    place    at[PLACES];
} tale;

static volatile int counts;     /* this is a victim in its operation; */
static place        here;       /* it is here */
static place        end;        /* and dies here */
static int          books;
static tale        *told;
static char        *where;      /* every partition is */

static inline int
is_nowhere(place to)
{
    return to.access == 0 && to.write == 0;
}

static int   execs;             /* a victim ends so, not by a signal; */
static sem_t executes;          /* then another of its threads does it */

static void
die(void)
{
    told->end = here;
    if (!execs)
        kill(getpid(), SIGKILL);
    sem_post(&executes);
    for (;;)
        pause();
}

/* --- writes ------------------------------------------------------------------
 *
 * A victim may only read the partition.  A write faults, is counted, and is done
 * alone: under the trap flag, while the partition may be written.  What repeats
 * itself counts once.
 */
#if defined(__x86_64__) && defined(REG_EFL)
#define TRAP_FLAG 0x100

static volatile int watches;
static greg_t       writer;     /* the instruction that is done alone */

static void
watch(int access)
{
    int error = errno;

    mprotect(where, BYTES, access); /* if it is mapped */
    errno = error;
}

static void
place_next(void)
{
    here.write++;
    if (books && told->n == PLACES)
        abort();
    if (books)
        told->at[told->n++] = here;
    else if (here.access > end.access || here.write >= end.write)
        die();
}

static void
on_fault(int number, siginfo_t *info, void *context)
{
    ucontext_t *interrupted = (ucontext_t *)context;

    if ((uintptr_t)info->si_addr - (uintptr_t)where >= BYTES || !watches) {
        signal(number, SIG_DFL);
        return;
    }
    place_next();
    watch(PROT_READ | PROT_WRITE);
    interrupted->uc_mcontext.gregs[REG_EFL] |= TRAP_FLAG;
    writer = interrupted->uc_mcontext.gregs[REG_RIP];
}

/* Do the rest of a rep stosb or rep movsb at once: it fills or copies what
 * nobody else has yet. */
static void
repeat(greg_t *reg)
{
    const unsigned char *code = (const unsigned char *)reg[REG_RIP];
    size_t               n    = (size_t)reg[REG_RCX];

    if (code[0] == 0xf3 && code[1] == 0xaa)
        memset((void *)reg[REG_RDI], (int)reg[REG_RAX], n);
    else if (code[0] == 0xf3 && code[1] == 0xa4)
        memcpy((void *)reg[REG_RDI], (const void *)reg[REG_RSI], n);
    else
        return;
    reg[REG_RDI] += (greg_t)n;
    reg[REG_RSI] += code[1] == 0xa4 ? (greg_t)n : 0;
    reg[REG_RCX] = 0;
}

static void
on_trap(int number, siginfo_t *info, void *context)
{
    ucontext_t *interrupted = (ucontext_t *)context;

    (void)number, (void)info;
    if (interrupted->uc_mcontext.gregs[REG_RIP] == writer) {
        repeat(interrupted->uc_mcontext.gregs);
        return;
    }
    interrupted->uc_mcontext.gregs[REG_EFL] &= ~TRAP_FLAG;
    watch(PROT_READ);
}

static void
watch_begin(void)
{
    struct sigaction action;

    memset(&action, 0, sizeof action);
    action.sa_flags = SA_SIGINFO;
    action.sa_sigaction = on_trap;
    sigaction(SIGTRAP, &action, NULL);
    action.sa_sigaction = on_fault;
    sigaction(SIGSEGV, &action, NULL);
    watches = 1;
    watch(PROT_READ);
}

static void
watch_end(void)
{
    if (watches)
        watch(PROT_READ | PROT_WRITE);
    watches = 0;
}

/* A system call may write to the partition, and may map it. */
static void
call_begins(void)
{
    if (!watches)
        return;
    place_next();
    watch(PROT_READ | PROT_WRITE);
}

static intptr_t
call_ends(intptr_t result)
{
    if (watches)
        watch(PROT_READ);
    return result;
}
#else
#  define watch_begin()     ((void)0)
#  define watch_end()       ((void)0)
#  define call_begins()     ((void)0)
#  define call_ends(result) (result)
#endif

/* An access comes next, or a system call, which is a place too. */
static void
step(void)
{
    if (!counts)
        return;
    here.access++;
    here.write = 0;
    if (books || here.access < end.access)
        return;
    if (end.write == 0)
        die();
    else if (here.access == end.access)
        watch_begin();
}

/* With `looks` a look at the clock takes a microsecond, and nothing else takes
 * any time, so that times that are kept are the same each time. */
static uint64_t looks;

static int
clock_look(clockid_t id, struct timespec *now)
{
    int rc = clock_gettime(id, now);

    if (looks == 0)
        return rc;
    looks++;
    now->tv_sec = (time_t)(looks / 1000000);
    now->tv_nsec = (long)(looks % 1000000) * 1000;
    return 0;
}

#define clock_gettime(id, now) clock_look(id, now)

#define CALL(call) (step(), call_begins(), call_ends(call))

#define close(...)     (int)CALL(close(__VA_ARGS__))
#define fchmod(...)    (int)CALL(fchmod(__VA_ARGS__))
#define fcntl(...)     (int)CALL(fcntl(__VA_ARGS__))
#define ftruncate(...) (int)CALL(ftruncate(__VA_ARGS__))
#define linkat(...)    (int)CALL(linkat(__VA_ARGS__))
#define madvise(...)   (int)CALL(madvise(__VA_ARGS__))
#define mmap(...)      (void *)CALL((intptr_t)mmap(__VA_ARGS__))
#define open(...)      (int)CALL(open(__VA_ARGS__))
#define openat(...)    (int)CALL(openat(__VA_ARGS__))
#define syscall(...)   CALL(syscall(__VA_ARGS__))
#define unlinkat(...)  (int)CALL(unlinkat(__VA_ARGS__))

#define __atomic_store_n(p, v, o)     (step(), __atomic_store_n(p, v, o))
#define __atomic_exchange(p, v, r, o) (step(), __atomic_exchange(p, v, r, o))
#define __atomic_fetch_add(p, v, o)   (step(), __atomic_fetch_add(p, v, o))
#define __atomic_fetch_or(p, v, o)    (step(), __atomic_fetch_or(p, v, o))
#define __atomic_fetch_and(p, v, o)   (step(), __atomic_fetch_and(p, v, o))
#define __atomic_compare_exchange_n(p, e, d, w, s, f) \
    (step(), __atomic_compare_exchange_n(p, e, d, w, s, f))

#define FPHEAP_IMPLEMENTATION
#include "fpheap.h"
#undef clock_gettime
#undef close
#undef fchmod
#undef fcntl
#undef ftruncate
#undef linkat
#undef madvise
#undef mmap
#undef open
#undef openat
#undef syscall
#undef unlinkat
#include "fork_util.h"
#include "stress_util.h"

#include <sys/prctl.h>
#include <sys/wait.h>

#if defined(TRAP_FLAG) && !STRESS_TSAN && !STRESS_ASAN
#  define CAN_WATCH 1
#else
#  define CAN_WATCH 0
#endif

#define LARGE (100u * 1024)
#define SAFE  400               /* victims of one partition */

static const size_t sizes[] = {16, 64, 200, 1000, 5000, 30000};

static char name[FPHEAP_NAME_BYTES];
static int  frees = 1;          /* what the dead had live, with headers */

static fpheap *
partition_open(unsigned flags)
{
    fpheap_partition desc;
    fpheap          *heap;

    memset(&desc, 0, sizeof desc);
    desc.bytes = BYTES;
    desc.address = where;
    if (FPHEAP_HEADER && frees)
        desc.flags = FPHEAP_FREE_DEAD;
    heap = fpheap_open(name, &desc, flags);
    CHECK(heap != NULL);
    return heap;
}

static void
partition_new(const char *what)
{
    snprintf(name, sizeof name, "killed-%.12s-%d", what, (int)getpid());
    fpheap_unlink(name, NULL);
}

static fpheap_pool *
pool_open(fpheap *heap)
{
    fpheap_pool_desc desc;
    fpheap_pool     *pool;

    memset(&desc, 0, sizeof desc);
    desc.name = "pool";
    desc.size = 120;
    desc.max = 5000;
    pool = fpheap_pool_open(heap, &desc);
    CHECK(pool != NULL);
    return pool;
}

/* --- what a victim does ---------------------------------------------------- */

typedef struct victim {
    fpheap      *heap;
    fpheap_pool *pool;
    void        *kept[KEPT];
    void        *bulk[3 * FPHEAP_MAGAZINE];
} victim;

static void
some(victim *v)
{
    size_t i;

    for (i = 0; i < KEPT; i++)
        v->kept[i] = fpheap_alloc(v->heap, sizes[i % STRESS_LEN(sizes)]);
}

static void
none(victim *v)
{
    size_t i;

    for (i = 0; i < KEPT; i++)
        fpheap_free(v->heap, v->kept[i]);
}

static void
do_first(victim *v)
{
    v->kept[0] = fpheap_alloc(v->heap, 64);
}

static void
do_alloc(victim *v)
{
    some(v);
}

static void
do_free(victim *v)
{
    none(v);
}

static void
do_bulk(victim *v)
{
    if (fpheap_alloc_bulk(v->heap, 64, v->bulk, STRESS_LEN(v->bulk)) == 0)
        fpheap_free_bulk(v->heap, v->bulk, STRESS_LEN(v->bulk));
}

static void
do_large(victim *v)
{
    void *a = fpheap_alloc(v->heap, LARGE);
    void *b = fpheap_alloc(v->heap, LARGE);

    a = fpheap_realloc(v->heap, a, 2 * LARGE);
    fpheap_free(v->heap, a);
    fpheap_free(v->heap, b);
}

static void
do_growth(victim *v)
{
    fpheap_free(v->heap, fpheap_alloc(v->heap, 3u << 20));
    fpheap_trim(v->heap);
}

static void
do_reserve(victim *v)
{
    (void)fpheap_reserve(v->heap, 1u << 20, 0 /* node */);
}

static void
do_trim(victim *v)
{
    none(v);
    fpheap_trim(v->heap);
}

static void
do_pool(victim *v)
{
    size_t i;

    for (i = 0; i < KEPT; i++)
        v->kept[i] = fpheap_pool_get(v->pool);
    for (i = 0; i < KEPT; i++)
        if (v->kept[i] != NULL)
            fpheap_pool_put(v->pool, v->kept[i]);
}

static void
do_pool_life(victim *v)
{
    fpheap_pool_desc desc;
    fpheap_pool     *pool;

    memset(&desc, 0, sizeof desc);
    desc.name = "short";
    desc.size = 64;
    desc.min = 10;
    pool = fpheap_pool_open(v->heap, &desc);
    if (pool != NULL)
        fpheap_pool_destroy(pool, NULL);
}

static void
do_leave(victim *v)
{
    fpheap_flush(v->heap);
    fpheap_thread_leave(v->heap);
}

static void
do_open(victim *v)
{
    v->heap = partition_open(0);
}

static void
do_create(victim *v)
{
    v->heap = partition_open(FPHEAP_CREATE);
}

static void
do_close(victim *v)
{
    fpheap_close(v->heap);
}

static void
do_recover(victim *v)
{
    fpheap_recover(v->heap, 0);
}

typedef struct operation {
    const char *what;
    void      (*run)(victim *v);
    int         opened;         /* the victim has opened the partition before */
    int         holds;          /* and has some objects: 1: which it frees */
    int         dead;           /* and then another victim has died */
    unsigned    lost;           /* objects that it may take along */
} operation;

static const operation operations[] = {
    {"first alloc", do_first, 1, 0, 0, 1},
    {"alloc", do_alloc, 1, 0, 0, KEPT},
    {"free", do_free, 1, 1, 0, KEPT},
    {"bulk", do_bulk, 1, 2, 0, KEPT + 3 * FPHEAP_MAGAZINE},
    {"large", do_large, 1, 0, 0, 2},
    {"growth", do_growth, 1, 0, 0, 1},
    {"reserve", do_reserve, 1, 0, 0, 0},
    {"trim", do_trim, 1, 1, 0, KEPT},
    {"pool", do_pool, 1, 0, 0, KEPT},
    {"pool life", do_pool_life, 1, 0, 0, 0},
    {"leave", do_leave, 1, 2, 0, KEPT},
    {"open", do_open, 0, 0, 0, 0},
    {"close", do_close, 1, 2, 0, KEPT},
    {"open after a death", do_open, 0, 0, 1, 0},
    {"recover", do_recover, 1, 0, 1, 0},
    {"create", do_create, 0, 0, 0, 0},      /* by write only */
};

/* --- by access, by write ----------------------------------------------------- */

static int victim_killed(const operation *op, place to, unsigned before);

/* A victim that dies with objects and a cache, and unless the operation is over
 * before that, in a call. */
static void
victim_before(unsigned number)
{
    static const operation before[] = {
        {"", do_alloc, 1, 1, 0, 0}, {"", do_free, 1, 1, 0, 0},
        {"", do_growth, 1, 1, 0, 0}, {"", do_bulk, 1, 1, 0, 0},
        {"", do_large, 1, 1, 0, 0}, {"", do_trim, 1, 1, 0, 0},
    };
    const place to = {1 + number * 37 % 300, 0};

    (void)victim_killed(&before[number % STRESS_LEN(before)], to, 0);
}

static const char *self;        /* this program, */
static int         says[2];     /* by which another says that it has begun, */
static pid_t       lives_on;    /* in a process that was a victim; 0: none */

/* A thread that waits, and then executes another program. */
static void *
run_another(void *arg)
{
    char says_it[16];

    while (sem_wait(&executes) != 0)
        ;
    snprintf(says_it, sizeof says_it, "%d", says[1]);
    execl("/proc/self/exe", self, "another", says_it, (char *)NULL);
    return arg;
}

/* That program. */
static void __attribute__((noreturn))
be_another(int fd)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    alarm(60);
    CHECK_EQ(write(fd, "", 1), 1);
    for (;;)
        pause();
}

/* Whether a victim has become another program; if not, it has ended. */
static int
executed(pid_t pid)
{
    char said;

    close(says[1]);
    if (read(says[0], &said, 1) == 1)
        lives_on = pid;
    close(says[0]);
    return lives_on != 0;
}

static void
end_another(void)
{
    if (lives_on == 0)
        return;
    kill(lives_on, SIGKILL);
    CHECK_EQ(waitpid(lives_on, NULL, 0), lives_on);
    lives_on = 0;
}

/* A victim: ends in the operation; or exits with 1, as it was over before
 * that. */
static void __attribute__((noreturn))
victim_run(const operation *op, place to, unsigned before)
{
    static victim v;
    int           by_exec = execs;

    execs = 0;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (op->opened) {
        v.heap = partition_open(0);
        v.pool = pool_open(v.heap);
    }
    if (op->opened && op->holds)
        some(&v);
    if (op->opened && op->holds == 2) {
        stress_fill(v.kept, KEPT);
        memcpy(told->kept, v.kept, sizeof v.kept);
    }
    if (op->dead)
        victim_before(before);
    execs = by_exec;
    if (execs)
        (void)stress_spawn(run_another, NULL);
    end = to;
    books = is_nowhere(to);
    counts = 1;
    if (end.access == 0)
        watch_begin();
    op->run(&v);
    counts = 0;
    watch_end();
    told->accesses = here.access;
    _exit(1);
}

/* Returns 0: it was over before. */
static int
victim_killed(const operation *op, place to, unsigned before)
{
    pid_t pid;
    int   status;

    CHECK(!execs || pipe(says) == 0);
    pid = fork_without();
    CHECK(pid >= 0);
    if (pid == 0)
        victim_run(op, to, before);
    if (execs && executed(pid))
        return 1;
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    if (WIFSIGNALED(status))
        CHECK_EQ(WTERMSIG(status), SIGKILL);
    return WIFSIGNALED(status);
}

/* What a survivor does, whatever the others have left. */
static void
survivor_works(fpheap *heap, fpheap_pool *pool)
{
    void    *objects[60];
    unsigned i;

    for (i = 0; i < STRESS_LEN(objects); i++)
        objects[i] = i % 7 == 6 ? fpheap_pool_get(pool)
                   : i % 10 == 9 ? fpheap_alloc(heap, LARGE)
                   : fpheap_alloc(heap, sizes[i % STRESS_LEN(sizes)]);
    for (i = 0; i < STRESS_LEN(objects); i++)
        if (objects[i] != NULL)
            memset(objects[i], (int)i, 16);
    for (i = 0; i < STRESS_LEN(objects); i++)
        fpheap_free(heap, objects[i]);
    fpheap_trim(heap);
}

static uint64_t
live_objects(fpheap *heap)
{
    fpheap_stats stats;

    fpheap_stats_get(heap, &stats);
    return stats.live_objects;
}

/* Say where a victim died. */
static void
died(const operation *op, place to)
{
    fprintf(stderr, "%s, access %u, write %u: ", op->what, (unsigned)to.access,
            (unsigned)to.write);
}

static void
sound(fpheap *heap, const operation *op, place to)
{
    const char *broken = fpheap_check(heap);

    if (broken == NULL)
        return;
    died(op, to);
    fprintf(stderr, "%s\n", broken);
    CHECK(0);
}

/* Whether a victim dies as a member, and nobody as a cleaner, after whom others
 * clean up sooner. */
static int
is_found(const operation *op)
{
    return op->opened && !op->dead && op->run != do_close;
}

/* Returns 0: the operation was over before. */
static int
survive(fpheap *heap, fpheap_pool *pool, const operation *op, place to,
        unsigned before)
{
    uint64_t live   = live_objects(heap);
    double   began;
    int      killed, rc;

    memset(told->kept, 0, sizeof told->kept);
    killed = victim_killed(op, to, before);
    began = stress_seconds();
    looks = 0;
    survivor_works(heap, pool);
    rc = fpheap_recover(heap, 0);
    if (rc < (killed && is_found(op)) || rc > 1 + op->dead) {
        died(op, to);
        fprintf(stderr, "recovered %d\n", rc);
        CHECK(0);
    }
    sound(heap, op, to);
    survivor_works(heap, pool);
    sound(heap, op, to);
    CHECK(stress_seconds() - began < 5);
    CHECK(live_objects(heap) >= live);
    CHECK(FPHEAP_HEADER || stress_is_filled(told->kept, KEPT));
    if (FPHEAP_HEADER)          /* who has closed leaves what it had live */
        CHECK_LE(live_objects(heap) - live, op->run == do_close ? KEPT : 0);
    CHECK_LE(live_objects(heap) - live,
             op->lost + (unsigned)FPHEAP_MAGAZINE * 2 + (op->dead ? KEPT * 2 : 0));
    end_another();
    return killed;
}

/* How many accesses and system calls an operation has. */
static uint32_t
operation_accesses(const operation *op)
{
    const place never = {UINT32_MAX, 0};

    CHECK(!victim_killed(op, never, 0));
    return told->accesses;
}

static void
killed_by_access(const operation *op)
{
    uint64_t     state = stress_state((uint64_t)(op - operations));
    uint64_t     tries = stress_work(150), n = 0, all;
    place        to    = {0, 0};
    fpheap      *heap;
    fpheap_pool *pool;

    if (op->run == do_create)
        return;
    partition_new(op->what);
    heap = partition_open(FPHEAP_CREATE);
    pool = pool_open(heap);
    all = operation_accesses(op);
    fpheap_recover(heap, 0);
    for (;;) {
        uint64_t more = all / tries;

        to.access += 1 + (more < 2 ? 0 : stress_below(&state, 2 * more - 1));
        if (to.access > all)
            break;
        if (++n % SAFE == 0) {
            fpheap_close(heap);
            fpheap_unlink(name, NULL);
            heap = partition_open(FPHEAP_CREATE);
            pool = pool_open(heap);
        }
        survive(heap, pool, op, to, to.access);
    }
    printf("%s: killed at %llu of %llu accesses\n", op->what,
           (unsigned long long)n, (unsigned long long)all);
    CHECK_EQ(fpheap_close(heap), 0);
    CHECK_EQ(fpheap_unlink(name, NULL), 0);
}

/* Operations that OPERATION asks for, in turn.  Returns NULL: there are no
 * more. */
static const operation *
operation_next(const operation *op)
{
    const char *only = getenv("OPERATION");

    for (op = op == NULL ? operations : op + 1;
         op < operations + STRESS_LEN(operations); op++)
        if (only == NULL || strcmp(only, op->what) == 0)
            return op;
    return NULL;
}

static void
tale_begin(void)
{
    stress_test();
    if (told != NULL)
        return;
    told = (tale *)mmap(NULL, sizeof *told, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(told != MAP_FAILED);
}

static void
test_killed_before_any_access(void **unused)
{
    const operation *op = NULL;

    (void)unused;
    tale_begin();
    while ((op = operation_next(op)) != NULL)
        killed_by_access(op);
}

/* What a pass begins with: objects of all sizes, live, parked and free. */
static void
survivor_begins(fpheap *heap, unsigned pass, void **objects, size_t n)
{
    uint64_t state = stress_state(pass);
    size_t   i;

    for (i = 0; i < n; i++)
        objects[i] = fpheap_alloc(heap, sizes[stress_below(&state,
                                                    STRESS_LEN(sizes))]);
    for (i = 0; i < n; i++) {
        if (stress_below(&state, 3) == 0)
            continue;
        fpheap_free(heap, objects[i]);
        objects[i] = NULL;
    }
    stress_fill(objects, n);
    if (pass % 2 != 0)
        fpheap_flush(heap);
}

/* A victim makes the heap, or dies before that.  Returns what there is then. */
static fpheap *
survive_creator(const operation *op, place to, int *killed)
{
    fpheap *heap;

    *killed = victim_killed(op, to, 0);
    looks = 0;
    heap = partition_open(FPHEAP_CREATE);
    survivor_works(heap, pool_open(heap));
    CHECK_EQ(fpheap_recover(heap, 0), 0);
    CHECK_EQ(live_objects(heap), 0);
    sound(heap, op, to);
    end_another();
    return heap;
}

/* A survivor and its victim, in a heap of their own. */
static void __attribute__((noreturn))
world_run(const operation *op, unsigned pass, place to)
{
    fpheap      *heap;
    fpheap_pool *pool;
    void        *objects[100];
    int          killed;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    alarm(60);
    looks = 1;
    if (op->run == do_create) {
        heap = survive_creator(op, to, &killed);
    } else {
        heap = partition_open(FPHEAP_CREATE | FPHEAP_EXCLUSIVE);
        pool = pool_open(heap);
        survivor_begins(heap, pass, objects, STRESS_LEN(objects));
        killed = survive(heap, pool, op, to, (unsigned)stress_seed + pass);
        CHECK(stress_is_filled(objects, STRESS_LEN(objects)));
    }
    CHECK_EQ(killed, !is_nowhere(to));
    CHECK_EQ(fpheap_close(heap), 0);
    CHECK_EQ(fpheap_unlink(name, NULL), 0);
    _exit(0);
}

/* The same in a process of its own, so that all of a pass are alike up to where
 * the victim dies. */
static void
world(const operation *op, unsigned pass, unsigned number)
{
    const place to  = told->at[number];
    pid_t       pid = fork();
    int         status;

    CHECK(pid >= 0);
    if (pid == 0)
        world_run(op, pass, to);
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    if (status == 0
        && (is_nowhere(to) || memcmp(&to, &told->end, sizeof to) == 0))
        return;
    fpheap_unlink(name, NULL);
    died(op, told->end);
    fprintf(stderr, "status %x, OPERATION='%s' PASS=%u PLACE=%u\n",
            (unsigned)status, op->what, pass, number);
    CHECK(0);
}

/* Whether a failure said to do this again, or nothing was said. */
static int
is_asked_for(const char *what, unsigned number)
{
    const char *only = getenv(what);

    return only == NULL || strtoul(only, NULL, 0) == number;
}

/* Kill at as many places of an operation as there is time for, one in each of as
 * many equal parts. */
static void
killed_by_write(const operation *op, unsigned pass, uint64_t tries)
{
    uint64_t state = stress_state((uint64_t)(op - operations) * 1000 + pass);
    uint64_t all, i;

    partition_new(op->what);
    memset(told, 0, sizeof *told);
    world(op, pass, 0);
    all = told->n;
    if (tries > all)
        tries = all;
    for (i = 0; i < tries; i++) {
        unsigned from = (unsigned)(i * all / tries);
        unsigned part = (unsigned)((i + 1) * all / tries) - from;

        from += stress_below(&state, part);
        if (is_asked_for("PLACE", from))
            world(op, pass, from);
    }
    printf("%s, pass %u: %s at %llu of %llu writes and system calls\n",
           op->what, pass, execs ? "executed" : "killed",
           (unsigned long long)tries, (unsigned long long)all);
}

/* In how many heaps; after as many deaths, if there is one before. */
static unsigned
passes(const operation *op)
{
    return (unsigned)(1 + stress_soak / 25) * (op->dead ? 8 : 1);
}

/* In each operation as many victims end so. */
static void
end_before_any_write(unsigned most_passes, uint64_t tries)
{
    const operation *op = NULL;
    fpheap          *heap;
    unsigned         pass;

    if (!CAN_WATCH)
        skip();
    tale_begin();
    partition_new("where");
    heap = partition_open(FPHEAP_CREATE);
    where = (char *)heap->partition;
    fpheap_close(heap);
    fpheap_unlink(name, NULL);
    while ((op = operation_next(op)) != NULL)
        for (pass = 0; pass < passes(op) && pass < most_passes; pass++)
            if (is_asked_for("PASS", pass))
                killed_by_write(op, pass, tries);
    where = NULL;
}

static void
test_killed_before_any_write(void **unused)
{
    (void)unused;
    end_before_any_write(UINT_MAX, stress_work(50));
}

static void
test_another_thread_executes_a_program_before_any_write(void **unused)
{
    (void)unused;
    CHECK_EQ(sem_init(&executes, 0, 0), 0);
    execs = 1;
    end_before_any_write(1, stress_work(10));
    execs = 0;
}

/* --- by chance --------------------------------------------------------------- */

#define VICTIMS   2
#define SURVIVORS 3
#define SLOTS     64

/* Objects that go from hand to hand, in the partition. */
typedef struct exchange {
    fph_word slot[SLOTS];       /* handles; 0: none */
    fph_word rounds;            /* of survivors */
    fph_word ends;
} exchange;

static void
exchange_works(fpheap *heap, fpheap_pool *pool, exchange *at, uint64_t *state)
{
    uint64_t i      = stress_below(state, SLOTS);
    size_t   size   = sizes[stress_below(state, STRESS_LEN(sizes))];
    void    *object = i % 8 == 0 ? fpheap_pool_get(pool)
                    : i % 64 == 1 ? fpheap_alloc(heap, LARGE)
                                  : fpheap_alloc(heap, size);
    uint64_t handle = fpheap_handle(heap, object);
    uint64_t old    = fph_load_relaxed(&at->slot[i]);

    if (object == NULL)
        handle = 0;
    else
        memset(object, (int)i, 16);
    while (!fph_cas_acq_rel(&at->slot[i], &old, handle))
        ;
    if (old != 0)
        fpheap_free(heap, (char *)heap->partition + (old << 4));
    if (i == 3)
        fpheap_trim(heap);
}

static void *
works_without_end(void *arg)
{
    uint64_t     state = stress_state((uint64_t)getpid() ^ (uintptr_t)&arg);
    fpheap      *heap  = (fpheap *)arg;
    fpheap_pool *pool  = pool_open(heap);
    exchange    *at    = (exchange *)fpheap_root(heap);

    while (fph_load_relaxed(&at->ends) == 0)
        exchange_works(heap, pool, at, &state);
    return NULL;
}

static void __attribute__((noreturn))
worker_run(int survives)
{
    fpheap   *heap;
    pthread_t second;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    heap = partition_open(0);
    second = stress_spawn(works_without_end, heap);
    works_without_end(heap);
    stress_join(second);
    if (survives)
        CHECK_EQ(fpheap_close(heap), 0);
    _exit(0);
}

static pid_t
worker_new(int survives)
{
    pid_t pid = fork_without();

    CHECK(pid >= 0);
    if (pid == 0)
        worker_run(survives);
    return pid;
}

/* Objects that are live but for the root. */
typedef struct listed {
    void    *root;
    void    *object[10000];
    unsigned n;
} listed;

static int
list(void *arg, const fpheap_object *object)
{
    listed *all = (listed *)arg;

    if (object->base == all->root)
        return 0;
    CHECK(all->n < STRESS_LEN(all->object));
#if FPHEAP_HEADER
    CHECK_EQ(fpheap_refs(object->base), 1);
    CHECK(fpheap_owner(object->base) != 0);
#endif
    all->object[all->n++] = object->base;
    return 0;
}

/* What the dead had live is listed, and freed.  Returns how much of the rest is
 * lost: with headers, what was in their hands is not listed, as it is free. */
static uint64_t
lost_objects(fpheap *heap)
{
    static listed all;
    unsigned      i;

    memset(&all, 0, sizeof all);
    all.root = fpheap_root(heap);
    CHECK_EQ(fpheap_walk(heap, list, &all), 0);
    CHECK_EQ(stress_check(heap).live_objects, all.n + 1);
    for (i = 0; FPHEAP_HEADER && i < all.n; i++)
        fpheap_free(heap, all.object[i]);
    return stress_check(heap).live_objects - 1;
}

static void
test_killed_at_random_beside_survivors(void **unused)
{
    uint64_t     state = stress_state(77);
    uint64_t     kills = stress_work(300);
    pid_t        victims[VICTIMS], survivors[SURVIVORS];
    fpheap      *heap;
    exchange    *at;
    uint64_t     n, i, lost;
    int          status;

    (void)unused;
    stress_test();
    frees = 0;
    partition_new("random");
    heap = partition_open(FPHEAP_CREATE);
    at = (exchange *)fpheap_zalloc(heap, sizeof *at);
    CHECK_EQ(fpheap_set_root(heap, at), 0);
    pool_open(heap);
    for (i = 0; i < SURVIVORS; i++)
        survivors[i] = worker_new(1);
    for (i = 0; i < VICTIMS; i++)
        victims[i] = worker_new(0);
    for (n = 0; n < kills; n++) {
        i = stress_below(&state, VICTIMS);
        stress_sleep_us(stress_below(&state, 4000));
        kill(victims[i], SIGKILL);
        CHECK_EQ(waitpid(victims[i], &status, 0), victims[i]);
        if (n % 4 == 0)
            CHECK(fpheap_recover(heap, 0) != -EINVAL);
        victims[i] = worker_new(0);
    }
    for (i = 0; i < VICTIMS; i++) {
        kill(victims[i], SIGKILL);
        waitpid(victims[i], &status, 0);
    }
    fph_store_relaxed(&at->ends, 1);
    for (i = 0; i < SURVIVORS; i++) {
        CHECK_EQ(waitpid(survivors[i], &status, 0), survivors[i]);
        CHECK_EQ(status, 0);
    }
    CHECK(fpheap_recover(heap, 0) >= 0);
    for (i = 0; i < SLOTS; i++)
        if (at->slot[i] != 0)
            fpheap_free(heap, (char *)heap->partition + (at->slot[i] << 4));
    lost = lost_objects(heap);
    printf("%llu killed, %llu objects lost\n", (unsigned long long)kills,
           (unsigned long long)lost);
    CHECK_LE(lost, FPHEAP_HEADER ? 0 : (kills + VICTIMS) * 2
                                       * (FPHEAP_MAGAZINE + 1));
    CHECK_EQ(fpheap_close(heap), 0);
    CHECK_EQ(fpheap_unlink(name, NULL), 0);
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_killed_before_any_access),
        cmocka_unit_test(test_killed_before_any_write),
        cmocka_unit_test(
            test_another_thread_executes_a_program_before_any_write),
        cmocka_unit_test(test_killed_at_random_beside_survivors),
    };

    self = argv[0];
    if (argc == 3)
        be_another(atoi(argv[2]));
    stress_program("stress_killed");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
