#!/bin/bash
# Every public header compiles alone, twice, as strict C17, with nothing but include/ on
# the path; the base floor's own headers too, and the scheduler that comes from outside
# the library: the public header is all that its author needs. Usage: standalone.sh SOURCE_DIR CC
. "$(dirname "$0")/files.sh"
cc=${2:-cc}
failed=0

check()
{
    local name=$1
    shift
    printf '#include <%s>\n#include <%s>\n' "$name" "$name" |
        "$cc" -x c -std=c17 -pedantic-errors -Wall -Wextra -Werror -D_POSIX_C_SOURCE=200809L \
            -Iinclude "$@" -fsyntax-only - || {
        echo "$name does not compile alone"
        failed=1
    }
}

for header in include/vidur/*.h; do check "${header#include/}"; done
for header in estimator/base/*.h; do check "${header#estimator/}" -Iestimator; done
source=tests/unit/sim/schedulers/one_at_a_time.c # not there: a tree that is none of ours
if [ -e "$source" ] &&
    ! "$cc" -std=c17 -pedantic-errors -Wall -Wextra -Werror -D_POSIX_C_SOURCE=200809L \
        -Iinclude -fsyntax-only "$source"; then
    echo "$source needs more than the public headers"
    failed=1
fi
exit $failed
