#include "base/text.h"
#include "knobs.h"
#include "results_notes.h"
#include "study_parts.h"

#include <vidur/ranking.h>
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

const struct vidur_probe_row *study_best_row(const struct study *study,
                                             int64_t candidate)
{
    const struct study_candidate *c = &study->candidates[candidate];
    const struct vidur_probe_row *best = NULL;
    if (!c->answer.found)
        return NULL;
    for (int i = 0; i < c->num_probes; i++) {
        const struct vidur_probe_row *row = &c->probes[i].row;
        /* The reference filters all its runs by the other SLOs afterwards. */
        if (row->feasible &&
            (is_reference_search(study) ? !best || row->qps > best->qps
                                        : row->qps == c->answer.max_qps))
            best = row;
    }
    return best;
}

const struct vidur_probe_row *study_limiting_row(const struct study *study,
                                                 int64_t candidate)
{
    const struct study_candidate *c = &study->candidates[candidate];
    const struct vidur_probe_row *best = study_best_row(study, candidate);
    const struct vidur_probe_row *limiting = NULL;
    for (int i = 0; i < c->num_probes; i++) {
        const struct vidur_probe_row *row = &c->probes[i].row;
        if (!row->feasible && (!best || row->qps > best->qps) &&
            (!limiting || row->qps < limiting->qps))
            limiting = row;
    }
    return limiting;
}

/* ---- Rows ---- */

static void fill_candidate(const struct study *study, int64_t candidate,
                           struct vidur_ranking_row *row)
{
    const struct vidur_search_config *config = study->config;
    const struct vidur_candidate *c = &study->space->candidates[candidate];
    struct vidur_deployment d;
    vidur_space_deployment(study->space, candidate, &d);
    const struct vidur_scheduler_config *s = &d.scheduler;
    const bool engine = strcmp(s->type, "vllm_v1") == 0;
    const bool vidur = d.memory_planner == VIDUR_PLANNER_VIDUR ||
                       (d.memory_planner == VIDUR_PLANNER_BY_SEMANTICS &&
                        d.semantics == VIDUR_SEMANTICS_VIDUR);
#define TEXT(member, value) snprintf(row->member, sizeof row->member, "%s", value)
    snprintf(row->candidate_id, sizeof row->candidate_id, "%016" PRIx64, c->id);
    TEXT(model, config->models[c->model].name);
    TEXT(trace, config->traces[c->trace].name);
    TEXT(device, d.device.name);
    TEXT(network_device, d.node.name);
    TEXT(scheduler, s->type);
    TEXT(scheduler_label, config->schedulers[c->scheduler].label);
    TEXT(router, d.router);
    TEXT(memory_planner, engine ? "vllm_v1" : vidur ? "vidur" : "exact");
    if (c->table >= 0)
        TEXT(estimator, study->tables[c->table].provenance);
#undef TEXT
#define X(type_, name, def, min, users)                                                \
    row->name = knob_is_used(users, s->type) ? s->name : 0;
    VIDUR_SCHEDULER_KNOBS(X)
#undef X
    if (engine)
        row->max_tokens_in_batch = s->max_num_batched_tokens;
    row->tensor_parallel_size = c->tensor_parallel_size;
    row->num_pipeline_stages = c->num_pipeline_stages;
    row->batch_size = c->batch_size;
    row->num_blocks = c->num_blocks;
    row->num_replicas = c->num_replicas;
    row->num_gpus = c->num_gpus;
    row->usd_per_hour = vidur_space_usd_per_hour(study->space, candidate);
}

/* Columns that probes and rankings share. */
static void copy_measured(struct vidur_ranking_row *row,
                          const struct vidur_probe_row *probe)
{
#define COPY(kind, name, size, unit, description) row->name = probe->name;
    VIDUR_RESULT_LATENCY_COLUMNS(COPY)
    VIDUR_RESULT_LOAD_COLUMNS(COPY)
#undef COPY
}

/* Prompt and output tokens of a request. At a steady max_qps they cost what max_qps
 * costs; total_tokens_per_s includes the tail of a run, in which nothing arrives. */
