/* stress_owner.c - no object ever has two owners, no two objects overlap
 * SPDX-License-Identifier: MIT OR Unlicense
 *
 * Threads allocate and free at random through every function there is, and hand
 * objects to each other through a few boxes.  Each puts its stamp into what it
 * gets and takes it out of what it gives back (see stress_util.h): an object
 * that the heap hands out twice, and one that overlaps another, has a stamp in
 * it already; a stamp that is gone was overwritten.
 *
 * Chunks and magazines are small here, so that every few operations end in a
 * depot, a slab, a page map or the provider.  -DFPHEAP_CHUNK_SHIFT and
 * -DFPHEAP_MAGAZINE choose others.
 */
#ifndef FPHEAP_CHUNK_SHIFT
#  define FPHEAP_CHUNK_SHIFT 18
#endif
#ifndef FPHEAP_MAGAZINE
#  define FPHEAP_MAGAZINE 8
#endif
#define FPHEAP_IMPLEMENTATION
#include "fpheap.h"
#include "stress_util.h"

#define SLOTS       512     /* objects that a thread keeps */
#define BULK        96      /* more than a magazine and a bitmap's word */
#define MAX_WORKERS 16
#define PAUSES      200     /* at which the heap is checked */

/* Where most operations end. */
enum { IN_CACHES, IN_SLABS, IN_CHUNKS };

typedef struct scene {
    fpheap           *heap;
    int               where;
    stress_boxes      boxes;
    pthread_barrier_t start;
    pthread_barrier_t pause;
    int               disturbed;
    unsigned          running;
} scene;

typedef struct worker {
    scene    *scene;
    fpheap   *heap;
    uint64_t  owner;        /* from 1 */
    uint64_t  random;
    uint64_t  wanted;
    uint64_t  done;         /* objects allocated and objects freed */
    void     *slot[SLOTS];
} worker;

static uint64_t total_operations;

static size_t
random_size(uint64_t *random, int where)
{
    unsigned kind = stress_below(random, 1024);

    if (where == IN_CHUNKS && kind < 512)
        return FPH_CLASS_MAX + stress_below(random, FPHEAP_CHUNK);
    if (kind < 900)
        return stress_below(random, 513);
    if (kind < 1008)
        return stress_below(random, FPHEAP_PAGE + 1);
    if (kind < 1020)
        return stress_below(random, FPH_CLASS_MAX + 1);
    if (kind < 1023)
        return stress_below(random, FPHEAP_CHUNK);
    return stress_below(random, 3 * FPHEAP_CHUNK);
}

/* One object, from any of the functions that make one. */
static void *
take(worker *w)
{
    fpheap  *heap  = w->heap;
    size_t   size  = random_size(&w->random, w->scene->where);
    uint64_t flags = 0;
    size_t   align;
    void    *object;

    switch (stress_below(&w->random, 16)) {
    case 0:
        object = fpheap_zalloc(heap, size);
        break;
    case 1:
        size   = size / 3 * 3;
        object = fpheap_calloc(heap, size / 3, 3);
        break;
    case 2:
        align  = (size_t)1 << stress_below(&w->random, FPHEAP_PAGE_SHIFT + 2);
        flags  = STRESS_ALIGNED;
        object = fpheap_aligned_alloc(heap, align, size);
        CHECK(((uintptr_t)object & (align - 1)) == 0);
        break;
    case 3:
        object = fpheap_alloc_on(heap, size, FPHEAP_ANY_NODE);
        break;
    case 4:
        object = fpheap_realloc(heap, NULL, size);
        break;
    case 5:
    case 6:
    case 7:
        object = fpheap_cache_alloc(fpheap_self(heap), size);
        break;
    default:
        object = fpheap_alloc(heap, size);
        break;
    }
    CHECK(object != NULL);
    stress_own(heap, object, stress_stamp(w->owner, size | flags));
    w->done++;
    return object;
}

