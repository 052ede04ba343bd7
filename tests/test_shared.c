/* test_shared.c - a heap that several processes share serves each of them as a
 * heap of its own would
 *
 * Objects lie at the same addresses, may be freed by any process, and none is
 * lost or owned twice; pools, handles, limits and trims are for all; what a
 * process or a thread parks is back when it leaves.  Each other process is a
 * fork that opens the heap itself.
 *
 * test_shared_small.c, test_shared_header.c and test_shared_check.c are the same
 * with other settings; test_shared_files.c is about names and files, and
 * test_shared_members.c about who has opened it.
 */
#ifndef _GNU_SOURCE
#  define _GNU_SOURCE 1
#endif
#include "reports.h"

#define FPHEAP_IMPLEMENTATION
#include "fpheap.h"
#include "shared_util.h"

/* --- objects -------------------------------------------------------------- */

#define EACH     40            /* objects of a size, or one of the large */
#define MOST_LOG 23            /* up to 8 MiB */

/* The nth size that is tried; 0: no more. */
static size_t
nth_size(unsigned n)
{
    size_t power = (size_t)16 << n / 3;

    return power > (size_t)1 << MOST_LOG ? 0
         : n % 3 == 0 || power == (size_t)1 << MOST_LOG ? power
         : n % 3 == 1 ? power + power / 4 : 2 * power - 16;
}

static unsigned
each_of(size_t size)
{
    return size <= 4096 ? EACH : 1;
}

/* Allocate objects, fill them, and tell the other process. */
static void
give_filled(fpheap *heap, const peer *p, size_t size, void **own)
{
    unsigned i;

    for (i = 0; i < each_of(size); i++) {
        own[i] = fpheap_alloc(heap, size);
        NEED(own[i] != NULL);
        test_fill(own[i], size, size);
        say_object(p, own[i]);
    }
}

/* Find the other's objects filled, and none of the own among them.  Free them. */
static void
free_filled(fpheap *heap, const peer *p, size_t size, void **own)
{
    void    *theirs[EACH];
    unsigned i, j;

    for (i = 0; i < each_of(size); i++) {
        theirs[i] = hear_object(p);
        NEED(fpheap_base_of(heap, theirs[i]) == theirs[i]);
        NEED(fpheap_usable_size(heap, theirs[i]) >= size);
        NEED(test_filled(theirs[i], size, size));
        for (j = 0; j < each_of(size); j++)
            NEED(theirs[i] != own[j]);
    }
    for (i = 0; i < each_of(size); i++)
        fpheap_free(heap, theirs[i]);
}

static int
swap_all_sizes(peer *p, void *arg)
{
    fpheap  *heap = open_it();
    void    *own[EACH];
    unsigned n;

    (void)arg;
    for (n = 0; nth_size(n) != 0; n++) {
        give_filled(heap, p, nth_size(n), own);
        free_filled(heap, p, nth_size(n), own);
    }
    (void)hear(p);
    NEED_SOUND(heap);
    NEED(fpheap_close(heap) == 0);
    return 0;
}

static void
objects_of_every_size_are_the_same_in_two_processes(void **state)
{
    fpheap  *heap = create();
    void    *own[EACH];
    unsigned n;
    peer     p;

    (void)state;
    peer_begin(&p, swap_all_sizes, NULL);
    for (n = 0; nth_size(n) != 0; n++) {
        give_filled(heap, &p, nth_size(n), own);
        free_filled(heap, &p, nth_size(n), own);
    }
    say(&p, 0);
    peer_end(&p);
    close_empty(heap);
}

/* Grow what the runner has made, by each function. */
static int
change_objects(peer *p, void *arg)
{
    fpheap *heap = open_it();
    char   *object;
    size_t  size;

    (void)arg;
    while ((size = (size_t)hear(p)) != 0) {
        object = (char *)hear_object(p);
        object = (char *)fpheap_realloc(heap, object, 3 * size);
        NEED(object != NULL && test_all_bytes(object, size, 0x5a));
        memset(object, 0xa5, 3 * size);
        object = (char *)fpheap_aligned_realloc(heap, object, 4096, 5 * size);
        NEED(object != NULL && (uintptr_t)object % 4096 == 0);
        NEED(test_all_bytes(object, 3 * size, 0xa5));
        say_object(p, object);
        object = (char *)fpheap_zalloc(heap, size);
        NEED(object != NULL && test_all_bytes(object, size, 0));
        fpheap_free_sized(heap, object, size);
    }
    NEED(fpheap_close(heap) == 0);
    return 0;
}

static void
an_object_of_another_process_can_be_resized_and_aligned(void **state)
{
    fpheap *heap = create();
    char   *object;
    size_t  size;
    peer    p;

    (void)state;
    peer_begin(&p, change_objects, NULL);
    for (size = 16; size <= TEST_MIB; size *= 2) {
        object = (char *)fpheap_aligned_alloc(heap, 64, size);
        assert_non_null(object);
        memset(object, 0x5a, size);
        say(&p, size);
        say_object(&p, object);
        object = (char *)hear_object(&p);
        assert_true(test_all_bytes(object, 3 * size, 0xa5));
        fpheap_free(heap, object);
    }
    say(&p, 0);
    peer_end(&p);
    close_empty(heap);
}

#define BULK 600

/* Take bulks of one size, and free as many of the runner's. */
static int
swap_bulks(peer *p, void *arg)
{
    fpheap  *heap = open_it();
    void   **list = (void **)hear_object(p);
    void    *own[BULK];
    unsigned turn;

    (void)arg;
    for (turn = 0; turn < 50; turn++) {
        NEED(fpheap_alloc_bulk(heap, 200, own, BULK) == 0);
        fpheap_free_bulk(heap, list, BULK);
        memcpy(list, own, sizeof own);
        pass_on(p);
    }
    NEED(fpheap_close(heap) == 0);
    return 0;
}

