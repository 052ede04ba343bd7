/* schedule.h - a scheduler behind the heap's atomics
 * SPDX-License-Identifier: MIT OR Unlicense
 *
 * The code that ships runs on real threads, of which one at a time has the
 * baton.  The atomic builtins are macros here that come to schedule_step first,
 * so a thread can be preempted in front of each atomic access and nowhere else:
 * plain accesses belong to the atomic one before them.  A wait of the heap, its
 * sched_yield, passes the baton on; time passes with these waits only.
 *
 * A schedule is the list of the steps at which it departs from the default:
 *
 *     step                 default              a departure        costs
 *     the first            thread 0             another            0
 *     an atomic access     the same thread      another            1
 *     a wait               the next thread      another            0
 *                                               the same: the
 *                                               time is up         1
 *     a thread's end       the lowest thread    another            0
 *     an access of a       it lives             it dies: number 9  1
 *     thread that may die
 *     a load that can see  the last             an older one: 11,  1
 *     older values                              12 or 13, how far
 *                                               back
 *                                               the oldest, and so  1
 *                                               64 loads on or until
 *                                               it waits: number 10
 *
 * A thread dies as one does whose process is killed: it makes no other access,
 * and what a process has is taken from it (the plan's `died`).
 *
 * A thread may fork the process, schedule_fork, wherever the others are.  The
 * child, in which nothing is scheduled, has memory as it is then, and is to end
 * well.  A plan that forks has departures in front of each access, as the child
 * sees all; with SCHEDULE_RACES of each plain store too.
 *
 * Steps are counted over all threads, so a list replays exactly.  schedule_all
 * tries all lists up to a cost, those of cost 0 first; schedule_random draws
 * lists.
 *
 * A preemption in front of an access to a word that no other thread writes, or
 * that only this one uses, can be put off to the next access that others can
 * tell: schedule_all has these only.  Which words threads share is learned from
 * the runs themselves, and what was tried before a new one showed is repeated.
 *
 * What a load can see is said by memory_model.h.  A failing compare-and-swap is
 * such a load too, but none that sees the oldest from there on, or it would fail
 * for ever.  With SCHEDULE_RACES plain accesses of the heap, and those of the
 * application to its objects, may not race; schedule_hide and schedule_show say
 * what is watched.  ThreadSanitizer, if the program is built with it, sees the
 * same: neither the baton nor the rest, and of the heap's atomics what the model
 * makes of their orders.
 *
 * A program has scenes, a plan each, and cases that run some for as long as they
 * may:
 *
 *     SCHEDULE=name:step.thread,...  runs one schedule, as a failure prints it
 *     SCHEDULE_TRACE=1               and prints its steps
 *     SCHEDULE_SECONDS=n             runs for n seconds
 *     SCHEDULE_ONLY=word,...         only what has one in its name
 *     FPHEAP_SEED=n                  draws the same random schedules again
 *
 * Include this file in front of fpheap.h.
 */
#ifndef SCHEDULE_H
#define SCHEDULE_H

#ifndef _GNU_SOURCE
#  define _GNU_SOURCE 1
#endif

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef SCHEDULE_THREADS
#  define SCHEDULE_THREADS 3
#endif
#define MODEL_THREADS SCHEDULE_THREADS
#include "memory_model.h"
#include "schedule_hooks.h"

#define SCHEDULE_DEATH    9         /* in place of a thread: this one dies */
#define SCHEDULE_OLDEST   10        /* or a load sees an older value */
#define SCHEDULE_AGES     3         /* of them, how far back */
#define SCHEDULE_STALE    64        /* loads that see the oldest, one after the
                                       other: what is stored is seen in the end */
#ifndef SCHEDULE_MEETS              /* a scene was run a few times: go on? */
#  define SCHEDULE_MEETS(name)  1
#  define SCHEDULE_COMES(shared) ((void)(shared)) /* in front of an access */
#endif
#define SCHEDULE_SWITCHES 16        /* departures in a list */
#define SCHEDULE_STEPS    200000u   /* a run that takes more does not end */
#define SCHEDULE_WORDS    32768     /* addresses told apart, a power of two */
#define SCHEDULE_PLACES   4096      /* steps that are not dull */
#define SCHEDULE_STATES   65536     /* told apart; a power of two */
#define SCHEDULE_WAIT_NS  6000000u  /* a 17th of FPHEAP_GROWTH_WAIT_MS */
#define SCHEDULE_TOLD     77        /* a child's status: it has said why */
#define SCHEDULE_ALARM    60        /* seconds that a child may take */

/* A departure: at this step the baton goes to this thread. */
typedef struct schedule_switch {
    uint32_t step;
    uint32_t thread;
} schedule_switch;

typedef struct schedule_list {
    unsigned        n;
    unsigned        cost;
    schedule_switch at[SCHEDULE_SWITCHES];
} schedule_list;

/* What a word is used for. */
typedef struct schedule_word {
    uintptr_t at;
    uint32_t  run;             /* the last one that used it */
    uint8_t   users;           /* in that run, a bit each */
    uint8_t   written;
    uint8_t   shared;
} schedule_word;

/* Lists that are still to be run. */
typedef struct schedule_stack {
    schedule_list *list;
    size_t         n;
    size_t         room;
} schedule_stack;

/* What a program gives: it brings the world into its first state, does one
 * thread's part, and looks at what has become of it. */
typedef struct schedule_plan {
    const char *name;
    unsigned    threads;
    int         patient;       /* no wait is ever over before its time */
    void      (*begin)(void);
    void      (*prepare)(unsigned thread);  /* one after the other */
    void      (*work)(unsigned thread);     /* as scheduled */
    void      (*check)(void);
    void      (*clean)(unsigned thread);    /* one after the other */
    void      (*end)(void);
    unsigned    mortal;        /* threads that may die, a bit each */
    void      (*died)(unsigned thread);     /* scheduled, in place of the rest
                                               of its work */
    int       (*dull)(void);   /* now little depends on the order: schedule_all
                                  has no departures there, schedule_random few */
    int         forks;         /* a thread forks: its child sees all words, and
                                  the states counted are those in which it is */
} schedule_plan;

