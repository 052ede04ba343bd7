/* test_sites.c - with FPHEAP_SITES the messages of FPHEAP_CHECK say by file and
 * line who allocated the object, and fpheap_dump and an fpheap_destroy that finds
 * live objects list them by these sites, most bytes first; the sums are exact,
 * whichever function allocated, whoever freed, and whatever callbacks did between.
 */
#include "../races.h"

static void note(const char *line);
#define FPHEAP_PANIC(message) note(message)
#define FPHEAP_REPORT(line)   note(line)
#ifndef FPHEAP_CHECK
#  define FPHEAP_CHECK 2
#endif
#define FPHEAP_SITES 1
#define FPHEAP_TOOL 0          /* it writes where it may not */
#include "fpheap.h"            /* so that the macros are there already */
#define FPHEAP_IMPLEMENTATION
#include "fpheap.h"
#include "../test_util.h"

#include <pthread.h>

static test_provider provider;
static char          notes[40][512];
static unsigned      noted;

static void
note(const char *line)
{
    if (noted < TEST_COUNT(notes))
        (void)snprintf(notes[noted++], sizeof(notes[0]), "%s", line);
}

static void
expect_notes_at(unsigned n, const char *file, int line)
{
    unsigned i;

    if (noted == n) {
        noted = 0;
        return;
    }
    for (i = 0; i < noted; i++)
        print_error("%s\n", notes[i]);
    print_error("%u lines, not %u\n", noted, n);
    noted = 0;
    _fail(file, line);
}

#define EXPECT_NOTES(n) expect_notes_at(n, __FILE__, __LINE__)

/* One message, which ends with the site of that line. */
static void
expect_site_at(int site, const char *file, int line)
{
    char        words[80];
    const char *found;

    (void)snprintf(words, sizeof(words), ", allocated at %s:%d", file, site);
    found = strstr(notes[0], words);
    if (noted != 1 || found == NULL || strcmp(found, words) != 0) {
        print_error("%u: \"%s\", not \"%s\"\n", noted, notes[0], words);
        noted = 0;
        _fail(file, line);
    }
    noted = 0;
}

#define EXPECT_SITE(site) expect_site_at(site, __FILE__, __LINE__)

/* What destroy says of the objects that are live, without destroying. */
static void
expect_live_at(fpheap *heap, size_t bytes, unsigned objects, int site,
               const char *file, int line)
{
    char words[120];

    (void)snprintf(words, sizeof(words),
                   "%zu bytes in %u live objects, allocated at %s:%d", bytes,
                   objects, file, site);
    assert_int_equal(fpheap_destroy(heap), -EBUSY);
    if (noted != 2 || strcmp(notes[1], words) != 0) {
        print_error("%u: \"%s\", not \"%s\"\n", noted, notes[1], words);
        noted = 0;
        _fail(file, line);
    }
    noted = 0;
}

#define EXPECT_LIVE(heap, bytes, objects, site) \
    expect_live_at(heap, bytes, objects, site, __FILE__, __LINE__)

/* Level 1 counts what an object has room for. */
static size_t
counted(fpheap *heap, const void *object)
{
    return fpheap_usable_size(heap, object);
}

static void
messages_name_the_site(void **state)
{
    fpheap *heap = test_heap_over(&provider);
    char   *object;
    int     site;

    (void)state;
    object = (char *)fpheap_alloc(heap, 1000); site = __LINE__;
    fpheap_free(heap, object + 8);
    EXPECT_SITE(site);
    fpheap_free_sized(heap, object, 10);
    EXPECT_SITE(site);
    fpheap_free(heap, object);
    fpheap_free(heap, object);
    EXPECT_SITE(site);
    if (FPHEAP_CHECK > 1) {
        object[5] = 1;
        object = (char *)fpheap_alloc(heap, 1000);
        EXPECT_SITE(site);     /* of who had it */
        object[1000] = 1; site = __LINE__ - 2;
        fpheap_free(heap, object);
        EXPECT_SITE(site);
    }
    EXPECT_NOTES(0);
    TEST_DESTROY_OVER(heap, &provider);
}

