#ifndef VIDUR_SIM_BLOCK_STORE_H
#define VIDUR_SIM_BLOCK_STORE_H

#include "base/arena.h"
#include "replica/block_runs.h"
#include "replica/host_tier.h"

/*
 * Which KV blocks each request of a replica holds, where prompts share them: the blocks
 * and a holding per request. In sessions the blocks of what was generated are cached,
 * too, when they are given back: the next turn's prompt goes on behind them. A replica
 * without a store only counts its blocks. Source: ENGINE.md section 2.
 */
struct vidur_block_store {
    struct vidur_block_runs runs;
    const struct vidur_workload *workload; /* prompts and their lengths */
    bool has_sessions;                     /* the workload's prompts are theirs */
    int32_t block_size;
    int32_t *slot_of;                  /* [requests]; -1: holds none */
    struct vidur_stored_prompt *slots; /* those that hold blocks */
    int32_t *free_slots;               /* a stack */
    int32_t num_free_slots;
    /* what vidur_block_store_find found last: a scheduler asks for the price of a
     * prompt and then admits it */
    struct vidur_found_prefix *found;
    /* Of the prompts admitted, again after a restart: their tokens, and those of them
     * that were found in the cache. */
    int64_t num_prompt_tokens, num_hit_tokens;
    struct vidur_host_tier *host; /* NULL: there is none */
    int64_t num_host_hit_tokens;  /* as num_hit_tokens, found there behind those */
};

struct vidur_stored_prompt {
    struct vidur_holding holding;
    struct vidur_prompt_chain chain; /* at or before the first block without a name */
};

struct vidur_found_prefix {
    int32_t request; /* -1: blocks have been taken or given back since */
    int32_t prompt_tokens;
    int32_t hits;
    struct vidur_prompt_chain chain;    /* at the last segment that was looked at */
    struct vidur_block_extent *extents; /* of the hits */
};

struct vidur_block_store_sizes {
    int32_t num_blocks;
    int32_t num_slots; /* requests that hold blocks at once */
    int32_t block_size;
    int32_t max_tokens; /* of a request */
    struct vidur_host_tier_sizes host;
};

size_t vidur_block_store_bytes(const struct vidur_block_store_sizes *sizes,
                               int64_t num_requests);
struct vidur_block_store *
vidur_block_store_new(struct vidur_arena *arena,
                      const struct vidur_block_store_sizes *sizes,
                      const struct vidur_workload *workload);

/* Leading blocks of a request's prompt that are in the cache, at most the whole blocks
 * before its last token; and how many of them nobody holds. `prompt_tokens`: what it
 * has to compute, which after a restart includes tokens it had generated. */
struct vidur_prefix_hit {
    int32_t blocks;
    int32_t unheld; /* since before `mark`, a count of releases */
};
struct vidur_prefix_hit vidur_block_store_find(const struct vidur_block_store *store,
                                               int32_t request, int32_t prompt_tokens,
                                               uint32_t mark);

/* Gives a request without blocks its prompt's: those found in the cache are held, the
 * others taken, and the full blocks of the prompt named. There are enough free ones.
 * Returns how many were found. */
int32_t vidur_block_store_admit(struct vidur_block_store *store, int32_t request,
                                int32_t prompt_tokens);

/* Of a replica with a host tier: how many blocks it has behind those that
 * vidur_block_store_find finds, at most the whole blocks before the last token. */
int32_t vidur_block_store_find_on_host(struct vidur_block_store *store, int32_t request,
                                       int32_t prompt_tokens);
/* The request's blocks from index `from` to before `until` are used now: the host tier
 * keeps them from now on. */
void vidur_block_store_keep_on_host(struct vidur_block_store *store, int32_t request,
                                    int32_t from, int32_t until);

/* As vidur_block_store_admit; what is not found gets its names with
 * vidur_block_store_loaded. */
int32_t vidur_block_store_admit_to_load(struct vidur_block_store *store,
                                        int32_t request, int32_t prompt_tokens);
void vidur_block_store_loaded(struct vidur_block_store *store, int32_t request,
                              int32_t prompt_tokens);

/* Requests that hold some have so many more in all: as these cache nothing, it does not
 * matter who has how many until they are released. There are enough free ones. */
void vidur_block_store_grow(struct vidur_block_store *store, int32_t blocks);
/* All that the request holds. Blocks that are not full of the tokens that were computed
 * cache nothing; those of a session's request that are cache them. */
void vidur_block_store_release(struct vidur_block_store *store, int32_t request,
                               int32_t held, int32_t computed_tokens);

static inline int64_t vidur_block_store_allocated(const struct vidur_block_store *store)
{
    return store->runs.num_blocks - store->runs.num_free;
}

#endif
