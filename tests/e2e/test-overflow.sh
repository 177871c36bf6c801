#!/bin/bash
# More dirty pages than the page buffer holds: bounded memory first, a short pause second, and never a
# broken promise.
# shellcheck disable=SC2154 # lib.bash sets what is not set here
. "${0%/*}/lib.bash"
command -v python3 >/dev/null || { echo "python3 is not installed"; exit 77; }

start_receive "unix:$work/link.sock"

# overflow PAGES: so many dirty an epoch, plain on the wire (compressed ones fit into any buffer)
overflow()
{
    start tap python3 "${0%/*}/overflow_tap.py" "$work/tap.sock" "$work/link.sock" "$run/primary/web$1.sock" 4096
    tap=$started
    wait_for_event "$work/tap.out" 'tap: ready' || fail "$1: the tap listens"
    start_protect "sim:web$1?mib=64&workload=counter&burst=$1&frames=2000&nic=udp:127.0.0.1:9" \
        "unix:$work/tap.sock" --page-buffer 4096 --compression none --timeout 60s
    is_protected || fail "$1: the guest gets protected"
    wait_for_exit "$tap" 0 || fail "$1: $(grep '^not ok' "$work/tap.out")"
    while read -r sentence; do
        ok "$1 dirty pages: $sentence"
    done < <(sed -n 's/^ok [0-9]* - //p' "$work/tap.out")
    kill -9 "$primary"
    rm -f "$work/tap.sock"
}

overflow 5000
overflow 8000 # whose second batch fits no buffer on the way either

start_protect 'sim:web2?mib=64&workload=random&dirty=max&vcpus=2' "$address" --page-buffer 4096
claim "a guest that dirties all it can gets protected" is_protected
backup_grows web2 || fail "it is slowed down, not stopped"
claim "epoch after epoch is committed" backup_grows web2
claim "and larger than the page buffer" [ "$(field web2 primary dirty_pages)" -gt 4096 ]
claim "status says protected" exits 8 "$program" status web2 --exit-code --run-dir "$run"
