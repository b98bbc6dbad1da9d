#include "program/simulation.h"

#include "base/file.h"
#include "base/progress.h"
#include "tell/notes.h"
#include "tell/request_csv.h"

#include <vidur/paths.h>
#include <vidur/scheduler.h>

#include <math.h>
#include <string.h>

static const double gib = 1024.0 * 1024 * 1024;

static int plan_memory(struct vidur_simulation *simulation, struct vidur_error *err)
{
    const struct vidur_deployment *deployment = &simulation->config.deployment;
    const struct vidur_memory_plan *plan = &simulation->plan;
    int max_tokens = simulation->config.workload.max_tokens;
    vidur_memory_plan(deployment, max_tokens, &simulation->plan);
    if (plan->fits)
        return 0;
    return vidur_fail(err, VIDUR_EINVAL,
                      "%s: cluster: %s does not fit: a device has %.1f GiB to use, its "
                      "share of the parameters takes %.1f GiB and the KV cache of one "
                      "request of %d tokens %.1f GiB; raise tensor_parallel_size or "
                      "num_pipeline_stages or take a larger device",
                      simulation->config.path, deployment->model.name,
                      plan->available_bytes / gib, plan->param_bytes / gib, max_tokens,
                      plan->kv_bytes_per_token * max_tokens / gib);
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

static int open_timetable(struct vidur_simulation *simulation,
                          const struct vidur_log *log, struct vidur_error *err)
{
    const struct vidur_estimator_config *estimator = &simulation->config.estimator;
    struct vidur_timetable_request request;
    vidur_deployment_table_limits(&simulation->config.deployment,
                                  simulation->config.workload.max_tokens, &request);
    if (vidur_timetable_open(&simulation->timetable, estimator, &request, log, err))
        return fail_times(estimator->source, err);
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

static int open_outputs(struct vidur_simulation *simulation,
                        const struct vidur_simulation_options *options,
                        struct vidur_error *err)
{
    simulation->outputs_options = (struct vidur_outputs_options){
        .config = &simulation->config,
        .timetable = simulation->timetable,
        .folder = options->folder,
        .num_blocks = simulation->plan.num_blocks,
        .progress = options->progress,
        .progress_context = options->progress_context,
    };
    if (try_folder(options->folder, err))
        return -1;
    return vidur_outputs_open(&simulation->outputs, &simulation->outputs_options, err);
}

int vidur_simulation_prepare(struct vidur_simulation *simulation,
                             const struct vidur_simulation_options *options,
                             struct vidur_error *err)
{
    const struct vidur_simulation_config *config = &simulation->config;
    memset(simulation, 0, sizeof *simulation);
    if (vidur_simulation_config_load(&simulation->config, options->config_path,
                                     options->sets, options->num_sets, err) ||
        plan_memory(simulation, err))
        return -1;
    if (vidur_workload_create(&simulation->workload, &config->workload, err) ||
        open_timetable(simulation, options->log, err))
        return vidur_simulation_config_locate(config, options->sets, options->num_sets,
                                              err);
    vidur_notes_warn(config, simulation->workload, options->log);
    if (vidur_simulator_create(&simulation->simulator, &config->deployment,
                               simulation->timetable, config->workload.max_tokens, err))
        return -1;
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

/* Requests run in order of arrival: what keeps the first out keeps the others, too. */
static int fail_unfinished(const struct vidur_simulation *simulation, int64_t request,
                           struct vidur_error *err)
{
    const struct vidur_request_records *records =
        vidur_simulator_requests(simulation->simulator);
    const struct vidur_scheduler_config *knobs =
        &simulation->config.deployment.scheduler;
    const struct vidur_metrics *metrics = &simulation->metrics;
    const int64_t left = metrics->num_requests - metrics->num_completed;
    const int64_t blocks = simulation->plan.num_blocks;
    const int prompt = records->num_prefill_tokens[request];
    const struct vidur_scheduler_ops *ops = vidur_scheduler_find(knobs->type);
    if (!vidur_scheduler_takes_prompt(ops, knobs, prompt))
        return vidur_fail(
            err, VIDUR_EINVAL,
            "scheduler.%s: %lld of %lld requests "
            "never finish: request %lld has a prompt of %d tokens, a batch "
            "at most %.0f; raise it",
            vidur_knob_name(ops->token_budget), (long long)left,
            (long long)metrics->num_requests, (long long)request, prompt,
            vidur_knob_value(knobs, ops->token_budget));
    return vidur_fail(
        err, VIDUR_EINVAL,
        "scheduler.num_blocks: %lld of %lld requests never finish: request %lld has a "
        "prompt of %d tokens and asks for %d, the KV cache of a replica holds %lld "
        "(%lld "
        "blocks of %d); give it more blocks",
        (long long)left, (long long)metrics->num_requests, (long long)request,
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
        .plan = &simulation->plan,
        .timetable = simulation->timetable,
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

void vidur_simulation_release(struct vidur_simulation *simulation)
{
    vidur_outputs_destroy(simulation->outputs);
    vidur_simulator_destroy(simulation->simulator);
    vidur_timetable_close(simulation->timetable);
    vidur_workload_destroy(simulation->workload);
    vidur_simulation_config_release(&simulation->config);
}
