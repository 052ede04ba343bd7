/* fuzz_util.h - what the fuzz targets share: the bytes of an input, a provider
 * whose answers the input decides, patterns, and a main that replays files.
 *
 * Each target defines LLVMFuzzerTestOneInput.  clang -fsanitize=fuzzer with
 * -DFUZZ_NO_MAIN makes a fuzzer of it; built as it is, it runs the files that
 * are its arguments, or standard input if there are none, which is what AFL++
 * wants.  The settings are small, so that few bytes reach every path.
 */
#ifndef FUZZ_UTIL_H
#define FUZZ_UTIL_H

#ifndef FPHEAP_CHUNK_SHIFT
#  define FPHEAP_CHUNK_SHIFT 16
#endif
#ifndef FPHEAP_MAX_POOLS
#  define FPHEAP_MAX_POOLS 4
#endif
#ifndef FPHEAP_MAX_HEAPS
#  define FPHEAP_MAX_HEAPS 4
#endif
#ifndef FPHEAP_MAX_NODES
#  define FPHEAP_MAX_NODES 3
#endif
#ifndef FPHEAP_MAX_THREADS
#  define FPHEAP_MAX_THREADS 2
#endif
#define FPHEAP_GROWTH_WAIT_MS 10

/* What the heap reports about a program that does nothing wrong. */
#define FPHEAP_PANIC(message) fuzz_fail(__FILE__, __LINE__, message)
static void fuzz_fail(const char *file, int line, const char *what);

#define FPHEAP_IMPLEMENTATION
#include "fpheap.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#if defined(__SANITIZE_ADDRESS__)
#  define FUZZ_ASAN 1
#elif defined(__has_feature)
#  if __has_feature(address_sanitizer)
#    define FUZZ_ASAN 1
#  endif
#endif
#ifdef FUZZ_ASAN
#  include <sanitizer/asan_interface.h>
#  define FUZZ_POISON(at, bytes)   __asan_poison_memory_region(at, bytes)
#  define FUZZ_UNPOISON(at, bytes) __asan_unpoison_memory_region(at, bytes)
#else
#  define FUZZ_POISON(at, bytes)   ((void)(at), (void)(bytes))
#  define FUZZ_UNPOISON(at, bytes) ((void)(at), (void)(bytes))
#endif

#define FUZZ_UNUSED   __attribute__((unused))
#define FUZZ_COUNT(a) (sizeof(a) / sizeof((a)[0]))

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

/* --- failures ------------------------------------------------------------- */

static const char *fuzz_input = "input"; /* its file */
static unsigned    fuzz_steps;           /* done of it */

static void
fuzz_fail(const char *file, int line, const char *what)
{
    fprintf(stderr, "fuzz: %s, step %u: %s:%d: %s\n", fuzz_input, fuzz_steps,
            file, line, what);
    abort();
}

