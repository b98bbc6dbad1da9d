#include "program/simulation.h"

#include "base/file.h"
#include "base/progress.h"
#include "tell/notes.h"
#include "tell/request_csv.h"

#include <vidur/paths.h>
#include <vidur/scheduler.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

static const double gib = 1024.0 * 1024 * 1024;

/* Where a pool's keys are: its own, or the top level's. */
static void put_pool_path(const struct vidur_fleet *fleet, int pool, char path[16])
{
    path[0] = 0;
    if (fleet->num_pools > 1)
        snprintf(path, 16, "pools.%d.", pool);
}

static int plan_pool(struct vidur_simulation *simulation, int pool,
                     struct vidur_error *err)
{
    const struct vidur_fleet *fleet = &simulation->config.fleet;
    const struct vidur_deployment *deployment = &fleet->pools[pool].deployment;
    struct vidur_memory_plan *plan = &simulation->plans[pool];
    const int max_tokens = simulation->config.workload.max_tokens;
    char path[16];
    vidur_memory_plan(deployment, max_tokens, plan);
    if (plan->fits)
        return 0;
    put_pool_path(fleet, pool, path);
    return vidur_fail(err, VIDUR_EINVAL,
                      "%scluster: %s does not fit: a device has %.1f GiB to use, its "
                      "share of the parameters takes %.1f GiB and the KV cache of one "
                      "request of %d tokens %.1f GiB; raise tensor_parallel_size or "
                      "num_pipeline_stages or take a larger device",
                      path, deployment->model.name, plan->available_bytes / gib,
                      plan->param_bytes / gib, max_tokens,
                      plan->kv_bytes_per_token * max_tokens / gib);
}

static int plan_memory(struct vidur_simulation *simulation, struct vidur_error *err)
{
    for (int i = 0; i < simulation->config.fleet.num_pools; i++)
        if (plan_pool(simulation, i, err))
            return -1;
    return 0;
}

/* Times that cannot be had, under the key that says where they are. */
static int fail_times(enum vidur_estimator_source source, struct vidur_error *err)
{
    const char *key = source == VIDUR_SOURCE_PROFILES  ? "estimator.profiles"
                      : source == VIDUR_SOURCE_TABLES  ? "estimator.tables"
                      : source == VIDUR_SOURCE_KERNELS ? "estimator.kernels"
                                                       : NULL;
    return err && err->code == VIDUR_EIO && key ? vidur_fail_prefix(err, "%s", key)
                                                : -1;
}

/* An earlier pool whose timetable is the one that `request` asks for; NULL: none. */
static int find_timetable(struct vidur_simulation *simulation, int pool,
                          const struct vidur_timetable_request *request,
                          struct vidur_timetable **out, struct vidur_error *err)
{
    char key[65];
    *out = NULL;
    if (pool == 0)
        return 0;
    if (vidur_timetable_inputs_key(key, &simulation->config.estimator, request, err))
        return -1;
    for (int i = 0; i < pool && !*out; i++)
        if (strcmp(simulation->timetables[i]->key, key) == 0)
            *out = simulation->timetables[i];
    return 0;
}

static int open_timetables(struct vidur_simulation *simulation,
                           const struct vidur_log *log, struct vidur_error *err)
{
    const struct vidur_simulation_config *config = &simulation->config;
    const struct vidur_estimator_config *estimator = &config->estimator;
    for (int i = 0; i < config->fleet.num_pools; i++) {
        struct vidur_timetable **table = &simulation->timetables[i];
        struct vidur_timetable_request request;
        vidur_deployment_table_limits(&config->fleet.pools[i].deployment,
                                      config->workload.max_tokens, &request);
        if (find_timetable(simulation, i, &request, table, err) ||
            (!*table && vidur_timetable_open(table, estimator, &request, log, err)))
            return fail_times(estimator->source, err);
    }
    return 0;
}

/* A folder that cannot be written should not cost a simulation first. */
static int try_folder(const char *folder, struct vidur_error *err)
{
    struct vidur_path path;
    if (vidur_file_make_folder(folder, err) ||
        vidur_path_join(folder, "summary.json", &path, err))
        return -1;
    struct vidur_file *file = vidur_file_create(path.text, err);
    if (!file)
        return -1;
    vidur_file_discard(file);
    return 0;
}

