/* fpheap, found anew by each call through its heap. */
#include "heap.h"

#define PEER_NAME "fpheap"
#define PEER_BARE 0

typedef fpheap *peer;

static peer
peer_prepare(const stock *s)
{
    return bench_heap_open(s);
}

BENCH_INLINE void *
peer_alloc(peer p, size_t size)
{
    return fpheap_alloc(p, size);
}

BENCH_INLINE void
peer_free(peer p, void *object, size_t size)
{
    (void)size;
    fpheap_free(p, object);
}

BENCH_INLINE void
peer_free_sized(peer p, void *object, size_t size)
{
    fpheap_free_sized(p, object, size);
}

BENCH_INLINE int
peer_alloc_bulk(peer p, size_t size, void **objects, unsigned n)
{
    return fpheap_alloc_bulk(p, size, objects, n);
}

BENCH_INLINE void
peer_free_bulk(peer p, void **objects, unsigned n, size_t size)
{
    fpheap_free_bulk_sized(p, objects, n, size);
}
