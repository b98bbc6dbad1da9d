#ifndef VIDUR_SIM_RUN_H
#define VIDUR_SIM_RUN_H

#include "drive/event_queue.h"
#include "drive/pool.h"
#include "drive/sending.h"
#include "drive/transfers.h"
#include "replica/pipeline.h"
#include "replica/router.h"
#include "replica/slo_watch.h"

#include <vidur/simulator.h>

/*
 * The room sim/drive. Time: the event heap, which is the reference, and the walks that
 * skip what repeats and must agree with it to the bit (README.md). Only this room
 * moves a clock.
 */

/*
 * One run of a simulator. The state of the cluster, and the steps that all ways of
 * driving it share: events.c pops events from a heap, in the order that SIMULATOR.md
 * section 4.4 states; stepper.c walks each replica by itself and skips repetitions.
 */

/* Of two times, none of which is NaN: quicker than fmin and fmax. */
static inline double vidur_earlier(double a_s, double b_s)
{
    return a_s < b_s ? a_s : b_s;
}

static inline double vidur_later(double a_s, double b_s)
{
    return a_s > b_s ? a_s : b_s;
}

/* A replica's front end: requests that the router has given to the replica and that its
 * scheduler has not seen yet, linked by `next` of the table of requests. */
struct vidur_front_end {
    int32_t head, tail;
    double free_at_s; /* when all their prompts are tokenised */
};

struct vidur_server {
    struct vidur_replica replica; /* of ranks in data parallel the first */
    struct vidur_pipeline pipeline;
    struct vidur_front_end front_end;
    const struct vidur_pool_model *pool;
    void *scheduler; /* the policy's state */
    double ended_at_s;
    int32_t to_load_head, to_load_tail; /* requests from another pool that wait until
                                           it can load them, linked by `next` */
    double woken_at_s; /* it is to be asked for a batch then; infinity: no need */
    /* Ranks, this one included, each with a scheduler, queue and blocks of its own.
     * They form, start and end their batches together. */
    int32_t num_ranks;
    struct vidur_server *other_ranks; /* [num_ranks - 1] */
};

static inline struct vidur_server *vidur_server_rank(struct vidur_server *server,
                                                     int32_t rank)
{
    return rank == 0 ? server : &server->other_ranks[rank - 1];
}

/* Something happened at its ranks until then. */
static inline void vidur_server_set_ended(struct vidur_server *server, double time_s)
{
    server->ended_at_s = time_s;
    for (int32_t r = 1; r < server->num_ranks; r++)
        vidur_server_rank(server, r)->ended_at_s = time_s;
}

/* Servers that a router chooses among. */
struct vidur_route {
    const struct vidur_router_ops *router;
    struct vidur_router_state state;
    const struct vidur_replica **replicas; /* [num_servers] */
    int32_t first_server, num_servers;
};

/* The server that the request, the next one, goes to. */
static inline int32_t vidur_route_pick(struct vidur_route *route, int32_t request)
{
    return route->first_server +
           route->router->pick(&route->state, route->replicas, request);
}

struct vidur_run {
    const struct vidur_fleet *fleet;
    const struct vidur_pool_model *pools;
    int num_pools;
    const struct vidur_workload *workload;
    const struct vidur_run_options *options;
    struct vidur_request_table requests;
    struct vidur_server *servers;
    int32_t num_servers;
    int32_t num_ranks; /* of all of them: the other ranks stand behind the servers */
    struct vidur_rank_batch *rank_batches; /* [most ranks] of the step being formed */
    const struct vidur_replica **replicas; /* the servers', for the routers */
    struct vidur_route entry;              /* of requests that arrive */
    struct vidur_route onward; /* of those that depart; num_servers 0: none does */
    struct vidur_transfers transfers;
    struct vidur_token_gaps *gaps;
    struct vidur_slo_watch watch;
    struct vidur_event_queue events;
    int64_t *observed_ids;        /* [batch capacity] for observers */
    double *session_scratch;      /* [3 * sessions] */
    bool *touched;                /* [num_servers] scratch of events.c; all false */
    struct vidur_walk *walks;     /* [num_servers] scratch of stepper.c */
    double *moved_arrivals_s;     /* the table's, where the run decides on them */
    double *seen_at_s;            /* the table's, where they differ from arrivals */
    bool has_front_end;           /* of some pool: there is something between the two */
    bool has_loads;               /* of some pool: blocks come from host memory */
    struct vidur_sending sending; /* what completions send */
    bool follows_ends;  /* others hear of batches that end: clients, a router */
    int32_t load_stage; /* that arrivals have come to */
    double limit_s;     /* infinity: none */
    double ended_at_s;
    int64_t next_batch_id;
    int64_t num_arrived;
    int64_t next_report; /* batches */
    bool stopped_early;
    bool time_limited;
    bool watching;    /* stop early */
    bool by_events;   /* driven by events.c, not by the stepper */
    bool walk_failed; /* run->err says why */
    struct vidur_error *err;
};

/* Requests that one loop brings in, in order; ids NULL: 0 .. count-1. `server`: where
 * they go, or -1: the router says when they arrive. */
struct vidur_arrivals {
    const int32_t *ids;
    int64_t count;
    int32_t server;
};

static inline int64_t vidur_arrival_id(const struct vidur_arrivals *arrivals,
                                       int64_t index)
{
    return arrivals->ids ? arrivals->ids[index] : index;
}

