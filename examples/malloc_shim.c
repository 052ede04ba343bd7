/* malloc_shim.c - malloc and its family from one heap, for any program
 * SPDX-License-Identifier: MIT OR Unlicense
 *
 *     cc -O2 -fPIC -shared -ftls-model=initial-exec -fvisibility=hidden \
 *        malloc_shim.c -o libfpheap_malloc.so -pthread
 *     LD_PRELOAD=$PWD/libfpheap_malloc.so program
 *
 * Settings come from the environment; a value that cannot be used is reported
 * on standard error, and the setting keeps its default.  A program that runs
 * with more rights than its caller has the defaults.
 *
 *     FPHEAP_SHIM_LIMIT=BYTES   what the heap has from the system at one time,
 *                               with K, M or G; at least 4M.  Beyond: ENOMEM
 *     FPHEAP_SHIM_NO_THP=1      no transparent hugepages, not even behind what
 *                               has filled in a heap of 32 MiB or more
 *     FPHEAP_SHIM_TRIM_MS=MS    give memory back when a thread ends, and when
 *                               the heap has not grown for so long; 0: never.
 *                               Default 1000.  There is no thread for it: each
 *                               64th free of a thread looks at a clock
 *     FPHEAP_SHIM_STATS=FILE    append a line to FILE when the process exits
 *
 * The price, against a malloc made for everybody: a small program has two chunks
 * of 2 MiB, and calloc writes all that it returns, up to half a MiB.
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
 *   RTLD_DEEPBIND  a library opened so, as PHP opens modules, would have the
 *                  C library's malloc: see dlopen
 *   fork           no thread that the child lacks can have left a lock behind,
 *                  but the one that made the heap, by the first call
 */
#define FPHEAP_IMPLEMENTATION
#define FPHEAP_STATIC           /* export malloc, but not fpheap_alloc */
#define FPHEAP_NO_STDIO  1
#define FPHEAP_MAX_HEAPS 1      /* two pointers of thread-local storage */
#define FPHEAP_MAX_NODES 1
#include "../fpheap.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Emulated thread-local storage calls malloc, which needs that storage. */
#if defined(__ANDROID__) && __ANDROID_API__ < 29 || defined(__OpenBSD__)     \
    || defined(__CYGWIN__)
#  error "malloc_shim: this system emulates thread-local storage with malloc"
#endif

#define EXPORT __attribute__((visibility("default")))
#define COLD   __attribute__((noinline, cold))
#define ALIGN  ((size_t)16)     /* that of max_align_t and of every object */

/* A call while the heap is being made gets a piece of this array: the thread
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

/* --- settings ------------------------------------------------------------- */

static fpheap_provider pages;       /* where the heap's memory comes from */
static unsigned        trim_ms;     /* FPHEAP_SHIM_TRIM_MS; 0: never */
static pthread_key_t   ends;        /* of a thread that frees */
static char            stats_path[PATH_MAX];  /* FPHEAP_SHIM_STATS, or "" */
static uint64_t        grown_ms;    /* when the heap grew or was trimmed last */

static uint64_t
now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static int
get_pages(void *ctx, size_t bytes, size_t align, int node,
          fpheap_region *region)
{
    __atomic_store_n(&grown_ms, now_ms(), __ATOMIC_RELAXED);
    return pages.get(ctx, bytes, align, node, region);
}

/* Trim if nobody has grown or trimmed the heap for so long, and if 8 MiB and
 * half of what is live are not live.  Relaxed: the time decides only which
 * thread does so, and when. */
