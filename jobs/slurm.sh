# Sourced by this folder's .sbatch scripts: runs vidur-search inside an allocation until it
# is through, restarting it with --resume when a rank dies, and giving the job back to Slurm
# in time when its limit comes near.
#
# Environment, all optional:
#   VIDUR_ROOT          the folder that holds jobs/ and build/ (default: where sbatch was run)
#   VIDUR_BIN           the folder of the programs (default: VIDUR_ROOT/build/bin)
#   VIDUR_LAUNCH        what starts the ranks (default: mpirun -n SLURM_NTASKS)
#   VIDUR_MAX_RESTARTS  restarts after deaths, within one allocation (default: 5)
#   VIDUR_MAX_REQUEUES  times that the job goes back to the queue (default: 50)

VIDUR_ROOT=${VIDUR_ROOT:-${SLURM_SUBMIT_DIR:-.}}
VIDUR_BIN=${VIDUR_BIN:-$VIDUR_ROOT/build/bin}
. "$VIDUR_ROOT/jobs/packages.sh"
vidur_allow_root

say()
{
    echo "$(date +%FT%T) ${SLURM_JOB_NAME:-vidur-search}: $*"
}

# The batch shell gets Slurm's early signal (--signal=B:TERM@...). mpirun hands SIGUSR1 on
# to the ranks and waits for them; SIGTERM it would answer by killing them.
asked_to_stop=
on_early_signal()
{
    asked_to_stop=1
    say "the time limit is near; stopping"
    [ -z "$search_pid" ] || kill -USR1 "$search_pid" 2>/dev/null
}

# One run of the search: its exit status in `status`.
run_once()
{
    ${VIDUR_LAUNCH:-mpirun -n "${SLURM_NTASKS:-1}"} "$VIDUR_BIN/vidur-search" "$@" &
    search_pid=$!
    status=128
    # A trapped signal ends `wait` early: wait again for the search itself.
    while kill -0 "$search_pid" 2>/dev/null; do
        wait "$search_pid"
        status=$?
    done
    wait "$search_pid" 2>/dev/null
    local last=$?
    [ "$last" -eq 127 ] || status=$last
    search_pid=
}

# This job's (or array task's) name for scontrol.
job_id()
{
    if [ -n "${SLURM_ARRAY_JOB_ID:-}" ]; then
        echo "${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID"
    else
        echo "$SLURM_JOB_ID"
    fi
}

# vidur_search_to_the_end OPTION...: returns the search's last status; does not return when
# the job is requeued.
vidur_search_to_the_end()
{
    local restarts=0
    trap on_early_signal TERM
    [ "${SLURM_RESTART_COUNT:-0}" -eq 0 ] || set -- "$@" --resume
    while :; do
        run_once "$@"
        case $status in
        0 | 1 | 2) return "$status" ;;
        esac
        if [ -n "$asked_to_stop" ]; then
            requeue
            return "$status"
        fi
        restarts=$((restarts + 1))
        if [ "$restarts" -gt "${VIDUR_MAX_RESTARTS:-5}" ]; then
            say "died again (status $status); giving up after $((restarts - 1)) restarts"
            return "$status"
        fi
        say "died (status $status); restart $restarts, what was finished is kept"
        [ "$restarts" -gt 1 ] || set -- "$@" --resume
    done
}

requeue()
{
    if [ "${SLURM_RESTART_COUNT:-0}" -ge "${VIDUR_MAX_REQUEUES:-50}" ]; then
        say "requeued ${SLURM_RESTART_COUNT} times already; sbatch jobs/resume.sbatch goes on"
        return
    fi
    say "requeueing; the next run resumes"
    scontrol requeue "$(job_id)"
    sleep 60 # until Slurm ends this run
}
