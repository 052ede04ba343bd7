/* stress_util.h - what the stress programs share
 * SPDX-License-Identifier: MIT OR Unlicense
 *
 * A program includes fpheap.h with its implementation first, then this file.
 *
 *     FPHEAP_SEED=n   repeats the random choices of an earlier run; which
 *                     thread runs when is still up to the machine
 *     FPHEAP_SOAK=n   does n times the work
 *
 * Under a sanitizer the work shrinks so that a run takes about as long.
 */
#ifndef STRESS_UTIL_H
#define STRESS_UTIL_H

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#ifndef __has_feature
#  define __has_feature(name) 0
#endif
#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
#  define STRESS_TSAN 1
#else
#  define STRESS_TSAN 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#  define STRESS_ASAN 1
#else
#  define STRESS_ASAN 0
#endif
#ifdef STRESS_SLOWDOWN  /* as many times less work, in as much more time */
#elif STRESS_TSAN
#  define STRESS_SLOWDOWN 12
#elif STRESS_ASAN
#  define STRESS_SLOWDOWN 4
#else
#  define STRESS_SLOWDOWN 1
#endif

#define STRESS_UNUSED __attribute__((unused))
#define STRESS_LEN(a) (sizeof(a) / sizeof((a)[0]))

static uint64_t stress_seed;
static uint64_t stress_soak = 1;

/* --- checks ------------------------------------------------------------------
 *
 * A failed assertion of cmocka jumps back into its runner, which only the
 * runner's own thread may do.  So here a failed check ends the process.
 */

static void __attribute__((noreturn))
stress_fail(const char *file, int line, const char *what)
{
    fprintf(stderr, "%s:%d: %s (errno %d, FPHEAP_SEED=%llu)\n", file, line,
            what, errno, (unsigned long long)stress_seed);
    abort();
}

STRESS_UNUSED static void __attribute__((noreturn))
stress_fail_values(const char *file, int line, const char *what, long long a,
                   long long b)
{
    fprintf(stderr, "%s:%d: %s: %lld, %lld\n", file, line, what, a, b);
    stress_fail(file, line, what);
}

