#ifndef VIDUR_MEMORY_PLAN_H
#define VIDUR_MEMORY_PLAN_H

#include <vidur/deployment.h>

/*
 * How a replica's memory is divided; SIMULATOR.md section 3 (planners `vidur` and
 * `exact`) and ENGINE.md section 2 for engines that plan it themselves.
 */
struct vidur_scheduler_ops;

struct vidur_memory_plan {
    bool fits;                 /* false: infeasible; the counts below are 0 */
    int64_t num_blocks;        /* KV blocks of a replica */
    int64_t request_slots;     /* requests of max_tokens that fit at once */
    int64_t max_batch_size;    /* min(request_slots, the batch cap) */
    double param_bytes;        /* per device, of the fullest stage */
    double kv_bytes_per_token; /* per device, of the fullest stage */
    double available_bytes;    /* per device, after the margin */
};

/* `max_tokens`: the workload's cap on prefill + decode tokens of a request. Nothing
 * fits where the deployment's scheduler is not known. */
void vidur_memory_plan(const struct vidur_deployment *deployment, int max_tokens,
                       struct vidur_memory_plan *plan);
/* The same with a scheduler that need not be in the registry. */
void vidur_memory_plan_with(const struct vidur_scheduler_ops *ops,
                            const struct vidur_deployment *deployment, int max_tokens,
                            struct vidur_memory_plan *plan);

/* Who divides a deployment's memory: "vidur", "exact", or the scheduler that does it
 * itself. Static. */
const char *vidur_memory_planner_name(const struct vidur_deployment *deployment);

/* For the plan_memory of a scheduler: an engine keeps gpu_memory_utilization of the
 * device, and what its weights and activations leave of that is for blocks. */
void vidur_memory_plan_engine(const struct vidur_deployment *deployment, int max_tokens,
                              struct vidur_memory_plan *plan);

#endif
