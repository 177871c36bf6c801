#!/bin/bash
# manual PROGRAM — the manual page replicator(1) on stdout: what commands and options there are is asked of
# the program itself, so that the page can't say anything else than --help; the rest is written here.
set -eu -o pipefail
program=$1
here=$(dirname "$0")

# A help text as roff: its usage, its summary, its options, and its last words line by line.
roff_of() # HEADING ARGUMENT…
{
    local heading=$1 help
    shift
    help=$("$program" "$@" --help </dev/null)
    awk -v heading="$heading" -f "$here/help.awk" <<<"$help"
}

# The first words of the lines of a list.
names() # ARGUMENT…
{
    "$program" "$@" --help </dev/null | sed -n '/^Exit status/q; s/^  \([a-z][a-z-]*\)  *[^ ].*/\1/p'
}

version=$("$program" version </dev/null | sed -n '1s/^replicator \([^ ,]*\).*/\1/p')
cat <<END
.TH REPLICATOR 1 "" "replicator $version"
.nh
.ad l
.SH NAME
replicator \\- keep a live copy of a running domain on a second host
END
sed '1,/^$/d' "$here/description.roff"
echo .SH COMMANDS
for command in $(names); do
    [ "$command" != help ] || continue
    roff_of SS "$command"
    [ "$command" != stream ] || for tool in $(names stream); do
        roff_of SS stream "$tool"
    done
done
echo .SH EXIT STATUS
"$program" --help </dev/null | sed -n 's/^ *\([0-9][0-9]*\)  \(.*\)/.TP\n\1\n\2/p'
sed '1,/^$/d' "$here/files.roff"
