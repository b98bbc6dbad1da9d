#!/bin/bash
# The floors: who may include what, and who may print. Usage: floors.sh SOURCE_DIR
. "$(dirname "$0")/files.sh"

# The floor of every public header; a new one is added here.
declare -A floor_of
for h in error log rng csv paths; do floor_of[$h]=0; done
for h in model sku profile forest timetable engine_table; do floor_of[$h]=1; done
for h in deployment memory_plan workload shared_prefix scheduler metrics slo simulator \
    simulation_config; do floor_of[$h]=2; done
for h in capacity space ranking results; do floor_of[$h]=3; done

# What floor 2 sees of floor 1: the tables and the specs.
sim_sees=" model sku timetable engine_table "

# Libraries behind one file each: a pattern of their headers, then the folders that may
# use them, in each of which one file does.
wrapped=(
    'yaml\.h            estimator/base'
    'csv\.h             estimator/base'
    'jansson\.h         estimator/base'
    'zlib\.h            estimator/base'
    'nettle/.*          estimator/base'
    'gsl/.*             estimator/base estimator'
    'hdf5(_hl)?\.h      estimator search'
    'mpi\.h             search'
)

failed=0
complain()
{
    echo "$1"
    failed=1
}

floor_of_file()
{
    case $1 in
    estimator/base/*) echo 0 ;;
    estimator/*) echo 1 ;;
    sim/*) echo 2 ;;
    search/*) echo 3 ;;
    esac
}

folder_of_file()
{
    case $1 in
    estimator/base/*) echo estimator/base ;;
    *) echo "${1%%/*}" ;;
    esac
}

includes_of()
{
    sed -nE 's/^[[:space:]]*#[[:space:]]*include[[:space:]]*([<"][^>"]+)[>"].*/\1/p' "$1"
}

check_public()
{
    local file=$1 floor=$2 name=$3
    local other=${floor_of[$name]}
    if [ -z "$other" ]; then
        complain "$file: <vidur/$name.h> has no floor; add it to tests/headers/floors.sh"
    elif [ "$other" -gt "$floor" ]; then
        complain "$file (floor $floor) includes <vidur/$name.h> of floor $other"
    elif [ "$floor" = 2 ] && [ "$other" = 1 ] && [[ $sim_sees != *" $name "* ]]; then
        complain "$file: floor 2 sees only$sim_sees of floor 1, not $name"
    fi
}

# A quoted header is the base floor's, or lies in the includer's own folder.
check_quoted()
{
    local file=$1 name=$2
    local top=${file%%/*}
    if [ -e "$(dirname "$file")/$name" ] || [ -e "$top/$name" ]; then
        return
    fi
    case $name in
    base/*) [ -e "estimator/$name" ] && return ;;
    vidur_git.h) return ;;
    esac
    complain "$file includes \"$name\", which is not its floor's"
}

check_file()
{
    local file=$1 floor include
    floor=$(floor_of_file "$file")
    for include in $(includes_of "$file"); do
        case $include in
        '<vidur/'*) name=${include#<vidur/}; check_public "$file" "$floor" "${name%.h}" ;;
        '"'*) check_quoted "$file" "${include#\"}" ;;
        esac
    done
}

check_public_header()
{
    local file=$1 name include
    name=$(basename "$file" .h)
    local floor=${floor_of[$name]}
    if [ -z "$floor" ]; then
        complain "$file has no floor; add it to tests/headers/floors.sh"
        return
    fi
    for include in $(includes_of "$file"); do
        case $include in
        '<vidur/'*) other=${include#<vidur/}; check_public "$file" "$floor" "${other%.h}" ;;
        '"'*) complain "$file includes ${include#\"}, which is not public" ;;
        *'<std'*.h | '<math.h' | '<limits.h' | '<inttypes.h') ;;
        *) complain "$file includes ${include#<}: only C's own headers are public" ;;
        esac
    done
}

check_wrapped()
{
    local pattern folders file folder
    for entry in "${wrapped[@]}"; do
        read -r pattern folders <<<"$entry"
        declare -A users=()
        for file in "${sources[@]}"; do
            includes_of "$file" | grep -qE "^<$pattern\$" || continue
            folder=$(folder_of_file "$file")
            # The search's main program starts and ends MPI.
            [ "$file" = search/vidur_search.c ] && [ "$pattern" = 'mpi\.h' ] && continue
            [[ " $folders " == *" $folder "* ]] ||
                complain "$file: $pattern belongs to $folders only"
            [[ $file == *.c ]] || complain "$file: $pattern in a header"
            users[$folder]+=" $file"
        done
        for folder in "${!users[@]}"; do
            [ "$(wc -w <<<"${users[$folder]}")" -le 1 ] ||
                complain "$pattern is in more than one file:${users[$folder]}"
        done
        unset users
    done
}

# Libraries do not print or end the program; only the files with a main may.
check_silence()
{
    local file
    for file in "${sources[@]}"; do
        grep -qE '^int main\(' "$file" && continue
        grep -nE '(^|[^_a-zA-Z>.])(printf|puts|putchar|perror|exit|_exit|abort|assert)\(|\<(stdout|stderr)\>' \
            "$file" /dev/null | grep -vE '^[^:]+:[0-9]+:[[:space:]]*(/?\*|//)' && {
            complain "$file: a library prints or ends the program"
        }
    done
}

mapfile -t sources < <(c_files | grep -E '^(estimator|sim|search)/')
for file in "${sources[@]}"; do check_file "$file"; done
for file in include/vidur/*.h; do check_public_header "$file"; done
check_wrapped
check_silence
exit $failed
