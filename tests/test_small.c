/* test_small.c - the heap as an embedded program has it: one thread, chunks of
 * 64 KiB, one static buffer of 256 KiB and nothing else.  What the buffer gives
 * it gives again and again, whatever was allocated in between.
 *
 * test_small_no_os.c is the same without system calls.
 */
#define FPHEAP_NO_THREADS  1
#define FPHEAP_CHUNK_SHIFT 16
#define FPHEAP_IMPLEMENTATION
#include "fpheap.h"
#include "test_util.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#define MOST 20000

static unsigned char   memory[256 * 1024] __attribute__((aligned(65536)));
static fpheap_buffer   buffer;
static fpheap_provider calls;
static void           *objects[MOST];
static test_object     sorted[MOST];

/* What a provider gives may hold anything. */
static fpheap *
small_heap(void *base, size_t bytes)
{
    fpheap_config config;
    fpheap       *heap;

    memset(base, 0xa5, bytes);
    memset(&config, 0, sizeof(config));
    fpheap_provider_buffer(&calls, &buffer, base, bytes);
    config.provider = &calls;
    heap = fpheap_create("small", &config);
    assert_non_null(heap);
    return heap;
}

static int
in_memory(const void *object, size_t bytes)
{
    return (uintptr_t)object >= (uintptr_t)memory
        && (uintptr_t)object + bytes <= (uintptr_t)memory + sizeof(memory);
}

/* Allocate until that fails.  Returns how many. */
static unsigned
fill_up(fpheap *heap, size_t size, unsigned from)
{
    unsigned n = from;

    while (n < MOST) {
        errno = 0;
        objects[n] = fpheap_alloc(heap, size);
        if (objects[n] == NULL)
            break;
        assert_true(in_memory(objects[n],
                              fpheap_usable_size(heap, objects[n])));
        test_fill(objects[n], size, n);
        n++;
    }
    assert_true(n < MOST);
    assert_int_equal(errno, ENOMEM);
    TEST_CHECK_LIVE(heap, n);
    return n - from;
}

static void
free_all(fpheap *heap, unsigned n, size_t size, int backwards)
{
    unsigned i;

    for (i = 0; i < n; i++) {
        unsigned at = backwards ? n - 1 - i : i;

        assert_true(test_filled(objects[at], size / 8 * 8, at));
        fpheap_free(heap, objects[at]);
    }
    TEST_CHECK_LIVE(heap, 0);
}

static void
the_same_count_comes_again_for_every_size(void **state)
{
    size_t sizes[] = { 1, 16, 64, 100, 256, 512, 1000, 1500, 2048, 3000, 4096,
                       5000, 9000, 16384, 16385, 30000, 60000 };
    size_t s;

    (void)state;
    for (s = 0; s < TEST_COUNT(sizes); s++) {
        fpheap  *heap = small_heap(memory, sizeof(memory));
        unsigned first = fill_up(heap, sizes[s], 0);
        unsigned again, round;
        unsigned i;

        for (i = 0; i < first; i++) {
            sorted[i].base = (char *)objects[i];
            sorted[i].bytes = fpheap_usable_size(heap, objects[i]);
        }
        assert_true(test_disjoint(sorted, first));
        assert_true(first * sizes[s] * 2 >= sizeof(memory)
                    || sizes[s] < 16 || sizes[s] > 9000);
        free_all(heap, first, sizes[s], 0);
        /* The first frees have made a cache and magazines. */
        again = fill_up(heap, sizes[s], 0);
        assert_true(again * sizes[s] + 2 * sizes[s] + sizeof(memory) / 32
                    >= first * sizes[s]);
        free_all(heap, again, sizes[s], 0);
        for (round = 0; round < 5; round++) {
            unsigned n = fill_up(heap, sizes[s], 0);

            /* A run may begin elsewhere, beside what is parked, and then fits
             * a chunk worse. */
            if (sizes[s] <= 16384)
                assert_int_equal(n, again);
            else
                assert_in_range(n, first - 1, first);
            free_all(heap, n, sizes[s], round % 2);
        }
        for (round = 0; round < 5; round++) {
            (void)fpheap_trim(heap);
            assert_int_equal(fill_up(heap, sizes[s], 0), first);
            free_all(heap, first, sizes[s], round % 2);
        }
        TEST_DESTROY(heap);
        assert_int_equal(buffer.taken, 0);
    }
}

