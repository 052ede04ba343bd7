/* races_util.h - what the programs about races share: a heap, and what another
 * thread does with it
 *
 * Include it after fpheap.h, and that after races.h and panics.h.
 */
#ifndef RACES_UTIL_H
#define RACES_UTIL_H

#include "test_util.h"

#define LARGE (3 * FPHEAP_CHUNK)   /* a region of four chunks */

static test_provider provider;
static fpheap       *heap;
static void         *theirs;       /* what the other thread has */

TEST_UNUSED static void
begin(void)
{
    heap = test_heap_over(&provider);
    theirs = NULL;
    panics = 0;
}

/* The moment has come, and nothing is lost. */
TEST_UNUSED static void
end(void)
{
    assert_null(meanwhile_moment.word);
    assert_true(at_yield == NULL);
    assert_int_equal(panics, 0);
    TEST_DESTROY_OVER(heap, &provider);
}

typedef struct change {
    fph_word *word;
    uint64_t  to;
} change;

TEST_UNUSED static void *
set_word(void *arg)
{
    const change *c = (const change *)arg;

    fph_store_relaxed(c->word, c->to);
    return NULL;
}

TEST_UNUSED static void *
use_the_heap(void *unused)
{
    (void)unused;
    fpheap_free(heap, fpheap_alloc(heap, 100));
    fpheap_free(heap, fpheap_alloc(heap, 5000));
    return NULL;
}

TEST_UNUSED static void *
have_a_large_object(void *unused)
{
    (void)unused;
    theirs = fpheap_alloc(heap, LARGE);
    return NULL;
}

TEST_UNUSED static void *
free_it(void *object)
{
    fpheap_free(heap, object);
    return NULL;
}

TEST_UNUSED static unsigned
free_pages(void)
{
    const fph_chunk *chunk;
    unsigned         sum = 0;
    size_t           at  = 0;

    while ((chunk = fph_chunk_next(heap->state, &at)) != NULL)
        sum += fph_popcount(heap->state->free[chunk - heap->state->chunks]);
    return sum;
}

#endif /* RACES_UTIL_H */
