/* cost - what an operation of fpheap executes and touches, and what follows
 *
 *     cost               count, and print the tables
 *     cost ROWS          the same, and compare with rows that bench measured:
 *                        lines "allocator row unit value" of this machine
 *
 * The program runs itself under valgrind's lackey, which writes down each
 * instruction and the address of each load and store.  Each operation below is
 * a function of its own, counted from its first instruction to its return.  The
 * run that is traced says which memory is what, and the other reads, at the
 * addresses that it traced, the bytes of the instructions: both are one program
 * without position-independent code.  Exits with 77 where that cannot be done.
 *
 * "make bench-cost" builds and runs it; README.md, "Cost model", explains the
 * columns.
 */
#define FPHEAP_IMPLEMENTATION
#include "../fpheap.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SKIPPED 77
#define SIZE    256u           /* bytes of an object, as in the rows of bench */
#define BURST   32u
#define MISSES  200u           /* claims of fresh memory that are counted */
#define OBJECTS (MISSES * FPHEAP_MAGAZINE)

#if !defined(__x86_64__)
int
main(void)
{
    puts("cost: knows the instructions of x86-64 only");
    return SKIPPED;
}
#else

/* --- what is counted ------------------------------------------------------ */

#if defined(__clang__)
#  define COUNTED __attribute__((noinline))
#else
#  define COUNTED __attribute__((noinline, noclone))
#endif

COUNTED static void *
op_alloc(fpheap *heap)
{
    return fpheap_alloc(heap, SIZE);
}

COUNTED static void *
op_alloc_any(fpheap *heap, size_t size)
{
    return fpheap_alloc(heap, size);
}

COUNTED static void
op_free(fpheap *heap, void *object)
{
    fpheap_free(heap, object);
}

COUNTED static void
op_free_sized(fpheap *heap, void *object)
{
    fpheap_free_sized(heap, object, SIZE);
}

COUNTED static int
op_alloc_bulk(fpheap *heap, void **objects, unsigned n)
{
    return fpheap_alloc_bulk(heap, SIZE, objects, n);
}

COUNTED static void
op_free_bulk(fpheap *heap, void **objects, unsigned n)
{
    fpheap_free_bulk_sized(heap, objects, n, SIZE);
}

COUNTED static void *
op_get(fpheap_pool *pool)
{
    return fpheap_pool_get(pool);
}

COUNTED static void
op_put(fpheap_pool *pool, void *object)
{
    fpheap_pool_put(pool, object);
}

/* What a trim, a reclaim or a thread without a cache does with objects. */
COUNTED static void
op_give(fph_state *state, void *const *objects, size_t n)
{
    fph_slab_give(state, objects, n);
}

static void (*const counted[])(void) = {
    (void (*)(void))op_alloc,      (void (*)(void))op_alloc_any,
    (void (*)(void))op_free,       (void (*)(void))op_free_sized,
    (void (*)(void))op_alloc_bulk, (void (*)(void))op_free_bulk,
    (void (*)(void))op_get,        (void (*)(void))op_put,
    (void (*)(void))op_give
};

#define COUNTED_N (sizeof counted / sizeof counted[0])

/* --- the run that is traced ----------------------------------------------- */

/* Whose memory a line is. */
typedef enum owner {
    OWN,       /* this thread's: stack, thread-local storage, its cache */
    SHARED,    /* the heap's, for all threads */
    MAGAZINE,  /* headers and slots of magazines */
    OBJECT,    /* what the application gets */
    CALLER,    /* the arrays of whoever calls */
    OWNERS
} owner;

static void  *held[OBJECTS];   /* objects that the run has allocated */
static size_t n_held;
static FILE  *out;             /* to the run that traces */

static void
say_range(owner whose, const void *from, size_t bytes)
{
    fprintf(out, "range %d %lx %lx\n", (int)whose, (unsigned long)from,
            (unsigned long)from + bytes);
}

/* The call before this one moved that many objects. */
static void
say_op(const char *name, size_t objects)
{
    fprintf(out, "op %zu %s\n", objects, name);
}

static fph_bin *
the_bin(fpheap *heap)
{
    return &fph_cache_mine(heap)->local[fph_class_of(SIZE)];
}

