/* test_growth.c - memory follows use
 *
 * Whatever sizes come and go, the heap has at most twice the most that was live
 * at one time, and a constant.  No call fails while memory that is free would
 * do, be it the provider that ends or the heap's limit, for objects and for
 * the heap's own records.  Objects of every size fill their chunks.  Nothing
 * that a provider gave is ever forgotten.
 */
#define FPHEAP_CHUNK_SHIFT 18
#include "system_memory.h"

#define FPHEAP_MAX_NODES 2
#define FPHEAP_IMPLEMENTATION
#include "fpheap.h"
#include "test_util.h"

#define MIB     ((size_t)1 << 20)
#define MANY    140000
#define OBJECTS 64

/* --- a provider that ends ------------------------------------------------- */

typedef struct source {
    fpheap_provider calls;
    fpheap_provider system;
    size_t   budget;           /* bytes to give at one time; 0: any */
    size_t   least;            /* bytes to give at least */
    size_t   most;             /* bytes to give at most; 0: any */
    size_t   held;
    unsigned gets;
    int      spoiled;          /* what it gives cannot be used */
} source;

static int
source_get(void *ctx, size_t bytes, size_t align, int node,
           fpheap_region *region)
{
    source *s = (source *)ctx;
    int     rc;

    s->gets++;
    if (bytes < s->least)
        bytes = s->least;
    if ((s->budget != 0 && s->held + bytes > s->budget)
        || (s->most != 0 && bytes > s->most))
        return -ENOMEM;
    rc = s->system.get(s->system.ctx, bytes, align, node, region);
    if (rc != 0)
        return rc;
    s->held += region->bytes;
    if (s->spoiled && mprotect(region->base, region->bytes, PROT_NONE) != 0)
        return -EIO;
    return 0;
}

static int
source_put(void *ctx, const fpheap_region *region)
{
    source *s = (source *)ctx;

    s->held -= region->bytes;
    return s->system.put(s->system.ctx, region);
}

static fpheap *
heap_over(source *s, size_t budget, size_t limit)
{
    fpheap_config config;
    fpheap       *heap;

    memset(s, 0, sizeof *s);
    memset(&config, 0, sizeof config);
    assert_int_equal(fpheap_provider_mmap(&s->system, FPHEAP_NO_THP), 0);
    s->calls.get = source_get;
    s->calls.put = source_put;
    s->calls.ctx = s;
    s->budget = budget;
    config.provider = &s->calls;
    config.limit = limit;
    heap = fpheap_create("growth", &config);
    assert_non_null(heap);
    return heap;
}

static size_t
region_bytes(fpheap *heap)
{
    fpheap_stats stats;

    fpheap_stats_get(heap, &stats);
    return stats.region_bytes;
}

/* --- a bound for any sequence of sizes ------------------------------------ */

/* Objects and the most bytes of them that were live at one time. */
typedef struct usage {
    fpheap *heap;
    void   *object[OBJECTS];
    size_t  bytes[OBJECTS];
    size_t  live;
    size_t  most;
} usage;

static void
count(usage *u, size_t more, size_t less)
{
    u->live += more;
    if (u->live > u->most)
        u->most = u->live;
    u->live -= less;
}

static void
renew(usage *u, unsigned i, size_t bytes)
{
    void *next = fpheap_alloc(u->heap, bytes);

    assert_non_null(next);
    count(u, bytes, u->bytes[i]);
    fpheap_free(u->heap, u->object[i]);
    u->object[i] = next;
    u->bytes[i] = bytes;
}

static void
resize(usage *u, unsigned i, size_t bytes)
{
    void *next = fpheap_realloc(u->heap, u->object[i], bytes);

    assert_non_null(next);
    count(u, bytes, u->bytes[i]);
    u->object[i] = next;
    u->bytes[i] = bytes;
}

/* A freed object parks up to two chunks, small ones fill magazines, and
 * records are a fiftieth.  Of 32 bits others lie between regions, so that what is
 * free in two may be too short for an object of 8 MiB. */
static void
expect_bounded(usage *u, const char *what, unsigned number)
{
    size_t have  = region_bytes(u->heap);
    size_t apart = (sizeof(void *) < 8 ? 8 : 0) * MIB;

    if (have <= 2 * u->most + 4 * MIB + apart)
        return;
    print_error("%s %u: %zu KiB for %zu KiB live at most\n", what, number,
                have >> 10, u->most >> 10);
    fail();
}

static void
begin(usage *u, source *s)
{
    memset(u, 0, sizeof *u);
    u->heap = heap_over(s, 0, 0);
}

static void
end(usage *u)
{
    unsigned i;

    for (i = 0; i < OBJECTS; i++)
        fpheap_free(u->heap, u->object[i]);
    TEST_DESTROY(u->heap);
}

static const unsigned permille[] = { 10, 50, 125, 250, 500, 1000 };

static void
grow_by(void (*step)(usage *, unsigned, size_t), const char *what)
{
    unsigned p;

    for (p = 0; p < TEST_COUNT(permille); p++) {
        size_t bytes;
        source s;
        usage  u;

        begin(&u, &s);
        for (bytes = MIB / 16; bytes < 24 * MIB;
             bytes += bytes * permille[p] / 1000) {
            step(&u, 0, bytes);
            expect_bounded(&u, what, permille[p]);
        }
        end(&u);
    }
}

