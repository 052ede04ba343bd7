/* test_regressions.c - what reviews found, each as the claim that was broken
 *
 * Two kinds.  Some need an order of calls that nobody writes on purpose: the
 * provider's callback makes the caller's own cache, sizes grow chunk by chunk.
 * Others need a thread that stops between two instructions; here one thread
 * does by hand what the stopped one would have left, so that they fail each
 * time and not once in a million.  stress_regressions has those that need two
 * threads.
 */
#ifndef FPHEAP_CHUNK_SHIFT
#  define FPHEAP_CHUNK_SHIFT 16
#endif
#include "system_memory.h"

#define FPHEAP_MAX_NODES 8
#define FPHEAP_IMPLEMENTATION
#include "fpheap.h"
#include "test_util.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#define MOST 8192
#define RUN  (9 * FPHEAP_PAGE) /* has no class, so no magazine parks it */

static test_provider provider;
static fpheap       *provider_heap;
static void         *objects[MOST];

/* Allocate until that fails.  Returns how many. */
static unsigned
fill_up(fpheap *heap, size_t size)
{
    unsigned n = 0;

    while (n < MOST && (objects[n] = fpheap_alloc(heap, size)) != NULL)
        n++;
    assert_true(n > 0 && n < MOST);
    assert_int_equal(errno, ENOMEM);
    return n;
}

static size_t   taken[MOST];
static unsigned ntaken;

/* Leave no room for records: in a block, in free pages or in the system. */
static void
fill_metadata(fpheap *heap)
{
    size_t page;

    system_is_out = 1;
    while (fph_meta_cut(heap->state, FPH_LINE) != 0)
        ;
    for (ntaken = 0; ntaken < MOST; ntaken++) {
        page = fph_pages_find(heap, 0, 1, 1);
        if (page == FPH_NO_PAGE)
            return;
        taken[ntaken] = page;
    }
    fail();
}

/* Give back what this took. */
static void
empty_metadata(fpheap *heap)
{
    system_is_out = 0;
    while (ntaken > 0)
        fph_pages_give(heap->state, taken[--ntaken], 1);
}

/* --- taking back what is parked ------------------------------------------- */

/* Objects of `size` that are in this thread's cache. */
static size_t
loaded(fpheap *heap, size_t size)
{
    return fph_cache_objects(heap->state, fph_cache_mine(heap), fph_class_of(size));
}

static void
a_thread_keeps_what_it_claims_after_its_own_pass(void **state)
{
    fpheap  *heap = test_heap_over(&provider);
    uint64_t passes;
    unsigned n, i;

    (void)state;
    provider.limit_bytes = provider.held_bytes;
    /* Both have magazines. */
    fpheap_free(heap, fpheap_alloc(heap, 160));
    fpheap_free(heap, fpheap_alloc(heap, 200));
    n = fill_up(heap, 256);
    for (i = 0; i < 120; i++)
        fpheap_free(heap, objects[i]);
    passes = heap->state->reclaims;
    for (i = 0; i < 4; i++)
        assert_non_null(objects[i] = fpheap_alloc(heap, 160));
    assert_true(heap->state->reclaims > passes);
    fpheap_free_bulk(heap, objects, 4);
    assert_true(loaded(heap, 160) > 3);
    fpheap_free(heap, fpheap_alloc(heap, 200));
    assert_true(loaded(heap, 160) > 3);
    for (i = 120; i < n; i++)
        fpheap_free(heap, objects[i]);
    provider.limit_bytes = 0;
    TEST_DESTROY_OVER(heap, &provider);
}

/* --- the provider's callback ---------------------------------------------- */

typedef struct callback {
    fpheap       *heap;
    void         *freed[2];    /* by the callback, so that it finds memory */
    fpheap_cache *made;        /* what the callback had */
    fpheap_cache *kept;        /* what the thread has after its call */
    int           served;
} callback;

/* Called while the thread is about to make its cache. */
static void
make_the_cache(test_provider *p)
{
    callback *c = (callback *)p->arg;
    void     *object;

    p->inside_get = NULL;
    fpheap_free(c->heap, c->freed[0]);
    fpheap_free(c->heap, c->freed[1]);
    object = fpheap_alloc(c->heap, 64);
    c->made = fph_cache_mine(c->heap);
    c->served = object != NULL;
    fpheap_free(c->heap, object);
}

static void *
begin_with_a_miss(void *arg)
{
    callback *c = (callback *)arg;
    void     *object = fpheap_alloc(c->heap, 64);

    c->kept = fph_cache_mine(c->heap);
    fpheap_free(c->heap, object);
    return NULL;
}

