/* test_invariants.c - fpheap_check finds what it is said to find
 *
 * Each invariant of the header's sections PAGES, SLAB, DEPOT and POOL is broken
 * by one word, in a heap that has one of everything; fpheap_check must name it,
 * and find nothing when the word is back.
 */
#define FPHEAP_CHUNK_SHIFT 16
#define FPHEAP_MAX_NODES 8
#define FPHEAP_IMPLEMENTATION
#include "fpheap.h"
#include "test_util.h"

#define MOST 4096

/* A heap with slabs of all kinds, a run, an object of several chunks, a pool,
 * parked objects, and regions with free chunks. */
typedef struct fixture {
    fpheap      *heap;
    fpheap      *other;        /* with an object of its own */
    void        *foreign;
    fpheap_pool *pool;
    void        *pooled;
    void        *run;
    void        *huge;         /* of four chunks, and pages of a fifth */
    void        *full;         /* in a slab without free objects */
    void        *last;         /* that one's other object */
    void        *small;
    void        *large;        /* whose slab is in the stack of its bin */
} fixture;

static test_provider provider, other_provider;

static fph_slab *
slab_of(const fixture *f, const void *object)
{
    fph_slab *slab = fph_record_of(f->heap->state, object);

    assert_non_null(slab);
    return slab;
}

static void
set_up(fixture *f)
{
    static void     *objects[FPHEAP_MAGAZINE * 4];
    fpheap_config    config;
    fpheap_pool_desc desc;

    memset(f, 0, sizeof *f);
    memset(&config, 0, sizeof config);
    memset(&desc, 0, sizeof desc);
    test_provider_init(&provider);
    config.provider = &provider.calls;
    config.nodes = 2;
    f->heap = fpheap_create("checked", &config);
    assert_non_null(f->heap);
    f->other = test_heap_over(&other_provider);
    f->foreign = fpheap_alloc(f->other, 100);
    desc.name = "pool";
    desc.size = 200;
    f->pool = fpheap_pool_create(f->heap, &desc);
    assert_non_null(f->pool);
    f->pooled = fpheap_pool_get(f->pool);
    f->run = fpheap_alloc(f->heap, FPH_CLASS_MAX + 1);
    f->huge = fpheap_alloc(f->heap, 4 * FPHEAP_CHUNK + FPHEAP_PAGE);
    f->full = fpheap_alloc(f->heap, FPH_CLASS_MAX);
    f->last = fpheap_alloc(f->heap, FPH_CLASS_MAX);
    f->small = fpheap_alloc(f->heap, 100);
    f->large = fpheap_alloc(f->heap, 500);
    assert_true(f->pooled && f->run && f->huge && f->full && f->last
                && f->small && f->large);
    assert_ptr_equal(slab_of(f, f->full), slab_of(f, f->last));
    /* Two full magazines in the depot, a loaded and a spare one. */
    assert_int_equal(fpheap_alloc_bulk(f->heap, 100, objects,
                                       TEST_COUNT(objects)), 0);
    fpheap_free_bulk(f->heap, objects, TEST_COUNT(objects));
    assert_null(fpheap_check(f->heap));
}

static void
tear_down(fixture *f)
{
    assert_int_equal(fpheap_destroy_forced(f->heap), 0);
    fpheap_free(f->other, f->foreign);
    TEST_DESTROY_OVER(f->other, &other_provider);
    assert_int_equal(provider.held, 0);
}

static void
expect_found_at(const fixture *f, const char *text, int line)
{
    const char *wrong = fpheap_check(f->heap);

    if (wrong != NULL && strstr(wrong, text) != NULL)
        return;
    print_error("found %s, not \"%s\"\n", wrong == NULL ? "nothing" : wrong,
                text);
    _fail(__FILE__, line);
}

#define EXPECT_FOUND(f, text) expect_found_at(f, text, __LINE__)

/* With another value in a place, the invariant with that text is broken. */
#define BREAKS(f, text, place, value)            \
    do {                                         \
        __typeof__(place) usual_ = (place);      \
                                                 \
        (place) = (value);                       \
        EXPECT_FOUND(f, text);                   \
        (place) = usual_;                        \
        assert_null(fpheap_check((f)->heap));    \
    } while (0)

