/* Rows that the literature on allocators measures, written from its
 * descriptions and made short.  Crews of two have a processor for each thread;
 * figures are nanoseconds of processor time per object, allocated and freed. */
#ifndef BENCH_ROWS_CLASSIC_H
#define BENCH_ROWS_CLASSIC_H

/* A fresh thread, on the same processor, does the work and ends. */
static void
in_fresh_thread(void *(*work)(void *arg), void *arg)
{
    pthread_t id;

    if (pthread_create(&id, NULL, work, arg) != 0)
        exit(1);
    pthread_join(id, NULL);
}

/* --- larson: a server ----------------------------------------------------- */

/* Larson and Krishnan, "Memory Allocation for Long-Running Server
 * Applications", ISMM 1998, https://doi.org/10.1145/286860.286880.  Each
 * thread replaces objects of its own, chosen at random, and after a while
 * leaves all of them to a new thread and ends: a server whose requests outlive
 * the thread that took them. */
#define LARSON_N     1000u
#define LARSON_STEPS (STEPS / 32) /* in a thread's life */
#define LARSON_LIVES 16u

static const stock stock_larson = { 8, 1000, 4096, 64u << 20 };

static void *
larson_life(void *arg)
{
    crew_member *m = arg;

    crowd_steps(peer_prepare(&stock_larson), crowds[m->index], &m->random,
                1 /* touch */);
    return NULL;
}

static void
larson_job(crew_member *m)
{
    unsigned lives = scaled(LARSON_LIVES);
    unsigned i;

    for (i = 0; i < lives; i++)
        in_fresh_thread(larson_life, m);
}

static void
run_larson(const row *r)
{
    if (PEER_BARE || !crew_start(r, &stock_larson))
        return;
    crowds_prepare(LARSON_N, 8, 1000, LARSON_STEPS);
    crew_repeat(r, larson_job, scaled(LARSON_LIVES) * LARSON_STEPS);
    crew_end();
}

/* --- xmalloc: one allocates, the other frees ------------------------------ */

/* Lever and Boreham, "malloc() Performance in a Multithreaded Linux
 * Environment", USENIX 2000,
 * https://www.usenix.org/conference/2000-usenix-annual-technical- conference;
 * in the form in which Kuszmaul measures SuperMalloc, ISMM 2015,
 * https://doi.org/10.1145/2754169.2754178: objects of many sizes go in batches
 * from threads that only allocate to threads that only free. */
#define XMALLOC_BATCH   256u
#define XMALLOC_BATCHES 16u /* that the queue holds */

static const stock stock_xmalloc = { 8, 3072, 4096, 64u << 20 };

static struct {
    shared_word put;   /* batches ever */
    shared_word taken;
    void       *objects[XMALLOC_BATCHES][XMALLOC_BATCH];
} queue;

static void
xmalloc_free_job(void *batches)
{
    peer     p = peer_prepare(&stock_xmalloc);
    uint64_t at = queue.taken.value;
    uint64_t end = at + *(unsigned *)batches;
    unsigned i;

    for (; at < end; at++) {
        wait_until(&queue.put, at + 1);
        for (i = 0; i < XMALLOC_BATCH; i++)
            peer_free(p, queue.objects[at % XMALLOC_BATCHES][i], 0);
        store_release(&queue.taken, at + 1);
    }
}

/* 8 or 12 bytes times a power of two, up to 3072; the first word is written. */
static void
xmalloc_alloc(peer p, unsigned batches)
{
    uint64_t at = queue.put.value;
    uint64_t end = at + batches;
    unsigned i;

    for (; at < end; at++) {
        if (at >= XMALLOC_BATCHES)
            wait_until(&queue.taken, at - XMALLOC_BATCHES + 1);
        for (i = 0; i < XMALLOC_BATCH; i++) {
            uint32_t which = random_below(18);
            void    *object = peer_alloc(p, (8u + which % 2 * 4) << which / 2);

            memset(object, 1, 8);
            queue.objects[at % XMALLOC_BATCHES][i] = object;
        }
        store_release(&queue.put, at + 1);
    }
}

static void
run_xmalloc(const row *r)
{
    unsigned batches = scaled(STEPS / 4) / XMALLOC_BATCH;
    peer     p;

    if (PEER_BARE || !second_start(r->name))
        return;
    p = peer_prepare(&stock_xmalloc);
    REPEAT(r, "ns", batches * XMALLOC_BATCH,
           (second_order(xmalloc_free_job, &batches),
            xmalloc_alloc(p, batches), second_wait()));
    second_end();
}

/* --- Hoard's: threadtest, cache-thrash and cache-scratch ------------------ */

