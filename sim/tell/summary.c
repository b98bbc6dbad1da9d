#include "tell/summary.h"

#include "base/json.h"
#include "base/text.h"
#include "base/version.h"
#include "steps/operator_metrics.h"
#include "tell/notes.h"
#include "tell/objectives_tell.h"
#include "tell/pool_summary.h"
#include "tell/request_csv.h"
#include "tell/session_metrics.h"
#include "tell/stage_metrics.h"

#include <math.h>
#include <stdlib.h>
#include <time.h>

/* Of an empty sample nothing but the count is known: null. */
static void put_statistic(struct vidur_json_writer *json, const char *name,
                          const struct vidur_distribution *d, double value)
{
    vidur_json_put_double(json, name, d->count > 0 ? value : NAN);
}

static void put_distribution(struct vidur_json_writer *json, const char *name,
                             const struct vidur_distribution *d)
{
    vidur_json_begin_object(json, name);
    vidur_json_put_int64(json, "count", d->count);
    put_statistic(json, "mean", d, d->mean);
    put_statistic(json, "min", d, d->min);
    put_statistic(json, "max", d, d->max);
    put_statistic(json, "p50", d, d->p50);
    put_statistic(json, "p90", d, d->p90);
    put_statistic(json, "p95", d, d->p95);
    put_statistic(json, "p99", d, d->p99);
    vidur_json_end(json);
}

/* ---- metrics: every metric under its CSV name ---- */

static int put_request_metrics(struct vidur_json_writer *json,
                               const struct vidur_request_records *records,
                               struct vidur_error *err)
{
    size_t n = (size_t)records->count;
    double *samples = malloc((n + 1) * sizeof *samples);
    if (!samples)
        return vidur_fail(err, VIDUR_ENOMEM, "summary: out of memory");
    for (int m = 0; m < VIDUR_NUM_REQUEST_METRICS; m++) {
        enum vidur_request_metric metric = (enum vidur_request_metric)m;
        struct vidur_distribution d;
        int64_t count = vidur_request_metric_samples(records, metric, samples);
        vidur_distribution_of(&d, samples, count);
        put_distribution(json, vidur_request_metric_name(metric), &d);
    }
    for (int i = 0; i < VIDUR_NUM_REQUEST_MOVES && records->departed_at_s; i++) {
        const enum vidur_request_move move = (enum vidur_request_move)i;
        struct vidur_distribution d;
        vidur_distribution_of(&d, samples,
                              vidur_request_move_samples(records, move, samples));
        put_distribution(json, vidur_request_move_name(move), &d);
    }
    free(samples);
    return 0;
}

static int put_batch_metrics(struct vidur_json_writer *json,
                             struct vidur_statistics *statistics,
                             struct vidur_error *err)
{
    struct vidur_distribution d;
    for (int m = 0; m < VIDUR_NUM_BATCH_METRICS; m++) {
        enum vidur_batch_metric metric = (enum vidur_batch_metric)m;
        if (vidur_batch_metric_distribution(statistics, metric, &d, err))
            return -1;
        put_distribution(json, vidur_batch_metric_name(metric), &d);
    }
    vidur_batch_execution_distribution(statistics, &d);
    put_distribution(json, "batch_execution_time", &d);
    return 0;
}

static int put_metrics(struct vidur_json_writer *json, const struct vidur_summary *s,
                       struct vidur_error *err)
{
    vidur_json_begin_object(json, "metrics");
    if (put_request_metrics(json, s->records, err))
        return -1;
    if (s->config->tbt_definition == VIDUR_TBT_TOKEN)
        put_distribution(json, "decode_token_execution_plus_preemption_time",
                         &s->metrics->latency[VIDUR_LATENCY_tbt]);
    if (s->statistics && put_batch_metrics(json, s->statistics, err))
        return -1;
    vidur_json_end(json);
    return 0;
}

/* ---- Stages of load ---- */

static int num_load_stages(const struct vidur_summary *s)
{
    return s->workload ? s->workload->stages.count : 0;
}

