/* test_schedules_shared.c - clean-ups of a shared heap under many schedules
 * SPDX-License-Identifier: MIT OR Unlicense
 *
 * Each thread is a process of its own, as far as the heap can tell: a member
 * with a handle and an open file of its own, at the same memory.  Some die: they
 * stop in front of any atomic access or system call, and then the system closes
 * their files, which drops their locks.  Others clean up, open, work and close
 * meanwhile (schedule.h).  After each schedule:
 *
 *   - nobody waited without end
 *   - once the dead are cleaned up after, every invariant that fpheap_check knows
 *     holds, and each corpse was counted once
 *   - no page had two owners at a time, and all that the living have is live
 *   - of what nobody has, no more is live than a magazine for each of the dead
 *   - when all is freed nothing is parked and no cache has an owner
 *
 * ThreadSanitizer sees what the heap's atomics order, and what the system does:
 * whoever gets a lock comes after the one that had it, though that one has died.
 *
 * What a thread does is written as a word, a letter for a call:
 *
 *     O  open        a  allocate a page      f  free the oldest    R  recover
 *     C  close       c  half                 F  flush              X  leave
 *     D  die         g  eleven pages         T  trim
 *     E  become the cleaner for a moment, if nobody is; K  and die so
 *     N  another thread of the process has had this cache, and this one that
 *        thread's
 *     J  be a thread of the first process
 *     Z  exit, as a thread
 *     r  make the newest object the root
 *     p  look at what is in the root
 *     M  open another partition, or make it, and leave it
 *     V  open to read only, look at all, close: each piece is copied in a step
 *     L  open to read only         W  walk
 */
#define SCHEDULE_THREADS 5
#include "schedule.h"

#include <fcntl.h>
#include <stdarg.h>

/* System calls by which processes act on each other are steps too. */
static int system_open(const char *path, int flags);
static int system_close(int file);
static int system_lock(int file, int what, void *lock);
static void *system_copy(void *to, const void *from, size_t bytes);

#define FPHEAP_CHUNK_SHIFT 16
#define FPHEAP_PAGE_SHIFT  12
#define FPHEAP_CLASS_BITS  2
#define FPHEAP_MAGAZINE    8
#define FPHEAP_MAX_NODES   1
#define FPHEAP_MAX_HEAPS   8
#define FPHEAP_MAX_THREADS 16
#define FPHEAP_MAX_POOLS   1
#define FPHEAP_PANIC(message) schedule_fail("%s", message)
#define FPHEAP_STATIC
#define FPHEAP_IMPLEMENTATION
#define open(path, flags)          system_open(path, flags)
#define close(file)                system_close(file)
#define fcntl(file, what, ...)     system_lock(file, what, __VA_ARGS__ + 0)
#pragma push_macro("memcpy")
#undef memcpy
#define memcpy(to, from, bytes)    system_copy(to, from, bytes)
#include "fpheap.h"
#pragma pop_macro("memcpy")
#undef open
#undef close
#undef fcntl

#include <cmocka.h>

#define CHUNKS  16
#define BYTES   (CHUNKS * FPHEAP_CHUNK)
#define UNIT    (FPHEAP_PAGE / 2)
#define UNITS   (BYTES / UNIT)
#define OBJECTS 64             /* that one thread may have */
#define LOCKS   (FPH_READERS + SCHEDULE_THREADS)
#define OTHER   (4 * FPHEAP_CHUNK)  /* bytes of another partition, */
#define BEHIND  FPHEAP_CHUNK        /* whose locks come from here on */

/* --- the world ------------------------------------------------------------ */

typedef struct object {
    char    *base;
    unsigned units;
} object;

/* A process, which has one thread that runs. */
typedef struct process {
    fpheap   *heap;            /* NULL: not open */
    int       file;            /* -1: none */
    char      locked[2 * LOCKS]; /* bytes of which it has the lock */
    object    object[OBJECTS];
    unsigned  n;
    int       cleans;
    int       reads;           /* beside those who write */
    fph_entry other;           /* another thread's */
} process;

