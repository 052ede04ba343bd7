/* Rows of a million objects at once, freed in three orders, and of how the time
 * for each depends on how many there are.
 *
 * The work is that by which Linux judged its percpu allocator: 10^6 objects of
 * one size, freed in order, every second one first, and in reverse; and objects
 * of 4 bytes aligned to 8, which is what every allocator here gives.  Dennis
 * Zhou, "percpu: replace area map allocator with bitmap", Linux commit
 * 40064aeca35c, 2017. */
#ifndef BENCH_ROWS_PERCPU_H
#define BENCH_ROWS_PERCPU_H

typedef enum free_order { IN_ORDER, ALTERNATING, REVERSE, FREE_ORDERS }
    free_order;

BENCH_INLINE void
alloc_many(peer p, size_t size, unsigned n)
{
    unsigned i;

    for (i = 0; i < n; i++) {
        live[i] = peer_alloc(p, size);
        USE(live[i]);
    }
}

/* Every step-th from first on. */
BENCH_INLINE void
free_many(peer p, size_t size, unsigned n, unsigned first, unsigned step)
{
    unsigned i;

    for (i = first; i < n; i += step) {
        peer_free(p, live[i], size);
        COMPLETE();
    }
}

BENCH_INLINE void
free_in(free_order order, peer p, size_t size, unsigned n)
{
    unsigned i;

    if (order == IN_ORDER) {
        free_many(p, size, n, 0, 1);
    } else if (order == ALTERNATING) {
        free_many(p, size, n, 0, 2);
        free_many(p, size, n, 1, 2);
    } else {
        for (i = n; i-- > 0;) {
            peer_free(p, live[i], size);
            COMPLETE();
        }
    }
}

/* --- a million at once ---------------------------------------------------- */

static void
emit_percpu(const row *r, const char *what, double ms)
{
    char name[64];

    snprintf(name, sizeof name, "%s_%s", r->name, what);
    emit(name, "ms", ms);
}

/* Few repeats are for a look: then a tenth of the large objects must do, and
 * the times are those of ten times as many.  To allocate takes the mean of
 * three times, one after each order of freeing. */
BENCH_INLINE void
percpu(const row *r, size_t size)
{
    static const char *const names[FREE_ORDERS] = {
        "free", "free_alternating", "free_reverse"
    };
    unsigned   n = repeats < 5 && size > 256 ? MANY / 10 : MANY;
    double     ms = 1e6 * n / MANY; /* in ns, of a million objects */
    peer       p = prepare_outstanding(size, n);
    unsigned   repeat;
    free_order order;

    live = own_memory(n * sizeof *live);
    for (repeat = 0; repeat <= repeats; repeat++) {
        double allocating = 0;

        for (order = IN_ORDER; order < FREE_ORDERS; order++) {
            double start = now_ns();
            double middle;

            alloc_many(p, size, n);
            middle = now_ns();
            allocating += middle - start;
            free_in(order, p, size, n);
            if (repeat > 0)
                emit_percpu(r, names[order], (now_ns() - middle) / ms);
        }
        if (repeat > 0)
            emit_percpu(r, "alloc", allocating / FREE_ORDERS / ms);
    }
}

/* Sizes are constants here, as in most programs. */
static void
run_percpu(const row *r)
{
    switch (r->n) {
    case 4: percpu(r, 4); break;
    case 16: percpu(r, 16); break;
    case 64: percpu(r, 64); break;
    case 128: percpu(r, 128); break;
    default: percpu(r, 1024); break;
    }
}

/* --- from ten thousand to a million --------------------------------------- */

static void
run_percpu_grow(const row *r)
{
    unsigned rounds = MANY / r->n;
    peer     p = prepare_outstanding(4, r->n);
    unsigned i;

    live = own_memory(r->n * sizeof *live);
    REPEAT(r, "ns", MANY, {
        for (i = 0; i < rounds; i++) {
            alloc_many(p, 4, r->n);
            free_many(p, 4, r->n, 0, 1);
        }
    });
}

#define ROWS_PERCPU \
    { "percpu_4", run_percpu, 4 }, \
    { "percpu_16", run_percpu, 16 }, \
    { "percpu_64", run_percpu, 64 }, \
    { "percpu_128", run_percpu, 128 }, \
    { "percpu_1024", run_percpu, 1024 }, \
    { "percpu_grow_10000", run_percpu_grow, 10000 }, \
    { "percpu_grow_100000", run_percpu_grow, 100000 }, \
    { "percpu_grow_1000000", run_percpu_grow, 1000000 }

#endif /* BENCH_ROWS_PERCPU_H */
