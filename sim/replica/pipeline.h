#ifndef VIDUR_SIM_PIPELINE_H
#define VIDUR_SIM_PIPELINE_H

#include "replica/replica.h"

/*
 * A replica's stages in a row, each a FIFO of batches and one at work, and the batches
 * in flight. Source: SIMULATOR.md section 4.3.
 */

/* In place of a slot: there is no batch; forming one failed. */
enum { VIDUR_NO_BATCH = -1, VIDUR_BATCH_FAILED = -2 };

struct vidur_stage {
    int32_t batch; /* at work: a slot, or VIDUR_NO_BATCH */
    int32_t *fifo; /* ring of slots */
    int32_t fifo_begin, fifo_count;
};

/* A batch's stay on a stage. */
struct vidur_pass {
    double start_s, end_s;
};

struct vidur_pipeline {
    int32_t num_stages;
    int32_t num_slots; /* batches at once */
    int32_t in_flight;
    int32_t *kinds; /* [num_stages] of step times: see struct vidur_step_time */
    struct vidur_stage *stages;
    struct vidur_live_batch *batches; /* [num_slots] */
    int32_t *free_slots;              /* a stack */
    int32_t num_free;
    /*
     * For the stepper. A batch's way through the stages is settled when it is formed:
     * nothing that comes later overtakes it.
     */
    struct vidur_pass *passes; /* [num_slots][num_stages] */
    double *free_at_s;         /* [num_stages] when the last batch formed leaves */
    int32_t *flight;           /* ring of slots in the order of forming and of ending */
    int32_t flight_begin;
};

size_t vidur_pipeline_bytes(const struct vidur_replica_sizes *sizes);
/* Until `kinds` is set otherwise, all stages but the last are of kind 0. */
void vidur_pipeline_init(struct vidur_pipeline *pipeline, struct vidur_arena *arena,
                         const struct vidur_replica_sizes *sizes);

/* A batch's time on a stage. */
static inline double vidur_stage_s(const struct vidur_pipeline *pipeline,
                                   const struct vidur_live_batch *batch, int32_t stage)
{
    return batch->step.stage_s[pipeline->kinds[stage]];
}

/* Whether a stage's time is positive and within what can be summed; of all stages. */
static inline bool vidur_can_time(double time_s)
{
    return time_s > 0 && time_s < 0x1p16;
}

static inline bool vidur_pipeline_can_time(const struct vidur_pipeline *pipeline,
                                           const struct vidur_live_batch *batch)
{
    for (int32_t i = 0; i < pipeline->num_stages; i++)
        if (!vidur_can_time(vidur_stage_s(pipeline, batch, i)))
            return false;
    return true;
}

/* A batch in flight: a slot is taken and given back. */
static inline int32_t vidur_pipeline_admit(struct vidur_pipeline *pipeline)
{
    pipeline->in_flight++;
    return pipeline->free_slots[--pipeline->num_free];
}

static inline void vidur_pipeline_retire(struct vidur_pipeline *pipeline, int32_t slot)
{
    pipeline->in_flight--;
    pipeline->free_slots[pipeline->num_free++] = slot;
}

/* The same where there is one slot. */
static inline void vidur_pipeline_admit_alone(struct vidur_pipeline *pipeline)
{
    pipeline->in_flight = 1;
    pipeline->num_free = 0;
}

static inline void vidur_pipeline_retire_alone(struct vidur_pipeline *pipeline)
{
    pipeline->in_flight = 0;
    pipeline->num_free = 1;
}

/* One stage that works on one batch at a time. */
static inline bool vidur_pipeline_is_single(const struct vidur_pipeline *pipeline)
{
    return pipeline->num_stages == 1 && pipeline->num_slots == 1;
}

/* A batch's passes, one a stage. */
static inline struct vidur_pass *vidur_passes_of(const struct vidur_pipeline *pipeline,
                                                 int32_t slot)
{
    return &pipeline->passes[slot * pipeline->num_stages];
}

/* Settles a pass of a batch that leaves the stage before at ready_s: it follows the
 * batch that leaves this one at *free_at_s. Returns when it ends. */
static inline double vidur_plan_pass(struct vidur_pass *pass, double *free_at_s,
                                     double ready_s, double time_s)
{
    pass->start_s = ready_s > *free_at_s ? ready_s : *free_at_s;
    return pass->end_s = *free_at_s = pass->start_s + time_s;
}

/* The batch in flight that ends first; there is one. */
static inline const struct vidur_live_batch *
vidur_flight_first(const struct vidur_pipeline *pipeline)
{
    return &pipeline->batches[pipeline->flight[pipeline->flight_begin]];
}

/* When the first batch in flight ends; infinity: there is none. */
static inline double vidur_flight_next_end_s(const struct vidur_pipeline *pipeline)
{
    if (pipeline->in_flight == 0)
        return INFINITY;
    const int32_t slot = pipeline->flight[pipeline->flight_begin];
    return pipeline->passes[(slot + 1) * pipeline->num_stages - 1].end_s;
}

/* The batch, formed now and counted as in flight, gets its way through the stages. */
void vidur_flight_add(struct vidur_pipeline *pipeline, int32_t slot, double now_s);

/* The first `count` batches become the last ones, in their order. */
void vidur_flight_rotate(struct vidur_pipeline *pipeline, int32_t count);

/* Takes the first batch out, before it is retired. */
static inline int32_t vidur_flight_remove(struct vidur_pipeline *pipeline)
{
    const int32_t slot = pipeline->flight[pipeline->flight_begin];
    if (++pipeline->flight_begin == pipeline->num_slots)
        pipeline->flight_begin = 0;
    return slot;
}

/* Accounts for what a batch did in its stages until `until_s`. */
void vidur_flight_settle(struct vidur_pipeline *pipeline, int32_t slot,
                         struct vidur_replica *replica, double until_s);

static inline void vidur_stage_push(const struct vidur_pipeline *pipeline,
                                    struct vidur_stage *stage, int32_t slot)
{
    int32_t end = stage->fifo_begin + stage->fifo_count++;
    if (end >= pipeline->num_slots)
        end -= pipeline->num_slots;
    stage->fifo[end] = slot;
}

static inline int32_t vidur_stage_pop(const struct vidur_pipeline *pipeline,
                                      struct vidur_stage *stage)
{
    const int32_t slot = stage->fifo[stage->fifo_begin];
    stage->fifo_count--;
    if (++stage->fifo_begin == pipeline->num_slots)
        stage->fifo_begin = 0;
    return slot;
}

#endif
