/* test_shared_pains.c - what hurts users of shared memory elsewhere
 * SPDX-License-Identifier: MIT OR Unlicense
 *
 * Each case is named after a complaint that users of other shared heaps, pools
 * and databases have made, and shows that it cannot be made here.  README.md
 * says which of them these have today.  More of the same, at each step and with
 * each argument, is in the other test_shared programs and stress_killed.c.
 */
#ifndef _GNU_SOURCE
#  define _GNU_SOURCE 1
#endif
#include "reports.h"

#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

/* A creator stops in front of the system call of this number, from 1. */
static unsigned stops_at;

static void
call_comes(void)
{
    if (stops_at != 0 && --stops_at == 0)
        raise(SIGSTOP);
}

#define mmap(...)        (call_comes(), mmap(__VA_ARGS__))
#define syscall(...)     (call_comes(), syscall(__VA_ARGS__))
#define fcntl(...)       (call_comes(), fcntl(__VA_ARGS__))
#define ftruncate(...)   (call_comes(), ftruncate(__VA_ARGS__))
#define fstatfs(...)     (call_comes(), fstatfs(__VA_ARGS__))
#define pread(...)       (call_comes(), pread(__VA_ARGS__))
#define linkat(...)      (call_comes(), linkat(__VA_ARGS__))

#define FPHEAP_IMPLEMENTATION
#include "fpheap.h"
#include "shared_util.h"

#include <sys/resource.h>
#include <sys/syscall.h>

#define SOON_MS 5000           /* a wait that ends only by chance is longer */

/* --- the dead ------------------------------------------------------------- */

/* Make the partition, by name or in the file of this number, but stop on the
 * way. */
static int
create_and_stop(peer *p, void *arg)
{
    int              file = (int)(intptr_t)arg;
    fpheap_partition desc = file < 0 ? partition_of(PARTITION)
                                     : by_descriptor(file, 0);

    stops_at = (unsigned)hear(p);
    return fpheap_open(file < 0 ? name : NULL, &desc, FPHEAP_CREATE) == NULL;
}

/* Open what another process may be making, and use it. */
static int
open_beside(peer *p, void *arg)
{
    int              file = (int)(intptr_t)arg;
    fpheap_partition desc = file < 0 ? partition_of(PARTITION)
                                     : by_descriptor(file, 0);
    fpheap          *heap;

    say(p, 0);
    heap = fpheap_open(file < 0 ? name : NULL, &desc, FPHEAP_CREATE);
    NEED(heap != NULL);
    use(heap);
    NEED(fpheap_close(heap) == 0);
    return 0;
}

/* The creator is killed in front of a system call while another process opens.
 * Returns 0: it has no such call. */
