/* test_contents.c - the heap never writes to an object: a live one keeps what
 * its owner wrote, a free one keeps it until its memory is allocated again.
 *
 * All memory comes from one arena.  For each 16 bytes of it a shadow holds the
 * number of the owner that wrote them last, 0 if nobody knows, and what an
 * owner writes follows from the address and that number.  So whatever is
 * allocated, each granule in it can be compared with what its last owner left,
 * whether that was an object of its size, a larger one, or many small ones.
 */
#define FPHEAP_TOOL 0          /* free objects are looked at */
#define FPHEAP_IMPLEMENTATION
#include "fpheap.h"
#include "test_util.h"

#define GRANULE     16
#define UNITS       (80 * TEST_MIB / FPHEAP_CHUNK + 4)
#define ARENA_BYTES (UNITS * FPHEAP_CHUNK)
#define OBJECTS     2048

static char         *arena;
static uint32_t     *shadow;
static unsigned char unit_used[UNITS];
static fpheap       *heap;
static uint32_t      number;
static size_t        metadata_bytes;
static test_object   objects[OBJECTS];

static size_t
granule_of(const void *pointer)
{
    return (size_t)((const char *)pointer - arena) / GRANULE;
}

/* --- the arena as a provider ---------------------------------------------- */

static int
arena_get(void *ctx, size_t bytes, size_t align, int node,
          fpheap_region *region)
{
    size_t units = (bytes + FPHEAP_CHUNK - 1) / FPHEAP_CHUNK;
    size_t first;
    size_t n = 0;

    (void)ctx;
    (void)align;
    (void)node;
    for (first = 0; first + units <= UNITS; first += n + 1) {
        for (n = 0; n < units && !unit_used[first + n]; n++)
            continue;
        if (n == units)
            break;
    }
    if (first + units > UNITS)
        return -ENOMEM;
    memset(&unit_used[first], 1, units);
    region->base = arena + first * FPHEAP_CHUNK;
    region->bytes = units * FPHEAP_CHUNK;
    region->cookie = NULL;
    region->backing = FPHEAP_BACKING_PAGES;
    memset(&shadow[granule_of(region->base)], 0,
           region->bytes / GRANULE * sizeof(shadow[0]));
    return 0;
}

static int
arena_put(void *ctx, const fpheap_region *region)
{
    (void)ctx;
    memset(&unit_used[(size_t)((char *)region->base - arena) / FPHEAP_CHUNK], 0,
           region->bytes / FPHEAP_CHUNK);
    return 0;
}

static const fpheap_provider arena_provider = { .get = arena_get,
                                                .put = arena_put };

static int
arena_make(void **state)
{
    char *map = test_map(ARENA_BYTES + FPHEAP_CHUNK);

    (void)state;
    if (map == NULL)
        return -1;
    arena = (char *)(((uintptr_t)map + FPHEAP_CHUNK - 1)
                     & ~(uintptr_t)(FPHEAP_CHUNK - 1));
    shadow = (uint32_t *)(void *)test_map(ARENA_BYTES / GRANULE
                                          * sizeof(shadow[0]));
    return shadow == NULL ? -1 : 0;
}

static void
heap_make(void)
{
    fpheap_config config;
    fpheap_stats  stats;

    memset(&config, 0, sizeof(config));
    memset(objects, 0, sizeof(objects));
    memset(unit_used, 0, sizeof(unit_used));
    config.provider = &arena_provider;
    config.growth_max = 2 * FPHEAP_CHUNK;
    heap = fpheap_create("contents", &config);
    assert_non_null(heap);
    fpheap_stats_get(heap, &stats);
    metadata_bytes = stats.metadata_bytes;
}

/* --- the shadow ----------------------------------------------------------- */

static int
granule_is_kept(size_t g)
{
    return shadow[g] == 0
        || test_filled(arena + g * GRANULE, GRANULE, shadow[g]);
}

/* Forget what is in no live object. */
static void
forget_free(void)
{
    static test_object sorted[OBJECTS];
    size_t g = 0;
    size_t i;

    memcpy(sorted, objects, sizeof(sorted));
    for (i = 0; i < OBJECTS; i++)
        if (sorted[i].base == NULL)
            sorted[i].base = arena;
    qsort(sorted, OBJECTS, sizeof(sorted[0]), test_by_base);
    for (i = 0; i < OBJECTS; i++) {
        size_t first = granule_of(sorted[i].base);

        if (first > g)
            memset(&shadow[g], 0, (first - g) * sizeof(shadow[0]));
        if (first + sorted[i].bytes / GRANULE > g)
            g = first + sorted[i].bytes / GRANULE;
    }
    memset(&shadow[g], 0, (ARENA_BYTES / GRANULE - g) * sizeof(shadow[0]));
}

/* A chunk that is free as a whole may become one of the heap's own records, and
 * only then may what is free change. */
static int
heap_took_a_chunk(void)
{
    fpheap_stats stats;

    fpheap_stats_get(heap, &stats);
    if (stats.metadata_bytes <= metadata_bytes)
        return 0;
    metadata_bytes = stats.metadata_bytes;
    forget_free();
    return 1;
}