static void
bulks_of_one_process_are_freed_by_another(void **state)
{
    fpheap  *heap = create();
    void   **list = (void **)fpheap_alloc(heap, BULK * sizeof *list);
    unsigned turn;
    peer     p;

    (void)state;
    assert_non_null(list);
    assert_int_equal(fpheap_alloc_bulk(heap, 200, list, BULK), 0);
    peer_begin(&p, swap_bulks, NULL);
    say_object(&p, list);
    for (turn = 0; turn < 50; turn++) {
        (void)hear(&p);
        fpheap_free_bulk_sized(heap, list, BULK, 200);
        assert_int_equal(fpheap_alloc_burst(heap, 200, list, BULK), BULK);
        if (turn % 10 == 0)
            TEST_CHECK_LIVE(heap, BULK + 1);
        say(&p, 0);
    }
    peer_end(&p);
    fpheap_free_bulk(heap, list, BULK);
    fpheap_free(heap, list);
    close_empty(heap);
}

/* --- memory --------------------------------------------------------------- */

/* Where records lie, memory stays. */
static unsigned
chunks_without_records(const fpheap *heap)
{
    const fph_chunk *chunk;
    unsigned         n  = 0;
    size_t           at = 0;

    while ((chunk = fph_chunk_next(heap->state, &at)) != NULL)
        n += chunk->meta == 0;
    return n;
}

static int
hold_and_free(peer *p, void *arg)
{
    fpheap  *heap = open_it();
    void    *own[64];
    unsigned i;

    (void)arg;
    for (i = 0; i < 64; i++) {
        own[i] = fpheap_alloc(heap, TEST_MIB);
        NEED(own[i] != NULL);
        memset(own[i], 1, TEST_MIB);
    }
    pass_on(p);
    for (i = 0; i < 64; i++)
        fpheap_free(heap, own[i]);
    NEED(fpheap_close(heap) == 0);
    return 0;
}

static void
a_trim_frees_what_another_process_had(void **state)
{
    fpheap *heap = create();
    size_t  before;
    peer    p;

    (void)state;
    peer_begin(&p, hold_and_free, NULL);
    (void)hear(&p);
    before = file_bytes();
    assert_true(before >= 64 * TEST_MIB);
    assert_true(test_region_bytes(heap) >= 64 * TEST_MIB);
    say(&p, 0);
    peer_end(&p);
    assert_true(fpheap_trim(heap) >= 32 * TEST_MIB);
    assert_true(file_bytes() <= before - 32 * TEST_MIB);
    assert_int_equal(chunks_without_records(heap), 0);
    assert_int_equal(file_bytes(), test_region_bytes(heap));
    close_empty(heap);
}

/* A free makes no magazine where no records lie apart: they are there. */
static void
what_is_freed_is_parked_and_not_given_back_one_by_one(void **state)
{
    fpheap      *heap = create();
    fpheap_stats s;
    unsigned     i;

    (void)state;
    for (i = 0; i < MOST; i++)
        objects[i] = fpheap_alloc(heap, 4000);
    assert_non_null(objects[MOST - 1]);
    for (i = 0; i < MOST; i++)
        fpheap_free(heap, objects[(uint64_t)i * 7919 % MOST]);
    fpheap_stats_get(heap, &s);
    assert_int_equal(s.live_objects, 0);
    assert_true(s.parked_objects >= MOST / 2);
    if (FPHEAP_CHUNK >= 2 * TEST_MIB && !FPHEAP_CHECK)
        assert_true(s.metadata_bytes <= s.region_bytes / 16);
    close_empty(heap);
}

/* It has grown, and the next block for magazines is due. */
static void
what_a_block_has_left_when_the_next_one_comes_are_magazines_too(void **state)
{
    fpheap    *heap = create();
    fph_state *s = heap->state;
    size_t     one = fph_meta_units(sizeof(fph_magazine)) * FPH_LINE;
    size_t     size = 0, left;
    uint64_t   made, bytes;

    (void)state;
    fpheap_free(heap, fpheap_alloc(heap, 4 * FPHEAP_CHUNK));
    do {
        fpheap_free(heap, fpheap_alloc(heap, size += 100));
        left = fph_meta_room(s->meta_cursor.word) / one;
    } while (left == 0);
    made = s->magazines;
    bytes = s->region_bytes;
    s->region_bytes += 256 * (left * one + FPHEAP_CHUNK);
    fph_magazines_ahead(heap);
    s->region_bytes = bytes;
    assert_true(s->magazines == made + left + 1);
    assert_true(fph_meta_room(s->meta_cursor.word) > 0);
    close_empty(heap);
}

/* A short partition gets fewer objects, and shorter ones: what is free of it lies in
 * pieces. */
static int
take_and_free(peer *p, void *arg)
{
    fpheap     *heap   = open_it();
    test_random random = test_random_of((uintptr_t)arg + 1);
    uint64_t    until  = now_ms() + 300;
    uint64_t    turns  = 0;
    unsigned    most   = sizeof(void *) > 4 ? MOST_LOG : MOST_LOG - 2;
    void       *own[PARTITION / (64 * TEST_MIB)];
    unsigned    i;

    while (now_ms() < until) {
        size_t size = test_size(&random, most);

        for (i = 0; i < sizeof own / sizeof own[0]; i++) {
            own[i] = fpheap_alloc(heap, size);
            NEED(own[i] != NULL);
            memset(own[i], 1, size < 4096 ? size : 4096);
            ((char *)own[i])[size - (size != 0)] = 2;
        }
        for (i = 0; i < sizeof own / sizeof own[0]; i++)
            fpheap_free(heap, own[i]);
        turns++;
    }
    say(p, turns);
    NEED(fpheap_close(heap) == 0);
    return 0;
}

static void
trims_go_on_while_other_processes_allocate(void **state)
{
    fpheap  *heap = create();
    uint64_t until;
    peer     p[2];
    unsigned i;

    (void)state;
    peers_begin(p, 2, take_and_free);
    for (until = now_ms() + 250; now_ms() < until;)
        (void)fpheap_trim(heap);
    for (i = 0; i < 2; i++)
        assert_true(hear(&p[i]) > 0);
    peers_end(p, 2);
    TEST_CHECK_LIVE(heap, 0);
    (void)fpheap_trim(heap);
    assert_int_equal(chunks_without_records(heap), 0);
    assert_int_equal(file_bytes(), test_region_bytes(heap));
    close_empty(heap);
}

