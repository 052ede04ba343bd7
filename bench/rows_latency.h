/* Rows of how long one call may take, in ticks of the time stamp counter.  The
 * cost of reading the counter is in every figure; the floor's shows it. */
#ifndef BENCH_ROWS_LATENCY_H
#define BENCH_ROWS_LATENCY_H

#define TICKS_MAX (1u << 20) /* longer ones count as this, but for max */

typedef struct latencies {
    uint32_t *count;   /* of calls that took so many ticks */
    uint64_t  longest;
} latencies;

BENCH_INLINE void
note_latency(latencies *l, uint64_t taken)
{
    l->count[taken < TICKS_MAX ? taken : TICKS_MAX - 1]++;
    if (taken > l->longest)
        l->longest = taken;
}

static void
emit_latencies(const latencies *l, const char *prefix, unsigned calls)
{
    static const struct {
        const char *name;
        double      share;
    } wanted[] = {
        { "p50", 0.5 },
        { "p99", 0.99 },
        { "p99.9", 0.999 },
        { "p99.99", 0.9999 },
    };
    char     name[64];
    uint64_t seen = 0;
    unsigned next = 0;
    unsigned t;

    for (t = 0; t < TICKS_MAX && next < 4; t++) {
        seen += l->count[t];
        while (next < 4 && (double)seen >= wanted[next].share * calls) {
            snprintf(name, sizeof name, "%s_%s", prefix, wanted[next++].name);
            emit(name, "tsc", t);
        }
    }
    snprintf(name, sizeof name, "%s_max", prefix);
    emit(name, "tsc", (double)l->longest);
}

/* The mixed work, each call timed by itself. */
static void
timed_steps(mixed_work w, latencies *comes, latencies *goes, unsigned calls)
{
    unsigned i;

    for (i = 0; i < calls; i++) {
        mixed_slot *slot = &w.slots[w.steps[i].index];
        size_t      size = w.steps[i].size;
        uint64_t    taken;

        USE(slot->object);
        taken = ticks();
        peer_free(w.p, slot->object, slot->size);
        COMPLETE();
        note_latency(goes, ticks() - taken);
        slot->size = size;
        taken = ticks();
        slot->object = peer_alloc(w.p, size);
        USE(slot->object);
        note_latency(comes, ticks() - taken);
    }
}

static void
latency_repeats(mixed_work w, const char *alloc_name, const char *free_name)
{
    size_t    bytes = TICKS_MAX * sizeof(uint32_t);
    latencies comes = { own_memory(bytes), 0 };
    latencies goes = { own_memory(bytes), 0 };
    unsigned  calls = scaled(STEPS);
    unsigned  repeat;

    for (repeat = 0; repeat <= repeats; repeat++) {
        memset(comes.count, 0, bytes);
        memset(goes.count, 0, bytes);
        comes.longest = 0;
        goes.longest = 0;
        timed_steps(w, &comes, &goes, calls);
        if (repeat > 0) {
            emit_latencies(&comes, alloc_name, calls);
            emit_latencies(&goes, free_name, calls);
        }
    }
}

static void
run_latency(const row *r)
{
    (void)r;
    latency_repeats(mixed_prepare(), "latency", "latency_free");
}

static shared_word hammer_rests;

static void
hammer(void *arg)
{
    while (load_acquire(&hammer_rests) == 0)
        mixed_job(arg);
}

/* The other thread does the mixed work all the time, on objects of its own. */
static void
run_hammered(const row *r)
{
    static mixed_work its;
    mixed_work        mine = mixed_prepare();

    if (!second_start(r->name))
        return;
    second_order(mixed_job, &its);
    second_wait();
    second_order(hammer, &its);
    latency_repeats(mine, "hammered", "hammered_free");
    store_release(&hammer_rests, 1);
    second_wait();
    second_end();
}

#define ROWS_LATENCY \
    { "latency", run_latency, MIXED_N }, \
    { "hammered", run_hammered, MIXED_N }

#endif /* BENCH_ROWS_LATENCY_H */
