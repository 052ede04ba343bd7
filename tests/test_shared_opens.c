/* test_shared_opens.c - what an open, a close and an unlink ask of the system,
 * and make of its answers
 *
 * Each step is called by itself, at both ends of each of its bounds, and each
 * call to the system fails once.  test_shared_files.c and test_shared_members.c
 * show what comes of all steps together.
 */
#ifndef _GNU_SOURCE
#  define _GNU_SOURCE 1
#endif
#include "reports.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

/* --- the system, as it is told -------------------------------------------- */

typedef unsigned long long word64;

static const char *failing;    /* the call that fails, NULL: none; */
static unsigned    failing_at; /* from 1: which of them; */
static int         failing_so; /* and how */

static int
fails(const char *call)
{
    if (failing == NULL || strcmp(failing, call) != 0 || --failing_at != 0)
        return 0;
    failing = NULL;
    errno = failing_so;
    return 1;
}

static void
fail_at(const char *call, unsigned at, int so)
{
    failing = call;
    failing_at = at;
    failing_so = so;
}

/* What the system was asked, if `listens`. */
static char   requests[1 << 14];
static size_t requests_bytes;
static int    listens;

static void __attribute__((format(printf, 1, 2)))
note(const char *format, ...)
{
    va_list list;

    if (!listens)
        return;
    va_start(list, format);
    requests_bytes += (size_t)vsnprintf(requests + requests_bytes,
                                        sizeof requests - requests_bytes,
                                        format, list);
    va_end(list);
}

static void
listen_from_here(void)
{
    requests[0] = '\0';
    requests_bytes = 0;
    listens = 1;
}

/* Which file each is; inode 0: the truth. */
static unsigned device, inode;

static int
fstat_told(int file, struct stat *is)
{
    int rc = fails("fstat") ? -1 : fstat(file, is);

    if (inode != 0) {
        is->st_dev = device;
        is->st_ino = inode;
    }
    return rc;
}

static int
fstatfs_told(int file, struct statfs *fs)
{
    return fails("fstatfs") ? -1 : fstatfs(file, fs);
}

static int
fchmod_told(int file, mode_t mode)
{
    note("fchmod %o;", (unsigned)mode);
    return fails("fchmod") ? -1 : fchmod(file, mode);
}

static int at_zero;            /* 1: the next file is number 0 */

static int
openat_told(int directory, const char *path, int flags, mode_t mode)
{
    int file = fails("openat") ? -1 : openat(directory, path, flags, mode);

    note("openat %x %o;", (unsigned)flags, (unsigned)mode);
    if (!at_zero || file < 0)
        return file;
    at_zero = 0;
    (void)dup3(file, 0, O_CLOEXEC);
    close(file);
    return 0;
}

static int
open_told(const char *path, int flags)
{
    note("open %x;", (unsigned)flags);
    return fails("open") ? -1 : open(path, flags);
}

static int
ftruncate_told(int file, off_t bytes)
{
    note("ftruncate %llu;", (word64)bytes);
    return fails("ftruncate") ? -1 : ftruncate(file, bytes);
}

static int
linkat_told(int from_directory, const char *from, int directory,
            const char *called, int flags)
{
    return fails("linkat") ? -1
         : linkat(from_directory, from, directory, called, flags);
}

static int
unlinkat_told(int directory, const char *called, int flags)
{
    return fails("unlinkat") ? -1 : unlinkat(directory, called, flags);
}

static int
setspecific_told(pthread_key_t key, const void *value)
{
    return fails("setspecific") ? ENOMEM : pthread_setspecific(key, value);
}

/* Whether each lock that is asked for can be had, '1' or '0'; NULL: the
 * truth. */
static const char *locks;

static int
fcntl_told(int file, int what, ...)
{
    struct flock *lock;
    va_list       list;
    int           had;

    va_start(list, what);
    lock = va_arg(list, struct flock *);
    va_end(list);
    if (what == F_GETFD)
        return fcntl(file, what);
    note("%s%s %llu;", what == F_OFD_GETLK ? "?" : "",
         lock->l_type == F_WRLCK ? "write"
         : lock->l_type == F_RDLCK ? "read" : "none", (word64)lock->l_start);
    if (locks == NULL)
        return fcntl(file, what, lock);
    had = *locks == '1';
    locks += *locks != '\0';
    if (what == F_OFD_GETLK)
        lock->l_type = had ? F_UNLCK : F_WRLCK;
    return had || what == F_OFD_GETLK ? 0 : -1;
}

/* Addresses that are not mapped in truth, if `pretends`: the first `missed` of
 * those that are wished for are taken, for the next `shifted` there are others,
 * and without a wish it is `elsewhere`. */
static int      pretends;
static unsigned missed, shifted;
static char    *elsewhere;

static void *
place_told(void *at, size_t bytes)
{
    note("map %llx %llx;", (word64)(uintptr_t)at, (word64)bytes);
    if (at == NULL)
        return elsewhere;
    if (missed > 0) {
        missed--;
        errno = EEXIST;
        return MAP_FAILED;
    }
    if (shifted == 0)
        return at;
    shifted--;
    return elsewhere;
}

static void *
mmap_told(void *at, size_t bytes, int access, int flags, int file, off_t from)
{
    if (pretends)
        return place_told(at, bytes);
    if (file < 0)
        return fails("mmap") ? MAP_FAILED
             : mmap(at, bytes, access, flags, file, from);
    note("mmap %d %x;", access, (unsigned)flags);
    if (fails("mmap of a file"))
        return MAP_FAILED;
    if (shifted > 0) {
        shifted--;
        elsewhere = (char *)mmap(NULL, bytes, access, MAP_SHARED, file, from);
        return elsewhere;
    }
    return mmap(at, bytes, access, flags, file, from);
}

/* Memory for a file, where the arguments of that are one word each. */
static void
syscall_comes(int what, ...)
{
    va_list list;
    int     file, mode;
    word64  at;

    if (what != SYS_fallocate || sizeof(long) < 8)
        return;
    va_start(list, what);
    file = va_arg(list, int);
    mode = va_arg(list, int);
    at = va_arg(list, uint64_t);
    note("fallocate %d %llu %llu;", mode, at,
         file < 0 ? 0 : (word64)va_arg(list, uint64_t));
    va_end(list);
}

/* Who waits: what ends a wait comes with the third yield. */
static void   (*wait_ends)(void);
static unsigned yields;

static int
yield_told(void)
{
    if (++yields == 3 && wait_ends != NULL)
        wait_ends();
    return sched_yield();
}

static int
munmap_told(void *base, size_t bytes)
{
    note("unmap %llx %llx;", (word64)(uintptr_t)base, (word64)bytes);
    return pretends ? 0 : munmap(base, bytes);
}

static int
madvise_told(void *base, size_t bytes, int advice)
{
    if (advice == MADV_DONTFORK || advice == MADV_DONTDUMP)
        note("%s %llx;", advice == MADV_DONTFORK ? "no fork" : "no dump",
             (word64)bytes);
    return madvise(base, bytes, advice);
}

#define fstat(file, is)           fstat_told(file, is)
#define fstatfs(file, fs)         fstatfs_told(file, fs)
#define fchmod(file, mode)        fchmod_told(file, mode)
#define openat(at, path, how, as) openat_told(at, path, how, as)
#define open(path, flags)         open_told(path, flags)
#define ftruncate(file, bytes)    ftruncate_told(file, bytes)
#define linkat(a, b, c, d, flags) linkat_told(a, b, c, d, flags)
#define unlinkat(at, path, flags) unlinkat_told(at, path, flags)
#define fcntl(...)                fcntl_told(__VA_ARGS__)
#define mmap(...)                 mmap_told(__VA_ARGS__)
#define munmap(base, bytes)       munmap_told(base, bytes)
#define madvise(at, bytes, how)   madvise_told(at, bytes, how)
#define pthread_setspecific(a, b) setspecific_told(a, b)
#define syscall(...)              (syscall_comes(__VA_ARGS__), \
                                   syscall(__VA_ARGS__))
#define sched_yield()             yield_told()

#define FPHEAP_MAX_NODES   2   /* of which a partition has one */
#define FPHEAP_CHUNK_SHIFT 16  /* so that tables take many */
#define FPHEAP_PAGE_SHIFT  12
#define FPHEAP_IMPLEMENTATION
#include "fpheap.h"

#undef fstat
#undef fstatfs
#undef fchmod
#undef openat
#undef open
#undef ftruncate
#undef linkat
#undef unlinkat
#undef fcntl
#undef mmap
#undef munmap
#undef madvise
#undef pthread_setspecific
#undef syscall
#undef sched_yield

#include "shared_util.h"

/* Leave no zeros on the stack for those who count on them. */
static void __attribute__((noinline))
spoil_the_stack(void)
{
    volatile char bytes[32 * TEST_KIB];
    size_t        i;

    for (i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)0xe5;
}

