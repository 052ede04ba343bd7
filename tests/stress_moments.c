/* stress_moments.c - what may come between two instructions of a slow path
 * SPDX-License-Identifier: MIT OR Unlicense
 *
 * A thread, the victim, does an operation under the trap flag, so that a signal
 * handler runs after each of its instructions.  Another thread is at rest, with
 * live objects and a cache.  At a moment, one or each of these comes:
 *
 *     signal      the handler uses another heap
 *     fork        the other thread forks.  The child has its objects and the
 *                 victim's, gets none of them again, works, makes threads, ends
 *                 the heap, and exits; it may lack a magazine and what was in
 *                 the caller's hands.  Of a shared heap it has nothing, and
 *                 opens that beside the victim
 *     _Fork       the same, but no handlers of forks have run: to the child the
 *                 victim is a thread that is stopped, beside which no heap ends
 *     own _Fork   the victim forks in its handler.  In the child the operation
 *                 goes on, and nothing is lost there either
 *
 * When the operation is over, all invariants hold in the parent, all that was
 * live can be freed, and all memory is back.
 *
 * A moment is an instruction of this program, or of a library that it calls,
 * which the operation has reached at most FEW times: so loops cost little.  By
 * chance there are moments of all parts of an operation, and at each one thing
 * comes; with FPHEAP_SOAK=100 there is a signal at each, and all the rest at each
 * after which memory may have changed.  x86-64, no sanitizer.
 *
 *     OPERATION=name MOMENT=n    only this, as a failure says, with its
 *                                FPHEAP_CASES
 *
 * Another case has threads that are to be cancelled at the next cancellation
 * point when they begin an operation: they end it.
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
#  define FPHEAP_MAX_THREADS 16
#endif
#ifndef FPHEAP_GROWTH_WAIT_MS
#  define FPHEAP_GROWTH_WAIT_MS 1
#endif
#define FPHEAP_IMPLEMENTATION
#include "fpheap.h"
#include "stress_util.h"

#include <sys/wait.h>
#include <ucontext.h>

#if defined(__x86_64__) && defined(REG_EFL) && !STRESS_TSAN && !STRESS_ASAN
#  define CAN_STEP 1
#else
#  define CAN_STEP 0
#endif

#define SOME  90                /* objects of the victim, and those that it has */
#define MINE  (SOME + 64)       /* in the operation */
#define KEPT  40                /* of the other thread */
#define WORK  40                /* of a child */
#define LOST  (15 * FPHEAP_CHUNK) /* that a thread was moving, at most */
#define LARGE (FPHEAP_CHUNK + 3 * FPHEAP_PAGE)

/* --- what there is ----------------------------------------------------------- */

typedef struct scene {
    fpheap      *heap;
    int          shared;
    fpheap      *second;        /* that signal handlers use */
    fpheap_pool *pool;
    stress_pages pages;
    void        *mine[MINE];
    void        *stamped[SOME]; /* of these, at first */
    void        *kept[KEPT];
} scene;

static const size_t sizes[] = {16, 64, 200, 1000, 5000, 30000};

/* The system's pages, as by default, with books. */
static fpheap_provider
pages_init(stress_pages *pages)
{
    fpheap_provider provider;

    memset(pages, 0, sizeof *pages);
    CHECK_EQ(fpheap_provider_mmap(&pages->inner, FPHEAP_NO_THP), 0);
    provider = pages->inner;
    provider.get = stress_pages_get;
    provider.put = stress_pages_put;
    provider.ctx = pages;
    return provider;
}

static int
construct(void *arg, void *object)
{
    (void)arg;
    memset(object, 0, 16);
    return 0;
}

static void
destruct(void *arg, void *object)
{
    (void)arg;
    memset(object, 0xff, 16);
}

static fpheap_pool *
pool_new(fpheap *heap, const char *name, size_t max)
{
    fpheap_pool_desc desc;

    memset(&desc, 0, sizeof desc);
    desc.name = name;
    desc.size = 200;
    desc.max = max;
    desc.construct = construct;
    desc.destruct = destruct;
    return heap->partition != NULL ? fpheap_pool_open(heap, &desc)
                                   : fpheap_pool_create(heap, &desc);
}

static fpheap *
heap_new(const char *name, stress_pages *pages, size_t emergency)
{
    fpheap_provider provider = pages_init(pages);
    fpheap_config   config;
    fpheap         *heap;

    memset(&config, 0, sizeof config);
    config.provider = &provider;
    config.growth_max = 2 * FPHEAP_CHUNK;
    config.emergency = emergency;
    heap = fpheap_create(name, &config);
    CHECK(heap != NULL);
    return heap;
}

/* A heap that processes share. */
static char partition[FPHEAP_NAME_BYTES];

static fpheap *
partition_open(unsigned flags)
{
    fpheap_partition desc;

    memset(&desc, 0, sizeof desc);
    desc.bytes = 64 * FPHEAP_CHUNK;
    return fpheap_open(partition, &desc, flags);
}

