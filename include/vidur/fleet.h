#ifndef VIDUR_FLEET_H
#define VIDUR_FLEET_H

#include <vidur/deployment.h>
#include <vidur/error.h>

#include <stdint.h>

/*
 * A fleet: pools of equal replicas that serve one model together. One pool of role
 * `all` is a deployment as it always was. Several pools of role `all` stand behind one
 * router. Pools of role `prefill` work off prompts, and pools of role `decode` go on
 * with them, once the prompt's KV cache has been moved. Source: SIMULATOR.md
 * section 10.
 *
 * Plain data without pointers, so it can be copied, compared and sent.
 */

enum { VIDUR_MAX_POOLS = 4 };

enum vidur_pool_role { VIDUR_POOL_ALL, VIDUR_POOL_PREFILL, VIDUR_POOL_DECODE };

/* "all", "prefill", "decode": for the enum's values in order; ends with NULL. */
extern const char *const vidur_pool_role_names[];

struct vidur_pool {
    enum vidur_pool_role role;
    /* A replica's share of the requests, relative to that of other pools behind the
     * same router: what it can carry. */
    double weight;
    struct vidur_deployment deployment; /* its replicas, router and scheduler */
};

/* Whether a prompt's KV cache moves once the prompt is done, or layer by layer while it
 * is computed. */
enum vidur_kv_overlap { VIDUR_OVERLAP_NONE, VIDUR_OVERLAP_LAYERS };
extern const char *const vidur_kv_overlap_names[];

/* Keys of `kv_transfer:`. */
struct vidur_kv_transfer {
    double bandwidth_gb_per_s; /* per GPU; 0: the link's between the pools */
    double latency_us;         /* of a transfer; below 0: the link's */
    enum vidur_kv_overlap overlap;
};

/* The first output token of a request that moves comes from the last step of its
 * prompt, or from its first step at the pool that decodes, which computes the prompt's
 * last token again as engines' KV connectors do. */
enum vidur_first_token { VIDUR_FIRST_TOKEN_DECODE, VIDUR_FIRST_TOKEN_PREFILL };
extern const char *const vidur_first_token_names[];

struct vidur_fleet {
    int num_pools;
    /* those that requests arrive at first, then those of role `decode` */
    struct vidur_pool pools[VIDUR_MAX_POOLS];
    struct vidur_kv_transfer kv_transfer;
    enum vidur_first_token first_token;
};

/* One pool of role `all`, weight 1; no transfers. */
void vidur_fleet_of(struct vidur_fleet *fleet,
                    const struct vidur_deployment *deployment);

/* Pools that requests arrive at: those of the first roles. */
int vidur_fleet_num_entries(const struct vidur_fleet *fleet);

/* Replicas are counted over all pools, in their order: how many there are, and the
 * index of the pool that one of them is of. */
int vidur_fleet_num_replicas(const struct vidur_fleet *fleet);
int vidur_fleet_pool_of(const struct vidur_fleet *fleet, int replica);

/* Ranks in data parallel of all replicas, one replica after the other; a replica of one
 * rank has one seat. */
struct vidur_seat {
    int pool, replica; /* the latter of all pools' */
    int rank, num_ranks;
};
int vidur_fleet_num_seats(const struct vidur_fleet *fleet);
struct vidur_seat vidur_fleet_seat(const struct vidur_fleet *fleet, int index);

int vidur_fleet_num_gpus(const struct vidur_fleet *fleet);

/* Each deployment (vidur_deployment_check), and whether the pools go together: roles,
 * one model, semantics, router and format of the KV cache, weights above 0, a scheduler
 * that can hand requests over. Texts name keys from `pools.` on. */
int vidur_fleet_check(const struct vidur_fleet *fleet, struct vidur_error *err);

/* The link between the pools `from` and `to`, with what kv_transfer leaves open: bytes
 * per second of one replica's transfer to another, and its latency in seconds. Two
 * pools share a node where both are on the same kind and the whole fleet fits into
 * one. */
struct vidur_kv_link {
    double bytes_per_s;
    double latency_s;
};
struct vidur_kv_link vidur_fleet_link(const struct vidur_fleet *fleet, int from,
                                      int to);

struct vidur_sha256;

/* As vidur_deployment_digest, of every pool and of how requests move. */
void vidur_fleet_digest(struct vidur_sha256 *sha, const struct vidur_fleet *fleet);

/* Bytes of KV cache of a token over all devices of a replica. */
double vidur_fleet_kv_bytes_per_token(const struct vidur_deployment *deployment);

#endif
