/* malloc_shim.c - malloc and its family from one heap, for any program
 * SPDX-License-Identifier: MIT OR Unlicense
 *
 *     cc -O2 -fPIC -shared -ftls-model=initial-exec -fvisibility=hidden \
 *        malloc_shim.c -o libfpheap_malloc.so -pthread
 *     LD_PRELOAD=$PWD/libfpheap_malloc.so program
 *
 * With FPHEAP_SHIM_STATS=FILE in the environment each process appends a line to
 * FILE when it exits.  The price, against a malloc made for everybody: a small
 * program has two chunks of 2 MiB, and calloc writes every byte it returns.
 *
 * What a malloc meets that other code does not:
 *
 *   before main    constructors, and the loader itself, allocate: the heap is
 *                  made by the first call, see shim_heap
 *   inside itself  making the heap may call malloc: see spare_alloc
 *   thread exit    the heap takes a thread's cache back when it exits; what the
 *                  thread frees still later goes straight to the slabs
 *   after main     the heap is never destroyed, so destructors and functions
 *                  given to atexit free what they like, in any order
 *   fork           no thread that the child lacks can have left a lock behind,
 *                  but one that just made the heap, by the first call
 */
#define FPHEAP_IMPLEMENTATION
#define FPHEAP_STATIC           /* export malloc, but not fpheap_alloc */
#define FPHEAP_NO_STDIO  1
#define FPHEAP_MAX_HEAPS 1      /* two pointers of thread-local storage */
#define FPHEAP_MAX_NODES 1
#include "../fpheap.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
#define COLD   __attribute__((noinline, cold))
#define ALIGN  ((size_t)16)     /* that of max_align_t and of every object */

/* Who asks while the heap is being made gets a piece of this array: the thread
 * that makes it, if the C library's help needs memory, or another one.  Each
 * piece has its size in front.  They are few, so free leaves them there. */
static _Alignas(16) char spare[1 << 15];
static size_t spare_used;

static COLD void *
spare_alloc(size_t align, size_t size)
{
    size_t    taken, bytes = (align + size + ALIGN) & ~(ALIGN - 1);
    uintptr_t at;

    if (align > sizeof spare || size > sizeof spare)
        return NULL;
    taken = __atomic_fetch_add(&spare_used, bytes, __ATOMIC_RELAXED);
    if (taken > sizeof spare || bytes > sizeof spare - taken)
        return NULL;
    at = ((uintptr_t)spare + taken + ALIGN + align - 1) & ~(align - 1);
    ((size_t *)at)[-1] = size;
    return (void *)at;
}

static int
is_spare(const void *object)
{
    return (uintptr_t)object - (uintptr_t)spare < sizeof spare;
}

static fpheap *the_heap;        /* NULL until it can be used */
static int     making;          /* 1: some thread is making it */

/* One caller makes the heap.  Nobody waits for it: who would wait may be that
 * caller, deeper in its stack.  After a failure the next call tries again. */
static COLD fpheap *
make_heap(void)
{
    fpheap *heap;

    if (__atomic_exchange_n(&making, 1, __ATOMIC_ACQUIRE) != 0)
        return NULL;
    heap = __atomic_load_n(&the_heap, __ATOMIC_RELAXED);
    if (heap == NULL) {
        heap = fpheap_create("malloc", NULL);
        __atomic_store_n(&the_heap, heap, __ATOMIC_RELEASE);
    }
    __atomic_store_n(&making, 0, __ATOMIC_RELEASE);
    return heap;
}

/* The acquire meets the release above: who sees the heap sees what is in it.
 * Who has an object of the heap needs none of this to free it. */
static inline fpheap *
shim_heap(void)
{
    fpheap *heap = __atomic_load_n(&the_heap, __ATOMIC_ACQUIRE);

    return heap != NULL ? heap : make_heap();
}

/* The heap has several reasons to fail, malloc has one. */
static inline void *
or_enomem(void *object)
{
    if (object == NULL)
        errno = ENOMEM;
    return object;
}

