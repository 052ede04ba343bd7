/* memory_model.h - what a load of C11 may return, behind the heap's atomics
 * SPDX-License-Identifier: MIT OR Unlicense
 *
 * Each location has its last stores in their order.  A load may return any of
 * them that is not older than what its thread must see:
 *
 *   - what it has stored or seen there itself, or what a thread had, up to a
 *     moment with which it has synchronized               (coherence)
 *   - if it is seq_cst, the last store there that was     (the order of all
 *     seq_cst                                              seq_cst)
 *
 * A thread synchronizes by an acquire load of what a release store wrote, or of
 * what read-modify-writes, of any order, made of that, one of the other.  These
 * read the last store.  A compare-and-swap that fails is a load of its second
 * order, and may fail by an older value.
 *
 * This is RC11 (Lahav, Vafeiadis, Kang, Hur, Dreyer, PLDI 2017) without fences,
 * which the heap has none of, and a part of it: the stores to a location are in
 * the order in which they ran, as are all seq_cst accesses, and no load returns
 * what is stored later.  ARMv8, POWER and RISC-V, as compilers use them, let a
 * load see nothing that C11 does not.
 *
 * What a thread has synchronized with is a vector of clocks, of which each ticks
 * when its thread has released what it did.  Plain accesses race if neither
 * has synchronized with the other, or one of them with an atomic one: of each
 * byte it is known who accessed it last (FastTrack, Flanagan and Freund, PLDI
 * 2009), but for atomic loads, whose races show when they come second.
 */
#ifndef MEMORY_MODEL_H
#define MEMORY_MODEL_H

#include <stdint.h>
#include <string.h>

#include "schedule_hooks.h"

#ifndef MODEL_THREADS
#  define MODEL_THREADS 5
#endif
#define MODEL_STORES    8           /* that a location keeps */
#define MODEL_LOCATIONS 16384       /* a power of two */
#define MODEL_TAGS      16384       /* the same */
#define MODEL_WORDS     65536       /* the same */
#define MODEL_CELLS     6           /* of a word; the last is another's then */

/* Of what the compiler would watch. */
#define MODEL_RAW __attribute__((no_sanitize_thread))

typedef struct model_view {
    uint32_t clock[MODEL_THREADS];
} model_view;

/* By a thread's clock. */
typedef struct model_moment {
    unsigned thread;
    uint32_t clock;
} model_moment;

typedef struct model_store {
    uint64_t   value;
    model_view known;          /* by each thread, since when; 0: not yet */
    model_view released;       /* what an acquire load of it gets */
    int        seq_cst;
    char      *tag;            /* by which ThreadSanitizer knows it */
} model_store;

/* The stores of one run; the last is store[n - 1]. */
typedef struct model_location {
    uintptr_t   at;
    uint32_t    run;
    uint64_t    first;         /* its value before the run */
    unsigned    n;
    model_store store[MODEL_STORES];
} model_location;

/* Bytes of a word that are accessed together. */
typedef struct model_cell {
    unsigned     bytes;        /* a bit each */
    model_view   read;
    model_moment written;      /* plainly, the last time */
    model_moment stored;       /* and as an atomic */
} model_cell;

typedef struct model_word {
    uintptr_t  at;             /* / 8 */
    uint32_t   run;
    unsigned   n;
    model_cell cell[MODEL_CELLS];
} model_word;

static struct model {
    uint32_t       run;
    model_view     view[MODEL_THREADS];
    model_location location[MODEL_LOCATIONS];
    unsigned       used[MODEL_LOCATIONS];  /* of these, in this run */
    unsigned       n;
    char           tag[MODEL_TAGS];
    unsigned       tags;
    model_word     word[MODEL_WORDS];
    unsigned       watched[MODEL_WORDS]; /* of these, in this run */
    unsigned       words;
} model;

static void
model_join(model_view *view, const model_view *with)
{
    unsigned t;

    for (t = 0; t < MODEL_THREADS; t++)
        if (view->clock[t] < with->clock[t])
            view->clock[t] = with->clock[t];
}

/* A run begins: all know all that was. */
static void
model_begin(void)
{
    unsigned t;

    model.run++;
    model.n = 0;
    model.words = 0;
    for (t = 0; t < MODEL_THREADS; t++)
        memset(&model.view[t], 0, sizeof model.view[t]);
    for (t = 0; t < MODEL_THREADS; t++)
        model.view[t].clock[t] = 1;
}

/* All know this value, and none before. */
static void
model_settle(model_location *l, uint64_t value)
{
    l->n = 1;
    memset(&l->store[0], 0, sizeof l->store[0]);
    l->store[0].value = value;
}

