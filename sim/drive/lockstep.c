#include "drive/loads.h"
#include "replica/block_store.h"
#include "replica/told.h"

#include <math.h>

/*
 * Ranks in data parallel on the quick way: their steps start and end together, so a
 * replica is walked from one step of all its ranks to the next. While every rank
 * decodes one group, or has nothing to do, steps repeat and are skipped as in
 * fast_forward.c, with the conditions there for each rank.
 */

static struct vidur_server *rank_of(const struct vidur_walk *walk, int32_t rank)
{
    return vidur_server_rank(walk->server, rank);
}

void vidur_lockstep_set_now(struct vidur_walk *walk, double now_s)
{
    for (int32_t r = 0; r < walk->server->num_ranks; r++)
        rank_of(walk, r)->replica.now_s = rank_of(walk, r)->ended_at_s = now_s;
}

/* ---- Skipping ---- */

/* What repeats: the ranks' batches, and how often. */
struct repetition {
    struct vidur_rank_batch *ranks; /* those without a batch stay idle */
    int64_t requests;               /* of all batches */
    int64_t times;                  /* that the step can run, this one included */
};

/* A rank with nothing to run stays so until a request arrives. */
static bool stays_idle(const struct vidur_server *rank)
{
    return rank->replica.queue_head == VIDUR_NO_REQUEST &&
           vidur_running_count(&rank->replica) == 0;
}

/* As far as counts tell. False: the step is none that repeats. */
static bool find_repetition(const struct vidur_walk *walk, struct repetition *out)
{
    *out = (struct repetition){.ranks = walk->run->rank_batches, .times = INT64_MAX};
    for (int32_t r = 0; r < walk->server->num_ranks; r++) {
        struct vidur_server *rank = rank_of(walk, r);
        struct vidur_live_batch *batch = vidur_rank_batch_at_work(walk->server, r, 0);
        out->ranks[r] = (struct vidur_rank_batch){&rank->replica, batch};
        if (!batch && stays_idle(rank))
            continue;
        if (!batch || batch->formed_at_change < 0 ||
            batch->gaps[0].since_s != rank->replica.now_s)
            return false; /* waits, is mixed, or has paused */
        const int64_t times = vidur_count_repeats(walk, rank);
        out->times = times < out->times ? times : out->times;
        out->requests += batch->seen.count;
    }
    return out->times > 1;
}

/* Steps that end before this may be skipped. */
static double find_bound(const struct vidur_walk *walk)
{
    /* What arrives stands behind a waiting head, and nobody is told. */
    bool all_wait = !walk->tells;
    for (int32_t r = 0; r < walk->server->num_ranks; r++)
        all_wait &= rank_of(walk, r)->replica.queue_head != VIDUR_NO_REQUEST &&
                    !rank_of(walk, r)->replica.by_priority;
    double bound = walk->until_s;
    if (walk->loads)
        bound = fmin(bound, vidur_server_next_load_s(walk->server));
    if (!all_wait || (walk->takes_sent && walk->run->watching))
        bound = fmin(bound, walk->next_arrival_s);
    if (walk->judges && walk->run->watching)
        bound = fmin(bound, walk->run->watch.next_due_s);
    return bound;
}

/* Blocks that a rank's step behind `skipped` others takes. */
static int64_t demand_after(const struct vidur_server *rank, int64_t skipped)
{
    const struct vidur_replica *replica = &rank->replica;
    const struct vidur_decode_group *group =
        &replica->groups[rank->pipeline.batches->seen.group];
    return replica->fixed_blocks
               ? 0
               : group->demand[(group->phase + skipped) % replica->block_size];
}

static bool have_blocks(const struct vidur_walk *walk, const struct repetition *rep,
                        int64_t skipped)
{
    for (int32_t r = 0; r < walk->server->num_ranks; r++) {
        const struct vidur_server *rank = rank_of(walk, r);
        if (rep->ranks[r].batch && !rank->replica.fixed_blocks &&
            vidur_free_blocks(&rank->replica) - demand_after(rank, skipped) < 1)
            return false;
    }
    return true;
}

