/* Rows of memory: what is resident for what was asked for, without trimming. */
#ifndef BENCH_ROWS_MEMORY_H
#define BENCH_ROWS_MEMORY_H

/* --- at rest -------------------------------------------------------------- */

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

/* --- over time ------------------------------------------------------------ */

/* Objects that come and go, all of their pages written, and the most memory
 * that was seen. */
typedef struct live_set {
    peer        p;
    mixed_slot *slots;
    unsigned    n;         /* objects that live */
    size_t      bytes;     /* what was asked for of these */
    size_t      before;    /* resident, without the allocator's memory */
    size_t      resident;  /* at the last look, without `before` */
    size_t      peak;      /* of resident */
    size_t      peak_bytes;
} live_set;

static live_set
set_open(size_t smallest, size_t largest, unsigned n)
{
    stock    nothing_ready = { smallest, largest, 1, 0 };
    live_set set;

    memset(&set, 0, sizeof set);
    set.slots = own_memory(n * sizeof *set.slots);
    set.before = resident_bytes();
    set.p = peer_prepare(&nothing_ready);
    return set;
}

static void
set_look(live_set *set)
{
    size_t resident = resident_bytes();

    set->resident = resident > set->before ? resident - set->before : 0;
    if (set->resident > set->peak)
        set->peak = set->resident;
    if (set->bytes > set->peak_bytes)
        set->peak_bytes = set->bytes;
}

static void
write_pages(char *object, size_t size)
{
    size_t at;

    for (at = 0; at < size; at += 4096)
        object[at] = 1;
    object[size - 1] = 1;
}

static void
set_add(live_set *set, size_t size)
{
    char *object = peer_alloc(set->p, size);

    write_pages(object, size);
    set->slots[set->n].object = object;
    set->slots[set->n++].size = size;
    set->bytes += size;
}

static void
set_drop_any(live_set *set)
{
    mixed_slot *any = &set->slots[random_below(set->n)];

    peer_free(set->p, any->object, any->size);
    set->bytes -= any->size;
    *any = set->slots[--set->n];
}

/* Two come for one that goes until there are SET_N; then they go, in no order,
 * until a tenth is left. */
#define SET_N 65536u

static void
run_memory_grow(const row *r)
{
    live_set set;

    (void)r;
    if (PEER_BARE)
        return;
    set = set_open(MIXED_MIN, MIXED_MAX, SET_N + 1);
    set_add(&set, uniform_size());
    while (set.n < SET_N) {
        set_add(&set, uniform_size());
        set_add(&set, uniform_size());
        set_drop_any(&set);
        if (set.n % 1024 == 0)
            set_look(&set);
    }
    emit("memory_grow", "x", (double)set.peak / (double)set.peak_bytes);
    while (set.n > SET_N / 10)
        set_drop_any(&set);
    set_look(&set);
    emit("memory_shrink", "x", (double)set.resident / (double)set.bytes);
}

/* As many bytes live all the time, of other sizes in each phase; twice as many
 * come in each, so that an eighth of what lived before still does. */
#define SHIFT_BYTES   (32u << 20)
#define SHIFT_OBJECTS (SHIFT_BYTES / MIXED_MIN)

static void
shift_sizes(live_set *set, uint32_t smallest, uint32_t largest)
{
    size_t   came = 0;
    unsigned steps = 0;

    while (came < 2 * SHIFT_BYTES) {
        uint32_t size = smallest + random_below(largest - smallest + 1);

        while (set->bytes + size > SHIFT_BYTES)
            set_drop_any(set);
        set_add(set, size);
        came += size;
        if (++steps % 1024 == 0)
            set_look(set);
    }
    set_look(set);
}

static void
run_memory_shift(const row *r)
{
    live_set set;

    (void)r;
    if (PEER_BARE)
        return;
    set = set_open(MIXED_MIN, 8192, SHIFT_OBJECTS);
    shift_sizes(&set, 16, 256);
    shift_sizes(&set, 256, 2048);
    shift_sizes(&set, 2048, 8192);
    shift_sizes(&set, 256, 2048);
    shift_sizes(&set, 16, 256);
    emit("memory_shift_peak", "x", (double)set.peak / (double)set.peak_bytes);
    emit("memory_shift_end", "x", (double)set.resident / (double)set.bytes);
}

/* --- from one thread to another ------------------------------------------- */

#define FLOW   32768u /* objects in flight, at most */
#define SLACK  1024u  /* less than FLOW are in flight by this, at most */
#define BUNDLE 32u    /* objects that change hands at once */

static struct {
    shared_word head;       /* objects ever sent */
    shared_word tail;       /* objects ever freed */
    shared_word freed;      /* their bytes */
    uint64_t    n;          /* objects to send in all */
    mixed_slot  slots[FLOW];
} flow;

/* Whichever thread is faster, nearly as many as may be in flight are, but for
 * the ends. */
static void
flow_free(void *unused)
{
    peer     p = peer_prepare(&stock_mixed);
    uint64_t freed = 0;
    uint64_t at;
    unsigned i;

    (void)unused;
    for (at = 0; at < flow.n; at += BUNDLE) {
        mixed_slot *slots = &flow.slots[at % FLOW];
        uint64_t    ahead = at + FLOW - SLACK;

        wait_until(&flow.head, ahead < flow.n ? ahead : flow.n);
        for (i = 0; i < BUNDLE; i++) {
            peer_free(p, slots[i].object, slots[i].size);
            freed += slots[i].size;
        }
        store_release(&flow.freed, freed);
        store_release(&flow.tail, at + BUNDLE);
    }
}

/* Sends a hundredth of all objects and returns how much is resident. */
static size_t
flow_send(live_set *set, uint64_t *sent)
{
    uint64_t at = flow.head.value;
    uint64_t end = at + flow.n / 100;
    unsigned i;

    for (; at < end; at += BUNDLE) {
        mixed_slot *slots = &flow.slots[at % FLOW];

        if (at >= FLOW)
            wait_until(&flow.tail, at + BUNDLE - FLOW);
        for (i = 0; i < BUNDLE; i++) {
            size_t size = uniform_size();

            slots[i].object = peer_alloc(set->p, size);
            slots[i].size = size;
            write_pages(slots[i].object, size);
            *sent += size;
        }
        store_release(&flow.head, at + BUNDLE);
    }
    set->bytes = *sent - load_acquire(&flow.freed);
    set_look(set);
    return set->resident;
}

/* How much more memory the last tenth of the objects had than the first. */
static void
run_memory_flow(const row *r)
{
    uint64_t sent = 0;
    size_t   early = 0;
    size_t   late = 0;
    live_set set;
    unsigned i;

    if (PEER_BARE || !second_start(r->name))
        return;
    flow.n = (uint64_t)100 * BUNDLE * (64 * repeats);
    set = set_open(MIXED_MIN, MIXED_MAX, 1);
    second_order(flow_free, NULL);
    for (i = 0; i < 100; i++) {
        size_t resident = flow_send(&set, &sent);

        if (i < 10 && resident > early)
            early = resident;
        if (i >= 90 && resident > late)
            late = resident;
    }
    second_wait();
    second_end();
    emit("memory_flow", "x", (double)late / (double)early);
    emit("memory_flow_peak", "x", (double)set.peak / (double)set.peak_bytes);
}

#define ROWS_MEMORY \
    { "memory", run_memory, MANY }, \
    { "memory_grow", run_memory_grow, SET_N }, \
    { "memory_shift", run_memory_shift, SHIFT_OBJECTS }, \
    { "memory_flow", run_memory_flow, FLOW }

#endif /* BENCH_ROWS_MEMORY_H */
