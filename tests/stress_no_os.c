/* stress_no_os.c - threads without a system: FPHEAP_NO_OS, and pthread keys
 * SPDX-License-Identifier: MIT OR Unlicense
 *
 * Without a clock each look at it counts as a microsecond, so every wait for
 * another thread ends here too.
 */
#define FPHEAP_NO_OS       1
#define FPHEAP_CHUNK_SHIFT 18
#define FPHEAP_IMPLEMENTATION
#include "fpheap.h"
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#ifndef STRESS_SLOWDOWN
#  define STRESS_SLOWDOWN 1
#endif
#define THREADS 4
#define CHUNKS  96

static char memory[CHUNKS * FPHEAP_CHUNK]
                __attribute__((aligned(FPHEAP_CHUNK)));
static uint64_t given;          /* atomic: chunks */
static uint64_t held;           /* atomic: 1 while a get does not return */
static uint64_t waits;          /* atomic: gets that are held back */

/* The first get with `held` set stays until it is cleared. */
static int
get(void *ctx, size_t bytes, size_t align, int node, fpheap_region *region)
{
    uint64_t n = bytes / FPHEAP_CHUNK;
    uint64_t at;

    (void)ctx, (void)align, (void)node;
    if (__atomic_load_n(&held, __ATOMIC_ACQUIRE)
        && __atomic_fetch_add(&waits, 1, __ATOMIC_RELAXED) == 0)
        while (__atomic_load_n(&held, __ATOMIC_ACQUIRE))
            sched_yield();
    at = __atomic_fetch_add(&given, n, __ATOMIC_RELAXED);
    if (at + n > CHUNKS)
        return -ENOMEM;
    region->base = memory + at * FPHEAP_CHUNK;
    region->bytes = bytes;
    return 0;
}

static fpheap *
create(void)
{
    fpheap_provider provider = { .get = get };
    fpheap_config   config = { .provider = &provider,
                               .growth_max = FPHEAP_CHUNK };
    fpheap         *heap;

    given = 0;
    heap = fpheap_create("no_os", &config);
    assert_non_null(heap);
    return heap;
}

/* Objects of all sizes, each written, freed by the thread or left to another. */
static void *
worker(void *heap_)
{
    fpheap *heap = heap_;
    char   *mine[64] = { NULL };
    unsigned i;

    for (i = 0; i < 100000 / STRESS_SLOWDOWN; i++) {
        char **one = &mine[i % 64];

        if (*one != NULL && **one != (char)(i % 64))
            return heap;
        fpheap_free(heap, *one);
        *one = fpheap_alloc(heap, 1 + i * 7 % 3000);
        if (*one == NULL)
            return heap;
        **one = (char)(i % 64);
    }
    for (i = 0; i < 64; i++)
        fpheap_free(heap, mine[i]);
    return NULL;
}

static void
threads_allocate_exit_and_leave_nothing_without_a_system(void **state)
{
    fpheap   *heap = create();
    pthread_t thread[THREADS];
    void     *bad = NULL;
    unsigned  round, i;

    (void)state;
    for (round = 0; round < 3; round++) {
        for (i = 0; i < THREADS; i++)
            assert_int_equal(pthread_create(&thread[i], NULL, worker, heap), 0);
        for (i = 0; i < THREADS; i++) {
            assert_int_equal(pthread_join(thread[i], &bad), 0);
            assert_null(bad);
        }
    }
    assert_null(fpheap_check(heap));
    assert_int_equal(fpheap_destroy(heap), 0);
}

static void *
grower(void *heap_)
{
    return fpheap_alloc(heap_, FPHEAP_CHUNK - 2 * FPHEAP_PAGE);
}

static void
a_wait_for_another_threads_growth_ends_without_a_clock(void **state)
{
    fpheap      *heap = create();
    pthread_t    thread;
    void        *theirs = NULL;
    void        *ours;
    fpheap_stats stats;

    (void)state;
    ours = grower(heap);
    waits = 0;
    __atomic_store_n(&held, 1, __ATOMIC_RELEASE);
    assert_int_equal(pthread_create(&thread, NULL, grower, heap), 0);
    while (__atomic_load_n(&waits, __ATOMIC_RELAXED) == 0)
        sched_yield();
    fpheap_free(heap, fpheap_alloc(heap, 3 * FPHEAP_CHUNK / 2));
    fpheap_free(heap, ours);
    __atomic_store_n(&held, 0, __ATOMIC_RELEASE);
    assert_int_equal(pthread_join(thread, &theirs), 0);
    assert_non_null(theirs);
    fpheap_free(heap, theirs);
    fpheap_stats_get(heap, &stats);
    assert_int_equal(stats.growth_max_ns, 0);
    assert_int_equal(fpheap_destroy(heap), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            threads_allocate_exit_and_leave_nothing_without_a_system),
        cmocka_unit_test(
            a_wait_for_another_threads_growth_ends_without_a_clock),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
