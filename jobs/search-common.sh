# shellcheck shell=bash
# Sourced by search.sbatch, resume.sbatch and search-array.sbatch: runs vidur-search in a
# Slurm allocation until its work is done.
#
#   A rank dies      the search starts again with --resume in the same allocation, at most
#                    MAX_RESTARTS times. vidur-search itself gives up a candidate that
#                    took three runs in a row with it, alone in flight, so that one bad
#                    candidate ends nothing.
#   The limit nears  Slurm sends SIGTERM to the batch shell (--signal=B:TERM@...). The search
#                    stops (status 3), the job is requeued, and its next run resumes.
#   scancel --batch --signal=TERM JOB does the same at any time; scancel JOB ends it, and
#                    resume.sbatch goes on later.
#   A node fails     Slurm requeues the job by itself; its next run resumes.
#   Bad input        status 1 ends the job at once, if nothing was begun.
#
# Exit status of a job: vidur-search's (0 done, 1 bad input, 2 not completed, 3 interrupted
# and not requeued), or 128 + the signal of the last death.
#
# Environment, all optional (sbatch hands it on):
#   VIDUR_DIR        the project's folder (default: that of the submitted script)
#   VIDUR_BIN        the folder of the programs (default: VIDUR_DIR/build/bin, or where
#                    VIDUR_DIR was installed with them, or PATH)
#   VIDUR_LAUNCHER   mpirun (default) or srun
#   VIDUR_LAUNCHER_OPTIONS  more words for it, e.g. "--map-by numa" or "--mpi=pmix"
#   MAX_RESTARTS     restarts after deaths in one allocation (default 10; a candidate that kills
#                    its rank takes four deaths to be given up)
#   MAX_REQUEUES     how often the job may go back to the queue by itself (default 20)
#   STOP_PATIENCE_S  how long a launcher may take to stop before it is killed (default 15)

. "$(dirname "${BASH_SOURCE[0]}")/packages.sh"

# Without other programs: Slurm may be killing those of this job.
vidur_say()
{
    printf '%(%F %T)T %s: %s\n' -1 "${SLURM_JOB_NAME:-vidur-search}" "$*" >&2
}

vidur_die()
{
    vidur_say "$*"
    exit 1
}

# Needs what follows its name, and says how the script is called where it is missing.
vidur_need_arguments()
{
    [ $# -ge 3 ] && [ -n "$2" ] && [ "${3#-}" = "$3" ] ||
        vidur_die "usage: sbatch [Slurm options] $1 CONFIG.yaml RESULTS.h5 [vidur-search options]"
}

# vidur_program NAME: where it is.
vidur_program()
{
    local dir places=("$vidur_jobs/../build/bin" "$vidur_jobs/../../../bin")
    [ -z "${VIDUR_BIN:-}" ] || places=("$VIDUR_BIN")
    for dir in "${places[@]}"; do
        [ ! -x "$dir/$1" ] || { echo "$dir/$1"; return; }
    done
    { [ -z "${VIDUR_BIN:-}" ] && command -v "$1"; } ||
        { vidur_say "no $1 in ${VIDUR_BIN:-${places[0]} or on PATH; build it, or set VIDUR_BIN}"; return 1; }
}

# The job, or the one task of an array, as scontrol and squeue know it: the plain job id of
# an array's last task stands for the whole array.
vidur_job()
{
    echo "${SLURM_ARRAY_JOB_ID:+${SLURM_ARRAY_JOB_ID}_}${SLURM_ARRAY_TASK_ID:-${SLURM_JOB_ID:-}}"
}

# The words that start the ranks, in the array vidur_launch.
vidur_set_launch()
{
    local ranks=${SLURM_NTASKS:-1} cpus=${SLURM_CPUS_PER_TASK:-1}
    case ${VIDUR_LAUNCHER:-mpirun} in
    mpirun)
        # Slurm's own limits bind the job; mpirun would tie all threads of a rank to one core.
        vidur_allow_root
        vidur_launch=(mpirun --bind-to none -n "$ranks")
        ;;
    srun)
        vidur_launch=(srun --kill-on-bad-exit=1 -n "$ranks" -c "$cpus")
        ;;
    *)
        vidur_die "VIDUR_LAUNCHER is '$VIDUR_LAUNCHER'; it is mpirun or srun"
        ;;
    esac
    # Words of a command line, meant to be split.
    # shellcheck disable=SC2206
    vidur_launch+=(${VIDUR_LAUNCHER_OPTIONS:-})
    command -v "${vidur_launch[0]}" >/dev/null ||
        vidur_die "no ${vidur_launch[0]} on PATH; load a module, or set VIDUR_LAUNCHER"
}

# ---- One run ----

# SIGUSR1 stops the search in an orderly way, and both launchers hand it on. SIGTERM, which
# says the same to vidur-search, makes mpirun kill its ranks after a second.
vidur_on_stop()
{
    vidur_stopping=1
    vidur_signals=$((vidur_signals + 1))
    [ -n "$vidur_child" ] || return 0
    [ "$vidur_signals" -gt 1 ] || vidur_say "SIGTERM: the search is told to stop"
    kill -USR1 "$vidur_child" 2>/dev/null
    [ -n "$vidur_watchdog" ] && return
    # A launcher that hangs must not cost the requeue.
    (
        trap - TERM
        sleep "${STOP_PATIENCE_S:-15}" &
        sleeper=$!
        trap 'kill "$sleeper"; exit' TERM
        wait "$sleeper"
        kill -KILL "$vidur_child" 2>/dev/null
    ) &
    vidur_watchdog=$!
}

