/* test_shared_members.c - how processes join a heap that they share, and leave it
 *
 * They make it at once, by name or by descriptor, open it, fork, exit, close it,
 * unlink it, or are killed at any of this: the others lose nothing, and whoever is
 * a member is counted once.
 */
#ifndef _GNU_SOURCE
#  define _GNU_SOURCE 1
#endif
#include "reports.h"

#define FPHEAP_IMPLEMENTATION
#include "fpheap.h"
#include "shared_util.h"

#include <sys/socket.h>

/* --- members -------------------------------------------------------------- */

static void
there_are_512_members_and_the_dead_take_no_place(void **state)
{
    static peer peers[FPH_MEMBERS];
    fpheap     *heap = create();
    unsigned    i, refusals = 0;

    (void)state;
    peers_begin(peers, FPH_MEMBERS, open_and_stay);
    for (i = 0; i < FPH_MEMBERS; i++) {
        uint64_t error;

        say(&peers[i], 0);
        error = hear(&peers[i]);
        assert_true(error == 0 || error == ENFILE);
        refusals += error == ENFILE;
    }
    assert_int_equal(refusals, 1);
    assert_int_equal(members_of(heap).members, FPH_MEMBERS);
    assert_int_equal(members_of(heap).dead, 0);
    for (i = 0; i < FPH_MEMBERS; i++)
        peer_kill(&peers[i]);
    assert_int_equal(members_of(heap).dead, FPH_MEMBERS - 1);
    peers_begin(peers, 20, open_and_stay);
    for (i = 0; i < 20; i++) {
        say(&peers[i], 0);
        assert_int_equal(hear(&peers[i]), 0);
    }
    assert_int_equal(members_of(heap).members, 21);
    assert_int_equal(members_of(heap).dead, 0);
    for (i = 0; i < 20; i++)
        peer_kill(&peers[i]);
    assert_int_equal(fpheap_recover(heap, 0), 20);
    assert_int_equal(fpheap_recover(heap, 0), 0);
    assert_int_equal(members_of(heap).members, 1);
    close_empty(heap);
}

static int
read_and_stay(peer *p, void *arg)
{
    (void)arg;
    (void)hear(p);
    say(p, fpheap_open(name, NULL, FPHEAP_READ_ONLY) != NULL
           ? 0 : (uint64_t)errno);
    while (pause() != 0)
        ;
    return 0;
}

static void
there_are_512_readers_beside_the_members(void **state)
{
    static peer peers[FPH_MEMBERS + 1];
    fpheap     *heap = create();
    unsigned    i, refusals = 0;

    (void)state;
    peers_begin(peers, FPH_MEMBERS + 1, read_and_stay);
    for (i = 0; i <= FPH_MEMBERS; i++) {
        uint64_t error;

        say(&peers[i], 0);
        error = hear(&peers[i]);
        assert_true(error == 0 || error == ENFILE);
        refusals += error == ENFILE;
    }
    assert_int_equal(refusals, 1);
    assert_int_equal(members_of(heap).members, FPH_MEMBERS + 1);
    for (i = 0; i <= FPH_MEMBERS; i++)
        peer_kill(&peers[i]);
    assert_int_equal(members_of(heap).members, 1);
    close_empty(heap);
}

/* Hold an object and park others, until killed. */
static int
park_and_stay(peer *p, void *arg)
{
    fpheap  *heap = open_it();
    void    *own[100];
    unsigned i;

    (void)arg;
    NEED(fpheap_alloc_bulk(heap, 1000, own, 100) == 0);
    for (i = 1; i < 100; i++)
        fpheap_free(heap, own[i]);
    say_object(p, own[0]);
    while (pause() != 0)
        ;
    return 0;
}

static void
what_the_dead_parked_is_free_and_what_they_had_is_live(void **state)
{
    fpheap *heap = create();
    void   *object;
    peer    p;

    (void)state;
    peer_begin(&p, park_and_stay, NULL);
    object = hear_object(&p);
    assert_true(members_of(heap).parked > 0);
    assert_int_equal(fpheap_recover(heap, 0), 0);
    peer_kill(&p);
    assert_int_equal(members_of(heap).dead, 1);
    assert_int_equal(fpheap_recover(heap, 0), 1);
    assert_int_equal(members_of(heap).members, 1);
    assert_int_equal(members_of(heap).parked, 0);
    TEST_CHECK_LIVE(heap, 1);
    assert_ptr_equal(fpheap_object(heap, fpheap_handle(heap, object)), object);
    fpheap_free(heap, object);
    close_empty(heap);
}

/* What a living thread parked at the first clean-up lies in a depot at the second,
 * which no member has come before. */
static void
each_clean_up_finds_the_magazines_of_the_living_anew(void **state)
{
    fpheap  *heap = create();
    peer     peers[2];
    unsigned i;

    (void)state;
    peers_begin(peers, 2, open_and_stay);
    for (i = 0; i < 2; i++) {
        say(&peers[i], 0);
        assert_int_equal(hear(&peers[i]), 0);
    }
    for (i = 0; i < 2; i++) {
        assert_int_equal(fpheap_alloc_bulk(heap, 1000, objects, 1000), 0);
        fpheap_free_bulk(heap, objects, 1000);
        fpheap_free(heap, fpheap_alloc(heap, 16)); /* by a short magazine */
        peer_kill(&peers[i]);
        assert_int_equal(fpheap_recover(heap, 0), 1);
        TEST_CHECK_LIVE(heap, 0);
    }
    close_empty(heap);
}

