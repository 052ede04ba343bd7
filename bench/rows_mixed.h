/* Rows of mixed sizes, and how long one allocation may take. */
#ifndef BENCH_ROWS_MIXED_H
#define BENCH_ROWS_MIXED_H

/* --- mixed sizes ----------------------------------------------------------- */

typedef struct mixed_step {
    uint32_t index; /* of the object that goes */
    uint32_t size;  /* of the object that comes */
} mixed_step;

typedef struct mixed_slot {
    void  *object;
    size_t size;
} mixed_slot;

/* What a thread needs for the mixed work. */
typedef struct mixed_work {
    mixed_step *steps;
    mixed_slot *slots;
    peer        p;
} mixed_work;

static const stock stock_mixed = { MIXED_MIN, MIXED_MAX, 4096, 64u << 20 };

static mixed_work
mixed_prepare(void)
{
    mixed_work w;
    unsigned   i;

    w.p = peer_prepare(&stock_mixed);
    w.steps = own_memory(STEPS * sizeof *w.steps);
    w.slots = own_memory(MIXED_N * sizeof *w.slots);
    for (i = 0; i < STEPS; i++) {
        w.steps[i].index = random_below(MIXED_N);
        w.steps[i].size = MIXED_MIN + random_below(MIXED_MAX - MIXED_MIN + 1);
    }
    for (i = 0; i < MIXED_N; i++) {
        w.slots[i].size = MIXED_MIN + random_below(MIXED_MAX - MIXED_MIN + 1);
        w.slots[i].object = peer_alloc(w.p, w.slots[i].size);
    }
    return w;
}

/* Replace one object by one of another size.  Everybody reads the old size, also
 * those who do not ask for it. */
BENCH_INLINE void
mixed_steps(mixed_work w, int sized, int touch)
{
    unsigned i;

    for (i = 0; i < STEPS; i++) {
        mixed_slot *slot = &w.slots[w.steps[i].index];
        size_t      size = w.steps[i].size;

        USE(slot->size);
        if (sized)
            peer_free_sized(w.p, slot->object, slot->size);
        else
            peer_free(w.p, slot->object, slot->size);
        slot->size = size;
        slot->object = peer_alloc(w.p, size);
        if (touch)
            memset(slot->object, 1, 16);
        USE(slot->object);
    }
}

static void
run_mixed(const row *r)
{
    mixed_work w = mixed_prepare();

    REPEAT(r, "ns", STEPS, mixed_steps(w, 0 /* sized */, 0 /* touch */));
}

static void
run_mixed_sized(const row *r)
{
    mixed_work w = mixed_prepare();

    REPEAT(r, "ns", STEPS, mixed_steps(w, 1 /* sized */, 0 /* touch */));
}

static void
run_mixed_touch(const row *r)
{
    mixed_work w = mixed_prepare();

    REPEAT(r, "ns", STEPS, mixed_steps(w, 0 /* sized */, 1 /* touch */));
}

/* --- how long one allocation may take -------------------------------------- */

#define TICKS_MAX (1u << 20) /* longer ones count as this long */

static void
emit_percentiles(const uint32_t *histogram)
{
    static const struct {
        const char *name;
        double      share;
    } wanted[] = {
        { "latency_p50", 0.5 },
        { "latency_p99", 0.99 },
        { "latency_p99.9", 0.999 },
        { "latency_p99.99", 0.9999 },
    };
    uint64_t seen = 0;
    unsigned next = 0;
    unsigned t;

    for (t = 0; t < TICKS_MAX && next < 4; t++) {
        seen += histogram[t];
        while (next < 4 && (double)seen >= wanted[next].share * STEPS)
            emit(wanted[next++].name, "tsc", t);
    }
}

static void
run_latency(const row *r)
{
    mixed_work w = mixed_prepare();
    uint32_t  *histogram = own_memory(TICKS_MAX * sizeof *histogram);
    unsigned   repeat;
    unsigned   i;

    (void)r;
    for (repeat = 0; repeat <= repeats; repeat++) {
        memset(histogram, 0, TICKS_MAX * sizeof *histogram);
        for (i = 0; i < STEPS; i++) {
            mixed_slot *slot = &w.slots[w.steps[i].index];
            size_t      size = w.steps[i].size;
            uint64_t    taken;

            peer_free(w.p, slot->object, slot->size);
            slot->size = size;
            taken = ticks();
            slot->object = peer_alloc(w.p, size);
            USE(slot->object);
            taken = ticks() - taken;
            histogram[taken < TICKS_MAX ? taken : TICKS_MAX - 1]++;
        }
        if (repeat > 0)
            emit_percentiles(histogram);
    }
}

#define ROWS_MIXED \
    { "mixed", run_mixed, MIXED_N }, \
    { "mixed_sized", run_mixed_sized, MIXED_N }, \
    { "mixed_touch", run_mixed_touch, MIXED_N }, \
    { "latency", run_latency, MIXED_N }

#endif /* BENCH_ROWS_MIXED_H */
