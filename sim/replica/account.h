#ifndef VIDUR_SIM_ACCOUNT_H
#define VIDUR_SIM_ACCOUNT_H

#include "base/arena.h"
#include "base/quantile.h"
#include "replica/live_batch.h"
#include "replica/slo_watch.h"

#include <vidur/scheduler.h>

#include <math.h>

/*
 * What a replica's run adds up to. All ways of driving a run count with the functions
 * below: `times` is 1 for an iteration that is stepped through and k for k iterations
 * that are skipped, and both give the same bits. Counts and ticks are integers, so k at
 * once are a product. Seconds are sums of doubles, which round: whoever skips adds them
 * one by one.
 */

/* ---- Counters ---- */

/* Each counter stands in one of these lists; the struct, the counting of batches and
 * the sum over replicas follow from them. */

/* Events that may change what the scheduler does next; counted where they happen. */
#define VIDUR_ACCOUNT_CHANGES(X)                                                       \
    X(num_assigned)                                                                    \
    X(num_completed)                                                                   \
    X(num_restarts)                                                                    \
    X(num_departed) /* handed over to another pool */                                  \
    X(num_loaded)   /* come from another pool, with their KV cache */                  \
    X(num_mixed)    /* batches that were more than a group formed again */

/* What a batch adds, in terms of `batch` and `account`. */
#define VIDUR_ACCOUNT_BATCHES(X)                                                       \
    X(num_batches, 1)                                                                  \
    X(num_requests, batch->seen.count)                                                 \
    X(num_tokens, batch->seen.num_tokens)                                              \
    X(num_prefill_tokens, batch->seen.num_prefill_tokens)                              \
    X(num_decode_batches, batch->seen.num_decodes > 0)                                 \
    X(num_decodes, batch->seen.num_decodes)                                            \
    X(num_full, batch->seen.count >= account->full_size)                               \
    X(num_blocked, batch->seen.blocked)                                                \
    X(num_extrapolated, batch->step.extrapolated)

/* The largest value, when a batch has been formed. */
#define VIDUR_ACCOUNT_PEAKS(X)                                                         \
    X(peak_batch_size, batch->seen.count)                                              \
    X(peak_holders, replica->num_holders)

/* Integrals over time. */
#define VIDUR_ACCOUNT_INTEGRALS(X)                                                     \
    X(block_seconds) /* of allocated blocks */                                         \
    X(waited_s)      /* of the queue's length */                                       \
    X(active_s)      /* of having a batch in flight */

struct vidur_stage_account {
    double busy_s;
    double communication_s;
};

/* Weighted samples of gaps between tokens (or of batch times), over a run. */
struct vidur_token_gaps {
    bool of_batches;
    struct vidur_weighted_value *values;
    int64_t count, capacity;
    bool out_of_memory;
};

struct vidur_replica_account {
#define X(name) int64_t name;
    VIDUR_ACCOUNT_CHANGES(X)
#undef X
#define X(name, value) int64_t name;
    VIDUR_ACCOUNT_BATCHES(X)
    VIDUR_ACCOUNT_PEAKS(X)
#undef X
    int64_t attention_tokens_squared; /* over batches */
#define X(name) double name;
    VIDUR_ACCOUNT_INTEGRALS(X)
#undef X
    double blocks_changed_at_s, active_since_s, idle_since_s;
    int32_t full_size; /* a batch of this many requests is full */
    struct vidur_stage_account *stages;
    struct vidur_token_gaps *gaps; /* shared by the replicas */
    struct vidur_slo_watch *watch; /* likewise; NULL: nobody asks */
};

size_t vidur_account_bytes(int32_t num_stages);
/* Empty; full_size, gaps and watch are the caller's to set. */
struct vidur_replica_account *vidur_account_new(struct vidur_arena *arena,
                                                int32_t num_stages);

/* Adds another replica's counters and integrals; peaks are the larger ones. Times,
 * stages and what is shared stay as they are. */
void vidur_account_merge(struct vidur_replica_account *sum,
                         const struct vidur_replica_account *account);

/* Grows whenever something happens that may change what the scheduler does next. */
static inline int64_t vidur_num_changes(const struct vidur_replica_account *account)
{
#define X(name) +account->name
    return VIDUR_ACCOUNT_CHANGES(X);
#undef X
}

