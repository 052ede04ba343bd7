/* stress_regressions.c - what reviews found that needs two threads
 * SPDX-License-Identifier: MIT OR Unlicense
 *
 * A call fails for lack of memory only if there is none: not because another
 * thread has what is free in its hands, to touch it (fpheap_reserve), to
 * move it (fpheap_trim), or because it opens or closes a chunk.  So here the
 * provider has nothing more to give and there is room for everybody, always.
 * And statistics are of some moment: a count that wraps is of none.  What ends
 * with a heap may end threads and other heaps.
 *
 * The tests are as long as a time, and not as a work, for how soon two threads
 * meet is up to the machine.  test_regressions has what needs one thread.
 */
#ifndef FPHEAP_CHUNK_SHIFT
#  define FPHEAP_CHUNK_SHIFT 16
#endif
/* A thread may lose its processor with all of the memory in its hands. */
#ifndef FPHEAP_GROWTH_WAIT_MS
#  define FPHEAP_GROWTH_WAIT_MS 5000
#endif
#define FPHEAP_IMPLEMENTATION
#include "fpheap.h"
#include "stress_util.h"

#define MOST  4096
#define CROWD 3
#define RUN   (10 * FPHEAP_PAGE)    /* of a chunk that has 31 to give */

typedef struct field {
    fpheap   *heap;
    uint64_t  stop;             /* atomic */
    void     *objects[MOST];
    unsigned  n;
} field;

static field the_field;

static int
goes_on(const field *f)
{
    return !__atomic_load_n(&f->stop, __ATOMIC_RELAXED);
}

/* The time at which a test of so many tenths of a second ends. */
static double
end_of(unsigned tenths)
{
    double seconds = 0.1 * tenths * (double)stress_soak;

    return stress_seconds() + (STRESS_TSAN ? seconds / 2 : seconds);
}

/* Two chunks, one of which the heap itself needs. */
static fpheap *
heap_of_two_chunks(void)
{
    static char          memory[2 * FPHEAP_CHUNK]
                             __attribute__((aligned(FPHEAP_CHUNK)));
    static fpheap_buffer buffer;
    fpheap_provider      provider;
    fpheap_config        config;
    fpheap              *heap;

    memset(&config, 0, sizeof(config));
    fpheap_provider_buffer(&provider, &buffer, memory, sizeof(memory));
    config.provider = &provider;
    heap = fpheap_create("small", &config);
    CHECK(heap != NULL);
    return heap;
}

/* --- what the others do --------------------------------------------------- */

static void *
reserve_again_and_again(void *arg)
{
    field *f = (field *)arg;

    while (goes_on(f))
        (void)fpheap_reserve(f->heap, FPHEAP_CHUNK / 2, 0);
    return NULL;
}

static void *
trim_again_and_again(void *arg)
{
    field *f = (field *)arg;

    while (goes_on(f))
        (void)fpheap_trim(f->heap);
    return NULL;
}

/* With pauses, so that a pass often ends while another thread looks. */
static void *
trim_and_reserve_now_and_then(void *arg)
{
    field   *f      = (field *)arg;
    uint64_t random = stress_state((uintptr_t)&random);

    while (goes_on(f)) {
        volatile unsigned pause = stress_below(&random, 2000);

        while (pause > 0)
            pause--;
        (void)fpheap_trim(f->heap);
        (void)fpheap_reserve(f->heap, FPHEAP_CHUNK / 2, 0);
    }
    return NULL;
}

static void *
take_a_run_again_and_again(void *arg)
{
    field *f = (field *)arg;

    while (goes_on(f))
        fpheap_free(f->heap, fpheap_alloc(f->heap, RUN));
    return NULL;
}

/* --- nobody fails --------------------------------------------------------- */

