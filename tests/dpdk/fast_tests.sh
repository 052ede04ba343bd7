#!/bin/bash
# fast_tests.sh - what dpdk-test passes with the stock mempool driver it passes with
# each of ours
#
#     tests/dpdk/fast_tests.sh [WORD]   OPS="fpheap fpheap_grow" LIMIT=30
#
# dpdk-test says which tests it has; those with WORD in their names are run, but for
# the ones that measure, or start other processes, which would take the machine's
# devices.  What fails, is skipped or takes more than LIMIT seconds with the stock
# driver tells nothing of ours and is skipped.  Takes some ten minutes.
# shellcheck source=tests/dpdk/lib.sh disable=SC1091,SC2154
. "$(dirname "$0")/lib.sh"
: "${OPS:=fpheap fpheap_grow}" "${LIMIT:=30}"
EAL="--no-pci --in-memory -l 0,1 -m 256"

need dpdk-test
[ "$(nproc)" -ge 2 ] || leave "one processor"
need_pages 256
need_driver

names() {
    # shellcheck disable=SC2086
    echo '?' | timeout 60 dpdk-test $EAL 2>&1 | tr -d '\r' |
        awk '/launch autotest/ { print $1 }' | sort -u | grep -Ev \
        'perf|stress|^(red|pie)_all$|^user_delay_us$|^eal_flags_|^multiprocess_'
}

# try NAME OPTIONS...: what its exit status says; what it printed into NAME.log
try() {
    local name=$1
    shift
    # shellcheck disable=SC2086
    DPDK_TEST=$name timeout -k 5 "$LIMIT" dpdk-test $EAL "$@" \
        > "$scratch/$name.log" 2>&1 < /dev/null
    case $? in
    0) echo passed ;;
    77) echo skipped ;;
    124 | 137) echo "no end in $LIMIT s" ;;
    *) echo failed ;;
    esac
}

# outcome NAME OPTIONS...: of the first of three tries that does not fail, for timers
# with any driver fail now and then where other programs have the processors
outcome() {
    local i said=
    for i in 1 2 3; do
        said=$(try "$@")
        [ "$said" = failed ] || break
    done
    [ "$i" -eq 1 ] || [ "$said" != passed ] || said="passed in try $i"
    echo "$said"
}

compare() {
    local name=$1 ops ours stock
    stock=$(outcome "$name")
    if [[ $stock != passed* ]]; then
        skip "$name" "with the stock driver: $stock"
        return
    fi
    for ops in $OPS; do
        # shellcheck disable=SC2046
        ours=$(outcome "$name" $(loads "$ops") --mbuf-pool-ops-name="$ops")
        if [[ $ours = passed* ]]; then
            pass "$name, $ops${ours#passed}"
        else
            fail "$name, $ops: $ours" "$scratch/$name.log"
        fi
    done
}

for name in $(names | grep -e "${1:-.}"); do
    compare "$name"
done
finish
