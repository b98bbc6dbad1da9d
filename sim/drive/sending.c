#include "drive/sending.h"

#include <math.h>
#include <string.h>

static bool has_sessions(const struct vidur_sending *sending)
{
    return sending->workload->sessions.count > 0;
}

static bool is_closed(const struct vidur_sending *sending)
{
    return sending->workload->concurrency > 0;
}

size_t vidur_sending_bytes(const struct vidur_workload *workload)
{
    const size_t requests = (size_t)workload->num_requests;
    return vidur_arena_bytes(requests, sizeof(struct vidur_sent)) +
           vidur_arena_bytes(requests, sizeof(int32_t)) +
           vidur_arena_bytes((size_t)workload->sessions.count, sizeof(int32_t));
}

/* Same session, same turn. */
static bool goes_with(const struct vidur_sending *sending, int64_t request,
                      int64_t other)
{
    const struct vidur_sessions *s = &sending->workload->sessions;
    return request >= 0 && request < sending->workload->num_requests &&
           s->session[request] == s->session[other] &&
           s->turn[request] == s->turn[other];
}

static int64_t end_of_turn(const struct vidur_sending *sending, int64_t first)
{
    int64_t end = first + 1;
    while (has_sessions(sending) && goes_with(sending, end, first))
        end++;
    return end;
}

/* The first request of the session behind the one of `request`. */
static int64_t end_of_session(const struct vidur_sending *sending, int64_t request)
{
    const struct vidur_sessions *s = &sending->workload->sessions;
    int64_t end = request + 1;
    while (has_sessions(sending) && end < sending->workload->num_requests &&
           s->session[end] == s->session[request])
        end++;
    return end;
}

/* Users do not all begin at once. */
static double first_pause_s(const struct vidur_sending *sending, int64_t first)
{
    return has_sessions(sending) ? sending->workload->sessions.think_s[first] : 0;
}

void vidur_sending_init(struct vidur_sending *sending, struct vidur_arena *arena,
                        const struct vidur_workload *workload, double *arrived_at_s)
{
    const size_t requests = (size_t)workload->num_requests;
    *sending = (struct vidur_sending){
        .is_active = true, .workload = workload, .arrived_at_s = arrived_at_s};
    sending->later = vidur_arena_alloc(arena, requests, sizeof *sending->later);
    sending->order = vidur_arena_alloc(arena, requests, sizeof(int32_t));
    sending->left =
        vidur_arena_alloc(arena, (size_t)workload->sessions.count, sizeof(int32_t));
    for (size_t i = 0; i < requests; i++)
        arrived_at_s[i] = INFINITY;
    /* Those that wait for nobody. */
    int64_t started = 0;
    for (int64_t i = 0; i < workload->num_requests; i = end_of_session(sending, i)) {
        if (is_closed(sending) && started++ == workload->concurrency) {
            sending->first_of_next = i;
            return;
        }
        for (int64_t j = i; j < end_of_turn(sending, i); j++)
            arrived_at_s[j] = is_closed(sending) ? first_pause_s(sending, i)
                                                 : workload->arrived_at_s[j];
    }
    sending->first_of_next = workload->num_requests;
}

/* ---- On their way ---- */

static int32_t planned_at(const struct vidur_sending *sending, int64_t index)
{
    return sending->planned ? sending->planned[index] : (int32_t)index;
}

/* To the next one that arrives on its own: behind those that wait for others. */
static void find_planned(struct vidur_sending *sending)
{
    while (sending->next_planned < sending->num_planned &&
           isinf(sending->arrived_at_s[planned_at(sending, sending->next_planned)]))
        sending->next_planned++;
}

static bool comes_before(const struct vidur_sent *a, const struct vidur_sent *b)
{
    return a->at_s < b->at_s || (a->at_s == b->at_s && a->request < b->request);
}

