/* test_headers.c - with FPHEAP_HEADER the 16 bytes in front of each object know
 * its size, tag, flags, destructor and references.  They cost no promise: what
 * is aligned stays so, an object has all the bytes that it says, and the sums
 * by tag are exact, whoever allocates, frees, moves, leaves or has no cache.
 */
#include "races.h"

static void note_panic(const char *message);
#define FPHEAP_PANIC(message) note_panic(message)
#define FPHEAP_HEADER 1
#define FPHEAP_MAX_THREADS 4   /* so that few threads are too many */
#define FPHEAP_IMPLEMENTATION
#include "fpheap.h"
#include "test_util.h"

#include <pthread.h>

#define IN_FRONT 16            /* bytes of a header */

static test_provider provider;
static unsigned      panics;
static char          last_panic[256];

static void
note_panic(const char *message)
{
    panics++;
    (void)snprintf(last_panic, sizeof(last_panic), "%s", message);
}

static void
expect_panics_at(unsigned n, const char *file, int line)
{
    int ok = panics == n && (n == 0 || strlen(last_panic) > 10);

    if (!ok)
        print_error("%u panics, not %u; the last: \"%s\"\n", panics, n,
                    last_panic);
    panics = 0;
    last_panic[0] = '\0';
    if (!ok)
        _fail(file, line);
}

#define EXPECT_PANICS(n) expect_panics_at(n, __FILE__, __LINE__)

/* --- what should be counted ----------------------------------------------- */

typedef struct books {
    size_t objects[FPHEAP_TAGS];
    size_t bytes[FPHEAP_TAGS];
} books;

static void
book(books *b, unsigned tag, size_t bytes)
{
    b->objects[tag]++;
    b->bytes[tag] += bytes;
}

static void
unbook(books *b, unsigned tag, size_t bytes)
{
    b->objects[tag]--;
    b->bytes[tag] -= bytes;
}

static void
check_books_at(fpheap *heap, const books *b, const char *file, int line)
{
    size_t           objects = 0;
    size_t           bytes = 0;
    fpheap_stats     stats;
    fpheap_tag_stats t;
    unsigned         tag;

    for (tag = 0; tag < FPHEAP_TAGS; tag++) {
        assert_int_equal(fpheap_tag_stats_get(heap, tag, &t), 0);
        if (t.objects != b->objects[tag] || t.bytes != b->bytes[tag]) {
            print_error("tag %u: %zu objects, %zu bytes, not %zu and %zu\n",
                        tag, t.objects, t.bytes, b->objects[tag],
                        b->bytes[tag]);
            _fail(file, line);
        }
        objects += t.objects;
        bytes += t.bytes;
    }
    fpheap_stats_get(heap, &stats);
    if (stats.requested_bytes != bytes || bytes > stats.live_bytes) {
        print_error("requested %zu bytes, by tag %zu, live %zu\n",
                    stats.requested_bytes, bytes, stats.live_bytes);
        _fail(file, line);
    }
    test_check_live_at(heap, objects, file, line);
}

/* Each tag has what the books say, all tags have what the heap says, and every
 * invariant holds. */
#define CHECK_BOOKS(heap, b) check_books_at(heap, b, __FILE__, __LINE__)

/* All that a header says of an object with one reference. */
static void
expect_header_at(void *object, size_t size, unsigned tag, unsigned flags,
                 const char *file, int line)
{
    if (fpheap_requested(object) == size && fpheap_tag(object) == tag
        && fpheap_flags(object) == flags && fpheap_refs(object) == 1)
        return;
    print_error("%p: %zu bytes, tag %u, flags %#x, %u references, not %zu, %u,"
                " %#x and 1\n", object, fpheap_requested(object),
                fpheap_tag(object), fpheap_flags(object), fpheap_refs(object),
                size, tag, flags);
    _fail(file, line);
}

#define EXPECT_HEADER(object, size, tag, flags) \
    expect_header_at(object, size, tag, flags, __FILE__, __LINE__)

/* An object with the header in front of it, for test_disjoint. */
static test_object
with_header(fpheap *heap, void *object, size_t size)
{
    test_object o;

    o.base = (char *)object - IN_FRONT;
    o.bytes = fpheap_usable_size(heap, object) + IN_FRONT;
    o.size = size;
    o.number = 0;
    return o;
}

/* --- sizes and alignments ------------------------------------------------- */

/* What fpheap_alloc promises of an object: the header is a part of its class,
 * and is not in the way of its alignment. */
static size_t
promised_alignment(size_t size, size_t usable)
{
    size_t all = usable + IN_FRONT;
    size_t align = all & (~all + 1);

    if (size + IN_FRONT > FPH_CLASS_MAX || align > FPHEAP_PAGE)
        return FPHEAP_PAGE;
    return align;
}

static void
check_promises(fpheap *heap, void *object, size_t size)
{
    size_t usable;
    size_t align;

    assert_non_null(object);
    usable = fpheap_usable_size(heap, object);
    align = promised_alignment(size, usable);
    assert_true(usable >= size);
    assert_true(align >= 16);
    if ((uintptr_t)object % align != 0)
        fail_msg("%p of %zu bytes should be aligned to %zu", object, size,
                 align);
    EXPECT_HEADER(object, size, 0, 0);
}

#define TWINS 3                /* one of a size may be aligned by chance */

static void
every_size_is_aligned_as_it_is_without_headers(void **state)
{
    enum { SIZES = 4096 };
    static void       *objects[SIZES * TWINS];
    static test_object spans[SIZES * TWINS];
    fpheap            *heap = test_heap_over(&provider);
    size_t             i;

    (void)state;
    for (i = 0; i < SIZES * TWINS; i++) {
        objects[i] = fpheap_alloc(heap, 1 + i / TWINS);
        check_promises(heap, objects[i], 1 + i / TWINS);
        spans[i] = with_header(heap, objects[i], 1 + i / TWINS);
    }
    assert_true(test_disjoint(spans, SIZES * TWINS));
    for (i = 0; i < SIZES * TWINS; i++)
        test_fill(objects[i], fpheap_usable_size(heap, objects[i]), i);
    for (i = 0; i < SIZES * TWINS; i++) {
        check_promises(heap, objects[i], 1 + i / TWINS);
        assert_true(test_filled(objects[i],
                                fpheap_usable_size(heap, objects[i]), i));
    }
    TEST_CHECK_LIVE(heap, SIZES * TWINS);
    for (i = 0; i < SIZES * TWINS; i++) {
        if (i % 2 == 0)
            fpheap_free(heap, objects[i]);
        else
            fpheap_free_sized(heap, objects[i], 1 + i / TWINS);
    }
    TEST_DESTROY_OVER(heap, &provider);
    EXPECT_PANICS(0);
}

static void
large_sizes_are_aligned_as_they_are_without_headers(void **state)
{
    fpheap     *heap = test_heap_over(&provider);
    test_random random = test_random_of(1);
    unsigned    step;

    (void)state;
    for (step = 0; step < 1500 * test_soak(); step++) {
        size_t      size = 4097 + test_below(&random, 4 * TEST_MIB - 4096);
        void       *objects[TWINS];
        test_object spans[TWINS];
        unsigned    i;

        if (step % 2 == 0)     /* most of the slabs have less */
            size = 4097 + test_below(&random, FPH_CLASS_MAX - 4096);
        if (step % 16 == 15)   /* powers of two and beside them, less headers */
            size = (TEST_KIB << (2 + step / 16 % 10)) + step % 3 - 1
                 - (step / 160 % 2) * IN_FRONT;
        for (i = 0; i < TWINS; i++) {
            objects[i] = fpheap_alloc(heap, size);
            check_promises(heap, objects[i], size);
            spans[i] = with_header(heap, objects[i], size);
            memset(objects[i], (int)step, 64);
            memset((char *)spans[i].base + spans[i].bytes - 64, 1, 64);
        }
        assert_true(test_disjoint(spans, TWINS));
        for (i = 0; i < TWINS; i++) {
            check_promises(heap, objects[i], size);
            fpheap_free(heap, objects[i]);
        }
        if (step % 100 == 0)
            TEST_CHECK_LIVE(heap, 0);
    }
    TEST_DESTROY_OVER(heap, &provider);
    EXPECT_PANICS(0);
}

/* What starts a chunk has its header in the chunk before. */
static void
every_alignment_up_to_a_chunk_can_be_had(void **state)
{
    size_t  sizes[] = { 0, 1, 16, 17, 48, 100, 1000, 4080, 4096,
                        FPHEAP_PAGE - 16, FPHEAP_PAGE, FPH_CLASS_MAX - 16,
                        FPH_CLASS_MAX - 15, FPH_CLASS_MAX, FPH_CLASS_MAX + 1,
                        FPHEAP_CHUNK - 16, FPHEAP_CHUNK, 2 * FPHEAP_CHUNK - 16,
                        3 * FPHEAP_CHUNK };
    enum { N = sizeof(sizes) / sizeof(sizes[0]) * TWINS };
    fpheap     *heap = test_heap_over(&provider);
    void       *objects[N];
    test_object spans[N];
    books       b;
    size_t      align;
    size_t      i;

    (void)state;
    for (align = 1; align <= FPHEAP_CHUNK; align *= 2) {
        memset(&b, 0, sizeof(b));
        for (i = 0; i < N; i++) {
            objects[i] = fpheap_aligned_alloc(heap, align, sizes[i / TWINS]);
            assert_non_null(objects[i]);
            assert_int_equal((uintptr_t)objects[i] % align, 0);
            assert_int_equal((uintptr_t)objects[i] % 16, 0);
            spans[i] = with_header(heap, objects[i], sizes[i / TWINS]);
            assert_true(spans[i].bytes >= sizes[i / TWINS] + IN_FRONT);
            test_fill(objects[i], fpheap_usable_size(heap, objects[i]), i);
            book(&b, 0, sizes[i / TWINS]);
        }
        assert_true(test_disjoint(spans, N));
        CHECK_BOOKS(heap, &b);
        for (i = 0; i < N; i++) {
            EXPECT_HEADER(objects[i], sizes[i / TWINS], 0, 0);
            assert_true(test_filled(objects[i], fpheap_usable_size(
                heap, objects[i]), i));
            assert_ptr_equal(fpheap_base_of(heap, objects[i]), objects[i]);
        }
        for (i = 0; i < N; i++)
            fpheap_free(heap, objects[i]);
        memset(&b, 0, sizeof(b));
        CHECK_BOOKS(heap, &b);
        (void)fpheap_trim(heap);
    }
    errno = 0;
    assert_null(fpheap_aligned_alloc(heap, 2 * FPHEAP_CHUNK, 1));
    assert_int_equal(errno, EINVAL);
    TEST_DESTROY_OVER(heap, &provider);
    EXPECT_PANICS(0);
}

