/* test_tags.c - with FPHEAP_HEADER the sums by tag are exact, whoever
 * allocates, frees, moves, leaves or has no cache.
 */
#include "header_util.h"

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

/* A thread that allocates, frees and moves at random.  What it frees others may
 * have allocated, so its own books may be below zero; the sum of all is not. */
typedef struct mixer {
    fpheap            *heap;
    fpheap_pool       *pool;
    item              *items;
    test_random        random;
    books              b;
    unsigned           wrong;
    int                leaves;     /* its cache, now and then */
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

/* Replace a few objects, if there are any, by others of one size. */
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
expect_statistics(const char *text, const fpheap_stats *s)
{
    expect_line(text, "heap \"test\": %zu bytes in %u regions, 1 nodes, "
                "1 caches\n", s->region_bytes, s->regions);
    expect_line(text, " live %19zu bytes  5 objects\n", s->live_bytes);
    expect_line(text, " requested %14zu bytes\n", s->requested_bytes);
    expect_line(text, " parked %17zu bytes  %zu objects, %zu bytes in depots\n",
                s->parked_bytes, s->parked_objects, s->depot_bytes);
    expect_line(text, " slab free %14zu bytes\n", s->slab_free_bytes);
    expect_line(text, " page free %14zu bytes\n", s->page_free_bytes);
    expect_line(text, " waste %18zu bytes\n", s->waste_bytes);
    expect_line(text, " metadata %15zu bytes, and %zu apart\n",
                s->metadata_bytes, s->record_bytes);
    assert_true(s->peak_region_bytes > s->region_bytes && s->releases > 0
                && s->reclaims > 0);
    expect_line(text, " peak %19zu bytes\n", s->peak_region_bytes);
    expect_line(text, " limit %18zu bytes\n", 99 * FPHEAP_CHUNK);
    expect_line(text, " returned  %llu regions, %llu passes over parked "
                "objects\n", (unsigned long long)s->releases,
                (unsigned long long)s->reclaims);
    expect_line(text, " pages     0 hugetlb, 0 thp, %zu base, 0 unknown\n",
                s->region_bytes);
    expect_line(text, " growth    %llu regions, 0 failures, longest %llu ns\n",
                (unsigned long long)s->growths,
                (unsigned long long)s->growth_max_ns);
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
    char               behind[16];
    unsigned           k;

    (void)state;
    assert_non_null(out);
    objects[0] = fpheap_alloc_tagged(heap, 1000, 3);
    objects[1] = fpheap_alloc_tagged(heap, 1000, FPHEAP_TAGS - 1);
    objects[2] = fpheap_alloc(heap, 50);
    objects[3] = fpheap_alloc(heap, 5 * FPHEAP_CHUNK);
    objects[4] = fpheap_pool_get(pool);
    fpheap_free(heap, fpheap_alloc(heap, 50));
    fpheap_free(heap, fpheap_alloc(heap, 9 * FPHEAP_CHUNK));
    assert_true(fpheap_trim(heap) > 0);
    fpheap_free(heap, fpheap_alloc(heap, 50));
    fpheap_free(heap, fpheap_alloc(heap, 9 * FPHEAP_PAGE));
    fpheap_set_limit(heap, 99 * FPHEAP_CHUNK);
    fpheap_dump(heap, out);
    (void)fclose(out);
    fpheap_stats_get(heap, &s);
    expect_statistics(text, &s);
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
    (void)snprintf(behind, sizeof(behind), " tag %6d ", FPHEAP_TAGS);
    assert_null(strstr(text, behind));
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
    /* The most that is not below it. */
    heap->state->tag_objects[5] = SIZE_MAX / 2;
    heap->state->tag_bytes[5] = SIZE_MAX / 2;
    assert_int_equal(fpheap_tag_stats_get(heap, 5, &stats), 0);
    assert_true(stats.objects == SIZE_MAX / 2 && stats.bytes == SIZE_MAX / 2);
    heap->state->tag_objects[5]++;
    heap->state->tag_bytes[5]++;
    assert_int_equal(fpheap_tag_stats_get(heap, 5, &stats), 0);
    assert_true(stats.objects == 0 && stats.bytes == 0);
    heap->state->tag_objects[5] = 0;
    heap->state->tag_bytes[5] = 0;
    TEST_DESTROY_OVER(heap, &provider);
}

/* Behind a heap that has a name, in the list of who has memory. */
static void
a_tag_that_has_memory_is_known_by_its_number_alone(void **state)
{
    fpheap        *heap = test_heap_over(&provider);
    fpheap_holder  holder[16];
    unsigned       i = 0, n;

    (void)state;
    assert_non_null(fpheap_alloc_tagged(heap, 100000, 7));
    n = fpheap_holders(heap, holder, 16);
    while (i < n && holder[i].kind != FPHEAP_HOLDER_TAG)
        i++;
    assert_true(i < n);
    assert_string_equal(holder[i].name, "");
    assert_int_equal(holder[i].size, 7);
    assert_int_equal(holder[i].objects, 1);
    assert_int_equal(holder[i].bytes, 100000);
    assert_int_equal(fpheap_destroy_forced(heap), 0);
}

/* What lies behind the counts is of no tag. */
static void
a_dump_has_no_tag_that_there_is_not(void **state)
{
    fpheap      *heap = test_heap_over(&provider);
    fpheap_stats stats;
    char        *text = NULL, *line;
    size_t       bytes = 0;
    unsigned     lines = 0;
    FILE        *out = open_memstream(&text, &bytes);

    (void)state;
    assert_non_null(out);
    memset(&stats, 0, sizeof(stats));
    heap->state->tag_objects[0] = heap->state->tag_bytes[0] = 5;
    fph_dump_tags(heap, &stats, out);
    heap->state->tag_objects[0] = heap->state->tag_bytes[0] = 0;
    (void)fclose(out);
    for (line = text; (line = strchr(line, '\n')) != NULL; line++)
        lines++;
    assert_int_equal(lines, 2); /* what was requested, and tag 0 */
    free(text);
    TEST_DESTROY_OVER(heap, &provider);
}

/* Tag 0 is what has none. */
static void
each_tag_but_0_is_a_holder(void **state)
{
    fpheap       *heap = test_heap_over(&provider);
    unsigned      number = FPHEAP_MAX_HEAPS - 1;
    fpheap_holder holder[16];
    fph_word      was = fph_heap_name[number][0];
    unsigned      i, n, tags = 0;

    (void)state;
    assert_non_null(fpheap_alloc_tagged(heap, 100, 0));
    assert_non_null(fpheap_alloc_tagged(heap, 200, 1));
    assert_non_null(fpheap_alloc_tagged(heap, 300, FPHEAP_TAGS - 1));
    fph_heap_name[number][0] = 'x'; /* a heap's, and none of theirs */
    n = fpheap_holders(heap, holder, 16);
    fph_heap_name[number][0] = was;
    for (i = 0; i < n; i++) {
        if (holder[i].kind != FPHEAP_HOLDER_TAG)
            continue;
        assert_string_equal(holder[i].name, "");
        assert_int_equal(holder[i].size, tags == 0 ? FPHEAP_TAGS - 1 : 1);
        assert_int_equal(holder[i].objects, 1);
        assert_int_equal(holder[i].bytes, tags == 0 ? 300 : 200);
        tags++;
    }
    assert_int_equal(tags, 2);
    assert_int_equal(fpheap_destroy_forced(heap), 0);
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
        fpheap_tag_stats stats = { .objects = 11, .bytes = 12 };

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

static fpheap *asked;

static void
tell_tag(void *stats, size_t bytes)
{
    assert_int_equal(fpheap_tag_stats_get_sized(
        asked, 3, (fpheap_tag_stats *)stats, bytes), 0);
}

static void
tags_are_told_to_programs_of_any_version(void **state)
{
    void *object;

    (void)state;
    asked = test_heap_over(&provider);
    object = fpheap_alloc_tagged(asked, 100, 3);
    assert_non_null(object);
    test_told(tell_tag, sizeof(fpheap_tag_stats));
    fpheap_free(asked, object);
    TEST_DESTROY_OVER(asked, &provider);
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

/* And a tag that is one. */
static void
statistics_of_a_heap_that_was_destroyed_are_zeros(void **state)
{
    fpheap_stats  stats;
    fpheap_holder holder;
    fpheap       *heap = test_heap_over(&provider);

    (void)state;
    TEST_DESTROY_OVER(heap, &provider);
    memset(&stats, 0x5a, sizeof(stats));
    memset(&holder, 0x5a, sizeof(holder));
    fpheap_stats_get(heap, &stats);
    EXPECT_PANIC("a heap that was destroyed");
    assert_true(test_all_bytes(&stats, sizeof(stats), 0));
    assert_int_equal(fpheap_holders(heap, &holder, 1), 0);
    EXPECT_PANIC("a heap that was destroyed");
    assert_true(test_all_bytes(&holder, sizeof(holder), 0x5a));
}

static void
tags_of_a_heap_that_was_destroyed_are_einval(void **state)
{
    fpheap_tag_stats stats = { .objects = 11, .bytes = 12 };
    fpheap          *heap  = test_heap_over(&provider);

    (void)state;
    TEST_DESTROY_OVER(heap, &provider);
    assert_int_equal(fpheap_tag_stats_get(heap, 0, &stats), -EINVAL);
    EXPECT_PANIC("a heap that was destroyed");
    assert_true(stats.objects == 11 && stats.bytes == 12);
}

static int
error_of(fpheap *heap, unsigned tag, unsigned destructor)
{
    fpheap_pool_desc desc;

    memset(&desc, 0, sizeof(desc));
    desc.name = "tagged";
    desc.size = 100;
    desc.tag = tag;
    desc.destructor = destructor;
    return fph_desc_error(heap, &desc);
}

/* The header in front of an object has 8 bytes, so its place is a multiple. */
static void
a_pool_with_headers_is_of_a_known_tag_and_aligned_to_8_bytes(void **state)
{
    fpheap          *heap = test_heap_over(&provider);
    fpheap_pool_desc desc;
    fph_class        klass;

    (void)state;
    assert_int_equal(error_of(heap, FPHEAP_TAGS - 1, 0), 0);
    assert_int_equal(error_of(heap, FPHEAP_TAGS, 0), -EINVAL);
    assert_int_equal(error_of(heap, 0, 99), -EINVAL);
    assert_int_equal(error_of(heap, FPHEAP_TAGS, 99), -EINVAL);
    memset(&desc, 0, sizeof(desc));
    desc.name = "aligned";
    for (desc.align = 1; desc.align <= 16; desc.align *= 2) {
        size_t align = FPHEAP_CHECK ? 16 : desc.align < 8 ? 8 : desc.align;

        for (desc.size = 16; desc.size < 64; desc.size++) {
            size_t bytes = desc.size + FPH_HEAD + FPH_SLACK;

            fph_pool_shape(&klass, &desc);
            assert_int_equal(klass.size, (bytes + align - 1) / align * align);
            assert_int_equal(klass.skip, sizeof(fph_head));
        }
    }
    TEST_DESTROY_OVER(heap, &provider);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tags_are_exact_whatever_one_thread_does),
        cmocka_unit_test(tags_are_exact_whatever_threads_do),
        cmocka_unit_test(a_dump_has_all_statistics_by_size_and_by_tag),
        cmocka_unit_test(a_sum_below_zero_is_zero),
        cmocka_unit_test(a_tag_that_has_memory_is_known_by_its_number_alone),
        cmocka_unit_test(each_tag_but_0_is_a_holder),
        cmocka_unit_test(a_dump_has_no_tag_that_there_is_not),
        cmocka_unit_test(
            a_pool_with_headers_is_of_a_known_tag_and_aligned_to_8_bytes),
        cmocka_unit_test(a_tag_that_is_none_is_einval),
        cmocka_unit_test(statistics_of_a_heap_that_was_destroyed_are_zeros),
        cmocka_unit_test(tags_of_a_heap_that_was_destroyed_are_einval),
        cmocka_unit_test(tags_are_told_to_programs_of_any_version),
        cmocka_unit_test(what_could_not_be_had_is_not_counted),
        cmocka_unit_test(a_new_heap_begins_with_no_tags)
    };

    return cmocka_run_group_tests_name("tags", tests, NULL, NULL);
}
