#!/bin/bash
# schedule_faults.sh - what test_schedules finds
#
#     tests/schedule_faults.sh [WORD]     those with the word in their names
#
# Each fault below is planted into a copy of the header.  The test must find it,
# in SECONDS_EACH (20), and the schedule that it prints must lead to the same
# failure again.  The line below a fault is that schedule.
. "$(dirname "$0")/lib.sh"

each=${SECONDS_EACH:-20}
only=${1:-}
cd "$top" || exit 1

# plant FUNCTION SED... - edit a function, from the line that begins with its
# name to the end of its body
plant() {
    local function=$1 command

    shift
    for command in "$@"; do
        printf '/^%s(/,/^}/{\n%s\n}\n' "$function" "$command"
    done > "$scratch/sed"
    sed -f "$scratch/sed" fpheap.h > "$scratch/fpheap.h"
    ! cmp -s fpheap.h "$scratch/fpheap.h" &&
        "$CC" -std=gnu11 -O1 -I"$scratch" -I. tests/test_schedules.c \
            tests/filter.c -o "$scratch/test" -lcmocka -pthread
}

# where FILE - what went wrong and at which step
where() {
    sed -n '1p; s/.*\(thread [0-9]*, step [0-9]*\),.*/\1/p' "$1"
}

# fault NAME SCENES FUNCTION SED... - plant it, find it in the scenes that have
# the word in their names, see it again
fault() {
    local name=$1 scenes=$2 schedule

    shift 2
    [[ $name == *"$only"* ]] || return 0
    if ! plant "$@" 2> "$scratch/log"; then
        fail "$name: cannot be planted in this header" "$scratch/log"
        return
    fi
    SCHEDULE_SECONDS=$each FPHEAP_SEED=1 SCHEDULE_ONLY=$scenes timeout 60 \
        "$scratch/test" > /dev/null 2> "$scratch/found"
    schedule=$(sed -n 's/^ *\(SCHEDULE=.*\)/\1/p' "$scratch/found")
    if [ -z "$schedule" ]; then
        fail "$name: was not found"
        return
    fi
    env "$schedule" timeout 20 "$scratch/test" > /dev/null 2> "$scratch/again"
    if [ "$(where "$scratch/found")" != "$(where "$scratch/again")" ]; then
        fail "$name: another failure when run again" "$scratch/again"
        return
    fi
    pass "$name: $(head -n 1 "$scratch/found")"
    echo "      $schedule"
}

# Stacks.
fault "stacks have no tag" "" fph_stack_next \
    's/((head >> 32) + 1) << 32 | top/(head \& 0) | top/'
fault "the tag begins again when all is taken" "" fph_stack_take \
    's/fph_stack_next(head, 0)/0/'
fault "a depot's depth is that of an older head" "" fph_depot_put \
    's/fph_depth(state, head) + 1/fph_depth(state, first) + 1/' \
    's/^    do {/    uint64_t first = head;\n    do {/'

# Slabs.
fault "retire counts the bits, which are set before they are announced" "" \
    fph_bin_retire \
    's/fph_slab_free_objects(word) !=/(int64_t)fph_popcount(*slab->bits) !=/' \
    's/uint64_t  word = .*//'
fault "a slab is dropped without another look" "" fph_slab_let_go \
    's/} while (!fph_cas_release.*/} while (0);/' \
    's/word & ~(uint64_t)1));/fph_fetch_and_relaxed(\&slab->state, ~1ul);/'
fault "an announcement is lost" "" fph_slab_announce \
    's/while (!fph_cas_acq_rel(&slab->state, &word, told));/while (0);/' \
    's/if (!keeps/fph_store_release(\&slab->state, told);\n    if (!keeps/'
fault "who lists a slab is decided before the announcement" "" \
    fph_slab_announce \
    's/uint64_t     told;/uint64_t told, first = word;/' \
    's/if ((word & 1) == 0)/if ((first \& 1) == 0)/'

# Pages and chunks.
fault "pages are claimed with a load and a store" "" fph_pages_take \
    's/while (!fph_cas_acquire(&region->free\[index\], &free,/while (0);/' \
    's/free & ~\(fph_page_mask(first, pages)\)));/free \&= ~\1;  STORE/' \
    's/STORE/fph_store_relaxed(\&region->free[index], free);/'
fault "an object grows into pages that it saw free before" "widen" \
    fph_pages_extend \
    's/while (!fph_cas_acquire(&region->free\[index\], &free,/while (0);/' \
    's/free & ~\(fph_page_mask(first, n)\)));/free \&= ~\1;  STORE/' \
    's/STORE/fph_store_relaxed(\&region->free[index], free);/'
