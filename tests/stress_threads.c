/* stress_threads.c - threads come and go and leave nothing behind
 * SPDX-License-Identifier: MIT OR Unlicense
 *
 * A thread's cache is made on first use and given up by a thread-exit
 * destructor.  The application has destructors too, which run before and after
 * the heap's, in several rounds, and may allocate and free.  There may be more
 * threads than seats for caches.  A heap may end while threads that used it
 * live or are just exiting, and the next heap may take its index: nobody may
 * meet the old cache.  After each of these: nothing live, nothing parked but in
 * the depots, no cache with an owner, every region back.
 */
#ifndef FPHEAP_CHUNK_SHIFT
#  define FPHEAP_CHUNK_SHIFT 18
#endif
#ifndef FPHEAP_MAGAZINE
#  define FPHEAP_MAGAZINE 16
#endif
#ifndef FPHEAP_MAX_THREADS
#  define FPHEAP_MAX_THREADS 8
#endif
#define FPHEAP_IMPLEMENTATION
#include "fpheap.h"
#include "stress_util.h"

#define LANES 4     /* threads alive at once where caches are wanted */
#define MAIN  1000  /* the owner in the stamps of the test's own thread */

/* --- allocate, free, exchange --------------------------------------------- */

typedef struct visitor {
    fpheap       *heap;
    stress_boxes *boxes;
    uint64_t      owner;
    uint64_t      random;
    unsigned      cached;       /* it got a cache */
} visitor;

static void *
take(fpheap *heap, uint64_t *random, uint64_t owner)
{
    size_t size   = stress_below(random, 64) == 0
                  ? stress_below(random, FPHEAP_CHUNK)
                  : stress_below(random, 2049);
    void  *object = fpheap_alloc(heap, size);

    CHECK(object != NULL);
    stress_own(heap, object, stress_stamp(owner, size));
    return object;
}

static void
give(fpheap *heap, void *object, uint64_t owner)
{
    uint64_t stamp = stress_stamp_of(heap, object);

    CHECK_EQ(stamp >> 48, owner);
    stress_disown(heap, object, stamp);
    if (stamp % 2 != 0)
        fpheap_free_sized(heap, object, stress_stamp_size(stamp));
    else
        fpheap_free(heap, object);
}

/* Leave one of ours in a box and free what was there. */
static void
turn_box(visitor *v, void *object)
{
    if (object != NULL)
        stress_pass(v->heap, object, v->owner, STRESS_TRANSIT);
    object = stress_swap_box(v->boxes, stress_below(&v->random, STRESS_BOXES),
                             object);
    if (object != NULL) {
        stress_pass(v->heap, object, STRESS_TRANSIT, v->owner);
        give(v->heap, object, v->owner);
    }
}

static void *
visit(void *arg)
{
    visitor *v = (visitor *)arg;
    void    *mine[48];
    unsigned n = 1 + stress_below(&v->random, STRESS_LEN(mine));
    unsigned i;

    for (i = 0; i < n; i++)
        mine[i] = take(v->heap, &v->random, v->owner);
    turn_box(v, mine[--n]);
    turn_box(v, NULL);
    for (i = 0; i < n; i++)
        give(v->heap, mine[i], v->owner);
    return NULL;
}

static void
empty_boxes(fpheap *heap, stress_boxes *boxes)
{
    unsigned i;

    for (i = 0; i < STRESS_BOXES; i++) {
        void *object = stress_swap_box(boxes, i, NULL);

        if (object != NULL)
            give(heap, object, STRESS_TRANSIT);
    }
}

