#ifndef VIDUR_SIM_TOLD_H
#define VIDUR_SIM_TOLD_H

#include "replica/replica.h"

/*
 * What an engine tells of itself, for routers that poll it: it counts when a step has
 * ended, and a router looks now and then. So what a router knows is old by up to a step
 * and an interval. SIMULATOR.md section 4.1.
 */

#define VIDUR_POLL_INTERVAL_S 0.05 /* Gateway API Inference Extension's default */

struct vidur_tidings {
    double since_s;  /* when they were told */
    int64_t waiting; /* requests that were left waiting when the step was formed */
    double kv_usage; /* share of the blocks that requests hold */
};

struct vidur_told {
    struct vidur_tidings last;
    struct vidur_tidings before; /* the last ones of earlier intervals than last's */
};

/* Nothing has been told. */
void vidur_told_init(struct vidur_told *told);

/* A step that was formed at formed_at_s has ended now. */
void vidur_told_tell(struct vidur_replica *replica, double formed_at_s);

/* What a poll at the last multiple of the interval, not after now_s, has found: what
 * was told before it. */
const struct vidur_tidings *vidur_told_polled(const struct vidur_told *told,
                                              double now_s);

#endif
