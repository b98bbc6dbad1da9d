#include "drive/event_queue.h"

static bool before(const struct vidur_event *a, const struct vidur_event *b)
{
    if (a->time_s != b->time_s)
        return a->time_s < b->time_s;
    return a->rank < b->rank || (a->rank == b->rank && a->id < b->id);
}

void vidur_event_push(struct vidur_event_queue *queue, struct vidur_event event)
{
    struct vidur_event *events = queue->events;
    int64_t i = queue->count++;
    event.id = queue->next_id++;
    while (i > 0) {
        const int64_t parent = (i - 1) / 2;
        if (!before(&event, &events[parent]))
            break;
        events[i] = events[parent];
        i = parent;
    }
    events[i] = event;
}

struct vidur_event vidur_event_pop(struct vidur_event_queue *queue)
{
    struct vidur_event *events = queue->events;
    const struct vidur_event first = events[0];
    const struct vidur_event last = events[--queue->count];
    int64_t i = 0;
    for (;;) {
        int64_t child = 2 * i + 1;
        if (child >= queue->count)
            break;
        if (child + 1 < queue->count && before(&events[child + 1], &events[child]))
            child++;
        if (!before(&events[child], &last))
            break;
        events[i] = events[child];
        i = child;
    }
    events[i] = last;
    return first;
}