/* Give one back, through any of the functions that take one. */
static void
give(worker *w, void *object)
{
    fpheap  *heap  = w->heap;
    uint64_t stamp = stress_stamp_of(heap, object);
    size_t   size  = stress_stamp_size(stamp);
    unsigned kind  = stress_below(&w->random, 8);

    CHECK_EQ(stamp >> 48, w->owner);
    stress_disown(heap, object, stamp);
    w->done++;
    if (kind < 3 && (stamp & STRESS_ALIGNED) == 0) {
        if (kind == 0)
            fpheap_free_sized(heap, object, size);
        else if (kind == 1)
            fpheap_cache_free_sized(fpheap_self(heap), object, size);
        else
            fpheap_free_bulk_sized(heap, &object, 1, size);
    } else if (kind == 3) {
        fpheap_cache_free(fpheap_self(heap), object);
    } else if (kind == 4) {
        fpheap_free_bulk(heap, &object, 1);
    } else {
        fpheap_free(heap, object);
    }
}

static void
turn_slot(worker *w)
{
    void **slot = &w->slot[stress_below(&w->random, SLOTS)];

    if (*slot == NULL) {
        *slot = take(w);
    } else {
        give(w, *slot);
        *slot = NULL;
    }
}

static void
move_slot(worker *w)
{
    void   **slot = &w->slot[stress_below(&w->random, SLOTS)];
    size_t   size = random_size(&w->random, w->scene->where);
    unsigned shift = stress_below(&w->random, 2 * FPHEAP_PAGE_SHIFT);
    size_t   align = (size_t)1 << (shift > FPHEAP_PAGE_SHIFT + 1 ? 0 : shift);

    if (*slot == NULL)
        return;
    stress_disown(w->heap, *slot, stress_stamp_of(w->heap, *slot));
    *slot = align == 1
          ? fpheap_realloc(w->heap, *slot, size)
          : fpheap_aligned_realloc(w->heap, *slot, align, size);
    CHECK(*slot != NULL && ((uintptr_t)*slot & (align - 1)) == 0);
    /* An object from fpheap_aligned_alloc may have stayed where it was. */
    stress_own(w->heap, *slot, stress_stamp(w->owner, size | STRESS_ALIGNED));
    w->done += 2;
}

static void
ask_slot(worker *w)
{
    char  *object = (char *)w->slot[stress_below(&w->random, SLOTS)];
    size_t inside;

    if (object == NULL)
        return;
    inside = stress_below(&w->random, fpheap_usable_size(w->heap, object));
    CHECK(fpheap_base_of(w->heap, object + inside) == object);
    CHECK(fpheap_owns(w->heap, object));
    CHECK_EQ(stress_stamp_of(w->heap, object) >> 48, w->owner);
}

/* Leave an object in a box, or nothing, and free what somebody left there. */
static void
turn_box(worker *w)
{
    scene   *s     = w->scene;
    unsigned index = stress_below(&w->random, STRESS_BOXES);
    void    *object = NULL;

    if (stress_below(&w->random, 8) != 0) {
        object = take(w);
        stress_pass(w->heap, object, w->owner, STRESS_TRANSIT);
    }
    object = stress_swap_box(&s->boxes, index, object);
    if (object != NULL) {
        stress_pass(w->heap, object, STRESS_TRANSIT, w->owner);
        give(w, object);
    }
}

/* Many of one size at once; some stay, the rest go back with other sizes. */
static void
turn_bulk(worker *w)
{
    void    *objects[BULK];
    void    *back[BULK];
    size_t   size  = stress_below(&w->random, 32) != 0
                   ? stress_below(&w->random, 513)
                   : stress_below(&w->random, FPHEAP_PAGE);
    unsigned n     = 1 + stress_below(&w->random, BULK);
    int      burst = stress_below(&w->random, 2) == 0;
    int      sized = stress_below(&w->random, 2) == 0;
    unsigned kept  = 0;
    unsigned i;

    if (burst)
        CHECK_EQ(fpheap_alloc_burst(w->heap, size, objects, n), n);
    else
        CHECK_EQ(fpheap_alloc_bulk(w->heap, size, objects, n), 0);
    for (i = 0; i < n; i++)
        stress_own(w->heap, objects[i], stress_stamp(w->owner, size));
    for (i = 0; i < n; i++) {
        void **slot = &w->slot[stress_below(&w->random, SLOTS)];

        back[i] = objects[i];
        if (sized && *slot == NULL && stress_below(&w->random, 4) == 0) {
            *slot   = objects[i];
            back[i] = NULL;
            kept++;
        } else if (!sized && *slot != NULL) {
            back[i] = *slot;
            *slot   = objects[i];
        }
    }
    for (i = 0; i < n; i++)
        if (back[i] != NULL)
            stress_disown(w->heap, back[i], stress_stamp_of(w->heap, back[i]));
    if (sized)
        fpheap_free_bulk_sized(w->heap, back, n, size);
    else
        fpheap_free_bulk(w->heap, back, n);
    w->done += 2 * n - kept;
}

