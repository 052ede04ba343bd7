/* fuzz_model.h - a plain model of a heap, for fuzz_api
 *
 * An array of what is live, the pools, and the threads that take turns; what
 * sizes are as documented; why a call may fail; what must be true of an object
 * that comes, stays, and goes.
 */
#ifndef FUZZ_MODEL_H
#define FUZZ_MODEL_H

#include "fuzz_util.h"

#include <pthread.h>
#include <semaphore.h>

#define OBJECTS 600
#define POOLS   5              /* one more than there can be */
#define BULK    96
#define PROMISES (FPH_SIZES + POOLS)

typedef struct object {
    char    *base;
    size_t   size;             /* asked for */
    size_t   usable;
    size_t   filled;           /* bytes that have the pattern */
    uint32_t number;           /* of the pattern */
    int      pool;             /* or -1 */
    int      sized;            /* may be freed with its size */
} object;

typedef enum maker {
    MAKER_NONE,
    MAKER_FILL,                /* fills each object */
    MAKER_HEAP                 /* has an object of the heap in each */
} maker;

typedef struct pool {
    fpheap_pool     *pool;     /* NULL: unused */
    fpheap_pool_desc desc;
    char             name[8];
    size_t           max;
    size_t           over;     /* claimed when max went below it, or 0 */
    size_t           live;
    size_t           made;     /* constructed and not destructed */
    maker            maker;
} pool;

/* Allocations of a class, or gets of a pool, that hit. */
typedef struct promise {
    unsigned n;
    size_t   size;
    pool    *of;               /* NULL: a class */
} promise;

/* What is true of the heap if it does what it promises. */
static struct model {
    fpheap        *heap;
    fuzz_provider  provider;
    unsigned       nodes;
    unsigned       flags;
    object         objects[OBJECTS];
    unsigned       n;
    uint32_t       numbers;    /* used up */
    pool           pools[POOLS];
    size_t         inner;      /* objects that constructors have */
    size_t         inner_bytes;
    unsigned       make_in;    /* constructor calls until one fails; 0: none */
    int            make_error;
    unsigned       threads;    /* that have used the heap, a bit each */
    unsigned       thread;     /* that does the next step */
    promise        promises[3][PROMISES]; /* to each of them */
    int            prefilled;  /* since this heap was made, or flushed */
    size_t         held_before;/* bytes, when the step began */
} m;

static uint8_t live_bytes[FUZZ_ARENA]; /* 1: of an object that is live */
static uint8_t made_at[FUZZ_ARENA];    /* at its base: pool + 1 */
static void   *array[OBJECTS];         /* for bulks */

#define UNTOUCHED ((void *)&array)

static size_t
least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* --- threads, one at a time ----------------------------------------------- */

typedef struct worker {
    pthread_t thread;
    unsigned  number;
    sem_t     go;
    sem_t     done;
    void    (*work)(void);
} worker;

static worker            workers[2];
static __thread unsigned me;

static void *
worker_main(void *arg)
{
    worker *self = (worker *)arg;

    me = self->number;
    for (;;) {
        sem_wait(&self->go);
        self->work();
        sem_post(&self->done);
    }
    return NULL;
}

/* Run on thread 0, the caller, or on 1 or 2. */
static void
on_thread(unsigned thread, void (*work)(void))
{
    worker *other;

    m.threads |= 1u << thread;
    if (thread == 0) {
        work();
        return;
    }
    other = &workers[thread - 1];
    other->work = work;
    sem_post(&other->go);
    while (sem_wait(&other->done) != 0)
        ;
}

static int
thread_node(void *ctx)
{
    (void)ctx;
    return (int)me;
}

/* The node that serves this thread. */
static int
home(void)
{
    return me < m.nodes ? (int)me : 0;
}

/* --- sizes as documented -------------------------------------------------- */

/* Usable bytes of fpheap_alloc(size). */
static size_t
rounded(size_t size)
{
    size_t with = (size == 0 ? 1 : size) + FPH_HEAD;
    size_t step = 16;

    if (with > 8 * FPHEAP_PAGE)
        return (size + FPHEAP_PAGE - 1) / FPHEAP_PAGE * FPHEAP_PAGE;
    while (step << (FPHEAP_CLASS_BITS + 1) < with)
        step *= 2;
    return ((with + step - 1) & ~(step - 1)) - FPH_HEAD;
}