/* Forms the server's next batch at replica.now_s. Returns its slot, VIDUR_NO_BATCH
 * where none can be formed, or VIDUR_BATCH_FAILED with run->err. */
int32_t vidur_run_form_batch(struct vidur_run *run, struct vidur_server *server);

/* The same where one stage works on one batch at a time and is free, so that the batch
 * starts at once; its slot is 0. */
int32_t vidur_run_start_alone(struct vidur_run *run, struct vidur_server *server);

/* The same with all ranks of a server, none of which has a batch in flight: 1 where
 * some have one now, 0 where none has, -1: an error. */
int vidur_run_form_ranks(struct vidur_run *run, struct vidur_server *server,
                         bool starts);

/* The batch of a rank that is at work, or NULL; `slot` where there is one rank. */
static inline struct vidur_live_batch *
vidur_rank_batch_at_work(struct vidur_server *server, int32_t rank, int32_t slot)
{
    struct vidur_pipeline *pipeline = &vidur_server_rank(server, rank)->pipeline;
    if (server->num_ranks == 1)
        return &pipeline->batches[slot];
    return pipeline->in_flight > 0 ? pipeline->batches : NULL;
}

/* The last stage ended: bookkeeping, scheduler, slot. What departs with it, or can be
 * loaded now, is the driver's: vidur_transfers_depart, vidur_transfers_start. */
void vidur_run_end_batch(struct vidur_run *run, struct vidur_server *server,
                         int32_t slot);

/* The same where the only stage works on one batch at a time, which leaves it now. */
void vidur_run_end_alone(struct vidur_run *run, struct vidur_server *server);

/* The request, which has arrived, or whose arrival is known, is given to the server:
 * settles when the scheduler sees it. Requests come in the order of their arrival. */
void vidur_run_route(struct vidur_run *run, struct vidur_server *server,
                     int32_t request);

/* All of the server's that are known. */
void vidur_run_route_all(struct vidur_run *run, const struct vidur_arrivals *arrivals);

/* When the scheduler sees the first of the requests on their way; infinity: there is
 * none. */
static inline double vidur_run_next_seen_s(const struct vidur_run *run,
                                           const struct vidur_server *server)
{
    const int32_t request = server->front_end.head;
    return request == VIDUR_NO_REQUEST ? INFINITY : run->requests.seen_at_s[request];
}

/* The next of what is sent arrives: its id. */
int32_t vidur_run_take_sent(struct vidur_run *run);

/* Of its ranks, the one with the fewest requests, the first among equals: it gets the
 * request that its front end lets go next. */
struct vidur_server *vidur_run_rank_of_next(struct vidur_run *run,
                                            struct vidur_server *server);

/* Where a router polls, before the stepper moves to the queue what has arrived until
 * now: notes it with the batches in flight. With ranks this is done when it is known
 * who gets what. */
void vidur_run_note_arrivals(struct vidur_server *server, double now_s);

/* Moves it to the scheduler's queue; of ranks, to that of the emptiest. */
static inline void vidur_run_hand_over(struct vidur_run *run,
                                       struct vidur_server *server)
{
    struct vidur_server *rank =
        server->num_ranks > 1 ? vidur_run_rank_of_next(run, server) : server;
    const int32_t request = server->front_end.head;
    const int32_t next = run->requests.next[request];
    server->front_end.head = next;
    if (next != VIDUR_NO_REQUEST)
        vidur_request_prefetch(&run->requests, next);
    server->replica.num_coming--;
    run->num_arrived++;
    vidur_queue_push_back(&rank->replica, request);
}

/* When the request, the next to arrive, does: infinity while nobody knows, in a closed
 * loop or while the stage of load before its own has not drained; then the whole stage
 * is moved to begin at now_s.
 */
double vidur_run_next_arrival_s(struct vidur_run *run, int64_t request, double now_s);

/* Progress and cancellation; to be called now and then. -1 and run->err. */
int vidur_run_poll(struct vidur_run *run, double now_s);

/* True when the run is to stop because an SLO is lost. */
static inline bool vidur_run_lost(struct vidur_run *run, double now_s)
{
    if (!run->watching || !vidur_slo_watch_is_due(&run->watch, now_s) ||
        !vidur_slo_watch_judge(&run->watch, &run->requests, now_s))
        return false;
    run->stopped_early = true;
    return true;
}

/* Bytes of a walk, for the run's memory. */
size_t vidur_walk_bytes(void);

/* The two ways to drive a run: 0, or -1 and run->err. Both end at the time limit or
 * when an SLO is lost. */
int vidur_run_events(struct vidur_run *run, const struct vidur_arrivals *arrivals);
int vidur_run_stepper(struct vidur_run *run, const struct vidur_arrivals *arrivals);

/* Accounts for batches that the stepper left in flight, until replica.now_s. */
void vidur_run_stepper_close(struct vidur_server *server);

/* Tells the observer of a batch that a stage has just ended. */
int vidur_run_observe_batch(struct vidur_run *run, const struct vidur_server *server,
                            const struct vidur_live_batch *batch, int stage);

/* Debug builds, driven by events: no request or block is lost or counted twice. */
void vidur_run_check_conservation(const struct vidur_run *run);

/* Hands groups and batches in flight back to their requests and closes the accounts. */
void vidur_run_close(struct vidur_run *run);

/* Everything in *metrics; reorders the gaps, uses `scratch` ([num_requests]). */
void vidur_run_metrics(struct vidur_run *run, double *scratch,
                       struct vidur_metrics *metrics);

#endif
