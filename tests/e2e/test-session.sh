#!/bin/bash
# A guest is protected over each transport, says so to everybody who asks, and lets go when told.
# shellcheck disable=SC2154 # lib.bash sets what is not set here
. "${0%/*}/lib.bash"

session() # ADDRESS-TO-PROTECT-WITH
{
    start_protect 'sim:web1?mib=16&workload=kv&dirty=500' "$1"
    claim "$2: the guest gets protected" is_protected
    claim "$2: the backup commits epoch after epoch" backup_grows web1
    claim "$2: status says protected, in JSON too" exits 0 "$program" status web1 --json --run-dir "$run"
    claim "$2: and its object says so" grep -q '"protected":true,"reason":null,"output":"held"' "$work/words.out"
    claim "$2: the exit status of a healthy primary is 8" exits 8 "$program" status web1 --exit-code --run-dir "$run"
    claim "$2: that of its backup is 0" exits 0 "$program" status web1 --role backup --exit-code --run-dir "$run"
    claim "$2: the backup may be promoted" [ "$(field web1 backup promotion_score)" = 1000 ]
    claim "$2: both name the same lineage" [ "$(field web1 backup lineage)" = "$(field web1 primary lineage)" ]
    claim "$2: all of this host is listed" exits 0 "$program" status --run-dir "$run"
    claim "$2: both sides are in the list" [ "$(grep -c '^web1' "$work/words.out")" -eq 2 ]
    start replica "$program" events web1 --role backup --json --run-dir "$run"
    wait_for_event "$work/replica.out" '"event":"hello"' || fail "$2: events begin with the state now"
    claim "$2: detach ends protection" exits 0 "$program" detach web1 --json --run-dir "$run"
    claim "$2: the primary ends with 0" wait_for_exit "$primary" 0
    claim "$2: the replica says why it ended" wait_for_event "$work/replica.out" \
        '"event":"ended".*"reason":"protection was ended by the primary'
    claim "$2: detach twice is the same as once" exits 0 "$program" detach web1 --run-dir "$run"
    claim "$2: what has ended is not running" exits 7 "$program" status web1 --role primary --run-dir "$run"
}

start_receive tcp:127.0.0.1:0
session "$address" tcp
claim "tcp: receive says why the replica ended" wait_for_event "$work/receive.out" \
    '"event":"replica_ended","domain":"web1".*protection was ended by the primary'
kill -TERM "$receiver"
claim "receive ends with 0" wait_for_exit "$receiver" 0

start_receive "unix:$work/link.sock"
session "unix:$work/link.sock" unix
kill -TERM "$receiver"
claim "receive ends with 0 again" wait_for_exit "$receiver" 0

session "exec:$program receive --stdio --run-dir $run" exec