static void
check_free(const char *base, size_t bytes)
{
    size_t g = granule_of(base);
    size_t end = g + bytes / GRANULE;

    for (; g < end; g++)
        if (!granule_is_kept(g) && !heap_took_a_chunk())
            fail_msg("free memory at %p was changed",
                     (void *)(arena + g * GRANULE));
}

static void
check_live(const char *base, size_t bytes, uint64_t owner)
{
    size_t g = granule_of(base);
    size_t end = g + bytes / GRANULE;

    for (; g < end; g++)
        if (shadow[g] != owner || !granule_is_kept(g))
            fail_msg("a live object was changed at %p",
                     (void *)(arena + g * GRANULE));
}

static void
own(test_object *o, void *base)
{
    size_t g;
    size_t end;

    o->base = (char *)base;
    o->bytes = fpheap_usable_size(heap, base);
    o->number = ++number;
    end = granule_of(base) + o->bytes / GRANULE;
    for (g = granule_of(base); g < end; g++) {
        shadow[g] = number;
        test_fill(arena + g * GRANULE, GRANULE, number);
    }
}

/* A header may be written over the start of a chunk once nothing is in it. */
static void
disown(test_object *o)
{
    uintptr_t first = ((uintptr_t)o->base + FPHEAP_CHUNK - 1)
                    & ~(uintptr_t)(FPHEAP_CHUNK - 1);
    uintptr_t end = (uintptr_t)o->base + o->bytes;
    uintptr_t chunk;

    check_live(o->base, o->bytes, o->number);
    for (chunk = first; chunk < end; chunk += FPHEAP_CHUNK)
        memset(&shadow[granule_of((void *)chunk)], 0,
               (end - chunk < FPHEAP_PAGE ? end - chunk : FPHEAP_PAGE)
               / GRANULE * sizeof(shadow[0]));
    o->base = NULL;
    o->bytes = 0;
}

/* Check what came and make it o's. */
static void
receive(test_object *o, void *base, size_t size)
{
    o->size = size;
    if (base == NULL)
        return;
    check_free((char *)base, fpheap_usable_size(heap, base));
    own(o, base);
}

/* --- the operations ------------------------------------------------------- */

static size_t
random_size(test_random *random)
{
    if (test_below(random, 200) == 0)
        return test_size(random, 22);
    return test_size(random, test_below(random, 8) == 0 ? 17 : 12);
}

static void
allocate(test_random *random, test_object *o)
{
    size_t size = random_size(random);
    void  *base;

    switch (test_below(random, 5)) {
    case 0:
        base = fpheap_cache_alloc(fpheap_self(heap), size);
        break;
    case 1:
        base = fpheap_aligned_alloc(
            heap, (size_t)1 << test_below(random, FPHEAP_CHUNK_SHIFT + 1),
            size);
        break;
    case 2:
        base = fpheap_realloc(heap, NULL, size);
        break;
    case 3:
        base = fpheap_alloc_on(heap, size, 0);
        break;
    default:
        base = fpheap_alloc(heap, size);
        break;
    }
    receive(o, base, size);
}

/* What realloc copies is not its new owner's: check it, then write. */
static void
reallocate(test_random *random, test_object *o)
{
    test_object old = *o;
    size_t      size = random_size(random);
    size_t      align;
    char       *moved;
    size_t      kept;

    check_live(o->base, o->bytes, o->number);
    align = (size_t)1 << test_below(random, FPHEAP_CHUNK_SHIFT + 1);
    if (test_below(random, 4) != 0)
        align = 1;
    moved = (char *)(align == 1
                     ? fpheap_realloc(heap, o->base, size)
                     : fpheap_aligned_realloc(heap, o->base, align, size));
    assert_int_equal((uintptr_t)moved & (align - 1), 0);
    if (moved == NULL) {
        check_live(o->base, o->bytes, o->number);
        return;
    }
    kept = size < old.bytes ? size : old.bytes;
    assert_true(test_filled_at(moved, (uintptr_t)old.base,
                               kept / GRANULE * GRANULE, old.number));
    if (moved != old.base)
        disown(o);
    own(o, moved);
    o->size = size;
}

static void
release(test_random *random, test_object *o)
{
    void  *base = o->base;

    disown(o);
    switch (test_below(random, 3)) {
    case 0:
        fpheap_cache_free(fpheap_self(heap), base);
        break;
    case 1:
        fpheap_free_bulk(heap, &base, 1);
        break;
    default:
        fpheap_free(heap, base);
        break;
    }
}

/* One size for up to 300 objects, in the free places from `at` on. */
static void
allocate_bulk(test_random *random, size_t at)
{
    void    *bulk[300];
    unsigned n = (unsigned)test_below(random, 300) + 1;
    size_t   size = test_size(random, 10);
    unsigned given = n;
    unsigned i;

    if (test_below(random, 2) == 0)
        given = fpheap_alloc_burst(heap, size, bulk, n);
    else if (fpheap_alloc_bulk(heap, size, bulk, n) != 0)
        given = 0;
    for (i = 0; i < given; i++) {
        test_object *o;

        for (o = &objects[at % OBJECTS]; o->base != NULL;
             o = &objects[++at % OBJECTS])
            continue;
        receive(o, bulk[i], size);
    }
}

