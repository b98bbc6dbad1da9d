#include "drive/stepper.h"

#include "drive/loads.h"

#include <math.h>

/*
 * The quick way to drive a run. Replicas meet in the router only, so each is walked by
 * itself, from one instant at which something happens to the next, without a heap. At
 * an instant the order of SIMULATOR.md section 4.4 comes down to: arrivals, stages that
 * end, batches that end, schedules, stages that start. Arrivals at a replica that can
 * take no batch wait in its front end until it can.
 */

enum { POLL_INSTANTS = 1024 };

/* After the last arrival, replicas behind a router that looks at them are compared with
 * the SLOs this often. */
static const double drain_slice_s = 10;

/* What was sent and has arrived before `before_s`, or at `until_s`. */
static void take_sent(struct vidur_walk *walk, double before_s, double until_s)
{
    struct vidur_run *run = walk->run;
    for (double sent_s; (sent_s = vidur_sending_next_s(&run->sending)) < before_s ||
                        sent_s <= until_s;)
        vidur_run_route(run, walk->server, vidur_run_take_sent(run));
}

/* Queues what has arrived until now; true if something arrives just now. */
static bool take_arrivals(struct vidur_walk *walk, double now_s)
{
    bool just_now = false;
    if (walk->tells)
        vidur_run_note_arrivals(walk->server, now_s);
    for (;;) {
        const double seen_s = vidur_run_next_seen_s(walk->run, walk->server);
        const double next_s = vidur_earlier(seen_s, walk->server->woken_at_s);
        if (!(next_s <= now_s))
            break;
        just_now = next_s == now_s;
        if (walk->server->woken_at_s <= next_s)
            walk->server->woken_at_s = INFINITY;
        else
            vidur_run_hand_over(walk->run, walk->server);
    }
    vidur_walk_look_ahead(walk);
    return just_now;
}

/* As many batches as fit; -1: an error. */
static int form_batches(struct vidur_walk *walk)
{
    struct vidur_pipeline *pipeline = &walk->server->pipeline;
    while (pipeline->in_flight < pipeline->num_slots) {
        const int32_t slot = vidur_run_form_batch(walk->run, walk->server);
        if (slot == VIDUR_NO_BATCH)
            return 0;
        if (slot == VIDUR_BATCH_FAILED)
            return -1;
        vidur_flight_add(pipeline, slot, walk->server->replica.now_s);
    }
    return 0;
}

/* After a batch's end, which may have sent requests: one replica gets them all, among
 * several the router chooses when everything has happened at their arrival. */
static inline void pass_on(struct vidur_walk *walk, double now_s)
{
    if (walk->hands_over)
        vidur_fleet_hand_over(walk, now_s);
    if (walk->takes_sent)
        vidur_walk_look_ahead(walk);
    else if (walk->sends)
        walk->until_s =
            vidur_earlier(walk->until_s, vidur_sending_next_s(&walk->run->sending));
}

static void end_first(struct vidur_walk *walk, double now_s)
{
    struct vidur_server *server = walk->server;
    const int32_t slot = vidur_flight_remove(&server->pipeline);
    vidur_flight_settle(&server->pipeline, slot, &server->replica, now_s);
    vidur_count_renewals(&server->pipeline.batches[slot], server->replica.account);
    vidur_run_end_batch(walk->run, server, slot);
    pass_on(walk, now_s);
}

static bool ends_run(struct vidur_walk *walk, bool ended, double now_s)
{
    return ended && walk->judges && vidur_run_lost(walk->run, now_s);
}

static int do_instant_in_pipeline(struct vidur_walk *walk, double now_s, bool arrived)
{
    const bool ended = vidur_flight_next_end_s(&walk->server->pipeline) == now_s;
    const bool renewed = ended && vidur_may_renew(walk) && vidur_renew(walk);
    if (ended && !renewed)
        end_first(walk, now_s);
    const bool lost = ends_run(walk, ended, now_s);
    /* An arrival and a batch's end each ask for a schedule. */
    if ((arrived && form_batches(walk)) || (ended && !renewed && form_batches(walk)))
        return -1;
    if (!renewed || lost)
        return lost;
    vidur_cruise(walk);
    return ends_run(walk, true, walk->server->replica.now_s);
}

