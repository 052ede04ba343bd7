/* test_misuse.c - what the heap does when it is used wrongly: arguments out of
 * their range are refused with the documented error; what shows in a slow path
 * ends in FPHEAP_PANIC, here in a function that notes the message; an object
 * that is written past its end costs its neighbours, never the heap.
 */
#include "../panics.h"
#include "../system_memory.h"

#define FPHEAP_MAX_NODES 8
#define FPHEAP_IMPLEMENTATION
#include "fpheap.h"
#include "../test_util.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static test_provider provider;

/* --- create and destroy --------------------------------------------------- */

static void
expect_create_error(const char *name, const fpheap_config *config, int error)
{
    errno = 0;
    assert_null(fpheap_create(name, config));
    assert_int_equal(errno, error);
}

static void
a_configuration_that_cannot_work_is_einval(void **state)
{
    fpheap_config   config;
    fpheap_provider none;
    fpheap         *heap;
    unsigned        flag;

    (void)state;
    memset(&config, 0, sizeof(config));
    test_provider_init(&provider);
    config.provider = &provider.calls;
    config.nodes = FPHEAP_MAX_NODES + 1;
    expect_create_error("x", &config, EINVAL);
    config.nodes = UINT_MAX;
    expect_create_error("x", &config, EINVAL);
    config.nodes = 0;
    for (flag = 2; flag != 0; flag *= 2) {
        config.flags = flag;
        expect_create_error("x", &config, EINVAL);
        config.flags = flag | FPHEAP_SPILL;
        expect_create_error("x", &config, EINVAL);
    }
    config.flags = 0;
    config.growth_max = 1;
    expect_create_error("x", &config, EINVAL);
    config.growth_max = FPHEAP_CHUNK - 1;
    expect_create_error("x", &config, EINVAL);
    config.growth_max = 0;
    none = provider.calls;
    none.get = NULL;
    config.provider = &none;
    expect_create_error("x", &config, EINVAL);
    memset(&none, 0, sizeof(none));
    expect_create_error("x", &config, EINVAL);
    assert_int_equal(provider.gets, 0);

    config.provider = &provider.calls;
    config.nodes = FPHEAP_MAX_NODES;
    config.flags = FPHEAP_SPILL;
    config.growth_max = FPHEAP_CHUNK;
    heap = fpheap_create("x", &config);
    assert_non_null(heap);
    TEST_DESTROY_OVER(heap, &provider);
    config.growth_max = SIZE_MAX;
    heap = fpheap_create("x", &config);
    assert_non_null(heap);
    TEST_DESTROY_OVER(heap, &provider);
    EXPECT_PANICS(0);
}

static void
a_name_that_is_too_long_is_enametoolong(void **state)
{
    char    name[FPHEAP_NAME_BYTES * 4];
    fpheap *heap;
    size_t  length;

    (void)state;
    for (length = 0; length < sizeof(name) - 1; length++) {
        memset(name, 'n', sizeof(name));
        name[length] = '\0';
        if (length >= FPHEAP_NAME_BYTES) {
            expect_create_error(name, NULL, ENAMETOOLONG);
            continue;
        }
        heap = fpheap_create(name, NULL);
        assert_non_null(heap);
        memset(name, 'x', sizeof(name));     /* it was copied */
        TEST_DESTROY(heap);
    }
    heap = fpheap_create(NULL, NULL);
    assert_non_null(heap);
    TEST_DESTROY(heap);
    EXPECT_PANICS(0);
}

