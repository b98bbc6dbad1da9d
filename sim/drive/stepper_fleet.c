#include "drive/stepper.h"

#include <math.h>

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

/* If it was left behind, up to `until_s`. */
static void catch_up_with(struct vidur_run *run, int32_t server, double until_s)
{
    if (!goes_along(run, server) && !run->walk_failed)
        run->walk_failed = vidur_walk_to(&run->walks[server], until_s) < 0;
}

/* All that were left behind. */
static void catch_up(struct vidur_run *run, double until_s)
{
    for (int32_t s = run->entry.num_servers; s < run->num_servers; s++)
        catch_up_with(run, s, until_s);
}

/* The one that is looked at now. The watch on SLOs looks at all. */
static void catch_up_to_look(struct vidur_run *run, int32_t server, double now_s)
{
    if (run->watching)
        catch_up(run, now_s);
    else
        catch_up_with(run, server, now_s);
}

/* Transfers that have ended may have woken any of them. */
static void look_ahead_of_woken(struct vidur_run *run)
{
    for (int32_t s = 0; s < run->num_servers && run->transfers.has_woken; s++)
        vidur_walk_look_ahead(&run->walks[s]);
    run->transfers.has_woken = false;
}

static void depart(struct vidur_run *run, struct vidur_server *server, double now_s)
{
    int32_t to;
    if (!run->onward.router->is_static)
        catch_up(run, now_s);
    for (int32_t request;
         (request = vidur_transfers_pick(run, server, &to)) != VIDUR_NO_REQUEST;) {
        catch_up_to_look(run, to, now_s);
        vidur_transfers_send(run, server, request, to);
    }
}

/* Those that depart with the batch go on, and those that wait to be loaded may be.
 * Either may wake other replicas. */
void vidur_fleet_hand_over(struct vidur_walk *walk, double now_s)
{
    struct vidur_run *run = walk->run;
    struct vidur_server *server = walk->server;
    if (server->replica.departed_head != VIDUR_NO_REQUEST)
        depart(run, server, now_s);
    if (server->to_load_head != VIDUR_NO_REQUEST && vidur_transfers_start(run, server))
        walk->until_s = now_s;
    look_ahead_of_woken(run);
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
    *others_s = vidur_later(first_s, ends_s);
    first_s = vidur_earlier(first_s, ends_s);
    for (int32_t s = 0; s < run->num_servers; s++) {
        if (!goes_along(run, s))
            continue;
        const double next_s = vidur_walk_next_s(&run->walks[s], run->walks[s].alone);
        *others_s = vidur_earlier(*others_s, vidur_later(next_s, first_s));
        first_s = vidur_earlier(first_s, next_s);
    }
    return vidur_before_sent_s(run, first_s, others_s);
}

static int do_fleet_instant(struct vidur_run *run, double now_s, double others_s)
{
    while (vidur_transfers_next_s(&run->transfers) == now_s) {
        catch_up_to_look(run, vidur_transfers_next_to(&run->transfers), now_s);
        vidur_transfers_finish(run);
    }
    look_ahead_of_woken(run);
    for (int32_t s = 0; s < run->num_servers; s++) {
        struct vidur_walk *walk = &run->walks[s];
        if (!goes_along(run, s) || vidur_walk_next_s(walk, walk->alone) != now_s)
            continue;
        vidur_walk_set_until(walk, others_s);
        if (vidur_walk_instant(walk, now_s) < 0)
            return -1;
        look_ahead_of_woken(run);
    }
    return run->walk_failed ? -1 : 0;
}

/* Whether a replica that was woken has still to be asked for a batch, before what is
 * sent arrives. */
static bool wakes_at(const struct vidur_run *run, double now_s)
{
    for (int32_t s = 0; s < run->num_servers; s++)
        if (goes_along(run, s) &&
            vidur_walk_next_s(&run->walks[s], run->walks[s].alone) == now_s)
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

int vidur_walk_fleet(struct vidur_run *run)
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
            next = vidur_route_together(run, next, now_s);
        if (do_fleet_instant(run, now_s, others_s))
            return -1;
        if (run->sending.is_active && !wakes_at(run, now_s))
            vidur_route_sent(run, now_s);
        if (is_fleet_lost(run, now_s)) {
            vidur_walks_take_all(run->walks, run->num_servers, now_s);
            return 0;
        }
        if (run->walk_failed)
            return -1;
    }
    return vidur_walks_drain(run, run->walks, now_s);
}
