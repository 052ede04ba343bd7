/* pool_util.h - what the programs about pools share: constructors that keep
 * books, pools, and their numbers
 *
 * Include it after fpheap.h.
 */
#ifndef POOL_UTIL_H
#define POOL_UTIL_H

#include "test_util.h"

#define MOST 20000
#define MADE UINT64_C(0x9a6d3b51c7e4f082) /* a constructed object's */

TEST_UNUSED static test_provider provider;
static void         *objects[MOST];
TEST_UNUSED static void       *others[MOST];
TEST_UNUSED static test_object sorted[MOST];
TEST_UNUSED static char        mark; /* its address is in places not to be
                                        written */

/* What a pool's constructor and destructor saw. */
typedef struct book {
    size_t       constructed;
    size_t       destructed;
    size_t       calls;        /* of the constructor */
    size_t       wrong;
    size_t       fail_at;      /* the first call that fails, from 1; 0: none */
    int          error;        /* what it returns */
    unsigned     depth;        /* constructors in one another */
    fpheap      *heap;
    fpheap_pool *other;
    fpheap_pool *own;
} book;

TEST_UNUSED static uint64_t
word_of(const void *object)
{
    uint64_t word;

    memcpy(&word, object, sizeof(word));
    return word;
}

TEST_UNUSED static void
set_word(void *object, uint64_t word)
{
    memcpy(object, &word, sizeof(word));
}

TEST_UNUSED static uint64_t
made(const void *object)
{
    return MADE ^ (uintptr_t)object;
}

TEST_UNUSED static int
construct(void *arg, void *object)
{
    book *b = (book *)arg;

    if (++b->calls >= b->fail_at && b->fail_at != 0)
        return b->error;
    if (word_of(object) == made(object))
        b->wrong++;
    set_word(object, made(object));
    b->constructed++;
    return 0;
}

TEST_UNUSED static void
destruct(void *arg, void *object)
{
    book *b = (book *)arg;

    if (word_of(object) != made(object))
        b->wrong++;
    set_word(object, ~made(object));
    b->destructed++;
}

TEST_UNUSED static fpheap_pool_desc
described(const char *name, size_t size, size_t align)
{
    fpheap_pool_desc desc;

    memset(&desc, 0, sizeof(desc));
    desc.name = name;
    desc.size = size;
    desc.align = align;
    return desc;
}

/* A pool of 100 bytes, or NULL. */
TEST_UNUSED static fpheap_pool *
named(fpheap *heap, const char *name, size_t min,
      int (*make)(void *, void *), void *arg)
{
    fpheap_pool_desc desc = described(name, 100, 0);

    desc.min = min;
    desc.construct = make;
    desc.arg = arg;
    return fpheap_pool_create(heap, &desc);
}

TEST_UNUSED static fpheap_pool_desc
with_book(const char *name, size_t size, book *b)
{
    fpheap_pool_desc desc = described(name, size, 0);

    memset(b, 0, sizeof(*b));
    desc.construct = construct;
    desc.destruct = destruct;
    desc.arg = b;
    return desc;
}

TEST_UNUSED static fpheap_pool *
create_at(fpheap *heap, const fpheap_pool_desc *desc, const char *file,
          int line)
{
    fpheap_pool *pool;

    errno = 0;
    pool = fpheap_pool_create(heap, desc);
    if (pool == NULL) {
        print_error("no pool of %zu bytes: %s\n", desc->size, strerror(errno));
        _fail(file, line);
    }
    return pool;
}

#define CREATE(heap, desc) create_at(heap, desc, __FILE__, __LINE__)

TEST_UNUSED static fpheap_pool_stats
pool_stats_at(fpheap_pool *pool, const char *file, int line)
{
    fpheap_pool_stats s;

    memset(&s, 0xee, sizeof(s));
    fpheap_pool_stats_get(pool, &s);
    if (s.objects != s.live_objects + s.parked_objects + s.free_objects
        || s.claimed_objects != s.live_objects + s.parked_objects) {
        print_error("objects %zu, claimed %zu, live %zu, parked %zu, free %zu "
                    "in %zu slabs\n", s.objects, s.claimed_objects,
                    s.live_objects, s.parked_objects, s.free_objects, s.slabs);
        _fail(file, line);
    }
    return s;
}

