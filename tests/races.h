/* races.h - what another thread does between two steps of this one
 *
 * The atomic builtins are macros here, which come to meanwhile_step first.  A
 * test names a word, or any, and what another thread does in front of one of
 * this thread's next accesses to it, from begin to end; then this one goes on.
 * Or it names a function that is called when this thread waits.
 *
 * Include it before fpheap.h.
 */
#ifndef RACES_H
#define RACES_H

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

enum { MEANWHILE_LOAD, MEANWHILE_CHANGE, MEANWHILE_STORE };

static __thread struct {
    const volatile void *word; /* NULL: none, or it has come */
    int                  kind;
    unsigned             skip; /* accesses of this kind before */
    void              *(*work)(void *);
    void                *arg;
} meanwhile_moment;

/* The access of that kind after `skip` others waits until work(arg) is done. */
static void
meanwhile(const volatile void *word, int kind, unsigned skip,
          void *(*work)(void *), void *arg)
{
    meanwhile_moment.word = word;
    meanwhile_moment.kind = kind;
    meanwhile_moment.skip = skip;
    meanwhile_moment.work = work;
    meanwhile_moment.arg = arg;
}

/* Any access of this thread, to any word. */
static char meanwhile_any;

static __attribute__((noinline)) void
meanwhile_step(const volatile void *word, int kind)
{
    pthread_t thread;

    if (meanwhile_moment.word != &meanwhile_any
        && (word != meanwhile_moment.word || kind != meanwhile_moment.kind))
        return;
    if (meanwhile_moment.skip-- != 0)
        return;
    meanwhile_moment.word = NULL;
    if (pthread_create(&thread, NULL, meanwhile_moment.work,
                       meanwhile_moment.arg) != 0
        || pthread_join(thread, NULL) != 0)
        abort();
}

#define __atomic_load_n(p, order) \
    (meanwhile_step(p, MEANWHILE_LOAD), __atomic_load_n(p, order))
#define __atomic_store_n(p, v, order) \
    (meanwhile_step(p, MEANWHILE_STORE), __atomic_store_n(p, v, order))
#define __atomic_compare_exchange_n(p, expected, v, weak, order, failure)  \
    (meanwhile_step(p, MEANWHILE_CHANGE),                                  \
     __atomic_compare_exchange_n(p, expected, v, weak, order, failure))
#define __atomic_exchange(p, v, old, order) \
    (meanwhile_step(p, MEANWHILE_CHANGE), __atomic_exchange(p, v, old, order))
#define __atomic_fetch_add(p, v, order) \
    (meanwhile_step(p, MEANWHILE_CHANGE), __atomic_fetch_add(p, v, order))
#define __atomic_fetch_or(p, v, order) \
    (meanwhile_step(p, MEANWHILE_STORE), __atomic_fetch_or(p, v, order))
#define __atomic_fetch_and(p, v, order) \
    (meanwhile_step(p, MEANWHILE_CHANGE), __atomic_fetch_and(p, v, order))

/* Called once, when this thread waits. */
static __thread void (*at_yield)(void);

static void
yielded(void)
{
    void (*act)(void) = at_yield;

    at_yield = NULL;
    if (act != NULL)
        act();
}

#define sched_yield() (yielded(), sched_yield())

#endif /* RACES_H */
