/* stress_fork.c - a child of fork() uses the heap that it inherited
 * SPDX-License-Identifier: MIT OR Unlicense
 *
 * A process forks again and again while its other threads are anywhere inside
 * the heap, the provider included.  Each child goes on with its one thread: it
 * frees what its parent's thread held, allocates, and must get nothing that a
 * thread of the parent owns (see stress_util.h on stamps).  It trims, grows,
 * makes heaps, ends the inherited one by force, and exits with 0; one that
 * hangs is killed by its alarm.  What the other threads had in their hands is
 * lost to it, so it asks for an exact account only where they had nothing.
 */
#ifndef FPHEAP_CHUNK_SHIFT
#  define FPHEAP_CHUNK_SHIFT 18
#endif
#ifndef FPHEAP_MAGAZINE
#  define FPHEAP_MAGAZINE 8
#endif
#ifndef FPHEAP_GROWTH_WAIT_MS
#  define FPHEAP_GROWTH_WAIT_MS 10
#endif
#define FPHEAP_IMPLEMENTATION
#include "fpheap.h"
#include "stress_util.h"

#include <semaphore.h>
#include <sys/wait.h>

#define OTHERS       3
#define HELD         200
#define FORKING      100    /* the owners of the forking threads' objects */
#define ALARM_SECONDS (60 * STRESS_SLOWDOWN)

typedef struct parent {
    fpheap           *heap;
    fpheap_provider   pages;    /* of the process, for heaps that come and go */
    pthread_barrier_t start;
    unsigned          stop;
} parent;

typedef struct other {
    parent  *parent;
    uint64_t owner;
    uint64_t random;
    uint64_t done;
    void    *held[HELD];
} other;

static size_t
random_size(uint64_t *random)
{
    unsigned kind = stress_below(random, 256);

    if (kind < 240)
        return stress_below(random, 1025);
    if (kind < 254)
        return stress_below(random, FPHEAP_PAGE);
    return stress_below(random, 2 * FPHEAP_CHUNK);
}

static void *
take(fpheap *heap, uint64_t *random, uint64_t owner)
{
    size_t size   = random_size(random);
    void  *object = fpheap_alloc(heap, size);

    CHECK(object != NULL);
    stress_own(heap, object, stress_stamp(owner, size));
    return object;
}

static void
give(fpheap *heap, void *object, uint64_t owner)
{
    uint64_t stamp = stress_stamp_of(heap, object);

    CHECK_EQ(stamp >> 48, owner);
    stress_disown(heap, object, stamp);
    fpheap_free(heap, object);
}

static void
turn(fpheap *heap, void **held, uint64_t *random, uint64_t owner)
{
    void **slot = &held[stress_below(random, HELD)];

    if (*slot == NULL) {
        *slot = take(heap, random, owner);
    } else {
        give(heap, *slot, owner);
        *slot = NULL;
    }
}

static void
drop(fpheap *heap, void **held, uint64_t owner)
{
    unsigned i;

    for (i = 0; i < HELD; i++) {
        if (held[i] != NULL)
            give(heap, held[i], owner);
        held[i] = NULL;
    }
}

/* --- the parent's other threads ------------------------------------------- */

static void *
be_busy(void *arg)
{
    other  *o = (other *)arg;
    parent *p = o->parent;

    pthread_barrier_wait(&p->start);
    while (!__atomic_load_n(&p->stop, __ATOMIC_RELAXED)) {
        switch (stress_below(&o->random, 512)) {
        case 0:
            fpheap_trim(p->heap);
            break;
        case 1:
            fpheap_flush(p->heap);
            break;
        case 2:
            fpheap_thread_leave(p->heap);
            break;
        case 3:
            CHECK_EQ(fpheap_reserve(p->heap, 2 * FPHEAP_CHUNK, 0), 0);
            break;
        case 4: {
            fpheap_config config = {.provider = &p->pages};
            fpheap       *heap   = fpheap_create("short", &config);

            CHECK(heap != NULL);
            fpheap_free(heap, fpheap_alloc(heap, 100));
            CHECK_EQ(fpheap_destroy(heap), 0);
            break;
        }
        default:
            turn(p->heap, o->held, &o->random, o->owner);
            o->done++;
            break;
        }
    }
    drop(p->heap, o->held, o->owner);
    return NULL;
}

/* --- the child ------------------------------------------------------------ */