#define ONE(call)                                               \
    do {                                                        \
        void *object_ = (call);                                 \
        assert_non_null(object_);                               \
        EXPECT_LIVE(heap, counted(heap, object_), 1, __LINE__); \
        fpheap_free(heap, object_);                             \
    } while (0)

static fpheap_pool *
pool_of(fpheap *heap, size_t size, int (*construct)(void *, void *))
{
    fpheap_pool_desc desc;
    fpheap_pool     *pool;

    memset(&desc, 0, sizeof(desc));
    desc.name = "pool";
    desc.size = size;
    desc.construct = construct;
    desc.arg = heap;
    pool = fpheap_pool_create(heap, &desc);
    assert_non_null(pool);
    return pool;
}

static void
each_function_that_allocates_has_its_site(void **state)
{
    fpheap      *heap = test_heap_over(&provider);
    fpheap_pool *pool = pool_of(heap, 100, NULL);
    void        *many[3];
    size_t       bytes;

    (void)state;
    ONE(fpheap_alloc(heap, 100));
    ONE(fpheap_alloc(heap, 100));
    ONE(fpheap_alloc(heap, 700000));
    ONE(fpheap_alloc(heap, FPHEAP_CHUNK));
    ONE(fpheap_zalloc(heap, 100));
    ONE(fpheap_calloc(heap, 10, 10));
    ONE(fpheap_aligned_alloc(heap, 64, 100));
    ONE(fpheap_aligned_alloc(heap, FPHEAP_CHUNK, 100));
    ONE(fpheap_alloc_on(heap, 100, 0));
    ONE(fpheap_realloc(heap, NULL, 100));
    ONE(fpheap_realloc(heap, (fpheap_alloc)(heap, 100), 1000));
    ONE(fpheap_aligned_realloc(heap, NULL, 64, 100));
    ONE(fpheap_aligned_realloc(heap, (fpheap_alloc)(heap, 100), 64, 1000));
    ONE(fpheap_cache_alloc(fpheap_self(heap), 100));
    ONE(fpheap_pool_get(pool));
    assert_int_equal(fpheap_alloc_bulk(heap, 100, many, 3), 0);
    bytes = 3 * counted(heap, many[0]);
    EXPECT_LIVE(heap, bytes, 3, __LINE__ - 2);
    fpheap_free_bulk(heap, many, 3);
    assert_int_equal(fpheap_alloc_burst(heap, 100, many, 3), 3);
    EXPECT_LIVE(heap, bytes, 3, __LINE__ - 1);
    fpheap_free_bulk_sized(heap, many, 3, 100);
    assert_int_equal(fpheap_cache_alloc_bulk(fpheap_self(heap), 100, many, 3), 0);
    EXPECT_LIVE(heap, bytes, 3, __LINE__ - 1);
    fpheap_free_bulk(heap, many, 3);
    assert_int_equal(fpheap_pool_get_bulk(pool, many, 3), 0);
    EXPECT_LIVE(heap, 3 * counted(heap, many[0]), 3, __LINE__ - 1);
    fpheap_pool_put_bulk(pool, many, 3);
    assert_int_equal(fpheap_pool_get_burst(pool, many, 3), 3);
    EXPECT_LIVE(heap, 3 * counted(heap, many[0]), 3, __LINE__ - 1);
    fpheap_pool_put_bulk(pool, many, 3);
    TEST_DESTROY_OVER(heap, &provider);
    EXPECT_NOTES(0);
}

static void *constructed[10000];
static unsigned constructions;

static int
construct_with_an_object(void *heap, void *object)
{
    (void)object;
    constructed[constructions] = fpheap_alloc((fpheap *)heap, 3000);
    return constructed[constructions++] == NULL ? -ENOMEM : 0;
}

