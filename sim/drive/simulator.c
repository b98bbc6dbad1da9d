#include "drive/layout.h"

#include "replica/told.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct vidur_simulator {
    struct vidur_fleet fleet;
    struct vidur_pool_model pools[VIDUR_MAX_POOLS]; /* the fleet's, as far as built */
    int num_pools;
    struct vidur_arena arena; /* of the last run */
    struct vidur_token_gaps gaps;
    struct vidur_request_records records;
};

/* ---- Creation ---- */

static int create(struct vidur_simulator **out, const struct vidur_fleet *fleet,
                  struct vidur_error *err)
{
    *out = calloc(1, sizeof **out);
    if (!*out)
        return vidur_fail(err, VIDUR_ENOMEM, "no memory for a simulator");
    (*out)->fleet = *fleet;
    return 0;
}

/* The next of the fleet's pools. */
static int add_pool(struct vidur_simulator *simulator,
                    const struct vidur_scheduler_ops *ops,
                    const struct vidur_simulator_inputs *inputs,
                    struct vidur_error *err)
{
    const struct vidur_pool *config = &simulator->fleet.pools[simulator->num_pools];
    struct vidur_pool_model *pool = &simulator->pools[simulator->num_pools++];
    *pool = (struct vidur_pool_model){.deployment = &config->deployment,
                                      .role = config->role,
                                      .weight = config->weight,
                                      .ops = ops,
                                      .max_tokens = inputs->max_tokens};
    return vidur_pool_model_build(pool, inputs->timetable, err);
}

int vidur_simulator_create_with(struct vidur_simulator **out,
                                const struct vidur_scheduler_ops *ops,
                                const struct vidur_deployment *deployment,
                                const struct vidur_simulator_inputs *inputs,
                                struct vidur_error *err)
{
    struct vidur_simulator *simulator;
    struct vidur_fleet fleet;
    vidur_fleet_of(&fleet, deployment);
    /* The deployment may name a scheduler that is not in the registry. */
    if (vidur_scheduler_find(ops->name) == ops)
        strcpy(fleet.pools[0].deployment.scheduler.type, ops->name);
    if (create(&simulator, &fleet, err))
        return -1;
    if (add_pool(simulator, ops, inputs, err)) {
        vidur_simulator_destroy(simulator);
        return -1;
    }
    *out = simulator;
    return 0;
}

int vidur_simulator_create(struct vidur_simulator **out,
                           const struct vidur_deployment *deployment,
                           const struct vidur_timetable *timetable, int max_tokens,
                           struct vidur_error *err)
{
    const struct vidur_simulator_inputs inputs = {timetable, max_tokens};
    if (vidur_deployment_check(deployment, err))
        return -1;
    return vidur_simulator_create_with(out,
                                       vidur_scheduler_find(deployment->scheduler.type),
                                       deployment, &inputs, err);
}

/* A request that moves must fit into either replica beside nothing else. */
static int check_room(const struct vidur_simulator *simulator, struct vidur_error *err)
{
    for (int i = 0; simulator->fleet.num_pools > 1 && i < simulator->num_pools; i++) {
        const struct vidur_pool_model *pool = &simulator->pools[i];
        const int size = pool->deployment->scheduler.block_size;
        const int64_t needed = (pool->max_tokens + size - 1) / size;
        if (pool->plan.num_blocks < needed)
            return vidur_fail(
                err, VIDUR_EINVAL,
                "pools.%d.scheduler.num_blocks: the KV cache of a replica "
                "has %lld blocks of %d tokens, a request of %d tokens "
                "needs %lld; give it more blocks",
                i, (long long)pool->plan.num_blocks, size, pool->max_tokens,
                (long long)needed);
    }
    return 0;
}

int vidur_simulator_create_fleet(struct vidur_simulator **out,
                                 const struct vidur_fleet *fleet,
                                 const struct vidur_timetable *const *timetables,
                                 int max_tokens, struct vidur_error *err)
{
    struct vidur_simulator *simulator;
    int status = 0;
    if (vidur_fleet_check(fleet, err) || create(&simulator, fleet, err))
        return -1;
    for (int i = 0; status == 0 && i < fleet->num_pools; i++) {
        const struct vidur_simulator_inputs inputs = {timetables[i], max_tokens};
        const char *type = fleet->pools[i].deployment.scheduler.type;
        status = add_pool(simulator, vidur_scheduler_find(type), &inputs, err);
        if (status && fleet->num_pools > 1)
            vidur_fail_prefix(err, "pools.%d", i);
    }
    if (status || check_room(simulator, err)) {
        vidur_simulator_destroy(simulator);
        return -1;
    }
    *out = simulator;
    return 0;
}

