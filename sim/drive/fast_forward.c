#include "drive/fast_forward.h"
#include "replica/block_store.h"
#include "replica/told.h"

#include <math.h>

size_t vidur_walk_bytes(void)
{
    return sizeof(struct vidur_walk);
}

static inline int64_t count_repeats(const struct vidur_walk *walk,
                                    struct vidur_server *server)
{
    const struct vidur_run *run = walk->run;
    const struct vidur_live_batch *batch = server->pipeline.batches;
    int64_t times = server->replica.groups[batch->seen.group].to_completion;
    if (times <= 1)
        return times;
    const int64_t scheduler =
        server->pool->ops->repeats(server->scheduler, &server->replica, &batch->seen);
    const int64_t step = batch->step.repeats;
    times = scheduler < times ? scheduler : times;
    times = step < times ? step : times;
    if (walk->judges && run->watching && !server->pool->step_ops->repeated_s) {
        const int64_t gaps = vidur_slo_watch_gaps_left(
            &run->watch, batch->step.stage_s[VIDUR_STAGE_LAST]);
        const int64_t harmless = (gaps - 1) / batch->seen.count;
        times = harmless < times ? harmless + 1 : times;
    }
    return times;
}

int64_t vidur_count_repeats(const struct vidur_walk *walk, struct vidur_server *server)
{
    return count_repeats(walk, server);
}

/* Iterations that end before this may be skipped. `tells`: to a router that polls. */
VIDUR_COMPILED_IN double find_bound(const struct vidur_walk *walk, bool tells)
{
    double bound = walk->until_s;
    /* What arrives behind a waiting head changes nothing, but it is told, and when an
     * SLO on what was sent is due is known only then. */
    if (tells || walk->server->replica.queue_head == VIDUR_NO_REQUEST ||
        walk->server->replica.by_priority || (walk->takes_sent && walk->run->watching))
        bound = vidur_earlier(bound, walk->next_arrival_s);
    if (walk->judges && walk->run->watching)
        bound = vidur_earlier(bound, walk->run->watch.next_due_s);
    return bound;
}

/* Iterations that were skipped. */
struct skipped {
    int64_t times;
    double next_s; /* time of the iteration after them */
};

/* What bounds them, and who hears of their ends. */
struct bounds {
    int64_t times;
    double before_s;         /* they end before it */
    double limit_s;          /* and not behind it */
    struct vidur_told *told; /* NULL: no router polls */
};

/* How far skipping has come. */
struct progress {
    int32_t times;
    int32_t phase; /* of the group's blocks */
};

/* Advances clock and blocks over one iteration, the next of which is in `phase`; false:
 * it may not be skipped, and nothing has changed. */
VIDUR_COMPILED_IN bool skip_one(struct vidur_replica *replica,
                                const struct vidur_decode_group *group,
                                const struct bounds *bounds, double time_s,
                                struct progress *at)
{
    const double end_s = replica->now_s + time_s;
    const int64_t blocks = replica->allocated_blocks;
    if (!(end_s < bounds->before_s) || end_s > bounds->limit_s)
        return false;
    if (!replica->fixed_blocks) {
        const int32_t next = at->phase + 1 == replica->block_size ? 0 : at->phase + 1;
        const int64_t demand = group->demand[next];
        if (vidur_free_blocks(replica) - demand < 1)
            return false;
        at->phase = next;
        replica->now_s = end_s;
        if (demand && replica->store)
            vidur_block_store_grow(replica->store, (int32_t)demand);
        if (demand)
            vidur_blocks_change(replica, demand);
    }
    replica->now_s = end_s;
    if (bounds->told) /* nobody comes to the queue, none leaves it */
        vidur_told_tell(bounds->told, end_s, replica->queue_length, blocks);
    at->times++;
    return true;
}

/* Iterations that take the same time. */
VIDUR_COMPILED_IN struct skipped skip_equal(struct vidur_walk *walk,
                                            const struct vidur_live_batch *batch,
                                            struct vidur_decode_group *group,
                                            const struct bounds *bounds)
{
    struct vidur_replica *replica = &walk->server->replica;
    struct vidur_replica_account *account = replica->account;
    struct vidur_stage_account stage = account->stages[0];
    const double time_s = batch->step.stage_s[VIDUR_STAGE_LAST];
    const double communication_s = batch->step.communication_s[VIDUR_STAGE_LAST];
    struct progress at = {.phase = group->phase};

    while (at.times < bounds->times && skip_one(replica, group, bounds, time_s, &at))
        vidur_account_stage(&stage, time_s, communication_s);
    const int64_t times = at.times;
    account->stages[0] = stage;
    if (times > 0) {
        vidur_account_group_gaps(account, batch, time_s, time_s, times);
        vidur_account_execution(&group->ticks, time_s, batch->step.cpu_s, times);
    }
    return (struct skipped){.times = times, .next_s = time_s};
}

bool vidur_gaps_are_harmless(const struct vidur_walk *walk, double time_s,
                             int64_t count)
{
    return !walk->judges || !walk->run->watching ||
           vidur_slo_watch_gaps_left(&walk->run->watch, time_s) > count;
}

bool vidur_steps_stall(const struct vidur_pool_model *pool)
{
    return pool->step_ops->stall_s &&
           pool->step_ops->has_cpu_overhead(pool->step_model);
}