/* --- what an open may be asked for ---------------------------------------- */

static int
error_of(const char *called, const fpheap_partition *desc, unsigned flags)
{
    fph_opening it = fph_opening_of(called, desc, flags);

    return fph_open_error(&it);
}

static void
an_open_without_a_description_has_the_defaults(void **state)
{
    fpheap_partition desc = partition_of(1);
    fph_opening      it   = fph_opening_of("x", NULL, 5);

    (void)state;
    assert_string_equal(it.name, "x");
    assert_int_equal(it.flags, 5);
    assert_int_equal(it.directory, -1);
    assert_int_equal(it.bytes, 0);
    assert_int_equal(it.desc->bytes, 0);
    assert_null(it.desc->directory);
    assert_int_equal(it.desc->descriptor, 0);
    assert_int_equal(it.desc->offset, 0);
    assert_int_equal(it.desc->page_bytes, 0);
    assert_null(it.desc->address);
    assert_int_equal(it.desc->mode, 0);
    assert_int_equal(it.desc->node, 0);
    assert_int_equal(it.desc->flags, 0);
    assert_true(it.desc->iova == NULL && it.desc->ctx == NULL);
    it = fph_opening_of(NULL, &desc, 0);
    assert_ptr_equal(it.desc, &desc);
    assert_string_equal(it.name, "");
    desc.flags = ~FPHEAP_DESCRIPTOR;
    assert_string_equal(fph_opening_of(NULL, &desc, 0).name, "");
    desc.flags = FPHEAP_DESCRIPTOR;
    assert_string_equal(fph_opening_of(NULL, &desc, 0).name, "partition");
    assert_string_equal(fph_opening_of("x", &desc, 0).name, "x");
}

static void
flags_of_an_open_that_mean_nothing_are_refused(void **state)
{
    const unsigned   makes = FPHEAP_CREATE | FPHEAP_EXCLUSIVE;
    const int        dies  = FPHEAP_HEADER ? 0 : -ENOTSUP; /* the flag 1 << 5 */
    fpheap_partition desc  = partition_of(1);
    unsigned         i;

    (void)state;
    assert_int_equal(error_of("x", &desc, 0), 0);
    assert_int_equal(error_of("x", &desc, FPHEAP_CREATE), 0);
    assert_int_equal(error_of("x", &desc, makes), 0);
    assert_int_equal(error_of("x", &desc, FPHEAP_READ_ONLY), 0);
    assert_int_equal(error_of("x", &desc, FPHEAP_EXCLUSIVE), -EINVAL);
    assert_int_equal(error_of("x", &desc, FPHEAP_CREATE | FPHEAP_READ_ONLY),
                     -EINVAL);
    for (i = 3; i < 32; i++)
        assert_int_equal(error_of("x", &desc, 1u << i), -EINVAL);
    for (i = 0; i < 32; i++) {
        desc = partition_of(1);
        desc.flags = 1u << i;
        desc.address = (void *)(uintptr_t)FPHEAP_CHUNK;
        assert_int_equal(error_of("x", &desc, 0),
                         i > 5 || desc.flags == FPHEAP_FIXED ? -EINVAL
                         : i == 5 ? dies : 0);
        desc.flags |= FPHEAP_DESCRIPTOR;
        assert_int_equal(error_of("x", &desc, 0),
                         i > 5 ? -EINVAL : i == 5 ? dies : 0);
    }
}

static void
descriptions_are_refused_at_both_ends_of_each_bound(void **state)
{
    fpheap_partition desc = partition_of(0);
    unsigned         i;

    (void)state;
    assert_int_equal(error_of("x", &desc, 0), 0);
    assert_int_equal(error_of("x", &desc, FPHEAP_CREATE), -EINVAL);
    desc.bytes = FPHEAP_PARTITION_MAX;
    assert_int_equal(error_of("x", &desc, FPHEAP_CREATE), 0);
    assert_int_equal(error_of("x", &desc, 0), 0);
    desc.bytes++;
    assert_int_equal(error_of("x", &desc, 0), -EINVAL);
    desc = partition_of(1);
    for (i = 0; i < 32; i++) {
        desc.mode = 1u << i;
        assert_int_equal(error_of("x", &desc, 0), i < 12 ? 0 : -EINVAL);
    }
    desc = partition_of(1);
    for (i = 0; i < FPHEAP_CHUNK_SHIFT + 3; i++) {
        int rc = i < FPHEAP_CHUNK_SHIFT ? -EINVAL : 0;

        desc.offset = (size_t)1 << i;
        assert_int_equal(error_of("x", &desc, 0), rc);
        desc.offset = 0;
        desc.address = (void *)((uintptr_t)1 << i);
        assert_int_equal(error_of("x", &desc, 0), rc);
        desc.address = NULL;
    }
    desc.node = -1;
    assert_int_equal(error_of("x", &desc, 0), 0);
    desc.flags = FPHEAP_ON_NODE;
    assert_int_equal(error_of("x", &desc, 0), -EINVAL);
    desc.node = 0;
    assert_int_equal(error_of("x", &desc, 0), 0);
}

static void
memory_that_is_mapped_has_an_address_and_a_length(void **state)
{
    fpheap_partition desc = partition_of(1);

    (void)state;
    desc.flags = FPHEAP_MAPPED;
    assert_int_equal(error_of("x", &desc, 0), -EINVAL);
    desc.address = (void *)(uintptr_t)FPHEAP_CHUNK;
    assert_int_equal(error_of("x", &desc, 0), 0);
    assert_int_equal(error_of("x", &desc, FPHEAP_READ_ONLY), 0);
    desc.bytes = 0;
    assert_int_equal(error_of("x", &desc, 0), -EINVAL);
    desc.address = NULL;
    assert_int_equal(error_of("x", &desc, 0), -EINVAL);
}

static void
names_are_refused_at_the_byte_that_is_wrong(void **state)
{
    static const char *const bad[] = { "", ".", "..", "/", "a/", "/a", "a/b" };
    static const char *const good[] = { "a", "...", ".a", "a.", "..a", "-" };
    char                     longest[FPHEAP_NAME_BYTES + 2];
    size_t                   i;

    (void)state;
    for (i = 0; i < TEST_COUNT(bad); i++)
        assert_int_equal(error_of(bad[i], NULL, 0), -EINVAL);
    for (i = 0; i < TEST_COUNT(good); i++)
        assert_int_equal(error_of(good[i], NULL, 0), 0);
    for (i = FPHEAP_NAME_BYTES - 1; i < FPHEAP_NAME_BYTES + 2; i++) {
        memset(longest, 'x', i);
        longest[i] = '\0';
        assert_int_equal(error_of(longest, NULL, 0),
                         i < FPHEAP_NAME_BYTES ? 0 : -ENAMETOOLONG);
    }
}

/* --- what the file begins with -------------------------------------------- */

#define HEAD_START 4096        /* where in its file the head lies */

static int head_file;

/* What is said of a head in a file of so many bytes. */
static int
read_head(const fph_partition *head, size_t bytes, const fpheap_partition *desc)
{
    static fpheap        reader;
    static fph_partition got;
    const size_t         made = offsetof(fph_partition, root);
    fph_opening          it   = fph_opening_of("head", desc, 0);
    int                  rc;

    it.bytes = bytes;
    reader.file = head_file;
    reader.start = HEAD_START;
    last_report[0] = '\0';
    NEED(pwrite(head_file, head, made, HEAD_START) == (ssize_t)made);
    rc = fph_head_read(&reader, &it, &got);
    if (rc == 0)
        assert_memory_equal(&got, head, made);
    else
        assert_true(strstr(last_report, "'head': ") != NULL);
    return rc;
}

/* A head that agrees with itself, of so many bytes at this address. */
static fph_partition *
head_of(uintptr_t base, size_t bytes, size_t head)
{
    static fph_partition good;

    memset(&good, 0, sizeof good);
    good.magic = FPH_MAGIC;
    memcpy(good.settings, fph_shared_settings(), strlen(fph_shared_settings()));
    good.bytes = bytes;
    good.base = (char *)base;
    good.head = head;
    good.state = (fph_state *)(base + head + FPH_STATE_GUARD);
    good.nodes = 1;
    good.unit = 1;
    return &good;
}

static int
read_words(uintptr_t base, size_t bytes, size_t head)
{
    return read_head(head_of(base, bytes, head), 0, NULL);
}

#define HEAD_LEAST offsetof(fph_partition, member)
#define HEAD_BYTES (8 * FPHEAP_CHUNK)
#define HEAD_BASE  (16 * FPHEAP_CHUNK)