static void
a_constructor_has_sites_of_its_own(void **state)
{
    fpheap      *heap = test_heap_over(&provider);
    fpheap_pool *pool = pool_of(heap, 5000, construct_with_an_object);
    char         words[80];
    void        *object;

    (void)state;
    object = fpheap_pool_get(pool);
    (void)snprintf(words, sizeof(words), "live objects, allocated at %s:%d",
                   __FILE__, __LINE__ - 2);
    assert_non_null(object);
    assert_int_equal(fpheap_destroy(heap), -EBUSY);
    assert_int_equal(noted, 3);
    assert_null(strstr(notes[1], words));
    assert_non_null(strstr(notes[2], words));
    noted = 0;
    fpheap_pool_put(pool, object);
    while (constructions > 0)
        fpheap_free(heap, constructed[--constructions]);
    TEST_DESTROY_OVER(heap, &provider);
    EXPECT_NOTES(0);
}

static size_t
first_number(const char *text)
{
    return (size_t)strtoull(text, NULL, 10);
}

/* Lines of a dump that are about sites. */
static unsigned
lines_of_sites(FILE *out)
{
    char     line[512];
    unsigned lines = 0;

    rewind(out);
    while (fgets(line, sizeof(line), out) != NULL)
        lines += strstr(line, " live objects") != NULL
              && first_number(line) != 0;
    return lines;
}

/* More sites than lines, and more than there is room for; a site is told by the
 * address of its name. */
static void
the_sites_with_most_bytes_come_first_and_there_are_sixteen(void **state)
{
    static char names[2 * FPH_SITE_MAX][16];
    static void *objects[2 * FPH_SITE_MAX];
    fpheap  *heap = test_heap_over(&provider);
    unsigned n, i;
    FILE    *out  = tmpfile();

    (void)state;
    assert_non_null(out);
    for (n = 20; n <= TEST_COUNT(names); n *= n == 20 ? TEST_COUNT(names) / 20
                                                       : 2) {
        for (i = 0; i < n; i++) {
            (void)snprintf(names[i], sizeof(names[i]), "site:%u", i);
            fph_site = names[i];
            objects[i] = (fpheap_alloc)(heap, 16 + 16 * (size_t)(i * 7 % n));
        }
        assert_int_equal(fpheap_destroy(heap), -EBUSY);
        assert_int_equal(noted, 17);
        assert_string_equal(notes[0], "fpheap: live objects in heap 'test'");
        for (i = 2; i < 17; i++)
            assert_true(first_number(notes[i]) <= first_number(notes[i - 1]));
        noted = 0;
        assert_int_equal(ftruncate(fileno(out), 0), 0);
        fpheap_dump(heap, out);
        assert_int_equal(lines_of_sites(out), 16);
        for (i = 0; i < n; i++)
            fpheap_free(heap, objects[i]);
    }
    (void)fclose(out);
    fph_site = NULL;
    objects[0] = (fpheap_alloc)(heap, 100);
    assert_int_equal(fpheap_destroy(heap), -EBUSY);
    assert_string_equal(strstr(notes[1], "1 live"), "1 live objects");
    noted = 0;
    fpheap_free(heap, objects[0]);
    TEST_DESTROY_OVER(heap, &provider);
}

typedef struct site_of_another {
    fpheap  *heap;
    char    *name;
    unsigned number;
} site_of_another;

static void *
take_the_slot(void *arg)
{
    site_of_another *other = (site_of_another *)arg;

    other->number = fph_site_number(other->heap, other->name);
    return NULL;
}

