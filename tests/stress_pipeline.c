/* stress_pipeline.c - memory is bounded whatever the threads do with it
 * SPDX-License-Identifier: MIT OR Unlicense
 *
 * Threads that only allocate hand objects to threads that only free, and sizes
 * change by hundreds of thousands of objects.  With C sizes in use, T threads
 * and M objects in a magazine the memory in slabs is at most
 *
 *     peak live + C (2T + 1) M objects + one slab for each size,
 *
 * two magazines per thread and size and one on its way; and once so many
 * objects exist nothing grows any more: bytes of regions are sampled a hundred
 * times and must be flat after the first sample.
 */
#define FPHEAP_IMPLEMENTATION
#ifndef FPHEAP_GROWTH_WAIT_MS
#  define FPHEAP_GROWTH_WAIT_MS 10000   /* a shorter wait may grow instead */
#endif
#include "fpheap.h"
#include "stress_util.h"

#define RING       1024     /* pointers between one thread and another */
#define BURST      32
#define MAX_SIDE   4        /* threads on each side */
#define MAX_SIZES  8
#define SAMPLES    100
#define SWING      262144

/* One writer, one reader. */
typedef struct ring {
    unsigned head __attribute__((aligned(128)));
    unsigned tail __attribute__((aligned(128)));
    void    *slot[RING] __attribute__((aligned(128)));
} ring;

typedef struct line {
    fpheap           *heap;
    unsigned          producers;
    unsigned          consumers;
    unsigned          n_sizes;
    const size_t     *sizes;
    uint64_t          items;        /* of each producer */
    int               warm;         /* fill up to the bound first */
    unsigned          working;      /* producers that have not ended */
    pthread_barrier_t filled;
    size_t            sample[SAMPLES + 1];
    ring              rings[MAX_SIDE][MAX_SIDE];
} line;

typedef struct hand {
    line    *line;
    unsigned index;
    uint64_t random;
    uint64_t moved;
} hand;

static unsigned
ring_put(ring *r, void *const *objects, unsigned n)
{
    unsigned head = r->head;
    unsigned room = RING - (head - __atomic_load_n(&r->tail, __ATOMIC_ACQUIRE));
    unsigned i;

    if (n > room)
        n = room;
    for (i = 0; i < n; i++)
        r->slot[(head + i) % RING] = objects[i];
    __atomic_store_n(&r->head, head + n, __ATOMIC_RELEASE);
    return n;
}

static unsigned
ring_get(ring *r, void **objects, unsigned n)
{
    unsigned tail  = r->tail;
    unsigned there = __atomic_load_n(&r->head, __ATOMIC_ACQUIRE) - tail;
    unsigned i;

    if (n > there)
        n = there;
    for (i = 0; i < n; i++)
        objects[i] = r->slot[(tail + i) % RING];
    __atomic_store_n(&r->tail, tail + n, __ATOMIC_RELEASE);
    return n;
}

/* --- the bound ------------------------------------------------------------ */

static fpheap_class_stats
class_of(fpheap *heap, size_t size)
{
    fpheap_class_stats c;
    unsigned           i;

    for (i = 0; fpheap_class_stats_get(heap, i, &c) == 0; i++)
        if (c.size >= size)
            return c;
    stress_fail(__FILE__, __LINE__, "a size without a class");
}

/* The most objects of a size that threads and depot may hold back. */
static size_t
held_back(fpheap *heap, size_t size, unsigned threads)
{
    return (size_t)(2 * threads + 1) * class_of(heap, size).magazine;
}

/* All that, one slab, and the rounding to whole chunks, in bytes of regions. */
static size_t
bound(fpheap *heap, const size_t *sizes, unsigned n_sizes, unsigned threads,
      size_t peak_live_bytes)
{
    size_t       bytes = peak_live_bytes;
    fpheap_stats s;
    unsigned     i;

    for (i = 0; i < n_sizes; i++) {
        fpheap_class_stats c = class_of(heap, sizes[i]);
        size_t all = c.live_objects + c.parked_objects + c.free_objects;

        bytes += held_back(heap, sizes[i], threads) * c.size;
        if (c.slabs > 0)
            bytes += all / c.slabs * c.size;
    }
    fpheap_stats_get(heap, &s);
    bytes += s.metadata_bytes + s.waste_bytes;
    return (bytes + 2 * FPHEAP_CHUNK - 1) / FPHEAP_CHUNK * FPHEAP_CHUNK;
}

static size_t
region_bytes(fpheap *heap)
{
    fpheap_stats s;

    fpheap_stats_get(heap, &s);
    return s.region_bytes;
}

/* --- producers and consumers ---------------------------------------------- */

static size_t
peak_live(const line *l)
{
    return (size_t)l->producers * l->consumers * RING
         + (size_t)(l->producers + l->consumers) * BURST;
}

