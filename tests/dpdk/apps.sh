#!/bin/bash
# apps.sh - testpmd over drivers of every kind, and DPDK's tools beside it, over each
# mempool driver
#
#     tests/dpdk/apps.sh         B=build CC=cc DRIVERS="fpheap fpheap_grow"
#                                CASES="null tap af_xdp ..."
#
# Most cases are a wire of one or two testpmds between two hosts: pings and a TCP
# stream whose bytes are checked go over it, and then packets go round in it without
# the hosts, for the rate.  In the end all ports are closed: no buffer may be missing.
# ring_mp_mc comes first: the others are compared to it, and what does not work with it
# is skipped.  fpheap must do as it does.  So must fpheap_grow, with less memory,
# except where must_not_grow() says that it cannot.
# shellcheck source=tests/dpdk/hosts.sh disable=SC1091,SC2154,SC2317
. "$(dirname "$0")/hosts.sh"
: "${DRIVERS:=fpheap fpheap_grow}"
: "${CASES:=null tap af_xdp vhost memif memif_zero_copy tools}"
MBUFS=40000                    # 105 MB with ring_mp_mc, in each testpmd

# Their ports look at the memory that a pool has when they are set up: fpheap_grow
# passes no packets there.  It is asserted, so that the list stays true.  AF_XDP takes
# the first chunk of a pool; memif all memory of the EAL, so it can with a pool whose
# buffers are made at once, or one that has as many as its rings take.
must_not_grow() {
    case $1 in
    af_xdp | memif_zero_copy) return 0 ;;
    esac
    return 1
}

need dpdk-testpmd
[ "$(nproc)" -ge 2 ] || leave "one processor"
need_hosts
need_pages 140
need_driver
make_hosts

# --- testpmd -----------------------------------------------------------------

declare -A inputs

# start NAME PROCESSOR OPTION...: one that waits for commands.  Its first lcore, which
# reads them, is the other processor.
start() {
    local name=$1 cpu=$2 input=$scratch/$1.in fd
    shift 2
    rm -f "$input"
    mkfifo "$input"
    exec {fd}<> "$input"
    inputs[$name]=$fd
    # shellcheck disable=SC2046,SC2086
    spawn "$name" timeout -k 5 120 stdbuf -oL dpdk-testpmd --no-pci --no-telemetry \
        --iova-mode=va --lcores "0@$((1 - cpu)),1@$cpu" $memory $(loads "$driver") \
        --mbuf-pool-ops-name="$driver" "$@" < "$input"
}

# say NAME COMMAND
say() {
    echo "$2" >&"${inputs[$1]}"
}

# What it has printed N times by then.
shows() {
    saw "$scratch/$1.log" "$2" "$3" 10
}

is_up() {
    shows "$1" 1 "Checking link statuses" && shows "$1" 1 "testpmd>"
}

# Sum of what its ports received and sent in the Nth run
count_packets() {
    awk -v n="$2" '/Accumulated/ { run++; wanted = run == n }
        /[RT]X-packets/ && wanted { sum += $2 }
        END { print sum + 0 }' "$scratch/$1.log"
}

# Closes its ports and ends.  Adds to missing (buffers), made and used (KB of the EAL's
# heap); anything but an end by itself with 0 is an error.
finish_testpmd() {
    local name=$1 command counts status
    # One of two names of a command is known.
    for command in stop "port stop all" "port close all" dump_mempool "dump mempool" \
        dump_socket_mem "dump socket_mem" quit; do
        say "$name" "$command"
    done
    ends "$name" 20
    status=$?
    eval "exec ${inputs[$name]}>&-"
    read -r -a counts <<< "$(awk '
        /^  size=/               { size += substr($1, 6) }
        /^  populated_size=/     { made += substr($1, 16) }
        /total_cache_count=/     { sub(/.*=/, ""); there += $0 }
        /common_pool_count=/     { sub(/.*=/, ""); there += $0 }
        /^Total .*alloc: /       { sub(/.*total: [0-9.]* alloc: /, "")
                                   used = int($0 * 1024) }
        END { print size - there, made + 0, used + 0 }' "$scratch/$name.log")"
    missing=$((missing + counts[0]))
    made=$((made + counts[1]))
    used=$((used + counts[2]))
    [ "$status" -eq 0 ] || errors="$errors; $name ended with $status"
}

# --- wires -------------------------------------------------------------------

# one OPTION...: one testpmd between the hosts; before "--" its ports
one() {
    start p 1 "$@" -i --total-num-mbufs=$MBUFS && is_up p && say p start
}

# two VDEV_A VDEV_B: a host, a testpmd, another, the other host
two() {
    start p 1 --vdev=net_af_packet0,iface=host_a --vdev="$1" \
        --single-file-segments -- -i --total-num-mbufs=$MBUFS
    is_up p || return
    start q 0 --vdev=net_af_packet0,iface=host_b --vdev="$2" \
        --single-file-segments -- -i --total-num-mbufs=$MBUFS --rxd=1024 --txd=1024
    is_up q && say p start && say q start
}

