/* l2flows.c - a learning switch whose entries come from a heap over memzones
 * SPDX-License-Identifier: MIT OR Unlicense OR BSD-3-Clause
 *
 *     cc -O2 $(pkg-config --cflags libdpdk) l2flows.c -o l2flows \
 *        $(pkg-config --libs libdpdk) -pthread
 *     ./l2flows -l 0,1 --no-pci --vdev=net_null0 --vdev=net_null1 \
 *        -- [PACKETS [AGE]]                               also with --no-huge
 *
 * It forwards between all ports of the EAL until SIGINT, SIGTERM, or PACKETS
 * are received (0: for ever).  Each source address and each flow has an entry,
 * with as many bytes of key as it needs, until it has not been used for AGE
 * milliseconds (1000).  Lcores allocate entries from the heap of their socket;
 * the main lcore frees the old ones, whichever heap they are from; a thread that
 * the EAL does not know prints statistics, and allocates, too.
 *
 * At the end the lcores return, the thread is joined, the heaps are destroyed,
 * and only then rte_eal_cleanup unmaps their memory.  The lcores' threads live
 * on after that; when they exit they touch no heap, as there is none.
 */
#define FPHEAP_IMPLEMENTATION
#include "../../fpheap.h"

#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_ethdev.h>
#include <rte_jhash.h>
#include <rte_memzone.h>
#include <rte_spinlock.h>

enum { BURST = 32, MBUFS = 8191, BUCKETS = 1 << 16 };
enum { HOST = 6, ETHERNET = 14, IPV4 = 27, IPV6 = 51 }; /* bytes of a key */

typedef struct entry {
    struct entry *next;
    fpheap       *heap;
    uint64_t      seen;          /* TSC */
    uint16_t      port;          /* that its last packet came from */
    uint16_t      bytes;         /* of key */
    uint8_t       key[];
} entry;

typedef struct bucket {
    rte_spinlock_t lock;         /* for the list and what is in it */
    entry         *first;
} bucket;

static fpheap        *heaps[RTE_MAX_NUMA_NODES]; /* by socket */
static bucket        *table;
static rte_spinlock_t transmit[RTE_MAX_ETHPORTS];
static uint64_t       wanted;
static uint64_t       received, made, freed, zones; /* atomic */
static int            stop;                         /* atomic */

#define GET(word)    __atomic_load_n(&(word), __ATOMIC_RELAXED)
#define ADD(word, n) __atomic_fetch_add(&(word), n, __ATOMIC_RELAXED)
#define DIE(...)     rte_exit(EXIT_FAILURE, "l2flows: " __VA_ARGS__)

/* --- a heap for each socket ------------------------------------------------- */

static int
zone_get(void *socket, size_t bytes, size_t align, int node,
         fpheap_region *region)
{
    static unsigned           number;
    const struct rte_memzone *zone;
    char                      name[RTE_MEMZONE_NAMESIZE];

    (void)node;
    snprintf(name, sizeof name, "l2flows_%u", ADD(number, 1));
    zone = rte_memzone_reserve_aligned(name, bytes, (int)(intptr_t)socket, 0,
                                       (unsigned)align);
    if (zone == NULL)
        return -ENOMEM;
    region->base = zone->addr;
    region->bytes = zone->len;
    region->cookie = (void *)(uintptr_t)zone;
    ADD(zones, 1);
    return 0;
}

static int
zone_put(void *socket, const fpheap_region *region)
{
    (void)socket;
    ADD(zones, -1);
    return rte_memzone_free(region->cookie);
}

/* Without hugepages the EAL's memory is of no socket. */
static void
make_heap(int socket)
{
    int  where = rte_eal_has_hugepages() ? socket : SOCKET_ID_ANY;
    char name[FPHEAP_NAME_BYTES];
    fpheap_provider provider = { .get = zone_get, .put = zone_put,
                                 .ctx = (void *)(intptr_t)where };
    fpheap_config   config = { .provider = &provider };

    snprintf(name, sizeof name, "socket %d", socket);
    heaps[socket] = fpheap_create(name, &config);
    if (heaps[socket] == NULL)
        DIE("no memory for a heap on socket %d\n", socket);
}

/* --- entries ---------------------------------------------------------------- */

/* The bucket of a key, locked, and its entry or NULL. */
static bucket *
find(const uint8_t *key, unsigned bytes, entry **found)
{
    bucket *b = &table[rte_jhash(key, bytes, 0) % BUCKETS];
    entry  *e;

    rte_spinlock_lock(&b->lock);
    for (e = b->first; e != NULL; e = e->next)
        if (e->bytes == bytes && memcmp(e->key, key, bytes) == 0)
            break;
    *found = e;
    return b;
}