static const struct vidur_timetable *const *
tables_of(const struct vidur_simulation *simulation)
{
    return (const struct vidur_timetable *const *)simulation->timetables;
}

static int open_outputs(struct vidur_simulation *simulation,
                        const struct vidur_simulation_options *options,
                        struct vidur_error *err)
{
    simulation->outputs_options = (struct vidur_outputs_options){
        .config = &simulation->config,
        .timetables = tables_of(simulation),
        .folder = options->folder,
        .progress = options->progress,
        .progress_context = options->progress_context,
    };
    for (int i = 0; i < simulation->config.fleet.num_pools; i++)
        simulation->outputs_options.num_blocks[i] = simulation->plans[i].num_blocks;
    if (try_folder(options->folder, err))
        return -1;
    if (!vidur_outputs_open(&simulation->outputs, &simulation->outputs_options, err))
        return 0;
    /* a key, not the path of a file */
    return err && strncmp(err->text, "output.", strlen("output.")) == 0
               ? vidur_simulation_config_locate(&simulation->config, options->sets,
                                                options->num_sets, err)
               : -1;
}

int vidur_simulation_prepare(struct vidur_simulation *simulation,
                             const struct vidur_simulation_options *options,
                             struct vidur_error *err)
{
    const struct vidur_simulation_config *config = &simulation->config;
    memset(simulation, 0, sizeof *simulation);
    if (vidur_simulation_config_load(&simulation->config, options->config_path,
                                     options->sets, options->num_sets, err))
        return -1;
    if (plan_memory(simulation, err) ||
        vidur_workload_create(&simulation->workload, &config->workload, err) ||
        open_timetables(simulation, options->log, err))
        return vidur_simulation_config_locate(config, options->sets, options->num_sets,
                                              err);
    vidur_notes_warn(config, simulation->workload, options->log);
    if (vidur_simulator_create_fleet(&simulation->simulator, &config->fleet,
                                     tables_of(simulation), config->workload.max_tokens,
                                     err))
        return vidur_simulation_config_locate(config, options->sets, options->num_sets,
                                              err);
    return open_outputs(simulation, options, err);
}

int vidur_simulation_run(struct vidur_simulation *simulation,
                         const struct vidur_simulation_options *options,
                         struct vidur_error *err)
{
    const struct vidur_run_options run = {
        .slos = simulation->config.slos.slos,
        .num_slos = simulation->config.slos.count,
        .tbt_definition = simulation->config.tbt_definition,
        .time_limit_s = simulation->config.time_limit_s,
        .observer = vidur_outputs_observer(simulation->outputs),
        .cancel = options->cancel,
    };
    double start_s = vidur_monotonic_s();
    int status = vidur_simulator_run(simulation->simulator, simulation->workload, &run,
                                     &simulation->metrics, err);
    simulation->elapsed_s = vidur_monotonic_s() - start_s;
    return status ? vidur_outputs_explain(simulation->outputs, err) : 0;
}

/* The first pool that the request cannot pass: where those that prefill have let it go,
 * one of those that decode. Pools that only prefill or decode take the same prompts. */
static int find_blocking_pool(const struct vidur_simulation *simulation,
                              int64_t request)
{
    const struct vidur_request_records *records =
        vidur_simulator_requests(simulation->simulator);
    const struct vidur_fleet *fleet = &simulation->config.fleet;
    const bool departed =
        records->departed_at_s && !isnan(records->departed_at_s[request]);
    const int first = departed ? vidur_fleet_num_entries(fleet) : 0;
    const int end = departed ? fleet->num_pools : vidur_fleet_num_entries(fleet);
    int least = first;
    for (int i = first; i < end; i++) {
        const struct vidur_scheduler_config *knobs =
            &fleet->pools[i].deployment.scheduler;
        if (!vidur_scheduler_takes_prompt(vidur_scheduler_find(knobs->type), knobs,
                                          records->num_prefill_tokens[request]))
            return i;
        if (simulation->plans[i].num_blocks * knobs->block_size <
            simulation->plans[least].num_blocks *
                fleet->pools[least].deployment.scheduler.block_size)
            least = i;
    }
    return least;
}

