/* test_mmap.c - what the default provider asks of the system, and what it makes
 * of the answers
 *
 * mmap, munmap, madvise, and the files that say what hugepages there are, are
 * the test's own here, as is the clock: how hugepages are asked for, what serves
 * when there are none or they cannot be written, and when they are tried again;
 * how much is mapped for an aligned place; what cannot be unmapped.
 */
#ifndef _GNU_SOURCE
#  define _GNU_SOURCE 1
#endif
#include "clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

static void *note_mmap(void *at, size_t bytes, int access, int flags, int file,
                       off_t offset);
static int note_munmap(void *at, size_t bytes);
static int note_madvise(void *at, size_t bytes, int advice);
static int note_mincore(void *at, size_t bytes, unsigned char *in);
static int note_mprotect(void *at, size_t bytes, int access);
static int note_getrlimit(struct rlimit *limit);
static int note_open(const char *path, int flags);
static int note_prctl(int what, long a, long b, long c, long d);
static int note_munlock(const void *at, size_t bytes);
static long note_syscall(long number, ...);
#define mmap          note_mmap
#define munmap        note_munmap
#define madvise       note_madvise
#define mincore       note_mincore
#define mprotect      note_mprotect
#define getrlimit(what, limit) note_getrlimit(limit)
#define open          note_open
#define prctl(what, a, b, c, d) note_prctl(what, a, b, c, d)
#define munlock       note_munlock
#define syscall       note_syscall
#define FPHEAP_CHUNK_SHIFT 16
#define FPHEAP_IMPLEMENTATION
#include "fpheap.h"
#undef mmap
#undef munmap
#undef madvise
#undef mincore
#undef mprotect
#undef getrlimit
#undef open
#undef prctl
#undef munlock
#undef syscall
#include "test_util.h"

/* --- what is asked for, and what the system answers ----------------------- */

/* Reserved ones are asked for so often, and there are some; transparent ones so
 * often, and so often none is wanted, and the kernel takes the advice. */
static unsigned reserved, advised, declined;
static unsigned reserved_log2; /* of the bytes of the last ones asked for */
static unsigned reserved_lack; /* the last page of so many regions cannot be
                                  written, as under a cgroup's limit */
static unsigned reserved_none; /* so many times there are none */
static unsigned odd_places;    /* so many regions are not aligned, and then */
static int      odd_then_none; /* there are no more */
static unsigned unmap_passes;  /* so many calls succeed before */
static unsigned unmap_fails;   /* so many fail */
static size_t   mapped_bytes;  /* and not unmapped */
static size_t   mapped_most;   /* at one time */

/* What the heap wants at a place of its choice, where something else is, so
 * that the kernel must choose; and addresses that take no memory. */
static unsigned refuse_from = UINT_MAX, refuse_to; /* these calls of mmap and
                                                      mprotect fail */
static unsigned calls, refusals;
static unsigned too_wide;      /* so many reservations of addresses are */
static int      takes_hints;   /* as a kernel that does not know
                                  MAP_FIXED_NOREPLACE */
static int      takes_places;  /* that it is asked for, if they are free */
static int      no_limits;     /* can be read */
static rlim_t   limit_is;      /* if not 0 */
static int      tells_nothing; /* as a filter that lets mincore not through */

/* Where the last call did so. */
typedef struct place {
    char  *at;
    size_t bytes;
    int    access;
} place;

static place    allowed, kept_plain, emptied; /* access; no hugepages; memory
                                                 is not needed */
static place    unlocked, undumped, collapsed, sought; /* addresses only */
static place    unmaps[8];     /* the last ones that were unmapped */
static unsigned empties, unmap_calls;

static int
is_refused(void)
{
    calls++;
    if (calls < refuse_from || calls > refuse_to)
        return 0;
    refusals++;
    errno = ENOMEM;
    return 1;
}

static int
note_mprotect(void *at, size_t bytes, int access)
{
    if (is_refused())
        return -1;
    allowed.at = (char *)at;
    allowed.bytes = bytes;
    allowed.access = access;
    return mprotect(at, bytes, access);
}

static int
note_mincore(void *at, size_t bytes, unsigned char *in)
{
    int rc = mincore(at, bytes, in);

    assert_true(bytes != 0);
    return tells_nothing ? -1 : rc;
}

static int
note_getrlimit(struct rlimit *limit)
{
    int rc = no_limits ? -1 : getrlimit(RLIMIT_AS, limit);

    if (limit_is != 0)
        limit->rlim_cur = limit_is;
    return rc;
}

static void *
note_fixed(void *at, size_t bytes, int access, int flags, int file,
           off_t offset)
{
    void *map;

    if (access != PROT_NONE && takes_places) {
        map = mmap(at, bytes, access, flags, file, offset);
        mapped_bytes += map == MAP_FAILED ? 0 : bytes;
        return map;
    }
    if (access != PROT_NONE && !takes_hints)
        return MAP_FAILED;
    mapped_bytes += bytes;
    sought.bytes = bytes;
    flags &= ~MAP_FIXED_NOREPLACE;
    at = access != PROT_NONE ? NULL : at;
    map = mmap(at, bytes, access, flags, file, offset);
    sought.at = (char *)map;
    return map;
}

static void *
note_mmap(void *at, size_t bytes, int access, int flags, int file, off_t offset)
{
    int   huge = (flags & FPH_MAP_HUGETLB) != 0;
    char *map;

    if (is_refused()
        || (access == PROT_NONE && too_wide > 0 && too_wide-- > 0))
        return MAP_FAILED;
    assert_int_equal(flags & MAP_TYPE, MAP_PRIVATE);
    assert_true(file == -1 && offset == 0);
    if (access == PROT_NONE || (flags & MAP_FIXED_NOREPLACE) != 0)
        return note_fixed(at, bytes, access, flags, file, offset);
    reserved += (unsigned)huge;
    if (huge)
        reserved_log2 = (unsigned)flags >> 26;
    if ((huge && reserved_none > 0 && reserved_none-- > 0)
        || (odd_then_none && odd_places == 0))
        return MAP_FAILED;
    map = (char *)mmap(at, bytes + 2 * FPHEAP_CHUNK, access,
                       (flags & ~FPH_MAP_HUGETLB & ((1 << 26) - 1))
                           | MAP_NORESERVE, file, offset);
    if (map == MAP_FAILED)
        return map;
    at = (void *)(((uintptr_t)map + FPHEAP_CHUNK) & ~FPH_CHUNK_MASK);
    if (odd_places > 0 && odd_places-- > 0)
        at = (char *)at + 4096;
    if (at != map)
        munmap(map, (size_t)((char *)at - map));
    munmap((char *)at + bytes, (size_t)(map + 2 * FPHEAP_CHUNK - (char *)at));
    if (huge && reserved_lack > 0 && reserved_lack-- > 0)
        assert_int_equal(mprotect((char *)at + bytes
                                  - ((size_t)1 << reserved_log2), 4096,
                                  PROT_READ), 0);
    mapped_bytes += bytes;
    if (mapped_most < mapped_bytes)
        mapped_most = mapped_bytes;
    return at;
}

