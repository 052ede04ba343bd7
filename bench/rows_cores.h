/* Rows of two cores: pipelines, and threads beside each other, also more
 * threads than cores. */
#ifndef BENCH_ROWS_CORES_H
#define BENCH_ROWS_CORES_H

/* --- from one core to another --------------------------------------------- */

#define PINGS 20000u

static shared_word ping;

static void
answer_pings(void *unused)
{
    uint64_t i;

    (void)unused;
    for (i = 1; i <= PINGS; i++) {
        while (load_acquire(&ping) != 2 * i - 1)
            ;
        store_release(&ping, 2 * i);
    }
}

static void
send_pings(void)
{
    uint64_t i;

    store_release(&ping, 0);
    second_order(answer_pings, NULL);
    for (i = 1; i <= PINGS; i++) {
        store_release(&ping, 2 * i - 1);
        while (load_acquire(&ping) != 2 * i)
            ;
    }
    second_wait();
}

static void
run_pingpong(const row *r)
{
    if (!second_start(r->name))
        return;
    REPEAT(r, "ns", 2 * PINGS, send_pings());
    second_end();
}

/* A ring with one writer and one reader.  Each keeps the other's index as it
 * saw it last and looks again only when the ring seems full or empty. */
#define RING 1024u

static struct {
    shared_word head;       /* pointers ever written */
    shared_word tail;       /* pointers ever read */
    _Alignas(LINE) uint64_t seen_tail; /* writer only */
    _Alignas(LINE) uint64_t seen_head; /* reader only */
    _Alignas(LINE) void    *slots[RING];
} ring;

/* What is done with the objects on their way; a set of bits. */
enum {
    PLAIN = 0,
    TOUCH = 1, /* the producer writes the first line, the consumer reads it */
    AHEAD = 2  /* the consumer prefetches the first lines of the whole burst */
};

typedef struct pipeline {
    unsigned n;      /* objects in a burst */
    unsigned how;
    unsigned passed; /* objects in one repeat */
    char    *bare;   /* what a bare ring passes: twice as many as it holds */
} pipeline;

#define BARE_BYTES (2 * RING * 256)

/* The sum makes the compiler read what it has been told to read. */
BENCH_INLINE void
look_at(void **taken, unsigned n, unsigned how)
{
    uint64_t sum = 0;
    unsigned i;

    if (how & AHEAD)
        for (i = 0; i < n; i++)
            __builtin_prefetch(taken[i]);
    if (how & TOUCH)
        for (i = 0; i < n; i++)
            sum += *(const uint64_t *)taken[i];
    USE(sum);
}

BENCH_INLINE void
consume(peer p, const pipeline *w, unsigned n)
{
    uint64_t at = ring.tail.value;
    uint64_t end = at + w->passed;
    unsigned how = w->how;
    unsigned i;

    for (; at != end; at += n) {
        void **slots = &ring.slots[at & (RING - 1)];
        void  *taken[256];

        if (ring.seen_head < at + n) {
            wait_until(&ring.head, at + n);
            ring.seen_head = load_acquire(&ring.head);
        }
        for (i = 0; i < n; i++)
            taken[i] = slots[i];
        store_release(&ring.tail, at + n);
        USE(taken);
        if (how != PLAIN)
            look_at(taken, n, how);
        if (PEER_BARE)
            continue;
        if (n == 1)
            peer_free(p, taken[0], 256);
        else
            peer_free_bulk(p, taken, n, 256);
    }
}

/* Objects for the n slots of the ring that begin with number at. */
BENCH_INLINE void
make_burst(peer p, const pipeline *w, uint64_t at, unsigned n)
{
    unsigned how = w->how;
    unsigned i;

    if (PEER_BARE)
        for (i = 0; i < n && how != PLAIN; i++)
            burst[i] = w->bare + (at + i) * 256 % BARE_BYTES;
    else if (n == 1)
        burst[0] = peer_alloc(p, 256);
    else if (peer_alloc_bulk(p, 256, burst, n) != 0)
        abort();
    USE(burst);
    if (how & TOUCH)
        for (i = 0; i < n; i++)
            memset(burst[i], 1, LINE);
}

BENCH_INLINE void
produce(peer p, const pipeline *w, unsigned n)
{
    uint64_t at = ring.head.value;
    uint64_t end = at + w->passed;
    unsigned i;

    for (; at != end; at += n) {
        void **slots = &ring.slots[at & (RING - 1)];

        make_burst(p, w, at, n);
        if (at + n - ring.seen_tail > RING) {
            wait_until(&ring.tail, at + n - RING);
            ring.seen_tail = load_acquire(&ring.tail);
        }
        for (i = 0; i < n; i++)
            slots[i] = burst[i];
        store_release(&ring.head, at + n);
    }
}

/* A burst of one is a call for one object.  Of other bursts the compiler does
 * not know the length, as in a program that takes what has arrived. */
