/* test_grow.c - the driver fpheap_grow: what its pools begin with, what objects
 * made later are like, who may look at a pool while it grows, who waits for what
 *
 *     FPHEAP_EAL="-d DIR/librte_mempool_fpheap_grow.so --no-huge ..." test_grow
 *
 * It starts itself again as a process that ends the EAL before its pools, and as
 * a secondary process.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "eal.h"

#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <sys/personality.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_log.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <rte_ring.h>

enum { MBUFS = 20000, PRIVATE = 64, ROOM = 2048 + RTE_PKTMBUF_HEADROOM,
       OBJECT = sizeof(struct rte_mbuf) + PRIVATE + ROOM };

static void *objects[150000];

/* --- pools ------------------------------------------------------------------ */

static struct rte_mempool *
pool_of(const char *ops, unsigned n, const char *options)
{
    static unsigned number;
    struct rte_pktmbuf_pool_private private = {
        .mbuf_data_room_size = ROOM, .mbuf_priv_size = PRIVATE };
    struct rte_mempool *mp;
    char name[RTE_MEMPOOL_NAMESIZE];
    int  rc;

    snprintf(name, sizeof name, "grow_%d_%u", (int)getpid(), number++);
    mp = rte_mempool_create_empty(name, n, OBJECT, 0, sizeof private,
                                  (int)rte_socket_id(), 0);
    assert_non_null(mp);
    assert_int_equal(rte_mempool_set_ops_byname(
                         mp, ops, (void *)(uintptr_t)options), 0);
    rte_pktmbuf_pool_init(mp, &private);
    rc = rte_mempool_populate_default(mp);
    if (rc < 0) {
        rte_mempool_free(mp);
        rte_errno = -rc;
        return NULL;
    }
    rte_mempool_obj_iter(mp, rte_pktmbuf_init, NULL);
    return mp;
}

static struct rte_mempool *
growing_pool(unsigned n, const char *options)
{
    struct rte_mempool *mp = pool_of("fpheap_grow", n, options);

    assert_non_null(mp);
    return mp;
}

/* All that there are, one by one. */
static unsigned
get_all(struct rte_mempool *mp)
{
    unsigned n = 0;

    while (n < RTE_DIM(objects) && rte_mempool_get(mp, &objects[n]) == 0)
        n++;
    return n;
}

static void
put_all(struct rte_mempool *mp, unsigned n)
{
    if (n != 0)
        rte_mempool_put_bulk(mp, objects, n);
}

/* Whether it is as rte_pktmbuf_init() makes it. */
static bool
is_whole(struct rte_mempool *mp, const struct rte_mbuf *m)
{
    return rte_mempool_from_obj((void *)(uintptr_t)m) == mp
        && m->buf_addr == (const char *)m + sizeof *m + PRIVATE
        && rte_mbuf_iova_get(m)
           == rte_mempool_virt2iova(m) + sizeof *m + PRIVATE
        && m->buf_len == ROOM && m->priv_size == PRIVATE && m->pool == mp
        && m->nb_segs == 1 && m->next == NULL && m->data_off != 0
        && rte_mbuf_refcnt_read(m) == 1;
}

static size_t
heap_bytes(void)
{
    struct rte_malloc_socket_stats s;

    memset(&s, 0, sizeof s);
    rte_malloc_get_socket_stats((int)rte_socket_id(), &s);
    return s.heap_allocsz_bytes;
}

/* --- what is logged, and what telemetry says -------------------------------- */

static char  *logged;
static size_t logged_bytes;
static FILE  *log_stream;

static void
listen_to_log(void)
{
    log_stream = open_memstream(&logged, &logged_bytes);
    assert_non_null(log_stream);
    rte_openlog_stream(log_stream);
}

/* Whether the text was logged since. */
static bool
was_logged(const char *text)
{
    bool was;

    rte_openlog_stream(NULL);
    fclose(log_stream);
    was = strstr(logged, text) != NULL;
    if (!was)
        print_error("not in the log: %s\nthe log: %s\n", text, logged);
    free(logged);
    return was;
}

/* The number that telemetry has under `key` of a pool. */
static long
told(const struct rte_mempool *mp, const char *key)
{
    struct sockaddr_un where = { .sun_family = AF_UNIX };
    char    text[1024], quoted[64];
    char   *at;
    ssize_t got;
    int     fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);

    snprintf(where.sun_path, sizeof where.sun_path, "%s/dpdk_telemetry.v2",
             rte_eal_get_runtime_dir());
    if (connect(fd, (struct sockaddr *)&where, sizeof where) != 0
        || read(fd, text, sizeof text) <= 0)
        fail_msg("no telemetry at %s", where.sun_path);
    snprintf(text, sizeof text, "/fpheap/mempool,%s", mp->name);
    got = write(fd, text, strlen(text));
    assert_true(got > 0);
    got = read(fd, text, sizeof text - 1);
    assert_true(got > 0);
    text[got] = '\0';
    close(fd);
    snprintf(quoted, sizeof quoted, "\"%s\":", key);
    at = strstr(text, quoted);
    if (at == NULL)
        fail_msg("no %s in %s", quoted, text);
    return strtol(at + strlen(quoted), NULL, 10);
}

