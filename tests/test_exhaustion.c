/* test_exhaustion.c - states that hardly occur, made by hand
 *
 * Tables that are full, threads that stopped with something in their hands,
 * magazines that hold what they should not, memory that ends where it hurts
 * most: each ends as documented, nothing is lost, and the heap goes on.
 */
#include "panics.h"

#define FPHEAP_CHUNK_SHIFT    16
#define FPHEAP_GROWTH_WAIT_MS 10   /* that a test waits for who has stopped */

#include "system_memory.h"

#include <pthread.h>
#include <sched.h>

/* A machine that has reserved hugepages, or one that seems to. */
static int seems_to_have_hugepages;
#undef mmap
#define mmap(at, bytes, access, flags, file, offset)                      \
    system_mmap(at, bytes, access,                                        \
                seems_to_have_hugepages ? (flags) & ~MAP_HUGETLB          \
                                        : (flags), file, offset)

/* Turns of the loops that wait, and fork handlers. */
static unsigned waits, fork_handlers;

static int
count_and_yield(void)
{
    waits++;
    return sched_yield();
}

static int
count_and_atfork(void (*prepare)(void), void (*parent)(void),
                 void (*child)(void))
{
    fork_handlers++;
    return pthread_atfork(prepare, parent, child);
}

#define sched_yield()                          count_and_yield()
#define pthread_atfork(prepare, parent, child) \
    count_and_atfork(prepare, parent, child)
#define FPHEAP_MAX_NODES 8
#define FPHEAP_IMPLEMENTATION
#include "fpheap.h"
#include "test_util.h"

#include <sys/wait.h>
#include <unistd.h>

static test_provider provider, other_provider;

/* Leave no room in the block for records. */
static void
fill_metadata(fpheap *heap)
{
    while (fph_meta_cut(heap->state, FPH_LINE) != 0)
        ;
}

static void *
pool_of(fpheap *heap, const char *name, int (*construct)(void *, void *),
        size_t size)
{
    fpheap_pool_desc desc;

    memset(&desc, 0, sizeof desc);
    desc.name = name;
    desc.size = size;
    desc.construct = construct;
    desc.arg = heap;
    return fpheap_pool_create(heap, &desc);
}

static void *
allocate_and_free(void *heap)
{
    fpheap_free((fpheap *)heap, fpheap_alloc((fpheap *)heap, 100));
    return NULL;
}

/* --- no room -------------------------------------------------------------- */

/* In a heap in which one object is live. */
static void
expect_no_region(fpheap *heap)
{
    unsigned held = provider.held;
    uint64_t charged = test_charged(heap);

    errno = 0;
    assert_null(fpheap_alloc(heap, 30 * FPHEAP_CHUNK));
    assert_int_equal(errno, ENOMEM);
    assert_int_equal(provider.held, held);
    assert_true(test_charged(heap) == charged);
    TEST_CHECK_LIVE(heap, 1);
}

/* The first of a group that has none of the heap's memory. */
static size_t
unlisted_chunk(const fph_state *s)
{
    size_t chunk = 0;

    while (s->group_at[chunk / FPH_GROUP] != 0)
        chunk += FPH_GROUP;
    return chunk;
}

static void
tables_that_are_full_are_enomem(void **state)
{
    fpheap    *heap = test_heap_over(&provider);
    fph_state *s = heap->state;
    uint64_t   usual, full;
    unsigned   held;
    void      *object = fpheap_alloc(heap, 100);
    size_t     i;

    (void)state;
    usual = s->meta_numbers;
    full = fph_meta_block(s);
    s->meta_numbers = FPH_TABLE_MAX;
    fill_metadata(heap);
    errno = 0;
    held = provider.held;
    assert_null(pool_of(heap, "none", NULL, 100));
    assert_int_equal(errno, ENOMEM);
    assert_int_equal(provider.held, held);
    /* Another thread has taken the last number meanwhile. */
    assert_int_equal(fph_meta_install(s, full, (char *)s, FPHEAP_PAGE,
                                      FPH_LINE), 0);
    s->meta_numbers = usual;
    usual = fph_region_count(s);
    for (i = usual; i < s->regions_max; i++)
        s->region[i].used = 1;
    expect_no_region(heap);
    /* The region that nothing is live in leaves its place to another. */
    fpheap_free(heap, object);
    object = fpheap_alloc(heap, 30 * FPHEAP_CHUNK);
    assert_non_null(object);
    for (i = usual; i < s->regions_max; i++)
        s->region[i].used = 0;
    usual = s->groups_used;
    s->groups_used = s->groups_max;
    assert_int_equal(fph_group_list(s, unlisted_chunk(s)), 0);
    assert_int_equal(fph_group_list(s, fph_page_of(s, s->region[0].raw.base)
                                       / FPH_PAGES), 1);
    s->groups_used = usual;
    fpheap_free(heap, object);
    TEST_DESTROY_OVER(heap, &provider);
}

/* It would serve nobody. */
static void
a_chunk_that_could_have_no_records_is_not_asked_for(void **state)
{
    static void *objects[80000];
    static const size_t sizes[] = { FPH_CLASS_MAX + 1, 64 };
    fpheap       *heap = test_heap_over(&provider);
    uint64_t      usual;
    unsigned      n, i, gets;

    (void)state;
    fpheap_free(heap, fpheap_alloc(heap, 64));
    usual = heap->state->meta_numbers;
    heap->state->meta_numbers = FPH_TABLE_MAX;
    for (i = 0; i < TEST_COUNT(sizes); i++) {
        for (n = 0; n < TEST_COUNT(objects); n++)
            if ((objects[n] = fpheap_alloc(heap, sizes[i])) == NULL)
                break;
        assert_int_equal(errno, ENOMEM);
        assert_in_range(n, 10, TEST_COUNT(objects) - 1);
        gets = provider.gets;
        assert_null(fpheap_alloc(heap, sizes[i]));
        assert_int_equal(errno, ENOMEM);
        assert_int_equal(provider.gets, gets);
        assert_in_range(provider.held_bytes, FPHEAP_CHUNK, 64 * FPHEAP_CHUNK);
        TEST_CHECK_LIVE(heap, n);
        fpheap_free_bulk(heap, objects, n);
        (void)fpheap_trim(heap);
    }
    heap->state->meta_numbers = usual;
    TEST_DESTROY_OVER(heap, &provider);
}

static void *
ask_for_a_cache(void *heap)
{
    errno = 0;
    return fpheap_self((fpheap *)heap) == NULL && errno == ENOMEM ? heap : NULL;
}

