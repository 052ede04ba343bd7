/* fuzz_api.c - any sequence of calls does what a plain model of a heap says:
 * the bytes of the input are calls, on up to three threads in turn (one of them
 * without a cache), and answers of the provider and of constructors.  Beside
 * the heap there is an array of what is live.
 *
 * Checked: size, alignment, node and place of each object; that no two overlap;
 * their contents when they are freed, moved, or got again from a pool; that
 * each call that fails has a reason, writes nothing and takes nothing; that
 * what was prefilled is there, whatever happens until it is asked for; limits and
 * maxima; each object constructed once and destructed once; fpheap_check, and
 * that the statistics are the model's.
 */
#include "fuzz_model.h"

/* --- allocating ----------------------------------------------------------- */

static void
op_alloc(void)
{
    unsigned how  = fuzz_u8();
    size_t   size = fuzz_size();
    size_t   n    = 1;
    size_t   wanted;
    object  *o;
    char    *base;

    if (m.n == OBJECTS)
        return;
    if (how % 4 == 2)
        n = size > 4096 ? SIZE_MAX / (1 + how / 4) : how / 4;
    base = how % 4 < 2 ? (char *)fpheap_alloc(m.heap, size)
         : how % 4 == 2 ? (char *)fpheap_calloc(m.heap, n, size)
         : (char *)fpheap_zalloc(m.heap, size);
    wanted = n != 0 && size > SIZE_MAX / n ? SIZE_MAX : n * size;
    asked(promise_of(wanted), 1, base != NULL);
    if (base == NULL) {
        reason(errno, NULL, 0, chunks_of(wanted, 1));
        return;
    }
    FUZZ_CHECK(n == 0 || size <= SIZE_MAX / n);
    size = wanted;
    if (how % 4 >= 2)
        FUZZ_CHECK(all_are((uint8_t *)base, fpheap_usable_size(m.heap, base),
                           0));
    o = keep_plain(base, size, -1);
    FUZZ_CHECK(o->size == size);
}

static void
op_alloc_on(void)
{
    int    node = (int)fuzz_below(m.nodes + 2) - 1;
    size_t size = fuzz_size();
    void  *base;

    if (m.n == OBJECTS)
        return;
    base = fpheap_alloc_on(m.heap, size, node);
    if (base == NULL && node == (int)m.nodes)
        FUZZ_CHECK(errno == EINVAL);
    else if (base == NULL)
        reason(errno, NULL, 0, chunks_of(size, 1));
    else
        keep_plain(base, size, node);
    FUZZ_CHECK(base == NULL || node < (int)m.nodes);
}

static size_t
fuzz_align(void)
{
    unsigned how = fuzz_u8();

    return how < 250 ? (size_t)1 << how % 18 : (size_t)(how - 250) * 24;
}

static int
is_align(size_t align)
{
    return align != 0 && (align & (align - 1)) == 0 && align <= FPHEAP_CHUNK;
}

static void
op_aligned(void)
{
    size_t align = fuzz_align();
    size_t size  = fuzz_size();
    void  *base;

    if (m.n == OBJECTS)
        return;
    base = fpheap_aligned_alloc(m.heap, align, size);
    if (!is_align(align))
        FUZZ_CHECK(base == NULL && errno == EINVAL);
    else if (base == NULL)
        reason(errno, NULL, 0, chunks_of(size < align ? align : size, align));
    else
        keep(base, size, align, -1, -1)->sized = 0;
}

/* The object i has moved, or stayed, and is size bytes. */
static object
changed(unsigned i, const char *base, size_t size)
{
    object old  = m.objects[i];
    size_t kept = least(old.usable, size);

    FUZZ_CHECK(fuzz_filled(base, 0, old.filled, kept, old.number)
               && "realloc keeps the contents");
    memset(live_bytes + arena_offset(old.base), 0, old.usable);
    m.objects[i] = m.objects[--m.n];
    return old;
}

static void
op_realloc(void)
{
    unsigned i    = choose(NO_POOL);
    size_t   size = fuzz_size();
    object   old;
    char    *base;

    if (m.n == OBJECTS || i == OBJECTS)
        return;
    base = (char *)fpheap_realloc(m.heap, m.objects[i].base, size);
    if (base == NULL) {
        reason(errno, NULL, 0, chunks_of(size, 1));
        return;
    }
    old = changed(i, base, size);
    if (base == old.base)
        keep(base, size, 1, -1, (int)fuzz_grant_of(&m.provider, base)->node)
            ->sized = old.sized;
    else if (size > old.usable && size > FPH_SIZED_MAX)
        keep_grown(base, size);
    else
        keep_plain(base, size, -1);
}

static void
op_aligned_realloc(void)
{
    size_t   align = fuzz_align();
    unsigned i     = choose(NO_POOL);
    size_t   size  = fuzz_size();
    char    *base;

    if (m.n == OBJECTS || i == OBJECTS)
        return;
    base = (char *)fpheap_aligned_realloc(m.heap, m.objects[i].base, align,
                                          size);
    if (!is_align(align))
        FUZZ_CHECK(base == NULL && errno == EINVAL);
    else if (base == NULL)
        reason(errno, NULL, 0, chunks_of(size, align));
    else if (changed(i, base, size).base == base)
        keep(base, size, align, -1, (int)fuzz_grant_of(&m.provider, base)->node)
            ->sized = 0;
    else
        keep(base, size, align, -1, -1)->sized = 0;
}