/* Requests that its scheduler has seen, and that are neither complete nor gone on. */
static inline int64_t vidur_account_present(const struct vidur_replica *replica)
{
    const struct vidur_replica_account *account = replica->account;
    return account->num_assigned + account->num_loaded - account->num_completed -
           account->num_departed;
}

/* ---- Batches ---- */

/* A batch was formed `times` times. `age`: how many iterations before the first of them
 * its sums were taken. An age above 0 or times above 1 is for a group of decodes, whose
 * contexts grow by one token a request and iteration. */
static inline void vidur_account_batches(struct vidur_replica_account *account,
                                         const struct vidur_live_batch *batch,
                                         int64_t age, int64_t times)
{
    const int64_t growths = times * age + times * (times - 1) / 2;
#define X(name, value) account->name += times * (value);
    VIDUR_ACCOUNT_BATCHES(X)
#undef X
    account->attention_tokens_squared +=
        times * batch->attention_tokens_squared + growths * batch->seen.count;
}

/* The batch has just been formed by the scheduler. Requests are admitted while a batch
 * is formed, and only then, so that one formed again needs no call. */
static inline void vidur_account_peaks(struct vidur_replica *replica,
                                       const struct vidur_live_batch *batch)
{
    struct vidur_replica_account *account = replica->account;
#define X(name, value)                                                                 \
    if ((value) > account->name)                                                       \
        account->name = (value);
    VIDUR_ACCOUNT_PEAKS(X)
#undef X
}

/* ---- Gaps between tokens ---- */

void vidur_token_gaps_reset(struct vidur_token_gaps *gaps);
/* Makes room for more; false where there is none. */
bool vidur_token_gaps_grow(struct vidur_token_gaps *gaps);

/* Equal gaps in a row are one sample. */
static inline void vidur_token_gaps_add(struct vidur_token_gaps *gaps, double value,
                                        int64_t weight)
{
    if (gaps->count > 0 && gaps->values[gaps->count - 1].value == value)
        gaps->values[gaps->count - 1].weight += weight;
    else if (gaps->count < gaps->capacity || vidur_token_gaps_grow(gaps))
        gaps->values[gaps->count++] = (struct vidur_weighted_value){value, weight};
}

/* The batch ends, `latency_s` after it was formed, `times` times: each time with the
 * same gaps. */
static inline void vidur_account_gaps(const struct vidur_replica_account *account,
                                      const struct vidur_live_batch *batch,
                                      double latency_s, int64_t times)
{
    if (account->gaps->of_batches) {
        vidur_token_gaps_add(account->gaps, latency_s, times);
        return;
    }
    for (int32_t i = 0; i < batch->num_gaps; i++) {
        const struct vidur_batch_gap *gap = &batch->gaps[i];
        const double value_s = latency_s + (batch->scheduled_at_s - gap->since_s);
        vidur_token_gaps_add(account->gaps, value_s, times * gap->count);
        if (account->watch)
            vidur_slo_watch_gap(account->watch, value_s, times * gap->count);
    }
}

/* The same of a batch that is one group: all of its gaps are of gap_s, which is its
 * latency where it has not paused. */
static inline void vidur_account_group_gaps(const struct vidur_replica_account *account,
                                            const struct vidur_live_batch *batch,
                                            double latency_s, double gap_s,
                                            int64_t times)
{
    if (account->gaps->of_batches) {
        vidur_token_gaps_add(account->gaps, latency_s, times);
        return;
    }
    const int64_t count = times * batch->gaps[0].count;
    vidur_token_gaps_add(account->gaps, gap_s, count);
    if (account->watch)
        vidur_slo_watch_gap(account->watch, gap_s, count);
}

/* ---- Stages ---- */

/* A batch leaves the stage. Once for each time: seconds are added one by one. */
static inline void vidur_account_stage(struct vidur_stage_account *stage, double time_s,
                                       double communication_s)
{
    stage->busy_s += time_s;
    stage->communication_s += communication_s;
}

/* ---- Durations of requests ---- */

/* They are summed in units of 2^-47 s, as integers: their sums do not depend on order
 * or grouping. They wrap at 2^17 s, 36 hours, which the records make good for
 * preemption. */