/* The same where one stage works on one batch at a time: nothing ever queues. */
static inline int do_instant_alone(struct vidur_walk *walk, double now_s, bool arrived)
{
    struct vidur_server *server = walk->server;
    struct vidur_live_batch *batch = server->pipeline.batches;
    const bool ended = walk->ends_at_s == now_s;
    if (ended) {
        walk->ends_at_s = INFINITY;
        vidur_run_end_alone(walk->run, server);
        pass_on(walk, now_s);
    }
    const bool lost = ends_run(walk, ended, now_s);
    if (walk->ends_at_s < INFINITY)
        return lost;
    int32_t slot = VIDUR_NO_BATCH;
    for (int asked = arrived + ended; asked > 0 && slot == VIDUR_NO_BATCH; asked--)
        slot = vidur_run_start_alone(walk->run, server);
    if (slot == VIDUR_NO_BATCH)
        return lost;
    if (slot == VIDUR_BATCH_FAILED)
        return -1;
    if (batch->formed_at_change >= 0 && walk->can_skip && !walk->run->stopped_early)
        walk->skip(walk, batch);
    walk->ends_at_s = server->replica.now_s + batch->step.stage_s[VIDUR_STAGE_LAST];
    return lost;
}

/* The same of ranks in lockstep. */
static int do_instant_of_ranks(struct vidur_walk *walk, double now_s, bool arrived)
{
    const bool ended = walk->ends_at_s == now_s;
    if (ended) {
        vidur_lockstep_end(walk);
        pass_on(walk, now_s);
    }
    const bool lost = ends_run(walk, ended, now_s);
    if (walk->ends_at_s == INFINITY && vidur_lockstep_begin(walk, arrived + ended) < 0)
        return -1;
    return lost;
}

/* The clock, and what has arrived; true if something arrives just now. `ends_s`: when
 * the next batch ends, where the walk takes what is sent. */
static inline bool begin_instant(struct vidur_walk *walk, double now_s, double ends_s)
{
    walk->server->replica.now_s = walk->server->ended_at_s = now_s;
    if (walk->takes_sent) /* behind all else that happens now */
        take_sent(walk, now_s, ends_s > now_s ? now_s : -1);
    return walk->next_arrival_s <= now_s && take_arrivals(walk, now_s);
}

static int do_instant_of_many(struct vidur_walk *walk, double now_s)
{
    struct vidur_server *server = walk->server;
    if (server->num_ranks > 1) {
        vidur_lockstep_set_now(walk, now_s);
        return do_instant_of_ranks(walk, now_s,
                                   begin_instant(walk, now_s, walk->ends_at_s));
    }
    const double ends_s =
        walk->takes_sent ? vidur_flight_next_end_s(&server->pipeline) : 0;
    return do_instant_in_pipeline(walk, now_s, begin_instant(walk, now_s, ends_s));
}

/* Everything that happens at one instant. 0; 1: an SLO is lost; -1: an error. `alone`,
 * here and below, is walk->alone, known where the code is compiled. */
static inline int do_instant(struct vidur_walk *walk, double now_s, bool alone)
{
    const int status =
        alone
            ? do_instant_alone(walk, now_s, begin_instant(walk, now_s, walk->ends_at_s))
            : do_instant_of_many(walk, now_s);
    if (status || ++walk->num_instants % POLL_INSTANTS)
        return status;
    return vidur_run_poll(walk->run, walk->server->replica.now_s);
}

/* The same where it is not known. */
static int do_any_instant(struct vidur_walk *walk, double now_s)
{
    return walk->alone ? do_instant(walk, now_s, true) : do_instant(walk, now_s, false);
}

/* The same with a replica that loads blocks from host memory. The end of a load is an
 * arrival at the scheduler, but comes before what is sent. */
static int do_loading_instant(struct vidur_walk *walk, double now_s)
{
    const bool takes_sent = walk->takes_sent;
    vidur_loads_end(walk, now_s);
    vidur_walk_look_ahead(walk);
    const int status = do_any_instant(walk, now_s);
    walk->takes_sent = takes_sent;
    vidur_loads_look_ahead(walk);
    vidur_walk_look_ahead(walk);
    if (status == 0)
        vidur_loads_skip(walk);
    return status;
}

int vidur_walk_instant(struct vidur_walk *walk, double now_s)
{
    return walk->loads ? do_loading_instant(walk, now_s) : do_any_instant(walk, now_s);
}

/* The run ends at `now_s`: what has arrived until then counts. */
static void take_last(struct vidur_walk *walk, double now_s)
{
    if (walk->takes_sent)
        take_sent(walk, now_s, now_s);
    take_arrivals(walk, now_s);
}

