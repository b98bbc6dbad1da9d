#include "replica/host_tier.h"

#include "replica/block_store.h"
#include "replica/hand_over.h"

size_t vidur_host_tier_bytes(const struct vidur_host_tier_sizes *sizes,
                             int32_t blocks_per_request)
{
    if (sizes->num_blocks == 0)
        return 0;
    return vidur_arena_bytes(1, sizeof(struct vidur_host_tier)) +
           vidur_arena_bytes(vidur_block_runs_bytes(sizes->num_blocks), 1) +
           vidur_arena_bytes((size_t)blocks_per_request,
                             sizeof(struct vidur_block_extent));
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
        .using.extents = vidur_arena_alloc(arena, (size_t)blocks_per_request,
                                           sizeof(struct vidur_block_extent))};
    vidur_block_runs_init(
        &tier->runs,
        vidur_arena_alloc(arena, vidur_block_runs_bytes(sizes->num_blocks), 1),
        sizes->num_blocks);
    return tier;
}

/* Where there is no room for all, those used first, the prompt's last, are gone in the
 * end. */
void vidur_host_tier_keep(struct vidur_host_tier *tier,
                          struct vidur_prompt_chain *chain, int32_t from, int32_t until)
{
    struct vidur_block_runs *runs = &tier->runs;
    struct vidur_holding *using = &tier->using;
    if (until - from > runs->num_blocks)
        until = from + runs->num_blocks;
    using->listed = from;
    while (using->listed < until) {
        vidur_prompt_chain_reach(chain, using->listed);
        const int32_t end = until < chain->end ? until : chain->end;
        const struct vidur_block_extent extent =
            vidur_block_runs_at(runs, chain->segment, using->listed, end);
        if (extent.blocks > 0)
            vidur_holding_add(runs, using, &extent);
        else
            vidur_block_runs_take(
                runs, vidur_holding_name_new(runs, using, chain->segment, end));
    }
    vidur_holding_release(runs, using, until);
}

void vidur_host_tier_load(struct vidur_host_tier *tier, struct vidur_replica *replica,
                          int32_t request, int32_t blocks)
{
    int32_t *next = replica->requests->next;
    const double time_s = blocks * tier->block_s;
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
