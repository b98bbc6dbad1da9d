#include "replica/block_store.h"
#include "replica/hand_over.h"
#include "replica/replica.h"
#include "replica/slo_watch.h"

#include <assert.h>
#include <math.h>

/* ---- Forming ---- */

size_t vidur_batch_bytes(int32_t capacity)
{
    const size_t n = (size_t)capacity;
    return 3 * vidur_arena_bytes(n, sizeof(int32_t)) +
           vidur_arena_bytes(n + 1, sizeof(struct vidur_batch_gap));
}

void vidur_batch_init(struct vidur_live_batch *batch, struct vidur_arena *arena,
                      int32_t capacity)
{
    const size_t n = (size_t)capacity;
    *batch = (struct vidur_live_batch){.seen.capacity = capacity,
                                       .seen.group = VIDUR_NO_GROUP};
    batch->seen.member = vidur_arena_alloc(arena, n, sizeof *batch->seen.member);
    batch->seen.member_tokens =
        vidur_arena_alloc(arena, n, sizeof *batch->seen.member_tokens);
    batch->seen.member_prefix =
        vidur_arena_alloc(arena, n, sizeof *batch->seen.member_prefix);
    batch->gaps = vidur_arena_alloc(arena, n + 1, sizeof *batch->gaps);
}

static void add_prefill(struct vidur_live_batch *batch,
                        const struct vidur_replica *replica, int32_t request, int32_t n,
                        int32_t tokens)
{
    const int32_t step = replica->context_granularity;
    batch->seen.num_prefills++;
    batch->seen.num_prefill_tokens += tokens;
    batch->prefill_chunk_squares += (int64_t)tokens * tokens;
    if (n > 0)
        batch->prefill_context_tokens += (int64_t)(n + step - 1) / step * step;
    batch->num_sampled += n + tokens == replica->requests->prefill_tokens[request];
}

/* A request with n tokens in front of these. */
static inline void add(struct vidur_live_batch *batch, struct vidur_replica *replica,
                       int32_t request, int32_t n, int32_t tokens)
{
    batch->seen.member[batch->seen.num_members] = request;
    batch->seen.member_prefix[batch->seen.num_members] = n;
    batch->seen.member_tokens[batch->seen.num_members++] = tokens;
    batch->seen.count++;
    batch->seen.num_tokens += tokens;
    batch->attention_tokens_squared += (int64_t)tokens * (tokens + n);
    if (vidur_request_is_prefilled(replica, request)) {
        batch->seen.num_decodes++;
        batch->num_sampled++;
        batch->decode_context_tokens += n;
    } else {
        add_prefill(batch, replica, request, n, tokens);
    }
}

void vidur_batch_add(struct vidur_batch *seen, struct vidur_replica *replica,
                     int32_t request, int32_t tokens)
{
    add(vidur_live(seen), replica, request,
        replica->requests->processed_tokens[request], tokens);
}

void vidur_batch_add_chunk(struct vidur_batch *seen, struct vidur_replica *replica,
                           int32_t request, int32_t prefix, int32_t tokens)
{
    add(vidur_live(seen), replica, request, prefix, tokens);
}

static void put_group(struct vidur_live_batch *batch, struct vidur_replica *replica,
                      int32_t item)
{
    const struct vidur_decode_group *group = &replica->groups[~item];
    const int64_t demand = vidur_group_demand(replica, group);
    if (demand && replica->store)
        vidur_block_store_grow(replica->store, (int32_t)demand);
    if (demand)
        vidur_blocks_change(replica, demand);
    batch->seen.group = ~item;
    batch->seen.count = batch->seen.num_decodes = batch->num_sampled = group->count;
    batch->seen.num_tokens = group->count;
    batch->decode_context_tokens = group->context_tokens;
    batch->attention_tokens_squared = group->context_tokens + group->count;
}