/* The numbers of a pool, which add up. */
#define STATS(pool) pool_stats_at(pool, __FILE__, __LINE__)

/* Each existing object was constructed, each other one destructed. */
#define BALANCED(pool, b)                                          \
    do {                                                           \
        assert_int_equal((b)->wrong, 0);                           \
        assert_int_equal((b)->constructed,                         \
                         STATS(pool).objects + (b)->destructed);   \
    } while (0)

#define END(pool)                                                  \
    do {                                                           \
        size_t live_ = 77;                                         \
                                                                   \
        assert_int_equal(fpheap_pool_destroy(pool, &live_), 0);    \
        assert_int_equal(live_, 0);                                \
    } while (0)

#define REFUSED(heap, desc, error_)                                \
    do {                                                           \
        errno = 0;                                                 \
        assert_null(fpheap_pool_create(heap, desc));               \
        assert_int_equal(errno, error_);                           \
    } while (0)

TEST_UNUSED static void
get_all(fpheap_pool *pool, unsigned n)
{
    unsigned i;

    assert_true(n <= MOST);
    for (i = 0; i < n; i++) {
        objects[i] = fpheap_pool_get(pool);
        assert_non_null(objects[i]);
    }
}

TEST_UNUSED static void
put_all(fpheap_pool *pool, unsigned n)
{
    unsigned i;

    for (i = 0; i < n; i++)
        fpheap_pool_put(pool, objects[i]);
}

/* All objects that can be had. */
TEST_UNUSED static unsigned
get_until(fpheap_pool *pool, int error)
{
    unsigned n = 0;

    for (;;) {
        assert_true(n < MOST);
        errno = 0;
        objects[n] = fpheap_pool_get(pool);
        if (objects[n] == NULL)
            break;
        n++;
    }
    assert_int_equal(errno, error);
    return n;
}

TEST_UNUSED static void
check_disjoint(fpheap *heap, unsigned n)
{
    unsigned i;

    for (i = 0; i < n; i++) {
        sorted[i].base = (char *)objects[i];
        sorted[i].bytes = fpheap_usable_size(heap, objects[i]);
    }
    assert_true(test_disjoint(sorted, n));
}

/* As many of `size` bytes as the heap gives; they stay in others[]. */
TEST_UNUSED static unsigned
fill_with_others(fpheap *heap, size_t size)
{
    unsigned n = 0;

    while (n < MOST && (others[n] = fpheap_alloc(heap, size)) != NULL)
        n++;
    assert_true(n < MOST);
    return n;
}

/* The bytes of a heap by what they are, but for records, which only grow. */
TEST_UNUSED static void
expect_same_bytes(const fpheap_stats *a, const fpheap_stats *b)
{
    assert_int_equal(a->region_bytes, b->region_bytes);
    assert_int_equal(a->live_bytes, b->live_bytes);
    assert_int_equal(a->parked_bytes, b->parked_bytes);
    assert_int_equal(a->slab_free_bytes, b->slab_free_bytes);
    assert_int_equal(a->page_free_bytes + a->metadata_bytes,
                     b->page_free_bytes + b->metadata_bytes);
    assert_int_equal(a->waste_bytes, b->waste_bytes);
    assert_int_equal(a->live_objects, b->live_objects);
}

/* More objects than a pool may have; with 32 bits there is no such number. */
TEST_UNUSED static const size_t too_many[] = { (size_t)UINT32_MAX + 1,
                                               SIZE_MAX };
TEST_UNUSED static const unsigned n_too_many = SIZE_MAX > UINT32_MAX ? 2 : 0;

#endif /* POOL_UTIL_H */