# Runs the command; its status is in vidur_status.
vidur_run_once()
{
    local seen last
    "$@" </dev/null &
    vidur_child=$!
    # Asked to stop before there was anything to stop?
    [ -z "$vidur_stopping" ] || kill -USR1 "$vidur_child" 2>/dev/null
    # A signal ends `wait` early; then the status is not the child's.
    while :; do
        seen=$vidur_signals
        wait "$vidur_child"
        last=$?
        [ "$last" -eq 127 ] && break # it was already waited for
        vidur_status=$last
        [ "$seen" = "$vidur_signals" ] && break
    done
    vidur_child=""
    [ -z "$vidur_watchdog" ] || kill -TERM "$vidur_watchdog" 2>/dev/null
    vidur_watchdog=""
}

# ---- After it ----

# Back to the queue, unless this is the end of a job that somebody cancelled.
vidur_requeue()
{
    local results=$1 state restarts=${SLURM_RESTART_COUNT:-0}
    local by_hand="to go on: sbatch jobs/resume.sbatch with the same configuration, options and $results"
    [ -n "${SLURM_JOB_ID:-}" ] || { vidur_say "not in a Slurm job; $by_hand"; return; }
    state=$(squeue --noheader --jobs "$(vidur_job)" --format %T 2>/dev/null)
    if [ "$state" != RUNNING ]; then
        vidur_say "the job is ${state:-no longer known}, not requeued; $by_hand"
    elif [ "$restarts" -ge "${MAX_REQUEUES:-20}" ]; then
        vidur_say "requeued $restarts times already (MAX_REQUEUES); $by_hand"
    elif scontrol requeue "$(vidur_job)"; then
        vidur_say "requeued; the next run resumes"
    else
        vidur_say "Slurm refuses to requeue the job; $by_hand"
    fi
}

# vidur_search CONFIG RESULTS RESUME OPTION...: RESUME is yes, or empty for where there is
# something to resume. Returns the search's status, if the job is not requeued.
vidur_search()
{
    local config=$1 results=$2 resume=$3 journal=$2.journal deaths=0 program
    shift 3
    program=$(vidur_program vidur-search) || exit 1
    vidur_set_launch
    vidur_stopping="" vidur_signals=0 vidur_child="" vidur_watchdog="" vidur_status=0
    trap vidur_on_stop TERM USR1
    [ "${SLURM_CPUS_PER_TASK:-1}" -le 1 ] || set -- --threads "$SLURM_CPUS_PER_TASK" "$@"
    [ -z "${SLURM_RESTART_COUNT:-}" ] || resume=yes
    while :; do
        [ ! -e "$journal" ] || resume=yes
        vidur_say "run $((${SLURM_RESTART_COUNT:-0} + 1))${SLURM_JOB_ID:+ of job $(vidur_job)}, ${SLURM_NTASKS:-1} ranks: $config -o $results${resume:+ --resume}"
        vidur_run_once "${vidur_launch[@]}" "$program" "$config" -o "$results" \
            ${resume:+--resume} "$@"
        [ "$vidur_status" -ne 0 ] || return 0
        # Whole results with failed candidates: nothing left to try.
        [ "$vidur_status" -ne 2 ] || [ -e "$journal" ] || return 2
        # Once it was told to stop, a launcher's status is no longer the search's.
        if [ "$vidur_status" -eq 3 ] || [ -n "$vidur_stopping" ]; then
            vidur_say "interrupted (status $vidur_status)"
            vidur_requeue "$results"
            return 3
        fi
        # mpirun's 1 may stand for a killed rank: then there is a journal.
        [ "$vidur_status" -ne 1 ] || [ -e "$journal" ] || return 1
        deaths=$((deaths + 1))
        if [ "$deaths" -gt "${MAX_RESTARTS:-10}" ]; then
            vidur_say "ended with status $vidur_status after $((deaths - 1)) restarts (MAX_RESTARTS); what was finished is in $journal"
            return "$vidur_status"
        fi
        vidur_say "ended with status $vidur_status; restart $deaths of ${MAX_RESTARTS:-10} in this allocation"
        resume=yes
    done
}

# vidur_report RESULTS: RESULTS.html, .md and .csv, for RESULTS.h5.
vidur_report()
{
    local base=${1%.h5} program
    program=$(vidur_program vidur-report) || return
    "$program" "$1" --html "$base.html" --markdown "$base.md" --csv "$base.csv" &&
        vidur_say "report: $base.html, $base.md, $base.csv"
}

# vidur_job_main SCRIPT RESUME CONFIG RESULTS OPTION...: the whole of a plain job.
vidur_job_main()
{
    local script=$1 resume=$2 status
    shift 2
    vidur_need_arguments "$script" "${@:1:2}"
    local config=$1 results=$2
    shift 2
    vidur_search "$config" "$results" "$resume" "$@"
    status=$?
    case $status in
    0 | 2) [ -e "$results" ] && [ ! -e "$results.journal" ] && vidur_report "$results" ;;
    esac
    vidur_say "ends with status $status"
    exit "$status"
}
