#!/bin/bash
# make.sh - the targets of the Makefile do exactly what "make help" says
. "$(dirname "$0")/lib.sh"
unset MAKEFLAGS MFLAGS MAKELEVEL DEPS
cd "$top" || exit 1

# compiled TARGET... - the files that make would compile where nothing is built
compiled() {
    make -n B="$scratch/none" CC="$CC" "$@" 2>&1 |
        sed -n 's/.* \([a-z/_0-9]*\.c\) -o .*/\1/p' | sort -u
}
# builds FILE WORD - make test T=WORD compiles no other file
builds() {
    local items

    items=$(make -s B="$scratch/none" list T="$2")
    [ "$(compiled chosen CHOSEN="$items")" = "$1" ] || { echo "$items"; return 1; }
}
check "make test T=WORD builds only the program with that name" \
    builds tests/debug/test_panic.c test_panic
check "and the one that has a case of that name" \
    builds tests/test_growth.c records_fail_only_when
check "and for a script what it runs" \
    builds examples/malloc_shim.c real_programs
all=$(make -s B="$scratch/none" list T=)
check "without T it builds all" \
    [ "$(compiled chosen CHOSEN="$all")" = "$(compiled all)" ]
check "and runs exactly what it built" \
    make -s B="$scratch/one" CC="$CC" test T=test_panic
check "which is one program" [ "$(ls "$scratch/one" | grep -vc log)" -eq 1 ]
check "make deps builds nothing" [ -z "$(compiled deps)" ]

# built_again PROGRAM FILE - make would build it again if the file had changed,
# and only then
built_again() {
    mkdir -p "$scratch/twins" && touch "$scratch/twins/$1" &&
        make -q B="$scratch/twins" "$scratch/twins/$1" &&
        ! make -q B="$scratch/twins" -W "$2" "$scratch/twins/$1"
}
twins=0
while IFS=: read -r file included; do
    twins=$((twins + 1))
    name=$(basename "$file" .c)
    check "$name is built again when $included changes" \
        built_again "$name" "$(dirname "$file")/$included"
done < <(grep -r --include='*.c' '^#include ".*\.c"' tests |
             sed 's/#include "\(.*\)"/\1/')
check "programs of other programs are found" [ $twins -ge 4 ]

# An apt-get that notes whether its caller has said what it is going to do.
mkdir "$scratch/bin"
cat > "$scratch/bin/apt-get" << SH
#!/bin/sh
grep -q 'installing.* gcc' "$scratch/said" && echo "\$*" >> "$scratch/installed"
SH
printf '#!/bin/sh\n[ "$1" != -n ] || shift\nexec "$@"\n' > "$scratch/bin/sudo"
chmod +x "$scratch/bin/apt-get" "$scratch/bin/sudo"
# deps TARGET SETTING - make it where no compiler is
deps() {
    rm -f "$scratch/installed"
    PATH=$scratch/bin:$PATH make -s B="$scratch/none" CC=/nonexistent "$@" \
        > "$scratch/said" 2>&1
}
says_first() {
    deps deps && grep "install .*gcc" "$scratch/installed"
}
check "it says what it installs before it does" says_first
says_only() {
    deps deps DEPS=no && grep "please install.* gcc" "$scratch/said" &&
        ! [ -e "$scratch/installed" ]
}
check "with DEPS=no it only says what is missing" says_only

# in_chroot TARGET SETTING... - all that make does is to make it there, so set
in_chroot() {
    make -n DEBIAN=trixie "$@" > "$scratch/said" && cat "$scratch/said" &&
        [ "$(grep -cv '^ ' "$scratch/said")" -eq 1 ] &&
        grep "tests/debian.sh 'trixie'" "$scratch/said" &&
        grep "make .*DEBIAN= B='build/trixie' $1\$" "$scratch/said"
}
check "with DEBIAN=trixie a target is made in a chroot" in_chroot test
check "and so is one that would be a file" in_chroot build/trixie/test_bulk
check "and the benchmark, with its peers" in_chroot bench
check "which are installed before" grep "^FOR=bench " "$scratch/said"

refuse "make dpdk without DPDK says so" "DPDK is not installed" \
    env PKG_CONFIG_LIBDIR=/nonexistent PKG_CONFIG_PATH= \
    make -s B="$scratch/none" CC="$CC" dpdk
one_line() {
    cat "$scratch/refuse.log"
    [ "$(grep -cv '^make: \*\*\*' "$scratch/refuse.log")" -eq 1 ]
}
check "in one line" one_line
finish
