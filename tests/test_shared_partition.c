/* test_shared_partition.c - each step of what holds a partition together, to the
 * chunk, the byte and the word
 *
 * Chunks of the file are claimed, get memory and lose it; locks of its bytes tell
 * who is dead; one member at a time cleans up, and computes all anew from what is
 * certain.  Another process is here a file that this one has opened once more:
 * the system gives its locks to nobody else.  The system calls are noted, and the
 * clock is the test's own.
 */
#ifndef _GNU_SOURCE
#  define _GNU_SOURCE 1
#endif
#define FPHEAP_CHUNK_SHIFT 16
#define FPHEAP_PAGE_SHIFT  12
#define FPHEAP_HEADER      1
#include "clock.h"
#include "reports.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

/* Calls for memory: where, how much, and which. */
#define NOTES 64

typedef struct note {
    uint64_t at, bytes;
    int      what;
} note;

static note     populated[NOTES], allocated[NOTES];
static unsigned populates, allocates;
static int      refuses;       /* with this error; 0: never */

static void
note_add(note *notes, unsigned *n, uint64_t at, uint64_t bytes, int what)
{
    if (*n < NOTES) {
        notes[*n].at = at;
        notes[*n].bytes = bytes;
        notes[*n].what = what;
    }
    ++*n;
}

static int
madvise_noted(void *at, size_t bytes, int what)
{
    note_add(populated, &populates, (uintptr_t)at, bytes, what);
    return madvise(at, bytes, what);
}

/* As the C library's, whatever call it is. */
static long
syscall_noted(long number, ...)
{
    va_list  list;
    long     with[6];
    unsigned i;

    va_start(list, number);
    for (i = 0; i < 6; i++)
        with[i] = va_arg(list, long);
    va_end(list);
    if (number == SYS_fallocate && sizeof(long) == 8) {
        note_add(allocated, &allocates, (uint64_t)with[2], (uint64_t)with[3],
                 (int)with[1]);
        if (refuses != 0) {
            errno = refuses;
            return -1;
        }
    }
    return syscall(number, with[0], with[1], with[2], with[3], with[4],
                   with[5]);
}

/* The last lock that was asked for, and how; and what happens first. */
static struct flock lock_asked;
static int          lock_what;
static unsigned     locks_asked;
static void       (*before_lock)(const struct flock *lock);

static int
fcntl_noted(int file, int what, ...)
{
    va_list       list;
    struct flock *lock;

    if (what == F_GETFD)
        return fcntl(file, what);
    va_start(list, what);
    lock = va_arg(list, struct flock *);
    va_end(list);
    lock_asked = *lock;
    lock_what = what;
    locks_asked++;
    if (before_lock != NULL)
        before_lock(lock);
    return fcntl(file, what, lock);
}

/* What the system says of a file instead of the truth, if this is not NULL; or
 * with which error it fails. */
static const struct stat   *stat_said;
static const struct statfs *statfs_said;
static int                  look_fails;
static uid_t                user = 1000;

static int
look_failed(void)
{
    errno = look_fails;
    return -1;
}

static int
fstat_noted(int file, struct stat *is)
{
    if (look_fails != 0)
        return look_failed();
    if (stat_said == NULL)
        return fstat(file, is);
    *is = *stat_said;
    return 0;
}

static int
fstatfs_noted(int file, struct statfs *is)
{
    if (look_fails != 0)
        return look_failed();
    if (statfs_said == NULL)
        return fstatfs(file, is);
    *is = *statfs_said;
    return 0;
}

static uid_t
user_said(void)
{
    return stat_said != NULL ? user : geteuid();
}

#define fstat   fstat_noted
#define fstatfs fstatfs_noted
#define geteuid user_said
#define madvise madvise_noted
#define syscall syscall_noted
#define fcntl   fcntl_noted
#define FPHEAP_IMPLEMENTATION
#include "fpheap.h"
#undef fstat
#undef fstatfs
#undef geteuid
#undef madvise
#undef syscall
#undef fcntl
#include "shared_util.h"

/* Leave no zeros on the stack for those who count on them. */
static void __attribute__((noinline))
spoil_the_stack(void)
{
    volatile char bytes[16 * TEST_KIB];
    size_t        i;

    for (i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)0xe5;
}

/* --- chunks --------------------------------------------------------------- */

/* A partition of a few chunks, with room behind them that is nobody's. */
#define FEW 8

static fph_partition *few;

/* Say which of them are taken, by bits. */
static void
few_taken(unsigned bits)
{
    unsigned i;

    for (i = 0; i < 4 * FEW; i++)
        few->taken[i] = (uint8_t)(bits >> i & 1);
}

static unsigned
few_bits(void)
{
    unsigned i, bits = 0;

    for (i = 0; i < 4 * FEW; i++) {
        NEED(few->taken[i] <= 1);
        bits |= (unsigned)few->taken[i] << i;
    }
    return bits;
}

/* Where n chunks should be found; FEW: nowhere. */
static unsigned
run_expected(unsigned bits, int wish, unsigned n)
{
    unsigned run = (1u << n) - 1, i;

    if (wish >= 0 && (unsigned)wish + n <= FEW && (bits & run << wish) == 0)
        return (unsigned)wish;
    for (i = 0; i + n <= FEW; i++)
        if ((bits & run << i) == 0)
            return i;
    return FEW;
}

static void
a_run_of_chunks_is_found_where_it_is_wished_for_or_at_the_first_place(
    void **state)
{
    fph_partition *p = (fph_partition *)aligned_alloc(64, 2 * sizeof *p);
    unsigned       bits, n, to;
    int            wish;

    (void)state;
    assert_non_null(p);
    memset(p, 0, 2 * sizeof *p);
    few = p;
    p->base = (char *)(uintptr_t)(64 * FPHEAP_CHUNK);
    p->bytes = FEW * FPHEAP_CHUNK;
    for (bits = 0; bits < 1u << FEW; bits++)
        for (n = 1; n <= FEW + 1; n++)
            for (wish = -1; wish <= FEW + 1; wish++) {
                char  *at    = (char *)(uintptr_t)((64 + (uintptr_t)wish)
                                                   * FPHEAP_CHUNK);
                size_t found;

                few_taken(bits);
                found = fph_taken_find(p, at, n);
                to = run_expected(bits, wish, n);
                NEED(found == (to == FEW ? SIZE_MAX : to));
                NEED(few_bits() == (to == FEW ? bits
                                    : bits | ((1u << n) - 1) << to));
            }
    free(p);
}

/* A heap in a file that begins with something else. */
static fpheap *
create_behind(size_t start, int *file)
{
    fpheap_partition desc;
    fpheap          *heap;

    *file = memory_file();
    desc = by_descriptor(*file, start);
    desc.bytes = 64 * TEST_MIB;
    NEED(ftruncate(*file, (off_t)start) == 0);
    heap = fpheap_open(NULL, &desc, FPHEAP_CREATE);
    NEED(heap != NULL && heap->partition->unit == 1);
    return heap;
}

