#ifndef VIDUR_SIM_TRANSFERS_H
#define VIDUR_SIM_TRANSFERS_H

#include "base/arena.h"

#include <vidur/fleet.h>
#include <vidur/metrics.h>

#include <math.h>

/*
 * KV caches on their way from pools that prefill to pools that decode. Source:
 * SIMULATOR.md section 10.
 *
 * A request that departs is given to a replica that decodes at once, by the router of
 * those. It waits there, first come first served, until that replica can load it
 * (vidur_can_load); then its transfer begins, or queues behind others of the same pair
 * of replicas. The replica that it departed from keeps its blocks until the transfer
 * ends: if those that decode are full, those that prefill fill up, too.
 */

struct vidur_run;
struct vidur_server;

/* One on its way. */
struct vidur_transfer {
    double end_s;
    int32_t request;
};

struct vidur_transfers {
    const struct vidur_fleet *fleet;
    struct vidur_kv_link links[VIDUR_MAX_POOLS][VIDUR_MAX_POOLS];
    double bytes_per_token;
    int32_t num_entries;         /* servers that requests arrive at */
    double *pair_free_at_s;      /* [servers that decode][num_entries] */
    struct vidur_transfer *heap; /* by (end_s, request) */
    int64_t count;
    bool has_woken; /* a server, which nobody has noticed yet: the stepper's */
    /* by request */
    int32_t *from, *to;    /* servers */
    int32_t *held;         /* blocks at the first */
    double *departed_at_s; /* NaN: it has not */
    double *loaded_at_s;
    struct vidur_transfer_metrics sums[VIDUR_MAX_POOLS]; /* into each pool */
};

size_t vidur_transfers_bytes(int64_t num_requests, int64_t num_pairs);
void vidur_transfers_init(struct vidur_transfers *transfers, struct vidur_arena *arena,
                          const struct vidur_run *run);

/* When the first one ends; infinity: there is none. */
static inline double vidur_transfers_next_s(const struct vidur_transfers *transfers)
{
    return transfers->count > 0 ? transfers->heap[0].end_s : INFINITY;
}

/* The server that the first transfer goes to; there is one. */
static inline int32_t vidur_transfers_next_to(const struct vidur_transfers *transfers)
{
    return transfers->to[transfers->heap[0].request];
}

/* The next of those that departed from `server` with the batch that has just ended;
 * VIDUR_NO_REQUEST: there is none. Chooses where it goes on, `*to`, for which replicas
 * that decode have done all that happens before now if the router looks at them. */
int32_t vidur_transfers_pick(struct vidur_run *run, struct vidur_server *server,
                             int32_t *to);

/* It goes there, and begins its transfer if it can: that server has done all that
 * happens before now. */
void vidur_transfers_send(struct vidur_run *run, const struct vidur_server *server,
                          int32_t request, int32_t to);

/* Both, for all of them. */
void vidur_transfers_depart(struct vidur_run *run, struct vidur_server *server);

/* The requests that wait to be loaded into `server` begin their transfers as far as
 * they can now; true if any did. */
bool vidur_transfers_start(struct vidur_run *run, struct vidur_server *server);

/* Ends the first transfer, at its time: both replicas are to be asked for a batch then
 * (server.woken_at_s). */
void vidur_transfers_finish(struct vidur_run *run);

#endif
