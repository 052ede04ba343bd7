#!/bin/bash
# plugin.sh - the drivers "fpheap" and "fpheap_grow" under tests of their own,
# DPDK's tests, and testpmd
#
#     tests/dpdk/plugin.sh         B=build CC=cc RATE=1
#
# Needs dpdk-test, dpdk-testpmd, libdpdk and hugepages; if too few are free and it
# may, it reserves some and gives them back.  RATE=0: no rates.
# shellcheck disable=SC1091,SC2154
# What it mounts is its own, for any EAL would use hugepages that are mounted.
if [ "${FPHEAP_UNSHARED:-}" != $$ ] && unshare -m true 2> /dev/null; then
    FPHEAP_UNSHARED=$$ exec unshare -m "$0" "$@"
fi
# shellcheck source=tests/dpdk/lib.sh
. "$(dirname "$0")/lib.sh"
: "${RATE:=1}"
EAL="--no-pci --in-memory --no-telemetry --iova-mode=va -l 0,1"

need dpdk-test dpdk-testpmd
[ "$(nproc)" -ge 2 ] || leave "one processor"
need_pages 340                 # 150,000 packet buffers are 375 MB
need_driver
# shellcheck disable=SC2086,SC2046
check "so do their tests" \
    $CC -std=gnu11 -O2 -g -Wall -Wextra -Werror $flags \
    tests/dpdk/test_owner.c -o "$B/dpdk_test_owner" $(pkg-config --libs libdpdk)
# shellcheck disable=SC2086,SC2046
check "and that of what grows" \
    $CC -std=gnu11 -O2 -g -Wall -Wextra -Werror $flags -I. -Itests/dpdk \
    tests/dpdk/test_grow.c tests/filter.c -o "$B/dpdk_test_grow" \
    $(pkg-config --libs libdpdk) -lcmocka -pthread
# shellcheck disable=SC2086
check "and the driver does where it cannot grow" \
    $CC -Wall -Wextra -Werror -DRTE_LIBRTE_MEMPOOL_DEBUG -fsyntax-only $flags \
    -DFPHEAP_MEMPOOL_GROWS=1 -I. examples/dpdk/mempool_fpheap.c
[ "$n_failed" -eq 0 ] || finish

# --- one owner per object ----------------------------------------------------

# Adds what the program counts.  owner WHAT OPTIONS...
owner() {
    local what=$1 log="$scratch/owner.log" last
    shift
    # shellcheck disable=SC2086
    timeout 3000 "$B/dpdk_test_owner" $load_fpheap $load_fpheap_grow --no-pci \
        --no-telemetry "$@" \
        > "$log" 2> "$scratch/owner.err"
    last=$(tail -n 1 "$log")
    case $last in
    *" passed, "*" failed, "*)
        grep -a '^ok  \|^FAIL\|^  ' "$log" | sed "s/^\(....\)  /\1  $what: /"
        # shellcheck disable=SC2086
        set -- $last
        n_passed=$((n_passed + $1))
        n_failed=$((n_failed + $3)) ;;
    *)
        fail "$what: test_owner does not end" "$scratch/owner.err" ;;
    esac
}

owner "2 lcores" --in-memory --iova-mode=va -l 0,1 --socket-limit=192
owner "4 lcores on 2" --in-memory --iova-mode=va --socket-limit=192 \
    --lcores 0@0,1@1,2@0,3@1
owner "no hugepages" --no-huge -m 192 -l 0,1
if [ "$(id -u)" -eq 0 ]; then
    owner "IOVA is PA" --in-memory --iova-mode=pa -l 0,1 --socket-limit=192
else
    skip "IOVA is PA" "not root"
fi

# --- pools that grow ---------------------------------------------------------

