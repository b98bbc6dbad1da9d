#include "replica/block_pool.h"

static uint64_t num_slots(int32_t num_blocks)
{
    uint64_t slots = 2;
    while (slots < 2 * (uint64_t)num_blocks)
        slots *= 2;
    return slots;
}

size_t vidur_block_pool_bytes(int32_t num_blocks)
{
    size_t blocks = ((size_t)num_blocks + 1) * sizeof(struct vidur_block);
    return blocks + num_slots(num_blocks) * sizeof(int32_t);
}

void vidur_block_pool_init(struct vidur_block_pool *pool, void *memory,
                           int32_t num_blocks)
{
    uint64_t slots = num_slots(num_blocks);
    *pool = (struct vidur_block_pool){.blocks = memory,
                                      .slot_mask = slots - 1,
                                      .num_blocks = num_blocks,
                                      .num_free = num_blocks};
    pool->slots = (int32_t *)(pool->blocks + num_blocks + 1);
    for (uint64_t i = 0; i < slots; i++)
        pool->slots[i] = VIDUR_NO_BLOCK;
    for (int32_t i = 0; i <= num_blocks; i++)
        pool->blocks[i] = (struct vidur_block){.previous = i == 0 ? num_blocks : i - 1,
                                               .next = i == num_blocks ? 0 : i + 1};
}

uint64_t vidur_block_hash(uint64_t prefix, uint64_t content, uint64_t index)
{
    /* splitmix64's finaliser over a combination that keeps order apart */
    uint64_t h = prefix * 0x9e3779b97f4a7c15u + content;
    h = (h ^ (h >> 30)) * 0xbf58476d1ce4e5b9u + index;
    h = (h ^ (h >> 27)) * 0x94d049bb133111ebu;
    h ^= h >> 31;
    return h ? h : 1;
}

/* The slot that holds `hash`, or the empty one where the search for it ends. */
static uint64_t slot_of(const struct vidur_block_pool *pool, uint64_t hash)
{
    uint64_t slot = hash & pool->slot_mask;
    while (pool->slots[slot] != VIDUR_NO_BLOCK &&
           pool->blocks[pool->slots[slot]].hash != hash)
        slot = (slot + 1) & pool->slot_mask;
    return slot;
}

int32_t vidur_block_pool_find(const struct vidur_block_pool *pool, uint64_t hash)
{
    return pool->slots[slot_of(pool, hash)];
}

/* Linear probing without tombstones: entries behind the hole move up where they may. */
static void forget(struct vidur_block_pool *pool, int32_t block)
{
    uint64_t hole = slot_of(pool, pool->blocks[block].hash);
    uint64_t slot = hole;
    for (;;) {
        slot = (slot + 1) & pool->slot_mask;
        if (pool->slots[slot] == VIDUR_NO_BLOCK)
            break;
        uint64_t home = pool->blocks[pool->slots[slot]].hash & pool->slot_mask;
        if (((slot - home) & pool->slot_mask) >= ((slot - hole) & pool->slot_mask)) {
            pool->slots[hole] = pool->slots[slot];
            hole = slot;
        }
    }
    pool->slots[hole] = VIDUR_NO_BLOCK;
    pool->blocks[block].hash = 0;
}

void vidur_block_pool_forget(struct vidur_block_pool *pool, int32_t block)
{
    if (pool->blocks[block].hash)
        forget(pool, block);
}

static void unlink_free(struct vidur_block_pool *pool, int32_t block)
{
    struct vidur_block *b = &pool->blocks[block];
    pool->blocks[b->previous].next = b->next;
    pool->blocks[b->next].previous = b->previous;
    pool->num_free--;
}

void vidur_block_pool_hold(struct vidur_block_pool *pool, int32_t block)
{
    if (pool->blocks[block].holders++ == 0)
        unlink_free(pool, block);
    pool->num_hits++;
}

int32_t vidur_block_pool_take(struct vidur_block_pool *pool)
{
    if (pool->num_free == 0)
        return VIDUR_NO_BLOCK;
    int32_t block = pool->blocks[pool->num_blocks].next;
    unlink_free(pool, block);
    if (pool->blocks[block].hash) {
        forget(pool, block);
        pool->num_evictions++;
    }
    pool->blocks[block].holders = 1;
    return block;
}

void vidur_block_pool_name(struct vidur_block_pool *pool, int32_t block, uint64_t hash)
{
    uint64_t slot = slot_of(pool, hash);
    if (pool->slots[slot] != VIDUR_NO_BLOCK)
        return;
    pool->slots[slot] = block;
    pool->blocks[block].hash = hash;
}

void vidur_block_pool_release(struct vidur_block_pool *pool, const int32_t *blocks,
                              int32_t count)
{
    int32_t sentinel = pool->num_blocks;
    for (int32_t i = count - 1; i >= 0; i--) {
        struct vidur_block *b = &pool->blocks[blocks[i]];
        if (--b->holders > 0)
            continue;
        b->released_after = pool->num_releases;
        b->previous = pool->blocks[sentinel].previous;
        b->next = sentinel;
        pool->blocks[b->previous].next = blocks[i];
        pool->blocks[sentinel].previous = blocks[i];
        pool->num_free++;
    }
    pool->num_releases++;
}
