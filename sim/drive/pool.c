#include "drive/pool.h"

#include "base/arena.h"

#include <stdlib.h>

int vidur_pool_model_batch_cap(const struct vidur_pool_model *pool)
{
    return (int)vidur_knob_value(&pool->deployment->scheduler, pool->ops->batch_cap);
}

static void describe_env(struct vidur_pool_model *pool)
{
    const struct vidur_deployment *deployment = pool->deployment;
    const int64_t per_request = pool->max_tokens / deployment->scheduler.block_size;
    pool->env = (struct vidur_scheduler_env){
        .deployment = deployment,
        .plan = &pool->plan,
        .max_tokens = pool->max_tokens,
        .blocks_per_request = per_request > 0 ? per_request : 1,
        .batch_capacity = vidur_pool_model_batch_cap(pool),
        .batches_at_once = pool->ops->batches_at_once
                               ? pool->ops->batches_at_once(deployment)
                               : deployment->num_pipeline_stages};
}

static int build_step_model(struct vidur_pool_model *pool,
                            const struct vidur_timetable *timetable,
                            struct vidur_error *err)
{
    const struct vidur_step_env env = {.deployment = pool->deployment,
                                       .timetable = timetable,
                                       .max_tokens = pool->max_tokens};
    pool->step_ops = pool->ops->step_model;
    pool->step_model_bytes = vidur_arena_bytes(pool->step_ops->state_bytes(&env), 1);
    pool->step_model = aligned_alloc(VIDUR_ARENA_ALIGN, pool->step_model_bytes);
    if (!pool->step_model)
        return vidur_fail(err, VIDUR_ENOMEM, "no memory for the step model");
    if (pool->step_ops->init(pool->step_model, &env, err))
        return -1;
    if (pool->step_ops->front_end)
        pool->front_end = pool->step_ops->front_end(pool->step_model);
    return 0;
}

/* Facts that no default can stand for. */
static int check_scheduler(const struct vidur_scheduler_ops *ops, int num_ranks,
                           struct vidur_error *err)
{
    const char *missing = NULL;
    if (!ops->step_model)
        missing = "step_model";
    else if (ops->batch_cap == VIDUR_KNOB_NONE)
        missing = "batch_cap";
    else if (ops->whole_prompts && ops->token_budget == VIDUR_KNOB_NONE)
        missing = "token_budget for its whole_prompts";
    else if (!ops->next_batch)
        missing = "next_batch";
    else if (num_ranks > 1 && !ops->has_ranks)
        missing = "has_ranks, which data_parallel_size above 1 needs";
    else if (num_ranks > 1 && !ops->step_model->time_ranks)
        missing = "step_model that knows ranks (data_parallel_size)";
    if (!missing)
        return 0;
    return vidur_fail(err, VIDUR_EINVAL, "scheduler '%s' has no %s; set that member",
                      ops->name, missing);
}

int vidur_pool_model_build(struct vidur_pool_model *pool,
                           const struct vidur_timetable *timetable,
                           struct vidur_error *err)
{
    const struct vidur_deployment *deployment = pool->deployment;
    if (pool->max_tokens < 1)
        return vidur_fail(err, VIDUR_EINVAL, "workload.max_tokens: %d is below 1",
                          pool->max_tokens);
    if (check_scheduler(pool->ops, pool->deployment->data_parallel_size, err))
        return -1;
    vidur_memory_plan_with(pool->ops, deployment, pool->max_tokens, &pool->plan);
    if (!pool->plan.fits)
        return vidur_fail(
            err, VIDUR_EINVAL,
            "%s does not fit in the memory of %s with tensor_parallel_size "
            "%d and num_pipeline_stages %d; use more or larger devices",
            deployment->model.name, deployment->device.name,
            deployment->tensor_parallel_size, deployment->num_pipeline_stages);
    describe_env(pool);
    return build_step_model(pool, timetable, err);
}

void vidur_pool_model_release(struct vidur_pool_model *pool)
{
    free(pool->step_model);
    pool->step_model = NULL;
}
