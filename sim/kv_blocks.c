#include "replica.h"

void vidur_take_blocks(struct vidur_replica *replica, int32_t request, int64_t count)
{
    int32_t *held = &replica->requests->blocks[request];
    if (*held == 0)
        replica->num_holders++;
    *held += (int32_t)count;
    vidur_blocks_change(replica, count);
}

void vidur_grow_blocks(struct vidur_replica *replica, int32_t request)
{
    const struct vidur_request_table *table = replica->requests;
    if (table->processed_tokens[request] >
        (int64_t)table->blocks[request] * replica->block_size)
        vidur_take_blocks(replica, request, 1);
}

void vidur_release_blocks(struct vidur_replica *replica, int32_t request)
{
    int32_t *held = &replica->requests->blocks[request];
    if (*held == 0)
        return;
    replica->num_holders--;
    vidur_blocks_change(replica, -*held);
    *held = 0;
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

bool vidur_make_room(struct vidur_replica *replica, struct vidur_batch *batch,
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
    vidur_grow_blocks(replica, request);
    return true;
}
