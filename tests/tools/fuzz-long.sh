#!/bin/bash
# fuzz-long RUNS PROGRAM… — every fuzzer RUNS times, one after the other, and a table of what that
# took: nothing may crash, leak, take longer than a second or more than 256 MiB. Starts from the corpus
# in the tree and what earlier runs found; logs and finds are in build/fuzz-long/. Ends with 1 when one
# fuzzer found something.
set -u
runs=$1
shift
folder=${BUILD:-build}/fuzz-long
mkdir -p "$folder"
# What is freed is kept from reuse for a while; 16 MiB of that, since it counts as memory in use.
export ASAN_OPTIONS=quarantine_size_mb=16:detect_leaks=1
failed=0

stat_of() { # NAME LOG
    sed -n "s/^stat::$1: *//p" "$2"
}

row() {
    printf '%-18s %12s %8s %10s %9s  %s\n' "$@"
}

row fuzzer executions seconds slowest_s peak_MiB verdict
for program; do
    name=$(basename "$program" _fuzz)
    log=$folder/$name.log
    arguments=("-runs=$runs" "-seed=${FUZZ_SEED:-1}" -print_final_stats=1 -error_exitcode=1 -timeout_exitcode=1
               -timeout=1 -rss_limit_mb=256 "-artifact_prefix=$folder/crash-$name-")
    [ ! -f "tests/fuzz/$name.dict" ] || arguments+=("-dict=tests/fuzz/$name.dict")
    mkdir -p "$folder/corpus/$name"
    arguments+=("$folder/corpus/$name")
    [ ! -d "tests/fuzz/corpus/$name" ] || arguments+=("tests/fuzz/corpus/$name")
    begun=$SECONDS
    if "$program" "${arguments[@]}" > "$log" 2>&1; then
        verdict=clean
    else
        verdict=$(grep -m1 -E 'ERROR|SUMMARY' "$log")
        failed=1
    fi
    row "$name" "$(stat_of number_of_executed_units "$log")" $((SECONDS - begun)) \
        "$(stat_of slowest_unit_time_sec "$log")" "$(stat_of peak_rss_mb "$log")" "$verdict"
done
exit $failed
