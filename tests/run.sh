#!/bin/bash
# run.sh - run test programs and scripts, and add up what they report
#
#     B=build T=word tests/run.sh [-l] PROGRAM|SCRIPT...
#
# -l only lists what would run, for make to build it.
#
# With T, only what has the word in its name runs, and of the other programs the
# cases that have it in theirs.  Programs whose names begin with stress_ use all
# processors, so they run alone, but for those that step through instructions or
# wait most of their time; everything else runs two at a time.  LIMIT is the time
# in seconds that each may take (600; 0 for none).
#
# A cmocka program counts as its cases; a script as the numbers in its last line
# "N passed, N failed[, N skipped]"; what prints neither counts as one, passed if it
# exits with 0, skipped if with 77.  What fails is shown in full at the end.
set -u

cd "$(dirname "$0")/.." || exit 1
list=
if [ "${1:-}" = -l ]; then
    list=1
    shift
fi
B=${B:-build}
T=${T:-}
LIMIT=${LIMIT:-600}
logs=$B/log
shim=$PWD/$B/libfpheap_malloc.so
mkdir -p "$logs"
tallies=$(mktemp -d)
trap 'rm -rf "$tallies"' EXIT

source_of() {
    case $1 in
    *.sh) echo "$1" ;;
    *) ls tests/{,debug/}"$(basename "$1").c" 2> /dev/null ;;
    esac
}

# start ITEM - run it with what it needs
start() {
    case $1 in
    *.sh) B=$B timeout "$LIMIT" "$1" "$shim" ;;
    */shim_test) timeout "$LIMIT" env LD_PRELOAD="$shim" "$1" ;;
    *) FPHEAP_CASES=$cases timeout "$LIMIT" "$1" ;;
    esac
}

# of_cmocka LOG WORD - the number in the lines "[  WORD  ] N test(s)"; cmocka 2 has
# the name of the group before it
of_cmocka() {
    sed -n "s/^\[  *$2  *\] \(.*: \)*\([0-9][0-9]*\) test(s).*/\2/p" "$1" |
        awk '{ n += $1 } END { print n + 0 }'
}

# tally LOG STATUS - "passed failed skipped"
tally() {
    local passed=0 failed=0 skipped=0

    if grep -q '^\[=*\] .*[0-9] test(s) run' "$1"; then
        passed=$(of_cmocka "$1" PASSED)
        failed=$(of_cmocka "$1" FAILED)
        skipped=$(of_cmocka "$1" SKIPPED)
    elif tail -n 1 "$1" | grep -Eq '^[0-9]+ passed, [0-9]+ failed'; then
        read -r passed failed skipped <<< "$(tail -n 1 "$1" | tr -dc '0-9 ')"
    elif [ "$2" -eq 0 ]; then
        passed=1
    elif [ "$2" -eq 77 ]; then
        skipped=1
    fi
    if [ "$2" -ne 0 ] && [ "$2" -ne 77 ] && [ "$failed" -eq 0 ]; then
        failed=1
    fi
    echo "$passed $failed ${skipped:-0}"
}

run_one() {
    local name log began status passed failed skipped

    name=$(basename "$1")
    log=$logs/$name.log
    cases=
    case $name in *"$T"*) ;; *) cases=$T ;; esac
    began=$(date +%s)
    start "$1" > "$log" 2>&1
    status=$?
    [ "$status" -ne 124 ] || echo "stopped after $LIMIT s" >> "$log"
    read -r passed failed skipped <<< "$(tally "$log" "$status")"
    echo "$passed $failed $skipped" > "$tallies/$name"
    printf '%-24s %4d passed %3d failed %3d skipped %4d s\n' "$name" \
        "$passed" "$failed" "$skipped" $(($(date +%s) - began))
}

alone=()
beside=()
for item in "$@"; do
    name=$(basename "$item")
    if [[ $name != *"$T"* ]]; then
        [[ $item != *.sh ]] || continue
        grep -Eq "^(static void )?[a-z0-9_]*${T}[a-z0-9_]*\(" \
            "$(source_of "$item")" || continue
    fi
    case $name in
    stress_killed* | stress_moments | stress_stop | stress_provider | \
        stress_pools | stress_regressions) beside=("$item" "${beside[@]}") ;;
    stress_*) alone+=("$item") ;;
    *) beside+=("$item") ;;
    esac
done
if [ -n "$list" ]; then
    echo "${beside[@]}" "${alone[@]}"
    exit
fi

for item in "${beside[@]}"; do
    while [ "$(jobs -rp | wc -l)" -ge 2 ]; do
        wait -n
    done
    run_one "$item" &
done
wait
for item in "${alone[@]}"; do
    run_one "$item"
done

passed=0 failed=0 skipped=0
for item in "${beside[@]}" "${alone[@]}"; do
    name=$(basename "$item")
    p=0 f=1 s=0 # unless it says otherwise
    read -r p f s < "$tallies/$name"
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
    if [ "$f" -ne 0 ]; then
        echo
        echo "--- $name"
        tail -n 100 "$logs/$name.log" | sed 's/^/  /'
    elif [ "$s" -ne 0 ]; then
        grep -E '^skip |SKIPPED \] [a-z0-9_]*$' "$logs/$name.log" |
            sort -u | sed "s/^/$name: /"
    fi
done
echo
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ $((passed + skipped)) -gt 0 ]
