/* test_schedules.c - the heap under every schedule with few preemptions
 * SPDX-License-Identifier: MIT OR Unlicense
 *
 * Two or three threads do one slow operation each, of those below, and all
 * schedules up to a number of preemptions are run (schedule.h).  After each:
 *
 *   - every invariant that fpheap_check knows holds
 *   - no page had two owners at a time, no owner's stamp was changed, and what
 *     the heap shows as live is what the threads have
 *   - no call failed while there was room, and none that takes what its thread
 *     has prefilled
 *   - all objects can be freed, and then nothing is parked, no slab is left,
 *     and the provider gets all its memory back, each piece once
 *   - no thread touches memory that was given back: it has no access then
 *   - where the pool has watermarks, room was told as 0, 1, 0 ..., and no get
 *     that found it empty waits while it is not
 *
 * Where a thread forks, in no call itself, the others are in front of any of
 * their accesses.  For the child they are gone; it is told what was theirs, and
 *
 *   - gets no memory that anybody has, and all objects are as they were
 *   - waits for nobody, has seats for new threads, and works with as many bytes
 *     each time
 *   - lacks no more than what those were moving: objects in their hands, a
 *     magazine, a slab, a region.  fpheap_check may say that, and nothing else
 *   - is told of watermarks, ends pools and heaps, and gives their memory back
 *
 * What a thread does is written as a word, a letter for a call:
 *
 *     a  allocate a page         g  allocate most of a chunk, as a run of pages
 *     c, d  half, two pages      G, H  allocate two, three chunks
 *     h  allocate nine pages
 *     f  free the oldest         r  reserve half a chunk
 *     l  free the newest         B  whose object is at each address
 *     b  allocate three at once  F  flush
 *     p  get from the pool       T  trim
 *     q  get or find it empty    X  thread exit
 *     m  the same of three
 *     k  a pool of its own       U  go on without a cache, as a thread that
 *     e  destroy that pool          exits does
 *     E  destroy the pool        S  statistics: never more than there is or
 *     O  the same of holders,       was, never fewer than its own
 *        classes                 z  fork
 *     D  destroy the heap        L  let it have two chunks more at most
 *     n  ask for a pool's name   w, v  make the newest a page larger, four
 *     K  a child of its own            smaller; W, V  or a chunk
 *     i  allocate a page of it   P, A  prefill two pages, take one of them
 *     j  end it, whatever is live  Q, R  prefill one get, and get it
 *     M  reserve, as there is room  o  be gone, as in a fork's child
 *     N, C  use up a block of records, and all free pages for others
 *     .  let others go on
 *
 * Objects are pages, so a magazine has two and a slab eight of them, and half a
 * chunk is a slab.
 *
 * With SCHEDULE_SECONDS there are up to three preemptions.
 */
#include "schedule.h"

/* In front of the heap's. */
static void *map_system(void *base, size_t bytes, int access, int flags);
#define mmap(base, bytes, access, flags, file, offset) \
    ((void)(file), (void)(offset), map_system(base, bytes, access, flags))

#define FPHEAP_CHUNK_SHIFT 16
#define FPHEAP_PAGE_SHIFT  12
#define FPHEAP_CLASS_BITS  2
#define FPHEAP_MAGAZINE    8
#define FPHEAP_MAX_NODES   1
#define FPHEAP_MAX_HEAPS   4     /* one, and a child of each thread */
#define FPHEAP_MAX_THREADS 4
#define FPHEAP_MAX_POOLS   4     /* one of all threads, one of each */
#define FPHEAP_PANIC(message) schedule_fail("%s", message)
#define FPHEAP_STATIC
#define FPHEAP_IMPLEMENTATION
#include "fpheap.h"
#include "schedule_world.h"

#include <setjmp.h>

#include <cmocka.h>

#define OBJECTS  64            /* that one thread may have */
#define POOL_MAX 6
#define SLAB     8             /* objects in a slab */

/* --- the world ------------------------------------------------------------ */

typedef struct object {
    char    *base;
    unsigned units;
    int      from_pool;
    int      from_child;
} object;

typedef struct part {
    object       object[OBJECTS];
    unsigned     n;
    fpheap_pool *pool;         /* its own */
    fpheap      *child;        /* the same */
    unsigned     pages;        /* that it has prefilled */
    unsigned     gets;         /* of the pool, the same */
    char         letter;       /* of the call that it is in, or 0 */
} part;

static struct world {
    const scene *scene;
    fpheap      *heap;
    fpheap_pool *pool;
    part         part[SCHEDULE_THREADS];
    uint8_t      owner[UNITS];   /* thread + 1 */
    int          constructed;    /* objects of pools */
    int          ended;          /* the pool has ended */
    unsigned     failed;         /* calls, for lack of memory */
    unsigned     named;          /* pools "same" at this moment */
    int          one_slab;       /* the pool's max is that of a slab */
    int          water;          /* the pool has watermarks */
    unsigned     told;           /* crossings of them */
    int          telling;
    int          unsure;       /* whether the last one counts as told: it is
                                  told again in the child of a fork, if not */
    unsigned     waits;          /* a bit per thread: its get found the pool
                                    empty, and it was not told of room since */
    int          full;           /* the system has no memory for records */
} world;

#undef mmap
static void *
map_system(void *base, size_t bytes, int access, int flags)
{
    return world.full ? MAP_FAILED : mmap(base, bytes, access, flags, -1, 0);
}

/* --- owners --------------------------------------------------------------- */

static void
memory_goes(const char *base, size_t bytes)
{
    size_t i;

    for (i = 0; i < bytes / UNIT; i++)
        CHECK(world.owner[unit_of(base) + i] == 0);
}

static uint64_t
stamp_of(const char *base, unsigned self)
{
    return (uint64_t)(uintptr_t)base * 31 + self + 1;
}

static void
own(unsigned self, char *base, unsigned units, int from_pool)
{
    part    *mine  = &world.part[self];
    size_t   first = unit_of(base);
    unsigned i;

    CHECK(mine->n < OBJECTS);
    schedule.still = 1;
    for (i = 0; i < units; i++) {
        if (world.owner[first + i] != 0)
            schedule_fail("thread %u has got memory that thread %u owns", self,
                          world.owner[first + i] - 1u);
        world.owner[first + i] = (uint8_t)(self + 1);
        (void)SCHEDULE_SHOWN(*(uint64_t *)(void *)(base + i * UNIT)
                             = stamp_of(base, self));
    }
    schedule.still = 0;
    mine->object[mine->n].base = base;
    mine->object[mine->n].units = units;
    mine->object[mine->n].from_pool = from_pool;
    mine->object[mine->n].from_child = 0;
    mine->n++;
}

static void
stamps_hold(unsigned self, const object *one)
{
    unsigned i;

    for (i = 0; i < one->units; i++)
        if (SCHEDULE_SHOWN(*(uint64_t *)(void *)(one->base + i * UNIT))
            != stamp_of(one->base, self))
            schedule_fail("an object of thread %u was written", self);
}