static void
hold(void *object)
{
    if (object == NULL || n_held == OBJECTS)
        abort();
    held[n_held++] = object;
}

/* Allocate, by hits, until the next one misses. */
static void
empty_bin(fpheap *heap)
{
    while (the_bin(heap)->next != NULL)
        hold(fpheap_alloc(heap, SIZE));
}

static void
fill_bin(fpheap *heap)
{
    while (the_bin(heap)->top != the_bin(heap)->limit)
        fpheap_free(heap, held[--n_held]);
}

static size_t
spare_objects(const fpheap *heap)
{
    const fph_magazine *spare = fph_cache_mine(heap)->spare[fph_class_of(SIZE)];

    return spare == NULL ? 0 : spare->count;
}

/* The same with the spare magazine. */
static void
empty_both(fpheap *heap)
{
    while (the_bin(heap)->next != NULL || spare_objects(heap) != 0)
        hold(fpheap_alloc(heap, SIZE));
}

static void
fill_both(fpheap *heap)
{
    while (the_bin(heap)->top != the_bin(heap)->limit
           || spare_objects(heap) != FPHEAP_MAGAZINE)
        fpheap_free(heap, held[--n_held]);
}

/* Objects for all hits that follow. */
static void
warm(fpheap *heap, fpheap_pool *pool)
{
    void    *objects[4 * BURST];
    unsigned i;

    for (i = 0; i < 4 * BURST; i++)
        objects[i] = fpheap_alloc(heap, SIZE);
    for (i = 0; i < 4 * BURST; i++)
        fpheap_free(heap, objects[i]);
    fpheap_pool_put(pool, fpheap_pool_get(pool));
}

static void
run_hits(fpheap *heap)
{
    fpheap_pool_desc desc = { .name = "cost", .size = SIZE };
    fpheap_pool     *pool = fpheap_pool_create(heap, &desc);
    _Alignas(64) void *burst[BURST];
    void            *object;

    if (pool == NULL)
        abort();
    warm(heap, pool);
    object = op_alloc(heap);
    say_op("allocate, hit", 1);
    op_free_sized(heap, object);
    say_op("free sized, hit", 1);
    object = op_alloc_any(heap, SIZE);
    say_op("allocate, size a variable, hit", 1);
    op_free(heap, object);
    say_op("free, hit", 1);
    object = op_get(pool);
    say_op("pool get, hit", 1);
    op_put(pool, object);
    say_op("pool put, hit", 1);
    if (op_alloc_bulk(heap, burst, BURST) != 0)
        abort();
    say_op("allocate 32 in bulk, hit", BURST);
    op_free_bulk(heap, burst, BURST);
    say_op("free 32 in bulk, hit", BURST);
    say_range(SHARED, pool, sizeof *pool);
    say_range(CALLER, burst, sizeof burst);
}

/* Allocate from fresh memory; what each miss did shows in the state. */
static void
run_claims(fpheap *heap)
{
    fph_state *state = heap->state;
    unsigned   i;

    for (i = 0; i < MISSES; i++) {
        uint64_t growths = fph_load_relaxed(&state->growths);
        uint64_t moves   = fph_load_relaxed(&state->moves_begun);
        size_t   got;

        empty_bin(heap);
        hold(op_alloc(heap));
        got = (size_t)(the_bin(heap)->top - the_bin(heap)->base) + 1;
        if (fph_load_relaxed(&state->growths) != growths)
            say_op("claim: grows by a region", got);
        else if (fph_load_relaxed(&state->moves_begun) != moves)
            say_op("claim: opens a chunk", got);
        else
            say_op("claim: a new slab", got);
    }
    empty_bin(heap);
}

/* A thread that allocates what another frees, and that other one. */
static void
run_exchanges(fpheap *heap)
{
    unsigned i;

    for (i = 0; i < 8 * FPHEAP_MAGAZINE; i++)
        fpheap_free(heap, held[--n_held]);
    fill_both(heap);
    empty_bin(heap);
    hold(op_alloc(heap));
    say_op("allocate: half of the spare", 1);
    for (i = 0; i < 3; i++) {
        empty_both(heap);
        hold(op_alloc(heap));
        say_op("allocate: exchange with the depot", 1);
    }
    empty_both(heap);
    fill_bin(heap);
    op_free(heap, held[--n_held]);
    say_op("free: half to the spare", 1);
    for (i = 0; i < 3; i++) {
        fill_both(heap);
        op_free(heap, held[--n_held]);
        say_op("free: exchange with the depot", 1);
    }
}

