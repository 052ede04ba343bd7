#!/bin/bash
# install.sh - what make install installs can be found and used
. "$(dirname "$0")/lib.sh"

root=$scratch/root
check "make install" make -C "$top" install DESTDIR="$root" PREFIX=/opt/fpheap
prefix=$root/opt/fpheap
if cmp -s "$top/fpheap.h" "$prefix/include/fpheap.h"; then
    pass "the header is there"
else
    fail "the header is there"
fi

cat > "$scratch/main.c" << 'C'
#define FPHEAP_IMPLEMENTATION
#include <fpheap.h>
int
main(void)
{
    fpheap *heap = fpheap_create(NULL, NULL);

    return heap == NULL || fpheap_destroy(heap) != 0;
}
C

if have pkg-config; then
    export PKG_CONFIG_PATH=$prefix/share/pkgconfig
    options=$(pkg-config --define-variable=prefix="$prefix" --cflags --libs fpheap)
    # shellcheck disable=SC2086
    check "a program finds it with pkg-config" \
        $CC "$scratch/main.c" -o "$scratch/main" $options
    check "and runs" "$scratch/main"
    version=$(pkg-config --modversion fpheap)
    check "the version is that of the header" \
        grep -q "^/\* fpheap.h - v$version " "$top/fpheap.h"
else
    skip "pkg-config" "not installed"
fi

if have cmake; then
    cat > "$scratch/CMakeLists.txt" << 'CMAKE'
cmake_minimum_required(VERSION 3.10)
project(user C)
find_package(fpheap 0.1 REQUIRED)
add_executable(user main.c)
target_link_libraries(user PRIVATE fpheap::fpheap)
CMAKE
    check "a project finds it with CMake" cmake -S "$scratch" \
        -B "$scratch/build" -DCMAKE_PREFIX_PATH="$prefix"
    check "and builds" cmake --build "$scratch/build"
    check "and runs" "$scratch/build/user"
else
    skip "CMake" "not installed"
fi
finish