/* Requests run in order of arrival: what keeps the first out keeps the others, too. */
static int fail_unfinished(const struct vidur_simulation *simulation, int64_t request,
                           struct vidur_error *err)
{
    const struct vidur_request_records *records =
        vidur_simulator_requests(simulation->simulator);
    const int pool = find_blocking_pool(simulation, request);
    const struct vidur_scheduler_config *knobs =
        &simulation->config.fleet.pools[pool].deployment.scheduler;
    const struct vidur_metrics *metrics = &simulation->metrics;
    const int64_t left = metrics->num_requests - metrics->num_completed;
    const int64_t blocks = simulation->plans[pool].num_blocks;
    const int prompt = records->num_prefill_tokens[request];
    const struct vidur_scheduler_ops *ops = vidur_scheduler_find(knobs->type);
    char path[16];
    put_pool_path(&simulation->config.fleet, pool, path);
    if (!vidur_scheduler_takes_prompt(ops, knobs, prompt))
        return vidur_fail(
            err, VIDUR_EINVAL,
            "%sscheduler.%s: %lld of %lld requests "
            "never finish: request %lld has a prompt of %d tokens, a batch "
            "at most %.0f; raise it",
            path, vidur_knob_name(ops->token_budget), (long long)left,
            (long long)metrics->num_requests, (long long)request, prompt,
            vidur_knob_value(knobs, ops->token_budget));
    return vidur_fail(
        err, VIDUR_EINVAL,
        "%sscheduler.num_blocks: %lld of %lld requests never finish: request %lld has "
        "a prompt of %d tokens and asks for %d, the KV cache of a replica holds %lld "
        "(%lld blocks of %d); give it more blocks",
        path, (long long)left, (long long)metrics->num_requests, (long long)request,
        records->arrived_prefill_tokens[request],
        records->arrived_decode_tokens[request], (long long)blocks * knobs->block_size,
        (long long)blocks, knobs->block_size);
}

int vidur_simulation_check_finished(const struct vidur_simulation *simulation,
                                    const struct vidur_simulation_options *options,
                                    struct vidur_error *err)
{
    const struct vidur_request_records *records =
        vidur_simulator_requests(simulation->simulator);
    if (simulation->metrics.time_limited)
        return 0;
    for (int64_t i = 0; i < records->count; i++)
        if (isnan(records->completed_at_s[i])) {
            fail_unfinished(simulation, i, err);
            return vidur_simulation_config_locate(&simulation->config, options->sets,
                                                  options->num_sets, err);
        }
    return 0;
}

struct vidur_summary vidur_simulation_summary(const struct vidur_simulation *simulation)
{
    return (struct vidur_summary){
        .config = &simulation->config,
        .plans = simulation->plans,
        .timetables = tables_of(simulation),
        .workload = simulation->workload,
        .metrics = &simulation->metrics,
        .records = vidur_simulator_requests(simulation->simulator),
        .statistics = vidur_outputs_statistics(simulation->outputs),
        .operator_totals_s = vidur_outputs_operator_totals(simulation->outputs),
        .elapsed_s = simulation->elapsed_s,
    };
}

int vidur_simulation_write(struct vidur_simulation *simulation, struct vidur_error *err)
{
    const char *folder = simulation->outputs_options.folder;
    struct vidur_summary summary = vidur_simulation_summary(simulation);
    struct vidur_path path;
    if (vidur_outputs_commit(simulation->outputs, err))
        return -1;
    if (simulation->config.output.requests &&
        (vidur_path_join(folder, "request_metrics.csv", &path, err) ||
         vidur_request_csv_write(path.text, summary.records, err)))
        return -1;
    if (vidur_path_join(folder, "summary.json", &path, err))
        return -1;
    return vidur_summary_write(path.text, &summary, err);
}

/* Each once. */
static void close_timetables(struct vidur_simulation *simulation)
{
    for (int i = 0; i < VIDUR_MAX_POOLS; i++) {
        struct vidur_timetable *table = simulation->timetables[i];
        for (int j = i; j < VIDUR_MAX_POOLS; j++)
            if (simulation->timetables[j] == table)
                simulation->timetables[j] = NULL;
        vidur_timetable_close(table);
    }
}

void vidur_simulation_release(struct vidur_simulation *simulation)
{
    vidur_outputs_destroy(simulation->outputs);
    vidur_simulator_destroy(simulation->simulator);
    close_timetables(simulation);
    vidur_workload_destroy(simulation->workload);
    vidur_simulation_config_release(&simulation->config);
}