/* Sizes that only the header takes over the top of their type. */
static void
a_size_to_which_no_header_can_be_added_is_enomem(void **state)
{
    fpheap *heap = test_heap_over(&provider);
    void   *kept = fpheap_alloc_tagged(heap, 100, 3);
    void   *two[2];
    books   b;
    size_t  less;

    (void)state;
    memset(&b, 0, sizeof(b));
    book(&b, 3, 100);
    for (less = 0; less < 70; less++) {
        size_t size = SIZE_MAX - less;

        errno = 0;
        assert_null(fpheap_alloc(heap, size));
        assert_int_equal(errno, ENOMEM);
        assert_null(fpheap_zalloc(heap, size));
        assert_null(fpheap_calloc(heap, 1, size));
        assert_null(fpheap_calloc(heap, size / 16, 16));
        assert_null(fpheap_alloc_tagged(heap, size, 1));
        assert_null(fpheap_alloc_on(heap, size, 0));
        assert_null(fpheap_aligned_alloc(heap, 16, size));
        assert_null(fpheap_aligned_alloc(heap, 4096, size));
        assert_null(fpheap_aligned_alloc(heap, FPHEAP_CHUNK, size));
        assert_null(fpheap_realloc(heap, NULL, size));
        errno = 0;
        assert_null(fpheap_realloc(heap, kept, size));
        assert_int_equal(errno, ENOMEM);
        assert_int_equal(fpheap_alloc_bulk(heap, size, two, 2), -ENOMEM);
        assert_int_equal(fpheap_alloc_burst(heap, size, two, 2), 0);
        assert_null(fpheap_cache_alloc(fpheap_self(heap), size));
        EXPECT_HEADER(kept, 100, 3, 0);
    }
    CHECK_BOOKS(heap, &b);
    fpheap_free(heap, kept);
    TEST_DESTROY_OVER(heap, &provider);
    EXPECT_PANICS(0);
}

/* --- what was asked for --------------------------------------------------- */

static const size_t sizes[] = { 0, 1, 15, 16, 17, 48, 49, 64, 200, 1000, 2048,
                                9000, 65536, 300000, FPH_CLASS_MAX - 16,
                                FPH_CLASS_MAX - 15, FPH_CLASS_MAX + 1,
                                3000000 };

/* Leave objects of a size behind that are not zero. */
static void
dirty(fpheap *heap, size_t size)
{
    void    *objects[4];
    unsigned i;

    assert_int_equal(fpheap_alloc_bulk(heap, size, objects, 4), 0);
    for (i = 0; i < 4; i++)
        memset(objects[i], 0xee, fpheap_usable_size(heap, objects[i]));
    fpheap_free_bulk(heap, objects, 4);
}

static void
every_function_notes_what_was_asked_for(void **state)
{
    enum { ONES = 9, MORE = 20 };
    fpheap *heap = test_heap_over(&provider);
    void   *objects[ONES + 2 * MORE];
    books   b;
    size_t  s;
    size_t  i;

    (void)state;
    for (s = 0; s < TEST_COUNT(sizes); s++) {
        size_t size = sizes[s];

        dirty(heap, size);
        memset(&b, 0, sizeof(b));
        objects[0] = fpheap_alloc(heap, size);
        objects[1] = fpheap_zalloc(heap, size);
        objects[2] = fpheap_calloc(heap, size, 1);
        objects[3] = fpheap_calloc(heap, 1, size);
        objects[4] = fpheap_alloc_on(heap, size, 0);
        objects[5] = fpheap_alloc_on(heap, size, FPHEAP_ANY_NODE);
        objects[6] = fpheap_realloc(heap, NULL, size);
        objects[7] = fpheap_cache_alloc(fpheap_self(heap), size);
        objects[8] = fpheap_alloc_tagged(heap, size, 0);
        assert_int_equal(fpheap_alloc_bulk(heap, size, objects + ONES, MORE),
                         0);
        assert_int_equal(fpheap_alloc_burst(heap, size, objects + ONES + MORE,
                                            MORE), MORE);
        for (i = 0; i < TEST_COUNT(objects); i++) {
            check_promises(heap, objects[i], size);
            if (i >= 1 && i <= 3)
                assert_true(test_all_bytes(
                    objects[i], fpheap_usable_size(heap, objects[i]), 0));
            book(&b, 0, size);
        }
        CHECK_BOOKS(heap, &b);
        fpheap_free_bulk(heap, objects, ONES + MORE);
        fpheap_free_bulk_sized(heap, objects + ONES + MORE, MORE, size);
        memset(&b, 0, sizeof(b));
        CHECK_BOOKS(heap, &b);
    }
    TEST_DESTROY_OVER(heap, &provider);
    EXPECT_PANICS(0);
}

/* Of one in a chunk the page in front was counted as live, above it as waste. */
static void
the_page_in_front_of_a_large_object_is_waste(void **state)
{
    static const size_t sizes[] = { 10 * FPHEAP_PAGE, FPHEAP_CHUNK / 2 + 1,
                                    FPHEAP_CHUNK - 2 * FPHEAP_PAGE,
                                    FPHEAP_CHUNK, FPHEAP_CHUNK + FPHEAP_PAGE,
                                    2 * FPHEAP_CHUNK - FPHEAP_PAGE };
    fpheap  *heap = test_heap_over(&provider);
    unsigned i, k;

    (void)state;
    for (i = 0; i < TEST_COUNT(sizes); i++) {
        for (k = 0; k < 3; k++) {
            size_t       align = FPHEAP_PAGE << k;
            void        *object;
            fpheap_stats before, after;

            fpheap_stats_get(heap, &before);
            object = fpheap_aligned_alloc(heap, align, sizes[i]);
            assert_non_null(object);
            fpheap_stats_get(heap, &after);
            assert_int_equal(after.live_bytes - before.live_bytes,
                             fpheap_usable_size(heap, object));
            assert_true(after.waste_bytes - before.waste_bytes >= FPHEAP_PAGE);
            TEST_CHECK_LIVE(heap, 1);
            fpheap_free(heap, object);
        }
    }
    TEST_DESTROY_OVER(heap, &provider);
}

/* More than 32 bits can say. */
static void
an_object_of_five_gigabytes_knows_its_size(void **state)
{
    size_t  size = (size_t)((uint64_t)5 << 30) + 12345;
    fpheap *heap;
    char   *object;
    books   b;

    (void)state;
    if (sizeof(size_t) < 8)
        skip();
    heap = test_heap_over(&provider);
    memset(&b, 0, sizeof(b));
    object = (char *)fpheap_alloc_tagged(heap, size, FPHEAP_TAGS - 1);
    assert_non_null(object);
    book(&b, FPHEAP_TAGS - 1, size);
    object[0] = object[size - 1] = 1;
    EXPECT_HEADER(object, size, FPHEAP_TAGS - 1, 0);
    assert_true(fpheap_usable_size(heap, object) >= size);
    CHECK_BOOKS(heap, &b);
    fpheap_set_flags(object, 0xa5);
    fpheap_ref(object);
    fpheap_unref(heap, object);
    EXPECT_HEADER(object, size, FPHEAP_TAGS - 1, 0xa5);
    fpheap_free(heap, object);
    TEST_DESTROY_OVER(heap, &provider);
    EXPECT_PANICS(0);
}

static void
realloc_keeps_all_but_the_size(void **state)
{
    fpheap     *heap = test_heap_over(&provider);
    test_random random = test_random_of(2);
    void       *beside = fpheap_alloc(heap, 1000);
    char       *object = (char *)fpheap_alloc_tagged(heap, 10, 7);
    size_t      size = 10;
    books       b;
    unsigned    step;

    (void)state;
    assert_non_null(object);
    fpheap_set_flags(object, 0x5a);
    test_fill(object, size, 3);
    for (step = 0; step < 4000 * test_soak(); step++) {
        size_t    next = test_size(&random, step % 50 == 0 ? 23 : 14);
        size_t    kept = next < size ? next : size;
        uintptr_t origin = (uintptr_t)object;

        if (step % 97 == 0)
            next = kept = 0;
        object = (char *)fpheap_realloc(heap, object, next);
        assert_non_null(object);
        EXPECT_HEADER(object, next, 7, 0x5a);
        assert_true(fpheap_usable_size(heap, object) >= next);
        assert_true(test_filled_at(object, origin, kept, 3));
        test_fill(object, next, 3);
        size = next;
        memset(&b, 0, sizeof(b));
        book(&b, 7, size);
        book(&b, 0, 1000);
        if (step % 20 == 0)
            CHECK_BOOKS(heap, &b);
    }
    fpheap_free(heap, object);
    fpheap_free(heap, beside);
    TEST_DESTROY_OVER(heap, &provider);
    EXPECT_PANICS(0);
}

