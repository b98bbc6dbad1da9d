#include <vidur/deployment.h>
#include <vidur/scheduler.h>
#include <vidur/simulator.h>
#include <vidur/workload.h>

#include "base/policy.h"
#include "replica/router.h"
#include "steps/step_model.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

void vidur_deployment_defaults(struct vidur_deployment *deployment)
{
    struct vidur_scheduler_config *scheduler = &deployment->scheduler;
    memset(deployment, 0, sizeof *deployment);
    deployment->num_replicas = 1;
    deployment->memory_margin_fraction = 0.1;
    deployment->memory_planner = VIDUR_PLANNER_BY_SEMANTICS;
    deployment->semantics = VIDUR_SEMANTICS_CORRECTED;
    strcpy(deployment->router, "round_robin");
    snprintf(scheduler->type, sizeof scheduler->type, "%s",
             vidur_scheduler_default()->name);
#define X(type, name, def, min) deployment->name = def;
    VIDUR_PARALLELISM(X)
#undef X
#define X(type, name, def, min) scheduler->name = def;
    VIDUR_SCHEDULER_KNOBS(X)
#undef X
}

static const char *scheduler_name(int index)
{
    const struct vidur_scheduler_ops *ops = vidur_scheduler_at(index);
    return ops ? ops->name : NULL;
}

static const char *router_name(int index)
{
    const struct vidur_router_ops *ops = vidur_router_at(index);
    return ops ? ops->name : NULL;
}

const char *vidur_router_tell(int index, const char **remark)
{
    const struct vidur_router_ops *ops = vidur_router_at(index);
    *remark = ops ? ops->remark : NULL;
    return ops ? ops->name : NULL;
}

const char *vidur_router_balance(const char *name)
{
    const struct vidur_router_ops *ops = vidur_router_find(name);
    return ops ? ops->balance : NULL;
}

_Static_assert(VIDUR_KNOBS_END <= 64, "knobs are bits of a uint64_t");

const char *vidur_knob_name(enum vidur_knob knob)
{
    static const char *const names[] = {"",
#define X(type, name, def, min) #name,
                                        VIDUR_SCHEDULER_KNOBS(X)
#undef X
    };
    return names[knob];
}

double vidur_knob_value(const struct vidur_scheduler_config *config,
                        enum vidur_knob knob)
{
    switch (knob) {
#define X(type, name, def, min)                                                        \
    case VIDUR_KNOB_##name:                                                            \
        return (double)config->name;
        VIDUR_SCHEDULER_KNOBS(X)
#undef X
    case VIDUR_KNOB_NONE:
    case VIDUR_KNOBS_END:
        break;
    }
    return 0;
}

const char *const *vidur_knob_words(enum vidur_knob knob)
{
    return knob == VIDUR_KNOB_scheduling_policy ? vidur_scheduling_policy_names : NULL;
}

int vidur_deployment_batch_cap(const struct vidur_deployment *deployment)
{
    const struct vidur_scheduler_config *knobs = &deployment->scheduler;
    const struct vidur_scheduler_ops *ops = vidur_scheduler_find(knobs->type);
    return ops ? (int)vidur_knob_value(knobs, ops->batch_cap) : 0;
}

static int check_counts(const struct vidur_deployment *deployment,
                        struct vidur_error *err)
{
#define X(type, name, def, min)                                                        \
    if ((double)deployment->name < (double)(min))                                      \
        return vidur_fail(err, VIDUR_EINVAL, "cluster.%s: %d is below %d", #name,      \
                          (int)deployment->name, (int)(min));
    X(int, num_replicas, 1, 1)
    VIDUR_PARALLELISM(X)
#undef X
    const double margin = deployment->memory_margin_fraction;
    if (!(margin >= 0 && margin < 1))
        return vidur_fail(err, VIDUR_EINVAL,
                          "cluster.memory_margin_fraction: %g is not in [0, 1)",
                          margin);
    return 0;
}

/* Engines whose processes spin, and steps that begin when they are formed. */
static int check_cpu(const struct vidur_scheduler_ops *ops,
                     const struct vidur_deployment *deployment, struct vidur_error *err)
{
    const double cores = deployment->cpu_cores;
    if (!(cores >= 0 && cores < INFINITY))
        return vidur_fail(err, VIDUR_EINVAL, "cluster.cpu_cores: %g is below 0", cores);
    if (cores > 0 && !(ops->step_model && ops->step_model->whole_steps))
        return vidur_fail(err, VIDUR_EINVAL,
                          "cluster.cpu_cores: %g; scheduler %s knows no time of CPUs, "
                          "vllm_v1 does; leave it out",
                          cores, ops->name);
    if (cores > 0 && deployment->num_pipeline_stages > 1)
        return vidur_fail(err, VIDUR_EINVAL,
                          "cluster.cpu_cores: %g; it is not modelled in pipelines, of "
                          "%d stages here; leave it out",
                          cores, deployment->num_pipeline_stages);
    return 0;
}

