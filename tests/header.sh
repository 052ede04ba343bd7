#!/bin/bash
# header.sh - the header needs nothing hidden, leaks nothing and cannot be misused
# by accident
#
# Symbols, macros, includes in any order, files with different settings, settings
# out of range, a build without any library, and the form of the file itself.
. "$(dirname "$0")/lib.sh"

header=$top/fpheap.h
flags="-std=gnu11 -O1 -I$top"
export LC_ALL=C

cat > "$scratch/implementation.c" << 'C'
#define FPHEAP_IMPLEMENTATION
#include "fpheap.h"
C

# build NAME OPTIONS... - the implementation as $scratch/NAME.o
build() {
    local name=$1
    shift
    # shellcheck disable=SC2086
    $CC $flags "$@" -c "$scratch/implementation.c" -o "$scratch/$name.o"
}

# --- symbols ------------------------------------------------------------------

# undefined NAME - the symbols that $scratch/NAME.o takes from elsewhere
undefined() {
    nm -u "$scratch/$1.o" | awk '{ print $2 }' | sed 's/@.*//' | sort -u
}

# only ALLOWED - succeed if each line of the input matches the pattern
only() {
    ! grep -vxE "$1"
}

string="memcpy|memset|memcmp|memmove|strlen|_GLOBAL_OFFSET_TABLE_"
string="$string|__stack_chk_fail|__mem(cpy|set|move)_chk"
string="$string|__(popcount|ctz|clz)[sdt]i2" # the compiler's own library
system="__errno_location|mmap|munmap|madvise|mincore|write|abort|clock_gettime"
system="$system|sched_yield|syscall|open|read|close|prctl|strstr|getpid"
system="$system|mprotect|munlock|sysconf|getrlimit"
system="$system|openat|fcntl|fstat|fstatfs|fchmod|ftruncate|pread|geteuid"
system="$system|linkat|unlinkat|strcmp|strcspn"
threads="pthread_(key_create|key_delete|setspecific|atfork|setcancelstate)"
threads="$threads|__register_atfork"
threads="$threads|__dso_handle" # which pthread_atfork passes on
stdio="fprintf|fputs|fputc|fwrite|stderr"
family="malloc|calloc|realloc|reallocarray|free|cfree|memalign|aligned_alloc"
family="$family|posix_memalign|v?alloc|pvalloc|str(n)?dup|asprintf|getline"

allowed() {
    undefined "$1" | only "$2"
}
lacks() {
    ! undefined "$1" | grep -xE "$2"
}

check "the implementation compiles" build plain
check "it needs only these functions of libc" \
    allowed plain "$string|$system|$threads|$stdio"
check "it needs no function that allocates" lacks plain "$family"
check "with FPHEAP_NO_STDIO it compiles" build quiet -DFPHEAP_NO_STDIO=1
check "and needs no stdio" lacks quiet "$stdio"
check "with FPHEAP_NO_THREADS it compiles" build single -DFPHEAP_NO_THREADS=1
check "and needs no thread functions" lacks single "$threads"
check "with FPHEAP_NO_OS it compiles" build bare -DFPHEAP_NO_OS=1 \
    -DFPHEAP_NO_THREADS=1 -DFPHEAP_NO_STDIO=1
check "and needs no system calls" allowed bare "$string|__errno_location|abort"
check "with threads too" build rtos -DFPHEAP_NO_OS=1 -DFPHEAP_NO_STDIO=1
check "which need keys and sched_yield" allowed rtos \
    "$string|__errno_location|pthread_(key_create|key_delete|setspecific)|sched_yield"

defined() {
    nm --defined-only -g "$scratch/$1.o" | awk '{ print $3 }'
}
own_names_only() {
    defined "$1" | only '(fpheap|fph)_[a-z0-9_]*'
}
check "it defines only names that begin with fpheap_ and fph_" \
    own_names_only plain
settings_in_all() {
    defined "$1" | only '[a-z_]*_v[0-9]+_chunk21_.*_tool0'
}
check "and have the version and the settings in them" settings_in_all plain
no_names() {
    ! defined "$1" | grep .
}
check "with FPHEAP_STATIC it compiles" build static -DFPHEAP_STATIC
check "and defines nothing for others" no_names static
hidden() {
    ! nm -D --defined-only "$scratch/hidden.so" | grep fph
}
# shellcheck disable=SC2016
check "FPHEAP_API decorates what it declares" $CC $flags -fPIC -shared \
    '-DFPHEAP_API=extern __attribute__((visibility("hidden")))' \
    "$scratch/implementation.c" -o "$scratch/hidden.so" -pthread
