# hosts.sh - for scripts that put a program between two hosts:
#
#     . "$(dirname "$0")/hosts.sh"      first of all: with it comes lib.sh
#     make_hosts             a and b, each in a network namespace of its own, at
#                            10.0.0.1 and 10.0.0.2; their other ends, host_a and
#                            host_b, are where the script is
#     on HOST COMMAND...     run it there
#     know_each_other N      whether a gets an answer of b within N seconds
#     ping_hosts N           from a to b; how many answers come, N at most
#     stream SECONDS         TCP from a to b: true if all bytes come as they were
#                            sent; sets bytes, and speed in KB/s
#     spawn NAME COMMAND...  begin a program that ends with the script: sets
#                            pids[NAME]; what it prints is in $scratch/NAME.log
#     ends NAME SECONDS      whether it ends by itself and with 0; then it is gone
#     saw FILE N TEXT SECONDS
#                            whether FILE gets to have N lines with TEXT
#
# The script is in a network and mount namespace of its own: whatever names it gives
# to interfaces and mounts, no others see them, and they go with it.
# shellcheck shell=bash disable=SC1091,SC2034,SC2154
# (In a chroot there may be no mount to make private: debian.sh has done so outside.)
if [ "${FPHEAP_UNSHARED:-}" != $$ ]; then
    for how in private unchanged; do
        if unshare -n -m --propagation $how true 2> /dev/null; then
            FPHEAP_UNSHARED=$$ exec unshare -n -m --propagation $how "$0" "$@"
        fi
    done
fi
# shellcheck source=tests/dpdk/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

declare -A pids

# A program that does not end when told to is ended.
stop_all() {
    local pid
    for pid in "${pids[@]}"; do
        kill "$pid" 2> /dev/null
    done
    for pid in "${pids[@]}"; do
        gone "$pid" 30 || kill -KILL "$pid" 2> /dev/null
    done
    clean_up
}
trap stop_all EXIT

# gone PID TENTHS
gone() {
    local i
    for ((i = 0; i < $2; i++)); do
        kill -0 "$1" 2> /dev/null || return 0
        sleep 0.1
    done
    return 1
}

spawn() {
    local name=$1
    shift
    "$@" <&0 > "$scratch/$name.log" 2>&1 &
    pids[$name]=$!
}

ends() {
    local pid=${pids[$1]} status
    if ! gone "$pid" $(($2 * 10)); then
        kill -KILL "$pid" 2> /dev/null
    fi
    wait "$pid" 2> /dev/null
    status=$?
    unset "pids[$1]"
    return $status
}

saw() {
    local i
    for ((i = 0; i < $4 * 10; i++)); do
        [ "$(grep -a -c -e "$3" "$1" 2> /dev/null)" -ge "$2" ] && return 0
        sleep 0.1
    done
    return 1
}

on() {
    local pid=${pids[host_$1]}
    shift
    nsenter -t "$pid" -n "$@"
}

need_hosts() {
    local program
    [ "$(id -u)" -eq 0 ] || leave "not root"
    [ "${FPHEAP_UNSHARED:-}" = $$ ] || leave "no network namespace may be made"
    for program in ip nsenter ethtool ping python3; do
        have $program || leave "no $program"
    done
    ip link add fp0 type veth peer name fp1 2> /dev/null ||
        leave "no veth pair may be made"
    ip link del fp0
}

# A host's packets have their checksums and no more than its MTU, as on a wire: the
# kernel leaves both to a veth's other end.
make_host() {
    spawn "host_$1" unshare -n sleep 1000
    until [ "$(readlink "/proc/${pids[host_$1]}/ns/net")" != \
        "$(readlink /proc/$$/ns/net)" ]; do
        sleep 0.05
    done
    ip link add "host_$1" type veth peer name eth0 netns "${pids[host_$1]}" &&
        ip link set "host_$1" up &&
        on "$1" sysctl -q -w net.ipv6.conf.all.disable_ipv6=1 &&
        on "$1" ip addr add "$2/24" dev eth0 &&
        on "$1" ethtool -K eth0 tx off > /dev/null &&
        on "$1" ip link set eth0 up
}

make_hosts() {
    sysctl -q -w net.ipv6.conf.all.disable_ipv6=1
    { make_host a 10.0.0.1 && make_host b 10.0.0.2; } ||
        leave "no hosts can be made"
}

# With -w it goes on until so many answers have come, or for 10 s: without, it would
# not wait for those that are later than two of the others.  Where answers are
# late it sends some more, and may count these too.
ping_hosts() {
    on a ping -q -c "$1" -i 0.02 -w 10 10.0.0.2 2> /dev/null |
        sed -n 's/.* \([0-9]*\) received.*/\1/p'
}

# Whether the first answer comes in so many seconds.
know_each_other() {
    local i
    on a ip neigh flush all
    on b ip neigh flush all
    for ((i = 0; i < $1 * 5; i++)); do
        on a ping -q -c 1 -W 0.2 10.0.0.2 > /dev/null 2>&1 && return 0
    done
    return 1
}

stream() {
    local sent
    bytes=0 speed=0
    spawn stream nsenter -t "${pids[host_b]}" -n timeout 40 \
        python3 tests/dpdk/stream.py serve 7000
    read -r -a sent <<< "$(on a timeout 40 python3 tests/dpdk/stream.py send \
        10.0.0.2 7000 "$1" 2> "$scratch/send.log")"
    if [ "${#sent[@]}" -ne 3 ]; then
        kill "${pids[stream]}" 2> /dev/null
        ends stream 5
        return 1
    fi
    bytes=${sent[0]} speed=${sent[2]}
    ends stream 5 && [ "$bytes" -gt 0 ] &&
        [ "$(cat "$scratch/stream.log")" = "$bytes ${sent[1]}" ]
}
