#!/bin/bash
# How fast checkpoints go: see epoch.c. BENCH_SECONDS=60 a part, BENCH_JSON=FILE for the figures.
set -eu
exec "$BUILD/bench/epoch" "$REPLICATOR" "${BENCH_SECONDS:-60}" ${BENCH_JSON:+"$BENCH_JSON"}