static void
release_bulk(test_random *random, size_t at)
{
    void    *bulk[300];
    unsigned n = (unsigned)test_below(random, 300) + 1;
    unsigned i;

    for (i = 0; i < n; i++) {
        test_object *o = &objects[(at + i) % OBJECTS];

        bulk[i] = o->base;
        if (o->base != NULL)
            disown(o);
    }
    fpheap_free_bulk(heap, bulk, n);
}

static size_t
count_live(void)
{
    size_t live = 0;
    size_t i;

    for (i = 0; i < OBJECTS; i++)
        live += objects[i].base != NULL;
    return live;
}

static void
check_arena(void)
{
    size_t i;

    for (i = 0; i < OBJECTS; i++)
        if (objects[i].base != NULL)
            check_live(objects[i].base, objects[i].bytes, objects[i].number);
    check_free(arena, ARENA_BYTES);
}

static void
step(test_random *random)
{
    size_t       at = test_below(random, OBJECTS);
    test_object *o = &objects[at];
    size_t       kind = test_below(random, 1000);

    if (kind == 0)
        fpheap_flush(heap);
    else if (kind == 1)
        (void)fpheap_trim(heap);
    else if (kind == 2)
        fpheap_thread_leave(heap);
    else if (kind == 3)
        (void)fpheap_reserve(heap, test_size(random, 22), 0);
    else if (kind < 30 && count_live() < OBJECTS - 300)
        allocate_bulk(random, at);
    else if (kind < 70)
        release_bulk(random, at);
    else if (o->base == NULL)
        allocate(random, o);
    else if (kind < 200)
        reallocate(random, o);
    else
        release(random, o);
}

static void
no_operation_changes_an_object(void **state)
{
    test_random random = test_random_of(3);
    unsigned    round;
    unsigned    i;

    (void)state;
    for (round = 0; round < 3 * test_soak(); round++) {
        heap_make();
        for (i = 0; i < 40000; i++) {
            step(&random);
            if (i % 2000 == 0) {
                check_arena();
                TEST_CHECK_LIVE(heap, count_live());
            }
        }
        check_arena();
        for (i = 0; i < OBJECTS; i++)
            if (objects[i].base != NULL)
                release(&random, &objects[i]);
        check_arena();
        fpheap_flush(heap);
        (void)fpheap_trim(heap);
        check_arena();
        TEST_DESTROY(heap);
        assert_true(test_all_bytes(unit_used, UNITS, 0));
    }
}

/* What a pool's constructor wrote is there when the object is got again. */
static void
an_object_comes_back_with_what_its_last_owner_left(void **state)
{
    size_t       sizes[] = { 16, 64, 208, 2048, 9000, 65536 };
    size_t       s;

    (void)state;
    for (s = 0; s < TEST_COUNT(sizes); s++) {
        size_t   n = 4 * TEST_MIB / sizes[s] < OBJECTS
                   ? 4 * TEST_MIB / sizes[s] : OBJECTS;
        unsigned round;
        size_t   again = 0;
        size_t   i;

        heap_make();
        for (round = 0; round < 3; round++) {
            for (i = 0; i < n; i++) {
                void    *base = fpheap_alloc(heap, sizes[s]);
                uint32_t left;

                assert_non_null(base);
                left = shadow[granule_of(base)];
                again += left != 0;
                receive(&objects[i], base, sizes[s]);
            }
            for (i = 0; i < n; i++) {
                void *base = objects[i].base;

                disown(&objects[i]);
                fpheap_free(heap, base);
            }
            if (round == 1)
                fpheap_flush(heap);
        }
        assert_true(again >= n);
        TEST_DESTROY(heap);
    }
}

static void
what_is_written_into_free_objects_never_reaches_the_heap(void **state)
{
    size_t sizes[] = { 16, 64, 2048, 9000, 70000, 600000 };
    size_t s, i;

    (void)state;
    for (s = 0; s < TEST_COUNT(sizes); s++) {
        size_t   n = 16 * TEST_MIB / sizes[s] < OBJECTS
                   ? 16 * TEST_MIB / sizes[s] : OBJECTS;
        unsigned round;

        heap_make();
        for (round = 0; round < 3; round++) {
            for (i = 0; i < n; i++) {
                objects[i].base = (char *)fpheap_alloc(heap, sizes[s]);
                assert_non_null(objects[i].base);
            }
            for (i = 0; i < n; i++)
                fpheap_free(heap, objects[i].base);
            for (i = 0; i < n; i++)
                memset(objects[i].base, 0x77, sizes[s]);
            TEST_CHECK_LIVE(heap, 0);
            fpheap_flush(heap);
            TEST_CHECK_LIVE(heap, 0);
        }
        TEST_DESTROY(heap);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_operation_changes_an_object),
        cmocka_unit_test(an_object_comes_back_with_what_its_last_owner_left),
        cmocka_unit_test(
            what_is_written_into_free_objects_never_reaches_the_heap)
    };

    return cmocka_run_group_tests_name("contents", tests, arena_make, NULL);
}