EXPORT void *
malloc(size_t size)
{
    fpheap *heap = shim_heap();

    return or_enomem(heap != NULL ? fpheap_alloc(heap, size)
                                  : spare_alloc(ALIGN, size));
}

/* Error paths free first and look at errno later, so free keeps it. */
EXPORT void
free(void *object)
{
    int saved = errno;

    if (object == NULL || is_spare(object))
        return;
    fpheap_free(the_heap, object);
    errno = saved;
}

EXPORT size_t
malloc_usable_size(void *object)
{
    if (is_spare(object))
        return ((size_t *)object)[-1];
    return object != NULL ? fpheap_usable_size(the_heap, object) : 0;
}

/* A product that overflows becomes a size that nobody has. */
static size_t
product(size_t n, size_t size)
{
    size_t bytes;

    return __builtin_mul_overflow(n, size, &bytes) ? SIZE_MAX : bytes;
}

/* Spare memory is zero: it starts so, and no piece is used twice. */
EXPORT void *
calloc(size_t n, size_t size)
{
    fpheap *heap = shim_heap();

    return or_enomem(heap != NULL ? fpheap_zalloc(heap, product(n, size))
                                  : spare_alloc(ALIGN, product(n, size)));
}

/* Size 0 frees here, where fpheap_realloc would give the smallest object. */
EXPORT void *
realloc(void *object, size_t size)
{
    size_t had;
    void  *moved;

    if (object == NULL)
        return malloc(size);
    if (size == 0) {
        free(object);
        return NULL;
    }
    if (!is_spare(object))
        return or_enomem(fpheap_realloc(the_heap, object, size));
    had   = malloc_usable_size(object);
    moved = malloc(size);
    return moved ? memcpy(moved, object, had < size ? had : size) : NULL;
}

EXPORT void *
reallocarray(void *object, size_t n, size_t size)
{
    return realloc(object, product(n, size));
}

/* As in the GNU C library, alignment is rounded up to a power of two.  Above a
 * chunk the heap has none to offer. */
EXPORT void *
memalign(size_t align, size_t size)
{
    fpheap *heap  = shim_heap();
    size_t  power = ALIGN;

    while (power < align && power <= FPHEAP_CHUNK)
        power *= 2;
    return or_enomem(heap != NULL ? fpheap_aligned_alloc(heap, power, size)
                                  : spare_alloc(power, size));
}

EXPORT void *
aligned_alloc(size_t align, size_t size)
{
    return memalign(align, size);
}

/* The error is the result; errno stays and, on failure, *out. */
EXPORT int
posix_memalign(void **out, size_t align, size_t size)
{
    int   saved = errno;
    void *object;

    if (align < sizeof(void *) || (align & (align - 1)) != 0)
        return EINVAL;
    object = memalign(align, size);
    errno  = saved;
    if (object != NULL)
        *out = object;
    return object != NULL ? 0 : ENOMEM;
}

EXPORT void *
valloc(size_t size)
{
    return memalign((size_t)sysconf(_SC_PAGESIZE), size);
}

EXPORT void *
pvalloc(size_t size)
{
    size_t last = (size_t)sysconf(_SC_PAGESIZE) - 1;

    return valloc(size > SIZE_MAX / 2 ? size : (size + last) & ~last);
}

/* To a file, since many programs have closed standard error by now; and not
 * for a program that runs with more rights than its caller. */
__attribute__((destructor)) static void
report(void)
{
    const char  *path = secure_getenv("FPHEAP_SHIM_STATS");
    int          mode = O_WRONLY | O_CREAT | O_APPEND;
    int          fd   = path && the_heap ? open(path, mode, 0666) : -1;
    fpheap_stats s;

    if (fd < 0)
        return;
    fpheap_stats_get(the_heap, &s);
    dprintf(fd, "%s[%d]: %zu objects live, %zu parked, %zu KiB mapped\n",
            program_invocation_short_name, (int)getpid(), s.live_objects,
            s.parked_objects, s.region_bytes >> 10);
    close(fd);
}
