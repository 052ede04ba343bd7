/* model.h - what the models share: small settings, and threads
 * SPDX-License-Identifier: MIT OR Unlicense
 *
 * A model makes the tables of a heap by hand, as small as can be, and has two or
 * three threads call the header's own functions on them.  A checker of weak
 * memory tries all executions.  What an owner does to its memory is plain reads
 * and writes, so each order that is too weak shows as a race or as an assertion.
 * SCENE says which threads there are.
 */
#ifndef MODEL_H
#define MODEL_H

#include <assert.h>
#include <errno.h>
#include <pthread.h>

#ifdef GENMC
/* It knows no thread-local structs; no two threads of a model use one.  No model
 * uses the rest. */
#  define __thread
#  define ENOTSUP EOPNOTSUPP
typedef unsigned pthread_key_t;
int pthread_key_create(pthread_key_t *key, void (*end)(void *value));
int pthread_key_delete(pthread_key_t key);
int pthread_setspecific(pthread_key_t key, const void *value);

/* Who would wait begins later in other executions. */
#  define FPHEAP_NOW_NS() (__VERIFIER_assume(0), (uint64_t)0)

/* It gives a compare-and-swap that fails the order of one that does not.  So one
 * is a load first that orders nothing, and either fails with a load of its own
 * or does not fail: other executions are not looked at. */
#  define __atomic_compare_exchange_n(p, e, d, weak, yes, no)                 \
    ({                                                                        \
        __typeof__(e)  e_    = (e);                                           \
        __typeof__(*e) seen_ = __atomic_load_n(p, __ATOMIC_RELAXED);          \
        int            same_ = seen_ == *e_;                                  \
                                                                              \
        if (same_) {                                                          \
            same_ = __atomic_compare_exchange_n(p, e_, d, weak, yes, no);     \
            __VERIFIER_assume(same_);                                         \
        } else {                                                              \
            *e_ = __atomic_load_n(p, no);                                     \
            __VERIFIER_assume(*e_ == seen_);                                  \
        }                                                                     \
        same_;                                                                \
    })
#endif

#define FPHEAP_IMPLEMENTATION
#define FPHEAP_STATIC
#ifndef FPHEAP_NO_OS
#  define FPHEAP_NO_OS           1
#endif
#define FPHEAP_NO_STDIO        1
#define FPHEAP_CHUNK_SHIFT     16
#define FPHEAP_CLASS_BITS      2
#ifndef FPHEAP_MAX_HEAPS
#  define FPHEAP_MAX_HEAPS       1
#endif
#define FPHEAP_MAX_POOLS       1
#define FPHEAP_MAX_THREADS     1
#define FPHEAP_PANIC(message)  assert(!(message))
#include "fpheap.h"

static fph_state state;

#endif