check "so a shared object can keep it to itself" hidden

# --- macros -------------------------------------------------------------------

# The preprocessor says which file each macro comes from.
macros() {
    # shellcheck disable=SC2086
    $CC $flags -dD -E "$1" | awk '
        /^# [0-9]+ "/ { ours = $3 ~ /fpheap\.h"$/ }
        /^#define /   { if (ours) { sub(/\(.*/, "", $2); print $2 } }'
}
own_macros_only() {
    # (fpheap_object is a function whose name a type has too.)
    macros "$1" | only "((FPHEAP|FPH|fph)_[A-Za-z0-9_]*|fpheap_object)$2"
}
echo '#include "fpheap.h"' > "$scratch/declarations.c"
check "the declarations define only macros of their own names" \
    own_macros_only "$scratch/declarations.c" ""
check "so does the implementation, but for _GNU_SOURCE" \
    own_macros_only "$scratch/implementation.c" "|_GNU_SOURCE"

# --- includes -----------------------------------------------------------------

compiles() {
    cat > "$scratch/order.c"
    # shellcheck disable=SC2086
    $CC $flags -Wall -Wextra -Werror -c "$scratch/order.c" -o "$scratch/order.o"
}
order() {
    what=$1
    shift
    printf '%s\n' "$@" > "$scratch/lines"
    check "$what" compiles < "$scratch/lines"
}
include='#include "fpheap.h"'
implement='#define FPHEAP_IMPLEMENTATION'
order "it may be included twice" "$include" "$include"
order "declarations first, implementation later" \
    "$include" "$implement" "$include"
order "implementation first, declarations later" \
    "$implement" "$include" '#undef FPHEAP_IMPLEMENTATION' "$include"
order "implementation twice" "$implement" "$include" "$include"
sites='#define FPHEAP_CHECK 1
#define FPHEAP_SITES 1'
order "with FPHEAP_SITES, declarations first, implementation later" \
    "$sites" "$include" "$implement" "$include"
order "and the implementation twice" \
    "$sites" "$implement" "$include" "$include"
order "after other headers" '#include <stdio.h>' '#include <string.h>' \
    '#include <pthread.h>' "$implement" "$include"

cat > "$scratch/one.c" << 'C'
#define FPHEAP_IMPLEMENTATION
#include "fpheap.h"
void other(fpheap *heap, void *object);
int
main(void)
{
    fpheap *heap = fpheap_create("two files", NULL);

    if (heap == NULL)
        return 1;
    other(heap, fpheap_alloc(heap, 100));
    return fpheap_destroy(heap) != 0;
}
C
cat > "$scratch/other.c" << 'C'
#include "fpheap.h"
#ifdef __cplusplus
extern "C"
#else
void other(fpheap *heap, void *object);
#endif
void
other(fpheap *heap, void *object)
{
    fpheap_free_sized(heap, object, 100);
    object = fpheap_alloc(heap, 300);
    fpheap_free(heap, object);
}
C
cat > "$scratch/statistics.c" << 'C'
#include <stdlib.h>
#include "fpheap.h"
#ifdef __cplusplus
extern "C"
#else
void other(fpheap *heap, void *object);
#endif
void
other(fpheap *heap, void *object)
{
    fpheap_pool_desc   desc = fpheap_pool_desc();
    fpheap_pool       *pool;
    fpheap_stats       all;
    fpheap_class_stats one;
    fpheap_pool_stats  its;

    desc.name = "pool";
    desc.size = 100;
    pool = fpheap_pool_create(heap, &desc);
    fpheap_stats_get(heap, &all);
    fpheap_pool_stats_get(pool, &its);
    if (fpheap_class_stats_get(heap, 6, &one) != 0 || one.size != 112
        || one.live_objects != 1 || one.struct_bytes != sizeof one
        || all.live_objects != 1 || all.struct_bytes != sizeof all
        || its.live_objects != 0 || its.struct_bytes != sizeof its)
        abort();
    fpheap_free(heap, object);
}
C
for file in one other statistics; do
    cp "$scratch/$file.c" "$scratch/$file.cpp"
done
sed -i 's/^void other/extern "C" void other/' "$scratch/one.cpp"
sed -i 's/= fpheap_pool_desc()/= { 0 }/' "$scratch/statistics.c"

