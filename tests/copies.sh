#!/bin/bash
# copies.sh - copies of the implementation in one process do not meet
#
# Two shared libraries and a program, each with an implementation of its own, of the
# same and of other settings and versions: each uses its heaps from several threads,
# which exit, fork, and outlive the library; each is handed what is another's.
. "$(dirname "$0")/lib.sh"

cat > "$scratch/library.c" << 'C'
#define FPHEAP_PANIC(message) (library_said = (message))
static const char *library_said;
#define FPHEAP_IMPLEMENTATION
#include "fpheap.h"
#include <pthread.h>
#define GLUE_(a, b) a##b
#define GLUE(a, b)  GLUE_(a, b)
#define NAME(f)     GLUE(LIBRARY, f)
enum { one = 'o', two = 't', program = 'p' };
#define LETTER      LIBRARY
#define VISIBLE     __attribute__((visibility("default")))

static fpheap      *heap;
static fpheap_pool *pool;

/* Objects of many sizes and of a pool, more than a magazine of them. */
static void *
work(void *unused)
{
    void *some[1500];
    void *gotten[1500];
    size_t i;

    for (i = 0; i < 1500; i++) {
        some[i] = fpheap_alloc(heap, 16 + i * 3);
        gotten[i] = fpheap_pool_get(pool);
        if (some[i] == NULL || gotten[i] == NULL)
            return heap;
        memset(some[i], LETTER, 16 + i * 3);
        memset(gotten[i], LETTER, 200);
    }
    for (i = 0; i < 1500; i++) {
        if (*(char *)some[i] != LETTER || *(char *)gotten[i] != LETTER)
            return heap;
        fpheap_free(heap, some[i]);
        fpheap_pool_put(pool, gotten[i]);
    }
    return unused;
}

VISIBLE void *
NAME(_heap)(void)
{
    fpheap_pool_desc desc = { .name = "copies", .size = 200 };

    if (heap == NULL) {
        heap = fpheap_create("copies", NULL);
        pool = fpheap_pool_create(heap, &desc);
    }
    return heap;
}

/* 0: all is well. */
VISIBLE int
NAME(_work)(void)
{
    pthread_t thread[4];
    void     *bad = NULL;
    int       failed = NAME(_heap)() == NULL || pool == NULL;
    int       i;

    for (i = 0; i < 4; i++)
        pthread_create(&thread[i], NULL, work, NULL);
    failed |= work(NULL) != NULL;
    for (i = 0; i < 4; i++) {
        pthread_join(thread[i], &bad);
        failed |= bad != NULL;
    }
    failed |= fpheap_check(heap) != NULL;
    return failed;
}

VISIBLE int
NAME(_end)(void)
{
    int rc = fpheap_destroy(heap);

    heap = NULL;
    return rc;
}

/* What is said of a call with the heap or an object of another copy. */
VISIBLE const char *
NAME(_misuse)(void *other, void *object)
{
    void *some[600];

    library_said = NULL;
    if (object != NULL)
        fpheap_free((fpheap *)other, object);
    else if (fpheap_alloc_bulk((fpheap *)other, 100, some, 600) == 0)
        return "an allocation";
    return library_said;
}

/* The slow paths, in this thread. */
VISIBLE void
NAME(_steps)(void)
{
    void *some[60];
    int   i;

    for (i = 0; i < 60; i++)
        some[i] = fpheap_alloc(heap, i % 20 == 19 ? FPHEAP_CHUNK : 64 + i);
    for (i = 0; i < 60; i++)
        fpheap_free(heap, some[i]);
    fpheap_trim(heap);
}

/* That threads have of it. */
VISIBLE unsigned
NAME(_caches)(void)
{
    fpheap_stats stats;

    fpheap_stats_get(heap, &stats);
    return stats.caches;
}

VISIBLE void *
NAME(_large)(void)
{
    return fpheap_alloc(heap, FPHEAP_CHUNK);
}

VISIBLE void
NAME(_free)(void *object)
{
    fpheap_free(heap, object);
}
C

