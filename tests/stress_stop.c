/* stress_stop.c - a thread that is stopped inside the heap delays no other
 * SPDX-License-Identifier: MIT OR Unlicense
 *
 * A victim repeats an operation and is stopped somewhere in it, by a signal
 * handler that does not return.  While it is stopped, two other threads do ten
 * thousand operations of every kind each, within a second: in one of five tries,
 * as a busy machine delays them too, but not each time, and a thread that waits
 * for the stopped one does.  Then it goes on, and at the end nothing is lost.
 *
 *   - by chance: the signal comes from outside, at a random time
 *   - by instruction: the victim runs under the trap flag, counts its own
 *     instructions and stops at four behind the n-th, with n drawn evenly, where
 *     no victim has stopped yet; or counts only its locked ones and stops behind
 *     the n-th and three more.  This reaches thread exit too.  x86-64, no
 *     sanitizer.
 *     With FPHEAP_SOAK there is a stop at each instruction of this program that
 *     an operation gets to.
 *
 * Stops inside the provider's callbacks do not count: there others may wait.
 *
 * Chunks, magazines and the number of classes are small, and so are the
 * victim's operations, so that most of their instructions are in exchanges,
 * claims, page maps and growth, and one that looks at all of the heap is not a
 * long one.
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
#  define FPHEAP_GROWTH_WAIT_MS 5
#endif
#define FPHEAP_IMPLEMENTATION
#include "fpheap.h"
#include "stress_util.h"

#include <semaphore.h>
#include <ucontext.h>

#define OTHERS      2
#define OPERATIONS  10000
#define LIMIT       (1.0 * STRESS_SLOWDOWN)     /* seconds */
#define TRIES       5
#define FOR_EVER    100                         /* seconds */
#define KEPT        64
#define VICTIM      100     /* the owner in its stamps */

#if defined(__x86_64__) && defined(REG_EFL) && !STRESS_TSAN && !STRESS_ASAN
#  define CAN_STEP 1
#else
#  define CAN_STEP 0
#endif

/* --- a provider that is an arena ---------------------------------------------
 *
 * Growing and giving back are what is to be stopped, so they happen all the
 * time and must cost little: no system call.  in_provider is how the victim's
 * handler knows that it may not stop here.
 */

#define ARENA_CHUNKS 512

typedef struct arena {
    char           *base;
    pthread_mutex_t lock;
    unsigned char   used[ARENA_CHUNKS];
    unsigned        outstanding;
    unsigned        gets;
    unsigned        puts;
} arena;

static __thread volatile sig_atomic_t in_provider;
static __thread volatile sig_atomic_t stepping;

/* The trap handler gave up counting at the provider's first instruction. */
static void
leave_provider(void)
{
    in_provider = 0;
    if (stepping)
        raise(SIGTRAP);
}

static int
arena_find(const arena *a, size_t n, size_t *at)
{
    size_t i;
    size_t run = 0;

    for (i = 0; i < ARENA_CHUNKS; i++) {
        run = a->used[i] ? 0 : run + 1;
        if (run == n) {
            *at = i + 1 - n;
            return 1;
        }
    }
    return 0;
}

static int
arena_get(void *ctx, size_t bytes, size_t align, int node,
          fpheap_region *region)
{
    arena *a     = (arena *)ctx;
    size_t n     = (bytes + FPHEAP_CHUNK - 1) / FPHEAP_CHUNK;
    int    error = -ENOMEM;
    size_t at;

    (void)align;
    (void)node;
    in_provider = 1;
    pthread_mutex_lock(&a->lock);
    if (arena_find(a, n, &at)) {
        memset(a->used + at, 1, n);
        memset(region, 0, sizeof(*region));
        region->base   = a->base + at * FPHEAP_CHUNK;
        region->bytes  = n * FPHEAP_CHUNK;
        region->cookie = a->used + at;
        a->outstanding++;
        a->gets++;
        error = 0;
    }
    pthread_mutex_unlock(&a->lock);
    leave_provider();
    return error;
}

static int
arena_put(void *ctx, const fpheap_region *region)
{
    arena *a = (arena *)ctx;

    in_provider = 1;
    pthread_mutex_lock(&a->lock);
    memset(region->base, 0, region->bytes);
    memset(region->cookie, 0, region->bytes / FPHEAP_CHUNK);
    a->outstanding--;
    a->puts++;
    pthread_mutex_unlock(&a->lock);
    leave_provider();
    return 0;
}

