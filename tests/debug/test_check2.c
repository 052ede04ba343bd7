/* test_check2.c - with FPHEAP_CHECK 2 all that level 1 finds is found; a write
 * behind an object when it is freed, one into a free object when it is handed out
 * again or its memory ends, each with its offset; and what damages the heap's own
 * records in the slow operation that meets it.  No promise about sizes and
 * alignments is broken, a pool keeps its contents, and right calls go by without
 * a word.
 */
#define FPHEAP_CHECK 2
#define FPHEAP_TOOL 0          /* it writes where it may not */
#define main level_1
#include "test_check.c"
#undef main

/* Some fill their class, others do not. */
static const size_t small[] = { 1, 8, 15, 16, 24, 48, 64, 100, 128, 1000, 1024,
                                2048, 4096, 5000, 65536, 100000 };

enum { BY_FREE, BY_SIZE, BY_BULK, BY_SIZED_BULK, BY_CACHE, WAYS };

static void
free_by(fpheap *heap, int way, void *object, size_t size)
{
    switch (way) {
    case BY_FREE:
        fpheap_free(heap, object);
        break;
    case BY_SIZE:
        fpheap_free_sized(heap, object, size);
        break;
    case BY_BULK:
        fpheap_free_bulk(heap, &object, 1);
        break;
    case BY_SIZED_BULK:
        fpheap_free_bulk_sized(heap, &object, 1, size);
        break;
    default:
        fpheap_cache_free(fpheap_self(heap), object);
    }
}

static const char *
words_of(const char *format, size_t a, size_t b)
{
    static char words[120];

    (void)snprintf(words, sizeof(words), format, a, b);
    return words;
}

static const char *
overrun(size_t at, size_t size)
{
    return words_of("the byte at offset %zu was written, beyond the object's "
                    "%zu bytes", at, size);
}

static const char *
after_free(size_t at, size_t room)
{
    return words_of("the byte at offset %zu was written after the free of this "
                    "object of %zu bytes", at, room);
}

static void
one_byte_behind_an_object_is_found_by_its_free(void **state)
{
    fpheap  *heap = test_heap_over(&provider);
    unsigned s;
    int      way;

    (void)state;
    for (s = 0; s < TEST_COUNT(small); s++)
        for (way = 0; way < WAYS; way++) {
            char *object = (char *)fpheap_alloc(heap, small[s]);

            memset(object, 1, small[s]);
            object[small[s]] = 1;
            free_by(heap, way, object, small[s]);
            EXPECT_PANIC(overrun(small[s], small[s]));
        }
    TEST_CHECK_LIVE(heap, 0);
    TEST_DESTROY_OVER(heap, &provider);
    expect_silence();
}

/* To the end of its class, or of its last page. */
static void
so_is_any_other_behind_it(void **state)
{
    static const size_t some[] = { 17, 1000, 1024, 300000, 700001 };
    fpheap  *heap = test_heap_over(&provider);
    unsigned s;
    size_t   room, at;

    (void)state;
    for (s = 0; s < TEST_COUNT(some); s++) {
        char *object = (char *)fpheap_alloc(heap, some[s]);

        room = fph_room_of(heap, object);
        assert_true(room > some[s]);
        for (at = some[s]; at < room; at += (room - some[s]) / 7 + 1) {
            object = (char *)fpheap_alloc(heap, some[s]);
            object[at]++;
            fpheap_free(heap, object);
            EXPECT_PANIC(overrun(at, some[s]));
        }
    }
    assert_int_equal(fpheap_destroy_forced(heap), 0);
    expect_silence();
}

