/* test_shared_files.c - how a heap that several processes share is found, made,
 * and refused
 *
 * What can be wrong with arguments, names and files ends in the documented error
 * and creates nothing; a file system without memory ends in ENOMEM.
 * test_shared_members.c is about the processes that open it.
 */
#ifndef _GNU_SOURCE
#  define _GNU_SOURCE 1
#endif
#include "reports.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

/* No address is free, but for those that the system chooses. */
static int no_places;

/* The first that was wished for since this was NULL. */
static void *first_wish;

static void *
map_as_said(void *at, size_t bytes, int access, int flags, int file, off_t from)
{
    if (first_wish == NULL && file < 0)
        first_wish = at;
    if (no_places && at != NULL && file < 0) {
        errno = EEXIST;
        return MAP_FAILED;
    }
    return mmap(at, bytes, access, flags, file, from);
}

/* Which file each is; 0: the truth. */
static unsigned long long inode;

static int
fstat_said(int file, struct stat *is)
{
    int rc = fstat(file, is);

    if (inode != 0) {
        is->st_dev = 0;
        is->st_ino = (ino_t)inode;
    }
    return rc;
}

/* What happens before a file gets its name; NULL: nothing. */
static void (*before_link)(void);

static int
link_later(int from_directory, const char *from, int directory,
           const char *called, int flags)
{
    void (*first)(void) = before_link;

    before_link = NULL;
    if (first != NULL)
        first();
    return linkat(from_directory, from, directory, called, flags);
}

/* What file systems say that their pages have; 0: the truth. */
static long pages_have;

static int
statfs_said(int file, struct statfs *fs)
{
    int rc = fstatfs(file, fs);

    if (pages_have != 0)
        fs->f_bsize = pages_have;
    return rc;
}

#define fstat(file, is) fstat_said(file, is)
#define linkat(from_directory, from, directory, called, flags) \
    link_later(from_directory, from, directory, called, flags)
#define fstatfs(file, fs) statfs_said(file, fs)
#define mmap(at, bytes, access, flags, file, from) \
    map_as_said(at, bytes, access, flags, file, from)
#define FPHEAP_IMPLEMENTATION
#include "fpheap.h"
#include "shared_util.h"

#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/un.h>

#define NOBODY 65534           /* a user who owns nothing */
#define OTHER  65533

/* --- files ---------------------------------------------------------------- */

/* Whether a name is there, whatever it is. */
static int
exists(const char *file)
{
    struct stat is;

    return lstat(path_of(file), &is) == 0;
}

static int
edit(void)
{
    int file = open(path_of(name), O_RDWR | O_CLOEXEC);

    NEED(file >= 0);
    return file;
}