static void
a_head_is_refused_at_both_ends_of_each_bound(void **state)
{
    const size_t tail = FPH_STATE_GUARD + sizeof(fph_state);
    const size_t most = HEAD_BYTES - tail;

    (void)state;
    head_file = memory_file();
    assert_int_equal(read_words(HEAD_BASE, HEAD_BYTES, HEAD_LEAST), 0);
    assert_int_equal(read_words(HEAD_BASE, HEAD_BYTES, HEAD_LEAST - 1),
                     -ESTALE);
    assert_int_equal(read_words(HEAD_BASE, HEAD_BYTES, most), 0);
    assert_int_equal(read_words(HEAD_BASE, HEAD_BYTES, most + 1), -ESTALE);
    assert_int_equal(read_words(HEAD_BASE, HEAD_BYTES, HEAD_BYTES), -ESTALE);
    assert_int_equal(read_words(HEAD_BASE, HEAD_BYTES, HEAD_BYTES + 1),
                     -ESTALE);
    assert_int_equal(read_words(HEAD_BASE, HEAD_BYTES, HEAD_BYTES + tail),
                     -ESTALE);
    assert_int_equal(read_words(HEAD_BASE, 0, HEAD_LEAST), -ESTALE);
    assert_int_equal(read_words(HEAD_BASE, HEAD_BYTES + 1, HEAD_LEAST),
                     -ESTALE);
    assert_int_equal(read_words(HEAD_BASE, HEAD_BYTES + FPHEAP_CHUNK / 2,
                                HEAD_LEAST), -ESTALE);
    assert_int_equal(read_words(0, HEAD_BYTES, HEAD_LEAST), -ESTALE);
    assert_int_equal(read_words(1, HEAD_BYTES, HEAD_LEAST), -ESTALE);
    assert_int_equal(read_words(HEAD_BASE + 1, HEAD_BYTES, HEAD_LEAST),
                     -ESTALE);
    assert_int_equal(read_words(HEAD_BASE + FPHEAP_CHUNK / 2, HEAD_BYTES,
                                HEAD_LEAST), -ESTALE);
    assert_int_equal(read_words((uintptr_t)0 - HEAD_BYTES - FPHEAP_CHUNK,
                                HEAD_BYTES, HEAD_LEAST), 0);
    assert_int_equal(read_words((uintptr_t)0 - HEAD_BYTES, HEAD_BYTES,
                                HEAD_LEAST), -ESTALE);
    close(head_file);
}

static void
each_word_of_a_head_is_refused_alone(void **state)
{
    fph_partition *head;
    unsigned       i;

    (void)state;
    head_file = memory_file();
    for (i = 0; i < 4; i++) {
        head = head_of(HEAD_BASE, HEAD_BYTES, HEAD_LEAST);
        head->nodes = i;
        assert_int_equal(read_head(head, 0, NULL), i == 1 ? 0 : -ESTALE);
        head->nodes = 1;
        head->unit = i;
        assert_int_equal(read_head(head, 0, NULL), i == 0 ? -ESTALE : 0);
    }
    for (i = 0; i < 3; i++) {
        head = head_of(HEAD_BASE, HEAD_BYTES, HEAD_LEAST);
        head->state = (fph_state *)((uintptr_t)head->state + i - 1);
        assert_int_equal(read_head(head, 0, NULL), i == 1 ? 0 : -ESTALE);
    }
    head = head_of(HEAD_BASE, HEAD_BYTES, HEAD_LEAST);
    head->magic++;
    assert_int_equal(read_head(head, 0, NULL), -ESTALE);
    assert_non_null(strstr(last_report, "no heap"));
    head->magic = FPH_MAGIC;
    head->settings[strlen(fph_shared_settings()) - 1] ^= 1;
    assert_int_equal(read_head(head, 0, NULL), -EPROTO);
    assert_non_null(strstr(last_report, "FPHEAP_SITES"));
    close(head_file);
}

static void
a_head_has_what_the_file_and_the_caller_say(void **state)
{
    fph_partition   *head = head_of(HEAD_BASE, HEAD_BYTES, HEAD_LEAST);
    fpheap_partition desc = partition_of(0);
    const size_t     all  = HEAD_BYTES;
    const size_t     sizes[] = { 1, all - FPHEAP_CHUNK, all - FPHEAP_CHUNK + 1,
                                 all, all + 1 };
    size_t           i;

    (void)state;
    head_file = memory_file();
    assert_int_equal(read_head(head, 1, NULL), -ESTALE);
    assert_int_equal(read_head(head, all - 1, NULL), -ESTALE);
    assert_int_equal(read_head(head, all, NULL), 0);
    assert_int_equal(read_head(head, all + 1, NULL), 0);
    for (i = 0; i < TEST_COUNT(sizes); i++) {
        int fits = sizes[i] > all - FPHEAP_CHUNK && sizes[i] <= all;

        desc.bytes = sizes[i];
        assert_int_equal(read_head(head, 0, &desc), fits ? 0 : -EPROTO);
        if (!fits)
            assert_non_null(strstr(last_report, ": bytes"));
    }
    desc = partition_of(0);
    desc.address = (void *)HEAD_BASE;
    assert_int_equal(read_head(head, 0, &desc), 0);
    desc.address = (void *)(HEAD_BASE + FPHEAP_CHUNK);
    assert_int_equal(read_head(head, 0, &desc), -EPROTO);
    assert_non_null(strstr(last_report, ": address"));
    close(head_file);
}

/* --- where it lies -------------------------------------------------------- */

static size_t
power_from(size_t bytes)
{
    size_t power = FPHEAP_CHUNK;

    while (power < bytes)
        power += power;
    return power;
}

/* What the system is asked when of so many wishes each is refused or shifted,
 * and the place that comes of it: by the 65th, wherever the system wants. */
static char *
places_of(size_t bytes, uint64_t hash, unsigned no, unsigned other)
{
    static char wanted[sizeof requests];
    size_t      n = 0, align = power_from(bytes);
    uint64_t    at = 0;
    unsigned    i;

    for (i = 0; i < 64 && i <= no + other; i++, hash++) {
        at = i < 32 ? ((uint64_t)1 << 45)
                      + hash % (((uint64_t)1 << 45) / align) * align
                    : ((uint64_t)1 << 36)
                      + hash % (((uint64_t)1 << 37) / align) * align;
        n += (size_t)snprintf(wanted + n, sizeof wanted - n, "map %llx %llx;",
                              (word64)at, (word64)bytes);
        if (i >= no)
            n += (size_t)snprintf(wanted + n, sizeof wanted - n,
                                  "unmap %llx %llx;",
                                  i == no + other ? (word64)at
                                  : (word64)(uintptr_t)elsewhere,
                                  (word64)bytes);
    }
    if (no + other >= 64) {
        (void)snprintf(wanted + n, sizeof wanted - n,
                       "map 0 %llx;unmap %llx %llx;", (word64)(bytes + align),
                       (word64)(uintptr_t)elsewhere, (word64)(bytes + align));
        at = ((uintptr_t)elsewhere + align - 1) / align * align;
    }
    assert_string_equal(requests, wanted);
    return (char *)(uintptr_t)at;
}

/* A place for a file of which the system says this. */
static void
find_place(size_t bytes, unsigned no, unsigned other)
{
    static fpheap made;
    uint64_t      hash = device * (uint64_t)FPH_FAR + inode;
    char         *base;

    made.file = 0;
    listen_from_here();
    missed = no;
    shifted = other;
    pretends = 1;
    base = fph_partition_place(&made, bytes);
    pretends = 0;
    listens = 0;
    missed = shifted = 0;
    assert_ptr_equal(base, places_of(bytes, hash, no, other));
}

static void
places_are_tried_one_after_the_other(void **state)
{
    const size_t   sizes[] = { FPHEAP_CHUNK, 3 * FPHEAP_CHUNK,
                               4 * FPHEAP_CHUNK, PARTITION };
    const unsigned files[] = { 1, 7, 1000003, UINT32_MAX };
    size_t         i, j;

    (void)state;
    if (sizeof(void *) < 8)
        skip();
    for (i = 0; i < TEST_COUNT(sizes); i++)
        for (j = 0; j < TEST_COUNT(files); j++) {
            device = (unsigned)j;
            inode = files[j];
            elsewhere = (char *)(uintptr_t)((uint64_t)3 << 40);
            find_place(sizes[i], 0, 0);
            find_place(sizes[i], 1, 0);
            find_place(sizes[i], 0, 2);
            find_place(sizes[i], 31, 0);
            find_place(sizes[i], 32, 0);
            find_place(sizes[i], 20, 30);
            find_place(sizes[i], 62, 1);
            find_place(sizes[i], 64, 0);
            elsewhere += 4096;
            find_place(sizes[i], 64, 0);
            elsewhere += power_from(sizes[i]) - 8192;
            find_place(sizes[i], 64, 0);
        }
    device = inode = 0;
    fail_at("fstat", 1, EIO);  /* of no file the first is tried first */
    find_place(sizes[0], 2, 0);
    assert_null(failing);
}

