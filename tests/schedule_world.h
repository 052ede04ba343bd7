/* schedule_world.h - a heap's memory under schedule.h, and what a scene is
 *
 * The provider has few chunks, and mostly leaves one between two regions.
 * Memory that was given back cannot be touched during a run.  Whoever gets a
 * chunk comes after the one that gave it back, and after nobody else: there is
 * no lock.
 *
 * Include it after fpheap.h, and define memory_goes.
 */
#ifndef SCHEDULE_WORLD_H
#define SCHEDULE_WORLD_H

#define CHUNKS   24            /* of the provider's memory */
#define UNIT     (FPHEAP_PAGE / 2)
#define ROOM     (CHUNKS + 1)  /* where regions begin in the middle of one */
#define UNITS    (ROOM * FPHEAP_CHUNK / UNIT)

/* What each thread does before the schedule and in it, a letter for a call;
 * NULL for no thread. */
typedef struct scene {
    const char *name;
    const char *before[SCHEDULE_THREADS];
    const char *during[SCHEDULE_THREADS];
    unsigned    chunks;        /* that the provider has; 0: CHUNKS */
    int         patient;       /* that is enough if all wait */
    unsigned    fails;         /* calls for which there is no room */
} scene;

/* A slow operation, with what brings a thread in front of it. */
typedef struct operation {
    const char *name;
    const char *before;
    const char *during;
} operation;

#ifndef FAR
#  define FAR 1                /* chunks from one to its far neighbour */
#endif

/* Chunks of two groups. */
static char storage[(FPH_GROUP + ROOM + FAR) * FPHEAP_CHUNK]
    __attribute__((aligned(FPH_GROUP << FPHEAP_CHUNK_SHIFT)));
#define arena       (storage + (FPH_GROUP - 8) * FPHEAP_CHUNK)
#define ARENA_BYTES (ROOM * FPHEAP_CHUNK)

static struct memory {
    unsigned     chunks;         /* that there are in this scene */
    int          parts;          /* parts are taken, and regions are
                                    neighbours */
    size_t       offset;         /* of regions from a chunk's start: they
                                    share it with their neighbours */
    int          is_far;         /* every other chunk is far away */
    int          is_apart;       /* no region is like another */
    int          is_slow;        /* others go on while it is got */
    int          keeps;          /* nothing goes back during a run */
    uint8_t      given[CHUNKS];  /* to the heap */
    model_moment put[CHUNKS];    /* when it came back */
    model_lock   passed[CHUNKS]; /* from who had it to who gets it */
    size_t       cursor;         /* the search for room begins here */
    uint8_t      barred[CHUNKS]; /* without access */
    size_t       bytes;
    size_t       peak;           /* of bytes */
    size_t       gets, puts;     /* so far */
    size_t       limit;          /* of the heap, in bytes; 0: none */
} memory;

/* Memory goes back: nothing in it is anybody's. */
static void memory_goes(const char *base, size_t bytes);

static inline size_t
unit_of(const char *base)
{
    size_t at    = (size_t)(base - arena);
    size_t chunk = at / FPHEAP_CHUNK;

    if (memory.is_far) {
        chunk = chunk < FAR ? 2 * chunk : 2 * (chunk - FAR) + 1;
        at = chunk * FPHEAP_CHUNK + at % FPHEAP_CHUNK;
    }
    CHECK(at < ARENA_BYTES);
    return at / UNIT;
}

/* Where a region begins that has this chunk. */
static inline char *
arena_at(size_t chunk)
{
    if (memory.is_far)
        chunk = chunk / 2 + chunk % 2 * FAR;
    return arena + chunk * FPHEAP_CHUNK + memory.offset;
}

/* Of a scene: all chunks, or some; the provider takes parts; regions begin in
 * the middle of a chunk. */
static inline void
memory_of_scene(unsigned chunks, int parts, int shares)
{
    memory.chunks = chunks != 0 ? chunks : CHUNKS;
    memory.parts = parts;
    memory.offset = shares ? FPHEAP_CHUNK / 2 : 0;
}