/* Of the records of chunks that have gone, each clean-up finds all. */
static void
clean_ups_lose_no_records(void **state)
{
    fpheap      *heap = create();
    peer         peers[5];
    fpheap_stats stats;
    size_t       metadata = 0;
    unsigned     i, n;

    (void)state;
    peers_begin(peers, 5, open_and_stay);
    for (i = 0; i < 5; i++) {
        say(&peers[i], 0);
        assert_int_equal(hear(&peers[i]), 0);
    }
    for (i = 0; i < 5; i++) {
        for (n = 0; n < 50; n++)
            assert_non_null(objects[n] = fpheap_alloc(heap, FPHEAP_CHUNK));
        fpheap_free_bulk(heap, objects, 50);
        fpheap_trim(heap);
        peer_kill(&peers[i]);
        assert_int_equal(fpheap_recover(heap, 0), 1);
        fpheap_stats_get(heap, &stats);
        if (i < 2)             /* magazines come too */
            metadata = stats.metadata_bytes;
        assert_int_equal(stats.metadata_bytes, metadata);
    }
    close_empty(heap);
}

/* Stop in a growth, in a move of free memory, in the making of two pools, and
 * in the end of a third, which fails as an object is live. */
static int
begin_and_stay(peer *p, void *arg)
{
    fpheap          *heap  = open_it();
    fph_state       *state = heap->state;
    fpheap_pool_desc named = described("named", 100, 0);
    fpheap_pool_desc used  = described("used", 100, 0);

    (void)arg;
    NEED(fpheap_pool_create(heap, &named) != NULL);                /* 0 */
    NEED(fpheap_pool_get(fpheap_pool_create(heap, &used)) != NULL); /* 1 */
    NEED(fph_pool_number(state) == 2);
    fph_pool_set(state, 0, FPH_POOL_NAMED);
    fph_pool_set(state, 1, FPH_POOL_NAMED);
    fph_moves_begin(state);
    fph_store_relaxed(&state->growing, 1);
    say(p, 0);
    while (pause() != 0)
        ;
    return 0;
}

static void
what_the_dead_had_begun_is_over(void **state)
{
    fpheap    *heap = create();
    fph_state *s    = heap->state;
    peer       p;

    (void)state;
    peer_begin(&p, begin_and_stay, NULL);
    (void)hear(&p);
    assert_true(s->moves_begun != s->moves_ended);
    assert_true(s->growing != 0);
    peer_kill(&p);
    assert_int_equal(fpheap_recover(heap, 0), 1);
    assert_true(s->moves_begun == s->moves_ended);
    assert_true(s->growing == 0);
    assert_int_equal(s->pool_is[0] % 8, FPH_POOL_FREE);
    assert_int_equal(s->pool_is[1] % 8, FPH_POOL_READY);
    assert_int_equal(s->pool_is[2] % 8, FPH_POOL_FREE);
    assert_int_equal(free_all(heap), 1);
    use(heap);
    close_empty(heap);
}

/* Leave no zeros on the stack for those who count on them. */
static void __attribute__((noinline))
spoil_the_stack(void)
{
    volatile char bytes[32 * TEST_KIB];
    size_t        i;

    for (i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)0xe5;
}

static void
a_clean_up_finds_the_regions_and_nothing_behind_the_partition(void **state)
{
    fpheap_partition desc = partition_of(32 * TEST_MIB);
    fpheap          *heap = fpheap_open(name, &desc, FPHEAP_CREATE);
    fpheap_stats     before, after;
    fpheap_region    raw;
    uint8_t         *end;
    unsigned         n;
    size_t           i;
    peer             p;

    (void)state;
    assert_non_null(heap);
    peer_begin(&p, park_and_stay, NULL);
    fpheap_free(heap, hear_object(&p));
    peer_kill(&p);
    n = fill_heap(heap, TEST_MIB / 2);
    end = heap->partition->taken + fph_partition_chunks(heap->partition);
    assert_int_equal(end[-1], 1);
    fpheap_stats_get(heap, &before);
    *end = 1;
    spoil_the_stack();
    assert_int_equal(fpheap_recover(heap, 0), 1);
    assert_int_equal(*end, 1);
    *end = 0;
    fpheap_stats_get(heap, &after);
    assert_int_equal(after.region_bytes, before.region_bytes);
    for (i = 0; i < heap->state->regions; i++) {
        memset(&raw, 0, sizeof raw);
        raw.base = heap->state->region[i].raw.base;
        raw.bytes = heap->state->region[i].raw.bytes;
        assert_memory_equal(&heap->state->region[i].raw, &raw, sizeof raw);
    }
    fpheap_free_bulk(heap, objects, n);
    close_empty(heap);
}