static fpheap_provider
arena_init(arena *a)
{
    fpheap_provider provider = {.get = arena_get, .put = arena_put, .ctx = a};
    size_t          bytes    = (ARENA_CHUNKS + 1) * FPHEAP_CHUNK;
    char           *base     = (char *)mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                                            MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    CHECK(base != MAP_FAILED);
    memset(a, 0, sizeof(*a));
    pthread_mutex_init(&a->lock, NULL);
    a->base = base + (FPHEAP_CHUNK - (uintptr_t)base % FPHEAP_CHUNK);
    return provider;
}

/* --- what threads do ------------------------------------------------------ */

typedef struct player {
    fpheap      *heap;
    uint64_t     owner;
    uint64_t     random;
    void        *kept[KEPT];
    fpheap_pool *pool;      /* one that was busy when it should end */
} player;

static fpheap_provider provider;
static arena           memory;
static stress_boxes    boxes;
static fpheap_pool    *shared;      /* of which all have objects */

#define SHARED_MAX 96

static size_t
random_size(uint64_t *random)
{
    unsigned kind = stress_below(random, 64);

    if (kind < 56)
        return stress_below(random, 513);
    if (kind < 63)
        return stress_below(random, FPH_CLASS_MAX);
    return stress_below(random, 2 * FPHEAP_CHUNK);
}

/* NULL is a valid answer here: the arena may be used up for a moment. */
static void *
take(player *p, size_t size)
{
    void *object = fpheap_alloc(p->heap, size);

    if (object != NULL)
        stress_own(p->heap, object, stress_stamp(p->owner, size));
    return object;
}

static void
give(player *p, void *object)
{
    uint64_t stamp = stress_stamp_of(p->heap, object);

    CHECK_EQ(stamp >> 48, p->owner);
    stress_disown(p->heap, object, stamp);
    fpheap_free(p->heap, object);
}

static void
turn(player *p)
{
    void **kept = &p->kept[stress_below(&p->random, KEPT)];

    if (*kept == NULL) {
        *kept = take(p, random_size(&p->random));
    } else {
        give(p, *kept);
        *kept = NULL;
    }
}

static void
turn_box(player *p)
{
    void *object = take(p, stress_below(&p->random, 513));

    if (object != NULL)
        stress_pass(p->heap, object, p->owner, STRESS_TRANSIT);
    object = stress_swap_box(&boxes, stress_below(&p->random, STRESS_BOXES),
                             object);
    if (object != NULL) {
        stress_pass(p->heap, object, STRESS_TRANSIT, p->owner);
        give(p, object);
    }
}

static void
turn_bulk(player *p)
{
    void    *objects[40];
    unsigned n    = 1 + stress_below(&p->random, STRESS_LEN(objects));
    size_t   size = stress_below(&p->random, 257);
    unsigned i;

    n = fpheap_alloc_burst(p->heap, size, objects, n);
    for (i = 0; i < n; i++)
        stress_own(p->heap, objects[i], stress_stamp(p->owner, size));
    for (i = 0; i < n; i++)
        stress_disown(p->heap, objects[i],
                      stress_stamp(p->owner, size));
    fpheap_free_bulk(p->heap, objects, n);
}

static void
drop_kept(player *p)
{
    unsigned i;

    for (i = 0; i < KEPT; i++) {
        if (p->kept[i] != NULL)
            give(p, p->kept[i]);
        p->kept[i] = NULL;
    }
}

/* As many as the pool lets it have. */
static void
turn_pool(player *p)
{
    void    *objects[24];
    unsigned n = 1 + stress_below(&p->random, STRESS_LEN(objects));
    uint64_t stamp = stress_stamp(p->owner, 200);
    unsigned i;

    n = fpheap_pool_get_burst(shared, objects, n);
    for (i = 0; i < n; i++)
        stress_own(p->heap, objects[i], stamp);
    for (i = 0; i < n; i++)
        stress_disown(p->heap, objects[i], stamp);
    fpheap_pool_put_bulk(shared, objects, n);
}