static void
forget_calls(void)
{
    populates = allocates = 0;
}

/* The nth call for memory of the file was for these chunks.  (With 32 bits its
 * arguments are halves.) */
static void
need_allocated(const fpheap *heap, unsigned n, size_t first, size_t chunks,
               int mode)
{
    if (sizeof(long) < 8)
        return;
    NEED(n < allocates);
    NEED(allocated[n].what == mode);
    NEED(allocated[n].at == heap->start + first * FPHEAP_CHUNK);
    NEED(allocated[n].bytes == chunks * FPHEAP_CHUNK);
}

static void
memory_comes_behind_chunks_and_to_each_2_mib_once(void **state)
{
    static const size_t runs[][2] = { { 100, 1 }, { 100, 31 }, { 100, 32 },
                                      { 101, 33 }, { 200, 96 }, { 200, 97 } };
    int      file;
    fpheap  *heap = create_behind(3 * FPHEAP_CHUNK, &file);
    char    *base = heap->partition->base;
    size_t   i, j;

    (void)state;
    if (sizeof(long) < 8)
        skip();
    for (i = 0; i < TEST_COUNT(runs); i++) {
        size_t first = runs[i][0], n = runs[i][1];

        forget_calls();
        assert_int_equal(fph_partition_fill(heap, first, n), 0);
        assert_int_equal(allocates, 1);
        need_allocated(heap, 0, first, n, 0);
        assert_int_equal(populates, (n * FPHEAP_CHUNK + 2 * TEST_MIB - 1)
                                    / (2 * TEST_MIB));
        for (j = 0; j < populates; j++) {
            NEED(populated[j].at == (uintptr_t)base + first * FPHEAP_CHUNK
                                    + j * 2 * TEST_MIB);
            NEED(populated[j].bytes == 1);
            NEED(populated[j].what == 23 /* MADV_POPULATE_WRITE */);
        }
        fph_file_change(heap, first, n, FPH_PUNCH);
    }
    forget_calls();
    heap->partition->fixed = 1;
    assert_int_equal(fph_partition_fill(heap, 100, 100), 0);
    assert_int_equal(fph_file_change(heap, 100, 100, FPH_PUNCH), 0);
    assert_int_equal(populates + allocates, 0);
    heap->partition->fixed = 0;
    close_empty(heap);
    close(file);
}

/* Chunks from 200 on, so many, of which these are taken, by bits. */
#define FROM  200
#define AMONG 12

static void
among_taken(fpheap *heap, unsigned bits)
{
    unsigned i;

    for (i = 0; i < AMONG; i++)
        heap->partition->taken[FROM + i] = (uint8_t)(bits >> i & 1);
}

static unsigned
among_bits(const fpheap *heap)
{
    unsigned i, bits = 0;

    for (i = 0; i < AMONG; i++)
        bits |= (unsigned)heap->partition->taken[FROM + i] << i;
    return bits;
}

/* Free n chunks from `first` on; with them goes the memory of all pages of the
 * file, each of `unit` chunks, of which no chunk is taken. */
static void
free_among(fpheap *heap, unsigned bits, unsigned first, unsigned n,
           unsigned unit)
{
    unsigned run  = ((1u << n) - 1) << first;
    unsigned page = (1u << unit) - 1;
    unsigned at, calls = 0;

    among_taken(heap, bits | run);
    forget_calls();
    fph_partition_free(heap, FROM + first, n);
    NEED(among_bits(heap) == (bits & ~run));
    if (unit == 1) {
        NEED(allocates == 1);
        need_allocated(heap, 0, FROM + first, n, FPH_PUNCH);
        return;
    }
    for (at = 0; at < AMONG; at += unit)
        if ((run & page << at) != 0 && (bits & ~run & page << at) == 0)
            need_allocated(heap, calls++, FROM + at, unit, FPH_PUNCH);
    NEED(allocates == calls);
}

static void
memory_goes_with_the_last_chunk_of_a_page(void **state)
{
    static const unsigned units[] = { 1, 2, 4 };
    static const unsigned taken[] = { 0, 0x001, 0x010, 0x888, 0x0f0, 0xfff };
    int      file;
    fpheap  *heap = create_behind(5 * FPHEAP_CHUNK, &file);
    unsigned unit, i, first, n;

    (void)state;
    if (sizeof(long) < 8)
        skip();
    for (unit = 0; unit < TEST_COUNT(units); unit++) {
        heap->partition->unit = units[unit];
        for (i = 0; i < TEST_COUNT(taken); i++)
            for (first = 0; first < AMONG; first++)
                for (n = 1; first + n <= AMONG; n++)
                    free_among(heap, taken[i], first, n, units[unit]);
    }
    heap->partition->unit = 1;
    among_taken(heap, 0);
    close_empty(heap);
    close(file);
}

static fpheap_region
region_wished_for(char *at)
{
    fpheap_region region;

    memset(&region, 0x5a, sizeof region);
    region.base = at;
    return region;
}

static void
a_region_is_chunks_of_the_file_that_have_memory(void **state)
{
    int             file;
    fpheap         *heap  = create_behind(FPHEAP_CHUNK, &file);
    char           *wish  = heap->partition->base + FROM * FPHEAP_CHUNK;
    fpheap_provider by    = heap->provider;
    fpheap_region   region = region_wished_for(wish);
    fpheap_region   second;

    (void)state;
    forget_calls();
    assert_int_equal(by.get(by.ctx, 3 * FPHEAP_CHUNK, 1, 0, &region), 0);
    assert_ptr_equal(region.base, wish);
    assert_int_equal(region.bytes, 3 * FPHEAP_CHUNK);
    assert_int_equal(region.backing, FPHEAP_BACKING_UNKNOWN);
    need_allocated(heap, 0, FROM, 3, 0);
    assert_int_equal(among_bits(heap), 7);
    second = region_wished_for(wish + FPHEAP_CHUNK); /* it is not free */
    assert_int_equal(by.get(by.ctx, 2 * FPHEAP_CHUNK, 1, 0, &second), 0);
    assert_ptr_not_equal(second.base, wish + FPHEAP_CHUNK);
    assert_int_equal(second.bytes, 2 * FPHEAP_CHUNK);
    assert_int_equal(by.put(by.ctx, &second), 0);
    second = region;           /* any part of it */
    second.base = wish + FPHEAP_CHUNK;
    second.bytes = FPHEAP_CHUNK;
    forget_calls();
    assert_int_equal(by.put(by.ctx, &second), 0);
    need_allocated(heap, 0, FROM + 1, 1, FPH_PUNCH);
    assert_int_equal(among_bits(heap), 5);
    region.bytes = FPHEAP_CHUNK;
    assert_int_equal(by.put(by.ctx, &region), 0);
    region.base = wish + 2 * FPHEAP_CHUNK;
    assert_int_equal(by.put(by.ctx, &region), 0);
    assert_int_equal(among_bits(heap), 0);
    close_empty(heap);
    close(file);
}