static void
free_all(fpheap *heap, void **objects, size_t n)
{
    size_t i;

    for (i = 0; i < n; i++) {
        fpheap_free(heap, objects[i]);
        objects[i] = NULL;
    }
}

static void
scene_open(scene *s, int shared)
{
    size_t i;

    memset(s, 0, sizeof *s);
    s->shared = shared;
    s->heap = shared ? partition_open(FPHEAP_CREATE)
                     : heap_new("moments", &s->pages, FPHEAP_CHUNK);
    CHECK(s->heap != NULL);
    s->second = fpheap_create("second", NULL);
    s->pool = pool_new(s->heap, "pool", 0);
    CHECK(s->second != NULL && s->pool != NULL);
    for (i = 0; i < KEPT; i++)
        s->kept[i] = i % 8 == 7 ? fpheap_pool_get(s->pool)
                   : fpheap_alloc(s->heap, sizes[i % STRESS_LEN(sizes)]);
    stress_fill(s->kept, KEPT);
    for (i = 0; i < KEPT; i += 3) {
        fpheap_free(s->heap, s->kept[i]);
        s->kept[i] = NULL;
    }
}

/* Nothing of a heap is lost, and it ends. */
static void
finish(fpheap *heap)
{
    fpheap_thread_leave(heap);
    fpheap_trim(heap);
    CHECK_EQ(stress_check(heap).live_objects, 0);
    if (heap->partition == NULL)
        CHECK_EQ(fpheap_destroy(heap), 0);
    else
        CHECK(fpheap_close(heap) == 0 && fpheap_unlink(partition, NULL) == 0);
}

/* The operation was done: nothing is lost. */
static void
scene_close(scene *s)
{
    stress_check(s->heap);
    CHECK(stress_is_filled(s->kept, KEPT));
    free_all(s->heap, s->kept, KEPT);
    free_all(s->heap, s->mine, MINE);
    fpheap_set_limit(s->heap, 0);
    CHECK_EQ(fpheap_pool_destroy(s->pool, NULL), 0);
    finish(s->heap);
    CHECK_EQ(s->pages.bytes, 0);
    finish(s->second);
}

/* --- the operations of the victim -------------------------------------------- */

static void
take(scene *s, size_t i, size_t size)
{
    if (s->mine[i] == NULL)
        s->mine[i] = fpheap_alloc(s->heap, size);
}

/* What is about to be freed is nobody's. */
static void
give(scene *s, size_t i)
{
    void *object = s->mine[i];

    s->mine[i] = NULL;
    fpheap_free(s->heap, object);
}

static void
take_many(scene *s)
{
    size_t i;

    for (i = 0; i < 2 * SOME / 3; i++)
        take(s, i, 64);
    for (; i < SOME; i++)
        take(s, i, sizes[i % STRESS_LEN(sizes)]);
}

static void
give_many(scene *s)
{
    size_t i;

    for (i = 0; i < SOME; i++)
        give(s, i);
}

/* Parked in a cache and in depots, and free in slabs. */
static void
take_and_give(scene *s)
{
    size_t i;

    take_many(s);
    for (i = 0; i < SOME; i++)
        if (i % 4 != 0)
            give(s, i);
}

static void
take_and_give_all(scene *s)
{
    take_many(s);
    give_many(s);
}

static void
do_first(scene *s)
{
    take(s, SOME, 64);
}

static void
do_bulk(scene *s)
{
    void *objects[50];

    CHECK_EQ(fpheap_alloc_bulk(s->heap, 64, objects, 50), 0);
    memcpy(s->mine + SOME, objects, sizeof objects);
    memset(s->mine + SOME, 0, sizeof objects);
    fpheap_free_bulk(s->heap, objects, 50);
    CHECK_EQ(fpheap_alloc_burst(s->heap, 1000, objects, 20), 20);
    fpheap_free_bulk(s->heap, objects, 20);
}

static void
do_large(scene *s)
{
    void *object;

    take(s, SOME, LARGE);
    take(s, SOME + 1, 9 * FPHEAP_PAGE);
    object = s->mine[SOME + 1];
    s->mine[SOME + 1] = NULL;
    object = fpheap_realloc(s->heap, object, 12 * FPHEAP_PAGE);
    object = fpheap_realloc(s->heap, object, 3 * FPHEAP_CHUNK);
    s->mine[SOME + 1] = fpheap_realloc(s->heap, object, 9 * FPHEAP_PAGE);
    give(s, SOME);
    give(s, SOME + 1);
}

static void
do_realloc(scene *s)
{
    void *object = fpheap_realloc(s->heap, NULL, 100);

    object = fpheap_realloc(s->heap, object, 120);
    object = fpheap_realloc(s->heap, object, 4000);
    s->mine[SOME] = fpheap_realloc(s->heap, object, 50);
}

