#!/bin/bash
# The machine of the network tests tells the truth: how a command ended, all that it wrote, and that
# the machine died or hung when it did. What runs in it is worth no more than this.
set -u
here=$(dirname "$0")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
n=0 bad=0

verdict() # RC NAME
{
    n=$((n + 1))
    if [ "$1" -eq 0 ]; then
        echo "ok $n - $2"
    else
        echo "not ok $n - $2"
        bad=1
    fi
}

vm()
{
    bash "$here/vm.sh" run -- "$@" >"$work/out" 2>"$work/err"
    status=$?
}

# shellcheck disable=SC2016
vm bash -c 'printf "%s\n" "$@"; seq 60000; touch build/written-inside; printf open; exit 93' name \
    "two  words" "it's \"\$HOME\"" $'a\ttab' ''
verdict $((status != 93)) "a command's exit status is the machine's"
{ printf '%s\n' "two  words" "it's \"\$HOME\"" $'a\ttab' '' && seq 60000 && printf open; } >"$work/want"
cmp "$work/want" "$work/out"
verdict $? "arguments arrive as they are, and all output comes back ($(wc -c <"$work/want") octets)"
[ ! -e build/written-inside ]
verdict $? "what is written inside stays inside"

vm bash -c 'echo before; echo c >/proc/sysrq-trigger; sleep 1000'
verdict $((status != 125)) "a panic is not an end of the command"
grep -q 'sysrq triggered crash' "$work/err"
verdict $? "a panic is shown with the kernel's own words"

# Whether the time is over before the command begins or after is all the same here.
NETVM_TIMEOUT=8 vm sleep 1000
verdict $((status != 124)) "a command that hangs is ended"

# A word of its command line names the machine that this script started.
word=netvm_selftest=$$
mkfifo "$work/fifo"
NETVM_KERNEL_ARGS=$word bash "$here/vm.sh" run -- bash -c 'echo up; sleep 1000' >"$work/fifo" &
runner=$!
exec {fifo}<"$work/fifo"
IFS= read -r line <&"$fifo"
machine=$(pgrep -f "$word")
[ "$line" = up ] && [ -n "$machine" ]
verdict $? "output comes while the command runs"
kill -KILL $runner
wait "$runner" 2>/dev/null
deadline=$((SECONDS + 60))
while kill -0 "$machine" 2>/dev/null && [ "$(ps -o stat= -p "$machine" | cut -c 1)" != Z ] &&
    [ $SECONDS -lt $deadline ]; do
    :
done
! pgrep -f "$word" >/dev/null
verdict $? "the machine ends with its runner, even a killed one"
exit $bad