bool vidur_batch_add_group(struct vidur_batch *batch, struct vidur_replica *replica,
                           int32_t group_item, int32_t limit)
{
    const struct vidur_decode_group *group = &replica->groups[~group_item];
    if (batch->count > 0 || group->count > limit)
        return false;
    if (!replica->fixed_blocks &&
        vidur_free_blocks(replica) - vidur_group_demand(replica, group) < 1)
        return false;
    put_group(vidur_live(batch), replica, group_item);
    return true;
}

int64_t vidur_running_demand(const struct vidur_replica *replica, int64_t *demand)
{
    const struct vidur_request_table *table = replica->requests;
    int64_t count = 0;
    *demand = 0;
    for (int32_t i = replica->running_begin; i < replica->running_end; i++) {
        const int32_t item = replica->running[i];
        if (vidur_item_is_group(item)) {
            count += replica->groups[~item].count;
            *demand += vidur_group_demand(replica, &replica->groups[~item]);
        } else {
            count++;
            *demand += table->processed_tokens[item] >
                       (int64_t)table->blocks[item] * replica->block_size;
        }
    }
    return count;
}

struct vidur_batch_outlook vidur_batch_look_ahead(const struct vidur_batch *batch,
                                                  const struct vidur_replica *replica)
{
    const struct vidur_request_table *table = replica->requests;
    struct vidur_batch_outlook outlook = {0};
    if (batch->group >= 0)
        vidur_group_look_ahead(replica, &replica->groups[batch->group], &outlook);
    for (int32_t i = 0; i < batch->num_members; i++) {
        const int32_t request = batch->member[i];
        const int32_t prompt = table->prefill_tokens[request];
        int32_t n = table->processed_tokens[request] + batch->member_tokens[i];
        if (n == prompt && vidur_request_departs(replica, request))
            continue;
        n += n == prompt;
        if (n < prompt) {
            outlook.prompt_tokens += prompt - n;
        } else if (n < prompt + table->decode_tokens[request]) {
            outlook.decodes++;
            outlook.decode_blocks +=
                n > (int64_t)table->blocks[request] * replica->block_size;
        }
    }
    return outlook;
}

/* Position of the largest group among the running items, or behind the last one. */
static int32_t largest_group(const struct vidur_replica *replica)
{
    int32_t best = replica->running_end, size = 0;
    for (int32_t i = replica->running_begin; i < replica->running_end; i++) {
        const int32_t item = replica->running[i];
        if (vidur_item_is_group(item) && replica->groups[~item].count > size) {
            best = i;
            size = replica->groups[~item].count;
        }
    }
    return best;
}

/* Adds the running items at these positions, request by request. */
static void add_items(struct vidur_live_batch *batch, struct vidur_replica *replica,
                      int32_t begin, int32_t end)
{
    for (int32_t i = begin; i < end; i++) {
        const int32_t item = replica->running[i];
        const int32_t *request = &item;
        int32_t count = 1;
        if (vidur_item_is_group(item)) {
            request = replica->groups[~item].member;
            count = replica->groups[~item].count;
            vidur_group_dissolve(replica, ~item, replica->groups[~item].member);
        }
        for (int32_t j = 0; j < count; j++) {
            if (!replica->fixed_blocks)
                vidur_grow_blocks(replica, request[j]);
            vidur_batch_add(&batch->seen, replica, request[j], 1);
        }
    }
}

bool vidur_batch_add_running(struct vidur_batch *seen, struct vidur_replica *replica,
                             int32_t limit)
{
    struct vidur_live_batch *batch = vidur_live(seen);
    int64_t demand;
    if (!replica->grouping || vidur_running_count(replica) == 0)
        return false;
    if (vidur_running_demand(replica, &demand) > limit ||
        (!replica->fixed_blocks && vidur_free_blocks(replica) - demand < 1))
        return false;
    const int32_t base = largest_group(replica);
    if (base < replica->running_end)
        put_group(batch, replica, replica->running[base]);
    add_items(batch, replica, replica->running_begin, base);
    batch->num_front = batch->seen.num_members;
    add_items(batch, replica, base + 1, replica->running_end);
    replica->running_begin = replica->running_end = 0;
    return true;
}