static void
give_up(unsigned self, unsigned index)
{
    part    *mine = &world.part[self];
    object   one;
    unsigned i;

    if (index >= mine->n)
        return;                /* there was not room for it */
    one = mine->object[index];
    mine->n--;
    memmove(mine->object + index, mine->object + index + 1,
            (mine->n - index) * sizeof one);
    stamps_hold(self, &one);
    for (i = 0; i < one.units; i++)
        world.owner[unit_of(one.base) + i] = 0;
    schedule_show();
    if (one.from_pool)
        fpheap_pool_put(world.pool, one.base);
    else
        fpheap_free(world.heap, one.base);
    schedule_hide();
}

/* --- calls ---------------------------------------------------------------- */

static void
call_alloc(unsigned self, unsigned units)
{
    char *base = (char *)SCHEDULE_SHOWN(
        fpheap_alloc(world.heap, units * UNIT));

    if (base != NULL)
        own(self, base, units, 0);
    else if (++world.failed > world.scene->fails)
        schedule_fail("an allocation failed with %d while there was room",
                      errno);
}

/* The object may move, so nobody owns its pages until the call is over. */
static void
call_realloc(unsigned self, int more)
{
    part    *mine = &world.part[self];
    object   old  = mine->object[mine->n - 1];
    unsigned units = old.units + (unsigned)more;
    char    *base;
    unsigned i;

    stamps_hold(self, &old);
    mine->n--;
    for (i = 0; i < old.units; i++)
        world.owner[unit_of(old.base) + i] = 0;
    base = (char *)SCHEDULE_SHOWN(
        fpheap_realloc(world.heap, old.base, units * UNIT));
    CHECK(base != NULL);
    for (i = 0; i < old.units && i < units; i++)
        CHECK(SCHEDULE_SHOWN(*(uint64_t *)(void *)(base + i * UNIT))
              == stamp_of(old.base, self));
    own(self, base, units, 0);
}

static void
call_bulk(unsigned self)
{
    void    *objects[3];
    unsigned i;

    CHECK(SCHEDULE_SHOWN(fpheap_alloc_bulk(world.heap, FPHEAP_PAGE, objects, 3))
          == 0);
    for (i = 0; i < 3; i++)
        own(self, (char *)objects[i], 2, 0);
}

/* It may be freed with the parent's handle, or end with the child. */
static void
call_child_alloc(unsigned self)
{
    part *mine = &world.part[self];
    char *base = (char *)SCHEDULE_SHOWN(
        fpheap_alloc(mine->child, FPHEAP_PAGE));

    CHECK(base != NULL);
    own(self, base, 2, 0);
    mine->object[mine->n - 1].from_child = 1;
}

static void
call_child(unsigned self)
{
    fpheap_config config = {.parent = world.heap};

    world.part[self].child = SCHEDULE_SHOWN(fpheap_create("child", &config));
    CHECK(world.part[self].child != NULL);
}

static void
call_end_child(unsigned self)
{
    part    *mine = &world.part[self];
    unsigned i, k, n = 0;

    for (i = 0; i < mine->n; i++) {
        object *one = &mine->object[i];

        if (!one->from_child) {
            mine->object[n++] = *one;
            continue;
        }
        stamps_hold(self, one);
        for (k = 0; k < one->units; k++)
            world.owner[unit_of(one->base) + k] = 0;
    }
    mine->n = n;
    CHECK(SCHEDULE_SHOWN(fpheap_destroy_forced(mine->child)) == 0);
    mine->child = NULL;
}

/* With max objects claimed a get may fail: with ENOSPC and nothing else. */
static void
call_get(unsigned self, int must)
{
    char *base;

    world.waits |= 1u << self;
    base = (char *)SCHEDULE_SHOWN(fpheap_pool_get(world.pool));
    if (base == NULL) {
        CHECK(errno == ENOSPC && !must);
        return;
    }
    world.waits &= ~(1u << self);
    own(self, base, 2, 1);
}

static void
call_get_three(unsigned self)
{
    void    *base[3];
    unsigned i;

    if (SCHEDULE_SHOWN(fpheap_pool_get_bulk(world.pool, base, 3)) == 0)
        for (i = 0; i < 3; i++)
            own(self, (char *)base[i], 2, 1);
}

/* At a limit there may not be as many. */
static void
call_prefill(unsigned self)
{
    int rc = SCHEDULE_SHOWN(fpheap_prefill(world.heap, FPHEAP_PAGE, 2));

    CHECK(rc == 0 || rc == (memory.limit != 0 ? -ENOSPC : -ENOMEM));
    world.part[self].pages = rc == 0 ? 2 : 0;
}

static void
call_pool_prefill(unsigned self)
{
    int rc = SCHEDULE_SHOWN(fpheap_pool_prefill(world.pool, 1));

    CHECK(rc == 0 || rc == -ENOSPC || rc == -ENOMEM);
    world.part[self].gets = rc == 0 ? 1 : 0;
}

/* One that this thread has prefilled, if it has. */
static void
call_prefilled(unsigned self, unsigned *left, int from_pool)
{
    char *base;

    if (*left == 0)
        return;
    --*left;
    base = (char *)SCHEDULE_SHOWN(
        from_pool ? fpheap_pool_get(world.pool)
                  : fpheap_alloc(world.heap, FPHEAP_PAGE));
    if (base == NULL)
        schedule_fail("what was prefilled is not there: %d", errno);
    own(self, base, 2, from_pool);
}

static void
crossed(void *arg, fpheap *heap, fpheap_pool *pool, int room)
{
    (void)arg, (void)heap, (void)pool;
    schedule_hide();
    if (world.unsure)
        world.told = (unsigned)room;
    world.unsure = 0;
    CHECK(!world.telling && room == (int)(world.told % 2));
    world.telling = 1;
    schedule_point(__func__);
    SCHEDULE_SHOWN_DO(world.told++);
    if (room)
        world.waits = 0;
    world.telling = 0;
    schedule_show();
}

static int
construct(void *arg, void *base)
{
    (void)arg, (void)base;
    schedule_hide();
    schedule_point(__func__);
    world.constructed++;
    schedule_show();
    return 0;
}

static void
destruct(void *arg, void *base)
{
    schedule_hide();
    schedule_point(__func__);
    CHECK(arg == NULL || SCHEDULE_SHOWN(*(int *)arg) == 0);
    CHECK(world.owner[unit_of((char *)base)] == 0);
    world.constructed--;
    schedule_show();
}

