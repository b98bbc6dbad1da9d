#include "drive/fast_forward.h"
#include "replica/told.h"

#include <math.h>

/*
 * Renewals in a pipeline. While every batch in flight is a group that is formed again
 * as it was, batches end one after the other, in a fixed rotation, and from one round
 * to the next only times and block counts change. So a renewal updates only times,
 * blocks and token gaps. What grows by the same amount in each renewal (the group's
 * progress and ticks, the batch's counts) is left for later and then multiplied: see
 * close_lane and vidur_count_renewals.
 */

/* A batch in flight, and what renewing it keeps of it. */
struct lane {
    struct vidur_live_batch *batch;
    struct vidur_decode_group *group;
    struct vidur_pass *pass;
    int32_t budget;   /* renewals that are certain as far as the batch is concerned */
    int32_t renewals; /* done since it was opened */
    int32_t phase;    /* of the group's blocks: tokens modulo the block size */
};

struct cruise {
    struct vidur_walk *walk;
    struct vidur_replica *replica;
    struct vidur_pipeline *pipeline;
    double bound_s; /* a batch that ends at this time or later is not renewed */
};

/* Whether the scheduler would form the same batch again when it ends: nothing has
 * changed since it was formed, no request of it completes, its next step takes the same
 * time, the blocks that it needs are free, and the scheduler does not count. */
VIDUR_COMPILED_IN bool is_renewable(const struct vidur_walk *walk,
                                    const struct vidur_live_batch *batch)
{
    const struct vidur_server *server = walk->server;
    const struct vidur_replica *replica = &server->replica;
    if (batch->formed_at_change != vidur_num_changes(replica->account))
        return false;
    const struct vidur_decode_group *group = &replica->groups[batch->seen.group];
    if (group->to_completion <= 1 || batch->step_left <= 1)
        return false;
    const int32_t phase =
        group->phase + 1 == replica->block_size ? 0 : group->phase + 1;
    if (!replica->fixed_blocks && vidur_free_blocks(replica) - group->demand[phase] < 1)
        return false;
    return server->pool->ops->repeats(server->scheduler, replica, &batch->seen) ==
           INT64_MAX;
}

/* The time of the next event other than a batch's end. Only batches that end before it
 * may be renewed. */
static double renewal_bound_s(const struct vidur_walk *walk)
{
    double bound = fmin(walk->until_s, walk->next_arrival_s);
    if (walk->judges && walk->run->watching)
        bound = fmin(bound, walk->run->watch.next_due_s);
    return bound;
}

static struct cruise begin(struct vidur_walk *walk, double bound_s)
{
    return (struct cruise){.walk = walk,
                           .replica = &walk->server->replica,
                           .pipeline = &walk->server->pipeline,
                           .bound_s = bound_s};
}

/* Without a budget if it cannot be renewed. */
VIDUR_COMPILED_IN struct lane open_lane(const struct cruise *cruise, int32_t index)
{
    const struct vidur_pipeline *pipeline = cruise->pipeline;
    int32_t at = pipeline->flight_begin + index;
    if (at >= pipeline->num_slots)
        at -= pipeline->num_slots;
    const int32_t slot = pipeline->flight[at];
    struct vidur_live_batch *batch = &pipeline->batches[slot];
    struct lane lane = {.batch = batch, .pass = vidur_passes_of(pipeline, slot)};
    if (!is_renewable(cruise->walk, batch))
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
    if (lane->renewals == 0)
        return;
    batch->step_left -= lane->renewals;
    batch->renewals += lane->renewals;
    vidur_account_ways(&lane->group->ticks, &batch->step, cruise->pipeline->kinds,
                       cruise->pipeline->num_stages, lane->renewals);
    vidur_group_advance(cruise->replica, lane->group, lane->renewals);
}

/* Accounts for the batch's passes, the last of which ends now, and plans the next ones.
 */