static void
do_kinds(scene *s)
{
    s->mine[SOME] = fpheap_zalloc(s->heap, 3000);
    s->mine[SOME + 1] = fpheap_calloc(s->heap, 3, 70);
    s->mine[SOME + 2] = fpheap_aligned_alloc(s->heap, 1024, 100);
    s->mine[SOME + 3] = fpheap_aligned_alloc(s->heap, FPHEAP_CHUNK, LARGE);
    s->mine[SOME + 4] = fpheap_alloc_on(s->heap, 100, 0);
    s->mine[SOME + 5] = fpheap_alloc_critical(s->heap, 100);
}

static void
do_growth(scene *s)
{
    take(s, SOME, 3 * FPHEAP_CHUNK);
    take(s, SOME + 1, LARGE);
    give(s, SOME);
    fpheap_trim(s->heap);
}

static void
do_reserve(scene *s)
{
    CHECK_EQ(fpheap_reserve(s->heap, 3 * FPHEAP_CHUNK, 0), 0);
}

static void
do_trim(scene *s)
{
    fpheap_trim(s->heap);
}

static void
do_flush(scene *s)
{
    fpheap_flush(s->heap);
}

static void
do_leave(scene *s)
{
    fpheap_thread_leave(s->heap);
    take(s, SOME, 64);
}

static void
do_prefill(scene *s)
{
    size_t i;

    CHECK_EQ(fpheap_prefill(s->heap, 1000, 6), 0);
    CHECK_EQ(fpheap_pool_prefill(s->pool, 6), 0);
    for (i = 0; i < 6; i++)
        s->mine[SOME + i] = fpheap_pool_get(s->pool);
    CHECK_EQ(fpheap_prefill(s->heap, 1000, 0), 0);
}

static void
do_pool(scene *s)
{
    void *objects[30];
    size_t i;

    for (i = 0; i < 60; i++)
        s->mine[SOME + i] = fpheap_pool_get(s->pool);
    for (i = 0; i < 60; i++)
        give(s, SOME + i);
    CHECK_EQ(fpheap_pool_get_bulk(s->pool, objects, 30), 0);
    fpheap_pool_put_bulk(s->pool, objects, 30);
}

static void
do_pool_life(scene *s)
{
    fpheap_pool *pool = pool_new(s->heap, "short", 40);

    CHECK(pool != NULL);
    s->mine[SOME] = fpheap_pool_get(pool);
    CHECK_EQ(fpheap_pool_set_max(pool, 20), 0);
    give(s, SOME);
    CHECK_EQ(fpheap_pool_destroy(pool, NULL), 0);
}

static void
do_child(scene *s)
{
    fpheap_config config;
    fpheap       *child;
    void         *object;

    memset(&config, 0, sizeof config);
    config.parent = s->heap;
    config.reserve = FPHEAP_CHUNK;
    child = fpheap_create("child", &config);
    CHECK(child != NULL);
    object = fpheap_alloc(child, 64);
    fpheap_free(s->heap, object);       /* which finds the child */
    fpheap_free(child, fpheap_alloc(child, 9 * FPHEAP_PAGE));
    CHECK_EQ(fpheap_destroy(child), 0);
}

static void
clean_up(void *arg)
{
    (void)arg;
}

static void
do_group(scene *s)
{
    fpheap_group *group = fpheap_group_begin(s->heap);
    fpheap_mark   mark;
    size_t        i;

    CHECK(group != NULL);
    for (i = 0; i < 8; i++)
        CHECK(fpheap_group_alloc(group, 1000) != NULL);
    CHECK_EQ(fpheap_group_adopt(group, fpheap_alloc(s->heap, 64)), 0);
    mark = fpheap_group_mark(group);
    CHECK(fpheap_group_alloc(group, 9000) != NULL);
    CHECK_EQ(fpheap_group_cleanup(group, clean_up, NULL), 0);
    fpheap_group_rewind(group, mark);
    fpheap_group_end(group);
}

static int
visit(void *arg, const fpheap_region *region)
{
    (void)arg, (void)region;
    return 0;
}

static void
do_statistics(scene *s)
{
    fpheap_holder     holders[16];
    fpheap_pool_stats p;
    fpheap_stats      all;

    fpheap_stats_get(s->heap, &all);
    fpheap_pool_stats_get(s->pool, &p);
    (void)fpheap_holders(s->heap, holders, 16);
    CHECK_EQ(fpheap_region_walk(s->heap, visit, NULL), 0);
    CHECK(fpheap_owns(s->heap, s->kept[1]));
}

/* All memory is used up, so critical objects come from what is set aside. */
static void
use_up(scene *s)
{
    fpheap_stats all;
    size_t       i;

    fpheap_stats_get(s->heap, &all);
    fpheap_set_limit(s->heap, all.region_bytes + 2 * FPHEAP_CHUNK);
    for (i = 0; i < SOME && (i == 0 || s->mine[i - 1] != NULL); i++)
        take(s, i, i < SOME / 2 ? 4 * FPHEAP_PAGE : FPHEAP_PAGE);
}

