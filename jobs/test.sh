#!/usr/bin/env bash
# Installs what the tests need, builds with warnings as errors, runs every test, and runs
# those of the libraries again under AddressSanitizer and UndefinedBehaviorSanitizer.
#   jobs/test.sh [--all] [ctest options, e.g. -R capacity]
# --all adds what takes long: tests of the label slow and, all of it with clang, a build
# without warnings, clang-tidy over the libraries and programs, threads under
# ThreadSanitizer, fuzzing with libFuzzer.
# Environment: BUILD_DIR (default build-test), CC, VIDUR_MPI (openmpi, mpich or off),
# VIDUR_CMAKE_ARGS (more words for cmake), VIDUR_SKIP_ASAN=1 leaves out the second part,
# VIDUR_FUZZ_S (default 120): seconds of fuzzing a reader, VIDUR_REQUIRE_GOLDEN=1 makes tests
# fail that lack the comparison data beside the source tree; otherwise they are skipped, and
# the last line says how many.
set -euo pipefail
cd "$(dirname "$0")/.."
. jobs/packages.sh
. jobs/golden-skips.sh

all=
[ "${1:-}" != --all ] || { all=1; shift; }
build=${BUILD_DIR:-build-test}
vidur_install $VIDUR_BUILD_PACKAGES $VIDUR_TEST_PACKAGES
vidur_install_known $VIDUR_OPTIONAL_TEST_PACKAGES
[ -z "$all" ] || vidur_install $VIDUR_ALL_TEST_PACKAGES
vidur_allow_root
mpi_option=()
[ "${VIDUR_MPI:-openmpi}" != off ] || mpi_option=(-DVIDUR_MPI=OFF)

vidur_targets=() # --target NAME..., or all
# vidur_build DIR CMAKE-OPTION...
vidur_build()
{
    local dir=$1
    shift
    cmake -S . -B "$dir" -DVIDUR_WERROR=ON "${mpi_option[@]}" "$@" ${VIDUR_CMAKE_ARGS:-} \
        >"$dir.cmake.log" 2>&1 ||
        { cat "$dir.cmake.log" >&2; rm -f "$dir.cmake.log"; return 1; }
    rm -f "$dir.cmake.log"
    cmake --build "$dir" --parallel "$(nproc)" "${vidur_targets[@]}" -- --no-print-directory |
        grep -v '^\[' || true
    # fails where the build did
    cmake --build "$dir" "${vidur_targets[@]}" -- --no-print-directory >/dev/null
}

vidur_lint()
{
    if command -v shellcheck >/dev/null 2>&1; then
        find jobs tests .ci \( -name '*.sh' -o -name '*.sbatch' -o -path .ci/run \) -print0 |
            xargs -0 shellcheck --severity=warning
    else
        echo "No shellcheck here: the scripts are not looked at" >&2
    fi
}

# clang alone: what gcc does not warn of, and clang-tidy's checks (.clang-tidy).
vidur_check_with_clang()
{
    CC=clang vidur_build "$build-clang" -DCMAKE_BUILD_TYPE=Release \
        -DCMAKE_EXPORT_COMPILE_COMMANDS=ON
    # One file a run: clang-tidy 14 errs about the second one.
    find estimator sim search -name '*.c' -print0 |
        xargs -0 -P "$(nproc)" -n 1 clang-tidy -p "$build-clang" --quiet
}

# clang's OpenMP tells ThreadSanitizer what it synchronises, through libarcher.
vidur_check_threads()
{
    local tests=(farm study forest timetable timetable_cache compare) archer
    archer=$(clang -print-file-name=libarcher.so)
    local vidur_targets=(--target "${tests[@]/#/test_}")
    CC=clang vidur_build "$build-tsan" \
        -DCMAKE_BUILD_TYPE=RelWithDebInfo -DVIDUR_SANITIZE=thread
    (cd "$build-tsan" && OMP_NUM_THREADS=4 OMP_TOOL_LIBRARIES="$archer" \
        TSAN_OPTIONS="halt_on_error=1 ignore_noninstrumented_modules=1" \
        ctest --output-on-failure -R "^($(IFS='|' && echo "${tests[*]}"))\$")
}

# The corpus is where libFuzzer starts from; what it finds stays in the build folder.
vidur_fuzz()
{
    local reader vidur_targets=(--target fuzz_yaml fuzz_csv fuzz_json fuzz_trace)
    CC=clang vidur_build "$build-fuzz" \
        -DCMAKE_BUILD_TYPE=RelWithDebInfo -DVIDUR_LIBFUZZER=ON \
        -DVIDUR_SANITIZE=address,undefined,fuzzer-no-link
    for reader in yaml csv json trace; do
        mkdir -p "$build-fuzz/found/$reader"
        (cd "$build-fuzz" && UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
            "tests/fuzz_$reader" -max_total_time="${VIDUR_FUZZ_S:-120}" -timeout=30 \
            -print_final_stats=1 -verbosity=0 \
            "found/$reader" "$OLDPWD/tests/fuzz/corpus/$reader")
    done
}

ctest_log=$build/Testing/Temporary/LastTest.log
rm -f "$ctest_log"
trap 'vidur_tell_golden_skips "$ctest_log"' EXIT
vidur_lint
vidur_build "$build" -DCMAKE_BUILD_TYPE=Release
slow=(--label-exclude slow)
[ -z "$all" ] || slow=()
(cd "$build" && ctest -j "$(nproc)" --output-on-failure "${slow[@]}" "$@")

if [ -z "${VIDUR_SKIP_ASAN:-}" ]; then
    vidur_build "$build-asan" -DCMAKE_BUILD_TYPE=RelWithDebInfo \
        -DVIDUR_SANITIZE=address,undefined
    (cd "$build-asan" && UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
        ctest -j "$(nproc)" --output-on-failure --label-exclude 'browser|mpi|program|slurm|tree' "$@")
fi

if [ -n "$all" ]; then
    vidur_check_with_clang
    vidur_check_threads
    vidur_fuzz
fi