static void
trim_after(uint64_t ms)
{
    uint64_t     now  = now_ms();
    uint64_t     last = __atomic_load_n(&grown_ms, __ATOMIC_RELAXED);
    fpheap_stats stats;

    if (now - last < ms || now < last
        || !__atomic_compare_exchange_n(&grown_ms, &last, now, 0,
                                        __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        return;
    fpheap_stats_get(the_heap, &stats);
    if (stats.region_bytes - stats.live_bytes
        < ((size_t)8 << 20) + stats.live_bytes / 2)
        return;
    fpheap_flush(the_heap);
    fpheap_trim(the_heap);
}

/* A thread ends, maybe after its cache is gone: what it has freed may be most of
 * the heap, and those that go on may free nothing. */
static void
trim_at_end(void *heap)
{
    fpheap_flush((fpheap *)heap);
    trim_after(1);
}

/* The power of two that a letter stands for; -1 for none of these. */
static int
unit_shift(char letter)
{
    switch (letter) {
    case '\0':           return 0;
    case 'K': case 'k':  return 10;
    case 'M': case 'm':  return 20;
    case 'G': case 'g':  return 30;
    default:             return -1;
    }
}

/* A number, with K, M or G after it if `units`.  Returns -1 for anything else.
 * Without strtoull, which reads the locale: the loader may be at work. */
static int
number(const char *text, int units, uint64_t *value)
{
    const char *at = text;
    int         shift;

    for (*value = 0; *at >= '0' && *at <= '9'; at++)
        if (__builtin_mul_overflow(*value, 10, value)
            || __builtin_add_overflow(*value, *at - '0', value))
            return -1;
    shift = unit_shift(*at);
    if (at == text || shift < 0 || (*at != '\0' && (!units || at[1] != '\0')))
        return -1;
    return __builtin_mul_overflow(*value, (uint64_t)1 << shift, value) ? -1 : 0;
}

/* The setting `name`: 0, or a number in least .. most; `usual` if there is
 * none. */
static uint64_t
setting(const char *name, int units, uint64_t least, uint64_t most,
        uint64_t usual)
{
    const char *text = secure_getenv(name);
    uint64_t    value;

    if (text == NULL || *text == '\0')
        return usual;
    if (number(text, units, &value) == 0
        && (value == 0 || (value >= least && value <= most)))
        return value;
    dprintf(2, "malloc_shim: %s=%s is ignored: a number%s, %llu to %llu, is"
            " expected\n", name, text, units ? ", K, M or G after it" : "",
            (unsigned long long)least, (unsigned long long)most);
    return usual;
}

/* At the end of a program its environment may be gone: PHP frees its own. */
static void
keep_stats_path(void)
{
    const char *path = secure_getenv("FPHEAP_SHIM_STATS");

    if (path != NULL && strlen(path) < sizeof stats_path)
        strcpy(stats_path, path);
}

static fpheap *
make_as_set(void)
{
    fpheap_provider provider;
    fpheap_config   config;
    unsigned        flags = 0;

    if (setting("FPHEAP_SHIM_NO_THP", 0, 1, 1, 0) != 0)
        flags = FPHEAP_NO_THP;
    if (fpheap_provider_mmap(&pages, flags) != 0)
        return NULL;
    provider = pages;
    provider.get = get_pages;
    memset(&config, 0, sizeof config);
    config.provider = &provider;
    config.limit = (size_t)setting("FPHEAP_SHIM_LIMIT", 1, 2 * FPHEAP_CHUNK,
                                   SIZE_MAX, 0);
    keep_stats_path();
    trim_ms = (unsigned)setting("FPHEAP_SHIM_TRIM_MS", 0, 1, UINT_MAX, 1000);
    if (trim_ms != 0 && pthread_key_create(&ends, trim_at_end) != 0)
        trim_ms = 0;
    return fpheap_create("malloc", &config);
}

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
        heap = make_as_set();
        __atomic_store_n(&the_heap, heap, __ATOMIC_RELEASE);
    }
    __atomic_store_n(&making, 0, __ATOMIC_RELEASE);
    return heap;
}

/* The acquire meets the release above: whoever sees the heap sees what is in
 * it.  A thread that has an object of the heap needs none of this to free it. */
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

/* The heap aligns to a chunk at most.  What is aligned to more lies in a larger
 * object; free finds that one again by looking where such a thing can be. */
static inline void *
whole_of(void *object)
{
    void *whole = NULL;

    if (__builtin_expect(((uintptr_t)object & (2 * FPHEAP_CHUNK - 1)) == 0, 0)
        && object != NULL)
        whole = fpheap_base_of(the_heap, object);
    return whole != NULL ? whole : object;
}

EXPORT void *
malloc(size_t size)
{
    fpheap *heap = shim_heap();

    return or_enomem(heap != NULL ? fpheap_alloc(heap, size)
                                  : spare_alloc(ALIGN, size));
}

static __thread unsigned frees;     /* of this thread, if the heap trims */

/* At each 64th free.  The first sees to it that the thread's end is noticed. */
static COLD void
trim_now_and_then(void)
{
    if (frees == 64)
        pthread_setspecific(ends, the_heap);
    trim_after(trim_ms);
}

/* Error paths free first and look at errno later, so free keeps it. */
EXPORT void
free(void *object)
{
    int saved = errno;

    if (object == NULL || is_spare(object))
        return;
    fpheap_free(the_heap, whole_of(object));
    if (__builtin_expect(trim_ms != 0, 0) && ++frees % 64 == 0)
        trim_now_and_then();
    errno = saved;
}

EXPORT size_t
malloc_usable_size(void *object)
{
    char *whole = whole_of(object);

    if (is_spare(object))
        return ((size_t *)object)[-1];
    if (object == NULL)
        return 0;
    return fpheap_usable_size(the_heap, whole)
         - (size_t)((char *)object - whole);
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
    if (!is_spare(object) && whole_of(object) == object)
        return or_enomem(fpheap_realloc(the_heap, object, size));
    had   = malloc_usable_size(object);
    moved = malloc(size);
    if (moved == NULL)
        return NULL;
    memcpy(moved, object, had < size ? had : size);
    free(object);
    return moved;
}

