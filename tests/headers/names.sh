#!/bin/bash
# What the texts (*.md) name in code, `like this` or in blocks, is there: paths and files of
# the tree, identifiers (vidur_x, VIDUR_X), --options, YAML keys (x:). So are the files that
# comments of C sources name. In paths, words in capitals stand for any name.
# Usage: names.sh SOURCE_DIR
#
# Not in the tree: options of cmake and ctest; files of vLLM and of llm-d's benchmark.
other_options='preset test-dir install'
other_files='setup/env.sh throughput.py offloading_connector.py kv_offload/lru_manager.py
kv_offload/cpu.py'
. "$(dirname "$0")/files.sh"
export LC_ALL=C

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

tree_files()
{
    { git --no-optional-locks ls-files 2>/dev/null | grep . || find . -type f -printf '%P\n'; } |
        grep -v '^build'
}

# Files of the tree; what its sources say.
{
    tree_files
    tr ' ' '\n' <<<"$other_files"
} >"$work/files"
tree_files | grep -vE '\.(md|csv|gz|h5|png|jsonl)$|^tests/(headers|fuzz/corpus)/' |
    tr '\n' '\0' | xargs -0 cat >"$work/sources"
grep -oE '[A-Za-z_][A-Za-z0-9_]*' "$work/sources" | sort -u >"$work/words"
grep -oE '"[a-z][a-z0-9-]*"|--[a-z][a-z0-9-]+' "$work/sources" | sed -E 's/^--//; s/"//g' |
    sort -u - <(tr ' ' '\n' <<<"$other_options") >"$work/options"

# Of a text, "LINE:CODE": what stands between backquotes, lines of blocks, targets of links.
code_of()
{
    awk '/^ *```/ { block = !block; next }
         block { print NR ":" $0; next }
         { line = $0
           while (match(line, /`[^`]+`|\]\([^)#]+/)) {
               print NR ":" substr(line, RSTART + 1, RLENGTH - 1)
               line = substr(line, RSTART + RLENGTH)
           } }' "$1"
}

# missing WHAT LIST PATTERN SED: of the matches in $work/code, cut by SED, those that the
# list lacks.
missing()
{
    local what=$1 list=$2 pattern=$3 cut=$4 place word
    while IFS=: read -r place word; do
        grep -qxF -- "$word" "$list" || echo "$text:$place: $what $word is not in the tree"
    done < <(grep -noE -- "$pattern" "$work/spans" | sed -E "$cut" | sort -u |
        while IFS=: read -r number word; do
            echo "$(sed -n "${number}p" "$work/places"):$word"
        done)
}

# Whether a file or folder of the tree is, or ends in, this path.
exists()
{
    local path=${1%/} pattern
    pattern=$(sed -E 's/[.+^$()|]/\\&/g; s/\{[^}]*\}/*/g; s/\*/[^\/]*/g; s/[A-Z][A-Z_]+/.*/g' \
        <<<"$path")
    grep -qxF -- "$path" "$work/files" || grep -qE "(^|/)$pattern(/|\$)" "$work/files"
}

begin='(^|[^A-Za-z0-9_./-])'
file='([a-zA-Z0-9_]+/)*[a-zA-Z0-9_]+\.(c|h|py|sh)($|[^A-Za-z0-9_])'
below='(estimator|include|sim|search|tests|data|configs|jobs|\.github)/[][A-Za-z0-9_./*{},-]*'
for text in $(grep '\.md$' "$work/files" | grep -v CHANGELOG); do
    code_of "$text" >"$work/code"
    sed 's/:.*//' "$work/code" >"$work/places"
    sed 's/^[0-9]*://' "$work/code" >"$work/spans"
    {
        missing identifier "$work/words" '\<(vidur|VIDUR)_[A-Za-z0-9_]*[A-Za-z0-9]\>' 's/^//'
        missing option "$work/options" '(^|[^A-Za-z0-9-])--[a-z][a-z0-9-]+' 's/:[^:]*--/:/'
        missing key "$work/words" '(^|[ {,.])[a-z_][a-z0-9_]*:( |$)' 's/:[ {,.]*([a-z0-9_]+): *$/:\1/'
        while IFS=: read -r number path; do
            path=$(sed -E 's/^[^A-Za-z0-9.]+//; s/[^]A-Za-z0-9_*}/]+$//' <<<"$path")
            exists "$path" ||
                echo "$text:$(sed -n "${number}p" "$work/places"): $path is not in the tree"
        done < <(grep -noE "$begin($below|$file)" "$work/spans" | sort -u)
    } >"$work/found"
    if [ -s "$work/found" ]; then
        cat "$work/found"
        failed=1
    fi
done
exit $failed
