#!/bin/bash
# schedule_faults.sh - what test_schedules and test_schedules_shared find
#
#     tests/schedule_faults.sh [WORD]     those with the word in their names
#
# Each fault below is planted into a copy of the header.  The test must find it,
# in SECONDS_EACH (300), and the schedule that it prints must lead to the same
# failure again.  The line below a fault is that schedule.
. "$(dirname "$0")/lib.sh"

each=${SECONDS_EACH:-300}
program=test_schedules
only=${1:-}
cd "$top" || exit 1

# builds - the program, with the header of $scratch
builds() {
    local sources=("tests/$program.c")

    if [[ $program == watch_* ]]; then
        "$CC" -std=gnu11 -O1 -I"$scratch" -I. -fsanitize=thread -c \
            "tests/$program.c" -o "$scratch/test.o" || return 1
        sources=("$scratch/test.o" tests/schedule_hooks.c)
    fi
    "$CC" -std=gnu11 -O1 -I"$scratch" -I. "${sources[@]}" \
        tests/filter.c -o "$scratch/test" -lcmocka -pthread
}

# where FILE - what went wrong and at which step
where() {
    sed -n '1p; s/.*\(thread [0-9]*, step [0-9]*\),.*/\1/p' "$1"
}

# fault NAME SCENES FUNCTION SED... - plant it, find it in the scenes that have
# the word in their names, see it again
fault() {
    local name=$1 scenes=$2 schedule began took

    shift 2
    [[ $name == *"$only"* ]] || return 0
    if ! plant "$@" || ! builds 2> "$scratch/log"; then
        fail "$name: cannot be planted in this header" "$scratch/log"
        return
    fi
    began=$SECONDS
    SCHEDULE_SECONDS=$each FPHEAP_SEED=1 SCHEDULE_ONLY=$scenes timeout 600 \
        "$scratch/test" > /dev/null 2> "$scratch/found"
    took=$((SECONDS - began))
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
    pass "$name: $(head -n 1 "$scratch/found"), in $took s"
    echo "      $schedule"
}

# Stacks.
fault "stacks have no tag" "aba" fph_stack_next \
    's/((head >> 32) + 1) << 32 | top/(head \& 0) | top/'
fault "the tag begins again when all is taken" "take" fph_stack_take \
    's/fph_stack_next(head, 0)/0/'
fault "a depot's depth is that of an older head" "" fph_depot_put \
    's/fph_depth(state, head) + 1/fph_depth(state, first) + 1/' \
    's/^    do {/    uint64_t first = head;\n    do {/'

# Slabs.
fault "retire counts the bits, which are set before they are announced" "last object" \
    fph_slab_is_empty \
    's/fph_slab_free_objects(word)$/(int64_t)fph_popcount(*slab->bits)/' \
    's/uint64_t word = .*//'
fault "a slab is dropped without another look" "" fph_slab_let_go \
    's/} while (!fph_cas_release.*/} while (0);/' \
    's/word & ~(uint64_t)1));/fph_fetch_and_relaxed(\&slab->state, ~1ul);/'
fault "an announcement is lost" "" fph_slab_announce \
    's/while (!FPH_CAS(&slab->state, &word, told, ACQ_REL, RELAXED));/while (0);/' \
    's/if (!keeps/fph_store_release(\&slab->state, told);\n    if (!keeps/'
fault "who lists a slab is decided before the announcement" "" \
    fph_slab_announce \
    's/uint64_t     told;/uint64_t told, first = word;/' \
    's/if ((word & 1) == 0)/if ((first \& 1) == 0)/'

# Pages and chunks.
fault "pages are claimed with a load and a store" "" fph_chunk_take \
    's/while (!fph_cas_acquire(&state->free\[chunk\], &free, .*/while (0);/' \
    's/^ *free & ~\(fph_page_mask(first, pages)\)));/free \&= ~\1; THEN/' \
    's/THEN/fph_store_relaxed(\&state->free[chunk], free);/'
fault "a run that crosses chunks is claimed with a load and a store" "cross" \
    fph_pages_take \
    's/while (!fph_cas_acquire(word, &free, free & ~part.*/while (0);THEN/' \
    's/THEN/fph_store_relaxed(word, free \& ~part.mask);/'
fault "of a run that is lost the part before stays claimed" "cross" \
    fph_pages_take 's/fph_pages_give(state, page, pages - part.left);/;/'
fault "of a run that is lost too much is given back" "cross" \
    fph_pages_take \
    's/fph_pages_give(state, page, pages - part.left);/GIVE + part.pages);/' \
    's/GIVE/fph_pages_give(state, page, pages - part.left/'
fault "an object grows into pages that it saw free before" "widen" \
    fph_large_take \
    's/!fph_pages_take(state, page, pages))/(TAKE \&\& 0))/' \
    's/TAKE/fph_pages_take(state, page, pages)/'
