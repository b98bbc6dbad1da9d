#include "replica/block_pool.h"

/* At least one for each block. */
static uint64_t num_slots(int32_t num_blocks)
{
    uint64_t slots = 2;
    while (slots < (uint64_t)num_blocks)
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

static int32_t *slot_of(const struct vidur_block_pool *pool, uint64_t hash)
{
    return &pool->slots[hash & pool->slot_mask];
}

int32_t vidur_block_pool_find(const struct vidur_block_pool *pool, uint64_t hash)
{
    int32_t block = *slot_of(pool, hash);
    while (block != VIDUR_NO_BLOCK && pool->blocks[block].hash != hash)
        block = pool->blocks[block].next_in_slot;
    return block;
}

static inline void forget(struct vidur_block_pool *pool, int32_t block)
{
    struct vidur_block *b = &pool->blocks[block];
    int32_t *link = slot_of(pool, b->hash);
    while (*link != block)
        link = &pool->blocks[*link].next_in_slot;
    *link = b->next_in_slot;
    b->hash = 0;
}

void vidur_block_pool_forget(struct vidur_block_pool *pool, int32_t block)
{
    if (!pool->blocks[block].hash)
        return;
    forget(pool, block);
    pool->num_forgotten++;
}

int32_t vidur_block_pool_take(struct vidur_block_pool *pool)
{
    if (pool->num_free == 0)
        return VIDUR_NO_BLOCK;
    struct vidur_block *queue = &pool->blocks[pool->num_blocks];
    const int32_t block = queue->next;
    struct vidur_block *b = &pool->blocks[block];
    queue->next = b->next;
    pool->blocks[b->next].previous = pool->num_blocks;
    pool->num_free--;
    if (b->hash) {
        forget(pool, block);
        pool->num_evictions++;
    }
    pool->taken_after = b->released_after;
    b->holders = 1;
    return block;
}

void vidur_block_pool_name(struct vidur_block_pool *pool, int32_t block, uint64_t hash)
{
    if (vidur_block_pool_find(pool, hash) != VIDUR_NO_BLOCK)
        return;
    int32_t *first = slot_of(pool, hash);
    pool->blocks[block].hash = hash;
    pool->blocks[block].next_in_slot = *first;
    *first = block;
}

int32_t vidur_block_pool_release(struct vidur_block_pool *pool, const int32_t *blocks,
                                 int32_t count)
{
    struct vidur_block *const all = pool->blocks;
    const int32_t sentinel = pool->num_blocks;
    const uint32_t now = pool->num_releases;
    struct vidur_block *behind = &all[sentinel], *tail = &all[behind->previous];
    int32_t last = behind->previous, freed = 0, named = 0;
    for (int64_t i = count - 1; i >= 0; i--) {
        const int32_t block = blocks[i];
        struct vidur_block *b = &all[block];
        behind->before = block;
        behind = b;
        named += b->hash != 0;
        if (--b->holders > 0)
            continue;
        b->released_after = now;
        b->previous = last;
        tail->next = block;
        tail = b;
        last = block;
        freed++;
    }
    tail->next = sentinel;
    all[sentinel].previous = last;
    pool->num_free += freed;
    pool->num_releases = now + 1;
    return named;
}
