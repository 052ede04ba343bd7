/* fuzz_config.c - any configuration of heaps and pools, any answer of a
 * provider, a thread_node or a constructor, and any argument: each call fails
 * exactly when the header says so, with one of the errors that it names, and
 * what failed has left nothing behind.
 */
#include "fuzz_util.h"

#include <limits.h>

#define HEAPS   (FPHEAP_MAX_HEAPS + 1)
#define POOLS   (FPHEAP_MAX_POOLS + 1)
#define OBJECTS 40

enum memory { SCRIPTED, NO_PUT, BUFFER, MMAP };

typedef struct slot {
    fpheap       *heap;        /* NULL: unused */
    fuzz_provider provider;
    fpheap_buffer buffer;
    enum memory   memory;
    unsigned      nodes;
    int           node;        /* what thread_node says */
    unsigned      objects;
    void         *object[OBJECTS];
    size_t        size[OBJECTS];
    fpheap_pool  *pool[POOLS];
    char          name[POOLS][FPHEAP_NAME_BYTES];
    size_t        min[POOLS];
    size_t        got;         /* pool objects among the live ones */
} slot;

static slot slots[HEAPS];
static char buffers[HEAPS][8 * 65536];

/* Of the errors that an argument may cause, those that it does. */
typedef struct errors {
    int invalid;
    int too_long;
} errors;

static int
is_one_of(errors e, int error)
{
    return (e.invalid && error == EINVAL)
        || (e.too_long && error == ENAMETOOLONG);
}

/* --- arguments ------------------------------------------------------------ */

/* One of n characters. */
static const char *
a_name(char *text, unsigned n)
{
    memset(text, 'a' + (int)(n % 2), n);
    text[n] = 0;
    return text;
}

/* NULL, or up to 40 characters of few kinds, so that some are the same. */
static const char *
any_name(char *text)
{
    unsigned n = fuzz_u8();

    return n == 255 ? NULL : a_name(text, n % 41);
}

static size_t
any_number(void)
{
    unsigned kind = fuzz_u8();
    unsigned n    = fuzz_u8();

    switch (kind % 8) {
    case 0: case 1: case 2:
        return 0;
    case 3:
        return n;
    case 4:
        return n * FPHEAP_PAGE;
    case 5:
        return (n % 16) * FPHEAP_CHUNK + kind / 8 - 16;
    case 6:
        return (size_t)1 << n % 64;
    default:
        return fuzz_large_number(n);
    }
}

static int
any_int(void)
{
    static const int numbers[] = {
        INT_MIN, INT_MAX, -1, 255, 256, 65536, -2, 1 << 30
    };
    unsigned n = fuzz_u8();

    return n < 200 ? (int)(n % 8) : numbers[n % FUZZ_COUNT(numbers)];
}

/* FPHEAP_ANY_NODE, one that may be there, or nonsense. */
static int
any_node(void)
{
    int node = any_int();

    return node > INT_MIN ? node - 1 : node;
}

/* --- heaps ---------------------------------------------------------------- */

static int
nonsense_node(void *ctx)
{
    return ((slot *)ctx)->node;
}

static int
is_a_region(size_t chunks, const char *base, size_t bytes)
{
    size_t skip = (size_t)(-(uintptr_t)base & (FPHEAP_CHUNK - 1));

    return bytes >= skip && (bytes - skip) / FPHEAP_CHUNK >= chunks;
}

