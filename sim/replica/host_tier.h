#ifndef VIDUR_SIM_HOST_TIER_H
#define VIDUR_SIM_HOST_TIER_H

#include "base/arena.h"
#include "replica/block_runs.h"

#include <vidur/scheduler.h>

#include <math.h>

/*
 * A replica's second tier of KV blocks, in the memory of its hosts: what it keeps, and
 * the loads from it. Source: ENGINE.md section 11.
 *
 * Blocks are kept when a request gives its own back, and those used last are kept
 * longest. A request whose prompt goes on
 * here behind what the GPU has is loaded: it holds its blocks and a seat, stands in no
 * list of the scheduler's, and comes back by vidur_loaded_pop. The GPUs of the replica
 * load their shares at the same time, one request after the other.
 */
struct vidur_host_tier {
    struct vidur_block_runs runs; /* nobody holds any: its queue is from the one used
                                     longest ago to the one used last */
    struct vidur_holding using;   /* while vidur_host_tier_keep is at work */
    double block_s;               /* to load a block */
    double link_free_at_s;        /* what has been begun is loaded then */
    double *loaded_at_s;          /* [requests] when its load ends, from its begin on */
    int32_t loading_head, loading_tail; /* in the order of ends, linked by `next` */
    /* Of all loads that have begun. */
    int64_t num_loads, num_blocks_loaded;
    double busy_s;   /* on the link */
    double waited_s; /* by requests, from the begin to the end of their loads */
};

struct vidur_host_tier_sizes {
    int32_t num_blocks; /* 0: there is no such tier */
    double block_s;
};

size_t vidur_host_tier_bytes(const struct vidur_host_tier_sizes *sizes,
                             int32_t blocks_per_request);
struct vidur_host_tier *vidur_host_tier_new(struct vidur_arena *arena,
                                            const struct vidur_host_tier_sizes *sizes,
                                            int32_t blocks_per_request);

/* Uses a prompt's blocks from index `from` to before `until`, the last one first, so
 * that its head is kept longer than its tail. Those that are not there are kept from
 * now on. */
void vidur_host_tier_keep(struct vidur_host_tier *tier,
                          struct vidur_prompt_chain *chain, int32_t from,
                          int32_t until);

/* So many of the request's blocks begin to be loaded now, behind those before. */
void vidur_host_tier_load(struct vidur_host_tier *tier, struct vidur_replica *replica,
                          int32_t request, int32_t blocks);

/* When the next load of a replica ends; infinity: none is under way. */
double vidur_next_load_s(const struct vidur_replica *replica);

/* Loads that have ended by now go to the scheduler, which calls vidur_loaded_pop; true
 * if one ends just now. */
bool vidur_end_loads(struct vidur_replica *replica, double now_s);

#endif