/* --- neighbours ----------------------------------------------------------- */

static void
all_bytes_of_an_object_can_be_written_without_harm_to_a_header(void **state)
{
    enum { MOST = 2500 };
    static void *objects[MOST];
    fpheap      *heap = test_heap_over(&provider);
    size_t       s;
    size_t       i;

    (void)state;
    for (s = 0; s < TEST_COUNT(sizes); s++) {
        size_t size = sizes[s];
        size_t n = 24 * TEST_MIB / (size + 1);

        n = n < MOST ? n : MOST;
        for (i = 0; i < n; i++) {
            objects[i] = fpheap_alloc_tagged(heap, size,
                                             (unsigned)(i % FPHEAP_TAGS));
            assert_non_null(objects[i]);
            fpheap_set_flags(objects[i], i % 256);
        }
        for (i = 0; i < n; i++)
            memset(objects[i], 0xff, fpheap_usable_size(heap, objects[i]));
        for (i = 0; i < n; i++)
            EXPECT_HEADER(objects[i], size, i % FPHEAP_TAGS, i % 256);
        for (i = 0; i < n; i++)
            memset(objects[i], 0, fpheap_usable_size(heap, objects[i]));
        for (i = 0; i < n; i++)
            EXPECT_HEADER(objects[i], size, i % FPHEAP_TAGS, i % 256);
        TEST_CHECK_LIVE(heap, n);
        fpheap_free_bulk(heap, objects, (unsigned)n);
        TEST_CHECK_LIVE(heap, 0);
    }
    TEST_DESTROY_OVER(heap, &provider);
    EXPECT_PANICS(0);
}

/* And what a header says is written into no object, live or free. */
static void
flags_tags_and_references_are_not_in_the_object(void **state)
{
    enum { N = 300 };
    void    *objects[N];
    fpheap  *heap = test_heap_over(&provider);
    size_t   s;
    unsigned i;

    (void)state;
    for (s = 0; s < TEST_COUNT(sizes) && sizes[s] < 50000; s++) {
        for (i = 0; i < N; i++) {
            objects[i] = fpheap_alloc_tagged(heap, sizes[s], i % FPHEAP_TAGS);
            assert_non_null(objects[i]);
            test_fill(objects[i], fpheap_usable_size(heap, objects[i]), i);
        }
        for (i = 0; i < N; i++) {
            fpheap_set_flags(objects[i], 255 - i % 256);
            fpheap_ref(objects[i]);
        }
        for (i = 0; i < N; i++) {
            assert_int_equal(fpheap_refs(objects[i]), 2);
            assert_true(test_filled(objects[i], fpheap_usable_size(
                heap, objects[i]), i));
        }
        for (i = 0; i < N; i++)
            fpheap_unref(heap, objects[i]);
        for (i = 0; i < N; i++) {
            EXPECT_HEADER(objects[i], sizes[s], i % FPHEAP_TAGS,
                          255 - i % 256);
            fpheap_unref(heap, objects[i]);
        }
        TEST_CHECK_LIVE(heap, 0);
    }
    TEST_DESTROY_OVER(heap, &provider);
    EXPECT_PANICS(0);
}

/* --- tags ----------------------------------------------------------------- */

#define SLOTS      600
#define BULK       64
#define POOL_BYTES 300
#define POOL_TAG   5

enum kind { PLAIN, ALIGNED, POOLED };

typedef struct item {
    void     *object;
    size_t    size;
    unsigned  tag;
    enum kind kind;
} item;

/* One who allocates, frees and moves at random.  What he frees others may have
 * allocated, so his own books may be below zero; the sum of all is not. */
typedef struct mixer {
    fpheap            *heap;
    fpheap_pool       *pool;
    item              *items;
    test_random        random;
    books              b;
    unsigned           wrong;
    int                leaves;     /* his cache, now and then */
    int                no_cache;
    pthread_barrier_t *pause;
} mixer;

static void
mix_get(mixer *m, item *it)
{
    size_t way = test_below(&m->random, 8);

    it->size = test_size(&m->random, way == 7 ? 19 : 12);
    it->tag = 0;
    it->kind = PLAIN;
    if (way == 0) {
        it->object = fpheap_alloc(m->heap, it->size);
    } else if (way == 1) {
        it->object = fpheap_zalloc(m->heap, it->size);
    } else if (way == 2) {
        it->kind = ALIGNED;
        it->object = fpheap_aligned_alloc(
            m->heap, (size_t)1 << test_below(&m->random, 15), it->size);
    } else if (way == 3) {
        it->kind = POOLED;
        it->tag = POOL_TAG;
        it->size = POOL_BYTES;
        it->object = fpheap_pool_get(m->pool);
    } else {
        it->tag = (unsigned)test_below(&m->random, FPHEAP_TAGS);
        it->object = fpheap_alloc_tagged(m->heap, it->size, it->tag);
    }
    if (it->object == NULL)
        m->wrong++;
    else
        book(&m->b, it->tag, it->size);
}

static void
mix_put(mixer *m, item *it)
{
    size_t way = test_below(&m->random, 4);

    m->wrong += fpheap_tag(it->object) != it->tag
             || fpheap_requested(it->object) != it->size;
    unbook(&m->b, it->tag, it->size);
    if (way == 0)
        fpheap_unref(m->heap, it->object);
    else if (way == 1 && it->kind == PLAIN)
        fpheap_free_sized(m->heap, it->object, it->size);
    else if (way == 1 && it->kind == POOLED)
        fpheap_pool_put(m->pool, it->object);
    else
        fpheap_free(m->heap, it->object);
    it->object = NULL;
}

static void
mix_move(mixer *m, item *it)
{
    size_t size = test_size(&m->random, 12);
    void  *object;

    if (it->kind == POOLED)
        return;
    object = fpheap_realloc(m->heap, it->object, size);
    if (object == NULL) {
        m->wrong++;
        return;
    }
    unbook(&m->b, it->tag, it->size);
    book(&m->b, it->tag, size);
    it->object = object;
    it->size = size;
}

/* A few objects, if they are there, give way to others of one size. */
static void
mix_bulk(mixer *m)
{
    void    *objects[BULK];
    size_t   size = test_size(&m->random, 11);
    item    *first = &m->items[test_below(&m->random, SLOTS - BULK + 1)];
    unsigned n = 1 + (unsigned)test_below(&m->random, BULK);
    int      pooled = test_below(&m->random, 4) == 0;
    int      error;
    unsigned i;

    for (i = 0; i < n; i++) {
        objects[i] = first[i].object;
        if (objects[i] != NULL)
            unbook(&m->b, first[i].tag, first[i].size);
        first[i].object = NULL;
    }
    fpheap_free_bulk(m->heap, objects, n);
    if (pooled) {
        size = POOL_BYTES;
        error = fpheap_pool_get_bulk(m->pool, objects, n);
    } else {
        error = fpheap_alloc_bulk(m->heap, size, objects, n);
    }
    m->wrong += error != 0;
    for (i = 0; i < n && error == 0; i++) {
        first[i].object = objects[i];
        first[i].size = size;
        first[i].tag = pooled ? POOL_TAG : 0;
        first[i].kind = pooled ? POOLED : PLAIN;
        book(&m->b, first[i].tag, size);
    }
    if (test_below(&m->random, 4) != 0 || error != 0)
        return;
    for (i = 0; i < n; i++) {
        unbook(&m->b, first[i].tag, size);
        first[i].object = NULL;
    }
    if (pooled)
        fpheap_pool_put_bulk(m->pool, objects, n);
    else
        fpheap_free_bulk_sized(m->heap, objects, n, size);
}

static void
mix(mixer *m, unsigned steps)
{
    unsigned step;

    for (step = 0; step < steps; step++) {
        item *it = &m->items[test_below(&m->random, SLOTS)];

        if (step % 32 == 0)
            mix_bulk(m);
        else if (it->object == NULL)
            mix_get(m, it);
        else if (test_below(&m->random, 3) == 0)
            mix_move(m, it);
        else
            mix_put(m, it);
    }
}

static void
mix_end(mixer *m)
{
    unsigned i;

    for (i = 0; i < SLOTS; i++)
        if (m->items[i].object != NULL)
            mix_put(m, &m->items[i]);
}

static fpheap_pool *
pool_of(fpheap *heap, const char *name, size_t size, unsigned tag,
        unsigned destructor)
{
    fpheap_pool_desc desc;
    fpheap_pool     *pool;

    memset(&desc, 0, sizeof(desc));
    desc.name = name;
    desc.size = size;
    desc.tag = tag;
    desc.destructor = destructor;
    pool = fpheap_pool_create(heap, &desc);
    assert_non_null(pool);
    return pool;
}