/* Both threads have seen that the slot is free. */
static void
two_sites_at_a_time_have_a_number_each(void **state)
{
    static char names[2 * FPH_SITE_MAX];
    fpheap         *heap = test_heap_over(&provider);
    site_of_another other = { heap, names + 2 * (FPH_SITE_MAX - 1), 0 };
    uint64_t        at = (uintptr_t)names;
    unsigned        number;

    (void)state;
    meanwhile(&heap->sites[1 + at / 2 % (FPH_SITE_MAX - 1)].at,
              MEANWHILE_CHANGE, 0, take_the_slot, &other);
    number = fph_site_number(heap, names);
    assert_null(meanwhile_moment.word);
    assert_true(number != 0 && other.number != 0 && number != other.number);
    assert_int_equal(fph_site_number(heap, names), number);
    assert_int_equal(fph_site_number(heap, other.name), other.number);
    TEST_DESTROY_OVER(heap, &provider);
}

typedef struct job {
    fpheap *heap;
    void   *got[1000];
    void   *given[1000];
} job;

static void *
allocate_some_and_free_others(void *arg)
{
    job     *j = (job *)arg;
    unsigned i;

    for (i = 0; i < 1000; i++) {
        j->got[i] = fpheap_alloc(j->heap, 10 + i);
        fpheap_free(j->heap, j->given[i]);
    }
    return NULL;
}

static size_t
sum_of_lines(FILE *out)
{
    char   line[512];
    size_t sum = 0;

    rewind(out);
    while (fgets(line, sizeof(line), out) != NULL)
        if (strstr(line, "live objects, allocated at") != NULL)
            sum += first_number(line);
    return sum;
}

static void
sums_are_exact_whoever_frees(void **state)
{
    static job jobs[4];
    fpheap   *heap = test_heap_over(&provider);
    pthread_t ids[4];
    FILE     *out = tmpfile();
    size_t    bytes = 0;
    unsigned  t, i;

    (void)state;
    assert_non_null(out);
    for (t = 0; t < 4; t++) {
        jobs[t].heap = heap;
        for (i = 0; i < 1000; i++)
            jobs[t].given[i] = fpheap_alloc(heap, 10 + i);
    }
    for (t = 0; t < 4; t++)
        assert_int_equal(pthread_create(&ids[t], NULL,
                                        allocate_some_and_free_others,
                                        &jobs[t]), 0);
    for (t = 0; t < 4; t++)
        pthread_join(ids[t], NULL);
    for (t = 0; t < 4; t++)
        for (i = 0; i < 1000; i++)
            bytes += counted(heap, jobs[t].got[i]);
    fpheap_dump(heap, out);
    assert_int_equal(sum_of_lines(out), bytes);
    for (t = 0; t < 4; t++)
        fpheap_free_bulk(heap, jobs[t].got, 1000);
    assert_int_equal(ftruncate(fileno(out), 0), 0);
    fpheap_dump(heap, out);
    assert_int_equal(sum_of_lines(out), 0);
    (void)fclose(out);
    TEST_DESTROY_OVER(heap, &provider);
    EXPECT_NOTES(0);
}

static void
sites_of_as_many_bytes_are_listed_each(void **state)
{
    fpheap *heap = test_heap_over(&provider);
    void   *objects[3];
    char   *text = NULL, *at;
    size_t  bytes = 0;
    FILE   *out = open_memstream(&text, &bytes);
    int     lines = 0, first = __LINE__ + 4;

    (void)state;
    assert_non_null(out);
    objects[0] = fpheap_alloc(heap, 100);
    objects[1] = fpheap_alloc(heap, 100);
    objects[2] = fpheap_alloc(heap, 100);
    fpheap_dump(heap, out);
    (void)fclose(out);
    for (at = text; (at = strstr(at, "allocated at ")) != NULL; at++)
        lines++;
    assert_int_equal(lines, 3);
    for (lines = first; lines < first + 3; lines++) {
        char site[80];

        (void)snprintf(site, sizeof(site), "%s:%d\n", __FILE__, lines);
        assert_non_null(strstr(text, site));
    }
    free(text);
    fpheap_free_bulk(heap, objects, 3);
    TEST_DESTROY_OVER(heap, &provider);
    EXPECT_NOTES(0);
}

