/* test_regions.c - who looks after memory for a device sees all of it: the
 * watcher is told of each region once as coming and once as leaving, whatever
 * becomes of it between; what it refuses goes back and costs one failed call;
 * and a walk shows the regions that it was told of, and keeps the one it shows.
 */
#include "system_memory.h"

#define FPHEAP_MAX_NODES 4
#define FPHEAP_IMPLEMENTATION
#include "fpheap.h"
#include "test_util.h"

static test_provider provider;

/* --- a watcher with a book ------------------------------------------------ */

typedef struct book {
    fpheap_region region[TEST_GRANTS];
    unsigned      n;           /* told as here */
    unsigned      came;
    unsigned      left;
    unsigned      wrong;       /* calls that may not be */
    unsigned      refuse_from; /* the number of the first that may not come,
                                  from 1; 0: none */
    unsigned      refuse_to;
    size_t        refuse_above; /* bytes; 0: none */
    int           error;       /* for those */
    int           keep;        /* what it says to those that are to leave */
    unsigned      refused;
    unsigned      kept;
    void        (*inside)(int leaving);
} book;

static book the_book;

static int
same_region(const fpheap_region *a, const fpheap_region *b)
{
    return a->base == b->base && a->bytes == b->bytes && a->cookie == b->cookie
        && a->backing == b->backing && a->node == b->node;
}

/* The number of a region in the book, or n. */
static unsigned
book_find(const book *b, const void *base)
{
    unsigned i = 0;

    while (i < b->n && b->region[i].base != base)
        i++;
    return i;
}

/* The provider has given it, to this node, and has it not back yet. */
static int
is_held(const fpheap_region *region)
{
    const test_grant *grant = test_grant_of(&provider, region->base);

    return grant != NULL && grant->region.base == region->base
        && grant->region.bytes == region->bytes
        && grant->region.backing == region->backing
        && grant == region->cookie && grant->node == region->node;
}

static int
book_come(book *b, const fpheap_region *region)
{
    unsigned number = ++b->came;

    b->wrong += book_find(b, region->base) != b->n;
    if ((b->refuse_from != 0 && number >= b->refuse_from
         && number <= b->refuse_to)
        || (b->refuse_above != 0 && region->bytes > b->refuse_above)) {
        b->refused++;
        return b->error;
    }
    b->region[b->n++] = *region;
    return 0;
}

static int
book_watch(void *ctx, const fpheap_region *region, int leaving)
{
    book    *b  = (book *)ctx;
    unsigned at = book_find(b, region->base);

    b->wrong += !is_held(region) || (leaving != 0 && leaving != 1);
    if (b->inside != NULL)
        b->inside(leaving);
    if (!leaving)
        return book_come(b, region);
    if (at == b->n || !same_region(&b->region[at], region))
        b->wrong++;
    else if (b->keep != 0)
        b->kept++;
    else
        b->region[at] = b->region[--b->n];
    b->left += b->keep == 0;
    return b->keep;
}

/* A heap, or NULL, that the book watches; a provider without put, too. */
static fpheap *
watched(size_t limit, unsigned nodes)
{
    fpheap_config config;

    memset(&config, 0, sizeof(config));
    config.provider = &provider.calls;
    config.limit = limit;
    config.nodes = nodes;
    config.watch = book_watch;
    config.watch_ctx = &the_book;
    return fpheap_create("watched", &config);
}

static fpheap *
fresh(void)
{
    fpheap *heap;

    memset(&the_book, 0, sizeof(the_book));
    test_provider_init(&provider);
    heap = watched(0, 1);
    assert_non_null(heap);
    return heap;
}

/* --- the walk ------------------------------------------------------------- */

typedef struct shown {
    fpheap  *heap;
    unsigned n;
    unsigned unknown;          /* not in the book, or otherwise there */
    unsigned stop_at;          /* the number of the last one; 0: none */
    size_t   trimmed;
} shown;

static int
show(void *arg, const fpheap_region *region)
{
    shown   *s  = (shown *)arg;
    unsigned at = book_find(&the_book, region->base);

    s->n++;
    s->unknown += at == the_book.n
               || !same_region(&the_book.region[at], region);
    return s->n == s->stop_at ? 42 : 0;
}

/* The book has what the provider has given, the heap counts and the walk
 * shows, and nothing else. */
static void
check_book(fpheap *heap)
{
    shown        s = { heap, 0, 0, 0, 0 };
    fpheap_stats stats;

    fpheap_stats_get(heap, &stats);
    assert_int_equal(fpheap_region_walk(heap, show, &s), 0);
    assert_int_equal(s.unknown, 0);
    assert_int_equal(s.n, the_book.n);
    assert_int_equal(provider.held, the_book.n);
    assert_int_equal(stats.regions, the_book.n);
    assert_int_equal(the_book.wrong, 0);
    assert_int_equal(the_book.came - the_book.refused - the_book.left,
                     the_book.n);
    TEST_CHECK(heap);
}

static void
end(fpheap *heap)
{
    TEST_DESTROY_OVER(heap, &provider);
    assert_int_equal(the_book.n, 0);
    assert_int_equal(the_book.wrong, 0);
    assert_int_equal(the_book.came - the_book.refused, the_book.left);
}

static void *objects[4096];

static unsigned
take(fpheap *heap, size_t size, unsigned n)
{
    unsigned i = 0;

    while (i < n && (objects[i] = fpheap_alloc(heap, size)) != NULL)
        i++;
    return i;
}

/* --- once each way -------------------------------------------------------- */

static void
the_watcher_is_told_of_each_region_once_each_way(void **state)
{
    fpheap  *heap = fresh();
    unsigned n;

    (void)state;
    assert_int_equal(the_book.came, 1); /* by create */
    check_book(heap);
    n = take(heap, 60000, 1000);
    check_book(heap);
    assert_true(the_book.n > 8);
    fpheap_free_bulk(heap, objects, n);
    check_book(heap);
    assert_true(fpheap_trim(heap) > 0);
    check_book(heap);
    assert_int_equal(fpheap_reserve(heap, 20 * FPHEAP_CHUNK, 0), 0);
    check_book(heap);
    n = take(heap, 5 * FPHEAP_CHUNK, 10);
    check_book(heap);
    fpheap_free_bulk(heap, objects, n);
    end(heap);
}

static void
a_forced_destroy_tells_of_all_that_leaves(void **state)
{
    fpheap *heap = fresh();

    (void)state;
    assert_int_equal(take(heap, 60000, 300), 300);
    check_book(heap);
    assert_int_equal(fpheap_destroy_forced(heap), 0);
    assert_int_equal(the_book.n, 0);
    assert_int_equal(the_book.wrong, 0);
    assert_int_equal(the_book.came, the_book.left);
    assert_int_equal(provider.held, 0);
}

static void
so_does_the_destroy_of_a_heap_that_hands_nothing_back(void **state)
{
    fpheap  *heap;
    unsigned n;

    (void)state;
    memset(&the_book, 0, sizeof(the_book));
    test_provider_init(&provider);
    provider.calls.put = NULL;
    assert_non_null(heap = watched(0, 1));
    n = take(heap, 60000, 300);
    fpheap_free_bulk(heap, objects, n);
    assert_int_equal(fpheap_trim(heap), 0);
    check_book(heap);
    assert_int_equal(the_book.left, 0);
    TEST_DESTROY(heap);
    assert_int_equal(the_book.n, 0);
    assert_int_equal(the_book.wrong, 0);
    test_provider_drop(&provider);
}

/* Whose records lie in regions, since the system has no memory for them: these
 * stay. */
static void
regions_with_records_are_told_of_too(void **state)
{
    fpheap  *heap = fresh();
    unsigned n;

    (void)state;
    system_is_out = 1;
    n = take(heap, FPHEAP_CHUNK - 2 * FPHEAP_PAGE, TEST_COUNT(objects));
    assert_true(test_meta_pages(heap) > 0);
    check_book(heap);
    fpheap_free_bulk(heap, objects, n);
    fpheap_trim(heap);
    check_book(heap);
    assert_true(the_book.n >= 1);
    system_is_out = 0;
    end(heap);
}

static void
the_node_is_that_of_the_memory(void **state)
{
    fpheap *heap;
    void   *object[4];
    int     node;

    (void)state;
    memset(&the_book, 0, sizeof(the_book));
    test_provider_init(&provider);
    assert_non_null(heap = watched(0, 4));
    for (node = 0; node < 4; node++) {
        unsigned at;

        object[node] = fpheap_alloc_on(heap, FPHEAP_CHUNK, node);
        assert_non_null(object[node]);
        at = book_find(&the_book,
                       test_grant_of(&provider, object[node])->region.base);
        assert_int_equal(the_book.region[at].node, node);
    }
    check_book(heap);
    fpheap_free_bulk(heap, object, 4);
    end(heap);
}

/* --- what is not told of -------------------------------------------------- */

static void
memory_that_the_heap_cannot_use_is_not_told_of(void **state)
{
    fpheap  *heap = fresh();
    void    *object = fpheap_alloc(heap, 100); /* keeps the first region */
    unsigned fault;

    (void)state;
    for (fault = TEST_NO_BASE; fault < TEST_FAULTS; fault++) {
        unsigned came = the_book.came;

        provider.fault = (test_fault)fault;
        provider.fail_from = provider.gets + 1;
        provider.fail_to = UINT_MAX;
        if (fpheap_alloc(heap, 4 * FPHEAP_CHUNK) != NULL)
            fail();
        assert_int_equal(errno, EFAULT);
        assert_int_equal(the_book.came, came);
        provider.fail_from = 0;
        check_book(heap);
    }
    fpheap_free(heap, object);
    end(heap);
}

/* What came, and turned out to go beyond the limit of a heap that was about to
 * be made, or to have no place in its tables, is told to leave. */
static void
what_came_in_vain_leaves_again(void **state)
{
    fpheap *heap;
    void   *object;
    size_t  groups;

    (void)state;
    memset(&the_book, 0, sizeof(the_book));
    test_provider_init(&provider);
    provider.extra = FPHEAP_CHUNK;
    assert_null(watched(2 * FPHEAP_CHUNK, 1));
    assert_int_equal(errno, ENOSPC);
    assert_true(the_book.came > 0);
    assert_int_equal(the_book.n, 0);
    assert_int_equal(the_book.wrong, 0);
    assert_int_equal(provider.held, 0);

    heap = fresh();
    object = fpheap_alloc(heap, 100); /* keeps the first region */
    groups = heap->state->groups_max;
    heap->state->groups_max = heap->state->groups_used; /* full */
    assert_null(fpheap_alloc(heap, 2 * FPH_GROUP * FPHEAP_CHUNK));
    assert_int_equal(errno, ENOMEM);
    heap->state->groups_max = groups;
    assert_true(the_book.came > 1);
    assert_int_equal(the_book.n, 1);
    check_book(heap);
    fpheap_free(heap, object);
    end(heap);
}

