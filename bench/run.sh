#!/bin/sh
# run.sh - run every row on every allocator and put the figures in tables
#
#     run.sh [-fq] [ROW...]
#     run.sh -l | -t
#
#     -q    quick: one round of two repeats in less than two minutes; figures to
#           look at, not to quote
#     -f    every row in a heap that is littered first, see litter.inc
#     -l    list the rows and stop
#     -t    no run: the tables again, from raw.txt
#     ROW   only rows whose names contain one of these words
#
# Environment:  ROUNDS (3), REPEATS (5) per round, BUDGET in seconds (0: none),
# ALLOCATORS (all that are there), BENCH_DIR (where the programs are and, as
# "bench", a link to this),
# OUT (where raw.txt, bench.csv and bench.md go, BENCH_DIR/bench-results),
# BENCH_TRACES (where the row trace finds *.trace; if not set, record.sh records
# real programs first, into BENCH_DIR/traces).
#
# A program is started for one row of one allocator.  Each round takes these
# pairs in a new order, so that a slow minute of the machine falls on no
# allocator and no row more than on the others.
set -eu

here=$(dirname "$(readlink -f "$0")")
dir=${BENCH_DIR:-$(dirname "$0")}
out=${OUT:-$dir/bench-results}
rounds=${ROUNDS:-3}
repeats=${REPEATS:-5}
events=${EVENTS:-5000000} # in a trace
budget=${BUDGET:-0}
export PEAK="$dir/peak" # for resident.sh
started=$(date +%s)
only_list=false
first="floor least self fpheap shared header shim glibc"
mallocs="jemalloc mimalloc tcmalloc" # preloaded, if installed: see library
dpdk="rte_malloc mp_ring mp_stack mp_lf"
nostv=mp_ring_nostv
only_tables=false
litter= # -f

# What a reader looks at first; where time is short they are also run first.
key="pair_sized pair_unsized bulk_32 pool_pair pool_bulk_32 lifo_4096 fifo_4096
     random_4096 mixed size_1k percpu_64_alloc percpu_64_free pipeline_1
     pipeline_32 threads_pair threads_mixed larson_2 xmalloc latency_p50
     latency_p99.9 hammered_2304_p99.9 pool_hammered_p99.9 memory_resident
     memory_spike_end"

while getopts flqt option; do
    case $option in
    f) litter=-f ;;
    q) rounds=1 repeats=2 events=1000000 budget=105
       first="floor fpheap shared shim glibc" dpdk=mp_ring nostv= ;; # one of each kind
    l) only_list=true ;;
    t) only_tables=true ;;
    *) exit 2 ;;
    esac
done
shift $((OPTIND - 1))
[ -z "$litter" ] || dpdk= nostv= # has pools, and a malloc that takes hours

scratch=$(mktemp -d)
. "$here/hugepages.sh"
. "$here/cgroup.sh"
trap 'hugepages_end; cgroup_end; rm -rf "$scratch"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# say TEXT - on a line of its own, also where a progress line is
say() {
    if [ -t 2 ]; then
        printf '\r\033[K' >&2
    fi
    echo "bench: $1" >&2
}

die() {
    say "$1"
    exit 2
}

# library NAME - the shared library that NAME stands for, if it is installed; of
# several the newest, which ldconfig names first
library() {
    case $1 in
    jemalloc) soname='libjemalloc\.so\.2' ;;
    mimalloc) soname='libmimalloc\.so\.[23]' ;;
    tcmalloc) soname='libtcmalloc_minimal\.so\.4' ;;
    shim) ls "$(readlink -f "$dir")/libfpheap_malloc.so" 2> /dev/null || true
          return ;;
    *) return ;;
    esac
    PATH=$PATH:/sbin:/usr/sbin ldconfig -p | grep "$soname (" |
        sed -n '1s/.* => //p'
}