static int
note_munmap(void *at, size_t bytes)
{
    if (unmap_passes > 0) {
        unmap_passes--;
    } else if (unmap_fails > 0) {
        unmap_fails--;
        errno = ENOMEM;
        return -1;
    }
    mapped_bytes -= bytes;
    unmaps[unmap_calls % TEST_COUNT(unmaps)].at = (char *)at;
    unmaps[unmap_calls++ % TEST_COUNT(unmaps)].bytes = bytes;
    return munmap(at, bytes);
}

static int
note_munlock(const void *at, size_t bytes)
{
    unlocked.at = (char *)(uintptr_t)at;
    unlocked.bytes = bytes;
    return 0;
}

static int
note_madvise(void *at, size_t bytes, int advice)
{
    advised += advice == MADV_HUGEPAGE;
    declined += advice == MADV_NOHUGEPAGE;
    if (advice == MADV_NOHUGEPAGE) {
        kept_plain.at = (char *)at;
        kept_plain.bytes = bytes;
    }
    if (advice == MADV_DONTDUMP) {
        undumped.at = (char *)at;
        undumped.bytes = bytes;
    }
    if (advice == FPH_COLLAPSE) {
        collapsed.at = (char *)at;
        collapsed.bytes = bytes;
    }
    if (advice == MADV_DONTNEED) {
        emptied.at = (char *)at;
        emptied.bytes = bytes;
        empties++;
    }
    return 0;
}

/* --- hugepages ------------------------------------------------------------ */

/* What mmap gives with these flags. */
static fpheap_region
mapped_with(unsigned flags, size_t bytes)
{
    fpheap_region region;

    reserved = advised = declined = 0;
    mapped_most = mapped_bytes;
    assert_int_equal(fph_mmap_get((void *)(uintptr_t)flags, bytes, FPHEAP_CHUNK,
                                  0, &region), 0);
    assert_non_null(region.base);
    assert_true(region.bytes >= bytes);
    return region;
}

static void
unmapped(const fpheap_region *region)
{
    fpheap_provider calls;

    assert_int_equal(fpheap_provider_mmap(&calls, 0), 0);
    assert_int_equal(calls.put(calls.ctx, region), 0);
}

static void
hugepages_are_asked_for_as_the_flags_say_and_transparent_ones_later(
    void **state)
{
    fpheap_region region;

    (void)state;
    mapped_bytes = 0;
    region = mapped_with(0, 9 * TEST_MIB);
    assert_int_equal(mapped_bytes, 9 * TEST_MIB);
    assert_int_equal(reserved + advised, 0);
    assert_int_equal(declined, 1);
    assert_int_equal(region.backing, FPHEAP_BACKING_PAGES);
    assert_int_equal(region.bytes, 9 * TEST_MIB);
    unmapped(&region);
    region = mapped_with(FPHEAP_NO_THP, FPHEAP_CHUNK);
    assert_int_equal(reserved + advised + declined, 0);
    assert_int_equal(region.backing, FPHEAP_BACKING_PAGES);
    unmapped(&region);
    region = mapped_with(FPHEAP_HUGETLB, 2 * TEST_MIB + 1);
    assert_int_equal(reserved, 1);
    assert_int_equal(advised + declined, 0);
    assert_int_equal(region.backing, FPHEAP_BACKING_HUGETLB);
    assert_int_equal(region.bytes, 4 * TEST_MIB);
    unmapped(&region);
    region = mapped_with(FPHEAP_HUGETLB, 2 * TEST_MIB);
    assert_int_equal(region.bytes, 2 * TEST_MIB);
    unmapped(&region);
    assert_int_equal(mapped_bytes, 0);
}

static void
reserved_hugepages_have_the_size_that_the_flag_names(void **state)
{
    fpheap_provider calls;
    fpheap_region   region;

    (void)state;
    mapped_bytes = 0;
    region = mapped_with(FPHEAP_HUGETLB, 4 * TEST_MIB + 1);
    assert_int_equal(reserved_log2, 21);
    assert_int_equal(region.bytes, 6 * TEST_MIB);
    assert_int_equal(mapped_bytes, region.bytes);
    unmapped(&region);
    assert_int_equal(mapped_bytes, 0);
    region = mapped_with(FPHEAP_HUGETLB_1G, FPHEAP_CHUNK);
    assert_int_equal(reserved_log2, 30);
    assert_int_equal(region.bytes, 1024 * TEST_MIB);
    assert_int_equal(region.backing, FPHEAP_BACKING_HUGETLB);
    assert_int_equal(mapped_bytes, region.bytes);
    unmapped(&region);
    assert_int_equal(mapped_bytes, 0);
    reserved_none = 1;
    region = mapped_with(FPHEAP_HUGETLB, FPHEAP_CHUNK);
    assert_int_equal(reserved, 1);
    assert_int_equal(region.bytes, FPHEAP_CHUNK);
    unmapped(&region);
    assert_int_equal(fph_map_huge(SIZE_MAX - 2 * TEST_MIB + 1, 21, &region), 0);
    assert_int_equal(fpheap_provider_mmap(&calls, FPHEAP_HUGETLB_1G), 0);
    assert_int_equal(fpheap_provider_mmap(&calls, FPHEAP_HUGETLB_1G << 1),
                     -EINVAL);
}

