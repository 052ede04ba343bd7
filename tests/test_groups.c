/* test_groups.c - objects of a group are the caller's until the group ends or is
 * rewound, and then nothing is left of them.
 *
 * test_groups_header.c and test_groups_check.c are the same with FPHEAP_HEADER and
 * FPHEAP_CHECK 2; what checks say of misuse is in debug/test_group_check.c.
 */
#define FPHEAP_IMPLEMENTATION
#include "fpheap.h"
#include "test_util.h"

#include <pthread.h>

#define GROUP_BYTES (sizeof(void *) == 8 ? 48 : 32) /* of the first piece, the
                                                       group's own */
#define OBJECTS     600
#define NOTES       64
#define POOL_BYTES  300

static test_provider provider;

/* --- notes of what was called --------------------------------------------- */

static int      noted[NOTES];
static unsigned notes;

static void
note(void *arg)
{
    assert_true(notes < NOTES);
    noted[notes++] = *(const int *)arg;
}

static const int numbers[] = { 0, 1, 2, 3, 4, 5, 6, 7 };

/* The argument of note() for a number. */
static void *
number(int n)
{
    return (void *)(uintptr_t)&numbers[n];
}

static void
expect_notes(const char *digits)
{
    unsigned i;

    assert_int_equal(notes, strlen(digits));
    for (i = 0; i < notes; i++)
        assert_int_equal(noted[i], digits[i] - '0');
    notes = 0;
}

/* --- what a group has ------------------------------------------------------ */

static size_t
live_objects(fpheap *heap)
{
    fpheap_stats stats;

    fpheap_stats_get(heap, &stats);
    return stats.live_objects;
}

/* Objects of a group that are full of what test_fill wrote. */
typedef struct book {
    test_object objects[OBJECTS];
    unsigned    n;
} book;

static void
book_add(book *b, void *object, size_t size, size_t align)
{
    test_object *entry = &b->objects[b->n];

    assert_non_null(object);
    assert_int_equal((uintptr_t)object % align, 0);
    assert_true(b->n < OBJECTS);
    entry->base = (char *)object;
    entry->size = size;
    entry->bytes = size == 0 ? 1 : size;
    entry->number = b->n++;
    test_fill(entry->base, entry->bytes, entry->number);
}

static void
book_check(book *b)
{
    unsigned i;

    for (i = 0; i < b->n; i++)
        assert_true(test_filled(b->objects[i].base, b->objects[i].bytes,
                                b->objects[i].number));
    assert_true(test_disjoint(b->objects, b->n));
}

static void
objects_are_disjoint_and_aligned_and_keep_their_bytes(void **state)
{
    fpheap       *heap   = test_heap_over(&provider);
    test_random   random = test_random_of(1);
    unsigned      round;

    (void)state;
    for (round = 0; round < 40 * test_soak(); round++) {
        fpheap_group *group = fpheap_group_begin(heap);
        unsigned      n     = 1 + (unsigned)test_below(&random, OBJECTS);
        static book   b;

        assert_non_null(group);
        for (b.n = 0; b.n < n;) {
            size_t size  = test_size(&random, round % 8 == 0 ? 17 : 10);
            size_t align = (size_t)1 << test_below(&random, 13);

            if (test_below(&random, 4) == 0)
                book_add(&b, fpheap_group_aligned(group, align, size), size,
                         align < 16 ? 16 : align);
            else
                book_add(&b, fpheap_group_alloc(group, size), size, 16);
        }
        book_check(&b);
        TEST_CHECK(heap);
        fpheap_group_end(group);
        TEST_CHECK_LIVE(heap, 0);
    }
    TEST_DESTROY_OVER(heap, &provider);
}

static void
size_0_gives_distinct_objects(void **state)
{
    fpheap       *heap  = test_heap_over(&provider);
    fpheap_group *group = fpheap_group_begin(heap);
    char         *last  = (char *)group + GROUP_BYTES - 16;
    unsigned      i;

    (void)state;
    for (i = 0; i < 100; i++) {
        char *object = (char *)(i % 2 == 0
                                ? fpheap_group_alloc(group, 0)
                                : fpheap_group_aligned(group, 1, 0));

        assert_ptr_equal(object, last + 16);
        last = object;
    }
    fpheap_group_end(group);
    TEST_DESTROY_OVER(heap, &provider);
}

/* The largest object that a new group cuts from its first piece. */
static size_t
first_room(void)
{
    return (4096 - FPH_HEAD - FPH_SLACK) / 16 * 16 - GROUP_BYTES;
}