/* All stop, and one checks the heap: a number or a map that two of them spoiled
 * may be good again when they have freed everything. */
static void
have_a_pause(worker *w)
{
    if (w->scene->disturbed)
        return;
    pthread_barrier_wait(&w->scene->pause);
    if (w->owner == 1)
        stress_check(w->heap);
    pthread_barrier_wait(&w->scene->pause);
}

static void *
work(void *arg)
{
    worker  *w      = (worker *)arg;
    uint64_t pauses = 0;
    unsigned i;

    pthread_barrier_wait(&w->scene->start);
    while (w->done < w->wanted) {
        unsigned kind = stress_below(&w->random, 1024);

        if (pauses < PAUSES && w->done >= pauses * (w->wanted / PAUSES)) {
            have_a_pause(w);
            pauses++;
        }
        if (w->scene->where == IN_SLABS && kind % 8 == 0)
            fpheap_flush(w->heap);
        if (kind < 700)
            turn_slot(w);
        else if (kind < 860)
            turn_box(w);
        else if (kind < 900)
            move_slot(w);
        else if (kind < 940)
            ask_slot(w);
        else if (kind < 1022)
            turn_bulk(w);
        else if (kind == 1022)
            fpheap_flush(w->heap);
        else if (stress_below(&w->random, 32) == 0)
            fpheap_thread_leave(w->heap);
    }
    for (; pauses < PAUSES; pauses++)
        have_a_pause(w);
    for (i = 0; i < SLOTS; i++)
        if (w->slot[i] != NULL)
            give(w, w->slot[i]);
    __atomic_fetch_sub(&w->scene->running, 1, __ATOMIC_RELEASE);
    return NULL;
}

/* The bytes that the heap has, or the most that it had: a region counts as the
 * first of the two a moment earlier. */
static size_t
most_bytes(fpheap *heap)
{
    fpheap_stats s;

    fpheap_stats_get(heap, &s);
    return s.region_bytes > s.peak_region_bytes ? s.region_bytes
                                                : s.peak_region_bytes;
}

/* A snapshot may be torn, but no figure in it may be absurd. */
static void
look(fpheap *heap, FILE *nowhere, uint64_t *random)
{
    fpheap_class_stats c;
    fpheap_stats       s;
    size_t             most;
    unsigned           i;

    fpheap_stats_get(heap, &s);
    most = most_bytes(heap);
    CHECK_LE(s.live_bytes, most);
    CHECK_LE(s.parked_bytes, most);
    CHECK_LE(s.slab_free_bytes, most);
    CHECK_LE(s.page_free_bytes, most);
    CHECK_LE(s.region_bytes, most);
    CHECK_LE(s.peak_region_bytes, most);
    for (i = 0; fpheap_class_stats_get(heap, i, &c) == 0; i++) {
        if (c.live_objects > most / c.size)
            most = most_bytes(heap);    /* it has grown meanwhile */
        CHECK_LE(c.live_objects, most / c.size);
    }
    if (stress_below(random, 16) == 0)
        fpheap_dump(heap, nowhere);
}

static void *
disturb(void *arg)
{
    scene    *s       = (scene *)arg;
    uint64_t  random  = stress_state(99);
    FILE     *nowhere = fopen("/dev/null", "w");
    uint64_t *rounds  = (uint64_t *)calloc(1, sizeof(*rounds));

    CHECK(nowhere != NULL && rounds != NULL);
    pthread_barrier_wait(&s->start);
    while (__atomic_load_n(&s->running, __ATOMIC_ACQUIRE) != 0) {
        switch (stress_below(&random, 8)) {
        case 0:
        case 1:
        case 2:
            fpheap_trim(s->heap);
            break;
        case 3:
            fpheap_flush(s->heap);
            break;
        case 4:
            CHECK_EQ(fpheap_reserve(s->heap, stress_below(&random,
                                                          8 * FPHEAP_CHUNK), 0),
                     0);
            break;
        case 5:
            fpheap_free(s->heap, fpheap_alloc(s->heap, 1000));
            break;
        default:
            look(s->heap, nowhere, &random);
            break;
        }
        ++*rounds;
        stress_sleep_us(stress_below(&random, 300));
    }
    fclose(nowhere);
    return rounds;
}

