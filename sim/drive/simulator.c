#include "drive/run.h"
#include "replica/block_store.h"

#include "base/policy.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct vidur_simulator {
    struct vidur_deployment deployment;
    struct vidur_memory_plan plan;
    int max_tokens;
    const struct vidur_scheduler_ops *ops;
    const struct vidur_router_ops *router;
    const struct vidur_step_model_ops *step_ops;
    void *step_model;
    size_t step_model_bytes;
    struct vidur_scheduler_env env;
    struct vidur_arena arena; /* of the last run */
    struct vidur_token_gaps gaps;
    struct vidur_request_records records;
};

/* ---- Creation ---- */

static int batch_cap(const struct vidur_simulator *simulator)
{
    return (int)vidur_knob_value(&simulator->deployment.scheduler,
                                 simulator->ops->batch_cap);
}

static void describe_env(struct vidur_simulator *simulator)
{
    const struct vidur_deployment *deployment = &simulator->deployment;
    const struct vidur_scheduler_config *knobs = &deployment->scheduler;
    const int64_t per_request = simulator->max_tokens / knobs->block_size;
    simulator->env = (struct vidur_scheduler_env){
        .deployment = deployment,
        .plan = &simulator->plan,
        .max_tokens = simulator->max_tokens,
        .blocks_per_request = per_request > 0 ? per_request : 1,
        .batch_capacity = batch_cap(simulator),
        .batches_at_once = simulator->ops->batches_at_once
                               ? simulator->ops->batches_at_once(deployment)
                               : deployment->num_pipeline_stages};
}

static int build_step_model(struct vidur_simulator *simulator,
                            const struct vidur_timetable *timetable,
                            struct vidur_error *err)
{
    const struct vidur_step_env env = {.deployment = &simulator->deployment,
                                       .timetable = timetable,
                                       .max_tokens = simulator->max_tokens};
    simulator->step_ops = simulator->ops->step_model;
    simulator->step_model_bytes =
        vidur_arena_bytes(simulator->step_ops->state_bytes(&env), 1);
    simulator->step_model =
        aligned_alloc(VIDUR_ARENA_ALIGN, simulator->step_model_bytes);
    if (!simulator->step_model)
        return vidur_fail(err, VIDUR_ENOMEM, "no memory for the step model");
    return simulator->step_ops->init(simulator->step_model, &env, err);
}

/* Facts that no default can stand for. */
static int check_scheduler(const struct vidur_scheduler_ops *ops,
                           struct vidur_error *err)
{
    const char *missing = NULL;
    if (!ops->step_model)
        missing = "step_model";
    else if (ops->batch_cap == VIDUR_KNOB_NONE)
        missing = "batch_cap";
    else if (ops->whole_prompts && ops->token_budget == VIDUR_KNOB_NONE)
        missing = "token_budget for its whole_prompts";
    else if (!ops->next_batch)
        missing = "next_batch";
    if (!missing)
        return 0;
    return vidur_fail(err, VIDUR_EINVAL, "scheduler '%s' has no %s; set that member",
                      ops->name, missing);
}

static int build(struct vidur_simulator *simulator,
                 const struct vidur_timetable *timetable, struct vidur_error *err)
{
    const struct vidur_deployment *deployment = &simulator->deployment;
    if (simulator->max_tokens < 1)
        return vidur_fail(err, VIDUR_EINVAL, "workload.max_tokens: %d is below 1",
                          simulator->max_tokens);
    if (check_scheduler(simulator->ops, err))
        return -1;
    vidur_memory_plan_with(simulator->ops, deployment, simulator->max_tokens,
                           &simulator->plan);
    if (!simulator->plan.fits)
        return vidur_fail(
            err, VIDUR_EINVAL,
            "%s does not fit in the memory of %s with tensor_parallel_size "
            "%d and num_pipeline_stages %d; use more or larger devices",
            deployment->model.name, deployment->device.name,
            deployment->tensor_parallel_size, deployment->num_pipeline_stages);
    simulator->router = vidur_router_find(deployment->router);
    describe_env(simulator);
    return build_step_model(simulator, timetable, err);
}