# use_wire: sets answers, and intact if the stream's bytes were
use_wire() {
    answers=0 intact=0 bytes=0 speed=0
    know_each_other 3 || return
    answers=$(ping_hosts 25)
    stream 0.5 && intact=1
}

# go_round PORTS NAME...: packets go round in these ports; sets rate, packets per ms
go_round() {
    local ports=$1 names=("${@:2}") name i packets before=0 now
    rate=0
    for ((i = 1; i <= ${#names[@]}; i++)); do
        name=${names[i - 1]}
        say "$name" stop
        shows "$name" 1 Accumulated
        say "$name" "set portlist $ports"
        [ $i -eq 1 ] || say "$name" start
    done
    say "${names[0]}" "start tx_first 8"
    before=$(date +%s%3N)
    sleep 0.5
    for name in "${names[@]}"; do
        say "$name" stop
    done
    now=$(date +%s%3N)
    packets=0
    for name in "${names[@]}"; do
        shows "$name" 2 Accumulated
        packets=$((packets + $(count_packets "$name" 2)))
    done
    rate=$((packets / (now - before)))
}

# --- cases: each sets what judge() looks at -----------------------------------

# Two pools, of which the second is not used, and packets of four segments that the
# ports throw away.
null_case() {
    wire=0
    one --vdev=net_null0 --vdev=net_null1 -- --mbuf-size=2048,4096 || return
    sleep 0.7
    say p stop
    shows p 1 Accumulated
    rate=$(($(count_packets p 1) / 700))
    say p "set txpkts 64,128,64,256"
    say p "set fwd txonly"
    say p start
    sleep 0.3
    say p stop
    shows p 2 Accumulated
    [ "$(count_packets p 2)" -gt 0 ] || errors="$errors; sends no segments"
    finish_testpmd p
    [ "$(grep -a -c '^mempool <' "$scratch/p.log")" -eq 2 ] ||
        errors="$errors; there are not two pools"
}

# Buffers of 512 bytes: a packet of 1,500 takes four.
tap_case() {
    local host n=1
    one --vdev=net_tap0,iface=tap_a --vdev=net_tap1,iface=tap_b -- --mbuf-size=512 \
        --max-pkt-len=1518 --enable-scatter || return
    for host in a b; do
        ip link set tap_$host netns "${pids[host_$host]}"
        on $host ip addr flush dev eth0
        on $host ip addr add 10.0.0.$n/24 dev tap_$host
        on $host ip link set tap_$host up
        n=2
    done
    use_wire
    finish_testpmd p
    on a ip addr add 10.0.0.1/24 dev eth0
    on b ip addr add 10.0.0.2/24 dev eth0
}

af_xdp_case() {
    ip link add loop0 type veth peer name loop1
    ip link set loop0 up
    ip link set loop1 up
    one --vdev=net_af_xdp0,iface=host_a --vdev=net_af_xdp1,iface=host_b \
        --vdev=net_af_xdp2,iface=loop0 --vdev=net_af_xdp3,iface=loop1 -- &&
        use_wire && go_round 2,3 p
    finish_testpmd p
    ip link del loop0
}

# Neither polls its ports any more when the other closes its own: memif unmaps the
# rings of a peer that has gone, whoever polls them.
pair_case() {
    local name
    two "$1" "$2" && use_wire && go_round 1 p q
    for name in p q; do
        say "$name" stop
        shows "$name" 1 'Accumulated\|not started'
    done
    finish_testpmd q        # first whoever connected
    finish_testpmd p
}

vhost_case() {
    pair_case "net_vhost0,iface=$scratch/vhost,queues=1" \
        "net_virtio_user0,path=$scratch/vhost,queues=1"
    rm -f "$scratch/vhost"
}

memif_case() {
    pair_case "net_memif0,role=server,socket=$scratch/memif,socket-abstract=no" \
        "net_memif0,role=client,socket=$scratch/memif,socket-abstract=no${1:-}"
    rm -f "$scratch/memif"
}

# Rings of more buffers than a heap has room for at first.
memif_zero_copy_case() {
    memif_case ,zero-copy=yes,rsize=12
}

# dpdk-pdump copies what a port of testpmd receives, dpdk-proc-info looks at it.  A
# mempool names its driver by the order in which its process loaded them: so they load
# first what testpmd is linked with.
tools_case() {
    local shared linked option captured=0
    linked=$(ldd "$(command -v dpdk-testpmd)" |
        sed -n 's/.*=> \(.*librte_mempool_.*\) (.*/-d \1/p' | tr '\n' ' ')
    mkdir -p "$scratch/huge"
    mount -t hugetlbfs -o pagesize=2M none "$scratch/huge"
    memory="--huge-dir=$scratch/huge --file-prefix=fpheap$$"
    shared="--no-pci --no-telemetry --file-prefix=fpheap$$ $linked $(loads "$driver") \
--mbuf-pool-ops-name=$driver"
    if one --vdev=net_af_packet0,iface=host_a --vdev=net_af_packet1,iface=host_b --; then
        # shellcheck disable=SC2086
        spawn pdump timeout -s INT -k 5 60 stdbuf -oL dpdk-pdump $shared -l 0 -- \
            --pdump "port=0,queue=*,rx-dev=$scratch/rx.pcap"
        saw "$scratch/pdump.log" 1 "capture for" 10
        sleep 0.5
        use_wire
        kill -INT "${pids[pdump]}"
        ends pdump 10 || errors="$errors; dpdk-pdump ended with $?"
        captured=$(sed -n 's/.*packets dequeued:\s*//p' "$scratch/pdump.log")
        if [ "${captured:-0}" -le 100 ] ||
            [ "$(stat -c %s "$scratch/rx.pcap")" -lt $((captured * 60)) ]; then
            errors="$errors; dpdk-pdump captured ${captured:-no} packets"
        fi
        for option in --stats -m --show-mempool=mb_pool_0 --iter-mempool=mb_pool_0; do
            # shellcheck disable=SC2086
            timeout 20 dpdk-proc-info $shared -- $option > "$scratch/info.log" 2>&1 ||
                errors="$errors; dpdk-proc-info $option ended with $?"
        done
        grep -a -q 'iterated [0-9]* objects' "$scratch/info.log" ||
            errors="$errors; dpdk-proc-info iterates over nothing"
    fi
    finish_testpmd p
    memory=--in-memory
    umount "$scratch/huge"
}

# --- beside ring_mp_mc -------------------------------------------------------

declare -A best_rate most_used most_missing

# ok WHAT COMMAND...: a check that shows what the testpmds have printed
ok() {
    local what="$case, $driver: $1"
    shift
    if "$@"; then
        pass "$what"
    else
        tail -q -n 15 "$scratch"/[pq].log > "$scratch/tail.log"
        fail "$what" "$scratch/tail.log"
    fi
}

passes() {
    [ "$wire" -eq 0 ] || { [ "$answers" -ge 25 ] && [ "$intact" -eq 1 ]; }
}

measure() {
    errors='' missing=0 made=0 used=0 rate=0
    wire=1 answers=0 speed=0 bytes=0 intact=0
    rm -f "$scratch"/[pq].log
    "${case}_case"
    figures="$made buffers made, $missing missing; $used KB; $speed KB/s, $rate packets/ms"
}

stock() {
    measure
    if [ -n "$errors" ] || ! passes; then
        skip "$case" "with $driver: $answers of 25 pings, $bytes bytes$errors"
        return 1
    fi
    pass "$case, $driver: $figures"
    best_rate[$case]=$rate most_used[$case]=$used most_missing[$case]=$missing
}

# Some drivers of ports keep buffers whoever made them; how many differs a little.
misses_no_more() {
    [ "$missing" -le $((most_missing[$case] * 2)) ]
}

takes_no_more() {
    local percent=105
    [ "$driver" = fpheap_grow ] && percent=45
    [ $((used * 100)) -le $((most_used[$case] * percent)) ]
}

# Others may have had the processors: then both are measured again.
measure_rates() {
    local mine=$driver
    measure
    for _ in 1 2; do
        [ $((rate * 2)) -lt "${best_rate[$case]}" ] || return
        driver=ring_mp_mc
        measure
        best_rate[$case]=$rate
        driver=$mine
        measure
    done
}

ours() {
    if [ "$driver" = fpheap_grow ] && must_not_grow "$case"; then
        measure
        ok "it cannot be used, as is said$errors" \
            [ "${errors:-none}$answers" = none0 ]
        [ "$case" = memif_zero_copy ] || return
        FPHEAP_MEMPOOL_MIN=$MBUFS measure
        ok "it can with all buffers made at once: $answers of 25 pings, $bytes bytes" \
            passes
        return
    fi
    measure_rates
    ok "no errors$errors" [ -z "$errors" ]
    [ "$wire" -eq 0 ] ||
        ok "packets pass as they are: $answers of 25 pings, $bytes bytes" passes
    ok "no buffer is missing: $figures" misses_no_more
    ok "memory: $used KB, ring_mp_mc ${most_used[$case]} KB" takes_no_more
    [ "${best_rate[$case]}" -gt 0 ] || return   # only the hosts send
    ok "rate: $rate, ring_mp_mc ${best_rate[$case]} packets/ms" \
        [ $((rate * 2)) -ge "${best_rate[$case]}" ]
}

memory=--in-memory
for case in $CASES; do
    for driver in ring_mp_mc $DRIVERS; do
        if [ "$driver" = ring_mp_mc ]; then
            stock || break
        else
            ours
        fi
    done
done
finish
