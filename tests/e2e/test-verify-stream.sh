#!/bin/bash
# What we write without compression is a libxc stream for Xen's own checker, and what only we can
# decode is refused by it. The checker is verify-stream-v2 of Debian's xen-utils-*; VERIFY_STREAM
# names one that is elsewhere (its python modules are looked for beside it).
set -u
writer=${BUILD:-build}/tests/e2e/write_plain_stream
verifier=${VERIFY_STREAM:-}
for candidate in /usr/lib/xen-*/bin/verify-stream-v2; do
    [ -n "$verifier" ] || [ ! -f "$candidate" ] || verifier=$candidate
done
if [ -z "$verifier" ]; then
    echo "verify-stream-v2 is not installed (package xen-utils-4.17)"
    exit 77
fi
modules=$(dirname "$(dirname "$verifier")")/lib/python
python=/usr/bin/python3
if ! PYTHONPATH=$modules $python -c 'import xen.migration.verify' 2>/dev/null; then
    echo "the python modules of $verifier do not load in $python"
    exit 77
fi

logs=${BUILD:-build}/logs/verify-stream
mkdir -p "$logs"

# Writes a stream and checks it. From a file: the checker takes a short read of a pipe for its end.
verify() # NAME [ARGUMENT OF THE WRITER]
{
    "$writer" ${2:+"$2"} >"$logs/$1.stream" || return 99
    PYTHONPATH=$modules PYTHONDONTWRITEBYTECODE=1 $python "$verifier" --verbose --format libxc \
        --in "$logs/$1.stream" >"$logs/$1.log" 2>&1
}

n=0 bad=0
verdict() # RC NAME
{
    n=$((n + 1))
    if [ "$1" -eq 0 ]; then echo "ok $n - $2"; else echo "not ok $n - $2" && bad=1; fi
}

verify plain
rc=$?
[ $rc -eq 0 ] || cat "$logs/plain.log"
verdict $rc "a plain stream passes Xen's own checker"

grep -q '^Libxc Image Header: Version 3' "$logs/plain.log" &&
    [ "$(grep -c '^Libxc Record: Checkpoint,' "$logs/plain.log")" -eq 3 ] &&
    grep -q '^Libxc Record: End,' "$logs/plain.log"
verdict $? "the checker saw version 3, three checkpoints and the end"

verify encoded encoded
[ $? -eq 1 ] && grep -q 'record type 0x52500001' "$logs/encoded.log"
verdict $? "pages that only we can decode are refused by it, not skipped"
rm -f "$logs"/*.stream
exit $bad
