#!/bin/bash
# examples.sh - the examples do what they say: each checks itself, says something,
# and ends with 0
. "$(dirname "$0")/lib.sh"

cd "$top" || exit 1

# says NAME TEXT [ARGUMENT...] - run an example; its output has TEXT
says() {
    name=$1
    text=$2
    shift 2
    if [ ! -x "$B/$name" ]; then
        fail "$name: make examples has not built it"
    elif "$B/$name" "$@" > "$scratch/$name.log" 2>&1 &&
            grep -q -- "$text" "$scratch/$name.log"; then
        pass "$name: $(grep -m 1 -- "$text" "$scratch/$name.log")"
    else
        fail "$name" "$scratch/$name.log"
    fi
}

says quickstart '^32 objects live'
says pipeline '^fpheap_destroy: done' 1
says mbuf_template 'buffers received and dropped'
says mbuf_template '^20000 live: 2304 bytes each'
says wait_queue '^200000 requests served with 64 buffers; [1-9][0-9]* gets failed, room again [1-9]'
says partitions '20000 packets; 0 objects live in Main, 0 in Local'
says shown '^reader: sees "packet 50", nothing behind it, and cannot write$'
says shown '^reader: sees "packet 50, changed"$'
says shown '^reader: gets SIGBUS, and the file has no memory$'
says shown '^owner: goes on with "packet 50, changed and hidden"$'
says shown 'where no packet is a file$'
says shown '^owner: all is freed, and 0 descriptors are left$'
# A slab of 16 that lacks a descriptor is not made, and nothing of it stays.
few_descriptors() {
    (ulimit -n 62 && "$B/shown") > "$scratch/few.log" || return 1
    grep '^owner: has [1-9][0-9]* packets: Too many open files$' "$scratch/few.log" &&
        grep '^owner: all is freed, and 0 descriptors are left$' "$scratch/few.log"
}
check "shown, with descriptors for few packets" few_descriptors
says tenants '^bulk has [1-9][0-9]* packets, then: No space left on device$'
says tenants '^voice still has room, and a control message gets through$'
says refcount '^300000 packets out of 2 ports, recycled 300000 times, 1000 alloc'

says packet_groups '^200000 packets, 600000 headers, .* 12500 had broken ones'
says packet_groups '^0 packets in flight, 0 objects live'

# The tool for partitions, in a directory of its own: first what it refuses.
shm=$(mktemp -d -p /dev/shm)
plain=fpheap-tool-$$           # another, where they are by default
trap 'rm -rf "$scratch" "$shm" "/dev/shm/$plain"' EXIT
tool=$B/partitions_tool

# bad_line LINE TEXT - it is named by its number and by TEXT
bad_line() {
    printf 'good bytes=4M directory=%s\n\n%s\n' "$shm" "$1" > "$scratch/bad"
    refuse "a configuration with \"$1\"" "bad:3: $2" \
        "$tool" create "$scratch/bad"
}
bad_line 'a' 'a: has no bytes='
bad_line 'a bytes=' 'bytes=: needs a size'
bad_line 'a bytes=0' 'bytes=0: needs a size'
bad_line 'a bytes=-4M' 'bytes=-4M: needs a size'
bad_line 'a bytes=4MB' 'bytes=4MB: needs a size'
bad_line 'a bytes=65G' 'bytes=65G: needs a size'
bad_line 'a bytes=17179869185G' 'bytes=17179869185G: needs a size'
bad_line 'a bytes=4M bytes=4M' 'bytes=4M: is said twice'
bad_line 'a bytes=4M page=3M' 'page=3M: pages are of'
bad_line 'a bytes=5M page=2M' 'a: bytes= is not a number of whole pages'
bad_line "a bytes=4M page=2M directory=$shm" 'a: its directory has pages of'
bad_line 'a bytes=4M node=x' 'node=x: needs a number'
bad_line 'a bytes=4M node=' 'node=: needs a number'
bad_line 'a bytes=4M mode=660w' 'mode=660w: needs octal'
bad_line 'a bytes=4M mode=0444' 'mode=0444: needs octal'
bad_line 'a bytes=4M mode=10600' 'mode=10600: needs octal'
bad_line 'a bytes=4M local mode=0600' 'a: local and mode= exclude'
bad_line 'a bytes=4M static growing' 'a: static and growing exclude'
bad_line 'a bytes=4M locally' 'locally: there is no such setting'
bad_line 'a bytes=4M directory=here' 'directory=here: needs a path'
bad_line "a bytes=4M directory=$shm/none" 'a: its directory does not exist'
bad_line "good bytes=4M directory=$shm" 'good: has the name of one above'
bad_line 'bytes=4M' 'bytes=4M: a line begins with a name'
bad_line 'a/b bytes=4M' 'a/b: a line begins with a name'
bad_line "$(printf '%032d' 0) bytes=4M" '0*: a line begins with a name'
nothing_is_there() {
    [ -z "$(ls "$shm")" ]
}
check "none of these made anything" nothing_is_there
printf '# nothing\n\n' > "$scratch/bad"
refuse "a configuration of nothing" 'bad:2: .*there is no partition' \
    "$tool" create "$scratch/bad"