static void
a_cache_without_memory_is_enomem(void **state)
{
    fpheap   *heap = test_heap_within(&provider, 4 * FPHEAP_CHUNK);
    void     *objects[4 * FPH_PAGES];
    size_t    pages[4 * FPH_PAGES];
    unsigned  n = 0, m = 0;
    pthread_t thread;
    void     *end = NULL;

    (void)state;
    while ((objects[n] = fpheap_alloc(heap, FPH_CLASS_MAX + 1)) != NULL)
        n++;
    while ((objects[n] = fpheap_alloc(heap, FPHEAP_PAGE)) != NULL)
        n++;
    assert_true(n > 0);
    fill_metadata(heap);
    system_is_out = 1;
    while ((pages[m] = fph_pages_find(heap, 0, 1, 1)) != FPH_NO_PAGE)
        m++;
    assert_int_equal(pthread_create(&thread, NULL, ask_for_a_cache, heap), 0);
    assert_int_equal(pthread_join(thread, &end), 0);
    assert_ptr_equal(end, heap);
    system_is_out = 0;
    while (m-- > 0)
        fph_pages_give(heap->state, pages[m], 1);
    fpheap_free_bulk(heap, objects, n);
    TEST_DESTROY_OVER(heap, &provider);
}

/* All magazines are full, and there is no other. */
static void
free_with_magazines(unsigned n)
{
    enum { MANY = 6 * FPHEAP_MAGAZINE };
    fpheap  *heap = test_heap_over(&provider);
    void    *objects[MANY];
    unsigned i;

    for (i = 0; i < MANY; i++)
        assert_non_null(objects[i] = fpheap_alloc(heap, 100));
    for (i = 0; heap->state->magazines < n; i++)
        fpheap_free(heap, objects[i]);
    fill_metadata(heap);
    system_is_out = 1;
    for (; i < MANY; i++)
        fpheap_free(heap, objects[i]);
    system_is_out = 0;
    TEST_CHECK_LIVE(heap, 0);
    assert_int_equal(heap->state->magazines, n);
    assert_int_equal(fph_depot_count(heap->state, fph_class_of(100)), 0);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
a_free_without_a_third_magazine_empties_the_spare(void **state)
{
    (void)state;
    free_with_magazines(2);
}

static void
a_free_without_a_second_magazine_empties_the_first(void **state)
{
    (void)state;
    free_with_magazines(1);
}

static void
mmap_that_gives_nothing_is_enomem(void **state)
{
    fpheap_provider mmap_calls;
    fpheap_region   region;
    char           *map = test_map(FPHEAP_CHUNK);

    (void)state;
    memset(&mmap_calls, 0xff, sizeof mmap_calls);
    assert_int_equal(fpheap_provider_mmap(&mmap_calls, 0), 0);
    assert_true(mmap_calls.iova == NULL);
    assert_int_equal(mmap_calls.get(mmap_calls.ctx, SIZE_MAX, FPHEAP_CHUNK, 0,
                                    &region), -ENOMEM);
    /* More than is free between the program and its stack. */
    assert_int_equal(mmap_calls.get(mmap_calls.ctx, SIZE_MAX - 16 * TEST_MIB,
                                    FPHEAP_CHUNK, 0, &region), -ENOMEM);
    assert_int_equal(mmap_calls.get(mmap_calls.ctx, FPHEAP_CHUNK, FPHEAP_CHUNK,
                                    0, &region), 0);
    assert_int_equal((uintptr_t)region.base & FPH_CHUNK_MASK, 0);
    region.bytes = 0;
    assert_int_equal(mmap_calls.put(mmap_calls.ctx, &region), -EINVAL);
    region.bytes = FPHEAP_CHUNK;
    assert_int_equal(mmap_calls.put(mmap_calls.ctx, &region), 0);
    /* The kernel does not take this advice. */
    assert_int_equal(fph_map_advise(map + 1, FPHEAP_CHUNK, FPHEAP_HUGE_NOW), 0);
    assert_int_equal(test_unmap(map, FPHEAP_CHUNK), 0);
}

static void
reserved_hugepages_are_taken_whole(void **state)
{
    fpheap_provider calls;
    fpheap_region   region;

    (void)state;
    assert_int_equal(fpheap_provider_mmap(&calls, FPHEAP_HUGETLB), 0);
    seems_to_have_hugepages = 1;
    assert_int_equal(calls.get(calls.ctx, 2 * TEST_MIB + 1, FPHEAP_CHUNK, 0,
                               &region), 0);
    seems_to_have_hugepages = 0;
    assert_int_equal(region.bytes, 4 * TEST_MIB);
    assert_int_equal(region.backing, FPHEAP_BACKING_HUGETLB);
    assert_int_equal(calls.put(calls.ctx, &region), 0);
}

static void
a_region_that_ends_before_a_page_begins_has_none(void **state)
{
    fpheap_region raw;
    char         *base = NULL;

    (void)state;
    memset(&raw, 0, sizeof raw);
    raw.base = (void *)(FPHEAP_PAGE + 64);
    raw.bytes = 64;
    assert_int_equal(fph_whole_pages(&raw, &base), 0);
    raw.bytes = FPHEAP_PAGE - 64;
    assert_int_equal(fph_whole_pages(&raw, &base), 0);
    raw.bytes = 2 * FPHEAP_PAGE - 64;
    assert_int_equal(fph_whole_pages(&raw, &base), 1);
    assert_ptr_equal(base, (void *)(2 * FPHEAP_PAGE));
    raw.base = NULL;
    assert_int_equal(fph_whole_pages(&raw, &base), 0);
    raw.base = (void *)(UINTPTR_MAX - FPHEAP_PAGE);
    assert_int_equal(fph_whole_pages(&raw, &base), 0);
}

static void
a_region_may_end_with_the_last_address(void **state)
{
    fpheap_region raw;
    char         *base = NULL;

    (void)state;
    memset(&raw, 0, sizeof raw);
    raw.base = (void *)(UINTPTR_MAX - 2 * FPHEAP_PAGE + 1);
    raw.bytes = 2 * FPHEAP_PAGE;
    assert_int_equal(fph_whole_pages(&raw, &base), 2);
    assert_ptr_equal(base, raw.base);
    raw.bytes++;
    assert_int_equal(fph_whole_pages(&raw, &base), 0);
}

/* A provider of one chunk at a place, and then of one at another. */
static char  *places[2];
static size_t places_given;

static int
place_get(void *unused, size_t bytes, size_t align, int node,
          fpheap_region *region)
{
    (void)unused, (void)align, (void)node;
    if (bytes != FPHEAP_CHUNK || places_given == 2)
        return -ENOMEM;
    region->base = places[places_given++];
    region->bytes = bytes;
    return 0;
}

/* A chunk at that place, or NULL: something else is there. */
static char *
chunk_at(uintptr_t place)
{
    char *base = (char *)mmap((void *)place, FPHEAP_CHUNK,
                              PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (base != MAP_FAILED && (uintptr_t)base != place)
        munmap(base, FPHEAP_CHUNK);
    return (uintptr_t)base == place ? base : NULL;
}

/* Two chunks that are neighbours in a window, but far apart in the address
 * space, which is larger. */
static void
a_run_ends_where_the_addresses_do(void **state)
{
    static const fpheap_provider calls = {.get = place_get};
    fpheap_config config;
    fpheap       *heap;
    uintptr_t     place;
    uint64_t      window;      /* bytes */
    void         *object;
    char         *map = test_map(4 * FPHEAP_CHUNK);

    (void)state;
    memset(&config, 0, sizeof config);
    config.provider = &calls;
    config.growth_max = FPHEAP_CHUNK;
    place = ((uintptr_t)map | FPH_CHUNK_MASK) + 1;
    places[0] = (char *)place;
    places_given = 0;
    heap = fpheap_create("first", &config);
    assert_non_null(heap);
    window = ((uint64_t)heap->state->mask + 1) << FPHEAP_PAGE_SHIFT;
    if (window <= ((uint64_t)1 << FPH_ADDRESS_BITS) / 4) {
        places[1] = chunk_at((place ^ (uintptr_t)window) + FPHEAP_CHUNK);
        assert_non_null(places[1]);
        object = fpheap_alloc(heap, FPHEAP_CHUNK);
        assert_non_null(object);
        assert_null(fpheap_alloc(heap, FPHEAP_CHUNK + FPHEAP_PAGE));
        assert_int_equal(fpheap_reserve(heap, 10, FPHEAP_ANY_NODE) != 0, 0);
        fpheap_free(heap, object);
        assert_null(fpheap_alloc(heap, FPHEAP_CHUNK + FPHEAP_PAGE));
    }
    TEST_DESTROY(heap);
    if (places[1] != NULL)
        assert_int_equal(munmap(places[1], FPHEAP_CHUNK), 0);
    assert_int_equal(test_unmap(map, 4 * FPHEAP_CHUNK), 0);
}

/* --- what should not be there --------------------------------------------- */

static void
what_a_magazine_holds_by_mistake_is_reported_at_the_slab(void **state)
{
    fpheap *heap = test_heap_over(&provider);
    fpheap *other = test_heap_over(&other_provider);
    char   *object = (char *)fpheap_alloc(heap, 100);
    void   *run = fpheap_alloc(heap, FPH_CLASS_MAX + 1);
    void   *foreign = fpheap_alloc(other, 100);
    fph_slab *slab = fph_record_of(heap->state, object);
    char   *end = slab->base + (size_t)slab->size
                               * fph_info_count(slab->info);
    void   *wrong[4] = { foreign, run, end, NULL };
    size_t  i;

    (void)state;
    assert_true(fph_page_of(heap->state, end)
                == fph_page_of(heap->state, end - 1));
    for (i = 0; i < TEST_COUNT(wrong); i++) {
        fph_slab_give(heap->state, &wrong[i], 1);
        assert_int_equal(panics, i < 3);
        assert_non_null(strstr(last_panic, i == 0 ? "not from this heap"
                                         : i == 1 ? "into no object"
                                                  : "not the start"));
        panics = 0;
    }
    fph_slab_give(heap->state, wrong, TEST_COUNT(wrong));
    assert_int_equal(panics, 3);
    panics = 0;
    TEST_CHECK_LIVE(heap, 2);
    assert_int_equal(fpheap_usable_size(heap, foreign), 0);
    fpheap_free(heap, object);
    fpheap_free(heap, run);
    fpheap_free(other, foreign);
    TEST_DESTROY_OVER(heap, &provider);
    TEST_DESTROY_OVER(other, &other_provider);
    assert_int_equal(panics, 0);
}

/* Whatever was in the memory in which it lies. */
static void
a_foreign_pointer_in_a_bulk_is_reported(void **state)
{
    fpheap *heap = test_heap_over(&provider);
    char   *map = test_map(2 * FPHEAP_CHUNK);
    char   *chunk = map + (-(uintptr_t)map & FPH_CHUNK_MASK);
    void   *bulk[3];

    (void)state;
    memset(chunk, 0xff, FPHEAP_CHUNK);
    bulk[0] = fpheap_alloc(heap, 100);
    bulk[1] = chunk + 5 * FPHEAP_PAGE;
    bulk[2] = fpheap_alloc(heap, 100);
    fpheap_free_bulk(heap, bulk, 3);
    assert_int_equal(panics, 1);
    assert_non_null(strstr(last_panic, "not from this heap"));
    panics = 0;
    assert_true(test_all_bytes(chunk, FPHEAP_CHUNK, 0xff));
    assert_int_equal(test_unmap(map, 2 * FPHEAP_CHUNK), 0);
    TEST_DESTROY_OVER(heap, &provider);
}

/* --- threads that stopped ------------------------------------------------- */

static fph_slab *
take_a_slab(fpheap_pool *pool)
{
    fph_state *state = pool->heap->state;

    return (fph_slab *)fph_stack_pop(
        state, &state->depots[FPH_SIZES + pool->number].partial);
}

/* It holds one of the slabs: the pool ends later, and until then is as
 * before. */
static void
a_pool_whose_slab_a_thread_holds_is_ebusy(void **state)
{
    fpheap      *heap = test_heap_over(&provider);
    fpheap_pool *pool = pool_of(heap, "held", NULL, 100);
    size_t       live = 7;
    fph_slab    *slab;
    void        *object;

    (void)state;
    assert_non_null(pool);
    fpheap_pool_put(pool, fpheap_pool_get(pool));
    fpheap_flush(heap);
    slab = take_a_slab(pool);
    assert_non_null(slab);
    assert_int_equal(fpheap_pool_destroy(pool, &live), -EBUSY);
    assert_int_equal(live, 0);
    assert_ptr_equal(fpheap_pool_lookup(heap, "held"), pool);
    object = fpheap_pool_get(pool);
    assert_non_null(object);
    fpheap_pool_put(pool, object);
    fph_slab_let_go(heap->state, slab);
    TEST_CHECK_LIVE(heap, 0);
    assert_int_equal(fpheap_pool_destroy(pool, &live), 0);
    TEST_DESTROY_OVER(heap, &provider);
}

/* The first slab goes to another thread, which stops, and then an object of the
 * second cannot be made. */
static fph_slab *stolen;

static int
construct_until_there_is_a_slab(void *heap, void *object)
{
    fpheap *h = (fpheap *)heap;

    (void)object;
    stolen = take_a_slab(h->state->pool[0]);
    return stolen == NULL ? 0 : -EIO;
}

static void
a_pool_that_fails_while_a_thread_holds_its_slab_is_gone(void **state)
{
    fpheap          *heap = test_heap_over(&provider);
    fpheap_pool_desc desc;

    (void)state;
    memset(&desc, 0, sizeof desc);
    desc.name = "failed";
    desc.size = 500;
    desc.min = 100;
    desc.construct = construct_until_there_is_a_slab;
    desc.arg = heap;
    assert_null(fpheap_pool_create(heap, &desc));
    assert_int_equal(errno, EIO);
    assert_non_null(stolen);
    assert_int_equal(heap->state->pool_is[0] % 8, FPH_POOL_NAMED);
    assert_null(fpheap_pool_lookup(heap, "failed"));
    fph_slab_let_go(heap->state, stolen);
    TEST_CHECK_LIVE(heap, 0);
    assert_non_null(pool_of(heap, "next", NULL, 500));
    TEST_DESTROY_OVER(heap, &provider);
}

/* Its thread has stopped before it could make the record. */
static void
a_number_without_a_record_is_checked(void **state)
{
    fpheap   *heap = test_heap_over(&provider);
    unsigned  number = fph_pool_number(heap->state);

    (void)state;
    assert_null(heap->state->pool[number]);
    TEST_CHECK_LIVE(heap, 0);
    fph_pool_set(heap->state, number, FPH_POOL_FREE);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
a_name_that_a_stopped_thread_has_just_got_is_taken(void **state)
{
    fpheap      *heap = test_heap_over(&provider);
    fpheap_pool *low = pool_of(heap, "low", NULL, 100);
    fpheap_pool *high = pool_of(heap, "high", NULL, 100);
    fph_word    *is = &heap->state->pool_is[1];

    (void)state;
    assert_true(low != NULL && high != NULL && high->number == 1);
    assert_int_equal(fpheap_pool_destroy(low, NULL), 0);
    *is -= FPH_POOL_READY - FPH_POOL_NAMED;
    errno = 0;
    assert_null(pool_of(heap, "high", NULL, 100));
    assert_int_equal(errno, EEXIST);
    assert_null(fpheap_pool_lookup(heap, "high"));
    *is += FPH_POOL_READY - FPH_POOL_NAMED;
    assert_ptr_equal(fpheap_pool_lookup(heap, "high"), high);
    assert_null(fpheap_pool_lookup(heap, NULL));
    assert_int_equal(errno, ENOENT);
    TEST_DESTROY_OVER(heap, &provider);
}

/* Its objects were claimed between the look at the quota and the claim. */
static void
a_quota_that_is_used_up_gives_nothing(void **state)
{
    fpheap          *heap = test_heap_over(&provider);
    fpheap_pool_desc desc;
    fpheap_pool     *pool;
    void            *objects[2];

    (void)state;
    memset(&desc, 0, sizeof desc);
    desc.name = "two";
    desc.size = 100;
    desc.max = 2;
    pool = fpheap_pool_create(heap, &desc);
    assert_int_equal(fpheap_pool_get_bulk(pool, objects, 2), 0);
    assert_int_equal(fph_quota_take(pool, 1), 0);
    TEST_CHECK_LIVE(heap, 2);
    fpheap_pool_put_bulk(pool, objects, 2);
    fpheap_trim(heap);
    assert_int_equal(fph_quota_take(pool, 5), 2);
    fph_quota_give(pool, 2);
    TEST_DESTROY_OVER(heap, &provider);
}

/* A size that a thread hardly uses parks nothing, and takes no magazine. */
static void
claims_of_a_size_are_one_object_at_first_and_then_each_twice_the_last(void **state)
{
    static const size_t sizes[] = { 1, 1, 1, 1, 3, 6, 12, 24, 24 };
    fpheap  *heap = test_heap_over(&provider);
    fph_bin *bin;
    size_t   i, n;

    (void)state;
    assert_int_equal(FPHEAP_MAGAZINE, 24);
    for (i = 0; i < TEST_COUNT(sizes); i++) {
        assert_non_null(fpheap_alloc(heap, 16));
        bin = &fph_cache_mine(heap)->bins[fph_class_of(16)];
        assert_int_equal(bin->top - bin->base, sizes[i] - 1);
        assert_int_equal(bin->base != NULL, sizes[i] > 1);
        for (n = 1; n < sizes[i]; n++)
            assert_non_null(fpheap_alloc(heap, 16));
    }
    assert_int_equal(fpheap_destroy_forced(heap), 0);
}

static void
a_bulk_that_fails_loses_no_magazine(void **state)
{
    fpheap  *heap = test_heap_within(&provider, 4 * FPHEAP_CHUNK);
    void    *bulk[600];
    uint64_t magazines = 0;
    unsigned i;

    (void)state;
    for (i = 0; i < 20; i++) {
        assert_int_equal(fpheap_alloc_bulk(heap, 1000, bulk, 600), -ENOMEM);
        assert_int_equal(fpheap_alloc_bulk(heap, FPHEAP_CHUNK, bulk, 9),
                         -ENOMEM);
        assert_int_equal(fpheap_alloc_bulk(heap, FPHEAP_CHUNK / 2 + 1, bulk, 9),
                         -ENOMEM);
        if (i == 0)
            magazines = heap->state->magazines;
        assert_int_equal(heap->state->magazines, magazines);
    }
    TEST_DESTROY_OVER(heap, &provider);
}

static void
there_are_a_thousand_channels_and_ranks_at_most(void **state)
{
    fpheap          *heap = test_heap_over(&provider);
    fpheap_pool_desc desc;

    (void)state;
    memset(&desc, 0, sizeof desc);
    desc.name = "channels";
    desc.size = 100;
    desc.channels = 1025;
    assert_null(fpheap_pool_create(heap, &desc));
    assert_int_equal(errno, EINVAL);
    desc.channels = 1024;
    desc.ranks = 1025;
    assert_null(fpheap_pool_create(heap, &desc));
    assert_int_equal(errno, EINVAL);
    desc.ranks = 1024;
    assert_non_null(fpheap_pool_create(heap, &desc));
    TEST_DESTROY_OVER(heap, &provider);
}

/* It would be in vain to wait for a thread that reclaims. */
static void
nobody_seems_to_grow_after_a_search_that_reclaims(void **state)
{
    enum { MANY = 5 * FPHEAP_CHUNK / 128 };
    static void *objects[MANY];
    fpheap      *heap = test_heap_over(&provider);
    unsigned     i, grown = 0;

    (void)state;
    for (i = 0; i < MANY; i++)
        assert_non_null(objects[i] = fpheap_alloc(heap, 112));
    fpheap_free_bulk(heap, objects, MANY);
    fpheap_flush(heap);
    assert_true(fph_reclaim_pays(heap, 0));
    assert_int_equal(heap->state->reclaims, 0);
    for (i = 0; heap->state->reclaims == 0 && i < MANY; i++) {
        assert_non_null(objects[i] = fpheap_alloc(heap, FPHEAP_CHUNK / 2));
        assert_int_equal(heap->state->growing, 0);
        grown++;
    }
    assert_int_equal(heap->state->reclaims, 1);
    fpheap_free_bulk(heap, objects, grown);
    TEST_DESTROY_OVER(heap, &provider);
}

/* During this many looks other threads move what is free. */
static unsigned disturbed, looks;

static int
see_others_move(fph_search *search)
{
    looks++;
    fph_this.wait_end = UINT64_MAX;    /* however busy the machine is */
    if (looks <= disturbed) {
        search->heap->state->moves_begun++;
        search->heap->state->moves_ended++;
    }
    return 0;
}

/* After that it only looks, until nobody has moved anything during a look. */
static void
a_search_that_others_disturb_begins_again_twice(void **state)
{
    fpheap    *heap = test_heap_over(&provider);
    fph_search search;
    unsigned   gets = provider.gets;

    (void)state;
    memset(&search, 0, sizeof search);
    search.heap = heap;
    search.need = fph_need_of(heap, 1, 1);
    search.look = see_others_move;
    search.grow = 1;
    provider.limit_bytes = provider.held_bytes;
    heap->growth_max = FPHEAP_CHUNK;   /* so it is asked once each time */
    heap->provider.put = NULL;         /* and nothing is exchanged */
    for (disturbed = 0; disturbed < 6; disturbed++) {
        looks = 0;
        fph_wait_begin();
        assert_int_equal(fph_find(&search), -ENOMEM);
        assert_int_equal(looks, disturbed + 1);
        gets += disturbed + 1 < FPH_TRIES ? disturbed + 1 : FPH_TRIES;
        assert_int_equal(provider.gets, gets);
    }
    heap->provider.put = provider.calls.put;
    TEST_DESTROY_OVER(heap, &provider);
}

/* The seat of a cache that no thread has. */
static unsigned
left_seat(fpheap *heap)
{
    pthread_t thread;
    unsigned  seat = 0;

    assert_int_equal(pthread_create(&thread, NULL, allocate_and_free, heap), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    while (heap->state->cache[seat] == NULL
           || fph_seats[seat] != 0) {
        seat++;
        assert_true(seat < FPHEAP_MAX_THREADS);
    }
    return seat;
}

static void
a_thread_that_has_just_sat_down_delays_no_destroy(void **state)
{
    fpheap  *heap = test_heap_over(&provider);
    unsigned seat = left_seat(heap);

    (void)state;
    fph_seats[seat] = 1;
    TEST_DESTROY_OVER(heap, &provider);
    assert_int_equal(fph_seats[seat], 1);
    fph_seats[seat] = 0;
}

static void
expect_parked(fpheap *heap, size_t objects)
{
    fpheap_stats stats;

    fpheap_stats_get(heap, &stats);
    assert_int_equal(stats.parked_objects, objects);
}

/* Its pointers are then those of two magazines. */
static void
a_magazine_that_is_just_being_exchanged_counts_as_none(void **state)
{
    fpheap  *heap = test_heap_over(&provider);
    void    *object = fpheap_alloc(heap, 100);
    fph_bin *bin = &fph_cache_mine(heap)->bins[fph_class_of(100)];
    fph_bin  usual;
    void    *far = test_map(4 * sizeof(fph_magazine));

    (void)state;
    assert_non_null(far);
    fpheap_free(heap, object);
    expect_parked(heap, (size_t)(bin->top - bin->base));
    assert_true(bin->top > bin->base);
    usual = *bin;
    bin->base = usual.top + 1;
    expect_parked(heap, 0);
    *bin = usual;
    bin->limit = usual.top - 1;
    expect_parked(heap, 0);
    bin->base = (void **)far;
    bin->top = bin->base + FPHEAP_MAGAZINE + 1;
    bin->limit = bin->top;
    expect_parked(heap, 0);
    *bin = usual;
    assert_int_equal(test_unmap(far, 4 * sizeof(fph_magazine)), 0);
    TEST_DESTROY_OVER(heap, &provider);
}

/* For a moment fewer are announced than are claimed. */
static void
free_objects_below_zero_count_as_none(void **state)
{
    fpheap      *heap = test_heap_over(&provider);
    void        *object = fpheap_alloc(heap, FPHEAP_PAGE);
    fph_slab    *slab = fph_record_of(heap->state, object);
    uint64_t     usual = slab->state;
    fpheap_stats stats;

    (void)state;
    slab->state = fph_slab_state(-2, 1);
    fpheap_stats_get(heap, &stats);
    assert_int_equal(stats.slab_free_bytes, 0);
    assert_int_equal(stats.live_objects + stats.parked_objects,
                     fph_info_count(slab->info));
    slab->state = usual;
    fpheap_free(heap, object);
    TEST_DESTROY_OVER(heap, &provider);
}

/* The seat of the thread that has not forked. */
static unsigned seat_left;

/* Whether a child of fork can use both heaps, and grow them. */
static int
is_usable(fpheap *heap)
{
    fph_state *s = heap->state;

    allocate_and_free(heap);
    fpheap_free(heap, fpheap_alloc(heap, 50 * FPHEAP_CHUNK));
    return s->growing == 0 && s->moves_begun == s->moves_ended
        && fph_this.seat == seat_left    /* the first that is free */
        && fpheap_check(heap) == NULL && fpheap_destroy(heap) == 0;
}

static void *
use_them_in_a_child(void *heaps_)
{
    fpheap **heaps = (fpheap **)heaps_;
    int      status = -1;
    pid_t    child = fork();

    if (child == 0)
        _exit(is_usable(heaps[0]) && is_usable(heaps[1]) ? 0 : 1);
    return child > 0 && waitpid(child, &status, 0) == child && status == 0
         ? heaps : NULL;
}

/* Meanwhile another thread is in the provider and moves what is free, in
 * both heaps. */
static void
a_thread_that_has_no_seat_may_fork(void **state)
{
    fpheap   *heaps[2];
    pthread_t thread;
    void     *end = NULL;
    unsigned  i;

    (void)state;
    heaps[0] = test_heap_over(&provider);
    heaps[1] = test_heap_over(&other_provider);
    for (i = 0; i < 2; i++) {
        allocate_and_free(heaps[i]);
        seat_left = fph_this.seat;
        heaps[i]->state->growing = 99;
        heaps[i]->state->moves_begun++;
    }
    (void)fflush(NULL);
    assert_int_equal(pthread_create(&thread, NULL, use_them_in_a_child, heaps),
                     0);
    assert_int_equal(pthread_join(thread, &end), 0);
    assert_ptr_equal(end, heaps);
    for (i = 0; i < 2; i++) {
        assert_int_equal(heaps[i]->state->growing, 99);
        heaps[i]->state->growing = 0;
        heaps[i]->state->moves_begun--;
    }
    TEST_DESTROY_OVER(heaps[0], &provider);
    TEST_DESTROY_OVER(heaps[1], &other_provider);
}

/* The threads that are gone have none. */
static void
who_forks_has_the_same_seat_in_the_child(void **state)
{
    fpheap  *heap = test_heap_over(&provider);
    unsigned seat;
    int      status = -1;
    pid_t    child;

    (void)state;
    allocate_and_free(heap);   /* this thread has a seat first */
    seat = left_seat(heap);
    assert_int_not_equal(fph_this.seat, seat + 1);
    fph_seats[seat] = 1;
    (void)fflush(NULL);
    child = fork();
    if (child == 0)
        _exit(fph_this.seat == 0 || fph_seats[fph_this.seat - 1] != 1
              || fph_seats[seat] != 0);
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    fph_seats[seat] = 0;
    TEST_DESTROY_OVER(heap, &provider);
}

/* --- callbacks ------------------------------------------------------------ */

static int
fail_at_the_third(void *heap, void *object)
{
    static unsigned calls;

    (void)heap, (void)object;
    return ++calls == 3 ? -EIO : 0;
}

static void
a_constructor_that_fails_needs_no_destructor(void **state)
{
    fpheap      *heap = test_heap_over(&provider);
    fpheap_pool *pool = pool_of(heap, "third", fail_at_the_third, 100);
    void        *object;

    (void)state;
    errno = 0;
    assert_null(fpheap_pool_get(pool));
    assert_int_equal(errno, EIO);
    TEST_CHECK_LIVE(heap, 0);
    object = fpheap_pool_get(pool);
    assert_non_null(object);
    fpheap_pool_put(pool, object);
    TEST_DESTROY_OVER(heap, &provider);
}

/* Needs more memory than there is, while trim takes memory back. */
static void
destruct_with_new_memory(void *heap, void *object)
{
    void *large = fpheap_alloc((fpheap *)heap, 20 * FPHEAP_CHUNK);

    (void)object;
    if (provider.limit_bytes == 0)
        assert_non_null(large);
    else
        assert_true(large == NULL && errno == ENOMEM);
    fpheap_free((fpheap *)heap, large);
}

static void
a_destructor_may_need_new_memory(void **state)
{
    unsigned limited;

    (void)state;
    for (limited = 0; limited < 2; limited++) {
        fpheap          *heap = test_heap_over(&provider);
        fpheap_pool_desc desc;
        fpheap_pool     *pool;

        memset(&desc, 0, sizeof desc);
        desc.name = "needy";
        desc.size = FPHEAP_POOL_SIZE_MAX;
        desc.destruct = destruct_with_new_memory;
        desc.arg = heap;
        pool = fpheap_pool_create(heap, &desc);
        assert_non_null(pool);
        fpheap_pool_put(pool, fpheap_pool_get(pool));
        if (limited)
            provider.limit_bytes = provider.held_bytes;
        fpheap_trim(heap);
        TEST_CHECK_LIVE(heap, 0);
        assert_int_equal(pool->slabs, 0);
        TEST_DESTROY_OVER(heap, &provider);
    }
}

/* --- nobody waits for himself --------------------------------------------- */

typedef struct own_move {
    fpheap_pool *inner;        /* NULL: it has ended */
    unsigned     waits;
    int          result;
} own_move;

static void
end_the_inner_pool(void *arg, void *object)
{
    own_move *own = (own_move *)arg;

    (void)object;
    if (own->inner == NULL)
        return;
    own->waits = waits;
    own->result = fpheap_pool_destroy(own->inner, NULL);
    own->waits = waits - own->waits;
    own->inner = NULL;
}

static void
a_destructor_that_ends_a_pool_does_not_wait_for_its_own_pass(void **state)
{
    own_move         own = { NULL, 1, -1 };
    fpheap_pool_desc desc = { .name = "inner", .size = 4096 };
    fpheap          *heap = test_heap_over(&provider);
    fpheap_pool     *outer;

    (void)state;
    own.inner = fpheap_pool_create(heap, &desc);
    desc.name = "outer";
    desc.destruct = end_the_inner_pool;
    desc.arg = &own;
    outer = fpheap_pool_create(heap, &desc);
    assert_true(own.inner != NULL && outer != NULL);
    fpheap_pool_put(own.inner, fpheap_pool_get(own.inner));
    fpheap_pool_put(outer, fpheap_pool_get(outer));
    fpheap_trim(heap);
    assert_null(own.inner);
    assert_int_equal(own.result, 0);
    assert_int_equal(own.waits, 0);
    TEST_DESTROY_OVER(heap, &provider);
}

typedef struct own_growth {
    fpheap  *heap;
    void    *object;
    unsigned waits;
} own_growth;

static void
allocate_in_get(test_provider *p)
{
    own_growth *own = (own_growth *)p->arg;

    p->inside_get = NULL;
    own->waits = waits;
    own->object = fpheap_alloc(own->heap, 3000);
    own->waits = waits - own->waits;
}

/* What it needs is in the depot, of another size: a pass finds it. */
static void
a_provider_that_allocates_does_not_wait_for_its_own_growth(void **state)
{
    static void *objects[200000];
    fpheap      *heap = test_heap_over(&provider);
    own_growth   own = { heap, NULL, 1 };
    unsigned     n, i;

    (void)state;
    for (n = 0; n < 40000; n++) {
        objects[n] = fpheap_alloc(heap, 256);
        assert_non_null(objects[n]);
    }
    provider.limit_bytes = provider.held_bytes;
    while (n < TEST_COUNT(objects)
           && (objects[n] = fpheap_alloc(heap, 256)) != NULL)
        n++;
    assert_true(n < TEST_COUNT(objects));
    provider.limit_bytes = 0;
    for (i = 0; i < n / 2; i++)
        fpheap_free(heap, objects[i]);
    provider.arg = &own;
    provider.inside_get = allocate_in_get;
    assert_int_equal(fpheap_reserve(heap, n * (size_t)256, 0), 0);
    assert_null(provider.inside_get);
    assert_non_null(own.object);
    assert_int_equal(own.waits, 0);
    fpheap_free(heap, own.object);
    for (; i < n; i++)
        fpheap_free(heap, objects[i]);
    TEST_DESTROY_OVER(heap, &provider);
}

typedef struct hook {
    fpheap *heap;
    void   *object;
} hook;

static int
use_the_heap(void *arg)
{
    hook *h = (hook *)arg;

    fpheap_free(h->heap, fpheap_alloc(h->heap, 100));
    return 0;
}

static void *
free_first(void *arg)
{
    hook *h = (hook *)arg;

    fpheap_free(h->heap, h->object);
    return fph_cache_mine(h->heap)->bins[fph_class_of(100)].next == h->object
         ? arg : NULL;
}

static void
a_free_goes_to_the_magazine_that_the_hook_has_loaded(void **state)
{
    fpheap_config config;
    hook          h;
    pthread_t     thread;
    void         *end = NULL;

    (void)state;
    memset(&config, 0, sizeof config);
    config.thread_node = use_the_heap;
    config.thread_node_ctx = &h;
    h.heap = fpheap_create("hook", &config);
    assert_non_null(h.heap);
    h.object = fpheap_alloc(h.heap, 100);
    assert_int_equal(pthread_create(&thread, NULL, free_first, &h), 0);
    assert_int_equal(pthread_join(thread, &end), 0);
    assert_ptr_equal(end, &h);
    TEST_DESTROY(h.heap);
}

/* --- no keys -------------------------------------------------------------- */

/* In a process that has not used a heap yet.  0: all was as it should be. */
static int
work_without_keys(void)
{
    pthread_key_t key, last = 0;
    fpheap       *heap;
    unsigned      i, made = 0;

    while (pthread_key_create(&key, NULL) == 0) {
        last = key;
        made++;
    }
    heap = fpheap_create("keyless", NULL);
    if (heap == NULL || made == 0)
        return 1;
    errno = 0;
    if (fpheap_self(heap) != NULL || errno != EAGAIN)
        return 2;
    for (i = 0; i < 6200; i++) {
        fpheap_free(heap, fpheap_alloc(heap, 100));
        if (i == 5100)
            (void)pthread_key_delete(last);
        if (i < 5200 && fph_cache_mine(heap) != NULL)
            return 3;
        if (fph_cache_mine(heap) != NULL)
            return fork_handlers != 1 ? 6 : fpheap_check(heap) == NULL ? 0 : 4;
    }
    return 5;
}

/* It tries again after each thousand misses. */
static void
without_keys_a_thread_works_without_a_cache(void **state)
{
    (void)state;
    test_in_child(work_without_keys);
}

/* All of a pool's objects are claimed, and wait where others can use them. */
static void
a_thread_without_a_cache_gets_what_the_depot_has(void **state)
{
    fpheap_pool_desc desc = { .name = "few", .size = 100, .max = 40,
                              .magazine = 5 };
    fpheap          *heap = test_heap_over(&provider);
    fpheap_pool     *pool = fpheap_pool_create(heap, &desc);
    unsigned         seat;
    void            *objects[40];
    unsigned         i;

    (void)state;
    assert_non_null(pool);
    assert_int_equal(fpheap_pool_get_bulk(pool, objects, 40), 0);
    fpheap_pool_put_bulk(pool, objects, 40);
    fpheap_thread_leave(heap);
    seat = fph_this.seat;
    fph_this.seat = 0;
    fph_this.patience = FPH_NEVER;
    for (i = 0; i < 40; i++) {
        objects[i] = fpheap_pool_get(pool);
        assert_non_null(objects[i]);
    }
    assert_null(fpheap_pool_get(pool));
    assert_int_equal(errno, ENOSPC);
    fpheap_pool_put_bulk(pool, objects, 40);
    fph_this.seat = seat;
    assert_int_equal(fpheap_pool_destroy(pool, NULL), 0);
    TEST_DESTROY_OVER(heap, &provider);
}

/* --- at the ends ---------------------------------------------------------- */

static void
pages_beyond_the_tables_are_not_there(void **state)
{
    fpheap    *heap = test_heap_over(&provider);
    fph_state *s = heap->state;
    uint64_t   usual = s->groups_used;
    size_t     last = s->mask;

    (void)state;
    assert_int_equal(fph_pages_take(s, last, 2), 0);
    assert_int_equal(fph_page_is_free(s, last + 1), 0);
    assert_int_equal(fph_page_is_free(s, unlisted_chunk(s) * FPH_PAGES), 0);
    fph_cursors_cross(s, 0);
    /* A group that is counted, and not seen yet. */
    s->groups_used++;
    assert_true(fph_chunk_number(s, usual * FPH_GROUP) == FPH_NO_PAGE);
    s->groups_used = usual;
    assert_true(fph_large_room((size_t)1 << 30) > (size_t)1 << 30);
    assert_true(fph_large_room(SIZE_MAX) == SIZE_MAX);
    if (sizeof(size_t) > 4)
        assert_true(fph_large_room(SIZE_MAX / 4)
                    == SIZE_MAX / 4 + FPH_ROOM_MAX);
    TEST_DESTROY_OVER(heap, &provider);
}

static void *
free_three(void *objects_)
{
    void  **objects = (void **)objects_;
    fpheap *heap = (fpheap *)objects[3];
    int     i;

    for (i = 0; i < 3; i++)
        fpheap_free(heap, objects[i]);
    return fph_cache_mine(heap) == NULL ? objects : NULL;
}

/* It asks at the first miss, and then at each 1000th. */
static void
a_thread_that_frees_without_memory_for_a_cache_does_without(void **state)
{
    fpheap   *heap = test_heap_within(&provider, 4 * FPHEAP_CHUNK);
    void     *objects[4];
    pthread_t thread;
    void     *end = NULL;
    unsigned  i;

    (void)state;
    for (i = 0; i < 3; i++)
        assert_non_null(objects[i] = fpheap_alloc(heap, 100));
    objects[3] = heap;
    memset(heap->state->cache + fph_this.seat, 0,
           (FPHEAP_MAX_THREADS - fph_this.seat) * sizeof heap->state->cache[0]);
    fill_metadata(heap);
    system_is_out = 1;
    i = (unsigned)heap->state->meta_numbers;
    heap->state->meta_numbers = FPH_TABLE_MAX;
    assert_int_equal(pthread_create(&thread, NULL, free_three, objects), 0);
    assert_int_equal(pthread_join(thread, &end), 0);
    assert_ptr_equal(end, objects);
    heap->state->meta_numbers = i;
    system_is_out = 0;
    TEST_DESTROY_OVER(heap, &provider);
}

static int
see_none(fph_search *search)
{
    (void)search;
    return 0;
}

/* Whatever comes does not serve. */
static void
a_search_gives_back_and_grows_again_three_times_at_most(void **state)
{
    fpheap    *heap = test_heap_over(&provider);
    void      *kept = fpheap_alloc(heap, 100);
    fph_search search;
    unsigned   puts;

    (void)state;
    fpheap_free(heap, fpheap_alloc(heap, 3 * FPHEAP_CHUNK));
    fpheap_flush(heap);
    puts = provider.puts;
    memset(&search, 0, sizeof search);
    search.heap = heap;
    search.need = fph_need_of(heap, 1, 1);
    search.look = see_none;
    search.grow = 1;
    provider.limit_bytes = provider.held_bytes;
    fph_wait_begin();
    assert_int_equal(fph_find(&search), -ENOMEM);
    assert_in_range(provider.puts - puts, FPH_TRIES, 10 * FPH_TRIES);
    assert_int_equal(search.error, -ENOMEM);
    fpheap_free(heap, kept);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
a_reserve_without_memory_for_magazines_has_its_pages(void **state)
{
    fpheap  *heap = test_heap_over(&provider);
    uint64_t usual;

    (void)state;
    assert_int_equal(fpheap_reserve(heap, 1, 0), 0);
    usual = heap->state->meta_numbers;
    fill_metadata(heap);
    heap->state->meta_numbers = FPH_TABLE_MAX;
    assert_int_equal(fpheap_reserve(heap, 20 * FPHEAP_CHUNK, 0), 0);
    assert_true(provider.held_bytes >= 20 * FPHEAP_CHUNK);
    heap->state->meta_numbers = usual;
    TEST_DESTROY_OVER(heap, &provider);
}

/* It has none in its bin, nor can one be made: of a class, above all classes. */
static void
a_bulk_without_a_magazine_fails_and_takes_nothing(void **state)
{
    static const size_t sizes[] = { 100, FPH_CLASS_MAX + 1 };
    unsigned i, full;

    (void)state;
    for (i = 0; i < 2 * TEST_COUNT(sizes); i++) {
        fpheap  *heap = test_heap_over(&provider);
        size_t   size = sizes[i / 2];
        void    *objects[3] = { heap, heap, heap };
        void    *kept = fpheap_alloc(heap, 100);
        uint64_t usual = heap->state->meta_numbers;

        full = i % 2;
        fpheap_flush(heap);
        while (fph_stack_pop(heap->state, &heap->state->empty[0].word) != NULL)
            ;
        fill_metadata(heap);
        system_is_out = 1;
        provider.limit_bytes = provider.held_bytes;
        if (full)
            heap->state->meta_numbers = FPH_TABLE_MAX;
        else
            while (fph_pages_find(heap, 0, 1, 1) != FPH_NO_PAGE)
                ;
        assert_int_equal(fpheap_alloc_bulk(heap, size, objects, 3), -ENOMEM);
        assert_true(objects[0] == heap && objects[1] == heap
                    && objects[2] == heap);
        heap->state->meta_numbers = usual;
        system_is_out = 0;
        provider.limit_bytes = 0;
        assert_int_equal(fpheap_alloc_bulk(heap, size, objects, 3), 0);
        fpheap_free_bulk(heap, objects, 3);
        fpheap_free(heap, kept);
        assert_int_equal(fpheap_destroy_forced(heap), 0);
        assert_int_equal(provider.held, 0);
    }
}

static void
a_pool_without_memory_for_its_area_is_enomem(void **state)
{
    fpheap_pool_desc desc = { .name = "area", .size = 100 };
    fpheap          *heap = test_heap_over(&provider);
    fpheap_pool     *pool = fpheap_pool_create(heap, &desc);
    uint64_t         usual;

    (void)state;
    assert_non_null(pool);
    assert_int_equal(fpheap_pool_destroy(pool, NULL), 0); /* has a record now */
    usual = heap->state->meta_numbers;
    fill_metadata(heap);
    heap->state->meta_numbers = FPH_TABLE_MAX;
    desc.private_bytes = 1000;
    errno = 0;
    assert_null(fpheap_pool_create(heap, &desc));
    assert_int_equal(errno, ENOMEM);
    assert_null(fpheap_pool_lookup(heap, "area"));
    heap->state->meta_numbers = usual;
    assert_non_null(fpheap_pool_create(heap, &desc));
    TEST_DESTROY_OVER(heap, &provider);
}

static pid_t child_of_get;
static int   status_of_child;

static void
fork_in_get(test_provider *p)
{
    p->inside_get = NULL;
    child_of_get = fork();
    status_of_child = child_of_get < 0;
    if (child_of_get > 0
        && waitpid(child_of_get, &status_of_child, 0) != child_of_get)
        status_of_child = 1;
}

/* The call goes on in both. */
static void
a_provider_may_fork(void **state)
{
    fpheap *heap = test_heap_over(&provider);
    void   *object;

    (void)state;
    fpheap_free(heap, fpheap_alloc(heap, 100));
    provider.inside_get = fork_in_get;
    object = fpheap_alloc(heap, 20 * FPHEAP_CHUNK);
    if (child_of_get == 0)
        _exit(object == NULL || fpheap_check(heap) != NULL
              || fpheap_destroy_forced(heap) != 0 || provider.held != 0
              || provider.wrong != 0);
    assert_int_equal(status_of_child, 0);
    fpheap_free(heap, object);
    TEST_DESTROY_OVER(heap, &provider);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_keys_a_thread_works_without_a_cache),
        cmocka_unit_test(a_provider_may_fork),
        cmocka_unit_test(pages_beyond_the_tables_are_not_there),
        cmocka_unit_test(a_free_without_a_second_magazine_empties_the_first),
        cmocka_unit_test(
            a_thread_that_frees_without_memory_for_a_cache_does_without),
        cmocka_unit_test(
            a_search_gives_back_and_grows_again_three_times_at_most),
        cmocka_unit_test(a_reserve_without_memory_for_magazines_has_its_pages),
        cmocka_unit_test(a_bulk_without_a_magazine_fails_and_takes_nothing),
        cmocka_unit_test(a_pool_without_memory_for_its_area_is_enomem),
        cmocka_unit_test(a_thread_without_a_cache_gets_what_the_depot_has),
        cmocka_unit_test(tables_that_are_full_are_enomem),
        cmocka_unit_test(a_chunk_that_could_have_no_records_is_not_asked_for),
        cmocka_unit_test(a_cache_without_memory_is_enomem),
        cmocka_unit_test(a_free_without_a_third_magazine_empties_the_spare),
        cmocka_unit_test(mmap_that_gives_nothing_is_enomem),
        cmocka_unit_test(reserved_hugepages_are_taken_whole),
        cmocka_unit_test(a_region_that_ends_before_a_page_begins_has_none),
        cmocka_unit_test(a_region_may_end_with_the_last_address),
        cmocka_unit_test(a_run_ends_where_the_addresses_do),
        cmocka_unit_test(
            what_a_magazine_holds_by_mistake_is_reported_at_the_slab),
        cmocka_unit_test(a_foreign_pointer_in_a_bulk_is_reported),
        cmocka_unit_test(a_pool_whose_slab_a_thread_holds_is_ebusy),
        cmocka_unit_test(
            a_pool_that_fails_while_a_thread_holds_its_slab_is_gone),
        cmocka_unit_test(a_number_without_a_record_is_checked),
        cmocka_unit_test(
            a_name_that_a_stopped_thread_has_just_got_is_taken),
        cmocka_unit_test(a_quota_that_is_used_up_gives_nothing),
        cmocka_unit_test(
            claims_of_a_size_are_one_object_at_first_and_then_each_twice_the_last),
        cmocka_unit_test(a_bulk_that_fails_loses_no_magazine),
        cmocka_unit_test(there_are_a_thousand_channels_and_ranks_at_most),
        cmocka_unit_test(nobody_seems_to_grow_after_a_search_that_reclaims),
        cmocka_unit_test(a_search_that_others_disturb_begins_again_twice),
        cmocka_unit_test(
            a_thread_that_has_just_sat_down_delays_no_destroy),
        cmocka_unit_test(
            a_magazine_that_is_just_being_exchanged_counts_as_none),
        cmocka_unit_test(free_objects_below_zero_count_as_none),
        cmocka_unit_test(a_thread_that_has_no_seat_may_fork),
        cmocka_unit_test(who_forks_has_the_same_seat_in_the_child),
        cmocka_unit_test(a_constructor_that_fails_needs_no_destructor),
        cmocka_unit_test(a_destructor_may_need_new_memory),
        cmocka_unit_test(
            a_destructor_that_ends_a_pool_does_not_wait_for_its_own_pass),
        cmocka_unit_test(
            a_provider_that_allocates_does_not_wait_for_its_own_growth),
        cmocka_unit_test(a_free_goes_to_the_magazine_that_the_hook_has_loaded)
    };

    return cmocka_run_group_tests_name("exhaustion", tests, NULL, NULL);
}