/* Of a closed loop; 0: it is open. */
static int64_t num_clients(const struct vidur_summary *s)
{
    return s->workload ? s->workload->concurrency : 0;
}

static void put_latency(struct vidur_json_writer *json, const char *name,
                        const struct vidur_distribution *d)
{
    vidur_json_begin_object(json, name);
    put_statistic(json, "mean", d, d->mean);
    put_statistic(json, "p50", d, d->p50);
    put_statistic(json, "p90", d, d->p90);
    put_statistic(json, "p95", d, d->p95);
    put_statistic(json, "p99", d, d->p99);
    vidur_json_end(json);
}

static int put_load_stages(struct vidur_json_writer *json,
                           const struct vidur_summary *s, struct vidur_error *err)
{
    struct vidur_stage_metrics stage;
    if (num_load_stages(s) == 0)
        return 0;
    vidur_json_begin_array(json, "stages");
    for (int i = 0; i < num_load_stages(s); i++) {
        if (vidur_stage_metrics_of(&stage, s->records, &s->workload->stages, i, err))
            return -1;
        vidur_json_begin_object(json, NULL);
        vidur_json_put_int64(json, "requests", stage.num_requests);
        vidur_json_put_int64(json, "completed", stage.e2e.count);
        put_latency(json, "e2e", &stage.e2e);
        put_latency(json, "ttft", &stage.ttft);
        put_latency(json, "tpot", &stage.tpot);
        vidur_json_end(json);
    }
    vidur_json_end(json);
    return 0;
}

/* ---- Sessions ---- */

static bool has_sessions(const struct vidur_summary *s)
{
    return s->workload && s->workload->sessions.count > 0;
}

static int put_sessions(struct vidur_json_writer *json, const struct vidur_summary *s,
                        struct vidur_error *err)
{
    struct vidur_session_metrics metrics;
    if (!has_sessions(s))
        return 0;
    if (vidur_session_metrics_of(&metrics, s->records, &s->workload->sessions, err))
        return -1;
    vidur_session_metrics_put(json, &metrics);
    return 0;
}

static void print_sessions(const struct vidur_summary *s, FILE *out)
{
    struct vidur_session_metrics metrics;
    if (has_sessions(s) && vidur_session_metrics_of(&metrics, s->records,
                                                    &s->workload->sessions, NULL) == 0)
        vidur_session_metrics_print(&metrics, out);
}

/* ---- Throughput, utilization, counts ---- */

static void put_rates(struct vidur_json_writer *json, const struct vidur_summary *s)
{
    const struct vidur_metrics *m = s->metrics;
    if (num_clients(s) > 0)
        vidur_json_put_int64(json, "concurrency", num_clients(s));
    vidur_json_begin_object(json, "throughput");
    vidur_json_put_double(json, "requests_per_s", m->requests_per_s);
    vidur_json_put_double(json, "output_tokens_per_s", m->output_tokens_per_s);
    vidur_json_put_double(json, "total_tokens_per_s", m->total_tokens_per_s);
    vidur_json_end(json);
    vidur_json_begin_object(json, "utilization"); /* percent */
    vidur_json_put_double(json, "mfu", m->mfu);
    vidur_json_put_double(json, "memory", m->memory_usage);
    vidur_json_put_double(json, "busy", m->busy);
    vidur_json_end(json);
}

static void put_counts(struct vidur_json_writer *json, const struct vidur_summary *s)
{
    const struct vidur_metrics *m = s->metrics;
    vidur_json_begin_object(json, "counts");
    vidur_json_put_int64(json, "requests", m->num_requests);
    vidur_json_put_int64(json, "cut_requests", s->workload ? s->workload->num_cut : 0);
    vidur_json_put_int64(json, "arrived", m->num_arrived);
    vidur_json_put_int64(json, "completed", m->num_completed);
    vidur_json_put_int64(json, "restarts", m->num_restarts);
    vidur_json_put_int64(json, "batches", m->num_batches);
    vidur_json_put_int64(json, "extrapolated_lookups", m->num_extrapolated);
    vidur_json_end(json);
}

