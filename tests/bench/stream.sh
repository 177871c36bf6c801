#!/bin/bash
# How fast streams are read and written, from the page cache, one core each: verify (with and without the
# image's digest), pack, unpack; beside them Xen's own checker on the same file, in the same run.
#   BENCH_STREAM_MIB=4096  size of the guest        TMPDIR     where its files go (removed afterwards)
#   BENCH_STREAM_RUNS=3    the best run counts      VERIFY_STREAM   a verify-stream-v2 that is elsewhere
set -eu
mib=${BENCH_STREAM_MIB:-4096}
runs=${BENCH_STREAM_RUNS:-3}
python=${PYTHON:-python3}
scratch=$(mktemp -d "${TMPDIR:-/tmp}/replicator-stream.XXXXXX")
trap 'rm -rf "$scratch"' EXIT

free=$(df --output=avail -m "$scratch" | tail -n 1)
if [ "$free" -lt $((5 * mib)) ]; then
    echo "$scratch has $free MiB, $((5 * mib)) are needed (BENCH_STREAM_MIB)"
    exit 77
fi

one_core=()
! command -v taskset >/dev/null || one_core=(taskset -c 0)

# Microseconds of the best run: on the clock, of processor time, and what of that is the program's own (the
# rest is the kernel's: copies, new pages). The first run fills the page cache and does not count. On a
# machine that others use too, the clock says little.
best() # COMMAND...
{
    local n wall cpu own least_wall='' least_cpu='' least_own='' TIMEFORMAT='%3R %3U %3S'
    for ((n = 0; n <= runs; n++)); do
        { time "${one_core[@]}" "$@" >/dev/null 2>"$scratch/said"; } 2>"$scratch/times" || {
            cat "$scratch/said" >&2
            return 1
        }
        read -r wall cpu own < <(awk '{ printf "%d %d %d\n", $1 * 1e6, ($2 + $3) * 1e6, $2 * 1e6 }' "$scratch/times")
        [ "$n" -gt 0 ] || continue
        [ -n "$least_wall" ] && [ "$least_wall" -le "$wall" ] || least_wall=$wall
        [ -n "$least_cpu" ] && [ "$least_cpu" -le "$cpu" ] || least_cpu=$cpu
        [ -n "$least_own" ] && [ "$least_own" -le "$own" ] || least_own=$own
    done
    echo "$least_wall $least_cpu $least_own"
}

report() # WHAT MICROSECONDS MICROSECONDS-OF-CPU MICROSECONDS-OF-OWN [WANTED GB/s]
{
    awk -v what="$1" -v us="$2" -v cpu="$3" -v own="$4" -v want="${5:-}" -v bytes="$bytes" 'BEGIN {
        rate = bytes / us / 1000
        printf "%-34s %8.3f s %6.2f GB/s   cpu %7.3f s %6.2f GB/s   own %7.3f s%s\n", what,
               us / 1e6, rate, cpu / 1e6, (cpu > 0 ? bytes / cpu / 1000 : 0), own / 1e6,
               want == "" ? "" : sprintf("   (promised %s: %s)", want, (rate >= want ? "kept" : "MISSED")) }'
}

"$python" -B tests/bench/make_image.py "$mib" >"$scratch/image"
bytes=$(stat -c %s "$scratch/image")
echo "a v3 stream of $bytes octets, best of $runs runs on one core"
measure() # WHAT WANTED COMMAND...
{
    local times
    times=$(best "${@:3}")
    # shellcheck disable=SC2086
    report "$1" $times $2
}

plain=$(best "$REPLICATOR" stream verify --no-image "$scratch/image")
# shellcheck disable=SC2086
report "verify --no-image" $plain 1.5
# shellcheck disable=SC2016 # that shell expands them
# A file's pages are passed over unread when nobody wants their digest; a pipe's are all read.
measure "verify --no-image from a pipe" 1.5 sh -c 'cat "$1" | "$2" stream verify --no-image -' - "$scratch/image" "$REPLICATOR"
measure "verify, the image's SHA-256 too" "" "$REPLICATOR" stream verify "$scratch/image"
measure "pack" "" "$REPLICATOR" stream pack --no-sync "$scratch/image" "$scratch/packed"
echo "packed: $(stat -c %s "$scratch/packed") octets"
measure "verify --no-image of the packed" "" "$REPLICATOR" stream verify --no-image "$scratch/packed"
measure "unpack" 1.0 "$REPLICATOR" stream unpack --no-sync "$scratch/packed" "$scratch/unpacked"
measure "cp, for what this machine can do" "" cp "$scratch/image" "$scratch/copy"
rm -f "$scratch/copy"
a=$("$REPLICATOR" stream verify --json "$scratch/image" | grep -o '"image_sha256": "[^"]*"')
b=$("$REPLICATOR" stream verify --json "$scratch/unpacked" | grep -o '"image_sha256": "[^"]*"')
[ "$a" = "$b" ] || { echo "the unpacked image is another one" && exit 1; }
rm -f "$scratch/unpacked" "$scratch/packed"

verifier=${VERIFY_STREAM:-}
for candidate in /usr/lib/xen-*/bin/verify-stream-v2; do
    [ -n "$verifier" ] || [ ! -f "$candidate" ] || verifier=$candidate
done
if [ -z "$verifier" ]; then
    echo "verify-stream-v2 is not installed (package xen-utils-4.17): no comparison"
    exit 0
fi
modules=$(dirname "$(dirname "$verifier")")/lib/python
theirs=$(runs=1; best env PYTHONPATH="$modules" PYTHONDONTWRITEBYTECODE=1 "$python" "$verifier" \
    --format libxc --in "$scratch/image")
# shellcheck disable=SC2086
report "verify-stream-v2" $theirs
awk -v ours="${plain%% *}" -v theirs="${theirs%% *}" 'BEGIN { printf "ours is %.1f times as fast\n", theirs / ours }'