/* A cgroup's limit, or a node that has no more. */
static void
where_a_hugepage_cannot_be_written_other_pages_serve_and_it_is_left(
    void **state)
{
    fpheap_region region;

    (void)state;
    mapped_bytes = 0;
    reserved_lack = 1;
    region = mapped_with(FPHEAP_HUGETLB, 4 * TEST_MIB);
    assert_int_equal(reserved, 1);
    assert_int_not_equal(region.backing, FPHEAP_BACKING_HUGETLB);
    assert_int_equal(region.bytes, 4 * TEST_MIB);
    memset(region.base, 1, region.bytes);
    assert_int_equal(mapped_bytes, region.bytes);
    unmapped(&region);
    /* It is tried again, but not at each growth. */
    clock_ns += 900000000;
    region = mapped_with(FPHEAP_HUGETLB, 4 * TEST_MIB);
    assert_int_equal(reserved, 0);
    unmapped(&region);
    clock_ns += 100000000;
    region = mapped_with(FPHEAP_HUGETLB, 4 * TEST_MIB);
    assert_int_equal(reserved, 1);
    assert_int_equal(region.backing, FPHEAP_BACKING_HUGETLB);
    unmapped(&region);
    assert_int_equal(mapped_bytes, 0);
}

static void
without_hugepages_of_a_gigabyte_come_those_of_2_mib(void **state)
{
    fpheap_region region;

    (void)state;
    mapped_bytes = 0;
    reserved_lack = 1;
    region = mapped_with(FPHEAP_HUGETLB_1G | FPHEAP_HUGETLB, TEST_MIB);
    assert_int_equal(reserved, 2);
    assert_int_equal(region.bytes, 2 * TEST_MIB);
    assert_int_equal(region.backing, FPHEAP_BACKING_HUGETLB);
    unmapped(&region);
    /* Each pauses on its own. */
    reserved_lack = 1;
    region = mapped_with(FPHEAP_HUGETLB_1G | FPHEAP_HUGETLB, TEST_MIB);
    assert_int_equal(reserved, 1);
    assert_int_not_equal(region.backing, FPHEAP_BACKING_HUGETLB);
    unmapped(&region);
    assert_int_equal(mapped_bytes, 0);
    clock_ns += 2000000000;
}

static void
where_mmap_gives_an_aligned_place_no_more_is_mapped(void **state)
{
    fpheap_region region;

    (void)state;
    mapped_bytes = 0;
    odd_places = 1;
    odd_then_none = 1;
    assert_int_equal(fph_mmap_get(NULL, FPHEAP_CHUNK, FPHEAP_CHUNK, 0, &region),
                     -ENOMEM);
    odd_then_none = 0;
    assert_int_equal(mapped_bytes, 0);
    region = mapped_with(0, 3 * FPHEAP_CHUNK);
    assert_int_equal(mapped_most, 3 * FPHEAP_CHUNK);
    unmapped(&region);
    odd_places = 1;
    region = mapped_with(0, 3 * FPHEAP_CHUNK);
    assert_int_equal(odd_places, 0);
    assert_int_equal((uintptr_t)region.base & FPH_CHUNK_MASK, 0);
    assert_int_equal(region.bytes, 3 * FPHEAP_CHUNK);
    assert_int_equal(mapped_bytes, 3 * FPHEAP_CHUNK);
    unmapped(&region);
    assert_int_equal(mapped_bytes, 0);
}

/* What was not aligned goes back as it came, and of the longer piece just the
 * two ends. */
static void
an_aligned_region_keeps_neither_end_of_what_was_mapped_for_it(void **state)
{
    const size_t  bytes = 3 * FPHEAP_CHUNK;
    fpheap_region region;
    unsigned      odd;

    (void)state;
    for (odd = 0; odd < 3; odd++) {
        mapped_bytes = 0;
        odd_places = odd;
        unmap_calls = 0;
        memset(&region, 0, sizeof region);
        assert_int_equal(fph_map_aligned(bytes, FPHEAP_CHUNK, &region), 1);
        assert_int_equal((uintptr_t)region.base & FPH_CHUNK_MASK, 0);
        assert_true(region.bytes == bytes && mapped_bytes == bytes);
        assert_int_equal(unmap_calls, odd == 0 ? 0 : 1 + odd);
        if (odd > 0) {
            assert_int_equal(unmaps[0].bytes, bytes);
            assert_ptr_equal(unmaps[1].at, (char *)region.base + bytes);
            assert_int_equal(unmaps[1].bytes, odd == 1 ? FPHEAP_CHUNK : 4096);
        }
        if (odd > 1) {
            assert_ptr_equal(unmaps[2].at + unmaps[2].bytes, region.base);
            assert_int_equal(unmaps[2].bytes, FPHEAP_CHUNK - 4096);
        }
        unmapped(&region);
    }
}

static void
what_no_hugepages_can_hold_is_not_asked_of_them(void **state)
{
    const size_t  page = 2 * TEST_MIB;
    fpheap_region region;

    (void)state;
    reserved = 0;
    assert_int_equal(fph_map_huge(SIZE_MAX - 5, 21, &region), 0);
    assert_int_equal(fph_map_huge(SIZE_MAX - page + 1, 21, &region), 0);
    assert_int_equal(reserved, 0);
    reserved_none = 1;
    assert_int_equal(fph_map_huge(SIZE_MAX - page, 21, &region), 0);
    assert_int_equal(reserved, 1);
    assert_int_equal(reserved_none, 0);
}

/* `passes` calls of munmap succeed and then `fails` fail, as when the
 * process has as many mappings as it may.  Neither the first place nor the
 * larger one is aligned. */
static void
a_region_has(size_t bytes, unsigned passes, unsigned fails)
{
    fpheap_region region;

    mapped_bytes = 0;
    odd_places = 2;
    unmap_passes = passes;
    unmap_fails = fails;
    region = mapped_with(0, 3 * FPHEAP_CHUNK);
    assert_int_equal(unmap_fails, 0);
    assert_int_equal(region.bytes, bytes);
    assert_int_equal(mapped_bytes, bytes);
    memset(region.base, 1, bytes);
    odd_places = 0;
    unmapped(&region);
    assert_int_equal(mapped_bytes, 0);
}

static void
what_cannot_be_unmapped_stays_in_the_region_and_goes_back_with_it(void **state)
{
    (void)state;
    a_region_has(3 * FPHEAP_CHUNK, 0, 1);
    a_region_has(3 * FPHEAP_CHUNK + 4096, 1, 1);
    a_region_has(4 * FPHEAP_CHUNK - 4096, 2, 1);
    a_region_has(4 * FPHEAP_CHUNK, 1, 2);
}

