#!/bin/bash
# The model of the plug's counters that unit tests stand on, held against the kernel's own.
exec "${BUILD:-build}/tests/net/model_check" "${SEQUENCES:-10000}" "${SEED:-1}"