static void add_gap(struct vidur_live_batch *batch, double since_s, int64_t count)
{
    for (int32_t i = batch->num_gaps; i-- > 0;)
        if (batch->gaps[i].since_s == since_s) {
            batch->gaps[i].count += count;
            return;
        }
    batch->gaps[batch->num_gaps++] = (struct vidur_batch_gap){since_s, count};
}

static inline void account_for(struct vidur_live_batch *batch,
                               struct vidur_replica *replica)
{
    batch->scheduled_at_s = replica->now_s;
    vidur_account_peaks(replica, batch);
    vidur_account_batches(replica->account, batch, 0, 1);
    if (batch->seen.group >= 0)
        batch->gaps[batch->num_gaps++] =
            (struct vidur_batch_gap){replica->groups[batch->seen.group].last_done_s,
                                     replica->groups[batch->seen.group].count};
}

static inline void schedule_member(struct vidur_live_batch *batch,
                                   const struct vidur_replica *replica, int32_t request)
{
    struct vidur_request_table *table = replica->requests;
    if (vidur_request_is_prefilled(replica, request))
        add_gap(batch, table->last_done_s[request], 1);
    else if (isnan(table->scheduled_at_s[request]))
        table->scheduled_at_s[request] = replica->now_s;
}

void vidur_batch_scheduled(struct vidur_live_batch *batch,
                           struct vidur_replica *replica)
{
    account_for(batch, replica);
    for (int32_t i = 0; i < batch->seen.num_members; i++)
        schedule_member(batch, replica, batch->seen.member[i]);
}

/* ---- Running ---- */

/* Decoding members, if there are any, join the batch's group. */
static void group_decodes(struct vidur_live_batch *batch, struct vidur_replica *replica)
{
    int32_t kept = 0;
    if (!replica->grouping || batch->seen.num_members == batch->seen.num_prefills)
        return;
    if (batch->seen.group == VIDUR_NO_GROUP)
        batch->seen.group = vidur_group_new(replica);
    if (batch->seen.group == VIDUR_NO_GROUP)
        return; /* they stay members */
    vidur_group_join_front(replica, &replica->groups[batch->seen.group],
                           batch->seen.member, batch->num_front);
    for (int32_t i = batch->num_front; i < batch->seen.num_members; i++) {
        const int32_t request = batch->seen.member[i];
        if (!vidur_request_is_prefilled(replica, request)) {
            batch->seen.member[kept] = request;
            batch->seen.member_prefix[kept] = batch->seen.member_prefix[i];
            batch->seen.member_tokens[kept++] = batch->seen.member_tokens[i];
            continue;
        }
        vidur_group_join(replica, &replica->groups[batch->seen.group], request);
    }
    batch->num_front = 0;
    batch->seen.num_members = kept;
}

static inline void begin_group(const struct vidur_live_batch *batch,
                               struct vidur_replica *replica, double start_s)
{
    if (batch->seen.group < 0)
        return;
    struct vidur_decode_group *group = &replica->groups[batch->seen.group];
    vidur_account_wait(&group->ticks.preempted, group->last_done_s, start_s);
}

/* Whether this chunk was formed while the one before it was in flight: that one has not
 * ended yet, or ended later than this one was formed. */
static inline bool is_chained(const struct vidur_live_batch *batch,
                              const struct vidur_replica *replica, int32_t index)
{
    const struct vidur_request_table *table = replica->requests;
    const int32_t request = batch->seen.member[index];
    return replica->chains_chunks &&
           (batch->seen.member_prefix[index] != table->processed_tokens[request] ||
            table->last_done_s[request] > batch->scheduled_at_s);
}

static inline void begin_member(struct vidur_request_table *table, int32_t request,
                                double start_s)
{
    const double last_s = table->last_done_s[request];
    if (last_s >= 0)
        vidur_account_wait(&table->preempted_ticks[request], last_s, start_s);
}

