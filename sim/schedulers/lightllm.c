#include "registry.h"

/*
 * LightLLM: blocks of one token; prompts are admitted by an estimate of the largest
 * number of blocks that the running requests will ever hold together, and interrupt
 * the decodes at most once in max_waiting_iters iterations. Source: SIMULATOR.md
 * sections 4.2 and 9.
 */

/* A request as the estimate sees it. */
struct footprint {
    int64_t tokens;    /* held now */
    int64_t remaining; /* still to come */
};

struct lightllm {
    int64_t batch_size_cap;
    int64_t max_tokens_in_batch;
    int64_t max_waiting_iters;
    int64_t waiting_iters;
    int64_t num_footprints;
    struct footprint *footprints; /* by remaining, descending; stable */
};

static int check(const struct vidur_deployment *deployment, struct vidur_error *err)
{
    if (deployment->scheduler.block_size != 1)
        return vidur_fail(err, VIDUR_EINVAL,
                          "scheduler.block_size: lightllm counts blocks of one token, "
                          "not of %d; set it to 1",
                          deployment->scheduler.block_size);
    if (deployment->num_pipeline_stages != 1)
        return vidur_fail(err, VIDUR_EINVAL,
                          "cluster.num_pipeline_stages: lightllm has no pipeline of %d "
                          "stages; set it to 1",
                          deployment->num_pipeline_stages);
    return 0;
}

/* Candidates examined stay in the estimate, one beyond what can run. */
static size_t state_bytes(const struct vidur_scheduler_env *env)
{
    return sizeof(struct lightllm) +
           ((size_t)env->running_capacity + (size_t)env->batch_capacity + 1) *
               sizeof(struct footprint);
}

static void init(void *state, const struct vidur_scheduler_env *env)
{
    const struct vidur_scheduler_config *knobs = &env->deployment->scheduler;
    struct lightllm *lightllm = state;
    *lightllm = (struct lightllm){.batch_size_cap = knobs->batch_size_cap,
                                  .max_tokens_in_batch = knobs->max_tokens_in_batch,
                                  .max_waiting_iters = knobs->max_waiting_iters};
    lightllm->footprints = (struct footprint *)(void *)(lightllm + 1);
}

static void insert(struct lightllm *lightllm, int64_t tokens, int64_t remaining)
{
    struct footprint *f = lightllm->footprints;
    int64_t i = lightllm->num_footprints++;
    for (; i > 0 && f[i - 1].remaining < remaining; i--)
        f[i] = f[i - 1];
    f[i] = (struct footprint){tokens, remaining};
}

struct visit {
    struct lightllm *lightllm;
    const struct vidur_request_table *table;
};

static void insert_running(void *context, int32_t request, int32_t processed)
{
    const struct visit *visit = context;
    const int64_t prefill = visit->table->prefill_tokens[request];
    const int64_t decoded = processed > prefill ? processed - prefill : 0;
    const int64_t left = visit->table->decode_tokens[request] - decoded - 1;
    insert(visit->lightllm, processed, left > 0 ? left : 0);
}

/* Whether the candidate, which stays in the estimate, can be admitted. */
static bool estimate_admits(struct lightllm *lightllm,
                            const struct vidur_replica *replica, int32_t request)
{
    const struct vidur_request_table *table = replica->requests;
    const int64_t left = table->decode_tokens[request] - 2;
    insert(lightllm, (int64_t)table->prefill_tokens[request] + 1, left > 0 ? left : 0);

    int64_t held = 0, need = 0;
    for (int64_t i = 0; i < lightllm->num_footprints; i++) {
        const struct footprint *f = &lightllm->footprints[i];
        held += f->tokens;
        if (f->remaining * (i + 1) + held > need)
            need = f->remaining * (i + 1) + held;
    }
    return need < replica->num_blocks;
}