static void
a_slab_that_is_not_of_its_bin_is_found(void **state)
{
    const char *text = "not that of its bin";
    fixture     f;
    fph_slab   *slab;

    (void)state;
    set_up(&f);
    slab = slab_of(&f, f.full);
    assert_int_equal(slab->state & 1, 0);
    /* Its bin on the other node, on a node that there is none of, and its size
     * and number of objects. */
    BREAKS(&f, text, slab->info, slab->info + (FPH_CLASSES << 8));
    BREAKS(&f, text, slab->info, slab->info + (2 * FPH_CLASSES << 8));
    BREAKS(&f, text, slab->size, slab->size + 16);
    BREAKS(&f, text, slab->info, slab->info + ((uint64_t)1 << 32));
    tear_down(&f);
}

static void
a_slab_with_wrong_bits_is_found(void **state)
{
    fixture   f;
    fph_slab *slab;

    (void)state;
    set_up(&f);
    slab = slab_of(&f, f.full);
    BREAKS(&f, "above its last object", slab->bits[0], (uint64_t)1 << 63);
    BREAKS(&f, "above its last object", slab->bits[0], (uint64_t)1 << 2);
    BREAKS(&f, "S2", slab->bits[0], 1);
    BREAKS(&f, "S2", slab->state, slab->state + 2);
    slab = slab_of(&f, f.large);
    BREAKS(&f, "S2", slab->state, slab->state + 2);
    BREAKS(&f, "S2", slab->state, slab->state - 2);
    tear_down(&f);
}

static void
a_slab_that_is_listed_wrongly_is_found(void **state)
{
    const char *text = "a stack has a slab that is not of its bin";
    fixture     f;
    fph_slab   *slab, *none;
    fph_word   *stack;
    uint32_t    ref;

    (void)state;
    set_up(&f);
    slab = slab_of(&f, f.large);
    stack = &f.heap->state->depots[fph_info_bin(slab->info)].partial;
    BREAKS(&f, text, slab->info, 0);
    BREAKS(&f, text, slab->info, slab->info + (1 << 8));
    BREAKS(&f, text, slab->state, slab->state & ~(uint64_t)1);
    BREAKS(&f, text, slab->link.next, slab->link.self);
    /* Taken out, as by a thread that has it in its hands. */
    assert_ptr_equal(fph_stack_pop(f.heap->state, stack), &slab->link);
    EXPECT_FOUND(&f, "a listed slab is in no stack");
    slab->state &= ~(uint64_t)1;
    EXPECT_FOUND(&f, "S4");
    slab->state |= 1;
    fph_stack_push(stack, &slab->link);
    assert_null(fpheap_check(f.heap));
    /* One that is in no chunk. */
    ref = fph_meta_cut(f.heap->state, sizeof *slab);
    assert_int_not_equal(ref, 0);
    none = (fph_slab *)fph_meta_at(f.heap->state, ref);
    memset(none, 0, sizeof *none);
    none->link.self = ref;
    none->info = slab->info;
    none->state = slab->state;
    fph_stack_push(stack, &none->link);
    EXPECT_FOUND(&f, "a listed slab is in no stack");
    assert_ptr_equal(fph_stack_pop(f.heap->state, stack), &none->link);
    assert_null(fpheap_check(f.heap));
    tear_down(&f);
}

/* Where a page's bit is: set, it is free. */
static fph_word *
word_of(const fixture *f, size_t page, uint64_t *bit)
{
    *bit = (uint64_t)1 << page % FPH_PAGES;
    return &f->heap->state->free[page / FPH_PAGES];
}

static uint16_t *
back_of(const fixture *f, size_t page)
{
    return &fph_chunk_of_page(f->heap->state, page)->back[page % FPH_PAGES];
}

static void
a_page_that_is_mapped_wrongly_is_found(void **state)
{
    const char *text = "a page of a slab is not in the map";
    fixture     f;
    uint16_t   *map;
    size_t      page;
    unsigned    last;

    (void)state;
    set_up(&f);
    page = slab_of(&f, f.full)->page;
    map = &f.heap->state->map[page];
    last = f.heap->state->classes[FPH_SIZES - 1].pages - 1u;
    BREAKS(&f, text, map[0], 0);
    BREAKS(&f, text, map[last], (uint16_t)(map[last] + FPH_BIN_STEP));
    /* A free of a large object would take it for a small one. */
    map = &f.heap->state->map[slab_of(&f, f.run)->page];
    BREAKS(&f, "leads to a bin", map[0], (uint16_t)(3 * FPH_BIN_STEP));
    BREAKS(&f, "leads to a bin", map[8], (uint16_t)(3 * FPH_BIN_STEP));
    for (page = slab_of(&f, f.huge)->page;
         !fph_page_is_free(f.heap->state, page); page++)
        ;
    map = &f.heap->state->map[page];
    BREAKS(&f, "leads to a bin", map[0], (uint16_t)(3 * FPH_BIN_STEP));
    tear_down(&f);
}

