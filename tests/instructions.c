/* instructions.c - how many instructions a hit executes
 *
 * Each function below is one call of the header, out of line.  A child calls them
 * with objects at hand, its parent steps it through them one instruction at a time
 * and counts from the first of the function to its return.  Prints a table; exits
 * with 1 if a hit takes more than the limit (the argument), with 77 where stepping
 * is not possible.
 */
#define FPHEAP_IMPLEMENTATION
#include "../fpheap.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define SKIPPED 77

void *hit_alloc(fpheap *heap, size_t size);
void *hit_alloc_256(fpheap *heap);
void  hit_free(fpheap *heap, void *object);
void  hit_free_sized(fpheap *heap, void *object, size_t size);
void  hit_free_sized_256(fpheap *heap, void *object);
void *hit_cache_alloc(fpheap_cache *cache, size_t size);
void *hit_cache_alloc_256(fpheap_cache *cache);
void  hit_cache_free(fpheap_cache *cache, void *object);
void  hit_cache_free_sized_256(fpheap_cache *cache, void *object);
fpheap_group *hit_group_begin(fpheap *heap);
void *hit_group_alloc(fpheap_group *group, size_t size);
void  hit_group_end(fpheap_group *group);

#define HIT __attribute__((noinline, noclone, section(".text.hits")))
#if defined(__clang__)
#  undef HIT
#  define HIT __attribute__((noinline, section(".text.hits")))
#endif

HIT void *
hit_alloc(fpheap *heap, size_t size)
{
    return fpheap_alloc(heap, size);
}

HIT void *
hit_alloc_256(fpheap *heap)
{
    return fpheap_alloc(heap, 256);
}

HIT void
hit_free(fpheap *heap, void *object)
{
    fpheap_free(heap, object);
}

HIT void
hit_free_sized(fpheap *heap, void *object, size_t size)
{
    fpheap_free_sized(heap, object, size);
}

HIT void
hit_free_sized_256(fpheap *heap, void *object)
{
    fpheap_free_sized(heap, object, 256);
}

HIT void *
hit_cache_alloc(fpheap_cache *cache, size_t size)
{
    return fpheap_cache_alloc(cache, size);
}

HIT void *
hit_cache_alloc_256(fpheap_cache *cache)
{
    return fpheap_cache_alloc(cache, 256);
}

HIT void
hit_cache_free(fpheap_cache *cache, void *object)
{
    fpheap_cache_free(cache, object);
}

HIT void
hit_cache_free_sized_256(fpheap_cache *cache, void *object)
{
    fpheap_cache_free_sized(cache, object, 256);
}

HIT fpheap_group *
hit_group_begin(fpheap *heap)
{
    return fpheap_group_begin(heap);
}

HIT void *
hit_group_alloc(fpheap_group *group, size_t size)
{
    return fpheap_group_alloc(group, size);
}

HIT void
hit_group_end(fpheap_group *group)
{
    fpheap_group_end(group);
}

/* In the order in which the child calls them. */
static const struct {
    const char *name;
    void      (*function)(void);
} hits[] = {
    { "fpheap_alloc(heap, size)", (void (*)(void))hit_alloc },
    { "fpheap_alloc(heap, 256)", (void (*)(void))hit_alloc_256 },
    { "fpheap_free(heap, object)", (void (*)(void))hit_free },
    { "fpheap_free_sized(heap, object, size)", (void (*)(void))hit_free_sized },
    { "fpheap_free_sized(heap, object, 256)",
      (void (*)(void))hit_free_sized_256 },
    { "fpheap_cache_alloc(cache, size)", (void (*)(void))hit_cache_alloc },
    { "fpheap_cache_alloc(cache, 256)", (void (*)(void))hit_cache_alloc_256 },
    { "fpheap_cache_free(cache, object)", (void (*)(void))hit_cache_free },
    { "fpheap_cache_free_sized(cache, object, 256)",
      (void (*)(void))hit_cache_free_sized_256 },
    { "fpheap_group_begin(heap)", (void (*)(void))hit_group_begin },
    { "fpheap_group_alloc(group, size)", (void (*)(void))hit_group_alloc },
    { "fpheap_group_end(group)", (void (*)(void))hit_group_end },
};

