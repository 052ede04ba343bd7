# lib.sh - for script tests:  . "$(dirname "$0")/lib.sh"
#
#     pass WHAT             count a check that held
#     fail WHAT [FILE]      count one that did not, and show FILE
#     skip WHAT WHY         count one that could not be made
#     check WHAT COMMAND... pass if the command succeeds, else fail with its output
#     refuse WHAT TEXT COMMAND...
#                           pass if the command fails and its output has TEXT
#     plant FUNCTION SED... edit a function of fpheap.h, from the line that begins
#                           with its name to the end of its body, into $scratch;
#                           fails if that changes nothing
#     finish                print the sum and exit
#
# The last line, "N passed, N failed, N skipped", is what run.sh adds up.
set -u

top=$(cd "$(dirname "$0")/.." && pwd)
: "${CC:=cc}"
: "${CXX:=c++}"
: "${B:=build}"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
n_passed=0
n_failed=0
n_skipped=0

pass() {
    n_passed=$((n_passed + 1))
    echo "ok    $1"
}

fail() {
    n_failed=$((n_failed + 1))
    echo "FAIL  $1"
    if [ -n "${2:-}" ]; then
        head -n 40 "$2" | sed 's/^/      /'
    fi
}

skip() {
    n_skipped=$((n_skipped + 1))
    echo "skip  $1: $2"
}

check() {
    what=$1
    shift
    if "$@" > "$scratch/check.log" 2>&1; then
        pass "$what"
    else
        fail "$what" "$scratch/check.log"
    fi
}

plant() {
    local function=$1 command

    shift
    for command in "$@"; do
        printf '/^%s(/,/^}/{\n%s\n}\n' "$function" "$command"
    done > "$scratch/sed"
    sed -f "$scratch/sed" "$top/fpheap.h" > "$scratch/fpheap.h"
    ! cmp -s "$top/fpheap.h" "$scratch/fpheap.h"
}

refuse() {
    what=$1
    text=$2
    shift 2
    if "$@" > "$scratch/refuse.log" 2>&1; then
        fail "$what: was accepted"
    elif grep -q -- "$text" "$scratch/refuse.log"; then
        pass "$what"
    else
        fail "$what: the message does not say $text" "$scratch/refuse.log"
    fi
}

have() {
    command -v "$1" > /dev/null 2>&1
}

finish() {
    echo "$n_passed passed, $n_failed failed, $n_skipped skipped"
    [ "$n_failed" -eq 0 ]
    exit
}
