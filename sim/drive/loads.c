#include "drive/loads.h"

#include "replica/host_tier.h"

#include <math.h>

double vidur_server_next_load_s(struct vidur_server *server)
{
    double next_s = INFINITY;
    for (int32_t r = 0; r < server->num_ranks; r++)
        next_s =
            fmin(next_s, vidur_next_load_s(&vidur_server_rank(server, r)->replica));
    return next_s;
}

bool vidur_server_end_loads(struct vidur_server *server, double now_s)
{
    bool just_now = false;
    for (int32_t r = 0; r < server->num_ranks; r++)
        just_now |= vidur_end_loads(&vidur_server_rank(server, r)->replica, now_s);
    return just_now;
}

void vidur_loads_end(struct vidur_walk *walk, double now_s)
{
    struct vidur_run *run = walk->run;
    const bool just_now = vidur_server_end_loads(walk->server, now_s);
    vidur_walk_set_until(walk, walk->given_until_s);
    if (just_now)
        walk->server->woken_at_s = now_s;
    if (!just_now || !walk->takes_sent)
        return;
    while (vidur_sending_next_s(&run->sending) < now_s)
        vidur_run_route(run, walk->server, vidur_run_take_sent(run));
    walk->takes_sent = false;
    walk->until_s = fmin(walk->until_s, vidur_sending_next_s(&run->sending));
}

void vidur_loads_look_ahead(struct vidur_walk *walk)
{
    const double loaded_s = vidur_server_next_load_s(walk->server);
    walk->until_s = fmin(walk->until_s, loaded_s);
    walk->server->woken_at_s = fmin(walk->server->woken_at_s, loaded_s);
}

void vidur_loads_skip(struct vidur_walk *walk)
{
    struct vidur_server *server = walk->server;
    struct vidur_live_batch *batch = server->pipeline.batches;
    if (!walk->skips_behind_loads || server->pipeline.in_flight == 0 ||
        batch->formed_at_change < 0 || walk->run->stopped_early)
        return;
    walk->skip(walk, batch);
    walk->ends_at_s = server->replica.now_s + batch->step.stage_s[VIDUR_STAGE_LAST];
}
