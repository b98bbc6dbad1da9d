#ifndef VIDUR_MEMORY_PLAN_H
#define VIDUR_MEMORY_PLAN_H

#include <vidur/deployment.h>

/*
 * How a replica's memory is divided; SIMULATOR.md section 3 (planners `vidur` and
 * `exact`) and ENGINE.md section 2 for the V1 engine.
 */
struct vidur_memory_plan {
    bool fits;                 /* false: infeasible; the counts below are 0 */
    int64_t num_blocks;        /* KV blocks of a replica */
    int64_t request_slots;     /* requests of max_tokens that fit at once */
    int64_t max_batch_size;    /* min(request_slots, batch_size_cap) */
    double param_bytes;        /* per device, of the fullest stage */
    double kv_bytes_per_token; /* per device, of the fullest stage */
    double available_bytes;    /* per device, after the margin */
};

/* `max_tokens`: the workload's cap on prefill + decode tokens of a request. */
void vidur_memory_plan(const struct vidur_deployment *deployment, int max_tokens,
                       struct vidur_memory_plan *plan);

#endif
