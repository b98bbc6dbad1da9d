#include "base/text.h"
#include "results/columns.h"
#include "results/results_notes.h"
#include "study/study_parts.h"
#include "study/work.h"

#include <vidur/ranking.h>
#include <vidur/scheduler.h>
#include <vidur/simulation_config.h>

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- From a path to an answer ---- */

static bool is_reference_search(const struct study *study)
{
    return study->config->capacity_definition == VIDUR_CAPACITY_SCHEDULING_DELAY;
}

/* Whether a probe is of the search that gave the answer: earlier ones had fewer
 * requests. */
static bool is_of_answer(const struct study_path *p,
                         const struct evaluator_probed *probe)
{
    return probe->asked_requests == p->num_requests;
}

/* The load of one replica, where their number is what is searched. */
static double load_of(const struct study *study, int64_t path,
                      const struct evaluator_probed *probe)
{
    return study->config->target.qps > 0
               ? study_load_of(study, study->paths[path].candidate,
                               study_counts(&probe->row))
               : study_offered(&probe->row);
}

/* Whether a probe was at the answer of a path. */
static bool is_answer(const struct study *study, int64_t path,
                      const struct evaluator_probed *probe)
{
    const struct study_path *p = &study->paths[path];
    const bool pools = study->config->target.qps > 0 && probe->row.second_replicas > 0;
    return pools ? probe->row.first_replicas == p->best.first &&
                       probe->row.second_replicas == p->best.second
                 : load_of(study, path, probe) == p->answer.max_qps;
}

const struct evaluator_probed *study_best_probe(const struct study *study, int64_t path)
{
    const struct study_path *p = &study->paths[path];
    const struct evaluator_probed *best = NULL;
    if (!p->answer.found)
        return NULL;
    for (int i = 0; i < p->num_probes; i++) {
        const struct evaluator_probed *probe = &p->probes[i];
        /* The reference filters all its runs by the other SLOs afterwards. */
        if (probe->row.feasible && is_of_answer(p, probe) &&
            (is_reference_search(study) ? !best || probe->row.qps > best->row.qps
                                        : is_answer(study, path, probe)))
            best = probe;
    }
    return best;
}

/* The probe that broke an SLO just above a finished path's answer; NULL: none. */
static const struct vidur_probe_row *limiting_row(const struct study *study,
                                                  int64_t path)
{
    const struct study_path *p = &study->paths[path];
    const struct evaluator_probed *best = study_best_probe(study, path);
    const struct evaluator_probed *limiting = NULL;
    for (int i = 0; i < p->num_probes; i++) {
        const struct evaluator_probed *probe = &p->probes[i];
        const double load = load_of(study, path, probe);
        if (!probe->row.feasible && is_of_answer(p, probe) &&
            (!best || load > load_of(study, path, best)) &&
            (!limiting || load < load_of(study, path, limiting)))
            limiting = probe;
    }
    return limiting ? &limiting->row : NULL;
}

struct vidur_pool_counts study_path_counts(const struct study *study, int64_t path)
{
    const struct evaluator_probed *best = study_best_probe(study, path);
    const int64_t candidate = study->paths[path].candidate;
    return best ? study_counts(&best->row)
                : vidur_candidate_counts(&study->space->candidates[candidate]);
}

double study_usd_per_hour(const struct study *study, int64_t path)
{
    const int64_t candidate = study->paths[path].candidate;
    const struct vidur_candidate *c = &study->space->candidates[candidate];
    const struct vidur_pool_counts counts = study_path_counts(study, path);
    const struct vidur_pool_counts own = vidur_candidate_counts(c);
    if (vidur_candidate_is_fleet(c))
        return vidur_space_usd_per_hour(study->space, candidate, counts);
    return vidur_space_usd_per_hour(study->space, candidate, own) / own.first *
           counts.first;
}

/* ---- Rows ---- */

