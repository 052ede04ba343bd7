/* test_pools.c - a pool's objects have exactly their size and alignment, are
 * constructed once and destructed once, keep every byte between put and get,
 * and are claimed up to the pool's maximum and no further; a pool that ends
 * leaves nothing behind; a heap has no byte more than its limit.
 */
#define FPHEAP_MAX_NODES 8
#define FPHEAP_IMPLEMENTATION
#include "fpheap.h"
#include "test_util.h"

#define MOST  20000
#define MADE  UINT64_C(0x9a6d3b51c7e4f082) /* a constructed object's */
#define NODES 3

static test_provider provider;
static void         *objects[MOST];
static void         *others[MOST];
static test_object   sorted[MOST];
static char          mark;     /* its address is in places not to be written */

/* --- what all cases use --------------------------------------------------- */

/* What a pool's constructor and destructor saw. */
typedef struct book {
    size_t       constructed;
    size_t       destructed;
    size_t       calls;        /* of the constructor */
    size_t       wrong;
    size_t       fail_at;      /* the first call that fails, from 1; 0: none */
    int          error;        /* what it returns */
    unsigned     depth;        /* constructors in one another */
    fpheap      *heap;
    fpheap_pool *other;
    fpheap_pool *own;
} book;

static uint64_t
word_of(const void *object)
{
    uint64_t word;

    memcpy(&word, object, sizeof(word));
    return word;
}

static void
set_word(void *object, uint64_t word)
{
    memcpy(object, &word, sizeof(word));
}

static uint64_t
made(const void *object)
{
    return MADE ^ (uintptr_t)object;
}

static int
construct(void *arg, void *object)
{
    book *b = (book *)arg;

    if (++b->calls >= b->fail_at && b->fail_at != 0)
        return b->error;
    if (word_of(object) == made(object))
        b->wrong++;
    set_word(object, made(object));
    b->constructed++;
    return 0;
}

static void
destruct(void *arg, void *object)
{
    book *b = (book *)arg;

    if (word_of(object) != made(object))
        b->wrong++;
    set_word(object, ~made(object));
    b->destructed++;
}

static fpheap_pool_desc
described(const char *name, size_t size, size_t align)
{
    fpheap_pool_desc desc;

    memset(&desc, 0, sizeof(desc));
    desc.name = name;
    desc.size = size;
    desc.align = align;
    return desc;
}

static fpheap_pool_desc
with_book(const char *name, size_t size, book *b)
{
    fpheap_pool_desc desc = described(name, size, 0);

    memset(b, 0, sizeof(*b));
    desc.construct = construct;
    desc.destruct = destruct;
    desc.arg = b;
    return desc;
}

static fpheap_pool *
create_at(fpheap *heap, const fpheap_pool_desc *desc, const char *file,
          int line)
{
    fpheap_pool *pool;

    errno = 0;
    pool = fpheap_pool_create(heap, desc);
    if (pool == NULL) {
        print_error("no pool of %zu bytes: %s\n", desc->size, strerror(errno));
        _fail(file, line);
    }
    return pool;
}

#define CREATE(heap, desc) create_at(heap, desc, __FILE__, __LINE__)

static fpheap_pool_stats
pool_stats_at(fpheap_pool *pool, const char *file, int line)
{
    fpheap_pool_stats s;

    memset(&s, 0xee, sizeof(s));
    fpheap_pool_stats_get(pool, &s);
    if (s.objects != s.live_objects + s.parked_objects + s.free_objects
        || s.claimed_objects != s.live_objects + s.parked_objects) {
        print_error("objects %zu, claimed %zu, live %zu, parked %zu, free %zu "
                    "in %zu slabs\n", s.objects, s.claimed_objects,
                    s.live_objects, s.parked_objects, s.free_objects, s.slabs);
        _fail(file, line);
    }
    return s;
}

/* The numbers of a pool, which add up. */
#define STATS(pool) pool_stats_at(pool, __FILE__, __LINE__)

/* Each object that there is was constructed, each other one destructed. */
#define BALANCED(pool, b)                                          \
    do {                                                           \
        assert_int_equal((b)->wrong, 0);                           \
        assert_int_equal((b)->constructed,                         \
                         STATS(pool).objects + (b)->destructed);   \
    } while (0)

#define END(pool)                                                  \
    do {                                                           \
        size_t live_ = 77;                                         \
                                                                   \
        assert_int_equal(fpheap_pool_destroy(pool, &live_), 0);    \
        assert_int_equal(live_, 0);                                \
    } while (0)

#define REFUSED(heap, desc, error_)                                \
    do {                                                           \
        errno = 0;                                                 \
        assert_null(fpheap_pool_create(heap, desc));               \
        assert_int_equal(errno, error_);                           \
    } while (0)

static void
get_all(fpheap_pool *pool, unsigned n)
{
    unsigned i;

    assert_true(n <= MOST);
    for (i = 0; i < n; i++) {
        objects[i] = fpheap_pool_get(pool);
        assert_non_null(objects[i]);
    }
}

static void
put_all(fpheap_pool *pool, unsigned n)
{
    unsigned i;

    for (i = 0; i < n; i++)
        fpheap_pool_put(pool, objects[i]);
}

/* All objects that can be had. */
static unsigned
get_until(fpheap_pool *pool, int error)
{
    unsigned n = 0;

    for (;;) {
        assert_true(n < MOST);
        errno = 0;
        objects[n] = fpheap_pool_get(pool);
        if (objects[n] == NULL)
            break;
        n++;
    }
    assert_int_equal(errno, error);
    return n;
}

static void
check_disjoint(fpheap *heap, unsigned n)
{
    unsigned i;

    for (i = 0; i < n; i++) {
        sorted[i].base = (char *)objects[i];
        sorted[i].bytes = fpheap_usable_size(heap, objects[i]);
    }
    assert_true(test_disjoint(sorted, n));
}

/* As many of `size` bytes as the heap gives; they stay in others[]. */
static unsigned
fill_with_others(fpheap *heap, size_t size)
{
    unsigned n = 0;

    while (n < MOST && (others[n] = fpheap_alloc(heap, size)) != NULL)
        n++;
    assert_true(n < MOST);
    return n;
}

static size_t
region_bytes(fpheap *heap)
{
    fpheap_stats stats;

    fpheap_stats_get(heap, &stats);
    return stats.region_bytes;
}

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

/* Objects that begin in the page of a chunk's header. */
static unsigned
in_first_pages(unsigned n)
{
    unsigned found = 0;
    unsigned i;

    for (i = 0; i < n; i++)
        found += ((uintptr_t)objects[i] & (FPHEAP_CHUNK - 1)) < FPHEAP_PAGE;
    return found;
}

