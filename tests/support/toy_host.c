#include "toy_host.h"

#include <vidur/memory_plan.h>

static double block_bytes(const struct vidur_deployment *deployment, int max_tokens)
{
    struct vidur_memory_plan plan;
    vidur_memory_plan(deployment, max_tokens, &plan);
    return plan.kv_bytes_per_token * deployment->scheduler.block_size;
}

void toy_host_draw(struct vidur_deployment *deployment, struct vidur_rng *rng,
                   int max_tokens, double step_s, bool ties)
{
    struct vidur_scheduler_config *knobs = &deployment->scheduler;
    const double bytes = block_bytes(deployment, max_tokens);
    const double blocks = 1 + vidur_rng_below(rng, 3 * (uint32_t)knobs->num_blocks);
    const double load_s = step_s * (ties ? 1 : vidur_rng_exponential(rng)) / 16;
    knobs->kv_offload_gib_per_gpu = (blocks + 0.5) * bytes / 0x1p30;
    knobs->kv_offload_gb_per_s = bytes / (load_s * knobs->block_size) / 1e9;
}

struct toy_host toy_host_of(const struct vidur_deployment *deployment, int max_tokens)
{
    const struct vidur_scheduler_config *knobs = &deployment->scheduler;
    const double bytes = block_bytes(deployment, max_tokens);
    return (struct toy_host){
        .num_blocks = (int32_t)(knobs->kv_offload_gib_per_gpu * 0x1p30 / bytes),
        .block_s = bytes / (knobs->kv_offload_gb_per_s * 1e9)};
}
