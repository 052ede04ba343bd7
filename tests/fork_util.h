/* fork_util.h - a fork whose child has none of its parent's partitions
 * SPDX-License-Identifier: MIT OR Unlicense
 *
 * Linux leaves them out, as the heap asks for with MADV_DONTFORK.  qemu's user
 * mode does not know that: with EMULATED the child takes them out itself, but
 * not memory that the program has mapped.
 *
 * Include it after fpheap.h.
 */
#ifndef FORK_UTIL_H
#define FORK_UTIL_H

#include <sys/mman.h>
#include <unistd.h>

#ifndef EMULATED
#  define EMULATED 0
#endif

#if EMULATED
static pid_t
fork_without(void)
{
    struct { void *base; size_t bytes; } part[FPHEAP_MAX_HEAPS];
    unsigned n = 0, i;
    pid_t    child;

    for (i = 0; i < FPHEAP_MAX_HEAPS; i++) {
        if (fph_heaps[i].partition == NULL || fph_heaps[i].mapped)
            continue;
        part[n].base = fph_heaps[i].partition;
        part[n++].bytes = fph_heaps[i].bytes;
    }
    child = fork();
    if (child == 0)
        while (n-- > 0)
            munmap(part[n].base, part[n].bytes);
    return child;
}
#else
#  define fork_without() fork()
#endif

#endif /* FORK_UTIL_H */
