#include "block_store.h"
#include "replica.h"

#include <string.h>

int32_t vidur_group_new(struct vidur_replica *replica)
{
    for (int32_t i = 0; i < replica->num_groups; i++) {
        struct vidur_decode_group *group = &replica->groups[i];
        if (group->in_use)
            continue;
        *group = (struct vidur_decode_group){.in_use = true,
                                             .to_completion = INT32_MAX,
                                             .num_places = group->num_places,
                                             .member = group->member,
                                             .ends = group->ends,
                                             .demand = group->demand};
        memset(group->demand, 0, (size_t)replica->block_size * sizeof *group->demand);
        return i;
    }
    return VIDUR_NO_GROUP;
}

/* ---- Places and ends ---- */

/* Closes the gaps between places and leaves `front` free, or more, before them. */
static void close_up(struct vidur_decode_group *group, int32_t front)
{
    struct vidur_group_end *ends = group->ends + group->first_end;
    const int32_t count = group->count;
    const int32_t shift = front + (group->num_places - count - front) / 2;
    int32_t place = 0;
    /* While members and ends change places, each leads to the other. */
    for (int32_t i = 0; i < count; i++) {
        const int32_t request = group->member[ends[i].place];
        group->member[ends[i].place] = i;
        ends[i].place = request;
    }
    for (int32_t i = group->front; i < group->back; i++) {
        const int32_t end = group->member[i];
        if (end == VIDUR_NO_REQUEST)
            continue;
        group->member[place] = ends[end].place;
        ends[end].place = shift + place++;
    }
    memmove(group->member + shift, group->member, (size_t)count * sizeof(int32_t));
    group->front = shift;
    group->back = shift + count;
}

/* How many of the ascending ends are at most `left` iterations away. Free of branches,
 * which nobody could predict. */
static int32_t count_ends(const struct vidur_decode_group *group, int32_t left)
{
    const struct vidur_group_end *first = group->ends + group->first_end;
    const struct vidur_group_end *end = first;
    int32_t rest = group->count;
    while (rest > 1) {
        const int32_t half = rest / 2;
        end += (int32_t)(end[half - 1].iteration - group->iteration) <= left ? half : 0;
        rest -= half;
    }
    if (rest == 1)
        end += (int32_t)(end->iteration - group->iteration) <= left;
    return (int32_t)(end - first);
}

/* The member at `place` completes `left` iterations from now, behind `before` others.
 */
static void insert_end(struct vidur_decode_group *group, int32_t before, int32_t place,
                       int32_t left)
{
    const size_t count = (size_t)group->count;
    if (group->first_end + group->count == group->num_places) {
        memmove(group->ends, group->ends + group->first_end,
                count * sizeof *group->ends);
        group->first_end = 0;
    }
    struct vidur_group_end *end = group->ends + group->first_end + before;
    memmove(end + 1, end, (count - (size_t)before) * sizeof *end);
    *end = (struct vidur_group_end){group->iteration + (uint32_t)left, place};
    group->count++;
    if (before == 0)
        group->to_completion = left;
}

/* ---- Joining ---- */

static int32_t iterations_left(const struct vidur_request_table *table, int32_t request)
{
    return table->prefill_tokens[request] + table->decode_tokens[request] -
           table->processed_tokens[request];
}

/* The phase in which a request with n processed tokens outgrows its blocks: it needs
 * one more when n is a multiple of the block size plus 1. */
static int32_t *demand_of(const struct vidur_replica *replica,
                          const struct vidur_decode_group *group, int32_t n)
{
    const int32_t size = replica->block_size;
    const int32_t phase =
        group->phase + size - 1 - vidur_block_offset(replica, n + size - 2);
    return &group->demand[phase >= size ? phase - size : phase];
}

/* From now on the group counts for it. */
static void enter(struct vidur_replica *replica, struct vidur_decode_group *group,
                  int32_t request)
{
    struct vidur_request_table *table = replica->requests;
    const int32_t n = table->processed_tokens[request];
    group->context_tokens += n;
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
    const int32_t left = iterations_left(replica->requests, request);
    if (group->back == group->num_places)
        close_up(group, 0);
    group->member[group->back] = request;
    insert_end(group, count_ends(group, left), group->back++, left);
    enter(replica, group, request);
}

void vidur_group_join_front(struct vidur_replica *replica,
                            struct vidur_decode_group *group, const int32_t *requests,
                            int32_t count)
{
    if (group->front < count)
        close_up(group, count);
    for (int32_t i = count; i-- > 0;) {
        const int32_t left = iterations_left(replica->requests, requests[i]);
        group->member[--group->front] = requests[i];
        insert_end(group, count_ends(group, left - 1), group->front, left);
        enter(replica, group, requests[i]);
    }
}

/* ---- Leaving ---- */

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
    for (int32_t place = group->front; place < group->back; place++) {
        const int32_t request = group->member[place];
        if (request == VIDUR_NO_REQUEST)
            continue;
        *out++ = request;
        leave(replica, group, request);
    }
    group->in_use = false;
}

int32_t vidur_group_complete(struct vidur_replica *replica,
                             struct vidur_decode_group *group, int32_t *out)
{
    const struct vidur_group_end *end = group->ends + group->first_end;
    int32_t done = 0;
    for (; done < group->count && end[done].iteration == group->iteration; done++) {
        int32_t *member = &group->member[end[done].place];
        out[done] = *member;
        *member = VIDUR_NO_REQUEST;
        leave(replica, group, out[done]);
    }
    group->first_end += done;
    group->count -= done;
    group->to_completion = group->count > 0
                               ? (int32_t)(end[done].iteration - group->iteration)
                               : INT32_MAX;
    return done;
}

/* ---- Members ---- */

/* Processed tokens of a member. */
static int32_t processed(const struct vidur_replica *replica,
                         const struct vidur_decode_group *group, int32_t request)
{
    const uint32_t at_join = (uint32_t)replica->requests->processed_tokens[request];
    return (int32_t)(at_join + group->iteration);
}

void vidur_group_look_ahead(const struct vidur_replica *replica,
                            const struct vidur_decode_group *group,
                            struct vidur_batch_outlook *outlook)
{
    const struct vidur_group_end *end = group->ends + group->first_end;
    const int32_t next = group->phase + 1;
    outlook->decodes += group->count;
    outlook->decode_blocks += group->demand[next == replica->block_size ? 0 : next];
    /* Those that complete now will not ask. */
    for (int32_t i = 0; i < group->count; i++) {
        if (end[i].iteration != group->iteration + 1)
            return;
        const int32_t n = processed(replica, group, group->member[end[i].place]);
        outlook->decodes--;
        outlook->decode_blocks -= vidur_block_offset(replica, n) == 0;
    }
}

void vidur_group_grow(struct vidur_replica *replica,
                      const struct vidur_decode_group *group)
{
    for (int32_t place = group->front; place < group->back; place++) {
        const int32_t request = group->member[place];
        if (request == VIDUR_NO_REQUEST)
            continue;
        if (vidur_block_offset(replica, processed(replica, group, request) - 1) == 0)
            vidur_block_store_grow(replica->store, request);
    }
}

void vidur_item_visit(const struct vidur_replica *replica, int32_t item,
                      vidur_request_visitor *visit, void *context)
{
    if (!vidur_item_is_group(item)) {
        visit(context, item, replica->requests->processed_tokens[item]);
        return;
    }
    const struct vidur_decode_group *group = &replica->groups[~item];
    for (int32_t place = group->front; place < group->back; place++)
        if (group->member[place] != VIDUR_NO_REQUEST)
            visit(context, group->member[place],
                  processed(replica, group, group->member[place]));
}
