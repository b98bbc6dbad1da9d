#!/bin/bash
# A scheduler's name stands in its own file: the rest asks what it says of itself
# (struct vidur_scheduler_ops), and does the same for one that is added.
# Usage: policies.sh SOURCE_DIR
. "$(dirname "$0")/files.sh"

failed=0
mapfile -t sources < <(
    c_files | grep -E '^(include|estimator|sim|search)/'
    ls search/report/*.js 2>/dev/null
)

for own in sim/schedulers/*.c; do
    for name in $(sed -nE 's/.*\.name = "([^"]+)".*/\1/p' "$own"); do
        # The name alone between quotes, or in a list of names.
        list="(|[a-z0-9_, ]*[, ]+)$name(|,[a-z0-9_, ]*)"
        found=$(grep -nE "\"$list\"|'$list'" "${sources[@]}" /dev/null |
            grep -v "^$own:")
        [ -z "$found" ] && continue
        echo "$own: only here may the name $name be a string; ask the scheduler instead:"
        echo "$found"
        failed=1
    done
done
exit $failed
