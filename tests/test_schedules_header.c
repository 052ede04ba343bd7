/* test_schedules_header.c - headers, groups and names under many schedules
 * SPDX-License-Identifier: MIT OR Unlicense
 *
 * Two or three threads share objects by references, end groups in which others
 * began, give pools the same names, and take one buffer after the other, beside
 * calls that allocate, free, trim and count (schedule.h).  After each schedule:
 *
 *   - every invariant that fpheap_check knows holds
 *   - whoever dropped the last reference has seen what all others did with the
 *     object, and its destructor was called once, with its argument
 *   - no page had two owners at a time, no owner's stamp was changed, and what
 *     the heap shows as live, and counts for each tag, is what the threads have
 *   - no name was found that no pool ever had
 *   - all objects can be freed, and the provider gets all its memory back
 *
 * What a thread does is written as a word, a letter for a call:
 *
 *     a  allocate a page, with its own tag    f  free the oldest
 *     g  most of a chunk                      F  flush       T  trim
 *     k, G, H, I  one chunk, two, three, five
 *     X  leave                                l  free the newest
 *     P  a page of the pool                   D  a dump      S  statistics
 *     C  go on without a cache
 *
 *     r  another reference to the oldest object that is shared
 *     u  drop one          s  write to it, if this reference is the only one
 *     d  register a destructor                e  use the newest one
 *
 *     N  begin a group     1  cut an object     4  a large one
 *     t  adopt the oldest object                v  a reference
 *     c  a cleanup         m  a mark            z  go back to it
 *     E  end it            M  hand it over      J  take one that was
 *
 *     n, w  a pool of its own, of one name, of another     y  end it
 *     W  one with watermarks     p  get and put of it
 *     x  look for names that are half of each       B  for objects anywhere
 *     Z  a heap in the buffer, if no other thread has one
 *     U  the library is unloaded, as the program ends
 *
 * Each thread has a reference to three objects: a plain one, one of the pool,
 * which has a destructor, and one that its destructor keeps.
 *
 * FPHEAP_CHECK is 1, so that objects have marks; test_schedules_check.c is the
 * same with 2.
 *
 * With SCHEDULE_SECONDS there are up to three preemptions.
 */
#include "schedule.h"

/* The system's keys and memory, in this file. */
static int system_key(unsigned *key);
static int system_key_use(unsigned key);
static int system_key_end(unsigned key);
#define pthread_key_create(key, end)     system_key(key)
#define pthread_setspecific(key, value)  system_key_use(key)
#define pthread_key_delete(key)          system_key_end(key)
#define pthread_atfork(before, in, child) ((void)(child), 0)
static void *system_map(void *at, size_t bytes, int access, int flags,
                        int file, off_t offset);
#define mmap(at, bytes, access, flags, file, offset) \
    system_map(at, bytes, access, flags, file, offset)

#ifndef FPHEAP_CHECK
#  define FPHEAP_CHECK 1
#endif
#define FPHEAP_HEADER      1
#define FPHEAP_CHUNK_SHIFT 16
#define FPHEAP_PAGE_SHIFT  12
#define FPHEAP_CLASS_BITS  2
#define FPHEAP_MAGAZINE    8
#define FPHEAP_MAX_NODES   1
#define FPHEAP_MAX_HEAPS   4     /* one, and one of each thread in the buffer */
#define FPHEAP_MAX_THREADS 4
#define FPHEAP_MAX_POOLS   4     /* one of all threads, one of each */
#define FPHEAP_PANIC(message) schedule_fail("%s", message)
#define FPHEAP_STATIC
#define FPHEAP_IMPLEMENTATION
#include "fpheap.h"
#undef mmap
#define FAR FPH_KNOWN          /* of such neighbours a heap knows one */
#include "schedule_world.h"

#include <cmocka.h>

#define OBJECTS  32            /* that one thread may have */
#define SHARED   6             /* objects with references, in a scene */
#define CUT      16            /* objects of a group whose stamps are known */
#define SIZE     (FPHEAP_PAGE - 32) /* of an object that takes a page */
#define POOL_MAX 6
#define TAG      4             /* of the pool; threads have those below, and
                                  0 is that of groups */
#define KEYS     8
#define NOBODY   0xff          /* an owner: all that have references */

/* --- the world ------------------------------------------------------------ */

typedef struct object {
    char    *base;
    size_t   pages;
    unsigned by;               /* whose stamp it has */
    int      from_pool;
} object;

/* An object with references. */
typedef struct shared {
    char    *base;             /* NULL: it has ended */
    unsigned tag;
    unsigned refs[SCHEDULE_THREADS + 1]; /* that each has, and groups */
    int      is_kept;          /* by its destructor */
    int      has_end;          /* a destructor */
} shared;

