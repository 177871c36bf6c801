#!/bin/bash
# A long stream (LARGE_MIB=256 of guest) through every tool: memory, and the bar on a terminal.
set -u
build=${BUILD:-build}
mkdir -p "$build/stream-large"
export TMPDIR=$build/stream-large
PYTHONDONTWRITEBYTECODE=1 exec "${PYTHON:-python3}" tests/stream/large.py \
    "${REPLICATOR:-$build/replicator}" "$build/stream-large" "${LARGE_MIB:-256}"
