#!/bin/bash
# bench_output.sh - what the benchmark makes of its figures
#
# Tables, CSV and charts from a raw file made up here; what run.sh does with
# programs made up here, one of which fails; and what the rows do with an allocator
# that counts.  Nothing is measured.
. "$(dirname "$0")/lib.sh"

results=$scratch/results
mkdir "$results"

# raw ALLOCATOR ROW UNIT STARTED VALUE... - lines of a raw file
raw() {
    local allocator=$1 row=$2 unit=$3 started=$4
    shift 4
    printf "$allocator $row $unit %s $started\n" "$@"
}

{
    echo "# compiler  12.2.0"
    echo "# cpu       a made-up one"
    echo "# load      7.25 when it began"
    echo "# littered  each heap"
    echo "# allocators floor fpheap shim glibc mimalloc"
    echo "# rows pair_sized latency threads_mixed fifo_1 fifo_64 fifo_4k resident_x"
    echo "# key latency_p99"
    raw glibc latency_p99 tsc latency 800
    raw fpheap latency_p99 tsc latency 200
    raw fpheap pair_sized ns pair_sized 2.5 2.1 9 2.0 2.2 2.3 2.4 10
    raw floor pair_sized ns pair_sized 1.0 1.0 1.0
    raw glibc pair_sized ns pair_sized 8 10 12
    raw mimalloc pair_sized ns pair_sized 1.9 4 5
    raw fpheap threads_mixed times threads_mixed 1.5 1.6 1.7
    raw glibc threads_mixed times threads_mixed 1.2 1.8 1.3
    for n in 1 64 4k; do
        raw floor fifo_$n ns fifo_$n 0.5
        raw fpheap fifo_$n ns fifo_$n 1.5
        raw glibc fifo_$n ns fifo_$n 150
    done
    raw shim resident_x MiB resident_x 6 7 6
    raw mimalloc resident_x MiB resident_x 5
    raw shim resident_x_ratio x resident_x 1.2
    echo "# failed mimalloc latency"
} > "$results/raw.txt"

# tables - the raw file as text, in table.txt, and as bench.csv and bench.md
tables() {
    OUT=$results sh "$top/bench/run.sh" -t > "$scratch/table.txt"
}

# has WHAT FILE LINE - FILE has the line, however its columns are aligned
has() {
    tr -s ' ' < "$2" > "$scratch/squeezed"
    if grep -qxF -- "$3" "$scratch/squeezed"; then
        pass "$1"
    else
        fail "$1: $3" "$scratch/squeezed"
    fi
}

check "run.sh -t makes the tables again" tables
table=$scratch/table.txt
csv=$results/bench.csv
md=$results/bench.md

has "the best of each, and what is faster than fpheap" "$table" \
    "pair_sized ns 1.00 2.00 - 8.00 1.90 2.00 1.05 <-- mimalloc is first"
has "medians, and no mark where fpheap is first" "$table" \
    "pair_sized ns 1.00 2.30 - 10.00 4.00 2.30 0.57"
has "the spread: quartiles over median" "$table" \
    "pair_sized % 0.0 17.4 - 40.0 77.5"
has "times are better when larger" "$table" \
    "threads_mixed times - 1.70 - 1.80 - - 0.94 <-- glibc is first"
has "fpheap as malloc is compared where fpheap has no figure" "$table" \
    "resident_x MiB - - 6.00 - 5.00 - 1.20 <-- mimalloc is first"
has "rows that others lead are counted" "$table" \
    "rows in which an allocator other than fpheap is first: 3 by minimum, 1 by median"
has "what failed is said" "$table" "failed: mimalloc latency"
has "what it was compiled with is said" "$table" "compiler 12.2.0"
has "that it was littered is said" "$table" "littered each heap"
awk '/^medians/ { on = 1 } !NF { on = 0 } on { print $1 }' "$table" |
    paste -s -d ' ' > "$scratch/rows"
has "the order of rows is that of the list, not of the run" "$scratch/rows" \
    "medians row pair_sized latency_p99 threads_mixed fifo_1 fifo_64 fifo_4k resident_x resident_x_ratio"