/* The location, whose value is `now`.  If its last store was of another, it was
 * written since, and not as an atomic. */
static model_location *
model_at(const volatile void *at, uint64_t now)
{
    uintptr_t       key = (uintptr_t)at;
    size_t          i   = (size_t)(key ^ key >> 14) % MODEL_LOCATIONS;
    model_location *l   = &model.location[i];

    while (l->run == model.run && l->at != key) {
        i = (i + 1) % MODEL_LOCATIONS;
        l = &model.location[i];
    }
    if (l->run != model.run) {
        l->run = model.run;
        l->at = key;
        l->first = now;
        l->n = 0;
        model.used[model.n++] = (unsigned)i;
    }
    if (l->n == 0 || l->store[l->n - 1].value != now)
        model_settle(l, now);
    return l;
}

/* Memory is another's now: what it was is over. */
static inline void
model_forget(const void *base, size_t bytes)
{
    unsigned i;

    for (i = 0; i < model.n; i++)
        if (model.location[model.used[i]].at - (uintptr_t)base < bytes)
            model.location[model.used[i]].n = 0;
    for (i = 0; i < model.words; i++) {
        model_word *word = &model.word[model.watched[i]];

        if (word->at * 8 - (uintptr_t)base < bytes)
            word->n = 0;
    }
}

/* The oldest store that a thread may still see. */
static unsigned
model_oldest(const model_location *l, unsigned self, int seq_cst)
{
    unsigned k, t;

    for (k = l->n - 1; k > 0; k--) {
        const model_store *s = &l->store[k];

        if (seq_cst && s->seq_cst)
            return k;
        for (t = 0; t < MODEL_THREADS; t++)
            if (s->known.clock[t] != 0
                && s->known.clock[t] <= model.view[self].clock[t])
                return k;
    }
    return 0;
}

static int
model_acquires(int order)
{
    return order == __ATOMIC_ACQUIRE || order == __ATOMIC_ACQ_REL
        || order == __ATOMIC_SEQ_CST || order == __ATOMIC_CONSUME;
}

static int
model_releases(int order)
{
    return order == __ATOMIC_RELEASE || order == __ATOMIC_ACQ_REL
        || order == __ATOMIC_SEQ_CST;
}

/* Whether who has that view knows what was at a moment. */
static inline int
model_was(model_moment moment, const model_view *view)
{
    return view->clock[moment.thread] >= moment.clock;
}

/* A thread sees store k.  Returns the tag with which it has synchronized, or
 * NULL. */
static char *
model_see(model_location *l, unsigned k, unsigned self, int order)
{
    uint32_t now = model.view[self].clock[self];
    unsigned i;

    for (i = k + 1; i-- > 0 && l->store[i].known.clock[self] == 0;)
        l->store[i].known.clock[self] = now;
    if (!model_acquires(order))
        return NULL;
    model_join(&model.view[self], &l->store[k].released);
    return l->store[k].tag;
}

/* A thread's store, after all others; `from` what a read-modify-write has read,
 * or NULL.  Returns the tag that it releases, or NULL. */
static char *
model_put(model_location *l, uint64_t value, unsigned self, int order,
          const model_store *from)
{
    model_store s;

    memset(&s, 0, sizeof s);
    s.value = value;
    s.known.clock[self] = model.view[self].clock[self];
    s.seq_cst = order == __ATOMIC_SEQ_CST;
    if (from != NULL) {
        s.released = from->released;
        s.tag = from->tag;
    }
    if (model_releases(order)) {
        model_join(&s.released, &model.view[self]);
        if (s.tag == NULL)
            s.tag = &model.tag[model.tags++ % MODEL_TAGS];
    }
    if (l->n == MODEL_STORES)
        memmove(l->store, l->store + 1, --l->n * sizeof s);
    l->store[l->n++] = s;
    if (!model_releases(order))
        return NULL;
    model.view[self].clock[self]++;
    return s.tag;
}

/* A number for what all locations have now, of which most have what they had
 * before the run. */
static uint64_t
model_state(void)
{
    uint64_t sum = 0;
    unsigned i;

    for (i = 0; i < model.n; i++) {
        const model_location *l = &model.location[model.used[i]];
        uint64_t              z = l->n == 0 ? 0 : l->store[l->n - 1].value;

        if (l->n != 0 && z == l->first)
            continue;
        z = (z ^ l->at) * UINT64_C(0xbf58476d1ce4e5b9);
        sum += z ^ z >> 29;
    }
    return sum;
}

