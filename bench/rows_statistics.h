/* Rows of statistics: what reading them costs, and what it costs the others. */
#ifndef BENCH_ROWS_STATISTICS_H
#define BENCH_ROWS_STATISTICS_H

#if PEER_STATISTICS

#define READS         256u
#define READ_EVERY_NS 100000L

static void
read_statistics(void)
{
    unsigned i;

    for (i = 0; i < READS; i++) {
        size_t bytes = peer_statistics();

        USE(bytes);
    }
}

/* The mixed work's objects are there to be counted. */
static void
run_stats_read(const row *r)
{
    mixed_work w = mixed_prepare();

    mixed_steps(w, 0 /* sized */, 0 /* touch */);
    if (peer_statistics() != 0)
        REPEAT(r, "us", READS * 1e3, read_statistics());
}

static shared_word observed_enough;

static void
observe(void *unused)
{
    struct timespec next;

    (void)unused;
    clock_gettime(CLOCK_MONOTONIC, &next);
    while (load_acquire(&observed_enough) == 0) {
        size_t bytes = peer_statistics();

        USE(bytes);
        next.tv_nsec += READ_EVERY_NS;
        if (next.tv_nsec >= 1000000000L) {
            next.tv_nsec -= 1000000000L;
            next.tv_sec++;
        }
        (void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
    }
}

static void
run_mixed_observed(const row *r)
{
    mixed_work w = mixed_prepare();

    if (peer_statistics() == 0 || !second_start(r->name))
        return;
    second_order(observe, NULL);
    REPEAT(r, "ns", STEPS, mixed_steps(w, 0 /* sized */, 0 /* touch */));
    store_release(&observed_enough, 1);
    second_wait();
    second_end();
}

#else
#  define run_stats_read     NULL
#  define run_mixed_observed NULL
#endif

#define ROWS_STATISTICS \
    { "mixed_observed", run_mixed_observed, MIXED_N }, \
    { "stats_read", run_stats_read, MIXED_N }

#endif /* BENCH_ROWS_STATISTICS_H */