/* Allocate and free one object for a time, beside threads that do `other`. */
static void
nobody_fails(field *f, size_t size, void *(*other)(void *), unsigned others,
             unsigned tenths)
{
    pthread_t thread[CROWD];
    uint64_t  calls  = 0;
    uint64_t  failed = 0;
    double    end;
    unsigned  i;

    stress_test();
    f->stop = 0;
    for (i = 0; i < others; i++)
        thread[i] = stress_spawn(other, f);
    for (end = end_of(tenths); stress_seconds() < end; calls++) {
        void *object = fpheap_alloc(f->heap, size);

        if (object == NULL)
            failed++;
        fpheap_free(f->heap, object);
        fpheap_flush(f->heap);
    }
    __atomic_store_n(&f->stop, 1, __ATOMIC_RELAXED);
    for (i = 0; i < others; i++)
        stress_join(thread[i]);
    printf("  %llu of %llu calls failed\n", (unsigned long long)failed,
           (unsigned long long)calls);
    CHECK_EQ(failed, 0);
    if (f->n > 0)
        fpheap_free_bulk(f->heap, f->objects, f->n);
    f->n = 0;
    stress_finish(f->heap);
}

static void
an_allocation_beside_reserve_does_not_fail(void **state)
{
    field *f = &the_field;

    (void)state;
    f->heap = heap_of_two_chunks();
    nobody_fails(f, RUN, reserve_again_and_again, 1, 7);
}

/* The other thread has the one full magazine in its hands. */
static void
an_allocation_beside_trim_does_not_fail(void **state)
{
    field   *f = &the_field;
    unsigned i;

    (void)state;
    f->heap = heap_of_two_chunks();
    while (f->n < MOST
           && (f->objects[f->n] = fpheap_alloc(f->heap, 64)) != NULL)
        f->n++;
    CHECK(f->n < MOST);
    for (i = 0; i < f->n / 2; i++) {
        fpheap_free(f->heap, f->objects[2 * i]);
        f->objects[i] = f->objects[2 * i + 1];
    }
    f->n = i;
    nobody_fails(f, 64, trim_again_and_again, 1, 12);
}

static void
an_allocation_beside_many_trims_and_reserves_does_not_fail(void **state)
{
    field *f = &the_field;

    (void)state;
    f->heap = heap_of_two_chunks();
    nobody_fails(f, RUN, trim_and_reserve_now_and_then, CROWD, 15);
}

/* The last one that is freed closes the chunk, the next one opens it. */
static void
two_threads_that_share_a_chunk_do_not_fail(void **state)
{
    field *f = &the_field;

    (void)state;
    f->heap = heap_of_two_chunks();
    nobody_fails(f, RUN, take_a_run_again_and_again, 1, 5);
}

/* --- statistics ----------------------------------------------------------- */

/* Each time the magazines are loaded anew: of many classes, for the bins of
 * some lie across two cache lines. */
static void *
fill_and_flush(void *arg)
{
    field *f = (field *)arg;
    size_t size;

    while (goes_on(f)) {
        for (size = 16; size <= 512; size += 16)
            fpheap_free(f->heap, fpheap_alloc(f->heap, size));
        fpheap_flush(f->heap);
    }
    return NULL;
}

static void *
grow_and_shrink(void *arg)
{
    field *f = (field *)arg;

    while (goes_on(f)) {
        fpheap_free(f->heap, fpheap_alloc(f->heap, 5 * FPHEAP_CHUNK));
        (void)fpheap_trim(f->heap);
    }
    return NULL;
}

/* Each figure is of some moment, so what is counted in parts may be counted
 * twice, but not a thousand times. */
static void
check_plausible(fpheap *heap)
{
    const size_t       most = (size_t)1 << 30;
    fpheap_stats       s;
    fpheap_class_stats c;

    fpheap_stats_get(heap, &s);
    CHECK_LE(s.region_bytes, most);
    CHECK_LE(s.live_bytes, most);
    CHECK_LE(s.parked_bytes, most);
    CHECK_LE(s.slab_free_bytes, most);
    CHECK_LE(s.page_free_bytes, most);
    CHECK_LE(s.waste_bytes, most);
    CHECK_LE(s.metadata_bytes, most);
    CHECK_LE(s.depot_bytes, most);
    CHECK_LE(s.live_objects, most / 16);
    CHECK_LE(s.parked_objects, most / 16);
    CHECK_EQ(fpheap_class_stats_get(heap, fph_class_of(64), &c), 0);
    CHECK_LE(c.live_objects, most / 16);
    CHECK_LE(c.free_objects, most / 16);
}

