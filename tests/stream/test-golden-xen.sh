#!/bin/bash
# The golden streams before Xen's own checker and converter (package xen-utils-4.17).
set -u
build=${BUILD:-build}
mkdir -p "$build/golden"
PYTHONDONTWRITEBYTECODE=1 exec "${PYTHON:-python3}" tests/stream/golden_xen.py \
    "${REPLICATOR:-$build/replicator}" tests/golden/golden.tar.xz "$build/golden"
