/* trace_record.c - records what a program asks of malloc, as trace.h describes
 *
 *     cc -O2 -fPIC -shared -ftls-model=initial-exec -fvisibility=hidden \
 *        trace_record.c -o libtrace_record.so -ldl
 *     TRACE_DIR=/tmp LD_PRELOAD=$PWD/libtrace_record.so program
 *
 * Each process whose name begins with TRACE_PROGRAM (any, if that is not set)
 * writes TRACE_DIR/NAME.PID.trace, up to TRACE_EVENTS events (a million): then
 * it goes on unrecorded, and what is live stays live to the end of the trace.
 *
 * Every call goes on to the malloc that the program would have had.  Events get
 * their order from a lock.  An object is in the trace after the call that made
 * it has returned, and is freed there before the call that frees it: no event
 * comes before what it depends on, whatever the threads do.
 *
 *   before main    what the loader and other constructors allocate before this
 *                  library's constructor is not recorded
 *   inside itself  dlsym may allocate: see spare_alloc.  The recorder has its
 *                  memory from mmap; the file too is mapped
 *   fork           a child is not recorded: its copy of the state is zeros
 *                  (MADV_WIPEONFORK).  A program that it executes is recorded
 *   a sudden end   leaves a file that ends in zeros, and is complete
 */
#ifndef _GNU_SOURCE
#  define _GNU_SOURCE 1
#endif
#include "trace.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define EXPORT     __attribute__((visibility("default")))
#define ALIGN      ((size_t)16)
#define EVENTS_MAX (1u << 26) /* keeps the file's length, and the map's, sane */

/* --- the malloc behind this one ------------------------------------------- */

static struct {
    void *(*malloc)(size_t size);
    void *(*calloc)(size_t n, size_t size);
    void *(*realloc)(void *object, size_t size);
    void *(*memalign)(size_t align, size_t size);
    int   (*posix_memalign)(void **out, size_t align, size_t size);
    void  (*free)(void *object);
} next;

/* What dlsym asks for while it is asked comes from here and stays here. */
static _Alignas(16) char spare[1 << 14];
static size_t spare_used;

static void *
spare_alloc(size_t size)
{
    size_t bytes = (size + ALIGN - 1) & ~(ALIGN - 1);
    char  *object = spare + spare_used;

    if (size > sizeof spare || bytes > sizeof spare - spare_used)
        return NULL;
    spare_used += bytes;
    return object;
}

static int
is_spare(const void *object)
{
    return (uintptr_t)object - (uintptr_t)spare < sizeof spare;
}

/* The first call comes from the loader or a constructor, while there is only
 * one thread.  0 while the answers are being looked up: this is dlsym's own
 * call. */
static int
find_next(void)
{
    static int looking;

    if (next.free != NULL)
        return 1;
    if (looking)
        return 0;
    looking = 1;
    *(void **)&next.malloc = dlsym(RTLD_NEXT, "malloc");
    *(void **)&next.calloc = dlsym(RTLD_NEXT, "calloc");
    *(void **)&next.realloc = dlsym(RTLD_NEXT, "realloc");
    *(void **)&next.memalign = dlsym(RTLD_NEXT, "memalign");
    *(void **)&next.posix_memalign = dlsym(RTLD_NEXT, "posix_memalign");
    *(void **)&next.free = dlsym(RTLD_NEXT, "free");
    return next.free != NULL;
}

/* --- the state ------------------------------------------------------------ */

/* In pages of its own that a child of fork finds zero.  All but on is the
 * lock's; on is read without it, to stay out of the way when nothing is
 * recorded. */
typedef struct state {
    int            on;
    int            lock;
    unsigned       threads;  /* that have had an event */
    unsigned       thread;   /* of the last event */
    uint64_t       objects;  /* begun so far */
    uint64_t       left;     /* events that may still come */
    unsigned char *file;     /* the mapped file */
    unsigned char *at;       /* where the next event goes */
    int            fd;
} state;

static state *the_state;     /* NULL until the constructor has run */

static __thread unsigned my_thread; /* its number + 1 */
static __thread int      inside;    /* calls of the malloc behind, nested */

/* Its caller may be the malloc behind it: the program made no such call. */
static int
is_recording(void)
{
    state *s = __atomic_load_n(&the_state, __ATOMIC_ACQUIRE);

    return s != NULL && inside == 0
        && __atomic_load_n(&s->on, __ATOMIC_RELAXED);
}

/* 0 if the recording has ended meanwhile. */
static int
lock(void)
{
    while (__atomic_exchange_n(&the_state->lock, 1, __ATOMIC_ACQUIRE) != 0)
        sched_yield();
    if (the_state->on)
        return 1;
    __atomic_store_n(&the_state->lock, 0, __ATOMIC_RELEASE);
    return 0;
}

