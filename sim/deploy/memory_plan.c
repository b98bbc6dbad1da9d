#include <vidur/memory_plan.h>

#include <vidur/scheduler.h>
#include <vidur/shard.h>

#include <math.h>
#include <stddef.h>

static const double bytes_per_gib = 1073741824.0;

static int64_t blocks_per_request(const struct vidur_deployment *deployment,
                                  int max_tokens)
{
    const int64_t blocks = max_tokens / deployment->scheduler.block_size;
    return blocks > 0 ? blocks : 1;
}

/* Whole requests of max_tokens, as SIMULATOR.md section 3. */
static void plan_vidur(const struct vidur_deployment *deployment, int max_tokens,
                       struct vidur_memory_plan *plan)
{
    const int stages = deployment->num_pipeline_stages;
    struct vidur_shard stage, whole;
    struct vidur_cut cut = vidur_deployment_cut(deployment);
    vidur_shard_of(&stage, &deployment->model, &cut);
    cut.pipeline = 1;
    vidur_shard_of(&whole, &deployment->model, &cut);
    /* All layers whatever the number of stages: the reference's quirk. */
    plan->kv_bytes_per_token = vidur_shard_kv_bytes_per_token(&whole);
    plan->param_bytes = vidur_shard_layer_bytes(&stage);
    const double left = plan->available_bytes - plan->param_bytes;
    plan->request_slots =
        (int64_t)floor(left / (plan->kv_bytes_per_token * max_tokens));
    plan->num_blocks =
        blocks_per_request(deployment, max_tokens) * plan->request_slots * stages;
}

/* Blocks of the fullest stage: its layers, and embeddings where it holds them. */
static void plan_exact(const struct vidur_deployment *deployment, int max_tokens,
                       struct vidur_memory_plan *plan)
{
    const int stages = deployment->num_pipeline_stages;
    const struct vidur_cut cut = vidur_deployment_cut(deployment);
    struct vidur_shard shard;
    vidur_shard_of(&shard, &deployment->model, &cut);
    const double embedding = vidur_shard_embedding_bytes(&shard);
    const bool shared = stages == 1 && deployment->model.tie_word_embeddings;
    plan->kv_bytes_per_token = vidur_shard_kv_bytes_per_token(&shard);
    plan->param_bytes = vidur_shard_layer_bytes(&shard) + embedding +
                        (stages == 1 && !shared ? embedding : 0);
    const double left = plan->available_bytes - plan->param_bytes;
    plan->num_blocks = (int64_t)floor(
        left / (plan->kv_bytes_per_token * deployment->scheduler.block_size));
    plan->request_slots = plan->num_blocks / blocks_per_request(deployment, max_tokens);
}

/* What the stage with the fewest blocks holds: engines deal layers unevenly, and all
 * stages get as many blocks as the poorest has. */
static void plan_stages(const struct vidur_deployment *deployment,
                        struct vidur_memory_plan *plan)
{
    const struct vidur_cut cut = vidur_deployment_cut(deployment);
    double fewest = INFINITY;
    for (int stage = 0; stage < cut.pipeline; stage++) {
        struct vidur_shard shard;
        vidur_shard_of_stage(&shard, &deployment->model, &cut, stage);
        const double param_bytes = vidur_shard_stage_bytes(&shard, stage);
        const double kv_bytes = vidur_shard_kv_bytes_per_token(&shard);
        const double tokens = (plan->available_bytes - param_bytes) / kv_bytes;
        if (!(tokens < fewest))
            continue;
        fewest = tokens;
        plan->param_bytes = param_bytes;
        plan->kv_bytes_per_token = kv_bytes;
    }
}

/* ENGINE.md section 2. */
void vidur_memory_plan_engine(const struct vidur_deployment *deployment, int max_tokens,
                              struct vidur_memory_plan *plan)
{
    const struct vidur_device_v1 *device = &deployment->device.v1;
    const bool parallel =
        deployment->tensor_parallel_size > 1 || deployment->data_parallel_size > 1;
    const double activation_gib =
        parallel ? device->activation_gib : device->activation_gib_tp1;
    const double usable_gib =
        deployment->scheduler.gpu_memory_utilization * device->usable_memory_gib;
    plan->available_bytes = (usable_gib - activation_gib) * bytes_per_gib;
    plan_stages(deployment, plan);
    const double left = plan->available_bytes - plan->param_bytes;
    plan->num_blocks = (int64_t)floor(
        left / (plan->kv_bytes_per_token * deployment->scheduler.block_size));
    plan->request_slots = plan->num_blocks / blocks_per_request(deployment, max_tokens);
}

/* Given blocks change nothing about how many requests the planner believes in. */
static void finish(const struct vidur_scheduler_ops *ops,
                   const struct vidur_deployment *deployment,
                   struct vidur_memory_plan *plan)
{
    const int64_t cap =
        (int64_t)vidur_knob_value(&deployment->scheduler, ops->batch_cap);
    plan->fits = plan->request_slots > 0;
    if (!plan->fits) {
        plan->num_blocks = plan->request_slots = plan->max_batch_size = 0;
        return;
    }
    if (deployment->scheduler.num_blocks > 0)
        plan->num_blocks = deployment->scheduler.num_blocks;
    plan->max_batch_size = plan->request_slots < cap ? plan->request_slots : cap;
}

static bool asks_for_vidur(const struct vidur_deployment *deployment)
{
    return deployment->memory_planner == VIDUR_PLANNER_VIDUR ||
           (deployment->memory_planner == VIDUR_PLANNER_BY_SEMANTICS &&
            deployment->semantics == VIDUR_SEMANTICS_VIDUR);
}

void vidur_memory_plan_with(const struct vidur_scheduler_ops *ops,
                            const struct vidur_deployment *deployment, int max_tokens,
                            struct vidur_memory_plan *plan)
{
    *plan = (struct vidur_memory_plan){
        .available_bytes = deployment->device.memory_gib * bytes_per_gib *
                           (1 - deployment->memory_margin_fraction)};
    if (ops->plan_memory)
        ops->plan_memory(deployment, max_tokens, plan);
    else if (asks_for_vidur(deployment))
        plan_vidur(deployment, max_tokens, plan);
    else
        plan_exact(deployment, max_tokens, plan);
    finish(ops, deployment, plan);
}

void vidur_memory_plan(const struct vidur_deployment *deployment, int max_tokens,
                       struct vidur_memory_plan *plan)
{
    const struct vidur_scheduler_ops *ops =
        vidur_scheduler_find(deployment->scheduler.type);
    *plan = (struct vidur_memory_plan){0};
    if (ops)
        vidur_memory_plan_with(ops, deployment, max_tokens, plan);
}

const char *vidur_memory_planner_name(const struct vidur_deployment *deployment)
{
    const struct vidur_scheduler_ops *ops =
        vidur_scheduler_find(deployment->scheduler.type);
    if (ops && ops->plan_memory)
        return ops->name;
    return asks_for_vidur(deployment) ? "vidur" : "exact";
}