/* --- what the system refuses ---------------------------------------------- */

/* What is refused is ENOMEM, and nothing else. */
static void
use_a_heap(void)
{
    fpheap  *heap = fpheap_create("refused", NULL);
    void    *objects[30];
    unsigned i, n = 0;

    if (heap == NULL) {
        assert_int_equal(errno, ENOMEM);
        return;
    }
    for (i = 0; i < TEST_COUNT(objects); i++) {
        size_t size = (size_t)1 << i % 15 << i / 5;

        errno = 0;
        objects[n] = fpheap_alloc(heap, size);
        if (objects[n] == NULL)
            assert_int_equal(errno, ENOMEM);
        else
            memset(objects[n++], 1, size);
    }
    TEST_CHECK_LIVE(heap, n);
    fpheap_free_bulk(heap, objects, n);
    (void)fpheap_trim(heap);
    assert_true(heap->state->moves_begun == heap->state->moves_ended);
    TEST_DESTROY(heap);
}

static void
whichever_call_the_system_refuses_nothing_is_lost(void **state)
{
    uintptr_t usual = fph_map_next;
    unsigned  for_ever;

    (void)state;
    for (for_ever = 0; for_ever < 2; for_ever++) {
        refuse_from = 0;
        do {
            refuse_from++;
            refuse_to = for_ever ? UINT_MAX : refuse_from;
            calls = refusals = 0;
            mapped_bytes = 0;
            fph_map_next = 0;          /* it looks for a place as well */
            use_a_heap();
            assert_int_equal(mapped_bytes, 0);
        } while (refusals > 0);
        assert_true(refuse_from > 8);
    }
    refuse_from = UINT_MAX;
    fph_map_next = usual;
}

static void
a_place_that_is_taken_for_a_hint_does_not_stay_mapped(void **state)
{
    uintptr_t usual = fph_map_next;

    (void)state;
    takes_hints = 1;
    mapped_bytes = 0;
    use_a_heap();
    assert_int_equal(mapped_bytes, 0);
    takes_hints = 0;
    fph_map_next = usual;
}

/* Behind what was mapped last, which may end at any byte. */
static void
the_place_to_try_is_the_first_aligned_one_that_is_not_taken(void **state)
{
    uintptr_t usual = fph_map_next;
    uintptr_t off;

    (void)state;
    for (off = 0; off < 3; off++) {
        fph_map_next = 5 * FPHEAP_CHUNK + off;
        assert_ptr_equal(fph_map_room(FPHEAP_CHUNK),
                         (5 + (off != 0)) * FPHEAP_CHUNK);
        fph_map_next = 5 * FPHEAP_CHUNK - off;
        assert_ptr_equal(fph_map_room(FPHEAP_CHUNK), 5 * FPHEAP_CHUNK);
    }
    fph_map_next = usual;
}

/* The first time it finds a large piece of addresses, and does not keep it. */
static void
the_first_place_to_try_is_where_there_is_much_room(void **state)
{
    uintptr_t usual = fph_map_next;
    char     *at;

    (void)state;
    fph_map_next = 0;
    mapped_bytes = 0;
    at = fph_map_room(FPHEAP_CHUNK);
    assert_non_null(at);
    assert_int_equal(sought.bytes, (size_t)1 << (sizeof at == 8 ? 36 : 26));
    assert_true(at >= sought.at && at < sought.at + FPHEAP_CHUNK);
    assert_int_equal((uintptr_t)at & FPH_CHUNK_MASK, 0);
    assert_int_equal(mapped_bytes, 0);
    fph_map_next = usual;
}

static void
what_is_mapped_at_its_place_is_followed_by_the_next(void **state)
{
    uintptr_t     usual = fph_map_next;
    const size_t  bytes = 2 * FPHEAP_CHUNK;
    fpheap_region region, other;
    char         *at;

    (void)state;
    fph_map_next = 0;
    at = fph_map_room(FPHEAP_CHUNK);
    takes_places = 1;
    mapped_bytes = 0;
    memset(&region, 0, sizeof region);
    assert_int_equal(fph_map_at(at, bytes, &region), 1);
    assert_ptr_equal(region.base, at);
    assert_true(region.bytes == bytes && mapped_bytes == bytes);
    assert_true(fph_map_next == (uintptr_t)at + bytes);
    memset(at, 1, bytes);
    memset(&other, 1, sizeof other);
    assert_int_equal(fph_map_at(at, bytes, &other), 0); /* it is taken */
    assert_null(other.base);
    assert_int_equal(fph_map_at(NULL, bytes, &other), 0);
    assert_null(other.base);
    assert_true(mapped_bytes == bytes);
    assert_true(fph_map_next == (uintptr_t)at + bytes);
    takes_places = 0;
    unmapped(&region);
    fph_map_next = usual;
}

static void
reserved_addresses_take_no_memory_and_are_in_no_core_file(void **state)
{
    const size_t bytes = 4 * FPHEAP_CHUNK;
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char        *base;

    (void)state;
    mapped_bytes = 0;
    memset(&unlocked, 0, sizeof unlocked);
    memset(&undumped, 0, sizeof undumped);
    memset(&kept_plain, 0, sizeof kept_plain);
    base = (char *)fph_map_reserve(bytes);
    assert_non_null(base);
    assert_true(unlocked.at == base && unlocked.bytes == bytes);
    assert_true(undumped.at == base && undumped.bytes == bytes);
    assert_true(kept_plain.at == base && kept_plain.bytes == bytes);
    /* Access is allowed in whole pages, at whatever byte it begins. */
    assert_int_equal(fph_map_allow(base + page + 1, 1, PROT_READ), 1);
    assert_ptr_equal(allowed.at, base + page);
    assert_int_equal(allowed.bytes, page);
    assert_int_equal(allowed.access, PROT_READ);
    assert_int_equal(fph_map_allow(base + page - 1, 2, PROT_READ), 1);
    assert_ptr_equal(allowed.at, base);
    assert_int_equal(allowed.bytes, 2 * page);
    assert_int_equal(fph_map_open(base + 1, page), 1);
    assert_int_equal(allowed.bytes, 2 * page);
    assert_int_equal(allowed.access, PROT_READ | PROT_WRITE);
    fph_map_end(base, bytes);
    assert_int_equal(mapped_bytes, 0);
    too_wide = 1;
    assert_null(fph_map_reserve(bytes));
}