static void
consume_job(void *arg)
{
    const pipeline *w = arg;
    peer            p = peer_prepare(&stock_256);
    unsigned        n = w->n;

    HIDE(n);
    if (n == 1)
        consume(p, w, 1);
    else
        consume(p, w, n);
}

static void
produce_job(peer p, const pipeline *w)
{
    unsigned n = w->n;

    HIDE(n);
    if (n == 1)
        produce(p, w, 1);
    else
        produce(p, w, n);
}

static double
pipeline_ns(peer p, pipeline *w)
{
    double start = now_ns();

    second_order(consume_job, w);
    produce_job(p, w);
    second_wait();
    return (now_ns() - start) / w->passed;
}

/* Who needs this long for an object, mostly with locks, has shorter repeats. */
#define PIPELINE_SLOW 50 /* nanoseconds */

static void
pipeline_repeats(const row *r, unsigned how)
{
    pipeline w = { r->n, how, STEPS / 16, NULL };
    peer     p = peer_prepare(&stock_256);
    unsigned repeat;

    if (PEER_BARE)
        w.bare = own_memory(BARE_BYTES);
    if (!second_start(r->name))
        return;
    if (pipeline_ns(p, &w) < PIPELINE_SLOW)
        w.passed = scaled(STEPS);
    for (repeat = 0; repeat < repeats; repeat++)
        emit(r->name, "ns", pipeline_ns(p, &w));
    second_end();
}

static void
run_pipeline(const row *r)
{
    pipeline_repeats(r, PLAIN);
}

static void
run_pipeline_ahead(const row *r)
{
    pipeline_repeats(r, AHEAD);
}

static void
run_pipeline_touch(const row *r)
{
    pipeline_repeats(r, TOUCH);
}

static void
run_pipeline_prefetch(const row *r)
{
    pipeline_repeats(r, TOUCH | AHEAD);
}

/* --- two threads ---------------------------------------------------------- */

/* How much more two threads do than one, in the same process and run. */
static void
speed_up(const row *r, void (*job)(void *arg), void *mine, void *its)
{
    unsigned repeat;

    if (!second_start(r->name))
        return;
    second_order(job, its); /* its cache is made and filled */
    second_wait();
    for (repeat = 0; repeat <= repeats; repeat++) {
        double start = now_ns();
        double one;
        double two;

        job(mine);
        one = now_ns() - start;
        start = now_ns();
        second_order(job, its);
        job(mine);
        second_wait();
        two = now_ns() - start;
        if (repeat > 0)
            emit(r->name, "times", 2 * one / two);
    }
    second_end();
}

/* What the machine allows: additions in registers only.  Two processors that
 * are two threads of one core do less than twice the work of one. */
static void
adds_job(void *unused)
{
    uint64_t sums[4] = { 0, 0, 0, 0 };
    unsigned adds;

    (void)unused;
    for (adds = scaled(16 * STEPS); adds > 0; adds -= 4) {
        sums[0]++;
        sums[1]++;
        sums[2]++;
        sums[3]++;
        __asm__ volatile("" : "+r"(sums[0]), "+r"(sums[1]), "+r"(sums[2]),
                              "+r"(sums[3]));
    }
}

/* In the floor's column is enough. */
static void
run_threads_adds(const row *r)
{
    if (PEER_BARE)
        speed_up(r, adds_job, NULL, NULL);
}

static void
pair_job(void *unused)
{
    (void)unused;
    pair_steps(FROM_HEAP(peer_prepare(&stock_256), 256, SIZED));
}

static void
run_threads_pair(const row *r)
{
    (void)peer_prepare(&stock_256);
    speed_up(r, pair_job, NULL, NULL);
}

/* A thread prepares its own work, with its own objects, when it first comes. */
static void
mixed_job(void *arg)
{
    mixed_work *w = arg;

    if (w->steps == NULL)
        *w = mixed_prepare();
    mixed_steps(*w, 0 /* sized */, 0 /* touch */);
}

static void
run_threads_mixed(const row *r)
{
    static mixed_work mine;
    static mixed_work its;

    mixed_job(&mine);
    speed_up(r, mixed_job, &mine, &its);
}

/* Different classes: one thread begins with the size that the other ends with,
 * so that each has the same to do, alone and beside the other. */
static const stock stock_classes = { 256, 1024, 4096, 16u << 20 };

static void
classes_job(void *sizes)
{
    const size_t *size = sizes;
    peer          p = peer_prepare(&stock_classes);

    pair_steps(FROM_HEAP(p, size[0], SIZED));
    pair_steps(FROM_HEAP(p, size[1], SIZED));
}

static void
run_threads_classes(const row *r)
{
    static size_t mine[2] = { 256, 1024 };
    static size_t its[2] = { 1024, 256 };

    (void)peer_prepare(&stock_classes);
    speed_up(r, classes_job, mine, its);
}

/* --- eight threads on two processors -------------------------------------- */

#define CREW_STEPS (STEPS / 4) /* of each thread in a repeat, to be scaled() */

