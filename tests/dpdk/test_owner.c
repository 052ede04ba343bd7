/* test_owner.c - an object of a mempool has one owner at most; all come back
 * SPDX-License-Identifier: MIT OR Unlicense
 *
 *     test_owner -d DIR/librte_mempool_fpheap.so \
 *         -d DIR/librte_mempool_fpheap_grow.so --socket-limit=192 ...
 *
 * Each lcore stamps what it gets and takes its stamp off before it puts.  First
 * the test has to catch two drivers of its own that are broken on purpose, one
 * that hands an object out twice and one without any lock; then ours must pass.
 * Run by plugin.sh; the last line is "N passed, N failed, N skipped".
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <rte_ring.h>
#include <rte_spinlock.h>

enum { MBUFS = 20000, FEW = 3000, /* fewer than two lcores hold */
       SCARCE = 100, /* most gets look on the shelves of others */
       ROOM = 2048 + RTE_PKTMBUF_HEADROOM, PRIVATE = 64,
       HELD = 2000, BULK = 64, SECONDS = 1,
       TRANSIT = 1 << 20 };    /* the stamp of what is on the way */

static unsigned passed, failed;

static int
check(int ok, const char *what)
{
    printf("%s  %s\n", ok ? "ok  " : "FAIL", what);
    fflush(stdout);
    passed += ok != 0;
    failed += ok == 0;
    return ok;
}

/* --- two broken drivers ---------------------------------------------------
 * One entry of the table of 16 for both: pool_config says which. */

enum { HANDS_OUT_TWICE = 1, HAS_NO_LOCK };

typedef struct broken {
    rte_spinlock_t lock;
    int            fault;
    unsigned       gets;
    volatile unsigned count;
    void          *objects[];
} broken;

static int
broken_alloc(struct rte_mempool *mp)
{
    broken *b = calloc(1, sizeof *b + 2 * mp->size * sizeof *b->objects);

    if (b == NULL)
        return -ENOMEM;
    b->fault = *(const int *)mp->pool_config;
    mp->pool_data = b;
    return 0;
}

static void
broken_free(struct rte_mempool *mp)
{
    free(mp->pool_data);
}

static int
broken_put(struct rte_mempool *mp, void *const *objects, unsigned n)
{
    broken *b = mp->pool_data;
    unsigned i;

    if (b->fault != HAS_NO_LOCK)
        rte_spinlock_lock(&b->lock);
    for (i = 0; i < n && b->count < 2 * mp->size; i++)
        b->objects[b->count++] = objects[i];
    if (b->fault != HAS_NO_LOCK)
        rte_spinlock_unlock(&b->lock);
    return 0;
}

static int
broken_get(struct rte_mempool *mp, void **objects, unsigned n)
{
    broken *b = mp->pool_data;
    unsigned i, count;

    if (b->fault != HAS_NO_LOCK)
        rte_spinlock_lock(&b->lock);
    count = b->count;
    if (count >= n && count <= 2 * mp->size) {
        for (i = 0; i < n; i++)
            objects[i] = b->objects[count - 1 - i];
        b->count = count - n;
        if (b->fault == HANDS_OUT_TWICE && ++b->gets % 1000 == 0)
            b->count++;        /* the last one stays as well */
    }
    if (b->fault != HAS_NO_LOCK)
        rte_spinlock_unlock(&b->lock);
    return count >= n && count <= 2 * mp->size ? 0 : -ENOBUFS;
}

static unsigned
broken_count(const struct rte_mempool *mp)
{
    return ((const broken *)mp->pool_data)->count;
}

static const struct rte_mempool_ops broken_ops = {
    .name      = "owner_broken",
    .alloc     = broken_alloc,
    .free      = broken_free,
    .enqueue   = broken_put,
    .dequeue   = broken_get,
    .get_count = broken_count,
};

RTE_MEMPOOL_REGISTER_OPS(broken_ops)

/* --- stamps --------------------------------------------------------------- */

