#!/bin/bash
# The floors and their rooms: who may include what, and who may print.
# Usage: floors.sh SOURCE_DIR
. "$(dirname "$0")/files.sh"

# The floor of every public header; a new one is added here.
declare -A floor_of
for h in error log rng csv paths distribution; do floor_of[$h]=0; done
for h in precision model shard sku spec_config profile forest timetable engine_table; do floor_of[$h]=1; done
for h in deployment fleet memory_plan workload trace_options shared_prefix sessions scheduler metrics slo \
    simulator simulation_config; do floor_of[$h]=2; done
for h in capacity space ranking results; do floor_of[$h]=3; done

# What floor 2 sees of floor 1: the tables and the specs.
sim_sees=" precision model shard sku spec_config timetable engine_table "

# The rooms (folders) of a floor, from the lowest: a file may include its own room's
# headers and those of rooms before it. What lies on the floor itself is above them all.
declare -A rooms_of=(
    [estimator]="base specs samples forest tables program"
    [sim]="sessions load replica schedulers steps deploy tell drive compare program"
    [search]="results space farm report study"
)
max_sources_in_room=30

# Libraries behind one file each: a pattern of their headers, then the folders that may
# use them, in each of which one file does.
wrapped=(
    'yaml\.h            estimator/base'
    'csv\.h             estimator/base'
    'jansson\.h         estimator/base'
    'zlib\.h            estimator/base'
    'nettle/.*          estimator/base'
    'gsl/.*             estimator/base estimator sim'
    'hdf5(_hl)?\.h      estimator search'
    'mpi\.h             search'
)

failed=0
complain()
{
    echo "$1"
    failed=1
}

# Sets `floor` and `folder` of a source file.
place_of()
{
    case $1 in
    estimator/base/*) floor=0 folder=estimator/base ;;
    estimator/*) floor=1 folder=estimator ;;
    sim/*) floor=2 folder=sim ;;
    search/*) floor=3 folder=search ;;
    *) floor=${floor_of[$(basename "$1" .h)]} folder=include ;;
    esac
}

# "FILE <header" or "FILE "header", a line each, of the files given.
includes_of()
{
    grep -HE '^[[:space:]]*#[[:space:]]*include[[:space:]]*[<"]' "$@" /dev/null |
        sed -nE 's/^([^:]+):[^<"]*([<"][^>"]+)[>"].*/\1 \2/p'
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
    if [ -e "${file%/*}/$name" ] || [ -e "${file%%/*}/$name" ]; then
        return
    fi
    case $name in
    base/*) [ -e "estimator/$name" ] && return ;;
    vidur_git.h) return ;;
    esac
    complain "$file includes \"$name\", which is not its floor's"
}

# The place of a room in its floor; the floor itself comes last.
rank_of()
{
    local floor_folder=$1 room=$2 rank=0 other
    for other in ${rooms_of[$floor_folder]}; do
        [ "$other" = "$room" ] && break
        rank=$((rank + 1))
    done
    echo $rank
}

# A quoted header of a room further up in the same floor.
check_rooms()
{
    local file=$1 name=$2
    local floor_folder=${file%%/*} room=${file#*/} other=${name%%/*}
    [ -e "$floor_folder/$name" ] || return
    room=${room%%/*}
    if [ "$(rank_of "$floor_folder" "$other")" -gt "$(rank_of "$floor_folder" "$room")" ]; then
        complain "$file (room $room) includes $name of a room above it"
    fi
}

check_room_sizes()
{
    local floor_folder room count
    for floor_folder in "${!rooms_of[@]}"; do
        while read -r room; do
            [[ " ${rooms_of[$floor_folder]} " == *" ${room##*/} "* ]] ||
                complain "$room is no room; add it to tests/headers/floors.sh"
            grep -qsF "The room $room." "$room"/*.h include/vidur/*.h ||
                complain "$room: no header says 'The room $room.' and what it is"
            count=$(find "$room" -maxdepth 1 -name '*.c' | wc -l)
            [ "$count" -le $max_sources_in_room ] ||
                complain "$room has $count sources; at most $max_sources_in_room"
        done < <(find "$floor_folder" -mindepth 1 -maxdepth 1 -type d)
    done
}

check_sources()
{
    local file include floor folder name
    while read -r file include; do
        place_of "$file"
        case $include in
        '<vidur/'*)
            name=${include#<vidur/}
            check_public "$file" "$floor" "${name%.h}"
            ;;
        '"'*)
            check_quoted "$file" "${include#\"}"
            check_rooms "$file" "${include#\"}"
            ;;
        esac
    done < <(includes_of "${sources[@]}")
}

check_public_headers()
{
    local file include floor folder name
    for file in include/vidur/*.h; do
        place_of "$file"
        [ -n "$floor" ] ||
            complain "$file has no floor; add it to tests/headers/floors.sh"
    done
    while read -r file include; do
        place_of "$file"
        case $include in
        '<vidur/'*)
            name=${include#<vidur/}
            check_public "$file" "${floor:-3}" "${name%.h}"
            ;;
        '"'*) complain "$file includes ${include#\"}, which is not public" ;;
        '<std'*.h | '<math.h' | '<limits.h' | '<inttypes.h') ;;
        *) complain "$file includes ${include#<}: only C's own headers are public" ;;
        esac
    done < <(includes_of include/vidur/*.h)
}

check_library()
{
    local pattern=$1 folders=$2 file include floor folder
    declare -A users=()
    while read -r file; do
        place_of "$file"
        # The search's main program starts and ends MPI.
        [ "$file" = search/vidur_search.c ] && [ "$pattern" = 'mpi\.h' ] && continue
        [[ " $folders " == *" $folder "* ]] ||
            complain "$file: $pattern belongs to $folders only"
        [[ $file == *.c ]] || complain "$file: $pattern in a header"
        users[$folder]+=" $file"
    done < <(includes_of "${sources[@]}" | grep -E " <$pattern\$" | cut -d ' ' -f 1 | sort -u)
    for folder in "${!users[@]}"; do
        [ "$(wc -w <<<"${users[$folder]}")" -le 1 ] ||
            complain "$pattern is in more than one file:${users[$folder]}"
    done
}

# Libraries do not print or end the program; only the files with a main may.
# (assert() states invariants in debug builds; it is no way to report errors.)
check_silence()
{
    local call='(^|[^_a-zA-Z>.])(printf|puts|putchar|perror|exit|_exit|abort)\('
    local found
    found=$(grep -LE '^int main\(' "${sources[@]}" |
        xargs grep -nE "$call|\<(stdout|stderr)\>" /dev/null |
        grep -vE '^[^:]+:[0-9]+:[[:space:]]*(/?\*|//)')
    [ -z "$found" ] || complain "a library prints or ends the program: $found"
}

mapfile -t sources < <(c_files | grep -E '^(estimator|sim|search)/')
check_sources
check_room_sizes
check_public_headers
for entry in "${wrapped[@]}"; do
    read -r pattern folders <<<"$entry"
    check_library "$pattern" "$folders"
done
check_silence
exit $failed