static void
an_object_that_grows_leaves_no_more_than_itself_behind(void **state)
{
    (void)state;
    grow_by(resize, "realloc by");
    grow_by(renew, "alloc and free by");
}

static void
objects_that_shrink_leave_no_more_than_they_were(void **state)
{
    size_t bytes;
    source s;
    usage  u;

    (void)state;
    begin(&u, &s);
    for (bytes = 24 * MIB; bytes > MIB / 8; bytes -= bytes / 8) {
        resize(&u, 0, bytes);
        renew(&u, 1, bytes);
        expect_bounded(&u, "shrinking", (unsigned)(bytes >> 10));
    }
    end(&u);
}

/* Sizes from 64 KiB to 8 MiB, of uniform logarithm, and numbers of objects. */
static void
sizes_at_random_take_no_more_than_twice_the_most_live(void **state)
{
    unsigned seed;

    (void)state;
    for (seed = 0; seed < 10 * test_soak(); seed++) {
        test_random random = test_random_of(seed);
        unsigned    n = 1 + seed % OBJECTS;
        unsigned    i;
        source      s;
        usage       u;

        begin(&u, &s);
        for (i = 0; i < 2000; i++) {
            size_t bytes = MIB / 16 + test_size(&random, 23);

            renew(&u, (unsigned)test_below(&random, n), bytes);
            expect_bounded(&u, "random", seed);
        }
        end(&u);
    }
}

/* Where the provider takes parts, an object grows into new memory behind it, but
 * not while as much is free elsewhere. */
static void
objects_that_change_their_sizes_do_not_add_up_to_the_longest_of_each(
    void **state)
{
    unsigned seed;

    (void)state;
    for (seed = 0; seed < 4 * test_soak(); seed++) {
        test_random  random = test_random_of(seed);
        fpheap_stats stats;
        unsigned     i;
        usage        u;

        memset(&u, 0, sizeof u);
        u.heap = fpheap_create("growth", NULL);
        assert_non_null(u.heap);
        for (i = 0; i < 1000; i++)
            resize(&u, (unsigned)test_below(&random, 12),
                   MIB / 16 + test_size(&random, 23));
        fpheap_stats_get(u.heap, &stats);
        if (stats.peak_region_bytes > u.most * 3 / 2 + 4 * MIB)
            print_error("seed %u: %zu KiB for %zu KiB live at most\n", seed,
                        stats.peak_region_bytes >> 10, u.most >> 10);
        assert_true(stats.peak_region_bytes <= u.most * 3 / 2 + 4 * MIB);
        end(&u);
    }
}

static void
what_a_thread_parks_of_large_objects_serves_before_the_heap_grows(void **state)
{
    fpheap *heap = fpheap_create("growth", NULL);
    void   *objects[4];
    size_t  bytes;
    size_t  i;

    (void)state;
    for (bytes = FPHEAP_PAGE; bytes <= 8 * FPHEAP_PAGE;
         bytes += FPHEAP_PAGE / 2) {
        for (i = 0; i < TEST_COUNT(objects); i++)
            assert_non_null(objects[i] = fpheap_alloc(heap, bytes));
        fpheap_free_bulk(heap, objects, TEST_COUNT(objects));
    }
    assert_true(region_bytes(heap) <= 5 * FPHEAP_CHUNK);
    TEST_DESTROY(heap);
}