static void
statistics_stay_plausible(void *(*other)(void *), unsigned others,
                          unsigned tenths)
{
    field       *f     = &the_field;
    uint64_t     reads = 0;
    stress_pages pages;
    pthread_t    thread[CROWD];
    double       end;
    unsigned     i;

    stress_test();
    f->heap = stress_heap("figures", &pages, 0);
    f->stop = 0;
    for (i = 0; i < others; i++)
        thread[i] = stress_spawn(other, f);
    for (end = end_of(tenths); stress_seconds() < end; reads++)
        check_plausible(f->heap);
    __atomic_store_n(&f->stop, 1, __ATOMIC_RELAXED);
    for (i = 0; i < others; i++)
        stress_join(thread[i]);
    printf("  %llu times\n", (unsigned long long)reads);
    stress_finish(f->heap);
    stress_pages_finish(&pages);
}

/* A magazine was seen with the top of one and the base of another. */
static void
statistics_beside_magazines_that_move_are_sane(void **state)
{
    (void)state;
    statistics_stay_plausible(fill_and_flush, CROWD, 15);
}

/* A region went between the sum of the regions and that of their chunks. */
static void
statistics_beside_regions_that_come_and_go_are_sane(void **state)
{
    (void)state;
    statistics_stay_plausible(grow_and_shrink, 1, 12);
}

/* --- destructors of a heap that ends -------------------------------------- */

typedef struct ending {
    fpheap   *heap;
    fpheap   *inner;
    pthread_t worker;
    uint64_t  used;             /* atomic: the worker has used the heap */
    uint64_t  ended;            /* atomic: the first destructor runs */
} ending;

static void *
use_and_wait(void *arg)
{
    ending *e = (ending *)arg;

    fpheap_free(e->heap, fpheap_alloc(e->heap, 100));
    __atomic_store_n(&e->used, 1, __ATOMIC_RELEASE);
    while (!__atomic_load_n(&e->ended, __ATOMIC_ACQUIRE))
        stress_sleep_us(10);
    return NULL;
}

static void
end_what_it_owns(void *arg, void *object)
{
    ending *e = (ending *)arg;

    (void)object;
    if (__atomic_exchange_n(&e->ended, 1, __ATOMIC_ACQ_REL))
        return;
    CHECK_EQ(fpheap_destroy(e->inner), 0);
    stress_join(e->worker);
}

/* The thread exits, and the other heap pins its seat, while this heap ends. */
static void
a_destructor_of_a_heap_that_ends_may_join_a_thread_and_end_a_heap(void **state)
{
    static ending    e;
    fpheap_pool_desc desc;
    fpheap_pool     *pool;

    (void)state;
    stress_test();
    memset(&e, 0, sizeof(e));
    e.heap  = fpheap_create("outer", NULL);
    e.inner = fpheap_create("inner", NULL);
    CHECK(e.heap != NULL && e.inner != NULL);
    fpheap_free(e.inner, fpheap_alloc(e.inner, 100));
    memset(&desc, 0, sizeof(desc));
    desc.name     = "owners";
    desc.size     = 1000;
    desc.destruct = end_what_it_owns;
    desc.arg      = &e;
    pool = fpheap_pool_create(e.heap, &desc);
    CHECK(pool != NULL);
    fpheap_pool_put(pool, fpheap_pool_get(pool));
    e.worker = stress_spawn(use_and_wait, &e);
    while (!__atomic_load_n(&e.used, __ATOMIC_ACQUIRE))
        stress_sleep_us(10);
    CHECK_EQ(fpheap_destroy(e.heap), 0);
    CHECK(e.ended);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_allocation_beside_reserve_does_not_fail),
        cmocka_unit_test(an_allocation_beside_trim_does_not_fail),
        cmocka_unit_test(
            an_allocation_beside_many_trims_and_reserves_does_not_fail),
        cmocka_unit_test(two_threads_that_share_a_chunk_do_not_fail),
        cmocka_unit_test(statistics_beside_magazines_that_move_are_sane),
        cmocka_unit_test(statistics_beside_regions_that_come_and_go_are_sane),
        cmocka_unit_test(
            a_destructor_of_a_heap_that_ends_may_join_a_thread_and_end_a_heap)
    };

    stress_program("stress_regressions");
    return cmocka_run_group_tests_name("regressions of two threads", tests,
                                       NULL, NULL);
}
