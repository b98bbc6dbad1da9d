#include "replica/replica.h"

#include <string.h>

/* ---- The waiting queue ---- */

int32_t vidur_queue_pop(struct vidur_replica *replica)
{
    const struct vidur_request_table *table = replica->requests;
    const int32_t request = replica->queue_head;

    if (replica->by_priority)
        return vidur_queue_take(replica, VIDUR_NO_REQUEST);
    replica->queue_head = table->next[request];
    if (replica->queue_head == VIDUR_NO_REQUEST)
        replica->queue_tail = VIDUR_NO_REQUEST;
    replica->queue_length--;
    vidur_account_waited(replica, request);
    return request;
}

void vidur_queue_push_back(struct vidur_replica *replica, int32_t request)
{
    int32_t *next = replica->requests->next;
    replica->queue_length++;
    replica->account->num_assigned++;
    if (replica->by_priority) {
        vidur_queue_insert(replica, request);
        return;
    }
    next[request] = VIDUR_NO_REQUEST;
    if (replica->queue_tail == VIDUR_NO_REQUEST)
        replica->queue_head = request;
    else
        next[replica->queue_tail] = request;
    replica->queue_tail = request;
}

void vidur_queue_push_front(struct vidur_replica *replica, int32_t request)
{
    replica->queue_length++;
    if (replica->by_priority) {
        vidur_queue_insert(replica, request);
        return;
    }
    replica->requests->next[request] = replica->queue_head;
    if (replica->queue_head == VIDUR_NO_REQUEST)
        replica->queue_tail = request;
    replica->queue_head = request;
}

/* ---- Running items ---- */

void vidur_running_move(struct vidur_replica *replica, int32_t front)
{
    const int32_t count = vidur_running_count(replica);
    const int32_t slack = replica->running_capacity - count - front;
    const int32_t begin = front + (front ? slack / 2 : 0);
    memmove(replica->running + begin, replica->running + replica->running_begin,
            (size_t)count * sizeof *replica->running);
    replica->running_begin = begin;
    replica->running_end = begin + count;
}

void vidur_running_push_back(struct vidur_replica *replica, int32_t item)
{
    vidur_running_reserve_back(replica, 1);
    replica->running[replica->running_end++] = item;
}

void vidur_running_push_front(struct vidur_replica *replica, int32_t item)
{
    if (replica->running_begin == 0)
        vidur_running_move(replica, 1);
    replica->running[--replica->running_begin] = item;
}

void vidur_running_unpack(struct vidur_replica *replica, int32_t group_item)
{
    const int32_t count = replica->groups[~group_item].count;
    if (replica->running_begin < count)
        vidur_running_move(replica, count);
    replica->running_begin -= count;
    vidur_group_dissolve(replica, ~group_item,
                         replica->running + replica->running_begin);
}

void vidur_running_unpack_all(struct vidur_replica *replica)
{
    int32_t i = replica->grouping ? vidur_running_count(replica) : 0;
    while (i-- > 0) {
        const int32_t item = replica->running[replica->running_begin + i];
        if (!vidur_item_is_group(item))
            continue;
        const int32_t count = replica->groups[~item].count;
        if (replica->running_begin < count)
            vidur_running_move(replica, count);
        int32_t *old = replica->running + replica->running_begin;
        memmove(old - (count - 1), old, (size_t)i * sizeof *old);
        vidur_group_dissolve(replica, ~item, old - (count - 1) + i);
        replica->running_begin -= count - 1;
    }
}

/* Merges two neighbouring ascending runs; `scratch` holds the first. Stable. */
static void merge_runs(int32_t *items, int32_t first, int32_t second,
                       const double *arrived, int32_t *scratch)
{
    int32_t i = 0, j = first, out = 0;
    memcpy(scratch, items, (size_t)first * sizeof *items);
    while (i < first && j < first + second)
        items[out++] =
            arrived[items[j]] < arrived[scratch[i]] ? items[j++] : scratch[i++];
    while (i < first)
        items[out++] = scratch[i++];
}

static int32_t run_length(const int32_t *items, int32_t count, const double *arrived)
{
    int32_t length = 1;
    while (length < count && arrived[items[length - 1]] <= arrived[items[length]])
        length++;
    return length;
}