/* Wait until telemetry says so, ten seconds at most. */
static bool
is_told(const struct rte_mempool *mp, const char *key, long least)
{
    unsigned i;

    for (i = 0; i < 10000 && told(mp, key) < least; i++)
        usleep(1000);
    return told(mp, key) >= least;
}

/* --- the objects of a new pool ---------------------------------------------- */

static void
fill_private(struct rte_mempool *mp, void *arg, void *object, unsigned i)
{
    (void)mp;
    (void)i;
    memset((struct rte_mbuf *)object + 1, *(int *)arg, PRIVATE);
}

static void
fill_room(struct rte_mempool *mp, void *arg, void *object, unsigned i)
{
    (void)mp;
    (void)i;
    memset(((struct rte_mbuf *)object)->buf_addr, *(int *)arg, ROOM);
}

static void
number_room(struct rte_mempool *mp, void *arg, void *object, unsigned i)
{
    (void)mp;
    (void)arg;
    memcpy((char *)object + OBJECT - sizeof i, &i, sizeof i);
}

static bool
is_filled(const void *bytes, size_t n, int with)
{
    const unsigned char *b = bytes;

    while (n != 0 && b[n - 1] == (unsigned char)with)
        n--;
    return n == 0;
}

static void
objects_made_later_have_the_private_area_of_the_first(void **state)
{
    struct rte_mempool *mp = growing_pool(MBUFS, NULL);
    int      with = 0x5a;
    unsigned n, i, first = mp->populated_size;

    (void)state;
    rte_mempool_obj_iter(mp, fill_private, &with);
    n = get_all(mp);
    assert_int_equal(n, MBUFS);
    assert_true(first < MBUFS / 10);
    for (i = 0; i < n; i++) {
        assert_true(is_whole(mp, objects[i]));
        assert_true(is_filled((struct rte_mbuf *)objects[i] + 1, PRIVATE,
                              with));
    }
    put_all(mp, n);
    rte_mempool_free(mp);
}

static void
objects_made_later_have_the_data_of_the_first(void **state)
{
    struct rte_mempool *mp = growing_pool(MBUFS, NULL);
    int      with = 0xa5;
    unsigned n, i;

    (void)state;
    rte_mempool_obj_iter(mp, fill_room, &with);
    n = get_all(mp);
    assert_int_equal(n, MBUFS);
    for (i = 0; i < n; i++)
        assert_true(is_filled(((struct rte_mbuf *)objects[i])->buf_addr, ROOM,
                              with));
    put_all(mp, n);
    rte_mempool_free(mp);
}

static void
a_pool_whose_objects_differ_says_so_and_does_not_grow(void **state)
{
    struct rte_mempool *mp = growing_pool(MBUFS, NULL);
    unsigned first = mp->populated_size, n, i, seen = 0, at;

    (void)state;
    rte_mempool_obj_iter(mp, number_room, NULL);
    listen_to_log();
    n = get_all(mp);
    assert_true(was_logged("cannot grow beyond"));
    assert_int_equal(n, first);
    assert_int_equal(rte_mempool_avail_count(mp), 0);
    for (i = 0; i < n; i++) {
        memcpy(&at, (char *)objects[i] + OBJECT - sizeof at, sizeof at);
        seen += at;
    }
    assert_int_equal(seen, first * (first - 1) / 2);
    put_all(mp, n);
    assert_int_equal(rte_mempool_avail_count(mp), MBUFS);
    rte_mempool_free(mp);
}

/* --- options ---------------------------------------------------------------- */

static void
a_minimum_is_made_with_the_pool(void **state)
{
    struct rte_mempool *mp = growing_pool(MBUFS, "min=5000");

    (void)state;
    assert_true(mp->populated_size >= 5000 && mp->populated_size <= 6000);
    assert_int_equal(get_all(mp), MBUFS);
    put_all(mp, MBUFS);
    rte_mempool_free(mp);
    setenv("FPHEAP_MEMPOOL_MIN", "999999", 1);
    mp = growing_pool(MBUFS, NULL);
    assert_int_equal(mp->populated_size, MBUFS);
    rte_mempool_free(mp);
    unsetenv("FPHEAP_MEMPOOL_MIN");
}

