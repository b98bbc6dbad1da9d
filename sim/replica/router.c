#include "replica/router.h"

#include "replica/block_store.h"
#include "replica/told.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What follows "NAME:", or the default. */
static double weight_of(const char *name)
{
    const char *colon = strchr(name, ':');
    return colon ? strtod(colon + 1, NULL) : VIDUR_ROUTER_DEFAULT_WEIGHT;
}

void vidur_router_init(struct vidur_router_state *state,
                       const struct vidur_deployment *deployment,
                       const struct vidur_workload *workload)
{
    state->num_replicas = deployment->num_replicas;
    state->counter = 0;
    state->corrected = deployment->semantics == VIDUR_SEMANTICS_CORRECTED;
    state->reference = workload->reference_rng != NULL;
    state->prefix_weight = weight_of(deployment->router);
    state->sessions = &workload->sessions;
    state->replica_of = NULL;
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
                         const struct vidur_replica *const *replicas, int32_t request)
{
    (void)replicas;
    (void)request;
    const int32_t replica = state->counter++;
    if (state->counter == state->num_replicas)
        state->counter = 0;
    return state->weights ? next_by_weight(state) : replica;
}

static int32_t draw_below(struct vidur_router_state *state, int32_t count)
{
    return (int32_t)(state->reference
                         ? vidur_mt19937_below(&state->twister, (uint32_t)count)
                         : vidur_rng_below(&state->rng, (uint32_t)count));
}

static int32_t pick_random(struct vidur_router_state *state,
                           const struct vidur_replica *const *replicas, int32_t request)
{
    (void)replicas;
    (void)request;
    return state->weights ? draw_by_weight(state)
                          : draw_below(state, state->num_replicas);
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
                                      const struct vidur_replica *const *replicas,
                                      int32_t request)
{
    (void)request;
    int32_t best = 0;
    for (int32_t i = 1; i < state->num_replicas; i++)
        if (load_of(state, i, outstanding(state, replicas[i])) <
            load_of(state, best, outstanding(state, replicas[best])))
            best = i;
    return best;
}

/* Two different ones, the first drawn of equals. */
static int32_t pick_of_two(struct vidur_router_state *state,
                           const struct vidur_replica *const *replicas, int32_t request)
{
    (void)request;
    if (state->num_replicas == 1)
        return 0;
    const int32_t first = draw_below(state, state->num_replicas);
    int32_t second = draw_below(state, state->num_replicas - 1);
    second += second >= first;
    return load_of(state, second, outstanding(state, replicas[second])) <
                   load_of(state, first, outstanding(state, replicas[first]))
               ? second
               : first;
}

/* Of all ranks: the first is counted what comes, whoever gets it. */
static int64_t tokens_left(const struct vidur_replica *replica)
{
    int64_t count = 0;
    for (; replica; replica = replica->next_rank)
        count += replica->tokens_left;
    return count;
}

static int32_t pick_least_tokens(struct vidur_router_state *state,
                                 const struct vidur_replica *const *replicas,
                                 int32_t request)
{
    (void)request;
    int32_t best = 0;
    for (int32_t i = 1; i < state->num_replicas; i++)
        if (load_of(state, i, tokens_left(replicas[i])) <
            load_of(state, best, tokens_left(replicas[best])))
            best = i;
    return best;
}

/* Share of the prompt that the replica's prefix cache holds; of ranks, the one that
 * holds most. */
static double hit_share(const struct vidur_replica *replica, int32_t request)
{
    const int32_t prompt = replica->requests->prefill_tokens[request];
    int32_t blocks = 0;
    const int32_t block_size = replica->block_size;
    for (; replica && replica->store; replica = replica->next_rank) {
        const struct vidur_prefix_hit hit = vidur_block_store_find(
            replica->store, request, prompt, vidur_release_mark(replica));
        blocks = hit.blocks > blocks ? hit.blocks : blocks;
    }
    return (double)blocks * block_size / prompt;
}

/* The best of weight * hit share - load, the load as a share of the greatest. */
static int32_t pick_by_prefix(struct vidur_router_state *state,
                              const struct vidur_replica *const *replicas,
                              int32_t request)
{
    int32_t best = 0;
    double most = 0, best_score = -INFINITY;
    for (int32_t i = 0; i < state->num_replicas; i++)
        most = fmax(most, load_of(state, i, outstanding(state, replicas[i])));
    for (int32_t i = 0; i < state->num_replicas; i++) {
        const int64_t open = outstanding(state, replicas[i]);
        const double load = open > 0 ? load_of(state, i, open) / most : 0;
        const double score =
            state->prefix_weight * hit_share(replicas[i], request) - load;
        if (score > best_score) {
            best_score = score;
            best = i;
        }
    }
    return best;
}

struct polled {
    int64_t waiting;
    double kv_usage; /* share of the blocks that requests hold */
};

/* What a poll has found of all ranks of a replica. */
static struct polled poll(const struct vidur_replica *replica, int32_t request)
{
    const double now_s = replica->requests->arrived_at_s[request];
    struct polled sum = {0};
    int32_t ranks = 0;
    for (; replica; replica = replica->next_rank, ranks++) {
        const struct vidur_tidings *rank = vidur_told_polled(replica->told, now_s);
        sum.waiting += rank->waiting;
        sum.kv_usage += (double)rank->blocks / (double)replica->num_blocks;
    }
    sum.kv_usage /= ranks;
    return sum;
}

