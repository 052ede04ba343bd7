/* header_util.h - what the programs about headers share: books of tags, and
 * what a header says
 *
 * It includes fpheap.h.
 */
#ifndef HEADER_UTIL_H
#define HEADER_UTIL_H

#include "panics.h"

#define FPHEAP_HEADER 1
#define FPHEAP_MAX_THREADS 4   /* so that few threads are too many */
#define FPHEAP_IMPLEMENTATION
#include "fpheap.h"
#include "test_util.h"

#include <pthread.h>

#define IN_FRONT 16            /* bytes of a header */

static test_provider provider;

TEST_UNUSED static const size_t sizes[] = {
    0, 1, 15, 16, 17, 48, 49, 64, 200, 1000, 2048, 9000, 65536, 300000,
    FPH_CLASS_MAX - 16, FPH_CLASS_MAX - 15, FPH_CLASS_MAX + 1, 3000000
};

typedef struct books {
    size_t objects[FPHEAP_TAGS];
    size_t bytes[FPHEAP_TAGS];
} books;

TEST_UNUSED static void
book(books *b, unsigned tag, size_t bytes)
{
    b->objects[tag]++;
    b->bytes[tag] += bytes;
}

TEST_UNUSED static void
unbook(books *b, unsigned tag, size_t bytes)
{
    b->objects[tag]--;
    b->bytes[tag] -= bytes;
}

TEST_UNUSED static void
check_books_at(fpheap *heap, const books *b, const char *file, int line)
{
    size_t           objects = 0;
    size_t           bytes = 0;
    fpheap_stats     stats;
    fpheap_tag_stats t;
    unsigned         tag;

    memset(&t, 0, sizeof t);
    for (tag = 0; tag < FPHEAP_TAGS; tag++) {
        assert_int_equal(fpheap_tag_stats_get(heap, tag, &t), 0);
        if (t.objects != b->objects[tag] || t.bytes != b->bytes[tag]) {
            print_error("tag %u: %zu objects, %zu bytes, not %zu and %zu\n",
                        tag, t.objects, t.bytes, b->objects[tag],
                        b->bytes[tag]);
            _fail(file, line);
        }
        objects += t.objects;
        bytes += t.bytes;
    }
    fpheap_stats_get(heap, &stats);
    if (stats.requested_bytes != bytes || bytes > stats.live_bytes) {
        print_error("requested %zu bytes, by tag %zu, live %zu\n",
                    stats.requested_bytes, bytes, stats.live_bytes);
        _fail(file, line);
    }
    test_check_live_at(heap, objects, file, line);
}

/* Each tag has what the books say, all tags have what the heap says, and every
 * invariant holds. */
#define CHECK_BOOKS(heap, b) check_books_at(heap, b, __FILE__, __LINE__)

/* All that a header says of an object with one reference. */
TEST_UNUSED static void
expect_header_at(void *object, size_t size, unsigned tag, unsigned flags,
                 const char *file, int line)
{
    if (fpheap_requested(object) == size && fpheap_tag(object) == tag
        && fpheap_flags(object) == flags && fpheap_refs(object) == 1)
        return;
    print_error("%p: %zu bytes, tag %u, flags %#x, %u references, not %zu, %u,"
                " %#x and 1\n", object, fpheap_requested(object),
                fpheap_tag(object), fpheap_flags(object), fpheap_refs(object),
                size, tag, flags);
    _fail(file, line);
}

#define EXPECT_HEADER(object, size, tag, flags) \
    expect_header_at(object, size, tag, flags, __FILE__, __LINE__)

/* An object with the header in front of it, for test_disjoint. */
TEST_UNUSED static test_object
with_header(fpheap *heap, void *object, size_t size)
{
    test_object o;

    o.base = (char *)object - IN_FRONT;
    o.bytes = fpheap_usable_size(heap, object) + IN_FRONT;
    o.size = size;
    o.number = 0;
    return o;
}

TEST_UNUSED static fpheap_pool *
pool_of(fpheap *heap, const char *name, size_t size, unsigned tag,
        unsigned destructor)
{
    fpheap_pool_desc desc;
    fpheap_pool     *pool;

    memset(&desc, 0, sizeof(desc));
    desc.name = name;
    desc.size = size;
    desc.tag = tag;
    desc.destructor = destructor;
    pool = fpheap_pool_create(heap, &desc);
    assert_non_null(pool);
    return pool;
}

#endif /* HEADER_UTIL_H */
