#ifndef VIDUR_SIM_FAST_FORWARD_H
#define VIDUR_SIM_FAST_FORWARD_H

#include "drive/run.h"

/* A function that is compiled once for each of a few cases: no call may be left that
 * would have to be told the case. */
#define VIDUR_COMPILED_IN static inline __attribute__((always_inline))

/*
 * Skipping repetitions: while a replica's batch is one group of decodes that would be
 * formed again and again, iterations differ in the clock and the blocks alone.
 */

enum { VIDUR_MAX_LANES = 64 }; /* batches in flight that may be renewed */

struct vidur_walk;

/* What repeats a batch of a walk that is alone: see vidur_fast_forward_of. */
typedef void vidur_fast_forward(struct vidur_walk *walk,
                                struct vidur_live_batch *batch);

/* One replica on its way through a run; in a line of the cache. */
struct vidur_walk {
    struct vidur_run *run;
    struct vidur_server *server;
    double next_arrival_s; /* at the scheduler */
    double until_s;        /* instants before this may be passed */
    double given_until_s;  /* the same but for loads from host memory, which bound it */
    double ends_at_s;      /* alone or with ranks: when the batch at work ends;
                              infinity: there is none */
    int64_t num_instants;
    bool judges;     /* stops the run when an SLO is lost */
    bool sends;      /* completions send requests */
    bool takes_sent; /* and these come to its replica */
    bool hands_over; /* it is one of a fleet whose pools hand requests over */
    bool alone;      /* the replica has one stage and works on one batch at a time */
    bool loads;      /* its replica loads blocks from host memory */
    bool skips_behind_loads; /* alone: can_skip, but not before its loads are known */
    bool can_skip;  /* alone or with ranks, and the scheduler can say how often a
                       batch repeats, so that `skip` may be used */
    bool tells;     /* a router polls its replica */
    bool stalls;    /* its steps may be held up: stall_s of the step model */
    bool can_renew; /* not alone, the scheduler can say so and keeps no count of its
                       own, and a step's time stays: vidur_renew and vidur_cruise may
                       be used */
    vidur_fast_forward *skip; /* of its server: see vidur_fast_forward_of */
};

/* The caller's bound on how far the walk may go. */
static inline void vidur_walk_set_until(struct vidur_walk *walk, double until_s)
{
    walk->until_s = walk->given_until_s = until_s;
}

/*
 * The function that skips a server's repetitions, which depends on what its steps and
 * its router need. The batch has just been formed and started. It repeats its iteration
 * as long as no request arrives, completes or lacks a block and no SLO is judged. The
 * last repetition is left to the caller: on return the batch is formed and started for
 * it, and replica.now_s is the time of that start. Every value is equal to the bit to
 * what one iteration after the other gives.
 */
vidur_fast_forward *vidur_fast_forward_of(const struct vidur_server *server);

/* Whether the step model holds steps up (stall_s). */
bool vidur_steps_stall(const struct vidur_pool_model *pool);

/* What skipping is made of, for each of several ranks, too: how often the batch can run
 * before something may differ, this time included, as far as counts tell; whether so
 * many gaps of this length cannot lose an SLO; and what is left to do behind `times`
 * iterations whose clock, blocks, gaps and ticks have been counted: the next takes
 * next_s. */
int64_t vidur_count_repeats(const struct vidur_walk *walk, struct vidur_server *server);
bool vidur_gaps_are_harmless(const struct vidur_walk *walk, double time_s,
                             int64_t count);
void vidur_end_skipping(struct vidur_run *run, struct vidur_server *server,
                        int64_t times, double next_s);

/* ---- Ranks in lockstep ---- */

/* The step of all ranks ends now. */
void vidur_lockstep_end(struct vidur_walk *walk);
/* Forms the next, asking up to `asked` times, and skips its repetitions; sets ends_at_s
 * where there is one. -1: an error. */
int vidur_lockstep_begin(struct vidur_walk *walk, int asked);
/* The time of all ranks. */
void vidur_lockstep_set_now(struct vidur_walk *walk, double now_s);

/* In a pipeline, when the first batch in flight ends now. If the scheduler would form
 * the same batch again, it is renewed: formed again as it was, without asking, as the
 * last in flight. True. Otherwise false, and nothing has changed. */
bool vidur_renew(struct vidur_walk *walk);

/* Whether that is worth a call: the batch was one group when it was formed. */
static inline bool vidur_may_renew(const struct vidur_walk *walk)
{
    return walk->can_renew &&
           vidur_flight_first(&walk->server->pipeline)->formed_at_change >= 0;
}

/* Renews the batches that end next, one after the other, each at the time of its end,
 * until one cannot be renewed or another event comes first or at the same time. Stops
 * after the batch whose end loses an SLO. */
void vidur_cruise(struct vidur_walk *walk);

/* Adds a batch's renewals, which the two above leave out, to the account. To be called
 * before the batch is anything else than renewed. */
static inline void vidur_count_renewals(struct vidur_live_batch *batch,
                                        struct vidur_replica_account *account)
{
    if (batch->renewals > 0)
        vidur_account_batches(account, batch, 1, batch->renewals);
    batch->renewals = 0;
}

#endif
