#include "replica/told.h"

#include <math.h>

void vidur_told_init(struct vidur_told *told)
{
    *told = (struct vidur_told){.last.since_s = -1, .before.since_s = -1};
}

static double interval_of(double time_s)
{
    return floor(time_s / VIDUR_POLL_INTERVAL_S);
}

/* What has come since the step was formed is not counted yet. */
static int64_t left_waiting(const struct vidur_replica *replica, double formed_at_s)
{
    const struct vidur_request_table *requests = replica->requests;
    int64_t count = 0;
    for (int32_t r = replica->queue_head; r != VIDUR_NO_REQUEST; r = requests->next[r])
        count += requests->seen_at_s[r] <= formed_at_s;
    return count;
}

void vidur_told_tell(struct vidur_replica *replica, double formed_at_s)
{
    struct vidur_told *told = replica->told;
    if (interval_of(told->last.since_s) != interval_of(replica->now_s))
        told->before = told->last;
    told->last = (struct vidur_tidings){.since_s = replica->now_s,
                                        .waiting = left_waiting(replica, formed_at_s),
                                        .kv_usage = (double)replica->allocated_blocks /
                                                    (double)replica->num_blocks};
}

const struct vidur_tidings *vidur_told_polled(const struct vidur_told *told,
                                              double now_s)
{
    return interval_of(told->last.since_s) < interval_of(now_s) ? &told->last
                                                                : &told->before;
}