typedef struct work {
    struct rte_mempool *mp;
    struct rte_ring    *ring;  /* from lcore to lcore */
    uint64_t            end;   /* TSC */
    unsigned            faults;
    uint64_t            gets;
} work;

static uint32_t *
stamp_of(struct rte_mbuf *m)
{
    return rte_mbuf_to_priv(m);
}

/* What must be right in a packet buffer that is taken raw. */
static int
is_whole(const struct rte_mbuf *m, const struct rte_mempool *mp)
{
    const char *data = (const char *)m + sizeof *m + PRIVATE;

    return m->pool == mp && m->buf_addr == data && m->buf_len == ROOM
        && m->priv_size == PRIVATE && m->refcnt == 1 && m->nb_segs == 1
        && m->next == NULL && rte_mempool_from_obj((void *)(uintptr_t)m) == mp
        && rte_mbuf_iova_get(m) == rte_mempool_virt2iova(m) + sizeof *m
                                   + PRIVATE;
}

static unsigned
stamp(work *w, struct rte_mbuf **m, unsigned n, uint32_t from, uint32_t to)
{
    unsigned faults = 0, i;

    for (i = 0; i < n; i++) {
        faults += __atomic_exchange_n(stamp_of(m[i]), to, __ATOMIC_ACQ_REL)
                  != from;
        faults += !is_whole(m[i], w->mp);
    }
    return faults;
}

static uint32_t
next_random(uint32_t *x)
{
    *x ^= *x << 13;
    *x ^= *x >> 17;
    return *x ^= *x << 5;
}

/* Get, put, send to another lcore and receive, bulks of random size. */
static int
own(void *arg)
{
    work            *w    = arg;
    uint32_t         me   = rte_lcore_id() + 1, x = me * 2654435761u;
    struct rte_mbuf *held[HELD + BULK];
    unsigned         n    = 0, faults = 0;
    uint64_t         gets = 0;

    while (rte_rdtsc() < w->end && faults == 0) {
        unsigned k = 1 + next_random(&x) % BULK, what = next_random(&x) % 8;

        if (what < 3 && n < HELD
            && rte_mempool_get_bulk(w->mp, (void **)(held + n), k) == 0) {
            faults += stamp(w, held + n, k, 0, me);
            n += k;
            gets += k;
        } else if (what == 3) {
            k = RTE_MIN(k, n);
            faults += stamp(w, held + n - k, k, me, TRANSIT);
            if (rte_ring_enqueue_bulk(w->ring, (void **)(held + n - k), k, NULL)
                == 0)
                faults += stamp(w, held + n - k, k, TRANSIT, me);
            else
                n -= k;
        } else if (what == 4 && n < HELD) {
            k = rte_ring_dequeue_burst(w->ring, (void **)(held + n), k, NULL);
            faults += stamp(w, held + n, k, TRANSIT, me);
            n += k;
        } else {
            k = RTE_MIN(k, n);
            faults += stamp(w, held + n - k, k, me, 0);
            rte_mempool_put_bulk(w->mp, (void **)(held + n - k), k);
            n -= k;
        }
    }
    if (faults == 0) {
        faults += stamp(w, held, n, me, 0);
        rte_mempool_put_bulk(w->mp, (void **)held, n);
    }
    __atomic_fetch_add(&w->faults, faults, __ATOMIC_RELAXED);
    __atomic_fetch_add(&w->gets, gets, __ATOMIC_RELAXED);
    return 0;
}

/* A pool as rte_pktmbuf_pool_create_by_ops() makes it, but with a config. */
static struct rte_mempool *
make_pool(const char *ops, unsigned mbufs, unsigned cache, int *fault)
{
    static unsigned number;
    struct rte_pktmbuf_pool_private private = {
        .mbuf_data_room_size = ROOM, .mbuf_priv_size = PRIVATE
    };
    struct rte_mempool *mp;
    char name[16];

    snprintf(name, sizeof name, "owner_%u", number++);
    mp = rte_mempool_create_empty(name, mbufs,
                                  sizeof(struct rte_mbuf) + PRIVATE + ROOM,
                                  cache, sizeof private,
                                  (int)rte_socket_id(), 0);
    if (mp == NULL || rte_mempool_set_ops_byname(mp, ops, fault) != 0)
        rte_panic("no pool with ops %s: is the plugin loaded?\n", ops);
    rte_pktmbuf_pool_init(mp, &private);
    if (rte_mempool_populate_default(mp) < 0) {
        rte_mempool_free(mp);
        return NULL;
    }
    rte_mempool_obj_iter(mp, rte_pktmbuf_init, NULL);
    return mp;
}

