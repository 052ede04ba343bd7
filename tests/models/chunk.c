/* chunk.c - a model of a partition's memory: who claims its chunks and drops them
 * SPDX-License-Identifier: MIT OR Unlicense
 *
 * Shows edges W6 and W7, and what W2 says: a chunk has memory while a region has it.
 * Bounds: a chunk or two that are dropped, three processes.
 */
#include "process.h"

#if SCENE == 1                 /* a chunk is dropped beside a claim */
#  define UNIT 1
#  define A put(1)
#  define B get()
#elif SCENE == 2               /* both of a longer page of the file are */
#  define UNIT 2
#  define A put(2)
#  define B put(3)
#  define C get()
#elif SCENE == 3               /* two claim one */
#  define UNIT 1
#  define A put(1)
#  define B get()
#  define C get()
#endif
#define CHUNKS (2 * UNIT)

static int
number_of(const fpheap_region *region)
{
    return (int)(((char *)region->base - (char *)&partition)
                 >> FPHEAP_CHUNK_SHIFT);
}

static void
put(size_t number)
{
    fpheap_region region = {0};

    region.base = (char *)&partition + (number << FPHEAP_CHUNK_SHIFT);
    region.bytes = FPHEAP_CHUNK;
    (void)fph_partition_put(&fph_heaps[0], &region);
}

static void
get(void)
{
    fpheap_region region = {0};

    if (fph_partition_get(&fph_heaps[1], FPHEAP_CHUNK, 0, 0, &region) != 0)
        return;
    assert(number_of(&region) >= UNIT);
    assert(backed[number_of(&region)]);
    backed[number_of(&region)] = 2;
}

#include "threads.h"

int
main(void)
{
    unsigned i;

    partition.base = (char *)&partition;
    partition.bytes = CHUNKS * FPHEAP_CHUNK;
    partition.unit = UNIT;
    for (i = 0; i < CHUNKS; i++)
        backed[i] = partition.taken[i] = 1;
    for (i = 0; i < 2; i++)
        fph_heaps[i].partition = &partition;
    run_threads();
    for (i = 0; i < CHUNKS; i++)
        assert(!partition.taken[i] || backed[i]);
    return 0;
}
