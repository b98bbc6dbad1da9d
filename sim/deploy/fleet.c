#include <vidur/fleet.h>
#include <vidur/scheduler.h>

#include "base/hash.h"
#include "replica/router.h"

#include <stdio.h>
#include <string.h>

const char *const vidur_pool_role_names[] = {"all", "prefill", "decode", NULL};
const char *const vidur_kv_overlap_names[] = {"none", "layers", NULL};
const char *const vidur_first_token_names[] = {"decode", "prefill", NULL};

void vidur_fleet_of(struct vidur_fleet *fleet,
                    const struct vidur_deployment *deployment)
{
    memset(fleet, 0, sizeof *fleet);
    fleet->num_pools = 1;
    fleet->pools[0].weight = 1;
    fleet->pools[0].deployment = *deployment;
    fleet->kv_transfer.latency_us = -1;
}

int vidur_fleet_num_entries(const struct vidur_fleet *fleet)
{
    int count = 0;
    while (count < fleet->num_pools && fleet->pools[count].role != VIDUR_POOL_DECODE)
        count++;
    return count;
}

int vidur_fleet_num_replicas(const struct vidur_fleet *fleet)
{
    int count = 0;
    for (int i = 0; i < fleet->num_pools; i++)
        count += fleet->pools[i].deployment.num_replicas;
    return count;
}

int vidur_fleet_pool_of(const struct vidur_fleet *fleet, int replica)
{
    int pool = 0;
    while (pool < fleet->num_pools - 1 &&
           replica >= fleet->pools[pool].deployment.num_replicas)
        replica -= fleet->pools[pool++].deployment.num_replicas;
    return pool;
}

static int ranks_of(const struct vidur_pool *pool)
{
    return pool->deployment.data_parallel_size > 1 ? pool->deployment.data_parallel_size
                                                   : 1;
}

int vidur_fleet_num_seats(const struct vidur_fleet *fleet)
{
    int count = 0;
    for (int i = 0; i < fleet->num_pools; i++)
        count += fleet->pools[i].deployment.num_replicas * ranks_of(&fleet->pools[i]);
    return count;
}

struct vidur_seat vidur_fleet_seat(const struct vidur_fleet *fleet, int index)
{
    struct vidur_seat seat = {0};
    for (; seat.pool < fleet->num_pools - 1; seat.pool++) {
        const struct vidur_pool *pool = &fleet->pools[seat.pool];
        const int seats = pool->deployment.num_replicas * ranks_of(pool);
        if (index < seats)
            break;
        index -= seats;
        seat.replica += pool->deployment.num_replicas;
    }
    seat.num_ranks = ranks_of(&fleet->pools[seat.pool]);
    seat.replica += index / seat.num_ranks;
    seat.rank = index % seat.num_ranks;
    return seat;
}

int vidur_fleet_num_gpus(const struct vidur_fleet *fleet)
{
    int count = 0;
    for (int i = 0; i < fleet->num_pools; i++)
        count += vidur_deployment_num_gpus(&fleet->pools[i].deployment);
    return count;
}

/* ---- Checks ---- */

/* The pools that requests arrive at come first and have one role; those that decode
 * follow where that role is `prefill`, and nowhere else. */
static int check_roles(const struct vidur_fleet *fleet, struct vidur_error *err)
{
    const enum vidur_pool_role first = fleet->pools[0].role;
    const int entries = vidur_fleet_num_entries(fleet);
    if (entries == 0)
        return vidur_fail(err, VIDUR_EINVAL,
                          "pools.0.role: decode; the first pools are those that "
                          "requests arrive at: list pools of role prefill first");
    for (int i = 1; i < fleet->num_pools; i++) {
        const enum vidur_pool_role role = fleet->pools[i].role;
        if (role == (i < entries ? first : VIDUR_POOL_DECODE))
            continue;
        return vidur_fail(err, VIDUR_EINVAL,
                          "pools.%d.role: %s behind a pool of role %s; list pools of "
                          "role all alone, or those of role prefill and then those of "
                          "role decode",
                          i, vidur_pool_role_names[role],
                          vidur_pool_role_names[fleet->pools[i - 1].role]);
    }
    if (first == VIDUR_POOL_ALL && entries < fleet->num_pools)
        return vidur_fail(err, VIDUR_EINVAL,
                          "pools.%d.role: decode behind a pool of role all, which "
                          "hands nothing over; give that one the role prefill",
                          entries);
    if (first == VIDUR_POOL_PREFILL && entries == fleet->num_pools)
        return vidur_fail(err, VIDUR_EINVAL,
                          "pools: there is none of role decode, which would go on with "
                          "the prompts of those of role prefill; add one");
    return 0;
}