/* (A deadline that is over shows whom they wait for.) */
static void
a_cleaner_waits_for_the_calls_of_all_who_live(void **state)
{
    static const unsigned places[] = { 0, 1, FPH_MEMBERS - 1 };
    fpheap               *heap     = create();
    uint8_t               dead[FPH_MEMBERS];
    fph_member           *member   = heap->partition->member;
    size_t                i, seat = 0;
    fpheap_cache         *cache;
    fph_word             *calls;

    (void)state;
    use(heap);
    memset(dead, 0, sizeof dead);
    assert_true(fph_member_calls_end(heap, dead, 0));
    for (i = 0; i < TEST_COUNT(places); i++) {
        fph_fetch_add_relaxed(&member[places[i]].calls, 1);
        assert_false(fph_member_calls_end(heap, dead, 0));
        dead[places[i]] = 1;
        assert_true(fph_member_calls_end(heap, dead, 0));
        dead[places[i]] = 0;
        fph_fetch_add_relaxed(&member[places[i]].calls, ~(uint64_t)0);
    }
    assert_true(fph_cache_calls_end(heap, dead, 0));
    cache = fph_cache_next(heap->state, &seat);
    assert_non_null(cache);
    calls = &fph_slot_of(cache)->calls;
    fph_fetch_add_relaxed(calls, 1);
    assert_false(fph_cache_calls_end(heap, dead, 0));
    dead[heap->member] = 1;
    assert_true(fph_cache_calls_end(heap, dead, 0));
    fph_fetch_add_relaxed(calls, ~(uint64_t)0);
    close_empty(heap);
}

/* --- made at any moment --------------------------------------------------- */

static int
make_and_stay(peer *p, void *arg)
{
    fpheap_partition desc = partition_of(PARTITION);

    (void)arg;
    say(p, 0);
    NEED(fpheap_open(name, &desc, FPHEAP_CREATE) != NULL);
    while (pause() != 0)
        ;
    return 0;
}

static void
a_creator_killed_at_any_moment_leaves_no_name_or_a_heap(void **state)
{
    test_random random = test_random_of(11);
    unsigned    i, n = tries(200);
    fpheap     *heap;
    peer        p;

    (void)state;
    for (i = 0; i < n; i++) {
        peer_begin(&p, make_and_stay, NULL);
        (void)hear(&p);
        sleep_us(test_below(&random, 1500));
        peer_kill(&p);
        errno = 0;
        heap = fpheap_open(name, NULL, 0);
        assert_true(heap != NULL || errno == ENOENT);
        if (heap == NULL)
            continue;
        use(heap);
        assert_int_equal(members_of(heap).members, 1);
        close_empty(heap);
        assert_int_equal(fpheap_unlink(name, NULL), 0);
    }
}

/* Open, or make, with others, and leave an object. */
static int
open_with_others(peer *p, void *arg)
{
    fpheap_partition desc = partition_of(PARTITION);
    int              file = (int)(intptr_t)arg;
    fpheap          *heap;

    (void)hear(p);
    if (file >= 0) {
        desc.flags = FPHEAP_DESCRIPTOR;
        desc.descriptor = file;
    }
    heap = fpheap_open(file >= 0 ? NULL : name, &desc, FPHEAP_CREATE);
    NEED(heap != NULL);
    NEED(fpheap_alloc(heap, 100) != NULL);
    pass_on(p);
    NEED(fpheap_close(heap) == 0);
    return 0;
}

/* Four processes at once open a partition that none has made. */
static void
open_at_once(int file)
{
    peer     p[4];
    unsigned i;

    for (i = 0; i < 4; i++)
        peer_begin(&p[i], open_with_others, (void *)(intptr_t)file);
    for (i = 0; i < 4; i++)
        say(&p[i], 0);
    for (i = 0; i < 4; i++)
        (void)hear(&p[i]);
    for (i = 0; i < 4; i++)
        say(&p[i], 0);
    peers_end(p, 4);
}

static void
processes_that_make_a_partition_at_once_share_it(void **state)
{
    fpheap  *heap;
    unsigned i;

    (void)state;
    for (i = tries(50); i > 0; i--) {
        open_at_once(-1);
        heap = open_it();
        TEST_CHECK_LIVE(heap, 4);
        assert_int_equal(free_all(heap), 4);
        close_empty(heap);
        assert_int_equal(fpheap_unlink(name, NULL), 0);
    }
}

/* --- by descriptor, and many ---------------------------------------------- */

static void
processes_that_make_one_in_a_file_at_once_share_it(void **state)
{
    fpheap_partition desc;
    fpheap          *heap;
    unsigned         i;
    int              file;

    (void)state;
    for (i = tries(50); i > 0; i--) {
        file = memory_file();
        open_at_once(file);
        desc = by_descriptor(file, 0);
        heap = fpheap_open(NULL, &desc, 0);
        assert_non_null(heap);
        TEST_CHECK_LIVE(heap, 4);
        assert_int_equal(free_all(heap), 4);
        close_empty(heap);
        close(file);
    }
}

/* What sendmsg and recvmsg carry a descriptor in. */
typedef struct parcel {
    struct msghdr message;
    struct iovec  part;
    char          byte;
    union {
        struct cmsghdr align;
        char           room[CMSG_SPACE(sizeof(int))];
    } control;
} parcel;

static void
parcel_init(parcel *it)
{
    memset(it, 0, sizeof *it);
    it->part.iov_base = &it->byte;
    it->part.iov_len = 1;
    it->message.msg_iov = &it->part;
    it->message.msg_iovlen = 1;
    it->message.msg_control = it->control.room;
    it->message.msg_controllen = sizeof it->control.room;
}

static void
send_file(int to, int file)
{
    struct cmsghdr *head;
    parcel          it;

    parcel_init(&it);
    head = CMSG_FIRSTHDR(&it.message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof file);
    memcpy(CMSG_DATA(head), &file, sizeof file);
    NEED(sendmsg(to, &it.message, 0) == 1);
}

