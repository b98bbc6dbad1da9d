#!/usr/bin/env bash
# From a fresh machine to a ranking: installs packages, builds, searches, reports.
#   jobs/quickstart.sh [vidur-search options, e.g. --set search.seed=7]
# Environment: RANKS (default 2), BUILD_DIR (build), OUT_DIR (out/quickstart).
set -euo pipefail
cd "$(dirname "$0")/.."
. jobs/packages.sh

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
    -o "$out/results.h5" "$@"
"$build/bin/vidur-report" "$out/results.h5" --html "$out/report.html" \
    --markdown "$out/report.md" --csv "$out/ranking.csv"
echo "Results: $out/results.h5   Report: $out/report.html, report.md, ranking.csv"