static void
a_partition_is_mapped_where_it_was_made_or_not_at_all(void **state)
{
    char    wanted[200];
    fpheap *heap;

    (void)state;
    make_and_close();
    fail_at("mmap of a file", 1, ENOMEM);
    REFUSES(name, NULL, 0, ENOMEM);
    fail_at("mmap of a file", 1, EEXIST);
    last_report[0] = '\0';
    REFUSES(name, NULL, 0, EADDRINUSE);
    assert_non_null(strstr(last_report, "at its address"));
    shifted = 1;                 /* by a system that knows no fixed addresses */
    last_report[0] = '\0';
    REFUSES(name, NULL, 0, EADDRINUSE);
    assert_non_null(strstr(last_report, "at its address"));
    assert_int_equal(msync(elsewhere, 4096, MS_ASYNC), -1);
    listen_from_here();
    heap = open_it();
    (void)snprintf(wanted, sizeof wanted, "mmap %d %x;no fork %llx;"
                   "no dump %llx;", PROT_READ | PROT_WRITE,
                   (unsigned)(MAP_SHARED | MAP_NORESERVE | FPH_MAP_THERE),
                   (word64)PARTITION, (word64)PARTITION);
    assert_non_null(strstr(requests, wanted));
    listens = 0;
    close_empty(heap);
}

/* --- the handle ----------------------------------------------------------- */

static uint64_t
iova_of(void *ctx, const void *chunk)
{
    return (uintptr_t)ctx + (uintptr_t)chunk;
}

/* Nothing is in it that an open did not put there. */
static void
need_handle(const fpheap *heap, const fpheap_partition *desc)
{
    const fpheap_provider *p = &heap->provider;

    assert_true(p->get == fph_partition_get && p->put == fph_partition_put);
    assert_true(p->iova == (desc->iova == NULL ? NULL : fph_partition_iova));
    assert_ptr_equal(p->ctx, heap);
    assert_int_equal(p->flags, FPHEAP_PARTS);
    assert_true(p->decommit == NULL && p->huge == NULL);
    assert_true(heap->iova == desc->iova);
    assert_ptr_equal(heap->iova_ctx, desc->ctx);
    assert_true(heap->recover == fph_clean_wait);
    assert_int_equal(heap->nodes, 1);
    assert_int_equal(heap->bins, FPH_CLASSES);
    assert_int_equal(heap->flags, 0);
    assert_int_equal(heap->counted, 1);
    assert_int_equal(heap->member, 0);
    assert_int_equal(heap->mapped, 0);
    assert_int_equal(heap->start, desc->offset);
    assert_int_equal(heap->bytes, PARTITION);
    assert_true(heap->thread_node == NULL && heap->thread_node_ctx == NULL);
    assert_true(heap->watch == NULL && heap->watch_ctx == NULL);
    assert_int_equal(heap->growth_max, (size_t)1 << 30);
    assert_null(heap->parent);
    assert_null(heap->emergency);
    assert_int_equal(heap->reserve, 0);
    assert_int_equal(heap->critical, 0);
    assert_string_equal(heap->name, name);
}

static void
a_handle_has_what_the_description_says_and_nothing_else(void **state)
{
    fpheap_partition desc = partition_of(PARTITION);
    unsigned         i, makes;
    fpheap          *heap;

    (void)state;
    for (i = 0; i < 2; i++) {
        desc.iova = i == 0 ? NULL : iova_of;
        desc.ctx = i == 0 ? NULL : &desc;
        for (makes = 0; makes < 2; makes++) {
            spoil_the_stack();
            heap = fpheap_open(name, &desc, FPHEAP_CREATE);
            assert_non_null(heap);
            need_handle(heap, &desc);
            use(heap);
            close_empty(heap);
        }
        assert_int_equal(fpheap_unlink(name, NULL), 0);
    }
}

/* --- members -------------------------------------------------------------- */

/* Whether nobody has a lock of these bytes, as another process sees it. */
static int
is_unlocked(size_t from, size_t bytes)
{
    struct flock lock;
    int          file = open(path_of(name), O_RDWR | O_CLOEXEC);

    NEED(file >= 0);
    memset(&lock, 0, sizeof lock);
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    lock.l_start = (off_t)from;
    lock.l_len = (off_t)bytes;
    NEED(fcntl(file, F_OFD_GETLK, &lock) == 0);
    close(file);
    return lock.l_type == F_UNLCK;
}

static void
a_member_has_the_first_place_that_is_free(void **state)
{
    fpheap        *heap = create();
    fph_partition *partition = heap->partition;
    fph_member    *member    = partition->member;
    unsigned       place;

    (void)state;
    for (place = 0; place < 3; place++) {
        partition->came = 100 * place;
        assert_int_equal(fpheap_close(heap), 0);
        heap = open_it();
        assert_int_equal(heap->member, 0);
        assert_int_equal(member[0].is, 100 * place + 1);
        assert_int_equal(partition->came, 100 * place + 1);
        assert_int_equal(member[0].process, (uint64_t)getpid());
        assert_int_equal(member[0].calls, 0);
        assert_int_equal(member[0].taken, 0);
        assert_ptr_equal(heap->taken, &member[0].taken);
        assert_false(is_unlocked(0, 1));
        assert_true(is_unlocked(1, 2 * FPH_READERS));
        member[0].taken = 77;  /* what the last one leaves is not its own */
        member[0].calls = 1;
    }
    member[0].taken = 0;
    member[0].calls = 0;
    close_empty(heap);
}

/* Nobody else has a lock any more. */
static void
unlock_all(void)
{
    locks = NULL;
}

/* The next lock can be had as soon as its caller has yielded three times. */
static void
lock_all(void)
{
    locks = "";
    yields = 0;
    wait_ends = unlock_all;
}

/* The first place that nobody has; `is` is what its lock says. */
static unsigned
place_with(const char *is)
{
    static fpheap        come;
    static fph_partition partition;

    memset(&come, 0, sizeof come);
    memset(&partition, 0, sizeof partition);
    memset(partition.taken, 1,
           sizeof partition - offsetof(fph_partition, taken));
    come.partition = &partition;
    come.member = FPH_MEMBERS;
    locks = is;
    if (!fph_member_come(&come)) {
        assert_int_equal(come.member, FPH_MEMBERS);
        assert_int_equal(partition.came, 0);
        come.member = FPH_MEMBERS + 1;
    }
    assert_int_equal(*locks, '\0');
    locks = NULL;
    return come.member;
}

static void
places_whose_locks_others_have_are_left_out(void **state)
{
    static char is[FPH_MEMBERS + 1];

    (void)state;
    memset(is, '0', FPH_MEMBERS);
    assert_int_equal(place_with("1"), 0);
    assert_int_equal(place_with("001"), 2);
    assert_int_equal(place_with(is), FPH_MEMBERS + 1);
    is[FPH_MEMBERS - 1] = '1';
    assert_int_equal(place_with(is), FPH_MEMBERS - 1);
}

static int
come_with_all_places_taken(peer *p, void *arg)
{
    fpheap *heap;

    (void)p, (void)arg;
    lock_all();
    heap = open_it();
    NEED(yields == 3);
    NEED(!is_unlocked(heap->member, 1));
    NEED(is_unlocked(FPH_MEMBERS, FPH_MEMBERS));
    NEED(fpheap_close(heap) == 0);
    return 0;
}

/* Who cleans up without a place waits for others who do, and has no lock of
 * that when it has a place. */
static void
who_comes_where_all_are_dead_keeps_but_its_own_lock(void **state)
{
    fpheap   *heap = create();
    unsigned  i;
    peer      p;

    (void)state;
    for (i = 1; i < FPH_MEMBERS; i++)
        heap->partition->member[i].is = heap->partition->came++ + 1;
    peer_begin(&p, come_with_all_places_taken, NULL);
    peer_end(&p);
    assert_int_equal(members_of(heap).members, 1);
    close_empty(heap);
}

/* --- readers -------------------------------------------------------------- */

/* What a reader gets when its locks are so; what it asks is in `requests`. */
static int
reader_with(const char *is, unsigned *member)
{
    static fpheap reader;
    int           rc;

    memset(&reader, 0, sizeof reader);
    reader.member = 1;
    locks = is;
    listen_from_here();
    rc = fph_reader_lock(&reader);
    listens = 0;
    assert_int_equal(*locks, '\0');
    locks = NULL;
    *member = reader.member;
    return rc;
}

