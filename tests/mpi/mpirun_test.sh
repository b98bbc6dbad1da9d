#!/usr/bin/env bash
# mpirun.sh gives each MPI's mpirun the options that it knows. Stand-ins write down theirs.
set -euo pipefail
script=$(cd "$(dirname "$0")" && pwd)/mpirun.sh
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# expect VERSION WORDS: what a mpirun that says VERSION is called with.
expect()
{
    cat >"$work/mpirun" <<SH
#!/bin/sh
[ "\$1" != --version ] || { echo "$1"; exit 0; }
echo "\$*"
exit 7
SH
    chmod +x "$work/mpirun"
    local status=0 words
    words=$(PATH="$work:$PATH" "$script" 3 program -o "a b") || status=$?
    [ "$words" = "$2" ] || { echo "$1: called with '$words', not '$2'" >&2; exit 1; }
    [ "$status" -eq 7 ] || { echo "$1: status $status, not the program's 7" >&2; exit 1; }
}

expect "mpirun (Open MPI) 4.1.4" "--oversubscribe -n 3 program -o a b"
expect "mpirun (OpenRTE) 4.0.0" "--oversubscribe -n 3 program -o a b"
expect "HYDRA build details:" "-n 3 program -o a b"