/* Allocate until the next miss has to claim. */
static void
empty_all(fpheap *heap)
{
    unsigned bin = fph_class_of(SIZE);

    while (fph_depot_count(heap->state, bin) != 0
           || spare_objects(heap) != 0)
        hold(fpheap_alloc(heap, SIZE));
    empty_bin(heap);
}

/* Give a magazine back to the slabs, and claim it again. */
static void
give_and_claim(fpheap *heap, void **objects, const char *how, const char *back)
{
    op_give(heap->state, objects, FPHEAP_MAGAZINE);
    say_op(how, FPHEAP_MAGAZINE);
    hold(op_alloc(heap));
    say_op(back, (size_t)(the_bin(heap)->top - the_bin(heap)->base) + 1);
    empty_bin(heap);
}

/* Neighbours, then objects each in another slab than the one before. */
static void
run_gives(fpheap *heap)
{
    static void *apart[FPHEAP_MAGAZINE];
    size_t       first = 4 * FPHEAP_MAGAZINE;
    size_t       stride = FPHEAP_PAGE / SIZE + 7;
    size_t       i;

    empty_all(heap);
    for (i = 0; i < first; i += FPHEAP_MAGAZINE)
        give_and_claim(heap, held + i, "give back: neighbours",
                       "claim: slabs given neighbours");
    for (i = 0; i < FPHEAP_MAGAZINE; i++)
        apart[i] = held[first + i * stride % (n_held / 2)];
    say_range(CALLER, apart, sizeof apart);
    give_and_claim(heap, apart, "give back: each in another slab",
                   "claim: slabs given one each");
}

#define LARGE ((size_t)1 << 20)

/* Above 8 pages: the one that was freed last is parked. */
static void
run_large(fpheap *heap)
{
    void *one, *two;

    if (fpheap_reserve(heap, 16 * LARGE, 0) != 0)
        abort();
    fpheap_free(heap, fpheap_alloc(heap, LARGE));
    fpheap_flush(heap);
    one = op_alloc_any(heap, LARGE);
    say_op("allocate 1 MiB: pages", 1);
    two = fpheap_alloc(heap, LARGE);
    op_free(heap, one);
    say_op("free 1 MiB: parks it", 1);
    one = op_alloc_any(heap, LARGE);
    say_op("allocate 1 MiB: what is parked", 1);
    fpheap_free(heap, one);
    op_free(heap, two);
    say_op("free 1 MiB: instead of another", 1);
}

static void
say_chunk(const char *base)
{
    say_range(SHARED, base, FPH_CHUNK_HEADER);
    say_range(OBJECT, base, FPHEAP_CHUNK);
}

static void
say_region(const fph_region *region)
{
    size_t i;

    say_range(SHARED, region, fph_region_record_bytes(region->capacity));
    for (i = 0; i < region->capacity; i++) {
        if (region->chunk[i] == NULL)
            continue;
        say_range(SHARED, region->chunk[i], sizeof(fph_chunk));
        say_chunk(region->base + (i << FPHEAP_CHUNK_SHIFT));
    }
}

/* The first range that an address is in counts. */
static void
say_memory(const fpheap *heap)
{
    const fph_state *state = heap->state;
    const char      *stack = (const char *)__builtin_frame_address(0);
    const char      *thread;
    size_t           i;

    __asm__("mov %%fs:0, %0" : "=r"(thread));
    say_range(OWN, thread - 4096, 8192);
    say_range(OWN, stack - (1 << 20), (1 << 20) + 4096);
    say_range(CALLER, held, sizeof held);
    for (i = 0; i < FPHEAP_MAX_THREADS; i++)
        if (state->cache[i] != NULL)
            say_range(OWN, state->cache[i], offsetof(fpheap_cache, bins)
                      + heap->bins * (sizeof(fph_bin) + sizeof(void *)));
    say_range(SHARED, state, sizeof *state);
    say_range(SHARED, state->depots, heap->bins * sizeof(fph_depot));
    say_range(SHARED, state->empty, heap->nodes * sizeof(fph_line));
    for (i = 0; i < fph_region_count(state); i++)
        say_region(state->region[i]);
    for (i = 0; i < state->meta_numbers; i++)
        say_range(MAGAZINE, state->meta[i], FPHEAP_CHUNK);
    say_range(SHARED, fph_heaps, sizeof fph_heaps);
}