static void
a_page_that_leads_elsewhere_is_found(void **state)
{
    fixture   f;
    fph_slab *slab;
    size_t    page;
    unsigned  i;

    (void)state;
    set_up(&f);
    page = slab_of(&f, f.full)->page;
    BREAKS(&f, "N1", *back_of(&f, page + 7), 0);
    page = slab_of(&f, f.huge)->page;
    for (i = 1; i <= 4 * FPH_PAGES; i += 7)
        BREAKS(&f, "N1", *back_of(&f, page + i), 0);
    /* Nearer to its record, it leads there all the same. */
    *back_of(&f, page + 9) = 2;
    assert_null(fpheap_check(f.heap));
    *back_of(&f, page + 9) = 9;
    slab = slab_of(&f, f.full);
    BREAKS(&f, "a record is not that of its page", slab->page, slab->page + 1);
    assert_true(slab->page % FPH_PAGES != 0);
    BREAKS(&f, "a record's reference does not name it", slab->link.self,
           slab->link.self + 1);
    tear_down(&f);
}

static void
a_page_that_is_in_two_places_is_found(void **state)
{
    const char *text = "F1: a page is in two places";
    fixture     f;
    unsigned    kind;
    size_t      i, pages;

    (void)state;
    set_up(&f);
    for (kind = 0; kind < 3; kind++) {
        fph_slab *record = slab_of(&f, kind == 0 ? f.run
                                       : kind == 1 ? f.huge : f.full);

        pages = fph_info_pages(f.heap->state, record->info);
        for (i = 0; i < pages; i += pages - 1) {
            size_t     page = record->page + i;
            fph_chunk *chunk = fph_chunk_of_page(f.heap->state, page);
            uint64_t   bit;
            fph_word  *free = word_of(&f, page, &bit);

            BREAKS(&f, text, *free, *free | bit);
            BREAKS(&f, text, chunk->meta, chunk->meta | bit);
            BREAKS(&f, text, chunk->present, chunk->present & ~bit);
        }
    }
    tear_down(&f);
}

static void
a_free_page_that_is_not_only_free_is_found(void **state)
{
    fixture    f;
    fph_chunk *chunk;
    fph_word  *free;
    uint64_t   bit;
    size_t     page;

    (void)state;
    set_up(&f);
    page = fph_page_of(f.heap->state, f.huge) + FPH_PAGES;
    fpheap_free(f.heap, f.huge);
    fpheap_flush(f.heap);
    free = word_of(&f, page, &bit);
    chunk = fph_chunk_of_page(f.heap->state, page);
    assert_true(*free & bit);
    BREAKS(&f, "META's", chunk->meta, bit);
    BREAKS(&f, "F1: a page is in no place", *free, *free & ~bit);
    BREAKS(&f, "in no region", chunk->present, chunk->present & ~bit);
    BREAKS(&f, "G1", chunk->base, NULL);
    tear_down(&f);
}

static void
a_chunk_that_is_in_no_place_is_found(void **state)
{
    fixture      f;
    fph_state   *s;
    fph_chunk   *chunk;
    fph_records *records;
    fph_slab    *slab;
    uint32_t     group;

    (void)state;
    set_up(&f);
    s = f.heap->state;
    chunk = fph_chunk_of(s, f.full);
    BREAKS(&f, "not in the place of its address", chunk->base,
           chunk->base + FPHEAP_CHUNK);
    BREAKS(&f, "a chunk is of no node", chunk->node, 2);
    BREAKS(&f, "a chunk is of no node", chunk->node, -1);
    group = s->groups[0];
    BREAKS(&f, "F9", s->group_at[group - 1], 2);
    BREAKS(&f, "F9", s->groups[0], 0);
    /* One that is listed twice hides another. */
    s->groups[s->groups_used++] = group;
    EXPECT_FOUND(&f, "F9");
    s->groups[--s->groups_used] = 0;
    /* The second one of an object has none. */
    records = chunk->records;
    chunk = fph_chunk_of(s, f.huge) + 1;
    memset(f.huge, 0, sizeof *records);
    BREAKS(&f, "in no block", chunk->records,
           (fph_records *)f.huge);
    BREAKS(&f, "does not name it", records->link.self,
           records->link.self + 1);
    slab = slab_of(&f, f.huge);
    BREAKS(&f, "does not name it", slab->link.self, slab->link.self + 1);
    fph_stack_push(&s->records.word, &records->link);
    EXPECT_FOUND(&f, "in the stack of unused ones");
    assert_ptr_equal(fph_stack_pop(s, &s->records.word), &records->link);
    tear_down(&f);
}

