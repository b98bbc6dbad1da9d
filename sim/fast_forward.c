#include "fast_forward.h"

#include <math.h>

/* How often the batch can run before something may differ, this time included, as far
 * as counts tell. */
static int64_t count_repeats(const struct vidur_walk *walk,
                             const struct vidur_batch *batch,
                             const struct vidur_decode_group *group)
{
    const struct vidur_run *run = walk->run;
    const struct vidur_server *server = walk->server;
    int64_t times = group->to_completion;
    if (times <= 1)
        return times;
    const int64_t scheduler =
        run->ops->repeats(server->scheduler, &server->replica, batch);
    const int64_t step = batch->step.repeats;
    times = scheduler < times ? scheduler : times;
    times = step < times ? step : times;
    if (walk->judges && run->watching) {
        const int64_t gaps =
            vidur_slo_watch_gaps_left(&run->watch, batch->step.stage_s[1]);
        const int64_t harmless = (gaps - 1) / batch->count;
        times = harmless < times ? harmless + 1 : times;
    }
    return times;
}

/* Iterations that end before this may be skipped. */
static double find_bound(const struct vidur_walk *walk)
{
    double bound = walk->until_s;
    /* What arrives behind a waiting head changes nothing. */
    if (walk->server->replica.queue_head == VIDUR_NO_REQUEST)
        bound = fmin(bound, walk->next_arrival_s);
    if (walk->judges && walk->run->watching) /* less what rounding might hide */
        bound = fmin(bound, vidur_slo_watch_next_s(&walk->run->watch) - 1e-9);
    return bound;
}

/* Advances clock and blocks; returns how many iterations were passed. */
static int64_t pass(struct vidur_walk *walk, const struct vidur_batch *batch,
                    const struct vidur_decode_group *group, int64_t limit)
{
    struct vidur_replica *replica = &walk->server->replica;
    struct vidur_replica_account *account = replica->account;
    struct vidur_stage_account stage = account->stages[0];
    const double time_s = batch->step.stage_s[1];
    const double communication_s = batch->step.communication_s[1];
    const double bound = find_bound(walk), limit_s = walk->run->limit_s;
    int32_t phase = group->phase;
    int64_t passed = 0;

    for (; passed < limit; passed++) {
        const double end_s = replica->now_s + time_s;
        if (!(end_s < bound) || end_s > limit_s)
            break;
        if (!replica->fixed_blocks) {
            phase = phase + 1 == replica->block_size ? 0 : phase + 1;
            const int64_t demand = group->demand[phase];
            if (vidur_free_blocks(replica) - demand < 1)
                break;
            replica->now_s = end_s;
            if (demand)
                vidur_blocks_change(replica, demand);
        }
        replica->now_s = end_s;
        stage.busy_s += time_s;
        stage.communication_s += communication_s;
    }
    account->stages[0] = stage;
    return passed;
}

static void count_passed(struct vidur_replica_account *account,
                         const struct vidur_batch *batch, int64_t times)
{
    const int64_t size = batch->count;
    account->num_batches += times;
    account->num_requests += times * size;
    account->num_tokens += times * size;
    account->num_decode_batches += times;
    account->num_decodes += times * size;
    account->num_full += times * (size >= account->full_size);
    account->num_blocked += times * batch->blocked;
    account->num_extrapolated += times * batch->step.extrapolated;
    /* The contexts of the batches formed after this one. */
    account->attention_tokens_squared +=
        times * batch->attention_tokens_squared + size * (times * (times + 1) / 2);
}

static void record_passed(const struct vidur_replica_account *account,
                          const struct vidur_batch *batch, int64_t times)
{
    const double time_s = batch->step.stage_s[1];
    vidur_token_gaps_add(account->gaps, time_s,
                         account->gaps->of_batches ? times : times * batch->count);
    if (account->watch && !account->gaps->of_batches)
        vidur_slo_watch_gap(account->watch, time_s, times * batch->count);
}

static void advance_group(struct vidur_replica *replica,
                          struct vidur_decode_group *group,
                          const struct vidur_step_time *step, int64_t times)
{
    const uint64_t n = (uint64_t)times;
    group->execution_ticks += n * vidur_ticks(step->stage_s[1]);
    group->model_ticks += n * vidur_ticks(step->stage_s[1] - step->cpu_s);
    group->last_done_s = replica->now_s;
    vidur_group_advance(replica, group, (int32_t)times);
}

void vidur_fast_forward(struct vidur_walk *walk, struct vidur_batch *batch)
{
    struct vidur_run *run = walk->run;
    struct vidur_replica *replica = &walk->server->replica;
    struct vidur_decode_group *group = &replica->groups[batch->group];
    if (group->last_done_s != replica->now_s)
        return;
    const int64_t limit = count_repeats(walk, batch, group) - 1;
    const int64_t times = limit > 0 ? pass(walk, batch, group, limit) : 0;
    if (times == 0)
        return;

    count_passed(replica->account, batch, times);
    record_passed(replica->account, batch, times);
    advance_group(replica, group, &batch->step, times);
    run->next_batch_id += times;
    batch->scheduled_at_s = replica->now_s;
    batch->gaps[0].since_s = replica->now_s;
    batch->decode_context_tokens = group->context_tokens;
    batch->attention_tokens_squared = group->context_tokens + group->count;
    replica->account->idle_since_s = replica->now_s;
    walk->server->ended_at_s = replica->now_s;
    if (run->ops->repeated)
        run->ops->repeated(walk->server->scheduler, times);
}

/* Whether the scheduler would do the same again: nothing has changed, nobody completes,
 * the step takes the same time and its blocks are free. */
static bool is_renewable(const struct vidur_walk *walk, const struct vidur_batch *batch)
{
    const struct vidur_server *server = walk->server;
    const struct vidur_replica *replica = &server->replica;
    if (batch->formed_at_change != vidur_num_changes(replica->account))
        return false;
    const struct vidur_decode_group *group = &replica->groups[batch->group];
    if (group->to_completion <= 1 || batch->step_left <= 1)
        return false;
    const int32_t phase =
        group->phase + 1 == replica->block_size ? 0 : group->phase + 1;
    if (!replica->fixed_blocks && vidur_free_blocks(replica) - group->demand[phase] < 1)
        return false;
    return walk->run->ops->repeats(server->scheduler, replica, batch) > 1;
}

bool vidur_renew(struct vidur_walk *walk, int32_t slot)
{
    struct vidur_server *server = walk->server;
    struct vidur_batch *batch = &server->pipeline.batches[slot];
    if (!walk->can_renew || !is_renewable(walk, batch))
        return false;
    vidur_batch_renew(batch, &server->replica,
                      server->replica.now_s - batch->scheduled_at_s);
    batch->id = walk->run->next_batch_id++;
    return true;
}
