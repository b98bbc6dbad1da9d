# shellcheck shell=bash
# Sourced by test.sh.

# vidur_tell_golden_skips LOG: one line on the tests of a ctest log that were skipped because
# the comparison data beside the source tree is absent; nothing where there are none.
vidur_tell_golden_skips()
{
    local count
    [ -e "$1" ] || return 0
    count=$(grep -c '^skipped: comparison data absent$' "$1") || return 0
    echo "$count golden tests skipped: comparison data absent"
}