static void
without_memory_for_the_minimum_there_is_no_pool(void **state)
{
    size_t before = heap_bytes();

    (void)state;
    listen_to_log();
    assert_null(pool_of("fpheap_grow", 2000000, "min=2000000"));
    assert_true(was_logged("no memory for the first 2000000 objects"));
    assert_int_equal(heap_bytes(), before);
}

static void
options_that_are_none_are_named_and_make_no_pool(void **state)
{
    static const char *const bad[] = { "min", "min=", "min=x", "min=-1",
        "ahead=1x", "ahead=99999999999", "max=1", "min=1;ahead=2",
        "min=1,ahead=2,min=000000000000000000000000000000000000000000000001" };
    size_t   before = heap_bytes();
    unsigned i;

    (void)state;
    for (i = 0; i < RTE_DIM(bad); i++) {
        listen_to_log();
        assert_null(pool_of("fpheap_grow", 1000, bad[i]));
        assert_int_equal(rte_errno, EINVAL);
        assert_true(was_logged(bad[i]));
    }
    setenv("FPHEAP_MEMPOOL_AHEAD", "many", 1);
    listen_to_log();
    assert_null(pool_of("fpheap_grow", 1000, NULL));
    assert_true(was_logged("FPHEAP_MEMPOOL_AHEAD=many"));
    unsetenv("FPHEAP_MEMPOOL_AHEAD");
    assert_int_equal(heap_bytes(), before);
}

/* Slowly enough that the thread gets a processor now and then. */
static long
slices_by_gets(const char *options)
{
    struct rte_mempool *mp = growing_pool(MBUFS, options);
    unsigned n;
    long     by_gets;

    assert_int_equal(told(mp, "ready"), 0);
    assert_int_equal(rte_mempool_get(mp, &objects[0]), 0);
    if (options != NULL)
        assert_true(is_told(mp, "ready", 1));
    for (n = 1; n + 32 <= MBUFS; n += 32) {
        assert_int_equal(rte_mempool_get_bulk(mp, &objects[n], 32), 0);
        usleep(100);
    }
    by_gets = told(mp, "slices_by_gets");
    put_all(mp, n);
    rte_mempool_free(mp);
    return by_gets;
}

static void
with_objects_ahead_gets_need_not_make_any(void **state)
{
    long alone = slices_by_gets(NULL), ahead = alone;
    int  i;

    (void)state;
    for (i = 0; i < 10 && ahead > alone / 10; i++)
        ahead = slices_by_gets("ahead=4000");
    print_message("figure: slices made by gets: %ld of 50; with ahead=4000 "
                  "%ld\n", alone, ahead);
    assert_true(alone >= 40);
    assert_true(ahead <= alone / 10);
}

static void
nothing_is_made_ahead_before_the_first_get(void **state)
{
    struct rte_mempool *a = growing_pool(MBUFS, "ahead=4000");
    struct rte_mempool *b = growing_pool(MBUFS, "ahead=4000");
    void *m = NULL;

    (void)state;
    assert_int_equal(rte_mempool_get(a, &m), 0);
    assert_true(is_told(a, "ready", 3000));
    assert_int_equal(told(b, "ready"), 0);
    assert_int_equal(a->populated_size, b->populated_size);
    rte_mempool_put(a, m);
    rte_mempool_free(a);
    rte_mempool_free(b);
}

/* Objects that are ready ahead when another pool has been made and freed. */
static long
ready_beside_another(long all)
{
    struct rte_mempool *mp = growing_pool((unsigned)all, "ahead=50000");
    void *m = NULL;
    long  ready;

    assert_int_equal(rte_mempool_get(mp, &m), 0);
    assert_true(is_told(mp, "ready", 1));
    rte_mempool_free(growing_pool(100, NULL));
    ready = told(mp, "ready");
    rte_mempool_put(mp, m);
    rte_mempool_free(mp);
    return ready;
}

static void
pools_come_and_go_while_another_gets_objects_ahead(void **state)
{
    enum { ALL = 50000 };
    long ready = ALL;
    int  i;

    (void)state;
    for (i = 0; i < 10 && ready > ALL / 2; i++)
        ready = ready_beside_another(ALL);
    print_message("figure: %ld objects ready of %d\n", ready, ALL);
    assert_true(ready <= ALL / 2);
}

/* --- beside the EAL's locks ------------------------------------------------- */

static bool stop;              /* atomic */

