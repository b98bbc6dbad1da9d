#include "replica/pipeline.h"

size_t vidur_pipeline_bytes(const struct vidur_replica_sizes *sizes)
{
    const size_t stages = (size_t)sizes->num_stages;
    const size_t slots = (size_t)sizes->batches_at_once;
    return vidur_arena_bytes(stages, sizeof(struct vidur_stage)) +
           vidur_arena_bytes(stages, sizeof(int32_t)) +
           stages * vidur_arena_bytes(slots, sizeof(int32_t)) +
           vidur_arena_bytes(slots, sizeof(struct vidur_live_batch)) +
           vidur_arena_bytes(slots, sizeof(int32_t)) +
           slots * vidur_batch_bytes(sizes->batch_capacity) +
           vidur_arena_bytes(slots * stages, sizeof(struct vidur_pass)) +
           vidur_arena_bytes(stages, sizeof(double)) +
           vidur_arena_bytes(slots, sizeof(int32_t));
}

void vidur_pipeline_init(struct vidur_pipeline *pipeline, struct vidur_arena *arena,
                         const struct vidur_replica_sizes *sizes)
{
    const size_t slots = (size_t)sizes->batches_at_once;
    *pipeline = (struct vidur_pipeline){.num_stages = sizes->num_stages,
                                        .num_slots = sizes->batches_at_once};
    pipeline->stages =
        vidur_arena_alloc(arena, (size_t)sizes->num_stages, sizeof *pipeline->stages);
    pipeline->kinds =
        vidur_arena_zalloc(arena, (size_t)sizes->num_stages, sizeof *pipeline->kinds);
    pipeline->kinds[sizes->num_stages - 1] = VIDUR_STAGE_LAST;
    for (int32_t i = 0; i < sizes->num_stages; i++)
        pipeline->stages[i] = (struct vidur_stage){
            .batch = VIDUR_NO_BATCH,
            .fifo = vidur_arena_alloc(arena, slots, sizeof(int32_t))};
    pipeline->passes = vidur_arena_alloc(arena, slots * (size_t)sizes->num_stages,
                                         sizeof *pipeline->passes);
    pipeline->free_at_s =
        vidur_arena_zalloc(arena, (size_t)sizes->num_stages, sizeof(double));
    pipeline->flight = vidur_arena_alloc(arena, slots, sizeof *pipeline->flight);
    pipeline->batches = vidur_arena_alloc(arena, slots, sizeof *pipeline->batches);
    pipeline->free_slots = vidur_arena_alloc(arena, slots, sizeof(int32_t));
    for (int32_t i = sizes->batches_at_once; i-- > 0;) {
        vidur_batch_init(&pipeline->batches[i], arena, sizes->batch_capacity);
        pipeline->free_slots[pipeline->num_free++] = i;
    }
}

/* ---- Flight ---- */

/* The batch's way through the stages; it starts now, or when the first is free. */
static void plan_passes(struct vidur_pipeline *pipeline, int32_t slot, double now_s)
{
    const struct vidur_live_batch *batch = &pipeline->batches[slot];
    struct vidur_pass *pass = vidur_passes_of(pipeline, slot);
    double ready_s = now_s;
    for (int32_t i = 0; i < pipeline->num_stages; i++)
        ready_s = vidur_plan_pass(&pass[i], &pipeline->free_at_s[i], ready_s,
                                  vidur_stage_s(pipeline, batch, i));
}

void vidur_flight_add(struct vidur_pipeline *pipeline, int32_t slot, double now_s)
{
    int32_t at = pipeline->flight_begin + pipeline->in_flight - 1;
    if (at >= pipeline->num_slots)
        at -= pipeline->num_slots;
    pipeline->flight[at] = slot;
    plan_passes(pipeline, slot, now_s);
}

void vidur_flight_rotate(struct vidur_pipeline *pipeline, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        const int32_t slot = vidur_flight_remove(pipeline);
        int32_t at = pipeline->flight_begin + pipeline->in_flight - 1;
        if (at >= pipeline->num_slots)
            at -= pipeline->num_slots;
        pipeline->flight[at] = slot;
    }
}

void vidur_flight_settle(struct vidur_pipeline *pipeline, int32_t slot,
                         struct vidur_replica *replica, double until_s)
{
    struct vidur_live_batch *batch = &pipeline->batches[slot];
    const struct vidur_pass *pass = vidur_passes_of(pipeline, slot);
    const int32_t last = pipeline->num_stages - 1;
    for (int32_t i = 0; i <= last && pass[i].start_s <= until_s; i++) {
        if (i == 0)
            vidur_batch_begin(batch, replica, pass[0].start_s);
        else
            vidur_batch_wait(batch, pass[i - 1].end_s, pass[i].start_s);
        if (i == last)
            batch->last_stage_at_s = pass[i].start_s;
        if (pass[i].end_s <= until_s)
            vidur_batch_leave_stage(batch, replica, i, pipeline->kinds[i]);
    }
}