/* A group, with what is in it. */
typedef struct bunch {
    fpheap_group *group;       /* NULL: none */
    uint64_t     *cut[CUT];
    unsigned      n;
    object        adopted[OBJECTS];
    unsigned      adopts;
    shared       *refs[SHARED];
    unsigned      has_refs;
    unsigned     *cleanups;    /* that are to be called */
    int           has_mark;
    fpheap_mark   mark;        /* when it had so many of each */
    unsigned      marked[4];
} bunch;

typedef struct part {
    object       object[OBJECTS];
    unsigned     n;
    fpheap_pool *pool;         /* its own */
    unsigned     name;
    int          water;        /* it has watermarks */
    unsigned     told;         /* crossings of them */
    bunch        bunch;
} part;

static struct world {
    const scene *scene;
    fpheap      *heap;
    fpheap_pool *pool;
    part         part[SCHEDULE_THREADS];
    uint8_t      owner[UNITS / 2]; /* of each page: thread + 1, or NOBODY */
    shared       shared[SHARED];
    unsigned     n_shared;
    unsigned     ended;         /* destructors that were called */
    unsigned     to_end;        /* and that should have been */
    int          arg[4];        /* of destructors, by number */
    unsigned     cleanups[8];   /* of each group */
    unsigned     groups;
    bunch        handed;        /* one between two threads */
    model_lock   hand;
    unsigned     live[TAG + 1]; /* objects of a tag */
    unsigned     named[2];      /* pools of either name */
    unsigned     keys;          /* that were made */
    int          key[KEYS];     /* 1: the system has it */
    unsigned     key_ended;     /* a bit each */
    int          is_full;       /* the system has no memory */
    fpheap_buffer   buffer;
    fpheap_provider in_buffer;
    unsigned        in_heaps;   /* heaps in the buffer */
} world;

static FILE *nowhere;
static char  buffer[4 * FPHEAP_CHUNK] __attribute__((aligned(FPHEAP_CHUNK)));

/* --- owners --------------------------------------------------------------- */

static void
memory_goes(const char *base, size_t bytes)
{
    size_t i;

    for (i = 0; i < bytes; i += FPHEAP_PAGE)
        CHECK(world.owner[unit_of(base + i) / 2] == 0);
}

/* The pages of an object go from one owner to another. */
static void
set_owner(const char *base, size_t pages, unsigned from, unsigned to)
{
    size_t i;

    for (i = 0; i < pages; i++, base += FPHEAP_PAGE) {
        uint8_t *owner = &world.owner[unit_of(base) / 2];

        if (*owner != from)
            schedule_fail("memory of thread %u is thread %d's too",
                          schedule_self, *owner - 1);
        *owner = (uint8_t)to;
    }
}

static uint64_t
stamp_of(const void *base, unsigned self)
{
    return (uint64_t)(uintptr_t)base * 31 + self + 1;
}

static void
stamp(void *base, unsigned self)
{
    (void)SCHEDULE_SHOWN(*(uint64_t *)base = stamp_of(base, self));
}

static void
stamp_holds(void *base, unsigned self)
{
    if (SCHEDULE_SHOWN(*(uint64_t *)base) != stamp_of(base, self))
        schedule_fail("an object of thread %u was written", self);
}

static void
own(unsigned self, char *base, size_t pages, int from_pool)
{
    part *mine = &world.part[self];

    CHECK(mine->n < OBJECTS);
    set_owner(base, pages, 0, self + 1);
    stamp(base, self);
    mine->object[mine->n].base = base;
    mine->object[mine->n].pages = pages;
    mine->object[mine->n].by = self;
    mine->object[mine->n].from_pool = from_pool;
    mine->n++;
}

/* An object is the thread's no more. */
static object
disown(unsigned self, unsigned index)
{
    part  *mine = &world.part[self];
    object one  = mine->object[index];

    mine->n--;
    memmove(mine->object + index, mine->object + index + 1,
            (mine->n - index) * sizeof one);
    stamp_holds(one.base, self);
    set_owner(one.base, one.pages, self + 1, 0);
    return one;
}

/* --- objects -------------------------------------------------------------- */

static void
call_alloc(unsigned self, size_t pages)
{
    char *base = (char *)SCHEDULE_SHOWN(
        fpheap_alloc_tagged(world.heap, pages * FPHEAP_PAGE - 32, self + 1));

    if (base == NULL && world.scene->fails)
        return;
    CHECK(base != NULL);
    world.live[self + 1]++;
    own(self, base, pages, 0);
}

static void
call_get(unsigned self)
{
    char *base = (char *)SCHEDULE_SHOWN(fpheap_pool_get(world.pool));

    if (base == NULL) {
        CHECK(errno == ENOSPC);
        return;
    }
    world.live[TAG]++;
    own(self, base, 1, 1);
}