/* Writers of the EAL's lists. */
static int
make_rings(void *arg)
{
    unsigned *rounds = arg;
    struct rte_ring *ring;
    char name[RTE_RING_NAMESIZE];

    snprintf(name, sizeof name, "rings_%d_%u", (int)getpid(), rte_lcore_id());
    for (; !__atomic_load_n(&stop, __ATOMIC_RELAXED); ++*rounds) {
        ring = rte_ring_create(name, 64, (int)rte_socket_id(), 0);
        if (ring == NULL)
            return -1;
        rte_ring_free(ring);
    }
    return 0;
}

static unsigned
other_lcore(void)
{
    unsigned lcore = rte_get_next_lcore(-1, 1, 0);

    if (lcore >= RTE_MAX_LCORE) {
        print_message("why: one lcore\n");
        skip();
    }
    return lcore;
}

static void
beside_rings(void (*round)(void), unsigned rounds)
{
    unsigned lcore = other_lcore(), made = 0, i;

    __atomic_store_n(&stop, false, __ATOMIC_RELAXED);
    assert_int_equal(rte_eal_remote_launch(make_rings, &made, lcore), 0);
    alarm(240);                  /* a deadlock ends the program */
    for (i = 0; i < rounds; i++)
        round();
    alarm(0);
    __atomic_store_n(&stop, true, __ATOMIC_RELAXED);
    assert_int_equal(rte_eal_wait_lcore(lcore), 0);
    print_message("figure: %u rounds beside %u rings\n", rounds, made);
    assert_true(made > 0);
}

static void
use_pool_ahead(void)
{
    struct rte_mempool *mp = growing_pool(2000, "ahead=2000");
    unsigned n = get_all(mp);

    assert_int_equal(n, 2000);
    put_all(mp, n);
    rte_mempool_free(mp);
}

static void
pools_with_objects_ahead_come_and_go_beside_rings(void **state)
{
    (void)state;
    beside_rings(use_pool_ahead, 1000);
}

static void
get_whole_pool(struct rte_mempool *mp, void *arg)
{
    if (mp == arg) {
        assert_int_equal(get_all(mp), 2000);
        put_all(mp, 2000);
    }
}

static void
grow_in_a_walk(void)
{
    struct rte_mempool *mp = growing_pool(2000, NULL);

    rte_mempool_walk(get_whole_pool, mp);
    rte_mempool_free(mp);
}

static void
a_pool_grows_while_a_list_of_the_eal_is_locked(void **state)
{
    (void)state;
    beside_rings(grow_in_a_walk, 200);
}

/* --- beside those who look at it -------------------------------------------- */

typedef struct look {
    struct rte_mempool *mp;
    unsigned            objects, broken, chunks, looks;
} look;

static void
see_object(struct rte_mempool *mp, void *arg, void *object, unsigned i)
{
    look *l = arg;

    (void)i;
    l->objects++;
    l->broken += !is_whole(mp, object);
}

static void
see_chunk(struct rte_mempool *mp, void *arg, struct rte_mempool_memhdr *chunk,
          unsigned i)
{
    look *l = arg;

    (void)i;
    l->chunks++;
    l->broken += chunk->mp != mp || chunk->addr == NULL || chunk->len == 0;
}

static int
look_on(void *arg)
{
    look *l   = arg;
    FILE *out = fopen("/dev/null", "w");
    unsigned objects_before = 0, chunks_before = 0;

    while (out != NULL && !__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
        l->objects = l->chunks = 0;
        rte_mempool_obj_iter(l->mp, see_object, l);
        rte_mempool_mem_iter(l->mp, see_chunk, l);
        rte_mempool_dump(out, l->mp);
        l->broken += l->objects < objects_before || l->chunks < chunks_before;
        objects_before = l->objects;
        chunks_before = l->chunks;
        l->looks++;
    }
    return out == NULL ? -1 : fclose(out);
}

static void
whoever_walks_a_pool_that_grows_sees_whole_objects(void **state)
{
    unsigned lcore = other_lcore(), i, looks = 0;

    (void)state;
    for (i = 0; i < 30; i++) {
        look     l = { .mp = growing_pool(MBUFS, NULL) };
        unsigned n = 0;

        __atomic_store_n(&stop, false, __ATOMIC_RELAXED);
        assert_int_equal(rte_eal_remote_launch(look_on, &l, lcore), 0);
        for (; n < MBUFS; n += 100) {
            assert_int_equal(rte_mempool_get_bulk(l.mp, &objects[n], 100), 0);
            usleep(20);
        }
        __atomic_store_n(&stop, true, __ATOMIC_RELAXED);
        assert_int_equal(rte_eal_wait_lcore(lcore), 0);
        assert_int_equal(l.broken, 0);
        looks += l.looks;
        put_all(l.mp, n);
        rte_mempool_free(l.mp);
    }
    print_message("figure: %u looks\n", looks);
    assert_true(looks > 60);
}

