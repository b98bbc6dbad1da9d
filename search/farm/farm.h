#ifndef VIDUR_SEARCH_FARM_H
#define VIDUR_SEARCH_FARM_H

#include <vidur/error.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The room search/farm. Paths of steps on ranks: leading, dealing, working, over MPI
 * or in one process. It knows nothing of LLMs and promises each step once, or again
 * after a death.
 */

/*
 * A farm works off jobs on one process or on many. It knows nothing of what they are.
 *
 * A job is a path of steps. Each step is expensive and runs anywhere; which step comes
 * next follows from the results so far, by a pure function of the job's state (plain
 * data of a fixed size, copied between processes byte for byte). So the path that a job
 * takes, and what is recorded of it, is the same on any number of ranks.
 *
 * Rank 0 gives jobs out, heaviest first, and keeps the record: it sees every result, in
 * the order of each job's path, and alone calls the functions under "rank 0". Up to
 * `max_working_ranks` ranks it works as well, answering messages between steps (and
 * within a step whenever the step calls its pulse). Workers hold one job ahead. When
 * fewer jobs than ranks remain, jobs are taken back after their current step and their
 * steps spread: the one that is needed, and, ahead of it, those that the possible
 * outcomes would ask for. Results that the path does not reach are dropped.
 *
 * A job that is to run alone begins when no other can, and when no rank runs a step of
 * another any more; until none runs a step of it, all ranks work on its steps or on
 * nothing. Those that wait for it come after it, like any others and before the next
 * that is to run alone.
 *
 * Nobody spins: a rank without work sleeps between looks at its messages.
 */

enum {
    VIDUR_FARM_MAX_STATE_BYTES = 1024,
    VIDUR_FARM_MAX_RESULT_BYTES = 1536,
    VIDUR_FARM_MAX_OUTCOMES = 4
};

struct vidur_farm_job {
    int64_t after; /* the job that must be finished first; -1: none */
    double weight; /* expected cost; heaviest first, then by index */
    bool alone;    /* runs by itself, after all that need not: a suspect */
};

/* Handed to a running step, which calls beat() every few milliseconds if it can, and
 * ends with VIDUR_EINTR soon after *stop becomes non-zero. */
struct vidur_farm_pulse {
    void (*beat)(void *self);
    void *self;
    const volatile int *stop;
};

/* One step of one job, and the job's state before it. */
struct vidur_farm_step {
    int64_t job;
    uint64_t step;
    const void *state;
};

struct vidur_farm_ops {
    size_t state_bytes, result_bytes; /* at most the maxima above */

    /* ---- pure; any rank ---- */
    /* The step that comes next; false: the job is finished. */
    bool (*next)(void *context, const void *state, uint64_t *step);
    /* Moves on from the next step with its result. */
    void (*tell)(void *context, void *state, const void *result);
    /* The state after possible outcome `which` of the next step; false: no more of
     * them. May be NULL: nothing is run ahead. */
    bool (*suppose)(void *context, const void *state, int which, void *after);

    /* ---- expensive; any rank ---- */
    /* A failure other than VIDUR_EINTR ends the job, not the farm. */
    int (*run)(void *context, const struct vidur_farm_step *step,
               const struct vidur_farm_pulse *pulse, void *result,
               struct vidur_error *err);

    /* ---- rank 0; a failure stops the farm ---- */
    /* The state to begin with, once the job before it is finished. A job resumed from a
     * record may begin in the middle of its path or at its end. */
    int (*start)(void *context, int64_t job, void *state, struct vidur_error *err);
    /* The job is about to be given out. May be NULL. */
    int (*lease)(void *context, int64_t job, struct vidur_error *err);
    /* A result, in the order of the job's path; `state` is the state before it. */
    int (*record)(void *context, int64_t job, const void *state, const void *result,
                  struct vidur_error *err);
    /* The job's path is at its end, or a step failed (failure not NULL). */
    int (*finish)(void *context, int64_t job, const void *state,
                  const struct vidur_error *failure, struct vidur_error *err);
    /* The farm stops, and a rank that held the job does not answer any more. Once for
     * a job. May be NULL. */
    int (*lost)(void *context, int64_t job, struct vidur_error *err);
    /* All jobs are finished: are there more, now that all results are known? They
     * follow the others in *jobs (which may have moved), *num_jobs in all; the farm
     * ends when their number stays the same. May be NULL. */
    int (*more)(void *context, const struct vidur_farm_job **jobs, int64_t *num_jobs,
                struct vidur_error *err);
    /* After a round of records: make them durable. May be NULL. */
    int (*commit)(void *context, struct vidur_error *err);
    /* Called often. May be NULL. */
    void (*progress)(void *context, int64_t done, int64_t total);
};

struct vidur_farm {
    const struct vidur_farm_ops *ops;
    void *context;
    const struct vidur_farm_job *jobs; /* rank 0; others may leave it NULL */
    int64_t num_jobs;                  /* to begin with */
    int max_working_ranks;             /* rank 0 works too on at most this many ranks */
    bool speculate;
    double stop_patience_s; /* how long ranks may take to answer an early stop before
                               they are left behind; 0: 0.6 */
    /* Set by a signal handler, or by the farm when another rank stops it. */
    volatile int *stop;
};

struct vidur_farm_stats {
    int ranks;
    int64_t steps;    /* run, all ranks */
    int64_t wasted;   /* run ahead and not needed */
    int64_t messages; /* received by rank 0 */
    double busy_s;    /* in steps, sum over ranks */
    double elapsed_s;
    bool abandoned; /* some rank did not answer the stop in time */
};

/*
 * Works off all jobs; every rank calls it. 0: all are finished. -1 with VIDUR_EINTR:
 * stopped; what was recorded is committed. -1 otherwise: a function of rank 0 failed.
 * *stats (may be NULL) is filled on rank 0.
 */
int vidur_farm_run_serial(const struct vidur_farm *farm, struct vidur_farm_stats *stats,
                          struct vidur_error *err);
/* The same over MPI_COMM_WORLD. MPI must be initialised (MPI_THREAD_SINGLE will do);
 * only in builds with MPI. */
int vidur_farm_run_mpi(const struct vidur_farm *farm, struct vidur_farm_stats *stats,
                       struct vidur_error *err);

#endif