static void fill_candidate(const struct study *study, int64_t candidate, int64_t path,
                           struct vidur_ranking_row *row)
{
    const struct vidur_search_config *config = study->config;
    const struct vidur_candidate *c = &study->space->candidates[candidate];
    struct vidur_deployment d;
    vidur_space_deployment(study->space, candidate, &d);
    const struct vidur_scheduler_config *s = &d.scheduler;
    const struct vidur_scheduler_ops *ops = vidur_scheduler_find(s->type);
#define TEXT(member, value) snprintf(row->member, sizeof row->member, "%s", value)
    snprintf(row->candidate_id, sizeof row->candidate_id, "%016" PRIx64, c->id);
    TEXT(model, config->models[c->model].name);
    TEXT(trace, config->traces[c->trace].name);
    TEXT(device, d.device.name);
    TEXT(network_device, d.node.name);
    TEXT(scheduler, s->type);
    TEXT(scheduler_label, config->schedulers[c->scheduler].label);
    TEXT(router, d.router);
    TEXT(memory_planner, vidur_memory_planner_name(&d));
    TEXT(precision, config->served[c->served].precision);
    TEXT(kv_cache_dtype, vidur_dtype_name(d.model.precision.kv_cache));
    TEXT(checkpoint, config->served[c->served].checkpoint);
    if (c->table >= 0)
        TEXT(estimator, study->tables[c->table].provenance);
#undef TEXT
#define X(type_, name, def, min)                                                       \
    row->name = vidur_scheduler_uses(ops, VIDUR_KNOB_##name) ? s->name : 0;
    VIDUR_SCHEDULER_KNOBS(X)
#undef X
    if (ops->token_budget == VIDUR_KNOB_max_num_batched_tokens)
        row->max_tokens_in_batch = s->max_num_batched_tokens;
    row->tensor_parallel_size = c->tensor_parallel_size;
    row->expert_parallel = c->expert_parallel;
    row->data_parallel_size = c->data_parallel_size;
    row->num_pipeline_stages = c->num_pipeline_stages;
    row->batch_size = c->batch_size;
    row->num_blocks = c->num_blocks;
    const struct vidur_pool_counts counts = study_path_counts(study, path);
    row->num_replicas = vidur_candidate_is_fleet(c) ? 1 : counts.first;
    row->num_gpus = vidur_candidate_gpus(c, counts);
    row->num_nodes =
        (row->num_gpus + d.node.devices_per_node - 1) / d.node.devices_per_node;
    row->usd_per_hour = study_usd_per_hour(study, path);
    row->usd_per_month = VIDUR_HOURS_PER_MONTH * row->usd_per_hour;
    row->target_qps = config->target.qps > 0 ? config->target.qps : NAN;
    study_fill_pools(study, path, row);
    study_fill_added(study, path, row);
}

/* Columns that probes and rankings share. */
static void copy_measured(struct vidur_ranking_row *row,
                          const struct vidur_probe_row *probe)
{
#define COPY(kind, name, size, unit, description) row->name = probe->name;
    VIDUR_RESULT_LATENCY_COLUMNS(COPY)
    VIDUR_RESULT_LOAD_COLUMNS(COPY)
#undef COPY
    memcpy(row->slo_s, probe->slo_s, sizeof row->slo_s);
    memcpy(row->class_s, probe->class_s, sizeof row->class_s);
}

static const struct vidur_workload *workload_of(const struct study *study,
                                                int64_t candidate)
{
    return evaluator_workload(study->evaluator,
                              study->space->candidates[candidate].trace);
}

/* Prompt and output tokens of a request. At a steady max_qps they cost what max_qps
 * costs; total_tokens_per_s includes the tail of a run, in which nothing arrives. */
static double mean_tokens(const struct study *study, int64_t candidate)
{
    const struct vidur_workload *w = workload_of(study, candidate);
    int64_t tokens = 0;
    for (int64_t i = 0; i < w->num_requests; i++)
        tokens += w->num_prefill_tokens[i] + w->num_decode_tokens[i];
    return (double)tokens / (double)w->num_requests;
}

static double mean_prompt(const struct vidur_workload *w)
{
    int64_t tokens = 0;
    for (int64_t i = 0; i < w->num_requests; i++)
        tokens += w->num_prefill_tokens[i];
    return (double)tokens / (double)w->num_requests;
}

/* What prompts and outputs cost, and what the GPUs draw: CONTRACT.md. */
static void fill_work(const struct study *study, int64_t candidate,
                      const struct evaluator_probed *probe,
                      struct vidur_ranking_row *row)
{
    const struct vidur_probe_row *best = &probe->row;
    const struct vidur_workload *w = workload_of(study, candidate);
    const double tokens = mean_tokens(study, candidate), prompt = mean_prompt(w);
    struct vidur_deployment deployment;
    struct work_estimate estimate;
    if (vidur_candidate_is_fleet(&study->space->candidates[candidate])) {
        study_estimate_pools(study, candidate, probe, &estimate);
    } else {
        vidur_space_deployment(study->space, candidate, &deployment);
        work_estimate(&deployment, w, best, &estimate);
    }
    const double usd = row->usd_per_million_tokens * tokens; /* of a million requests */
    row->usd_per_million_input_tokens = usd * estimate.input_share / prompt;
    row->usd_per_million_output_tokens =
        usd * (1 - estimate.input_share) / (tokens - prompt);
    row->bandwidth_usage = estimate.bandwidth_usage;
    row->watts_per_gpu = estimate.watts_per_gpu;
    row->tokens_per_joule =
        best->qps * tokens / (estimate.watts_per_gpu * (double)row->num_gpus);
    row->wh_per_million_tokens = 1e6 / 3600 / row->tokens_per_joule;
}

/* A run whose requests stay for a good part of it: a queue that grows all the while may
 * still be short when arrivals end. */
static void judge_steadiness(const struct evaluator_probed *best,
                             struct vidur_ranking_row *row)
{
    const double window_s = (double)best->row.num_requests / best->row.qps;
    if (!(window_s < EVALUATOR_LEAST_TURNOVERS * best->mean_stay_s))
        return;
    snprintf(row->reason, sizeof row->reason,
             VIDUR_BURST ": requests arrive for %.3g s and stay for %.3g s; raise "
                         "num_requests (auto: max_requests), the capacity may be lower",
             window_s, best->mean_stay_s);
}

static void fill_answer(const struct study *study, int64_t candidate,
                        const struct study_replications *replications,
                        struct vidur_ranking_row *row)
{
    const int64_t path = replications->speaker;
    const struct study_path *p = &study->paths[path];
    const struct evaluator_probed *probe = study_best_probe(study, path);
    const struct vidur_probe_row *best = &probe->row;
    const struct vidur_probe_row *limiting = limiting_row(study, path);
    copy_measured(row, best);
    row->max_qps = best->qps;
    row->max_users = best->users;
    row->num_requests = best->num_requests;
    row->replications = replications->count;
    row->margin = probe->margin;
    row->unbounded = !limiting && !(study->config->target.qps > 0);
    if (replications->count > 1 && !(study->config->target.qps > 0)) {
        row->max_qps_low = replications->low_qps;
        row->max_qps_high = replications->high_qps;
    }
    row->qps_per_dollar = best->qps / row->usd_per_hour;
    row->usd_per_million_tokens =
        row->usd_per_hour / 3600 / (best->qps * mean_tokens(study, candidate)) * 1e6;
    fill_work(study, candidate, probe, row);
    if (limiting)
        memcpy(row->limiting_slo, limiting->violated_slo, sizeof row->limiting_slo);
    if (p->answer.unbounded)
        snprintf(row->reason, sizeof row->reason,
                 "every load up to %.4g %s passes: the workload is too short to "
                 "overload it",
                 study_offered(best), study_load_unit(best));
    else if (p->answer.exhausted)
        snprintf(row->reason, sizeof row->reason,
                 "max_iterations ended the search: the answer lies between %.6g and "
                 "%.6g %s",
                 study_offered(best), limiting ? study_offered(limiting) : INFINITY,
                 study_load_unit(best));
    else
        judge_steadiness(probe, row);
}

/* No load passed: did time_limit_s or max_iterations keep the search from finding out?
 */
static bool ended_by_time_limit(const struct study *study, int64_t path)
{
    const struct vidur_probe_row *lowest = limiting_row(study, path);
    return !study->paths[path].answer.found && lowest && lowest->time_limited;
}

static const char *find_status(const struct study *study, int64_t path)
{
    static const char *const rejected[] = {
        [VIDUR_CANDIDATE_INFEASIBLE_MEMORY] = VIDUR_STATUS_INFEASIBLE_MEMORY,
        [VIDUR_CANDIDATE_INVALID] = VIDUR_STATUS_INVALID};
    const struct study_path *p = &study->paths[path];
    const struct vidur_candidate *v = &study->space->candidates[p->candidate];
    if (v->status != VIDUR_CANDIDATE_RUNNABLE)
        return rejected[v->status];
    if (p->failure)
        return VIDUR_STATUS_FAILED;
    if (study_best_probe(study, path))
        return VIDUR_STATUS_OK;
    /* found: the reference's predicate passed somewhere, but never all SLOs. */
    if (!p->answer.found &&
        (!p->answer.unreachable || ended_by_time_limit(study, path)))
        return VIDUR_STATUS_FAILED;
    return VIDUR_STATUS_SLO_UNREACHABLE;
}

static void explain_time_limit(const struct study *study,
                               const struct vidur_probe_row *lowest,
                               struct vidur_ranking_row *row)
{
    snprintf(row->reason, sizeof row->reason,
             "search.time_limit_s %g cuts the run at %.3g %s before its requests are "
             "served; raise it",
             study->config->search.time_limit_s, study_offered(lowest),
             study_load_unit(lowest));
}

/* "1 replica", "2 and 3 replicas" */
static struct vidur_text_count describe_counts(const struct vidur_probe_row *row)
{
    const struct vidur_pool_counts counts = study_counts(row);
    struct vidur_text_count text = vidur_text_counted(counts.first, "replica");
    if (counts.second > 0)
        snprintf(text.text, sizeof text.text, "%d and %d replicas", counts.first,
                 counts.second);
    return text;
}

/* The latency that misses, where a row has it: TTFT P95 and its like. A run that
 * stopped early knows it of its first requests, hence "about". */
static void add_missed(const struct vidur_probe_row *lowest, const char *slo,
                       struct vidur_ranking_row *row)
{
    int count;
    char name[64];
    double value;
    const struct vidur_column *columns = vidur_probe_columns(&count);
    const size_t used = strlen(row->reason);
    snprintf(name, sizeof name, "%.50s_s", slo);
    const struct vidur_column *column = vidur_column_find(columns, count, name);
    if (!column || column->kind != VIDUR_COLUMN_REAL)
        return;
    memcpy(&value, (const char *)lowest + column->offset, sizeof value);
    if (isfinite(value))
        snprintf(row->reason + used, sizeof row->reason - used,
                 VIDUR_WHERE_IT_IS "%.3g s", value);
}

static void explain_unreachable(const struct study *study,
                                const struct vidur_probe_row *lowest, const char *slo,
                                struct vidur_ranking_row *row)
{
    if (study->config->target.qps > 0)
        snprintf(row->reason, sizeof row->reason,
                 "%s is not met at %.4g QPS even with %s", slo, lowest->qps,
                 describe_counts(lowest).text);
    else
        snprintf(row->reason, sizeof row->reason, "%s is not met even at %.3g %s", slo,
                 study_offered(lowest), study_load_unit(lowest));
    add_missed(lowest, slo, row);
}

static void fill_unmet(const struct study *study, int64_t path,
                       struct vidur_ranking_row *row)
{
    const struct study_path *p = &study->paths[path];
    const struct vidur_probe_row *lowest = limiting_row(study, path);
    const bool by_delay = is_reference_search(study) && !p->answer.found;
    if (!lowest) {
        study_explain_pools(study, path, row);
        return;
    }
    const char *slo = by_delay ? "scheduling_delay_p99" : lowest->violated_slo;
    snprintf(row->limiting_slo, sizeof row->limiting_slo, "%s", slo);
    if (ended_by_time_limit(study, path))
        explain_time_limit(study, lowest, row);
    else if (strcmp(row->status, VIDUR_STATUS_FAILED) == 0)
        snprintf(
            row->reason, sizeof row->reason,
            "search.max_iterations %d ended the search at %.3g %s, where %s is not "
            "met; raise it",
            study->config->search.max_iterations, study_offered(lowest),
            study_load_unit(lowest), slo);
    else
        explain_unreachable(study, lowest, slo, row);
}

/* One ranking row, without rank, Pareto flag and bottleneck. */
static void fill_row(const struct study *study, int64_t candidate,
                     struct vidur_ranking_row *row)
{
    const struct vidur_candidate *v = &study->space->candidates[candidate];
    struct study_replications replications;
    int count;
    const struct vidur_column *columns = vidur_ranking_columns(&count);
    study_find_replications(study, candidate, &replications);
    const int64_t path = replications.speaker;
    const struct study_path *p = &study->paths[path];
    vidur_row_clear(columns, count, row);
    fill_candidate(study, candidate, path, row);
    for (int64_t i = candidate; i >= 0; i = study->paths[i].next)
        row->num_probes += study->paths[i].num_probes;
    row->bracket_violations = p->answer.num_violations;
    snprintf(row->status, sizeof row->status, "%s", find_status(study, path));
    if (v->status != VIDUR_CANDIDATE_RUNNABLE)
        snprintf(row->reason, sizeof row->reason, "%s", v->reason);
    else if (p->failure)
        snprintf(row->reason, sizeof row->reason, "%s", p->failure);
    else if (study_best_probe(study, path))
        fill_answer(study, candidate, &replications, row);
    else
        fill_unmet(study, path, row);
    const struct vidur_workload *w = evaluator_workload(study->evaluator, v->trace);
    row->cut_requests = vidur_workload_num_cut(
        w, row->num_requests > 0 ? row->num_requests : w->num_requests);
    if (p->num_probes > 0)
        vidur_find_bottleneck(row);
}

void study_count(const struct study *study, struct study_counts *counts)
{
    *counts = (struct study_counts){.candidates = study->space->num_candidates,
                                    .probes = study->num_probes,
                                    .borrowed = study->num_borrowed,
                                    .bad_input = study->bad_input};
    for (int64_t i = 0; i < study->space->num_candidates; i++) {
        const struct study_path *c = &study->paths[i];
        const char *status = find_status(study, i);
        counts->finished += c->finished;
        if (strcmp(status, VIDUR_STATUS_INFEASIBLE_MEMORY) == 0)
            counts->infeasible++;
        else if (strcmp(status, VIDUR_STATUS_INVALID) == 0)
            counts->invalid++;
        else if (!c->finished)
            counts->failed += c->failure != NULL;
        else if (strcmp(status, VIDUR_STATUS_FAILED) == 0)
            counts->failed++;
        else if (strcmp(status, VIDUR_STATUS_OK) == 0)
            counts->ok++;
        else
            counts->unreachable++;
    }
}

/* ---- All of it ---- */

/* A candidate's place in the ranking, to order the probes by. */
struct place {
    char candidate_id[24];
    int64_t position;
};

static int compare_places(const void *a, const void *b)
{
    return strcmp(((const struct place *)a)->candidate_id,
                  ((const struct place *)b)->candidate_id);
}

/* Candidates' indices in the order of the ranking. */
static int order_candidates(const struct study *study,
                            const struct vidur_results *results, int64_t *order,
                            struct vidur_error *err)
{
    const size_t count = (size_t)results->num_ranking;
    struct place *places = calloc(count + 1, sizeof *places);
    if (!places)
        return vidur_fail(err, VIDUR_ENOMEM, "out of memory for results");
    for (size_t i = 0; i < count; i++) {
        memcpy(places[i].candidate_id, results->ranking[i].candidate_id,
               sizeof places[i].candidate_id);
        places[i].position = (int64_t)i;
    }
    qsort(places, count, sizeof *places, compare_places);
    for (size_t i = 0; i < count; i++) {
        struct place key = {{0}, 0};
        snprintf(key.candidate_id, sizeof key.candidate_id, "%016" PRIx64,
                 study->space->candidates[i].id);
        const struct place *found =
            bsearch(&key, places, count, sizeof *places, compare_places);
        order[found->position] = (int64_t)i;
    }
    free(places);
    return 0;
}

static void take_probes(const struct study *study, int64_t candidate,
                        struct vidur_results *results)
{
    int64_t probe = 0;
    for (int64_t i = candidate; i >= 0; i = study->paths[i].next)
        for (int k = 0; k < study->paths[i].num_probes; k++) {
            struct vidur_probe_row *row = &results->probes[results->num_probes++];
            *row = study->paths[i].probes[k].row;
            row->probe = probe++;
        }
}

int study_rank(const struct study *study, struct vidur_ranking_row *rows,
               int64_t *order, struct vidur_error *err)
{
    const int64_t count = study->space->num_candidates;
    const struct vidur_results ranked = {.ranking = rows, .num_ranking = count};
    for (int64_t i = 0; i < count; i++)
        fill_row(study, i, &rows[i]);
    if (vidur_rank(rows, count, err) != 0)
        return -1;
    return order_candidates(study, &ranked, order, err);
}

static int fill_rows(const struct study *study, struct vidur_results *results,
                     int64_t *order, struct vidur_error *err)
{
    if (study_rank(study, results->ranking, order, err) != 0 ||
        vidur_mark_pareto(results->ranking, results->num_ranking, err) != 0)
        return -1;
    for (int64_t i = 0; i < results->num_ranking; i++)
        take_probes(study, order[i], results);
    return 0;
}

static int fill_results(const struct study *study, struct vidur_results *results,
                        struct vidur_error *err)
{
    const size_t count = (size_t)study->space->num_candidates;
    int64_t *order = calloc(count + 1, sizeof *order);
    results->num_ranking = study->space->num_candidates;
    results->ranking = calloc(count + 1, sizeof *results->ranking);
    results->probes = calloc((size_t)study->num_probes + 1, sizeof *results->probes);
    const int rc = order && results->ranking && results->probes
                       ? fill_rows(study, results, order, err)
                       : vidur_fail(err, VIDUR_ENOMEM, "out of memory for results");
    free(order);
    return rc;
}

int study_results(const struct study *study, struct vidur_results *results,
                  struct vidur_error *err)
{
    const struct vidur_search_config *config = study->config;
    memset(results, 0, sizeof *results);
    snprintf(results->config_path, sizeof results->config_path, "%s", config->path);
    snprintf(results->config_sha256, sizeof results->config_sha256, "%s",
             config->sha256);
    results->seed = config->search.seed;
    results->config_text = strdup(config->text);
    if (!results->config_text)
        return vidur_fail(err, VIDUR_ENOMEM, "out of memory for results");
    if (fill_results(study, results, err) != 0)
        return -1;
    return study_add_facts(study, results, err);
}