static void
tags_are_exact_whatever_one_thread_does(void **state)
{
    static item items[SLOTS];
    fpheap     *heap = test_heap_over(&provider);
    mixer       m;
    unsigned    round;

    (void)state;
    memset(&m, 0, sizeof(m));
    m.heap = heap;
    m.pool = pool_of(heap, "mixed", POOL_BYTES, POOL_TAG, 0);
    m.items = items;
    m.random = test_random_of(3);
    for (round = 0; round < 60 * test_soak(); round++) {
        mix(&m, 1000);
        if (round % 8 == 5)
            (void)fpheap_trim(heap);
        if (round % 16 == 9)
            fpheap_thread_leave(heap);
        assert_int_equal(m.wrong, 0);
        CHECK_BOOKS(heap, &m.b);
    }
    mix_end(&m);
    assert_int_equal(m.wrong, 0);
    CHECK_BOOKS(heap, &m.b);
    TEST_DESTROY_OVER(heap, &provider);
    EXPECT_PANICS(0);
}

#define MIXERS 8               /* twice as many as can have a cache */
#define ROUNDS 12

static void *
run_mixer(void *arg)
{
    mixer   *m = (mixer *)arg;
    unsigned round;

    m->no_cache = fpheap_self(m->heap) == NULL;
    (void)pthread_barrier_wait(m->pause);
    for (round = 0; round < ROUNDS; round++) {
        mix(m, 1500);
        if (m->leaves && round % 3 == 1)
            fpheap_thread_leave(m->heap);
        (void)pthread_barrier_wait(m->pause);
        (void)pthread_barrier_wait(m->pause);
    }
    return NULL;
}

static void
check_mixers_at(fpheap *heap, const mixer *m, unsigned n, const char *file,
                int line)
{
    books    sum;
    unsigned i;
    unsigned tag;

    memset(&sum, 0, sizeof(sum));
    for (i = 0; i < n; i++) {
        if (m[i].wrong != 0) {
            print_error("%u calls went wrong in thread %u\n", m[i].wrong, i);
            _fail(file, line);
        }
        for (tag = 0; tag < FPHEAP_TAGS; tag++) {
            sum.objects[tag] += m[i].b.objects[tag];
            sum.bytes[tag] += m[i].b.bytes[tag];
        }
    }
    check_books_at(heap, &sum, file, line);
}

#define CHECK_MIXERS(heap, m) check_mixers_at(heap, m, MIXERS, __FILE__, \
                                              __LINE__)

/* In each round another thread gets the objects, so what one allocates the next
 * one moves and frees, with a cache or without. */
static void
tags_are_exact_whatever_threads_do(void **state)
{
    static item       items[MIXERS][SLOTS];
    static mixer      m[MIXERS];
    fpheap           *heap = test_heap_over(&provider);
    fpheap_pool      *pool = pool_of(heap, "mixed", POOL_BYTES, POOL_TAG, 0);
    pthread_t         thread[MIXERS];
    pthread_barrier_t pause;
    unsigned          without = 0;
    unsigned          round;
    unsigned          i;

    (void)state;
    (void)pthread_barrier_init(&pause, NULL, MIXERS + 1);
    memset(m, 0, sizeof(m));
    for (i = 0; i < MIXERS; i++) {
        m[i].heap = heap;
        m[i].pool = pool;
        m[i].items = items[i];
        m[i].random = test_random_of(100 + i);
        m[i].leaves = i % 2 == 0;
        m[i].pause = &pause;
        assert_int_equal(pthread_create(&thread[i], NULL, run_mixer, &m[i]),
                         0);
    }
    (void)pthread_barrier_wait(&pause);
    for (i = 0; i < MIXERS; i++)
        without += (unsigned)m[i].no_cache;
    assert_true(without >= MIXERS - FPHEAP_MAX_THREADS);
    for (round = 0; round < ROUNDS; round++) {
        (void)pthread_barrier_wait(&pause);
        CHECK_MIXERS(heap, m);
        for (i = 0; i < MIXERS; i++)
            m[i].items = items[(i + round) % MIXERS];
        (void)pthread_barrier_wait(&pause);
    }
    for (i = 0; i < MIXERS; i++)
        (void)pthread_join(thread[i], NULL);
    CHECK_MIXERS(heap, m);
    for (i = 0; i < MIXERS; i++) {
        mix_end(&m[i]);
        CHECK_MIXERS(heap, m);
    }
    (void)pthread_barrier_destroy(&pause);
    TEST_DESTROY_OVER(heap, &provider);
    EXPECT_PANICS(0);
}

static void
expect_line(const char *text, const char *format, ...)
{
    char    line[200];
    va_list list;

    va_start(list, format);
    (void)vsnprintf(line, sizeof(line), format, list);
    va_end(list);
    if (strstr(text, line) == NULL)
        fail_msg("no line \"%s\" in:\n%s", line, text);
}

static void
a_dump_has_all_statistics_by_size_and_by_tag(void **state)
{
    fpheap            *heap = test_heap_over(&provider);
    fpheap_pool       *pool = pool_of(heap, "dumped pool", 700, 1, 0);
    void              *objects[5];
    char              *text = NULL;
    size_t             bytes = 0;
    fpheap_stats       s;
    fpheap_class_stats c;
    FILE              *out = open_memstream(&text, &bytes);
    unsigned           k;

    (void)state;
    assert_non_null(out);
    objects[0] = fpheap_alloc_tagged(heap, 1000, 3);
    objects[1] = fpheap_alloc_tagged(heap, 1000, FPHEAP_TAGS - 1);
    objects[2] = fpheap_alloc(heap, 50);
    objects[3] = fpheap_alloc(heap, 5 * FPHEAP_CHUNK);
    objects[4] = fpheap_pool_get(pool);
    fpheap_free(heap, fpheap_alloc(heap, 50));
    fpheap_free(heap, fpheap_alloc(heap, 9 * FPHEAP_PAGE));
    fpheap_dump(heap, out);
    (void)fclose(out);
    fpheap_stats_get(heap, &s);
    expect_line(text, "heap \"test\": %zu bytes in %u regions, 1 nodes, "
                "1 caches\n", s.region_bytes, s.regions);
    expect_line(text, " live %19zu bytes  5 objects\n", s.live_bytes);
    expect_line(text, " requested %14zu bytes\n", s.requested_bytes);
    expect_line(text, " parked %17zu bytes  %zu objects, %zu bytes in depots\n",
                s.parked_bytes, s.parked_objects, s.depot_bytes);
    expect_line(text, " slab free %14zu bytes\n", s.slab_free_bytes);
    expect_line(text, " page free %14zu bytes\n", s.page_free_bytes);
    expect_line(text, " waste %18zu bytes\n", s.waste_bytes);
    expect_line(text, " metadata %15zu bytes\n", s.metadata_bytes);
    expect_line(text, " pages     0 hugetlb, 0 thp, %zu base, 0 unknown\n",
                s.region_bytes);
    expect_line(text, " growth    %llu regions, 0 failures, longest %llu ns\n",
                (unsigned long long)s.growths,
                (unsigned long long)s.growth_max_ns);
    expect_line(text, "       size    slabs       live     parked       free\n");
    for (k = 0; fpheap_class_stats_get(heap, k, &c) == 0; k++)
        if (c.slabs != 0)
            expect_line(text, "%10zu %8zu %10zu %10zu %10zu  \n", c.size,
                        c.slabs, c.live_objects, c.parked_objects,
                        c.free_objects);
    expect_line(text, " 1 ");
    expect_line(text, "  dumped pool\n");
    expect_line(text, "     large                   1          1\n");
    expect_line(text, " tag      0 ");
    expect_line(text, " tag      3 %30d requested bytes, 1 objects\n", 1000);
    expect_line(text, " tag %6d %30d requested bytes, 1 objects\n",
                FPHEAP_TAGS - 1, 1000);
    assert_null(strstr(text, " tag      4 "));
    free(text);
    for (k = 0; k < TEST_COUNT(objects); k++)
        fpheap_free(heap, objects[k]);
    TEST_DESTROY_OVER(heap, &provider);
    EXPECT_PANICS(0);
}

/* A thread has counted what it frees, of which the others' part is not seen
 * yet. */
static void
a_sum_below_zero_is_zero(void **state)
{
    fpheap          *heap = test_heap_over(&provider);
    fpheap_tag_stats stats;

    (void)state;
    heap->state->tag_objects[5] = (uint64_t)-1;
    heap->state->tag_bytes[5] = (uint64_t)-1;
    assert_int_equal(fpheap_tag_stats_get(heap, 5, &stats), 0);
    assert_int_equal(stats.objects, 0);
    assert_int_equal(stats.bytes, 0);
    heap->state->tag_objects[5] = 0;
    heap->state->tag_bytes[5] = 0;
    TEST_DESTROY_OVER(heap, &provider);
}

static void
a_tag_that_is_none_is_einval(void **state)
{
    unsigned         bad[] = { FPHEAP_TAGS, FPHEAP_TAGS + 1, 255 + FPHEAP_TAGS,
                               256, 65536, INT_MAX, UINT_MAX };
    fpheap          *heap = test_heap_over(&provider);
    fpheap_pool_desc desc;
    size_t           i;

    (void)state;
    memset(&desc, 0, sizeof(desc));
    desc.name = "bad";
    desc.size = 100;
    for (i = 0; i < TEST_COUNT(bad); i++) {
        fpheap_tag_stats stats = { 11, 12 };

        errno = 0;
        assert_null(fpheap_alloc_tagged(heap, 100, bad[i]));
        assert_int_equal(errno, EINVAL);
        assert_int_equal(fpheap_tag_stats_get(heap, bad[i], &stats), -EINVAL);
        assert_true(stats.objects == 11 && stats.bytes == 12);
        desc.tag = bad[i];
        errno = 0;
        assert_null(fpheap_pool_create(heap, &desc));
        assert_int_equal(errno, EINVAL);
    }
    TEST_DESTROY_OVER(heap, &provider);
    EXPECT_PANICS(0);
}

