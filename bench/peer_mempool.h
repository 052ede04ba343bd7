/* DPDK's rte_mempool, with a cache as large as fpheap's magazine: the rows of
 * one size and of pools.  BENCH_OPS in the environment names what is behind the
 * cache: ring_mp_mc (the default), stack or lf_stack.  Built where pkg-config
 * finds libdpdk. */
#include "dpdk.h"

#include <rte_mempool.h>

#define PEER_BULK 1
#define PEER_ONE_SIZE 1

typedef struct rte_mempool *peer;

static struct rte_mempool *mempool;

static void
mempool_open(const stock *s)
{
    const char *ops = getenv("BENCH_OPS");

    mempool = rte_mempool_create_empty("bench", s->each, (unsigned)s->largest,
                                       RTE_MEMPOOL_CACHE_MAX_SIZE, 0,
                                       SOCKET_ID_ANY, 0);
    if (mempool == NULL
        || rte_mempool_set_ops_byname(mempool, ops != NULL ? ops : "ring_mp_mc",
                                      NULL) != 0
        || rte_mempool_populate_default(mempool) < 0) {
        fprintf(stderr, "bench: no mempool\n");
        exit(1);
    }
}

/* An object has a header and is padded to whole cache lines, of which one more
 * makes the number odd; the slots of a stack take 16 bytes each. */
static peer
peer_prepare(const stock *s)
{
    dpdk_thread(s->each * (s->largest + 3 * RTE_CACHE_LINE_SIZE + 32));
    if (mempool == NULL)
        mempool_open(s);
    return mempool;
}

BENCH_INLINE void *
peer_alloc(peer p, size_t size)
{
    void *object = NULL;

    (void)size;
    if (rte_mempool_get(p, &object) != 0)
        abort();
    return object;
}

BENCH_INLINE void
peer_free(peer p, void *object, size_t size)
{
    (void)size;
    rte_mempool_put(p, object);
}

BENCH_INLINE int
peer_alloc_bulk(peer p, size_t size, void **objects, unsigned n)
{
    (void)size;
    return rte_mempool_get_bulk(p, objects, n);
}

BENCH_INLINE void
peer_free_bulk(peer p, void **objects, unsigned n, size_t size)
{
    (void)size;
    rte_mempool_put_bulk(p, objects, n);
}