static void
call_free(unsigned self, unsigned index)
{
    object one;

    if (index >= world.part[self].n)
        return;
    one = disown(self, index);
    world.live[fpheap_tag(one.base)]--;
    schedule_show();
    if (one.from_pool)
        fpheap_pool_put(world.pool, one.base);
    else
        fpheap_free(world.heap, one.base);
    schedule_hide();
}

/* --- references ----------------------------------------------------------- */

static unsigned
refs_of(const shared *one)
{
    unsigned sum = 0;
    unsigned t;

    for (t = 0; t <= SCHEDULE_THREADS; t++)
        sum += one->refs[t];
    return sum;
}

/* The oldest object to which a thread has a reference, or NULL. */
static shared *
oldest(unsigned self)
{
    unsigned i;

    for (i = 0; i < world.n_shared; i++)
        if (world.shared[i].refs[self] != 0)
            return &world.shared[i];
    return NULL;
}

/* Its words, one of each thread, are those of who had it: nobody has it now. */
static void
words_hold(const shared *one)
{
    uint64_t *word = (uint64_t *)(void *)one->base;
    unsigned  t;

    for (t = 0; t < SCHEDULE_THREADS; t++)
        CHECK(SCHEDULE_SHOWN(word[t]) == 0
              || word[t] == stamp_of(&word[t], t));
}

static int
is_argument(int *arg)
{
    return SCHEDULE_SHOWN(*arg) == 1;
}

/* The destructor of what is shared. */
static fpheap_fate
ends(void *arg, void *object)
{
    fpheap_fate fate = FPHEAP_RELEASE;
    unsigned    self = schedule_self;
    unsigned    i;

    schedule_hide();
    schedule_point(__func__);
    CHECK(is_argument((int *)arg));
    world.ended++;
    for (i = 0; i < world.n_shared && world.shared[i].base != object; i++)
        ;
    if (i < world.n_shared) {
        shared *one = &world.shared[i];

        CHECK(refs_of(one) == 0 && one->has_end);
        words_hold(one);
        world.live[one->tag]--;
        one->base = NULL;
        if (one->is_kept) {
            world.live[one->tag]++;
            own(self, (char *)object, 1, 1);
            fate = FPHEAP_KEPT;
        }
    }
    schedule_show();
    return fate;
}

/* An object to which each thread gets a reference. */
static void
share(int from_pool, int is_kept)
{
    shared  *one = &world.shared[world.n_shared++];
    unsigned t;

    memset(one, 0, sizeof *one);
    one->base = (char *)(from_pool ? fpheap_pool_get(world.pool)
                         : fpheap_alloc_tagged(world.heap, SIZE, 1));
    CHECK(one->base != NULL);
    set_owner(one->base, 1, 0, NOBODY);
    memset(one->base, 0, (SCHEDULE_THREADS + 1) * sizeof(uint64_t));
    one->tag = from_pool ? TAG : 1;
    one->has_end = from_pool;
    one->is_kept = is_kept;
    world.live[one->tag]++;
    for (t = 0; t < schedule.plan->threads; t++)
        one->refs[t] = 1;
    for (t = 1; t < schedule.plan->threads; t++)
        fpheap_ref(one->base);
}

static void
call_ref(unsigned self)
{
    shared *one = oldest(self);

    if (one == NULL)
        return;
    one->refs[self]++;
    schedule_show();
    fpheap_ref(one->base);
    schedule_hide();
}

/* In a shared object each thread has a word. */
static void
write_word(const shared *one, unsigned self)
{
    stamp((uint64_t *)(void *)one->base + self, self);
}

/* A reference is about to be dropped.  The object is nobody's with the last
 * one; if it has no destructor, that is all of it. */
static void
drop(shared *one, unsigned self)
{
    one->refs[self]--;
    if (refs_of(one) != 0)
        return;
    set_owner(one->base, 1, NOBODY, 0);
    if (one->has_end)
        world.to_end++;
    else
        world.live[one->tag]--;
}

static void
call_unref(unsigned self)
{
    shared *one = oldest(self);

    if (one == NULL)
        return;
    write_word(one, self);
    drop(one, self);
    schedule_show();
    fpheap_unref(world.heap, one->base);
    schedule_hide();
}

/* Who has the only reference has seen what others did, and may write. */
static void
call_sole(unsigned self)
{
    shared  *one = oldest(self);
    unsigned t;

    if (one == NULL || SCHEDULE_SHOWN(fpheap_refs(one->base)) != 1)
        return;
    CHECK(one->refs[self] == 1 && refs_of(one) == 1);
    words_hold(one);
    for (t = 0; t < SCHEDULE_THREADS; t++)
        stamp((uint64_t *)(void *)one->base + t, t);
}

static void
call_register(unsigned self)
{
    int *arg = &world.arg[1 + self];
    int  number;

    (void)SCHEDULE_SHOWN(*arg = 1);
    number = SCHEDULE_SHOWN(fpheap_destructor_register(ends, arg));
    CHECK(number > 1);
}