# together FILE FILE OPTIONS... - the two files as one program, which then runs;
# the options are for the second
together() {
    local first=$1 second=$2 n=0 file
    shift 2
    for file in "$first" "$second"; do
        n=$((n + 1))
        [ $n -eq 2 ] || set -- "$@"
        case $file in
        *.cpp) set -- "$CXX" -std=c++17 "$@" ;;
        *) set -- "$CC" -std=gnu11 "$@" ;;
        esac
        if [ $n -eq 1 ]; then
            "$1" "$2" -O1 -I"$top" -c "$scratch/$file" -o "$scratch/part1.o"
        else
            "$@" -O1 -I"$top" -c "$scratch/$file" -o "$scratch/part2.o"
        fi || return
        shift 2
    done
    $CXX "$scratch/part1.o" "$scratch/part2.o" -o "$scratch/program" -pthread &&
        "$scratch/program"
}
check "two C files" together one.c other.c
check "statistics say their size in C" together one.c statistics.c
if have "$CXX"; then
    check "implementation in C, use in C++" together one.c other.cpp
    check "implementation in C++, use in C" together one.cpp other.c
    check "statistics say their size in C++" together one.c statistics.cpp
    check "and in C, of an implementation in C++" together one.cpp statistics.c
else
    skip "C and C++ together" "no C++ compiler"
fi

# --- settings that differ -----------------------------------------------------

differs() {
    refuse "files that differ in $1 do not link" "$2" \
        together one.c other.c "-DFPHEAP_$1"
}
differs CHUNK_SHIFT=22 chunk22
differs "PAGE_SHIFT=(FPHEAP_CHUNK_SHIFT-4)" pages16
differs CLASS_BITS=2 class2
differs MAGAZINE=64 mag64
differs MAX_NODES=8 nodes8
differs MAX_HEAPS=4 heaps4
differs MAX_POOLS=7 pools7
differs NO_THREADS=1 st1
differs HEADER=1 header1
differs TAGS=7 tags7
differs CHECK=1 check1
differs CHECK=2 check2
differs TOOL=1 tool1
cat > "$scratch/slow.c" << 'C'
#include "fpheap.h"
void other(fpheap *heap, void *object);
void
other(fpheap *heap, void *object)
{
    fpheap_stats stats;

    fpheap_stats_get(heap, &stats);
    (void)object;
}
C
refuse "nor where only the slow path is used" chunk22 \
    together one.c slow.c -DFPHEAP_CHUNK_SHIFT=22
mkdir "$scratch/later"
sed 's/^#define FPHEAP_VERSION  .*/#define FPHEAP_VERSION 999/' "$header" \
    > "$scratch/later/fpheap.h"
refuse "files of different versions do not link" _v999_ \
    together one.c slow.c -I"$scratch/later"
refuse "files that differ in FPHEAP_SITES do not link" sites1 \
    together one.c other.c -DFPHEAP_CHECK=1 -DFPHEAP_SITES=1
check "files that differ in FPHEAP_NO_STDIO do" \
    together one.c other.c -DFPHEAP_NO_STDIO=1
check "files that differ in FPHEAP_MAX_THREADS do" \
    together one.c other.c -DFPHEAP_MAX_THREADS=7

# --- settings out of range ----------------------------------------------------

# refused SETTING... - the compiler stops with a message that names the first
refused() {
    local name=${1%%=*}
    # shellcheck disable=SC2086
    refuse "$* is an error" "error.*fpheap: .*$name" \
        $CC $flags "${@/#/-DFPHEAP_}" -c "$scratch/declarations.c" \
        -o "$scratch/refused.o"
}
refused CHUNK_SHIFT=15
refused CHUNK_SHIFT=25
refused PAGE_SHIFT=14
refused PAGE_SHIFT=18
refused CLASS_BITS=1
refused CLASS_BITS=4
refused MAGAZINE=0
refused MAGAZINE=12
refused MAGAZINE=1024
refused MAX_NODES=0
refused MAX_NODES=65
refused MAX_HEAPS=0
refused MAX_HEAPS=3
refused MAX_HEAPS=2048
refused MAX_THREADS=0
refused MAX_THREADS=65537
refused MAX_THREADS=2049 CHUNK_SHIFT=16
refused NO_THREADS=2
refused CHECK=3
refused TOOL=4
refused SITES=1
refused SITES=2 CHECK=1
refused NO_OS=2
refused NO_STDIO=2
refused USE_LIBNUMA=2
refused USE_LIBNUMA=1 NO_OS=1 NO_THREADS=1
refused GROWTH_WAIT_MS=-1
refused GROWTH_WAIT_MS=10001
refused STATIC API=extern
refused EXPORT=2
refused EXPORT=1 STATIC
refused NO_INLINE=2
check "MAX_POOLS=512 CHUNK_SHIFT=16 is none" \
    build large -DFPHEAP_MAX_POOLS=512 -DFPHEAP_CHUNK_SHIFT=16

