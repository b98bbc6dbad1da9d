#include "drive/fast_forward.h"

#include <math.h>

/* How often the batch can run before something may differ, this time included, as far
 * as counts tell. */
static int64_t count_repeats(const struct vidur_walk *walk,
                             const struct vidur_live_batch *batch,
                             const struct vidur_decode_group *group)
{
    const struct vidur_run *run = walk->run;
    const struct vidur_server *server = walk->server;
    int64_t times = group->to_completion;
    if (times <= 1)
        return times;
    const int64_t scheduler =
        run->ops->repeats(server->scheduler, &server->replica, &batch->seen);
    const int64_t step = batch->step.repeats;
    times = scheduler < times ? scheduler : times;
    times = step < times ? step : times;
    if (walk->judges && run->watching && !run->step_ops->repeated_s) {
        const int64_t gaps =
            vidur_slo_watch_gaps_left(&run->watch, batch->step.stage_s[1]);
        const int64_t harmless = (gaps - 1) / batch->seen.count;
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
    if (walk->judges && walk->run->watching)
        bound = fmin(bound, walk->run->watch.next_due_s);
    return bound;
}

/* Iterations that were passed. */
struct passed {
    int64_t times;
    uint64_t execution_ticks, model_ticks;
    double next_s; /* time of the iteration after them */
};

/* What bounds them. */
struct bounds {
    int64_t times;
    double before_s; /* they end before it */
    double limit_s;  /* and not behind it */
};

/* Advances clock and blocks over one iteration, the next of which is in `phase`; false:
 * it may not be passed, and nothing has changed. */
static bool pass_one(struct vidur_replica *replica,
                     const struct vidur_decode_group *group,
                     const struct bounds *bounds, double time_s, int32_t *phase)
{
    const double end_s = replica->now_s + time_s;
    if (!(end_s < bounds->before_s) || end_s > bounds->limit_s)
        return false;
    if (!replica->fixed_blocks) {
        const int32_t next = *phase + 1 == replica->block_size ? 0 : *phase + 1;
        const int64_t demand = group->demand[next];
        if (vidur_free_blocks(replica) - demand < 1)
            return false;
        *phase = next;
        replica->now_s = end_s;
        if (demand)
            vidur_blocks_change(replica, demand);
    }
    replica->now_s = end_s;
    return true;
}

static void record(const struct vidur_replica_account *account, double time_s,
                   int64_t times, int64_t count)
{
    vidur_token_gaps_add(account->gaps, time_s,
                         account->gaps->of_batches ? times : times * count);
    if (account->watch && !account->gaps->of_batches)
        vidur_slo_watch_gap(account->watch, time_s, times * count);
}

/* Iterations that take the same time. */
static struct passed pass_equal(struct vidur_walk *walk,
                                const struct vidur_live_batch *batch,
                                const struct vidur_decode_group *group,
                                const struct bounds *bounds)
{
    struct vidur_replica *replica = &walk->server->replica;
    struct vidur_replica_account *account = replica->account;
    struct vidur_stage_account stage = account->stages[0];
    const double time_s = batch->step.stage_s[1];
    const double communication_s = batch->step.communication_s[1];
    int32_t phase = group->phase;
    int64_t times = 0;

    for (; times < bounds->times && pass_one(replica, group, bounds, time_s, &phase);
         times++) {
        stage.busy_s += time_s;
        stage.communication_s += communication_s;
    }
    account->stages[0] = stage;
    if (times > 0)
        record(account, time_s, times, batch->seen.count);
    return (struct passed){.times = times,
                           .execution_ticks = (uint64_t)times * vidur_ticks(time_s),
                           .model_ticks = (uint64_t)times *
                                          vidur_ticks(time_s - batch->step.cpu_s),
                           .next_s = time_s};
}

/* Whether these gaps cannot lose an SLO. */
static bool is_harmless(const struct vidur_walk *walk, double time_s, int64_t count)
{
    return !walk->judges || !walk->run->watching ||
           vidur_slo_watch_gaps_left(&walk->run->watch, time_s) > count;
}

/* Iterations each of which the step model is asked for. */
static struct passed pass_growing(struct vidur_walk *walk,
                                  const struct vidur_live_batch *batch,
                                  const struct vidur_decode_group *group,
                                  const struct bounds *bounds)
{
    const struct vidur_run *run = walk->run;
    struct vidur_replica *replica = &walk->server->replica;
    struct vidur_stage_account *stage = &replica->account->stages[0];
    struct passed passed = {.next_s = batch->step.stage_s[1]};
    int32_t phase = group->phase;

    while (passed.times < bounds->times) {
        const double time_s = passed.next_s;
        const double next_s =
            run->step_ops->repeated_s(run->step_model, batch, passed.times + 1);
        if (!(next_s > 0) || !is_harmless(walk, time_s, batch->seen.count) ||
            !pass_one(replica, group, bounds, time_s, &phase))
            break;
        stage->busy_s += time_s;
        stage->communication_s += batch->step.communication_s[1];
        record(replica->account, time_s, 1, batch->seen.count);
        passed.execution_ticks += vidur_ticks(time_s);
        passed.model_ticks += vidur_ticks(time_s - batch->step.cpu_s);
        passed.next_s = next_s;
        passed.times++;
    }
    return passed;
}

static void count_passed(struct vidur_replica_account *account,
                         const struct vidur_live_batch *batch, int64_t times)
{
    const int64_t size = batch->seen.count;
    account->num_batches += times;
    account->num_requests += times * size;
    account->num_tokens += times * size;
    account->num_decode_batches += times;
    account->num_decodes += times * size;
    account->num_full += times * (size >= account->full_size);
    account->num_blocked += times * batch->seen.blocked;
    account->num_extrapolated += times * batch->step.extrapolated;
    /* The contexts of the batches formed after this one. */
    account->attention_tokens_squared +=
        times * batch->attention_tokens_squared + size * (times * (times + 1) / 2);
}

static void advance_group(struct vidur_replica *replica,
                          struct vidur_decode_group *group, const struct passed *passed)
{
    group->execution_ticks += passed->execution_ticks;
    group->model_ticks += passed->model_ticks;
    group->last_done_s = replica->now_s;
    vidur_group_advance(replica, group, (int32_t)passed->times);
}

static void set_time(struct vidur_live_batch *batch, double time_s)
{
    batch->step.stage_s[0] = batch->step.stage_s[1] = time_s;
    batch->stage_ticks[0] = batch->stage_ticks[1] = vidur_ticks(time_s);
}

void vidur_fast_forward(struct vidur_walk *walk, struct vidur_live_batch *batch)
{
    struct vidur_run *run = walk->run;
    struct vidur_replica *replica = &walk->server->replica;
    struct vidur_decode_group *group = &replica->groups[batch->seen.group];
    if (batch->gaps[0].since_s != replica->now_s)
        return; /* it has paused */
    const struct bounds bounds = {.times = count_repeats(walk, batch, group) - 1,
                                  .before_s = find_bound(walk),
                                  .limit_s = run->limit_s};
    if (bounds.times <= 0)
        return;
    const struct passed passed = run->step_ops->repeated_s
                                     ? pass_growing(walk, batch, group, &bounds)
                                     : pass_equal(walk, batch, group, &bounds);
    if (passed.times == 0)
        return;

    count_passed(replica->account, batch, passed.times);
    advance_group(replica, group, &passed);
    if (run->step_ops->repeated_s)
        set_time(batch, passed.next_s);
    run->next_batch_id += passed.times;
    batch->scheduled_at_s = replica->now_s;
    batch->gaps[0].since_s = replica->now_s;
    batch->decode_context_tokens = group->context_tokens;
    batch->attention_tokens_squared = group->context_tokens + group->count;
    replica->account->idle_since_s = replica->now_s;
    walk->server->ended_at_s = replica->now_s;
    if (run->ops->repeated)
        run->ops->repeated(walk->server->scheduler, replica, &batch->seen,
                           passed.times);
}

bool vidur_is_renewable(const struct vidur_walk *walk,
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
    return walk->run->ops->repeats(server->scheduler, replica, &batch->seen) > 1;
}

uint64_t vidur_pass_model_ticks(const struct vidur_live_batch *batch, int32_t last)
{
    const struct vidur_step_time *step = &batch->step;
    return (uint64_t)last * vidur_ticks(step->stage_s[0] - step->cpu_s) +
           vidur_ticks(step->stage_s[1] - step->cpu_s);
}

double vidur_renewal_bound_s(const struct vidur_walk *walk)
{
    double bound = fmin(walk->until_s, walk->next_arrival_s);
    if (walk->judges && walk->run->watching)
        bound = fmin(bound, walk->run->watch.next_due_s);
    return bound;
}

/* What the pass that ends now did in the stages; the batch is a group. */
static void settle_pass(struct vidur_pipeline *pipeline, int32_t slot,
                        struct vidur_replica *replica)
{
    const struct vidur_live_batch *batch = &pipeline->batches[slot];
    const struct vidur_pass *pass = &pipeline->passes[slot * pipeline->num_stages];
    struct vidur_decode_group *group = &replica->groups[batch->seen.group];
    struct vidur_stage_account *account = replica->account->stages;
    const int32_t last = pipeline->num_stages - 1;
    double from_s = group->last_done_s;
    for (int32_t i = 0; i <= last; i++) {
        const double start_s = pass[i].start_s;
        if (start_s != from_s)
            group->preempted_ticks += vidur_ticks(start_s - from_s);
        from_s = pass[i].end_s;
        account[i].busy_s += batch->step.stage_s[i == last];
        account[i].communication_s += batch->step.communication_s[i == last];
    }
    group->execution_ticks +=
        (uint64_t)last * batch->stage_ticks[0] + batch->stage_ticks[1];
    if (replica->requests->model_ticks)
        group->model_ticks += vidur_pass_model_ticks(batch, last);
}

void vidur_record_renewed(const struct vidur_replica_account *account,
                          struct vidur_live_batch *batch, double now_s)
{
    const double latency_s = now_s - batch->scheduled_at_s;
    if (account->gaps->of_batches) {
        vidur_token_gaps_add(account->gaps, latency_s, 1);
    } else {
        const double value_s =
            latency_s + (batch->scheduled_at_s - batch->gaps[0].since_s);
        vidur_token_gaps_add(account->gaps, value_s, batch->seen.count);
        if (account->watch)
            vidur_slo_watch_gap(account->watch, value_s, batch->seen.count);
    }
    batch->scheduled_at_s = batch->gaps[0].since_s = now_s;
}

/* Everything about the first batch in flight ending now and being formed again. */
static void renew(struct vidur_walk *walk, struct vidur_live_batch *batch, int32_t slot)
{
    struct vidur_replica *replica = &walk->server->replica;
    struct vidur_decode_group *group = &replica->groups[batch->seen.group];
    const double now_s = replica->now_s;

    settle_pass(&walk->server->pipeline, slot, replica);
    vidur_record_renewed(replica->account, batch, now_s);
    group->last_done_s = now_s;
    vidur_group_advance(replica, group, 1);
    const int64_t demand = vidur_group_demand(replica, group);
    if (demand)
        vidur_blocks_change(replica, demand);
    batch->step_left--;
    batch->renewals++;
    batch->seen.id = walk->run->next_batch_id++;
    vidur_flight_rotate(&walk->server->pipeline, now_s);
}

bool vidur_renew(struct vidur_walk *walk)
{
    const struct vidur_pipeline *pipeline = &walk->server->pipeline;
    const int32_t slot = pipeline->flight[pipeline->flight_begin];
    struct vidur_live_batch *batch = &pipeline->batches[slot];
    if (!walk->can_renew || !vidur_is_renewable(walk, batch))
        return false;
    renew(walk, batch, slot);
    return true;
}

void vidur_count_renewals(struct vidur_live_batch *batch,
                          struct vidur_replica_account *account)
{
    if (batch->renewals > 0)
        count_passed(account, batch, batch->renewals);
    batch->renewals = 0;
}