/* The second cache took the seat, and what the first one held was lost. */
static void
a_cache_that_the_callback_makes_is_kept(void **state)
{
    fpheap   *heap = test_heap_within(&provider, 5 * FPHEAP_CHUNK);
    unsigned  n = fill_up(heap, (FPH_PAGES / 2 + 1) * FPHEAP_PAGE);
    callback  c = { heap, { NULL, NULL }, NULL, NULL, 0 };
    pthread_t thread;

    (void)state;
    assert_true(n >= 3);
    fill_metadata(heap);
    /* One in the first region, where metadata may go, and one for a slab. */
    c.freed[0] = objects[0];
    c.freed[1] = objects[1];
    provider.limit_bytes = 0;
    provider.arg = &c;
    provider.inside_get = make_the_cache;
    assert_int_equal(pthread_create(&thread, NULL, begin_with_a_miss, &c), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_null(provider.inside_get);
    assert_true(c.served);
    assert_non_null(c.made);
    assert_ptr_equal(c.kept, c.made);
    fpheap_free_bulk(heap, objects + 2, n - 2);
    empty_metadata(heap);
    TEST_DESTROY_OVER(heap, &provider);
}

typedef struct asker {
    fpheap  *heap;
    unsigned depth;
    unsigned deepest;
    unsigned asked;
} asker;

/* As libnuma does when it calls malloc and the heap is that malloc. */
static int
node_by_the_heap(void *ctx)
{
    asker *a = (asker *)ctx;

    a->asked++;
    if (++a->depth > a->deepest)
        a->deepest = a->depth;
    if (a->heap != NULL && a->depth < 50)
        fpheap_free(a->heap, fpheap_alloc(a->heap, 100));
    a->depth--;
    return 1;
}

static void *
first_use(void *arg)
{
    asker *a = (asker *)arg;

    fpheap_free(a->heap, fpheap_alloc(a->heap, 10));
    return NULL;
}

/* The fault: to serve the node it asked for that node, and so on. */
static void
thread_node_may_use_the_heap(void **state)
{
    asker         a = { NULL, 0, 0, 0 };
    fpheap_config config;
    pthread_t     thread;

    (void)state;
    memset(&config, 0, sizeof(config));
    test_provider_init(&provider);
    config.provider = &provider.calls;
    config.nodes = 2;
    config.thread_node = node_by_the_heap;
    config.thread_node_ctx = &a;
    a.heap = fpheap_create("asks", &config);
    assert_non_null(a.heap);
    assert_int_equal(pthread_create(&thread, NULL, first_use, &a), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    (void)first_use(&a);
    assert_true(a.asked > 0);
    assert_int_equal(a.deepest, 1);
    TEST_DESTROY_OVER(a.heap, &provider);
}

/* A destructor of one heap that allocates from another: what that one parks is
 * taken back as in any call. */
static void
allocate_from(void *heap, void *object)
{
    void *other = fpheap_alloc((fpheap *)heap, 4000);

    (void)object;
    assert_non_null(other);
    fpheap_free((fpheap *)heap, other);
}

static void
a_pass_of_one_heap_fails_no_call_of_another(void **state)
{
    static test_provider other_provider;
    fpheap          *heap = test_heap_over(&provider);
    fpheap          *other = test_heap_within(&other_provider,
                                              4 * FPHEAP_CHUNK);
    fpheap_pool_desc desc;
    fpheap_pool     *pool;
    unsigned         n;

    (void)state;
    memset(&desc, 0, sizeof desc);
    desc.name = "pool";
    desc.size = 200;
    desc.destruct = allocate_from;
    desc.arg = other;
    pool = fpheap_pool_create(heap, &desc);
    assert_non_null(pool);
    fpheap_pool_put(pool, fpheap_pool_get(pool));
    for (n = 0; n < MOST && (objects[n] = fpheap_alloc(other, 64)) != NULL;)
        n++;
    fpheap_free_bulk(other, objects, n);
    (void)fpheap_trim(heap);
    assert_int_equal(fpheap_pool_destroy(pool, NULL), 0);
    TEST_DESTROY_OVER(other, &other_provider);
    TEST_DESTROY_OVER(heap, &provider);
}

/* --- what a fork finds of other threads ----------------------------------- */

/* A thread that parks 16 objects and is then taken for gone. */
static void *
park_some(void *heap_)
{
    void *parked[16];

    assert_int_equal(fpheap_alloc_bulk((fpheap *)heap_, 512, parked, 16), 0);
    fpheap_free_bulk((fpheap *)heap_, parked, 16);
    while (__atomic_load_n(&provider_heap, __ATOMIC_ACQUIRE) != NULL)
        usleep(1000);
    return NULL;
}

/* Its cache as it may be between two instructions of a load or an unload. */
static void
tear(fpheap_cache *cache, unsigned number, unsigned how)
{
    fph_bin      *bin      = &cache->bins[number];
    fph_magazine *magazine = fph_magazine_of(bin->base);

    fph_magazine_set_count(magazine, (size_t)(bin->top - bin->base));
    switch (how) {
    case 0: break;             /* at rest */
    case 1: bin->top = NULL; break;    /* base is stored first */
    case 2: bin->base = NULL; break;   /* and taken out first */
    case 3: bin->base = bin->top = NULL; break;
    default: bin->next = NULL; break;  /* a take has changed next only */
    }
}

static void
what_a_gone_thread_had_parked_is_taken_back_wherever_it_was_stopped(
    void **state)
{
    unsigned how;

    (void)state;
    for (how = 0; how < 5; how++) {
        fpheap      *heap = test_heap_over(&provider);
        unsigned     number = fph_class_of(512);
        fpheap_stats stats;
        pthread_t    thread;
        unsigned     seat;

        provider_heap = heap;
        assert_non_null(fpheap_self(heap));
        seat = fph_this.seat;
        assert_int_equal(pthread_create(&thread, NULL, park_some, heap), 0);
        do
            usleep(1000);
        while (heap->state->cache[seat] == NULL
               || fph_cache_objects(heap->state, heap->state->cache[seat], number) != 16);
        tear(heap->state->cache[seat], number, how);
        heap->state->orphans = fph_this.seat;
        assert_null(fpheap_check(heap));
        TEST_CHECK_LIVE(heap, 0);
        fpheap_stats_get(heap, &stats);
        assert_int_equal(stats.parked_objects, 0);
        assert_int_equal(stats.caches, 1);
        __atomic_store_n(&provider_heap, NULL, __ATOMIC_RELEASE);
        assert_int_equal(pthread_join(thread, NULL), 0);
        TEST_DESTROY_OVER(heap, &provider);
    }
}

/* --- callbacks ------------------------------------------------------------ */

static fpheap_pool *ended, *other_pool;
static unsigned     got;
static int          error_of_get, error_of_create, error_of_destroy;

static void
use_a_pool(void *heap, void *object)
{
    fpheap_pool_desc desc;
    void            *other = fpheap_pool_get(ended);

    (void)object;
    error_of_get = errno;
    got += other != NULL;
    memset(&desc, 0, sizeof desc);
    desc.name = "new";
    desc.size = 64;
    got += fpheap_pool_create((fpheap *)heap, &desc) != NULL;
    error_of_create = errno;
    error_of_destroy = fpheap_destroy((fpheap *)heap);
    fpheap_free((fpheap *)heap, fpheap_alloc((fpheap *)heap, 64));
}

static fpheap_pool *
pool_that_ends_with(fpheap *heap, const char *name, unsigned flags,
                    void (*destruct)(void *, void *))
{
    fpheap_pool_desc desc;

    memset(&desc, 0, sizeof desc);
    desc.name = name;
    desc.size = 64;
    desc.flags = flags;
    desc.destruct = destruct;
    desc.arg = heap;
    return fpheap_pool_create(heap, &desc);
}

/* If it could, its objects would be destructed too early, or never. */
static void
while_a_heap_is_destroyed_its_pools_serve_nobody(void **state)
{
    fpheap *heap = test_heap_over(&provider);

    (void)state;
    ended = pool_that_ends_with(heap, "ended", 0, NULL);
    other_pool = pool_that_ends_with(heap, "other", 0, use_a_pool);
    fpheap_pool_put(ended, fpheap_pool_get(ended));
    fpheap_pool_put(other_pool, fpheap_pool_get(other_pool));
    got = 0;
    TEST_DESTROY_OVER(heap, &provider);
    assert_int_equal(got, 0);
    assert_int_equal(error_of_get, EBUSY);
    assert_int_equal(error_of_create, EBUSY);
    assert_int_equal(error_of_destroy, -EBUSY);
}

static unsigned destructions;

static void
count_one(void *heap, void *object)
{
    (void)heap, (void)object;
    destructions++;
}

/* Another thread, in a pass, has one of its slabs in its hands. */
static void
a_pool_that_cannot_end_keeps_all_of_its_memory(void **state)
{
    fpheap      *heap = test_heap_over(&provider);
    fpheap_pool *pool = pool_that_ends_with(heap, "stable", FPHEAP_TYPE_STABLE,
                                            count_one);
    fpheap_pool_stats stats;
    unsigned     bin = FPH_SIZES + pool->number;
    fph_link    *held;
    size_t       live = 9, had;
    unsigned     n;

    (void)state;
    for (n = 0; n < 500; n++)
        assert_non_null(objects[n] = fpheap_pool_get(pool));
    fpheap_pool_put_bulk(pool, objects, n);
    fpheap_flush(heap);
    fph_depot_drain(heap->state, bin);
    held = fph_stack_pop(heap->state, &heap->state->depots[bin].partial);
    assert_non_null(held);
    fpheap_pool_stats_get(pool, &stats);
    had = stats.objects;
    destructions = 0;
    assert_int_equal(fpheap_pool_destroy(pool, &live), -EBUSY);
    assert_int_equal(live, 0);
    assert_int_equal(destructions, 0);
    fpheap_pool_stats_get(pool, &stats);
    assert_int_equal(stats.objects, had);
    fph_slab_let_go(heap->state, (fph_slab *)(void *)held);
    assert_int_equal(fpheap_pool_destroy(pool, &live), 0);
    assert_int_equal(destructions, had);
    TEST_DESTROY_OVER(heap, &provider);
}

static int
leave_and_end(void *heap, void *object)
{
    (void)object;
    fpheap_thread_leave((fpheap *)heap);
    got += fpheap_destroy((fpheap *)heap) == 0;
    if (ended != NULL)
        got += fpheap_pool_destroy(ended, NULL) == 0;
    return 0;
}

/* The call in progress has the cache, and the pool. */
static void
a_callback_cannot_take_away_what_its_call_needs(void **state)
{
    fpheap          *heap = test_heap_over(&provider);
    fpheap_pool_desc desc;
    fpheap_stats     stats;
    void            *object;

    (void)state;
    memset(&desc, 0, sizeof desc);
    desc.name = "leaves";
    desc.size = 3000;
    desc.construct = leave_and_end;
    desc.arg = heap;
    ended = NULL;
    got = 0;
    assert_non_null(fpheap_self(heap));
    ended = fpheap_pool_create(heap, &desc);
    object = fpheap_pool_get(ended);
    assert_non_null(object);
    assert_int_equal(got, 0);
    fpheap_stats_get(heap, &stats);
    assert_int_equal(stats.caches, 1);
    fpheap_pool_put(ended, object);
    fpheap_thread_leave(heap);
    fpheap_stats_get(heap, &stats);
    assert_int_equal(stats.caches, 0);
    assert_int_equal(stats.parked_bytes - stats.depot_bytes, 0);
    TEST_DESTROY_OVER(heap, &provider);
}

/* --- records -------------------------------------------------------------- */

/* The fault: a thread without a cache got them, but one with a cache got
 * ENOMEM, or the error of the limit or of the provider. */
static void
free_objects_are_found_when_there_is_no_magazine_for_them(void **state)
{
    fpheap    *heap = test_heap_within(&provider, 4 * FPHEAP_CHUNK);
    fph_want   want = fph_want_size(64, NULL, 1);
    fph_search search;
    unsigned   n = 0;
    unsigned   i;

    (void)state;
    assert_non_null(fpheap_self(heap));
    fph_search_begin(&search, heap, 0, &want, 1);
    while (n < MOST && fph_find(&search) == 0)
        objects[n++] = search.found;
    assert_true(n < MOST);
    fill_metadata(heap);
    /* Half of each slab, as a thread without a cache would free them. */
    for (i = 0; i < n; i += 2)
        fph_slab_give(heap->state, &objects[i], 1);
    TEST_CHECK_LIVE(heap, n / 2);
    objects[0] = fpheap_alloc(heap, 64);
    assert_non_null(objects[0]);
    fpheap_free(heap, objects[0]);
    provider.error = -EIO;
    objects[0] = fpheap_alloc(heap, 64);
    assert_non_null(objects[0]);
    fpheap_free(heap, objects[0]);
    fpheap_set_limit(heap, 2 * FPHEAP_CHUNK);
    objects[0] = fpheap_alloc(heap, 64);
    assert_non_null(objects[0]);
    fpheap_free(heap, objects[0]);
    for (i = 1; i < n; i += 2)
        fph_slab_give(heap->state, &objects[i], 1);
    empty_metadata(heap);
    TEST_DESTROY_OVER(heap, &provider);
}

/* A descriptor fitted regions of exactly its size: after as many sizes as the
 * table has regions an empty heap could not grow. */
static void
sizes_that_come_and_go_do_not_use_up_the_regions(void **state)
{
    fpheap      *heap = test_heap_over(&provider);
    fpheap_stats stats;
    size_t       chunks;

    (void)state;
    for (chunks = 2; chunks < 3 * FPH_TABLE_MAX; chunks++) {
        void *object = fpheap_alloc(heap, chunks * FPHEAP_CHUNK);

        if (object == NULL)
            print_error("%zu chunks on an empty heap\n", chunks);
        assert_non_null(object);
        fpheap_free(heap, object);
        (void)fpheap_trim(heap);
    }
    fpheap_stats_get(heap, &stats);
    assert_int_equal(stats.regions, 0);
    assert_true(heap->state->regions < FPH_TABLE_MAX / 4);
    TEST_DESTROY_OVER(heap, &provider);
}

/* There are FPH_TABLE_MAX numbers, once. */
static void
a_lost_race_for_a_metadata_block_uses_up_no_number(void **state)
{
    fpheap   *heap = test_heap_over(&provider);
    uint64_t  before = heap->state->meta_numbers;
    uint64_t  current = heap->state->meta_cursor.word >> 40;
    char      chunk[FPH_LINE];
    unsigned  i;

    (void)state;
    for (i = 0; i < 100; i++)
        assert_int_equal(fph_meta_install(heap->state, current + 1, chunk,
                                          sizeof(chunk), FPH_LINE), 0);
    assert_true(heap->state->meta_numbers == before);
    TEST_DESTROY_OVER(heap, &provider);
}

/* It was refused: it was asked for in one region. */
static void
a_reserve_beyond_growth_max_grows_more_than_once(void **state)
{
    const size_t  largest = 4 * FPHEAP_CHUNK;
    fpheap_config config;
    fpheap       *heap;

    (void)state;
    memset(&config, 0, sizeof(config));
    test_provider_init(&provider);
    config.provider = &provider.calls;
    config.growth_max = largest;
    heap = fpheap_create("step", &config);
    assert_non_null(heap);
    assert_int_equal(fpheap_reserve(heap, 3 * largest, FPHEAP_ANY_NODE), 0);
    assert_true(provider.gets > 3);
    assert_true(provider.max_asked <= largest);
    TEST_DESTROY_OVER(heap, &provider);
}

/* The fault: a quarter of the regions was waste. */
static void
a_large_heap_asks_for_no_more_than_a_region_can_use(void **state)
{
    size_t       largest = FPHEAP_CHUNK / 64 * FPHEAP_CHUNK;
    size_t       size = largest - largest / 16;
    fpheap      *heap;
    fpheap_stats stats;
    unsigned     n;

    (void)state;
    if (sizeof(void *) < 8)
        skip();                /* a region is a 16th of more than 1 GiB */
    heap = test_heap_over(&provider);
    for (n = 0; n < 24; n++) {
        objects[n] = fpheap_alloc(heap, size);
        assert_non_null(objects[n]);
    }
    fpheap_stats_get(heap, &stats);
    if (stats.waste_bytes > largest / 16)
        test_print_stats(&stats);
    assert_true(stats.waste_bytes <= largest / 16);
    fpheap_free_bulk(heap, objects, n);
    TEST_DESTROY_OVER(heap, &provider);
}

/* --- what a stopped thread leaves ----------------------------------------- */

/* A heap with no memory but one run of pages, in the middle of a chunk.
 * Returns how many objects are live. */
static unsigned
one_free_run(fpheap *heap)
{
    unsigned n = fill_up(heap, RUN);

    fpheap_free(heap, objects[n - 1]);
    fpheap_flush(heap);        /* it was parked */
    return n - 1;
}

/* As another thread may, after a search has found nothing. */
static void
raise_cursors(fpheap *heap)
{
    unsigned k;

    for (k = 0; k < FPH_LENGTHS; k++)
        heap->state->cursor[0][k] = fph_positions(heap->state);
}

static void
finds_the_run(fpheap *heap, unsigned n)
{
    errno = 0;
    objects[n] = fpheap_alloc(heap, RUN);
    assert_non_null(objects[n]);
    assert_int_equal(errno, 0);
    TEST_CHECK_LIVE(heap, n + 1);
    fpheap_free_bulk(heap, objects, n + 1);
    fpheap_flush(heap);        /* what is parked keeps its pages */
    TEST_DESTROY_OVER(heap, &provider);
}

static void
free_pages_before_a_cursor_are_found(void **state)
{
    fpheap  *heap = test_heap_within(&provider, 4 * FPHEAP_CHUNK);
    unsigned n = one_free_run(heap);

    (void)state;
    raise_cursors(heap);
    finds_the_run(heap, n);
}

/* The thread that would have gone on is not in the child. */
static void
a_child_finds_pages_that_a_thread_of_its_parent_was_announcing(void **state)
{
    fpheap  *heap = test_heap_within(&provider, 4 * FPHEAP_CHUNK);
    unsigned n = one_free_run(heap);
    int      status = -1;
    pid_t    child;

    (void)state;
    raise_cursors(heap);
    child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(fpheap_alloc(heap, RUN) == NULL     ? 1
              : fpheap_check(heap) != NULL        ? 2
              : fpheap_alloc(heap, RUN) != NULL   ? 3
                                                  : 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    finds_the_run(heap, n);
}

/* As in the child of a fork, if a thread was just ending the child heap. */
static void
a_parent_ends_without_a_call_on_a_child_that_has_almost_ended(void **state)
{
    fpheap       *parent = test_heap_over(&provider);
    fpheap_config config = {.parent = parent};
    fpheap       *child  = fpheap_create("child", &config);

    (void)state;
    assert_non_null(child);
    assert_int_equal(fpheap_destroy(child), 0);
    fph_heap_within[child - fph_heaps] = 1 + (uint64_t)(parent - fph_heaps);
    assert_int_equal(fpheap_destroy(parent), -EBUSY);
    assert_int_equal(fpheap_destroy_forced(parent), 0);
    assert_int_equal(fph_heap_within[child - fph_heaps], 0);
    assert_int_equal(provider.held, 0);
}

/* A thread that claims a slab as it is announced counts it before the other. */
static void
a_count_of_empty_pages_below_zero_is_no_reason_to_reclaim(void **state)
{
    fpheap *heap = test_heap_over(&provider);

    (void)state;
    heap->state->empty_pages -= 1;
    assert_false(fph_reclaim_pays(heap, 0));
    heap->state->empty_pages += 1;
    TEST_DESTROY_OVER(heap, &provider);
}

/* The shortest of several times: a busy machine makes some of them longer. */
static uint64_t
shortest_failure_ns(fpheap *heap, size_t size)
{
    uint64_t shortest = UINT64_MAX;
    unsigned i;

    for (i = 0; i < 20; i++) {
        uint64_t begin = fph_now_ns();
        uint64_t took;

        assert_null(fpheap_alloc(heap, size));
        took = fph_now_ns() - begin;
        if (took < shortest)
            shortest = took;
    }
    return shortest;
}

/* Nobody holds anything that would be worth the wait. */
static void
a_call_that_fails_on_a_quiet_heap_fails_at_once(void **state)
{
    size_t   sizes[] = { 64, RUN, 3 * FPHEAP_CHUNK };
    fpheap  *heap = test_heap_within(&provider, 4 * FPHEAP_CHUNK);
    unsigned n = fill_up(heap, 64);
    unsigned i;

    (void)state;
    for (i = 0; i < TEST_COUNT(sizes); i++)
        assert_true(shortest_failure_ns(heap, sizes[i])
                    < (uint64_t)FPHEAP_GROWTH_WAIT_MS * 1000000 / 2);
    fpheap_free_bulk(heap, objects, n);
    TEST_DESTROY_OVER(heap, &provider);
}

/* It must not look at each slab: there are thousands, and their free objects
 * are the pool's for good. */
static void
a_call_that_fails_again_costs_microseconds(void **state)
{
    size_t           sizes[] = { 64, RUN, 3 * FPHEAP_CHUNK };
    fpheap          *heap = test_heap_within(&provider, 64 * TEST_MIB);
    fpheap_pool_desc desc;
    fpheap_pool     *pool;
    void            *object, *kept = NULL;
    uint64_t         full[TEST_COUNT(sizes)];
    unsigned         i;

    (void)state;
    memset(&desc, 0, sizeof desc);
    desc.name = "stable";
    desc.size = FPHEAP_PAGE / 4;
    desc.flags = FPHEAP_TYPE_STABLE;
    pool = fpheap_pool_create(heap, &desc);
    assert_non_null(pool);
    assert_non_null(fpheap_alloc(heap, 64)); /* its slab is there */
    for (i = 0; (object = fpheap_pool_get(pool)) != NULL; i++) {
        *(void **)object = kept;
        kept = object;
    }
    assert_true(i >= 4000);
    (void)fill_up(heap, 64);
    for (i = 0; i < TEST_COUNT(sizes); i++) {
        full[i] = shortest_failure_ns(heap, sizes[i]);
        assert_true(full[i] < 50000);
    }
    /* Half of each slab. */
    for (i = 0; kept != NULL; kept = object) {
        object = *(void **)kept;
        if (((uintptr_t)kept / desc.size & 1) != 0)
            fpheap_pool_put(pool, kept);
    }
    fpheap_flush(heap);
    for (i = 0; i < TEST_COUNT(sizes); i++)
        assert_true(shortest_failure_ns(heap, sizes[i]) < 2 * full[i] + 3000);
    assert_int_equal(fpheap_destroy_forced(heap), 0);
    test_provider_drop(&provider);
}

/* --- nodes ---------------------------------------------------------------- */

/* The fault: only sizes that have a class looked at the other nodes before
 * they failed. */
static void
an_aligned_object_spills_to_another_node_too(void **state)
{
    size_t        aligns[] = { FPHEAP_PAGE, 4 * FPHEAP_PAGE, FPHEAP_CHUNK };
    fpheap_config config;
    fpheap       *heap;
    unsigned      i;

    (void)state;
    memset(&config, 0, sizeof(config));
    test_provider_init(&provider);
    config.provider = &provider.calls;
    config.nodes = 2;
    config.flags = FPHEAP_SPILL;
    heap = fpheap_create("spills", &config);
    assert_non_null(heap);
    assert_int_equal(fpheap_reserve(heap, 20 * FPHEAP_CHUNK, 1), 0);
    provider.limit_bytes = provider.held_bytes;
    for (i = 0; i < TEST_COUNT(aligns); i++) {
        objects[i] = fpheap_aligned_alloc(heap, aligns[i], FPHEAP_CHUNK + 1);
        assert_non_null(objects[i]);
        assert_int_equal((uintptr_t)objects[i] % aligns[i], 0);
    }
    fpheap_free_bulk(heap, objects, TEST_COUNT(aligns));
    TEST_DESTROY_OVER(heap, &provider);
}

static void *
free_one(void *object)
{
    fpheap_free(provider_heap, object);
    return NULL;
}

/* A thread that only frees does not ask the provider for memory for a cache.
 * The fault: without one it returned each object to its slab singly, and a
 * pipeline ran at a tenth of its speed. */
static void
a_thread_that_only_frees_has_a_cache_as_soon_as_memory_is_free(void **state)
{
    fpheap   *heap = test_heap_over(&provider);
    void     *two[2], *large;
    pthread_t thread;
    unsigned  gets;
    unsigned  i;

    (void)state;
    provider_heap = heap;
    for (i = 0; i < 2; i++)
        two[i] = fpheap_alloc(heap, 64);
    fill_metadata(heap);
    for (i = 0; i < 2; i++) {
        gets = provider.gets;
        assert_int_equal(pthread_create(&thread, NULL, free_one, two[i]), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(provider.gets, gets);
        assert_int_equal(heap->state->cache[1] != NULL, i);
        large = fpheap_alloc(heap, 20 * FPHEAP_CHUNK);
        assert_non_null(large);
        fpheap_free(heap, large);
        fpheap_flush(heap);
    }
    empty_metadata(heap);
    TEST_DESTROY_OVER(heap, &provider);
}

/* The fault: it grew and gave back for ever. */
static void
a_run_as_long_as_what_comes_for_it_needs_no_page_for_its_record(void **state)
{
    fpheap  *heap = test_heap_within(&provider, 32 * FPHEAP_CHUNK);
    unsigned gets;
    void    *large;

    (void)state;
    fill_metadata(heap);
    gets = provider.gets;
    large = fpheap_alloc(heap, 20 * FPHEAP_CHUNK);
    assert_non_null(large);
    assert_in_range(provider.gets, gets + 1, gets + 3);
    fpheap_free(heap, large);
    empty_metadata(heap);
    TEST_DESTROY_OVER(heap, &provider);
}

/* Two objects more and two fewer, again and again, at each number of objects
 * held: magazines are exchanged no more often than moving the objects
 * requires. */
static void
a_thread_at_the_edge_of_a_magazine_does_not_exchange_it_again_and_again(
    void **state)
{
    static void *held[3 * FPHEAP_MAGAZINE];
    fpheap      *heap = test_heap_over(&provider);
    unsigned     n, step, i;

    (void)state;
    for (n = 0; n < TEST_COUNT(held); n++) {
        fph_bin *bin;
        void   **base;
        unsigned exchanges = 0;

        held[n] = fpheap_alloc(heap, 64);
        assert_non_null(held[n]);
        bin = &fpheap_self(heap)->bins[fph_class_of(64)];
        base = bin->base;
        for (step = 0; step < 100; step++) {
            void *two[2];

            for (i = 0; i < 2; i++)
                two[i] = fpheap_alloc(heap, 64);
            exchanges += bin->base != base;
            base = bin->base;
            for (i = 0; i < 2; i++)
                fpheap_free(heap, two[i]);
            exchanges += bin->base != base;
            base = bin->base;
        }
        if (exchanges > 2)
            print_error("%u exchanges in 100 steps at %u\n", exchanges, n + 1);
        assert_true(exchanges <= 2);
    }
    for (n = 0; n < TEST_COUNT(held); n++)
        fpheap_free(heap, held[n]);
    TEST_DESTROY_OVER(heap, &provider);
}

static void *
use_much(void *arg)
{
    static void *many[8192];
    fpheap      *heap = (fpheap *)arg;
    unsigned     i;

    for (i = 0; i < TEST_COUNT(many); i++)
        many[i] = fpheap_alloc(heap, 64);
    for (i = 0; i < TEST_COUNT(many); i++)
        fpheap_free(heap, many[i]);
    return NULL;
}

static void *
use_one(void *arg)
{
    fpheap            *heap = (fpheap *)arg;
    void              *one = fpheap_alloc(heap, 64);
    fpheap_class_stats stats;

    (void)fpheap_class_stats_get(heap, fph_class_of(64) - 1, &stats);
    fpheap_free(heap, one);
    return stats.parked_objects < stats.magazine / 8 ? heap : NULL;
}

/* It claimed a whole magazine, as the last thread with that seat did in the
 * end; and so did one that uses a pool for the first time. */
static void
what_another_has_used_does_not_make_the_first_claims_large(void **state)
{
    fpheap           *heap = test_heap_over(&provider);
    fpheap_pool_desc  desc;
    fpheap_pool      *pool;
    fpheap_pool_stats stats;
    unsigned          life, i;

    (void)state;
    for (life = 0; life < 2; life++) {
        pthread_t thread;
        void     *little = NULL;

        assert_int_equal(pthread_create(&thread, NULL, use_much, heap), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
        fpheap_trim(heap);
        assert_int_equal(pthread_create(&thread, NULL, use_one, heap), 0);
        assert_int_equal(pthread_join(thread, &little), 0);
        assert_non_null(little);
    }
    memset(&desc, 0, sizeof(desc));
    desc.name = "pool";
    desc.size = 100;
    desc.magazine = FPHEAP_MAGAZINE;
    for (life = 0; life < 2; life++) {
        pool = fpheap_pool_create(heap, &desc);
        assert_non_null(pool);
        objects[0] = fpheap_pool_get(pool);
        fpheap_pool_stats_get(pool, &stats);
        assert_true(stats.parked_objects <= stats.magazine / 8);
        for (i = 1; i < 1000; i++)
            objects[i] = fpheap_pool_get(pool);
        fpheap_pool_put_bulk(pool, objects, 1000);
        assert_int_equal(fpheap_pool_destroy(pool, NULL), 0);
    }
    TEST_DESTROY_OVER(heap, &provider);
}

/* The first region is asked for before there is a state to charge it to. */
static void
a_first_region_of_bad_memory_is_no_reason_to_ask_beyond_the_limit(void **state)
{
    fpheap_config config;
    fpheap       *heap;

    (void)state;
    memset(&config, 0, sizeof(config));
    test_provider_init(&provider);
    provider.fault = TEST_SPLIT;
    provider.fail_from = 1;
    provider.fail_to = UINT_MAX;
    config.provider = &provider.calls;
    config.limit = 2 * FPHEAP_CHUNK;
    assert_null(fpheap_create("bad", &config));
    assert_int_equal(errno, EFAULT);
    assert_int_equal(provider.max_asked, 2 * FPHEAP_CHUNK);
    assert_int_equal(provider.held, 0);
    provider.fail_to = provider.gets + 1;
    heap = fpheap_create("bad once", &config);
    assert_non_null(heap);
    assert_int_equal(provider.max_asked, 2 * FPHEAP_CHUNK);
    TEST_DESTROY_OVER(heap, &provider);
}

/* The fault: it made the magazines for what was asked for first, and those
 * stay. */
static void
a_reserve_that_fails_leaves_room_for_objects(void **state)
{
    fpheap *heap = test_heap_within(&provider, 32 * TEST_MIB);
    void   *object;

    (void)state;
    assert_int_equal(fpheap_reserve(heap, (size_t)1 << (sizeof(size_t) * 8 - 4),
                                    0), -ENOMEM);
    object = fpheap_alloc(heap, 1000);
    assert_non_null(object);
    fpheap_free(heap, object);
    TEST_DESTROY_OVER(heap, &provider);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thread_keeps_what_it_claims_after_its_own_pass),
        cmocka_unit_test(a_pass_of_one_heap_fails_no_call_of_another),
        cmocka_unit_test(
            what_a_gone_thread_had_parked_is_taken_back_wherever_it_was_stopped),
        cmocka_unit_test(while_a_heap_is_destroyed_its_pools_serve_nobody),
        cmocka_unit_test(a_pool_that_cannot_end_keeps_all_of_its_memory),
        cmocka_unit_test(a_callback_cannot_take_away_what_its_call_needs),
        cmocka_unit_test(
            a_thread_at_the_edge_of_a_magazine_does_not_exchange_it_again_and_again),
        cmocka_unit_test(a_reserve_that_fails_leaves_room_for_objects),
        cmocka_unit_test(
            what_another_has_used_does_not_make_the_first_claims_large),
        cmocka_unit_test(
            a_first_region_of_bad_memory_is_no_reason_to_ask_beyond_the_limit),
        cmocka_unit_test(
            a_thread_that_only_frees_has_a_cache_as_soon_as_memory_is_free),
        cmocka_unit_test(
            a_run_as_long_as_what_comes_for_it_needs_no_page_for_its_record),
        cmocka_unit_test(a_cache_that_the_callback_makes_is_kept),
        cmocka_unit_test(thread_node_may_use_the_heap),
        cmocka_unit_test(
            free_objects_are_found_when_there_is_no_magazine_for_them),
        cmocka_unit_test(sizes_that_come_and_go_do_not_use_up_the_regions),
        cmocka_unit_test(a_lost_race_for_a_metadata_block_uses_up_no_number),
        cmocka_unit_test(
            a_reserve_beyond_growth_max_grows_more_than_once),
        cmocka_unit_test(a_large_heap_asks_for_no_more_than_a_region_can_use),
        cmocka_unit_test(free_pages_before_a_cursor_are_found),
        cmocka_unit_test(
            a_child_finds_pages_that_a_thread_of_its_parent_was_announcing),
        cmocka_unit_test(
            a_parent_ends_without_a_call_on_a_child_that_has_almost_ended),
        cmocka_unit_test(
            a_count_of_empty_pages_below_zero_is_no_reason_to_reclaim),
        cmocka_unit_test(a_call_that_fails_on_a_quiet_heap_fails_at_once),
        cmocka_unit_test(a_call_that_fails_again_costs_microseconds),
        cmocka_unit_test(an_aligned_object_spills_to_another_node_too)
    };

    return cmocka_run_group_tests_name("regressions", tests, NULL, NULL);
}
