#!/bin/bash
# fuzz-long RUNS PROGRAM… — every fuzzer RUNS times, one after the other, and a table of what that
# took: nothing may crash, leak, take longer than a second or more than 256 MiB. Starts from the corpus
# in the tree and what earlier runs found; logs and finds are in build/fuzz-long/. Ends with 1 when one
# fuzzer found something.
# The second is one of the clock: an input that took longer because others had the processor, and takes
# less when it is tried again, is counted ("starved") and the fuzzer goes on with another seed.
set -u
runs=$1
shift
folder=${BUILD:-build}/fuzz-long
mkdir -p "$folder"
# What is freed is kept from reuse for a while; 16 MiB of that, since it counts as memory in use.
export ASAN_OPTIONS=quarantine_size_mb=16:detect_leaks=1
limits=(-error_exitcode=1 -timeout_exitcode=2 -timeout=1 -rss_limit_mb=256 -print_final_stats=1)
failed=0

stat_of() # NAME LOG
{
    sed -n "s/^stat::$1: *//p" "$2" | tail -n 1
}

row()
{
    printf '%-18s %12s %8s %10s %9s %8s  %s\n' "$@"
}

# Whether the newest input that was too slow is slow by itself. Removed if not.
is_slow() # PROGRAM NAME
{
    local input
    for input in "$folder/crash-$2-timeout-"*; do
        "$1" "${limits[@]}" "$input" >/dev/null 2>&1 || "$1" "${limits[@]}" "$input" >/dev/null 2>&1 || return 0
        rm -f "$input"
    done
    return 1
}

# Sets done_runs, peak, starved, verdict.
fuzz() # PROGRAM NAME ARGUMENT…
{
    local program=$1 name=$2 log=$folder/$2.log rc seed=${FUZZ_SEED:-1} this
    shift 2
    done_runs=0 peak=0 starved=0 slowest=0 verdict=
    while [ -z "$verdict" ]; do
        "$program" "${limits[@]}" "-runs=$((runs - done_runs))" "-seed=$seed" \
            "-artifact_prefix=$folder/crash-$name-" "$@" >"$log" 2>&1
        rc=$?
        done_runs=$((done_runs + $(stat_of number_of_executed_units "$log" | grep . || echo 0)))
        this=$(stat_of peak_rss_mb "$log")
        [ "${this:-0}" -le "$peak" ] || peak=$this
        this=$(stat_of slowest_unit_time_sec "$log")
        [ "${this:-0}" -le "$slowest" ] || slowest=$this
        if [ "$rc" -eq 0 ]; then
            verdict=clean
        elif [ "$rc" -eq 2 ] && ! is_slow "$program" "$name"; then
            starved=$((starved + 1)) seed=$((seed + 1))
            [ "$done_runs" -lt "$runs" ] || verdict=clean
        else
            verdict=$(grep -m1 -E 'ERROR|SUMMARY' "$log")
            verdict=${verdict:-exit status $rc}
            failed=1
        fi
    done
}

row fuzzer executions seconds slowest_s peak_MiB starved verdict
for program; do
    name=$(basename "$program" _fuzz)
    arguments=()
    [ ! -f "tests/fuzz/$name.dict" ] || arguments+=("-dict=tests/fuzz/$name.dict")
    mkdir -p "$folder/corpus/$name"
    rm -f "$folder/crash-$name-timeout-"*
    arguments+=("$folder/corpus/$name")
    [ ! -d "tests/fuzz/corpus/$name" ] || arguments+=("tests/fuzz/corpus/$name")
    begun=$SECONDS
    fuzz "$program" "$name" "${arguments[@]}"
    row "$name" "$done_runs" $((SECONDS - begun)) "$slowest" "$peak" "$starved" "$verdict"
done
exit $failed
