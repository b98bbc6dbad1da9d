#include "report/report_model.h"

#include "results/columns.h"
#include "results/results_notes.h"

#include <vidur/deployment.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name, *words;
} statuses[VIDUR_NUM_STATUSES] = {
    [VIDUR_STATUS_INDEX_OK] = {VIDUR_STATUS_OK, "ok"},
    [VIDUR_STATUS_INDEX_INFEASIBLE_MEMORY] = {VIDUR_STATUS_INFEASIBLE_MEMORY,
                                              "too large for memory"},
    [VIDUR_STATUS_INDEX_SLO_UNREACHABLE] = {VIDUR_STATUS_SLO_UNREACHABLE,
                                            "missing an SLO at any load"},
    [VIDUR_STATUS_INDEX_INVALID] = {VIDUR_STATUS_INVALID, "invalid"},
    [VIDUR_STATUS_INDEX_FAILED] = {VIDUR_STATUS_FAILED, "failed"},
};

const char *vidur_status_name(enum vidur_status status)
{
    return statuses[status].name;
}

const char *vidur_status_words(enum vidur_status status)
{
    return statuses[status].words;
}

enum vidur_status vidur_status_of(const struct vidur_ranking_row *row)
{
    for (int i = 0; i < VIDUR_NUM_STATUSES; i++)
        if (strcmp(row->status, statuses[i].name) == 0)
            return (enum vidur_status)i;
    return VIDUR_STATUS_INDEX_FAILED;
}

/* The value that a label gives to a knob, with what follows it; "" where there is none.
 */
static const char *value_in_label(const struct vidur_ranking_row *row, const char *knob)
{
    const char *at = strstr(row->scheduler_label, knob);
    return at ? at + strlen(knob) : "";
}

/* A knob that follows from the workload unless the configuration gives it. */
static bool same_given(const struct vidur_ranking_row *a,
                       const struct vidur_ranking_row *b, const char *knob)
{
    const char *x = value_in_label(a, knob), *y = value_in_label(b, knob);
    const size_t length = strcspn(x, " ");
    return length == strcspn(y, " ") && strncmp(x, y, length) == 0;
}

/* Files of before there was a knob have none: its default then holds. */
static double known_or(double value, double otherwise)
{
    return isnan(value) ? otherwise : value;
}