static void
nothing_is_lost_from_size_to_size(void **state)
{
    size_t   sizes[] = { 64, 2048, 16, 9000, 300, 5000, 1000, 16384, 32,
                         30000, 128 };
    unsigned count[TEST_COUNT(sizes)];
    fpheap  *heap = small_heap(memory, sizeof(memory));
    unsigned round;
    size_t   s;

    (void)state;
    for (round = 0; round < 8; round++) {
        for (s = 0; s < TEST_COUNT(sizes); s++) {
            unsigned n;

            (void)fpheap_trim(heap);
            n = fill_up(heap, sizes[s], 0);
            if (round == 1)
                count[s] = n;
            if (round > 1)
                assert_int_equal(n, count[s]);
            assert_true(n > 0);
            free_all(heap, n, sizes[s], (int)(round % 2));
        }
    }
    TEST_DESTROY(heap);
}

/* Without fpheap_trim: growth takes back what other sizes park. */
static void
what_one_size_parks_the_next_can_have(void **state)
{
    size_t   sizes[] = { 64, 2048, 16, 9000, 300, 5000, 1000, 32 };
    fpheap  *heap = small_heap(memory, sizeof(memory));
    unsigned round;
    size_t   s;

    (void)state;
    for (round = 0; round < 8; round++) {
        for (s = 0; s < TEST_COUNT(sizes); s++) {
            unsigned n = fill_up(heap, sizes[s], 0);

            assert_true(n * (sizes[s] < 16 ? 16 : sizes[s])
                        >= sizeof(memory) / 4);
            free_all(heap, n, sizes[s], (int)(round % 2));
        }
    }
    TEST_DESTROY(heap);
}

static void
mix(fpheap *heap, uint64_t seed)
{
    enum { LIVE = 400 };
    static test_object live[LIVE];
    static test_object copy[LIVE];
    test_random random = test_random_of(seed);
    unsigned    steps = 200000 * test_soak();
    unsigned    refused = 0;
    size_t      count = 0;
    unsigned    i;

    memset(live, 0, sizeof(live));
    for (i = 0; i < steps; i++) {
        test_object *o = &live[test_below(&random, LIVE)];

        if (o->base != NULL) {
            assert_true(test_filled(o->base, o->bytes, o->number));
            if (i % 2 == 0)
                fpheap_free(heap, o->base);
            else
                fpheap_free_sized(heap, o->base, o->size);
            o->base = NULL;
            o->bytes = 0;
            count--;
        } else {
            o->size = test_size(&random, 12);
            o->base = (char *)fpheap_alloc(heap, o->size);
            if (o->base == NULL) {
                refused++;
                assert_int_equal(errno, ENOMEM);
                continue;
            }
            o->bytes = fpheap_usable_size(heap, o->base);
            o->number = i;
            assert_true(in_memory(o->base, o->bytes));
            test_fill(o->base, o->bytes, i);
            count++;
        }
        if (i % 10000 == 0) {
            memcpy(copy, live, sizeof(copy));
            assert_true(test_disjoint(copy, LIVE));
            TEST_CHECK_LIVE(heap, count);
        }
    }
    assert_true(refused > 0);
    for (i = 0; i < LIVE; i++)
        fpheap_free(heap, live[i].base);
    TEST_CHECK_LIVE(heap, 0);
}

/* Of 32 bits a slab is missing from the second round on, for a few records. */
static void
mixed_sizes_never_overlap_and_never_leak(void **state)
{
    fpheap  *heap = small_heap(memory, sizeof(memory));
    unsigned count[4];
    unsigned i;

    (void)state;
    for (i = 0; i < 4; i++) {
        mix(heap, 29);
        (void)fpheap_trim(heap);
        count[i] = fill_up(heap, 512, 0);
        free_all(heap, count[i], 512, 0);
    }
    assert_in_range(count[1], count[0] - (sizeof(void *) < 8 ? 8 : 0), count[0]);
    assert_int_equal(count[2], count[1]);
    assert_int_equal(count[3], count[1]);
    assert_true(count[0] * 512 * 4 >= sizeof(memory) * 3);
    TEST_DESTROY(heap);
}

static void
bulks_are_all_or_nothing_here_too(void **state)
{
    fpheap  *heap = small_heap(memory, sizeof(memory));
    unsigned full;

    (void)state;
    /* Makes magazines for what a bulk gives back. */
    assert_int_equal(fpheap_alloc_bulk(heap, 1000, objects, MOST), -ENOMEM);
    full = fill_up(heap, 1000, 0);
    free_all(heap, full, 1000, 0);
    objects[0] = &buffer;
    assert_int_equal(fpheap_alloc_bulk(heap, 1000, objects, full + 1),
                     -ENOMEM);
    assert_ptr_equal(objects[0], &buffer);
    assert_int_equal(fpheap_alloc_bulk(heap, 1000, objects, full), 0);
    TEST_CHECK_LIVE(heap, full);
    fpheap_free_bulk(heap, objects, full);
    assert_int_equal(fpheap_alloc_burst(heap, 1000, objects, full + 100), full);
    fpheap_free_bulk_sized(heap, objects, full, 1000);
    TEST_DESTROY(heap);
}