static inline int do_instants(struct vidur_walk *walk, double until_s, bool alone,
                              bool loads)
{
    for (;;) {
        const double next = vidur_walk_next_s(walk, alone);
        if (!(next < until_s))
            return 0;
        if (next > walk->run->limit_s) {
            walk->run->time_limited = true;
            vidur_server_set_ended(walk->server, walk->run->limit_s);
            take_last(walk, walk->run->limit_s);
            return 0;
        }
        const int status =
            loads ? do_loading_instant(walk, next) : do_instant(walk, next, alone);
        if (status < 0)
            return status;
        /* What is sent at the last instant still belongs to it. */
        if (walk->run->stopped_early && vidur_walk_next_s(walk, alone) > next) {
            take_last(walk, next);
            return 1;
        }
    }
}

/* All instants before `until_s`, and the time limit. */
int vidur_walk_to(struct vidur_walk *walk, double until_s)
{
    vidur_walk_set_until(walk, until_s);
    if (walk->loads)
        return do_instants(walk, until_s, walk->alone, true);
    return walk->alone ? do_instants(walk, until_s, true, false)
                       : do_instants(walk, until_s, false, false);
}

/* `judges`: alone in the run, which it stops when an SLO is lost. */
static struct vidur_walk begin(struct vidur_run *run, struct vidur_server *server,
                               bool judges)
{
    struct vidur_pipeline *pipeline = &server->pipeline;
    const bool single = vidur_pipeline_is_single(pipeline);
    const struct vidur_pool_model *pool = server->pool;
    const bool can_repeat = pool->ops->repeats && server->replica.grouping;
    struct vidur_walk walk = {
        .run = run,
        .server = server,
        .sends = run->sending.is_active,
        .takes_sent = judges && run->sending.is_active,
        .hands_over = run->onward.num_servers > 0,
        .judges = judges,
        .alone = single && server->num_ranks == 1,
        .loads = server->replica.has_host,
        .ends_at_s = INFINITY,
        .can_skip = single && can_repeat,
        .skip = vidur_fast_forward_of(server),
        .tells = server->replica.told != NULL,
        .stalls = vidur_steps_stall(pool),
        .can_renew = pipeline->num_stages > 1 &&
                     pipeline->num_slots == pipeline->num_stages &&
                     pipeline->num_slots <= VIDUR_MAX_LANES && can_repeat &&
                     !pool->ops->repeated && !pool->step_ops->repeated_s};
    if (walk.alone && walk.loads) { /* not before its loads are known */
        walk.skips_behind_loads = walk.can_skip;
        walk.can_skip = false;
    }
    vidur_walk_look_ahead(&walk);
    return walk;
}

static int walk_alone(struct vidur_run *run, const struct vidur_arrivals *arrivals)
{
    struct vidur_server *server = &run->servers[arrivals->server];
    if (!run->sending.is_active)
        vidur_run_route_all(run, arrivals);
    struct vidur_walk walk = begin(run, server, true);
    return vidur_walk_to(&walk, INFINITY) < 0 ? -1 : 0;
}

/* ---- Replicas behind a router that looks at them ---- */

/* Everybody up to `until_s`; what the watch counts is then settled up to there. */
static int walk_all(struct vidur_walk *walks, int32_t count, double until_s)
{
    for (int32_t i = 0; i < count; i++)
        if (vidur_walk_to(&walks[i], until_s))
            return -1;
    return 0;
}

/* Requests that arrive together, from index `first`; returns the index behind them. */
int64_t vidur_route_together(struct vidur_run *run, int64_t first, double now_s)
{
    int64_t i = first;
    for (; i < run->requests.count && run->requests.arrived_at_s[i] == now_s; i++) {
        const int32_t s = vidur_route_pick(&run->entry, (int32_t)i);
        vidur_run_route(run, &run->servers[s], (int32_t)i);
        vidur_walk_look_ahead(&run->walks[s]);
    }
    return i;
}

/* The run ends at `now_s`: what has arrived until then counts. */
void vidur_walks_take_all(struct vidur_walk *walks, int32_t count, double now_s)
{
    for (int32_t i = 0; i < count; i++)
        while (walks[i].next_arrival_s <= now_s) {
            struct vidur_server *server = walks[i].server;
            const double next_s = walks[i].next_arrival_s;
            vidur_server_set_ended(server, vidur_later(server->ended_at_s, next_s));
            take_arrivals(&walks[i], next_s);
            if (!walks[i].loads)
                continue;
            vidur_server_end_loads(server, next_s);
            vidur_loads_look_ahead(&walks[i]);
            vidur_walk_look_ahead(&walks[i]);
        }
}

