#!/bin/bash
# l2flows.sh - examples/dpdk/l2flows.c learns hosts and flows of all kinds, forgets
# them, joins two hosts, and ends with no entry live and no memzone left, whatever
# the memory of the EAL is; and so do threads that live longer than the EAL
#
#     tests/dpdk/l2flows.sh         B=build CC=cc
#
# Its last line is "N passed, N failed, N skipped".
# shellcheck source=tests/dpdk/hosts.sh disable=SC1091,SC2154
. "$(dirname "$0")/hosts.sh"
need python3 stdbuf
[ "$(nproc)" -gt 1 ] || leave "needs two processors"
eal="-l 0,1 --no-pci --no-telemetry --log-level=*:critical"
nohuge="--no-huge --no-shconf --file-prefix=l2flows$$ -m 256"

flags=$(pkg-config --cflags libdpdk | sed 's/-I */-isystem /g')
for cc in clang "$CC"; do
    if have "${cc%% *}"; then
        # shellcheck disable=SC2046,SC2086
        check "it is built without a warning: $cc" $cc -std=gnu11 -O2 -Wall \
            -Wextra -Wundef -Wshadow -Wstrict-prototypes -Werror $flags \
            examples/dpdk/l2flows.c -o "$scratch/l2flows" \
            $(pkg-config --libs libdpdk) -pthread
    fi
done
[ -x "$scratch/l2flows" ] || finish

# 3,000 flows, a third of them each Ethernet, IPv4 and IPv6, from 188 hosts.
python3 - "$scratch/flows.pcap" << 'P'
import struct
import sys

with open(sys.argv[1], "wb") as out:
    out.write(struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1))
    for i in range(3000):
        addresses = struct.pack(">HIHI", 0x0201, i % 16, 0x0200, i // 16)
        ipv4 = (b"\x08\x00\x45" + bytes(8) + b"\x11" + bytes(2)
                + struct.pack(">IIHH", i, 1, 4000, 53) + bytes(22))
        ipv6 = (b"\x86\xdd\x60" + bytes(5) + b"\x11\x40"
                + struct.pack(">QQQQHH", 1, i, 2, 3, 4000, 53))
        packet = addresses + (b"\x88\xb5" + bytes(46), ipv4, ipv6)[i % 3]
        out.write(struct.pack("<IIII", 0, i, len(packet), len(packet)) + packet)
P

# ended NAME - it stopped by itself, and everything is back
ended() {
    ends "$1" 60 && grep -q ' entries made, 0 live$' "$scratch/$1.log" &&
        grep -q '^heap: 0 objects live' "$scratch/$1.log" &&
        grep -q '^0 memzones left$' "$scratch/$1.log"
}

# switch NAME TIMES PACKETS AGE EAL... - over a port that plays these flows once or
# again and again, and one that returns what it is sent
switch() {
    local name=$1 times=$2 packets=$3 age=$4
    shift 4
    # shellcheck disable=SC2086
    spawn "$name" stdbuf -oL "$scratch/l2flows" $eal "$@" --vdev=net_ring1 \
        --vdev="net_pcap0,rx_pcap=$scratch/flows.pcap,tx_pcap=/dev/null$times" \
        -- "$packets" "$age"
}
again=,infinite_rx=1

# shellcheck disable=SC2086
switch pages $again 3000000 60000 $nohuge
check "every host and flow has an entry" saw "$scratch/pages.log" 1 \
    '188 hosts, flows of Ethernet 1000, IPv4 1000, IPv6 1000$' 60
check "none is left after so many packets, without hugepages" ended pages
check "entries are made once" grep -q ' 3188 entries made' "$scratch/pages.log"

# shellcheck disable=SC2086
switch ages "" 0 300 $nohuge
check "entries age and are freed while it runs" saw "$scratch/ages.log" 2 \
    '^6000 packets; 0 hosts, flows of Ethernet 0, IPv4 0, IPv6 0$' 60
kill -INT "${pids[ages]}"
check "SIGINT ends it, and all is back" ended ages

# --- hugepages ------------------------------------------------------------------

if reserve_pages 64 && mkdir "$scratch/huge" &&
    mount -t hugetlbfs -o pagesize=2M none "$scratch/huge"; then
    files="--huge-dir=$scratch/huge --huge-unlink --file-prefix=l2flows$$ -m 32"
    # shellcheck disable=SC2086
    switch files $again 1000000 1000 $files
    check "so it is with hugepages that are files" ended files
    # shellcheck disable=SC2046,SC2086
    check "a program with threads that end after the EAL is built" \
        $CC -std=gnu11 -O1 -I. -Itests -Itests/dpdk $flags \
        tests/dpdk/test_memzone.c tests/filter.c -o "$scratch/outlive" \
        $(pkg-config --libs libdpdk) -lcmocka -pthread
    check "they may if the heap has ended before it: files" \
        env FPHEAP_CASES=outlive FPHEAP_EAL="$eal $files" "$scratch/outlive"
    check "and without hugepages" \
        env FPHEAP_CASES=outlive FPHEAP_EAL="$eal $nohuge" "$scratch/outlive"
    umount "$scratch/huge"
else
    skip "hugepages that are files" "no hugepages, or no mount"
fi

# --- two hosts ------------------------------------------------------------------

need_hosts
make_hosts
# shellcheck disable=SC2086
spawn hosts stdbuf -oL "$scratch/l2flows" $eal $nohuge \
    --vdev=net_af_packet0,iface=host_a --vdev=net_af_packet1,iface=host_b
saw "$scratch/hosts.log" 1 'packets;' 30
check "hosts at two of its ports reach one another" \
    test "$(ping_hosts 50)" = 50
check "it knows both" saw "$scratch/hosts.log" 1 '; 2 hosts' 10
check "a TCP stream comes as it was sent" stream 2
kill -TERM "${pids[hosts]}"
check "SIGTERM ends it, and all is back" ended hosts
finish