static void
do_critical(scene *s)
{
    take(s, SOME, 4 * FPHEAP_PAGE);     /* it fails */
    s->mine[SOME + 1] = fpheap_alloc_critical(s->heap, 4 * FPHEAP_PAGE);
    s->mine[SOME + 2] = fpheap_alloc_critical(s->heap, 64);
    CHECK(s->mine[SOME + 1] != NULL && s->mine[SOME + 2] != NULL);
    give(s, SOME + 1);
}

static void
do_limits(scene *s)
{
    fpheap_set_limit(s->heap, 1024 * FPHEAP_CHUNK);
    CHECK_EQ(fpheap_pool_set_max(s->pool, 1000), 0);
    take(s, SOME, LARGE);
    fpheap_set_limit(s->heap, 0);
}

static void
do_heap(scene *s)
{
    stress_pages pages;
    fpheap      *heap = heap_new("short", &pages, 0);

    (void)s;
    fpheap_free(heap, fpheap_alloc(heap, 100));
    CHECK_EQ(fpheap_destroy(heap), 0);
    CHECK_EQ(pages.bytes, 0);
}

typedef struct operation {
    const char *what;
    void      (*begin)(scene *s);       /* before the moments */
    void      (*run)(scene *s);         /* NULL: thread exit */
    unsigned    hands;                  /* objects in the caller's hands */
    int         shared;                 /* 1: a shared heap has it too */
} operation;

static const operation operations[] = {
    {"first call", NULL, do_first, 1, 1},
    {"alloc", take_and_give, take_many, 1, 1},
    {"free", take_many, give_many, 1, 1},
    {"bulk", take_and_give, do_bulk, 50, 1},
    {"large", NULL, do_large, 2, 1},
    {"realloc", NULL, do_realloc, 2, 1},
    {"other kinds", take_and_give, do_kinds, 1, 0},
    {"growth", NULL, do_growth, 1, 1},
    {"reserve", NULL, do_reserve, 0, 1},
    {"trim", take_and_give, do_trim, 0, 1},
    {"trim of all", take_and_give_all, do_trim, 0, 1},
    {"flush", take_and_give, do_flush, 0, 1},
    {"leave", take_and_give, do_leave, 1, 1},
    {"prefill", take_and_give, do_prefill, 12, 1},
    {"pool", NULL, do_pool, 30, 1},
    {"pool life", take_and_give, do_pool_life, 1, 1},
    {"child", NULL, do_child, 1, 0},
    {"group", NULL, do_group, 8, 1},
    {"statistics", NULL, do_statistics, 0, 1},
    {"critical", use_up, do_critical, 1, 0},
    {"limits", NULL, do_limits, 1, 0},
    {"heap", NULL, do_heap, 0, 0},
    {"thread exit", take_and_give, NULL, 0, 1},
};

static int
is_asked_for(const char *what, const char *is)
{
    const char *only = getenv(what);

    return only == NULL || strcmp(only, is) == 0;
}

#if CAN_STEP

/* _Fork is glibc's from 2.34 on. */
#pragma weak _Fork
extern pid_t _Fork(void);

/* --- a child ----------------------------------------------------------------- */

typedef enum thing { SIGNAL, FORK, BARE_FORK, OWN_FORK } thing;
#define THINGS 4

static const char *const names[THINGS] = {"signal", "fork", "_Fork",
                                          "own _Fork"};

/* What is learnt, also by children. */
typedef struct tale {
    uint64_t n[THINGS];
    uint64_t lost;              /* objects, of all children */
} tale;

static tale            *told;
static const operation *doing;
static uint64_t         moment;

static int
overlaps(fpheap *heap, const void *object, size_t bytes, void *const *others,
         size_t n)
{
    uintptr_t at = (uintptr_t)object;
    size_t    i;

    for (i = 0; i < n; i++)
        if (others[i] != NULL && (uintptr_t)others[i] < at + bytes
            && at < (uintptr_t)others[i] + fpheap_usable_size(heap, others[i]))
            return 1;
    return 0;
}

/* What a thread has charged to a limit, or was about to give back, stays its
 * own where it is stopped for good. */
static int may_be_charged;

/* Objects of all sizes, none of which anybody has. */
static void
works(scene *s, unsigned all)
{
    void    *objects[WORK];
    size_t   bytes;
    unsigned i;

    memset(objects, 0, sizeof objects);
    for (i = 0; i < all; i++) {
        objects[i] = i % 8 == 7 ? fpheap_pool_get(s->pool)
                   : i % 16 == 9 ? fpheap_alloc(s->heap, LARGE)
                   : fpheap_alloc(s->heap, sizes[i % STRESS_LEN(sizes)]);
        if (objects[i] == NULL && errno == ENOSPC && may_be_charged)
            continue;
        CHECK(objects[i] != NULL);
        bytes = fpheap_usable_size(s->heap, objects[i]);
        CHECK(!overlaps(s->heap, objects[i], bytes, s->mine, MINE));
        CHECK(!overlaps(s->heap, objects[i], bytes, s->kept, KEPT));
        memset(objects[i], (int)i + 1, bytes);
    }
    CHECK(stress_is_filled(objects, all));
    free_all(s->heap, objects, all);
}