static double mean_tokens(const struct study *study, int64_t candidate)
{
    const int trace = study->space->candidates[candidate].trace;
    const struct vidur_workload *w = evaluator_workload(study->evaluator, trace);
    int64_t tokens = 0;
    for (int64_t i = 0; i < w->num_requests; i++)
        tokens += w->num_prefill_tokens[i] + w->num_decode_tokens[i];
    return (double)tokens / (double)w->num_requests;
}

/* A run that goes on long after its last arrival: a queue that grows all the while may
 * still be short when arrivals end. */
static void judge_steadiness(const struct study *study, int64_t candidate,
                             const struct vidur_probe_row *best,
                             struct vidur_ranking_row *row)
{
    const double offered = best->qps * mean_tokens(study, candidate);
    const double share = best->total_tokens_per_s / offered;
    if (share < VIDUR_STEADY_SHARE)
        snprintf(row->reason, sizeof row->reason,
                 VIDUR_BURST ": %.0f %% of the tokens offered are served while it "
                             "lasts; raise num_requests, the capacity is lower",
                 100 * share);
}

static void fill_answer(const struct study *study, int64_t candidate,
                        struct vidur_ranking_row *row)
{
    const struct study_candidate *c = &study->candidates[candidate];
    const struct vidur_probe_row *best = study_best_row(study, candidate);
    const struct vidur_probe_row *limiting = study_limiting_row(study, candidate);
    copy_measured(row, best);
    row->max_qps = best->qps;
    row->qps_per_dollar = best->qps / row->usd_per_hour;
    row->usd_per_million_tokens =
        row->usd_per_hour / 3600 / (best->qps * mean_tokens(study, candidate)) * 1e6;
    if (limiting)
        memcpy(row->limiting_slo, limiting->violated_slo, sizeof row->limiting_slo);
    if (c->answer.unbounded)
        snprintf(row->reason, sizeof row->reason,
                 "every load up to %.4g QPS passes: the workload is too short to "
                 "overload it",
                 best->qps);
    else if (c->answer.exhausted)
        snprintf(row->reason, sizeof row->reason,
                 "max_iterations ended the search: the answer lies between %.6g and "
                 "%.6g QPS",
                 best->qps, limiting ? limiting->qps : INFINITY);
    else
        judge_steadiness(study, candidate, best, row);
}

/* No load passed: did time_limit_s or max_iterations keep the search from finding out?
 */
static bool ended_by_time_limit(const struct study *study, int64_t candidate)
{
    const struct study_candidate *c = &study->candidates[candidate];
    const struct vidur_probe_row *lowest = study_limiting_row(study, candidate);
    return !c->answer.found && (c->answer.floored || (lowest && lowest->time_limited));
}

static const char *find_status(const struct study *study, int64_t candidate)
{
    static const char *const rejected[] = {
        [VIDUR_CANDIDATE_INFEASIBLE_MEMORY] = VIDUR_STATUS_INFEASIBLE_MEMORY,
        [VIDUR_CANDIDATE_INVALID] = VIDUR_STATUS_INVALID};
    const struct vidur_candidate *v = &study->space->candidates[candidate];
    const struct study_candidate *c = &study->candidates[candidate];
    if (v->status != VIDUR_CANDIDATE_RUNNABLE)
        return rejected[v->status];
    if (c->failure)
        return VIDUR_STATUS_FAILED;
    if (study_best_row(study, candidate))
        return VIDUR_STATUS_OK;
    /* found: the reference's predicate passed somewhere, but never all SLOs. */
    if (!c->answer.found &&
        (!c->answer.unreachable || ended_by_time_limit(study, candidate)))
        return VIDUR_STATUS_FAILED;
    return VIDUR_STATUS_SLO_UNREACHABLE;
}

static void explain_time_limit(const struct study *study, int64_t candidate,
                               struct vidur_ranking_row *row)
{
    const int trace = study->space->candidates[candidate].trace;
    const struct vidur_probe_row *lowest = study_limiting_row(study, candidate);
    double qps = evaluator_lowest_qps(study->evaluator, trace);
    if (lowest && lowest->time_limited)
        qps = fmax(qps, lowest->qps);
    snprintf(row->reason, sizeof row->reason,
             "search.time_limit_s %g cuts %s below %.3g QPS; raise it or ask "
             "for fewer requests",
             study->config->search.time_limit_s,
             vidur_text_counted(
                 evaluator_workload(study->evaluator, trace)->num_requests, "request")
                 .text,
             qps);
}