static void
page_isolated_objects_keep_off_the_page_of_the_header(void **state)
{
    static const size_t sizes[] = { 24, 512, 2304, 4096 };
    size_t s;

    (void)state;
    for (s = 0; s < TEST_COUNT(sizes); s++) {
        fpheap          *heap = test_heap_over(&provider);
        fpheap_pool_desc desc = described("isolated", sizes[s], 8);
        unsigned         n = sizes[s] < 1000 ? MOST : 6000;
        fpheap_pool     *pool;

        /* Without the flag that page is used, or this would show nothing. */
        pool = CREATE(heap, &desc);
        get_all(pool, n);
        if (sizes[s] > 100)
            assert_true(in_first_pages(n) > 0);
        put_all(pool, n);
        END(pool);
        desc.flags = FPHEAP_PAGE_ISOLATED;
        pool = CREATE(heap, &desc);
        get_all(pool, n);
        assert_int_equal(in_first_pages(n), 0);
        put_all(pool, n);
        END(pool);
        TEST_DESTROY_OVER(heap, &provider);
    }
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

/* --- constructors and destructors ----------------------------------------- */

static void
an_object_is_constructed_once_and_destructed_once(void **state)
{
    static const size_t sizes[] = { 16, 2304, 40000 };
    book     b;
    size_t   s;
    unsigned i;
    unsigned round;

    (void)state;
    for (s = 0; s < TEST_COUNT(sizes); s++) {
        fpheap          *heap = test_heap_over(&provider);
        fpheap_pool_desc desc = with_book("counted", sizes[s], &b);
        unsigned         n = sizes[s] > 10000 ? 200 : 2000;
        fpheap_pool     *pool = CREATE(heap, &desc);

        assert_int_equal(b.constructed, STATS(pool).objects);
        for (round = 0; round < 6; round++) {
            for (i = 0; i < n; i++) {
                objects[i] = fpheap_pool_get(pool);
                assert_int_equal(word_of(objects[i]), made(objects[i]));
            }
            BALANCED(pool, &b);
            assert_int_equal(STATS(pool).live_objects, n);
            put_all(pool, n);
            if (round % 2 == 1)
                fpheap_flush(heap);
            BALANCED(pool, &b);
            if (round >= 4) {
                (void)fpheap_trim(heap);
                assert_true(b.destructed > 0);
                BALANCED(pool, &b);
            } else {
                assert_int_equal(b.destructed, 0);
            }
        }
        END(pool);
        assert_int_equal(b.constructed, b.destructed);
        assert_int_equal(b.wrong, 0);
        TEST_DESTROY_OVER(heap, &provider);
    }
}

static unsigned null_args;
static unsigned other_args;

static int
construct_null(void *arg, void *object)
{
    (void)object;
    *(arg == NULL ? &null_args : &other_args) += 1;
    return 0;
}

static void
destruct_null(void *arg, void *object)
{
    (void)construct_null(arg, object);
}

static void
the_argument_of_a_constructor_may_be_null(void **state)
{
    fpheap          *heap = test_heap_over(&provider);
    fpheap_pool_desc desc = described("null", 100, 0);
    fpheap_pool     *pool;
    size_t           constructed;

    (void)state;
    null_args = 0;
    other_args = 0;
    desc.construct = construct_null;
    desc.destruct = destruct_null;
    pool = CREATE(heap, &desc);
    fpheap_pool_put(pool, fpheap_pool_get(pool));
    constructed = STATS(pool).objects;
    assert_true(constructed > 0);
    assert_int_equal(null_args, constructed);
    END(pool);
    assert_int_equal(null_args, 2 * constructed);
    assert_int_equal(other_args, 0);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
only_a_constructor_or_only_a_destructor_is_enough(void **state)
{
    fpheap          *heap = test_heap_over(&provider);
    fpheap_pool_desc desc = described("half", 100, 0);
    fpheap_pool     *pool;
    size_t           there;

    (void)state;
    null_args = 0;
    desc.construct = construct_null;
    pool = CREATE(heap, &desc);
    fpheap_pool_put(pool, fpheap_pool_get(pool));
    there = STATS(pool).objects;
    END(pool);
    assert_int_equal(null_args, there);
    null_args = 0;
    desc.construct = NULL;
    desc.destruct = destruct_null;
    pool = CREATE(heap, &desc);
    fpheap_pool_put(pool, fpheap_pool_get(pool));
    there = STATS(pool).objects;
    assert_int_equal(null_args, 0);
    END(pool);
    assert_int_equal(null_args, there);
    TEST_DESTROY_OVER(heap, &provider);
}

/* --- the index of an object ------------------------------------------------ */

/* A constructor that keeps a book of the indices it was given. */
typedef struct indices {
    fpheap_pool *pool;         /* of all calls; NULL: none yet */
    size_t       calls;
    size_t       wrong;
    size_t       next;         /* index, if they come one after the other */
    size_t       gaps;
    size_t       fail_at;      /* the first call that fails, from 1; 0: none */
    unsigned     depth;
    unsigned     nested;       /* calls that get an object of the pool */
    unsigned char given[4 * MOST];
} indices;

static indices the_indices;

static int
construct_nth(fpheap_pool *pool, void *arg, void *object, size_t nth)
{
    indices *x = (indices *)arg;

    if (x->pool == NULL)
        x->pool = pool;
    x->wrong += x->pool != pool || nth >= sizeof(x->given);
    x->wrong += nth < sizeof(x->given) && x->given[nth]++ != 0;
    x->gaps += nth != x->next;
    x->next = nth + 1;
    set_word(object, nth);
    if (fpheap_pool_private(pool) != NULL)
        ++*(size_t *)fpheap_pool_private(pool);
    if (++x->calls >= x->fail_at && x->fail_at != 0)
        return -EIO;
    if (x->nested > 0) {
        void *other;

        x->nested--;
        other = fpheap_pool_get(pool);
        x->wrong += other == NULL;
        fpheap_pool_put(pool, other);
    }
    return 0;
}

static fpheap_pool_desc
with_indices(const char *name, size_t size)
{
    fpheap_pool_desc desc = described(name, size, 0);

    memset(&the_indices, 0, sizeof(the_indices));
    desc.construct_nth = construct_nth;
    desc.arg = &the_indices;
    return desc;
}

static void
the_constructor_is_given_the_pool_and_the_objects_index(void **state)
{
    static const size_t sizes[] = { 16, 2304, 40000 };
    size_t s;

    (void)state;
    for (s = 0; s < TEST_COUNT(sizes); s++) {
        fpheap          *heap = test_heap_over(&provider);
        fpheap_pool_desc desc = with_indices("indexed", sizes[s]);
        unsigned         n = sizes[s] > 10000 ? 200 : 2000;
        fpheap_pool     *pool;
        unsigned         i;

        desc.flags = FPHEAP_TYPE_STABLE;
        desc.private_bytes = sizeof(size_t);
        desc.min = 3;
        pool = CREATE(heap, &desc);
        assert_true(the_indices.calls >= 3); /* create has not returned yet */
        assert_ptr_equal(the_indices.pool, pool);
        get_all(pool, n);
        for (i = 0; i < n; i++)
            assert_true(word_of(objects[i]) < STATS(pool).objects);
        assert_int_equal(the_indices.gaps, 0);
        assert_int_equal(the_indices.next, STATS(pool).objects);
        assert_int_equal(*(size_t *)fpheap_pool_private(pool),
                         STATS(pool).objects);
        put_all(pool, n);
        fpheap_trim(heap);
        get_all(pool, n);
        assert_int_equal(the_indices.next, STATS(pool).objects);
        put_all(pool, n);
        assert_int_equal(the_indices.wrong, 0);
        END(pool);
        TEST_DESTROY_OVER(heap, &provider);
    }
}

static void
an_index_is_given_once_in_a_pools_life(void **state)
{
    fpheap          *heap = test_heap_over(&provider);
    fpheap_pool_desc desc = with_indices("again", 2304);
    fpheap_pool     *pool = CREATE(heap, &desc);
    unsigned         round;

    (void)state;
    for (round = 0; round < 5; round++) {
        the_indices.nested = round;
        get_all(pool, 500);
        put_all(pool, 500);
        (void)fpheap_trim(heap);
    }
    assert_int_equal(the_indices.wrong, 0);
    assert_true(the_indices.calls > 4 * STATS(pool).objects);
    END(pool);

    /* The next pool with its number begins anew. */
    desc = with_indices("next", 100);
    pool = CREATE(heap, &desc);
    get_all(pool, 10);
    assert_int_equal(the_indices.given[0], 1);
    put_all(pool, 10);
    END(pool);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
the_indices_of_a_slab_that_failed_are_left_out(void **state)
{
    fpheap          *heap = test_heap_over(&provider);
    fpheap_pool_desc desc = with_indices("failing", 2304);
    fpheap_pool     *pool = CREATE(heap, &desc);
    size_t           first;

    (void)state;
    the_indices.fail_at = 4;
    assert_null(fpheap_pool_get(pool));
    assert_int_equal(errno, EIO);
    assert_int_equal(the_indices.calls, 4);
    the_indices.fail_at = 0;
    get_all(pool, 1);
    first = word_of(objects[0]) - word_of(objects[0]) % STATS(pool).objects;
    assert_int_equal(first, STATS(pool).objects);
    put_all(pool, 1);
    assert_int_equal(the_indices.wrong, 0);
    END(pool);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
two_constructors_are_einval(void **state)
{
    fpheap          *heap = test_heap_over(&provider);
    fpheap_pool_desc desc = with_indices("two", 100);

    (void)state;
    desc.construct = construct_null;
    REFUSED(heap, &desc, EINVAL);
    desc.construct = NULL;
    desc.flags = FPHEAP_SCRATCH;
    REFUSED(heap, &desc, EINVAL);
    desc.construct_nth = NULL;
    desc.destruct = destruct_null;
    REFUSED(heap, &desc, EINVAL);
    desc.destruct = NULL;
    desc.construct = construct_null;
    REFUSED(heap, &desc, EINVAL);
    desc.construct = NULL;
    END(CREATE(heap, &desc));
    TEST_DESTROY_OVER(heap, &provider);
}

/* The bytes of a heap by what they are, and nothing that only grows. */
static void
expect_same_bytes(const fpheap_stats *a, const fpheap_stats *b)
{
    assert_int_equal(a->region_bytes, b->region_bytes);
    assert_int_equal(a->live_bytes, b->live_bytes);
    assert_int_equal(a->parked_bytes, b->parked_bytes);
    assert_int_equal(a->slab_free_bytes, b->slab_free_bytes);
    assert_int_equal(a->page_free_bytes, b->page_free_bytes);
    assert_int_equal(a->waste_bytes, b->waste_bytes);
    assert_int_equal(a->metadata_bytes, b->metadata_bytes);
    assert_int_equal(a->live_objects, b->live_objects);
}

/* One get in which the constructor fails at its k-th call. */
static void
fail_at(fpheap *heap, fpheap_pool *pool, book *b, size_t k, unsigned way)
{
    static const int errors[] = { -EIO, -ENOMEM, -ENOSPC, -EAGAIN };
    size_t           constructed = b->constructed;
    size_t           destructed = b->destructed;

    b->calls = 0;
    b->fail_at = k;
    b->error = errors[k % TEST_COUNT(errors)];
    objects[0] = &mark;
    errno = 0;
    if (way % 3 == 0) {
        assert_null(fpheap_pool_get(pool));
        assert_int_equal(errno, -b->error);
    } else if (way % 3 == 1) {
        assert_int_equal(fpheap_pool_get_bulk(pool, objects, 3), b->error);
    } else {
        assert_int_equal(fpheap_pool_get_burst(pool, objects, 3), 0);
        assert_int_equal(errno, -b->error);
    }
    assert_ptr_equal(objects[0], &mark);
    assert_int_equal(b->constructed - constructed, k - 1);
    assert_int_equal(b->destructed - destructed, k - 1);
    b->fail_at = 0;
    BALANCED(pool, b);
    TEST_CHECK(heap);
}

static void
a_constructor_may_fail_at_any_object_and_nothing_is_lost(void **state)
{
    static const size_t sizes[] = { 600, 2304, 40000 };
    book   b;
    size_t s;
    size_t k;

    (void)state;
    for (s = 0; s < TEST_COUNT(sizes); s++) {
        fpheap           *heap = test_heap_over(&provider);
        fpheap_pool_desc  desc = with_book("failing", sizes[s], &b);
        fpheap_pool      *pool = CREATE(heap, &desc);
        fpheap_pool_stats none = STATS(pool);
        fpheap_stats      before;
        fpheap_stats      after;
        size_t            slab;

        /* How many calls a get makes. */
        fpheap_pool_put(pool, fpheap_pool_get(pool));
        slab = b.constructed;
        (void)fpheap_trim(heap);
        fail_at(heap, pool, &b, 1, 0);
        fpheap_stats_get(heap, &before);
        for (k = 1; k <= slab; k++) {
            fpheap_pool_stats now;

            fail_at(heap, pool, &b, k, (unsigned)k);
            now = STATS(pool);
            assert_memory_equal(&now, &none, sizeof(now));
            fpheap_stats_get(heap, &after);
            expect_same_bytes(&before, &after);
        }
        get_all(pool, 50);
        put_all(pool, 50);
        END(pool);
        assert_int_equal(b.constructed, b.destructed);
        TEST_DESTROY_OVER(heap, &provider);
    }
}

static void
a_constructor_that_fails_for_min_leaves_no_pool(void **state)
{
    fpheap          *heap = test_heap_over(&provider);
    book             b;
    fpheap_pool_desc desc = with_book("never", 2304, &b);
    fpheap_stats     before;
    fpheap_stats     after;
    size_t           k;

    (void)state;
    desc.min = 300;
    desc.private_bytes = 100;
    for (k = 1; k <= 300; k += 13) {
        b.calls = 0;
        b.fail_at = k;
        b.error = -EPROTO;
        REFUSED(heap, &desc, EPROTO);
        assert_int_equal(b.constructed, b.destructed);
        assert_int_equal(b.wrong, 0);
        errno = 0;
        assert_null(fpheap_pool_lookup(heap, "never"));
        assert_int_equal(errno, ENOENT);
        (void)fpheap_trim(heap);
        fpheap_stats_get(heap, k == 1 ? &before : &after);
        if (k > 1)
            expect_same_bytes(&before, &after);
        TEST_CHECK_LIVE(heap, 0);
    }
    b.fail_at = 0;
    END(CREATE(heap, &desc));
    TEST_DESTROY_OVER(heap, &provider);
}

/* An object has one from the heap and one of another pool as long as it is. */
static int
construct_with_parts(void *arg, void *object)
{
    book  *b = (book *)arg;
    void **parts = (void **)object;

    parts[0] = fpheap_alloc(b->heap, 100);
    parts[1] = fpheap_pool_get(b->other);
    if (parts[0] == NULL || parts[1] == NULL)
        return -errno;
    memset(parts[0], 1, 100);
    memset(parts[1], 2, 50);
    b->constructed++;
    return 0;
}

static void
destruct_with_parts(void *arg, void *object)
{
    book  *b = (book *)arg;
    void **parts = (void **)object;

    if (!test_all_bytes(parts[0], 100, 1) || !test_all_bytes(parts[1], 50, 2))
        b->wrong++;
    fpheap_free(b->heap, parts[0]);
    fpheap_pool_put(b->other, parts[1]);
    b->destructed++;
}

static void
constructor_and_destructor_may_use_the_heap(void **state)
{
    fpheap          *heap = test_heap_over(&provider);
    fpheap_pool_desc parts = described("parts", 50, 0);
    book             b;
    fpheap_pool_desc desc = with_book("wholes", 300, &b);
    fpheap_pool     *pool;
    unsigned         round;

    (void)state;
    desc.construct = construct_with_parts;
    desc.destruct = destruct_with_parts;
    b.heap = heap;
    b.other = CREATE(heap, &parts);
    pool = CREATE(heap, &desc);
    for (round = 0; round < 4; round++) {
        get_all(pool, 3000);
        BALANCED(pool, &b);
        assert_int_equal(STATS(b.other).live_objects, STATS(pool).objects);
        TEST_CHECK_LIVE(heap, 3000 + 2 * STATS(pool).objects);
        put_all(pool, 3000);
        (void)fpheap_trim(heap);
        BALANCED(pool, &b);
        assert_int_equal(STATS(pool).objects, 0);
        TEST_CHECK_LIVE(heap, 0);
    }
    get_all(pool, 3000);
    put_all(pool, 3000);
    END(pool);
    assert_int_equal(b.constructed, b.destructed);
    assert_int_equal(b.wrong, 0);
    TEST_CHECK_LIVE(heap, 0);
    END(b.other);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
so_may_a_destructor_that_the_end_of_the_heap_calls(void **state)
{
    fpheap          *heap = test_heap_over(&provider);
    fpheap_pool_desc parts = described("parts", 50, 0);
    book             b;
    fpheap_pool_desc desc = with_book("wholes", 300, &b);

    (void)state;
    desc.construct = construct_with_parts;
    desc.destruct = destruct_with_parts;
    b.heap = heap;
    b.other = CREATE(heap, &parts);
    get_all(CREATE(heap, &desc), 3000);
    assert_int_equal(fpheap_destroy_forced(heap), 0);
    assert_true(b.constructed >= 3000);
    assert_int_equal(b.constructed, b.destructed);
    assert_int_equal(b.wrong, 0);
    assert_int_equal(provider.held, 0);
}

static int
construct_endless(void *arg, void *object)
{
    book *b = (book *)arg;
    void *another;

    (void)object;
    errno = 0;
    another = fpheap_pool_get(b->own);
    if (another == NULL)
        return -errno;
    fpheap_pool_put(b->own, another);
    b->constructed++;
    return 0;
}

static void
destruct_counted(void *arg, void *object)
{
    (void)object;
    ((book *)arg)->destructed++;
}

static void
a_constructor_that_gets_from_its_pool_without_end_is_edeadlk(void **state)
{
    fpheap          *heap = test_heap_over(&provider);
    book             b;
    fpheap_pool_desc desc = with_book("endless", 300, &b);
    fpheap_stats     before;
    fpheap_stats     after;
    unsigned         i;

    (void)state;
    desc.construct = construct_endless;
    desc.destruct = destruct_counted;
    b.own = CREATE(heap, &desc);
    for (i = 0; i < 10; i++) {
        errno = 0;
        assert_null(fpheap_pool_get(b.own));
        assert_int_equal(errno, EDEADLK);
        assert_int_equal(fpheap_pool_get_bulk(b.own, objects, 40), -EDEADLK);
        assert_int_equal(b.constructed, b.destructed);
        assert_int_equal(STATS(b.own).objects, 0);
        TEST_CHECK_LIVE(heap, 0);
        fpheap_stats_get(heap, i == 0 ? &before : &after);
    }
    expect_same_bytes(&before, &after);
    END(b.own);
    TEST_DESTROY_OVER(heap, &provider);
}

/* Gets one more while it is not called by itself. */
static int
construct_twice(void *arg, void *object)
{
    book *b = (book *)arg;
    void *another = NULL;
    int   error = construct(arg, object);

    if (b->depth++ == 0) {
        another = fpheap_pool_get(b->own);
        if (another == NULL || word_of(another) != made(another))
            b->wrong++;
        fpheap_pool_put(b->own, another);
    }
    b->depth--;
    return error;
}

static void
a_constructor_may_get_from_its_pool_a_few_times(void **state)
{
    fpheap          *heap = test_heap_over(&provider);
    book             b;
    fpheap_pool_desc desc = with_book("twice", 300, &b);
    unsigned         i;

    (void)state;
    desc.construct = construct_twice;
    b.own = CREATE(heap, &desc);
    get_all(b.own, 2000);
    check_disjoint(heap, 2000);
    for (i = 0; i < 2000; i++)
        assert_int_equal(word_of(objects[i]), made(objects[i]));
    BALANCED(b.own, &b);
    put_all(b.own, 2000);
    END(b.own);
    assert_int_equal(b.constructed, b.destructed);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
destruct_and_allocate(void *arg, void *object)
{
    static const size_t sizes[] = { 16, 300, 2304, 70000, 3 * FPHEAP_PAGE };
    book               *b = (book *)arg;
    void               *more = fpheap_alloc(b->heap, sizes[b->destructed
                                                           % 5]);

    destruct(arg, object);
    if (more == NULL)
        b->wrong++;
    fpheap_free(b->heap, more);
}

static void
a_destructor_may_allocate_while_trim_runs(void **state)
{
    fpheap          *heap = test_heap_over(&provider);
    book             b;
    fpheap_pool_desc desc = with_book("allocating", 2304, &b);
    fpheap_pool     *pool;
    unsigned         round;

    (void)state;
    desc.destruct = destruct_and_allocate;
    b.heap = heap;
    pool = CREATE(heap, &desc);
    for (round = 0; round < 4; round++) {
        get_all(pool, 3000);
        put_all(pool, 3000);
        (void)fpheap_trim(heap);
        assert_int_equal(STATS(pool).objects, 0);
        BALANCED(pool, &b);
        TEST_CHECK_LIVE(heap, 0);
    }
    get_all(pool, 3000);
    put_all(pool, 3000);
    END(pool);
    assert_int_equal(b.constructed, b.destructed);
    TEST_DESTROY_OVER(heap, &provider);
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
    /* What is stale points to an object of the pool, constructed. */
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

/* --- max ------------------------------------------------------------------ */

static const size_t maxima[] = { 1, 2, 3, 7, 31, 32, 63, 64, 65, 100, 511, 513,
                                 1000, 4000 };

static void
max_objects_can_be_had_and_not_one_more(void **state)
{
    fpheap  *heap = test_heap_over(&provider);
    unsigned magazine;
    size_t   m;

    (void)state;
    for (magazine = 0; magazine < 3; magazine++) {
        for (m = 0; m < TEST_COUNT(maxima); m++) {
            fpheap_pool_desc desc = described("most", 200, 0);
            unsigned         max = (unsigned)maxima[m];
            fpheap_pool     *pool;
            unsigned         round;

            desc.max = max;
            desc.magazine = magazine == 0 ? 0
                          : magazine == 1 ? 2 : FPHEAP_MAGAZINE;
            pool = CREATE(heap, &desc);
            assert_int_equal(STATS(pool).max, max);
            if (magazine == 0)
                assert_true(STATS(pool).magazine <= (max < 32 ? 2 : max / 16));
            else
                assert_int_equal(STATS(pool).magazine, desc.magazine);
            for (round = 0; round < 3; round++) {
                assert_int_equal(get_until(pool, ENOSPC), max);
                assert_int_equal(STATS(pool).claimed_objects, max);
                assert_int_equal(fpheap_pool_get_bulk(pool, others, 1),
                                 -ENOSPC);
                put_all(pool, max);
                if (round == 1)
                    fpheap_flush(heap);
            }
            END(pool);
        }
    }
    TEST_DESTROY_OVER(heap, &provider);
}

static void
at_the_border_a_bulk_takes_all_or_nothing_and_a_burst_the_rest(void **state)
{
    fpheap  *heap = test_heap_over(&provider);
    size_t   m;
    unsigned spare;

    (void)state;
    for (m = 0; m < TEST_COUNT(maxima); m++) {
        unsigned         max = (unsigned)maxima[m];
        fpheap_pool_desc desc = described("border", 200, 0);
        fpheap_pool     *pool;

        desc.max = max;
        pool = CREATE(heap, &desc);
        for (spare = 0; spare <= max && spare < 40; spare++) {
            assert_int_equal(fpheap_pool_get_bulk(pool, objects, max), 0);
            check_disjoint(heap, max);
            fpheap_pool_put_bulk(pool, objects, spare);
            others[0] = &mark;
            others[spare] = &mark;
            assert_int_equal(fpheap_pool_get_bulk(pool, others, spare + 1),
                             -ENOSPC);
            assert_int_equal(fpheap_pool_get_bulk(pool, others, UINT_MAX),
                             -ENOSPC);
            assert_ptr_equal(others[0], &mark);
            TEST_CHECK_LIVE(heap, max - spare);
            errno = 0;
            assert_int_equal(fpheap_pool_get_burst(pool, others, spare + 9),
                             spare);
            assert_int_equal(errno, ENOSPC);
            assert_ptr_equal(others[spare], &mark);
            fpheap_pool_put_bulk(pool, others, spare);
            assert_int_equal(fpheap_pool_get_bulk(pool, others, spare), 0);
            TEST_CHECK_LIVE(heap, max);
            fpheap_pool_put_bulk(pool, others, spare);
            fpheap_pool_put_bulk(pool, objects + spare, max - spare);
        }
        END(pool);
    }
    TEST_DESTROY_OVER(heap, &provider);
}

static void
enospc_is_the_pools_maximum_and_other_errors_the_providers(void **state)
{
    static const int errors[] = { -ENOMEM, -EIO, -EPERM };
    size_t           e;

    (void)state;
    for (e = 0; e < TEST_COUNT(errors); e++) {
        fpheap          *heap = test_heap_within(&provider, 4 * FPHEAP_CHUNK);
        fpheap_pool_desc desc = described("refused", 20000, 0);
        fpheap_pool     *pool;
        unsigned         n;

        desc.max = 10000;
        provider.error = errors[e];
        pool = CREATE(heap, &desc);
        n = get_until(pool, -errors[e]);
        assert_int_equal(fpheap_pool_get_bulk(pool, others, 1), errors[e]);
        errno = 0;
        assert_int_equal(fpheap_pool_get_burst(pool, others, 5), 0);
        assert_int_equal(errno, -errors[e]);
        assert_int_equal(fpheap_pool_set_max(pool, n), 0);
        assert_null(fpheap_pool_get(pool));
        assert_int_equal(errno, ENOSPC);
        /* More than max can never be had, whatever the provider says. */
        assert_int_equal(fpheap_pool_get_bulk(pool, others, n + 1), -ENOSPC);
        put_all(pool, n);
        TEST_DESTROY_OVER(heap, &provider);
    }
}

static void
null_is_no_object_for_put(void **state)
{
    fpheap          *heap = test_heap_over(&provider);
    fpheap_pool_desc desc = described("holes", 64, 0);
    fpheap_pool     *pool = CREATE(heap, &desc);
    unsigned         pattern;
    unsigned         n;
    unsigned         i;

    (void)state;
    fpheap_pool_put(pool, NULL);
    fpheap_pool_put_bulk(pool, NULL, 0);
    assert_int_equal(fpheap_pool_get_bulk(pool, NULL, 0), 0);
    assert_int_equal(fpheap_pool_get_burst(pool, NULL, 0), 0);
    for (n = 1; n < 1200; n = n * 3 / 2 + 1) {
        for (pattern = 0; pattern < 5; pattern++) {
            get_all(pool, n);
            for (i = 0; i < n; i++) {
                int hole = pattern == 0 || (pattern == 1 && i == 0)
                        || (pattern == 2 && i == n - 1)
                        || (pattern == 3 && i % 2 == 0)
                        || (pattern == 4 && i != n / 2);

                if (!hole)
                    continue;
                fpheap_pool_put(pool, objects[i]);
                objects[i] = NULL;
            }
            fpheap_pool_put_bulk(pool, objects, n);
            TEST_CHECK_LIVE(heap, 0);
            assert_int_equal(STATS(pool).live_objects, 0);
        }
    }
    TEST_DESTROY_OVER(heap, &provider);
}

/* --- any order of calls --------------------------------------------------- */

/* What one thread knows of a pool that it has for itself. */
typedef struct model {
    fpheap      *heap;
    fpheap_pool *pool;
    test_random  random;
    unsigned     live;         /* objects[0 .. live - 1] */
    size_t       max;
    size_t       min;
} model;

/* How many more can be had: what is parked here or in the depot, and what may
 * still be claimed. */
static size_t
there_are(const model *m)
{
    fpheap_pool_stats s = STATS(m->pool);
    size_t            more = s.claimed_objects < m->max
                           ? m->max - s.claimed_objects : 0;

    assert_int_equal(s.live_objects, m->live);
    assert_int_equal(s.max, m->max);
    return s.parked_objects + more;
}

static void
model_get(model *m, unsigned n, size_t kind)
{
    size_t there = there_are(m);
    void **to = &objects[m->live];

    if (m->live + n > MOST)
        return;
    errno = 0;
    if (kind == 0) {
        *to = fpheap_pool_get(m->pool);
        n = *to != NULL;
        assert_int_equal(n, there > 0);
        if (n == 0)
            assert_int_equal(errno, ENOSPC);
    } else if (kind == 1) {
        int error = fpheap_pool_get_bulk(m->pool, to, n);

        assert_int_equal(error, there >= n ? 0 : -ENOSPC);
        n = error == 0 ? n : 0;
    } else {
        unsigned got = fpheap_pool_get_burst(m->pool, to, n);

        assert_int_equal(got, there < n ? there : n);
        if (got < n)
            assert_int_equal(errno, ENOSPC);
        n = got;
    }
    m->live += n;
}

static void
model_put(model *m, unsigned n, size_t kind)
{
    void   **from;
    unsigned i;

    n = n < m->live ? n : m->live;
    m->live -= n;
    from = &objects[m->live];
    if (kind == 0)
        fpheap_pool_put_bulk(m->pool, from, n);
    else if (kind == 1)
        fpheap_free_bulk(m->heap, from, n);
    for (i = 0; i < n && kind == 2; i++)
        fpheap_pool_put(m->pool, from[i]);
    for (i = 0; i < n && kind == 3; i++)
        fpheap_free(m->heap, from[i]);
}

static void
model_set_max(model *m)
{
    size_t max = test_below(&m->random, 4) == 0
               ? 0 : test_below(&m->random, 1500);

    if (max != 0 && max < m->min) {
        assert_int_equal(fpheap_pool_set_max(m->pool, max), -EINVAL);
        return;
    }
    assert_int_equal(fpheap_pool_set_max(m->pool, max), 0);
    m->max = max == 0 ? UINT32_MAX : max;
}

static void
model_step(model *m)
{
    size_t   kind = test_below(&m->random, 100);
    size_t   claimed = STATS(m->pool).claimed_objects;
    unsigned n = (unsigned)test_below(&m->random,
                                      kind % 4 == 0 ? 700 : 40) + 1;

    if (kind < 45) {
        model_get(m, n, kind % 3);
        /* Never more than max, unless it were more before. */
        assert_true(STATS(m->pool).claimed_objects
                    <= (claimed > m->max ? claimed : m->max));
    } else if (kind < 88) {
        model_put(m, n, kind % 4);
    } else if (kind < 91) {
        fpheap_flush(m->heap);
    } else if (kind < 93) {
        (void)fpheap_trim(m->heap);
    } else if (kind < 95) {
        fpheap_thread_leave(m->heap);
    } else if (kind < 98) {
        model_set_max(m);
    } else {
        fpheap_free(m->heap, fpheap_alloc(m->heap, 300000));
    }
}

static void
run_model(unsigned magazine, size_t min, unsigned flags, size_t size)
{
    book             b;
    fpheap_pool_desc desc = with_book("model", size, &b);
    unsigned         step;
    model            m;

    memset(&m, 0, sizeof(m));
    m.heap = test_heap_over(&provider);
    m.random = test_random_of(magazine + min + flags + size);
    m.max = 1000;
    m.min = min;
    desc.magazine = magazine;
    desc.min = min;
    desc.max = m.max;
    desc.flags = flags;
    m.pool = CREATE(m.heap, &desc);
    for (step = 0; step < 2500 * test_soak(); step++) {
        model_step(&m);
        BALANCED(m.pool, &b);
        if (step % 100 == 0)
            TEST_CHECK_LIVE(m.heap, m.live);
    }
    check_disjoint(m.heap, m.live);
    model_put(&m, MOST, 0);
    END(m.pool);
    assert_int_equal(b.constructed, b.destructed);
    TEST_DESTROY_OVER(m.heap, &provider);
}

static void
in_any_order_the_numbers_are_exact_and_max_is_kept(void **state)
{
    (void)state;
    run_model(0, 0, 0, 100);
    run_model(2, 100, 0, 2304);
    run_model(8, 0, FPHEAP_TYPE_STABLE, 24);
    run_model(33, 300, FPHEAP_PAGE_ISOLATED, 700);
    run_model(FPHEAP_MAGAZINE, 0, 0, 64);
    run_model(7, 20, FPHEAP_TYPE_STABLE | FPHEAP_PAGE_ISOLATED, 9000);
}

/* Objects that no pool may have; with 32 bits there is no such number. */
static const size_t   too_many[] = { (size_t)UINT32_MAX + 1, SIZE_MAX };
static const unsigned n_too_many = SIZE_MAX > UINT32_MAX ? 2 : 0;

static void
max_goes_up_and_down_while_the_pool_is_used(void **state)
{
    fpheap          *heap = test_heap_over(&provider);
    fpheap_pool_desc desc = described("moved", 2304, 0);
    fpheap_pool     *pool;
    unsigned         n;
    unsigned         i;

    (void)state;
    desc.max = 100;
    desc.min = 50;
    pool = CREATE(heap, &desc);
    assert_int_equal(fpheap_pool_set_max(pool, 49), -EINVAL);
    assert_int_equal(fpheap_pool_set_max(pool, 1), -EINVAL);
    assert_int_equal(STATS(pool).max, 100);
    assert_int_equal(get_until(pool, ENOSPC), 100);
    assert_int_equal(fpheap_pool_set_max(pool, 150), 0);
    n = 100 + fpheap_pool_get_burst(pool, objects + 100, 100);
    assert_int_equal(n, 150);
    /* Below what is claimed: no more, and nothing else. */
    assert_int_equal(fpheap_pool_set_max(pool, 50), 0);
    assert_null(fpheap_pool_get(pool));
    assert_int_equal(errno, ENOSPC);
    TEST_CHECK_LIVE(heap, 150);
    put_all(pool, 150);
    fpheap_flush(heap);
    (void)fpheap_trim(heap);
    assert_int_equal(get_until(pool, ENOSPC), 50);
    assert_int_equal(fpheap_pool_set_max(pool, 0), 0);
    assert_int_equal(STATS(pool).max, UINT32_MAX);
    put_all(pool, 50);
    get_all(pool, 5000);
    for (i = 0; i < n_too_many; i++)
        assert_int_equal(fpheap_pool_set_max(pool, too_many[i]), -EINVAL);
    assert_int_equal(fpheap_pool_set_max(pool, UINT32_MAX), 0);
    put_all(pool, 5000);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
a_thread_parks_two_magazines_at_most(void **state)
{
    static const unsigned magazines[] = { 2, 3, 8, 100, FPHEAP_MAGAZINE };
    fpheap *heap = test_heap_over(&provider);
    size_t  i;

    (void)state;
    for (i = 0; i < TEST_COUNT(magazines); i++) {
        fpheap_pool_desc desc = described("parking", 208, 0);
        fpheap_pool     *pool;
        fpheap_stats     stats;

        desc.magazine = magazines[i];
        pool = CREATE(heap, &desc);
        get_all(pool, 5000);
        put_all(pool, 5000);
        fpheap_stats_get(heap, &stats);
        assert_true(stats.parked_bytes - stats.depot_bytes
                    <= (size_t)2 * magazines[i] * 208);
        END(pool);
    }
    TEST_DESTROY_OVER(heap, &provider);
}

/* --- the end -------------------------------------------------------------- */

static void
destroy_is_ebusy_with_the_number_of_live_objects(void **state)
{
    fpheap          *heap = test_heap_over(&provider);
    book             b;
    fpheap_pool_desc desc = with_book("busy", 2304, &b);
    fpheap_pool     *pool = CREATE(heap, &desc);
    size_t           live;
    unsigned         n;

    (void)state;
    for (n = 1; n < 1500; n = n * 2 + 1) {
        get_all(pool, 1500);
        fpheap_pool_put_bulk(pool, objects + n, 1500 - n);
        live = 77;
        assert_int_equal(fpheap_pool_destroy(pool, &live), -EBUSY);
        assert_int_equal(live, n);
        assert_int_equal(fpheap_pool_destroy(pool, NULL), -EBUSY);
        /* The pool goes on. */
        assert_ptr_equal(fpheap_pool_lookup(heap, "busy"), pool);
        BALANCED(pool, &b);
        TEST_CHECK_LIVE(heap, n);
        fpheap_pool_put(pool, fpheap_pool_get(pool));
        put_all(pool, n);
    }
    END(pool);
    assert_int_equal(b.constructed, b.destructed);
    desc.name = "again";
    assert_int_equal(fpheap_pool_destroy(CREATE(heap, &desc), NULL), 0);
    TEST_DESTROY_OVER(heap, &provider);
}

/* Where objects lie when their pool ends. */
enum { IN_CACHE, IN_DEPOT, IN_SLABS, PLACES };

static void
destroy_gives_everything_back_wherever_it_is_parked(void **state)
{
    static const size_t sizes[] = { 24, 2304, 100000 };
    fpheap      *heap = test_heap_over(&provider);
    fpheap_stats before;
    fpheap_stats after;
    size_t       s;
    unsigned     flags;
    int          place;

    (void)state;
    fpheap_free(heap, fpheap_alloc(heap, 100));
    (void)fpheap_trim(heap);
    fpheap_stats_get(heap, &before);
    for (s = 0; s < TEST_COUNT(sizes); s++) {
        for (place = 0; place < PLACES; place++) {
            for (flags = 0; flags < 8; flags += 2) {
                book             b;
                fpheap_pool_desc desc = with_book("gone", sizes[s], &b);
                unsigned         n = s == 2 ? 150 : 2500;
                fpheap_pool     *pool;

                desc.flags = flags;
                desc.min = 10;
                pool = CREATE(heap, &desc);
                get_all(pool, n);
                put_all(pool, n);
                if (place != IN_CACHE)
                    fpheap_flush(heap);
                if (place == IN_SLABS)
                    (void)fpheap_trim(heap);
                END(pool);
                assert_int_equal(b.wrong, 0);
                assert_int_equal(b.constructed, b.destructed);
                (void)fpheap_trim(heap);
                fpheap_stats_get(heap, &after);
                expect_same_bytes(&before, &after);
                TEST_CHECK_LIVE(heap, 0);
            }
        }
    }
    TEST_DESTROY_OVER(heap, &provider);
}

static void
the_heaps_end_is_its_pools_end(void **state)
{
    unsigned forced;
    unsigned k;

    (void)state;
    for (forced = 0; forced < 2; forced++) {
        fpheap          *heap = test_heap_over(&provider);
        book             b[5];
        fpheap_pool_desc desc;
        fpheap_pool     *pool[5];

        for (k = 0; k < 5; k++) {
            desc = with_book("a", 20 + k * 800, &b[k]);
            desc.name = &"abcde"[k];
            desc.min = k * 10;
            desc.flags = k % 2 == 0 ? 0 : FPHEAP_TYPE_STABLE;
            desc.private_bytes = k * 1000;
            pool[k] = CREATE(heap, &desc);
            get_all(pool[k], 700);
            if (!forced)
                put_all(pool[k], 700);
        }
        if (!forced) {
            void *live = fpheap_pool_get(pool[2]);

            assert_int_equal(fpheap_destroy(heap), -EBUSY);
            for (k = 0; k < 5; k++)
                BALANCED(pool[k], &b[k]);
            fpheap_pool_put(pool[2], live);
            assert_int_equal(fpheap_destroy(heap), 0);
        } else {
            assert_int_equal(fpheap_destroy_forced(heap), 0);
        }
        for (k = 0; k < 5; k++) {
            assert_true(b[k].constructed >= 700);
            assert_int_equal(b[k].constructed, b[k].destructed);
            assert_int_equal(b[k].wrong, 0);
        }
        assert_int_equal(provider.held, 0);
        assert_int_equal(provider.wrong, 0);
    }
}

static void
the_heaps_functions_free_and_move_a_pools_objects(void **state)
{
    fpheap          *heap = test_heap_over(&provider);
    fpheap_pool_desc desc = described("moving", 1000, 8);
    fpheap_pool     *pool = CREATE(heap, &desc);
    void            *kept;
    char            *moved;
    unsigned         i;

    (void)state;
    get_all(pool, 1200);
    for (i = 0; i < 400; i++)
        fpheap_free(heap, objects[i]);
    assert_int_equal(STATS(pool).live_objects, 800);
    for (i = 400; i < 800; i++)
        fpheap_cache_free(fpheap_self(heap), objects[i]);
    assert_int_equal(STATS(pool).live_objects, 400);
    kept = objects[900];
    objects[900] = fpheap_alloc(heap, 1000);
    fpheap_free_bulk(heap, objects + 800, 400);
    assert_int_equal(STATS(pool).live_objects, 1);
    TEST_CHECK_LIVE(heap, 1);
    moved = (char *)fpheap_pool_get(pool);
    test_fill(moved, 1000, 5);
    /* In place while it fits. */
    assert_ptr_equal(fpheap_realloc(heap, moved, 1000), moved);
    assert_ptr_equal(fpheap_realloc(heap, moved, 1), moved);
    assert_ptr_equal(fpheap_realloc(heap, moved, 0), moved);
    assert_int_equal(STATS(pool).live_objects, 2);
    objects[0] = moved;
    moved = (char *)fpheap_realloc(heap, moved, 1001);
    assert_ptr_not_equal(moved, objects[0]);
    assert_true(test_filled_at(moved, (uintptr_t)objects[0], 1000, 5));
    assert_int_equal(STATS(pool).live_objects, 1);
    TEST_CHECK_LIVE(heap, 2);
    fpheap_free(heap, moved);
    assert_int_equal(STATS(pool).live_objects, 1);
    fpheap_pool_put(pool, kept);
    TEST_DESTROY_OVER(heap, &provider);
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
            before = region_bytes(heap);
        assert_int_equal(region_bytes(heap), before);
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
    size_t sizes[] = { 0, FPHEAP_POOL_SIZE_MAX + 1, FPHEAP_CHUNK, SIZE_MAX / 2,
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

/* --- the limit of a heap -------------------------------------------------- */

#define LIMIT (6 * FPHEAP_CHUNK)

/* The recording provider, which also minds the limit. */
static fpheap  *limited;
static size_t   limit_now;     /* 0: none */
static unsigned beyond;        /* calls that were not to be made */

static int
get_within(void *ctx, size_t bytes, size_t align, int node,
           fpheap_region *region)
{
    const test_provider *p = (const test_provider *)ctx;

    if (limit_now != 0
        && (bytes > limit_now || p->held_bytes > limit_now - bytes))
        beyond++;
    return test_provider_get(ctx, bytes, align, node, region);
}

static fpheap *
heap_with_limit(size_t limit, size_t growth_max)
{
    fpheap_config config;

    memset(&config, 0, sizeof(config));
    test_provider_init(&provider);
    provider.calls.get = get_within;
    config.provider = &provider.calls;
    config.limit = limit;
    config.growth_max = growth_max;
    limit_now = limit;
    beyond = 0;
    limited = fpheap_create("limit", &config);
    return limited;
}

static void
check_limit_at(fpheap *heap, const char *file, int line)
{
    fpheap_stats stats;

    fpheap_stats_get(heap, &stats);
    test_check_at(heap, file, line);
    if (beyond == 0 && stats.limit == limit_now
        && (limit_now == 0 || stats.peak_region_bytes <= limit_now)
        && stats.region_bytes == provider.held_bytes)
        return;
    print_error("limit %zu (%zu), region %zu, peak %zu, held %zu, beyond %u\n",
                stats.limit, limit_now, stats.region_bytes,
                stats.peak_region_bytes, provider.held_bytes, beyond);
    _fail(file, line);
}

#define CHECK_LIMIT(heap) check_limit_at(heap, __FILE__, __LINE__)

/* All that the heap gives of a size, in bulks of n or one by one. */
static unsigned
exhaust(fpheap *heap, size_t size, unsigned bulk)
{
    unsigned n = 0;
    int      error = 0;

    while (error == 0) {
        assert_true(n + bulk <= MOST);
        errno = 0;
        if (bulk > 1) {
            error = fpheap_alloc_bulk(heap, size, objects + n, bulk);
        } else {
            objects[n] = fpheap_alloc(heap, size);
            error = objects[n] != NULL ? 0 : -errno;
        }
        n += error == 0 ? bulk : 0;
    }
    assert_int_equal(error, -ENOSPC);
    return n;
}

static void
a_heap_never_has_more_than_its_limit(void **state)
{
    static const size_t   sizes[] = { 2000, 30000, FPHEAP_PAGE, FPH_CLASS_MAX,
                                      FPH_CLASS_MAX + 1, FPHEAP_CHUNK,
                                      FPHEAP_CHUNK * 3 / 2, LIMIT };
    static const unsigned bulks[] = { 1, 7, 300 };
    static const size_t   extra[] = { 0, 1, FPHEAP_CHUNK - 1, 12345 };
    static const size_t   steps[] = { 0, FPHEAP_CHUNK, 5 * FPHEAP_CHUNK };
    size_t                i;
    unsigned              n;

    (void)state;
    for (i = 0; i < TEST_COUNT(sizes) * 12; i++) {
        size_t   size = sizes[i % TEST_COUNT(sizes)];
        unsigned bulk = bulks[i / 8 % 3];
        size_t   limit = LIMIT + extra[i / 24];
        fpheap  *heap = heap_with_limit(limit, steps[(i / 8 + i) % 3]);

        assert_non_null(heap);
        CHECK_LIMIT(heap);
        n = exhaust(heap, size, bulk);
        CHECK_LIMIT(heap);
        /* What is left is not enough for a region more. */
        if (bulk == 1 && size <= FPH_CLASS_MAX)
            assert_true(region_bytes(heap) + FPHEAP_CHUNK > limit);
        TEST_CHECK_LIVE(heap, n);
        errno = 0;
        assert_null(fpheap_alloc(heap, 100 * LIMIT));
        assert_int_equal(errno, ENOSPC);
        assert_int_equal(fpheap_reserve(heap, LIMIT, 0), -ENOSPC);
        assert_null(fpheap_zalloc(heap, LIMIT));
        assert_int_equal(errno, ENOSPC);
        CHECK_LIMIT(heap);
        fpheap_free_bulk(heap, objects, n);
        CHECK_LIMIT(heap);
        TEST_DESTROY_OVER(heap, &provider);
    }
}

static void
a_limit_below_two_chunks_is_einval(void **state)
{
    static const size_t limits[] = { 1, FPHEAP_CHUNK, 2 * FPHEAP_CHUNK - 1 };
    size_t              i;

    (void)state;
    for (i = 0; i < TEST_COUNT(limits); i++) {
        errno = 0;
        assert_null(heap_with_limit(limits[i], 0));
        assert_int_equal(errno, EINVAL);
        assert_int_equal(provider.gets, 0);
    }
    assert_non_null(heap_with_limit(2 * FPHEAP_CHUNK, 0));
    assert_non_null(fpheap_alloc(limited, 100));
    assert_true(exhaust(limited, FPHEAP_PAGE, 1) > 10);
    CHECK_LIMIT(limited);
    assert_int_equal(fpheap_destroy_forced(limited), 0);
}

static void
enospc_is_the_limit_and_enomem_the_provider(void **state)
{
    fpheap  *heap = heap_with_limit(LIMIT, FPHEAP_CHUNK);
    unsigned n;

    (void)state;
    provider.limit_bytes = LIMIT - FPHEAP_CHUNK;
    errno = 0;
    n = fill_with_others(heap, 20000);
    assert_int_equal(errno, ENOMEM);
    assert_int_equal(provider.held_bytes, LIMIT - FPHEAP_CHUNK);
    provider.limit_bytes = 0;
    fpheap_free(heap, others[--n]);
    assert_true(exhaust(heap, 20000, 1) > 20);
    assert_int_equal(provider.held_bytes, LIMIT);
    CHECK_LIMIT(heap);
    provider.limit_bytes = 1;
    assert_null(fpheap_alloc(heap, 20000));
    assert_int_equal(errno, ENOSPC);
    assert_int_equal(fpheap_destroy_forced(heap), 0);
}

static void
the_limit_goes_up_and_down_at_any_time(void **state)
{
    fpheap  *heap = heap_with_limit(LIMIT, FPHEAP_CHUNK);
    unsigned n = exhaust(heap, 100000, 1);
    unsigned more;

    (void)state;
    limit_now = LIMIT + 2 * FPHEAP_CHUNK;
    fpheap_set_limit(heap, limit_now);
    more = fill_with_others(heap, 100000);
    assert_int_equal(errno, ENOSPC);
    assert_true(more >= 30);
    CHECK_LIMIT(heap);
    assert_int_equal(region_bytes(heap), limit_now);
    /* Below what it has: what is there can still be used, nothing is added. */
    limit_now = 0;
    fpheap_set_limit(heap, 3 * FPHEAP_CHUNK);
    fpheap_free_bulk(heap, others, more);
    assert_int_equal(fill_with_others(heap, 100000), more);
    assert_int_equal(errno, ENOSPC);
    assert_int_equal(region_bytes(heap), LIMIT + 2 * FPHEAP_CHUNK);
    fpheap_free_bulk(heap, others, more);
    fpheap_free_bulk(heap, objects, n);
    (void)fpheap_trim(heap);
    assert_true(region_bytes(heap) <= 3 * FPHEAP_CHUNK);
    n = fill_with_others(heap, 100000);
    assert_int_equal(errno, ENOSPC);
    assert_true(region_bytes(heap) <= 3 * FPHEAP_CHUNK);
    /* None. */
    fpheap_set_limit(heap, 0);
    objects[0] = fpheap_alloc(heap, 20 * FPHEAP_CHUNK);
    assert_non_null(objects[0]);
    fpheap_free(heap, objects[0]);
    fpheap_free_bulk(heap, others, n);
    CHECK_LIMIT(heap);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
a_region_that_goes_beyond_the_limit_is_handed_back_once(void **state)
{
    fpheap  *heap = heap_with_limit(LIMIT, FPHEAP_CHUNK);
    unsigned gets = provider.gets;
    unsigned n;

    (void)state;
    provider.extra = LIMIT;
    n = fill_with_others(heap, 100000);
    assert_int_equal(errno, ENOSPC);
    CHECK_LIMIT(heap);
    assert_int_equal(provider.held, 1);
    assert_true(provider.gets > gets);
    assert_int_equal(provider.puts, provider.gets - gets);
    assert_int_equal(provider.wrong, 0);
    /* What is asked for fits, and so does what comes. */
    provider.extra = FPHEAP_CHUNK / 2;
    objects[0] = fpheap_alloc(heap, FPHEAP_CHUNK);
    assert_non_null(objects[0]);
    fpheap_free(heap, objects[0]);
    fpheap_free_bulk(heap, others, n);
    CHECK_LIMIT(heap);
    TEST_DESTROY_OVER(heap, &provider);
    /* The first region of a heap. */
    test_provider_init(&provider);
    provider.extra = LIMIT;
    {
        fpheap_config config;

        memset(&config, 0, sizeof(config));
        config.provider = &provider.calls;
        config.limit = LIMIT;
        errno = 0;
        assert_null(fpheap_create("beyond", &config));
        assert_int_equal(errno, ENOSPC);
    }
    assert_int_equal(provider.held, 0);
    assert_int_equal(provider.wrong, 0);
}

static void
what_is_parked_is_taken_back_before_enospc(void **state)
{
    static const size_t sizes[] = { 2304, 700, 4 * FPHEAP_PAGE, 2000,
                                    100000 };
    fpheap             *heap = heap_with_limit(LIMIT, 0);
    fpheap_pool_desc    desc = described("parked", 2304, 0);
    book                b;
    fpheap_pool        *pool;
    size_t              round;
    size_t              i;
    unsigned            n;

    (void)state;
    desc = with_book("parked", 2304, &b);
    pool = CREATE(heap, &desc);
    for (round = 0; round < 3; round++) {
        for (i = 0; i < TEST_COUNT(sizes); i++) {
            void *large;

            n = get_until(pool, ENOSPC);
            assert_true(n > LIMIT / 2 / 2304);
            BALANCED(pool, &b);
            put_all(pool, n);
            large = fpheap_alloc(heap, FPHEAP_CHUNK);
            assert_non_null(large);
            fpheap_free(heap, large);
            n = 0;
            while (n * sizes[i] < 3 * FPHEAP_CHUNK) {
                others[n] = fpheap_alloc(heap, sizes[i]);
                assert_non_null(others[n]);
                n++;
            }
            fpheap_free_bulk(heap, others, n);
            CHECK_LIMIT(heap);
        }
    }
    END(pool);
    assert_int_equal(b.constructed, b.destructed);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
a_pool_that_meets_the_limit_is_enospc_and_loses_nothing(void **state)
{
    fpheap          *heap = heap_with_limit(LIMIT, 0);
    book             b;
    fpheap_pool_desc desc = with_book("within", 2304, &b);
    fpheap_pool     *pool;
    unsigned         n;

    (void)state;
    desc.min = LIMIT / 2304;
    REFUSED(heap, &desc, ENOSPC);
    assert_int_equal(b.constructed, b.destructed);
    assert_null(fpheap_pool_lookup(heap, "within"));
    TEST_CHECK_LIVE(heap, 0);
    CHECK_LIMIT(heap);
    desc.min = 100;
    pool = CREATE(heap, &desc);
    n = get_until(pool, ENOSPC);
    assert_true(n > LIMIT / 2 / 2304);
    others[0] = &mark;
    assert_int_equal(fpheap_pool_get_bulk(pool, others, 1), -ENOSPC);
    fpheap_pool_put_bulk(pool, objects, 50);
    assert_int_equal(fpheap_pool_get_bulk(pool, others, n), -ENOSPC);
    assert_ptr_equal(others[0], &mark);
    assert_int_equal(STATS(pool).live_objects, n - 50);
    assert_int_equal(fpheap_pool_get_burst(pool, others, n), 50);
    assert_int_equal(errno, ENOSPC);
    fpheap_pool_put_bulk(pool, others, 50);
    fpheap_pool_put_bulk(pool, objects + 50, n - 50);
    BALANCED(pool, &b);
    CHECK_LIMIT(heap);
    END(pool);
    TEST_DESTROY_OVER(heap, &provider);
}

/* --- all of it ------------------------------------------------------------ */

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(
        an_object_is_its_size_rounded_to_its_alignment_and_no_more),
    cmocka_unit_test(slabs_waste_at_most_a_sixteenth),
    cmocka_unit_test(the_largest_object_is_a_chunk_less_a_page),
    cmocka_unit_test(channels_and_ranks_give_the_stride_of_dpdk),
    cmocka_unit_test(page_isolated_objects_keep_off_the_page_of_the_header),
    cmocka_unit_test(all_bytes_are_kept_from_put_to_get),
    cmocka_unit_test(an_object_is_constructed_once_and_destructed_once),
    cmocka_unit_test(the_argument_of_a_constructor_may_be_null),
    cmocka_unit_test(only_a_constructor_or_only_a_destructor_is_enough),
    cmocka_unit_test(the_constructor_is_given_the_pool_and_the_objects_index),
    cmocka_unit_test(an_index_is_given_once_in_a_pools_life),
    cmocka_unit_test(the_indices_of_a_slab_that_failed_are_left_out),
    cmocka_unit_test(two_constructors_are_einval),
    cmocka_unit_test(a_constructor_may_fail_at_any_object_and_nothing_is_lost),
    cmocka_unit_test(a_constructor_that_fails_for_min_leaves_no_pool),
    cmocka_unit_test(constructor_and_destructor_may_use_the_heap),
    cmocka_unit_test(so_may_a_destructor_that_the_end_of_the_heap_calls),
    cmocka_unit_test(
        a_constructor_that_gets_from_its_pool_without_end_is_edeadlk),
    cmocka_unit_test(a_constructor_may_get_from_its_pool_a_few_times),
    cmocka_unit_test(a_destructor_may_allocate_while_trim_runs),
    cmocka_unit_test(type_stable_memory_stays_the_pools_until_it_ends),
    cmocka_unit_test(other_memory_is_given_up_by_trim_and_serves_every_size),
    cmocka_unit_test(min_objects_are_made_ahead_and_kept),
    cmocka_unit_test(max_objects_can_be_had_and_not_one_more),
    cmocka_unit_test(
        at_the_border_a_bulk_takes_all_or_nothing_and_a_burst_the_rest),
    cmocka_unit_test(
        enospc_is_the_pools_maximum_and_other_errors_the_providers),
    cmocka_unit_test(null_is_no_object_for_put),
    cmocka_unit_test(in_any_order_the_numbers_are_exact_and_max_is_kept),
    cmocka_unit_test(max_goes_up_and_down_while_the_pool_is_used),
    cmocka_unit_test(a_thread_parks_two_magazines_at_most),
    cmocka_unit_test(destroy_is_ebusy_with_the_number_of_live_objects),
    cmocka_unit_test(destroy_gives_everything_back_wherever_it_is_parked),
    cmocka_unit_test(the_heaps_end_is_its_pools_end),
    cmocka_unit_test(the_heaps_functions_free_and_move_a_pools_objects),
    cmocka_unit_test(for_each_shows_all_objects_or_the_live_ones),
    cmocka_unit_test(the_private_area_is_zero_aligned_and_kept),
    cmocka_unit_test(a_pool_is_found_by_its_name_alone),
    cmocka_unit_test(a_name_that_cannot_be_is_refused),
    cmocka_unit_test(as_many_pools_as_there_may_be_work_side_by_side),
    cmocka_unit_test(the_next_pool_of_a_place_has_nothing_of_the_last),
    cmocka_unit_test(bad_sizes_and_alignments_are_einval),
    cmocka_unit_test(bad_numbers_are_einval),
    cmocka_unit_test(what_no_memory_can_hold_is_enomem),
    cmocka_unit_test(objects_come_from_the_node_of_their_thread_or_of_the_pool),
    cmocka_unit_test(put_on_another_node_an_object_goes_home),
    cmocka_unit_test(max_is_of_all_nodes_together),
    cmocka_unit_test(a_heap_never_has_more_than_its_limit),
    cmocka_unit_test(a_limit_below_two_chunks_is_einval),
    cmocka_unit_test(enospc_is_the_limit_and_enomem_the_provider),
    cmocka_unit_test(the_limit_goes_up_and_down_at_any_time),
    cmocka_unit_test(a_region_that_goes_beyond_the_limit_is_handed_back_once),
    cmocka_unit_test(what_is_parked_is_taken_back_before_enospc),
    cmocka_unit_test(a_pool_that_meets_the_limit_is_enospc_and_loses_nothing)
};

int
main(void)
{
    return cmocka_run_group_tests_name("pools", tests, NULL, NULL);
}