static void
one_heap_too_many_is_enfile(void **state)
{
    fpheap_config config;
    fpheap       *heaps[FPHEAP_MAX_HEAPS];
    void         *objects[FPHEAP_MAX_HEAPS];
    unsigned      round;
    unsigned      i;

    (void)state;
    memset(&config, 0, sizeof(config));
    test_provider_init(&provider);
    config.provider = &provider.calls;
    for (round = 0; round < 3; round++) {
        for (i = 0; i < FPHEAP_MAX_HEAPS; i++) {
            heaps[i] = fpheap_create("same name", &config);
            assert_non_null(heaps[i]);
            objects[i] = fpheap_alloc(heaps[i], 100);
            assert_non_null(objects[i]);
        }
        expect_create_error("x", &config, ENFILE);
        assert_int_equal(provider.held, FPHEAP_MAX_HEAPS);
        /* One object, one heap. */
        for (i = 0; i < FPHEAP_MAX_HEAPS; i++) {
            assert_int_equal(fpheap_owns(heaps[i], objects[i]), 1);
            assert_int_equal(fpheap_owns(heaps[(i + 1) % FPHEAP_MAX_HEAPS],
                                         objects[i]), FPHEAP_MAX_HEAPS == 1);
        }
        /* A place that is free in the middle can be used again. */
        fpheap_free(heaps[5 % FPHEAP_MAX_HEAPS], objects[5 % FPHEAP_MAX_HEAPS]);
        TEST_DESTROY(heaps[5 % FPHEAP_MAX_HEAPS]);
        heaps[5 % FPHEAP_MAX_HEAPS] = fpheap_create("again", &config);
        assert_non_null(heaps[5 % FPHEAP_MAX_HEAPS]);
        objects[5 % FPHEAP_MAX_HEAPS] = NULL;
        expect_create_error("x", &config, ENFILE);
        for (i = 0; i < FPHEAP_MAX_HEAPS; i++) {
            fpheap_free(heaps[i], objects[i]);
            TEST_DESTROY(heaps[i]);
        }
        assert_int_equal(provider.held, 0);
    }
    EXPECT_PANICS(0);
}

static void
destroy_is_ebusy_while_anything_is_live(void **state)
{
    size_t sizes[] = { 1, 2048, FPHEAP_PAGE, FPH_CLASS_MAX, FPH_CLASS_MAX + 1,
                       FPHEAP_CHUNK, 5 * FPHEAP_CHUNK };
    size_t i;
    int    aligned;

    (void)state;
    for (i = 0; i < TEST_COUNT(sizes); i++) {
        for (aligned = 0; aligned < 2; aligned++) {
            fpheap      *heap = test_heap_over(&provider);
            char        *object = (char *)fpheap_aligned_alloc(
                heap, aligned ? FPHEAP_CHUNK : 16, sizes[i]);
            void        *parked = fpheap_alloc(heap, 300);
            fpheap_stats before;
            fpheap_stats after;
            unsigned     attempt, puts;

            assert_non_null(object);
            fpheap_free(heap, parked);
            test_fill(object, sizes[i], i);
            fpheap_stats_get(heap, &before);
            puts = provider.puts;
            for (attempt = 0; attempt < 3; attempt++) {
                assert_int_equal(fpheap_destroy(heap), -EBUSY);
                TEST_CHECK_LIVE(heap, 1);
            }
            fpheap_stats_get(heap, &after);
            assert_memory_equal(&before, &after, sizeof(before));
            assert_int_equal(provider.puts, puts);
            assert_true(test_filled(object, sizes[i], i));
            /* It goes on. */
            parked = fpheap_alloc(heap, 300);
            assert_non_null(parked);
            fpheap_free(heap, parked);
            fpheap_free(heap, object);
            TEST_DESTROY_OVER(heap, &provider);
        }
    }
    EXPECT_PANICS(0);
}

static void
destroy_by_force_gives_everything_back(void **state)
{
    size_t   sizes[] = { 1, 2048, FPHEAP_PAGE, FPH_CLASS_MAX + 1,
                         5 * FPHEAP_CHUNK };
    unsigned round;
    unsigned i;

    (void)state;
    for (round = 0; round < 5 * FPHEAP_MAX_HEAPS; round++) {
        fpheap *heap = test_heap_over(&provider);

        for (i = 0; i < round; i++)
            assert_non_null(fpheap_alloc(heap, sizes[i % TEST_COUNT(sizes)]));
        TEST_CHECK_LIVE(heap, round);
        assert_int_equal(fpheap_destroy_forced(heap), 0);
        assert_int_equal(provider.held, 0);
        assert_int_equal(provider.wrong, 0);
    }
    EXPECT_PANICS(0);
}