static void
what_could_not_be_had_is_not_counted(void **state)
{
    fpheap  *heap = test_heap_within(&provider, 6 * FPHEAP_CHUNK);
    size_t   tried[] = { 100, 2048, FPHEAP_PAGE, FPH_CLASS_MAX + 1,
                         FPHEAP_CHUNK };
    void    *many[600];
    void    *first = NULL;
    void    *last = NULL;
    books    b;
    size_t   s;
    unsigned i;

    (void)state;
    memset(&b, 0, sizeof(b));
    for (;;) {
        void *object = fpheap_alloc_tagged(heap, 5000, 9);

        if (object == NULL)
            break;
        memcpy(object, &last, sizeof(last));
        last = object;
        first = first == NULL ? object : first;
        book(&b, 9, 5000);
    }
    for (s = 1; s < TEST_COUNT(tried); s++) {
        for (i = 0; i < 5; i++) {
            if (fpheap_alloc_tagged(heap, FPHEAP_CHUNK, 2) != NULL)
                fail_msg("a chunk in a heap that is full");
            assert_int_equal(fpheap_alloc_bulk(heap, 6000, many, 600),
                             -ENOMEM);
            assert_null(fpheap_realloc(heap, first, 2 * FPHEAP_CHUNK));
            assert_null(fpheap_aligned_alloc(heap, FPHEAP_CHUNK, tried[s]));
            assert_null(fpheap_aligned_alloc(heap, 64, 6000));
            EXPECT_HEADER(first, 5000, 9, 0);
        }
        CHECK_BOOKS(heap, &b);
    }
    while (last != NULL) {
        void *object = last;

        memcpy(&last, object, sizeof(last));
        fpheap_free(heap, object);
        unbook(&b, 9, 5000);
    }
    CHECK_BOOKS(heap, &b);
    TEST_DESTROY_OVER(heap, &provider);
    EXPECT_PANICS(0);
}

static void
a_new_heap_begins_with_no_tags(void **state)
{
    unsigned round;
    unsigned i;
    books    none;

    (void)state;
    memset(&none, 0, sizeof(none));
    for (round = 0; round < 40; round++) {
        fpheap *heap = test_heap_over(&provider);

        CHECK_BOOKS(heap, &none);
        for (i = 0; i < 100 + round; i++)
            assert_non_null(fpheap_alloc_tagged(heap, i, i % FPHEAP_TAGS));
        if (round % 2 == 0)
            fpheap_thread_leave(heap);
        assert_int_equal(fpheap_destroy(heap), -EBUSY);
        assert_int_equal(fpheap_destroy_forced(heap), 0);
        assert_int_equal(provider.held, 0);
    }
    EXPECT_PANICS(0);
}

/* --- references and destructors ------------------------------------------- */

/* What a destructor saw last, and what it shall do. */
typedef struct witness {
    unsigned    calls;
    void       *object;
    size_t      requested;
    unsigned    tag;
    unsigned    flags;
    unsigned    harmed;        /* objects not as test_fill left them */
    fpheap_fate fate;
} witness;

static witness seen;
static witness seen_too;

static fpheap_fate
note_end(void *arg, void *object)
{
    witness *w = (witness *)arg;

    w->calls++;
    w->object = object;
    w->requested = fpheap_requested(object);
    w->tag = fpheap_tag(object);
    w->flags = fpheap_flags(object);
    w->harmed += !test_filled(object, w->requested, 1);
    return w->fate;
}

/* The number of note_end with one of the two as its argument. */
static unsigned
number_of(witness *w)
{
    static int numbers[2];
    int       *number = &numbers[w == &seen_too];

    if (*number == 0)
        *number = fpheap_destructor_register(note_end, w);
    assert_true(*number >= 1 && *number <= 255);
    memset(w, 0, sizeof(*w));
    w->fate = FPHEAP_RELEASE;
    return (unsigned)*number;
}

static char *
watched(fpheap *heap, size_t size, unsigned tag, unsigned number)
{
    char *object = (char *)fpheap_alloc_tagged(heap, size, tag);

    assert_non_null(object);
    test_fill(object, size, 1);
    assert_int_equal(fpheap_set_destructor(object, number), 0);
    return object;
}

static void
the_last_reference_calls_the_destructor_once(void **state)
{
    fpheap  *heap = test_heap_over(&provider);
    unsigned number = number_of(&seen);
    size_t   s;
    unsigned refs;
    unsigned i;

    (void)state;
    for (s = 0; s < TEST_COUNT(sizes); s++) {
        for (refs = 1; refs < 70000; refs = refs * 6 + s % 2) {
            char *object = watched(heap, sizes[s], 4, number);

            fpheap_set_flags(object, 0xc3);
            seen.calls = 0;
            for (i = 1; i < refs; i++) {
                fpheap_ref(object);
                assert_int_equal(fpheap_refs(object), i + 1);
            }
            for (i = refs; i > 1; i--) {
                fpheap_unref(heap, object);
                assert_int_equal(fpheap_refs(object), i - 1);
            }
            assert_int_equal(seen.calls, 0);
            TEST_CHECK_LIVE(heap, 1);
            fpheap_unref(heap, object);
            assert_int_equal(seen.calls, 1);
            assert_ptr_equal(seen.object, object);
            assert_true(seen.requested == sizes[s] && seen.tag == 4);
            assert_int_equal(seen.flags, 0xc3);
            assert_int_equal(seen.harmed, 0);
            TEST_CHECK_LIVE(heap, 0);
        }
    }
    fpheap_unref(heap, NULL);
    TEST_DESTROY_OVER(heap, &provider);
    EXPECT_PANICS(0);
}

static fpheap *dropped_from;

static void *
drop_a_reference(void *object)
{
    fpheap_unref(dropped_from, object);
    return NULL;
}

/* Both threads have seen that there are two. */
static void
the_last_two_references_dropped_at_a_time_call_it_once(void **state)
{
    fpheap *heap = test_heap_over(&provider);
    char   *object = watched(heap, 100, 4, number_of(&seen));

    (void)state;
    dropped_from = heap;
    fpheap_ref(object);
    meanwhile(&fph_head_of(object)->refs, MEANWHILE_CHANGE, 0,
              drop_a_reference, object);
    fpheap_unref(heap, object);
    assert_null(meanwhile_moment.word);
    assert_int_equal(seen.calls, 1);
    assert_ptr_equal(seen.object, object);
    TEST_DESTROY_OVER(heap, &provider);
    EXPECT_PANICS(0);
}

static void
each_destructor_has_its_own_argument(void **state)
{
    fpheap  *heap = test_heap_over(&provider);
    unsigned one = number_of(&seen);
    unsigned two = number_of(&seen_too);
    unsigned i;

    (void)state;
    assert_int_not_equal(one, two);
    for (i = 0; i < 100; i++) {
        char *a = watched(heap, 100 + i, 0, one);
        char *b = watched(heap, 100 + i, 0, two);

        fpheap_unref(heap, b);
        fpheap_unref(heap, a);
        assert_true(seen.calls == i + 1 && seen_too.calls == i + 1);
        assert_ptr_equal(seen.object, a);
        assert_ptr_equal(seen_too.object, b);
    }
    TEST_DESTROY_OVER(heap, &provider);
    EXPECT_PANICS(0);
}

static void
what_a_destructor_keeps_is_live_with_one_reference(void **state)
{
    fpheap  *heap = test_heap_over(&provider);
    unsigned number = number_of(&seen);
    books    b;
    size_t   s;
    unsigned i;

    (void)state;
    for (s = 0; s < TEST_COUNT(sizes); s++) {
        char *object = watched(heap, sizes[s], 6, number);

        memset(&b, 0, sizeof(b));
        book(&b, 6, sizes[s]);
        fpheap_set_flags(object, 0x81);
        seen.calls = 0;
        seen.fate = FPHEAP_KEPT;
        for (i = 1; i <= 5; i++) {
            if (i % 2 == 0) {
                fpheap_ref(object);
                fpheap_unref(heap, object);
            }
            fpheap_unref(heap, object);
            assert_int_equal(seen.calls, i);
            EXPECT_HEADER(object, sizes[s], 6, 0x81);
            assert_true(test_filled(object, sizes[s], 1));
            CHECK_BOOKS(heap, &b);
        }
        seen.fate = FPHEAP_RELEASE;
        if (s % 2 == 0)
            fpheap_unref(heap, object);
        else
            fpheap_free(heap, object);
        assert_int_equal(seen.calls, 5 + (s % 2 == 0));
        assert_int_equal(seen.harmed, 0);
        TEST_CHECK_LIVE(heap, 0);
    }
    TEST_DESTROY_OVER(heap, &provider);
    EXPECT_PANICS(0);
}

/* fpheap_free calls none, 0 takes it away, and the next owner has none. */
static void
a_destructor_goes_with_its_object_and_its_number(void **state)
{
    fpheap  *heap = test_heap_over(&provider);
    unsigned number = number_of(&seen);
    void    *two[2];
    char    *object;
    unsigned i;

    (void)state;
    for (i = 0; i < 2000; i++) {
        object = watched(heap, 200, 1, number);
        fpheap_set_flags(object, 7);
        fpheap_free(heap, object);
        object = (char *)fpheap_alloc(heap, 200);
        EXPECT_HEADER(object, 200, 0, 0);
        fpheap_unref(heap, object);
        object = watched(heap, 200, 1, number);
        assert_int_equal(fpheap_set_destructor(object, 0), 0);
        fpheap_unref(heap, object);
        two[0] = watched(heap, 200, 1, number);
        two[1] = watched(heap, 200, 1, number);
        fpheap_free_bulk(heap, two, 2);
        assert_int_equal(fpheap_alloc_bulk(heap, 200, two, 2), 0);
        EXPECT_HEADER(two[0], 200, 0, 0);
        fpheap_unref(heap, two[0]);
        fpheap_unref(heap, two[1]);
    }
    assert_int_equal(seen.calls, 0);
    TEST_CHECK_LIVE(heap, 0);
    TEST_DESTROY_OVER(heap, &provider);
    EXPECT_PANICS(0);
}