static int check_knobs(const struct vidur_scheduler_config *knobs,
                       struct vidur_error *err)
{
#define X(type, name, def, min)                                                        \
    if (!((double)knobs->name >= (double)(min)))                                       \
        return vidur_fail(err, VIDUR_EINVAL, "scheduler.%s: %g is below %g", #name,    \
                          (double)knobs->name, (double)(min));
    VIDUR_SCHEDULER_KNOBS(X)
#undef X
    if (!(knobs->watermark_blocks_fraction < 1))
        return vidur_fail(err, VIDUR_EINVAL,
                          "scheduler.watermark_blocks_fraction: %g is not below 1",
                          knobs->watermark_blocks_fraction);
    return 0;
}

struct vidur_cut vidur_deployment_cut(const struct vidur_deployment *deployment)
{
    return (struct vidur_cut){.tensor = deployment->tensor_parallel_size,
                              .pipeline = deployment->num_pipeline_stages,
                              .expert = deployment->expert_parallel,
                              .data = deployment->data_parallel_size};
}

int vidur_deployment_devices(const struct vidur_deployment *deployment)
{
    const struct vidur_cut cut = vidur_deployment_cut(deployment);
    return vidur_cut_devices(&cut);
}

/* Ranks in data parallel, which some scheduler has to keep in step. */
static int check_ranks(const struct vidur_scheduler_ops *ops,
                       const struct vidur_deployment *deployment,
                       struct vidur_error *err)
{
    const struct vidur_cut cut = vidur_deployment_cut(deployment);
    if (vidur_check_data_parallel(&deployment->model, &cut, err))
        return vidur_fail_prefix(err, "cluster.data_parallel_size");
    if (vidur_cut_ranks(&cut) > 1 && !ops->has_ranks)
        return vidur_fail(
            err, VIDUR_EINVAL,
            "cluster.data_parallel_size: %d; scheduler %s has no ranks in "
            "data parallel, vllm_v1 has",
            cut.data, ops->name);
    return 0;
}

static int check_shape(const struct vidur_scheduler_ops *ops,
                       const struct vidur_deployment *deployment,
                       struct vidur_error *err)
{
    const int stages = deployment->num_pipeline_stages;
    const int devices = vidur_deployment_devices(deployment);
    const int per_node = deployment->node.devices_per_node;
    const struct vidur_cut cut = vidur_deployment_cut(deployment);
    if (check_ranks(ops, deployment, err))
        return -1;
    if (vidur_check_tensor_parallel(&deployment->model, &cut, deployment->semantics,
                                    err))
        return vidur_fail_prefix(err, "cluster.tensor_parallel_size");
    if (vidur_check_precision(&deployment->model, &deployment->device, err))
        return vidur_fail_prefix(err, "precision");
    struct vidur_stage_kinds kinds;
    if (ops->step_model && ops->step_model->whole_steps
            ? vidur_stage_kinds_of(&kinds, &deployment->model, &deployment->node, &cut,
                                   err)
            : vidur_check_pipeline(&deployment->model, stages, err))
        return vidur_fail_prefix(err, "cluster.num_pipeline_stages");
    if (devices > per_node && devices % per_node)
        return vidur_fail(err, VIDUR_EINVAL,
                          "cluster.%s: a replica of %d devices neither "
                          "fits in a %s of %d nor fills several",
                          deployment->data_parallel_size > 1 ? "data_parallel_size"
                                                             : "num_pipeline_stages",
                          devices, deployment->node.name, per_node);
    const int cap = (int)vidur_knob_value(&deployment->scheduler, ops->batch_cap);
    if (cap < stages)
        return vidur_fail(err, VIDUR_EINVAL,
                          "scheduler.%s: %d requests cannot be spread over "
                          "%d pipeline stages; at least one each",
                          vidur_knob_name(ops->batch_cap), cap, stages);
    return 0;
}