/* Choose a provider.  Returns 1 if it is one that cannot work. */
static int
any_provider(slot *s, fpheap_provider *provider)
{
    unsigned how = fuzz_u8();
    unsigned n   = fuzz_u8();

    fuzz_provider_init(&s->provider);
    *provider = s->provider.calls;
    s->memory = SCRIPTED;
    switch (how % 8) {
    case 0:
        provider->get = NULL;
        return 1;
    case 1:
        provider->put = NULL;
        s->memory = NO_PUT;
        break;
    case 2:
        s->memory = BUFFER;
        fpheap_provider_buffer(provider, &s->buffer,
                               buffers[s - slots] + n * 4,
                               how * sizeof buffers[0] / 256 - 1020);
        break;
    case 3:
        s->memory = MMAP;
        FUZZ_CHECK(fpheap_provider_mmap(provider, n)
                   == (n > (FPHEAP_CHUNK_SHIFT < 18 ? 3 : 7) ? -EINVAL : 0));
        /* The machine's hugepages are for others. */
        fpheap_provider_mmap(provider, FPHEAP_NO_THP);
        break;
    default:
        if (n % 4 == 0)
            provider->iova = NULL;
        fuzz_script(&s->provider);
    }
    return 0;
}

/* An error of fpheap_create whose arguments are right. */
static void
create_reason(const slot *s, const fpheap_config *config, int error)
{
    const fuzz_provider *p = &s->provider;
    unsigned             heaps = 0;
    unsigned             i;

    for (i = 0; i < HEAPS; i++)
        heaps += slots[i].heap != NULL;
    if (heaps == FPHEAP_MAX_HEAPS) {
        FUZZ_CHECK(error == ENFILE);
        return;
    }
    if (s->memory == BUFFER) {
        FUZZ_CHECK(!is_a_region(2, s->buffer.base, s->buffer.bytes)
                   || s->buffer.bytes > config->limit);
        FUZZ_CHECK(error == ENOMEM || error == EFAULT || error == ENOSPC);
        FUZZ_CHECK(!s->buffer.taken);
        return;
    }
    FUZZ_CHECK(fuzz_noted(p, error) || (error == EFAULT && p->bad != 0)
               || (error == ENOSPC && config->limit != 0
                   && p->bad + p->extra != 0));
}

/* The errors of a configuration, as its comment lists them. */
static errors
config_errors(const char *name, const fpheap_config *config)
{
    errors e = { 0, 0 };

    e.too_long = name != NULL && strlen(name) >= FPHEAP_NAME_BYTES;
    e.invalid = config->nodes > FPHEAP_MAX_NODES
             || (config->flags & ~FPHEAP_SPILL) != 0
             || (config->growth_max != 0 && config->growth_max < FPHEAP_CHUNK)
             || (config->limit != 0 && config->limit < 2 * FPHEAP_CHUNK)
             || (config->provider != NULL && config->provider->get == NULL);
    return e;
}

/* The last value of a field that works, or the first one beyond it; all else as
 * it is. */
static void
bound_config(fpheap_config *config, fpheap_provider *provider, char *text)
{
    unsigned n      = fuzz_u8();
    unsigned beyond = n % 2;

    switch (n / 2 % 6) {
    case 0:
        config->nodes = FPHEAP_MAX_NODES + beyond;
        break;
    case 1:
        config->flags = FPHEAP_SPILL + beyond;
        break;
    case 2:
        config->growth_max = FPHEAP_CHUNK - beyond;
        break;
    case 3:
        config->limit = 2 * FPHEAP_CHUNK - beyond;
        break;
    case 4:
        a_name(text, FPHEAP_NAME_BYTES - 1 + beyond);
        break;
    default:
        if (beyond)
            provider->get = NULL;
    }
}

