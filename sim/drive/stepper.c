#include "drive/fast_forward.h"
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

/* Something wakes a replica like an arrival where it comes from another pool, or frees
 * blocks. What is sent to the only replica arrives there, known only up to the next
 * completion. */
static void look_ahead(struct vidur_walk *walk)
{
    walk->next_arrival_s =
        fmin(vidur_run_next_seen_s(walk->run, walk->server), walk->server->woken_at_s);
    if (walk->takes_sent)
        walk->next_arrival_s =
            fmin(walk->next_arrival_s, vidur_sending_next_s(&walk->run->sending));
}

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
    for (;;) {
        const double seen_s = vidur_run_next_seen_s(walk->run, walk->server);
        const double next_s = fmin(seen_s, walk->server->woken_at_s);
        if (!(next_s <= now_s))
            break;
        just_now = next_s == now_s;
        if (walk->server->woken_at_s <= next_s)
            walk->server->woken_at_s = INFINITY;
        else
            vidur_run_hand_over(walk->run, walk->server);
    }
    look_ahead(walk);
    return just_now;
}

/* As many batches as fit; -1: an error. */
static int form_batches(struct vidur_walk *walk)
{
    struct vidur_pipeline *pipeline = &walk->server->pipeline;
    while (pipeline->in_flight < pipeline->num_slots) {
        const int32_t slot = vidur_run_form_batch(walk->run, walk->server, false);
        if (slot == VIDUR_NO_BATCH)
            return 0;
        if (slot == VIDUR_BATCH_FAILED)
            return -1;
        vidur_flight_add(pipeline, slot, walk->server->replica.now_s);
    }
    return 0;
}

static void catch_up(struct vidur_run *run, double until_s);
static void look_ahead_all(struct vidur_run *run);

/* After a batch's end in a fleet whose pools hand requests over: those that depart with
 * it go on, and those that wait to be loaded may be. Either may wake other replicas. */
static void hand_over(struct vidur_walk *walk, double now_s)
{
    struct vidur_run *run = walk->run;
    struct vidur_server *server = walk->server;
    if (server->replica.departed_head != VIDUR_NO_REQUEST) {
        catch_up(run, now_s);
        vidur_transfers_depart(run, server);
        look_ahead_all(run);
    }
    if (server->to_load_head != VIDUR_NO_REQUEST &&
        vidur_transfers_start(run, server)) {
        walk->until_s = now_s;
        look_ahead_all(run);
    }
}

/* After a batch's end, which may have sent requests: one replica gets them all, among
 * several the router chooses when everything has happened at their arrival. */
static void pass_on(struct vidur_walk *walk, double now_s)
{
    struct vidur_run *run = walk->run;
    if (run->onward.num_servers > 0)
        hand_over(walk, now_s);
    if (!run->sending.is_active)
        return;
    if (walk->takes_sent)
        look_ahead(walk);
    else
        walk->until_s = fmin(walk->until_s, vidur_sending_next_s(&run->sending));
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
    const bool renewed = ended && vidur_renew(walk);
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
        vidur_batch_leave_stage(batch, &server->replica, 0, VIDUR_STAGE_LAST);
        walk->ends_at_s = INFINITY;
        vidur_run_end_batch(walk->run, server, 0);
        pass_on(walk, now_s);
    }
    const bool lost = ends_run(walk, ended, now_s);
    for (int asked = arrived + ended; asked > 0 && server->pipeline.in_flight == 0;
         asked--)
        if (vidur_run_form_batch(walk->run, server, true) == VIDUR_BATCH_FAILED)
            return -1;
    if (server->pipeline.in_flight > 0 && walk->ends_at_s == INFINITY) {
        if (batch->formed_at_change >= 0 && walk->can_skip && !walk->run->stopped_early)
            vidur_fast_forward(walk, batch);
        walk->ends_at_s = server->replica.now_s + batch->step.stage_s[VIDUR_STAGE_LAST];
    }
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

/* Everything that happens at one instant. 0; 1: an SLO is lost; -1: an error. `alone`,
 * here and below, is walk->alone, known where the code is compiled. */
