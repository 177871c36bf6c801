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

commands=()
for test in "$@"; do
    commands+=("${PYTHON:-python3} $test")
done
LAB=${LAB:-check-$$} "${PYTHON:-python3}" tests/xenlab/lab.py with \
    bash tests/tools/run-tests.sh xen "${commands[@]}"