/* Berger, McKinley, Blumofe and Wilson, "Hoard: A Scalable Memory Allocator for
 * Multithreaded Applications", ASPLOS 2000,
 * https://doi.org/10.1145/378993.379232. */

/* threadtest: each thread allocates its share of 100,000 objects of 8 bytes and
 * then frees all of them, again and again, and nothing passes between them. */
#define THREADTEST_N      100000u
#define THREADTEST_ROUNDS (STEPS < 1u << 16 ? 1 : STEPS >> 16)

static const stock stock_threadtest = { 8, 8, THREADTEST_N, 16u << 20 };

static void **threadtest_objects;

static void
threadtest_job(crew_member *m)
{
    peer     p = m->p;
    unsigned n = THREADTEST_N / crew.n;
    void   **objects = threadtest_objects + m->index * n;
    unsigned rounds = scaled(THREADTEST_ROUNDS);
    unsigned i;

    while (rounds-- > 0) {
        for (i = 0; i < n; i++) {
            objects[i] = peer_alloc(p, 8);
            memset(objects[i], 1, 8);
        }
        COMPLETE();
        for (i = 0; i < n; i++)
            peer_free(p, objects[i], 8);
        COMPLETE();
    }
}

static void
run_threadtest(const row *r)
{
    if (!crew_start(r, &stock_threadtest))
        return;
    threadtest_objects = own_memory(THREADTEST_N * sizeof(void *));
    crew_repeat(r, threadtest_job,
                THREADTEST_N / r->n * scaled(THREADTEST_ROUNDS));
    crew_end();
}

/* cache-thrash: each thread allocates a small object, writes it often and
 * frees it, again and again.  Where two threads get objects in one cache line
 * at the same time, the allocator causes false sharing, and a write costs many
 * times as much.  cache-scratch: the same, but before it each thread frees an
 * object that another has allocated next to those of its neighbours.  An
 * allocator that hands it to the thread again passes the false sharing on. */
#define CACHE_OBJECTS 4096u /* of each thread in one repeat */
#define CACHE_WRITES  256u  /* into each */

static const stock stock_cache = { 8, 8, 4096, 16u << 20 };

static void *scratch[CREW_MAX];

static void
cache_job(crew_member *m)
{
    peer     p = m->p;
    unsigned objects = scaled(CACHE_OBJECTS);
    unsigned i;

    if (scratch[m->index] != NULL)
        peer_free(p, scratch[m->index], 8);
    while (objects-- > 0) {
        volatile uint32_t *object = peer_alloc(p, 8);

        for (i = 0; i < CACHE_WRITES; i++)
            object[0] += i;
        peer_free(p, (void *)object, 8);
    }
}

static void
run_cache_thrash(const row *r)
{
    if (!crew_start(r, &stock_cache))
        return;
    crew_repeat(r, cache_job, scaled(CACHE_OBJECTS) * CACHE_WRITES);
    crew_end();
}

#define SCRATCH_TRIES 16u

static int
on_one_line(const void *a, const void *b)
{
    return (uintptr_t)a / LINE == (uintptr_t)b / LINE;
}

/* Neighbours for two threads, on one line if the allocator ever gives two
 * objects of one line in a row: which of them do is luck. */
static void
scratch_prepare(peer p, void **spare)
{
    unsigned i;
    unsigned pair = 0;

    for (i = 0; i < SCRATCH_TRIES; i++) {
        spare[i] = peer_alloc(p, 8);
        memset(spare[i], 1, 8);
    }
    for (i = 0; i + 1 < SCRATCH_TRIES; i++)
        if (on_one_line(spare[i], spare[i + 1]))
            pair = i;
    for (i = 0; i < 2; i++) {
        scratch[i] = spare[pair + i];
        spare[pair + i] = NULL;
    }
}

/* Each repeat begins with new objects.  The floor's neighbours would share
 * lines as well, and it is not to look slow. */
static void
run_cache_scratch(const row *r)
{
    void    *spare[SCRATCH_TRIES];
    double   writes = (double)scaled(CACHE_OBJECTS) * CACHE_WRITES;
    unsigned repeat;
    unsigned i;
    peer     p;

    if (PEER_BARE || !crew_start(r, &stock_cache))
        return;
    p = peer_prepare(&stock_cache);
    for (repeat = 0; repeat <= repeats; repeat++) {
        double taken;

        scratch_prepare(p, spare);
        taken = crew_order(cache_job);
        if (repeat > 0)
            emit(r->name, "ns", taken / writes);
        for (i = 0; i < SCRATCH_TRIES; i++)
            if (spare[i] != NULL)
                peer_free(p, spare[i], 8);
    }
    crew_end();
}

