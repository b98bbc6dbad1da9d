#include "drive/loads.h"
#include "replica/block_store.h"

#include <assert.h>
#include <math.h>

/*
 * The reference way to drive a run: a heap of events, one at a time, exactly as
 * SIMULATOR.md section 4.4 states. Slow beside stepper.c, and what it is tested with.
 */

enum { POLL_EVENTS = 1024 };

struct loop {
    struct vidur_run *run;
    const struct vidur_arrivals *arrivals;
    int64_t next_arrival; /* index */
    int64_t next_routed;
    double now_s;
    bool ended_batch;
    bool arriving; /* the last event was an arrival */
};

/* The index-th request to arrive. */
static int32_t arriving_id(const struct loop *loop, int64_t index)
{
    const struct vidur_sending *sending = &loop->run->sending;
    return sending->is_active ? sending->order[index]
                              : (int32_t)vidur_arrival_id(loop->arrivals, index);
}

typedef int event_handler(struct loop *loop, const struct vidur_event *event);

/* See event_queue.h. */
static int32_t rank_of(const struct vidur_run *run, int32_t replica)
{
    return run->onward.num_servers > 0 ? replica : 0;
}

static void push(struct loop *loop, enum vidur_event_type type, double time_s,
                 const struct vidur_event *about)
{
    vidur_event_push(&loop->run->events,
                     (struct vidur_event){.time_s = time_s,
                                          .rank = rank_of(loop->run, about->replica),
                                          .type = type,
                                          .replica = about->replica,
                                          .stage = about->stage,
                                          .object = about->object});
}

static struct vidur_server *server_of(const struct loop *loop,
                                      const struct vidur_event *event)
{
    struct vidur_server *server = &loop->run->servers[event->replica];
    server->replica.now_s = loop->now_s;
    for (int32_t r = 1; r < server->num_ranks; r++)
        vidur_server_rank(server, r)->replica.now_s = loop->now_s;
    return server;
}

static int on_arrival(struct loop *loop, const struct vidur_event *event)
{
    loop->next_arrival++;
    if (loop->run->sending.is_active)
        vidur_run_take_sent(loop->run);
    push(loop, VIDUR_EVENT_GLOBAL_SCHEDULE, loop->now_s,
         &(struct vidur_event){.replica = -1, .stage = -1, .object = event->object});
    return 0;
}

/* Schedules as an arrival without a front end does. */
static int on_seen(struct loop *loop, const struct vidur_event *event)
{
    loop->run->events.next_id++;
    vidur_run_hand_over(loop->run, server_of(loop, event));
    loop->run->touched[event->replica] = true;
    push(loop, VIDUR_EVENT_GLOBAL_SCHEDULE, loop->now_s,
         &(struct vidur_event){.replica = -1, .stage = -1, .object = event->object});
    return 0;
}

static void ask(struct loop *loop, int32_t replica)
{
    push(loop, VIDUR_EVENT_REPLICA_SCHEDULE, loop->now_s,
         &(struct vidur_event){.replica = replica, .stage = -1, .object = -1});
}

static int on_global_schedule(struct loop *loop, const struct vidur_event *event)
{
    struct vidur_run *run = loop->run;
    (void)event;
    for (; loop->next_routed < loop->next_arrival; loop->next_routed++) {
        const int32_t request = arriving_id(loop, loop->next_routed);
        const int32_t target = loop->arrivals->server >= 0
                                   ? loop->arrivals->server
                                   : vidur_route_pick(&run->entry, request);
        struct vidur_server *server = &run->servers[target];
        server->replica.now_s = loop->now_s;
        vidur_run_route(run, server, request);
        if (run->has_front_end)
            continue;
        vidur_run_hand_over(run, server);
        run->touched[target] = true;
    }
    for (int32_t i = 0; i < run->num_servers; i++) {
        if (run->touched[i])
            ask(loop, i);
        run->touched[i] = false;
    }
    return 0;
}

/* When their step has ended, or they were all idle. One event stands for all ranks. */
static int schedule_ranks(struct loop *loop, const struct vidur_event *event)
{
    struct vidur_server *server = server_of(loop, event);
    for (int32_t r = 0; r < server->num_ranks; r++)
        if (vidur_server_rank(server, r)->pipeline.in_flight > 0)
            return 0;
    const int formed = vidur_run_form_ranks(loop->run, server, false);
    if (formed > 0)
        push(loop, VIDUR_EVENT_STAGE_ARRIVAL, loop->now_s,
             &(struct vidur_event){.replica = event->replica, .stage = 0, .object = 0});
    return formed < 0 ? -1 : 0;
}

