#!/bin/bash
# bench_dpdk.sh - bench_dpdk built as it is and with -mno-stv, in turn, one table
#
#     ./bench_dpdk.sh [row ...]         ROUNDS=3 REPEATS=7: 2 x 21 of each row
#     EAL="--no-huge -m 1024" ./bench_dpdk.sh
#
# GCC makes vector code of the minimum that a mempool's cache takes of two
# counts, which costs it more than its work; -mno-stv keeps it from that.  The
# columns with _nostv are the second program's, all others the first one's.
# Best without anything else running; hugepages are reserved by whoever may:
# 300 of 2 MiB will do.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
: "${CC:=cc}"
: "${ROUNDS:=3}"
: "${REPEATS:=7}"
: "${EAL:=--in-memory -m 512}"
: "${CFLAGS:=-O3 -march=native}"

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# As in the Makefile: nobody is to be measured by where a loop's branch lies.
flag=-Wa,-mbranches-within-32B-boundaries
if echo 'int x;' | $CC $flag -x c -c - -o "$scratch/x.o" 2> /dev/null; then
    CFLAGS="$CFLAGS $flag"
fi

build() {
    # shellcheck disable=SC2046,SC2086
    $CC -std=gnu11 $(pkg-config --cflags libdpdk) $2 -DBENCH_FLAGS="\"$2\"" \
        "$here/bench_dpdk.c" -o "$scratch/$1" $(pkg-config --libs libdpdk) \
        -pthread
}
build plain "$CFLAGS"
build nostv "$CFLAGS -mno-stv"

for round in $(seq "$ROUNDS"); do
    for program in plain nostv; do
        # shellcheck disable=SC2086
        "$scratch/$program" --no-pci --no-telemetry --log-level='*:error' \
            --iova-mode=va -l 0,1 $EAL -- -R -r "$REPEATS" "$@" \
            2> "$scratch/errors" > "$scratch/out" ||
            { cat "$scratch/errors" >&2; exit 1; }
        [ "$round" -eq 1 ] && grep '^# [DfhTgm]' "$scratch/out"
        grep -v '^#' "$scratch/out" | sed "s/^/$program /" >> "$scratch/all"
    done
done
if [ -n "${RAW:-}" ]; then
    cp "$scratch/all" "$RAW"
fi

sort -k2,4 -k1,1 -k5,5g "$scratch/all" | awk '
function keep() {
    if (n == 0) return
    least[row, column] = value[1]
    median[row, column] = value[int((n + 1) / 2)]
    n = 0
}
{
    c = $3
    if ($1 == "nostv" && c != "heap_sized" && c !~ /^mp_/) next
    if ($1 == "nostv") c = c "_nostv"
    if ($2 != row || c != column) keep()
    row = $2; column = c; unit[row] = $4
    value[++n] = $5
}
END {
    keep()
    rows = split("pair bulk_8 bulk_32 bulk_64 bulk_256 pipeline fifo_32 " \
        "fifo_4096 fifo_32768 fifo_262144 mixed pipeline_late two_pair " \
        "two_mixed p50 p99 p99.9 p50_hammered p99_hammered p99.9_hammered",
        name, " ")
    columns = split("heap heap_sized pool mp_ring mp_stack mp_lf " \
        "mp_ring_nostv mp_stack_nostv mp_lf_nostv rte_malloc", column_of, " ")
    for (what = 0; what < 2; what++) {
        printf "\n%-21s", what ? "medians" : "least"
        for (c = 1; c <= columns; c++) {
            s = column_of[c]; sub(/_nostv/, "*", s); sub(/mp_/, "", s)
            printf " %10s", s
        }
        printf "\n"
        for (r = 1; r <= rows; r++) {
            if (!(name[r] in unit)) continue
            printf "%-14s %-6s", name[r], unit[name[r]]
            for (c = 1; c <= columns; c++) {
                if (!((name[r], column_of[c]) in least)) {
                    printf " %10s", "-"
                    continue
                }
                printf " %10.2f", what ? median[name[r], column_of[c]] \
                                       : least[name[r], column_of[c]]
            }
            printf "\n"
        }
    }
    print "\n* built with -mno-stv.  ns per object, cycles of the TSC"
}'
