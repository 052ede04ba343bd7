/* fpheap in a loop that keeps its thread's cache (fpheap_self). */
#include "heap.h"

#define PEER_SIZED 1
#define PEER_BULK 1

typedef fpheap_cache *peer;

static peer
peer_prepare(const stock *s)
{
    fpheap_cache *cache = fpheap_self(bench_heap_open(s));

    if (cache == NULL) {
        fprintf(stderr, "bench: no cache\n");
        exit(1);
    }
    return cache;
}

BENCH_INLINE void *
peer_alloc(peer p, size_t size)
{
    return fpheap_cache_alloc(p, size);
}

BENCH_INLINE void
peer_free(peer p, void *object, size_t size)
{
    (void)size;
    fpheap_cache_free(p, object);
}

BENCH_INLINE void
peer_free_sized(peer p, void *object, size_t size)
{
    fpheap_cache_free_sized(p, object, size);
}

BENCH_INLINE int
peer_alloc_bulk(peer p, size_t size, void **objects, unsigned n)
{
    return fpheap_cache_alloc_bulk(p, size, objects, n);
}

BENCH_INLINE void
peer_free_bulk(peer p, void **objects, unsigned n, size_t size)
{
    fpheap_cache_free_bulk_sized(p, objects, n, size);
}
