#ifndef VIDUR_SIM_REPLICA_H
#define VIDUR_SIM_REPLICA_H

#include "base/arena.h"
#include "replica/account.h"
#include "replica/live_batch.h"

#include <vidur/scheduler.h>
#include <vidur/workload.h>

#include <stdalign.h>

/*
 * The room sim/replica. One copy of the model at work: requests, KV blocks, batches,
 * decode groups, the account of what they add up to. It knows no clock and no policy;
 * its invariants hold after every call.
 */

/*
 * The inside of a replica: decode groups and batches in flight. The struct itself is in
 * <vidur/scheduler.h>, as are the functions that schedulers call.
 */

/*
 * Decoding requests that are always batched together. A member's n, durations and
 * blocks are kept relative to the group's counters while it is in (n at join minus
 * `iteration`, and so on), so that an iteration touches the group alone. Members stand
 * at places in batch order, with gaps where some have left, and in a calendar of the
 * iterations that complete them, so that a completion touches nobody else. What an
 * iteration changes is one line of the cache.
 */
struct vidur_decode_group {
    alignas(64) bool in_use;
    int32_t count;
    int32_t to_completion; /* iterations until a member completes, at least */
    int32_t phase;         /* iteration modulo block size */
    uint32_t iteration;
    int64_t context_tokens; /* sum of n */
    double last_done_s;
    struct vidur_shared_ticks ticks;
    int32_t num_places;  /* twice the members that there can be */
    int32_t front, back; /* places in use: front .. back - 1 */
    int32_t *member;     /* [place]; VIDUR_NO_REQUEST: a gap */
    int32_t *demand;     /* blocks wanted by an iteration of each phase */
    /* the calendar: who completes at iterations of this remainder, linked by `next` */
    int32_t *due;          /* [VIDUR_CALENDAR_DAYS] the first, or VIDUR_NO_REQUEST */
    uint64_t *is_occupied; /* [VIDUR_CALENDAR_WORDS] a bit for each that is one */
};

enum { VIDUR_CALENDAR_DAYS = 1024, VIDUR_CALENDAR_WORDS = VIDUR_CALENDAR_DAYS / 64 };

/* ---- requests ---- */

size_t vidur_requests_bytes(int64_t count, bool cpu_overhead);
/* Fails where a request has no prompt or output tokens or arrivals go backwards. */
int vidur_requests_init(struct vidur_request_table *table, struct vidur_arena *arena,
                        const struct vidur_workload *workload, bool cpu_overhead,
                        struct vidur_error *err);

/* Has the processor fetch what the table knows of a request. For one that arrives next
 * and does not stand behind the one before it. */
void vidur_request_prefetch(const struct vidur_request_table *table, int32_t request);

/* What is left of a request that is in no group: prompt and output, less what has been
 * processed. */
static inline int64_t vidur_tokens_left(const struct vidur_request_table *table,
                                        int32_t request)
{
    return (int64_t)table->prefill_tokens[request] + table->decode_tokens[request] -
           table->processed_tokens[request];
}

/* ---- replica ---- */

struct vidur_replica_sizes {
    int32_t num_stages;
    int32_t batch_capacity;
    int32_t batches_at_once;
    int32_t running_capacity;
    int32_t block_size;
    bool grouping;
};

/* Logarithm of a power of two, else -1. */
int vidur_bits_of(int64_t size);

size_t vidur_replica_bytes(const struct vidur_replica_sizes *sizes);
/* Carves the arrays and empties the replica; scalars that describe it are the
 * caller's. */
void vidur_replica_init(struct vidur_replica *replica, struct vidur_arena *arena,
                        const struct vidur_replica_sizes *sizes);

/* Moves the running items so that `front` fit before them; 0: many behind them. */
void vidur_running_move(struct vidur_replica *replica, int32_t front);

/* By priority: which classes come first, from their priorities; and a request into the
 * queue, where it belongs. The queue's length is the caller's to count. */
void vidur_replica_rank(struct vidur_replica *replica,
                        const struct vidur_workload *workload);
void vidur_queue_insert(struct vidur_replica *replica, int32_t request);

/* Makes sure that `count` items fit behind the running ones. */
static inline void vidur_running_reserve_back(struct vidur_replica *replica,
                                              int32_t count)
{
    if (replica->running_begin == replica->running_end)
        replica->running_begin = replica->running_end = 0;
    else if (replica->running_end + count > replica->running_capacity)
        vidur_running_move(replica, 0);
}

/* Accounts for the time since the last change of `allocated_blocks`, then changes it.
 */
static inline void vidur_blocks_change(struct vidur_replica *replica, int64_t delta)
{
    vidur_account_blocks(replica);
    replica->allocated_blocks += delta;
}

/* ---- groups ---- */

/* VIDUR_NO_GROUP when all are in use. */
int32_t vidur_group_new(struct vidur_replica *replica);
void vidur_group_join(struct vidur_replica *replica, struct vidur_decode_group *group,
                      int32_t request);
