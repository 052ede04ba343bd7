#!/bin/bash
# run.sh - DPDK: the providers, telemetry and the heap's own tests over
# memzones, under each mode of the EAL; then the other scripts of this directory
#
#     B=build T=word tests/dpdk/run.sh
#
# With T only what has the word in its name: "run" is what is here.  fast_tests.sh is
# long and runs only so.
#
# Reserves hugepages while it runs, where it may; what needs them is skipped
# elsewhere.  The last line is "N passed, N failed, N skipped".
. "$(dirname "$0")/../lib.sh"
top=$(cd "$(dirname "$0")/../.." && pwd)
cd "$top" || exit 1
out=$B/dpdk
count=/proc/sys/vm/nr_hugepages
pages=300                      # of 2 MiB; a program at a time needs 240

if ! pkg-config --exists libdpdk 2> /dev/null; then
    skip "DPDK" "pkg-config does not find libdpdk"
    finish
fi
mkdir -p "$out"
echo "DPDK $(pkg-config --modversion libdpdk), $($CC --version | head -n 1)"

# --- the other scripts --------------------------------------------------------

# add SCRIPT - run it, and add what its last line says
add() {
    echo "--- $1"
    B=$B CC=$CC "$1" 2>&1 | tee "$scratch/other.log" | sed '$d'
    if tail -n 1 "$scratch/other.log" | grep -Eq '^[0-9]+ passed, [0-9]+ failed'
    then
        read -r p f s <<< "$(tail -n 1 "$scratch/other.log" | tr -dc '0-9 ')"
        n_passed=$((n_passed + p))
        n_failed=$((n_failed + f))
        n_skipped=$((n_skipped + ${s:-0}))
    else
        fail "$1 ended without its sum" "$scratch/other.log"
    fi
}

