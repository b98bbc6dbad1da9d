#!/bin/bash
# Files and functions stay small, and nothing mutable lives at file scope.
# Usage: sizes.sh SOURCE_DIR
. "$(dirname "$0")/files.sh"
command -v ctags >/dev/null && ctags --version | grep -q Universal ||
    skip "Universal Ctags is not here"

max_file=600 max_function=80 max_median=20 max_p90=45 max_parameters=5
failed=0

while read -r lines file; do
    if [ "$lines" -gt $max_file ]; then
        echo "$file has $lines lines; at most $max_file"
        failed=1
    fi
done < <(c_files | xargs wc -l | grep -v ' total$')

# name, file, pattern; then fields. The tests' own mains are made by macros.
functions=$(c_files | grep '\.c$' |
    ctags -L - -o - --languages=C --kinds-C=f --fields=neS --excmd=number)
awk -F'\t' -v max=$max_function -v params=$max_parameters '
    {
        line = end = 0
        for (i = 4; i <= NF; i++) {
            if ($i ~ /^line:/) line = substr($i, 6)
            if ($i ~ /^end:/) end = substr($i, 5)
            if ($i ~ /^signature:/) signature = substr($i, 11)
        }
        if (!end) next
        if (end - line + 1 > max) {
            printf "%s:%d: %s has %d lines; at most %d\n", $2, line, $1, end - line + 1, max
            bad = 1
        }
        while (match(signature, /\([^()]*\)/) && RSTART > 1)
            signature = substr(signature, 1, RSTART - 1) substr(signature, RSTART + RLENGTH)
        sub(/, *\.\.\./, "", signature)
        n = signature ~ /^\( *(void)? *\)$/ ? 0 : gsub(/,/, ",", signature) + 1
        if (n > params) {
            printf "%s:%d: %s has %d parameters; at most %d\n", $2, line, $1, n, params
            bad = 1
        }
    }
    END { exit bad }' <<<"$functions" || failed=1

# The distribution, over the product alone.
awk -F'\t' '$2 ~ /^(estimator|sim|search)\// {
        for (i = 4; i <= NF; i++) {
            if ($i ~ /^line:/) line = substr($i, 6)
            if ($i ~ /^end:/) print substr($i, 5) - line + 1
        }
    }' <<<"$functions" | sort -n |
    awk -v m=$max_median -v p=$max_p90 '
        { length_of[NR] = $1 }
        END {
            median = length_of[int((NR + 1) / 2)]
            p90 = length_of[int(NR * 0.9 + 0.999)]
            printf "%d functions: median %d lines, p90 %d, longest %d\n", \
                NR, median, p90, length_of[NR]
            exit median > m || p90 > p
        }' || failed=1

# Variables at file scope: const, or the flag that a signal handler sets. A line that starts with a brace ends an
# unnamed struct; its first line has the qualifiers.
while IFS=$'\t' read -r name file pattern _ line; do
    line=${line#line:}
    [[ $pattern == '/^}'* ]] &&
        pattern=$(head -n "$line" "$file" | grep -E '^[a-z].*\{$' | tail -n 1)
    grep -qE '\<(const|volatile sig_atomic_t)\>' <<<"$pattern" || {
        echo "$file:$line: $name is mutable at file scope"
        failed=1
    }
done < <(c_files | grep -E '^(estimator|sim|search)/' |
    ctags -L - -o - --languages=C --kinds-C=v --fields=kn)
exit $failed