void vidur_batch_begin(struct vidur_live_batch *batch, struct vidur_replica *replica,
                       double start_s)
{
    begin_group(batch, replica, start_s);
    for (int32_t i = 0; i < batch->seen.num_members; i++)
        if (!is_chained(batch, replica, i))
            begin_member(replica->requests, batch->seen.member[i], start_s);
    group_decodes(batch, replica);
}

void vidur_batch_start(struct vidur_live_batch *batch, struct vidur_replica *replica)
{
    account_for(batch, replica);
    begin_group(batch, replica, replica->now_s);
    for (int32_t i = 0; i < batch->seen.num_members; i++) {
        schedule_member(batch, replica, batch->seen.member[i]);
        begin_member(replica->requests, batch->seen.member[i], replica->now_s);
    }
    group_decodes(batch, replica);
}

/* ---- Ending ---- */

static void complete(struct vidur_replica *replica, int32_t request)
{
    struct vidur_request_table *table = replica->requests;
    table->flags[request] |= VIDUR_REQUEST_DONE;
    table->completed_at_s[request] = replica->now_s;
    replica->account->num_completed++;
    if (replica->lists_completed) {
        table->next[request] = replica->completed_head;
        replica->completed_head = request;
    }
    if (!replica->keeps_blocks)
        vidur_release_blocks(replica, request);
    if (replica->account->watch)
        vidur_slo_watch_completed(replica->account->watch, table, request);
}

static void add_to_group(const struct vidur_live_batch *batch,
                         struct vidur_decode_group *group)
{
    group->ticks.execution += batch->ticks.execution;
    group->ticks.model += batch->ticks.model;
    group->ticks.preempted += batch->ticks.preempted;
}

static void finish_group(struct vidur_live_batch *batch, struct vidur_replica *replica)
{
    struct vidur_decode_group *group = &replica->groups[batch->seen.group];
    add_to_group(batch, group);
    group->last_done_s = replica->now_s;
    vidur_group_advance(replica, group, 1);
    if (group->to_completion > 0)
        return;
    int32_t *done = batch->seen.member + batch->seen.num_members;
    const int32_t count = vidur_group_complete(replica, group, done);
    for (int32_t i = 0; i < count; i++)
        complete(replica, done[i]);
    if (group->count == 0) {
        group->in_use = false;
        batch->seen.group = VIDUR_NO_GROUP;
    }
}

/* A chunk that was chained to another adds what it takes longer: its last stage, and
 * the wait for that. */
static void add_chained_ticks(const struct vidur_live_batch *batch,
                              const struct vidur_request_table *table, int32_t request)
{
    const struct vidur_step_time *step = &batch->step;
    struct vidur_shared_ticks ticks = {0};
    vidur_account_wait(&ticks.preempted, table->last_done_s[request],
                       batch->last_stage_at_s);
    vidur_account_execution(&ticks, step->stage_s[VIDUR_STAGE_LAST], step->cpu_s, 1);
    vidur_request_add_ticks(table, request, &ticks);
}

/* Whether the member at this index goes on. */
static bool finish_member(struct vidur_live_batch *batch, struct vidur_replica *replica,
                          int32_t index)
{
    struct vidur_request_table *table = replica->requests;
    const int32_t request = batch->seen.member[index];
    const int32_t tokens = batch->seen.member_tokens[index];
    const bool chained = is_chained(batch, replica, index);
    const int32_t prefill = table->prefill_tokens[request];
    int32_t n = table->processed_tokens[request] + tokens;

    const bool departs = n == prefill && vidur_request_departs(replica, request);
    if (n == prefill && (!departs || replica->samples_first)) {
        table->flags[request] |= VIDUR_REQUEST_PREFILLED;
        n++; /* the prefill's last step yields the first output token */
        if (isnan(table->prefill_completed_at_s[request]))
            table->prefill_completed_at_s[request] = replica->now_s;
    }
    replica->tokens_left -= n - table->processed_tokens[request];
    if (chained)
        add_chained_ticks(batch, table, request);
    else
        vidur_request_add_ticks(table, request, &batch->ticks);
    table->processed_tokens[request] = n;
    table->last_done_s[request] = replica->now_s;
    if (departs) {
        vidur_request_depart(replica, request);
        return false;
    }
    if (n < prefill + table->decode_tokens[request])
        return true;
    complete(replica, request);
    return false;
}

