#include "replica/host_tier.h"

#include "replica/block_store.h"
#include "replica/hand_over.h"

size_t vidur_host_tier_bytes(const struct vidur_host_tier_sizes *sizes,
                             int32_t blocks_per_request)
{
    if (sizes->num_blocks == 0)
        return 0;
    return vidur_arena_bytes(1, sizeof(struct vidur_host_tier)) +
           vidur_arena_bytes(vidur_block_pool_bytes(sizes->num_blocks), 1) +
           vidur_arena_bytes((size_t)blocks_per_request, sizeof(uint64_t));
}

struct vidur_host_tier *vidur_host_tier_new(struct vidur_arena *arena,
                                            const struct vidur_host_tier_sizes *sizes,
                                            int32_t blocks_per_request)
{
    if (sizes->num_blocks == 0)
        return NULL;
    struct vidur_host_tier *tier = vidur_arena_alloc(arena, 1, sizeof *tier);
    *tier = (struct vidur_host_tier){
        .block_s = sizes->block_s,
        .loading_head = VIDUR_NO_REQUEST,
        .loading_tail = VIDUR_NO_REQUEST,
        .hashes =
            vidur_arena_alloc(arena, (size_t)blocks_per_request, sizeof(uint64_t))};
    vidur_block_pool_init(
        &tier->pool,
        vidur_arena_alloc(arena, vidur_block_pool_bytes(sizes->num_blocks), 1),
        sizes->num_blocks);
    return tier;
}

void vidur_host_tier_keep(struct vidur_host_tier *tier, int32_t count)
{
    for (int32_t i = count; i-- > 0;) {
        int32_t block = vidur_block_pool_find(&tier->pool, tier->hashes[i]);
        if (block == VIDUR_NO_BLOCK) {
            block = vidur_block_pool_take(&tier->pool);
            vidur_block_pool_name(&tier->pool, block, tier->hashes[i]);
        } else {
            vidur_block_pool_hold(&tier->pool, block);
        }
        vidur_block_pool_release(&tier->pool, &block, 1);
    }
}

void vidur_host_tier_load(struct vidur_host_tier *tier, struct vidur_replica *replica,
                          int32_t request, int32_t blocks)
{
    int32_t *next = replica->requests->next;
    const double time_s = blocks * tier->block_s;
    vidur_host_tier_keep(tier, blocks);
    tier->link_free_at_s = fmax(replica->now_s, tier->link_free_at_s) + time_s;
    tier->loaded_at_s[request] = tier->link_free_at_s;
    tier->num_loads++;
    tier->num_blocks_loaded += blocks;
    tier->busy_s += time_s;
    tier->waited_s += tier->link_free_at_s - replica->now_s;
    next[request] = VIDUR_NO_REQUEST;
    if (tier->loading_head == VIDUR_NO_REQUEST)
        tier->loading_head = request;
    else
        next[tier->loading_tail] = request;
    tier->loading_tail = request;
}

double vidur_next_load_s(const struct vidur_replica *replica)
{
    const struct vidur_host_tier *tier = replica->store ? replica->store->host : NULL;
    if (!tier || tier->loading_head == VIDUR_NO_REQUEST)
        return INFINITY;
    return tier->loaded_at_s[tier->loading_head];
}

bool vidur_end_loads(struct vidur_replica *replica, double now_s)
{
    bool just_now = false;
    for (double end_s; (end_s = vidur_next_load_s(replica)) <= now_s;) {
        struct vidur_host_tier *tier = replica->store->host;
        const int32_t request = tier->loading_head;
        tier->loading_head = replica->requests->next[request];
        vidur_loaded_push(replica, request);
        just_now |= end_s == now_s;
    }
    return just_now;
}