/* The next heap has the table's place of the last one, and not its objects. */
static void
a_new_heap_never_meets_the_cache_of_an_old_one(void **state)
{
    unsigned round;
    unsigned i;

    (void)state;
    for (round = 0; round < 50; round++) {
        fpheap *heap = test_heap_over(&provider);
        void   *objects[300];

        TEST_CHECK_LIVE(heap, 0);
        for (i = 0; i < 300; i++) {
            objects[i] = fpheap_alloc(heap, 100 + round);
            assert_non_null(test_grant_of(&provider, objects[i]));
            memset(objects[i], 1, 100 + round);
        }
        TEST_CHECK_LIVE(heap, 300);
        fpheap_free_bulk(heap, objects, 300);
        if (round % 3 == 0)
            assert_int_equal(fpheap_destroy_forced(heap), 0);
        else
            TEST_DESTROY_OVER(heap, &provider);
        assert_int_equal(provider.held, 0);
    }
    EXPECT_PANICS(0);
}

/* --- arguments ------------------------------------------------------------ */

static void
null_is_no_object_anywhere(void **state)
{
    size_t  sizes[] = { 0, 1, 64, 2048, FPHEAP_PAGE, FPH_CLASS_MAX,
                        FPH_CLASS_MAX + 1, FPHEAP_CHUNK, SIZE_MAX };
    void   *holes[3] = { NULL, NULL, NULL };
    fpheap *heap = test_heap_over(&provider);
    size_t  i;

    (void)state;
    for (i = 0; i < TEST_COUNT(sizes); i++) {
        fpheap_free(heap, NULL);
        fpheap_free_sized(heap, NULL, sizes[i]);
        fpheap_free_bulk(heap, holes, 3);
        fpheap_free_bulk_sized(heap, holes, 3, sizes[i]);
        fpheap_cache_free(fpheap_self(heap), NULL);
        fpheap_cache_free_sized(fpheap_self(heap), NULL, sizes[i]);
        fpheap_cache_free_bulk_sized(fpheap_self(heap), holes, 3, sizes[i]);
        TEST_CHECK_LIVE(heap, 0);
        /* Once there is a place in a magazine as well. */
        if (sizes[i] < FPHEAP_CHUNK)
            fpheap_free(heap, fpheap_alloc(heap, sizes[i]));
        fpheap_free_sized(heap, NULL, sizes[i]);
        fpheap_free_bulk_sized(heap, holes, 3, sizes[i]);
        TEST_CHECK_LIVE(heap, 0);
    }
    assert_int_equal(fpheap_usable_size(heap, NULL), 0);
    assert_null(fpheap_base_of(heap, NULL));
    assert_int_equal(fpheap_owns(heap, NULL), 0);
    TEST_DESTROY_OVER(heap, &provider);
    EXPECT_PANICS(0);
}

static void
a_node_that_is_none_is_einval(void **state)
{
    int     bad[] = { -2, -100, INT_MIN, 1, 2, FPHEAP_MAX_NODES, 1000,
                      INT_MAX };
    fpheap *heap = test_heap_over(&provider);
    void   *object;
    size_t  i;

    (void)state;
    for (i = 0; i < TEST_COUNT(bad); i++) {
        errno = 0;
        assert_null(fpheap_alloc_on(heap, 100, bad[i]));
        assert_int_equal(errno, EINVAL);
        errno = 0;
        assert_null(fpheap_alloc_on(heap, SIZE_MAX, bad[i]));
        assert_int_equal(errno, EINVAL);
        assert_int_equal(fpheap_reserve(heap, 100, bad[i]), -EINVAL);
    }
    object = fpheap_alloc_on(heap, 100, 0);
    assert_non_null(object);
    fpheap_free(heap, object);
    TEST_DESTROY_OVER(heap, &provider);
    EXPECT_PANICS(0);
}

