#!/bin/bash
# orders.sh - compilers keep the memory orders that the header asks for
#
# orders.py for aarch64; FULL=1: for all machines and settings.  And it notices a
# macro that drops an order.
. "$(dirname "$0")/lib.sh"

options="--quick --target=aarch64 --target=aarch64+lse"
[ -n "${FULL:-}" ] && options=
# shellcheck disable=SC2086
"$top/tests/orders.py" $options > "$scratch/log" 2>&1
status=$?
while read -r word line; do
    case $word in
    ok) pass "$line" ;;
    skip) skip "$line" "not installed" ;;
    FAIL) fail "$line" "$scratch/log" ;;
    esac
done < "$scratch/log"
[ $status -eq 0 ] || [ "$n_failed" -gt 0 ] || fail "orders.py" "$scratch/log"
if grep -q '^ok' "$scratch/log"; then
    for order in ACQUIRE RELEASE ACQ_REL; do
        "$top/tests/orders.py" --quick --target=aarch64 "-D__ATOMIC_$order=0" \
            > "$scratch/log" 2>&1
        if grep -q '^FAIL' "$scratch/log" && ! grep -q '^ok' "$scratch/log"; then
            pass "a macro that drops $order is seen"
        else
            fail "a macro that drops $order is seen" "$scratch/log"
        fi
    done
fi
finish