static void put_load(struct vidur_json_writer *json, const struct vidur_metrics *m)
{
    vidur_json_begin_object(json, "load");
    vidur_json_put_double(json, "mean_batch_size", m->mean_batch_size);
    vidur_json_put_double(json, "mean_decode_batch_size", m->mean_decode_batch_size);
    vidur_json_put_double(json, "mean_tokens_per_batch", m->mean_tokens_per_batch);
    vidur_json_put_double(json, "prefill_token_fraction", m->prefill_token_fraction);
    vidur_json_put_double(json, "communication_time_fraction",
                          m->communication_time_fraction);
    vidur_json_put_double(json, "pipeline_idle_fraction", m->pipeline_idle_fraction);
    vidur_json_put_double(json, "full_batch_fraction", m->full_batch_fraction);
    vidur_json_put_double(json, "blocked_on_memory_fraction",
                          m->blocked_on_memory_fraction);
    vidur_json_put_double(json, "mean_waiting_requests", m->mean_waiting_requests);
    vidur_json_put_double(json, "prefix_hit_rate", m->prefix_hit_rate);
    vidur_json_put_double(json, "host_hit_rate", m->loads.hit_rate);
    vidur_json_put_int64(json, "host_loads", m->loads.count);
    vidur_json_put_double(json, "host_load_bytes", m->loads.bytes);
    vidur_json_put_double(json, "host_load_s", m->loads.busy_s);
    vidur_json_put_double(json, "host_load_waited_s", m->loads.waited_s);
    vidur_json_end(json);
}

/* ---- Replicas and operators ---- */

static void put_stages(struct vidur_json_writer *json,
                       const struct vidur_replica_statistics *replica, double time_s)
{
    vidur_json_begin_array(json, "stages");
    for (int s = 0; s < replica->num_stages; s++) {
        const struct vidur_stage_statistics *stage = &replica->stages[s];
        double busy_s = vidur_exact_sum_value(&stage->busy_s);
        vidur_json_begin_object(json, NULL);
        vidur_json_put_double(json, "busy_s", busy_s);
        vidur_json_put_double(json, "idle_s", time_s - busy_s);
        vidur_json_put_double(json, "flops", stage->flops);
        vidur_json_end(json);
    }
    vidur_json_end(json);
}

static void put_replicas(struct vidur_json_writer *json,
                         const struct vidur_statistics *statistics, double time_s)
{
    vidur_json_begin_array(json, "replicas");
    for (int r = 0; r < statistics->num_replicas; r++) {
        const struct vidur_replica_statistics *replica = &statistics->replicas[r];
        double batches = replica->batches > 0 ? (double)replica->batches : 1;
        double blocks = replica->num_blocks > 0 ? (double)replica->num_blocks : 1;
        vidur_json_begin_object(json, NULL);
        vidur_json_put_int64(json, "replica", replica->seat.replica);
        if (replica->seat.num_ranks > 1)
            vidur_json_put_int64(json, "rank", replica->seat.rank);
        vidur_json_put_int64(json, "batches", replica->batches);
        vidur_json_put_double(json, "mean_batch_size",
                              (double)replica->requests / batches);
        vidur_json_put_double(json, "mean_tokens_per_batch",
                              (double)replica->tokens / batches);
        vidur_json_put_double(json, "mean_waiting_requests",
                              (double)replica->waiting / batches);
        vidur_json_put_int64(json, "max_waiting_requests", replica->max_waiting);
        vidur_json_put_double(json, "mean_kv_utilization_percent",
                              100 * (double)replica->blocks / batches / blocks);
        vidur_json_put_double(json, "max_kv_utilization_percent",
                              100 * (double)replica->max_blocks / blocks);
        put_stages(json, replica, time_s);
        vidur_json_end(json);
    }
    vidur_json_end(json);
}

