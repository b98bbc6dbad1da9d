#include "registry.h"

/*
 * vLLM before its V1 engine: prefills first, whole prompts, in batches of their own;
 * otherwise one token of every running request, evicting the latest when blocks run
 * out. Source: SIMULATOR.md section 4.2; vLLM, SOSP'23.
 */

struct vllm {
    int64_t batch_size_cap;
    int32_t micro_batch_size;
    int64_t max_tokens_in_batch;
};

static size_t state_bytes(const struct vidur_scheduler_env *env)
{
    (void)env;
    return sizeof(struct vllm);
}

static void init(void *state, const struct vidur_scheduler_env *env)
{
    const struct vidur_scheduler_config *knobs = &env->deployment->scheduler;
    *(struct vllm *)state =
        (struct vllm){.batch_size_cap = knobs->batch_size_cap,
                      .micro_batch_size =
                          knobs->batch_size_cap / env->deployment->num_pipeline_stages,
                      .max_tokens_in_batch = knobs->max_tokens_in_batch};
}

static void add_prefills(const struct vllm *vllm, struct vidur_replica *replica,
                         struct vidur_batch *batch)
{
    int32_t longest = 0;
    int32_t head;
    while ((head = vidur_queue_head(replica)) != VIDUR_NO_REQUEST) {
        const int32_t tokens = replica->requests->prefill_tokens[head];
        if (tokens > longest)
            longest = tokens;
        if ((int64_t)(batch->count + 1) * longest > vllm->max_tokens_in_batch ||
            replica->num_holders == vllm->batch_size_cap ||
            batch->count >= vllm->micro_batch_size)
            return;
        if (!vidur_can_admit(replica, head)) {
            batch->blocked = true;
            return;
        }
        vidur_queue_pop(replica);
        vidur_take_blocks(replica, head, vidur_blocks_for(replica, tokens));
        vidur_batch_add(batch, replica, head, tokens);
    }
}

static void add_decodes(const struct vllm *vllm, struct vidur_replica *replica,
                        struct vidur_batch *batch)
{
    if (vidur_batch_add_running(batch, replica, vllm->micro_batch_size))
        return;
    vidur_running_sort(replica);
    while (vidur_running_count(replica) > 0 && batch->count < vllm->micro_batch_size) {
        const int32_t request = vidur_running_pop(replica);
        if (vidur_make_room(replica, batch, request))
            vidur_batch_add(batch, replica, request, 1);
    }
}

static void next_batch(void *state, struct vidur_replica *replica,
                       struct vidur_batch *batch)
{
    add_prefills(state, replica, batch);
    if (batch->count == 0)
        add_decodes(state, replica, batch);
}

/* What keeps the queue's head out is still there while blocks only grow scarcer. */
static int64_t repeats(const void *state, const struct vidur_replica *replica,
                       const struct vidur_batch *batch)
{
    (void)batch;
    (void)state;
    return vidur_running_count(replica) == 0 ? INT64_MAX : 1;
}

static const struct vidur_engine_argument engine_arguments[] = {
    {.flag = "--no-enable-chunked-prefill"},
    {.flag = "--max-num-batched-tokens", .knob = VIDUR_KNOB_max_tokens_in_batch},
    {0}};

const struct vidur_scheduler_ops vidur_scheduler_vllm = {
    .name = "vllm",
    .step_model = &vidur_step_layers,
    .knobs = VIDUR_USES(batch_size_cap) | VIDUR_USES(max_tokens_in_batch) |
             VIDUR_USES(block_size) | VIDUR_USES(watermark_blocks_fraction) |
             VIDUR_USES(num_blocks),
    .batch_cap = VIDUR_KNOB_batch_size_cap,
    .token_budget = VIDUR_KNOB_max_tokens_in_batch,
    .whole_prompts = true,
    .batch_cap_felt_only_when_reached = true,
    .engine_arguments = engine_arguments,
    .engine_remark = "The simulated scheduler runs whole prefills first, as vLLM did "
                     "before its V1 engine.",
    .groups_decodes = true,
    .state_bytes = state_bytes,
    .init = init,
    .next_batch = next_batch,
    .repeats = repeats,
};