cat > "$scratch/program.c" << 'C'
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct copy {
    void       *(*heap)(void);
    int         (*work)(void);
    int         (*end)(void);
    const char *(*misuse)(void *, void *);
    void       *(*large)(void);
    void        (*free)(void *);
} copy;

void       *program_heap(void);
int         program_work(void);
int         program_end(void);
const char *program_misuse(void *, void *);
void       *program_large(void);
void        program_free(void *);

static void
fail(const char *what)
{
    printf("%s\n", what);
    fflush(stdout);
    _exit(1);
}

static void *
find(void *library, const char *name, const char *what)
{
    char text[64];
    void *found;

    snprintf(text, sizeof text, "%s%s", name, what);
    found = dlsym(library, text);
    if (found == NULL)
        fail(dlerror());
    return found;
}

static void *
load(copy *c, const char *path, const char *name)
{
    void *library = dlopen(path, RTLD_NOW | MODE);

    if (library == NULL)
        fail(dlerror());
    c->heap = (void *(*)(void))find(library, name, "_heap");
    c->work = (int (*)(void))find(library, name, "_work");
    c->end = (int (*)(void))find(library, name, "_end");
    c->misuse = (const char *(*)(void *, void *))find(library, name, "_misuse");
    c->large = (void *(*)(void))find(library, name, "_large");
    c->free = (void (*)(void *))find(library, name, "_free");
    return library;
}

static copy all[3] = { { program_heap, program_work, program_end,
                         program_misuse, program_large, program_free } };

static void
use_all(void)
{
    int i;

    for (i = 0; i < 9; i++)
        if (all[i % 3].work() != 0)
            fail("a copy does not work beside the others");
}

/* A thread that has caches in all copies and outlives two of them. */
static pthread_barrier_t barrier;

static void *
outlive(void *unused)
{
    use_all();
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    if (all[0].work() != 0)
        fail("the program's copy does not work when the others are gone");
    return unused;
}

static void
fork_all(void)
{
    int   status;
    pid_t child = fork();

    if (child == 0) {
        alarm(60);
        use_all();
        _exit(0);
    }
    if (waitpid(child, &status, 0) != child || status != 0)
        fail("a child of fork does not work");
}

/* An object is looked for in its chunk, so only among copies whose chunks are as
 * large. */
static void
misuse_all(int objects)
{
    int i;

    for (i = 0; i < 3; i++) {
        copy       *c = &all[i];
        copy       *other = &all[(i + 1) % 3];
        const char *said = c->misuse(other->heap(), NULL);
        void       *object, *before;

        if (said == NULL || strstr(said, "another copy") == NULL)
            fail(said == NULL ? "no word of another copy's heap" : said);
        if (!objects)
            continue;
        /* With headers, what stands in front of it is read. */
        before = other->large();
        object = other->large();
        if ((char *)object < (char *)before) {
            void *lower = object;

            object = before;
            before = lower;
        }
        said = c->misuse(c->heap(), object);
        if (said == NULL || strstr(said, "not from this heap") == NULL)
            fail(said == NULL ? "no word of another copy's object" : said);
        other->free(object);
        other->free(before);
    }
}

int
main(int argc, char **argv)
{
    void     *one = load(&all[1], argv[1], "one");
    void     *two = load(&all[2], argv[2], "two");
    pthread_t thread;

    use_all();
    fork_all();
    if (argc > 3)
        misuse_all(strcmp(argv[3], "objects") == 0);
    pthread_barrier_init(&barrier, NULL, 2);
    pthread_create(&thread, NULL, outlive, NULL);
    pthread_barrier_wait(&barrier);
    if (all[1].end() != 0 || all[2].end() != 0)
        fail("a heap does not end");
    if (dlclose(one) != 0 || dlclose(two) != 0)
        fail(dlerror());
    pthread_barrier_wait(&barrier);
    pthread_join(thread, NULL);
    fork_all_but_program:
    if (all[0].work() != 0 || all[0].end() != 0)
        fail("the program's copy does not end");
    return 0;
}
C
sed -i '/fork_all_but_program/d' "$scratch/program.c"

