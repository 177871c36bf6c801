#!/bin/bash
# check TEST... — runs scripts and programs in one machine with Debian's stock kernel, each alone,
# by the conventions of tests/tools/run-tests.sh, after a look at whether the machine tells the truth.
# Where no such machine can be had that is one skip with its reason, and never a pass.
set -u
cd "$(dirname "$0")/../.." || exit 1
build=${BUILD:-build}
log=$build/logs/netvm/check.log
mkdir -p "$build/logs/netvm"
passed=0 failed=0 skipped=0
# What a test may be told from outside; emulation needs patience.
TEST_TIMEOUT=${TEST_TIMEOUT:-1800}
told=()
for name in TEST_TIMEOUT ONLY SEED SEQUENCES FAILOVERS EVERY SLEEPS_EVERY; do
    [ -z "${!name:-}" ] || told+=("$name=${!name}")
done

count() # the lines of tests in the log
{
    passed=$((passed + $(grep -c '^pass  ' "$log")))
    failed=$((failed + $(grep -c '^FAIL  ' "$log")))
    skipped=$((skipped + $(grep -c '^skip  ' "$log")))
}

result()
{
    [ -z "${TOTALS:-}" ] || echo "net $passed $failed $skipped" >>"$TOTALS"
    echo "${TOTALS:+net: }$passed passed, $failed failed, $skipped skipped"
    [ "$failed" -eq 0 ]
    exit
}

chosen=()
for test in "$@"; do
    case $test in
    *"${T:-}"*) chosen+=("bash tests/netvm/alone.sh $test") ;;
    esac
done

bash tests/netvm/vm.sh image 2>&1 | tee "$log"
case ${PIPESTATUS[0]} in
0) ;;
77)
    skipped=1
    echo "skip  net: $(tail -n 1 "$log")"
    result
    ;;
*)
    failed=1
    echo "FAIL  net: the machine can't be made"
    result
    ;;
esac

total='^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$'
TOTALS='' bash tests/tools/run-tests.sh net tests/netvm/selftest.sh 2>&1 | tee "$log" |
    grep -v --line-buffered -E "$total"
count
[ ${#chosen[@]} -gt 0 ] || result

# The tests see the tree as it is now: a build at the same time replaces files under their feet.
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
mkdir -p "$tree/$build/test"
cp -r tests "$tree/" && cp -r "$build/tests" "$build/replicator" "$tree/$build/" &&
    cp "$build/test/replicator" "$tree/$build/test/" || {
    failed=$((failed + 1))
    echo "FAIL  net: not everything is built that the tests need"
    result
}

# An image or a QEMU that is here now and fails is a failure, whatever its exit status.
NETVM_TREE=$tree NETVM_TIMEOUT=${NETVM_TIMEOUT:-3600} bash tests/netvm/vm.sh run -- \
    env BUILD="$build" REPLICATOR="$build/replicator" REPLICATOR_TEST="$build/test/replicator" \
    "${told[@]}" \
    bash tests/tools/run-tests.sh net "${chosen[@]}" 2>&1 | tee "$log" |
    grep -v --line-buffered -E "$total"
status=${PIPESTATUS[0]}
count
if ! tail -n 1 "$log" | grep -qE "$total"; then
    failed=$((failed + 1))
    echo "FAIL  net: the machine ended with $status before its tests did"
fi
result