/* The rank's step of `time_s` has ended now, the `skipped`-th, and the next begun. */
VIDUR_COMPILED_IN void skip_step(struct vidur_server *rank, double time_s,
                                 int64_t skipped, bool tells)
{
    struct vidur_replica *replica = &rank->replica;
    if (tells) /* nobody comes to the queue, none leaves it */
        vidur_told_tell(replica->told, replica->now_s, replica->queue_length,
                        replica->allocated_blocks);
    const struct vidur_live_batch *batch = rank->pipeline.batches;
    const int64_t demand = demand_after(rank, skipped);
    if (demand && replica->store)
        vidur_block_store_grow(replica->store, (int32_t)demand);
    if (demand)
        vidur_blocks_change(replica, demand);
    vidur_account_stage(&replica->account->stages[0], time_s,
                        batch->step.communication_s[VIDUR_STAGE_LAST]);
    vidur_account_group_gaps(replica->account, batch, time_s, time_s, 1);
    vidur_account_execution(&replica->groups[batch->seen.group].ticks, time_s,
                            batch->step.cpu_s, 1);
}

static double step_s(const struct vidur_walk *walk)
{
    const struct vidur_live_batch *batch = NULL;
    for (int32_t r = 0; !batch; r++)
        batch = vidur_rank_batch_at_work(walk->server, r, 0);
    return batch->step.stage_s[VIDUR_STAGE_LAST];
}

/* For how long the ranks' next step of `step_s`, which begins now, is held up. */
static double hold_up(const struct vidur_walk *walk, const struct repetition *rep,
                      double step_s)
{
    const struct vidur_pool_model *pool = walk->server->pool;
    if (!walk->stalls)
        return 0;
    const double cpu_s =
        pool->step_ops->stall_s(pool->step_model, walk->server->replica.now_s, step_s);
    for (int32_t r = 0; r < walk->server->num_ranks; r++)
        if (rep->ranks[r].batch)
            rep->ranks[r].batch->step.cpu_s = cpu_s;
    return cpu_s;
}

/* Skips as many steps as can be; returns how many, and what the next takes. Compiled
 * for whether a router polls or steps may be held up. */
VIDUR_COMPILED_IN int64_t skip_all(struct vidur_walk *walk,
                                   const struct repetition *rep, double *next_s,
                                   bool tells_or_stalls)
{
    const struct vidur_pool_model *pool = walk->server->pool;
    const int32_t count = walk->server->num_ranks;
    const bool tells = tells_or_stalls && walk->tells;
    const double before_s = find_bound(walk);
    int64_t skipped = 0;
    while (skipped < rep->times - 1) {
        const double time_s = *next_s;
        const double end_s = walk->server->replica.now_s + time_s;
        double then_s = pool->step_ops->repeated_ranks_s(pool->step_model, rep->ranks,
                                                         count, skipped + 1);
        if (!(then_s > 0) || !vidur_gaps_are_harmless(walk, time_s, rep->requests) ||
            !(end_s < before_s) || end_s > walk->run->limit_s ||
            !have_blocks(walk, rep, skipped + 1))
            break;
        skipped++;
        vidur_lockstep_set_now(walk, end_s);
        for (int32_t r = 0; r < count; r++)
            if (rep->ranks[r].batch)
                skip_step(rank_of(walk, r), time_s, skipped, tells);
        if (tells_or_stalls)
            then_s += hold_up(walk, rep, then_s);
        *next_s = then_s;
    }
    return skipped;
}

/* The step has just been formed and started: repeats it as vidur_fast_forward does. */
static void skip_steps(struct vidur_walk *walk)
{
    struct repetition rep;
    if (!find_repetition(walk, &rep))
        return;
    double next_s = step_s(walk);
    const int64_t skipped = walk->tells || walk->stalls
                                ? skip_all(walk, &rep, &next_s, true)
                                : skip_all(walk, &rep, &next_s, false);
    for (int32_t r = 0; skipped > 0 && r < walk->server->num_ranks; r++)
        if (rep.ranks[r].batch)
            vidur_end_skipping(walk->run, rank_of(walk, r), skipped, next_s);
}

/* ---- Steps ---- */

void vidur_lockstep_end(struct vidur_walk *walk)
{
    for (int32_t r = 0; r < walk->server->num_ranks; r++) {
        struct vidur_server *rank = rank_of(walk, r);
        if (!vidur_rank_batch_at_work(walk->server, r, 0))
            continue;
        vidur_run_end_alone(walk->run, rank);
    }
    walk->ends_at_s = INFINITY;
}

int vidur_lockstep_begin(struct vidur_walk *walk, int asked)
{
    int formed = 0;
    for (; asked > 0 && formed == 0; asked--)
        formed = vidur_run_form_ranks(walk->run, walk->server, true);
    if (formed <= 0)
        return formed;
    if (walk->can_skip && !walk->run->stopped_early)
        skip_steps(walk);
    walk->ends_at_s = walk->server->replica.now_s + step_s(walk);
    return 0;
}
