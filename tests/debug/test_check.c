/* test_check.c - with FPHEAP_CHECK a mistaken free ends in FPHEAP_PANIC, at the
 * call that commits it and with its name; here in a function that notes the
 * message.  Nothing is lost by it, and right calls go by without a word.
 */
#include "../panics.h"

#ifndef FPHEAP_CHECK
#  define FPHEAP_CHECK 1
#endif
#define FPHEAP_IMPLEMENTATION
#include "fpheap.h"
#include "../test_util.h"

#include <pthread.h>

static test_provider provider;

/* Of every kind: a slab's, of one page and more, a run, above a chunk. */
static const size_t sizes[] = { 1, 16, 24, 64, 1000, 5000, 70000, 300000,
                                700000, FPHEAP_CHUNK, 3 * FPHEAP_CHUNK + 5 };

static void
expect_silence(void)
{
    if (panics != 0)
        print_error("unexpected: \"%s\"\n", last_panic);
    assert_int_equal(panics, 0);
}

static int
is_cached(size_t size)
{
    return size <= FPH_CLASS_MAX - FPH_HEAD;
}

static void
a_double_free_is_stopped_at_the_second_call(void **state)
{
    fpheap  *heap = test_heap_over(&provider);
    unsigned s;

    (void)state;
    for (s = 0; s < TEST_COUNT(sizes); s++) {
        void *object = fpheap_alloc(heap, sizes[s]);
        void *second = fpheap_alloc(heap, sizes[s]);
        void *again;

        assert_non_null(object);
        assert_non_null(second);
        fpheap_free(heap, object);
        expect_silence();
        fpheap_free(heap, object);
        EXPECT_PANIC(is_cached(sizes[s])
                     ? "double free: the object is free already"
                     : "there is no object");
        fpheap_free(heap, second);
        fpheap_free_sized(heap, object, sizes[s]);
        EXPECT_PANIC(is_cached(sizes[s]) ? "double free"
                                         : "there is no object");
        again = fpheap_alloc(heap, sizes[s]);
        fpheap_free(heap, again);
        expect_silence();
        TEST_CHECK_LIVE(heap, 0);
    }
    TEST_DESTROY_OVER(heap, &provider);
}

/* After a flush and a trim the object is nowhere near a magazine. */
static void
wherever_the_object_has_gone(void **state)
{
    fpheap *heap = test_heap_over(&provider);
    void   *keep = fpheap_alloc(heap, 1000);
    void   *object = fpheap_alloc(heap, 1000);

    (void)state;
    fpheap_free(heap, object);
    fpheap_flush(heap);
    fpheap_free(heap, object);
    EXPECT_PANIC("double free");
    fpheap_free(heap, keep);
    fpheap_trim(heap);
    fpheap_free(heap, object);
    assert_int_equal(panics, 1);
    panics = 0;
    TEST_DESTROY_OVER(heap, &provider);
}

typedef struct handed {
    fpheap *heap;
    void   *object;
} handed;

static void *
free_it(void *arg)
{
    handed *h = (handed *)arg;

    fpheap_free(h->heap, h->object);
    return NULL;
}

static void
whoever_frees_it(void **state)
{
    handed    h;
    pthread_t id;

    (void)state;
    h.heap = test_heap_over(&provider);
    h.object = fpheap_alloc(h.heap, 256);
    assert_int_equal(pthread_create(&id, NULL, free_it, &h), 0);
    pthread_join(id, NULL);
    expect_silence();
    fpheap_free(h.heap, h.object);
    EXPECT_PANIC("double free");
    h.object = fpheap_alloc(h.heap, 256);
    fpheap_free(h.heap, h.object);
    assert_int_equal(pthread_create(&id, NULL, free_it, &h), 0);
    pthread_join(id, NULL);
    EXPECT_PANIC("double free");
    TEST_DESTROY_OVER(h.heap, &provider);
}