static struct schedule {
    const schedule_plan *plan;
    /* this run */
    int           on;          /* steps count */
    int           learns;      /* departures are to be collected */
    uint32_t      run;
    uint32_t      step;
    unsigned      current;
    unsigned      ended;       /* threads, a bit each */
    unsigned      dead;        /* of these, and of those about to end */
    uint32_t      steps[SCHEDULE_THREADS];   /* of each */
    uint32_t      dies_at[SCHEDULE_THREADS]; /* step of its own; 0: not so */
    unsigned      next;        /* of given */
    unsigned      stale[SCHEDULE_THREADS]; /* loads of each that still see the
                                              oldest */
    unsigned      odds;        /* a load in so many sees an older value; 0: as
                                  given */
    uint64_t      dice;
    schedule_list given;
    schedule_list taken;       /* those of given that made a difference */
    uint64_t      now_ns;
    /* this exploration */
    unsigned       bound;
    int            grew;       /* a word was found to be shared */
    schedule_stack pending;
    schedule_stack later;      /* of one cost more */
    schedule_word  word[SCHEDULE_WORDS];
    uint32_t       place[SCHEDULE_PLACES]; /* of the last run */
    unsigned       places;
    uint64_t       state[SCHEDULE_STATES]; /* in which runs have ended */
    unsigned       states;
    uint64_t       runs;       /* of the process */
    int            trace;
    int            quiet;      /* a failure was reported */
    int            is_child;   /* of a fork */
    int            still;      /* plain stores are the application's */
    sem_t          baton[SCHEDULE_THREADS + 1];
} schedule;

static __thread unsigned schedule_self = SCHEDULE_THREADS; /* the main thread */
static __thread jmp_buf  schedule_grave;
static __thread int      schedule_works; /* 1: in a run, until it dies */
static __thread uintptr_t schedule_top;  /* of this thread's stack */

/* --- what is watched -------------------------------------------------- */

#if defined(__SANITIZE_THREAD__) && !SCHEDULE_RACES
void AnnotateIgnoreReadsBegin(const char *file, int line);
void AnnotateIgnoreReadsEnd(const char *file, int line);
void AnnotateIgnoreWritesBegin(const char *file, int line);
void AnnotateIgnoreWritesEnd(const char *file, int line);
void AnnotateIgnoreSyncBegin(const char *file, int line);
void AnnotateIgnoreSyncEnd(const char *file, int line);
void AnnotateHappensBefore(const char *file, int line,
                           const volatile void *at);
void AnnotateHappensAfter(const char *file, int line,
                          const volatile void *at);

#  define schedule_watch(what) Annotate##what(__FILE__, __LINE__)
#  define schedule_before(at)  AnnotateHappensBefore(__FILE__, __LINE__, at)
#  define schedule_after(at)   AnnotateHappensAfter(__FILE__, __LINE__, at)
#else
#  define schedule_watch(what) ((void)0)
#  define schedule_before(at)  ((void)(at))
#  define schedule_after(at)   ((void)(at))
#endif

static __thread int schedule_depth; /* 1: hidden; 0 or less: not */

static MODEL_RAW void
schedule_hide(void)
{
    if (schedule_depth++ != 0)
        return;
    schedule_watch(IgnoreReadsBegin);
    schedule_watch(IgnoreWritesBegin);
    schedule_watch(IgnoreSyncBegin);
}

static MODEL_RAW void
schedule_show(void)
{
    if (--schedule_depth != 0)
        return;
    schedule_watch(IgnoreReadsEnd);
    schedule_watch(IgnoreWritesEnd);
    schedule_watch(IgnoreSyncEnd);
}

/* Hidden, from wherever it was. */
static void
schedule_bury(void)
{
    schedule_hide();
    schedule_depth = 1;
}

/* What may be a statement. */
#define SCHEDULE_SHOWN_DO(statement) \
    do {                             \
        schedule_show();             \
        statement;                   \
        schedule_hide();             \
    } while (0)

/* A call of the heap's, or an access to its objects. */
#define SCHEDULE_SHOWN(call)               \
    __extension__({                        \
        __typeof__(call) schedule_result;  \
                                           \
        schedule_show();                   \
        schedule_result = (call);          \
        schedule_hide();                   \
        schedule_result;                   \
    })

/* --- failures ------------------------------------------------------------- */

static void
schedule_print(FILE *out, const schedule_list *list)
{
    unsigned i;

    fprintf(out, "SCHEDULE=%s:", schedule.plan->name);
    for (i = 0; i < list->n; i++)
        fprintf(out, "%s%u.%u", i == 0 ? "" : ",", list->at[i].step,
                list->at[i].thread);
}

/* End the process with what is wrong and the schedule that leads there. */
static void __attribute__((noreturn, format(printf, 1, 2)))
schedule_fail(const char *format, ...)
{
    va_list args;

    if (schedule.quiet++ != 0)
        _exit(1);
    fflush(stdout);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "\n  thread %u, step %u, run %llu; to see it again:\n  ",
            schedule_self, schedule.step, (unsigned long long)schedule.runs);
    schedule_print(stderr, &schedule.taken);
    fprintf(stderr, "\n");
    _exit(schedule.is_child ? SCHEDULE_TOLD : 1);
}