fault "pages of an object that shrinks are given back before they are out of it" \
    "narrow" fph_large_cut \
    's/for (i = first; i < first + n; i++)/fph_pages_free(chunk, MASK); &/' \
    's/^        fph_pages_free(chunk, fph_page_mask.*/        ;/' \
    's/MASK/fph_page_mask(first, (unsigned)n)/'
fault "chunks behind an object are taken as they were seen" "shorter" \
    fph_huge_grow \
    's/!fph_fresh_take(region, first, n)/fph_fresh_take(region, first, n) > 1/'
fault "who lowers a bit of fit does not look again" "" fph_fit_lower \
    '/fph_fit_raise/,/;/d'
fault "a hint is raised over one that was lowered" "" fph_hint_raise \
    's/fph_cas_relaxed(\(&state->hints.*\), &hint,/fph_store_relaxed(\1,/'
fault "a hint is lowered without its tag" "" fph_hint_lower \
    's/((hint >> 32) + 1) << 32 | number/hint >> 32 << 32 | number/'
fault "a chunk is closed after a look, without a claim" "" \
    fph_chunk_try_close \
    's/fph_cas_acquire(&region->free\[index\], &pages, 0);/pages != 0;/' \
    's/if (mine)/fph_store_relaxed(\&region->free[index], 0);\n    if (mine)/'
fault "fresh chunks are claimed with a load and a store" "" fph_fresh_take \
    's/fph_fetch_and_acquire(&\(.*\), ~bit)/fph_load_relaxed(\&\1)/' \
    's/^        }$/&\n        fph_store_relaxed(\&region->fresh[i \/ 64],/' \
    's/&region->fresh\[i .*,$/&\n            region->fresh[i \/ 64] \& ~bit);/'

# Regions and records.
fault "a region is released without a claim on its chunks" "" \
    fph_region_claim \
    's/!fph_fresh_take(region, 0, chunks))/!fph_region_is_fresh(region))/' \
    's/if (FPH_LOAD/*region->fresh = 0;\n    if (FPH_LOAD/'
fault "a region is released by its length of before" "longer" \
    fph_region_claim \
    's/if (FPH_LOAD(&region->chunks, ACQUIRE) == chunks)/if (chunks != 0)/'
fault "a reader takes the base of one region and the length of another" \
    "move" fph_region_extent \
    's/if (version % 2 != 0.*/if (version == 1)/'
fault "a record is cut with a load and a store" "" fph_meta_cut \
    's/while (!fph_cas_acquire(&state->meta_cursor.word, &cursor,/while (0);/' \
    's/cursor + units));/fph_store_relaxed(\&state->meta_cursor.word,/' \
    's/fph_store_relaxed(.*,$/& cursor + units);/'

# Pools and caches.
fault "a magazine is taken out of a cache without a swap" "end" \
    fph_swap_slots \
    's/FPH_SWAP(p, &v, &old);/old = *p;\n    FPH_STORE(p, v, RELAXED);/'
fault "bytes are charged with a load and a store" "tight shrink" fph_charge \
    's/while (!fph_cas_relaxed(&state->left, &left, left - bytes));/while (0);/' \
    's/^    return 1;/    fph_store_relaxed(\&state->left, left - bytes); &/'
fault "a quota is taken with a load and a store" "" fph_quota_take \
    's/while (n != 0/while (0);/' \
    's/&& !fph_cas_relaxed(.*/fph_store_relaxed(\&pool->quota, quota + n);/'
fault "a pool gets a name as it was seen" "name+name" fph_pool_get_name \
    's/while (!fph_cas_acq_rel(&state->named_last, &last, mine));/while (0);/' \
    's/fph_pool_show_name(state, mine)/state->named_last = mine; &/'
fault "who has got a name is not seen before it says so" "name+name" \
    fph_pool_get_name '/^        fph_pool_show_name/d'
fault "a pool ends while a slab of it is being given up" "end and trim" \
    fph_pool_empty \
    's/== fph_load_acquire(&pool->slabs); .*/!= SIZE_MAX;/'
fault "destroy does not wait for a thread that exits" "destroy" \
    fph_gate_enter 's/inside == FPH_DESTROY || how == FPH_DESTROY/how == 0/'
fault "a thread exits beside a destroy" "destroy" \
    fph_gate_enter 's/inside == FPH_DESTROY || how/how/'
finish