/* Returns 0: a thread that is stopped has something of the pool. */
static int
end_pool(player *p)
{
    int error = p->pool == NULL ? 0 : fpheap_pool_destroy(p->pool, NULL);

    if (error == 0)
        p->pool = NULL;
    else
        CHECK_EQ(error, -EBUSY);
    return error == 0;
}

static void
make_and_end_a_pool(player *p)
{
    char             name[FPHEAP_NAME_BYTES];
    fpheap_pool_desc desc;

    if (!end_pool(p))
        return;
    snprintf(name, sizeof(name), "of %llu", (unsigned long long)p->owner);
    memset(&desc, 0, sizeof(desc));
    desc.name = name;
    desc.size = 300;
    p->pool   = fpheap_pool_create(p->heap, &desc);
    if (p->pool == NULL)
        return;
    fpheap_pool_put(p->pool, fpheap_pool_get(p->pool));
    end_pool(p);
}

static void
make_shared(fpheap *heap)
{
    fpheap_pool_desc desc;

    memset(&desc, 0, sizeof(desc));
    desc.name = "shared";
    desc.size = 200;
    desc.max  = SHARED_MAX;
    shared    = fpheap_pool_create(heap, &desc);
    CHECK(shared != NULL);
}

static void
make_and_end_a_heap(void)
{
    fpheap_config config = {.provider = &provider};
    fpheap       *heap   = fpheap_create("short", &config);

    if (heap == NULL)
        return;
    fpheap_free(heap, fpheap_alloc(heap, 100));
    CHECK_EQ(fpheap_destroy(heap), 0);
}

/* --- the operations of the victim --------------------------------------------
 *
 * With magazines of 8 a few calls reach hits, exchanges, claims and giving back,
 * with chunks of 64 KiB growth and shrinking.
 */

static void
op_single(player *p)
{
    unsigned i;

    for (i = 0; i < 6; i++)
        turn(p);
}

static void
op_boxes(player *p)
{
    turn_box(p);
    turn_box(p);
}

static void
op_grow(player *p)
{
    void *large = take(p, FPHEAP_CHUNK + 1);
    void *pages = take(p, FPH_CLASS_MAX + 1);

    if (large != NULL)
        give(p, large);
    if (pages != NULL)
        give(p, pages);
}

static void
op_trim(player *p)
{
    fpheap_trim(p->heap);
}

static void
op_flush(player *p)
{
    turn(p);
    fpheap_flush(p->heap);
}

static void
op_leave(player *p)
{
    turn(p);
    fpheap_thread_leave(p->heap);
}

static void
op_reserve(player *p)
{
    fpheap_reserve(p->heap, 6 * FPHEAP_CHUNK, 0);
}

static void
op_look(player *p)
{
    fpheap_class_stats c;
    fpheap_stats       s;

    fpheap_stats_get(p->heap, &s);
    fpheap_class_stats_get(p->heap, 3, &c);
    fpheap_owns(p->heap, &s);
}

static void
op_limits(player *p)
{
    fpheap_pool_stats stats;

    fpheap_set_limit(p->heap, ARENA_CHUNKS * FPHEAP_CHUNK);
    CHECK_EQ(fpheap_pool_set_max(shared, SHARED_MAX), 0);
    fpheap_pool_stats_get(shared, &stats);
    CHECK_LE(stats.claimed_objects, SHARED_MAX);
}

static void
op_realloc(player *p)
{
    void *object = fpheap_realloc(p->heap, NULL, 100);
    void *moved  = fpheap_realloc(p->heap, object, 4000);

    fpheap_free(p->heap, moved != NULL ? moved : object);
}

static void
op_heap(player *p)
{
    (void)p;
    make_and_end_a_heap();
}

typedef struct operation {
    const char *name;
    void (*run)(player *p);
} operation;

static const operation operations[] = {
    {"alloc and free", op_single}, {"bulk", turn_bulk},
    {"objects of others", op_boxes}, {"grow", op_grow},
    {"trim", op_trim}, {"flush", op_flush},
    {"leave", op_leave}, {"reserve", op_reserve},
    {"stats", op_look}, {"realloc", op_realloc},
    {"create and destroy", op_heap}, {"pool get and put", turn_pool},
    {"pool create and destroy", make_and_end_a_pool}, {"limits", op_limits},
};

/* --- the others ----------------------------------------------------------- */