static void
unlock(void)
{
    __atomic_store_n(&the_state->lock, 0, __ATOMIC_RELEASE);
}

/* --- which object is at an address ---------------------------------------- */

/* A hash table with open addressing, at most half full.  Only who has the lock
 * looks. */
typedef struct place {
    uintptr_t address; /* 0: nothing here */
    uint64_t  object;
} place;

static place *places;
static size_t place_mask;

static size_t
place_of(uintptr_t address)
{
    return (size_t)((uint64_t)address * 0x9e3779b97f4a7c15u >> 20) & place_mask;
}

static size_t
find_place(uintptr_t address)
{
    size_t i = place_of(address);

    while (places[i].address != 0 && places[i].address != address)
        i = (i + 1) & place_mask;
    return i;
}

static void
remember(const void *at, uint64_t object)
{
    size_t i = find_place((uintptr_t)at);

    places[i].address = (uintptr_t)at;
    places[i].object = object;
}

/* 0 if nobody knows the object.  What follows in the same run of places and
 * could be here moves up, so that every search still finds it. */
static int
forget(const void *at, uint64_t *object)
{
    size_t hole = find_place((uintptr_t)at);
    size_t i = hole;

    if (places[hole].address == 0)
        return 0;
    *object = places[hole].object;
    for (;;) {
        size_t home;

        i = (i + 1) & place_mask;
        if (places[i].address == 0)
            break;
        home = place_of(places[i].address);
        if (((i - home) & place_mask) >= ((i - hole) & place_mask)) {
            places[hole] = places[i];
            hole = i;
        }
    }
    places[hole].address = 0;
    return 1;
}

/* --- events --------------------------------------------------------------- */

/* Cuts the file to its length.  Nobody writes any more. */
static void
stop(void)
{
    state *s = the_state;

    __atomic_store_n(&s->on, 0, __ATOMIC_RELAXED);
    if (ftruncate(s->fd, s->at - s->file) != 0)
        return; /* it ends in zeros, then */
    close(s->fd);
}

/* The operation and, if it is another one, the thread; under the lock. */
static void
begin_event(trace_op op)
{
    state *s = the_state;

    if (my_thread == 0)
        my_thread = ++s->threads;
    if (my_thread - 1 == s->thread) {
        *s->at++ = (unsigned char)op;
    } else {
        s->thread = my_thread - 1;
        *s->at++ = (unsigned char)(op | TRACE_THREAD);
        s->at = trace_put(s->at, s->thread);
    }
}

static void
end_event(void)
{
    if (--the_state->left == 0)
        stop();
}

/* A new object, that of an allocation that has just returned. */
static void *
record(trace_op op, void *object, size_t align, size_t size)
{
    int saved = errno;

    if (object != NULL && is_recording() && lock()) {
        state *s = the_state;

        begin_event(op);
        if (op == TRACE_ALIGNED)
            s->at = trace_put(s->at, (uint64_t)__builtin_ctzll(align));
        s->at = trace_put(s->at, size);
        remember(object, s->objects++);
        end_event();
        unlock();
    }
    errno = saved;
    return object;
}

static void
record_free(const void *object)
{
    uint64_t number;
    int      saved = errno;

    if (is_recording() && lock()) {
        state *s = the_state;

        if (forget(object, &number)) {
            begin_event(TRACE_FREE);
            s->at = trace_put(s->at, s->objects - number);
            end_event();
        }
        unlock();
    }
    errno = saved;
}

/* realloc may free the old object and another thread may get its address, so it
 * is forgotten before the call and, if that fails, remembered again.  0 if it
 * is not known. */
static int
realloc_begin(const void *object, uint64_t *number)
{
    int known;

    if (!is_recording() || !lock())
        return 0;
    known = forget(object, number);
    unlock();
    return known;
}

static void
realloc_end(const void *object, uint64_t number, const void *moved, size_t size)
{
    state *s = the_state;
    int    saved = errno;

    if (is_recording() && lock()) {
        if (moved == NULL) {
            remember(object, number);
        } else {
            begin_event(TRACE_REALLOC);
            s->at = trace_put(s->at, s->objects - number);
            s->at = trace_put(s->at, size);
            remember(moved, s->objects++);
            end_event();
        }
        unlock();
    }
    errno = saved;
}

/* --- start and end -------------------------------------------------------- */

/* Of a file, or of nothing if fd is -1; NULL if there is none. */
static void *
map(size_t bytes, int fd)
{
    int   flags = fd >= 0 ? MAP_SHARED
                          : MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags, fd, 0);

    return p == MAP_FAILED ? NULL : p;
}

/* The file has its greatest length from the start; what is not written takes no
 * room. */