/* --- refusals ------------------------------------------------------------- */

/* At its first, second, third ... region, for ever and once. */
static void
a_refused_region_goes_back_and_the_call_fails_with_that_error(void **state)
{
    unsigned first;

    (void)state;
    for (first = 2; first < 12; first++) {
        fpheap  *heap = fresh();
        unsigned n, served;

        the_book.error = -EPERM;
        the_book.refuse_from = first;
        the_book.refuse_to = UINT_MAX;
        served = n = take(heap, 60000, 2000);
        assert_int_equal(errno, EPERM);
        assert_true(the_book.refused > 0);
        TEST_CHECK_LIVE(heap, n);
        check_book(heap);
        assert_int_equal(fpheap_reserve(heap, 9 * FPHEAP_CHUNK, 0), -EPERM);
        check_book(heap);
        the_book.refuse_from = 0;
        objects[n] = fpheap_alloc(heap, 60000);
        assert_non_null(objects[n++]);
        check_book(heap);
        assert_true(n > served);
        fpheap_free_bulk(heap, objects, n);
        end(heap);
    }
}

static void
what_was_refused_counts_no_more_against_the_limit(void **state)
{
    const size_t limit = 9 * FPHEAP_CHUNK;
    fpheap      *heap;
    fpheap_stats stats;
    void        *object;
    unsigned     n;

    (void)state;
    memset(&the_book, 0, sizeof(the_book));
    test_provider_init(&provider);
    assert_non_null(heap = watched(limit, 1));
    object = fpheap_alloc(heap, 100); /* keeps the first region */
    the_book.error = -EPERM;
    the_book.refuse_from = 2;
    the_book.refuse_to = UINT_MAX;
    for (n = 0; n < 20; n++) {
        if (fpheap_alloc(heap, 2 * FPHEAP_CHUNK) != NULL)
            fail();
        assert_int_equal(errno, EPERM);
    }
    the_book.refuse_from = 0;
    n = take(heap, FPHEAP_CHUNK / 4, 100);
    assert_int_equal(errno, ENOSPC);
    fpheap_stats_get(heap, &stats);
    assert_int_equal(stats.region_bytes, limit);
    check_book(heap);
    fpheap_free_bulk(heap, objects, n);
    fpheap_free(heap, object);
    end(heap);
}

static void
refused_at_create_there_is_no_heap(void **state)
{
    (void)state;
    memset(&the_book, 0, sizeof(the_book));
    test_provider_init(&provider);
    the_book.refuse_from = 1;
    the_book.refuse_to = UINT_MAX;
    the_book.error = -EPERM;
    assert_null(watched(0, 1));
    assert_int_equal(errno, EPERM);
    the_book.error = 7; /* no errno */
    assert_null(watched(0, 1));
    assert_int_equal(errno, EINVAL);
    assert_int_equal(the_book.left, 0);
    assert_int_equal(provider.held, 0);
    assert_int_equal(provider.wrong, 0);
}

/* As when the provider says so: a device may have room for half. */
static void
a_region_that_is_refused_is_asked_for_in_less(void **state)
{
    fpheap *heap = fresh();
    void   *large = fpheap_alloc(heap, 100 * FPHEAP_CHUNK);
    void   *two[2];

    (void)state;
    assert_non_null(large);
    the_book.error = -ENOMEM;
    the_book.refuse_above = 2 * FPHEAP_CHUNK;
    assert_int_equal(fpheap_alloc_bulk(heap, FPHEAP_CHUNK, two, 2), 0);
    assert_true(the_book.refused > 0);
    check_book(heap);
    fpheap_free_bulk(heap, two, 2);
    fpheap_free(heap, large);
    end(heap);
}

/* One that is too long for the limit is, for the provider may know better. */
static void
a_region_as_long_as_asked_is_not_asked_for_again(void **state)
{
    fpheap       *heap = fresh();
    fpheap_region raw;
    unsigned      gets = provider.gets;

    (void)state;
    the_book.error = -ENOSPC;
    the_book.refuse_from = the_book.came + 1;
    the_book.refuse_to = UINT_MAX;
    assert_int_equal(fph_obtain(heap, 0, fph_need_of(heap, 3 * FPH_PAGES, 1),
                                3, &raw), -ENOSPC);
    assert_int_equal(provider.gets, gets + 1);
    check_book(heap);
    end(heap);
}

/* Neither may it stay beyond the limit, where a region that came within it
 * would. */
static void
what_is_refused_and_not_taken_back_is_waste(void **state)
{
    fpheap      *heap = fresh();
    void        *object = fpheap_alloc(heap, 100); /* keeps its region */
    fpheap_stats before;
    fpheap_stats after;
    unsigned     error;

    (void)state;
    for (error = 0; error < 2; error++) {
        fpheap_stats_get(heap, &before);
        the_book.error = error == 0 ? -EPERM : -ENOSPC;
        the_book.refuse_from = the_book.came + 1;
        the_book.refuse_to = UINT_MAX;
        provider.put_error = -EBUSY;
        assert_null(fpheap_alloc(heap, 4 * FPHEAP_CHUNK));
        assert_int_equal(errno, error == 0 ? EPERM : ENOSPC);
        fpheap_stats_get(heap, &after);
        assert_int_equal(after.regions, before.regions);
        assert_int_equal(after.region_bytes - before.region_bytes,
                         after.waste_bytes - before.waste_bytes);
        assert_true(after.waste_bytes > before.waste_bytes);
        the_book.refuse_from = 0;
        provider.put_error = 0;
        TEST_CHECK_LIVE(heap, 1);
    }
    fpheap_free(heap, object);
    TEST_DESTROY(heap);
    assert_int_equal(the_book.n, 0);
    assert_int_equal(the_book.wrong, 0);
    test_provider_drop(&provider);
}

/* Each time the provider has one more that it cannot have back. */
static void
a_heap_that_has_lost_eight_regions_asks_for_no_more(void **state)
{
    fpheap      *heap = fresh();
    fpheap_stats stats;
    unsigned     lost = 0, gets;

    (void)state;
    the_book.error = -EPERM;
    the_book.refuse_from = the_book.came + 1;
    the_book.refuse_to = UINT_MAX;
    provider.put_error = -EBUSY;
    fpheap_stats_get(heap, &stats);
    do {
        assert_int_equal(heap->state->lost, lost);
        gets = provider.gets;
        errno = 0;
        assert_null(fpheap_alloc(heap, 4 * FPHEAP_CHUNK));
        assert_in_range(provider.gets - gets, 0, 1);
        lost += provider.gets - gets;
    } while (provider.gets != gets);
    assert_int_equal(lost, 8);
    assert_int_equal(errno, EFAULT);
    assert_int_equal(provider.held, stats.regions + lost);
    provider.put_error = 0;
    the_book.refuse_from = 0;
    TEST_DESTROY(heap);
    test_provider_drop(&provider);
}

/* The usual length is tried on its node alone; the shortest one there first,
 * and then on the others. */
static void
records_are_of_another_node_only_where_theirs_has_no_page(void **state)
{
    static size_t page[4][4096];
    fpheap       *heap;
    size_t        pages, n[4] = { 0 }, one;
    int           node, i;

    (void)state;
    memset(&the_book, 0, sizeof(the_book));
    test_provider_init(&provider);
    heap = watched(0, 4);
    assert_non_null(heap);
    for (node = 0; node < 4; node++)
        assert_int_equal(fpheap_reserve(heap, FPHEAP_CHUNK / 2, node), 0);
    heap->state->meta_numbers += 64; /* blocks are longer then */
    for (node = 0; node < 4; node++) {
        while ((one = fph_pages_find(heap, node, 1, 1)) != FPH_NO_PAGE) {
            assert_true(n[node] < TEST_COUNT(page[node]));
            page[node][n[node]++] = one;
        }
        assert_true(n[node] > 0);
    }
    for (node = 0; node < 4; node++)
        fph_pages_give(heap->state, page[node][0], 1);
    for (node = 0; node < 4; node++) {
        one = fph_block_pages(heap, node, FPH_LINE, &pages);
        assert_int_equal(one, page[node][0]);
        assert_int_equal(pages, 1);
        i = (node + 1) % 4;
        one = fph_block_pages(heap, node, FPH_LINE, &pages);
        assert_int_equal(one, page[i][0]);
        fph_pages_give(heap->state, page[i][0], 1);
        fph_pages_give(heap->state, page[node][0], 1);
    }
    heap->state->meta_numbers -= 64;
    for (node = 0; node < 4; node++)
        while (n[node] > 1)
            fph_pages_give(heap->state, page[node][--n[node]], 1);
    end(heap);
}

/* --- regions that stay ---------------------------------------------------- */

static unsigned decommits, huge_asked;

static void
count_decommit(void *ctx, void *base, size_t bytes)
{
    (void)ctx, (void)base, (void)bytes;
    decommits++;
}

static int
count_huge(void *ctx, void *chunk, size_t bytes, fpheap_huge what)
{
    (void)ctx, (void)chunk, (void)bytes, (void)what;
    huge_asked++;
    return 0;
}

/* A device goes on using the pages that it has pinned. */
static void
what_is_behind_memory_that_a_watcher_has_seen_stays(void **state)
{
    int watch;

    (void)state;
    for (watch = 0; watch < 2; watch++) {
        fpheap_config config;
        fpheap       *heap;
        void         *live;

        memset(&the_book, 0, sizeof the_book);
        memset(&config, 0, sizeof config);
        test_provider_init(&provider);
        provider.calls.decommit = count_decommit;
        provider.calls.huge = count_huge;
        config.provider = &provider.calls;
        config.watch = watch ? book_watch : NULL;
        config.watch_ctx = &the_book;
        heap = fpheap_create("pinned", &config);
        assert_non_null(heap);
        live = fpheap_alloc(heap, 64);
        fpheap_free(heap, fpheap_alloc(heap, FPHEAP_CHUNK / 2));
        decommits = huge_asked = 0;
        (void)fpheap_trim(heap);
        assert_int_equal(decommits != 0, !watch);
        assert_int_equal(fpheap_reserve(heap, FPHEAP_CHUNK, FPHEAP_ANY_NODE), 0);
        assert_int_equal(huge_asked != 0, !watch);
        fpheap_free(heap, live);
        TEST_DESTROY_OVER(heap, &provider);
    }
}