/* Neither what the system refuses nor what is not there is any region's. */
static void
a_region_that_gets_no_memory_takes_no_chunks(void **state)
{
    int             file;
    fpheap         *heap   = create_behind(FPHEAP_CHUNK, &file);
    char           *wish   = heap->partition->base + FROM * FPHEAP_CHUNK;
    fpheap_provider by     = heap->provider;
    fpheap_region   region = region_wished_for(wish);
    size_t          all    = heap->partition->bytes;

    (void)state;
    if (sizeof(long) < 8)
        skip();
    refuses = EIO;
    forget_calls();
    assert_int_equal(by.get(by.ctx, 3 * FPHEAP_CHUNK, 1, 0, &region), -EIO);
    refuses = ENOSPC;
    assert_int_equal(by.get(by.ctx, 3 * FPHEAP_CHUNK, 1, 0, &region), -ENOMEM);
    refuses = 0;
    assert_int_equal(allocates, 4);
    need_allocated(heap, 1, FROM, 3, FPH_PUNCH);
    need_allocated(heap, 3, FROM, 3, FPH_PUNCH);
    assert_int_equal(among_bits(heap), 0);
    assert_int_equal(by.get(by.ctx, all, 1, 0, &region), -ENOMEM);
    assert_int_equal(allocates, 4);
    assert_ptr_equal(region.base, wish);
    assert_true(region.bytes == region_wished_for(wish).bytes);
    close_empty(heap);
    close(file);
}

/* --- locks ---------------------------------------------------------------- */

/* The partition's file, opened once more, as another process has it. */
static int rival;

static fpheap *
create_with_rival(void)
{
    fpheap *heap = create();

    rival = open(path_of(name), O_RDWR | O_CLOEXEC);
    NEED(rival >= 0);
    before_lock = NULL;
    return heap;
}

static void
close_with_rival(fpheap *heap)
{
    before_lock = NULL;
    close(rival);
    close_empty(heap);
}

/* Ask for the other process. */
static int
rival_asks(int what, short type, size_t byte, struct flock *lock)
{
    memset(lock, 0, sizeof *lock);
    lock->l_type = type;
    lock->l_start = (off_t)byte;
    lock->l_len = 1;
    return fcntl(rival, what, lock);
}

static void
rival_locks(size_t byte, int locks)
{
    struct flock lock;

    NEED(rival_asks(F_OFD_SETLK, locks ? F_WRLCK : F_UNLCK, byte, &lock) == 0);
}

/* Whether this process has a lock, as the other one sees it. */
static int
has_lock(size_t byte)
{
    struct flock lock;

    NEED(rival_asks(F_OFD_GETLK, F_WRLCK, byte, &lock) == 0);
    return lock.l_type != F_UNLCK;
}

static void
a_lock_is_of_one_byte_behind_the_partitions_start(void **state)
{
    fpheap *heap = create_with_rival();

    (void)state;
    heap->start = 4096;
    spoil_the_stack();
    assert_true(fph_lock(heap, 7, F_OFD_SETLK, F_RDLCK));
    assert_int_equal(lock_what, F_OFD_SETLK);
    assert_int_equal(lock_asked.l_type, F_RDLCK);
    assert_int_equal(lock_asked.l_whence, SEEK_SET);
    assert_int_equal(lock_asked.l_start, 4096 + 7);
    assert_int_equal(lock_asked.l_len, 1);
    assert_int_equal(lock_asked.l_pid, 0);
    assert_true(fph_lock(heap, 7, F_OFD_SETLK, F_WRLCK));
    assert_false(has_lock(4096 + 6));
    assert_true(has_lock(4096 + 7));
    assert_false(has_lock(4096 + 8));
    assert_true(fph_lock(heap, 7, F_OFD_SETLK, F_UNLCK));
    assert_false(has_lock(4096 + 7));
    rival_locks(4096 + 7, 1);
    assert_false(fph_lock(heap, 7, F_OFD_SETLK, F_WRLCK));
    assert_false(fph_lock(heap, 7, F_OFD_GETLK, F_WRLCK));
    assert_int_equal(lock_what, F_OFD_GETLK);
    assert_true(fph_lock(heap, 6, F_OFD_GETLK, F_WRLCK));
    assert_true(fph_lock(heap, 8, F_OFD_GETLK, F_WRLCK));
    heap->start = 0;
    close_with_rival(heap);
}

static void
need_a_place(const struct flock *lock)
{
    NEED(lock->l_start < (off_t)FPH_MEMBERS);
}

/* Who has come and whose lock is free is dead, but this process. */
static void
a_corpse_is_found_at_each_place(void **state)
{
    static const unsigned places[] = { 0, 1, 2, 63, FPH_MEMBERS - 2,
                                       FPH_MEMBERS - 1 };
    fpheap     *heap   = create_with_rival();
    fph_member *member = heap->partition->member;
    unsigned    own    = 77;
    size_t      i;

    (void)state;
    assert_int_equal(heap->member, 0);
    assert_false(fph_is_dead(heap, 0)); /* its lock is free to itself */
    member[own] = member[0];
    heap->member = own;
    member[0].is = 0;
    before_lock = need_a_place;
    assert_false(fph_any_corpse(heap));
    for (i = 0; i < TEST_COUNT(places); i++) {
        fph_lock(heap, places[i], F_OFD_SETLK, F_UNLCK);
        member[places[i]].is = 1;
        assert_true(fph_is_dead(heap, places[i]));
        assert_true(fph_any_corpse(heap));
        rival_locks(places[i], 1);
        assert_false(fph_is_dead(heap, places[i]));
        assert_false(fph_any_corpse(heap));
        if (i % 2 == 0)        /* those who live stay in some places */
            continue;
        member[places[i]].is = 0;
        assert_false(fph_any_corpse(heap));
        rival_locks(places[i], 0);
        assert_true(fph_is_dead(heap, places[i]));
        assert_false(fph_any_corpse(heap));
    }
    for (i = 0; i < TEST_COUNT(places); i++)
        member[places[i]].is = 0;
    close_with_rival(heap);
}

static fph_member *changes;    /* while its lock is asked for */

static void
change_member(const struct flock *lock)
{
    if (lock->l_type == F_WRLCK)
        changes->is = changes->is == 0;
}