typedef struct runner {
    player player;
    sem_t  go;
    sem_t  done;
    int    quit;
    double seconds;
} runner;

static void
run_one(player *p, unsigned i)
{
    switch (i % 1000) {
    case 100:
    case 600:
        fpheap_trim(p->heap);
        break;
    case 200:
        fpheap_flush(p->heap);
        break;
    case 300:
        fpheap_thread_leave(p->heap);
        break;
    case 400:
        op_reserve(p);
        break;
    case 500:
    case 550:
        op_grow(p);
        break;
    case 700:
        op_look(p);
        break;
    case 800:
        make_and_end_a_heap();
        break;
    case 850:
        if (i < 2000)       /* it may wait, for FPHEAP_GROWTH_WAIT_MS */
            make_and_end_a_pool(p);
        break;
    case 900:
        op_limits(p);
        break;
    default:
        if (i % 4 == 0)
            turn_box(p);
        else if (i % 16 == 1)
            turn_bulk(p);
        else if (i % 16 == 5)
            turn_pool(p);
        else
            turn(p);
        break;
    }
}

static void *
run_others(void *arg)
{
    runner *r = (runner *)arg;

    for (;;) {
        double   begin;
        unsigned i;

        while (sem_wait(&r->go) != 0)
            ;
        if (r->quit)
            break;
        begin = stress_seconds();
        for (i = 0; i < OPERATIONS; i++)
            run_one(&r->player, i);
        r->seconds = stress_seconds() - begin;
        sem_post(&r->done);
    }
    drop_kept(&r->player);
    return NULL;
}

/* How long the slower took; ends the program when one does not finish. */
static double
let_others_run(runner *r)
{
    double          slowest = 0;
    struct timespec end;
    unsigned        i;

    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += FOR_EVER;
    for (i = 0; i < OTHERS; i++)
        sem_post(&r[i].go);
    for (i = 0; i < OTHERS; i++) {
        int error;

        do
            error = sem_timedwait(&r[i].done, &end);
        while (error != 0 && errno == EINTR);
        if (error != 0)
            stress_fail(__FILE__, __LINE__,
                        "a thread waits for the one that is stopped");
        if (r[i].seconds > slowest)
            slowest = r[i].seconds;
    }
    return slowest;
}

static void
start_others(runner *r, pthread_t *thread, fpheap *heap)
{
    unsigned i;

    make_shared(heap);
    for (i = 0; i < OTHERS; i++) {
        memset(&r[i], 0, sizeof(r[i]));
        r[i].player.heap   = heap;
        r[i].player.owner  = i + 1;
        r[i].player.random = stress_state(i);
        sem_init(&r[i].go, 0, 0);
        sem_init(&r[i].done, 0, 0);
        thread[i] = stress_spawn(run_others, &r[i]);
    }
}

/* After it nobody is in the heap, and no pool is left. */
static void
stop_others(runner *r, const pthread_t *thread, player *victim)
{
    unsigned i;

    for (i = 0; i < OTHERS; i++) {
        r[i].quit = 1;
        sem_post(&r[i].go);
        stress_join(thread[i]);
    }
    for (i = 0; i < OTHERS; i++)
        CHECK(end_pool(&r[i].player));
    CHECK(end_pool(victim));
    CHECK_EQ(fpheap_pool_destroy(shared, NULL), 0);
}

/* --- stopping ----------------------------------------------------------------
 *
 * The victim says through a pipe that it is stopped, or that it was in the
 * provider and is not, and sleeps in read() until it may go on: both calls are
 * safe in a handler.
 */

enum { STOPPED = 's', EXEMPT = 'e', DONE = 'd' };

static int from_victim[2];
static int to_victim[2];

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

static void
stop_here(void)
{
    int error = errno;

    say(from_victim[1], STOPPED);
    hear(to_victim[0]);
    errno = error;
}

static void
on_stop(int number)
{
    int error = errno;

    (void)number;
    if (in_provider)
        say(from_victim[1], EXEMPT);
    else
        stop_here();
    errno = error;
}

static void
open_pipes(void)
{
    CHECK_EQ(pipe(from_victim), 0);
    CHECK_EQ(pipe(to_victim), 0);
}