/* Allocate until there is no more. */
static int
take_all(peer *p, void *arg)
{
    fpheap  *heap = open_it();
    unsigned n    = 0;

    (void)arg;
    while (fpheap_alloc(heap, 64 * TEST_KIB) != NULL)
        n++;
    NEED(errno == ENOSPC);
    say(p, n);
    NEED(fpheap_close(heap) == 0);
    return 0;
}

static void
a_limit_that_one_process_sets_holds_for_all(void **state)
{
    fpheap *heap = create();
    size_t  n;
    peer    p;

    (void)state;
    fpheap_set_limit(heap, 64 * TEST_MIB);
    peer_begin(&p, take_all, NULL);
    n = (size_t)hear(&p);
    peer_end(&p);
    assert_in_range(n, 64 * TEST_MIB / (80 * TEST_KIB), 1024);
    assert_in_range(test_region_bytes(heap), 62 * TEST_MIB, 64 * TEST_MIB);
    errno = 0;
    assert_null(fpheap_alloc(heap, 64 * TEST_KIB));
    assert_int_equal(errno, ENOSPC);
    TEST_CHECK_LIVE(heap, n);
    assert_int_equal(free_all(heap), n);
    close_empty(heap);
}

static void
what_a_process_leaves_live_another_frees(void **state)
{
    fpheap *heap = create();
    size_t  first, second;
    peer    p;

    (void)state;
    fpheap_set_limit(heap, 32 * TEST_MIB);
    peer_begin(&p, take_all, NULL);
    first = (size_t)hear(&p);
    peer_end(&p);
    assert_int_equal(members_of(heap).members, 1);
    assert_int_equal(free_all(heap), first);
    peer_begin(&p, take_all, NULL);
    second = (size_t)hear(&p);
    peer_end(&p);
    assert_int_equal(second, first);
    assert_int_equal(free_all(heap), second);
    close_empty(heap);
}

/* --- what is parked ------------------------------------------------------- */

static void *
park(void *arg)
{
    fpheap  *heap = (fpheap *)arg;
    void    *own[100];
    unsigned i;
    size_t   size;

    for (size = 16; size <= 32 * TEST_KIB; size *= 2) {
        for (i = 0; i < 100; i++) {
            own[i] = fpheap_alloc(heap, size);
            NEED(own[i] != NULL);
        }
        for (i = 0; i < 100; i++)
            fpheap_free(heap, own[i]);
    }
    return NULL;
}

static int
park_and_go(peer *p, void *arg)
{
    fpheap   *heap = open_it();
    pthread_t thread;

    (void)arg;
    NEED(pthread_create(&thread, NULL, park, heap) == 0);
    NEED(pthread_join(thread, NULL) == 0);
    pass_on(p);                /* a thread has ended */
    (void)park(heap);
    pass_on(p);                /* this one parks */
    NEED(fpheap_close(heap) == 0);
    pass_on(p);                /* and has left */
    return 0;
}

static void
a_thread_that_ends_and_a_process_that_closes_park_nothing(void **state)
{
    fpheap      *heap = create();
    fpheap_stats s;
    peer         p;

    (void)state;
    peer_begin(&p, park_and_go, NULL);
    (void)hear(&p);
    assert_int_equal(members_of(heap).members, 2);
    assert_int_equal(members_of(heap).parked, 0);
    say(&p, 0);
    (void)hear(&p);
    assert_true(members_of(heap).parked > 0);
    TEST_CHECK_LIVE(heap, 0);
    say(&p, 0);
    (void)hear(&p);
    assert_int_equal(members_of(heap).members, 1);
    assert_int_equal(members_of(heap).parked, 0);
    fpheap_stats_get(heap, &s);
    assert_int_equal(s.caches, 0);
    say(&p, 0);
    peer_end(&p);
    close_empty(heap);
}

/* --- many processes and threads ------------------------------------------- */

#define PROCESSES 4
#define THREADS   2
#define HELD      200
#define RING      256
#define IN_RING   UINT64_C(0xffffffff)

/* A thread; it writes its number to both ends of each object that it has. */
typedef struct worker {
    fpheap     *heap;
    uint32_t   *ring;          /* handles of objects, by which they change
                                  hands */
    uint64_t    owner;
    uint64_t    until;
    test_random random;
    pthread_t   thread;
    void       *held[HELD];
} worker;

static uint64_t *
last_word(fpheap *heap, void *object)
{
    return (uint64_t *)object + fpheap_usable_size(heap, object) / 8 - 1;
}

/* Atomic, as ThreadSanitizer does not see what another process has ordered. */
static void
set_owner(fpheap *heap, void *object, uint64_t owner)
{
    __atomic_store_n((uint64_t *)object, owner, __ATOMIC_RELAXED);
    __atomic_store_n(last_word(heap, object), ~owner, __ATOMIC_RELAXED);
}

static void
expect_owner(fpheap *heap, void *object, uint64_t owner)
{
    uint64_t first = __atomic_load_n((uint64_t *)object, __ATOMIC_RELAXED);
    uint64_t last  = __atomic_load_n(last_word(heap, object), __ATOMIC_RELAXED);

    NEED(first == owner && last == ~owner);
}

static void *
take_one(worker *w)
{
    size_t size   = test_size(&w->random,
                              test_below(&w->random, 64) == 0 ? 21 : 12);
    void  *object = fpheap_alloc(w->heap, (size + 31) & ~(size_t)15);

    NEED(object != NULL);
    set_owner(w->heap, object, w->owner);
    return object;
}

static void
give_one(worker *w, void *object)
{
    expect_owner(w->heap, object, w->owner);
    set_owner(w->heap, object, 0);
    fpheap_free(w->heap, object);
}