static void
keep_array(size_t size, unsigned n)
{
    unsigned i;

    for (i = 0; i < n; i++)
        keep_plain(array[i], size, -1);
}

/* Nothing from the i-th on was written. */
static void
check_untouched(unsigned i, unsigned n)
{
    for (; i < n; i++)
        FUZZ_CHECK(array[i] == UNTOUCHED);
}

static unsigned
bulk_count(void)
{
    unsigned n = (unsigned)least(fuzz_below(BULK + 1), OBJECTS - m.n);
    unsigned i;

    for (i = 0; i < BULK; i++)
        array[i] = UNTOUCHED;
    return n;
}

static void
op_alloc_bulk(void)
{
    unsigned n    = bulk_count();
    size_t   size = fuzz_size();
    int      rc   = fpheap_alloc_bulk(m.heap, size, array, n);

    FUZZ_CHECK(rc <= 0);
    asked(promise_of(size), n, rc == 0 ? n : 0);
    check_untouched(rc == 0 ? n : 0, BULK);
    if (rc == 0)
        keep_array(size, n);
    else
        reason(-rc, NULL, 0, chunks_of(size, 1));
}

static void
op_alloc_burst(void)
{
    unsigned n    = bulk_count();
    size_t   size = fuzz_size();
    unsigned got  = fpheap_alloc_burst(m.heap, size, array, n);
    int      error = errno;

    FUZZ_CHECK(got <= n);
    asked(promise_of(size), n, got);
    check_untouched(got, BULK);
    keep_array(size, got);
    if (got < n)
        reason(error, NULL, 0, chunks_of(size, 1));
}

/* --- freeing -------------------------------------------------------------- */

static void
op_free(void)
{
    unsigned i = choose(ANY_POOL);

    if (i == OBJECTS)
        fpheap_free(m.heap, NULL);
    else
        fpheap_free(m.heap, forget(i).base);
    no_growth();
}

static void
op_free_sized(void)
{
    unsigned i = choose(NO_POOL);
    object   o;

    if (i == OBJECTS || !m.objects[i].sized)
        return;
    o = forget(i);
    fpheap_free_sized(m.heap, o.base, o.size);
    no_growth();
}

/* Objects of any sizes and pools, and NULL. */
static void
op_free_bulk(void)
{
    unsigned n = fuzz_below(BULK + 1);
    unsigned i;

    for (i = 0; i < n; i++)
        array[i] = m.n == 0 || i % 13 == 12 ? NULL
                 : forget((i * 5 + n) % m.n).base;
    fpheap_free_bulk(m.heap, array, n);
    no_growth();
}

/* All objects of one size, up to BULK. */
static void
op_free_bulk_sized(void)
{
    unsigned i = choose(NO_POOL);
    unsigned n = 0;
    size_t   size;

    if (i == OBJECTS)
        return;
    size = m.objects[i].size;
    for (i = 0; i < m.n && n < BULK;) {
        if (m.objects[i].size == size && m.objects[i].sized)
            array[n++] = forget(i).base;
        else
            i++;
    }
    fpheap_free_bulk_sized(m.heap, array, n, size);
    no_growth();
}

/* --- the calls that take a cache ------------------------------------------ */

static fpheap_cache *
own_cache(void)
{
    fpheap_cache *cache = fpheap_self(m.heap);

    if (cache == NULL)
        FUZZ_CHECK(me == 2 ? errno == EAGAIN : errno == ENOMEM);
    else
        FUZZ_CHECK(me != 2 && "the third thread has no seat");
    return cache;
}

static void
op_cache(void)
{
    unsigned      how   = fuzz_u8();
    size_t        size  = fuzz_size();
    fpheap_cache *cache = own_cache();
    unsigned      i;
    void         *base;

    if (cache == NULL)
        return;
    i = how % 2 == 0 || m.n == OBJECTS ? choose(NO_POOL) : OBJECTS;
    if (i != OBJECTS && m.objects[i].sized && how & 2) {
        object o = forget(i);

        fpheap_cache_free_sized(cache, o.base, o.size);
    } else if (i != OBJECTS) {
        fpheap_cache_free(cache, forget(i).base);
    } else if (m.n != OBJECTS) {
        base = fpheap_cache_alloc(cache, size);
        asked(promise_of(size), 1, base != NULL);
        if (base == NULL)
            reason(errno, NULL, 0, chunks_of(size, 1));
        else
            keep_plain(base, size, -1);
    }
}

/* --- pools ---------------------------------------------------------------- */

static int
number_of(const pool *p)
{
    return (int)(p - m.pools);
}

static uint32_t
made_pattern(const pool *p)
{
    return 1000u + (uint32_t)number_of(p);
}

static int going;              /* objects may be destructed: their pool begins
                                  or ends */

/* An object of the heap for one of a pool; 0 or a negative errno. */
static int
construct_inner(char *object)
{
    char *inner = (char *)fpheap_alloc(m.heap, 40);

    asked(promise_of(40), 1, inner != NULL);
    if (inner == NULL) {
        int error = errno;

        reason(error, NULL, 0, 1);
        fuzz_note_error(&m.provider, error);
        return -error;
    }
    FUZZ_CHECK(all_are(live_bytes + arena_offset(inner), 40, 0));
    memset(live_bytes + arena_offset(inner), 1, 40);
    fuzz_fill(inner, 0, 40, 77);
    memcpy(object, &inner, sizeof inner);
    m.inner++;
    m.inner_bytes += fpheap_usable_size(m.heap, inner);
    return 0;
}