#define HITS (sizeof hits / sizeof hits[0])

static void
be_stepped(void)
{
    fpheap       *heap = fpheap_create("hits", NULL);
    fpheap_cache *cache = heap == NULL ? NULL : fpheap_self(heap);
    fpheap_group *groups[3];
    void         *objects[16];
    void         *got[4];
    unsigned      i;

    if (cache == NULL || fpheap_alloc_bulk(heap, 256, objects, 16) != 0)
        _exit(2);
    for (i = 8; i < 16; i++) /* neither empty nor full */
        fpheap_free(heap, objects[i]);
    for (i = 0; i < 3; i++)
        groups[i] = fpheap_group_begin(heap);
    for (i = 0; i < 3; i++)
        fpheap_group_end(groups[i]);
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
        _exit(SKIPPED);
    raise(SIGSTOP);
    got[0] = hit_alloc(heap, 256);
    got[1] = hit_alloc_256(heap);
    hit_free(heap, got[0]);
    hit_free_sized(heap, got[1], 256);
    hit_free_sized_256(heap, objects[0]);
    got[2] = hit_cache_alloc(cache, 256);
    got[3] = hit_cache_alloc_256(cache);
    hit_cache_free(cache, got[2]);
    hit_cache_free_sized_256(cache, got[3]);
    groups[0] = hit_group_begin(heap);
    hit_group_alloc(groups[0], 256);
    hit_group_end(groups[0]);
    _exit(0);
}

/* Where a stopped child is, and where its function will return to. */
static int
where(pid_t child, uintptr_t *pc, uintptr_t *back)
{
    struct user_regs_struct registers;
    struct iovec            all = { &registers, sizeof registers };

    if (ptrace(PTRACE_GETREGSET, child, (void *)1 /* NT_PRSTATUS */, &all) != 0)
        return -1;
#if defined(__x86_64__)
    *pc = registers.rip;
    *back = (uintptr_t)ptrace(PTRACE_PEEKDATA, child, (void *)registers.rsp,
                              NULL);
    return 0;
#elif defined(__aarch64__)
    *pc = registers.pc;
    *back = registers.regs[30];
    return 0;
#else
    (void)pc;
    (void)back;
    return -1;
#endif
}

static int
step(pid_t child)
{
    int status;

    return ptrace(PTRACE_SINGLESTEP, child, NULL, NULL) == 0
        && waitpid(child, &status, 0) == child && WIFSTOPPED(status);
}

/* Step until function begins, then until it returns; how many steps that took, or
 * -1 if the child ended before. */
static int
count(pid_t child, uintptr_t function)
{
    uintptr_t pc = 0;
    uintptr_t back = 0;
    uintptr_t ignored;
    int       steps = 0;

    while (pc != function)
        if (!step(child) || where(child, &pc, &back) != 0)
            return -1;
    do {
        if (!step(child) || where(child, &pc, &ignored) != 0)
            return -1;
        steps++;
    } while (pc != back);
    return steps;
}

int
main(int argc, char **argv)
{
    int       limit = argc > 1 ? atoi(argv[1]) : 25;
    uintptr_t pc;
    uintptr_t back;
    size_t    i;
    int       status;
    int       result = 0;
    pid_t     child = fork();

    if (child == 0)
        be_stepped();
    if (child < 0 || waitpid(child, &status, 0) != child
        || !WIFSTOPPED(status) || where(child, &pc, &back) != 0) {
        puts("instructions: cannot step through a child");
        return SKIPPED;
    }
    for (i = 0; i < HITS; i++) {
        int steps = count(child, (uintptr_t)hits[i].function);

        if (steps < 0 || steps > limit)
            result = 1;
        printf("%-44s %3d\n", hits[i].name, steps);
    }
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    return result;
}