/* What each does before the schedule and in it, NULL for no process. */
typedef struct scene {
    const char *name;
    const char *before[SCHEDULE_THREADS];
    const char *during[SCHEDULE_THREADS];
    unsigned    mortal;        /* processes that may die, a bit each */
} scene;

static struct world {
    const scene *scene;
    fpheap      *heap;         /* the main thread's, which is idle meanwhile */
    process      process[SCHEDULE_THREADS];
    uint8_t      owner[UNITS]; /* process + 1 */
    int          file;
} world;

/* Aligned so that the tables are the same in every run of the program. */
static char arena[BYTES] __attribute__((aligned(BYTES)));
static char other_arena[OTHER] __attribute__((aligned(OTHER)));

static process *
this_process(void)
{
    return schedule_self == SCHEDULE_THREADS ? NULL
                                             : &world.process[schedule_self];
}

/* --- the system ----------------------------------------------------------- */

static char the_locks;         /* a word for the scheduler */
static model_lock lock_of[2 * LOCKS]; /* what orders those who have a byte's
                                        lock one after the other */

static int
system_open(const char *path, int flags)
{
    process *mine = this_process();
    int      file;

    schedule_hide();
    file = open(path, flags);
    if (mine != NULL && mine->file < 0)
        mine->file = file;
    schedule_show();
    return file;
}

/* The system drops all locks that a process has by its file. */
static void
close_file(process *mine)
{
    unsigned i;

    for (i = 0; i < 2 * LOCKS; i++)
        if (mine->locked[i])
            schedule_unlock(&lock_of[i]);
    schedule_hide();
    memset(mine->locked, 0, sizeof mine->locked);
    close(mine->file);
    mine->file = -1;
    schedule_show();
}

static int
system_close(int file)
{
    process *mine = this_process();

    schedule_step(&the_locks, 1, __func__);
    if (mine != NULL && mine->file == file) {
        close_file(mine);
        return 0;
    }
    schedule_hide();
    close(file);
    schedule_show();
    return 0;
}

/* Whoever gets a lock, or sees that it could be had, comes after whoever had it
 * before. */
static int
system_lock(int file, int what, void *arg)
{
    struct flock *lock = (struct flock *)arg;
    process      *mine = this_process();
    size_t        at   = what == F_GETFD ? 0 : (size_t)lock->l_start;
    int           rc;

    schedule_step(&the_locks, 1, __func__);
    if (at >= BEHIND)
        at += LOCKS - BEHIND;
    CHECK(at < 2 * LOCKS);
    if (what == F_OFD_SETLK && lock->l_type == F_UNLCK)
        schedule_unlock(&lock_of[at]);
    schedule_hide();
    rc = fcntl(file, what, lock);
    if (mine != NULL && rc == 0 && what == F_OFD_SETLK)
        mine->locked[at] = lock->l_type != F_UNLCK;
    schedule_show();
    if (rc == 0 && (what == F_OFD_SETLK
                    || (what == F_OFD_GETLK && lock->l_type == F_UNLCK)))
        schedule_lock(&lock_of[at]);
    return rc;
}

static void *
system_copy(void *to, const void *from, size_t bytes)
{
    process *mine = this_process();

    if (mine != NULL && mine->reads)
        schedule_point(__func__);
    return memcpy(to, from, bytes);
}

/* A process is no more: its thread has stopped for good, and some time later its
 * file is closed.  What the thread had in its own memory is the next one's. */
static void
process_dies(unsigned self)
{
    process *mine = &world.process[self];

    schedule_point(__func__);
    schedule_show();
    if (mine->file >= 0)
        close_file(mine);
    schedule_hide();
    mine->heap = NULL;
    mine->cleans = 0;
    schedule_point(__func__);
}

/* --- owners --------------------------------------------------------------- */

static size_t
unit_of(const char *base)
{
    CHECK(base >= arena && base < arena + BYTES);
    return (size_t)(base - arena) / UNIT;
}