/* --- frees of what is not live -------------------------------------------- */

/* Each of these leaves the heap with an object too few or too many, so it runs
 * in a process of its own.  The exit status is 0 if all went as expected. */
static void
in_a_child(int (*run)(size_t argument), size_t argument)
{
    int   status = -1;
    pid_t child;

    (void)fflush(NULL);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        /* cmocka's handler would run the other tests here. */
        (void)signal(SIGSEGV, SIG_DFL);
        (void)signal(SIGBUS, SIG_DFL);
        (void)signal(SIGABRT, SIG_DFL);
        _exit(run(argument));
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        fail_msg("the child of argument %zu ended with status %#x", argument,
                 (unsigned)status);
}

/* 0 if at least one panic came, and its message says what was done. */
static int
panic_says(const char *word)
{
    if (panics == 0)
        return 1;
    if (strstr(last_panic, word) == NULL) {
        print_error("the panic says \"%s\", not \"%s\"\n", last_panic, word);
        return 2;
    }
    return 0;
}

static int
double_free_then_flush(size_t size)
{
    fpheap *heap = fpheap_create("child", NULL);
    void   *object = fpheap_alloc(heap, size);

    fpheap_free(heap, object);
    fpheap_free(heap, object);
    fpheap_flush(heap);
    (void)fpheap_trim(heap);
    return panic_says("free");
}

static int
double_free_then_leave(size_t size)
{
    fpheap *heap = fpheap_create("child", NULL);
    void   *objects[40];
    size_t  i;

    for (i = 0; i < 40; i++)
        objects[i] = fpheap_alloc(heap, size);
    for (i = 0; i < 40; i++)
        fpheap_free(heap, objects[i]);
    fpheap_free_sized(heap, objects[20], size);
    fpheap_thread_leave(heap);
    (void)fpheap_trim(heap);
    return panic_says("free");
}

/* The first free has reached the slab when the second comes. */
static int
double_free_of_a_flushed_object(size_t size)
{
    fpheap *heap = fpheap_create("child", NULL);
    void   *kept = fpheap_alloc(heap, size);
    void   *object = fpheap_alloc(heap, size);

    fpheap_free(heap, object);
    fpheap_flush(heap);
    fpheap_free(heap, object);
    fpheap_flush(heap);
    (void)fpheap_trim(heap);
    return kept == NULL ? 9 : panic_says("free");
}

static void
a_double_free_is_reported_when_it_reaches_the_slab(void **state)
{
    size_t sizes[] = { 16, 64, 100, 1000, 2048, 9000, FPHEAP_PAGE,
                       FPH_CLASS_MAX / 2, FPH_CLASS_MAX };
    size_t i;

    (void)state;
    for (i = 0; i < TEST_COUNT(sizes); i++) {
        in_a_child(double_free_then_flush, sizes[i]);
        in_a_child(double_free_of_a_flushed_object, sizes[i]);
        if (sizes[i] <= FPHEAP_PAGE)
            in_a_child(double_free_then_leave, sizes[i]);
    }
}

/* The last call said what is wrong and did nothing: the heap is as before it,
 * and what was allocated then can be freed. */
static int
has_done_no_more(fpheap *heap, void *kept)
{
    if (panics != 1 || fpheap_check(heap) != NULL)
        return 0;
    fpheap_free(heap, kept);
    return panics == 1 && fpheap_destroy(heap) == 0;
}

static int
double_free_at_once(size_t size)
{
    fpheap *heap = fpheap_create("child", NULL);
    void   *kept = fpheap_alloc(heap, size);
    void   *object = fpheap_alloc(heap, size);

    fpheap_free(heap, object);
    fpheap_free(heap, object);
    return has_done_no_more(heap, kept) ? panic_says("free") : 3;
}