/* --- too little memory ------------------------------------------------------ */

static void
after_a_failure_only_what_there_is_is_available(void **state)
{
    struct rte_mempool *mp = growing_pool(RTE_DIM(objects), NULL);
    unsigned n, made;

    (void)state;
    listen_to_log();
    n = get_all(mp);
    assert_true(was_logged("cannot grow beyond"));
    assert_true(n > 1000 && n < RTE_DIM(objects));
    assert_int_equal(rte_mempool_avail_count(mp), 0);
    assert_true(told(mp, "failures") > 0);
    made = mp->populated_size;
    rte_mempool_put_bulk(mp, objects, 100);
    assert_int_equal(rte_mempool_avail_count(mp), 100);
    rte_mempool_put_bulk(mp, objects + 100, n - 100);
    assert_int_equal(rte_mempool_avail_count(mp), mp->size);
    assert_int_equal(rte_mempool_in_use_count(mp), 0);
    assert_int_equal(made, n);
    rte_mempool_free(mp);
}

static void
with_all_objects_back_a_pool_is_full_though_caches_hold_some(void **state)
{
    struct rte_mempool *mp = rte_pktmbuf_pool_create_by_ops("cached",
        RTE_DIM(objects), 64, PRIVATE, ROOM, (int)rte_socket_id(),
        "fpheap_grow");
    unsigned n;

    (void)state;
    assert_non_null(mp);
    n = get_all(mp);
    assert_true(n < RTE_DIM(objects));
    assert_false(rte_mempool_full(mp));
    put_all(mp, n - 10);
    rte_mempool_put_bulk(mp, objects + n - 10, 9);
    assert_int_equal(rte_mempool_avail_count(mp), n - 1);
    rte_mempool_put(mp, objects[n - 1]);
    assert_true(rte_mempool_full(mp));
    rte_mempool_free(mp);
}

static void
a_pool_grows_again_when_there_is_memory_again(void **state)
{
    struct rte_mempool *mp = growing_pool(RTE_DIM(objects), NULL);
    struct rte_mempool *other = growing_pool(MBUFS, "min=20000");
    unsigned n = get_all(mp), more = 0;

    (void)state;
    assert_true(n < RTE_DIM(objects));
    rte_mempool_free(other);
    usleep(20000);
    while (n + more < RTE_DIM(objects)
           && rte_mempool_get(mp, &objects[n + more]) == 0)
        more++;
    print_message("figure: %u objects, %u more afterwards\n", n, more);
    assert_true(more > MBUFS / 2);
    assert_int_equal(rte_mempool_in_use_count(mp), mp->size);
    put_all(mp, n + more);
    rte_mempool_free(mp);
}

/* --- memory that the application brings ------------------------------------- */

static char brought[1 << 20] __attribute__((aligned(4096)));

static bool
is_brought(const void *object)
{
    return (uintptr_t)object - (uintptr_t)brought < sizeof brought;
}

static struct rte_mempool *
unpopulated_pool(void)
{
    struct rte_pktmbuf_pool_private private = {
        .mbuf_data_room_size = ROOM, .mbuf_priv_size = PRIVATE };
    struct rte_mempool *mp = rte_mempool_create_empty("brought", MBUFS, OBJECT,
        0, sizeof private, (int)rte_socket_id(), 0);

    assert_non_null(mp);
    assert_int_equal(rte_mempool_set_ops_byname(mp, "fpheap_grow", NULL), 0);
    rte_pktmbuf_pool_init(mp, &private);
    return mp;
}

static int
bring(struct rte_mempool *mp, size_t from, size_t bytes)
{
    return rte_mempool_populate_iova(mp, brought + from,
                                     (uintptr_t)brought + from, bytes, NULL,
                                     NULL);
}

static void
a_pool_of_the_applications_memory_has_only_that(void **state)
{
    struct rte_mempool *mp = unpopulated_pool();
    size_t   least, least_of_any, align;
    unsigned n, i;
    int      made;

    (void)state;
    assert_int_equal(
        rte_mempool_get_ops(mp->ops_index)->calc_mem_size(mp, 10, 0, &least,
                                                          &align),
        rte_mempool_op_calc_mem_size_default(mp, 10, 0, &least_of_any, &align));
    assert_int_equal(least, least_of_any);
    assert_true(bring(mp, 0, 64) <= 0);
    made = bring(mp, 64, sizeof brought - 64);
    assert_true(made > 100);
    assert_int_equal(rte_mempool_avail_count(mp), made);
    n = get_all(mp);
    assert_int_equal(n, made);
    assert_int_equal(rte_mempool_avail_count(mp), 0);
    for (i = 0; i < n; i++)
        assert_true(is_brought(objects[i]));
    put_all(mp, n);
    rte_mempool_free(mp);
}