static int
creator_killed_at(unsigned call, int file)
{
    uint64_t began;
    int      status;
    peer     creator, other;

    peer_begin(&creator, create_and_stop, (void *)(intptr_t)file);
    say(&creator, call);
    NEED(waitpid(creator.process, &status, WUNTRACED) == creator.process);
    if (!WIFSTOPPED(status)) {
        NEED(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        close(creator.in);
        close(creator.out);
        return 0;
    }
    peer_begin(&other, open_beside, (void *)(intptr_t)file);
    (void)hear(&other);
    began = now_ms();
    peer_kill(&creator);
    peer_end(&other);
    NEED(now_ms() - began < SOON_MS);
    return 1;
}

static void
a_creator_killed_between_mapping_and_initialised_makes_nobody_wait(void **state)
{
    unsigned call, named = 0;
    int      file, killed;

    (void)state;
    for (call = 1; creator_killed_at(call, -1); call++) {
        named++;
        assert_int_equal(fpheap_unlink(name, NULL), 0);
    }
    assert_true(named >= 8);
    for (call = 1, killed = 1; killed; call++) {
        file = memory_file();
        killed = creator_killed_at(call, file);
        close(file);
    }
    assert_true(call > 8);
}

/* Park objects of all kinds, in two threads, until killed. */
static void *
park_all(void *arg)
{
    fpheap     *heap = (fpheap *)arg;
    fpheap_pool *pool = fpheap_pool_lookup(heap, "things");
    void       *own[100];
    unsigned    i;
    size_t      size;

    for (size = 16; size <= 32 * TEST_KIB; size *= 2) {
        NEED(fpheap_alloc_bulk(heap, size, own, 100) == 0);
        for (i = 0; i < 100; i++)
            fpheap_free(heap, own[i]);
        own[0] = fpheap_alloc(heap, size + size / 2); /* of which it has few */
        own[1] = fpheap_alloc(heap, size + size / 2);
        fpheap_free(heap, own[0]);
        fpheap_free(heap, own[1]);
    }
    NEED(fpheap_pool_get_bulk(pool, own, 100) == 0);
    fpheap_pool_put_bulk(pool, own, 100);
    fpheap_free(heap, fpheap_alloc(heap, 600 * TEST_KIB));
    return NULL;
}

static unsigned has_parked;    /* the other thread */

static void *
park_all_and_stay(void *arg)
{
    (void)park_all(arg);
    __atomic_store_n(&has_parked, 1, __ATOMIC_RELEASE);
    while (pause() != 0)
        ;
    return NULL;
}

/* Leave one live object, and everything that a process can park. */
static int
park_and_die(peer *p, void *arg)
{
    fpheap   *heap = open_it();
    pthread_t thread;

    (void)p, (void)arg;
    NEED(fpheap_alloc(heap, 1000) != NULL);
    NEED(pthread_create(&thread, NULL, park_all_and_stay, heap) == 0);
    while (!__atomic_load_n(&has_parked, __ATOMIC_ACQUIRE))
        sched_yield();         /* one after the other: always the same way */
    (void)park_all(heap);
    return kill(getpid(), SIGKILL);
}

/* A process has died with all that it can have. */
static void
make_corpse(void)
{
    int  status;
    peer p;

    peer_begin(&p, park_and_die, NULL);
    status = peer_status(&p);
    NEED(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static fpheap *
create_with_pool(void)
{
    fpheap          *heap = create();
    fpheap_pool_desc desc = described("things", 104, 0);

    NEED(fpheap_pool_create(heap, &desc) != NULL);
    return heap;
}

/* Which corpse is to be cleaned up after, the same in all processes. */
static unsigned *turn;

static void
turn_begin(void)
{
    turn = (unsigned *)mmap(NULL, sizeof *turn, PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    NEED(turn != MAP_FAILED);
}

static void
turn_wait(unsigned number)
{
    while (__atomic_load_n(turn, __ATOMIC_ACQUIRE) != number)
        sched_yield();
}

#define CORPSES 40

static int
survive(peer *p, void *arg)
{
    fpheap  *heap = open_it();
    unsigned i;
    int      rc;

    (void)arg;
    for (i = 1; i <= CORPSES; i++) {
        say(p, 0);
        turn_wait(i);
        rc = fpheap_recover(heap, 0);
        say(p, rc > 0 ? (uint64_t)rc : 0);
    }
    NEED(fpheap_close(heap) == 0);
    return 0;
}

static int
come_and_go(peer *p, void *arg)
{
    fpheap  *heap;
    unsigned i;

    (void)arg;
    for (i = 1; i <= CORPSES; i++) {
        say(p, 0);
        turn_wait(i);
        heap = open_it();
        fpheap_free(heap, fpheap_alloc(heap, 100));
        NEED(fpheap_close(heap) == 0);
        say(p, 0);
    }
    return 0;
}

static void
two_survivors_clean_the_same_corpse_while_a_third_opens(void **state)
{
    fpheap  *heap = create_with_pool();
    unsigned i, j;
    uint64_t cleaned;
    peer     p[3];

    (void)state;
    turn_begin();
    peers_begin(p, 2, survive);
    peer_begin(&p[2], come_and_go, NULL);
    for (i = 1; i <= CORPSES; i++) {
        for (j = 0; j < 3; j++)
            (void)hear(&p[j]);
        make_corpse();
        __atomic_store_n(turn, i, __ATOMIC_RELEASE);
        for (j = 0, cleaned = 0; j < 3; j++)
            cleaned += hear(&p[j]);
        assert_true(cleaned <= 1);
        assert_true(fpheap_recover(heap, 0) >= 0);
        assert_int_equal(heap->partition->recovered, i);
        assert_int_equal(members_of(heap).dead, 0);
        assert_int_equal(members_of(heap).parked, 0);
        TEST_CHECK_LIVE(heap, 1);
        assert_int_equal(free_all(heap), 1);
        fpheap_thread_leave(heap);
    }
    peers_end(p, 3);
    munmap(turn, sizeof *turn);
    close_empty(heap);
}

/* Whatever kind of record a clean-up forgot, some corpses later it shows. */
static void
no_record_is_forgotten_in_the_clean_up(void **state)
{
    fpheap      *heap = create_with_pool();
    fpheap_stats first, last;
    size_t       bytes = 0;
    unsigned     i;

    (void)state;
    memset(&first, 0, sizeof first);
    for (i = 0; i < 30; i++) {
        make_corpse();
        assert_int_equal(fpheap_recover(heap, 0), 1);
        assert_int_equal(free_all(heap), 1);
        fpheap_thread_leave(heap);
        (void)fpheap_trim(heap);
        NEED_SOUND(heap);
        fpheap_stats_get(heap, &last);
        assert_int_equal(last.caches, 0);
        assert_int_equal(last.parked_objects, 0);
        assert_int_equal(last.slab_free_bytes, 0);
        if (i <= 1) {
            first = last;
            bytes = file_bytes();
        }
        expect_same_bytes(&first, &last);
        assert_int_equal(last.metadata_bytes, first.metadata_bytes);
        assert_int_equal(file_bytes(), bytes);
    }
    close_empty(heap);
}

/* Find that the heap is damaged, as an assertion would. */
static int
check_and_abort(peer *p, void *arg)
{
    const struct rlimit none = { 0, 0 };
    fpheap             *heap = open_it();

    (void)arg;
    NEED(fpheap_check(heap) == NULL);
    fph_fetch_add_relaxed(&heap->state->left, 1);
    NEED(fpheap_check(heap) != NULL);
    pass_on(p);
    (void)signal(SIGABRT, SIG_DFL);
    (void)setrlimit(RLIMIT_CORE, &none);
    abort();
}

static void
a_checker_that_asserts_holds_no_lock(void **state)
{
    fpheap  *heap = create_with_pool();
    uint64_t began;
    int      status;
    peer     p;

    (void)state;
    peer_begin(&p, check_and_abort, NULL);
    (void)hear(&p);
    fpheap_free(heap, fpheap_alloc(heap, 3 * TEST_MIB)); /* beside it */
    say(&p, 0);
    status = peer_status(&p);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    began = now_ms();
    fpheap_free(heap, fpheap_alloc(heap, 3 * TEST_MIB));
    assert_int_equal(fpheap_recover(heap, 0), 1);
    assert_true(now_ms() - began < SOON_MS);
    use(heap);
    close_empty(heap);
}

static int
die_in_walk(void *arg, const fpheap_object *object)
{
    (void)arg, (void)object;
    return kill(getpid(), SIGKILL);
}

static int
walk_and_die(peer *p, void *arg)
{
    (void)p, (void)arg;
    return fpheap_walk(open_it(), die_in_walk, NULL);
}

/* A walk leaves out what is parked, and may not show that to others. */
static void
a_checker_that_dies_in_its_walk_changes_nothing(void **state)
{
    fpheap  *heap = create_with_pool();
    void    *live = fpheap_alloc(heap, 64);
    unsigned i;
    int      status;
    peer     p;

    (void)state;
    (void)park_all(heap);
    peer_begin(&p, walk_and_die, NULL);
    status = peer_status(&p);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    for (i = 0; i < 1000; i++) {
        objects[i] = fpheap_alloc(heap, 64);
        assert_non_null(objects[i]);
        assert_ptr_not_equal(objects[i], live);
    }
    check_disjoint(heap, 1000);
    assert_int_equal(fpheap_recover(heap, 0), 1);
    fpheap_free_bulk(heap, objects, 1000);
    fpheap_free(heap, live);
    use(heap);
    close_empty(heap);
}

/* What clone3 is told, up to set_tid. */
struct clone_request {
    uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack,
             stack_size, tls, set_tid, set_tid_size;
};

/* A process of this number, which stays until killed.  Returns 0: the system
 * does not let this one choose. */
static int
process_of_number(pid_t number)
{
    struct clone_request request;
    long                 made;

    memset(&request, 0, sizeof request);
    request.exit_signal = SIGCHLD;
    request.set_tid = (uintptr_t)&number;
    request.set_tid_size = 1;
    made = syscall(SYS_clone3, &request, sizeof request);
    if (made == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        while (pause() != 0)
            ;
    }
    return made == number;
}

static void
a_dead_process_whose_number_is_used_again_is_dead(void **state)
{
    fpheap *heap = create_with_pool();
    pid_t   number;
    int     again;
    peer    p;

    (void)state;
    peer_begin(&p, open_and_stay, NULL);
    say(&p, 0);
    assert_int_equal(hear(&p), 0);
    number = p.process;
    peer_kill(&p);
    again = process_of_number(number);
    if (!again)                /* as if it were this one's */
        heap->partition->member[1].process = (uint64_t)getpid();
    assert_int_equal(heap->partition->member[1].process,
                     again ? number : getpid());
    assert_int_equal(members_of(heap).dead, 1);
    assert_int_equal(fpheap_recover(heap, 0), 1);
    assert_int_equal(members_of(heap).members, 1);
    if (again) {
        NEED(kill(number, SIGKILL) == 0);
        NEED(waitpid(number, NULL, 0) == number);
    }
    close_empty(heap);
}

/* Free what is live, and close. */
static void
end_of(fpheap *heap)
{
    (void)free_all(heap);
    close_empty(heap);
}

/* --- readers -------------------------------------------------------------- */

static int
see_object(void *arg, const fpheap_object *object)
{
    const fpheap *heap = (const fpheap *)arg;
    const char   *base = (const char *)heap->partition;

    NEED((const char *)object->base > base
         && (const char *)object->base + object->bytes <= base + heap->bytes);
    return 0;
}

static void
look_everywhere(fpheap *heap)
{
    fpheap_stats s;

    NEED(fpheap_walk(heap, see_object, heap) == 0);
    fpheap_stats_get(heap, &s);
    (void)members_of(heap);
    (void)fpheap_root(heap);
}

/* Read an image that nobody writes any more, and that becomes shorter. */
static int
read_stale(peer *p, void *arg)
{
    fpheap_partition desc = partition_of(0);
    char             path[64];
    size_t           bytes;
    fpheap          *heap;

    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", (int)(intptr_t)arg);
    desc.flags = FPHEAP_DESCRIPTOR;
    desc.descriptor = (int)(intptr_t)arg;
    heap = fpheap_open("stale", &desc, FPHEAP_READ_ONLY);
    NEED(heap != NULL);
    look_everywhere(heap);
    for (bytes = (size_t)hear(p); bytes > 4096; bytes /= 4) {
        NEED(truncate(path, (off_t)bytes) == 0);
        look_everywhere(heap);
    }
    NEED(fpheap_close(heap) == 0);
    return 0;
}

static int
write_without_end(peer *p, void *arg)
{
    fpheap     *heap   = open_it();
    test_random random = test_random_of(31);
    void       *own[64] = { NULL };

    (void)arg;
    say(p, 0);
    while (getppid() != 1) {
        void **place = &own[test_below(&random, 64)];

        fpheap_free(heap, *place);
        *place = fpheap_alloc(heap, test_size(&random, 18));
        if (test_below(&random, 100) == 0)
            (void)fpheap_trim(heap);
    }
    return 0;
}

/* Copy the partition's file as it is at this moment. */
static int
copy_image(size_t bytes)
{
    static char piece[1 << 20];
    char        path[64];
    int         from, to = memory_file();
    size_t      at;

    (void)snprintf(path, sizeof path, "/dev/shm/%s", name);
    from = open(path, O_RDONLY | O_CLOEXEC);
    NEED(from >= 0);
    for (at = 0; at < bytes; at += sizeof piece) {
        NEED(pread(from, piece, sizeof piece, (off_t)at) == sizeof piece);
        NEED(pwrite(to, piece, sizeof piece, (off_t)at) == sizeof piece);
    }
    close(from);
    return to;
}

static void
a_walk_of_a_stale_image_does_not_fault(void **state)
{
    const size_t     bytes = 16 * TEST_MIB;
    fpheap_partition desc  = partition_of(bytes);
    unsigned         i;
    int              image;
    peer             writer, reader;

    (void)state;
    assert_int_equal(fpheap_close(fpheap_open(name, &desc, FPHEAP_CREATE)), 0);
    peer_begin(&writer, write_without_end, NULL);
    (void)hear(&writer);
    for (i = 0; i < 10 * test_soak(); i++) {
        image = copy_image(bytes);
        peer_begin(&reader, read_stale, (void *)(intptr_t)image);
        say(&reader, bytes - 4096);
        peer_end(&reader);
        close(image);
    }
    peer_kill(&writer);
    end_of(open_it());
}

/* So many have the heap open, but for somebody who lists all that there is on
 * this machine and goes again. */
static void
expect_members(fpheap *heap, unsigned n)
{
    uint64_t until = now_ms() + SOON_MS;

    while (members_of(heap).members != n && now_ms() < until)
        sched_yield();
    assert_int_equal(members_of(heap).members, n);
}

/* In the middle of a walk, until killed. */
static int
stop_in_walk(void *arg, const fpheap_object *object)
{
    (void)object;
    say((const peer *)arg, 0);
    while (pause() != 0)
        ;
    return 0;
}

static int
walk_and_stay(peer *p, void *arg)
{
    fpheap *heap = fpheap_open(name, NULL, FPHEAP_READ_ONLY);

    (void)arg;
    NEED(heap != NULL);
    return fpheap_walk(heap, stop_in_walk, p);
}

#define READERS 8

static void
a_killed_reader_blocks_no_writer(void **state)
{
    fpheap  *heap = create_with_pool();
    void    *live = fpheap_alloc(heap, 100);
    uint64_t began = now_ms();
    size_t   before;
    unsigned i, j;
    peer     p[READERS];

    (void)state;
    use(heap);
    (void)fpheap_trim(heap);
    before = file_bytes();
    peers_begin(p, READERS, walk_and_stay);
    for (i = 0; i < READERS; i++)
        (void)hear(&p[i]);
    for (i = 0; i <= READERS; i++) {
        for (j = 0; j < 16; j++)
            objects[j] = fpheap_alloc(heap, 3 * TEST_MIB);
        fpheap_free_bulk(heap, objects, 16);
        fpheap_flush(heap);
        (void)fpheap_trim(heap); /* no reader keeps what is old */
        assert_int_equal(file_bytes(), before);
        assert_int_equal(fpheap_recover(heap, 0), 0);
        if (i < READERS)
            peer_kill(&p[i]);
    }
    assert_true(now_ms() - began < SOON_MS);
    expect_members(heap, 1);
    fpheap_free(heap, live);
    use(heap);
    close_empty(heap);
}

static int
read_and_stay(peer *p, void *arg)
{
    (void)arg;
    NEED(fpheap_open(name, NULL, FPHEAP_READ_ONLY) != NULL);
    say(p, 0);
    while (pause() != 0)
        ;
    return 0;
}

static void
reader_slots_of_the_dead_fill_no_table(void **state)
{
    fpheap  *heap = create();
    unsigned i;
    peer     p;

    (void)state;
    for (i = 0; i < FPH_MEMBERS + 100; i++) {
        peer_begin(&p, read_and_stay, NULL);
        (void)hear(&p);
        if (i % 64 == 0)
            expect_members(heap, 2);
        peer_kill(&p);
    }
    expect_members(heap, 1);
    close_empty(heap);
}

/* --- leaving -------------------------------------------------------------- */

/* Make the partition, and leave without a word, or with a close. */
static int
create_and_leave(peer *p, void *arg)
{
    fpheap *heap = create();
    void   *root = fpheap_alloc(heap, 100);

    memset(root, 0x5a, 100);
    NEED(fpheap_set_root(heap, root) == 0);
    pass_on(p);
    return arg == NULL ? 0 : fpheap_close(heap);
}

static void
who_leaves_unlinks_nothing_that_others_use(void **state)
{
    unsigned closes;
    fpheap  *heap;
    peer     p, other;

    (void)state;
    for (closes = 0; closes < 2; closes++) {
        peer_begin(&p, create_and_leave, closes ? &p : NULL);
        (void)hear(&p);
        heap = open_it();
        say(&p, 0);
        peer_end(&p);
        assert_true(test_all_bytes(fpheap_root(heap), 100, 0x5a));
        peer_begin(&other, open_beside, (void *)(intptr_t)-1);
        (void)hear(&other);
        peer_end(&other);
        assert_int_equal(fpheap_recover(heap, 0), 0);
        assert_int_equal(members_of(heap).members, 1);
        assert_int_equal(free_all(heap), 1);
        use(heap);
        close_empty(heap);
        assert_int_equal(fpheap_unlink(name, NULL), 0);
    }
}

static int
create_and_stay(peer *p, void *arg)
{
    fpheap *heap = create_with_pool();

    (void)arg;
    NEED(fpheap_alloc(heap, 1000) != NULL);
    (void)park_all(heap);
    say(p, 0);
    while (pause() != 0)
        ;
    return 0;
}

/* Work on, when the primary is dead. */
static int
work_without_primary(peer *p, void *arg)
{
    fpheap     *heap = open_it();
    test_random random = test_random_of((uintptr_t)arg);
    void       *own[64] = { NULL };
    unsigned    i;

    pass_on(p);
    for (i = 0; i < 5000; i++) {
        void **place = &own[test_below(&random, 64)];

        fpheap_free(heap, *place);
        *place = fpheap_alloc(heap, test_size(&random, 16));
        NEED(*place != NULL);
        if (i == 1000)
            NEED(fpheap_recover(heap, 0) >= 0);
    }
    fpheap_free_bulk(heap, own, 64);
    NEED(fpheap_close(heap) == 0);
    return 0;
}

static void
a_crashed_primary_takes_nobody_down(void **state)
{
    fpheap  *heap;
    unsigned i;
    uint64_t began;
    peer     primary, p[3];

    (void)state;
    peer_begin(&primary, create_and_stay, NULL);
    (void)hear(&primary);
    peers_begin(p, 3, work_without_primary);
    for (i = 0; i < 3; i++)
        (void)hear(&p[i]);
    peer_kill(&primary);
    began = now_ms();
    for (i = 0; i < 3; i++)
        say(&p[i], 0);
    peers_end(p, 3);
    assert_true(now_ms() - began < SOON_MS);
    heap = open_it();
    assert_int_equal(members_of(heap).members, 1);
    assert_int_equal(heap->partition->recovered, 1);
    assert_int_equal(free_all(heap), 1);
    use(heap);
    close_empty(heap);
}

/* --- memory --------------------------------------------------------------- */

static int
fill_all_there_is(peer *p, void *arg)
{
    fpheap_partition desc;
    fpheap          *heap;
    unsigned         n;

    (void)p, (void)arg;
    mount_small();
    desc = in_small();
    heap = fpheap_open(name, &desc, FPHEAP_CREATE);
    NEED(heap != NULL && heap->bytes > 64 * TEST_MIB);
    n = fill_heap(heap, 100 * TEST_KIB); /* which writes all */
    NEED_SOUND(heap);
    fpheap_free_bulk(heap, objects, n);
    use(heap);
    NEED(fpheap_close(heap) == 0);
    return 0;
}

static void
a_full_dev_shm_is_enomem_and_not_sigbus(void **state)
{
    (void)state;
    if (!with_small(fill_all_there_is))
        skip();
}

/* What of a member's is live. */
static int
add_live(void *arg, const fpheap_member *member)
{
    size_t *live = (size_t *)arg;

    if (!member->read_only && member->number < 3)
        live[member->number] = member->live_bytes;
    return 0;
}

/* One process leaks, another does not; both go on. */
static int
leak_or_not(peer *p, void *arg)
{
    fpheap *heap = open_it();
    void   *own[100];

    NEED(fpheap_alloc_bulk(heap, 1000, own, 100) == 0);
    if (arg == NULL)
        fpheap_free_bulk(heap, own, 100);
    say(p, 0);
    while (pause() != 0)
        ;
    return 0;
}

/* Who has leaked is seen from outside. */
static int
look_for_leaks(peer *p, void *arg)
{
    fpheap *heap = fpheap_open(name, NULL, FPHEAP_READ_ONLY);
    size_t *live = (size_t *)arg;

    (void)p;
    NEED(heap != NULL && fpheap_members(heap, add_live, live) == 0);
    NEED(live[0] == 0 && live[1] == 0);
    NEED(live[2] >= 100 * 1000 && live[2] <= 100 * 1100);
    NEED(fpheap_close(heap) == 0);
    return 0;
}

static void
leaks_that_no_sanitizer_sees_show_by_process(void **state)
{
    fpheap  *heap = create();
    size_t   live[3], dead[3];
    unsigned i;
    peer     p[2], reader;

    (void)state;
    for (i = 0; i < 2; i++) {
        peer_begin(&p[i], leak_or_not, i == 0 ? NULL : &p);
        (void)hear(&p[i]);
    }
    peer_begin(&reader, look_for_leaks, live);
    peer_end(&reader);
    assert_int_equal(fpheap_members(heap, add_live, live), 0);
    for (i = 0; i < 2; i++)
        peer_kill(&p[i]);
    assert_int_equal(fpheap_members(heap, add_live, dead), 0);
    assert_memory_equal(dead, live, sizeof live);
    assert_int_equal(fpheap_recover(heap, 0), 2);
    assert_int_equal(free_all(heap), 100);
    close_empty(heap);
}

/* --- addresses ------------------------------------------------------------ */

/* Become a program of its own, whose code, stack and libraries lie elsewhere
 * than this one's, as a fork's do not. */
static int
become_stranger(peer *p, void *arg)
{
    char in[16], out[16];

    (void)arg;
    (void)snprintf(in, sizeof in, "%d", p->in);
    (void)snprintf(out, sizeof out, "%d", p->out);
    (void)execl("/proc/self/exe", "stranger", name, in, out, (char *)NULL);
    return 1;
}

/* The heap in another program: all that one of them changes holds for both. */
static int
be_stranger(char *const *arguments)
{
    peer         p;
    fpheap      *heap;
    fpheap_pool *pool;
    book         b;

    is_peer = 1;
    (void)snprintf(name, sizeof name, "%s", arguments[1]);
    p.process = getppid();
    p.in = atoi(arguments[2]);
    p.out = atoi(arguments[3]);
    heap = open_it();
    NEED((uintptr_t)heap->partition == hear(&p));
    NEED(fpheap_object(heap, (uint32_t)hear(&p)) == fpheap_root(heap));
    NEED(test_filled(fpheap_root(heap), 100, 7));
    pool = pool_with(heap, "made", &b);
    get_made(pool, 2000);      /* in memory that only this process has used */
    use(heap);
    NEED(b.constructed > 0 && b.wrong == 0);
    errno = 0;
    NEED(fpheap_alloc(heap, 64 * TEST_MIB) == NULL && errno == ENOSPC);
    NEED(fpheap_pool_set_max(pool, 3000) == 0);
    fpheap_set_limit(heap, 0);
    say(&p, b.constructed);
    NEED(fpheap_close(heap) == 0);
    return 0;
}

static void
no_half_of_a_shared_state_is_local_to_a_process(void **state)
{
    fpheap      *heap;
    char        *root;
    fpheap_pool *pool;
    size_t       theirs;
    book         b;
    peer         p;

    (void)state;
    if (EMULATED)
        skip();                /* what it can execute again is qemu */
    heap = create();
    root = (char *)fpheap_alloc(heap, 100);
    pool = pool_with(heap, "made", &b);
    get_made(pool, 500);
    put_all(pool, 500);
    fpheap_flush(heap);
    test_fill(root, 100, 7);
    NEED(fpheap_set_root(heap, root) == 0);
    fpheap_set_limit(heap, 32 * TEST_MIB);
    peer_begin(&p, become_stranger, NULL);
    say_object(&p, heap->partition);
    say(&p, fpheap_handle(heap, root));
    theirs = (size_t)hear(&p);
    peer_end(&p);
    assert_int_equal(STATS(pool).objects, b.constructed + theirs);
    assert_int_equal(get_until(pool, ENOSPC), 1000);
    put_all(pool, 1000);
    fpheap_free(heap, fpheap_alloc(heap, 64 * TEST_MIB));
    assert_int_equal(free_all(heap), 1 + 2000);
    (void)fpheap_trim(heap);
    assert_int_equal(STATS(pool).objects, 0);
    assert_int_equal(b.destructed, b.constructed + theirs);
    assert_int_equal(b.wrong, 0);
    END(pool);
    close_empty(heap);
}

/* Where a process has something, but for the partition, a sanitizer's shadow,
 * and what as a number is small. */
typedef struct range {
    uintptr_t from, to;
} range;

static unsigned
ranges_of(const fpheap *heap, range *ranges, unsigned room)
{
    FILE         *maps = fopen("/proc/self/maps", "r");
    uintptr_t     base = (uintptr_t)heap->partition;
    unsigned long from, to;
    unsigned      n = 0;
    char          line[512];

    NEED(maps != NULL);
    while (n < room && fgets(line, sizeof line, maps) != NULL) {
        if (sscanf(line, "%lx-%lx", &from, &to) != 2
            || (from >= base && to <= base + heap->bytes)
            || from >> 32 == 0 || (to - from) >> 40 != 0)
            continue;
        ranges[n].from = from;
        ranges[n++].to = to;
    }
    (void)fclose(maps);
    return n;
}

static int
in_ranges(const range *ranges, unsigned n, uintptr_t word)
{
    unsigned i;

    for (i = 0; i < n; i++)
        if (word >= ranges[i].from && word < ranges[i].to)
            return 1;
    return 0;
}

/* What of a cache only its own process reads, or a cleaner that has written it
 * before. */
static int
is_of_cache(const fpheap *heap, const void *word)
{
    const fpheap_cache *cache;
    size_t              seat = 0;

    while ((cache = fph_cache_next(heap->state, &seat)) != NULL)
        if (word == (const void *)&cache->heap
            || word == (const void *)&cache->entry)
            return 1;
    return 0;
}

static void
no_word_of_a_partition_is_an_address_of_a_process(void **state)
{
    static range    ranges[1000];
    fpheap         *heap;
    const fph_word *word;
    unsigned        n, caches = 0;
    size_t          at, words;
    book            b;
    pthread_t       thread;

    (void)state;
    if ((uint64_t)(uintptr_t)ranges >> 32 == 0)
        skip();                /* addresses are like other numbers there */
    heap = create_with_pool();
    word = (const fph_word *)(const void *)heap->partition;
    get_made(pool_with(heap, "made", &b), 100);
    put_all(fpheap_pool_lookup(heap, "made"), 100);
    NEED(pthread_create(&thread, NULL, park_all, heap) == 0);
    NEED(pthread_join(thread, NULL) == 0);
    (void)park_all(heap);
    n = ranges_of(heap, ranges, TEST_COUNT(ranges));
    words = file_bytes() / sizeof *word;
    for (at = 0; at < words; at++) {
        if (!in_ranges(ranges, n, (uintptr_t)word[at]))
            continue;
        if (!is_of_cache(heap, &word[at]))
            print_error("at %zx: %zx\n", at * 8, (size_t)word[at]);
        assert_true(is_of_cache(heap, &word[at]));
        caches++;
    }
    assert_true(caches >= 2);
    END(fpheap_pool_lookup(heap, "made"));
    close_empty(heap);
}

/* The address is taken here, so the heap cannot be had, and the report says
 * why. */
static int
attach_elsewhere(peer *p, void *arg)
{
    fpheap_partition desc = partition_of(0);
    void            *base = hear_object(p);
    void            *mine = mmap(base, 4096, PROT_READ | PROT_WRITE,
                                 MAP_PRIVATE | MAP_ANONYMOUS
                                 | MAP_FIXED_NOREPLACE, -1, 0);

    (void)arg;
    NEED(mine == base);
    memset(mine, 0x5a, 4096);
    errno = 0;
    NEED(fpheap_open(name, NULL, 0) == NULL && errno == EADDRINUSE);
    NEED(strstr(last_report, "at its address") != NULL);
    desc.address = (char *)base + FPHEAP_CHUNK;
    NEED(fpheap_open(name, &desc, 0) == NULL && errno == EPROTO);
    NEED(strstr(last_report, "address") != NULL);
    NEED(test_all_bytes(mine, 4096, 0x5a));
    return 0;
}

static void
an_attach_at_another_address_is_an_error_with_its_reason(void **state)
{
    fpheap *heap = create();
    peer    p;

    (void)state;
    peer_begin(&p, attach_elsewhere, NULL);
    say_object(&p, heap->partition);
    peer_end(&p);
    assert_int_equal(members_of(heap).members, 1);
    use(heap);
    close_empty(heap);
}

/* --- a process that is stopped -------------------------------------------- */

static char *mapped;           /* NULL: the partition is found by name */

static fpheap *
open_either(unsigned flags)
{
    fpheap_partition desc = partition_of(64 * TEST_MIB);
    fpheap          *heap;

    if (mapped != NULL) {
        desc.address = mapped;
        desc.flags = FPHEAP_MAPPED;
    }
    heap = fpheap_open(name, &desc, flags);
    NEED(heap != NULL);
    return heap;
}

static int
open_and_close(peer *p, void *arg)
{
    (void)p;
    do
        NEED(fpheap_close(open_either(0)) == 0);
    while (arg == NULL);
    return 0;
}

/* Stop a process that opens and closes without end, at any moment.  Another
 * opens too, and the runner allocates what needs the partition's slabs. */
static void
stop_an_opener(fpheap *heap)
{
    peer     opener, other;
    unsigned i;

    peer_begin(&opener, open_and_close, NULL);
    for (i = 0; i < 60; i++) {
        uint64_t began;

        (void)usleep(500 + i * 37 % 400);
        NEED(kill(opener.process, SIGSTOP) == 0);
        began = now_ms();
        peer_begin(&other, open_and_close, &mapped);
        peer_end(&other);
        fpheap_free(heap, fpheap_alloc(heap, 100000 + i * 1000));
        fpheap_flush(heap);
        NEED(now_ms() - began < SOON_MS);
        NEED(kill(opener.process, SIGCONT) == 0);
    }
    peer_kill(&opener);
    NEED(fpheap_recover(heap, 0) >= 0);
    close_empty(heap);
}

static void
who_is_stopped_in_an_open_keeps_nobody_out(void **state)
{
    const uintptr_t place = (uintptr_t)1 << (sizeof(void *) > 4 ? 44 : 30);

    (void)state;
    mapped = NULL;
    stop_an_opener(open_either(FPHEAP_CREATE));
    assert_int_equal(fpheap_unlink(name, NULL), 0);
    mapped = (char *)mmap((void *)place, 64 * TEST_MIB,
                          PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                          -1, 0);
    assert_true(mapped != (char *)MAP_FAILED);
    if (((uintptr_t)mapped & (FPHEAP_CHUNK - 1)) != 0)
        skip();
    stop_an_opener(open_either(FPHEAP_CREATE));
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        SHARED_TEST(
            a_creator_killed_between_mapping_and_initialised_makes_nobody_wait),
        SHARED_TEST(two_survivors_clean_the_same_corpse_while_a_third_opens),
        SHARED_TEST(no_record_is_forgotten_in_the_clean_up),
        SHARED_TEST(a_checker_that_asserts_holds_no_lock),
        SHARED_TEST(a_checker_that_dies_in_its_walk_changes_nothing),
        SHARED_TEST(a_walk_of_a_stale_image_does_not_fault),
        SHARED_TEST(a_killed_reader_blocks_no_writer),
        SHARED_TEST(who_leaves_unlinks_nothing_that_others_use),
        SHARED_TEST(a_dead_process_whose_number_is_used_again_is_dead),
        SHARED_TEST(a_full_dev_shm_is_enomem_and_not_sigbus),
        SHARED_TEST(no_half_of_a_shared_state_is_local_to_a_process),
        SHARED_TEST(no_word_of_a_partition_is_an_address_of_a_process),
        SHARED_TEST(leaks_that_no_sanitizer_sees_show_by_process),
        SHARED_TEST(reader_slots_of_the_dead_fill_no_table),
        SHARED_TEST(an_attach_at_another_address_is_an_error_with_its_reason),
        SHARED_TEST(a_crashed_primary_takes_nobody_down),
        SHARED_TEST(who_is_stopped_in_an_open_keeps_nobody_out)
    };

    if (argc == 4)
        return be_stranger(argv);
    return cmocka_run_group_tests_name("shared_pains", tests, NULL, NULL);
}