#define CHECK(condition) \
    ((condition) ? (void)0 : schedule_fail("line %d: %s", __LINE__, #condition))

static void
schedule_crash(int signal)
{
    schedule_fail("signal %d", signal);
}

static void
schedule_catch(void)
{
    static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
    size_t           i;

    for (i = 0; i < sizeof signals / sizeof *signals; i++)
        signal(signals[i], schedule_crash);
}

/* --- the baton ------------------------------------------------------------ */

static void
schedule_wait(unsigned thread)
{
    while (sem_wait(&schedule.baton[thread]) != 0)
        ;
}

/* Give the baton to another thread and wait until it comes back. */
static void
schedule_pass(unsigned to)
{
    if (to == schedule_self)
        return;
    schedule.current = to;
    sem_post(&schedule.baton[to]);
    schedule_wait(schedule_self);
}

static int
schedule_can_run(unsigned thread)
{
    return thread < schedule.plan->threads
        && !(schedule.ended >> thread & 1);
}

/* The next thread that has not ended, or the same. */
static unsigned
schedule_next(unsigned thread)
{
    unsigned n    = schedule.plan->threads;
    unsigned next = thread;

    do
        next = (next + 1) % n;
    while (next != thread % n && !schedule_can_run(next));
    return next;
}

/* splitmix64 */
static uint64_t
schedule_draw(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* --- choices -------------------------------------------------------------- */

static void
schedule_push(schedule_stack *stack, const schedule_list *list)
{
    if (stack->n == stack->room) {
        stack->room = stack->room == 0 ? 1024 : stack->room * 2;
        stack->list = (schedule_list *)realloc(
            stack->list, stack->room * sizeof *stack->list);
        if (stack->list == NULL)
            schedule_fail("no memory for the schedules to come");
    }
    stack->list[stack->n++] = *list;
}

/* Note that this run could have departed here. */
static void
schedule_learn(unsigned thread, unsigned cost)
{
    schedule_list list = schedule.given;

    list.cost += cost;
    if (list.n == SCHEDULE_SWITCHES || list.cost > schedule.bound)
        return;
    list.at[list.n].step = schedule.step;
    list.at[list.n].thread = thread;
    list.n++;
    schedule_push(cost == 0 ? &schedule.pending : &schedule.later, &list);
}

/* Where a choice is, and which departures are worth a try there. */
enum { SCHEDULE_ACCESS, SCHEDULE_WAIT, SCHEDULE_END };
enum { SCHEDULE_NONE, SCHEDULE_DEATHS, SCHEDULE_ANY };

/* All that is given has been. */
static int
schedule_is_free(void)
{
    while (schedule.next < schedule.given.n
           && schedule.given.at[schedule.next].step < schedule.step)
        schedule.next++;
    return schedule.next == schedule.given.n;
}

/* The departure that is given for this step, or `otherwise`. */
static unsigned
schedule_given(unsigned otherwise)
{
    return !schedule_is_free()
        && schedule.given.at[schedule.next].step == schedule.step
         ? schedule.given.at[schedule.next++].thread : otherwise;
}

static void
schedule_take_note(unsigned departure)
{
    if (schedule.taken.n == SCHEDULE_SWITCHES)
        return;
    schedule.taken.at[schedule.taken.n].step = schedule.step;
    schedule.taken.at[schedule.taken.n].thread = departure;
    schedule.taken.n++;
}

/* Whether a thread can run after a choice that does not fall on it by
 * default. */
static int
schedule_may(unsigned thread, int kind)
{
    if (thread == SCHEDULE_DEATH)
        return kind == SCHEDULE_ACCESS
            && (schedule.plan->mortal & ~schedule.dead) >> schedule_self & 1;
    return schedule_can_run(thread)
        && !(kind == SCHEDULE_WAIT && thread == schedule_self
             && schedule.plan->patient);
}

/* Who runs on after this step: as given, or `otherwise`. */
static unsigned
schedule_choose(unsigned otherwise, int kind, int worth)
{
    int      learns = schedule.learns && schedule_is_free();
    unsigned next   = schedule_given(otherwise);
    unsigned i;

    if (learns) {
        if (worth != SCHEDULE_NONE && schedule_may(SCHEDULE_DEATH, kind))
            schedule_learn(SCHEDULE_DEATH, 1);
        for (i = 0; i < schedule.plan->threads && worth == SCHEDULE_ANY; i++)
            if (i != otherwise && schedule_may(i, kind))
                schedule_learn(i, kind == SCHEDULE_ACCESS
                                  || (kind == SCHEDULE_WAIT
                                      && i == schedule_self));
    }
    if (schedule_self < SCHEDULE_THREADS && schedule.dies_at[schedule_self] != 0
        && schedule.dies_at[schedule_self] == schedule.steps[schedule_self])
        next = SCHEDULE_DEATH;
    if (next == otherwise || !schedule_may(next, kind))
        return otherwise;
    schedule_take_note(next);
    return next;
}

static void
schedule_count_step(void)
{
    if (schedule_self < SCHEDULE_THREADS)
        schedule.steps[schedule_self]++;
    if (++schedule.step > SCHEDULE_STEPS)
        schedule_fail("the threads do not come to an end");
}

/* Whether threads share a word; notes which thread uses it. */
static int
schedule_use(const volatile void *at, int writes)
{
    uintptr_t      key  = (uintptr_t)at;
    size_t         i    = (size_t)(key >> 3 ^ key >> 16) % SCHEDULE_WORDS;
    schedule_word *word = &schedule.word[i];

    while (word->at != key && word->at != 0) {
        i = (i + 1) % SCHEDULE_WORDS;
        word = &schedule.word[i];
    }
    word->at = key;
    if (word->run != schedule.run) {
        word->run = schedule.run;
        word->users = word->written = 0;
    }
    word->users |= (uint8_t)(1u << schedule_self);
    word->written |= (uint8_t)writes;
    if (!word->shared && word->written && (word->users & (word->users - 1))) {
        word->shared = 1;
        schedule.grew = 1;
    }
    return word->shared || schedule.plan->forks;
}

/* Go on as chosen: here, in another thread, or nowhere. */
static void
schedule_go(unsigned next)
{
    if (next == SCHEDULE_DEATH) {
        schedule.dead |= 1u << schedule_self;
        longjmp(schedule_grave, 1);
    }
    schedule_pass(next);
}

/* Which departures are worth a try in front of an access.  A plan that has dull
 * parts has its other steps noted. */
static int
schedule_worth(int shared)
{
    if (schedule.plan->dull == NULL)
        return SCHEDULE_DEATHS + shared;
    if (schedule.plan->dull())
        return SCHEDULE_NONE;
    if (shared && schedule.places < SCHEDULE_PLACES)
        schedule.place[schedule.places++] = schedule.step;
    return SCHEDULE_DEATHS + shared;
}

/* Before each atomic access. */
static __attribute__((noinline)) void
schedule_step(const volatile void *at, int writes, const char *where)
{
    int shared;

    if (schedule_self == SCHEDULE_THREADS || !schedule.on)
        return;
    schedule_hide();
    schedule_count_step();
    shared = schedule_use(at, writes);
    SCHEDULE_COMES(shared);
    if (schedule.trace)
        fprintf(stderr, "%6u  thread %u  %-22s %p%s\n", schedule.step,
                schedule_self, where, (void *)(uintptr_t)at,
                shared ? "" : "  its own");
    schedule_go(schedule_choose(schedule_self, SCHEDULE_ACCESS,
                                schedule_worth(shared)));
    schedule_show();
}

/* --- values --------------------------------------------------------------- */

/* Accesses follow the model in a run, and the processor otherwise. */
static int
schedule_models(void)
{
    return schedule.on && schedule_self != SCHEDULE_THREADS;
}

/* Now, for this thread; for the main thread, before all runs. */
static inline model_moment
schedule_moment(void)
{
    model_moment now = {0, 0};

    if (schedule_models()) {
        now.thread = schedule_self;
        now.clock = model.view[schedule_self].clock[schedule_self];
    }
    return now;
}

/* A lock of the system, or of the application: released, and taken. */
static inline void
schedule_unlock(model_lock *lock)
{
    schedule_before(lock);
    schedule_hide();
    if (schedule_models())
        model_unlock(lock, schedule_self);
    schedule_show();
}

static inline void
schedule_lock(model_lock *lock)
{
    schedule_after(lock);
    schedule_hide();
    if (schedule_models())
        model_lock_take(lock, schedule_self);
    schedule_show();
}

/* This thread gives memory to the system, and has synchronized with all who used
 * it. */
static inline void
schedule_give(const void *base, size_t bytes)
{
    int with;

    schedule_hide();
    with = schedule_models() ? model_give(base, bytes, schedule_self) : -1;
    if (with >= 0)
        schedule_fail("memory is given back that thread %d uses", with);
    if (schedule_models())
        model_forget(base, bytes);
    schedule_show();
}

static inline int
schedule_munmap(void *base, size_t bytes)
{
    schedule_give(base, bytes);
    return munmap(base, bytes);
}

/* What departs at a load that could see one of `ages` older values: 0, nothing;
 * SCHEDULE_OLDEST; or that and how far back. */
static unsigned
schedule_choose_age(unsigned ages)
{
    int      learns = schedule.learns && schedule_is_free();
    unsigned chosen = schedule_given(0);
    unsigned i;

    if (learns && (schedule.plan->dull == NULL || !schedule.plan->dull()))
        for (i = 0; i <= ages && i <= SCHEDULE_AGES; i++)
            schedule_learn(SCHEDULE_OLDEST + i, 1);
    if (schedule.odds != 0 && schedule.taken.n < SCHEDULE_SWITCHES
        && schedule_draw(&schedule.dice) % schedule.odds == 0)
        chosen = SCHEDULE_OLDEST
               + (unsigned)(schedule_draw(&schedule.dice) % (ages + 1));
    if (chosen < SCHEDULE_OLDEST || chosen > SCHEDULE_OLDEST + ages)
        return 0;
    schedule_take_note(chosen);
    return chosen;
}

/* How far back a load sees that could see one of `ages` older values. */
static unsigned
schedule_age(unsigned ages)
{
    unsigned chosen = 0;

    if (ages == 0)
        return 0;
    schedule_count_step();
    if (schedule.stale[schedule_self] == 0)
        chosen = schedule_choose_age(ages);
    if (chosen == SCHEDULE_OLDEST)
        schedule.stale[schedule_self] = SCHEDULE_STALE;
    if (schedule.trace && chosen != 0)
        fprintf(stderr, "%6u  thread %u  sees an older value\n", schedule.step,
                schedule_self);
    if (schedule.stale[schedule_self] == 0)
        return chosen == 0 ? 0 : chosen - SCHEDULE_OLDEST;
    schedule.stale[schedule_self]--;
    return ages;
}

/* Which store a load sees. */
static unsigned
schedule_seen(const model_location *l, int order)
{
    unsigned oldest = model_oldest(l, schedule_self, order == __ATOMIC_SEQ_CST);

    return l->n - 1 - schedule_age(l->n - 1 - oldest);
}

static void
schedule_acquire(const char *tag)
{
    if (tag != NULL)
        schedule_after(tag);
}

/* A load of what is `now`.  Returns what it sees. */
static __attribute__((noinline)) uint64_t
schedule_load(const volatile void *at, uint64_t now, int order)
{
    model_location *l;
    unsigned        k;
    const char     *tag;

    schedule_hide();
    l = model_at(at, now);
    k = schedule_seen(l, order);
    tag = model_see(l, k, schedule_self, order);
    now = l->store[k].value;
    schedule_show();
    schedule_acquire(tag);
    return now;
}

/* A store, after it is made, as what it releases has it, to what was `before`. */
static __attribute__((noinline)) void
schedule_store(const volatile void *at, uint64_t before, uint64_t value,
               int order)
{
    const char *tag;

    schedule_hide();
    tag = model_put(model_at(at, before), value, schedule_self, order, NULL);
    schedule_show();
    if (tag != NULL)
        schedule_before(tag);
}

/* A read-modify-write, after it is made. */
static __attribute__((noinline)) void
schedule_change(const volatile void *at, uint64_t before, uint64_t value,
                int order)
{
    model_location *l;
    model_store     from;
    const char     *got, *given;

    schedule_hide();
    l = model_at(at, before);
    got = model_see(l, l->n - 1, schedule_self, order);
    from = l->store[l->n - 1];
    given = model_put(l, value, schedule_self, order, &from);
    schedule_show();
    schedule_acquire(got);
    if (given != NULL)
        schedule_before(given);
}

/* A compare-and-swap fails as it sees an older value, which is returned in
 * `now`.  Returns 0 if it does not. */
static __attribute__((noinline)) int
schedule_fails(const volatile void *at, uint64_t expected, uint64_t *now,
               int order)
{
    model_location *l;
    unsigned        k;
    const char     *tag = NULL;
    int             fails;

    schedule_hide();
    l = model_at(at, *now);
    /* (Whoever sees the oldest from here on would fail for ever.) */
    k = schedule.stale[schedule_self] != 0 ? l->n - 1
                                           : schedule_seen(l, order);
    fails = k != l->n - 1 && l->store[k].value != expected;
    if (fails) {
        tag = model_see(l, k, schedule_self, order);
        *now = l->store[k].value;
    }
    schedule_show();
    schedule_acquire(tag);
    return fails;
}

/* One that does not: it is a read-modify-write, or a load of the last value. */
static __attribute__((noinline)) void
schedule_changes(const volatile void *at, uint64_t now, uint64_t value,
                 int succeeded, int order, int failure)
{
    model_location *l;
    const char     *tag;

    if (succeeded) {
        schedule_change(at, now, value, order);
        return;
    }
    schedule_hide();
    l = model_at(at, now);
    tag = model_see(l, l->n - 1, schedule_self, failure);
    schedule_show();
    schedule_acquire(tag);
}

/* In code of the application, which uses plain variables. */
static inline void
schedule_point(const char *where)
{
    if (!schedule.on || schedule_self == SCHEDULE_THREADS)
        return;
    schedule_count_step();
    if (schedule.trace)
        fprintf(stderr, "%6u  thread %u  %s\n", schedule.step, schedule_self,
                where);
    schedule_go(schedule_choose(schedule_self, SCHEDULE_ACCESS, SCHEDULE_ANY));
}

/* A wait of the heap.  For whom others can run it takes no time if the plan is
 * patient. */
static inline int
schedule_yield(void)
{
    unsigned usual, next;

    if (schedule_self == SCHEDULE_THREADS || !schedule.on) {
        schedule.now_ns += SCHEDULE_WAIT_NS;
        return 0;
    }
    schedule_hide();
    schedule_count_step();
    if (schedule.trace)
        fprintf(stderr, "%6u  thread %u  waits\n", schedule.step,
                schedule_self);
    schedule.stale[schedule_self] = 0;
    usual = schedule_next(schedule_self);
    if (usual == schedule_self || !schedule.plan->patient)
        schedule.now_ns += SCHEDULE_WAIT_NS;
    next = schedule_choose(usual, SCHEDULE_WAIT, SCHEDULE_ANY);
    if (next != usual && next == schedule_self)
        schedule.now_ns += 17 * (uint64_t)SCHEDULE_WAIT_NS;
    schedule_pass(next);
    schedule_show();
    return 0;
}

static inline int
schedule_clock(struct timespec *now)
{
    schedule_hide();
    now->tv_sec = (time_t)(schedule.now_ns / 1000000000u);
    now->tv_nsec = (long)(schedule.now_ns % 1000000000u);
    schedule_show();
    return 0;
}

/* --- one run -------------------------------------------------------------- */

/* Let the next thread begin, or the main thread go on. */
static void
schedule_hand_on(unsigned to)
{
    schedule.current = to;
    sem_post(&schedule.baton[to]);
}

/* A thread has done its part. */
static void
schedule_end_thread(void)
{
    schedule_count_step();
    schedule.ended |= 1u << schedule_self;
    if (schedule.ended + 1 == 1u << schedule.plan->threads) {
        schedule.on = 0;
        schedule_hand_on(SCHEDULE_THREADS);
        return;
    }
    schedule_hand_on(schedule_choose(schedule_next(schedule_self),
                                     SCHEDULE_END, SCHEDULE_ANY));
}

/* The first choice is made by the last thread that prepares. */
static void
schedule_start(void)
{
    schedule.on = 1;
    model_begin();
    schedule_count_step();
    schedule_before(&schedule.on);
    schedule_hand_on(schedule_choose(0, SCHEDULE_END, SCHEDULE_ANY));
}

/* A thread's part, or what of it there is before it dies. */
static void
schedule_work(unsigned self)
{
    if (setjmp(schedule_grave) == 0) {
        schedule_works = 1;
        schedule.plan->work(self);
        schedule_works = 0;
    } else {
        schedule_works = 0;
        schedule_bury();
        schedule.plan->died(self);
    }
}

static void *
schedule_thread(void *number)
{
    unsigned self = (unsigned)(uintptr_t)number;

    schedule_self = self;
    schedule_top = (uintptr_t)__builtin_frame_address(0);
    for (;;) {
        int last;

        schedule_wait(self);
        last = self + 1 == schedule.plan->threads;
        schedule.plan->prepare(self);
        if (last)
            schedule_start();
        else
            schedule_hand_on(self + 1);
        schedule_wait(self);
        schedule_after(&schedule.on);
        schedule_hide();
        schedule_work(self);
        schedule_show();
        schedule_before(&schedule.ended);
        schedule_hide();
        schedule_end_thread();
        schedule_show();
        schedule_wait(self);
        schedule.plan->clean(self);
        schedule_hand_on(last ? SCHEDULE_THREADS : self + 1);
    }
    return NULL;
}

static void
schedule_forget_states(void)
{
    memset(schedule.state, 0, sizeof schedule.state);
    schedule.states = 0;
}

static void
schedule_note(uint64_t state)
{
    size_t i = (size_t)(state >> 20) % SCHEDULE_STATES;

    state |= 1;
    while (schedule.state[i] != 0 && schedule.state[i] != state)
        i = (i + 1) % SCHEDULE_STATES;
    if (schedule.state[i] == state || schedule.states > SCHEDULE_STATES / 2)
        return;
    schedule.state[i] = state;
    schedule.states++;
}

/* What has become of a child. */
static void
schedule_child_ends(pid_t child)
{
    int status;

    while (child < 0 || waitpid(child, &status, 0) != child)
        if (child < 0 || errno != EINTR)
            schedule_fail("fork: %d", errno);
    if (WIFEXITED(status) && WEXITSTATUS(status) == SCHEDULE_TOLD)
        _exit(1);
    if (status != 0)
        schedule_fail("a child ends with status %x", (unsigned)status);
}

/* Fork the process, in a thread that is in no call of the heap, others wherever
 * they are.  Memory is coherent, and the system lets no thread write to it that
 * has not stored all before: so the child has the last store to each word.  It
 * does as it is told, alone, and ends. */
static inline void
schedule_fork(void (*lives)(unsigned self))
{
    pid_t child;

    schedule_note(model_state());
    fflush(stdout);
    schedule.on = 0;
    child = fork();
    if (child == 0) {
        schedule.is_child = 1;
        schedule_works = 0;
        signal(SIGALRM, schedule_crash);
        alarm(SCHEDULE_ALARM);
        lives(schedule_self);
        schedule_show();
        _exit(0);
    }
    schedule.on = 1;
    schedule_child_ends(child);
}

/* Run one list. */
static void
schedule_run(const schedule_plan *plan, const schedule_list *list, int learns)
{
    schedule.plan = plan;
    schedule.run++;
    schedule.runs++;
    schedule.learns = learns;
    schedule.step = 0;
    schedule.ended = 0;
    schedule.dead = 0;
    memset(schedule.steps, 0, sizeof schedule.steps);
    schedule.next = 0;
    memset(schedule.stale, 0, sizeof schedule.stale);
    schedule.places = 0;
    schedule.given = *list;
    schedule.taken.n = 0;
    schedule.now_ns = 1000000000u;
    plan->begin();
    schedule_hand_on(0);
    schedule_wait(SCHEDULE_THREADS);
    schedule_after(&schedule.ended);
    if (!plan->forks)
        schedule_note(model_state());
    plan->check();
    schedule_hand_on(0);
    schedule_wait(SCHEDULE_THREADS);
    plan->end();
}

/* --- many runs ------------------------------------------------------------ */

static double
schedule_seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static int
schedule_earlier(const void *a, const void *b)
{
    uint32_t x = ((const schedule_switch *)a)->step;
    uint32_t y = ((const schedule_switch *)b)->step;

    return x < y ? -1 : x > y;
}

/* Let threads that may die do so in a run, most of them, at any of as many steps
 * as they have alone. */
static void
schedule_draw_deaths(const schedule_plan *plan, uint64_t *seed,
                     const uint32_t *steps)
{
    unsigned i;

    for (i = 0; i < plan->threads; i++)
        if ((plan->mortal >> i & 1) && schedule_draw(seed) % 4 != 0)
            schedule.dies_at[i] = 1 + (uint32_t)(schedule_draw(seed)
                                                 % steps[i]);
}

/* Any step, but few of those that are dull. */
static uint32_t
schedule_draw_step(uint64_t *seed, uint32_t steps)
{
    if (schedule.places != 0 && schedule_draw(seed) % 4 != 0)
        return schedule.place[schedule_draw(seed) % schedule.places];
    return 1 + (uint32_t)(schedule_draw(seed) % steps);
}

/* Run lists of two to twelve departures at any steps until time is up, but not
 * more than `most`.  Returns how many. */
static uint64_t
schedule_random(const schedule_plan *plan, uint64_t *seed, uint64_t most,
                double seconds)
{
    double        until = schedule_seconds() + seconds;
    schedule_list list  = {0, 0, {{0, 0}}};
    uint64_t      runs  = 1;
    uint32_t      alone[SCHEDULE_THREADS];
    uint32_t      steps;
    unsigned      i;

    schedule_run(plan, &list, 0 /* learns */);
    memcpy(alone, schedule.steps, sizeof alone);
    for (steps = schedule.step; runs < most && schedule_seconds() < until;
         runs++) {
        list.n = 2 + (unsigned)(schedule_draw(seed) % 11);
        for (i = 0; i < list.n; i++) {
            list.at[i].step = schedule_draw_step(seed, steps);
            list.at[i].thread = (uint32_t)(schedule_draw(seed)
                                           % plan->threads);
        }
        qsort(list.at, list.n, sizeof list.at[0], schedule_earlier);
        schedule.odds = (unsigned)(schedule_draw(seed) % 4) * 8;
        schedule.dice = schedule_draw(seed);
        schedule_draw_deaths(plan, seed, alone);
        schedule_run(plan, &list, 0 /* learns */);
        memset(schedule.dies_at, 0, sizeof schedule.dies_at);
        schedule.odds = 0;
        if (schedule.step > steps)
            steps = schedule.step;
    }
    return runs;
}

/* What schedule_all has done. */
typedef struct schedule_figures {
    uint64_t runs[8];          /* by cost, of the last round */
    unsigned complete;         /* all lists of a cost below this were run */
} schedule_figures;

/* Run the lists of one cost.  Returns 0 if time is up. */
static int
schedule_level(const schedule_plan *plan, double until, uint64_t *runs)
{
    while (schedule.pending.n > 0) {
        schedule_list list = schedule.pending.list[--schedule.pending.n];

        if (*runs % 16 == 0 && schedule_seconds() > until)
            return 0;
        schedule_run(plan, &list, 1 /* learns */);
        ++*runs;
    }
    return 1;
}

/* Run all lists up to the cost `bound`, or as many as there is time for.  A
 * word that is found to be shared at a cost is new to what ran before it, so
 * all is repeated; a few runs at random find most of them at once. */
static schedule_figures
schedule_all(const schedule_plan *plan, unsigned bound, double seconds)
{
    double           until = schedule_seconds() + seconds;
    schedule_list    first = {0, 0, {{0, 0}}};
    schedule_figures figures;
    uint64_t         seed  = 1;
    unsigned         cost;

    memset(schedule.word, 0, sizeof schedule.word);
    schedule_forget_states();
    schedule.bound = bound;
    memset(&figures, 0, sizeof figures);
    schedule_random(plan, &seed, 24, seconds);
    if (!SCHEDULE_MEETS(plan->name))
        return figures;
    do {
        int in_time = 1;

        memset(&figures, 0, sizeof figures);
        schedule.pending.n = schedule.later.n = 0;
        schedule.grew = 0;
        schedule_push(&schedule.pending, &first);
        for (cost = 0; cost <= bound && in_time && !schedule.grew; cost++) {
            schedule_stack done;

            in_time = schedule_level(plan, until, &figures.runs[cost]);
            figures.complete = cost + (unsigned)in_time;
            done = schedule.pending;
            done.n = 0;
            schedule.pending = schedule.later;
            schedule.later = done;
        }
    } while (schedule.grew && schedule_seconds() < until);
    if (schedule.grew)
        figures.complete = 0;
    return figures;
}

/* The list that SCHEDULE=name:step.thread,... has for a plan.  Returns 0 if it
 * is for another. */
static int
schedule_parse(const char *text, const char *name, schedule_list *list)
{
    size_t length = strlen(name);
    int    read;

    memset(list, 0, sizeof *list);
    if (strncmp(text, name, length) != 0 || text[length] != ':')
        return 0;
    for (text += length + 1; list->n < SCHEDULE_SWITCHES; text += read) {
        schedule_switch *at = &list->at[list->n];

        if (sscanf(text, "%u.%u%n", &at->step, &at->thread, &read) != 2)
            break;
        list->n++;
        text += text[read] == ',';
    }
    return 1;
}

/* Start the threads, all on one processor: only one of them ever runs. */
static void
schedule_init(void)
{
    cpu_set_t one;
    unsigned  i;

    CPU_ZERO(&one);
    CPU_SET((unsigned)sched_getcpu(), &one);
    sched_setaffinity(0, sizeof one, &one);
    for (i = 0; i <= SCHEDULE_THREADS; i++)
        sem_init(&schedule.baton[i], 0, 0);
    for (i = 0; i < SCHEDULE_THREADS; i++) {
        pthread_t thread;

        if (pthread_create(&thread, NULL, schedule_thread,
                           (void *)(uintptr_t)i) != 0)
            abort();
    }
}

/* --- a program --------------------------------------------------------------- */

static struct schedule_program {
    int         is_long;       /* SCHEDULE_SECONDS says how long */
    double      share;         /* by which a case's usual seconds are multiplied */
    double      until;         /* of this case */
    const char *only;          /* SCHEDULE_ONLY */
    size_t      wanted;        /* words of it, and not yet run */
    uint64_t    seed;          /* FPHEAP_SEED */
} schedule_program;

/* How many threads have something to do. */
static inline unsigned
schedule_threads(const char *const during[SCHEDULE_THREADS])
{
    unsigned n = 0;

    while (n < SCHEDULE_THREADS && during[n] != NULL)
        n++;
    return n;
}

static void
schedule_begin_case(double seconds)
{
    schedule_catch();
    schedule_program.until = schedule_seconds()
                           + seconds * schedule_program.share;
}

/* Seconds for one of what is left. */
static inline double
schedule_slice(size_t left)
{
    double now   = schedule_seconds();
    double until = schedule_program.until;

    if (schedule_program.only != NULL)
        left = schedule_program.wanted;
    return now < until ? (until - now) / (double)left : 0;
}

static inline int
schedule_is_wanted(const char *name)
{
    const char *word   = schedule_program.only;
    size_t      length = 0;

    for (; word != NULL && *word != 0; word += length + (word[length] != 0)) {
        length = strcspn(word, ",");
        if (memmem(name, strlen(name), word, length) == NULL)
            continue;
        schedule_program.wanted -= schedule_program.wanted > 1;
        return 1;
    }
    return schedule_program.only == NULL;
}

/* The line above those of schedule_print_all. */
static inline void
schedule_print_titles(const char *costs, const char *more)
{
    printf("  %-24s %8s %8s %8s %8s  %9s %8s%s\n", costs, "0", "1", "2", "3",
           "all below", "states", more);
}

/* Run all of a plan, and say how many schedules of each cost that was. */
static inline void
schedule_print_all(const schedule_plan *plan, unsigned bound, double seconds)
{
    schedule_figures figures = schedule_all(plan, bound, seconds);
    unsigned         cost;

    printf("  %-24s", plan->name);
    for (cost = 0; cost < 4; cost++)
        printf(" %8llu", (unsigned long long)figures.runs[cost]);
    printf("  %9u %8u", figures.complete, schedule.states);
}

/* Run what SCHEDULE says, if it is of this plan, and end. */
static inline void
schedule_replay(const schedule_plan *plan, const char *text)
{
    schedule_list list;

    if (!schedule_parse(text, plan->name, &list))
        return;
    schedule_catch();
    schedule.trace = getenv("SCHEDULE_TRACE") != NULL;
    schedule_run(plan, &list, 0 /* learns */);
    printf("%s: %u steps, nothing wrong\n", text, schedule.step);
    exit(0);
}

/* Whether the same list makes the same run, of as many steps. */
static inline int
schedule_repeats(const schedule_plan *plan, const schedule_list *list)
{
    uint32_t steps;

    schedule_run(plan, list, 0 /* learns */);
    steps = schedule.step;
    schedule_run(plan, list, 0 /* learns */);
    return schedule.step == steps;
}

/* Prepare for cases of so many seconds together, or, with SCHEDULE, replay that,
 * for which the program offers each of its plans to schedule_replay. */
static void
schedule_begin(const char *program, double seconds,
               void (*replay)(const char *text))
{
    const char *asked = getenv("SCHEDULE_SECONDS");
    const char *text  = getenv("FPHEAP_SEED");
    const char *only  = getenv("SCHEDULE_ONLY");

    if (getenv("SCHEDULE") != NULL) {
        replay(getenv("SCHEDULE"));
        fprintf(stderr, "there is no scene of that name\n");
        exit(1);
    }
    schedule_program.only = only != NULL && *only != 0 ? only : NULL;
    schedule_program.wanted = 1;
    for (; only != NULL && *only != 0; only++)
        schedule_program.wanted += *only == ',';
    schedule_program.is_long = asked != NULL && atof(asked) > 0;
    schedule_program.share = schedule_program.is_long ? atof(asked) / seconds
                                                      : 1;
    schedule_program.seed = text != NULL ? strtoull(text, NULL, 0)
        : (uint64_t)time(NULL) << 20 ^ (uint64_t)getpid();
    printf("%s: FPHEAP_SEED=%llu\n", program,
           (unsigned long long)schedule_program.seed);
}

/* --- plain accesses ---------------------------------------------------------
 *
 * With SCHEDULE_RACES, schedule_hooks.c calls this in front of each.
 */
#if SCHEDULE_RACES
MODEL_RAW void
schedule_access(const volatile void *at, size_t bytes, int access)
{
    uintptr_t here = (uintptr_t)__builtin_frame_address(0);
    int       with;

    if (schedule_depth > 0 || !schedule_works)
        return;
    if ((uintptr_t)at - here < schedule_top - here)
        return;                /* a thread's stack is its own */
    schedule_depth++;
    if (access == MODEL_WRITE && schedule.plan->forks && !schedule.still)
        schedule_point("a store");
    with = model_access(at, bytes, schedule_self, access);
    if (with >= 0)
        schedule_fail("a race with thread %d", with);
    schedule_depth--;
}

static MODEL_RAW void *
schedule_memset(void *to, int byte, size_t bytes)
{
    schedule_access(to, bytes, MODEL_WRITE);
    return memset(to, byte, bytes);
}

static MODEL_RAW void *
schedule_memcpy(void *to, const void *from, size_t bytes)
{
    schedule_access(from, bytes, MODEL_READ);
    schedule_access(to, bytes, MODEL_WRITE);
    return memcpy(to, from, bytes);
}
#define memset(to, byte, bytes)  schedule_memset(to, byte, bytes)
#define memcpy(to, from, bytes)  schedule_memcpy(to, from, bytes)
#endif

/* --- the builtins ------------------------------------------------------------
 *
 * A macro does not expand itself again, so these call what they replace; in a
 * run without its order, which is the model's.
 */

/* An atomic's value, or that of a variable of its type, as the model has it. */
static __attribute__((noinline)) uint64_t
schedule_now(const volatile void *at, size_t size)
{
    switch (size) {
    case 1:  return __atomic_load_n((const volatile uint8_t *)at,
                                    __ATOMIC_RELAXED);
    case 2:  return __atomic_load_n((const volatile uint16_t *)at,
                                    __ATOMIC_RELAXED);
    case 4:  return __atomic_load_n((const volatile uint32_t *)at,
                                    __ATOMIC_RELAXED);
    default: return __atomic_load_n((const volatile uint64_t *)at,
                                    __ATOMIC_RELAXED);
    }
}

static __attribute__((noinline)) void
schedule_set(void *at, size_t size, uint64_t value)
{
    uint8_t  one   = (uint8_t)value;
    uint16_t two   = (uint16_t)value;
    uint32_t four  = (uint32_t)value;

    switch (size) {
    case 1:  memcpy(at, &one, size); break;
    case 2:  memcpy(at, &two, size); break;
    case 4:  memcpy(at, &four, size); break;
    default: memcpy(at, &value, sizeof value); break;
    }
}

#define SCHEDULE_NOW(p) schedule_now(p, sizeof *(p))

#define __atomic_load_n(p, order)                                           \
    __extension__({                                                         \
        __typeof__(p)                                 schedule_p = (p);     \
        __typeof__(__atomic_load_n(schedule_p, order)) schedule_r;          \
                                                                            \
        schedule_step(schedule_p, 0, __func__);                             \
        if (schedule_models())                                              \
            schedule_set(&schedule_r, sizeof schedule_r,                    \
                         schedule_load(schedule_p, SCHEDULE_NOW(schedule_p), \
                                       order));                             \
        else                                                                \
            schedule_r = __atomic_load_n(schedule_p, order);                \
        schedule_r;                                                         \
    })
#define __atomic_store_n(p, v, order)                                       \
    __extension__({                                                         \
        __typeof__(p)    schedule_p = (p);                                  \
        __typeof__(*(p)) schedule_v = (v);                                  \
                                                                            \
        schedule_step(schedule_p, 1, __func__);                             \
        if (schedule_models()) {                                            \
            uint64_t schedule_b = SCHEDULE_NOW(schedule_p);                 \
                                                                            \
            __atomic_store_n(schedule_p, schedule_v, __ATOMIC_RELAXED);     \
            schedule_store(schedule_p, schedule_b,                          \
                           SCHEDULE_NOW(&schedule_v), order);               \
        } else {                                                            \
            __atomic_store_n(schedule_p, schedule_v, order);                \
        }                                                                   \
    })

/* A read-modify-write of schedule_p: as it is, or relaxed, in a run. */
#define SCHEDULE_CHANGE(order, as_it_is, relaxed)                           \
        uint64_t schedule_b;                                                \
                                                                            \
        schedule_step(schedule_p, 1, __func__);                             \
        if (schedule_models()) {                                            \
            schedule_b = SCHEDULE_NOW(schedule_p);                          \
            relaxed;                                                        \
            schedule_change(schedule_p, schedule_b,                         \
                            SCHEDULE_NOW(schedule_p), order);               \
        } else {                                                            \
            as_it_is;                                                       \
        }
#define SCHEDULE_FETCH(p, v, order, fetch)                                  \
    __extension__({                                                         \
        __typeof__(p)    schedule_p = (p);                                  \
        __typeof__(*(p)) schedule_v = (v);                                  \
        __typeof__(*(p)) schedule_r;                                        \
        SCHEDULE_CHANGE(order,                                              \
            schedule_r = fetch(schedule_p, schedule_v, order),              \
            schedule_r = fetch(schedule_p, schedule_v, __ATOMIC_RELAXED))   \
        schedule_r;                                                         \
    })
#define __atomic_fetch_or(p, v, order) \
    SCHEDULE_FETCH(p, v, order, __atomic_fetch_or)
#define __atomic_fetch_and(p, v, order) \
    SCHEDULE_FETCH(p, v, order, __atomic_fetch_and)
#define __atomic_fetch_add(p, v, order) \
    SCHEDULE_FETCH(p, v, order, __atomic_fetch_add)
#define __atomic_exchange(p, v, old, order)                                 \
    __extension__({                                                         \
        __typeof__(p) schedule_p = (p);                                     \
        SCHEDULE_CHANGE(order,                                              \
            __atomic_exchange(schedule_p, v, old, order),                   \
            __atomic_exchange(schedule_p, v, old, __ATOMIC_RELAXED))        \
    })
#define __atomic_compare_exchange_n(p, e, d, weak, order, failure)          \
    __extension__({                                                         \
        __typeof__(p)    schedule_p = (p);                                  \
        __typeof__(e)    schedule_e = (e);                                  \
        __typeof__(*(p)) schedule_d = (d);                                  \
        uint64_t         schedule_b;                                        \
        int              schedule_r;                                        \
                                                                            \
        schedule_step(schedule_p, 1, __func__);                             \
        schedule_b = SCHEDULE_NOW(schedule_p);                              \
        if (!schedule_models()) {                                           \
            schedule_r = __atomic_compare_exchange_n(                       \
                schedule_p, schedule_e, schedule_d, weak, order, failure);  \
        } else if (schedule_fails(schedule_p, SCHEDULE_NOW(schedule_e),     \
                                  &schedule_b, failure)) {                  \
            schedule_set(schedule_e, sizeof *schedule_e, schedule_b);       \
            schedule_r = 0;                                                 \
        } else {                                                            \
            schedule_r = __atomic_compare_exchange_n(                       \
                schedule_p, schedule_e, schedule_d, weak, __ATOMIC_RELAXED, \
                __ATOMIC_RELAXED);                                          \
            schedule_changes(schedule_p, schedule_b,                        \
                             SCHEDULE_NOW(&schedule_d), schedule_r, order,  \
                             failure);                                      \
        }                                                                   \
        schedule_r;                                                         \
    })
#define sched_yield()            schedule_yield()
#define munmap(base, bytes)      schedule_munmap(base, bytes)
#define clock_gettime(id, now)   schedule_clock(now)

#endif /* SCHEDULE_H */