has "CSV: columns" "$csv" "allocator,row,unit,n,min,median,q1,q3,max"
has "CSV: figures" "$csv" "fpheap,pair_sized,ns,8,2.0,2.3,2.1,2.5,10"
has "CSV: a single figure" "$csv" "glibc,latency_p99,tsc,1,800,800,800,800,800"
check "CSV: one line for each allocator and row" \
    test "$(wc -l < "$csv")" -eq 21

has "Markdown: the best is bold" "$md" \
    "| pair_sized | ns | 1.00 | 2.00 | - | 8.00 | **1.90** | 2.00 | 1.05 |"
has "Markdown: fpheap's is, if it is the best" "$md" \
    "| latency_p99 | tsc | - | **200** | - | 800 | - | - | 0.25 |"
awk '/^## / { title = $0 } /^\| latency/ { print title; exit }' "$md" \
    > "$scratch/title"
has "Markdown: key rows first" "$scratch/title" "## Key rows, medians"

# --- charts -------------------------------------------------------------------

refuse "plots.sh needs a run" "make bench writes it" \
    sh "$top/bench/plots.sh" "$scratch"
if have gnuplot; then
    touch "$results/bulk.svg"
    check "plots.sh makes charts" sh "$top/bench/plots.sh" "$results"
    for chart in pair fifo threads resident overview_speed overview_memory; do
        check "there is a chart $chart" test -s "$results/$chart.svg"
        if have xmllint; then
            check "$chart is well-formed" xmllint --noout "$results/$chart.svg"
        else
            skip "$chart is well-formed" "no xmllint"
        fi
    done
    check "its title is the question" \
        grep -q "What does one object cost when N are outstanding" \
        "$results/fifo.svg"
    check "bars have whiskers" grep -q "rgb( 68,  68,  68)" "$results/pair.svg"
    check "the load is under a chart" \
        grep -q "load 7.25 when it began" "$results/pair.svg"
    check "and that it was littered" grep -q "littered: each heap" "$results/pair.svg"
    check "sizes like 4k are numbers" grep -q '>4k<' "$results/fifo.svg"
    check "no chart is left of rows that were not run" \
        test ! -e "$results/bulk.svg"
else
    skip "plots.sh makes charts" "no gnuplot"
fi

# --- run.sh -------------------------------------------------------------------

# A program of this name fails in the row "bad", says what it was asked, and has a
# row of its own in littered heaps.
mkdir "$scratch/bin"
program() {
    cat > "$scratch/bin/bench_$1" << 'SHELL'
#!/bin/sh
repeats=1
rows="pair mixed bad memory_limited"
while getopts aflr:x option; do
    case $option in
    a) echo "compiler  none"; exit ;;
    f) rows="pair in_litter" ;;
    l) printf '%s\n' $rows; exit ;;
    r) repeats=$OPTARG ;;
    esac
done
shift $((OPTIND - 1))
[ "$1" != bad ] || { echo "I am bad" >&2; exit 1; }
while [ "$repeats" -gt 0 ]; do
    echo "$1 ns $repeats"
    repeats=$((repeats - 1))
done
SHELL
    chmod +x "$scratch/bin/bench_$1"
}
program floor
program fpheap
program malloc

# A machine with two mimallocs, of which no package is known.
mkdir "$scratch/path"
touch "$scratch/libmimalloc.so.3.6"
{
    echo '#!/bin/sh'
    for n in 3.6 2.0; do
        echo "echo '	libmimalloc.so.${n%.*} (libc6) => $scratch/libmimalloc.so.$n'"
    done
} > "$scratch/path/ldconfig"
chmod +x "$scratch/path/ldconfig"

# suite ROUNDS ROW... - run.sh with these programs
suite() {
    local rounds=$1
    shift
    PATH=$scratch/path:$PATH BENCH_DIR=$scratch/bin ROUNDS=$rounds REPEATS=2 \
        ALLOCATORS="floor fpheap glibc mimalloc" \
        OUT=$scratch/bin/results sh "$top/bench/run.sh" "$@"
}

