#include "replica/told.h"

#include <assert.h>

void vidur_told_init(struct vidur_told *told, bool notes_arrivals)
{
    *told = (struct vidur_told){
        .last.interval = -1, .before.interval = -1, .notes_arrivals = notes_arrivals};
}

const struct vidur_tidings *vidur_told_polled(const struct vidur_told *told,
                                              double now_s)
{
    return told->last.interval < vidur_poll_interval(now_s) ? &told->last
                                                            : &told->before;
}

int64_t vidur_told_waiting(const struct vidur_replica *replica, double formed_at_s)
{
    const struct vidur_request_table *requests = replica->requests;
    int64_t count = 0;
    for (int32_t r = replica->queue_head; r != VIDUR_NO_REQUEST; r = requests->next[r])
        count += requests->seen_at_s[r] <= formed_at_s;
    return count;
}

/* Requests leave the queue while a batch is formed. So those that came late all wait
 * still where no other has been since, and else they went in the order in which they
 * came, behind those that came before. Who was evicted stands in front. */
int64_t vidur_told_left_waiting(const struct vidur_replica *replica,
                                const struct vidur_pipeline *pipeline,
                                const struct vidur_live_batch *batch)
{
    const struct vidur_request_table *requests = replica->requests;
    int64_t count = 0, fresh = replica->queue_length;
    if (pipeline->num_slots == 1)
        return fresh - batch->num_late;
    if (replica->by_priority)
        return vidur_told_waiting(replica, batch->scheduled_at_s);
    for (int32_t r = replica->queue_head;
         r != VIDUR_NO_REQUEST && requests->num_restarts[r] > 0;
         r = requests->next[r]) {
        count += requests->seen_at_s[r] <= batch->scheduled_at_s;
        fresh--;
    }
    return count + fresh - (batch->num_late < fresh ? batch->num_late : fresh);
}

void vidur_told_end(const struct vidur_replica *replica,
                    const struct vidur_pipeline *pipeline,
                    struct vidur_live_batch *batch)
{
    const int64_t waiting = replica->told->notes_arrivals
                                ? vidur_told_left_waiting(replica, pipeline, batch)
                                : vidur_told_waiting(replica, batch->scheduled_at_s);
    assert(waiting == vidur_told_waiting(replica, batch->scheduled_at_s));
    vidur_told_tell(replica->told, replica->now_s, waiting, replica->allocated_blocks);
    batch->num_late = 0;
}

void vidur_told_note_arrival(struct vidur_pipeline *pipeline, double seen_at_s)
{
    for (int32_t i = 0; i < pipeline->in_flight; i++) {
        const int32_t at = (pipeline->flight_begin + i) % pipeline->num_slots;
        const int32_t slot = pipeline->num_slots == 1 ? 0 : pipeline->flight[at];
        struct vidur_live_batch *batch = &pipeline->batches[slot];
        batch->num_late += seen_at_s > batch->scheduled_at_s;
    }
}
