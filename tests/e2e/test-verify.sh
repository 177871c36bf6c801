#!/bin/bash
# --verify-every: every page of the replica is compared with the guest's, and a replica that differs is
# given up, said so, and made anew.
# shellcheck disable=SC2154 # lib.bash sets what is not set here
. "${0%/*}/lib.bash"

start_receive "unix:$work/link.sock"
start_protect 'sim:web1?mib=16&workload=idle' "$address" --verify-every 2
claim "a guest gets protected" is_protected
claim "the primary hears of epochs that were found equal" \
    wait_for_event "$work/protect.out" '"event":"verified".*"pages":4096' 3
claim "and the backup says so" wait_for_event "$work/receive.err" 'event=verified' 3
claim "status counts them" grep -Eq '^[1-9]' <(field web1 primary verified.epochs)
claim "on the backup, too" grep -Eq '^[1-9]' <(field web1 backup verified.epochs)
claim "none differs" grep -qx 0 <(field web1 primary verified.differing)

replica=$(pgrep -P "$receiver")
claim "a bit of the replica flips behind its back" python3 "${0%/*}/spoil.py" "$replica"
claim "the backup finds the page" wait_for_event "$work/receive.err" 'event=differs.*"1 of 4096 pages'
claim "and gives the replica up" wait_for_event "$work/receive.err" 'event=ended.*differed from the guest'
claim "the primary hears it" wait_for_event "$work/protect.out" '"event":"differs".*"1 of 4096 pages'
claim "goes on unprotected" wait_for_event "$work/protect.out" '"from":"protected","to":"unprotected"'
claim "and is protected again, by a new replica" wait_for_event "$work/protect.out" '"to":"protected"' 2
start follow "$program" events web1 --role backup --json --run-dir "$run"
claim "that is equal" wait_for_event "$work/follow.out" '"event":"verified"' 2
claim "detach ends protection" exits 0 "$program" detach web1 --run-dir "$run"
claim "the primary ends with 0" wait_for_exit "$primary" 0
kill -TERM "$receiver"
claim "receive ends with 0" wait_for_exit "$receiver" 0
