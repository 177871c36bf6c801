#!/bin/bash
# check TARGET... — runs the test targets of the Makefile in order, all of them whatever fails, and
# ends with one line for all: "N passed, N failed, N skipped". A target that can't be built, or
# that ends without its counts, is one failure. Warnings are errors here.
set -u
export TOTALS=${BUILD:-build}/totals
MAKE=${MAKE:-make}
mkdir -p "${BUILD:-build}"
: >"$TOTALS"
jobs=()
case " ${MAKEFLAGS:-} " in
*j*) ;;
*) jobs=("-j$(nproc)") ;;
esac

for target in "$@"; do
    before=$(wc -l <"$TOTALS")
    started=$SECONDS
    echo "== $target"
    "$MAKE" --no-print-directory "${jobs[@]}" WERROR=1 "$target"
    rc=$?
    if [ "$(wc -l <"$TOTALS")" -eq "$before" ]; then
        echo "FAIL  $target: ended with $rc and no result"
        echo "$target 0 1 0" >>"$TOTALS"
    fi
    echo "== $target: $((SECONDS - started)) s"
done
awk '{ p += $2; f += $3; s += $4 }
     END { print p + 0 " passed, " f + 0 " failed, " s + 0 " skipped"; exit f > 0 }' "$TOTALS"
