#!/bin/bash
# failpoints — the whole grid of failpoint_grid: every failpoint, every way to die, both transports.
# FAULT_FLAGS: its options, such as --seed 7 to repeat what a failing run named.
set -u
# shellcheck disable=SC2086
exec "${BUILD:-build}/tests/fault/failpoint_grid" ${FAULT_FLAGS:-}
