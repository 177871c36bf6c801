#!/bin/bash
# run-tests SUITE COMMAND... — runs each command in turn and prints a line a test.
# A command that prints TAP lines ("ok 1 - name", "not ok 2 - name", "ok 3 # SKIP why") is as many
# tests as it prints; any other is one: exit 0 passed, 77 skipped, else failed. Lines that start
# with "# " are shown as they come; the whole output of a command that failed is shown after it.
# The last line is "N passed, N failed, N skipped"; exit 1 when one failed.
#   T=word        only commands whose text contains it
#   TEST_TIMEOUT  seconds after which a command has failed (a hang must end; 600)
#   TOTALS        a file that gets "SUITE PASSED FAILED SKIPPED" appended
set -u
suite=$1
shift
logs=${BUILD:-build}/logs/$suite
mkdir -p "$logs"
# The rules every test may rely on: cmocka speaks TAP, sanitizers end the process.
export CMOCKA_MESSAGE_OUTPUT=TAP
export ASAN_OPTIONS=${ASAN_OPTIONS:-abort_on_error=0:detect_leaks=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
export TSAN_OPTIONS=${TSAN_OPTIONS:-atexit_sleep_ms=0}
passed=0 failed=0 skipped=0

# Copies a command's output to LOG, prints the line of each test as it comes (awk reads a pipe by blocks on
# Debian), leaves "P F S" in COUNTS.
show() # NAME LOG COUNTS
{
    local line is_result='^(not )?ok [0-9]+ *(- )?(.*)$' p=0 f=0 s=0
    while IFS= read -r line || [ -n "$line" ]; do
        printf '%s\n' "$line" >&3
        if [[ $line =~ $is_result ]]; then
            case $line in
            *'# SKIP'* | *'#SKIP'*) s=$((s + 1)) && printf 'skip' ;;
            not*) f=$((f + 1)) && printf 'FAIL' ;;
            *) p=$((p + 1)) && printf 'pass' ;;
            esac
            printf '  %s %s: %s\n' "$suite" "$1" "${BASH_REMATCH[3]}"
        elif [[ $line == '# '* && ! $line =~ ^#\ (not\ )?ok\ -\  ]]; then
            printf '%s\n' "$line"
        fi
    done 3>"$2"
    echo "$p $f $s" >"$3"
}

run_one()
{
    local command=$1 name log counts rc p f s
    name=${command#bash tests/tools/}
    name=${name##*/}
    name=${name%% *}
    log=$logs/$name.log counts=$logs/$name.counts
    case ${command%% *} in
    *.sh) command="bash $command" ;;
    esac
    : >"$log"
    # shellcheck disable=SC2086
    timeout --kill-after=10 "${TEST_TIMEOUT:-600}" $command </dev/null 2>&1 |
        show "$name" "$log" "$counts"
    rc=${PIPESTATUS[0]}
    read -r p f s <"$counts"
    if [ $((p + f + s)) -eq 0 ]; then
        case $rc in
        0) p=1 && echo "pass  $suite $name" ;;
        77) s=1 && echo "skip  $suite $name: $(tail -n 1 "$log")" ;;
        *) f=1 && echo "FAIL  $suite $name: exit status $rc" ;;
        esac
    elif [ "$rc" -ne 0 ] && [ "$rc" -ne 77 ] && [ "$f" -eq 0 ]; then
        f=1
        echo "FAIL  $suite $name: exit status $rc after its last test"
    fi
    [ "$f" -eq 0 ] || tail -n 200 "$log" | sed "s/^/    /"
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
}

for command in "$@"; do
    case $command in
    *"${T:-}"*) run_one "$command" ;;
    esac
done
[ -z "${TOTALS:-}" ] || echo "$suite $passed $failed $skipped" >>"$TOTALS"
echo "${TOTALS:+$suite: }$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
