#include "drive/run.h"

#include "replica/told.h"

#include <math.h>

enum { REPORT_BATCHES = 100000 };

/* A batch that is one group and nothing else can be formed again until something
 * changes. */
static void mark_renewable(struct vidur_server *server, struct vidur_live_batch *batch)
{
    struct vidur_replica_account *account = server->replica.account;
    if (batch->seen.num_members > 0 || batch->seen.group == VIDUR_NO_GROUP) {
        account->num_mixed++;
        batch->formed_at_change = -1;
        return;
    }
    batch->formed_at_change = vidur_num_changes(account);
    batch->step_left = batch->step.repeats;
}

/* `alone`, here and below: the only stage works on one batch at a time, known where the
 * code is compiled. */

/* The batch that the scheduler wants to run next, in the slot that is free next; NULL:
 * none. */
static inline struct vidur_live_batch *choose_batch(struct vidur_server *server,
                                                    bool alone)
{
    struct vidur_pipeline *pipeline = &server->pipeline;
    const int32_t slot = alone ? 0 : pipeline->free_slots[pipeline->num_free - 1];
    struct vidur_live_batch *batch = &pipeline->batches[slot];
    vidur_batch_clear(batch);
    server->pool->ops->next_batch(server->scheduler, &server->replica, &batch->seen);
    return batch->seen.count > 0 ? batch : NULL;
}

/* Its time is known: it goes into flight, and starts where `starts`. */
static inline int32_t admit_batch(struct vidur_run *run, struct vidur_server *server,
                                  struct vidur_live_batch *batch, bool starts,
                                  bool alone)
{
    const struct vidur_pool_model *pool = server->pool;
    struct vidur_pipeline *pipeline = &server->pipeline;
    if (alone ? !vidur_can_time(batch->step.stage_s[VIDUR_STAGE_LAST])
              : !vidur_pipeline_can_time(pipeline, batch)) {
        pool->step_ops->fail(pool->step_model, batch, run->err);
        return VIDUR_BATCH_FAILED;
    }
    if (alone || pipeline->in_flight == 0)
        vidur_account_active(server->replica.account, server->replica.now_s);
    int32_t slot = 0;
    if (alone)
        vidur_pipeline_admit_alone(pipeline);
    else
        slot = vidur_pipeline_admit(pipeline);
    batch->seen.id = run->next_batch_id++;
    mark_renewable(server, batch);
    if (starts)
        vidur_batch_start(batch, &server->replica);
    else
        vidur_batch_scheduled(batch, &server->replica);
    return slot;
}

static inline int32_t form_batch(struct vidur_run *run, struct vidur_server *server,
                                 bool alone)
{
    const struct vidur_pool_model *pool = server->pool;
    struct vidur_live_batch *batch = choose_batch(server, alone);
    if (!batch) {
        /* What its plans had reserved is free now. */
        if (server->pipeline.in_flight == 0 && server->to_load_head != VIDUR_NO_REQUEST)
            vidur_transfers_start(run, server);
        return VIDUR_NO_BATCH;
    }
    pool->step_ops->time(pool->step_model, &server->replica, batch);
    return admit_batch(run, server, batch, alone, alone);
}

int32_t vidur_run_form_batch(struct vidur_run *run, struct vidur_server *server)
{
    return form_batch(run, server, false);
}

int32_t vidur_run_start_alone(struct vidur_run *run, struct vidur_server *server)
{
    return form_batch(run, server, true);
}

int vidur_run_form_ranks(struct vidur_run *run, struct vidur_server *server,
                         bool starts)
{
    const struct vidur_pool_model *pool = server->pool;
    struct vidur_rank_batch *ranks = run->rank_batches;
    bool any = false;
    for (int32_t r = 0; r < server->num_ranks; r++) {
        struct vidur_server *rank = vidur_server_rank(server, r);
        ranks[r] = (struct vidur_rank_batch){&rank->replica, choose_batch(rank, false)};
        any |= ranks[r].batch != NULL;
    }
    if (!any)
        return 0;
    pool->step_ops->time_ranks(pool->step_model, ranks, server->num_ranks);
    for (int32_t r = 0; r < server->num_ranks; r++)
        if (ranks[r].batch &&
            admit_batch(run, vidur_server_rank(server, r), ranks[r].batch, starts,
                        false) == VIDUR_BATCH_FAILED)
            return -1;
    return 1;
}

static int64_t num_completed(const struct vidur_run *run)
{
    int64_t count = 0;
    for (int32_t i = 0; i < run->num_ranks; i++)
        count += run->servers[i].replica.account->num_completed;
    return count;
}

