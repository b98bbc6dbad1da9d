#ifndef VIDUR_SIM_TOLD_H
#define VIDUR_SIM_TOLD_H

#include "replica/pipeline.h"

/*
 * What an engine tells of itself, for routers that poll it: it counts when a step has
 * ended, and a router looks now and then. So what a router knows is old by up to a step
 * and an interval. SIMULATOR.md section 4.1.
 */

#define VIDUR_POLL_INTERVAL_S 0.05 /* Gateway API Inference Extension's default */

struct vidur_tidings {
    int64_t interval; /* of polls, in which they were told; -1: never */
    int64_t waiting;  /* requests that were left waiting when the step was formed */
    int64_t blocks;   /* that requests hold */
};

struct vidur_told {
    struct vidur_tidings last;
    struct vidur_tidings before; /* the last ones of earlier intervals than last's */
    bool notes_arrivals; /* in batches: vidur_told_note_arrival has all of them */
};

/* Nothing has been told. */
void vidur_told_init(struct vidur_told *told, bool notes_arrivals);

/* The number of the interval that the time lies in, from 0; a poll is its begin. Behind
 * 2^62 there is one. */
static inline int64_t vidur_poll_interval(double time_s)
{
    const double interval = time_s / VIDUR_POLL_INTERVAL_S;
    return (int64_t)(interval < 0x1p62 ? interval : 0x1p62);
}

/* A step has ended at now_s. Only the last word before a poll matters, so that telling
 * is cheap enough for steps that are skipped. */
static inline void vidur_told_tell(struct vidur_told *told, double now_s,
                                   int64_t waiting, int64_t blocks)
{
    const int64_t interval = vidur_poll_interval(now_s);
    if (interval != told->last.interval)
        told->before = told->last;
    told->last = (struct vidur_tidings){interval, waiting, blocks};
}

/* What a poll at the last multiple of the interval, not after now_s, has found: what
 * was told before it. */
const struct vidur_tidings *vidur_told_polled(const struct vidur_told *told,
                                              double now_s);

/* The batch, which is still in flight, has ended now. */
void vidur_told_end(const struct vidur_replica *replica,
                    const struct vidur_pipeline *pipeline,
                    struct vidur_live_batch *batch);

/* ---- Who was left waiting ---- */

/* Of those in the queue now, when a step that has just ended was formed: who was seen
 * by formed_at_s, one by one. */
int64_t vidur_told_waiting(const struct vidur_replica *replica, double formed_at_s);

/* The same for a batch of this pipeline in a time that does not depend on the queue,
 * unless it is sorted by priority and several batches are in flight. All arrivals since
 * the batch was formed must have been noted. */
int64_t vidur_told_left_waiting(const struct vidur_replica *replica,
                                const struct vidur_pipeline *pipeline,
                                const struct vidur_live_batch *batch);

/* A request that the scheduler sees from seen_at_s on comes to the queue: notes it with
 * the batches in flight, which are those of the stepper. */
void vidur_told_note_arrival(struct vidur_pipeline *pipeline, double seen_at_s);

#endif
