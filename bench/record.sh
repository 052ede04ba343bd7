#!/bin/sh
# record.sh - record what real programs ask of malloc, for the rows trace_*
#
#     record.sh DIRECTORY [gcc|python3|queue|sqlite3|redis...]
#
# Writes DIRECTORY/NAME.trace for each program, or those named, in a few
# seconds.  What is not installed is left out, with a line that says so.
#
# Environment:  EVENTS (5000000), the most of each trace; RECORDER
# (../build/libtrace_record.so); REDIS_PORT (27379).
set -eu

if [ $# -lt 1 ]; then
    echo "usage: $0 DIRECTORY [gcc|python3|queue|sqlite3|redis...]" >&2
    exit 2
fi
here=$(dirname "$(readlink -f "$0")")
recorder=$(readlink -f "${RECORDER:-$here/../build/libtrace_record.so}")
port=${REDIS_PORT:-27379}
mkdir -p "$1"
traces=$(readlink -f "$1")
shift
[ $# -gt 0 ] || set -- gcc python3 queue sqlite3 redis
if [ ! -f "$recorder" ]; then
    echo "record: no recorder; make build/libtrace_record.so" >&2
    exit 1
fi
export LC_ALL=C
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

# What env needs to record the processes whose names begin with TRACE_PROGRAM.
export TRACE_DIR="$work" TRACE_EVENTS="${EVENTS:-5000000}"
preload=LD_PRELOAD=$recorder

# Through the compiler proper: the driver that starts it allocates little.
do_gcc() {
    cat > "$work/unit.c" << C
#define FPHEAP_IMPLEMENTATION
#include "$here/../fpheap.h"
C
    env TRACE_PROGRAM=cc1 "$preload" \
        gcc -std=gnu11 -O2 -c "$work/unit.c" -o "$work/unit.o"
}

# PYTHONMALLOC: each object from malloc, not from Python's own pools.
run_python3() {
    env TRACE_PROGRAM=python3 PYTHONMALLOC=malloc "$preload" \
        python3 "$work/script.py"
}

do_python3() {
    cat > "$work/script.py" << 'END'
import json, random

random.seed(1)
words = ["".join(random.choices("abcdefgh", k=random.randint(1, 40)))
         for _ in range(15000)]
table = {w: {"at": i, "text": w * 3, "list": [i, str(i)]}
         for i, w in enumerate(words)}
for round in range(4):
    for w in words[round::5]:
        table.pop(w, None)
    text = json.dumps(table, sort_keys=True)
    table = json.loads(text)
    count = {}
    for part in text.split():
        count[part[:6]] = count.get(part[:6], 0) + 1
    for w in random.sample(words, 3000):
        table[w] = [w.upper(), w.replace("a", "bb"), {w: round}]
END
    run_python3
}

# Two threads with a queue between them: one parses records, the other uses and
# frees most of them, and keeps some.
do_queue() {
    cat > "$work/script.py" << 'END'
import json, queue, threading

line = '{"id": %d, "name": "n%d", "tags": ["t%d", "u%d"], "at": [%f], "is": "%s"}'

def parse(n, out):
    for i in range(n):
        text = line % (i, i, i % 97, i % 89, i / 7, "x" * (i * 7919 % 400))
        out.put(json.loads(text))
    out.put(None)

between = queue.Queue(16)
threading.Thread(target=parse, args=(30000, between)).start()
kept = {}
while (record := between.get()) is not None:
    name = record["name"].upper()
    if record["id"] % 8 == 0:
        kept[name] = record
    if len(kept) > 1000:
        kept.pop(next(iter(kept)))
END
    run_python3
}

do_sqlite3() {
    awk 'BEGIN {
        print "create table t (id integer primary key, k integer, s text);"
        print "begin;"
        for (i = 1; i <= 100000; i++)
            printf "%s(%d, %d, \047%0*d\047)%s\n",
                   i % 20 == 1 ? "insert into t values " : "", i,
                   i * 7919 % 100003, 5 + i % 60, i, i % 20 ? "," : ";"
        print "commit; create index by_k on t (k);"
        print "select count(*), sum(length(s)) from t where k < 50000;"
        print "select k % 100, count(*), max(s) from t group by 1;"
    }' > "$work/script.sql"
    env TRACE_PROGRAM=sqlite3 "$preload" \
        sqlite3 :memory: < "$work/script.sql" > /dev/null
}

# answers - whether the server does, within ten seconds
answers() {
    tries=0
    until redis-cli -p "$port" ping 2> /dev/null | grep -q PONG; do
        tries=$((tries + 1))
        [ $tries -lt 100 ] && kill -0 "$server" 2> /dev/null || return 1
        sleep 0.1
    done
}

# On the loopback only, with nothing on disk, stopped by its process number.
do_redis() {
    env TRACE_PROGRAM=redis-server "$preload" \
        redis-server --port "$port" --bind 127.0.0.1 --save '' \
        --appendonly no --dir "$work" --daemonize no \
        > "$work/redis.log" 2>&1 &
    server=$!
    if ! answers; then
        tail -n 3 "$work/redis.log" >&2
        return 1
    fi
    redis-benchmark -p "$port" -q -c 20 -P 8 -n 40000 -r 20000 -d 100 \
        -t set,get,incr,lpush,lpop,sadd,hset,zadd > /dev/null
    kill "$server"
    wait "$server" || true
    server=
}

# take NAME - of the traces in $work the one that takes most room becomes NAME's
take() {
    most=$(du -k "$work"/*.trace | sort -rn | head -n 1 | cut -f 2)
    [ -n "$most" ] || return 1
    mv "$most" "$traces/$1.trace"
    rm -f "$work"/*.trace
}

for name; do
    case $name in
    gcc | python3 | sqlite3) needs=$name ;;
    queue) needs=python3 ;;
    redis) needs="redis-server redis-benchmark redis-cli" ;;
    *) echo "record: $name is none of gcc, python3, queue, sqlite3, redis" >&2
       exit 2 ;;
    esac
    missing=
    for program in $needs; do
        command -v "$program" > /dev/null || missing="$missing $program"
    done
    if [ -n "$missing" ]; then
        echo "record: $name is left out, not installed:$missing" >&2
    elif ! { "do_$name" && take "$name"; }; then
        echo "record: $name is left out, it could not be recorded" >&2
        rm -f "$work"/*.trace
    fi
done