static bool same_knobs(const struct vidur_ranking_row *a,
                       const struct vidur_ranking_row *b)
{
    /* NaN: read from a file that lacks the columns */
    if (isnan(a->gpu_memory_utilization) || isnan(b->gpu_memory_utilization))
        return strcmp(a->scheduler_label, b->scheduler_label) == 0 &&
               a->chunk_size == b->chunk_size;
#define X(type, name, def, min)                                                        \
    if (strcmp(#name, "max_tokens_in_batch") == 0 || strcmp(#name, "num_blocks") == 0  \
            ? !same_given(a, b, " " #name "=")                                         \
            : known_or((double)a->name, (double)def) !=                                \
                  known_or((double)b->name, (double)def))                              \
        return false;
    VIDUR_SCHEDULER_KNOBS(X)
#undef X
    return true;
}

/* Files of before there was a choice have none. */
static const char *or_bf16(const char *dtype)
{
    return dtype[0] ? dtype : vidur_dtype_name(VIDUR_DTYPE_bf16);
}

const char *vidur_row_precision(const struct vidur_ranking_row *row)
{
    return or_bf16(row->precision);
}

const char *vidur_row_kv_cache_dtype(const struct vidur_ranking_row *row)
{
    return or_bf16(row->kv_cache_dtype);
}

bool vidur_same_configuration(const struct vidur_ranking_row *a,
                              const struct vidur_ranking_row *b)
{
    return strcmp(a->device, b->device) == 0 &&
           strcmp(a->network_device, b->network_device) == 0 &&
           strcmp(a->scheduler, b->scheduler) == 0 &&
           strcmp(a->router, b->router) == 0 &&
           strcmp(a->memory_planner, b->memory_planner) == 0 &&
           strcmp(vidur_row_precision(a), vidur_row_precision(b)) == 0 &&
           strcmp(vidur_row_kv_cache_dtype(a), vidur_row_kv_cache_dtype(b)) == 0 &&
           a->expert_parallel == b->expert_parallel &&
           a->data_parallel_size == b->data_parallel_size &&
           a->tensor_parallel_size == b->tensor_parallel_size &&
           a->num_pipeline_stages == b->num_pipeline_stages &&
           a->batch_size == b->batch_size && a->num_replicas == b->num_replicas &&
           strcmp(a->pools, b->pools) == 0 &&
           a->decode_batch_size == b->decode_batch_size &&
           strcmp(a->decode_scheduler_label, b->decode_scheduler_label) == 0 &&
           a->second_batch_size == b->second_batch_size &&
           strcmp(a->second_scheduler_label, b->second_scheduler_label) == 0 &&
           same_knobs(a, b);
}

double vidur_row_latency(const struct vidur_ranking_row *row,
                         const struct vidur_report_slo *slo)
{
    double value = NAN;
    if (slo->offset >= 0)
        memcpy(&value, (const char *)row + slo->offset, sizeof value);
    return value;
}

bool vidur_row_has_slo(const struct vidur_ranking_row *row,
                       const struct vidur_report_slo *slo)
{
    return !slo->class_name || !isnan(vidur_row_latency(row, slo));
}

bool vidur_row_has_no_samples(const struct vidur_ranking_row *row,
                              const struct vidur_report_slo *slo)
{
    return (strcmp(slo->metric, "tbt") == 0 && isnan(row->tbt_p50_s)) ||
           (strcmp(slo->metric, "tpot") == 0 && isnan(row->tpot_p50_s));
}

bool vidur_row_has_target(const struct vidur_ranking_row *row)
{
    return isfinite(row->target_qps);
}

double vidur_row_qps_per_dollar(const struct vidur_ranking_row *row)
{
    return vidur_row_has_target(row) ? row->target_qps / row->usd_per_hour
                                     : row->qps_per_dollar;
}

bool vidur_row_is_burst(const struct vidur_ranking_row *row)
{
    return vidur_status_of(row) == VIDUR_STATUS_INDEX_OK &&
           strncmp(row->reason, VIDUR_BURST, sizeof VIDUR_BURST - 1) == 0;
}

double vidur_usd_per_1000_requests(const struct vidur_ranking_row *row)
{
    return row->usd_per_hour /
           (3.6 * (vidur_row_has_target(row) ? row->target_qps : row->max_qps));
}

bool vidur_row_has_price(const struct vidur_ranking_row *row)
{
    return isfinite(row->usd_per_hour);
}

/* At the load that was asked for, else at max_qps. */
static double qps_per_gpu(const struct vidur_ranking_row *row)
{
    return (vidur_row_has_target(row) ? row->target_qps : row->max_qps) /
           (double)row->num_gpus;
}

double vidur_break_even_usd_per_gpu_hour(const struct vidur_ranking_row *best,
                                         const struct vidur_ranking_row *row)
{
    return qps_per_gpu(row) / vidur_row_qps_per_dollar(best);
}

double vidur_cost_factor(const struct vidur_ranking_row *best,
                         const struct vidur_ranking_row *row)
{
    if (!vidur_row_has_price(best) && !vidur_row_has_price(row))
        return qps_per_gpu(best) / qps_per_gpu(row);
    return vidur_row_qps_per_dollar(best) / vidur_row_qps_per_dollar(row);
}

struct vidur_report_caution vidur_report_caution(const struct vidur_results *results)
{
    struct vidur_report_caution caution = {""};
    const char *source = vidur_results_fact(results, "estimator", "", "source");
    const char *from = vidur_results_fact(results, "estimator", "", "description");
    if (source && strcmp(source, "roofline") == 0)
        snprintf(caution.text, sizeof caution.text,
                 "Operator times come from a synthetic roofline (peaks and fitted "
                 "efficiencies), not from measured profiles.");
    else if (from && (strstr(from, "synthetic") || strstr(from, "Synthetic")))
        snprintf(caution.text, sizeof caution.text, "Operator times: %s.", from);
    return caution;
}

/* ---- filters ---- */

static bool passes(const struct vidur_ranking_row *row,
                   const struct vidur_report_options *options)
{
    if (!options)
        return true;
    if (options->model && strcmp(row->model, options->model) != 0)
        return false;
    if (options->trace && strcmp(row->trace, options->trace) != 0)
        return false;
    return !options->sku || strcmp(row->device, options->sku) == 0 ||
           strcmp(row->network_device, options->sku) == 0;
}

/* Adds TEXT to a list "a, b" unless it is in it. */
static void add_name(char *list, size_t size, const char *name)
{
    size_t length = strlen(name);
    for (const char *at = strstr(list, name); at; at = strstr(at + 1, name))
        if ((at == list || at[-1] == ' ') && (at[length] == ',' || at[length] == 0))
            return;
    size_t used = strlen(list);
    snprintf(list + used, size - used, "%s%s", used ? ", " : "", name);
}

static int fail_no_rows(const struct vidur_results *results, struct vidur_error *err)
{
    char models[160] = "", traces[160] = "", skus[240] = "";
    if (results->num_ranking == 0)
        return vidur_fail(err, VIDUR_EINVAL, "the results hold no candidate");
    for (int64_t i = 0; i < results->num_ranking; i++) {
        const struct vidur_ranking_row *row = &results->ranking[i];
        add_name(models, sizeof models, row->model);
        add_name(traces, sizeof traces, row->trace);
        add_name(skus, sizeof skus, row->device);
        add_name(skus, sizeof skus, row->network_device);
    }
    return vidur_fail(err, VIDUR_EINVAL,
                      "no candidate passes the filters; there are models %s; traces "
                      "%s; SKUs %s",
                      models, traces, skus);
}

static int filter_rows(struct vidur_report_model *model,
                       const struct vidur_report_options *options,
                       struct vidur_error *err)
{
    const struct vidur_results *results = model->results;
    model->rows = calloc((size_t)results->num_ranking + 1, sizeof *model->rows);
    if (!model->rows)
        return vidur_fail(err, VIDUR_ENOMEM, "out of memory for a report");
    for (int64_t i = 0; i < results->num_ranking; i++)
        if (passes(&results->ranking[i], options))
            model->rows[model->num_rows++] = results->ranking[i];
    return model->num_rows > 0 ? 0 : fail_no_rows(results, err);
}

/* ---- groups and SKUs ---- */

static struct vidur_report_group *group_of(struct vidur_report_model *model,
                                           const struct vidur_ranking_row *row)
{
    struct vidur_report_group *last =
        model->num_groups > 0 ? &model->groups[model->num_groups - 1] : NULL;
    if (last && strcmp(last->model, row->model) == 0 &&
        strcmp(last->trace, row->trace) == 0)
        return last;
    last = &model->groups[model->num_groups++];
    *last = (struct vidur_report_group){
        .model = row->model, .trace = row->trace, .rows = row};
    return last;
}

/* The best once more, with a batch cap that makes no difference: no second choice. */
static bool is_same_choice(const struct vidur_ranking_row *best,
                           const struct vidur_ranking_row *row)
{
    struct vidur_ranking_row copy = *row;
    copy.batch_size = best->batch_size;
    copy.batch_size_cap = best->batch_size_cap;
    copy.max_num_seqs = best->max_num_seqs;
    return vidur_same_configuration(best, &copy) &&
           fabs(vidur_cost_factor(best, row) - 1) < 0.0005;
}

static int make_groups(struct vidur_report_model *model, struct vidur_error *err)
{
    model->groups = calloc((size_t)model->num_rows, sizeof *model->groups);
    if (!model->groups)
        return vidur_fail(err, VIDUR_ENOMEM, "out of memory for a report");
    for (int64_t i = 0; i < model->num_rows; i++) {
        const struct vidur_ranking_row *row = &model->rows[i];
        struct vidur_report_group *group = group_of(model, row);
        enum vidur_status status = vidur_status_of(row);
        group->num_rows++;
        group->counts[status]++;
        if (status != VIDUR_STATUS_INDEX_OK)
            continue;
        if (!group->best)
            group->best = row;
        else if (!group->second && !is_same_choice(group->best, row))
            group->second = row;
    }
    return 0;
}

static void count_sku(struct vidur_report_model *model, int first, int group,
                      const struct vidur_ranking_row *row)
{
    int i = first;
    while (i < model->num_skus &&
           (strcmp(model->skus[i].device, row->device) != 0 ||
            strcmp(model->skus[i].network_device, row->network_device) != 0))
        i++;
    if (i == model->num_skus)
        model->skus[model->num_skus++] =
            (struct vidur_report_sku){.group = group,
                                      .device = row->device,
                                      .network_device = row->network_device};
    model->skus[i].num_rows++;
    if (!model->skus[i].best && vidur_status_of(row) == VIDUR_STATUS_INDEX_OK)
        model->skus[i].best = row;
}

/* Rows are best first, so SKUs appear in the order of their best, those without one
 * last. */
static int make_skus(struct vidur_report_model *model, struct vidur_error *err)
{
    model->skus = calloc((size_t)model->num_rows, sizeof *model->skus);
    if (!model->skus)
        return vidur_fail(err, VIDUR_ENOMEM, "out of memory for a report");
    for (int group = 0; group < model->num_groups; group++) {
        int first = model->num_skus;
        for (int64_t i = 0; i < model->groups[group].num_rows; i++)
            count_sku(model, first, group, &model->groups[group].rows[i]);
    }
    return 0;
}

/* ---- mis-configuration ---- */

static const struct vidur_ranking_row *
find_configuration(const struct vidur_report_group *group,
                   const struct vidur_ranking_row *wanted)
{
    for (int64_t i = 0; i < group->num_rows; i++)
        if (vidur_same_configuration(&group->rows[i], wanted))
            return &group->rows[i];
    return NULL;
}

static void make_cell(struct vidur_report_model *model, int served, int tuned_for)
{
    const struct vidur_report_group *a = &model->groups[served];
    const struct vidur_report_group *b = &model->groups[tuned_for];
    struct vidur_report_cell *cell = &model->cells[model->num_cells++];
    *cell = (struct vidur_report_cell){served, tuned_for, NULL, NAN};
    if (!b->best)
        return;
    cell->row = served == tuned_for ? b->best : find_configuration(a, b->best);
    if (cell->row && a->best && vidur_status_of(cell->row) == VIDUR_STATUS_INDEX_OK)
        cell->loss = vidur_cost_factor(a->best, cell->row);
}

static int make_cells(struct vidur_report_model *model, struct vidur_error *err)
{
    size_t groups = (size_t)model->num_groups;
    model->cells = calloc(groups * groups, sizeof *model->cells);
    if (!model->cells)
        return vidur_fail(err, VIDUR_ENOMEM, "out of memory for a report");
    for (int a = 0; a < model->num_groups; a++) {
        int start = model->num_cells;
        for (int b = 0; b < model->num_groups; b++)
            if (strcmp(model->groups[a].model, model->groups[b].model) == 0)
                make_cell(model, a, b);
        if (model->num_cells == start + 1)
            model->num_cells = start; /* a model with one workload */
    }
    return 0;
}

/* ---- how the search went ---- */

static int compare_ids(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

bool vidur_probe_is_simulated(const struct vidur_probe_row *probe)
{
    return probe->wall_s > 0;
}

static void count_probe(struct vidur_report_search *search,
                        const struct vidur_probe_row *probe)
{
    search->probes++;
    search->feasible += probe->feasible != 0;
    search->stopped_early += probe->stopped_early != 0;
    search->time_limited += probe->time_limited != 0;
    if (!vidur_probe_is_simulated(probe))
        return;
    search->simulated++;
    search->simulated_requests += probe->simulated_requests;
    search->wall_s += probe->wall_s;
    if (probe->mpi_rank >= 0 && probe->mpi_rank < search->num_ranks) {
        search->rank_probes[probe->mpi_rank]++;
        search->rank_wall_s[probe->mpi_rank] += probe->wall_s;
    }
}

/* MPI jobs are smaller than this; a larger number is not a rank. */
enum { MAX_RANKS = 1 << 20 };

static int count_search(struct vidur_report_model *model, const char **ids,
                        struct vidur_error *err)
{
    const struct vidur_results *results = model->results;
    struct vidur_report_search *search = &model->search;
    size_t count = (size_t)model->num_rows;
    for (size_t i = 0; i < count; i++) {
        ids[i] = model->rows[i].candidate_id;
        search->bracket_violations += model->rows[i].bracket_violations;
        search->extrapolated_rows += model->rows[i].extrapolated > 0;
    }
    qsort(ids, count, sizeof *ids, compare_ids);
    for (int64_t i = 0; i < results->num_probes; i++) {
        int64_t rank = results->probes[i].mpi_rank;
        if (rank >= search->num_ranks && rank < MAX_RANKS)
            search->num_ranks = (int)rank + 1;
    }
    search->rank_probes = calloc((size_t)search->num_ranks + 1, sizeof(int64_t));
    search->rank_wall_s = calloc((size_t)search->num_ranks + 1, sizeof(double));
    if (!search->rank_probes || !search->rank_wall_s)
        return vidur_fail(err, VIDUR_ENOMEM, "out of memory for a report");
    for (int64_t i = 0; i < results->num_probes; i++) {
        const char *id = results->probes[i].candidate_id;
        if (bsearch(&id, ids, count, sizeof *ids, compare_ids))
            count_probe(search, &results->probes[i]);
    }
    return 0;
}

static int make_search(struct vidur_report_model *model, struct vidur_error *err)
{
    const char **ids = calloc((size_t)model->num_rows, sizeof *ids);
    if (!ids)
        return vidur_fail(err, VIDUR_ENOMEM, "out of memory for a report");
    int failed = count_search(model, ids, err);
    free(ids);
    return failed;
}

/* ---- SLOs ---- */

static double fact_number(const struct vidur_results *results, const char *name,
                          const char *key)
{
    const char *text = vidur_results_fact(results, "slo", name, key);
    char *end = NULL;
    double value = text ? strtod(text, &end) : NAN;
    return text && end != text ? value : NAN;
}

static void find_slo_column(const struct vidur_named_columns *columns,
                            struct vidur_report_slo *slo)
{
    const struct vidur_column *column =
        vidur_column_find(columns->columns, columns->count, slo->column);
    slo->offset =
        column && column->kind == VIDUR_COLUMN_REAL ? (int64_t)column->offset : -1;
}

static struct vidur_report_slo make_slo(const struct vidur_named_columns *columns,
                                        const char *name, const char *metric,
                                        double quantile)
{
    struct vidur_report_slo slo = {.name = name,
                                   .metric = metric,
                                   .quantile = quantile,
                                   .limit_s = NAN,
                                   .offset = -1};
    slo_column_name(metric, quantile, slo.column, sizeof slo.column);
    find_slo_column(columns, &slo);
    return slo;
}

/* An SLO of the facts. */
static struct vidur_report_slo read_slo(const struct vidur_named_columns *columns,
                                        const struct vidur_results *results,
                                        const struct vidur_result_fact *fact)
{
    const char *class_name = vidur_results_fact(results, "slo", fact->name, "class");
    const char *limits = vidur_results_fact(results, "slo", fact->name, "limits");
    const bool joint = strcmp(fact->value, SLO_METRIC_JOINT) == 0;
    struct vidur_report_slo slo = make_slo(
        columns, fact->name, fact->value, fact_number(results, fact->name, "quantile"));
    slo.limit_s = fact_number(results, fact->name, "limit_s");
    slo.limits = joint ? limits : NULL;
    slo.class_name = class_name;
    if (joint || class_name)
        slo_column_of_name(fact->name, joint, slo.column, sizeof slo.column);
    find_slo_column(columns, &slo);
    return slo;
}

static void show_latency(struct vidur_report_model *model,
                         const struct vidur_report_slo *slo)
{
    for (int i = 0; i < model->num_latencies; i++)
        if (strcmp(model->latencies[i].column, slo->column) == 0)
            return;
    if (slo->offset >= 0 && model->num_latencies < VIDUR_MAX_SLOS)
        model->latencies[model->num_latencies++] = *slo;
}

/* Beside the SLOs': what the Pareto fronts look at. */
static void show_usual_latency(struct vidur_report_model *model,
                               const struct vidur_report_slo *slo)
{
    enum { ROOM = 4 };
    bool shown = model->num_latencies >= ROOM;
    for (int i = 0; i < model->num_latencies; i++)
        shown |= strcmp(model->latencies[i].metric, slo->metric) == 0;
    if (!shown)
        show_latency(model, slo);
}

static int make_slos(struct vidur_report_model *model, struct vidur_error *err)
{
    const struct vidur_results *results = model->results;
    struct vidur_named_columns columns;
    int count;
    const struct vidur_column *all = vidur_ranking_columns(&count);
    vidur_named_columns_make(&columns, all, count, results);
    model->classes = columns.classes;
    model->slos = calloc((size_t)results->num_facts + 1, sizeof *model->slos);
    if (!model->slos)
        return vidur_fail(err, VIDUR_ENOMEM, "out of memory for a report");
    for (int64_t i = 0; i < results->num_facts; i++) {
        const struct vidur_result_fact *fact = &results->facts[i];
        if (strcmp(fact->section, "slo") != 0 || strcmp(fact->key, "metric") != 0)
            continue;
        struct vidur_report_slo *slo = &model->slos[model->num_slos++];
        *slo = read_slo(&columns, results, fact);
        show_latency(model, slo);
    }
    const struct vidur_report_slo usual[] = {
        make_slo(&columns, "ttft_p90", "ttft", 0.9),
        make_slo(&columns, "tbt_p99", "tbt", 0.99)};
    for (int i = 0; i < 2; i++)
        show_usual_latency(model, &usual[i]);
    return 0;
}

int vidur_report_model_make(struct vidur_report_model *model,
                            const struct vidur_results *results,
                            const struct vidur_report_options *options,
                            struct vidur_error *err)
{
    *model = (struct vidur_report_model){.results = results};
    if (options) {
        model->load = options->load;
        model->api = options->api;
    }
    if (filter_rows(model, options, err) || make_slos(model, err) ||
        make_groups(model, err) || make_skus(model, err) || make_cells(model, err) ||
        vidur_report_families_make(model, err))
        return -1;
    return make_search(model, err);
}

void vidur_report_model_release(struct vidur_report_model *model)
{
    free(model->rows);
    free(model->slos);
    free(model->groups);
    free(model->skus);
    free(model->cells);
    free(model->families);
    free(model->sizes);
    free(model->family_of_row);
    free(model->search.rank_probes);
    free(model->search.rank_wall_s);
    *model = (struct vidur_report_model){0};
}
