#include "replica/replica.h"

#include <string.h>

/* A group out of use has nothing in its calendar, and no demand. */
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
                                             .demand = group->demand,
                                             .due = group->due,
                                             .is_occupied = group->is_occupied};
        return i;
    }
    return VIDUR_NO_GROUP;
}

/* Processed tokens of a member. */
static int32_t processed(const struct vidur_replica *replica,
                         const struct vidur_decode_group *group, int32_t request)
{
    const uint32_t at_join = (uint32_t)replica->requests->processed_tokens[request];
    return (int32_t)(at_join + group->iteration);
}

/* The phase in which a request with n processed tokens outgrows its blocks: it needs
 * one more when n is a multiple of the block size plus 1. */
static int32_t wanting_phase(const struct vidur_replica *replica,
                             const struct vidur_decode_group *group, int32_t n)
{
    const int32_t size = replica->block_size;
    const int32_t phase =
        group->phase + size - 1 - vidur_block_offset(replica, n + size - 2);
    return phase - (phase >= size) * size; /* as likely as not */
}

/* ---- Places ---- */

/* Closes the gaps between places and leaves `front` free, or more, before them. */
static void close_up(const struct vidur_replica *replica,
                     struct vidur_decode_group *group, int32_t front)
{
    int32_t *place = replica->requests->place;
    const int32_t free_places = group->num_places - group->count;
    const int32_t shift = front + (free_places - front) / 8; /* most join behind */
    int32_t kept = 0;
    for (int32_t i = group->front; i < group->back; i++) {
        const int32_t request = group->member[i];
        if (request == VIDUR_NO_REQUEST)
            continue;
        place[request] = shift + kept;
        group->member[kept++] = request;
    }
    memmove(group->member + shift, group->member, (size_t)kept * sizeof *group->member);
    group->front = shift;
    group->back = shift + kept;
}

static void put(struct vidur_decode_group *group, struct vidur_request_table *table,
                int32_t request, int32_t place)
{
    group->member[place] = request;
    table->place[request] = place;
}

/* ---- The calendar ---- */

enum { WORD_BITS = 64, NUM_WORDS = VIDUR_CALENDAR_WORDS };

/* The iteration that completes a member. */
static uint32_t completing_iteration(const struct vidur_request_table *table,
                                     int32_t request)
{
    return (uint32_t)table->prefill_tokens[request] +
           (uint32_t)table->decode_tokens[request] -
           (uint32_t)table->processed_tokens[request];
}

static uint64_t *word_of(const struct vidur_decode_group *group, uint32_t day)
{
    return &group->is_occupied[day / WORD_BITS];
}

static uint64_t bit_of(uint32_t day)
{
    return UINT64_C(1) << day % WORD_BITS;
}

static void note_completion(struct vidur_decode_group *group,
                            struct vidur_request_table *table, int32_t request)
{
    const uint32_t iteration = completing_iteration(table, request);
    const uint32_t day = iteration % VIDUR_CALENDAR_DAYS;
    const int32_t left = (int32_t)(iteration - group->iteration);
    table->next[request] = group->due[day];
    group->due[day] = request;
    *word_of(group, day) |= bit_of(day);
    if (left < group->to_completion)
        group->to_completion = left;
}

/* Iterations until the next day with an entry, after `days` from now. */
static int32_t days_to_entry(const struct vidur_decode_group *group, int32_t days)
{
    const uint32_t first =
        (group->iteration + (uint32_t)days + 1) % VIDUR_CALENDAR_DAYS;
    uint32_t word = first / WORD_BITS;
    uint64_t bits = group->is_occupied[word] >> first % WORD_BITS;
    days++;
    if (!bits)
        days -= (int32_t)(first % WORD_BITS);
    for (int i = 0; !bits && i < NUM_WORDS; i++) {
        word = (word + 1) % NUM_WORDS;
        bits = group->is_occupied[word];
        days += WORD_BITS;
    }
    return bits ? days + __builtin_ctzll(bits) : INT32_MAX;
}

/* Whether somebody completes so many iterations from now, not a round later. */
static bool is_due(const struct vidur_decode_group *group,
                   const struct vidur_request_table *table, int32_t days)
{
    const uint32_t then = group->iteration + (uint32_t)days;
    int32_t request = group->due[then % VIDUR_CALENDAR_DAYS];
    while (request != VIDUR_NO_REQUEST && completing_iteration(table, request) != then)
        request = table->next[request];
    return request != VIDUR_NO_REQUEST;
}

/* Iterations until a member completes, or, if none does so within the calendar, its
 * length. */
static int32_t find_next(const struct vidur_decode_group *group,
                         const struct vidur_request_table *table)
{
    if (group->count == 0)
        return INT32_MAX;
    int32_t days = days_to_entry(group, 0);
    while (days < VIDUR_CALENDAR_DAYS && !is_due(group, table, days))
        days = days_to_entry(group, days);
    return days < VIDUR_CALENDAR_DAYS ? days : VIDUR_CALENDAR_DAYS;
}

/* Nobody is in it any more. */
static void clear_calendar(struct vidur_decode_group *group)
{
    for (int word = 0; word < NUM_WORDS; word++)
        for (uint64_t bits = group->is_occupied[word]; bits; bits &= bits - 1)
            group->due[word * WORD_BITS + __builtin_ctzll(bits)] = VIDUR_NO_REQUEST;
    memset(group->is_occupied, 0, NUM_WORDS * sizeof *group->is_occupied);
}