# run NAME ARGUMENT... - the program of an allocator, in hugepages unless the last
# argument is a row about memory itself; a real one for the rows resident_*
run() {
    name=$1
    shift
    for last; do :; done
    case $have_hugepages,$last in
    false,* | *,memory* | *,trace* | *,startup* | *,first_touch* | *,-[al])
        set_huge= ;;
    *) set_huge=$(with_hugepages "$name") ;;
    esac
    program=$name
    settings=
    path=
    case $name in
    glibc) program=malloc ;;
    mp_ring | mp_ring_nostv) settings=BENCH_OPS=ring_mp_mc ;;
    mp_stack | mp_stack_nostv) settings=BENCH_OPS=stack ;;
    mp_lf | mp_lf_nostv) settings=BENCH_OPS=lf_stack ;;
    *)
        path=$(library "$name")
        if [ -n "$path" ]; then
            program=malloc
            settings="BENCH_LIBRARY=$(basename "$path") LD_PRELOAD=$path"
        fi ;;
    esac
    case $name in
    mp_*_nostv) program=mempool_nostv ;;
    mp_*) program=mempool ;;
    esac
    case $last in
    resident_*)
        timeout 600 "$here/resident.sh" "$last" ${path:+"$path"}
        return ;;
    esac
    # shellcheck disable=SC2086
    env $set_huge $settings "$dir/bench_$program" $litter -r "$repeats" "$@"
}

if [ -z "${ALLOCATORS:-}" ]; then
    ALLOCATORS=$first
    for name in $mallocs; do
        if [ -n "$(library $name)" ]; then
            ALLOCATORS="$ALLOCATORS $name"
        else
            echo "bench: $name is not installed" >&2
        fi
    done
    if [ -x "$dir/bench_apr" ]; then
        ALLOCATORS="$ALLOCATORS apr"
    else
        echo "bench: apr (libapr1-dev) is not installed" >&2
    fi
    if [ -x "$dir/bench_mempool" ]; then
        ALLOCATORS="$ALLOCATORS $dpdk"
    else
        echo "bench: DPDK (libdpdk-dev) is not installed" >&2
    fi
    if [ -x "$dir/bench_mempool_nostv" ]; then
        ALLOCATORS="$ALLOCATORS $nostv"
    fi
fi

tables() {
    awk -v csv="$out/bench.csv" -v md="$out/bench.md" -f "$here/table.awk" \
        "$out/raw.txt"
}

# fails NAME ROW - count it, and leave it out of the rounds to come
fails() {
    echo "$1 $2" >> "$scratch/failed"
    say "$1 fails in $2"
    sed 's/^/    /' "$scratch/err" >&2
}

# whole_programs NAME - the rows resident_* of a malloc that can be preloaded
whole_programs() {
    if [ "$1" = glibc ] || [ -n "$(library "$1")" ]; then
        sed "s/^/$1 /" "$scratch/resident"
    fi
}

# needs_rows - $scratch/resident: the rows of real programs; $scratch/without: rows
# that cannot be run here
needs_rows() {
    : > "$scratch/resident"
    if [ -n "$litter" ]; then
        : # the heaps of these programs are their own
    elif [ -x "$PEAK" ]; then
        "$here/resident.sh" -l > "$scratch/resident"
    else
        say "resident_* are left out: there is no $PEAK"
    fi
    : > "$scratch/without"
    if ! cgroup_begin; then
        say "memory_limited is left out: no cgroup can be made"
        echo memory_limited > "$scratch/without"
    fi
    cgroup_end
}

# list_pairs - $scratch/pairs: lines "allocator row"; $scratch/rows: the rows, in
# the order of fpheap's list, for it has every row
list_pairs() {
    needs_rows
    for name in $ALLOCATORS; do
        status=0
        run "$name" -l > "$scratch/list" 2> "$scratch/err" || status=$?
        if [ "$status" -eq 0 ]; then
            [ "$name" = shim ] && only=^memory || only=.
            grep "$only" "$scratch/list" | grep -vxF -f "$scratch/without" |
                sed "s/^/$name /"
            whole_programs "$name"
        elif [ "$status" -eq 127 ]; then
            die "there is no allocator $name, or its program is not built"
        else
            fails "$name" "every_row"
        fi
    done > "$scratch/pairs"
    { grep '^fpheap ' "$scratch/pairs" || true; cat "$scratch/pairs"; } |
        awk '!seen[$2]++ { print $2 }' > "$scratch/rows"
}