/* They are behind the object before it, or of it if it is free. */
static void
so_are_bytes_before_an_object(void **state)
{
    static const size_t lengths[] = { 1, 8, 64 };
    fpheap  *heap = test_heap_over(&provider);
    unsigned l;

    (void)state;
    for (l = 0; l < TEST_COUNT(lengths); l++) {
        size_t n = lengths[l];
        size_t room;
        void  *two[2];
        char  *first, *next;

        assert_int_equal(fpheap_alloc_bulk(heap, 200, two, 2), 0);
        first = (char *)(two[0] < two[1] ? two[0] : two[1]);
        next = (char *)(two[0] < two[1] ? two[1] : two[0]);
        room = fph_room_of(heap, first);
        assert_ptr_equal(next, first + room + FPH_HEAD);
        memset(next - FPH_HEAD - n, 1, n);
        fpheap_free(heap, next);
        expect_silence();
        fpheap_free(heap, first);
        EXPECT_PANIC(overrun(room - n < 200 ? 200 : room - n, 200));

        assert_ptr_equal(fpheap_alloc(heap, 200), first);
        assert_ptr_equal(fpheap_alloc(heap, 200), next);
        fpheap_free(heap, first);
        memset(next - FPH_HEAD - n, 1, n);
        assert_ptr_equal(fpheap_alloc(heap, 200), first);
        EXPECT_PANIC(after_free(room - n, room));
        fpheap_free(heap, next);
        fpheap_free(heap, first);
    }
    TEST_DESTROY_OVER(heap, &provider);
    expect_silence();
}

static void
whatever_function_allocated_it(void **state)
{
    static void *several[600];
    fpheap  *heap = test_heap_over(&provider);
    char    *object;
    unsigned i;

    (void)state;
    assert_int_equal(fpheap_alloc_bulk(heap, 200, several, 600), 0);
    for (i = 0; i < 600; i++)
        ((char *)several[i])[200] = 1;
    fpheap_free_bulk(heap, several, 600);
    assert_int_equal(panics, 600);
    panics = 0;
    object = (char *)fpheap_calloc(heap, 8, 8);
    object[64] = 0;
    fpheap_free(heap, object);
    EXPECT_PANIC(overrun(64, 64));
    object = (char *)fpheap_aligned_alloc(heap, 256, 300);
    object[300] = 1;
    fpheap_free(heap, object);
    EXPECT_PANIC(overrun(300, 300));
    object = (char *)fpheap_aligned_alloc(heap, FPHEAP_CHUNK, FPHEAP_CHUNK - 1);
    object[FPHEAP_CHUNK - 1] = 1;
    fpheap_free(heap, object);
    EXPECT_PANIC(overrun(FPHEAP_CHUNK - 1, FPHEAP_CHUNK - 1));
    object = (char *)fpheap_alloc_on(heap, 32, 0);
    object[32] = 1;
    fpheap_free(heap, object);
    EXPECT_PANIC(overrun(32, 32));
    TEST_DESTROY_OVER(heap, &provider);
}

static void
realloc_finds_it_and_moves_what_is_behind(void **state)
{
    fpheap *heap = test_heap_over(&provider);
    char   *object = (char *)fpheap_alloc(heap, 1000);

    (void)state;
    object[1001] = 1;
    object = (char *)fpheap_realloc(heap, object, 990);
    EXPECT_PANIC(overrun(1001, 1000));
    assert_int_equal(fpheap_usable_size(heap, object), 990);
    object[989] = 1;
    assert_ptr_equal(fpheap_realloc(heap, object, 1007), object);
    expect_silence();
    memset(object, 1, 1007);
    object = (char *)fpheap_realloc(heap, object, 3000);
    expect_silence();
    assert_true(test_all_bytes(object, 1007, 1));
    object[3000] = 1;
    object = (char *)fpheap_aligned_realloc(heap, object, 4096, 5000);
    EXPECT_PANIC(overrun(3000, 3000));
    assert_int_equal(fpheap_usable_size(heap, object), 5000);
    assert_ptr_equal(fpheap_aligned_realloc(heap, object, 4096, 4990), object);
    expect_silence();
    object[4990] = 1;
    fpheap_free(heap, object);
    EXPECT_PANIC(overrun(4990, 4990));
    TEST_DESTROY_OVER(heap, &provider);
}

/* A large object at a chunk's start, with free pages behind it up to `to`
 * bytes.  Where groups meet there may be fewer: what lies there is freed in the
 * end. */
static char *
with_room_behind(fpheap *heap, size_t from, size_t to)
{
    size_t pages = to / FPHEAP_PAGE + 2, n = 0;
    void  *unfit = NULL;
    char  *object;

    for (;;) {
        object = (char *)fpheap_aligned_alloc(heap, FPHEAP_CHUNK, from);
        assert_non_null(object);
        for (n = from / FPHEAP_PAGE + 1; n < pages
             && fph_page_is_free(heap->state,
                                 fph_page_of(heap->state, object) + n); n++)
            ;
        if (n == pages)
            break;
        test_push(&unfit, object);
    }
    test_free_all(heap, unfit);
    return object;
}