/* Where no slab shows it. */
static void
a_chunk_that_no_sweep_looks_at_is_found(void **state)
{
    fixture f;

    (void)state;
    f.heap = test_heap_over(&provider);
    BREAKS(&f, "F8", f.heap->state->groups_used, 0);
    TEST_DESTROY_OVER(f.heap, &provider);
}

/* A chunk that is here without pages, one that is not and has records. */
static void
a_chunk_that_is_half_here_is_found(void **state)
{
    fixture      f;
    fph_chunk   *chunk;
    fph_word    *free;
    uint64_t     bit, word;
    char        *base;

    (void)state;
    set_up(&f);
    chunk = fph_chunk_of(f.heap->state, f.huge) + 1;
    fpheap_free(f.heap, f.huge);
    fpheap_flush(f.heap);
    free = word_of(&f, (size_t)(chunk - f.heap->state->chunks) * FPH_PAGES,
                   &bit);
    word = *free;
    assert_true(word == FPH_ALL_PAGES && chunk->present == FPH_ALL_PAGES);
    *free = 0;
    chunk->present = 0;
    EXPECT_FOUND(&f, "G1: a chunk that is here has no pages");
    base = chunk->base;
    chunk->base = NULL;
    assert_null(chunk->records);
    chunk->records = fph_records_make(f.heap, 0);
    assert_non_null(chunk->records);
    EXPECT_FOUND(&f, "G1: a chunk that is not here has pages or records");
    chunk->records = NULL;
    *free = 1;
    EXPECT_FOUND(&f, "G1: a chunk that is not here has pages or records");
    *free = 0;
    chunk->present = 1;
    EXPECT_FOUND(&f, "G1: a chunk that is not here has pages or records");
    chunk->base = base;
    chunk->present = FPH_ALL_PAGES;
    *free = word;
    assert_null(fpheap_check(f.heap));
    tear_down(&f);
}

static void
a_region_that_is_wrong_is_found(void **state)
{
    const char *text = "F1: a page is in no region, or in two";
    fixture     f;
    fph_state  *s;
    fph_region *region = NULL;
    size_t      i;

    (void)state;
    set_up(&f);
    s = f.heap->state;
    assert_true(fph_region_count(s) > 1);
    for (i = 0; i < fph_region_count(s); i++) {
        region = &s->region[i];
        BREAKS(&f, text, region->raw.bytes, region->raw.bytes - FPHEAP_PAGE);
        BREAKS(&f, text, region->shown, 0);
        BREAKS(&f, "G5", region->used, 0);
    }
    BREAKS(&f, text, region->raw.base, s->region[0].raw.base);
    tear_down(&f);
}

/* A large object that is longer than its pages, and one that is shorter. */
static void
a_large_object_with_a_wrong_length_is_found(void **state)
{
    fixture   f;
    fph_slab *record;

    (void)state;
    set_up(&f);
    record = slab_of(&f, f.huge);
    BREAKS(&f, ": a page", record->info, record->info + ((uint64_t)1 << 32));
    BREAKS(&f, "F1: a page is in no place", record->info,
           record->info - ((uint64_t)1 << 32));
    record = slab_of(&f, f.run);
    BREAKS(&f, "F1: a page is in no place", record->info, 0);
    BREAKS(&f, ": a page", record->info, record->info + ((uint64_t)UINT32_MAX << 32));
    tear_down(&f);
}

