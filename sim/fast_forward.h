#ifndef VIDUR_SIM_FAST_FORWARD_H
#define VIDUR_SIM_FAST_FORWARD_H

#include "run.h"

/*
 * Skipping repetitions: while a replica's batch is one group of decodes that would be
 * formed again and again, iterations differ in the clock and the blocks alone.
 */

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
 * The batch has just been formed and is about to start. Runs it again and again, while
 * nothing arrives, completes, is judged or lacks blocks, but the last time: the batch
 * is then as it was formed for that time, at replica.now_s. Equal to the bit to doing
 * it one by one.
 */
void vidur_fast_forward(struct vidur_walk *walk, struct vidur_batch *batch);

/* In a pipeline: the first batch in flight ends now. If it would be formed again as it
 * is, does so, and it is the last in flight. Otherwise false, and nothing has changed.
 */
bool vidur_renew(struct vidur_walk *walk);

/* The same for the next batch to end, at the time when it does, if nothing else happens
 * before or then. */
bool vidur_renew_next(struct vidur_walk *walk);

/* Adds a batch's renewals, which are left out above, to the account. */
void vidur_count_renewals(struct vidur_batch *batch,
                          struct vidur_replica_account *account);

#endif