/* In pages and in chunks, into those it gets and those it has already.  At a
 * chunk's start nothing is behind it. */
static void
realloc_in_place_moves_what_is_behind_a_large_object(void **state)
{
    static const size_t from[] = { 9 * FPHEAP_PAGE + 100,
                                   2 * FPHEAP_CHUNK + 100 };
    static const size_t to[] = { 20 * FPHEAP_PAGE + 7,
                                 5 * FPHEAP_CHUNK + 7 };
    fpheap  *heap = test_heap_over(&provider);
    unsigned i;

    (void)state;
    fpheap_free(heap, fpheap_alloc(heap, 12 * FPHEAP_CHUNK));
    for (i = 0; i < TEST_COUNT(from); i++) {
        char *object = with_room_behind(heap, from[i], to[i]);

        memset(object, 1, from[i]);
        assert_ptr_equal(fpheap_realloc(heap, object, to[i]), object);
        expect_silence();
        assert_int_equal(fpheap_usable_size(heap, object), to[i]);
        memset(object + from[i], 1, to[i] - from[i]);
        assert_ptr_equal(fpheap_realloc(heap, object, from[i] + 1), object);
        expect_silence();
        assert_int_equal(fpheap_usable_size(heap, object), from[i] + 1);
        assert_true(test_all_bytes(object, from[i] + 1, 1));
        object[from[i] + 1] = 1;
        object = (char *)fpheap_realloc(heap, object, to[i]);
        EXPECT_PANIC(overrun(from[i] + 1, from[i] + 1));
        object[to[i]] = 1;
        fpheap_free(heap, object);
        EXPECT_PANIC(overrun(to[i], to[i]));
    }
    TEST_DESTROY_OVER(heap, &provider);
}

static void
a_write_into_a_free_object_is_found_when_it_is_handed_out(void **state)
{
    fpheap  *heap = test_heap_over(&provider);
    unsigned s;
    int      way;

    (void)state;
    for (s = 0; s < TEST_COUNT(small); s++)
        for (way = 0; way < WAYS; way++) {
            char  *object = (char *)fpheap_alloc(heap, small[s]);
            size_t room = fph_room_of(heap, object);
            size_t at[] = { 0, 1, room / 2, small[s] - 1, room - 1 };

            memset(object, 1, small[s]);
            free_by(heap, way, object, small[s]);
            expect_silence();
            object[at[way]] = 1;
            assert_ptr_equal(fpheap_alloc(heap, small[s]), object);
            EXPECT_PANIC(after_free(at[way], room));
            fpheap_free(heap, object);
            assert_ptr_equal(fpheap_alloc(heap, small[s]), object);
            expect_silence();
            fpheap_free(heap, object);
        }
    TEST_DESTROY_OVER(heap, &provider);
}

static void
or_when_its_memory_ends(void **state)
{
    static void *many[1000];
    fpheap *heap = test_heap_over(&provider);
    char   *object;

    (void)state;
    assert_int_equal(fpheap_alloc_bulk(heap, 500, many, 1000), 0);
    fpheap_free_bulk(heap, many, 1000);
    ((char *)many[500])[7] = 1;
    fpheap_trim(heap);
    EXPECT_PANIC("end of the slab of ");
    /* Whoever gets the pages next has nothing to do with it. */
    assert_int_equal(fpheap_alloc_bulk(heap, 72, many, 1000), 0);
    fpheap_free_bulk(heap, many, 1000);
    expect_silence();
    object = (char *)fpheap_alloc(heap, 500);
    fpheap_free(heap, object);
    object[499] = 1;
    assert_int_equal(fpheap_destroy(heap), 0);
    EXPECT_PANIC("end of ");
    assert_int_equal(provider.held, 0);
}

