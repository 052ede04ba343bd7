#!/bin/bash
# tools.sh - AddressSanitizer, MemorySanitizer and Valgrind know which objects of the
# heap are live, and object to nothing else
#
# A use after free of a small and of a large object and of one of a scratch pool, in
# a buffer of the program's own; of objects of groups, a byte behind one, one that was
# rewound and one that has ended; with FPHEAP_CHECK 2 also a byte behind an object, and
# behind one that was resized in place.
# FULL=1: with FPHEAP_TOOL=0 AddressSanitizer knows nothing, so what it says is what
# it was told.
. "$(dirname "$0")/lib.sh"

program=$scratch/tools
mistakes="free large scratch cut rewound ended"

# built NAME COMPILER OPTIONS... - build the program, or skip
built() {
    local name=$1
    shift
    if ! have "$1"; then
        skip "$name" "$1 is not installed"
    elif ! echo 'int main(void) { return 0; }' | "$@" -x c - \
            -o "$scratch/probe" 2> "$scratch/log"; then
        skip "$name" "$(tail -n 1 "$scratch/log")"
    elif ! "$@" -std=gnu11 -O0 -g "$top/tests/tools.c" -o "$program" -pthread \
            2> "$scratch/log"; then
        fail "$name: build" "$scratch/log"
    else
        return 0
    fi
    return 1
}

# knows NAME TEXT COMMAND... - all is right, and each mistake is told with the text
knows() {
    local name=$1 text=$2 mistake
    shift 2
    check "$name: nothing to object to" "$@" right
    for mistake in $mistakes; do
        refuse "$name: $mistake" "$text" "$@" "$mistake"
    done
}

asan=AddressSanitizer
if built $asan "$CC" -fsanitize=address; then
    knows $asan use-after-poison "$program"
fi
if built MemorySanitizer clang -fsanitize=memory; then
    knows MemorySanitizer use-of-uninitialized-value "$program"
fi
mistakes="$mistakes behind shrunk beside"
if ! have valgrind || [ ! -e /usr/include/valgrind/memcheck.h ]; then
    skip Valgrind "not installed"
elif built Valgrind "$CC" -DFPHEAP_TOOL=3 -DFPHEAP_CHECK=2; then
    knows Valgrind "Invalid read of size 1" \
        valgrind -q --error-exitcode=9 "$program"
fi
if [ -n "${FULL:-}" ]; then
    if built "$asan, FPHEAP_CHECK 2" clang -fsanitize=address \
            -DFPHEAP_CHECK=2; then
        knows "$asan, FPHEAP_CHECK 2" use-after-poison "$program"
    fi
    if built "$asan, not told" "$CC" -fsanitize=address -DFPHEAP_TOOL=0; then
        check "$asan, not told" "$program" free
    fi
fi
finish
