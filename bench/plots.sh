#!/bin/sh
# plots.sh - bench.csv to SVG charts, one question each; needs gnuplot
#
#     plots.sh [DIR]
#
# DIR (build/bench-results) has the bench.csv and the raw.txt of a run and gets
# the charts.  A chart none of whose rows were run is left out.  Environment:
# LEAVE_OUT, the columns that are not drawn ("least header").
set -eu

here=$(dirname "$(readlink -f "$0")")
dir=${1:-$here/../build/bench-results}
leave_out=${LEAVE_OUT-least header}

if [ ! -s "$dir/bench.csv" ]; then
    echo "plots: there is no $dir/bench.csv; make bench writes it" >&2
    exit 1
fi
if ! command -v gnuplot > /dev/null; then
    echo "plots: needs gnuplot (Debian: apt-get install gnuplot-nox)" >&2
    exit 1
fi

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# said KEY - what the head of raw.txt says
said() {
    sed -n "s/^# $1 *//p" "$dir/raw.txt" 2> /dev/null | head -n 1 | tr -d '"\\'
}

# Two lines; awk takes one of the backslashes.
footer="$(said cpu), $(said cpus) cpus; $(said kernel); compiler $(said compiler)"
footer="$footer; load $(said load)\\\\n$(said peers); $(said date)"
[ -z "$(said littered)" ] || footer="$footer; littered: $(said littered)"
[ -n "$(said cpu)" ] || footer=

# chart NAME KIND UNIT ROWS LABEL X Y TITLE - one chart of the rows that match the
# expression ROWS and have that UNIT; what matches LABEL is cut off their names.
# KIND: lines (the rest of the name is a number), steps (it is not), bars.
chart() {
    awk -v out="$dir/$1.svg" -v kind="$2" -v wanted_unit="$3" -v rows="$4" \
        -v cut="$5" -v x_label="$6" -v y_label="$7" -v title="$8" \
        -v leave_out="$leave_out" -v footer="$footer" \
        -f "$here/plots.awk" "$dir/bench.csv" > "$scratch/one"
    if [ -s "$scratch/one" ]; then
        cat "$scratch/one" >> "$scratch/all"
        echo "$dir/$1.svg"
    else
        rm -f "$dir/$1.svg" # what it shows is of another run
    fi
}

# against_n NAME X Y TITLE - a line for each allocator, from the rows NAME_N
against_n() {
    chart "$1" lines ns "^$1_" "^$1_" "$2" "$3" "$4"
}

# bars NAME UNIT ROWS LABEL X Y TITLE - as chart has them
bars() {
    name=$1
    shift
    chart "$name" bars "$@"
}

: > "$scratch/all"
each="ns per object, allocated and freed"
one="ns per object"
burst="N, objects in a burst"

bars pair ns '^pair_|^pool_pair$' '^$' '' "$each" \
    'What does an object cost that is freed at once?'
against_n bulk "$burst" "$each" 'What does one object cost in bursts of N?'
against_n pool_bulk "$burst" "$each" \
    'What does one object of a pool cost in bursts of N?'
while read -r name freed; do
    against_n "$name" 'N, objects outstanding' "$each" \
        "What does one object cost when N are outstanding, $freed?"
done << 'END'
lifo the youngest freed first
fifo the oldest freed first
random any one freed next
END
against_n size 'size in bytes' "$each" 'What does one object cost, by its size?'
bars mixed ns '^mixed' '^mixed_' 'sizes, and what is done besides' "$each" \
    'What does one object cost among others of many sizes?'

against_n pipeline "$burst" "$one" \
    'What does one object cost from core to core in bursts of N?'
bars pipeline_touch ns '^pipeline_(ahead_|touch_|prefetch_)?32$' \
    '^pipeline_|_?32$' 'what is done with the objects' "$one" \
    'What does one object cost from core to core if it is touched, in bursts of 32?'
bars threads times '^threads_' '^threads_' 'what the threads do' \
    'work done, in times that of one thread (more is better)' \
    'How much more do two or more threads do than one?'
bars threads_shared ns '^threads_.*shared' '^threads_' '' "$one" \
    'What does one object cost if any of eight threads may free it?'
bars shared ns '^shared_' '^shared_' 'what the two do' "$each" \
    'What does one object cost two threads of a heap, and two processes?'
bars groups ns '^(un)?grouped_' '^$' '' 'ns per packet of four objects' \
    'What do four objects cost that end together?'