static void
a_limit_that_cannot_be_read_is_none(void **state)
{
    (void)state;
    limit_is = 12345;
    assert_true(fph_address_space() == 12345);
    limit_is = RLIM_INFINITY;
    assert_true(fph_address_space() == UINT64_MAX);
    limit_is = 0;
    no_limits = 1;
    assert_true(fph_address_space() == UINT64_MAX);
    use_a_heap();
    no_limits = 0;
}

/* Of a piece that begins and ends anywhere. */
static void
of_what_is_decommitted_the_systems_whole_pages_go(void **state)
{
    fpheap_region region = mapped_with(0, 2 * TEST_MIB);
    char         *base   = (char *)region.base;
    size_t        page   = (size_t)sysconf(_SC_PAGESIZE);
    size_t        from, bytes;

    (void)state;
    for (from = page - 2; from <= page + 2; from++) {
        for (bytes = 2 * page - 1; bytes <= 3 * page + 1; bytes++) {
            size_t first = (from + page - 1) / page;
            size_t end   = (from + bytes) / page;

            empties = 0;
            fph_mmap_decommit(NULL, base + from, bytes);
            assert_int_equal(empties, 1);
            assert_ptr_equal(emptied.at, base + first * page);
            assert_int_equal(emptied.bytes, (end - first) * page);
        }
    }
    empties = 0;
    fph_mmap_decommit(NULL, base + 1, page - 1);
    fph_mmap_decommit(NULL, base + 1, page - 2);
    fph_mmap_decommit(NULL, base + 1, 2 * page - 2);
    fph_mmap_decommit(NULL, base, page - 1);
    assert_int_equal(empties, 0);
    unmapped(&region);
}

/* --- the heap's own ------------------------------------------------------- */

static void
memory_apart_is_open_just_between_its_borders(void **state)
{
    const size_t border = FPH_MAP_BORDER, skip = FPH_MAP_SKIP;
    const size_t bytes[] = { 1, border - skip - 1, border - skip,
                             border - skip + 1, 2 * border - skip,
                             2 * border - skip + 1 };
    size_t       i;

    (void)state;
    for (i = 0; i < TEST_COUNT(bytes); i++) {
        size_t open = (bytes[i] + skip + border - 1) / border * border;
        char  *memory;

        mapped_bytes = 0;
        memory = (char *)fph_map_apart(bytes[i]);
        assert_non_null(memory);
        assert_int_equal(mapped_bytes, open + 2 * border);
        assert_ptr_equal(allowed.at, memory - skip);
        assert_int_equal(allowed.bytes, open);
        assert_ptr_equal(kept_plain.at, memory - skip);
        assert_int_equal(kept_plain.bytes, open);
        memset(memory, 1, open - skip);
        fph_map_apart_end(memory);
        assert_int_equal(mapped_bytes, 0);
    }
}

/* Each is half of the one before; the last has 128 chunks. */
static void
a_window_is_as_wide_as_the_system_lets_it(void **state)
{
    fpheap  *heap = fpheap_create("window", NULL);
    uint64_t pages;
    unsigned halves = 0;

    (void)state;
    assert_non_null(heap);
    pages = heap->state->mask + 1;
    TEST_DESTROY(heap);
    while (pages > 128 * FPH_PAGES) {
        pages /= 2;
        too_wide = ++halves;
        heap = fpheap_create("window", NULL);
        assert_non_null(heap);
        assert_true(heap->state->mask + 1 == pages);
        TEST_DESTROY(heap);
    }
    too_wide = halves + 1;
    assert_null(fpheap_create("window", NULL));
    assert_int_equal(too_wide, 0);
}

/* The state is written, and of the tables what a free of a wrong pointer may
 * look at is read; what cannot be is not left behind. */
static void
of_a_window_only_the_state_is_open(void **state)
{
    fpheap       *heap = fpheap_create("state", NULL);
    fpheap_region raw;
    fph_layout    it;
    unsigned      passes;

    (void)state;
    assert_non_null(heap);
    raw = heap->state->region[0].raw;
    it = fph_layout_of(heap, (heap->state->mask + 1) >> FPH_PAGE_BITS);
    mapped_bytes = 0;
    for (passes = 1; passes < 4; passes++) {
        calls = 0;
        refuse_from = 1 + passes;
        refuse_to = UINT_MAX;
        allowed.access = -1;
        assert_null(fph_state_new(heap, &raw));
        assert_int_equal(mapped_bytes, 0);
        if (passes == 1) {
            assert_int_equal(allowed.access, -1);
        } else if (passes == 2) {
            assert_int_equal(allowed.access, PROT_READ | PROT_WRITE);
            assert_int_equal(allowed.bytes,
                             (it.free - FPH_STATE_GUARD + 4095) & ~4095ul);
        } else {
            assert_int_equal(allowed.access, PROT_READ);
        }
    }
    refuse_from = UINT_MAX;
    mapped_bytes = 0;
    TEST_DESTROY(heap);
}

/* --- what the system says of transparent hugepages ------------------------ */

static const char *says_2mib, *says_all; /* NULL: no such file; empty: one that
                                            cannot be read */
static unsigned    opened;
static int         without_thp;          /* what the process has of them */
static int         cancels = -1;         /* whether it can be cancelled there */

static int
note_open(const char *path, int flags)
{
    const char *text = strstr(path, "2048kB") != NULL ? says_2mib : says_all;
    int         ends[2];

    assert_int_equal(flags, O_RDONLY | O_CLOEXEC);
    opened++;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancels);
    if (text == NULL)
        return -1;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], text, strlen(text)), strlen(text));
    close(ends[text[0] != '\0']);
    return ends[text[0] == '\0'];
}

static int
note_prctl(int what, long a, long b, long c, long d)
{
    assert_int_equal(what, PR_GET_THP_DISABLE);
    assert_true(a == 0 && b == 0 && c == 0 && d == 0); /* or it is no call */
    return without_thp;
}

/* The descriptor that a file would get. */
static int
next_descriptor(void)
{
    int next = dup(STDOUT_FILENO);

    assert_true(next >= 0);
    close(next);
    return next;
}

