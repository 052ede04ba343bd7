/* stress_killed.c - a process that is killed inside a shared heap stops nobody
 * SPDX-License-Identifier: MIT OR Unlicense
 *
 * A victim opens the partition of this process, does an operation of one kind,
 * and is killed in it, as by kill -9.  The survivor first works as if nothing
 * had happened, then recovers: every invariant holds, nothing is parked but its
 * own, and no more objects are lost than a magazine has; with FPHEAP_HEADER
 * none, and what the victim had live can be freed or listed.
 *
 *   - by access: the victim kills itself before its n-th atomic access; n goes
 *     up in steps drawn so that a run meets all parts of the operation, and with
 *     FPHEAP_SOAK=100 each access.
 *   - by instruction: the same for its n-th instruction, under the trap flag.
 *     x86-64, no sanitizer.
 *   - by chance: several victims with two threads each work without end and are
 *     killed at random times, while three survivors work.
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

#include <signal.h>
#include <stdint.h>
#include <unistd.h>

/* Where a victim ends: at the step of this number, if steps are counted. */
static volatile int      counts;
static volatile uint64_t steps;
static volatile uint64_t last_step;
static uint64_t         *told;      /* by a victim that has not been killed */

static inline void
step(void)
{
    if (counts && ++steps >= last_step)
        kill(getpid(), SIGKILL);
}

#define __atomic_store_n(p, v, o)     (step(), __atomic_store_n(p, v, o))
#define __atomic_exchange(p, v, r, o) (step(), __atomic_exchange(p, v, r, o))
#define __atomic_fetch_add(p, v, o)   (step(), __atomic_fetch_add(p, v, o))
#define __atomic_fetch_or(p, v, o)    (step(), __atomic_fetch_or(p, v, o))
#define __atomic_fetch_and(p, v, o)   (step(), __atomic_fetch_and(p, v, o))
#define __atomic_compare_exchange_n(p, e, d, w, s, f) \
    (step(), __atomic_compare_exchange_n(p, e, d, w, s, f))

#define FPHEAP_IMPLEMENTATION
#include "fpheap.h"
#include "fork_util.h"
#include "stress_util.h"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <ucontext.h>

#if defined(__x86_64__) && defined(REG_EFL) && !STRESS_TSAN && !STRESS_ASAN
#  define CAN_STEP 1
#else
#  define CAN_STEP 0
#endif

#define BYTES     (16u << 20)
#define KEPT      24
#define LARGE     (100u * 1024)
#define SAFE      400           /* victims of one partition */

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
    int         holds;          /* and has some objects */
    int         dead;           /* and then another victim has died */
    unsigned    lost;           /* objects that it may take along */
} operation;

static const operation operations[] = {
    {"first alloc", do_first, 1, 0, 0, 1},
    {"alloc", do_alloc, 1, 0, 0, KEPT},
    {"free", do_free, 1, 1, 0, KEPT},
    {"bulk", do_bulk, 1, 1, 0, KEPT + 3 * FPHEAP_MAGAZINE},
    {"large", do_large, 1, 0, 0, 2},
    {"growth", do_growth, 1, 0, 0, 1},
    {"trim", do_trim, 1, 1, 0, KEPT},
    {"pool", do_pool, 1, 0, 0, KEPT},
    {"pool life", do_pool_life, 1, 0, 0, 0},
    {"leave", do_leave, 1, 1, 0, KEPT},
    {"open", do_open, 0, 0, 0, 0},
    {"close", do_close, 1, 1, 0, KEPT},
    {"open after a death", do_open, 0, 0, 1, 0},
    {"recover", do_recover, 1, 0, 1, 0},
};

/* --- by access, by instruction ---------------------------------------------- */

enum { BY_ACCESS, BY_INSTRUCTION };

#if CAN_STEP
#define TRAP_FLAG 0x100ull

static void
on_step(int number)
{
    (void)number;
    if (++steps >= last_step)
        kill(getpid(), SIGKILL);
}

static void
trap(int on)
{
    unsigned long long flags = __builtin_ia32_readeflags_u64();

    __builtin_ia32_writeeflags_u64(on ? flags | TRAP_FLAG : flags & ~TRAP_FLAG);
}
#else
#  define on_step SIG_DFL
#  define trap(on) ((void)(on))
#endif

static int victim_killed(const operation *op, uint64_t last, int how);

/* A victim that dies with objects, a cache and a call, elsewhere each time. */
static void
victim_before(uint64_t last)
{
    static const operation before = {"before", do_alloc, 1, 1, 0, 0};

    CHECK(victim_killed(&before, 1 + last * 37 % 300, BY_ACCESS));
}

/* A victim: ends at a step of the operation; or exits with 1, as it was over
 * before that. */
