/* shared_util.h - what the programs about shared heaps share: a partition with
 * a name of its own, other processes, and pipes between them
 *
 * Include it after fpheap.h, which needs FPHEAP_REPORT(line) note_report(line).
 */
#ifndef SHARED_UTIL_H
#define SHARED_UTIL_H

#include "fork_util.h"
#include "pool_util.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>

#define PARTITION ((sizeof(void *) > 4 ? 1024 : 256) * TEST_MIB)
#define PATIENCE  60           /* seconds until a process that hangs ends */

static char name[FPHEAP_NAME_BYTES]; /* of this test's partition */
static int  is_peer;                 /* 1: this is not the runner's process */

/* --- checks that hold in all processes ------------------------------------ */

static void
need_failed(const char *file, int line, const char *what)
{
    const char *who = is_peer ? "another process" : "the runner";

    (void)fprintf(stderr, "%s:%d: %s: %s (errno %d, last report \"%s\")\n", file,
                  line, who, what, errno, last_report);
    if (is_peer)
        _exit(1);
    _fail(file, line);
}

#define NEED(condition) \
    ((condition) ? (void)0 : need_failed(__FILE__, __LINE__, #condition))

/* Every invariant holds, every byte is counted once. */
TEST_UNUSED static void
need_sound_at(fpheap *heap, const char *file, int line)
{
    const char  *wrong = fpheap_check(heap);
    fpheap_stats s;

    fpheap_stats_get(heap, &s);
    if (wrong != NULL || !test_adds_up(&s))
        need_failed(file, line, wrong == NULL ? "bytes are missing" : wrong);
}

#define NEED_SOUND(heap) need_sound_at(heap, __FILE__, __LINE__)

/* --- partitions ----------------------------------------------------------- */

/* Each test has a name that no other process has. */
static int
begin_name(void **state)
{
    static unsigned number;

    (void)state;
    (void)snprintf(name, sizeof name, "fpheap-test-%d-%u", (int)getpid(),
                   number++);
    last_report[0] = '\0';
    return 0;
}

static int
end_name(void **state)
{
    (void)state;
    (void)fpheap_unlink(name, NULL);
    return 0;
}

#define SHARED_TEST(f) cmocka_unit_test_setup_teardown(f, begin_name, end_name)

TEST_UNUSED static fpheap_partition
partition_of(size_t bytes)
{
    fpheap_partition desc;

    memset(&desc, 0, sizeof desc);
    desc.bytes = bytes;
    return desc;
}

TEST_UNUSED static fpheap *
create(void)
{
    fpheap_partition desc = partition_of(PARTITION);
    fpheap          *heap = fpheap_open(name, &desc,
                                        FPHEAP_CREATE | FPHEAP_EXCLUSIVE);

    NEED(heap != NULL);
    return heap;
}

TEST_UNUSED static fpheap *
open_it(void)
{
    fpheap *heap = fpheap_open(name, NULL, 0);

    NEED(heap != NULL);
    return heap;
}

/* Leave a sound heap in which nothing is live. */
TEST_UNUSED static void
close_empty(fpheap *heap)
{
    TEST_CHECK_LIVE(heap, 0);
    assert_int_equal(fpheap_close(heap), 0);
}

/* --- what is live --------------------------------------------------------- */

static int
list_object(void *arg, const fpheap_object *object)
{
    void ***next = (void ***)arg;

    *(*next)++ = object->base;
    return 0;
}

/* Free all that is live.  Returns how many objects it was. */
TEST_UNUSED static size_t
free_all(fpheap *heap)
{
    void **next = objects;

    NEED(fpheap_walk(heap, list_object, &next) == 0);
    fpheap_free_bulk(heap, objects, (unsigned)(next - objects));
    fpheap_flush(heap);
    return (size_t)(next - objects);
}

/* --- other processes ------------------------------------------------------ */

/* A process, as its creator has it; or its creator, as it has that. */
typedef struct peer {
    pid_t process;
    int   in, out;
} peer;

/* Run work(p, arg) in another process, which exits with what that returns. */
TEST_UNUSED static void
peer_begin(peer *p, int (*work)(peer *runner, void *arg), void *arg)
{
    int there[2], back[2];

    NEED(pipe(there) == 0 && pipe(back) == 0);
    (void)fflush(NULL);
    p->process = fork_without();
    NEED(p->process >= 0);
    p->in = p->process == 0 ? there[0] : back[0];
    p->out = p->process == 0 ? back[1] : there[1];
    close(p->process == 0 ? there[1] : there[0]);
    close(p->process == 0 ? back[0] : back[1]);
    if (p->process != 0)
        return;
    is_peer = 1;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)alarm(PATIENCE);
    _exit(work(p, arg));
}

TEST_UNUSED static void
say(const peer *p, uint64_t word)
{
    NEED(write(p->out, &word, sizeof word) == (ssize_t)sizeof word);
}

TEST_UNUSED static uint64_t
hear(const peer *p)
{
    uint64_t word = 0;

    NEED(read(p->in, &word, sizeof word) == (ssize_t)sizeof word);
    return word;
}

TEST_UNUSED static void
say_object(const peer *p, const void *object)
{
    say(p, (uintptr_t)object);
}

TEST_UNUSED static void *
hear_object(const peer *p)
{
    return (void *)(uintptr_t)hear(p);
}

/* The next step is the other's; wait until it is this process's again. */
TEST_UNUSED static void
pass_on(const peer *p)
{
    say(p, 0);
    (void)hear(p);
}

/* What waitpid says of a process when it ends. */
TEST_UNUSED static int
peer_status(peer *p)
{
    int status = -1;

    close(p->out);
    NEED(waitpid(p->process, &status, 0) == p->process);
    close(p->in);
    return status;
}

/* Wait for the end of a process that does all right. */
TEST_UNUSED static void
peer_end(peer *p)
{
    int status = peer_status(p);

    NEED(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

TEST_UNUSED static void
peer_kill(peer *p)
{
    int status;

    NEED(kill(p->process, SIGKILL) == 0);
    status = peer_status(p);
    NEED(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* Processes that do the same. */
TEST_UNUSED static void
peers_begin(peer *peers, unsigned n, int (*work)(peer *runner, void *arg))
{
    unsigned i;

    for (i = 0; i < n; i++)
        peer_begin(&peers[i], work, (void *)(uintptr_t)i);
}

TEST_UNUSED static void
peers_end(peer *peers, unsigned n)
{
    unsigned i;

    for (i = 0; i < n; i++)
        peer_end(&peers[i]);
}

TEST_UNUSED static uint64_t
now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* --- pools --------------------------------------------------------------- */

/* The pool of this name, with the caller's callbacks, made if need be. */
TEST_UNUSED static fpheap_pool *
pool_with(fpheap *heap, const char *called, book *b)
{
    fpheap_pool_desc desc = with_book(called, 104, b);
    fpheap_pool     *pool = fpheap_pool_open(heap, &desc);

    NEED(pool != NULL);
    return pool;
}

/* Get constructed objects: some that exist, and some that this process makes. */
TEST_UNUSED static void
get_made(fpheap_pool *pool, unsigned n)
{
    unsigned i;

    for (i = 0; i < n; i++) {
        objects[i] = fpheap_pool_get(pool);
        NEED(objects[i] != NULL && word_of(objects[i]) == made(objects[i]));
    }
}

/* --- members -------------------------------------------------------------- */

typedef struct census {
    unsigned members, dead;
    size_t   parked;
} census;

static int
count_member(void *arg, const fpheap_member *member)
{
    census *sum = (census *)arg;

    sum->members++;
    sum->dead += !member->alive;
    sum->parked += member->parked_bytes;
    return 0;
}

TEST_UNUSED static census
members_of(fpheap *heap)
{
    census sum = { 0, 0, 0 };

    NEED(fpheap_members(heap, count_member, &sum) == 0);
    return sum;
}

/* --- files ---------------------------------------------------------------- */

/* A path below /dev/shm; valid until the second next call. */
TEST_UNUSED static const char *
path_of(const char *file)
{
    static char     paths[2][128];
    static unsigned next;
    char           *path = paths[next++ % 2];

    (void)snprintf(path, sizeof paths[0], "/dev/shm/%s", file);
    return path;
}

/* Bytes that the file of this test's partition has. */
TEST_UNUSED static size_t
file_bytes(void)
{
    struct stat is;

    NEED(stat(path_of(name), &is) == 0);
    return (size_t)is.st_blocks * 512;
}

TEST_UNUSED static unsigned
open_files(void)
{
    DIR     *dir = opendir("/proc/self/fd");
    unsigned n   = 0;

    NEED(dir != NULL);
    while (readdir(dir) != NULL)
        n++;
    (void)closedir(dir);
    return n;
}

/* The heap cannot be opened, for this reason, and nothing of the try stays. */
TEST_UNUSED static void
refused_at(const char *called, const fpheap_partition *desc, unsigned flags,
           int error, const char *file, int line)
{
    unsigned before = open_files();

    errno = 0;
    if (fpheap_open(called, desc, flags) != NULL || errno != error)
        need_failed(file, line, strerror(error));
    if (open_files() != before)
        need_failed(file, line, "a file is open");
}

#define REFUSES(called, desc, flags, error) \
    refused_at(called, desc, flags, error, __FILE__, __LINE__)

/* --- use, and stay -------------------------------------------------------- */

/* A heap serves, and is sound. */
TEST_UNUSED static void
use(fpheap *heap)
{
    void *small = fpheap_alloc(heap, 100);
    void *large = fpheap_alloc(heap, 3 * TEST_MIB);

    NEED(small != NULL && large != NULL);
    memset(small, 1, 100);
    memset(large, 1, 3 * TEST_MIB);
    fpheap_free(heap, small);
    fpheap_free(heap, large);
    NEED_SOUND(heap);
}

TEST_UNUSED static void
make_and_close(void)
{
    fpheap *heap = create();

    use(heap);
    NEED(fpheap_close(heap) == 0);
}

/* Allocate objects of a size in objects[], and write them, until there is no
 * memory.  Returns how many. */
TEST_UNUSED static unsigned
fill_heap(fpheap *heap, size_t size)
{
    unsigned n = 0;

    errno = 0;
    while (n < MOST && (objects[n] = fpheap_alloc(heap, size)) != NULL)
        memset(objects[n++], 0x5a, size);
    NEED(n < MOST && errno == ENOMEM);
    return n;
}

/* Open the heap, say so, and stay until killed. */
TEST_UNUSED static int
open_and_stay(peer *p, void *arg)
{
    fpheap *heap;

    (void)arg;
    (void)hear(p);
    heap = fpheap_open(name, NULL, 0);
    say(p, heap != NULL ? 0 : (uint64_t)errno);
    while (pause() != 0)
        ;
    return 0;
}

#ifndef STRESS_SLOWDOWN
#  define STRESS_SLOWDOWN 1    /* of this machine */
#endif

/* How often something is tried that goes wrong at random moments. */
TEST_UNUSED static unsigned
tries(unsigned n)
{
    return n * test_soak() / STRESS_SLOWDOWN;
}

TEST_UNUSED static void
sleep_us(size_t us)
{
    struct timespec time = { 0, (long)us * 1000 };

    nanosleep(&time, NULL);
}

/* --- by descriptor -------------------------------------------------------- */

TEST_UNUSED static fpheap_partition
by_descriptor(int file, size_t offset)
{
    fpheap_partition desc = partition_of(PARTITION);

    desc.flags = FPHEAP_DESCRIPTOR;
    desc.descriptor = file;
    desc.offset = offset;
    return desc;
}

TEST_UNUSED static int
memory_file(void)
{
    int file = memfd_create("fpheap-test", MFD_CLOEXEC);

    NEED(file >= 0);
    return file;
}

/* --- a file system without memory ----------------------------------------- */

/* A tmpfs of 64 MiB. */
TEST_UNUSED static char small[] = "/dev/shm/fpheap-test-XXXXXX";

TEST_UNUSED static fpheap_partition
in_small(void)
{
    fpheap_partition desc = partition_of(PARTITION);

    desc.directory = small;
    return desc;
}

/* Run work in a mount namespace of its own that has the small file system.
 * Returns 0: the process may not have that. */
TEST_UNUSED static int
with_small(int (*work)(peer *p, void *arg))
{
    int  status;
    peer p;

    if (geteuid() != 0 || mkdtemp(small) == NULL)
        return 0;
    peer_begin(&p, work, NULL);
    status = peer_status(&p);
    NEED(rmdir(small) == 0);
    (void)memcpy(small + sizeof small - 7, "XXXXXX", 6);
    NEED(WIFEXITED(status));
    NEED(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 77);
    return WEXITSTATUS(status) == 0;
}

/* Mount it, in the process of a test. */
TEST_UNUSED static void
mount_small_as(const char *options)
{
    if (unshare(CLONE_NEWNS) != 0
        || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0
        || mount("tmpfs", small, "tmpfs", 0, options) != 0)
        _exit(77);
}

TEST_UNUSED static void
mount_small(void)
{
    mount_small_as("size=64m");
}

#endif /* SHARED_UTIL_H */