fault "chunks leave after a look, without a claim" "parts leave" fph_fresh_take \
    's/!fph_pages_take(state, part.page, part.pages)/(LOOK || (TAKE, 0))/' \
    's/LOOK/!fph_page_is_free(state, part.page)/' \
    's/TAKE/fph_part_take(state, part.page \/ FPH_PAGES, part.mask)/'
fault "pages come into a chunk with a load and a store" "half come" fph_chunk_share \
    's/while (!FPH_CAS(&chunk->present, had, .*/while (0);/' \
    's/^ *ACQUIRE, ACQUIRE));/    fph_store_relaxed(\&chunk->present, THEN/' \
    's/THEN/*had | part->mask);/'
fault "pages leave a chunk with a load and a store" "half" fph_part_leave \
    's/while (!fph_cas_release(&chunk->present, &had, .*/PUT/' \
    's/PUT/fph_store_relaxed(\&chunk->present,/' \
    's/had & ~part->mask))$/had \& ~part->mask)/'
fault "a chunk's records are set with a load and a store" "" fph_chunk_ready \
    's/!FPH_CAS_PTR(&chunk->records, &none, records, RELEASE)/THEN/' \
    's/THEN/none != (chunk->records = records, NULL)/'

# Regions and records.
fault "a region is changed while another shows it" "parts" fph_region_hide \
    's/fph_cas_acquire(&region->shown, &only, 0)/THEN/' \
    's/THEN/(fph_store_relaxed(\&region->shown, 0), only != 0)/'
fault "a record is cut with a load and a store" "" fph_meta_cut \
    's/while (!fph_cas_acquire(&state->meta_cursor.word, &cursor,/while (0);/' \
    's/cursor + fph_meta_units(bytes)));/STORE cursor + fph_meta_units(bytes));/' \
    's/STORE/fph_store_relaxed(\&state->meta_cursor.word,/'

# The ladder.
fault "who fails does not notice what moved meanwhile" "tight" \
    fph_moves_since 's/> (int32_t)stuck;/> INT32_MAX - 1;/'
fault "who fails notices only what moves after its last look" "tight shrink" \
    fph_find 's/fph_moves_wait(search->heap, mark))/WAIT/' \
    's/WAIT/fph_moves_wait(search->heap, fph_moves_mark(state)))/'
fault "who fails does not ask the provider after a move again" "tight shrink" \
    fph_find 's/tries < FPH_TRIES/tries < 1/'

# Pools and caches.
fault "a magazine is taken out of a cache without a swap" "end" \
    fph_bin_unload \
    's/FPH_SWAP(.*/base = bin->base;\n    FPH_STORE(\&bin->base, none, RELAXED);/'
fault "what was prefilled goes when others ask for memory" "prefill" \
    fph_cache_flush 's/drain && fph_bin_is_kept(cache, i)/0/'
fault "a prefill that fails does not say so" "prefill" fph_prefill_bin \
    's/fph_verify_bin(cache, search.bin);/rc = 0;/'
fault "bytes are charged with a load and a store" "tight shrink" fph_charge \
    's/while (!fph_cas_relaxed(&state->left, &left, left - bytes));/while (0);/' \
    's/^    return 1;/    fph_store_relaxed(\&state->left, left - bytes); &/'
fault "a quota is taken with a load and a store" "pget+pget" fph_quota_take \
    's/while (n != 0/while (0);/' \
    's/&& !fph_cas_relaxed(.*/fph_store_relaxed(\&pool->quota, quota + n);/'
fault "a quota is taken by a number of objects that are not seen yet" "quota" \
    fph_slab_serve 's/fph_load_acquire(&slab->state)/fph_load_relaxed(\&slab->state)/'
fault "statistics take a later number from an older one" "pget+count" \
    fpheap_pool_stats_get_sized 's/if (told.objects > told.claimed_objects)/if (1)/'
fault "fewer objects are live than none" "get+count" fph_census_sum \
    's/gone < klass->live_objects$/1/'
fault "the most that there was is less than what there is" "longer+count" \
    fph_census_counts 's/peak_region_bytes < stats->region_bytes/peak_region_bytes < 1/'
fault "a call that fails does not know what was given before it" "water" \
    fph_water_turn 's/acquire/relaxed/'
fault "who wants a name looks before it says so" "name+name" \
    fph_pool_get_name '/^    fph_pool_set/d' \
    's/^    return fph_cas_/    fph_pool_set(state, number, FPH_POOL_WANTS);&/'
fault "a pool ends while a slab of it is being given up" "end and trim" \
    fph_pool_empty \
    's/== fph_pool_slabs(pool->record);/!= SIZE_MAX;/'
fault "destroy does not wait for a thread that exits" "destroy" \
    fph_gate_enter 's/inside == FPH_DESTROY || how == FPH_DESTROY/how == 0/'
fault "a thread exits beside a destroy" "destroy" \
    fph_gate_enter 's/inside == FPH_DESTROY || how/how/'

