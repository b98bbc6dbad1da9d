#ifndef VIDUR_SIM_ROUTER_H
#define VIDUR_SIM_ROUTER_H

#include "replica/replica.h"

#include <vidur/deployment.h>
#include <vidur/rng.h>
#include <vidur/workload.h>

/*
 * Which replica an arriving request goes to; SIMULATOR.md section 4.1. A static router
 * does not look at the replicas, so that each can be simulated alone.
 */

/* The state of any router; small enough to be shared. */
struct vidur_router_state {
    int32_t num_replicas;
    int32_t counter;
    bool corrected;
    bool reference;       /* draws from `twister` */
    double prefix_weight; /* of a cached prefix against load */
    const struct vidur_sessions
        *sessions;       /* the workload's; .count 0: there are none */
    int32_t *replica_of; /* [sessions] that its first turn went to; -1: none yet */
    struct vidur_rng rng;
    struct vidur_mt19937 twister;
    const double *weights; /* [num_replicas]; NULL: all alike */
    double *credits;       /* [num_replicas] of round_robin among weights */
};

struct vidur_router_ops {
    const char *name;
    const char *remark;  /* which replica, in a few words */
    const char *balance; /* the kind of load balancer, as a launch text names it */
    bool is_static;      /* pick ignores the replicas, which may then be NULL */
    bool keeps_sessions; /* static, and sends all of a session to one replica */
    bool has_weight;     /* may be named NAME:WEIGHT */
    bool polls;          /* pick needs what replicas have told, and arrivals */
    /* `replicas`: of ranks in data parallel the first */
    int32_t (*pick)(struct vidur_router_state *state,
                    const struct vidur_replica *const *replicas, int32_t request);
};

/* Weight of `prefix` where none is given: all of the prompt in a cache outweighs the
 * difference between the most loaded replica and an idle one, no more. */
#define VIDUR_ROUTER_DEFAULT_WEIGHT 1.0

/* NULL: there is none of that name, or its weight is no number from 0 on / behind the
 * last. */
const struct vidur_router_ops *vidur_router_find(const char *name);
const struct vidur_router_ops *vidur_router_at(int index);

/* `replica_of` is the caller's to set. The workload must outlive the state. */
void vidur_router_init(struct vidur_router_state *state,
                       const struct vidur_deployment *deployment,
                       const struct vidur_workload *workload);

/* Weights of the replicas, above 0: each gets a share of the requests by its own. Where
 * all are alike nothing changes. `weights` must outlive the state; `credits` has room
 * for num_replicas. */
void vidur_router_weigh(struct vidur_router_state *state, const double *weights,
                        double *credits);

#endif
