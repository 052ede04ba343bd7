/* What the two peers of fpheap have in common: one heap, with its memory. */
#define FPHEAP_IMPLEMENTATION
#include "../fpheap.h"

#include <stdio.h>
#include <stdlib.h>

static fpheap *bench_heap;

/* The first call makes the heap; the row's other threads find it made. */
static fpheap *
bench_heap_open(const stock *s)
{
    fpheap_provider provider;
    fpheap_config   config = { .provider = &provider };

    if (bench_heap != NULL)
        return bench_heap;
    fpheap_provider_mmap(&provider, wants_hugepages() ? FPHEAP_HUGETLB : 0);
    bench_heap = fpheap_create("bench", &config);
    if (bench_heap == NULL
        || (s->bytes != 0
            && fpheap_reserve(bench_heap, s->bytes, FPHEAP_ANY_NODE) != 0)) {
        fprintf(stderr, "bench: no memory for the heap\n");
        exit(1);
    }
    return bench_heap;
}

#define PEER_MEMORY 1

static memory_use
peer_memory(void)
{
    fpheap_stats stats;
    memory_use   use;

    fpheap_stats_get(bench_heap, &stats);
    use.obtained = stats.region_bytes;
    use.in_use = stats.region_bytes - stats.page_free_bytes;
    return use;
}

#define PEER_STATISTICS 1

static size_t
peer_statistics(void)
{
    fpheap_stats stats;

    fpheap_stats_get(bench_heap, &stats);
    return stats.live_bytes;
}
