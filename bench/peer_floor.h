/* The floor: a thread-local stack of pointers for each class and nothing else.
 * It is filled before the clock starts, never checks for empty or full, and
 * takes its class from the size at every free.  No allocator that finds its
 * thread's cache can do less. */
#include "../fpheap.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#define PEER_BARE 1
#define PEER_BULK 1
#define PEER_POOL 1

typedef int peer;

static __thread void **floor_top[FPH_CLASSES];

#define FLOOR_BYTES ((size_t)1 << 36) /* of address space */

static char  *floor_memory;
static size_t floor_used;

/* Objects of all classes lie in one mapping, one class after the other. */
static char *
floor_objects(size_t bytes)
{
    if (floor_memory == NULL)
        floor_memory = map_objects(FLOOR_BYTES);
    if (floor_memory == NULL)
        return NULL;
    bytes = (bytes + 4095) / 4096 * 4096;
    return floor_memory
           + __atomic_fetch_add(&floor_used, bytes, __ATOMIC_RELAXED);
}

/* Room for the objects, and for as many more that come from elsewhere.  The
 * objects are address space: they cost memory only where a row touches them. */
static void
floor_fill(unsigned class_index, size_t size, unsigned each)
{
    size_t bytes = (size_t)each * size;
    size_t slots = 2 * (size_t)each + 16;
    char  *objects = floor_objects(bytes);
    void **stack = mmap(NULL, slots * sizeof *stack, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    unsigned i;

    if (objects == NULL || (void *)stack == MAP_FAILED) {
        fprintf(stderr, "bench: no memory for the floor\n");
        exit(1);
    }
    for (i = each; i-- > 0;)
        *stack++ = objects + (size_t)i * size;
    floor_top[class_index] = stack;
}

static peer
peer_prepare(const stock *s)
{
    size_t size;

    for (size = (s->smallest + 15) / 16 * 16; ; size += 16) {
        unsigned class_index = fph_class_of(size);

        if (fph_class_of(size + 16) == class_index)
            continue;
        if (floor_top[class_index] == NULL)
            floor_fill(class_index, size, s->each);
        if (size >= s->largest)
            return 0;
    }
}

BENCH_INLINE void *
peer_alloc(peer p, size_t size)
{
    void ***top = &floor_top[fph_class_of(size)];

    (void)p;
    return *--*top;
}

BENCH_INLINE void
peer_free(peer p, void *object, size_t size)
{
    void ***top = &floor_top[fph_class_of(size)];

    (void)p;
    *(*top)++ = object;
}

BENCH_INLINE int
peer_alloc_bulk(peer p, size_t size, void **objects, unsigned n)
{
    void   **top = floor_top[fph_class_of(size)] - n;
    unsigned i;

    (void)p;
    for (i = 0; i < n; i++)
        objects[i] = top[i];
    floor_top[fph_class_of(size)] = top;
    return 0;
}

BENCH_INLINE void
peer_free_bulk(peer p, void **objects, unsigned n, size_t size)
{
    void   **top = floor_top[fph_class_of(size)];
    unsigned i;

    (void)p;
    for (i = 0; i < n; i++)
        top[i] = objects[i];
    floor_top[fph_class_of(size)] = top + n;
}

/* A pool's class is known beforehand. */
typedef int peer_pool;

static __thread void **floor_pool;

static peer_pool
peer_pool_prepare(const stock *s)
{
    (void)peer_prepare(s);
    floor_pool = floor_top[fph_class_of(s->largest)];
    return 0;
}

BENCH_INLINE void *
peer_pool_get(peer_pool pool)
{
    (void)pool;
    return *--floor_pool;
}

BENCH_INLINE void
peer_pool_put(peer_pool pool, void *object)
{
    (void)pool;
    *floor_pool++ = object;
}

BENCH_INLINE int
peer_pool_get_bulk(peer_pool pool, void **objects, unsigned n)
{
    void   **top = floor_pool - n;
    unsigned i;

    (void)pool;
    for (i = 0; i < n; i++)
        objects[i] = top[i];
    floor_pool = top;
    return 0;
}

BENCH_INLINE void
peer_pool_put_bulk(peer_pool pool, void **objects, unsigned n)
{
    void   **top = floor_pool;
    unsigned i;

    (void)pool;
    for (i = 0; i < n; i++)
        top[i] = objects[i];
    floor_pool = top + n;
}