static void
a_hundred_thousand_threads_leave_nothing_behind(void **state)
{
    stress_pages pages;
    fpheap      *heap   = stress_heap("churn", &pages, FPHEAP_CHUNK);
    uint64_t     rounds = stress_work(100000 / LANES);
    double       begin  = stress_seconds();
    size_t       early  = 0;
    stress_boxes boxes;
    visitor      v[LANES];
    fpheap_stats s;
    uint64_t     r;
    unsigned     i;

    (void)state;
    stress_test();
    memset(&boxes, 0, sizeof(boxes));
    for (r = 0; r < rounds; r++) {
        pthread_t thread[LANES];

        for (i = 0; i < LANES; i++) {
            v[i].heap   = heap;
            v[i].boxes  = &boxes;
            v[i].owner  = i + 1;
            v[i].random = stress_state(r * LANES + i);
            thread[i]   = stress_spawn(visit, &v[i]);
        }
        for (i = 0; i < LANES; i++)
            stress_join(thread[i]);
        if (r % 64 == 0 || r == rounds / 100) {
            fpheap_stats_get(heap, &s);
            CHECK_EQ(s.caches, 0);
            CHECK_EQ(s.parked_bytes, s.depot_bytes);
        }
        if (r == rounds / 100)
            early = s.region_bytes;
    }
    empty_boxes(heap, &boxes);
    s = stress_check(heap);
    printf("  %llu threads in %.1f s: regions %zu KiB at 1 %%, %zu at the "
           "end\n",
           (unsigned long long)(rounds * LANES), stress_seconds() - begin,
           early >> 10, s.region_bytes >> 10);
    /* Boxes and threads hold what chance gives them: 112 objects of up to a
     * chunk, of which one in 64 is large. */
    CHECK_LE(s.region_bytes, early + 24 * FPHEAP_CHUNK);
    stress_finish(heap);
    stress_pages_finish(&pages);
}

static void *
take_and_exit(void *arg)
{
    visitor *v    = (visitor *)arg;
    void   **mine = (void **)malloc(1000 * sizeof(*mine));
    unsigned i;

    CHECK(mine != NULL);
    for (i = 0; i < 1000; i++)
        mine[i] = take(v->heap, &v->random, v->owner);
    return mine;
}

static void
objects_outlive_the_thread_that_made_them(void **state)
{
    stress_pages pages;
    fpheap      *heap   = stress_heap("orphans", &pages, FPHEAP_CHUNK);
    uint64_t     rounds = stress_work(200);
    visitor      v[LANES];
    uint64_t     r;
    unsigned     i;
    unsigned     k;

    (void)state;
    stress_test();
    for (r = 0; r < rounds; r++) {
        pthread_t thread[LANES];

        for (i = 0; i < LANES; i++) {
            v[i].heap   = heap;
            v[i].boxes  = NULL;
            v[i].owner  = i + 1;
            v[i].random = stress_state(r * LANES + i);
            thread[i]   = stress_spawn(take_and_exit, &v[i]);
        }
        for (i = 0; i < LANES; i++) {
            void *mine;

            CHECK_EQ(pthread_join(thread[i], &mine), 0);
            for (k = 0; k < 1000; k++)
                give(heap, ((void **)mine)[k], i + 1);
            free(mine);
        }
        if (r % 32 == 0)
            stress_check_left(heap);
    }
    printf("  %llu objects of %llu threads\n",
           (unsigned long long)(rounds * LANES * 1000),
           (unsigned long long)(rounds * LANES));
    stress_finish(heap);
    stress_pages_finish(&pages);
}

/* --- destructors -------------------------------------------------------------
 *
 * early_key is made before the heap has its key, late_key after.  glibc also
 * has the list that C++ uses for thread_local objects; it runs before all keys.
 */

extern int __cxa_thread_atexit_impl(void (*run)(void *), void *arg, void *dso)
    __attribute__((weak));

static pthread_key_t early_key;
static pthread_key_t late_key;

/* ThreadSanitizer ends a thread in the last round and cannot follow it then. */
#if STRESS_TSAN
#  define ROUNDS 2
#else
#  define ROUNDS 6
#endif

#define ENDS 3          /* early_key, late_key, the C++ list */
#define HELD 24

typedef struct ending {
    pthread_key_t *key;         /* NULL: it has one round */
    fpheap        *heap;
    uint64_t       owner;
    uint64_t       random;
    unsigned       rounds;      /* of its destructor, that are still to come */
    unsigned       ran;
    void          *held[HELD];
} ending;

typedef struct mortal {
    visitor visitor;
    ending  ends[ENDS];
    int     uses[ENDS];
    int     use_before;         /* the thread uses the heap before it exits */
} mortal;

static __thread void *thread_object;

static void
turn_held(ending *e)
{
    unsigned turns = stress_below(&e->random, 2 * HELD);

    while (turns-- > 0) {
        void **held = &e->held[stress_below(&e->random, HELD)];

        if (*held != NULL) {
            give(e->heap, *held, e->owner);
            *held = NULL;
        } else {
            *held = take(e->heap, &e->random, e->owner);
        }
    }
}