static void
close_pipes(void)
{
    close(from_victim[0]);
    close(from_victim[1]);
    close(to_victim[0]);
    close(to_victim[1]);
}

typedef struct tally {
    uint64_t stops;
    uint64_t exempt;
    double   slowest;
} tally;

/* The victim is stopped: the others run, then it goes on. */
static void
judge(tally *result, runner *r, const char *name)
{
    double   seconds = let_others_run(r);
    unsigned i;

    for (i = 1; i < TRIES && seconds > LIMIT; i++)
        seconds = let_others_run(r);
    result->stops++;
    if (seconds > result->slowest)
        result->slowest = seconds;
    if (seconds > LIMIT) {
        fprintf(stderr, "stopped in: %s, the others took %.3f s\n", name,
                seconds);
        stress_fail(__FILE__, __LINE__, "the others were delayed");
    }
    say(to_victim[1], 'g');
}

static void
report(const char *how, const tally *result, double begin)
{
    printf("  %llu stops %s, %llu more in the provider, in %.1f s; the slowest "
           "%u operations beside one took %.1f ms; %u regions given, %u taken "
           "back\n",
           (unsigned long long)result->stops, how,
           (unsigned long long)result->exempt, stress_seconds() - begin,
           OPERATIONS, result->slowest * 1e3, memory.gets, memory.puts);
}

static fpheap *
open_heap(size_t growth_max)
{
    fpheap_config config;
    fpheap       *heap;

    provider = arena_init(&memory);
    memset(&config, 0, sizeof(config));
    config.provider   = &provider;
    config.growth_max = growth_max;
    heap = fpheap_create("stop", &config);
    CHECK(heap != NULL);
    return heap;
}

static void
close_heap(fpheap *heap)
{
    player   p = {.heap = heap, .owner = STRESS_TRANSIT};
    unsigned i;

    for (i = 0; i < STRESS_BOXES; i++) {
        void *object = stress_swap_box(&boxes, i, NULL);

        if (object != NULL)
            give(&p, object);
    }
    stress_finish(heap);
    CHECK_EQ(memory.outstanding, 0);
}

/* --- by chance ------------------------------------------------------------ */

typedef struct victim {
    player   player;
    unsigned operation;
    unsigned quit;
} victim;

static void *
suffer(void *arg)
{
    victim *v = (victim *)arg;

    while (!__atomic_load_n(&v->quit, __ATOMIC_RELAXED)) {
        unsigned at = __atomic_load_n(&v->operation, __ATOMIC_RELAXED);

        operations[at].run(&v->player);
        /* ThreadSanitizer holds signals back until a call that may block. */
        if (STRESS_TSAN)
            stress_sleep_us(1);
    }
    drop_kept(&v->player);
    return NULL;
}

static void
a_thread_stopped_by_chance_delays_no_other(void **state)
{
    struct sigaction action;
    fpheap          *heap   = open_heap(2 * FPHEAP_CHUNK);
    uint64_t         random = stress_state(1000);
    uint64_t         stops  = stress_work(400);
    double           begin  = stress_seconds();
    tally            result = {0, 0, 0};
    runner           r[OTHERS];
    pthread_t        thread[OTHERS];
    pthread_t        stopped;
    victim           v;

    (void)state;
    stress_test();
    memset(&action, 0, sizeof(action));
    action.sa_handler = on_stop;
    CHECK_EQ(sigaction(SIGUSR1, &action, NULL), 0);
    open_pipes();
    memset(&v, 0, sizeof(v));
    v.player.heap   = heap;
    v.player.owner  = VICTIM;
    v.player.random = stress_state(VICTIM);
    start_others(r, thread, heap);
    stopped = stress_spawn(suffer, &v);
    while (result.stops < stops) {
        unsigned at   = stress_below(&random, STRESS_LEN(operations));
        unsigned spin = stress_below(&random, 200000);

        __atomic_store_n(&v.operation, at, __ATOMIC_RELAXED);
        while (spin-- > 0)
            __asm__ __volatile__("");
        CHECK_EQ(pthread_kill(stopped, SIGUSR1), 0);
        if (hear(from_victim[0]) == STOPPED)
            judge(&result, r, operations[at].name);
        else
            result.exempt++;
    }
    __atomic_store_n(&v.quit, 1, __ATOMIC_RELAXED);
    stress_join(stopped);
    stop_others(r, thread, &v.player);
    report("by chance", &result, begin);
    close_pipes();
    close_heap(heap);
}

