#include "registry.h"

#include <string.h>

/*
 * Sarathi-Serve: prompts are cut into chunks that share batches with the decodes, so
 * that no decode waits for a whole prompt. Source: SIMULATOR.md section 4.2; OSDI'24.
 */

struct sarathi {
    int64_t batch_size_cap;
    int32_t micro_batch_size;
    int32_t chunk_size;
    int32_t num_partials;
    int32_t *partials; /* requests in mid-prefill, while a batch is formed */
};

static size_t state_bytes(const struct vidur_scheduler_env *env)
{
    return sizeof(struct sarathi) + (size_t)env->running_capacity * sizeof(int32_t);
}

static void init(void *state, const struct vidur_scheduler_env *env)
{
    const struct vidur_scheduler_config *knobs = &env->deployment->scheduler;
    struct sarathi *sarathi = state;
    *sarathi =
        (struct sarathi){.batch_size_cap = knobs->batch_size_cap,
                         .micro_batch_size = knobs->batch_size_cap /
                                             env->deployment->num_pipeline_stages,
                         .chunk_size = knobs->chunk_size};
    sarathi->partials = (int32_t *)(void *)(sarathi + 1);
}

/* Tokens of a request's next prompt chunk. */
static int32_t next_chunk(const struct sarathi *sarathi,
                          const struct vidur_replica *replica,
                          const struct vidur_batch *batch, int32_t request)
{
    const struct vidur_request_table *table = replica->requests;
    const int64_t rest =
        table->prefill_tokens[request] - table->processed_tokens[request];
    const int64_t budget = sarathi->chunk_size - batch->num_tokens;
    const int64_t tokens = rest < budget ? rest : budget;
    return tokens > 0 ? (int32_t)tokens : 0;
}

static void add_running(struct sarathi *sarathi, struct vidur_replica *replica,
                        struct vidur_batch *batch)
{
    sarathi->num_partials = 0;
    while (vidur_running_count(replica) > 0 &&
           batch->count < sarathi->micro_batch_size) {
        const int32_t item = vidur_running_pop(replica);
        if (vidur_item_is_group(item)) {
            if (!vidur_batch_add_group(batch, replica, item, sarathi->micro_batch_size))
                vidur_running_unpack(replica, item);
        } else if (!vidur_request_is_prefilled(replica, item)) {
            sarathi->partials[sarathi->num_partials++] = item;
        } else if (vidur_make_room(replica, batch, item)) {
            vidur_batch_add(batch, replica, item, 1);
        }
    }
}

/* Chunks of the prompts begun; those without a token left wait in the running list. */
static void add_partials(struct sarathi *sarathi, struct vidur_replica *replica,
                         struct vidur_batch *batch)
{
    int32_t skipped = 0;
    for (int32_t i = 0; i < sarathi->num_partials; i++) {
        const int32_t request = sarathi->partials[i];
        const int32_t tokens = next_chunk(sarathi, replica, batch, request);
        if (tokens == 0)
            sarathi->partials[skipped++] = request;
        else
            vidur_batch_add(batch, replica, request, tokens);
    }
    for (int32_t i = skipped; i-- > 0;)
        vidur_running_push_front(replica, sarathi->partials[i]);
    if (vidur_running_count(replica) > 1)
        vidur_running_sort(replica);
}

static void admit(const struct sarathi *sarathi, struct vidur_replica *replica,
                  struct vidur_batch *batch)
{
    int32_t head;
    while ((head = vidur_queue_head(replica)) != VIDUR_NO_REQUEST) {
        if (replica->num_holders == sarathi->batch_size_cap ||
            batch->count == sarathi->micro_batch_size)
            return;
        const int32_t tokens = next_chunk(sarathi, replica, batch, head);
        if (tokens == 0)
            return;
        if (!vidur_can_admit(replica, head)) {
            batch->blocked = true;
            return;
        }
        vidur_queue_pop(replica);
        vidur_take_blocks(
            replica, head,
            vidur_blocks_for(replica, replica->requests->prefill_tokens[head]));
        vidur_batch_add(batch, replica, head, tokens);
    }
}

static void next_batch(void *state, struct vidur_replica *replica,
                       struct vidur_batch *batch)
{
    add_running(state, replica, batch);
    add_partials(state, replica, batch);
    admit(state, replica, batch);
}

static int64_t repeats(const void *state, const struct vidur_replica *replica,
                       const struct vidur_batch *batch)
{
    (void)batch;
    (void)state;
    return vidur_running_count(replica) == 0 ? INT64_MAX : 1;
}

static const struct vidur_engine_argument engine_arguments[] = {
    {.flag = "--enable-chunked-prefill"},
    {.flag = "--max-num-batched-tokens", .knob = VIDUR_KNOB_chunk_size},
    {0}};

const struct vidur_scheduler_ops vidur_scheduler_sarathi = {
    .name = "sarathi",
    .step_model = &vidur_step_layers,
    .knobs = VIDUR_USES(batch_size_cap) | VIDUR_USES(chunk_size) |
             VIDUR_USES(block_size) | VIDUR_USES(watermark_blocks_fraction) |
             VIDUR_USES(num_blocks),
    .batch_cap = VIDUR_KNOB_batch_size_cap,
    .token_budget = VIDUR_KNOB_chunk_size,
    .batch_cap_felt_only_when_reached = true,
    .engine_arguments = engine_arguments,
    .groups_decodes = true,
    .state_bytes = state_bytes,
    .init = init,
    .next_batch = next_batch,
    .repeats = repeats,
};
