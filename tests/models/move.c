/* move.c - a model of moves: who looks for free memory while another holds it
 * SPDX-License-Identifier: MIT OR Unlicense
 *
 * Shows edges V1 to V4.  Whoever looks and finds nothing learns of a move that had
 * what there is; so does one that does not branch on what it has found, by which a
 * processor would know that the look comes first.  A move that is stuck stays so
 * while it is under way.  Bounds: a page, two threads, two moves.
 */
#define __thread               /* GenMC knows no thread-local structs */
#define fph_this (*this_thread())
#include "model.h"

#if SCENE == 1                 /* a page is moved beside a look */
#  define A move(); move()
#  define B look()
#elif SCENE == 2               /* beside a look without a branch */
#  define A move()
#  define B glance()
#elif SCENE == 3               /* a move begins and ends while one is stuck */
#  define STUCK 1
#  define A fph_moves_begin(&state); fph_moves_end(&state)
#  define B (void)fph_moves_since(&state, fph_moves_mark(&state))
#endif
#ifndef STUCK
#  define STUCK 0
#endif

static fph_word   free_pages[1];
static fph_chunk  chunk[1];
static uint32_t   group_at[1];
static fph_thread threads[3];

static _Thread_local unsigned self;

static fph_thread *
this_thread(void)
{
    return &threads[self];
}

static void
move(void)
{
    fph_moves_begin(&state);
    if (fph_chunk_take(&state, 0, 1, 1) != FPH_NO_PAGE)
        fph_pages_give(&state, 0, 1);
    fph_moves_end(&state);
}

static void
look(void)
{
    uint32_t mark  = fph_moves_mark(&state);
    size_t   found = fph_chunk_take(&state, 0, 1, 1);
    int      moved = fph_moves_since(&state, mark);

    assert(found != FPH_NO_PAGE || moved);
}

static void
glance(void)
{
    uint32_t mark  = fph_moves_mark(&state);
    uint64_t free  = FPH_LOAD(&state.free[0], RELAXED);
    int      moved = fph_moves_since(&state, mark);

    assert(free != 0 || moved);
}

#define FIRST(number) self = (number)
#include "threads.h"

int
main(void)
{
    state.mask = FPH_PAGES - 1;
    state.free = free_pages;
    state.chunks = chunk;
    state.group_at = group_at;
    group_at[0] = 1;
    chunk[0].base = (char *)(uintptr_t)FPHEAP_CHUNK + 1;
    free_pages[0] = 1;
    state.moves_begun = state.moves_stuck = STUCK;
    run_threads();
    assert(state.moves_stuck == STUCK);
    return 0;
}