/* --- by instruction ----------------------------------------------------------
 *
 * raise(SIGTRAP) starts the count: the handler sets the trap flag in the
 * context that it returns to, and the processor then traps after each
 * instruction.
 */

#if CAN_STEP

#define TRAP_FLAG 0x100

/* What is counted: every instruction, or each that follows a locked one.  Where
 * a thread stops between two accesses to shared words makes no difference to
 * the others, so the second kind meets the rare states much sooner. */
enum { ANY_INSTRUCTION, AFTER_LOCKED };

static __thread volatile sig_atomic_t counted;
static __thread volatile sig_atomic_t was_locked;
static __thread volatile uint64_t     steps;
static __thread volatile uint64_t     first_step;   /* that may be a stop */
static __thread volatile uint64_t     stops_left;

/* This program's code, of which the heap's is a part, and where in it a victim
 * has stopped.  There is one victim at a time. */
extern const char __executable_start[];
extern const char etext[];

static unsigned char *was_stop;

/* Whether it is the first time that a victim may stop at an instruction. */
static int
is_new(uintptr_t next)
{
    uintptr_t at = next - (uintptr_t)__executable_start;

    if (at >= (uintptr_t)(etext - __executable_start) || was_stop[at])
        return 0;
    was_stop[at] = 1;
    return 1;
}

/* The lock prefix, or xchg, which needs none. */
static int
is_locked(const unsigned char *code)
{
    return code[0] == 0xf0 || code[0] == 0x87
        || ((code[0] & 0xf0) == 0x40 && code[1] == 0x87);
}

static void
on_trap(int number, siginfo_t *info, void *context)
{
    ucontext_t *at    = (ucontext_t *)context;
    greg_t     *flags = &at->uc_mcontext.gregs[REG_EFL];
    uintptr_t   next  = (uintptr_t)at->uc_mcontext.gregs[REG_RIP];
    int         count = counted == ANY_INSTRUCTION || was_locked;

    (void)number;
    (void)info;
    if (!stepping || in_provider) {
        *flags &= ~(greg_t)TRAP_FLAG;
        was_locked = 0;
        return;
    }
    *flags |= TRAP_FLAG;
    was_locked = is_locked((const unsigned char *)next);
    if (count && ++steps >= first_step && stops_left > 0
        && (counted == AFTER_LOCKED || is_new(next))) {
        if (--stops_left == 0)
            stepping = 0;   /* the rest may run at full speed */
        stop_here();
    }
}

static void
start_stepping(int what, uint64_t at, uint64_t stops)
{
    steps      = 0;
    first_step = at;
    stops_left = stops;
    counted    = what;
    was_locked = 0;
    stepping   = 1;
    raise(SIGTRAP);
}

/* The next trap clears the flag. */
static void
stop_stepping(void)
{
    stepping = 0;
}

typedef struct stepper {
    player           player;
    const operation *operation;     /* NULL: thread exit */
    int              bare;          /* nothing before it */
    int              counted;
    uint64_t         stop_at;       /* the first one that may be a stop */
    uint64_t         stops;         /* at most; 0: only count */
    uint64_t         steps;
} stepper;

/* Made before the heap's, so its destructor runs first: it starts the count in
 * the first round of destructors and ends it in the second. */
static pthread_key_t exit_key;

static void
end_of_thread(void *arg)
{
    stepper *s = (stepper *)arg;

    if (s->steps == 0) {
        s->steps = 1;
        pthread_setspecific(exit_key, s);
        start_stepping(s->counted, s->stop_at, s->stops);
        return;
    }
    stop_stepping();
    s->steps = steps;
    say(from_victim[1], DONE);
}

static void *
suffer_one(void *arg)
{
    stepper *s = (stepper *)arg;
    unsigned i;

    s->steps = 0;
    if (s->operation == NULL) {
        for (i = 0; i < 30; i++)
            turn(&s->player);
        drop_kept(&s->player);
        pthread_setspecific(exit_key, s);
        return NULL;
    }
    for (i = s->bare ? 0 : stress_below(&s->player.random, 20); i > 0; i--)
        turn(&s->player);
    start_stepping(s->counted, s->stop_at, s->stops);
    s->operation->run(&s->player);
    stop_stepping();
    s->steps = steps;
    drop_kept(&s->player);
    say(from_victim[1], DONE);
    return NULL;
}

