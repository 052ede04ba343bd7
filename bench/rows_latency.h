/* Rows of how long one call may take, in ticks of the time stamp counter.  The
 * cost of reading the counter is in every figure; the floor's shows it. */
#ifndef BENCH_ROWS_LATENCY_H
#define BENCH_ROWS_LATENCY_H

#define TICKS_MAX (1u << 20) /* longer ones count as this, but for max */

typedef struct latencies {
    uint32_t *count;   /* of calls that took so many ticks */
    unsigned  calls;
    uint64_t  longest;
} latencies;

/* Of what comes and of what goes. */
typedef struct timing {
    latencies comes;
    latencies goes;
} timing;

static void
clear_latencies(latencies *l)
{
    memset(l->count, 0, TICKS_MAX * sizeof *l->count);
    l->calls = 0;
    l->longest = 0;
}

BENCH_INLINE void
note_latency(latencies *l, uint64_t taken)
{
    l->count[taken < TICKS_MAX ? taken : TICKS_MAX - 1]++;
    l->calls++;
    if (taken > l->longest)
        l->longest = taken;
}

static void
emit_latencies(const row *r, const char *call, const latencies *l)
{
    static const struct {
        const char *name;
        double      share;
    } wanted[] = {
        { "p50", 0.5 },
        { "p99", 0.99 },
        { "p99.9", 0.999 },
        { "p99.99", 0.9999 },
    };
    char     name[64];
    uint64_t seen = 0;
    unsigned next = 0;
    unsigned t;

    for (t = 0; t < TICKS_MAX && next < 4; t++) {
        seen += l->count[t];
        while (next < 4 && (double)seen >= wanted[next].share * l->calls) {
            snprintf(name, sizeof name, "%s_%s%s", r->name, call,
                     wanted[next++].name);
            emit(name, "tsc", t);
        }
    }
    snprintf(name, sizeof name, "%s_%smax", r->name, call);
    emit(name, "tsc", (double)l->longest);
}

/* --- one call, by itself --------------------------------------------------- */

/* Nobody looks at the clock if t is NULL. */
BENCH_INLINE void *
timed_take(source from, timing *t)
{
    uint64_t began = t != NULL ? ticks() : 0;
    void    *object = take(from);

    USE(object);
    if (t != NULL)
        note_latency(&t->comes, ticks() - began);
    return object;
}

BENCH_INLINE void
timed_give_back(source to, void *object, timing *t)
{
    uint64_t began;

    USE(object);
    began = t != NULL ? ticks() : 0;
    give_back(to, object);
    COMPLETE();
    if (t != NULL)
        note_latency(&t->goes, ticks() - began);
}

/* The work that is timed, and that of another thread, each on objects of its
 * own.  With NULL for timing it is done as fast as it can be. */
typedef void timed_job(void *work, timing *t);

static void
latency_repeats(const row *r, timed_job *job, void *mine)
{
    size_t   bytes = TICKS_MAX * sizeof(uint32_t);
    timing   t = { { own_memory(bytes), 0, 0 }, { own_memory(bytes), 0, 0 } };
    unsigned repeat;

    for (repeat = 0; repeat <= repeats; repeat++) {
        clear_latencies(&t.comes);
        clear_latencies(&t.goes);
        job(mine, &t);
        if (repeat > 0) {
            emit_latencies(r, "", &t.comes);
            emit_latencies(r, "free_", &t.goes);
        }
    }
}

static struct {
    timed_job  *job;
    void       *work;
    shared_word rests;
} hammer;

static void
hammer_once(void *unused)
{
    (void)unused;
    hammer.job(hammer.work, NULL);
}

static void
hammer_on(void *unused)
{
    while (load_acquire(&hammer.rests) == 0)
        hammer_once(unused);
}

/* The same while the other thread does it too, all the time. */
static void
hammered_repeats(const row *r, timed_job *job, void *mine, void *its)
{
    if (!second_start(r->name))
        return;
    hammer.job = job;
    hammer.work = its;
    second_order(hammer_once, NULL); /* its cache is made and filled */
    second_wait();
    second_order(hammer_on, NULL);
    latency_repeats(r, job, mine);
    store_release(&hammer.rests, 1);
    second_wait();
    second_end();
}

/* --- mixed sizes ----------------------------------------------------------- */

