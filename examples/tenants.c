/* tenants.c - three tenants of one heap: one floods, one has a share that is its
 * own, and the control traffic gets through when there is nothing left
 * SPDX-License-Identifier: MIT OR Unlicense
 *
 *     cc -O2 tenants.c -o tenants -pthread && ./tenants
 *
 *     the machine's memory for packets, 64 MiB
 *     +-- emergency   1 MiB   only fpheap_alloc_critical
 *     +-- bulk       48 MiB at most
 *     +-- voice      16 MiB at most, 4 MiB of them its own
 *     +-- trial      no limit of its own; ends by force
 */
#define FPHEAP_IMPLEMENTATION
#include "../fpheap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MIB ((size_t)1 << 20)

static void
need(int good, const char *what)
{
    if (!good) {
        fprintf(stderr, "tenants: %s: %s\n", what, strerror(errno));
        exit(1);
    }
}

static fpheap *
tenant(fpheap *machine, const char *name, size_t limit, size_t reserve)
{
    fpheap_config config = { .parent = machine, .limit = limit,
                             .reserve = reserve };
    fpheap       *heap   = fpheap_create(name, &config);

    need(heap != NULL, name);
    return heap;
}

/* Packets of all sizes, as many as there are. */
static void
flood(fpheap *heap, const char *name)
{
    size_t n = 0;

    while (fpheap_alloc(heap, 64 + n % 1437) != NULL)
        n++;
    printf("%s has %zu packets, then: %s\n", name, n, strerror(errno));
}

/* Who has the memory, written while there is none. */
static void
report(fpheap *machine)
{
    static const char *const kind[] = { "size", "pool", "tag", "tenant" };
    fpheap_holder            holder[4];
    unsigned                 i, n = fpheap_holders(machine, holder, 4);

    for (i = 0; i < n; i++)
        printf("    %-8s %-10s %6zu KiB\n", kind[holder[i].kind],
               holder[i].name, holder[i].bytes >> 10);
}

int
main(void)
{
    fpheap_config config  = { .limit = 64 * MIB, .emergency = MIB };
    fpheap       *machine = fpheap_create("machine", &config);
    fpheap       *bulk, *voice, *trial;
    void         *call[100], *control;
    unsigned      i;

    need(machine != NULL, "machine");
    bulk = tenant(machine, "bulk", 48 * MIB, 0);
    voice = tenant(machine, "voice", 16 * MIB, 4 * MIB);
    trial = tenant(machine, "trial", 0, 0);

    flood(bulk, "bulk");
    flood(trial, "trial");
    report(machine);

    need(fpheap_alloc_bulk(voice, 1000, call, 100) == 0, "a call");
    need(fpheap_alloc(machine, 1000) == NULL, "nothing is left, but something");
    control = fpheap_alloc_critical(machine, 1000);
    need(control != NULL, "a control message");
    printf("voice still has room, and a control message gets through\n");

    for (i = 0; i < 100; i++)
        fpheap_free(machine, call[i]);   /* whoever it was that had it */
    fpheap_free(machine, control);
    need(fpheap_destroy_forced(trial) == 0, "trial");
    need(fpheap_alloc(machine, 1000) != NULL, "what trial had is free");
    printf("trial is ended, and all that it had is back\n");
    return fpheap_destroy_forced(machine) == 0 ? 0 : 1;
}