/* By the number alone: the newest that is known. */
static void
call_newest(unsigned self)
{
    void    *base   = SCHEDULE_SHOWN(
        fpheap_alloc_tagged(world.heap, SIZE, self + 1));
    unsigned number = 3;

    CHECK(base != NULL);
    while (SCHEDULE_SHOWN(fpheap_set_destructor(base, number)) != 0)
        number--;
    world.to_end++;
    schedule_show();
    fpheap_unref(world.heap, base);
    schedule_hide();
}

/* --- groups --------------------------------------------------------------- */

static void
call_begin(unsigned self)
{
    bunch *mine = &world.part[self].bunch;

    CHECK(mine->group == NULL);
    memset(mine, 0, sizeof *mine);
    mine->cleanups = &world.cleanups[world.groups++];
    mine->group = SCHEDULE_SHOWN(fpheap_group_begin(world.heap));
    CHECK(mine->group != NULL);
}

static void
call_cut(unsigned self, size_t bytes)
{
    bunch    *mine = &world.part[self].bunch;
    uint64_t *cut  = mine->group == NULL ? NULL : (uint64_t *)SCHEDULE_SHOWN(
        fpheap_group_alloc(mine->group, bytes));

    if (mine->group == NULL)
        return;
    CHECK(cut != NULL && mine->n < CUT);
    (void)SCHEDULE_SHOWN(*cut = stamp_of(cut, 0));
    mine->cut[mine->n++] = cut;
}

static void
call_adopt(unsigned self)
{
    part  *mine  = &world.part[self];
    bunch *bunch = &mine->bunch;
    object one;

    if (bunch->group == NULL || mine->n == 0)
        return;
    one = disown(self, 0);
    set_owner(one.base, one.pages, 0, NOBODY);
    CHECK(SCHEDULE_SHOWN(fpheap_group_adopt(bunch->group, one.base)) == 0);
    bunch->adopted[bunch->adopts++] = one;
}

static void
call_adopt_ref(unsigned self)
{
    bunch  *mine = &world.part[self].bunch;
    shared *one  = oldest(self);

    if (mine->group == NULL || one == NULL)
        return;
    write_word(one, self);
    CHECK(SCHEDULE_SHOWN(fpheap_group_adopt(mine->group, one->base)) == 0);
    one->refs[self]--;
    one->refs[SCHEDULE_THREADS]++;
    mine->refs[mine->has_refs++] = one;
}

static void
clean_up(void *left)
{
    schedule_hide();
    schedule_point(__func__);
    CHECK(*(unsigned *)left != 0);
    --*(unsigned *)left;
    schedule_show();
}

static void
call_cleanup(unsigned self)
{
    bunch *mine = &world.part[self].bunch;

    if (mine->group == NULL)
        return;
    CHECK(SCHEDULE_SHOWN(fpheap_group_cleanup(mine->group, clean_up,
                                              mine->cleanups)) == 0);
    ++*mine->cleanups;
}

static void
call_mark(unsigned self)
{
    bunch *mine = &world.part[self].bunch;

    if (mine->group == NULL)
        return;
    mine->mark = SCHEDULE_SHOWN(fpheap_group_mark(mine->group));
    mine->has_mark = 1;
    mine->marked[0] = mine->n;
    mine->marked[1] = mine->adopts;
    mine->marked[2] = mine->has_refs;
    mine->marked[3] = *mine->cleanups;
}

/* What came after a number of each is about to end. */
static void
bunch_ends(bunch *of, const unsigned left[4])
{
    unsigned i;

    for (i = 0; i < of->n; i++)
        CHECK(SCHEDULE_SHOWN(*of->cut[i]) == stamp_of(of->cut[i], 0));
    for (i = left[1]; i < of->adopts; i++) {
        const object *one = &of->adopted[i];

        stamp_holds(one->base, one->by);
        world.live[fpheap_tag(one->base)]--;
        world.to_end += one->from_pool != 0;
        set_owner(one->base, one->pages, NOBODY, 0);
    }
    for (i = left[2]; i < of->has_refs; i++)
        drop(of->refs[i], SCHEDULE_THREADS);
    of->n = left[0];
    of->adopts = left[1];
    of->has_refs = left[2];
}

static void
call_rewind(unsigned self)
{
    bunch *mine = &world.part[self].bunch;

    if (mine->group == NULL || !mine->has_mark)
        return;
    bunch_ends(mine, mine->marked);
    schedule_show();
    fpheap_group_rewind(mine->group, mine->mark);
    schedule_hide();
    CHECK(*mine->cleanups == mine->marked[3]);
}

static void
call_group_end(bunch *one)
{
    static const unsigned none[4] = {0, 0, 0, 0};

    if (one->group == NULL)
        return;
    bunch_ends(one, none);
    schedule_show();
    fpheap_group_end(one->group);
    schedule_hide();
    CHECK(*one->cleanups == 0);
    one->group = NULL;
}

