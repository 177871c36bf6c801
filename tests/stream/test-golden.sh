#!/bin/bash
# The golden streams: what their generator makes is what is kept, `stream verify` says of each what the
# generator says (read from a file and from a pipe), and Xen's tools agree where they can.
set -u
build=${BUILD:-build}
python=${PYTHON:-python3}
archive=tests/golden/golden.tar.xz
export PYTHONDONTWRITEBYTECODE=1
"$python" tests/golden/make_streams.py --compare "$archive" || {
    echo "not ok 1 - the golden archive is what its generator makes"
    exit 1
}
echo "ok 1 - the golden archive is what its generator makes"
mkdir -p "$build/golden"
exec "$python" tests/stream/golden.py "${REPLICATOR:-$build/replicator}" "$archive" "$build/golden"
