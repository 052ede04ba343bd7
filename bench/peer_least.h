/* The least that a heap can do: the floor's stacks, but found through a handle
 * in a table of the thread's, tested for empty and for full, and where the size
 * is not given, found by a look at what the object's page is used for.  What
 * fpheap takes beyond it is its own; what it takes beyond the floor is not. */
#include "../fpheap.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#define PEER_BARE 1
#define PEER_SIZED 1
#define PEER_BULK 1

#define LEAST_PAGE  16                        /* log2 of bytes of one class */
#define LEAST_BYTES ((size_t)1 << 36)         /* of address space */

typedef struct least_bin {
    void **top;
    void **base;
    void **limit;
} least_bin;

typedef struct least_heap {
    unsigned entry;            /* byte offset in least_table */
} least_heap;

typedef least_heap *peer;

static __thread least_bin  least_bins[FPH_CLASSES];
static __thread least_bin *least_table[16];
static char               *least_memory;
static size_t              least_used;
static uint8_t             least_map[LEAST_BYTES >> LEAST_PAGE];

static void *
least_slots(size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

    if (p == MAP_FAILED) {
        fprintf(stderr, "bench: no memory for the least\n");
        exit(1);
    }
    return p;
}

/* The two threads of a row prepare one after the other. */
static void
least_fill(unsigned class_index, size_t size, unsigned each)
{
    least_bin *bin     = &least_bins[class_index];
    char      *objects = least_memory + least_used;
    size_t     slots   = 2 * (size_t)each + 16;
    size_t     end;
    unsigned   i;

    bin->base = bin->top = least_slots(slots * sizeof *bin->base);
    bin->limit = bin->base + slots;
    for (i = each; i-- > 0;)
        *bin->top++ = objects + (size_t)i * size;
    end = least_used + (size_t)each * size;
    for (; least_used < end; least_used += (size_t)1 << LEAST_PAGE)
        least_map[least_used >> LEAST_PAGE] = (uint8_t)class_index;
}

static peer
peer_prepare(const stock *s)
{
    static least_heap heap = { 3 * sizeof(least_bin *) };
    size_t size;

    if (least_memory == NULL)
        least_memory = map_objects(LEAST_BYTES);
    if (least_memory == NULL)
        exit(1);
    least_table[3] = least_bins;
    for (size = (s->smallest + 15) / 16 * 16; ; size += 16) {
        unsigned class_index = fph_class_of(size);

        if (fph_class_of(size + 16) == class_index)
            continue;
        if (least_bins[class_index].base == NULL)
            least_fill(class_index, size, s->each);
        if (size >= s->largest)
            return &heap;
    }
}

BENCH_INLINE least_bin *
least_bin_of(peer p, unsigned class_index)
{
    least_bin *const *entry = (least_bin *const *)(const void *)
        ((const char *)least_table + p->entry);

    return &(*entry)[class_index];
}

BENCH_INLINE void *
peer_alloc(peer p, size_t size)
{
    least_bin *bin = least_bin_of(p, fph_class_of(size));

    if (bin->top == bin->base)
        abort();
    return *--bin->top;
}

BENCH_INLINE void
least_put(least_bin *bin, void *object)
{
    if (bin->top == bin->limit)
        abort();
    *bin->top++ = object;
}

BENCH_INLINE void
peer_free_sized(peer p, void *object, size_t size)
{
    least_put(least_bin_of(p, fph_class_of(size)), object);
}

BENCH_INLINE void
peer_free(peer p, void *object, size_t size)
{
    size_t page = (size_t)((char *)object - least_memory) >> LEAST_PAGE;

    (void)size;
    least_put(least_bin_of(p, least_map[page]), object);
}

BENCH_INLINE int
peer_alloc_bulk(peer p, size_t size, void **objects, unsigned n)
{
    least_bin *bin = least_bin_of(p, fph_class_of(size));
    void     **top = bin->top;
    unsigned   i;

    if ((size_t)(top - bin->base) < n)
        return 1;
    top -= n;
    for (i = 0; i < n; i++)
        objects[i] = top[i];
    bin->top = top;
    return 0;
}

BENCH_INLINE void
peer_free_bulk(peer p, void **objects, unsigned n, size_t size)
{
    least_bin *bin = least_bin_of(p, fph_class_of(size));
    void     **top = bin->top;
    unsigned   i;

    if ((size_t)(bin->limit - top) < n)
        abort();
    for (i = 0; i < n; i++)
        top[i] = objects[i];
    bin->top = top + n;
}