static void put_operators(struct vidur_json_writer *json,
                          const struct vidur_timetable *timetable,
                          const double *totals_s)
{
    const struct vidur_operator_range columns = vidur_operator_columns(timetable);
    double all_s = 0;
    for (int op = columns.first; op < columns.end; op++)
        all_s += vidur_operator_has_column(timetable, op) ? totals_s[op] : 0;
    vidur_json_begin_object(json, "operators");
    for (int op = columns.first; op < columns.end; op++) {
        if (!vidur_operator_has_column(timetable, op))
            continue;
        vidur_json_begin_object(
            json, vidur_operator_column_name((enum vidur_operator_column)op));
        vidur_json_put_double(json, "total_s", totals_s[op]);
        vidur_json_put_double(json, "share", all_s > 0 ? totals_s[op] / all_s : 0);
        vidur_json_end(json);
    }
    vidur_json_end(json);
}

/* ---- Deployment and provenance ---- */

static bool has_pools(const struct vidur_summary *s)
{
    return s->config->fleet.num_pools > 1;
}

static void put_deployment(struct vidur_json_writer *json,
                           const struct vidur_summary *s)
{
    const struct vidur_deployment *d = &s->config->deployment;
    char precision[96];
    vidur_precision_describe(&d->model.precision, precision, sizeof precision);
    vidur_json_begin_object(json, "deployment");
    vidur_json_put_string(json, "model", d->model.name);
    vidur_json_put_string(json, "precision", precision);
    vidur_pool_summary_put_layout(json, d, &s->plans[0]);
    vidur_json_end(json);
}

static void put_provenance(struct vidur_json_writer *json,
                           const struct vidur_summary *s)
{
    const struct vidur_simulation_config *config = s->config;
    const struct vidur_deployment *d = &config->deployment;
    char now[32] = "";
    time_t clock = time(NULL);
    struct tm utc;
    if (gmtime_r(&clock, &utc))
        strftime(now, sizeof now, "%Y-%m-%dT%H:%M:%SZ", &utc);
    vidur_json_begin_object(json, "provenance");
    vidur_json_put_string(json, "creator", "vidur-simulate");
    vidur_json_put_string(json, "version", vidur_version());
    vidur_json_put_string(json, "git_commit", vidur_git_commit());
    vidur_json_put_string(json, "created", now);
    vidur_json_put_string(json, "semantics", vidur_semantics_names[d->semantics]);
    vidur_json_put_string(json, "times", s->timetables[0]->provenance);
    vidur_json_put_string(json, "times_key", s->timetables[0]->key);
    vidur_json_put_int64(json, "seed", (int64_t)config->workload.seed);
    vidur_json_put_string(json, "seeds",
                          config->workload.seeds == VIDUR_SEEDS_REFERENCE ? "reference"
                                                                          : "own");
    vidur_json_put_string(json, "config_path", config->path);
    vidur_json_put_string(json, "config_sha256", config->sha256);
    vidur_json_put_string(json, "config_text", config->text);
    vidur_json_put_double(json, "elapsed_s", s->elapsed_s);
    vidur_json_end(json);
}

static void put_notes(struct vidur_json_writer *json, const struct vidur_summary *s)
{
    struct vidur_note notes[VIDUR_MAX_NOTES];
    const int count = s->workload ? vidur_notes_of(s->config, s->workload, notes) : 0;
    vidur_json_begin_array(json, "notes");
    for (int i = 0; i < count; i++)
        vidur_json_put_string(json, NULL, notes[i].text);
    vidur_json_end(json);
}

static struct vidur_objectives objectives_of(const struct vidur_summary *s)
{
    return (struct vidur_objectives){
        .slos = &s->config->slos, .workload = s->workload, .metrics = s->metrics};
}

static void put_ending(struct vidur_json_writer *json, const struct vidur_summary *s)
{
    vidur_json_put_double(json, "start_s", s->workload ? s->workload->start_s : 0);
    vidur_json_put_double(json, "simulated_time_s", s->metrics->simulated_time_s);
    vidur_json_put_bool(json, "time_limited", s->metrics->time_limited);
}