add_others() {
    local script
    for script in tests/dpdk/*.sh; do
        case ${script##*/} in
        run.sh | lib.sh | hosts.sh) continue ;;
        fast_tests.sh) [ -n "${T:-}" ] || continue ;;
        esac
        [[ ${script##*/} != *"${T:-}"* ]] || add "$script"
    done
    if [ $((n_passed + n_failed + n_skipped)) -eq 0 ]; then
        fail "no test has $T in its name"
    fi
    echo
    finish
}
[[ run == *"${T:-}"* ]] || add_others

# --- hugepages ----------------------------------------------------------------

# Others may do the same meanwhile: raise the count and lower it by as much.
reserved=0
release() {
    if [ "$reserved" -gt 0 ]; then
        echo $(($(cat $count) - reserved)) > $count
        reserved=0
    fi
}
trap 'release; rm -rf "$scratch"' EXIT
trap 'exit 1' INT TERM

reserve() {
    local before
    [ -w $count ] || return
    before=$(cat $count)
    echo $((before + pages)) > $count 2> /dev/null
    reserved=$(($(cat $count) - before))
}

# enough PAGES - so many are free
enough() {
    [ "$(sed -n 's/^HugePages_Free: *//p' /proc/meminfo)" -ge "$1" ]
}

# --- building -----------------------------------------------------------------

# compile NAME SOURCE [FLAG...] - DPDK's headers warn under strict flags
dpdk_cflags=$(pkg-config --cflags libdpdk | sed 's/-I/-isystem /g')
compile() {
    local name=$1 source=$2
    shift 2
    # shellcheck disable=SC2046,SC2086
    $CC -std=gnu11 -O2 -g -Wall -Wextra -Wundef -Wstrict-prototypes -Werror -I. \
        -Itests -Itests/dpdk "$@" $dpdk_cflags "$source" tests/filter.c \
        -o "$out/$name" $(pkg-config --libs libdpdk) -lcmocka -pthread
}

build() {
    check "$1 is built" compile "$@"
}

# build_over TEST... - they measure nothing, so they need not be fast.  Two at a
# time; -Og warns of what it has not looked into.
build_over() {
    local test
    rm -f "$out"/over_*
    for test in "$@"; do
        [ "$(jobs -rp | wc -l)" -lt 2 ] || wait -n
        compile "over_$test" "$(ls tests/{,debug/}"$test.c" 2> /dev/null)" \
            '-DTEST_MEMORY_HEADER="dpdk/over_memzone.h"' -Og \
            -Wno-maybe-uninitialized > "$scratch/over_$test.log" 2>&1 &
    done
    wait
    for test in "$@"; do
        if [ -x "$out/over_$test" ]; then
            pass "over_$test is built"
        else
            fail "over_$test is built" "$scratch/over_$test.log"
        fi
    done
}

# --- running ------------------------------------------------------------------

# What cmocka prints, as "ok", "FAIL" or "skip" and the case with its figure.
cases() {
    awk '/^\[=+\].*run\./ { exit }
         /^(figure|why): / { note = $0; sub(/^[a-z]*: /, "", note); next }
         /^\[ +RUN/ { note = "" }
         /^\[ +OK/ { print "ok " $4 (note == "" ? "" : " - " note) }
         /^\[ +FAILED/ { print "FAIL " $4 }
         /^\[ +SKIPPED/ { print "skip " $4 " " note }' "$1"
}

# run MODE PROGRAM [ENV...] - one line for each of its cases
run() {
    local mode=$1 program=$2 log=$scratch/run.log status failed=$n_failed
    local kind name note
    shift 2
    [ -x "$out/$program" ] || return
    env "$@" timeout 600 "$out/$program" > "$log" 2>&1
    status=$?
    if [ $status -eq 77 ]; then
        skip "$mode: $program" "$(sed -n 's/^skip: //p' "$log")"
        return
    fi
    while read -r kind name note; do
        case $kind in
        ok) pass "$mode: $name ${note:0:90}" ;;
        skip) skip "$mode: $name" "$note" ;;
        *) fail "$mode: $name" ;;
        esac
    done < <(cases "$log")
    if [ $status -ne 0 ] || [ "$n_failed" -ne "$failed" ]; then
        fail "$mode: $program ended with $status"
        grep -v '^\[ *\(OK\|RUN\)' "$log" | tail -n 40 | sed 's/^/      /'
    fi
}

# huge MODE PROGRAM PAGES [ENV...] - the same if there are so many
huge() {
    local mode=$1 program=$2 need=$3
    shift 3
    if enough "$need"; then
        run "$mode" "$program" "$@"
    else
        skip "$mode: $program" "less than $need hugepages are free"
    fi
}

# unit MODE TEST [ENV...] - one of the heap's own programs; how many passed
unit() {
    local mode=$1 test=$2 log=$scratch/unit.log
    shift 2
    [ -x "$out/over_$test" ] || return
    if env "$@" timeout 600 "$out/over_$test" > "$log" 2>&1; then
        pass "$mode: $test over memzones, $(grep -ac '^\[ *OK' "$log") cases"
    else
        fail "$mode: $test over memzones"
        grep -aE 'ERROR|LINE|FAILED|^skip' "$log" | head -n 20 |
            sed 's/^/      /'
    fi
}

# --- the providers and telemetry ----------------------------------------------

free_before=$(sed -n 's/^HugePages_Free: *//p' /proc/meminfo)
total_before=$(cat $count)
reserve

build test_memzone tests/dpdk/test_memzone.c
build test_memzone_small tests/dpdk/test_memzone.c -DFPHEAP_CHUNK_SHIFT=18
build test_telemetry tests/dpdk/test_telemetry.c
build test_hugetlb_extmem tests/dpdk/test_hugetlb.c -DFPHEAP_HUGETLB_EXTMEM=1
# shellcheck disable=SC2086
check "test_hugetlb is built without DPDK" $CC -std=gnu11 -O2 -g -Wall \
    -Wextra -Werror -I. tests/dpdk/test_hugetlb.c tests/filter.c \
    -o "$out/test_hugetlb" -lcmocka -pthread

check "make dpdk builds the examples and drivers without a warning" \
    make -s -j2 dpdk B="$out" CC="$CC" CFLAGS="-O2 -g -Werror"

shared="--no-pci --no-telemetry -l 0,1"
[ "$(nproc)" -gt 1 ] || shared="--no-pci --no-telemetry -l 0"
memory="$shared --in-memory"
nohuge="$shared --no-huge --no-shconf --file-prefix=fph$$"

huge "VA" test_memzone 150 FPHEAP_EAL="$memory --iova-mode=va"
huge "PA" test_memzone 150 FPHEAP_EAL="$memory --iova-mode=pa"
huge "64 MiB" test_memzone 32 FPHEAP_SMALL=1 \
    FPHEAP_EAL="$memory --iova-mode=va --socket-limit 64"
run "no hugepages" test_memzone FPHEAP_EAL="$nohuge -m 1024"
huge "chunks of 256 KiB" test_memzone_small 150 FPHEAP_CASES=hugepages \
    FPHEAP_EAL="$memory --iova-mode=va"
huge "no DPDK" test_hugetlb 120
huge "extmem, VA" test_hugetlb_extmem 250 FPHEAP_EAL="$memory --iova-mode=va"
huge "extmem, PA" test_hugetlb_extmem 250 FPHEAP_EAL="$memory --iova-mode=pa"
run "no hugepages" test_telemetry FPHEAP_EAL="--no-pci --no-huge -m 512 -l 0"
huge "VA" test_telemetry 16 FPHEAP_EAL="--no-pci --in-memory -l 0"

# --- the heap's own tests -----------------------------------------------------

# Those that use memory.  The rest is about providers of its own, or breaks the
# heap's records on purpose, for which any memory will do.
tests="test_bulk test_contents test_headers test_misuse test_nodes test_pool_check
       test_pool_constructors test_pool_limits test_pools test_references
       test_regressions test_sizes test_small test_small_no_os test_stats test_tags"
# shellcheck disable=SC2086
build_over $tests
for test in $tests; do
    not=
    large=
    case $test in
    test_misuse)
        large="writing_past_an_object_never_reaches_the_heap"
        skip "VA: $test: $large" "it takes a GiB"
        ;;
    test_regressions)
        not="a_child_finds_pages_that_*"
        skip "$test: $not" "a child shares the EAL's memory with its parent"
        ;;
    test_small_no_os)
        not="without_a_system_a_provider_must_be_given"
        skip "$test: $not" "there is one by default"
        ;;
    esac
    unit "no hugepages" "$test" FPHEAP_NOT="$not" FPHEAP_EAL="$nohuge -m 8192"
    case $test in
    test_sizes | test_stats | test_headers | test_tags | test_references | \
        test_nodes | test_small* | test_regressions) ;; # need more pages
    *)
        if enough 280; then
            unit "VA" "$test" FPHEAP_NOT="$large" \
                FPHEAP_EAL="$memory --iova-mode=va --socket-limit 560"
        else
            skip "VA: $test over memzones" "less than 280 hugepages are free"
        fi
        ;;
    esac