static void
a_double_free_of_what_has_no_class_is_reported_at_once(void **state)
{
    size_t sizes[] = { FPH_CLASS_MAX + 1, FPHEAP_CHUNK * 3 / 4,
                       FPHEAP_CHUNK - 1, FPHEAP_CHUNK, 3 * FPHEAP_CHUNK };
    size_t i;

    (void)state;
    for (i = 0; i < TEST_COUNT(sizes); i++)
        in_a_child(double_free_at_once, sizes[i]);
}

static int
double_free_of_chunk_aligned(size_t size)
{
    fpheap *heap = fpheap_create("child", NULL);
    void   *kept = fpheap_aligned_alloc(heap, FPHEAP_CHUNK, size);
    void   *object = fpheap_aligned_alloc(heap, FPHEAP_CHUNK, size);

    fpheap_free(heap, object);
    fpheap_free(heap, object);
    return has_done_no_more(heap, kept) ? 0 : 3;
}

static void
a_double_free_of_a_chunk_aligned_object_is_reported_at_once(void **state)
{
    size_t sizes[] = { 1, FPHEAP_PAGE, FPHEAP_CHUNK, 2 * FPHEAP_CHUNK };
    size_t i;

    (void)state;
    for (i = 0; i < TEST_COUNT(sizes); i++)
        in_a_child(double_free_of_chunk_aligned, sizes[i]);
}

/* Another heap's object, and a large object's second and third chunk. */
static int
free_of_a_wrong_chunk(size_t which)
{
    fpheap *heap = fpheap_create("child", NULL);
    fpheap *other = fpheap_create("other", NULL);
    char   *mine = (char *)fpheap_alloc(heap, 3 * FPHEAP_CHUNK);
    char   *others = (char *)fpheap_aligned_alloc(other, FPHEAP_CHUNK, 100);
    char   *chunk = (char *)((uintptr_t)mine & ~(uintptr_t)(FPHEAP_CHUNK - 1));
    void   *foreign[] = { others, chunk + FPHEAP_CHUNK,
                          chunk + 2 * FPHEAP_CHUNK };

    if (which >= TEST_COUNT(foreign))
        return 7;
    memset(mine, 0, 3 * FPHEAP_CHUNK);
    fpheap_free(heap, foreign[which]);
    if (panics != 1)
        return 3;
    fpheap_free_bulk(heap, &foreign[which], 1);
    if (panics != 2)
        return 4;
    if (fpheap_check(heap) != NULL || fpheap_check(other) != NULL)
        return 5;
    fpheap_free(heap, mine);
    fpheap_free(other, others);
    if (panics != 2 || fpheap_destroy(heap) != 0 || fpheap_destroy(other) != 0)
        return 6;
    return 0;
}

static void
a_wrong_pointer_at_the_start_of_a_chunk_is_reported(void **state)
{
    size_t which;

    (void)state;
    for (which = 0; which < 3; which++)
        in_a_child(free_of_a_wrong_chunk, which);
}

/* Its memory is still there: the provider does not take it back. */
static void
an_object_of_a_destroyed_heap_is_reported(void **state)
{
    fpheap *heap = test_heap_over(&provider);
    void   *object = fpheap_alloc(heap, 100);

    (void)state;
    provider.put_error = -EIO;
    assert_int_equal(fpheap_destroy_forced(heap), 0);
    fpheap_free(heap, object);
    EXPECT_PANIC("a heap that was destroyed");
    test_provider_drop(&provider);
}

/* Pages in no slab have no bin, so that their pointers take the slow path. */
static int
free_inside_a_large_object(size_t offset)
{
    fpheap *heap = fpheap_create("child", NULL);
    char   *object = (char *)fpheap_alloc(heap, FPH_CLASS_MAX + 1);

    fpheap_free(heap, object + offset);
    return has_done_no_more(heap, object) ? 0 : 3;
}

