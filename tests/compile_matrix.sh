#!/bin/bash
# compile_matrix.sh - the header compiles without a warning
#
# With gcc, clang and musl-gcc, as C99 to C17 and C++11 to C++20, with and without
# extensions, at -O0 to -O3, for this machine, i686 and aarch64: the declarations
# alone, the implementation, and a private copy (FPHEAP_STATIC).  FULL=1 compiles
# each combination; without it each compiler sees each standard at -O0, where its
# front end finds as much as it ever does, and one standard at each level and mode.
. "$(dirname "$0")/lib.sh"

warnings="-Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow
          -Wcast-align -Wundef -Werror"
c_warnings="-Wstrict-prototypes -Wmissing-prototypes"

cat > "$scratch/declarations.c" << 'C'
#include "fpheap.h"
void *use(fpheap *heap, size_t size);
void *
use(fpheap *heap, size_t size)
{
    void *p = fpheap_alloc(heap, size);
    void *many[4];

    fpheap_free(heap, p);
    p = fpheap_alloc(heap, 100);
    fpheap_free_sized(heap, p, 100);
    if (fpheap_alloc_bulk(heap, size, many, 4) == 0)
        fpheap_free_bulk_sized(heap, many, 4, size);
    return fpheap_self(heap);
}
C
{ echo '#define FPHEAP_IMPLEMENTATION'; cat "$scratch/declarations.c"; } \
    > "$scratch/implementation.c"
{ echo '#define FPHEAP_STATIC'; cat "$scratch/implementation.c"; } \
    > "$scratch/static.c"
for mode in declarations implementation static; do
    cp "$scratch/$mode.c" "$scratch/$mode.cpp"
done

# compile "MODE..." LANGUAGE COMPILER FLAGS...
compile() {
    local modes=$1 language=$2 mode
    shift 2
    for mode in $modes; do
        # shellcheck disable=SC2086
        if ! "$@" $warnings $extra -I"$top" -c "$scratch/$mode.$language" \
                -o "$scratch/out.o" > "$scratch/log" 2>&1; then
            fail "$*, $mode" "$scratch/log"
            return
        fi
    done
    pass "$*"
}

# standards COMPILER LANGUAGE LEVELS STANDARD... - the first standard at the
# first level in each mode, the rest as implementation: the first standard at
# each level, the others at the first
standards() {
    local compiler=$1 language=$2 levels=$3 standard level extra=
    local modes="declarations implementation static"
    shift 3
    if ! have "$compiler"; then
        skip "$compiler" "not installed"
        return
    fi
    [ "$language" = cpp ] || extra=$c_warnings
    for standard in "$@"; do
        for level in $levels; do
            compile "$modes" "$language" "$compiler" "-std=$standard" "$level"
            [ -n "${FULL:-}" ] || modes=implementation
        done
        [ -n "${FULL:-}" ] || levels=${levels%% *}
    done
}

c="c11 c99 gnu99 gnu11 c17 gnu17"
cpp="c++17 c++11 c++14 gnu++17 c++20"
few_c=c11
few_cpp=c++17
if [ -n "${FULL:-}" ]; then
    few_c=$c
    few_cpp=$cpp
fi
# shellcheck disable=SC2086
{
    standards gcc c "-O0 -O2 -O3" $c
    standards g++ cpp "-O0 -O2 -O3" $cpp
    standards clang c "-O0 -O2 -O3" $c
    standards clang++ cpp "-O0 -O2 -O3" $cpp
    standards musl-gcc c -O2 $few_c
    for machine in i686 aarch64; do
        standards $machine-linux-gnu-gcc c -O2 $few_c
        standards $machine-linux-gnu-g++ cpp -O2 $few_cpp
    done
}
finish