check "run.sh runs" suite 3 pair mixed
has "each round counts" "$scratch/bin/results/bench.csv" \
    "fpheap,mixed,ns,6,1,1,1,2,2"
has "the versions of peers are said, and the newest one is taken" \
    "$scratch/bin/results/raw.txt" \
    "# peers $(getconf GNU_LIBC_VERSION), mimalloc libmimalloc.so.3.6"
check "quick" suite 3 -q pair
has "quick is one round of two" "$scratch/bin/results/bench.csv" \
    "floor,pair,ns,2,1,1,1,2,2"
check "the rows of the run before are kept" \
    grep -q mixed "$scratch/bin/results/raw.old.txt"
refuse "a row that nobody has" "no row has 'nonsense' in its name" \
    suite 1 pair nonsense
refuse "an allocator that fails is an error" "floor fails in bad" suite 2
has "but the others go on" "$scratch/bin/results/bench.csv" \
    "floor,mixed,ns,4,1,1,1,2,2"

mkdir "$scratch/forbidden"
cat > "$scratch/forbidden/mkdir" << SHELL
#!/bin/sh
case \$1 in */fpheap-bench-*) exit 1 ;; esac
exec $(command -v mkdir) "\$@"
SHELL
chmod +x "$scratch/forbidden/mkdir"
PATH=$scratch/forbidden:$PATH refuse "a row that needs a cgroup, where none can be made" \
    "memory_limited is left out" suite 1 memory_limited

check "run.sh -f passes it on" suite 1 -f in_litter
has "in_litter is a row" "$scratch/bin/results/bench.csv" \
    "fpheap,in_litter,ns,2,1,1,1,2,2"
has "the figures say that they are of littered heaps" \
    "$scratch/bin/results/raw.txt" "# littered each heap, before its row began"
check "others do not" suite 1 pair
check "they do not say so" \
    sh -c "! grep littered '$scratch/bin/results/raw.txt'"

# --- resident.sh --------------------------------------------------------------

# whole SCRIPT - the row of python3 where SCRIPT is python3 and a library without
# anything in it is fpheap's malloc
mkdir "$scratch/programs"
whole() {
    printf '#!/bin/sh\n%s\n' "$1" > "$scratch/programs/python3"
    chmod +x "$scratch/programs/python3"
    PATH=$scratch/programs:$PATH BENCH_DIR=$scratch/bin ALLOCATORS="shim glibc" \
        ROUNDS=1 OUT=$scratch/bin/results sh "$top/bench/run.sh" resident_python3
}

program malloc
check "peak.c compiles" $CC "$top/bench/peak.c" -o "$scratch/bin/peak"
echo 'int nothing;' | $CC -x c -fPIC -shared - -o "$scratch/bin/libfpheap_malloc.so"
check "a program runs under each malloc" whole 'echo said'
for name in shim glibc; do
    check "its memory under $name" \
        grep -Eq "^$name resident_python3 MiB [1-9]" "$scratch/bin/results/raw.txt"
done
refuse "a program that says something else" "shim fails in resident_python3" \
    whole 'echo "${LD_PRELOAD##*/}"'
has "it has failed there" "$scratch/bin/results/raw.txt" \
    "# failed shim resident_python3"
check "and has a figure under the other" \
    grep -q '^glibc resident_python3 MiB' "$scratch/bin/results/raw.txt"
refuse "a program that crashes" "shim fails in resident_python3" \
    whole 'case $LD_PRELOAD in *fpheap*) kill -SEGV $$ ;; esac'
check "a program that does not run on the C library's malloc has no row" \
    whole 'case $LD_PRELOAD in *libc.so.6) exit 1 ;; esac'
check "and has not failed" \
    sh -c "! grep -q '# failed' $scratch/bin/results/raw.txt"
echo nothing > "$scratch/bin/libfpheap_malloc.so"
refuse "a library that is not loaded" "cannot be preloaded" whole 'echo said'

# --- litter -------------------------------------------------------------------

