/* test_headers.c - with FPHEAP_HEADER the 16 bytes in front of each object cost
 * no promise: what is aligned stays so, an object has all the bytes that it
 * says, and every byte leads to it.
 */
#include "header_util.h"

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

/* Sizes that overflow their type only with the header added. */
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

/* What the provider was asked for last, and refused. */
static void *place;

static int
refuse_place(void *ctx, size_t bytes, size_t align, int node,
             fpheap_region *region)
{
    (void)ctx, (void)bytes, (void)align, (void)node;
    place = region->base;
    return -ENOMEM;
}

static void
tell_nobody(void *arg, fpheap *heap, fpheap_pool *pool, int room)
{
    (void)arg, (void)heap, (void)pool, (void)room;
}

/* Nor does it count as the application's, but it is the owner's. */
static void
a_large_object_ends_where_its_bytes_do(void **state)
{
    enum { PAGES = 8 * FPH_PAGES };
    fpheap   *heap = test_heap_over(&provider);
    fph_need  need = fph_need_of(heap, PAGES + 2, 2); /* two in front */
    unsigned  number = heap->state->number;
    uint64_t  info = fph_info(FPH_LARGE, 2, PAGES + 2);
    char     *object;
    fph_slab *record;
    size_t    free;

    (void)state;
    assert_int_equal(fpheap_reserve(heap, 2 * PAGES * FPHEAP_PAGE, 0), 0);
    heap->state->marked = 1;
    heap->state->water[0].marks.crossed = tell_nobody;
#if FPHEAP_SHARED
    heap->mine = 0x1234;
    heap->state->number = FPH_SHARED;
#endif
    object = (char *)fph_run_alloc(heap, 0, need);
    heap->state->number = number;
    assert_int_equal(heap->state->claimed, PAGES * FPHEAP_PAGE);
#if FPHEAP_SHARED
    assert_int_equal(fph_head_of(object)->hold.both, 0x1234);
#endif
    record = fph_record_of(heap->state, object);
    assert_int_equal(record->info, info);
    assert_ptr_equal(object, fph_page_address(heap->state, record->page + 2));
    free = fph_large_behind(heap->state, record, info, 10 * FPH_PAGES);
    heap->provider.flags = FPHEAP_PARTS;
    heap->provider.get = refuse_place;
    assert_int_equal(fph_large_grow(heap, record, info, free + 1, free + 1), 0);
    assert_ptr_equal(place, object + (PAGES + free) * FPHEAP_PAGE);
    fph_large_end(heap->state, record, info);
    assert_int_equal(heap->state->claimed, 0);
    record->info = 0;
    fph_this.did[number] = 0;
    heap->state->water[0].marks.crossed = NULL;
    heap->state->marked = 0;
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
    size_t      size = 10, align;
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
        align = (size_t)1 << test_below(&random, FPHEAP_CHUNK_SHIFT + 1);
        object = (char *)(step % 2 == 0
                          ? fpheap_realloc(heap, object, next)
                          : fpheap_aligned_realloc(heap, object, align, next));
        assert_non_null(object);
        assert_true(step % 2 == 0 || ((uintptr_t)object & (align - 1)) == 0);
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

/* What a header says is written into no object, live or free. */
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

/* What its header adds is in its size. */
static void
an_object_needs_the_pages_that_it_is_in(void **state)
{
    fph_class klass;

    (void)state;
    memset(&klass, 0, sizeof klass);
    klass.size = 20 * FPHEAP_PAGE;
    klass.skip = FPH_HEAD;
    assert_int_equal(fph_shape_pages(&klass), 20);
    klass.skip += FPHEAP_PAGE;
    assert_int_equal(fph_shape_pages(&klass), 21);
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

static void
what_is_before_a_slabs_first_object_is_in_no_object(void **state)
{
    static test_provider ours;
    fpheap         *heap = test_heap_over(&ours);
    char           *object = (char *)fpheap_alloc(heap, 1000);
    const fph_slab *slab = fph_record_of(heap->state, object);

    (void)state;
    assert_null(fpheap_base_of(heap, slab->base - 1));
    assert_ptr_equal(fpheap_base_of(heap, object + 1), object);
    fpheap_free(heap, object);
    TEST_DESTROY_OVER(heap, &ours);
}

/* Objects that begin at a page of the system's, so that the header of the next
 * ends a page that a trim may free. */
static void
a_trim_leaves_the_headers_of_live_objects_beside_free_ones(void **state)
{
    enum { MANY = 40 };
    size_t   size = 5 * 4096 - FPH_HEAD;
    fpheap  *heap = fpheap_create("trim", NULL);
    void    *objects[MANY];
    unsigned i;

    (void)state;
    assert_non_null(heap);
    for (i = 0; i < MANY; i++) {
        objects[i] = fpheap_alloc_tagged(heap, size, i % FPHEAP_TAGS);
        assert_non_null(objects[i]);
        assert_int_equal((uintptr_t)objects[i] % 4096, 0);
        memset(objects[i], (int)i, size);
    }
    for (i = 0; i < MANY; i += 2)
        fpheap_free(heap, objects[i]);
    fpheap_trim(heap);
    for (i = 1; i < MANY; i += 2) {
        assert_int_equal(fpheap_tag(objects[i]), i % FPHEAP_TAGS);
        assert_true(test_all_bytes(objects[i], size, (unsigned char)i));
        fpheap_free(heap, objects[i]);
    }
    TEST_CHECK_LIVE(heap, 0);
    assert_int_equal(fpheap_destroy(heap), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_before_a_slabs_first_object_is_in_no_object),
        cmocka_unit_test(every_size_is_aligned_as_it_is_without_headers),
        cmocka_unit_test(large_sizes_are_aligned_as_they_are_without_headers),
        cmocka_unit_test(every_alignment_up_to_a_chunk_can_be_had),
        cmocka_unit_test(a_size_to_which_no_header_can_be_added_is_enomem),
        cmocka_unit_test(every_function_notes_what_was_asked_for),
        cmocka_unit_test(the_page_in_front_of_a_large_object_is_waste),
        cmocka_unit_test(a_large_object_ends_where_its_bytes_do),
        cmocka_unit_test(an_object_of_five_gigabytes_knows_its_size),
        cmocka_unit_test(realloc_keeps_all_but_the_size),
        cmocka_unit_test(
            all_bytes_of_an_object_can_be_written_without_harm_to_a_header),
        cmocka_unit_test(flags_tags_and_references_are_not_in_the_object),
        cmocka_unit_test(a_slab_has_as_many_objects_as_fit),
        cmocka_unit_test(an_object_needs_the_pages_that_it_is_in),
        cmocka_unit_test(a_walk_shows_what_the_application_has),
        cmocka_unit_test(every_byte_leads_to_its_object_and_its_iova),
        cmocka_unit_test(
            a_trim_leaves_the_headers_of_live_objects_beside_free_ones)
    };

    return cmocka_run_group_tests_name("headers", tests, NULL, NULL);
}