static void
a_region_that_the_watcher_does_not_let_go_serves_on(void **state)
{
    fpheap  *heap = fresh();
    unsigned n    = take(heap, FPHEAP_CHUNK, 20);
    unsigned gets;
    unsigned held;

    (void)state;
    fpheap_free_bulk(heap, objects, n);
    held = the_book.n;
    the_book.keep = -EBUSY;
    assert_int_equal(fpheap_trim(heap), 0);
    assert_true(the_book.kept > 0);
    assert_int_equal(the_book.n, held);
    assert_int_equal(provider.puts, 0);
    check_book(heap);
    gets = provider.gets;
    assert_int_equal(take(heap, FPHEAP_CHUNK, 20), 20);
    assert_int_equal(provider.gets, gets);
    fpheap_free_bulk(heap, objects, n);

    assert_int_equal(fpheap_destroy(heap), 0); /* whatever it says */
    assert_int_equal(provider.held, 0);
    assert_int_equal(the_book.wrong, 0);
}

static void
what_the_provider_does_not_take_comes_again(void **state)
{
    fpheap  *heap = fresh();
    unsigned n    = take(heap, FPHEAP_CHUNK, 20);
    unsigned came = the_book.came;

    (void)state;
    fpheap_free_bulk(heap, objects, n);
    provider.put_error = -EBUSY;
    assert_int_equal(fpheap_trim(heap), 0);
    assert_true(the_book.left > 0);
    assert_int_equal(the_book.came - came, the_book.left);
    check_book(heap);
    assert_int_equal(take(heap, FPHEAP_CHUNK, 20), 20);
    check_book(heap);
    fpheap_free_bulk(heap, objects, n);
    provider.put_error = 0;
    assert_true(fpheap_trim(heap) > 0);
    end(heap);
}

static void
refused_then_it_serves_no_more_and_goes_at_the_end(void **state)
{
    fpheap      *heap = fresh();
    unsigned     n    = take(heap, FPHEAP_CHUNK, 20);
    fpheap_stats before;
    fpheap_stats after;
    unsigned     lost, i;

    (void)state;
    fpheap_free_bulk(heap, objects, n);
    fpheap_stats_get(heap, &before);
    provider.put_error = -EBUSY;
    the_book.error = -EPERM;
    the_book.refuse_from = the_book.came + 1;
    the_book.refuse_to = UINT_MAX;
    assert_int_equal(fpheap_trim(heap), 0);
    lost = the_book.refused;
    assert_true(lost > 0);
    assert_int_equal(the_book.n + lost, provider.held);
    fpheap_stats_get(heap, &after);
    assert_int_equal(after.region_bytes, before.region_bytes);
    TEST_CHECK_LIVE(heap, 0);

    provider.put_error = 0;
    the_book.refuse_from = 0;
    n = take(heap, FPHEAP_CHUNK, 40);
    assert_int_equal(n, 40);
    for (i = 0; i < n; i++) {
        const test_grant *grant = test_grant_of(&provider, objects[i]);

        assert_true(book_find(&the_book, grant->region.base) < the_book.n);
    }
    fpheap_free_bulk(heap, objects, n);
    end(heap); /* wrong would count one that is told to leave twice */
}

/* --- from inside ---------------------------------------------------------- */

static fpheap  *inside_heap;
static unsigned inside_served;
static int      inside_error;

static void
use_the_heap(int leaving)
{
    void *object;

    (void)leaving;
    if (inside_heap == NULL)
        return;
    object = fpheap_alloc(inside_heap, 100);
    inside_served += object != NULL;
    fpheap_free(inside_heap, object);
    object = fpheap_alloc(inside_heap, 1000 * FPHEAP_CHUNK);
    if (object == NULL)
        inside_error = errno;
    fpheap_free(inside_heap, object);
}

static void
the_watcher_may_use_the_memory_that_the_heap_has(void **state)
{
    fpheap  *heap = fresh();
    unsigned n;

    (void)state;
    fpheap_free(heap, fpheap_alloc(heap, 100));
    inside_heap = heap;
    inside_served = 0;
    inside_error = 0;
    the_book.inside = use_the_heap;
    n = take(heap, FPHEAP_CHUNK, 20);
    assert_int_equal(n, 20);
    assert_true(inside_served > 0);
    assert_int_equal(inside_error, EDEADLK);
    fpheap_free_bulk(heap, objects, n);
    inside_served = 0;
    assert_true(fpheap_trim(heap) > 0);
    assert_true(inside_served > 0);
    the_book.inside = NULL;
    inside_heap = NULL;
    check_book(heap);
    end(heap);
}

/* --- walks ---------------------------------------------------------------- */

static void
a_walk_ends_where_its_visitor_says(void **state)
{
    fpheap  *heap = fresh();
    unsigned n    = take(heap, FPHEAP_CHUNK, 20);
    shown    s    = { heap, 0, 0, 3, 0 };

    (void)state;
    assert_int_equal(fpheap_region_walk(heap, show, &s), 42);
    assert_int_equal(s.n, 3);
    fpheap_free_bulk(heap, objects, n);
    assert_true(fpheap_trim(heap) > 0); /* what it showed last goes, too */
    assert_int_equal(the_book.n, 0);
    end(heap);
}

/* It trims: what it has been shown, and will be, goes; what it is shown stays
 * until it returns. */
static int
trim_what_is_shown(void *arg, const fpheap_region *region)
{
    shown *s = (shown *)arg;

    s->n++;
    s->trimmed += fpheap_trim(s->heap);
    if (book_find(&the_book, region->base) == the_book.n)
        return -1;
    memset((char *)region->base + region->bytes - 64, 0x5a, 64);
    return 0;
}

static void
the_region_that_is_shown_stays_while_it_is(void **state)
{
    fpheap  *heap = fresh();
    unsigned n    = take(heap, FPHEAP_CHUNK, 20);
    shown    s    = { heap, 0, 0, 0, 0 };

    (void)state;
    fpheap_free_bulk(heap, objects, n);
    fpheap_reserve(heap, FPHEAP_CHUNK, 0);
    assert_true(the_book.n > 2);
    assert_int_equal(fpheap_region_walk(heap, trim_what_is_shown, &s), 0);
    assert_true(s.n >= 1);
    assert_true(s.trimmed > 0);
    fpheap_trim(heap);
    assert_int_equal(the_book.n, 0);
    check_book(heap);
    end(heap);
}

static int
walk_again(void *arg, const fpheap_region *region)
{
    (void)region;
    check_book((fpheap *)arg);
    return 0;
}

static void
walks_may_be_in_one_another(void **state)
{
    fpheap  *heap = fresh();
    unsigned n    = take(heap, FPHEAP_CHUNK, 20);

    (void)state;
    assert_int_equal(fpheap_region_walk(heap, walk_again, heap), 0);
    fpheap_free_bulk(heap, objects, n);
    assert_true(fpheap_trim(heap) > 0);
    assert_int_equal(the_book.n, 0);
    end(heap);
}

/* --- fork ----------------------------------------------------------------- */

static fpheap *parents;

static int
use_what_is_inherited(void)
{
    unsigned came = the_book.came;
    unsigned n    = the_book.n;
    shown    s    = { parents, 0, 0, 0, 0 };

    if (fpheap_region_walk(parents, show, &s) != 0 || s.n != n
        || s.unknown != 0 || the_book.came != came)
        return 1;
    if (take(parents, 5 * FPHEAP_CHUNK, 4) != 4 || the_book.came == came)
        return 2;
    fpheap_free_bulk(parents, objects, 4);
    if (fpheap_destroy_forced(parents) != 0 || the_book.n != 0
        || the_book.wrong != 0)
        return 3;
    return 0;
}

static void
a_child_is_told_of_its_own_and_is_shown_what_it_inherits(void **state)
{
    void *live;

    (void)state;
    parents = fresh();
    live = fpheap_alloc(parents, 10 * FPHEAP_CHUNK);
    assert_non_null(live);
    test_in_child(use_what_is_inherited);
    check_book(parents);
    fpheap_free(parents, live);
    end(parents);
}

/* Give all back that is there, but for one region. */
static int
end_but_for_one(void)
{
    provider.inside_put = NULL;
    fph_this.frames = NULL;    /* the call is another thread's */
    return fpheap_destroy_forced(parents) == 0 && provider.wrong == 0
        && provider.held == 1 ? 0 : 1;
}

static int
end_all(void)
{
    return fpheap_destroy_forced(parents) == 0 && provider.wrong == 0
        && provider.held == 0 ? 0 : 1;
}

/* Two threads of the parent are asking for regions, one in a slot that a region
 * has left. */
static void
a_child_gives_back_nothing_for_a_region_that_another_asks_for(void **state)
{
    fph_region  *left, *unused;
    unsigned     n;
    fpheap_stats stats;

    (void)state;
    parents = fresh();
    n = take(parents, FPHEAP_CHUNK, 20);
    fpheap_free_bulk(parents, objects, n);
    assert_true(fpheap_trim(parents) > 0);
    left = fph_region_slot(parents->state);
    assert_non_null(left->raw.base);
    while ((unused = fph_region_slot(parents->state))->raw.base != NULL)
        ;
    fpheap_stats_get(parents, &stats);
    assert_int_equal(stats.regions, provider.held);
    test_in_child(end_all);
    for (; unused >= parents->state->region; unused--)
        if (unused->shown == 0)
            unused->used = 0;
    end(parents);
}

/* It came back, and the watcher refused it. */
static void
a_child_gives_back_what_serves_no_more(void **state)
{
    unsigned n;

    (void)state;
    parents = fresh();
    n = take(parents, FPHEAP_CHUNK, 20);
    fpheap_free_bulk(parents, objects, n);
    provider.put_error = -EBUSY;
    the_book.error = -EPERM;
    the_book.refuse_from = the_book.came + 1;
    the_book.refuse_to = UINT_MAX;
    assert_int_equal(fpheap_trim(parents), 0);
    assert_true(the_book.refused > 0);
    provider.put_error = 0;
    the_book.refuse_from = 0;
    test_in_child(end_all);
    end(parents);
}