/* Make a file with these bytes, whatever it was. */
static void
write_file(const void *bytes, size_t n)
{
    int file = open(path_of(name), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    NEED(file >= 0);
    NEED(write(file, bytes, n) == (ssize_t)n);
    close(file);
}

/* The report of the last open has this word. */
#define REPORTED(word) NEED(strstr(last_report, word) != NULL)

/* --- arguments ------------------------------------------------------------ */

static void
arguments_out_of_range_are_refused(void **state)
{
    static const unsigned    flags[] = { FPHEAP_EXCLUSIVE, 1u << 31, 1u << 8 };
    fpheap_partition         desc    = partition_of(PARTITION);
    size_t                   i;

    (void)state;
    for (i = 0; i < TEST_COUNT(flags); i++)
        REFUSES(name, &desc, flags[i], EINVAL);
    desc.flags = 1u << 31;
    REFUSES(name, &desc, FPHEAP_CREATE, EINVAL);
    desc = partition_of(0);
    REFUSES(name, &desc, FPHEAP_CREATE, EINVAL);
    REFUSES(name, NULL, FPHEAP_CREATE, EINVAL);
    desc = partition_of(PARTITION);
    REFUSES(name, &desc, FPHEAP_CREATE | FPHEAP_READ_ONLY, EINVAL);
    desc = partition_of(FPHEAP_PARTITION_MAX + 1);
    REFUSES(name, &desc, FPHEAP_CREATE, EINVAL);
    desc = partition_of(SIZE_MAX);
    REFUSES(name, &desc, FPHEAP_CREATE, EINVAL);
    desc = partition_of(PARTITION);
    desc.address = (char *)(uintptr_t)(64 * FPHEAP_CHUNK + 4096);
    REFUSES(name, &desc, FPHEAP_CREATE, EINVAL);
    desc = partition_of(PARTITION);
    desc.offset = 4096;
    REFUSES(name, &desc, FPHEAP_CREATE, EINVAL);
    desc = partition_of(PARTITION);
    desc.mode = 010000;
    REFUSES(name, &desc, FPHEAP_CREATE, EINVAL);
    desc = partition_of(PARTITION);
    desc.flags = FPHEAP_ON_NODE;
    desc.node = -1;
    REFUSES(name, &desc, FPHEAP_CREATE, EINVAL);
    desc = partition_of(PARTITION);
    desc.flags = FPHEAP_FIXED; /* a new file has no memory */
    REFUSES(name, &desc, FPHEAP_CREATE, EINVAL);
    desc.flags = FPHEAP_FREE_DEAD; /* nobody knows what the dead have had */
    REFUSES(name, &desc, FPHEAP_CREATE, ENOTSUP);
    assert_false(exists(name));
}

static void
names_that_lead_elsewhere_are_refused(void **state)
{
    static const char *const names[] = {
        "", ".", "..", "/", "a/b", "../fpheap-test", "/dev/shm/fpheap-test",
        "fpheap-test/", "./fpheap-test", "fpheap-test/../fpheap-test"
    };
    fpheap_partition desc = partition_of(PARTITION);
    size_t           i;

    (void)state;
    for (i = 0; i < TEST_COUNT(names); i++) {
        REFUSES(names[i], &desc, FPHEAP_CREATE, EINVAL);
        REFUSES(names[i], NULL, 0, EINVAL);
        assert_int_equal(fpheap_unlink(names[i], NULL), -EINVAL);
    }
    REFUSES(NULL, &desc, FPHEAP_CREATE, EINVAL);
    assert_int_equal(fpheap_unlink(NULL, NULL), -EINVAL);
    assert_false(exists("fpheap-test"));
    assert_int_not_equal(access("/dev/fpheap-test", F_OK), 0);
}

static void
a_name_of_31_characters_is_the_longest(void **state)
{
    fpheap_partition desc = partition_of(PARTITION);
    char             longest[33];
    fpheap          *heap;

    (void)state;
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    memcpy(longest, name, strlen(name));
    REFUSES(longest, &desc, FPHEAP_CREATE, ENAMETOOLONG);
    assert_int_equal(fpheap_unlink(longest, NULL), -ENAMETOOLONG);
    longest[31] = '\0';
    heap = fpheap_open(longest, &desc, FPHEAP_CREATE);
    assert_non_null(heap);
    use(heap);
    assert_int_equal(fpheap_close(heap), 0);
    assert_int_equal(fpheap_unlink(longest, NULL), 0);
}

static void
a_name_may_begin_with_dots(void **state)
{
    static const char *const names[] = { ".", "..", "..." };
    fpheap_partition         desc    = partition_of(PARTITION);
    char                     dotted[FPHEAP_NAME_BYTES];
    size_t                   i;

    (void)state;
    for (i = 0; i < TEST_COUNT(names); i++) {
        (void)snprintf(dotted, sizeof dotted, "%s%d", names[i], (int)getpid());
        NEED(fpheap_close(fpheap_open(dotted, &desc, FPHEAP_CREATE)) == 0);
        assert_int_equal(fpheap_unlink(dotted, NULL), 0);
    }
    REFUSES("...", NULL, 0, ENOENT);
    REFUSES(".x", NULL, 0, ENOENT);
}

static void
what_is_not_there_is_not_opened(void **state)
{
    fpheap_partition desc = partition_of(PARTITION);

    (void)state;
    REFUSES(name, NULL, 0, ENOENT);
    REFUSES(name, &desc, 0, ENOENT);
    assert_int_equal(fpheap_unlink(name, NULL), -ENOENT);
    desc.directory = "/dev/shm/fpheap-test-no-directory";
    REFUSES(name, &desc, FPHEAP_CREATE, ENOENT);
    assert_int_equal(fpheap_unlink(name, &desc), -ENOENT);
    desc.directory = "/dev/null";
    REFUSES(name, &desc, FPHEAP_CREATE, ENOTDIR);
}

static void
exclusive_fails_where_the_name_exists(void **state)
{
    fpheap_partition desc = partition_of(PARTITION);
    fpheap          *heap;

    (void)state;
    make_and_close();
    REFUSES(name, &desc, FPHEAP_CREATE | FPHEAP_EXCLUSIVE, EEXIST);
    heap = fpheap_open(name, &desc, FPHEAP_CREATE);
    assert_non_null(heap);
    REFUSES(name, &desc, FPHEAP_CREATE | FPHEAP_EXCLUSIVE, EEXIST);
    use(heap);
    assert_int_equal(fpheap_close(heap), 0);
}

static void
functions_for_shared_heaps_refuse_others(void **state)
{
    fpheap *heap = fpheap_create("private", NULL);
    fpheap *ours = create();
    void   *object;
    census  sum;

    (void)state;
    assert_non_null(heap);
    object = fpheap_alloc(heap, 100);
    assert_int_equal(fpheap_close(heap), -EINVAL);
    assert_int_equal(fpheap_recover(heap, 0), -EINVAL);
    assert_int_equal(fpheap_recover(ours, 1), -EINVAL);
    assert_int_equal(fpheap_recover(ours, FPHEAP_FREE_DEAD), -ENOTSUP);
    assert_int_equal(fpheap_members(heap, count_member, &sum), -EINVAL);
    assert_int_equal(fpheap_handle(heap, object), 0);
    assert_int_equal(fpheap_handle(ours, object), 0);
    assert_null(fpheap_object(heap, 1));
    assert_int_equal(fpheap_set_root(heap, object), -EINVAL);
    assert_int_equal(fpheap_set_root(ours, object), -EINVAL);
    assert_null(fpheap_root(heap));
    assert_int_equal(fpheap_destroy(ours), -EINVAL);
    assert_int_equal(fpheap_destroy_forced(ours), -EINVAL);
    fpheap_free(heap, object);
    assert_int_equal(fpheap_destroy(heap), 0);
    use(ours);
    close_empty(ours);
}

/* --- what a partition has ------------------------------------------------- */

static void
a_description_opens_again_what_it_has_made(void **state)
{
    fpheap_partition desc = partition_of(100 * TEST_MIB + 1);
    unsigned         i;

    (void)state;
    desc.page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    for (i = 0; i < 2; i++) {
        fpheap *heap = fpheap_open(name, &desc, FPHEAP_CREATE);

        assert_non_null(heap);
        assert_int_equal(heap->partition->bytes, 102 * TEST_MIB);
        use(heap);
        assert_int_equal(fpheap_close(heap), 0);
    }
}

static void
a_partition_with_something_else_is_named(void **state)
{
    fpheap_partition desc = partition_of(PARTITION + FPHEAP_CHUNK);

    (void)state;
    make_and_close();
    REFUSES(name, &desc, 0, EPROTO);
    REPORTED("bytes");
    desc = partition_of(PARTITION);
    desc.address = (char *)((uintptr_t)3 << (sizeof(void *) > 4 ? 40 : 28));
    REFUSES(name, &desc, 0, EPROTO);
    REPORTED("address");
    desc = partition_of(PARTITION);
    desc.page_bytes = 2 * TEST_MIB;
    REFUSES(name, &desc, 0, EPROTO);
    REPORTED("page_bytes");
    REPORTED(name);
    desc.page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    assert_int_equal(fpheap_close(fpheap_open(name, &desc, 0)), 0);
}

static void
each_setting_that_differs_is_named(void **state)
{
    const size_t at = offsetof(fph_partition, settings);
    char         text[512], word[64];
    unsigned     n  = 0;
    size_t       i, from;
    int          file;

    (void)state;
    make_and_close();
    file = edit();
    assert_int_equal(pread(file, text, sizeof text, (off_t)at), sizeof text);
    for (i = 0, from = 0; text[i] != '\0'; i++) {
        if (text[i] == ' ')
            from = i + 1;
        if (text[i] != '=')
            continue;
        assert_int_equal(pwrite(file, "~", 1, (off_t)(at + i + 1)), 1);
        REFUSES(name, NULL, 0, EPROTO);
        (void)snprintf(word, sizeof word, ": %.*s", (int)(i - from),
                       text + from);
        REPORTED(word);
        assert_int_equal(pwrite(file, text, sizeof text, (off_t)at),
                         sizeof text);
        n++;
    }
    assert_true(n >= 13);
    memset(text, '=', sizeof text);
    assert_int_equal(pwrite(file, text, sizeof text, (off_t)at), sizeof text);
    REFUSES(name, NULL, 0, ESTALE);
    close(file);
}

static void
a_file_without_a_heap_is_refused_and_left_alone(void **state)
{
    static char      bytes[4 << 20];
    fpheap_partition desc   = partition_of(PARTITION);
    test_random      random = test_random_of(5);
    const size_t     sizes[] = { 0, 1, 100, 4096, sizeof bytes };
    struct stat      is;
    size_t           i;

    (void)state;
    for (i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)test_next(&random);
    for (i = 0; i < TEST_COUNT(sizes); i++) {
        write_file(bytes, sizes[i]);
        REFUSES(name, NULL, 0, ESTALE);
        REFUSES(name, &desc, FPHEAP_CREATE, ESTALE);
        assert_int_equal(stat(path_of(name), &is), 0);
        assert_int_equal(is.st_size, sizes[i]);
    }
    memset(bytes, 0, sizeof bytes);
    write_file(bytes, sizeof bytes);
    REFUSES(name, NULL, 0, ESTALE);
}

static void
a_file_that_is_too_short_is_refused(void **state)
{
    static const size_t sizes[] = { PARTITION - 1, PARTITION - FPHEAP_CHUNK,
                                    FPHEAP_CHUNK, 4096, 100, 0 };
    size_t              i;

    (void)state;
    make_and_close();
    for (i = 0; i < TEST_COUNT(sizes); i++) {
        assert_int_equal(truncate(path_of(name), (off_t)sizes[i]), 0);
        REFUSES(name, NULL, 0, ESTALE);
    }
}

/* What lies in front of a heap is none of its bytes. */
static void
a_file_that_is_too_short_behind_the_offset_is_refused(void **state)
{
    int              file = memory_file();
    fpheap_partition desc = by_descriptor(file, FPHEAP_CHUNK);
    off_t            all  = (off_t)(FPHEAP_CHUNK + PARTITION);

    (void)state;
    assert_int_equal(ftruncate(file, FPHEAP_CHUNK), 0);
    assert_int_equal(fpheap_close(fpheap_open(NULL, &desc, FPHEAP_CREATE)), 0);
    desc.bytes = 0;
    assert_int_equal(fpheap_close(fpheap_open(NULL, &desc, 0)), 0);
    desc = by_descriptor(file, FPHEAP_CHUNK);
    assert_int_equal(ftruncate(file, all - 1), 0);
    REFUSES(NULL, &desc, 0, ESTALE);
    desc.bytes = 0;
    REFUSES(NULL, &desc, 0, ESTALE);
    assert_int_equal(ftruncate(file, FPHEAP_CHUNK - 1), 0);
    REFUSES(NULL, &desc, 0, ESTALE);
    REPORTED("too short");
    close(file);

    file = memory_file();      /* with memory for all but the last chunk */
    desc = by_descriptor(file, FPHEAP_CHUNK);
    desc.bytes = 8 * FPHEAP_CHUNK;
    desc.flags |= FPHEAP_FIXED;
    assert_int_equal(fallocate(file, 0, 0, 8 * FPHEAP_CHUNK), 0);
    REFUSES(NULL, &desc, FPHEAP_CREATE, ESTALE);
    REPORTED("too short");
    assert_int_equal(fallocate(file, 0, 0, 9 * FPHEAP_CHUNK), 0);
    assert_int_equal(fpheap_close(fpheap_open(NULL, &desc, FPHEAP_CREATE)), 0);
    close(file);
}

/* The word of a head at an offset has another value: then it is refused. */
static void
damage(int file, size_t at, const uint64_t *values, size_t n)
{
    uint64_t was = 0;
    size_t   i;

    NEED(pread(file, &was, 8, (off_t)at) == 8);
    for (i = 0; i < n; i++) {
        NEED(pwrite(file, &values[i], 8, (off_t)at) == 8);
        REFUSES(name, NULL, 0, ESTALE);
    }
    NEED(pwrite(file, &was, 8, (off_t)at) == 8);
}

static void
a_damaged_head_is_refused(void **state)
{
    static const uint64_t bad[] = { 0, 1, 12345, UINT64_C(1) << 62, UINT64_MAX,
                                    UINT64_MAX - FPHEAP_CHUNK + 1 };
    static const size_t   at[]  = {
        offsetof(fph_partition, magic), offsetof(fph_partition, bytes),
        offsetof(fph_partition, base), offsetof(fph_partition, head),
        offsetof(fph_partition, state)
    };
    uint64_t nodes[2] = { 0, 1000 };
    size_t   i;
    int      file;

    (void)state;
    make_and_close();
    file = edit();
    for (i = 0; i < TEST_COUNT(at); i++)
        damage(file, at[i], bad, TEST_COUNT(bad));
    damage(file, offsetof(fph_partition, nodes), nodes, 2);
    close(file);
    assert_int_equal(fpheap_close(open_it()), 0);
}

/* However well its words agree, a state lies behind the head, and before the
 * end. */
static void
a_state_outside_its_place_is_refused(void **state)
{
    size_t        least = offsetof(fph_partition, member);
    size_t        most  = PARTITION - FPH_STATE_GUARD - sizeof(fph_state);
    size_t        heads[] = { 0, least - 8, most + 8, PARTITION,
                              PARTITION + 8, PARTITION + FPHEAP_CHUNK };
    fph_partition was, head;
    size_t        i;
    int           file;

    (void)state;
    make_and_close();
    file = edit();
    NEED(pread(file, &was, least, 0) == (ssize_t)least);
    for (i = 0; i < TEST_COUNT(heads); i++) {
        head = was;
        head.head = heads[i];
        head.state = (fph_state *)(void *)((uintptr_t)was.base + heads[i]
                                           + FPH_STATE_GUARD);
        NEED(pwrite(file, &head, least, 0) == (ssize_t)least);
        REFUSES(name, NULL, 0, ESTALE);
        REPORTED("damaged");
    }
    NEED(pwrite(file, &was, least, 0) == (ssize_t)least);
    close(file);
    assert_int_equal(fpheap_close(open_it()), 0);
}

static void
a_partition_is_opened_once_in_a_process(void **state)
{
    fpheap *heap = create();

    (void)state;
    REFUSES(name, NULL, 0, EADDRINUSE);
    REPORTED("address");
    use(heap);
    assert_int_equal(members_of(heap).members, 1);
    close_empty(heap);
    assert_int_equal(fpheap_close(open_it()), 0);
}

static void
nothing_is_mapped_over_what_a_process_has_there(void **state)
{
    fpheap *heap = create();
    char   *base = heap->partition->base;
    char   *mine;

    (void)state;
    assert_int_equal(fpheap_close(heap), 0);
    base += PARTITION - 4096;
    mine = (char *)mmap(base, 4096, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    assert_ptr_equal(mine, base);
    memset(mine, 0x5a, 4096);
    REFUSES(name, NULL, 0, EADDRINUSE);
    assert_true(test_all_bytes(mine, 4096, 0x5a));
    assert_int_equal(munmap(mine, 4096), 0);
    assert_int_equal(fpheap_close(open_it()), 0);
}

static int
open_where(peer *p, void *arg)
{
    fpheap *heap = open_it();

    (void)p;
    NEED((void *)heap->partition == arg);
    use(heap);
    NEED(fpheap_close(heap) == 0);
    return 0;
}

static void
an_address_that_is_asked_for_is_that_of_all(void **state)
{
    fpheap_partition desc = partition_of(PARTITION);
    fpheap          *heap;
    peer             p;

    (void)state;
    heap = create();           /* which shows an address that is free */
    desc.address = heap->partition->base + FPHEAP_CHUNK;
    assert_int_equal(fpheap_close(heap), 0);
    assert_int_equal(fpheap_unlink(name, NULL), 0);
    heap = fpheap_open(name, &desc, FPHEAP_CREATE);
    assert_non_null(heap);
    assert_ptr_equal(heap->partition, desc.address);
    peer_begin(&p, open_where, desc.address);
    peer_end(&p);
    close_empty(heap);
}

static void
a_partition_lies_where_there_is_room(void **state)
{
    fpheap *heap;

    (void)state;
    no_places = 1;
    heap = create();
    use(heap);
    assert_int_equal(fpheap_close(heap), 0);
    heap = open_it();
    use(heap);
    no_places = 0;
    close_empty(heap);
}

/* From 32 TiB up to 64, one after the other, and the first again. */
static void
files_have_places_one_after_the_other(void **state)
{
    const uint64_t from = (uint64_t)1 << 45, all = from / PARTITION;
    const uint64_t files[] = { 1, 2, all - 1, all, all + 1, 3 * all + 7 };
    fpheap        *heap;
    size_t         i;

    (void)state;
    if (sizeof(void *) < 8)
        skip();
    for (i = 0; i < TEST_COUNT(files); i++) {
        inode = files[i];
        first_wish = NULL;
        heap = create();
        assert_true((uintptr_t)first_wish
                    == from + files[i] % all * PARTITION);
        use(heap);
        assert_int_equal(fpheap_close(heap), 0);
        assert_int_equal(fpheap_unlink(name, NULL), 0);
    }
    inode = 0;
}

/* Another process makes a partition of the name, a larger one. */
static int
make_larger(peer *p, void *arg)
{
    fpheap_partition desc = partition_of(PARTITION + FPHEAP_CHUNK);

    (void)p;
    (void)arg;
    NEED(fpheap_close(fpheap_open(name, &desc, FPHEAP_CREATE)) == 0);
    return 0;
}

static void
let_another_be_first(void)
{
    peer p;

    peer_begin(&p, make_larger, NULL);
    peer_end(&p);
}

static void
who_comes_second_opens_what_the_first_has_made(void **state)
{
    fpheap_partition desc = partition_of(PARTITION);
    fpheap          *heap;

    (void)state;
    before_link = let_another_be_first;
    REFUSES(name, &desc, FPHEAP_CREATE, EPROTO);
    REPORTED("bytes");
    assert_int_equal(fpheap_unlink(name, NULL), 0);
    desc.bytes = PARTITION + FPHEAP_CHUNK;
    before_link = let_another_be_first;
    heap = fpheap_open(name, &desc, FPHEAP_CREATE);
    assert_non_null(heap);
    use(heap);
    assert_int_equal(fpheap_close(heap), 0);
    assert_int_equal(fpheap_unlink(name, NULL), 0);
    before_link = let_another_be_first;
    REFUSES(name, &desc, FPHEAP_CREATE | FPHEAP_EXCLUSIVE, EEXIST);
}

static int
make_without_addresses(peer *p, void *arg)
{
    struct rlimit    limit = { PARTITION / 2, PARTITION / 2 };
    fpheap_partition desc  = partition_of(PARTITION);

    (void)p;
    (void)arg;
    NEED(setrlimit(RLIMIT_AS, &limit) == 0);
    REFUSES(name, &desc, FPHEAP_CREATE, ENOMEM);
    REFUSES(name, NULL, 0, ENOENT);
    return 0;
}

static void
without_addresses_no_partition_is_made(void **state)
{
    peer p;

    (void)state;
    if (EMULATED)
        skip();                /* which has no RLIMIT_AS */
    peer_begin(&p, make_without_addresses, NULL);
    peer_end(&p);
}

/* --- who may open it ------------------------------------------------------ */

static int
open_as_nobody(peer *p, void *arg)
{
    fpheap_partition desc = partition_of(0);

    (void)p;
    desc.flags = (unsigned)(uintptr_t)arg;
    NEED(setresgid(NOBODY, NOBODY, NOBODY) == 0);
    NEED(setresuid(NOBODY, NOBODY, NOBODY) == 0);
    errno = 0;
    return fpheap_open(name, &desc, 0) != NULL ? 0 : errno;
}

static int
error_of_nobody(unsigned flags)
{
    int  status;
    peer p;

    peer_begin(&p, open_as_nobody, (void *)(uintptr_t)flags);
    status = peer_status(&p);
    NEED(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void
the_mode_says_who_may_open_it(void **state)
{
    fpheap_partition desc = partition_of(PARTITION);
    struct stat      is;
    fpheap          *heap;

    (void)state;
    make_and_close();
    assert_int_equal(stat(path_of(name), &is), 0);
    assert_int_equal(is.st_mode & 07777, 0600);
    if (geteuid() == 0)
        assert_int_equal(error_of_nobody(0), EACCES);
    assert_int_equal(fpheap_unlink(name, NULL), 0);
    desc.mode = 0666;
    heap = fpheap_open(name, &desc, FPHEAP_CREATE);
    assert_non_null(heap);
    assert_int_equal(stat(path_of(name), &is), 0);
    assert_int_equal(is.st_mode & 07777, 0666);
    if (geteuid() == 0)
        assert_int_equal(error_of_nobody(0), 0);
    assert_int_equal(fpheap_recover(heap, 0), geteuid() == 0);
    close_empty(heap);
}

static void
another_users_file_is_refused_unless_asked_for(void **state)
{
    fpheap_partition desc = partition_of(PARTITION);
    fpheap          *heap;

    (void)state;
    if (geteuid() != 0)
        skip();
    desc.mode = 0666;
    assert_int_equal(fpheap_close(fpheap_open(name, &desc, FPHEAP_CREATE)), 0);
    assert_int_equal(chown(path_of(name), OTHER, OTHER), 0);
    assert_int_equal(error_of_nobody(0), EACCES);
    assert_int_equal(error_of_nobody(FPHEAP_ANY_OWNER), 0);
    REFUSES(name, NULL, 0, EACCES);
    REPORTED("another user");
    desc.flags = FPHEAP_ANY_OWNER;
    heap = fpheap_open(name, &desc, 0);
    assert_non_null(heap);
    use(heap);
    assert_int_equal(fpheap_close(heap), 0);
}

/* What is at the name is refused, and stays. */
static void
expect_no_partition(const char *word)
{
    fpheap_partition desc = partition_of(PARTITION);
    struct stat      before, after;

    NEED(lstat(path_of(name), &before) == 0);
    last_report[0] = '\0';
    REFUSES(name, NULL, 0, EACCES);
    REPORTED(word);
    REFUSES(name, &desc, FPHEAP_CREATE, EACCES);
    REFUSES(name, &desc, FPHEAP_CREATE | FPHEAP_EXCLUSIVE, EEXIST);
    NEED(lstat(path_of(name), &after) == 0);
    NEED(before.st_ino == after.st_ino && before.st_size == after.st_size);
}

static void
a_name_that_is_a_link_is_refused(void **state)
{
    char target[64];

    (void)state;
    (void)snprintf(target, sizeof target, "%s-target", name);
    assert_int_equal(symlink(target, path_of(name)), 0);
    expect_no_partition("symbolic link");
    assert_false(exists(target));
    assert_int_equal(unlink(path_of(name)), 0);

    make_and_close();
    assert_int_equal(link(path_of(name), path_of(target)), 0);
    expect_no_partition("another name");
    assert_int_equal(unlink(path_of(name)), 0);
    assert_int_equal(symlink(target, path_of(name)), 0);
    expect_no_partition("symbolic link");
    assert_int_equal(unlink(path_of(target)), 0);
}

static void
a_name_that_is_no_regular_file_is_refused(void **state)
{
    struct sockaddr_un at;
    int                file;

    (void)state;
    assert_int_equal(mkfifo(path_of(name), 0600), 0);
    expect_no_partition("no regular file");
    (void)alarm(PATIENCE);     /* a reader does not wait for its other end */
    REFUSES(name, NULL, FPHEAP_READ_ONLY, EACCES);
    (void)alarm(0);
    assert_int_equal(unlink(path_of(name)), 0);

    assert_int_equal(mkdir(path_of(name), 0700), 0);
    expect_no_partition("no regular file");
    assert_int_not_equal(fpheap_unlink(name, NULL), 0);
    assert_int_equal(rmdir(path_of(name)), 0);

    memset(&at, 0, sizeof at);
    at.sun_family = AF_UNIX;
    (void)snprintf(at.sun_path, sizeof at.sun_path, "%s", path_of(name));
    file = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(file, (struct sockaddr *)&at, sizeof at), 0);
    expect_no_partition("no regular file");
    close(file);
    assert_int_equal(unlink(path_of(name)), 0);

    if (geteuid() == 0 && mknod(path_of(name), S_IFCHR | 0600, 0x103) == 0)
        expect_no_partition("no regular file");
}

/* --- a file system without memory ----------------------------------------- */

/* Bytes that the small file system has left. */
static size_t
left_in_small(void)
{
    struct statvfs fs;

    NEED(statvfs(small, &fs) == 0);
    return (size_t)fs.f_bsize * fs.f_bavail;
}

/* A file that takes all but so many bytes.  Returns its path. */
static const char *
fill_small(size_t but)
{
    static char path[64];
    int         file;

    (void)snprintf(path, sizeof path, "%s/foreign", small);
    file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    NEED(file >= 0);
    NEED(left_in_small() <= but
         || fallocate(file, 0, 0, (off_t)(left_in_small() - but)) == 0);
    close(file);
    return path;
}

static void
free_filled(fpheap *heap, unsigned n, size_t size)
{
    unsigned i;

    for (i = 0; i < n; i++) {
        NEED(test_all_bytes(objects[i], size, 0x5a));
        memset(objects[i], 0xa5, size);
    }
    fpheap_free_bulk(heap, objects, n);
    fpheap_flush(heap);
}

static int
use_small(peer *p, void *arg)
{
    fpheap_partition desc;
    fpheap          *heap;
    unsigned         n;

    (void)p;
    (void)arg;
    mount_small();
    desc = in_small();
    heap = fpheap_open(name, &desc, FPHEAP_CREATE);
    NEED(heap != NULL);
    n = fill_heap(heap, TEST_MIB);
    NEED(n >= 40);
    NEED(fpheap_zalloc(heap, 4 * TEST_MIB) == NULL && errno == ENOMEM);
    NEED(fpheap_reserve(heap, 64 * TEST_MIB, 0) == -ENOMEM);
    NEED_SOUND(heap);
    free_filled(heap, n, TEST_MIB);
    NEED(fill_heap(heap, TEST_MIB) == n);
    free_filled(heap, n, TEST_MIB);
    NEED(fpheap_trim(heap) >= 32 * TEST_MIB);
    NEED_SOUND(heap);
    NEED(fpheap_close(heap) == 0);
    return 0;
}

static void
a_partition_may_be_larger_than_its_file_system(void **state)
{
    (void)state;
    if (!with_small(use_small))
        skip();
}

static int
use_filled(peer *p, void *arg)
{
    static const size_t sizes[] = { 16, 1000, 40000, 1 << 20 };
    fpheap_partition    desc;
    const char         *foreign;
    fpheap             *heap;
    unsigned            n, i;

    (void)p;
    (void)arg;
    mount_small();
    desc = in_small();
    heap = fpheap_open(name, &desc, FPHEAP_CREATE);
    NEED(heap != NULL);
    for (i = 0; i < TEST_COUNT(sizes); i++) {
        foreign = fill_small(i * 4096 + 3 * TEST_MIB * (i % 2));
        errno = 0;
        NEED(fpheap_alloc(heap, 16 * TEST_MIB) == NULL && errno == ENOMEM);
        for (n = 0; n < MOST / 2; n++) {
            objects[n] = fpheap_alloc(heap, sizes[i]);
            if (objects[n] == NULL)
                break;
            memset(objects[n], 0x5a, sizes[i]);
        }
        NEED(objects[n] == NULL ? errno == ENOMEM : n == MOST / 2);
        (void)fpheap_trim(heap);
        (void)fill_small(0);
        NEED_SOUND(heap);
        free_filled(heap, n, sizes[i]);
        NEED(unlink(foreign) == 0);
        use(heap);
        NEED(fpheap_alloc(heap, 16 * TEST_MIB) != NULL);
        NEED(free_all(heap) == 1);
        (void)fpheap_trim(heap);
    }
    NEED(fpheap_close(heap) == 0);
    return 0;
}

static void
a_full_file_system_ends_in_enomem_and_never_in_a_signal(void **state)
{
    (void)state;
    if (!with_small(use_filled))
        skip();
}

/* What a search has taken: these chunks, and no others. */
static void
need_taken(const fph_partition *p, const uint8_t *was, size_t first, size_t n)
{
    size_t i, all = fph_partition_chunks(p);

    for (i = 0; i < all; i++) {
        int here = i >= first && i - first < n;

        NEED(p->taken[i] == (here ? 1 : was[i]) && !(here && was[i]));
    }
}

static void
a_search_for_chunks_takes_a_whole_run_and_nothing_else(void **state)
{
    static uint8_t was[PARTITION >> FPHEAP_CHUNK_SHIFT];
    fpheap        *heap = create();
    fph_partition *p    = heap->partition;
    size_t         all  = fph_partition_chunks(p);
    char          *end  = p->base + PARTITION;
    size_t         first;

    (void)state;
    assert_int_equal(all, sizeof was);
    memcpy(was, p->taken, all);
    first = fph_taken_find(p, NULL, 3);
    need_taken(p, was, first, 3);
    fph_taken_drop(p, first, first + 3);
    assert_int_equal(fph_taken_find(p, end - 3 * FPHEAP_CHUNK, 3), all - 3);
    need_taken(p, was, all - 3, 3);
    fph_taken_drop(p, all - 3, all);
    assert_int_equal(fph_taken_find(p, end - 2 * FPHEAP_CHUNK, 3), first);
    fph_taken_drop(p, first, first + 3);
    assert_int_equal(fph_taken_find(p, end, 3), first);
    fph_taken_drop(p, first, first + 3);
    assert_true(fph_taken_find(p, NULL, all) == SIZE_MAX);
    need_taken(p, was, 0, 0);
    assert_int_equal(fph_taken_find(p, NULL, all - first), first);
    need_taken(p, was, first, all - first);
    fph_taken_drop(p, first, all);
    close_empty(heap);
}

/* As hugetlbfs has with small chunks: a page goes back when no chunk of it is the
 * heap's. */
static void
pages_of_several_chunks_come_and_go_as_a_whole(void **state)
{
    enum { N = 100 };
    fpheap_stats s;
    fpheap      *heap;
    unsigned     i, j;
    size_t       least;

    (void)state;
    pages_have = 4 * FPHEAP_CHUNK;
    heap = create();
    least = file_bytes();
    for (i = 0; i < 20; i++) { /* what does not come back is missed at last */
        for (j = 0; j < N; j++) {
            objects[j] = fpheap_alloc(heap, FPHEAP_CHUNK / 2);
            NEED(objects[j] != NULL);
        }
        assert_true(file_bytes() >= least + N / 2 * FPHEAP_CHUNK);
        fpheap_free_bulk(heap, objects, N / 2);
        use(heap);
        fpheap_free_bulk(heap, objects + N / 2, N / 2);
        fpheap_flush(heap);
        (void)fpheap_trim(heap);
        fpheap_stats_get(heap, &s);
        assert_true(file_bytes() <= (s.region_bytes / FPHEAP_CHUNK + 1)
                                    * (size_t)pages_have);
    }
    pages_have = 0;
    close_empty(heap);
}

/* Linux 5.14 can write to memory so that a failure is no signal. */
static int
has_populate(void)
{
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int   has  = page != MAP_FAILED
              && madvise(page, 4096, 23 /* MADV_POPULATE_WRITE */) == 0;

    NEED(page != MAP_FAILED && munmap(page, 4096) == 0);
    return has;
}

static int
use_huge(peer *p, void *arg)
{
    fpheap_partition desc;
    fpheap          *heap;

    (void)p;
    (void)arg;
    mount_small_as("size=64m,huge=advise");
    if (FPHEAP_CHUNK_SHIFT < 21 || !has_populate()
        || prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0) != 0)
        return 77;
    desc = in_small();
    heap = fpheap_open(name, &desc, FPHEAP_CREATE);
    NEED(heap != NULL);
    NEED(fpheap_reserve(heap, 24 * TEST_MIB, 0) == 0);
    NEED(test_number_in("/proc/self/smaps", "ShmemPmdMapped:") >= 2048);
    use(heap);
    NEED(fpheap_close(heap) == 0);
    return 0;
}

static void
hugepages_come_where_the_file_system_gives_them_to_whoever_asks(void **state)
{
    (void)state;
    if (!with_small(use_huge))
        skip();
}

static int
make_in_full(peer *p, void *arg)
{
    fpheap_partition desc;
    const char      *foreign;
    size_t           room;
    fpheap          *heap = NULL;

    (void)p;
    (void)arg;
    mount_small();
    desc = in_small();
    for (room = 0; heap == NULL; room += 64 * TEST_KIB) {
        foreign = fill_small(room);
        NEED(room <= 16 * TEST_MIB);
        heap = fpheap_open(name, &desc, FPHEAP_CREATE);
        NEED(unlink(foreign) == 0);
        if (heap != NULL)
            break;
        NEED(errno == ENOMEM);
        NEED(left_in_small() >= 64 * TEST_MIB - 4096);
        NEED(fpheap_unlink(name, &desc) == -ENOENT);
    }
    NEED(room >= FPHEAP_CHUNK);
    use(heap);
    NEED(fpheap_close(heap) == 0);
    return 0;
}

static void
without_memory_no_partition_is_made(void **state)
{
    (void)state;
    if (!with_small(make_in_full))
        skip();
}

static int
unlink_in_small(peer *p, void *arg)
{
    fpheap_partition desc;
    fpheap          *heap;
    size_t           before;

    (void)p;
    (void)arg;
    mount_small();
    desc = in_small();
    before = left_in_small();
    heap = fpheap_open(name, &desc, FPHEAP_CREATE);
    NEED(heap != NULL && fpheap_alloc(heap, 16 * TEST_MIB) != NULL);
    NEED(fpheap_unlink(name, &desc) == 0);
    NEED(left_in_small() <= before - 16 * TEST_MIB);
    NEED(fpheap_close(heap) == 0);
    NEED(left_in_small() == before);
    heap = fpheap_open(name, &desc, FPHEAP_CREATE);
    NEED(heap != NULL && fpheap_alloc(heap, 16 * TEST_MIB) != NULL);
    NEED(fpheap_close(heap) == 0);
    NEED(left_in_small() <= before - 16 * TEST_MIB);
    NEED(fpheap_unlink(name, &desc) == 0);
    NEED(left_in_small() == before);
    return 0;
}

static void
memory_without_name_and_member_is_free(void **state)
{
    (void)state;
    if (!with_small(unlink_in_small))
        skip();
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        SHARED_TEST(arguments_out_of_range_are_refused),
        SHARED_TEST(names_that_lead_elsewhere_are_refused),
        SHARED_TEST(a_name_of_31_characters_is_the_longest),
        SHARED_TEST(a_name_may_begin_with_dots),
        SHARED_TEST(what_is_not_there_is_not_opened),
        SHARED_TEST(exclusive_fails_where_the_name_exists),
        SHARED_TEST(functions_for_shared_heaps_refuse_others),
        SHARED_TEST(a_description_opens_again_what_it_has_made),
        SHARED_TEST(a_partition_with_something_else_is_named),
        SHARED_TEST(each_setting_that_differs_is_named),
        SHARED_TEST(a_file_without_a_heap_is_refused_and_left_alone),
        SHARED_TEST(a_file_that_is_too_short_is_refused),
        SHARED_TEST(a_file_that_is_too_short_behind_the_offset_is_refused),
        SHARED_TEST(a_damaged_head_is_refused),
        SHARED_TEST(a_state_outside_its_place_is_refused),
        SHARED_TEST(a_partition_is_opened_once_in_a_process),
        SHARED_TEST(nothing_is_mapped_over_what_a_process_has_there),
        SHARED_TEST(an_address_that_is_asked_for_is_that_of_all),
        SHARED_TEST(a_partition_lies_where_there_is_room),
        SHARED_TEST(files_have_places_one_after_the_other),
        SHARED_TEST(who_comes_second_opens_what_the_first_has_made),
        SHARED_TEST(without_addresses_no_partition_is_made),
        SHARED_TEST(the_mode_says_who_may_open_it),
        SHARED_TEST(another_users_file_is_refused_unless_asked_for),
        SHARED_TEST(a_name_that_is_a_link_is_refused),
        SHARED_TEST(a_name_that_is_no_regular_file_is_refused),
        SHARED_TEST(a_partition_may_be_larger_than_its_file_system),
        SHARED_TEST(a_full_file_system_ends_in_enomem_and_never_in_a_signal),
        SHARED_TEST(a_search_for_chunks_takes_a_whole_run_and_nothing_else),
        SHARED_TEST(pages_of_several_chunks_come_and_go_as_a_whole),
        SHARED_TEST(
            hugepages_come_where_the_file_system_gives_them_to_whoever_asks),
        SHARED_TEST(without_memory_no_partition_is_made),
        SHARED_TEST(memory_without_name_and_member_is_free)
    };

    return cmocka_run_group_tests_name("shared_files", tests, NULL, NULL);
}
