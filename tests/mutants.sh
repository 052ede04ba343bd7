#!/bin/bash
# mutants.sh - that mutants.py finds what it plants
. "$(dirname "$0")/lib.sh"

cd "$top" || exit 1
if ! have python3; then
    skip "mutants" "no python3"
    finish
fi

many() {
    tests/mutants.py --list > "$scratch/list" &&
        tests/mutants.py --list | cmp - "$scratch/list" &&
        [ "$(wc -l < "$scratch/list")" -gt 4000 ]
}
check "thousands of mutants, the same each time" many

B=$scratch PROGRAMS=test_check_headers tests/mutants.py --only \
    'fph_put: if (FPH_UNLIKELY(top == bin->limit)) => ' \
    'fph_slots_fetch: __builtin_prefetch(&slot[i], 1 ); => ;' \
    > "$scratch/log" 2>&1
check "a test that a full bin is empty is noticed" \
    grep '^killed .*fph_put: .* by test_check' "$scratch/log"
check "a prefetch that is left out is not, and is argued" \
    grep '^argued .*fph_slots_fetch' "$scratch/log"
finish
