#!/bin/bash
# limits.sh - the table under FPHEAP_CHUNK_SHIFT has the numbers that follow from
# the header's own: the most in objects up to a chunk, the largest object, regions;
# the largest object and the shortest buffer have two sides
. "$(dirname "$0")/lib.sh"
cd "$top" || exit 1

echo 'int at_least_64_bits[sizeof(void *) >= 8 ? 1 : -1];' > "$scratch/bits.c"
if ! $CC -fsyntax-only "$scratch/bits.c" 2> /dev/null; then
    skip "the table of limits" "it is for 64 bits"
    finish
fi

# CHUNKS are those for which META's blocks have records if they are made for
# nothing else.
cat > "$scratch/limits.h" << 'C'
#define FPHEAP_IMPLEMENTATION
#include "fpheap.h"
#define KiB  * ((uint64_t)1 << 10)
#define MiB  * ((uint64_t)1 << 20)
#define GiB  * ((uint64_t)1 << 30)
#define TiB  * ((uint64_t)1 << 40)
#define UNITS  ((sizeof(fph_records) + FPH_LINE - 1) / FPH_LINE)
#define CHUNKS ((uint64_t)(FPH_TABLE_MAX - 1) \
                * ((FPHEAP_CHUNK - FPH_LINE) / (UNITS * FPH_LINE)))
C

# is SHIFT CHECK CONDITION - whether this constant is true of the header so
is() {
    echo "#include \"$scratch/limits.h\"
        _Static_assert($3, \"the header's comment\");" |
        $CC -w -I. -DFPHEAP_CHUNK_SHIFT="$1" -DFPHEAP_CHECK="$2" \
            -fsyntax-only -x c -
}

# holds SHIFT CONDITION - whether it is true of the header built so
holds() {
    # shellcheck disable=SC2086
    $CC -w -I. -DFPHEAP_CHUNK_SHIFT="$1" -pthread \
        -x c - -o "$scratch/limits" << C && "$scratch/limits"
#include "$scratch/limits.h"

static fpheap_provider pages;
static unsigned gets;

static int
get(void *ctx, size_t bytes, size_t align, int node, fpheap_region *region)
{
    return gets++ != 0 ? -EIO
         : pages.get(pages.ctx, bytes, align, node, region);
}

/* Whether the provider is asked for an object of so many bytes. */
static int asks(size_t bytes)
{
    fpheap_config config = { 0 };
    fpheap_provider provider = { 0 };
    fpheap *heap;
    int asked;

    fpheap_provider_mmap(&pages, 0);
    provider.get = get;
    provider.put = pages.put;
    config.provider = &provider;
    gets = 0;
    heap = fpheap_create(NULL, &config);
    asked = heap != NULL && fpheap_alloc(heap, bytes) == NULL
         && errno == EIO && gets > 1;
    if (!asked && (errno != ENOMEM || gets != 1))
        abort();
    fpheap_destroy(heap);
    return asked;
}

int main(void)
{
    return !(UNITS == fph_meta_units(sizeof(fph_records)) && $2);
}
C
}

# serves SHIFT - whether a buffer of a chunk is enough for a heap and objects, and
# one of a byte less for none
serves() {
    # shellcheck disable=SC2086
    $CC -w -I. -DFPHEAP_CHUNK_SHIFT="$1" -DFPHEAP_NO_OS -DFPHEAP_NO_THREADS \
        -x c - -o "$scratch/serves" << C && "$scratch/serves"
#define FPHEAP_IMPLEMENTATION
#include "fpheap.h"

static char memory[FPHEAP_CHUNK] __attribute__((aligned(FPHEAP_CHUNK)));

/* Percent of a buffer that are objects; -1: there is no heap. */
static int used(size_t bytes)
{
    fpheap_config config = { 0 };
    fpheap_provider provider;
    fpheap_buffer buffer;
    fpheap *heap;
    size_t n = 0;

    fpheap_provider_buffer(&provider, &buffer, memory, bytes);
    config.provider = &provider;
    heap = fpheap_create(NULL, &config);
    if (heap == NULL)
        return -1;
    while (fpheap_alloc(heap, 64) != NULL)
        n++;
    fpheap_destroy_forced(heap);
    return (int)(n * 6400 / bytes);
}

int main(void)
{
    return used(FPHEAP_CHUNK) < 60 || used(FPHEAP_CHUNK - 1) != -1;
}
C
}

rows=0
while read -r shift chunk unit all unit2 object unit3 regions; do
    rows=$((rows + 1))
    check "row $shift" holds "$shift" "FPHEAP_CHUNK == $chunk $unit \
        && CHUNKS * FPHEAP_CHUNK >= $all $unit2 \
        && CHUNKS * FPHEAP_CHUNK / 100 * 96 < $all $unit2 \
        && FPH_TABLE_MAX == $regions \
        && asks($object $unit3 - FPHEAP_PAGE) \
        && !asks($object $unit3 - FPHEAP_PAGE + 1)"
    check "row $shift: a buffer of a chunk serves, one of a byte less does not" \
        serves "$shift"
    check "row $shift with FPHEAP_CHECK 1: at most half" \
        is "$shift" 1 "CHUNKS * FPHEAP_CHUNK * 2 <= $all $unit2"
    check "row $shift with FPHEAP_CHECK 2: at most a seventh" \
        is "$shift" 2 "CHUNKS * FPHEAP_CHUNK * 7 <= $all $unit2"
done < <(sed -n 's/^ \*     \([12][0-9] .* KiB .*B .*\)$/\1/p' fpheap.h)
if [ $rows -eq 9 ]; then
    pass "there is a row for each shift"
else
    fail "there is a row for each shift: $rows"
fi
check "103 GiB with FPHEAP_CHECK 1" \
    is 21 1 "CHUNKS * FPHEAP_CHUNK / (1 GiB) == 103"
check "23 GiB with FPHEAP_CHECK 2" \
    is 21 2 "CHUNKS * FPHEAP_CHUNK / (1 GiB) == 23"
if is 21 0 "FPH_TABLE_MAX == 4097" 2> /dev/null ||
        holds 21 "FPH_TABLE_MAX == 4097"; then
    fail "a wrong number is noticed"
else
    pass "a wrong number is noticed"
fi
finish