static int
receive_file(int from)
{
    parcel it;
    int    file;

    parcel_init(&it);
    NEED(recvmsg(from, &it.message, 0) == 1);
    memcpy(&file, CMSG_DATA(CMSG_FIRSTHDR(&it.message)), sizeof file);
    return file;
}

#define OFFSET (4 * FPHEAP_CHUNK)

static int
open_received(peer *p, void *arg)
{
    int              file = receive_file((int)(intptr_t)arg);
    fpheap_partition desc = by_descriptor(file, OFFSET);
    fpheap          *heap;

    desc.bytes = 0;
    heap = fpheap_open("received", &desc, 0);
    NEED(heap != NULL);
    close(file);               /* which is the caller's */
    say_object(p, fpheap_root(heap));
    NEED(test_all_bytes(fpheap_root(heap), 100, 0x5a));
    use(heap);
    fpheap_free(heap, fpheap_root(heap));
    NEED(fpheap_close(heap) == 0);
    return 0;
}

static void
a_memory_file_that_a_socket_brings_is_a_partition(void **state)
{
    static char      before[OFFSET];
    fpheap_partition desc;
    fpheap          *heap;
    char            *root;
    int              sockets[2], file;
    peer             p;

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
    peer_begin(&p, open_received, (void *)(intptr_t)sockets[1]);
    file = memory_file();
    desc = by_descriptor(file, OFFSET);
    REFUSES(NULL, &desc, 0, ESTALE);
    memset(before, 0x5a, sizeof before);
    assert_int_equal(write(file, before, sizeof before), sizeof before);
    REFUSES(NULL, &desc, 0, ESTALE);
    heap = fpheap_open(NULL, &desc, FPHEAP_CREATE);
    assert_non_null(heap);
    REFUSES(NULL, &desc, FPHEAP_CREATE | FPHEAP_EXCLUSIVE, EEXIST);
    root = (char *)fpheap_alloc(heap, 100);
    memset(root, 0x5a, 100);
    assert_int_equal(fpheap_set_root(heap, root), 0);
    send_file(sockets[0], file);
    assert_ptr_equal(hear_object(&p), root);
    peer_end(&p);
    assert_int_equal(pread(file, before, sizeof before, 0), sizeof before);
    assert_true(test_all_bytes(before, sizeof before, 0x5a));
    close_empty(heap);
    assert_int_not_equal(fcntl(file, F_GETFD), -1);
    close(file);
    close(sockets[0]);
    close(sockets[1]);
}

static int
make_in_file_and_stay(peer *p, void *arg)
{
    fpheap_partition desc = by_descriptor((int)(intptr_t)arg, 0);

    say(p, 0);
    NEED(fpheap_open(NULL, &desc, FPHEAP_CREATE) != NULL);
    while (pause() != 0)
        ;
    return 0;
}

static void
a_file_whose_creator_was_killed_at_any_moment_is_made_again(void **state)
{
    test_random      random = test_random_of(12);
    unsigned         i, n = tries(100);
    fpheap_partition desc;
    fpheap          *heap;
    int              file;
    peer             p;

    (void)state;
    for (i = 0; i < n; i++) {
        file = memory_file();
        desc = by_descriptor(file, 0);
        peer_begin(&p, make_in_file_and_stay, (void *)(intptr_t)file);
        (void)hear(&p);
        sleep_us(test_below(&random, 1500));
        peer_kill(&p);
        heap = fpheap_open(NULL, &desc, FPHEAP_CREATE);
        NEED(heap != NULL);
        use(heap);
        assert_int_equal(members_of(heap).members, 1);
        close_empty(heap);
        close(file);
    }
}

static int
open_file(peer *p, void *arg)
{
    fpheap_partition desc = by_descriptor((int)(intptr_t)arg, 0);

    say(p, fpheap_open(NULL, &desc, 0) != NULL ? 0 : (uint64_t)errno);
    return 0;
}

static void
who_finds_a_damaged_head_waits_for_nobody_who_uses_the_heap(void **state)
{
    int              file = memory_file();
    fpheap_partition desc = by_descriptor(file, 0);
    fpheap          *heap = fpheap_open(NULL, &desc, FPHEAP_CREATE);
    peer             p;

    (void)state;
    NEED(heap != NULL);
    heap->partition->magic++;
    peer_begin(&p, open_file, (void *)(intptr_t)file);
    assert_int_equal(hear(&p), ESTALE);
    peer_end(&p);
    heap->partition->magic--;
    close_empty(heap);
    close(file);
}

static void
a_file_that_is_not_opened_or_none_is_refused(void **state)
{
    fpheap_partition desc = by_descriptor(-1, 0);
    int              pipes[2];

    (void)state;
    REFUSES(NULL, &desc, FPHEAP_CREATE, EBADF);
    desc.descriptor = INT_MIN;
    REFUSES(NULL, &desc, FPHEAP_CREATE, EBADF);
    assert_int_equal(pipe(pipes), 0);
    desc.descriptor = pipes[0];
    REFUSES(NULL, &desc, 0, EACCES);
    REFUSES(NULL, &desc, FPHEAP_CREATE, EACCES);
    close(pipes[0]);
    close(pipes[1]);
}

/* Make a heap in a file of so many bytes that has its memory.  Returns the error,
 * or 0. */