static void
a_group_is_one_object_until_its_first_piece_is_full(void **state)
{
    fpheap       *heap  = test_heap_over(&provider);
    fpheap_group *group = fpheap_group_begin(heap);
    fpheap_stats  stats;
    size_t        used;

    (void)state;
    for (used = 0; used + 80 <= first_room(); used += 80)
        assert_non_null(fpheap_group_alloc(group, 65 + used % 16));
    if (used < first_room())
        assert_non_null(fpheap_group_alloc(group, first_room() - used));
    TEST_CHECK_LIVE(heap, 1);
    fpheap_stats_get(heap, &stats);
    assert_int_equal(stats.live_bytes, 4096);
    assert_non_null(fpheap_group_alloc(group, 1));
    TEST_CHECK_LIVE(heap, 2);
    fpheap_group_end(group);
    group = fpheap_group_begin(heap);
    assert_non_null(fpheap_group_alloc(group, first_room()));
    TEST_CHECK_LIVE(heap, 1);
    fpheap_group_end(group);
    group = fpheap_group_begin(heap);
    assert_non_null(fpheap_group_alloc(group, first_room() + 1));
    TEST_CHECK_LIVE(heap, 2);
    fpheap_group_end(group);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
the_next_piece_is_used_to_its_end(void **state)
{
    fpheap       *heap  = test_heap_over(&provider);
    fpheap_group *group = fpheap_group_begin(heap);
    size_t        room  = FPH_PIECE(FPH_PIECE_FIRST) / 16 * 16
                        - sizeof(fph_piece);

    (void)state;
    assert_non_null(fpheap_group_alloc(group, first_room()));
    for (; room >= 16; room -= 16)
        assert_non_null(fpheap_group_alloc(group, 16));
    TEST_CHECK_LIVE(heap, 2);
    assert_non_null(fpheap_group_alloc(group, 1));
    TEST_CHECK_LIVE(heap, 3);
    fpheap_group_end(group);
    TEST_DESTROY_OVER(heap, &provider);
}

/* Each piece but the second is twice the one before, up to 32 KiB: so n bytes in
 * small objects take few pieces, and little more than n bytes. */
static void
pieces_double_up_to_32_kib(void **state)
{
    fpheap       *heap  = test_heap_over(&provider);
    fpheap_group *group = fpheap_group_begin(heap);
    size_t        piece = 4096, bytes = 4096, n;
    fpheap_stats  stats;

    (void)state;
    for (n = 1; n <= 10; n++) {
        while (live_objects(heap) == n)
            assert_non_null(fpheap_group_alloc(group, 48));
        bytes += piece;
        piece = 2 * piece < 32768 ? 2 * piece : 32768;
        fpheap_stats_get(heap, &stats);
        assert_int_equal(stats.live_bytes, bytes);
    }
    fpheap_group_end(group);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
a_large_object_has_a_piece_of_its_own_and_others_go_on_beside_it(void **state)
{
    fpheap       *heap  = test_heap_over(&provider);
    fpheap_group *group = fpheap_group_begin(heap);
    char         *first = (char *)fpheap_group_alloc(group, 16);
    char         *large = (char *)fpheap_group_alloc(group, 5 * FPHEAP_CHUNK);
    char         *next  = (char *)fpheap_group_alloc(group, 16);

    (void)state;
    assert_non_null(large);
    memset(large, 1, 5 * FPHEAP_CHUNK);
    assert_ptr_equal(next, first + 16);
    TEST_CHECK_LIVE(heap, 2);
    assert_non_null(fpheap_group_alloc(group, first_room()));
    assert_ptr_equal(fpheap_group_alloc(group, 16), next + 16);
    TEST_CHECK_LIVE(heap, 3);
    fpheap_group_end(group);
    TEST_DESTROY_OVER(heap, &provider);
}

/* What does not fit beside `used` bytes, where the next piece has 4 KiB. */
static void
only_what_is_above_a_quarter_of_the_next_piece_has_its_own(void **state)
{
    fpheap      *heap    = test_heap_over(&provider);
    const size_t quarter = 1024 - 2 * sizeof(fph_piece);
    unsigned     more;

    (void)state;
    for (more = 0; more < 2; more++) {
        fpheap_group *group = fpheap_group_begin(heap);
        char         *used  = (char *)fpheap_group_alloc(group, 3500);
        char         *large = (char *)fpheap_group_alloc(group, quarter + more);
        char         *next  = (char *)fpheap_group_alloc(group, 16);

        TEST_CHECK_LIVE(heap, 2);
        assert_ptr_equal(next, more ? used + 3504 : large + quarter);
        fpheap_group_end(group);
    }
    TEST_DESTROY_OVER(heap, &provider);
}

/* Its piece takes as much as an object of 16 bytes more, in or out of a class. */
static void
a_piece_of_its_own_is_16_bytes_longer(void **state)
{
    fpheap       *heap  = test_heap_over(&provider);
    fpheap_group *group = fpheap_group_begin(heap);
    fpheap_stats  stats;
    size_t        size, live;

    (void)state;
    for (size = 9000; size < 20000; size += 200) {
        void *object = fpheap_alloc(heap, size / 16 * 16);

        fpheap_stats_get(heap, &stats);
        live = stats.live_bytes;
        fpheap_free(heap, object);
        assert_non_null(fpheap_group_alloc(group, size / 16 * 16 - 16));
        fpheap_stats_get(heap, &stats);
        assert_int_equal(stats.live_bytes, live);
    }
    fpheap_group_end(group);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
each_alignment_up_to_a_chunk(void **state)
{
    fpheap       *heap  = test_heap_over(&provider);
    fpheap_group *group = fpheap_group_begin(heap);
    static book   b;
    size_t        align;

    (void)state;
    b.n = 0;
    for (align = 1; align <= FPHEAP_CHUNK; align *= 2) {
        book_add(&b, fpheap_group_aligned(group, align, 0), 0, align);
        book_add(&b, fpheap_group_aligned(group, align, 100), 100, align);
        book_add(&b, fpheap_group_aligned(group, align, 70000), 70000, align);
        book_add(&b, fpheap_group_alloc(group, 10), 10, 16);
    }
    book_check(&b);
    fpheap_group_end(group);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
an_alignment_or_size_out_of_range_is_refused(void **state)
{
    static const size_t bad[] = { 0, 3, 24, FPHEAP_CHUNK * 2, FPHEAP_CHUNK + 1,
                                  SIZE_MAX, SIZE_MAX / 2 + 1 };
    fpheap       *heap  = test_heap_over(&provider);
    fpheap_group *group = fpheap_group_begin(heap);
    char         *next  = (char *)fpheap_group_alloc(group, 16);
    unsigned      i;
    size_t        size;

    (void)state;
    for (i = 0; i < TEST_COUNT(bad); i++) {
        errno = 0;
        assert_null(fpheap_group_aligned(group, bad[i], 16));
        assert_int_equal(errno, EINVAL);
    }
    for (i = 0; i < 70; i++) {
        size = i < 35 ? SIZE_MAX - i : SIZE_MAX / 2 + 18 - i % 35;
        errno = 0;
        assert_null(fpheap_group_alloc(group, size));
        assert_int_equal(errno, ENOMEM);
        errno = 0;
        assert_null(fpheap_group_aligned(group, FPHEAP_CHUNK, size));
        assert_int_equal(errno, ENOMEM);
    }
    assert_ptr_equal(fpheap_group_alloc(group, 16), next + 16);
    TEST_CHECK_LIVE(heap, 1);
    fpheap_group_end(group);
    fpheap_group_end(NULL);
    TEST_DESTROY_OVER(heap, &provider);
}

/* --- endings --------------------------------------------------------------- */

static void
cleanups_are_called_in_reverse_order(void **state)
{
    fpheap       *heap  = test_heap_over(&provider);
    fpheap_group *group = fpheap_group_begin(heap);
    int           i;

    (void)state;
    assert_int_equal(fpheap_group_cleanup(group, NULL, number(0)), -EINVAL);
    for (i = 1; i < 8; i++)
        assert_int_equal(fpheap_group_cleanup(group, note, number(i)), 0);
    expect_notes("");
    fpheap_group_end(group);
    expect_notes("7654321");
    TEST_DESTROY_OVER(heap, &provider);
}

/* A cleanup that looks at what was cut after it was registered. */
typedef struct late {
    char  *bytes;
    size_t size;
    int    seen;
} late;

static void
look_at_late(void *arg)
{
    late *l = (late *)arg;

    l->seen = 1 + test_filled(l->bytes, l->size, 7);
}

static void
a_cleanup_sees_all_objects_of_the_group(void **state)
{
    static const size_t sizes[] = { 100, 3000, 100000 };
    fpheap  *heap = test_heap_over(&provider);
    unsigned i;

    (void)state;
    for (i = 0; i < TEST_COUNT(sizes); i++) {
        fpheap_group *group = fpheap_group_begin(heap);
        late          l     = { NULL, sizes[i], 0 };

        assert_int_equal(fpheap_group_cleanup(group, look_at_late, &l), 0);
        assert_non_null(fpheap_group_alloc(group, 3900));
        l.bytes = (char *)fpheap_group_alloc(group, sizes[i]);
        assert_non_null(l.bytes);
        test_fill(l.bytes, sizes[i], 7);
        fpheap_group_end(group);
        assert_int_equal(l.seen, 2);
    }
    TEST_DESTROY_OVER(heap, &provider);
}

/* A cleanup that uses heap and group, and registers others. */
typedef struct busy {
    fpheap       *heap;
    fpheap_group *group;
    int           left;
    int           wrong;
} busy;

static void
be_busy(void *arg)
{
    busy *b      = (busy *)arg;
    void *object = fpheap_alloc(b->heap, 500);

    b->wrong += object == NULL
             || fpheap_group_adopt(b->group, object) != 0
             || fpheap_group_alloc(b->group, 1500) == NULL;
    if (b->left-- > 0)
        b->wrong += fpheap_group_cleanup(b->group, be_busy, b) != 0
                 || fpheap_group_cleanup(b->group, note, number(b->left)) != 0;
}

static void
a_cleanup_may_use_the_heap_and_the_group(void **state)
{
    fpheap       *heap  = test_heap_over(&provider);
    fpheap_group *group = fpheap_group_begin(heap);
    fpheap_mark   mark  = fpheap_group_mark(group);
    busy          b     = { heap, group, 3, 0 };

    (void)state;
    assert_int_equal(fpheap_group_cleanup(group, be_busy, &b), 0);
    fpheap_group_rewind(group, mark);
    expect_notes("210");
    assert_int_equal(b.wrong, 0);
    TEST_CHECK_LIVE(heap, 1);
    b.left = 5;
    assert_int_equal(fpheap_group_cleanup(group, be_busy, &b), 0);
    fpheap_group_end(group);
    expect_notes("43210");
    assert_int_equal(b.wrong, 0);
    TEST_DESTROY_OVER(heap, &provider);
}

static fpheap_pool *
pool_of(fpheap *heap)
{
    fpheap_pool_desc desc;

    memset(&desc, 0, sizeof(desc));
    desc.name = "adopted";
    desc.size = POOL_BYTES;
    return fpheap_pool_create(heap, &desc);
}

static void
adopted_objects_of_each_kind_end_with_the_group(void **state)
{
    fpheap       *heap = test_heap_over(&provider);
    fpheap_pool  *pool = pool_of(heap);
    fpheap_group *group;
    size_t        live = 1;
    unsigned      round;

    (void)state;
    for (round = 0; round < 100; round++) {
        void *objects[] = {
            fpheap_alloc(heap, 0), fpheap_alloc(heap, 1000),
            fpheap_alloc(heap, FPH_CLASS_MAX + 1),
            fpheap_alloc(heap, 3 * FPHEAP_CHUNK), fpheap_pool_get(pool),
            fpheap_zalloc(heap, 40), fpheap_aligned_alloc(heap, 4096, 10),
        };
        size_t        i;

        group = fpheap_group_begin(heap);
        assert_int_equal(fpheap_group_adopt(group, NULL), -EINVAL);
        for (i = 0; i < TEST_COUNT(objects); i++) {
            assert_non_null(objects[i]);
            assert_int_equal(fpheap_group_adopt(group, objects[i]), 0);
        }
        TEST_CHECK_LIVE(heap, 1 + TEST_COUNT(objects));
        fpheap_group_end(group);
        TEST_CHECK_LIVE(heap, 0);
    }
    assert_int_equal(fpheap_pool_destroy(pool, &live), 0);
    TEST_DESTROY_OVER(heap, &provider);
}

#if FPHEAP_HEADER
static fpheap_fate
note_fate(void *arg, void *object)
{
    note(object);
    return arg != NULL ? FPHEAP_KEPT : FPHEAP_RELEASE;
}

/* An object whose destructor notes a number. */
static void *
noted_object(fpheap *heap, int destructor, int n)
{
    void *object = fpheap_alloc_tagged(heap, 100, 5);

    assert_non_null(object);
    memcpy(object, number(n), sizeof(int));
    assert_int_equal(fpheap_set_destructor(object, (unsigned)destructor), 0);
    return object;
}

static void
the_reference_that_was_adopted_is_dropped(void **state)
{
    fpheap          *heap    = test_heap_over(&provider);
    fpheap_group    *group   = fpheap_group_begin(heap);
    int              release = fpheap_destructor_register(note_fate, NULL);
    int              keep    = fpheap_destructor_register(note_fate, heap);
    void            *last    = noted_object(heap, release, 1);
    void            *shared  = noted_object(heap, release, 2);
    void            *kept    = noted_object(heap, keep, 3);
    fpheap_tag_stats tag;

    (void)state;
    fpheap_ref(shared);
    assert_int_equal(fpheap_group_adopt(group, last), 0);
    assert_int_equal(fpheap_group_cleanup(group, note, number(4)), 0);
    assert_int_equal(fpheap_group_adopt(group, shared), 0);
    assert_int_equal(fpheap_group_adopt(group, kept), 0);
    fpheap_group_end(group);
    expect_notes("341");
    assert_int_equal(fpheap_refs(shared), 1);
    assert_int_equal(fpheap_refs(kept), 1);
    assert_int_equal(fpheap_tag_stats_get(heap, 5, &tag), 0);
    assert_int_equal(tag.objects, 2);
    fpheap_unref(heap, shared);
    expect_notes("2");
    fpheap_free(heap, kept);
    TEST_DESTROY_OVER(heap, &provider);
}
#endif

/* --- marks ----------------------------------------------------------------- */

/* Give a group something of each kind, which notes a number when it ends. */
static void
add_some(fpheap *heap, fpheap_group *group, int n)
{
    static const size_t sizes[] = { 16, 900, 3000, 0, 100000, 40 };
    unsigned i;

    assert_int_equal(fpheap_group_adopt(group, fpheap_alloc(heap, 300)), 0);
    for (i = 0; i < TEST_COUNT(sizes); i++)
        assert_non_null(fpheap_group_alloc(group, sizes[i]));
    assert_int_equal(fpheap_group_cleanup(group, note, number(n)), 0);
    assert_int_equal(
        fpheap_group_adopt(group, fpheap_alloc(heap, FPHEAP_CHUNK)), 0);
}

static void
a_rewind_ends_what_came_after_the_mark_and_no_more(void **state)
{
    fpheap       *heap  = test_heap_over(&provider);
    fpheap_group *group = fpheap_group_begin(heap);
    fpheap_mark   marks[8];
    size_t        live[8];
    void         *next[8];
    int           i;

    (void)state;
    for (i = 0; i < 8; i++) {
        marks[i] = fpheap_group_mark(group);
        live[i] = live_objects(heap);
        next[i] = fpheap_group_alloc(group, 8);
        fpheap_group_rewind(group, marks[i]);
        assert_int_equal(live_objects(heap), live[i]);
        assert_ptr_equal(fpheap_group_alloc(group, 8), next[i]);
        fpheap_group_rewind(group, marks[i]);
        add_some(heap, group, i);
    }
    for (i = 7; i >= 0; i -= i == 4 ? 2 : 1) {   /* it leaves out one */
        fpheap_group_rewind(group, marks[i]);
        expect_notes(i == 2 ? "32" : (const char[]){ (char)('0' + i), '\0' });
        TEST_CHECK_LIVE(heap, live[i]);
        fpheap_group_rewind(group, marks[i]);    /* once more does nothing */
        assert_int_equal(notes, 0);
        assert_ptr_equal(fpheap_group_alloc(group, 8), next[i]);
    }
    fpheap_group_end(group);
    expect_notes("");
    TEST_DESTROY_OVER(heap, &provider);
}

static void
what_came_before_a_mark_stays(void **state)
{
    fpheap       *heap   = test_heap_over(&provider);
    fpheap_group *group  = fpheap_group_begin(heap);
    test_random   random = test_random_of(2);
    static book   b;
    unsigned      round, i;

    (void)state;
    b.n = 0;
    for (round = 0; round < 50; round++) {
        fpheap_mark mark;
        static book after;

        for (i = 0; i < 10; i++) {
            size_t size = test_size(&random, 11);

            book_add(&b, fpheap_group_alloc(group, size), size, 16);
        }
        mark = fpheap_group_mark(group);
        after = b;
        for (i = test_below(&random, 50) ? 20 : 0; i > 0; i--) {
            size_t size = test_size(&random, 13);

            book_add(&after, fpheap_group_alloc(group, size), size, 16);
        }
        book_check(&after);
        fpheap_group_rewind(group, mark);
    }
    book_check(&b);
    fpheap_group_end(group);
    TEST_DESTROY_OVER(heap, &provider);
}

/* A loop that rewinds does not grow, whatever it allocates. */
static void
a_loop_of_mark_and_rewind_takes_no_more_memory(void **state)
{
    fpheap       *heap  = test_heap_over(&provider);
    fpheap_group *group = fpheap_group_begin(heap);
    size_t        bytes = 0;
    unsigned      round, i;

    (void)state;
    for (round = 0; round < 2000; round++) {
        fpheap_mark mark = fpheap_group_mark(group);

        for (i = 0; i < 60; i++)
            assert_non_null(fpheap_group_alloc(group, i * i));
        fpheap_group_rewind(group, mark);
        TEST_CHECK_LIVE(heap, 1);
        if (round == 10)
            bytes = test_region_bytes(heap);
    }
    assert_int_equal(test_region_bytes(heap), bytes);
    fpheap_group_end(group);
    TEST_DESTROY_OVER(heap, &provider);
}

/* --- memory that runs out -------------------------------------------------- */

/* A heap that can be filled. */
typedef struct full {
    fpheap *heap;
    void   *taken;
} full;

static void
full_begin(full *f)
{
    f->heap = test_heap_within(&provider, 2 * FPHEAP_CHUNK);
    f->taken = NULL;
}

/* Take all memory, large pieces first. */
static void
full_take(full *f)
{
    size_t size;
    void  *object;

    for (size = FPH_CLASS_MAX; size >= 32; size /= 2)
        while ((object = fpheap_alloc(f->heap, FPH_PIECE(size))) != NULL)
            test_push(&f->taken, object);
}

static void
full_end(full *f)
{
    test_free_all(f->heap, f->taken);
    TEST_DESTROY_OVER(f->heap, &provider);
}

static void
a_group_that_cannot_begin_or_grow_says_enomem_and_is_as_it_was(void **state)
{
    full          f;
    fpheap_group *group;
    void         *object;
    char         *next;
    size_t        live;

    (void)state;
    full_begin(&f);
    group = fpheap_group_begin(f.heap);
    object = fpheap_alloc(f.heap, 100);
    assert_int_equal(fpheap_group_cleanup(group, note, number(1)), 0);
    next = (char *)fpheap_group_alloc(group, 16);
    full_take(&f);
    live = live_objects(f.heap);
    errno = 0;
    assert_null(fpheap_group_begin(f.heap));
    assert_int_equal(errno, ENOMEM);
    while (fpheap_group_alloc(group, 16) != NULL) /* the rest of the piece */
        ;
    assert_int_equal(errno, ENOMEM);
    errno = 0;
    assert_null(fpheap_group_alloc(group, 100000));
    assert_int_equal(errno, ENOMEM);
    errno = 0;
    assert_null(fpheap_group_aligned(group, FPHEAP_CHUNK, 1));
    assert_int_equal(errno, ENOMEM);
    assert_int_equal(fpheap_group_adopt(group, object), -ENOMEM);
    assert_int_equal(fpheap_group_cleanup(group, note, number(2)), -ENOMEM);
    assert_int_equal(live_objects(f.heap), live);
    TEST_CHECK(f.heap);
    memset(next, 1, 16);
    fpheap_free(f.heap, object);                  /* still the caller's */
    fpheap_group_end(group);
    expect_notes("1");
    full_end(&f);
}

/* The provider's call number `at` fails, and all after it.  Returns whether any
 * did. */
static int
one_failing_round(unsigned at)
{
    fpheap       *heap = test_heap_over(&provider);
    fpheap_group *group;
    unsigned      i, cleanups = 0;
    void         *object;

    provider.fail_from = provider.gets + at;
    provider.fail_to = UINT_MAX;
    group = fpheap_group_begin(heap);
    for (i = 0; group != NULL && i < 40; i++) {
        size_t size = (size_t)i * i * (FPHEAP_CHUNK >> 10);

        (void)fpheap_group_alloc(group, size);
        (void)fpheap_group_aligned(group, FPHEAP_PAGE, size / 2);
        object = fpheap_alloc(heap, size);
        if (object != NULL && fpheap_group_adopt(group, object) != 0)
            fpheap_free(heap, object);
        cleanups += fpheap_group_cleanup(group, note, number(1)) == 0;
    }
    TEST_CHECK(heap);
    if (group != NULL)
        fpheap_group_end(group);
    assert_int_equal(notes, cleanups);
    notes = 0;
    TEST_CHECK_LIVE(heap, 0);
    i = provider.refused;
    TEST_DESTROY_OVER(heap, &provider);
    return i != 0;
}

static void
each_call_of_the_provider_may_fail(void **state)
{
    unsigned at = 1;

    (void)state;
    while (one_failing_round(at))
        at++;
    assert_true(at > 3);
}

/* --- threads and heaps ------------------------------------------------------ */

#define HANDED 64

/* Groups on their way from the thread that fills them to the one that ends
 * them. */
typedef struct handing {
    fpheap         *heap;
    pthread_mutex_t lock;
    pthread_cond_t  changed;
    fpheap_group   *groups[HANDED];
    unsigned        head, tail, total;
} handing;

static unsigned ended;         /* by cleanups; one thread at a time */

static void
count_ended(void *arg)
{
    char *object = (char *)arg;

    ended += (unsigned)test_filled(object, 500, 9);
}

static void *
end_all(void *arg)
{
    handing *h = (handing *)arg;
    unsigned i;

    for (i = 0; i < h->total; i++) {
        fpheap_group *group;

        pthread_mutex_lock(&h->lock);
        while (h->head == h->tail)
            pthread_cond_wait(&h->changed, &h->lock);
        group = h->groups[h->tail++ % HANDED];
        pthread_cond_signal(&h->changed);
        pthread_mutex_unlock(&h->lock);
        (void)fpheap_group_alloc(group, 2000);
        fpheap_group_end(group);
    }
    return NULL;
}

static void
hand_over(handing *h, fpheap_group *group)
{
    pthread_mutex_lock(&h->lock);
    while (h->head - h->tail == HANDED)
        pthread_cond_wait(&h->changed, &h->lock);
    h->groups[h->head++ % HANDED] = group;
    pthread_cond_signal(&h->changed);
    pthread_mutex_unlock(&h->lock);
}

static void
a_group_may_end_in_another_thread(void **state)
{
    static handing h = { NULL, PTHREAD_MUTEX_INITIALIZER,
                         PTHREAD_COND_INITIALIZER, { NULL }, 0, 0, 0 };
    pthread_t      other;
    unsigned       i;

    (void)state;
    h.heap = test_heap_over(&provider);
    h.total = 20000 * test_soak();
    h.head = h.tail = ended = 0;
    assert_int_equal(pthread_create(&other, NULL, end_all, &h), 0);
    for (i = 0; i < h.total; i++) {
        fpheap_group *group = fpheap_group_begin(h.heap);
        void         *object;

        (void)fpheap_group_alloc(group, i % 3000);
        object = fpheap_group_alloc(group, 500);
        test_fill(object, 500, 9);
        (void)fpheap_group_adopt(group, fpheap_alloc(h.heap, i % 5000));
        assert_int_equal(fpheap_group_cleanup(group, count_ended, object), 0);
        hand_over(&h, group);
    }
    pthread_join(other, NULL);
    assert_int_equal(ended, h.total);
    fpheap_flush(h.heap);
    TEST_DESTROY_OVER(h.heap, &provider);
}

/* As many objects as `total` groups of four, ended in random order by two
 * threads: what is left is what was there before. */
typedef struct half {
    fpheap        *heap;
    fpheap_group **groups;
    size_t         n;
} half;

static void *
end_half(void *arg)
{
    half  *h = (half *)arg;
    size_t i;

    for (i = 0; i < h->n; i++)
        fpheap_group_end(h->groups[i]);
    fpheap_flush(h->heap);
    return NULL;
}

static void
memory_is_as_before_when_groups_have_ended_in_any_order(void **state)
{
    size_t         n      = FPHEAP_CHECK ? 2000 : 20000 * (size_t)test_soak();
    fpheap        *heap   = test_heap_over(&provider);
    fpheap_group **groups = (fpheap_group **)malloc(n * sizeof(*groups));
    test_random    random = test_random_of(3);
    half           halves[2];
    pthread_t      threads[2];
    size_t         i, j, before;

    (void)state;
    assert_non_null(groups);
    fpheap_group_end(fpheap_group_begin(heap));
    fpheap_trim(heap);
    before = test_region_bytes(heap);
    for (i = 0; i < n; i++) {
        groups[i] = fpheap_group_begin(heap);
        assert_non_null(groups[i]);
        for (j = 0; j < 4; j++)
            assert_non_null(fpheap_group_alloc(
                groups[i], 64 + test_below(&random, 1437)));
    }
    for (i = n; i > 1; i--) {
        fpheap_group *swap = groups[j = test_below(&random, i)];

        groups[j] = groups[i - 1];
        groups[i - 1] = swap;
    }
    for (i = 0; i < 2; i++) {
        half h = { heap, groups + i * (n / 2), n / 2 };

        halves[i] = h;
        assert_int_equal(pthread_create(&threads[i], NULL, end_half,
                                        &halves[i]), 0);
    }
    for (i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    free(groups);
    TEST_CHECK_LIVE(heap, 0);
    fpheap_trim(heap);
    assert_int_equal(test_region_bytes(heap), before);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
a_heap_may_end_by_force_with_groups_in_it(void **state)
{
    fpheap       *heap  = test_heap_over(&provider);
    fpheap_group *group = fpheap_group_begin(heap);

    (void)state;
    add_some(heap, group, 1);
    assert_int_equal(fpheap_destroy(heap), -EBUSY);
    assert_int_equal(fpheap_destroy_forced(heap), 0);
    expect_notes("");          /* by force nothing is called */
    assert_int_equal(provider.held, 0);
}

static void
a_group_of_a_heap_of_two_nodes_or_small_memory(void **state)
{
    static char     memory[8 * FPHEAP_CHUNK];
    fpheap_provider buffer_provider;
    fpheap_buffer   buffer;
    fpheap_config   config;
    fpheap         *heap;
    fpheap_group   *group;
    unsigned        i;

    (void)state;
    memset(&config, 0, sizeof(config));
    config.provider = &buffer_provider;
    config.nodes = FPHEAP_MAX_NODES > 1 ? 2 : 1;
    config.flags = FPHEAP_SPILL;
    fpheap_provider_buffer(&buffer_provider, &buffer, memory, sizeof(memory));
    heap = fpheap_create("buffer", &config);
    assert_non_null(heap);
    group = fpheap_group_begin(heap);
    assert_non_null(group);
    for (i = 0; i < 100; i++)
        assert_non_null(fpheap_group_alloc(group, i * 10));
    fpheap_group_end(group);
    TEST_DESTROY(heap);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objects_are_disjoint_and_aligned_and_keep_their_bytes),
        cmocka_unit_test(size_0_gives_distinct_objects),
        cmocka_unit_test(a_group_is_one_object_until_its_first_piece_is_full),
        cmocka_unit_test(the_next_piece_is_used_to_its_end),
        cmocka_unit_test(pieces_double_up_to_32_kib),
        cmocka_unit_test(
            a_large_object_has_a_piece_of_its_own_and_others_go_on_beside_it),
        cmocka_unit_test(
            only_what_is_above_a_quarter_of_the_next_piece_has_its_own),
        cmocka_unit_test(a_piece_of_its_own_is_16_bytes_longer),
        cmocka_unit_test(each_alignment_up_to_a_chunk),
        cmocka_unit_test(an_alignment_or_size_out_of_range_is_refused),
        cmocka_unit_test(cleanups_are_called_in_reverse_order),
        cmocka_unit_test(a_cleanup_sees_all_objects_of_the_group),
        cmocka_unit_test(a_cleanup_may_use_the_heap_and_the_group),
        cmocka_unit_test(adopted_objects_of_each_kind_end_with_the_group),
#if FPHEAP_HEADER
        cmocka_unit_test(the_reference_that_was_adopted_is_dropped),
#endif
        cmocka_unit_test(a_rewind_ends_what_came_after_the_mark_and_no_more),
        cmocka_unit_test(what_came_before_a_mark_stays),
        cmocka_unit_test(a_loop_of_mark_and_rewind_takes_no_more_memory),
        cmocka_unit_test(
            a_group_that_cannot_begin_or_grow_says_enomem_and_is_as_it_was),
        cmocka_unit_test(each_call_of_the_provider_may_fail),
        cmocka_unit_test(a_group_may_end_in_another_thread),
        cmocka_unit_test(
            memory_is_as_before_when_groups_have_ended_in_any_order),
        cmocka_unit_test(a_heap_may_end_by_force_with_groups_in_it),
        cmocka_unit_test(a_group_of_a_heap_of_two_nodes_or_small_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