static fpheap_pool *
make_pool(const char *name, int *ended)
{
    fpheap_pool_desc desc = {.name = name, .size = FPHEAP_PAGE,
                             .align = FPHEAP_PAGE,
                             .max = world.one_slab ? SLAB : POOL_MAX,
                             .magazine = 2, .construct = construct,
                             .destruct = destruct, .arg = ended};

    if (world.water
        && (ended != NULL || strchr(world.scene->during[0], 'k') != NULL))
        desc.water = (fpheap_water){.low = 0, .high = 1, .crossed = crossed};
    return SCHEDULE_SHOWN(fpheap_pool_create(world.heap, &desc));
}

/* Of two that ask for a name at the same time one at most gets it. */
static void
call_own_pool(unsigned self)
{
    part *mine = &world.part[self];

    mine->pool = make_pool("same", NULL);
    if (mine->pool == NULL) {
        CHECK(errno == EEXIST);
        return;
    }
    world.named++;
    CHECK(world.named == 1);
    CHECK(SCHEDULE_SHOWN(fpheap_pool_lookup(world.heap, "same"))
          == mine->pool);
}

static void
call_end_own_pool(unsigned self)
{
    part *mine = &world.part[self];
    int   rc;

    if (mine->pool == NULL)
        return;
    world.named--;
    rc = SCHEDULE_SHOWN(fpheap_pool_destroy(mine->pool, NULL));
    CHECK(rc == 0 || rc == -EBUSY);
    if (rc == 0)
        mine->pool = NULL;
    else
        world.named++;
}

/* Nothing of the pool is live. */
static void
call_end_pool(void)
{
    size_t live;
    int    rc = SCHEDULE_SHOWN(fpheap_pool_destroy(world.pool, &live));

    CHECK(rc == 0 || rc == -EBUSY);
    if (rc == 0)
        world.pool = NULL;
    if (rc == 0)
        SCHEDULE_SHOWN_DO(world.ended = 1);
}

/* A scene that is short of memory may find too little for it, unless it must. */
static void
call_reserve(int must)
{
    CHECK(SCHEDULE_SHOWN(fpheap_reserve(world.heap, FPHEAP_CHUNK / 2, 0)) == 0
          || (world.scene->chunks != 0 && !must));
}

/* This thread is gone, and its cache is there, as in a fork's child. */
static void
call_orphan(void)
{
    fpheap_cache *cache = fph_cache_mine(world.heap);

    fph_entry_set(cache->entry, fph_no_bins, fph_no_bins);
    fph_number_give(&fph_seats[fph_this.seat - 1]);
    fph_this.seat = 0;
    fph_forked_heap(world.heap);
}

static void
call_exit(void)
{
    schedule_show();
    fph_seat_leave(fph_table);
    schedule_hide();
    fph_this.patience = 0;
}

/* Nothing is live. */
static void
call_destroy(void)
{
    CHECK(SCHEDULE_SHOWN(fpheap_destroy(world.heap)) == 0);
    world.heap = NULL;
    world.pool = NULL;
}

/* What is counted one by one, beside others, may be counted twice, but is not
 * less than nothing. */
static void
is_some(size_t bytes)
{
    CHECK(bytes <= 2 * ARENA_BYTES);
}

static void
stats_are_some(const fpheap_stats *s)
{
    unsigned i;

    is_some(s->live_bytes + s->parked_bytes);
    is_some(s->slab_free_bytes);
    is_some(s->page_free_bytes);
    is_some(s->waste_bytes);
    is_some(s->metadata_bytes);
    is_some(s->record_bytes);
    is_some(s->child_bytes);
    is_some(s->live_objects * UNIT);
    is_some(s->parked_objects * UNIT);
    for (i = 0; i < 4; i++)
        is_some(s->backing_bytes[i]); /* one goes while another has come */
    CHECK(s->depot_bytes <= s->parked_bytes);
    CHECK(s->requested_bytes == 0);
}

/* The heap counts what it has, and what it has done. */
static void
stats_were_so(const fpheap_stats *s)
{
    CHECK(s->region_bytes <= s->peak_region_bytes);
    CHECK(s->peak_region_bytes <= memory.peak);
    CHECK(s->regions <= CHUNKS);
    CHECK(s->caches <= 1 + schedule.plan->threads); /* the main thread's */
    CHECK(s->growths >= 1 && s->growths <= memory.gets);
    CHECK(s->releases <= memory.puts);
    CHECK(s->children <= schedule.plan->threads);
}

/* What a thread has got it counts among what is claimed. */
static void
pool_was_so(unsigned self, const fpheap_pool_stats *pool)
{
    const part *mine = &world.part[self];
    unsigned    own = 0, i;

    for (i = 0; i < mine->n; i++)
        own += mine->object[i].from_pool != 0;
    CHECK(pool->max == (world.one_slab ? SLAB : POOL_MAX));
    CHECK(pool->claimed_objects >= own && pool->claimed_objects <= pool->max);
    CHECK(pool->live_objects <= pool->claimed_objects);
    CHECK(pool->parked_objects <= CHUNKS * SLAB);
    CHECK(pool->free_objects <= pool->objects);
    CHECK(pool->objects <= CHUNKS * SLAB && pool->slabs <= CHUNKS);
}

static void
call_stats(unsigned self)
{
    fpheap_stats      stats;
    fpheap_pool_stats pool;

    schedule_show();
    fpheap_stats_get(world.heap, &stats);
    fpheap_pool_stats_get(world.pool, &pool);
    schedule_hide();
    stats_are_some(&stats);
    stats_were_so(&stats);
    pool_was_so(self, &pool);
}

static void
call_holders(void)
{
    fpheap_holder      holder[4];
    fpheap_class_stats pages;
    unsigned           n, i;

    n = SCHEDULE_SHOWN(fpheap_holders(world.heap, holder, 4));
    CHECK(n <= 4);
    for (i = 0; i < n; i++) {
        is_some(holder[i].bytes);
        is_some(holder[i].objects * UNIT);
        CHECK(holder[i].bytes > 0);
        CHECK(i == 0 || holder[i].bytes <= holder[i - 1].bytes);
    }
    i = fph_class_of(FPHEAP_PAGE) - 1;
    CHECK(SCHEDULE_SHOWN(fpheap_class_stats_get(world.heap, i, &pages)) == 0);
    CHECK(pages.size == FPHEAP_PAGE);
    is_some(pages.slabs * SLAB * pages.size);
    is_some(pages.live_objects * pages.size);
    is_some(pages.parked_objects * pages.size);
    is_some(pages.free_objects * pages.size);
}

/* Where an object is found there is memory of the heap, or was when the search
 * began, for all that this thread knew; and of an own object the start is
 * found. */
static void
call_base_of(unsigned self)
{
    const part *mine = &world.part[self];
    unsigned    i;

    for (i = 0; i < CHUNKS; i++) {
        char      *at    = arena + i * FPHEAP_CHUNK + 5 * FPHEAP_PAGE + 1;
        model_view began = model.view[self];
        char      *base  = (char *)SCHEDULE_SHOWN(
            fpheap_base_of(world.heap, at));

        if (base == NULL)
            continue;
        if (!memory.given[i] && model_was(memory.put[i], &began))
            schedule_fail("an object where the heap has no memory");
        CHECK(base <= at && (size_t)(at - base) < 4 * FPHEAP_CHUNK);
    }
    for (i = 0; i < mine->n; i++)
        CHECK(SCHEDULE_SHOWN(fpheap_base_of(world.heap,
                                            mine->object[i].base + 100))
              == mine->object[i].base);
}