# A later version, in which all that is private may be another.
mkdir "$scratch/later"
sed 's/^#define FPHEAP_VERSION  .*/#define FPHEAP_VERSION 101/' "$top/fpheap.h" \
    > "$scratch/later/fpheap.h"

# library NAME DIRECTORY FLAG... - from the header there
library() {
    # shellcheck disable=SC2086
    $CC -std=gnu11 -fPIC -shared -I"$2" -DLIBRARY="$1" \
        "${@:3}" "$scratch/library.c" -o "$scratch/$1.so" -pthread
}

# program FLAG... - with a copy of its own
program() {
    # shellcheck disable=SC2086
    $CC -std=gnu11 -I"$top" -DLIBRARY=program "$@" \
        "$scratch/library.c" "$scratch/program.c" -o "$scratch/program" \
        -pthread -ldl
}

apart() {
    timeout 120 "$scratch/program" "$scratch/one.so" "$scratch/two.so" "$@"
}

# together WHAT MISUSE DIRECTORY FLAG... - the flags are for the second library
together() {
    check "$1: build" library two "${@:3}"
    check "$1" apart "$2"
}

check "a program with a copy is built" program -DMODE=RTLD_LOCAL
check "a library with a copy is built" library one "$top"
together "libraries of the same settings" objects "$top"
together "of other chunks and classes" heaps "$top" -DFPHEAP_CHUNK_SHIFT=18 \
    -DFPHEAP_CLASS_BITS=2 -DFPHEAP_MAX_POOLS=7
together "of other heaps, nodes and threads" objects "$top" -DFPHEAP_MAX_HEAPS=4 \
    -DFPHEAP_MAX_NODES=4 -DFPHEAP_MAX_THREADS=8
together "with headers" objects "$top" -DFPHEAP_HEADER=1
together "with checks" objects "$top" -DFPHEAP_CHECK=1
together "of another version" objects "$scratch/later"
check "a program that exports all it has, and libraries that do: build" \
    program -DMODE=RTLD_GLOBAL -rdynamic
check "libraries with RTLD_GLOBAL and a program with -rdynamic" apart objects

# FPHEAP_EXPORT: copies of one version and settings become one, others stay apart.
check "copies that are exported: build" library one "$top" -DFPHEAP_EXPORT=1
check "copies that are exported: build the second" library two "$top" \
    -DFPHEAP_EXPORT=1 -DFPHEAP_CHUNK_SHIFT=20
check "exported copies of other settings stay apart" apart heaps
check "exported copies of the same settings: build" library two "$top" \
    -DFPHEAP_EXPORT=1
check "exported copies of the same settings work" apart

# --- a library that comes and goes -----------------------------------------------

cat > "$scratch/passing.c" << 'C'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

void *program_heap(void);
int   program_work(void), program_end(void);
void  program_steps(void);
unsigned program_caches(void);

static int      stopped[2], goes_on[2];
static long     steps, stride, stops;

#if defined(__x86_64__) && defined(REG_EFL)
#  define TRAP_FLAG 0x100

/* A thread under the trap flag stops at each so many'th instruction. */
static void
on_trap(int number, siginfo_t *info, void *context)
{
    greg_t *flags = &((ucontext_t *)context)->uc_mcontext.gregs[REG_EFL];
    char    word;

    (void)number, (void)info;
    if (stride == 0) {
        *flags &= ~(greg_t)TRAP_FLAG;
        return;
    }
    *flags |= TRAP_FLAG;
    if (++steps % stride == 0
        && (write(stopped[1], "s", 1) != 1 || read(goes_on[0], &word, 1) != 1))
        abort();
}
#else
#  define on_trap NULL
#endif

static void *
suffer(void *unused)
{
    raise(SIGTRAP);
    program_steps();
    stride = 0;
    if (program_caches() != 2)
        abort();
    if (write(stopped[1], "d", 1) != 1)
        abort();
    return unused;
}

