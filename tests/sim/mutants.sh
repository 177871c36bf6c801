#!/bin/bash
# mutants — every patch of tests/sim/mutants breaks a rule on purpose; the simulator must see it. A
# mutant is the shipped objects with the patched files compiled anew in front of them.
#   BUILD=build tests/sim/mutants.sh [NAME...]      MUTANT_RUNS seeds each at most (20000)
# Fails when one survives, does not apply or does not build. One TAP line a mutant.
set -u
build=${BUILD:-build}
runs=${MUTANT_RUNS:-20000}
compile=$(<"$build/test/flags") || exit 1
libs=${LIBS:--llz4 -lxxhash -ljansson -lpthread -lm}
sim_objects=("$build"/test/obj/tests/sim/*.o)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
n=0 survivors=0

# Patches copies of the files in TREE and compiles those: their objects are in TREE/*.o
compile_mutant() # PATCH TREE
{
    local file
    mkdir -p "$2"
    sed -n 's,^+++ b/,,p' "$1" | while read -r file; do
        mkdir -p "$2/${file%/*}" && cp "$file" "$2/$file"
    done
    patch -s -p1 -d "$2" --no-backup-if-mismatch <"$1" >&2 || return 1
    sed -n 's,^+++ b/,,p' "$1" | while read -r file; do
        $compile -w -O1 -c -o "$2/$(basename "$file" .c).o" "$2/$file" || echo failed
    done | grep -q failed && return 1
    ${CC:-gcc} -o "$2/sim" "${sim_objects[@]}" "$2"/*.o "$build/test/replicator.a" \
        $libs >&2
}

# The same with nothing broken must live: otherwise a death below would prove nothing.
mkdir -p "$scratch/control"
: >"$scratch/log"
for file in $(sed -n 's,^+++ b/,,p' tests/sim/mutants/*.patch | sort -u); do
    $compile -w -O1 -c -o "$scratch/control/$(basename "$file" .c).o" "$file" || exit 1
done
if ! ${CC:-gcc} -o "$scratch/control/sim" "${sim_objects[@]}" "$scratch"/control/*.o \
    "$build/test/replicator.a" $libs ||
    ! "$scratch/control/sim" --runs 500 --seed 1 >"$scratch/log"; then
    cat "$scratch/log"
    echo "not ok 1 - the unbroken control lives"
    exit 1
fi

for patch in tests/sim/mutants/*.patch; do
    name=$(basename "$patch" .patch)
    [ $# -eq 0 ] || [[ " $* " == *" $name "* ]] || continue
    n=$((n + 1)) verdict=''
    if ! compile_mutant "$patch" "$scratch/$name"; then
        verdict="does not apply or build"
    else
        "$scratch/$name/sim" --runs "$runs" --seed 1 >"$scratch/log" 2>/dev/null
        case $? in
        0) verdict="survived $runs seeds" ;;
        1) seeds=$(sed -n 's/^# \([0-9]*\) runs from.*/\1/p' "$scratch/log")
           promise=$(sed -n 's/^\([A-Z][0-9]\) broken.*/\1/p' "$scratch/log" | head -n 1) ;;
        *) verdict="the simulator itself failed" ;;
        esac
    fi
    if [ -n "$verdict" ]; then
        survivors=$((survivors + 1))
        echo "not ok $n - mutant $name $verdict"
    else
        echo "ok $n - mutant $name: $promise seen broken within $seeds seeds"
    fi
    rm -rf "${scratch:?}/$name"
done
echo "1..$n"
[ "$survivors" -eq 0 ]
