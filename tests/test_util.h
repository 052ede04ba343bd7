/* test_util.h - what the single-threaded test programs share: random numbers,
 * a provider that records, fails and hands over bad memory on demand, patterns,
 * and the checks that every scenario ends with.
 *
 * Include it after fpheap.h, which must come first in its file.
 */
#ifndef TEST_UTIL_H
#define TEST_UTIL_H

#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* Since cmocka 2 the one warns that it is to be called by the name of the other. */
#ifdef assert_uint_in_range
#  undef assert_in_range
#  define assert_in_range assert_uint_in_range
#endif

#define TEST_UNUSED __attribute__((unused))
#define TEST_KIB ((size_t)1024)
#define TEST_MIB ((size_t)1024 * 1024)
#define TEST_COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* --- work and randomness -------------------------------------------------- */

/* What work() returns in a child process. */
TEST_UNUSED static int
test_status_of(int (*work)(void))
{
    int   status = -1;
    pid_t child;

    (void)fflush(NULL);
    child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(work());
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* It must be 0. */
TEST_UNUSED static void
test_in_child(int (*work)(void))
{
    assert_int_equal(test_status_of(work), 0);
}

/* The numbers behind a name in a file, added up. */
TEST_UNUSED static size_t
test_number_in(const char *file, const char *name)
{
    FILE  *in = fopen(file, "r");
    size_t number = 0;
    char   line[256];

    while (in != NULL && fgets(line, sizeof line, in) != NULL)
        if (strncmp(line, name, strlen(name)) == 0)
            number += strtoul(line + strlen(name), NULL, 10);
    if (in != NULL)
        (void)fclose(in);
    return number;
}

/* How many times the usual work to do: FPHEAP_SOAK, or 1. */
TEST_UNUSED static unsigned
test_soak(void)
{
    const char *text = getenv("FPHEAP_SOAK");
    unsigned    n = text == NULL ? 1 : (unsigned)strtoul(text, NULL, 10);

    return n < 1 ? 1 : n;
}

typedef struct test_random {
    uint64_t state;
} test_random;

/* Seeded with FPHEAP_SEED if that is set, so that a soak can vary it. */
TEST_UNUSED static test_random
test_random_of(uint64_t seed)
{
    const char *text = getenv("FPHEAP_SEED");
    test_random random;

    random.state = seed + (text == NULL ? 0 : strtoull(text, NULL, 0));
    return random;
}

TEST_UNUSED static uint64_t
test_mix(uint64_t x)
{
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

TEST_UNUSED static uint64_t
test_next(test_random *random)
{
    random->state += UINT64_C(0x9e3779b97f4a7c15);
    return test_mix(random->state);
}

/* 0 .. n - 1; n is small, so the bias does not matter. */
TEST_UNUSED static size_t
test_below(test_random *random, size_t n)
{
    return (size_t)(test_next(random) % n);
}

/* A size whose logarithm is uniform, so that each class gets its share. */
TEST_UNUSED static size_t
test_size(test_random *random, unsigned max_log2)
{
    unsigned log2 = (unsigned)test_below(random, max_log2 + 1);

    return test_below(random, (size_t)1 << log2) + ((size_t)1 << log2) / 2;
}

/* --- patterns ------------------------------------------------------------- */

/* Fill with words that tell their address and the owner's number apart.  Not
 * inline, so that the compiler does not think about objects that are NULL. */
TEST_UNUSED __attribute__((noinline)) static void
test_fill(void *object, size_t bytes, uint64_t number)
{
    unsigned char *at = (unsigned char *)object;
    size_t         i;

    for (i = 0; i + 8 <= bytes; i += 8) {
        uint64_t word = ((uintptr_t)at + i) * UINT64_C(0x9e3779b97f4a7c15)
                      ^ number;

        memcpy(at + i, &word, 8);
    }
    for (; i < bytes; i++)
        at[i] = (unsigned char)((uintptr_t)at + i + number);
}

/* 1 if the first `bytes` are those that test_fill wrote when the object was at
 * `origin` (it may have moved since). */
TEST_UNUSED static int
test_filled_at(const void *object, uintptr_t origin, size_t bytes,
               uint64_t number)
{
    const unsigned char *at = (const unsigned char *)object;
    size_t               i;

    for (i = 0; i + 8 <= bytes; i += 8) {
        uint64_t want = (origin + i) * UINT64_C(0x9e3779b97f4a7c15) ^ number;
        uint64_t have;

        memcpy(&have, at + i, 8);
        if (have != want)
            return 0;
    }
    return 1;
}

TEST_UNUSED static int
test_filled(const void *object, size_t bytes, uint64_t number)
{
    return test_filled_at(object, (uintptr_t)object, bytes, number);
}

TEST_UNUSED static int
test_all_bytes(const void *object, size_t bytes, unsigned char value)
{
    const unsigned char *at = (const unsigned char *)object;

    return bytes == 0
        || (at[0] == value && memcmp(at, at + 1, bytes - 1) == 0);
}

/* --- live objects --------------------------------------------------------- */

typedef struct test_object {
    char    *base;
    size_t   bytes;            /* usable */
    size_t   size;             /* asked for */
    uint64_t number;
} test_object;

TEST_UNUSED static int
test_by_base(const void *left, const void *right)
{
    const test_object *a = (const test_object *)left;
    const test_object *b = (const test_object *)right;

    return ((uintptr_t)a->base > (uintptr_t)b->base)
         - ((uintptr_t)a->base < (uintptr_t)b->base);
}

/* 1 if no two of the objects share a byte.  Sorts them. */
TEST_UNUSED static int
test_disjoint(test_object *objects, size_t n)
{
    size_t i;

    qsort(objects, n, sizeof(objects[0]), test_by_base);
    for (i = 1; i < n; i++)
        if (objects[i - 1].bytes
            > (uintptr_t)objects[i].base - (uintptr_t)objects[i - 1].base)
            return 0;
    return 1;
}

/* --- the checks at the end of each scenario ------------------------------- */

/* region = live + parked + slab_free + page_free + waste + metadata */
TEST_UNUSED static int
test_adds_up(const fpheap_stats *s)
{
    return s->region_bytes == s->live_bytes + s->parked_bytes
                              + s->slab_free_bytes + s->page_free_bytes
                              + s->waste_bytes + s->metadata_bytes;
}

/* Statistics that tell() fills in, `whole` bytes of them, for a struct of any
 * size: an older one gets its part, a later one zeros behind the rest; both are
 * told how much it is, and nothing else is written. */
TEST_UNUSED static void
test_told(void (*tell)(void *stats, size_t bytes), size_t whole)
{
    unsigned char all[512], some[512];
    size_t        bytes, told, i;

    assert_true(whole <= sizeof(all) / 2);
    tell(all, whole);
    memcpy(&told, all, sizeof(told));
    assert_int_equal(told, whole);
    for (bytes = 0; bytes <= sizeof(some) - 64; bytes++) {
        told = bytes < whole ? bytes : whole;
        memset(some, 0xa5, sizeof(some));
        memcpy(all, &told, sizeof(told));
        tell(some, bytes);
        for (i = 0; i < sizeof(some); i++)
            assert_int_equal(some[i], i < told ? all[i] : i < bytes ? 0 : 0xa5);
    }
}

TEST_UNUSED static void
test_print_stats(const fpheap_stats *s)
{
    print_error("region %zu = live %zu + parked %zu + slab_free %zu"
                " + page_free %zu + waste %zu + metadata %zu: %s\n",
                s->region_bytes, s->live_bytes, s->parked_bytes,
                s->slab_free_bytes, s->page_free_bytes, s->waste_bytes,
                s->metadata_bytes, test_adds_up(s) ? "adds up" : "NOT SO");
    print_error("live objects %zu, parked objects %zu, regions %u\n",
                s->live_objects, s->parked_objects, s->regions);
}

/* Whether a magazine is one that the heap counts. */
TEST_UNUSED static unsigned
test_is_counted(const fph_magazine *magazine)
{
    return magazine != NULL && !fph_is_short(magazine);
}

/* Magazines that caches have, depots, and stacks of empty ones. */
TEST_UNUSED static uint64_t
test_magazines_found(const fpheap *heap)
{
    const fph_state    *state = heap->state;
    const fpheap_cache *cache;
    const fph_link     *link;
    uint64_t            found = 0;
    size_t              seat  = 0;
    unsigned            bin, node;

    while ((cache = fph_cache_next(state, &seat)) != NULL)
        for (bin = 0; bin < heap->bins; bin++) {
            void **base = cache->bins[bin].base;

            found += test_is_counted(cache->spare[bin]);
            found += base != NULL && test_is_counted(fph_magazine_of(base));
        }
    for (bin = 0; bin < heap->bins; bin++)
        found += fph_depot_count(state, bin);
    for (node = 0; node < heap->nodes; node++)
        for (link = fph_stack_top(state, &state->empty[node].word);
             link != NULL; link = fph_stack_below(state, link))
            found++;
    return found;
}

/* Whether short magazines have objects while no bin has them. */
TEST_UNUSED static int
test_has_forgotten(const fpheap *heap)
{
    const fph_state    *state = heap->state;
    const fpheap_cache *cache;
    size_t              seat  = 0;
    unsigned            bin;

    while ((cache = fph_cache_next(state, &seat)) != NULL)
        for (bin = 0; bin < heap->bins; bin++) {
            void              **base = cache->bins[bin].base;
            uint32_t            ref  = *fph_bin_small(cache, bin);
            const fph_magazine *small;

            if (ref == 0)
                continue;
            small = (const fph_magazine *)fph_meta_at(state, ref);
            if (small != cache->spare[bin]
                && (base == NULL || small != fph_magazine_of(base))
                && small->count != 0)
                return 1;
        }
    return 0;
}

/* Pages of slabs with all objects free, but for those that pools keep. */
TEST_UNUSED static uint64_t
test_empty_pages(const fpheap *heap)
{
    const fph_slab *slab;
    uint64_t        pages = 0;
    size_t          at    = 0;

    while ((slab = fph_record_next(heap->state, &at)) != NULL)
        if (fph_info_kind(slab->info) == FPH_SLAB
            && fph_slab_bits(slab) == fph_info_count(slab->info)
            && !fph_keeps_slabs(fph_bin_pool(heap->state,
                                             fph_info_bin(slab->info))))
            pages += fph_slab_pages(slab->size, fph_info_count(slab->info));
    return pages;
}

/* What is lost, or not ended, though nobody is inside the heap. */
TEST_UNUSED static const char *
test_lost(const fpheap *heap)
{
    const fph_state *state  = heap->state;
    size_t           number = (size_t)(heap - fph_heaps);

    if (state->forked || fph_is_shared(heap))
        return NULL;           /* others may have been inside */
    if (fph_this.open_moves[number] != 0)
        return "this thread has not ended a move";
    if (state->moves_begun != state->moves_ended)
        return "a move has not ended";
    if (state->growing != 0)
        return "a growth has not ended";
    if (test_magazines_found(heap) != state->magazines)
        return "a magazine is in no place";
    if (test_has_forgotten(heap))
        return "a short magazine is in no bin, and has objects";
    if (test_empty_pages(heap) != state->empty_pages)
        return "slabs of free objects are not counted right";
    return NULL;
}

TEST_UNUSED static void
test_check_at(fpheap *heap, const char *file, int line)
{
    const char  *wrong = fpheap_check(heap);
    fpheap_stats stats;

    if (wrong == NULL)
        wrong = test_lost(heap);

    fpheap_stats_get(heap, &stats);
    if (wrong == NULL && test_adds_up(&stats))
        return;
    print_error("fpheap_check: %s\n", wrong == NULL ? "nothing" : wrong);
    test_print_stats(&stats);
    _fail(file, line);
}

TEST_UNUSED static void
test_check_live_at(fpheap *heap, size_t objects, const char *file, int line)
{
    fpheap_stats stats;

    test_check_at(heap, file, line);
    fpheap_stats_get(heap, &stats);
    if (stats.live_objects == objects
        && (objects != 0 || stats.live_bytes == 0))
        return;
    print_error("%zu objects should be live\n", objects);
    test_print_stats(&stats);
    _fail(file, line);
}

TEST_UNUSED static size_t
test_region_bytes(fpheap *heap)
{
    fpheap_stats stats;

    fpheap_stats_get(heap, &stats);
    return stats.region_bytes;
}

/* Pages that META has. */
TEST_UNUSED static unsigned
test_meta_pages(const fpheap *heap)
{
    const fph_chunk *chunk;
    unsigned         sum = 0;
    size_t           at  = 0;

    while ((chunk = fph_chunk_next(heap->state, &at)) != NULL)
        sum += fph_popcount(chunk->meta);
    return sum;
}

/* Every invariant holds; every byte is counted once. */
#define TEST_CHECK(heap) test_check_at(heap, __FILE__, __LINE__)

/* The same, and this many objects are live. */
#define TEST_CHECK_LIVE(heap, objects) \
    test_check_live_at(heap, objects, __FILE__, __LINE__)

#define TEST_DESTROY(heap)                         \
    do {                                           \
        TEST_CHECK_LIVE(heap, 0);                  \
        assert_int_equal(fpheap_destroy(heap), 0); \
    } while (0)

/* --- panics --------------------------------------------------------------- */

#ifdef PANICS_H
TEST_UNUSED static void
test_expect_panics_at(unsigned n, const char *words, const char *what,
                      const char *file, int line)
{
    int ok = panics == n
          && (n == 0 || (strlen(last_panic) > 10
                         && strstr(last_panic, words) != NULL));

    if (!ok)
        print_error("%s: %u panics, not %u with \"%s\"; the last: \"%s\"\n",
                    what, panics, n, words, last_panic);
    panics = 0;
    last_panic[0] = '\0';
    if (!ok)
        _fail(file, line);
}

/* So many panics since the last time; one, with these words; so many, which
 * `what` caused. */
#  define EXPECT_PANICS(n) \
    test_expect_panics_at(n, "", "here", __FILE__, __LINE__)
#  define EXPECT_PANIC(words) \
    test_expect_panics_at(1, words, "here", __FILE__, __LINE__)
#  define EXPECT_PANICS_BY(what, n) \
    test_expect_panics_at(n, "", what, __FILE__, __LINE__)
#endif

/* --- the provider --------------------------------------------------------- */

#define TEST_GRANTS 1024

/* What is wrong with the memory that a call of get hands over. */
typedef enum test_fault {
    TEST_GOOD,
    TEST_NO_BASE,              /* NULL */
    TEST_EMPTY,                /* no bytes */
    TEST_SHORT,                /* a byte less than one page */
    TEST_SPLIT,                /* two pages less two bytes, of which none is
                                  whole: it begins one byte into the first */
    TEST_WRAPS,                /* goes on past the end of the address space */
    TEST_TOP,                  /* ends exactly there */
    TEST_SAME,                 /* the newest region again */
    TEST_INSIDE,               /* the last chunk of the newest region */
    TEST_AROUND,               /* the newest region and a chunk at each side */
    TEST_READ_ONLY,
    TEST_NO_ACCESS,
    TEST_HEAD_READ_ONLY,       /* all but its first chunk could be used */
    TEST_TAIL_READ_ONLY,       /* all but its last chunk could be used */
    TEST_FAULTS
} test_fault;

/* A region that was handed over. */
typedef struct test_grant {
    char         *map;         /* what was mapped, whatever the region says */
    size_t        map_bytes;
    fpheap_region region;
    size_t        asked;       /* bytes */
    int           node;
    int           held;        /* 1: the heap has it */
    test_fault    fault;
} test_grant;

typedef struct test_provider test_provider;

struct test_provider {
    fpheap_provider calls;     /* for fpheap_config.provider */

    /* What to do; all zero: serve every call well. */
    unsigned   fail_from;      /* number of the first get that is refused, from
                                  1; 0: none */
    unsigned   fail_to;        /* number of the last, UINT_MAX: for ever */
    int        error;          /* what the refused ones return */
    size_t     limit_bytes;    /* refuse what would go beyond; 0: no limit */
    size_t     offset;         /* of each base from alignment */
    size_t     extra;          /* bytes beyond those asked for */
    test_fault fault;          /* of the gets fail_from .. fail_to, which are
                                  then served and not refused */
    int        put_error;      /* what put returns; 0: it takes the region */
    fpheap_backing backing;
    void     (*inside_get)(test_provider *provider);
    void     (*inside_put)(test_provider *provider);
    void      *arg;            /* for the two above */

    /* What happened. */
    unsigned   gets;
    unsigned   puts;
    unsigned   refused;
    unsigned   faults;         /* bad regions handed over */
    unsigned   wrong;          /* calls that the heap must not make */
    unsigned   held;           /* regions */
    size_t     held_bytes;
    size_t     max_asked;
    unsigned   grants;
    test_grant grant[TEST_GRANTS];
};

/* The memory under the provider: the system's, or that of a header which the
 * command line names, to run the same tests over something else. */
#ifdef TEST_MEMORY_HEADER
#  include TEST_MEMORY_HEADER
#else
TEST_UNUSED static char *
test_map(size_t bytes)
{
    void *map = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    return map == MAP_FAILED ? NULL : (char *)map;
}

TEST_UNUSED static int
test_unmap(void *map, size_t bytes)
{
    return munmap(map, bytes);
}
#endif

TEST_UNUSED static test_grant *
test_newest(test_provider *provider)
{
    unsigned i = provider->grants;

    while (i-- > 0)
        if (provider->grant[i].held && provider->grant[i].fault == TEST_GOOD)
            return &provider->grant[i];
    return NULL;
}

/* Take away the access that a fault is about. */
TEST_UNUSED static void
test_protect(const test_grant *grant, test_fault fault)
{
    char *base = (char *)grant->region.base;

    switch (fault) {
    case TEST_READ_ONLY:
        (void)mprotect(grant->map, grant->map_bytes, PROT_READ);
        break;
    case TEST_NO_ACCESS:
        (void)mprotect(grant->map, grant->map_bytes, PROT_NONE);
        break;
    case TEST_HEAD_READ_ONLY:
        (void)mprotect(base, FPHEAP_CHUNK, PROT_READ);
        break;
    case TEST_TAIL_READ_ONLY:
        (void)mprotect(base + grant->region.bytes - FPHEAP_CHUNK, FPHEAP_CHUNK,
                       PROT_READ);
        break;
    default:
        break;
    }
}

/* Turn the good memory of a grant into bad memory. */
TEST_UNUSED static void
test_spoil(test_provider *provider, test_grant *grant, test_fault fault)
{
    fpheap_region    *region = &grant->region;
    const test_grant *newest = test_newest(provider);

    switch (fault) {
    case TEST_NO_BASE:
        region->base = NULL;
        break;
    case TEST_EMPTY:
        region->bytes = 0;
        break;
    case TEST_SHORT:
        region->bytes = FPHEAP_PAGE - 1;
        break;
    case TEST_SPLIT:
        region->base = (char *)region->base + 1;
        region->bytes = 2 * FPHEAP_PAGE - 2;
        break;
    case TEST_WRAPS:
        region->base = (void *)(UINTPTR_MAX - 2 * FPHEAP_CHUNK + 1);
        region->bytes = 8 * FPHEAP_CHUNK;
        break;
    case TEST_TOP:
        region->base = (void *)(UINTPTR_MAX - 4 * FPHEAP_CHUNK + 1);
        region->bytes = 4 * FPHEAP_CHUNK;
        break;
    case TEST_SAME:
        if (newest != NULL)
            *region = newest->region;
        break;
    case TEST_INSIDE:
        if (newest != NULL) {
            region->base = (char *)newest->region.base + newest->region.bytes
                         - FPHEAP_CHUNK;
            region->bytes = FPHEAP_CHUNK;
        }
        break;
    case TEST_AROUND:
        if (newest != NULL) {
            region->base = (char *)newest->region.base - FPHEAP_CHUNK;
            region->bytes = newest->region.bytes + 2 * FPHEAP_CHUNK;
        }
        break;
    default:
        test_protect(grant, fault);
    }
    grant->fault = fault;
    region->cookie = grant;
}

TEST_UNUSED static int
test_provider_get(void *ctx, size_t bytes, size_t align, int node,
                  fpheap_region *region)
{
    test_provider *provider = (test_provider *)ctx;
    test_grant    *grant;
    unsigned       call = ++provider->gets;
    int            chosen;

    if (bytes == 0 || align < FPHEAP_CHUNK || (align & (align - 1)) != 0)
        provider->wrong++;
    if (provider->max_asked < bytes)
        provider->max_asked = bytes;
    if (provider->inside_get != NULL)
        provider->inside_get(provider);
    chosen = provider->fail_from != 0 && call >= provider->fail_from
          && call <= provider->fail_to;
    if ((chosen && provider->fault == TEST_GOOD)
        || (provider->limit_bytes != 0
            && (bytes > provider->limit_bytes
                || provider->held_bytes > provider->limit_bytes - bytes))
        || bytes > SIZE_MAX / 4 || provider->grants == TEST_GRANTS) {
        provider->refused++;
        return provider->error != 0 ? provider->error : -ENOMEM;
    }
    grant = &provider->grant[provider->grants];
    /* Room to align, for a chunk before (TEST_AROUND) and the offset. */
    grant->map_bytes = bytes + align + 3 * FPHEAP_CHUNK + provider->extra;
    grant->map = test_map(grant->map_bytes);
    if (grant->map == NULL) {
        provider->refused++;
        return -ENOMEM;
    }
    grant->region.base = (void *)((((uintptr_t)grant->map + FPHEAP_CHUNK
                                    + align - 1) & ~(uintptr_t)(align - 1))
                                  + provider->offset);
    grant->region.bytes = bytes + provider->extra;
    grant->region.cookie = grant;
    grant->region.backing = provider->backing;
    grant->asked = bytes;
    grant->node = node;
    grant->fault = TEST_GOOD;
    if (chosen) {
        provider->faults++;
        test_spoil(provider, grant, provider->fault);
    }
    grant->held = 1;
    provider->grants++;
    provider->held++;
    provider->held_bytes += grant->region.bytes;
    *region = grant->region;
    return 0;
}

TEST_UNUSED static int
test_provider_put(void *ctx, const fpheap_region *region)
{
    test_provider *provider = (test_provider *)ctx;
    test_grant    *grant = (test_grant *)region->cookie;

    provider->puts++;
    if (provider->inside_put != NULL)
        provider->inside_put(provider);
    if (grant < provider->grant || grant >= provider->grant + provider->grants
        || !grant->held || grant->region.base != region->base
        || grant->region.bytes != region->bytes
        || grant->region.backing != region->backing) {
        provider->wrong++;
        return -EINVAL;
    }
    if (provider->put_error != 0)
        return provider->put_error;
    grant->held = 0;
    provider->held--;
    provider->held_bytes -= grant->region.bytes;
    if (test_unmap(grant->map, grant->map_bytes) != 0)
        provider->wrong++;
    return 0;
}

/* The grant that an address is in, NULL if there is none. */
TEST_UNUSED static test_grant *
test_grant_of(test_provider *provider, const void *pointer)
{
    unsigned i;

    for (i = 0; i < provider->grants; i++) {
        test_grant *grant = &provider->grant[i];

        if (grant->held && grant->fault == TEST_GOOD
            && (uintptr_t)pointer - (uintptr_t)grant->region.base
               < grant->region.bytes)
            return grant;
    }
    return NULL;
}

/* A provider that serves every call well, with its records empty. */
TEST_UNUSED static void
test_provider_init(test_provider *provider)
{
    memset(provider, 0, sizeof(*provider));
    provider->calls.get = test_provider_get;
    provider->calls.put = test_provider_put;
    provider->calls.ctx = provider;
    provider->backing = FPHEAP_BACKING_PAGES;
}

/* Unmap what is left after a heap that could not give it back. */
TEST_UNUSED static void
test_provider_drop(test_provider *provider)
{
    unsigned i;

    for (i = 0; i < provider->grants; i++)
        if (provider->grant[i].held)
            (void)test_unmap(provider->grant[i].map,
                             provider->grant[i].map_bytes);
    provider->grants = 0;
}

/* What a heap has charged to its limit. */
TEST_UNUSED static uint64_t
test_charged(const fpheap *heap)
{
    return fph_limit_bytes(heap->state->limit) - heap->state->left;
}

/* A heap over a fresh provider. */
TEST_UNUSED static fpheap *
test_heap_over(test_provider *provider)
{
    fpheap_config config;
    fpheap       *heap;

    memset(&config, 0, sizeof(config));
    test_provider_init(provider);
    config.provider = &provider->calls;
    heap = fpheap_create("test", &config);
    assert_non_null(heap);
    return heap;
}

/* The same, with at most limit_bytes. */
TEST_UNUSED static fpheap *
test_heap_within(test_provider *provider, size_t limit_bytes)
{
    fpheap_config config;
    fpheap       *heap;

    memset(&config, 0, sizeof(config));
    test_provider_init(provider);
    provider->limit_bytes = limit_bytes;
    config.provider = &provider->calls;
    config.growth_max = FPHEAP_CHUNK;
    heap = fpheap_create("limited", &config);
    assert_non_null(heap);
    return heap;
}

/* A list through the first words of the objects that are in it. */
TEST_UNUSED static void
test_push(void **list, void *object)
{
    memcpy(object, list, sizeof(*list));
    *list = object;
}

/* Allocate until there is no more.  Returns how many are in the list. */
TEST_UNUSED static size_t
test_take_all(fpheap *heap, size_t size, void **list)
{
    size_t n = 0;
    void  *object;

    for (*list = NULL; (object = fpheap_alloc(heap, size)) != NULL; n++)
        test_push(list, object);
    return n;
}

/* Free all that are in a list. */
TEST_UNUSED static void
test_free_all(fpheap *heap, void *list)
{
    while (list != NULL) {
        void *object = list;

        memcpy(&list, object, sizeof(list));
        fpheap_free(heap, object);
    }
}

/* Where memory comes from the default provider, the regions are neighbours, and
 * any chunk goes back. */
TEST_UNUSED static void
test_needs_parts(void)
{
    fpheap  *heap  = fpheap_create(NULL, NULL);
    unsigned parts = heap == NULL ? 0 : heap->provider.flags & FPHEAP_PARTS;

    assert_int_equal(fpheap_destroy(heap), 0);
    if (parts == 0) {
        print_message("why: the provider takes no parts\n");
        skip();
    }
}

/* And nothing lies between them, but with few addresses. */
TEST_UNUSED static void
test_needs_neighbours(void)
{
    test_needs_parts();
    if (sizeof(void *) < 8) {
        print_message("why: of 32 bits others lie between regions\n");
        skip();
    }
}

/* Destroy a heap in which nothing is live; all of its regions must be back. */
#define TEST_DESTROY_OVER(heap, provider)           \
    do {                                            \
        TEST_DESTROY(heap);                         \
        assert_int_equal((provider)->held, 0);      \
        assert_int_equal((provider)->wrong, 0);     \
    } while (0)

#endif /* TEST_UTIL_H */