/* Whether transparent hugepages are asked for, twice. */
static int
asked_if(const char *all, const char *of_2mib, int without)
{
    fpheap_region region = mapped_with(0, 2 * TEST_MIB);
    int           next   = next_descriptor();
    int           asked;

    says_all = all;
    says_2mib = of_2mib;
    without_thp = without;
    fph_thp_known = 0;
    opened = 0;
    asked = fph_mmap_advise(NULL, region.base, region.bytes, FPHEAP_HUGE_NOW);
    assert_int_equal(fph_mmap_advise(NULL, region.base, region.bytes,
                                     FPHEAP_HUGE_NOW), asked);
    assert_int_equal(advised, 2 * asked);
    assert_true(opened <= 2);
    assert_int_equal(next_descriptor(), next);
    fph_thp_known = 0;
    unmapped(&region);
    return asked;
}

static void
transparent_hugepages_are_asked_for_where_the_kernel_may_give_some(void **state)
{
    const char *always = "[always] madvise never\n";
    const char *asked = "always [madvise] never\n";
    const char *never = "always madvise [never]\n";
    const char *inherit = "always [inherit] madvise never\n";
    const char *own_asked = "always inherit [madvise] never\n";
    const char *own_never = "always inherit madvise [never]\n";

    (void)state;
    assert_int_equal(asked_if(always, NULL, 0), 1);
    assert_int_equal(asked_if(asked, NULL, 0), 1);
    assert_int_equal(asked_if(never, NULL, 0), 0);
    assert_int_equal(asked_if(never, inherit, 0), 0);
    assert_int_equal(asked_if(never, own_asked, 0), 1);
    assert_int_equal(asked_if(asked, own_never, 0), 0);
    assert_int_equal(asked_if(NULL, NULL, 0), 1);
    assert_int_equal(asked_if("", "", 0), 1);
    /* The process gets none, or only where it asks for them, or the kernel
     * is too old to say. */
    assert_int_equal(asked_if(always, NULL, 1), 0);
    assert_int_equal(asked_if(always, NULL, 3), 1);
    assert_int_equal(asked_if(always, NULL, -1), 1);
    without_thp = 0;
}

static void
of_a_file_63_characters_are_read_and_none_if_it_cannot_be(void **state)
{
    char     long_one[80], text[80];
    unsigned i;
    int      usual = -1;

    (void)state;
    for (i = 0; i < sizeof long_one - 1; i++)
        long_one[i] = (char)('a' + i % 26);
    long_one[i] = '\0';
    says_all = long_one;
    memset(text, '#', sizeof text);
    fph_file_start("all", text);
    assert_int_equal(cancels, PTHREAD_CANCEL_DISABLE);
    pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &usual);
    assert_int_equal(usual, PTHREAD_CANCEL_ENABLE);
    assert_memory_equal(text, long_one, 63);
    assert_int_equal(text[63], 0);
    assert_int_equal(text[64], '#');
    says_all = "[a]";
    fph_file_start("all", text);
    assert_string_equal(text, "[a]");
    says_all = "";             /* it cannot be read */
    fph_file_start("all", text);
    assert_int_equal(text[0], 0);
    text[0] = '#';
    says_all = NULL;           /* there is none */
    fph_file_start("all", text);
    assert_int_equal(text[0], 0);
}

/* As in a program without standard input. */
static void
a_file_that_gets_the_descriptor_0_is_read_too(void **state)
{
    int input = dup(STDIN_FILENO), is_open = input >= 0;
    int asked;

    (void)state;
    if (is_open)
        close(STDIN_FILENO);
    assert_int_equal(next_descriptor(), STDIN_FILENO);
    asked = asked_if("always madvise [never]\n", NULL, 0);
    if (is_open) {
        assert_int_equal(dup2(input, STDIN_FILENO), STDIN_FILENO);
        close(input);
    }
    assert_int_equal(asked, 0);
    says_all = NULL;
}

/* Pages that are not there are an eighth at most. */
static void
what_has_filled_gets_hugepages_and_what_has_not_gets_none(void **state)
{
    fpheap_region region = mapped_with(0, 2 * TEST_MIB);
    size_t        page   = (size_t)sysconf(_SC_PAGESIZE);
    size_t        at;

    (void)state;
    for (at = 0; at < region.bytes; at += page)
        if (at / page % 8 != 0)
            *((volatile char *)region.base + at) = 1;
    collapsed.at = NULL;
    assert_int_equal(fph_mmap_advise(NULL, region.base, region.bytes,
                                     FPHEAP_HUGE_NOW), 1);
    assert_null(collapsed.at);
    assert_int_equal(fph_mmap_advise(NULL, region.base, region.bytes,
                                     FPHEAP_HUGE_IF_FULL), 1);
    assert_ptr_equal(collapsed.at, region.base);
    assert_int_equal(collapsed.bytes, region.bytes);
    advised = 1;
    madvise((char *)region.base + page, page, MADV_DONTNEED);
    assert_int_equal(fph_mmap_advise(NULL, region.base, region.bytes,
                                     FPHEAP_HUGE_IF_FULL), 0);
    assert_int_equal(fph_mmap_advise(NULL, region.base, region.bytes,
                                     FPHEAP_HUGE_NONE), 0);
    assert_int_equal(advised, 1);
    assert_int_equal(declined, 2);
    unmapped(&region);
}

/* However many calls it takes to ask for them, and whatever is behind them. */
static void
the_pages_that_are_there_are_counted_one_by_one(void **state)
{
    fpheap_region region = mapped_with(0, 3 * TEST_MIB);
    char         *base   = (char *)region.base;
    size_t        page   = (size_t)sysconf(_SC_PAGESIZE);
    size_t        pages  = region.bytes / page, n;

    (void)state;
    for (n = 0; n < pages; n += 2)
        *(volatile char *)(base + n * page) = 1;
    for (n = 1; n <= pages; n += n % 256 == 1 ? 254 : 1)
        assert_int_equal(fph_map_present(base, n * page), (n + 1) / 2 * page);
    unmapped(&region);
}

/* As under a filter of system calls. */
static void
what_the_kernel_says_nothing_of_counts_as_not_filled(void **state)
{
    fpheap_region region = mapped_with(0, 2 * TEST_MIB);

    (void)state;
    memset(region.base, 1, region.bytes);
    tells_nothing = 1;
    assert_int_equal(fph_mmap_advise(NULL, region.base, region.bytes,
                                     FPHEAP_HUGE_IF_FULL), 0);
    assert_int_equal(advised, 0);
    tells_nothing = 0;
    assert_int_equal(fph_mmap_advise(NULL, region.base, region.bytes,
                                     FPHEAP_HUGE_IF_FULL), 1);
    unmapped(&region);
}