/* What a lock is for threads, as the system has it. */
typedef struct model_lock {
    uint32_t   run;
    model_view released;
} model_lock;

static void
model_unlock(model_lock *lock, unsigned self)
{
    if (lock->run != model.run)
        memset(&lock->released, 0, sizeof lock->released);
    lock->run = model.run;
    model_join(&lock->released, &model.view[self]);
    model.view[self].clock[self]++;
}

static void
model_lock_take(const model_lock *lock, unsigned self)
{
    if (lock->run == model.run)
        model_join(&model.view[self], &lock->released);
}

/* --- races ---------------------------------------------------------------- */

static MODEL_RAW model_word *
model_word_at(uintptr_t at)
{
    size_t      i    = (size_t)(at ^ at >> 13) % MODEL_WORDS;
    model_word *word = &model.word[i];

    while (word->run == model.run && word->at != at) {
        i = (i + 1) % MODEL_WORDS;
        word = &model.word[i];
    }
    if (word->run != model.run) {
        word->n = 0;
        word->run = model.run;
        word->at = at;
        model.watched[model.words++] = (unsigned)i;
    }
    return word;
}

/* Whether an access of a thread does not follow a moment. */
static inline MODEL_RAW int
model_is_apart(const model_moment *moment, unsigned self)
{
    return moment->clock > model.view[self].clock[moment->thread];
}

/* With whom a thread races that accesses bytes of a cell, or -1. */
static inline MODEL_RAW int
model_race(const model_cell *cell, unsigned self, int access)
{
    unsigned t;

    if (model_is_apart(&cell->written, self))
        return (int)cell->written.thread;
    if (access < MODEL_LOAD && model_is_apart(&cell->stored, self))
        return (int)cell->stored.thread;
    if (access == MODEL_WRITE || access == MODEL_STORE)
        for (t = 0; t < MODEL_THREADS; t++)
            if (cell->read.clock[t] > model.view[self].clock[t])
                return (int)t;
    return -1;
}

/* A word's cell of just these bytes. */
static inline MODEL_RAW model_cell *
model_cell_of(model_word *word, unsigned bytes)
{
    model_cell *cell;
    unsigned    i;

    for (i = 0; i < word->n; i++)
        if (word->cell[i].bytes == bytes)
            return &word->cell[i];
    if (word->n < MODEL_CELLS)
        word->n++;
    cell = &word->cell[word->n - 1];
    memset(cell, 0, sizeof *cell);
    cell->bytes = bytes;
    return cell;
}

static MODEL_RAW int
model_word_access(model_word *word, unsigned bytes, unsigned self, int access)
{
    model_moment now = {self, model.view[self].clock[self]};
    model_cell  *cell;
    unsigned     i;

    for (i = 0; i < word->n; i++) {
        int with = (word->cell[i].bytes & bytes) != 0
                 ? model_race(&word->cell[i], self, access) : -1;

        if (with >= 0)
            return with;
    }
    cell = model_cell_of(word, bytes);
    if (access == MODEL_READ)
        cell->read.clock[self] = now.clock;
    else if (access == MODEL_WRITE)
        cell->written = now;
    else if (access == MODEL_STORE)
        cell->stored = now;
    return -1;
}

/* A thread accesses bytes; of very many those at every 256th are looked at.
 * Returns the one with which it races, or -1. */
static inline MODEL_RAW int
model_access(const volatile void *base, size_t bytes, unsigned self, int access)
{
    uintptr_t at   = (uintptr_t)base;
    uintptr_t end  = at + bytes;
    uintptr_t step = bytes > 16384 ? 256 : 8;

    while (at < end) {
        unsigned first = at % 8;
        unsigned n     = end - at < 8 - first ? (unsigned)(end - at)
                                              : 8 - first;
        int      with  = model_word_access(model_word_at(at / 8),
                                           ((1u << n) - 1) << first, self,
                                           access);

        if (with >= 0)
            return with;
        at = (at / step + 1) * step;
    }
    return -1;
}

/* A thread gives memory away, which is like a write to all that was accessed of
 * it.  Returns the one with which it races, or -1. */
static inline int
model_give(const void *base, size_t bytes, unsigned self)
{
    unsigned i, k;

    for (i = 0; i < model.words; i++) {
        const model_word *word = &model.word[model.watched[i]];

        for (k = 0; k < word->n && word->at * 8 - (uintptr_t)base < bytes; k++)
            if (model_race(&word->cell[k], self, MODEL_WRITE) >= 0)
                return model_race(&word->cell[k], self, MODEL_WRITE);
    }
    return -1;
}

#endif /* MEMORY_MODEL_H */
