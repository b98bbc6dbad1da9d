#include "drive/transfers.h"

#include "drive/run.h"
#include "replica/hand_over.h"

#include <math.h>
#include <string.h>

/* ---- Memory ---- */

size_t vidur_transfers_bytes(int64_t num_requests, int64_t num_pairs)
{
    const size_t n = (size_t)num_requests;
    return vidur_arena_bytes((size_t)num_pairs, sizeof(double)) +
           vidur_arena_bytes(n, sizeof(struct vidur_transfer)) +
           3 * vidur_arena_bytes(n, sizeof(int32_t)) +
           2 * vidur_arena_bytes(n, sizeof(double));
}

void vidur_transfers_init(struct vidur_transfers *transfers, struct vidur_arena *arena,
                          const struct vidur_run *run)
{
    const struct vidur_fleet *fleet = run->fleet;
    const size_t n = (size_t)run->requests.count;
    const size_t pairs = (size_t)(run->entry.num_servers * run->onward.num_servers);
    *transfers = (struct vidur_transfers){
        .fleet = fleet,
        .num_entries = run->entry.num_servers,
        .bytes_per_token = vidur_fleet_kv_bytes_per_token(&fleet->pools[0].deployment),
        .pair_free_at_s = vidur_arena_zalloc(arena, pairs, sizeof(double)),
        .heap = vidur_arena_alloc(arena, n, sizeof(struct vidur_transfer)),
        .from = vidur_arena_alloc(arena, n, sizeof(int32_t)),
        .to = vidur_arena_alloc(arena, n, sizeof(int32_t)),
        .held = vidur_arena_zalloc(arena, n, sizeof(int32_t)),
        .departed_at_s = vidur_arena_alloc(arena, n, sizeof(double)),
        .loaded_at_s = vidur_arena_alloc(arena, n, sizeof(double))};
    for (size_t i = 0; i < n; i++)
        transfers->departed_at_s[i] = transfers->loaded_at_s[i] = NAN;
    for (int i = 0; i < fleet->num_pools; i++)
        for (int j = 0; j < fleet->num_pools; j++)
            transfers->links[i][j] = vidur_fleet_link(fleet, i, j);
}

/* ---- The heap ---- */

static bool before(const struct vidur_transfer *a, const struct vidur_transfer *b)
{
    return a->end_s < b->end_s || (a->end_s == b->end_s && a->request < b->request);
}

static void push(struct vidur_transfers *transfers, struct vidur_transfer transfer)
{
    struct vidur_transfer *heap = transfers->heap;
    int64_t i = transfers->count++;
    for (; i > 0 && before(&transfer, &heap[(i - 1) / 2]); i = (i - 1) / 2)
        heap[i] = heap[(i - 1) / 2];
    heap[i] = transfer;
}

static struct vidur_transfer pop(struct vidur_transfers *transfers)
{
    struct vidur_transfer *heap = transfers->heap;
    const struct vidur_transfer first = heap[0];
    const struct vidur_transfer last = heap[--transfers->count];
    int64_t i = 0;
    for (int64_t child; (child = 2 * i + 1) < transfers->count; i = child) {
        if (child + 1 < transfers->count && before(&heap[child + 1], &heap[child]))
            child++;
        if (!before(&heap[child], &last))
            break;
        heap[i] = heap[child];
    }
    heap[i] = last;
    return first;
}

/* ---- A request's way ---- */

static void end_load(struct vidur_run *run, int32_t request, double now_s)
{
    struct vidur_transfers *transfers = &run->transfers;
    struct vidur_server *from = &run->servers[transfers->from[request]];
    struct vidur_server *to = &run->servers[transfers->to[request]];
    from->replica.now_s = to->replica.now_s = now_s;
    vidur_release_departed(&from->replica, request, transfers->held[request]);
    transfers->held[request] = 0;
    run->seen_at_s[request] = transfers->loaded_at_s[request] = now_s;
    vidur_end_load(&to->replica, request);
    from->woken_at_s = to->woken_at_s = now_s;
    transfers->has_woken = true;
}

/* Seconds that are left of the request's transfer when its prompt is done. Layer by
 * layer it began with the prompt's first batch, and the last layer is sent last. */
