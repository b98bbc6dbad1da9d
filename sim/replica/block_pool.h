#ifndef VIDUR_BLOCK_POOL_H
#define VIDUR_BLOCK_POOL_H

#include <stddef.h>
#include <stdint.h>

/*
 * KV blocks with identities: reference counts, a queue of free blocks, and a cache of
 * prompt blocks by hash. Source: ENGINE.md section 2.
 *
 * A block that nobody holds waits in the queue and keeps what it cached until it is
 * taken from the queue's front; a request that wants its content takes it out again. So
 * the free blocks are the prefix cache, evicted least recently used first.
 *
 * Plain data over caller-owned memory; no allocation, no errors: taking from an empty
 * queue gives VIDUR_NO_BLOCK. All operations cost O(1) expected. Not thread-safe.
 */

enum { VIDUR_NO_BLOCK = -1 };

struct vidur_block {
    uint64_t hash; /* of the prompt up to and with this block; 0: nothing cached */
    int32_t holders;
    int32_t previous, next;  /* in the queue of free blocks */
    uint32_t released_after; /* this many releases */
};

struct vidur_block_pool {
    struct vidur_block *blocks; /* num_blocks and, last, the queue's sentinel */
    int32_t *slots;             /* hash table: block or VIDUR_NO_BLOCK */
    uint64_t slot_mask;
    int32_t num_blocks;
    int32_t num_free;
    int64_t num_hits;      /* blocks found in the cache and held again */
    int64_t num_evictions; /* cached blocks taken for something else */
    uint32_t num_releases; /* calls, modulo 2^32 */
};

/* Bytes of memory that a pool of that many blocks wants, 8-byte aligned. */
size_t vidur_block_pool_bytes(int32_t num_blocks);

/* All blocks free and nothing cached; also resets a pool in place. */
void vidur_block_pool_init(struct vidur_block_pool *pool, void *memory,
                           int32_t num_blocks);

/* The chained hash of a block with that content behind a prefix; never 0. The first
 * block's prefix is 0. */
uint64_t vidur_block_hash(uint64_t prefix, uint64_t content, uint64_t index);

/* The block that caches `hash`, held or free, or VIDUR_NO_BLOCK. */
int32_t vidur_block_pool_find(const struct vidur_block_pool *pool, uint64_t hash);

/* One more holder for a block that was found. */
void vidur_block_pool_hold(struct vidur_block_pool *pool, int32_t block);

/* Takes the block at the queue's front, which forgets what it cached. */
int32_t vidur_block_pool_take(struct vidur_block_pool *pool);

/* Says what a held block caches. A hash that another block has stays with that one. */
void vidur_block_pool_name(struct vidur_block_pool *pool, int32_t block, uint64_t hash);

/* Says that a held block's content was never computed; nothing where it is nameless. */
void vidur_block_pool_forget(struct vidur_block_pool *pool, int32_t block);

/* Gives up `count` blocks of one holder, in its order: they join the queue's end last
 * one first, so that a prompt's tail is evicted before its head. */
void vidur_block_pool_release(struct vidur_block_pool *pool, const int32_t *blocks,
                              int32_t count);

#endif
