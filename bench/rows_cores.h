/* Rows of two cores: pipelines, and threads beside each other. */
#ifndef BENCH_ROWS_CORES_H
#define BENCH_ROWS_CORES_H

/* --- from one core to another ---------------------------------------------- */

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

/* A ring with one writer and one reader.  Each keeps the other's index as it saw
 * it last and looks again only when the ring seems full or empty. */
#define RING 1024u

static struct {
    shared_word head;       /* pointers ever written */
    shared_word tail;       /* pointers ever read */
    _Alignas(LINE) uint64_t seen_tail; /* writer only */
    _Alignas(LINE) uint64_t seen_head; /* reader only */
    _Alignas(LINE) void    *slots[RING];
} ring;

BENCH_INLINE void
consume(peer p, unsigned n)
{
    uint64_t at = ring.tail.value;
    uint64_t end = at + STEPS;
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
        if (PEER_BARE)
            continue;
        if (n == 1)
            peer_free(p, taken[0], 256);
        else
            peer_free_bulk(p, taken, n, 256);
    }
}

BENCH_INLINE void
produce(peer p, unsigned n)
{
    uint64_t at = ring.head.value;
    uint64_t end = at + STEPS;
    unsigned i;

    for (; at != end; at += n) {
        void **slots = &ring.slots[at & (RING - 1)];

        if (n == 1 && !PEER_BARE)
            burst[0] = peer_alloc(p, 256);
        else if (!PEER_BARE && peer_alloc_bulk(p, 256, burst, n) != 0)
            abort();
        USE(burst);
        if (at + n - ring.seen_tail > RING) {
            wait_until(&ring.tail, at + n - RING);
            ring.seen_tail = load_acquire(&ring.tail);
        }
        for (i = 0; i < n; i++)
            slots[i] = burst[i];
        store_release(&ring.head, at + n);
    }
}

static void
consume_32(void *unused)
{
    (void)unused;
    consume(peer_prepare(&stock_256), 32);
}

static void
consume_1(void *unused)
{
    (void)unused;
    consume(peer_prepare(&stock_256), 1);
}

static void
run_pipeline(const row *r)
{
    peer p = peer_prepare(&stock_256);

    if (!second_start(r->name))
        return;
    if (r->n == 32)
        REPEAT(r, "ns", STEPS, (second_order(consume_32, NULL),
                                produce(p, 32), second_wait()));
    else
        REPEAT(r, "ns", STEPS, (second_order(consume_1, NULL),
                                produce(p, 1), second_wait()));
    second_end();
}

/* --- two threads ----------------------------------------------------------- */

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

static void
pair_job(void *unused)
{
    (void)unused;
    pair_steps(peer_prepare(&stock_256), 256, SIZED);
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

#define ROWS_CORES \
    { "pingpong", run_pingpong, 1 }, \
    { "pipeline_32", run_pipeline, 32 }, \
    { "pipeline_1", run_pipeline, 1 }, \
    { "threads_pair", run_threads_pair, 2 }, \
    { "threads_mixed", run_threads_mixed, 2 }

#endif /* BENCH_ROWS_CORES_H */