/* Put an object into the ring, and take what was there. */
static void *
exchange_one(worker *w, void *object)
{
    uint32_t *place  = &w->ring[test_below(&w->random, RING)];
    uint32_t  handle = fpheap_handle(w->heap, object);

    NEED(handle != 0 && fpheap_object(w->heap, handle) == object);
    expect_owner(w->heap, object, w->owner);
    set_owner(w->heap, object, IN_RING);
    handle = __atomic_exchange_n(place, handle, __ATOMIC_ACQ_REL);
    if (handle == 0)
        return NULL;
    object = fpheap_object(w->heap, handle);
    NEED(object != NULL);
    expect_owner(w->heap, object, IN_RING);
    set_owner(w->heap, object, w->owner);
    return object;
}

static void
one_turn(worker *w)
{
    void **place = &w->held[test_below(&w->random, HELD)];
    size_t what  = test_below(&w->random, 4096);

    if (what == 0)
        (void)fpheap_trim(w->heap);
    else if (what == 1)
        fpheap_flush(w->heap);
    else if (what == 2)
        fpheap_thread_leave(w->heap);
    else if (*place == NULL)
        *place = take_one(w);
    else if (what % 4 == 0)
        *place = exchange_one(w, *place);
    else {
        give_one(w, *place);
        *place = NULL;
    }
}

static void *
be_busy(void *arg)
{
    worker  *w = (worker *)arg;
    unsigned i;

    while (now_ms() < w->until)
        for (i = 0; i < 100; i++)
            one_turn(w);
    for (i = 0; i < HELD; i++)
        if (w->held[i] != NULL)
            give_one(w, w->held[i]);
    return NULL;
}

static int
be_busy_in_threads(peer *p, void *arg)
{
    static worker workers[THREADS];
    fpheap       *heap = open_it();
    unsigned      i;

    (void)p;
    for (i = 0; i < THREADS; i++) {
        worker *w = &workers[i];

        w->heap = heap;
        w->ring = (uint32_t *)fpheap_root(heap);
        NEED(w->ring != NULL);
        w->owner = 1 + THREADS * (uintptr_t)arg + i;
        w->random = test_random_of(w->owner);
        w->until = now_ms() + 1000 * test_soak();
        NEED(pthread_create(&w->thread, NULL, be_busy, w) == 0);
    }
    for (i = 0; i < THREADS; i++)
        NEED(pthread_join(workers[i].thread, NULL) == 0);
    NEED(fpheap_close(heap) == 0);
    return 0;
}

static void
no_object_of_many_processes_and_threads_has_two_owners(void **state)
{
    fpheap   *heap = create();
    uint32_t *ring = (uint32_t *)fpheap_zalloc(heap, RING * sizeof *ring);
    peer      p[PROCESSES];
    unsigned  i, n = 0;

    (void)state;
    assert_int_equal(fpheap_set_root(heap, ring), 0);
    peers_begin(p, PROCESSES, be_busy_in_threads);
    peers_end(p, PROCESSES);
    for (i = 0; i < RING; i++) {
        void *object = ring[i] == 0 ? NULL : fpheap_object(heap, ring[i]);

        assert_true((ring[i] == 0) == (object == NULL));
        if (object != NULL)
            expect_owner(heap, object, IN_RING);
        n += object != NULL;
        fpheap_free(heap, object);
    }
    assert_true(n > 0);
    assert_int_equal(members_of(heap).members, 1);
    TEST_CHECK_LIVE(heap, 1);
    fpheap_free(heap, ring);
    fpheap_flush(heap);
    assert_null(fpheap_root(heap));
    close_empty(heap);
}

/* --- pools ---------------------------------------------------------------- */

#define POOL 1000              /* objects that a test takes */

static fpheap_pool *
pool_without(fpheap *heap, const char *called)
{
    fpheap_pool *pool = fpheap_pool_lookup(heap, called);

    NEED(pool != NULL);
    return pool;
}

static size_t
objects_of(fpheap_pool *pool)
{
    fpheap_pool_stats s;

    fpheap_pool_stats_get(pool, &s);
    NEED(s.objects == s.live_objects + s.parked_objects + s.free_objects);
    return s.objects;
}

/* Make a pool's objects, and leave them behind. */
static int
make_objects(peer *p, void *arg)
{
    fpheap *heap = open_it();
    book    b;

    (void)arg;
    get_made(pool_with(heap, "things", &b), POOL);
    NEED(b.constructed >= POOL && b.wrong == 0);
    say(p, b.constructed);
    NEED(fpheap_close(heap) == 0);
    return 0;
}

static void
a_constructor_is_that_of_the_process_that_allocates(void **state)
{
    fpheap      *heap = create();
    fpheap_pool *pool;
    book         b;
    size_t       theirs;
    peer         p;

    (void)state;
    pool = pool_with(heap, "things", &b);
    peer_begin(&p, make_objects, NULL);
    theirs = (size_t)hear(&p);
    peer_end(&p);
    assert_int_equal(b.calls, 0);
    assert_int_equal(objects_of(pool), theirs);
    get_made(pool, POOL);
    assert_int_equal(objects_of(pool), theirs + b.constructed);
    put_all(pool, POOL);
    assert_int_equal(free_all(heap), POOL);
    (void)fpheap_trim(heap);
    assert_int_equal(objects_of(pool), 0);
    assert_int_equal(b.destructed, theirs + b.constructed);
    assert_int_equal(b.wrong, 0);
    END(pool);
    close_empty(heap);
}

/* Use a pool without callbacks. */
static int
get_without(peer *p, void *arg)
{
    fpheap      *heap = open_it();
    fpheap_pool *pool = pool_without(heap, "things");
    void        *own[20];
    unsigned     i;

    (void)arg;
    errno = 0;
    NEED(fpheap_pool_get(pool) == NULL && errno == ENOTSUP);
    NEED(objects_of(pool) == 0);
    errno = 0;
    NEED(fpheap_pool_get_bulk(pool, own, 20) == -ENOTSUP);
    pass_on(p);                /* the runner makes some */
    for (i = 0; i < 20; i++) {
        own[i] = fpheap_pool_get(pool);
        NEED(own[i] != NULL && word_of(own[i]) == made(own[i]));
    }
    fpheap_pool_put_bulk(pool, own, 20);
    NEED(fpheap_close(heap) == 0);
    return 0;
}

