#!/bin/bash
# Random guests in every kind of stream (STREAM_SEEDS=1000 of them, from STREAM_SEED=0 on).
set -u
build=${BUILD:-build}
PYTHONDONTWRITEBYTECODE=1 exec "${PYTHON:-python3}" tests/stream/random_test.py \
    "${REPLICATOR:-$build/replicator}" "$build/stream-random" "${STREAM_SEEDS:-1000}" "${STREAM_SEED:-0}"