/* The replicas that a transfer's end has given something to do. */
static void ask_woken(struct loop *loop)
{
    struct vidur_run *run = loop->run;
    for (int32_t i = 0; run->onward.num_servers > 0 && i < run->num_servers; i++) {
        if (run->servers[i].woken_at_s == loop->now_s)
            ask(loop, i);
        run->servers[i].woken_at_s = INFINITY;
    }
}

static int on_replica_schedule(struct loop *loop, const struct vidur_event *event)
{
    struct vidur_server *server = server_of(loop, event);
    if (server->num_ranks > 1)
        return schedule_ranks(loop, event);
    while (server->pipeline.in_flight < server->pipeline.num_slots) {
        const int32_t slot = vidur_run_form_batch(loop->run, server);
        if (slot == VIDUR_NO_BATCH) {
            ask_woken(loop);
            break;
        }
        if (slot == VIDUR_BATCH_FAILED)
            return -1;
        push(loop, VIDUR_EVENT_STAGE_ARRIVAL, loop->now_s,
             &(struct vidur_event){
                 .replica = event->replica, .stage = 0, .object = slot});
    }
    return 0;
}

static int on_stage_arrival(struct loop *loop, const struct vidur_event *event)
{
    struct vidur_pipeline *pipeline = &server_of(loop, event)->pipeline;
    vidur_stage_push(pipeline, &pipeline->stages[event->stage], event->object);
    push(loop, VIDUR_EVENT_STAGE_SCHEDULE, loop->now_s, event);
    return 0;
}

static void start_batch(const struct loop *loop, struct vidur_live_batch *batch,
                        struct vidur_server *rank, int32_t stage)
{
    batch->blocks_at_start = rank->replica.allocated_blocks;
    batch->waiting_at_start = rank->replica.queue_length;
    if (stage == 0)
        vidur_batch_begin(batch, &rank->replica, loop->now_s);
    else
        vidur_batch_wait(batch, batch->stage_at_s, loop->now_s);
    batch->stage_at_s = loop->now_s;
    if (stage == rank->pipeline.num_stages - 1)
        batch->last_stage_at_s = loop->now_s;
}

static int on_stage_schedule(struct loop *loop, const struct vidur_event *event)
{
    struct vidur_server *server = server_of(loop, event);
    struct vidur_pipeline *pipeline = &server->pipeline;
    struct vidur_stage *stage = &pipeline->stages[event->stage];
    if (stage->batch != VIDUR_NO_BATCH || stage->fifo_count == 0)
        return 0;
    stage->batch = vidur_stage_pop(pipeline, stage);
    double time_s = 0; /* the same for all ranks */
    for (int32_t r = 0; r < server->num_ranks; r++) {
        struct vidur_live_batch *batch =
            vidur_rank_batch_at_work(server, r, stage->batch);
        if (!batch)
            continue;
        start_batch(loop, batch, vidur_server_rank(server, r), event->stage);
        time_s = vidur_stage_s(pipeline, batch, event->stage);
    }
    push(loop, VIDUR_EVENT_STAGE_END, loop->now_s + time_s,
         &(struct vidur_event){
             .replica = event->replica, .stage = event->stage, .object = stage->batch});
    return 0;
}

static int end_stage(const struct loop *loop, struct vidur_live_batch *batch,
                     struct vidur_server *rank, int32_t stage)
{
    struct vidur_run *run = loop->run;
    if (run->options->observer && run->options->observer->batch &&
        vidur_run_observe_batch(run, rank, batch, stage))
        return -1;
    vidur_batch_leave_stage(batch, &rank->replica, stage, rank->pipeline.kinds[stage]);
    batch->stage_at_s = loop->now_s;
    return 0;
}

static int on_stage_end(struct loop *loop, const struct vidur_event *event)
{
    struct vidur_server *server = server_of(loop, event);
    const bool last = event->stage == server->pipeline.num_stages - 1;
    for (int32_t r = 0; r < server->num_ranks; r++) {
        struct vidur_live_batch *batch =
            vidur_rank_batch_at_work(server, r, event->object);
        if (batch && end_stage(loop, batch, vidur_server_rank(server, r), event->stage))
            return -1;
    }
    server->pipeline.stages[event->stage].batch = VIDUR_NO_BATCH;
    push(loop, VIDUR_EVENT_STAGE_SCHEDULE, loop->now_s, event);
    struct vidur_event next = *event;
    next.stage = last ? -1 : event->stage + 1;
    push(loop, last ? VIDUR_EVENT_BATCH_END : VIDUR_EVENT_STAGE_ARRIVAL, loop->now_s,
         &next);
    return 0;
}

static int on_transfer_end(struct loop *loop, const struct vidur_event *event)
{
    (void)event;
    loop->run->events.next_id++;
    vidur_transfers_finish(loop->run);
    ask_woken(loop);
    return 0;
}