static void
call_hand(unsigned self)
{
    bunch *mine = &world.part[self].bunch;

    schedule_point(__func__);
    if (mine->group == NULL || world.handed.group != NULL)
        return;
    SCHEDULE_SHOWN_DO(schedule_unlock(&world.hand));
    world.handed = *mine;
    mine->group = NULL;
}

static void
call_take(unsigned self)
{
    bunch *mine = &world.part[self].bunch;

    schedule_point(__func__);
    if (mine->group != NULL || world.handed.group == NULL)
        return;
    *mine = world.handed;
    world.handed.group = NULL;
    SCHEDULE_SHOWN_DO(schedule_lock(&world.hand));
}

/* --- pools ---------------------------------------------------------------- */

static const char *const names[]  = {"one.....one", "two.....two"};
static const char *const waters[] = {"water 0", "water 1", "water 2"};

static void
crossed(void *arg, fpheap *heap, fpheap_pool *pool, int room)
{
    (void)heap, (void)pool, (void)room;
    schedule_hide();
    schedule_point(__func__);
    SCHEDULE_SHOWN_DO(++*(unsigned *)arg);
    schedule_show();
}

/* Of two that ask for a name at the same time one at most gets it. */
static void
call_pool(unsigned self, unsigned name, int water)
{
    part            *mine = &world.part[self];
    fpheap_pool_desc desc = {.name = water ? waters[self] : names[name],
                             .size = SIZE, .max = POOL_MAX, .magazine = 2,
                             .tag = TAG, .destructor = 1};

    if (mine->pool != NULL)
        return;
    if (water)
        desc.water = (fpheap_water){.low = POOL_MAX - 1, .high = POOL_MAX,
                                    .crossed = crossed, .arg = &mine->told};
    mine->water = water;
    mine->pool = SCHEDULE_SHOWN(fpheap_pool_create(world.heap, &desc));
    if (mine->pool == NULL) {
        CHECK(errno == EEXIST && !water);
        return;
    }
    mine->name = name;
    world.named[name] += !water;
    CHECK(world.named[name] <= 1);
}

/* A crossing that was told is over then. */
static void
call_end_pool(unsigned self)
{
    part *mine = &world.part[self];
    int   rc;

    if (mine->pool == NULL)
        return;
    world.named[mine->name] -= !mine->water;
    rc = SCHEDULE_SHOWN(fpheap_pool_destroy(mine->pool, NULL));
    CHECK(rc == 0 || rc == -EBUSY);
    if (rc == 0)
        SCHEDULE_SHOWN_DO(mine->told = 0);
    if (rc == 0)
        mine->pool = NULL;
    else
        world.named[mine->name] += !mine->water;
}

/* Room is crossed twice. */
static void
call_own_get(unsigned self)
{
    fpheap_pool *pool = world.part[self].pool;
    void        *object;

    if (pool == NULL)
        return;
    object = SCHEDULE_SHOWN(fpheap_pool_get(pool));
    CHECK(object != NULL);
    schedule_show();
    fpheap_pool_put(pool, object);
    schedule_hide();
}

/* No pool ever had such a name. */
static void
call_look(void)
{
    CHECK(SCHEDULE_SHOWN(fpheap_pool_lookup(world.heap, "one.....two"))
          == NULL);
    CHECK(SCHEDULE_SHOWN(fpheap_pool_lookup(world.heap, "two.....one"))
          == NULL);
}

/* Objects are looked for where their pool may be new. */
static void
call_base_of(void)
{
    size_t i, page;

    for (i = 0; i < CHUNKS; i++)
        for (page = 1; memory.given[i] && page < FPH_PAGES; page += 8) {
            char *at = arena_at(i) + page * FPHEAP_PAGE + 100;

            CHECK((char *)SCHEDULE_SHOWN(fpheap_base_of(world.heap, at)) <= at);
        }
}

/* --- the rest ------------------------------------------------------------- */

/* A heap in the buffer begins and ends. */
static void
call_buffer(void)
{
    fpheap_provider provider;
    fpheap_config   config = {.provider = &provider};
    fpheap         *heap;
    char           *object;

    provider = world.in_buffer;
    heap = SCHEDULE_SHOWN(fpheap_create("buffer", &config));
    if (heap == NULL) {
        CHECK(errno == ENOMEM);
        return;
    }
    CHECK(world.in_heaps++ == 0);
    object = (char *)SCHEDULE_SHOWN(fpheap_alloc(heap, 100));
    CHECK(object >= buffer && object < buffer + sizeof buffer);
    stamp(object, schedule_self);
    stamp_holds(object, schedule_self);
    schedule_show();
    fpheap_free(heap, object);
    schedule_hide();
    world.in_heaps--;
    CHECK(SCHEDULE_SHOWN(fpheap_destroy(heap)) == 0);
}

