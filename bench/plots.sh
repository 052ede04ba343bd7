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

footer="$(said cpu), $(said cpus) cpus; $(said kernel); compiler $(said compiler)"
footer="$footer; $(said date)"
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

: > "$scratch/all"
each="ns per object, allocated and freed"
burst="N, objects in a burst"
out="N, objects outstanding"

chart pair bars ns '^pair_|^pool_pair$' '^$' '' "$each" \
    'What does an object cost that is freed at once?'
chart bulk lines ns '^bulk_' '^bulk_' "$burst" "$each" \
    'What does one object cost in bursts of N?'
chart pool_bulk lines ns '^pool_bulk_' '^pool_bulk_' "$burst" "$each" \
    'What does one object of a pool cost in bursts of N?'
chart lifo lines ns '^lifo_' '^lifo_' "$out" "$each" \
    'What does one object cost when N are outstanding, the youngest freed first?'
chart fifo lines ns '^fifo_' '^fifo_' "$out" "$each" \
    'What does one object cost when N are outstanding, the oldest freed first?'
chart random lines ns '^random_' '^random_' "$out" "$each" \
    'What does one object cost when N are outstanding, any one freed next?'
chart size lines ns '^size_' '^size_' 'size in bytes' "$each" \
    'What does one object cost, by its size?'
chart mixed bars ns '^mixed' '^mixed_' 'sizes, and what is done besides' "$each" \
    'What does one object cost among others of many sizes?'

chart pipeline lines ns '^pipeline_' '^pipeline_' "$burst" 'ns per object' \
    'What does one object cost from core to core in bursts of N?'
chart pipeline_touch bars ns '^pipeline_(ahead_|touch_|prefetch_)?32$' \
    '^pipeline_|_?32$' 'what is done with the objects' 'ns per object' \
    'What does one object cost from core to core if it is touched, in bursts of 32?'
chart threads bars times '^threads_' '^threads_' 'what the threads do' \
    'work done, in times that of one thread (more is better)' \
    'How much more do two or more threads do than one?'
chart threads_shared bars ns '^threads_.*shared' '^threads_' '' \
    'ns per object' 'What does one object cost if any of eight threads may free it?'
classic='^(larson|xmalloc|cache_scratch|cache_thrash|threadtest|mstress)'
for unit in ns ms times; do
    case $unit in
    ns) name=classic y='ns per operation' ;;
    ms) name=classic_ms y='ms for all the work' ;;
    times) name=classic_times y='work done, in times that of one thread' ;;
    esac
    chart $name bars $unit "$classic" '^$' '' "$y" \
        'What do the classic programs with several threads cost?'
done

million='ms for 1,000,000 objects'
chart percpu_alloc bars ms '^percpu_.*_alloc$' '^percpu_|_alloc$' \
    'size in bytes' "$million" 'How long does it take to allocate a million objects?'
chart percpu_free bars ms '^percpu_.*_free$' '^percpu_|_free$' \
    'size in bytes' "$million" \
    'How long does it take to free a million objects, in order?'
chart percpu_alternating bars ms '^percpu_.*_free_alternating$' \
    '^percpu_|_free_alternating$' 'size in bytes' "$million" \
    'How long does it take to free a million objects, every other one first?'
chart percpu_reverse bars ms '^percpu_.*_free_reverse$' \
    '^percpu_|_free_reverse$' 'size in bytes' "$million" \
    'How long does it take to free a million objects, the last one first?'
chart percpu_grow lines ns '^percpu_grow_' '^percpu_grow_' \
    'N, objects allocated' 'ns per operation' \
    'Does the N-th object cost more than the first?'

ticks='ticks of the time stamp counter'
share='share of the calls that took no longer'
for what in alloc free; do
    case $what in
    alloc) name= rows='(p|max)' call=allocation ;;
    free) name=_free rows=free_ call=free ;;
    esac
    chart latency$name steps tsc "^latency_$rows" '^latency_(free_)?' "$share" \
        "$ticks" "How long does one $call take, at worst?"
    chart hammered$name steps tsc "^hammered_$rows" '^hammered_(free_)?' "$share" \
        "$ticks" \
        "How long does one $call take while another thread hammers the heap?"
done

chart memory bars x '^memory_(resident|grow|shrink|shift_.*|flow_peak)$' \
    '^memory_' '' 'resident memory, in times the bytes requested' \
    'How much memory is used for the bytes requested?'
chart memory_flow bars x '^memory_flow$' '^memory_' '' \
    'the most memory at the end, in times that at the beginning' \
    'Does a heap grow while one thread allocates and another frees?'
chart startup bars us '^startup' '^$' '' 'microseconds' \
    'How long does it take to the first object?'
chart first_touch bars ns '^first_touch$' '^$' '' 'ns per object' \
    'What does one object of 256 bytes cost whose memory is touched for the first time?'
chart traces bars ns '^trace_.*_time$' '^trace_|_time$' 'recorded program' \
    'ns per call' 'What do the allocations of real programs cost?'
chart traces_peak bars x '^trace_.*_peak$' '^trace_|_peak$' \
    'recorded program' 'peak of resident memory, in times that of the live bytes' \
    'How much memory do real programs take at most?'
chart traces_memory bars x '^trace_.*_frag$' '^trace_|_frag$' \
    'recorded program' 'resident memory over time, in times the live bytes' \
    'How much memory do real programs take, over time?'

if [ -s "$scratch/all" ]; then
    gnuplot "$scratch/all"
else
    echo "plots: no chart: none of their rows is in $dir/bench.csv" >&2
    exit 1
fi