/* Its alignment: the largest power of two that divides its class. */
static size_t
alignment(size_t usable)
{
    size_t size = usable + FPH_HEAD;

    if (size > 8 * FPHEAP_PAGE)
        return FPHEAP_PAGE;
    return FPHEAP_HEADER ? 16 : least(size & (~size + 1), FPHEAP_PAGE);
}

/* Fresh chunks in a row that an object may need. */
static size_t
chunks_of(size_t size, size_t align)
{
    size_t step, pages;

    if (size > SIZE_MAX / 2)
        return SIZE_MAX / FPHEAP_CHUNK / 2;
    step = align <= FPHEAP_PAGE ? 1 : align / FPHEAP_PAGE;
    pages = (size + FPHEAP_PAGE - 1) / FPHEAP_PAGE + FPHEAP_HEADER;
    if (step + pages + (FPHEAP_HEADER ? step : 0) > FPH_PAGES)
        pages = (pages + step - 1) / step * step;
    return pages / FPH_PAGES + 1;
}

/* --- failures ------------------------------------------------------------- */

/* Whether the pool's max, or the heap's limit, is in the way of n objects or of
 * `chunks`.  Of a pool's parked objects those count that are other threads', or
 * of several nodes, which FPHEAP_SPILL makes. */
static int
no_space(const pool *p, unsigned n, size_t chunks)
{
    const fuzz_provider *provider = &m.provider;
    size_t               held = provider->held_bytes;
    fpheap_pool_stats    stats;

    if (p != NULL) {
        fpheap_pool_stats_get(p->pool, &stats);
        if (p->live + n > p->max)
            return 1;
        if (((m.threads & (m.threads - 1)) != 0 || m.flags != 0)
            && stats.claimed_objects + n > p->max)
            return 1;
    }
    if (held < m.held_before)
        held = m.held_before;
    return provider->limit != 0
        && (provider->bad != 0 || provider->extra != 0
            || held + chunks * FPHEAP_CHUNK > provider->limit);
}

/* Whether the table of regions may be full: it keeps a place for each that
 * there ever was, for the next one that is no longer. */
static int
full_tables(void)
{
    fpheap_stats stats;

    if (m.heap == NULL)
        return 0;
    fpheap_stats_get(m.heap, &stats);
    return stats.growths >= FPH_TABLE_MAX;
}

/* A call that wanted n objects, and memory in pieces of `chunks`, has failed:
 * was there a reason? */
static void
reason(int error, const pool *p, unsigned n, size_t chunks)
{
    if (fuzz_noted(&m.provider, error))
        return;
    switch (error) {
    case ENOSPC:
        FUZZ_CHECK(no_space(p, n, chunks) && "ENOSPC has a reason");
        break;
    case EFAULT:
        FUZZ_CHECK(m.provider.bad != 0 && "EFAULT has a reason");
        break;
    case ENOMEM:
        FUZZ_CHECK((chunks > FPHEAP_CHUNK / 64 || full_tables())
                   && "ENOMEM has a reason");
        break;
    default:
        fuzz_fail(__FILE__, __LINE__, "no such error is possible here");
    }
}

/* --- what was prefilled --------------------------------------------------- */

/* What this thread was promised of a size. */
static promise *
promise_of(size_t size)
{
    return &m.promises[me][size > FPH_SIZED_MAX ? 0 : fph_class_said(size)];
}

static promise *
promise_of_pool(const pool *p)
{
    return &m.promises[me][FPH_SIZES + (p - m.pools)];
}

/* This thread has asked for n objects, and got so many. */
static void
asked(promise *promise, unsigned n, unsigned got)
{
    FUZZ_CHECK((got == n || n > promise->n) && "what was prefilled is there");
    promise->n = n < promise->n ? promise->n - n : 0;
}

/* It gives up what it has. */
static void
promises_end(void)
{
    memset(m.promises[me], 0, sizeof m.promises[me]);
    if ((m.threads & (m.threads - 1)) == 0)
        m.prefilled = 0;
}

/* --- objects -------------------------------------------------------------- */

static size_t
arena_offset(const char *base)
{
    return (size_t)(base - fuzz_arena);
}

/* Of a pool's object: the bytes in front that its constructor keeps. */
static size_t
skipped(int number)
{
    return number >= 0 && m.pools[number].maker == MAKER_HEAP
         ? sizeof(void *) : 0;
}