__attribute__((noinline)) static int do_instant(struct vidur_walk *walk, double now_s,
                                                bool alone)
{
    struct vidur_server *server = walk->server;
    server->replica.now_s = server->ended_at_s = now_s;
    const bool has_ranks = !alone && server->num_ranks > 1;
    const double ends_s = alone || has_ranks
                              ? walk->ends_at_s
                              : vidur_flight_next_end_s(&server->pipeline);
    if (has_ranks)
        vidur_lockstep_set_now(walk, now_s);
    if (walk->takes_sent) /* behind all else that happens now */
        take_sent(walk, now_s, ends_s > now_s ? now_s : -1);
    const bool arrived = walk->next_arrival_s <= now_s && take_arrivals(walk, now_s);
    const int status = alone ? do_instant_alone(walk, now_s, arrived)
                       : server->num_ranks > 1
                           ? do_instant_of_ranks(walk, now_s, arrived)
                           : do_instant_in_pipeline(walk, now_s, arrived);
    if (status || ++walk->num_instants % POLL_INSTANTS)
        return status;
    return vidur_run_poll(walk->run, server->replica.now_s);
}

/* The same with a replica that loads blocks from host memory. The end of a load is an
 * arrival at the scheduler, but comes before what is sent. */
static int do_loading_instant(struct vidur_walk *walk, double now_s)
{
    const bool takes_sent = walk->takes_sent;
    vidur_loads_end(walk, now_s);
    look_ahead(walk);
    const int status = do_instant(walk, now_s, walk->alone);
    walk->takes_sent = takes_sent;
    vidur_loads_look_ahead(walk);
    look_ahead(walk);
    if (status == 0)
        vidur_loads_skip(walk);
    return status;
}

static int do_walk_instant(struct vidur_walk *walk, double now_s)
{
    return walk->loads ? do_loading_instant(walk, now_s)
                       : do_instant(walk, now_s, walk->alone);
}

/* When something happens next; infinity: never. */
static inline double next_instant_s(const struct vidur_walk *walk, bool alone)
{
    const struct vidur_pipeline *pipeline = &walk->server->pipeline;
    if (!alone && walk->server->num_ranks > 1)
        return walk->ends_at_s < INFINITY ? walk->ends_at_s : walk->next_arrival_s;
    const double ends_s = alone ? walk->ends_at_s : vidur_flight_next_end_s(pipeline);
    return pipeline->in_flight < pipeline->num_slots
               ? fmin(ends_s, walk->next_arrival_s)
               : ends_s;
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
        const double next = next_instant_s(walk, alone);
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
        if (walk->run->stopped_early && next_instant_s(walk, alone) > next) {
            take_last(walk, next);
            return 1;
        }
    }
}

/* All instants before `until_s`, and the time limit. */
static int walk_to(struct vidur_walk *walk, double until_s)
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
    struct vidur_walk walk = {
        .run = run,
        .server = server,
        .takes_sent = judges && run->sending.is_active,
        .judges = judges,
        .alone = single && server->num_ranks == 1,
        .loads = server->replica.has_host,
        .ends_at_s = INFINITY,
        .can_skip = single && pool->ops->repeats && server->replica.grouping &&
                    !server->replica.told,
        .can_renew = pipeline->num_stages > 1 &&
                     pipeline->num_slots == pipeline->num_stages &&
                     pipeline->num_slots <= VIDUR_MAX_LANES && pool->ops->repeats &&
                     !pool->ops->repeated && !pool->step_ops->repeated_s &&
                     server->replica.grouping && !server->replica.told};
    if (walk.alone && walk.loads) { /* not before its loads are known */
        walk.skips_behind_loads = walk.can_skip;
        walk.can_skip = false;
    }
    look_ahead(&walk);
    return walk;
}

static int walk_alone(struct vidur_run *run, const struct vidur_arrivals *arrivals)
{
    struct vidur_server *server = &run->servers[arrivals->server];
    for (int64_t i = 0; !run->sending.is_active && i < arrivals->count; i++)
        vidur_run_route(run, server, (int32_t)vidur_arrival_id(arrivals, i));
    struct vidur_walk walk = begin(run, server, true);
    return walk_to(&walk, INFINITY) < 0 ? -1 : 0;
}

/* ---- Replicas behind a router that looks at them ---- */

/* Everybody up to `until_s`; what the watch counts is then settled up to there. */
static int walk_all(struct vidur_walk *walks, int32_t count, double until_s)
{
    for (int32_t i = 0; i < count; i++)
        if (walk_to(&walks[i], until_s))
            return -1;
    return 0;
}