static void
realloc_keeps_the_destructor(void **state)
{
    fpheap  *heap = test_heap_over(&provider);
    unsigned number = number_of(&seen);
    size_t   from;
    size_t   to;

    (void)state;
    for (from = 0; from < TEST_COUNT(sizes); from++) {
        for (to = 0; to < TEST_COUNT(sizes); to++) {
            char *object = watched(heap, sizes[from], 2, number);

            fpheap_set_flags(object, 9);
            object = (char *)fpheap_realloc(heap, object, sizes[to]);
            assert_non_null(object);
            EXPECT_HEADER(object, sizes[to], 2, 9);
            test_fill(object, sizes[to], 1);
            seen.calls = 0;
            fpheap_unref(heap, object);
            assert_int_equal(seen.calls, 1);
            assert_ptr_equal(seen.object, object);
            assert_true(seen.requested == sizes[to] && seen.tag == 2);
        }
        TEST_CHECK_LIVE(heap, 0);
    }
    assert_int_equal(seen.harmed, 0);
    TEST_DESTROY_OVER(heap, &provider);
    EXPECT_PANICS(0);
}

/* A chain of objects: each destructor drops the next one, and makes and frees
 * another object meanwhile. */
typedef struct chain {
    fpheap      *heap;
    struct chain *next;
} chain;

static unsigned links_ended;

static fpheap_fate
end_link(void *arg, void *object)
{
    chain *l = (chain *)object;
    void *other = fpheap_alloc(l->heap, 1 + links_ended % 3000);

    (void)arg;
    links_ended++;
    fpheap_unref(l->heap, l->next);
    fpheap_free(l->heap, other);
    return FPHEAP_RELEASE;
}

static void
a_destructor_may_use_the_heap(void **state)
{
    enum { LENGTH = 1500 };
    fpheap *heap = test_heap_over(&provider);
    int     number = fpheap_destructor_register(end_link, NULL);
    chain  *head = NULL;
    size_t  i;

    (void)state;
    assert_true(number >= 1);
    for (i = 0; i < LENGTH; i++) {
        chain *l = (chain *)fpheap_alloc(heap, sizeof(*l) + i % 500);

        assert_non_null(l);
        l->heap = heap;
        l->next = head;
        assert_int_equal(fpheap_set_destructor(l, (unsigned)number), 0);
        head = l;
    }
    links_ended = 0;
    fpheap_unref(heap, head);
    assert_int_equal(links_ended, LENGTH);
    TEST_CHECK_LIVE(heap, 0);
    TEST_DESTROY_OVER(heap, &provider);
    EXPECT_PANICS(0);
}

/* --- misuse --------------------------------------------------------------- */

/* The five ways to free, and the one for pools. */
static void
free_by(fpheap *heap, unsigned way, void *object, size_t size)
{
    switch (way) {
    case 0:
        fpheap_free(heap, object);
        return;
    case 1:
        fpheap_free_sized(heap, object, size);
        return;
    case 2:
        fpheap_free_bulk(heap, &object, 1);
        return;
    case 3:
        fpheap_free_bulk_sized(heap, &object, 1, size);
        return;
    case 4:
        fpheap_cache_free(fpheap_self(heap), object);
        return;
    default:
        fpheap_cache_free_sized(fpheap_self(heap), object, size);
        return;
    }
}

#define WAYS 6

static void
a_free_of_a_shared_object_is_reported_and_leaves_it(void **state)
{
    fpheap  *heap = test_heap_over(&provider);
    unsigned number = number_of(&seen);
    size_t   s;
    unsigned way;

    (void)state;
    for (s = 0; s < TEST_COUNT(sizes); s++) {
        for (way = 0; way < WAYS; way++) {
            char *object = watched(heap, sizes[s], 8, number);
            books b;

            memset(&b, 0, sizeof(b));
            book(&b, 8, sizes[s]);
            seen.calls = 0;
            fpheap_ref(object);
            free_by(heap, way, object, sizes[s]);
            EXPECT_PANICS(1);
            assert_int_equal(fpheap_refs(object), 2);
            assert_true(test_filled(object, sizes[s], 1));
            CHECK_BOOKS(heap, &b);
            fpheap_unref(heap, object);
            EXPECT_HEADER(object, sizes[s], 8, 0);
            assert_int_equal(seen.calls, 0);
            fpheap_unref(heap, object);
            assert_int_equal(seen.calls, 1);
            TEST_CHECK_LIVE(heap, 0);
        }
    }
    TEST_DESTROY_OVER(heap, &provider);
    EXPECT_PANICS(0);
}

/* Large objects have gone by then, and their memory may have as well. */
static void
a_double_free_is_reported_at_once(void **state)
{
    fpheap  *heap = test_heap_over(&provider);
    void    *kept = fpheap_alloc_tagged(heap, 64, 1);
    books    b;
    size_t   s;
    unsigned way;

    (void)state;
    memset(&b, 0, sizeof(b));
    book(&b, 1, 64);
    for (s = 0; s < TEST_COUNT(sizes); s++) {
        for (way = 0; way < WAYS; way++) {
            void *beside = fpheap_alloc(heap, sizes[s]);
            void *object = fpheap_alloc_tagged(heap, sizes[s], 2);

            if (sizes[s] + IN_FRONT > FPH_CLASS_MAX) {
                fpheap_free(heap, object);
                fpheap_free(heap, beside);
                continue;
            }
            fpheap_free(heap, object);
            free_by(heap, way, object, sizes[s]);
            EXPECT_PANICS(1);
            fpheap_free(heap, beside);
            CHECK_BOOKS(heap, &b);
        }
    }
    fpheap_free(heap, kept);
    TEST_DESTROY_OVER(heap, &provider);
    EXPECT_PANICS(0);
}

static void
one_bad_object_in_a_bulk_does_not_stop_the_others(void **state)
{
    enum { N = 40 };
    fpheap  *heap = test_heap_over(&provider);
    void    *objects[N];
    books    b;
    unsigned round;
    unsigned i;

    (void)state;
    for (round = 0; round < 200; round++) {
        unsigned bad = round % N;
        int      twice = round % 3 == 0;

        memset(&b, 0, sizeof(b));
        assert_int_equal(fpheap_alloc_bulk(heap, 500, objects, N), 0);
        if (twice)
            fpheap_free(heap, objects[bad]);
        else
            fpheap_ref(objects[bad]);
        if (round % 2 == 0)
            fpheap_free_bulk(heap, objects, N);
        else
            fpheap_free_bulk_sized(heap, objects, N, 500);
        EXPECT_PANICS(1);
        if (!twice) {
            book(&b, 0, 500);
            CHECK_BOOKS(heap, &b);
            for (i = 0; i < 2; i++)
                fpheap_unref(heap, objects[bad]);
        }
        memset(&b, 0, sizeof(b));
        CHECK_BOOKS(heap, &b);
    }
    TEST_DESTROY_OVER(heap, &provider);
    EXPECT_PANICS(0);
}

/* Whoever drops it then may not run the destructor a second time. */
static void
a_reference_dropped_once_too_often_is_reported(void **state)
{
    fpheap  *heap = test_heap_over(&provider);
    unsigned number = number_of(&seen);
    void    *kept = fpheap_alloc_tagged(heap, 64, 1);
    books    b;
    size_t   s;

    (void)state;
    memset(&b, 0, sizeof(b));
    book(&b, 1, 64);
    for (s = 0; s < TEST_COUNT(sizes); s++) {
        void *plain = fpheap_alloc(heap, sizes[s]);
        void *object = watched(heap, sizes[s], 2, number);

        if (sizes[s] + IN_FRONT > FPH_CLASS_MAX) {
            fpheap_free(heap, plain);
            fpheap_free(heap, object);
            continue;
        }
        seen.calls = 0;
        fpheap_unref(heap, plain);
        fpheap_unref(heap, plain);
        EXPECT_PANICS(1);
        fpheap_unref(heap, object);
        fpheap_unref(heap, object);
        EXPECT_PANICS(1);
        assert_int_equal(seen.calls, 1);
        CHECK_BOOKS(heap, &b);
    }
    fpheap_free(heap, kept);
    TEST_DESTROY_OVER(heap, &provider);
    EXPECT_PANICS(0);
}

/* Also where the magazine has room for all of them, so that nothing else is
 * looked at. */
static void
an_object_that_is_twice_in_a_bulk_is_reported(void **state)
{
    enum { MOST = 62 };
    fpheap  *heap = test_heap_over(&provider);
    void    *others[2 * MOST];
    void    *objects[MOST];
    unsigned round;
    books    b;

    (void)state;
    memset(&b, 0, sizeof(b));
    assert_int_equal(fpheap_alloc_bulk(heap, 500, others, 2 * MOST), 0);
    fpheap_free_bulk_sized(heap, others + MOST, MOST, 500);
    for (round = 0; round < MOST; round++)
        book(&b, 0, 500);
    for (round = 0; round < MOST - 2; round++) {
        unsigned n = 2 + round;

        assert_int_equal(fpheap_alloc_bulk(heap, 500, objects, n - 1), 0);
        objects[n - 1] = objects[round / 2];
        if (round % 2 == 0)
            fpheap_free_bulk(heap, objects, n);
        else
            fpheap_free_bulk_sized(heap, objects, n, 500);
        EXPECT_PANICS(1);
        CHECK_BOOKS(heap, &b);
    }
    fpheap_free_bulk(heap, others, MOST);
    TEST_DESTROY_OVER(heap, &provider);
    EXPECT_PANICS(0);
}

