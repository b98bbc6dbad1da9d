#!/bin/bash
# Tests that lack the comparison data are skipped and counted, or fail where it is required.
# Usage: skips.sh SOURCE_DIR PYTHON PROGRAM-THAT-SKIPS
source_dir=$1 python=$2 program=$3
. "$source_dir/jobs/golden-skips.sh"
log=$(mktemp /tmp/vidur-test-XXXXXX)
trap 'rm -f "$log"' EXIT
failed=0

# expect STATUS COMMAND...: its output goes to the log.
expect()
{
    local wanted=$1 status
    shift
    "$@" >>"$log" 2>&1
    status=$?
    if [ "$status" -ne "$wanted" ]; then
        echo "$*: status $status, not $wanted"
        failed=1
    fi
}

expect_line()
{
    if [ "$(vidur_tell_golden_skips "$log")" != "$1" ]; then
        echo "'$(vidur_tell_golden_skips "$log")', not '$1'"
        failed=1
    fi
}

golden_py=("$python" "$source_dir/tests/program/simulate_golden.py" true /nonexistent)
expect_line ""
expect 1 env VIDUR_REQUIRE_GOLDEN=1 "$program"
expect 1 env VIDUR_REQUIRE_GOLDEN=1 "${golden_py[@]}"
expect_line ""
expect 77 env -u VIDUR_REQUIRE_GOLDEN "$program"
expect_line "1 golden tests skipped: comparison data absent"
expect 77 env VIDUR_REQUIRE_GOLDEN=0 "${golden_py[@]}"
expect_line "2 golden tests skipped: comparison data absent"
exit $failed
