/* test_callbacks.c - what the heap calls may call the heap
 *
 * A provider that allocates, frees, asks and flushes in the heap that called it,
 * or is another heap; thread_node and a destructor that end their heap, or have
 * it trimmed.  What can be served is, the rest is refused with the documented
 * error, and nothing is lost.
 */
#define FPHEAP_IMPLEMENTATION
#include "fpheap.h"
#include "test_util.h"

static test_provider provider;

/* --- the provider --------------------------------------------------------- */

typedef struct inside {
    fpheap  *heap;
    unsigned served;           /* allocations that needed no new memory */
    unsigned refused;
    int      error;            /* of the last refused one */
    unsigned depth;
} inside;

static void
use_what_is_there(test_provider *p)
{
    inside *in = (inside *)p->arg;
    void   *object;

    if (in->heap == NULL)
        return;
    object = fpheap_alloc(in->heap, 48);
    if (object != NULL) {
        in->served++;
        memset(object, 7, 48);
        fpheap_free(in->heap, object);
    } else {
        in->refused++;
        in->error = errno;
    }
}

static void
need_more(test_provider *p)
{
    inside *in = (inside *)p->arg;
    void   *object;

    if (in->heap == NULL)
        return;
    if (++in->depth > 1) {
        p->wrong++;            /* called from inside itself */
        in->depth--;
        return;
    }
    errno = 0;
    object = fpheap_alloc(in->heap, 3 * FPHEAP_CHUNK);
    if (object == NULL) {
        in->refused++;
        in->error = errno;
    } else {
        in->served++;
        fpheap_free(in->heap, object);
    }
    in->depth--;
}

static void
look_around(test_provider *p)
{
    inside            *in = (inside *)p->arg;
    fpheap_stats       stats;
    fpheap_class_stats class_stats;

    if (in->heap == NULL)
        return;
    fpheap_stats_get(in->heap, &stats);
    (void)fpheap_class_stats_get(in->heap, 3, &class_stats);
    fpheap_flush(in->heap);
    (void)fpheap_owns(in->heap, in);
    in->served++;
}

static void
the_callback_may_use_memory_that_the_heap_has(void **state)
{
    fpheap  *heap = test_heap_over(&provider);
    inside   in = { heap, 0, 0, 0, 0 };
    void    *objects[30];
    unsigned i;

    (void)state;
    fpheap_free(heap, fpheap_alloc(heap, 48));
    provider.arg = &in;
    provider.inside_get = use_what_is_there;
    provider.inside_put = use_what_is_there;
    for (i = 0; i < 30; i++) {
        objects[i] = fpheap_alloc(heap, FPHEAP_CHUNK);
        assert_non_null(objects[i]);
    }
    assert_int_equal(in.refused, 0);
    assert_int_equal(in.served, provider.gets - 1);
    TEST_CHECK_LIVE(heap, 30);
    fpheap_free_bulk(heap, objects, 30);
    in.served = 0;
    assert_true(fpheap_trim(heap) > 0);
    assert_int_equal(in.served, provider.puts);
    assert_true(provider.puts > 0);
    assert_int_equal(in.refused, 0);
    in.heap = NULL;            /* not while it is destroyed */
    TEST_DESTROY_OVER(heap, &provider);
}

static void
a_callback_that_needs_new_memory_gets_edeadlk(void **state)
{
    fpheap  *heap = test_heap_over(&provider);
    inside   in = { heap, 0, 0, 0, 0 };
    void    *objects[30];
    unsigned i;

    (void)state;
    provider.arg = &in;
    provider.inside_get = need_more;
    for (i = 0; i < 30; i++) {
        objects[i] = fpheap_alloc(heap, 3 * FPHEAP_CHUNK);
        assert_non_null(objects[i]);
        memset(objects[i], 1, 3 * FPHEAP_CHUNK);
    }
    assert_true(in.refused > 0);
    assert_int_equal(in.error, EDEADLK);
    assert_int_equal(provider.wrong, 0);
    TEST_CHECK_LIVE(heap, 30);
    fpheap_free_bulk(heap, objects, 30);
    provider.inside_get = NULL;
    TEST_DESTROY_OVER(heap, &provider);
}

