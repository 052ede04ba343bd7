/* DPDK's rte_malloc: one lock and lists of free memory, made for start-up.  It
 * is slow, so it takes fewer steps.  Built where pkg-config finds libdpdk. */
#include "dpdk.h"

#include <rte_malloc.h>

#define PEER_NAME "rte_malloc"
#define PEER_BARE 0
#define PEER_STEPS (1u << 14)
#define PEER_READY 1

typedef int peer;

/* Each object has a header of two cache lines, and is padded to whole ones. */
static peer
peer_prepare(const stock *s)
{
    dpdk_thread(s->bytes + (256u << 20)
                + s->each * (size_t)RTE_CACHE_LINE_SIZE * 3);
    return 0;
}

static memory_use
peer_memory(void)
{
    memory_use unknown = { 0, 0 };

    return unknown;
}

BENCH_INLINE void *
peer_alloc(peer p, size_t size)
{
    void *object = rte_malloc(NULL, size, 0);

    (void)p;
    if (object == NULL)
        abort();
    return object;
}

BENCH_INLINE void
peer_free(peer p, void *object, size_t size)
{
    (void)p;
    (void)size;
    rte_free(object);
}

BENCH_INLINE void
peer_free_sized(peer p, void *object, size_t size)
{
    peer_free(p, object, size);
}

BENCH_INLINE int
peer_alloc_bulk(peer p, size_t size, void **objects, unsigned n)
{
    unsigned i;

    for (i = 0; i < n; i++)
        objects[i] = peer_alloc(p, size);
    return 0;
}

BENCH_INLINE void
peer_free_bulk(peer p, void **objects, unsigned n, size_t size)
{
    unsigned i;

    for (i = 0; i < n; i++)
        peer_free(p, objects[i], size);
}
