#!/bin/bash
# settings.sh - every pair of settings works together, and the tour passes
#
# Each setting takes its smallest, default and largest value.  The combinations
# are chosen greedily so that any two values of two settings meet in one of them,
# where the header allows it: 20 builds instead of 50,000.  FULL=1 adds -O2.
. "$(dirname "$0")/lib.sh"

libnuma=0
echo '#include <numa.h>' > "$scratch/numa.c"
if $CC -c "$scratch/numa.c" -o "$scratch/numa.o" 2> /dev/null; then
    libnuma="0 1"
else
    skip "FPHEAP_USE_LIBNUMA" "numa.h is not installed"
fi

# combinations - a line of -D options for each; PAGES is chunk shift - page shift
combinations() {
    awk -v libnuma="$libnuma" '
    function setting(name, values) {
        names[++n] = name
        n_values[n] = split(values, list, " ")
        for (v = 1; v <= n_values[n]; v++)
            value[n, v] = list[v]
    }
    # Number of pairs not met so far that value v of setting s would meet.
    function gain(s, v,    t, g) {
        for (t = 1; t <= n; t++)
            if (t in chosen && !((s, v, t, chosen[t]) in met))
                g++
        return g + 0
    }
    function is(name, wanted,    s) {
        for (s = 1; s <= n; s++)
            if (names[s] == name)
                return (s in chosen) && value[s, chosen[s]] == wanted
    }
    # No operating system means one thread and no libnuma; the records of 65536
    # threads or of 512 pools need more than a small chunk.  header.sh sees that
    # these are errors.
    function allowed() {
        return !(is("NO_OS", 1) && is("USE_LIBNUMA", 1)) &&
               !(is("CHECK", 0) && is("SITES", 1)) &&
               !(is("CHUNK_SHIFT", 16) && is("MAX_THREADS", 65536)) &&
               !(is("MAX_POOLS", 512) && (is("CHUNK_SHIFT", 16) ||
                                          is("MAX_NODES", 64)))
    }
    # Start from a pair that is not met yet, then take for each setting the value
    # that meets most.
    function combine(s1, v1, s2, v2,    s, v, t, g, best, best_gain) {
        split("", chosen)
        chosen[s1] = v1
        chosen[s2] = v2
        if (!allowed())
            return 0
        for (s = n; s >= 1; s--) {
            if (s in chosen)
                continue
            best_gain = -1
            for (v = 1; v <= n_values[s]; v++) {
                g = gain(s, v)
                chosen[s] = v
                if (allowed() && g > best_gain) {
                    best = v
                    best_gain = g
                }
                delete chosen[s]
            }
            chosen[s] = best
        }
        for (s = 1; s <= n; s++)
            for (t = 1; t <= n; t++)
                met[s, chosen[s], t, chosen[t]] = 1
        return 1
    }
    function print_combination(    s, line, x) {
        line = ""
        for (s = 1; s <= n; s++) {
            x = value[s, chosen[s]]
            if (names[s] == "PAGES") {
                line = line " -DFPHEAP_PAGE_SHIFT=(FPHEAP_CHUNK_SHIFT-" x ")"
            } else if (names[s] == "STATIC") {
                if (x == 1)
                    line = line " -DFPHEAP_STATIC"
            } else if (x != "default") {
                line = line " -DFPHEAP_" names[s] "=" x
            }
        }
        print line
    }
    BEGIN {
        setting("CHUNK_SHIFT", "16 default 24")
        setting("PAGES", "4 5 6")
        setting("CLASS_BITS", "2 default")
        setting("MAGAZINE", "8 default 1016")
        setting("MAX_NODES", "1 default 64")
        setting("MAX_HEAPS", "1 default 64")
        setting("MAX_POOLS", "1 default 512")
        setting("MAX_THREADS", "1 default 65536")
        setting("GROWTH_WAIT_MS", "0 default 10000")
        setting("TLS_MODEL", "0 1")
        setting("NO_STDIO", "0 1")
        setting("STATIC", "0 1")
        setting("HEADER", "0 1")
        setting("TAGS", "1 default 256")
        setting("CHECK", "0 1 2")
        setting("SITES", "0 1")
        setting("USE_LIBNUMA", libnuma)
        setting("NO_THREADS", "0 1")
        setting("NO_OS", "0 1")
        for (s1 = 1; s1 < n; s1++)
            for (v1 = 1; v1 <= n_values[s1]; v1++)
                for (s2 = s1 + 1; s2 <= n; s2++)
                    for (v2 = 1; v2 <= n_values[s2]; v2++)
                        if (!((s1, v1, s2, v2) in met) &&
                            combine(s1, v1, s2, v2))
                            print_combination()
    }'
}

combinations > "$scratch/combinations"
levels=-O0
[ -z "${FULL:-}" ] || levels="-O0 -O2"
while read -r options; do
    libraries=-pthread
    case $options in *USE_LIBNUMA=1*) libraries="-pthread -lnuma" ;; esac
    for level in $levels; do
        # shellcheck disable=SC2086
        if ! $CC -std=gnu11 $level -Wall -Wextra -Wundef -Wshadow -Werror \
                $options "$top/tests/smoke.c" -o "$scratch/smoke" $libraries \
                > "$scratch/log" 2>&1; then
            fail "$level $options: build" "$scratch/log"
        else
            check "$level $options" timeout 300 "$scratch/smoke"
        fi
    done
done < "$scratch/combinations"
finish
