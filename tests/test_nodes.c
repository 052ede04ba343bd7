/* test_nodes.c - with several nodes an object comes from the node of its
 * thread, or from the one that was asked for, and goes back to where it came
 * from, however it is freed; a node that has no memory is served from others
 * only when the configuration says so.
 */
#include "clock.h"
#include "system_memory.h"

#define FPHEAP_MAX_NODES 8
#define FPHEAP_IMPLEMENTATION
#include "fpheap.h"
#include "test_util.h"

#define NODES 4

static test_provider provider;
static int           here;          /* what the hook says */
static unsigned      hook_calls;
static int           failing_node;  /* -1: none */
static void         *objects[4000];

static int
node_hook(void *ctx)
{
    assert_ptr_equal(ctx, &here);
    hook_calls++;
    return here;
}

/* The recording provider, with one node that has nothing more to give. */
static int
get_by_node(void *ctx, size_t bytes, size_t align, int node,
            fpheap_region *region)
{
    test_provider *p = (test_provider *)ctx;

    if (node < 0 || node >= NODES)
        p->wrong++;
    if (node == failing_node)
        return -ENOMEM;
    return test_provider_get(ctx, bytes, align, node, region);
}

static fpheap *
heap_of_nodes(unsigned flags)
{
    fpheap_config config;
    fpheap       *heap;

    memset(&config, 0, sizeof(config));
    test_provider_init(&provider);
    provider.calls.get = get_by_node;
    config.provider = &provider.calls;
    config.nodes = NODES;
    config.flags = flags;
    config.growth_max = FPHEAP_CHUNK;
    config.thread_node = node_hook;
    config.thread_node_ctx = &here;
    failing_node = -1;
    here = 0;
    hook_calls = 0;
    heap = fpheap_create("nodes", &config);
    assert_non_null(heap);
    return heap;
}

static void
move_to(fpheap *heap, int node)
{
    fpheap_thread_leave(heap);
    here = node;
}

/* The node for which the memory of an object was obtained. */
static int
node_of(const void *object)
{
    const test_grant *grant = test_grant_of(&provider, object);

    assert_non_null(grant);
    return grant->node;
}

static const size_t sizes[] = { 1, 64, 2048, 30000, FPHEAP_PAGE, FPH_CLASS_MAX,
                                FPH_CLASS_MAX + 1, FPHEAP_CHUNK,
                                2 * FPHEAP_CHUNK + 1 };

static void
what_is_prefilled_is_of_the_nodes_that_serve_the_calls(void **state)
{
    fpheap          *heap = heap_of_nodes(FPHEAP_SPILL);
    fpheap_pool_desc desc = { .name = "on 3", .size = 100, .node = 3,
                              .flags = FPHEAP_ON_NODE };
    fpheap_pool     *pool = fpheap_pool_create(heap, &desc);
    int              i;

    (void)state;
    move_to(heap, 2);
    assert_int_equal(fpheap_prefill(heap, 2048, 30), 0);
    assert_int_equal(fpheap_pool_prefill(pool, 30), 0);
    provider.fail_from = 1;
    provider.fail_to = UINT_MAX;
    (void)fpheap_cache_alloc(fpheap_self(heap), 100000); /* a pass, too */
    for (i = 0; i < 30; i++) {
        assert_non_null(objects[i] = fpheap_alloc(heap, 2048));
        assert_int_equal(node_of(objects[i]), 2);
        assert_non_null(objects[30 + i] = fpheap_pool_get(pool));
        assert_int_equal(node_of(objects[30 + i]), 3);
    }
    while (fpheap_alloc_on(heap, FPH_CLASS_MAX, 2) != NULL)
        ;
    assert_int_equal(fpheap_prefill(heap, FPH_CLASS_MAX, 1), -ENOMEM);
    assert_non_null(fpheap_alloc(heap, FPH_CLASS_MAX));
    assert_int_equal(fpheap_destroy_forced(heap), 0);
    assert_int_equal(provider.held, 0);
}