#define FUZZ_CHECK(condition) \
    ((condition) ? (void)0 : fuzz_fail(__FILE__, __LINE__, #condition))

/* --- the input ------------------------------------------------------------ */

static const uint8_t *fuzz_at, *fuzz_end;

static unsigned
fuzz_u8(void)
{
    return fuzz_at < fuzz_end ? *fuzz_at++ : 0;
}

FUZZ_UNUSED static unsigned
fuzz_u16(void)
{
    unsigned low = fuzz_u8();

    return low | fuzz_u8() << 8;
}

/* 0 .. n - 1 */
FUZZ_UNUSED static unsigned
fuzz_below(unsigned n)
{
    return fuzz_u8() % n;
}

/* A value near which something changes. */
static size_t
fuzz_large_number(unsigned which)
{
    static const size_t numbers[] = {
        SIZE_MAX, SIZE_MAX - 1, SIZE_MAX - 15, SIZE_MAX - 16,
        SIZE_MAX - FPHEAP_PAGE, SIZE_MAX - FPHEAP_CHUNK, SIZE_MAX / 2,
        SIZE_MAX / 2 - FPHEAP_CHUNK, SIZE_MAX / 2 + 1, SIZE_MAX / 16,
        (size_t)UINT32_MAX, (size_t)UINT32_MAX + 1,
        (size_t)UINT32_MAX << FPHEAP_PAGE_SHIFT, (size_t)1 << 33
    };

    return numbers[which % FUZZ_COUNT(numbers)];
}

/* A size in bytes: most are small, or next to one where the class changes. */
FUZZ_UNUSED static size_t
fuzz_size(void)
{
    unsigned kind = fuzz_u8();
    size_t   n    = fuzz_u8();

    switch (kind % 8) {
    case 0: case 1:
        return n;
    case 2: case 3:
        return n << 4;
    case 4:
        return n << 8;
    case 5:
        return ((size_t)(8 + n % 8) << n / 8 % 14) + kind / 8 % 3 - 1;
    case 6:
        return n * FPHEAP_PAGE + kind / 8 % 3 - 1;
    default:
        return n < 224 ? n << 10 : fuzz_large_number((unsigned)n);
    }
}

/* --- patterns ------------------------------------------------------------- */

#define FUZZ_HEAD 160          /* bytes that are written at both ends of an */
#define FUZZ_TAIL 64           /* object, so that large ones cost little */

static unsigned char
fuzz_byte(uint32_t number, size_t i)
{
    return (unsigned char)(number * 37 + i * 11 + (i >> 8) + 1);
}

FUZZ_UNUSED static void
fuzz_fill(char *base, size_t from, size_t bytes, uint32_t number)
{
    size_t i;

    for (i = from; i < bytes && i < FUZZ_HEAD; i++)
        base[i] = (char)fuzz_byte(number, i);
    for (i = bytes > FUZZ_HEAD + FUZZ_TAIL ? bytes - FUZZ_TAIL : i; i < bytes;
         i++)
        base[i] = (char)fuzz_byte(number, i);
}

/* Whether the first `kept` bytes are what fuzz_fill wrote of an object of
 * `bytes`. */
FUZZ_UNUSED static int
fuzz_filled(const char *base, size_t from, size_t bytes, size_t kept,
            uint32_t number)
{
    size_t i;

    for (i = from; i < bytes && i < FUZZ_HEAD && i < kept; i++)
        if ((unsigned char)base[i] != fuzz_byte(number, i))
            return 0;
    for (i = bytes > FUZZ_HEAD + FUZZ_TAIL ? bytes - FUZZ_TAIL : i;
         i < bytes && i < kept; i++)
        if ((unsigned char)base[i] != fuzz_byte(number, i))
            return 0;
    return 1;
}

/* --- memory --------------------------------------------------------------- */

#define FUZZ_CHUNKS 128        /* that all heaps together can have */
#define FUZZ_ARENA  (FUZZ_CHUNKS * FPHEAP_CHUNK)
#define FUZZ_UNIT   4096u      /* memory is handed out in these */
#define FUZZ_UNITS  (FUZZ_ARENA / FUZZ_UNIT)

static char   *fuzz_arena;     /* aligned to a chunk */
static char   *fuzz_read_only; /* four chunks, aligned */
static uint8_t fuzz_taken[FUZZ_UNITS];

static char *
fuzz_map(size_t bytes, int protection)
{
    char *map = (char *)mmap(NULL, bytes + FPHEAP_CHUNK, protection,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                             -1, 0);

    FUZZ_CHECK(map != MAP_FAILED);
    return map + (-(uintptr_t)map & (FPHEAP_CHUNK - 1));
}

static void
fuzz_memory_init(void)
{
    if (fuzz_arena != NULL)
        return;
    fuzz_arena = fuzz_map(FUZZ_ARENA, PROT_READ | PROT_WRITE);
    fuzz_read_only = fuzz_map(4 * FPHEAP_CHUNK, PROT_READ);
    FUZZ_POISON(fuzz_arena, FUZZ_ARENA);
}

/* Units in a row from the start of a chunk on, or NULL. */
static char *
fuzz_take(size_t units)
{
    const size_t step = FPHEAP_CHUNK / FUZZ_UNIT;
    size_t       first, i;

    for (first = 0; units <= FUZZ_UNITS && first <= FUZZ_UNITS - units;
         first += step) {
        for (i = 0; i < units && !fuzz_taken[first + i]; i++)
            ;
        if (i == units) {
            memset(&fuzz_taken[first], 1, units);
            return fuzz_arena + first * FUZZ_UNIT;
        }
    }
    return NULL;
}

/* --- the provider --------------------------------------------------------- */

typedef enum fuzz_answer {
    FUZZ_GOOD,
    FUZZ_REFUSE,
    FUZZ_LONG,                 /* more than was asked for */
    FUZZ_ASKEW,                /* not aligned, with what was asked for in it */
    FUZZ_INSIDE_CALL,          /* good, but the callback uses the heap */
    FUZZ_ODD,                  /* not aligned, of the length asked for */
    FUZZ_SHORT,
    FUZZ_NO_BASE,
    FUZZ_EMPTY,
    FUZZ_WRAPS,
    FUZZ_SAME,                 /* the newest region again */
    FUZZ_PART,                 /* its last chunk */
    FUZZ_AROUND,
    FUZZ_READ_ONLY,
    FUZZ_ANSWERS
} fuzz_answer;

typedef struct fuzz_provider {
    fpheap_provider calls;     /* for fpheap_config.provider */
    size_t          limit;     /* the heap's; 0: none */
    /* the script: after `skip` good answers, `times` of this kind */
    fuzz_answer     answer;
    unsigned        skip;
    unsigned        times;
    int             error;     /* what a refusal returns */
    unsigned        detail;
    unsigned        put_refusals; /* to come */
    void          (*inside)(void);
    /* what the heap has */
    unsigned        held;      /* regions */
    size_t          held_bytes;
    /* what happened in this step */
    unsigned        gets;
    unsigned        bad;       /* memory that may be refused */
    unsigned        extra;     /* more than was asked for */
    unsigned        puts_refused;
    unsigned        errors;    /* different ones that were returned */
    int             error_of[16];
} fuzz_provider;

typedef struct fuzz_grant {
    fuzz_provider *to;         /* NULL: unused */
    char          *memory;     /* of the arena, or NULL */
    size_t         units;
    fpheap_region  region;
    int            node;
    int            dead;       /* cannot be used, so it comes back at once */
} fuzz_grant;

static fuzz_grant fuzz_grants[256];

/* A new step, of which nothing has happened. */
static void
fuzz_step_begin(fuzz_provider *provider)
{
    provider->gets = provider->bad = provider->extra = 0;
    provider->puts_refused = provider->errors = 0;
}

static int
fuzz_noted(const fuzz_provider *provider, int error)
{
    unsigned i;

    for (i = 0; i < provider->errors; i++)
        if (provider->error_of[i] == error)
            return 1;
    return 0;
}

static void
fuzz_note_error(fuzz_provider *provider, int error)
{
    if (!fuzz_noted(provider, error)
        && provider->errors < FUZZ_COUNT(provider->error_of))
        provider->error_of[provider->errors++] = error;
}

static fuzz_grant *
fuzz_newest(const fuzz_provider *provider)
{
    size_t i = FUZZ_COUNT(fuzz_grants);

    while (i-- > 0)
        if (fuzz_grants[i].to == provider && !fuzz_grants[i].dead)
            return &fuzz_grants[i];
    return NULL;
}

/* The region that an address is in, while the heap has it. */
FUZZ_UNUSED static fuzz_grant *
fuzz_grant_of(const fuzz_provider *provider, const void *at)
{
    size_t i;

    for (i = 0; i < FUZZ_COUNT(fuzz_grants); i++) {
        fuzz_grant *grant = &fuzz_grants[i];

        if (grant->to == provider && !grant->dead
            && (uintptr_t)at - (uintptr_t)grant->region.base
               < grant->region.bytes)
            return grant;
    }
    return NULL;
}

/* What is asked for, changed to what is answered.  Returns 0 for memory of the
 * arena, 1 for what is not a region. */
static int
fuzz_region(const fuzz_provider *provider, fuzz_answer answer,
            fpheap_region *region, size_t *offset)
{
    const fuzz_grant *newest = fuzz_newest(provider);
    unsigned          detail = provider->detail;

    switch (answer) {
    case FUZZ_LONG:
        region->bytes += 1 + (size_t)detail * 1000;
        return 0;
    case FUZZ_ASKEW:
        *offset = 1 + detail % 16 * 4096;
        region->bytes += FPHEAP_CHUNK - *offset;
        return 0;
    case FUZZ_ODD:
        *offset = 8 + detail * 8;
        return 0;
    case FUZZ_SHORT:
        region->bytes -= 1 + (size_t)detail * 250;
        return 0;
    case FUZZ_NO_BASE:
        region->base = NULL;
        return 1;
    case FUZZ_EMPTY:
        region->base = fuzz_arena;
        region->bytes = 0;
        return 1;
    case FUZZ_WRAPS:
        region->base = (void *)(uintptr_t)(0 - (detail + 1) * FPHEAP_CHUNK);
        region->bytes = detail % 2 ? SIZE_MAX : (detail + 1) * FPHEAP_CHUNK;
        return 1;
    case FUZZ_READ_ONLY:
        region->base = fuzz_read_only + detail % 2 * 1000;
        region->bytes = 4 * FPHEAP_CHUNK - 1000;
        return 1;
    default:
        break;
    }
    if (newest == NULL || answer < FUZZ_SAME)
        return 0;
    *region = newest->region;
    if (answer == FUZZ_PART) {
        region->base = (char *)region->base + region->bytes - FPHEAP_CHUNK;
        region->bytes = FPHEAP_CHUNK;
    } else if (answer == FUZZ_AROUND) {
        region->base = (char *)region->base - FPHEAP_CHUNK;
        region->bytes += 2 * FPHEAP_CHUNK;
    }
    return 1;
}

/* The whole chunks in a region. */
static size_t
fuzz_usable_chunks(const fpheap_region *region)
{
    size_t skip = (size_t)(-(uintptr_t)region->base & (FPHEAP_CHUNK - 1));

    return region->bytes < skip ? 0
                                : (region->bytes - skip) / FPHEAP_CHUNK;
}

/* Fill in a grant for this answer; 0: the arena has no more. */
static int
fuzz_grant_fill(const fuzz_provider *provider, fuzz_grant *grant,
                fuzz_answer answer, size_t bytes)
{
    size_t offset = 0;

    memset(grant, 0, sizeof *grant);
    grant->region.bytes = bytes;
    if (fuzz_region(provider, answer, &grant->region, &offset) == 0) {
        grant->units = (offset + grant->region.bytes + FUZZ_UNIT - 1)
                     / FUZZ_UNIT;
        grant->memory = fuzz_take(grant->units);
        if (grant->memory == NULL)
            return 0;
        grant->region.base = grant->memory + offset;
        FUZZ_UNPOISON(grant->region.base, grant->region.bytes);
    } else {
        grant->dead = 1;
    }
    grant->region.cookie = grant;
    grant->region.backing = (fpheap_backing)provider->detail;
    return 1;
}

static int
fuzz_refuse(fuzz_provider *provider, int error)
{
    fuzz_note_error(provider, error <= 0 ? -error : EINVAL);
    return error;
}

static fuzz_answer
fuzz_next_answer(fuzz_provider *provider)
{
    if (provider->times == 0)
        return FUZZ_GOOD;
    if (provider->skip > 0) {
        provider->skip--;
        return FUZZ_GOOD;
    }
    provider->times--;
    return provider->answer;
}

static int
fuzz_provider_get(void *ctx, size_t bytes, size_t align, int node,
                  fpheap_region *region)
{
    fuzz_provider *provider = (fuzz_provider *)ctx;
    fuzz_answer    answer   = fuzz_next_answer(provider);
    fuzz_grant    *grant    = fuzz_grants;

    provider->gets++;
    FUZZ_CHECK(bytes != 0 && bytes % FPHEAP_CHUNK == 0);
    FUZZ_CHECK(align == FPHEAP_CHUNK);
    FUZZ_CHECK(node >= 0 && node < FPHEAP_MAX_NODES);
    FUZZ_CHECK(provider->limit == 0
               || provider->held_bytes + bytes <= provider->limit);
    if (answer == FUZZ_REFUSE)
        return fuzz_refuse(provider, provider->error);
    if (answer == FUZZ_INSIDE_CALL && provider->inside != NULL)
        provider->inside();
    while (grant->to != NULL && grant < &fuzz_grants[255])
        grant++;
    if (grant->to != NULL || bytes > FUZZ_ARENA
        || !fuzz_grant_fill(provider, grant, answer, bytes))
        return fuzz_refuse(provider, -ENOMEM);
    grant->to = provider;
    grant->node = node;
    provider->bad += grant->dead || fuzz_usable_chunks(&grant->region)
                                    < bytes / FPHEAP_CHUNK;
    provider->extra += grant->region.bytes > bytes;
    provider->held++;
    provider->held_bytes += grant->region.bytes;
    *region = grant->region;
    return 0;
}

static void
fuzz_grant_end(fuzz_grant *grant)
{
    if (grant->memory != NULL) {
        memset(&fuzz_taken[(size_t)(grant->memory - fuzz_arena) / FUZZ_UNIT],
               0, grant->units);
        FUZZ_POISON(grant->memory, grant->units * FUZZ_UNIT);
    }
    grant->to = NULL;
}

/* Exactly what was handed over comes back, and only once. */
static int
fuzz_provider_put(void *ctx, const fpheap_region *region)
{
    fuzz_provider *provider = (fuzz_provider *)ctx;
    fuzz_grant    *grant    = (fuzz_grant *)region->cookie;

    FUZZ_CHECK(grant >= fuzz_grants
               && grant < fuzz_grants + FUZZ_COUNT(fuzz_grants));
    FUZZ_CHECK(grant->to == provider);
    FUZZ_CHECK(grant->region.base == region->base);
    FUZZ_CHECK(grant->region.bytes == region->bytes);
    FUZZ_CHECK(grant->region.backing == region->backing);
    /* What was handed over wrongly is taken back: the heap does not have it. */
    if (provider->put_refusals > 0 && provider->bad == 0
        && provider->extra == 0) {
        provider->put_refusals--;
        provider->puts_refused++;
        return -EBUSY;
    }
    provider->held--;
    provider->held_bytes -= grant->region.bytes;
    fuzz_grant_end(grant);
    return 0;
}

static uint64_t
fuzz_provider_iova(void *ctx, const void *chunk)
{
    (void)ctx;
    return (uint64_t)(uintptr_t)chunk + 4096;
}

/* A provider that serves every call well. */
FUZZ_UNUSED static void
fuzz_provider_init(fuzz_provider *provider)
{
    memset(provider, 0, sizeof *provider);
    provider->calls.get = fuzz_provider_get;
    provider->calls.put = fuzz_provider_put;
    provider->calls.iova = fuzz_provider_iova;
    provider->calls.ctx = provider;
}

/* Let the input decide what comes next. */
FUZZ_UNUSED static void
fuzz_script(fuzz_provider *provider)
{
    static const int errors[] = { -ENOMEM, -EIO, -EPERM, 5, -ENODEV, -4095 };
    unsigned         timing;

    provider->answer = (fuzz_answer)fuzz_below(FUZZ_ANSWERS);
    timing = fuzz_u8();
    provider->skip = timing % 4;
    provider->times = timing / 4 % 8;
    provider->detail = fuzz_u8();
    provider->error = errors[provider->detail % FUZZ_COUNT(errors)];
}

/* From now on all is well. */
FUZZ_UNUSED static void
fuzz_script_end(fuzz_provider *provider)
{
    provider->times = 0;
    provider->put_refusals = 0;
}

/* Forget what a heap that is gone could not give back; nothing else may be
 * left. */
FUZZ_UNUSED static void
fuzz_provider_end(fuzz_provider *provider, unsigned forgotten)
{
    size_t i;

    FUZZ_CHECK(provider->held == forgotten);
    for (i = 0; i < FUZZ_COUNT(fuzz_grants); i++)
        if (fuzz_grants[i].to == provider)
            fuzz_grant_end(&fuzz_grants[i]);
}

/* --- questions ------------------------------------------------------------ */

/* region = live + parked + slab_free + page_free + waste + metadata */
FUZZ_UNUSED static void
fuzz_check_heap(fpheap *heap, const fuzz_provider *provider,
                fpheap_stats *stats)
{
    const char *wrong = fpheap_check(heap);

    if (wrong != NULL)
        fuzz_fail(__FILE__, __LINE__, wrong);
    fpheap_stats_get(heap, stats);
    FUZZ_CHECK(stats->region_bytes
               == stats->live_bytes + stats->parked_bytes
                  + stats->slab_free_bytes + stats->page_free_bytes
                  + stats->waste_bytes + stats->metadata_bytes);
    FUZZ_CHECK(stats->region_bytes == provider->held_bytes);
    FUZZ_CHECK(stats->regions == provider->held);
    FUZZ_CHECK(stats->limit == provider->limit);
    FUZZ_CHECK(stats->region_bytes <= stats->peak_region_bytes);
    FUZZ_CHECK(stats->region_bytes
               == stats->backing_bytes[0] + stats->backing_bytes[1]
                  + stats->backing_bytes[2] + stats->backing_bytes[3]);
}

/* --- replay --------------------------------------------------------------- */

#ifndef FUZZ_NO_MAIN
static void
fuzz_replay(const char *name, FILE *file)
{
    static uint8_t data[1 << 16];
    size_t         bytes;

    if (file == NULL) {
        perror(name);
        exit(2);
    }
    fuzz_input = name;
    bytes = fread(data, 1, sizeof data, file);
    LLVMFuzzerTestOneInput(data, bytes);
}

int
main(int argc, char **argv)
{
    int i;

    for (i = 1; i < argc; i++) {
        FILE *file = fopen(argv[i], "rb");

        fuzz_replay(argv[i], file);
        fclose(file);
    }
    if (argc < 2)
        fuzz_replay("standard input", stdin);
    else
        printf("%d inputs\n", argc - 1);
    return 0;
}
#endif

#endif /* FUZZ_UTIL_H */
