/* symbols.c - calls every function of the API as dlsym finds it, see symbols.sh
 *
 *     symbols LIBRARY
 */
#include "library.h"

#include <unistd.h>

static fpheap *heap;

static void
one_by_one(void)
{
    void *p = F(alloc)(heap, 100);

    CHECK(p != NULL && F(usable_size)(heap, p) >= 100);
    CHECK(F(base_of)(heap, (char *)p + 50) == p && F(owns)(heap, p) == 1);
    CHECK(F(iova)(heap, p) == FPHEAP_BAD_IOVA);
    p = F(realloc)(heap, p, 200000);
    CHECK(p != NULL);
    p = F(aligned_realloc)(heap, p, 4096, 100);
    CHECK(p != NULL && (uintptr_t)p % 4096 == 0);
    F(free)(heap, p);
    p = F(alloc)(heap, 300);
    F(free_sized)(heap, p, 300);
    p = F(zalloc)(heap, 100);
    CHECK(p != NULL && *(char *)p == 0);
    F(free)(heap, p);
    p = F(calloc)(heap, 10, 10);
    CHECK(p != NULL && *(char *)p == 0);
    F(free)(heap, p);
    p = F(aligned_alloc)(heap, 4096, 100);
    CHECK(p != NULL && (uintptr_t)p % 4096 == 0);
    F(free)(heap, p);
    p = F(alloc_on)(heap, 100, 0);
    CHECK(p != NULL);
    F(free)(heap, p);
}

static void
many(void)
{
    void *p[8];

    CHECK(F(alloc_bulk)(heap, 100, p, 8) == 0);
    F(free_bulk)(heap, p, 8);
    CHECK(F(alloc_burst)(heap, 100, p, 8) == 8);
    F(free_bulk_sized)(heap, p, 8, 100);
    p[0] = F(alloc_critical)(heap, 100);
    CHECK(p[0] != NULL && F(alloc_critical_bulk)(heap, 100, p + 1, 7) == 0);
    F(free_bulk)(heap, p, 8);
}

static void
cached(void)
{
    fpheap_cache *cache = F(self)(heap);
    void         *p[8];

    CHECK(cache != NULL);
    p[0] = F(cache_alloc)(cache, 100);
    F(cache_free)(cache, p[0]);
    p[0] = F(cache_alloc)(cache, 100);
    F(cache_free_sized)(cache, p[0], 100);
    CHECK(F(cache_alloc_bulk)(cache, 100, p, 8) == 0);
    F(cache_free_bulk_sized)(cache, p, 8, 100);
}

static int
count(void *arg, void *object)
{
    ++*(int *)arg;
    return object == NULL;
}

static void
pooled(void)
{
    fpheap_pool_desc  desc = { .name = "symbols", .size = 100,
                               .private_bytes = 8 };
    fpheap_pool      *pool = F(pool_create)(heap, &desc);
    fpheap_pool_stats stats;
    size_t            live = 1;
    void             *p[8];
    int               n = 0;

    CHECK(pool != NULL && F(pool_lookup)(heap, "symbols") == pool);
    p[0] = F(pool_get)(pool);
    CHECK(p[0] != NULL);
    CHECK(F(pool_for_each)(pool, FPHEAP_LIVE, count, &n) == 0 && n == 1);
    F(pool_put)(pool, p[0]);
    p[0] = F(pool_get_critical)(pool);
    CHECK(p[0] != NULL);
    F(pool_put)(pool, p[0]);
    CHECK(F(pool_get_bulk)(pool, p, 8) == 0);
    F(pool_put_bulk)(pool, p, 8);
    CHECK(F(pool_get_burst)(pool, p, 8) == 8);
    F(pool_put_bulk)(pool, p, 8);
    CHECK(F(pool_private)(pool) != NULL);
    CHECK(F(pool_set_max)(pool, 1000) == 0);
    CHECK(F(pool_prefill)(pool, 2) == 0);
    F(pool_stats_get)(pool, &stats);
    CHECK(stats.max == 1000);
    F(pool_stats_get_sized)(pool, &stats, sizeof stats);
    CHECK(stats.max == 1000);
    CHECK(F(pool_destroy)(pool, &live) == 0 && live == 0);
}

static void
add_one(void *arg)
{
    ++*(int *)arg;
}

static void
grouped(void)
{
    fpheap_group *group = F(group_begin)(heap);
    fpheap_mark   mark;
    int           n     = 0;

    CHECK(group != NULL && F(group_alloc)(group, 100) != NULL);
    CHECK((uintptr_t)F(group_aligned)(group, 4096, 100) % 4096 == 0);
    mark = F(group_mark)(group);
    CHECK(F(group_cleanup)(group, add_one, &n) == 0);
    F(group_rewind)(group, mark);
    CHECK(n == 1);
    CHECK(F(group_adopt)(group, F(alloc)(heap, 100)) == 0);
    F(group_end)(group);
}

