/* Rows of the first moments: an allocator's first object, and its first memory.
 * Each repeat is a process of its own, for there is only one first time. */
#ifndef BENCH_ROWS_START_H
#define BENCH_ROWS_START_H

#include <spawn.h>

#define FIRST_OBJECTS 100000u

static void
each_in_a_process(const row *r, const char *unit, double (*once)(void))
{
    double  *value = mmap(NULL, sizeof *value, PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    unsigned repeat;

    if (value == MAP_FAILED)
        exit(1);
    for (repeat = 0; repeat <= repeats; repeat++) {
        pid_t child = fork();
        int   status;

        if (child == 0) {
            *value = once();
            _exit(0);
        }
        if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
            exit(1);
        if (repeat > 0)
            emit(r->name, unit, *value);
    }
}

static void
first_object(void)
{
    static const stock nothing_ready = { 256, 256, 1, 0 };
    char *object = peer_alloc(peer_prepare(&nothing_ready), 256);

    memset(object, 1, 256);
    USE(object);
}

/* Includes making the heap, if there is one to make.  What a library does when
 * it is loaded is part of startup_process. */
static double
startup_once(void)
{
    double start = now_ns();

    first_object();
    return (now_ns() - start) / 1e3;
}

static void
run_startup(const row *r)
{
    if (!PEER_BARE)
        each_in_a_process(r, "us", startup_once);
}

/* A whole process that loads, allocates one object and ends. */
static void
one_process(void)
{
    extern char **environ;
    char         *argv[] = { (char[]){ "bench" }, (char[]){ "-1" }, NULL };
    pid_t         child;
    int           status;

    if (posix_spawn(&child, "/proc/self/exe", NULL, NULL, argv, environ) != 0
        || waitpid(child, &status, 0) != child || status != 0)
        exit(1);
}

#define PROCESSES 8u

static void
run_startup_process(const row *r)
{
    unsigned i;

    if (!PEER_BARE)
        REPEAT(r, "us", PROCESSES * 1e3, {
            for (i = 0; i < PROCESSES; i++)
                one_process();
        });
}

/* A heap grows by itself here: nothing is reserved. */
static double
first_touch_once(void)
{
    static const stock nothing_ready = { 256, 256, FIRST_OBJECTS, 0 };
    peer     p = peer_prepare(&nothing_ready);
    double   start = now_ns();
    unsigned i;

    for (i = 0; i < FIRST_OBJECTS; i++) {
        void *object = peer_alloc(p, 256);

        memset(object, 1, 256);
        USE(object);
    }
    return (now_ns() - start) / FIRST_OBJECTS;
}

static void
run_first_touch(const row *r)
{
    each_in_a_process(r, "ns", first_touch_once);
}

#define ROWS_START \
    { "startup", run_startup, 1 }, \
    { "startup_process", run_startup_process, 1 }, \
    { "first_touch", run_first_touch, FIRST_OBJECTS }

#endif /* BENCH_ROWS_START_H */
