#include "drive/run.h"

#include "replica/block_store.h"
#include "steps/mfu.h"

#include <assert.h>

/* What observers see, and the checks of debug builds. */

int vidur_run_observe_batch(struct vidur_run *run, const struct vidur_server *server,
                            const struct vidur_live_batch *batch, int stage)
{
    const struct vidur_observer *observer = run->options->observer;
    const struct vidur_pool_model *pool = server->pool;
    const bool last = stage == server->pipeline.num_stages - 1;
    for (int32_t i = 0; i < batch->seen.num_members; i++)
        run->observed_ids[i] = batch->seen.member[i];
    double parts_s[VIDUR_NUM_STEP_PARTS];
    if (pool->step_ops->parts)
        pool->step_ops->parts(pool->step_model, &server->replica, batch,
                              server->pipeline.kinds[stage], parts_s);
    const struct vidur_batch_record record = {
        .batch_id = batch->seen.id,
        .replica = server->replica.index,
        .seat = server->replica.seat,
        .stage = stage,
        .last_stage = last,
        .scheduled_at_s = batch->scheduled_at_s,
        .started_at_s = batch->stage_at_s,
        .ended_at_s = server->replica.now_s,
        .execution_time_s = vidur_stage_s(&server->pipeline, batch, stage),
        .size = batch->seen.count,
        .num_tokens = batch->seen.num_tokens,
        .num_prefill_tokens = batch->seen.num_prefill_tokens,
        .num_decode_tokens = batch->seen.num_tokens - batch->seen.num_prefill_tokens,
        .num_decodes = batch->seen.num_decodes,
        .num_prefills = batch->seen.num_prefills,
        .decode_context_tokens = batch->decode_context_tokens,
        .prefill_context_tokens = batch->prefill_context_tokens,
        .prefill_chunk_squares = batch->prefill_chunk_squares,
        .step_parts_s = pool->step_ops->parts ? parts_s : NULL,
        .flops = vidur_stage_flops(pool->deployment, batch->seen.num_tokens,
                                   batch->attention_tokens_squared),
        .allocated_blocks = batch->blocks_at_start,
        .num_waiting = batch->waiting_at_start,
        .request_ids = run->observed_ids,
        .request_tokens = batch->seen.member_tokens};
    if (observer->batch(observer->context, &record))
        return vidur_fail(run->err, VIDUR_EINTR, "the observer stopped the run");
    return 0;
}

#ifndef NDEBUG

enum { CHECK_ALL = 2048, CHECK_EVERY = 1024 };

static int64_t count_running(const struct vidur_server *server)
{
    const struct vidur_replica *replica = &server->replica;
    int64_t count = 0;
    for (int32_t i = replica->running_begin; i < replica->running_end; i++)
        count += vidur_item_is_group(replica->running[i])
                     ? replica->groups[~replica->running[i]].count
                     : 1;
    return count;
}

static bool slot_is_free(const struct vidur_pipeline *pipeline, int32_t slot)
{
    for (int32_t i = 0; i < pipeline->num_free; i++)
        if (pipeline->free_slots[i] == slot)
            return true;
    return false;
}

/* Members that are in the running list or another batch, too. */
static int64_t count_chained(const struct vidur_run *run,
                             const struct vidur_server *server,
                             const struct vidur_batch *batch)
{
    int64_t count = 0;
    if (!server->pool->ops->chains_chunks || server->pipeline.num_slots == 1)
        return 0;
    for (int32_t i = 0; i < batch->num_members; i++)
        count += batch->member_prefix[i] + batch->member_tokens[i] <
                 run->requests.prefill_tokens[batch->member[i]];
    return count;
}

static int64_t count_in_flight(const struct vidur_run *run,
                               const struct vidur_server *server)
{
    int64_t count = 0;
    for (int32_t slot = 0; slot < server->pipeline.num_slots; slot++) {
        const struct vidur_batch *batch = &server->pipeline.batches[slot].seen;
        if (!slot_is_free(&server->pipeline, slot))
            count += batch->count - count_chained(run, server, batch);
    }
    return count;
}

/* Of those in a holder's list the blocks that nobody else has. */
static int64_t count_nameless(const struct vidur_holding *holding)
{
    int64_t count = 0;
    for (int32_t i = 0; i < holding->num_extents; i++)
        if (holding->extents[i].run == VIDUR_NO_RUN)
            count += holding->extents[i].blocks;
    return count;
}

/* Shared blocks count once for the replica, but for each of their holders. */
static void check_store(const struct vidur_replica *replica)
{
    const struct vidur_block_runs *runs = &replica->store->runs;
    int64_t listed = 0, holders = 0, queued = 0;
    for (int32_t i = 1; i < runs->num_made; i++)
        holders += (int64_t)runs->runs[i].holders * runs->runs[i].blocks;
    for (int32_t i = runs->runs[0].next; i != 0; i = runs->runs[i].next)
        queued += runs->runs[i].blocks;
    for (int64_t i = 0; i < replica->requests->count; i++) {
        const int32_t slot = replica->store->slot_of[i];
        if (slot < 0)
            continue;
        const struct vidur_holding *holding = &replica->store->slots[slot].holding;
        holders += count_nameless(holding);
        listed += holding->listed;
        /* where it departs, the table may count those of the next */
        assert(replica->hands_over || holding->listed <= replica->requests->blocks[i]);
    }
    assert(replica->allocated_blocks == vidur_block_store_allocated(replica->store));
    assert(queued == runs->num_free);
    assert(holders == listed);
}

/* Those whose KV cache has come, and those whose blocks are coming from the host. */
static int64_t count_loaded(const struct vidur_server *server)
{
    const struct vidur_replica *replica = &server->replica;
    int64_t count = 0;
    for (int32_t i = replica->loaded_head; i != VIDUR_NO_REQUEST;
         i = replica->requests->next[i])
        count++;
    for (int32_t i = replica->has_host ? replica->store->host->loading_head
                                       : VIDUR_NO_REQUEST;
         i != VIDUR_NO_REQUEST; i = replica->requests->next[i])
        count++;
    return count;
}

void vidur_run_check_conservation(const struct vidur_run *run)
{
    int64_t requests = 0, routed = 0, allocated = 0, held = 0;
    if (run->requests.count > CHECK_ALL && run->events.next_id % CHECK_EVERY)
        return;
    for (int32_t i = 0; i < run->num_ranks; i++) {
        const struct vidur_server *server = &run->servers[i];
        routed += server->replica.account->num_assigned;
        allocated += server->replica.allocated_blocks;
        assert(server->replica.allocated_blocks <= server->replica.num_blocks);
        requests += server->replica.queue_length + count_running(server) +
                    count_in_flight(run, server) + count_loaded(server) +
                    server->replica.account->num_completed +
                    server->replica.account->num_departed;
        routed += server->replica.account->num_loaded;
    }
    /* Such a scheduler keeps requests and blocks of its own between iterations. */
    for (int i = 0; i < run->num_pools; i++)
        if (run->pools[i].ops->keeps_blocks)
            return;
    assert(requests == routed);
    bool any_store = false;
    for (int32_t i = 0; i < run->num_ranks; i++)
        if (run->servers[i].replica.store) {
            check_store(&run->servers[i].replica);
            any_store = true;
        }
    if (any_store)
        return;
    for (int64_t i = 0; i < run->requests.count; i++) {
        held += run->requests.blocks[i];
        if (run->onward.num_servers > 0)
            held += run->transfers.held[i];
    }
    assert(held == allocated);
}

#endif
