#!/bin/bash
# run_cross.sh - the header works on machines of another kind
#
# smoke.c, built statically for i686 and aarch64 in C and C++, runs natively where
# the processor can and under qemu where it cannot; and with musl and clang.  So do
# natively for i686 the test programs that count bytes, for a size_t is shorter there
# than what they are counted in.
#
# FULL=1 adds six machines, three of them big-endian, and Windows; the test programs
# run on each and with musl, with stand_in/cmocka.h; and a table says what ran where.
# UNITS="bulk owner" chooses programs, MACHINES="s390x musl" machines.
. "$(dirname "$0")/lib.sh"

: "${FULL:=}"
: "${UNITS:=}"
: "${MACHINES:=}"
tests="$top/tests"
wine=/usr/lib/wine
export WINEDEBUG=-all WINEPREFIX=$scratch/wine
libraries=
level=-O2

# works EMULATOR COMPILER FLAG... - a program runs and its status comes back
works() {
    local emulator=$1
    shift
    echo 'int main(void) { return 7; }' > "$scratch/seven.c"
    "$@" "$scratch/seven.c" -o "$scratch/seven.out" > "$scratch/log" 2>&1 &&
        $emulator "$scratch/seven.out" > /dev/null 2>&1
    [ $? -eq 7 ]
}

# build NAME SOURCE COMPILER FLAG... - $scratch/program.out
build() {
    local name=$1 source=$2
    shift 2
    # shellcheck disable=SC2086
    "$@" $level -I"$top" "$source" -o "$scratch/program.out" \
        -pthread $libraries > "$scratch/log" 2>&1 && return
    fail "$name: build" "$scratch/log"
    return 1
}

# cross NAME EMULATOR COMPILER FLAG... - the tour; "no" as emulator: build only
cross() {
    local name=$1 emulator=$2
    shift 2
    if ! have "$1"; then
        skip "$name" "$1 is not installed"
        return
    fi
    build "$name" "$tests/smoke.c" "$@" -Wall -Wextra -Werror || return
    if [ "$emulator" = no ]; then
        pass "$name: built"
    elif [ -n "$emulator" ] && ! have "${emulator%% *}"; then
        skip "$name: run" "$emulator is not installed"
    elif ! works "$emulator" "$@"; then
        skip "$name: run" "${emulator:-this machine} does not run such programs"
    else
        # shellcheck disable=SC2086
        check "$name" timeout 300 $emulator "$scratch/program.out"
    fi
}

# --- the test programs ----------------------------------------------------------
#
# Those with threads do a 20th of their work, and have 20 times as long; the one
# that tries schedules until its time is up has it five times.

# sum WORD LOG - of the cases that ended so, in all groups of the program
sum() {
    awk -v word="$1" '/^\[  / && $2 == word && $5 ~ /^test/ { n += $4 }
                      END { print n + 0 }' "$2"
}

# unit NAME EMULATOR SOURCE COMPILER FLAG... - adds its cases to ran and skips
unit() {
    local name="$1: ${3##*/}" emulator=$2 source=$3 log=$scratch/unit.log n
    shift 3
    build "$name" "$source" "$@" -I"$tests/stand_in" \
        -DSTRESS_SLOWDOWN=20 ${emulator:+-DEMULATED=1} || return
    # shellcheck disable=SC2086
    if SCHEDULE_SECONDS=35 timeout 1800 $emulator "$scratch/program.out" \
            > "$log" 2>&1; then
        n=$(sum PASSED "$log")
        ran=$((ran + n))
        pass "$name, $n cases"
    else
        grep -avE '^\[ (RUN|  *OK)' "$log" | tail -n 40 > "$scratch/log"
        fail "$name" "$scratch/log"
    fi
    skips=$((skips + $(sum SKIPPED "$log")))
}

