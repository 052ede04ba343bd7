/* DPDK's rte_mempool, with a cache as large as fpheap's magazine: the rows of
 * pools only.  Built where pkg-config finds libdpdk.  No hugepages are needed,
 * and each row's process is a primary one. */
#include <rte_eal.h>
#include <rte_mempool.h>

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PEER_NAME "mempool"
#define PEER_BARE 0
#define PEER_POOL 1
#define PEER_POOL_ONLY 1

/* For the rows that are compiled and left out. */
typedef int peer;

static peer
peer_prepare(const stock *s)
{
    (void)s;
    abort();
}

static memory_use
peer_memory(void)
{
    abort();
}

#define peer_alloc(p, size)               ((void)(p), (void *)NULL)
#define peer_free(p, object, size)        ((void)(p))
#define peer_free_sized(p, object, size)  ((void)(p))
#define peer_alloc_bulk(p, size, list, n) ((void)(p), -1)
#define peer_free_bulk(p, list, n, size)  ((void)(p))

typedef struct rte_mempool *peer_pool;

/* On the processor that the row is pinned to. */
static void
mempool_start(void)
{
    char  cpu[16];
    char  prefix[48];
    char *argv[] = { (char[]){ "bench" }, (char[]){ "--no-huge" },
                     (char[]){ "--no-pci" }, (char[]){ "-m" },
                     (char[]){ "1024" }, (char[]){ "--no-telemetry" },
                     (char[]){ "--no-shconf" },
                     (char[]){ "--log-level=*:error" }, prefix,
                     (char[]){ "-l" }, cpu, NULL };

    snprintf(cpu, sizeof cpu, "%d", sched_getcpu());
    snprintf(prefix, sizeof prefix, "--file-prefix=bench%d", (int)getpid());
    if (rte_eal_init((int)(sizeof argv / sizeof argv[0]) - 1, argv) < 0) {
        fprintf(stderr, "bench: DPDK does not start\n");
        exit(1);
    }
    (void)rmdir(rte_eal_get_runtime_dir()); /* nothing is in it */
}

static peer_pool
peer_pool_prepare(const stock *s)
{
    struct rte_mempool *pool;

    mempool_start();
    pool = rte_mempool_create("bench", s->each * 4 - 1, (unsigned)s->largest,
                              RTE_MEMPOOL_CACHE_MAX_SIZE, 0, NULL, NULL, NULL,
                              NULL, SOCKET_ID_ANY, 0);
    if (pool == NULL) {
        fprintf(stderr, "bench: no mempool\n");
        exit(1);
    }
    return pool;
}

BENCH_INLINE void *
peer_pool_get(peer_pool pool)
{
    void *object = NULL;

    if (rte_mempool_get(pool, &object) != 0)
        abort();
    return object;
}

BENCH_INLINE void
peer_pool_put(peer_pool pool, void *object)
{
    rte_mempool_put(pool, object);
}

BENCH_INLINE int
peer_pool_get_bulk(peer_pool pool, void **objects, unsigned n)
{
    return rte_mempool_get_bulk(pool, objects, n);
}

BENCH_INLINE void
peer_pool_put_bulk(peer_pool pool, void **objects, unsigned n)
{
    rte_mempool_put_bulk(pool, objects, n);
}