/* A place is held as it is expected to be, or not at all. */
static void
a_place_is_held_that_has_a_member_or_that_has_none(void **state)
{
    fpheap     *heap   = create_with_rival();
    fph_member *member = &heap->partition->member[9];
    int         has, wants, taken, changing;

    (void)state;
    assert_false(fph_place_hold(heap, heap->member, 1));
    member[-9].is = 0;
    assert_false(fph_place_hold(heap, heap->member, 0));
    member[-9].is = 1;
    for (has = 0; has < 2; has++)
        for (wants = 0; wants < 2; wants++)
            for (taken = 0; taken < 2; taken++)
                for (changing = 0; changing < 2; changing++) {
                    int holds = has == wants && !taken && !changing;

                    member->is = has ? 5 : 0;
                    rival_locks(9, taken);
                    changes = member;
                    before_lock = changing ? change_member : NULL;
                    NEED(fph_place_hold(heap, 9, wants) == holds);
                    before_lock = NULL;
                    rival_locks(9, 0);
                    NEED(has_lock(9) == holds);
                    fph_lock(heap, 9, F_OFD_SETLK, F_UNLCK);
                }
    member->is = 0;
    close_with_rival(heap);
}

/* The dead: at both ends, and between; one lives. */
static const unsigned corpses[] = { 1, 2, 200, FPH_MEMBERS - 1 };

#define CORPSES  TEST_COUNT(corpses)
#define SURVIVOR 3u

static void
members_die(fpheap *heap)
{
    fph_member *member = heap->partition->member;
    size_t      i;

    for (i = 0; i < CORPSES; i++) {
        member[corpses[i]].is = 10 + i;
        member[corpses[i]].calls = 3;
    }
    member[SURVIVOR].is = 99;
    rival_locks(SURVIVOR, 1);
}

/* Whether a place is one of the dead's. */
static int
is_corpse(unsigned place)
{
    size_t i = 0;

    while (i < CORPSES && corpses[i] != place)
        i++;
    return i < CORPSES;
}

/* All places of the dead, and no others, are held; or none are. */
static void
need_held(int held)
{
    unsigned i;

    for (i = 0; i < FPH_MEMBERS + 8; i++)
        if (i != 0 && i != SURVIVOR)
            NEED(has_lock(i) == (held && is_corpse(i)));
    NEED(has_lock(0));
}

static void
the_dead_are_held_and_let_go_each_at_its_place(void **state)
{
    fpheap        *heap = create_with_rival();
    fph_partition *p    = heap->partition;
    uint8_t        dead[FPH_MEMBERS + 8], first = p->taken[0];
    unsigned       i;

    (void)state;
    members_die(heap);
    memset(dead, 0x5a, sizeof dead);
    assert_int_equal(fph_dead_hold(heap, dead), CORPSES);
    for (i = 0; i < FPH_MEMBERS; i++)
        NEED(dead[i] == is_corpse(i));
    assert_int_equal(dead[FPH_MEMBERS], 0x5a);
    need_held(1);
    fph_dead_release(heap, dead, 0);
    need_held(0);
    assert_int_equal(p->recovered, 0);
    for (i = 0; i < CORPSES; i++)
        NEED(p->member[corpses[i]].is == 10 + i);
    assert_int_equal(fph_dead_hold(heap, dead), CORPSES);
    fph_dead_release(heap, dead, 1);
    need_held(0);
    assert_int_equal(p->recovered, CORPSES);
    for (i = 0; i < CORPSES; i++)
        NEED(p->member[corpses[i]].is == 0 && p->member[corpses[i]].calls == 0);
    assert_int_equal(p->member[SURVIVOR].is, 99);
    assert_int_equal(p->taken[0], first);
    assert_int_equal(fph_dead_hold(heap, dead), 0);
    p->member[SURVIVOR].is = 0;
    close_with_rival(heap);
}

/* --- calls ---------------------------------------------------------------- */

static unsigned yields_left;   /* until the word is 0 */

static void
count_down(void *word)
{
    if (yields_left != 0 && --yields_left == 0)
        *(fph_word *)word = 0;
}

static void
calls_are_waited_for_until_the_time_is_over(void **state)
{
    fph_word calls = 0;

    (void)state;
    begin_waiting(count_down, &calls);
    assert_true(fph_calls_wait(&calls, 0));
    assert_int_equal(waited(), 0);
    calls = 1;
    assert_false(fph_calls_wait(&calls, clock_ns));
    yields_left = 3;
    begin_waiting(count_down, &calls);
    assert_false(fph_calls_wait(&calls, clock_ns + 2 * STEP_NS));
    assert_int_equal(waited(), 2);
    yields_left = 3;
    begin_waiting(count_down, &calls);
    assert_true(fph_calls_wait(&calls, clock_ns + 4 * STEP_NS));
    assert_int_equal(waited(), 3);
}

/* Calls that caches count are those of their owners, unless these are dead. */
static void
a_caches_call_is_its_owners(void **state)
{
    static const unsigned places[] = { 0, 77, FPH_MEMBERS - 1 };
    fpheap   *heap  = create_with_rival();
    fph_slot *slot  = fph_slot_of(fpheap_self(heap));
    uint64_t  owner = slot->owner;
    uint8_t   room[FPH_MEMBERS + 2], *dead = room + 1;
    size_t    i;

    (void)state;
    for (i = 0; i < TEST_COUNT(places); i++) {
        slot->owner = places[i] + 1;
        memset(room, 1, sizeof room);
        dead[places[i]] = 0;
        slot->calls = 0;
        assert_true(fph_cache_calls_end(heap, dead, 0));
        slot->calls = 1;
        assert_false(fph_cache_calls_end(heap, dead, 0));
        memset(room, 0, sizeof room);
        assert_false(fph_cache_calls_end(heap, dead, 0));
        dead[places[i]] = 1;
        assert_true(fph_cache_calls_end(heap, dead, 0));
    }
    memset(room, 0, sizeof room);
    slot->owner = 0;
    assert_true(fph_cache_calls_end(heap, dead, 0));
    slot->owner = owner;
    slot->calls = 0;
    memset(heap->partition->taken, 1, 64); /* behind the last place */
    assert_true(fph_member_calls_end(heap, dead, 0));
    memset(heap->partition->taken, 0, 64);
    heap->partition->taken[0] = 1;
    close_with_rival(heap);
}

static fph_word *call_goes, *call_comes;

static void
move_call(void *arg)
{
    (void)arg;
    *call_goes = 0;
    *call_comes = 1;
}

