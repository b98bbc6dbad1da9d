#include "registry.h"

/*
 * Orca: iteration-level batching, prompts and decodes mixed, blocks for the longest
 * possible sequence reserved at admission. Source: SIMULATOR.md section 4.2; OSDI'22.
 */

struct orca {
    int32_t max_batch_size;
    int64_t blocks_per_request;
};

static size_t state_bytes(const struct vidur_scheduler_env *env)
{
    (void)env;
    return sizeof(struct orca);
}

static void init(void *state, const struct vidur_scheduler_env *env)
{
    *(struct orca *)state =
        (struct orca){.max_batch_size = (int32_t)env->plan->max_batch_size,
                      .blocks_per_request = env->blocks_per_request};
}

static void add_running(const struct orca *orca, struct vidur_replica *replica,
                        struct vidur_batch *batch)
{
    const struct vidur_request_table *table = replica->requests;
    while (vidur_running_count(replica) > 0 && batch->count < orca->max_batch_size) {
        const int32_t item = vidur_running_pop(replica);
        if (!vidur_item_is_group(item))
            vidur_batch_add(batch, replica, item,
                            vidur_request_is_prefilled(replica, item)
                                ? 1
                                : table->prefill_tokens[item]);
        else if (!vidur_batch_add_group(batch, replica, item, orca->max_batch_size))
            vidur_running_unpack(replica, item);
    }
}

static void admit(const struct orca *orca, struct vidur_replica *replica,
                  struct vidur_batch *batch)
{
    int32_t head;
    while ((head = vidur_queue_head(replica)) != VIDUR_NO_REQUEST &&
           batch->count < orca->max_batch_size) {
        if (vidur_free_blocks(replica) < orca->blocks_per_request) {
            batch->blocked = true;
            return;
        }
        vidur_queue_pop(replica);
        vidur_take_blocks(replica, head, orca->blocks_per_request);
        vidur_batch_add(batch, replica, head, replica->requests->prefill_tokens[head]);
    }
}

static void next_batch(void *state, struct vidur_replica *replica,
                       struct vidur_batch *batch)
{
    add_running(state, replica, batch);
    admit(state, replica, batch);
}

static int64_t repeats(const void *state, const struct vidur_replica *replica,
                       const struct vidur_batch *batch)
{
    (void)batch;
    (void)state;
    return vidur_running_count(replica) == 0 ? INT64_MAX : 1;
}

const struct vidur_scheduler_ops vidur_scheduler_orca = {
    .name = "orca",
    .step_model = &vidur_step_layers,
    .knobs =
        VIDUR_USES(batch_size_cap) | VIDUR_USES(block_size) | VIDUR_USES(num_blocks),
    .batch_cap = VIDUR_KNOB_batch_size_cap,
    .batch_cap_felt_only_when_reached = true,
    .groups_decodes = true,
    .fixed_blocks = true,
    .state_bytes = state_bytes,
    .init = init,
    .next_batch = next_batch,
    .repeats = repeats,
};