/* A run begins. */
static inline void
memory_begin(void)
{
    memset(memory.put, 0, sizeof memory.put);
    memory.cursor = 0;
    memory.bytes = memory.peak = 0;
    memory.gets = memory.puts = 0;
    memory.limit = 0;
}

static void
arena_access(size_t first, size_t chunks, int allowed)
{
    size_t i;

    for (i = first; i < first + chunks; i++) {
        if (memory.barred[i] == !allowed)
            continue;
        if (mprotect(arena_at(i), FPHEAP_CHUNK,
                     allowed ? PROT_READ | PROT_WRITE : PROT_NONE) != 0)
            abort();
        memory.barred[i] = !allowed;
    }
}

/* The first of so many chunks in a row, or CHUNKS. */
static inline size_t
arena_find(size_t n)
{
    size_t i, run = 0;

    if (memory.is_far && n > 1)
        return CHUNKS;
    for (i = memory.cursor; i < memory.chunks && run < n; i++)
        run = memory.given[i] ? 0 : run + 1;
    if (run < n)
        for (i = run = 0; i < memory.chunks && run < n; i++)
            run = memory.given[i] ? 0 : run + 1;
    return run < n ? CHUNKS : i - n;
}

static inline int
arena_take(size_t bytes, fpheap_region *region)
{
    size_t n = bytes / FPHEAP_CHUNK;
    size_t first;

    schedule_point(__func__);
    first = arena_find(n);
    if (first == CHUNKS)
        return -ENOMEM;
    memory.cursor = first + n + !(memory.parts || memory.offset != 0
                                  || memory.is_far)
                  + (memory.parts && memory.keeps && schedule.on);
    memset(memory.given + first, 1, n);
    if (memory.is_slow)
        sched_yield();
    memory.bytes += bytes;
    memory.gets++;
    if (memory.bytes > memory.peak)
        memory.peak = memory.bytes;
    CHECK(memory.limit == 0 || memory.bytes <= memory.limit);
    arena_access(first, n, 1);
    region->base = arena_at(first);
    region->bytes = bytes;
    region->cookie = memory.is_apart ? region->base : NULL;
    memset(region->base, 0xa5, bytes);
    model_forget(region->base, bytes);
    schedule_point(__func__);
    return 0;
}

static int
arena_get(void *ctx, size_t bytes, size_t align, int node,
          fpheap_region *region)
{
    size_t i;
    int    rc;

    (void)ctx, (void)align, (void)node;
    schedule_hide();
    rc = arena_take(bytes, region);
    schedule_show();
    for (i = 0; rc == 0 && i < bytes / FPHEAP_CHUNK; i++)
        schedule_lock(&memory.passed[unit_of((char *)region->base)
                                     * UNIT / FPHEAP_CHUNK + i]);
    return rc;
}

static int
arena_put(void *ctx, const fpheap_region *region)
{
    size_t first = unit_of((char *)region->base) * UNIT / FPHEAP_CHUNK;
    size_t n     = region->bytes / FPHEAP_CHUNK;
    size_t i;

    (void)ctx;
    if (memory.keeps && schedule.on)
        return -EBUSY;
    schedule_give(region->base, region->bytes);
    for (i = first; i < first + n; i++)
        schedule_unlock(&memory.passed[i]);
    schedule_hide();
    schedule_point(__func__);
    memory.puts++;
    for (i = first; i < first + n; i++) {
        CHECK(memory.given[i]);
        memory.given[i] = 0;
        memory.put[i] = schedule_moment();
    }
    memory_goes((char *)region->base, region->bytes);
    if (schedule.on)
        arena_access(first, n, 0);
    memory.bytes -= region->bytes;
    schedule_point(__func__);
    schedule_show();
    return 0;
}

/* The provider, for this scene. */
static inline const fpheap_provider *
arena_provider(void)
{
    static const fpheap_provider whole = {.get = arena_get, .put = arena_put};
    static const fpheap_provider parts = {.get = arena_get, .put = arena_put,
                                          .flags = FPHEAP_PARTS};

    return memory.parts ? &parts : &whole;
}

#endif /* SCHEDULE_WORLD_H */