done

# --- what is on nobody's side -------------------------------------------------

echo '#include "fpheap.h"' |
    $CC -O2 -I. -DFPHEAP_IMPLEMENTATION -x c - -c -o "$scratch/heap.o"
nm "$scratch/heap.o" "$out/test_hugetlb" > "$scratch/symbols"
check "fpheap.h and fpheap_hugetlb.h alone have no symbol of DPDK" \
    bash -c "[ -s '$scratch/symbols' ] && ! grep rte_ '$scratch/symbols'"
cat > "$scratch/all.c" << C
#define FPHEAP_IMPLEMENTATION
#define FPHEAP_HUGETLB_EXTMEM 1
#include "fpheap.h"
#include "examples/dpdk/fpheap_memzone.h"
#include "examples/dpdk/fpheap_multiprocess.h"
#include "examples/dpdk/fpheap_hugetlb.h"
#include "examples/dpdk/fpheap_telemetry.h"
C
compiles() {
    # shellcheck disable=SC2086
    "$@" -O2 -Wall -Wextra -Wshadow -Wundef -Werror -I. $dpdk_cflags \
        -D_GNU_SOURCE "$scratch/all.c" -c -o "$scratch/all.o"
}
for how in "$CC -std=c11 -pedantic" "clang -std=gnu11" "g++ -x c++ -std=c++11" \
    "g++ -x c++ -std=c++20"; do
    if have "${how%% *}"; then
        # shellcheck disable=SC2086
        check "the four headers compile: $how" compiles $how
    else
        skip "the four headers compile: $how" "not installed"
    fi
done

release
if [ "$(cat $count)" = "$total_before" ]; then
    pass "hugepages are as before: $total_before, $free_before free"
else
    skip "hugepages are as before" "somebody else changed their number"
fi

add_others