static void
op_create(slot *s)
{
    char            text[64];
    const char     *name = any_name(text);
    fpheap_provider provider;
    fpheap_config   config;
    errors          e;
    unsigned        how;
    int             error;

    if (s->heap != NULL)
        return;
    memset(s, 0, sizeof *s);
    memset(&config, 0, sizeof config);
    any_provider(s, &provider);
    config.provider = s->memory == MMAP && fuzz_below(2) ? NULL : &provider;
    how = fuzz_u8();
    if (how & 1)
        config.nodes = (unsigned)any_int();
    if (how & 2)
        config.flags = (unsigned)any_int();
    if (how & 4)
        config.growth_max = any_number();
    if (how & 8)
        config.limit = any_number();
    if (how & 16) {
        s->node = any_int();
        config.thread_node = nonsense_node;
        config.thread_node_ctx = s;
    }
    if (how & 32)
        bound_config(&config, &provider, text);
    e = config_errors(name, &config);
    fuzz_step_begin(&s->provider);
    s->heap = fpheap_create(name, &config);
    error = errno;
    s->nodes = config.nodes == 0 ? 1 : config.nodes;
    s->provider.limit = config.limit;
    FUZZ_CHECK(s->heap == NULL || (!e.invalid && !e.too_long));
    if (s->heap != NULL) {
        if (s->memory != SCRIPTED) {
            s->provider.limit = 20 * FPHEAP_CHUNK;
            fpheap_set_limit(s->heap, s->provider.limit);
        }
        return;
    }
    FUZZ_CHECK(s->provider.held == 0 || s->memory == NO_PUT);
    if (e.invalid || e.too_long)
        FUZZ_CHECK(is_one_of(e, error) && s->provider.gets == 0);
    else
        create_reason(s, &config, error);
    fuzz_provider_end(&s->provider, s->provider.held);
}

/* --- pools ---------------------------------------------------------------- */

static long long made;         /* constructed, less destructed, of all pools */
static int       make_result;  /* of the constructor */
static unsigned  make_in;      /* calls until it is returned */

static int
construct(void *arg, void *object)
{
    (void)arg;
    memset(object, 7, 1);
    if (make_in > 0 && --make_in == 0 && make_result != 0)
        return make_result;
    made++;
    return 0;
}

static void
destruct(void *arg, void *object)
{
    (void)arg;
    memset(object, 8, 1);
    made--;
}

/* As bound_config. */
static void
bound_desc(const slot *s, fpheap_pool_desc *desc, char *text)
{
    unsigned n      = fuzz_u8();
    unsigned beyond = n % 2;

    memset(desc, 0, sizeof *desc);
    desc->name = a_name(text, 3);
    desc->size = 64;
    switch (n / 2 % 15) {
    case 0:
        desc->size = FPHEAP_POOL_SIZE_MAX + beyond;
        break;
    case 1:
        desc->size = 1 - beyond;
        break;
    case 2:
        desc->align = beyond ? 48 : 32;
        break;
    case 3:
        desc->align = FPHEAP_PAGE << beyond;
        break;
    case 4:
        desc->max = (size_t)UINT32_MAX + beyond;
        break;
    case 5:
        desc->max = 9;
        desc->min = 9 + beyond;
        break;
    case 6:
        desc->magazine = 2 - beyond;
        break;
    case 7:
        desc->magazine = FPHEAP_MAGAZINE + beyond;
        break;
    case 8:
        desc->private_bytes = FPHEAP_CHUNK / 2 + beyond;
        break;
    case 9:
        desc->channels = 4;
        desc->align = (size_t)64 << beyond;
        break;
    case 10:
        desc->flags = 15 + beyond;
        break;
    case 11:
        desc->flags = FPHEAP_ON_NODE;
        desc->node = (int)(s->nodes - 1 + beyond);
        break;
    case 12:
        desc->flags = FPHEAP_ON_NODE;
        desc->node = -(int)beyond;
        break;
    case 13:
        a_name(text, FPHEAP_NAME_BYTES - 1 + beyond);
        break;
    default:
        a_name(text, 1 - beyond);
    }
}

