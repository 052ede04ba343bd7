#!/bin/bash
# shim.sh - fpheap_rte_malloc.h, test_shim.c with and without it, and the example
# mbufs.c, each with hugepages where there are any and without
#
# Its last line is "N passed, N failed, N skipped".
. "$(dirname "$0")/../lib.sh"

cd "$(dirname "$0")/../.." || exit 1
eal="--no-pci --no-telemetry --log-level=*:critical -l 0,1"

if ! pkg-config --exists libdpdk 2> /dev/null; then
    skip "DPDK" "pkg-config does not find libdpdk"
    finish
fi
if [ "$(nproc)" -lt 2 ]; then
    skip "DPDK" "needs two processors"
    finish
fi

# build NAME SOURCE [FLAG...] - DPDK's headers warn under strict flags
build() {
    name=$1
    source=$2
    shift 2
    # shellcheck disable=SC2046,SC2086
    check "$name is built" $CC -std=gnu11 -O2 -g -Wall -Wextra -Werror \
        $(pkg-config --cflags libdpdk | sed 's/-I/-isystem /g') "$@" \
        "$source" -o "$scratch/$name" $(pkg-config --libs libdpdk) -pthread
}

# run NAME MIB - a --no-huge process needs a prefix of its own
run() {
    name=$1
    [ -x "$scratch/$name" ] || return
    # shellcheck disable=SC2086
    check "$name, without hugepages" timeout 600 "$scratch/$name" $eal \
        --no-huge --no-shconf --file-prefix="fph$$" -m "$2"
    free=$(cat /sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages \
        2> /dev/null || echo 0)
    if [ "$free" -gt $(($2 / 2 + 8)) ]; then
        # shellcheck disable=SC2086
        check "$name, with hugepages" timeout 600 "$scratch/$name" $eal \
            --in-memory --iova-mode=va -m "$2"
    else
        skip "$name, with hugepages" "$free are free"
    fi
}

build shim tests/dpdk/test_shim.c -DFPHEAP_RTE_MALLOC
build shim_ahead tests/dpdk/test_shim.c -DFPHEAP_RTE_MALLOC -DFPHEAP_RTE_AHEAD=1
build shim_off tests/dpdk/test_shim.c
build mbufs examples/dpdk/mbufs.c

# More than one file may include it: one heap for all.
cat > "$scratch/other.c" << C
#include "$PWD/examples/dpdk/fpheap_rte_malloc.h"
void *other(void);
void *other(void) { return fpheap_rte_heap(0); }
C
cat > "$scratch/one.c" << C
#define FPHEAP_IMPLEMENTATION
#include "$PWD/examples/dpdk/fpheap_rte_malloc.h"
void *other(void);
int
main(int argc, char **argv)
{
    return rte_eal_init(argc, argv) < 0 || fpheap_rte_heap(0) == NULL
        || other() != fpheap_rte_heap(0);
}
C
build two_files "$scratch/one.c" "$scratch/other.c" -DFPHEAP_RTE_MALLOC

for name in shim shim_ahead shim_off; do
    run $name 256
done
run mbufs 128
run two_files 64
finish
