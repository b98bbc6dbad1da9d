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
    bool judges;    /* stops the run when an SLO is lost */
    bool alone;     /* one stage, one batch at a time */
    bool can_skip;  /* and a scheduler that can tell what it will do */
    bool can_renew; /* the same in a pipeline */
};

/*
 * The batch has just been formed and is about to start. Runs it again and again, while
 * nothing arrives, completes, is judged or lacks blocks, but the last time: the batch
 * is then as it was formed for that time, at replica.now_s. Equal to the bit to doing
 * it one by one.
 */
void vidur_fast_forward(struct vidur_walk *walk, struct vidur_batch *batch);

/* In a pipeline: the batch's last stage has just ended. If it would be formed again as
 * it was, does so, in its slot; it then waits for the first stage. Otherwise false. */
bool vidur_renew(struct vidur_walk *walk, int32_t slot);

#endif
