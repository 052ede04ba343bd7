#!/bin/bash
# install.sh - what make install installs can be found and used, and the repository
# itself by projects that have it as a part of theirs
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

# --- as a part of another project -----------------------------------------------

if have cmake; then
    # part HOW LINES - a project that has the repository so builds and runs
    part() {
        local where=$scratch/$1

        mkdir -p "$where"
        cp "$scratch/main.c" "$where"
        cat > "$where/CMakeLists.txt" << CMAKE
cmake_minimum_required(VERSION 3.10)
project(user C)
$2
add_executable(user main.c)
target_link_libraries(user PRIVATE fpheap::fpheap)
CMAKE
        cmake -S "$where" -B "$where/build" && cmake --build "$where/build" &&
            "$where/build/user"
    }
    check "CMake's add_subdirectory" part subdirectory \
        "add_subdirectory($top/examples/pkg fpheap)"
    check "CMake's FetchContent" part fetch "include(FetchContent)
FetchContent_Declare(fpheap SOURCE_DIR $top SOURCE_SUBDIR examples/pkg)
FetchContent_MakeAvailable(fpheap)"
fi

if have meson && have ninja; then
    project=$scratch/meson
    mkdir -p "$project/subprojects/packagefiles/fpheap" "$scratch/clone"
    cp "$scratch/main.c" "$project"
    cp "$top/examples/pkg/meson.build" "$project/subprojects/packagefiles/fpheap"
    cat > "$project/meson.build" << 'MESON'
project('user', 'c', default_options: ['warning_level=3', 'werror=true'])
executable('user', 'main.c',
    dependencies: dependency('fpheap', version: '>=0.1'))
MESON
    # A repository of what is here, committed or not.
    cp "$top/fpheap.h" "$scratch/clone"
    git -C "$scratch/clone" init -q
    git -C "$scratch/clone" add fpheap.h
    git -C "$scratch/clone" -c user.name=tests -c user.email=tests@localhost \
        commit -qm "the header"
    cat > "$project/subprojects/fpheap.wrap" << WRAP
[wrap-git]
url = file://$scratch/clone
revision = HEAD
depth = 1
patch_directory = fpheap

[provide]
dependency_names = fpheap
WRAP
    check "a subproject of Meson's" meson setup \
        --force-fallback-for=fpheap "$project/build" "$project"
    check "and builds" ninja -C "$project/build"
    check "and runs" "$project/build/user"
else
    skip "Meson" "not installed"
fi

# The malloc of any program, by the wrapper command that was installed.
run=$prefix/bin/fpheap-run
cat > "$scratch/user.c" << 'C'
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static void *kept[100000];

/* Pieces of that size, each with a byte written. */
static size_t
take(size_t n, size_t bytes)
{
    size_t i;

    for (i = 0; i < n && (kept[i] = malloc(bytes)) != NULL; i++)
        *(volatile char *)kept[i] = 1;
    return i;
}

static long
resident_mib(void)
{
    long  all = 0, pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");

    if (file == NULL || fscanf(file, "%ld %ld", &all, &pages) != 2)
        exit(3);
    fclose(file);
    return (pages * sysconf(_SC_PAGESIZE)) >> 20;
}

/* 400 MB live, then free for a while, in which few objects come and go. */
static long
left_after_a_pause(void)
{
    size_t i, n = take(100000, 4000);
    int    round;

    for (i = 0; i < n; i++)
        memset(kept[i], 1, 4000);
    for (i = 0; i < n; i++)
        free(kept[i]);
    for (round = 0; round < 30; round++) {
        usleep(20000);
        for (i = 0; i < 64; i++)
            free(*(void *volatile *)&kept[0] = malloc(100));
    }
    return resident_mib();
}

int
main(int argc, char **argv)
{
    struct rusage usage;

    if (argc > 1 && strcmp(argv[1], "limit") == 0)
        return printf("%zu\n", take(1000, 1 << 20)) < 0;
    if (argc > 1 && strcmp(argv[1], "pause") == 0)
        return printf("%ld\n", left_after_a_pause()) < 0;
    take(400, 2 << 20);
    getrusage(RUSAGE_SELF, &usage);
    return printf("%ld\n", usage.ru_maxrss >> 10) < 0;
}
C