static void
any_desc(fpheap_pool_desc *desc, char *text)
{
    unsigned how = fuzz_u8();

    memset(desc, 0, sizeof *desc);
    desc->name = any_name(text);
    desc->size = fuzz_size();
    if (how & 1)
        desc->align = how & 2 ? (size_t)1 << fuzz_below(64) : any_number();
    if (how & 4)
        desc->flags = (unsigned)any_int() % 19;
    if (how & 8) {
        desc->max = any_number();
        desc->min = any_number() % (1 + (size_t)UINT32_MAX * 2);
    }
    if (how & 16)
        desc->magazine = (unsigned)any_int() * 5;
    if (how & 32) {
        desc->channels = (unsigned)any_int();
        desc->ranks = (unsigned)any_int();
    }
    desc->node = any_int();
    if (how & 64)
        desc->private_bytes = any_number();
    if (how & 128) {
        desc->construct = construct;
        desc->destruct = destruct;
    }
#if FPHEAP_HEADER
    desc->tag = (unsigned)any_int() % 40;
#endif
}

/* Which of a description's errors there are. */
static errors
desc_errors(const slot *s, const fpheap_pool_desc *d)
{
    size_t   lines = ((d->size < 16 ? 16 : d->size) + FPH_HEAD + 63) / 64;
    unsigned banks = d->channels * (d->ranks ? d->ranks : 1);
    errors   e     = { 0, 0 };

    e.too_long = d->name != NULL && strlen(d->name) >= FPHEAP_NAME_BYTES;
    e.invalid = d->name == NULL || d->name[0] == 0 || d->size == 0
             || d->size > FPHEAP_POOL_SIZE_MAX
             || (d->align & (d->align - 1)) != 0 || d->align > FPHEAP_PAGE
             || d->flags > 15 || d->max > UINT32_MAX || d->min > UINT32_MAX
             || (d->max != 0 && d->min > d->max)
             || d->magazine == 1 || d->magazine > FPHEAP_MAGAZINE
             || d->private_bytes > FPHEAP_CHUNK / 2
             || (d->channels != 0 && d->align > 64)
             || ((d->flags & FPHEAP_SCRATCH) != 0
                 && (d->construct != NULL || d->destruct != NULL))
             || ((d->flags & FPHEAP_ON_NODE) != 0
                 && (d->node < 0 || (unsigned)d->node >= s->nodes));
    /* Not in the list, but out of any sense: more channels than a machine has,
     * and objects that these make too large. */
    if (d->channels > 1024 || d->ranks > 1024
        || (d->channels != 0
            && (lines + banks) * 64 > FPHEAP_POOL_SIZE_MAX))
        e.invalid = e.invalid ? 1 : 2;
#if FPHEAP_HEADER
    e.invalid |= d->tag >= FPHEAP_TAGS;
#endif
    return e;
}

/* Whether an allocation may fail with an error. */
static int
may_fail(const slot *s, int error)
{
    const fuzz_provider *p = &s->provider;

    if (fuzz_noted(p, error) || (error == EFAULT && p->bad != 0))
        return 1;
    if (s->memory == BUFFER || s->memory == MMAP)
        return error == ENOMEM || error == ENOSPC;
    /* A heap that has all there is may have filled its tables. */
    if (error == ENOMEM && p->held_bytes > FUZZ_ARENA / 4 * 3)
        return 1;
    return error == ENOSPC && p->limit != 0;
}

static void
pool_reason(const slot *s, const fpheap_pool_desc *desc, int error)
{
    unsigned pools = 0;
    unsigned same  = 0;
    unsigned i;

    for (i = 0; i < POOLS; i++) {
        pools += s->pool[i] != NULL;
        same += s->pool[i] != NULL && strcmp(s->name[i], desc->name) == 0;
    }
    if (pools == FPHEAP_MAX_POOLS) {
        FUZZ_CHECK(error == ENFILE);
        return;
    }
    if (same != 0 && error == EEXIST)
        return;
    if (make_result != 0 && desc->construct != NULL
        && (make_result > 0 || error == -make_result))
        return;
    FUZZ_CHECK(may_fail(s, error));
}