static double left_s(const struct vidur_run *run, int32_t request, double bytes,
                     const struct vidur_kv_link *link)
{
    const struct vidur_transfers *transfers = &run->transfers;
    const struct vidur_request_table *table = &run->requests;
    const double whole_s = bytes / link->bytes_per_s;
    if (transfers->fleet->kv_transfer.overlap == VIDUR_OVERLAP_NONE)
        return link->latency_s + whole_s;
    const int layers = transfers->fleet->pools[0].deployment.model.num_layers;
    const double computed_s =
        transfers->departed_at_s[request] - table->scheduled_at_s[request];
    return link->latency_s + fmax(whole_s / layers, whole_s - computed_s);
}

static void begin(struct vidur_run *run, struct vidur_server *to, int32_t request)
{
    struct vidur_transfers *transfers = &run->transfers;
    const int32_t from = transfers->from[request];
    const double now_s = to->replica.now_s;
    const int pool = (int)(to->pool - run->pools);
    const struct vidur_kv_link *link =
        &transfers->links[run->servers[from].pool - run->pools][pool];
    const double bytes =
        transfers->bytes_per_token * run->requests.prefill_tokens[request];
    double *free_at_s =
        &transfers->pair_free_at_s[(to->replica.index - transfers->num_entries) *
                                       transfers->num_entries +
                                   from];
    transfers->held[request] = vidur_begin_load(&to->replica, request);
    const double start_s = fmax(now_s, *free_at_s);
    const double time_s = left_s(run, request, bytes, link);
    *free_at_s = start_s + time_s;
    struct vidur_transfer_metrics *sum = &transfers->sums[pool];
    sum->count++;
    sum->bytes += bytes;
    sum->busy_s += time_s;
    sum->waited_s += start_s - transfers->departed_at_s[request];
    if (*free_at_s > now_s)
        push(transfers, (struct vidur_transfer){*free_at_s, request});
    else
        end_load(run, request, now_s);
}

bool vidur_transfers_start(struct vidur_run *run, struct vidur_server *server)
{
    const struct vidur_pool_model *pool = server->pool;
    struct vidur_replica *replica = &server->replica;
    const int64_t watermark =
        vidur_scheduler_uses(pool->ops, VIDUR_KNOB_watermark_blocks_fraction)
            ? replica->watermark_blocks
            : 0;
    bool any = false;
    while (server->to_load_head != VIDUR_NO_REQUEST) {
        const int32_t request = server->to_load_head;
        if (!vidur_can_load(replica, request, watermark,
                            vidur_pool_model_batch_cap(pool)))
            break;
        server->to_load_head = run->requests.next[request];
        begin(run, server, request);
        any = true;
    }
    return any;
}

static void queue_up(struct vidur_run *run, struct vidur_server *to, int32_t request)
{
    run->requests.next[request] = VIDUR_NO_REQUEST;
    if (to->to_load_head == VIDUR_NO_REQUEST)
        to->to_load_head = request;
    else
        run->requests.next[to->to_load_tail] = request;
    to->to_load_tail = request;
    to->replica.num_coming++;
    to->replica.tokens_left += vidur_tokens_left(&run->requests, request);
}

int32_t vidur_transfers_pick(struct vidur_run *run, struct vidur_server *server,
                             int32_t *to)
{
    const int32_t request = vidur_departed_pop(&server->replica);
    if (request != VIDUR_NO_REQUEST)
        *to = vidur_route_pick(&run->onward, request);
    return request;
}

void vidur_transfers_send(struct vidur_run *run, const struct vidur_server *server,
                          int32_t request, int32_t to)
{
    struct vidur_server *target = &run->servers[to];
    run->transfers.departed_at_s[request] = server->replica.now_s;
    run->transfers.from[request] = server->replica.index;
    run->transfers.to[request] = to;
    queue_up(run, target, request);
    target->replica.now_s = server->replica.now_s;
    vidur_transfers_start(run, target);
}

void vidur_transfers_depart(struct vidur_run *run, struct vidur_server *server)
{
    int32_t to;
    for (int32_t request;
         (request = vidur_transfers_pick(run, server, &to)) != VIDUR_NO_REQUEST;)
        vidur_transfers_send(run, server, request, to);
}

void vidur_transfers_finish(struct vidur_run *run)
{
    const struct vidur_transfer transfer = pop(&run->transfers);
    end_load(run, transfer.request, transfer.end_s);
}
