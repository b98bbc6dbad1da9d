#!/usr/bin/env bash
# Installs what the tests need, builds with warnings as errors, runs every test, and runs
# those of the libraries again under AddressSanitizer and UndefinedBehaviorSanitizer.
#   jobs/test.sh [ctest options, e.g. -R capacity]
# Environment: BUILD_DIR (default build-test), VIDUR_SKIP_ASAN=1 leaves out the second part,
# VIDUR_REQUIRE_GOLDEN=1 makes tests fail that lack the comparison data beside the source tree;
# otherwise they are skipped, and the last line says how many.
set -euo pipefail
cd "$(dirname "$0")/.."
. jobs/packages.sh
. jobs/golden-skips.sh

build=${BUILD_DIR:-build-test}
vidur_install $VIDUR_BUILD_PACKAGES $VIDUR_TEST_PACKAGES
vidur_allow_root

# vidur_build DIR CMAKE-OPTION...
vidur_build()
{
    local dir=$1
    shift
    cmake -S . -B "$dir" -DVIDUR_WERROR=ON "$@" >"$dir.cmake.log" 2>&1 ||
        { cat "$dir.cmake.log" >&2; rm -f "$dir.cmake.log"; return 1; }
    rm -f "$dir.cmake.log"
    cmake --build "$dir" --parallel "$(nproc)" -- --no-print-directory | grep -v '^\[' || true
    cmake --build "$dir" -- --no-print-directory >/dev/null # fails where the build did
}

ctest_log=$build/Testing/Temporary/LastTest.log
rm -f "$ctest_log"
trap 'vidur_tell_golden_skips "$ctest_log"' EXIT
vidur_build "$build" -DCMAKE_BUILD_TYPE=Release
(cd "$build" && ctest -j "$(nproc)" --output-on-failure "$@")

if [ -z "${VIDUR_SKIP_ASAN:-}" ]; then
    vidur_build "$build-asan" -DCMAKE_BUILD_TYPE=RelWithDebInfo \
        -DVIDUR_SANITIZE=address,undefined
    (cd "$build-asan" && UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
        ctest -j "$(nproc)" --output-on-failure --label-exclude 'browser|mpi|program|slurm|tree' "$@")
fi
