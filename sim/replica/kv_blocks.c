#include "replica/block_store.h"
#include "replica/replica.h"

void vidur_take_blocks(struct vidur_replica *replica, int32_t request, int64_t count)
{
    int32_t *held = &replica->requests->blocks[request];
    if (*held == 0)
        replica->num_holders++;
    *held += (int32_t)count;
    if (replica->store)
        vidur_block_store_grow(replica->store, (int32_t)count);
    vidur_blocks_change(replica, count);
}

void vidur_release_blocks(struct vidur_replica *replica, int32_t request)
{
    int32_t *held = &replica->requests->blocks[request];
    if (*held == 0)
        return;
    replica->num_holders--;
    int64_t freed = *held;
    if (replica->store) { /* what others share stays */
        const int32_t before = replica->store->runs.num_free;
        const bool prefilled = vidur_request_is_prefilled(replica, request);
        /* n counts the last token, whose key and value come with the next */
        vidur_block_store_release(replica->store, request, *held,
                                  replica->requests->processed_tokens[request] -
                                      prefilled);
        freed = replica->store->runs.num_free - before;
    }
    vidur_blocks_change(replica, -freed);
    *held = 0;
}

uint32_t vidur_release_mark(const struct vidur_replica *replica)
{
    return replica->store ? replica->store->runs.num_releases : 0;
}

int64_t vidur_prompt_blocks(const struct vidur_replica *replica, int32_t request,
                            uint32_t mark)
{
    const int32_t prompt = replica->requests->prefill_tokens[request];
    const int64_t blocks = vidur_blocks_for(replica, prompt);
    if (!replica->store)
        return blocks;
    const struct vidur_prefix_hit hit =
        vidur_block_store_find(replica->store, request, prompt, mark);
    return blocks - (hit.blocks - hit.unheld);
}

/* The store has taken the prompt's blocks, which were `before`; so many are not to be
 * computed. */
static void hold_prompt(struct vidur_replica *replica, int32_t request, int32_t hits,
                        int64_t before)
{
    struct vidur_request_table *table = replica->requests;
    table->processed_tokens[request] = hits * replica->block_size;
    replica->tokens_left -= table->processed_tokens[request];
    if (table->cached_tokens && table->num_restarts[request] == 0)
        table->cached_tokens[request] = table->processed_tokens[request];
    table->blocks[request] =
        (int32_t)vidur_blocks_for(replica, table->prefill_tokens[request]);
    replica->num_holders++;
    vidur_blocks_change(replica, vidur_block_store_allocated(replica->store) - before);
}

void vidur_take_prompt(struct vidur_replica *replica, int32_t request)
{
    const int32_t prompt = replica->requests->prefill_tokens[request];
    if (!replica->store) {
        vidur_take_blocks(replica, request, vidur_blocks_for(replica, prompt));
        return;
    }
    const int64_t before = vidur_block_store_allocated(replica->store);
    hold_prompt(replica, request,
                vidur_block_store_admit(replica->store, request, prompt), before);
}

bool vidur_load_prompt(struct vidur_replica *replica, int32_t request)
{
    struct vidur_block_store *store = replica->store;
    const int32_t prompt = replica->requests->prefill_tokens[request];
    const int64_t before = vidur_block_store_allocated(store);
    const int32_t there = vidur_block_store_find_on_host(store, request, prompt);
    const int32_t hits = there > 0
                             ? vidur_block_store_admit_to_load(store, request, prompt)
                             : vidur_block_store_admit(store, request, prompt);
    store->num_host_hit_tokens += (int64_t)there * replica->block_size;
    hold_prompt(replica, request, hits + there, before);
    if (there > 0) {
        vidur_block_store_keep_on_host(store, request, hits, hits + there);
        vidur_host_tier_load(store->host, replica, request, there);
    }
    return there > 0;
}

/* Evicts the last running request. */
static void evict_last(struct vidur_replica *replica)
{
    int32_t item = vidur_running_pop_last(replica);
    if (vidur_item_is_group(item)) {
        vidur_running_push_back(replica, item);
        vidur_running_unpack_all(replica);
        item = vidur_running_pop_last(replica);
    }
    vidur_request_restart(replica, item);
}

bool vidur_evict_for(struct vidur_replica *replica, struct vidur_batch *batch,
                     int32_t request)
{
    while (vidur_free_blocks(replica) < 1) {
        batch->blocked = true;
        if (vidur_running_count(replica) == 0) {
            vidur_request_restart(replica, request);
            return false;
        }
        evict_last(replica);
    }
    return true;
}