/* From where it was waited for to where it was not yet. */
static void
a_call_that_a_cache_gives_up_meanwhile_is_waited_for(void **state)
{
    fpheap  *heap = create_with_rival();
    uint8_t  dead[FPH_MEMBERS];
    uint64_t begun = clock_ns;

    (void)state;
    memset(dead, 0, sizeof dead);
    assert_true(fph_calls_end(heap, dead));
    call_goes = &fph_slot_of(fpheap_self(heap))->calls;
    call_comes = &heap->partition->member[SURVIVOR].calls;
    *call_goes = 1;
    begin_waiting(move_call, NULL);
    assert_false(fph_calls_end(heap, dead));
    assert_int_equal(waited(), FPHEAP_GROWTH_WAIT_MS);
    assert_true(clock_ns == begun + FPHEAP_GROWTH_WAIT_MS * STEP_NS);
    dead[SURVIVOR] = 1;
    *call_goes = 1;
    begin_waiting(move_call, NULL);
    assert_true(fph_calls_end(heap, dead));
    assert_int_equal(waited(), 1);
    *call_comes = 0;
    close_with_rival(heap);
}

/* --- the cleaner ---------------------------------------------------------- */

/* What `cleaner` says when a place cleans up. */
static uint64_t
cleaner_of(unsigned place, uint64_t came)
{
    return came * FPH_CLEANER | (place + 1);
}

static void
one_member_at_a_time_cleans_up(void **state)
{
    fpheap        *heap  = create_with_rival();
    fph_partition *p     = heap->partition;
    unsigned       own   = 40, asked;
    uint64_t       was, first, came;

    (void)state;
    heap->member = own;
    asked = locks_asked;
    assert_true(fph_cleaner_enter(heap, &was));
    assert_int_equal(locks_asked, asked); /* there is none to look at */
    assert_int_equal(was, 0);
    first = p->cleaner;
    assert_int_equal(first % FPH_CLEANER, own + 1);
    assert_int_equal(first & FPH_REBUILDING, 0);
    p->cleaner = 0;
    came = p->came;
    assert_true(first / FPH_CLEANER == came);
    assert_true(fph_cleaner_enter(heap, &was));
    assert_true(p->cleaner == cleaner_of(own, p->came));
    assert_true(p->cleaner > first && p->came > came);

    rival_locks(7, 1);         /* it lives, and those beside it do not */
    p->cleaner = cleaner_of(7, 3);
    came = p->came;
    assert_false(fph_cleaner_enter(heap, &was));
    assert_true(p->cleaner == cleaner_of(7, 3) && p->came == came);
    rival_locks(7, 0);
    rival_locks(6, 1);
    rival_locks(8, 1);
    rival_locks(9, 1);
    assert_true(fph_cleaner_enter(heap, &was));
    assert_true(was == cleaner_of(7, 3));
    assert_true(p->cleaner == cleaner_of(own, p->came));
    p->cleaner = cleaner_of(7, 3) | FPH_REBUILDING;
    assert_true(fph_cleaner_enter(heap, &was));
    assert_true(was == (cleaner_of(7, 3) | FPH_REBUILDING));
    assert_true(p->cleaner == (cleaner_of(own, p->came) | FPH_REBUILDING));
    p->cleaner = 0;
    heap->member = 0;
    close_with_rival(heap);
}

/* All that a clean-up leaves is as if nobody had come. */
static void
need_clean(fpheap *heap, unsigned recovered)
{
    NEED(heap->partition->cleaner == 0);
    NEED(heap->partition->recovered == recovered);
    need_held(0);
}

static void
a_clean_up_ends_in_what_it_says(void **state)
{
    fpheap        *heap  = create_with_rival();
    fph_partition *p     = heap->partition;
    fph_state     *s     = heap->state;
    fph_word      *calls = &p->member[SURVIVOR].calls;

    (void)state;
    s->growing = 1;            /* which all that is done anew sets to 0 */
    assert_int_equal(fph_clean(heap, 0), 0);
    assert_true(s->growing == 1 && p->came == 1);
    members_die(heap);
    *calls = 1;
    assert_int_equal(fph_clean(heap, 0), -EBUSY);
    assert_true(s->growing == 1);
    need_clean(heap, 0);
    *calls = 0;
    p->cleaner = cleaner_of(SURVIVOR, 5);
    assert_int_equal(fph_clean(heap, 0), -EAGAIN);
    assert_true(p->cleaner == cleaner_of(SURVIVOR, 5) && s->growing == 1);
    p->cleaner = 0;
    assert_int_equal(fph_clean(heap, 0), CORPSES);
    assert_true(s->growing == 0);
    need_clean(heap, CORPSES);

    s->growing = 1;            /* a cleaner died, and nobody else */
    p->cleaner = cleaner_of(1, 5);
    assert_int_equal(fph_clean(heap, 0), 0);
    assert_true(s->growing == 1);
    need_clean(heap, CORPSES);
    *calls = 1;                /* it rebuilt, so calls had ended */
    p->cleaner = cleaner_of(1, 5) | FPH_REBUILDING;
    assert_int_equal(fph_clean(heap, 0), 0);
    assert_true(s->growing == 0);
    need_clean(heap, CORPSES);
    p->member[1].is = 8;       /* one is enough */
    assert_int_equal(fpheap_recover(heap, 0), -EBUSY);
    need_clean(heap, CORPSES);
    *calls = 0;
    assert_int_equal(fpheap_recover(heap, 0), 1);
    need_clean(heap, CORPSES + 1);
    p->member[SURVIVOR].is = 0;
    close_with_rival(heap);
}

static fpheap *cleans;         /* whose cleaner is seen while it rebuilds */
static unsigned rebuilding;

static void
see_cleaner(const struct flock *lock)
{
    uint64_t is = cleans->partition->cleaner;

    if (lock->l_type == F_UNLCK && is / FPH_REBUILDING != 0)
        rebuilding += is % FPH_CLEANER == cleans->member + 1;
}

/* Until the places of the dead are free, others know that they cannot go on. */
static void
who_rebuilds_says_so_until_the_end(void **state)
{
    fpheap *heap = create_with_rival();

    (void)state;
    members_die(heap);
    cleans = heap;
    rebuilding = 0;
    before_lock = see_cleaner;
    assert_int_equal(fpheap_recover(heap, 0), CORPSES);
    assert_int_equal(rebuilding, CORPSES);
    before_lock = NULL;
    need_clean(heap, CORPSES);
    heap->partition->member[SURVIVOR].is = 0;
    close_with_rival(heap);
}

/* A living cleaner is waited for, and others go on meanwhile. */
static void
who_finds_a_cleaner_waits_for_its_end(void **state)
{
    fpheap   *heap = create_with_rival();
    fph_word *word = &heap->partition->cleaner;

    (void)state;
    begin_waiting(count_down, word);
    fph_clean_wait(heap);
    assert_int_equal(waited(), 0);
    rival_locks(SURVIVOR, 1);
    *word = cleaner_of(SURVIVOR, 5);
    yields_left = 2;
    begin_waiting(count_down, word);
    fph_clean_wait(heap);
    assert_int_equal(waited(), 2);
    *word = cleaner_of(SURVIVOR, 5);
    yields_left = 3;
    begin_waiting(count_down, word);
    assert_int_equal(fpheap_recover(heap, 0), 0);
    assert_int_equal(waited(), 3);
    close_with_rival(heap);
}

