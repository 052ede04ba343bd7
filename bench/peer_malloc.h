/* malloc and free: glibc's, or whatever library is preloaded. */
#include <malloc.h>
#include <stdlib.h>

typedef int peer;

static peer
peer_prepare(const stock *s)
{
    (void)s;
    return 0;
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
