#!/bin/bash
# Codecs and the pause copy beside their peers: see compress/compress.c. BENCH_ROUNDS=7 of them,
# BENCH_JSON=FILE and BENCH_SVG=FILE for the results, BENCH_TRACES="FILE.tr..." for more traces,
# BENCH_LOADS=W4,vm and BENCH_ROWS="delta,legacy Remus" for some only;
# BENCH_QUICK=1 for caches cold and one thread only.
# shellcheck disable=SC2154 # traces.bash sets them
set -eu
. tests/bench/traces.bash
# shellcheck disable=SC2086 # file names, separated by blanks
exec "$BUILD/bench/compress" "${BENCH_ROUNDS:-7}" "${BENCH_JSON:-$folder/figures.json}" \
    "${BENCH_SVG:-$folder/speed-ratio.svg}" "${traces[@]}" ${BENCH_TRACES:-}