/* The list is a few ascending runs as a rule. */
void vidur_running_sort(struct vidur_replica *replica)
{
    const double *arrived = replica->requests->arrived_at_s;
    vidur_running_unpack_all(replica);
    int32_t *items = replica->running + replica->running_begin;
    const int32_t count = vidur_running_count(replica);
    if (count == 0)
        return;
    while (run_length(items, count, arrived) < count)
        for (int32_t at = 0; at < count;) {
            const int32_t first = run_length(items + at, count - at, arrived);
            const int32_t rest = count - at - first;
            const int32_t second =
                rest ? run_length(items + at + first, rest, arrived) : 0;
            merge_runs(items + at, first, second, arrived, replica->sort_scratch);
            at += first + second;
        }
}

/* ---- Memory ---- */

int vidur_bits_of(int64_t size)
{
    for (int bits = 0; bits < 31; bits++)
        if (size == (int64_t)1 << bits)
            return bits;
    return -1;
}

static size_t num_places(const struct vidur_replica_sizes *sizes)
{
    return 2 * (size_t)sizes->batch_capacity;
}

static int32_t num_groups(const struct vidur_replica_sizes *sizes)
{
    return sizes->grouping ? 2 * sizes->batches_at_once + 1 : 0;
}

size_t vidur_replica_bytes(const struct vidur_replica_sizes *sizes)
{
    const size_t groups = (size_t)num_groups(sizes);
    size_t bytes =
        2 * vidur_arena_bytes((size_t)sizes->running_capacity, sizeof(int32_t));
    bytes = vidur_arena_sum(
        bytes, vidur_arena_bytes(groups, sizeof(struct vidur_decode_group)));
    bytes += groups * (vidur_arena_bytes(num_places(sizes), sizeof(int32_t)) +
                       vidur_arena_bytes((size_t)sizes->block_size, sizeof(int32_t)) +
                       vidur_arena_bytes(VIDUR_CALENDAR_DAYS, sizeof(int32_t)) +
                       vidur_arena_bytes(VIDUR_CALENDAR_WORDS, sizeof(uint64_t)));
    return bytes + vidur_account_bytes(sizes->num_stages);
}

static void init_groups(struct vidur_replica *replica, struct vidur_arena *arena,
                        const struct vidur_replica_sizes *sizes)
{
    const int32_t count = num_groups(sizes);
    const size_t places = num_places(sizes);
    replica->groups = vidur_arena_zalloc(arena, (size_t)count, sizeof *replica->groups);
    for (int32_t i = 0; i < count; i++) {
        struct vidur_decode_group *group = &replica->groups[i];
        group->num_places = (int32_t)places;
        group->member = vidur_arena_alloc(arena, places, sizeof *group->member);
        group->demand =
            vidur_arena_zalloc(arena, (size_t)sizes->block_size, sizeof(int32_t));
        group->due = vidur_arena_alloc(arena, VIDUR_CALENDAR_DAYS, sizeof *group->due);
        for (int day = 0; day < VIDUR_CALENDAR_DAYS; day++)
            group->due[day] = VIDUR_NO_REQUEST;
        group->is_occupied =
            vidur_arena_zalloc(arena, VIDUR_CALENDAR_WORDS, sizeof(uint64_t));
    }
    replica->num_groups = count;
}

void vidur_replica_init(struct vidur_replica *replica, struct vidur_arena *arena,
                        const struct vidur_replica_sizes *sizes)
{
    replica->now_s = 0;
    replica->queue_head = replica->queue_tail = VIDUR_NO_REQUEST;
    for (int rank = 0; rank < VIDUR_MAX_CLASSES; rank++)
        replica->rank_tail[rank] = VIDUR_NO_REQUEST;
    replica->completed_head = VIDUR_NO_REQUEST;
    replica->queue_length = replica->tokens_left = 0;
    replica->departed_head = replica->departed_tail = VIDUR_NO_REQUEST;
    replica->loaded_head = replica->loaded_tail = VIDUR_NO_REQUEST;
    replica->reserved_blocks = 0;
    replica->running_begin = replica->running_end = 0;
    replica->running_capacity = sizes->running_capacity;
    replica->allocated_blocks = replica->num_holders = 0;
    replica->block_size = sizes->block_size;
    replica->block_bits = vidur_bits_of(sizes->block_size);
    replica->grouping = sizes->grouping;
    replica->running =
        vidur_arena_alloc(arena, (size_t)sizes->running_capacity, sizeof(int32_t));
    replica->sort_scratch =
        vidur_arena_alloc(arena, (size_t)sizes->running_capacity, sizeof(int32_t));
    replica->account = vidur_account_new(arena, sizes->num_stages);
    init_groups(replica, arena, sizes);
}
