#!/bin/bash
# fuzz_afl.sh - AFL++ on one fuzz target
#
#     tests/fuzz_afl.sh TARGET SECONDS CORPUS FOUND
#
# Begins with the inputs in CORPUS.  Copies there what made the target fail, where
# "make test" meets it, and to FOUND what reached something else, for "make corpus".
set -u

target=$1 seconds=$2 corpus=$3 found=$4
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
mkdir -p "$found"

export AFL_NO_UI=1 AFL_NO_AFFINITY=1 AFL_SKIP_CPUFREQ=1
export AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES=1
if ! afl-fuzz -V "$seconds" -i "$corpus" -o "$out" -t 2000+ -G 400 -- "$target" \
        > "$out/log" 2>&1; then
    tail -n 20 "$out/log"
    exit 1
fi

# keep DIRECTORY INPUT... - each under the name that its bytes give it
keep() {
    local to=$1 input
    shift
    for input in "$@"; do
        [ -e "$input" ] || continue
        cp "$input" "$to/$(sha1sum < "$input" | cut -c 1-12)"
    done
}
keep "$found" "$out"/default/queue/id*
keep "$corpus" "$out"/default/{crashes,hangs}/id*
failed=$(find "$out"/default/{crashes,hangs} -name 'id*' | wc -l)
awk -v target="$target" -v failed="$failed" '
    { of[$1] = $3 }
    END { print target ": " of["execs_done"] " inputs in " of["run_time"] \
              " s, " of["edges_found"] " of " of["total_edges"] " edges, " \
              failed " fail" }' "$out/default/fuzzer_stats"
[ "$failed" -eq 0 ]