static int
construct(void *arg, void *object)
{
    pool  *p    = (pool *)arg;
    char  *base = (char *)object;
    size_t at   = arena_offset(base);
    int    rc   = 0;

    if (m.make_in > 0 && --m.make_in == 0) {
        fuzz_note_error(&m.provider, -m.make_error);
        return m.make_error;
    }
    FUZZ_CHECK(fuzz_grant_of(&m.provider, base) != NULL);
    FUZZ_CHECK(made_at[at] == 0 && "constructed once");
    FUZZ_CHECK(all_are(live_bytes + at, p->desc.size, 0));
    if (p->maker == MAKER_HEAP)
        rc = construct_inner(base);
    if (rc != 0)
        return rc;
    made_at[at] = (uint8_t)(number_of(p) + 1);
    p->made++;
    fuzz_fill(base, skipped(number_of(p)), p->desc.size, made_pattern(p));
    return 0;
}

static int
has_made_pattern(const pool *p, const char *base)
{
    size_t size = p->desc.size;

    return made_at[arena_offset(base)] == number_of(p) + 1
        && fuzz_filled(base, skipped(number_of(p)), size, size,
                       made_pattern(p));
}

static void
destruct(void *arg, void *object)
{
    pool *p    = (pool *)arg;
    char *base = (char *)object;
    char *inner;

    FUZZ_CHECK(has_made_pattern(p, base) && "destructed as it was left");
    FUZZ_CHECK(all_are(live_bytes + arena_offset(base), p->desc.size, 0));
    FUZZ_CHECK((p->desc.flags & FPHEAP_TYPE_STABLE) == 0 || going
               || m.provider.errors != 0);
    made_at[arena_offset(base)] = 0;
    p->made--;
    if (p->maker != MAKER_HEAP)
        return;
    memcpy(&inner, base, sizeof inner);
    FUZZ_CHECK(fuzz_filled(inner, 0, 40, 40, 77));
    memset(live_bytes + arena_offset(inner), 0, 40);
    m.inner--;
    m.inner_bytes -= fpheap_usable_size(m.heap, inner);
    fpheap_free(m.heap, inner);
}

/* A description without a mistake. */
static void
describe(pool *p)
{
    fpheap_pool_desc *desc = &p->desc;
    size_t            size = fuzz_size();
    unsigned          how  = fuzz_u8();
    unsigned          some = fuzz_u8();

    memset(p, 0, sizeof *p);
    snprintf(p->name, sizeof p->name, "p%d", number_of(p));
    desc->name = p->name;
    p->maker = (maker)(how % 3);
    size = size % FPHEAP_POOL_SIZE_MAX + 1;
    desc->size = p->maker == MAKER_HEAP && size < 8 ? 8 : size;
    desc->align = how / 3 % 2 == 0 ? 0
                : (size_t)1 << some % (FPHEAP_PAGE_SHIFT + 1);
    desc->flags = how / 6 % 8;
    desc->node = (int)(some % m.nodes);
    if (p->maker != MAKER_NONE) {
        desc->construct = construct;
        desc->destruct = destruct;
        desc->arg = p;
    }
    some = fuzz_u8();
    desc->min = some % 4 == 0 ? some / 4 % 24 : 0;
    desc->max = some % 3 == 0 ? 0 : desc->min + some / 2 + 1;
    desc->magazine = some % 5 == 0 ? 2 + some % (FPHEAP_MAGAZINE - 1) : 0;
    if (some % 7 == 0 && desc->align <= 64 && desc->size < FPHEAP_CHUNK / 2) {
        desc->channels = 1 + some % 4;
        desc->ranks = some % 2;
    }
    desc->private_bytes = some % 11 == 0 ? 1 + some : 0;
    p->max = desc->max == 0 ? UINT32_MAX : desc->max;
}

/* The bytes from one object to the next are the fewest. */
static void
check_shape(const pool *p)
{
    size_t            align = p->desc.align == 0 ? 16
                            : p->desc.align < 16 && FPHEAP_CHECK ? 16
                            : p->desc.align < 8 && FPHEAP_HEADER ? 8
                            : p->desc.align;
    size_t            size  = (p->desc.size < 16 ? 16 : p->desc.size)
                            + FPH_HEAD;
    size_t            lines = (size + 63) / 64;
    size_t            banks = (size_t)p->desc.channels
                            * (p->desc.ranks ? p->desc.ranks : 1);
    fpheap_pool_stats stats;

    fpheap_pool_stats_get(p->pool, &stats);
    FUZZ_CHECK(banks == 0 ? stats.size == (size + align - 1) / align * align
                          : stats.size >= lines * 64
                            && stats.size <= (lines + banks) * 64
                            && (banks % 2 || banks == 1
                                || stats.size / 64 % 2 == 1));
    FUZZ_CHECK(stats.objects >= p->desc.min);
    FUZZ_CHECK(stats.claimed_objects == 0 && stats.live_objects == 0);
    FUZZ_CHECK(p->desc.magazine == 0 || stats.magazine == p->desc.magazine);
    FUZZ_CHECK(fpheap_pool_lookup(m.heap, p->name) == p->pool);
}

