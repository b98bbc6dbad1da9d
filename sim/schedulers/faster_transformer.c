#include "registry.h"

#include "replica/replica.h"

/*
 * FasterTransformer: request-level batching. A batch admitted together decodes together
 * until its last request completes, and holds the blocks of all its requests until
 * then. Source: SIMULATOR.md sections 4.2 and 9.
 */

/* A batch between admission and its last completion. */
struct cohort {
    bool in_use;
    int32_t group;       /* of its decoding requests, or VIDUR_NO_GROUP */
    int32_t num_members; /* uncompleted ones beside the group */
    int32_t *member;
    int64_t blocks;
    int32_t num_admitted;
};

struct faster_transformer {
    int32_t max_batch_size;
    int64_t blocks_per_request;
    int32_t num_cohorts;
    struct cohort *cohorts;
    int32_t *pending; /* cohorts between iterations, oldest first */
    int32_t num_pending;
};

static size_t state_bytes(const struct vidur_scheduler_env *env)
{
    const size_t cohorts = (size_t)env->batches_at_once;
    return sizeof(struct faster_transformer) +
           cohorts * (sizeof(struct cohort) + sizeof(int64_t) +
                      (size_t)env->batch_capacity * sizeof(int32_t));
}

static void init(void *state, const struct vidur_scheduler_env *env)
{
    struct faster_transformer *ft = state;
    *ft = (struct faster_transformer){.max_batch_size =
                                          (int32_t)env->plan->max_batch_size,
                                      .blocks_per_request = env->blocks_per_request,
                                      .num_cohorts = env->batches_at_once};
    ft->cohorts = (struct cohort *)(void *)(ft + 1);
    ft->pending = (int32_t *)(void *)(ft->cohorts + ft->num_cohorts);
    int32_t *members = ft->pending + ft->num_cohorts;
    for (int32_t i = 0; i < ft->num_cohorts; i++)
        ft->cohorts[i] =
            (struct cohort){.group = VIDUR_NO_GROUP,
                            .member = members + (size_t)i * env->batch_capacity};
}

static void resume(struct faster_transformer *ft, struct vidur_replica *replica,
                   struct vidur_batch *batch)
{
    const int32_t index = ft->pending[0];
    struct cohort *cohort = &ft->cohorts[index];
    ft->num_pending--;
    for (int32_t i = 0; i < ft->num_pending; i++)
        ft->pending[i] = ft->pending[i + 1];
    batch->tag = index;
    if (cohort->group >= 0)
        vidur_batch_add_group(batch, replica, ~cohort->group, batch->capacity);
    for (int32_t i = 0; i < cohort->num_members; i++)
        vidur_batch_add(batch, replica, cohort->member[i], 1);
}

static void admit(struct faster_transformer *ft, struct vidur_replica *replica,
                  struct vidur_batch *batch)
{
    struct cohort *cohort = ft->cohorts;
    int32_t head;
    while (cohort->in_use)
        cohort++; /* no more cohorts than batches in flight, and this is one more */
    while ((head = vidur_queue_head(replica)) != VIDUR_NO_REQUEST &&
           batch->count < ft->max_batch_size) {
        if (vidur_free_blocks(replica) < ft->blocks_per_request) {
            batch->blocked = true;
            break;
        }
        vidur_queue_pop(replica);
        vidur_take_blocks(replica, head, ft->blocks_per_request);
        vidur_batch_add(batch, replica, head, replica->requests->prefill_tokens[head]);
    }
    if (batch->count == 0)
        return;
    cohort->in_use = true;
    cohort->group = VIDUR_NO_GROUP;
    cohort->num_members = 0;
    cohort->num_admitted = batch->count;
    cohort->blocks = ft->blocks_per_request * batch->count;
    batch->tag = (int32_t)(cohort - ft->cohorts);
}

static void next_batch(void *state, struct vidur_replica *replica,
                       struct vidur_batch *batch)
{
    struct faster_transformer *ft = state;
    if (ft->num_pending > 0)
        resume(ft, replica, batch);
    else
        admit(ft, replica, batch);
}

static void batch_end(void *state, struct vidur_replica *replica,
                      struct vidur_batch *batch)
{
    struct faster_transformer *ft = state;
    struct cohort *cohort = &ft->cohorts[batch->tag];
    cohort->group = batch->group;
    cohort->num_members = batch->num_members;
    for (int32_t i = 0; i < batch->num_members; i++)
        cohort->member[i] = batch->member[i];
    if (cohort->group >= 0 || cohort->num_members > 0) {
        ft->pending[ft->num_pending++] = batch->tag;
        return;
    }
    vidur_blocks_change(replica, -cohort->blocks);
    replica->num_holders -= cohort->num_admitted;
    cohort->in_use = false;
}

static int64_t repeats(const void *state, const struct vidur_replica *replica,
                       const struct vidur_batch *batch)
{
    (void)batch;
    (void)replica;
    return ((const struct faster_transformer *)state)->num_pending == 0 ? INT64_MAX : 1;
}

const struct vidur_scheduler_ops vidur_scheduler_faster_transformer = {
    .name = "faster_transformer",
    .step_model = &vidur_step_layers,
    .knobs =
        VIDUR_USES(batch_size_cap) | VIDUR_USES(block_size) | VIDUR_USES(num_blocks),
    .batch_cap = VIDUR_KNOB_batch_size_cap,
    .batch_cap_felt_only_when_reached = true,
    .groups_decodes = true,
    .keeps_blocks = true,
    .fixed_blocks = true,
    .state_bytes = state_bytes,
    .init = init,
    .next_batch = next_batch,
    .batch_end = batch_end,
    .repeats = repeats,
};
