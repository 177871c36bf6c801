#!/bin/bash
# check TEST... — runs the tests that need two Xen hosts, in a lab of their own that is gone when they
# have ended. Where no such lab can be had that is one skip with its reason, and never a pass.
set -u
cd "$(dirname "$0")/../.." || exit 1
export BUILD=${BUILD:-build} TEST_TIMEOUT=${TEST_TIMEOUT:-3000} PYTHONDONTWRITEBYTECODE=1
log=$BUILD/logs/xen/lab.log
mkdir -p "$BUILD/logs/xen"

one_result() # WORD P F S TEXT
{
    echo "$1  xen: $5"
    [ -z "${TOTALS:-}" ] || echo "xen $2 $3 $4" >>"$TOTALS"
    echo "${TOTALS:+xen: }$2 passed, $3 failed, $4 skipped"
    [ "$3" -eq 0 ]
    exit
}

{ bash tests/tools/need-packages.sh xen && bash tests/xenlab/image.sh; } >"$log" 2>&1
case $? in
0) ;;
77) one_result skip 0 0 1 "$(tail -n 1 "$log")" ;;
*) tail -n 20 "$log" && one_result FAIL 0 1 0 "no image of a host can be made" ;;
esac
[ "$(id -u)" -eq 0 ] || one_result skip 0 0 1 "the lab needs root, for a network of its own"

# Two labs side by side, where there are two processors: in one guests move, by power cuts most of all, which takes
# as long as all the rest does in the other. LABS=1: one after the other.
moves=() rest=()
for test in "$@"; do
    case $test in
    *"${T:-}"*) ;;
    *) continue ;;
    esac
    case ${LABS:-$(nproc)}:$test in
    1:*) rest+=("${PYTHON:-python3} $test") ;;
    *power-cut* | *switchover* | *tcp*) moves+=("${PYTHON:-python3} $test") ;;
    *) rest+=("${PYTHON:-python3} $test") ;;
    esac
done
totals=$(mktemp)
trap 'rm -f "$totals"' EXIT
trap 'kill $(jobs -p) 2>/dev/null' INT TERM

in_lab() # NUMBER COMMAND...
{
    local lab=$1
    shift
    [ $# -eq 0 ] || LAB=${LAB:-check-$$}-$lab TOTALS=$totals exec "${PYTHON:-python3}" tests/xenlab/lab.py with \
        bash tests/tools/run-tests.sh xen "$@"
}

in_lab 1 "${moves[@]}" &
in_lab 2 "${rest[@]}" &
failed=0
for job in $(jobs -p); do
    wait "$job" || failed=1
done
[ -z "${TOTALS:-}" ] || cat "$totals" >>"$TOTALS"
awk -v suite="${TOTALS:+xen: }" '{ p += $2; f += $3; s += $4 }
    END { print suite p + 0 " passed, " f + 0 " failed, " s + 0 " skipped" }' "$totals"
[ "$failed" -eq 0 ]