/* --- mstress: mixed lifetimes --------------------------------------------- */

/* After Daan Leijen's test-stress of mimalloc, which mimalloc-bench calls
 * mstress, https://github.com/daanx/mimalloc-bench: threads with sizes in
 * powers of two, objects that live for a few steps, for the thread's life or
 * beyond it, objects that change hands, unequal shares of work, and phases
 * each of which ends all threads and begins with new ones. */
#define MSTRESS_STEPS  (STEPS / 128) /* of the smaller share in a phase */
#define MSTRESS_PHASES 16u   /* shares change at each: an even number */
#define MSTRESS_SHARED 1024u /* slots through which objects change hands */

static const stock stock_mstress = { 16, 32768, 4096, 64u << 20 };

static void *mstress_shared[MSTRESS_SHARED];

typedef struct mstress_work {
    crew_member *m;
    unsigned     phase;
    void       **lasting; /* until the phase ends */
    void       **passing; /* most go after a few steps */
} mstress_work;

/* Half of the objects have 16 bytes, and each larger power of two has half as
 * many as the one before; 32 KiB is the largest. */
BENCH_INLINE size_t
mstress_size(uint64_t *state)
{
    return (size_t)16 << __builtin_ctz(random_from(state, 2048) | 2048);
}

static void
mstress_end_phase(peer p, const mstress_work *w, unsigned lasting,
                  unsigned passing)
{
    unsigned i;

    while (lasting > 0)
        peer_free(p, w->lasting[--lasting], 0);
    while (passing > 0)
        peer_free(p, w->passing[--passing], 0);
    for (i = w->phase % 2; i < MSTRESS_SHARED; i += 2) {
        void *object = __atomic_exchange_n(&mstress_shared[i], NULL,
                                           __ATOMIC_ACQ_REL);

        if (object != NULL)
            peer_free(p, object, 0);
    }
}

static void *
mstress_phase(void *arg)
{
    mstress_work *w = arg;
    uint64_t     *state = &w->m->random;
    peer          p = peer_prepare(&stock_mstress);
    unsigned      steps = MSTRESS_STEPS * (1 + (w->phase + w->m->index) % 2);
    unsigned      lasting = 0;
    unsigned      passing = 0;

    while (steps-- > 0) {
        void    *object = peer_alloc(p, mstress_size(state));
        uint32_t dice = random_from(state, 12);

        memset(object, 1, 8);
        if (dice % 2 == 0)
            w->lasting[lasting++] = object;
        else
            w->passing[passing++] = object;
        if (dice < 8 && passing > 0) { /* one in the middle goes */
            void **any = &w->passing[random_from(state, passing)];

            peer_free(p, *any, 0);
            *any = w->passing[--passing];
        }
        if (dice % 4 == 3 && passing > 0) { /* one changes hands */
            void **any = &w->passing[random_from(state, passing)];
            void **slot = &mstress_shared[random_from(state, MSTRESS_SHARED)];

            *any = __atomic_exchange_n(slot, *any, __ATOMIC_ACQ_REL);
            if (*any == NULL)
                *any = w->passing[--passing];
        }
    }
    mstress_end_phase(p, w, lasting, passing);
    return NULL;
}

static void
mstress_job(crew_member *m)
{
    static void **lists[CREW_MAX];
    unsigned      most = 2 * MSTRESS_STEPS;
    mstress_work  w = { m, 0, NULL, NULL };

    if (lists[m->index] == NULL)
        lists[m->index] = own_memory(2 * most * sizeof(void *));
    w.lasting = lists[m->index];
    w.passing = w.lasting + most;
    for (; w.phase < scaled(MSTRESS_PHASES); w.phase++)
        in_fresh_thread(mstress_phase, &w);
}

static void
run_mstress(const row *r)
{
    if (PEER_BARE || !crew_start(r, &stock_mstress))
        return;
    crew_repeat(r, mstress_job,
                scaled(MSTRESS_PHASES) * MSTRESS_STEPS / 2 * 3);
    crew_end();
}

#define ROWS_CLASSIC \
    { "larson_2", run_larson, 2 }, \
    { "larson_8", run_larson, 8 }, \
    { "xmalloc", run_xmalloc, 2 }, \
    { "threadtest", run_threadtest, 2 }, \
    { "cache_thrash", run_cache_thrash, 2 }, \
    { "cache_scratch", run_cache_scratch, 2 }, \
    { "mstress", run_mstress, 2 }

#endif /* BENCH_ROWS_CLASSIC_H */
