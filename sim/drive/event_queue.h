#ifndef VIDUR_SIM_EVENT_QUEUE_H
#define VIDUR_SIM_EVENT_QUEUE_H

#include <vidur/simulator.h>

#include <stdint.h>

/*
 * A binary heap of events by (time, rank, id); the id is a counter taken when an event
 * is created, so events of equal time and rank come in the order of creation. Ranks are
 * all 0 but where requests go from pool to pool: there what happens at one time happens
 * replica by replica. Memory is the
 * caller's; pushing beyond the capacity is a bug.
 */

struct vidur_event {
    double time_s;
    int64_t id;
    int32_t rank;
    enum vidur_event_type type;
    int32_t replica;
    int32_t stage;
    int32_t object; /* request or batch slot */
};

struct vidur_event_queue {
    struct vidur_event *events;
    int64_t count, capacity;
    int64_t next_id;
};

/* The event gets the next id. */
void vidur_event_push(struct vidur_event_queue *queue, struct vidur_event event);
/* The first event; the queue is not empty. */
struct vidur_event vidur_event_pop(struct vidur_event_queue *queue);

#endif