# Children of forks.
fault "a child cannot grow" "longer+fork" fph_forked_heap \
    's/fph_store_relaxed(&state->growing, 0);/;/'
fault "a child waits for moves of threads that are gone" "trim+fork" \
    fph_forked_heap 's/moves_begun/moves_ended/'
fault "what a thread was telling is not told in a child" "water and fork" \
    fph_forked_heap 's/~FPH_TELLING/~(uint64_t)0/'
fault "what threads had charged is charged to a child" "widen+fork" \
    fph_forked_heap 's/fph_store_relaxed(&state->left,/(void)(/'
fault "a child does not look for orphans" "get+fork" fph_forked_heap \
    's/fph_store_relaxed(&state->orphans, mine/(void)((uint64_t)mine/'
fault "the thread that forks is an orphan in a child" "get+fork" \
    fph_forked_heap 's/mine ? fph_this.seat/mine ? 2 + FPHEAP_MAX_THREADS/'
fault "seats of threads that are gone stay taken in a child" "get+get+fork" \
    fph_forked 's/fph_store_relaxed(&fph_seats\[i\], 0);/;/'
fault "a child shows the regions that threads showed" "parts and fork" \
    fph_forked_regions 's/fph_store_relaxed(&region->shown, FPH_HERE);/;/'
fault "regions that were to come keep their slots in a child" "longer+fork" \
    fph_forked_regions 's/fph_store_relaxed(&region->used, 0);/;/'
fault "a chunk without pages is here in a child" "widen+fork" \
    fph_forked_chunks 's/continue;/return;/' 's/present) != 0/present) != 1/'
fault "an orphan's bin that was being unloaded is lost" "get+fork" \
    fph_bin_mend 's/bin->base == NULL && bin->limit != NULL/0/'
fault "an orphan's bins are not mended" "get+fork" fph_cache_adopt \
    's/fph_bin_mend(cache, i);/;/'
fault "an orphan keeps its objects" "get+fork" fph_cache_adopt \
    's/fph_cache_flush(cache, 1.*/;/'
fault "an orphan keeps what it has prefilled" "prefill and fork" \
    fph_cache_adopt 's/FPH_STORE(&cache->fills\[i\], (uint8_t)0, RELAXED);/;/'
fault "an orphan keeps its cache" "get+fork" fph_cache_adopt \
    's/FPH_STORE(&cache->entry, (fph_entry \*)NULL, RELAXED);/;/'
fault "a gate stays shut in a child" "exit+fork" fph_gate_enter \
    's/old >> 32 == process/1/'
fault "a parent calls a child heap that a thread was ending" "child+fork" \
    fph_destroy 's/child->state != NULL/1/'

# The same, where plain stores are seen one by one.
program=watch_schedules
fault "an object is counted before it is in its slot" "hits+fork" fph_put \
    's/\*top = object;/FPH_STORE(\&bin->top, top + 1, RELAXED);\n    &/'

# Several processes.
program=test_schedules_shared
fault "a cleaner waits for no call" "" fph_calls_wait \
    's/fph_load_seq_cst(calls) != 0/0/'
fault "a call looks for a cleaner before it is counted" "work" fph_call_begin \
    's/fph_fetch_add_seq_cst(calls, 1);/LOOK;\n    &/' \
    's/LOOK/uint64_t cleaner = fph_load_seq_cst(\&heap->partition->cleaner)/' \
    's/if (fph_load_seq_cst(.*/if (cleaner == 0)/'
fault "a cleaner looks at processes first, then at caches" "close" \
    fph_calls_end 's/&& fph_member_calls_end(.*/;/'
fault "a cleaner that has died is not followed" "dies" fph_cleaner_enter \
    's/&& !fph_is_dead(.*/)/'
fault "a dead cleaner's place is taken twice" "enter" fph_cleaner_enter \
    's/came \* FPH_CLEANER/0 * came/'
fault "who has just left is taken for dead" "close" fph_place_hold \
    's/if ((fph_load_relaxed(is) != 0) == member)/if (1)/'
fault "who closes has left before its caches are empty" "close" fpheap_close \
    's/fph_caches_leave(heap);/fph_store_release(IS, 0);\n    &/' \
    's/IS/\&heap->partition->member[heap->member].is/'
fault "a reader counts less than nothing" "reader" fph_view_rest \
    's/all > part ? all - part : 0/all - part/'
fault "a slab is gone for a moment while it is counted anew" "read" \
    fph_rebuild_slab \
    's/    fph_rebuild_lost(/    fph_store_relaxed(\&slab->info, 0);\n&/' \
    's/    fph_rebuild_lost(/    fph_store_relaxed(\&slab->info, info);\n&/'
fault "a heap says that it is made before it has a state" "make" \
    fph_partition_make 's/    rc = fph_partition_begin(heap);/    SAY;\n&/' \
    's/SAY/fph_store_release(\&heap->partition->magic, FPH_MAGIC)/'
finish