static void
without_its_constructor_only_objects_that_exist_are_had(void **state)
{
    fpheap      *heap = create();
    fpheap_pool *pool;
    book         b;
    peer         p;

    (void)state;
    pool = pool_with(heap, "things", &b);
    peer_begin(&p, get_without, NULL);
    (void)hear(&p);
    get_made(pool, 20);
    put_all(pool, 20);
    fpheap_flush(heap);
    say(&p, 0);
    peer_end(&p);
    assert_int_equal(objects_of(pool), b.constructed);
    END(pool);
    close_empty(heap);
}

/* Look for memory everywhere. */
static int
trim_without(peer *p, void *arg)
{
    fpheap      *heap = open_it();
    fpheap_pool *pool = arg != NULL ? pool_without(heap, "things") : NULL;

    (void)p;
    (void)fpheap_trim(heap);
    NEED(pool == NULL || objects_of(pool) >= POOL);
    NEED(fpheap_alloc(heap, 64 * TEST_MIB) == NULL && errno == ENOSPC);
    NEED(fpheap_close(heap) == 0);
    return 0;
}

static void
without_its_destructor_a_pools_slabs_stay(void **state)
{
    fpheap      *heap = create();
    fpheap_pool *pool;
    size_t       before, looks;
    book         b;
    peer         p;

    (void)state;
    pool = pool_with(heap, "things", &b);
    get_made(pool, POOL);
    put_all(pool, POOL);
    fpheap_flush(heap);
    fpheap_set_limit(heap, 16 * TEST_MIB);
    before = objects_of(pool);
    for (looks = 0; looks < 2; looks++) {
        peer_begin(&p, trim_without, looks == 0 ? NULL : &p);
        peer_end(&p);
        assert_int_equal(objects_of(pool), before);
        assert_int_equal(b.destructed, 0);
    }
    (void)fpheap_trim(heap);
    assert_int_equal(b.destructed, before);
    assert_int_equal(b.wrong, 0);
    END(pool);
    close_empty(heap);
}

/* End the pool, and make another of its number. */
static int
make_another(peer *p, void *arg)
{
    fpheap      *heap = open_it();
    fpheap_pool *pool;
    book         b;

    (void)arg;
    pool = pool_with(heap, "things", &b);
    NEED(fpheap_pool_destroy(pool, NULL) == 0);
    pool = pool_with(heap, "others", &b);
    get_made(pool, POOL);
    put_all(pool, POOL);
    fpheap_flush(heap);
    say(p, objects_of(pool));
    (void)hear(p);
    NEED(b.destructed == 0 && b.wrong == 0);
    (void)fpheap_trim(heap);
    NEED(objects_of(pool) == 0);
    NEED(b.destructed == b.constructed);
    NEED(fpheap_pool_destroy(pool, NULL) == 0);
    NEED(fpheap_close(heap) == 0);
    return 0;
}

static void
callbacks_of_a_pool_that_ended_are_not_those_of_its_successor(void **state)
{
    fpheap      *heap = create();
    fpheap_pool *pool, *other;
    size_t       n;
    book         b;
    peer         p;

    (void)state;
    pool = pool_with(heap, "things", &b);
    get_made(pool, 1);
    put_all(pool, 1);
    fpheap_flush(heap);
    n = b.constructed;
    (void)fpheap_trim(heap);
    assert_int_equal(b.destructed, n);
    peer_begin(&p, make_another, NULL);
    n = (size_t)hear(&p);
    (void)fpheap_trim(heap);   /* with the old handle */
    assert_int_equal(b.destructed, b.constructed);
    assert_null(fpheap_pool_lookup(heap, "things"));
    other = pool_without(heap, "others");
    assert_int_equal(other->number, pool->number);
    (void)fpheap_trim(heap);
    assert_int_equal(objects_of(other), n);
    assert_int_equal(get_until(other, ENOTSUP), n);
    put_all(other, (unsigned)n);
    fpheap_flush(heap);
    assert_int_equal(b.destructed, b.constructed);
    assert_int_equal(b.wrong, 0);
    say(&p, 0);
    peer_end(&p);
    close_empty(heap);
}

static void
a_pool_of_another_shape_is_refused(void **state)
{
    fpheap          *heap = create();
    fpheap_pool_desc desc = described("things", 104, 64);
    fpheap_pool     *pool = fpheap_pool_open(heap, &desc);

    (void)state;
    assert_non_null(pool);
    assert_ptr_equal(fpheap_pool_open(heap, &desc), pool);
    desc.size = 105;
    errno = 0;
    assert_null(fpheap_pool_open(heap, &desc));
    assert_int_equal(errno, EPROTO);
    desc = described("things", 104, 1024);
    errno = 0;
    assert_null(fpheap_pool_open(heap, &desc));
    assert_int_equal(errno, EPROTO);
    desc = described("things", 104, 3);
    errno = 0;
    assert_null(fpheap_pool_open(heap, &desc));
    assert_int_equal(errno, EINVAL);
    END(pool);
    close_empty(heap);
}

static int
open_pool(peer *p, void *arg)
{
    fpheap      *heap = open_it();
    book         b;
    fpheap_pool *pool;

    (void)arg;
    pass_on(p);                /* all are here */
    pool = pool_with(heap, "things", &b);
    get_made(pool, POOL);
    say(p, pool->number);
    say(p, b.constructed);
    NEED(fpheap_close(heap) == 0);
    return 0;
}

static void
processes_that_open_a_pool_at_once_have_the_same(void **state)
{
    fpheap  *heap = create();
    size_t   n    = 0;
    peer     p[PROCESSES];
    unsigned i;

    (void)state;
    peers_begin(p, PROCESSES, open_pool);
    for (i = 0; i < PROCESSES; i++)
        (void)hear(&p[i]);
    for (i = 0; i < PROCESSES; i++)
        say(&p[i], 0);
    for (i = 0; i < PROCESSES; i++) {
        assert_int_equal(hear(&p[i]), 0);
        n += (size_t)hear(&p[i]);
    }
    peers_end(p, PROCESSES);
    assert_int_equal(objects_of(pool_without(heap, "things")), n);
    TEST_CHECK_LIVE(heap, PROCESSES * POOL);
    assert_int_equal(free_all(heap), PROCESSES * POOL);
    close_empty(heap);
}

