/* mbufs.c - DPDK's packet buffers straight from the heap
 * SPDX-License-Identifier: MIT OR Unlicense OR BSD-3-Clause
 *
 *     cc -O2 $(pkg-config --cflags libdpdk) mbufs.c -o mbufs \
 *        $(pkg-config --libs libdpdk) -pthread
 *     ./mbufs --no-pci --in-memory -l 0,1 -m 128        or --no-huge
 *
 * Each kind of mbuf is a fpheap pool whose constructor writes the template: all
 * that rte_pktmbuf_init writes, once.  rte_pktmbuf_free puts an mbuf into the
 * mempool that m->pool names.  All kinds name the same one, which has no memory
 * and no cache: its driver's enqueue is fpheap_free_bulk, which knows of what
 * kind each is.  Its dequeue gives the kind that has no room for data, so the
 * mempool can be passed to rte_pktmbuf_clone.
 *
 * An mbuf that is detached gets priv_size and room, 0, from the mempool's private
 * area, and as its IOVA what lies in front of it, where there is no mempool's
 * header.  So all kinds share their priv_size, and only bare mbufs, which have no
 * buffer, may be attached to others.
 */
#define FPHEAP_MAX_NODES 8
#define FPHEAP_IMPLEMENTATION
#include "../../fpheap.h"
#include "fpheap_memzone.h"

#include <rte_cycles.h>
#include <rte_launch.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

enum { PRIVATE = 64, BURST = 32, ROUNDS = 20000, HELD = 10000 };
enum { FULL, SMALL, BARE, KINDS };           /* of mbufs */

typedef struct kind {
    const char  *name;
    uint16_t     room;           /* RTE_PKTMBUF_HEADROOM included */
    fpheap_pool *pool;
    unsigned     made;           /* atomic */
} kind;

static kind kinds[KINDS] = { { "full", RTE_MBUF_DEFAULT_BUF_SIZE, NULL, 0 },
                             { "small", 256, NULL, 0 },
                             { "bare", 0, NULL, 0 } };
static fpheap             *heap;
static struct rte_mempool *home; /* m->pool of all */
static unsigned            damaged; /* mbufs got with a wrong template */

static int
make_mbuf(void *arg, void *object)
{
    kind            *k = arg;
    struct rte_mbuf *m = object;
    uint32_t         before = sizeof *m + PRIVATE;

    memset(m, 0, before);
    m->buf_addr  = (char *)m + before;
    m->buf_iova  = fpheap_iova(heap, m) + before;
    m->buf_len   = k->room;
    m->priv_size = PRIVATE;
    m->pool      = home;
    m->nb_segs   = 1;
    rte_mbuf_refcnt_set(m, 1);
    __atomic_fetch_add(&k->made, 1, __ATOMIC_RELAXED);
    return 0;
}

static int
is_whole(const struct rte_mbuf *m, const kind *k)
{
    const char *buffer = (const char *)m + sizeof *m + PRIVATE;

    return m->buf_addr == buffer && m->buf_len == k->room && m->pool == home
        && (k->room == 0
            || m->buf_iova == fpheap_iova(heap, m) + sizeof *m + PRIVATE)
        && m->priv_size == PRIVATE && m->nb_segs == 1 && m->next == NULL
        && rte_mbuf_refcnt_read(m) == 1;
}

static int
get(int which, struct rte_mbuf **mbufs, unsigned n)
{
    unsigned i;

    if (fpheap_pool_get_bulk(kinds[which].pool, (void **)mbufs, n) != 0)
        return -ENOBUFS;
    for (i = 0; i < n; i++) {
        damaged += !is_whole(mbufs[i], &kinds[which]);
        rte_pktmbuf_reset(mbufs[i]);
    }
    return 0;
}

/* The driver.  For populating, which nobody does; to register it must be there. */
static int
driver_alloc(__rte_unused struct rte_mempool *mp)
{
    return -ENOTSUP;
}

static int
driver_enqueue(__rte_unused struct rte_mempool *mp, void *const *objects,
               unsigned n)
{
    fpheap_free_bulk(heap, objects, n);
    return 0;
}

static int
driver_dequeue(__rte_unused struct rte_mempool *mp, void **objects, unsigned n)
{
    return get(BARE, (struct rte_mbuf **)objects, n);
}

static unsigned
driver_count(const struct rte_mempool *mp)
{
    return mp->size;             /* there is no limit */
}

static const struct rte_mempool_ops driver = {
    .name = "fpheap_mbufs", .alloc = driver_alloc, .enqueue = driver_enqueue,
    .dequeue = driver_dequeue, .get_count = driver_count };

RTE_MEMPOOL_REGISTER_OPS(driver)

