/* system_memory.h - a system that has no memory for records, or has it where a
 * test wants it
 *
 * mmap is a macro here.  Memory for records is a chunk and what lies around it,
 * and may be anywhere; nothing else that is asked for is so long.
 *
 * Include it before fpheap.h, and FPHEAP_CHUNK_SHIFT before it.
 */
#ifndef SYSTEM_MEMORY_H
#define SYSTEM_MEMORY_H

#ifndef _GNU_SOURCE
#  define _GNU_SOURCE 1
#endif
#include <stddef.h>
#include <sys/mman.h>

#ifdef FPHEAP_CHUNK_SHIFT
#  define SYSTEM_RECORDS (((size_t)1 << FPHEAP_CHUNK_SHIFT) + (2 << 16))
#else
#  define SYSTEM_RECORDS (((size_t)1 << 21) + (2 << 16))
#endif

static int   system_is_out;    /* 1: it has none */
static char *system_place;     /* where the next piece lies; NULL: anywhere */
static void (*system_meets)(void); /* called when it is asked; NULL: none */

static __attribute__((unused)) void *
system_mmap(void *at, size_t bytes, int access, int flags, int file,
            off_t offset)
{
    int records = at == NULL && bytes == SYSTEM_RECORDS;

    if (records && system_meets != NULL)
        system_meets();
    if (records && system_is_out)
        return MAP_FAILED;
    if (records && system_place != NULL) {
        at = system_place;
        flags |= MAP_FIXED;
        system_place = NULL;
    }
    return mmap(at, bytes, access, flags, file, offset);
}

#define mmap(at, bytes, access, flags, file, offset) \
    system_mmap(at, bytes, access, flags, file, offset)

#endif