static fpheap_pool *
pool_with(fpheap *heap, size_t size, size_t align, unsigned flags)
{
    fpheap_pool_desc desc;
    fpheap_pool     *pool;

    memset(&desc, 0, sizeof(desc));
    desc.name = "pool";
    desc.size = size;
    desc.align = align;
    desc.flags = flags;
    pool = fpheap_pool_create(heap, &desc);
    assert_non_null(pool);
    return pool;
}

static void
a_pool_keeps_its_contents_and_has_bytes_behind_them(void **state)
{
    static const size_t some[] = { 1, 16, 24, 64, 1000, 2304, 70000 };
    fpheap  *heap = test_heap_over(&provider);
    unsigned s;

    (void)state;
    for (s = 0; s < TEST_COUNT(some); s++) {
        fpheap_pool *pool = pool_with(heap, some[s], 64, 0);
        char        *object = (char *)fpheap_pool_get(pool);
        void        *several[3];

        assert_int_equal((uintptr_t)object % 64, 0);
        memset(object, 7, some[s]);
        fpheap_pool_put(pool, object);
        object[0] = 8;
        assert_ptr_equal(fpheap_pool_get(pool), object);
        assert_int_equal(object[0], 8);
        assert_true(test_all_bytes(object + 1, some[s] - 1, 7));
        expect_silence();
        object[some[s]] = 1;
        fpheap_pool_put(pool, object);
        EXPECT_PANIC(overrun(some[s], some[s]));
        assert_int_equal(fpheap_pool_get_bulk(pool, several, 3), 0);
        ((char *)several[1])[some[s]] = 1;
        fpheap_pool_put_bulk(pool, several, 3);
        EXPECT_PANIC(overrun(some[s], some[s]));
        assert_int_equal(fpheap_pool_destroy(pool, NULL), 0);
    }
    TEST_DESTROY_OVER(heap, &provider);
}

static void
destruct_nothing(void *arg, void *object)
{
    (void)arg, (void)object;
}

static int
construct_nothing(void *arg, void *object)
{
    (void)arg, (void)object;
    return 0;
}

static void
a_scratch_pool_is_filled_and_has_no_constructor(void **state)
{
    fpheap          *heap = test_heap_over(&provider);
    fpheap_pool     *pool = pool_with(heap, 100, 0, FPHEAP_SCRATCH);
    char            *object = (char *)fpheap_pool_get(pool);
    fpheap_pool_desc desc;

    (void)state;
    fpheap_pool_put(pool, object);
    object[99] = 1;
    assert_ptr_equal(fpheap_pool_get(pool), object);
    EXPECT_PANIC("the byte at offset 99 was written after the free");
    fpheap_pool_put(pool, object);
    memset(&desc, 0, sizeof(desc));
    desc.name = "other";
    desc.size = 100;
    desc.flags = FPHEAP_SCRATCH;
    desc.construct = construct_nothing;
    assert_null(fpheap_pool_create(heap, &desc));
    assert_int_equal(errno, EINVAL);
    desc.construct = NULL;
    desc.destruct = destruct_nothing;
    assert_null(fpheap_pool_create(heap, &desc));
    assert_int_equal(errno, EINVAL);
    expect_silence();
    TEST_DESTROY_OVER(heap, &provider);
}

/* As fpheap_alloc promises: a class divides it, a power of two itself. */
static void
sizes_and_alignments_stay_as_promised(void **state)
{
    fpheap *heap = test_heap_over(&provider);
    size_t  size;

    (void)state;
    for (size = 0; size < 9 * FPHEAP_PAGE; size += 1 + size / 64) {
        size_t power = size & (~size + 1);
        char  *object = (char *)fpheap_alloc(heap, size);

        assert_non_null(object);
        assert_int_equal(fpheap_usable_size(heap, object), size + (size == 0));
        assert_int_equal((uintptr_t)object % 16, 0);
        if (!FPHEAP_HEADER && size == power && size != 0)
            assert_int_equal((uintptr_t)object
                             % (power < FPHEAP_PAGE ? power : FPHEAP_PAGE), 0);
        fpheap_free_sized(heap, object, size);
    }
    for (size = 16; size <= FPHEAP_PAGE; size *= 2) {
        char *object = (char *)fpheap_alloc(heap, size);
        char *second = (char *)fpheap_aligned_alloc(heap, size, size / 2 + 1);

        assert_int_equal((FPHEAP_HEADER ? 0 : (uintptr_t)object)
                         | (uintptr_t)second,
                         ((FPHEAP_HEADER ? 0 : (uintptr_t)object)
                          | (uintptr_t)second) & ~(size - 1));
        memset(second, 1, fpheap_usable_size(heap, second));
        fpheap_free(heap, object);
        fpheap_free(heap, second);
    }
    expect_silence();
    TEST_DESTROY_OVER(heap, &provider);
}