static void
empty_boxes(scene *s)
{
    unsigned i;

    for (i = 0; i < STRESS_BOXES; i++) {
        void *object = stress_swap_box(&s->boxes, i, NULL);

        if (object == NULL)
            continue;
        stress_disown(s->heap, object, stress_stamp_of(s->heap, object));
        fpheap_free(s->heap, object);
    }
}

static void
share_a_heap(unsigned workers, uint64_t operations, int where, int disturbed)
{
    static worker all[MAX_WORKERS];
    pthread_t     thread[MAX_WORKERS];
    pthread_t     disturber = 0;
    void         *rounds    = NULL;
    stress_pages  pages;
    scene         s;
    fpheap_stats  stats;
    double        begin = stress_seconds();
    uint64_t      done  = 0;
    unsigned      i;

    stress_test();
    memset(&s, 0, sizeof(s));
    memset(all, 0, sizeof(all));
    s.heap      = stress_heap("owners", &pages, 0);
    s.where     = where;
    s.running   = workers;
    s.disturbed = disturbed;
    pthread_barrier_init(&s.pause, NULL, workers);
    pthread_barrier_init(&s.start, NULL, workers + (unsigned)disturbed);
    if (disturbed)
        disturber = stress_spawn(disturb, &s);
    for (i = 0; i < workers; i++) {
        all[i].scene  = &s;
        all[i].heap   = s.heap;
        all[i].owner  = i + 1;
        all[i].random = stress_state(i);
        all[i].wanted = stress_work(operations / workers);
        thread[i]     = stress_spawn(work, &all[i]);
    }
    for (i = 0; i < workers; i++) {
        stress_join(thread[i]);
        done += all[i].done;
    }
    if (disturbed)
        CHECK_EQ(pthread_join(disturber, &rounds), 0);
    empty_boxes(&s);
    stats = stress_check(s.heap);
    printf("  %u threads: %llu operations in %.1f s, peak %zu KiB, "
           "%llu growths, %llu releases, %llu reclaims, %llu disturbances\n",
           workers, (unsigned long long)done, stress_seconds() - begin,
           stats.peak_region_bytes >> 10, (unsigned long long)stats.growths,
           (unsigned long long)stats.releases,
           (unsigned long long)stats.reclaims,
           rounds != NULL ? (unsigned long long)*(uint64_t *)rounds : 0);
    free(rounds);
    stress_finish(s.heap);
    stress_pages_finish(&pages);
    pthread_barrier_destroy(&s.start);
    pthread_barrier_destroy(&s.pause);
    total_operations += done;
}

static void
two_threads_never_own_one_object(void **state)
{
    (void)state;
    share_a_heap(2, 36000000, IN_CACHES, 0);
}

static void
sixteen_threads_never_own_one_object(void **state)
{
    (void)state;
    share_a_heap(16, 36000000, IN_CACHES, 0);
}

static void
nor_when_they_park_next_to_nothing(void **state)
{
    (void)state;
    share_a_heap(2, 10000000, IN_SLABS, 0);
    share_a_heap(16, 6000000, IN_SLABS, 0);
}

static void
nor_when_half_of_the_objects_are_large(void **state)
{
    (void)state;
    share_a_heap(2, 3000000, IN_CHUNKS, 0);
    share_a_heap(16, 1500000, IN_CHUNKS, 0);
}

static void
nor_with_trim_flush_stats_and_reserve_beside_them(void **state)
{
    (void)state;
    share_a_heap(2, 6000000, IN_CACHES, 1);
    share_a_heap(16, 6000000, IN_CACHES, 1);
    share_a_heap(2, 2000000, IN_SLABS, 1);
    share_a_heap(2, 500000, IN_CHUNKS, 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_threads_never_own_one_object),
        cmocka_unit_test(sixteen_threads_never_own_one_object),
        cmocka_unit_test(nor_when_they_park_next_to_nothing),
        cmocka_unit_test(nor_when_half_of_the_objects_are_large),
        cmocka_unit_test(nor_with_trim_flush_stats_and_reserve_beside_them),
    };
    int failed;

    stress_program("stress_owner");
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    printf("stress_owner: %llu operations\n",
           (unsigned long long)total_operations);
    return failed;
}
