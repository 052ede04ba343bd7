#!/bin/bash
# lint.sh - what compilers do not say
#
# clang-tidy, cppcheck and gcc -fanalyzer on the header; the lengths of lines and
# functions, the history and stray notes on all sources.
. "$(dirname "$0")/lib.sh"

cd "$top" || exit 1
sources=$(git ls-files --cached --others --exclude-standard 2> /dev/null |
    grep -E '\.(c|h|inc)$' || ls ./*.h ./*/*.{c,h,inc} ./*/*/*.{c,h})

cat > "$scratch/header.c" << C
#define FPHEAP_IMPLEMENTATION
#include "$top/fpheap.h"
C

if have clang-tidy; then
    check "clang-tidy" clang-tidy --quiet --config-file="$top/.clang-tidy" \
        "$scratch/header.c" -- -std=c11
else
    skip "clang-tidy" "not installed"
fi

if have cppcheck; then
    # With the default settings; settings.sh builds the others.  Assigning a
    # volatile byte to itself is how a page is touched without changing it.
    check "cppcheck" cppcheck --quiet --error-exitcode=1 --std=c11 \
        --enable=warning,portability,performance --inline-suppr \
        --suppress=missingIncludeSystem --suppress=selfAssignment \
        --max-configs=1 \
        -DFPHEAP_IMPLEMENTATION -DMAP_ANONYMOUS=32 -U__cplusplus -D__GNUC__=12 \
        -D__ATOMIC_RELAXED=0 -D__ATOMIC_ACQUIRE=2 -D__ATOMIC_RELEASE=3 \
        -D__ATOMIC_ACQ_REL=4 -D__ATOMIC_SEQ_CST=5 fpheap.h
else
    skip "cppcheck" "not installed"
fi

if have gcc; then
    check "gcc -fanalyzer" gcc -std=c11 -O2 -fanalyzer -Wall -Wextra -Werror \
        -c "$scratch/header.c" -o "$scratch/header.o"
else
    skip "gcc -fanalyzer" "not installed"
fi

# Definitions begin with a brace in column 1 and end with another.
too_long_functions() {
    awk 'FNR == 1 { start = 0 }
         /^\{/    { start = FNR; name = last }
         /^\}/    { if (start && FNR - start - 1 > 60) {
                        print FILENAME ":" start ": " name ": " FNR - start - 1
                        bad = 1
                    }
                    start = 0 }
         NF       { last = $0 }
         END      { exit bad }' "$@"
}
# shellcheck disable=SC2086
check "no function is longer than 60 lines" too_long_functions $sources

too_long_lines() {
    awk 'length($0) > 100 { print FILENAME ":" FNR ": " length($0); bad = 1 }
         END { exit bad }' "$@"
}
# shellcheck disable=SC2086
check "no line is longer than 100 columns" too_long_lines $sources

none() {
    ! grep -nE "$@"
}
# shellcheck disable=SC2086
check "no tabs and no blanks at the ends of lines" none $'\t|[ \t]+$' $sources
# shellcheck disable=SC2086
check "no notes to come back to" none '\b(TO''DO|FIX''ME|XX''X|HA''CK)\b' $sources

version=$(sed -n '1s/.* v\([0-9.]*\) .*/\1/p' fpheap.h)
has_history() {
    sed -n '/\[HISTORY\] [-=]/,$p' fpheap.h | grep -q "$version"
}
check "the history names version $version" has_history
finish