#define CHECK(condition) \
    ((condition) ? (void)0 : stress_fail(__FILE__, __LINE__, #condition))
#define CHECK_EQ(a, b)                                            \
    stress_equal(__FILE__, __LINE__, #a " == " #b, (long long)(a), \
                 (long long)(b))
#define CHECK_LE(a, b)                                            \
    stress_at_most(__FILE__, __LINE__, #a " <= " #b,             \
                   (unsigned long long)(a), (unsigned long long)(b))

STRESS_UNUSED static inline void
stress_equal(const char *file, int line, const char *what, long long a,
             long long b)
{
    if (a != b)
        stress_fail_values(file, line, what, a, b);
}

STRESS_UNUSED static inline void
stress_at_most(const char *file, int line, const char *what,
               unsigned long long a, unsigned long long b)
{
    if (a > b)
        stress_fail_values(file, line, what, (long long)a, (long long)b);
}

/* --- time, work, random choices ------------------------------------------- */

STRESS_UNUSED static double
stress_seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

STRESS_UNUSED static void
stress_sleep_us(unsigned us)
{
    struct timespec time = {.tv_sec = us / 1000000,
                            .tv_nsec = (long)(us % 1000000) * 1000};

    nanosleep(&time, NULL);
}

STRESS_UNUSED static uint64_t
stress_work(uint64_t amount)
{
    uint64_t scaled = amount * stress_soak / STRESS_SLOWDOWN;

    return scaled > 0 ? scaled : 1;
}

/* splitmix64: every state is good, so states may be derived by adding. */
STRESS_UNUSED static inline uint64_t
stress_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* A number in 0 .. bound - 1, for bounds below 2^32. */
STRESS_UNUSED static inline unsigned
stress_below(uint64_t *state, size_t bound)
{
    return (unsigned)((stress_random(state) >> 32) * (uint64_t)bound >> 32);
}

STRESS_UNUSED static uint64_t
stress_state(uint64_t number)
{
    uint64_t state = stress_seed ^ number * UINT64_C(0xd1342543de82ef95);

    stress_random(&state);
    return state;
}

/* --- programs and tests --------------------------------------------------- */

static const int stress_crashes[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE};
static struct sigaction stress_crash_actions[STRESS_LEN(stress_crashes)];

/* At the head of main. */
STRESS_UNUSED static void
stress_program(const char *name)
{
    const char *seed = getenv("FPHEAP_SEED");
    const char *soak = getenv("FPHEAP_SOAK");
    size_t      i;

    stress_seed = (uint64_t)time(NULL) << 20 ^ (uint64_t)getpid();
    if (seed != NULL)
        stress_seed = strtoull(seed, NULL, 0);
    if (soak != NULL && strtoull(soak, NULL, 0) > 0)
        stress_soak = strtoull(soak, NULL, 0);
    for (i = 0; i < STRESS_LEN(stress_crashes); i++)
        sigaction(stress_crashes[i], NULL, &stress_crash_actions[i]);
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("%s: FPHEAP_SEED=%llu FPHEAP_SOAK=%llu %s\n", name,
           (unsigned long long)stress_seed, (unsigned long long)stress_soak,
           fpheap_config_string());
}

/* At the head of each test: a crash in any thread shall end the process, where
 * cmocka's handlers would jump out of the wrong thread, and so shall a hang. */
STRESS_UNUSED static void
stress_test(void)
{
    size_t i;

    for (i = 0; i < STRESS_LEN(stress_crashes); i++)
        sigaction(stress_crashes[i], &stress_crash_actions[i], NULL);
    alarm((unsigned)(300 * stress_soak));
}

STRESS_UNUSED static pthread_t
stress_spawn(void *(*run)(void *), void *arg)
{
    pthread_t thread;

    CHECK_EQ(pthread_create(&thread, NULL, run, arg), 0);
    return thread;
}

STRESS_UNUSED static void
stress_join(pthread_t thread)
{
    CHECK_EQ(pthread_join(thread, NULL), 0);
}

/* --- a quiet heap --------------------------------------------------------- */

/* Every invariant holds and every byte is accounted for. */
STRESS_UNUSED static fpheap_stats
stress_check(fpheap *heap)
{
    const char  *broken = fpheap_check(heap);
    fpheap_stats s;

    if (broken != NULL)
        stress_fail(__FILE__, __LINE__, broken);
    fpheap_stats_get(heap, &s);
    CHECK_EQ(s.region_bytes,
             s.live_bytes + s.parked_bytes + s.slab_free_bytes
             + s.page_free_bytes + s.waste_bytes + s.metadata_bytes);
    CHECK_LE(s.depot_bytes, s.parked_bytes);
    CHECK_LE(s.region_bytes, s.peak_region_bytes);
    return s;
}

/* What the exited threads of a heap must have left: nothing live, no cache but
 * the caller's, nothing parked but what the depots show. */
STRESS_UNUSED static void
stress_check_left(fpheap *heap)
{
    fpheap_stats s;

    fpheap_thread_leave(heap);
    s = stress_check(heap);
    CHECK_EQ(s.live_objects, 0);
    CHECK_EQ(s.live_bytes, 0);
    CHECK_EQ(s.caches, 0);
    CHECK_EQ(s.parked_bytes, s.depot_bytes);
    fpheap_trim(heap);
    s = stress_check(heap);
    CHECK_EQ(s.parked_bytes, 0);
    CHECK_EQ(s.parked_objects, 0);
}

STRESS_UNUSED static void
stress_finish(fpheap *heap)
{
    stress_check_left(heap);
    CHECK_EQ(fpheap_destroy(heap), 0);
}

/* Objects of at least 16 bytes, or NULL, and in each something else. */
STRESS_UNUSED static void
stress_fill(void *const *objects, size_t n)
{
    size_t i;

    for (i = 0; i < n; i++)
        if (objects[i] != NULL)
            memset(objects[i], (int)i + 1, 16);
}

STRESS_UNUSED static int
stress_is_filled(void *const *objects, size_t n)
{
    unsigned char bytes[16];
    size_t        i;

    for (i = 0; i < n; i++) {
        memset(bytes, (int)i + 1, sizeof bytes);
        if (objects[i] != NULL && memcmp(objects[i], bytes, sizeof bytes) != 0)
            return 0;
    }
    return 1;
}

/* --- owner stamps ------------------------------------------------------------
 *
 * All memory that nobody owns is zero: it came so from the provider, and each
 * owner writes only its stamps and clears them.  A stamp names the owner and
 * the size asked for.  It stands in the first word of the object, put there by
 * compare-and-swap; its complement in the last word, and in each chunk that the
 * object enters, by plain accesses.
 *
 * The compare-and-swap is relaxed so that it adds no order of its own: all
 * order between two owners is the heap's, and ThreadSanitizer misses it in the
 * plain accesses if the heap does not provide it.
 *
 * Each chunk begins with the heap's header while it is cut into pages, and what
 * is left of it shows when the chunk becomes part of a large object.  So what
 * starts a chunk is stamped a page further on, and the owner clears that page.
 */

#define STRESS_ALIGNED  (UINT64_C(1) << 47) /* not for fpheap_free_sized */
#define STRESS_TRANSIT  UINT64_C(0xffff)    /* owns what is handed over */

STRESS_UNUSED static inline uint64_t
stress_stamp(uint64_t owner, uint64_t size)
{
    return owner << 48 | size;
}

STRESS_UNUSED static inline size_t
stress_stamp_size(uint64_t stamp)
{
    return (size_t)(stamp & (STRESS_ALIGNED - 1));
}

/* To be read only by who owns the object. */
typedef struct stress_words {
    uint64_t *first;
    uint64_t *last;
    char     *chunk;    /* the first chunk border inside */
    char     *end;
} stress_words;

STRESS_UNUSED static inline stress_words
stress_words_of(fpheap *heap, void *object)
{
    char        *base  = (char *)object;
    size_t       bytes = fpheap_usable_size(heap, object);
    size_t       first = 0;
    stress_words words;

    CHECK(bytes >= 16);
    if (((uintptr_t)object & (FPHEAP_CHUNK - 1)) == 0)
        first = bytes >= FPHEAP_PAGE + 16 ? FPHEAP_PAGE : bytes - 16;
    words.first = (uint64_t *)(void *)(base + first);
    words.last  = (uint64_t *)(void *)(base + bytes - 8);
    words.chunk = base + FPHEAP_CHUNK
                - ((uintptr_t)base & (FPHEAP_CHUNK - 1));
    words.end   = base + bytes;
    return words;
}

/* Replace the complements in all words but the first. */
STRESS_UNUSED static inline void
stress_restamp(const stress_words *words, uint64_t from, uint64_t to)
{
    char *chunk;

    CHECK_EQ(*words->last, from);
    *words->last = to;
    for (chunk = words->chunk;
         (uintptr_t)chunk + FPHEAP_PAGE + 16 < (uintptr_t)words->end;
         chunk += FPHEAP_CHUNK) {
        uint64_t *word = (uint64_t *)(void *)(chunk + FPHEAP_PAGE);

        CHECK_EQ(*word, from);
        *word = to;
    }
}

STRESS_UNUSED static inline void
stress_swap_first(const stress_words *words, uint64_t from, uint64_t to)
{
    uint64_t seen = from;

    if (!__atomic_compare_exchange_n(words->first, &seen, to, 0,
                                     __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        stress_fail_values(__FILE__, __LINE__, "an object has another owner",
                           (long long)seen, (long long)from);
}

STRESS_UNUSED static inline void
stress_clear_headers(const stress_words *words, char *object)
{
    size_t first = (size_t)((char *)words->first - object);
    char  *chunk;

    if (first > 0)
        memset(object, 0, first);
    for (chunk = words->chunk; (uintptr_t)chunk < (uintptr_t)words->end;
         chunk += FPHEAP_CHUNK) {
        size_t left = (size_t)((char *)words->last - chunk);

        memset(chunk, 0, left < FPHEAP_PAGE ? left : FPHEAP_PAGE);
    }
}

/* A new object becomes the caller's. */
STRESS_UNUSED static inline void
stress_own(fpheap *heap, void *object, uint64_t stamp)
{
    stress_words words = stress_words_of(heap, object);

    stress_swap_first(&words, 0, stamp);
    stress_restamp(&words, 0, ~stamp);
    stress_clear_headers(&words, (char *)object);
}

/* What is about to be freed is nobody's. */
STRESS_UNUSED static inline void
stress_disown(fpheap *heap, void *object, uint64_t stamp)
{
    stress_words words = stress_words_of(heap, object);

    stress_restamp(&words, ~stamp, 0);
    stress_swap_first(&words, stamp, 0);
}

/* The stamp of an object that the caller owns. */
STRESS_UNUSED static inline uint64_t
stress_stamp_of(fpheap *heap, void *object)
{
    return __atomic_load_n(stress_words_of(heap, object).first,
                           __ATOMIC_RELAXED);
}

/* The object changes hands; returns its new stamp. */
STRESS_UNUSED static inline uint64_t
stress_pass(fpheap *heap, void *object, uint64_t from, uint64_t to)
{
    stress_words words = stress_words_of(heap, object);
    uint64_t     stamp = __atomic_load_n(words.first, __ATOMIC_RELAXED);
    uint64_t     next  = to << 48 | (stamp << 16 >> 16);

    CHECK_EQ(stamp >> 48, from);
    stress_restamp(&words, ~stamp, ~next);
    stress_swap_first(&words, stamp, next);
    return next;
}

/* --- a place where threads leave objects for each other ------------------- */

#define STRESS_BOXES 64

typedef struct stress_boxes {
    void *box[STRESS_BOXES];
} stress_boxes;

/* Leave an object, or NULL, and take what was there; both change hands. */
STRESS_UNUSED static inline void *
stress_swap_box(stress_boxes *boxes, unsigned index, void *object)
{
    return __atomic_exchange_n(&boxes->box[index], object, __ATOMIC_ACQ_REL);
}

/* --- a provider that keeps books ------------------------------------------ */

typedef struct stress_pages {
    fpheap_provider inner;
    uint64_t        gets;      /* regions handed out */
    uint64_t        puts;      /* regions taken back */
    size_t          bytes;     /* outstanding */
    size_t          peak;
} stress_pages;

STRESS_UNUSED static int
stress_pages_get(void *ctx, size_t bytes, size_t align, int node,
                 fpheap_region *region)
{
    stress_pages *pages = (stress_pages *)ctx;
    int           error = pages->inner.get(pages->inner.ctx, bytes, align, node,
                                           region);
    size_t        now;
    size_t        peak;

    if (error != 0)
        return error;
    __atomic_fetch_add(&pages->gets, 1, __ATOMIC_RELAXED);
    now  = __atomic_add_fetch(&pages->bytes, region->bytes, __ATOMIC_RELAXED);
    peak = __atomic_load_n(&pages->peak, __ATOMIC_RELAXED);
    while (now > peak
           && !__atomic_compare_exchange_n(&pages->peak, &peak, now, 1,
                                           __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ;
    return 0;
}

STRESS_UNUSED static int
stress_pages_put(void *ctx, const fpheap_region *region)
{
    stress_pages *pages = (stress_pages *)ctx;
    size_t        bytes = region->bytes;
    int           error = pages->inner.put(pages->inner.ctx, region);

    if (error != 0)
        return error;
    __atomic_fetch_add(&pages->puts, 1, __ATOMIC_RELAXED);
    __atomic_fetch_sub(&pages->bytes, bytes, __ATOMIC_RELAXED);
    return 0;
}

/* Base pages only: a stress program touches few of the bytes that it takes. */
STRESS_UNUSED static fpheap_provider
stress_pages_init(stress_pages *pages)
{
    fpheap_provider provider = {.get = stress_pages_get,
                                .put = stress_pages_put,
                                .ctx = pages};

    memset(pages, 0, sizeof(*pages));
    CHECK_EQ(fpheap_provider_mmap(&pages->inner, FPHEAP_NO_THP), 0);
    return provider;
}

/* A heap on such a provider. */
STRESS_UNUSED static fpheap *
stress_heap(const char *name, stress_pages *pages, size_t growth_max)
{
    fpheap_provider provider = stress_pages_init(pages);
    fpheap_config   config;
    fpheap         *heap;

    memset(&config, 0, sizeof(config));
    config.provider   = &provider;
    config.growth_max = growth_max;
    heap = fpheap_create(name, &config);
    CHECK(heap != NULL);
    return heap;
}

/* The provider has everything back. */
STRESS_UNUSED static void
stress_pages_finish(const stress_pages *pages)
{
    CHECK_EQ(pages->gets, pages->puts);
    CHECK_EQ(pages->bytes, 0);
}

#endif /* STRESS_UTIL_H */
