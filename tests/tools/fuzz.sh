#!/bin/bash
# fuzz PROGRAM — replays the corpus in the tree, then looks for new inputs for FUZZ_SECONDS from
# FUZZ_SEED (a fixed one, so that a check says the same twice; give another to look elsewhere).
# Finds go to build/fuzz/corpus/NAME (move good ones to tests/fuzz/corpus/NAME), crashes to
# build/fuzz/crash-NAME-*.
set -u
program=$1
name=$(basename "$program" _fuzz)
kept=tests/fuzz/corpus/$name
found=${BUILD:-build}/fuzz/corpus/$name
# libFuzzer ends with 77 when it found something, which here would mean skipped.
limits=(-error_exitcode=1 -timeout_exitcode=1 -timeout=10 -rss_limit_mb=1024 "-artifact_prefix=${BUILD:-build}/fuzz/crash-$name-")
mkdir -p "$found"
seeds=()
if [ -d "$kept" ]; then
    seeds=("$kept")
    "$program" -runs=0 "${limits[@]}" "$kept" || exit 1
fi
dictionary=()
[ ! -f "tests/fuzz/$name.dict" ] || dictionary=("-dict=tests/fuzz/$name.dict")
"$program" "-seed=${FUZZ_SEED:-1}" "-max_total_time=${FUZZ_SECONDS:-10}" -print_final_stats=1 "${limits[@]}" \
    "${dictionary[@]}" "$found" "${seeds[@]}" 2>&1 |
    awk '{ print } /number_of_executed_units/ { n = $2 }
         END { if (n) print "# '"$name"': " n " inputs in '"${FUZZ_SECONDS:-10}"' s" }'
exit "${PIPESTATUS[0]}"
