#!/bin/bash
# debian.sh - run a command in a chroot of another Debian, with the compiler, the
# DPDK, the applications and the allocators that it has
#
#     tests/debian.sh trixie COMMAND...  DIR=build/debian/trixie MIRROR= FOR=
#
# This directory is /fpheap there, and the one that the command starts in.  "make
# TARGET DEBIAN=trixie" does so, and builds in build/trixie.
#
# debootstrap makes the chroot in DIR, in two minutes, where none is there yet; with
# FOR, install_deps.sh first installs that into it.  All mounts are in a mount
# namespace of this process: they end with it, however it ends, and a directory that
# others remove has nothing mounted in it.
# shellcheck disable=SC1091,SC2016,SC2154
suite=${1:-}
if [ "${FPHEAP_UNSHARED:-}" != $$ ] && unshare -m true 2> /dev/null; then
    FPHEAP_UNSHARED=$$ exec unshare -m "$0" "$@"
fi
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/lib.sh"
cd "$top" || exit 1
dir=$(realpath -m "${DIR:-build/debian/$suite}")
if ! [[ $suite =~ ^[a-z-]+$ ]] || [ $# -lt 2 ] || [ "$dir" = / ]; then
    echo "usage: tests/debian.sh SUITE COMMAND..., SUITE such as trixie or sid;" \
        "DIR is a directory of its own" >&2
    exit 2
fi

leave() {
    skip "in a chroot of $suite" "$1"
    finish
}

is_made() {
    [ -x "$dir/usr/bin/apt-get" ]
}

# What debootstrap was interrupted in is begun anew; what it finished has its name.
make_chroot() {
    mkdir -p "$(dirname "$dir")"
    exec 9> "$dir.lock" && flock 9
    if ! is_made; then
        echo "making a chroot of $suite in $dir"
        rm -rf --one-file-system "$dir.part"
        # shellcheck disable=SC2086
        { debootstrap --variant=minbase --include=make,ca-certificates "$suite" \
            "$dir.part" ${MIRROR:-} && mv -T "$dir.part" "$dir"; } \
            > "$dir.log" 2>&1
    fi
    exec 9>&-
    is_made
}

# A mount itself, or no script in it may make a mount namespace of its own.
mount_into() {
    mkdir -p "$dir/fpheap" && mount --bind "$dir" "$dir" &&
        mount --rbind /proc "$dir/proc" && mount --rbind /sys "$dir/sys" &&
        mount --rbind /dev "$dir/dev" && mount --bind "$top" "$dir/fpheap" &&
        cp -L --remove-destination /etc/resolv.conf "$dir/etc/resolv.conf"
}

[ "$(id -u)" -eq 0 ] || leave "not root"
[ "${FPHEAP_UNSHARED:-}" = $$ ] || leave "no mount namespace may be made"
if ! is_made; then
    FOR=debian tests/install_deps.sh
    have debootstrap || leave "no debootstrap"
    if ! [ -e "/usr/share/debootstrap/scripts/$suite" ]; then
        echo "debian.sh: debootstrap knows no Debian of the name $suite" >&2
        exit 2
    fi
fi
make_chroot || leave "$(tail -n 1 "$dir.log")"
mount_into || leave "the chroot cannot be mounted"
# No package starts what it installs.
printf '#!/bin/sh\nexit 101\n' > "$dir/usr/sbin/policy-rc.d"
chmod 755 "$dir/usr/sbin/policy-rc.d"

rm -rf "$scratch"
exec env -u CC -u CXX -u TMPDIR -u DIR -u FPHEAP_UNSHARED -u LD_LIBRARY_PATH \
    -u PKG_CONFIG_PATH PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \
    chroot "$dir" sh -c \
    'cd /fpheap && { [ -z "${FOR:-}" ] || tests/install_deps.sh; } && exec "$@"' \
    sh "${@:2}"