static void
the_callback_may_ask_and_flush(void **state)
{
    fpheap  *heap = test_heap_over(&provider);
    inside   in = { heap, 0, 0, 0, 0 };
    void    *objects[200];
    unsigned i;

    (void)state;
    provider.arg = &in;
    provider.inside_get = look_around;
    provider.inside_put = look_around;
    for (i = 0; i < 200; i++) {
        objects[i] = fpheap_alloc(heap, 1000 * (i + 1));
        assert_non_null(objects[i]);
    }
    assert_true(in.served > 0);
    fpheap_free_bulk(heap, objects, 200);
    (void)fpheap_trim(heap);
    TEST_CHECK_LIVE(heap, 0);
    in.heap = NULL;
    TEST_DESTROY_OVER(heap, &provider);
}

/* put may allocate as well, even what needs new memory from get. */
static void
put_may_make_the_heap_grow(void **state)
{
    fpheap *heap = test_heap_over(&provider);
    inside  in = { heap, 0, 0, 0, 0 };
    void   *objects[30];

    (void)state;
    provider.arg = &in;
    assert_int_equal(fpheap_alloc_bulk(heap, FPHEAP_CHUNK, objects, 30), 0);
    fpheap_free_bulk(heap, objects, 30);
    provider.inside_put = need_more;
    (void)fpheap_trim(heap);
    assert_true(in.served + in.refused > 0);
    assert_true(in.refused == 0 || in.error == EDEADLK);
    TEST_CHECK_LIVE(heap, 0);
    provider.inside_put = NULL;
    TEST_DESTROY_OVER(heap, &provider);
}

/* Objects that stay in the list, each with its number in it. */
typedef struct herd {
    fpheap  *heap;
    size_t   size;
    void    *victims[40];      /* freed inside the next get that is made */
    unsigned nvictims;
    unsigned n;
    void    *objects[6000];
} herd;

static herd the_herd;

static void
free_victims(test_provider *p)
{
    herd *h = (herd *)p->arg;

    while (h->nvictims > 0)
        fpheap_free(h->heap, h->victims[--h->nvictims]);
}

/* Add as many at the end of the list.  One that is in it twice loses its
 * first number. */
static void
herd_join(herd *h, unsigned given)
{
    for (; given > 0; given--, h->n++)
        test_fill(h->objects[h->n], 16, h->n);
}

/* Allocate in one of four ways until the heap has grown, and then ten times. */
static void
herd_grow(herd *h, unsigned way)
{
    unsigned calls = 0;

    while (h->nvictims > 0 || calls++ < 10) {
        void **at = &h->objects[h->n];

        assert_true(h->n + 8 <= TEST_COUNT(h->objects));
        switch (way) {
        case 0:
            at[0] = fpheap_alloc(h->heap, h->size);
            break;
        case 1:
            at[0] = fpheap_cache_alloc(fpheap_self(h->heap), h->size);
            break;
        case 2:
            assert_int_equal(fpheap_alloc_bulk(h->heap, h->size, at, 8), 0);
            break;
        default:
            assert_int_equal(fpheap_alloc_burst(h->heap, h->size, at, 8), 8);
        }
        assert_non_null(at[0]);
        herd_join(h, way < 2 ? 1 : 8);
    }
}

/* The bin is empty when the heap asks for memory, but no longer when it gets
 * it. */
static void
what_the_callback_frees_of_the_very_class_is_not_lost(void **state)
{
    size_t   sizes[] = { 768, 2048, FPHEAP_PAGE - 100, FPH_CLASS_MAX };
    herd    *h = &the_herd;
    unsigned run;
    unsigned i;

    (void)state;
    for (run = 0; run < 4 * 3 * TEST_COUNT(sizes); run++) {
        unsigned victims = run / 4 % 3 == 0 ? 1 : run / 4 % 3 == 1 ? 2 : 40;

        h->heap = test_heap_over(&provider);
        h->size = sizes[run / 12];
        h->n = 0;
        for (i = 0; i < victims; i++)
            h->victims[i] = fpheap_alloc(h->heap, h->size);
        h->nvictims = victims;
        provider.arg = h;
        provider.inside_get = free_victims;
        herd_grow(h, run % 4);
        TEST_CHECK_LIVE(h->heap, h->n);
        for (i = 0; i < h->n; i++)
            assert_true(test_filled(h->objects[i], 16, i));
        for (i = 0; i < h->n; i++)
            fpheap_free(h->heap, h->objects[i]);
        TEST_DESTROY_OVER(h->heap, &provider);
    }
}

static int
get_from_heap(void *ctx, size_t bytes, size_t align, int node,
              fpheap_region *region)
{
    (void)node;
    region->base = fpheap_aligned_alloc((fpheap *)ctx, align, bytes);
    region->bytes = bytes;
    return region->base == NULL ? -errno : 0;
}