/* The same of one that decodes, which is not chained. */
static inline bool finish_decode(const struct vidur_live_batch *batch,
                                 struct vidur_replica *replica, int32_t request)
{
    struct vidur_request_table *table = replica->requests;
    const int32_t n = ++table->processed_tokens[request];
    vidur_request_add_ticks(table, request, &batch->ticks);
    table->last_done_s[request] = replica->now_s;
    if (n < table->prefill_tokens[request] + table->decode_tokens[request])
        return true;
    complete(replica, request);
    return false;
}

/* As finish_members, of a batch without prompts. If it has a group, its members are all
 * in there. */
static void finish_decodes(struct vidur_live_batch *batch,
                           struct vidur_replica *replica)
{
    int32_t kept = 0;
    assert(batch->seen.group == VIDUR_NO_GROUP);
    assert(batch->seen.num_tokens == batch->seen.count); /* one each */
    replica->tokens_left -= batch->seen.num_members;
    for (int32_t i = 0; i < batch->seen.num_members; i++)
        if (finish_decode(batch, replica, batch->seen.member[i]))
            batch->seen.member[kept++] = batch->seen.member[i];
    batch->seen.num_members = kept;
}

/* Keeps the members that have more to do and drops those that are complete. A request
 * whose prefill ended with this batch joins the batch's group of decodes here, instead
 * of being a member of the next batch. That is only right if no member that is kept
 * stands before it: then the next batch would have had the group first and this request
 * directly behind it, and the order of requests stays what it was. */
static void finish_members(struct vidur_live_batch *batch,
                           struct vidur_replica *replica)
{
    int32_t kept = 0;
    for (int32_t i = 0; i < batch->seen.num_members; i++) {
        const int32_t request = batch->seen.member[i];
        if (!finish_member(batch, replica, i))
            continue;
        if (kept == 0 && batch->seen.group >= 0 &&
            vidur_request_is_prefilled(replica, request))
            vidur_group_join(replica, &replica->groups[batch->seen.group], request);
        else
            batch->seen.member[kept++] = request;
    }
    batch->seen.num_members = kept;
}

void vidur_batch_finish(struct vidur_live_batch *batch, struct vidur_replica *replica,
                        double latency_s)
{
    vidur_account_gaps(replica->account, batch, latency_s, 1);
    if (batch->seen.group >= 0)
        finish_group(batch, replica);
    if (batch->seen.num_prefills > 0)
        finish_members(batch, replica);
    else if (batch->seen.num_members > 0)
        finish_decodes(batch, replica);
}

void vidur_batch_abandon(struct vidur_live_batch *batch, struct vidur_replica *replica)
{
    if (batch->seen.group >= 0)
        add_to_group(batch, &replica->groups[batch->seen.group]);
    for (int32_t i = 0; i < batch->seen.num_members; i++)
        if (!is_chained(batch, replica, i))
            vidur_request_add_ticks(replica->requests, batch->seen.member[i],
                                    &batch->ticks);
}

void vidur_batch_requeue(struct vidur_replica *replica, struct vidur_batch *batch)
{
    vidur_requeue(replica, batch);
}

void vidur_batch_requeue_decodes(struct vidur_replica *replica,
                                 struct vidur_batch *batch)
{
    int32_t kept = 0;
    for (int32_t i = 0; i < batch->num_members; i++)
        if (vidur_request_is_prefilled(replica, batch->member[i]))
            batch->member[kept++] = batch->member[i];
    batch->num_members = kept;
    vidur_batch_requeue(replica, batch);
}