static void
an_unknown_destructor_is_einval(void **state)
{
    fpheap          *heap = test_heap_over(&provider);
    unsigned         number = number_of(&seen);
    unsigned         bad[] = { 250, 255, 256, 256 + number, 511, 65536 + number,
                               INT_MAX, UINT_MAX };
    char            *object = watched(heap, 100, 3, number);
    fpheap_pool_desc desc;
    size_t           i;

    (void)state;
    memset(&desc, 0, sizeof(desc));
    desc.name = "bad";
    desc.size = 100;
    for (i = 0; i < TEST_COUNT(bad); i++) {
        assert_int_equal(fpheap_set_destructor(object, bad[i]), -EINVAL);
        EXPECT_HEADER(object, 100, 3, 0);
        desc.destructor = bad[i];
        errno = 0;
        assert_null(fpheap_pool_create(heap, &desc));
        assert_int_equal(errno, EINVAL);
    }
    fpheap_unref(heap, object);
    assert_int_equal(seen.calls, 1); /* it is still the one that it had */
    TEST_DESTROY_OVER(heap, &provider);
    EXPECT_PANICS(0);
}

static void *
register_one(void *number)
{
    *(int *)number = fpheap_destructor_register(note_end, &seen_too);
    return NULL;
}

static void
two_that_register_at_a_time_have_a_number_each(void **state)
{
    int theirs = 0, ours;

    (void)state;
    meanwhile(&fph_destructor_count, MEANWHILE_CHANGE, 0, register_one,
              &theirs);
    ours = fpheap_destructor_register(note_end, &seen);
    assert_null(meanwhile_moment.word);
    assert_true(ours > 0 && theirs > 0 && ours != theirs);
    assert_ptr_equal(fph_destructors[ours].arg, &seen);
    assert_ptr_equal(fph_destructors[theirs].arg, &seen_too);
}

/* The last test: it takes all numbers of the process. */
static void
there_are_255_destructors(void **state)
{
    fpheap  *heap = test_heap_over(&provider);
    unsigned own = number_of(&seen);
    char     given[256] = { 0 };
    unsigned last = number_of(&seen_too);
    unsigned i;

    (void)state;
    assert_int_equal(fpheap_destructor_register(NULL, NULL), -EINVAL);
    for (i = 0; i < 255; i++) {
        int number = fpheap_destructor_register(note_end, &seen_too);

        if (number == -ENOSPC)
            break;
        assert_true(number >= 1 && number <= 255 && !given[number]);
        given[number] = 1;
        last = (unsigned)number;
    }
    assert_int_equal(given[own], 0);
    assert_true(i > 200 && i < 254 && given[255]);
    for (i = 0; i < 3; i++) {
        assert_int_equal(fpheap_destructor_register(note_end, &seen), -ENOSPC);
        assert_int_equal(fpheap_destructor_register(NULL, NULL), -EINVAL);
    }
    fpheap_unref(heap, watched(heap, 100, 0, last));
    assert_true(seen_too.calls == 1 && seen.calls == 0);
    fpheap_unref(heap, watched(heap, 100, 0, own));
    assert_true(seen_too.calls == 1 && seen.calls == 1);
    TEST_DESTROY_OVER(heap, &provider);
    EXPECT_PANICS(0);
}

/* --- pools ---------------------------------------------------------------- */

static void
an_object_of_a_pool_has_its_tag_and_its_destructor(void **state)
{
    enum { N = 1200 };
    fpheap      *heap = test_heap_over(&provider);
    fpheap_pool *pool = pool_of(heap, "tagged", 1000, 11, number_of(&seen));
    void        *objects[N];
    books        b;
    unsigned     round;
    unsigned     i;

    (void)state;
    for (round = 0; round < 12; round++) {
        memset(&b, 0, sizeof(b));
        objects[0] = fpheap_pool_get(pool);
        assert_int_equal(fpheap_pool_get_burst(pool, objects + 1, 99), 99);
        assert_int_equal(fpheap_pool_get_bulk(pool, objects + 100, N - 100), 0);
        for (i = 0; i < N; i++) {
            EXPECT_HEADER(objects[i], 1000, 11, 0);
            assert_true(fpheap_usable_size(heap, objects[i]) >= 1000);
            fpheap_set_flags(objects[i], i % 256);
            test_fill(objects[i], 1000, 1);
            book(&b, 11, 1000);
        }
        CHECK_BOOKS(heap, &b);
        seen.calls = 0;
        for (i = 0; i < N / 2; i++)
            fpheap_unref(heap, objects[i]);
        assert_int_equal(seen.calls, N / 2);
        assert_true(seen.requested == 1000 && seen.tag == 11);
        fpheap_pool_put(pool, objects[i]);
        fpheap_free(heap, objects[i + 1]);
        fpheap_free_bulk(heap, objects + i + 2, 100);
        fpheap_pool_put_bulk(pool, objects + i + 102, N - i - 102);
        assert_int_equal(seen.calls, N / 2);
        memset(&b, 0, sizeof(b));
        CHECK_BOOKS(heap, &b);
        if (round % 4 == 3)
            (void)fpheap_trim(heap);
    }
    assert_int_equal(seen.harmed, 0);
    assert_int_equal(fpheap_pool_destroy(pool, NULL), 0);
    TEST_DESTROY_OVER(heap, &provider);
    EXPECT_PANICS(0);
}

static void
a_pool_says_ebusy_while_its_destructor_keeps_an_object(void **state)
{
    fpheap      *heap = test_heap_over(&provider);
    fpheap_pool *pool = pool_of(heap, "kept", 100, 1, number_of(&seen));
    void        *object = fpheap_pool_get(pool);
    size_t       live = 0;

    (void)state;
    test_fill(object, 100, 1);
    seen.fate = FPHEAP_KEPT;
    fpheap_unref(heap, object);
    EXPECT_HEADER(object, 100, 1, 0);
    assert_int_equal(fpheap_pool_destroy(pool, &live), -EBUSY);
    assert_int_equal(live, 1);
    seen.fate = FPHEAP_RELEASE;
    fpheap_unref(heap, object);
    assert_true(seen.calls == 2 && seen.harmed == 0);
    assert_int_equal(fpheap_pool_destroy(pool, &live), 0);
    assert_int_equal(live, 0);
    TEST_DESTROY_OVER(heap, &provider);
    EXPECT_PANICS(0);
}

typedef struct made {
    size_t   align;
    size_t   size;
    unsigned wrong;            /* alignments */
    size_t   alive;
} made;

static int
make_object(void *arg, void *object)
{
    made *m = (made *)arg;

    m->wrong += (uintptr_t)object % m->align != 0;
    m->alive++;
    test_fill(object, m->size, 0);
    return 0;
}

static void
end_object(void *arg, void *object)
{
    made *m = (made *)arg;

    m->wrong += !test_filled(object, m->size, 0);
    m->alive--;
}

static int
still_filled(void *arg, void *object)
{
    return test_filled(object, ((made *)arg)->size, 0) ? 0 : 1;
}

/* Aligned as without headers, and no more bytes than header and object need. */
static void
check_pool_of(fpheap *heap, size_t size, size_t align)
{
    enum { N = 300 };
    fpheap_pool_desc  desc;
    fpheap_pool_stats stats;
    fpheap_pool      *pool;
    made              m = { align, size, 0, 0 };
    void             *objects[N];
    unsigned          n = size > 100000 ? 6 : N;
    unsigned          round;
    unsigned          i;

    memset(&desc, 0, sizeof(desc));
    desc.name = "made";
    desc.size = size;
    desc.align = align;
    desc.construct = make_object;
    desc.destruct = end_object;
    desc.arg = &m;
    desc.tag = 2;
    pool = fpheap_pool_create(heap, &desc);
    assert_non_null(pool);
    fpheap_pool_stats_get(pool, &stats);
    assert_int_equal(stats.size, (size + IN_FRONT + align - 1) / align * align);
    for (round = 0; round < 3; round++) {
        assert_int_equal(fpheap_pool_get_bulk(pool, objects, n), 0);
        for (i = 0; i < n; i++) {
            assert_int_equal((uintptr_t)objects[i] % align, 0);
            assert_true(fpheap_usable_size(heap, objects[i]) >= size);
            assert_true(test_filled(objects[i], size, 0));
            EXPECT_HEADER(objects[i], size, 2, 0);
            fpheap_set_flags(objects[i], 0xff);
            fpheap_ref(objects[i]);
        }
        assert_int_equal(fpheap_pool_for_each(pool, FPHEAP_ALL, still_filled,
                                              &m), 0);
        TEST_CHECK_LIVE(heap, n);
        for (i = 0; i < n; i++)
            fpheap_unref(heap, objects[i]);
        fpheap_pool_put_bulk(pool, objects, n);
        if (round == 1)
            fpheap_thread_leave(heap);
        assert_int_equal(fpheap_pool_for_each(pool, FPHEAP_ALL, still_filled,
                                              &m), 0);
    }
    assert_true(m.alive >= n);
    assert_int_equal(fpheap_pool_destroy(pool, NULL), 0);
    assert_true(m.wrong == 0 && m.alive == 0);
    TEST_CHECK_LIVE(heap, 0);
}