static int
put_to_heap(void *ctx, const fpheap_region *region)
{
    fpheap_free((fpheap *)ctx, region->base);
    return 0;
}

static void
a_heap_can_be_the_provider_of_another(void **state)
{
    fpheap         *outer = test_heap_over(&provider);
    fpheap_provider calls = { .get = get_from_heap, .put = put_to_heap,
                              .ctx = outer };
    fpheap_config   config;
    fpheap         *inner;
    void           *objects[300];
    unsigned        i;

    (void)state;
    memset(&config, 0, sizeof(config));
    config.provider = &calls;
    inner = fpheap_create("inner", &config);
    assert_non_null(inner);
    for (i = 0; i < 300; i++) {
        objects[i] = fpheap_alloc(inner, 1000 * i);
        assert_non_null(objects[i]);
        memset(objects[i], 1, 1000 * i);
    }
    TEST_CHECK_LIVE(inner, 300);
    TEST_CHECK(outer);
    fpheap_free_bulk(inner, objects, 300);
    assert_true(fpheap_trim(inner) > 0);
    TEST_CHECK_LIVE(inner, 0);
    assert_int_equal(fpheap_destroy(inner), 0);
    TEST_DESTROY_OVER(outer, &provider);
}

/* A pool, of which objects go to this thread's cache inside the next get. */
typedef struct returned {
    fpheap_pool *pool;
    void        *objects[8];
} returned;

static void
put_them(test_provider *p)
{
    returned *r = (returned *)p->arg;

    p->inside_get = NULL;
    fpheap_pool_put_bulk(r->pool, r->objects, 8);
}

/* The bulk lacks one when the provider is asked, and has seven too many then;
 * a magazine of the pool has four. */
static void
what_a_bulk_has_too_much_of_goes_where_there_is_room(void **state)
{
    static void      *objects[5000];
    fpheap           *heap = test_heap_over(&provider);
    fpheap_pool_desc  desc;
    fpheap_pool_stats s;
    returned          r;
    unsigned          n = 0, wanted;

    (void)state;
    memset(&desc, 0, sizeof desc);
    desc.name = "returned";
    desc.size = 4000;
    desc.magazine = 4;
    desc.flags = FPHEAP_TYPE_STABLE;
    r.pool = fpheap_pool_create(heap, &desc);
    assert_non_null(r.pool);
    provider.limit_bytes = provider.held_bytes;
    while (n < TEST_COUNT(objects)
           && (objects[n] = fpheap_pool_get(r.pool)) != NULL)
        n++;
    assert_true(n > 100 && n < TEST_COUNT(objects));
    provider.limit_bytes = 0;
    memcpy(r.objects, objects, sizeof r.objects);
    fpheap_pool_put_bulk(r.pool, objects + 8, n - 8);
    fpheap_trim(heap);         /* all are in their slabs */
    provider.arg = &r;
    provider.inside_get = put_them;
    wanted = n - 8 + 1;
    assert_int_equal(fpheap_pool_get_bulk(r.pool, objects, wanted), 0);
    assert_true(provider.inside_get == NULL);
    fpheap_pool_stats_get(r.pool, &s);
    assert_int_equal(s.magazine, 4);
    assert_int_equal(s.live_objects, wanted);
    assert_true(s.parked_objects <= s.magazine);
    TEST_CHECK_LIVE(heap, wanted);
    fpheap_pool_put_bulk(r.pool, objects, wanted);
    assert_int_equal(fpheap_pool_destroy(r.pool, NULL), 0);
    TEST_DESTROY_OVER(heap, &provider);
}

/* --- thread_node, and destructors ----------------------------------------- */