static int
open_all(void)
{
    static fpheap_memzone zones;
    struct rte_pktmbuf_pool_private room = { .mbuf_priv_size = PRIVATE };
    fpheap_provider provider;
    fpheap_config   config = { .provider = &provider, .nodes = 1 };
    int             i;

    fpheap_memzone_provider(&provider, &zones, "mbufs", config.nodes);
    heap = fpheap_create("mbufs", &config);
    home = rte_mempool_create_empty("mbufs", UINT16_MAX,
                                    sizeof(struct rte_mbuf) + PRIVATE, 0,
                                    sizeof room, SOCKET_ID_ANY, 0);
    if (heap == NULL || home == NULL
        || rte_mempool_set_ops_byname(home, driver.name, NULL) != 0)
        return -1;
    rte_pktmbuf_pool_init(home, &room);
    for (i = 0; i < KINDS; i++) {
        fpheap_pool_desc desc = {
            .name = kinds[i].name, .align = RTE_CACHE_LINE_SIZE,
            .size = sizeof(struct rte_mbuf) + PRIVATE + kinds[i].room,
            .construct = make_mbuf, .arg = &kinds[i] };

        kinds[i].pool = fpheap_pool_create(heap, &desc);
        if (kinds[i].pool == NULL)
            return -1;
    }
    return 0;
}

/* --- two lcores ------------------------------------------------------------- */

static struct rte_ring *ring;
static unsigned         wrong;   /* packets that arrive otherwise; one writer */

/* A packet of two segments, a full and a small one, and a clone of it. */
static int
send_burst(unsigned round)
{
    struct rte_mbuf *first[BURST], *second[BURST], *out[2 * BURST];
    unsigned         i;

    if (get(FULL, first, BURST) != 0 || get(SMALL, second, BURST) != 0)
        return -1;
    for (i = 0; i < BURST; i++) {
        memset(rte_pktmbuf_append(first[i], 60), (int)round, 60);
        memset(rte_pktmbuf_append(second[i], 40), (int)round, 40);
        if (rte_pktmbuf_chain(first[i], second[i]) != 0)
            return -1;
        out[2 * i] = first[i];
        out[2 * i + 1] = rte_pktmbuf_clone(first[i], home);
        if (out[2 * i + 1] == NULL)
            return -1;
    }
    while (rte_ring_enqueue_bulk(ring, (void **)out, 2 * BURST, NULL) == 0)
        rte_pause();
    return 0;
}

static int
arrived(const struct rte_mbuf *m, unsigned round)
{
    const unsigned char *a = rte_pktmbuf_mtod(m, const unsigned char *);

    return m->nb_segs == 2 && m->pkt_len == 100 && m->next != NULL
        && a[59] == (unsigned char)round
        && rte_pktmbuf_mtod(m->next, const unsigned char *)[39] == a[0];
}

/* Frees in bulk and one by one, the original before and after its clone. */
static int
receive(__rte_unused void *unused)
{
    struct rte_mbuf *in[2 * BURST];
    unsigned         round, i;

    for (round = 0; round < ROUNDS; round++) {
        while (rte_ring_dequeue_bulk(ring, (void **)in, 2 * BURST, NULL) == 0)
            rte_pause();
        for (i = 0; i < 2 * BURST; i++)
            wrong += !arrived(in[i], round);
        if (round % 2 == 0)
            rte_pktmbuf_free_bulk(in, 2 * BURST);
        for (i = 0; round % 2 != 0 && i < 2 * BURST; i++)
            rte_pktmbuf_free(in[round % 4 == 1 ? i : 2 * BURST - 1 - i]);
    }
    return 0;
}

int
main(int argc, char **argv)
{
    static struct rte_mbuf *held[HELD];
    fpheap_stats            s;
    uint64_t                start;
    unsigned                round, lcore;

    if (rte_eal_init(argc, argv) < 0 || open_all() != 0)
        rte_exit(1, "mbufs: no EAL, heap or mempool\n");
    ring  = rte_ring_create("mbufs", 1024, SOCKET_ID_ANY, 0);
    lcore = rte_get_next_lcore(-1, 1, 0);
    if (ring == NULL || lcore >= RTE_MAX_LCORE
        || rte_eal_remote_launch(receive, NULL, lcore) != 0)
        rte_exit(1, "mbufs: needs a second lcore: -l 0,1\n");
    start = rte_rdtsc();
    for (round = 0; round < ROUNDS; round++)
        if (send_burst(round) != 0)
            rte_exit(1, "mbufs: no memory\n");
    rte_eal_wait_lcore(lcore);
    start = rte_rdtsc() - start;
    if (get(FULL, held, HELD) != 0)
        rte_exit(1, "mbufs: no memory\n");
    fpheap_stats_get(heap, &s);
    printf("%u packets of two segments and their clones in %.0f ns each\n",
           ROUNDS * BURST,
           (double)start * 1e9 / (double)rte_get_tsc_hz() / (ROUNDS * BURST));
    printf("%u full, %u small and %u bare mbufs constructed, %.1f MiB in all\n",
           kinds[FULL].made, kinds[SMALL].made, kinds[BARE].made,
           (double)s.region_bytes / (1 << 20));
    rte_pktmbuf_free_bulk(held, HELD);
    fpheap_stats_get(heap, &s);
    printf("%u damaged, %u wrong, %zu live\n", damaged, wrong, s.live_objects);
    rte_mempool_free(home);
    return damaged != 0 || wrong != 0 || fpheap_destroy(heap) != 0;
}
