/* ground.h - a heap over memory of which a test says where each region lies
 *
 * Include it after fpheap.h, with FPHEAP_CHUNK_SHIFT 16.
 */
#ifndef GROUND_H
#define GROUND_H

#include "test_util.h"

#define GROUPS 5
#define CHUNKS ((size_t)GROUPS * FPH_GROUP)
#define PAGES  (CHUNKS * FPH_PAGES)

/* Bytes: the groups, and what lies a narrow window's length behind them. */
#define MAPPED (CHUNKS * FPHEAP_CHUNK + 320 * TEST_MIB)

/* A heap over pieces of memory that lies in a row, from a group's start on. */
typedef struct ground {
    fpheap         *heap;
    fph_state      *state;
    fpheap_provider calls;
    char           *map;
    char           *base;
    size_t          first;     /* page of base */
    fpheap_region   next;      /* to be given; NULL: nothing */
    fpheap_region   back[64];  /* what was put */
    unsigned        puts;
    int             refuses;   /* 1: put fails */
    unsigned        shown;     /* regions that a walk shows while it does */
} ground;

/* Regions that a walk shows, from the lowest on. */
typedef struct shown {
    fpheap_region region[16];
    unsigned      n;
} shown;

TEST_UNUSED static int
note_region(void *shown_, const fpheap_region *region)
{
    shown   *s = (shown *)shown_;
    unsigned i = s->n++;

    assert_true(i < TEST_COUNT(s->region));
    for (; i > 0 && (char *)s->region[i - 1].base > (char *)region->base; i--)
        s->region[i] = s->region[i - 1];
    s->region[i] = *region;
    return 0;
}

TEST_UNUSED static shown
regions_of(const ground *g)
{
    shown s;

    memset(&s, 0, sizeof s);
    assert_int_equal(fpheap_region_walk(g->heap, note_region, &s), 0);
    return s;
}

TEST_UNUSED static int
ground_get(void *ctx, size_t bytes, size_t align, int node,
           fpheap_region *region)
{
    ground *g = (ground *)ctx;

    (void)bytes, (void)align, (void)node;
    if (g->next.base == NULL)
        return -ENOMEM;
    *region = g->next;
    g->next.base = NULL;
    return 0;
}

TEST_UNUSED static int
ground_put(void *ctx, const fpheap_region *region)
{
    ground *g = (ground *)ctx;

    if (g->refuses) {
        g->shown = regions_of(g).n;
        return -EIO;
    }
    assert_true(g->puts < TEST_COUNT(g->back));
    g->back[g->puts++] = *region;
    return 0;
}

/* Have these bytes given at the next call. */
TEST_UNUSED static void
lay(ground *g, char *base, size_t bytes, fpheap_backing backing)
{
    memset(&g->next, 0, sizeof g->next);
    g->next.base = base;
    g->next.bytes = bytes;
    g->next.backing = backing;
}

TEST_UNUSED static char *
at_page(const ground *g, size_t page)
{
    return g->base + page * FPHEAP_PAGE;
}

/* Grow by pages of the ground.  Returns as growth does. */
TEST_UNUSED static int
give(ground *g, size_t page, size_t pages, int node)
{
    lay(g, at_page(g, page), pages * FPHEAP_PAGE, FPHEAP_BACKING_PAGES);
    return fph_grow_now(g->heap, node, fph_need_of(g->heap, 1, 1), 1);
}

TEST_UNUSED static void
begin(ground *g, size_t page, size_t pages, unsigned nodes, unsigned flags)
{
    fpheap_config config;

    memset(g, 0, sizeof *g);
    memset(&config, 0, sizeof config);
    g->map = test_map(MAPPED);
    assert_non_null(g->map);
    g->base = g->map + (-(uintptr_t)g->map & (FPH_GROUP * FPHEAP_CHUNK - 1));
    g->calls.get = ground_get;
    g->calls.put = ground_put;
    g->calls.ctx = g;
    g->calls.flags = flags;
    config.provider = &g->calls;
    config.nodes = nodes;
    lay(g, at_page(g, page), pages * FPHEAP_PAGE, FPHEAP_BACKING_PAGES);
    g->heap = fpheap_create("ground", &config);
    assert_non_null(g->heap);
    g->state = g->heap->state;
    g->first = fph_page_of(g->state, g->base);
    assert_int_equal(g->first % (FPH_GROUP * FPH_PAGES), 0);
}

/* Of memory that was given once, each byte has come back once. */
TEST_UNUSED static void
end(ground *g, size_t bytes)
{
    unsigned i;

    TEST_DESTROY(g->heap);
    for (i = 0; i < g->puts; i++)
        bytes -= g->back[i].bytes;
    assert_int_equal(bytes, 0);
    assert_int_equal(test_unmap(g->map, MAPPED), 0);
}

TEST_UNUSED static void
expect_region_at(const ground *g, unsigned i, size_t page, size_t pages,
                 int line)
{
    shown s = regions_of(g);

    if (i < s.n && (char *)s.region[i].base == at_page(g, page)
        && s.region[i].bytes == pages * FPHEAP_PAGE)
        return;
    for (i = 0; i < s.n; i++)
        print_error("page %zu, %zu pages\n",
                    (size_t)((char *)s.region[i].base - g->base) / FPHEAP_PAGE,
                    s.region[i].bytes / FPHEAP_PAGE);
    _fail(__FILE__, line);
}

#define EXPECT_REGION(g, i, page, pages) \
    expect_region_at(g, i, page, pages, __LINE__)

#endif
