# shellcheck shell=bash
# Sourced by the checks of this folder, which get the source tree as their argument.

source_dir=${1:?usage: $0 SOURCE_DIR}
cd "$source_dir" || exit 1

# The C files of the tree: those that git tracks, or all where there is no git.
c_files()
{
    git --no-optional-locks ls-files -- '*.c' '*.h' 2>/dev/null | grep . ||
        find include estimator sim search tests -name '*.[ch]'
}

skip()
{
    echo "skipped: $1"
    exit 77
}
