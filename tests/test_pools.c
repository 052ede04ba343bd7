/* test_pools.c - a pool's objects have exactly their size and alignment, and
 * keep every byte between put and get; their memory is the pool's or the heap's,
 * as asked; pools are found by name, shown, refused, and served by node.
 */
#define FPHEAP_MAX_NODES 8
#define FPHEAP_IMPLEMENTATION
#include "fpheap.h"
#include "pool_util.h"

#define NODES 3

/* --- size and place ------------------------------------------------------- */

/* A pool's objects have 16 bytes at least. */
static size_t
rounded(size_t size, size_t align)
{
    return ((size < 16 ? 16 : size) + align - 1) / align * align;
}

static void
check_stride(fpheap *heap, size_t size, size_t align)
{
    fpheap_pool_desc desc = described("sized", size, align);
    fpheap_pool     *pool = CREATE(heap, &desc);
    size_t           stride = rounded(size, align == 0 ? 16 : align);
    unsigned         n = size > 20000 ? 5 : 70;
    unsigned         i;

    assert_int_equal(STATS(pool).size, stride);
    get_all(pool, n);
    for (i = 0; i < n; i++) {
        assert_int_equal((uintptr_t)objects[i] % (align == 0 ? 16 : align), 0);
        assert_int_equal(fpheap_usable_size(heap, objects[i]), stride);
        assert_ptr_equal(fpheap_base_of(heap, (char *)objects[i] + stride - 1),
                         objects[i]);
        memset(objects[i], (int)i, stride);
    }
    check_disjoint(heap, n);
    for (i = 0; i < n; i++)
        assert_true(test_all_bytes(objects[i], stride, (unsigned char)i));
    put_all(pool, n);
    TEST_CHECK_LIVE(heap, 0);
    END(pool);
}

