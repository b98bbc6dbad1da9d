#include "drive/fast_forward.h"

/*
 * The inner loop of renewals in a pipeline. While every batch in flight is a group that
 * is formed again as it was, batches end one after the other, in a fixed rotation, and
 * from one round to the next only times and block counts change. So the loop updates
 * only times, blocks and token gaps. Everything that grows by the same amount in each
 * renewal (the group's progress and ticks, the batch's counts) is multiplied by the
 * number of renewals once the loop has ended: see close_lane.
 */

/* A batch in flight, and what the loop keeps of it. */
struct lane {
    struct vidur_live_batch *batch;
    struct vidur_decode_group *group;
    struct vidur_pass *pass;
    int32_t budget; /* renewals that are certain as far as the batch is concerned */
    int32_t passed; /* renewals done in this loop */
    int32_t phase;  /* of the group's blocks: tokens modulo the block size */
};

struct cruise {
    struct vidur_walk *walk;
    struct vidur_replica *replica;
    struct vidur_pipeline *pipeline;
    double bound_s; /* a batch that ends at this time or later is not renewed */
    int32_t num_lanes;
    struct lane lanes[VIDUR_MAX_LANES];
};

static struct lane open_lane(const struct cruise *cruise, int32_t index)
{
    const struct vidur_pipeline *pipeline = cruise->pipeline;
    int32_t at = pipeline->flight_begin + index;
    if (at >= pipeline->num_slots)
        at -= pipeline->num_slots;
    const int32_t slot = pipeline->flight[at];
    struct vidur_live_batch *batch = &pipeline->batches[slot];
    struct lane lane = {.batch = batch,
                        .pass = &pipeline->passes[slot * pipeline->num_stages]};
    if (!vidur_is_renewable(cruise->walk, batch))
        return lane;
    lane.group = &cruise->replica->groups[batch->seen.group];
    lane.phase = lane.group->phase;
    lane.budget =
        (lane.group->to_completion < batch->step_left ? lane.group->to_completion
                                                      : batch->step_left) -
        1;
    return lane;
}

static void close_lane(const struct cruise *cruise, const struct lane *lane)
{
    struct vidur_live_batch *batch = lane->batch;
    struct vidur_decode_group *group = lane->group;
    const int32_t last = cruise->pipeline->num_stages - 1;
    const uint64_t times = (uint64_t)lane->passed;
    if (times == 0)
        return;
    batch->step_left -= lane->passed;
    batch->renewals += lane->passed;
    group->execution_ticks +=
        times * ((uint64_t)last * batch->stage_ticks[0] + batch->stage_ticks[1]);
    if (cruise->replica->requests->model_ticks)
        group->model_ticks += times * vidur_pass_model_ticks(batch, last);
    vidur_group_advance(cruise->replica, group, lane->passed);
}

/* Accounts for the batch's pass through the stages, which ends now, and settles when
 * its next pass starts and ends on each stage. */
static inline void turn(struct cruise *cruise, struct lane *lane, double now_s)
{
    const int32_t last = cruise->pipeline->num_stages - 1;
    const struct vidur_step_time *step = &lane->batch->step;
    struct vidur_stage_account *account = cruise->replica->account->stages;
    double *free_at_s = cruise->pipeline->free_at_s;
    struct vidur_pass *pass = lane->pass;
    double from_s = lane->group->last_done_s, ready_s = now_s;
    for (int32_t i = 0; i <= last; i++) {
        const double time_s = step->stage_s[i == last];
        if (pass[i].start_s != from_s)
            lane->group->preempted_ticks += vidur_ticks(pass[i].start_s - from_s);
        from_s = pass[i].end_s;
        account[i].busy_s += time_s;
        account[i].communication_s += step->communication_s[i == last];
        pass[i].start_s = ready_s > free_at_s[i] ? ready_s : free_at_s[i];
        ready_s = pass[i].start_s + time_s;
        pass[i].end_s = free_at_s[i] = ready_s;
    }
    lane->group->last_done_s = now_s;
}

/* True if the batch that ends next could be renewed, and was. */
static inline bool renew_lane(struct cruise *cruise, struct lane *lane)
{
    struct vidur_replica *replica = cruise->replica;
    const double now_s = lane->pass[cruise->pipeline->num_stages - 1].end_s;
    if (lane->passed == lane->budget || !(now_s < cruise->bound_s) ||
        now_s > cruise->walk->run->limit_s)
        return false;
    if (!replica->fixed_blocks) {
        const int32_t phase =
            lane->phase + 1 == replica->block_size ? 0 : lane->phase + 1;
        const int64_t demand = lane->group->demand[phase];
        if (vidur_free_blocks(replica) - demand < 1)
            return false;
        replica->now_s = now_s;
        if (demand)
            vidur_blocks_change(replica, demand);
        lane->phase = phase;
    }
    replica->now_s = now_s;
    vidur_record_renewed(replica->account, lane->batch, now_s);
    turn(cruise, lane, now_s);
    lane->passed++;
    return true;
}

void vidur_cruise(struct vidur_walk *walk)
{
    struct vidur_server *server = walk->server;
    struct cruise cruise;
    cruise.walk = walk;
    cruise.replica = &server->replica;
    cruise.pipeline = &server->pipeline;
    cruise.num_lanes = server->pipeline.in_flight;
    cruise.bound_s = vidur_renewal_bound_s(walk);
    for (int32_t i = 0; i < cruise.num_lanes; i++)
        cruise.lanes[i] = open_lane(&cruise, i);

    const struct vidur_slo_watch *watch = &walk->run->watch;
    int64_t turns = 0;
    int32_t i = 0;
    while (renew_lane(&cruise, &cruise.lanes[i])) {
        turns++;
        i = i + 1 == cruise.num_lanes ? 0 : i + 1;
        if (watch->has_crossed)
            break;
    }
    for (int32_t j = 0; j < cruise.num_lanes; j++)
        close_lane(&cruise, &cruise.lanes[j]);
    walk->run->next_batch_id += turns;
    server->ended_at_s = server->replica.now_s;
    vidur_flight_turn(&server->pipeline, i);
}