static int
make_fixed(peer *p, void *arg)
{
    int              file = memory_file();
    fpheap_partition desc = by_descriptor(file, 0);
    struct stat      is;
    size_t           bytes = (size_t)(uintptr_t)arg;
    fpheap          *heap;

    (void)p;
    desc.bytes = 64 * TEST_MIB;
    desc.flags |= FPHEAP_FIXED;
    NEED(bytes == 0 || fallocate(file, 0, 0, (off_t)bytes) == 0);
    errno = 0;
    heap = fpheap_open(NULL, &desc, FPHEAP_CREATE);
    if (heap == NULL)
        return errno;
    use(heap);
    fpheap_free_bulk(heap, objects, fill_heap(heap, TEST_MIB));
    (void)fpheap_trim(heap);
    use(heap);
    NEED(fstat(file, &is) == 0);
    NEED((size_t)is.st_blocks * 512 == bytes && (size_t)is.st_size == bytes);
    NEED(fpheap_close(heap) == 0);
    return 0;
}

static void
a_fixed_file_keeps_its_memory_and_must_have_it(void **state)
{
    static const size_t sizes[] = { 0, 4096, 32 * TEST_MIB, 64 * TEST_MIB };
    size_t              i;

    (void)state;
    for (i = 0; i < TEST_COUNT(sizes); i++) {
        int  status;
        peer p;

        peer_begin(&p, make_fixed, (void *)(uintptr_t)sizes[i]);
        status = peer_status(&p);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status),
                         sizes[i] < 64 * TEST_MIB ? ESTALE : 0);
    }
}

/* Partitions of one name, as all that came by a descriptor without one have,
 * lie apart: one process can have them all. */
static void
many_partitions_are_open_at_once(void **state)
{
    fpheap_partition desc = partition_of(PARTITION);
    fpheap          *heaps[FPHEAP_MAX_HEAPS - 1];
    int              files[FPHEAP_MAX_HEAPS - 1];
    size_t           i;

    (void)state;
    if (sizeof(void *) == 4)
        skip();                /* there is not so much room */
    desc.flags = FPHEAP_DESCRIPTOR;
    for (i = 0; i < TEST_COUNT(heaps); i++) { /* each while no other is open */
        files[i] = memfd_create("many", MFD_CLOEXEC);
        desc.descriptor = files[i];
        heaps[i] = fpheap_open(NULL, &desc, FPHEAP_CREATE);
        NEED(heaps[i] != NULL);
        NEED(fpheap_close(heaps[i]) == 0);
    }
    for (i = 0; i < TEST_COUNT(heaps); i++) {
        desc.descriptor = files[i];
        heaps[i] = fpheap_open(NULL, &desc, 0);
        NEED(heaps[i] != NULL);
        use(heaps[i]);
    }
    for (i = 0; i < TEST_COUNT(heaps); i++) {
        NEED(fpheap_close(heaps[i]) == 0);
        close(files[i]);
    }
}

static void
take_all_handles(fpheap **heaps)
{
    unsigned i;

    for (i = 0; i < FPHEAP_MAX_HEAPS; i++) {
        heaps[i] = fpheap_create("private", NULL);
        assert_non_null(heaps[i]);
    }
}

static void
a_partition_has_the_last_handle_too(void **state)
{
    fpheap_partition desc = partition_of(PARTITION);
    fpheap          *heaps[FPHEAP_MAX_HEAPS];
    unsigned         i;

    (void)state;
    take_all_handles(heaps);
    for (i = 0; heaps[i] != &fph_heaps[FPHEAP_MAX_HEAPS - 1]; i++)
        ;
    assert_int_equal(fpheap_destroy(heaps[i]), 0);
    heaps[i] = fpheap_open(name, &desc, FPHEAP_CREATE);
    assert_ptr_equal(heaps[i], &fph_heaps[FPHEAP_MAX_HEAPS - 1]);
    assert_int_equal(fph_number_of(heaps[i]->state), FPHEAP_MAX_HEAPS - 1);
    use(heaps[i]);
    assert_int_equal(fpheap_unlink(name, NULL), 0);
    assert_int_equal(fpheap_close(heaps[i]), 0);
    heaps[i] = heaps[FPHEAP_MAX_HEAPS - 1];
    for (i = 0; i < FPHEAP_MAX_HEAPS - 1; i++)
        assert_int_equal(fpheap_destroy(heaps[i]), 0);
}

static void
a_process_with_all_its_heaps_opens_no_other(void **state)
{
    fpheap_partition desc = partition_of(PARTITION);
    fpheap          *heaps[FPHEAP_MAX_HEAPS];
    unsigned         i;

    (void)state;
    take_all_handles(heaps);
    REFUSES(name, &desc, FPHEAP_CREATE, ENFILE);
    assert_int_equal(fpheap_unlink(name, NULL), -ENOENT);
    for (i = 0; i < FPHEAP_MAX_HEAPS; i++)
        assert_int_equal(fpheap_destroy(heaps[i]), 0);
    for (i = 0; i < 2 * FPHEAP_MAX_HEAPS; i++)
        REFUSES(name, NULL, 0, ENOENT);
    make_and_close();
}

/* --- fork ----------------------------------------------------------------- */

/* Whether there is memory. */
static int
is_mapped(void *at)
{
    unsigned char page;
    uintptr_t     size = (uintptr_t)sysconf(_SC_PAGESIZE);

    return mincore((void *)((uintptr_t)at & ~(size - 1)), 1, &page) == 0;
}

