#ifndef VIDUR_SIM_STEP_MODEL_H
#define VIDUR_SIM_STEP_MODEL_H

#include "replica/live_batch.h"

#include <vidur/scheduler.h>
#include <vidur/timetable.h>

/*
 * The room sim/steps. How long a batch takes, composed from looked-up times; FLOPs and
 * operators of a batch. Pure functions of batch and tables.
 */

/*
 * How long a batch takes on a stage, composed from looked-up times: a table of
 * functions per way to compose them. A scheduler points to the one it goes with.
 */

struct vidur_step_env {
    const struct vidur_deployment *deployment;
    const struct vidur_timetable *timetable;
    int max_tokens; /* of a request */
};

/* What a request passes before its replica's scheduler sees it: a front end that
 * tokenises the prompts one after the other, first come first served, and a delay
 * behind it. */
struct vidur_front_end_times {
    double per_prompt_token_s;
    double delay_s;
};

/* A rank's batch in a step of ranks in lockstep; NULL: it has none. */
struct vidur_rank_batch {
    const struct vidur_replica *replica;
    struct vidur_live_batch *batch;
};

struct vidur_step_model_ops {
    const char *name;
    bool whole_steps; /* it looks up an engine's steps, which the timetable must have */
    size_t (*state_bytes)(const struct vidur_step_env *env);
    /* Once per simulator; `state` is uninitialised memory, which nothing needs to
     * release. */
    int (*init)(void *state, const struct vidur_step_env *env, struct vidur_error *err);
    /* Fills batch->step from the batch's sums and members, which are not in a group yet
     * or decode there. */
    void (*time)(const void *state, const struct vidur_replica *replica,
                 struct vidur_live_batch *batch);
    /* Of a batch that is one group of decodes: its time in seconds if it is repeated,
     * `ahead` iterations from now, to the bit as `time` would say it then; not above 0:
     * ask then. NULL: step.repeats says how long it stays the same. */
    double (*repeated_s)(const void *state, const struct vidur_live_batch *batch,
                         int64_t ahead);
    /* With `has_cpu_overhead` and a `repeated_s`: how long a repeated step of step_s
     * that is to begin at begins_s is held up, which is CPU overhead and comes on top
     * of it; `time` has counted it in. NULL: not at all. */
    double (*stall_s)(const void *state, double begins_s, double step_s);
    /* `time` and `repeated_s` of ranks in lockstep, some of which have a batch: the
     * time that their step takes all of them. NULL: it knows no ranks. */
    void (*time_ranks)(const void *state, const struct vidur_rank_batch *ranks,
                       int32_t count);
    double (*repeated_ranks_s)(const void *state, const struct vidur_rank_batch *ranks,
                               int32_t count, int64_t ahead);
    /* Which member of a step's times is that of this stage: of the last one, also where
     * it is the only one, VIDUR_STAGE_LAST. NULL: 0 of all others. */
    int32_t (*stage_kind)(const void *state, int32_t stage);
    /* The time on stages of this kind by its parts, VIDUR_NUM_STEP_PARTS of them, for a
     * batch that has not ended; NULL: it is made of operators. */
    void (*parts)(const void *state, const struct vidur_replica *replica,
                  const struct vidur_live_batch *batch, int32_t kind, double *parts_s);
    /* After a time that is not above 0: what is missing; returns -1. */
    int (*fail)(const void *state, const struct vidur_live_batch *batch,
                struct vidur_error *err);
    /* Prefill contexts are rounded up to a multiple of this in a batch's sums. */
    int (*context_granularity)(const void *state);
    bool (*has_cpu_overhead)(const void *state);
    /* NULL: there is none, and the scheduler sees a request at once. */
    struct vidur_front_end_times (*front_end)(const void *state);
};

#endif