static void
a_buffer_may_begin_and_end_anywhere(void **state)
{
    size_t offset;

    (void)state;
    for (offset = 0; offset < 65536; offset += 1 + offset / 3) {
        fpheap  *heap = small_heap(memory + offset, sizeof(memory) - offset);
        unsigned n = fill_up(heap, 500, 0);

        assert_true(n >= 100);
        assert_true((uintptr_t)objects[0] >= (uintptr_t)memory + offset);
        free_all(heap, n, 500, 0);
        assert_int_equal(fill_up(heap, 500, 0), n);
        free_all(heap, n, 500, 1);
        TEST_DESTROY(heap);
    }
}

/* Bit 0: the whole buffer came; bit 1: it left; bit 2: a call too many. */
static int
tell(void *ctx, const fpheap_region *region, int leaving)
{
    unsigned *told = (unsigned *)ctx;

    if (*told != (leaving ? 1 : 0) || region->base != memory
        || region->bytes != sizeof(memory) || region->node != 0)
        *told |= 4;
    *told |= leaving ? 2 : 1;
    return 0;
}

static int
show(void *arg, const fpheap_region *region)
{
    *(const void **)arg = region->base;
    return 0;
}

static void
the_watcher_is_told_of_the_buffer_and_the_walk_shows_it(void **state)
{
    unsigned      told  = 0;
    const void   *shown = NULL;
    fpheap_config config;
    fpheap       *heap;

    (void)state;
    memset(&config, 0, sizeof(config));
    fpheap_provider_buffer(&calls, &buffer, memory, sizeof(memory));
    config.provider = &calls;
    config.watch = tell;
    config.watch_ctx = &told;
    heap = fpheap_create("told", &config);
    assert_non_null(heap);
    assert_int_equal(told, 1);
    assert_int_equal(fpheap_region_walk(heap, show, &shown), 0);
    assert_ptr_equal(shown, memory);
    free_all(heap, fill_up(heap, 100, 0), 100, 0);
    TEST_DESTROY(heap);
    assert_int_equal(told, 3);
}

static void
a_buffer_comes_back_and_serves_the_next_heap(void **state)
{
    unsigned first = 0;
    unsigned round;

    (void)state;
    for (round = 0; round < 40; round++) {
        fpheap  *heap = small_heap(memory, sizeof(memory));
        unsigned n = fill_up(heap, 200, 0);

        if (round == 0)
            first = n;
        assert_int_equal(n, first);
        if (round % 2 == 0) {
            assert_int_equal(fpheap_destroy(heap), -EBUSY);
            assert_int_equal(fpheap_destroy_forced(heap), 0);
        } else {
            fpheap_free_bulk(heap, objects, n);
            TEST_DESTROY(heap);
        }
        assert_int_equal(buffer.taken, 0);
    }
}

static void
objects_above_a_chunk_are_served_from_the_buffer(void **state)
{
    fpheap *heap = small_heap(memory, sizeof(memory));
    char   *large = (char *)fpheap_alloc(heap, 80000);
    char   *small;

    (void)state;
    assert_non_null(large);
    assert_true(in_memory(large, fpheap_usable_size(heap, large)));
    memset(large, 1, fpheap_usable_size(heap, large));
    assert_null(fpheap_alloc(heap, sizeof(memory)));
    small = (char *)fpheap_alloc(heap, 10);
    assert_non_null(small);
    TEST_CHECK_LIVE(heap, 2);
    fpheap_free(heap, large);
    large = (char *)fpheap_alloc(heap, 80000);
    assert_non_null(large);
    fpheap_free(heap, large);
    fpheap_free(heap, small);
    TEST_DESTROY(heap);
}

