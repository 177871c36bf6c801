#!/bin/bash
# lint — what can be said about the code without running its tests; one TAP line a rule.
# Layout (clang-format) is only reported: tables are aligned by hand where that reads better.
set -u
program=${BUILD:-build}/replicator
python=${PYTHON:-python3}
n=0 bad=0

verdict() # RC NAME
{
    n=$((n + 1))
    case $1 in
    0) echo "ok $n - $2" ;;
    77) echo "ok $n - $2 # SKIP $3" ;;
    *) echo "not ok $n - $2" && bad=1 ;;
    esac
}

"$python" tests/tools/layers.py --self-test
verdict $? "every planted violation is found"
"$python" tests/tools/layers.py .
verdict $? "layers, clocks, lengths and blanks are as agreed"

if command -v shellcheck >/dev/null; then
    scripts=(.ci/run)
    for script in tests/*/*.sh tests/sim/mutants/*.sh docs/man/*.sh; do
        [ ! -f "$script" ] || scripts+=("$script")
    done
    shellcheck -S warning "${scripts[@]}"
    verdict $? "shellcheck has nothing to warn of"
else
    verdict 77 "shellcheck has nothing to warn of" "shellcheck is not installed"
fi

# The help of the program and of each command: exit 0 and 80 columns at most.
help_fits()
{
    local text rc=0
    text=$("$program" "$@" --help 2>&1 </dev/null) || {
        echo "replicator $* --help: exit status $?"
        return 1
    }
    awk -v who="replicator $*" 'length($0) > 80 { print who ": " $0; bad = 1 } END { exit bad }' \
        <<<"$text" || rc=1
    return $rc
}

if [ -x "$program" ]; then
    rc=0
    help_fits || rc=1
    for command in $("$program" --help 2>&1 </dev/null | sed -n 's/^  *\([a-z][a-z-]*\)  .*/\1/p'); do
        help_fits "$command" || rc=1
    done
    for tool in $("$program" stream --help </dev/null | sed -n 's/^  \([a-z][a-z-]*\)  *[^ ].*/\1/p'); do
        help_fits stream "$tool" || rc=1
    done
    verdict $rc "every help fits 80 columns"
else
    verdict 77 "every help fits 80 columns" "no program yet"
fi

# The manual page says all that --help says, and a formatter has nothing to say about it.
manual_is_whole()
{
    local page=${BUILD:-build}/replicator.1 command option roff rc=0
    for command in $("$program" --help 2>&1 </dev/null | sed -n 's/^  *\([a-z][a-z-]*\)  .*/\1/p'); do
        [ "$command" = help ] || grep -q "^\.SS \"$command\"$" "$page" || {
            echo "$page has nothing of $command"
            rc=1
        }
        for option in $("$program" "$command" --help </dev/null | sed -n 's/^  --\([a-z0-9-]*\).*/\1/p'); do
            roff="\\-\\-${option//-/\\-}"
            [ "$option" = help ] || grep -qxF -e ".B $roff" "$page" || grep -qF -e ".BI $roff \"" "$page" || {
                echo "$page has nothing of $command --$option"
                rc=1
            }
        done
    done
    ! command -v man >/dev/null ||
        [ -z "$(LC_ALL=C man --warnings -E UTF-8 -l -Tutf8 -Z "$page" 2>&1 >/dev/null | tee /dev/stderr)" ] || rc=1
    return $rc
}

if [ -x "$program" ]; then
    manual_is_whole
    verdict $? "the manual page has every command and option"
fi

if command -v clang-format >/dev/null; then
    odd=$(find base compress checkpoint netbuf replicator tests -name '*.[ch]' -exec \
        clang-format --dry-run {} + 2>&1 | grep -c 'code should be clang-formatted')
    echo "# clang-format would touch $odd lines (a report, not a rule)"
fi
exit $bad
