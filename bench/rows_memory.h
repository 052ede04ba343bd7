/* Rows of many objects: a million at once, and the memory they take. */
#ifndef BENCH_ROWS_MEMORY_H
#define BENCH_ROWS_MEMORY_H

/* --- a million at once ----------------------------------------------------- */

BENCH_INLINE void
million(const row *r, size_t size)
{
    peer     p = prepare_outstanding(size, MANY);
    char     name[64];
    unsigned repeat;
    unsigned i;

    live = own_memory(MANY * sizeof *live);
    for (repeat = 0; repeat <= repeats; repeat++) {
        double start = now_ns();
        double middle;
        double end;

        for (i = 0; i < MANY; i++) {
            live[i] = peer_alloc(p, size);
            USE(live[i]);
        }
        middle = now_ns();
        for (i = 0; i < MANY; i++) {
            peer_free(p, live[i], size);
            COMPLETE();
        }
        end = now_ns();
        if (repeat == 0)
            continue;
        snprintf(name, sizeof name, "%s_alloc", r->name);
        emit(name, "ms", (middle - start) / 1e6);
        snprintf(name, sizeof name, "%s_free", r->name);
        emit(name, "ms", (end - middle) / 1e6);
    }
}

static void
run_million_64(const row *r)
{
    million(r, 64);
}

static void
run_million_1k(const row *r)
{
    million(r, 1024);
}

/* --- memory ---------------------------------------------------------------- */

/* A heap grows by itself here: nothing is reserved.  Both ends of each object are
 * written, and none is larger than a page, so all of it is resident. */
static void
run_memory(const row *r)
{
    static const stock nothing_ready = { MIXED_MIN, MIXED_MAX, 1, 0 };
    peer       p;
    uint32_t  *sizes;
    size_t     requested = 0;
    size_t     before;
    memory_use use;
    unsigned   i;

    (void)r;
    if (PEER_BARE)
        return;
    live = own_memory(MANY * sizeof *live);
    sizes = own_memory(MANY * sizeof *sizes);
    for (i = 0; i < MANY; i++) {
        sizes[i] = MIXED_MIN + random_below(MIXED_MAX - MIXED_MIN + 1);
        requested += sizes[i];
    }
    before = resident_bytes();
    p = peer_prepare(&nothing_ready);
    for (i = 0; i < MANY; i++) {
        char *object = peer_alloc(p, sizes[i]);

        object[0] = 1;
        object[sizes[i] - 1] = 1;
        live[i] = object;
    }
    emit("memory_resident", "x",
         (double)(resident_bytes() - before) / (double)requested);
    use = peer_memory();
    if (use.obtained == 0)
        return;
    emit("memory_in_use", "x", (double)use.in_use / (double)requested);
    emit("memory_obtained", "x", (double)use.obtained / (double)requested);
}

#define ROWS_MEMORY \
    { "million_64", run_million_64, MANY }, \
    { "million_1k", run_million_1k, MANY }, \
    { "memory", run_memory, MANY }

#endif /* BENCH_ROWS_MEMORY_H */
