#ifndef VIDUR_SIM_FAST_FORWARD_H
#define VIDUR_SIM_FAST_FORWARD_H

#include "run.h"

/*
 * Skipping repetitions: while a replica's batch is one group of decodes that would be
 * formed again and again, iterations differ in the clock and the blocks alone.
 */

enum { VIDUR_MAX_LANES = 64 }; /* batches in flight that may be renewed */

/* One replica on its way through a run. */
struct vidur_walk {
    struct vidur_run *run;
    struct vidur_server *server;
    const struct vidur_arrivals *arrivals; /* NULL: a router delivers them */
    int64_t next_arrival;                  /* index */
    double next_arrival_s;
    double until_s; /* instants before this may be passed */
    int64_t num_instants;
    bool judges;      /* stops the run when an SLO is lost */
    double ends_at_s; /* of the batch at work, where there is one at a time */
    bool alone;       /* one stage, one batch at a time */
    bool can_skip;    /* and a scheduler that can tell what it will do */
    bool can_renew;   /* the same in a pipeline */
};

/*
 * The batch has just been formed and started. Runs it again and again, while
 * nothing arrives, completes, is judged or lacks blocks, but the last time: the batch
 * is then as it was formed for that time, at replica.now_s. Equal to the bit to doing
 * it one by one.
 */
void vidur_fast_forward(struct vidur_walk *walk, struct vidur_live_batch *batch);

/* In a pipeline: the first batch in flight ends now. If it would be formed again as it
 * is, does so, and it is the last in flight. Otherwise false, and nothing has changed.
 */
bool vidur_renew(struct vidur_walk *walk);

/* The same for the batches that end next, one after the other, each at its time, while
 * nothing else happens before or then. Stops behind the one that loses an SLO. */
void vidur_cruise(struct vidur_walk *walk);

/* Parts of these. Whether the scheduler would form the batch, when it ends, as it is:
 * nothing has changed, nobody completes, the step takes the same time and its blocks
 * are free. */
bool vidur_is_renewable(const struct vidur_walk *walk,
                        const struct vidur_live_batch *batch);
/* Renewals at this time or later may be touched by something else. */
double vidur_renewal_bound_s(const struct vidur_walk *walk);
/* The gap that ends now; the batch, formed anew, begins the next one. */
void vidur_record_renewed(const struct vidur_replica_account *account,
                          struct vidur_live_batch *batch, double now_s);
/* Of all stages, without CPU overheads. */
uint64_t vidur_pass_model_ticks(const struct vidur_live_batch *batch, int32_t last);

/* Adds a batch's renewals, which are left out above, to the account. */
void vidur_count_renewals(struct vidur_live_batch *batch,
                          struct vidur_replica_account *account);

#endif