/* Without memory for an entry the packet goes on all the same. */
static void
learn(const uint8_t *key, unsigned bytes, uint16_t port)
{
    fpheap *heap = heaps[rte_socket_id()];
    entry  *e;
    bucket *b = find(key, bytes, &e);

    if (e == NULL && (e = fpheap_alloc(heap, sizeof *e + bytes)) != NULL) {
        e->next = b->first;
        e->heap = heap;
        e->bytes = (uint16_t)bytes;
        memcpy(e->key, key, bytes);
        b->first = e;
        ADD(made, 1);
    }
    if (e != NULL) {
        e->seen = rte_rdtsc();
        e->port = port;
    }
    rte_spinlock_unlock(&b->lock);
}

/* Free what has not been used for so many cycles. */
static void
age(int64_t cycles)
{
    for (unsigned i = 0; i < BUCKETS; i++) {
        entry **link = &table[i].first;

        rte_spinlock_lock(&table[i].lock);
        while (*link != NULL) {
            entry *e = *link;

            if ((int64_t)(rte_rdtsc() - e->seen) < cycles) {
                link = &e->next;
                continue;
            }
            *link = e->next;
            fpheap_free_sized(e->heap, e, sizeof *e + e->bytes);
            ADD(freed, 1);
        }
        rte_spinlock_unlock(&table[i].lock);
    }
}

/* --- packets ---------------------------------------------------------------- */

/* The key of a packet's flow: both Ethernet addresses and the type, and of IP
 * the protocol, addresses and ports.  Returns its bytes. */
static unsigned
key_of(const uint8_t *at, unsigned length, uint8_t *key)
{
    unsigned type = (unsigned)at[12] << 8 | at[13];

    memcpy(key, at, ETHERNET);
    if (type == RTE_ETHER_TYPE_IPV4 && length >= 38 && at[14] == 0x45) {
        key[ETHERNET] = at[23];
        memcpy(key + ETHERNET + 1, at + 26, IPV4 - ETHERNET - 1);
        return IPV4;
    }
    if (type == RTE_ETHER_TYPE_IPV6 && length >= 58) {
        key[ETHERNET] = at[20];
        memcpy(key + ETHERNET + 1, at + 22, IPV6 - ETHERNET - 1);
        return IPV6;
    }
    return ETHERNET;
}

/* To the port that the destination was seen at, or to all others.  Several
 * lcores may send to a port, which need not have several queues. */
static void
forward(struct rte_mbuf *m, uint16_t from)
{
    entry   *host;
    bucket  *b = find(rte_pktmbuf_mtod(m, uint8_t *), HOST, &host);
    int      only = host == NULL ? -1 : host->port;
    uint16_t port;

    rte_spinlock_unlock(&b->lock);
    RTE_ETH_FOREACH_DEV(port) {
        if (port == from || (only >= 0 && only != port))
            continue;
        rte_mbuf_refcnt_update(m, 1);
        rte_spinlock_lock(&transmit[port]);
        if (rte_eth_tx_burst(port, 0, &m, 1) == 0)
            rte_pktmbuf_free(m);
        rte_spinlock_unlock(&transmit[port]);
    }
    rte_pktmbuf_free(m);
}

static void
serve(uint16_t port)
{
    struct rte_mbuf *m[BURST];
    unsigned         n = rte_eth_rx_burst(port, 0, m, BURST);
    uint8_t          key[IPV6];

    for (unsigned i = 0; i < n; i++) {
        const uint8_t *at = rte_pktmbuf_mtod(m[i], const uint8_t *);
        unsigned       length = rte_pktmbuf_data_len(m[i]);

        if (length < ETHERNET) {
            rte_pktmbuf_free(m[i]);
            continue;
        }
        learn(at + HOST, HOST, port);
        learn(key, key_of(at, length, key), port);
        forward(m[i], port);
    }
    if (ADD(received, n) + n >= wanted && wanted != 0)
        __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
}

/* Each lcore but the main one receives from its share of the ports. */
static int
run_lcore(void *arg)
{
    unsigned shares = rte_lcore_count() - 1;
    unsigned mine = (unsigned)rte_lcore_index(-1) % shares;
    uint16_t port;

    while (!GET(stop))
        RTE_ETH_FOREACH_DEV(port)
            if (port % shares == mine)
                serve(port);
    return arg != NULL;
}

