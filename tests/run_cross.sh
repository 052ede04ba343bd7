#!/bin/bash
# run_cross.sh - the header works on machines of another kind
#
# smoke.c, built statically for i686 and aarch64 in C and C++, runs natively where
# the processor can and under qemu where it cannot; and with clang for this one.
. "$(dirname "$0")/lib.sh"

# cross NAME EMULATOR COMPILER FLAGS...
cross() {
    local name=$1 emulator=$2
    shift 2
    if ! have "$1"; then
        skip "$name" "$1 is not installed"
        return
    fi
    if ! "$@" -O2 -I"$top" "$top/tests/smoke.c" -o "$scratch/smoke" -pthread \
            > "$scratch/log" 2>&1; then
        fail "$name: build" "$scratch/log"
        return
    fi
    case $(uname -m) in i?86 | x86_64) [ "$emulator" != qemu-i386 ] || emulator= ;; esac
    if [ -n "$emulator" ] && ! have "$emulator"; then
        skip "$name: run" "$emulator is not installed"
        return
    fi
    # shellcheck disable=SC2086
    check "$name" timeout 60 $emulator "$scratch/smoke"
}

cross "i686, C" qemu-i386 i686-linux-gnu-gcc -static -std=c11
cross "i686, C++" qemu-i386 i686-linux-gnu-g++ -static -x c++ -std=c++17
cross "aarch64, C" qemu-aarch64 aarch64-linux-gnu-gcc -static -std=c11
cross "aarch64, C++" qemu-aarch64 aarch64-linux-gnu-g++ -static -x c++ -std=c++17
cross "musl" "" musl-gcc -static -std=c11
cross "clang, C99" "" clang -std=c99
cross "clang, C++11" "" clang++ -x c++ -std=c++11
cross "gcc, one thread" "" gcc -std=c11 -DFPHEAP_NO_THREADS=1
finish
