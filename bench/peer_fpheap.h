/* fpheap, found anew by each call through its heap. */
#include "heap.h"

#define PEER_SIZED 1
#define PEER_BULK 1
#define PEER_POOL 1

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

typedef fpheap_pool *peer_pool;

/* Its magazines are as large as the heap's, so that all bulks hit.  The first
 * call makes it; the row's other threads find it made. */
static peer_pool
peer_pool_prepare(const stock *s)
{
    static fpheap_pool *pool;
    fpheap_pool_desc    desc = { .name = "bench", .size = s->largest,
                                 .magazine = FPHEAP_MAGAZINE };

    if (pool == NULL)
        pool = fpheap_pool_create(bench_heap_open(s), &desc);
    if (pool == NULL) {
        fprintf(stderr, "bench: no pool\n");
        exit(1);
    }
    return pool;
}

BENCH_INLINE void *
peer_pool_get(peer_pool pool)
{
    return fpheap_pool_get(pool);
}

BENCH_INLINE void
peer_pool_put(peer_pool pool, void *object)
{
    fpheap_pool_put(pool, object);
}

BENCH_INLINE int
peer_pool_get_bulk(peer_pool pool, void **objects, unsigned n)
{
    return fpheap_pool_get_bulk(pool, objects, n);
}

BENCH_INLINE void
peer_pool_put_bulk(peer_pool pool, void **objects, unsigned n)
{
    fpheap_pool_put_bulk(pool, objects, n);
}