/* With one stage a batch starts when it is formed: its time is free of the clock's
 * rounding, and equal iterations give equal gaps. */
static double latency_s(const struct vidur_server *server,
                        const struct vidur_live_batch *batch)
{
    return vidur_pipeline_is_single(&server->pipeline)
               ? batch->step.stage_s[VIDUR_STAGE_LAST]
               : server->replica.now_s - batch->scheduled_at_s;
}

/* What others hear of a batch that has ended. */
static void follow_end(struct vidur_run *run, struct vidur_server *server,
                       struct vidur_live_batch *batch)
{
    if (run->sending.is_active)
        vidur_sending_completed(&run->sending, &server->replica);
    if (server->replica.told)
        vidur_told_end(&server->replica, &server->pipeline, batch);
}

/* All but the slot. */
static inline void end_batch(struct vidur_run *run, struct vidur_server *server,
                             struct vidur_live_batch *batch, double ended_after_s)
{
    struct vidur_replica *replica = &server->replica;
    vidur_batch_finish(batch, replica, ended_after_s);
    if (run->follows_ends)
        follow_end(run, server, batch);
    if (server->pool->ops->batch_end)
        server->pool->ops->batch_end(server->scheduler, replica, &batch->seen);
    else
        vidur_requeue(replica, &batch->seen);
    vidur_account_idle(replica->account, replica->now_s);
}

void vidur_run_end_batch(struct vidur_run *run, struct vidur_server *server,
                         int32_t slot)
{
    struct vidur_live_batch *batch = &server->pipeline.batches[slot];
    end_batch(run, server, batch, latency_s(server, batch));
    vidur_pipeline_retire(&server->pipeline, slot);
}

void vidur_run_end_alone(struct vidur_run *run, struct vidur_server *server)
{
    struct vidur_live_batch *batch = server->pipeline.batches;
    vidur_batch_leave_stage(batch, &server->replica, 0, VIDUR_STAGE_LAST);
    end_batch(run, server, batch, batch->step.stage_s[VIDUR_STAGE_LAST]);
    vidur_pipeline_retire_alone(&server->pipeline);
}

int vidur_run_poll(struct vidur_run *run, double now_s)
{
    const struct vidur_observer *observer = run->options->observer;
    if (run->options->cancel && *run->options->cancel)
        return vidur_fail(run->err, VIDUR_EINTR, "the simulation was cancelled");
    if (run->gaps->out_of_memory)
        return vidur_fail(run->err, VIDUR_ENOMEM, "no memory for the gaps of tokens");
    if (run->next_batch_id < run->next_report)
        return 0;
    run->next_report = run->next_batch_id + REPORT_BATCHES;
    if (observer && observer->progress &&
        observer->progress(observer->context, now_s, num_completed(run)))
        return vidur_fail(run->err, VIDUR_EINTR, "the observer stopped the run");
    return 0;
}

/* ---- Front ends ---- */

static inline void route(struct vidur_run *run, struct vidur_server *server,
                         int32_t request)
{
    const struct vidur_request_table *table = &run->requests;
    const struct vidur_front_end_times *times = &server->pool->front_end;
    struct vidur_front_end *front = &server->front_end;
    if (run->has_front_end) {
        front->free_at_s = fmax(table->arrived_at_s[request], front->free_at_s) +
                           times->per_prompt_token_s * table->prefill_tokens[request];
        run->seen_at_s[request] = front->free_at_s + times->delay_s;
    } else if (run->seen_at_s) {
        run->seen_at_s[request] = table->arrived_at_s[request];
    }
    table->next[request] = VIDUR_NO_REQUEST;
    if (front->head == VIDUR_NO_REQUEST)
        front->head = request;
    else
        table->next[front->tail] = request;
    front->tail = request;
    server->replica.num_coming++;
    server->replica.tokens_left +=
        table->prefill_tokens[request] + table->decode_tokens[request];
}

void vidur_run_route(struct vidur_run *run, struct vidur_server *server,
                     int32_t request)
{
    route(run, server, request);
}

void vidur_run_route_all(struct vidur_run *run, const struct vidur_arrivals *arrivals)
{
    struct vidur_server *server = &run->servers[arrivals->server];
    for (int64_t i = 0; i < arrivals->count; i++)
        route(run, server, (int32_t)vidur_arrival_id(arrivals, i));
}

int32_t vidur_run_take_sent(struct vidur_run *run)
{
    const int32_t request = vidur_sending_take(&run->sending);
    if (vidur_sending_next_s(&run->sending) < INFINITY)
        vidur_request_prefetch(&run->requests, vidur_sending_first(&run->sending));
    if (run->watching)
        vidur_slo_watch_arrived(&run->watch, run->requests.arrived_at_s[request]);
    return request;
}

