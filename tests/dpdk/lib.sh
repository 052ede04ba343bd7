# lib.sh - for the scripts of this directory that load the mempool drivers:
#
#     . "$(dirname "$0")/lib.sh"
#     need PROGRAM...        skip all where one is missing, or DPDK to compile with
#     need_pages N           skip all where fewer hugepages of 2 MiB are free; those
#                            that it reserves, where it may, it gives back at the end
#     need_driver            compile both drivers where the EAL loads them from: sets
#                            load_fpheap and load_fpheap_grow, the options that do
#                            so, and flags, those of the compiler
#
# and all of tests/lib.sh, at the top of the checkout.
# shellcheck shell=bash source=tests/lib.sh disable=SC1091,SC2034,SC2154
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$top" || exit 1

hugepages=/sys/kernel/mm/hugepages/hugepages-2048kB
stage=
reserved=0

clean_up() {
    rm -rf "$scratch" ${stage:+"$stage"}
    if [ "$reserved" -gt 0 ]; then
        echo $(($(cat $hugepages/nr_hugepages) - reserved)) \
            > $hugepages/nr_hugepages
    fi
}
trap clean_up EXIT
trap 'exit 1' INT TERM

leave() {
    skip "${0##*/}" "$1"
    finish
}

# One of DPDK's programs that was linked with another DPDK than the driver is compiled
# for, as where PATH and PKG_CONFIG_PATH do not agree, would load both.
need() {
    local program eal
    for program in pkg-config "$@"; do
        have "$program" || leave "no $program"
    done
    pkg-config --exists libdpdk || leave "no libdpdk to compile with"
    eal=$(readlink -f "$(pkg-config --variable=libdir libdpdk)/librte_eal.so")
    eal=$(basename "${eal%.*}")
    for program in "$@"; do
        [[ $program != dpdk-* ]] ||
            ldd "$(command -v "$program")" 2> /dev/null | grep "$eal" > /dev/null ||
            leave "$program is not linked with $eal, which pkg-config finds"
    done
}

reserve_pages() {
    local missing had
    [ -r $hugepages/free_hugepages ] || return 1
    missing=$(($1 - $(cat $hugepages/free_hugepages)))
    [ "$missing" -le 0 ] && return 0
    had=$(cat $hugepages/nr_hugepages)
    echo $((had + missing)) 2> /dev/null > $hugepages/nr_hugepages || return 1
    reserved=$(($(cat $hugepages/nr_hugepages) - had))
    [ "$(cat $hugepages/free_hugepages)" -ge "$1" ]
}

need_pages() {
    reserve_pages "$1" || leave "fewer than $1 hugepages are free"
}

# A directory that the EAL loads from: nobody else may write to it, nor to one
# that it is in.
is_private() {
    local dir
    dir=$(realpath "$1") || return 1
    while :; do
        [ $((0$(stat -c %a "$dir") & 2)) -eq 0 ] || return 1
        [ "$dir" = / ] && return 0
        dir=$(dirname "$dir")
    done
}

make_stage() {
    local dir
    mkdir -p "$B"
    for dir in "$PWD/$B" "${HOME:-/}" /var/lib /run /opt; do
        if [ -w "$dir" ] && is_private "$dir"; then
            stage=$(mktemp -d -p "$dir") && return 0
        fi
    done
    return 1
}

need_driver() {
    make_stage || leave "no directory that is private enough for a plugin"
    flags=$(pkg-config --cflags libdpdk | sed 's/-I */-isystem /g')
    load_fpheap="-d $stage/librte_mempool_fpheap.so"
    load_fpheap_grow="-d $stage/librte_mempool_fpheap_grow.so"
    # shellcheck disable=SC2086
    check "the driver compiles without a warning" \
        $CC -O3 -Wall -Wextra -Werror -fPIC -shared $flags -I. \
        examples/dpdk/mempool_fpheap.c -o "$stage/librte_mempool_fpheap.so"
    # shellcheck disable=SC2086
    check "and the one that grows" \
        $CC -O3 -Wall -Wextra -Werror -fPIC -shared $flags -I. \
        -DFPHEAP_MEMPOOL_GROWS=1 examples/dpdk/mempool_fpheap.c \
        -o "$stage/librte_mempool_fpheap_grow.so"
    [ "$n_failed" -eq 0 ] || finish
}

# loads OPS - the options that load its driver, none for one of DPDK's
loads() {
    case $1 in
    fpheap) echo "$load_fpheap" ;;
    fpheap_grow) echo "$load_fpheap_grow" ;;
    esac
}