/* Schedules as an arrival does. */
static int on_load_end(struct loop *loop, const struct vidur_event *event)
{
    loop->run->events.next_id++;
    vidur_server_end_loads(server_of(loop, event), loop->now_s);
    loop->run->touched[event->replica] = true;
    push(loop, VIDUR_EVENT_GLOBAL_SCHEDULE, loop->now_s,
         &(struct vidur_event){.replica = -1, .stage = -1, .object = event->object});
    return 0;
}

static int on_batch_end(struct loop *loop, const struct vidur_event *event)
{
    struct vidur_run *run = loop->run;
    struct vidur_server *server = server_of(loop, event);
    for (int32_t r = 0; r < server->num_ranks; r++)
        if (vidur_rank_batch_at_work(server, r, event->object))
            vidur_run_end_batch(run, vidur_server_rank(server, r), event->object);
    if (run->onward.num_servers > 0) {
        vidur_transfers_depart(run, server);
        vidur_transfers_start(run, server);
        ask_woken(loop);
    }
    ask(loop, event->replica);
    loop->ended_batch = true;
    return 0;
}

static event_handler *const handlers[VIDUR_NUM_EVENT_TYPES] = {
    [VIDUR_EVENT_REQUEST_ARRIVAL] = on_arrival,
    [VIDUR_EVENT_GLOBAL_SCHEDULE] = on_global_schedule,
    [VIDUR_EVENT_REPLICA_SCHEDULE] = on_replica_schedule,
    [VIDUR_EVENT_STAGE_ARRIVAL] = on_stage_arrival,
    [VIDUR_EVENT_STAGE_SCHEDULE] = on_stage_schedule,
    [VIDUR_EVENT_STAGE_END] = on_stage_end,
    [VIDUR_EVENT_BATCH_END] = on_batch_end,
    [VIDUR_EVENT_REQUEST_SEEN] = on_seen,
    [VIDUR_EVENT_TRANSFER_END] = on_transfer_end,
    [VIDUR_EVENT_LOAD_END] = on_load_end,
};

/* The next request to arrive, and when: infinity where there is none, or none yet. */
static int64_t next_arrival(const struct loop *loop, double *arrival_s)
{
    struct vidur_run *run = loop->run;
    *arrival_s = INFINITY;
    if (run->sending.is_active) {
        *arrival_s = vidur_sending_next_s(&run->sending);
        return *arrival_s < INFINITY ? vidur_sending_first(&run->sending) : -1;
    }
    if (loop->next_arrival == loop->arrivals->count)
        return -1;
    const int64_t id = vidur_arrival_id(loop->arrivals, loop->next_arrival);
    *arrival_s = vidur_run_next_arrival_s(run, id, loop->now_s);
    return id;
}

/* Which request's load ends next, at that time. */
static int32_t next_loaded(struct vidur_server *server, double loaded_s)
{
    int32_t r = 0;
    while (vidur_next_load_s(&vidur_server_rank(server, r)->replica) != loaded_s)
        r++;
    return vidur_server_rank(server, r)->replica.store->host->loading_head;
}

/* The next load from host memory to end, if it comes before the event or with it. */
static void peek_load(struct vidur_run *run, struct vidur_event *event)
{
    for (int32_t i = run->has_loads ? run->num_servers : 0; i-- > 0;) {
        struct vidur_server *server = &run->servers[i];
        const double loaded_s = vidur_server_next_load_s(server);
        if (loaded_s <= event->time_s && loaded_s < INFINITY)
            *event = (struct vidur_event){.time_s = loaded_s,
                                          .id = run->events.next_id,
                                          .type = VIDUR_EVENT_LOAD_END,
                                          .replica = i,
                                          .stage = -1,
                                          .object = next_loaded(server, loaded_s)};
    }
}

/* The same of front ends, loads and transfers, where there are some. */
static void peek_others(struct vidur_run *run, struct vidur_event *event)
{
    for (int32_t i = run->has_front_end ? run->num_servers : 0; i-- > 0;) {
        const double seen_s = vidur_run_next_seen_s(run, &run->servers[i]);
        if (seen_s <= event->time_s && seen_s < INFINITY)
            *event = (struct vidur_event){.time_s = seen_s,
                                          .id = run->events.next_id,
                                          .type = VIDUR_EVENT_REQUEST_SEEN,
                                          .replica = i,
                                          .stage = -1,
                                          .object = run->servers[i].front_end.head};
    }
    peek_load(run, event);
    const double transferred_s = vidur_transfers_next_s(&run->transfers);
    if (transferred_s <= event->time_s && transferred_s < INFINITY) {
        const int32_t request = run->transfers.heap[0].request;
        *event = (struct vidur_event){.time_s = transferred_s,
                                      .id = run->events.next_id,
                                      .type = VIDUR_EVENT_TRANSFER_END,
                                      .replica = run->transfers.to[request],
                                      .stage = -1,
                                      .object = request};
    }
}