static void
an_object_of_a_pool_keeps_all_bytes_and_its_alignment(void **state)
{
    size_t  some[] = { 1, 8, 16, 17, 48, 64, 100, 240, 256, 1000, 2048, 2304,
                       4096, 9000, FPHEAP_PAGE - 16, FPHEAP_PAGE,
                       FPHEAP_CHUNK / 4 };
    fpheap *heap = test_heap_over(&provider);
    size_t  align;
    size_t  s;

    (void)state;
    for (align = 16; align <= FPHEAP_PAGE; align *= 4)
        for (s = 0; s < TEST_COUNT(some); s++)
            check_pool_of(heap, some[s], align);
    check_pool_of(heap, 2304, 64);
    check_pool_of(heap, 2304, 128);
    check_pool_of(heap, 4096, 4096);
    check_pool_of(heap, 1, FPHEAP_PAGE);
    TEST_DESTROY_OVER(heap, &provider);
    EXPECT_PANICS(0);
}

/* --- what the heap shows -------------------------------------------------- */

#define SHOWN 400

typedef struct shown {
    unsigned    n;
    test_object objects[SHOWN];
} shown;

static int
note_shown(void *arg, const fpheap_object *object)
{
    shown *s = (shown *)arg;

    if (s->n == SHOWN)
        return -1;
    s->objects[s->n].base = (char *)object->base;
    s->objects[s->n].bytes = object->bytes;
    s->n++;
    return 0;
}

static void *
object_of_any_kind(fpheap *heap, fpheap_pool *pool, unsigned i)
{
    switch (i % 8) {
    case 0:
        return fpheap_pool_get(pool);
    case 1:
        return fpheap_aligned_alloc(heap, (size_t)16 << i / 8 % 12, 100 + i);
    case 2:
        return i < 100 ? fpheap_aligned_alloc(heap, FPHEAP_CHUNK, i * 999)
                       : fpheap_alloc(heap, FPH_CLASS_MAX - 16 + i % 32);
    default:
        return fpheap_alloc_tagged(heap, i * i / 2, i % FPHEAP_TAGS);
    }
}

/* As many as there is room for behind what aligns the first one: each ends where
 * the next one's header begins. */
static void
a_slab_has_as_many_objects_as_fit(void **state)
{
    fpheap  *heap = test_heap_over(&provider);
    unsigned k;

    (void)state;
    for (k = 1; k < FPH_SIZES; k++) {
        const fph_class *klass = &heap->state->classes[k];
        size_t           align = klass->size & (~klass->size + 1);
        size_t           skip = align < 16 ? 16
                              : align > FPHEAP_PAGE ? FPHEAP_PAGE : align;
        size_t           bytes = klass->pages * FPHEAP_PAGE;

        assert_int_equal(klass->skip, skip);
        assert_int_equal(klass->count, (bytes - (skip - 16)) / klass->size);
        if (klass->count0 != 0)
            assert_int_equal(klass->count0, (FPHEAP_PAGE - FPH_CHUNK_HEADER
                                             - (skip - 16)) / klass->size);
    }
    TEST_DESTROY_OVER(heap, &provider);
}

static void
a_walk_shows_what_the_application_has(void **state)
{
    static shown walked;
    static shown owned;
    fpheap      *heap = test_heap_over(&provider);
    fpheap_pool *pool = pool_of(heap, "shown", 700, 1, 0);
    void        *parked[50];
    unsigned     i;

    (void)state;
    assert_int_equal(fpheap_alloc_bulk(heap, 300, parked, 50), 0);
    owned.n = SHOWN;
    for (i = 0; i < SHOWN; i++) {
        void *object = object_of_any_kind(heap, pool, i);

        assert_non_null(object);
        owned.objects[i].base = (char *)object;
        owned.objects[i].bytes = fpheap_usable_size(heap, object);
    }
    fpheap_free_bulk(heap, parked, 50);
    walked.n = 0;
    assert_int_equal(fpheap_walk(heap, note_shown, &walked), 0);
    assert_int_equal(walked.n, SHOWN);
    assert_true(test_disjoint(owned.objects, SHOWN));
    assert_true(test_disjoint(walked.objects, SHOWN));
    for (i = 0; i < SHOWN; i++) {
        assert_ptr_equal(walked.objects[i].base, owned.objects[i].base);
        assert_int_equal(walked.objects[i].bytes, owned.objects[i].bytes);
    }
    for (i = 0; i < SHOWN; i++)
        fpheap_free(heap, owned.objects[i].base);
    TEST_DESTROY_OVER(heap, &provider);
    EXPECT_PANICS(0);
}

static uint64_t
iova_of_chunk(void *ctx, const void *chunk)
{
    (void)ctx;
    return (uint64_t)(uintptr_t)chunk + (UINT64_C(1) << 52);
}

static void
every_byte_leads_to_its_object_and_its_iova(void **state)
{
    fpheap_config config;
    fpheap       *heap;
    fpheap_pool  *pool;
    unsigned      i;

    (void)state;
    memset(&config, 0, sizeof(config));
    test_provider_init(&provider);
    provider.calls.iova = iova_of_chunk;
    config.provider = &provider.calls;
    heap = fpheap_create("iova", &config);
    assert_non_null(heap);
    pool = pool_of(heap, "bytes", 700, 1, 0);
    for (i = 0; i < SHOWN; i++) {
        char  *object = (char *)object_of_any_kind(heap, pool, i);
        size_t bytes = fpheap_usable_size(heap, object);
        size_t at[] = { 0, 1, bytes / 2, bytes - 1 };
        size_t k;

        for (k = 0; k < 4; k++) {
            assert_ptr_equal(fpheap_base_of(heap, object + at[k]), object);
            assert_int_equal(fpheap_owns(heap, object + at[k]), 1);
            if (k == 0 || (bytes <= FPHEAP_CHUNK / 2
                           && (uintptr_t)object % FPHEAP_CHUNK != 0))
                assert_true(fpheap_iova(heap, object + at[k])
                            == iova_of_chunk(NULL, object + at[k]));
        }
        /* Its header is no object's. */
        assert_null(fpheap_base_of(heap, object - 1));
        assert_null(fpheap_base_of(heap, object - sizeof(fph_head)));
        if (i % 3 == 0)
            fpheap_free(heap, object);
    }
    TEST_CHECK(heap);
    assert_int_equal(fpheap_destroy_forced(heap), 0);
    assert_int_equal(provider.held, 0);
    EXPECT_PANICS(0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_size_is_aligned_as_it_is_without_headers),
        cmocka_unit_test(large_sizes_are_aligned_as_they_are_without_headers),
        cmocka_unit_test(every_alignment_up_to_a_chunk_can_be_had),
        cmocka_unit_test(a_size_to_which_no_header_can_be_added_is_enomem),
        cmocka_unit_test(every_function_notes_what_was_asked_for),
        cmocka_unit_test(the_page_in_front_of_a_large_object_is_waste),
        cmocka_unit_test(an_object_of_five_gigabytes_knows_its_size),
        cmocka_unit_test(realloc_keeps_all_but_the_size),
        cmocka_unit_test(
            all_bytes_of_an_object_can_be_written_without_harm_to_a_header),
        cmocka_unit_test(flags_tags_and_references_are_not_in_the_object),
        cmocka_unit_test(tags_are_exact_whatever_one_thread_does),
        cmocka_unit_test(tags_are_exact_whatever_threads_do),
        cmocka_unit_test(a_dump_has_all_statistics_by_size_and_by_tag),
        cmocka_unit_test(a_sum_below_zero_is_zero),
        cmocka_unit_test(a_tag_that_is_none_is_einval),
        cmocka_unit_test(what_could_not_be_had_is_not_counted),
        cmocka_unit_test(a_new_heap_begins_with_no_tags),
        cmocka_unit_test(the_last_reference_calls_the_destructor_once),
        cmocka_unit_test(
            the_last_two_references_dropped_at_a_time_call_it_once),
        cmocka_unit_test(each_destructor_has_its_own_argument),
        cmocka_unit_test(what_a_destructor_keeps_is_live_with_one_reference),
        cmocka_unit_test(a_destructor_goes_with_its_object_and_its_number),
        cmocka_unit_test(realloc_keeps_the_destructor),
        cmocka_unit_test(a_destructor_may_use_the_heap),
        cmocka_unit_test(a_free_of_a_shared_object_is_reported_and_leaves_it),
        cmocka_unit_test(a_double_free_is_reported_at_once),
        cmocka_unit_test(one_bad_object_in_a_bulk_does_not_stop_the_others),
        cmocka_unit_test(a_reference_dropped_once_too_often_is_reported),
        cmocka_unit_test(an_object_that_is_twice_in_a_bulk_is_reported),
        cmocka_unit_test(an_object_of_a_pool_has_its_tag_and_its_destructor),
        cmocka_unit_test(
            a_pool_says_ebusy_while_its_destructor_keeps_an_object),
        cmocka_unit_test(an_object_of_a_pool_keeps_all_bytes_and_its_alignment),
        cmocka_unit_test(a_slab_has_as_many_objects_as_fit),
        cmocka_unit_test(a_walk_shows_what_the_application_has),
        cmocka_unit_test(every_byte_leads_to_its_object_and_its_iova),
        cmocka_unit_test(an_unknown_destructor_is_einval),
        cmocka_unit_test(two_that_register_at_a_time_have_a_number_each),
        cmocka_unit_test(there_are_255_destructors)
    };

    return cmocka_run_group_tests_name("headers", tests, NULL, NULL);
}
