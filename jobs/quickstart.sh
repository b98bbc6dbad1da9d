#!/usr/bin/env bash
# From a fresh machine to an answer: installs packages, builds, searches, says what to rent.
#   jobs/quickstart.sh [vidur-search options, e.g. --set search.seed=7]
# Environment: QPS (the load to rent for, default 50), RANKS (default 2), BUILD_DIR (build),
# OUT_DIR (out/quickstart).
set -euo pipefail
cd "$(dirname "$0")/.."
. jobs/packages.sh

qps=${QPS:-50}
ranks=${RANKS:-2}
build=${BUILD_DIR:-build}
out=${OUT_DIR:-out/quickstart}

vidur_install $VIDUR_BUILD_PACKAGES
cmake -S . -B "$build" -DCMAKE_BUILD_TYPE=Release -DVIDUR_TESTS=OFF >"${TMPDIR:-/tmp}/vidur-cmake.$$.log" 2>&1 ||
    { cat "${TMPDIR:-/tmp}/vidur-cmake.$$.log" >&2; exit 1; }
rm -f "${TMPDIR:-/tmp}/vidur-cmake.$$.log"
cmake --build "$build" --parallel "$(nproc)" -- --no-print-directory >/dev/null

mkdir -p "$out"
tests/mpi/mpirun.sh "$ranks" "$build/bin/vidur-search" configs/quickstart.yaml \
    -o "$out/results.h5" --top 3 "$@"
"$build/bin/vidur-report" "$out/results.h5" -q --qps "$qps" --html "$out/report.html" \
    --markdown "$out/report.md" --csv "$out/ranking.csv"
echo
"$build/bin/vidur-report" "$out/results.h5" --qps "$qps" --brief
echo "Results: $out/results.h5   Report: $out/report.html, report.md, ranking.csv"