/* Takes those that complete now off the calendar, in any order; returns how many. */
static int32_t take_due(struct vidur_decode_group *group,
                        struct vidur_request_table *table, int32_t *out)
{
    const uint32_t day = group->iteration % VIDUR_CALENDAR_DAYS;
    int32_t count = 0, later = VIDUR_NO_REQUEST;
    for (int32_t request = group->due[day], next; request != VIDUR_NO_REQUEST;
         request = next) {
        next = table->next[request];
        if (completing_iteration(table, request) == group->iteration) {
            out[count++] = request;
        } else {
            table->next[request] = later;
            later = request;
        }
    }
    group->due[day] = later;
    if (later == VIDUR_NO_REQUEST)
        *word_of(group, day) &= ~bit_of(day);
    return count;
}

/* ---- Joining ---- */

/* From now on the group counts for it. */
static void enter(struct vidur_replica *replica, struct vidur_decode_group *group,
                  int32_t request)
{
    struct vidur_request_table *table = replica->requests;
    const int32_t n = table->processed_tokens[request];
    group->count++;
    group->context_tokens += n;
    if (!replica->fixed_blocks)
        group->demand[wanting_phase(replica, group, n)]++;
    table->processed_tokens[request] = (int32_t)((uint32_t)n - group->iteration);
    note_completion(group, table, request);
    vidur_request_subtract_ticks(table, request, &group->ticks);
}

void vidur_group_join(struct vidur_replica *replica, struct vidur_decode_group *group,
                      int32_t request)
{
    struct vidur_request_table *table = replica->requests;
    if (group->back == group->num_places)
        close_up(replica, group, 0);
    put(group, table, request, group->back++);
    enter(replica, group, request);
}

void vidur_group_join_front(struct vidur_replica *replica,
                            struct vidur_decode_group *group, const int32_t *requests,
                            int32_t count)
{
    struct vidur_request_table *table = replica->requests;
    if (group->front < count)
        close_up(replica, group, count);
    group->front -= count;
    for (int32_t i = 0; i < count; i++) {
        put(group, table, requests[i], group->front + i);
        enter(replica, group, requests[i]);
    }
}

/* ---- Leaving ---- */

/* Gives a member its own values back; returns its n. */
static int32_t give_back(struct vidur_replica *replica,
                         const struct vidur_decode_group *group, int32_t request)
{
    struct vidur_request_table *table = replica->requests;
    const int32_t n = processed(replica, group, request);

    table->processed_tokens[request] = n;
    vidur_request_add_ticks(table, request, &group->ticks);
    table->last_done_s[request] = group->last_done_s;
    if (!replica->fixed_blocks)
        table->blocks[request] = (int32_t)vidur_blocks_for(replica, n - 1);
    return n;
}

void vidur_group_dissolve(struct vidur_replica *replica, int32_t slot, int32_t *out)
{
    struct vidur_decode_group *group = &replica->groups[slot];
    for (int32_t place = group->front; place < group->back; place++) {
        const int32_t request = group->member[place];
        if (request == VIDUR_NO_REQUEST)
            continue;
        *out++ = request;
        give_back(replica, group, request);
    }
    clear_calendar(group);
    memset(group->demand, 0, (size_t)replica->block_size * sizeof *group->demand);
    group->in_use = false;
}

static void leave(struct vidur_replica *replica, struct vidur_decode_group *group,
                  int32_t request)
{
    const int32_t n = give_back(replica, group, request);
    const int32_t place = replica->requests->place[request];
    group->member[place] = VIDUR_NO_REQUEST;
    group->context_tokens -= n;
    group->count--;
    if (replica->fixed_blocks)
        return;
    group->demand[wanting_phase(replica, group, n)]--;
}

/* They come off the calendar last first, as a rule. */
static void sort_by_place(int32_t *requests, int32_t count, const int32_t *place)
{
    for (int32_t i = 0; i < count / 2; i++) {
        const int32_t request = requests[i];
        requests[i] = requests[count - 1 - i];
        requests[count - 1 - i] = request;
    }
    for (int32_t i = 1; i < count; i++) {
        const int32_t request = requests[i];
        int32_t at = i;
        for (; at > 0 && place[requests[at - 1]] > place[request]; at--)
            requests[at] = requests[at - 1];
        requests[at] = request;
    }
}

int32_t vidur_group_complete(struct vidur_replica *replica,
                             struct vidur_decode_group *group, int32_t *out)
{
    struct vidur_request_table *table = replica->requests;
    const int32_t done = take_due(group, table, out);
    sort_by_place(out, done, table->place);
    for (int32_t i = 0; i < done; i++)
        leave(replica, group, out[i]);
    group->to_completion = find_next(group, table);
    return done;
}

/* ---- Members ---- */

void vidur_group_look_ahead(const struct vidur_replica *replica,
                            const struct vidur_decode_group *group,
                            struct vidur_batch_outlook *outlook)
{
    const struct vidur_request_table *table = replica->requests;
    const int32_t next = group->phase + 1;
    outlook->decodes += group->count;
    outlook->decode_blocks += group->demand[next == replica->block_size ? 0 : next];
    if (group->to_completion > 1)
        return;
    /* Those that complete now will not ask. */
    for (int32_t request = group->due[(group->iteration + 1) % VIDUR_CALENDAR_DAYS];
         request != VIDUR_NO_REQUEST; request = table->next[request]) {
        if (completing_iteration(table, request) != group->iteration + 1)
            continue;
        outlook->decodes--;
        outlook->decode_blocks -=
            vidur_block_offset(replica, processed(replica, group, request)) == 0;
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
