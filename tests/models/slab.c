/* slab.c - a model of slabs: who claims, gives, drops, lists and retires
 * SPDX-License-Identifier: MIT OR Unlicense
 *
 * Shows edges B1 to B8, Q5 and Q6, and what S2 to S4 and Q1 say.  An object is
 * free in its slab or in one thread's hands, which sees all that its last owner
 * did to it.  What a pool's quota was taken for is there.  The page of a slab
 * that is retired, and its record, are the thread's that did it; a pool that has
 * ended has destructed all.  In the end the state is that of the bits, and a
 * slab with free objects is in its stack.  Bounds: a slab of two objects, three
 * threads.
 */
#include "model.h"

#if SCENE == 1                 /* an object comes back beside a claim */
#  define LIVE 1
#  define POOL 0
#  define A give(1)
#  define B claim()
#elif SCENE == 2               /* and to a slab that is dropped meanwhile */
#  define LIVE 1
#  define POOL 0
#  define A give(1)
#  define B claim()
#  define C claim()
#elif SCENE == 3               /* the last objects come back beside a pass */
#  define LIVE 2
#  define POOL 0
#  define A give(0)
#  define B give(1)
#  define C pass()
#elif SCENE == 4               /* a pool's come back beside a claim */
#  define LIVE 1
#  define POOL 1
#  define A give(1)
#  define B claim()
#elif SCENE == 5               /* a claimed object comes back */
#  define LIVE 0
#  define POOL 1
#  define A if (claim() == 2) give(0)
#  define B claim()
#elif SCENE == 6               /* a pool ends beside a pass */
#  define LIVE 0
#  define POOL 1
#  define A retire()
#  define B end_pool()
#endif
#define BIN   (POOL ? FPH_SIZES : 1)
#define COUNT 2

static fph_depot   depots[FPH_CLASSES];
static fph_word    free_pages[1];
static fph_chunk   chunk[1];
static fph_records records;
static uint16_t    map[FPH_PAGES];
static uint32_t    group_at[1];
static fpheap      heap;
static fpheap_pool pool;
static size_t      destructed; /* plain: objects, by the pool's destructor */
/* Of each object, plain: 1 in a thread's hands. */
static struct { uint64_t owned, rest; } object[COUNT];

static void
give(unsigned i)
{
    void *at = &object[i];

    object[i].owned = 0;
    fph_slab_give_run(&state, &records.slab[0], &at, 1);
}

static void
own(void *at)
{
    uint64_t *owned = (uint64_t *)at;

    assert(!*owned);
    *owned = 1;
}

static size_t
claim(void)
{
    void     *objects[COUNT];
    fph_slab *slab = (fph_slab *)(void *)
        fph_stack_pop(&state, &depots[BIN].partial);
    size_t    got = 0, i;

    if (slab != NULL)
        got = fph_slab_serve(&state, POOL ? &pool : NULL, slab, objects, COUNT);
    for (i = 0; i < got; i++)
        own(objects[i]);
    return got;
}

/* Retire the slab if it is empty. */
static void
retire(void)
{
    fph_slabs_let_go(&state, fph_stack_take(&state, &depots[BIN].partial), 1);
}

/* The same, and make another of its page. */
static void
pass(void)
{
    retire();
    if (fph_chunk_take(&state, 0, 1, 1) == FPH_NO_PAGE)
        return;
    assert(!object[0].owned && !object[1].owned);
    fph_slab_let_go(&state, fph_slab_make(&state, 0, BIN));
}

static void
destruct(void *arg, void *one)
{
    (void)arg, (void)one;
    destructed++;
}

static void
end_pool(void)
{
    if (fph_pool_empty(&pool) == 0)
        assert(destructed == COUNT);
}

static void
begin(void)
{
    fph_class *klass = &state.classes[BIN];
    void      *objects[COUNT];
    fph_slab  *slab;
    size_t     i;

    klass->size = sizeof *object;
    klass->inverse = 1u << 28; /* 2^32 / size */
    klass->count = COUNT;
    klass->pages = 1;
    state.depots = depots;
    state.mask = FPH_PAGES - 1;
    state.map = map;
    state.free = free_pages;
    state.chunks = chunk;
    state.group_at = group_at;
    state.pool[0] = &pool;
    group_at[0] = 1;
    heap.state = &state;
    heap.bins = FPH_CLASSES;
    heap.nodes = 1;
    pool.heap = &heap;
    pool.record = &pool;
    pool.destruct = SCENE == 6 ? destruct : NULL;
    pool.objects = COUNT;
    pool.slabs = 1;
    pool.quota = (uint64_t)COUNT << 32 | LIVE;
    chunk[0].base = (char *)object + 1;
    chunk[0].records = &records;
    records.link.self = 1u << FPH_UNIT_BITS;
    state.meta[1] = (char *)&records;
    slab = fph_slab_make(&state, 0, BIN);
    fph_slab_claim(&state, slab, objects, LIVE);
    for (i = 0; i != LIVE; i++)
        own(objects[i]);
    fph_slab_let_go(&state, slab);
}

static void
end(void)
{
    const fph_slab *slab = &records.slab[0];
    size_t          i, live = 0;

    if (slab->info == 0)
        return;                /* it is retired */
    for (i = 0; i < COUNT; i++) {
        assert(object[i].owned == !(slab->bits[0] >> i & 1));
        live += object[i].owned;
    }
    assert(fph_slab_free_objects(slab->state) == COUNT - (int64_t)live);
    assert((slab->state & 1) || live == COUNT);
    assert((depots[BIN].partial & UINT32_MAX)
           == (slab->state & 1 ? slab->link.self : 0));
    assert(!POOL || (uint32_t)pool.quota == live);
}

#include "threads.h"

int
main(void)
{
    begin();
    run_threads();
    end();
    return 0;
}