void vidur_simulator_destroy(struct vidur_simulator *simulator)
{
    if (!simulator)
        return;
    for (int i = 0; i < simulator->num_pools; i++)
        vidur_pool_model_release(&simulator->pools[i]);
    free(simulator->gaps.values);
    vidur_arena_fini(&simulator->arena);
    free(simulator);
}

/* ---- Preparing a run ---- */

/* Room for when requests arrive, where stages of load or completions say it, and for
 * when schedulers see them, where front ends, transfers or loads say it. */
static void place_arrivals(struct vidur_simulator *simulator, struct vidur_run *run,
                           const struct vidur_layout *layout)
{
    struct vidur_request_table *table = &run->requests;
    const size_t count = (size_t)table->count;
    const bool staged = run->workload->stages.count > 1;
    if (layout->moves_arrivals) {
        run->moved_arrivals_s =
            vidur_arena_alloc(&simulator->arena, count, sizeof(double));
        memcpy(run->moved_arrivals_s, table->arrived_at_s, count * sizeof(double));
        for (size_t i = (size_t)run->workload->stages.first_request[1];
             staged && i < count; i++)
            run->moved_arrivals_s[i] = INFINITY; /* nobody knows yet */
        table->arrived_at_s = run->moved_arrivals_s;
    }
    if (layout->sends)
        vidur_sending_init(&run->sending, &simulator->arena, run->workload,
                           run->moved_arrivals_s);
    table->seen_at_s = table->arrived_at_s;
    run->has_front_end = layout->has_front_end;
    run->has_loads = layout->loads;
    if (!run->has_front_end && !run->has_loads &&
        run->fleet->pools[0].role == VIDUR_POOL_ALL)
        return;
    run->seen_at_s = vidur_arena_alloc(&simulator->arena, count, sizeof(double));
    table->seen_at_s = run->seen_at_s;
}

/* A router over the servers of pools from `first_pool` on, of which there are
 * `num_servers` from `first_server` on. */
static void init_route(struct vidur_run *run, struct vidur_route *route, int first_pool,
                       struct vidur_arena *arena)
{
    const size_t sessions = (size_t)run->workload->sessions.count;
    const struct vidur_deployment *deployment = run->pools[first_pool].deployment;
    route->router = vidur_router_find(deployment->router);
    route->replicas = run->replicas + route->first_server;
    vidur_router_init(&route->state, deployment, run->workload);
    route->state.num_replicas = route->num_servers;
    route->state.replica_of =
        vidur_arena_alloc(arena, sessions, sizeof *route->state.replica_of);
    for (size_t i = 0; i < sessions; i++)
        route->state.replica_of[i] = -1;
}

static void weigh_route(const struct vidur_run *run, struct vidur_route *route,
                        struct vidur_arena *arena)
{
    const size_t servers = (size_t)route->num_servers;
    double *weights = vidur_arena_alloc(arena, servers, sizeof *weights);
    double *credits = vidur_arena_alloc(arena, servers, sizeof *credits);
    for (size_t i = 0; i < servers; i++)
        weights[i] = run->servers[(size_t)route->first_server + i].pool->weight;
    vidur_router_weigh(&route->state, weights, credits);
}

/* Who tells the router of arrivals: all ranks that it chooses among, if it polls. Of
 * one server there is nothing to choose. */
static void init_told(struct vidur_run *run, struct vidur_arena *arena)
{
    const bool polls = run->entry.router->polls && run->num_servers > 1;
    run->follows_ends = run->sending.is_active || polls;
    for (int32_t i = 0; polls && i < run->entry.num_servers; i++) {
        struct vidur_server *server = &run->servers[i];
        struct vidur_told *told =
            vidur_arena_alloc(arena, (size_t)server->num_ranks, sizeof *told);
        for (int32_t r = 0; r < server->num_ranks; r++) {
            vidur_told_init(&told[r], !run->by_events);
            vidur_server_rank(server, r)->replica.told = &told[r];
        }
    }
}

