#!/bin/bash
# instructions.sh - a hit takes at most 25 instructions
#
# Counted by executing them: each call as a function of its own at -O2, with the
# size known to the compiler and not.  clang 14 spends two more on the class of a
# size that it does not know.  -v shows the code as well.
. "$(dirname "$0")/lib.sh"

for compiler in "$CC" clang; do
    if ! have "${compiler%% *}"; then
        skip "$compiler" "not installed"
        continue
    fi
    program=$scratch/instructions
    if ! { $compiler -std=gnu11 -O2 -c "$top/tests/instructions.c" \
               -o "$program.o" && $compiler "$program.o" -o "$program" -pthread
         } > "$scratch/log" 2>&1; then
        fail "$compiler: build" "$scratch/log"
        continue
    fi
    limit=25
    case $compiler in clang*) limit=26 ;; esac
    "$program" $limit > "$scratch/log"
    case $? in
    0) pass "$compiler: at most $limit" ;;
    77) skip "$compiler" "$(cat "$scratch/log")" ;;
    *) fail "$compiler: a hit of more than $limit instructions, or none" ;;
    esac
    cat "$scratch/log"
    if [ "${1:-}" = -v ]; then
        objdump -d --no-show-raw-insn -j .text.hits "$program.o" |
            sed -n 's/^[0-9a-f]* <\(hit_.*\)>:/\n\1/p; s/^ *[0-9a-f]*:\t/    /p'
    fi
done
finish
