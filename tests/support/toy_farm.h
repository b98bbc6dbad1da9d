#ifndef VIDUR_TOY_FARM_H
#define VIDUR_TOY_FARM_H

#include "farm/farm.h"

#include <stdatomic.h>

/*
 * Jobs for farm tests: each finds a number by bisection, a step being one comparison
 * that takes a while. What rank 0 records must not depend on who ran what.
 */

enum { TOY_MAX_JOBS = 400, TOY_MAX_STEPS = 24 };

struct toy_record {
    int num_steps;
    uint64_t steps[TOY_MAX_STEPS];
    int finished; /* times that finish() was called */
    int failed;
    int64_t answer;
    int64_t order; /* by which it finished */
};

struct toy {
    int64_t num_jobs;
    int mean_step_us;      /* steps sleep 0 to twice this */
    int64_t failing_job;   /* its third step fails; -1: none */
    int64_t resumed_below; /* jobs below start at their end */
    int64_t stop_after;    /* sets *stop after this many records; 0: never */
    int64_t break_after;   /* record() fails at this one; 0: never */
    int64_t die_at_job;    /* the process kills itself in this job's second step; -1 */
    int64_t stop_at_job;   /* the rank that runs it is told to stop; -1 */
    volatile int stop;
    /* rank 0 */
    struct toy_record records[TOY_MAX_JOBS];
    int64_t num_records, num_finished, num_leases, num_commits;
    int64_t lost[TOY_MAX_JOBS];
    int num_lost;
    int64_t in_flight; /* jobs started and not finished */
    int64_t alone;     /* the job `alone` that is in flight; -1: none */
    int64_t not_alone; /* jobs started while one was in flight that runs alone, or
                          `alone` while any other was */
    int64_t too_early; /* jobs `alone` started before all that could go first */
    /* the ranks that are threads of this process */
    atomic_ullong running; /* see entry_of() */
    atomic_llong beside;   /* steps run beside one of another job that runs alone */
    struct vidur_farm_job jobs[TOY_MAX_JOBS];
};

/* Jobs in chains of `chain` (1: independent). */
void toy_init(struct toy *toy, int64_t num_jobs, int64_t chain, int mean_step_us);
struct vidur_farm toy_farm(struct toy *toy);
int64_t toy_target(int64_t job);

/* Jobs that have begun beside one that runs alone or too early, and steps that ran
 * beside one: must be none. */
int64_t toy_count_beside(const struct toy *toy);

/* Every job finished once, along the path that bisection alone would take. Returns the
 * number of jobs of which that is not so. */
int64_t toy_count_wrong(const struct toy *toy);

#endif
