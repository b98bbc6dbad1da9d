#!/bin/bash
# Every `NAME.md section N`, `NAME.md, "heading"` and NAME.md that a file of the tree cites
# exists: a file of that name, with that heading. Usage: citations.sh SOURCE_DIR
. "$(dirname "$0")/files.sh"

failed=0
complain()
{
    echo "$1"
    failed=1
}

# The files that may cite: those that git tracks, or all where there is no git. The
# self-test of these checks cites what does not exist.
citing_files()
{
    { git --no-optional-locks ls-files -- '*.c' '*.h' '*.md' '*.py' '*.sh' '*.txt' \
        '*.cmake' '*.yaml' 2>/dev/null | grep . ||
        find . -name '*.[ch]' -o -name '*.md' -o -name '*.py' -o -name '*.sh' \
            -o -name 'CMakeLists.txt' -o -name '*.cmake' -o -name '*.yaml'; } |
        grep -v 'tests/headers/' | xargs grep -lF .md
}

# A file's words, without the ends of lines and the signs that comments begin them with.
words_of()
{
    sed -E 's@^[[:space:]]*(\*|#|//)[[:space:]]@ @' "$1" | tr -s '\n ' '  '
}

# The texts of the tree, by name.
declare -A texts=()
while read -r text; do
    texts[$(basename "$text")]=$text
done < <(find . \( -path ./.git -o -path './build*' \) -prune -o -name '*.md' -print)

# check FILE CITATION: NAME.md, and then section numbers, a quoted heading or nothing.
check()
{
    local file=$1 citation=$2 name text number heading
    name=${citation%%.md*}.md
    text=${texts[$name]}
    if [ -z "$text" ]; then
        complain "$file cites $citation: no file $name in the tree"
        return
    fi
    case $citation in
    *'"'*)
        heading=${citation#*\"}
        heading=${heading%\"*}
        grep -E '^#' "$text" | grep -qF -- "$heading" ||
            complain "$file cites $citation: $text has no such heading"
        ;;
    *)
        for number in $(grep -oE '[0-9]+(\.[0-9]+)*' <<<"${citation#*.md}"); do
            grep -qE "^#+ ${number//./\\.}(\\. | )" "$text" ||
                complain "$file cites $name section $number: $text has no such heading"
        done
        ;;
    esac
}

number='[0-9]+(\.[0-9]+)*'
pattern="[A-Za-z0-9_]+\.md,? (sections? $number((,| and| to) $number)*|\"[^\"]+\")|\<[A-Z]+\.md"
while read -r file; do
    while read -r citation; do
        check "$file" "$citation"
    done < <(words_of "$file" | grep -oE "$pattern" | sort -u)
done < <(citing_files)
exit $failed
