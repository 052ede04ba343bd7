# hugepages.sh - reserved hugepages while the benchmark runs; sourced by run.sh
#
# Root may reserve them; others use those that are reserved already, if they are
# enough.  What was added is taken away at the end, also where somebody else has
# changed the number meanwhile.

huge_mb=2048             # the largest row, and what a fork may copy
huge_count=/proc/sys/vm/nr_hugepages
huge_added=0
huge_mount=

# huge_pages WHAT - how many 2 MiB hugepages are Free, or in Total
huge_pages() {
    awk -v what="HugePages_$1:" '
        $1 == what { n = $2 }
        $1 == "Hugepagesize:" { size = $2 }
        END { print size == 2048 ? n + 0 : 0 }' /proc/meminfo
}

# hugepages_begin DIR - have_hugepages says whether there are enough; DIR is where
# a file system of hugepages is mounted for tcmalloc, if that may be done
hugepages_begin() {
    have_hugepages=false
    free=$(huge_pages Free)
    before=$(huge_pages Total)
    if [ "$free" -lt $((huge_mb / 2)) ]; then
        { echo $((before + huge_mb / 2 - free)) > $huge_count; } 2> /dev/null ||
            return 0
        huge_added=$(($(huge_pages Total) - before))
    fi
    if [ "$(huge_pages Free)" -lt $((huge_mb / 2)) ]; then
        hugepages_end
        return 0
    fi
    have_hugepages=true
    mkdir -p "$1/huge"
    if mount -t hugetlbfs none "$1/huge" 2> /dev/null; then
        huge_mount=$1/huge
    fi
}

hugepages_end() {
    if [ -n "$huge_mount" ]; then
        umount "$huge_mount" || umount -l "$huge_mount"
        huge_mount=
    fi
    if [ "$huge_added" -gt 0 ]; then
        echo $(($(huge_pages Total) - huge_added)) > $huge_count
        huge_added=0
    fi
}

# with_hugepages NAME - the settings by which an allocator takes its memory from
# hugepages, for env(1); those of rows about memory itself get none
with_hugepages() {
    echo BENCH_HUGE=1
    case $1 in
    glibc) echo GLIBC_TUNABLES=glibc.malloc.hugetlb=2 ;;
    mimalloc) # 2.0 knows the one name; 3.0 only takes what is reserved at its start
        case $(realpath "$(library mimalloc)") in
        *.so.3.0*) echo MIMALLOC_RESERVE_HUGE_OS_PAGES=1 ;;
        *) echo MIMALLOC_LARGE_OS_PAGES=1 MIMALLOC_ALLOW_LARGE_OS_PAGES=1 ;;
        esac ;;
    jemalloc) echo MALLOC_CONF=thp:always ;;
    tcmalloc)
        [ -z "$huge_mount" ] ||
            echo "TCMALLOC_MEMFS_MALLOC_PATH=$huge_mount/tcmalloc" ;;
    esac
}