echo '#define FPHEAP_MAGAZINE 40' > "$scratch/my_config.h"
cat > "$scratch/configured.c" << 'C'
#include "fpheap.h"
_Static_assert(FPHEAP_MAGAZINE == 40, "the file of settings is not read");
C
# shellcheck disable=SC2086
check "settings may stand in a file of their own" \
    $CC $flags '-DFPHEAP_CONFIG_HEADER="my_config.h"' -I"$scratch" \
    -c "$scratch/configured.c" -o "$scratch/configured.o"

# --- functions that do not block ----------------------------------------------

# Clang 20 and later can tell.  Names of functions that can hit, used in each way.
cat > "$scratch/prompt.c" << 'C'
#include "fpheap.h"
#ifdef __cplusplus
extern "C"
#endif
FPHEAP_NONBLOCKING void prompt(fpheap *heap, fpheap_cache *cache, fpheap_pool *pool,
                               void **objects);
#ifdef __cplusplus
extern "C"
#endif
FPHEAP_NONBLOCKING void
prompt(fpheap *heap, fpheap_cache *cache, fpheap_pool *pool, void **objects)
{
    fpheap_free(heap, fpheap_alloc(heap, 100));
    fpheap_free_sized(heap, fpheap_alloc(heap, 100), 100);
    (void)fpheap_alloc_bulk(heap, 100, objects, 8);
    fpheap_free_bulk_sized(heap, objects, 8, 100);
    fpheap_cache_free(cache, fpheap_cache_alloc(cache, 100));
    fpheap_cache_free_sized(cache, fpheap_cache_alloc(cache, 100), 100);
    (void)fpheap_cache_alloc_bulk(cache, 100, objects, 8);
    fpheap_cache_free_bulk_sized(cache, objects, 8, 100);
    fpheap_pool_put(pool, fpheap_pool_get(pool));
    (void)fpheap_pool_get_bulk(pool, objects, 8);
    fpheap_pool_put_bulk(pool, objects, 8);
#if FPHEAP_HEADER
    fpheap_ref(objects[0]);
    if (fpheap_refs(objects[0]) > 1)
        fpheap_unref(heap, objects[0]);
#endif
#ifdef SLOW
    SLOW;
#endif
}
C
cp "$scratch/prompt.c" "$scratch/prompt.cpp"
effects="-Wall -Wextra -Wfunction-effects -Wperf-constraint-implies-noexcept -Werror"
# promptly COMPILER FILE OPTIONS...
promptly() {
    # shellcheck disable=SC2086
    $1 -O1 -I"$top" $effects -c "$scratch/$2" -o "$scratch/prompt.o" "${@:3}"
}
knows_effects() {
    have "$1" && echo 'int known[__has_attribute(nonblocking) ? 1 : -1];' |
        "$1" -x c - -fsyntax-only 2> /dev/null
}
clang=
for name in clang clang-20 clang-21 clang-22; do
    [ -n "$clang" ] || ! knows_effects $name || clang=$name
done
if [ -n "$clang" ]; then
    for file in prompt.c prompt.cpp; do
        for options in "" -DFPHEAP_HEADER=1 -DFPHEAP_CHECK=1 -DFPHEAP_NO_INLINE=1 \
            -DFPHEAP_IMPLEMENTATION; do
            # shellcheck disable=SC2086
            check "$clang lets a nonblocking function hit: $file $options" \
                promptly $clang $file $options
        done
        for slow in 'fpheap_prefill(heap, 1, 1)' 'fpheap_free_bulk(heap, objects, 1)'
        do
            refuse "but not call what is no hit: $file, ${slow%%(*}" nonblocking \
                promptly $clang $file "-DSLOW=(void)$slow"
        done
    done
else
    skip "functions that hit are nonblocking" "no clang that knows -Wfunction-effects"
fi

# --- no library at all --------------------------------------------------------

