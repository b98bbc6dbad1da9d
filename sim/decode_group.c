#include "block_store.h"
#include "replica.h"

#include <string.h>

int32_t vidur_group_new(struct vidur_replica *replica)
{
    for (int32_t i = 0; i < replica->num_groups; i++) {
        struct vidur_decode_group *group = &replica->groups[i];
        if (group->in_use)
            continue;
        int32_t *const member = group->member;
        uint32_t *const finish = group->finish;
        int32_t *const demand = group->demand;
        *group = (struct vidur_decode_group){.in_use = true,
                                             .to_completion = INT32_MAX,
                                             .member = member,
                                             .finish = finish,
                                             .demand = demand};
        memset(demand, 0, (size_t)replica->block_size * sizeof *demand);
        return i;
    }
    return VIDUR_NO_GROUP;
}

/* The phase in which a request with n processed tokens outgrows its blocks: it needs
 * one more when n is a multiple of the block size plus 1. */
static int32_t *demand_of(const struct vidur_replica *replica,
                          const struct vidur_decode_group *group, int32_t n)
{
    const int32_t size = replica->block_size;
    int32_t phase = group->phase + size - 1 - (n + size - 2) % size;
    return &group->demand[phase >= size ? phase - size : phase];
}

static void enter(struct vidur_replica *replica, struct vidur_decode_group *group,
                  int32_t request, int32_t index)
{
    struct vidur_request_table *table = replica->requests;
    const int32_t n = table->processed_tokens[request];
    const int32_t left =
        table->prefill_tokens[request] + table->decode_tokens[request] - n;

    group->member[index] = request;
    group->finish[index] = group->iteration + (uint32_t)left;
    group->count++;
    group->context_tokens += n;
    if (left < group->to_completion)
        group->to_completion = left;
    if (!replica->fixed_blocks)
        ++*demand_of(replica, group, n);
    table->processed_tokens[request] = (int32_t)((uint32_t)n - group->iteration);
    table->execution_ticks[request] -= group->execution_ticks;
    table->preempted_ticks[request] -= group->preempted_ticks;
    if (table->model_ticks)
        table->model_ticks[request] -= group->model_ticks;
}

void vidur_group_join(struct vidur_replica *replica, struct vidur_decode_group *group,
                      int32_t request)
{
    enter(replica, group, request, group->count);
}

void vidur_group_join_front(struct vidur_replica *replica,
                            struct vidur_decode_group *group, const int32_t *requests,
                            int32_t count)
{
    const size_t old = (size_t)group->count;
    if (count == 0)
        return;
    memmove(group->member + count, group->member, old * sizeof *group->member);
    memmove(group->finish + count, group->finish, old * sizeof *group->finish);
    for (int32_t i = 0; i < count; i++)
        enter(replica, group, requests[i], i);
}

/* Gives a member its own values back; the caller removes it from the arrays. */
static void leave(struct vidur_replica *replica, struct vidur_decode_group *group,
                  int32_t request)
{
    struct vidur_request_table *table = replica->requests;
    const int32_t n =
        (int32_t)((uint32_t)table->processed_tokens[request] + group->iteration);

    group->context_tokens -= n;
    table->processed_tokens[request] = n;
    table->execution_ticks[request] += group->execution_ticks;
    table->preempted_ticks[request] += group->preempted_ticks;
    if (table->model_ticks)
        table->model_ticks[request] += group->model_ticks;
    table->last_done_s[request] = group->last_done_s;
    if (!replica->fixed_blocks) {
        --*demand_of(replica, group, n);
        table->blocks[request] = (int32_t)vidur_blocks_for(replica, n - 1);
    }
}

void vidur_group_dissolve(struct vidur_replica *replica, int32_t slot, int32_t *out)
{
    struct vidur_decode_group *group = &replica->groups[slot];
    for (int32_t i = 0; i < group->count; i++) {
        out[i] = group->member[i];
        leave(replica, group, out[i]);
    }
    group->in_use = false;
}

/* What one pass over the members finds. */
struct completions {
    int32_t count;
    int32_t index_sum; /* so the index, if there is one completion */
    int32_t next;      /* iterations until the first member that is not complete now */
};

/* Free of branches, so that the compiler can do several at once. */
static struct completions find_completions(const uint32_t *finish, int32_t count,
                                           uint32_t now)
{
    struct completions found = {.next = INT32_MAX};
    for (int32_t i = 0; i < count; i++) {
        const int32_t rest = (int32_t)(finish[i] - now);
        const int32_t complete = -(rest == 0); /* all bits or none */
        const int32_t later = rest | (complete & INT32_MAX);
        found.count -= complete;
        found.index_sum += complete & i;
        found.next = later < found.next ? later : found.next;
    }
    return found;
}

static void remove_member(struct vidur_decode_group *group, int32_t index)
{
    const size_t rest = (size_t)(--group->count - index);
    memmove(group->member + index, group->member + index + 1,
            rest * sizeof *group->member);
    memmove(group->finish + index, group->finish + index + 1,
            rest * sizeof *group->finish);
}

void vidur_group_look_ahead(const struct vidur_replica *replica,
                            const struct vidur_decode_group *group,
                            struct vidur_batch_outlook *outlook)
{
    const int32_t *processed = replica->requests->processed_tokens;
    const uint32_t end = group->iteration + 1;
    const int32_t next = group->phase + 1;
    outlook->decodes += group->count;
    outlook->decode_blocks += group->demand[next == replica->block_size ? 0 : next];
    if (group->to_completion > 1)
        return;
    /* Those that complete now will not ask. */
    const struct completions found = find_completions(group->finish, group->count, end);
    outlook->decodes -= found.count;
    int32_t i = found.count == 1 ? found.index_sum : 0;
    for (int32_t done = 0; done < found.count; i++) {
        if (group->finish[i] != end)
            continue;
        const int32_t n =
            (int32_t)((uint32_t)processed[group->member[i]] + group->iteration);
        outlook->decode_blocks -= n % replica->block_size == 0;
        done++;
    }
}

void vidur_group_grow(struct vidur_replica *replica,
                      const struct vidur_decode_group *group)
{
    const int32_t *processed = replica->requests->processed_tokens;
    for (int32_t i = 0; i < group->count; i++) {
        const int32_t request = group->member[i];
        const int32_t n = (int32_t)((uint32_t)processed[request] + group->iteration);
        if ((n - 1) % replica->block_size == 0)
            vidur_block_store_grow(replica->store, request);
    }
}

int32_t vidur_group_complete(struct vidur_replica *replica,
                             struct vidur_decode_group *group, int32_t *out)
{
    const uint32_t now = group->iteration;
    const struct completions found = find_completions(group->finish, group->count, now);
    int32_t i = found.count == 1 ? found.index_sum : 0;
    for (int32_t done = 0; done < found.count; i++) {
        if (group->finish[i] != now)
            continue;
        out[done] = group->member[i];
        leave(replica, group, out[done++]);
        remove_member(group, i--);
    }
    group->to_completion = found.next;
    return found.count;
}

void vidur_item_visit(const struct vidur_replica *replica, int32_t item,
                      vidur_request_visitor *visit, void *context)
{
    const int32_t *n = replica->requests->processed_tokens;
    if (!vidur_item_is_group(item)) {
        visit(context, item, n[item]);
        return;
    }
    const struct vidur_decode_group *group = &replica->groups[~item];
    for (int32_t i = 0; i < group->count; i++) {
        const int32_t request = group->member[i];
        visit(context, request, (int32_t)((uint32_t)n[request] + group->iteration));
    }
}
