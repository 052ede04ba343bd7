#!/bin/bash
# multiprocess.sh - examples/dpdk/multiprocess.c: a primary and a secondary process
# allocate and free each other's objects in one memzone, in threads that the EAL
# knows and in others; and each goes on when the other is killed
#
#     tests/dpdk/multiprocess.sh         B=build CC=cc KILLS=10
#
# Its last line is "N passed, N failed, N skipped".
# shellcheck source=tests/dpdk/hosts.sh disable=SC1091,SC2154,SC2317
. "$(dirname "$0")/hosts.sh"
: "${KILLS:=10}"
need unshare
[ "$(nproc)" -gt 1 ] || leave "needs two processors"

flags=$(pkg-config --cflags libdpdk | sed 's/-I */-isystem /g')
for cc in clang "$CC"; do
    if have "${cc%% *}"; then
        # shellcheck disable=SC2046,SC2086
        check "it is built without a warning: $cc" $cc -std=gnu11 -O2 -Wall \
            -Wextra -Wundef -Wshadow -Wstrict-prototypes -Werror $flags \
            examples/dpdk/multiprocess.c -o "$scratch/multiprocess" \
            $(pkg-config --libs libdpdk) -pthread
    fi
done
[ -x "$scratch/multiprocess" ] || finish
need_pages 64
huge=$scratch/huge
mkdir "$huge"
mount -t hugetlbfs -o pagesize=2M none "$huge" ||
    leave "hugetlbfs cannot be mounted"

# start PROCESS EAL... - a primary or a secondary
start() {
    local process=$1
    shift
    : > "$scratch/$process.log" # what the last one said is none of this one's
    spawn "$process" "$scratch/multiprocess" --no-pci --no-telemetry \
        --huge-dir="$huge" --file-prefix="share$$" --log-level='*:critical' \
        "--proc-type=$process" "$@"
}

# both MODE OBJECTS - start a primary, and when it has made the heap a secondary
both() {
    start primary "--iova-mode=$1" -l 0 -- "$2"
    saw "$scratch/primary.log" 1 'the heap is there' 20
    start secondary "--iova-mode=$1" -l 1
    saw "$scratch/secondary.log" 1 'took' 20
}

for mode in va pa; do
    if [ $mode = pa ] && [ "$(id -u)" -ne 0 ]; then
        skip "IOVA is PA" "not root"
        continue
    fi
    both $mode 500000
    check "$mode: a secondary frees what the primary allocates, and the other way" \
        ends secondary 60
    check "$mode: so does the primary" ends primary 60
    check "$mode: no object is live at the end, and the heap is sound" \
        grep ' 0 objects live, the heap is sound' "$scratch/primary.log"
    sed -n 's/^\(.*\(million\|took\)\)/      \1/p' "$scratch/primary.log" \
        "$scratch/secondary.log"
done

# killed PROCESS OTHER - kill it when it has worked a little; the other finds a
# sound heap, and ends
killed() {
    local i
    for ((i = 0; i < KILLS; i++)); do
        both va 1000000000 || return 1
        sleep "0.$((RANDOM % 30))"
        kill -KILL "${pids[$1]}"
        ends "$1" 1
        ends "$2" 20
        cat "$scratch/$2.log"
        grep -q 'has died; .* live, the heap is sound$' "$scratch/$2.log" ||
            return 1
    done
}
check "a secondary is killed $KILLS times: the primary goes on, the heap is sound" \
    killed secondary primary
check "the primary is: the secondary goes on, the heap is sound" \
    killed primary secondary
umount "$huge"
finish
