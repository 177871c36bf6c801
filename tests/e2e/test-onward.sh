#!/bin/bash
# A guest that was activated is protected in turn, by the process that held its replica, and survives the
# next death as well.
# shellcheck disable=SC2154 # lib.bash sets what is not set here
. "${0%/*}/lib.bash"

# host NAME OPTION…: a receive side in a run-dir of its own
host()
{
    local name=$1
    shift
    start "$name" "$program" receive --run-dir "$work/$name.run" --json --listen "unix:$work/$name.link" \
        --arbiter "file:$work/tokens" "$@"
    wait_for_event "$work/$name.out" '"event":"listening"' || fail "$name listens"
}

# takes_over NAME: the guest becomes active there
takes_over()
{
    wait_for_event "$work/$1.err" 'role=backup from=activating to=active'
}

mkdir "$work/tokens"
host second --onward "unix:$work/third.link"
host third --onward "unix:$work/second.link"
run=$work/third.run # where the guest runs first: what that life leaves there must not count in the next
start_protect 'sim:web1?mib=16&workload=kv&dirty=500&vcpus=2' "unix:$work/second.link" \
    --arbiter "file:$work/tokens" --timeout 2s
is_protected || fail "the guest gets protected"
kill -9 "$primary"
claim "the second host takes over" takes_over second
claim "and protects the guest with the third" wait_for_event "$work/second.err" 'role=primary.* to=protected'
run=$work/second.run
claim "status calls it primary" [ "$(field web1 primary state)" != "" ]
claim "and no longer backup" exits 7 "$program" status web1 --role backup --run-dir "$run"
claim "activate there is done already" exits 0 "$program" activate web1 --run-dir "$run"
holder=$(field web1 primary pid)
kill -9 "$holder"
claim "the third host takes over" takes_over third
run=$work/third.run
claim "and protects the guest with the second, though it was primary once" wait_for_event "$work/third.err" \
    'role=primary.* to=protected'

# Nothing listens onward: the guest runs on, and goes on trying.
run=$work/run
host fourth --onward "unix:$work/nobody.link"
start_protect 'sim:web2?mib=16&workload=kv&dirty=500' "unix:$work/fourth.link" \
    --arbiter "file:$work/tokens" --timeout 2s
is_protected || fail "the other guest gets protected"
kill -9 "$primary"
claim "the fourth host takes over" takes_over fourth
claim "and is unprotected, with the reason" wait_for_event "$work/fourth.err" 'role=primary.*nobody.link'
host nobody
claim "until somebody listens" wait_for_event "$work/fourth.err" 'role=primary.* to=protected'
run=$work/fourth.run
claim "detach ends it, and the replica with it" exits 0 "$program" detach web2 --run-dir "$run"
claim "cleanly" wait_for_event "$work/nobody.err" 'role=backup .*to=ended'