static void
drop_held(ending *e, uint64_t owner)
{
    unsigned i;

    for (i = 0; i < HELD; i++) {
        if (e->held[i] != NULL)
            give(e->heap, e->held[i], owner);
        e->held[i] = NULL;
    }
}

static void
end(void *arg)
{
    ending *e = (ending *)arg;

    e->ran++;
    if (thread_object != NULL) {
        give(e->heap, thread_object, e->owner);
        thread_object = NULL;
    }
    turn_held(e);
    if (stress_below(&e->random, 4) == 0)
        fpheap_flush(e->heap);
    if (e->key != NULL && e->rounds > 0) {
        e->rounds--;
        pthread_setspecific(*e->key, e);
    }
}

static void *
live_and_end(void *arg)
{
    mortal  *m = (mortal *)arg;
    unsigned i;

    if (m->use_before) {
        visit(&m->visitor);
        thread_object = take(m->visitor.heap, &m->visitor.random,
                             m->visitor.owner);
    }
    for (i = 0; i < ENDS; i++) {
        if (!m->uses[i])
            continue;
        if (m->use_before)
            turn_held(&m->ends[i]);
        if (m->ends[i].key != NULL)
            pthread_setspecific(*m->ends[i].key, &m->ends[i]);
        else
            __cxa_thread_atexit_impl(end, &m->ends[i], &late_key);
    }
    if (thread_object != NULL && m->uses[0] + m->uses[1] + m->uses[2] == 0) {
        give(m->visitor.heap, thread_object, m->visitor.owner);
        thread_object = NULL;
    }
    return NULL;
}

static void
plan(mortal *m, fpheap *heap, stress_boxes *boxes, uint64_t number)
{
    uint64_t random = stress_state(number);
    unsigned i;

    memset(m, 0, sizeof(*m));
    m->use_before     = stress_below(&random, 4) != 0;
    m->visitor.heap   = heap;
    m->visitor.boxes  = boxes;
    m->visitor.owner  = number % LANES + 1;
    m->visitor.random = stress_random(&random);
    for (i = 0; i < ENDS; i++) {
        ending *e = &m->ends[i];

        m->uses[i] = stress_below(&random, 2) == 0;
        e->key     = i == 0 ? &early_key : i == 1 ? &late_key : NULL;
        e->heap    = heap;
        e->owner   = m->visitor.owner;
        e->random  = stress_random(&random);
        e->rounds  = stress_below(&random, ROUNDS + 1);
    }
    if (__cxa_thread_atexit_impl == NULL)
        m->uses[2] = 0;
}

static void
destructors_in_any_order_strand_nothing(void **state)
{
    stress_pages  pages;
    fpheap       *heap   = stress_heap("ends", &pages, FPHEAP_CHUNK);
    uint64_t      rounds = stress_work(3000);
    uint64_t      ran[ENDS] = {0, 0, 0};
    unsigned      most      = 0;
    static mortal m[LANES];
    stress_boxes  boxes;
    uint64_t      r;
    unsigned      i;
    unsigned      k;

    (void)state;
    stress_test();
    memset(&boxes, 0, sizeof(boxes));
    fpheap_free(heap, fpheap_alloc(heap, 1));   /* makes the heap's key */
    CHECK_EQ(pthread_key_create(&late_key, end), 0);
    for (r = 0; r < rounds; r++) {
        pthread_t thread[LANES];

        for (i = 0; i < LANES; i++) {
            plan(&m[i], heap, &boxes, r * LANES + i);
            thread[i] = stress_spawn(live_and_end, &m[i]);
        }
        for (i = 0; i < LANES; i++)
            stress_join(thread[i]);
        /* Free what destructors left for a round that never came. */
        for (i = 0; i < LANES; i++) {
            for (k = 0; k < ENDS; k++) {
                ran[k] += m[i].ends[k].ran;
                if (m[i].ends[k].ran > most)
                    most = m[i].ends[k].ran;
                drop_held(&m[i].ends[k], m[i].visitor.owner);
            }
        }
        if (r % 16 == 0) {
            empty_boxes(heap, &boxes);
            stress_check_left(heap);
        }
    }
    empty_boxes(heap, &boxes);
    printf("  %llu threads, destructors run: %llu of an early key, %llu of a "
           "late one, %llu of C++; up to %u rounds\n",
           (unsigned long long)(rounds * LANES), (unsigned long long)ran[0],
           (unsigned long long)ran[1], (unsigned long long)ran[2], most);
    CHECK(most >= 2);
    stress_finish(heap);
    stress_pages_finish(&pages);
    CHECK_EQ(pthread_key_delete(late_key), 0);
}

