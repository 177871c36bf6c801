#!/bin/bash
# convert, pack and unpack of every sound golden stream keep the guest, and damage is refused.
set -u
build=${BUILD:-build}
mkdir -p "$build/golden-rewrite"
export TMPDIR=$build/golden-rewrite
PYTHONDONTWRITEBYTECODE=1 exec "${PYTHON:-python3}" tests/stream/rewrite.py \
    "${REPLICATOR:-$build/replicator}" tests/golden/golden.tar.xz "$build/golden-rewrite"