/* Claim 400 of 1000, and when asked all that are left. */
static int
claim_some(peer *p, void *arg)
{
    fpheap      *heap = open_it();
    fpheap_pool *pool = pool_without(heap, "things");

    (void)arg;
    get_all(pool, 400);
    fpheap_flush(heap);
    pass_on(p);
    errno = 0;
    NEED(fpheap_pool_get(pool) == NULL && errno == ENOSPC);
    put_all(pool, 400);
    fpheap_flush(heap);
    NEED(fpheap_close(heap) == 0);
    return 0;
}

static void
a_pools_maximum_is_exact_over_all_processes(void **state)
{
    fpheap          *heap = create();
    fpheap_pool_desc desc = described("things", 104, 0);
    fpheap_pool     *pool;
    peer             p;

    (void)state;
    desc.max = POOL;
    pool = fpheap_pool_create(heap, &desc);
    assert_non_null(pool);
    peer_begin(&p, claim_some, NULL);
    (void)hear(&p);
    assert_int_equal(get_until(pool, ENOSPC), POOL - 400);
    say(&p, 0);
    peer_end(&p);
    put_all(pool, POOL - 400);
    assert_int_equal(get_until(pool, ENOSPC), POOL);
    put_all(pool, POOL);
    (void)fpheap_trim(heap);
    assert_int_equal(fpheap_pool_set_max(pool, 10), 0);
    assert_int_equal(get_until(pool, ENOSPC), 10);
    put_all(pool, 10);
    END(pool);
    close_empty(heap);
}

/* Trim, and find as many objects of the pool as there were. */
static int
trim_and_look(peer *p, void *arg)
{
    fpheap      *heap = open_it();
    fpheap_pool *pool = pool_without(heap, "things");
    size_t       n;

    (void)p;
    (void)arg;
    n = objects_of(pool);
    NEED(n >= POOL);
    (void)fpheap_trim(heap);
    NEED(objects_of(pool) == n);
    NEED(fpheap_pool_set_max(pool, POOL / 2) == (arg != NULL ? -EINVAL : 0));
    NEED(fpheap_close(heap) == 0);
    return 0;
}

static void
a_pools_minimum_holds_in_other_processes(void **state)
{
    fpheap          *heap = create();
    fpheap_pool_desc desc = described("things", 104, 0);
    fpheap_pool     *pool;
    peer             p;

    (void)state;
    desc.min = POOL;
    pool = fpheap_pool_create(heap, &desc);
    assert_non_null(pool);
    peer_begin(&p, trim_and_look, &p);
    peer_end(&p);
    END(pool);
    close_empty(heap);
}

static void
type_stable_memory_stays_so_in_other_processes(void **state)
{
    fpheap          *heap = create();
    fpheap_pool_desc desc = described("things", 104, 0);
    fpheap_pool     *pool;
    unsigned         i;
    peer             p;

    (void)state;
    desc.flags = FPHEAP_TYPE_STABLE;
    pool = fpheap_pool_create(heap, &desc);
    assert_non_null(pool);
    get_all(pool, POOL);
    for (i = 0; i < POOL; i++)
        set_word(objects[i], made(objects[i]));
    put_all(pool, POOL);
    fpheap_flush(heap);
    peer_begin(&p, trim_and_look, NULL);
    peer_end(&p);
    for (i = 0; i < POOL; i++)
        assert_int_equal(word_of(objects[i]), made(objects[i]));
    END(pool);
    close_empty(heap);
}

static int
write_private(peer *p, void *arg)
{
    fpheap      *heap = open_it();
    fpheap_pool *pool = pool_without(heap, "things");
    char        *area = (char *)fpheap_pool_private(pool);

    (void)arg;
    say_object(p, area);
    NEED(test_all_bytes(area, 1000, 0x5a));
    memset(area, 0xa5, 1000);
    NEED(fpheap_close(heap) == 0);
    return 0;
}

static void
a_pools_private_area_is_the_same_in_all_processes(void **state)
{
    fpheap          *heap = create();
    fpheap_pool_desc desc = described("things", 104, 0);
    fpheap_pool     *pool;
    char            *area;
    peer             p;

    (void)state;
    desc.private_bytes = 1000;
    pool = fpheap_pool_create(heap, &desc);
    assert_non_null(pool);
    area = (char *)fpheap_pool_private(pool);
    assert_true(test_all_bytes(area, 1000, 0));
    memset(area, 0x5a, 1000);
    peer_begin(&p, write_private, NULL);
    assert_ptr_equal(hear_object(&p), area);
    peer_end(&p);
    assert_true(test_all_bytes(area, 1000, 0xa5));
    END(pool);
    close_empty(heap);
}

static int
end_pool(peer *p, void *arg)
{
    fpheap      *heap = open_it();
    fpheap_pool *pool = pool_without(heap, "things");
    size_t       live = 77;

    (void)arg;
    NEED(fpheap_pool_destroy(pool, &live) == -EBUSY && live == 1);
    pass_on(p);
    NEED(fpheap_pool_destroy(pool, &live) == 0 && live == 0);
    NEED(fpheap_close(heap) == 0);
    return 0;
}

static void
a_pool_ends_in_any_process_with_what_others_park(void **state)
{
    fpheap          *heap = create();
    fpheap_pool_desc desc = described("things", 104, 0);
    fpheap_pool     *pool = fpheap_pool_create(heap, &desc);
    peer             p;

    (void)state;
    assert_non_null(pool);
    get_all(pool, POOL);
    put_all(pool, POOL - 1);
    peer_begin(&p, end_pool, NULL);
    (void)hear(&p);
    fpheap_pool_put(pool, objects[POOL - 1]);
    say(&p, 0);
    peer_end(&p);
    errno = 0;
    assert_null(fpheap_pool_lookup(heap, "things"));
    assert_int_equal(errno, ENOENT);
    close_empty(heap);
}

/* --- handles -------------------------------------------------------------- */