/* All usable bytes are written, live and in pools; chunks come and go. */
static void
bytes_of_ones_own_are_written_without_a_word(void **state)
{
    static char *live[500];
    test_random  random = test_random_of(11);
    fpheap      *heap = test_heap_over(&provider);
    fpheap_pool *pool = pool_with(heap, 333, 8, 0);
    unsigned     step, i;

    (void)state;
    for (step = 0; step < 30000; step++) {
        size_t size = test_size(&random, step % 1000 == 0 ? 22 : 13);

        i = (unsigned)test_below(&random, TEST_COUNT(live));
        if (step % 5 == 0 && live[i] != NULL) {
            live[i] = (char *)fpheap_realloc(heap, live[i], size);
        } else {
            fpheap_free(heap, live[i]);
            live[i] = (char *)(step % 7 == 0 ? fpheap_pool_get(pool)
                               : step % 11 == 0 ? fpheap_zalloc(heap, size)
                               : fpheap_alloc(heap, size));
        }
        assert_non_null(live[i]);
        memset(live[i], (int)step, fpheap_usable_size(heap, live[i]));
        if (step % 10000 == 9999) {
            for (i = 0; i < TEST_COUNT(live); i++) {
                fpheap_free(heap, live[i]);
                live[i] = NULL;
            }
            fpheap_trim(heap);
        }
    }
    expect_silence();
    assert_int_equal(fpheap_pool_destroy(pool, NULL), 0);
    TEST_DESTROY_OVER(heap, &provider);
    expect_silence();
}

static fph_slab *
slab_of(fpheap *heap, void *object)
{
    return fph_record_of(heap->state, object);
}

static void
a_slabs_record_is_verified_when_objects_are_claimed(void **state)
{
    fpheap *heap = test_heap_over(&provider);
    void   *object = fpheap_alloc(heap, 1000);

    (void)state;
    fpheap_flush(heap);
    slab_of(heap, object)->state += fph_slab_state(100, 0);
    fpheap_free(heap, fpheap_alloc(heap, 1000));
    EXPECT_PANIC("the record of a slab was overwritten");
    slab_of(heap, object)->state -= fph_slab_state(100, 0);
    fpheap_free(heap, object);
    TEST_DESTROY_OVER(heap, &provider);
    expect_silence();
}

static void
a_magazine_is_verified_when_it_is_loaded(void **state)
{
    static void *many[FPHEAP_MAGAZINE + 1];
    fpheap       *heap = test_heap_over(&provider);
    fpheap_cache *cache = fpheap_self(heap);
    unsigned      k = fph_class_of(100);
    void         *object = fpheap_alloc(heap, 100);
    void        **slot;

    (void)state;
    assert_int_equal(fpheap_alloc_bulk(heap, 100, many, TEST_COUNT(many)), 0);
    fpheap_free_bulk(heap, many, TEST_COUNT(many));
    assert_non_null(cache->spare[k]);
    assert_int_equal(cache->spare[k]->count, FPHEAP_MAGAZINE);
    slot = &cache->spare[k]->slot[FPHEAP_MAGAZINE - 2];
    *slot = object;
    while (cache->bins[k].next != NULL)
        assert_non_null(fpheap_alloc(heap, 100));
    expect_silence();
    assert_non_null(fpheap_alloc(heap, 100));
    EXPECT_PANIC("a magazine was overwritten");
    assert_int_equal(fpheap_destroy_forced(heap), 0);
    expect_silence();
}

