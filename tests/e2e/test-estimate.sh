#!/bin/bash
# What protecting a guest would cost is measured on the guest itself, and never beside a protection.
# shellcheck disable=SC2154 # lib.bash sets what is not set here
. "${0%/*}/lib.bash"

figures()
{
    "$program" estimate 'sim:web1?mib=32&workload=kv&dirty=3000' --for 1200ms --pauses 3 --json \
        --run-dir "$run" >"$work/figures"
}
claim "a simulated guest's cost is estimated" figures

holds() # PYTHON EXPRESSION OVER f
{
    python3 -c 'import json, sys; f = json.load(open(sys.argv[1])); sys.exit(not eval(sys.argv[2]))' \
        "$work/figures" "$1"
}
claim "the first copy has every page" holds 'f["seed"]["pages"] == 32 * 256'
claim "there is a row an interval" holds \
    '[r["interval_us"] for r in f["intervals"]] == [25000, 50000, 100000, 200000, 500000, 1000000]'
claim "longer intervals have more pages an epoch" holds \
    'f["intervals"][0]["pages_per_epoch"] <= f["intervals"][5]["pages_per_epoch"]'
claim "no epoch has more pages than the working set" holds \
    'all(0 < r["pages_most"] <= f["working_pages"] for r in f["intervals"])'
claim "what was asked for is tried" holds 'f["suspend_and_resume_us"] is not None'

refused_beside_another()
{
    local end=$((SECONDS + DEADLINE))
    while [ "$SECONDS" -lt "$end" ]; do
        "$program" estimate 'sim:web1?mib=32' --for 60s --run-dir "$run" >/dev/null 2>&1 &
        other=$!
        jobs_started+=("$other")
        while kill -0 "$other" 2>/dev/null && [ "$SECONDS" -lt "$end" ]; do # it ends when it comes second
            "$program" estimate 'sim:web1?mib=32' --for 1ms --run-dir "$run" >/dev/null 2>"$work/words.err"
            [ $? -ne 1 ] || ! grep -q 'protected already' "$work/words.err" || return 0
        done
    done
    return 1
}
claim "two don't read one guest's log" refused_beside_another
kill "$other"