static bool any_busy(const struct vidur_run *run)
{
    for (int32_t s = 0; s < run->num_ranks; s++)
        if (run->servers[s].pipeline.in_flight > 0 ||
            (s < run->num_servers && run->walks[s].next_arrival_s < INFINITY))
            return true;
    return false;
}

int vidur_walks_drain(struct vidur_run *run, struct vidur_walk *walks, double now_s)
{
    while (run->watching && any_busy(run) && !run->time_limited) {
        now_s += drain_slice_s;
        if (walk_all(walks, run->num_servers, now_s))
            return -1;
        if (vidur_run_lost(run, now_s)) {
            vidur_walks_take_all(walks, run->num_servers, now_s);
            return 0;
        }
    }
    return walk_all(walks, run->num_servers, INFINITY);
}

static int walk_together(struct vidur_run *run, struct vidur_walk *walks)
{
    double now_s = 0;
    for (int64_t i = 0; i < run->requests.count;) {
        now_s = run->requests.arrived_at_s[i];
        if (now_s > run->limit_s)
            run->time_limited = true;
        if (walk_all(walks, run->num_servers, now_s))
            return -1;
        if (run->time_limited || vidur_run_lost(run, now_s)) {
            vidur_walks_take_all(walks, run->num_servers,
                                 vidur_earlier(now_s, run->limit_s));
            return 0;
        }
        i = vidur_route_together(run, i, now_s);
    }
    return vidur_walks_drain(run, walks, now_s);
}

/* ---- Replicas whose completions send requests ---- */

/* What arrives now. */
void vidur_route_sent(struct vidur_run *run, double now_s)
{
    while (run->sending.is_active && vidur_sending_next_s(&run->sending) <= now_s) {
        const int32_t i = vidur_run_take_sent(run);
        const int32_t s = vidur_route_pick(&run->entry, i);
        vidur_run_route(run, &run->servers[s], i);
        vidur_walk_look_ahead(&run->walks[s]);
    }
}

/* What is sent arrives at an instant, too. */
double vidur_before_sent_s(const struct vidur_run *run, double first_s,
                           double *others_s)
{
    if (!run->sending.is_active)
        return first_s;
    const double sent_s = vidur_sending_next_s(&run->sending);
    *others_s = vidur_earlier(*others_s, vidur_later(sent_s, first_s));
    return vidur_earlier(first_s, sent_s);
}

/* The first instant of all replicas, or the next arrival. Whoever has it alone may pass
 * instants until `others_s`: nobody else completes a request before, none arrives. */
static double first_instant_s(const struct vidur_run *run, double *others_s)
{
    double first_s = INFINITY;
    *others_s = INFINITY;
    for (int32_t s = 0; s < run->num_servers; s++) {
        const double next_s = vidur_walk_next_s(&run->walks[s], run->walks[s].alone);
        *others_s = vidur_earlier(*others_s, vidur_later(next_s, first_s));
        first_s = vidur_earlier(first_s, next_s);
    }
    return vidur_before_sent_s(run, first_s, others_s);
}

/* Completions bind the replicas together: from one instant to the next of all. */
static int walk_in_step(struct vidur_run *run, struct vidur_walk *walks)
{
    double now_s, others_s;
    while ((now_s = first_instant_s(run, &others_s)) < INFINITY) {
        if (now_s > run->limit_s) {
            run->time_limited = true;
            vidur_walks_take_all(walks, run->num_servers, run->limit_s);
            return 0;
        }
        for (int32_t s = 0; s < run->num_servers; s++) {
            if (vidur_walk_next_s(&walks[s], walks[s].alone) != now_s)
                continue;
            vidur_walk_set_until(&walks[s], others_s);
            if (vidur_walk_instant(&walks[s], now_s) < 0)
                return -1;
        }
        vidur_route_sent(run, now_s);
        if (vidur_run_lost(run, now_s)) {
            vidur_walks_take_all(walks, run->num_servers, now_s);
            return 0;
        }
    }
    return 0;
}

int vidur_run_stepper(struct vidur_run *run, const struct vidur_arrivals *arrivals)
{
    if (arrivals->server >= 0)
        return walk_alone(run, arrivals);
    for (int32_t s = 0; s < run->num_servers; s++)
        run->walks[s] = begin(run, &run->servers[s], false);
    if (run->onward.num_servers > 0)
        return vidur_walk_fleet(run);
    return run->sending.is_active ? walk_in_step(run, run->walks)
                                  : walk_together(run, run->walks);
}