static int
be_traced(int fd)
{
    fpheap *heap = fpheap_create("cost", NULL);

    out = fdopen(fd, "w");
    if (heap == NULL || out == NULL)
        return 1;
    run_hits(heap);
    run_claims(heap);
    run_exchanges(heap);
    run_gives(heap);
    run_large(heap);
    say_memory(heap);
    fclose(out);
    return 0;
}

/* --- the trace ------------------------------------------------------------ */

#define LINES_MAX 65536u       /* that one call touches */

/* A cache line that a call touches. */
typedef struct touch {
    uintptr_t line;
    int       wrote;
} touch;

/* A call, or the sum of those with one name. */
typedef struct call {
    char     name[64];
    unsigned calls;
    double   objects;
    double   instructions;
    double   atomics;          /* read-modify-writes that lock a line */
    double   fetches;          /* prefetch instructions, which no load shows */
    double   system;           /* system calls */
    double   read[OWNERS];     /* lines that are only read */
    double   written[OWNERS];
    touch   *touches;
    size_t   n_touches;
} call;

static call  *calls;
static size_t n_calls;
static touch  touched[LINES_MAX];
static size_t n_touched;

static void
touch_line(uintptr_t line, int wrote)
{
    size_t i;

    for (i = n_touched; i-- > 0;) {
        if (touched[i].line == line) {
            touched[i].wrote |= wrote;
            return;
        }
    }
    if (n_touched == LINES_MAX)
        abort();
    touched[n_touched].line = line;
    touched[n_touched++].wrote = wrote;
}

extern const char __executable_start[];
extern const char etext[];

/* Count what an instruction is, by its bytes.  An exchange with memory locks
 * its line without a prefix. */
static void
look_at(call *c, uintptr_t at)
{
    const unsigned char *p = (const unsigned char *)at;

    c->instructions++;
    if (at < (uintptr_t)__executable_start || at >= (uintptr_t)etext)
        return;
    while (*p == 0x66 || *p == 0x67 || *p == 0xf2 || *p == 0xf3 || *p == 0x2e
           || *p == 0x36 || *p == 0x3e || *p == 0x26 || *p == 0x64
           || *p == 0x65)
        p++;
    if (*p == 0xf0) {
        c->atomics++;
        return;
    }
    if ((*p & 0xf0) == 0x40)
        p++;
    if ((*p == 0x86 || *p == 0x87) && p[1] < 0xc0)
        c->atomics++;
    if (p[0] == 0x0f && p[1] == 0x05)
        c->system++;
    if (p[0] == 0x0f && (p[1] == 0x18 || p[1] == 0x0d))
        c->fetches++;
}

static int
is_counted(uintptr_t at)
{
    size_t i;

    for (i = 0; i < COUNTED_N; i++)
        if ((uintptr_t)counted[i] == at)
            return 1;
    return 0;
}

static void
end_call(const call *c)
{
    calls = realloc(calls, (n_calls + 1) * sizeof *calls);
    if (calls == NULL)
        abort();
    calls[n_calls] = *c;
    calls[n_calls].n_touches = n_touched;
    calls[n_calls].touches = malloc(n_touched * sizeof *touched + 1);
    if (calls[n_calls].touches == NULL)
        abort();
    memcpy(calls[n_calls].touches, touched, n_touched * sizeof *touched);
    n_calls++;
}

/* Lines "I  address,bytes" for an instruction, then " L", " S" or " M" for what
 * it loads, stores or modifies. */