# choose WORD... - keep the rows that have one of the words in their names
choose() {
    for word; do
        grep -qF -- "$word" "$scratch/rows" ||
            die "no row has '$word' in its name; -l lists the rows"
    done
    [ $# -gt 0 ] || return 0
    printf '%s\n' "$@" > "$scratch/words"
    grep -F -f "$scratch/words" "$scratch/rows" > "$scratch/chosen"
    mv "$scratch/chosen" "$scratch/rows"
    awk 'NR == FNR { chosen[$1] = 1; next } $2 in chosen' \
        "$scratch/rows" "$scratch/pairs" > "$scratch/chosen"
    mv "$scratch/chosen" "$scratch/pairs"
}

# in_order - the pairs as this round takes them.  With a budget one row after the
# other is done by all allocators, the key rows first, so that what is measured
# when time runs out is complete.
in_order() {
    if [ "$budget" -eq 0 ]; then
        shuf "$scratch/pairs"
        return
    fi
    shuf "$scratch/pairs" | awk -v key="$(echo $key)" '
        function is_key(row,    i)
        {
            for (i = 1; i <= n; i++)
                if (names[i] == row || index(names[i], row "_") == 1)
                    return 1
            return 0
        }
        BEGIN { n = split(key, names, " ") }
        !($2 in rank) { rank[$2] = (is_key($2) ? 0 : 100000) + NR }
        { print rank[$2], $0 }' | sort -s -n -k 1,1 | cut -d ' ' -f 2-
}

# version FILE - of a library: its package's, or else what the file's name has
version() {
    file=$(realpath "$1")
    package=$(dpkg-query -S "$file" 2> /dev/null | sed 's/: .*//') || true
    if [ -n "$package" ]; then
        dpkg-query -W -f '${Version}' "$package"
    else
        basename "$file"
    fi
}

# peers - the versions of those that are not of this repository
peers() {
    for name in $ALLOCATORS; do
        case $name in
        glibc) getconf GNU_LIBC_VERSION ;;
        apr) echo "apr $(pkg-config --modversion apr-1)" ;;
        rte_malloc | mp_*) echo "DPDK $(pkg-config --modversion libdpdk)" ;;
        shim) ;;
        *)
            path=$(library "$name")
            [ -z "$path" ] || echo "$name $(version "$path")" ;;
        esac
    done | uniq | paste -s -d , | sed 's/,/, /g'
}

# machine - lines "key value": what the figures were measured on
machine() {
    # shellcheck disable=SC2086
    set -- $ALLOCATORS
    huge=/sys/kernel/mm/transparent_hugepage/enabled
    transparent=$(sed 's/.*\[\(.*\)\].*/\1/' $huge 2> /dev/null || echo no)
    run "$1" -a | sed 's/^\(compiler  *\)\([0-9]\)/\1gcc \2/' || true
    echo "peers     $(peers)"
    echo "cpus      $(nproc)"
    echo "kernel    $(uname -srm)"
    awk -v transparent="$transparent" '
        $1 == "HugePages_Total:" { n = $2 }
        $1 == "Hugepagesize:" { size = $2 " " $3 }
        END {
            printf "hugepages %d of %s reserved, transparent ones: %s\n",
                n, size, transparent
        }' /proc/meminfo
    echo "load      $(cut -d ' ' -f 1 /proc/loadavg) when it began"
    echo "date      $(date -u '+%Y-%m-%d %H:%M UTC')"
    echo "samples   $rounds rounds of $repeats repeats"
    [ -z "$litter" ] || echo "littered  each heap, before its row began"
}

