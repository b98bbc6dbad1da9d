#ifndef VIDUR_SIM_PIPELINE_H
#define VIDUR_SIM_PIPELINE_H

#include "replica.h"

/*
 * A replica's stages in a row, each a FIFO of batches and one at work, and the batches
 * in flight. Source: simulator.md section 4.3.
 */

enum { VIDUR_NO_BATCH = -1 };

struct vidur_stage {
    int32_t batch; /* at work: a slot, or VIDUR_NO_BATCH */
    double ends_at_s;
    int32_t *fifo; /* ring of slots */
    int32_t fifo_begin, fifo_count;
};

struct vidur_pipeline {
    int32_t num_stages;
    int32_t num_slots; /* batches at once */
    int32_t in_flight;
    struct vidur_stage *stages;
    struct vidur_batch *batches; /* [num_slots] */
    int32_t *free_slots;         /* a stack */
    int32_t num_free;
};

size_t vidur_pipeline_bytes(const struct vidur_replica_sizes *sizes);
void vidur_pipeline_init(struct vidur_pipeline *pipeline, struct vidur_arena *arena,
                         const struct vidur_replica_sizes *sizes);

/* A batch in flight: a slot is taken and given back. */
int32_t vidur_pipeline_admit(struct vidur_pipeline *pipeline);
void vidur_pipeline_retire(struct vidur_pipeline *pipeline, int32_t slot);

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