# grow WHAT OPTIONS... - a line for each of its cases
grow() {
    local what=$1 log="$scratch/grow.log" kind name status
    shift
    FPHEAP_EAL="$load_fpheap_grow --no-pci $*" timeout 600 setarch -R \
        "$B/dpdk_test_grow" > "$log" 2>&1
    status=$?
    while read -r kind name; do
        case $kind in
        OK) pass "$what: $name" ;;
        SKIPPED) skip "$what: $name" "$(sed -n '/^why: /{s///p;q}' "$log")" ;;
        *) fail "$what: $name" ;;
        esac
    done < <(awk '/^\[=+\].*run\./ { exit }
        /^\[ +(OK|FAILED|SKIPPED)/ { gsub(/[][]/, ""); print $1, $2 }' "$log")
    [ $status -eq 0 ] || fail "$what: test_grow ended with $status" "$log"
}

prefix=grow$$
huge=$scratch/huge
grow "2 lcores" --in-memory --iova-mode=va -l 0,1 --socket-limit=192 \
    --file-prefix=$prefix
grow "no hugepages" --no-huge -m 256 -l 0,1 --file-prefix=$prefix
if mkdir "$huge" && mount -t hugetlbfs none "$huge" 2> /dev/null; then
    files="--huge-dir=$huge --file-prefix=$prefix"
    export FPHEAP_SECONDARY="$load_fpheap_grow --no-pci --no-telemetry $files \
        --proc-type=secondary -l 1"
    # shellcheck disable=SC2086
    grow "with a secondary" $files -l 0 --socket-limit=192
    unset FPHEAP_SECONDARY
    umount "$huge"
else
    skip "with a secondary" "hugetlbfs cannot be mounted"
fi

# --- DPDK's own tests --------------------------------------------------------

# autotest NAME OPTIONS...: the last word that dpdk-test has on it.  That of bonding
# waits for timers, and fails now and then with any driver where other programs have
# the processors: it has three tries.
autotest() {
    local name=$1 try tries=1 word=
    shift
    [[ $name == link_bonding_* ]] && tries=3
    for ((try = 1; try <= tries; try++)); do
        # shellcheck disable=SC2086
        echo "$name" | timeout 300 dpdk-test $EAL -m 128 "$@" \
            > "$scratch/$name.log" 2>&1
        word=$(grep -a -o 'Test OK\|Test Failed\|Test Skipped' \
            "$scratch/$name.log" | tail -n 1)
        [ "$word" = "Test Failed" ] || break
    done
    [ "$try" -eq 1 ] || [ "$word" != "Test OK" ] || word="Test OK in try $try"
    echo "$word"
}

# One that fails without the driver tells nothing of it.
while read -r name vdev; do
    # shellcheck disable=SC2086
    stock=$(autotest "$name" $vdev)
    if [[ $stock != "Test OK"* ]]; then
        skip "$name" "with the stock driver: ${stock:-no end}"
        continue
    fi
    for ops in fpheap fpheap_grow; do
        # shellcheck disable=SC2046,SC2086
        ours=$(autotest "$name" $(loads $ops) --mbuf-pool-ops-name=$ops $vdev)
        if [[ $ours = "Test OK"* ]]; then
            pass "$name, $ops${ours#Test OK}"
        else
            fail "$name, $ops: ${ours:-no end}; OK with the stock driver" \
                "$scratch/$name.log"
        fi
    done
done << END
mempool_autotest
mbuf_autotest
func_reentrancy_autotest
reorder_autotest
distributor_autotest
ipfrag_autotest
link_bonding_autotest
link_bonding_rssconf_autotest
ring_pmd_autotest
event_eth_tx_adapter_autotest
event_eth_rx_adapter_autotest
event_crypto_adapter_autotest
security_autotest
pdump_autotest
latencystats_autotest
bitratestats_autotest
sched_autotest
dmadev_autotest
table_autotest
eventdev_selftest_sw --vdev=event_sw0
cryptodev_null_autotest --vdev=crypto_null0
cryptodev_openssl_autotest --vdev=crypto_openssl0
cryptodev_aesni_mb_autotest --vdev=crypto_aesni_mb0
cryptodev_aesni_gcm_autotest --vdev=crypto_aesni_gcm0
cryptodev_sw_snow3g_autotest --vdev=crypto_snow3g0
compressdev_autotest --vdev=compress_zlib0
END
check "mempool_autotest used it" \
    grep -a -q "Testing fpheap_grow mempool handler" "$scratch/mempool_autotest.log"

# --- testpmd -----------------------------------------------------------------

# testpmd OPS OPTIONS...: with the commands on standard input, into testpmd.log;
# for $limit seconds if that is set
testpmd() {
    local ops=$1
    shift
    # shellcheck disable=SC2046,SC2086
    timeout -s INT -k 20 "${limit:-60}" dpdk-testpmd $EAL -m 128 $(loads "$ops") \
        --mbuf-pool-ops-name="$ops" "$@" > "$scratch/testpmd.log" 2>&1
}

# commands TIMES FIRST: forward, then start once more: that throws away what is
# still in the ports.  Pauses, in fifths of a second, are so many times as long as
# they have to be where nothing else runs.  dump_mempool is "dump mempool" from 25.11
# on; testpmd passes over a command that it does not know.
commands() {
    local i command
    for command in 4 "start $2" 7 stop 1 start 1 stop 1 dump_mempool \
        "dump mempool" 1 dump_socket_mem "dump socket_mem" 1; do
        case $command in
        [0-9]) for ((i = 0; i < command * $1; i++)); do sleep 0.2; done ;;
        *) echo "$command" ;;
        esac
    done
    echo quit
}