/* The units of an object go from one owner to another. */
static void
set_owner(const object *one, unsigned from, unsigned to)
{
    unsigned i;

    for (i = 0; i < one->units; i++) {
        uint8_t  *owner = &world.owner[unit_of(one->base) + i];
        uint64_t *stamp = (uint64_t *)(void *)(one->base + i * UNIT);

        if (*owner != from)
            schedule_fail("memory of process %u is process %u's too",
                          schedule_self, *owner - 1u);
        CHECK(from == 0 || SCHEDULE_SHOWN(*stamp) == from);
        *owner = (uint8_t)to;
        (void)SCHEDULE_SHOWN(*stamp = to);
    }
}

static void
call_alloc(process *mine, unsigned units)
{
    object *one = &mine->object[mine->n];

    CHECK(mine->n < OBJECTS);
    one->base = (char *)SCHEDULE_SHOWN(
        fpheap_alloc(mine->heap, units * UNIT));
    one->units = units;
    CHECK(one->base != NULL);
    set_owner(one, 0, schedule_self + 1);
    mine->n++;
}

/* Who dies in the call has the object no more, whether it is free or not. */
static void
call_free(process *mine)
{
    object one = mine->object[0];

    if (mine->n == 0)
        return;
    mine->n--;
    memmove(mine->object, mine->object + 1, mine->n * sizeof one);
    set_owner(&one, (unsigned)(mine - world.process) + 1, 0);
    schedule_show();
    fpheap_free(mine->heap, one.base);
    schedule_hide();
}

/* --- calls ---------------------------------------------------------------- */

static fpheap *
partition_open(unsigned flags)
{
    fpheap_partition desc = {.bytes = BYTES, .address = arena,
                             .descriptor = world.file,
                             .flags = FPHEAP_DESCRIPTOR | FPHEAP_MAPPED};
    fpheap          *heap = SCHEDULE_SHOWN(fpheap_open(NULL, &desc, flags));

    if (heap == NULL)
        schedule_fail("no heap: %s", strerror(errno));
    return heap;
}

/* A member that is alive and in a call may make it too long. */
static void
call_recover(process *mine)
{
    int rc = SCHEDULE_SHOWN(fpheap_recover(mine->heap, 0));

    CHECK(rc >= 0 || rc == -EBUSY);
}

static void
call_die(unsigned self)
{
    schedule.dead |= 1u << self;
    process_dies(self);
}

/* Of those that live one at a time cleans up. */
static void
call_enter(process *mine, int dies)
{
    uint64_t cleaner;
    unsigned i;

    if (!SCHEDULE_SHOWN(fph_cleaner_enter(mine->heap, &cleaner)))
        return;
    for (i = 0; i < SCHEDULE_THREADS; i++)
        CHECK(!world.process[i].cleans);
    mine->cleans = 1;
    schedule_point(__func__);
    if (dies) {
        call_die(schedule_self);
        return;
    }
    mine->cleans = 0;
    schedule_show();
    fph_store_release(&world.heap->partition->cleaner, 0);
    schedule_hide();
}

static void
call_close(process *mine)
{
    fpheap *heap = mine->heap;

    CHECK(SCHEDULE_SHOWN(fpheap_close(heap)) == 0);
    mine->heap = NULL;
}

/* Objects that somebody has all the while are found. */
static void
view_finds(fpheap *view, const process *one)
{
    unsigned i, k;

    for (i = 0; i < one->n; i++) {
        object      has  = one->object[i];
        const char *base = (const char *)fpheap_base_of(view, has.base + 100);

        for (k = 0; k < one->n && one->object[k].base != has.base; k++)
            ;
        CHECK(k == one->n || base == has.base);
    }
}

/* A process that only reads is no member, and trusts nothing: what it counts is
 * not more than there can be.  (Its copies are meant to race.) */
static void
call_view(process *mine)
{
    fpheap      *view = partition_open(FPHEAP_READ_ONLY);
    fpheap_stats s;
    unsigned     i;

    mine->reads = 1;
    fpheap_stats_get(view, &s);
    CHECK(s.region_bytes <= BYTES && s.live_bytes <= BYTES);
    CHECK(s.slab_free_bytes <= BYTES && s.page_free_bytes <= BYTES);
    CHECK(s.metadata_bytes <= BYTES && s.parked_bytes <= BYTES);
    for (i = 0; i < schedule.plan->threads; i++)
        view_finds(view, &world.process[i]);
    mine->reads = 0;
    CHECK(SCHEDULE_SHOWN(fpheap_close(view)) == 0);
}