# between WHAT LEAST MOST COMMAND... - the command prints a number in between
between() {
    what=$1 least=$2 most=$3
    shift 3
    "$@" > "$scratch/between.out" 2> "$scratch/between.err"
    value=$(cat "$scratch/between.out")
    if [ "${value:--1}" -ge "$least" ] && [ "$value" -le "$most" ]; then
        pass "$what ($value)"
    else
        fail "$what: $value, not $least to $most" "$scratch/between.err"
    fi
}

check "fpheap-run tells its options" "$run" -h
check "a program for fpheap-run" $CC -O1 "$scratch/user.c" -o "$scratch/user"
check "fpheap-run runs it" "$run" -s "$scratch/served" "$scratch/user"
check "with its malloc replaced" grep "^user\[" "$scratch/served"
between "-l 64M: all of it at most" 16 64 "$run" -l 64M "$scratch/user" limit
between "no -l: no limit" 1000 1000 "$run" "$scratch/user" limit
between "-p: objects that are hardly touched cost little" 1 50 \
    "$run" -p "$scratch/user"
between "-t: memory comes back after a pause" 1 100 \
    "$run" -t 100 "$scratch/user" pause
between "no -t: it stays" 380 1000 "$run" "$scratch/user" pause
refuse "-l with no number" "is no number" "$run" -l 12Q "$scratch/user"
refuse "-t with a unit" "is no number" "$run" -t 5s "$scratch/user"
refuse "-l 0" "above 0" "$run" -l 0K "$scratch/user"
refuse "no program" "usage" "$run" -p
refuse "no library" "there is no" \
    env FPHEAP_SHIM_LIBRARY=/nowhere "$run" "$scratch/user"
for bad in LIMIT=1 LIMIT=12Q LIMIT=' ' LIMIT='8 ' LIMIT=-5 LIMIT=8MM \
    LIMIT=99999999999999999999 NO_THP=yes TRIM_MS=5s; do
    env "FPHEAP_SHIM_$bad" "$run" "$scratch/user" limit \
        > "$scratch/bad.out" 2> "$scratch/bad.err"
    if grep -q '^1000$' "$scratch/bad.out" \
        && grep -q "FPHEAP_SHIM_${bad%%=*}=.* is ignored" "$scratch/bad.err"
    then
        pass "FPHEAP_SHIM_$bad is reported and ignored"
    else
        fail "FPHEAP_SHIM_$bad is reported and ignored" "$scratch/bad.err"
    fi
done

# A library opened with RTLD_DEEPBIND, as PHP does with its modules, that frees
# what the program allocated and the other way round.  It opens another one that
# only its own search path finds.
mkdir "$scratch/modules"
cat > "$scratch/second.c" << 'C'
int second = 2;
C
cat > "$scratch/module.c" << 'C'
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

void *
swap(void *object)
{
    free(object);
    return strdup("from the module");
}

void *
open_second(void)
{
    return dlopen("libsecond.so", RTLD_NOW);
}
C
cat > "$scratch/host.c" << 'C'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

int
main(int argc, char **argv)
{
    void   *module = argc > 1 ? dlopen(argv[1], RTLD_NOW | RTLD_DEEPBIND) : 0;
    void *(*swap)(void *);
    void *(*open_second)(void);
    int     i;

    if (module == NULL)
        return 1;
    swap = (void *(*)(void *))dlsym(module, "swap");
    open_second = (void *(*)(void))dlsym(module, "open_second");
    for (i = 0; i < 100000; i++)
        free(swap(malloc(16 + i % 5000)));
    return open_second() == NULL ? 2 : 0;
}
C
check "a library of a module" $CC -shared -fPIC "$scratch/second.c" \
    -o "$scratch/modules/libsecond.so"
check "a module" $CC -shared -fPIC "$scratch/module.c" -o "$scratch/module.so" \
    -Wl,--enable-new-dtags,-rpath,"$scratch/modules" -ldl
check "a program that opens it" $CC "$scratch/host.c" -o "$scratch/host" -ldl
check "without the shim it works" "$scratch/host" "$scratch/module.so"
check "RTLD_DEEPBIND: objects cross both ways, the search path is the caller's" \
    "$run" "$scratch/host" "$scratch/module.so"
finish
