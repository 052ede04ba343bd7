/* malloc and free: glibc's, or whatever library is preloaded. */
#include <malloc.h>
#include <stdlib.h>

#define PEER_NAME "malloc"
#define PEER_BARE 0

typedef int peer;

static peer
peer_prepare(const stock *s)
{
    (void)s;
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
    (void)p;
    return malloc(size);
}

BENCH_INLINE void
peer_free(peer p, void *object, size_t size)
{
    (void)p;
    (void)size;
    free(object);
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

    (void)p;
    for (i = 0; i < n; i++)
        objects[i] = malloc(size);
    return 0;
}

BENCH_INLINE void
peer_free_bulk(peer p, void **objects, unsigned n, size_t size)
{
    unsigned i;

    (void)p;
    (void)size;
    for (i = 0; i < n; i++)
        free(objects[i]);
}

#if defined(__GLIBC__)
#  if __GLIBC_PREREQ(2, 33)
#    define PEER_STATISTICS 1
#  endif
#endif

#ifdef PEER_STATISTICS
/* They are glibc's, not those of a library that is preloaded. */
static size_t
peer_statistics(void)
{
    return getenv("BENCH_LIBRARY") != NULL ? 0 : mallinfo2().uordblks;
}
#endif