static void *
works_beside(void *arg)
{
    works((scene *)arg, WORK / 2);
    return NULL;
}

/* It has as many bytes each time. */
static void
works_steadily(scene *s)
{
    fpheap_stats stats;
    size_t       bytes = 0, i;

    for (i = 0; i < 4; i++) {
        works(s, WORK);
        fpheap_flush(s->heap);
        fpheap_trim(s->heap);
        fpheap_stats_get(s->heap, &stats);
        if (i == 2)
            bytes = stats.region_bytes;
    }
    CHECK_LE(stats.region_bytes, bytes);
}

/* What the child cannot have any more.  If the handlers of forks have run, it
 * has all that was parked, and no region that was to come counts. */
static void
counts_lost(scene *s, int bare)
{
    fpheap_stats stats;
    size_t       lost;

    fpheap_stats_get(s->heap, &stats);
    lost = stats.live_objects + (bare ? 0 : stats.parked_objects);
    told->lost += lost;
    CHECK_LE(lost, doing->hands + FPHEAP_MAGAZINE);
    if (!bare)
        CHECK_EQ(fph_limit_bytes(s->heap->state->limit) - s->heap->state->left,
                 stats.region_bytes);
}

static void
ends_heap(scene *s)
{
    int rc = fpheap_pool_destroy(s->pool, NULL);

    (void)fpheap_check(s->heap);
    CHECK(rc == 0 || rc == -EBUSY);
    rc = fpheap_destroy(s->heap);
    CHECK(rc == 0 || (rc == -EBUSY && fpheap_destroy_forced(s->heap) == 0));
    CHECK_LE(s->pages.bytes, LOST);
}

/* Whether what the victim had before is as it was, as far as it has it yet. */
static int
victim_is_stamped(const scene *s)
{
    void  *objects[SOME];
    size_t i;

    for (i = 0; i < SOME; i++)
        objects[i] = s->mine[i] == s->stamped[i] ? s->mine[i] : NULL;
    return stress_is_filled(objects, SOME);
}

/* The child of the thread at rest.  If no handlers of forks have run, the
 * victim is a thread that is stopped, beside which no heap can end. */
static void __attribute__((noreturn))
child_lives(scene *s, int bare)
{
    alarm(20);
    may_be_charged = bare && doing->run == do_limits;
    fpheap_set_limit(s->heap, 0);
    CHECK(stress_is_filled(s->kept, KEPT) && victim_is_stamped(s));
    works(s, WORK);
    free_all(s->heap, s->kept, KEPT);
    free_all(s->heap, s->mine, MINE);
    if (!bare)
        stress_join(stress_spawn(works_beside, s));
    works_steadily(s);
    counts_lost(s, bare);
    if (!bare)
        ends_heap(s);
    do_heap(s);
    if (moment % 2 == 0)
        exit(0);
    _exit(0);
}

/* The child of the thread at rest, whose heap is shared: it opens that itself. */
static void __attribute__((noreturn))
child_opens(scene *s)
{
    alarm(20);
    s->heap = partition_open(0);
    CHECK(s->heap != NULL);
    s->pool = pool_new(s->heap, "pool", 0);
    CHECK(s->pool != NULL && stress_is_filled(s->kept, KEPT)
          && victim_is_stamped(s));
    works(s, WORK);
    fpheap_trim(s->heap);
    CHECK_EQ(fpheap_close(s->heap), 0);
    _exit(0);
}

/* The child of the victim: it has done the operation, and is as its parent,
 * but that the other thread is gone. */
static void __attribute__((noreturn))
child_ends(scene *s)
{
    alarm(20);
    fpheap_set_limit(s->heap, 0);
    stress_check(s->heap);
    CHECK(stress_is_filled(s->kept, KEPT));
    works(s, WORK);
    free_all(s->heap, s->kept, KEPT);
    free_all(s->heap, s->mine, MINE);
    CHECK_EQ(fpheap_pool_destroy(s->pool, NULL), 0);
    finish(s->heap);
    CHECK_EQ(s->pages.bytes, 0);
    finish(s->second);
    _exit(0);
}

static void
child_is_well(pid_t child, thing what)
{
    int status;

    CHECK(child > 0);
    while (waitpid(child, &status, 0) != child)
        CHECK_EQ(errno, EINTR);
    if (status == 0)
        return;
    fprintf(stderr, "OPERATION='%s' MOMENT=%llu: %s: a child %s (status %x)\n",
            doing->what, (unsigned long long)moment, names[what],
            WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM ? "hangs"
                                                               : "fails",
            (unsigned)status);
    CHECK(0);
}

/* --- moments ----------------------------------------------------------------- */

#define TRAP_FLAG 0x100
#define FEW       4
#define STRIDE    300           /* moments from one at which something comes to
                                   the next, in a short run */

/* This program's code, of which the heap's is a part. */
extern const char __executable_start[];
extern const char etext[];

