/* quickstart.c - make a heap, allocate and free a million times, look inside
 * SPDX-License-Identifier: MIT OR Unlicense
 *
 *     cc -O2 quickstart.c -o quickstart -pthread && ./quickstart
 */
#define FPHEAP_IMPLEMENTATION
#include "../fpheap.h"

#include <stdio.h>
#include <time.h>

int
main(void)
{
    fpheap      *heap = fpheap_create("packets", NULL);
    void        *burst[32];
    fpheap_stats stats;
    clock_t      start;

    if (heap == NULL || fpheap_alloc_bulk(heap, 2048, burst, 32) != 0) {
        fprintf(stderr, "quickstart: no memory\n");
        return 1;
    }
    start = clock();
    for (int i = 0; i < 1000000; i++) {
        char *packet = fpheap_alloc(heap, 1500);

        if (packet == NULL) {
            fprintf(stderr, "quickstart: no memory\n");
            return 1;
        }
        packet[0] = 'x';
        fpheap_free(heap, packet);
    }
    printf("a million times alloc and free: %.1f ns each time\n",
           (double)(clock() - start) * 1e3 / CLOCKS_PER_SEC);

    fpheap_stats_get(heap, &stats);
    printf("%zu objects live, %zu bytes, of %zu MiB from the system\n",
           stats.live_objects, stats.live_bytes, stats.region_bytes >> 20);
    fpheap_free_bulk(heap, burst, 32);
    return fpheap_destroy(heap) == 0 ? 0 : 1;
}