static void
read_trace(FILE *trace)
{
    char      text[256];
    uintptr_t next = 0;        /* the instruction behind the last one */
    uintptr_t back = 0;        /* where a counted one returns to; 0: none */
    call      c;

    while (fgets(text, sizeof text, trace) != NULL) {
        char         *rest;
        uintptr_t     at;
        unsigned long bytes;
        uintptr_t     line;

        if (strchr("ILSM", text[0] == ' ' ? text[1] : text[0]) == NULL)
            continue;
        at = (uintptr_t)strtoul(text + 2, &rest, 16);
        if (*rest != ',')
            continue;
        bytes = strtoul(rest + 1, NULL, 10);
        if (text[0] == 'I') {
            if (back == 0 && is_counted(at)) {
                back = next;
                memset(&c, 0, sizeof c);
                n_touched = 0;
            } else if (back != 0 && at == back) {
                end_call(&c);
                back = 0;
            }
            if (back != 0)
                look_at(&c, at);
            next = at + bytes;
        } else if (back != 0) {
            for (line = at / 64; line <= (at + bytes - 1) / 64; line++)
                touch_line(line, text[1] != 'L');
        }
    }
}

/* --- which memory that was ------------------------------------------------ */

typedef struct range {
    int       whose;
    uintptr_t from;
    uintptr_t to;
} range;

static range  ranges[4096];
static size_t n_ranges;

/* What the traced run has said. */
static int
read_sayings(FILE *said)
{
    char   text[256];
    size_t n = 0;

    while (fgets(text, sizeof text, said) != NULL) {
        range    *r = &ranges[n_ranges];
        unsigned long from, to;
        size_t    objects;
        int       at = 0;

        text[strcspn(text, "\n")] = '\0';
        if (sscanf(text, "range %d %lx %lx", &r->whose, &from, &to) == 3) {
            r->from = from;
            r->to = to;
            if (++n_ranges == sizeof ranges / sizeof ranges[0])
                return 0;
        } else if (sscanf(text, "op %zu %n", &objects, &at) == 1) {
            if (n == n_calls)
                return 0;
            calls[n].objects = (double)objects;
            calls[n].calls = 1;
            snprintf(calls[n].name, sizeof calls[n].name, "%s", text + at);
            n++;
        }
    }
    return n == n_calls && n != 0;
}

static int
owner_of(uintptr_t line)
{
    size_t i;

    for (i = 0; i < n_ranges; i++)
        if (line >= ranges[i].from / 64 && line <= (ranges[i].to - 1) / 64)
            return ranges[i].whose;
    return OWNERS;
}

/* Lines that are nobody's are constants of the program: they stay in every
 * cache and are left out. */
static void
classify(call *c)
{
    size_t i;

    for (i = 0; i < c->n_touches; i++) {
        int whose = owner_of(c->touches[i].line);

        if (whose == OWNERS)
            continue;
        if (c->touches[i].wrote)
            c->written[whose]++;
        else
            c->read[whose]++;
    }
    free(c->touches);
}

/* Add the calls with one name up, in the place of the first. */
static void
gather(void)
{
    size_t n = 0;
    size_t i, k, w;

    for (i = 0; i < n_calls; i++) {
        call  c = calls[i];
        call *sum;

        classify(&c);
        for (k = 0; k < n && strcmp(calls[k].name, c.name) != 0; k++)
            ;
        sum = &calls[k];
        if (k == n) {
            calls[n++] = c;
            continue;
        }
        sum->calls += c.calls;
        sum->objects += c.objects;
        sum->instructions += c.instructions;
        sum->atomics += c.atomics;
        sum->fetches += c.fetches;
        sum->system += c.system;
        for (w = 0; w < OWNERS; w++) {
            sum->read[w] += c.read[w];
            sum->written[w] += c.written[w];
        }
    }
    n_calls = n;
}

/* Run this program under lackey.  Returns 0, or SKIPPED. */
static int
count_all(const char *program)
{
    FILE *said = tmpfile();
    FILE *trace;
    int   ends[2];
    int   status;
    char  log[32];
    char  fd[32];
    pid_t child;

    if (said == NULL || pipe(ends) != 0)
        return SKIPPED;
    snprintf(log, sizeof log, "--log-fd=%d", ends[1]);
    snprintf(fd, sizeof fd, "%d", fileno(said));
    child = fork();
    if (child == 0) {
        close(ends[0]);
        execlp("valgrind", "valgrind", "--tool=lackey", "--trace-mem=yes",
               "--basic-counts=no", log, program, "-t", fd, (char *)NULL);
        _exit(SKIPPED);
    }
    close(ends[1]);
    trace = fdopen(ends[0], "r");
    if (child < 0 || trace == NULL)
        return SKIPPED;
    read_trace(trace);
    fclose(trace);
    if (waitpid(child, &status, 0) != child || status != 0)
        return SKIPPED;
    rewind(said);
    if (!read_sayings(said))
        return SKIPPED;
    gather();
    return 0;
}

