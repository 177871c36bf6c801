# lib — what the end-to-end tests share. Sourced, never run. Every wait is for an event with a
# deadline, never for time. A test is a line `ok N - a sentence`; the first failure ends the script.
# shellcheck shell=bash disable=SC2034
set -u
program=${REPLICATOR_TEST:-build/test/replicator}
work=$(mktemp -d "${TMPDIR:-/tmp}/replicator-e2e-XXXXXX")
run=$work/run
tests=0
jobs_started=()
DEADLINE=${DEADLINE:-30}

# Processes of ours only: those started here, and the replicas that name themselves in this run-dir.
cleanup()
{
    local pid
    for pid in "${jobs_started[@]}" $(cat "$work"/*/primary/*.lock "$work"/*/backup/*.lock 2>/dev/null); do
        case $(readlink "/proc/$pid/exe" 2>/dev/null) in
        */replicator*) kill -9 "$pid" 2>/dev/null ;;
        esac
    done
    wait 2>/dev/null
    rm -rf "$work"
}
trap cleanup EXIT

ok()
{
    tests=$((tests + 1))
    echo "ok $tests - $1"
}

fail()
{
    tests=$((tests + 1))
    echo "not ok $tests - $1"
    for log in "$work"/*.err "$work"/*.out; do
        [ ! -s "$log" ] || tail -n 12 "$log" | sed "s|^|  ${log##*/}: |"
    done
    exit 1
}

# claim SENTENCE COMMAND…: the command succeeds
claim()
{
    local sentence=$1
    shift
    "$@" || fail "$sentence"
    ok "$sentence"
}

# exits CODE COMMAND…: with that status, words into $work/words.err
exits()
{
    local want=$1 got
    shift
    "$@" >"$work/words.out" 2>"$work/words.err"
    got=$?
    [ "$got" -eq "$want" ] || echo "  $*: exit $got, not $want"
    [ "$got" -eq "$want" ]
}

# wait_for_event FILE PATTERN [N]: N lines that match (grep -E) come, or have come, before the deadline
wait_for_event()
{
    local line fd tail_pid end=$((SECONDS + DEADLINE)) rc=1 more=${3:-1}
    exec {fd}< <(exec tail -n +1 -s 0.02 -f "$1" 2>/dev/null)
    tail_pid=$!
    while [ $((end - SECONDS)) -gt 0 ] && IFS= read -r -t $((end - SECONDS)) -u "$fd" line; do
        [[ $line =~ $2 ]] || continue
        more=$((more - 1))
        if [ $more -eq 0 ]; then
            rc=0
            break
        fi
    done
    kill "$tail_pid" 2>/dev/null
    exec {fd}<&-
    [ $rc -eq 0 ] || echo "  $1 never said: $2"
    return $rc
}

# wait_for_exit PID CODE: it ends by itself before the deadline, with that status
wait_for_exit()
{
    local got
    timeout "$DEADLINE" tail --pid="$1" -s 0.02 -f /dev/null || echo "  process $1 does not end"
    kill -0 "$1" 2>/dev/null && return 1
    wait "$1"
    got=$?
    [ "$got" -eq "$2" ] || echo "  process $1: exit $got, not $2"
    [ "$got" -eq "$2" ]
}

# start NAME COMMAND…: in the background, its output in $work/NAME.{out,err}, its pid in $started
start()
{
    local name=$1
    shift
    : >"$work/$name.out"
    "$@" >"$work/$name.out" 2>"$work/$name.err" &
    started=$!
    jobs_started+=("$started")
}

# start_receive ADDRESS OPTION…: the real address in $address, the pid in $receiver
start_receive()
{
    start receive "$program" receive --run-dir "$run" --json --listen "$@"
    receiver=$started
    wait_for_event "$work/receive.out" '"event":"listening"' || fail "receive listens"
    address=$(sed -n 's/.*"event":"listening","address":"\([^"]*\)".*/\1/p' "$work/receive.out")
}

# start_protect SPEC TO OPTION…: the pid in $primary. A stall of the machine is no death: the timeout is
# longer than the default unless a test waits for one.
start_protect()
{
    local spec=$1 to=$2
    shift 2
    start protect "$program" protect --run-dir "$run" --json "$spec" --to "$to" --timeout 3s "$@"
    primary=$started
}

is_protected()
{
    wait_for_event "$work/protect.out" '"to":"protected"'
}

# field DOMAIN ROLE NAME
field()
{
    "$program" status "$1" --role "$2" --field "$3" --run-dir "$run" 2>"$work/words.err"
}

# backup_grows DOMAIN: one more epoch is committed than there is now
backup_grows()
{
    start follow "$program" events "$1" --role backup --epochs --json --run-dir "$run"
    wait_for_event "$work/follow.out" '"event":"epoch"'
}
