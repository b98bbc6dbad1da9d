#ifndef VIDUR_SIM_POOL_H
#define VIDUR_SIM_POOL_H

#include "steps/step_model.h"

#include <vidur/fleet.h>
#include <vidur/memory_plan.h>

/*
 * A pool as it is simulated: what its replicas have in common. Built once a simulator
 * and used by all its runs.
 */
struct vidur_pool_model {
    const struct vidur_deployment *deployment;
    enum vidur_pool_role role;
    double weight; /* a replica's share, relative to other pools' */
    struct vidur_memory_plan plan;
    int max_tokens; /* of a request */
    const struct vidur_scheduler_ops *ops;
    const struct vidur_step_model_ops *step_ops;
    void *step_model;
    size_t step_model_bytes;
    struct vidur_front_end_times front_end; /* of each of its replicas */
    struct vidur_scheduler_env env;         /* running_capacity is the run's */
};

/* `pool` has its deployment, role, weight, ops and max_tokens; the rest is filled in.
 * After a failure, too, vidur_pool_model_release must be called. */
int vidur_pool_model_build(struct vidur_pool_model *pool,
                           const struct vidur_timetable *timetable,
                           struct vidur_error *err);
void vidur_pool_model_release(struct vidur_pool_model *pool);

/* Requests in a replica's batches at once, at most. */
int vidur_pool_model_batch_cap(const struct vidur_pool_model *pool);

#endif