/* --- what was counted ----------------------------------------------------- */

static const call *
named(const char *name)
{
    size_t i;

    for (i = 0; i < n_calls; i++)
        if (strcmp(calls[i].name, name) == 0)
            return &calls[i];
    abort();
}

static double
lines_of(const call *c, owner whose)
{
    return c->read[whose] + c->written[whose];
}

static void
print_counts(void)
{
    double objects = 0;
    size_t i;

    printf("%-33s %4s %6s %6s %5s %4s %5s %6s %4s %6s %4s\n", "operation",
           "objs", "instr", "/obj", "atom", "own", "read", "wrote", "mag",
           "fetch", "sys");
    for (i = 0; i < n_calls; i++) {
        const call *c = &calls[i];
        double      n = c->calls;

        printf("%-33s %4.0f %6.0f %6.2f %5.0f %4.0f %5.0f %6.0f %4.0f %6.0f "
               "%4.0f\n",
               c->name, c->objects / n, c->instructions / n,
               c->instructions / c->objects, c->atomics / n,
               lines_of(c, OWN) / n, c->read[SHARED] / n,
               c->written[SHARED] / n, lines_of(c, MAGAZINE) / n,
               c->fetches / n, c->system / n);
        objects += lines_of(c, OBJECT);
    }
    printf("cache lines of objects touched: %.0f\n", objects);
}

/* --- what follows --------------------------------------------------------- */

/* The machine of the model.  A transfer is what the row pingpong shows: a line
 * comes from another core, and is this core's to write; to read it, or to write
 * it unread, takes half of that. */
typedef struct machine {
    double per_ns;             /* instructions */
    double transfer;           /* ns */
    double flight;             /* lines that are under way at one time */
} machine;

#define PER_CYCLE 4.0          /* instructions, assumed */
#define FLIGHT    8.0          /* assumed */
#define HIDDEN    1e9          /* all of them, while the bursts go on */

#define ALLOC_BULK "allocate 32 in bulk, hit"
#define FREE_BULK  "free 32 in bulk, hit"
#define ALLOC_FULL "allocate: exchange with the depot"
#define FREE_FULL  "free: exchange with the depot"

/* Transfers of one exchange that are waited for one by one: the words of the
 * two stacks, and the header of the magazine that is popped, which is read. */
static double
waits(const call *exchange)
{
    return exchange->written[SHARED] / exchange->calls + 0.5;
}

/* ns per object for one side of a pipeline in bursts. */
static double
side(const machine *m, const char *burst, const char *exchange)
{
    const call *b = named(burst);
    const call *x = named(exchange);

    return b->instructions / b->objects / m->per_ns
         + (x->instructions / x->calls / m->per_ns + waits(x) * m->transfer
            + x->fetches / x->calls * m->transfer / 2 / m->flight)
           / FPHEAP_MAGAZINE;
}

static double
larger(double a, double b)
{
    return a > b ? a : b;
}

/* The slower side of a pipeline. */
static double
pipeline(const machine *m)
{
    return larger(side(m, ALLOC_BULK, ALLOC_FULL),
                  side(m, FREE_BULK, FREE_FULL));
}

/* ns per object and core below which the stack of empty magazines is the limit,
 * which all classes of a node share: for each magazine that an allocating core
 * empties, two threads change its head, one transfer each, one after the
 * other. */
static double
depot_limit(double transfer, unsigned cores)
{
    return 2 * transfer * cores / 2 / FPHEAP_MAGAZINE;
}

static const double transfers[] = { 50, 100, 200 };
#define TRANSFERS (sizeof transfers / sizeof transfers[0])

