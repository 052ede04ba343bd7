#!/bin/bash
# structure.sh - fpheap.h is laid out as it says, and structure.py notices when not
#
# Each fault below is planted into a copy of the header, which must be refused with
# the line that says so.
. "$(dirname "$0")/lib.sh"

cd "$top" || exit 1
if ! have python3; then
    skip "the header's structure" "no python3"
    finish
fi
copy=$scratch/fpheap.h

check "a function names none of a later section" tests/structure.py order
check "each label stands in one table, and is used there" \
    tests/structure.py labels
check "its counts are within their limits" tests/structure.py limits

# add SECTION [FILE] - the input, as the last lines of what is in front of the
# section, to the header or the file
add() {
    local from=${2:-fpheap.h}
    cat > "$scratch/more"
    cp "$from" "$scratch/from"
    awk -v head="/* [$1] =" -v more="$scratch/more" '
        index($0, head) == 1 { while ((getline line < more) > 0) print line }
        { print }' "$scratch/from" > "$copy"
    ! cmp -s "$scratch/from" "$copy" || fail "there is no section $1"
}
accepted() {
    check "$2" tests/structure.py --header="$copy" "$1"
}
refused() {
    refuse "$2" "$3" tests/structure.py --header="$copy" "$1"
}

# --- order --------------------------------------------------------------------

function='static int
fph_added(fpheap *heap)
{
    return ADDED;
}'
# named TEXT - a function of what is in front of CACHE that has this expression
named() {
    add CACHE <<< "${function/ADDED/$1}"
}
named 'fph_slab_free_objects((uintptr_t)heap) != 0'
accepted order "a function may call one above it"
named 'fpheap_check(heap) == NULL'
refused order "a call of a later section is noticed" \
    'fph_added of WATER names fpheap_check of CHECK'
named 'fph_later(fpheap_check, heap)'
refused order "so is an address" 'fph_added of .* names fpheap_check'
add CACHE << C
#define FPH_ADDED(heap) FPH_WITHIN(heap)
#define FPH_WITHIN(heap) \\
    fpheap_check(heap)
${function/ADDED/FPH_ADDED(heap) == NULL}
C
refused order "and a name within macros" 'fph_added of .* names fpheap_check'
add CACHE << C
static const char *(*const fph_checks[])(fpheap *heap) = {
    fpheap_check
};
${function/ADDED/fph_checks[0](heap) == NULL}
C
refused order "and one within a table" 'fph_added of .* names fpheap_check'
add PLATFORM <<< "${function/ADDED/fph_alloc_miss(heap, 1) == NULL}"
accepted order "a hit may name a miss"
add PLATFORM <<< "${function/ADDED/fpheap_check(heap) == NULL}"
refused order "and nothing else that comes later" \
    'fph_added of FASTPATH names fpheap_check'

# --- labels -------------------------------------------------------------------

table='/*
 *   Y1  word: load   acquire  Y2  what it counts
 *   Y2  word: store  release  Y1
 */'
uses='static uint64_t
fph_added(fph_word *word)
{
    fph_store_release(word, 1); /* Y2 */
    return fph_load_acquire(word); /* Y1 */
}'
add CACHE <<< "$table
$uses"
accepted labels "labels that stand in a table and are used are right"
add CACHE <<< "$table
${uses/ \/\* Y1 \*\//}"
refused labels "an operation without a label is noticed" \
    'fph_added: acquire without a label'
add CACHE <<< "${table/Y1  word/       }
$uses"
refused labels "so is a label that stands in no table" 'Y1 stands in no table'
add CACHE <<< "$table
${uses/Y1 /Y2 }"
refused labels "and one of a table that is not used" 'Y1 is not used'
refused labels "and an order that is another than the table's" \
    'Y2 is acquire, and its row says otherwise'
add CACHE <<< "$table
${uses/word, 1/word, 2}
$table"
refused labels "and a label of two tables" 'Y1 is there already'
add CACHE <<< "${table//Y/P9}
${uses//Y/P9}"
refused labels "and a letter of two sections" 'has a letter of WATER'
add HISTORY <<< "$uses"
add CACHE "$copy" <<< "$table"
refused labels "and one that another section uses" 'Y1 of WATER is used in'
add CACHE <<< "/* As in Y7. */"
refused labels "and a sentence that names a label that is none" \
    'Y7 stands in no table'
add CACHE <<< "static const char *const fph_added = \"Y8: two are one\";"
refused labels "and such a message" 'Y8 stands in no table'
add CACHE <<< "${function/ADDED/FPH_CAS(heap->mine, heap->mine, 0, RELEASE,
                   ACQUIRE)}"
refused labels "and a CAS that is a release, and fails as an acquire" \
    'which gcc drops for POWER'

# --- limits -------------------------------------------------------------------

add CACHE <<< "${function/    return/$(yes '    heap++;' | head -n 60)
    return}"
refused limits "a function that is too long is noticed" 'of a function, most'
add CACHE << C
$(for n in $(seq 30); do
    printf '%s\n' "${function/ADDED/0}" | sed "s/fph_added/fph_added_$n/
        s/^    return/#if FPHEAP_CHECK\n    heap = NULL;\n#endif\n    return/"
done)
C
refused limits "so are conditions in functions" '#if in functions'
sed 's|/\*[^*]*\*/$||' fpheap.h > "$copy"
refused limits "and comments that are missing" 'lines with a comment'
finish
