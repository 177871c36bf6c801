#!/bin/bash
# What convert and unpack write, of random guests, before Xen's own checker (package xen-utils-4.17).
# STREAMS and SEED choose others: 300 guests are more than 1,000 streams.
set -u
build=${BUILD:-build}
mkdir -p "$build/generated"
export TMPDIR=$build/generated
PYTHONDONTWRITEBYTECODE=1 exec "${PYTHON:-python3}" tests/stream/generated_xen.py \
    "${REPLICATOR:-$build/replicator}" tests/golden "$build/generated" "${STREAMS:-300}" "${SEED:-1}"
