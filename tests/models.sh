#!/bin/bash
# models.sh - models of the hardest structures, under a checker of weak memory
#
#     tests/models.sh [WORD]     those with the word in their names
#
# models/*.c call functions of the header.  GenMC tries all their executions: those
# of C11, but for loads that see stores of their own future (RC11), and those that
# machines have, with such loads (IMM).  It has to find nothing.  Then each order in
# those functions is weakened in a copy of the header: it has to find that, in one of
# the two, in the scene that the line says; or nothing again, where the comment here
# says why.
#
# GenMC, 0.10.3 or 0.11.0, is `genmc` in PATH, or GENMC; Debian has none.  Without it
# the models run once each, and the weakened headers are only compiled.
. "$(dirname "$0")/lib.sh"

cd "$top" || exit 1
only=${1:-}
genmc=${GENMC:-genmc}
# All that a loop does counts: what a compare-and-swap sees when it fails too; and
# a store that no other access orders against a read-modify-write is no fault.
options="--disable-estimation --disable-spin-assume --disable-function-inliner
    --disable-instruction-caching --disable-ipr"

# scenes PROGRAM - their numbers
scenes() {
    sed -n 's|^#.*if SCENE == \([0-9]*\) */\*.*|\1|p' "tests/models/$1.c"
}

# explore MODEL PROGRAM SCENE DIRECTORY - with the header there, all executions;
# prints what is wrong, or nothing.  Fails if GenMC itself does.
explore() {
    # shellcheck disable=SC2086
    timeout "${LIMIT:-600}" "$genmc" $options "--$1" -- -DGENMC "-DSCENE=$3" \
        "-I$4" "tests/models/$2.c" > "$scratch/said" 2>&1
    case $? in
    0) grep -q "No errors were detected" "$scratch/said" ;;
    42) sed -n 's/^Error: //p; s/^Assertion violation: //p' "$scratch/said" |
            tail -n 1 | grep . ;;
    *) return 1 ;;
    esac
}

# builds PROGRAM SCENE DIRECTORY - it compiles, with the header there
builds() {
    "$CC" -std=gnu11 -O0 -w "-DSCENE=$2" "-I$3" "tests/models/$1.c" \
        -o "$scratch/model" -pthread
}

# right PROGRAM - nothing is wrong in any scene
right() {
    local scene model found

    for scene in $(scenes "$1"); do
        [[ $1 == *"$only"* ]] || continue
        check "$1, scene $scene, runs" \
            eval "builds $1 $scene . && $scratch/model"
        for model in rc11 imm; do
            if ! have "$genmc"; then
                skip "$1, scene $scene, $model" "no GenMC"
            elif ! found=$(explore $model "$1" "$scene" .); then
                fail "$1, scene $scene, $model" "$scratch/said"
            elif [ -n "$found" ]; then
                fail "$1, scene $scene, $model: $found" "$scratch/said"
            else
                pass "$1, scene $scene, $model: $(sed -n \
                    's/.*executions explored: //p' "$scratch/said") executions"
            fi
        done
    done
}

# look MODEL PROGRAM - sets `found` to the first scene in which something is wrong,
# and what; or to nothing.  Fails if one cannot be explored.
look() {
    local scene

    for scene in $(scenes "$2"); do
        found=$(explore "$1" "$2" "$scene" "$scratch") || return 1
        [ -z "$found" ] || { found="scene $scene, $1: $found"; return; }
    done
}

# change EXPECTED NAME PROGRAM FUNCTION SED... - change an order in a function
# and see that it is wrong, or right
change() {
    local expected=$1 name=$2 program=$3 found=

    [[ $name == *"$only"* ]] || return 0
    shift 3
    if ! plant "$@" || ! builds "$program" 1 "$scratch" 2> "$scratch/said"; then
        fail "$name: cannot be planted in this header" "$scratch/said"
    elif ! have "$genmc"; then
        skip "$name" "no GenMC"
    elif ! look rc11 "$program" ||
        { [ -z "$found" ] && ! look imm "$program"; }; then
        fail "$name: a scene cannot be explored" "$scratch/said"
    elif [ "$expected" = wrong ] && [ -z "$found" ]; then
        fail "$name: nothing is wrong in any scene"
    elif [ "$expected" = right ] && [ -n "$found" ]; then
        fail "$name: $found" "$scratch/said"
    else
        pass "$name: ${found:-nothing is wrong}"
    fi
}