EXPORT void *
reallocarray(void *object, size_t n, size_t size)
{
    return realloc(object, product(n, size));
}

/* Alignment above a chunk: inside an object that has room for it. */
static COLD void *
greatly_aligned(fpheap *heap, size_t align, size_t size)
{
    size_t    bytes;
    uintptr_t at;

    if (__builtin_add_overflow(size, align, &bytes))
        return NULL;
    at = (uintptr_t)fpheap_alloc(heap, bytes);
    return (void *)((at + align - 1) & ~(align - 1));
}

/* `align` is a power of two. */
static void *
aligned(size_t align, size_t size)
{
    fpheap *heap = shim_heap();

    if (align < ALIGN)
        align = ALIGN;
    if (heap == NULL)
        return or_enomem(spare_alloc(align, size));
    return or_enomem(align > FPHEAP_CHUNK ? greatly_aligned(heap, align, size)
                     : fpheap_aligned_alloc(heap, align, size));
}

static void *
invalid(void)
{
    errno = EINVAL;
    return NULL;
}

/* As in the GNU C library, alignment is rounded up to a power of two; where
 * there is none it is invalid. */
EXPORT void *
memalign(size_t align, size_t size)
{
    size_t power = ALIGN;

    if (align > SIZE_MAX / 2 + 1)
        return invalid();
    while (power < align)
        power *= 2;
    return aligned(power, size);
}

/* As in C17 an invalid alignment fails, and the size may be any. */
EXPORT void *
aligned_alloc(size_t align, size_t size)
{
    if (align == 0 || (align & (align - 1)) != 0)
        return invalid();
    return aligned(align, size);
}