/* By a free that has no room in the other. */
static void
a_magazine_is_verified_when_a_free_loads_it(void **state)
{
    static void *many[FPHEAP_MAGAZINE + 4];
    fpheap       *heap = test_heap_over(&provider);
    fpheap_cache *cache = fpheap_self(heap);
    unsigned      k = fph_class_of(100);
    unsigned      i;

    (void)state;
    for (i = 0; i < TEST_COUNT(many); i++)
        assert_non_null(many[i] = fpheap_alloc(heap, 100));
    fpheap_flush(heap);
    for (i = 0; i < FPHEAP_MAGAZINE + 2; i++)
        fpheap_free(heap, many[i]);
    fph_bin_swap(cache, k);
    assert_ptr_equal(cache->bins[k].top, cache->bins[k].limit);
    assert_int_equal(cache->spare[k]->count, 2);
    cache->spare[k]->slot[0] = many[i];
    expect_silence();
    fpheap_free(heap, many[i + 1]);
    EXPECT_PANIC("a magazine was overwritten");
    assert_int_equal(fpheap_destroy_forced(heap), 0);
    expect_silence();
}

/* Each word of a bin, and each thing that a slot may hold. */
static void
whatever_was_overwritten_in_a_magazine_is_told(void **state)
{
    fpheap       *heap = test_heap_over(&provider);
    void         *live = fpheap_alloc(heap, 100);
    void         *other = fpheap_alloc(heap, 200);
    void         *parked[3];
    unsigned      k = fph_class_of(100);
    fpheap_cache *cache = fpheap_self(heap);
    fph_bin      *bin = &cache->bins[k];
    fph_bin       usual;
    unsigned      what;

    (void)state;
    fpheap_free(heap, other);
    assert_int_equal(fpheap_alloc_bulk(heap, 100, parked, 3), 0);
    fpheap_free_bulk(heap, parked, 3);
    usual = *bin;
    for (what = 0; what < 6; what++) {
        void *slot = usual.base[0];

        switch (what) {
        case 0: bin->top = bin->base - 1; break;
        case 1: bin->top = bin->limit + 1; break;
        case 2: bin->next = live; break;
        case 3: bin->base[0] = live; break;
        case 4: bin->base[0] = &usual; break;
        default: bin->base[0] = other; break;
        }
        fph_verify_bin(cache, k);
        EXPECT_PANIC("a magazine was overwritten");
        *bin = usual;
        bin->base[0] = slot;
        fph_verify_bin(cache, k);
        expect_silence();
    }
    fpheap_free(heap, live);
    fpheap_flush(heap);
    fph_verify_bin(cache, k);
    fph_verify_bin(NULL, k);
    expect_silence();
    TEST_DESTROY_OVER(heap, &provider);
}