static void
a_pointer_into_a_large_object_is_reported(void **state)
{
    size_t offsets[] = { 1, 8, 16, 4096, FPHEAP_PAGE - 1, FPHEAP_PAGE,
                         FPHEAP_PAGE + 16, 5 * FPHEAP_PAGE, FPH_CLASS_MAX };
    size_t i;

    (void)state;
    for (i = 0; i < TEST_COUNT(offsets); i++)
        in_a_child(free_inside_a_large_object, offsets[i]);
}

/* A pointer into a large object, 0 to the start of one that is free: neither is
 * resized, and the free that follows the move to other memory says so. */
static int
realloc_of_no_large_object(size_t offset)
{
    fpheap *heap = fpheap_create("child", NULL);
    size_t  size = FPH_CLASS_MAX + 2 * FPHEAP_PAGE;
    char   *object = (char *)fpheap_alloc(heap, size);
    void   *moved;

    if (offset == 0)
        fpheap_free(heap, object);
    moved = fpheap_realloc(heap, object + offset, size + FPHEAP_PAGE);
    if (moved == object + offset)
        return 3;
    if (panics != 1 || fpheap_check(heap) != NULL)
        return 4;
    fpheap_free(heap, moved);
    if (offset != 0)
        fpheap_free(heap, object);
    if (panics != 1 || fpheap_destroy(heap) != 0)
        return 5;
    return 0;
}

/* Nothing of what is behind the object is read, and nothing is freed. */
static int
realloc_from_inside(size_t size)
{
    fpheap *heap = fpheap_create("child", NULL);
    char   *object = (char *)fpheap_alloc(heap, size);
    size_t  inside;
    void   *moved;

    for (inside = 16; inside < size; inside += size / 4) {
        errno = 0;
        moved = fpheap_realloc(heap, object + inside, 2 * size);
        if (moved != NULL || errno != EINVAL || panics != 1)
            return 3;
        panics = 0;
    }
    fpheap_free(heap, object);
    if (panics != 0 || fpheap_check(heap) != NULL)
        return 4;
    return fpheap_destroy(heap) == 0 ? 0 : 5;
}

static void
a_realloc_that_would_move_from_inside_an_object_is_reported_at_once(
    void **state)
{
    size_t size;

    (void)state;
    for (size = 64; size <= 4 * FPH_CLASS_MAX; size *= 2)
        in_a_child(realloc_from_inside, size);
}

static void
a_realloc_of_what_is_no_large_object_is_reported(void **state)
{
    (void)state;
    in_a_child(realloc_of_no_large_object, 0);
    in_a_child(realloc_of_no_large_object, FPHEAP_PAGE);
    in_a_child(realloc_of_no_large_object, FPHEAP_PAGE + 64);
}

static int
free_inside_a_small_object(size_t offset)
{
    fpheap *heap = fpheap_create("child", NULL);
    char   *objects[10];
    size_t  i;

    for (i = 0; i < 10; i++)
        objects[i] = (char *)fpheap_alloc(heap, 1000);
    fpheap_free(heap, objects[5] + offset);
    for (i = 0; i < 10; i++)
        memset(objects[i], 1, 1000);   /* they are live */
    fpheap_flush(heap);
    (void)fpheap_trim(heap);
    return panic_says("object");
}

static void
a_pointer_into_a_small_object_is_reported_at_the_slab(void **state)
{
    size_t offsets[] = { 1, 8, 16, 64, 500, 512, 1008 };
    size_t i;

    (void)state;
    for (i = 0; i < TEST_COUNT(offsets); i++)
        in_a_child(free_inside_a_small_object, offsets[i]);
}

/* --- writing past the end ------------------------------------------------- */

/* Write as far below and above an object, within its region, as nothing of the
 * heap's begins. */