/* --- what the system is told, and what it says ---------------------------- */

/* What fallocate answers: errnos, 0 for none, one after the other. */
static int      answers[8];
static unsigned asked_times;
static int      asked_file, asked_mode;
static uint64_t asked_at, asked_bytes;

static long
note_syscall(long number, ...)
{
    va_list arguments;
    long    rc;

    va_start(arguments, number);
    if (number == SYS_fallocate) {
        asked_file = va_arg(arguments, int);
        asked_mode = va_arg(arguments, int);
        asked_at = va_arg(arguments, uint64_t);
        asked_bytes = va_arg(arguments, uint64_t);
        assert_true(asked_times < TEST_COUNT(answers));
        rc = answers[asked_times] == 0 ? 0 : -1;
        if (rc != 0)
            errno = answers[asked_times];
        asked_times++;
    } else {
        int    how  = va_arg(arguments, int);
        void  *set  = va_arg(arguments, void *);
        void  *old  = va_arg(arguments, void *);
        size_t size = va_arg(arguments, size_t);

        rc = syscall(number, how, set, old, size);
    }
    va_end(arguments);
    return rc;
}

#if FPHEAP_SHARED && __SIZEOF_POINTER__ == 8
/* A signal is no answer; no room in the file system, or in a quota, is no
 * memory. */
static void
what_a_files_system_answers_is_told_on(void **state)
{
    static const int says[][2] = { { 0, 0 }, { ENOSPC, -ENOMEM },
                                   { EDQUOT, -ENOMEM }, { EIO, -EIO },
                                   { EOPNOTSUPP, -EOPNOTSUPP } };
    unsigned i, signals;

    (void)state;
    for (i = 0; i < TEST_COUNT(says); i++) {
        for (signals = 0; signals < 3; signals++) {
            unsigned k;

            for (k = 0; k < signals; k++)
                answers[k] = EINTR;
            answers[signals] = says[i][0];
            asked_times = 0;
            errno = EINTR;     /* of an earlier call */
            assert_int_equal(fph_file_allocate(7, FPH_PUNCH, (uint64_t)5 << 33,
                                               (uint64_t)3 << 32), says[i][1]);
            assert_int_equal(asked_times, signals + 1);
            assert_true(asked_file == 7 && asked_mode == FPH_PUNCH);
            assert_true(asked_at == (uint64_t)5 << 33);
            assert_true(asked_bytes == (uint64_t)3 << 32);
        }
    }
}
#endif

/* What a child process that does this says on its standard error, and the signal
 * that ends it; 0: none does. */
static int
signal_of(void (*work)(void), char said[64])
{
    int     ends[2], status = 0;
    ssize_t n, all = 0;
    pid_t   child;

    assert_int_equal(pipe(ends), 0);
    (void)fflush(NULL);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct rlimit none = { 0, 0 };

        setrlimit(RLIMIT_CORE, &none);
        dup2(ends[1], STDERR_FILENO);
        work();
        _exit(0);
    }
    close(ends[1]);
    while ((n = read(ends[0], said + all, 63 - (size_t)all)) > 0)
        all += n;
    close(ends[0]);
    said[all] = '\0';
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void
say_two_lines(void)
{
    fph_say("one");
    fph_say("two");
}

static void
end_in_a_panic(void)
{
    fph_panic("the last words");
}

static void
a_line_is_said_as_one_and_a_panic_ends_the_process(void **state)
{
    char said[64];

    (void)state;
    assert_int_equal(signal_of(say_two_lines, said), 0);
    assert_string_equal(said, "one\ntwo\n");
    assert_int_equal(signal_of(end_in_a_panic, said), SIGABRT);
    assert_string_equal(said, "the last words\n");
}

/* --- zeroes ---------------------------------------------------------------- */

#define STEP  (FPHEAP_CHUNK / 8)
#define STEPS ((size_t)24)

/* Whether any of `bytes` from memory on has memory behind it. */
static int
is_present(char *memory, size_t bytes)
{
    size_t        page = (size_t)sysconf(_SC_PAGESIZE);
    unsigned char in;
    size_t        at;

    for (at = 0; at < bytes; at += page) {
        assert_int_equal(mincore(memory + at, page, &in), 0);
        if (in & 1)
            return 1;
    }
    return 0;
}

/* A large object of which every second step was written by its last owner. */
static char *
zeroed(fpheap *heap)
{
    char  *object = (char *)fpheap_alloc(heap, STEPS * STEP);
    char  *again;
    size_t i;

    assert_non_null(object);
    for (i = 0; i < STEPS; i += 2)
        memset(object + i * STEP, 0x5a, STEP);
    fpheap_free(heap, object);
    again = (char *)fpheap_zalloc(heap, STEPS * STEP);
    assert_ptr_equal(again, object);
    return again;
}

static void
drop_zeroed(fpheap *heap, char *object)
{
    size_t i;

    for (i = 0; i < STEPS * STEP; i++)
        assert_int_equal(object[i], 0);
    fpheap_free(heap, object);
    TEST_DESTROY(heap);
}

/* But for a tool, which is to know that all of it has been written. */
static void
zalloc_writes_what_has_memory_and_no_more(void **state)
{
    fpheap *heap = fpheap_create("zero", NULL);
    char   *object = zeroed(heap);
    size_t  i;

    (void)state;
    for (i = 0; i < STEPS - 1; i++) /* a growth looks at a region's last byte */
        assert_int_equal(is_present(object + i * STEP, STEP),
                         i % 2 == 0 || FPHEAP_TOOL != 0);
    drop_zeroed(heap, object);
}

/* Not the first and the last object of a chunk: a growth looks whether a region
 * can be written at both ends. */
static int
is_inside_chunk(const char *object, size_t size)
{
    size_t at = (uintptr_t)object & (FPHEAP_CHUNK - 1);

    return at != 0 && at + size != FPHEAP_CHUNK;
}