right stack
right slab
right page
right record
right move
right call
right chunk

# Stacks.
change wrong "T2 of a push, relaxed" stack fph_stack_push \
    's/fph_cas_release/fph_cas_relaxed/'
change wrong "T3 of a pop, relaxed" stack fph_stack_pop \
    's/fph_load_acquire/fph_load_relaxed/'
change wrong "T3 and T5 of a pop's CAS, relaxed" stack fph_stack_pop \
    's/ACQUIRE, ACQUIRE/RELAXED, RELAXED/'
change wrong "T3 of a pop's CAS that fails, relaxed" stack fph_stack_pop \
    's/ACQUIRE, ACQUIRE/ACQUIRE, RELAXED/'
change wrong "T5 of a take, relaxed" stack fph_stack_take \
    's/fph_cas_acquire/fph_cas_relaxed/'
change wrong "stacks have no tag" stack fph_stack_next \
    's/((head >> 32) + 1) << 32 | top/(head \& 0) | top/'
change wrong "the tag begins again when all is taken" stack fph_stack_take \
    's/fph_stack_next(head, 0)/0/'
# What the CAS changes is what T3 has seen, by its tag the very same push: so after
# T3 it need not acquire.  (But C11 has no weaker order than that of failure.)
change right "T5 of a pop alone, relaxed" stack fph_stack_pop \
    's/ACQUIRE, ACQUIRE/RELAXED, ACQUIRE/'

# Slabs.
change wrong "B1, relaxed" slab fph_slab_claim \
    's/fph_load_acquire/fph_load_relaxed/'
change wrong "B3, relaxed" slab fph_slab_set_bits \
    's/fph_fetch_or_release/fph_fetch_or_relaxed/'
change wrong "B4, release" slab fph_slab_announce 's/ACQ_REL/RELEASE/'
change wrong "B4, acquire" slab fph_slab_announce 's/ACQ_REL/ACQUIRE/'
change wrong "B5, relaxed" slab fph_slab_is_empty \
    's/fph_load_acquire/fph_load_relaxed/'
change wrong "B6, relaxed" slab fph_slab_let_go \
    's/fph_cas_release/fph_cas_relaxed/'
change wrong "B8, relaxed" slab fph_slab_serve \
    's/fph_load_acquire/fph_load_relaxed/'
change wrong "Q5, relaxed" slab fph_slab_retire \
    's/fph_fetch_add_release/fph_fetch_add_relaxed/'
change wrong "Q6, relaxed" slab fph_pool_slabs \
    's/fph_load_acquire/fph_load_relaxed/'

# Pages.
change wrong "F3 of a claim in a chunk, relaxed" page fph_chunk_take \
    's/fph_cas_acquire/fph_cas_relaxed/'
change wrong "F3 of a claim of pages, relaxed" page fph_pages_take \
    's/fph_cas_acquire/fph_cas_relaxed/'
change wrong "F3 of a claim of what is free, relaxed" page fph_part_take \
    's/fph_fetch_and_acquire/fph_fetch_and_relaxed/'
change wrong "F4, relaxed" page fph_part_give \
    's/fph_fetch_or_release/fph_fetch_or_relaxed/'
change wrong "G3 of a chunk that comes, relaxed" page fph_part_come \
    's/start, ACQUIRE/start, RELAXED/'
change wrong "G3 of a chunk that goes, relaxed" page fph_part_leave \
    's/RELEASE/RELAXED/'
change wrong "G4 of a chunk that comes, relaxed" page fph_chunk_come \
    's/fph_store_release/fph_store_relaxed/'
change wrong "G4 of a look, relaxed" page fph_part_come \
    's/fph_load_acquire/fph_load_relaxed/'
change wrong "G4 of pages that come, relaxed" page fph_chunk_share \
    's/ACQUIRE, ACQUIRE/RELAXED, RELAXED/'
