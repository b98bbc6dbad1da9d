#ifndef VIDUR_BLOCK_POOL_H
#define VIDUR_BLOCK_POOL_H

#include <stdbool.h>
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
    int32_t next_in_slot;    /* of the hash table; VIDUR_NO_BLOCK: the last */
    int32_t before;          /* the one before it when it was released last */
};

struct vidur_block_pool {
    struct vidur_block *blocks; /* num_blocks and, last, the queue's sentinel */
    int32_t *slots;             /* hash table: the first block, or VIDUR_NO_BLOCK */
    uint64_t slot_mask;
    int32_t num_blocks;
    int32_t num_free;
    int64_t num_hits;      /* blocks found in the cache and held again */
    int64_t num_evictions; /* cached blocks taken for something else */
    int64_t num_forgotten; /* that were not computed */
    uint32_t num_releases; /* calls, modulo 2^32 */
    uint32_t taken_after;  /* released_after of the block taken last */
};

/* Bytes of memory that a pool of that many blocks wants, 8-byte aligned. */
size_t vidur_block_pool_bytes(int32_t num_blocks);

/* All blocks free and nothing cached; also resets a pool in place. */
void vidur_block_pool_init(struct vidur_block_pool *pool, void *memory,
                           int32_t num_blocks);

/* The chained hash of a block with that content behind a prefix; never 0. The first
 * block's prefix is 0. */
static inline uint64_t vidur_block_hash(uint64_t prefix, uint64_t content,
                                        uint64_t index)
{
    /* splitmix64's finaliser over a combination that keeps order apart */
    uint64_t h = prefix * 0x9e3779b97f4a7c15u + content;
    h = (h ^ (h >> 30)) * 0xbf58476d1ce4e5b9u + index;
    h = (h ^ (h >> 27)) * 0x94d049bb133111ebu;
    h ^= h >> 31;
    return h ? h : 1;
}

/* The block that caches `hash`, held or free, or VIDUR_NO_BLOCK. */
int32_t vidur_block_pool_find(const struct vidur_block_pool *pool, uint64_t hash);

static inline void vidur_block_pool_unlink(struct vidur_block_pool *pool, int32_t block)
{
    const struct vidur_block *b = &pool->blocks[block];
    pool->blocks[b->previous].next = b->next;
    pool->blocks[b->next].previous = b->previous;
    pool->num_free--;
}

/* One more holder for a block that was found. */
static inline void vidur_block_pool_hold(struct vidur_block_pool *pool, int32_t block)
{
    if (pool->blocks[block].holders++ == 0)
        vidur_block_pool_unlink(pool, block);
    pool->num_hits++;
}

/* Takes the block at the queue's front, which forgets what it cached. */
int32_t vidur_block_pool_take(struct vidur_block_pool *pool);

/* Says what a held block caches. A hash that another block has stays with that one. */
void vidur_block_pool_name(struct vidur_block_pool *pool, int32_t block, uint64_t hash);

/* Says that a held block's content was never computed; nothing where it is nameless. */
void vidur_block_pool_forget(struct vidur_block_pool *pool, int32_t block);

/* Gives up `count` blocks of one holder, in its order: they join the queue's end last
 * one first, so that a prompt's tail is evicted before its head. Returns how many of
 * them have names. */
int32_t vidur_block_pool_release(struct vidur_block_pool *pool, const int32_t *blocks,
                                 int32_t count);

/* Whether blocks that had names when they were released after so many releases have
 * them still, all of them: none released then or later has been taken from the queue,
 * which is in the order of releases, and none has been forgotten since `num_forgotten`
 * were. */
static inline bool vidur_block_pool_keeps(const struct vidur_block_pool *pool,
                                          uint32_t released_after,
                                          int64_t num_forgotten)
{
    return (int32_t)(released_after - pool->taken_after) > 0 &&
           num_forgotten == pool->num_forgotten;
}

#endif