static void
zalloc_leaves_fresh_objects_of_slabs_without_memory(void **state)
{
    size_t size;

    (void)state;
    for (size = FPHEAP_CHUNK / 16; size <= FPHEAP_CHUNK / 4; size *= 2) {
        fpheap *heap = fpheap_create("zero", NULL);
        char   *live = (char *)fpheap_alloc(heap, size);
        char   *ends[2], *fresh, *used;
        size_t  n = 0, i;

        memset(live, 0x5a, size);
        while (fresh = (char *)fpheap_zalloc(heap, size),
               !is_inside_chunk(fresh, size)) {
            assert_true(n < 2);
            ends[n++] = fresh;
        }
        assert_int_equal(is_present(fresh, size), FPHEAP_TOOL != 0);
        memset(fresh, 0x5a, size);
        fpheap_free(heap, fresh);
        used = (char *)fpheap_zalloc(heap, size);
        assert_ptr_equal(used, fresh);
        for (i = 0; i < size; i++) {
            assert_int_equal(live[i], 0x5a);
            assert_int_equal(used[i], 0);
        }
        while (n > 0)
            fpheap_free(heap, ends[--n]);
        fpheap_free(heap, live);
        fpheap_free(heap, used);
        TEST_DESTROY(heap);
    }
}

/* The system does not say, the provider does not promise, or cannot free what
 * is swapped out. */
static void
zalloc_writes_all_that_may_not_be_zero(void **state)
{
    unsigned why;

    (void)state;
    for (why = 0; why < 3; why++) {
        fpheap_provider provider;
        fpheap_config   config;
        fpheap         *heap;
        char           *object;
        size_t          i;

        memset(&config, 0, sizeof config);
        assert_int_equal(fpheap_provider_mmap(&provider, 0), 0);
        assert_int_not_equal(provider.flags & FPHEAP_ZEROES, 0);
        tells_nothing = why == 0;
        if (why == 1)
            provider.flags &= ~FPHEAP_ZEROES;
        if (why == 2)
            provider.decommit = NULL;
        config.provider = &provider;
        heap = fpheap_create("zero", &config);
        assert_non_null(heap);
        object = zeroed(heap);
        for (i = 0; i < STEPS; i++)
            assert_true(is_present(object + i * STEP, STEP));
        tells_nothing = 0;
        drop_zeroed(heap, object);
    }
}

/* On both sides of a chunk's border. */
static void
memory_that_another_kind_may_be_behind_is_written(void **state)
{
    fpheap    *heap = fpheap_create("zero", NULL);
    char      *object = (char *)fpheap_alloc(heap, 3 * FPHEAP_CHUNK);
    uintptr_t  border = ((uintptr_t)object + 2 * FPHEAP_CHUNK)
                        & ~(uintptr_t)(FPHEAP_CHUNK - 1);
    char      *step = object + (border - (uintptr_t)object) - STEP / 2;
    fph_chunk *before = fph_chunk_of(heap->state, step);
    fph_chunk *behind = fph_chunk_of(heap->state, step + STEP - 1);

    (void)state;
    assert_ptr_equal(before + 1, behind);
    assert_int_equal(fph_is_untouched(heap, step, STEP), FPHEAP_TOOL == 0);
    before->plain = 0;
    assert_int_equal(fph_is_untouched(heap, step, STEP), 0);
    before->plain = 1;
    behind->plain = 0;
    assert_int_equal(fph_is_untouched(heap, step, STEP), 0);
    behind->plain = 1;
    fpheap_free(heap, object);
    TEST_DESTROY(heap);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(
        hugepages_are_asked_for_as_the_flags_say_and_transparent_ones_later),
    cmocka_unit_test(reserved_hugepages_have_the_size_that_the_flag_names),
    cmocka_unit_test(
        where_a_hugepage_cannot_be_written_other_pages_serve_and_it_is_left),
    cmocka_unit_test(without_hugepages_of_a_gigabyte_come_those_of_2_mib),
    cmocka_unit_test(where_mmap_gives_an_aligned_place_no_more_is_mapped),
    cmocka_unit_test(
        what_cannot_be_unmapped_stays_in_the_region_and_goes_back_with_it),
    cmocka_unit_test(
        an_aligned_region_keeps_neither_end_of_what_was_mapped_for_it),
    cmocka_unit_test(what_no_hugepages_can_hold_is_not_asked_of_them),
    cmocka_unit_test(whichever_call_the_system_refuses_nothing_is_lost),
    cmocka_unit_test(a_place_that_is_taken_for_a_hint_does_not_stay_mapped),
    cmocka_unit_test(
        the_place_to_try_is_the_first_aligned_one_that_is_not_taken),
    cmocka_unit_test(the_first_place_to_try_is_where_there_is_much_room),
    cmocka_unit_test(what_is_mapped_at_its_place_is_followed_by_the_next),
    cmocka_unit_test(reserved_addresses_take_no_memory_and_are_in_no_core_file),
    cmocka_unit_test(a_limit_that_cannot_be_read_is_none),
    cmocka_unit_test(of_what_is_decommitted_the_systems_whole_pages_go),
    cmocka_unit_test(memory_apart_is_open_just_between_its_borders),
    cmocka_unit_test(a_window_is_as_wide_as_the_system_lets_it),
    cmocka_unit_test(of_a_window_only_the_state_is_open),
    cmocka_unit_test(
        transparent_hugepages_are_asked_for_where_the_kernel_may_give_some),
    cmocka_unit_test(of_a_file_63_characters_are_read_and_none_if_it_cannot_be),
    cmocka_unit_test(a_file_that_gets_the_descriptor_0_is_read_too),
    cmocka_unit_test(what_has_filled_gets_hugepages_and_what_has_not_gets_none),
    cmocka_unit_test(the_pages_that_are_there_are_counted_one_by_one),
    cmocka_unit_test(what_the_kernel_says_nothing_of_counts_as_not_filled),
#if FPHEAP_SHARED && __SIZEOF_POINTER__ == 8
    cmocka_unit_test(what_a_files_system_answers_is_told_on),
#endif
    cmocka_unit_test(a_line_is_said_as_one_and_a_panic_ends_the_process),
    cmocka_unit_test(zalloc_writes_what_has_memory_and_no_more),
    cmocka_unit_test(zalloc_leaves_fresh_objects_of_slabs_without_memory),
    cmocka_unit_test(zalloc_writes_all_that_may_not_be_zero),
    cmocka_unit_test(memory_that_another_kind_may_be_behind_is_written)
};

int
main(void)
{
    fph_map_next = FPHEAP_CHUNK; /* the address to try: no look for one */
    return cmocka_run_group_tests_name("mmap", tests, NULL, NULL);
}
