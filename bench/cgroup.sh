# cgroup.sh - a cgroup for the row memory_limited, which sets its limit; sourced by
# run.sh
#
# Version 1 below our own cgroup, version 2 beside it, for there a cgroup with
# processes has no children.

# cgroup_begin - $cgroup, an empty one; fails where that may not be made
cgroup_begin() {
    own=$(sed -n 's/^[0-9]*:memory://p' /proc/self/cgroup)
    if [ -n "$own" ]; then
        cgroup=/sys/fs/cgroup/memory$own/fpheap-bench-$$
    else
        own=$(sed -n 's/^0:://p' /proc/self/cgroup)
        cgroup=/sys/fs/cgroup$(dirname "$own")/fpheap-bench-$$
    fi
    mkdir "$cgroup" 2> /dev/null && [ -e "$cgroup/memory.stat" ] || return 1
    # What does not fit is not to be swapped out.
    for swap in memory.swap.max memory.swappiness; do
        [ ! -e "$cgroup/$swap" ] || echo 0 > "$cgroup/$swap"
    done
}

cgroup_end() {
    [ ! -d "${cgroup:-}" ] || rmdir "$cgroup"
}
