#!/bin/bash
# fuzz.sh - the fuzz targets over their corpus, and faults that they must find
#
# "make fuzz" looks for new inputs; here those in tests/corpus are replayed, with
# AddressSanitizer where there is one.  Then each planted fault, a change to a copy
# of the header, must make a replay fail.
. "$(dirname "$0")/lib.sh"

corpus=$top/tests/corpus
sanitize=-fsanitize=address

# build TARGET DIRECTORY PROGRAM FLAG... - with the header in DIRECTORY
build() {
    # shellcheck disable=SC2086
    $CC -std=gnu11 -I"$2" "${@:4}" "$top/tests/$1.c" -o "$3" -pthread
}

# replay TARGET PROGRAM
replay() {
    timeout 300 "$2" "$corpus/${1#fuzz_}"/*
}

# sound TARGET WHAT FLAG... - the corpus passes
sound() {
    program=$scratch/$1-$n_passed
    if build "$1" "$top" "$program" "${@:3}" > "$scratch/log" 2>&1; then
        check "$1 replays its corpus$2" replay "$1" "$program"
    else
        fail "$1: build$2" "$scratch/log"
    fi
}

# fault TARGET WHAT FROM TO - FROM, which is in one line of the header, becomes TO
fault() {
    dir=$scratch/fault$((n_passed + n_failed))
    mkdir "$dir"
    if [ "$(grep -cF -- "$3" "$top/fpheap.h")" != 1 ]; then
        fail "$2: its line is not in the header, or is there twice: $3"
        return
    fi
    FROM=$3 TO=$4 awk '{ at = index($0, ENVIRON["FROM"])
        if (at) $0 = substr($0, 1, at - 1) ENVIRON["TO"] \
                     substr($0, at + length(ENVIRON["FROM"]))
        print }' "$top/fpheap.h" > "$dir/fpheap.h"
    if build "$1" "$dir" "$dir/$1" -O0 > "$scratch/log" 2>&1; then
        refuse "$1 finds: $2" "fuzz:" replay "$1" "$dir/$1"
    else
        fail "$1: build with a fault: $2" "$scratch/log"
    fi
}

echo 'int main(void) { return 0; }' > "$scratch/probe.c"
# shellcheck disable=SC2086
if $CC $sanitize "$scratch/probe.c" -o "$scratch/probe" 2> /dev/null &&
        "$scratch/probe" 2> /dev/null; then
    sound fuzz_api ", with AddressSanitizer" -O0 $sanitize
else
    skip "fuzz_api with AddressSanitizer" "$CC has none"
    sound fuzz_api "" -O0
fi
sound fuzz_api ", with headers" -O0 -DFPHEAP_HEADER=1
sound fuzz_config "" -O0

fault fuzz_api "a class one step too large" \
    'step == 0 ? (part + 1) * 16' 'step == 0 ? (part + 2) * 16'
fault fuzz_api "a free bit that is not set" \
    'fph_fetch_or_release(&slab->bits[word], bits)' \
    'fph_fetch_or_release(&slab->bits[word], bits & (bits - 1))'
fault fuzz_api "a quota that is not lowered" \
    'fph_fetch_add_relaxed(&pool->quota, (uint64_t)0 - n)' \
    'fph_fetch_add_relaxed(&pool->quota, (uint64_t)(n & 0))'
fault fuzz_api "what was prefilled is given up when others ask for memory" \
    'int kept = drain && fph_bin_is_kept(cache, i);' 'int kept = 0;'
fault fuzz_api "a prefill that fails and says that it has not" \
    'fph_verify_bin(cache, search.bin);' 'rc = 0;'
fault fuzz_config "a configuration that is accepted" \
    'config->limit < 2 * least' 'config->limit < least'
finish