static int check_hand_over(const struct vidur_deployment *deployment, int index,
                           struct vidur_error *err)
{
    const struct vidur_scheduler_ops *ops =
        vidur_scheduler_find(deployment->scheduler.type);
    if (ops->hands_over)
        return 0;
    return vidur_fail(err, VIDUR_EINVAL,
                      "pools.%d.scheduler.type: %s cannot hand requests over from pool "
                      "to pool; vllm_v1 can",
                      index, ops->name);
}

/* Whether pool `index` goes with the first one. */
static int check_pool(const struct vidur_fleet *fleet, int index,
                      struct vidur_error *err)
{
    const struct vidur_pool *pool = &fleet->pools[index];
    const struct vidur_deployment *first = &fleet->pools[0].deployment;
    const struct vidur_deployment *d = &pool->deployment;
    const bool moves = fleet->pools[0].role == VIDUR_POOL_PREFILL;
    if (!(pool->weight > 0))
        return vidur_fail(err, VIDUR_EINVAL, "pools.%d.weight: %g is not above 0",
                          index, pool->weight);
    if (strcmp(d->model.name, first->model.name) != 0)
        return vidur_fail(err, VIDUR_EINVAL,
                          "pools.%d.model: %s, where the first pool serves %s; a fleet "
                          "serves one model",
                          index, d->model.name, first->model.name);
    if (d->semantics != first->semantics)
        return vidur_fail(err, VIDUR_EINVAL,
                          "pools.%d.semantics: unlike that of the first pool; set it "
                          "once, for the fleet",
                          index);
    if (moves && d->model.precision.kv_cache != first->model.precision.kv_cache)
        return vidur_fail(err, VIDUR_EINVAL,
                          "pools.%d.kv_cache_dtype: a KV cache that moves keeps its "
                          "format; give all pools the same",
                          index);
    if (moves && d->data_parallel_size > 1)
        return vidur_fail(
            err, VIDUR_EINVAL,
            "pools.%d.data_parallel_size: %d; ranks in data parallel hand "
            "no requests over, use 1 in pools of role prefill and decode",
            index, d->data_parallel_size);
    return moves ? check_hand_over(d, index, err) : 0;
}

/* A deployment's texts name keys from its pool on. Returns -1. */
static int fail_in_pool(int index, struct vidur_error *err)
{
    char text[sizeof err->text];
    if (!err)
        return -1;
    snprintf(text, sizeof text, "%s", err->text);
    return vidur_fail(err, err->code, "pools.%d.%s", index, text);
}