/* Iterations each of which the step model is asked for; with `stalls` also for how long
 * it is held up, which its begin says. */
VIDUR_COMPILED_IN struct skipped skip_growing(struct vidur_walk *walk,
                                              struct vidur_live_batch *batch,
                                              struct vidur_decode_group *group,
                                              const struct bounds *bounds, bool stalls)
{
    const struct vidur_pool_model *pool = walk->server->pool;
    struct vidur_replica *replica = &walk->server->replica;
    struct vidur_stage_account *stage = &replica->account->stages[0];
    struct skipped skipped = {.next_s = batch->step.stage_s[VIDUR_STAGE_LAST]};
    struct progress at = {.phase = group->phase};

    while (skipped.times < bounds->times) {
        const double time_s = skipped.next_s;
        double next_s =
            pool->step_ops->repeated_s(pool->step_model, batch, skipped.times + 1);
        if (!(next_s > 0) ||
            !vidur_gaps_are_harmless(walk, time_s, batch->seen.count) ||
            !skip_one(replica, group, bounds, time_s, &at))
            break;
        vidur_account_stage(stage, time_s,
                            batch->step.communication_s[VIDUR_STAGE_LAST]);
        vidur_account_group_gaps(replica->account, batch, time_s, time_s, 1);
        vidur_account_execution(&group->ticks, time_s, batch->step.cpu_s, 1);
        if (stalls) {
            batch->step.cpu_s =
                pool->step_ops->stall_s(pool->step_model, replica->now_s, next_s);
            next_s += batch->step.cpu_s;
        }
        skipped.next_s = next_s;
        skipped.times++;
    }
    return skipped;
}

static inline void end_skipping(struct vidur_run *run, struct vidur_server *server,
                                int64_t times, double next_s)
{
    struct vidur_replica *replica = &server->replica;
    struct vidur_live_batch *batch = server->pipeline.batches;
    struct vidur_decode_group *group = &replica->groups[batch->seen.group];
    vidur_account_batches(replica->account, batch, 1, times);
    vidur_account_idle(replica->account, replica->now_s);
    group->last_done_s = replica->now_s;
    vidur_group_advance(replica, group, (int32_t)times);
    batch->step.stage_s[VIDUR_STAGE_LAST] = next_s;
    run->next_batch_id += times;
    batch->scheduled_at_s = replica->now_s;
    batch->gaps[0].since_s = replica->now_s;
    batch->decode_context_tokens = group->context_tokens;
    batch->attention_tokens_squared = group->context_tokens + group->count;
    server->ended_at_s = replica->now_s;
    if (server->pool->ops->repeated)
        server->pool->ops->repeated(server->scheduler, replica, &batch->seen, times);
}

void vidur_end_skipping(struct vidur_run *run, struct vidur_server *server,
                        int64_t times, double next_s)
{
    end_skipping(run, server, times, next_s);
}

/* Compiled for each of what it is told last: whether the step model is asked for each
 * iteration, whether a router polls, and whether steps are held up. */
VIDUR_COMPILED_IN void fast_forward(struct vidur_walk *walk,
                                    struct vidur_live_batch *batch, bool grows,
                                    bool tells, bool stalls)
{
    struct vidur_run *run = walk->run;
    struct vidur_replica *replica = &walk->server->replica;
    struct vidur_decode_group *group = &replica->groups[batch->seen.group];
    if (batch->gaps[0].since_s != replica->now_s)
        return; /* it has paused */
    const struct bounds bounds = {.times = count_repeats(walk, walk->server) - 1,
                                  .before_s = find_bound(walk, tells),
                                  .limit_s = run->limit_s,
                                  .told = tells ? replica->told : NULL};
    if (bounds.times <= 0)
        return;
    const struct skipped skipped =
        grows ? skip_growing(walk, batch, group, &bounds, stalls)
              : skip_equal(walk, batch, group, &bounds);
    if (skipped.times > 0)
        end_skipping(run, walk->server, skipped.times, skipped.next_s);
}

static void skip_equals(struct vidur_walk *walk, struct vidur_live_batch *batch)
{
    fast_forward(walk, batch, false, false, false);
}

static void tell_equals(struct vidur_walk *walk, struct vidur_live_batch *batch)
{
    fast_forward(walk, batch, false, true, false);
}

static void skip_growth(struct vidur_walk *walk, struct vidur_live_batch *batch)
{
    fast_forward(walk, batch, true, false, false);
}

static void tell_growth(struct vidur_walk *walk, struct vidur_live_batch *batch)
{
    fast_forward(walk, batch, true, true, false);
}

static void skip_stalls(struct vidur_walk *walk, struct vidur_live_batch *batch)
{
    fast_forward(walk, batch, true, false, true);
}

static void tell_stalls(struct vidur_walk *walk, struct vidur_live_batch *batch)
{
    fast_forward(walk, batch, true, true, true);
}

vidur_fast_forward *vidur_fast_forward_of(const struct vidur_server *server)
{
    const bool tells = server->replica.told != NULL;
    if (!server->pool->step_ops->repeated_s)
        return tells ? tell_equals : skip_equals;
    if (vidur_steps_stall(server->pool))
        return tells ? tell_stalls : skip_stalls;
    return tells ? tell_growth : skip_growth;
}
