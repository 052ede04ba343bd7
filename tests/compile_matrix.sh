#!/bin/bash
# compile_matrix.sh - the header compiles without a warning
#
# With gcc, clang and musl-gcc, as C99 to C17 and C++11 to C++20, with and without
# extensions, at -O0 to -O3, for this machine, i686 and aarch64: the declarations
# alone, the implementation, and a private copy (FPHEAP_STATIC).  Each compiler
# sees each standard at -O0, where its front end finds as much as it ever does, and
# one standard at each level and mode.
#
# FULL=1 adds gcc 11, clang 19, six machines, clang for all of them, and Windows,
# and compiles each combination with gcc and clang.
. "$(dirname "$0")/lib.sh"

warnings="-Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow
          -Wcast-align -Wundef -Werror"
c_warnings="-Wstrict-prototypes -Wmissing-prototypes -Wredundant-decls"
cpp_warnings="-Wold-style-cast -Wuseless-cast -Wzero-as-null-pointer-constant
              -Wredundant-decls -Wno-unknown-warning-option"

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

# standards "COMPILER FLAG..." LANGUAGE LEVELS STANDARD... - the first standard at
# the first level in each mode, the rest as implementation: the first standard at
# each level, the others at the first; with all=1 each at each level in each mode
standards() {
    local compiler=$1 language=$2 levels=$3 standard level extra=
    local modes="declarations implementation static"
    shift 3
    if ! have "${compiler%% *}"; then
        skip "$compiler" "not installed"
        return
    fi
    if [ "$language" = cpp ]; then extra=$cpp_warnings; else extra=$c_warnings; fi
    for standard in "$@"; do
        for level in $levels; do
            # shellcheck disable=SC2086
            compile "$modes" "$language" $compiler "-std=$standard" "$level"
            [ -n "$all" ] || modes=implementation
        done
        [ -n "$all" ] || levels=${levels%% *}
    done
}

c="c11 c99 gnu99 gnu11 c17 gnu17"
cpp="c++17 c++11 c++14 gnu++17 c++20"
few_c=c11
few_cpp=c++17
all=${FULL:-}
if [ -n "$all" ]; then
    few_c=$c
    few_cpp=$cpp
fi

# more - what FULL=1 adds
more() {
    local machine threads bare=-DFPHEAP_NO_OS=1

    standards gcc-11 c "-O0 -O2" $c
    standards clang-19 c "-O0 -O2" $c c23
    standards clang++-19 cpp "-O0 -O2" $cpp c++23
    for machine in arm-linux-gnueabihf riscv64-linux-gnu powerpc64le-linux-gnu \
            s390x-linux-gnu powerpc-linux-gnu mips-linux-gnu; do
        standards $machine-gcc c "-O0 -O2" $c
        standards $machine-g++ cpp "-O0 -O2" $cpp
    done
    for machine in i686-linux-gnu aarch64-linux-gnu arm-linux-gnueabihf \
            riscv64-linux-gnu powerpc64le-linux-gnu s390x-linux-gnu; do
        standards "clang --target=$machine" c "-O0 -O2" c11
    done
    # These have no atomic instruction of eight bytes, which clang says.
    for machine in powerpc-linux-gnu mips-linux-gnu; do
        standards "clang --target=$machine -Wno-atomic-alignment" c "-O0 -O2" \
            c11
    done
    for machine in x86_64 i686; do
        for threads in 0 1; do
            standards "$machine-w64-mingw32-gcc $bare -DFPHEAP_NO_THREADS=$threads" \
                c "-O0 -O2" $c
            standards "$machine-w64-mingw32-g++ $bare -DFPHEAP_NO_THREADS=$threads" \
                cpp "-O0 -O2" $cpp
        done
    done
}

# shellcheck disable=SC2086
{
    standards gcc c "-O0 -O2 -O3" $c
    standards g++ cpp "-O0 -O2 -O3" $cpp
    standards clang c "-O0 -O2 -O3" $c
    standards clang++ cpp "-O0 -O2 -O3" $cpp
    all=
    standards musl-gcc c -O2 $few_c
    for machine in i686 aarch64; do
        standards $machine-linux-gnu-gcc c -O2 $few_c
        standards $machine-linux-gnu-g++ cpp -O2 $few_cpp
    done
    [ -z "${FULL:-}" ] || more
}
finish
