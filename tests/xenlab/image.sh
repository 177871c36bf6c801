#!/bin/bash
# image — makes what the hosts of the Xen lab boot from, and prints the folder where it is:
#   xen      the hypervisor              vmlinux     the kernel of dom0
#   initrd   as much as mounts the disk  rootfs.img  the disk: dom0's root folder, with the guests' kernels
#   modules  for the guests: the modules of their devices
# Made once: it is kept outside the tree, in $XDG_CACHE_HOME/replicator-xenlab/HASH, where HASH
# changes with what it is made of. Needs no root rights.
# Exit 77 when the packages can't be fetched, with the reason as the last line.
set -u -o pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../netvm/debian.sh"

no_packages() # WHY
{
    echo "no image of a Xen host: $*" >&2
    exit 77
}

command -v apt-get >/dev/null || no_packages "apt-get is not here, which fetches Debian's packages"
[ "$(dpkg --print-architecture)" = amd64 ] || no_packages "made for amd64 only"

# Programs of the tree run in it, so it is of the release that they were built on.
# shellcheck disable=SC1091
release=$(. /etc/os-release && echo "$ID $VERSION_ID")
recipe=("$here"/{packages,modules,init,image.sh} "$here/../netvm/debian.sh")
hash=$({ echo "$release" && cat "${recipe[@]}"; } | sha256sum | cut -c 1-16)
cache=${XDG_CACHE_HOME:-${HOME:-/var/tmp}/.cache}/replicator-xenlab
image=$cache/$hash

if [ -f "$image/rootfs.img" ]; then
    echo "$image"
    exit 0
fi
mkdir -p "$cache" || exit 1
exec {lock}>"$cache/lock"
flock "$lock"
if [ -f "$image/rootfs.img" ]; then # by another run, while this one waited
    echo "$image"
    exit 0
fi

started=$SECONDS
echo "making the hosts of the Xen lab (once), in $image" >&2
work=$(mktemp -d "$cache/making.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
root=$work/root

die()
{
    echo "image: $*" >&2
    exit 1
}

# What packages' scripts would have set up.
configure_root()
{
    mkdir -p "$root"/{etc,proc,sys,dev,run,tmp,root,host,var/lib/xen,var/log/xen} ||
        return 1
    install -m 755 "$here/init" "$root/sbin/init" || return 1
    printf '%s\n' root:x:0:0::/root:/bin/bash tcpdump:x:100:100::/:/bin/false \
        nobody:x:65534:65534::/:/bin/false >"$root/etc/passwd"
    printf '%s\n' root:x:0: tcpdump:x:100: nogroup:x:65534: >"$root/etc/group"
    printf '%s\n' '127.0.0.1 localhost' >"$root/etc/hosts"
    printf '%s\n' 'PS1="\h:\w# "' >"$root/root/.bashrc"
    # A test names the interfaces it wants.
    mkdir -p "$root/etc/modprobe.d"
    printf 'options %s\n' 'ifb numifbs=0' 'dummy numdummies=0' >"$root/etc/modprobe.d/none.conf"
    rm -rf "$root"/var/{run,lock}
    ln -sfn /run/lock "$root/var/lock" && ln -sfn /run "$root/var/run"
    ln -sf mawk "$root/usr/bin/awk" && ln -sf bash "$root/usr/bin/sh" && ln -sf busybox "$root/usr/bin/nc"
    ldconfig -r "$root" 2>/dev/null
}

slim_root()
{
    local old=$PWD
    cd "$root" || return 1
    rm -rf boot/* usr/share/{doc,man,info,locale,perl*,bash-completion,lintian,bug,zoneinfo,i18n,ovmf} \
        usr/lib/x86_64-linux-gnu/{perl*,gconv,libperl*} usr/bin/perl* \
        usr/share/{python-wheels,pixmaps,icons} \
        usr/lib/python3*/{test,idlelib,lib2to3,ensurepip,pydoc_data,distutils,tkinter} var/lib/dpkg
    cd "$old" || return 1
}

# As much of a system as finds the modules of the disk and goes on from there.
make_initrd()
{
    local early=$work/early folder version module
    folder=$(echo "$root"/lib/modules/*)
    version=${folder##*/}
    mkdir -p "$early"/{bin,modules,dev,proc,sys,root} && cp "$root/bin/busybox" "$early/bin/" || return 1
    for module in virtio_pci virtio_blk crc32c_generic ext4; do
        modprobe -d "$root" -S "$version" --show-depends "$module"
    done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' >"$work/order" || return 1
    {
        echo '#!/bin/busybox sh'
        echo '/bin/busybox mount -t devtmpfs devtmpfs /dev'
        while read -r module; do
            cp "$module" "$early/modules/" || return 1
            echo "/bin/busybox insmod /modules/${module##*/}"
        done <"$work/order"
        echo '/bin/busybox mount -t ext4 /dev/vda /root || exec /bin/busybox poweroff -f'
        echo '/bin/busybox mount --move /dev /root/dev'
        echo 'exec /bin/busybox switch_root /root /sbin/init'
    } >"$early/init" && chmod 755 "$early/init" || return 1
    (cd "$early" && find . | LC_ALL=C sort | cpio -o -H newc --owner=0:0 --quiet) | gzip -1
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
mkdir -p "$work/made/modules"
gzip -dc "$root"/boot/xen-4.17-amd64.gz >"$work/made/xen" || die "could not unpack Xen"
mv "$root"/boot/vmlinuz-* "$work/vmlinuz" &&
    debian_unpack_kernel "$work/vmlinuz" "$work/made/vmlinux" || die "could not unpack the kernel"
debian_keep_modules "$root" "$here/modules" || die "could not choose modules"
cp "$root"/lib/modules/*/kernel/drivers/{net/xen-netfront,block/xen-blkfront}.ko "$work/made/modules/" ||
    die "no modules for guests"
make_initrd >"$work/made/initrd" || die "could not pack the initrd"
configure_root && slim_root && cp "$work/vmlinuz" "$work/made/vmlinux" "$root/boot/" ||
    die "could not set up the root folder"
size=$(du -sm "$root" | cut -f 1)
mke2fs -q -t ext4 -E root_owner=0:0 -O ^has_journal,^metadata_csum -d "$root" "$work/made/part" \
    "$((size * 5 / 4 + 64))M" >/dev/null ||
    die "could not make the disk"
mv "$work/made/part" "$work/made/rootfs.img"
rm -rf "$image"
mv "$work/made" "$image" || die "could not keep it"
echo "made in $((SECONDS - started)) s: $(du -sh "$image" | cut -f 1)" >&2
echo "$image"