static void
a_pool_that_counts_wrongly_is_found(void **state)
{
    fpheap_pool_desc desc;
    fixture          f;
    fpheap_pool     *pool;

    (void)state;
    memset(&desc, 0, sizeof desc);
    set_up(&f);
    pool = f.pool;
    BREAKS(&f, "Q2", pool->slabs, pool->slabs + 1);
    BREAKS(&f, "Q2", pool->objects, pool->objects - 1);
    BREAKS(&f, "Q1", pool->quota, pool->quota + 1);
    BREAKS(&f, "Q2", f.heap->state->pool_is[pool->number], FPH_POOL_FREE);
    desc.name = "second";
    desc.size = 300;
    pool = fpheap_pool_create(f.heap, &desc);
    assert_non_null(pool);
    assert_int_equal(pool->number, 1);
    BREAKS(&f, "Q2", pool->slabs, pool->slabs + 1);
    tear_down(&f);
}

static void
bytes_that_do_not_add_up_are_found(void **state)
{
    fixture f;

    (void)state;
    set_up(&f);
    BREAKS(&f, "do not add up", f.heap->state->region_bytes,
           f.heap->state->region_bytes - 16);
    BREAKS(&f, "not those that are counted", f.heap->state->region_bytes,
           f.heap->state->region_bytes + 16);
    BREAKS(&f, "by backing", f.heap->state->backing_bytes[0],
           f.heap->state->backing_bytes[0] + 1);
    BREAKS(&f, "G13", f.heap->state->left, f.heap->state->left - 1);
    BREAKS(&f, "G13", f.heap->state->limit, 1000);
    tear_down(&f);
}

static void
tell_nobody(void *arg, fpheap *heap, fpheap_pool *pool, int room)
{
    (void)arg, (void)heap, (void)pool, (void)room;
}

static void
what_is_claimed_and_is_neither_live_nor_parked_is_found(void **state)
{
    fpheap_config config;
    fixture       f;
    void         *object;

    (void)state;
    memset(&f, 0, sizeof f);
    memset(&config, 0, sizeof config);
    test_provider_init(&provider);
    config.provider = &provider.calls;
    config.limit = 64 * FPHEAP_CHUNK;
    config.water.low = FPHEAP_CHUNK;
    config.water.high = 2 * FPHEAP_CHUNK;
    config.water.crossed = tell_nobody;
    f.heap = fpheap_create("watched", &config);
    assert_non_null(f.heap);
    assert_non_null(object = fpheap_alloc(f.heap, 1000));
    BREAKS(&f, "U4", f.heap->state->claimed, f.heap->state->claimed + 16);
    fpheap_free(f.heap, object);
    TEST_DESTROY_OVER(f.heap, &provider);
}

/* Where a parked object can be wrong: the loaded magazine, the spare, and one
 * in the depot. */
static void **
parked(const fixture *f, unsigned where)
{
    fph_state    *state = f->heap->state;
    fpheap_cache *cache = fph_cache_mine(f->heap);
    unsigned      bin   = fph_class_of(100);

    if (where == 0) {
        assert_true(cache->bins[bin].top - cache->bins[bin].base >= 2);
        return cache->bins[bin].base;
    }
    if (where == 1) {
        assert_non_null(cache->spare[bin]);
        assert_true(cache->spare[bin]->count >= 2);
        return cache->spare[bin]->slot;
    }
    assert_true(fph_depot_count(state, bin) >= 2);
    return ((fph_magazine *)fph_meta_at(
        state, (uint32_t)state->depots[bin].full))->slot;
}

/* One of the class that is free in its slab. */
static void *
free_object(const fixture *f)
{
    fph_state *state = f->heap->state;
    uint32_t   ref   = (uint32_t)state->depots[fph_class_of(100)].partial;
    fph_slab  *slab;
    size_t     w;

    assert_int_not_equal(ref, 0);
    slab = (fph_slab *)fph_meta_at(state, ref);
    for (w = 0; slab->bits[w] == 0; w++)
        assert_true(w + 1 < FPH_SLAB_WORDS);
    return slab->base + (w * 64 + fph_lowest_bit(slab->bits[w]))
                        * (size_t)slab->size;
}

/* In the slab of an object, where the one behind the last would be. */
static void *
behind(const fixture *f, const void *object)
{
    const fph_slab *slab = slab_of(f, object);
    char           *end  = slab->base + fph_info_count(slab->info)
                                        * (size_t)slab->size;

    assert_true(end < fph_page_address(f->heap->state, slab->page)
                      + (fph_info_pages(f->heap->state, slab->info)
                         << FPHEAP_PAGE_SHIFT));
    return end;
}

/* What must not be there.  After FREE the heap stays broken: what is free and
 * parked is taken for parked. */
#define FREE 5