void vidur_run_note_arrivals(struct vidur_server *server, double now_s)
{
    const struct vidur_request_table *table = server->replica.requests;
    int32_t request = server->num_ranks > 1 ? VIDUR_NO_REQUEST : server->front_end.head;
    for (; request != VIDUR_NO_REQUEST && table->seen_at_s[request] <= now_s;
         request = table->next[request])
        vidur_told_note_arrival(&server->pipeline, table->seen_at_s[request]);
}

struct vidur_server *vidur_run_rank_of_next(struct vidur_run *run,
                                            struct vidur_server *server)
{
    struct vidur_server *best = server;
    for (int32_t r = 1; r < server->num_ranks; r++) {
        struct vidur_server *rank = vidur_server_rank(server, r);
        if (vidur_account_present(&rank->replica) <
            vidur_account_present(&best->replica))
            best = rank;
    }
    if (best->replica.told && best->replica.told->notes_arrivals)
        vidur_told_note_arrival(&best->pipeline, vidur_run_next_seen_s(run, server));
    return best;
}

/* ---- Stages of load ---- */

static void move_stage(struct vidur_run *run, int32_t stage, double now_s)
{
    const struct vidur_load_stages *stages = &run->workload->stages;
    const double late_s = fmax(0, now_s - stages->start_s[stage]);
    for (int64_t i = stages->first_request[stage]; i < stages->first_request[stage + 1];
         i++) /* rounding must not take it back before now */
        run->moved_arrivals_s[i] = fmax(now_s, run->workload->arrived_at_s[i] + late_s);
}

/* What was not reached keeps its nominal times; what nobody sent has none. */
static void settle_arrivals(struct vidur_run *run)
{
    const struct vidur_load_stages *stages = &run->workload->stages;
    for (int64_t i = 0; run->sending.is_active && i < run->requests.count; i++)
        if (isinf(run->moved_arrivals_s[i]))
            run->moved_arrivals_s[i] = NAN;
    if (stages->count < 2)
        return;
    for (int64_t i = stages->first_request[run->load_stage + 1];
         i < run->requests.count; i++)
        run->moved_arrivals_s[i] = run->workload->arrived_at_s[i];
}

double vidur_run_next_arrival_s(struct vidur_run *run, int64_t request, double now_s)
{
    const struct vidur_load_stages *stages = &run->workload->stages;
    const int32_t next = run->load_stage + 1;
    if (next < stages->count && request == stages->first_request[next]) {
        if (num_completed(run) < request)
            return INFINITY;
        move_stage(run, next, now_s);
        run->load_stage = next;
    }
    return run->requests.arrived_at_s[request];
}

/* ---- The end ---- */

static void abandon_batches(struct vidur_pipeline *pipeline,
                            struct vidur_replica *replica)
{
    for (int32_t slot = 0; slot < pipeline->num_slots; slot++) {
        bool busy = true;
        for (int32_t i = 0; i < pipeline->num_free; i++)
            busy = busy && pipeline->free_slots[i] != slot;
        if (busy)
            vidur_batch_abandon(&pipeline->batches[slot], replica);
    }
}

static void close_server(struct vidur_run *run, struct vidur_server *server)
{
    struct vidur_replica *replica = &server->replica;
    struct vidur_pipeline *pipeline = &server->pipeline;

    replica->now_s = run->stopped_early ? server->ended_at_s : run->ended_at_s;
    server->ended_at_s = replica->now_s;
    if (!run->by_events)
        vidur_run_stepper_close(server);
    abandon_batches(pipeline, replica);
    for (int32_t i = 0; i < replica->num_groups; i++)
        if (replica->groups[i].in_use)
            vidur_group_dissolve(replica, i, replica->groups[i].member);
    vidur_blocks_change(replica, 0);
    for (int32_t r = replica->queue_head; r != VIDUR_NO_REQUEST;
         r = replica->requests->next[r])
        vidur_account_waited(replica, r);
    vidur_account_close(replica->account, pipeline->in_flight > 0, replica->now_s);
}

void vidur_run_close(struct vidur_run *run)
{
    settle_arrivals(run);
    run->ended_at_s = 0;
    for (int32_t i = 0; i < run->num_ranks; i++)
        run->ended_at_s = fmax(run->ended_at_s, run->servers[i].ended_at_s);
    if (run->time_limited)
        run->ended_at_s = run->limit_s;
    for (int32_t i = 0; i < run->num_ranks; i++)
        close_server(run, &run->servers[i]);
}