static void push(struct vidur_sending *sending, int32_t request)
{
    const struct vidur_sent sent = {sending->arrived_at_s[request], request};
    struct vidur_sent *heap = sending->later;
    int32_t at = sending->num_later++;
    while (at > 0 && comes_before(&sent, &heap[(at - 1) / 2])) {
        heap[at] = heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    heap[at] = sent;
}

static void pop(struct vidur_sending *sending)
{
    struct vidur_sent *heap = sending->later;
    const struct vidur_sent last = heap[--sending->num_later];
    int32_t at = 0;
    for (int32_t child; (child = 2 * at + 1) < sending->num_later; at = child) {
        if (child + 1 < sending->num_later &&
            comes_before(&heap[child + 1], &heap[child]))
            child++;
        if (!comes_before(&heap[child], &last))
            break;
        heap[at] = heap[child];
    }
    heap[at] = last;
}

void vidur_sending_begin(struct vidur_sending *sending, const int32_t *ids,
                         int64_t count)
{
    sending->planned = ids;
    sending->num_planned = is_closed(sending) ? 0 : count;
    sending->next_planned = 0;
    sending->num_later = 0;
    sending->num_arrived = 0;
    for (int64_t i = 0; is_closed(sending) && i < sending->first_of_next; i++)
        if (!isinf(sending->arrived_at_s[i]))
            push(sending, (int32_t)i);
    find_planned(sending);
}

static bool is_planned_first(const struct vidur_sending *sending)
{
    if (sending->next_planned >= sending->num_planned)
        return false;
    const int32_t planned = planned_at(sending, sending->next_planned);
    const struct vidur_sent sent = {sending->arrived_at_s[planned], planned};
    return sending->num_later == 0 || comes_before(&sent, &sending->later[0]);
}

int32_t vidur_sending_first(const struct vidur_sending *sending)
{
    return is_planned_first(sending) ? planned_at(sending, sending->next_planned)
                                     : sending->later[0].request;
}

/* The request arrives: whose turn has several, the first counts them. */
static void note_turn(struct vidur_sending *sending, int64_t request)
{
    const int64_t end = end_of_turn(sending, request);
    if (end > request + 1 && !goes_with(sending, request - 1, request))
        sending->left[sending->workload->sessions.session[request]] =
            (int32_t)(end - request);
}

/* Requests are in the order of sessions, so the one that arrives next is far from those
 * before it: the processor may fetch what is known of it. */
static void prefetch_next(const struct vidur_sending *sending)
{
    const struct vidur_sessions *s = &sending->workload->sessions;
    if (isinf(vidur_sending_next_s(sending)))
        return;
    const int32_t request = vidur_sending_first(sending);
    __builtin_prefetch(&s->session[request]);
    __builtin_prefetch(&s->turn[request]);
    __builtin_prefetch(&s->conversation[request]);
    __builtin_prefetch(&s->shared_tokens[request]);
}

int32_t vidur_sending_take(struct vidur_sending *sending)
{
    const int32_t request = vidur_sending_first(sending);
    if (is_planned_first(sending)) {
        sending->next_planned++;
        find_planned(sending);
    } else {
        pop(sending);
    }
    if (has_sessions(sending)) {
        note_turn(sending, request);
        prefetch_next(sending);
    }
    sending->order[sending->num_arrived++] = request;
    return request;
}

/* ---- Completions ---- */

static void send_turn(struct vidur_sending *sending, int64_t first, double at_s)
{
    const int64_t end = end_of_turn(sending, first);
    for (int64_t i = first; i < end; i++) {
        sending->arrived_at_s[i] = at_s;
        push(sending, (int32_t)i);
    }
}

/* A session has ended: its user starts another. */
static void start_next(struct vidur_sending *sending, double now_s)
{
    const int64_t first = sending->first_of_next;
    if (!is_closed(sending) || first >= sending->workload->num_requests)
        return;
    sending->first_of_next = end_of_session(sending, first);
    send_turn(sending, first, now_s);
}

static void end_request(struct vidur_sending *sending, int32_t request, double now_s)
{
    const struct vidur_sessions *s = &sending->workload->sessions;
    if (!has_sessions(sending)) {
        start_next(sending, now_s);
        return;
    }
    int64_t next = request + 1;
    while (goes_with(sending, next, request))
        next++;
    const bool is_alone =
        next == request + 1 && !goes_with(sending, (int64_t)request - 1, request);
    if (!is_alone && --sending->left[s->session[request]] > 0)
        return;
    if (next < sending->workload->num_requests &&
        s->session[next] == s->session[request])
        send_turn(sending, next, now_s + s->think_s[next]);
    else
        start_next(sending, now_s);
}

void vidur_sending_completed(struct vidur_sending *sending,
                             struct vidur_replica *replica)
{
    while (replica->completed_head != VIDUR_NO_REQUEST) {
        const int32_t request = replica->completed_head;
        replica->completed_head = replica->requests->next[request];
        end_request(sending, request, replica->now_s);
    }
}