static void init_run(struct vidur_simulator *simulator, struct vidur_run *run,
                     const struct vidur_layout *layout)
{
    struct vidur_arena *arena = &simulator->arena;
    const struct vidur_deployment *first = run->pools[0].deployment;
    run->watch.counts = vidur_arena_alloc(arena, (size_t)layout->watch.num_counts,
                                          sizeof *run->watch.counts);
    if (layout->watch.num_missed > 0)
        run->watch.missed =
            vidur_arena_alloc(arena, (size_t)layout->watch.num_missed, 1);
    vidur_slo_watch_init(&run->watch, run->options, run->workload,
                         first->semantics == VIDUR_SEMANTICS_CORRECTED);
    run->session_scratch = vidur_arena_alloc(
        arena, 3 * (size_t)run->workload->sessions.count, sizeof(double));
    vidur_layout_servers(layout, run, arena);
    run->entry.num_servers = run->onward.first_server = (int32_t)layout->num_entries;
    init_route(run, &run->entry, 0, arena);
    init_told(run, arena);
    run->onward.num_servers = run->num_servers - run->entry.num_servers;
    if (run->onward.num_servers > 0) {
        init_route(run, &run->onward, vidur_fleet_num_entries(run->fleet), arena);
        vidur_transfers_init(&run->transfers, arena, run);
    }
    weigh_route(run, &run->entry, arena);
    weigh_route(run, &run->onward, arena);
    vidur_token_gaps_reset(&simulator->gaps);
    simulator->gaps.of_batches = run->options->tbt_definition == VIDUR_TBT_BATCH;
}

/* ---- Running ---- */

/* Requests by the server that a static router sends them to: first[i] .. first[i +
 * 1] of `ids`. */
static void route_all(struct vidur_run *run, int32_t *ids, int32_t *first)
{
    int32_t *target = run->requests.next; /* not in use before the run */
    const int64_t count = run->requests.count;
    memset(first, 0, ((size_t)run->num_servers + 1) * sizeof *first);
    for (int64_t i = 0; i < count; i++) {
        target[i] = vidur_route_pick(&run->entry, (int32_t)i);
        first[target[i] + 1]++;
    }
    for (int32_t i = 0; i < run->num_servers; i++)
        first[i + 1] += first[i];
    for (int64_t i = 0; i < count; i++)
        ids[first[target[i]]++] = (int32_t)i;
    for (int32_t i = run->num_servers; i > 0; i--)
        first[i] = first[i - 1];
    first[0] = 0;
}

static double latest_s(const struct vidur_run *run)
{
    double latest = 0;
    for (int32_t i = 0; i < run->num_ranks; i++)
        latest = fmax(latest, run->servers[i].ended_at_s);
    return latest;
}

static int drive(struct vidur_run *run, const struct vidur_arrivals *arrivals)
{
    if (run->sending.is_active) {
        vidur_sending_begin(&run->sending, arrivals->ids, arrivals->count);
        vidur_slo_watch_scope(&run->watch, run->sending.order, 0);
    } else {
        vidur_slo_watch_scope(&run->watch, arrivals->ids, arrivals->count);
    }
    if (vidur_run_poll(run, 0) || (run->by_events ? vidur_run_events(run, arrivals)
                                                  : vidur_run_stepper(run, arrivals)))
        return -1;
    return vidur_run_poll(run, latest_s(run));
}

static int drive_each(struct vidur_simulator *simulator, struct vidur_run *run)
{
    const size_t requests = (size_t)run->requests.count;
    int32_t *ids = vidur_arena_alloc(&simulator->arena, requests, sizeof *ids);
    int32_t *first = vidur_arena_alloc(&simulator->arena, (size_t)run->num_servers + 1,
                                       sizeof *first);
    route_all(run, ids, first);
    for (int32_t i = 0; i < run->num_servers && !run->stopped_early; i++) {
        const struct vidur_arrivals arrivals = {
            .ids = ids + first[i], .count = first[i + 1] - first[i], .server = i};
        if (drive(run, &arrivals))
            return -1;
    }
    return 0;
}

static int drive_all(struct vidur_run *run)
{
    const struct vidur_arrivals arrivals = {.count = run->requests.count,
                                            .server = run->num_servers == 1 ? 0 : -1};
    return drive(run, &arrivals);
}

static void put_seconds(uint64_t *ticks, double seconds)
{
    memcpy(ticks, &seconds, sizeof seconds);
}

/* In place. Between its first schedule and its last batch a request executes or is
 * preempted: what is missing there is what the ticks of its preemption lost by
 * wrapping.
 */
static void ticks_to_seconds(const struct vidur_request_table *table)
{
    for (int64_t i = 0; i < table->count; i++) {
        const double execution_s = vidur_ticks_to_s(table->execution_ticks[i]);
        double preempted_s = vidur_ticks_to_s(table->preempted_ticks[i]);
        const double missing_s = table->last_done_s[i] - table->scheduled_at_s[i] -
                                 (execution_s + preempted_s);
        if (missing_s > 0x1p16)
            preempted_s += 0x1p17 * rint(missing_s * 0x1p-17);
        put_seconds(&table->execution_ticks[i], execution_s);
        put_seconds(&table->preempted_ticks[i], preempted_s);
    }
    for (int64_t i = 0; table->model_ticks && i < table->count; i++)
        put_seconds(&table->model_ticks[i], vidur_ticks_to_s(table->model_ticks[i]));
}