static void fill_unmet(const struct study *study, int64_t candidate,
                       struct vidur_ranking_row *row)
{
    const struct study_candidate *c = &study->candidates[candidate];
    const struct vidur_probe_row *lowest = study_limiting_row(study, candidate);
    const bool by_delay = is_reference_search(study) && !c->answer.found;
    if (!lowest)
        return;
    const char *slo = by_delay ? "scheduling_delay_p99" : lowest->violated_slo;
    snprintf(row->limiting_slo, sizeof row->limiting_slo, "%s", slo);
    if (ended_by_time_limit(study, candidate))
        explain_time_limit(study, candidate, row);
    else if (strcmp(row->status, VIDUR_STATUS_FAILED) == 0)
        snprintf(
            row->reason, sizeof row->reason,
            "search.max_iterations %d ended the search at %.3g QPS, where %s is not "
            "met; raise it",
            study->config->search.max_iterations, lowest->qps, slo);
    else
        snprintf(row->reason, sizeof row->reason, "%s is not met even at %.3g QPS", slo,
                 lowest->qps);
}

void study_fill_row(const struct study *study, int64_t candidate,
                    struct vidur_ranking_row *row)
{
    const struct vidur_candidate *v = &study->space->candidates[candidate];
    const struct study_candidate *c = &study->candidates[candidate];
    int count;
    const struct vidur_column *columns = vidur_ranking_columns(&count);
    vidur_row_clear(columns, count, row);
    fill_candidate(study, candidate, row);
    row->num_probes = c->num_probes;
    row->bracket_violations = c->answer.num_violations;
    snprintf(row->status, sizeof row->status, "%s", find_status(study, candidate));
    if (v->status != VIDUR_CANDIDATE_RUNNABLE)
        snprintf(row->reason, sizeof row->reason, "%s", v->reason);
    else if (c->failure)
        snprintf(row->reason, sizeof row->reason, "%s", c->failure);
    else if (study_best_row(study, candidate))
        fill_answer(study, candidate, row);
    else
        fill_unmet(study, candidate, row);
    if (c->num_probes > 0)
        vidur_find_bottleneck(row);
}

void study_count(const struct study *study, struct study_counts *counts)
{
    *counts =
        (struct study_counts){.candidates = study->space->num_candidates,
                              .probes = study->num_probes,
                              .borrowed = study->num_borrowed,
                              .bad_input = study->bad_input,
                              .memory_bytes = evaluator_memory_bytes(study->evaluator)};
    for (int64_t i = 0; i < study->space->num_candidates; i++) {
        const struct study_candidate *c = &study->candidates[i];
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

static int fill_probes(const struct study *study, struct vidur_results *results,
                       struct vidur_error *err)
{
    int64_t *order = calloc((size_t)results->num_ranking + 1, sizeof *order);
    results->probes = calloc((size_t)study->num_probes + 1, sizeof *results->probes);
    int rc = order && results->probes
                 ? order_candidates(study, results, order, err)
                 : vidur_fail(err, VIDUR_ENOMEM, "out of memory for probes");
    for (int64_t i = 0; rc == 0 && i < results->num_ranking; i++) {
        const struct study_candidate *c = &study->candidates[order[i]];
        for (int p = 0; p < c->num_probes; p++)
            results->probes[results->num_probes++] = c->probes[p].row;
    }
    free(order);
    return rc;
}

static int fill_ranking(const struct study *study, struct vidur_results *results,
                        struct vidur_error *err)
{
    const int64_t count = study->space->num_candidates;
    results->ranking = calloc((size_t)count + 1, sizeof *results->ranking);
    if (!results->ranking)
        return vidur_fail(err, VIDUR_ENOMEM, "out of memory for results");
    results->num_ranking = count;
    for (int64_t i = 0; i < count; i++)
        study_fill_row(study, i, &results->ranking[i]);
    if (vidur_rank(results->ranking, count, err) != 0)
        return -1;
    return vidur_mark_pareto(results->ranking, count, err);
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
    if (fill_ranking(study, results, err) != 0 || fill_probes(study, results, err) != 0)
        return -1;
    return study_add_facts(study, results, err);
}
