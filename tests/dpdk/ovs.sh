#!/bin/bash
# ovs.sh - Open vSwitch, as Debian has it, over each mempool driver
#
#     tests/dpdk/ovs.sh          B=build CC=cc DRIVERS="ring_mp_mc fpheap fpheap_grow"
#
# A switch of its own (database, sockets and log in a temporary directory, interfaces
# in a network namespace) joins two hosts through af_packet: ping, a TCP stream whose
# bytes are checked; ports of net_null for memory and rate; ports that come and go
# and change their MTUs.  ring_mp_mc comes first: the others are compared to it.
# shellcheck source=tests/dpdk/hosts.sh disable=SC1091,SC2154,SC2317
. "$(dirname "$0")/hosts.sh"
: "${DRIVERS:=ring_mp_mc fpheap fpheap_grow}"
CHURN=12                       # rounds
PAGES=250                      # what the ports' pools take of ring_mp_mc: 430 MB

vswitchd=/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk
schema=/usr/share/openvswitch/vswitch.ovsschema
[ -x $vswitchd ] || leave "no openvswitch-switch-dpdk"
need ovsdb-server ovsdb-tool ovs-vsctl ovs-appctl ovs-ofctl
[ "$(nproc)" -ge 2 ] || leave "one processor"
need_hosts
need_pages $PAGES
need_driver
make_hosts

# --- a switch ----------------------------------------------------------------

vsctl() {
    timeout 20 ovs-vsctl --db="unix:$OVS_RUNDIR/db" "$@" 2>> "$scratch/vsctl.log"
}

ask() {
    timeout 20 ovs-appctl -t "$OVS_RUNDIR/switch.ctl" "$@" 2>&1
}

# begin DRIVER PER_PORT: with an empty bridge; whether each port has a pool of its own
begin() {
    export OVS_RUNDIR=$scratch/$1
    export OVS_DBDIR=$OVS_RUNDIR OVS_LOGDIR=$OVS_RUNDIR OVS_SYSCONFDIR=$OVS_RUNDIR
    log=$OVS_RUNDIR/log
    mkdir "$OVS_RUNDIR"
    ovsdb-tool create "$OVS_RUNDIR/conf.db" $schema
    spawn db ovsdb-server "$OVS_RUNDIR/conf.db" --remote="punix:$OVS_RUNDIR/db" \
        --unixctl="$OVS_RUNDIR/db.ctl"
    until [ -S "$OVS_RUNDIR/db" ]; do sleep 0.05; done
    vsctl --no-wait init
    vsctl --no-wait set Open_vSwitch . other_config:dpdk-init=true \
        other_config:dpdk-lcore-mask=1 other_config:pmd-cpu-mask=2 \
        other_config:dpdk-socket-mem=16 other_config:dpdk-socket-limit=$((PAGES * 2)) \
        other_config:per-port-memory="$2" other_config:dpdk-extra="--no-pci \
--in-memory --no-telemetry --iova-mode=va $(loads "$1") --mbuf-pool-ops-name=$1"
    spawn switch $vswitchd "unix:$OVS_RUNDIR/db" --log-file="$log" \
        --unixctl="$OVS_RUNDIR/switch.ctl"
    vsctl add-br br0 -- set Bridge br0 datapath_type=netdev
    ovs-ofctl del-flows "unix:$OVS_RUNDIR/br0.mgmt"
}

# add_flow FLOW: beside these, packets are dropped, as no port of net_null may send
# what it makes up to the hosts
add_flow() {
    ovs-ofctl add-flow "unix:$OVS_RUNDIR/br0.mgmt" "$1"
}

add_host() {
    vsctl add-port br0 "$1" -- set Interface "$1" type=dpdk \
        "options:dpdk-devargs=net_af_packet_$1,iface=host_$1"
    add_flow "in_port=$1,actions=normal"
}

# add_null PORT MTU
add_null() {
    vsctl add-port br0 "$1" -- set Interface "$1" type=dpdk mtu_request="$2" \
        "options:dpdk-devargs=net_$1"
}

# KB of the EAL's heaps that are in use
used_memory() {
    ask dpdk/get-malloc-stats |
        awk -F: '/Alloc_size/ { sum += $2 } END { print int(sum / 1024) }'
}

count_pools() {
    ask netdev-dpdk/get-mempool-info | grep -c '^mempool <'
}

# Packets per millisecond that the poll thread takes from net_null
rate() {
    ask dpif-netdev/pmd-stats-clear > /dev/null
    sleep 2
    ask dpif-netdev/pmd-stats-show |
        awk '/packets received:|Rx packets:/ { n = $3; exit }
            END { print int(n / 2000) }'
}

# --- what it does ------------------------------------------------------------

# judge WHAT COMMAND...: a check that shows the switch's log if it fails
judge() {
    local what=$1
    shift
    if "$@"; then
        pass "$driver: $what"
    else
        tail -n 20 "$log" > "$scratch/log.tail"
        fail "$driver: $what" "$scratch/log.tail"
    fi
}

is_alive() {
    kill -0 "${pids[switch]}" 2> /dev/null
}

