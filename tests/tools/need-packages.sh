#!/bin/bash
# need-packages build|check|bench|net... — makes sure that what the build (or the tests) needs is here.
# Looks first, by trying each tool and library; asks apt only when something is missing, as root or
# through a sudo that needs no password; otherwise names the one command and fails.
set -u
CC=${CC:-gcc}
FUZZ_CC=${FUZZ_CC:-clang}

has_library() # HEADER LIBRARY [HEADERS BEFORE IT]
{
    printf '%s\n#include <%s>\nint main(void) { return 0; }\n' "${3:-}" "$1" |
        $CC -isystem "${LIBNL:-/usr/include/libnl3}" -x c - -o /dev/null "-l$2" 2>/dev/null
}

has_fuzzer()
{
    echo 'int LLVMFuzzerTestOneInput(const char *a, unsigned long n);
          int LLVMFuzzerTestOneInput(const char *a, unsigned long n) { return !a + !n > 2; }' |
        "$FUZZ_CC" -fsanitize=fuzzer,address -x c - -o /dev/null 2>/dev/null
}

# Xen's own checker and converter of streams, wherever its packages (or VERIFY_STREAM) put them.
has_xen_tools()
{
    [ -f "${VERIFY_STREAM:-}" ] || ls /usr/lib/xen-*/bin/verify-stream-v2
}

# What tests compare with, and skip (saying so) where no package has it.
wished=()
wish() # PACKAGE COMMAND...
{
    local package=$1
    shift
    "$@" >/dev/null 2>&1 || wished+=("$package")
}

missing=()
need() # PACKAGE COMMAND...
{
    local package=$1
    shift
    "$@" >/dev/null 2>&1 || missing+=("$package")
}

look_for()
{
    case $1 in
    build)
        need "$(case ${CC##*/} in clang*) echo clang ;; *) echo gcc ;; esac)" command -v "${CC%% *}"
        need binutils command -v ar
        need libc6-dev has_library stdio.h c
        need liblz4-dev has_library lz4.h lz4
        need libxxhash-dev has_library xxhash.h xxhash
        need libjansson-dev has_library jansson.h jansson
        need libssl-dev has_library openssl/evp.h crypto
        need libnl-3-dev has_library netlink/netlink.h nl-3
        need libnl-route-3-dev has_library netlink/route/link.h nl-route-3
        need libxen-dev has_library xenctrl.h xenctrl
        ;;
    check)
        need libcmocka-dev has_library cmocka.h cmocka \
            $'#include <stdarg.h>\n#include <stddef.h>\n#include <setjmp.h>\n#include <stdint.h>'
        need clang command -v "$FUZZ_CC"
        need libclang-rt-dev has_fuzzer
        need python3 command -v python3
        wish xen-utils-4.17 has_xen_tools
        ;;
    net)
        need qemu-system-x86 command -v qemu-system-x86_64
        need cpio command -v cpio
        need kmod command -v depmod
        need xz-utils command -v xz
        need util-linux command -v setpriv
        ;;
    xen)
        look_for net
        need e2fsprogs command -v mke2fs
        need iproute2 command -v ip
        need python3 command -v python3
        ;;
    bench)
        need libzstd-dev has_library zstd.h zstd
        need xz-utils command -v xz
        ;;
    *)
        echo "need-packages: no set named $1 (build, check, bench, net, xen)" >&2
        exit 2
        ;;
    esac
}

look_for_all()
{
    missing=() wished=()
    for set in "$@"; do
        look_for "$set"
    done
}

look_for_all "$@"
[ ${#missing[@]} -eq 0 ] && [ ${#wished[@]} -eq 0 ] && exit 0

may_install()
{
    command -v apt-get && { [ "$(id -u)" -eq 0 ] || sudo -n true; }
}

if [ ${#missing[@]} -eq 0 ] && ! may_install >/dev/null 2>&1; then
    echo "some tests will be skipped without: ${wished[*]}"
    exit 0
fi
if ! command -v apt-get >/dev/null; then
    echo "replicator needs what Debian calls: ${missing[*]}" >&2
    echo "(a C compiler; lz4, xxhash, jansson and libnl-3 with headers; for tests cmocka, clang, python3, QEMU)" >&2
    exit 1
fi
as_root=()
if [ "$(id -u)" -ne 0 ]; then
    if ! sudo -n true 2>/dev/null; then
        echo "packages are missing; run:  sudo apt-get install ${missing[*]}" >&2
        exit 1
    fi
    as_root=(sudo -n)
fi
echo "installing ${missing[*]} ${wished[*]}"
apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300)
"${apt[@]}" update </dev/null >/dev/null || echo "apt-get update failed; trying the lists at hand" >&2
if [ ${#wished[@]} -gt 0 ]; then
    "${apt[@]}" install --no-install-recommends "${wished[@]}" </dev/null ||
        echo "some tests will be skipped without: ${wished[*]}"
fi
[ ${#missing[@]} -gt 0 ] || exit 0
"${apt[@]}" install --no-install-recommends "${missing[@]}" </dev/null || {
    echo "could not install; run:  apt-get install ${missing[*]}" >&2
    exit 1
}
look_for_all "$@"
if [ ${#missing[@]} -gt 0 ]; then
    echo "installed, but still not usable: ${missing[*]}" >&2
    exit 1
fi