int vidur_fleet_check(const struct vidur_fleet *fleet, struct vidur_error *err)
{
    if (fleet->num_pools < 1 || fleet->num_pools > VIDUR_MAX_POOLS)
        return vidur_fail(err, VIDUR_EINVAL, "pools: there are %d; a fleet has 1 to %d",
                          fleet->num_pools, VIDUR_MAX_POOLS);
    for (int i = 0; i < fleet->num_pools; i++)
        if (vidur_deployment_check(&fleet->pools[i].deployment, err))
            return fleet->num_pools == 1 ? -1 : fail_in_pool(i, err);
    if (fleet->num_pools == 1 && fleet->pools[0].role == VIDUR_POOL_ALL)
        return 0;
    if (check_roles(fleet, err))
        return -1;
    for (int i = 0; i < fleet->num_pools; i++)
        if (check_pool(fleet, i, err))
            return -1;
    const int entries = vidur_fleet_num_entries(fleet);
    for (int i = 1; i < fleet->num_pools; i++) {
        const int leader = i < entries ? 0 : entries;
        const char *router = fleet->pools[leader].deployment.router;
        if (strcmp(fleet->pools[i].deployment.router, router) != 0)
            return vidur_fail(err, VIDUR_EINVAL,
                              "pools.%d.router: %s, where pool %d of the same role has "
                              "%s; one router chooses among them",
                              i, fleet->pools[i].deployment.router, leader, router);
        if (i >= entries && vidur_router_find(router)->polls)
            return vidur_fail(err, VIDUR_EINVAL,
                              "pools.%d.router: %s knows of arrivals only; give pools "
                              "of role decode another, lor",
                              i, router);
    }
    return 0;
}

/* ---- Moving KV caches ---- */

/* The cache of a token is the same however a replica is cut: heads that several devices
 * keep are sent once. */
double vidur_fleet_kv_bytes_per_token(const struct vidur_deployment *deployment)
{
    const struct vidur_cut whole = {.tensor = 1, .pipeline = 1};
    struct vidur_shard shard;
    vidur_shard_of(&shard, &deployment->model, &whole);
    return vidur_shard_kv_bytes_per_token(&shard);
}

struct vidur_kv_link vidur_fleet_link(const struct vidur_fleet *fleet, int from, int to)
{
    const struct vidur_kv_transfer *keys = &fleet->kv_transfer;
    const struct vidur_deployment *a = &fleet->pools[from].deployment;
    const struct vidur_deployment *b = &fleet->pools[to].deployment;
    const struct vidur_node_sku *node = &a->node;
    const bool within = strcmp(node->name, b->node.name) == 0 && !node->pairwise &&
                        vidur_fleet_num_gpus(fleet) <= node->devices_per_node;
    double gb_per_s, latency_us;
    if (within) {
        gb_per_s = node->link_bandwidth_gb_per_s * node->link_efficiency;
        latency_us = node->link_latency_us;
    } else {
        const double ours =
            node->inter_node_bandwidth_gb_per_s * node->inter_node_efficiency;
        const double theirs =
            b->node.inter_node_bandwidth_gb_per_s * b->node.inter_node_efficiency;
        gb_per_s = ours < theirs ? ours : theirs;
        latency_us = node->inter_node_latency_us > b->node.inter_node_latency_us
                         ? node->inter_node_latency_us
                         : b->node.inter_node_latency_us;
    }
    if (keys->bandwidth_gb_per_s > 0)
        gb_per_s = keys->bandwidth_gb_per_s;
    if (keys->latency_us >= 0)
        latency_us = keys->latency_us;
    const int tensor = a->tensor_parallel_size < b->tensor_parallel_size
                           ? a->tensor_parallel_size
                           : b->tensor_parallel_size;
    return (struct vidur_kv_link){.bytes_per_s = gb_per_s * 1e9 * tensor,
                                  .latency_s = latency_us * 1e-6};
}

/* ---- Identity ---- */

void vidur_fleet_digest(struct vidur_sha256 *sha, const struct vidur_fleet *fleet)
{
    vidur_sha256_add_int64(sha, fleet->num_pools);
    for (int i = 0; i < fleet->num_pools; i++) {
        vidur_sha256_add_int64(sha, fleet->pools[i].role);
        vidur_sha256_add_double(sha, fleet->pools[i].weight);
        vidur_deployment_digest(sha, &fleet->pools[i].deployment);
    }
    vidur_sha256_add_double(sha, fleet->kv_transfer.bandwidth_gb_per_s);
    vidur_sha256_add_double(sha, fleet->kv_transfer.latency_us);
    vidur_sha256_add_int64(sha, fleet->kv_transfer.overlap);
    vidur_sha256_add_int64(sha, fleet->first_token);
}
