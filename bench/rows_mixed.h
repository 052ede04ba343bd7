/* Rows of mixed sizes. */
#ifndef BENCH_ROWS_MIXED_H
#define BENCH_ROWS_MIXED_H

/* --- mixed sizes ---------------------------------------------------------- */

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

static uint32_t
uniform_size(void)
{
    return MIXED_MIN + random_below(MIXED_MAX - MIXED_MIN + 1);
}

static mixed_work
mixed_prepare_sizes(const stock *s, uint32_t (*any_size)(void))
{
    mixed_work w;
    unsigned   i;

    w.p = peer_prepare(s);
    w.steps = own_memory(STEPS * sizeof *w.steps);
    w.slots = own_memory(MIXED_N * sizeof *w.slots);
    for (i = 0; i < STEPS; i++) {
        w.steps[i].index = random_below(MIXED_N);
        w.steps[i].size = any_size();
    }
    for (i = 0; i < MIXED_N; i++) {
        w.slots[i].size = any_size();
        w.slots[i].object = peer_alloc(w.p, w.slots[i].size);
    }
    return w;
}

static mixed_work
mixed_prepare(void)
{
    return mixed_prepare_sizes(&stock_mixed, uniform_size);
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

/* --- other mixes ---------------------------------------------------------- */

/* Simple IMIX: of 12 Ethernet frames 7 have 64 bytes, 4 have 594, 1 has 1518
 * (IP packets of 40, 576 and 1500 bytes).  RFC 6985, "IMIX Genome", is about
 * mixes of this kind, https://www.rfc-editor.org/rfc/rfc6985.  A frame lies
 * behind the headroom that DPDK leaves, RTE_PKTMBUF_HEADROOM. */
#define IMIX_HEADROOM 128u

static uint32_t
imix_size(void)
{
    uint32_t twelfth = random_below(12);

    return IMIX_HEADROOM + (twelfth < 7 ? 64 : twelfth < 11 ? 594 : 1518);
}

/* Pareto's distribution with exponent 1, cut at both ends: a share of 16 / s of
 * the objects is larger than s, so each doubling of the size has half as many
 * objects and as many bytes.  Programs have few large objects, which hold much
 * of the memory: Johnstone and Wilson, "The Memory Fragmentation Problem:
 * Solved?", ISMM 1998. */
#define POWER_MIN 16u
#define POWER_MAX 65536u

static uint32_t
power_size(void)
{
    double share = random_below(1u << 24) / (double)(1u << 24);

    return (uint32_t)(POWER_MIN
                      / (1 - share * (1 - POWER_MIN / (double)POWER_MAX)));
}

/* Most objects may be of one class. */
static void
run_mixed_imix(const row *r)
{
    static const stock s = { IMIX_HEADROOM + 64, IMIX_HEADROOM + 1518,
                             MIXED_N + 16, 64u << 20 };
    mixed_work         w = mixed_prepare_sizes(&s, imix_size);

    REPEAT(r, "ns", STEPS, mixed_steps(w, 0 /* sized */, 0 /* touch */));
}

static void
run_mixed_power(const row *r)
{
    static const stock s = { POWER_MIN, POWER_MAX, MIXED_N + 16, 64u << 20 };
    mixed_work         w = mixed_prepare_sizes(&s, power_size);

    REPEAT(r, "ns", STEPS, mixed_steps(w, 0 /* sized */, 0 /* touch */));
}

#define ROWS_MIXED \
    { "mixed", run_mixed, MIXED_N }, \
    { "mixed_sized", run_mixed_sized, MIXED_N }, \
    { "mixed_touch", run_mixed_touch, MIXED_N }, \
    { "mixed_imix", run_mixed_imix, MIXED_N }, \
    { "mixed_power", run_mixed_power, MIXED_N }

#endif /* BENCH_ROWS_MIXED_H */