/* The cache that an entry leads to knows where it is. */
static void
entry_moved(fph_entry *entry)
{
    if (entry->bins != fph_no_bins && entry->bins != NULL)
        fph_cache_of(entry->bins)->entry = entry;
}

/* This thread's cache becomes another's, and that one's becomes its own. */
static void
call_swap(process *mine)
{
    fph_entry *entry = fph_my_entry(mine->heap);
    fph_entry  other = mine->other;

    schedule_show();
    mine->other = *entry;
    fph_entry_set(entry, other.bins, other.local);
    entry_moved(&mine->other);
    entry_moved(entry);
    schedule_hide();
}

/* This thread has the cache of a process's other thread. */
static void
call_exit(process *mine)
{
    schedule_show();
    fph_seat_leave(fph_table);
    schedule_hide();
    mine->heap = NULL;
}

static void
call_set_root(process *mine)
{
    CHECK(SCHEDULE_SHOWN(fpheap_set_root(
              mine->heap, mine->object[mine->n - 1].base)) == 0);
}

/* What the first process has there is as that one made it. */
static void
call_root(process *mine)
{
    uint64_t *root = (uint64_t *)SCHEDULE_SHOWN(
        fpheap_root(mine->heap));

    CHECK(root == NULL || SCHEDULE_SHOWN(*root) == 1);
}

static void
call_make(void)
{
    fpheap_partition desc = {.bytes = OTHER, .address = other_arena,
                             .descriptor = world.file, .offset = BEHIND,
                             .flags = FPHEAP_DESCRIPTOR | FPHEAP_MAPPED};
    fpheap          *heap = SCHEDULE_SHOWN(fpheap_open(NULL, &desc,
                                                       FPHEAP_CREATE));

    CHECK(heap != NULL && heap->state == heap->partition->state);
    CHECK(SCHEDULE_SHOWN(fpheap_close(heap)) == 0);
}

/* Live objects that somebody has, and others. */
typedef struct count {
    unsigned owned, lost;
} count;

static int
count_live(void *arg, const fpheap_object *live)
{
    count *sum = (count *)arg;

    if (world.owner[unit_of((char *)live->base)] != 0)
        sum->owned++;
    else
        sum->lost++;
    return 0;
}

static fpheap *
reader_open(void)
{
    fpheap *heap;

    schedule_hide();
    heap = partition_open(FPHEAP_READ_ONLY);
    schedule_show();
    return heap;
}

/* Who only reads sees all that stays live, though others change what is beside
 * it.  (It looks at what they write, which is no race: it trusts nothing.) */
static void
call_read(process *mine)
{
    count    sum = {0, 0};
    unsigned has = 0, i;

    for (i = 0; i < SCHEDULE_THREADS; i++)
        has += world.process[i].n;
    CHECK(fpheap_walk(mine->heap, count_live, &sum) == 0);
    CHECK(sum.owned == has);
}