static int fill(struct vidur_json_writer *json, const struct vidur_summary *s,
                struct vidur_error *err)
{
    vidur_json_begin_object(json, NULL);
    for (int i = 0; i < VIDUR_NUM_LATENCIES; i++)
        put_distribution(json, vidur_latency_name((enum vidur_latency)i),
                         &s->metrics->latency[i]);
    const struct vidur_objectives objectives = objectives_of(s);
    vidur_objectives_put(json, &objectives);
    if (put_load_stages(json, s, err) || put_sessions(json, s, err))
        return -1;
    put_rates(json, s);
    put_counts(json, s);
    put_ending(json, s);
    put_notes(json, s);
    if (put_metrics(json, s, err))
        return -1;
    put_load(json, s->metrics);
    if (s->statistics)
        put_replicas(json, s->statistics, s->metrics->simulated_time_s);
    if (s->operator_totals_s)
        put_operators(json, s->timetables[0], s->operator_totals_s);
    if (has_pools(s))
        vidur_pool_summary_put(json, s);
    else
        put_deployment(json, s);
    put_provenance(json, s);
    vidur_json_end(json);
    return 0;
}

int vidur_summary_write(const char *path, const struct vidur_summary *summary,
                        struct vidur_error *err)
{
    struct vidur_json_writer *json = vidur_json_writer_new(err);
    if (!json)
        return -1;
    int status = fill(json, summary, err);
    if (status == 0)
        status = vidur_json_writer_save(json, path, err);
    vidur_json_writer_free(json);
    return status;
}

/* ---- Text ---- */

static void print_latencies(const struct vidur_metrics *m, FILE *out)
{
    fprintf(out, "%-18s %10s %10s %10s %10s %10s\n", "latency, ms", "mean", "p50",
            "p90", "p99", "max");
    for (int i = 0; i < VIDUR_NUM_LATENCIES; i++) {
        const struct vidur_distribution *d = &m->latency[i];
        if (d->count == 0) {
            fprintf(out, "%-18s %10s %10s %10s %10s %10s\n",
                    vidur_latency_name((enum vidur_latency)i), "-", "-", "-", "-", "-");
            continue;
        }
        fprintf(out, "%-18s %10.1f %10.1f %10.1f %10.1f %10.1f\n",
                vidur_latency_name((enum vidur_latency)i), d->mean * 1e3, d->p50 * 1e3,
                d->p90 * 1e3, d->p99 * 1e3, d->max * 1e3);
    }
}

static void print_load_stages(const struct vidur_summary *s, FILE *out)
{
    struct vidur_stage_metrics stage;
    if (num_load_stages(s) == 0)
        return;
    fprintf(out, "\n%-18s %10s %10s %10s %10s %10s %10s\n", "stages of load, ms",
            "e2e mean", "e2e p99", "ttft mean", "ttft p99", "tpot mean", "tpot p99");
    for (int i = 0; i < num_load_stages(s); i++) {
        if (vidur_stage_metrics_of(&stage, s->records, &s->workload->stages, i, NULL))
            return;
        fprintf(out, "%-3d %5lld requests %10.1f %10.1f %10.2f %10.2f %10.3f %10.3f\n",
                i, (long long)stage.num_requests, stage.e2e.mean * 1e3,
                stage.e2e.p99 * 1e3, stage.ttft.mean * 1e3, stage.ttft.p99 * 1e3,
                stage.tpot.mean * 1e3, stage.tpot.p99 * 1e3);
    }
}