static inline uint64_t vidur_ticks(double seconds)
{
    return seconds < 0x1p16 ? (uint64_t)(int64_t)(seconds * 0x1p47 + 0.5) /* quicker */
                            : (uint64_t)(fmod(seconds, 0x1p17) * 0x1p47 + 0.5);
}

static inline double vidur_ticks_to_s(uint64_t ticks)
{
    return (double)ticks * 0x1p-47;
}

/* `times` stays on a stage, each of time_s, of which cpu_s is CPU overhead. */
static inline void vidur_account_execution(struct vidur_shared_ticks *ticks,
                                           double time_s, double cpu_s, int64_t times)
{
    const uint64_t execution = (uint64_t)times * vidur_ticks(time_s);
    ticks->execution += execution;
    ticks->model +=
        cpu_s == 0 ? execution : (uint64_t)times * vidur_ticks(time_s - cpu_s);
}

/* `times` ways through all stages; `kinds`: of each stage. */
static inline void vidur_account_ways(struct vidur_shared_ticks *ticks,
                                      const struct vidur_step_time *step,
                                      const int32_t *kinds, int32_t num_stages,
                                      int64_t times)
{
    for (int32_t i = 0; i < num_stages; i++)
        vidur_account_execution(ticks, step->stage_s[kinds[i]], step->cpu_s, times);
}

/* A wait between iterations or stages. */
static inline void vidur_account_wait(uint64_t *preempted_ticks, double from_s,
                                      double until_s)
{
    if (until_s != from_s)
        *preempted_ticks += vidur_ticks(until_s - from_s);
}

/* The request shares what was summed in `ticks` until now... */
static inline void vidur_request_add_ticks(const struct vidur_request_table *table,
                                           int32_t request,
                                           const struct vidur_shared_ticks *ticks)
{
    table->execution_ticks[request] += ticks->execution;
    table->preempted_ticks[request] += ticks->preempted;
    if (table->model_ticks)
        table->model_ticks[request] += ticks->model;
}

/* ...but nothing from before now. */
static inline void vidur_request_subtract_ticks(const struct vidur_request_table *table,
                                                int32_t request,
                                                const struct vidur_shared_ticks *ticks)
{
    table->execution_ticks[request] -= ticks->execution;
    table->preempted_ticks[request] -= ticks->preempted;
    if (table->model_ticks)
        table->model_ticks[request] -= ticks->model;
}

/* ---- Integrals over time ---- */

/* The number of allocated blocks changes now. */
static inline void vidur_account_blocks(struct vidur_replica *replica)
{
    struct vidur_replica_account *account = replica->account;
    account->block_seconds += (double)replica->allocated_blocks *
                              (replica->now_s - account->blocks_changed_at_s);
    account->blocks_changed_at_s = replica->now_s;
}

/* An evicted request begins to wait again now. */
static inline void vidur_account_waits_again(const struct vidur_replica *replica)
{
    replica->account->waited_s -= replica->now_s;
}

/* A request's wait in the queue ends now; vidur_account_waits_again has subtracted when
 * that of an evicted one began. */
static inline void vidur_account_waited(const struct vidur_replica *replica,
                                        int32_t request)
{
    const struct vidur_request_table *table = replica->requests;
    replica->account->waited_s += table->num_restarts[request]
                                      ? replica->now_s
                                      : replica->now_s - table->seen_at_s[request];
}

/* A batch is formed now, with no other in flight. */
static inline void vidur_account_active(struct vidur_replica_account *account,
                                        double now_s)
{
    if (now_s == account->idle_since_s)
        return; /* no pause */
    account->active_s += account->idle_since_s - account->active_since_s;
    account->active_since_s = now_s;
}

/* A batch ends now; it may have been the only one. */
static inline void vidur_account_idle(struct vidur_replica_account *account,
                                      double now_s)
{
    account->idle_since_s = now_s;
}

/* The run ends now. */
static inline void vidur_account_close(struct vidur_replica_account *account,
                                       bool in_flight, double now_s)
{
    account->active_s +=
        (in_flight ? now_s : account->idle_since_s) - account->active_since_s;
}

#endif