static void
an_object_comes_from_the_node_that_was_asked_for(void **state)
{
    fpheap  *heap = heap_of_nodes(0);
    unsigned n = 0;
    size_t   s;
    int      node;
    int      i;

    (void)state;
    for (s = 0; s < TEST_COUNT(sizes); s++) {
        for (node = 0; node < NODES; node++) {
            for (i = 0; i < 5; i++) {
                objects[n] = fpheap_alloc_on(heap, sizes[s], node);
                assert_non_null(objects[n]);
                assert_int_equal(node_of(objects[n]), node);
                n++;
            }
        }
        objects[n] = fpheap_alloc_on(heap, sizes[s], FPHEAP_ANY_NODE);
        assert_int_equal(node_of(objects[n]), 0);
        n++;
    }
    TEST_CHECK_LIVE(heap, n);
    errno = 0;
    assert_null(fpheap_alloc_on(heap, 1, NODES));
    assert_int_equal(errno, EINVAL);
    assert_int_equal(fpheap_reserve(heap, 1, NODES), -EINVAL);
    fpheap_free_bulk(heap, objects, n);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
an_object_comes_from_the_node_of_its_thread(void **state)
{
    fpheap  *heap = heap_of_nodes(0);
    unsigned n = 0;
    size_t   s;
    int      node;

    (void)state;
    for (node = 0; node < NODES; node++) {
        move_to(heap, node);
        for (s = 0; s < TEST_COUNT(sizes); s++) {
            objects[n++] = fpheap_alloc(heap, sizes[s]);
            objects[n++] = fpheap_zalloc(heap, sizes[s]);
            objects[n++] = fpheap_aligned_alloc(heap, 4096, sizes[s]);
            objects[n++] = fpheap_aligned_alloc(heap, FPHEAP_CHUNK, sizes[s]);
            objects[n++] = fpheap_realloc(heap, NULL, sizes[s]);
            objects[n++] = fpheap_cache_alloc(fpheap_self(heap), sizes[s]);
            objects[n++] = fpheap_alloc_on(heap, sizes[s], FPHEAP_ANY_NODE);
            assert_int_equal(fpheap_alloc_bulk(heap, sizes[s], &objects[n], 3),
                             0);
            n += 3;
            assert_int_equal(fpheap_alloc_burst(heap, sizes[s], &objects[n],
                                                3), 3);
            n += 3;
            while (n > 0) {
                assert_int_equal(node_of(objects[--n]), node);
                fpheap_free(heap, objects[n]);
            }
        }
        TEST_CHECK_LIVE(heap, 0);
    }
    TEST_DESTROY_OVER(heap, &provider);
}

static void
the_hook_is_asked_once_per_cache(void **state)
{
    fpheap  *heap = heap_of_nodes(0);
    unsigned i;

    (void)state;
    for (i = 0; i < 1000; i++)
        fpheap_free(heap, fpheap_alloc(heap, i * 100));
    (void)fpheap_self(heap);
    fpheap_flush(heap);
    assert_int_equal(hook_calls, 1);
    fpheap_thread_leave(heap);
    fpheap_free(heap, fpheap_alloc(heap, 100));
    assert_int_equal(hook_calls, 2);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
a_hook_that_names_no_node_means_the_first(void **state)
{
    int      odd[] = { -1, -2, NODES, NODES + 1, 1000, INT_MAX, INT_MIN };
    fpheap  *heap = heap_of_nodes(0);
    unsigned i;

    (void)state;
    for (i = 0; i < TEST_COUNT(odd); i++) {
        void *object;

        move_to(heap, odd[i]);
        object = fpheap_alloc(heap, 100);
        assert_int_equal(node_of(object), 0);
        fpheap_free(heap, object);
        object = fpheap_alloc(heap, FPHEAP_CHUNK);
        assert_int_equal(node_of(object), 0);
        fpheap_free(heap, object);
    }
    TEST_DESTROY_OVER(heap, &provider);
}

static void
free_one_way(fpheap *heap, unsigned way, unsigned n, size_t size)
{
    unsigned i;

    switch (way) {
    case 0:
        for (i = 0; i < n; i++)
            fpheap_free(heap, objects[i]);
        return;
    case 1:
        for (i = 0; i < n; i++)
            fpheap_free_sized(heap, objects[i], size);
        return;
    case 2:
        fpheap_free_bulk(heap, objects, n);
        return;
    case 3:
        fpheap_free_bulk_sized(heap, objects, n, size);
        return;
    case 4:
        for (i = 0; i < n; i++)
            fpheap_cache_free(fpheap_self(heap), objects[i]);
        return;
    case 5:
        for (i = 0; i < n; i++)
            fpheap_cache_free_sized(fpheap_self(heap), objects[i], size);
        return;
    default:
        fpheap_cache_free_bulk_sized(fpheap_self(heap), objects, n, size);
        return;
    }
}

/* Freed by a thread of node 0, what is allocated next is of its own node still,
 * and the other nodes' memory is there again for them, without the provider. */
/* A hook that uses the heap which asks it, and another one. */
static int
using_hook(void *heaps_)
{
    fpheap *const *heaps = (fpheap *const *)heaps_;
    int            i;

    for (i = 0; i < 2; i++)
        fpheap_free(heaps[i], fpheap_alloc(heaps[i], 100));
    return here;
}

static void
a_hook_may_use_its_heap_and_others(void **state)
{
    fpheap       *heaps[2] = { heap_of_nodes(0), NULL };
    fpheap_config config;

    (void)state;
    memset(&config, 0, sizeof(config));
    config.nodes = NODES;
    config.thread_node = using_hook;
    config.thread_node_ctx = heaps;
    heaps[1] = fpheap_create("asks", &config);
    assert_non_null(heaps[1]);
    here = 2;
    fpheap_free(heaps[1], fpheap_alloc(heaps[1], 100));
    assert_int_equal(hook_calls, 1);
    assert_int_equal(fpheap_self(heaps[0])->node, 2);
    assert_int_equal(fpheap_self(heaps[1])->node, 2);
    assert_int_equal(fpheap_destroy(heaps[1]), 0);
    TEST_DESTROY_OVER(heaps[0], &provider);
}

static void
a_free_puts_the_object_back_on_its_node(void **state)
{
    size_t   s;
    unsigned way;

    (void)state;
    for (s = 0; s < TEST_COUNT(sizes); s++) {
        fpheap  *heap = heap_of_nodes(0);
        unsigned n = (unsigned)(3 * TEST_MIB / sizes[s]);
        unsigned gets = 0;
        unsigned i;

        n = n < 8 ? 8 : n > 1600 ? 1600 : n / NODES * NODES;
        for (way = 0; way < 7; way++) {
            for (i = 0; i < n; i++) {
                objects[i] = fpheap_alloc_on(heap, sizes[s], (int)(i % NODES));
                assert_int_equal(node_of(objects[i]), i % NODES);
            }
            if (way == 1)
                gets = provider.gets;
            TEST_CHECK_LIVE(heap, n);
            free_one_way(heap, way, n, sizes[s]);
            TEST_CHECK_LIVE(heap, 0);
            for (i = 0; i < n / NODES; i++) {
                objects[i] = fpheap_alloc(heap, sizes[s]);
                assert_int_equal(node_of(objects[i]), 0);
            }
            fpheap_free_bulk(heap, objects, n / NODES);
        }
        assert_int_equal(provider.gets, gets);
        TEST_DESTROY_OVER(heap, &provider);
    }
}

static void
exhaust(fpheap *heap, int node, size_t size, unsigned *n)
{
    failing_node = node;
    while (*n < TEST_COUNT(objects)) {
        objects[*n] = fpheap_alloc_on(heap, size, node);
        if (objects[*n] == NULL)
            break;
        (*n)++;
    }
    assert_int_equal(errno, ENOMEM);
    assert_true(*n < TEST_COUNT(objects) - 100);
}

static void
without_spill_a_node_without_memory_is_enomem(void **state)
{
    size_t   few[] = { FPHEAP_CHUNK / 1024, FPHEAP_PAGE / 2,
                       FPH_CLASS_MAX + 1, FPHEAP_CHUNK };
    size_t   s;
    unsigned i;

    (void)state;
    for (s = 0; s < TEST_COUNT(few); s++) {
        fpheap  *heap = heap_of_nodes(0);
        unsigned n = 0;
        void    *other;

        move_to(heap, 2);
        for (i = 0; i < NODES; i++)
            assert_int_equal(fpheap_reserve(heap, 3 * FPHEAP_CHUNK, (int)i), 0);
        exhaust(heap, 2, few[s], &n);
        assert_null(fpheap_alloc(heap, few[s]));
        assert_int_equal(errno, ENOMEM);
        assert_int_equal(fpheap_alloc_bulk(heap, few[s], &objects[n], 2),
                         -ENOMEM);
        other = fpheap_alloc_on(heap, few[s], 1);
        assert_int_equal(node_of(other), 1);
        fpheap_free(heap, other);
        TEST_CHECK_LIVE(heap, n);
        fpheap_free_bulk(heap, objects, n);
        TEST_DESTROY_OVER(heap, &provider);
    }
}

static void
with_spill_a_node_without_memory_is_served_from_the_others(void **state)
{
    size_t   few[] = { FPHEAP_CHUNK / 1024, FPHEAP_PAGE / 2,
                       FPH_CLASS_MAX + 1, FPHEAP_CHUNK };
    size_t   s;
    unsigned i;

    (void)state;
    for (s = 0; s < TEST_COUNT(few); s++) {
        fpheap  *heap = heap_of_nodes(FPHEAP_SPILL);
        unsigned n = 0;

        move_to(heap, 2);
        exhaust(heap, 2, few[s], &n);
        for (i = 0; i < 20; i++, n++) {
            objects[n] = fpheap_alloc(heap, few[s]);
            assert_non_null(objects[n]);
            assert_int_not_equal(node_of(objects[n]), 2);
        }
        assert_int_equal(fpheap_alloc_bulk(heap, few[s], &objects[n], 5), 0);
        for (i = 0; i < 5; i++, n++)
            assert_int_not_equal(node_of(objects[n]), 2);
        assert_int_equal(fpheap_alloc_burst(heap, few[s], &objects[n], 5), 5);
        n += 5;
        /* A call that asks for a node gets that node or nothing. */
        errno = 0;
        assert_null(fpheap_alloc_on(heap, few[s], 2));
        assert_int_equal(errno, ENOMEM);
        TEST_CHECK_LIVE(heap, n);
        fpheap_free_bulk(heap, objects, n);
        TEST_CHECK_LIVE(heap, 0);
        /* And once there is memory again, it is used: the next millisecond. */
        failing_node = -1;
        clock_ns += 2 * FPH_PAUSE_NS;
        objects[0] = fpheap_alloc(heap, few[s]);
        assert_int_equal(node_of(objects[0]), 2);
        fpheap_free(heap, objects[0]);
        TEST_DESTROY_OVER(heap, &provider);
    }
}

/* Its pass and its provider were called for each object that was spilled. */
static void
an_object_that_is_spilled_costs_its_node_no_pass_and_no_call(void **state)
{
    fpheap  *heap = heap_of_nodes(FPHEAP_SPILL);
    unsigned n = 0, first, gets;
    uint64_t passes;

    (void)state;
    move_to(heap, 2);
    exhaust(heap, 2, 2048, &n);
    first = n;
    assert_non_null(objects[n++] = fpheap_alloc(heap, 2048));
    gets = provider.gets;
    passes = heap->state->reclaims;
    for (; n < first + 1000; n++)
        assert_non_null(objects[n] = fpheap_alloc(heap, 2048));
    assert_true(provider.gets < gets + 500);
    assert_true(heap->state->reclaims < passes + 500);
    fpheap_free_bulk(heap, objects, n);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
records_are_spilled_too(void **state)
{
    fpheap  *heap = heap_of_nodes(FPHEAP_SPILL);
    unsigned n = 0, held;
    int      node;

    (void)state;
    move_to(heap, 2);
    exhaust(heap, 2, 2048, &n);
    fpheap_thread_leave(heap);
    memset(heap->state->cache, 0, sizeof heap->state->cache);
    for (node = 0; node < NODES; node++)
        while (fph_pages_find(heap, node, 1, 1) != FPH_NO_PAGE)
            ;
    while (fph_meta_cut(heap->state, FPH_LINE) != 0)
        ;
    held = provider.held;
    system_is_out = 1;
    assert_non_null(fpheap_self(heap));
    assert_int_equal(provider.held, held + 1);
    system_is_out = 0;
    assert_int_equal(fpheap_destroy_forced(heap), 0);
    test_provider_drop(&provider);
}

static void
records_come_from_their_own_node_first(void **state)
{
    fpheap *heap = heap_of_nodes(0);
    int     node;

    (void)state;
    for (node = 0; node < NODES; node++)
        assert_int_equal(fpheap_reserve(heap, FPHEAP_CHUNK / 2, node), 0);
    for (node = 0; node < NODES; node++) {
        size_t pages;
        size_t page = fph_block_pages(heap, node, FPH_LINE, &pages);

        assert_true(page != FPH_NO_PAGE);
        assert_int_equal(node_of(fph_page_address(heap->state, page)), node);
        fph_pages_give(heap->state, page, pages);
    }
    TEST_DESTROY_OVER(heap, &provider);
}

static void
reserve_gets_memory_on_its_node(void **state)
{
    fpheap  *heap = heap_of_nodes(0);
    unsigned i;
    int      node;

    (void)state;
    for (node = 0; node < NODES; node++) {
        size_t bytes = 0;

        assert_int_equal(fpheap_reserve(heap, 6 * FPHEAP_CHUNK, node), 0);
        for (i = 0; i < provider.grants; i++)
            if (provider.grant[i].held && provider.grant[i].node == node)
                bytes += provider.grant[i].region.bytes;
        assert_true(bytes >= 6 * FPHEAP_CHUNK);
    }
    move_to(heap, 3);
    assert_int_equal(fpheap_reserve(heap, 20 * FPHEAP_CHUNK, FPHEAP_ANY_NODE),
                     0);
    assert_int_equal(provider.grant[provider.grants - 1].node, 3);
    TEST_CHECK_LIVE(heap, 0);
    TEST_DESTROY_OVER(heap, &provider);
}

static int
visit(void *arg, const fpheap_object *object)
{
    if (object->node != node_of(object->base))
        return 1;
    ++*(unsigned *)arg;
    return 0;
}

static void
a_walk_shows_the_node_of_each_object(void **state)
{
    fpheap  *heap = heap_of_nodes(0);
    unsigned count = 0;
    unsigned i;

    (void)state;
    for (i = 0; i < 400; i++)
        objects[i] = fpheap_alloc_on(heap, 1 + i * 3000, (int)(i % NODES));
    assert_int_equal(fpheap_walk(heap, visit, &count), 0);
    assert_int_equal(count, 400);
    fpheap_free_bulk(heap, objects, 400);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
realloc_moves_to_the_node_of_the_thread(void **state)
{
    fpheap *heap = heap_of_nodes(0);
    char   *object = (char *)fpheap_alloc_on(heap, 100, 3);
    char   *moved;

    (void)state;
    test_fill(object, 100, 1);
    assert_int_equal(node_of(object), 3);
    moved = (char *)fpheap_realloc(heap, object, 5000);
    assert_int_equal(node_of(moved), 0);
    assert_true(test_filled_at(moved, (uintptr_t)object, 96, 1));
    fpheap_free(heap, moved);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
trim_gives_back_the_memory_of_every_node(void **state)
{
    fpheap  *heap = heap_of_nodes(0);
    unsigned i;

    (void)state;
    for (i = 0; i < 400; i++)
        objects[i] = fpheap_alloc_on(heap, 100000, (int)(i % NODES));
    fpheap_free_bulk(heap, objects, 400);
    assert_true(fpheap_trim(heap) >= 30 * TEST_MIB);
    /* What remains holds the heap's own records. */
    assert_true(provider.held_bytes <= 8 * FPHEAP_CHUNK);
    TEST_CHECK_LIVE(heap, 0);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
any_history_over_nodes_is_exact(void **state)
{
    static test_object live[2000];
    fpheap     *heap = heap_of_nodes(FPHEAP_SPILL);
    test_random random = test_random_of(31);
    unsigned    steps = 60000 * test_soak();
    size_t      count = 0;
    unsigned    i;

    (void)state;
    memset(live, 0, sizeof(live));
    for (i = 0; i < steps; i++) {
        test_object *o = &live[test_below(&random, 2000)];
        int          node = (int)test_below(&random, NODES);

        if (o->base != NULL) {
            assert_true(test_filled(o->base, 8, o->number));
            fpheap_free(heap, o->base);
            o->base = NULL;
            o->bytes = 0;
            count--;
        } else {
            o->size = test_size(&random, i % 50 == 0 ? 20 : 13);
            o->base = (char *)(i % 2 == 0 ? fpheap_alloc(heap, o->size)
                               : fpheap_alloc_on(heap, o->size, node));
            assert_non_null(o->base);
            assert_true(i % 2 == 0 ? node_of(o->base) == here
                        : node_of(o->base) == node);
            o->bytes = fpheap_usable_size(heap, o->base);
            o->number = i;
            test_fill(o->base, 8, i);
            count++;
        }
        if (i % 1000 == 0) {
            move_to(heap, node);
            TEST_CHECK_LIVE(heap, count);
        }
        if (i % 7777 == 0)
            (void)fpheap_trim(heap);
    }
    for (i = 0; i < 2000; i++)
        fpheap_free(heap, live[i].base);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
without_spill_records_are_not_spilled(void **state)
{
    fpheap  *heap = heap_of_nodes(0);
    unsigned n = 0, held;

    (void)state;
    move_to(heap, 2);
    exhaust(heap, 2, 2048, &n);
    fpheap_thread_leave(heap);
    memset(heap->state->cache, 0, sizeof heap->state->cache);
    while (fph_pages_find(heap, 2, 1, 1) != FPH_NO_PAGE)
        ;
    while (fph_pages_find(heap, 0, 1, 1) != FPH_NO_PAGE)
        ;
    while (fph_meta_cut(heap->state, FPH_LINE) != 0)
        ;
    held = provider.held;
    system_is_out = 1;
    errno = 0;
    assert_null(fpheap_self(heap));
    assert_int_equal(errno, ENOMEM);
    assert_int_equal(provider.held, held);
    system_is_out = 0;
    assert_int_equal(fpheap_destroy_forced(heap), 0);
    test_provider_drop(&provider);
}

/* Also above the largest class.  What its own node had of it goes back there. */
static void
a_bulk_that_is_spilled_is_of_one_node_and_its_own_keeps_the_rest(void **state)
{
    static void *many[20000];
    size_t       few[] = { 2048, FPH_CLASS_MAX + 1, FPHEAP_CHUNK };
    size_t       s;
    unsigned     i;

    (void)state;
    memset(many, 0, sizeof many);
    for (s = 0; s < TEST_COUNT(few); s++) {
        fpheap  *heap = heap_of_nodes(FPHEAP_SPILL);
        unsigned n = 0, first, live;

        move_to(heap, 2);
        assert_int_equal(fpheap_reserve(heap, 3 * FPHEAP_CHUNK, 2), 0);
        exhaust(heap, 2, few[s], &n);
        assert_true(n > 0);
        fpheap_free(heap, objects[--n]); /* one is left for the bulk's first */
        first = n;
        live = first + 12;
        assert_int_equal(fpheap_alloc_bulk(heap, few[s], &objects[n], 12), 0);
        for (; n < live; n++)
            assert_int_equal(node_of(objects[n]), node_of(objects[first]));
        assert_int_not_equal(node_of(objects[first]), 2);
        TEST_CHECK_LIVE(heap, live);
        assert_non_null(objects[n++] = fpheap_alloc_on(heap, few[s], 2));
        assert_int_equal(node_of(objects[n - 1]), 2);
        /* Where no node has them, nothing is taken. */
        provider.fail_from = provider.gets + 1;
        provider.fail_to = UINT_MAX;
        for (i = 0; i < 2; i++)
            assert_int_equal(fpheap_alloc_bulk(heap, few[s], many,
                                               TEST_COUNT(many)), -ENOMEM);
        assert_true(test_all_bytes(many, sizeof many, 0));
        TEST_CHECK_LIVE(heap, n);
        provider.fail_from = 0;
        fpheap_free_bulk(heap, objects, n);
        TEST_DESTROY_OVER(heap, &provider);
    }
}

static void
a_large_object_or_a_bulk_that_is_spilled_costs_its_node_no_call(void **state)
{
    size_t   few[] = { 2048, FPH_CLASS_MAX + 1, FPHEAP_CHUNK / 2 + 1 };
    unsigned bulk, rounds, calls;
    size_t   s;

    (void)state;
    for (s = 0; s < TEST_COUNT(few); s++)
        for (bulk = 1; bulk <= 8; bulk += 7) {
            fpheap  *heap = heap_of_nodes(FPHEAP_SPILL);
            unsigned n = 0;

            move_to(heap, 2);
            exhaust(heap, 2, few[s], &n);
            assert_int_equal(fpheap_reserve(heap, 8 * TEST_MIB, 1), 0);
            calls = provider.gets;
            for (rounds = 0; rounds < 100; rounds++) {
                void *some[8];

                assert_int_equal(fpheap_alloc_bulk(heap, few[s], some, bulk),
                                 0);
                assert_int_not_equal(node_of(some[0]), 2);
                fpheap_free_bulk(heap, some, bulk);
            }
            assert_true(provider.gets < calls + 50);
            fpheap_free_bulk(heap, objects, n);
            TEST_DESTROY_OVER(heap, &provider);
        }
}

/* --- records -------------------------------------------------------------- */

static size_t   taken[4096];
static unsigned n_taken;

/* Take all pages that are free, but for those of a node. */
static void
take_all_but(const fpheap *heap, int but)
{
    int node;

    for (node = 0; node < NODES; node++) {
        while (node != but && n_taken < TEST_COUNT(taken)
               && (taken[n_taken] = fph_pages_find(heap, node, 1, 1))
                  != FPH_NO_PAGE)
            n_taken++;
    }
    assert_true(n_taken < TEST_COUNT(taken));
}

static void
give_taken(fph_state *s)
{
    while (n_taken > 0)
        fph_pages_give(s, taken[--n_taken], 1);
}

/* A heap with memory of each node, of which no block of records has room. */
static fpheap *
heap_without_records(unsigned flags)
{
    fpheap *heap = heap_of_nodes(flags);
    int     node;

    for (node = 0; node < NODES; node++) {
        move_to(heap, node);
        objects[node] = fpheap_alloc(heap, FPHEAP_CHUNK / 2);
        assert_non_null(objects[node]);
        assert_int_equal(node_of(objects[node]), node);
    }
    while (fph_meta_cut(heap->state, FPH_LINE) != 0)
        continue;
    system_is_out = 1;
    return heap;
}

static void
end_without_records(fpheap *heap)
{
    give_taken(heap->state);
    system_is_out = 0;
    fpheap_free_bulk(heap, objects, NODES);
    TEST_DESTROY_OVER(heap, &provider);
}

/* The node of the block of records for which pages are found; -1: none. */
static int
block_node(const fpheap *heap, int node, size_t pages)
{
    const fph_state *s = heap->state;
    size_t           n = 0;
    size_t           page = fph_block_pages(heap, node, 100, &n);

    if (page == FPH_NO_PAGE)
        return -1;
    assert_int_equal(n, pages);
    fph_pages_give(heap->state, page, n);
    return (int)s->chunks[page >> FPH_PAGE_BITS].node;
}

static void
a_block_of_records_is_of_the_node_or_the_next_that_has_pages(void **state)
{
    fpheap    *heap = heap_without_records(0);
    fph_state *s = heap->state;
    uint64_t   numbers = s->meta_numbers;
    int        node, other;

    (void)state;
    s->meta_numbers = 8;       /* so that two pages more are wished for */
    for (node = 0; node < NODES; node++)
        assert_int_equal(block_node(heap, node, 3), node);
    for (node = 0; node < NODES; node++) {
        take_all_but(heap, node);
        for (other = 0; other < NODES; other++)
            assert_int_equal(block_node(heap, other, other == node ? 3 : 1),
                             node);
        give_taken(s);
    }
    take_all_but(heap, -1);
    assert_int_equal(block_node(heap, 1, 0), -1);
    while (n_taken > 0 && taken[n_taken - 1] % 2 == 0)
        fph_pages_give(s, taken[--n_taken], 1);
    assert_true(n_taken > 0);
    fph_pages_give(s, taken[--n_taken], 1); /* an odd one, or the last */
    assert_true(block_node(heap, 1, 1) >= 0);
    s->meta_numbers = numbers;
    end_without_records(heap);
}

/* With FPHEAP_SPILL only. */
static void
for_a_record_the_other_nodes_are_asked_if_one_has_none(void **state)
{
    unsigned spill;
    int      node, error;

    (void)state;
    for (node = 0; node < NODES; node++) {
        for (spill = 0; spill < 2; spill++) {
            fpheap  *heap = heap_without_records(spill ? FPHEAP_SPILL : 0);
            unsigned gets = provider.gets;
            uint32_t ref;

            take_all_but(heap, -1);
            failing_node = node;
            error = 7;
            ref = fph_meta_get(heap, node, FPH_LINE, &error);
            failing_node = -1;
            if (spill) {
                assert_int_not_equal(ref, 0);
                assert_int_equal(provider.gets, gets + 1);
            } else {
                assert_int_equal(ref, 0);
                assert_int_equal(error, -ENOMEM);
                assert_int_equal(provider.gets, gets);
            }
            end_without_records(heap);
        }
    }
}

/* Each of the others is asked, and the node itself once. */
static void
for_a_record_each_node_is_asked_once(void **state)
{
    fpheap  *heap = heap_without_records(FPHEAP_SPILL);
    unsigned gets = provider.gets;
    int      error = 7;

    (void)state;
    take_all_but(heap, -1);
    provider.fail_from = 1;
    provider.fail_to = UINT_MAX;
    provider.error = -EIO;
    assert_int_equal(fph_meta_get(heap, 1, FPH_LINE, &error), 0);
    assert_int_equal(error, -EIO);
    assert_int_equal(provider.gets, gets + NODES);
    assert_int_equal(provider.wrong, 0);
    provider.fail_from = 0;
    end_without_records(heap);
}

/* Whoever makes it. */
static void
the_record_of_a_pool_and_its_private_area_are_of_the_first_node(void **state)
{
    fpheap          *heap = heap_without_records(0);
    fpheap_pool_desc desc;
    fpheap_pool     *pool;

    (void)state;
    memset(&desc, 0, sizeof(desc));
    desc.name = "private";
    desc.size = 100;
    desc.private_bytes = FPHEAP_PAGE;
    move_to(heap, 2);
    (void)fpheap_self(heap);
    while (fph_meta_cut(heap->state, FPH_LINE) != 0)
        continue;
    pool = fpheap_pool_create(heap, &desc);
    assert_non_null(pool);
    assert_int_equal(fph_chunk_of(heap->state, pool)->node, 0);
    assert_int_equal(fph_chunk_of(heap->state, pool->private_area)->node, 0);
    assert_int_equal(fpheap_pool_destroy(pool, NULL), 0);
    end_without_records(heap);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_spill_records_are_not_spilled),
        cmocka_unit_test(
            a_bulk_that_is_spilled_is_of_one_node_and_its_own_keeps_the_rest),
        cmocka_unit_test(
            a_large_object_or_a_bulk_that_is_spilled_costs_its_node_no_call),
        cmocka_unit_test(
            what_is_prefilled_is_of_the_nodes_that_serve_the_calls),
        cmocka_unit_test(an_object_comes_from_the_node_that_was_asked_for),
        cmocka_unit_test(an_object_comes_from_the_node_of_its_thread),
        cmocka_unit_test(the_hook_is_asked_once_per_cache),
        cmocka_unit_test(a_hook_that_names_no_node_means_the_first),
        cmocka_unit_test(a_hook_may_use_its_heap_and_others),
        cmocka_unit_test(a_free_puts_the_object_back_on_its_node),
        cmocka_unit_test(without_spill_a_node_without_memory_is_enomem),
        cmocka_unit_test(
            with_spill_a_node_without_memory_is_served_from_the_others),
        cmocka_unit_test(
            an_object_that_is_spilled_costs_its_node_no_pass_and_no_call),
        cmocka_unit_test(records_are_spilled_too),
        cmocka_unit_test(records_come_from_their_own_node_first),
        cmocka_unit_test(reserve_gets_memory_on_its_node),
        cmocka_unit_test(a_walk_shows_the_node_of_each_object),
        cmocka_unit_test(realloc_moves_to_the_node_of_the_thread),
        cmocka_unit_test(trim_gives_back_the_memory_of_every_node),
        cmocka_unit_test(any_history_over_nodes_is_exact),
        cmocka_unit_test(
            a_block_of_records_is_of_the_node_or_the_next_that_has_pages),
        cmocka_unit_test(
            for_a_record_the_other_nodes_are_asked_if_one_has_none),
        cmocka_unit_test(for_a_record_each_node_is_asked_once),
        cmocka_unit_test(
            the_record_of_a_pool_and_its_private_area_are_of_the_first_node),
    };

    return cmocka_run_group_tests_name("nodes", tests, NULL, NULL);
}
