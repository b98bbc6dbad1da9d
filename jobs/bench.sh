#!/usr/bin/env bash
# Builds for speed and measures: simulator, estimator, search, memory. Prints a table and
# writes the same as JSON. Nothing is asserted; run it on a quiet machine.
#   jobs/bench.sh [--quick] [--studies] [-o bench.json]
# --quick leaves out the instruction count and takes each figure once instead of the
# median of 5; --studies adds the twelve model x workload studies of the Vidur paper.
# Environment: BUILD_DIR (default build-bench).
set -euo pipefail
cd "$(dirname "$0")/.."
. jobs/packages.sh

build=${BUILD_DIR:-build-bench}
vidur_install $VIDUR_BUILD_PACKAGES libcunit1-dev python3 valgrind
vidur_allow_root
cmake -S . -B "$build" -DCMAKE_BUILD_TYPE=Release >/dev/null
cmake --build "$build" --parallel "$(nproc)" -- --no-print-directory >/dev/null
exec python3 tests/bench/bench.py "$build" "$@"