static void
a_reader_takes_a_place_that_is_its_alone(void **state)
{
    static char is[FPH_MEMBERS + 1];
    unsigned    member;
    char        last[32];

    (void)state;
    assert_int_equal(reader_with("111", &member), 0);
    assert_int_equal(member, FPH_READERS);
    assert_string_equal(requests, "?write 576;read 576;?write 576;");
    assert_int_equal(reader_with("010111", &member), 0);
    assert_int_equal(member, FPH_READERS + 2);
    assert_string_equal(requests, "?write 576;?write 577;read 577;?write 578;"
                               "read 578;?write 578;");
    assert_int_equal(reader_with("1101111", &member), 0);
    assert_int_equal(member, FPH_READERS + 1);
    assert_string_equal(requests, "?write 576;read 576;?write 576;none 576;"
                               "?write 577;read 577;?write 577;");
    memset(is, '0', FPH_MEMBERS);
    assert_int_equal(reader_with(is, &member), -ENFILE);
    assert_int_equal(member, 1);
    (void)snprintf(last, sizeof last, "?write %u;", 2 * FPH_MEMBERS + 63);
    assert_string_equal(requests + strlen(requests) - strlen(last), last);
}

/* --- who is there --------------------------------------------------------- */

static unsigned
seen(const fpheap_member *member)
{
    return member->number + 1000 * (unsigned)member->read_only;
}

static unsigned visits, last_visit, visits_left;

static int
see_member(void *arg, const fpheap_member *member)
{
    (void)arg;
    visits++;
    last_visit = seen(member);
    return --visits_left == 0 ? 7 : 0;
}

/* Look at all members of a heap whose readers have these locks, or at the first
 * so many. */
static int
see_members(fpheap *heap, const char *is, unsigned most)
{
    int rc;

    visits = 0;
    visits_left = most;
    locks = is;
    rc = fpheap_members(heap, see_member, NULL);
    assert_int_equal(*locks, '\0');
    locks = NULL;
    return rc;
}

static void
all_members_are_seen_and_then_all_readers(void **state)
{
    static char is[FPH_MEMBERS + 2];
    fpheap     *heap   = create();
    fph_member *member = heap->partition->member;
    unsigned    i;

    (void)state;
    memset(is, '1', FPH_MEMBERS);
    assert_int_equal(see_members(heap, is, 0), 0);
    assert_int_equal(visits, 1);
    for (i = 0; i < FPH_MEMBERS; i += FPH_MEMBERS - 1) {
        is[i] = '0';
        assert_int_equal(see_members(heap, is, 0), 0);
        assert_int_equal(visits, 2);
        assert_int_equal(last_visit, 1000 + i);
        is[i + 1] = '\0';
        assert_int_equal(see_members(heap, is, 2), 7);
        assert_int_equal(visits, 2);
        is[i + 1] = i == 0 ? '1' : '\0';
        is[i] = '1';
    }
    member[FPH_MEMBERS - 1].is = 1; /* whose lock is asked for, too */
    is[FPH_MEMBERS] = '1';
    assert_int_equal(see_members(heap, is, 0), 0);
    assert_int_equal(visits, 2);
    assert_int_equal(last_visit, FPH_MEMBERS - 1);
    assert_int_equal(see_members(heap, "", 1), 7);
    assert_int_equal(visits, 1);
    assert_int_equal(last_visit, 0);
    assert_int_equal(see_members(heap, "1", 2), 7);
    assert_int_equal(last_visit, FPH_MEMBERS - 1);
    member[FPH_MEMBERS - 1].is = 0;
    close_empty(heap);
}

/* What is told of a place is this, and nothing else. */
static void
need_told(const fpheap *heap, unsigned number, const fpheap_member *wanted)
{
    fpheap_member told;

    memset(&told, 0x5a, sizeof told);
    assert_true(fph_member_look(heap, number, &told));
    assert_memory_equal(&told, wanted, sizeof told);
}

static void
a_member_shows_what_is_live_and_what_is_parked(void **state)
{
    fpheap       *heap = create();
    fph_member   *other = &heap->partition->member[5];
    fpheap_member told;

    (void)state;
    memset(&told, 0, sizeof told);
    told.process = (int)getpid();
    told.alive = 1;
    told.owner = fph_owner_number(&heap->partition->member[0], 0);
    need_told(heap, 0, &told);
    assert_int_equal(fpheap_alloc_bulk(heap, 1000, objects, 10), 0);
    told.live_bytes = 10 * (fpheap_usable_size(heap, objects[0]) + FPH_HEAD);
    told.parked_bytes = heap->partition->member[0].taken - told.live_bytes;
    need_told(heap, 0, &told);
    fpheap_free_bulk(heap, objects + 1, 9);
    told.live_bytes /= 10;
    told.parked_bytes = heap->partition->member[0].taken - told.live_bytes;
    assert_true(told.parked_bytes >= 9 * told.live_bytes);
    need_told(heap, 0, &told);
    fpheap_thread_leave(heap);
    told.parked_bytes = 0;
    need_told(heap, 0, &told);
    fpheap_free(heap, objects[0]);
    assert_false(fph_member_look(heap, 5, &told));

    memset(&told, 0, sizeof told);
    told.number = 5;
    told.process = 1234;
    other->is = 9;
    other->process = 1234;
    told.owner = fph_owner_number(other, 5);
    need_told(heap, 5, &told);
    other->taken = 1;
    told.live_bytes = 1;
    need_told(heap, 5, &told);
    other->taken = (fph_word)-1; /* it has freed what others have allocated */
    told.live_bytes = 0;
    need_told(heap, 5, &told);
    memset(other, 0, sizeof *other);
    close_empty(heap);
}

static void
a_reader_shows_its_lock_and_nothing_else(void **state)
{
    static fpheap heap;
    fpheap_member told, wanted;

    (void)state;
    memset(&wanted, 0, sizeof wanted);
    wanted.number = 3;
    wanted.alive = 1;
    wanted.read_only = 1;
    heap.member = 3;
    locks = "0";
    listen_from_here();
    memset(&told, 0x5a, sizeof told);
    assert_int_equal(fph_reader_look(&heap, 3, &told), 1);
    assert_memory_equal(&told, &wanted, sizeof told);
    assert_string_equal(requests, "?write 579;");
    locks = "1";
    assert_int_equal(fph_reader_look(&heap, 3, &told), 0);
    heap.member = FPH_READERS + 3; /* its own lock shows nothing */
    listen_from_here();
    assert_int_equal(fph_reader_look(&heap, 3, &told), 1);
    assert_string_equal(requests, "");
    locks = "1";
    assert_int_equal(fph_reader_look(&heap, 2, &told), 0);
    listens = 0;
    locks = NULL;
}

/* --- close ---------------------------------------------------------------- */

static fph_word *held;         /* by somebody else */

static void
let_go(void)
{
    fph_store_release(held, 0);
}

/* A close waits until this is 0, and then is done. */
static void
close_waits_for(fpheap *heap, fph_word *word, uint64_t value)
{
    held = word;
    fph_store_release(word, value);
    yields = 0;
    wait_ends = let_go;
    assert_int_equal(fpheap_close(heap), 0);
    wait_ends = NULL;
    assert_int_equal(yields, 3);
}

static void
a_close_waits_for_threads_that_exit_and_for_cleaners(void **state)
{
    fpheap   *heap = create();
    fph_word *gate = &fph_gates[heap - fph_heaps];
    unsigned  i;
    peer      p;

    (void)state;
    for (i = 0; i < 2; i++) {
        assert_true(fph_gate_enter(gate, 1));
        close_waits_for(heap, gate, fph_load_relaxed(gate));
        assert_int_equal(fph_load_relaxed(gate), 0);
        heap = open_it();
        assert_true(&fph_gates[heap - fph_heaps] == gate);
    }
    peer_begin(&p, open_and_stay, NULL);
    say(&p, 0);
    assert_int_equal(hear(&p), 0);
    close_waits_for(heap, &heap->partition->cleaner, 77 * FPH_CLEANER | 2);
    peer_kill(&p);
    heap = open_it();
    assert_int_equal(members_of(heap).members, 1);
    close_empty(heap);
}

/* Park an object, and say whether it is still parked. */
static int
park_and_tell(peer *p, void *arg)
{
    fpheap *heap = open_it();
    size_t  parked;

    (void)arg;
    fpheap_free(heap, fpheap_alloc(heap, 100));
    parked = members_of(heap).parked;
    pass_on(p);
    say(p, parked - members_of(heap).parked);
    NEED(fpheap_close(heap) == 0);
    return 0;
}