static void keep_records(struct vidur_simulator *simulator, struct vidur_run *run)
{
    struct vidur_request_table *table = &run->requests;
    ticks_to_seconds(table);
    void *execution = table->execution_ticks, *preempted = table->preempted_ticks;
    void *model = table->model_ticks ? table->model_ticks : execution;
    simulator->records = (struct vidur_request_records){
        .count = table->count,
        .arrived_at_s = table->arrived_at_s,
        .scheduled_at_s = table->scheduled_at_s,
        .prefill_completed_at_s = table->prefill_completed_at_s,
        .completed_at_s = table->completed_at_s,
        .execution_time_s = execution,
        .model_execution_time_s = model,
        .preempted_time_s = preempted,
        .num_prefill_tokens = table->prefill_tokens,
        .num_decode_tokens = table->decode_tokens,
        .arrived_prefill_tokens = run->workload->num_prefill_tokens,
        .arrived_decode_tokens = run->workload->num_decode_tokens,
        .num_restarts = table->num_restarts,
        .cached_tokens = table->cached_tokens,
        .departed_at_s = run->transfers.departed_at_s,
        .loaded_at_s = run->transfers.loaded_at_s};
}

static int check_options(const struct vidur_workload *workload,
                         const struct vidur_run_options *options,
                         struct vidur_error *err)
{
    if (workload->num_requests < 1 || workload->num_requests > INT32_MAX / 4)
        return vidur_fail(err, VIDUR_EINVAL,
                          "workload: %lld requests; a run takes 1 to %d",
                          (long long)workload->num_requests, INT32_MAX / 4);
    if (options->num_slos > VIDUR_MAX_SLOS)
        return vidur_fail(err, VIDUR_EINVAL, "slos: there are %d; a run takes up to %d",
                          options->num_slos, VIDUR_MAX_SLOS);
    for (int i = 0; i < options->num_slos; i++) {
        const struct vidur_slo *slo = &options->slos[i];
        if (vidur_slo_check(slo, err) != 0)
            return vidur_fail_prefix(err, "slos.%d", i);
        if (slo->class_number < 0 || slo->class_number > workload->num_classes)
            return vidur_fail(err, VIDUR_EINVAL,
                              "slos.%d: class %d of a workload of %d", i,
                              slo->class_number, workload->num_classes);
    }
    return 0;
}

int vidur_simulator_run(struct vidur_simulator *simulator,
                        const struct vidur_workload *workload,
                        const struct vidur_run_options *options,
                        struct vidur_metrics *metrics, struct vidur_error *err)
{
    if (check_options(workload, options, err))
        return -1;
    struct vidur_layout layout;
    vidur_layout_plan(&layout, simulator->pools, simulator->num_pools, workload,
                      options);
    struct vidur_run run = {.fleet = &simulator->fleet,
                            .pools = simulator->pools,
                            .num_pools = simulator->num_pools,
                            .workload = workload,
                            .options = options,
                            .gaps = &simulator->gaps,
                            .limit_s = options->time_limit_s > 0 ? options->time_limit_s
                                                                 : INFINITY,
                            .by_events = layout.by_events,
                            .next_report = 1,
                            .watching = options->stop_early && options->num_slos > 0,
                            .err = err};
    simulator->records = (struct vidur_request_records){0};
    if (vidur_arena_reserve(&simulator->arena,
                            vidur_layout_bytes(&layout, simulator->pools), err) ||
        vidur_requests_init(&run.requests, &simulator->arena, workload,
                            layout.cpu_overhead, err))
        return -1;
    place_arrivals(simulator, &run, &layout);
    init_run(simulator, &run, &layout);
    if (layout.by_server ? drive_each(simulator, &run) : drive_all(&run))
        return -1;
    vidur_run_close(&run);
    if (simulator->gaps.out_of_memory)
        return vidur_fail(err, VIDUR_ENOMEM, "no memory for the gaps of tokens");
    keep_records(simulator, &run);
    double *scratch = vidur_arena_alloc(
        &simulator->arena, (size_t)workload->num_requests, sizeof *scratch);
    vidur_run_metrics(&run, scratch, metrics);
    return 0;
}

const struct vidur_request_records *
vidur_simulator_requests(const struct vidur_simulator *simulator)
{
    return &simulator->records;
}

int64_t vidur_simulator_memory_bytes(const struct vidur_simulator *simulator)
{
    size_t bytes = sizeof *simulator + simulator->arena.size_bytes +
                   (size_t)simulator->gaps.capacity * sizeof *simulator->gaps.values;
    for (int i = 0; i < simulator->num_pools; i++)
        bytes += simulator->pools[i].step_model_bytes;
    return (int64_t)bytes;
}