static scene           scenery;
static int             from_victim[2], to_victim[2];
static unsigned char  *reached;         /* how often, of this program, */
static unsigned char   elsewhere[FPHEAP_PAGE];  /* and of libraries */
static volatile int    stepping;
static volatile int    is_child;        /* of the victim; */
static int             is_others;       /* of the other thread */
static uint64_t        next;            /* the moment at which something comes; */
static uint64_t        stride;          /* how many, on average, are in between */
static uint64_t        random_state;
static int             everything;      /* comes, or one thing in turn */
static int             wrote;           /* since it came */
static int             will_write;      /* the instruction that is next */
static pthread_key_t   exit_key;

static void
say(int pipe, char word)
{
    while (write(pipe, &word, 1) != 1)
        ;
}

static char
hear(int pipe)
{
    char word;

    while (read(pipe, &word, 1) != 1)
        ;
    return word;
}

static int
is_moment(uintptr_t pc)
{
    uintptr_t      at    = pc - (uintptr_t)__executable_start;
    unsigned char *times = &elsewhere[pc % sizeof elsewhere];

    if (at < (uintptr_t)(etext - __executable_start))
        times = &reached[at];
    if (*times == FEW)
        return 0;
    ++*times;
    return 1;
}

/* A signal handler may use a heap, though its thread is in a call on another. */
static void
use_second(fpheap *heap)
{
    void  *objects[20];
    size_t i;

    for (i = 0; i < STRESS_LEN(objects); i++) {
        objects[i] = fpheap_alloc(heap, i == 7 ? LARGE : sizes[i % 5]);
        CHECK(objects[i] != NULL);
        memset(objects[i], (int)i + 1, 16);
    }
    CHECK(stress_is_filled(objects, STRESS_LEN(objects)));
    free_all(heap, objects, STRESS_LEN(objects));
    if (moment % 4 == 0)
        fpheap_trim(heap);
    if (moment % 8 == 0)
        do_heap(NULL);
    if (moment % 16 == 0)
        fpheap_thread_leave(heap);
}

static void
comes(thing what)
{
    pid_t child;

    if (what == SIGNAL) {
        use_second(scenery.second);
    } else if (what == FORK || what == BARE_FORK) {
        say(from_victim[1], (char)what);
        hear(to_victim[0]);
    } else {
        child = _Fork();
        is_child = child == 0;
        if (!is_child)
            child_is_well(child, what);
    }
    if (!is_child)
        told->n[what]++;
}

/* Whether an instruction may write what other threads see.  Those that do not
 * are listed; calls and pushes write to the stack, and so does what is addressed
 * by its pointer. */
static int
may_write(const unsigned char *code)
{
    int rex = (code[0] & 0xf0) == 0x40 ? *code++ : 0;
    int of_two = code[0] == 0x0f;
    int op = (code += of_two)[0];
    int on_stack = (code[1] & 7) == 4 && (code[2] & 7) == 4 && (rex & 1) == 0;
    int elsewhere_too = code[1] < 0xc0 && !on_stack;

    if (of_two)                 /* cmov, jump, movzx, movsx */
        return !((op & 0xf0) == 0x40 || (op & 0xf0) == 0x80
                 || (op & 0xf6) == 0xb6);
    if (op < 0x40 && (op & 4) == 0)     /* arithmetic, but cmp */
        return (op & 2) == 0 && elsewhere_too && (op & 0x38) != 0x38;
    if (op == 0x88 || op == 0x89 || op == 0xc6 || op == 0xc7 || op == 0x80
        || op == 0x81 || op == 0x83 || op == 0xc1)
        return elsewhere_too;
    return !((op & 0xf0) == 0x50 || (op & 0xf0) == 0x70 || (op & 0xf0) == 0xb0
             || op == 0x63 || op == 0x84 || op == 0x85 || op == 0x8b
             || op == 0x8d || op == 0xc3 || op == 0xe8 || op == 0xe9
             || op == 0xeb);
}

/* Several things that come at one moment do not see each other: children have
 * memory of their own, and the second heap is none of theirs. */
static void
come(void)
{
    static unsigned turn;
    int             what;

    next += stride == 1 ? 1 : 1 + stress_below(&random_state, 2 * stride - 1);
    for (what = 0; what < THINGS && !is_child; what++)
        if ((everything || turn % THINGS == (unsigned)what)
            && (what <= FORK || (_Fork != NULL && !scenery.shared))
            && (what == SIGNAL || !everything || wrote))
            comes((thing)what);
    wrote = 0;
    turn++;
}

/* Do the rest of a rep stosb or rep movsb but for its last byte. */
static void
repeat(greg_t *reg)
{
    const unsigned char *code = (const unsigned char *)reg[REG_RIP];
    size_t               n    = (size_t)reg[REG_RCX];

    if (code[0] != 0xf3 || (code[1] != 0xaa && code[1] != 0xa4) || n < 2)
        return;
    n--;
    if (code[1] == 0xaa)
        memset((void *)reg[REG_RDI], (int)reg[REG_RAX], n);
    else
        memcpy((void *)reg[REG_RDI], (const void *)reg[REG_RSI], n);
    reg[REG_RDI] += (greg_t)n;
    reg[REG_RSI] += code[1] == 0xa4 ? (greg_t)n : 0;
    reg[REG_RCX] = 1;
}

