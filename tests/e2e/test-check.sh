#!/bin/bash
# What protect would find out is found before it is needed, and asking leaves nothing behind.
# shellcheck disable=SC2154 # lib.bash sets what is not set here
. "${0%/*}/lib.bash"

start_receive tcp:127.0.0.1:0
claim "a guest that a backup would hold is fine" \
    exits 0 "$program" check sim:web1 --to "$address" --run-dir "$run"
claim "each finding is a line" [ "$(grep -c '^ok ' "$work/words.out")" -eq 4 ]
claim "asked again it is as fine" exits 0 "$program" check sim:web1 --to "$address" --run-dir "$run" --json
claim "and so in JSON" python3 -c 'import json, sys; sys.exit(not json.load(open(sys.argv[1]))["ok"])' \
    "$work/words.out"
claim "nothing of it is held" [ "$("$program" status --run-dir "$run" --json)" = '[]' ]

claim "a backup that is not there is told" \
    exits 1 "$program" check sim:web1 --to "unix:$work/nowhere" --run-dir "$run"
claim "by its address" grep -q '^BAD *backup .*nowhere' "$work/words.out"
claim "what is no guest is told" exits 1 "$program" check 'sim:web1?mib=1' --run-dir "$run"
claim "by its rule" grep -q '^BAD *domain .*mib' "$work/words.out"
