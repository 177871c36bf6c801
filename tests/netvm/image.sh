#!/bin/bash
# image — makes the machine of the network tests, a kernel and an initramfs with everything in it,
# and prints the folder where both are (vmlinux, initrd). Made once: it is kept outside the tree, in
# $XDG_CACHE_HOME/replicator-netvm/HASH, where HASH changes with what it is made of.
# Exit 77 when the packages can't be fetched, with the reason as the last line.
set -u -o pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/debian.sh"

no_packages() # WHY
{
    echo "no image of a machine: $*" >&2
    exit 77
}

command -v apt-get >/dev/null || no_packages "apt-get is not here, which fetches Debian's packages"
[ "$(dpkg --print-architecture)" = amd64 ] || no_packages "made for amd64 only"

# Programs of the tree run in it, so it is of the release that they were built on.
# shellcheck disable=SC1091
release=$(. /etc/os-release && echo "$ID $VERSION_ID")
recipe=("$here"/{packages,modules,init,debian.sh,image.sh})
hash=$({ echo "$release" && cat "${recipe[@]}"; } | sha256sum | cut -c 1-16)
cache=${XDG_CACHE_HOME:-${HOME:-/var/tmp}/.cache}/replicator-netvm
image=$cache/$hash

if [ -f "$image/initrd" ]; then
    echo "$image"
    exit 0
fi
mkdir -p "$cache" || exit 1
exec {lock}>"$cache/lock"
flock "$lock"
if [ -f "$image/initrd" ]; then # by another run, while this one waited
    echo "$image"
    exit 0
fi

started=$SECONDS
echo "making the machine for network tests (once), in $image" >&2
work=$(mktemp -d "$cache/making.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
root=$work/root

die()
{
    echo "image: $*" >&2
    exit 1
}

configure_root()
{
    mkdir -p "$root"/{etc,proc,sys,dev,run,tmp,root,repo} || return 1
    cp "$here/init" "$root/init" && chmod 755 "$root/init" || return 1
    printf '%s\n' root:x:0:0::/root:/bin/bash tcpdump:x:100:100::/:/bin/false \
        nobody:x:65534:65534::/:/bin/false >"$root/etc/passwd"
    printf '%s\n' root:x:0: tcpdump:x:100: nogroup:x:65534: >"$root/etc/group"
    printf '%s\n' '127.0.0.1 localhost netvm' '::1 localhost' >"$root/etc/hosts"
    # A test names the interfaces it wants.
    mkdir -p "$root/etc/modprobe.d"
    printf 'options %s\n' 'ifb numifbs=0' 'dummy numdummies=0' >"$root/etc/modprobe.d/none.conf"
    # What packages' scripts would have set up.
    ln -sf mawk "$root/usr/bin/awk"
    ln -sf bash "$root/usr/bin/sh"
    ln -sf busybox "$root/usr/bin/nc"
}

slim_root()
{
    local old=$PWD
    cd "$root" || return 1
    rm -rf boot usr/share/{doc,man,info,locale,perl*,bash-completion,lintian,bug,zoneinfo,i18n} \
        usr/lib/x86_64-linux-gnu/{perl*,gconv,libperl*} usr/bin/perl* usr/share/{python-wheels,pixmaps} \
        usr/lib/python3*/{test,idlelib,lib2to3,ensurepip,pydoc_data,distutils,tkinter} var/lib/dpkg
    cd "$old" || return 1
}

# / is merged into /usr, as on a real machine of the release.
mkdir -p "$root"/usr/{bin,sbin,lib,lib64}
for folder in bin sbin lib lib64; do
    ln -s "usr/$folder" "$root/$folder"
done
# shellcheck disable=SC2046
debian_fetch "$work/apt" $(debian_list "$here/packages") || no_packages "could not fetch packages"
debian_fetch_kernel "$work/apt" || no_packages "could not fetch the kernel"
debian_unpack "$work/apt" "$root" || die "could not unpack"
debian_unpack_kernel "$root"/boot/vmlinuz-* "$work/vmlinux" || die "could not unpack the kernel"
debian_keep_modules "$root" "$here/modules" || die "could not choose modules"
configure_root && slim_root || die "could not set up the root folder"
(cd "$root" && find . | LC_ALL=C sort | cpio -o -H newc --owner=0:0 --quiet) >"$work/initrd.part" ||
    die "could not pack"
mkdir "$image" 2>/dev/null
mv "$work/vmlinux" "$image/vmlinux" && mv "$work/initrd.part" "$image/initrd" || die "could not keep it"
echo "made in $((SECONDS - started)) s: $(du -sh "$image" | cut -f 1)" >&2
echo "$image"