static void
on_trap(int number, siginfo_t *info, void *context)
{
    ucontext_t *at    = (ucontext_t *)context;
    greg_t     *flags = &at->uc_mcontext.gregs[REG_EFL];
    uintptr_t   pc    = (uintptr_t)at->uc_mcontext.gregs[REG_RIP];
    int         error = errno;

    (void)number, (void)info;
    *flags |= TRAP_FLAG;
    wrote |= will_write;
    if (stepping && is_moment(pc) && ++moment == next)
        come();
    will_write = may_write((const unsigned char *)pc);
    if (stepping && !is_child)
        repeat(at->uc_mcontext.gregs);
    if (!stepping || is_child)
        *flags &= ~(greg_t)TRAP_FLAG;
    errno = error;
}

static void
step(void)
{
    moment = 0;
    stepping = next != 0;
    if (stepping)
        raise(SIGTRAP);
}

/* Made before the heap's, so its destructor runs first: it starts in the first
 * round of destructors and ends in the second.  (If the process forks meanwhile,
 * glibc leaves the victim's data to the thread that gets its stack.) */
static void
end_of_thread(void *arg)
{
    static int began;

    if (is_others)
        return;
    began = !began;
    if (began) {
        pthread_setspecific(exit_key, arg);
        step();
        return;
    }
    stepping = 0;
    if (is_child)
        child_ends((scene *)arg);
    say(from_victim[1], 'd');
}

static void *
suffer(void *arg)
{
    scene *s = (scene *)arg;

    fpheap_free(s->second, fpheap_alloc(s->second, 64));
    if (doing->begin != NULL)
        doing->begin(s);
    stress_fill(s->mine, SOME);
    memcpy(s->stamped, s->mine, sizeof s->stamped);
    if (doing->run == NULL) {
        pthread_setspecific(exit_key, s);
        return NULL;
    }
    step();
    doing->run(s);
    stepping = 0;
    if (is_child)
        child_ends(s);
    say(from_victim[1], 'd');
    return NULL;
}

/* The thread at rest does what the victim asks for. */
static void
serve(scene *s)
{
    pthread_t victim = stress_spawn(suffer, s);
    pid_t     child;
    char      what;

    while ((what = hear(from_victim[0])) != 'd') {
        (void)fflush(NULL);
        child = what == FORK ? fork() : _Fork();
        is_others = child == 0;
        if (child == 0 && s->shared)
            child_opens(s);
        if (child == 0)
            child_lives(s, what != FORK);
        child_is_well(child, (thing)what);
        say(to_victim[1], 'g');
    }
    stress_join(victim);
}

/* An operation from its beginning to its end, in a heap of its own.  Something
 * comes at a first moment, 0: none, and then as often as `stride` says. */
static void
go_through(uint64_t first, int shared)
{
    next = first;
    memset(reached, 0, (size_t)(etext - __executable_start));
    memset(elsewhere, 0, sizeof elsewhere);
    scene_open(&scenery, shared);
    serve(&scenery);
    scene_close(&scenery);
}

static void
go_through_one(const operation *op, int shared)
{
    const char *asked = getenv("MOMENT");
    double      began = stress_seconds();
    int         what;

    doing = op;
    random_state = stress_state((uint64_t)(op - operations));
    memset(told, 0, sizeof *told);
    go_through(0, shared);      /* a dynamic linker has its work */
    everything = asked != NULL || stress_soak >= 100;
    stride = asked != NULL ? UINT32_MAX / 4
           : everything ? 1 : 1 + STRIDE / stress_work(1);
    go_through(asked != NULL ? strtoull(asked, NULL, 0)
                             : 1 + stress_below(&random_state, stride), shared);
    printf("  %-12s %5llu moments:", op->what, (unsigned long long)moment);
    for (what = 0; what < THINGS; what++)
        if (told->n[what] != 0)
            printf(" %llu x %s,", (unsigned long long)told->n[what],
                   names[what]);
    printf(" %llu objects lost, %.1f s\n", (unsigned long long)told->lost,
           stress_seconds() - began);
}

/* In a short run half of the operations, by chance, as steps are slow. */
static int
is_chosen(const operation *op, int shared)
{
    uint64_t number = (uint64_t)(op - operations);

    if (shared && !op->shared)
        return 0;
    if (getenv("OPERATION") != NULL)
        return is_asked_for("OPERATION", op->what);
    return stress_soak > 1 || (stress_seed + number) % 2 == 0;
}

