#!/bin/sh
# mbuf_memory.sh - the EAL's heap against the buffers in use, as a chart
#
#     make dpdk && examples/dpdk/mbuf_memory.sh build DIR > mbuf_memory.svg
#
# The driver is copied to DIR for the time: the EAL loads nothing from where
# everyone may write, in a parent directory either.  Wants 420 MiB of hugepages,
# or EAL="--no-huge -m 700", and gnuplot.
set -eu

build=${1:?where make dpdk has put the programs}
stage=$(mktemp -d -p "${2:?a directory that only you may write to}")
trap 'rm -rf "$stage"' EXIT
: "${EAL:=--in-memory -m 420}"

cp "$build/librte_mempool_fpheap_grow.so" "$stage"
for driver in ring_mp_mc fpheap_grow; do
    # shellcheck disable=SC2086
    "$build/mbuf_memory" --no-pci --no-telemetry --log-level='*:error' -l 0 \
        $EAL -d "$stage/librte_mempool_fpheap_grow.so" -- $driver \
        > "$stage/$driver"
done

cd "$stage"
gnuplot <<'EOF'
set terminal svg size 720,400 font "sans-serif,13" background "white"
set title "Memory of a pool of 150,000 mbufs, as they are used for the first time"
set xlabel "mbufs in use, thousands"
set ylabel "EAL heap, MB"
set key left top
set grid
set yrange [0:450]
set style data linespoints
plot "ring_mp_mc" every ::0::15 using ($1 / 1e3):($3 / 1e6) lw 2 pt 7 ps 0.4 \
         lc rgb "#999999" title "ring\\_mp\\_mc", \
     "fpheap_grow" every ::0::15 using ($1 / 1e3):($3 / 1e6) lw 2 pt 7 ps 0.4 \
         lc rgb "#c0392b" title "fpheap\\_grow"
EOF