/* Faults that all lcores together see in some seconds. */
static unsigned
faults_of(struct rte_mempool *mp, uint64_t *gets)
{
    work     w = { .mp = mp };
    void    *m = NULL;
    unsigned faults;

    w.ring = rte_ring_create("owner", 1024, (int)rte_socket_id(), 0);
    if (w.ring == NULL)
        rte_panic("no ring\n");
    w.end = rte_rdtsc() + SECONDS * rte_get_tsc_hz();
    rte_eal_mp_remote_launch(own, &w, CALL_MAIN);
    rte_eal_mp_wait_lcore();
    faults = w.faults;
    while (faults == 0 && rte_ring_dequeue(w.ring, &m) == 0) {
        struct rte_mbuf *one = m;

        faults += stamp(&w, &one, 1, TRANSIT, 0);
        rte_mempool_put(mp, m);
    }
    rte_ring_free(w.ring);
    *gets = w.gets;
    return faults;
}

/* A race needs lcores that run at the same time, so a busy machine takes more
 * seconds to show it. */
static void
test_broken(int fault, const char *what)
{
    struct rte_mempool *mp = make_pool("owner_broken", MBUFS, 0, &fault);
    unsigned faults = 0, i;
    uint64_t gets;
    char     text[96];

    for (i = 0; i < 15 && faults == 0; i++)
        faults = faults_of(mp, &gets);
    snprintf(text, sizeof text, "a driver that %s is caught (%u faults)", what,
             faults);
    check(faults != 0, text);
    rte_mempool_free(mp);
}

static void
test_owner(const char *ops, unsigned mbufs, unsigned cache)
{
    struct rte_mempool *mp = make_pool(ops, mbufs, cache, NULL);
    uint64_t gets;
    unsigned faults = faults_of(mp, &gets);
    char     text[96];

    snprintf(text, sizeof text, "%s: one owner each of %u on %u lcores, cache "
             "%u (%.1f million gets)", ops, mbufs, rte_lcore_count(), cache,
             (double)gets / 1e6);
    check(faults == 0, text);
    check(rte_mempool_avail_count(mp) == mbufs
          && rte_mempool_in_use_count(mp) == 0, "and all are back");
    rte_mempool_audit(mp);
    rte_mempool_free(mp);
}

/* --- growth --------------------------------------------------------------- */

static void
count_object(struct rte_mempool *mp, void *arg, void *object, unsigned i)
{
    unsigned *sum = arg;

    (void)i;
    sum[0] += is_whole(object, mp);
    sum[1]++;
}

static int
put_all(void *arg)
{
    work             *w = arg;
    struct rte_mbuf **m = (struct rte_mbuf **)w->ring;

    rte_mempool_put_bulk(w->mp, (void **)m, MBUFS);
    rte_mempool_get_bulk(w->mp, (void **)m, 100);  /* some stay on its shelf */
    rte_mempool_put_bulk(w->mp, (void **)m, 100);
    return 0;
}