refuse "a configuration that is missing" 'none: No such file' \
    "$tool" create "$scratch/none"
refuse "a command that is none" 'usage: ' "$tool" destroy
refuse "a command without its argument" 'usage: ' "$tool" draw
refuse "a command with another's option" 'usage: ' "$tool" remove x --svg
for command in watch draw recover remove; do
    refuse "$command of what is missing" "$shm/none: No such file" \
        "$tool" "$command" "$shm/none"
    touch "$shm/file"
    refuse "$command of a file without a heap" 'there is no heap in it' \
        "$tool" "$command" "$shm/file"
done
refuse "remove --force of a file without a heap" 'there is no heap in it' \
    "$tool" remove "$shm/file" --force
refuse "list of what is missing" "$shm/none: No such file" \
    "$tool" list "$shm/none"

# Memory can be bound to nodes unless the system, or who runs this, lacks that.
node=node=0
echo "node bytes=4M node=0 directory=$shm" > "$scratch/node"
if "$tool" create "$scratch/node" > "$scratch/node.log" 2>&1; then
    bad_line "a bytes=4M node=1023 directory=$shm" 'node=: there is no such node'
    check "a partition on a node" "$tool" remove "$shm/node"
elif grep -q 'not permitted\|not implemented' "$scratch/node.log"; then
    skip "a partition on a node" "memory cannot be bound"
    node=
else
    fail "a partition on a node" "$scratch/node.log"
fi