static void
mixed_timed(mixed_work w, timing *t)
{
    unsigned calls = scaled(STEPS);
    unsigned i;

    for (i = 0; i < calls; i++) {
        mixed_slot *slot = &w.slots[w.steps[i].index];

        timed_give_back(FROM_HEAP(w.p, slot->size, UNSIZED), slot->object, t);
        slot->size = w.steps[i].size;
        slot->object = timed_take(FROM_HEAP(w.p, slot->size, UNSIZED), t);
    }
}

static void
mixed_timed_job(void *work, timing *t)
{
    if (t == NULL)
        mixed_job(work);
    else
        mixed_timed(*(mixed_work *)work, t);
}

static void
run_latency(const row *r)
{
    mixed_work mine = mixed_prepare();

    latency_repeats(r, mixed_timed_job, &mine);
}

static void
run_hammered(const row *r)
{
    static mixed_work its;
    mixed_work        mine = mixed_prepare();

    hammered_repeats(r, mixed_timed_job, &mine, &its);
}

/* --- one size -------------------------------------------------------------- */

#define QUEUE_MOST 4096u /* objects outstanding */
#define PACKET     2304u /* an mbuf's 2048 bytes of data and 2 x 128 */

/* A queue of objects of one size.  It grows and shrinks from one length to
 * another, each taken at random, the oldest object going first.  So a thread's
 * cache runs empty and full again and again, and the calls that have to do
 * something about it are among those timed: more than one in a thousand. */
typedef struct queue_work {
    unsigned  size;   /* 0: PACKET, from a pool */
    peer      heap;
    peer_pool pool;
    void    **queue;  /* NULL until the thread first comes */
    unsigned  in;     /* objects ever */
    unsigned  out;
    uint64_t  random;
} queue_work;

static void
queue_prepare(queue_work *w)
{
    /* For two threads with their caches; nothing grows meanwhile. */
    unsigned each = 2 * QUEUE_MOST + 4096;
    stock    s = { w->size, w->size, each, 64u << 20 };

    if (w->size == 0) {
        s.smallest = s.largest = PACKET;
        w->pool = peer_pool_prepare(&s);
    } else {
        w->heap = peer_prepare(&s);
    }
    w->queue = own_memory(QUEUE_MOST * sizeof *w->queue);
    (void)random_below(2); /* the other thread's lengths are others */
    w->random = random_state;
}

BENCH_INLINE void
queue_steps(queue_work *w, source from, timing *t)
{
    unsigned enough = w->in + scaled(STEPS / 2);
    unsigned length;

    while (w->in < enough) {
        length = random_from(&w->random, QUEUE_MOST + 1);
        while (w->in - w->out < length)
            w->queue[w->in++ % QUEUE_MOST] = timed_take(from, t);
        while (w->in - w->out > length)
            timed_give_back(from, w->queue[w->out++ % QUEUE_MOST], t);
    }
}

/* Sizes are constants, as in most programs; the clock is there or not. */
BENCH_INLINE void
queue_from_any(queue_work *w, timing *t)
{
    if (w->size == 0)
        queue_steps(w, FROM_POOL(w->pool), t);
    else if (w->size == 256)
        queue_steps(w, FROM_HEAP(w->heap, 256, SIZED), t);
    else
        queue_steps(w, FROM_HEAP(w->heap, PACKET, SIZED), t);
}

static void
queue_job(void *work, timing *t)
{
    queue_work *w = work;

    if (w->queue == NULL)
        queue_prepare(w);
    if (t != NULL)
        queue_from_any(w, t);
    else
        queue_from_any(w, NULL);
}

static void
run_queue(const row *r)
{
    queue_work mine = { .size = r->n };

    latency_repeats(r, queue_job, &mine);
}

static void
run_queue_hammered(const row *r)
{
    queue_work mine = { .size = r->n };
    queue_work its = mine;

    queue_prepare(&mine); /* first, for it makes the heap */
    hammered_repeats(r, queue_job, &mine, &its);
}

#define ROWS_LATENCY \
    { "latency", run_latency, MIXED_N }, \
    { "latency_256", run_queue, 256 }, \
    { "latency_2304", run_queue, PACKET }, \
    { "pool_latency", run_queue, 0 }, \
    { "hammered", run_hammered, MIXED_N }, \
    { "hammered_256", run_queue_hammered, 256 }, \
    { "hammered_2304", run_queue_hammered, PACKET }, \
    { "pool_hammered", run_queue_hammered, 0 }

#endif /* BENCH_ROWS_LATENCY_H */