static void
see_a_child_end_the_heap(test_provider *unused)
{
    (void)unused;
    provider.inside_put = NULL;
    test_in_child(end_but_for_one);
}

static void
a_child_does_not_give_back_again_what_another_gives_back(void **state)
{
    unsigned n;

    (void)state;
    parents = fresh();
    n = take(parents, FPHEAP_CHUNK, 20);
    fpheap_free_bulk(parents, objects, n);
    provider.inside_put = see_a_child_end_the_heap;
    assert_true(fpheap_trim(parents) > 0);
    assert_null(provider.inside_put);
    end(parents);
}

/* --- the tables by themselves --------------------------------------------- */

static fpheap *
heap_on_two_nodes(void)
{
    fpheap_config config;
    fpheap       *heap;

    test_provider_init(&provider);
    memset(&config, 0, sizeof config);
    config.provider = &provider.calls;
    config.nodes = 2;
    heap = fpheap_create("tables", &config);
    assert_non_null(heap);
    return heap;
}

/* Memory that is in no table yet; nobody touches it. */
static fpheap_region
piece_at(char *base, size_t bytes, int node, fpheap_backing backing)
{
    fpheap_region raw;

    memset(&raw, 0, sizeof raw);
    raw.base = base;
    raw.bytes = bytes;
    raw.node = node;
    raw.backing = backing;
    return raw;
}