int vidur_simulator_create_with(struct vidur_simulator **out,
                                const struct vidur_scheduler_ops *ops,
                                const struct vidur_deployment *deployment,
                                const struct vidur_simulator_inputs *inputs,
                                struct vidur_error *err)
{
    struct vidur_simulator *simulator = calloc(1, sizeof *simulator);
    if (!simulator)
        return vidur_fail(err, VIDUR_ENOMEM, "no memory for a simulator");
    simulator->deployment = *deployment;
    simulator->ops = ops;
    simulator->max_tokens = inputs->max_tokens;
    /* The deployment may name a scheduler that is not in the registry. */
    if (vidur_scheduler_find(ops->name) == ops)
        strcpy(simulator->deployment.scheduler.type, ops->name);
    if (build(simulator, inputs->timetable, err)) {
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

void vidur_simulator_destroy(struct vidur_simulator *simulator)
{
    if (!simulator)
        return;
    free(simulator->step_model);
    free(simulator->gaps.values);
    vidur_arena_fini(&simulator->arena);
    free(simulator);
}

/* ---- Laying out a run's memory ---- */

struct layout {
    struct vidur_replica_sizes sizes;
    int64_t num_requests;
    int64_t num_servers;
    int64_t num_sessions;
    size_t sending_bytes;
    int num_slos;
    int64_t event_capacity;
    size_t scheduler_bytes;
    struct vidur_front_end_times front_end;
    struct vidur_block_store_sizes store; /* num_slots 0: blocks are only counted */
    bool cpu_overhead;
    bool by_events;
    bool by_server; /* each server alone: lists of requests are needed */
    bool sends;     /* completions send requests */
};

/* More requests than blocks cannot run, unless a foreign policy takes none. */
static int64_t running_bound(const struct vidur_simulator *simulator, int64_t requests)
{
    const int64_t slots =
        (int64_t)simulator->env.batch_capacity * (simulator->env.batches_at_once + 1);
    const int64_t bound =
        simulator->plan.num_blocks > slots ? simulator->plan.num_blocks : slots;
    const bool ours = vidur_scheduler_find(simulator->ops->name) == simulator->ops;
    return ours && bound < requests ? bound : requests;
}

/* Observers see every batch and event, in the order of the events. */
static bool is_observed(const struct vidur_run_options *options)
{
    return options->observer && (options->observer->batch || options->observer->event);
}

/* Blocks need names where prompts share them. */
static struct vidur_block_store_sizes
store_sizes(const struct vidur_simulator *simulator,
            const struct vidur_workload *workload)
{
    const struct vidur_scheduler_config *knobs = &simulator->deployment.scheduler;
    if (!simulator->ops->shares_prefixes || !knobs->prefix_caching ||
        (!workload->prompts.prompt && workload->sessions.count == 0))
        return (struct vidur_block_store_sizes){0};
    return (struct vidur_block_store_sizes){.num_blocks =
                                                (int32_t)simulator->plan.num_blocks,
                                            .num_slots = simulator->env.batch_capacity,
                                            .block_size = knobs->block_size,
                                            .max_tokens = simulator->max_tokens};
}

static struct layout plan_layout(struct vidur_simulator *simulator,
                                 const struct vidur_workload *workload,
                                 const struct vidur_run_options *options)
{
    const int64_t bound = running_bound(simulator, workload->num_requests);
    struct layout layout = {
        .num_requests = workload->num_requests,
        .num_servers = simulator->deployment.num_replicas,
        .num_sessions = workload->sessions.count,
        .num_slos = options->num_slos,
        .cpu_overhead = simulator->step_ops->has_cpu_overhead(simulator->step_model)};
    const bool observed = is_observed(options);
    /* Stages of load bind replicas together, which the stepper walks one by one. */
    layout.by_events =
        options->plain_stepping || observed || workload->stages.count > 1;
    simulator->env.running_capacity = (int32_t)(2 * bound + 64);
    layout.sizes = (struct vidur_replica_sizes){
        .num_stages = simulator->deployment.num_pipeline_stages,
        .batch_capacity = simulator->env.batch_capacity,
        .batches_at_once = simulator->env.batches_at_once,
        .running_capacity = simulator->env.running_capacity,
        .block_size = simulator->deployment.scheduler.block_size,
        .grouping = simulator->ops->groups_decodes && !layout.by_events};
    layout.store = store_sizes(simulator, workload);
    if (simulator->step_ops->front_end)
        layout.front_end = simulator->step_ops->front_end(simulator->step_model);
    layout.sends = workload->concurrency > 0 || workload->sessions.count > 0;
    layout.sending_bytes = layout.sends ? vidur_sending_bytes(workload) : 0;
    const bool apart = !layout.sends || (workload->concurrency == 0 &&
                                         simulator->router->keeps_sessions);
    layout.by_server = simulator->router->is_static && apart && !observed &&
                       layout.num_servers > 1 && workload->stages.count < 2;
    /* All requests can arrive together; per server: schedules, and per batch in flight
     * a few events. */
    if (layout.by_events)
        layout.event_capacity =
            workload->num_requests +
            layout.num_servers * (4 + 3 * (int64_t)layout.sizes.batches_at_once +
                                  2 * (int64_t)layout.sizes.num_stages);
    layout.scheduler_bytes =
        simulator->ops->state_bytes ? simulator->ops->state_bytes(&simulator->env) : 0;
    return layout;
}

static size_t layout_bytes(const struct layout *layout)
{
    const size_t servers = (size_t)layout->num_servers;
    const size_t requests = (size_t)layout->num_requests;
    const size_t store =
        layout->store.num_slots > 0
            ? vidur_block_store_bytes(&layout->store, layout->num_requests)
            : 0;
    const size_t each = store + vidur_replica_bytes(&layout->sizes) +
                        vidur_pipeline_bytes(&layout->sizes) +
                        vidur_arena_bytes(layout->scheduler_bytes, 1);
    return servers * each +
           vidur_requests_bytes(layout->num_requests, layout->cpu_overhead) +
           vidur_arena_bytes(servers, sizeof(struct vidur_server)) +
           vidur_arena_bytes(servers, sizeof(void *)) +
           vidur_arena_bytes(servers, sizeof(bool)) +
           vidur_arena_bytes(servers, vidur_walk_bytes()) +
           vidur_arena_bytes((size_t)layout->num_slos, sizeof(struct vidur_slo_count)) +
           vidur_arena_bytes((size_t)layout->event_capacity,
                             sizeof(struct vidur_event)) +
           vidur_arena_bytes((size_t)layout->sizes.batch_capacity, sizeof(int64_t)) +
           3 * vidur_arena_bytes(requests, sizeof(double)) +
           2 * vidur_arena_bytes(requests + servers + 1, sizeof(int32_t)) +
           layout->sending_bytes +
           vidur_arena_bytes(layout->store.num_slots > 0 ? requests : 0,
                             sizeof(int32_t)) +
           vidur_arena_bytes((size_t)layout->num_sessions, sizeof(int32_t)) +
           3 * vidur_arena_bytes((size_t)layout->num_sessions, sizeof(double)) + 4096;
}

static void init_server(struct vidur_simulator *simulator, struct vidur_run *run,
                        const struct layout *layout, int32_t index)
{
    struct vidur_server *server = &run->servers[index];
    struct vidur_replica *replica = &server->replica;
    const struct vidur_deployment *deployment = &simulator->deployment;
    const int64_t blocks = simulator->plan.num_blocks;
    *replica = (struct vidur_replica){
        .requests = &run->requests,
        .num_blocks = blocks,
        .watermark_blocks =
            (int64_t)(deployment->scheduler.watermark_blocks_fraction * (double)blocks),
        .context_granularity =
            simulator->step_ops->context_granularity(simulator->step_model),
        .keeps_blocks = simulator->ops->keeps_blocks,
        .fixed_blocks = simulator->ops->fixed_blocks,
        /* what shares prefixes is none of the reference's schedulers */
        .corrected = deployment->semantics == VIDUR_SEMANTICS_CORRECTED ||
                     simulator->ops->shares_prefixes,
        .index = index};
    vidur_replica_init(replica, &simulator->arena, &layout->sizes);
    replica->account->full_size =
        batch_cap(simulator) / deployment->num_pipeline_stages;
    replica->account->gaps = &simulator->gaps;
    replica->account->watch = run->watching ? &run->watch : NULL;
    replica->lists_completed = layout->sends;
    if (layout->store.num_slots > 0)
        replica->store =
            vidur_block_store_new(&simulator->arena, &layout->store, run->workload);
    vidur_pipeline_init(&server->pipeline, &simulator->arena, &layout->sizes);
    server->scheduler =
        vidur_arena_alloc(&simulator->arena, layout->scheduler_bytes, 1);
    server->front_end = (struct vidur_front_end){.head = VIDUR_NO_REQUEST};
    server->ended_at_s = 0;
    if (simulator->ops->init)
        simulator->ops->init(server->scheduler, &simulator->env);
    run->replicas[index] = replica;
}

/* Room for when requests arrive, where stages of load or completions say it, and for
 * when schedulers see them, where front ends say it. */
static void place_arrivals(struct vidur_simulator *simulator, struct vidur_run *run,
                           const struct layout *layout)
{
    const struct vidur_front_end_times *front_end = &layout->front_end;
    const bool sends = layout->sends;
    struct vidur_request_table *table = &run->requests;
    const size_t count = (size_t)table->count;
    const bool staged = run->workload->stages.count > 1;
    if (sends || staged) {
        run->moved_arrivals_s =
            vidur_arena_alloc(&simulator->arena, count, sizeof(double));
        memcpy(run->moved_arrivals_s, table->arrived_at_s, count * sizeof(double));
        for (size_t i = (size_t)run->workload->stages.first_request[1];
             staged && i < count; i++)
            run->moved_arrivals_s[i] = INFINITY; /* nobody knows yet */
        table->arrived_at_s = run->moved_arrivals_s;
    }
    if (sends)
        vidur_sending_init(&run->sending, &simulator->arena, run->workload,
                           run->moved_arrivals_s);
    table->seen_at_s = table->arrived_at_s;
    run->front_end = *front_end;
    run->has_front_end = front_end->per_prompt_token_s > 0 || front_end->delay_s > 0;
    if (!run->has_front_end)
        return;
    run->seen_at_s = vidur_arena_alloc(&simulator->arena, count, sizeof(double));
    table->seen_at_s = run->seen_at_s;
}

static void init_run(struct vidur_simulator *simulator, struct vidur_run *run,
                     const struct layout *layout)
{
    struct vidur_arena *arena = &simulator->arena;
    const size_t servers = (size_t)layout->num_servers;
    run->num_servers = (int32_t)layout->num_servers;
    run->servers = vidur_arena_alloc(arena, servers, sizeof *run->servers);
    run->replicas = vidur_arena_alloc(arena, servers, sizeof *run->replicas);
    run->touched = vidur_arena_alloc(arena, servers, sizeof *run->touched);
    memset(run->touched, 0, servers * sizeof *run->touched);
    run->walks = vidur_arena_alloc(arena, servers, vidur_walk_bytes());
    run->events.events = vidur_arena_alloc(arena, (size_t)layout->event_capacity,
                                           sizeof *run->events.events);
    run->session_scratch =
        vidur_arena_alloc(arena, 3 * (size_t)layout->num_sessions, sizeof(double));
    if (layout->store.num_slots > 0)
        run->requests.cached_tokens =
            vidur_arena_zalloc(arena, (size_t)layout->num_requests, sizeof(int32_t));
    run->observed_ids = vidur_arena_alloc(arena, (size_t)layout->sizes.batch_capacity,
                                          sizeof *run->observed_ids);
    vidur_slo_watch_init(&run->watch,
                         vidur_arena_alloc(arena, (size_t)layout->num_slos,
                                           sizeof(struct vidur_slo_count)),
                         run->options, run->workload,
                         run->deployment->semantics == VIDUR_SEMANTICS_CORRECTED);
    for (int32_t i = 0; i < run->num_servers; i++)
        init_server(simulator, run, layout, i);
    vidur_router_init(&run->router_state, run->deployment, run->workload);
    run->router_state.replica_of = vidur_arena_alloc(
        arena, (size_t)layout->num_sessions, sizeof *run->router_state.replica_of);
    for (int64_t i = 0; i < layout->num_sessions; i++)
        run->router_state.replica_of[i] = -1;
    vidur_token_gaps_reset(&simulator->gaps);
    simulator->gaps.of_batches = run->options->tbt_definition == VIDUR_TBT_BATCH;
}

/* ---- Running ---- */

/* Requests by the server that a static router sends them to: first[i] .. first[i + 1]
 * of `ids`. */
static void route_all(struct vidur_run *run, int32_t *ids, int32_t *first)
{
    int32_t *target = run->requests.next; /* not in use before the run */
    const int64_t count = run->requests.count;
    memset(first, 0, ((size_t)run->num_servers + 1) * sizeof *first);
    for (int64_t i = 0; i < count; i++) {
        target[i] = run->router->pick(&run->router_state, run->replicas, (int32_t)i);
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
    for (int32_t i = 0; i < run->num_servers; i++)
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
        .cached_tokens = table->cached_tokens};
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
        if (!(slo->quantile > 0 && slo->quantile <= 1) || !(slo->limit_s >= 0))
            return vidur_fail(
                err, VIDUR_EINVAL,
                "slos.%d: quantile %g and limit %g s; the quantile must be "
                "in (0, 1] and the limit not negative",
                i, slo->quantile, slo->limit_s);
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
    const struct layout layout = plan_layout(simulator, workload, options);
    struct vidur_run run = {.deployment = &simulator->deployment,
                            .plan = &simulator->plan,
                            .ops = simulator->ops,
                            .step_ops = simulator->step_ops,
                            .step_model = simulator->step_model,
                            .workload = workload,
                            .options = options,
                            .router = simulator->router,
                            .gaps = &simulator->gaps,
                            .limit_s = options->time_limit_s > 0 ? options->time_limit_s
                                                                 : INFINITY,
                            .by_events = layout.by_events,
                            .next_report = 1,
                            .watching = options->stop_early && options->num_slos > 0,
                            .err = err};
    simulator->records = (struct vidur_request_records){0};
    if (vidur_arena_reserve(&simulator->arena, layout_bytes(&layout), err) ||
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
    return (int64_t)(sizeof *simulator + simulator->step_model_bytes +
                     simulator->arena.size_bytes +
                     (size_t)simulator->gaps.capacity * sizeof *simulator->gaps.values);
}