/* The same for several, in front of the members. */
void vidur_group_join_front(struct vidur_replica *replica,
                            struct vidur_decode_group *group, const int32_t *requests,
                            int32_t count);
/* Blocks that the group's next iteration takes. */
static inline int64_t vidur_group_demand(const struct vidur_replica *replica,
                                         const struct vidur_decode_group *group)
{
    return replica->fixed_blocks ? 0 : group->demand[group->phase];
}
/* Hands every member its own values back, in order, into `out`; frees the group. */
void vidur_group_dissolve(struct vidur_replica *replica, int32_t slot, int32_t *out);
/* `times` iterations have ended, none of which completed a member before the last. */
static inline void vidur_group_advance(struct vidur_replica *replica,
                                       struct vidur_decode_group *group, int32_t times)
{
    group->iteration += (uint32_t)times;
    group->context_tokens += (int64_t)group->count * times;
    replica->tokens_left -= (int64_t)group->count * times;
    group->to_completion -= times;
    group->phase =
        times == 1 ? group->phase + 1 == replica->block_size ? 0 : group->phase + 1
                   : (int32_t)((group->phase + (int64_t)times) % replica->block_size);
}
/* Adds what the members will ask for after the group's next iteration. */
void vidur_group_look_ahead(const struct vidur_replica *replica,
                            const struct vidur_decode_group *group,
                            struct vidur_batch_outlook *outlook);
/* Takes the members that are complete out of the group and returns how many; their ids
 * are in `out`. */
int32_t vidur_group_complete(struct vidur_replica *replica,
                             struct vidur_decode_group *group, int32_t *out);

/* ---- batches ---- */

size_t vidur_batch_bytes(int32_t capacity);
void vidur_batch_init(struct vidur_live_batch *batch, struct vidur_arena *arena,
                      int32_t capacity);
/* Empties it; the rest is set when the batch is scheduled. */
static inline void vidur_batch_clear(struct vidur_live_batch *batch)
{
    batch->seen.count = batch->seen.num_decodes = 0;
    batch->seen.num_prefills = batch->seen.num_members = 0;
    batch->seen.num_tokens = batch->seen.num_prefill_tokens = 0;
    batch->seen.group = VIDUR_NO_GROUP;
    batch->seen.tag = 0;
    batch->seen.blocked = false;
    batch->num_front = batch->num_gaps = batch->renewals = batch->num_sampled = 0;
    batch->decode_context_tokens = batch->prefill_context_tokens = 0;
    batch->prefill_chunk_squares = batch->attention_tokens_squared = 0;
    batch->ticks = (struct vidur_shared_ticks){0};
}
/* The batch was formed now. */
void vidur_batch_scheduled(struct vidur_live_batch *batch,
                           struct vidur_replica *replica);
/* Its first stage started at `start_s`: what was before counts as preemption, and its
 * decodes are a group from now on. */
void vidur_batch_begin(struct vidur_live_batch *batch, struct vidur_replica *replica,
                       double start_s);
/* Both in one, of a batch that starts on its only stage, the last, when it is formed:
 * the times of others are not set. */
void vidur_batch_start(struct vidur_live_batch *batch, struct vidur_replica *replica);
/* It waited between two stages. */
static inline void vidur_batch_wait(struct vidur_live_batch *batch, double from_s,
                                    double until_s)
{
    vidur_account_wait(&batch->ticks.preempted, from_s, until_s);
}
/* Its time on a stage, of this kind, is over. */
static inline void vidur_batch_leave_stage(struct vidur_live_batch *batch,
                                           struct vidur_replica *replica, int stage,
                                           int32_t kind)
{
    const struct vidur_step_time *step = &batch->step;
    vidur_account_stage(&replica->account->stages[stage], step->stage_s[kind],
                        step->communication_s[kind]);
    vidur_account_execution(&batch->ticks, step->stage_s[kind], step->cpu_s, 1);
}
/* Its last stage ended now: counts tokens, records gaps, completes requests, which are
 * members no more. The scheduler's batch_end comes next. */
void vidur_batch_finish(struct vidur_live_batch *batch, struct vidur_replica *replica,
                        double latency_s);
/* The group and the members that go on come to the end of the running list. */
static inline void vidur_requeue(struct vidur_replica *replica,
                                 const struct vidur_batch *batch)
{
    vidur_running_reserve_back(replica, batch->num_members + 1);
    int32_t *end = replica->running + replica->running_end;
    if (batch->group >= 0)
        *end++ = ~batch->group;
    for (int32_t i = 0; i < batch->num_members; i++)
        *end++ = batch->member[i];
    replica->running_end = (int32_t)(end - replica->running);
}
/* The run ends with the batch in flight: what its stages did so far counts. */
void vidur_batch_abandon(struct vidur_live_batch *batch, struct vidur_replica *replica);

#endif