/* KV blocks in the host's memory, which a scheduler has to load. */
static int check_offload(const struct vidur_scheduler_ops *ops,
                         const struct vidur_deployment *deployment,
                         struct vidur_error *err)
{
    const struct vidur_scheduler_config *knobs = &deployment->scheduler;
    const double gib = knobs->kv_offload_gib_per_gpu;
    if (gib == 0)
        return 0;
    if (!vidur_scheduler_uses(ops, VIDUR_KNOB_kv_offload_gib_per_gpu))
        return vidur_fail(err, VIDUR_EINVAL,
                          "scheduler.kv_offload_gib_per_gpu: %g; scheduler %s keeps no "
                          "KV blocks in host memory, vllm_v1 does; set 0 or that",
                          gib, ops->name);
    if (!knobs->prefix_caching)
        return vidur_fail(err, VIDUR_EINVAL,
                          "scheduler.kv_offload_gib_per_gpu: %g without "
                          "prefix_caching, by which blocks in host memory are found; "
                          "set prefix_caching: true, or 0",
                          gib);
    if (!(vidur_deployment_host_gb_per_s(deployment) > 0))
        return vidur_fail(err, VIDUR_EINVAL,
                          "scheduler.kv_offload_gb_per_s: the spec of %s has no "
                          "host_link; give the GB/s at which a GPU loads from its host",
                          deployment->device.name);
    return 0;
}

int vidur_deployment_check(const struct vidur_deployment *deployment,
                           struct vidur_error *err)
{
    const struct vidur_scheduler_ops *ops =
        vidur_scheduler_find(deployment->scheduler.type);
    if (check_counts(deployment, err) || check_knobs(&deployment->scheduler, err))
        return -1;
    if (!ops)
        return vidur_policy_unknown(scheduler_name, "scheduler.type",
                                    deployment->scheduler.type, err);
    if (check_shape(ops, deployment, err) || check_cpu(ops, deployment, err))
        return -1;
    if (!vidur_router_find(deployment->router))
        return vidur_policy_unknown(router_name, "router", deployment->router, err);
    if (check_offload(ops, deployment, err))
        return -1;
    return ops->check ? ops->check(deployment, err) : 0;
}

double vidur_deployment_host_gb_per_s(const struct vidur_deployment *deployment)
{
    const struct vidur_host_link *link = &deployment->device.host_link;
    return deployment->scheduler.kv_offload_gb_per_s > 0
               ? deployment->scheduler.kv_offload_gb_per_s
               : link->bandwidth_gb_per_s * link->efficiency;
}

int vidur_deployment_num_gpus(const struct vidur_deployment *deployment)
{
    return deployment->num_replicas * vidur_deployment_devices(deployment);
}

bool vidur_deployment_is_multi_node(const struct vidur_deployment *deployment)
{
    return vidur_deployment_devices(deployment) > deployment->node.devices_per_node;
}

/* Tokens that one iteration can have. */
static int64_t max_step_tokens(const struct vidur_scheduler_ops *ops,
                               const struct vidur_deployment *deployment,
                               const struct vidur_memory_plan *plan, int max_tokens)
{
    const struct vidur_scheduler_config *knobs = &deployment->scheduler;
    const int64_t cap = (int64_t)vidur_knob_value(knobs, ops->batch_cap);
    const int64_t decodes = cap / deployment->num_pipeline_stages;
    const int64_t prompt = (int64_t)vidur_knob_value(knobs, ops->token_budget);
    if (ops->token_budget == VIDUR_KNOB_NONE)
        return plan->max_batch_size * max_tokens;
    return prompt > decodes ? prompt : decodes;
}

static int64_t round_up(int64_t value, int64_t step)
{
    return (value + step - 1) / step * step;
}

void vidur_deployment_table_limits(const struct vidur_deployment *deployment,
                                   int max_tokens,
                                   struct vidur_timetable_request *request)
{
    const struct vidur_scheduler_ops *ops =
        vidur_scheduler_find(deployment->scheduler.type);
    struct vidur_memory_plan plan;
    const int stages = deployment->num_pipeline_stages;
    vidur_memory_plan_with(ops, deployment, max_tokens, &plan);
    *request = (struct vidur_timetable_request){
        .model = &deployment->model,
        .device = &deployment->device,
        .node = &deployment->node,
        .tensor_parallel_size = deployment->tensor_parallel_size,
        .expert_parallel = deployment->expert_parallel,
        .data_parallel_size = deployment->data_parallel_size,
        .engine = ops->step_model->whole_steps,
        .num_stages = stages,
        .pipeline = stages > 1,
        .multi_node = vidur_deployment_is_multi_node(deployment),
        .block_size_tokens = deployment->scheduler.block_size,
        .max_tokens = round_up(max_step_tokens(ops, deployment, &plan, max_tokens), 8),
        .max_batch_size = vidur_deployment_batch_cap(deployment),
        /* Prompts begun in different batches can meet in one. */
        .max_kv_tokens = round_up(max_tokens, 64) * (stages > 1 ? 2 : 1)};
    /* The root of the sum of squares: chunks add up to max_tokens of the step, and none
     * is longer than a request. */
    const double longest = fmin(max_tokens, (double)request->max_tokens);
    request->max_chunk_tokens =
        (int64_t)ceil(sqrt((double)request->max_tokens * longest));
}