/* Requests that arrive together, from index `first`; returns the index behind them. */
static int64_t route_together(struct vidur_run *run, int64_t first, double now_s)
{
    int64_t i = first;
    for (; i < run->requests.count && run->requests.arrived_at_s[i] == now_s; i++) {
        const int32_t s = vidur_route_pick(&run->entry, (int32_t)i);
        vidur_run_route(run, &run->servers[s], (int32_t)i);
        look_ahead(&run->walks[s]);
    }
    return i;
}

/* The run ends at `now_s`: what has arrived until then counts. */
static void take_all(struct vidur_walk *walks, int32_t count, double now_s)
{
    for (int32_t i = 0; i < count; i++)
        while (walks[i].next_arrival_s <= now_s) {
            struct vidur_server *server = walks[i].server;
            vidur_server_set_ended(server,
                                   fmax(server->ended_at_s, walks[i].next_arrival_s));
            const double next_s = walks[i].next_arrival_s;
            take_arrivals(&walks[i], next_s);
            if (!walks[i].loads)
                continue;
            vidur_server_end_loads(server, next_s);
            vidur_loads_look_ahead(&walks[i]);
            look_ahead(&walks[i]);
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

static int drain(struct vidur_run *run, struct vidur_walk *walks, double now_s)
{
    while (run->watching && any_busy(run) && !run->time_limited) {
        now_s += drain_slice_s;
        if (walk_all(walks, run->num_servers, now_s))
            return -1;
        if (vidur_run_lost(run, now_s)) {
            take_all(walks, run->num_servers, now_s);
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
            take_all(walks, run->num_servers, fmin(now_s, run->limit_s));
            return 0;
        }
        i = route_together(run, i, now_s);
    }
    return drain(run, walks, now_s);
}

/* ---- Replicas whose completions send requests ---- */

/* What arrives now. */
static void route_sent(struct vidur_run *run, double now_s)
{
    while (run->sending.is_active && vidur_sending_next_s(&run->sending) <= now_s) {
        const int32_t i = vidur_run_take_sent(run);
        const int32_t s = vidur_route_pick(&run->entry, i);
        vidur_run_route(run, &run->servers[s], i);
        look_ahead(&run->walks[s]);
    }
}

/* What is sent arrives at an instant, too. */
static double before_sent_s(const struct vidur_run *run, double first_s,
                            double *others_s)
{
    if (!run->sending.is_active)
        return first_s;
    const double sent_s = vidur_sending_next_s(&run->sending);
    *others_s = fmin(*others_s, fmax(sent_s, first_s));
    return fmin(first_s, sent_s);
}

/* The first instant of all replicas, or the next arrival. Whoever has it alone may pass
 * instants until `others_s`: nobody else completes a request before, none arrives. */
static double first_instant_s(const struct vidur_run *run, double *others_s)
{
    double first_s = INFINITY;
    *others_s = INFINITY;
    for (int32_t s = 0; s < run->num_servers; s++) {
        const double next_s = next_instant_s(&run->walks[s], run->walks[s].alone);
        *others_s = fmin(*others_s, fmax(next_s, first_s));
        first_s = fmin(first_s, next_s);
    }
    return before_sent_s(run, first_s, others_s);
}

/* Completions bind the replicas together: from one instant to the next of all. */
static int walk_in_step(struct vidur_run *run, struct vidur_walk *walks)
{
    double now_s, others_s;
    while ((now_s = first_instant_s(run, &others_s)) < INFINITY) {
        if (now_s > run->limit_s) {
            run->time_limited = true;
            take_all(walks, run->num_servers, run->limit_s);
            return 0;
        }
        for (int32_t s = 0; s < run->num_servers; s++) {
            if (next_instant_s(&walks[s], walks[s].alone) != now_s)
                continue;
            vidur_walk_set_until(&walks[s], others_s);
            if (do_walk_instant(&walks[s], now_s) < 0)
                return -1;
        }
        route_sent(run, now_s);
        if (vidur_run_lost(run, now_s)) {
            take_all(walks, run->num_servers, now_s);
            return 0;
        }
    }
    return 0;
}

/* ---- Pools that hand requests over ---- */

/*
 * Replicas that prefill go from one instant to the next of all, as in a closed loop.
 * One that decodes matters to others only while requests wait to be loaded into it or,
 * where completions send requests, when it has some: then it goes with them. Else it is
 * left behind until somebody looks at it, and skips what repeats until then.
 */
static bool goes_along(const struct vidur_run *run, int32_t server)
{
    return server < run->entry.num_servers || run->sending.is_active ||
           run->servers[server].to_load_head != VIDUR_NO_REQUEST;
}

/* Those that were left behind, up to `until_s`. */
static void catch_up(struct vidur_run *run, double until_s)
{
    for (int32_t s = run->entry.num_servers; s < run->num_servers; s++)
        if (!goes_along(run, s) && !run->walk_failed)
            run->walk_failed = walk_to(&run->walks[s], until_s) < 0;
}

static void look_ahead_all(struct vidur_run *run)
{
    for (int32_t s = 0; s < run->num_servers; s++)
        look_ahead(&run->walks[s]);
}

/* As first_instant_s, of those that go along, arrivals and ends of transfers. */
static double first_of_fleet_s(const struct vidur_run *run, int64_t next,
                               double *others_s)
{
    const bool open = !run->sending.is_active;
    double first_s = open && next < run->requests.count
                         ? run->requests.arrived_at_s[next]
                         : INFINITY;
    const double ends_s = vidur_transfers_next_s(&run->transfers);
    *others_s = fmax(first_s, ends_s);
    first_s = fmin(first_s, ends_s);
    for (int32_t s = 0; s < run->num_servers; s++) {
        if (!goes_along(run, s))
            continue;
        const double next_s = next_instant_s(&run->walks[s], run->walks[s].alone);
        *others_s = fmin(*others_s, fmax(next_s, first_s));
        first_s = fmin(first_s, next_s);
    }
    return before_sent_s(run, first_s, others_s);
}

static int do_fleet_instant(struct vidur_run *run, double now_s, double others_s)
{
    if (vidur_transfers_next_s(&run->transfers) == now_s) {
        catch_up(run, now_s);
        while (vidur_transfers_next_s(&run->transfers) == now_s)
            vidur_transfers_finish(run);
        look_ahead_all(run);
    }
    for (int32_t s = 0; s < run->num_servers; s++) {
        struct vidur_walk *walk = &run->walks[s];
        if (!goes_along(run, s) || next_instant_s(walk, walk->alone) != now_s)
            continue;
        vidur_walk_set_until(walk, others_s);
        if (do_walk_instant(walk, now_s) < 0)
            return -1;
        look_ahead_all(run);
    }
    return run->walk_failed ? -1 : 0;
}

/* Whether a replica that was woken has still to be asked for a batch, before what is
 * sent arrives. */
static bool wakes_at(const struct vidur_run *run, double now_s)
{
    for (int32_t s = 0; s < run->num_servers; s++)
        if (goes_along(run, s) &&
            next_instant_s(&run->walks[s], run->walks[s].alone) == now_s)
            return true;
    return false;
}

static bool is_fleet_lost(struct vidur_run *run, double now_s)
{
    if (!run->watching || !vidur_slo_watch_is_due(&run->watch, now_s))
        return false;
    catch_up(run, now_s);
    return !run->walk_failed && vidur_run_lost(run, now_s);
}

static int walk_fleet(struct vidur_run *run)
{
    double now_s = 0, next_s, others_s;
    int64_t next = 0;
    while ((next_s = first_of_fleet_s(run, next, &others_s)) < INFINITY) {
        now_s = next_s;
        if (now_s > run->limit_s) {
            run->time_limited = true;
            break;
        }
        if (!run->sending.is_active)
            next = route_together(run, next, now_s);
        if (do_fleet_instant(run, now_s, others_s))
            return -1;
        if (!wakes_at(run, now_s))
            route_sent(run, now_s);
        if (is_fleet_lost(run, now_s)) {
            take_all(run->walks, run->num_servers, now_s);
            return 0;
        }
        if (run->walk_failed)
            return -1;
    }
    return drain(run, run->walks, now_s);
}

size_t vidur_walk_bytes(void)
{
    return sizeof(struct vidur_walk);
}

int vidur_run_stepper(struct vidur_run *run, const struct vidur_arrivals *arrivals)
{
    if (arrivals->server >= 0)
        return walk_alone(run, arrivals);
    for (int32_t s = 0; s < run->num_servers; s++)
        run->walks[s] = begin(run, &run->servers[s], false);
    if (run->onward.num_servers > 0)
        return walk_fleet(run);
    return run->sending.is_active ? walk_in_step(run, run->walks)
                                  : walk_together(run, run->walks);
}