/* Not what the dead had live: nobody has asked for that. */
static void
who_goes_on_for_a_dead_cleaner_frees_only_what_is_lost(void **state)
{
    fpheap        *heap   = create_with_rival();
    fph_partition *p      = heap->partition;
    void          *object = fpheap_alloc(heap, 100);

    (void)state;
    p->member[1].is = 8;
    fph_head_of(object)->hold.half[1] = fph_owner_number(&p->member[1], 1);
    p->cleaner = cleaner_of(2, 5) | FPH_REBUILDING;
    fph_clean_wait(heap);
    need_clean(heap, 1);
    TEST_CHECK_LIVE(heap, 1);
    fpheap_free(heap, object);
    object = fpheap_alloc(heap, 100);
    p->member[1].is = 9;
    fph_head_of(object)->hold.half[1] = fph_owner_number(&p->member[1], 1);
    assert_int_equal(fpheap_recover(heap, FPHEAP_FREE_DEAD), 1);
    need_clean(heap, 2);
    close_with_rival(heap);
}

static void
a_recovery_is_of_a_partition_and_with_flags_that_are_known(void **state)
{
    fpheap *heap = create_with_rival();
    fpheap *mine = fpheap_create("mine", NULL);

    (void)state;
    assert_int_equal(fpheap_recover(mine, 0), -EINVAL);
    assert_int_equal(fpheap_recover(heap, 1), -EINVAL);
    assert_int_equal(fpheap_recover(heap, ~FPHEAP_FREE_DEAD), -EINVAL);
    assert_int_equal(fpheap_recover(heap, FPHEAP_FREE_DEAD), 0);
    assert_int_equal(fpheap_recover(heap, 0), 0);
    fph_this.depth[heap - fph_heaps] = 1; /* in a callback */
    assert_int_equal(fpheap_recover(heap, 0), -EBUSY);
    fph_this.depth[heap - fph_heaps] = 0;
    fph_this.depth[mine - fph_heaps] = 1;
    assert_int_equal(fpheap_recover(heap, 0), 0);
    fph_this.depth[mine - fph_heaps] = 0;
    assert_int_equal(fpheap_destroy(mine), 0);
    close_with_rival(heap);
}

/* --- what a file is ------------------------------------------------------- */

/* An open of this name, as the function that is asked sees it. */
static fph_opening
opening(const fpheap_partition *desc)
{
    fph_opening it = { "some", desc, 0, 3, 0 };

    last_report[0] = '\0';
    return it;
}

/* The open was refused for this reason; NULL: it was not. */
static void
need_reported(const char *why)
{
    char line[256];

    (void)snprintf(line, sizeof line, "fpheap: open of 'some': %s", why);
    NEED(strcmp(last_report, why == NULL ? "" : line) == 0);
}

#define NO_FILE  "it is no regular file"
#define NOT_OURS "another user owns it"
#define NAMES    "the file has another name too"
#define SHORT    "the file is too short"

/* A file of a kind, whose it is, its names, and its bytes; how it is opened: by
 * name or not, with these flags, from where on, and with how many bytes; and the
 * error, or how many bytes the partition has. */
static const struct {
    mode_t      mode;
    uid_t       owner;
    unsigned    names;
    off_t       size;
    int         directory;
    unsigned    flags;
    size_t      start, bytes;
    int         error;
    const char *why;
    size_t      has;
} files[] = {
    { S_IFREG, 1000, 1, 9000, 3, 0, 0, 9000, 0, NULL, 9000 },
    { S_IFREG, 1000, 1, 9000, 3, 0, 0, 8999, 0, NULL, 8999 },
    { S_IFREG, 1000, 1, 9000, 3, 0, 0, 9001, -ESTALE, SHORT, 9001 },
    { S_IFREG, 1000, 1, 9000, 3, 0, 0, 1, 0, NULL, 1 },
    { S_IFREG, 1000, 1, 9000, 3, 0, 0, 0, 0, NULL, 9000 },
    { S_IFREG, 1000, 1, 9000, 3, 0, 4000, 5000, 0, NULL, 5000 },
    { S_IFREG, 1000, 1, 9000, 3, 0, 4000, 5001, -ESTALE, SHORT, 5001 },
    { S_IFREG, 1000, 1, 9000, 3, 0, 4000, 0, 0, NULL, 5000 },
    { S_IFREG, 1000, 1, 9000, 3, 0, 9000, 0, 0, NULL, 0 },
    { S_IFREG, 1000, 1, 9000, 3, 0, 9001, 0, -ESTALE, SHORT, 0 },
    { S_IFIFO, 1000, 1, 9000, 3, 0, 0, 0, -EACCES, NO_FILE, 0 },
    { S_IFIFO, 1000, 1, 9000, 3, FPHEAP_FIXED, 0, 0, -EACCES, NO_FILE, 0 },
    { S_IFCHR, 1000, 1, 9000, 3, 0, 0, 0, -EACCES, NO_FILE, 0 },
    { S_IFCHR, 1000, 1, 9000, 3, FPHEAP_FIXED, 0, 0, 0, NULL, 0 },
    { S_IFCHR, 1000, 1, 0, 3, FPHEAP_FIXED, 4000, 9000, 0, NULL, 9000 },
    { S_IFREG, 1000, 1, 9000, 3, FPHEAP_FIXED, 0, 0, 0, NULL, 9000 },
    { S_IFREG, 0, 1, 9000, 3, 0, 0, 0, 0, NULL, 9000 },
    { S_IFREG, 1, 1, 9000, 3, 0, 0, 0, -EACCES, NOT_OURS, 0 },
    { S_IFREG, 1001, 1, 9000, 3, 0, 0, 0, -EACCES, NOT_OURS, 0 },
    { S_IFREG, 1001, 1, 9000, 3, FPHEAP_ANY_OWNER, 0, 0, 0, NULL, 9000 },
    { S_IFCHR, 1001, 1, 0, 3, FPHEAP_FIXED, 0, 0, -EACCES, NOT_OURS, 0 },
    { S_IFREG, 1000, 0, 9000, 3, 0, 0, 0, 0, NULL, 9000 },
    { S_IFREG, 1000, 2, 9000, 3, 0, 0, 0, -EACCES, NAMES, 0 },
    { S_IFREG, 1000, 2, 9000, 0, 0, 0, 0, -EACCES, NAMES, 0 },
    { S_IFREG, 1000, 2, 9000, -1, 0, 0, 0, 0, NULL, 9000 },
};

