#include "one_at_a_time.h"

/* One request at a time, first come first served; takes no blocks and keeps no state.
 */
static void serve_one(void *state, struct vidur_replica *replica,
                      struct vidur_batch *batch)
{
    (void)state;
    if (vidur_running_count(replica) > 0) {
        vidur_batch_add(batch, replica, vidur_running_pop(replica), 1);
    } else if (vidur_queue_head(replica) != VIDUR_NO_REQUEST) {
        const int32_t request = vidur_queue_pop(replica);
        vidur_batch_add(batch, replica, request,
                        replica->requests->prefill_tokens[request]);
    }
}

const struct vidur_scheduler_ops one_at_a_time = {
    .name = "one_at_a_time",
    .step_model = &vidur_step_layers,
    .batch_cap = VIDUR_KNOB_batch_size_cap,
    .fixed_blocks = true,
    .next_batch = serve_one,
};
