/* schedule_hooks.c - the calls that compilers make for ThreadSanitizer
 * SPDX-License-Identifier: MIT OR Unlicense
 *
 * Each access of a program is told to schedule_access, schedule_hooks.h.  Of the
 * names, which are the compilers', those are here that the heap's code needs.
 * An atomic access is made as seq_cst: of its order the caller takes care.
 */
#define SCHEDULE_RACES 1
#include "schedule_hooks.h"

#include <stdint.h>

#pragma GCC diagnostic ignored "-Wbuiltin-declaration-mismatch"

#define HOOK(name, bytes, access)                                           \
    void name(void *at);                                                    \
    void name(void *at) { schedule_access(at, bytes, access); }
#define HOOKS(n)                                                            \
    HOOK(__tsan_read##n, n, MODEL_READ)                                     \
    HOOK(__tsan_write##n, n, MODEL_WRITE)                                   \
    HOOK(__tsan_unaligned_read##n, n, MODEL_READ)                           \
    HOOK(__tsan_unaligned_write##n, n, MODEL_WRITE)
HOOKS(1)
HOOKS(2)
HOOKS(4)
HOOKS(8)
HOOKS(16)

#define RANGE(name, access)                                                 \
    void name(void *at, size_t bytes);                                      \
    void name(void *at, size_t bytes) { schedule_access(at, bytes, access); }
RANGE(__tsan_read_range, MODEL_READ)
RANGE(__tsan_write_range, MODEL_WRITE)

/* These are no accesses. */
void __tsan_init(void);
void __tsan_func_entry(void *caller);
void __tsan_func_exit(void *caller);
void __tsan_atomic_signal_fence(int order);
void __tsan_init(void) {}
void __tsan_func_entry(void *caller) { (void)caller; }
void __tsan_func_exit(void *caller) { (void)caller; }
void __tsan_atomic_signal_fence(int order) { (void)order; }

#define ATOMIC(result, name, type, access, operands, does)                  \
    result name operands;                                                   \
    result name operands                                                    \
    {                                                                       \
        (void)order;                                                        \
        schedule_access(at, sizeof *at, access);                            \
        does;                                                               \
    }
#define FETCH(bits, type, what)                                             \
    ATOMIC(type, __tsan_atomic##bits##_fetch_##what, type, MODEL_STORE,     \
           (type *at, type v, int order),                                   \
           return __atomic_fetch_##what(at, v, __ATOMIC_SEQ_CST))
#define ATOMICS(bits, type)                                                 \
    ATOMIC(type, __tsan_atomic##bits##_load, type, MODEL_LOAD,              \
           (const type *at, int order),                                     \
           return __atomic_load_n(at, __ATOMIC_SEQ_CST))                    \
    ATOMIC(void, __tsan_atomic##bits##_store, type, MODEL_STORE,            \
           (type *at, type v, int order),                                   \
           __atomic_store_n(at, v, __ATOMIC_SEQ_CST))                       \
    ATOMIC(type, __tsan_atomic##bits##_exchange, type, MODEL_STORE,         \
           (type *at, type v, int order),                                   \
           return __atomic_exchange_n(at, v, __ATOMIC_SEQ_CST))             \
    FETCH(bits, type, add)                                                  \
    FETCH(bits, type, or)                                                   \
    FETCH(bits, type, and)                                                  \
    ATOMIC(_Bool, __tsan_atomic##bits##_compare_exchange_strong, type,      \
           MODEL_STORE, (type *at, type *e, type d, int order, int failure), \
           (void)failure;                                                   \
           return __atomic_compare_exchange_n(at, e, d, 0, __ATOMIC_SEQ_CST, \
                                              __ATOMIC_SEQ_CST))
ATOMICS(8, uint8_t)
ATOMICS(16, uint16_t)
ATOMICS(32, uint32_t)
ATOMICS(64, uint64_t)
