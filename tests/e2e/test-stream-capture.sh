#!/bin/bash
# What a primary says is a stream file: recorded on its way, verified, and told to another receive side.
# shellcheck disable=SC2154 # lib.bash sets what is not set here
. "${0%/*}/lib.bash"
capture=$work/web1.capture

start_receive "unix:$work/link.sock"
start_protect 'sim:web1?mib=16&workload=kv&dirty=500' \
    "exec:$program stream record $capture --to $address"
claim "a recorded guest gets protected" is_protected
claim "and its backup commits epoch after epoch" backup_grows web1
claim "detach ends protection through the recorder" exits 0 "$program" detach web1 --run-dir "$run"
claim "the primary ends with 0" wait_for_exit "$primary" 0
kill -TERM "$receiver"
claim "receive ends with 0" wait_for_exit "$receiver" 0

claim "the capture is a good stream" exits 0 "$program" stream verify --json "$capture"
claim "with checkpoints, of 16 MiB" grep -Eq '"image_pages": 4096.*"checkpoints": [1-9]' "$work/words.out"
image=$(grep -o '"image_sha256": "[^"]*"' "$work/words.out")
claim "it can be packed" exits 0 "$program" stream pack --checkpoint last "$capture" "$work/packed"
claim "and unpacked" exits 0 "$program" stream unpack "$work/packed" "$work/plain"
claim "to a stream" exits 0 "$program" stream verify --json "$work/plain"
claim "of the same image" grep -qF "$image" "$work/words.out"

run=$work/run2
start_receive "unix:$work/link2.sock"
claim "another receive side takes the capture and commits all of it" \
    exits 0 "$program" stream replay "$capture" --to "$address" --json
claim "and says up to which epoch" grep -Eq '"acknowledged": [1-9]' "$work/words.out"
claim "a stream that is no session is not taken" exits 1 "$program" stream replay "$work/plain" --to "$address"
kill -TERM "$receiver"
claim "receive ends with 0 again" wait_for_exit "$receiver" 0

# A recorder that is killed: what it had is a part, and the final name is that of a whole session.
has_parts() { # HOW MANY
    [ ! -e "$capture" ] && [ "$(find "$work" -name "${capture##*/}.part-*" | wc -l)" -eq "$1" ]
}
run=$work/run3
capture=$work/web2.capture
start_receive "unix:$work/link3.sock"
start_protect 'sim:web2?mib=16&workload=kv&dirty=500' \
    "exec:$program stream record $capture --to $address"
claim "another recorded guest gets protected" is_protected
claim "its capture is a part as long as the session lasts" has_parts 1
kill -KILL "$(pgrep -f "^$program stream record $capture ")"
claim "the primary gets protected again, by another recorder" \
    wait_for_event "$work/protect.out" '"to":"protected"' 2
claim "and what the killed one had is kept as a part" has_parts 2
claim "detach ends this session" exits 0 "$program" detach web2 --run-dir "$run"
claim "the primary ends with 0" wait_for_exit "$primary" 0
claim "the capture of the whole session has its name now" exits 0 "$program" stream verify --no-image "$capture"
kill -TERM "$receiver"
claim "receive ends with 0 once more" wait_for_exit "$receiver" 0
claim "a recorder without a backup leaves no capture" \
    exits 1 "$program" stream record "$work/none" --to "unix:$work/nobody.sock"
claim "and no part of one" test -z "$(find "$work" -name 'none*')"