static void
test_growth(void)
{
    struct rte_mempool *mp = make_pool("fpheap_grow", MBUFS, 0, NULL);
    static struct rte_mbuf *m[MBUFS + 1];
    work     w = { .mp = mp, .ring = (struct rte_ring *)m };
    unsigned n, sum[2] = { 0, 0 };

    check(mp->populated_size != 0 && mp->populated_size < MBUFS / 10
          && rte_mempool_avail_count(mp) == MBUFS,
          "a new pool has few objects and counts all as available");
    for (n = 0; n < MBUFS; n++)
        if (rte_mempool_get(mp, (void **)&m[n]) != 0
            || rte_mempool_in_use_count(mp) != n + 1)
            break;
    check(n == MBUFS, "gets one by one: all, and in_use_count is right");
    check(rte_mempool_get(mp, (void **)&m[n]) != 0
          && rte_mempool_avail_count(mp) == 0, "and none beyond");
    check(stamp(&w, m, n, 0, 1) == 0 && stamp(&w, m, n, 1, 0) == 0,
          "they differ, and are initialized");
    check(rte_mempool_obj_iter(mp, count_object, sum) == MBUFS
          && sum[0] == MBUFS && sum[1] == MBUFS,
          "obj_iter shows each, and each is whole");
    n = rte_get_next_lcore(rte_lcore_id(), 1, 1);
    if (rte_eal_remote_launch(put_all, &w, n) == 0)
        rte_eal_wait_lcore(n);
    check(rte_mempool_avail_count(mp) == MBUFS
          && rte_mempool_get_bulk(mp, (void **)m, MBUFS) == 0
          && stamp(&w, m, MBUFS, 0, 1) == 0,
          "what another lcore put, its shelf included, is got in one bulk");
    rte_mempool_put_bulk(mp, (void **)m, MBUFS);
    rte_mempool_free(mp);
    mp = make_pool("fpheap_grow", MBUFS, 0, NULL);
    check(rte_mempool_get_bulk(mp, (void **)m, MBUFS) == 0
          && mp->populated_size == MBUFS, "a new pool gives all in one bulk");
    rte_mempool_put_bulk(mp, (void **)m, MBUFS);
    rte_mempool_free(mp);
}

static void *
get_and_put(void *arg)
{
    struct rte_mempool *mp = arg;
    void    *m[BULK];
    unsigned i, good = 0;

    for (i = 0; i < 10000; i++)
        if (rte_mempool_get_bulk(mp, m, 1 + i % BULK) == 0) {
            rte_mempool_put_bulk(mp, m, 1 + i % BULK);
            good++;
        }
    return good == 10000 ? mp : NULL;
}

static void
test_thread(void)
{
    struct rte_mempool *mp = make_pool("fpheap_grow", MBUFS, 0, NULL);
    pthread_t t;
    void     *result = NULL;

    if (pthread_create(&t, NULL, get_and_put, mp) == 0)
        pthread_join(t, &result);
    check(result == mp && rte_mempool_avail_count(mp) == MBUFS,
          "a thread that is no lcore gets and puts");
    rte_mempool_free(mp);
}

/* --- pools that are populated at once ------------------------------------- */

static void
construct(struct rte_mempool *mp, void *arg, void *object, unsigned i)
{
    (void)mp;
    (void)i;
    ++*(unsigned *)arg;
    *(uint64_t *)object = 42;
}

static void
test_full(void)
{
    struct rte_mempool *mp;
    unsigned calls = 0, n, right = 0;
    void    *object;

    mp = rte_mempool_create_empty("owner_plain", 1000, 100, 0, 0,
                                  (int)rte_socket_id(), 0);
    if (mp == NULL || rte_mempool_set_ops_byname(mp, "fpheap", NULL) != 0
        || rte_mempool_populate_default(mp) < 0)
        rte_panic("no plain pool\n");
    rte_mempool_obj_iter(mp, construct, &calls);
    for (n = 0; rte_mempool_get(mp, &object) == 0; n++)
        right += *(uint64_t *)object == 42;
    check(mp->populated_size == 1000 && calls == 1000 && n == 1000
          && right == 1000, "a pool of something else is populated at once");
    rte_mempool_free(mp);

    mp = make_pool("fpheap", 1000, 0, NULL);
    check(mp->populated_size == 1000, "and with the other driver any");
    rte_mempool_free(mp);
}

/* --- memory --------------------------------------------------------------- */