/* With a provider that takes parts, and with one that does not. */
/* Each counts with all its pages. */
static void
slabs_that_are_empty_serve_before_the_heap_grows(void **state)
{
    test_provider provider;
    fpheap       *heap = test_heap_over(&provider);
    void         *objects[64];
    fpheap_stats  stats;
    unsigned      k;

    (void)state;
    for (k = 1; k < FPH_SIZES; k++) {
        const fph_class *klass = &heap->state->classes[k];

        if (klass->size < FPHEAP_PAGE)
            continue;
        assert_in_range(klass->count, 1, TEST_COUNT(objects));
        assert_int_equal(fpheap_alloc_bulk(heap, klass->size, objects,
                                           klass->count), 0);
        fpheap_free_bulk(heap, objects, klass->count);
        fpheap_flush(heap);
        fph_depot_drain(heap->state, k);
    }
    fpheap_stats_get(heap, &stats);
    assert_true(stats.region_bytes <= 3 * FPHEAP_CHUNK);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
all_that_is_freed_goes_back(void **state)
{
    static void *objects[MANY];
    unsigned     parts, i;
    source       s;

    (void)state;
    for (parts = 0; parts < 2; parts++) {
        fpheap *heap = parts ? fpheap_create("growth", NULL)
                             : heap_over(&s, 0, 0);

        for (i = 0; i < MANY; i++)
            assert_non_null(objects[i] = fpheap_alloc(heap, 2048));
        fpheap_free_bulk(heap, objects, MANY);
        fpheap_trim(heap);
        assert_int_equal(region_bytes(heap), 0);
        assert_true(parts || s.held == 0);
        TEST_DESTROY(heap);
    }
}

/* What was reserved is kept for its users: it goes back only if a call would
 * fail otherwise. */
static void
what_is_reserved_stays_while_large_objects_come_and_go(void **state)
{
    source   s;
    fpheap  *heap = heap_over(&s, 0, 0);
    size_t   bytes;
    unsigned gets, i;
    void    *objects[64];

    (void)state;
    assert_int_equal(fpheap_reserve(heap, 4 * MIB, 0), 0);
    for (bytes = 8 * MIB; bytes < 32 * MIB; bytes += MIB)
        fpheap_free(heap, fpheap_alloc(heap, bytes));
    assert_int_equal(fpheap_trim(heap) == 0, 0);
    assert_int_equal(fpheap_reserve(heap, 4 * MIB, 0), 0);
    for (bytes = 8 * MIB; bytes < 12 * MIB; bytes += MIB)
        fpheap_free(heap, fpheap_alloc(heap, bytes));
    gets = s.gets;
    for (i = 0; i < 48; i++)
        assert_non_null(objects[i] = fpheap_alloc(heap, FPHEAP_PAGE));
    assert_int_equal(s.gets, gets);
    fpheap_free_bulk(heap, objects, 48);
    TEST_DESTROY(heap);
}

/* --- no failure while free memory would do -------------------------------- */

/* The size at which a growing object can grow no further. */
static size_t
grows_to(fpheap *heap)
{
    char  *object = NULL, *next;
    size_t bytes = MIB / 2;

    for (; (next = (char *)fpheap_realloc(heap, object, bytes)) != NULL;
         bytes += MIB / 2)
        object = next;
    fpheap_free(heap, object);
    return bytes;
}

static void
an_object_grows_as_far_with_a_provider_that_ends_as_with_a_limit(void **state)
{
    /* No two of its regions are neighbours, not even by chance. */
    static test_provider apart;
    fpheap_config config;
    fpheap       *heap;
    size_t        most;

    (void)state;
    memset(&config, 0, sizeof config);
    config.provider = &apart.calls;
    config.limit = 64 * MIB;
    test_provider_init(&apart);
    assert_non_null(heap = fpheap_create("limit", &config));
    most = grows_to(heap);
    assert_int_equal(errno, ENOSPC);
    assert_true(most >= 28 * MIB);
    TEST_DESTROY_OVER(heap, &apart);
    config.limit = 0;
    test_provider_init(&apart);
    apart.limit_bytes = 64 * MIB;
    assert_non_null(heap = fpheap_create("end", &config));
    assert_true(grows_to(heap) >= most);
    assert_int_equal(errno, ENOMEM);
    TEST_DESTROY_OVER(heap, &apart);
}

/* All memory was small objects; half of it serves as one large one. */
static void
memory_of_small_objects_serves_large_ones(void **state)
{
    static void *objects[MANY];
    size_t       budget = 32 * MIB;
    unsigned     limited;

    (void)state;
    for (limited = 0; limited < 2; limited++) {
        source   s;
        fpheap  *heap = heap_over(&s, limited ? 0 : budget,
                                  limited ? budget : 0);
        void    *large;
        unsigned n = 0;

        while (n < MANY && (objects[n] = fpheap_alloc(heap, 3000)) != NULL)
            n++;
        assert_true(n > 8000 && n < MANY);
        fpheap_free_bulk(heap, objects, n);
        large = fpheap_alloc(heap, budget / 2);
        assert_non_null(large);
        fpheap_free(heap, large);
        TEST_DESTROY(heap);
    }
}

/* Chunks that no record describes are no use: where the system has no memory for
 * records, they come from any of them.  Else all pages serve objects. */
static void
records_fail_only_when_chunks_do(void **state)
{
    static void *objects[MANY];
    size_t       leasts[] = { 0, 8 * MIB, 32 * MIB };
    unsigned     i;

    (void)state;
    for (i = 0; i < 2 * TEST_COUNT(leasts); i++) {
        source       s;
        fpheap      *heap = heap_over(&s, 0, 64 * MIB);
        fpheap_stats stats;
        unsigned     n = 0;

        s.least = leasts[i / 2];
        system_is_out = i % 2;
        while (n < MANY && (objects[n] = fpheap_alloc(heap, FPHEAP_PAGE / 16))
                               != NULL)
            n++;
        assert_int_equal(errno, ENOSPC);
        fpheap_stats_get(heap, &stats);
        assert_true(stats.region_bytes == 64 * MIB
                    || stats.region_bytes + s.least > 64 * MIB);
        assert_int_equal(stats.page_free_bytes, 0);
        assert_in_range(stats.metadata_bytes, system_is_out,
                        system_is_out * stats.region_bytes / 16);
        fpheap_free_bulk(heap, objects, n);
        system_is_out = 0;
        TEST_DESTROY(heap);
    }
}

static void
a_reserve_takes_memory_in_the_pieces_that_there_are(void **state)
{
    source   s;
    fpheap  *heap = heap_over(&s, 0, 0);
    unsigned gets, i;
    void    *objects[200];

    (void)state;
    s.most = 2 * MIB;
    assert_int_equal(fpheap_reserve(heap, 16 * MIB, 0), 0);
    gets = s.gets;
    for (i = 0; i < 100; i++)
        assert_non_null(objects[i] = fpheap_alloc(heap, 8 * FPHEAP_PAGE));
    assert_int_equal(s.gets, gets);
    fpheap_free_bulk(heap, objects, 100);
    TEST_DESTROY(heap);
}

static void
a_reserve_gets_all_that_the_limit_allows(void **state)
{
    source   s;
    fpheap  *heap = heap_over(&s, 0, 64 * MIB);
    void    *objects[64 * MIB / FPHEAP_CHUNK]; /* regions may lie apart */
    unsigned gets;

    (void)state;
    assert_int_equal(fpheap_reserve(heap, 64 * MIB + 1, 0), -ENOSPC);
    TEST_CHECK_LIVE(heap, 0);
    assert_int_equal(fpheap_reserve(heap, 64 * MIB, 0), 0);
    TEST_CHECK_LIVE(heap, 0);
    assert_int_equal(region_bytes(heap), 64 * MIB);
    gets = s.gets;
    assert_int_equal(fpheap_alloc_bulk(heap, FPHEAP_CHUNK, objects,
                                       TEST_COUNT(objects)), 0);
    assert_int_equal(s.gets, gets);
    fpheap_free_bulk(heap, objects, TEST_COUNT(objects));
    TEST_DESTROY(heap);
}

/* The fault: each length had places of its own in the table of regions, for
 * good. */
static void
regions_of_all_lengths_share_the_table(void **state)
{
    static void *objects[100];
    source   s;
    fpheap  *heap = heap_over(&s, 0, 0);
    size_t   chunks;
    unsigned i;

    (void)state;
    for (chunks = 2; chunks < 128; chunks *= 2) {
        for (i = 0; i < 100; i++)
            assert_non_null(objects[i] = fpheap_alloc(
                                heap, (chunks - 1) * FPHEAP_CHUNK));
        fpheap_free_bulk(heap, objects, 100);
        (void)fpheap_trim(heap);
        TEST_CHECK_LIVE(heap, 0);
    }
    assert_true(heap->state->regions < 120);
    TEST_DESTROY(heap);
}

/* --- objects take what they should ---------------------------------------- */

/* Region bytes for each 1,000 that are asked for, n objects of a size. */
static size_t
permille_of(size_t size, int as_pool)
{
    static void     *objects[MANY];
    source           s;
    fpheap          *heap = heap_over(&s, 0, 0);
    fpheap_pool     *pool = NULL;
    fpheap_pool_desc desc;
    size_t           n    = 48 * MIB / size;
    size_t           i, used;

    memset(&desc, 0, sizeof desc);
    desc.name = "objects";
    desc.size = size;
    desc.align = 64;
    if (as_pool)
        assert_non_null(pool = fpheap_pool_create(heap, &desc));
    for (i = 0; i < n; i++) {
        objects[i] = as_pool ? fpheap_pool_get(pool) : fpheap_alloc(heap, size);
        assert_non_null(objects[i]);
    }
    used = region_bytes(heap) / (n * size / 1000);
    fpheap_free_bulk(heap, objects, (unsigned)n);
    TEST_DESTROY(heap);
    return used;
}

/* A step of growth is a sixteenth, and the heap's own records take 1 to 3 in a
 * hundred. */
static void
expect_packed(size_t from, size_t to, size_t most)
{
    size_t size;
    int    as_pool;

    for (size = from; size <= to; size *= 2)
        for (as_pool = 0; as_pool < 2; as_pool++) {
            size_t have = permille_of(size, as_pool);

            if (have <= most)
                continue;
            print_error("%zu bytes, %s: %zu permille\n", size,
                        as_pool ? "pool" : "heap", have);
            fail();
        }
}

static void
objects_of_a_power_of_two_fill_their_chunks(void **state)
{
    (void)state;
    expect_packed(512, FPHEAP_CHUNK / 2, 1100);
}

/* Nanoseconds for 64 allocations that need slabs of 5 to 7 pages, while each
 * of this many chunks has only 4 free pages in a row. */
static uint64_t
carve_ns(size_t chunks)
{
    static void *held[2048], *small[64];
    source   s;
    fpheap  *heap  = heap_over(&s, 0, 0);
    uint64_t took;
    size_t   size  = 0, i;
    unsigned k;

    for (k = 1; k < FPH_SIZES; k++) {
        unsigned pages = heap->state->classes[k].pages;

        if (pages > 4 && pages < 8)
            size = heap->state->classes[k].size;
    }
    assert_true(size != 0 && chunks <= TEST_COUNT(held));
    for (i = 0; i < chunks; i++)
        assert_non_null(held[i] = fpheap_alloc(heap, 27 * FPHEAP_PAGE));
    assert_int_equal(fpheap_reserve(heap, 8 * MIB, 0), 0);
    took = fph_now_ns();
    for (i = 0; i < TEST_COUNT(small); i++)
        assert_non_null(small[i] = fpheap_alloc(heap, size));
    took = fph_now_ns() - took;
    fpheap_free_bulk(heap, small, TEST_COUNT(small));
    fpheap_free_bulk(heap, held, (unsigned)chunks);
    TEST_DESTROY(heap);
    return took;
}

static void
a_slab_is_made_without_a_look_at_each_chunk(void **state)
{
    uint64_t few = UINT64_MAX, many = UINT64_MAX;
    unsigned i;

    (void)state;
    for (i = 0; i < 5; i++) {
        uint64_t one = carve_ns(16), other = carve_ns(2000);

        few = one < few ? one : few;
        many = other < many ? other : many;
    }
    if (many > 4 * few)
        print_error("%u ns in 16 chunks, %u in 2000\n", (unsigned)few,
                    (unsigned)many);
    assert_true(many <= 4 * few);
}

/* --- nothing is forgotten ------------------------------------------------- */

static void
fail_to_allocate(fpheap *heap, unsigned times)
{
    for (; times > 0; times--)
        assert_null(fpheap_alloc(heap, FPHEAP_PAGE));
}

/* It gives more than asked for, so the last one goes beyond the limit. */
static void
what_a_provider_without_put_gave_is_used(void **state)
{
    source   s;
    fpheap  *heap = heap_over(&s, 0, 20 * MIB);
    unsigned gets;

    (void)state;
    heap->provider.put = NULL;
    s.least = 8 * MIB;
    while (fpheap_alloc(heap, FPHEAP_PAGE) != NULL)
        ;
    assert_int_equal(errno, ENOSPC);
    gets = s.gets;
    fail_to_allocate(heap, 100);
    assert_int_equal(s.gets, gets);
    assert_int_equal(region_bytes(heap), s.held);
    TEST_CHECK(heap);
    heap->provider.put = source_put;
    assert_int_equal(fpheap_destroy_forced(heap), 0);
    assert_int_equal(s.held, 0);
}

static int
refuse_put(void *ctx, const fpheap_region *region)
{
    (void)ctx, (void)region;
    return -EIO;
}

static void
memory_that_cannot_be_used_or_handed_back_is_waste_and_has_a_bound(void **state)
{
    source       s;
    fpheap      *heap = heap_over(&s, 0, 0);
    fpheap_stats stats;
    unsigned     gets;

    (void)state;
    while (fpheap_alloc(heap, FPHEAP_PAGE) != NULL && s.held < 4 * MIB)
        ;
    s.spoiled = 1;
    heap->provider.put = refuse_put;
    while (fpheap_alloc(heap, FPHEAP_PAGE) != NULL)
        ;
    assert_int_equal(errno, EFAULT);
    fail_to_allocate(heap, 20);
    gets = s.gets;
    fail_to_allocate(heap, 100);
    assert_int_equal(errno, EFAULT);
    assert_int_equal(s.gets, gets);
    fpheap_stats_get(heap, &stats);
    assert_int_equal(stats.region_bytes, s.held);
    assert_true(stats.waste_bytes > 0);
    TEST_CHECK(heap);
    assert_int_equal(fpheap_destroy_forced(heap), 0);
}

/* --- what is behind free memory ------------------------------------------- */

static test_provider behind;

/* What it was asked to free, and for hugepages. */
typedef struct asked_for {
    char       *at;
    size_t      bytes;
    fpheap_huge what;
} asked_for;

static asked_for freed[64], huge[64];
static unsigned  frees, huges;
static size_t    give_only;    /* bytes of each region, from its second page
                                  on; 0: all */

static void
note_decommit(void *ctx, void *base, size_t bytes)
{
    assert_ptr_equal(ctx, &behind);
    assert_int_equal(fph_this.frames->what, FPH_IN_PROVIDER);
    assert_true(frees < TEST_COUNT(freed));
    freed[frees].at = (char *)base;
    freed[frees++].bytes = bytes;
}

static int
note_huge(void *ctx, void *chunk, size_t bytes, fpheap_huge what)
{
    assert_ptr_equal(ctx, &behind);
    assert_int_equal(fph_this.frames->what, FPH_IN_PROVIDER);
    assert_true(huges < TEST_COUNT(huge));
    huge[huges].at = (char *)chunk;
    huge[huges].bytes = bytes;
    huge[huges++].what = what;
    return what != FPHEAP_HUGE_NONE;
}

/* Where a group of chunks begins, in the system's shortest pages. */
static int
get_grouped(void *ctx, size_t bytes, size_t align, int node,
            fpheap_region *region)
{
    int         rc = test_provider_get(ctx, bytes, FPH_GROUP * align, node,
                                       region);
    test_grant *grant = (test_grant *)region->cookie;

    if (rc != 0)
        return rc;
    madvise(region->base, bytes, MADV_NOHUGEPAGE);
    if (give_only != 0) {
        behind.held_bytes -= region->bytes - give_only;
        region->base = (char *)region->base + FPHEAP_PAGE;
        region->bytes = give_only;
        grant->region = *region;
    }
    return 0;
}

static fpheap *
heap_over_behind(unsigned nodes)
{
    fpheap_config config;
    fpheap       *heap;

    memset(&config, 0, sizeof config);
    test_provider_init(&behind);
    behind.calls.get = get_grouped;
    behind.calls.decommit = note_decommit;
    behind.calls.huge = note_huge;
    config.provider = &behind.calls;
    config.nodes = nodes;
    give_only = 0;
    heap = fpheap_create("behind", &config);
    assert_non_null(heap);
    frees = huges = 0;
    return heap;
}

/* Grow by so many chunks.  Returns the number of the first. */
static size_t
grown_by(fpheap *heap, int node, size_t chunks)
{
    assert_int_equal(fph_grow(heap, node, fph_need_of(heap, 1, 1), chunks,
                              heap->state->growths), 0);
    return fph_page_of(heap->state,
                       behind.grant[behind.grants - 1].region.base)
           / FPH_PAGES;
}

static void
claim_all(fpheap *heap, size_t chunk)
{
    assert_true(fph_part_take(heap->state, chunk, FPH_ALL_PAGES)
                == FPH_ALL_PAGES);
}

/* Whether it has its memory, so far as the system's pages tell. */
static void
expect_present(const fpheap *heap, size_t page, int is)
{
    if ((size_t)sysconf(_SC_PAGESIZE) <= FPHEAP_PAGE)
        assert_int_equal(fph_map_present(fph_page_address(heap->state, page),
                                         FPHEAP_PAGE), is ? FPHEAP_PAGE : 0);
}

static void
the_free_memory_of_a_node_is_touched_and_has_records(void **state)
{
    fpheap    *heap = heap_over_behind(2);
    fph_state *s = heap->state;
    size_t     first = grown_by(heap, 1, 3);
    fph_chunk *chunk = &s->chunks[first], *other = fph_chunk_of(
                           s, behind.grant[0].region.base);
    unsigned   i;

    (void)state;
    claim_all(heap, first);
    fph_part_give(s, first, FPH_ALL_PAGES & ~(uint64_t)0x1e); /* but for 4 */
    claim_all(heap, first + 1);
    fph_part_give(s, first + 1, 1);
    claim_all(heap, first + 2);
    assert_int_equal(fph_node_touch(heap, 1), FPH_PAGES - 4 + 1);
    assert_true(other->records == NULL && !other->reserved);
    assert_int_equal(huges, 2);
    assert_ptr_equal(huge[0].at, fph_page_address(s, first * FPH_PAGES));
    assert_int_equal(huge[0].what, FPHEAP_HUGE_NOW);
    assert_int_equal(huge[0].bytes, FPHEAP_CHUNK);
    assert_ptr_equal(huge[1].at, huge[0].at + FPHEAP_CHUNK);
    for (i = 0; i < 2; i++)
        assert_true(chunk[i].records != NULL && chunk[i].reserved == 1);
    assert_true(chunk[2].records == NULL && chunk[2].reserved == 0);
    for (i = 0; i < FPH_PAGES; i++)
        expect_present(heap, first * FPH_PAGES + i, i == 0 || i > 4);
    expect_present(heap, (first + 1) * FPH_PAGES, 1);
    expect_present(heap, (first + 1) * FPH_PAGES + 1, 0);
    assert_true(s->free[first] == (FPH_ALL_PAGES & ~(uint64_t)0x1e));
    assert_true(s->free[first + 1] == 1 && s->free[first + 2] == 0);
    assert_int_equal(fph_node_touch(heap, 0), 2 * FPH_PAGES);
    assert_true(other->records != NULL && other->reserved == 1);
    fph_part_give(s, first, 0x1e);
    fph_part_give(s, first + 1, FPH_ALL_PAGES - 1);
    fph_part_give(s, first + 2, FPH_ALL_PAGES);
    TEST_DESTROY_OVER(heap, &behind);
}

/* While the provider is asked, another thread gives these pages back. */
static fpheap  *given_to;
static uint64_t given_mask;

static void
give_some(test_provider *p)
{
    (void)p;
    fph_part_give(given_to->state,
                  fph_page_of(given_to->state, behind.grant[0].region.base)
                  / FPH_PAGES, given_mask);
}

static void
a_reserve_asks_for_what_is_not_free_yet(void **state)
{
    fpheap    *heap = heap_over_behind(1);
    size_t     first = fph_page_of(heap->state, behind.grant[0].region.base)
                     / FPH_PAGES;
    fph_frame  frame = { FPH_IN_PASS, heap, NULL, NULL };

    (void)state;
    assert_int_equal(fph_ready_grow(heap, 0, 2 * FPH_PAGES), 0);
    assert_int_equal(behind.gets, 1);
    assert_int_equal(fph_ready_grow(heap, 0, 3 * FPH_PAGES + 1), 0);
    assert_int_equal(behind.gets, 2);
    assert_int_equal(behind.grant[1].asked, 2 * FPHEAP_CHUNK);
    /* Each growth brings one page, the second of a chunk. */
    give_only = FPHEAP_PAGE;
    assert_int_equal(fph_ready_grow(heap, 0, 4 * FPH_PAGES + 3), 0);
    assert_int_equal(behind.gets, 5);
    /* It is refused, but beside that the pages have come. */
    claim_all(heap, first);
    behind.limit_bytes = behind.held_bytes;
    given_to = heap;
    given_mask = 0x3f;
    behind.inside_get = give_some;
    assert_int_equal(fph_ready_grow(heap, 0, 3 * FPH_PAGES + 3 + 6), -ENOMEM);
    assert_int_equal(fph_part_take(heap->state, first, 0x3f), 0x3f);
    fph_this.frames = &frame;
    assert_int_equal(fph_ready_grow(heap, 0, 3 * FPH_PAGES + 3 + 6), 0);
    assert_int_equal(fph_part_take(heap->state, first, 0x3f), 0x3f);
    assert_int_equal(fph_ready_grow(heap, 0, 3 * FPH_PAGES + 3 + 7), -ENOMEM);
    fph_this.frames = NULL;
    fph_wait_begin();
    fph_part_give(heap->state, first, FPH_ALL_PAGES & ~given_mask);
    behind.inside_get = NULL;
    TEST_DESTROY_OVER(heap, &behind);
}

/* Each run of a chunk by itself; of a chunk without any free page, none. */
static void
free_pages_are_decommitted_run_by_run(void **state)
{
    fpheap    *heap = heap_over_behind(1);
    fph_state *s = heap->state;
    size_t     first = grown_by(heap, 0, 3), zero;
    char      *base = fph_page_address(s, first * FPH_PAGES);
    uint64_t   some = 0x1c | (uint64_t)1 << (FPH_PAGES - 1);
    unsigned   i;

    (void)state;
    zero = fph_page_of(s, behind.grant[0].region.base) / FPH_PAGES;
    claim_all(heap, zero);
    for (i = 0; i < 3; i++) {
        claim_all(heap, first + i);
        s->chunks[first + i].huge = 1;
    }
    fph_part_give(s, first, some);
    fph_part_give(s, first + 1, 1);
    fph_pages_decommit(heap);
    assert_null(fph_this.frames);
    assert_int_equal(frees, 4);
    assert_ptr_equal(freed[0].at, fph_page_address(s, (zero + 1) * FPH_PAGES));
    assert_int_equal(freed[0].bytes, FPHEAP_CHUNK);
    assert_ptr_equal(freed[1].at, base + 2 * FPHEAP_PAGE);
    assert_int_equal(freed[1].bytes, 3 * FPHEAP_PAGE);
    assert_ptr_equal(freed[2].at, base + FPHEAP_CHUNK - FPHEAP_PAGE);
    assert_int_equal(freed[2].bytes, FPHEAP_PAGE);
    assert_ptr_equal(freed[3].at, base + FPHEAP_CHUNK);
    assert_int_equal(freed[3].bytes, FPHEAP_PAGE);
    assert_int_equal(huges, 2);
    for (i = 0; i < 2; i++) {
        assert_ptr_equal(huge[i].at, base + i * FPHEAP_CHUNK);
        assert_int_equal(huge[i].what, FPHEAP_HUGE_NONE);
    }
    assert_true(s->free[first] == some && s->free[first + 1] == 1);
    assert_true(s->free[zero] == 0 && s->free[zero + 1] == FPH_ALL_PAGES);
    /* Of another backing, nothing. */
    frees = 0;
    s->region[1].raw.backing = FPHEAP_BACKING_HUGETLB;
    fph_pages_decommit(heap);
    assert_int_equal(frees, 1);
    s->region[1].raw.backing = FPHEAP_BACKING_PAGES;
    fph_part_give(s, zero, FPH_ALL_PAGES);
    fph_part_give(s, first, FPH_ALL_PAGES & ~some);
    fph_part_give(s, first + 1, FPH_ALL_PAGES - 1);
    fph_part_give(s, first + 2, FPH_ALL_PAGES);
    TEST_DESTROY_OVER(heap, &behind);
}

#if FPHEAP_CHECK < 2
/* A slab of objects of so many bytes whose last page is `last`; nothing else is
 * free.  Returns how many objects it has. */
static unsigned
slab_up_to(fpheap *heap, size_t size, size_t last, void **all)
{
    fph_state *s = heap->state;
    unsigned   k = 1, i;

    while (s->classes[k].size < size)
        k++;
    assert_int_equal(s->classes[k].size, size);
    while (fph_pages_find(heap, 0, 1, 1) != FPH_NO_PAGE)
        ;
    fph_pages_give(s, last + 1 - s->classes[k].pages, s->classes[k].pages);
    for (i = 0; i < s->classes[k].count; i++)
        assert_non_null(all[i] = fpheap_alloc(heap, size - FPH_HEAD
                                                    - FPH_SLACK));
    assert_int_equal(s->free[last / FPH_PAGES], 0);
    return i;
}

/* Free every second one; but for this thread's, all lie in the slab then. */
static unsigned
free_every_second(fpheap *heap, void **all, unsigned n)
{
    unsigned i;

    for (i = 0; i < n; i += 2)
        fpheap_free(heap, all[i]);
    fph_reclaim(heap, 0, 1 /* always */);
    frees = huges = 0;
    return (n + 1) / 2;
}

/* Whether these very objects were decommitted, each once. */
static void
expect_freed(void **all, unsigned n, size_t bytes)
{
    unsigned i, k;

    assert_int_equal(frees, (n + 1) / 2);
    for (i = 0; i < n; i += 2) {
        unsigned times = 0;

        for (k = 0; k < frees; k++)
            times += freed[k].at == (char *)all[i];
        assert_int_equal(times, 1);
    }
    for (k = 0; k < frees; k++)
        assert_int_equal(freed[k].bytes, bytes);
}

static void
give_all_pages(fpheap *heap)
{
    fph_state *s = heap->state;
    unsigned   g, c, i;

    for (g = 0; g < 2; g++) {
        size_t first = fph_page_of(s, behind.grant[g].region.base) / FPH_PAGES;

        for (c = 0; c < 2; c++)
            for (i = 0; i < FPH_PAGES; i++) {
                size_t page = (first + c) * FPH_PAGES + i;

                if (!fph_page_is_free(s, page))
                    fph_pages_give(s, page, 1);
            }
    }
}

/* Objects from 16 KiB on; of a slab at the end of what is here, and of one that
 * reaches into the next chunk with a page. */
static void
free_objects_are_decommitted_one_by_one(void **state)
{
    static void *all[64];
    unsigned     way;

    (void)state;
    for (way = 0; way < 5; way++) {
        fpheap    *heap = heap_over_behind(1);
        fph_state *s = heap->state;
        size_t     first = grown_by(heap, 0, 2);
        size_t     last = (first + 1) * FPH_PAGES;
        size_t     size = way == 4 ? FPH_DECOMMIT_FROM * 3 / 4
                                   : FPH_DECOMMIT_FROM;
        unsigned   n, half, i;

        n = slab_up_to(heap, size, way == 0 ? last + FPH_PAGES - 1 : last, all);
        half = free_every_second(heap, all, n);
        s->chunks[first].huge = s->chunks[first + 1].huge = 1;
        s->chunks[first].plain = way != 2;
        s->chunks[first + 1].plain = way != 3;
        fph_objects_decommit(heap);
        if (way < 2)
            expect_freed(all, n, size - FPH_HEAD);
        else
            assert_int_equal(frees, 0);
        assert_int_equal(huges, way < 2 ? way + 1 : 0);
        for (i = 0; i < huges; i++)
            assert_true(huge[i].what == FPHEAP_HUGE_NONE
                        && huge[i].at == fph_page_address(
                               s, (first + 1 - way + i) * FPH_PAGES));
        s->chunks[first].plain = s->chunks[first + 1].plain = 1;
        for (i = 0; i < n; i += 2, half--)
            assert_non_null(all[i] = fpheap_alloc(heap, size - FPH_HEAD
                                                        - FPH_SLACK));
        assert_int_equal(half, 0);
        assert_int_equal(behind.gets, 2);
        fpheap_free_bulk(heap, all, n);
        fph_reclaim(heap, 0, 1 /* always */);
        give_all_pages(heap);
        TEST_DESTROY_OVER(heap, &behind);
    }
}
#endif

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            an_object_that_grows_leaves_no_more_than_itself_behind),
        cmocka_unit_test(objects_that_shrink_leave_no_more_than_they_were),
        cmocka_unit_test(sizes_at_random_take_no_more_than_twice_the_most_live),
        cmocka_unit_test(
            objects_that_change_their_sizes_do_not_add_up_to_the_longest_of_each
            ),
        cmocka_unit_test(
            what_a_thread_parks_of_large_objects_serves_before_the_heap_grows),
        cmocka_unit_test(slabs_that_are_empty_serve_before_the_heap_grows),
        cmocka_unit_test(all_that_is_freed_goes_back),
        cmocka_unit_test(
            what_is_reserved_stays_while_large_objects_come_and_go),
        cmocka_unit_test(
            an_object_grows_as_far_with_a_provider_that_ends_as_with_a_limit),
        cmocka_unit_test(memory_of_small_objects_serves_large_ones),
        cmocka_unit_test(records_fail_only_when_chunks_do),
        cmocka_unit_test(a_reserve_takes_memory_in_the_pieces_that_there_are),
        cmocka_unit_test(a_reserve_gets_all_that_the_limit_allows),
        cmocka_unit_test(regions_of_all_lengths_share_the_table),
        cmocka_unit_test(objects_of_a_power_of_two_fill_their_chunks),
        cmocka_unit_test(a_slab_is_made_without_a_look_at_each_chunk),
        cmocka_unit_test(the_free_memory_of_a_node_is_touched_and_has_records),
        cmocka_unit_test(a_reserve_asks_for_what_is_not_free_yet),
        cmocka_unit_test(free_pages_are_decommitted_run_by_run),
#if FPHEAP_CHECK < 2
        cmocka_unit_test(free_objects_are_decommitted_one_by_one),
#endif
        cmocka_unit_test(what_a_provider_without_put_gave_is_used),
        cmocka_unit_test(
            memory_that_cannot_be_used_or_handed_back_is_waste_and_has_a_bound),
    };

    return cmocka_run_group_tests_name("growth", tests, NULL, NULL);
}