static void
make_another_heap(const parent *p, uint64_t *random)
{
    fpheap_config config = {.provider = &p->pages};
    fpheap       *heap   = fpheap_create("child", &config);
    void         *objects[64];
    unsigned      i;

    CHECK(heap != NULL);
    for (i = 0; i < STRESS_LEN(objects); i++)
        objects[i] = take(heap, random, FORKING);
    for (i = 0; i < STRESS_LEN(objects); i++)
        give(heap, objects[i], FORKING);
    stress_finish(heap);
}

static void
live_as_child(parent *p, void **held, uint64_t owner, uint64_t random)
{
    fpheap      *heap = p->heap;
    fpheap_stats s;
    unsigned     i;

    alarm(ALARM_SECONDS);
    if (stress_below(&random, 2) == 0)
        drop(heap, held, owner);
    for (i = 0; i < 2000; i++)
        turn(heap, held, &random, owner);
    if (stress_below(&random, 2) == 0)
        fpheap_trim(heap);
    if (stress_below(&random, 2) == 0)
        CHECK_EQ(fpheap_reserve(heap, 4 * FPHEAP_CHUNK, 0), 0);
    if (stress_below(&random, 4) == 0)
        fpheap_thread_leave(heap);
    for (i = 0; i < 500; i++)
        turn(heap, held, &random, owner);
    fpheap_stats_get(heap, &s);
    CHECK(s.regions > 0);
    drop(heap, held, owner);
    fpheap_flush(heap);
    if (stress_below(&random, 2) == 0)
        make_another_heap(p, &random);
    if (stress_below(&random, 2) == 0) {
        CHECK_EQ(fpheap_destroy_forced(heap), 0);
        make_another_heap(p, &random);
    }
}

static void
wait_for_child(pid_t child)
{
    int status;

    while (waitpid(child, &status, 0) != child)
        CHECK_EQ(errno, EINTR);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
        stress_fail(__FILE__, __LINE__, "a child hangs");
    if (WIFSIGNALED(status))
        stress_fail_values(__FILE__, __LINE__, "a child died of a signal",
                           WTERMSIG(status), 0);
    CHECK_EQ(WEXITSTATUS(status), 0);
}

static void
fork_one(parent *p, void **held, uint64_t owner, uint64_t *random,
         unsigned generations)
{
    uint64_t seed = stress_random(random);
    pid_t    child;

    fflush(stdout);
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        if (generations > 1 && stress_below(&seed, 8) == 0)
            fork_one(p, held, owner, &seed, generations - 1);
        live_as_child(p, held, owner, seed);
        _exit(0);
    }
    wait_for_child(child);
}

/* --- the storms ----------------------------------------------------------- */

typedef struct forker {
    parent  *parent;
    uint64_t owner;
    uint64_t forks;
    uint64_t random;
} forker;

static void *
fork_often(void *arg)
{
    forker  *f = (forker *)arg;
    parent  *p = f->parent;
    void    *held[HELD];
    uint64_t n;
    unsigned i;

    memset(held, 0, sizeof(held));
    for (n = 0; n < f->forks; n++) {
        /* Some forks come from a thread that has no cache. */
        if (stress_below(&f->random, 4) == 0) {
            fpheap_thread_leave(p->heap);
        } else {
            for (i = stress_below(&f->random, 300); i > 0; i--)
                turn(p->heap, held, &f->random, f->owner);
        }
        fork_one(p, held, f->owner, &f->random, 3);
    }
    drop(p->heap, held, f->owner);
    return NULL;
}

static void
storm(unsigned forkers, uint64_t forks)
{
    stress_pages pages;
    parent       p;
    other        others[OTHERS];
    forker       f[OTHERS];
    pthread_t    busy[OTHERS];
    pthread_t    forking[OTHERS];
    double       begin = stress_seconds();
    uint64_t     done  = 0;
    unsigned     i;

    stress_test();
    memset(&p, 0, sizeof(p));
    memset(others, 0, sizeof(others));
    p.heap = stress_heap("fork", &pages, FPHEAP_CHUNK);
    CHECK_EQ(fpheap_provider_mmap(&p.pages, FPHEAP_NO_THP), 0);
    pthread_barrier_init(&p.start, NULL, OTHERS + 1);
    for (i = 0; i < OTHERS; i++) {
        others[i].parent = &p;
        others[i].owner  = i + 1;
        others[i].random = stress_state(i);
        busy[i] = stress_spawn(be_busy, &others[i]);
    }
    pthread_barrier_wait(&p.start);
    for (i = 0; i < forkers; i++) {
        f[i].parent = &p;
        f[i].owner  = FORKING + i;
        f[i].forks  = stress_work(forks / forkers);
        f[i].random = stress_state(FORKING + i);
        forking[i]  = stress_spawn(fork_often, &f[i]);
    }
    for (i = 0; i < forkers; i++)
        stress_join(forking[i]);
    __atomic_store_n(&p.stop, 1, __ATOMIC_RELAXED);
    for (i = 0; i < OTHERS; i++) {
        stress_join(busy[i]);
        done += others[i].done;
    }
    printf("  %llu children of %u threads in %.1f s, while %u others did %llu "
           "operations\n", (unsigned long long)(f[0].forks * forkers), forkers,
           stress_seconds() - begin, OTHERS, (unsigned long long)done);
    pthread_barrier_destroy(&p.start);
    stress_finish(p.heap);
    stress_pages_finish(&pages);
}