/* The error is the result; errno stays and, on failure, *out. */
EXPORT int
posix_memalign(void **out, size_t align, size_t size)
{
    int   saved = errno;
    void *object;

    if (align < sizeof(void *) || (align & (align - 1)) != 0)
        return EINVAL;
    object = aligned(align, size);
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

/* C23: the size is what the caller asked for.  The heap knows it. */
EXPORT void
free_sized(void *object, size_t size)
{
    (void)size;
    free(object);
}

EXPORT void
free_aligned_sized(void *object, size_t align, size_t size)
{
    (void)align;
    (void)size;
    free(object);
}

/* Names by which the GNU C library exports the same functions: what comes from
 * one of them may be freed by free. */
#if __has_attribute(copy)
#  define ALIAS(name) EXPORT __attribute__((alias(#name), copy(name)))
#else
#  define ALIAS(name) EXPORT __attribute__((alias(#name)))
#endif
extern ALIAS(malloc) void  *__libc_malloc(size_t size);
extern ALIAS(calloc) void  *__libc_calloc(size_t n, size_t size);
extern ALIAS(realloc) void *__libc_realloc(void *object, size_t size);
extern ALIAS(free) void     __libc_free(void *object);
extern ALIAS(memalign) void *__libc_memalign(size_t align, size_t size);
extern ALIAS(valloc) void  *__libc_valloc(size_t size);
extern ALIAS(pvalloc) void *__libc_pvalloc(size_t size);
extern ALIAS(posix_memalign) int __posix_memalign(void **out, size_t align,
                                                  size_t size);

/* --- <malloc.h> ----------------------------------------------------------- */

/* Takes back what this thread and the depots park, and gives whole regions
 * back; other threads flush when they next call the heap's slow path.  Whatever
 * `pad` asks to keep is not kept.  Returns 1 if memory went back, else 0. */
EXPORT int
malloc_trim(size_t pad)
{
    int saved = errno, released;

    (void)pad;
    if (__atomic_load_n(&the_heap, __ATOMIC_ACQUIRE) == NULL)
        return 0;
    fpheap_flush(the_heap);
    released = fpheap_trim(the_heap) != 0;
    errno = saved;
    return released;
}

static fpheap_stats
stats_now(void)
{
    fpheap      *heap = __atomic_load_n(&the_heap, __ATOMIC_ACQUIRE);
    fpheap_stats stats;

    memset(&stats, 0, sizeof stats);
    if (heap != NULL)
        fpheap_stats_get(heap, &stats);
    return stats;
}

/* arena = uordblks + fordblks: the bytes obtained are the live ones and all
 * others, the heap's records among them.  ordblks counts parked objects,
 * keepcost pages in no slab.  Fields that have no meaning here are 0. */
EXPORT struct mallinfo2
mallinfo2(void)
{
    fpheap_stats     s = stats_now();
    struct mallinfo2 info;

    memset(&info, 0, sizeof info);
    if (s.live_bytes > s.region_bytes)      /* others allocate meanwhile */
        s.live_bytes = s.region_bytes;
    info.arena    = s.region_bytes;
    info.uordblks = s.live_bytes;
    info.fordblks = s.region_bytes - s.live_bytes;
    info.ordblks  = s.parked_objects;
    info.keepcost = s.page_free_bytes;
    return info;
}

static int
as_int(size_t n)
{
    return n < INT_MAX ? (int)n : INT_MAX;
}

/* The same; what an int cannot hold is INT_MAX. */
EXPORT struct mallinfo
mallinfo(void)
{
    struct mallinfo2 wide = mallinfo2();
    struct mallinfo  info;

    memset(&info, 0, sizeof info);
    info.arena    = as_int(wide.arena);
    info.uordblks = as_int(wide.uordblks);
    info.fordblks = as_int(wide.fordblks);
    info.ordblks  = as_int(wide.ordblks);
    info.keepcost = as_int(wide.keepcost);
    return info;
}

/* To standard error, in three lines.  (The function is not to allocate.) */
EXPORT void
malloc_stats(void)
{
    fpheap_stats s = stats_now();

    dprintf(2, "system bytes     = %10zu\n"
               "max system bytes = %10zu\n"
               "in use bytes     = %10zu\n",
            s.region_bytes, s.peak_region_bytes, s.live_bytes);
}

/* Returns 0, or EINVAL if options is not 0, or the errno of writing. */
EXPORT int
malloc_info(int options, FILE *out)
{
    fpheap_stats s = stats_now();

    if (options != 0)
        return EINVAL;
    if (fprintf(out, "<malloc version=\"1\">\n"
                "<total type=\"live\" count=\"%zu\" size=\"%zu\"/>\n"
                "<total type=\"rest\" count=\"%zu\" size=\"%zu\"/>\n"
                "<system type=\"current\" size=\"%zu\"/>\n"
                "<system type=\"max\" size=\"%zu\"/>\n</malloc>\n",
                s.live_objects, s.live_bytes, s.parked_objects,
                mallinfo2().fordblks, s.region_bytes,
                s.peak_region_bytes) < 0)
        return errno;
    return 0;
}

/* Returns 1 for advice about speed and space, which need not be followed, and
 * is not; 0, refused, for what would change the contents of objects or what
 * happens after misuse, and for what is unknown. */
EXPORT int
mallopt(int what, int value)
{
    (void)value;
    switch (what) {
    case M_MXFAST:
    case M_TRIM_THRESHOLD:
    case M_TOP_PAD:
    case M_MMAP_THRESHOLD:
    case M_MMAP_MAX:
    case M_ARENA_TEST:
    case M_ARENA_MAX:
        return 1;
    default:
        return 0;
    }
}

/* --- RTLD_DEEPBIND -------------------------------------------------------- */

typedef void *dlopen_function(const char *file, int mode);

static dlopen_function *next_dlopen;

static COLD dlopen_function *
find_dlopen(void)
{
    dlopen_function *found = (dlopen_function *)dlsym(RTLD_NEXT, "dlopen");

    __atomic_store_n(&next_dlopen, found, __ATOMIC_RELAXED);
    return found;
}

/* A library that looks for malloc in its own dependencies first finds that of
 * the C library, and sooner or later frees with one what came from the other.
 * So nothing is opened with RTLD_DEEPBIND.
 *
 * The C library looks at who calls it, for the caller's search path: the call
 * must be a jump, which is why this is always optimized.  A namespace of
 * dlmopen has a C library, and a malloc, of its own. */
#ifdef __clang__
#  define JUMP __attribute__((musttail))
#  define JUMPS
#else
#  define JUMP
#  define JUMPS __attribute__((optimize("O2", "no-stack-protector")))
#endif

EXPORT JUMPS void *
dlopen(const char *file, int mode)
{
    dlopen_function *next = __atomic_load_n(&next_dlopen, __ATOMIC_RELAXED);

    if (next == NULL)
        next = find_dlopen();
    JUMP return next(file, mode & ~RTLD_DEEPBIND);
}

/* To a file, since many programs have closed standard error by now; and not
 * for a program that runs with more rights than its caller. */
__attribute__((destructor)) static void
report(void)
{
    int          mode = O_WRONLY | O_CREAT | O_APPEND;
    int          fd   = the_heap ? open(stats_path, mode, 0666) : -1;
    fpheap_stats s;

    if (fd < 0)
        return;
    fpheap_stats_get(the_heap, &s);
    dprintf(fd, "%s[%d]: %zu objects live, %zu parked, %zu KiB mapped\n",
            program_invocation_short_name, (int)getpid(), s.live_objects,
            s.parked_objects, s.region_bytes >> 10);
    close(fd);
}