static void
what_a_thread_is_in_is_of_its_heap_and_its_pool(void **state)
{
    fpheap      heaps[2];
    fpheap_pool pools[2];
    fph_frame   outer = {FPH_IN_PASS, &heaps[0], NULL, NULL};
    fph_frame   inner = {FPH_IN_POOL, &heaps[1], &pools[1], &outer};

    (void)state;
    assert_int_equal(fph_is_in(FPH_IN_PASS, &heaps[0], NULL), 0);
    fph_this.frames = &inner;
    assert_int_equal(fph_is_in(FPH_IN_PASS, &heaps[0], NULL), 1);
    assert_int_equal(fph_is_in(FPH_IN_PASS, &heaps[1], NULL), 0);
    assert_int_equal(fph_is_in(FPH_IN_POOL, &heaps[0], NULL), 0);
    assert_int_equal(fph_is_in(FPH_IN_POOL, &heaps[1], NULL), 1);
    assert_int_equal(fph_is_in(FPH_IN_POOL, &heaps[1], &pools[0]), 0);
    assert_int_equal(fph_is_in(FPH_IN_POOL, &heaps[1], &pools[1]), 1);
    assert_int_equal(fph_is_in(FPH_IN_CALLBACK, &heaps[0], NULL), 0);
    assert_int_equal(fph_is_in(FPH_IN_CALLBACK, &heaps[1], NULL), 1);
    fph_this.frames = NULL;
}

static int
end_the_heap_from_its_node(void *heap_)
{
    fpheap **heap = (fpheap **)heap_;

    assert_int_equal(fpheap_destroy_forced(*heap), -EBUSY);
    return 0;
}

static void
thread_node_does_not_end_its_heap(void **state)
{
    fpheap_config config;
    fpheap       *heap = NULL;

    (void)state;
    memset(&config, 0, sizeof config);
    config.thread_node = end_the_heap_from_its_node;
    config.thread_node_ctx = &heap;
    heap = fpheap_create("node", &config);
    assert_non_null(fpheap_self(heap));
    assert_int_equal(fpheap_destroy(heap), 0);
}

static unsigned destructed;    /* objects */

/* A destructor that trims meets its own pass. */
static void
trim_inside(void *heap, void *object)
{
    (void)object;
    destructed++;
    fpheap_trim((fpheap *)heap);
}

static void
a_destructor_begins_no_pass_of_its_own(void **state)
{
    fpheap          *heap = test_heap_over(&provider);
    fpheap_pool_desc desc;
    fpheap_pool     *pool;

    (void)state;
    memset(&desc, 0, sizeof desc);
    desc.name = "trims";
    desc.size = 3000;
    desc.destruct = trim_inside;
    desc.arg = heap;
    pool = fpheap_pool_create(heap, &desc);
    fpheap_pool_put(pool, fpheap_pool_get(pool));
    assert_int_equal(heap->state->reclaims, 0);
    destructed = 0;
    fpheap_trim(heap);
    assert_true(destructed > 0);
    assert_int_equal(heap->state->reclaims, 1);
    fpheap_trim(heap);
    assert_int_equal(heap->state->reclaims, 2);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
end_it_in_a_destructor(void *another, void *object)
{
    (void)object;
    destructed++;
    assert_int_equal(fpheap_pool_destroy((fpheap_pool *)another, NULL), -EBUSY);
}

/* It ends with the heap. */
static void
a_destructor_ends_no_pool_of_a_heap_that_ends(void **state)
{
    fpheap          *heap = test_heap_over(&provider);
    fpheap_pool_desc desc;
    fpheap_pool     *pool, *another;

    (void)state;
    memset(&desc, 0, sizeof desc);
    desc.name = "another";
    desc.size = 100;
    another = fpheap_pool_create(heap, &desc);
    assert_non_null(another);
    desc.name = "pool";
    desc.destruct = end_it_in_a_destructor;
    desc.arg = another;
    pool = fpheap_pool_create(heap, &desc);
    fpheap_pool_put(pool, fpheap_pool_get(pool));
    destructed = 0;
    TEST_DESTROY_OVER(heap, &provider);
    assert_true(destructed > 0);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(the_callback_may_use_memory_that_the_heap_has),
    cmocka_unit_test(a_callback_that_needs_new_memory_gets_edeadlk),
    cmocka_unit_test(the_callback_may_ask_and_flush),
    cmocka_unit_test(put_may_make_the_heap_grow),
    cmocka_unit_test(what_the_callback_frees_of_the_very_class_is_not_lost),
    cmocka_unit_test(what_a_bulk_has_too_much_of_goes_where_there_is_room),
    cmocka_unit_test(a_heap_can_be_the_provider_of_another),
    cmocka_unit_test(what_a_thread_is_in_is_of_its_heap_and_its_pool),
    cmocka_unit_test(thread_node_does_not_end_its_heap),
    cmocka_unit_test(a_destructor_begins_no_pass_of_its_own),
    cmocka_unit_test(a_destructor_ends_no_pool_of_a_heap_that_ends)
};

int
main(void)
{
    return cmocka_run_group_tests_name("callbacks", tests, NULL, NULL);
}
