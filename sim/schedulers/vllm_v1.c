#include "registry.h"

#include <math.h>

/*
 * vLLM's V1 engine: one token budget a step for decodes, chunks of prompts begun and
 * new prompts, in this order; a prefix cache; preemption by recomputation. Source:
 * vllm_v1.md section 1.
 *
 * With async scheduling a step is fixed when the one before it starts, so a new request
 * waits for the running step and for the one that is fixed already. What such a plan
 * has to decide is only how many of the queue's head the next step admits, and how many
 * blocks it lacks: what decodes in it follows from the step that runs. So one batch is
 * in flight at a time, and the plan made when it starts waits here.
 */

struct vllm_v1 {
    int64_t max_num_batched_tokens;
    int32_t max_num_seqs;
    bool async;
    /* The next step's, made while a step runs. */
    bool planned;
    int32_t admissions;   /* heads of the queue to admit */
    int64_t lacks_blocks; /* to be had by preemption */
    int32_t num_partials;
    int32_t *partials; /* requests in mid-prefill, while a batch is formed */
};

static size_t state_bytes(const struct vidur_scheduler_env *env)
{
    return sizeof(struct vllm_v1) + (size_t)env->running_capacity * sizeof(int32_t);
}

static void init(void *state, const struct vidur_scheduler_env *env)
{
    const struct vidur_scheduler_config *knobs = &env->deployment->scheduler;
    struct vllm_v1 *v1 = state;
    *v1 = (struct vllm_v1){.max_num_batched_tokens = knobs->max_num_batched_tokens,
                           .max_num_seqs = knobs->max_num_seqs,
                           .async = knobs->async_scheduling};
    v1->partials = (int32_t *)(void *)(v1 + 1);
}

static int check(const struct vidur_deployment *deployment, struct vidur_error *err)
{
    const struct vidur_scheduler_config *knobs = &deployment->scheduler;
    if (deployment->num_pipeline_stages > 1)
        return vidur_fail(err, VIDUR_EINVAL,
                          "cluster.num_pipeline_stages: %d; scheduler vllm_v1 models "
                          "engines of one stage",
                          deployment->num_pipeline_stages);
    if (knobs->max_num_batched_tokens < knobs->max_num_seqs)
        return vidur_fail(
            err, VIDUR_EINVAL,
            "scheduler.max_num_batched_tokens: %d is below max_num_seqs %d; "
            "a step must have a token for every running request",
            knobs->max_num_batched_tokens, knobs->max_num_seqs);
    if (!(knobs->gpu_memory_utilization <= 1))
        return vidur_fail(err, VIDUR_EINVAL,
                          "scheduler.gpu_memory_utilization: %g; at most 1",
                          knobs->gpu_memory_utilization);
    return 0;
}

/* ---- Planning a step ---- */

/* What a step starts from. */
struct outlook {
    int64_t decodes;
    int64_t decode_blocks;
    int64_t prompt_tokens; /* left of prompts begun */
    double until_s;        /* requests that arrive later are not seen */
};

/* How many of the queue's head fit, each behind the ones before it. */
static int32_t count_admissions(const struct vllm_v1 *v1,
                                const struct vidur_replica *replica,
                                const struct outlook *outlook, int64_t free_blocks)
{
    const struct vidur_request_table *table = replica->requests;
    int64_t budget =
        v1->max_num_batched_tokens - outlook->decodes - outlook->prompt_tokens;
    int64_t running = replica->num_holders;
    int32_t count = 0;
    for (int32_t r = vidur_queue_head(replica);
         r != VIDUR_NO_REQUEST && budget > 0 && running < v1->max_num_seqs &&
         table->arrived_at_s[r] <= outlook->until_s;
         r = table->next[r]) {
        free_blocks -= vidur_prompt_blocks(replica, r);
        if (free_blocks < 0)
            break;
        budget -= table->prefill_tokens[r] - vidur_cached_tokens(replica, r);
        running++;
        count++;
    }
    return count;
}

static void plan(struct vllm_v1 *v1, const struct vidur_replica *replica,
                 const struct outlook *outlook)
{
    const int64_t left = vidur_free_blocks(replica) - outlook->decode_blocks;
    v1->lacks_blocks = left < 0 ? -left : 0;
    v1->admissions = left < 0 ? 0 : count_admissions(v1, replica, outlook, left);
}

/* Prompts begun that are not in a batch. */
struct partials {
    int64_t count, tokens;
};

static struct partials count_partials(const struct vidur_replica *replica)
{
    const struct vidur_request_table *table = replica->requests;
    struct partials partials = {0};
    for (int32_t i = replica->running_begin; i < replica->running_end; i++) {
        const int32_t item = replica->running[i];
        if (vidur_item_is_group(item) || vidur_request_is_prefilled(replica, item))
            continue;
        partials.count++;
        partials.tokens += table->prefill_tokens[item] - table->processed_tokens[item];
    }
    return partials;
}