/* Get a few objects of a new pool, and put some of them back. */
static void
use_pool(slot *s, fpheap_pool *pool, const fpheap_pool_desc *desc)
{
    unsigned i, n = fuzz_below(8);
    void    *object[8];

    for (i = 0; i < n; i++) {
        object[i] = fpheap_pool_get(pool);
        if (object[i] == NULL)
            break;
        FUZZ_CHECK(desc->align == 0
                   || ((uintptr_t)object[i] & (desc->align - 1)) == 0);
        FUZZ_CHECK(fpheap_usable_size(s->heap, object[i]) >= desc->size);
        memset(object[i], (int)i, desc->size);
        s->got++;
    }
    FUZZ_CHECK(desc->max == 0 || i <= desc->max);
    for (n = fuzz_u8(); i > 0 && n != 0; n /= 2) {
        fpheap_pool_put(pool, object[--i]);
        s->got--;
    }
}

static void
op_pool_create(slot *s)
{
    unsigned         i = 0;
    char             text[64];
    fpheap_pool_desc desc;
    fpheap_pool     *pool;
    long long        made_before = made;
    errors           e;
    int              error;

    if (fuzz_below(2))
        bound_desc(s, &desc, text);
    else
        any_desc(&desc, text);
    e = desc_errors(s, &desc);
    pool = fpheap_pool_create(s->heap, &desc);
    error = errno;
    if (pool == NULL) {
        FUZZ_CHECK(made <= made_before);
        if (!is_one_of(e, error))
            FUZZ_CHECK(e.invalid != 1 && !e.too_long),
            pool_reason(s, &desc, error);
        return;
    }
    FUZZ_CHECK(e.invalid != 1 && !e.too_long);
    while (s->pool[i] != NULL) {
        FUZZ_CHECK(strcmp(s->name[i], desc.name) != 0);
        i++;
        FUZZ_CHECK(i < FPHEAP_MAX_POOLS);
    }
    s->pool[i] = pool;
    s->min[i] = desc.min;
    memcpy(s->name[i], desc.name, strlen(desc.name) + 1);
    use_pool(s, pool, &desc);
}

static void
op_pool_destroy(slot *s)
{
    unsigned          i = fuzz_below(POOLS);
    size_t            live = 99;
    fpheap_pool_stats stats;
    int               rc;

    if (s->pool[i] == NULL)
        return;
    fpheap_pool_stats_get(s->pool[i], &stats);
    FUZZ_CHECK(stats.objects >= s->min[i]);
    rc = fpheap_pool_destroy(s->pool[i], &live);
    FUZZ_CHECK(live == stats.live_objects);
    FUZZ_CHECK(rc == (live == 0 ? 0 : -EBUSY));
    if (rc == 0)
        s->pool[i] = NULL;
}

static void
op_pool_max(slot *s)
{
    unsigned i   = fuzz_below(POOLS);
    size_t   max = fuzz_below(2) ? s->min[i] - 1 : any_number();
    int      rc;

    if (s->pool[i] == NULL)
        return;
    rc = fpheap_pool_set_max(s->pool[i], max);
    FUZZ_CHECK(rc == (max > UINT32_MAX || (max != 0 && max < s->min[i])
                      ? -EINVAL : 0));
}

static void
op_lookup(slot *s)
{
    char         text[64];
    const char  *name = any_name(text);
    fpheap_pool *pool = fpheap_pool_lookup(s->heap, name);
    int          error = errno;
    unsigned     i;

    for (i = 0; i < POOLS; i++)
        if (name != NULL && s->pool[i] != NULL
            && strcmp(s->name[i], name) == 0)
            break;
    FUZZ_CHECK(i < POOLS ? pool == s->pool[i]
                         : pool == NULL && error == ENOENT);
}

static void
op_make(slot *s)
{
    static const int results[] = { -EIO, -ENOMEM, 1, INT_MAX, -INT_MAX };

    (void)s;
    make_in = fuzz_below(40);
    make_result = make_in == 0 ? 0
                : results[fuzz_below(FUZZ_COUNT(results))];
}

