/* Rows of typed pools. */
#ifndef BENCH_ROWS_POOL_H
#define BENCH_ROWS_POOL_H

/* --- pools ----------------------------------------------------------------- */

#if PEER_POOL
BENCH_INLINE void
pool_pair_steps(peer_pool pool)
{
    unsigned i;

    for (i = 0; i < STEPS; i++) {
        void *object = peer_pool_get(pool);

        USE(object);
        peer_pool_put(pool, object);
        COMPLETE();
    }
}

static void
run_pool_pair(const row *r)
{
    peer_pool pool = peer_pool_prepare(&stock_256);

    REPEAT(r, "ns", STEPS, pool_pair_steps(pool));
}

BENCH_INLINE void
pool_bulk_steps(peer_pool pool, unsigned n, unsigned repeat)
{
    void   **burst = bursts + repeat * (9 * 64 / sizeof(void *)) % 512;
    unsigned i;

    for (i = 0; i < STEPS; i += n) {
        if (peer_pool_get_bulk(pool, burst, n) != 0)
            abort();
        COMPLETE();
        peer_pool_put_bulk(pool, burst, n);
        COMPLETE();
    }
}

static void
run_pool_bulk(const row *r)
{
    peer_pool pool = peer_pool_prepare(&stock_256);
    unsigned  n = r->n;

    HIDE(n);
    REPEAT(r, "ns", STEPS, pool_bulk_steps(pool, n, repeat_));
}
#else
#  define run_pool_pair NULL
#  define run_pool_bulk NULL
#endif

#define ROWS_POOL \
    { "pool_pair", run_pool_pair, 1 }, \
    BULKS("pool_bulk_", run_pool_bulk)

#endif /* BENCH_ROWS_POOL_H */