static void
print_cores(unsigned cores)
{
    machine m = { PER_CYCLE * 3, 0, FLIGHT };
    size_t  k;

    printf("%6u", cores);
    for (k = 0; k < TRANSFERS; k++) {
        double limit = depot_limit(transfers[k], cores);
        double free_of_it;

        m.transfer = transfers[k];
        free_of_it = pipeline(&m);
        printf(" %12.2f%c %8.1f", larger(free_of_it, limit),
               limit > free_of_it ? '*' : ' ', larger(limit - free_of_it, 0));
    }
    putchar('\n');
}

static void
print_model(void)
{
    static const unsigned cores[] = { 2, 4, 8, 16, 64, 256 };
    size_t                i;

    printf("\nPipelines on n cores of one node, half allocate and half free: "
           "ns per object and core\nat 3 GHz and %.0f instructions per cycle; "
           "*: the node's stack is the limit; work: ns per\nobject of the "
           "application from which on it is not\n\n%-6s", PER_CYCLE,
           "");
    for (i = 0; i < TRANSFERS; i++)
        printf(" %19.0f ns", transfers[i]);
    printf("\n cores");
    for (i = 0; i < TRANSFERS; i++)
        printf(" %12s  %8s", "heap", "work");
    putchar('\n');
    for (i = 0; i < sizeof cores / sizeof cores[0]; i++)
        print_cores(cores[i]);
}

/* --- two threads at one depot --------------------------------------------- */

/* Magazines of two objects: eight gets and eight puts exchange four times with
 * the depot. */
#define ROUND   8
#define ROUNDS  100000u
#define PER_ROUND 4

typedef struct rival {
    pthread_t          id;
    int                cpu;
    fpheap_pool       *pool;
    pthread_barrier_t *start;
    double             ns;     /* per exchange */
} rival;

static double
seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void
exchange_often(fpheap_pool *pool, unsigned rounds)
{
    void    *objects[ROUND];
    unsigned i, k;

    for (i = 0; i < rounds; i++) {
        for (k = 0; k < ROUND; k++)
            objects[k] = fpheap_pool_get(pool);
        for (k = 0; k < ROUND; k++)
            fpheap_pool_put(pool, objects[k]);
    }
}

static void *
be_rival(void *self)
{
    rival    *r = self;
    cpu_set_t one;
    double    start;

    CPU_ZERO(&one);
    CPU_SET(r->cpu, &one);
    (void)pthread_setaffinity_np(pthread_self(), sizeof one, &one);
    exchange_often(r->pool, 100);
    pthread_barrier_wait(r->start);
    start = seconds();
    exchange_often(r->pool, ROUNDS);
    r->ns = (seconds() - start) * 1e9 / (ROUNDS * PER_ROUND);
    return NULL;
}

/* ns per exchange, the slower thread of n; 0: it cannot be measured. */
static double
exchange_ns(unsigned n)
{
    fpheap           *heap = fpheap_create("rivals", NULL);
    fpheap_pool_desc  desc = { .name = "two", .size = SIZE, .magazine = 2 };
    pthread_barrier_t start;
    cpu_set_t         allowed;
    rival             r[2];
    double            ns = 0;
    int               cpu = -1;
    unsigned          i;

    if (heap == NULL || n > 2 || pthread_barrier_init(&start, NULL, n) != 0
        || sched_getaffinity(0, sizeof allowed, &allowed) != 0
        || (unsigned)CPU_COUNT(&allowed) < n)
        return 0;
    for (i = 0; i < n; i++) {
        do
            cpu++;
        while (!CPU_ISSET(cpu, &allowed));
        r[i].cpu = cpu;
        r[i].start = &start;
        r[i].pool = i == 0 ? fpheap_pool_create(heap, &desc) : r[0].pool;
        if (pthread_create(&r[i].id, NULL, be_rival, &r[i]) != 0)
            abort();
    }
    for (i = 0; i < n; i++) {
        pthread_join(r[i].id, NULL);
        ns = larger(ns, r[i].ns);
    }
    (void)fpheap_pool_destroy(r[0].pool, NULL);
    (void)fpheap_destroy(heap);
    return ns;
}

/* --- the check ------------------------------------------------------------ */