/* All pages of regions are there, unless a wait for those that share a chunk
 * was over. */
static void
pages_are_present(const fph_state *s)
{
    uint64_t bytes = 0;
    size_t   i;

    for (i = 0; i < ROOM; i++) {
        const fph_chunk *chunk = fph_chunk_of(s, arena + i * FPHEAP_CHUNK);

        if (chunk != NULL)
            bytes += (uint64_t)fph_popcount(chunk->present) * FPHEAP_PAGE;
    }
    CHECK(bytes == s->region_bytes
          || (bytes < s->region_bytes && !schedule.plan->patient));
}

/* Nobody shows a region, and each is there. */
static void
regions_are_shown(const fph_state *s)
{
    size_t i;

    for (i = 0; i < fph_region_count(s); i++)
        CHECK(s->region[i].shown == (s->region[i].used ? FPH_HERE : 0));
}

/* --- the child of a fork -------------------------------------------------- */

/* What the threads that are gone were moving is lost to the child: a magazine
 * each, what was in the caller's hands, a slab, a run of pages, a region. */
#define LOST_OBJECTS 2
#define LOST_BYTES   (4 * FPHEAP_CHUNK)

typedef struct loss {
    unsigned threads;          /* gone in the middle of a call that moves */
    unsigned objects;          /* at most */
} loss;

/* What fpheap_check says of that. */
static const char *const losses[] = {
    "F1: a page is in no place",
    "F1: a page is in no region, or in two",
    "the bytes by backing do not add up",
    "the bytes of the regions do not add up",
    "Q1: a pool's quota is not what has left its slabs",
    "Q2: a pool's number of objects is not that of its slabs",
    "S1: a listed slab is in no stack",
    "S2: a slab's number of free objects is not that of its bits",
};

static int
is_loss(const char *wrong)
{
    size_t i;

    for (i = 0; i < sizeof losses / sizeof *losses; i++)
        if (strcmp(wrong, losses[i]) == 0)
            return 1;
    return 0;
}

/* Objects that a call may have in its hands. */
static unsigned
hands(char letter)
{
    return letter == 0 ? 0
         : strchr("bm", letter) != NULL ? 3
         : strchr("wWvV", letter) != NULL ? 2 : 1;
}

static loss
losses_of_all(unsigned self)
{
    loss     lost = {0, 0};
    unsigned t;

    for (t = 0; t < schedule.plan->threads; t++) {
        char letter = t == self ? 0 : world.part[t].letter;

        if (letter == 0 || strchr("SOBn", letter) != NULL)
            continue;          /* these only look */
        lost.objects += LOST_OBJECTS + hands(letter);
        lost.threads++;
    }
    return lost;
}

/* Only the caller has a cache, if it ever has one. */
static void
child_is_sound(void)
{
    unsigned     caches = fpheap_self(world.heap) != NULL;
    const char  *wrong  = fpheap_check(world.heap);
    fpheap_stats stats;
    unsigned     t, i;

    for (i = 0; i < sizeof fph_checks / sizeof *fph_checks; i++) {
        wrong = fph_checks[i](world.heap);
        if (wrong != NULL && !is_loss(wrong))
            schedule_fail("%s", wrong);
    }
    fpheap_stats_get(world.heap, &stats);
    stats_are_some(&stats);
    stats_were_so(&stats);
    CHECK(stats.caches == caches);
    regions_are_shown(world.heap->state);
    for (t = 0; t < schedule.plan->threads; t++)
        for (i = 0; i < world.part[t].n; i++)
            stamps_hold(t, &world.part[t].object[i]);
}

/* Get all that the pool has, but for what is lost. */
static void
child_gets(unsigned self, unsigned lost)
{
    part    *mine = &world.part[self];
    unsigned live = 0, had, t, i;

    do {
        had = mine->n;
        call_get(self, 0);
    } while (mine->n != had);
    for (t = 0; t < schedule.plan->threads; t++)
        for (i = 0; i < world.part[t].n; i++)
            live += world.part[t].object[i].from_pool != 0;
    CHECK(live + lost >= (world.one_slab ? SLAB : POOL_MAX));
}

/* Get memory that nobody has, of all kinds, and give it back. */
static void
child_works(unsigned self, unsigned lost)
{
    part    *mine = &world.part[self];
    unsigned had  = mine->n, i;

    for (i = 0; i < 12; i++)
        call_alloc(self, i % 4 == 3 ? 2 * 9 : 2);
    call_alloc(self, 2 * 2 * FPH_PAGES);
    if (world.pool != NULL)
        child_gets(self, lost);
    CHECK(!world.water || world.told % 2 == 1);
    while (mine->n > had)
        give_up(self, mine->n - 1);
}

/* There is a seat for a thread that comes.  (ThreadSanitizer has none then.) */
static void *
child_thread(void *self)
{
    schedule_hide();
    CHECK(fpheap_self(world.heap) != NULL);
    child_works((unsigned)(uintptr_t)self, OBJECTS);
    schedule_show();
    return NULL;
}

