#!/bin/sh
# install_deps.sh - install what the tests use and the machine lacks
#
# On Debian and its kin, as root or through sudo without a password, after it has
# said which packages these are.  Elsewhere, and with DEPS=no, it only names them:
# cmocka is needed, what needs another one is skipped.
# FOR=platforms and FOR=afl add what these targets of make use; FOR=dpdk is only what
# test-dpdk uses, FOR=bench what the benchmark does, and FOR=debian what debian.sh
# makes a chroot with.  make runs it before all targets that use any of these, but for
# the benchmark outside of a chroot; "make deps" does nothing else.
set -u

: "${CC:=cc}"
missing=

# need PACKAGE COMMAND...
need() {
    package=$1
    shift
    "$@" > /dev/null 2>&1 || missing="$missing $package"
}

compiles() {
    echo 'int main(void) { return 0; }' > "$dir/empty.c"
    printf '%s\n' "$2" > "$dir/probe.c"
    "$1" "$dir/probe.c" -c -o "$dir/probe.o"
}

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
has() { command -v "$1"; }
finds() { PATH=$PATH:/sbin:/usr/sbin ldconfig -p | grep -F "$1"; }

# What clang's sanitizers and libFuzzer link with.
fuzzes() {
    printf '%s\n' 'int LLVMFuzzerTestOneInput(const char *p, unsigned long n);' \
        'int LLVMFuzzerTestOneInput(const char *p, unsigned long n)' \
        '{ return p == 0 && n > 0; }' > "$dir/fuzz.c"
    clang -fsanitize=fuzzer,address,undefined "$dir/fuzz.c" -o "$dir/fuzz"
}

# What all programs are built with.
need_compiler() {
    need gcc "$CC" --version
    need g++ has g++
    need libcmocka-dev compiles "$CC" '#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>'
    need make has make
    need pkg-config has pkg-config
    need binutils has objdump
}

need_tests() {
    need clang has clang
    need libclang-rt-dev fuzzes
    need python3 has python3
    need sqlite3 has sqlite3
    need perl has perl
    need cmake has cmake
    need meson has meson
    need clang-tidy has clang-tidy
    need cppcheck has cppcheck
    need valgrind has valgrind
    need musl-tools has musl-gcc
    need libnuma-dev compiles "$CC" '#include <numa.h>'
    if [ "$(uname -m)" = x86_64 ]; then
        need gcc-i686-linux-gnu has i686-linux-gnu-gcc
        need g++-i686-linux-gnu has i686-linux-gnu-g++
        need gcc-aarch64-linux-gnu has aarch64-linux-gnu-gcc
        need g++-aarch64-linux-gnu has aarch64-linux-gnu-g++
        need libc6-dev-i386-cross compiles i686-linux-gnu-gcc '#include <stdio.h>'
        need libc6-dev-arm64-cross compiles aarch64-linux-gnu-gcc '#include <stdio.h>'
        need qemu-user has qemu-aarch64
        need llvm has llvm-symbolizer
    fi
}

need_platforms() {
    for machine in arm-linux-gnueabihf riscv64-linux-gnu powerpc64le-linux-gnu \
            s390x-linux-gnu powerpc-linux-gnu mips-linux-gnu; do
        need gcc-$machine has $machine-gcc
        need g++-$machine has $machine-g++
    done
    for machine in x86-64 i686; do
        prefix=$(echo $machine | tr - _)-w64-mingw32
        need gcc-mingw-w64-$machine has "$prefix-gcc"
        need g++-mingw-w64-$machine has "$prefix-g++"
    done
    need wine64 has /usr/lib/wine/wine64
    need gcc-11 has gcc-11
    need clang-19 has clang-19
}

need_dpdk() {
    need libdpdk-dev pkg-config --exists libdpdk
    need dpdk-dev has dpdk-testpmd
    need dpdk has dpdk-telemetry.py
    need openvswitch-switch-dpdk has \
        /usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk
    need iproute2 has ip
    need iputils-ping has ping
    need ethtool has ethtool
    need python3 has python3
}

# A package of headers needs the library, whose own package is named by its version.
need_bench() {
    need libjemalloc2 finds libjemalloc.so.2
    need libmimalloc-dev finds libmimalloc.so
    need libtcmalloc-minimal4 finds libtcmalloc_minimal.so.4
    need libapr1-dev pkg-config --exists apr-1
    need libdpdk-dev pkg-config --exists libdpdk
    need gnuplot-nox has gnuplot
    need valgrind has valgrind
    need python3 has python3
    need sqlite3 has sqlite3
    need redis-server has redis-server
    need redis-tools has redis-benchmark
}

case ${FOR:-} in
bench) need_compiler && need_bench ;;
debian) need debootstrap has debootstrap ;;
dpdk) need_compiler && need_dpdk ;;
*) need_compiler && need_tests ;;
esac
[ "${FOR:-}" != afl ] || need afl++ has afl-clang-fast
[ "${FOR:-}" != platforms ] || need_platforms

if [ -z "$missing" ]; then
    echo "tests: everything that they use is installed"
    exit 0
fi
if [ "${DEPS:-}" = no ] || ! has apt-get > /dev/null; then
    echo "tests: please install what these Debian packages hold:$missing"
    exit 0
fi
if [ "$(id -u)" -eq 0 ]; then
    sudo=
elif sudo -n true 2> /dev/null; then
    sudo="sudo -n"
else
    echo "tests: please run: sudo apt-get install$missing"
    exit 0
fi
echo "tests: installing what is missing, through ${sudo:+sudo and }apt-get:$missing"
echo "tests: (make deps does only this; with DEPS=no the rest goes on without)"
export DEBIAN_FRONTEND=noninteractive
install() {
    $sudo apt-get install -y --no-install-recommends $missing
}
if ! { install || { $sudo apt-get update && install; }; } \
        > "$dir/log" 2>&1; then
    tail -n 5 "$dir/log"
    echo "tests: could not install all of:$missing"
fi
exit 0
