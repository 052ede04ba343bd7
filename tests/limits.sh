#!/bin/bash
# limits.sh - the table under FPHEAP_CHUNK_SHIFT has the numbers that follow from
# the header's own: the largest object, the most in objects up to a chunk, regions
. "$(dirname "$0")/lib.sh"
cd "$top" || exit 1

echo 'int at_least_64_bits[sizeof(void *) >= 8 ? 1 : -1];' > "$scratch/bits.c"
if ! $CC -fsyntax-only "$scratch/bits.c" 2> /dev/null; then
    skip "the table of limits" "it is for 64 bits"
    finish
fi

# holds SHIFT CHECK CONDITION - whether it is true of the header built so
holds() {
    # shellcheck disable=SC2086
    $CC -fsyntax-only -w -I. -DFPHEAP_CHUNK_SHIFT="$1" -DFPHEAP_CHECK="$2" \
        -x c - << C
#define FPHEAP_IMPLEMENTATION
#include "fpheap.h"
#define KiB  * ((uint64_t)1 << 10)
#define MiB  * ((uint64_t)1 << 20)
#define GiB  * ((uint64_t)1 << 30)
#define RECORD ((sizeof(fph_chunk) + FPH_LINE - 1) / FPH_LINE * FPH_LINE)
#define CHUNKS ((FPHEAP_CHUNK - FPH_META_GUARD) / RECORD * FPH_TABLE_MAX)
#define OBJECT ((uint64_t)FPH_REGION_MAX * FPHEAP_CHUNK)
_Static_assert($3, "");
C
}

rows=0
while read -r shift chunk unit object unit2 all unit3 regions; do
    rows=$((rows + 1))
    check "row $shift" holds "$shift" 0 "FPHEAP_CHUNK == $chunk $unit \
        && OBJECT == $object $unit2 && CHUNKS * FPHEAP_CHUNK == $all $unit3 \
        && FPH_TABLE_MAX == $regions && (OBJECT >> FPHEAP_PAGE_SHIFT) \
            <= UINT32_MAX"
    check "row $shift with FPHEAP_CHECK 1: at most half" \
        holds "$shift" 1 "CHUNKS * FPHEAP_CHUNK * 2 <= $all $unit3"
    check "row $shift with FPHEAP_CHECK 2: at most a seventh" \
        holds "$shift" 2 "CHUNKS * FPHEAP_CHUNK * 7 <= $all $unit3"
done < <(sed -n 's/^ \*     \([12][0-9] .* KiB .*B .*\)$/\1/p' fpheap.h)
if [ $rows -eq 9 ]; then
    pass "there is a row for each shift"
else
    fail "there is a row for each shift: $rows"
fi
check "112 GiB with FPHEAP_CHECK 1" holds 21 1 "CHUNKS * FPHEAP_CHUNK == 112 GiB"
check "24 GiB with FPHEAP_CHECK 2" holds 21 2 "CHUNKS * FPHEAP_CHUNK == 24 GiB"
refuse "a wrong number is noticed" "static assertion" \
    holds 21 0 "FPH_TABLE_MAX == 4097"
finish