/* --- arguments of the other calls ----------------------------------------- */

static void
note(slot *s, void *object, size_t size)
{
    if (object == NULL)
        return;
    FUZZ_CHECK(fpheap_usable_size(s->heap, object) >= size);
    fuzz_fill((char *)object, 0, size, s->objects);
    s->object[s->objects] = object;
    s->size[s->objects++] = size;
}

static void
op_free(slot *s)
{
    unsigned i = s->objects - 1;

    if (s->objects == 0)
        return;
    FUZZ_CHECK(fuzz_filled((char *)s->object[i], 0, s->size[i], s->size[i],
                           i));
    fpheap_free(s->heap, s->object[i]);
    s->objects--;
}

static void
op_aligned(slot *s)
{
    size_t align = any_number();
    size_t size  = fuzz_size();
    void  *object;
    int    invalid = align == 0 || (align & (align - 1)) != 0
                  || align > FPHEAP_CHUNK;

    if (s->objects == OBJECTS)
        return;
    object = fpheap_aligned_alloc(s->heap, align, size);
    if (invalid)
        FUZZ_CHECK(object == NULL && errno == EINVAL);
    else if (object == NULL)
        FUZZ_CHECK(may_fail(s, errno)
                   || (errno == ENOMEM && size > 32 * FPHEAP_CHUNK));
    else
        FUZZ_CHECK(((uintptr_t)object & (align - 1)) == 0);
    note(s, object, size);
}

static void
op_alloc_on(slot *s)
{
    int    node = any_node();
    size_t size = fuzz_size();
    void  *object;
    int    invalid = node != FPHEAP_ANY_NODE
                  && (node < 0 || (unsigned)node >= s->nodes);

    if (s->objects == OBJECTS)
        return;
    object = fpheap_alloc_on(s->heap, size, node);
    if (invalid)
        FUZZ_CHECK(object == NULL && errno == EINVAL);
    else if (object == NULL)
        FUZZ_CHECK(may_fail(s, errno)
                   || (errno == ENOMEM && size > 32 * FPHEAP_CHUNK));
    note(s, object, size);
}

static void
op_calloc(slot *s)
{
    size_t n     = any_number();
    size_t size  = any_number();
    size_t bytes = 0;
    int    wraps = __builtin_mul_overflow(n, size, &bytes);
    void  *object;

    if (s->objects == OBJECTS)
        return;
    object = fpheap_calloc(s->heap, n, size);
    if (wraps)
        FUZZ_CHECK(object == NULL && errno == ENOMEM);
    else if (object == NULL)
        FUZZ_CHECK(may_fail(s, errno)
                   || (errno == ENOMEM && bytes > 32 * FPHEAP_CHUNK));
    note(s, object, bytes);
}

static void
op_reserve(slot *s)
{
    int    node  = any_node();
    size_t bytes = any_number();
    int    rc    = fpheap_reserve(s->heap, bytes, node);
    int    invalid = node != FPHEAP_ANY_NODE
                  && (node < 0 || (unsigned)node >= s->nodes);

    if (invalid)
        FUZZ_CHECK(rc == -EINVAL);
    else if (rc != 0)
        FUZZ_CHECK(may_fail(s, -rc)
                   || (rc == -ENOMEM && bytes > 32 * FPHEAP_CHUNK));
}

static void
op_limit(slot *s)
{
    size_t limit = any_number();

    if (s->memory != SCRIPTED)
        limit = 1 + limit % (20 * FPHEAP_CHUNK);
    s->provider.limit = limit;
    fpheap_set_limit(s->heap, limit);
}