cat > "$scratch/bare.c" << 'C'
#define FPHEAP_IMPLEMENTATION
#define FPHEAP_NO_OS       1
#define FPHEAP_NO_THREADS  1
#define FPHEAP_NO_STDIO    1
#define FPHEAP_CHUNK_SHIFT 16
#define FPHEAP_PANIC(message) __builtin_trap()
#include "fpheap.h"

static char memory[64 * 65536];

/* What a freestanding compiler may ask for, Arm's for a division by zero, and
 * the place of errno. */
int
raise(int number)
{
    return number;
}

int *
__errno_location(void)
{
    static int number;

    return &number;
}

void *
memcpy(void *restrict to, const void *restrict from, size_t n)
{
    char *t = to;
    const char *f = from;

    while (n-- > 0)
        *t++ = *f++;
    return to;
}

void *
memset(void *to, int byte, size_t n)
{
    char *t = to;

    while (n-- > 0)
        *t++ = (char)byte;
    return to;
}

int
memcmp(const void *a, const void *b, size_t n)
{
    const unsigned char *x = a;
    const unsigned char *y = b;

    for (; n > 0; n--, x++, y++)
        if (*x != *y)
            return *x - *y;
    return 0;
}

size_t
strlen(const char *s)
{
    size_t n = 0;

    while (s[n] != '\0')
        n++;
    return n;
}

static int
work(void)
{
    fpheap_provider provider;
    fpheap_buffer   buffer;
    fpheap_config   config = { .provider = &provider };
    fpheap         *heap;
    void           *p;

    fpheap_provider_buffer(&provider, &buffer, memory, sizeof memory);
    heap = fpheap_create("bare", &config);
    if (heap == NULL)
        return 1;
    p = fpheap_alloc(heap, 1000);
    if (p == NULL)
        return 2;
    fpheap_free(heap, p);
    if (fpheap_check(heap) != NULL)
        return 3;
    return fpheap_destroy(heap) == 0 ? 0 : 4;
}

#ifdef __x86_64__
__attribute__((force_align_arg_pointer, noreturn)) void
_start(void)
{
    long status = work();

    __asm__ volatile("syscall" : : "a"(60L), "D"(status) : "rcx", "r11", "memory");
    __builtin_unreachable();
}
#else
void
_start(void)
{
    (void)work();
    __builtin_trap();
}
#endif
C
# bare WHAT COMPILER - links with the compiler's own library only
bare() {
    # shellcheck disable=SC2086
    check "$1" $2 $flags -nostdlib -static -ffreestanding -fno-builtin \
        -fno-stack-protector "$scratch/bare.c" -o "$scratch/bare" -lgcc
}
bare "a program without libc links" "$CC"
if [ "$(uname -m)" = x86_64 ]; then
    check "and runs" "$scratch/bare"
else
    skip "a program without libc: run" "written for x86-64"
fi
for machine in ${FULL:+i686 aarch64 arm riscv64 powerpc64le s390x powerpc mips}; do
    case $machine in
    arm) compiler=arm-linux-gnueabihf-gcc ;;
    *) compiler=$machine-linux-gnu-gcc ;;
    esac
    if have $compiler; then
        bare "a program without libc links: $machine" $compiler
    else
        skip "a program without libc: $machine" "$compiler is not installed"
    fi
done

# --- the file -----------------------------------------------------------------

# The tags of CONTENTS, each once there and once at the head of its section.
tags() {
    sed -n '/^ \* CONTENTS/,/^ \* \[START\]/p' "$header" | sed '$d' |
        grep -o '\[[A-Z]*\]'
}
twice() {
    local bad=0 tag n heads

    for tag in $(tags); do
        n=$(grep -oF "$tag" "$header" | wc -l)
        heads=$(grep -cE "^(/\*| \*) \[${tag:1:-1}\] [-=]" "$header")
        if [ "$n" -ne 2 ] || [ "$heads" -ne 1 ]; then
            echo "$tag occurs $n times and heads $heads sections"
            bad=1
        fi
    done
    return $bad
}
check "each tag of CONTENTS occurs once more, at the head of a section" twice
narrow() {
    awk 'length($0) > 100 { print FNR ": " length($0); bad = 1 }
         END { exit bad }' "$header"
}
check "no line is longer than 100 columns" narrow
check "every byte is ASCII" bash -c "! grep -nP '[^\x00-\x7F]' '$header'"
finish
