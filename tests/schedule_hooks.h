/* schedule_hooks.h - what schedule_hooks.c tells of each access
 * SPDX-License-Identifier: MIT OR Unlicense
 *
 * A program that is compiled for ThreadSanitizer, with SCHEDULE_RACES, and linked
 * with schedule_hooks.c in place of its library, watches its plain accesses
 * itself.
 */
#ifndef SCHEDULE_HOOKS_H
#define SCHEDULE_HOOKS_H

#include <stddef.h>

#ifndef SCHEDULE_RACES
#  define SCHEDULE_RACES 0
#endif

enum { MODEL_READ, MODEL_WRITE, MODEL_LOAD, MODEL_STORE };

#if SCHEDULE_RACES
/* Called in front of an access, plain or, the last two, atomic. */
void schedule_access(const volatile void *at, size_t bytes, int access);
#endif

#endif /* SCHEDULE_HOOKS_H */