static void
children_of_one_thread_use_the_heap_they_inherit(void **state)
{
    (void)state;
    storm(1, 360);
}

static void
children_of_several_threads_use_the_heap_they_inherit(void **state)
{
    (void)state;
    storm(OTHERS, 360);
}

/* --- generations ---------------------------------------------------------- */

enum { HELPERS = 2, GENERATIONS = 40, PARKED = 64 };

typedef struct family {
    fpheap *heap;
    sem_t   ready;
    sem_t   never;
} family;

/* Park objects of many sizes, and still be there when the process forks. */
static void *
help(void *arg)
{
    family  *f = (family *)arg;
    void    *held[PARKED];
    unsigned k;

    for (k = 16; k <= FPHEAP_PAGE; k *= 2) {
        CHECK_EQ(fpheap_alloc_bulk(f->heap, k, held, PARKED), 0);
        fpheap_free_bulk(f->heap, held, PARKED);
    }
    sem_post(&f->ready);
    sem_wait(&f->never);
    return NULL;
}

/* Whether seats, caches and memory of earlier generations are free again. */
static int
has_no_more(fpheap *heap, size_t bytes)
{
    fpheap_stats stats;
    unsigned     seats = 0;
    unsigned     i;

    for (i = 0; i < FPHEAP_MAX_THREADS; i++)
        seats += fph_seats[i] != 0;
    fpheap_stats_get(heap, &stats);
    return seats <= HELPERS + 1 && stats.caches <= HELPERS + 1
        && stats.region_bytes <= bytes && fpheap_check(heap) == NULL;
}

/* Live as a process with helpers, and fork the next.  Returns 0 if all is well
 * with it and those after it. */
static int
live_on(fpheap *heap, unsigned left, size_t bytes)
{
    family   f;
    unsigned i;
    int      status = -1;
    pid_t    child;

    f.heap = heap;
    sem_init(&f.ready, 0, 0);
    sem_init(&f.never, 0, 0);
    for (i = 0; i < HELPERS; i++)
        (void)stress_spawn(help, &f);
    for (i = 0; i < HELPERS; i++)
        sem_wait(&f.ready);
    fpheap_free(heap, fpheap_alloc(heap, 100));
    if (!has_no_more(heap, bytes))
        return 2;
    if (left == 0)
        return fpheap_destroy(heap) == 0 ? 0 : 3;
    child = fork();
    if (child == 0)
        _exit(live_on(heap, left - 1, bytes));
    return child > 0 && waitpid(child, &status, 0) == child && status == 0 ? 0
                                                                          : 1;
}

static void
generations_of_forks_have_the_seats_caches_and_memory_of_the_first(void **state)
{
    fpheap *heap = fpheap_create("family", NULL);
    int     status = -1;
    pid_t   child;

    (void)state;
    CHECK_EQ(heap != NULL, 1);
#ifdef __SANITIZE_THREAD__
    print_message("ThreadSanitizer ends a child that makes threads\n");
    CHECK_EQ(fpheap_destroy(heap), 0);
    skip();
#endif
    (void)fflush(NULL);
    child = fork();
    if (child == 0)
        _exit(live_on(heap, GENERATIONS, 8 << 20));
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(status, 0);
    CHECK_EQ(fpheap_destroy(heap), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(children_of_one_thread_use_the_heap_they_inherit),
        cmocka_unit_test(children_of_several_threads_use_the_heap_they_inherit),
        cmocka_unit_test(
            generations_of_forks_have_the_seats_caches_and_memory_of_the_first),
    };

    stress_program("stress_fork");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