static void
go_through_all(int shared)
{
    struct sigaction action;
    size_t           i;

    stress_test();
    memset(&action, 0, sizeof action);
    action.sa_sigaction = on_trap;
    action.sa_flags = SA_SIGINFO;
    CHECK_EQ(sigaction(SIGTRAP, &action, NULL), 0);
    CHECK(pipe(from_victim) == 0 && pipe(to_victim) == 0);
    reached = (unsigned char *)calloc(1, (size_t)(etext - __executable_start));
    told = (tale *)mmap(NULL, sizeof *told, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(reached != NULL && told != MAP_FAILED);
    for (i = 0; i < STRESS_LEN(operations); i++)
        if (is_chosen(&operations[i], shared))
            go_through_one(&operations[i], shared);
    munmap(told, sizeof *told);
    free(reached);
    for (i = 0; i < 2; i++)
        close(from_victim[i]), close(to_victim[i]);
}

static void
at_any_moment_another_heap_can_be_used_and_the_process_can_fork(void **state)
{
    (void)state;
    go_through_all(0);
}

static void
and_the_child_of_a_fork_can_open_a_shared_heap(void **state)
{
    (void)state;
    go_through_all(1);
}

static void
prepare(void)
{
    CHECK_EQ(pthread_key_create(&exit_key, end_of_thread), 0);
}
#else
static void
prepare(void)
{
}

static void
at_any_moment_another_heap_can_be_used_and_the_process_can_fork(void **state)
{
    (void)state;
    skip();
}

static void
and_the_child_of_a_fork_can_open_a_shared_heap(void **state)
{
    (void)state;
    skip();
}
#endif

/* --- cancellation ------------------------------------------------------------ */

static void
do_partition(scene *s)
{
    fpheap *heap = partition_open(FPHEAP_CREATE);

    (void)s;
    CHECK(heap != NULL);
    fpheap_free(heap, fpheap_alloc(heap, LARGE));
    CHECK_EQ(fpheap_recover(heap, 0), 0);
    fpheap_trim(heap);
    CHECK_EQ(fpheap_close(heap), 0);
    heap = partition_open(FPHEAP_READ_ONLY);
    CHECK(heap != NULL);
    CHECK_EQ(fpheap_close(heap), 0);
    CHECK_EQ(fpheap_unlink(partition, NULL), 0);
    CHECK(partition_open(0) == NULL);
}

/* The first look at what the system says of hugepages. */
static void
do_hugepages(scene *s)
{
    fpheap_provider provider;
    void           *object = fpheap_alloc(s->heap, 64 * FPHEAP_CHUNK);

    fph_thp_known = 0;
    CHECK_EQ(fpheap_provider_mmap(&provider, 0), 0);
    (void)provider.huge(provider.ctx, object, 64 * FPHEAP_CHUNK,
                        FPHEAP_HUGE_NOW);
    fpheap_free(s->heap, object);
}

static FILE *nowhere;

static void
do_dump(scene *s)
{
    fpheap_dump(s->heap, nowhere);
}

static const operation others[] = {
    {"dump", take_and_give, do_dump, 0, 0},
    {"partition", NULL, do_partition, 0, 0},
    {"hugepages", NULL, do_hugepages, 0, 0},
};

typedef struct condemned {
    scene           *s;
    const operation *op;
    int              done;
} condemned;

static void *
goes_on_until_it_is_done(void *arg)
{
    condemned *c = (condemned *)arg;

    if (c->op->begin != NULL)
        c->op->begin(c->s);
    pthread_cancel(pthread_self());     /* at the next cancellation point */
    if (c->op->run != NULL)
        c->op->run(c->s);
    c->done = 1;
    pthread_testcancel();
    return NULL;
}

static void
cancel_in(const operation *op)
{
    static scene s;
    condemned    c = {&s, op, 0};
    void        *result;

    if (!is_asked_for("OPERATION", op->what))
        return;
    scene_open(&s, 0);
    CHECK_EQ(pthread_join(stress_spawn(goes_on_until_it_is_done, &c), &result),
             0);
    if (!c.done) {
        fprintf(stderr, "OPERATION='%s' is cancelled\n", op->what);
        CHECK(0);
    }
    CHECK(result == PTHREAD_CANCELED);
    scene_close(&s);
}

static void
no_function_is_a_cancellation_point(void **state)
{
    size_t i;

    (void)state;
    stress_test();
    nowhere = fopen("/dev/null", "w");
    CHECK(nowhere != NULL && setvbuf(nowhere, NULL, _IONBF, 0) == 0);
    for (i = 0; i < STRESS_LEN(operations); i++)
        cancel_in(&operations[i]);
    for (i = 0; i < STRESS_LEN(others); i++)
        cancel_in(&others[i]);
    fclose(nowhere);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            at_any_moment_another_heap_can_be_used_and_the_process_can_fork),
        cmocka_unit_test(and_the_child_of_a_fork_can_open_a_shared_heap),
        cmocka_unit_test(no_function_is_a_cancellation_point),
    };

    stress_program("stress_moments");
    snprintf(partition, sizeof partition, "moments-%d", (int)getpid());
    prepare();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