static int
open_file(state *s, const char *dir)
{
    size_t bytes = TRACE_MAGIC_LEN + s->left * TRACE_EVENT_MAX;
    char   path[4096];
    int    n = snprintf(path, sizeof path, "%s/%s.%d.trace", dir,
                        program_invocation_short_name, (int)getpid());

    if (n < 0 || (size_t)n >= sizeof path)
        return 0;
    s->fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (s->fd < 0 || ftruncate(s->fd, (off_t)bytes) != 0)
        return 0;
    s->file = map(bytes, s->fd);
    if (s->file == NULL)
        return 0;
    memcpy(s->file, TRACE_MAGIC, TRACE_MAGIC_LEN);
    s->at = s->file + TRACE_MAGIC_LEN;
    return 1;
}

static int
is_wanted(void)
{
    const char *wanted = getenv("TRACE_PROGRAM");

    return wanted == NULL || strncmp(program_invocation_short_name, wanted,
                                     strlen(wanted)) == 0;
}

__attribute__((constructor)) static void
start(void)
{
    const char *dir = secure_getenv("TRACE_DIR");
    const char *events = getenv("TRACE_EVENTS");
    size_t      room = 1024;
    state      *s;

    if (!find_next() || dir == NULL || !is_wanted())
        return;
    s = map(sizeof *s, -1);
    if (s == NULL || madvise(s, sizeof *s, MADV_WIPEONFORK) != 0)
        return;
    s->left = events != NULL ? strtoull(events, NULL, 10) : 1000000;
    if (s->left == 0 || s->left > EVENTS_MAX)
        s->left = EVENTS_MAX;
    while (room < 2 * s->left)
        room *= 2;
    places = map(room * sizeof *places, -1);
    place_mask = room - 1;
    if (places == NULL || !open_file(s, dir)) {
        fprintf(stderr, "trace_record: cannot write to %s\n", dir);
        return;
    }
    s->on = 1;
    __atomic_store_n(&the_state, s, __ATOMIC_RELEASE);
}

__attribute__((destructor)) static void
finish(void)
{
    if (is_recording() && lock()) {
        stop();
        unlock();
    }
}

/* --- malloc and its family ------------------------------------------------ */

EXPORT void *
malloc(size_t size)
{
    void *object;

    if (!find_next())
        return spare_alloc(size);
    inside++;
    object = next.malloc(size);
    inside--;
    return record(TRACE_ALLOC, object, ALIGN, size);
}

EXPORT void
free(void *object)
{
    if (object == NULL || is_spare(object) || !find_next())
        return;
    record_free(object);
    inside++;
    next.free(object);
    inside--;
}

/* Spare memory is zero and used once. */
EXPORT void *
calloc(size_t n, size_t size)
{
    void  *object;
    size_t bytes;

    if (__builtin_mul_overflow(n, size, &bytes))
        bytes = SIZE_MAX;
    if (!find_next())
        return spare_alloc(bytes);
    inside++;
    object = next.calloc(n, size);
    inside--;
    return record(TRACE_ZEROED, object, ALIGN, bytes);
}

/* Size 0 frees, as in the GNU C library. */
EXPORT void *
realloc(void *object, size_t size)
{
    uint64_t number = 0;
    void    *moved;
    int      known;

    if (object == NULL || is_spare(object) || !find_next()) {
        size_t had = is_spare(object)
            ? (size_t)(spare + sizeof spare - (char *)object) : 0;

        moved = malloc(size);
        return moved && had
            ? memcpy(moved, object, had < size ? had : size) : moved;
    }
    if (size == 0) {
        free(object);
        return NULL;
    }
    known = realloc_begin(object, &number);
    inside++;
    moved = next.realloc(object, size);
    inside--;
    if (known)
        realloc_end(object, number, moved, size);
    else
        (void)record(TRACE_ALLOC, moved, ALIGN, size);
    return moved;
}

EXPORT void *
reallocarray(void *object, size_t n, size_t size)
{
    size_t bytes;

    if (__builtin_mul_overflow(n, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    return realloc(object, bytes);
}

/* As in the GNU C library, alignment is rounded up to a power of two. */
static size_t
power_of_two(size_t align)
{
    size_t power = ALIGN;

    while (power < align && power < SIZE_MAX / 4)
        power *= 2;
    return power;
}

EXPORT void *
memalign(size_t align, size_t size)
{
    void *object;

    if (!find_next())
        return NULL;
    inside++;
    object = next.memalign(align, size);
    inside--;
    return record(TRACE_ALIGNED, object, power_of_two(align), size);
}

EXPORT void *
aligned_alloc(size_t align, size_t size)
{
    return memalign(align, size);
}

EXPORT int
posix_memalign(void **out, size_t align, size_t size)
{
    int error;

    if (!find_next())
        return ENOMEM;
    inside++;
    error = next.posix_memalign(out, align, size);
    inside--;
    if (error == 0)
        (void)record(TRACE_ALIGNED, *out, power_of_two(align), size);
    return error;
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
