# shellcheck shell=bash
# debian — functions that make the root folder of a small virtual machine from Debian packages.
# They need no root rights, change nothing on this machine and fetch from where its apt fetches;
# apt's lists and archives are kept in the caller's folder. Sourced, not run.

# The names in a list file, without comments.
debian_list() # FILE
{
    sed 's/#.*//' "$1"
}

debian_apt() # STATE APT-GET'S ARGUMENTS: of a machine where nothing is installed yet
{
    local state=$1
    shift
    mkdir -p "$state/lists/partial" "$state/cache/archives/partial"
    : >"$state/status"
    apt-get -q -q -y -o Debug::NoLocking=1 -o APT::Sandbox::User=root -o Dpkg::Use-Pty=0 \
        -o Dir::State::lists="$state/lists" -o Dir::State::status="$state/status" \
        -o Dir::State::extended_states="$state/extended" -o Dir::Cache="$state/cache" \
        -o Acquire::Retries=3 -o APT::Install-Recommends=0 "$@" </dev/null >&2
}

# Packages with all they depend on, as STATE/cache/archives/*.deb.
debian_fetch() # STATE PACKAGE...
{
    local state=$1
    shift
    debian_apt "$state" update && debian_apt "$state" --download-only install "$@"
}

# The newest kernel of the release, alone: what it depends on is for starting real machines.
debian_fetch_kernel() # STATE, after debian_fetch
{
    local state=$1 package
    package=$(apt-cache -o Dir::State::lists="$state/lists" -o Dir::State::status="$state/status" \
        -o Dir::Cache="$state/cache" depends linux-image-amd64 |
        sed -n 's/^ *Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1)
    [ -n "$package" ] || return 1
    (cd "$state/cache/archives" && debian_apt "$state" download "$package")
}

debian_unpack() # STATE ROOT
{
    local package
    mkdir -p "$2"
    for package in "$1"/cache/archives/*.deb; do
        dpkg-deb --fsys-tarfile "$package" |
            tar -C "$2" -x --no-same-owner --keep-directory-symlink --exclude='./usr/share/doc/*' \
                --exclude='./usr/share/man/*' --exclude='./usr/share/locale/*' || return 1
    done
}

# Only modules whose path matches a pattern stay, and those they need.
debian_keep_modules() # ROOT PATTERNS-FILE
{
    local root=$1 folder version pattern
    folder=$(echo "$root"/lib/modules/*)
    version=${folder##*/}
    depmod -b "$root" "$version" || return 1
    for pattern in $(set -f && debian_list "$2"); do
        # shellcheck disable=SC2254
        while IFS=: read -r path needs; do
            case ${path%.ko*} in
            kernel/$pattern) printf '%s\n' "$path" $needs ;;
            esac
        done <"$folder/modules.dep" | grep . || {
            echo "no module of this kernel is called $pattern" >&2
            return 1
        }
    done | sort -u >"$folder/kept" || return 1
    (cd "$folder" && find kernel -type f | sort | comm -23 - kept | tr '\n' '\0' | xargs -0 rm -f)
    find "$folder/kernel" -type d -empty -delete
    depmod -b "$root" "$version"
}

# The kernel as the ELF file that is packed in it: QEMU starts that too, and an emulated processor
# needs many seconds for the unpacking. (Offsets: Documentation/x86/boot.rst, "setup header".)
debian_unpack_kernel() # VMLINUZ VMLINUX
{
    local number sectors start length
    number=(od -An -v -j)
    sectors=$("${number[@]}" $((0x1f1)) -N 1 -t u1 "$1") || return 1
    start=$("${number[@]}" $((0x248)) -N 4 -t u4 "$1") || return 1
    length=$("${number[@]}" $((0x24c)) -N 4 -t u4 "$1") || return 1
    start=$(((sectors + 1) * 512 + start))
    # The last four octets are the unpacked length, not xz's.
    head -c $((start + length - 4)) "$1" | tail -c +$((start + 1)) | xz -dc >"$2"
}