/* Objects of all kinds in others[].  Returns how many. */
static unsigned
take_all_kinds(fpheap *heap)
{
    fpheap_pool_desc desc = described("things", 104, 0);
    fpheap_pool     *pool = fpheap_pool_open(heap, &desc);
    unsigned         n    = 0;
    unsigned         i;

    NEED(pool != NULL);
    for (i = 0; nth_size(i) != 0; i++)
        others[n++] = fpheap_alloc(heap, nth_size(i));
    for (i = 0; i < 1000; i++) {
        others[n++] = fpheap_pool_get(pool);
        others[n++] = fpheap_alloc(heap, 16 * (i % 64 + 1));
    }
    for (i = 0; i < n; i++)
        NEED(others[i] != NULL);
    return n;
}

static int
resolve_handle(void *arg, const fpheap_object *object)
{
    fpheap  *heap   = (fpheap *)arg;
    uint32_t handle = fpheap_handle(heap, object->base);

    NEED(handle != 0);
    NEED(fpheap_object(heap, handle) == object->base);
    return 0;
}

static int
resolve_all(peer *p, void *arg)
{
    fpheap      *heap = open_it();
    test_random  random = test_random_of(7);
    size_t       top  = heap->partition->bytes >> 4;
    unsigned     i, found = 0;

    (void)arg;
    NEED(fpheap_walk(heap, resolve_handle, heap) == 0);
    for (i = 0; i < 1000000; i++) {
        uint32_t handle = (uint32_t)(i % 4 == 0 ? test_next(&random)
                                   : test_below(&random, i % 4 == 1 ? top
                                                : 4 * TEST_MIB));
        void    *object = fpheap_object(heap, handle);

        if (object == NULL)
            continue;
        NEED(fpheap_handle(heap, object) == handle);
        NEED(fpheap_base_of(heap, object) == object);
        found++;
    }
    say(p, found);
    NEED(fpheap_close(heap) == 0);
    return 0;
}

static void
any_handle_gives_an_object_or_null_in_any_process(void **state)
{
    fpheap  *heap = create();
    unsigned n    = take_all_kinds(heap);
    unsigned i, at;
    uint32_t handle;
    peer     p;

    (void)state;
    assert_int_equal(fpheap_walk(heap, resolve_handle, heap), 0);
    peer_begin(&p, resolve_all, NULL);
    assert_true(hear(&p) > 0);
    peer_end(&p);
    assert_null(fpheap_object(heap, 0));
    assert_null(fpheap_object(heap, UINT32_MAX));
    for (i = 0; i < n; i++) {
        size_t bytes = fpheap_usable_size(heap, others[i]);

        for (at = 16; at < bytes && at < 4096; at += 16) {
            handle = fpheap_handle(heap, (char *)others[i] + at);
            assert_null(fpheap_object(heap, handle));
        }
        assert_int_equal(fpheap_handle(heap, (char *)others[i] + 1), 0);
    }
    assert_int_equal(free_all(heap), n);
    close_empty(heap);
}

static void
the_handle_of_a_freed_object_gives_null(void **state)
{
    static uint32_t handles[MOST];
    fpheap         *heap = create();
    unsigned        n    = take_all_kinds(heap);
    unsigned        i;

    (void)state;
    for (i = 0; i < n; i++)
        handles[i] = fpheap_handle(heap, others[i]);
    fpheap_free_bulk(heap, others, n);
    (void)fpheap_trim(heap);   /* what is parked still counts as live */
    for (i = 0; i < n; i++)
        assert_null(fpheap_object(heap, handles[i]));
    close_empty(heap);
}

static int
read_root(peer *p, void *arg)
{
    fpheap *heap = open_it();

    (void)arg;
    say_object(p, fpheap_root(heap));
    NEED(test_all_bytes(fpheap_root(heap), 100, 0x5a));
    NEED(fpheap_set_root(heap, NULL) == 0);
    NEED(fpheap_close(heap) == 0);
    return 0;
}

static void
the_root_is_the_same_in_all_processes(void **state)
{
    fpheap  *heap = create();
    char    *root = (char *)fpheap_alloc(heap, 100);
    peer     p;

    (void)state;
    assert_non_null(root);
    assert_null(fpheap_root(heap));
    memset(root, 0x5a, 100);
    assert_int_equal(fpheap_set_root(heap, root), 0);
    assert_int_equal(fpheap_set_root(heap, &p), -EINVAL);
    assert_int_equal(fpheap_set_root(heap, root + 1), -EINVAL);
    assert_ptr_equal(fpheap_root(heap), root);
    peer_begin(&p, read_root, NULL);
    assert_ptr_equal(hear_object(&p), root);
    peer_end(&p);
    assert_null(fpheap_root(heap));
    assert_int_equal(fpheap_set_root(heap, root), 0);
    fpheap_free(heap, root);
    fpheap_flush(heap);
    assert_null(fpheap_root(heap));
    close_empty(heap);
}

/* --- what the dead lent --------------------------------------------------- */

/* Stop where records are to be a new chunk's, and are in no table yet. */
static int
lend_and_stay(peer *p, void *arg)
{
    fpheap      *heap    = open_it();
    fph_records *records = fph_records_make(heap, 0);

    (void)arg;
    NEED(records != NULL);
    records->chunk = heap->state->mask >> FPH_PAGE_BITS;
    NEED(heap->state->chunks[records->chunk].records == NULL);
    fph_records_lent(records, (char *)heap->partition);
    say_object(p, records);
    while (pause() != 0)
        ;
    return 0;
}

static void
records_that_the_dead_lent_to_no_chunk_are_nobodys(void **state)
{
    fpheap      *heap = create();
    fph_records *records;
    peer         p;

    (void)state;
    peer_begin(&p, lend_and_stay, NULL);
    records = (fph_records *)hear_object(&p);
    peer_kill(&p);
    assert_int_equal(fpheap_recover(heap, 0), 1);
#if FPH_WATCHED
    assert_ptr_equal(records->life.base, FPH_NO_BASE);
#endif
    assert_ptr_equal(fph_records_make(heap, 0), records);
    fph_stack_push(&heap->state->records.word, &records->link);
    close_empty(heap);
}