/* The system has a key once it was made. */
static int
system_key(unsigned *key)
{
    schedule_hide();
    schedule_point(__func__);
    *key = world.keys++ % KEYS;
    (void)SCHEDULE_SHOWN(world.key[*key] = 1);
    schedule_show();
    return 0;
}

static int
system_key_use(unsigned key)
{
    int is_known = key >= KEYS || world.key[key];

    schedule_hide();
    CHECK(is_known);
    schedule_point(__func__);
    schedule_show();
    return key >= KEYS || (world.key_ended >> key & 1) != 0 ? EINVAL : 0;
}

static int
system_key_end(unsigned key)
{
    int rc = system_key_use(key);

    schedule_hide();
    if (rc == 0)
        world.key_ended |= 1u << key;
    schedule_show();
    return rc;
}

static void *
system_map(void *at, size_t bytes, int access, int flags, int file,
           off_t offset)
{
    return world.is_full ? MAP_FAILED
                         : mmap(at, bytes, access, flags, file, offset);
}

static void
call_exit(void)
{
    schedule_show();
    fph_seat_leave(fph_table);
    schedule_hide();
    fph_this.patience = 0;
}

/* Each number was right for a moment at least. */
static void
call_stats(void)
{
    fpheap_stats      stats;
    fpheap_tag_stats  tag;
    fpheap_pool_stats pool;
    unsigned          t;

    schedule_show();
    fpheap_stats_get(world.heap, &stats);
    fpheap_pool_stats_get(world.pool, &pool);
    schedule_hide();
    CHECK(stats.regions <= CHUNKS && stats.region_bytes <= ARENA_BYTES);
    CHECK(pool.live_objects <= pool.max);
    for (t = 0; t <= TAG; t++) {
        CHECK(SCHEDULE_SHOWN(fpheap_tag_stats_get(world.heap, t, &tag)) == 0);
        CHECK(tag.objects <= UNITS);
    }
}

static void
call_unload(void)
{
    schedule_show();
    fph_unloaded();
    schedule_hide();
}

static void
call_one(unsigned self, char letter)
{
    switch (letter) {
    case 'a': call_alloc(self, 1); break;
    case 'g': call_alloc(self, FPH_PAGES - 4); break;
    case 'k': call_alloc(self, FPH_PAGES - 1); break;
    case 'G': call_alloc(self, 2 * FPH_PAGES - 1); break;
    case 'H': call_alloc(self, 3 * FPH_PAGES - 1); break;
    case 'I': call_alloc(self, 5 * FPH_PAGES - 1); break;
    case 'P': call_get(self); break;
    case 'f': call_free(self, 0); break;
    case 'l': call_free(self, world.part[self].n - 1); break;
    case 'F': schedule_show();
              fpheap_flush(world.heap);
              schedule_hide(); break;
    case 'T': (void)SCHEDULE_SHOWN(fpheap_trim(world.heap)); break;
    case 'X': call_exit(); break;
    case 'S': call_stats(); break;
    case 'D': schedule_show();
              fpheap_dump(world.heap, nowhere);
              schedule_hide(); break;
    case 'C': call_exit(); fph_this.patience = FPH_NEVER; break;
    case 'r': call_ref(self); break;
    case 'u': call_unref(self); break;
    case 's': call_sole(self); break;
    case 'd': call_register(self); break;
    case 'e': call_newest(self); break;
    case 'N': call_begin(self); break;
    case '1': call_cut(self, 300); break;
    case '4': call_cut(self, 3000); break;
    case 't': call_adopt(self); break;
    case 'v': call_adopt_ref(self); break;
    case 'c': call_cleanup(self); break;
    case 'm': call_mark(self); break;
    case 'z': call_rewind(self); break;
    case 'E': call_group_end(&world.part[self].bunch); break;
    case 'M': call_hand(self); break;
    case 'J': call_take(self); break;
    case 'n': call_pool(self, 0, 0); break;
    case 'w': call_pool(self, 1, 0); break;
    case 'W': call_pool(self, 0, 1); break;
    case 'y': call_end_pool(self); break;
    case 'p': call_own_get(self); break;
    case 'x': call_look(); break;
    case 'B': call_base_of(); break;
    case 'Z': call_buffer(); break;
    case 'U': call_unload(); break;
    case ' ': break;
    default:  abort();
    }
}

static void
calls(unsigned self, const char *letters)
{
    for (; *letters != 0; letters++)
        call_one(self, *letters);
}

/* --- one run -------------------------------------------------------------- */

/* Which of the scenes with this word at its beginning it is. */
static int
is_about(const char *word)
{
    return strncmp(world.scene->name, word, strlen(word)) == 0;
}

/* No thread has a key, nor has the process. */
static void
keys_begin(void)
{
    fph_key_made = 0;
    memset(world.key, 0, sizeof world.key);
    world.keys = world.key_ended = 0;
}