/* Of events at one time arrivals come first, as if they had all been created before the
 * run, then what schedulers see; but what completions send comes last, all together.
 * False: there is none, or arrivals wait for requests that never end. */
static bool peek_event(struct loop *loop, struct vidur_event *event)
{
    struct vidur_run *run = loop->run;
    *event = run->events.count > 0 ? run->events.events[0]
                                   : (struct vidur_event){.time_s = INFINITY};
    if (run->has_front_end || run->has_loads || run->transfers.count > 0)
        peek_others(run, event);
    double arrival_s;
    const int64_t id = next_arrival(loop, &arrival_s);
    if (arrival_s < INFINITY) {
        const bool wins = !run->sending.is_active || loop->arriving
                              ? arrival_s <= event->time_s
                              : arrival_s < event->time_s;
        if (wins)
            *event = (struct vidur_event){.time_s = arrival_s,
                                          .id = loop->next_arrival,
                                          .type = VIDUR_EVENT_REQUEST_ARRIVAL,
                                          .replica = -1,
                                          .stage = -1,
                                          .object = (int32_t)id};
    }
    return event->time_s < INFINITY;
}

/* These are not in the heap. */
static bool is_of_request(const struct vidur_event *event)
{
    return event->type == VIDUR_EVENT_REQUEST_ARRIVAL ||
           event->type == VIDUR_EVENT_REQUEST_SEEN ||
           event->type == VIDUR_EVENT_TRANSFER_END ||
           event->type == VIDUR_EVENT_LOAD_END;
}

static int64_t object_of(const struct vidur_run *run, const struct vidur_event *event)
{
    if (is_of_request(event))
        return event->object;
    if (event->replica < 0 || event->object < 0)
        return -1;
    struct vidur_server *server = &run->servers[event->replica];
    for (int32_t r = 0; r < server->num_ranks; r++) {
        const struct vidur_live_batch *batch =
            vidur_rank_batch_at_work(server, r, event->object);
        if (batch)
            return batch->seen.id; /* of the first rank that has one */
    }
    return -1;
}

static int observe_event(struct vidur_run *run, const struct vidur_event *event)
{
    const struct vidur_observer *observer = run->options->observer;
    if (!observer || !observer->event)
        return 0;
    const struct vidur_event_record record = {.type = event->type,
                                              .time_s = event->time_s,
                                              .event_id = event->id,
                                              .replica = event->replica,
                                              .stage = event->stage,
                                              .object_id = object_of(run, event)};
    if (observer->event(observer->context, &record))
        return vidur_fail(run->err, VIDUR_EINTR, "the observer stopped the run");
    return 0;
}

static int handle(struct loop *loop, const struct vidur_event *event)
{
    struct vidur_run *run = loop->run;
    loop->now_s = event->time_s;
    loop->arriving = event->type == VIDUR_EVENT_REQUEST_ARRIVAL;
    if (event->replica >= 0)
        vidur_server_set_ended(&run->servers[event->replica], event->time_s);
    if (observe_event(run, event) || handlers[event->type](loop, event))
        return -1;
#ifndef NDEBUG
    vidur_run_check_conservation(run);
#endif
    return 0;
}

static void cut(struct vidur_run *run, const struct vidur_arrivals *arrivals)
{
    run->time_limited = true;
    for (int32_t i = 0; i < run->num_servers; i++)
        if (arrivals->server < 0 || arrivals->server == i)
            vidur_server_set_ended(&run->servers[i], run->limit_s);
}

/* SLOs are judged when all has happened at an instant at which a batch ended. */
static bool lost_before(struct loop *loop, double next_s)
{
    if (!loop->ended_batch || next_s == loop->now_s)
        return false;
    loop->ended_batch = false;
    return vidur_run_lost(loop->run, loop->now_s);
}

int vidur_run_events(struct vidur_run *run, const struct vidur_arrivals *arrivals)
{
    struct loop loop = {.run = run, .arrivals = arrivals};
    struct vidur_event event;
    run->events.count = 0;
    run->events.next_id = arrivals->count;
    for (int64_t i = 0; peek_event(&loop, &event); i++) {
        if (lost_before(&loop, event.time_s))
            return 0;
        if (event.time_s > run->limit_s) {
            cut(run, arrivals);
            return 0;
        }
        if (!is_of_request(&event))
            vidur_event_pop(&run->events);
        if (handle(&loop, &event) ||
            (i % POLL_EVENTS == 0 && vidur_run_poll(run, loop.now_s)))
            return -1;
    }
    lost_before(&loop, INFINITY);
    return 0;
}