static void
a_full_table_of_regions_is_enomem(void **state)
{
    static test_provider provider;
    fpheap  *heap = test_heap_within(&provider, 512 * TEST_MIB);
    unsigned most;
    unsigned round;

    (void)state;
    for (round = 0; round < 3; round++) {
        unsigned n = 0;

        while (n < MOST
               && (objects[n] = fpheap_alloc(heap, FPHEAP_CHUNK / 2)) != NULL)
            n++;
        assert_int_equal(errno, ENOMEM);
        /* Without a system the first region's tables cover 16 chunks. */
        assert_true(n >= (FPHEAP_NO_OS ? 2 : 50) && n < MOST);
        assert_int_equal(provider.refused, 0);
        assert_true(provider.grants < TEST_GRANTS);
        TEST_CHECK_LIVE(heap, n);
        most = provider.held;
        fpheap_free_bulk(heap, objects, n);
        TEST_CHECK_LIVE(heap, 0);
        (void)fpheap_trim(heap);
        TEST_CHECK_LIVE(heap, 0);
        assert_true(provider.held < most / 2 || FPHEAP_NO_OS);
    }
    TEST_DESTROY(heap);
    assert_int_equal(provider.held, 0);
    assert_int_equal(provider.wrong, 0);
}

/* Nor is memory used that cannot be memory, even without a system to ask. */
static void
bad_memory_is_efault_and_handed_back_once(void **state)
{
    static test_provider provider;
    test_fault    faults[] = { TEST_NO_BASE, TEST_EMPTY, TEST_SHORT,
                               TEST_SPLIT, TEST_WRAPS, TEST_SAME, TEST_INSIDE,
                               TEST_AROUND };
    fpheap_config config;
    size_t        i;

    (void)state;
    memset(&config, 0, sizeof(config));
    for (i = 0; i < TEST_COUNT(faults); i++) {
        fpheap *heap = test_heap_over(&provider);
        void   *object = fpheap_alloc(heap, 100); /* keeps the first region */

        provider.fail_from = 2;
        provider.fail_to = UINT_MAX;
        provider.fault = faults[i];
        errno = 0;
        assert_null(fpheap_alloc(heap, 3 * FPHEAP_CHUNK));
        assert_int_equal(errno, EFAULT);
        assert_true(provider.faults > 0);
        assert_int_equal(provider.puts, provider.faults);
        TEST_CHECK_LIVE(heap, 1);
        fpheap_free(heap, object);
        TEST_DESTROY_OVER(heap, &provider);
        if (faults[i] >= TEST_SAME && faults[i] <= TEST_AROUND)
            continue;
        provider.fail_from = 1;
        config.provider = &provider.calls;
        errno = 0;
        assert_null(fpheap_create("bad", &config));
        assert_int_equal(errno, EFAULT);
        assert_int_equal(provider.held, 0);
    }
}

/* By one byte. */
static void
memory_that_ends_behind_the_last_address_is_efault(void **state)
{
    fpheap_config config;

    (void)state;
    memset(&config, 0, sizeof(config));
    config.provider = &calls;
    fpheap_provider_buffer(&calls, &buffer,
                           (void *)(UINTPTR_MAX - 4 * FPHEAP_CHUNK + 1),
                           4 * FPHEAP_CHUNK + 1);
    errno = 0;
    assert_null(fpheap_create("top", &config));
    assert_int_equal(errno, EFAULT);
    assert_int_equal(buffer.taken, 0);
}

