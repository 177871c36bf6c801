#!/bin/bash
# The primary is killed: with an arbiter the backup goes on by itself, without one on somebody's word.
# shellcheck disable=SC2154 # lib.bash sets what is not set here
. "${0%/*}/lib.bash"

follow_replica()
{
    is_protected || fail "the guest gets protected"
    start replica "$program" events web1 --role backup --json --run-dir "$run"
    wait_for_event "$work/replica.out" '"event":"hello"' || fail "the replica can be followed"
}

stop_guest() # the activated one
{
    local pid
    pid=$(field web1 backup pid)
    kill -TERM "$pid"
    claim "$1: a guest that was activated is stopped by SIGTERM" wait_for_event "$work/replica.out" \
        '"event":"ended".*which ran here, was stopped'
    rm -f "$run/primary/web1.past"
}

mkdir "$work/tokens"
start_receive tcp:127.0.0.1:0 --arbiter "file:$work/tokens"
start_protect 'sim:web1?mib=16&workload=kv&dirty=500' "$address" --arbiter "file:$work/tokens" --timeout 2s
follow_replica
kill -9 "$primary"
claim "file: the backup becomes active by itself" wait_for_event "$work/replica.out" '"to":"active"'
claim "file: activate says it is so" exits 0 "$program" activate web1 --run-dir "$run"
start_protect 'sim:web1?mib=16&workload=kv&dirty=500' "$address" --arbiter "file:$work/tokens"
claim "file: a primary that comes back is fenced" wait_for_event "$work/protect.out" '"to":"fenced"'
claim "file: it ends with 1" wait_for_exit "$primary" 1
claim "file: and says what to do" grep -q 'fenced.*remove' "$work/protect.err"
stop_guest file
kill -TERM "$receiver"
claim "file: receive ends with 0" wait_for_exit "$receiver" 0

start_receive tcp:127.0.0.1:0
claim "activate of what is not held is 7" exits 7 "$program" activate web1 --fenced-by test --run-dir "$run"
start_protect 'sim:web1?mib=16&workload=kv&dirty=500' "$address" --timeout 2s
follow_replica
claim "manual: refused while the primary lives" exits 10 \
    "$program" activate web1 --fenced-by test --run-dir "$run"
kill -9 "$primary"
claim "manual: the backup is alone" wait_for_event "$work/replica.out" '"to":"alone"'
claim "manual: refused without anybody's word" exits 10 "$program" activate web1 --run-dir "$run"
claim "manual: refusal says what to do" grep -q -e '--fenced-by' "$work/words.err"
claim "manual: activated on somebody's word" exits 0 \
    "$program" activate web1 --fenced-by test --json --run-dir "$run"
claim "manual: twice is the same as once" exits 0 "$program" activate web1 --fenced-by test --run-dir "$run"
claim "manual: detach leaves the guest alone" exits 0 "$program" detach web1 --run-dir "$run"
claim "manual: it is still active" [ "$(field web1 backup state)" = active ]
kill -TERM "$receiver"
claim "manual: receive ends with 0" wait_for_exit "$receiver" 0
claim "manual: the guest goes on without it" [ "$(field web1 backup state)" = active ]
stop_guest manual
