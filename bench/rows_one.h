/* Rows of one size, from heaps and from pools: one object, bulks, and many
 * outstanding. */
#ifndef BENCH_ROWS_ONE_H
#define BENCH_ROWS_ONE_H

/* --- one object at a time -------------------------------------------------- */

BENCH_INLINE void
pair_steps(source from)
{
    unsigned i;

    for (i = 0; i < STEPS; i++) {
        void *object = take(from);

        USE(object);
        give_back(from, object);
        COMPLETE();
    }
}

static const stock stock_256 = { 256, 256, 4096, 16u << 20 };

static void
run_pair_sized(const row *r)
{
    source from = FROM_HEAP(peer_prepare(&stock_256), 256, SIZED);

    REPEAT(r, "ns", STEPS, pair_steps(from));
}

static void
run_pair_unsized(const row *r)
{
    source from = FROM_HEAP(peer_prepare(&stock_256), 256, UNSIZED);

    REPEAT(r, "ns", STEPS, pair_steps(from));
}

/* The compiler does not know the size and has to compute the class. */
static void
run_pair_variable(const row *r)
{
    source from = FROM_HEAP(peer_prepare(&stock_256), 256, SIZED);

    HIDE(from.size);
    REPEAT(r, "ns", STEPS, pair_steps(from));
}

static void
run_pool_pair(const row *r)
{
    source from = FROM_POOL(peer_pool_prepare(&stock_256));

    REPEAT(r, "ns", STEPS, pair_steps(from));
}

/* --- bulks ----------------------------------------------------------------- */

static void *burst[256];

/* The caller's array lies elsewhere in its page at each repeat: a load that has the
 * low 12 address bits of an earlier store waits for it, and whom that befalls would
 * be a matter of luck. */
static void *bursts[256 + 4096 / sizeof(void *)]
    __attribute__((aligned(4096)));

BENCH_INLINE void
bulk_steps(source from, unsigned n, unsigned repeat)
{
    void   **burst = bursts + repeat * (9 * 64 / sizeof(void *)) % 512;
    unsigned i;

    for (i = 0; i < STEPS; i += n) {
        if (take_bulk(from, burst, n) != 0)
            abort();
        COMPLETE();
        give_back_bulk(from, burst, n);
        COMPLETE();
    }
}

static void
run_bulk(const row *r)
{
    source   from = FROM_HEAP(peer_prepare(&stock_256), 256, SIZED);
    unsigned n = r->n;

    HIDE(n);
    REPEAT(r, "ns", STEPS, bulk_steps(from, n, repeat_));
}

static void
run_pool_bulk(const row *r)
{
    source   from = FROM_POOL(peer_pool_prepare(&stock_256));
    unsigned n = r->n;

    HIDE(n);
    REPEAT(r, "ns", STEPS, bulk_steps(from, n, repeat_));
}

/* --- many outstanding ------------------------------------------------------ */

static void   **live;     /* the objects that are outstanding */
static uint32_t *choice;  /* which of them to replace, STEPS entries */

BENCH_INLINE void
fill_live(source from, unsigned n)
{
    unsigned i;

    live = own_memory(n * sizeof *live);
    for (i = 0; i < n; i++)
        live[i] = take(from);
}

static void
fill_choice(unsigned n)
{
    unsigned i;

    choice = own_memory(STEPS * sizeof *choice);
    for (i = 0; i < STEPS; i++)
        choice[i] = random_below(n);
}

/* Take n, then give all back, the last one first. */
BENCH_INLINE void
lifo_steps(source from, unsigned n)
{
    unsigned done;
    unsigned i;

    for (done = 0; done < STEPS; done += n) {
        for (i = 0; i < n; i++) {
            live[i] = take(from);
            USE(live[i]);
        }
        for (i = n; i-- > 0;) {
            give_back(from, live[i]);
            COMPLETE();
        }
    }
}

/* Take one, then give back the oldest. */
BENCH_INLINE void
fifo_steps(source from, unsigned n)
{
    unsigned i;

    for (i = 0; i < STEPS; i++) {
        void **oldest = &live[i & (n - 1)];
        void  *object = take(from);

        USE(object);
        give_back(from, *oldest);
        *oldest = object;
        COMPLETE();
    }
}

/* Take one, then give back any of those outstanding. */
BENCH_INLINE void
random_steps(source from)
{
    unsigned i;

    for (i = 0; i < STEPS; i++) {
        void **any = &live[choice[i]];
        void  *object = take(from);

        USE(object);
        give_back(from, *any);
        *any = object;
        COMPLETE();
    }
}

static stock
stock_outstanding(size_t size, unsigned n)
{
    stock s;

    s.smallest = size;
    s.largest = size;
    s.each = n + 4096;
    s.bytes = (n + 8192) * size / 8 * 9 + (8u << 20); /* ends of slabs */
    return s;
}

