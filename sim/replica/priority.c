#include "replica/replica.h"

#include <string.h>

/* Queues by priority: a list sorted by rank and arrival, with the last request of each
 * rank at hand. Requests that arrive at one time go by their numbers; those of sessions
 * are not numbered as they arrive. */

static bool arrived_before(const struct vidur_replica *replica, int32_t a, int32_t b)
{
    const double *arrived_at_s = replica->requests->arrived_at_s;
    return arrived_at_s[a] < arrived_at_s[b] ||
           (arrived_at_s[a] == arrived_at_s[b] && a < b);
}

static int rank_of(const struct vidur_replica *replica, int32_t request)
{
    const uint8_t *class_of = replica->requests->class_of;
    return class_of ? replica->rank_of_class[class_of[request]] : 0;
}

void vidur_replica_rank(struct vidur_replica *replica,
                        const struct vidur_workload *workload)
{
    for (int i = 0; i < workload->num_classes; i++) {
        int rank = 0;
        for (int j = 0; j < workload->num_classes; j++)
            rank += workload->classes[j].priority < workload->classes[i].priority;
        replica->rank_of_class[i] = (uint8_t)rank;
    }
}

/* Behind which it belongs; VIDUR_NO_REQUEST: it comes first. */
static int32_t find_place(const struct vidur_replica *replica, int32_t request,
                          int rank)
{
    const int32_t *next = replica->requests->next;
    int32_t before = replica->rank_tail[rank];
    if (before != VIDUR_NO_REQUEST && arrived_before(replica, before, request))
        return before; /* a new arrival */
    before = VIDUR_NO_REQUEST;
    for (int lower = rank - 1; lower >= 0 && before == VIDUR_NO_REQUEST; lower--)
        before = replica->rank_tail[lower];
    if (replica->rank_tail[rank] == VIDUR_NO_REQUEST)
        return before;
    for (;;) { /* an evicted one, which some of its rank may have come before */
        const int32_t behind =
            before == VIDUR_NO_REQUEST ? replica->queue_head : next[before];
        if (arrived_before(replica, request, behind))
            return before;
        before = behind;
    }
}

void vidur_queue_insert(struct vidur_replica *replica, int32_t request)
{
    const int rank = rank_of(replica, request);
    const int32_t before = find_place(replica, request, rank);
    int32_t *next = replica->requests->next;
    int32_t *link = before == VIDUR_NO_REQUEST ? &replica->queue_head : &next[before];
    next[request] = *link;
    *link = request;
    if (next[request] == VIDUR_NO_REQUEST)
        replica->queue_tail = request;
    if (replica->rank_tail[rank] == VIDUR_NO_REQUEST ||
        replica->rank_tail[rank] == before)
        replica->rank_tail[rank] = request;
}

int32_t vidur_queue_take(struct vidur_replica *replica, int32_t before)
{
    int32_t *next = replica->requests->next;
    int32_t *link = before == VIDUR_NO_REQUEST ? &replica->queue_head : &next[before];
    const int32_t request = *link;
    const int rank = rank_of(replica, request);
    *link = next[request];
    if (replica->queue_tail == request)
        replica->queue_tail = before;
    if (replica->rank_tail[rank] == request) {
        const bool alike =
            before != VIDUR_NO_REQUEST && rank_of(replica, before) == rank;
        replica->rank_tail[rank] = alike ? before : VIDUR_NO_REQUEST;
    }
    replica->queue_length--;
    vidur_account_waited(replica, request);
    return request;
}

int32_t vidur_running_pop_least(struct vidur_replica *replica, int32_t except)
{
    int32_t *items = replica->running + replica->running_begin;
    const int32_t count = vidur_running_count(replica);
    int32_t least = -1;
    for (int32_t i = 0; i < count; i++) {
        const int rank = rank_of(replica, items[i]);
        const int least_rank = least < 0 ? -1 : rank_of(replica, items[least]);
        if (items[i] != except &&
            (rank > least_rank ||
             (rank == least_rank && arrived_before(replica, items[least], items[i]))))
            least = i;
    }
    if (least < 0)
        return VIDUR_NO_REQUEST;
    const int32_t request = items[least];
    memmove(items + least, items + least + 1,
            (size_t)(count - least - 1) * sizeof *items);
    replica->running_end--;
    return request;
}