static const stock stock_crew = { MIXED_MIN, MIXED_MAX, 4096, 128u << 20 };

/* The live objects of one thread.  Each step replaces any one by one of another
 * size, from smallest to largest. */
typedef struct crowd {
    mixed_slot *slots;
    unsigned    n;
    uint32_t    smallest;
    uint32_t    largest;
    unsigned    steps;
} crowd;

static crowd crowds[CREW_MAX]; /* of the members of a crew */

static void
crowds_prepare(unsigned n, uint32_t smallest, uint32_t largest, unsigned steps)
{
    unsigned i;

    for (i = 0; i < CREW_MAX; i++) {
        crowds[i].slots = own_memory(n * sizeof(mixed_slot));
        crowds[i].n = n;
        crowds[i].smallest = smallest;
        crowds[i].largest = largest;
        crowds[i].steps = steps;
    }
}

BENCH_INLINE void
crowd_steps(peer p, crowd c, uint64_t *state, int touch)
{
    uint32_t range = c.largest - c.smallest + 1;
    unsigned i;

    for (i = 0; i < c.steps; i++) {
        mixed_slot *slot = &c.slots[random_from(state, c.n)];

        if (slot->object != NULL)
            peer_free(p, slot->object, slot->size);
        slot->size = c.smallest + random_from(state, range);
        slot->object = peer_alloc(p, slot->size);
        if (touch)
            memset(slot->object, 1, 8);
        USE(slot->object);
    }
}

static void
crowd_job(crew_member *m)
{
    crowd_steps(m->p, crowds[m->index], &m->random, 0 /* touch */);
}

static void
crowd_alone_job(crew_member *m)
{
    if (m->index == 0)
        crowd_job(m);
}

/* How much more all threads do than one of them alone. */
static void
run_threads_mixed_n(const row *r)
{
    unsigned repeat;

    crowds_prepare(MIXED_N / r->n, MIXED_MIN, MIXED_MAX, scaled(CREW_STEPS));
    if (!crew_start(r, &stock_crew))
        return;
    for (repeat = 0; repeat <= repeats; repeat++) {
        double all = crew_order(crowd_job);
        double one = crew_order(crowd_alone_job);

        if (repeat > 0)
            emit(r->name, "times", r->n * one / all);
    }
    crew_end();
}

/* Every object passes through a slot that all threads see, and is freed by the
 * thread that puts the next one there. */
#define SHARED_N 4096u

static void *shared_slots[SHARED_N];

static void
shared_job(crew_member *m)
{
    unsigned steps = scaled(CREW_STEPS);
    unsigned i;

    for (i = 0; i < steps; i++) {
        void   **slot = &shared_slots[random_from(&m->random, SHARED_N)];
        uint32_t more = random_from(&m->random, MIXED_MAX - MIXED_MIN + 1);
        void    *object = peer_alloc(m->p, MIXED_MIN + more);

        memset(object, 1, 8);
        object = __atomic_exchange_n(slot, object, __ATOMIC_ACQ_REL);
        if (object != NULL)
            peer_free(m->p, object, 0); /* nobody knows the size */
    }
}

/* The floor needs sizes, and as many frees as allocations in each thread. */
static void
run_threads_shared_n(const row *r)
{
    if (PEER_BARE || !crew_start(r, &stock_crew))
        return;
    crew_repeat(r, shared_job, scaled(CREW_STEPS));
    crew_end();
}

#define ROWS_CORES \
    { "pingpong", run_pingpong, 1 }, \
    { "pipeline_1", run_pipeline, 1 }, \
    { "pipeline_4", run_pipeline, 4 }, \
    { "pipeline_8", run_pipeline, 8 }, \
    { "pipeline_16", run_pipeline, 16 }, \
    { "pipeline_32", run_pipeline, 32 }, \
    { "pipeline_64", run_pipeline, 64 }, \
    { "pipeline_128", run_pipeline, 128 }, \
    { "pipeline_256", run_pipeline, 256 }, \
    { "pipeline_ahead_32", run_pipeline_ahead, 32 }, \
    { "pipeline_touch_1", run_pipeline_touch, 1 }, \
    { "pipeline_touch_32", run_pipeline_touch, 32 }, \
    { "pipeline_touch_256", run_pipeline_touch, 256 }, \
    { "pipeline_prefetch_32", run_pipeline_prefetch, 32 }, \
    { "pipeline_prefetch_256", run_pipeline_prefetch, 256 }, \
    { "threads_adds", run_threads_adds, 2 }, \
    { "threads_pair", run_threads_pair, 2 }, \
    { "threads_classes", run_threads_classes, 2 }, \
    { "threads_mixed", run_threads_mixed, 2 }, \
    { "threads_8_mixed", run_threads_mixed_n, 8 }, \
    { "threads_8_shared", run_threads_shared_n, 8 }

#endif /* BENCH_ROWS_CORES_H */