static void *
intruder(const fixture *f, unsigned what, void **slot)
{
    switch (what) {
    case 0:
        return slot[1];                        /* parked twice */
    case 1:
        return f->foreign;                     /* of another heap */
    case 2:
        return f->large;                       /* of another class */
    case 3:
        return (char *)slot[0] + 8;            /* within an object */
    case 4:
        return behind(f, slot[0]);
    default:
        return free_object(f);
    }
}

static void
a_parked_object_that_is_none_is_found(void **state)
{
    unsigned where, what;

    (void)state;
    for (where = 0; where < 3; where++) {
        for (what = 0; what <= FREE; what++) {
            fixture f;
            void  **slot;

            set_up(&f);
            slot = parked(&f, where);
            if (what < FREE) {
                BREAKS(&f, "D1", slot[0], intruder(&f, what, slot));
            } else {
                slot[0] = intruder(&f, what, slot);
                EXPECT_FOUND(&f, "D1");
            }
            tear_down(&f);
        }
    }
}

/* Once each; a second look puts the bits back. */
static void
all_that_is_parked_is_marked(void **state)
{
    static void        *objects[8 * FPHEAP_MAGAZINE];
    fixture             f;
    const fpheap_cache *cache;
    fph_flips           flips;
    size_t              parked = 0;
    unsigned            bin;

    (void)state;
    set_up(&f);
    for (bin = 0; bin < TEST_COUNT(objects); bin++)
        assert_non_null(objects[bin] = fpheap_alloc_on(f.heap, 16, 1));
    fpheap_free_bulk(f.heap, objects, TEST_COUNT(objects));
    cache = fph_cache_mine(f.heap);
    for (bin = 0; bin < f.heap->bins; bin++)
        parked += fph_depot_objects(f.heap->state, bin)
                + fph_cache_objects(f.heap->state, cache, bin);
    assert_true(parked > 10 * FPHEAP_MAGAZINE);
    assert_true(fph_flips_begin(&flips, f.heap));
    assert_int_equal(fph_flip_parked(&flips, f.heap->bins), parked);
    assert_int_equal(fph_flip_parked(&flips, f.heap->bins), 0);
    assert_null(fpheap_check(f.heap));
    tear_down(&f);
}

/* The look that takes the marks off again finds nothing wrong there. */
static void
a_free_object_on_top_of_a_magazine_is_found(void **state)
{
    fixture  f;
    fph_bin *bin;

    (void)state;
    set_up(&f);
    bin = &fph_cache_mine(f.heap)->bins[fph_class_of(100)];
    assert_true(bin->top - bin->base >= 2);
    bin->top[-1] = free_object(&f);
    EXPECT_FOUND(&f, "D1");
    tear_down(&f);
}

static int
count_object(void *count, const fpheap_object *object)
{
    (void)object;
    ++*(unsigned *)count;
    return 0;
}

static void
a_depot_that_counts_wrongly_is_found(void **state)
{
    unsigned what, n = 0;

    (void)state;
    for (what = 0; what < 4; what++) {
        fixture       f;
        fph_magazine *top;

        set_up(&f);
        top = fph_magazine_of(parked(&f, 2));
        if (what == 0)
            top->count--;
        else if (what == 1)
            top->link.next = top->link.self;
        else
            top->depth += what == 2 ? 1u : ~0u;
        EXPECT_FOUND(&f, what == 0 ? "D1" : "D2");
        if (what != 0)         /* a walk takes no more than there are */
            assert_int_equal(fpheap_walk(f.heap, count_object, &n), 0);
        tear_down(&f);
    }
}

/* A thread that was stopped between taking a slot and showing its region leaves
 * one that is in nobody's way. */
static void
a_region_that_is_not_known_yet_is_in_nobodys_way(void **state)
{
    fixture     f;
    fph_region *slot;
    unsigned    live = 0;
    void       *more[32];
    size_t      i;

    (void)state;
    set_up(&f);
    slot = fph_region_slot(f.heap->state);
    assert_non_null(slot);
    assert_ptr_equal(slot, f.heap->state->region
                           + fph_region_count(f.heap->state) - 1);
    assert_null(fpheap_check(f.heap));
    assert_int_equal(fpheap_walk(f.heap, count_object, &live), 0);
    assert_int_equal(live, 7);
    for (i = 0; i < TEST_COUNT(more); i++)
        assert_non_null(more[i] = fpheap_alloc(f.heap, 3 * FPHEAP_CHUNK));
    fpheap_set_limit(f.heap, 1);
    assert_null(fpheap_alloc(f.heap, 99 * FPHEAP_CHUNK));
    assert_int_equal(errno, ENOSPC);
    fpheap_set_limit(f.heap, 0);
    assert_false(fpheap_owns(f.heap, &f));
    for (i = 0; i < TEST_COUNT(more); i++)
        fpheap_free(f.heap, more[i]);
    assert_true(fpheap_trim(f.heap) > 0);
    assert_null(fpheap_check(f.heap));
    assert_true(slot->used == 1 && slot->shown == 0);
    slot->used = 0;
    tear_down(&f);
}