static int
all_are(const uint8_t *bytes, size_t n, uint8_t value)
{
    return bytes[0] == value && memcmp(bytes, bytes + 1, n - 1) == 0;
}

/* An object may go on from a region to one behind it of the same node. */
static void
check_place(const object *o, int node)
{
    const fuzz_grant *grant  = NULL;
    const uint8_t    *shadow = live_bytes + arena_offset(o->base);
    const char       *at     = o->base;

    while (at < o->base + o->usable) {
        const fuzz_grant *before = grant;

        grant = fuzz_grant_of(&m.provider, at);
        FUZZ_CHECK(grant != NULL && "an object is in memory of the provider");
        FUZZ_CHECK(before == NULL || before->node == grant->node);
        at = (const char *)grant->region.base + grant->region.bytes;
    }
    FUZZ_CHECK(all_are(shadow, o->usable, 0) && "objects do not overlap");
    FUZZ_CHECK(fpheap_iova(m.heap, o->base)
               == (uint64_t)(uintptr_t)o->base + 4096);
    if (node < 0 && (m.flags & FPHEAP_SPILL) == 0)
        node = home();
    FUZZ_CHECK(node < 0 || (grant != NULL && grant->node == node));
}

/* Note an object that a call has returned. */
static object *
keep(void *base, size_t size, size_t align, int number, int node)
{
    object *o = &m.objects[m.n++];

    FUZZ_CHECK(m.n <= OBJECTS);
    o->base = (char *)base;
    o->size = size;
    o->usable = fpheap_usable_size(m.heap, base);
    o->filled = number < 0 ? o->usable : size;
    o->number = m.numbers++;
    o->pool = number;
    o->sized = number < 0;
    FUZZ_CHECK(o->usable >= size && o->usable > 0);
    FUZZ_CHECK(((uintptr_t)base & (align - 1)) == 0);
    check_place(o, node);
    memset(live_bytes + arena_offset(o->base), 1, o->usable);
    fuzz_fill(o->base, skipped(number), o->filled, o->number);
    return o;
}

/* An object that an ordinary allocation has returned. */
static object *
keep_plain(void *base, size_t size, int node)
{
    size_t usable = fpheap_usable_size(m.heap, base);

    FUZZ_CHECK(usable == rounded(size));
    return keep(base, size, alignment(usable), -1, node);
}

/* One that fpheap_realloc has moved to make it larger: with an eighth and a page
 * to spare, if there was memory. */
static void
keep_grown(void *base, size_t size)
{
    size_t usable = fpheap_usable_size(m.heap, base);

    FUZZ_CHECK(usable >= rounded(size));
    FUZZ_CHECK(usable <= rounded(size + size / 8 + FPHEAP_PAGE));
    keep(base, size, alignment(usable), -1, -1);
}

/* Take an object out of the model; the caller frees it. */
static object
forget(unsigned i)
{
    object o = m.objects[i];
    pool  *p = o.pool < 0 ? NULL : &m.pools[o.pool];

    FUZZ_CHECK(fuzz_filled(o.base, skipped(o.pool), o.filled, o.filled,
                           o.number) && "an object has what was written");
    FUZZ_CHECK(all_are(live_bytes + arena_offset(o.base), o.usable, 1));
    memset(live_bytes + arena_offset(o.base), 0, o.usable);
    if (p != NULL) {
        p->live--;
        if (p->maker != MAKER_NONE)
            fuzz_fill(o.base, skipped(o.pool), o.size,
                      1000u + (uint32_t)o.pool);
    }
    m.objects[i] = m.objects[--m.n];
    return o;
}

/* The number of a live object that the input chooses; OBJECTS: none. */
static unsigned
choose(int number)
{
    unsigned tries = m.n;
    unsigned i;

    if (m.n == 0)
        return OBJECTS;
    i = fuzz_u8() * 7 % m.n;
    while (tries-- > 0) {
        if (number < 0 || m.objects[i].pool == number - 1)
            return i;
        i = (i + 1) % m.n;
    }
    return OBJECTS;
}

#define ANY_POOL (-1)          /* for choose: any object */
#define NO_POOL  0             /* one that is of no pool */

static void
no_growth(void)
{
    FUZZ_CHECK(m.provider.gets == 0 && "a free asks for no memory");
}

#endif /* FUZZ_MODEL_H */