static void __attribute__((noreturn))
victim_run(const operation *op, uint64_t last, int how)
{
    struct sigaction action;
    static victim    v;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    memset(&action, 0, sizeof action);
    action.sa_handler = on_step;
    sigaction(SIGTRAP, &action, NULL);
    if (op->opened) {
        v.heap = partition_open(0);
        v.pool = pool_open(v.heap);
    }
    if (op->opened && op->holds)
        some(&v);
    if (op->dead)
        victim_before(last);
    last_step = last;
    counts = how == BY_ACCESS;
    trap(how == BY_INSTRUCTION);
    op->run(&v);
    trap(0);
    counts = 0;
    *told = steps;
    _exit(1);
}

/* Returns 0: it was over before. */
static int
victim_killed(const operation *op, uint64_t last, int how)
{
    pid_t pid = fork_without();
    int   status;

    CHECK(pid >= 0);
    if (pid == 0)
        victim_run(op, last, how);
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

static void
survive(fpheap *heap, fpheap_pool *pool, const operation *op, uint64_t last,
        int how)
{
    uint64_t before = live_objects(heap);
    double   began;
    int      dead, rc;

    (void)victim_killed(op, last, how);
    began = stress_seconds();
    survivor_works(heap, pool);
    rc = fpheap_recover(heap, 0);
    dead = 1 + op->dead;
    if (rc < 0 || rc > dead) {
        fprintf(stderr, "%s, step %llu: recovered %d\n", op->what,
                (unsigned long long)last, rc);
        CHECK(0);
    }
    if (fpheap_check(heap) != NULL) {
        fprintf(stderr, "%s, step %llu: %s\n", op->what,
                (unsigned long long)last, fpheap_check(heap));
        CHECK(0);
    }
    survivor_works(heap, pool);
    CHECK(fpheap_check(heap) == NULL);
    CHECK(stress_seconds() - began < 5);
    CHECK(live_objects(heap) >= before);
    if (FPHEAP_HEADER)          /* who has closed leaves what it had live */
        CHECK_LE(live_objects(heap) - before, op->run == do_close ? KEPT : 0);
    CHECK_LE(live_objects(heap) - before,
             op->lost + (unsigned)FPHEAP_MAGAZINE * 2 + (op->dead ? KEPT * 2 : 0));
}

/* How many steps an operation has. */
static uint64_t
operation_steps(const operation *op, int how)
{
    CHECK(!victim_killed(op, UINT64_MAX, how));
    return *told;
}

static void
killed_at(const operation *op, uint64_t tries, uint64_t budget, int how)
{
    uint64_t     state = stress_state((uint64_t)(op - operations));
    fpheap      *heap;
    fpheap_pool *pool;
    uint64_t     all, at = 0, n = 0;

    partition_new(op->what);
    heap = partition_open(FPHEAP_CREATE);
    pool = pool_open(heap);
    all = operation_steps(op, how);
    if (tries > 1 + budget / all)
        tries = 1 + budget / all;
    fpheap_recover(heap, 0);
    for (;;) {
        uint64_t more = all / tries;

        at += 1 + (more < 2 ? 0 : stress_below(&state, 2 * more - 1));
        if (at > all)
            break;
        if (++n % SAFE == 0) {
            fpheap_close(heap);
            fpheap_unlink(name, NULL);
            heap = partition_open(FPHEAP_CREATE);
            pool = pool_open(heap);
        }
        survive(heap, pool, op, at, how);
    }
    printf("%s: killed at %llu of %llu %s\n", op->what, (unsigned long long)n,
           (unsigned long long)all,
           how == BY_ACCESS ? "accesses" : "instructions");
    CHECK_EQ(fpheap_close(heap), 0);
    CHECK_EQ(fpheap_unlink(name, NULL), 0);
}

static void
killed_in_all(int how, uint64_t tries, uint64_t budget)
{
    const char *only = getenv("OPERATION");
    size_t      i;

    stress_test();
    told = (uint64_t *)mmap(NULL, sizeof *told, PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(told != MAP_FAILED);
    for (i = 0; i < STRESS_LEN(operations); i++)
        if (only == NULL || strcmp(only, operations[i].what) == 0)
            killed_at(&operations[i], tries, budget, how);
}

static void
test_killed_before_any_access(void **unused)
{
    (void)unused;
    killed_in_all(BY_ACCESS, stress_work(150), UINT64_MAX);
}

static void
test_killed_at_any_instruction(void **unused)
{
    (void)unused;
    if (!CAN_STEP)
        skip();
    killed_in_all(BY_INSTRUCTION, stress_work(100), stress_work(50000));
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
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_killed_before_any_access),
        cmocka_unit_test(test_killed_at_any_instruction),
        cmocka_unit_test(test_killed_at_random_beside_survivors),
    };

    stress_program("stress_killed");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