static void
a_pool_that_grows_takes_no_memory_of_the_application(void **state)
{
    struct rte_mempool *mp = unpopulated_pool();
    unsigned i;

    (void)state;
    assert_true(rte_mempool_populate_anon(mp) > 0);
    rte_mempool_obj_iter(mp, rte_pktmbuf_init, NULL);
    assert_true(bring(mp, 0, sizeof brought) <= 0);
    assert_int_equal(rte_mempool_populate_default(mp), -EEXIST);
    assert_int_equal(get_all(mp), MBUFS);
    for (i = 0; i < MBUFS; i++)
        assert_false(is_brought(objects[i]));
    put_all(mp, MBUFS);
    rte_mempool_free(mp);
}

/* --- gets that fail --------------------------------------------------------- */

/* Mempool rolls its cache back by its length alone, since the objects in it
 * "are intact": the driver is given the cache to write to. */
static void
a_get_that_fails_leaves_mempools_cache_as_it_was(void **state)
{
    enum { ALL = 200, CACHED = 40 };
    struct rte_mempool_cache *cache = rte_mempool_cache_create(64,
                                                               SOCKET_ID_ANY);
    struct rte_mempool *mp = growing_pool(ALL, NULL);
    void    *more[ALL];
    unsigned i, n, twice = 0;

    (void)state;
    assert_non_null(cache);
    assert_int_equal(get_all(mp), ALL);
    rte_mempool_generic_put(mp, objects, CACHED, cache);
    rte_mempool_put_bulk(mp, objects + CACHED, 3);
    assert_true(rte_mempool_generic_get(mp, more, CACHED + 20, cache) < 0);
    for (n = 0; rte_mempool_generic_get(mp, &more[n], 1, cache) == 0; n++)
        for (i = 0; i < n; i++)
            twice += more[i] == more[n];
    assert_int_equal(twice, 0);
    assert_int_equal(n, CACHED + 3);
    put_all(mp, ALL);
    rte_mempool_cache_free(cache);
    rte_mempool_free(mp);
}

/* --- the wrong driver ------------------------------------------------------- */

static int32_t
index_of(const char *ops)
{
    unsigned i;

    for (i = 0; i < rte_mempool_ops_table.num_ops; i++)
        if (strcmp(rte_mempool_ops_table.ops[i].name, ops) == 0)
            return (int32_t)i;
    return -1;
}

/* What a process sees that loaded other drivers than the one that made it. */
static void
a_pool_of_another_driver_is_refused(void **state)
{
    static const char *const others[] = { "ring_mp_mc", "stack", "lf_stack" };
    struct rte_mempool *mp;
    void    *m = NULL;
    unsigned i;
    int32_t  right;

    (void)state;
    for (i = 0; i < RTE_DIM(others); i++) {
        if (index_of(others[i]) < 0)
            continue;
        mp = pool_of(others[i], 100, NULL);
        assert_non_null(mp);
        right = mp->ops_index;
        mp->ops_index = index_of("fpheap_grow");
        if (i == 0)
            listen_to_log();
        assert_true(rte_mempool_get(mp, &m) < 0);
        assert_int_equal(rte_mempool_avail_count(mp), 0);
        if (i == 0)
            assert_true(was_logged("is not of this driver"));
        mp->ops_index = right;
        assert_int_equal(rte_mempool_get(mp, &m), 0);
        rte_mempool_put(mp, m);
        rte_mempool_free(mp);
    }
}

static void
another_driver_finds_a_pool_empty_and_full(void **state)
{
    static const char *const others[] = { "ring_mp_mc", "ring_sp_sc",
        "ring_mt_rts", "ring_mt_hts", "stack" };
    struct rte_mempool *mp = growing_pool(1000, NULL);
    void    *m = NULL, *got = NULL;
    int32_t  right = mp->ops_index;
    unsigned i;

    (void)state;
    assert_int_equal(rte_mempool_get(mp, &m), 0);
    for (i = 0; i < RTE_DIM(others); i++) {
        if (index_of(others[i]) < 0)
            continue;
        mp->ops_index = index_of(others[i]);
        assert_true(rte_mempool_get(mp, &got) < 0);
        assert_true(rte_mempool_ops_enqueue_bulk(mp, &m, 1) < 0);
        mp->ops_index = right;
    }
    rte_mempool_put(mp, m);
    assert_int_equal(get_all(mp), 1000);
    put_all(mp, 1000);
    rte_mempool_free(mp);
}

/* --- other processes -------------------------------------------------------- */

static const char *program;