static void
sums_of_regions_are_looked_at_to_the_first_that_is_wrong(void **state)
{
    fixture     f;
    fph_state  *s;
    fph_region *slot;
    uint64_t    usual;
    fph_link   *link;
    size_t      chunk;
    char       *object;

    (void)state;
    set_up(&f);
    s = f.heap->state;
    assert_true(fph_region_count(s) > 1);
    usual = s->groups_used;
    s->groups_used = 0;
    assert_non_null(strstr(fph_check_regions(f.heap), "F8"));
    s->groups_used = usual;
    s->lost++;
    s->region_bytes -= FPHEAP_PAGE;
    assert_non_null(strstr(fph_check_regions(f.heap), "bytes"));
    s->region_bytes += FPHEAP_PAGE;
    s->lost--;
    /* What is lost or comes just now may be counted. */
    slot = fph_region_slot(s);
    assert_non_null(slot);
    s->region_bytes += FPHEAP_PAGE;
    assert_null(fph_check_regions(f.heap));
    s->lost++;
    assert_null(fph_check_regions(f.heap));
    s->lost--;
    slot->used = 0;
    assert_non_null(strstr(fph_check_regions(f.heap), "bytes"));
    s->region_bytes -= FPHEAP_PAGE;
    /* Unused records may have been those of any chunk. */
    object = (char *)fpheap_alloc(f.heap, 40 * FPHEAP_CHUNK);
    assert_non_null(object);
    fpheap_free(f.heap, object);
    fpheap_flush(f.heap);
    assert_true(fpheap_trim(f.heap) > 0);
    link = fph_stack_top(s, &s->records.word);
    assert_non_null(link);
    chunk = ((fph_records *)(void *)link)->chunk;
    ((fph_records *)(void *)link)->chunk = SIZE_MAX;
    assert_null(fph_check_unused(f.heap));
    ((fph_records *)(void *)link)->chunk = 0;
    assert_null(fph_check_unused(f.heap));
    ((fph_records *)(void *)link)->chunk = chunk;
    tear_down(&f);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            sums_of_regions_are_looked_at_to_the_first_that_is_wrong),
        cmocka_unit_test(a_slab_that_is_not_of_its_bin_is_found),
        cmocka_unit_test(a_slab_with_wrong_bits_is_found),
        cmocka_unit_test(a_slab_that_is_listed_wrongly_is_found),
        cmocka_unit_test(a_page_that_is_mapped_wrongly_is_found),
        cmocka_unit_test(a_page_that_leads_elsewhere_is_found),
        cmocka_unit_test(a_page_that_is_in_two_places_is_found),
        cmocka_unit_test(a_free_page_that_is_not_only_free_is_found),
        cmocka_unit_test(a_chunk_that_is_in_no_place_is_found),
        cmocka_unit_test(a_chunk_that_no_sweep_looks_at_is_found),
        cmocka_unit_test(a_chunk_that_is_half_here_is_found),
        cmocka_unit_test(a_region_that_is_wrong_is_found),
        cmocka_unit_test(a_large_object_with_a_wrong_length_is_found),
        cmocka_unit_test(a_pool_that_counts_wrongly_is_found),
        cmocka_unit_test(bytes_that_do_not_add_up_are_found),
        cmocka_unit_test(
            what_is_claimed_and_is_neither_live_nor_parked_is_found),
        cmocka_unit_test(a_parked_object_that_is_none_is_found),
        cmocka_unit_test(all_that_is_parked_is_marked),
        cmocka_unit_test(a_free_object_on_top_of_a_magazine_is_found),
        cmocka_unit_test(a_depot_that_counts_wrongly_is_found),
        cmocka_unit_test(a_region_that_is_not_known_yet_is_in_nobodys_way)
    };

    return cmocka_run_group_tests_name("invariants", tests, NULL, NULL);
}
