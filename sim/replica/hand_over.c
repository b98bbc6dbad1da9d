#include "replica/hand_over.h"
#include "replica/block_store.h"

/* ---- Lists, linked by `next` of the table of requests ---- */

static void append(const struct vidur_request_table *table, int32_t *head,
                   int32_t *tail, int32_t request)
{
    table->next[request] = VIDUR_NO_REQUEST;
    if (*head == VIDUR_NO_REQUEST)
        *head = request;
    else
        table->next[*tail] = request;
    *tail = request;
}

static int32_t take_first(const struct vidur_request_table *table, int32_t *head)
{
    const int32_t request = *head;
    if (request != VIDUR_NO_REQUEST)
        *head = table->next[request];
    return request;
}

/* ---- Leaving ---- */

void vidur_request_depart(struct vidur_replica *replica, int32_t request)
{
    append(replica->requests, &replica->departed_head, &replica->departed_tail,
           request);
    replica->num_holders--;
    replica->account->num_departed++;
    replica->tokens_left -= vidur_tokens_left(replica->requests, request);
}

int32_t vidur_departed_pop(struct vidur_replica *replica)
{
    return take_first(replica->requests, &replica->departed_head);
}

void vidur_release_departed(struct vidur_replica *replica, int32_t request,
                            int32_t held)
{
    int64_t freed = held;
    if (replica->store) { /* what others share stays, and the prompt is cached */
        const int32_t before = replica->store->runs.num_free;
        vidur_block_store_release(replica->store, request, held,
                                  replica->requests->prefill_tokens[request]);
        freed = replica->store->runs.num_free - before;
    }
    vidur_blocks_change(replica, -freed);
}

/* ---- Coming ---- */

bool vidur_can_load(const struct vidur_replica *replica, int32_t request,
                    int64_t watermark_blocks, int64_t seats)
{
    const int64_t blocks =
        vidur_blocks_for(replica, replica->requests->processed_tokens[request]);
    return replica->queue_length == 0 && replica->num_holders < seats &&
           vidur_free_blocks(replica) - replica->reserved_blocks - blocks >=
               watermark_blocks;
}

int32_t vidur_begin_load(struct vidur_replica *replica, int32_t request)
{
    struct vidur_request_table *table = replica->requests;
    const int32_t held = table->blocks[request];
    table->blocks[request] = 0;
    vidur_take_blocks(replica, request,
                      vidur_blocks_for(replica, table->processed_tokens[request]));
    return held;
}

void vidur_loaded_push(struct vidur_replica *replica, int32_t request)
{
    append(replica->requests, &replica->loaded_head, &replica->loaded_tail, request);
}

void vidur_end_load(struct vidur_replica *replica, int32_t request)
{
    struct vidur_request_table *table = replica->requests;
    replica->tokens_left -= vidur_tokens_left(table, request);
    if (!vidur_request_is_prefilled(replica, request))
        table->processed_tokens[request] = table->prefill_tokens[request] - 1;
    replica->tokens_left += vidur_tokens_left(table, request);
    vidur_loaded_push(replica, request);
    replica->account->num_loaded++;
    replica->num_coming--;
    /* The way here is no preemption: only what follows may be. */
    table->preempted_ticks[request] -=
        vidur_ticks(replica->now_s - table->last_done_s[request]);
}

int32_t vidur_loaded_pop(struct vidur_replica *replica, double until_s)
{
    if (vidur_loaded_since_s(replica) > until_s)
        return VIDUR_NO_REQUEST;
    const int32_t request = take_first(replica->requests, &replica->loaded_head);
    if (request != VIDUR_NO_REQUEST && replica->has_host) /* others find it, too */
        vidur_block_store_loaded(replica->store, request,
                                 replica->requests->prefill_tokens[request]);
    return request;
}