static void
write_around(fpheap *heap, char *object)
{
    char  *end = object + fpheap_usable_size(heap, object);
    size_t k;

    for (k = 0; k < FPH_GUARD; k++) {
        if (test_grant_of(&provider, end + k) != NULL)
            end[k] = (char)0x77;
        if (k < FPH_GUARD_END
            && test_grant_of(&provider, object - 1 - k) != NULL)
            object[-1 - (ptrdiff_t)k] = (char)0x77;
    }
}

/* Whether an address is in a page of the heap's records. */
static unsigned
is_in_records(const fpheap *heap, const char *at)
{
    const fph_chunk *chunk = fph_chunk_of(heap->state, at);

    return chunk != NULL
        && (chunk->meta >> fph_page_of(heap->state, at) % FPH_PAGES & 1);
}

/* Whatever is there is an object or nothing, never a record of the heap, though
 * these lie beside objects: the system has no other memory for them. */
static void
writing_past_an_object_never_reaches_the_heap(void **state)
{
    size_t   sizes[] = { 1, 16, 48, 64, 100, 256, 1000, 2048, 5000, 9000, 30000,
                         FPHEAP_PAGE, 200000, FPH_CLASS_MAX,
                         FPHEAP_CHUNK - FPHEAP_PAGE, FPHEAP_CHUNK };
    unsigned before = 0, behind = 0;
    size_t   s, i;

    (void)state;
    for (s = 0; s < TEST_COUNT(sizes); s++) {
        fpheap *heap = test_heap_over(&provider);
        char   *objects[1500];
        size_t  n = 64 * TEST_MIB / sizes[s];

        n = n < TEST_COUNT(objects) ? n : TEST_COUNT(objects);
        system_is_out = 1;
        for (i = 0; i < n; i++) {
            objects[i] = (char *)fpheap_alloc(heap, sizes[s]);
            assert_non_null(objects[i]);
        }
        for (i = 0; i < n; i++) {
            before += is_in_records(heap, objects[i] - 1);
            behind += is_in_records(heap, objects[i]
                                    + fpheap_usable_size(heap, objects[i]));
            write_around(heap, objects[i]);
        }
        TEST_CHECK_LIVE(heap, n);
        for (i = 0; i < n; i++)
            fpheap_free(heap, objects[i]);
        system_is_out = 0;
        TEST_DESTROY_OVER(heap, &provider);
    }
    assert_true(before != 0 && behind != 0);
    EXPECT_PANICS(0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_object_of_a_destroyed_heap_is_reported),
        cmocka_unit_test(a_configuration_that_cannot_work_is_einval),
        cmocka_unit_test(a_name_that_is_too_long_is_enametoolong),
        cmocka_unit_test(one_heap_too_many_is_enfile),
        cmocka_unit_test(destroy_is_ebusy_while_anything_is_live),
        cmocka_unit_test(destroy_by_force_gives_everything_back),
        cmocka_unit_test(a_new_heap_never_meets_the_cache_of_an_old_one),
        cmocka_unit_test(null_is_no_object_anywhere),
        cmocka_unit_test(a_node_that_is_none_is_einval),
        cmocka_unit_test(a_double_free_is_reported_when_it_reaches_the_slab),
        cmocka_unit_test(
            a_double_free_of_what_has_no_class_is_reported_at_once),
        cmocka_unit_test(
            a_double_free_of_a_chunk_aligned_object_is_reported_at_once),
        cmocka_unit_test(a_wrong_pointer_at_the_start_of_a_chunk_is_reported),
        cmocka_unit_test(a_pointer_into_a_large_object_is_reported),
        cmocka_unit_test(a_realloc_of_what_is_no_large_object_is_reported),
        cmocka_unit_test(
            a_realloc_that_would_move_from_inside_an_object_is_reported_at_once),
        cmocka_unit_test(a_pointer_into_a_small_object_is_reported_at_the_slab),
        cmocka_unit_test(writing_past_an_object_never_reaches_the_heap)
    };

    return cmocka_run_group_tests_name("misuse", tests, NULL, NULL);
}