# malloc, whose bytes in use are those asked for, and whose bytes obtained are
# those that were freed, and one
cat > "$scratch/peer_count.inc" << 'C'
#include <stdlib.h>
typedef int peer;
#define PEER_MEMORY 1
static memory_use counted = { 1, 0 };
static memory_use peer_memory(void) { return counted; }
static peer peer_prepare(const stock *s) { (void)s; return 0; }
BENCH_INLINE void *
peer_alloc(peer p, size_t size)
{
    size_t *object = malloc(size + 16);

    (void)p;
    *object = size;
    counted.in_use += size;
    return object + 2;
}
BENCH_INLINE void
peer_free(peer p, void *object, size_t size)
{
    size_t *begin = (size_t *)object - 2;

    (void)p; (void)size;
    counted.in_use -= *begin;
    counted.obtained += *begin;
    free(begin);
}
C
check "the rows compile with a peer that counts" $CC -std=gnu11 -O1 \
    -I"$scratch" -DPEER='"peer_count.inc"' "$top/bench/bench.c" \
    -o "$scratch/count" -pthread
"$scratch/count" -x memory > "$scratch/fresh"
"$scratch/count" -f -x memory > "$scratch/littered"
has "nothing is freed in a fresh heap" "$scratch/fresh" "memory_obtained x 0.0000"
check "a tenth of a GiB is in a littered one" \
    awk '$1 == "memory_obtained" { freed = $3 } END { exit !(freed > 0.1) }' \
    "$scratch/littered"
for heap in fresh littered; do
    has "what is live is what was asked for, in a $heap heap" "$scratch/$heap" \
        "memory_in_use x 1.0000"
done
"$scratch/count" -f -l > "$scratch/rows"
check "rows of new heaps are not in littered ones" \
    sh -c "grep -qx memory '$scratch/rows' && ! grep startup '$scratch/rows'"

# --- two processes ------------------------------------------------------------

# malloc, each process having its own; it says which processes have prepared
cat > "$scratch/peer_two.inc" << 'C'
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
typedef int peer;
#define PEER_SHARED 1
#define PEER_PROCESSES 1
static peer peer_prepare(const stock *s)
{
    (void)s;
    fprintf(stderr, "process %d\n", (int)getpid());
    return 0;
}
static void *peer_alloc(peer p, size_t size) { (void)p; return malloc(size); }
static void peer_free(peer p, void *object, size_t size)
{
    (void)p; (void)size;
    free(object);
}
static void peer_forked(void)
{
    if (getenv("DIES") != NULL)
        _exit(1);
}
static peer peer_open(int read_only)
{
    usleep(read_only ? 300 : 100);
    return 0;
}
static void peer_close(peer p) { (void)p; usleep(1000); }
C
check "the rows compile with a peer of two processes" $CC -std=gnu11 -O1 \
    -I"$scratch" -DPEER='"peer_two.inc"' "$top/bench/bench.c" \
    -o "$scratch/two" -pthread
"$scratch/two" -l > "$scratch/rows"
check "it has the rows of shared heaps" grep -qx shared_open "$scratch/rows"
check "and no other" sh -c "! grep -v '^shared_' '$scratch/rows'"
if [ "$(nproc)" -gt 1 ]; then
    "$scratch/two" -x shared_pair > "$scratch/pair" 2> "$scratch/said"
    check "a row has its figures" test "$(wc -l < "$scratch/pair")" -eq 7
    check "two processes do it" \
        test "$(sort -u "$scratch/said" | wc -l)" -eq 2
    DIES=1 refuse "a row ends if its second process dies" "status 256" \
        timeout 60 "$scratch/two" -x shared_pair
    "$scratch/two" -x shared_open > "$scratch/open" 2> "$scratch/said"
    for row in 'shared_open_write 100' 'shared_open_read 300'; do
        check "${row% *} is the time to open it, in microseconds" \
            awk -v row="${row% *}" -v us="${row#* }" '
                $1 == row && $3 >= us { n++; quick += $3 < 1000 }
                END { exit n != 7 || quick == 0 }' "$scratch/open"
    done
else
    skip "rows of two processes" "one processor"
fi
finish