/* It keeps its site while it stays in place. */
static void
realloc_in_place_counts_the_other_bytes(void **state)
{
    fpheap *heap = test_heap_over(&provider);
    void   *object = fpheap_alloc(heap, 1000);
    int     site = __LINE__ - 1;

    (void)state;
    assert_ptr_equal(fpheap_realloc(heap, object, 990), object);
    EXPECT_LIVE(heap, counted(heap, object), 1, site);
    assert_ptr_equal(fpheap_realloc(heap, object, 1005), object);
    EXPECT_LIVE(heap, counted(heap, object), 1, site);
    fpheap_free(heap, object);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
realloc_in_place_counts_the_pages_of_a_large_object(void **state)
{
    fpheap *heap = test_heap_over(&provider);
    size_t  size = 10 * FPHEAP_PAGE;       /* with free pages behind */
    void   *object = fpheap_aligned_alloc(heap, FPHEAP_CHUNK, size);
    int     site = __LINE__ - 1;

    (void)state;
    assert_ptr_equal(fpheap_realloc(heap, object, 20 * FPHEAP_PAGE), object);
    EXPECT_LIVE(heap, counted(heap, object), 1, site);
    assert_ptr_equal(fpheap_realloc(heap, object, 11 * FPHEAP_PAGE), object);
    EXPECT_LIVE(heap, counted(heap, object), 1, site);
    fpheap_free(heap, object);
    TEST_DESTROY_OVER(heap, &provider);
}

/* A site that has its place at the end, where another is, goes to the start. */
static void
the_places_of_sites_go_round(void **state)
{
    fpheap         *heap   = test_heap_over(&provider);
    fpheap_provider behind = heap->provider;
    uintptr_t       last   = (uintptr_t)2 * (FPH_SITE_MAX - 2);
    unsigned        i;

    (void)state;
    memset(&heap->provider, 0, sizeof behind); /* as if places were there */
    for (i = 0; i < 4; i++) {
        unsigned number = i < 2 ? FPH_SITE_MAX - 1 : i - 1;

        if (i >= 2)
            last += (uintptr_t)2 * (FPH_SITE_MAX - 1);
        assert_int_equal(fph_site_number(heap, (const char *)last), number);
    }
    heap->sites[FPH_SITE_MAX - 1].at = 0;
    heap->sites[1].at = heap->sites[2].at = 0;
    heap->provider = behind;
    TEST_DESTROY_OVER(heap, &provider);
}

/* It has the same handle. */
static void
a_heap_has_no_sites_of_one_that_ended_by_force(void **state)
{
    fpheap  *heap = test_heap_over(&provider);
    fpheap  *next;
    unsigned i;

    (void)state;
    assert_non_null(fpheap_alloc(heap, 100));
    assert_int_equal(fpheap_destroy_forced(heap), 0);
    noted = 0;
    next = test_heap_over(&provider);
    assert_ptr_equal(next, heap);
    for (i = 0; i < FPH_SITE_MAX; i++)
        assert_true(next->sites[i].at == 0);
    TEST_DESTROY_OVER(next, &provider);
    EXPECT_NOTES(0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_name_the_site),
        cmocka_unit_test(each_function_that_allocates_has_its_site),
        cmocka_unit_test(a_constructor_has_sites_of_its_own),
        cmocka_unit_test(
            the_sites_with_most_bytes_come_first_and_there_are_sixteen),
        cmocka_unit_test(two_sites_at_a_time_have_a_number_each),
        cmocka_unit_test(sums_are_exact_whoever_frees),
        cmocka_unit_test(sites_of_as_many_bytes_are_listed_each),
        cmocka_unit_test(realloc_in_place_counts_the_other_bytes),
        cmocka_unit_test(realloc_in_place_counts_the_pages_of_a_large_object),
        cmocka_unit_test(the_places_of_sites_go_round),
        cmocka_unit_test(a_heap_has_no_sites_of_one_that_ended_by_force)
    };

    return cmocka_run_group_tests_name("sites", tests, NULL, NULL);
}