static fpheap_fate
end(void *arg, void *object)
{
    return count(arg, object) == 0 ? FPHEAP_RELEASE : FPHEAP_KEPT;
}

static void
tagged(void)
{
    static int       ended;
    fpheap_tag_stats stats;
    void            *p = F(alloc_tagged)(heap, 100, 3);
    int              number = F(destructor_register)(end, &ended);

    CHECK(p != NULL && F(requested)(p) == 100 && F(tag)(p) == 3);
    CHECK(F(tag_stats_get)(heap, 3, &stats) == 0 && stats.objects == 1);
    CHECK(F(tag_stats_get_sized)(heap, 3, &stats, sizeof stats) == 0
          && stats.objects == 1);
    F(set_flags)(p, 9);
    CHECK(F(flags)(p) == 9);
    CHECK(number > 0 && F(set_destructor)(p, (unsigned)number) == 0);
    F(ref)(p);
    CHECK(F(refs)(p) == 2);
    F(unref)(heap, p);
    F(unref)(heap, p);
    CHECK(ended == 1);
}

static int
visit(void *arg, const fpheap_object *object)
{
    return count(arg, object->base);
}

static int
visit_region(void *arg, const fpheap_region *region)
{
    return count(arg, region->base);
}

static void
whole(void)
{
    fpheap_stats       stats;
    fpheap_class_stats class_stats;
    fpheap_holder      holder;
    int                n = 0;
    FILE              *out = fopen("/dev/null", "w");

    CHECK(F(reserve)(heap, 100000, 0) == 0);
    CHECK(F(prefill)(heap, 100, 8) == 0);
    F(set_limit)(heap, (size_t)1 << 30);
    F(stats_get)(heap, &stats);
    CHECK(stats.limit == (size_t)1 << 30);
    F(stats_get_sized)(heap, &stats, sizeof stats);
    CHECK(stats.limit == (size_t)1 << 30);
    CHECK(F(class_stats_get)(heap, 0, &class_stats) == 0);
    CHECK(F(class_stats_get_sized)(heap, 0, &class_stats, sizeof class_stats)
          == 0);
    CHECK(F(walk)(heap, visit, &n) == 0 && n == 0);
    CHECK(F(region_walk)(heap, visit_region, &n) == 0
          && (unsigned)n == stats.regions);
    CHECK(F(holders)(heap, &holder, 1) <= 1);
    CHECK(F(check)(heap) == NULL);
    F(dump)(heap, out);
    fclose(out);
    CHECK(strstr(F(config_string)(), "FPHEAP_EXPORT=1") != NULL);
    F(flush)(heap);
    F(trim)(heap);
    F(thread_leave)(heap);
}

static int
visit_member(void *arg, const fpheap_member *member)
{
    CHECK(member->alive);
    return count(arg, arg);
}

static void
shared(void)
{
    fpheap_partition desc      = { .bytes = (size_t)64 << 20 };
    fpheap_pool_desc pool_desc = { .name = "pool", .size = 100 };
    char             name[32];
    int              n         = 0;
    fpheap          *main_heap;
    void            *p;

    snprintf(name, sizeof name, "symbols-%d", (int)getpid());
    main_heap = F(open)(name, &desc, FPHEAP_CREATE);
    CHECK(main_heap != NULL);
    p = F(alloc)(main_heap, 100);
    CHECK(F(object_at)(main_heap, F(handle)(main_heap, p)) == p);
    CHECK(F(set_root)(main_heap, p) == 0 && F(root)(main_heap) == p);
    F(own)(main_heap, p);
    CHECK(F(owner)(p) != 0);
    CHECK(F(members)(main_heap, visit_member, &n) == 0 && n == 1);
    CHECK(F(recover)(main_heap, 0) == 0);
    CHECK(F(pool_open)(main_heap, &pool_desc) != NULL);
    CHECK(F(close)(main_heap) == 0);
    CHECK(F(unlink)(name, NULL) == 0);
}

int
main(int argc, char **argv)
{
    static char     memory[8 * FPHEAP_CHUNK];
    fpheap_provider provider;
    fpheap_buffer   buffer;
    fpheap_config   config = { .provider = &provider };

    library = dlopen(argv[argc - 1], RTLD_NOW | RTLD_LOCAL);
    if (library == NULL)
        return printf("%s\n", dlerror());
    F(provider_buffer)(&provider, &buffer, memory, sizeof memory);
    heap = F(create)("symbols", &config);
    CHECK(heap != NULL && F(destroy_forced)(heap) == 0);
    CHECK(F(provider_mmap)(&provider, 0) == 0);
    heap = F(create)("symbols", &config);
    CHECK(heap != NULL);
    one_by_one();
    many();
    cached();
    pooled();
    grouped();
    tagged();
    shared();
    whole();
    CHECK(F(destroy)(heap) == 0);
    return 0;
}