/* In a child of fork: the heap that its parent has is not there. */
static int
find_nothing(peer *p, void *arg)
{
    fpheap *heap = (fpheap *)arg;
    void   *object;

    object = hear_object(p);
    NEED(!is_mapped(object));
    NEED(heap->state == NULL);
    heap = open_it();
    NEED(fpheap_root(heap) == object);
    NEED(test_all_bytes(object, 100, 0x5a));
    NEED(members_of(heap).members == 2);
    fpheap_free(heap, object);
    use(heap);
    NEED(fpheap_close(heap) == 0);
    return 0;
}

static void
the_child_of_a_fork_has_the_heap_only_if_it_opens_it(void **state)
{
    fpheap *heap;
    void   *root;
    peer    p;

    (void)state;
    if (EMULATED)
        skip();                /* fork_util.h */
    heap = create();
    root = fpheap_alloc(heap, 100);
    memset(root, 0x5a, 100);
    assert_int_equal(fpheap_set_root(heap, root), 0);
    peer_begin(&p, find_nothing, heap);
    say_object(&p, root);
    peer_end(&p);
    assert_int_equal(members_of(heap).members, 1);
    assert_int_equal(members_of(heap).dead, 0);
    use(heap);
    close_empty(heap);
}

static int
stay(peer *p, void *arg)
{
    (void)arg;
    say(p, 0);
    while (pause() != 0)
        ;
    return 0;
}

/* Open the heap, and fork a child that stays. */
static int
open_and_fork(peer *p, void *arg)
{
    fpheap *heap = open_it();
    peer    child;

    (void)arg;
    use(heap);
    peer_begin(&child, stay, NULL);
    (void)hear(&child);        /* it has left the heap */
    (void)prctl(PR_SET_PDEATHSIG, 0);
    say(p, (uint64_t)child.process);
    while (pause() != 0)
        ;
    return 0;
}

static void
a_process_is_dead_though_a_child_of_its_lives(void **state)
{
    fpheap *heap;
    pid_t   child;
    peer    p;

    (void)state;
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) != 0)
        skip();                /* qemu's user mode does not know it */
    heap = create();
    peer_begin(&p, open_and_fork, NULL);
    child = (pid_t)hear(&p);
    assert_int_equal(members_of(heap).members, 2);
    assert_int_equal(members_of(heap).dead, 0);
    peer_kill(&p);
    assert_int_equal(members_of(heap).dead, 1);
    assert_int_equal(fpheap_recover(heap, 0), 1);
    (void)kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
    NEED(prctl(PR_SET_CHILD_SUBREAPER, 0) == 0);
    close_empty(heap);
}

static int
open_twice_and_leave(peer *p, void *arg)
{
    fpheap *heap = open_it();

    (void)arg;
    NEED(fpheap_close(heap) == 0);
    pass_on(p);
    heap = open_it();
    use(heap);
    say(p, 0);
    return 0;
}

static void
a_process_that_exits_without_a_close_is_dead(void **state)
{
    fpheap *heap = create();
    peer    p;

    (void)state;
    peer_begin(&p, open_twice_and_leave, NULL);
    (void)hear(&p);
    assert_int_equal(fpheap_recover(heap, 0), 0);
    assert_int_equal(members_of(heap).members, 1);
    say(&p, 0);
    (void)hear(&p);
    peer_end(&p);
    assert_int_equal(members_of(heap).dead, 1);
    assert_int_equal(fpheap_recover(heap, 0), 1);
    close_empty(heap);
}

/* --- unlink and close ----------------------------------------------------- */

static int
stay_beyond_unlink(peer *p, void *arg)
{
    fpheap *heap = open_it();
    void   *root;

    (void)arg;
    pass_on(p);
    use(heap);
    root = fpheap_root(heap);
    NEED(root != NULL);
    fpheap_free(heap, root);
    NEED(fpheap_close(heap) == 0);
    return 0;
}

static void
members_keep_a_partition_whose_name_another_has(void **state)
{
    fpheap *heap = create(), *second;
    void   *root = fpheap_alloc(heap, 100);
    peer    p;

    (void)state;
    assert_int_equal(fpheap_set_root(heap, root), 0);
    peer_begin(&p, stay_beyond_unlink, NULL);
    (void)hear(&p);
    assert_int_equal(fpheap_unlink(name, NULL), 0);
    assert_int_equal(fpheap_unlink(name, NULL), -ENOENT);
    REFUSES(name, NULL, 0, ENOENT);
    second = create();
    assert_null(fpheap_root(second));
    assert_int_equal(members_of(second).members, 1);
    use(second);
    say(&p, 0);
    peer_end(&p);
    assert_int_equal(members_of(heap).members, 1);
    close_empty(heap);
    use(second);
    close_empty(second);
}

static int
close_inside(void *arg, void *object)
{
    fpheap *heap = (fpheap *)arg;

    (void)object;
    NEED(fpheap_close(heap) == -EBUSY);
    NEED(fpheap_recover(heap, 0) == -EBUSY);
    return 0;
}

static void
a_callback_of_the_heap_cannot_close_it(void **state)
{
    fpheap          *heap = create();
    fpheap_pool_desc desc = described("things", 100, 0);
    fpheap_pool     *pool;

    (void)state;
    desc.construct = close_inside;
    desc.arg = heap;
    pool = fpheap_pool_create(heap, &desc);
    assert_non_null(pool);
    fpheap_pool_put(pool, fpheap_pool_get(pool));
    assert_true(STATS(pool).objects > 0);
    END(pool);
    close_empty(heap);
}

