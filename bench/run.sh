#!/bin/sh
# run.sh - start the benchmark programs in turn and put their figures in a table
#
#     run.sh [-q] [-l] [ROW...]
#
#     -q    quick: one round of two repeats; figures to look at, not to quote
#     -l    list the rows and stop
#     ROW   only rows whose names contain one of these words
#
# Environment:  ROUNDS (3), REPEATS (7) per round, ALLOCATORS (all that are
# there), BENCH_DIR (where the programs are, ../build), RAW (a file that keeps each figure).
# The allocators take turns in a new order each round, so a slow minute of the
# machine does not fall on one of them.
set -eu

here=$(dirname "$(readlink -f "$0")")
dir=${BENCH_DIR:-$here/../build}
rounds=${ROUNDS:-3}
repeats=${REPEATS:-7}

while getopts ql option; do
    case $option in
    q) rounds=1 repeats=2 ;;
    l) exec "$dir/bench_floor" -l ;;
    *) exit 2 ;;
    esac
done
shift $((OPTIND - 1))

# library NAME - the shared library that NAME stands for
library() {
    case $1 in
    jemalloc) soname=libjemalloc.so.2 ;;
    mimalloc) soname=libmimalloc.so.2 ;;
    tcmalloc) soname=libtcmalloc_minimal.so.4 ;;
    esac
    PATH=$PATH:/sbin:/usr/sbin ldconfig -p | grep -F "$soname (" |
        sed -n '1s/.* => //p'
}

# run NAME ROW... - one round of one allocator
run() {
    name=$1
    shift
    case $name in
    glibc)
        "$dir/bench_malloc" -r "$repeats" "$@" ;;
    jemalloc | mimalloc | tcmalloc)
        path=$(library "$name")
        BENCH_LIBRARY=$(basename "$path") LD_PRELOAD=$path \
            "$dir/bench_malloc" -r "$repeats" "$@" ;;
    *)
        "$dir/bench_$name" -r "$repeats" "$@" ;;
    esac
}

if [ -z "${ALLOCATORS:-}" ]; then
    ALLOCATORS="floor least self fpheap header glibc"
    for name in jemalloc mimalloc tcmalloc; do
        if [ -n "$(library $name)" ]; then
            ALLOCATORS="$ALLOCATORS $name"
        else
            echo "bench: $name is not installed" >&2
        fi
    done
    if [ -x "$dir/bench_mempool" ]; then
        ALLOCATORS="$ALLOCATORS mempool"
    else
        echo "bench: rte_mempool (libdpdk-dev) is not installed" >&2
    fi
fi

raw=${RAW:-$(mktemp)}
[ -n "${RAW:-}" ] || trap 'rm -f "$raw"' EXIT
: > "$raw"

round=1
while [ "$round" -le "$rounds" ]; do
    for name in $(printf '%s\n' $ALLOCATORS | shuf); do
        echo "bench: round $round of $rounds, $name" >&2
        run "$name" "$@" | sed "s/^/$name /" >> "$raw"
    done
    round=$((round + 1))
done

set -- $ALLOCATORS
case $1 in
floor | least | self | fpheap | header | mempool) first=bench_$1 ;;
*) first=bench_malloc ;;
esac
"$dir/$first" -a
echo "samples   $rounds rounds of $repeats repeats"
# fpheap's lines first: it has every row, in order.
{ grep '^fpheap ' "$raw" || true; grep -v '^fpheap ' "$raw" || true; } |
    awk -v allocators="$ALLOCATORS" -f "$here/table.awk"
