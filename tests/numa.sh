#!/bin/bash
# numa.sh - a partition's memory is that of the node which it names (numa.c)
. "$(dirname "$0")/lib.sh"

what="a partition is bound to its node, and to none that is not there"
if ! echo '#include <numa.h>' | $CC -E -x c - > /dev/null 2>&1; then
    skip "$what" "numa.h is not installed"
elif ! $CC -std=gnu11 -O1 -g -Wall -Wextra -Werror -I"$top" "$top/tests/numa.c" \
        -o "$scratch/numa" -lnuma -pthread > "$scratch/log" 2>&1; then
    fail "$what: build" "$scratch/log"
else
    "$scratch/numa" > "$scratch/log" 2>&1
    case $? in
    0) pass "$what" ;;
    77) skip "$what" "this system tells no nodes" ;;
    *) fail "$what" "$scratch/log" ;;
    esac
fi
finish