/* --- more threads than seats ---------------------------------------------- */

#define CROWD (6 * FPHEAP_MAX_THREADS)

static pthread_barrier_t crowd_here;
static pthread_barrier_t crowd_done;

static void *
join_crowd(void *arg)
{
    visitor *v = (visitor *)arg;
    unsigned i;

    errno = 0;
    v->cached = fpheap_self(v->heap) != NULL;
    if (!v->cached)
        CHECK_EQ(errno, EAGAIN);
    pthread_barrier_wait(&crowd_here);
    for (i = 0; i < 100; i++)
        visit(v);
    pthread_barrier_wait(&crowd_done);
    return NULL;
}

static void
more_threads_than_seats_work(void **state)
{
    stress_pages pages;
    fpheap      *heap   = stress_heap("crowd", &pages, FPHEAP_CHUNK);
    uint64_t     rounds = stress_work(40);
    unsigned     cached = 0;
    stress_boxes boxes;
    visitor      v[CROWD];
    pthread_t    thread[CROWD];
    fpheap_stats s;
    uint64_t     r;
    unsigned     i;

    (void)state;
    stress_test();
    memset(&boxes, 0, sizeof(boxes));
    pthread_barrier_init(&crowd_here, NULL, CROWD + 1);
    pthread_barrier_init(&crowd_done, NULL, CROWD + 1);
    fpheap_thread_leave(heap);
    for (r = 0; r < rounds; r++) {
        for (i = 0; i < CROWD; i++) {
            v[i].heap   = heap;
            v[i].boxes  = &boxes;
            v[i].owner  = i + 1;
            v[i].random = stress_state(r * CROWD + i);
            thread[i]   = stress_spawn(join_crowd, &v[i]);
        }
        pthread_barrier_wait(&crowd_here);
        fpheap_stats_get(heap, &s);
        pthread_barrier_wait(&crowd_done);
        cached = 0;
        for (i = 0; i < CROWD; i++) {
            stress_join(thread[i]);
            cached += v[i].cached;
        }
        /* The test's own thread may sit on the last seat, of another heap. */
        CHECK_LE(cached, FPHEAP_MAX_THREADS);
        CHECK(cached + 1 >= FPHEAP_MAX_THREADS);
        CHECK_LE(s.caches, FPHEAP_MAX_THREADS);
        fpheap_stats_get(heap, &s);
        CHECK_EQ(s.caches, 0);
    }
    empty_boxes(heap, &boxes);
    printf("  %llu rounds of %u threads, %u seats, %u caches\n",
           (unsigned long long)rounds, CROWD, FPHEAP_MAX_THREADS, cached);
    pthread_barrier_destroy(&crowd_here);
    pthread_barrier_destroy(&crowd_done);
    stress_finish(heap);
    stress_pages_finish(&pages);
}

/* --- heaps that end before their threads ---------------------------------- */

typedef struct stage {
    fpheap           *heap;     /* of this round */
    uint64_t          rounds;
    stress_boxes      boxes;
    pthread_barrier_t open;
    pthread_barrier_t close;
} stage;

typedef struct actor {
    stage  *stage;
    visitor visitor;
} actor;

static void *
act(void *arg)
{
    actor   *a = (actor *)arg;
    stage   *s = a->stage;
    uint64_t r;

    for (r = 0; r < s->rounds; r++) {
        pthread_barrier_wait(&s->open);
        a->visitor.heap = s->heap;
        /* Now and then skip a heap, so that the next one at its index finds the
         * table as the one before left it. */
        if (stress_below(&a->visitor.random, 4) != 0)
            visit(&a->visitor);
        pthread_barrier_wait(&s->close);
    }
    return NULL;
}