static void
whatever_function_frees_it(void **state)
{
    fpheap          *heap = test_heap_over(&provider);
    fpheap_cache    *cache = fpheap_self(heap);
    fpheap_pool_desc desc;
    fpheap_pool     *pool;
    void            *object, *pooled;

    (void)state;
    memset(&desc, 0, sizeof(desc));
    desc.name = "pool";
    desc.size = 100;
    pool = fpheap_pool_create(heap, &desc);
    assert_non_null(pool);
    object = fpheap_alloc(heap, 100);
    pooled = fpheap_pool_get(pool);
    fpheap_cache_free(cache, object);
    fpheap_pool_put(pool, pooled);
    expect_silence();
    fpheap_cache_free(cache, object);
    EXPECT_PANIC("double free");
    fpheap_cache_free_sized(cache, object, 100);
    EXPECT_PANIC("double free");
    fpheap_cache_free_bulk_sized(cache, &object, 1, 100);
    EXPECT_PANIC("double free");
    fpheap_pool_put(pool, pooled);
    EXPECT_PANIC("double free");
    fpheap_pool_put_bulk(pool, &pooled, 1);
    EXPECT_PANIC("double free");
    fpheap_cache_free_sized(cache, fpheap_alloc(heap, 100), 100);
    expect_silence();
    TEST_CHECK_LIVE(heap, 0);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
twice_in_a_bulk(void **state)
{
    fpheap *heap = test_heap_over(&provider);
    void   *bulk[64];

    (void)state;
    assert_int_equal(fpheap_alloc_bulk(heap, 100, bulk, 63), 0);
    bulk[63] = bulk[7];
    fpheap_free_bulk(heap, bulk, 64);
    EXPECT_PANIC("double free");
    TEST_CHECK_LIVE(heap, 0);
    assert_int_equal(fpheap_alloc_bulk(heap, 100, bulk, 63), 0);
    bulk[63] = bulk[7];
    fpheap_free_bulk_sized(heap, bulk, 64, 100);
    EXPECT_PANIC("double free");
    TEST_CHECK_LIVE(heap, 0);
    TEST_DESTROY_OVER(heap, &provider);
}

#define BULK 21                /* blocks, and some behind them */

/* Free all of a bulk of objects of 200 bytes. */
static void
free_bulk(fpheap *heap, void *const *bulk, unsigned n, int sized)
{
    if (sized)
        fpheap_free_bulk_sized(heap, bulk, n, 200);
    else
        fpheap_free_bulk(heap, bulk, n);
}

/* The pointer that is `kind` of what may not be freed together with bulk[]. */
static void *
wrong_pointer(fpheap *heap, unsigned kind, void *const *bulk, unsigned place)
{
    static char elsewhere[16];
    void       *dead;

    switch (kind) {
    case 0: return bulk[(place + 1) % BULK];
    case 1: return bulk[(place + 11) % BULK];
    case 2: return elsewhere;
    case 3: return (char *)bulk[place] + 16;
    case 4: return (char *)bulk[place] + 1;
    case 5: return (void *)(UINTPTR_MAX - 15);
    default:
        dead = fpheap_alloc(heap, 200);
        fpheap_free(heap, dead);
        return dead;
    }
}

static void
any_mistake_at_any_place_of_a_bulk_is_told_once(void **state)
{
    static const char *const words[] = {
        "double free", "double free", "it is not from this heap",
        "16 bytes into the live object", "1 bytes into the live object",
        "it is not from this heap", "double free"
    };
    fpheap  *heap = test_heap_over(&provider);
    void    *bulk[BULK];
    void    *right;
    unsigned i, kind, place;

    (void)state;
    for (i = 0; i < 2 * BULK * TEST_COUNT(words); i++) {
        place = i / 2 % BULK;
        kind = i / 2 / BULK;
        assert_int_equal(fpheap_alloc_bulk(heap, 200, bulk, BULK), 0);
        right = bulk[place];
        bulk[place] = wrong_pointer(heap, kind, bulk, place);
        free_bulk(heap, bulk, BULK, i % 2);
        EXPECT_PANIC(words[kind]);
        TEST_CHECK_LIVE(heap, 1);
        bulk[place] = right;
        free_bulk(heap, &bulk[place], 1, i % 2);
        expect_silence();
        TEST_CHECK_LIVE(heap, 0);
    }
    TEST_DESTROY_OVER(heap, &provider);
}

/* Neighbours in the bulk are of two chunks, whose marks no one look finds. */
static void
a_bulk_from_several_chunks_is_verified_as_well(void **state)
{
    static void *all[2 * FPHEAP_CHUNK / FPHEAP_PAGE * 8];
    fpheap      *heap = test_heap_over(&provider);
    unsigned     n = TEST_COUNT(all);
    void        *bulk[BULK];
    unsigned     i, k;

    (void)state;
    for (i = 0; i < n; i++)
        assert_non_null(all[i] = fpheap_alloc(heap, FPHEAP_PAGE / 8 - 64));
    for (i = 0; i + BULK / 2 <= n / 2; i += BULK / 2) {
        for (k = 0; k < BULK - 1; k++) {
            void **from = &all[i + k / 2 + k % 2 * (n / 2)];

            bulk[k] = *from;
            *from = NULL;
        }
        bulk[BULK - 1] = bulk[i % (BULK - 1)];
        fpheap_free_bulk(heap, bulk, BULK);
        EXPECT_PANIC("double free");
    }
    assert_int_equal(fpheap_alloc_bulk(heap, FPHEAP_PAGE / 8 - 64, bulk, BULK),
                     0);
    for (i = 0; i < BULK; i++) {
        fpheap_free(heap, bulk[i]);
        expect_silence();
        fpheap_free(heap, bulk[i]);
        EXPECT_PANIC("double free");
    }
    fpheap_free_bulk(heap, all, n);
    expect_silence();
    TEST_DESTROY_OVER(heap, &provider);
}

static void
a_pointer_into_an_object_is_stopped_with_its_offset(void **state)
{
    fpheap  *heap = test_heap_over(&provider);
    unsigned s;

    (void)state;
    for (s = 2; s < TEST_COUNT(sizes); s++) {
        const size_t offsets[] = { 1, 8, 16, sizes[s] / 2 | 1, sizes[s] - 1 };
        char    *object = (char *)fpheap_alloc(heap, sizes[s]);
        unsigned i;

        for (i = 0; i < TEST_COUNT(offsets); i++) {
            char words[120];

            (void)snprintf(words, sizeof(words), "%zu bytes into the live "
                           "object at 0x%zx, of %zu bytes", offsets[i],
                           (size_t)(uintptr_t)object,
                           fpheap_usable_size(heap, object));
            fpheap_free(heap, object + offsets[i]);
            EXPECT_PANIC(words);
        }
        TEST_CHECK_LIVE(heap, 1);
        fpheap_free(heap, object);
        fpheap_free(heap, object + 8);
        EXPECT_PANIC(is_cached(sizes[s]) ? "into the free object"
                                         : "there is no object");
    }
    TEST_DESTROY_OVER(heap, &provider);
}

/* The marks of pages that were in no slab yet were looked for behind all marks,
 * in other records of the heap: here in the private area of a pool. */
static void
a_pointer_into_a_page_without_objects_is_stopped(void **state)
{
    fpheap          *heap = test_heap_over(&provider);
    char            *object = (char *)fpheap_alloc(heap, 100);
    char            *end = (char *)(((uintptr_t)object | FPH_CHUNK_MASK) + 1);
    fpheap_pool_desc desc;
    fpheap_pool     *pool;
    unsigned char   *area;
    size_t           i, at;

    (void)state;
    memset(&desc, 0, sizeof(desc));
    desc.name = "behind";
    desc.size = 100;
    desc.private_bytes = FPHEAP_CHUNK / 4;
    pool = fpheap_pool_create(heap, &desc);
    assert_non_null(pool);
    area = (unsigned char *)fpheap_pool_private(pool);
    for (i = 1; i <= 128; i++) {
        unsigned char mark = (unsigned char)(0x80 | i);

        memset(area, mark, desc.private_bytes);
        for (at = 8 * i; at < 2 * FPHEAP_PAGE; at += 1024) {
            fpheap_free(heap, end - 1024 * 128 + at);
            EXPECT_PANIC("there is no object");
        }
        for (at = 0; at < desc.private_bytes; at++)
            assert_int_equal(area[at], mark);
    }
    fpheap_free(heap, object);
    expect_silence();
    TEST_DESTROY_OVER(heap, &provider);
}

/* One that ends with its chunk: what follows it starts where a chunk does, which
 * may be one that has no objects. */
static void
a_pointer_to_the_end_of_an_object_is_stopped(void **state)
{
    fpheap  *heap = test_heap_over(&provider);
    char    *run = (char *)fpheap_alloc(heap, (FPH_PAGES - FPHEAP_HEADER)
                                              * FPHEAP_PAGE);
    char    *volatile end = run + fpheap_usable_size(heap, run);

    (void)state;
    assert_int_equal((uintptr_t)end & FPH_CHUNK_MASK, 0);
    fpheap_free(heap, end);
    EXPECT_PANIC("there is no object");
    fpheap_free(heap, run);
    expect_silence();
    TEST_DESTROY_OVER(heap, &provider);
}

/* The first address of the chunk in which an object ends that begins in the one
 * before, or NULL: it ends where it begins. */
static void *
border_in(fpheap *heap, const char *object)
{
    uintptr_t last = (uintptr_t)object + fpheap_usable_size(heap, object) - 1;
    uintptr_t start = last & ~(uintptr_t)FPH_CHUNK_MASK;

    return start > (uintptr_t)object ? (void *)start : NULL;
}

/* Whose marks are in the records of the chunk before: of a slab that crosses the
 * border, and of a large object. */
static void
a_pointer_to_the_start_of_a_chunk_inside_an_object_is_stopped(void **state)
{
    char    *objects[400];
    fpheap  *heap = test_heap_over(&provider);
    unsigned across = 0;
    unsigned i;

    (void)state;
    for (i = 0; i < TEST_COUNT(objects); i++) {
        size_t size = i == 0 ? 3 * FPHEAP_CHUNK
                             : (3 + i % 40) * FPHEAP_PAGE / 16;

        objects[i] = (char *)fpheap_alloc(heap, size - FPH_HEAD - FPH_SLACK);
        assert_non_null(objects[i]);
    }
    for (i = 0; i < TEST_COUNT(objects); i++) {
        void *border = border_in(heap, objects[i]);

        if (border == NULL)
            continue;
        across++;
        fpheap_free(heap, border);
        EXPECT_PANIC(" bytes into the live object at 0x");
        fpheap_free(heap, objects[i]);
        fpheap_free(heap, border);
        EXPECT_PANIC(i == 0 ? "there is no object"
                            : " bytes into the free object at 0x");
        objects[i] = NULL;
    }
    assert_true(across > 1);
    for (i = 0; i < TEST_COUNT(objects); i++)
        fpheap_free(heap, objects[i]);
    expect_silence();
    TEST_DESTROY_OVER(heap, &provider);
}

static void
an_object_never_allocated_is_stopped(void **state)
{
    fpheap *heap = test_heap_over(&provider);
    char   *object = (char *)fpheap_alloc(heap, 1000);

    (void)state;
    fpheap_free(heap, object + fpheap_usable_size(heap, object));
    assert_int_equal(panics, 1);
    panics = 0;
    fpheap_free(heap, object);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
a_pointer_from_elsewhere_is_stopped_without_a_look_at_it(void **state)
{
    static char data[64];
    char        local[64];
    fpheap     *heap = test_heap_over(&provider);
    char       *object = (char *)fpheap_alloc(heap, 100);
    char       *chunk = (char *)((uintptr_t)object
                                 & ~(uintptr_t)(FPHEAP_CHUNK - 1));
    void       *hole = mmap(NULL, 4 * FPHEAP_CHUNK, PROT_NONE, MAP_PRIVATE
                            | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    void *volatile wrong[] = { local, data, (char *)hole + FPHEAP_CHUNK + 64,
                            (void *)(uintptr_t)8,
                            (void *)(UINTPTR_MAX - 7),
                            (void *)(UINTPTR_MAX / 2 - 63), heap,
                            heap->state->meta[1] };
    unsigned    i;

    (void)state;
    assert_true(hole != MAP_FAILED);
    for (i = 0; i < TEST_COUNT(wrong); i++) {
        fpheap_free(heap, wrong[i]);
        EXPECT_PANIC("it is not from this heap");
        fpheap_free_sized(heap, wrong[i], 100);
        EXPECT_PANIC("it is not from this heap");
        assert_null(fpheap_realloc(heap, wrong[i], 50));
        EXPECT_PANIC("it is not from this heap");
        assert_null(fpheap_aligned_realloc(heap, wrong[i], 64, 50));
        EXPECT_PANIC("it is not from this heap");
    }
    fpheap_free(heap, chunk + FPHEAP_CHUNK - 64);
    EXPECT_PANIC("there is no object");
    fpheap_free(heap, NULL);
    fpheap_free_sized(heap, NULL, 100);
    expect_silence();
    fpheap_free(heap, object);
    (void)munmap(hole, 4 * FPHEAP_CHUNK);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
the_right_heap_is_named(void **state)
{
    static test_provider second_provider;
    fpheap_config config;
    fpheap *heap = test_heap_over(&provider);
    fpheap *second;
    void   *object;

    (void)state;
    memset(&config, 0, sizeof(config));
    test_provider_init(&second_provider);
    config.provider = &second_provider.calls;
    second = fpheap_create("the other", &config);
    assert_non_null(second);
    object = fpheap_alloc(second, 100);
    fpheap_free(heap, object);
    EXPECT_PANIC("it is not from this heap but from heap 'the other'");
    fpheap_free(second, object);
    expect_silence();
    fpheap_free(heap, &config);
    assert_null(strstr(last_panic, "but from"));
    EXPECT_PANIC("it is not from this heap");
    TEST_DESTROY_OVER(second, &second_provider);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
a_message_has_pointer_heap_and_fault(void **state)
{
    fpheap *heap = test_heap_over(&provider);
    void   *object = fpheap_alloc(heap, 100);
    void   *volatile nowhere = (void *)(uintptr_t)0x12ab0;
    char    words[200];

    (void)state;
    fpheap_free(heap, nowhere);
    assert_string_equal(last_panic, "fpheap: free of 0x12ab0, heap 'test': "
                                    "it is not from this heap");
    panics = 0;
    fpheap_free(heap, object);
    fpheap_free(heap, object);
    (void)snprintf(words, sizeof(words), "fpheap: free of 0x%zx, heap 'test': "
                   "double free: the object is free already, of %zu bytes",
                   (size_t)(uintptr_t)object,
                   fpheap_usable_size(heap, object));
    assert_string_equal(last_panic, words);
    panics = 0;
    TEST_DESTROY_OVER(heap, &provider);
}

static void
a_message_that_is_too_long_is_cut(void **state)
{
    fph_text text;
    unsigned i;

    (void)state;
    text.bytes = 0;
    memset(text.at, 'x', sizeof text.at);
    for (i = 0; i < sizeof text.at; i += 6)
        fph_text_add(&text, "1234567");
    assert_int_equal(text.bytes, sizeof text.at - 1);
    assert_int_equal(strlen(text.at), sizeof text.at - 1);
    fph_text_add(&text, "8");
    assert_int_equal(strlen(text.at), sizeof text.at - 1);
}

static void
free_a_local(test_provider *p)
{
    fpheap_free((fpheap *)p->arg, &p);
}

/* It has a handle, and no state. */
static void
a_heap_that_is_being_made_is_not_named(void **state)
{
    static test_provider second_provider;
    fpheap_config config;
    fpheap *heap = test_heap_over(&provider);
    fpheap *second;

    (void)state;
    memset(&config, 0, sizeof(config));
    test_provider_init(&second_provider);
    second_provider.inside_get = free_a_local;
    second_provider.arg = heap;
    config.provider = &second_provider.calls;
    second = fpheap_create("second", &config);
    assert_non_null(second);
    assert_null(strstr(last_panic, "second"));
    EXPECT_PANIC("it is not from this heap");
    TEST_DESTROY_OVER(second, &second_provider);
    TEST_DESTROY_OVER(heap, &provider);
}

/* What a write past an object's end may do to a magazine. */
static void
a_live_object_in_a_magazine_is_told_when_it_is_handed_out(void **state)
{
    fpheap *heap = test_heap_over(&provider);
    void   *object;

    (void)state;
    fpheap_free(heap, fpheap_alloc(heap, 100));
    object = fpheap_alloc(heap, 100);
    assert_true(fph_put(&fph_cache_mine(heap)->bins[fph_class_of(100)],
                        object));
    assert_ptr_equal(fpheap_alloc(heap, 100), object);
    EXPECT_PANIC("an object was handed out that is live");
    fpheap_free(heap, object);
    expect_silence();
    TEST_DESTROY_OVER(heap, &provider);
}

/* Once as it is live, and once as the bulk has it twice. */
static void
a_live_object_that_a_bulk_hands_out_is_told_at_any_place(void **state)
{
    fpheap  *heap = test_heap_over(&provider);
    fph_bin *bin;
    void    *bulk[BULK + 2];
    void    *object;
    unsigned place, i;

    (void)state;
    assert_int_equal(fpheap_alloc_bulk(heap, 200, bulk, BULK), 0);
    for (place = 0; place < BULK; place++) {
        bin = &fph_cache_mine(heap)->bins[fph_class_of(200)];
        object = bulk[place];
        for (i = 0; i < BULK; i++)
            if (i != place)
                fpheap_free(heap, bulk[i]);
        fpheap_flush(heap);
        for (i = 0; i < BULK - 1; i++)
            bulk[i] = fpheap_alloc(heap, 200);
        for (i = 0; i < BULK - 1; i++) {
            if (i == place)
                assert_true(fph_put(bin, object));
            fpheap_free(heap, bulk[i]);
        }
        if (i == place)
            assert_true(fph_put(bin, object));
        expect_silence();
        assert_int_equal(fpheap_alloc_bulk(heap, 200, bulk, BULK), 0);
        EXPECT_PANIC("an object was handed out that is live");
    }
    fpheap_free_bulk(heap, bulk, BULK);
    expect_silence();
    TEST_DESTROY_OVER(heap, &provider);
}

/* Nor do those of objects one after the other push each other out of a cache that
 * has as few as 64 lines of one way. */
static void
no_two_places_of_a_chunk_have_the_same_mark(void **state)
{
    static char seen[FPH_MARKS(1)];
    size_t      offset;
    uint64_t    sets = 0;

    (void)state;
    for (offset = 0; offset < FPHEAP_CHUNK; offset += 16) {
        size_t place = fph_mark_place(offset);

        assert_true(place < TEST_COUNT(seen));
        assert_int_equal(seen[place], 0);
        seen[place] = 1;
    }
    for (offset = 0; offset < 1024; offset += 16)
        sets |= (uint64_t)1 << fph_mark_place(offset) * sizeof(fph_mark) / 64
                               % 64;
    assert_true(sets == UINT64_MAX);
}

static void
a_wrong_size_is_stopped_with_both(void **state)
{
    fpheap *heap = test_heap_over(&provider);
    void   *object = fpheap_alloc(heap, 1000);
    void   *large = fpheap_alloc(heap, 700000);
    void   *empty = fpheap_alloc(heap, 0);
    char    text[100];

    (void)state;
    fpheap_free_sized(heap, object, 100);
    EXPECT_PANIC(FPHEAP_HEADER
                 ? "object is of 1008 bytes, freed with a size of up to 112"
                 : "object is of 1024 bytes, freed with a size of up to 112");
    fpheap_free_sized(heap, object, 700000);
    (void)snprintf(text, sizeof(text), " bytes, freed with a size above %zu",
                   FPH_SIZED_MAX);
    EXPECT_PANIC(text);
    fpheap_free_bulk_sized(heap, &object, 1, 2000);
    EXPECT_PANIC(FPHEAP_HEADER ? "freed with a size of up to 2032"
                               : "freed with a size of up to 2048");
    fpheap_free_sized(heap, large, 100);
    (void)snprintf(text, sizeof(text), "the object is larger, above %zu bytes,"
                   " freed with a size of up to 112", FPH_SIZED_MAX);
    EXPECT_PANIC(text);
    TEST_CHECK_LIVE(heap, 3);
    fpheap_free_sized(heap, object, 970);     /* of the same class */
    fpheap_free_sized(heap, large, 700000);
    fpheap_free_sized(heap, empty, 0);
    expect_silence();
    TEST_DESTROY_OVER(heap, &provider);
}

/* The first pool's object was taken for one of the heap's own. */
static void
an_object_of_a_pool_is_called_so(void **state)
{
    static const char *const names[] = { "first", "second" };
    fpheap          *heap = test_heap_over(&provider);
    fpheap_pool_desc desc;
    fpheap_pool     *pool[2];
    void            *object[2];
    unsigned         i;

    (void)state;
    for (i = 0; i < 2; i++) {
        memset(&desc, 0, sizeof(desc));
        desc.name = names[i];
        desc.size = 96 - FPH_SLACK;
        pool[i] = fpheap_pool_create(heap, &desc);
        assert_non_null(pool[i]);
        object[i] = fpheap_pool_get(pool[i]);
    }
    for (i = 0; i < 2; i++) {
        fpheap_free_sized(heap, object[i], 200);
        EXPECT_PANIC("the object is of a pool of 96 bytes, freed with a size");
        fpheap_pool_put(pool[!i], object[i]);
        EXPECT_PANIC("the object is of a pool of 96 bytes, put into another");
    }
    for (i = 0; i < 2; i++)
        fpheap_pool_put(pool[i], object[i]);
    expect_silence();
    TEST_DESTROY_OVER(heap, &provider);
}

#if FPHEAP_HEADER
/* Its mark was gone, so the last reference seemed to be to a free object. */
static void
a_shared_object_that_is_freed_stays_live(void **state)
{
    fpheap *heap = test_heap_over(&provider);
    void   *object = fpheap_alloc(heap, 100);
    unsigned way;

    (void)state;
    fpheap_ref(object);
    for (way = 0; way < 4; way++) {
        switch (way) {
        case 0: fpheap_free(heap, object); break;
        case 1: fpheap_free_sized(heap, object, 100); break;
        case 2: fpheap_free_bulk(heap, &object, 1); break;
        default: fpheap_free_bulk_sized(heap, &object, 1, 100); break;
        }
        EXPECT_PANIC("free of an object with references");
        TEST_CHECK_LIVE(heap, 1);
    }
    fpheap_unref(heap, object);
    fpheap_unref(heap, object);
    expect_silence();
    TEST_DESTROY_OVER(heap, &provider);
}
#endif

static void
one_bad_pointer_keeps_no_other_from_being_freed(void **state)
{
    fpheap *heap = test_heap_over(&provider);
    void   *bulk[100];
    char    local[16];

    (void)state;
    assert_int_equal(fpheap_alloc_bulk(heap, 200, bulk, 99), 0);
    bulk[99] = bulk[50];
    bulk[50] = local;
    fpheap_free_bulk(heap, bulk, 100);
    EXPECT_PANIC("it is not from this heap");
    TEST_CHECK_LIVE(heap, 0);
    TEST_DESTROY_OVER(heap, &provider);
}

/* Chunks are closed, opened for other sizes, and given back meanwhile. */
static void
right_calls_go_by_without_a_word(void **state)
{
    static void *live[2000];
    static size_t size[2000];
    test_random random = test_random_of(7);
    fpheap  *heap = test_heap_over(&provider);
    unsigned step, i;

    (void)state;
    for (step = 0; step < 200000; step++) {
        i = (unsigned)test_below(&random, TEST_COUNT(live));
        if (step % 3 == 0)
            fpheap_free(heap, live[i]);
        else if (live[i] != NULL)
            fpheap_free_sized(heap, live[i], size[i]);
        size[i] = test_size(&random, step % 1000 == 0 ? 23 : 15);
        live[i] = fpheap_alloc(heap, size[i]);
        assert_non_null(live[i]);
        if (step % 50000 != 49999)
            continue;
        for (i = 0; i < TEST_COUNT(live); i++) {
            fpheap_free(heap, live[i]);
            live[i] = NULL;
        }
        fpheap_trim(heap);
    }
    for (i = 0; i < TEST_COUNT(live); i++)
        fpheap_free(heap, live[i]);
    expect_silence();
    TEST_DESTROY_OVER(heap, &provider);
}

/* The same for those that return nothing. */
static void
expect_no_heap_to_do(fpheap *heap, const char *words)
{
    static const char untouched[sizeof(fpheap_stats)];
    fpheap_stats      stats;

    memset(&stats, 0, sizeof(stats));
#define EXPECT_NOTHING(call)  \
    do {                      \
        call;                 \
        EXPECT_PANIC(words);  \
    } while (0)
    EXPECT_NOTHING(fpheap_set_limit(heap, 0));
    EXPECT_NOTHING(fpheap_flush(heap));
    EXPECT_NOTHING(fpheap_thread_leave(heap));
    EXPECT_NOTHING(fpheap_dump(heap, stdout));
    EXPECT_NOTHING(fpheap_stats_get(heap, &stats));
    assert_memory_equal(&stats, untouched, sizeof(stats));
}

/* Each function that takes a heap, with what is not a heap: `words` say so, and
 * it returns an error and writes nothing. */
static void
expect_no_heap(fpheap *heap, void *object, const char *words)
{
    fpheap_pool_desc   desc;
    fpheap_class_stats class_stats;
    void              *one[1] = { NULL };

    memset(&desc, 0, sizeof(desc));
    desc.name = "none";
    desc.size = 64;
#define EXPECT_ERROR(call)            \
    do {                                 \
        errno = 0;                       \
        assert_null(call);               \
        EXPECT_PANIC(words);             \
        assert_int_equal(errno, EINVAL); \
    } while (0)
    EXPECT_ERROR(fpheap_alloc(heap, 40000));
    EXPECT_ERROR(fpheap_alloc(heap, 3 * FPHEAP_CHUNK));
    EXPECT_ERROR(fpheap_zalloc(heap, 40000));
    EXPECT_ERROR(fpheap_calloc(heap, 1, 40000));
    EXPECT_ERROR(fpheap_alloc_on(heap, 40000, 0));
    EXPECT_ERROR(fpheap_aligned_alloc(heap, 64, 100));
    EXPECT_ERROR(fpheap_realloc(heap, object, 100));
    EXPECT_ERROR(fpheap_aligned_realloc(heap, object, 64, 100));
    EXPECT_ERROR(fpheap_self(heap));
    EXPECT_ERROR(fpheap_pool_create(heap, &desc));
    EXPECT_ERROR(fpheap_pool_lookup(heap, "none"));
#undef EXPECT_ERROR
#define EXPECT_VALUE(call, value)                               \
    do {                                                        \
        assert_int_equal((long long)(call), (long long)(value)); \
        EXPECT_PANIC(words);                                    \
    } while (0)
    EXPECT_VALUE(fpheap_alloc_bulk(heap, 40000, one, 1), -EINVAL);
    EXPECT_VALUE(fpheap_usable_size(heap, object), 0);
    EXPECT_VALUE(fpheap_base_of(heap, object) == NULL, 1);
    EXPECT_VALUE(fpheap_owns(heap, object), 0);
    EXPECT_VALUE(fpheap_iova(heap, object), FPHEAP_BAD_IOVA);
    EXPECT_VALUE(fpheap_reserve(heap, 1, 0), -EINVAL);
    EXPECT_VALUE(fpheap_trim(heap), 0);
    EXPECT_VALUE(fpheap_class_stats_get(heap, 0, &class_stats), -EINVAL);
    EXPECT_VALUE(fpheap_walk(heap, NULL, NULL), -EINVAL);
    EXPECT_VALUE(fpheap_region_walk(heap, NULL, NULL), -EINVAL);
    EXPECT_VALUE(fpheap_check(heap) == NULL, 0);
#if FPHEAP_HEADER
    EXPECT_VALUE(fpheap_tag_stats_get(heap, 0, NULL), -EINVAL);
#endif
    EXPECT_VALUE(fpheap_destroy(heap), -EINVAL);
    EXPECT_VALUE(fpheap_destroy_forced(heap), -EINVAL);
    expect_no_heap_to_do(heap, words);
    assert_null(one[0]);
}

/* The functions that free, which need the heap only if they do not hit. */
static void
expect_no_free(fpheap *heap, void *object, const char *words)
{
    fpheap_free(heap, object);
    EXPECT_PANIC(words);
    fpheap_free_sized(heap, object, 100);
    EXPECT_PANIC(words);
    fpheap_free_bulk(heap, &object, 1);
    EXPECT_PANIC(words);
    fpheap_free_bulk_sized(heap, &object, 1, 100);
    EXPECT_PANIC(words);
    fpheap_free(heap, NULL);
    expect_silence();
}

static void
a_call_without_a_heap_is_stopped(void **state)
{
    fpheap            *heap = test_heap_over(&provider);
    void              *object = fpheap_alloc(heap, 100);
    fpheap_class_stats class_stats;

    (void)state;
    expect_no_heap(NULL, object, "a call with NULL for a heap");
    expect_no_free(NULL, object, "a call with NULL for a heap");
    assert_int_equal(fpheap_class_stats_get(heap, 0, &class_stats), 0);
    fpheap_free(heap, object);
    expect_silence();
    TEST_DESTROY_OVER(heap, &provider);
}

static void
a_call_with_a_heap_that_was_destroyed_is_stopped(void **state)
{
    fpheap *heap = test_heap_over(&provider);
    void   *object = fpheap_alloc(heap, 100);

    (void)state;
    assert_non_null(object);
    assert_int_equal(fpheap_destroy_forced(heap), 0);
    expect_no_heap(heap, object, "a heap that was destroyed");
    expect_no_free(heap, object, "a heap that was destroyed");
}

static void
a_slow_call_with_a_copy_or_a_part_of_a_heap_is_stopped(void **state)
{
    static fpheap copy;
    fpheap *heap = test_heap_over(&provider);
    void   *object = fpheap_alloc(heap, 100);

    (void)state;
    copy = *heap;
    expect_no_heap(&copy, object, "no heap, or a copy of one");
    assert_non_null(fpheap_check((fpheap *)(void *)((char *)heap + 8)));
    EXPECT_PANIC("no heap, or a copy of one");
    fpheap_free(heap, object);
    expect_silence();
    TEST_DESTROY_OVER(heap, &provider);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_double_free_is_stopped_at_the_second_call),
        cmocka_unit_test(wherever_the_object_has_gone),
        cmocka_unit_test(whoever_frees_it),
        cmocka_unit_test(whatever_function_frees_it),
        cmocka_unit_test(twice_in_a_bulk),
        cmocka_unit_test(any_mistake_at_any_place_of_a_bulk_is_told_once),
        cmocka_unit_test(a_bulk_from_several_chunks_is_verified_as_well),
        cmocka_unit_test(a_pointer_into_an_object_is_stopped_with_its_offset),
        cmocka_unit_test(a_pointer_into_a_page_without_objects_is_stopped),
        cmocka_unit_test(a_pointer_to_the_end_of_an_object_is_stopped),
        cmocka_unit_test(
            a_pointer_to_the_start_of_a_chunk_inside_an_object_is_stopped),
        cmocka_unit_test(an_object_never_allocated_is_stopped),
        cmocka_unit_test(
            a_pointer_from_elsewhere_is_stopped_without_a_look_at_it),
        cmocka_unit_test(the_right_heap_is_named),
        cmocka_unit_test(a_message_has_pointer_heap_and_fault),
        cmocka_unit_test(a_message_that_is_too_long_is_cut),
        cmocka_unit_test(a_heap_that_is_being_made_is_not_named),
        cmocka_unit_test(
            a_live_object_in_a_magazine_is_told_when_it_is_handed_out),
        cmocka_unit_test(
            a_live_object_that_a_bulk_hands_out_is_told_at_any_place),
        cmocka_unit_test(no_two_places_of_a_chunk_have_the_same_mark),
        cmocka_unit_test(a_wrong_size_is_stopped_with_both),
        cmocka_unit_test(an_object_of_a_pool_is_called_so),
#if FPHEAP_HEADER
        cmocka_unit_test(a_shared_object_that_is_freed_stays_live),
#endif
        cmocka_unit_test(one_bad_pointer_keeps_no_other_from_being_freed),
        cmocka_unit_test(a_call_without_a_heap_is_stopped),
        cmocka_unit_test(a_call_with_a_heap_that_was_destroyed_is_stopped),
        cmocka_unit_test(
            a_slow_call_with_a_copy_or_a_part_of_a_heap_is_stopped),
        cmocka_unit_test(right_calls_go_by_without_a_word)
    };

    return cmocka_run_group_tests_name("check", tests, NULL, NULL);
}