hosts_talk() {
    know_each_other 5
    answers=$(ping_hosts 50)
    judge "$1: $answers of 50 pings are answered" [ "${answers:-0}" -eq 50 ]
    judge "$1: a TCP stream comes as it was sent" stream 1
    echo "      $bytes bytes, $speed KB/s"
}

measure() {
    local port
    for port in null0:1500 null1:1500 null2:3000 null3:3000; do
        add_null ${port%:*} ${port#*:}
    done
    for port in 0:1 1:0 2:3 3:2; do
        add_flow "in_port=null${port%:*},actions=output:null${port#*:}"
    done
    for _ in 1 2 3 4 5; do          # others may have had the processors
        rate=$(rate)
        [ "$rate" -gt 0 ] && [ $((rate * 2)) -ge "$best" ] && break
    done
    memory=$(used_memory)
    pools=$(count_pools)
    [ "$driver" = ring_mp_mc ] && best=$rate most=$memory
    judge "$pools pools, $memory KB, $rate 1000 packets/s" [ "$rate" -gt 0 ]
    [ "$most" -gt 0 ] || return     # ring_mp_mc was not asked for
    case $driver in
    fpheap)
        judge "no more memory than ring_mp_mc's $most KB and a twentieth" \
            [ "$memory" -le $((most * 21 / 20)) ] ;;
    fpheap_grow)
        judge "at most a tenth of ring_mp_mc's $most KB" \
            [ $((memory * 10)) -le "$most" ] ;;
    esac
    judge "at least a third of ring_mp_mc's $best 1000 packets/s" \
        [ $((rate * 3)) -ge "$best" ]
}

churn() {
    local i mtu=(1500 2000 2500 3000)
    for ((i = 0; i < CHURN; i++)); do
        vsctl del-port br0 null3 && add_null null3 "${mtu[i % 4]}" &&
            vsctl set Interface null2 mtu_request="${mtu[(i + 1) % 4]}" &&
            vsctl set Interface a mtu_request=$((1500 - i % 2 * 100)) ||
            return 1
    done
    vsctl set Interface a mtu_request=1500
}

# The switch frees a pool, when it next looks for one, if all of its buffers are back.
all_come_back() {
    local i
    for i in a b null0 null1 null2 null3; do
        vsctl del-port br0 "$i"
    done
    for ((i = 0; i < 5; i++)); do
        add_null null9 1500
        vsctl del-port br0 null9
        left=$(count_pools)
        [ "$left" -le 1 ] && return 0
        sleep 0.3
    done
    return 1
}

# A driver's message is of a pool that cannot grow; else the kinds of errors in the
# log that ring_mp_mc's has not.
logs_no_error() {
    grep -aE '\|(ERR|EMER)\|' "$log" | sed 's/^[^|]*|[^|]*|//; s/[0-9a-f]\{2,\}/N/g
        s/[0-9]/N/g' | sort -u > "$scratch/errors.$driver"
    [ "$driver" = ring_mp_mc ] && return
    touch "$scratch/errors.ring_mp_mc"
    new=$(comm -13 "$scratch/errors.ring_mp_mc" "$scratch/errors.$driver")
    [ -z "$new" ] && ! grep -q 'fpheap: ' "$log"
}

end_switch() {
    judge "it is alive" is_alive
    ask exit --cleanup > /dev/null
    judge "it ends by itself" ends switch 10
    judge "it logs no error that ring_mp_mc has not" logs_no_error
    kill "${pids[db]}"
    ends db 5
    rm -rf "$OVS_RUNDIR"
}

bridge_works() {
    driver=$1
    begin "$driver" true
    judge "the switch begins" is_alive
    add_host a
    add_host b
    hosts_talk "two af_packet ports"
    if ! is_alive; then
        fail "$driver: the switch has died" "$scratch/switch.log"
        kill "${pids[db]}"
        return
    fi
    measure
    judge "$CHURN times ports come, go and change their MTUs" churn
    hosts_talk "after that"
    judge "without ports all buffers come back and pools go" all_come_back
    end_switch
}

# Open vSwitch's default: ports of one MTU share a pool of 262,144 buffers.  With any
# other driver these pools take gigabytes, and what buffers are for is a ratio of that.
pools_are_shared() {
    local i mtu=(1500 3000 5000 9000) whole memory
    driver=fpheap_grow
    begin $driver false
    for ((i = 0; i < 8; i++)); do
        add_null "null$i" "${mtu[i / 2]}"
    done
    sleep 2
    whole=$(ask netdev-dpdk/get-mempool-info | awk -F= '/^  size=/ { n = $2 }
        /total_obj_size=/ { sum += n * $2 } END { print int(sum / 1024) }')
    memory=$(used_memory)
    judge "8 ports of 4 MTUs: $memory KB, all $(count_pools) pools' buffers are $whole" \
        [ $((memory * 100)) -lt "$whole" ]
    judge "they forward" [ "$(rate)" -gt 0 ]
    end_switch
}

best=0
most=0
for driver in $DRIVERS; do
    bridge_works "$driver"
done
case $DRIVERS in
*fpheap_grow*) pools_are_shared ;;
esac
finish
