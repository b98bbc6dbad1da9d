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
    bool reference; /* draws from `twister` */
    struct vidur_rng rng;
    struct vidur_mt19937 twister;
    const double *weights; /* [num_replicas]; NULL: all alike */
    double *credits;       /* [num_replicas] of round_robin among weights */
};

struct vidur_router_ops {
    const char *name;
    const char *remark; /* which replica, in a few words */
    bool is_static;     /* pick ignores the replicas, which may then be NULL */
    /* `replicas`: of ranks in data parallel the first */
    int32_t (*pick)(struct vidur_router_state *state,
                    const struct vidur_replica *const *replicas);
};

/* NULL: there is none of that name / behind the last. */
const struct vidur_router_ops *vidur_router_find(const char *name);
const struct vidur_router_ops *vidur_router_at(int index);

void vidur_router_init(struct vidur_router_state *state,
                       const struct vidur_deployment *deployment,
                       const struct vidur_workload *workload);

/* Weights of the replicas, above 0: each gets a share of the requests by its own. Where
 * all are alike nothing changes. `weights` must outlive the state; `credits` has room
 * for num_replicas. */
void vidur_router_weigh(struct vidur_router_state *state, const double *weights,
                        double *credits);

#endif