change wrong "G4 of pages that leave, relaxed" page fph_part_leave \
    's/fph_cas_release/fph_cas_relaxed/'

# Records.
change wrong "M1 of a cut, relaxed" record fph_meta_cut \
    's/fph_cas_acquire/fph_cas_relaxed/'
change wrong "M2, relaxed" record fph_meta_install \
    's/fph_cas_release/fph_cas_relaxed/'
change wrong "F5, relaxed" record fph_chunk_records 's/ACQUIRE/RELAXED/'
change wrong "N2, relaxed" record fph_chunk_ready 's/RELEASE/RELAXED/'
change wrong "F6, relaxed" record fph_info_store \
    's/fph_store_release/fph_store_relaxed/'
change wrong "F7 of a look, relaxed" record fph_info_load \
    's/fph_load_acquire/fph_load_relaxed/'
change wrong "F9 of a look, relaxed" record fph_group_list \
    's/fph_load_acquire/fph_load_relaxed/'
change wrong "F9 of a listing, relaxed" record fph_group_list \
    's/fph_cas_release/fph_cas_relaxed/'
change wrong "F10, relaxed" record fph_group_list 's/RELEASE);/RELAXED);/'
change wrong "F11, relaxed" record fph_is_open 's/ACQUIRE/RELAXED/'
change wrong "F12, not released" record fph_group_list \
    's/ACQ_REL, ACQUIRE/ACQUIRE, ACQUIRE/'
change wrong "F12 of one that fails, relaxed" record fph_group_list \
    's/ACQ_REL, ACQUIRE/ACQ_REL, RELAXED/'

# Moves.
change wrong "V1, relaxed" move fph_moves_begin \
    's/fph_fetch_add_acquire/fph_fetch_add_relaxed/'
change wrong "V2, relaxed" move fph_moves_end \
    's/fph_fetch_add_release/fph_fetch_add_relaxed/'
change wrong "V3 before a look, relaxed" move fph_moves_mark \
    's/fph_load_acquire/fph_load_relaxed/'
change wrong "V3 of a count of moves, relaxed" move fph_moves_open \
    's/fph_load_acquire/fph_load_relaxed/'
change wrong "V4, relaxed" move fph_moves_since \
    's/fph_fetch_add_release/fph_fetch_add_relaxed/'

# Calls on shared heaps.
change wrong "V6 of a count, acq_rel" call fph_call_begin \
    's/fph_fetch_add_seq_cst/fph_fetch_add_acq_rel/'
change wrong "V6 of a look, acquire" call fph_call_begin \
    's/fph_load_seq_cst/fph_load_acquire/'
change wrong "V7 of a call's end, relaxed" call fph_call_end \
    's/fph_fetch_add_release/fph_fetch_add_relaxed/'
change wrong "V7 of a cache that is given up, relaxed" call fph_slot_leave \
    's/fph_fetch_add_release/fph_fetch_add_relaxed/'
change wrong "V7 of a member that comes, relaxed" call fph_member_come \
    's/fph_store_release/fph_store_relaxed/'
change wrong "V8, acq_rel" call fph_cleaner_enter 's/fph_cas_seq_cst/fph_cas_acq_rel/'
change wrong "V9, acquire" call fph_calls_wait 's/fph_load_seq_cst/fph_load_acquire/'
change wrong "H15 of a cleaner, relaxed" call fph_cache_calls_end \
    's/fph_load_acquire/fph_load_relaxed/'
change wrong "H16, relaxed" call fph_slot_leave 's/fph_store_release/fph_store_relaxed/'

# Memory of partitions.
change wrong "W6, relaxed" chunk fph_taken_claim 's/ACQUIRE)/RELAXED)/'
change wrong "W7, relaxed" chunk fph_taken_drop 's/RELEASE)/RELAXED)/'
change wrong "chunks are dropped before their memory is freed" chunk \
    fph_partition_free 's/(void)fph_file_change(heap, first, n, FPH_PUNCH);//' \
    's/    return;/    (void)fph_file_change(heap, first, n, FPH_PUNCH); return;/'
finish