/* Make the bound's number of objects of each size exist, then free them all. */
static void
fill(line *l)
{
    unsigned threads = l->producers + l->consumers;
    size_t   room    = 0;
    size_t   n       = 0;
    void   **objects;
    unsigned s;
    size_t   i;

    for (s = 0; s < l->n_sizes; s++)
        room += peak_live(l) + held_back(l->heap, l->sizes[s], threads);
    objects = (void **)calloc(room, sizeof(*objects));
    CHECK(objects != NULL);
    for (s = 0; s < l->n_sizes; s++) {
        size_t more = peak_live(l) + held_back(l->heap, l->sizes[s], threads);

        for (i = 0; i < more; i++) {
            objects[n] = fpheap_alloc(l->heap, l->sizes[s]);
            CHECK(objects[n] != NULL);
            n++;
        }
    }
    for (i = 0; i < n; i++)
        fpheap_free(l->heap, objects[i]);
    free(objects);
}

static void *
produce(void *arg)
{
    hand    *h    = (hand *)arg;
    line    *l    = h->line;
    unsigned next = 0;
    unsigned to   = 0;
    void    *burst[BURST];

    if (l->warm && h->index == 0)
        fill(l);
    pthread_barrier_wait(&l->filled);
    while (h->moved < l->items) {
        unsigned n    = 1 + stress_below(&h->random, BURST);
        size_t   size = l->sizes[stress_below(&h->random, l->n_sizes)];
        unsigned sent = 0;
        unsigned i;

        if (h->index == 0 && h->moved >= next * (l->items / SAMPLES)
            && next < SAMPLES)
            l->sample[next++] = region_bytes(l->heap);
        if (n == 1) {
            burst[0] = fpheap_alloc(l->heap, size);
            CHECK(burst[0] != NULL);
        } else {
            CHECK_EQ(fpheap_alloc_bulk(l->heap, size, burst, n), 0);
        }
        for (i = 0; i < n; i++)
            memcpy(burst[i], &size, sizeof(size));
        while (sent < n) {
            to   = (to + 1) % l->consumers;
            sent += ring_put(&l->rings[h->index][to], burst + sent, n - sent);
            if (sent < n && to == 0)
                sched_yield();
        }
        h->moved += n;
    }
    __atomic_fetch_sub(&l->working, 1, __ATOMIC_RELEASE);
    return NULL;
}

static void
free_burst(hand *h, void *const *burst, unsigned n)
{
    fpheap  *heap = h->line->heap;
    unsigned kind = stress_below(&h->random, 4);
    size_t   size;
    unsigned i;

    for (i = 0; i < n; i++) {
        memcpy(&size, burst[i], sizeof(size));
        CHECK(size <= fpheap_usable_size(heap, burst[i]));
        if (kind == 0)
            fpheap_free(heap, burst[i]);
        else if (kind == 1)
            fpheap_free_sized(heap, burst[i], size);
    }
    if (kind >= 2)
        fpheap_free_bulk(heap, burst, n);
}

static void *
consume(void *arg)
{
    hand    *h = (hand *)arg;
    line    *l = h->line;
    void    *burst[BURST];
    unsigned working;
    unsigned got;
    unsigned p;

    pthread_barrier_wait(&l->filled);
    do {
        working = __atomic_load_n(&l->working, __ATOMIC_ACQUIRE);
        got = 0;
        for (p = 0; p < l->producers; p++) {
            unsigned n = ring_get(&l->rings[p][h->index], burst,
                                  1 + stress_below(&h->random, BURST));

            free_burst(h, burst, n);
            got += n;
        }
        h->moved += got;
        if (got == 0)
            sched_yield();
    } while (working > 0 || got > 0);
    return NULL;
}

