#ifndef VIDUR_SIM_LIVE_BATCH_H
#define VIDUR_SIM_LIVE_BATCH_H

#include <vidur/scheduler.h>
#include <vidur/shard.h>

/*
 * A batch as the simulator keeps it: what a scheduler sees, and behind it the sums that
 * step models ask for, its time, and whether it may be formed again.
 */

struct vidur_batch_gap {
    double since_s; /* when these requests' last iteration ended */
    int64_t count;
};

/* Durations that all requests of a batch or group share, summed in 2^-47 s: see
 * account.h. */
struct vidur_shared_ticks {
    uint64_t execution;
    uint64_t model; /* execution without CPU overheads */
    uint64_t preempted;
};

/* A batch's time on each kind of stage, in seconds. Where a step model tells no more
 * apart, [0] is any stage but the last; [1] is the last, also where it is the only one.
 */
enum { VIDUR_STAGE_LAST = 1 };
struct vidur_step_time {
    double stage_s[VIDUR_MAX_STAGE_KINDS];
    double communication_s[VIDUR_MAX_STAGE_KINDS];
    double cpu_s;         /* part of stage_s */
    int32_t extrapolated; /* lookups beyond the profile's range */
    /* of a decode batch: how many times in a row, this one included, it would take this
     * time if it were repeated, every n growing by one */
    int32_t repeats;
    /* of ranks in lockstep: tokens that the batch runs as, and those that all ranks
     * bring to the experts; 0: there is one rank */
    int64_t run_tokens, gathered_tokens;
};

struct vidur_live_batch {
    struct vidur_batch seen; /* by the scheduler; first, so that it leads to the rest */
    double scheduled_at_s;
    double stage_at_s; /* when it entered its stage's work, or left the one before */
    double last_stage_at_s; /* in a pipeline: when it entered its last stage's work */
    int32_t num_front;      /* members that come before the group's requests */
    int32_t num_gaps;
    int32_t renewals; /* since it was formed, not counted yet: its sums are older */
    /* what its requests add up to; n is taken before this batch */
    int32_t num_sampled;              /* requests that get an output token from it */
    int64_t decode_context_tokens;    /* sum of n over decodes */
    int64_t prefill_context_tokens;   /* sum of n, each rounded up to the granularity */
    int64_t prefill_chunk_squares;    /* sum of chunk^2 */
    int64_t attention_tokens_squared; /* sum of t * (t + n) over all */
    struct vidur_shared_ticks ticks;  /* over its stages so far, and between them */
    struct vidur_batch_gap *gaps;
    struct vidur_step_time step;
    int64_t blocks_at_start;
    int64_t waiting_at_start;
    /* whether it may be formed again without asking the scheduler */
    int64_t formed_at_change; /* -1: no */
    int32_t step_left;        /* iterations of equal time, this one included */
    /* where a router polls: requests that came to the queue since it was formed and
     * were seen later than then */
    int32_t num_late;
};

/* Every batch that a scheduler is given is one of these. */
static inline struct vidur_live_batch *vidur_live(struct vidur_batch *seen)
{
    return (struct vidur_live_batch *)seen;
}

#endif