/* The best of what an allocator reported for a row; 0: nothing. */
static double
measured(FILE *rows, const char *allocator, const char *row)
{
    char   who[64], what[64], unit[64];
    double value;
    double best = 0;

    rewind(rows);
    while (fscanf(rows, "%63s %63s %63s %lf", who, what, unit, &value) == 4)
        if (strcmp(who, allocator) == 0 && strcmp(what, row) == 0
            && (best == 0 || value < best))
            best = value;
    return best;
}

/* Additions that wait for one another take a cycle each. */
static double
cycles_per_ns(void)
{
    double best = 0;
    int    i, k;

    for (k = 0; k < 10; k++) {
        double   start = seconds();
        uint64_t x = 0;
        double   rate;

        for (i = 0; i < 1000000; i++)
            __asm__ volatile("add $1, %0; add $1, %0; add $1, %0; add $1, %0;"
                             "add $1, %0; add $1, %0; add $1, %0; add $1, %0"
                             : "+r"(x));
        rate = (double)x / (seconds() - start) * 1e-9;
        best = rate > best ? rate : best;
    }
    return best;
}

static double
instructions_of(const char *one, const char *other)
{
    return named(one)->instructions / named(one)->objects
         + named(other)->instructions / named(other)->objects;
}

/* A row of one thread, and the instructions per cycle that it shows. */
static void
print_row(const char *row, double instructions, const machine *m, double clock,
          double got)
{
    printf("%-16s %12.2f %19.2f %9.2f %10.1f\n", row, instructions,
           instructions / m->per_ns, got,
           got == 0 ? 0 : instructions / (got * clock));
}

/* At best the ring's transfers and the heap's go on at the same time, and the
 * slots of a magazine come while the bursts go on; at worst nothing does. */
static void
print_pipeline(machine m, FILE *rows)
{
    double ring = measured(rows, "floor", "pipeline_32");
    double from;

    m.flight = HIDDEN;
    from = larger(ring, pipeline(&m));
    m.flight = FLIGHT;
    printf("%-16s %19.2f .. %8.2f %9.2f\n", "pipeline_32", from,
           ring + pipeline(&m), measured(rows, "fpheap", "pipeline_32"));
}

/* Two threads that take turns wait for each transfer of an exchange. */
static void
print_exchanges(const machine *m)
{
    double alone = exchange_ns(1);
    double two = exchange_ns(2);

    printf("%-16s %32.2f %9.2f\n%-16s %42.2f\n", "exchange, two",
           alone + waits(named(FREE_FULL)) * m->transfer, two,
           "exchange, alone", alone);
}

static int
print_check(const char *file)
{
    FILE   *rows = fopen(file, "r");
    double  clock = cycles_per_ns();
    machine m = { PER_CYCLE * clock, 0, FLIGHT };
    double  pair = instructions_of("allocate, hit", "free sized, hit");
    double  bulk = instructions_of(ALLOC_BULK, FREE_BULK);

    if (rows == NULL) {
        perror(file);
        return 1;
    }
    m.transfer = measured(rows, "fpheap", "pingpong");
    printf("\n%.2f GHz, %.0f instructions per cycle assumed, pingpong %.1f ns, "
           "bare ring %.2f ns\n%-16s %12s %19s %9s %10s\n", clock, PER_CYCLE,
           m.transfer, measured(rows, "floor", "pipeline_32"), "row",
           "instructions", "predicted", "measured", "per cycle");
    print_row("pair_sized", pair, &m, clock,
              measured(rows, "fpheap", "pair_sized"));
    print_row("bulk_32", bulk, &m, clock, measured(rows, "fpheap", "bulk_32"));
    print_row("fifo_sized_4096", pair, &m, clock,
              measured(rows, "fpheap", "fifo_sized_4096"));
    print_pipeline(m, rows);
    print_exchanges(&m);
    fclose(rows);
    return 0;
}

int
main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "-t") == 0)
        return be_traced(atoi(argv[2]));
    if (count_all(argv[0]) != 0) {
        puts("cost: cannot count; it needs valgrind");
        return SKIPPED;
    }
    print_counts();
    print_model();
    return argc > 1 ? print_check(argv[1]) : 0;
}
#endif