static void
run_line(line *l)
{
    hand         hands[2 * MAX_SIDE];
    pthread_t    thread[2 * MAX_SIDE];
    stress_pages pages;
    double       begin   = stress_seconds();
    unsigned     threads = l->producers + l->consumers;
    size_t       largest = 0;
    size_t       highest = 0;
    uint64_t     moved   = 0;
    size_t       limit;
    unsigned     i;

    l->heap    = stress_heap("pipeline", &pages, FPHEAP_CHUNK);
    l->working = l->producers;
    memset(l->rings, 0, sizeof(l->rings));
    pthread_barrier_init(&l->filled, NULL, threads);
    for (i = 0; i < threads; i++) {
        int first = i < l->producers;

        hands[i].line   = l;
        hands[i].index  = first ? i : i - l->producers;
        hands[i].random = stress_state(i);
        hands[i].moved  = 0;
        thread[i] = stress_spawn(first ? produce : consume, &hands[i]);
    }
    for (i = 0; i < threads; i++) {
        stress_join(thread[i]);
        if (i >= l->producers)
            moved += hands[i].moved;
    }
    CHECK(moved >= l->producers * l->items);
    l->sample[SAMPLES] = region_bytes(l->heap);
    for (i = 0; i < l->n_sizes; i++)
        if (class_of(l->heap, l->sizes[i]).size > largest)
            largest = class_of(l->heap, l->sizes[i]).size;
    for (i = 0; i <= SAMPLES; i++)
        if (l->sample[i] > highest)
            highest = l->sample[i];
    limit = bound(l->heap, l->sizes, l->n_sizes, threads,
                  peak_live(l) * largest);
    printf("  %u -> %u threads, %u sizes: %llu objects in %.1f s, regions %zu "
           "KiB at 1 %%, %zu at the end, %zu at most, ",
           l->producers, l->consumers, l->n_sizes, (unsigned long long)moved,
           stress_seconds() - begin, l->sample[1] >> 10,
           l->sample[SAMPLES] >> 10, highest >> 10);
    if (l->warm) {
        printf("filled with %zu\n", l->sample[0] >> 10);
        CHECK_EQ(highest, l->sample[0]);
    } else {
        printf("bound %zu\n", limit >> 10);
        CHECK_LE(pages.peak, limit);
    }
    stress_finish(l->heap);
    stress_pages_finish(&pages);
    pthread_barrier_destroy(&l->filled);
}

static const size_t several[MAX_SIZES] = {16,  64,   200,  256,
                                          512, 1000, 1500, 2048};

static void
run_shape(unsigned producers, unsigned consumers, const size_t *sizes,
          unsigned n_sizes, uint64_t items, int warm)
{
    static line l;

    memset(&l, 0, sizeof(l));
    l.producers = producers;
    l.consumers = consumers;
    l.sizes     = sizes;
    l.n_sizes   = n_sizes;
    l.items     = stress_work(items / producers);
    l.warm      = warm;
    if (l.items < SAMPLES)
        l.items = SAMPLES;
    run_line(&l);
}

static void
a_pipeline_is_flat_once_its_objects_exist(void **state)
{
    (void)state;
    stress_test();
    run_shape(1, 1, &several[7], 1, 24000000, 1);
    run_shape(1, 1, several, MAX_SIZES, 16000000, 1);
    run_shape(3, 1, several, MAX_SIZES, 16000000, 1);
}

static void
a_pipeline_stays_below_its_bound(void **state)
{
    (void)state;
    stress_test();
    run_shape(1, 1, &several[7], 1, 16000000, 0);
    run_shape(2, 2, several, MAX_SIZES, 16000000, 0);
}

static void
threads_that_only_free_hold_nothing_back(void **state)
{
    (void)state;
    stress_test();
    run_shape(1, 4, &several[3], 1, 12000000, 1);
    run_shape(1, 4, several, MAX_SIZES, 12000000, 1);
    run_shape(1, 4, several, MAX_SIZES, 12000000, 0);
}

/* --- threads that free a little and end ----------------------------------- */

#define SHORT 700   /* more than a magazine */

typedef struct parcel {
    fpheap *heap;
    void   *objects[SHORT];
} parcel;

static void *
free_parcel(void *arg)
{
    parcel  *p = (parcel *)arg;
    unsigned i;

    for (i = 0; i < SHORT; i++)
        fpheap_free(p->heap, p->objects[i]);
    return NULL;
}

static void
threads_that_free_and_end_hold_nothing_back(void **state)
{
    stress_pages pages;
    fpheap      *heap   = stress_heap("parcels", &pages, FPHEAP_CHUNK);
    uint64_t     rounds = stress_work(10000);
    size_t       early  = 0;
    parcel       two[2];
    uint64_t     r;
    unsigned     i;

    (void)state;
    stress_test();
    for (r = 0; r < rounds; r++) {
        pthread_t thread[2];

        for (i = 0; i < 2; i++) {
            unsigned k;

            two[i].heap = heap;
            for (k = 0; k < SHORT; k++) {
                two[i].objects[k] = fpheap_alloc(heap, 2048);
                CHECK(two[i].objects[k] != NULL);
            }
        }
        for (i = 0; i < 2; i++)
            thread[i] = stress_spawn(free_parcel, &two[i]);
        for (i = 0; i < 2; i++)
            stress_join(thread[i]);
        if (r == rounds / 100)
            early = region_bytes(heap);
    }
    printf("  %llu threads freed %u objects each: regions %zu KiB at 1 %%, %zu "
           "at the end\n", (unsigned long long)(2 * rounds), SHORT, early >> 10,
           region_bytes(heap) >> 10);
    CHECK_EQ(region_bytes(heap), early);
    stress_finish(heap);
    stress_pages_finish(&pages);
}

