/* over_memzone.h - the heap's own tests over memzones: test_util.h includes it
 * with -DTEST_MEMORY_HEADER='"dpdk/over_memzone.h"'.
 *
 * What test_util.h's provider hands over comes from the memzone provider, and
 * where a test makes a heap with the default provider, it gets that one.
 */
#ifndef OVER_MEMZONE_H
#define OVER_MEMZONE_H

#include "examples/dpdk/fpheap_memzone.h"
#include "eal.h"

#define OVER_REGIONS 4096

static fpheap_memzone  over_zones;
static fpheap_provider over_provider;
static fpheap_region   over_region[OVER_REGIONS];

/* Before main, which is the test's own. */
static void __attribute__((constructor))
over_start(void)
{
    const char *word = getenv("FPHEAP_NOT");

    if (word != NULL)           /* a case that means nothing here */
        cmocka_set_skip_filter(word);
    eal_start("");
    fpheap_memzone_provider(&over_provider, &over_zones, "over", 1);
    over_zones.exact = 1;       /* the tests count what they ask for */
}

/* New memory of the system is zero, and the tests may count on that where they
 * keep records in it. */
static char *
test_map(size_t bytes)
{
    unsigned i = 0;

    while (i < OVER_REGIONS && over_region[i].base != NULL)
        i++;
    if (i == OVER_REGIONS
        || over_provider.get(over_provider.ctx, bytes, FPHEAP_CHUNK, 0,
                             &over_region[i]) != 0)
        return NULL;
    return over_region[i].base;
}

static int
test_unmap(void *map, size_t bytes)
{
    unsigned i = 0;
    int      rc;

    (void)bytes;
    while (i < OVER_REGIONS && over_region[i].base != map)
        i++;
    if (i == OVER_REGIONS)
        return -1;
    rc = over_provider.put(over_provider.ctx, &over_region[i]);
    over_region[i].base = NULL;
    return rc;
}

static inline fpheap *
over_create(const char *name, const fpheap_config *config)
{
    fpheap_config over;

    if (config != NULL
        && (config->provider != NULL || config->parent != NULL))
        return (fpheap_create)(name, config);
    memset(&over, 0, sizeof over);
    if (config != NULL)
        over = *config;
    over.provider = &over_provider;
    return (fpheap_create)(name, &over);
}

#define fpheap_create(name, config) over_create(name, config)

#endif /* OVER_MEMZONE_H */