static void add_prefills(struct lightllm *lightllm, struct vidur_replica *replica,
                         struct vidur_batch *batch)
{
    struct visit visit = {lightllm, replica->requests};
    int32_t head = vidur_queue_head(replica);
    if (head == VIDUR_NO_REQUEST)
        return;
    lightllm->num_footprints = 0;
    for (int32_t i = replica->running_begin; i < replica->running_end; i++)
        vidur_item_visit(replica, replica->running[i], insert_running, &visit);
    for (; head != VIDUR_NO_REQUEST; head = vidur_queue_head(replica)) {
        const int32_t tokens = replica->requests->prefill_tokens[head];
        if (batch->num_tokens + tokens > lightllm->max_tokens_in_batch ||
            replica->num_holders == lightllm->batch_size_cap ||
            batch->count == lightllm->batch_size_cap)
            return;
        if (!estimate_admits(lightllm, replica, head)) {
            batch->blocked = true;
            return;
        }
        vidur_queue_pop(replica);
        vidur_take_blocks(replica, head, tokens);
        vidur_batch_add(batch, replica, head, tokens);
    }
}

static void add_decodes(struct vidur_replica *replica, struct vidur_batch *batch)
{
    if (vidur_batch_add_running(batch, replica, batch->capacity))
        return;
    vidur_running_unpack_all(replica);
    while (vidur_running_count(replica) > 0) {
        const int32_t request = vidur_running_pop(replica);
        if (vidur_make_room(replica, batch, request))
            vidur_batch_add(batch, replica, request, 1);
    }
}

static void next_batch(void *state, struct vidur_replica *replica,
                       struct vidur_batch *batch)
{
    struct lightllm *lightllm = state;
    if (vidur_running_count(replica) == 0) {
        add_prefills(lightllm, replica, batch);
        if (batch->count > 0)
            lightllm->waiting_iters = 0;
        return;
    }
    if (lightllm->waiting_iters >= lightllm->max_waiting_iters) {
        lightllm->waiting_iters = 0;
        add_prefills(lightllm, replica, batch);
        if (batch->count > 0)
            return;
    }
    add_decodes(replica, batch);
    lightllm->waiting_iters++;
}

/* With nobody waiting, the attempts to admit that are left out find nobody. */
static int64_t repeats(const void *state, const struct vidur_replica *replica,
                       const struct vidur_batch *batch)
{
    const struct lightllm *lightllm = state;
    if (vidur_running_count(replica) > 0 || batch->blocked)
        return 1;
    if (vidur_queue_head(replica) == VIDUR_NO_REQUEST)
        return INT64_MAX;
    return lightllm->max_waiting_iters - lightllm->waiting_iters + 1;
}

/* The count runs from 1 to its limit and begins again. */
static void repeated(void *state, struct vidur_replica *replica,
                     const struct vidur_batch *batch, int64_t times)
{
    (void)replica, (void)batch;
    struct lightllm *lightllm = state;
    const int64_t period =
        lightllm->max_waiting_iters > 0 ? lightllm->max_waiting_iters : 1;
    lightllm->waiting_iters = (lightllm->waiting_iters + times - 1) % period + 1;
}

const struct vidur_scheduler_ops vidur_scheduler_lightllm = {
    .name = "lightllm",
    .step_model = &vidur_step_layers,
    .knobs = VIDUR_USES(batch_size_cap) | VIDUR_USES(max_tokens_in_batch) |
             VIDUR_USES(max_waiting_iters) | VIDUR_USES(block_size) |
             VIDUR_USES(watermark_blocks_fraction) | VIDUR_USES(num_blocks),
    .batch_cap = VIDUR_KNOB_batch_size_cap,
    .token_budget = VIDUR_KNOB_max_tokens_in_batch,
    .whole_prompts = true,
    .batch_cap_felt_only_when_reached = true,
    .default_block_size_tokens = 1, /* the only one it knows */
    .groups_decodes = true,
    .check = check,
    .state_bytes = state_bytes,
    .init = init,
    .next_batch = next_batch,
    .repeats = repeats,
    .repeated = repeated,
};
