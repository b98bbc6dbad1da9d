#ifndef VIDUR_SIM_BLOCK_RUNS_H
#define VIDUR_SIM_BLOCK_RUNS_H

#include "replica/prompt_chain.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * KV blocks with identities: who holds them, a queue of the free ones, and a cache of
 * prompt blocks. Source: ENGINE.md section 2.
 *
 * A block that nobody holds waits in the queue and keeps what it caches until it is
 * taken from the queue's front; a request that wants its content takes it out again. So
 * the free blocks are the prefix cache, evicted least recently used first.
 *
 * Which block is which does not matter, so blocks are kept as runs: neighbours in one
 * segment of a prompt (prompt_chain.h) that have the same holders or, free, were
 * released together; the last of them stands first in the queue. Or blocks that cache
 * nothing and are neighbours in the queue. Costs are those of the runs that are
 * touched, however many blocks they have.
 *
 * Plain data over caller-owned memory; no allocation, no errors. Not thread-safe.
 */

enum { VIDUR_NO_RUN = -1 };

struct vidur_block_run {
    uint64_t segment; /* of which it caches blocks; 0: it caches nothing */
    int32_t first;    /* the first's index in the prompt */
    int32_t blocks;
    int32_t holders;
    uint32_t released_after; /* this many releases */
    int32_t previous, next;  /* in the queue of free blocks */
    int32_t behind;          /* the next one of its segment, in the order of indexes */
    int32_t next_in_slot;    /* a segment's first run: of the hash table */
    int32_t below;           /* what was cut off from its beginning */
};

struct vidur_block_runs {
    struct vidur_block_run *runs; /* the first is the queue's sentinel */
    int32_t *slots;               /* hash table of segments: their first runs */
    uint64_t slot_mask;
    int32_t num_blocks;
    int32_t num_free;      /* blocks */
    int32_t num_made;      /* runs[0 .. num_made) are or have been in use */
    int32_t spare;         /* those that are not, linked by `next` */
    int64_t num_evictions; /* cached blocks taken for something else */
    uint32_t num_releases; /* of holdings, modulo 2^32 */
};

/* Bytes of memory for that many blocks, 8-byte aligned. */
size_t vidur_block_runs_bytes(int32_t num_blocks);

/* All blocks free and nothing cached; also resets in place. */
void vidur_block_runs_init(struct vidur_block_runs *runs, void *memory,
                           int32_t num_blocks);

/* The blocks of a run, or of several that were one when they were got. */
struct vidur_block_extent {
    int32_t run; /* the last of them; VIDUR_NO_RUN: they cache nothing, nobody else has
                    them */
    int32_t blocks;
};

/* Takes so many blocks from the queue's front, for whom does not matter; there are that
 * many. They forget what they cached. */
void vidur_block_runs_take(struct vidur_block_runs *runs, int32_t blocks);

/* How many of a prompt's blocks are cached one behind the other, from index `from` to
 * before `until`; `extents`: what they are, or NULL. The chain has not gone beyond the
 * block `from`, and goes on to the last segment that has been looked at. */
int32_t vidur_block_runs_match(const struct vidur_block_runs *runs,
                               struct vidur_prompt_chain *chain, int32_t from,
                               int32_t until, struct vidur_block_extent *extents);

/* The segment's blocks from that index to before `until` that are cached as one run; of
 * no blocks: the first of them is not. */
struct vidur_block_extent vidur_block_runs_at(const struct vidur_block_runs *runs,
                                              uint64_t segment, int32_t index,
                                              int32_t until);

/* ---- What one holder has: a prompt's blocks from some first index on ---- */

struct vidur_holding {
    struct vidur_block_extent *extents; /* caller-owned, for as many as blocks */
    int32_t num_extents;
    int32_t listed; /* the index behind the extents' blocks; what it has besides, which
                       caches nothing, its owner counts */
};

/* Holds cached blocks, too, that have been found at the index `listed`. */
void vidur_holding_add(struct vidur_block_runs *runs, struct vidur_holding *holding,
                       const struct vidur_block_extent *extent);

/* Says that the blocks from index `listed` to before `until` cache the segment's, as
 * far as to the first that is cached already. Returns how many. They may be taken after
 * that. */
int32_t vidur_holding_name_new(struct vidur_block_runs *runs,
                               struct vidur_holding *holding, uint64_t segment,
                               int32_t until);
/* The same for all of them; those that are cached already cache nothing here. The chain
 * goes on to the last block's segment. */
void vidur_holding_name(struct vidur_block_runs *runs, struct vidur_holding *holding,
                        struct vidur_prompt_chain *chain, int32_t until);

/* Says that what the blocks from that index on should cache was never computed. */
void vidur_holding_forget(struct vidur_block_runs *runs,
                          const struct vidur_holding *holding, int32_t from);

/* Gives up all blocks to before the index `held`: they join the queue's end last one
 * first, so that a prompt's tail is evicted before its head. */
void vidur_holding_release(struct vidur_block_runs *runs, struct vidur_holding *holding,
                           int32_t held);

#endif
