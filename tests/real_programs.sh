#!/bin/sh
# real_programs.sh - programs that never heard of fpheap run on it
# SPDX-License-Identifier: MIT OR Unlicense
#
#     tests/real_programs.sh build/libfpheap_malloc.so
#
# Each program runs twice, on its own malloc and on examples/malloc_shim.c, and
# must say the same.  The shim reports every process that it served; a test that
# it was not in has failed.  Works in a directory that it makes and removes.

set -u
if [ $# -ne 1 ] || [ ! -f "$1" ]; then
    echo "usage: $0 SHIM.so" >&2
    exit 2
fi
shim=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
source=$(cd "$(dirname "$0")/.." && pwd)/examples/malloc_shim.c
work=$(mktemp -d) || exit 2
trap 'cd / && rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
cd "$work" || exit 2

unset LD_PRELOAD
export LC_ALL=C
passed=0 failed=0 skipped=0

fail()
{
    failed=$((failed + 1))
    echo "FAILED  $*"
}

# try NAME PROGRAM FUNCTION - run FUNCTION without and with the shim.  PROGRAM
# must be installed and among the processes that the shim served, which is not
# always the one that was called: gcc allocates in cc1.
try()
{
    if ! command -v "${2%%/*}" > /dev/null; then
        skipped=$((skipped + 1))
        echo "skip    $1: no ${2%%/*}"
        return
    fi
    rm -f served
    ( "$3" ) < input > plain.out 2> plain.err
    plain=$?
    ( export LD_PRELOAD="$shim" FPHEAP_SHIM_STATS="$work/served"
      "$3" ) < input > shim.out 2> shim.err
    status=$?
    if [ $plain -ne 0 ] || [ ! -s plain.out ]; then
        fail "$1: exit status $plain even without the shim"
        tail -n 5 plain.err
    elif [ $status -ne 0 ]; then
        fail "$1: exit status $status"
        tail -n 5 shim.err
    elif ! cmp plain.out shim.out; then
        fail "$1: the output differs"
    elif ! grep "^${2##*/}[^ ]*\[" served > mine 2> /dev/null; then
        fail "$1: the shim was not in ${2##*/}"
    else
        passed=$((passed + 1))
        echo "ok      $1: $(($(wc -c < shim.out))) bytes alike;" \
             "$(tail -n 1 mine)"
    fi
}

python_script()
{
    # PYTHONMALLOC: each object from malloc, not from Python's own pools
    PYTHONMALLOC=malloc python3 script.py
}

cat > script.py << 'END'
import collections, json, os, random, re, subprocess, sys, threading, zlib

random.seed(1)
words = ["".join(random.choices("abcdefgh", k=random.randint(1, 40)))
         for _ in range(40000)]
print(len(set(words)), sorted(words)[:3], max(words, key=len))
count = collections.Counter(w[:3] for w in words)
print(sorted(count.items())[:10])
table = {w: [i, {"at": i}, w * 3] for i, w in enumerate(words)}
for w in words[::2]:
    table.pop(w, None)
text = json.dumps(table, sort_keys=True)
print(len(text), zlib.crc32(text.encode()))
print(json.loads(text) == table, len(re.findall(r"a[b-d]+e", text)))
print(zlib.crc32(str(3 ** 9000).encode()))

totals = [0] * 8
def work(n):
    mine = []
    for i in range(8000):
        mine.append(bytes([i % 251]) * (i % 3000))
        if len(mine) > 100:
            totals[n] += zlib.crc32(mine.pop(i % 100))
threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
for t in threads:
    t.start()
for _ in range(5):                     # children of a process with threads
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        os._exit(len(sorted(words)) % 256)
    print(os.WEXITSTATUS(os.waitpid(child, 0)[1]))
for t in threads:
    t.join()
print(totals)
for n in range(3):
    print(subprocess.check_output([sys.executable, "-c", f"print({n} ** 99)"]))
END

gcc_itself()
{
    gcc -std=c11 -O2 -fPIC -c "$source" -o shim.o && cat shim.o
}

sqlite_script()
{
    rm -f base
    sqlite3 base < script.sql
}

awk 'BEGIN {
    print "create table t (id integer primary key, k integer, s text); begin;"
    for (i = 1; i <= 200000; i++)
        printf "insert into t values (%d, %d, \047%0*d\047);\n",
               i, i * 7919 % 100003, 5 + i % 60, i
    print "commit; create index by_k on t (k); create index by_s on t (s);"
    print "select count(*), sum(k), sum(length(s)) from t;"
    print "select k % 100, count(*), max(s) from t group by 1 order by 1;"
    print "select a.id, b.id, b.s from t a join t b on a.k = b.k"
    print "    and a.id < b.id order by a.s, b.s limit 5000;"
    print "delete from t where id % 3 = 0; vacuum; pragma integrity_check;"
    print "select count(*), group_concat(s) from t where k < 300;"
}' > script.sql

perl_script()
{
    perl script.pl
}

cat > script.pl << 'END'
use strict;
use warnings;
my ($state, %seen, @list) = (1);
for my $i (1 .. 100000) {
    $state = ($state * 1103515245 + 12345) % 2147483648;
    my $word = "w" . ($state % 50021);
    $seen{$word} .= chr(97 + $i % 26);
    push @list, [$word, $i];
}
my @sorted = sort { $a->[0] cmp $b->[0] || $a->[1] <=> $b->[1] } @list;
print "$_->[0] $_->[1]\n" for @sorted[0 .. 2000];
my $text = join ",", map { "$_=$seen{$_}" } sort keys %seen;
my $found = () = $text =~ /w(\d+)=([a-m]+),/g;
print length($text), " $found\n";
$text =~ s/w(\d+)/<$1>/g;
print length($text), " ", unpack("%32C*", $text), "\n";
$| = 1;
for my $n (1 .. 5) {
    my $child = fork;
    exit(map({ $_->[0] x $n } @list[0 .. 9999]) % 256) if !$child;
    waitpid $child, 0;
    print $? >> 8, "\n";
}
END

sort_a_million()
{
    sort -S 32M --parallel=2 -k 2 million
}

awk 'BEGIN {
    for (i = 0; i < 1000000; i++) {
        n = (n * 69069 + 12345) % 4294967296
        print i, n
    }
}' > million

php_script()
{
    # Each object from malloc, not from PHP's own pools
    USE_ZEND_ALLOC=0 php script.php
}

cat > script.php << 'END'
<?php
$list = [];
for ($i = 0; $i < 200000; $i++)
    $list["k" . ($i * 7919 % 100003)][] = str_repeat(chr(97 + $i % 26), $i % 50);
ksort($list);
echo count($list), " ", crc32(serialize($list)), " ", crc32(json_encode($list)),
    " ", preg_match_all('/a{3,}/', json_encode($list)), "\n";
END

: > input
try "python3, sorting, dicts, threads, fork, children" python3 python_script
try "gcc -O2 of the shim itself" gcc/cc1 gcc_itself
try "sqlite3, 200,000 rows" sqlite3 sqlite_script
try "perl, hashes, sorting, patterns, fork" perl perl_script
try "php, arrays, strings, patterns" php php_script
try "sort of 1,000,000 lines" sort sort_a_million

echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