static void
op_class_stats(slot *s)
{
    unsigned           index = (unsigned)any_int();
    fpheap_class_stats stats;
    fpheap_class_stats untouched;
    int                rc;

    memset(&stats, 0x5a, sizeof stats);
    untouched = stats;
    rc = fpheap_class_stats_get(s->heap, index, &stats);
    FUZZ_CHECK(rc == 0 || rc == -EINVAL);
    FUZZ_CHECK(rc == 0 || memcmp(&stats, &untouched, sizeof stats) == 0);
}

static void
op_pointers(slot *s)
{
    const void *pointer = (const void *)(uintptr_t)
        (fuzz_below(2) ? any_number() : (uintptr_t)s->heap + any_number());

    FUZZ_CHECK((fpheap_base_of(s->heap, pointer) != NULL)
               == fpheap_owns(s->heap, pointer));
    if (s->objects > 0)
        (void)fpheap_iova(s->heap, s->object[s->objects - 1]);
}

static void
op_script(slot *s)
{
    fuzz_script(&s->provider);
    s->provider.put_refusals = s->provider.skip;
    /* It could not get back what the heap does not want. */
    if (s->memory == NO_PUT && s->provider.answer >= FUZZ_LONG)
        s->provider.answer = FUZZ_REFUSE;
}

static void
op_trim(slot *s)
{
    fpheap_trim(s->heap);
}

/* --- the end of a heap ---------------------------------------------------- */

static void
check(slot *s)
{
    const char  *wrong;
    fpheap_stats stats;

    if (s->memory == SCRIPTED)
        fuzz_check_heap(s->heap, &s->provider, &stats);
    wrong = fpheap_check(s->heap);
    if (wrong != NULL)
        fuzz_fail(__FILE__, __LINE__, wrong);
    fpheap_stats_get(s->heap, &stats);
    FUZZ_CHECK(stats.live_objects == s->objects + s->got);
    FUZZ_CHECK(stats.limit == s->provider.limit);
}

static void
finish(slot *s, int forced)
{
    fuzz_provider *p    = &s->provider;
    size_t         live = s->objects + s->got;
    int            rc;

    fuzz_step_begin(p);
    rc = forced ? fpheap_destroy_forced(s->heap) : fpheap_destroy(s->heap);
    FUZZ_CHECK(rc == (live == 0 || forced ? 0 : -EBUSY));
    if (rc != 0)
        return;
    s->heap = NULL;
    fuzz_provider_end(p, s->memory == NO_PUT ? p->held : p->puts_refused);
    FUZZ_CHECK(s->memory != BUFFER || !s->buffer.taken);
}

static void
op_destroy(slot *s)
{
    finish(s, fuzz_below(4) == 0);
}

/* --- a run ---------------------------------------------------------------- */

static void (*const ops[])(slot *) = {
    op_pool_create, op_pool_create, op_pool_create, op_pool_destroy,
    op_pool_max, op_lookup, op_make, op_free, op_aligned, op_alloc_on,
    op_calloc, op_reserve, op_limit, op_class_stats, op_pointers, op_script,
    op_trim, op_destroy
};

static void
step(void)
{
    unsigned how = fuzz_u8();
    slot    *s   = &slots[how % HEAPS];

    fuzz_step_begin(&s->provider);
    if (s->heap == NULL)
        op_create(s);
    else
        ops[how / HEAPS % FUZZ_COUNT(ops)](s);
    if (s->heap != NULL && fuzz_steps % 2 == 0)
        check(s);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    unsigned i;

    fuzz_memory_init();
    fuzz_at = data;
    fuzz_end = data + bytes;
    fuzz_steps = 0;
    made = 0;
    make_result = 0;
    memset(slots, 0, sizeof slots);
    while (fuzz_at < fuzz_end) {
        fuzz_steps++;
        step();
    }
    for (i = 0; i < HEAPS; i++)
        if (slots[i].heap != NULL) {
            check(&slots[i]);
            finish(&slots[i], 1);
        }
    FUZZ_CHECK(made == 0 && "constructed = destructed");
    return 0;
}