static void print_deployment(const struct vidur_summary *s, FILE *out)
{
    const struct vidur_deployment *d = &s->config->deployment;
    char precision[96];
    vidur_precision_describe(&d->model.precision, precision, sizeof precision);
    const bool bf16 = vidur_precision_is_bf16(&d->model.precision);
    if (has_pools(s)) {
        fprintf(out, "%s%s%s%s on %d devices in %d pools\n",
                vidur_text_show(d->model.name).text, bf16 ? "" : " (",
                bf16 ? "" : precision, bf16 ? "" : ")",
                vidur_fleet_num_gpus(&s->config->fleet), s->config->fleet.num_pools);
        vidur_pool_summary_print_layout(s, out);
        fprintf(out, "\n");
        return;
    }
    char ranks[32] = "";
    if (d->data_parallel_size > 1)
        snprintf(ranks, sizeof ranks, ", DP %d", d->data_parallel_size);
    fprintf(out, "%s%s%s%s on %d x %s: %s of TP %d%s%s, PP %d; %s, %s routing\n",
            vidur_text_show(d->model.name).text, bf16 ? "" : " (",
            bf16 ? "" : precision, bf16 ? "" : ")", vidur_deployment_num_gpus(d),
            vidur_text_show(d->device.name).text,
            vidur_text_counted(d->num_replicas, "replica").text,
            d->tensor_parallel_size, d->expert_parallel ? " EP" : "", ranks,
            d->num_pipeline_stages, d->scheduler.type, d->router);
    fprintf(out, "KV blocks per %s: %lld; operator times: %s\n\n",
            d->data_parallel_size > 1 ? "rank" : "replica",
            (long long)s->plans[0].num_blocks,
            vidur_text_show(s->timetables[0]->provenance).text);
}

/* Warnings have been given before. */
static void print_notes(const struct vidur_summary *s, FILE *out)
{
    struct vidur_note notes[VIDUR_MAX_NOTES];
    const int count = s->workload ? vidur_notes_of(s->config, s->workload, notes) : 0;
    for (int i = 0; i < count; i++)
        if (!notes[i].is_warning)
            fprintf(out, "note         %s\n", notes[i].text);
}

void vidur_summary_print(const struct vidur_summary *s, FILE *out)
{
    const struct vidur_metrics *m = s->metrics;
    print_deployment(s, out);
    print_latencies(m, out);
    print_load_stages(s, out);
    const struct vidur_objectives objectives = objectives_of(s);
    vidur_objectives_print_classes(&objectives, out);
    print_sessions(s, out);
    if (!has_sessions(s))
        fprintf(out, "\n");
    if (num_clients(s) > 0)
        fprintf(out, "closed loop  %lld %s\n", (long long)num_clients(s),
                has_sessions(s) ? "users" : "clients");
    fprintf(out, "throughput   %.3f requests/s, %.1f output tokens/s, %.1f tokens/s\n",
            m->requests_per_s, m->output_tokens_per_s, m->total_tokens_per_s);
    fprintf(out, "utilization  MFU %.2f %%, KV memory %.2f %%, busy %.2f %%\n", m->mfu,
            m->memory_usage, m->busy);
    fprintf(out,
            "batches      %lld, of %.1f requests and %.1f tokens on average\n"
            "requests     %lld of %lld completed in %.3f s simulated, %lld restarts\n",
            (long long)m->num_batches, m->mean_batch_size, m->mean_tokens_per_batch,
            (long long)m->num_completed, (long long)m->num_requests,
            m->simulated_time_s, (long long)m->num_restarts);
    vidur_objectives_print(&objectives, out);
    if (s->workload && vidur_prompts_are_shared(&s->workload->prompts))
        fprintf(out, "prefix hits  %.2f %% of the prompt tokens\n",
                100 * m->prefix_hit_rate);
    if (m->loads.count > 0)
        fprintf(
            out,
            "host hits    %.2f %% of the prompt tokens: %lld loads, %.1f GB, %.1f ms "
            "each on average\n",
            100 * m->loads.hit_rate, (long long)m->loads.count, m->loads.bytes * 1e-9,
            1e3 * m->loads.waited_s / (double)m->loads.count);
    if (has_pools(s))
        vidur_pool_summary_print_metrics(s, out);
    print_notes(s, out);
    if (m->time_limited)
        fprintf(out, "note         cut by time_limit_s\n");
    if (m->num_extrapolated > 0)
        fprintf(out, "note         %lld lookups beyond the profiles' range\n",
                (long long)m->num_extrapolated);
}