static void
a_close_gives_back_what_this_process_parks_and_no_other(void **state)
{
    fpheap *heap = create();
    size_t  parked;
    peer    p[2];

    (void)state;
    peers_begin(p, 1, park_and_tell);
    (void)hear(&p[0]);
    fpheap_free(heap, fpheap_alloc(heap, 5000));
    parked = members_of(heap).parked;
    peer_begin(&p[1], park_and_tell, NULL);
    (void)hear(&p[1]);
    assert_true(members_of(heap).parked > parked);
    assert_int_equal(fpheap_close(heap), 0);
    say(&p[1], 0);             /* of three, what the first had is gone */
    parked = (size_t)hear(&p[1]);
    assert_true(parked >= 5000 && parked % 16 == 0);
    peer_end(&p[1]);
    say(&p[0], 0);
    assert_int_equal(hear(&p[0]), 0);
    peer_end(&p[0]);
    close_empty(open_it());
}

static void
functions_for_partitions_refuse_other_heaps(void **state)
{
    fpheap *heap = fpheap_create("private", NULL);
    char    on_stack[64];

    (void)state;
    assert_non_null(heap);
    assert_false(fph_has_partition(heap));
    assert_int_equal(fpheap_close(heap), -EINVAL);
    assert_int_equal(fpheap_members(heap, see_member, NULL), -EINVAL);
    assert_int_equal(fpheap_handle(heap, on_stack), 0);
    assert_int_equal(fpheap_set_root(heap, NULL), -EINVAL);
    assert_int_equal(fpheap_destroy(heap), 0);
}

/* --- what is made --------------------------------------------------------- */

static fph_opening
opening_with(const fpheap_partition *desc, size_t bytes)
{
    fph_opening it = fph_opening_of("x", desc, FPHEAP_CREATE);

    it.bytes = bytes;
    return it;
}

static void
a_head_takes_a_byte_for_each_chunk_in_whole_lines(void **state)
{
    const size_t least = offsetof(fph_partition, taken);
    size_t       n;

    (void)state;
    for (n = 1; n < 200; n++) {
        fph_opening it   = opening_with(NULL, n * FPHEAP_CHUNK);
        size_t      head = fph_head_bytes(&it);

        assert_int_equal(head % FPH_LINE, 0);
        assert_true(head >= least + n);
        assert_true(head - FPH_LINE < least + n);
    }
}

static void
a_head_is_laid_whatever_lay_there(void **state)
{
    static char      memory[sizeof(fph_partition) + 8192]
                     __attribute__((aligned(64)));
    static char      wanted[sizeof memory] __attribute__((aligned(64)));
    fph_partition   *made = (fph_partition *)(void *)memory;
    fph_partition   *want = (fph_partition *)(void *)wanted;
    fpheap_partition desc = partition_of(0);
    fph_opening      it   = opening_with(&desc, 100 * FPHEAP_CHUNK);
    unsigned         kind;

    (void)state;
    for (kind = 0; kind < 64; kind++) {
        desc.flags = kind;
        memset(memory, 0x5a, sizeof memory);
        memset(wanted, 0x5a, sizeof wanted);
        fph_partition_lay(&it, made, 3);
        memset(&want->settings, 0, fph_head_bytes(&it) - 8);
        strcpy(want->settings, fph_shared_settings());
        want->bytes = 100 * FPHEAP_CHUNK;
        want->base = (char *)made;
        want->head = fph_head_bytes(&it);
        want->nodes = 1;
        want->fixed = (kind & FPHEAP_FIXED) != 0 || (kind & FPHEAP_MAPPED) != 0;
        want->unit = 3;
        want->frees = kind & FPHEAP_FREE_DEAD;
        assert_memory_equal(memory, wanted, sizeof memory);
    }
}

static void
a_new_file_is_emptied_and_then_has_its_length(void **state)
{
    fpheap_partition desc = partition_of(PARTITION);
    fph_opening      it   = opening_with(&desc, 4 * FPHEAP_CHUNK);
    static fpheap    made;
    unsigned         i;
    char             wanted[100];

    (void)state;
    (void)snprintf(wanted, sizeof wanted, "ftruncate %llu;ftruncate %llu;",
                   (word64)FPHEAP_CHUNK, (word64)(5 * FPHEAP_CHUNK));
    made.file = memory_file();
    made.start = FPHEAP_CHUNK;
    if (sizeof(long) == 8)
        (void)snprintf(wanted + strlen(wanted), 50, "fallocate 0 %llu %llu;",
                       (word64)FPHEAP_CHUNK, (word64)fph_head_bytes(&it));
    listen_from_here();
    assert_int_equal(fph_file_begin(&made, &it), 0);
    listens = 0;
    assert_string_equal(requests, wanted);
    for (i = 1; i < 3; i++) {
        fail_at("ftruncate", i, EFBIG);
        assert_int_equal(fph_file_begin(&made, &it), -EFBIG);
        assert_null(failing);
    }
    made.mapped = 1;
    fail_at("ftruncate", 1, EFBIG);
    assert_int_equal(fph_file_begin(&made, &it), 0);
    made.mapped = 0;
    desc.flags = FPHEAP_FIXED | FPHEAP_DESCRIPTOR;
    assert_int_equal(ftruncate(made.file, 5 * FPHEAP_CHUNK), 0);
    assert_int_equal(fph_file_begin(&made, &it), 0);
    it.bytes++;
    assert_int_equal(fph_file_begin(&made, &it), -ESTALE);
    assert_non_null(failing);
    failing = NULL;
    close(made.file);
}

/* Chunks of a partition whose tables end less than a page before a chunk does:
 * its head takes a byte of each. */
static size_t
page_short_of_a_chunk(void)
{
    size_t      n = 16;
    size_t      bytes;
    fpheap      like;
    fph_opening it;

    if (sizeof(void *) == 4)
        return n;              /* there is not so much room */
    memset(&like, 0, sizeof like);
    like.partition = (fph_partition *)(void *)objects; /* it has one */
    like.nodes = 1;
    like.bins = FPH_CLASSES;
    do {
        n += 16;
        NEED(n <= ((size_t)1 << 17));
        it = opening_with(NULL, n * FPHEAP_CHUNK);
        bytes = fph_head_bytes(&it)
              + fph_layout_of(&like, power_from(n * FPHEAP_CHUNK)
                                     >> FPHEAP_CHUNK_SHIFT).bytes;
    } while (bytes % FPHEAP_CHUNK < FPHEAP_CHUNK - FPHEAP_PAGE);
    return n;
}

/* The tables are for all chunks there may be, twice as many at most, and the
 * first region is what they and the head take, and two pages. */
static void
the_first_region_has_the_tables_and_no_chunk_more(void **state)
{
    size_t counts[] = { 16, 17, 1023, 1024, 1025, PARTITION / FPHEAP_CHUNK,
                        page_short_of_a_chunk() };
    size_t i;

    (void)state;
    for (i = 0; i < TEST_COUNT(counts); i++) {
        size_t           room = power_from(counts[i] * FPHEAP_CHUNK);
        fpheap_partition desc = partition_of(counts[i] * FPHEAP_CHUNK);
        fpheap          *heap = fpheap_open(name, &desc, FPHEAP_CREATE);
        fpheap_stats     s;
        size_t           bytes;

        assert_non_null(heap);
        assert_int_equal(heap->state->mask + 1, room >> FPHEAP_PAGE_SHIFT);
        assert_ptr_equal(heap->state, heap->partition->state);
        assert_int_equal(heap->state->limit, 0);
        bytes = heap->partition->head + 2 * FPHEAP_PAGE
              + fph_layout_of(heap, room >> FPHEAP_CHUNK_SHIFT).bytes;
        fpheap_stats_get(heap, &s);
        assert_int_equal(s.region_bytes,
                         ((bytes & ~(FPHEAP_PAGE - 1)) + FPHEAP_CHUNK - 1)
                         & ~(FPHEAP_CHUNK - 1));
        assert_ptr_equal(heap->state->region[0].raw.base,
                         heap->partition->base);
        close_empty(heap);
        assert_int_equal(fpheap_unlink(name, NULL), 0);
    }
}

/* --- how files are opened ------------------------------------------------- */

static void
the_path_of_a_descriptor_has_all_its_digits_and_ends(void **state)
{
    static const int numbers[] = { 0, 9, 10, 12345, INT_MAX };
    char             path[32], wanted[32];
    size_t           i;

    (void)state;
    for (i = 0; i < TEST_COUNT(numbers); i++) {
        memset(path, 0x5a, sizeof path);
        memset(wanted, 0x5a, sizeof wanted);
        (void)snprintf(wanted, sizeof wanted, "/proc/self/fd/%d", numbers[i]);
        fph_fd_path(path, numbers[i]);
        assert_memory_equal(path, wanted, sizeof path);
    }
}