static unsigned
pools_there(void)
{
    unsigned n = 0;
    unsigned i;

    for (i = 0; i < POOLS; i++)
        n += m.pools[i].pool != NULL;
    return n;
}

/* A pool that must be refused: there is one of its name. */
static void
create_again(const pool *p)
{
    fpheap_pool *other = fpheap_pool_create(m.heap, &p->desc);
    int          error = errno;

    FUZZ_CHECK(other == NULL);
    if (error == ENFILE)
        FUZZ_CHECK(pools_there() == FPHEAP_MAX_POOLS);
    else if (error != EEXIST)
        reason(error, NULL, 0, 1);
}

static void
op_pool_create(void)
{
    pool *p = &m.pools[fuzz_below(POOLS)];
    char *private_area;
    int   error;

    if (p->pool != NULL) {
        create_again(p);
        return;
    }
    describe(p);
    going = 1;
    p->pool = fpheap_pool_create(m.heap, &p->desc);
    error = errno;
    going = 0;
    if (p->pool == NULL) {
        FUZZ_CHECK(p->made == 0 && "what was constructed was destructed");
        if (error == ENFILE)
            FUZZ_CHECK(pools_there() == FPHEAP_MAX_POOLS);
        else
            reason(error, NULL, 0, 1);
        return;
    }
    check_shape(p);
    private_area = (char *)fpheap_pool_private(p->pool);
    FUZZ_CHECK((private_area != NULL) == (p->desc.private_bytes != 0));
    if (private_area != NULL) {
        FUZZ_CHECK(((uintptr_t)private_area & 63) == 0);
        FUZZ_CHECK(all_are((uint8_t *)private_area, p->desc.private_bytes, 0));
        fuzz_fill(private_area, 0, p->desc.private_bytes, made_pattern(p));
    }
}

/* A pool that there is, or NULL. */
static pool *
choose_pool(void)
{
    unsigned i = fuzz_below(POOLS);
    unsigned tries;

    for (tries = 0; tries < POOLS; tries++, i = (i + 1) % POOLS)
        if (m.pools[i].pool != NULL)
            return &m.pools[i];
    return NULL;
}

static void
check_private(const pool *p)
{
    size_t bytes = p->desc.private_bytes;

    if (bytes != 0)
        FUZZ_CHECK(fuzz_filled((char *)fpheap_pool_private(p->pool), 0, bytes,
                               bytes, made_pattern(p)));
}

static void
op_pool_destroy(void)
{
    pool  *p    = choose_pool();
    size_t live = 12345;
    int    i, rc;

    if (p == NULL)
        return;
    check_private(p);
    going = 1;
    rc = fpheap_pool_destroy(p->pool, &live);
    going = 0;
    FUZZ_CHECK(live == p->live);
    FUZZ_CHECK(rc == (live == 0 ? 0 : -EBUSY));
    for (i = 0; i < 3; i++)
        m.promises[i][FPH_SIZES + number_of(p)].n = 0;
    if (rc != 0)
        return;
    FUZZ_CHECK(p->made == 0);
    FUZZ_CHECK(fpheap_pool_lookup(m.heap, p->name) == NULL
               && errno == ENOENT);
    p->pool = NULL;
}

static void
pool_keep(pool *p, void *base)
{
    const fpheap_pool_desc *desc  = &p->desc;
    size_t                  align = desc->align == 0 ? 16 : desc->align;
    int                     node  = desc->flags & FPHEAP_ON_NODE ? desc->node
                                                                 : -1;

    if (p->maker != MAKER_NONE)
        FUZZ_CHECK(has_made_pattern(p, (char *)base)
                   && "a pool's object has what was left in it");
    keep(base, desc->size, align, number_of(p), node);
    p->live++;
    FUZZ_CHECK(p->live <= p->max || p->live <= p->over);
}

static void
op_pool_get(void)
{
    pool *p = choose_pool();
    void *base;

    if (p == NULL || m.n == OBJECTS)
        return;
    base = fpheap_pool_get(p->pool);
    asked(promise_of_pool(p), 1, base != NULL);
    if (base == NULL)
        reason(errno, p, 1, 1);
    else
        pool_keep(p, base);
}

static void
op_pool_get_bulk(void)
{
    pool    *p = choose_pool();
    unsigned n = bulk_count();
    unsigned i;
    int      rc;

    if (p == NULL)
        return;
    rc = fpheap_pool_get_bulk(p->pool, array, n);
    FUZZ_CHECK(rc <= 0);
    asked(promise_of_pool(p), n, rc == 0 ? n : 0);
    check_untouched(rc == 0 ? n : 0, BULK);
    for (i = 0; rc == 0 && i < n; i++)
        pool_keep(p, array[i]);
    if (rc != 0)
        reason(-rc, p, n, 1);
}

static void
op_pool_get_burst(void)
{
    pool    *p = choose_pool();
    unsigned n = bulk_count();
    unsigned got, i;
    int      error;

    if (p == NULL)
        return;
    got = fpheap_pool_get_burst(p->pool, array, n);
    error = errno;
    FUZZ_CHECK(got <= n);
    asked(promise_of_pool(p), n, got);
    check_untouched(got, BULK);
    for (i = 0; i < got; i++)
        pool_keep(p, array[i]);
    if (got < n)
        reason(error, p, 1, 1);
}