/* Make this process's handle anew, and look at it. */
static void
check_own(fpheap *heap, fpheap_pool *record)
{
    fpheap_pool *pool = &heap->pools[record->number];

    memset(pool, 0x5a, sizeof(*pool));
    assert_ptr_equal(fph_pool_own(heap, record), pool);
    assert_int_equal(pool->entry, fph_entry_offset(heap)
                                  + (record->node == FPHEAP_ANY_NODE
                                     ? offsetof(fph_entry, local)
                                     : offsetof(fph_entry, bins)));
    assert_int_equal(pool->offset, record->offset);
    assert_int_equal(pool->one_bin, record->one_bin);
    assert_int_equal(pool->tag, record->tag);
    assert_int_equal(pool->destructor, record->destructor);
    assert_int_equal(pool->requested, record->requested);
    assert_int_equal(pool->node, record->node);
    assert_int_equal(pool->number, record->number);
    assert_ptr_equal(pool->heap, heap);
    assert_ptr_equal(pool->record, record);
    assert_int_equal(pool->version,
                     heap->state->pool_is[record->number] / 8);
    assert_true(pool->construct == NULL && pool->construct_nth == NULL);
    assert_true(pool->destruct == NULL && pool->arg == NULL);
    assert_true(pool->emergency == NULL && pool->front == NULL);
    pool->arg = pool;          /* it stays as it is from now on */
    assert_ptr_equal(fph_pool_own(heap, record), pool);
    assert_ptr_equal(pool->arg, pool);
}

static void
a_process_has_a_handle_of_its_own_with_all_that_the_record_says(void **state)
{
    fpheap          *heap = create();
    fpheap_pool_desc desc = described("first", 104, 64);
    fpheap_pool     *first = fpheap_pool_open(heap, &desc);
    fpheap_pool     *pool, *record, was;

    (void)state;
    desc = described("second", 1000, 64);
    pool = fpheap_pool_open(heap, &desc);
    assert_true(first != NULL && pool != NULL && pool->number == 1);
    assert_ptr_equal(fpheap_pool_open(heap, &desc), pool);
    record = pool->record;
    was = *record;
    check_own(heap, record);
    record->node = 0;
    record->tag = 3;
    record->destructor = 4;
    record->one_bin = 5;
    record->offset = 6;
    check_own(heap, record);
    *record = was;
    check_own(heap, record);
    END(pool);
    END(first);
    close_empty(heap);
}

static int
construct_nth(fpheap_pool *pool, void *arg, void *object, size_t nth)
{
    (void)pool, (void)arg, (void)object, (void)nth;
    return 0;
}

/* What one process can call, others cannot. */
static void
callbacks_are_in_the_handle_and_not_in_the_record(void **state)
{
    fpheap          *heap = create();
    book             b;
    fpheap_pool_desc desc = with_book("called", 104, &b);
    fpheap_pool     *pool, *record;

    (void)state;
    desc.construct = NULL;
    desc.construct_nth = construct_nth;
    pool = fpheap_pool_open(heap, &desc);
    assert_non_null(pool);
    record = pool->record;
    assert_ptr_not_equal(record, pool);
    assert_true(pool->construct_nth == construct_nth);
    assert_true(pool->destruct == desc.destruct && pool->arg == &b);
    assert_true(record->heap == NULL && record->arg == NULL);
    assert_true(record->construct == NULL && record->construct_nth == NULL);
    assert_true(record->destruct == NULL);
    END(pool);
    desc = with_book("called", 104, &b);
    pool = fpheap_pool_open(heap, &desc);
    assert_true(pool != NULL && pool->record == record);
    assert_true(pool->construct == desc.construct);
    assert_true(pool->construct_nth == NULL);
    assert_true(record->construct == NULL && record->destruct == NULL);
    END(pool);
    close_empty(heap);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        SHARED_TEST(objects_of_every_size_are_the_same_in_two_processes),
        SHARED_TEST(an_object_of_another_process_can_be_resized_and_aligned),
        SHARED_TEST(bulks_of_one_process_are_freed_by_another),
        SHARED_TEST(a_trim_frees_what_another_process_had),
        SHARED_TEST(what_is_freed_is_parked_and_not_given_back_one_by_one),
        SHARED_TEST(
            what_a_block_has_left_when_the_next_one_comes_are_magazines_too),
        SHARED_TEST(records_that_the_dead_lent_to_no_chunk_are_nobodys),
        SHARED_TEST(trims_go_on_while_other_processes_allocate),
        SHARED_TEST(a_limit_that_one_process_sets_holds_for_all),
        SHARED_TEST(what_a_process_leaves_live_another_frees),
        SHARED_TEST(a_thread_that_ends_and_a_process_that_closes_park_nothing),
        SHARED_TEST(no_object_of_many_processes_and_threads_has_two_owners),
        SHARED_TEST(a_constructor_is_that_of_the_process_that_allocates),
        SHARED_TEST(without_its_constructor_only_objects_that_exist_are_had),
        SHARED_TEST(without_its_destructor_a_pools_slabs_stay),
        SHARED_TEST(callbacks_of_a_pool_that_ended_are_not_those_of_its_successor),
        SHARED_TEST(a_pool_of_another_shape_is_refused),
        SHARED_TEST(
            a_process_has_a_handle_of_its_own_with_all_that_the_record_says),
        SHARED_TEST(callbacks_are_in_the_handle_and_not_in_the_record),
        SHARED_TEST(processes_that_open_a_pool_at_once_have_the_same),
        SHARED_TEST(a_pools_maximum_is_exact_over_all_processes),
        SHARED_TEST(a_pools_minimum_holds_in_other_processes),
        SHARED_TEST(type_stable_memory_stays_so_in_other_processes),
        SHARED_TEST(a_pools_private_area_is_the_same_in_all_processes),
        SHARED_TEST(a_pool_ends_in_any_process_with_what_others_park),
        SHARED_TEST(any_handle_gives_an_object_or_null_in_any_process),
        SHARED_TEST(the_handle_of_a_freed_object_gives_null),
        SHARED_TEST(the_root_is_the_same_in_all_processes)
    };

    return cmocka_run_group_tests_name("shared", tests, NULL, NULL);
}