# raw.txt begins with what the tables need to know.
begin_raw() {
    mkdir -p "$out"
    if [ -s "$out/raw.txt" ]; then
        mv "$out/raw.txt" "$out/raw.old.txt"
    fi
    {
        machine | sed 's/^/# /'
        echo "# allocators" $ALLOCATORS
        echo "# rows $(paste -s -d ' ' "$scratch/rows")"
        echo "# key" $key
    } > "$out/raw.txt"
}

# record_traces - of real programs, now, unless somebody says which to take
record_traces() {
    if [ -n "${BENCH_TRACES+set}" ] || ! grep -qx trace "$scratch/rows"; then
        return 0
    fi
    export BENCH_TRACES="$dir/traces"
    rm -f "$BENCH_TRACES"/*.trace
    say "recording the allocations of real programs"
    EVENTS=$events RECORDER=$dir/libtrace_record.so \
        "$here/record.sh" "$BENCH_TRACES" || true
}

# progress NAME ROW - one line, rewritten
progress() {
    left=$((n_done == 0 ? 0 : (now - begun) * (n_all - n_done) / n_done))
    if [ "$budget" -ne 0 ] && [ $((started + budget - now)) -lt "$left" ]; then
        left=$((started + budget - now))
    fi
    [ -t 2 ] || return 0
    printf '\rbench: %3d %%, %d:%02d left; round %d of %d: %s %s\033[K' \
        $((100 * n_done / n_all)) $((left / 60)) $((left % 60)) \
        "$round" "$rounds" "$1" "$2" >&2
}

# run_row NAME ROW - in a cgroup of its own, if the row is about one
run_row() {
    if [ "$2" != memory_limited ]; then
        run "$1" -x "$2"
        return
    fi
    cgroup_begin
    export BENCH_CGROUP="$cgroup"
    status=0
    run "$1" -x "$2" || status=$?
    unset BENCH_CGROUP
    cgroup_end
    return $status
}

# measure NAME ROW - append "allocator row unit value started-row" to raw.txt;
# nothing of a program that fails
measure() {
    if grep -qxF "$1 $2" "$scratch/failed"; then
        return
    fi
    if run_row "$1" "$2" < /dev/null > "$scratch/out" 2> "$scratch/err"; then
        sed "s/^/$1 /; s/\$/ $2/" "$scratch/out" >> "$out/raw.txt"
        if [ -s "$scratch/err" ]; then
            say "$1, $2: $(cat "$scratch/err")"
        fi
    else
        fails "$1" "$2"
    fi
}

measure_all() {
    n_done=0
    n_all=$(($(wc -l < "$scratch/pairs") * rounds))
    begun=$(date +%s)
    round=1
    while [ "$round" -le "$rounds" ]; do
        in_order > "$scratch/order"
        [ -t 2 ] || say "round $round of $rounds${left:+, $left s left}"
        while read -r name row; do
            now=$(date +%s)
            if [ "$budget" -ne 0 ] && [ $((now - started)) -ge "$budget" ]; then
                echo "$row" >> "$scratch/left_out"
                continue
            fi
            progress "$name" "$row"
            measure "$name" "$row"
            n_done=$((n_done + 1))
        done < "$scratch/order"
        round=$((round + 1))
    done
    now=$(date +%s)
}

have_hugepages=false
if $only_tables; then
    [ -r "$out/raw.txt" ] || die "there is no $out/raw.txt"
    tables
    exit
fi
: > "$scratch/failed"
: > "$scratch/left_out"
list_pairs
if $only_list; then
    cat "$scratch/rows"
    exit
fi
choose "$@"
record_traces
hugepages_begin "$scratch"
begin_raw
measure_all
sed 's/^/# failed /' "$scratch/failed" >> "$out/raw.txt"
[ ! -t 2 ] || printf '\r\033[K' >&2
tables
echo "took $((now - started)) s; the figures are in $(realpath "$out")"
if [ -s "$scratch/left_out" ]; then
    echo "no time was left for: $(sort -u "$scratch/left_out" | paste -s -d ' ')"
fi
[ ! -s "$scratch/failed" ]