static void
destructors_begin(void)
{
    memset(fph_destructors, 0, sizeof fph_destructors);
    fph_destructor_count = 0;
    memset(world.arg, 0, sizeof world.arg);
    world.arg[0] = 1;
    CHECK(fpheap_destructor_register(ends, &world.arg[0]) == 1);
}

/* Records are made of the heap's own pages from here on. */
static void
meta_ends(void)
{
    fph_word *cursor = &world.heap->state->meta_cursor.word;
    uint64_t  end    = *cursor >> 20 & FPH_META_FIELD;

    *cursor = (*cursor & ~FPH_META_FIELD) | end;
    world.is_full = 1;
}

static void
world_begin(void)
{
    fpheap_config    config = {.provider = arena_provider()};
    fpheap_pool_desc desc   = {.name = "pool", .size = SIZE, .max = POOL_MAX,
                               .magazine = 2, .tag = TAG, .destructor = 1};

    memory_begin();
    world.is_full = 0;
    memset(world.part, 0, sizeof world.part);
    memset(world.cleanups, 0, sizeof world.cleanups);
    world.n_shared = world.ended = world.to_end = world.groups = 0;
    keys_begin();
    destructors_begin();
    fpheap_provider_buffer(&world.in_buffer, &world.buffer, buffer,
                           sizeof buffer);
    world.heap = fpheap_create("schedule", &config);
    CHECK(world.heap != NULL);
    world.pool = fpheap_pool_create(world.heap, &desc);
    CHECK(world.pool != NULL);
    share(0 /* from_pool */, 0);
    share(1, 0 /* is_kept */);
    share(1, 1);
    if (is_about("slots"))
        world.heap->state->regions_max = (size_t)(world.scene->name[6] - '0');
    if (is_about("key"))
        keys_begin();
}

static void
world_prepare(unsigned self)
{
    CHECK(is_about("key") || fpheap_self(world.heap) != NULL);
    calls(self, world.scene->before[self]);
    if (is_about("full") && self + 1 == schedule.plan->threads)
        meta_ends();
}

static void
world_work(unsigned self)
{
    calls(self, world.scene->during[self]);
}

static void
heap_is_sound(void)
{
    const char *wrong = fpheap_check(world.heap);

    if (wrong != NULL)
        schedule_fail("%s", wrong);
    CHECK(world.ended == world.to_end);
}

/* What is live is somebody's, or a piece of a group. */
static int
is_owned(void *sum, const fpheap_object *live)
{
    *(unsigned *)sum += world.owner[unit_of((char *)live->base) / 2] != 0;
    return 0;
}

static void
tags_are_right(void)
{
    unsigned walked = 0, live = 0;
    unsigned t;

    for (t = 1; t <= TAG; t++) {
        fpheap_tag_stats tag;

        CHECK(fpheap_tag_stats_get(world.heap, t, &tag) == 0);
        CHECK(tag.objects == world.live[t]);
        live += world.live[t];
    }
    fpheap_walk(world.heap, is_owned, &walked);
    CHECK(walked == live);
}

static void
world_check(void)
{
    unsigned t, i;

    heap_is_sound();
    tags_are_right();
    for (t = 0; t < schedule.plan->threads; t++)
        for (i = 0; i < world.part[t].n; i++)
            stamp_holds(world.part[t].object[i].base, t);
}

/* End and free all, and leave. */
static void
world_clean(unsigned self)
{
    part *mine = &world.part[self];

    call_group_end(&mine->bunch);
    call_group_end(&world.handed);
    while (oldest(self) != NULL)
        call_unref(self);
    while (mine->n > 0)
        call_free(self, 0);
    if (mine->pool != NULL)
        CHECK(fpheap_pool_destroy(mine->pool, NULL) == 0);
    world.named[mine->name] -= mine->pool != NULL && !mine->water;
    call_exit();
}

static void
world_end(void)
{
    fpheap_stats     s;
    fpheap_tag_stats tag;

    CHECK(fpheap_pool_destroy(world.pool, NULL) == 0);
    fpheap_thread_leave(world.heap);
    fpheap_trim(world.heap);
    heap_is_sound();
    tags_are_right();
    fpheap_stats_get(world.heap, &s);
    CHECK(s.live_objects == 0 && s.parked_objects == 0);
    CHECK(s.slab_free_bytes == 0 && s.caches == 0);
    CHECK(fpheap_tag_stats_get(world.heap, 0, &tag) == 0 && tag.objects == 0);
    CHECK(fpheap_destroy(world.heap) == 0);
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
    memory_of_scene(one->chunks, is_about("slots"), 0 /* shares */);
    memory.is_apart = is_about("slots");
    memory.is_far = is_about("full and far");
    return plan;
}

/* --- what is run ---------------------------------------------------------- */

