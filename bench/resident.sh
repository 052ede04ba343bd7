#!/bin/sh
# resident.sh - how much memory a real program takes under a malloc
#
#     resident.sh -l               the rows; one line for each program not installed
#     resident.sh ROW [LIBRARY]    a row's program, with a malloc preloaded
#
# The program runs twice, first on the C library's malloc, and must say the same
# both times.  One that does not run on that has no figures.  Prints, as the programs of bench.c do,
#
#     resident_NAME MiB VALUE           the most that one process had
#     resident_NAME_ratio x VALUE       the same, over what the first run had
#
# Environment:  PEAK (../build/peak).
set -eu

here=$(dirname "$(readlink -f "$0")")
peak=$(readlink -f "${PEAK:-$here/../build/peak}")
# A program that is linked with another malloc, as Debian's redis-server is with
# jemalloc, has the C library's if that is preloaded.
plain=$(PATH=$PATH:/sbin:/usr/sbin ldconfig -p |
    sed -n '/libc\.so\.6 (/{s/.* => //p;q;}')
programs="bash gcc git node npm perl python3 redis sort sqlite3"

# needs NAME - the commands that the row runs
needs() {
    case $1 in
    redis) echo redis-server redis-cli ;;
    *) echo "$1" ;;
    esac
}

list() {
    for name in $programs; do
        missing=
        for command in $(needs $name); do
            command -v "$command" > /dev/null || missing="$missing $command"
        done
        if [ -z "$missing" ]; then
            echo "resident_$name"
        else
            echo "bench: resident_$name is left out, not installed:$missing" >&2
        fi
    done
}

# under COMMAND... - what it prints; its peak is the row's figure
under() {
    "$peak" "$work/kib" env "LD_PRELOAD=$library" "$@" &&
        echo "resident_$name $(cat "$work/kib")" >> "$work/figures"
}

do_bash() {
    under bash -c 'for ((i = 0; i < 100000; i++)); do a[i]=$i; done; echo ${#a[@]}'
}

do_gcc() {
    under gcc -std=gnu11 -O2 -DFPHEAP_IMPLEMENTATION -x c -c "$here/../fpheap.h" \
        -o unit.o && cat unit.o
}

do_git() {
    git init -q repository
    seq 5000 | awk '{
        text = "change " $1
        print "commit refs/heads/main"
        print "committer someone <someone@example.org> " 1000000000 + $1 " +0000"
        printf "data %d\n%s\nM 100644 inline file%d\ndata %d\n%s\n",
            length(text), text, $1 % 100, length(text), text
    }' | git -C repository fast-import --quiet
    under git -C repository --no-pager log --stat main
}

do_node() {
    under node -p 1
}

do_npm() {
    echo '{ "name": "empty", "version": "1.0.0" }' > package.json
    npm_config_cache=$work/npm npm_config_update_notifier=false under npm ls
}

do_perl() {
    under perl -e 'push @{$h{$_ % 997}}, "w" x ($_ % 50) for 1 .. 100000;
        print "$_ @{$h{$_}}\n" for sort keys %h'
}

do_python3() {
    under python3 -c pass
}

do_sort() {
    seq 10000 | awk '{ print $1 * 7919 % 10007 }' > numbers
    under sort -n numbers
}

do_sqlite3() {
    {
        echo "create table t (id integer primary key, k integer, s text); begin;"
        seq 50000 | awk '{ printf "insert into t values (%d, %d, \047%0*d\047);\n",
                                  $1, $1 * 7919 % 50021, 5 + $1 % 60, $1 }'
        echo "commit; create index by_k on t (k);"
        echo "select k % 100, count(*), max(s) from t group by 1;"
    } > script.sql
    under sqlite3 -init script.sql :memory: .quit
}

# answers - whether the server does, within ten seconds
answers() {
    tries=0
    until redis-cli -s socket ping 2> /dev/null | grep -q PONG; do
        tries=$((tries + 1))
        [ $tries -lt 100 ] && kill -0 "$server" || return 1
        sleep 0.1
    done
}

# look FIELD NAME - the server's VmHWM or VmRSS is the figure of NAME
look() {
    awk -v field="$1:" -v name="$2" '$1 == field { print name, $2 }' \
        "/proc/$server/status" >> "$work/figures"
}

# Two figures: with 200,000 values of up to 500 bytes, and after these were flushed
# and two seconds in which it was asked 20 times, for an allocator with a timer may
# look at its clock only when it is called.  On a socket, with nothing on disk.
do_redis() {
    env "LD_PRELOAD=$library" redis-server --port 0 --unixsocket socket \
        --save '' --appendonly no --dir "$work" --daemonize no > redis.log &
    server=$!
    answers || { tail -n 3 redis.log >&2; return 1; }
    seq 200000 | awk '{ printf "set %d %0*d\r\n", $1, $1 * 7919 % 500, $1 }' |
        redis-cli -s socket --pipe > /dev/null
    look VmHWM resident_redis
    redis-cli -s socket mget 77 7777 177777
    redis-cli -s socket flushall
    for tenth in $(seq 20); do
        sleep 0.1
        redis-cli -s socket set last "$tenth"
    done
    look VmRSS resident_redis_flushed
    redis-cli -s socket dbsize
    kill "$server"
    wait "$server" && server=
}

# once LIBRARY - figures in $work/figures, what the program prints to stdout
once() {
    library=$1
    rm -f "$work/figures"
    "do_$name" 2> "$work/err" && ! grep -q 'cannot be preloaded' "$work/err" &&
        return
    echo "$name fails under ${library##*/}:" >&2
    tail -n 3 "$work/err" >&2
    return 1
}

if [ "${1:-}" = -l ]; then
    list
    exit
fi
name=${1#resident_}
export LC_ALL=C
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2> /dev/null || true; rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
cd "$work"
if ! once "$plain" > plain.out; then
    echo "and is left out" >&2 # it is no malloc's failure
    exit 0
fi
mv figures plain
once "${2:-$plain}" > out
if ! cmp -s plain.out out; then
    echo "$name prints something else under ${2:-$plain}" >&2
    exit 1
fi
awk 'NR == FNR { plain[$1] = $2; next }
     { printf "%s MiB %.2f\n%s_ratio x %.3f\n", $1, $2 / 1024, $1, $2 / plain[$1] }' \
    plain figures