static void
threads_outlive_their_heap_and_use_the_next(void **state)
{
    stress_pages pages;
    stage        s;
    actor        a[LANES];
    pthread_t    thread[LANES];
    double       begin = stress_seconds();
    uint64_t     r;
    unsigned     i;

    (void)state;
    stress_test();
    memset(&s, 0, sizeof(s));
    s.rounds = stress_work(4000);
    pthread_barrier_init(&s.open, NULL, LANES + 1);
    pthread_barrier_init(&s.close, NULL, LANES + 1);
    for (i = 0; i < LANES; i++) {
        a[i].stage          = &s;
        a[i].visitor.boxes  = &s.boxes;
        a[i].visitor.owner  = i + 1;
        a[i].visitor.random = stress_state(i);
        thread[i] = stress_spawn(act, &a[i]);
    }
    for (r = 0; r < s.rounds; r++) {
        s.heap = stress_heap("next", &pages, FPHEAP_CHUNK);
        pthread_barrier_wait(&s.open);
        pthread_barrier_wait(&s.close);
        empty_boxes(s.heap, &s.boxes);
        if (r % 8 == 0)
            stress_check(s.heap);
        CHECK_EQ(fpheap_destroy(s.heap), 0);
        stress_pages_finish(&pages);
    }
    for (i = 0; i < LANES; i++)
        stress_join(thread[i]);
    printf("  %llu heaps under %u threads in %.1f s\n",
           (unsigned long long)s.rounds, LANES, stress_seconds() - begin);
    pthread_barrier_destroy(&s.open);
    pthread_barrier_destroy(&s.close);
}

static void *
act_once(void *arg)
{
    actor *a = (actor *)arg;

    visit(&a->visitor);
    pthread_barrier_wait(&a->stage->close);
    if (stress_below(&a->visitor.random, 2) == 0)
        sched_yield();
    return NULL;    /* the heap ends at the same time */
}

static void
threads_exit_while_their_heap_ends(void **state)
{
    stress_pages pages[2];
    stage        s;
    actor        a[LANES];
    double       begin  = stress_seconds();
    uint64_t     rounds = stress_work(3000);
    uint64_t     random = stress_state(0);
    uint64_t     r;
    unsigned     i;

    (void)state;
    stress_test();
    memset(&s, 0, sizeof(s));
    pthread_barrier_init(&s.close, NULL, LANES + 1);
    for (r = 0; r < rounds; r++) {
        pthread_t thread[LANES];
        fpheap   *next;
        void     *object;

        s.heap = stress_heap("ends", &pages[0], FPHEAP_CHUNK);
        for (i = 0; i < LANES; i++) {
            a[i].stage          = &s;
            a[i].visitor.heap   = s.heap;
            a[i].visitor.boxes  = &s.boxes;
            a[i].visitor.owner  = i + 1;
            a[i].visitor.random = stress_state(r * LANES + i);
            thread[i] = stress_spawn(act_once, &a[i]);
        }
        pthread_barrier_wait(&s.close);
        empty_boxes(s.heap, &s.boxes);
        for (i = stress_below(&random, 3000); i > 0; i--)
            __asm__ __volatile__("");
        CHECK_EQ(fpheap_destroy(s.heap), 0);
        stress_pages_finish(&pages[0]);
        /* The next heap takes the index while they may still be exiting. */
        next   = stress_heap("next", &pages[1], FPHEAP_CHUNK);
        object = take(next, &random, MAIN);
        for (i = 0; i < LANES; i++)
            stress_join(thread[i]);
        give(next, object, MAIN);
        if (r % 8 == 0)
            stress_check(next);
        CHECK_EQ(fpheap_destroy(next), 0);
        stress_pages_finish(&pages[1]);
    }
    printf("  %llu heaps ended while %u threads exited, in %.1f s\n",
           (unsigned long long)rounds, LANES, stress_seconds() - begin);
    pthread_barrier_destroy(&s.close);
}

/* --- many heaps ----------------------------------------------------------- */

typedef struct town {
    fpheap           *heap[LANES];
    stress_boxes      boxes[LANES];
    uint64_t          rounds;
    pthread_barrier_t built;
    pthread_barrier_t used;
} town;

typedef struct citizen {
    town    *town;
    unsigned index;
    visitor  visitor;
} citizen;

/* Each makes a heap at the same time, uses everybody's, and ends its own while
 * the others end theirs. */