# What it makes is as it says, and other files are none of its business.
cat > "$scratch/good" << CONFIGURATION
# name    what it is
main      bytes=64M mode=0660 $node directory=$shm  # grows
local     bytes=7M  page=$(($(getconf PAGESIZE) / 1024))K static local directory=$shm
CONFIGURATION
says partitions_tool "^$shm/main: 64.000 MiB" create "$scratch/good"
used() {
    echo "$(($(stat -c '%b * %B' "$1")))"
}
is_as_said() {
    [ "$(stat -c '%a' "$shm/main" "$shm/local" | xargs)" = "660 644" ] &&
        [ "$(used "$shm/local")" = $((8 << 20)) ] &&
        [ "$(used "$shm/main")" -le $((2 << 20)) ]
}
check "static has its memory, the others not; who may read and write" is_as_said
mkfifo "$shm/pipe"
lists_both() {
    "$tool" list "$shm" | sed 1d | tr -s ' ' | cut -d ' ' -f 1,2,4- |
        diff - <(echo "local 8.000 0.000 0.000 0 alive, 0 dead, 0 reading
main 64.000 0.000 0.000 0 alive, 0 dead, 0 reading")
}
check "list has both, and nothing else" lists_both
cp "$scratch/good" "$scratch/more"
sed -i "1i new bytes=4M directory=$shm" "$scratch/more"
refuse "a name that there is" 'more:3: main: there is one already' \
    "$tool" create "$scratch/more"
check "and it made nothing else" test ! -e "$shm/new"

# A member that has a MiB live, and frees another, until it is killed.
cat > "$scratch/member.c" << 'C'
#define FPHEAP_IMPLEMENTATION
#include "fpheap.h"
#include <unistd.h>

int main(int argc, char **argv)
{
    fpheap_partition desc = { .directory = argv[argc - 2] };
    fpheap *heap = fpheap_open(argv[argc - 1], &desc, 0);
    void *objects[2048];

    if (heap == NULL || fpheap_alloc_bulk(heap, 1024, objects, 2048) != 0)
        return 1;
    fpheap_free_bulk(heap, objects, 1024);
    puts("ready");
    fflush(stdout);
    alarm(60);
    pause();
}
C
# soon COMMAND... - it succeeds within ten seconds
soon() {
    for _ in $(seq 100); do
        "$@" > "$scratch/soon.log" && return
        sleep 0.1
    done
    cat "$scratch/soon.log"
    return 1
}
begin_member() {
    member=$("$scratch/member" "$shm" main > "$scratch/ready" & echo $!)
    soon grep ready "$scratch/ready"
}
shows() {
    text=$1
    shift
    "$tool" "$@" > "$scratch/shows.log" && grep -q -- "$text" "$scratch/shows.log" ||
        { cat "$scratch/shows.log"; false; }
}
# (Members may differ in FPHEAP_MAX_HEAPS.)
check "a member is built" "$CC" -I. -DFPHEAP_MAX_HEAPS=64 \
    -o "$scratch/member" "$scratch/member.c" -pthread
check "and has it open" begin_member
check "list shows it" shows "member 0, process $member: 1.000 live" list "$shm"
if [ -n "$node" ]; then
    check "its pages are of the node" \
        grep "bind.*$shm/main" "/proc/$member/numa_maps"
fi
refuse "remove of one that is open" 'main: members have it open' \
    "$tool" remove "$shm/main"
check "no member of it is dead" shows 'no member is dead' recover "$shm/main"
kill -9 "$member"
check "list shows the dead" \
    soon shows "member 0, process $member, dead: 1.000 live" list "$shm"
sha256sum "$shm/main" > "$scratch/sum"
check "and counts them" shows '^main .* 0 alive, 1 dead, 0 reading' list "$shm"
check "draw: chunks by tenths" shows '^|[0-9.]*[1-9][0-9.]*|$' draw "$shm/main"
check "draw: the dead's share" shows '^|#####*++*  *|$' draw "$shm/main"
check "draw: nothing else is live" shows 'that have left: 0.000 live' draw "$shm/main"
check "draw --svg: as a picture" shows "^<rect .*fill='#27a'" draw "$shm/main" --svg
if have python3; then
    "$tool" draw "$shm/main" --svg > "$scratch/main.svg"
    check "which is well-formed" python3 -c \
        'import sys, xml.dom.minidom as d; d.parse(sys.argv[1])' "$scratch/main.svg"
else
    skip "which is well-formed" "python3 is not installed"
fi
watched() {
    timeout 3 "$tool" watch "$shm/main" > "$scratch/watch" 2>&1
    [ $? = 124 ] &&
        [ "$(grep -c '^main .* 0 alive, 1 dead' "$scratch/watch")" -ge 2 ]
}
check "watch repeats it" watched
check "and none of these wrote anything" sha256sum --quiet -c "$scratch/sum"
check "recover cleans up" shows 'dead members: 1; .* 1.000 MiB stay live' \
    recover "$shm/main"
check "what was live stays" \
    shows '^main  *64.000  *[0-9.]*  *1.000 .* 0 alive, 0 dead' list "$shm"
check "draw: as nobody's" shows 'those that have left: 1.000 live' draw "$shm/main"
check "remove" "$tool" remove "$shm/main"
check "the name is gone" test ! -e "$shm/main"

# What cannot be read is said, and the rest listed; it goes by force only.
offset=$(grep -aob 'FPHEAP_TAGS=3' "$shm/local" | head -n 1 | cut -d : -f 1)
printf 'FPHEAP_TAGS=4' |
    dd of="$shm/local" bs=1 seek="$offset" conv=notrunc status=none
printf 'other bytes=4M directory=%s\n' "$shm" > "$scratch/other"
check "another one is made" "$tool" create "$scratch/other"
refuse "list of one with other settings" \
    'local: it was made with another FPHEAP_TAGS' "$tool" list "$shm"
check "lists others" grep -q '^other  *4.000' "$scratch/refuse.log"
refuse "recover of it" 'another FPHEAP_TAGS' "$tool" recover "$shm/local"
truncate -s 4M "$shm/other"
check "its own size is good" "$tool" draw "$shm/other"
truncate -s 2M "$shm/other"
refuse "draw of one that is too short" 'other: the heap in it is damaged' \
    "$tool" draw "$shm/other"
refuse "remove of it" 'other: the heap in it is damaged' \
    "$tool" remove "$shm/other"
check "remove --force of it" "$tool" remove "$shm/other" --force
check "and of one with other settings" "$tool" remove --force "$shm/local"
rm "$shm/file" "$shm/pipe"
check "nothing is left" nothing_is_there

# All that a file lists can be open at once.
cat > "$scratch/all.c" << 'C'
#define FPHEAP_IMPLEMENTATION
#include "fpheap.h"

int main(int argc, char **argv)
{
    fpheap_partition desc = { .directory = argv[1] };

    for (int i = 2; i < argc; i++)
        if (fpheap_open(argv[i], &desc, FPHEAP_READ_ONLY) == NULL)
            return 1;
    return 0;
}
C
mapfile -t names < <(seq -f 'p%02g' 16)
printf "%s bytes=4M directory=$shm\n" "${names[@]}" > "$scratch/all"
check "sixteen are made" "$tool" create "$scratch/all"
check "their reader is built" "$CC" -I. -o "$scratch/all_open" "$scratch/all.c" -pthread
check "and has all open" "$scratch/all_open" "$shm" "${names[@]}"
echo "x bytes=4M directory=$shm" >> "$scratch/all"
refuse "a seventeenth" 'all:17: x: a file has FPHEAP_MAX_HEAPS partitions' \
    "$tool" create "$scratch/all"

# Without a directory it is /dev/shm; one that is open goes by force.
echo "$plain bytes=4M" > "$scratch/plain"
check "a partition in /dev/shm" "$tool" create "$scratch/plain"
lists_plain() {
    "$tool" list 2> "$scratch/others" | grep -q "^$plain  *4.000"
}
check "list without a directory" lists_plain
"$tool" create <(echo "main bytes=64M directory=$shm") > "$scratch/create"
check "a member" begin_member
check "remove --force of one that is open" "$tool" remove "$shm/main" --force
check "the member goes on" kill -0 "$member"
kill "$member"
check "remove without a directory" "$tool" remove "$plain"

# A file system that is full is an error before there is a name.
mkdir "$shm/small"
if mount -t tmpfs -o size=16m tmpfs "$shm/small" 2> "$scratch/mount"; then
    printf "%s bytes=12M static directory=$shm/small\n" a b > "$scratch/full"
    refuse "static, and no room" 'full:2: b: No space left' \
        "$tool" create "$scratch/full"
    check "nothing is left of it" test -z "$(ls "$shm/small")"
    umount "$shm/small"
else
    skip "static, and no room" "tmpfs cannot be mounted"
fi

# What README begins with is a program as it stands, in C and in C++.
sed -n '/^```c$/,/^```$/{/^```/!p;/^```$/q}' README.md > "$scratch/readme.c"
cp "$scratch/readme.c" "$scratch/readme.cpp"
first_of_readme() {
    "$@" -Wall -Wextra -I. -o "$scratch/readme" -pthread && "$scratch/readme"
}
check "README's first program, as C" first_of_readme \
    "$CC" -std=c11 "$scratch/readme.c"
if have g++; then
    check "and as C++" first_of_readme g++ -std=c++17 "$scratch/readme.cpp"
else
    skip "and as C++" "g++ is not installed"
fi

# Its list of functions is that of the header, which the linker's names come from.
declared() {
    grep -oE '\bX\(fpheap_[a-z_]+\)' fpheap.h | sed 's/X(//; s/)//; s/^fpheap_object_at$/fpheap_object/' | sort -u
}
listed() {
    sed -n '/^## Functions/,/^## More/p' README.md |
        grep -oE '`fpheap_[a-z_]+`' | tr -d '`' | sort -u
}
same_functions() {
    diff <(declared) <(listed)
}
check "README lists the header's functions" same_functions

# An example that nobody runs here would not be an example for long.
for source in examples/*.c; do
    name=$(basename "$source" .c)
    case $name in *_shim) continue ;; esac
    check "$name is run by this script" grep -q "^says $name " "$0"
done
finish
