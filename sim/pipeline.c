#include "pipeline.h"

size_t vidur_pipeline_bytes(const struct vidur_replica_sizes *sizes)
{
    const size_t stages = (size_t)sizes->num_stages;
    const size_t slots = (size_t)sizes->batches_at_once;
    return vidur_arena_bytes(stages, sizeof(struct vidur_stage)) +
           stages * vidur_arena_bytes(slots, sizeof(int32_t)) +
           vidur_arena_bytes(slots, sizeof(struct vidur_batch)) +
           vidur_arena_bytes(slots, sizeof(int32_t)) +
           slots * vidur_batch_bytes(sizes->batch_capacity);
}

void vidur_pipeline_init(struct vidur_pipeline *pipeline, struct vidur_arena *arena,
                         const struct vidur_replica_sizes *sizes)
{
    const size_t slots = (size_t)sizes->batches_at_once;
    *pipeline = (struct vidur_pipeline){.num_stages = sizes->num_stages,
                                        .num_slots = sizes->batches_at_once};
    pipeline->stages =
        vidur_arena_alloc(arena, (size_t)sizes->num_stages, sizeof *pipeline->stages);
    for (int32_t i = 0; i < sizes->num_stages; i++)
        pipeline->stages[i] = (struct vidur_stage){
            .batch = VIDUR_NO_BATCH,
            .fifo = vidur_arena_alloc(arena, slots, sizeof(int32_t))};
    pipeline->batches = vidur_arena_alloc(arena, slots, sizeof *pipeline->batches);
    pipeline->free_slots = vidur_arena_alloc(arena, slots, sizeof(int32_t));
    for (int32_t i = sizes->batches_at_once; i-- > 0;) {
        vidur_batch_init(&pipeline->batches[i], arena, sizes->batch_capacity);
        pipeline->free_slots[pipeline->num_free++] = i;
    }
}

int32_t vidur_pipeline_admit(struct vidur_pipeline *pipeline)
{
    pipeline->in_flight++;
    return pipeline->free_slots[--pipeline->num_free];
}

void vidur_pipeline_retire(struct vidur_pipeline *pipeline, int32_t slot)
{
    pipeline->in_flight--;
    pipeline->free_slots[pipeline->num_free++] = slot;
}
