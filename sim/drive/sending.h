#ifndef VIDUR_SIM_SENDING_H
#define VIDUR_SIM_SENDING_H

#include "base/arena.h"
#include "replica/replica.h"

/*
 * What completions send. In a closed loop each sends the next request; in sessions the
 * last of a turn sends the next turn, after a think time, and the last of a session,
 * where users wait for them, starts another. A closed loop is sessions of one request.
 *
 * Requests whose arrival is known are taken in the order of (arrival, id), those that
 * arrive on their own included. They arrive behind everything else that happens at that
 * time: they miss the batches that are formed then.
 */
struct vidur_sent {
    double at_s; /* when it arrives */
    int32_t request;
};

struct vidur_sending {
    bool is_active; /* else all arrivals are known before the run */
    const struct vidur_workload *workload;
    double *arrived_at_s; /* [requests] the run's; infinity: nobody knows yet */
    /* what arrives on its own, in this order; turns above 0 are left out */
    const int32_t *planned; /* NULL: all requests, by id */
    int64_t num_planned, next_planned;
    struct vidur_sent *later; /* a heap of what completions have sent, or users begin
                                 with */
    int32_t num_later;
    int32_t *left;         /* [sessions] requests of its turn that have not ended, where
                              there are several */
    int32_t *order;        /* requests in the order of arrival */
    int64_t num_arrived;   /* of them */
    int64_t first_of_next; /* closed: the first request of the next session */
};

size_t vidur_sending_bytes(const struct vidur_workload *workload);
void vidur_sending_init(struct vidur_sending *sending, struct vidur_arena *arena,
                        const struct vidur_workload *workload, double *arrived_at_s);

/* A part of the run begins: `ids`, by id; NULL: all. */
void vidur_sending_begin(struct vidur_sending *sending, const int32_t *ids,
                         int64_t count);

/* When the next of the requests on their way arrives; infinity: there is none. */
static inline double vidur_sending_planned_s(const struct vidur_sending *sending)
{
    if (sending->next_planned >= sending->num_planned)
        return INFINITY;
    return sending
        ->arrived_at_s[sending->planned ? sending->planned[sending->next_planned]
                                        : sending->next_planned];
}

static inline double vidur_sending_next_s(const struct vidur_sending *sending)
{
    const double planned_s = vidur_sending_planned_s(sending);
    const double later_s = sending->num_later > 0 ? sending->later[0].at_s : INFINITY;
    return planned_s < later_s ? planned_s : later_s;
}

/* It, which is there; it arrives now. vidur_sending_first only looks. */
int32_t vidur_sending_first(const struct vidur_sending *sending);
int32_t vidur_sending_take(struct vidur_sending *sending);

/* The replica's requests that have completed since the last call send what follows. */
void vidur_sending_completed(struct vidur_sending *sending,
                             struct vidur_replica *replica);

#endif