# all_units NAME EMULATOR COMPILER FLAG... - and a row of the table
all_units() {
    local name=$1 emulator=$2 source program ran=0 skips=0 failed=$n_failed
    shift 2
    if ! have "$1" || { [ -n "$emulator" ] && ! have "$emulator"; } ||
            ! works "$emulator" "$@"; then
        row "$name" "not run" "$1 or ${emulator:-a processor} is missing"
        return
    fi
    for source in "$tests"/{,debug/}test_*.c \
            "$tests"/stress_{owner,refs,threads,killed}.c; do
        program=$(basename "$source" .c)
        case " $UNITS " in
        "  " | *" ${program#*_} "*)
            unit "$name" "$emulator" "$source" "$@" ;;
        esac
    done
    row "$name" "${emulator:-natively}" \
        "$ran cases, $((n_failed - failed)) failed, $skips skipped"
}

# row MACHINE BY WHAT
row() {
    printf '%-28s %-13s %s\n' "$@" >> "$scratch/table"
}

# is_wanted MACHINE
is_wanted() {
    case " $MACHINES " in "  " | *" $1 "*) ;; *) return 1 ;; esac
}

# machine NAME EMULATOR TRIPLE [LIBRARY] - all there is
machine() {
    local name=$1 emulator=$2 triple=$3 libraries=${4:-}
    is_wanted "${triple%%-*}" || return
    case $(uname -m)-$triple in x86_64-i686* | i?86-i686*) emulator= ;; esac
    cross "$name, C" "$emulator" "$triple-gcc" -static -std=c11
    cross "$name, C++" "$emulator" "$triple-g++" -static -x c++ -std=c++17
    [ -z "$FULL" ] ||
        all_units "$name" "$emulator" "$triple-gcc" -static -std=gnu11
}

# windows NAME EMULATOR TRIPLE - where there is no mmap, and POSIX threads are a
# library
windows() {
    local bare="-DFPHEAP_NO_OS=1 -DFPHEAP_NO_THREADS=1" emulator=no
    local threads=-DFPHEAP_NO_OS=1
    is_wanted "${3%%-*}" || return
    have "${2:-none}" && emulator=$2
    # shellcheck disable=SC2086
    cross "$1, C" "$emulator" "$3-gcc" -static -std=c11 $bare
    # shellcheck disable=SC2086
    cross "$1, C++" "$emulator" "$3-g++" -static -x c++ -std=c++17 $bare
    cross "$1, C, with threads" "$emulator" "$3-gcc" -static -std=c11 $threads
    row "$1" "${emulator##*/}" "smoke.c in C and C++"
    [ "$emulator" = no ] || "$wine/wineserver" -k
}

[ -z "$FULL" ] || row machine by "what ran"
machine "i686" qemu-i386 i686-linux-gnu
machine "aarch64" qemu-aarch64 aarch64-linux-gnu
if [ -z "$FULL" ]; then
    case $(uname -m) in
    x86_64 | i?86)
        UNITS="children groups growth headers large pool_limits pools references"
        UNITS+=" shared shared_small sizes small_no_os stats tags water"
        level=-Og
        all_units "i686" "" i686-linux-gnu-gcc -static -std=gnu11 ;;
    esac
else
    machine "armhf" qemu-arm arm-linux-gnueabihf
    machine "riscv64" qemu-riscv64 riscv64-linux-gnu -latomic
    machine "ppc64le" qemu-ppc64le powerpc64le-linux-gnu
    machine "s390x, big-endian" qemu-s390x s390x-linux-gnu
    machine "powerpc, 32 bits, big-endian" qemu-ppc powerpc-linux-gnu -latomic
    machine "mips, 32 bits, big-endian" qemu-mips mips-linux-gnu -latomic
    windows "Windows, 64 bits" "$wine/wine64" x86_64-w64-mingw32
    windows "Windows, 32 bits" "" i686-w64-mingw32
fi
if is_wanted musl; then
    cross "musl" "" musl-gcc -static -std=c11
    [ -z "$FULL" ] || all_units "musl" "" musl-gcc -static -std=gnu11
fi
if is_wanted clang; then
    cross "clang, C99" "" clang -std=c99
    cross "clang, C++11" "" clang++ -x c++ -std=c++11
    cross "gcc, one thread" "" gcc -std=c11 -DFPHEAP_NO_THREADS=1
    cross "gcc, threads without a system" "" gcc -std=c11 -DFPHEAP_NO_OS=1
fi
[ -z "$FULL" ] || cat "$scratch/table"
finish