static void *
settle(void *arg)
{
    citizen     *c = (citizen *)arg;
    town        *t = c->town;
    visitor     *v = &c->visitor;
    stress_pages pages;
    uint64_t     r;
    unsigned     i;

    for (r = 0; r < t->rounds; r++) {
        t->heap[c->index] = stress_heap("town", &pages, FPHEAP_CHUNK);
        pthread_barrier_wait(&t->built);
        for (i = 0; i < 3 * LANES; i++) {
            unsigned at = stress_below(&v->random, LANES);

            v->heap  = t->heap[at];
            v->boxes = &t->boxes[at];
            visit(v);
        }
        pthread_barrier_wait(&t->used);
        empty_boxes(t->heap[c->index], &t->boxes[c->index]);
        if (r % 8 == 0)
            stress_check(t->heap[c->index]);
        CHECK_EQ(fpheap_destroy(t->heap[c->index]), 0);
        stress_pages_finish(&pages);
    }
    return NULL;
}

static void
many_heaps_come_and_go_at_once(void **state)
{
    static town t;
    citizen     c[LANES];
    pthread_t   thread[LANES];
    double      begin = stress_seconds();
    unsigned    i;

    (void)state;
    stress_test();
    memset(&t, 0, sizeof(t));
    t.rounds = stress_work(1200);
    pthread_barrier_init(&t.built, NULL, LANES);
    pthread_barrier_init(&t.used, NULL, LANES);
    for (i = 0; i < LANES; i++) {
        c[i].town           = &t;
        c[i].index          = i;
        c[i].visitor.owner  = i + 1;
        c[i].visitor.random = stress_state(i);
        thread[i] = stress_spawn(settle, &c[i]);
    }
    for (i = 0; i < LANES; i++)
        stress_join(thread[i]);
    printf("  %llu heaps in %.1f s\n", (unsigned long long)(LANES * t.rounds),
           stress_seconds() - begin);
    pthread_barrier_destroy(&t.built);
    pthread_barrier_destroy(&t.used);
}

/* Every heap that may exist at once, and one more. */
static void
a_thread_uses_all_heaps_and_the_next_one_is_refused(void **state)
{
    stress_pages pages[FPHEAP_MAX_HEAPS];
    fpheap      *heap[FPHEAP_MAX_HEAPS];
    visitor      v;
    stress_boxes boxes[FPHEAP_MAX_HEAPS];
    unsigned     round;
    unsigned     i;

    (void)state;
    stress_test();
    memset(boxes, 0, sizeof(boxes));
    for (round = 0; round < 20; round++) {
        for (i = 0; i < FPHEAP_MAX_HEAPS; i++)
            heap[i] = stress_heap("all", &pages[i], FPHEAP_CHUNK);
        errno = 0;
        CHECK(fpheap_create("one more", NULL) == NULL);
        CHECK_EQ(errno, ENFILE);
        for (i = 0; i < 16 * FPHEAP_MAX_HEAPS; i++) {
            unsigned at = i % FPHEAP_MAX_HEAPS;

            v.heap   = heap[at];
            v.boxes  = &boxes[at];
            v.owner  = 1;
            v.random = stress_state(round * 1000 + i);
            if (i % 3 == 0)
                stress_join(stress_spawn(visit, &v));
            else
                visit(&v);
        }
        for (i = 0; i < FPHEAP_MAX_HEAPS; i++) {
            empty_boxes(heap[i], &boxes[i]);
            stress_finish(heap[i]);
            stress_pages_finish(&pages[i]);
        }
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(destructors_in_any_order_strand_nothing),
        cmocka_unit_test(objects_outlive_the_thread_that_made_them),
        cmocka_unit_test(more_threads_than_seats_work),
        cmocka_unit_test(threads_outlive_their_heap_and_use_the_next),
        cmocka_unit_test(threads_exit_while_their_heap_ends),
        cmocka_unit_test(many_heaps_come_and_go_at_once),
        cmocka_unit_test(a_thread_uses_all_heaps_and_the_next_one_is_refused),
        cmocka_unit_test(a_hundred_thousand_threads_leave_nothing_behind),
    };

    stress_program("stress_threads");
    CHECK_EQ(pthread_key_create(&early_key, end), 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