static void
call_one(unsigned self, char letter)
{
    process *mine = &world.process[self];

    switch (letter) {
    case 'O': mine->heap = partition_open(0); break;
    case 'C': call_close(mine); break;
    case 'E': call_enter(mine, 0); break;
    case 'K': call_enter(mine, 1); break;
    case 'D': call_die(self); break;
    case 'N': call_swap(mine); break;
    case 'J': mine->heap = world.process[0].heap; break;
    case 'Z': call_exit(mine); break;
    case 'r': call_set_root(mine); break;
    case 'p': call_root(mine); break;
    case 'M': call_make(); break;
    case 'L': mine->heap = reader_open(); break;
    case 'W': call_read(mine); break;
    case 'a': call_alloc(mine, 2); break;
    case 'c': call_alloc(mine, 1); break;
    case 'g': call_alloc(mine, 2 * 11); break;
    case 'f': call_free(mine); break;
    case 'F': schedule_show();
              fpheap_flush(mine->heap);
              schedule_hide(); break;
    case 'X': schedule_show();
              fpheap_thread_leave(mine->heap);
              schedule_hide(); break;
    case 'T': (void)SCHEDULE_SHOWN(fpheap_trim(mine->heap)); break;
    case 'R': call_recover(mine); break;
    case 'V': call_view(mine); break;
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

static void
world_begin(void)
{
    unsigned i;

    memset(arena, 0, sizeof arena);
    memset(other_arena, 0, sizeof other_arena);
    memset(world.owner, 0, sizeof world.owner);
    memset(world.process, 0, sizeof world.process);
    for (i = 0; i < SCHEDULE_THREADS; i++) {
        world.process[i].file = -1;
        fph_entry_set(&world.process[i].other, fph_no_bins, fph_no_bins);
    }
    world.heap = partition_open(FPHEAP_CREATE | FPHEAP_EXCLUSIVE);
    CHECK(world.heap == &fph_heaps[0]);
}

static void
world_prepare(unsigned self)
{
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
    const char *wrong = fpheap_check(world.heap);

    if (wrong != NULL)
        schedule_fail("%s", wrong);
}

/* A cache has no owner, or one that is there. */
static void
owners_are_members(void)
{
    fpheap_cache *cache;
    size_t        seat = 0;

    while ((cache = fph_cache_next(world.heap->state, &seat)) != NULL) {
        uint64_t owner = fph_slot_of(cache)->owner;

        CHECK(fph_slot_of(cache)->calls == 0);
        CHECK(owner == 0
              || world.heap->partition->member[owner - 1].is != 0);
    }
}

/* Who has not closed, and is not dead, has a place, and nobody else. */
static void
places_are_those_of_members(void)
{
    unsigned places = 0, open = 1, i;

    for (i = 0; i < FPH_MEMBERS; i++)
        places += world.heap->partition->member[i].is != 0;
    for (i = 0; i < SCHEDULE_THREADS; i++)
        open += world.process[i].heap != NULL;
    CHECK(places == open);
}

static void
world_check(void)
{
    count    sum = {0, 0};
    unsigned dead, has = 0, i;

    dead = (unsigned)__builtin_popcount(schedule.dead);
    CHECK(fpheap_recover(world.heap, 0) >= 0);
    heap_is_sound();
    places_are_those_of_members();
    owners_are_members();
    for (i = 0; i < SCHEDULE_THREADS; i++)
        has += world.process[i].n;
    fpheap_walk(world.heap, count_live, &sum);
    CHECK(sum.owned == has);
    CHECK(sum.lost <= dead * FPHEAP_MAGAZINE);
    CHECK(world.heap->partition->recovered <= dead);
}

/* Free all and leave.  The next thread of this number is a new one. */
static void
world_clean(unsigned self)
{
    process *mine = &world.process[self];
    unsigned i;

    while (mine->heap != NULL && mine->n > 0)
        call_free(mine);
    if (mine->heap != NULL)
        call_close(mine);
    memset(&fph_this, 0, sizeof fph_this);
    for (i = 0; i < FPHEAP_MAX_HEAPS; i++)
        fph_entry_set(&fph_table[i], fph_no_bins, fph_no_bins);
}

static int
free_live(void *arg, const fpheap_object *live)
{
    void ***next = (void ***)arg;

    *(*next)++ = live->base;
    return 0;
}

/* What processes leave that are no more: live objects, and in the memory that
 * they share here their handles. */
static void
world_end(void)
{
    static void *objects[UNITS];
    void       **next = objects;
    fpheap_stats s;
    unsigned     i;

    fpheap_walk(world.heap, free_live, &next);
    while (next > objects)
        fpheap_free(world.heap, *--next);
    fpheap_thread_leave(world.heap);
    fpheap_trim(world.heap);
    heap_is_sound();
    fpheap_stats_get(world.heap, &s);
    CHECK(s.live_objects == 0 && s.parked_objects == 0);
    CHECK(s.slab_free_bytes == 0 && s.caches == 0);
    CHECK(fpheap_close(world.heap) == 0);
    for (i = 0; i < FPHEAP_MAX_HEAPS; i++) {
        if (fph_heap_used[i] != 0 && fph_heaps[i].pools != NULL)
            munmap(fph_heaps[i].pools, FPHEAP_MAX_POOLS * sizeof(fpheap_pool));
        memset(&fph_heaps[i], 0, sizeof fph_heaps[i]);
        fph_heap_used[i] = 0;
        fph_gates[i] = 0;
    }
    memset(fph_seats, 0, sizeof fph_seats);
    memset(&fph_this, 0, sizeof fph_this);
}

/* While a cleaner rebuilds, all others that begin a call wait for it, but for
 * those that only read. */
static int
nothing_else_goes_on(void)
{
    return (world.heap->partition->cleaner & FPH_REBUILDING) != 0;
}

static int
only_reads(const scene *one)
{
    unsigned i;

    for (i = 0; i < SCHEDULE_THREADS; i++)
        if (one->during[i] != NULL && strpbrk(one->during[i], "VL") != NULL)
            return 1;
    return 0;
}

static schedule_plan
plan_of(const scene *one)
{
    schedule_plan plan = {one->name, schedule_threads(one->during),
                          0 /* patient */, world_begin, world_prepare,
                          world_work, world_check, world_clean, world_end,
                          one->mortal, process_dies,
                          only_reads(one) ? NULL : nothing_else_goes_on, 0};

    world.scene = one;
    return plan;
}

/* --- what is run ---------------------------------------------------------- */

/* One dead, or about to leave, and two or three others. */
static const scene scenes[] = {
    {"cleaners", {"Oaaf", "Oaf", "Oaf"}, {"D", "R", "R"}, 0},
    {"cleaner dies", {"Oaaf", "Oaf", "Oaf"}, {"D", "R", "Raf"}, 2},
    {"open", {"Oaaf", "Oaf", ""}, {"D", "R", "Oaf"}, 0},
    {"opener dies", {"Oaaf", "", "Oaf"}, {"D", "Oaf", "Raf"}, 2},
    {"two open", {"Oaaf", "", ""}, {"D", "Oaf", "Oaf"}, 0},
    {"work", {"Oaaf", "Oaf", "Oaaaaaff"}, {"D", "R", "afaF"}, 0},
    {"first cache", {"Oaaf", "Oaf", "O"}, {"D", "R", "aaf"}, 0},
    {"leave", {"Oaaf", "Oaf", "Oaaf N aaf N"}, {"D", "R", "Xa"}, 0},
    {"close", {"Oaaf", "Oaf", "Oaaf N aaf N"}, {"D", "R", "C"}, 0},
    {"close and come", {"Oaaf", "Oaf", ""}, {"C", "R", "Oaf"}, 0},
    {"enter", {"O", "O", "O", ""}, {"K", "E", "R", "OE"}, 0},
    {"grow", {"Oaaf", "Oaf", "Oaf"}, {"D", "R", "gfT"}, 0},
    {"cleaners and work", {"Oaaf", "Oaf", "Oaf", "Oaf"}, {"D", "R", "R", "a"}, 0},
    {"come after", {"Oaaf", "Oaf", "OaaafffX", ""}, {"D", "R", "TC", "O"}, 0},
    {"exit and close", {"Oaaf", "Jaf"}, {"C", "Z"}, 0},
    {"root", {"O", "O"}, {"ar", "p"}, 0},
    {"make", {"", ""}, {"M", "M"}, 0},
    {"reader", {"", "Oaf"}, {"V", "aaafffgT"}, 0},
    {"reader and clean", {"", "Oaaf", "Oaf"}, {"V", "D", "Rg"}, 0},
    {"reader and come", {"", "", "Oaf"}, {"V", "OafC", "aaC"}, 0},
    {"read", {"Oaaf", "Oaaf", ""}, {"D", "RXT", "LWC"}, 0},
};
#define SCENES (sizeof scenes / sizeof *scenes)

/* In what a process dies. */
static const struct operation {
    const char *name;
    const char *before;
    const char *during;
} operations[] = {
    {"alloc", "O", "aaac"},
    {"free", "Oaaaaaaaa", "ffffffff"},
    {"large", "O", "gff"},
    {"trim", "Oaaaaaaaaffffffff", "T"},
    {"flush", "Oaaacccffff", "F"},
    {"exit", "Oaaaff", "X"},
    {"close", "Oaaf N aaf N", "C"},
    {"open", "", "Oaf"},
    {"recover", "Oaf", "R"},
};
#define OPERATIONS (sizeof operations / sizeof *operations)

static uint64_t
run_at_random(const schedule_plan *plan, double seconds)
{
    return schedule_random(plan, &schedule_program.seed, UINT64_MAX, seconds);
}

static void
clean_ups_beside_one_or_two(void **unused)
{
    size_t i;

    (void)unused;
    schedule_begin_case(3.0);
    schedule_print_titles("preemptions, deaths:", "   random");
    for (i = 0; i < SCENES; i++) {
        schedule_plan plan    = plan_of(&scenes[i]);
        double        seconds = schedule_slice(SCENES - i) / 2;

        if (!schedule_is_wanted(plan.name))
            continue;
        schedule_print_all(&plan, schedule_program.is_long ? 3 : 2, seconds);
        printf(" %8llu\n", (unsigned long long)run_at_random(&plan, seconds));
    }
}

/* A victim; two that clean up, of which the first may die too; one that opens;
 * one that closes, of which another thread has a cache. */
static void
scene_of(scene *one, char *name, const struct operation *victim, int cleaner)
{
    static const scene others = {
        NULL, {NULL, "Oaf", "Oaf", "", "Oaaf N aaf N"},
        {NULL, "R", "R", "OafR", "C"}, 0
    };

    *one = others;
    one->name = name;
    one->mortal = cleaner ? 3 : 1;
    one->before[0] = victim->before;
    one->during[0] = victim->during;
    sprintf(name, "%s+%s", cleaner ? "two" : "one", victim->name);
}

static void
clean_ups_beside_all(void **unused)
{
    size_t i;

    (void)unused;
    schedule_begin_case(5.0);
    for (i = 0; i < 2 * OPERATIONS; i++) {
        char          name[32];
        scene         one;
        schedule_plan plan;

        scene_of(&one, name, &operations[i / 2], i % 2);
        plan = plan_of(&one);
        if (schedule_is_wanted(name))
            printf("  %-24s %8llu\n", name,
                   (unsigned long long)run_at_random(
                       &plan, schedule_slice(2 * OPERATIONS - i)));
    }
}

/* --- one schedule again --------------------------------------------------- */

static void
replay_scene(const scene *one, const char *text)
{
    schedule_plan plan = plan_of(one);

    schedule_replay(&plan, text);
}

static void
replay(const char *text)
{
    size_t i;
    char   name[32];
    scene  one;

    for (i = 0; i < SCENES; i++)
        replay_scene(&scenes[i], text);
    for (i = 0; i < 2 * OPERATIONS; i++) {
        scene_of(&one, name, &operations[i / 2], i % 2);
        replay_scene(&one, text);
    }
}

static void
a_schedule_with_deaths_replays(void **unused)
{
    size_t i;

    (void)unused;
    schedule_catch();
    for (i = 0; i < 2 * OPERATIONS; i++) {
        schedule_list list = {3, 0, {{19, SCHEDULE_DEATH}, {30, 3}, {70, 1}}};
        char          name[32];
        scene         one;
        schedule_plan plan;

        scene_of(&one, name, &operations[i / 2], i % 2);
        plan = plan_of(&one);
        assert_true(schedule_repeats(&plan, &list));
        assert_int_equal(schedule.dead, 1);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_schedule_with_deaths_replays),
        cmocka_unit_test(clean_ups_beside_one_or_two),
        cmocka_unit_test(clean_ups_beside_all),
    };
    int failed;

    schedule_init();
    world.file = memfd_create("locks", MFD_CLOEXEC);
    if (ftruncate(world.file, BYTES) != 0)
        return 1;
    schedule_begin("test_schedules_shared", 8 /* seconds */, replay);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    printf("%llu schedules\n", (unsigned long long)schedule.runs);
    return failed;
}