/* How a file is opened, and made. */
static void
files_are_opened_without_links_or_waits_and_closed_by_exec(void **state)
{
    const unsigned   waits = O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
    fpheap_partition desc  = partition_of(PARTITION);
    char             wanted[200];
    fpheap          *heap;

    (void)state;
    listen_from_here();
    heap = fpheap_open(name, &desc, FPHEAP_CREATE);
    assert_non_null(heap);
    (void)snprintf(wanted, sizeof wanted, "open %x;openat %x 600;openat %x 600;"
                   "fchmod 600;",
                   (unsigned)(O_RDONLY | O_DIRECTORY | O_CLOEXEC),
                   O_RDWR | waits | O_NOFOLLOW,
                   (unsigned)(O_TMPFILE | O_RDWR | O_CLOEXEC));
    assert_int_equal(strncmp(requests, wanted, strlen(wanted)), 0);
    close_empty(heap);
    listen_from_here();
    assert_int_equal(fpheap_close(open_it()), 0);
    (void)snprintf(wanted, sizeof wanted, "openat %x 600;",
                   O_RDWR | waits | O_NOFOLLOW);
    assert_non_null(strstr(requests, wanted));
    listen_from_here();
    heap = fpheap_open(name, NULL, FPHEAP_READ_ONLY);
    assert_non_null(heap);
    assert_int_equal(fpheap_close(heap), 0);
    (void)snprintf(wanted, sizeof wanted, "openat %x 600;",
                   O_RDONLY | waits | O_NOFOLLOW);
    assert_non_null(strstr(requests, wanted));
    assert_null(strstr(requests, "fchmod"));
    listens = 0;
}

static void
a_descriptor_is_opened_anew_whatever_its_flags(void **state)
{
    const unsigned   waits = O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
    int              file  = memfd_create("fpheap-test", 0);
    fpheap_partition desc  = by_descriptor(file, 0);
    char             wanted[100];
    fpheap          *heap;

    (void)state;
    listen_from_here();
    heap = fpheap_open(NULL, &desc, FPHEAP_CREATE);
    assert_non_null(heap);
    (void)snprintf(wanted, sizeof wanted, "open %x;write %u;", O_RDWR | waits,
                   FPH_MEMBERS + 1);
    assert_int_equal(strncmp(requests, wanted, strlen(wanted)), 0);
    listens = 0;
    close_empty(heap);
    assert_int_equal(fcntl(file, F_SETFD, FD_CLOEXEC), 0);
    assert_int_equal(fpheap_close(fpheap_open(NULL, &desc, 0)), 0);
    close(file);
    REFUSES(NULL, &desc, 0, EBADF);
}

static void
what_stands_in_the_way_of_a_file_is_named(void **state)
{
    static const struct { int is, error; const char *word; } ways[] = {
        { ELOOP, EACCES, "symbolic link" }, { EISDIR, EACCES, "no regular" },
        { ENXIO, EACCES, "no regular" }, { ENODEV, EACCES, "no regular" },
        { EIO, EIO, "" }, { EMFILE, EMFILE, "" }, { EACCES, EACCES, "" }
    };
    size_t i;

    (void)state;
    make_and_close();
    for (i = 0; i < TEST_COUNT(ways); i++) {
        fail_at("openat", 1, ways[i].is);
        last_report[0] = '\0';
        REFUSES(name, NULL, 0, ways[i].error);
        assert_int_equal(last_report[0] == '\0', ways[i].word[0] == '\0');
        assert_non_null(strstr(last_report, ways[i].word));
    }
}

/* --- a file that is opened in place --------------------------------------- */

/* The locks that an open asks for in front of those of members. */
static void
need_locks(const fpheap_partition *desc, unsigned flags, const char *wanted)
{
    fpheap *heap;

    listen_from_here();
    heap = fpheap_open(NULL, desc, flags);
    listens = 0;
    NEED(heap != NULL);
    NEED(strncmp(strchr(requests, ';') + 1, wanted, strlen(wanted)) == 0);
    NEED(fpheap_close(heap) == 0);
}

static void
only_who_makes_a_partition_in_place_locks_others_out(void **state)
{
    int              file   = memory_file();
    fpheap_partition desc   = by_descriptor(file, FPHEAP_CHUNK);
    word64           start  = FPHEAP_CHUNK;
    char             wanted[100];
    size_t           length;
    struct flock     lock;
    fpheap          *heap;

    (void)state;
    REFUSES(NULL, &desc, FPHEAP_READ_ONLY, ESTALE);
    REFUSES(NULL, &desc, 0, ESTALE);
    (void)snprintf(wanted, sizeof wanted, "write %llu;",
                   start + FPH_MEMBERS + 1);
    need_locks(&desc, FPHEAP_CREATE | FPHEAP_EXCLUSIVE, wanted);
    REFUSES(NULL, &desc, FPHEAP_CREATE | FPHEAP_EXCLUSIVE, EEXIST);
    (void)snprintf(wanted, sizeof wanted, "mmap 3 ");
    need_locks(&desc, FPHEAP_CREATE, wanted);
    need_locks(&desc, 0, wanted);
    (void)snprintf(wanted, sizeof wanted, "mmap 1 ");
    need_locks(&desc, FPHEAP_READ_ONLY, wanted);
    (void)snprintf(wanted, sizeof wanted, "none %llu;",
                   start + FPH_MEMBERS + 1);
    length = strlen(wanted);
    assert_string_equal(requests + requests_bytes - length, wanted);

    file = (close(file), memory_file());
    desc.descriptor = file;
    lock_all();
    heap = fpheap_open(NULL, &desc, FPHEAP_CREATE);
    assert_non_null(heap);
    assert_int_equal(yields, 3);
    memset(&lock, 0, sizeof lock);
    lock.l_type = F_WRLCK;
    lock.l_start = (off_t)start + 1; /* behind that of the member */
    assert_int_equal(fcntl(file, F_OFD_GETLK, &lock), 0);
    assert_int_equal(lock.l_type, F_UNLCK);
    close_empty(heap);
    close(file);
}