/* What threads do at once, with what brings them in front of it. */
static const operation operations[] = {
    {"hit",      "aaff",    "afaaff"}, /* in the cache */
    {"put",      "aaaaaa",  "fff"},
    {"claim",    "",        "aaa"},
    {"give1",    "Caa",     "faf"},    /* without a cache */
    {"pool",     "PP",      "fPfF"},
    {"trim",     "gfaf",    "T"},
    {"grow",     "",        "g"},
    {"exit",     "aaff",    "X"},
    {"enter",    "aX",      "fa"},
    {"unref",    "",        "uuu"},
    {"ref",      "r",       "urus"},
    {"group",    "a",       "N1tcv4E"},
    {"rewind",   "aN1cm4t", "vzE"},
    {"join",     "aN1tvcM", "JE"},
    {"newest",   "",        "e"},
    {"name",     "n",       "yw"},
    {"look",     "",        "x"},
    {"count",    "a",       "S"},
    {"dump",     "a",       "D"},
    {"water",    "W",       "py"},
    {"buffer",   "",        "ZZ"},
};
#define OPERATIONS (sizeof operations / sizeof *operations)

/* In an order that matters, or of several threads. */
static const scene scenes[] = {
    {"last", {"", ""}, {"u", "u"}, 0, 0, 0},
    {"last of three", {"", "", ""}, {"u", "ua", "us"}, 0, 0, 0},
    {"sole", {"", ""}, {"u", "s"}, 0, 0, 0},
    {"destructor", {"", ""}, {"d", "e"}, 0, 0, 0},
    {"two destructors", {"", "", ""}, {"d", "d", "ee"}, 0, 0, 0},
    {"two groups", {"Nv", "Nv"}, {"E", "E"}, 0, 0, 0},
    {"group and last", {"Nvvv", ""}, {"E", "uuu"}, 0, 0, 0},
    {"group rewound", {"N1mvv4vc", ""}, {"zE", "uuu"}, 0, 0, 0},
    {"group handed", {"aN1tcv", ""}, {"4M", "JuuE"}, 0, 0, 0},
    {"group joined", {"aN1tcv", "", ""}, {"M", "JvM", "uJE"}, 0, 0, 0},
    {"name ends", {"n", ""}, {"yw", "x"}, 0, 0, 0},
    {"name comes", {"w", ""}, {"yn", "x"}, 0, 0, 0},
    {"names", {"", ""}, {"ny", "ny"}, 0, 0, 0},
    {"pool and count", {"", "aaf"}, {"n", "SD"}, 0, 0, 0},
    {"pool and base", {"gfF", ""}, {"np", "B"}, 0, 0, 0},
    {"pool and trim", {"", "aaf"}, {"n", "T"}, 0, 0, 0},
    {"water begins", {"", "W"}, {"Wp", "PfPf"}, 0, 0, 0},
    {"water ends", {"W", "W"}, {"py", "PfPf"}, 0, 0, 0},
    {"buffer", {"", ""}, {"Z", "ZZ"}, 0, 0, 0},
    {"slab", {"Caa", "Caaaa"}, {"a", "ff"}, 0, 0, 0},
    {"key", {"", ""}, {"a", "a"}, 0, 0, 0},
    {"key and end", {"", ""}, {"a", "U"}, 0, 0, 0},
    {"keys and end", {"", "", ""}, {"a", "a", "U"}, 0, 0, 0},
    /* A table of so many regions is full when one is to be cut. */
    {"slots 3", {"HfFkkkfkfFGlF", ""}, {"T", "G"}, 0, 0, 1},
    {"slots 4", {"NIfFkkkkk fkfFtfF", ""}, {"T", "T"}, 0, 0, 1},
    /* Memory that was others' becomes records. */
    {"full and far", {"k", "k"}, {"kg", "f"}, 0, 0, 0},
    {"full and pool", {"", ""}, {"n", "T"}, 0, 0, 0},
};
#define SCENES (sizeof scenes / sizeof *scenes)

#define SHARE              (FPHEAP_CHECK > 1 ? 0.25 : 1.0)
#define SECONDS_OF_PAIRS   (1.5 * SHARE)
#define SECONDS_OF_ORDERS  (1.5 * SHARE)
#define SECONDS_OF_TRIPLES (0.5 * SHARE)
#define SECONDS_AT_RANDOM  (0.5 * SHARE)
#include "schedule_scenes.h"

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_schedule_replays),
        cmocka_unit_test(orders_that_matter),
        cmocka_unit_test(every_pair_of_operations),
        cmocka_unit_test(triples_of_operations),
        cmocka_unit_test(schedules_at_random),
    };
    int failed;

    nowhere = fopen("/dev/null", "w");
    schedule_init();
    schedule_begin("test_schedules_header", 4 * SHARE /* seconds */, replay);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_access(0, CHUNKS, 1); /* LeakSanitizer reads it at the end */
    fclose(nowhere);
    printf("%llu schedules\n", (unsigned long long)schedule.runs);
    return failed;
}