/* One run of one operation, in a thread of its own. */
static uint64_t
step_through(stepper *s, uint64_t stop_at, uint64_t stops, runner *r,
             tally *result)
{
    const char *name = s->operation != NULL ? s->operation->name
                                            : "thread exit";
    pthread_t   thread;

    s->stop_at = stop_at;
    s->stops   = stops;
    thread     = stress_spawn(suffer_one, s);
    while (hear(from_victim[0]) == STOPPED)
        judge(result, r, name);
    stress_join(thread);
    return s->steps;
}

#define KINDS (STRESS_LEN(operations) + 1)      /* the last is thread exit */

/* Stops in a run: to get to the first takes longer than the others then run. */
#define IN_A_RUN 4

static const operation *
operation_at(unsigned at)
{
    return at < STRESS_LEN(operations) ? &operations[at] : NULL;
}

/* What a case of stops has. */
typedef struct scene {
    double    begin;
    fpheap   *heap;
    runner    r[OTHERS];
    pthread_t thread[OTHERS];
    stepper   s;
    tally     result;
} scene;

static void
open_scene(scene *c, int what)
{
    struct sigaction action;

    stress_test();
    memset(c, 0, sizeof(*c));
    c->begin = stress_seconds();
    c->heap  = open_heap(2 * FPHEAP_CHUNK);
    memset(&action, 0, sizeof(action));
    action.sa_sigaction = on_trap;
    action.sa_flags     = SA_SIGINFO;
    CHECK_EQ(sigaction(SIGTRAP, &action, NULL), 0);
    open_pipes();
    c->s.player.heap   = c->heap;
    c->s.player.owner  = VICTIM;
    c->s.player.random = stress_state(VICTIM);
    c->s.counted       = what;
    start_others(c->r, c->thread, c->heap);
}

static void
close_scene(scene *c, const char *how)
{
    stop_others(c->r, c->thread, &c->s.player);
    report(how, &c->result, c->begin);
    close_pipes();
    close_heap(c->heap);
}

static void
stop_at_chosen(scene *c, uint64_t stops)
{
    uint64_t random = stress_state(2000);
    uint64_t longest[KINDS];
    unsigned runs[KINDS];
    unsigned i;

    memset(longest, 0, sizeof(longest));
    memset(runs, 0, sizeof(runs));
    while (c->result.stops < stops) {
        unsigned at = stress_below(&random, KINDS);
        uint64_t n;

        c->s.operation = operation_at(at);
        if (runs[at] > 0 && longest[at] == 0)
            continue;       /* it has none of these */
        if (runs[at]++ % 16 == 0)
            n = step_through(&c->s, 0, 0, c->r, &c->result);
        else
            n = step_through(&c->s, 1 + stress_below(&random, longest[at]),
                             IN_A_RUN, c->r, &c->result);
        if (n > longest[at])
            longest[at] = n;
    }
    printf("  most of them in one run:");
    for (i = 0; i < KINDS; i++)
        printf(" %s %llu%s",
               i < STRESS_LEN(operations) ? operations[i].name : "thread exit",
               (unsigned long long)longest[i], i + 1 < KINDS ? "," : "\n");
}

/* Until no operation has been stopped in so many runs in a row. */
static void
stop_at_each(scene *c, unsigned idle_runs)
{
    unsigned at;
    unsigned idle;

    for (at = 0; at < KINDS; at++) {
        c->s.operation = operation_at(at);
        for (idle = 0; idle < idle_runs; idle++) {
            uint64_t stops = c->result.stops;

            step_through(&c->s, 1, UINT64_MAX, c->r, &c->result);
            if (c->result.stops > stops)
                idle = 0;
        }
    }
}

static void
a_thread_stopped_at_any_instruction_delays_no_other(void **state)
{
    scene c;

    (void)state;
    was_stop = calloc((size_t)(etext - __executable_start), 1);
    CHECK(was_stop != NULL);
    open_scene(&c, ANY_INSTRUCTION);
    if (stress_soak > 1)
        stop_at_each(&c, (unsigned)stress_work(1));
    else
        stop_at_chosen(&c, 40);
    close_scene(&c, "at as many instructions");
    free(was_stop);
}

