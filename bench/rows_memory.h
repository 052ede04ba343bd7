/* Rows of memory. */
#ifndef BENCH_ROWS_MEMORY_H
#define BENCH_ROWS_MEMORY_H

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
    { "memory", run_memory, MANY }

#endif /* BENCH_ROWS_MEMORY_H */