static void
op_pool_put(void)
{
    pool    *p = choose_pool();
    unsigned i = p == NULL ? OBJECTS : choose(number_of(p) + 1);

    if (p == NULL)
        return;
    fpheap_pool_put(p->pool, i == OBJECTS ? NULL : forget(i).base);
    no_growth();
}

static void
op_pool_put_bulk(void)
{
    pool    *p = choose_pool();
    unsigned n = fuzz_below(BULK + 1);
    unsigned got, i;

    if (p == NULL)
        return;
    for (got = i = 0; i < m.n && got < n;) {
        if (m.objects[i].pool == number_of(p))
            array[got++] = forget(i).base;
        else
            i++;
    }
    if (got < n)
        array[got++] = NULL;
    fpheap_pool_put_bulk(p->pool, array, got);
    no_growth();
}

static void
op_pool_set_max(void)
{
    pool             *p   = choose_pool();
    size_t            max = fuzz_u8();
    fpheap_pool_stats stats;
    int               rc;

    if (p == NULL)
        return;
    if (max == 255)
        max = (size_t)UINT32_MAX + 1;
    rc = fpheap_pool_set_max(p->pool, max);
    FUZZ_CHECK(rc == (max > UINT32_MAX || (max != 0 && max < p->desc.min)
                      ? -EINVAL : 0));
    if (rc != 0)
        return;
    fpheap_pool_stats_get(p->pool, &stats);
    p->max = max == 0 ? UINT32_MAX : max;
    p->over = stats.claimed_objects > p->max ? stats.claimed_objects : 0;
}

/* The next constructor, or the n-th, fails. */
static void
op_make_fails(void)
{
    static const int errors[] = { -ENOMEM, -EIO, -ENOSPC, -EBADF };
    unsigned         how = fuzz_u8();

    m.make_in = how % 32;
    m.make_error = errors[how / 32 % 4];
}

/* --- prefilling ----------------------------------------------------------- */

/* A prefill of n, which is wrong if that is too many, has returned rc. */
static void
prefilled(promise *promise, unsigned n, int is_wrong, int rc)
{
    size_t chunks = promise->of != NULL ? 1 : chunks_of(promise->size, 1);

    if (is_wrong) {
        FUZZ_CHECK(rc == -EINVAL);
    } else if (me == 2) {
        FUZZ_CHECK(rc == -EAGAIN);
    } else if (rc != 0) {
        reason(-rc, promise->of, n, chunks);
    } else {
        promise->n = n;
        m.prefilled |= n != 0;
    }
}

static void
op_prefill(void)
{
    size_t             size    = fuzz_size();
    unsigned           n       = fuzz_u8();
    promise           *promise = promise_of(size);
    int                fits    = size <= FPH_SIZED_MAX;
    fpheap_class_stats stats;

    if (own_cache() == NULL && me != 2)
        return;
    fpheap_class_stats_get(m.heap, fits ? fph_class_said(size) - 1 : 0, &stats);
    n %= stats.magazine + 2;
    promise->n = 0;
    promise->size = size + (size == 0); /* 0 is served, but not by a hit */
    prefilled(promise, n, !fits || n > stats.magazine,
              fpheap_prefill(m.heap, size, n));
}

static void
op_pool_prefill(void)
{
    pool             *p = choose_pool();
    unsigned          n = fuzz_u8();
    promise          *promise;
    fpheap_pool_stats stats;

    if (p == NULL || (own_cache() == NULL && me != 2))
        return;
    fpheap_pool_stats_get(p->pool, &stats);
    n %= stats.magazine + 2;
    promise = promise_of_pool(p);
    promise->n = 0;
    promise->of = p;
    prefilled(promise, n, n > stats.magazine, fpheap_pool_prefill(p->pool, n));
}

static int
get_promised(const promise *promise, unsigned n)
{
    return promise->of != NULL
         ? fpheap_pool_get_bulk(promise->of->pool, array, n)
         : fpheap_alloc_bulk(m.heap, promise->size, array, n);
}

/* Get what this thread was promised. */
static void
take_promised(promise *promise, int at_once)
{
    unsigned n = (unsigned)least(least(promise->n, BULK), OBJECTS - m.n);
    unsigned i;

    if (at_once)
        FUZZ_CHECK(get_promised(promise, n) == 0);
    for (i = 0; i < n; i++) {
        if (!at_once)
            array[i] = promise->of != NULL
                     ? fpheap_pool_get(promise->of->pool)
                     : fpheap_alloc(m.heap, promise->size);
        asked(promise, 1, array[i] != NULL);
        if (promise->of != NULL)
            pool_keep(promise->of, array[i]);
        else
            keep_plain(array[i], promise->size, -1);
    }
}

/* Others ask for what is parked.  A call that hits does not notice, nor does it
 * call the provider. */
static void
op_promised(void)
{
    unsigned      how   = fuzz_u8();
    unsigned      k     = how / 2;
    unsigned      tries = PROMISES;
    fpheap_cache *cache;

    while (tries > 0 && m.promises[me][k % PROMISES].n == 0)
        tries--, k++;
    if (tries == 0)
        return;
    cache = own_cache();
    FUZZ_CHECK(cache != NULL);
    fph_fetch_add_relaxed(&m.heap->state->asked, 1);
    take_promised(&m.promises[me][k % PROMISES], how % 2 != 0);
    FUZZ_CHECK(cache->asked != fph_load_relaxed(&m.heap->state->asked)
               && "what was prefilled is a hit");
    FUZZ_CHECK(m.provider.gets == 0);
}