/* Nothing but a file for locks is made, and opened. */
static void
memory_that_is_mapped_stays_so_and_its_file_has_locks(void **state)
{
    const unsigned   how   = O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY
                           | O_NOFOLLOW;
    char            *all   = (char *)mmap(NULL, 256 * FPHEAP_CHUNK,
                                          PROT_READ | PROT_WRITE,
                                          MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    fpheap_partition desc  = partition_of(255 * FPHEAP_CHUNK);
    unsigned         makes;
    struct stat      is;
    fpheap          *heap;
    char             wanted[100];

    (void)state;
    assert_true(all != MAP_FAILED);
    desc.address = all + (-(uintptr_t)all & FPH_CHUNK_MASK);
    desc.flags = FPHEAP_MAPPED;
    desc.mode = 0640;
    REFUSES(name, &desc, 0, ENOENT);
    for (makes = 1; makes < 2; makes--) {
        listen_from_here();
        heap = fpheap_open(name, &desc, makes ? FPHEAP_CREATE : 0);
        assert_non_null(heap);
        assert_int_equal(heap->mapped, 1);
        use(heap);
        assert_int_equal(fpheap_close(heap), 0);
        listens = 0;
        (void)snprintf(wanted, sizeof wanted, "openat %x 640;",
                       makes ? how | O_CREAT : how);
        assert_non_null(strstr(requests, wanted));
        assert_null(strstr(requests, "mmap"));
        assert_null(strstr(requests, "ftruncate"));
        assert_int_equal(msync(desc.address, desc.bytes, MS_ASYNC), 0);
        assert_int_equal(stat(path_of(name), &is), 0);
        assert_int_equal(is.st_size, 0);
    }
    assert_int_equal(munmap(all, 256 * FPHEAP_CHUNK), 0);
}

/* --- calls that fail ------------------------------------------------------ */

/* An open fails so when this call does, and leaves nothing. */
static void
need_error(const fpheap_partition *desc, unsigned flags, const char *call,
           unsigned at)
{
    int file = desc != NULL && (desc->flags & FPHEAP_DESCRIPTOR) != 0;

    fail_at(call, at, EDOM);
    if (strcmp(call, "mmap") == 0 || strcmp(call, "setspecific") == 0)
        REFUSES(file ? NULL : name, desc, flags, ENOMEM);
    else
        REFUSES(file ? NULL : name, desc, flags, EDOM);
    NEED(failing == NULL);
}

static void
each_call_that_fails_ends_an_open(void **state)
{
    fpheap_partition desc = partition_of(PARTITION);
    unsigned         i;

    (void)state;
    need_error(&desc, FPHEAP_CREATE, "mmap", 1);
    need_error(&desc, FPHEAP_CREATE, "setspecific", 1);
    need_error(&desc, FPHEAP_CREATE, "open", 1);
    need_error(&desc, FPHEAP_CREATE, "openat", 1);
    fail_at("openat", 1, ENOENT);
    need_error(&desc, FPHEAP_CREATE | FPHEAP_EXCLUSIVE, "openat", 1);
    need_error(&desc, FPHEAP_CREATE, "openat", 2);
    need_error(&desc, FPHEAP_CREATE, "fchmod", 1);
    need_error(&desc, FPHEAP_CREATE, "fstatfs", 1);
    need_error(&desc, FPHEAP_CREATE, "ftruncate", 1);
    need_error(&desc, FPHEAP_CREATE, "ftruncate", 2);
    need_error(&desc, FPHEAP_CREATE, "mmap of a file", 1);
    need_error(&desc, FPHEAP_CREATE, "linkat", 1);
    assert_int_equal(fpheap_unlink(name, NULL), -ENOENT);
    make_and_close();
    for (i = 0; i < 2; i++) {
        unsigned flags = i == 0 ? 0 : FPHEAP_READ_ONLY;

        need_error(&desc, flags, "mmap", 1);
        need_error(&desc, flags, "setspecific", 1);
        need_error(&desc, flags, "open", 1);
        need_error(&desc, flags, "openat", 1);
        need_error(&desc, flags, "fstat", 1);
        need_error(&desc, flags, "fstatfs", 1);
        need_error(&desc, flags, "mmap of a file", 1);
    }
    assert_int_equal(fpheap_close(open_it()), 0);
    fail_at("open", 1, EDOM);
    assert_int_equal(fpheap_unlink(name, NULL), -EDOM);
    fail_at("unlinkat", 1, EDOM);
    assert_int_equal(fpheap_unlink(name, NULL), -EDOM);
    i = open_files();
    assert_int_equal(fpheap_unlink(name, NULL), 0);
    assert_int_equal(fpheap_unlink(name, NULL), -ENOENT);
    assert_int_equal(open_files(), i);
}

static void
each_call_that_fails_ends_an_open_by_descriptor(void **state)
{
    int              file = memory_file();
    fpheap_partition desc = by_descriptor(file, 0);

    (void)state;
    need_error(&desc, FPHEAP_CREATE, "mmap", 1);
    need_error(&desc, FPHEAP_CREATE, "open", 1);
    need_error(&desc, FPHEAP_CREATE, "fstatfs", 1);
    need_error(&desc, FPHEAP_CREATE, "ftruncate", 1);
    need_error(&desc, FPHEAP_CREATE, "mmap of a file", 1);
    assert_int_equal(fpheap_close(fpheap_open(NULL, &desc, FPHEAP_CREATE)), 0);
    need_error(&desc, 0, "open", 1);
    need_error(&desc, 0, "fstat", 1);
    need_error(&desc, 0, "fstatfs", 1);
    need_error(&desc, 0, "mmap of a file", 1);
    close(file);
}

/* A name that somebody else has taken meanwhile is opened, or refused. */
static void
who_cannot_name_a_partition_looks_once_more(void **state)
{
    fpheap_partition desc = partition_of(PARTITION);
    fpheap          *heap;

    (void)state;
    fail_at("linkat", 1, EEXIST);
    heap = fpheap_open(name, &desc, FPHEAP_CREATE);
    assert_non_null(heap);
    assert_null(failing);
    close_empty(heap);
    assert_int_equal(fpheap_unlink(name, NULL), 0);
    fail_at("linkat", 1, EEXIST);
    REFUSES(name, &desc, FPHEAP_CREATE | FPHEAP_EXCLUSIVE, EEXIST);
    REFUSES(name, NULL, 0, ENOENT);
}

/* --- file 0 --------------------------------------------------------------- */

static int
open_without_input(peer *p, void *arg)
{
    fpheap_partition desc = partition_of(PARTITION);
    fpheap          *heap;

    (void)p, (void)arg;
    close(0);
    heap = fpheap_open(name, &desc, FPHEAP_CREATE); /* the directory is 0 */
    NEED(heap != NULL && heap->file > 0 && fcntl(0, F_GETFD) < 0);
    NEED(fpheap_close(heap) == 0);
    heap = fpheap_open(name, &desc, 0);
    NEED(heap != NULL && heap->file > 0 && fcntl(0, F_GETFD) < 0);
    NEED(fpheap_close(heap) == 0);
    NEED(fpheap_unlink(name, NULL) == 0 && fcntl(0, F_GETFD) < 0);
    at_zero = open("/dev/null", O_RDONLY | O_CLOEXEC) == 0;
    fail_at("openat", 1, ENOENT);
    heap = fpheap_open(name, &desc, FPHEAP_CREATE); /* the partition is */
    NEED(heap != NULL && heap->file == 0);
    use(heap);
    NEED(fpheap_close(heap) == 0 && fcntl(0, F_GETFD) < 0);
    at_zero = open("/dev/null", O_RDONLY | O_CLOEXEC) == 0;
    heap = open_it();
    NEED(heap->file == 0);
    use(heap);
    NEED(fpheap_close(heap) == 0 && fcntl(0, F_GETFD) < 0);
    return 0;
}

static void
a_process_without_input_opens_a_partition_as_file_0(void **state)
{
    peer p;

    (void)state;
    peer_begin(&p, open_without_input, NULL);
    peer_end(&p);
}

/* An open that fails before it has a file closes none. */
static int
fail_with_input(peer *p, void *arg)
{
    int zero = open("/dev/null", O_RDONLY | O_CLOEXEC);

    (void)p, (void)arg;
    NEED(zero >= 0 && (zero == 0 || dup2(zero, 0) == 0));
    fail_at("mmap", 1, ENOMEM);
    listen_from_here();
    NEED(fpheap_open(name, NULL, 0) == NULL && errno == ENOMEM);
    NEED(strcmp(requests, "") == 0); /* nor is anything unmapped */
    NEED(fpheap_open(name, NULL, 0) == NULL && errno == ENOENT);
    NEED(fcntl(0, F_GETFD) >= 0);
    return 0;
}

static void
an_open_that_fails_closes_nobodys_file(void **state)
{
    peer p;

    (void)state;
    peer_begin(&p, fail_with_input, NULL);
    peer_end(&p);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        SHARED_TEST(an_open_without_a_description_has_the_defaults),
        SHARED_TEST(flags_of_an_open_that_mean_nothing_are_refused),
        SHARED_TEST(descriptions_are_refused_at_both_ends_of_each_bound),
        SHARED_TEST(memory_that_is_mapped_has_an_address_and_a_length),
        SHARED_TEST(names_are_refused_at_the_byte_that_is_wrong),
        SHARED_TEST(a_head_is_refused_at_both_ends_of_each_bound),
        SHARED_TEST(each_word_of_a_head_is_refused_alone),
        SHARED_TEST(a_head_has_what_the_file_and_the_caller_say),
        SHARED_TEST(places_are_tried_one_after_the_other),
        SHARED_TEST(a_partition_is_mapped_where_it_was_made_or_not_at_all),
        SHARED_TEST(a_handle_has_what_the_description_says_and_nothing_else),
        SHARED_TEST(a_member_has_the_first_place_that_is_free),
        SHARED_TEST(places_whose_locks_others_have_are_left_out),
        SHARED_TEST(who_comes_where_all_are_dead_keeps_but_its_own_lock),
        SHARED_TEST(a_reader_takes_a_place_that_is_its_alone),
        SHARED_TEST(a_member_shows_what_is_live_and_what_is_parked),
        SHARED_TEST(all_members_are_seen_and_then_all_readers),
        SHARED_TEST(a_reader_shows_its_lock_and_nothing_else),
        SHARED_TEST(a_close_waits_for_threads_that_exit_and_for_cleaners),
        SHARED_TEST(a_close_gives_back_what_this_process_parks_and_no_other),
        SHARED_TEST(functions_for_partitions_refuse_other_heaps),
        SHARED_TEST(a_head_takes_a_byte_for_each_chunk_in_whole_lines),
        SHARED_TEST(a_head_is_laid_whatever_lay_there),
        SHARED_TEST(a_new_file_is_emptied_and_then_has_its_length),
        SHARED_TEST(the_first_region_has_the_tables_and_no_chunk_more),
        SHARED_TEST(the_path_of_a_descriptor_has_all_its_digits_and_ends),
        SHARED_TEST(files_are_opened_without_links_or_waits_and_closed_by_exec),
        SHARED_TEST(a_descriptor_is_opened_anew_whatever_its_flags),
        SHARED_TEST(what_stands_in_the_way_of_a_file_is_named),
        SHARED_TEST(only_who_makes_a_partition_in_place_locks_others_out),
        SHARED_TEST(memory_that_is_mapped_stays_so_and_its_file_has_locks),
        SHARED_TEST(each_call_that_fails_ends_an_open),
        SHARED_TEST(each_call_that_fails_ends_an_open_by_descriptor),
        SHARED_TEST(who_cannot_name_a_partition_looks_once_more),
        SHARED_TEST(a_process_without_input_opens_a_partition_as_file_0),
        SHARED_TEST(an_open_that_fails_closes_nobodys_file)
    };

    return cmocka_run_group_tests_name("shared_opens", tests, NULL, NULL);
}