static void
a_thread_stopped_after_any_locked_one_delays_no_other(void **state)
{
    scene c;

    (void)state;
    open_scene(&c, AFTER_LOCKED);
    stop_at_chosen(&c, stress_work(100));
    close_scene(&c, "after a locked instruction");
}

/* --- a chunk that has had another life ------------------------------------ */

#define SPAN  8                                 /* chunks of one region */
#define WHOLE (FPHEAP_CHUNK - 2 * FPHEAP_PAGE)  /* no two fit into a chunk */

static void
op_give_kept(player *p)
{
    give(p, p->kept[0]);
    p->kept[0] = NULL;
}

/* Close all free chunks and open them again: each takes the descriptor that
 * another one has left. */
static void
shuffle_chunks(fpheap *heap)
{
    void    *whole[SPAN];
    unsigned i;

    for (i = 0; i < SPAN; i++)
        whole[i] = fpheap_alloc(heap, WHOLE);
    for (i = 0; i < SPAN; i++)
        fpheap_free(heap, whole[i]);
    fpheap_trim(heap);
    CHECK_EQ(fpheap_reserve(heap, SPAN / 2 * FPHEAP_CHUNK, 0), 0);
}

static void
a_thread_stopped_while_it_empties_a_chunk_spoils_no_other(void **state)
{
    static const operation op = {"the last free of a chunk", op_give_kept};
    struct sigaction action;
    fpheap          *heap;
    void            *anchor;
    stepper          s;
    uint64_t         n;
    unsigned         stops = 0;

    (void)state;
    stress_test();
    memset(&action, 0, sizeof(action));
    action.sa_sigaction = on_trap;
    action.sa_flags     = SA_SIGINFO;
    CHECK_EQ(sigaction(SIGTRAP, &action, NULL), 0);
    open_pipes();
    heap = open_heap(SPAN * FPHEAP_CHUNK);
    memset(&s, 0, sizeof(s));
    s.player.heap  = heap;
    s.player.owner = VICTIM;
    s.operation    = &op;
    s.bare         = 1;
    s.counted      = AFTER_LOCKED;
    /* It keeps a region of several chunks from going. */
    CHECK_EQ(fpheap_reserve(heap, SPAN * FPHEAP_CHUNK, 0), 0);
    anchor = fpheap_alloc(heap, FPH_CLASS_MAX + 1);
    for (n = 1; n == 1 || s.steps >= s.stop_at; n++) {
        pthread_t thread;

        shuffle_chunks(heap);
        s.player.kept[0] = take(&s.player, WHOLE);
        s.stop_at        = n;
        s.stops          = 1;
        thread           = stress_spawn(suffer_one, &s);
        while (hear(from_victim[0]) == STOPPED) {
            stops++;
            shuffle_chunks(heap);
            say(to_victim[1], 'g');
        }
        stress_join(thread);
        stress_check(heap);
    }
    printf("  %u stops\n", stops);
    fpheap_free(heap, anchor);
    close_pipes();
    close_heap(heap);
}

static void
prepare_stepping(void)
{
    CHECK_EQ(pthread_key_create(&exit_key, end_of_thread), 0);
}

#else

static void
prepare_stepping(void)
{
}

static void
skip_stepping(void)
{
    printf("  skipped: no single-stepping here (x86-64 without a sanitizer)\n");
    skip();
}

static void
a_thread_stopped_at_any_instruction_delays_no_other(void **state)
{
    (void)state;
    skip_stepping();
}

static void
a_thread_stopped_after_any_locked_one_delays_no_other(void **state)
{
    (void)state;
    skip_stepping();
}

static void
a_thread_stopped_while_it_empties_a_chunk_spoils_no_other(void **state)
{
    (void)state;
    skip_stepping();
}

#endif

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thread_stopped_by_chance_delays_no_other),
        cmocka_unit_test(a_thread_stopped_at_any_instruction_delays_no_other),
        cmocka_unit_test(a_thread_stopped_after_any_locked_one_delays_no_other),
        cmocka_unit_test(
            a_thread_stopped_while_it_empties_a_chunk_spoils_no_other),
    };

    stress_program("stress_stop");
    prepare_stepping();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
