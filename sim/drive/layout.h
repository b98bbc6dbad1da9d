#ifndef VIDUR_SIM_LAYOUT_H
#define VIDUR_SIM_LAYOUT_H

#include "drive/run.h"
#include "replica/block_store.h"

/*
 * The memory of a run: what each pool's replicas, the requests and the drivers need,
 * planned before the run and carved from the simulator's arena.
 */

struct vidur_pool_layout {
    struct vidur_replica_sizes sizes;
    size_t scheduler_bytes;
    struct vidur_block_store_sizes store; /* num_slots 0: blocks are only counted */
};

struct vidur_layout {
    struct vidur_pool_layout pools[VIDUR_MAX_POOLS];
    int num_pools;
    int64_t num_requests;
    int64_t num_servers, num_entries; /* of these, those that requests arrive at */
    int64_t num_ranks;                /* of all servers */
    int32_t most_ranks;               /* of one */
    struct vidur_slo_watch_sizes watch;
    int64_t event_capacity;
    int32_t batch_capacity; /* the largest of the pools' */
    bool has_front_end;     /* of some pool that requests arrive at */
    bool cpu_overhead;
    bool by_events;
    bool by_server;      /* each server alone: lists of requests are needed */
    bool sends;          /* completions send requests */
    bool moves_arrivals; /* they, or stages of load, decide when requests arrive */
    bool caches;         /* some pool has a prefix cache */
    bool loads;          /* and some a second tier of it in host memory */
    int64_t num_sessions;
    size_t sending_bytes;
};

/* Sets the pools' env.running_capacity. */
void vidur_layout_plan(struct vidur_layout *layout, struct vidur_pool_model *pools,
                       int num_pools, const struct vidur_workload *workload,
                       const struct vidur_run_options *options);

size_t vidur_layout_bytes(const struct vidur_layout *layout,
                          const struct vidur_pool_model *pools);

/* Carves and empties the run's servers and the drivers' scratch. run->pools, requests,
 * workload, options, watching and gaps are set. */
void vidur_layout_servers(const struct vidur_layout *layout, struct vidur_run *run,
                          struct vidur_arena *arena);

#endif