static void
a_bit_above_a_slabs_last_object_is_told(void **state)
{
    fpheap   *heap = test_heap_over(&provider);
    void     *object = fpheap_alloc(heap, 5000);
    fph_slab *slab = slab_of(heap, object);
    unsigned  count = fph_info_count(slab->info);

    (void)state;
    assert_true(count % 64 != 0);
    fph_verify(fph_slab_good(slab), FPH_SAY_SLAB);
    expect_silence();
    slab->bits[count / 64] ^= (uint64_t)1 << count % 64;
    fph_verify(fph_slab_good(slab), FPH_SAY_SLAB);
    EXPECT_PANIC("the record of a slab was overwritten");
    slab->bits[count / 64] ^= (uint64_t)1 << count % 64;
    fpheap_free(heap, object);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
a_second_heaps_state_leads_to_it(void **state)
{
    static test_provider second_provider;
    fpheap *heap = test_heap_over(&provider);
    fpheap *second = test_heap_over(&second_provider);

    (void)state;
    assert_ptr_equal(fph_handle_at(heap->state->number), heap);
    assert_ptr_equal(fph_handle_at(second->state->number), second);
    TEST_DESTROY_OVER(second, &second_provider);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
an_aligned_object_that_cannot_be_had_has_no_bytes_behind_it(void **state)
{
    fpheap *heap = test_heap_within(&provider, 4 * FPHEAP_CHUNK);

    (void)state;
    while (fpheap_aligned_alloc(heap, 64, 100000) != NULL)
        ;
    assert_int_equal(errno, ENOMEM);
    expect_silence();
    assert_int_equal(fpheap_destroy_forced(heap), 0);
    expect_silence();
}

static void
destroy_verifies_the_whole_heap(void **state)
{
    fpheap *heap = test_heap_over(&provider);
    void   *object = fpheap_alloc(heap, 1000);

    (void)state;
    fph_chunk_of(heap->state, object)->back[fph_page_of(heap->state, object)
                                            % FPH_PAGES] = 1;
    assert_int_equal(fpheap_destroy_forced(heap), 0);
    EXPECT_PANIC("F1: a page is in no place");
}

static fpheap *inherited;

static int
end_what_is_inherited(void)
{
    return fpheap_check(inherited) == NULL ? 1
         : fpheap_destroy(inherited) != 0 ? 2
         : panics != 0 ? 3 : 0;
}

/* A page is in the hands of a thread that the child does not have. */
static void
what_was_on_its_way_at_a_fork_is_no_damage_in_the_child(void **state)
{
    size_t page;

    (void)state;
    inherited = test_heap_over(&provider);
    fpheap_free(inherited, fpheap_alloc(inherited, 100));
    page = fph_pages_find(inherited, 0, 1, 1);
    assert_true(page != FPH_NO_PAGE);
    test_in_child(end_what_is_inherited);
    fph_pages_give(inherited->state, page, 1);
    TEST_DESTROY_OVER(inherited, &provider);
    expect_silence();
}

/* Only the largest objects of a pool have no byte behind them that is none of
 * theirs. */
static void
an_object_of_a_pool_has_a_byte_behind_it_unless_it_is_among_the_largest(
    void **state)
{
    const size_t     most = FPHEAP_POOL_SIZE_MAX - FPHEAP_PAGE;
    fpheap_pool_desc desc;

    (void)state;
    memset(&desc, 0, sizeof(desc));
    desc.size = 100;
    assert_int_equal(fph_pool_stride(&desc, 1), 101 + FPH_HEAD);
    desc.size = most - 1;
    assert_int_equal(fph_pool_stride(&desc, 1), most + FPH_HEAD);
    desc.size = most;
    assert_int_equal(fph_pool_stride(&desc, 1), most + FPH_HEAD);
    desc.size = FPHEAP_POOL_SIZE_MAX;
    assert_int_equal(fph_pool_stride(&desc, 1), desc.size + FPH_HEAD);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_byte_behind_an_object_is_found_by_its_free),
        cmocka_unit_test(so_is_any_other_behind_it),
        cmocka_unit_test(so_are_bytes_before_an_object),
        cmocka_unit_test(whatever_function_allocated_it),
        cmocka_unit_test(realloc_finds_it_and_moves_what_is_behind),
        cmocka_unit_test(realloc_in_place_moves_what_is_behind_a_large_object),
        cmocka_unit_test(
            a_write_into_a_free_object_is_found_when_it_is_handed_out),
        cmocka_unit_test(or_when_its_memory_ends),
        cmocka_unit_test(a_pool_keeps_its_contents_and_has_bytes_behind_them),
        cmocka_unit_test(a_scratch_pool_is_filled_and_has_no_constructor),
        cmocka_unit_test(sizes_and_alignments_stay_as_promised),
        cmocka_unit_test(bytes_of_ones_own_are_written_without_a_word),
        cmocka_unit_test(a_slabs_record_is_verified_when_objects_are_claimed),
        cmocka_unit_test(a_magazine_is_verified_when_it_is_loaded),
        cmocka_unit_test(a_magazine_is_verified_when_a_free_loads_it),
        cmocka_unit_test(whatever_was_overwritten_in_a_magazine_is_told),
        cmocka_unit_test(a_bit_above_a_slabs_last_object_is_told),
        cmocka_unit_test(a_second_heaps_state_leads_to_it),
        cmocka_unit_test(
            an_aligned_object_that_cannot_be_had_has_no_bytes_behind_it),
        cmocka_unit_test(destroy_verifies_the_whole_heap),
        cmocka_unit_test(
            what_was_on_its_way_at_a_fork_is_no_damage_in_the_child),
        cmocka_unit_test(
            an_object_of_a_pool_has_a_byte_behind_it_unless_it_is_among_the_largest
            )
    };
    int failed = level_1();

    return failed
         + cmocka_run_group_tests_name("check 2", tests, NULL, NULL);
}