static struct rte_malloc_socket_stats
heap_now(void)
{
    struct rte_malloc_socket_stats s;

    memset(&s, 0, sizeof s);
    rte_malloc_get_socket_stats((int)rte_socket_id(), &s);
    return s;
}

static int
same_heap(const struct rte_malloc_socket_stats *a)
{
    struct rte_malloc_socket_stats b = heap_now();

    if (a->heap_allocsz_bytes == b.heap_allocsz_bytes
        && a->alloc_count == b.alloc_count)
        return 1;
    printf("      %zu bytes in %u, then %zu in %u\n", a->heap_allocsz_bytes,
           a->alloc_count, b.heap_allocsz_bytes, b.alloc_count);
    return 0;
}

/* More than the EAL may have: the pool stops to grow, and goes on working. */
static void
test_exhausted(void)
{
    enum { MANY = 150000 };
    struct rte_malloc_socket_stats before = heap_now();
    struct rte_mempool *mp = make_pool("fpheap_grow", MANY, 0, NULL);
    void   **m = calloc(MANY, sizeof *m);
    unsigned n = 0, again = 0;

    if (m == NULL)
        rte_panic("no memory\n");
    while (n < MANY && rte_mempool_get(mp, &m[n]) == 0)
        n++;
    check(n > 1000 && n < MANY && rte_mempool_avail_count(mp) == 0,
          "with the EAL's memory used up a get fails");
    if (n != 0)
        rte_mempool_put_bulk(mp, m, n);
    while (again < n && rte_mempool_get(mp, &m[again]) == 0)
        again++;
    check(again == n, "and those that there are go round");
    if (n != 0)
        rte_mempool_put_bulk(mp, m, n);
    free(m);
    rte_mempool_free(mp);
    check(same_heap(&before), "and go back to the EAL");
}

static void
test_memory(void)
{
    struct rte_malloc_socket_stats before = heap_now(), grown, after;
    struct rte_mempool *a = make_pool("fpheap_grow", MBUFS, 256, NULL);
    struct rte_mempool *b = make_pool("fpheap_grow", MBUFS, 256, NULL);
    static void *m[MBUFS];

    rte_mempool_get_bulk(a, m, MBUFS);
    rte_mempool_put_bulk(a, m, MBUFS);
    rte_mempool_get_bulk(b, m, MBUFS);
    rte_mempool_put_bulk(b, m, MBUFS);
    rte_mempool_get_bulk(b, m, 10);            /* mempool's cache has some */
    rte_mempool_put_bulk(b, m, 10);
    grown = heap_now();
    rte_mempool_free(b);
    after = heap_now();
    check(after.heap_allocsz_bytes + (32 << 20) < grown.heap_allocsz_bytes,
          "a pool's memory goes back while another lives");
    rte_mempool_free(a);
    check(same_heap(&before), "with the last pool all does, to the byte");
    a = make_pool("fpheap_grow", MBUFS, 256, NULL);
    rte_mempool_get_bulk(a, m, 10);            /* never put back */
    rte_mempool_free(a);
    check(same_heap(&before), "and what was never put back");
}

int
main(int argc, char **argv)
{
    struct rte_malloc_socket_stats before;

    if (rte_eal_init(argc, argv) < 0)
        rte_panic("no EAL: %s\n", rte_strerror(rte_errno));
    before = heap_now();
    test_broken(HANDS_OUT_TWICE, "hands an object out twice");
    test_broken(HAS_NO_LOCK, "has no lock");
    test_growth();
    test_owner("fpheap", MBUFS, 0);
    test_owner("fpheap", MBUFS, 256);
    test_owner("fpheap", FEW, 256);
    test_owner("fpheap", SCARCE, 0);
    test_owner("fpheap_grow", MBUFS, 0);
    test_owner("fpheap_grow", MBUFS, 256);
    test_owner("fpheap_grow", FEW, 256);
    test_thread();
    test_full();
    test_memory();
    test_exhausted();
    check(same_heap(&before), "the EAL has its memory back");
    printf("%u passed, %u failed, 0 skipped\n", passed, failed);
    return failed != 0;
}