/* A thread that uses the heap, says so, and exits. */
typedef struct leaver {
    fpheap   *heap;
    unsigned  used;
    pthread_t thread;
} leaver;

static void *
use_and_exit(void *arg)
{
    leaver *it    = (leaver *)arg;
    void   *small = fpheap_alloc(it->heap, 100);
    void   *large = fpheap_alloc(it->heap, 3 * TEST_MIB);

    NEED(small != NULL && large != NULL);
    fpheap_free(it->heap, small);
    fpheap_free(it->heap, large);
    __atomic_store_n(&it->used, 1, __ATOMIC_RELEASE);
    return NULL;
}

static void
threads_exit_while_the_heap_is_closed(void **state)
{
    leaver   it[2];
    fpheap  *heap;
    unsigned i, j;

    (void)state;
    make_and_close();
    for (i = 0; i < 200; i++) {
        heap = open_it();
        for (j = 0; j < 2; j++) {
            it[j].heap = heap;
            it[j].used = 0;
            NEED(pthread_create(&it[j].thread, NULL, use_and_exit, &it[j])
                 == 0);
        }
        for (j = 0; j < 2; j++)
            while (!__atomic_load_n(&it[j].used, __ATOMIC_ACQUIRE))
                sched_yield();
        NEED(fpheap_close(heap) == 0); /* their exits are under way */
        for (j = 0; j < 2; j++)
            NEED(pthread_join(it[j].thread, NULL) == 0);
    }
    close_empty(open_it());
}

/* A thread that uses whatever heap there is, when told. */
typedef struct user {
    pthread_barrier_t turn;
    fpheap           *heap;
} user;

static void *
use_each_heap(void *arg)
{
    user *it = (user *)arg;

    for (;;) {
        pthread_barrier_wait(&it->turn);
        if (it->heap == NULL)
            return NULL;
        use(it->heap);
        pthread_barrier_wait(&it->turn);
    }
}

static void
threads_with_caches_use_the_heap_that_comes_after_a_close(void **state)
{
    pthread_t thread;
    unsigned  i;
    user      it;

    (void)state;
    NEED(pthread_barrier_init(&it.turn, NULL, 2) == 0);
    NEED(pthread_create(&thread, NULL, use_each_heap, &it) == 0);
    for (i = 0; i < 20; i++) {
        it.heap = i % 3 == 2 ? fpheap_create("private", NULL) : create();
        assert_non_null(it.heap);
        pthread_barrier_wait(&it.turn);
        pthread_barrier_wait(&it.turn);
        use(it.heap);
        TEST_CHECK_LIVE(it.heap, 0);
        if (i % 3 == 2) {
            assert_int_equal(fpheap_destroy(it.heap), 0);
        } else {
            assert_int_equal(fpheap_close(it.heap), 0);
            assert_int_equal(fpheap_unlink(name, NULL), 0);
        }
    }
    it.heap = NULL;
    pthread_barrier_wait(&it.turn);
    NEED(pthread_join(thread, NULL) == 0);
}

/* --- calls ---------------------------------------------------------------- */

/* A heap in which somebody cleans up whenever a call begins, until the call has
 * seen it. */
typedef struct held_up {
    fpheap      *heap;
    fpheap_pool *pool;
    void        *object[64];
    uint32_t     group;        /* what the cleaner puts right; 0: nothing */
    unsigned     calls;        /* that have seen a cleaner */
} held_up;

static held_up held;

static void
note_call_and_end(fpheap *heap)
{
    held.calls++;
    if (held.group != 0)
        heap->state->groups[0] = held.group;
    held.group = 0;
    fph_store_release(&heap->partition->cleaner, 0);
}

static int
ignore_object(void *arg, const fpheap_object *object)
{
    (void)arg;
    return object == NULL;
}

static int
ignore_region(void *arg, const fpheap_region *region)
{
    (void)arg;
    return region == NULL;
}

static int
ignore_pools_object(void *arg, void *object)
{
    (void)arg;
    return object == NULL;
}

static void
call_alloc(void)
{
    held.object[0] = fpheap_alloc(held.heap, TEST_MIB);
}

static void
call_realloc(void)
{
    held.object[0] = fpheap_realloc(held.heap, held.object[0], 3 * TEST_MIB);
}

static void
call_free(void)
{
    fpheap_free(held.heap, held.object[0]);
}

static void
call_alloc_bulk(void)
{
    NEED(fpheap_alloc_bulk(held.heap, 5000, held.object, 64) == 0);
}

static void
call_free_bulk(void)
{
    fpheap_free_bulk(held.heap, held.object, 64);
}

static void
call_prefill(void)
{
    NEED(fpheap_prefill(held.heap, 900, 20) == 0);
}

static void
call_pool_create(void)
{
    fpheap_pool_desc desc;

    memset(&desc, 0, sizeof desc);
    desc.size = 100;
    desc.name = "held up";
    held.pool = fpheap_pool_create(held.heap, &desc);
    NEED(held.pool != NULL);
}

static void
call_pool_set_max(void)
{
    NEED(fpheap_pool_set_max(held.pool, 1000) == 0);
}

static void
call_pool_for_each(void)
{
    NEED(fpheap_pool_for_each(held.pool, FPHEAP_ALL, ignore_pools_object, NULL)
         == 0);
}

