#!/bin/bash
# A scheduler's name stands in its own file: the rest asks what it says of itself
# (struct vidur_scheduler_ops), and does the same for one that is added.
# What iterations add up to is written by the account: there is one way to count.
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

# The sums that stand in the lists of account.h, and those of a stage.
account=sim/replica/account
if [ -e $account.h ]; then
    sums=$(sed -n '/define VIDUR_ACCOUNT_\(BATCHES\|PEAKS\|INTEGRALS\)/,/^$/p' $account.h |
        sed -nE 's/.*\bX\((\w+)[,)].*/\1/p' | paste -sd '|')
    sums="account(->|\.)($sums|attention_tokens_squared)"
    sums="$sums|stages?(\[[^]]*\])?(->|\.)(busy|communication)_s"
    found=$(grep -nE "($sums) *([-+*]?=[^=]|\+\+|--)" "${sources[@]}" /dev/null |
        grep -v "^$account\.[ch]:")
    if [ -n "$found" ]; then
        echo "$account.h: only here are the sums of an account written; call its functions:"
        echo "$found"
        failed=1
    fi
fi
exit $failed
