#!/bin/bash
# The demo proves failovers over both transports, and its judge condemns a primary that holds nothing.
program=${REPLICATOR:-build/replicator}
out=$(mktemp)
# A busy machine must not look like a death: the timeout is longer than the demo's own.
trap 'rm -f "$out"' EXIT
tests=0

claim() # SENTENCE EXIT-STATUS PATTERN ARGUMENTS…
{
    local sentence=$1 want=$2 pattern=$3 got
    shift 3
    "$program" demo --mib 64 --timeout 1s "$@" >"$out" 2>&1
    got=$?
    tests=$((tests + 1))
    if [ "$got" -eq "$want" ] && grep -q "$pattern" "$out"; then
        echo "ok $tests - $sentence"
    else
        sed 's/^/  /' "$out"
        echo "not ok $tests - $sentence"
        exit 1
    fi
}

claim "over tcp every promise is kept" 0 "every promise kept" --kills 3
claim "over a unix socket too" 0 "every promise kept" --kills 2 --transport unix
claim "one round shows its table and its summary" 0 "P1 output commit      kept" --seconds 1
# Long epochs: whenever the primary dies, something that no commit has was said.
claim "output that is not held is condemned by what was seen" 1 "P1 BROKEN" --kills 3 --interval 500ms \
    --unsafe no-netbuf