/* Addresses that no heap has, from a chunk's start on. */
static char *
reserve_chunks(size_t chunks, void **map)
{
    size_t bytes = (chunks + 1) * FPHEAP_CHUNK;

    *map = mmap(NULL, bytes, PROT_NONE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_true(*map != MAP_FAILED);
    return (char *)(((uintptr_t)*map + FPHEAP_CHUNK - 1) & ~FPH_CHUNK_MASK);
}

/* Let pages come that begin so far from `base`.  Returns what that says. */
static int
come(fpheap *heap, char *base, size_t first, size_t pages, int node,
     fpheap_backing backing)
{
    uintptr_t     at  = (uintptr_t)base + first * FPHEAP_PAGE;
    fpheap_region raw = piece_at((char *)at, pages * FPHEAP_PAGE, node,
                                 backing);

    return fph_pages_come(heap->state, (char *)raw.base, pages, &raw);
}

/* Of one node, none twice, and not where IOVAs are contiguous in a chunk. */
static void
a_chunk_is_shared_by_regions_of_its_node(void **state)
{
    fpheap    *heap = heap_on_two_nodes();
    fph_state *s = heap->state;
    void      *map;
    char      *base = reserve_chunks(2, &map);
    fph_chunk *chunk = fph_chunk_of_page(s, fph_page_of(s, base));

    (void)state;
    assert_int_equal(come(heap, base, 4, 4, 1, FPHEAP_BACKING_PAGES), 0);
    assert_ptr_equal(fph_chunk_of(s, base), chunk);
    assert_true(chunk->present == 0xf0 && chunk->meta == 0);
    assert_true(chunk->node == 1 && chunk->plain == 1);
    assert_true(chunk->iova == FPHEAP_BAD_IOVA && chunk->reserved == 0);
    assert_int_equal(come(heap, base, 12, 2, 1, FPHEAP_BACKING_PAGES), 0);
    assert_true(chunk->present == 0x30f0 && chunk->plain == 1);
    assert_int_equal(come(heap, base, 7, 2, 1, FPHEAP_BACKING_PAGES), -EFAULT);
    assert_int_equal(come(heap, base, 8, 2, 0, FPHEAP_BACKING_PAGES), -EFAULT);
    s->alone = 1;
    assert_int_equal(come(heap, base, 8, 2, 1, FPHEAP_BACKING_PAGES), -EFAULT);
    s->alone = 2;
    assert_true(chunk->present == 0x30f0 && chunk->plain == 1);
    assert_int_equal(come(heap, base, 8, 1, 1, FPHEAP_BACKING_HUGETLB), 0);
    assert_true(chunk->present == 0x31f0 && chunk->plain == 0);
    assert_int_equal(come(heap, base, 0, 1, 1, FPHEAP_BACKING_PAGES), 0);
    assert_true(chunk->present == 0x31f1 && chunk->plain == 0);
    s->alone = 0;
    fph_pages_leave(s, base, 12);
    assert_true(chunk->present == 0x3000);
    fph_pages_leave(s, base, FPH_PAGES);
    assert_true(chunk->present == 0 && chunk->base == NULL);
    assert_int_equal(munmap(map, 3 * FPHEAP_CHUNK), 0);
    TEST_DESTROY_OVER(heap, &provider);
}

/* With its records, of which another has use then. */
static void
a_chunk_that_leaves_leaves_nothing_behind(void **state)
{
    fpheap      *heap = heap_on_two_nodes();
    fph_state   *s = heap->state;
    void        *map;
    char        *base = reserve_chunks(2, &map);
    size_t       number = fph_page_of(s, base) / FPH_PAGES;
    fph_chunk   *chunk = &s->chunks[number];
    fph_records *records;

    (void)state;
    assert_int_equal(come(heap, base, 0, FPH_PAGES, 0, FPHEAP_BACKING_PAGES),
                     0);
    assert_int_equal(fph_chunk_ready(heap, number), 1);
    records = chunk->records;
    assert_non_null(records);
    chunk->huge = chunk->reserved = 1;
    fph_meta_mark(s, base + 3 * FPHEAP_PAGE, 4, 1 /* marked */);
    assert_true(chunk->meta == 0x78);
    fph_meta_mark(s, base + 4 * FPHEAP_PAGE, 2, 0 /* marked */);
    assert_true(chunk->meta == 0x48);
    fph_pages_leave(s, base, FPH_PAGES - 1);
    assert_ptr_equal(chunk->records, records);
    assert_int_equal(chunk->huge, 0);
    fph_pages_leave(s, base, FPH_PAGES);
    assert_null(chunk->records);
    assert_null(fph_chunk_of(s, base));
    assert_ptr_equal(fph_stack_top(s, &s->records.word), &records->link);
    assert_int_equal(come(heap, base, 0, FPH_PAGES, 1, FPHEAP_BACKING_THP), 0);
    assert_true(chunk->node == 1 && chunk->plain == 0 && chunk->huge == 0);
    assert_true(chunk->reserved == 0 && chunk->meta == 0);
    fph_pages_leave(s, base, FPH_PAGES);
    assert_int_equal(munmap(map, 3 * FPHEAP_CHUNK), 0);
    TEST_DESTROY_OVER(heap, &provider);
}

/* A part of a chunk at either end may be taken; a whole one between may not. */
static void
memory_comes_with_all_its_whole_chunks_or_not_at_all(void **state)
{
    fpheap    *heap = heap_on_two_nodes();
    fph_state *s = heap->state;
    void      *map;
    char      *base = reserve_chunks(4, &map);
    fph_chunk *chunk = fph_chunk_of_page(s, fph_page_of(s, base));
    size_t     three = 3 * FPH_PAGES, groups;
    char      *far;

    (void)state;
    assert_int_equal(come(heap, base, 2 * FPH_PAGES, 4, 0,
                          FPHEAP_BACKING_PAGES), 0);
    assert_int_equal(come(heap, base, 0, three, 0, FPHEAP_BACKING_PAGES),
                     -EFAULT);
    assert_true(chunk[0].present == 0 && chunk[0].base == NULL);
    assert_true(chunk[1].present == 0 && chunk[1].base == NULL);
    assert_true(chunk[2].present == 0xf);
    assert_int_equal(come(heap, base, 0, 2 * FPH_PAGES + 5, 0,
                          FPHEAP_BACKING_PAGES), 0);
    assert_true(chunk[0].present == FPH_ALL_PAGES);
    assert_true(chunk[1].present == FPH_ALL_PAGES);
    assert_true(chunk[2].present == 0xf);
    fph_pages_leave(s, base, three);
    assert_int_equal(come(heap, base, three, 1, 0, FPHEAP_BACKING_PAGES), 0);
    chunk[3].base += FPHEAP_CHUNK; /* as of one that is far away */
    assert_int_equal(come(heap, base, three, 1, 0, FPHEAP_BACKING_PAGES),
                     -EFAULT);
    chunk[3].base -= FPHEAP_CHUNK;
    fph_pages_leave(s, base, 4 * FPH_PAGES);
    /* There are tables for no more groups of chunks. */
    far = base;
    while (fph_is_open(s, fph_page_of(s, far) / FPH_PAGES))
        far += FPH_GROUP * FPHEAP_CHUNK;
    groups = s->groups_max;
    s->groups_max = (size_t)s->groups_used;
    assert_int_equal(come(heap, far, 0, 1, 0, FPHEAP_BACKING_PAGES), -EFAULT);
    assert_int_equal(come(heap, far, 0, FPH_PAGES, 0, FPHEAP_BACKING_PAGES),
                     -ENOMEM);
    assert_null(fph_chunk_of(s, far));
    s->groups_max = groups;
    assert_int_equal(munmap(map, 5 * FPHEAP_CHUNK), 0);
    TEST_DESTROY_OVER(heap, &provider);
}

/* A free of NULL looks there. */
static void
the_first_page_of_all_is_never_free(void **state)
{
    fpheap    *heap = heap_on_two_nodes();
    fph_state *s = heap->state;

    (void)state;
    assert_int_equal(come(heap, NULL, 0, 4, 0, FPHEAP_BACKING_PAGES), 0);
    fph_pages_open(s, NULL, 4);
    assert_true(s->free[0] == 0xe && s->chunks[0].meta == 1);
    assert_true(fph_part_take(s, 0, FPH_ALL_PAGES) == 0xe);
    fph_pages_leave(s, NULL, 4);
    TEST_DESTROY_OVER(heap, &provider);
}

/* What is asked, and what is answered. */
static uintptr_t iova_of[16];
static unsigned  iovas;
static uint64_t  no_iova;      /* for all; 0: there are some */

static uint64_t
note_iova(void *ctx, const void *at)
{
    assert_ptr_equal(ctx, &provider);
    assert_int_equal(fph_this.frames->what, FPH_IN_PROVIDER);
    assert_true(iovas < TEST_COUNT(iova_of));
    iova_of[iovas++] = (uintptr_t)at;
    return no_iova != 0 ? no_iova : (uintptr_t)at + ((uint64_t)1 << 50);
}

/* As if its region began where the chunk does. */
static void
the_iova_of_a_chunk_is_asked_for_where_its_memory_begins(void **state)
{
    fpheap    *heap = heap_on_two_nodes();
    fph_state *s = heap->state;
    void      *map;
    char      *base = reserve_chunks(3, &map);
    fph_chunk *chunk = fph_chunk_of_page(s, fph_page_of(s, base));
    uint64_t   start = (uintptr_t)base + ((uint64_t)1 << 50);

    (void)state;
    assert_int_equal(fph_need_of(heap, 3, 2).whole, 0);
    heap->provider.iova = note_iova;
    assert_int_equal(fph_need_of(heap, 3, 2).whole, 1);
    assert_int_equal(come(heap, base, 5, FPH_PAGES, 0, FPHEAP_BACKING_PAGES),
                     0);
    iovas = 0;
    fph_pages_ask(heap, s, base + 5 * FPHEAP_PAGE, 2 * FPH_PAGES);
    assert_null(fph_this.frames);
    assert_int_equal(iovas, 2);
    assert_true(iova_of[0] == (uintptr_t)base + 5 * FPHEAP_PAGE);
    assert_true(iova_of[1] == (uintptr_t)base + FPHEAP_CHUNK);
    assert_true(chunk[0].iova == start);
    assert_true(chunk[1].iova == start + FPHEAP_CHUNK);
    no_iova = FPHEAP_BAD_IOVA;
    fph_pages_ask(heap, s, base + 5 * FPHEAP_PAGE, 2);
    assert_true(chunk[0].iova == FPHEAP_BAD_IOVA);
    no_iova = 0;
    heap->provider.iova = NULL;
    fph_pages_leave(s, base, 2 * FPH_PAGES);
    assert_int_equal(munmap(map, 4 * FPHEAP_CHUNK), 0);
    TEST_DESTROY_OVER(heap, &provider);
}

/* --- regions by themselves ------------------------------------------------ */

/* Whether a region that is here joins this piece. */
static int
joins(fpheap_region raw, fpheap_region *to, uint64_t shown)
{
    fph_region region;
    int        is;

    memset(&region, 0, sizeof region);
    region.used = 1;
    region.shown = shown;
    region.raw = raw;
    is = fph_region_join(&region, to);
    assert_true(region.shown == (is ? 0 : shown));
    return is;
}

static void
neighbours_join_that_differ_in_nothing_else(void **state)
{
    char          *base = (char *)(uintptr_t)(64 * FPHEAP_CHUNK);
    const size_t   two = 2 * FPHEAP_CHUNK;
    fpheap_region  raw = piece_at(base, two, 1, FPHEAP_BACKING_PAGES);
    fpheap_region  to, was;
    unsigned       i;

    (void)state;
    for (i = 0; i < 8; i++) {
        to = piece_at(base + two, FPHEAP_CHUNK, 1, FPHEAP_BACKING_PAGES);
        to.node += i == 1;
        to.backing = i == 2 ? FPHEAP_BACKING_THP : to.backing;
        to.cookie = i == 3 ? &was : NULL;
        to.base = (char *)to.base + (i == 4);
        to.base = i == 5 ? base - FPHEAP_CHUNK : to.base;
        to.bytes -= i == 6;
        was = to;
        assert_int_equal(joins(raw, &to, i == 7 ? FPH_HERE + 1 : FPH_HERE),
                         i == 0 || i == 5 || i == 6);
        if (i == 0 || i == 5 || i == 6) {
            assert_ptr_equal(to.base, i == 5 ? base - FPHEAP_CHUNK : base);
            assert_int_equal(to.bytes, was.bytes + two);
        } else {
            assert_true(same_region(&to, &was));
        }
    }
    assert_int_equal(joins(raw, &to, 0), 0);
}

/* The slot that the memory had goes back, and that of its neighbour stays. */
static void
what_comes_beside_a_region_has_its_slot_if_parts_may_go(void **state)
{
    static const unsigned flags[] = { 0, FPHEAP_ZEROES, FPHEAP_PARTS,
                                      FPHEAP_PARTS | FPHEAP_ZEROES };
    fpheap       *heap = heap_on_two_nodes();
    fph_state    *s = heap->state;
    fpheap_region usual = s->region[0].raw, next = usual;
    unsigned      i;

    (void)state;
    next.base = (char *)usual.base + usual.bytes;
    next.bytes = FPHEAP_CHUNK;
    for (i = 0; i < TEST_COUNT(flags); i++) {
        fph_region *slot = fph_region_slot(s);
        int         parts = (flags[i] & FPHEAP_PARTS) != 0;

        assert_ptr_equal(slot, &s->region[1]);
        heap->provider.flags = flags[i];
        fph_region_list(heap, s, slot, &next);
        assert_true(s->region[0].used == 1 && slot->used == !parts);
        assert_true(s->region[0].shown == FPH_HERE);
        assert_true(slot->shown == (parts ? 0 : FPH_HERE));
        assert_int_equal(s->region[0].raw.bytes,
                         usual.bytes + (parts ? FPHEAP_CHUNK : 0));
        assert_true(parts || same_region(&slot->raw, &next));
        s->region[0].raw = usual;
        slot->used = slot->shown = 0;
    }
    heap->provider.flags = 0;
    TEST_DESTROY_OVER(heap, &provider);
}

/* Cut a part out of a region of 100 bytes.  Returns its slot; the others are
 * in region[0], and region[1] if there are two. */
static fph_region *
cut(fph_state *s, size_t from, size_t bytes, fph_region *region[2])
{
    char         *base = (char *)(uintptr_t)(64 * FPHEAP_CHUNK);
    fpheap_region raw = piece_at(base, 100, 1, FPHEAP_BACKING_PAGES);
    fpheap_region part = piece_at(base + from, bytes, 1, FPHEAP_BACKING_PAGES);
    fph_region   *own;
    size_t        i;

    region[0] = fph_region_slot(s);
    region[1] = NULL;
    region[0]->raw = raw;
    own = fph_region_cut(s, region[0], &part);
    for (i = 0; i < s->regions_max; i++)
        if (s->region[i].shown == FPH_HERE && &s->region[i] != region[0]
            && s->region[i].raw.base == base + from + bytes)
            region[1] = &s->region[i];
    return own;
}

static void
forget(fph_region *region)
{
    if (region != NULL)
        region->used = region->shown = 0;
}

static int
is_piece(const fph_region *region, size_t from, size_t bytes)
{
    return region->used == 1 && region->shown == FPH_HERE
        && (uintptr_t)region->raw.base == 64 * FPHEAP_CHUNK + from
        && region->raw.bytes == bytes && region->raw.node == 1
        && region->raw.backing == FPHEAP_BACKING_PAGES;
}

static void
what_is_left_of_a_region_is_in_front_of_a_part_and_behind_it(void **state)
{
    static const size_t parts[][2] = { { 0, 100 }, { 0, 40 }, { 40, 60 },
                                       { 1, 99 }, { 0, 99 }, { 30, 50 },
                                       { 1, 98 } };
    fpheap     *heap = heap_on_two_nodes();
    fph_state  *s = heap->state;
    fph_region *region[2], *own;
    uint64_t    regions = s->regions;
    unsigned    i;

    (void)state;
    for (i = 0; i < TEST_COUNT(parts); i++) {
        size_t front = parts[i][0], rest = 100 - front - parts[i][1];

        own = cut(s, front, parts[i][1], region);
        assert_non_null(own);
        assert_true(own->used == 1 && own->shown == 0);
        assert_int_equal(own == region[0], front == 0 && rest == 0);
        if (front != 0)
            assert_true(is_piece(region[0], 0, front));
        else if (rest != 0)
            assert_true(is_piece(region[0], 100 - rest, rest));
        assert_int_equal(region[1] != NULL, front != 0 && rest != 0);
        if (region[1] != NULL)
            assert_true(is_piece(region[1], 100 - rest, rest));
        forget(own);
        forget(region[0]);
        forget(region[1]);
    }
    s->regions = regions;
    TEST_DESTROY_OVER(heap, &provider);
}

/* As many slots as it takes, or none. */
static void
a_part_stays_where_the_table_has_no_slots_for_the_rest(void **state)
{
    fpheap     *heap = heap_on_two_nodes();
    fph_state  *s = heap->state;
    fph_region *region[2], *own;
    uint64_t    regions = s->regions;
    size_t      left, i;

    (void)state;
    for (left = 1; left <= 3; left++) {
        for (i = 1; i < s->regions_max - left; i++)
            s->region[i].used = 1;
        own = cut(s, 30, 50, region);
        assert_int_equal(own != NULL, left == 3);
        assert_true(region[0]->shown == (left == 3 ? FPH_HERE : 0));
        assert_int_equal(region[1] != NULL, left == 3);
        for (i = s->regions_max - left; i < s->regions_max; i++)
            assert_true(s->region[i].used
                        == (left == 3 || &s->region[i] == region[0]));
        for (i = 1; i < s->regions_max; i++)
            forget(&s->region[i]);
    }
    s->regions = regions;
    TEST_DESTROY_OVER(heap, &provider);
}

/* Whatever its backing says. */
static void
memory_is_counted_when_it_comes_and_when_it_goes(void **state)
{
    fpheap    *heap = heap_on_two_nodes();
    fph_state *s = heap->state;
    unsigned   backing;

    (void)state;
    for (backing = 0; backing < 8; backing++) {
        fpheap_region raw = piece_at(NULL, 1000, 0, (fpheap_backing)backing);
        uint64_t      bytes = s->region_bytes, left = s->left;
        uint64_t      behind = s->backing_bytes[backing & 3];
        uint64_t      releases = s->releases;

        fph_count_region(s, &raw);
        assert_true(s->region_bytes == bytes + 1000);
        assert_true(s->peak_region_bytes == bytes + 1000);
        assert_true(s->backing_bytes[backing & 3] == behind + 1000);
        s->region_bytes = bytes;
        fph_region_gone(s, &raw);
        assert_true(s->backing_bytes[backing & 3] == behind);
        assert_true(s->left == left + 1000 && s->releases == releases + 1);
        s->left = left;
    }
    TEST_DESTROY_OVER(heap, &provider);
}

static void
memory_leaves_down_to_what_is_reserved(void **state)
{
    fpheap    *heap = heap_on_two_nodes();
    fph_state *s = heap->state;
    uint64_t   usual = s->region_bytes;
    fph_region region;

    (void)state;
    s->region_bytes = 1000;
    heap->reserve = 300;
    assert_int_equal(fph_region_spare(heap), 700);
    assert_int_equal(fph_region_may_leave(heap, 701), 0);
    assert_true(s->region_bytes == 1000);
    assert_int_equal(fph_region_may_leave(heap, 100), 1);
    assert_true(s->region_bytes == 900);
    assert_int_equal(fph_region_may_leave(heap, 600), 1);
    assert_true(s->region_bytes == 300);
    assert_int_equal(fph_region_spare(heap), 0);
    heap->reserve = 301;
    assert_int_equal(fph_region_spare(heap), 0);
    heap->reserve = 0;
    s->region_bytes = usual;
    memset(&region, 0, sizeof region);
    assert_int_equal(fph_region_keep(&region), 0);
    region.shown = FPH_HERE;
    assert_int_equal(fph_region_keep(&region), 1);
    assert_true(region.shown == FPH_HERE + 1);
    assert_int_equal(fph_region_keep(&region), 1);
    assert_true(region.shown == FPH_HERE + 2);
    assert_int_equal(fph_region_hide(&region), 0);
    assert_true(region.shown == FPH_HERE + 1);
    assert_int_equal(fph_region_hide(&region), 1);
    assert_true(region.shown == 0);
    TEST_DESTROY_OVER(heap, &provider);
}

/* --- what is free as a whole ---------------------------------------------- */

/* What a provider that takes parts was given back, and what it says. */
static fpheap_region parts_back[16];
static unsigned      backs;
static int           back_says;
static void        (*at_back)(void);

static int
take_part(void *ctx, const fpheap_region *region)
{
    assert_ptr_equal(ctx, &provider);
    assert_int_equal(fph_this.frames->what, FPH_IN_PROVIDER);
    assert_true(backs < TEST_COUNT(parts_back));
    parts_back[backs++] = *region;
    if (at_back != NULL)
        at_back();
    return back_says;
}

/* A heap of two chunks, and a region of four more, whose start is *base. */
static fpheap *
heap_of_parts(char **base)
{
    fpheap *heap = heap_on_two_nodes();

    assert_int_equal(fph_grow(heap, 0, fph_need_of(heap, 1, 1), 4,
                              heap->state->growths), 0);
    *base = (char *)provider.grant[1].region.base;
    heap->provider.flags = FPHEAP_PARTS;
    heap->provider.put = take_part;
    backs = 0;
    back_says = 0;
    at_back = NULL;
    return heap;
}

static void
end_parts(fpheap *heap)
{
    TEST_CHECK_LIVE(heap, 0);
    heap->provider.put = NULL; /* the provider drops all */
    assert_int_equal(fpheap_destroy(heap), 0);
    test_provider_drop(&provider);
}

static size_t
chunk_at(const fpheap *heap, const char *at)
{
    return fph_page_of(heap->state, at) / FPH_PAGES;
}

/* Take the part that is found below `end`, and open it again.  Returns how many
 * chunks it has; *first is its first one's number in the region. */
static size_t
found_fresh(fpheap *heap, fph_region *region, char *end, int keep,
            size_t *first)
{
    fph_state    *s = heap->state;
    fpheap_region part;
    size_t        chunks, i;

    if (!fph_region_fresh(heap, region, end, keep, &part))
        return 0;
    *first = (size_t)((char *)part.base - (char *)region->raw.base)
           / FPHEAP_CHUNK;
    chunks = part.bytes / FPHEAP_CHUNK;
    assert_int_equal(part.bytes % FPHEAP_CHUNK, 0);
    for (i = 0; i < chunks; i++)
        assert_true(s->free[chunk_at(heap, (char *)part.base) + i] == 0);
    fph_pages_open(s, (char *)part.base, chunks * FPH_PAGES);
    return chunks;
}

static void
the_last_chunks_in_a_row_that_are_free_may_go(void **state)
{
    char       *base;
    fpheap     *heap = heap_of_parts(&base);
    fph_state  *s = heap->state;
    fph_region *region = &s->region[1];
    size_t      c = chunk_at(heap, base), first = 0;
    uint64_t    all = s->region_bytes;

    (void)state;
    assert_ptr_equal(region->raw.base, base);
    assert_int_equal(found_fresh(heap, region, NULL, 0, &first), 4);
    assert_int_equal(first, 0);
    assert_int_equal(found_fresh(heap, region, base + 2 * FPHEAP_CHUNK, 0,
                                 &first), 2);
    assert_int_equal(first, 0);
    assert_int_equal(found_fresh(heap, region, base + 9 * FPHEAP_CHUNK, 0,
                                 &first), 4);
    heap->reserve = all - FPHEAP_CHUNK;
    assert_int_equal(found_fresh(heap, region, NULL, 0, &first), 1);
    assert_int_equal(first, 3);
    heap->reserve = all - 3 * FPHEAP_CHUNK + 1;
    assert_int_equal(found_fresh(heap, region, NULL, 0, &first), 2);
    heap->reserve = all;
    assert_int_equal(found_fresh(heap, region, NULL, 0, &first), 0);
    heap->reserve = 0;
    s->chunks[c + 3].reserved = 1;
    assert_int_equal(found_fresh(heap, region, NULL, 1, &first), 3);
    assert_int_equal(first, 0);
    assert_int_equal(found_fresh(heap, region, NULL, 0, &first), 4);
    s->chunks[c + 3].reserved = 0;
    assert_int_equal(fph_part_take(s, c + 1, 2), 2);
    assert_int_equal(found_fresh(heap, region, NULL, 0, &first), 2);
    assert_int_equal(first, 2);
    assert_int_equal(found_fresh(heap, region, base + 2 * FPHEAP_CHUNK, 0,
                                 &first), 1);
    assert_int_equal(first, 0);
    heap->provider.flags = 0;  /* the whole region, or nothing */
    assert_int_equal(found_fresh(heap, region, NULL, 0, &first), 0);
    fph_part_give(s, c + 1, 2);
    assert_int_equal(found_fresh(heap, region, NULL, 0, &first), 4);
    end_parts(heap);
}

static void
all_pages_are_claimed_or_none(void **state)
{
    char      *base;
    fpheap    *heap = heap_of_parts(&base);
    fph_state *s = heap->state;
    size_t     c = chunk_at(heap, base);
    fph_part   part;
    void      *map;

    (void)state;
    assert_int_equal(fph_part_take(s, c + 2, 2), 2);
    assert_int_equal(fph_fresh_take(s, base, 4 * FPH_PAGES), 0);
    assert_true(s->free[c] == FPH_ALL_PAGES);
    assert_true(s->free[c + 1] == FPH_ALL_PAGES);
    assert_true(s->free[c + 2] == (FPH_ALL_PAGES & ~(uint64_t)2));
    assert_true(s->free[c + 3] == FPH_ALL_PAGES);
    assert_int_equal(fph_fresh_take(s, base, 2 * FPH_PAGES), 1);
    assert_true(s->free[c] == 0 && s->free[c + 1] == 0);
    fph_pages_open(s, base, 2 * FPH_PAGES);
    fph_part_give(s, c + 2, 2);
    /* What is not here may go. */
    part = fph_parts((uintptr_t)reserve_chunks(1, &map), FPH_PAGES);
    assert_int_equal(fph_part_next(s, &part), 1);
    assert_int_equal(fph_part_may_go(s, &part, 1), 1);
    assert_int_equal(munmap(map, 2 * FPHEAP_CHUNK), 0);
    /* The last part lies in the last chunk, or begins with the pages. */
    part = fph_last_part(s, base, base + 2 * FPHEAP_CHUNK);
    assert_true(part.at == (uintptr_t)base + FPHEAP_CHUNK
                && part.pages == FPH_PAGES);
    part = fph_last_part(s, base, base + FPHEAP_CHUNK + 3 * FPHEAP_PAGE);
    assert_true(part.at == (uintptr_t)base + FPHEAP_CHUNK && part.pages == 3);
    part = fph_last_part(s, base + 2 * FPHEAP_PAGE, base + 5 * FPHEAP_PAGE);
    assert_true(part.at == (uintptr_t)base + 2 * FPHEAP_PAGE
                && part.pages == 3 && part.mask == 0x1c);
    end_parts(heap);
}

/* No more than it takes: parts from the end of a region, and then those of the
 * region before. */
static void
what_goes_back_is_no_more_than_is_asked_for(void **state)
{
    char      *base;
    fpheap    *heap = heap_of_parts(&base);
    fph_state *s = heap->state;
    size_t     c = chunk_at(heap, base);

    (void)state;
    assert_int_equal(fph_part_take(s, c + 1, 2), 2);
    assert_int_equal(fph_regions_fresh(heap), 5 * FPHEAP_CHUNK);
    assert_int_equal(fph_regions_release(heap, 1, 0, SIZE_MAX), 0);
    assert_int_equal(fph_regions_release(heap, 0, 0, 2 * FPHEAP_CHUNK),
                     2 * FPHEAP_CHUNK);
    assert_int_equal(backs, 1);
    assert_ptr_equal(parts_back[0].base, base + 2 * FPHEAP_CHUNK);
    assert_int_equal(parts_back[0].bytes, 2 * FPHEAP_CHUNK);
    assert_null(fph_chunk_of(s, base + 2 * FPHEAP_CHUNK));
    assert_true(s->region[1].raw.bytes == 2 * FPHEAP_CHUNK);
    assert_int_equal(fph_regions_release(heap, 0, 0, SIZE_MAX),
                     3 * FPHEAP_CHUNK);
    assert_int_equal(backs, 3);
    assert_ptr_equal(parts_back[1].base, base);
    assert_int_equal(parts_back[1].bytes, FPHEAP_CHUNK);
    assert_int_equal(parts_back[2].bytes, 2 * FPHEAP_CHUNK);
    assert_true(s->region[0].used == 0 && s->region[1].used == 1);
    assert_ptr_equal(s->region[1].raw.base, base + FPHEAP_CHUNK);
    assert_int_equal(s->region[1].raw.bytes, FPHEAP_CHUNK);
    fph_part_give(s, c + 1, 2);
    assert_int_equal(fph_regions_fresh(heap), FPHEAP_CHUNK);
    end_parts(heap);
}

/* With what is beside its whole pages. */
static void
a_region_that_is_free_is_all_of_it(void **state)
{
    fpheap     *heap = heap_on_two_nodes();
    fph_state  *s = heap->state;
    fph_region *region;

    (void)state;
    provider.extra = 64;
    assert_int_equal(fph_grow(heap, 0, fph_need_of(heap, 1, 1), 2,
                              s->growths), 0);
    provider.extra = 0;
    region = &s->region[1];
    assert_int_equal(region->raw.bytes, 2 * FPHEAP_CHUNK + 64);
    assert_int_equal(fph_region_fresh_bytes(heap, region),
                     2 * FPHEAP_CHUNK + 64);
    assert_int_equal(fph_regions_fresh(heap), 4 * FPHEAP_CHUNK + 64);
    assert_int_equal(fph_part_take(s, chunk_at(heap, (char *)region->raw.base),
                                   1), 1);
    assert_int_equal(fph_region_fresh_bytes(heap, region), 0);
    heap->provider.flags = FPHEAP_PARTS;
    assert_int_equal(fph_region_fresh_bytes(heap, region), FPHEAP_CHUNK);
    heap->provider.flags = 0;
    fph_part_give(s, chunk_at(heap, (char *)region->raw.base), 1);
    TEST_DESTROY_OVER(heap, &provider);
}

/* What the watcher is told. */
static int      told[16];
static unsigned tells;
static int      refuses_again; /* what has left may not come back */

static int
note_watch(void *ctx, const fpheap_region *region, int leaving)
{
    (void)ctx, (void)region;
    assert_int_equal(fph_this.frames->what, FPH_IN_PROVIDER);
    assert_true(tells < TEST_COUNT(told));
    told[tells++] = leaving;
    return refuses_again && !leaving ? 1 : 0;
}

/* As if another thread let a chunk come there. */
static fph_chunk *taken_chunk;

static void
take_the_chunk(void)
{
    taken_chunk->base = (char *)(uintptr_t)(FPHEAP_CHUNK * 3 + 1);
}

static void
a_part_that_is_not_taken_back_is_here_again(void **state)
{
    char      *base;
    fpheap    *heap = heap_of_parts(&base);
    fph_state *s = heap->state;
    size_t     c = chunk_at(heap, base);
    uint64_t   all = s->region_bytes;

    (void)state;
    heap->watch = note_watch;
    heap->provider.iova = note_iova;
    assert_int_equal(fph_part_take(s, c + 1, 2), 2);
    back_says = -EIO;
    tells = iovas = 0;
    refuses_again = 0;
    assert_int_equal(fph_regions_release(heap, 0, 0, FPHEAP_CHUNK), 0);
    assert_null(fph_this.frames);
    assert_true(tells >= 2 && told[0] == 1 && told[1] == 0);
    assert_true(iovas >= 1 && iova_of[0] >= (uintptr_t)base);
    assert_int_equal(backs * 2, tells);
    assert_true(s->region_bytes == all);
    assert_true(s->free[c + 2] == FPH_ALL_PAGES);
    assert_true(s->free[c + 3] == FPH_ALL_PAGES);
    assert_int_equal(fph_regions_fresh(heap), 5 * FPHEAP_CHUNK);
    heap->watch = NULL;
    heap->provider.iova = NULL;
    back_says = 0;
    fph_part_give(s, c + 1, 2);
    end_parts(heap);
}

/* The slot that has it is nobody's then. */
static void
a_part_that_may_not_come_again_is_barred(void **state)
{
    unsigned way;

    (void)state;
    for (way = 0; way < 2; way++) {
        char       *base;
        fpheap     *heap = heap_of_parts(&base);
        fph_state  *s = heap->state;
        size_t      c = chunk_at(heap, base), i;
        fph_region *barred = NULL;

        assert_int_equal(fph_part_take(s, c + 2, 2), 2);
        heap->watch = note_watch;
        refuses_again = way == 0;
        tells = 0;
        back_says = -EIO;
        taken_chunk = &s->chunks[c + 3];
        at_back = way == 1 ? take_the_chunk : NULL;
        assert_int_equal(fph_region_keep(&s->region[1]), 1);
        {
            fpheap_region part = s->region[1].raw;

            part.base = base + 3 * FPHEAP_CHUNK;
            part.bytes = FPHEAP_CHUNK;
            assert_int_equal(fph_fresh_take(s, (char *)part.base, FPH_PAGES),
                             1);
            assert_int_equal(fph_region_send(heap, &s->region[1], &part), 0);
        }
        assert_true(tells == 2 + way && told[0] == 1 && told[1] == 0);
        assert_int_equal(fph_watch(heap, &s->region[1].raw, 0),
                         way == 0 ? -EINVAL : 0);
        assert_true(way == 0 || told[2] == 1);
        assert_int_equal(s->region[1].raw.bytes, 3 * FPHEAP_CHUNK);
        for (i = 0; i < s->regions_max; i++)
            if (s->region[i].used == FPH_BARRED)
                barred = &s->region[i];
        assert_non_null(barred);
        assert_true(barred->shown == 0);
        assert_ptr_equal(barred->raw.base, base + 3 * FPHEAP_CHUNK);
        assert_int_equal(barred->raw.bytes, FPHEAP_CHUNK);
        assert_true(s->free[c + 3] == 0 && s->chunks[c + 3].present == 0);
        s->chunks[c + 3].base = NULL;
        heap->watch = NULL;
        at_back = NULL;
        fph_part_give(s, c + 2, 2);
        end_parts(heap);
    }
}

static void
a_part_stays_in_its_region_when_the_table_is_full(void **state)
{
    char      *base;
    fpheap    *heap = heap_of_parts(&base);
    fph_state *s = heap->state;
    uint64_t   regions = s->regions;
    size_t     c = chunk_at(heap, base), i;

    (void)state;
    assert_int_equal(fph_part_take(s, c, 1), 1);
    for (i = 2; i < s->regions_max; i++)
        s->region[i].used = 1;
    assert_int_equal(fph_regions_release(heap, 0, 0, FPHEAP_CHUNK),
                     2 * FPHEAP_CHUNK); /* those of the other region */
    assert_int_equal(backs, 1);
    assert_true(s->region[1].shown == FPH_HERE);
    assert_int_equal(s->region[1].raw.bytes, 4 * FPHEAP_CHUNK);
    for (i = 1; i < 4; i++)
        assert_true(s->free[c + i] == FPH_ALL_PAGES);
    for (i = 2; i < s->regions_max; i++)
        s->region[i].used = 0;
    s->regions = regions;
    fph_part_give(s, c, 1);
    end_parts(heap);
}

/* --- asking for memory ---------------------------------------------------- */

static void
a_provider_with_less_is_asked_for_twice_as_much_each_time(void **state)
{
    fpheap    *heap = heap_on_two_nodes();
    fph_state *s = heap->state;

    (void)state;
    assert_int_equal(fph_growth_capped(s, 1, 9), 9);
    fph_growth_learn(s, 1, 8, 8);
    assert_true(s->growth_cap[1] == 0);
    fph_growth_learn(s, 1, 8, 0);
    assert_true(s->growth_cap[1] == 1);
    fph_growth_learn(s, 1, 8, 3);
    assert_true(s->growth_cap[1] == 3 && s->growth_cap[0] == 0);
    assert_int_equal(fph_growth_capped(s, 1, 2), 2);
    assert_int_equal(fph_growth_capped(s, 1, 3), 3);
    assert_int_equal(fph_growth_capped(s, 1, 4), 3);
    assert_int_equal(fph_growth_capped(s, 0, 4), 4);
    fph_growth_learn(s, 1, 3, 3);
    assert_true(s->growth_cap[1] == 6);
    fph_growth_learn(NULL, 1, 3, 3);
    assert_int_equal(fph_growth_capped(NULL, 1, 4), 4);
    TEST_DESTROY_OVER(heap, &provider);
}

static void *hinted;

static int
note_hint(void *ctx, size_t bytes, size_t align, int node,
          fpheap_region *region)
{
    assert_int_equal(fph_this.frames->what, FPH_IN_PROVIDER);
    hinted = region->base;
    return test_provider_get(ctx, bytes, align, node, region);
}

/* Where the heap ends, or where it is needed. */
static void
a_provider_of_parts_is_told_where_memory_would_be_best(void **state)
{
    fpheap    *heap = heap_on_two_nodes();
    fph_state *s = heap->state;
    fph_need   need = fph_need_of(heap, 1, 1);
    char       here;
    unsigned   flags;

    (void)state;
    heap->provider.get = note_hint;
    for (flags = 0; flags < 4; flags++) {
        char *end = s->end;

        assert_ptr_equal(end, (char *)provider.grant[provider.grants - 1]
                              .region.base + (flags ? 1 : 2) * FPHEAP_CHUNK);
        heap->provider.flags = flags;
        hinted = &here;
        assert_int_equal(fph_grow(heap, 0, need, 1, s->growths), 0);
        assert_null(fph_this.frames);
        assert_ptr_equal(hinted, (flags & FPHEAP_PARTS) != 0 ? end : NULL);
        need.at = &here;
        assert_int_equal(fph_grow(heap, 0, need, 1, s->growths), 0);
        assert_ptr_equal(hinted, (flags & FPHEAP_PARTS) != 0 ? &here : NULL);
        need.at = NULL;
    }
    heap->provider.flags = 0;
    TEST_DESTROY_OVER(heap, &provider);
}

/* It gives longer ones at first. */
static void
give_extra_once(test_provider *p)
{
    p->extra = p->gets == 2 ? FPHEAP_CHUNK : 0;
}

static void
what_was_too_long_for_the_limit_is_asked_for_again(void **state)
{
    fpheap       *heap = heap_on_two_nodes();
    fpheap_region raw;
    uint64_t      charged = test_charged(heap);

    (void)state;
    fpheap_set_limit(heap, charged + FPHEAP_CHUNK);
    provider.inside_get = give_extra_once;
    assert_int_equal(fph_obtain(heap, 0, fph_need_of(heap, 1, 1), 1, &raw), 0);
    assert_int_equal(provider.gets, 3);
    assert_int_equal(raw.bytes, FPHEAP_CHUNK);
    assert_true(test_charged(heap) == charged + FPHEAP_CHUNK);
    assert_int_equal(fph_hand_back(heap, &raw, raw.bytes, -EIO), -EIO);
    assert_true(test_charged(heap) == charged);
    provider.inside_get = NULL;
    provider.extra = 2 * FPHEAP_CHUNK;
    assert_int_equal(fph_obtain_bytes(heap, 0, fph_need_of(heap, 1, 1), 1,
                                      &raw), -ENOSPC);
    provider.extra = 0;
    assert_true(test_charged(heap) == charged && provider.held == 1);
    TEST_DESTROY_OVER(heap, &provider);
}

static void
the_first_pages_of_a_region_may_be_the_heaps_own(void **state)
{
    fpheap       *heap = heap_on_two_nodes();
    fph_state    *s = heap->state;
    void         *map;
    char         *base = reserve_chunks(3, &map);
    size_t        c = chunk_at(heap, base);
    fpheap_region raw = piece_at(base, 2 * FPHEAP_CHUNK, 0,
                                 FPHEAP_BACKING_PAGES);
    fph_region   *slot = fph_region_slot(s);
    uint64_t      bytes = s->region_bytes;

    (void)state;
    assert_int_equal(come(heap, base, 2 * FPH_PAGES, 9, 0,
                          FPHEAP_BACKING_PAGES), 0);
    heap->provider.iova = note_iova;
    iovas = 0;
    assert_int_equal(fph_region_enter(heap, s, slot, &raw, 3), 0);
    assert_int_equal(iovas, 2);
    heap->provider.iova = NULL;
    assert_true(s->chunks[c].meta == 7 && s->chunks[c + 1].meta == 0);
    assert_true(s->free[c] == (FPH_ALL_PAGES & ~(uint64_t)7));
    assert_true(s->free[c + 1] == FPH_ALL_PAGES && s->free[c + 2] == 0);
    assert_ptr_equal(s->end, base + 2 * FPHEAP_CHUNK);
    assert_true(s->region_bytes == bytes + 2 * FPHEAP_CHUNK);
    assert_true(slot->shown == FPH_HERE && same_region(&slot->raw, &raw));
    (void)fph_part_take(s, c, FPH_ALL_PAGES);
    (void)fph_part_take(s, c + 1, FPH_ALL_PAGES);
    fph_pages_leave(s, base, 3 * FPH_PAGES);
    s->backing_bytes[FPHEAP_BACKING_PAGES] -= 2 * FPHEAP_CHUNK;
    s->region_bytes = bytes;
    slot->used = slot->shown = 0;
    assert_int_equal(munmap(map, 4 * FPHEAP_CHUNK), 0);
    TEST_DESTROY_OVER(heap, &provider);
}

/* --- hugepages behind what has filled ------------------------------------- */

static char    *made_huge[64];
static unsigned huges;

static int
note_huge(void *ctx, void *chunk, size_t bytes, fpheap_huge what)
{
    assert_ptr_equal(ctx, &provider);
    assert_int_equal(bytes, FPHEAP_CHUNK);
    assert_int_equal(what, FPHEAP_HUGE_IF_FULL);
    assert_int_equal(fph_this.frames->what, FPH_IN_PROVIDER);
    assert_true(huges < TEST_COUNT(made_huge));
    made_huge[huges++] = (char *)chunk;
    return 0;                  /* the kernel has none just now */
}

/* 16 chunks at a time, from where the last look has stopped; each that is full,
 * has none yet, and lies in the system's pages. */
static void
a_growth_looks_at_a_few_full_chunks_and_goes_on_there(void **state)
{
    fpheap    *heap = heap_on_two_nodes();
    fph_state *s = heap->state;
    char      *base, *zero = (char *)provider.grant[0].region.base;
    size_t     c, i;
    uint64_t   usual;

    (void)state;
    assert_int_equal(fph_grow(heap, 0, fph_need_of(heap, 1, 1), 21,
                              s->growths), 0);
    base = (char *)provider.grant[1].region.base;
    c = chunk_at(heap, base);
    usual = s->region_bytes;
    heap->provider.huge = note_huge;
    (void)fph_part_take(s, chunk_at(heap, zero), FPH_ALL_PAGES);
    for (i = 0; i < 20; i++)   /* the 21st is free */
        (void)fph_part_take(s, c + i, FPH_ALL_PAGES);
    fph_part_give(s, c + 1, 1);
    s->chunks[c + 2].huge = 1;
    s->chunks[c + 3].plain = 0;
    huges = 0;
    s->region_bytes = FPH_HUGE_FULL_FROM - 1;
    fph_huge_look(heap);
    assert_int_equal(huges, 0);
    s->region_bytes = FPH_HUGE_FULL_FROM;
    fph_huge_look(heap);
    assert_null(fph_this.frames);
    assert_int_equal(huges, FPH_HUGE_LOOKS);
    for (i = 0; i < huges; i++)
        assert_ptr_equal(made_huge[i], i == 0 ? zero : i == 1 ? base
                                     : base + (i + 2) * FPHEAP_CHUNK);
    assert_ptr_equal(s->huge_next, base + 18 * FPHEAP_CHUNK);
    assert_true(s->region[0].shown == FPH_HERE);
    assert_true(s->region[1].shown == FPH_HERE);
    fph_huge_look(heap);
    assert_int_equal(huges - FPH_HUGE_LOOKS,
                     2 + (zero > base + 18 * FPHEAP_CHUNK));
    assert_ptr_equal(made_huge[huges - 1], base + 19 * FPHEAP_CHUNK);
    assert_null(s->huge_next);
    /* Who has grown looks, and nobody else. */
    huges = 0;
    provider.fail_from = 1;
    provider.fail_to = UINT_MAX;
    assert_int_equal(fph_grow(heap, 0, fph_need_of(heap, 1, 1), 1,
                              s->growths), -ENOMEM);
    assert_int_equal(huges, 0);
    provider.fail_from = 0;
    assert_int_equal(fph_grow(heap, 0, fph_need_of(heap, 1, 1), 1,
                              s->growths), 0);
    assert_int_equal(huges, FPH_HUGE_LOOKS);
    heap->provider.huge = NULL;
    fph_huge_look(heap);
    s->region_bytes = usual + FPHEAP_CHUNK;
    fph_part_give(s, chunk_at(heap, zero), FPH_ALL_PAGES);
    for (i = 0; i < 20; i++)
        fph_part_give(s, c + i, FPH_ALL_PAGES - (i == 1));
    s->chunks[c + 2].huge = 0;
    s->chunks[c + 3].plain = 1;
    TEST_DESTROY_OVER(heap, &provider);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(the_watcher_is_told_of_each_region_once_each_way),
    cmocka_unit_test(a_forced_destroy_tells_of_all_that_leaves),
    cmocka_unit_test(so_does_the_destroy_of_a_heap_that_hands_nothing_back),
    cmocka_unit_test(regions_with_records_are_told_of_too),
    cmocka_unit_test(the_node_is_that_of_the_memory),
    cmocka_unit_test(memory_that_the_heap_cannot_use_is_not_told_of),
    cmocka_unit_test(what_came_in_vain_leaves_again),
    cmocka_unit_test(
        a_refused_region_goes_back_and_the_call_fails_with_that_error),
    cmocka_unit_test(what_was_refused_counts_no_more_against_the_limit),
    cmocka_unit_test(refused_at_create_there_is_no_heap),
    cmocka_unit_test(a_region_that_is_refused_is_asked_for_in_less),
    cmocka_unit_test(a_region_as_long_as_asked_is_not_asked_for_again),
    cmocka_unit_test(records_are_of_another_node_only_where_theirs_has_no_page),
    cmocka_unit_test(what_is_refused_and_not_taken_back_is_waste),
    cmocka_unit_test(a_heap_that_has_lost_eight_regions_asks_for_no_more),
    cmocka_unit_test(what_is_behind_memory_that_a_watcher_has_seen_stays),
    cmocka_unit_test(a_region_that_the_watcher_does_not_let_go_serves_on),
    cmocka_unit_test(what_the_provider_does_not_take_comes_again),
    cmocka_unit_test(refused_then_it_serves_no_more_and_goes_at_the_end),
    cmocka_unit_test(the_watcher_may_use_the_memory_that_the_heap_has),
    cmocka_unit_test(a_chunk_is_shared_by_regions_of_its_node),
    cmocka_unit_test(a_chunk_that_leaves_leaves_nothing_behind),
    cmocka_unit_test(memory_comes_with_all_its_whole_chunks_or_not_at_all),
    cmocka_unit_test(the_first_page_of_all_is_never_free),
    cmocka_unit_test(the_iova_of_a_chunk_is_asked_for_where_its_memory_begins),
    cmocka_unit_test(neighbours_join_that_differ_in_nothing_else),
    cmocka_unit_test(what_comes_beside_a_region_has_its_slot_if_parts_may_go),
    cmocka_unit_test(
        what_is_left_of_a_region_is_in_front_of_a_part_and_behind_it),
    cmocka_unit_test(a_part_stays_where_the_table_has_no_slots_for_the_rest),
    cmocka_unit_test(memory_is_counted_when_it_comes_and_when_it_goes),
    cmocka_unit_test(memory_leaves_down_to_what_is_reserved),
    cmocka_unit_test(the_last_chunks_in_a_row_that_are_free_may_go),
    cmocka_unit_test(all_pages_are_claimed_or_none),
    cmocka_unit_test(what_goes_back_is_no_more_than_is_asked_for),
    cmocka_unit_test(a_region_that_is_free_is_all_of_it),
    cmocka_unit_test(a_part_that_is_not_taken_back_is_here_again),
    cmocka_unit_test(a_part_that_may_not_come_again_is_barred),
    cmocka_unit_test(a_part_stays_in_its_region_when_the_table_is_full),
    cmocka_unit_test(a_provider_with_less_is_asked_for_twice_as_much_each_time),
    cmocka_unit_test(a_provider_of_parts_is_told_where_memory_would_be_best),
    cmocka_unit_test(what_was_too_long_for_the_limit_is_asked_for_again),
    cmocka_unit_test(the_first_pages_of_a_region_may_be_the_heaps_own),
    cmocka_unit_test(a_growth_looks_at_a_few_full_chunks_and_goes_on_there),
    cmocka_unit_test(a_walk_ends_where_its_visitor_says),
    cmocka_unit_test(the_region_that_is_shown_stays_while_it_is),
    cmocka_unit_test(walks_may_be_in_one_another),
    cmocka_unit_test(a_child_is_told_of_its_own_and_is_shown_what_it_inherits),
    cmocka_unit_test(
        a_child_gives_back_nothing_for_a_region_that_another_asks_for),
    cmocka_unit_test(a_child_gives_back_what_serves_no_more),
    cmocka_unit_test(a_child_does_not_give_back_again_what_another_gives_back)
};

int
main(void)
{
    return cmocka_run_group_tests(tests, NULL, NULL);
}