/* How many entries of each kind there are, twice a second. */
static void *
report(void *heap)
{
    unsigned *n = fpheap_alloc(heap, (IPV6 + 1) * sizeof *n);

    while (n != NULL && !GET(stop)) {
        memset(n, 0, (IPV6 + 1) * sizeof *n);
        for (unsigned i = 0; i < BUCKETS; i++) {
            rte_spinlock_lock(&table[i].lock);
            for (entry *e = table[i].first; e != NULL; e = e->next)
                n[e->bytes]++;
            rte_spinlock_unlock(&table[i].lock);
        }
        printf("%" PRIu64 " packets; %u hosts, flows of Ethernet %u, IPv4 %u,"
               " IPv6 %u\n", GET(received), n[HOST], n[ETHERNET], n[IPV4],
               n[IPV6]);
        (void)usleep(500000);
    }
    fpheap_free(heap, n);
    return NULL;
}

/* --- the whole -------------------------------------------------------------- */

static void
end(int number)
{
    (void)number;
    __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
}

static void
start_port(uint16_t port, struct rte_mempool *mbufs)
{
    struct rte_eth_conf conf = { 0 };
    unsigned            socket = (unsigned)rte_eth_dev_socket_id(port);

    if (rte_eth_dev_configure(port, 1, 1, &conf) != 0
        || rte_eth_rx_queue_setup(port, 0, 512, socket, NULL, mbufs) != 0
        || rte_eth_tx_queue_setup(port, 0, 512, socket, NULL) != 0
        || rte_eth_dev_start(port) != 0)
        DIE("port %u does not start\n", port);
    (void)rte_eth_promiscuous_enable(port); /* some cannot do without */
}

static void
end_heap(fpheap *heap)
{
    fpheap_stats stats;

    fpheap_stats_get(heap, &stats);
    printf("heap: %zu objects live, %zu MiB at most\n", stats.live_objects,
           stats.peak_region_bytes >> 20);
    if (fpheap_destroy(heap) != 0)
        DIE("a heap has objects\n");
}

int
main(int argc, char **argv)
{
    int                 used = rte_eal_init(argc, argv);
    int64_t             ms = 1000;
    fpheap             *first;
    pthread_t           reporter;
    struct rte_mempool *mbufs;
    uint16_t            port;

    if (used < 0 || rte_lcore_count() < 2 || rte_eth_dev_count_avail() == 0)
        DIE("needs an EAL with two lcores, and ports\n");
    if (argc > used + 1)
        wanted = strtoull(argv[used + 1], NULL, 10);
    if (argc > used + 2)
        ms = strtoll(argv[used + 2], NULL, 10);
    for (unsigned i = 0; i < rte_socket_count(); i++)
        make_heap(rte_socket_id_by_idx(i));
    first = heaps[rte_socket_id_by_idx(0)];
    table = fpheap_zalloc(first, BUCKETS * sizeof *table);
    mbufs = rte_pktmbuf_pool_create("mbufs", MBUFS, 256, 0,
                                    RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
    if (table == NULL || mbufs == NULL)
        DIE("no memory for a table and packets\n");
    RTE_ETH_FOREACH_DEV(port)
        start_port(port, mbufs);
    (void)signal(SIGINT, end);
    (void)signal(SIGTERM, end);
    if (pthread_create(&reporter, NULL, report, first) != 0)
        DIE("no thread\n");

    rte_eal_mp_remote_launch(run_lcore, NULL, SKIP_MAIN);
    while (!GET(stop)) {
        rte_delay_us_sleep(10000);
        age(ms * (int64_t)(rte_get_tsc_hz() / 1000));
    }

    rte_eal_mp_wait_lcore();
    (void)pthread_join(reporter, NULL);
    age(INT64_MIN);
    printf("%" PRIu64 " packets, %" PRIu64 " entries made, %" PRIu64 " live\n",
           received, made, made - freed);
    fpheap_free(first, table);
    for (unsigned i = 0; i < rte_socket_count(); i++)
        end_heap(heaps[rte_socket_id_by_idx(i)]);
    printf("%" PRIu64 " memzones left\n", zones);
    RTE_ETH_FOREACH_DEV(port)
        if (rte_eth_dev_stop(port) != 0 || rte_eth_dev_close(port) != 0)
            printf("port %u does not end\n", port);
    rte_mempool_free(mbufs);
    return rte_eal_cleanup();
}
