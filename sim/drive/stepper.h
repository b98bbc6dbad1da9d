#ifndef VIDUR_SIM_STEPPER_H
#define VIDUR_SIM_STEPPER_H

#include "drive/fast_forward.h"

#include <math.h>

/*
 * What the walk of one replica (stepper.c) and that of a fleet whose pools hand
 * requests over (stepper_fleet.c) are made of. Functions that return int give -1 on an
 * error.
 */

/* Something wakes a replica like an arrival where it comes from another pool, or frees
 * blocks. What is sent to the only replica arrives there, known only up to the next
 * completion. */
static inline void vidur_walk_look_ahead(struct vidur_walk *walk)
{
    walk->next_arrival_s = vidur_earlier(vidur_run_next_seen_s(walk->run, walk->server),
                                         walk->server->woken_at_s);
    if (walk->takes_sent)
        walk->next_arrival_s = vidur_earlier(walk->next_arrival_s,
                                             vidur_sending_next_s(&walk->run->sending));
}

/* When something happens next; infinity: never. Arrivals wait while no batch can be
 * formed. */
static inline double vidur_walk_next_s(const struct vidur_walk *walk, bool alone)
{
    const struct vidur_pipeline *pipeline = &walk->server->pipeline;
    if (alone || walk->server->num_ranks > 1)
        return walk->ends_at_s < INFINITY ? walk->ends_at_s : walk->next_arrival_s;
    const double ends_s = vidur_flight_next_end_s(pipeline);
    return pipeline->in_flight < pipeline->num_slots
               ? vidur_earlier(ends_s, walk->next_arrival_s)
               : ends_s;
}

/* Everything that happens at one instant. 0; 1: an SLO is lost. */
int vidur_walk_instant(struct vidur_walk *walk, double now_s);
/* All instants before `until_s`, and the time limit. */
int vidur_walk_to(struct vidur_walk *walk, double until_s);

/* Requests that arrive together, from index `first`; returns the index behind them. */
int64_t vidur_route_together(struct vidur_run *run, int64_t first, double now_s);
/* What completions sent and arrives now. */
void vidur_route_sent(struct vidur_run *run, double now_s);
/* What is sent arrives at an instant, too: the earlier of it and `first_s`; the later
 * bounds `others_s`. */
double vidur_before_sent_s(const struct vidur_run *run, double first_s,
                           double *others_s);
/* The run ends at `now_s`: what has arrived until then counts. */
void vidur_walks_take_all(struct vidur_walk *walks, int32_t count, double now_s);
/* After the last arrival: everything that is left, unless the run is lost before. */
int vidur_walks_drain(struct vidur_run *run, struct vidur_walk *walks, double now_s);

/* After a batch's end in a fleet. */
void vidur_fleet_hand_over(struct vidur_walk *walk, double now_s);
/* The whole run of a fleet; all walks have begun. */
int vidur_walk_fleet(struct vidur_run *run);

#endif
