/* call.c - a model of calls on a shared heap, beside a member that cleans up
 * SPDX-License-Identifier: MIT OR Unlicense
 *
 * Shows edges V6 to V9, and H15 and H16.  While a cleaner rebuilds, which is a plain write here, no
 * thread is inside a call, which is another: both see all that the other did
 * before.  Bounds: three processes, a thread each, of which one may have a cache.
 */
#include "process.h"

#if SCENE == 1                 /* calls, counted with their process */
#  define A call(); call()
#  define B rebuild(B_PLACE, none)
#elif SCENE == 2               /* with their cache, which is given up in one */
#  define CACHE 1
#  define A call(); call_and_leave()
#  define B rebuild(B_PLACE, none)
#elif SCENE == 3               /* a member comes to the place of another */
#  define A call(); go()
#  define B rebuild(B_PLACE, none)
#  define C come()
#elif SCENE == 4               /* two clean up */
#  define B rebuild(B_PLACE, NULL)
#  define C rebuild(C_PLACE, NULL)
#endif
#ifndef A
#  define A (void)0
#endif
#ifndef CACHE
#  define CACHE 0
#endif

enum { A_PLACE, B_PLACE, C_PLACE };

static struct {
    fph_slot     slot;
    fpheap_cache cache;
} mine;
static int inside;             /* plain */
static const uint8_t none[FPH_MEMBERS];

/* While another member cleans up. */
static int
recover(fpheap *heap)
{
    uint64_t cleaner = fph_load_relaxed(&heap->partition->cleaner);

#ifdef GENMC
    __VERIFIER_assume(cleaner == 0);
#endif
    return (int)cleaner;
}

static void
call(void)
{
    fph_call_begin(&fph_heaps[A_PLACE], A_PLACE);
    inside++;
    fph_call_end(A_PLACE);
}

static void
call_and_leave(void)
{
    fph_call_begin(&fph_heaps[A_PLACE], A_PLACE);
    fph_entry_set(&fph_table[A_PLACE], fph_no_bins, fph_no_bins);
    fph_slot_leave(&mine.cache);
    inside++;
    fph_call_end(A_PLACE);
}

/* Become the cleaner, and rebuild when all calls have ended; `dead` may be NULL:
 * nobody calls. */
static void
rebuild(unsigned place, const uint8_t *dead)
{
    fpheap  *heap = &fph_heaps[place];
    uint64_t cleaner;

    if (!fph_cleaner_enter(heap, &cleaner))
        return;
    if (dead == NULL || fph_calls_end(heap, dead))
        inside++;
    fph_store_release(&partition.cleaner, 0);                       /* V10 */
}

static void
go(void)
{
    fph_store_relaxed(&partition.member[A_PLACE].is, 0);
    fph_lock(&fph_heaps[A_PLACE], A_PLACE, F_OFD_SETLK, F_UNLCK);
}

static void
come(void)
{
    fpheap *heap = &fph_heaps[C_PLACE];

    if (fph_lock(heap, A_PLACE, F_OFD_GETLK, F_WRLCK))
        (void)fph_member_come(heap);
}

#include "threads.h"

int
main(void)
{
    unsigned i;

    for (i = 0; i < FPHEAP_MAX_HEAPS; i++) {
        fph_heaps[i].partition = &partition;
        fph_heaps[i].state = &state;
        fph_heaps[i].member = i;
        fph_heaps[i].recover = recover;
        fph_entry_set(&fph_table[i], fph_no_bins, fph_no_bins);
    }
    partition.member[A_PLACE].is = partition.member[B_PLACE].is = 1;
    lock_of[A_PLACE] = lock_of[B_PLACE] = lock_of[C_PLACE] = 1;
    if (SCENE == 3)
        fph_heaps[C_PLACE].member = FPH_MEMBERS;
    if (CACHE) {
        mine.cache.heap = &fph_heaps[A_PLACE];
        mine.slot.owner = A_PLACE + 1;
        state.cache[0] = &mine.cache;
        fph_entry_set(&fph_table[A_PLACE], mine.cache.bins, mine.cache.bins);
    }
    run_threads();
    return 0;
}
