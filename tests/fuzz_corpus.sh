#!/bin/bash
# fuzz_corpus.sh - choose the inputs that are worth keeping
#
#     tests/fuzz_corpus.sh FUZZER MOST OUT FROM...
#
# Of the inputs in the directories OUT and FROM those stay in OUT, MOST at most, that
# together reach the most edges: first the one that reaches most, then the one that
# adds most to it, and so on; and all with a "-" in their names: crash-..., which once
# made a target fail, and what was written by hand.  (-merge=1 alone begins with the
# shortest, which makes ten times as many.)
set -eu

fuzzer=$1 most=$2 out=$3
shift 3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/none" "$work/kept"
"$fuzzer" -set_cover_merge=1 -use_counters=0 \
    -merge_control_file="$work/control" "$work/none" "$out" "$@" \
    > "$work/log" 2>&1 || { tail -n 20 "$work/log"; exit 1; }

# The control file: how many inputs there are, how many of them are in the first
# directory, their names, and then their edges in lines "FT number edge...",
# as counters are off.
awk -v most="$most" '
    NR == 1 { n = $1 }
    NR > 2 && NR <= n + 2 { name[NR - 3] = $0 }
    $1 == "FT" { edges[$2] = $0 }
    END {
        for (chosen = 0; chosen < most; chosen++) {
            best = 0
            for (i in edges) {
                new = 0
                count = split(edges[i], edge)
                for (e = 3; e <= count; e++)
                    new += !(edge[e] in reached)
                if (new == 0)
                    delete edges[i]
                else if (new > best) {
                    best = new
                    which = i
                }
            }
            if (best == 0)
                break
            count = split(edges[which], edge)
            for (e = 3; e <= count; e++)
                reached[edge[e]] = 1
            print name[which]
        }
    }' "$work/control" > "$work/names"
while read -r name; do
    cp "$name" "$work/kept/$(sha1sum < "$name" | cut -c1-12)"
done < "$work/names"
find "$out" -type f ! -name '*-*' -delete
cp "$work"/kept/* "$out"
echo "$out: $(find "$out" -type f | wc -l) inputs," \
    "$(cat "$out"/* | wc -c) bytes"