static void
a_file_is_refused_for_what_the_system_says_of_it(void **state)
{
    fpheap_partition desc = partition_of(0);
    struct stat      is;
    fph_opening      it;
    fpheap           heap;
    size_t           i;

    (void)state;
    memset(&heap, 0, sizeof heap);
    stat_said = &is;
    for (i = 0; i < TEST_COUNT(files); i++) {
        memset(&is, 0, sizeof is);
        is.st_mode = files[i].mode | 0600;
        is.st_uid = files[i].owner;
        is.st_nlink = files[i].names;
        is.st_size = files[i].size;
        desc.flags = files[i].flags;
        heap.start = files[i].start;
        it = opening(&desc);
        it.directory = files[i].directory;
        it.bytes = files[i].bytes;
        NEED(fph_file_check(&heap, &it) == files[i].error);
        NEED(it.bytes == files[i].has);
        need_reported(files[i].why);
    }
    look_fails = EIO;
    NEED(fph_file_check(&heap, &it) == -EIO);
    look_fails = 0;
    stat_said = NULL;
}

/* A page of the file is of so many bytes, and is to be of so many. */
static int
unit_of(long page, size_t wanted)
{
    fpheap_partition desc = partition_of(0);
    fph_opening      it   = opening(&desc);
    struct statfs    is;
    fpheap           heap;

    memset(&heap, 0, sizeof heap);
    memset(&is, 0, sizeof is);
    is.f_bsize = page;
    desc.page_bytes = wanted;
    statfs_said = &is;
    return fph_file_unit(&heap, &it);
}

static void
a_page_of_a_file_is_a_number_of_chunks(void **state)
{
    fpheap_partition desc = partition_of(0);
    fph_opening      it   = opening(&desc);
    fpheap           heap;

    (void)state;
    assert_int_equal(unit_of(4096, 0), 1);
    assert_int_equal(unit_of(FPHEAP_CHUNK, 0), 1);
    assert_int_equal(unit_of(2 * FPHEAP_CHUNK, 0), 2);
    assert_int_equal(unit_of(32 * FPHEAP_CHUNK, 32 * FPHEAP_CHUNK), 32);
    need_reported(NULL);
    assert_int_equal(unit_of(32 * FPHEAP_CHUNK, 4096), -EPROTO);
    need_reported("page_bytes");
    assert_int_equal(unit_of(4096, 4095), -EPROTO);
    assert_int_equal(unit_of(4096, 1), -EPROTO);
    assert_int_equal(unit_of(1, 1), 1);
    look_fails = EIO;
    assert_int_equal(unit_of(4096, 0), -EIO);
    memset(&heap, 0, sizeof heap);
    heap.mapped = 1;           /* nobody asks */
    assert_int_equal(fph_file_unit(&heap, &it), 1);
    look_fails = 0;
    statfs_said = NULL;
}

/* --- what it begins with -------------------------------------------------- */

static void
the_beginning_is_read_where_it_is(void **state)
{
    static const fph_word words[] = { FPH_MAGIC, 77 };
    fpheap_partition      desc    = partition_of(0);
    fph_opening           it      = opening(&desc);
    uint64_t              got[2]  = { 1, 2 };
    fpheap                heap;

    (void)state;
    memset(&heap, 0, sizeof heap);
    heap.file = memory_file();
    heap.start = 4096;
    assert_int_equal(fph_magic_read(&heap, &it), 0);
    assert_int_equal(pwrite(heap.file, words, sizeof words, 4096),
                     sizeof words);
    assert_true(fph_magic_read(&heap, &it) == FPH_MAGIC);
    assert_int_equal(fph_file_read(&heap, &it, got, sizeof got), sizeof got);
    assert_memory_equal(got, words, sizeof got);
    close(heap.file);
    assert_int_equal(fph_magic_read(&heap, &it), 1);
    heap.mapped = 1;
    desc.address = (void *)(uintptr_t)words;
    memset(got, 0, sizeof got);
    assert_true(fph_magic_read(&heap, &it) == FPH_MAGIC);
    assert_int_equal(fph_file_read(&heap, &it, got, sizeof got), sizeof got);
    assert_memory_equal(got, words, sizeof got);
}

/* Compare settings in which one character is another. */
static int
settings_with(char *theirs, size_t at, size_t room)
{
    fpheap_partition desc = partition_of(0);
    fph_opening      it   = opening(&desc);
    char             was  = theirs[at];
    int              rc;

    theirs[at] = '~';
    spoil_the_stack();
    rc = fph_settings_check(&it, theirs, room);
    theirs[at] = was;
    return rc;
}

static void
settings_are_compared_to_the_character(void **state)
{
    char   theirs[512], called[64];
    size_t all, i, first = 0, end = 0;

    (void)state;
    memset(theirs, 0, sizeof theirs);
    all = strlen(fph_shared_settings());
    memcpy(theirs, fph_shared_settings(), all);
    assert_int_equal(settings_with(theirs, 511, 512), 0);
    assert_int_equal(settings_with(theirs, all + 1, all + 1), 0);
    need_reported(NULL);
    for (i = 0; i <= all; i++) {
        if (i != 0 && theirs[i - 1] == ' ')
            first = end = i;
        if (end == first && theirs[i] == '=')
            end = i;
        if (end == first) {
            NEED(settings_with(theirs, i, 512) == -ESTALE);
            need_reported("the heap in it is damaged, or of another version");
            continue;
        }
        (void)snprintf(called, sizeof called, "%.*s", (int)(end - first),
                       theirs + first);
        NEED(settings_with(theirs, i, 512) == -EPROTO);
        need_reported(called);
    }
    assert_int_equal(settings_with(theirs, 511, all), -EPROTO);
    need_reported(called);     /* the file ends before they do */
}

/* A head that is good, of a partition of 64 chunks. */
static fph_partition
good_head(void)
{
    fph_partition head;

    memset(&head, 0, sizeof head);
    head.magic = FPH_MAGIC;
    memcpy(head.settings, fph_shared_settings(), strlen(fph_shared_settings()));
    head.bytes = 64 * FPHEAP_CHUNK;
    head.base = (char *)(uintptr_t)(256 * FPHEAP_CHUNK);
    head.head = sizeof head;
    head.state = (fph_state *)(void *)(head.base + head.head + FPH_STATE_GUARD);
    head.nodes = 1;
    head.unit = 1;
    return head;
}

/* The same, elsewhere, of other lengths, with a state where it belongs. */
static fph_partition
head_of(uintptr_t base, size_t bytes, size_t before)
{
    fph_partition head = good_head();

    head.base = (char *)base;
    head.bytes = bytes;
    head.head = before;
    head.state = (fph_state *)(base + before + FPH_STATE_GUARD);
    return head;
}

static size_t file_has = 64 * FPHEAP_CHUNK; /* as far as is known; 0: it is not */