/* A region's records are cut from one chunk, so that there is a longest one. */
static void
a_region_longer_than_its_records_allow_is_used_in_part(void **state)
{
    static test_provider provider;
    fpheap_config config;
    fpheap       *heap;
    unsigned      n = 0;

    (void)state;
    memset(&config, 0, sizeof(config));
    test_provider_init(&provider);
    config.provider = &provider.calls;
    provider.extra = 200 * TEST_MIB;
    heap = fpheap_create("long", &config);
    assert_non_null(heap);
    provider.fail_from = 2;
    provider.fail_to = UINT_MAX;
    while (n < MOST && (objects[n] = fpheap_alloc(heap, 50000)) != NULL)
        n++;
    assert_int_equal(errno, ENOMEM);
    assert_true(n >= 500);
    TEST_CHECK_LIVE(heap, n);
    fpheap_free_bulk(heap, objects, n);
    errno = 0;
    assert_null(fpheap_alloc(heap, 300 * TEST_MIB));
    assert_int_equal(errno, ENOMEM);
    TEST_CHECK_LIVE(heap, 0);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
an_object_may_be_as_long_as_what_the_provider_gives(void **state)
{
    char   *map = test_map(80 * TEST_MIB);
    fpheap *heap;
    void   *object;

    (void)state;
    assert_non_null(map);
    heap = small_heap(map, 80 * TEST_MIB);
    /* Without a system the tables' window may end within. */
    object = fpheap_alloc(heap, (FPHEAP_NO_OS ? 38 : 76) * TEST_MIB);
    assert_non_null(object);
    assert_null(fpheap_alloc(heap, 78 * TEST_MIB));
    fpheap_free(heap, object);
    TEST_DESTROY(heap);
    assert_int_equal(test_unmap(map, 80 * TEST_MIB), 0);
}

#if !FPHEAP_NO_OS
/* The table under FPHEAP_CHUNK_SHIFT. */
static void
objects_up_to_a_chunk_are_240_mib_less_a_few_percent(void **state)
{
    static test_provider provider;
    fpheap  *heap = test_heap_over(&provider);
    size_t   bytes;
    unsigned n = 0;

    (void)state;
    while (n < MOST
           && (objects[n] = fpheap_alloc(heap, FPHEAP_CHUNK - FPHEAP_PAGE))
              != NULL)
        n++;
    assert_int_equal(errno, ENOMEM);
    assert_int_equal(provider.refused, 0);
    bytes = n * (FPHEAP_CHUNK - FPHEAP_PAGE);
    if (sizeof(void *) >= 8)
        assert_true(bytes <= 256 * TEST_MIB);
    assert_true(bytes >= 230 * TEST_MIB);
    TEST_CHECK_LIVE(heap, n);
    fpheap_free_bulk(heap, objects, n);
    TEST_DESTROY_OVER(heap, &provider);
}

/* The system would have given more, for which there can be no records. */
static void
a_heap_that_can_have_no_more_records_does_not_grow(void **state)
{
    fpheap      *heap = fpheap_create("full", NULL);
    unsigned     n = 0;
    fpheap_stats stats;

    (void)state;
    assert_non_null(heap);
    while (n < MOST
           && (objects[n] = fpheap_alloc(heap, FPHEAP_CHUNK - FPHEAP_PAGE))
              != NULL)
        n++;
    assert_int_equal(errno, ENOMEM);
    fpheap_stats_get(heap, &stats);
    assert_true(stats.region_bytes
                <= n * FPHEAP_CHUNK + stats.region_bytes / 16 + FPHEAP_CHUNK);
    fpheap_free_bulk(heap, objects, n);
    TEST_DESTROY(heap);
}
#endif

/* What objects of 64 bytes have of a buffer, in percent. */
static size_t
percent_of(void *base, size_t bytes)
{
    fpheap  *heap = small_heap(base, bytes);
    unsigned n = 0;

    while (n < MOST && (objects[n] = fpheap_alloc(heap, 64)) != NULL)
        n++;
    TEST_CHECK_LIVE(heap, n);
    fpheap_free_bulk(heap, objects, n);
    TEST_DESTROY(heap);
    return n * 64 * 100 / bytes;
}

/* Where the tables' window ends goes by the address; no object crosses that. */
static void
of_a_buffer_of_64_kib_62_percent_are_objects_of_a_mib_90(void **state)
{
    static unsigned char any[(16 + 17) * 65536] __attribute__((aligned(65536)));
    size_t offsets[] = { 0, 1, 64, 2048, 30000, 65535 };
    size_t chunk, i;

    (void)state;
    for (chunk = 0; chunk < 16; chunk++) {
        for (i = 0; i < TEST_COUNT(offsets); i++) {
            /* A part of a chunk at either end needs records too. */
            int   aligned = offsets[i] == 0;
            char *base    = (char *)any + chunk * 65536 + offsets[i];

            assert_true(percent_of(base, 64 * TEST_KIB) >= (aligned ? 75 : 62));
            assert_true(percent_of(base, 128 * TEST_KIB)
                        >= (aligned ? 81 : 75));
            assert_true(percent_of(base, 192 * TEST_KIB)
                        >= (aligned ? 84 : 83));
            assert_true(percent_of(base, 1024 * TEST_KIB)
                        >= (aligned ? 91 : 90));
        }
    }
}

#if FPHEAP_NO_OS
/* However little that is. */
static int
give_what_there_is(void *ctx, size_t bytes, size_t align, int node,
                   fpheap_region *region)
{
    const fpheap_buffer *b = (const fpheap_buffer *)ctx;

    (void)bytes, (void)align, (void)node;
    if (b->taken)
        return -ENOMEM;
    ((fpheap_buffer *)ctx)->taken = 1;
    region->base = b->base;
    region->bytes = b->bytes;
    return 0;
}

static void
without_a_system_no_time_passes(void **state)
{
    (void)state;
    assert_int_equal(fph_now_ns(), 0);
    assert_int_equal(fph_deadline(), 0);
}

static void
without_a_system_misuse_that_is_found_ends_in_a_trap(void **state)
{
    fpheap *heap = small_heap(memory, sizeof(memory));
    int     status = 0;
    pid_t   child;

    (void)state;
    (void)fflush(NULL);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)signal(SIGILL, SIG_DFL);
        (void)signal(SIGTRAP, SIG_DFL);
        fpheap_free(heap, memory + sizeof(memory) - FPHEAP_PAGE);
        _exit(1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    TEST_DESTROY(heap);
}

/* The shortest that makes a heap is filled by the state with its tables. */
static void
without_a_system_a_buffer_too_short_for_the_tables_is_enomem(void **state)
{
    fpheap_config config;
    fpheap       *heap = NULL;
    size_t        bytes;

    (void)state;
    memset(&config, 0, sizeof config);
    config.provider = &calls;
    for (bytes = FPHEAP_PAGE; heap == NULL; bytes += 64) {
        assert_true(bytes < sizeof memory / 4);
        fpheap_provider_buffer(&calls, &buffer, memory, bytes);
        calls.get = give_what_there_is;
        errno = 0;
        heap = fpheap_create("short", &config);
        assert_true(heap != NULL || errno == ENOMEM);
    }
    assert_true(bytes > 2 * FPHEAP_PAGE);
    assert_null(fpheap_alloc(heap, 1));
    TEST_DESTROY(heap);
}

/* Chunks that the tables of a heap cover whose first region this is; 0: it is
 * too short.  They are zeros, and nothing else is written. */
static size_t
covered(const fpheap *heap, unsigned char *base, size_t bytes)
{
    const fpheap_region raw   = { base, bytes, NULL, FPHEAP_BACKING_UNKNOWN,
                                  0 };
    size_t              skip  = (FPH_LINE - (size_t)base % FPH_LINE) % FPH_LINE;
    const fph_state    *state;
    size_t              chunks;

    memset(memory, 0xff, sizeof memory);
    state = fph_state_new(heap, &raw);
    if (state == NULL)
        return 0;
    chunks = (state->mask + 1) >> FPH_PAGE_BITS;
    assert_ptr_equal(state, base + skip + FPH_STATE_GUARD);
    assert_int_equal(state->bytes, fph_layout_of(heap, chunks).bytes);
    assert_int_equal(state->map[0] | state->map[state->mask], 0);
    assert_int_equal(base[skip], 0);
    assert_int_equal(base[skip + state->bytes - 1], 0);
    assert_int_equal(base[skip + state->bytes], 0xff);
    assert_true(base == memory || base[-1] == 0xff);
    assert_true(skip == 0 || base[skip - 1] == 0xff);
    return chunks;
}

/* Where that is more than it spans; see FPHEAP_NO_OS. */
static void
without_a_system_tables_cover_the_region_and_what_a_32nd_of_it_covers(
    void **state)
{
    static unsigned char own[96 * 1024] __attribute__((aligned(65536)));
    fpheap        *heap = small_heap(own, sizeof own);
    size_t         none = fph_layout_of(heap, 0).bytes;
    size_t         one  = fph_layout_of(heap, 1).bytes;
    size_t         two  = fph_layout_of(heap, 2).bytes;
    unsigned char *end  = memory + FPHEAP_CHUNK;
    size_t         chunks;

    (void)state;
    assert_true((two - none) * 32 > two);
    assert_int_equal(covered(heap, end - two, two), 1);
    assert_int_equal(covered(heap, end - two, two + 1), 2);
    assert_int_equal(covered(heap, end - 64, two), 2);
    assert_int_equal(covered(heap, end - 64, two - 1), 0);
    assert_int_equal(covered(heap, memory, one), 1);
    assert_int_equal(covered(heap, memory, one - 1), 0);
    assert_int_equal(covered(heap, memory + 1, one + 63), 1);
    assert_int_equal(covered(heap, memory + 1, one + 62), 0);
    for (chunks = 2; chunks <= 32; chunks *= 2) {
        size_t bytes = 32 * (fph_layout_of(heap, chunks).bytes - none);

        assert_int_equal(covered(heap, memory, bytes), chunks);
        assert_int_equal(covered(heap, memory, bytes - 1), chunks / 2);
    }
    TEST_DESTROY(heap);
}

/* Of the region's whole pages, the last of which may end before it does. */
static void
without_a_system_pages_in_which_the_tables_lie_serve_nobody(void **state)
{
    const size_t        skip  = 3 * 64;
    const size_t        pages = 20;
    const fpheap_region raw   = { memory + FPHEAP_PAGE - skip,
                                  skip + pages * FPHEAP_PAGE + 100, NULL,
                                  FPHEAP_BACKING_UNKNOWN, 0 };
    fph_state          *it    = (fph_state *)(void *)
                                ((char *)raw.base + FPH_STATE_GUARD);
    size_t              n;

    (void)state;
    for (n = 0; n <= pages; n++) {
        it->bytes = skip + n * FPHEAP_PAGE;
        assert_int_equal(fph_state_pages(NULL, it, &raw), n);
        it->bytes++;
        assert_int_equal(fph_state_pages(NULL, it, &raw), n < pages ? n + 1 : n);
    }
}

/* Memory of which a heap has the upper half first, with the state, and then the
 * lower one. */
static unsigned halves;

static int
give_a_half(void *ctx, size_t bytes, size_t align, int node,
            fpheap_region *region)
{
    size_t at = *(size_t *)ctx;

    (void)align, (void)node;
    if (halves == 2 || bytes > sizeof memory / 2)
        return -ENOMEM;
    region->base = halves == 0 ? memory + at : memory;
    region->bytes = halves == 0 ? sizeof memory - at : at;
    halves++;
    return 0;
}

static void
write_beyond(char *from, char *to)
{
    while (from < to)
        *from++ = (char)0xa5;
}

static int
is_an_objects(fpheap *heap, const void *at)
{
    return fpheap_base_of(heap, at) != NULL;
}

/* Where a block's records end, at most: before the bytes that are unused behind
 * it, if it is an older one. */
static char *
block_end(const fph_state *s, unsigned block)
{
    char *at = s->meta[block];

    if (block == fph_meta_block(s))
        return at + (s->meta_cursor.word >> 20 & FPH_META_FIELD) * FPH_LINE;
    for (at -= (uintptr_t)at & (FPHEAP_PAGE - 1); fph_is_meta_page(s, at);)
        at += FPHEAP_PAGE;
    return at - 128;
}

static unsigned char copy[sizeof memory];

static int
is_as_before(const char *from, const char *to)
{
    return memcmp(from, copy + (from - (char *)memory), (size_t)(to - from))
        == 0;
}

/* Damage what is around each object that is no object, and compare all that the
 * heap knows.  Returns at how many places. */
static unsigned
damage_all(fpheap *heap, unsigned n)
{
    const size_t most = FPHEAP_CHUNK / 2048 > 128 ? FPHEAP_CHUNK / 2048 : 128;
    fph_state   *s = heap->state;
    unsigned     i, b, places = 0;

    memcpy(copy, memory, sizeof memory);
    for (i = 0; i < n; i++) {
        char *start = (char *)objects[i];
        char *end = start + fpheap_usable_size(heap, start);

        if (start > (char *)memory && !is_an_objects(heap, start - 1)) {
            write_beyond(start - most, start);
            places++;
        }
        if (end < (char *)memory + sizeof memory
            && !is_an_objects(heap, end)) {
            write_beyond(end, end + most);
            places++;
        }
        assert_true(is_as_before((char *)s, (char *)(s->map + s->mask + 1)));
        for (b = 1; b <= fph_meta_block(s); b++)
            assert_true(is_as_before(s->meta[b], block_end(s, b)));
    }
    return places;
}

/* The state lies behind one region's end and before its own objects; a block
 * between two objects' pages. */
static void
without_a_system_a_write_a_guard_past_an_object_leaves_the_records_whole(
    void **state)
{
    static size_t at; /* the provider outlives the call */
    size_t        offset, shift;
    fpheap_config config;
    unsigned      n, places;

    (void)state;
    memset(&calls, 0, sizeof calls);
    memset(&config, 0, sizeof config);
    calls.get = give_a_half;
    calls.ctx = &at;
    config.provider = &calls;
    for (offset = 0, shift = 0; offset < 2; offset++) {
        fpheap *heap;

        halves = 0;
        at = 2 * FPHEAP_CHUNK - (offset == 0 ? 0 : FPHEAP_PAGE) + shift;
        heap = fpheap_create("guards", &config);
        assert_non_null(heap);
        /* So that the tables end where a page begins. */
        shift = -(uintptr_t)((char *)(heap->state->map + heap->state->mask + 1)
                             + 128) & (FPHEAP_PAGE - 1);
        for (n = 0; n < MOST; n++)
            if ((objects[n] = fpheap_alloc(heap, FPH_CLASS_MAX + 1)) == NULL)
                break;
        for (; n < MOST; n++)
            if ((objects[n] = fpheap_alloc(heap, FPHEAP_PAGE)) == NULL)
                break;
        assert_int_equal(halves, 2);
        TEST_CHECK_LIVE(heap, n);
        places = damage_all(heap, n);
        assert_true(places >= 3);
        TEST_CHECK_LIVE(heap, n);
        fpheap_free_bulk(heap, objects, n);
        TEST_DESTROY(heap);
    }
}

static void
without_a_system_a_provider_must_be_given(void **state)
{
    fpheap_config config;

    (void)state;
    errno = 0;
    assert_null(fpheap_create("none", NULL));
    assert_int_equal(errno, EINVAL);
    memset(&config, 0, sizeof(config));
    assert_null(fpheap_create("none", &config));
    assert_int_equal(errno, EINVAL);
}
#endif

/* There can be only so many blocks, so they become longer. */
static void
the_more_blocks_of_records_there_are_the_longer_they_are(void **state)
{
    static const size_t number[] = { 0, 3, 4, 7, 8, 31, 32, 33, 127 };
    static const size_t pages[]  = { 1, 1, 2, 2, 3, 8, 9, FPH_PAGES,
                                     FPH_PAGES };
    fpheap    *heap = small_heap(memory, sizeof(memory));
    fph_state *s = heap->state;
    uint64_t   was = s->meta_numbers;
    size_t     i;

    (void)state;
    assert_true(FPH_TABLE_MAX == 128 && FPH_PAGES > 10);
    for (i = 0; i < TEST_COUNT(number); i++) {
        s->meta_numbers = number[i];
        assert_int_equal(fph_block_wish(s, 1), pages[i]);
    }
    s->meta_numbers = 8;
    assert_int_equal(fph_block_wish(s, FPH_PAGES - 3), FPH_PAGES - 1);
    assert_int_equal(fph_block_wish(s, FPH_PAGES - 2), FPH_PAGES);
    assert_int_equal(fph_block_wish(s, FPH_PAGES - 1), FPH_PAGES);
    s->meta_numbers = was;
    TEST_DESTROY(heap);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            the_more_blocks_of_records_there_are_the_longer_they_are),
        cmocka_unit_test(the_same_count_comes_again_for_every_size),
        cmocka_unit_test(nothing_is_lost_from_size_to_size),
        cmocka_unit_test(what_one_size_parks_the_next_can_have),
        cmocka_unit_test(mixed_sizes_never_overlap_and_never_leak),
        cmocka_unit_test(bulks_are_all_or_nothing_here_too),
        cmocka_unit_test(a_buffer_may_begin_and_end_anywhere),
        cmocka_unit_test(the_watcher_is_told_of_the_buffer_and_the_walk_shows_it),
        cmocka_unit_test(a_buffer_comes_back_and_serves_the_next_heap),
        cmocka_unit_test(objects_above_a_chunk_are_served_from_the_buffer),
        cmocka_unit_test(a_full_table_of_regions_is_enomem),
        cmocka_unit_test(bad_memory_is_efault_and_handed_back_once),
        cmocka_unit_test(memory_that_ends_behind_the_last_address_is_efault),
        cmocka_unit_test(
            a_region_longer_than_its_records_allow_is_used_in_part),
        cmocka_unit_test(an_object_may_be_as_long_as_what_the_provider_gives),
#if !FPHEAP_NO_OS
        cmocka_unit_test(objects_up_to_a_chunk_are_240_mib_less_a_few_percent),
        cmocka_unit_test(a_heap_that_can_have_no_more_records_does_not_grow),
#endif
        cmocka_unit_test(
            of_a_buffer_of_64_kib_62_percent_are_objects_of_a_mib_90),
#if FPHEAP_NO_OS
        cmocka_unit_test(without_a_system_no_time_passes),
        cmocka_unit_test(without_a_system_misuse_that_is_found_ends_in_a_trap),
        cmocka_unit_test(without_a_system_a_provider_must_be_given),
        cmocka_unit_test(
            without_a_system_a_buffer_too_short_for_the_tables_is_enomem),
        cmocka_unit_test(
            without_a_system_tables_cover_the_region_and_what_a_32nd_of_it_covers
            ),
        cmocka_unit_test(
            without_a_system_pages_in_which_the_tables_lie_serve_nobody),
        cmocka_unit_test(
            without_a_system_a_write_a_guard_past_an_object_leaves_the_records_whole
            ),
#endif
    };

    return cmocka_run_group_tests_name("small", tests, NULL, NULL);
}