/* Load a library, use its heap, which ends, and unload it. */
static int
pass(const char *path)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    int (*work)(void), (*end)(void);

    if (library == NULL)
        return printf("%s\n", dlerror());
    work = (int (*)(void))dlsym(library, "one_work");
    end = (int (*)(void))dlsym(library, "one_end");
    return work() || end() || dlclose(library);
}

int
main(int argc, char **argv)
{
    struct sigaction action;
    pthread_t        victim;
    char             word;

    memset(&action, 0, sizeof action);
    action.sa_sigaction = on_trap;
    action.sa_flags = SA_SIGINFO;
    if (argc < 3 || (void (*)(int, siginfo_t *, void *))on_trap == NULL)
        return 77;
    program_heap();
    program_steps();
    if (sigaction(SIGTRAP, &action, NULL) != 0 || pipe(stopped) != 0
        || pipe(goes_on) != 0 || pass(argv[1]) != 0)
        return 1;
    stride = atol(argv[2]);
    pthread_create(&victim, NULL, suffer, NULL);
    while (read(stopped[0], &word, 1) == 1 && word == 's') {
        stops++;
        if (pass(argv[1]) != 0 || write(goes_on[1], "g", 1) != 1)
            return 2;
    }
    pthread_join(victim, NULL);
    printf("%ld stops in %ld instructions\n", stops, steps);
    if (program_caches() != 1)      /* the other went with its thread */
        return 3;
    return program_work() != 0 || program_end() != 0 ? 4 : 0;
}
C
passing() {
    # shellcheck disable=SC2086
    $CC -std=gnu11 -O1 -I"$top" -DLIBRARY=program "$scratch/library.c" \
        "$scratch/passing.c" -o "$scratch/passing" -pthread -ldl &&
        timeout 600 "$scratch/passing" "$scratch/one.so" \
            "$((1 + 4000 / ${FPHEAP_SOAK:-1}))"
}
check "for a library that passes: build" library one "$top" -O1
if [ "$(uname -m)" = x86_64 ]; then
    check "a library passes while a thread is anywhere in the program's copy" passing
else
    skip "a library that passes" "no single-stepping here"
fi

# --- many libraries -----------------------------------------------------------

cat > "$scratch/many.c" << 'C'
#include <dlfcn.h>
#include <stdio.h>
int
main(int argc, char **argv)
{
    int i;

    for (i = 1; i < argc; i++) {
        void *library = dlopen(argv[i], RTLD_NOW | RTLD_LOCAL);
        int (*work)(void) = library == NULL ? NULL
                          : (int (*)(void))dlsym(library, "one_work");

        if (work == NULL || work() != 0)
            return printf("%d: %s\n", i, dlerror());
    }
    return 0;
}
C
loads_many() {
    local i
    for i in 1 2 3 4 5 6 7 8 9 10 11 12; do
        cp "$scratch/one.so" "$scratch/many$i.so"
    done
    $CC "$scratch/many.c" -o "$scratch/many" -ldl -pthread &&
        "$scratch/many" "$scratch"/many[0-9]*.so
}
check "with FPHEAP_TLS_MODEL 0: build" library one "$top" -DFPHEAP_TLS_MODEL=0
check "with FPHEAP_TLS_MODEL 0 a process loads twelve libraries" loads_many

# --- static libraries ---------------------------------------------------------

cat > "$scratch/static.c" << 'C'
int one_work(void), one_end(void), two_work(void), two_end(void);
int
main(void)
{
    return one_work() || two_work() || one_work() || one_end() || two_end();
}
C
static_library() {
    # shellcheck disable=SC2086
    $CC -std=gnu11 -I"$top" -DLIBRARY="$1" "${@:2}" \
        -c "$scratch/library.c" -o "$scratch/$1.o" &&
        ar rcs "$scratch/lib$1.a" "$scratch/$1.o"
}
linked() {
    $CC "$scratch/static.c" -L"$scratch" -lone -ltwo -o "$scratch/static" \
        -pthread && timeout 60 "$scratch/static"
}
check "a static library is built" static_library one
check "and one of other settings" static_library two -DFPHEAP_CHUNK_SHIFT=19
check "a program may have both" linked
finish