/* What is said of a file that begins with so many bytes of a head. */
static int
head_read(const fph_partition *is, size_t bytes, const fpheap_partition *desc)
{
    fph_opening   it   = opening(desc);
    int           file = memory_file(), rc;
    fph_partition head;
    fpheap        heap;

    memset(&heap, 0, sizeof heap);
    heap.file = file;
    it.bytes = file_has;
    NEED(pwrite(file, is, bytes, 0) == (ssize_t)bytes);
    rc = fph_head_read(&heap, &it, &head);
    close(file);
    NEED(rc != 0 || memcmp(&head, is, offsetof(fph_partition, root)) == 0);
    return rc;
}

/* A head is refused for this reason, or for none. */
static void
need_head(const fph_partition *head, const fpheap_partition *desc, int error,
          const char *why)
{
    NEED(head_read(head, offsetof(fph_partition, root), desc) == error);
    need_reported(why);
}

#define DAMAGED "the heap in it is damaged"
#define NO_HEAP "there is no heap in it"

static void
a_head_is_refused_for_any_word_that_does_not_fit(void **state)
{
    const fpheap_partition any   = partition_of(0);
    const size_t           all   = 64 * FPHEAP_CHUNK;
    const uintptr_t        base  = (uintptr_t)256 * FPHEAP_CHUNK;
    const size_t           least = offsetof(fph_partition, member);
    const size_t           most  = all - FPH_STATE_GUARD - sizeof(fph_state);
    fph_partition          head  = good_head();
    size_t                 i;

    const fph_partition bad[] = {
        head_of(base, all - 4096, least), head_of(base, 0, least),
        head_of(base, all + FPHEAP_CHUNK, least),
        head_of(base + 4096, all, least), head_of(0, all, least),
        head_of(0 - (uintptr_t)all, all, least),
        head_of(0 - (uintptr_t)FPHEAP_CHUNK, all, least),
        head_of(base, all, least - 8), head_of(base, all, most + 8),
        head_of(base, all, all + 8)
    };
    const fph_partition good[] = {
        head, head_of(base, all, least), head_of(base, all, most),
        head_of(base, all - FPHEAP_CHUNK, least),
        head_of(FPHEAP_CHUNK, all, least),
        head_of(0 - (uintptr_t)(all + FPHEAP_CHUNK), all, least)
    };

    (void)state;
    for (i = 0; i < TEST_COUNT(bad); i++)
        need_head(&bad[i], &any, -ESTALE, DAMAGED);
    for (i = 0; i < TEST_COUNT(good); i++)
        need_head(&good[i], &any, 0, NULL);
    file_has = 0;
    need_head(&bad[2], &any, 0, NULL);
    file_has = 1;
    need_head(&good[0], &any, -ESTALE, DAMAGED);
    file_has = all;
    for (i = 0; i < 3; i++) {
        head = good_head();
        head.nodes = (unsigned)i;
        need_head(&head, &any, i == 1 ? 0 : -ESTALE, i == 1 ? NULL : DAMAGED);
        head = good_head();
        head.unit = (unsigned)i;
        need_head(&head, &any, i != 0 ? 0 : -ESTALE, i != 0 ? NULL : DAMAGED);
        head = good_head();
        head.state = (fph_state *)(void *)((char *)head.state + i * 8 - 8);
        need_head(&head, &any, i == 1 ? 0 : -ESTALE, i == 1 ? NULL : DAMAGED);
    }
}

static void
a_head_is_refused_that_is_none_or_another(void **state)
{
    const fpheap_partition any    = partition_of(0);
    const size_t           all    = 64 * FPHEAP_CHUNK;
    const size_t           made   = offsetof(fph_partition, root);
    fpheap_partition       wanted = partition_of(all - FPHEAP_CHUNK + 1);
    fph_partition          head   = good_head();

    (void)state;
    assert_int_equal(head_read(&head, made - 1, &any), -ESTALE);
    need_reported(NO_HEAP);
    head.magic++;
    need_head(&head, &any, -ESTALE, NO_HEAP);
    head = good_head();
    head.settings[strcspn(head.settings, "=") + 1] = '~';
    need_head(&head, &any, -EPROTO, "FPHEAP_VERSION");
    head = good_head();
    need_head(&head, &wanted, 0, NULL);
    wanted.bytes = all;
    need_head(&head, &wanted, 0, NULL);
    wanted.bytes = all + 1;
    need_head(&head, &wanted, -EPROTO, "bytes");
    wanted.bytes = all - FPHEAP_CHUNK;
    need_head(&head, &wanted, -EPROTO, "bytes");
    wanted = partition_of(1);
    need_head(&head, &wanted, -EPROTO, "bytes");
    wanted = partition_of(0);
    wanted.address = head.base;
    need_head(&head, &wanted, 0, NULL);
    wanted.address = head.base + FPHEAP_CHUNK;
    need_head(&head, &wanted, -EPROTO, "address");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        SHARED_TEST(
        a_run_of_chunks_is_found_where_it_is_wished_for_or_at_the_first_place),
        SHARED_TEST(memory_comes_behind_chunks_and_to_each_2_mib_once),
        SHARED_TEST(memory_goes_with_the_last_chunk_of_a_page),
        SHARED_TEST(a_region_is_chunks_of_the_file_that_have_memory),
        SHARED_TEST(a_region_that_gets_no_memory_takes_no_chunks),
        SHARED_TEST(a_lock_is_of_one_byte_behind_the_partitions_start),
        SHARED_TEST(a_corpse_is_found_at_each_place),
        SHARED_TEST(a_place_is_held_that_has_a_member_or_that_has_none),
        SHARED_TEST(the_dead_are_held_and_let_go_each_at_its_place),
        SHARED_TEST(calls_are_waited_for_until_the_time_is_over),
        SHARED_TEST(a_caches_call_is_its_owners),
        SHARED_TEST(a_call_that_a_cache_gives_up_meanwhile_is_waited_for),
        SHARED_TEST(one_member_at_a_time_cleans_up),
        SHARED_TEST(a_clean_up_ends_in_what_it_says),
        SHARED_TEST(who_rebuilds_says_so_until_the_end),
        SHARED_TEST(who_finds_a_cleaner_waits_for_its_end),
        SHARED_TEST(who_goes_on_for_a_dead_cleaner_frees_only_what_is_lost),
        SHARED_TEST(a_recovery_is_of_a_partition_and_with_flags_that_are_known),
        SHARED_TEST(a_file_is_refused_for_what_the_system_says_of_it),
        SHARED_TEST(a_page_of_a_file_is_a_number_of_chunks),
        SHARED_TEST(the_beginning_is_read_where_it_is),
        SHARED_TEST(settings_are_compared_to_the_character),
        SHARED_TEST(a_head_is_refused_for_any_word_that_does_not_fit),
        SHARED_TEST(a_head_is_refused_that_is_none_or_another),
    };

    return cmocka_run_group_tests_name("shared_partition", tests, NULL, NULL);
}