/* --- memory --------------------------------------------------------------- */

static int
alone(void)
{
    return m.threads == 1;
}

static void
op_trim(void)
{
    size_t       before = m.provider.held_bytes;
    size_t       inner  = m.inner;
    size_t       bytes  = fpheap_trim(m.heap);
    fpheap_stats stats;

    FUZZ_CHECK(bytes == before - m.provider.held_bytes);
    fpheap_stats_get(m.heap, &stats);
    if (!alone() || m.prefilled || m.inner != inner)
        return;                /* or destructors have freed some */
    FUZZ_CHECK(stats.parked_objects == 0);
    FUZZ_CHECK(m.n != 0 || pools_there() != 0 || stats.slab_free_bytes == 0);
}

static void
op_reserve(void)
{
    int          node  = (int)fuzz_below(m.nodes + 2) - 1;
    size_t       bytes = fuzz_u16() * (size_t)32;
    int          rc    = fpheap_reserve(m.heap, bytes, node);
    fpheap_stats stats;

    FUZZ_CHECK((rc == -EINVAL) == (node == (int)m.nodes)
               || fuzz_noted(&m.provider, EINVAL));
    fpheap_stats_get(m.heap, &stats);
    if (rc == 0)
        FUZZ_CHECK(stats.page_free_bytes >= bytes);
    else if (node != (int)m.nodes)
        reason(-rc, NULL, 0, bytes / FPHEAP_CHUNK + 2);
}

static void
op_set_limit(void)
{
    unsigned how = fuzz_u8();

    m.provider.limit = how % 4 == 3 ? 0
                     : how / 4 * FPHEAP_CHUNK + how % 4 * 4096;
    fpheap_set_limit(m.heap, m.provider.limit);
}

static void
op_flush(void)
{
    fpheap_stats stats;

    fpheap_flush(m.heap);
    promises_end();
    no_growth();
    fpheap_stats_get(m.heap, &stats);
    FUZZ_CHECK(!alone() || stats.parked_bytes == stats.depot_bytes);
}

static void
op_leave(void)
{
    fpheap_stats stats;

    fpheap_thread_leave(m.heap);
    promises_end();
    no_growth();
    fpheap_stats_get(m.heap, &stats);
    FUZZ_CHECK(!alone() || stats.caches == 0);
    if (alone())
        m.threads = 0;
}

static void
op_script(void)
{
    fuzz_script(&m.provider);
}

static void
op_put_refusals(void)
{
    m.provider.put_refusals = fuzz_below(4);
}

/* --- questions ------------------------------------------------------------ */

static void
check_pool(const pool *p)
{
    fpheap_pool_stats s;

    fpheap_pool_stats_get(p->pool, &s);
    FUZZ_CHECK(s.objects == s.claimed_objects + s.free_objects);
    FUZZ_CHECK(s.claimed_objects == s.live_objects + s.parked_objects);
    FUZZ_CHECK(s.live_objects == p->live);
    FUZZ_CHECK(p->maker == MAKER_NONE || s.objects == p->made);
    FUZZ_CHECK(s.max == p->max && s.min == p->desc.min);
    FUZZ_CHECK(s.objects >= s.min);
    FUZZ_CHECK(s.claimed_objects <= s.max || s.claimed_objects <= p->over);
    check_private(p);
}

static void
check_all(void)
{
    size_t       bytes     = m.inner_bytes;
    size_t       requested = m.inner * 40;
    fpheap_stats stats;
    unsigned     i;

    fuzz_check_heap(m.heap, &m.provider, &stats);
    for (i = 0; i < m.n; i++) {
        bytes += m.objects[i].usable;
        requested += m.objects[i].size;
    }
    FUZZ_CHECK(stats.live_objects == m.n + m.inner);
    /* Headers of classes count, pages in front of runs as well. */
    FUZZ_CHECK(stats.live_bytes == bytes
               || (FPHEAP_HEADER && stats.live_bytes > bytes
                   && stats.live_bytes - bytes
                      <= stats.live_objects * FPHEAP_CHUNK));
    FUZZ_CHECK(stats.requested_bytes == (FPHEAP_HEADER ? requested : 0));
    for (i = 0; i < POOLS; i++)
        if (m.pools[i].pool != NULL)
            check_pool(&m.pools[i]);
}

static void
op_class_stats(void)
{
    fpheap_class_stats stats;
    fpheap_stats       all;
    size_t             live = 0, parked = 0;
    size_t             size = 0;
    unsigned           i;

    for (i = 0; fpheap_class_stats_get(m.heap, i, &stats) == 0; i++) {
        FUZZ_CHECK(stats.size > size || i >= FPH_SIZES - 1);
        size = stats.size;
        live += stats.live_objects;
        parked += stats.parked_objects;
    }
    fpheap_stats_get(m.heap, &all);
    FUZZ_CHECK(live <= m.n + m.inner);
    FUZZ_CHECK(parked <= all.parked_objects);
}

