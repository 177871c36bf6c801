#!/bin/bash
# A guest moves to its backup by plan: nobody is fenced, nothing is lost, and it can be protected again
# in the other direction.
# shellcheck disable=SC2154 # lib.bash sets what is not set here
. "${0%/*}/lib.bash"

# The guest that runs on the backup answers for its own memory.
ask_check()
{
    python3 - "$run/backup/web1.sock" <<'END'
import json, socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.sendall(b'{"op":"check"}\n')
answer = json.loads(s.makefile().readline())
sys.exit(0 if answer == {"ok": True, "state": "whole"} else repr(answer))
END
}

start_receive "unix:$work/link.sock"
start_protect 'sim:web1?mib=16&workload=kv&dirty=500' "unix:$work/link.sock"
claim "before there is a session it is refused" \
    exits 7 "$program" switchover web2 --run-dir "$run"
claim "the guest gets protected" is_protected
claim "the backup does not take it by itself" exits 10 "$program" activate web1 --run-dir "$run"
claim "the switchover succeeds" exits 0 "$program" switchover web1 --json --run-dir "$run"
claim "its answer says where it is" grep -q '"state":"switched"' "$work/words.out"
claim "the primary ends with 0" wait_for_exit "$primary" 0
claim "it is not protected here any more" exits 7 "$program" switchover web1 --run-dir "$run"
claim "the guest runs on the backup" exits 0 "$program" activate web1 --run-dir "$run"
claim "its memory is whole" ask_check
claim "nothing remembers a gift" [ ! -e "$run/primary/web1.past" ]
kill -TERM "$receiver"
wait_for_exit "$receiver" 0