static void
call_pool_destroy(void)
{
    NEED(fpheap_pool_destroy(held.pool, NULL) == 0);
}

static void
call_reserve(void)
{
    NEED(fpheap_reserve(held.heap, TEST_MIB, 0) == 0);
}

static void
call_trim(void)
{
    fpheap_trim(held.heap);
}

static void
call_set_limit(void)
{
    fpheap_set_limit(held.heap, PARTITION);
}

static void
call_stats(void)
{
    fpheap_stats stats;

    fpheap_stats_get(held.heap, &stats);
}

static void
call_check(void)
{
    held.group = held.heap->state->groups[0];
    held.heap->state->groups[0] = 0;
    NEED(fpheap_check(held.heap) == NULL);
}

static void
call_walk(void)
{
    NEED(fpheap_walk(held.heap, ignore_object, NULL) == 0);
}

static void
call_region_walk(void)
{
    NEED(fpheap_region_walk(held.heap, ignore_region, NULL) == 0);
}

static void
call_flush(void)
{
    fpheap_flush(held.heap);
}

static void
call_thread_leave(void)
{
    fpheap_thread_leave(held.heap);
}

static void
call_self(void)
{
    NEED(fpheap_self(held.heap) != NULL);
}

/* Somebody cleans up. */
static void
hold_up(void)
{
    held.calls = 0;
    fph_store_release(&held.heap->partition->cleaner,
                      (uint64_t)1 << 32 | (held.heap->member + 1));
}

static void
each_call_that_is_no_hit_waits_for_a_cleaner(void **state)
{
    /* Each finds what those before it have left. */
    static const struct {
        const char *name;
        void      (*call)(void);
    } calls[] = {
        {"self", call_self}, {"alloc", call_alloc}, {"realloc", call_realloc},
        {"free", call_free}, {"alloc_bulk", call_alloc_bulk},
        {"walk", call_walk}, {"free_bulk", call_free_bulk},
        {"prefill", call_prefill}, {"pool_create", call_pool_create},
        {"pool_set_max", call_pool_set_max},
        {"pool_for_each", call_pool_for_each},
        {"pool_destroy", call_pool_destroy}, {"reserve", call_reserve},
        {"trim", call_trim}, {"set_limit", call_set_limit},
        {"stats_get", call_stats}, {"check", call_check},
        {"region_walk", call_region_walk}, {"flush", call_flush},
        {"thread_leave", call_thread_leave}
    };
    size_t i;

    (void)state;
    held.heap = create();
    held.heap->recover = note_call_and_end;
    for (i = 0; i < TEST_COUNT(calls); i++) {
        hold_up();
        calls[i].call();
        if (held.calls != 1)
            fail_msg("%s has waited %u times", calls[i].name, held.calls);
        assert_int_equal(held.heap->partition->cleaner, 0);
    }
    assert_non_null(fpheap_self(held.heap));
    TEST_CHECK_LIVE(held.heap, 0);
    hold_up();
    assert_int_equal(fpheap_close(held.heap), 0);
    assert_int_equal(held.calls, 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        SHARED_TEST(there_are_512_members_and_the_dead_take_no_place),
        SHARED_TEST(there_are_512_readers_beside_the_members),
        SHARED_TEST(what_the_dead_parked_is_free_and_what_they_had_is_live),
        SHARED_TEST(each_clean_up_finds_the_magazines_of_the_living_anew),
        SHARED_TEST(clean_ups_lose_no_records),
        SHARED_TEST(what_the_dead_had_begun_is_over),
        SHARED_TEST(
            a_clean_up_finds_the_regions_and_nothing_behind_the_partition),
        SHARED_TEST(a_cleaner_waits_for_the_calls_of_all_who_live),
        SHARED_TEST(a_creator_killed_at_any_moment_leaves_no_name_or_a_heap),
        SHARED_TEST(processes_that_make_a_partition_at_once_share_it),
        SHARED_TEST(processes_that_make_one_in_a_file_at_once_share_it),
        SHARED_TEST(a_memory_file_that_a_socket_brings_is_a_partition),
        SHARED_TEST(
            a_file_whose_creator_was_killed_at_any_moment_is_made_again),
        SHARED_TEST(who_finds_a_damaged_head_waits_for_nobody_who_uses_the_heap),
        SHARED_TEST(a_file_that_is_not_opened_or_none_is_refused),
        SHARED_TEST(a_fixed_file_keeps_its_memory_and_must_have_it),
        SHARED_TEST(many_partitions_are_open_at_once),
        SHARED_TEST(a_partition_has_the_last_handle_too),
        SHARED_TEST(a_process_with_all_its_heaps_opens_no_other),
        SHARED_TEST(the_child_of_a_fork_has_the_heap_only_if_it_opens_it),
        SHARED_TEST(a_process_is_dead_though_a_child_of_its_lives),
        SHARED_TEST(a_process_that_exits_without_a_close_is_dead),
        SHARED_TEST(members_keep_a_partition_whose_name_another_has),
        SHARED_TEST(a_callback_of_the_heap_cannot_close_it),
        SHARED_TEST(threads_exit_while_the_heap_is_closed),
        SHARED_TEST(each_call_that_is_no_hit_waits_for_a_cleaner),
        SHARED_TEST(threads_with_caches_use_the_heap_that_comes_after_a_close)
    };

    return cmocka_run_group_tests_name("shared_members", tests, NULL, NULL);
}