/* --- swings --------------------------------------------------------------- */

static const size_t swung[] = {64, 1024, 100, 512, 16, 768, 256, 2000};

typedef struct swing {
    fpheap           *heap;
    void            **objects;
    uint64_t          rounds;
    pthread_barrier_t turn;
} swing;

static void
swing_up(fpheap *heap, void **objects, size_t size)
{
    size_t i;

    for (i = 0; i < SWING; i += BURST)
        CHECK_EQ(fpheap_alloc_bulk(heap, size, objects + i, BURST), 0);
}

static void
swing_down(fpheap *heap, void **objects, size_t size)
{
    size_t i;

    for (i = 0; i < SWING; i++)
        fpheap_free_sized(heap, objects[i], size);
}

static void
check_swing(fpheap *heap, const stress_pages *pages, size_t first,
            unsigned threads, uint64_t rounds, double seconds)
{
    unsigned     n_sizes = (unsigned)STRESS_LEN(swung);
    size_t       limit   = bound(heap, swung, n_sizes, threads,
                                 SWING * class_of(heap, 2000).size);
    fpheap_stats s       = stress_check(heap);

    printf("  %llu swings of %u objects over %u sizes by %u threads in %.1f s: "
           "regions %zu KiB after the first round, %zu at the end, bound %zu; "
           "%llu reclaims\n",
           (unsigned long long)(rounds * n_sizes), SWING, n_sizes, threads,
           seconds, first >> 10, s.region_bytes >> 10, limit >> 10,
           (unsigned long long)s.reclaims);
    CHECK_EQ(pages->peak, first);
    CHECK_LE(first, limit);
}

static void
swings_between_sizes_grow_nothing_after_the_first_round(void **state)
{
    stress_pages pages;
    fpheap      *heap    = stress_heap("swings", &pages, FPHEAP_CHUNK);
    void       **objects = (void **)calloc(SWING, sizeof(*objects));
    uint64_t     rounds  = 1 + stress_work(16);
    double       begin   = stress_seconds();
    size_t       first   = 0;
    uint64_t     r;
    unsigned     i;

    (void)state;
    stress_test();
    CHECK(objects != NULL);
    for (r = 0; r < rounds; r++) {
        for (i = 0; i < STRESS_LEN(swung); i++) {
            swing_up(heap, objects, swung[i]);
            swing_down(heap, objects, swung[i]);
        }
        if (r == 0)
            first = pages.peak;
    }
    check_swing(heap, &pages, first, 1, rounds, stress_seconds() - begin);
    free(objects);
    stress_finish(heap);
    stress_pages_finish(&pages);
}

static void *
swing_back(void *arg)
{
    swing   *s = (swing *)arg;
    uint64_t r;
    unsigned i;

    for (r = 0; r < s->rounds; r++) {
        for (i = 0; i < STRESS_LEN(swung); i++) {
            pthread_barrier_wait(&s->turn);
            swing_down(s->heap, s->objects, swung[i]);
            pthread_barrier_wait(&s->turn);
        }
    }
    return NULL;
}

static void
nor_when_another_thread_frees(void **state)
{
    stress_pages pages;
    swing        s;
    pthread_t    thread;
    double       begin = stress_seconds();
    size_t       first = 0;
    uint64_t     r;
    unsigned     i;

    (void)state;
    stress_test();
    s.heap    = stress_heap("swings", &pages, FPHEAP_CHUNK);
    s.objects = (void **)calloc(SWING, sizeof(*s.objects));
    s.rounds  = 1 + stress_work(12);
    CHECK(s.objects != NULL);
    pthread_barrier_init(&s.turn, NULL, 2);
    thread = stress_spawn(swing_back, &s);
    for (r = 0; r < s.rounds; r++) {
        for (i = 0; i < STRESS_LEN(swung); i++) {
            swing_up(s.heap, s.objects, swung[i]);
            pthread_barrier_wait(&s.turn);
            pthread_barrier_wait(&s.turn);
        }
        if (r == 0)
            first = pages.peak;
    }
    stress_join(thread);
    check_swing(s.heap, &pages, first, 2, s.rounds, stress_seconds() - begin);
    free(s.objects);
    pthread_barrier_destroy(&s.turn);
    stress_finish(s.heap);
    stress_pages_finish(&pages);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pipeline_is_flat_once_its_objects_exist),
        cmocka_unit_test(a_pipeline_stays_below_its_bound),
        cmocka_unit_test(threads_that_only_free_hold_nothing_back),
        cmocka_unit_test(threads_that_free_and_end_hold_nothing_back),
        cmocka_unit_test(
            swings_between_sizes_grow_nothing_after_the_first_round),
        cmocka_unit_test(nor_when_another_thread_frees),
    };

    stress_program("stress_pipeline");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
