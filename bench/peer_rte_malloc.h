/* DPDK's rte_malloc: one lock and lists of free memory, made for start-up.  It
 * is slow, so it takes fewer steps.  Built where pkg-config finds libdpdk. */
#include "dpdk.h"

#include <rte_malloc.h>

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