# forward_for TIMES OPS VDEV OPTIONS...: sets rx, tx, there (free in the pool and
# its caches), made, and used (KB of the EAL's heap)
forward_for() {
    local times=$1 ops=$2 vdev=$3 first=
    shift 3
    [ "$vdev" = net_ring ] && first="tx_first 8"
    commands "$times" "$first" |
        testpmd "$ops" --vdev="${vdev}0" --vdev="${vdev}1" -- \
            -i --nb-cores=1 --total-num-mbufs=150000 "$@"
    # shellcheck disable=SC2046
    set -- $(awk '
        /Accumulated/                  { total++ }
        /RX-packets/ && total == 1     { rx = $2 }
        /TX-packets/ && total == 1     { tx = $2; total++ }
        /^  populated_size=/           { made = substr($1, 16) }
        /total_cache_count=/           { sub(/.*=/, ""); cached = $0 }
        /common_pool_count=/           { sub(/.*=/, ""); pool = $0 }
        /^Total .*alloc: /             { sub(/.*total: [0-9.]* alloc: /, "");
                                         used = int($0 * 1024) }
        END { print rx + 0, tx + 0, cached + pool, made + 0, used + 0 }
        ' "$scratch/testpmd.log")
    rx=$1 tx=$2 there=$3 made=$4 used=$5
}

# forward OPS VDEV OPTIONS...: the same, up to three times and for longer where
# testpmd got no processor for long enough
forward() {
    local times
    for times in 1 4 10; do
        forward_for $times "$@"
        if [ "$rx" -gt 300000 ] && [ "$tx" -gt 300000 ] &&
            [ "$there" -eq 150000 ]; then
            break
        fi
    done
}

forward ring_mp_mc net_null
stock_used=$used
for vdev in net_null net_ring; do
    for cache in "" --mbcache=0; do
        # shellcheck disable=SC2086
        forward fpheap_grow $vdev $cache
        what="testpmd, $vdev${cache:+, $cache}"
        if [ "$rx" -gt 300000 ] && [ "$tx" -gt 300000 ] &&
            grep -a -q '^Bye' "$scratch/testpmd.log"; then
            pass "$what: $rx packets received, $tx sent"
        else
            fail "$what: $rx packets received, $tx sent" "$scratch/testpmd.log"
        fi
        if [ "$there" -eq 150000 ]; then
            pass "$what: no buffer is missing, $made of 150000 were made"
        else
            fail "$what: $there of 150000 buffers are there"
        fi
        if [ $((used * 4)) -lt "$stock_used" ]; then
            pass "$what: $used KB of the EAL's heap; ring_mp_mc $stock_used KB"
        else
            fail "$what: $used KB of the EAL's heap; ring_mp_mc $stock_used KB"
        fi
    done
done

# rate SECONDS OPS OPTION...: the median of what both ports receive in a second,
# in thousands.  testpmd has no figure for the first, nor while it begins.
rate() {
    local limit=$1 ops=$2
    shift 2
    testpmd "$ops" --vdev=net_null0 --vdev=net_null1 -- --nb-cores=1 \
        --stats-period 1 --total-num-mbufs=16384 "$@" < /dev/null
    awk '/Rx-pps/ && $2 > 0 { print int($2 / 500) }' "$scratch/testpmd.log" | sort -n |
        awk '{ n[NR] = $1 } END { print n[int((NR + 1) / 2)] + 0 }'
}

if [ "$RATE" -eq 0 ]; then
    skip "the rates" "RATE=0"
    finish
fi
# rates SECONDS CACHE: all five in turn; sets line, ours, the lesser of our two,
# and best, of the others
rates() {
    local ops figure
    line='' best=0 ours=
    for ops in ring_mp_mc stack lf_stack fpheap_grow fpheap; do
        # shellcheck disable=SC2086
        figure=$(rate $1 $ops $2)
        line="$line, $ops $figure"
        case $ops in
        fpheap*) [ "${ours:-$figure}" -lt "$figure" ] || ours=$figure ;;
        *) [ "$figure" -le "$best" ] || best=$figure ;;
        esac
    done
    line="rate${2:+ with $2}, 1000 packets/s$line"
}

# rates_reach PERCENT CACHE: of the best of the others, in one of five tries of so
# many seconds, for other programs on the machine take what they like from each
rates_reach() {
    local try=0 seconds
    for seconds in 4 8 8 12 12; do
        try=$((try + 1))
        rates $seconds "$2"
        if [ "$ours" -gt 0 ] && [ "$ours" -ge $((best * $1 / 100)) ]; then
            pass "$line, try $try"
            return
        fi
    done
    fail "$line"
}

# Behind mempool's own caches all are alike; without them ours is the first.
rates_reach 67 ""
rates_reach 100 --mbcache=0
finish
