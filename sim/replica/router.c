#include "replica/router.h"

#include <string.h>

void vidur_router_init(struct vidur_router_state *state,
                       const struct vidur_deployment *deployment,
                       const struct vidur_workload *workload)
{
    state->num_replicas = deployment->num_replicas;
    state->counter = 0;
    state->corrected = deployment->semantics == VIDUR_SEMANTICS_CORRECTED;
    state->reference = workload->reference_rng != NULL;
    if (state->reference)
        state->twister = *workload->reference_rng;
    else
        vidur_rng_init(&state->rng, workload->seed, vidur_rng_stream("router", 0));
    state->weights = NULL;
    state->credits = NULL;
}

/* ---- Weights ---- */

void vidur_router_weigh(struct vidur_router_state *state, const double *weights,
                        double *credits)
{
    for (int32_t i = 0; i < state->num_replicas; i++) {
        if (weights[i] != weights[0])
            state->weights = weights;
        credits[i] = 0;
    }
    state->credits = credits;
}

static double total_weight(const struct vidur_router_state *state)
{
    double total = 0;
    for (int32_t i = 0; i < state->num_replicas; i++)
        total += state->weights[i];
    return total;
}

/* Smooth weighted round robin: each earns its weight, the richest is taken and pays
 * what all have earned, so that a replica's turns lie apart. */
static int32_t next_by_weight(struct vidur_router_state *state)
{
    int32_t best = 0;
    for (int32_t i = 0; i < state->num_replicas; i++) {
        state->credits[i] += state->weights[i];
        if (state->credits[i] > state->credits[best])
            best = i;
    }
    state->credits[best] -= total_weight(state);
    return best;
}

static int32_t draw_by_weight(struct vidur_router_state *state)
{
    const double drawn = state->reference ? vidur_mt19937_uniform(&state->twister)
                                          : vidur_rng_uniform(&state->rng);
    double left = drawn * total_weight(state);
    int32_t replica = 0;
    while (replica < state->num_replicas - 1 && left >= state->weights[replica])
        left -= state->weights[replica++];
    return replica;
}

/* What the replica has to do, by what it can carry. */
static double load_of(const struct vidur_router_state *state, int32_t replica,
                      int64_t outstanding)
{
    return state->weights ? (double)outstanding / state->weights[replica]
                          : (double)outstanding;
}

/* ---- Policies ---- */

static int32_t pick_next(struct vidur_router_state *state,
                         const struct vidur_replica *const *replicas)
{
    (void)replicas;
    const int32_t replica = state->counter++;
    if (state->counter == state->num_replicas)
        state->counter = 0;
    return state->weights ? next_by_weight(state) : replica;
}

static int32_t pick_random(struct vidur_router_state *state,
                           const struct vidur_replica *const *replicas)
{
    (void)replicas;
    const uint32_t count = (uint32_t)state->num_replicas;
    if (state->weights)
        return draw_by_weight(state);
    return (int32_t)(state->reference ? vidur_mt19937_below(&state->twister, count)
                                      : vidur_rng_below(&state->rng, count));
}

/* The reference counts waiting requests alone. */
static int64_t outstanding(const struct vidur_router_state *state,
                           const struct vidur_replica *replica)
{
    int64_t count = 0;
    for (; replica; replica = replica->next_rank)
        count +=
            replica->num_coming +
            (state->corrected ? vidur_account_present(replica) : replica->queue_length);
    return count;
}

static int32_t pick_least_outstanding(struct vidur_router_state *state,
                                      const struct vidur_replica *const *replicas)
{
    int32_t best = 0;
    for (int32_t i = 1; i < state->num_replicas; i++)
        if (load_of(state, i, outstanding(state, replicas[i])) <
            load_of(state, best, outstanding(state, replicas[best])))
            best = i;
    return best;
}

static const struct vidur_router_ops routers[] = {
    {.name = "round_robin",
     .remark = "each replica in turn",
     .is_static = true,
     .pick = pick_next},
    {.name = "random",
     .remark = "a replica at random",
     .is_static = true,
     .pick = pick_random},
    {.name = "lor",
     .remark = "the replica with the least outstanding requests",
     .is_static = false,
     .pick = pick_least_outstanding},
};

enum { NUM_ROUTERS = sizeof routers / sizeof *routers };

const struct vidur_router_ops *vidur_router_find(const char *name)
{
    for (int i = 0; i < NUM_ROUTERS; i++)
        if (strcmp(routers[i].name, name) == 0)
            return &routers[i];
    return NULL;
}

const struct vidur_router_ops *vidur_router_at(int index)
{
    return index >= 0 && index < NUM_ROUTERS ? &routers[index] : NULL;
}