/* Any pointer may be asked about. */
static void
op_base_of(void)
{
    unsigned    how = fuzz_u8();
    size_t      at  = (fuzz_u16() * (size_t)257 + how) % FUZZ_ARENA;
    unsigned    i   = how % 2 ? choose(ANY_POOL) : OBJECTS;
    const char *interior = how == 0 ? NULL
                         : how == 2 ? (char *)(UINTPTR_MAX - at)
                         : fuzz_arena + at;
    char       *base;

    if (i != OBJECTS)
        interior = m.objects[i].base + at % m.objects[i].usable;
    base = (char *)fpheap_base_of(m.heap, interior);
    FUZZ_CHECK(fpheap_owns(m.heap, interior) == (base != NULL));
    FUZZ_CHECK(i == OBJECTS || base == m.objects[i].base);
    if (i == OBJECTS && how > 2)
        FUZZ_CHECK(base == NULL ? !live_bytes[at] : base <= interior);
}

typedef struct count {
    size_t      objects;
    size_t      bytes;
    const pool *pool;
    int         live;
    size_t      stop;          /* after so many; 0: never */
} count;

static int
visit_object(void *arg, const fpheap_object *object)
{
    count *c = (count *)arg;

    FUZZ_CHECK(live_bytes[arena_offset((char *)object->base)] == 1);
    FUZZ_CHECK(fuzz_grant_of(&m.provider, object->base)->node == object->node);
    c->bytes += object->bytes;
    return ++c->objects == c->stop ? 3 : 0;
}

static void
op_walk(void)
{
    count c  = { 0, 0, NULL, 1, fuzz_u8() % 16 };
    int   rc = fpheap_walk(m.heap, visit_object, &c);
    size_t n = m.n + m.inner;

    FUZZ_CHECK(rc == (c.stop != 0 && c.stop <= n ? 3 : 0));
    FUZZ_CHECK(c.objects == (rc == 0 ? n : c.stop));
}

static int
visit_pool(void *arg, void *object)
{
    count *c  = (count *)arg;
    size_t at = arena_offset((char *)object);

    FUZZ_CHECK(!c->live || live_bytes[at] == 1);
    FUZZ_CHECK(c->pool->maker == MAKER_NONE
               || made_at[at] == number_of(c->pool) + 1);
    return ++c->objects == c->stop ? 3 : 0;
}

static void
op_for_each(void)
{
    unsigned          how = fuzz_u8();
    const pool       *p   = choose_pool();
    count             c   = { 0, 0, p, how % 2 != 0, how / 2 % 16 };
    fpheap_pool_stats stats;
    size_t            n;
    int               rc;

    if (p == NULL)
        return;
    fpheap_pool_stats_get(p->pool, &stats);
    n = c.live ? p->live : stats.objects;
    rc = fpheap_pool_for_each(p->pool, c.live ? FPHEAP_LIVE : FPHEAP_ALL,
                              visit_pool, &c);
    FUZZ_CHECK(rc == (c.stop != 0 && c.stop <= n ? 3 : 0));
    FUZZ_CHECK(c.objects == (rc == 0 ? n : c.stop));
}

static void
op_dump(void)
{
    static FILE *null;

    if (null == NULL)
        null = fopen("/dev/null", "w");
    if (null != NULL)
        fpheap_dump(m.heap, null);
}

/* --- headers -------------------------------------------------------------- */

#if FPHEAP_HEADER
static void
op_header(void)
{
    unsigned tag  = fuzz_below(FPHEAP_TAGS + 1);
    size_t   size = fuzz_size();
    unsigned i    = choose(NO_POOL);
    void    *base;

    if (m.n == OBJECTS)
        return;
    base = fpheap_alloc_tagged(m.heap, size, tag);
    if (tag != FPHEAP_TAGS)
        asked(promise_of(size), 1, base != NULL);
    if (tag == FPHEAP_TAGS)
        FUZZ_CHECK(base == NULL && errno == EINVAL);
    else if (base == NULL)
        reason(errno, NULL, 0, chunks_of(size, 1));
    else
        keep_plain(base, size, -1);
    FUZZ_CHECK(base == NULL || (fpheap_tag(base) == tag
                                && fpheap_requested(base) == size
                                && fpheap_refs(base) == 1));
    if (i == OBJECTS)
        return;
    fpheap_ref(m.objects[i].base);
    fpheap_unref(m.heap, m.objects[i].base);
    fpheap_unref(m.heap, forget(i).base);
}
#else
static void
op_header(void)
{
}
#endif

/* --- the heap ------------------------------------------------------------- */

/* What a provider's callback does with the heap that it serves. */
static void
inside(void)
{
    void *base;

    if (m.heap == NULL)
        return;
    base = fpheap_alloc(m.heap, 100);
    asked(promise_of(100), 1, base != NULL);
    if (base != NULL)
        FUZZ_CHECK(all_are(live_bytes + arena_offset((char *)base), 100, 0));
    fpheap_free(m.heap, base);
}

static void
create(void)
{
    unsigned      how = fuzz_u8();
    fpheap_config config;

    memset(&config, 0, sizeof config);
    m.provider.limit = 0;
    m.nodes = how % 3 + 1;
    m.flags = how / 3 % 2 * FPHEAP_SPILL;
    m.threads = 1u << me;
    m.prefilled = 0;
    memset(m.promises, 0, sizeof m.promises);
    config.nodes = m.nodes;
    config.flags = m.flags;
    config.provider = &m.provider.calls;
    config.thread_node = thread_node;
    config.growth_max = how / 6 % 3 * FPHEAP_CHUNK;
    m.heap = fpheap_create("fuzz", &config);
    if (m.heap != NULL)
        return;
    reason(errno, NULL, 0, 2);
    FUZZ_CHECK(m.provider.held == 0);
    fuzz_script_end(&m.provider);
    m.heap = fpheap_create("fuzz", &config);
    FUZZ_CHECK(m.heap != NULL);
}