static inline void renew_passes(struct cruise *cruise, struct lane *lane, double now_s)
{
    const int32_t last = cruise->pipeline->num_stages - 1;
    const struct vidur_step_time *step = &lane->batch->step;
    struct vidur_stage_account *stages = cruise->replica->account->stages;
    struct vidur_decode_group *group = lane->group;
    double *free_at_s = cruise->pipeline->free_at_s;
    double from_s = group->last_done_s, ready_s = now_s;
    for (int32_t i = 0; i <= last; i++) {
        struct vidur_pass *pass = &lane->pass[i];
        const int32_t kind = cruise->pipeline->kinds[i];
        const double time_s = step->stage_s[kind];
        vidur_account_wait(&group->ticks.preempted, from_s, pass->start_s);
        vidur_account_stage(&stages[i], time_s, step->communication_s[kind]);
        from_s = pass->end_s;
        ready_s = vidur_plan_pass(pass, &free_at_s[i], ready_s, time_s);
    }
    group->last_done_s = now_s;
}

/* True if the batch that ends next could be renewed, and was. `tells`, here and below:
 * a router polls, known where the code is compiled. */
VIDUR_COMPILED_IN bool renew_lane(struct cruise *cruise, struct lane *lane, bool tells)
{
    struct vidur_replica *replica = cruise->replica;
    const int64_t blocks = replica->allocated_blocks;
    const double now_s = lane->pass[cruise->pipeline->num_stages - 1].end_s;
    if (lane->renewals == lane->budget || !(now_s < cruise->bound_s) ||
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
    if (tells) /* nobody has come to the queue since it was formed */
        vidur_told_tell(replica->told, now_s, replica->queue_length, blocks);
    struct vidur_live_batch *batch = lane->batch;
    const double latency_s = now_s - batch->scheduled_at_s;
    const double gap_s = latency_s + (batch->scheduled_at_s - batch->gaps[0].since_s);
    vidur_account_group_gaps(replica->account, batch, latency_s, gap_s, 1);
    batch->scheduled_at_s = batch->gaps[0].since_s = now_s;
    renew_passes(cruise, lane, now_s);
    lane->renewals++;
    return true;
}

VIDUR_COMPILED_IN bool renew(struct vidur_walk *walk, bool tells)
{
    if (!walk->can_renew)
        return false;
    struct cruise cruise = begin(walk, INFINITY);
    struct lane lane = open_lane(&cruise, 0);
    if (!renew_lane(&cruise, &lane, tells))
        return false;
    close_lane(&cruise, &lane);
    walk->run->next_batch_id++;
    vidur_flight_rotate(cruise.pipeline, 1);
    return true;
}

bool vidur_renew(struct vidur_walk *walk)
{
    return walk->tells ? renew(walk, true) : renew(walk, false);
}

VIDUR_COMPILED_IN void run_lanes(struct vidur_walk *walk, bool tells)
{
    struct cruise cruise = begin(walk, renewal_bound_s(walk));
    struct lane lanes[VIDUR_MAX_LANES];
    const int32_t num_lanes = cruise.pipeline->in_flight;
    for (int32_t i = 0; i < num_lanes; i++)
        lanes[i] = open_lane(&cruise, i);

    int64_t renewals = 0;
    int32_t i = 0;
    while (renew_lane(&cruise, &lanes[i], tells)) {
        renewals++;
        i = i + 1 == num_lanes ? 0 : i + 1;
        if (walk->run->watch.has_crossed)
            break;
    }
    for (int32_t j = 0; j < num_lanes; j++)
        close_lane(&cruise, &lanes[j]);
    walk->run->next_batch_id += renewals;
    walk->server->ended_at_s = walk->server->replica.now_s;
    vidur_flight_rotate(cruise.pipeline, i);
}

void vidur_cruise(struct vidur_walk *walk)
{
    if (walk->tells)
        run_lanes(walk, true);
    else
        run_lanes(walk, false);
}

void vidur_run_stepper_close(struct vidur_server *server)
{
    struct vidur_pipeline *pipeline = &server->pipeline;
    struct vidur_replica *replica = &server->replica;
    if (vidur_pipeline_is_single(pipeline))
        return;
    for (int32_t i = 0; i < pipeline->in_flight; i++) {
        const int32_t at = (pipeline->flight_begin + i) % pipeline->num_slots;
        const int32_t slot = pipeline->flight[at];
        vidur_count_renewals(&pipeline->batches[slot], replica->account);
        vidur_flight_settle(pipeline, slot, replica, replica->now_s);
    }
}