bars classic ns \
    '^(larson|xmalloc|cache_scratch|cache_thrash|threadtest|mstress)' '^$' '' \
    'ns per operation' \
    'What do the classic programs with several threads cost?'

while read -r name order; do
    bars "percpu_$name" ms "^percpu_.*_$name\$" "^percpu_|_$name\$" \
        'size in bytes' 'ms for 1,000,000 objects' \
        "How long does it take to $order?"
done << 'END'
alloc allocate a million objects
free free a million objects, in order
free_alternating free a million objects, every other one first
free_reverse free a million objects, the last one first
END
against_n percpu_grow 'N, objects allocated' 'ns per operation' \
    'Does the N-th object cost more than the first?'

# beside NAME - what the rows NAME* say about other threads
beside() {
    case $1 in
    *hammered*) echo ' while another thread hammers the heap' ;;
    esac
}

ticks='ticks of the time stamp counter'
while read -r name call; do
    chart "$name" steps tsc "^${name}_(p[0-9.]+|max)\$" "^${name}_" \
        'share of the calls that took no longer' "$ticks" \
        "How long does one $call take$(beside "$name"), at worst?"
done << 'END'
latency allocation
latency_free free
latency_2304 allocation of 2304 bytes
latency_2304_free free of 2304 bytes
hammered allocation
hammered_free free
hammered_2304 allocation of 2304 bytes
hammered_2304_free free of 2304 bytes
END
for name in latency hammered; do
    bars "${name}_one" tsc "^(pool_$name|${name}_[0-9]+)_(free_)?p99.9\$" \
        "^${name}_|_$name|_p99.9\$" \
        'bytes of an object, allocated or freed; or one of a pool' "$ticks" \
        "How long do 999 of 1000 calls take$(beside $name), at most?"
done

bars memory x '^memory_(resident|grow|shrink|shift_.*|flow_peak)$' \
    '^memory_' '' 'resident memory, in times the bytes requested' \
    'How much memory is used for the bytes requested?'
bars memory_spike MiB '^memory_spike_' '^memory_spike_' \
    'at the peak of 400 MiB, 2 s after the end, after a call to trim' \
    'resident memory in MiB' 'What stays of a moment of eight threads?'
bars memory_limited MiB '^memory_limited$' '^memory_' '' 'MiB of the cgroup' \
    'How much memory does a cgroup need in which 40 MiB of shifting sizes live?'
bars memory_flow x '^memory_flow$' '^memory_' '' \
    'the most memory at the end, in times that at the beginning' \
    'Does a heap grow while one thread allocates and another frees?'
bars startup us '^startup' '^$' '' 'microseconds' \
    'How long does it take to the first object?'
bars first_touch ns '^first_touch$' '^$' '' "$one" \
    'What does one object of 256 bytes cost whose memory is touched for the first time?'

# trace NAME UNIT WHAT Y TITLE - of all recorded programs
trace() {
    bars "$1" "$2" "^trace_.*_$3\$" "^trace_|_$3\$" 'recorded program' "$4" "$5"
}

trace traces ns time 'ns per call' \
    'What do the allocations of real programs cost?'
trace traces_peak x peak \
    'peak of resident memory, in times that of the live bytes' \
    'How much memory do real programs take at most?'
trace traces_memory x frag \
    'resident memory over time, in times the live bytes' \
    'How much memory do real programs take, over time?'

bars resident MiB '^resident_' '^resident_' 'program' \
    'peak of its resident memory, in MiB' \
    'How much memory do real programs take?'

# Two for a reader who looks at no other, without what is no malloc.
leave_out="floor least self header $(said allocators | tr ' ' '\n' |
    grep -e ^mp_ -e ^rte_ | paste -s -d ' ')"
bars overview_speed ns \
    '^(pair_sized|bulk_32|fifo_4096|random_4096|mixed|mixed_imix|pipeline_32|larson_2|xmalloc)$' \
    '^$' '' "$each" 'What does one object cost?'
bars overview_memory x '^resident_.*_ratio$' '^resident_|_ratio$' 'program' \
    'peak of its resident memory, in times that of glibc' \
    'How much memory do real programs take, compared with glibc?'

if [ -s "$scratch/all" ]; then
    gnuplot "$scratch/all"
else
    echo "plots: no chart: none of their rows is in $dir/bench.csv" >&2
    exit 1
fi