/* Runs this program again, with a word and other options of the EAL.  Returns
 * its exit status, or 128 and the signal. */
static int
run_again(const char *word, const char *eal)
{
    extern char **environ;
    char   *argv[] = { (char *)(uintptr_t)program, (char *)(uintptr_t)word,
                       NULL };
    pid_t   pid;
    int     status;

    setenv("FPHEAP_EAL", eal, 1);
    assert_int_equal(posix_spawn(&pid, program, NULL, NULL, argv, environ), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* The thread ahead has worked, and the EAL ends with the pool there. */
static int
end_with_pool(void)
{
    struct rte_mempool *mp;

    eal_start("");
    mp = growing_pool(MBUFS, "ahead=4000");
    if (rte_mempool_get_bulk(mp, objects, 100) != 0
        || !is_told(mp, "ready", 3500))
        return 1;
    usleep(20000);
    rte_eal_cleanup();
    usleep(20000);
    return 0;
}

/* The EAL of 25.11 and later takes an option only once. */
static void
with_prefix(char *out, size_t size, const char *eal, int i)
{
    const char *old   = strstr(eal, "--file-prefix=");
    size_t      until = old == NULL ? strlen(eal) : (size_t)(old - eal);

    snprintf(out, size, "%.*s%s --file-prefix=end%d_%d", (int)until, eal,
             old == NULL ? "" : old + strcspn(old, " "), (int)getpid(), i);
}

static void
the_eal_ends_with_pools_and_the_thread_ahead(void **state)
{
    char  eal[1024];
    const char *mine = getenv("FPHEAP_EAL");
    int   i;

    (void)state;
    snprintf(eal, sizeof eal, "%s", mine);
    for (i = 0; i < 20; i++) {
        char other[1100];

        with_prefix(other, sizeof other, eal, i);
        assert_int_equal(run_again("end", other), 0);
    }
    setenv("FPHEAP_EAL", eal, 1);
}

/* FPHEAP_POOL and FPHEAP_SECONDARY: its options, where this mode has some */
static struct rte_mempool *
pool_of_primary(void)
{
    struct rte_mempool *mp = rte_mempool_lookup(getenv("FPHEAP_POOL"));

    if (mp == NULL)
        exit(3);
    return mp;
}

static int
drain_in_secondary(void)
{
    struct rte_mempool *mp;
    unsigned n, i;
    int      with = 0x3c;

    eal_start("");
    mp = pool_of_primary();
    n = get_all(mp);
    printf("figure: a secondary gets %u of %u\n", n, mp->size);
    for (i = 0; i < n; i++)
        if (!is_whole(mp, objects[i])
            || !is_filled((struct rte_mbuf *)objects[i] + 1, PRIVATE, with))
            return 4;
    put_all(mp, n);
    return n == mp->size ? 0 : 5;
}

static int
free_in_secondary(void)
{
    eal_start("");
    rte_mempool_free(pool_of_primary());
    return 0;
}

/* The primary stands still meanwhile, so that nobody answers. */
static int
starve_in_secondary(void)
{
    struct rte_mempool *mp;
    unsigned n;

    eal_start("");
    mp = pool_of_primary();
    kill(getppid(), SIGSTOP);
    n = get_all(mp);
    kill(getppid(), SIGCONT);
    put_all(mp, n);
    return n < mp->size ? 0 : 5;
}

static const char *
secondary_options(void)
{
    const char *options = getenv("FPHEAP_SECONDARY");

    if (options == NULL) {
        print_message("why: no secondaries in this mode\n");
        skip();
    }
    return options;
}

static void
a_secondary_gets_all_objects_of_a_growing_pool(void **state)
{
    const char *options = secondary_options();
    struct rte_mempool *mp = growing_pool(MBUFS, NULL);
    int   with = 0x3c;
    char  mine[1024];

    (void)state;
    snprintf(mine, sizeof mine, "%s", getenv("FPHEAP_EAL"));
    rte_mempool_obj_iter(mp, fill_private, &with);
    setenv("FPHEAP_POOL", mp->name, 1);
    assert_int_equal(run_again("drain", options), 0);
    setenv("FPHEAP_EAL", mine, 1);
    assert_int_equal(mp->populated_size, MBUFS);
    assert_int_equal(get_all(mp), MBUFS);
    put_all(mp, MBUFS);
    rte_mempool_free(mp);
}

static void
the_primary_grows_although_a_secondary_got_no_answer(void **state)
{
    const char *options = secondary_options();
    struct rte_mempool *mp = growing_pool(MBUFS, NULL);
    char   mine[1024];

    (void)state;
    snprintf(mine, sizeof mine, "%s", getenv("FPHEAP_EAL"));
    setenv("FPHEAP_POOL", mp->name, 1);
    assert_int_equal(run_again("starve", options), 0);
    setenv("FPHEAP_EAL", mine, 1);
    assert_int_equal(get_all(mp), MBUFS);
    put_all(mp, MBUFS);
    rte_mempool_free(mp);
}

/* How much more the EAL's heap has than before. */
static size_t
left_by_secondary(const char *ops, const char *options)
{
    size_t before = heap_bytes(), left = 0;
    struct rte_mempool *mp = pool_of(ops, MBUFS, NULL);
    char   mine[1024];
    int    i;

    snprintf(mine, sizeof mine, "%s", getenv("FPHEAP_EAL"));
    assert_int_equal(get_all(mp), MBUFS);
    put_all(mp, MBUFS);
    setenv("FPHEAP_POOL", mp->name, 1);
    assert_int_equal(run_again("free", options), 0);
    setenv("FPHEAP_EAL", mine, 1);
    for (i = 0; i < 1000 && (left = heap_bytes() - before) > MBUFS; i++)
        usleep(1000);
    return left;
}

/* Mempool calls what the primary wrote into its chunks, so whatever the driver,
 * code must be at the same address in both: setarch -R. */
static void
a_pool_that_a_secondary_frees_leaves_no_more_than_a_ring(void **state)
{
    const char *options = secondary_options();
    size_t ring, ours;

    (void)state;
    if ((personality(0xffffffff) & ADDR_NO_RANDOMIZE) == 0) {
        print_message("why: addresses are random\n");
        skip();
    }
    ring = left_by_secondary("ring_mp_mc", options);
    ours = left_by_secondary("fpheap_grow", options);
    print_message("figure: %zu bytes, ring_mp_mc %zu\n", ours, ring);
    assert_true(ours <= ring);
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objects_made_later_have_the_private_area_of_the_first),
        cmocka_unit_test(objects_made_later_have_the_data_of_the_first),
        cmocka_unit_test(a_pool_whose_objects_differ_says_so_and_does_not_grow),
        cmocka_unit_test(a_minimum_is_made_with_the_pool),
        cmocka_unit_test(without_memory_for_the_minimum_there_is_no_pool),
        cmocka_unit_test(options_that_are_none_are_named_and_make_no_pool),
        cmocka_unit_test(with_objects_ahead_gets_need_not_make_any),
        cmocka_unit_test(nothing_is_made_ahead_before_the_first_get),
        cmocka_unit_test(pools_come_and_go_while_another_gets_objects_ahead),
        cmocka_unit_test(pools_with_objects_ahead_come_and_go_beside_rings),
        cmocka_unit_test(a_pool_grows_while_a_list_of_the_eal_is_locked),
        cmocka_unit_test(whoever_walks_a_pool_that_grows_sees_whole_objects),
        cmocka_unit_test(after_a_failure_only_what_there_is_is_available),
        cmocka_unit_test(
            with_all_objects_back_a_pool_is_full_though_caches_hold_some),
        cmocka_unit_test(a_pool_grows_again_when_there_is_memory_again),
        cmocka_unit_test(a_pool_of_the_applications_memory_has_only_that),
        cmocka_unit_test(a_pool_that_grows_takes_no_memory_of_the_application),
        cmocka_unit_test(a_get_that_fails_leaves_mempools_cache_as_it_was),
        cmocka_unit_test(a_pool_of_another_driver_is_refused),
        cmocka_unit_test(another_driver_finds_a_pool_empty_and_full),
        cmocka_unit_test(the_eal_ends_with_pools_and_the_thread_ahead),
        cmocka_unit_test(a_secondary_gets_all_objects_of_a_growing_pool),
        cmocka_unit_test(the_primary_grows_although_a_secondary_got_no_answer),
        cmocka_unit_test(a_pool_that_a_secondary_frees_leaves_no_more_than_a_ring),
    };

    size_t before;
    int    failed;

    program = argv[0];
    if (argc > 1 && strcmp(argv[1], "end") == 0)
        return end_with_pool();
    if (argc > 1 && strcmp(argv[1], "drain") == 0)
        return drain_in_secondary();
    if (argc > 1 && strcmp(argv[1], "starve") == 0)
        return starve_in_secondary();
    if (argc > 1 && strcmp(argv[1], "free") == 0)
        return free_in_secondary();
    eal_start("");
    before = heap_bytes();
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    if (getenv("FPHEAP_SECONDARY") == NULL && heap_bytes() != before) {
        printf("why: %zu bytes of the EAL's heap before, %zu after\n", before,
               heap_bytes());
        failed++;
    }
    rte_eal_cleanup();
    return failed;
}
