#!/bin/bash
# Whoever ends it and however often: a clean end never becomes a failover, and both sides say why.
# shellcheck disable=SC2154 # lib.bash sets what is not set here
. "${0%/*}/lib.bash"

protect()
{
    start_protect "sim:web1?mib=16&workload=kv&dirty=500$1" "$address" --arbiter "file:$work/tokens"
    is_protected || fail "the guest gets protected"
    start replica "$program" events web1 --role backup --json --run-dir "$run"
    wait_for_event "$work/replica.out" '"event":"hello"' || fail "the replica can be followed"
}

ended()
{
    claim "$1: protect ends with 0" wait_for_exit "$primary" 0
    claim "$1: the replica says why" wait_for_event "$work/replica.out" "\"event\":\"ended\".*$2"
    claim "$1: receive says so too" wait_for_event "$work/receive.out" "\"event\":\"replica_ended\".*$2"
    claim "$1: nobody became active" exits 1 grep -q '"to":"active"' "$work/replica.out"
    claim "$1: no token was taken" [ -z "$(ls -A "$work/tokens")" ]
    : >"$work/receive.out"
}

mkdir "$work/tokens"
start_receive tcp:127.0.0.1:0 --arbiter "file:$work/tokens"

protect '&steps=1500'
ended "the guest shut down" 'protection was ended by the primary'

protect ''
claim "a second process for the same domain is refused" exits 1 \
    "$program" protect 'sim:web1?mib=16' --to "$address" --run-dir "$run"
claim "and is told who has it" grep -q "by process $primary" "$work/words.err"
kill -TERM "$primary"
ended "SIGTERM to the primary" 'protection was ended by the primary'

protect ''
claim "activation of a replica whose primary lives is refused" exits 10 \
    "$program" activate web1 --run-dir "$run"
kill -INT "$primary"
ended "SIGINT to the primary" 'protection was ended by the primary'

protect ''
kill -TERM "$receiver"
claim "SIGTERM to receive: it ends with 0" wait_for_exit "$receiver" 0
claim "SIGTERM to receive: the replica says why" wait_for_event "$work/replica.out" \
    '"event":"ended".*the replica was stopped'
claim "SIGTERM to receive: the guest goes on, unprotected" wait_for_event "$work/protect.out" \
    '"to":"unprotected"'
claim "SIGTERM to receive: status says so by 9" exits 9 "$program" status web1 --exit-code --run-dir "$run"
claim "SIGTERM to receive: no token was taken" [ -z "$(ls -A "$work/tokens")" ]
claim "detach of an unprotected guest ends it" exits 0 "$program" detach web1 --run-dir "$run"
claim "with 0" wait_for_exit "$primary" 0
