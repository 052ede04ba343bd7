#!/bin/bash
# symbols.sh - every function of the API is a symbol
#
# A library built with FPHEAP_EXPORT has each function that the header declares
# under its plain name: a C program and python3 call all of them.  Statistics of a
# library of another version.  Declarations without inline functions
# (FPHEAP_NO_INLINE), and a C++20 module that exports them.
. "$(dirname "$0")/lib.sh"

header=$top/fpheap.h
functions=$(sed -n '/^\/\* \[API\] =/,/^\/\* --- names --/p' "$header" |
    grep -A1 -E '^(FPHEAP_API|FPH_PUBLIC|FPH_NOWAIT) ' |
    grep -oE 'fpheap_[a-z_]+\(' | tr -d '(' | sort -u)

cat > "$scratch/library.c" << 'C'
#define FPHEAP_IMPLEMENTATION
#include "fpheap.h"
C
cp "$scratch/library.c" "$scratch/library.cpp"
flags="-O0 -Wall -Wextra -Werror -I$top -DFPHEAP_EXPORT=1 -DFPHEAP_HEADER=1
       -fPIC -shared -fvisibility=hidden -pthread"

calls_all() {
    local function
    for function in $functions; do
        grep -q "F(${function#fpheap_})(" "$top/tests/symbols.c" ||
            { echo "symbols.c does not call $function"; return 1; }
    done
}
check "symbols.c calls all functions that the header declares" calls_all

# exports LANGUAGE COMPILER... - a library that has all
exports() {
    local language=$1
    shift
    # shellcheck disable=SC2086
    check "a library is built without a warning: $*" "$@" $flags "$scratch/library.$language" \
        -o "$scratch/library.so"
    check "dlsym finds every function: $*" "$scratch/program" \
        "$scratch/library.so"
    if have python3; then
        # shellcheck disable=SC2086
        check "and ctypes of python: $*" python3 "$top/tests/symbols.py" \
            "$scratch/library.so" $functions
    else
        skip "ctypes" "no python3"
    fi
}
check "a program that calls them" $CC -std=gnu11 -O0 -I"$top" -Wall -Wextra \
    -Werror -DFPHEAP_EXPORT=1 -DFPHEAP_HEADER=1 -DFPHEAP_NO_INLINE=1 \
    "$top/tests/symbols.c" -o "$scratch/program" -ldl
exports c "$CC" -std=gnu11
if have "$CXX"; then
    exports cpp "$CXX" -std=c++17
fi
if have clang; then
    exports c clang -std=gnu11
fi

# --- statistics of another version ----------------------------------------------

# A later version, whose structs of statistics have a member more.
mkdir "$scratch/later"
sed -E 's/^#define FPHEAP_VERSION  .*/#define FPHEAP_VERSION 101/
        s/^\} fpheap_(class_|pool_|tag_|)stats;/    size_t later;\n&/' \
    "$header" > "$scratch/later/fpheap.h"
cp "$top/tests/versions.c" "$scratch/versions.cpp"
cp "$top/tests/versions.c" "$top/tests/library.h" "$scratch"

# versions WHAT LIBRARY PROGRAM SIZED PLAIN - the header is in these directories
versions() {
    # shellcheck disable=SC2086
    check "$1: $compiler: a library is built" $compiler ${flags/-I$top/-I$2} \
        "$scratch/library.$language" -o "$scratch/library.so"
    check "$1: $compiler: a program" $compiler -O0 -I"$3" -Wall -Wextra -Werror \
        -DFPHEAP_EXPORT=1 -DFPHEAP_HEADER=1 -DFPHEAP_NO_INLINE=1 \
        -DSIZED="$4" -DPLAIN="$5" "$scratch/versions.$language" \
        -o "$scratch/versions" -ldl
    check "$1: $compiler: it is told what both know" "$scratch/versions" "$scratch/library.so"
}
all_versions() {
    local more='sizeof(size_t)'
    compiler=$1
    language=$2
    versions "a later library" "$scratch/later" "$top" 0 0
    versions "a later program" "$top" "$scratch/later" "$more" "$more"
    versions "both later" "$scratch/later" "$scratch/later" 0 "$more"
}
all_versions "$CC -std=gnu11" c
if have "$CXX"; then
    all_versions "$CXX -std=c++11" cpp
fi

# --- without inline functions ---------------------------------------------------

cat > "$scratch/calls.c" << 'C'
#include "fpheap.h"
int
main(void)
{
    fpheap *heap = fpheap_create("calls", NULL);

    fpheap_free(heap, fpheap_alloc(heap, 100));
    return fpheap_destroy(heap);
}
C
calls() {
    # shellcheck disable=SC2086
    $CC -std=gnu11 -Wall -Wextra -Werror -I"$top" -c "$scratch/library.c" \
        -o "$scratch/library.o" &&
        $CC -std=gnu11 -Wall -Wextra -Werror -I"$top" -DFPHEAP_NO_INLINE=1 \
            "$scratch/calls.c" "$scratch/library.o" -o "$scratch/calls" \
            -pthread && "$scratch/calls"
}
check "with FPHEAP_NO_INLINE the fast path is called" calls
refuse "which is not for the implementation" FPHEAP_NO_INLINE \
    $CC -std=gnu11 -I"$top" -DFPHEAP_NO_INLINE=1 -c "$scratch/library.c" \
    -o "$scratch/library.o"

# --- a module -------------------------------------------------------------------

{
    printf '%s\n' module\; '#define FPHEAP_HEADER 1' '#include "fpheap.h"' \
        'export module heap;'
    printf 'export using ::%s;\n' fpheap $functions
} > "$scratch/heap.cpp"
cat > "$scratch/main.cpp" << 'C'
import heap;
int
main()
{
    fpheap *one = fpheap_create("module", nullptr);

    fpheap_free(one, fpheap_alloc(one, 100));
    return fpheap_destroy(one);
}
C
module() {
    cd "$scratch" || return
    clang++ -std=c++20 -I"$top" --precompile -x c++-module heap.cpp \
        -o heap.pcm &&
        clang++ -std=c++20 -fmodule-file=heap.pcm -c main.cpp -o main.o &&
        clang++ -std=c++20 -c heap.pcm -o heap.o &&
        $CC -std=gnu11 -I"$top" -DFPHEAP_HEADER=1 -c library.c -o library.o &&
        clang++ main.o heap.o library.o -o module -pthread && ./module
}
if have clang++; then
    check "a C++20 module exports all functions" module
else
    skip "a C++20 module" "no clang++"
fi
finish