/* All is gone: nothing of it may be left anywhere. */
static void
check_gone(void)
{
    unsigned i;

    for (i = 0; i < POOLS; i++) {
        FUZZ_CHECK(m.pools[i].made == 0);
        m.pools[i].pool = NULL;
    }
    FUZZ_CHECK(m.inner == 0 && m.inner_bytes == 0);
    fuzz_provider_end(&m.provider, m.provider.puts_refused);
    m.provider.held = 0;
    m.provider.held_bytes = 0;
    m.heap = NULL;
}

static void
op_destroy(void)
{
    size_t live = m.n + m.inner;
    int    rc;

    going = 1;
    rc = fpheap_destroy(m.heap);
    going = 0;
    FUZZ_CHECK(rc == (live == 0 ? 0 : -EBUSY));
    if (rc == 0) {
        check_gone();
        create();
    }
}

static void
op_destroy_forced(void)
{
    while (m.n > 0)
        forget(m.n - 1);
    going = 1;
    FUZZ_CHECK(fpheap_destroy_forced(m.heap) == 0);
    going = 0;
    check_gone();
    create();
}

static void
op_thread(void)
{
    m.thread = fuzz_below(3);
}

/* Free most of what is live. */
static void
op_free_most(void)
{
    unsigned keep_n = fuzz_below(8);

    while (m.n > keep_n)
        fpheap_free(m.heap, forget(m.n - 1).base);
    no_growth();
}

/* --- a run ---------------------------------------------------------------- */

static void (*const ops[])(void) = {
    op_alloc, op_alloc, op_aligned_realloc, op_alloc_on, op_aligned,
    op_realloc, op_alloc_bulk, op_alloc_burst, op_free, op_free, op_free_sized,
    op_free_bulk, op_free_bulk_sized, op_cache, op_pool_create,
    op_pool_destroy, op_pool_get, op_pool_get, op_pool_get_bulk,
    op_pool_get_burst, op_pool_put, op_pool_put, op_pool_put_bulk,
    op_pool_set_max, op_make_fails, op_trim, op_reserve, op_set_limit,
    op_flush, op_leave, op_script, op_put_refusals, op_class_stats,
    op_base_of, op_walk, op_for_each, op_dump, op_header, op_destroy,
    op_destroy_forced, op_thread, op_free_most, op_prefill, op_pool_prefill,
    op_promised, op_promised
};

static void
step(void)
{
    fuzz_step_begin(&m.provider);
    m.held_before = m.provider.held_bytes;
    ops[fuzz_u8() % FUZZ_COUNT(ops)]();
}

/* Free all, see that the heap still serves, and end it. */
static void
end(void)
{
    void    *base;
    unsigned i;

    fuzz_script_end(&m.provider);
    m.make_in = 0;
    fuzz_step_begin(&m.provider);
    m.provider.limit = 0;
    fpheap_set_limit(m.heap, 0);
    while (m.n > 0)
        fpheap_free(m.heap, forget(m.n - 1).base);
    base = fpheap_alloc(m.heap, 3000);
    asked(promise_of(3000), 1, base != NULL);
    FUZZ_CHECK(base != NULL || fuzz_noted(&m.provider, ENOMEM));
    fpheap_free(m.heap, base);
    check_all();
    going = 1;
    for (i = 0; i < POOLS; i++)
        if (m.pools[i].pool != NULL && m.pools[i].maker == MAKER_HEAP) {
            FUZZ_CHECK(fpheap_pool_destroy(m.pools[i].pool, NULL) == 0);
            m.pools[i].pool = NULL;
        }
    fpheap_trim(m.heap);
    check_all();
    FUZZ_CHECK(fpheap_destroy(m.heap) == 0);
    going = 0;
    check_gone();
}

/* The second thread has a seat, the third has none, in every run. */
static void
sit_down(void)
{
    (void)fpheap_self(m.heap);
}

static void
init(void)
{
    unsigned i;

    fuzz_memory_init();
    for (i = 0; i < FUZZ_COUNT(workers); i++) {
        workers[i].number = i + 1;
        sem_init(&workers[i].go, 0, 0);
        sem_init(&workers[i].done, 0, 0);
        FUZZ_CHECK(pthread_create(&workers[i].thread, NULL, worker_main,
                                  &workers[i]) == 0);
    }
    m.heap = fpheap_create(NULL, NULL);
    FUZZ_CHECK(m.heap != NULL);
    for (i = 0; i <= FUZZ_COUNT(workers); i++)
        on_thread(i, sit_down);
    FUZZ_CHECK(fpheap_destroy(m.heap) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static int ready;

    if (!ready)
        init();
    ready = 1;
    memset(&m, 0, sizeof m);
    fuzz_provider_init(&m.provider);
    m.provider.inside = inside;
    m.make_error = -EIO;
    fuzz_at = data;
    fuzz_end = data + bytes;
    fuzz_steps = 0;
    fuzz_script(&m.provider);
    create();
    while (fuzz_at < fuzz_end) {
        fuzz_steps++;
        on_thread(m.thread, step);
        if (fuzz_steps % 8 == 0)
            check_all();
    }
    end();
    return 0;
}
