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
says partitions '20000 packets; 0 objects live in Main, 0 in Local'
says refcount '^300000 packets out of 2 ports, recycled 300000 times, 1000 alloc'

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