static peer
prepare_outstanding(size_t size, unsigned n)
{
    stock s = stock_outstanding(size, n);

    return peer_prepare(&s);
}

static peer_pool
pool_outstanding(size_t size, unsigned n)
{
    stock s = stock_outstanding(size, n);

    return peer_pool_prepare(&s);
}

BENCH_INLINE void
lifo_row(const row *r, source from)
{
    live = own_memory(r->n * sizeof *live);
    REPEAT(r, "ns", r->n > STEPS ? r->n : STEPS, lifo_steps(from, r->n));
}

static void
run_lifo(const row *r)
{
    lifo_row(r, FROM_HEAP(prepare_outstanding(64, r->n), 64, UNSIZED));
}

static void
run_pool_lifo(const row *r)
{
    lifo_row(r, FROM_POOL(pool_outstanding(64, r->n)));
}

BENCH_INLINE void
fifo_row(const row *r, source from)
{
    fill_live(from, r->n);
    REPEAT(r, "ns", STEPS, fifo_steps(from, r->n));
}

static void
run_fifo(const row *r)
{
    fifo_row(r, FROM_HEAP(prepare_outstanding(64, r->n), 64, UNSIZED));
}

static void
run_fifo_sized(const row *r)
{
    fifo_row(r, FROM_HEAP(prepare_outstanding(64, r->n), 64, SIZED));
}

static void
run_pool_fifo(const row *r)
{
    fifo_row(r, FROM_POOL(pool_outstanding(64, r->n)));
}

BENCH_INLINE void
random_row(const row *r, source from)
{
    fill_live(from, r->n);
    fill_choice(r->n);
    REPEAT(r, "ns", STEPS, random_steps(from));
}

static void
run_random(const row *r)
{
    random_row(r, FROM_HEAP(prepare_outstanding(64, r->n), 64, UNSIZED));
}

static void
run_random_sized(const row *r)
{
    random_row(r, FROM_HEAP(prepare_outstanding(64, r->n), 64, SIZED));
}

static void
run_pool_random(const row *r)
{
    random_row(r, FROM_POOL(pool_outstanding(64, r->n)));
}

static void
run_random_2k(const row *r)
{
    random_row(r, FROM_HEAP(prepare_outstanding(2048, r->n), 2048, UNSIZED));
}

static void
run_random_2k_sized(const row *r)
{
    random_row(r, FROM_HEAP(prepare_outstanding(2048, r->n), 2048, SIZED));
}

/* One row for each number of objects. */
#define BULKS(name_, run_) \
    { name_ "1", run_, 1 }, \
    { name_ "2", run_, 2 }, \
    { name_ "4", run_, 4 }, \
    { name_ "8", run_, 8 }, \
    { name_ "16", run_, 16 }, \
    { name_ "32", run_, 32 }, \
    { name_ "64", run_, 64 }, \
    { name_ "128", run_, 128 }, \
    { name_ "256", run_, 256 }

#define OUTSTANDING(name_, run_) \
    { name_ "1", run_, 1 }, \
    { name_ "8", run_, 8 }, \
    { name_ "64", run_, 64 }, \
    { name_ "512", run_, 512 }, \
    { name_ "4096", run_, 4096 }, \
    { name_ "32768", run_, 32768 }, \
    { name_ "262144", run_, 262144 }

#define ROWS_ONE \
    { "pair_sized", run_pair_sized, 1 }, \
    { "pair_unsized", run_pair_unsized, 1 }, \
    { "pair_variable", run_pair_variable, 1 }, \
    { "pool_pair", run_pool_pair, 1 }, \
    BULKS("bulk_", run_bulk), \
    BULKS("pool_bulk_", run_pool_bulk), \
    OUTSTANDING("lifo_", run_lifo), \
    OUTSTANDING("fifo_", run_fifo), \
    { "fifo_sized_64", run_fifo_sized, 64 }, \
    { "fifo_sized_4096", run_fifo_sized, 4096 }, \
    { "fifo_sized_262144", run_fifo_sized, 262144 }, \
    OUTSTANDING("random_", run_random), \
    { "random_sized_4096", run_random_sized, 4096 }, \
    { "random_sized_262144", run_random_sized, 262144 }, \
    { "random_2k_262144", run_random_2k, 262144 }, \
    { "random_2k_sized_262144", run_random_2k_sized, 262144 }, \
    { "pool_lifo_4096", run_pool_lifo, 4096 }, \
    { "pool_lifo_262144", run_pool_lifo, 262144 }, \
    { "pool_fifo_4096", run_pool_fifo, 4096 }, \
    { "pool_fifo_262144", run_pool_fifo, 262144 }, \
    { "pool_random_4096", run_pool_random, 4096 }, \
    { "pool_random_262144", run_pool_random, 262144 }

#endif /* BENCH_ROWS_ONE_H */