/* A step that nothing was planned for: without async scheduling all of them, with it
 * those that follow an idle engine, fixed when the first request arrives. */
static void plan_now(struct vllm_v1 *v1, const struct vidur_replica *replica)
{
    const int32_t head = vidur_queue_head(replica);
    const bool waits_for_arrival =
        v1->async && vidur_running_count(replica) == 0 && head != VIDUR_NO_REQUEST;
    const struct partials partials = count_partials(replica);
    struct outlook outlook = {.prompt_tokens = partials.tokens,
                              .until_s = waits_for_arrival
                                             ? replica->requests->arrived_at_s[head]
                                             : INFINITY};
    outlook.decodes =
        vidur_running_demand(replica, &outlook.decode_blocks) - partials.count;
    plan(v1, replica, &outlook);
}

/* The step after the one just formed. Left open where nothing would run in it: then the
 * next arrival decides. */
static void plan_ahead(struct vllm_v1 *v1, const struct vidur_replica *replica,
                       const struct vidur_batch *batch)
{
    const struct vidur_batch_outlook next = vidur_batch_look_ahead(batch, replica);
    const struct outlook outlook = {.decodes = next.decodes,
                                    .decode_blocks = next.decode_blocks,
                                    .prompt_tokens = next.prompt_tokens +
                                                     count_partials(replica).tokens,
                                    .until_s = INFINITY};
    plan(v1, replica, &outlook);
    v1->planned =
        v1->admissions > 0 || outlook.decodes > 0 || outlook.prompt_tokens > 0;
}

/* ---- Forming it ---- */

/* Preempts the last admitted requests until that many blocks have become free. */
static void preempt(const struct vllm_v1 *v1, struct vidur_replica *replica,
                    struct vidur_batch *batch)
{
    const int64_t enough = vidur_free_blocks(replica) + v1->lacks_blocks;
    vidur_running_unpack_all(replica);
    batch->blocked = true;
    while (vidur_free_blocks(replica) < enough && vidur_running_count(replica) > 0)
        vidur_request_restart(replica, vidur_running_pop_last(replica));
}

static void add_running(struct vllm_v1 *v1, struct vidur_replica *replica,
                        struct vidur_batch *batch)
{
    v1->num_partials = 0;
    while (vidur_running_count(replica) > 0) {
        const int32_t item = vidur_running_pop(replica);
        if (vidur_item_is_group(item)) {
            if (!vidur_batch_add_group(batch, replica, item, v1->max_num_seqs))
                vidur_running_unpack(replica, item);
        } else if (!vidur_request_is_prefilled(replica, item)) {
            v1->partials[v1->num_partials++] = item;
        } else {
            vidur_grow_blocks(replica, item);
            vidur_batch_add(batch, replica, item, 1);
        }
    }
}

/* The request's next chunk, if the budget has a token for it. */
static bool add_chunk(const struct vllm_v1 *v1, struct vidur_replica *replica,
                      struct vidur_batch *batch, int32_t request)
{
    const struct vidur_request_table *table = replica->requests;
    const int64_t budget = v1->max_num_batched_tokens - batch->num_tokens;
    const int64_t rest =
        table->prefill_tokens[request] - table->processed_tokens[request];
    if (budget <= 0)
        return false;
    vidur_batch_add(batch, replica, request, (int32_t)(rest < budget ? rest : budget));
    return true;
}

static void add_prompts(struct vllm_v1 *v1, struct vidur_replica *replica,
                        struct vidur_batch *batch)
{
    for (int32_t i = 0; i < v1->num_partials; i++)
        if (!add_chunk(v1, replica, batch, v1->partials[i]))
            vidur_running_push_back(replica, v1->partials[i]);
    for (; v1->admissions > 0 && batch->num_tokens < v1->max_num_batched_tokens &&
           vidur_queue_head(replica) != VIDUR_NO_REQUEST;
         v1->admissions--) {
        const int32_t request = vidur_queue_pop(replica);
        vidur_take_prompt(replica, request);
        add_chunk(v1, replica, batch, request);
    }
    v1->admissions = 0;
}

static void next_batch(void *state, struct vidur_replica *replica,
                       struct vidur_batch *batch)
{
    struct vllm_v1 *v1 = state;
    if (!v1->planned)
        plan_now(v1, replica);
    v1->planned = false;
    if (v1->lacks_blocks > 0)
        preempt(v1, replica, batch);
    add_running(v1, replica, batch);
    add_prompts(v1, replica, batch);
    if (v1->async && batch->count > 0)
        plan_ahead(v1, replica, batch);
}

const struct vidur_scheduler_ops vidur_scheduler_vllm_v1 = {
    .name = "vllm_v1",
    .step_model = "engine",
    .groups_decodes = true,
    .shares_prefixes = true,
    .check = check,
    .state_bytes = state_bytes,
    .init = init,
    .next_batch = next_batch,
};
