/* smoke.c - a short tour of the API that builds anywhere
 *
 * For machines without cmocka and for every combination of settings: C99 to C17
 * and C++11 to C++20, with or without threads, an operating system and stdio.
 * Exits with 0, or with the number of the line whose check failed modulo 251
 * plus 1; with stdio it also says which.
 */
#define FPHEAP_IMPLEMENTATION
#include "../fpheap.h"

#include <string.h>

#if !FPHEAP_NO_THREADS
#  include <pthread.h>
#endif

#if FPHEAP_NO_STDIO
#  define SAY(condition, line) ((void)0)
#else
#  define SAY(condition, line) \
      ((void)fprintf(stderr, "smoke.c:%d: %s\n", line, condition))
#endif
#define CHECK(condition)                     \
    do {                                     \
        if (!(condition)) {                  \
            SAY(#condition, __LINE__);       \
            return __LINE__ % 251 + 1;       \
        }                                    \
    } while (0)
#define TRY(call)                            \
    do {                                     \
        int failed_ = (call);                \
        if (failed_ != 0)                    \
            return failed_;                  \
    } while (0)

#define BULK 200u

static void *objects[BULK];

/* All bytes of an object, and no byte beside it. */
static int
one_by_one(fpheap *heap)
{
    static const size_t sizes[] = { 0, 1, 16, 17, 64, 100, 256, 1500, 2048,
                                    5000, 20000 };
    unsigned i;

    for (i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        char  *p = (char *)fpheap_alloc(heap, sizes[i]);
        size_t usable = fpheap_usable_size(heap, p);

        CHECK(p != NULL);
        CHECK((uintptr_t)p % 16 == 0);
        CHECK(usable >= sizes[i]);
        memset(p, (int)i + 1, usable);
        objects[i] = p;
    }
    for (i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        const char *p = (const char *)objects[i];
        size_t usable = fpheap_usable_size(heap, p);

        CHECK(p[0] == (char)(i + 1) && p[usable - 1] == (char)(i + 1));
        CHECK(fpheap_owns(heap, p));
        CHECK(fpheap_base_of(heap, p + usable / 2) == p);
        if (i % 2 == 0)
            fpheap_free(heap, objects[i]);
        else
            fpheap_free_sized(heap, objects[i], sizes[i]);
    }
    fpheap_free(heap, NULL);
    CHECK(!fpheap_owns(heap, objects));
    CHECK(fpheap_alloc(heap, SIZE_MAX) == NULL);
    return 0;
}

static int
many(fpheap *heap)
{
    unsigned i;
    unsigned n;

    for (n = 1; n <= BULK; n += 33) {
        CHECK(fpheap_alloc_bulk(heap, 192, objects, n) == 0);
        for (i = 0; i < n; i++)
            memset(objects[i], (int)i, 192);
        for (i = 0; i < n; i++)
            CHECK(((const unsigned char *)objects[i])[191] == (i & 255));
        if (n % 2 == 0)
            fpheap_free_bulk(heap, objects, n);
        else
            fpheap_free_bulk_sized(heap, objects, n, 192);
    }
    n = fpheap_alloc_burst(heap, 48, objects, BULK);
    CHECK(n == BULK);
    fpheap_free_bulk(heap, objects, n);
    return 0;
}

static int
other_ways(fpheap *heap)
{
    unsigned char *p = (unsigned char *)fpheap_zalloc(heap, 300);
    size_t align;

    CHECK(p != NULL && p[0] == 0 && p[299] == 0);
    p[0] = 7;
    p = (unsigned char *)fpheap_realloc(heap, p, 3000);
    CHECK(p != NULL && p[0] == 7);
    fpheap_free(heap, p);
    p = (unsigned char *)fpheap_calloc(heap, 3, 100);
    CHECK(p != NULL && p[299] == 0);
    fpheap_free(heap, p);
    CHECK(fpheap_calloc(heap, SIZE_MAX / 2, 3) == NULL);
    for (align = 1; align <= FPHEAP_PAGE; align *= 4) {
        p = (unsigned char *)fpheap_aligned_alloc(heap, align, 100);
        CHECK(p != NULL && ((uintptr_t)p & (align - 1)) == 0);
        p[99] = 9;
        p = (unsigned char *)fpheap_aligned_realloc(heap, p, align, 700);
        CHECK(p != NULL && ((uintptr_t)p & (align - 1)) == 0 && p[99] == 9);
        fpheap_free(heap, p);
    }
    CHECK(fpheap_aligned_alloc(heap, 3, 100) == NULL);
    p = (unsigned char *)fpheap_alloc_on(heap, 100, 0);
    CHECK(p != NULL);
    fpheap_free(heap, p);
    CHECK(fpheap_alloc_on(heap, 100, FPHEAP_MAX_NODES) == NULL);
    return 0;
}

static int
by_cache(fpheap *heap)
{
    fpheap_cache *cache = fpheap_self(heap);
    void         *p;

    CHECK(cache != NULL);
    p = fpheap_cache_alloc(cache, 80);
    CHECK(p != NULL);
    fpheap_cache_free(cache, p);
    p = fpheap_cache_alloc(cache, 80);
    CHECK(p != NULL);
    fpheap_cache_free_sized(cache, p, 80);
    CHECK(fpheap_cache_alloc_bulk(cache, 80, objects, 10) == 0);
    fpheap_cache_free_bulk_sized(cache, objects, 10, 80);
    fpheap_flush(heap);
    fpheap_thread_leave(heap);
    return 0;
}

/* An object of more than 8 pages, and one of more than a chunk. */
static int
large(fpheap *heap)
{
    char *p = (char *)fpheap_alloc(heap, 9 * FPHEAP_PAGE);
    char *q = (char *)fpheap_alloc(heap, FPHEAP_CHUNK + 1);

    CHECK(p != NULL && q != NULL);
    p[0] = p[9 * FPHEAP_PAGE - 1] = 1;
    q[0] = q[FPHEAP_CHUNK] = 1;
    fpheap_free(heap, p);
    fpheap_free_sized(heap, q, FPHEAP_CHUNK + 1);
    return 0;
}

#define TYPED 40u

static int
construct(void *arg, void *object)
{
    unsigned *count = (unsigned *)arg;

    *(unsigned *)object = 77;
    ++*count;
    return 0;
}

static void
destruct(void *arg, void *object)
{
    unsigned *count = (unsigned *)arg;

    (void)object;
    --*count;
}

/* A pool gives exactly its maximum, each object constructed, and ends with the
 * last one. */
static int
typed(fpheap *heap)
{
    unsigned         count = 0;
    size_t           live  = 0;
    fpheap_pool_desc desc;
    fpheap_pool     *pool;
    unsigned         i;

    memset(&desc, 0, sizeof desc);
    desc.name      = "typed";
    desc.size      = 100;
    desc.max       = TYPED;
    desc.construct = construct;
    desc.destruct  = destruct;
    desc.arg       = &count;
    pool = fpheap_pool_create(heap, &desc);
    CHECK(pool != NULL && fpheap_pool_lookup(heap, "typed") == pool);
    CHECK(fpheap_pool_create(heap, &desc) == NULL);
    CHECK(fpheap_pool_get_bulk(pool, objects, TYPED) == 0);
    CHECK(fpheap_pool_get(pool) == NULL && count >= TYPED);
    for (i = 0; i < TYPED; i++)
        CHECK(*(const unsigned *)objects[i] == 77);
    CHECK(fpheap_pool_destroy(pool, &live) != 0 && live == TYPED);
    fpheap_pool_put(pool, objects[0]);
    fpheap_pool_put_bulk(pool, objects + 1, TYPED - 1);
    CHECK(fpheap_pool_destroy(pool, &live) == 0 && live == 0 && count == 0);
    return 0;
}

#if FPHEAP_NO_THREADS
static int
between_threads(fpheap *heap)
{
    (void)heap;
    return 0;
}
#else
typedef struct gift {
    fpheap *heap;
    void   *object;
} gift;

static void *
give(void *arg)
{
    gift *g = (gift *)arg;

    g->object = fpheap_alloc(g->heap, 128);
    return NULL;
}

static void *
take(void *arg)
{
    gift *g = (gift *)arg;

    fpheap_free(g->heap, g->object);
    return NULL;
}

/* One thread allocates, another frees, a third looks for what is left. */
static int
between_threads(fpheap *heap)
{
    gift      g = { heap, NULL };
    pthread_t thread;

    CHECK(pthread_create(&thread, NULL, give, &g) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(g.object != NULL);
    CHECK(pthread_create(&thread, NULL, take, &g) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    return 0;
}
#endif

static int
books(fpheap *heap)
{
    fpheap_stats       s;
    fpheap_class_stats c;
    const char        *broken = fpheap_check(heap);

    if (broken != NULL)
        SAY(broken, __LINE__);
    CHECK(broken == NULL);
    fpheap_stats_get(heap, &s);
    CHECK(s.live_objects == 0 && s.live_bytes == 0);
    CHECK(s.region_bytes == s.parked_bytes + s.slab_free_bytes
                          + s.page_free_bytes + s.waste_bytes
                          + s.metadata_bytes);
    CHECK(fpheap_class_stats_get(heap, 0, &c) == 0 && c.size == 16);
    CHECK(fpheap_class_stats_get(heap, 100000, &c) != 0);
    CHECK(strstr(fpheap_config_string(), "FPHEAP_CHUNK_SHIFT=") != NULL);
    (void)fpheap_trim(heap);
    CHECK(fpheap_check(heap) == NULL);
    return 0;
}

static int
tour(fpheap *heap)
{
    int round;

    CHECK(heap != NULL);
    for (round = 0; round < 2; round++) {
        TRY(one_by_one(heap));
        TRY(many(heap));
        TRY(other_ways(heap));
        TRY(by_cache(heap));
        TRY(large(heap));
        TRY(typed(heap));
        TRY(between_threads(heap));
        TRY(books(heap));
    }
    CHECK(fpheap_reserve(heap, 2 * FPHEAP_CHUNK, 0) == 0);
    objects[0] = fpheap_alloc(heap, 16);
    CHECK(fpheap_destroy(heap) != 0);
    fpheap_free(heap, objects[0]);
    CHECK(fpheap_destroy(heap) == 0);
    return 0;
}

/* Enough chunks for the heap's records under the largest settings, at an address
 * that is aligned to nothing. */
#define BUFFER_BYTES ((FPHEAP_CHUNK_SHIFT < 20 ? 256 : 16) * FPHEAP_CHUNK)

static char buffer_memory[BUFFER_BYTES];

static int
tour_of_a_buffer(void)
{
    fpheap_provider provider;
    fpheap_buffer   buffer;
    fpheap_config   config;

    memset(&config, 0, sizeof config);
    config.provider = &provider;
    fpheap_provider_buffer(&provider, &buffer, buffer_memory + 8,
                           sizeof buffer_memory - 8);
    TRY(tour(fpheap_create("buffer", &config)));
    CHECK(buffer.taken == 0);
    return 0;
}

int
main(void)
{
#if !FPHEAP_NO_OS
    TRY(tour(fpheap_create(NULL, NULL)));
#endif
    return tour_of_a_buffer();
}
