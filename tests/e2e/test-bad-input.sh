#!/bin/bash
# Strangers on the listening socket: one clear line, the connection closed, the last commit unharmed.
# shellcheck disable=SC2154 # lib.bash sets what is not set here
. "${0%/*}/lib.bash"
command -v python3 >/dev/null || { echo "python3 is not installed"; exit 77; }

stranger() # KIND ARGUMENTS…: what it heard is in $work/stranger.out
{
    python3 "${0%/*}/stranger.py" "$address" "$@" >"$work/stranger.out" 2>"$work/stranger.err"
}

# refused KIND ANSWER LINE [ARGUMENTS…]
refused()
{
    local kind=$1 answer=$2 line=$3 lines
    shift 3
    lines=$(wc -l <"$work/receive.err")
    stranger "$kind" "$@" || fail "$kind: the connection is closed"
    [ "$(cat "$work/stranger.out")" = "$answer" ] || fail "$kind: the answer is $answer, not $(cat "$work/stranger.out")"
    wait_for_event "$work/receive.err" "$line" || fail "$kind: a line says why"
    ok "$kind: refused with a line that says why, connection closed"
    [ -z "$line_only" ] || claim "$kind: one line" [ "$(wc -l <"$work/receive.err")" -eq $((lines + 1)) ]
}

start_receive tcp:127.0.0.1:0
start_protect 'sim:web1?mib=16&workload=kv&dirty=500' "$address"
is_protected || fail "the guest gets protected"
backup_grows web1 || fail "the backup commits"
lineage=$(field web1 primary lineage)

line_only=yes
refused garbage closed 'refused peer=127.*stream headers: the marker'
refused http closed 'refused peer=127.*stream headers: the marker'
refused nothing closed 'refused peer=127.*closed the connection after 0 octets'
refused truncated closed 'refused peer=127.*closed the connection after 77 octets'
refused other-record closed 'refused peer=127.*a session begins with HELLO, not with'
refused huge-hello closed 'refused peer=127.*HELLO.*4294967295'
refused nul-name closed 'refused peer=127.*HELLO: a text is too long or holds a NUL'
refused path-name closed 'refused peer=127.*HELLO: the name is not'
refused domain 'verdict 2' 'refused domain=web1.*another domain' web1 "$lineage" 1
line_only=
refused version 'verdict 1' 'refused domain=web2.*protocol version'
refused shape 'verdict 6' 'refused domain=web2.*'
refused huge-record 'verdict 0' 'domain=web3.*record 0 of the session.*4294967295'
refused replayed-ack 'verdict 0' 'domain=web3.*does not send records of type 0x52500012'
refused pages-too-early 'verdict 0' 'domain=web3.*record 0 of the session'

claim "all the while the guest stayed protected" exits 8 "$program" status web1 --exit-code --run-dir "$run"
claim "the session is still the first" [ "$(field web1 primary session)" = 1 ]
claim "and the backup goes on committing" backup_grows web1
claim "and is ready" [ "$(field web1 backup ready)" = true ]

# A stranger that knows everything about the domain, but is late.
uuid=$(field web1 primary uuid)
spec=$(field web1 primary spec)
line_only=yes
refused old-session 'verdict 3' 'refused domain=web1.*an older session' web1 "$lineage" 1 "$uuid" "$spec"
line_only=
claim "an older session harms nothing" exits 8 "$program" status web1 --exit-code --run-dir "$run"

kill -9 "$primary"
start replica "$program" events web1 --role backup --json --run-dir "$run"
claim "the last commit can still be activated" exits 0 \
    "$program" activate web1 --fenced-by test --run-dir "$run"
kill -TERM "$(field web1 backup pid)"
claim "the activated guest ends" wait_for_event "$work/replica.out" 'which ran here, was stopped'
kill -TERM "$receiver"
claim "the daemon has gone on through all of it" wait_for_exit "$receiver" 0