static void
an_object_is_its_size_rounded_to_its_alignment_and_no_more(void **state)
{
    fpheap     *heap = test_heap_over(&provider);
    test_random random = test_random_of(41);
    size_t      align;
    unsigned    i;

    (void)state;
    check_stride(heap, 2304, 64);
    check_stride(heap, 24, 8);
    check_stride(heap, 2304, 0);
    check_stride(heap, 1, 0);
    for (align = 1; align <= FPHEAP_PAGE; align *= 2) {
        check_stride(heap, 1, align);
        check_stride(heap, 3, align);
        check_stride(heap, align, align);
        check_stride(heap, align + 1, align);
        if (align > 2)
            check_stride(heap, align - 1, align);
        for (i = 0; i < 6; i++)
            check_stride(heap, 1 + test_size(&random, 17), align);
    }
    TEST_CHECK_LIVE(heap, 0);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
slabs_waste_at_most_a_sixteenth(void **state)
{
    static const size_t sizes[] = { 24, 40, 192, 200, 1088, 2304, 2368, 3000,
                                    4160, 5008, 9216 };
    size_t s;

    (void)state;
    for (s = 0; s < TEST_COUNT(sizes); s++) {
        fpheap          *heap = test_heap_over(&provider);
        fpheap_pool_desc desc = described("dense", sizes[s], 8);
        fpheap_pool     *pool = CREATE(heap, &desc);
        fpheap_stats     before;
        fpheap_stats     after;
        size_t           bytes;

        fpheap_stats_get(heap, &before);
        get_all(pool, sizes[s] > 1000 ? 2000 : MOST);
        fpheap_stats_get(heap, &after);
        bytes = STATS(pool).objects * sizes[s];
        assert_true(after.waste_bytes - before.waste_bytes <= bytes / 16);
        put_all(pool, sizes[s] > 1000 ? 2000 : MOST);
        TEST_DESTROY_OVER(heap, &provider);
    }
}

static void
the_largest_object_is_a_chunk_less_a_page(void **state)
{
    fpheap          *heap = test_heap_over(&provider);
    fpheap_pool_desc desc = described("largest", FPHEAP_POOL_SIZE_MAX, 0);
    fpheap_pool     *pool;
    size_t           align;
    unsigned         i;

    (void)state;
    for (align = 16; align <= FPHEAP_PAGE; align *= FPHEAP_PAGE / 16) {
        desc.align = align;
        pool = CREATE(heap, &desc);
        get_all(pool, 4);
        for (i = 0; i < 4; i++) {
            assert_int_equal((uintptr_t)objects[i] % align, 0);
            memset(objects[i], (int)i + 1, FPHEAP_POOL_SIZE_MAX);
        }
        for (i = 0; i < 4; i++)
            assert_true(test_all_bytes(objects[i], FPHEAP_POOL_SIZE_MAX,
                                       (unsigned char)(i + 1)));
        TEST_CHECK_LIVE(heap, 4);
        put_all(pool, 4);
        END(pool);
    }
    TEST_DESTROY_OVER(heap, &provider);
}

static size_t
common_divisor(size_t a, size_t b)
{
    while (b != 0) {
        size_t rest = a % b;

        a = b;
        b = rest;
    }
    return a;
}

/* What optimize_object_size of DPDK's rte_mempool makes of a size. */
static size_t
spread_stride(size_t size, unsigned channels, unsigned ranks)
{
    size_t lines = (size + 63) / 64;

    while (common_divisor(lines, (size_t)channels * ranks) != 1)
        lines++;
    return lines * 64;
}

static void
channels_and_ranks_give_the_stride_of_dpdk(void **state)
{
    static const unsigned shapes[][2] = { { 4, 2 }, { 2, 1 }, { 3, 0 },
                                          { 6, 1 }, { 4, 4 }, { 1, 1 },
                                          { 1, 8 } };
    fpheap  *heap = test_heap_over(&provider);
    size_t   size;
    size_t   s;
    unsigned i;

    (void)state;
    for (s = 0; s < TEST_COUNT(shapes); s++) {
        for (size = 40; size < 20000; size = size * 5 / 4 + 24) {
            fpheap_pool_desc desc = described("spread", size, 64);
            unsigned         ranks = shapes[s][1] == 0 ? 1 : shapes[s][1];
            size_t           banks = (size_t)shapes[s][0] * ranks;
            fpheap_pool     *pool;
            uint64_t         seen = 0;

            desc.channels = shapes[s][0];
            desc.ranks = shapes[s][1];
            pool = CREATE(heap, &desc);
            assert_int_equal(STATS(pool).size,
                             spread_stride(size, shapes[s][0], ranks));
            get_all(pool, (unsigned)banks);
            check_disjoint(heap, (unsigned)banks);
            /* Neighbours begin in different banks. */
            for (i = 0; i < banks; i++)
                seen |= UINT64_C(1) << ((uintptr_t)objects[0]
                                        + i * STATS(pool).size) / 64 % banks;
            if (size < 1000)
                assert_int_equal(seen, (UINT64_C(1) << banks) - 1);
            put_all(pool, (unsigned)banks);
            END(pool);
        }
    }
    TEST_DESTROY_OVER(heap, &provider);
}

static void
page_isolated_objects_are_whole_pages(void **state)
{
    fpheap          *heap = test_heap_over(&provider);
    fpheap_pool_desc desc = described("isolated", 2304, 8);
    fpheap_pool     *pool;
    unsigned         i;

    (void)state;
    desc.flags = FPHEAP_PAGE_ISOLATED;
    pool = CREATE(heap, &desc);
    get_all(pool, 6000);
    for (i = 0; i < 6000; i++) {
        void *other = fpheap_alloc(heap, 2304);

        assert_true((uintptr_t)other / FPHEAP_PAGE
                    != (uintptr_t)objects[i] / FPHEAP_PAGE);
        fpheap_free(heap, other);
    }
    put_all(pool, 6000);
    END(pool);
    TEST_DESTROY_OVER(heap, &provider);
}

/* --- what an object has in it --------------------------------------------- */

/* A pattern of all bytes that can be told right without a note elsewhere: its
 * number comes first, and no byte of it can change without a contradiction. */
static void
stamp(void *object, size_t bytes, uint64_t number)
{
    unsigned char *at = (unsigned char *)object;
    size_t         i;

    set_word(object, number);
    test_fill(at + 8, bytes - 8, number);
    for (i = bytes / 8 * 8; i < bytes; i++)
        at[i] = (unsigned char)((uintptr_t)at + i + number);
}

static int
stamped(const void *object, size_t bytes)
{
    const unsigned char *at = (const unsigned char *)object;
    uint64_t             number = word_of(object);
    size_t               i;

    if (!test_filled(at + 8, bytes - 8, number))
        return 0;
    for (i = bytes / 8 * 8; i < bytes; i++)
        if (at[i] != (unsigned char)((uintptr_t)at + i + number))
            return 0;
    return 1;
}

static int
construct_stamped(void *arg, void *object)
{
    stamp(object, *(const size_t *)arg, 1);
    return 0;
}

/* Puts, with what moves parked objects on: caches, depot and slabs. */
static void
churn(fpheap *heap, fpheap_pool *pool, size_t bytes, unsigned flags)
{
    test_random random = test_random_of(bytes);
    unsigned    live = 0;
    uint64_t    number = 2;
    unsigned    step;

    for (step = 0; step < 20000; step++) {
        size_t kind = test_below(&random, 200);

        if (kind < 100 && live < 3000) {
            objects[live] = fpheap_pool_get(pool);
            assert_true(stamped(objects[live], bytes));
            live++;
        } else if (live > 0 && kind < 195) {
            unsigned i = (unsigned)test_below(&random, live);

            stamp(objects[i], bytes, number++);
            fpheap_pool_put(pool, objects[i]);
            objects[i] = objects[--live];
        } else if (kind == 196) {
            fpheap_flush(heap);
        } else if (kind == 197 && (flags & FPHEAP_TYPE_STABLE) != 0) {
            (void)fpheap_trim(heap);
        } else if (kind == 198) {
            unsigned n = (unsigned)test_below(&random, 200);

            assert_int_equal(fpheap_pool_get_bulk(pool, others, n), 0);
            for (; n > 0; n--) {
                assert_true(stamped(others[n - 1], bytes));
                fpheap_pool_put(pool, others[n - 1]);
            }
        } else if (kind == 199) {
            fpheap_thread_leave(heap);
        }
    }
    fpheap_pool_put_bulk(pool, objects, live);
}

static void
all_bytes_are_kept_from_put_to_get(void **state)
{
    static const size_t sizes[] = { 16, 24, 45, 2304, 3000 };
    size_t   s;
    unsigned flags;

    (void)state;
    for (s = 0; s < TEST_COUNT(sizes); s++) {
        for (flags = 0; flags <= FPHEAP_TYPE_STABLE;
             flags += FPHEAP_TYPE_STABLE) {
            fpheap          *heap = test_heap_over(&provider);
            size_t           bytes = sizes[s];
            fpheap_pool_desc desc = described("kept", bytes, 1);
            fpheap_pool     *pool;

            if (sizes[s] == 24)
                desc.align = 8;
            if (sizes[s] == 2304)
                desc.align = 64;
            desc.magazine = s % 2 == 0 ? 8 : 0;
            desc.flags = flags;
            desc.construct = construct_stamped;
            desc.arg = &bytes;
            pool = CREATE(heap, &desc);
            churn(heap, pool, bytes, flags);
            TEST_DESTROY_OVER(heap, &provider);
        }
    }
}

/* --- whose memory it is --------------------------------------------------- */

static void
type_stable_memory_stays_the_pools_until_it_ends(void **state)
{
    fpheap           *heap = test_heap_within(&provider, 8 * FPHEAP_CHUNK);
    book              b;
    fpheap_pool_desc  desc = with_book("stable", 2304, &b);
    fpheap_pool_stats then;
    fpheap_pool      *pool;
    unsigned          n;
    unsigned          i;

    (void)state;
    desc.flags = FPHEAP_TYPE_STABLE;
    pool = CREATE(heap, &desc);
    get_all(pool, 3000);
    then = STATS(pool);
    put_all(pool, 3000);
    (void)fpheap_trim(heap);
    (void)fpheap_trim(heap);
    n = fill_with_others(heap, 3000);
    i = fill_with_others(heap, FPHEAP_CHUNK);
    assert_int_equal(i, 0);
    /* A stale pointer leads to an object of the pool, constructed. */
    for (i = 0; i < 3000; i++) {
        assert_ptr_equal(fpheap_base_of(heap, (char *)objects[i] + 2303),
                         objects[i]);
        assert_int_equal(fpheap_usable_size(heap, objects[i]), 2304);
        assert_int_equal(word_of(objects[i]), made(objects[i]));
    }
    assert_int_equal(STATS(pool).objects, then.objects);
    assert_int_equal(b.destructed, 0);
    TEST_CHECK_LIVE(heap, n);
    END(pool);
    assert_int_equal(b.destructed, b.constructed);
    assert_true(fill_with_others(heap, 2304) > 2000);
    assert_int_equal(fpheap_destroy_forced(heap), 0);
}

static void
other_memory_is_given_up_by_trim_and_serves_every_size(void **state)
{
    static const size_t sizes[] = { 3000, 60, 4 * FPHEAP_PAGE };
    fpheap          *heap = test_heap_within(&provider, 8 * FPHEAP_CHUNK);
    book             b;
    fpheap_pool_desc desc = with_book("passing", 2304, &b);
    fpheap_pool     *pool;
    size_t           s;

    (void)state;
    pool = CREATE(heap, &desc);
    for (s = 0; s < TEST_COUNT(sizes); s++) {
        unsigned full;
        unsigned n = get_until(pool, ENOMEM);

        assert_true(n > 5 * FPHEAP_CHUNK / 2304);
        put_all(pool, n);
        if (s % 2 == 0)
            (void)fpheap_trim(heap);
        /* Without trim, the need of others takes the memory. */
        n = 0;
        if (sizes[s] == 60) {
            while (n < MOST && (others[n] = fpheap_alloc(heap, 3000)) != NULL)
                n++;
            full = 5 * FPHEAP_CHUNK / 3000;
        } else {
            n = fill_with_others(heap, sizes[s]);
            full = (unsigned)(5 * FPHEAP_CHUNK / sizes[s]);
        }
        assert_true(n >= full);
        assert_true(b.destructed > 0);
        BALANCED(pool, &b);
        fpheap_free_bulk(heap, others, n);
        TEST_CHECK_LIVE(heap, 0);
    }
    END(pool);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
check_min(size_t size, size_t min, unsigned flags)
{
    fpheap          *heap = test_heap_within(&provider, 16 * FPHEAP_CHUNK);
    book             b;
    fpheap_pool_desc desc = with_book("ahead", size, &b);
    fpheap_pool     *pool;
    unsigned         round;
    unsigned         n;

    desc.min = min;
    desc.flags = flags;
    pool = CREATE(heap, &desc);
    assert_true(b.constructed >= min);
    assert_true(STATS(pool).objects >= min);
    assert_int_equal(STATS(pool).min, min);
    BALANCED(pool, &b);
    for (round = 0; round < 4; round++) {
        if (round >= 2)
            (void)fpheap_trim(heap);
        /* Others have all the rest. */
        provider.fail_from = 1;
        provider.fail_to = UINT_MAX;
        n = fill_with_others(heap, 50000);
        get_all(pool, (unsigned)min);
        BALANCED(pool, &b);
        TEST_CHECK_LIVE(heap, n + min);
        put_all(pool, (unsigned)min);
        fpheap_free_bulk(heap, others, n);
        /* Many more, and back. */
        provider.fail_from = 0;
        n = get_until(pool, ENOMEM);
        put_all(pool, n);
        (void)fpheap_trim(heap);
        assert_true(STATS(pool).objects >= min);
        assert_true(STATS(pool).objects < n);
        BALANCED(pool, &b);
    }
    END(pool);
    TEST_DESTROY_OVER(heap, &provider);
    assert_int_equal(b.constructed, b.destructed);
}

static void
min_objects_are_made_ahead_and_kept(void **state)
{
    (void)state;
    check_min(2304, 1, 0);
    check_min(2304, 100, 0);
    check_min(2304, 4000, 0);
    check_min(40000, 37, FPHEAP_PAGE_ISOLATED);
    check_min(FPHEAP_PAGE, 33, 0);
    check_min(FPHEAP_POOL_SIZE_MAX, 3, 0);
}

/* More than the first block of records has room for. */
static void
a_pool_is_made_with_magazines_for_all_its_min(void **state)
{
    fpheap          *heap = fpheap_create("min", NULL);
    fpheap_pool_desc desc;

    (void)state;
    memset(&desc, 0, sizeof(desc));
    desc.name = "short";
    desc.size = 200;
    desc.min = 40 * FPHEAP_CHUNK / 2000;
    desc.magazine = 2;
    assert_non_null(fpheap_pool_create(heap, &desc));
    assert_true(heap->state->magazines >= desc.min / 2);
    TEST_DESTROY(heap);
}

/* --- looking -------------------------------------------------------------- */

typedef struct visits {
    unsigned n;
    unsigned stop_at;          /* 0: never */
} visits;

static int
visit(void *arg, void *object)
{
    visits *v = (visits *)arg;

    assert_true(v->n < MOST);
    others[v->n++] = object;
    return v->n == v->stop_at ? 42 : 0;
}

static int
by_address(const void *left, const void *right)
{
    uintptr_t a = (uintptr_t)*(void *const *)left;
    uintptr_t b = (uintptr_t)*(void *const *)right;

    return (a > b) - (a < b);
}

/* Exactly these objects are shown. */
static void
expect_shown(fpheap_pool *pool, fpheap_which which, void **set, unsigned n)
{
    visits   v = { 0, 0 };
    unsigned i;

    assert_int_equal(fpheap_pool_for_each(pool, which, visit, &v), 0);
    assert_int_equal(v.n, n);
    qsort(set, n, sizeof(set[0]), by_address);
    qsort(others, n, sizeof(others[0]), by_address);
    for (i = 0; i < n; i++)
        assert_ptr_equal(others[i], set[i]);
}

/* What was constructed and not destructed, in order. */
static void    *standing[MOST];
static unsigned standings;

static int
construct_noted(void *arg, void *object)
{
    (void)arg;
    assert_true(standings < MOST);
    standing[standings++] = object;
    return 0;
}

static void
destruct_noted(void *arg, void *object)
{
    unsigned i = 0;

    (void)arg;
    while (i < standings && standing[i] != object)
        i++;
    assert_true(i < standings);
    standing[i] = standing[--standings];
}

static void
for_each_shows_all_objects_or_the_live_ones(void **state)
{
    static const size_t sizes[] = { 64, 2304, 50000 };
    test_random random = test_random_of(3);
    size_t      s;
    unsigned    round;

    (void)state;
    for (s = 0; s < TEST_COUNT(sizes); s++) {
        fpheap          *heap = test_heap_over(&provider);
        fpheap_pool_desc desc = described("shown", sizes[s], 0);
        unsigned         live = 0;
        visits           v = { 0, 3 };
        fpheap_pool     *pool;

        standings = 0;
        desc.construct = construct_noted;
        desc.destruct = destruct_noted;
        desc.magazine = 10;
        pool = CREATE(heap, &desc);
        expect_shown(pool, FPHEAP_LIVE, objects, 0);
        for (round = 0; round < 20; round++) {
            unsigned n = (unsigned)test_below(&random, 200);

            assert_int_equal(fpheap_pool_get_bulk(pool, objects + live, n), 0);
            live += n;
            expect_shown(pool, FPHEAP_ALL, standing, standings);
            expect_shown(pool, FPHEAP_LIVE, objects, live);
            n = (unsigned)test_below(&random, live + 1);
            live -= n;
            fpheap_pool_put_bulk(pool, objects + live, n);
            if (round % 5 == 0)
                fpheap_flush(heap);
            if (round % 5 == 1)
                (void)fpheap_trim(heap);
            assert_int_equal(STATS(pool).objects, standings);
            expect_shown(pool, FPHEAP_ALL, standing, standings);
            expect_shown(pool, FPHEAP_LIVE, objects, live);
        }
        get_all(pool, 5);
        assert_int_equal(fpheap_pool_for_each(pool, FPHEAP_LIVE, visit, &v),
                         42);
        assert_int_equal(v.n, 3);
        assert_int_equal(fpheap_destroy_forced(heap), 0);
        assert_int_equal(standings, 0);
    }
}

static void
the_private_area_is_zero_aligned_and_kept(void **state)
{
    static const size_t sizes[] = { 1, 64, 65, 1000, 0, 5000, 100000, 8,
                                    FPHEAP_CHUNK / 2, 300 };
    fpheap  *heap = test_heap_over(&provider);
    size_t   before = 0;
    unsigned round;
    size_t   s;

    (void)state;
    for (round = 0; round < 20; round++) {
        for (s = 0; s < TEST_COUNT(sizes); s++) {
            fpheap_pool_desc desc = described("private", 100, 0);
            fpheap_pool     *pool;
            char            *area;

            desc.private_bytes = sizes[s];
            pool = CREATE(heap, &desc);
            area = (char *)fpheap_pool_private(pool);
            if (sizes[s] == 0) {
                assert_null(area);
            } else {
                assert_int_equal((uintptr_t)area % 64, 0);
                assert_true(test_all_bytes(area, sizes[s], 0));
                memset(area, 0xa5, sizes[s]);
            }
            get_all(pool, 300);
            TEST_CHECK_LIVE(heap, 300);
            put_all(pool, 300);
            (void)fpheap_trim(heap);
            assert_ptr_equal(fpheap_pool_private(pool), area);
            assert_true(sizes[s] == 0
                        || test_all_bytes(area, sizes[s], 0xa5));
            END(pool);
        }
        (void)fpheap_trim(heap);
        if (round == 0)
            before = test_region_bytes(heap);
        assert_int_equal(test_region_bytes(heap), before);
    }
    TEST_DESTROY_OVER(heap, &provider);
}

/* --- names and places ----------------------------------------------------- */

static void
a_pool_is_found_by_its_name_alone(void **state)
{
    static const char *const names[] = {
        "a", "ab", "abc", "b", "abcdefgh", "abcdefghi", "abcdefg", " ",
        "0123456789012345678901234567890", "012345678901234567890123456789"
    };
    fpheap          *heap = test_heap_over(&provider);
    fpheap_config    config;
    fpheap          *second;
    fpheap_pool     *pools[TEST_COUNT(names)];
    char             copy[FPHEAP_NAME_BYTES];
    fpheap_pool_desc desc = described(copy, 100, 0);
    size_t           i;

    (void)state;
    memset(&config, 0, sizeof(config));
    config.provider = &provider.calls;
    second = fpheap_create("second", &config);
    assert_non_null(second);
    for (i = 0; i < TEST_COUNT(names); i++) {
        assert_null(fpheap_pool_lookup(heap, names[i]));
        (void)snprintf(copy, sizeof(copy), "%s", names[i]);
        pools[i] = CREATE(heap, &desc);
        memset(copy, 'x', sizeof(copy) - 1);
        assert_ptr_equal(fpheap_pool_lookup(heap, names[i]), pools[i]);
    }
    for (i = 0; i < TEST_COUNT(names); i++) {
        assert_ptr_equal(fpheap_pool_lookup(heap, names[i]), pools[i]);
        errno = 0;
        assert_null(fpheap_pool_lookup(second, names[i]));
        assert_int_equal(errno, ENOENT);
        desc = described(names[i], 200, 0);
        REFUSED(heap, &desc, EEXIST);
        END(CREATE(second, &desc));
    }
    END(pools[1]);
    errno = 0;
    assert_null(fpheap_pool_lookup(heap, names[1]));
    assert_int_equal(errno, ENOENT);
    assert_null(fpheap_pool_lookup(heap, "abcdef"));
    assert_null(fpheap_pool_lookup(heap, ""));
    assert_null(fpheap_pool_lookup(heap, NULL));
    assert_null(fpheap_pool_lookup(heap, "01234567890123456789012345678901"));
    assert_null(fpheap_pool_lookup(
        heap, "01234567890123456789012345678901234567890123456789"));
    desc = described(names[1], 200, 0);
    pools[1] = CREATE(heap, &desc);
    assert_ptr_equal(fpheap_pool_lookup(heap, names[1]), pools[1]);
    TEST_DESTROY(second);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
a_name_that_cannot_be_is_refused(void **state)
{
    fpheap          *heap = test_heap_over(&provider);
    char             name[FPHEAP_NAME_BYTES * 3];
    fpheap_pool_desc desc = described(NULL, 100, 0);
    size_t           length;

    (void)state;
    REFUSED(heap, &desc, EINVAL);
    desc.name = name;
    for (length = 0; length < sizeof(name); length++) {
        memset(name, 'n', sizeof(name));
        name[length] = '\0';
        if (length == 0) {
            REFUSED(heap, &desc, EINVAL);
        } else if (length >= FPHEAP_NAME_BYTES) {
            REFUSED(heap, &desc, ENAMETOOLONG);
        } else {
            END(CREATE(heap, &desc));
        }
    }
    TEST_DESTROY_OVER(heap, &provider);
}

/* A number has a name while it wants it, and then on, in each version. */
static void
check_named(fpheap *heap, uint64_t version, const fph_name *name)
{
    fph_word *is = &heap->state->pool_is[0];
    fph_name  other;
    unsigned  what;
    unsigned  i;

    for (what = FPH_POOL_FREE; what <= FPH_POOL_READY; what++) {
        fph_store_relaxed(is, version * 8 + what);
        assert_int_equal(fph_pool_named(heap->state, 0, name),
                         what < FPH_POOL_WANTS ? 0 : version * 8 + what);
    }
    for (i = 0; i < FPHEAP_NAME_BYTES; i++) {
        other = *name;
        other.word[i / 8] ^= (uint64_t)1 << i % 8 * 8;
        assert_int_equal(fph_pool_named(heap->state, 0, &other), 0);
    }
}

static void
a_number_has_a_name_from_when_it_wants_it(void **state)
{
    fpheap      *heap = test_heap_over(&provider);
    fpheap_pool *pool = named(heap, "0123456789012345678901234567890", 0, NULL,
                              NULL);
    fph_word    *is = &heap->state->pool_is[0];
    uint64_t     was = fph_load_relaxed(is);
    fph_name     name = fph_name_of("0123456789012345678901234567890");
    uint64_t     version;

    (void)state;
    assert_non_null(pool);
    assert_int_equal(pool->number, 0);
    for (version = 0; version < 200; version++)
        check_named(heap, version, &name);
    fph_store_relaxed(is, was);
    END(pool);
    TEST_DESTROY_OVER(heap, &provider);
}

/* Number 1 wants a name that another has, or wants, or had: it gets it, or does
 * not; and what becomes of the other. */
static void
check_wish(fpheap *heap, unsigned other, unsigned what, int gets,
           unsigned becomes)
{
    fph_word *is = heap->state->pool_is;
    fph_name  name = fph_name_of("wanted");
    uint64_t  version;

    for (version = 0; version < 20; version++) {
        fph_store_relaxed(&is[1], version * 8 + FPH_POOL_TAKEN);
        fph_store_relaxed(&is[other], version * 8 + what);
        assert_int_equal(fph_pool_get_name(heap->state, 1, &name), gets);
        assert_int_equal(is[1], version * 8 + (gets ? FPH_POOL_NAMED
                                                    : FPH_POOL_WANTS));
        assert_int_equal(is[other], version * 8 + becomes);
    }
    fph_store_relaxed(&is[1], FPH_POOL_READY);
    fph_store_relaxed(&is[other], FPH_POOL_READY);
}

static void
of_several_that_want_a_name_the_lowest_number_gets_it(void **state)
{
    fpheap      *heap = test_heap_over(&provider);
    fph_word    *is = heap->state->pool_is;
    fpheap_pool *pools[4];
    fph_name     name = fph_name_of("wanted");
    unsigned     i;

    (void)state;
    for (i = 0; i < TEST_COUNT(pools); i++) {
        char of[2] = { (char)('a' + i), 0 };

        pools[i] = named(heap, of, 0, NULL, NULL);
        assert_non_null(pools[i]);
        assert_int_equal(pools[i]->number, i);
        assert_int_equal(is[i], 8 + FPH_POOL_READY);
    }
    for (i = 0; i < 4; i += i == 0 ? 2 : 1) {
        fph_name own = { { pools[i]->name[0], 0, 0, 0 } };

        fph_pool_set_name(pools[i], &name);
        fph_pool_set_name(pools[1], &name);
        check_wish(heap, i, FPH_POOL_FREE, 1, FPH_POOL_FREE);
        check_wish(heap, i, FPH_POOL_TAKEN, 1, FPH_POOL_TAKEN);
        check_wish(heap, i, FPH_POOL_WANTS, i > 1,
                   i > 1 ? FPH_POOL_TAKEN : FPH_POOL_WANTS);
        check_wish(heap, i, FPH_POOL_NAMED, 0, FPH_POOL_NAMED);
        check_wish(heap, i, FPH_POOL_READY, 0, FPH_POOL_READY);
        fph_pool_set_name(pools[i], &own);
    }
    TEST_DESTROY_OVER(heap, &provider);
}

static void
a_pool_takes_the_lowest_number_that_is_free(void **state)
{
    fpheap      *heap = test_heap_over(&provider);
    fph_word    *is = heap->state->pool_is;
    fpheap_pool *first;
    fpheap_pool *second;
    unsigned     round;

    (void)state;
    for (round = 0; round < 20; round++) {
        first = named(heap, "first", 0, NULL, NULL);
        second = named(heap, "second", 0, NULL, NULL);
        assert_int_equal(first->number, 0);
        assert_int_equal(second->number, 1);
        assert_int_equal(is[0] % 8, FPH_POOL_READY);
        assert_int_equal(is[0] / 8, round + 1);
        END(first);
        assert_int_equal(is[0] % 8, FPH_POOL_FREE);
        END(second);
    }
    assert_null(fpheap_pool_lookup(heap, "first"));
    TEST_DESTROY_OVER(heap, &provider);
}

static size_t
numbered_size(unsigned i)
{
    return 16 + (size_t)i * 24;
}

static fpheap_pool *
numbered(fpheap *heap, unsigned i, book *b)
{
    char             name[16] = "";
    fpheap_pool_desc desc = with_book(name, numbered_size(i), b);

    desc.align = 8;
    desc.private_bytes = i;
    (void)snprintf(name, sizeof(name), "pool-%u", i);
    return fpheap_pool_create(heap, &desc);
}

static void
as_many_pools_as_there_may_be_work_side_by_side(void **state)
{
    static book  b[2 * FPHEAP_MAX_POOLS];
    fpheap_pool *pools[FPHEAP_MAX_POOLS];
    fpheap      *heap = test_heap_over(&provider);
    unsigned     turn;
    unsigned     i;
    unsigned     k;

    (void)state;
    for (i = 0; i < FPHEAP_MAX_POOLS; i++) {
        pools[i] = numbered(heap, i, &b[i]);
        assert_non_null(pools[i]);
    }
    for (turn = 0; turn < 2; turn++) {
        errno = 0;
        assert_null(numbered(heap, 5000, &b[0]));
        assert_int_equal(errno, ENFILE);
        for (i = 0; i < FPHEAP_MAX_POOLS; i++)
            for (k = 0; k < 20; k++)
                objects[i * 20 + k] = fpheap_pool_get(pools[i]);
        check_disjoint(heap, FPHEAP_MAX_POOLS * 20);
        for (i = 0; i < FPHEAP_MAX_POOLS; i++) {
            size_t bytes = STATS(pools[i]).size;

            assert_int_equal(STATS(pools[i]).live_objects, 20);
            for (k = 0; k < 20; k++)
                assert_int_equal(fpheap_usable_size(heap, objects[i * 20 + k]),
                                 bytes);
        }
        fpheap_free_bulk(heap, objects, FPHEAP_MAX_POOLS * 20);
        TEST_CHECK_LIVE(heap, 0);
        /* Every third place gets a pool of another size, while this thread
         * has objects of the last one in its cache. */
        for (i = 0; i < FPHEAP_MAX_POOLS; i += 3) {
            END(pools[i]);
            assert_int_equal(b[i].constructed, b[i].destructed);
            pools[i] = numbered(heap, FPHEAP_MAX_POOLS + 200 * (1 + turn)
                                      + i * 3 % 150, &b[i]);
            assert_non_null(pools[i]);
            assert_int_equal(STATS(pools[i]).objects, 0);
        }
    }
    TEST_DESTROY_OVER(heap, &provider);
}

static void
the_next_pool_of_a_place_has_nothing_of_the_last(void **state)
{
    fpheap     *heap = test_heap_over(&provider);
    test_random random = test_random_of(77);
    unsigned    round;

    (void)state;
    for (round = 0; round < 300; round++) {
        book             b;
        fpheap_pool_desc desc = with_book("next", 16, &b);
        unsigned         n = 1 + (unsigned)test_below(&random, 500);
        fpheap_pool     *pool;
        unsigned         i;

        desc.size = 8 + test_size(&random, 13);
        desc.align = (size_t)1 << test_below(&random, 12);
        desc.magazine = 2 + (unsigned)test_below(&random, 60);
        desc.max = round % 3 == 0 ? n : 0;
        desc.min = round % 4 == 0 ? n / 2 : 0;
        desc.flags = (unsigned)test_below(&random, 4) * 2;
        pool = CREATE(heap, &desc);
        assert_int_equal(STATS(pool).live_objects, 0);
        get_all(pool, n);
        check_disjoint(heap, n);
        for (i = 0; i < n; i++) {
            assert_int_equal(word_of(objects[i]), made(objects[i]));
            assert_int_equal((uintptr_t)objects[i] % desc.align, 0);
        }
        BALANCED(pool, &b);
        put_all(pool, n);
        END(pool);
        assert_int_equal(b.constructed, b.destructed);
        if (round % 20 == 0)
            TEST_CHECK_LIVE(heap, 0);
    }
    TEST_DESTROY_OVER(heap, &provider);
}

/* --- arguments ------------------------------------------------------------ */

static void
bad_sizes_and_alignments_are_einval(void **state)
{
    size_t sizes[] = { 0, FPHEAP_POOL_SIZE_MAX + 1, FPHEAP_CHUNK + 1, SIZE_MAX / 2,
                       SIZE_MAX - 15, SIZE_MAX };
    size_t aligns[] = { 3, 5, 6, 48, 65, FPHEAP_PAGE - 1, FPHEAP_PAGE + 1,
                        2 * FPHEAP_PAGE, FPHEAP_CHUNK, SIZE_MAX,
                        SIZE_MAX / 2 + 1 };
    fpheap          *heap = test_heap_over(&provider);
    fpheap_pool_desc desc;
    size_t           i;

    (void)state;
    for (i = 0; i < TEST_COUNT(sizes); i++) {
        desc = described("bad", sizes[i], 0);
        REFUSED(heap, &desc, EINVAL);
        desc.align = FPHEAP_PAGE;
        REFUSED(heap, &desc, EINVAL);
        desc.align = 64;
        desc.channels = 4;
        REFUSED(heap, &desc, EINVAL);
    }
    /* A line more than there may be. */
    desc = described("bad", FPHEAP_POOL_SIZE_MAX, 0);
    desc.channels = 2;
    REFUSED(heap, &desc, EINVAL);
    for (i = 0; i < TEST_COUNT(aligns); i++) {
        desc = described("bad", 100, aligns[i]);
        REFUSED(heap, &desc, EINVAL);
    }
    for (i = 128; i <= FPHEAP_PAGE; i *= 2) {
        desc = described("bad", 100, i);
        desc.channels = 2;
        REFUSED(heap, &desc, EINVAL);
    }
    assert_null(fpheap_pool_lookup(heap, "bad"));
    TEST_CHECK_LIVE(heap, 0);
    assert_int_equal(provider.gets, 1);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
bad_numbers_are_einval(void **state)
{
    fpheap          *heap = test_heap_over(&provider);
    int              nodes[] = { -1, -2, 1, 2, FPHEAP_MAX_NODES, INT_MAX,
                                 INT_MIN };
    fpheap_pool_desc good = described("bad", 100, 0);
    fpheap_pool_desc desc = good;
    unsigned         flag;
    size_t           i;

    (void)state;
    desc.magazine = 1;
    REFUSED(heap, &desc, EINVAL);
    desc.magazine = FPHEAP_MAGAZINE + 1;
    REFUSED(heap, &desc, EINVAL);
    desc.magazine = UINT_MAX;
    REFUSED(heap, &desc, EINVAL);
    desc = good;
    for (flag = FPHEAP_SCRATCH * 2; flag != 0; flag *= 2) {
        desc.flags = flag;
        REFUSED(heap, &desc, EINVAL);
        desc.flags = flag | FPHEAP_TYPE_STABLE;
        REFUSED(heap, &desc, EINVAL);
    }
    desc = good;
    desc.flags = FPHEAP_ON_NODE;
    for (i = 0; i < TEST_COUNT(nodes); i++) {
        desc.node = nodes[i];
        REFUSED(heap, &desc, EINVAL);
    }
    desc = good;
    desc.max = 10;
    desc.min = 11;
    REFUSED(heap, &desc, EINVAL);
    for (i = 0; i < n_too_many; i++) {
        desc.max = 0;
        desc.min = too_many[i];
        REFUSED(heap, &desc, EINVAL);
        desc.min = 0;
        desc.max = too_many[i];
        REFUSED(heap, &desc, EINVAL);
    }
    desc.min = 0;
    desc.max = 10;
    desc.private_bytes = FPHEAP_CHUNK / 2 + 1;
    REFUSED(heap, &desc, EINVAL);
    desc.private_bytes = SIZE_MAX;
    REFUSED(heap, &desc, EINVAL);
    desc.private_bytes = 0;
    desc.min = 10;
    END(CREATE(heap, &desc));
    desc.max = 0;
    desc.magazine = 2;
    END(CREATE(heap, &desc));
    desc.magazine = FPHEAP_MAGAZINE;
    END(CREATE(heap, &desc));
    TEST_CHECK_LIVE(heap, 0);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
what_no_memory_can_hold_is_enomem(void **state)
{
    fpheap          *heap = test_heap_within(&provider, 4 * FPHEAP_CHUNK);
    fpheap_pool_desc desc = described("vast", 2304, 0);
    size_t           counts[] = { 10000, 100000, UINT32_MAX - 1, UINT32_MAX };
    fpheap_stats     before;
    fpheap_stats     after;
    size_t           i;

    (void)state;
    desc.min = counts[0];
    REFUSED(heap, &desc, ENOMEM);
    (void)fpheap_trim(heap);
    fpheap_stats_get(heap, &before);
    for (i = 0; i < TEST_COUNT(counts); i++) {
        desc.min = counts[i];
        REFUSED(heap, &desc, ENOMEM);
        (void)fpheap_trim(heap);
        fpheap_stats_get(heap, &after);
        expect_same_bytes(&before, &after);
        TEST_CHECK_LIVE(heap, 0);
    }
    desc.min = 0;
    END(CREATE(heap, &desc));
    TEST_DESTROY_OVER(heap, &provider);
}

/* --- several nodes -------------------------------------------------------- */

static int here;               /* what the hook says */

static int
node_hook(void *ctx)
{
    (void)ctx;
    return here;
}

static fpheap *
heap_of_nodes(void)
{
    fpheap_config config;
    fpheap       *heap;

    memset(&config, 0, sizeof(config));
    test_provider_init(&provider);
    config.provider = &provider.calls;
    config.nodes = NODES;
    config.growth_max = FPHEAP_CHUNK;
    config.thread_node = node_hook;
    here = 0;
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

static void
expect_node(unsigned n, int node)
{
    unsigned i;

    for (i = 0; i < n; i++) {
        const test_grant *grant = test_grant_of(&provider, objects[i]);

        assert_non_null(grant);
        assert_int_equal(grant->node, node);
    }
}

static void
get_ways(fpheap_pool *pool, unsigned n, int node)
{
    get_all(pool, n);
    expect_node(n, node);
    put_all(pool, n);
    assert_int_equal(fpheap_pool_get_bulk(pool, objects, n), 0);
    expect_node(n, node);
    fpheap_pool_put_bulk(pool, objects, n);
    assert_int_equal(fpheap_pool_get_burst(pool, objects, n), n);
    expect_node(n, node);
}

static void
objects_come_from_the_node_of_their_thread_or_of_the_pool(void **state)
{
    fpheap      *heap = heap_of_nodes();
    book         b[NODES + 1];
    fpheap_pool *pools[NODES + 1];
    int          node;
    int          of;
    int          i;

    (void)state;
    for (i = 0; i <= NODES; i++) {
        fpheap_pool_desc desc = with_book("p", 2304, &b[i]);
        char             name[2] = { (char)('a' + i), '\0' };

        desc.name = name;
        desc.flags = i < NODES ? FPHEAP_ON_NODE : 0;
        desc.node = i < NODES ? i : 0;
        desc.min = i < NODES ? 100 : 0;
        pools[i] = CREATE(heap, &desc);
    }
    for (node = 0; node < NODES; node++) {
        move_to(heap, node);
        for (i = 0; i <= NODES; i++) {
            of = i < NODES ? i : node;
            get_ways(pools[i], 700, of);
            TEST_CHECK_LIVE(heap, 700);
            put_all(pools[i], 700);
            BALANCED(pools[i], &b[i]);
        }
    }
    (void)fpheap_trim(heap);
    for (i = 0; i <= NODES; i++) {
        END(pools[i]);
        assert_int_equal(b[i].constructed, b[i].destructed);
    }
    TEST_DESTROY_OVER(heap, &provider);
}

/* Of several nodes the object's page says whose it is. */
static void
a_size_names_the_bin_on_a_heap_of_one_node_alone(void **state)
{
    fpheap *heap = test_heap_over(&provider);

    (void)state;
    assert_int_equal(heap->nodes, 1);
    assert_true(fph_size_is_bin(heap, 1));
    assert_true(fph_size_is_bin(heap, FPH_SIZED_MAX));
    assert_false(fph_size_is_bin(heap, FPH_SIZED_MAX + 1));
    assert_false(fph_size_is_bin(heap, 0));
    TEST_DESTROY_OVER(heap, &provider);
    heap = heap_of_nodes();
    assert_false(fph_size_is_bin(heap, 1));
    assert_false(fph_size_is_bin(heap, FPH_SIZED_MAX));
    TEST_DESTROY_OVER(heap, &provider);
}

/* So the next get is a hit. */
static void
a_put_fills_the_bin_that_a_get_looks_at(void **state)
{
    fpheap *heap = heap_of_nodes();
    int     node;
    int     i;

    (void)state;
    for (node = 0; node < NODES; node++) {
        move_to(heap, node);
        for (i = 0; i <= NODES; i++) {
            fpheap_pool_desc desc = { .name = "p", .size = 100 };
            fpheap_pool     *pool;
            void            *object;

            desc.flags = i < NODES ? FPHEAP_ON_NODE : 0;
            desc.node = i < NODES ? i : 0;
            pool = CREATE(heap, &desc);
            object = fpheap_pool_get(pool);
            assert_non_null(object);
            fpheap_pool_put(pool, object);
            assert_true(fph_pool_bin(pool)->top > fph_pool_bin(pool)->base);
            assert_ptr_equal(fph_pool_bin(pool)->top[-1], object);
            END(pool);
        }
    }
    TEST_DESTROY_OVER(heap, &provider);
}

static void
put_one_way(fpheap *heap, fpheap_pool *pool, unsigned n, unsigned way)
{
    unsigned i;

    if (way == 0)
        put_all(pool, n);
    else if (way == 1)
        fpheap_pool_put_bulk(pool, objects, n);
    else if (way == 2)
        fpheap_free_bulk(heap, objects, n);
    for (i = 0; i < n && way == 3; i++)
        fpheap_free(heap, objects[i]);
}

static void
put_on_another_node_an_object_goes_home(void **state)
{
    fpheap          *heap = heap_of_nodes();
    fpheap_pool_desc desc = described("home", 2304, 0);
    fpheap_pool     *pool;
    unsigned         flags;
    unsigned         way;

    (void)state;
    for (flags = 0; flags <= FPHEAP_ON_NODE; flags++) {
        unsigned gets = 0;

        desc.flags = flags;
        desc.node = flags == FPHEAP_ON_NODE ? 1 : 0;
        pool = CREATE(heap, &desc);
        for (way = 0; way < 8; way++) {
            move_to(heap, 1);
            get_all(pool, 900);
            expect_node(900, 1);
            if (way == 4)
                gets = provider.gets;
            move_to(heap, 2);
            put_one_way(heap, pool, 900, way % 4);
            get_all(pool, 50);
            expect_node(50, flags == FPHEAP_ON_NODE ? 1 : 2);
            put_all(pool, 50);
            assert_int_equal(STATS(pool).live_objects, 0);
            TEST_CHECK_LIVE(heap, 0);
        }
        /* All had come back to where the next get looks. */
        assert_int_equal(provider.gets, gets);
        END(pool);
    }
    TEST_DESTROY_OVER(heap, &provider);
}

static void
max_is_of_all_nodes_together(void **state)
{
    fpheap          *heap = heap_of_nodes();
    fpheap_pool_desc desc = described("shared", 200, 0);
    fpheap_pool     *pool;
    unsigned         n = 0;
    int              node;

    (void)state;
    desc.max = 1000;
    pool = CREATE(heap, &desc);
    for (node = 0; node < NODES; node++) {
        move_to(heap, node);
        n += fpheap_pool_get_burst(pool, objects + n,
                                   node == NODES - 1 ? 1000 : 300);
    }
    assert_int_equal(n, 1000);
    assert_int_equal(STATS(pool).claimed_objects, 1000);
    put_all(pool, n);
    END(pool);
    TEST_DESTROY_OVER(heap, &provider);
}

/* --- what a pool is made of ----------------------------------------------- */

static size_t
stride_of(size_t size, size_t align, unsigned channels, unsigned ranks)
{
    fpheap_pool_desc desc = described("stride", size - FPH_HEAD - FPH_SLACK,
                                      align);

    desc.channels = channels;
    desc.ranks = ranks;
    return fph_pool_stride(&desc, align);
}

/* With channels it is the first number of lines from the size on that has no
 * divisor in common with theirs. */
static void
a_stride_is_a_multiple_of_the_alignment_or_of_a_line(void **state)
{
    fpheap_pool_desc desc = described("short", 15, 1);
    size_t           size;

    (void)state;
    for (size = 256; size < 512; size += 8) {
        assert_int_equal(stride_of(size, 8, 0, 3), size);
        assert_int_equal(stride_of(size - 1, 8, 0, 0), size);
        assert_int_equal(stride_of(size - 7, 8, 0, 0), size);
        assert_int_equal(stride_of(size - 8, 8, 0, 0), size - 8);
    }
    assert_int_equal(stride_of(384, 64, 2, 0), 448);
    assert_int_equal(stride_of(321, 64, 2, 0), 448);
    assert_int_equal(stride_of(320, 64, 2, 2), 320);
    assert_int_equal(stride_of(319, 64, 2, 2), 320);
    assert_int_equal(stride_of(257, 64, 2, 0), 320);
    assert_int_equal(stride_of(321, 64, 1, 0), 384);
    assert_int_equal(stride_of(384, 64, 1, 1), 384);
    assert_int_equal(stride_of(385, 64, 1, 1), 448);
    assert_int_equal(stride_of(321, 64, 3, 5), 448);
    assert_int_equal(fph_pool_stride(&desc, 1), 16 + FPH_HEAD + FPH_SLACK);
    desc.size = 16;
    assert_int_equal(fph_pool_stride(&desc, 1), 16 + FPH_HEAD + FPH_SLACK);
    desc.size = 17;
    assert_int_equal(fph_pool_stride(&desc, 1), 17 + FPH_HEAD + FPH_SLACK);
}

/* Each is the last that may be, or the first that may not. */
static void
bounds_of_what_a_pool_may_be_are_exact(void **state)
{
    fpheap          *heap = test_heap_over(&provider);
    fpheap_pool_desc good = described("good", 100, 0);
    fpheap_pool_desc desc = good;

    (void)state;
#define ERROR(member, value, error)                              \
    (desc.member = (value),                                      \
     assert_int_equal(fph_desc_error(heap, &desc), (error)),     \
     desc = good)
    ERROR(channels, 1024, 0);
    ERROR(channels, 1025, -EINVAL);
    good.channels = desc.channels = 1;
    ERROR(ranks, 1024, 0);
    ERROR(ranks, 1025, -EINVAL);
    if (FPH_SLACK == 0)
        ERROR(size, FPHEAP_POOL_SIZE_MAX - FPH_HEAD, 0);
    ERROR(align, FPH_LINE, 0);
    ERROR(align, 2 * FPH_LINE, -EINVAL);
    good.channels = desc.channels = 0;
    ERROR(ranks, 1024, 0);
    ERROR(ranks, 1025, -EINVAL);
    ERROR(max, UINT32_MAX, 0);
    ERROR(min, UINT32_MAX, 0);
    ERROR(node, 5, 0);         /* of which no flag says that it counts */
    ERROR(tag, FPHEAP_TAGS, FPHEAP_HEADER ? -EINVAL : 0);
    ERROR(destructor, 99, FPHEAP_HEADER ? -EINVAL : 0);
    good.max = desc.max = 10;
    ERROR(min, 10, 0);
    ERROR(min, 11, -EINVAL);
    ERROR(private_bytes, FPHEAP_CHUNK / 2, 0);
    ERROR(private_bytes, FPHEAP_CHUNK / 2 + 1, -EINVAL);
#undef ERROR
    TEST_DESTROY_OVER(heap, &provider);
}

static unsigned
magazine_of(size_t max, unsigned magazine)
{
    fpheap_pool_desc desc = described("shaped", 16, 0);
    fph_class        klass, shape;

    desc.max = max;
    desc.magazine = magazine;
    memset(&klass, 0x5a, sizeof(klass));
    fph_pool_shape(&klass, &desc);
    fph_shape(&shape, fph_pool_stride(&desc, 16), 16);
    assert_int_equal(klass.size, shape.size);
    assert_int_equal(klass.skip, shape.skip);
    assert_int_equal(klass.pages, shape.pages);
    assert_int_equal(klass.inverse, shape.inverse);
    assert_int_equal(klass.count, shape.count);
    assert_int_equal(shape.magazine, FPHEAP_MAGAZINE);
    return klass.magazine;
}

static void
crosses(void *arg, fpheap *heap, fpheap_pool *pool, int crossed)
{
    (void)arg, (void)heap, (void)pool, (void)crossed;
}

/* So that those of 16 threads do not keep all objects from the others. */
static void
a_magazine_has_a_16th_of_the_objects_that_there_may_be_at_most(void **state)
{
    const size_t     full = 16 * (size_t)FPHEAP_MAGAZINE;
    fpheap_pool_desc desc = described("watched", 16, 0);
    fph_class        klass;

    (void)state;
    assert_int_equal(magazine_of(0, 0), FPHEAP_MAGAZINE);
    assert_int_equal(magazine_of(1, 0), 2);
    assert_int_equal(magazine_of(16, 0), 2);
    assert_int_equal(magazine_of(31, 0), 2);
    assert_int_equal(magazine_of(47, 0), 2);
    assert_int_equal(magazine_of(48, 0), 3);
    assert_int_equal(magazine_of(full - 1, 0), FPHEAP_MAGAZINE - 1);
    assert_int_equal(magazine_of(full - 16, 0), FPHEAP_MAGAZINE - 1);
    assert_int_equal(magazine_of(full - 17, 0), FPHEAP_MAGAZINE - 2);
    assert_int_equal(magazine_of(full, 0), FPHEAP_MAGAZINE);
    assert_int_equal(magazine_of(full + 1, 0), FPHEAP_MAGAZINE);
    assert_int_equal(magazine_of(16, 5), 5);
    assert_int_equal(magazine_of(0, 2), 2);
    desc.max = full;
    desc.water.crossed = crosses;
    desc.water.low = 100;
    desc.water.high = 180;
    fph_pool_shape(&klass, &desc);
    assert_int_equal(klass.magazine, 5);
    for (desc.size = 17; desc.size < 50; desc.size++) {
        fph_pool_shape(&klass, &desc);
        assert_int_equal(klass.size % 16, 0);
    }
}

static fpheap_pool
handle_of(fpheap *heap, const fpheap_pool_desc *desc)
{
    fpheap_pool pool;

    memset(&pool, 0x5a, sizeof(pool));
    pool.number = 3;
    fph_pool_handle(heap, &pool, desc);
    assert_null(pool.emergency);
    assert_null(pool.front);
    assert_int_equal(pool.requested, desc->size);
    assert_int_equal(pool.tag, desc->tag);
    assert_int_equal(pool.destructor, desc->destructor);
    assert_true(pool.construct == desc->construct);
    assert_true(pool.destruct == desc->destruct);
    assert_null(pool.construct_nth);
    assert_ptr_equal(pool.arg, desc->arg);
    return pool;
}

static void
a_handle_has_all_that_a_pool_was_asked_for(void **state)
{
    fpheap          *heap = test_heap_over(&provider);
    book             b;
    fpheap_pool_desc desc = with_book("handled", 100, &b);
    fpheap_pool      pool;

    (void)state;
    desc.tag = 5;
    desc.destructor = 6;
    pool = handle_of(heap, &desc);
    assert_int_equal(pool.one_bin, 1);
    assert_int_equal(pool.node, FPHEAP_ANY_NODE);
    assert_int_equal(pool.offset, (FPH_SIZES + 3) * sizeof(fph_bin));
    assert_int_equal(pool.entry,
                     fph_entry_offset(heap) + offsetof(fph_entry, local));
    heap->emergency = heap;
    assert_int_equal(handle_of(heap, &desc).one_bin, 0);
    heap->emergency = NULL;
    heap->nodes = 2;
    assert_int_equal(handle_of(heap, &desc).one_bin, 0);
    desc.flags = FPHEAP_ON_NODE;
    desc.node = 1;
    pool = handle_of(heap, &desc);
    heap->nodes = 1;
    assert_int_equal(pool.one_bin, 1);
    assert_int_equal(pool.node, 1);
    assert_int_equal(pool.offset,
                     (FPH_SIZES + 3 + FPH_CLASSES) * sizeof(fph_bin));
    assert_int_equal(pool.entry,
                     fph_entry_offset(heap) + offsetof(fph_entry, bins));
    TEST_DESTROY_OVER(heap, &provider);
}

/* Whatever the last pool of the number has left. */
static fpheap_pool
record_of(fpheap *heap, const fpheap_pool_desc *desc)
{
    fpheap_pool pool;

    memset(&pool, 0x5a, sizeof(pool));
    pool.number = FPHEAP_MAX_POOLS - 1;
    fph_pool_init(heap, &pool, desc);
    assert_int_equal(pool.flags, desc->flags);
    assert_int_equal(pool.min, desc->min);
    assert_int_equal(pool.ending, 0);
    assert_int_equal(pool.objects, 0);
    assert_int_equal(pool.nth, 0);
    assert_int_equal(pool.slabs, 0);
    assert_int_equal(pool.quota >> 32,
                     desc->max == 0 ? UINT32_MAX : desc->max);
    assert_int_equal((uint32_t)pool.quota, 0);
    return pool;
}

static void
a_record_begins_without_objects_and_keeps_slabs_if_it_should(void **state)
{
    fpheap          *heap = test_heap_over(&provider);
    book             b;
    fpheap_pool_desc desc = described("recorded", 100, 0);

    (void)state;
    assert_int_equal(record_of(heap, &desc).keeps, 0);
    assert_int_equal(record_of(heap, &desc).constructs, 0);
    assert_int_equal(record_of(heap, &desc).destructs, 0);
    desc = with_book("recorded", 100, &b);
    assert_int_equal(record_of(heap, &desc).constructs, 1);
    assert_int_equal(record_of(heap, &desc).destructs, 1);
    desc.max = 7;
    desc.min = 1;
    assert_int_equal(record_of(heap, &desc).keeps, 1);
    desc.min = 0;
    desc.flags = FPHEAP_PAGE_ISOLATED;
    assert_int_equal(record_of(heap, &desc).keeps, 0);
    desc.flags = FPHEAP_TYPE_STABLE;
    assert_int_equal(record_of(heap, &desc).keeps, 1);
    desc.min = 2;
    assert_int_equal(record_of(heap, &desc).keeps, 1);
    TEST_DESTROY_OVER(heap, &provider);
}

/* No slab more than min objects need, and magazines for them and two more. */
static void
what_is_made_ahead_is_min_and_no_slab_more(void **state)
{
    fpheap          *heap = test_heap_over(&provider);
    fpheap_pool_desc desc = described("ahead", 100, 0);
    fpheap_pool     *pool = CREATE(heap, &desc);
    uint64_t         made;
    size_t           count;

    (void)state;
    fpheap_pool_put(pool, fpheap_pool_get(pool));
    count = STATS(pool).objects;
    assert_true(count > 1);
    END(pool);
    made = heap->state->magazines;
    desc.min = count;
    pool = CREATE(heap, &desc);
    assert_int_equal(STATS(pool).slabs, 1);
    assert_int_equal(STATS(pool).objects, count);
    assert_int_equal(heap->state->magazines - made,
                     count / STATS(pool).magazine + 2);
    END(pool);
    desc.min = 1;
    pool = CREATE(heap, &desc);
    assert_int_equal(STATS(pool).slabs, 1);
    END(pool);
    desc.min = count + 1;
    pool = CREATE(heap, &desc);
    assert_int_equal(STATS(pool).slabs, 2);
    END(pool);
    TEST_DESTROY_OVER(heap, &provider);
}

/* What a private area has room for serves until more is wanted. */
static void
a_private_area_has_a_power_of_two_and_serves_again(void **state)
{
    static const size_t bytes[] = { 0, 1, 64, 65, 200, 256, 257, 0, 512, 10 };
    static const size_t rooms[] = { 0, 64, 64, 128, 256, 256, 512, 512, 512,
                                    512 };
    fpheap      *heap = test_heap_over(&provider);
    fpheap_pool *pool = named(heap, "private", 0, NULL, NULL);
    size_t       i;

    (void)state;
    assert_true(pool != NULL && FPH_LINE == 64);
    for (i = 0; i < TEST_COUNT(bytes); i++) {
        char  *was = pool->private_area;
        size_t room = pool->private_room;

        assert_int_equal(fph_pool_private(heap, pool, bytes[i]), 0);
        assert_int_equal(pool->private_room, rooms[i]);
        assert_int_equal(pool->private_bytes, bytes[i]);
        assert_int_equal(pool->private_area == was, rooms[i] == room);
        if (bytes[i] != 0) {
            assert_true(test_all_bytes(pool->private_area, bytes[i], 0));
            memset(pool->private_area, 0x5a, rooms[i]);
        }
    }
    TEST_DESTROY_OVER(heap, &provider);
}

/* There can be no more records: the number is free again. */
static void
a_pool_without_memory_for_its_record_is_none(void **state)
{
    fpheap      *heap = test_heap_over(&provider);
    fpheap_pool *pool = named(heap, "first", 0, NULL, NULL);
    fph_state   *s = heap->state;
    uint64_t     numbers = s->meta_numbers, cursor = s->meta_cursor.word;
    char        *area = pool->private_area;
    int          error = 0;

    (void)state;
    s->meta_numbers = FPH_TABLE_MAX;
    s->meta_cursor.word = cursor >> 40 << 40; /* of which nothing is left */
    assert_int_equal(fph_pool_private(heap, pool, 5000), -ENOMEM);
    assert_ptr_equal(pool->private_area, area);
    assert_null(fph_pool_record(heap, 5, &error));
    assert_int_equal(error, -ENOMEM);
    assert_null(s->pool[5]);
    errno = 0;
    assert_null(named(heap, "second", 0, NULL, NULL));
    assert_int_equal(errno, ENOMEM);
    assert_int_equal(s->pool_is[1] % 8, FPH_POOL_FREE);
    s->meta_numbers = numbers;
    s->meta_cursor.word = cursor;
    pool = named(heap, "second", 0, NULL, NULL);
    assert_true(pool != NULL && pool->number == 1);
    TEST_DESTROY_OVER(heap, &provider);
}

/* --- at the end ----------------------------------------------------------- */

static int
end_in_the_middle(fpheap_pool *pool, void *arg, void *object, size_t nth)
{
    size_t live = 7;

    (void)object, (void)nth;
    *(int *)arg = fpheap_pool_destroy(pool, &live);
    assert_int_equal(live, 0);
    return 0;
}

static void
a_pool_does_not_end_while_it_makes_an_object_or_the_heap_ends(void **state)
{
    fpheap          *heap = test_heap_over(&provider);
    fpheap_pool_desc desc = described("kept", 100, 0);
    fpheap_pool     *pool;
    int              rc = 0;

    (void)state;
    desc.min = 1;
    desc.construct_nth = end_in_the_middle;
    desc.arg = &rc;
    pool = CREATE(heap, &desc);
    assert_int_equal(rc, -EBUSY);
    assert_ptr_equal(fpheap_pool_lookup(heap, "kept"), pool);
    heap->state->ends = 1;
    assert_int_equal(fpheap_pool_destroy(pool, NULL), -EBUSY);
    desc = described("late", 100, 0);
    REFUSED(heap, &desc, EBUSY);
    heap->state->ends = 0;
    assert_ptr_equal(fpheap_pool_lookup(heap, "kept"), pool);
    END(pool);
    assert_int_equal(pool->record->ending, 0);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
look_it_up(void *arg, void *object)
{
    book *b = (book *)arg;

    (void)object;
    b->destructed++;
    b->wrong += fpheap_pool_lookup(b->heap, "ending") != NULL;
}

static void
a_pool_is_not_found_while_it_ends(void **state)
{
    fpheap          *heap = test_heap_over(&provider);
    fpheap_pool_desc desc = described("ending", 100, 0);
    fpheap_pool     *pool;
    book             b;

    (void)state;
    memset(&b, 0, sizeof(b));
    b.heap = heap;
    desc.destruct = look_it_up;
    desc.arg = &b;
    desc.min = 1;
    pool = CREATE(heap, &desc);
    END(pool);
    assert_true(b.destructed > 0);
    assert_int_equal(b.wrong, 0);
    TEST_DESTROY_OVER(heap, &provider);
}

static int
fail_once(void *arg, void *object)
{
    (void)object;
    return ++*(unsigned *)arg == 1 ? -EIO : 0;
}

/* Although the objects could not be had at once. */
static void
a_burst_has_no_more_objects_than_were_asked_for(void **state)
{
    fpheap          *heap = test_heap_over(&provider);
    fpheap_pool_desc desc = described("burst", 100, 0);
    unsigned         calls = 0;
    fpheap_pool     *pool;

    (void)state;
    desc.construct = fail_once;
    desc.arg = &calls;
    pool = CREATE(heap, &desc);
    others[3] = &mark;
    assert_int_equal(fpheap_pool_get_burst(pool, others, 3), 3);
    assert_ptr_equal(others[3], &mark);
    assert_true(calls > 1);
    fpheap_pool_put_bulk(pool, others, 3);
    END(pool);
    TEST_DESTROY_OVER(heap, &provider);
}

/* It stands for the other's critical objects, and is bound to nothing. */
static void
a_pool_of_critical_objects_has_their_size_and_no_more(void **state)
{
    fpheap          *heap = test_heap_over(&provider);
    fpheap_pool_desc desc = described("critical", 100, 64);
    fpheap_pool     *pool;

    (void)state;
    desc.min = desc.max = 3;
    desc.private_bytes = 100;
    desc.magazine = 2;
    desc.flags = FPHEAP_ON_NODE | FPHEAP_TYPE_STABLE;
    pool = fph_pool_critical(heap, &desc);
    assert_non_null(pool);
    assert_null(pool->emergency);
    assert_null(fpheap_pool_private(pool));
    assert_int_equal(pool->node, FPHEAP_ANY_NODE);
    assert_int_equal(pool->flags, FPHEAP_TYPE_STABLE);
    assert_int_equal(STATS(pool).min, 0);
    assert_int_equal(STATS(pool).objects, 0);
    assert_int_equal(STATS(pool).max, UINT32_MAX);
    assert_int_equal(STATS(pool).magazine, FPHEAP_MAGAZINE);
    assert_int_equal(STATS(pool).size, rounded(100, 64));
    END(pool);
    TEST_DESTROY_OVER(heap, &provider);
}

/* Without watermarks it has none afterwards. */
static void
a_pool_that_cannot_end_is_as_it_was(void **state)
{
    fpheap      *heap = test_heap_over(&provider);
    fpheap_pool *pool = named(heap, "kept", 0, NULL, NULL);
    void        *object = fpheap_pool_get(pool);
    size_t       live = 0;

    (void)state;
    assert_int_equal(fpheap_pool_destroy(pool, &live), -EBUSY);
    assert_int_equal(live, 1);
    assert_int_equal(heap->state->water[1 + pool->number].is, 0);
    assert_int_equal(pool->record->ending, 0);
    assert_ptr_equal(fpheap_pool_lookup(heap, "kept"), pool);
    fpheap_pool_put(pool, object);
    END(pool);
    TEST_DESTROY_OVER(heap, &provider);
}

/* How many a miss claims grows with the misses, of each pool anew. */
static void
the_next_pool_of_a_number_claims_few_objects_at_first(void **state)
{
    fpheap       *heap = test_heap_over(&provider);
    fpheap_pool  *pool = named(heap, "many", 0, NULL, NULL);
    fpheap_cache *cache;

    (void)state;
    assert_non_null(pool);
    get_all(pool, 3000);
    put_all(pool, 3000);
    cache = fph_cache_mine(heap);
    assert_non_null(cache);
    assert_true(cache->fills[FPH_SIZES] > 0);
    END(pool);
    assert_int_equal(cache->fills[FPH_SIZES], 0);
    TEST_DESTROY_OVER(heap, &provider);
}

/* So its first objects, too, come from a magazine. */
static void
whoever_makes_a_pool_has_a_cache(void **state)
{
    fpheap      *heap = test_heap_over(&provider);
    fpheap_pool *pool;

    (void)state;
    assert_null(fph_cache_mine(heap));
    pool = named(heap, "first", 0, NULL, NULL);
    assert_non_null(pool);
    assert_non_null(fph_cache_mine(heap));
    END(pool);
    TEST_DESTROY_OVER(heap, &provider);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            an_object_is_its_size_rounded_to_its_alignment_and_no_more),
        cmocka_unit_test(slabs_waste_at_most_a_sixteenth),
        cmocka_unit_test(the_largest_object_is_a_chunk_less_a_page),
        cmocka_unit_test(channels_and_ranks_give_the_stride_of_dpdk),
        cmocka_unit_test(page_isolated_objects_are_whole_pages),
        cmocka_unit_test(all_bytes_are_kept_from_put_to_get),
        cmocka_unit_test(type_stable_memory_stays_the_pools_until_it_ends),
        cmocka_unit_test(
            other_memory_is_given_up_by_trim_and_serves_every_size),
        cmocka_unit_test(min_objects_are_made_ahead_and_kept),
        cmocka_unit_test(a_pool_is_made_with_magazines_for_all_its_min),
        cmocka_unit_test(for_each_shows_all_objects_or_the_live_ones),
        cmocka_unit_test(the_private_area_is_zero_aligned_and_kept),
        cmocka_unit_test(a_pool_is_found_by_its_name_alone),
        cmocka_unit_test(a_name_that_cannot_be_is_refused),
        cmocka_unit_test(a_number_has_a_name_from_when_it_wants_it),
        cmocka_unit_test(of_several_that_want_a_name_the_lowest_number_gets_it),
        cmocka_unit_test(a_pool_takes_the_lowest_number_that_is_free),
        cmocka_unit_test(as_many_pools_as_there_may_be_work_side_by_side),
        cmocka_unit_test(the_next_pool_of_a_place_has_nothing_of_the_last),
        cmocka_unit_test(bad_sizes_and_alignments_are_einval),
        cmocka_unit_test(bad_numbers_are_einval),
        cmocka_unit_test(what_no_memory_can_hold_is_enomem),
        cmocka_unit_test(
            objects_come_from_the_node_of_their_thread_or_of_the_pool),
        cmocka_unit_test(a_size_names_the_bin_on_a_heap_of_one_node_alone),
        cmocka_unit_test(a_put_fills_the_bin_that_a_get_looks_at),
        cmocka_unit_test(put_on_another_node_an_object_goes_home),
        cmocka_unit_test(max_is_of_all_nodes_together),
        cmocka_unit_test(a_stride_is_a_multiple_of_the_alignment_or_of_a_line),
        cmocka_unit_test(bounds_of_what_a_pool_may_be_are_exact),
        cmocka_unit_test(
            a_magazine_has_a_16th_of_the_objects_that_there_may_be_at_most),
        cmocka_unit_test(a_handle_has_all_that_a_pool_was_asked_for),
        cmocka_unit_test(
            a_record_begins_without_objects_and_keeps_slabs_if_it_should),
        cmocka_unit_test(what_is_made_ahead_is_min_and_no_slab_more),
        cmocka_unit_test(a_private_area_has_a_power_of_two_and_serves_again),
        cmocka_unit_test(a_pool_without_memory_for_its_record_is_none),
        cmocka_unit_test(
            a_pool_does_not_end_while_it_makes_an_object_or_the_heap_ends),
        cmocka_unit_test(a_pool_is_not_found_while_it_ends),
        cmocka_unit_test(a_burst_has_no_more_objects_than_were_asked_for),
        cmocka_unit_test(a_pool_of_critical_objects_has_their_size_and_no_more),
        cmocka_unit_test(a_pool_that_cannot_end_is_as_it_was),
        cmocka_unit_test(the_next_pool_of_a_number_claims_few_objects_at_first),
        cmocka_unit_test(whoever_makes_a_pool_has_a_cache)
    };

    return cmocka_run_group_tests_name("pools", tests, NULL, NULL);
}
