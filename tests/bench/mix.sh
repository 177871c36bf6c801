#!/bin/bash
# What epochs of 10,000 real pages cost, and which pages the cache keeps: see mix.c, mix.py and cache.c.
# BENCH_ROUNDS=5 of BENCH_EPOCHS=20; BENCH_BEFORE=FILE: the mix of an older build, in turn with ours.
# shellcheck disable=SC2154 # traces.bash sets them
set -eu
. tests/bench/traces.bash
"$BUILD/bench/cache" "${traces[@]}"
exec "${PYTHON:-python3}" tests/bench/mix.py "${BENCH_ROUNDS:-5}" "${BENCH_EPOCHS:-20}" "$BUILD" "${traces[@]}"