/* The best sum of three scores from 0 to 1: the queue's place between the longest and
 * the shortest, the share of the KV cache that is free, and what of the prompt is
 * cached. One of equals is drawn. */
static int32_t pick_polled(struct vidur_router_state *state,
                           const struct vidur_replica *const *replicas, int32_t request)
{
    int64_t least = INT64_MAX, most = 0;
    int32_t best = 0, num_best = 0;
    double best_score = -INFINITY;
    for (int32_t i = 0; i < state->num_replicas; i++) {
        const int64_t waiting = poll(replicas[i], request).waiting;
        least = waiting < least ? waiting : least;
        most = waiting > most ? waiting : most;
    }
    for (int32_t i = 0; i < state->num_replicas; i++) {
        const struct polled now = poll(replicas[i], request);
        const double queue =
            most > least ? (double)(most - now.waiting) / (double)(most - least) : 1;
        const double score = queue + (1 - now.kv_usage) +
                             state->prefix_weight * hit_share(replicas[i], request);
        num_best = score > best_score ? 1 : num_best + (score == best_score);
        if (score > best_score ||
            (score == best_score && draw_below(state, num_best) == 0)) {
            best_score = score;
            best = i;
        }
    }
    return best;
}

/* Sessions start in their order, so that each in turn goes by their number. Without
 * sessions each request is one. */
static int32_t pick_by_session(struct vidur_router_state *state,
                               const struct vidur_replica *const *replicas,
                               int32_t request)
{
    (void)replicas;
    const bool has_sessions = state->sessions->count > 0;
    const int32_t session = has_sessions ? state->sessions->session[request] : request;
    return session % state->num_replicas;
}

static int32_t pick_by_session_lor(struct vidur_router_state *state,
                                   const struct vidur_replica *const *replicas,
                                   int32_t request)
{
    if (state->sessions->count == 0)
        return pick_least_outstanding(state, replicas, request);
    int32_t *replica = &state->replica_of[state->sessions->session[request]];
    if (*replica < 0)
        *replica = pick_least_outstanding(state, replicas, request);
    return *replica;
}

static const struct vidur_router_ops routers[] = {
    {.name = "round_robin",
     .remark = "each replica in turn",
     .balance = "round-robin",
     .is_static = true,
     .pick = pick_next},
    {.name = "random",
     .remark = "a replica at random",
     .balance = "random",
     .is_static = true,
     .pick = pick_random},
    {.name = "lor",
     .remark = "the replica with the least outstanding requests",
     .balance = "least-outstanding-requests",
     .is_static = false,
     .pick = pick_least_outstanding},
    {.name = "power_of_two",
     .remark = "of two replicas at random the one with fewer outstanding requests",
     .balance = "power-of-two-choices",
     .is_static = false,
     .pick = pick_of_two},
    {.name = "least_tokens",
     .remark = "the replica with the fewest tokens left of its requests",
     .balance = "least-outstanding-tokens",
     .is_static = false,
     .pick = pick_least_tokens},
    {.name = "session",
     .remark = "the replica of its session, sessions to each replica in turn",
     .balance = "session-affinity (round-robin for new sessions)",
     .is_static = true,
     .keeps_sessions = true,
     .pick = pick_by_session},
    {.name = "session_lor",
     .remark = "the replica of its session, new sessions to the one with the least "
               "outstanding requests",
     .balance = "session-affinity (least outstanding requests for new sessions)",
     .is_static = false,
     .pick = pick_by_session_lor},
    {.name = "prefix",
     .remark = "the best of weight * cached share of the prompt - load (prefix:WEIGHT)",
     .balance = "prefix-aware",
     .is_static = false,
     .has_weight = true,
     .pick = pick_by_prefix},
    {.name = "polled",
     .remark = "the best of short queue + free KV cache + weight * cached share, as "
               "last polled (polled:WEIGHT)",
     .balance = "queue, KV-cache and prefix scorers (Gateway API Inference Extension)",
     .is_static = false,
     .has_weight = true,
     .polls = true,
     .pick = pick_polled},
};

enum { NUM_ROUTERS = sizeof routers / sizeof *routers };

/* Whether `text` behind a name is nothing, or a colon and a number from 0 on. */
static bool is_weight(const char *text)
{
    char *end;
    if (*text == 0)
        return true;
    if (text[0] != ':' || !strchr("0123456789.", text[1]) || text[1] == 0)
        return false;
    const double weight = strtod(text + 1, &end);
    return *end == 0 && weight >= 0 && weight < INFINITY;
}

const struct vidur_router_ops *vidur_router_find(const char *name)
{
    for (int i = 0; i < NUM_ROUTERS; i++) {
        const size_t length = strlen(routers[i].name);
        if (strncmp(routers[i].name, name, length) != 0)
            continue;
        if (name[length] == 0 || (routers[i].has_weight && is_weight(name + length)))
            return &routers[i];
    }
    return NULL;
}

const struct vidur_router_ops *vidur_router_at(int index)
{
    return index >= 0 && index < NUM_ROUTERS ? &routers[index] : NULL;
}