static void
child_has_threads(unsigned self)
{
#if !defined(__SANITIZE_THREAD__) || SCHEDULE_RACES
    void     *number = (void *)(uintptr_t)self;
    pthread_t thread;

    CHECK(pthread_create(&thread, NULL, child_thread, number) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
#else
    (void)child_thread, (void)self;
#endif
}

/* It has as many bytes each time. */
static void
child_works_steadily(unsigned self, unsigned lost)
{
    fpheap_stats stats;
    size_t       bytes = SIZE_MAX;
    unsigned     i;

    for (i = 0; i < 3; i++) {
        child_works(self, lost);
        fpheap_flush(world.heap);
        fpheap_trim(world.heap);
        fpheap_stats_get(world.heap, &stats);
        CHECK(stats.region_bytes <= bytes);
        bytes = i == 0 ? SIZE_MAX : stats.region_bytes;
    }
    CHECK(stats.live_objects + stats.parked_objects <= lost);
    CHECK(fph_limit_bytes(world.heap->state->limit) - world.heap->state->left
          == stats.region_bytes);
}

/* End what a thread had that is not within the same. */
static void
child_ends_part(part *one)
{
    if (one->pool != NULL && one->letter != 'e')
        CHECK(fpheap_pool_destroy(one->pool, NULL) == 0);
    if (one->child != NULL && one->letter != 'j')
        CHECK(fpheap_destroy_forced(one->child) == 0);
}

/* A pool that a thread was making, or ending, stays so, with its name. */
static void
child_names(void)
{
    fpheap_pool *pool = make_pool("same", NULL);
    unsigned     t, taken = 0;

    for (t = 0; t < schedule.plan->threads; t++)
        taken |= world.part[t].letter == 'k' || world.part[t].letter == 'e';
    CHECK(pool != NULL || (taken && errno == EEXIST));
    CHECK(pool == NULL || fpheap_pool_destroy(pool, NULL) == 0);
}

static void
child_ends(unsigned n)
{
    unsigned t;
    int      rc;

    for (t = 0; t < schedule.plan->threads; t++)
        child_ends_part(&world.part[t]);
    child_names();
    rc = world.pool == NULL ? 0 : fpheap_pool_destroy(world.pool, NULL);
    CHECK(rc == 0 || (rc == -EBUSY && n != 0));
    rc = fpheap_destroy(world.heap);
    CHECK(rc == 0 || (rc == -EBUSY && n != 0));
    CHECK(rc == 0 || fpheap_destroy_forced(world.heap) == 0);
    CHECK(memory.bytes <= n * LOST_BYTES);
    /* Those of a slab were constructed and it was not there yet, or they were
     * destructed, and are once more. */
    CHECK(abs(world.constructed) <= (int)n * SLAB);
}

/* A pool that a thread was ending is no more the child's, and no limit keeps it
 * from its work. */
static void
child_begins(unsigned n)
{
    unsigned t;

    for (t = 0; t < schedule.plan->threads; t++)
        if (world.part[t].letter == 'E')
            world.pool = NULL;
    world.unsure = n != 0;
    world.telling = 0;
    memory.limit = 0;
    fpheap_set_limit(world.heap, 0);
}

/* A thread that was in no call is alone now, and waits for nobody. */
static void
child_lives(unsigned self)
{
    uint64_t began = schedule.now_ns;
    loss     lost  = losses_of_all(self);
    unsigned t;

    child_begins(lost.threads);
    child_is_sound();
    child_works(self, lost.objects);
    for (t = 0; t < schedule.plan->threads; t++)
        while (world.part[t].n > 0)
            give_up(t, 0);
    CHECK(!world.water || world.told % 2 == 0);
    child_has_threads(self);
    child_works_steadily(self, lost.objects);
    CHECK(SCHEDULE_SHOWN(fpheap_alloc(world.heap, ARENA_BYTES)) == NULL);
    CHECK(schedule.now_ns == began);
    child_ends(lost.threads);
}

static void
call_one(unsigned self, char letter)
{
    switch (letter) {
    case 'a': call_alloc(self, 2); break;
    case 'c': call_alloc(self, 1); break;
    case 'd': call_alloc(self, 4); break;
    case 'g': call_alloc(self, 2 * (FPH_PAGES - 4)); break;
    case 'h': call_alloc(self, 2 * 9); break;
    case 'G': call_alloc(self, 2 * 2 * FPH_PAGES); break;
    case 'H': call_alloc(self, 2 * 3 * FPH_PAGES); break;
    case 'w': call_realloc(self, 2); break;
    case 'v': call_realloc(self, -2 * 4); break;
    case 'W': call_realloc(self, 2 * FPH_PAGES); break;
    case 'V': call_realloc(self, -2 * FPH_PAGES); break;
    case ' ': break;
    case 'b': call_bulk(self); break;
    case 'f': give_up(self, 0); break;
    case 'l': give_up(self, world.part[self].n - 1); break;
    case 'p': call_get(self, 1); break;
    case 'q': call_get(self, 0); break;
    case 'm': call_get_three(self); break;
    case 'k': call_own_pool(self); break;
    case 'e': call_end_own_pool(self); break;
    case 'E': call_end_pool(); break;
    case 'L': memory.limit = memory.bytes + 2 * FPHEAP_CHUNK;
              schedule_show();
              fpheap_set_limit(world.heap, memory.limit);
              schedule_hide(); break;
    case 'D': call_destroy(); break;
    case 'n': (void)SCHEDULE_SHOWN(fpheap_pool_lookup(world.heap, "same"));
              break;
    case 'r': call_reserve(0); break;
    case 'M': call_reserve(1); break;
    case 'o': call_orphan(); break;
    case 'N': while (fph_meta_cut(world.heap->state, FPH_LINE) != 0)
                  ;
              break;
    case 'C': while (fph_meta_find(world.heap, 0, FPH_LINE) != 0)
                  ;
              break;
    case '.': sched_yield(); break;
    case 'F': schedule_show();
              fpheap_flush(world.heap);
              schedule_hide(); break;
    case 'T': (void)SCHEDULE_SHOWN(fpheap_trim(world.heap)); break;
    case 'X': call_exit(); break;
    case 'U': call_exit(); fph_this.patience = FPH_NEVER; break;
    case 'S': call_stats(self); break;
    case 'O': call_holders(); break;
    case 'z': schedule_fork(child_lives); break;
    case 'B': call_base_of(self); break;
    case 'K': call_child(self); break;
    case 'i': call_child_alloc(self); break;
    case 'j': call_end_child(self); break;
    case 'P': call_prefill(self); break;
    case 'A': call_prefilled(self, &world.part[self].pages, 0); break;
    case 'Q': call_pool_prefill(self); break;
    case 'R': call_prefilled(self, &world.part[self].gets, 1); break;
    default:  abort();
    }
}

/* --- one run -------------------------------------------------------------- */

static void
world_begin(void)
{
    fpheap_config config = {.provider = arena_provider()};

    memory_begin();
    memset(world.part, 0, sizeof world.part);
    world.ended = 0;
    world.failed = 0;
    world.told = world.waits = 0;
    world.telling = world.unsure = 0;
    world.full = 0;
    world.heap = fpheap_create("schedule", &config);
    if (world.heap == NULL)
        abort();
    world.full = strncmp(world.scene->name, "near", 4) == 0;
    world.pool = make_pool("pool", &world.ended);
    CHECK(world.pool != NULL);
    world.named = 0;
}

static void
calls(unsigned self, const char *letters)
{
    for (; *letters != 0; letters++) {
        world.part[self].letter = *letters;
        call_one(self, *letters);
        world.part[self].letter = 0;
    }
}

static void
world_prepare(unsigned self)
{
    CHECK(fpheap_self(world.heap) != NULL);
    calls(self, world.scene->before[self]);
}

static void
world_work(unsigned self)
{
    calls(self, world.scene->during[self]);
}

static void
heap_is_sound(void)
{
    const char *wrong = world.heap == NULL ? NULL : fpheap_check(world.heap);

    if (wrong != NULL)
        schedule_fail("%s", wrong);
    if (world.heap != NULL) {
        regions_are_shown(world.heap->state);
        pages_are_present(world.heap->state);
    }
}

static int
is_owned(void *count, const fpheap_object *live)
{
    CHECK(world.owner[unit_of((char *)live->base)] != 0);
    ++*(unsigned *)count;
    return 0;
}

static void
world_check(void)
{
    unsigned walked = 0, owned = 0;
    unsigned t, i;

    heap_is_sound();
    for (t = 0; t < schedule.plan->threads; t++) {
        for (i = 0; i < world.part[t].n; i++) {
            owned += !world.part[t].object[i].from_child;
            stamps_hold(t, &world.part[t].object[i]);
        }
        if (world.part[t].child != NULL)
            CHECK(fpheap_check(world.part[t].child) == NULL);
    }
    if (world.heap != NULL) {
        const fph_state *s = world.heap->state;

        fpheap_walk(world.heap, is_owned, &walked);
        CHECK(fph_limit_bytes(s->limit) - s->left == s->region_bytes);
    }
    CHECK(walked == owned);
    if (world.water)           /* a bulk that found too few leaves some */
        CHECK((world.waits == 0
               && (world.told % 2 == 0 || schedule.plan->name[6] == 'b'))
              || fph_room(world.heap->state, 1) == 0);
}

/* Free all in the order in which it came, and leave. */
static void
world_clean(unsigned self)
{
    while (world.part[self].n > 0)
        give_up(self, 0);
    if (world.part[self].pool != NULL)
        CHECK(fpheap_pool_destroy(world.part[self].pool, NULL) == 0);
    if (world.part[self].child != NULL)
        CHECK(fpheap_destroy(world.part[self].child) == 0);
    call_exit();
}

static void
heap_ends(void)
{
    fpheap_stats s;

    if (world.pool != NULL)
        CHECK(fpheap_pool_destroy(world.pool, NULL) == 0);
    fpheap_thread_leave(world.heap);
    fpheap_trim(world.heap);
    heap_is_sound();
    fpheap_stats_get(world.heap, &s);
    CHECK(s.live_objects == 0 && s.parked_objects == 0);
    CHECK(s.slab_free_bytes == 0);
    CHECK(s.caches == 0);
    CHECK(fpheap_destroy(world.heap) == 0);
}

static void
world_end(void)
{
    heap_is_sound();
    if (world.heap != NULL)
        heap_ends();
    CHECK(world.constructed == 0);
    CHECK(memory.bytes == 0);
}

static schedule_plan
plan_of(const scene *one)
{
    schedule_plan plan = {one->name, schedule_threads(one->during),
                          one->patient, world_begin, world_prepare,
                          world_work, world_check, world_clean, world_end,
                          0, NULL, NULL, 0};

    arena_access(0, CHUNKS, 1);
    world.scene = one;
    memory_of_scene(one->chunks, strncmp(one->name, "parts", 5) == 0,
                    strncmp(one->name, "half", 4) == 0);
    memory.is_slow = strncmp(one->name, "half slow", 9) == 0;
    memory.keeps = strstr(one->name, "kept") != NULL;
    world.one_slab = strncmp(one->name, "quota", 5) == 0;
    world.water = strncmp(one->name, "water", 5) == 0;
    plan.forks = strstr(one->name, "fork") != NULL;
    return plan;
}

/* --- what is run ---------------------------------------------------------- */

/* The slow operations, each with what brings a thread in front of it. */
static const operation operations[] = {
    {"get",     "aaaaaaaafffffffF", "aaa"},    /* magazines from the depot */
    {"put",     "aaaaaaffff",       "fff"},    /* and to it */
    {"hits",    "aaffqqff",         "aaffqqff"}, /* neither */
    {"claim",   "",                 "aaa"},    /* from slabs */
    {"give",    "aaaf",             "fF"},     /* to slabs */
    {"claim1",  "U",                "aa"},     /* the same without a cache */
    {"give1",   "Uaa",              "ff"},
    {"turn1",   "Ua",               "faf"},
    {"bulk",    "aaaff",            "b"},
    {"trim",    "aaaaaaaaaffffffffff", "T"},   /* slabs that are empty */
    {"retire",  "Uaaaaaaaaa",       "ffffffffT"},
    {"grow",    "",                 "g"},
    {"shrink",  "g",                "fT"},
    {"large",   "G",                "fG"},
    {"widen",   "h",                "w"},      /* into the pages behind it */
    {"longer",  "G",                "W"},      /* into the chunks behind it */
    {"narrow",  "hw",               "vw"},     /* and out of them */
    {"shorter", "H",                "VW"},
    {"reserve", "",                 "r"},
    {"exit",    "aaaaff",           "X"},
    {"enter",   "aX",               "fa"},
    {"pget",    "",                 "qqq"},
    {"pput",    "pp",               "fqF"},
    {"name",    "",                 "ke"},
    {"look",    "a",                "B"},
    {"count",   "a",                "S"},
    {"holders", "ap",               "O"},
    {"child",   "Ki",               "iij"},    /* runs come and go at once */
    {"through", "Kiii",             "fffi"},   /* the parent finds the child */
};
#define OPERATIONS (sizeof operations / sizeof *operations)

/* More than one operation each, in an order that matters. */
static const scene scenes[] = {
    /* A slab leaves its stack and comes back without the one below. */
    {"aba", {"U aaaaaaaa aaaaaaaa lf", "U"}, {"aaf", "a"}, 0, 0, 0},
    /* All slabs are taken out, and come back with the same number of pushes, if
     * the tag begins again, and another one below. */
    {"take", {"U aaaaaaaa aaaaaaaa aaaaaaaa dl fT fffffff f", "U"},
     {"lT", "a"}, 0, 0, 0},
    /* A region is given back, and another is in its record. */
    {"move", {"aG", ""}, {"lTH", "B"}, 0, 0, 0},
    {"longer", {"G", ""}, {"fT", "THf"}, 0, 0, 0},
    {"end", {"", "qqqfff"}, {"E", "F"}, 0, 0, 0},
    {"end and exit", {"qqqfff", "qqqfff"}, {"E", "X"}, 0, 0, 0},
    {"end and trim", {"", "qfF"}, {"E", "T"}, 0, 0, 0},
    {"pages", {"cccccccc", "cccccccc"}, {"c", "c"}, 0, 0, 0},
    {"widen pages", {"h", ""}, {"w", "c"}, 0, 0, 0},
    {"narrow pages", {"hw", ""}, {"vwv", "c"}, 0, 0, 0},
    {"shorter chunks", {"H", "gg"}, {"VWV", "gf"}, 0, 0, 0},
    {"shorter and look", {"H", ""}, {"VW", "B"}, 0, 0, 0},
    {"last pages", {"U cccccccc", "U cccccccc"}, {"ffffffffTc", "c"}, 0, 0, 0},
    /* A slab's last object comes back while another slab is retired. */
    {"last object", {"U aaaaaaaa aaaaaaa", "Ua"},
     {"ffffffff fffffff Ta", "f"}, 0, 0, 0},
    /* A slab is dropped between the two steps of a give, */
    {"drop", {"U", "Ua", "Uaaaaaa"}, {"a", "f", "a"}, 0, 1, 0},
    /* and by a thread that has found nothing in it. */
    {"none left", {"Ua", "Uaaaaaaa"}, {"fa", "fb.fffffffffTc"}, 0, 1, 0},
    /* Runs that cross from chunk to chunk, beside pages that others claim. */
    {"cross", {"UGf", "U"}, {"G", "g"}, 0, 0, 0},
    {"cross two", {"U", "U"}, {"hhh", "hh"}, 0, 0, 0},
    {"cross and free", {"hhh", "h"}, {"ffh", "fG"}, 0, 0, 0},
    /* Parts of regions leave and come, and regions join. */
    {"parts trim", {"UGf", "Ugf"}, {"T", "T"}, 0, 0, 0},
    {"parts leave", {"UGf", "g"}, {"T", "gf"}, 0, 0, 0},
    {"parts move", {"GGlf", ""}, {"T", "TG"}, 0, 0, 0},
    {"two slots", {"U", "U"}, {"G", "G"}, 0, 0, 0},
    {"parts join", {"", ""}, {"GfT", "G"}, 0, 0, 0},
    {"parts and look", {"G", ""}, {"fTG", "B"}, 0, 0, 0},
    {"parts and count", {"G", ""}, {"fTG", "SS"}, 0, 0, 0},
    /* A slot of the table of regions has another region. */
    {"region slot", {"UgG", "Ug"}, {"lT", "g"}, 0, 1, 0},
    {"parts kept", {"UGG", "UG"}, {"lT", "gg"}, 0, 1, 0},
    /* Regions that share a chunk. */
    {"half leave", {"UgGl", ""}, {"T", "gg"}, 0, 0, 0},
    {"half come", {"UGgGfl", "U"}, {"T", "H"}, 0, 0, 0},
    {"half come two", {"g", "g"}, {"GfT", "GfT"}, 0, 0, 0},
    {"half and look", {"gG", ""}, {"fTG", "B"}, 0, 0, 0},
    {"half slow leave", {"UgGl", ""}, {"T", "gg"}, 0, 1, 0},
    {"half slow kept", {"UgGl", "U"}, {"T", "G"}, 0, 1, 0},
    /* A child ends beside calls on its parent, and another's end. */
    {"child and trim", {"KiiU", "UGf"}, {"j", "Tg"}, 0, 0, 0},
    {"child and look", {"Kii", ""}, {"j", "BS"}, 0, 0, 0},
    {"two children", {"Kii", "Ki"}, {"j", "ij"}, 0, 0, 0},
    {"tight child", {"Ki", ""}, {"iij", "g"}, 3, 1, 1},
    /* A get finds the pool empty while others put, or had all in their hands. */
    {"water put", {"U pppppp", "U"}, {"f", "q"}, 0, 0, 0},
    {"water put two", {"U pppppp", "U"}, {"ff", "qfq"}, 0, 0, 0},
    {"water two gets", {"U pppp", "U pp"}, {"fq", "qf"}, 0, 0, 0},
    {"water three", {"U pppppp", "U", "U"}, {"f", "q", "q"}, 0, 0, 0},
    {"water cached", {"pppppp", ""}, {"ffff", "qq"}, 0, 0, 0},
    {"water exit", {"pppppp", "U"}, {"fX", "qq"}, 0, 0, 0},
    {"water bulk", {"U pppp", "U"}, {"m", "q"}, 0, 0, 0},
    {"water bulks", {"U pppp", "U"}, {"m", "m"}, 0, 0, 0},
    {"water take", {"U ppppp", "U"}, {"f", "p"}, 0, 0, 0},
    {"water last", {"U", "U", "U ppppp"}, {"q", "q", "f"}, 0, 1, 0},
    /* Another pool's watermarks open, in place of those of one that ends. */
    {"water open", {"U", "U"}, {"k", "pf"}, 0, 0, 0},
    {"water again", {"Uk", "U"}, {"ek", "pf"}, 0, 0, 0},
    /* What is prefilled stays, whatever others want meanwhile. */
    {"prefill and trim", {"gP", "g"}, {"TAA", "aaaaaaaaaaaa"}, 2, 1, 99},
    {"prefill and miss", {"gP", "gT"}, {"cAA", "aaaaaaaaaaaa"}, 2, 1, 99},
    {"prefill at a limit", {"Lgg", "gg"}, {"PTAA", "aaaaaaaaaaaaaaaaaaaaaaaa"},
     0, 1, 99},
    {"prefill two", {"g", "g"}, {"PTAA", "PTAA"}, 2, 1, 99},
    {"prefill and get", {"Q", "qqq"}, {"TR", "qqqq"}, 0, 0, 0},
    {"prefill and put", {"pppQ", "q"}, {"fffTR", "qqqqqq"}, 0, 0, 0},
    /* A pool of just one slab: whoever takes more of the quota than there are
     * objects has lost some of it. */
    {"quota", {"U pppppppp", "U"}, {"fff", "m"}, 0, 0, 0},
    {"quota and get", {"U pppp", "U pppp"}, {"fffq", "fqf"}, 0, 0, 0},
    /* Who has an object of a pool counts it, whatever others get and put. */
    {"pool and count", {"pp", "p"}, {"qfqfF", "SqS"}, 0, 0, 0},
    /* A thread leaves, or comes, while the heap ends. */
    {"destroy", {"", "aaaffqqfff"}, {"D", "X"}, 0, 0, 0},
    {"destroy two", {"af", "aaafff", "gfaf"}, {"D", "X", "X"}, 0, 0, 0},
    /* Memory for three of four. */
    {"limit", {"L", ""}, {"gg", "gg"}, 0, 1, 1},
    /* What one thread moves, another waits for. */
    {"tight trim", {"aaaaaaaaffffffffF", ""}, {"T", "g"}, 2, 1, 0},
    {"tight flush", {"aaaaaaaaffffffffF", "aX"}, {"T", "fg"}, 2, 1, 0},
    {"tight reserve", {"", ""}, {"r", "g"}, 2, 1, 0},
    /* What one thread gives back to the provider, or opens, another lacks. */
    {"tight shrink", {"Gf", ""}, {"T", "G"}, 3, 1, 0},
    {"tight open", {"g", "Gf"}, {"r", "G"}, 5, 1, 0},
    {"tight retire", {"aaaaaaaaffffffffF", ""}, {"T", "aaaaaaaa"}, 2, 1, 0},
    {"tight bulk", {"aaaaaaaaffffffffF", ""}, {"T", "bb"}, 2, 1, 0},
    {"tight chunks", {"", ""}, {"gfgf", "gfgf"}, 3, 1, 0},
    {"tight classes", {"U", "U"}, {"afaf", "gfgf"}, 3, 1, 0},
    {"tight two", {"", "", ""}, {"gf", "gf", "r"}, 3, 1, 0},
    {"tight cross", {"UGf", "U"}, {"Gf", "Gf"}, 8, 1, 0},
    {"tight runs", {"UGf", "Ug"}, {"G", "ggg"}, 5, 1, 1},
    /* What one thread's growth brings is enough for both. */
    {"tight share", {"Uggd", "U"}, {"c", "a"}, 3, 1, 0},
    {"tight ready", {"Uggd", "U"}, {"M", "c"}, 3, 1, 0},
    /* Records come, in blocks of pages, that others are led to. */
    {"near depot", {"", "N"}, {"aaaaaaffffff", "T"}, 0, 0, 0},
    {"near pool", {"", "N"}, {"k", "T"}, 0, 0, 0},
    {"near share", {"UggdC", "U"}, {"k", "c"}, 4, 1, 0},
    /* In a fork's child one thread empties the caches of those that are gone,
     * and another takes such a cache. */
    {"orphans", {"aaaaffo", "aaffo"}, {"fa", "fa"}, 0, 0, 0},
};
#define SCENES (sizeof scenes / sizeof *scenes)

#define SECONDS_OF_PAIRS   (schedule_program.is_long ? 2.0 : 3.5)
#define SECONDS_OF_ORDERS  1.0
#define SECONDS_OF_TRIPLES (schedule_program.is_long ? 2.5 : 1.0)
#define SECONDS_AT_RANDOM  0.5
#include "schedule_scenes.h"

/* --- forks ---------------------------------------------------------------- */

/* The third thread forks beside what the others do. */
static const scene fork_scenes[] = {
    {"water and fork", {"U pppppp", "U", "Ua"}, {"f", "q", "z"}, 0, 0, 0},
    {"water puts and fork", {"pppppp", "U", "a"}, {"fffX", "qf", "z"}, 0, 0, 0},
    {"limit and fork", {"L", "", "a"}, {"gg", "gg", "z"}, 0, 1, 1},
    {"end and fork", {"", "qqqfff", "a"}, {"E", "F", "z"}, 0, 0, 0},
    {"parts and fork", {"GGlf", "", "a"}, {"TG", "T", "z"}, 0, 0, 0},
    {"parts join and fork", {"", "", "a"}, {"GfT", "G", "z"}, 0, 0, 0},
    {"half and fork", {"UGgGfl", "U", "a"}, {"T", "H", "z"}, 0, 0, 0},
    {"prefill and fork", {"gP", "gT", "aaff"}, {"cAA", "PAQR", "z"}, 0, 0, 0},
};
#define FORK_SCENES (sizeof fork_scenes / sizeof *fork_scenes)

/* Threads that fork: with a cache, with none yet, and with none ever. */
static const struct operation forkers[] = {
    {"fork",  "aaffqqf", "z"},
    {"fork0", "aX",      "z"},
    {"fork1", "Ua",      "z"},
};
#define FORKERS (sizeof forkers / sizeof *forkers)

/* A thread that forks beside the operations i and, if it is one, j. */
static void
fork_scene(scene *one, char *name, size_t i, size_t j, size_t forker)
{
    unsigned t;

    scene_of(one, name, i, j, OPERATIONS);
    t = schedule_threads(one->during);
    sprintf(name + strlen(name), "+%s", forkers[forker].name);
    one->before[t] = forkers[forker].before;
    one->during[t] = forkers[forker].during;
}

/* Beside each operation at each access, and beside two as time allows. */
static void
all_forks(void)
{
    size_t left = OPERATIONS * FORKERS + FORK_SCENES
                + OPERATIONS * (OPERATIONS + 1) / 2;
    size_t i, j;
    char   name[64];
    scene  one;

    schedule_print_titles("departures, with a fork:", "");
    for (i = 0; i < OPERATIONS; i++) {
        for (j = 0; j < FORKERS; j++) {
            fork_scene(&one, name, i, OPERATIONS, j);
            run_scene(&one, 1, schedule_slice(left--));
        }
    }
    for (i = 0; i < FORK_SCENES; i++)
        run_scene(&fork_scenes[i], 2, schedule_slice(left--));
    for (i = 0; i < OPERATIONS; i++) {
        for (j = i; j < OPERATIONS; j++) {
            fork_scene(&one, name, i, j, (i + j) % FORKERS);
            run_scene(&one, 2, schedule_slice(left--));
        }
    }
}

static void
run_forks(const scene *one, uint64_t seed, double seconds)
{
    schedule_plan plan = plan_of(one);

    if (!schedule_is_wanted(one->name))
        return;
    schedule_forget_states();
    printf("  %-24s %8llu", one->name, (unsigned long long)schedule_random(
               &plan, &seed, UINT64_MAX, seconds));
    printf(" %8u\n", schedule.states);
}

/* Beside each operation and another, or none, at random. */
static void
some_forks(void)
{
    uint64_t *seed = &schedule_program.seed;
    size_t    left = OPERATIONS + FORK_SCENES;
    size_t    i;
    char      name[64];
    scene     one;

    printf("  %-24s %8s %8s\n", "at random:", "children", "images");
    for (i = 0; i < FORK_SCENES; i++)
        run_forks(&fork_scenes[i], schedule_draw(seed), schedule_slice(left--));
    for (i = 0; i < OPERATIONS; i++) {
        size_t j = (size_t)(schedule_draw(seed) % (OPERATIONS + 8));
        size_t k = (size_t)(schedule_draw(seed) % FORKERS);

        fork_scene(&one, name, i, j < OPERATIONS ? j : OPERATIONS, k);
        run_forks(&one, schedule_draw(seed), schedule_slice(left--));
    }
}

static void
forks_at_any_moment(void **unused)
{
    (void)unused;
    schedule_begin_case(1.0);
    if (schedule_program.is_long)
        all_forks();
    else
        some_forks();
}

static void
replay_forks(size_t i, size_t j, const char *text)
{
    char   name[64];
    scene  one;
    size_t k;

    for (k = 0; k < FORKERS; k++) {
        fork_scene(&one, name, i, j, k);
        replay_scene(&one, text);
    }
}

static void
replay_all(const char *text)
{
    size_t i, j;

    replay(text);
    for (i = 0; i < FORK_SCENES; i++)
        replay_scene(&fork_scenes[i], text);
    for (i = 0; i < OPERATIONS; i++)
        for (j = 0; j <= OPERATIONS; j++)
            replay_forks(i, j, text);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_schedule_replays),
        cmocka_unit_test(orders_that_matter),
        cmocka_unit_test(every_pair_of_operations),
        cmocka_unit_test(forks_at_any_moment),
        cmocka_unit_test(triples_of_operations),
        cmocka_unit_test(schedules_at_random),
    };
    int failed;

    schedule_init();
    schedule_begin("test_schedules", 7 /* seconds */, replay_all);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_access(0, CHUNKS, 1); /* LeakSanitizer reads it at the end */
    printf("%llu schedules\n", (unsigned long long)schedule.runs);
    return failed;
}
