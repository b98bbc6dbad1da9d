#include "report/report_json.h"

#include "base/json.h"
#include "report/launch.h"
#include "report/report_format.h"
#include "report/report_left_out.h"
#include "report/report_money.h"
#include "report/report_pools.h"
#include "results/results_layout.h"
#include "results/results_notes.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/*
 * {meta: {...}, facts: [[section, name, key, value]...],
 *  slos: [{name, title, header, metric, column, quantile, limit_s, and of joint ones
 *    limits, of a class's class}...],
 *  latencies: [as slos...],                                    what tables show
 *  columns: [{name, unit, description, kind}...], rows: [[cell...]...],
 *  groups: [{model, trace, first, count, best, second, counts,
 *           left_out: [text...], remedy}...],                        rows by index
 *  skus: [{group, device, node, best, count, money: {label: text}}...],
 *  families: [{group, node, gpus_per_replica, devices_per_node, usd_per_gpu_hour,
 *              sizes: [[replicas, qps, row]...]}...],
 *  matrix: [{served, tuned_for, row, loss}...],                       groups by index
 *  launch: {row index: {command, notes}},
 *  search: {..., ranks: [{probes, wall_s}...]},
 *  probes: {row: [...], qps: [...], feasible: [...], ...} or null where there are many}
 */

enum { LAUNCH_TOP = 10, MAX_PROBES = 20000 };

static int64_t index_of(const struct vidur_report_model *model,
                        const struct vidur_ranking_row *row)
{
    return row ? row - model->rows : -1;
}

static void put_meta(struct vidur_json_writer *json,
                     const struct vidur_report_model *model,
                     const struct vidur_report_options *options)
{
    const struct vidur_results *results = model->results;
    char seed[32];
    snprintf(seed, sizeof seed, "%llu", (unsigned long long)results->seed);
    vidur_json_begin_object(json, "meta");
    vidur_json_put_string(json, "version", results->creator_version);
    vidur_json_put_string(json, "commit", results->git_commit);
    vidur_json_put_string(json, "time", results->file_time);
    vidur_json_put_string(json, "config_path", results->config_path);
    vidur_json_put_string(json, "config_text", results->config_text);
    vidur_json_put_string(json, "config_sha256", results->config_sha256);
    vidur_json_put_string(json, "seed", seed); /* beyond 2^53 as a number */
    vidur_json_put_int64(json, "ranks", results->ranks);
    vidur_json_put_int64(json, "threads", results->threads);
    vidur_json_put_double(json, "elapsed_s", results->elapsed_s);
    vidur_json_put_string(json, "caution", vidur_report_caution(results).text);
    vidur_json_put_string(json, "source", options ? options->source : NULL);
    vidur_json_put_double(json, "target_qps", model->load.target_qps);
    vidur_json_put_double(json, "headroom", model->load.headroom);
    vidur_json_put_int64(json, "whole_nodes", model->load.whole_nodes);
    vidur_json_put_string(json, "burst", VIDUR_BURST);
    vidur_json_put_int64(json, "top", options ? options->top : 0);
    vidur_json_end(json);
}

static void put_facts(struct vidur_json_writer *json,
                      const struct vidur_report_model *model)
{
    vidur_json_begin_array(json, "facts");
    for (int64_t i = 0; i < model->results->num_facts; i++) {
        const struct vidur_result_fact *fact = &model->results->facts[i];
        vidur_json_begin_array(json, NULL);
        vidur_json_put_string(json, NULL, fact->section);
        vidur_json_put_string(json, NULL, fact->name);
        vidur_json_put_string(json, NULL, fact->key);
        vidur_json_put_string(json, NULL, fact->value);
        vidur_json_end(json);
    }
    vidur_json_end(json);
}

static void put_slos(struct vidur_json_writer *json, const char *name,
                     const struct vidur_report_slo *slos, int count)
{
    vidur_json_begin_array(json, name);
    for (int i = 0; i < count; i++) {
        char title[64], header[64];
        vidur_format_slo_name(&slos[i], title, sizeof title);
        vidur_format_slo_header(&slos[i], header, sizeof header);
        vidur_json_begin_object(json, NULL);
        vidur_json_put_string(json, "name", slos[i].name);
        vidur_json_put_string(json, "title", title);
        vidur_json_put_string(json, "header", header);
        vidur_json_put_string(json, "metric", slos[i].metric);
        vidur_json_put_string(json, "column", slos[i].column);
        vidur_json_put_double(json, "quantile", slos[i].quantile);
        vidur_json_put_double(json, "limit_s", slos[i].limit_s);
        if (slos[i].limits)
            vidur_json_put_string(json, "limits", slos[i].limits);
        if (slos[i].class_name)
            vidur_json_put_string(json, "class", slos[i].class_name);
        vidur_json_end(json);
    }
    vidur_json_end(json);
}

static void put_cell(struct vidur_json_writer *json, const struct vidur_column *column,
                     const char *cell)
{
    double real;
    int64_t integer;
    switch (column->kind) {
    case VIDUR_COLUMN_TEXT:
        vidur_json_put_string(json, NULL, cell);
        break;
    case VIDUR_COLUMN_INT:
        memcpy(&integer, cell, sizeof integer);
        vidur_json_put_int64(json, NULL, integer);
        break;
    case VIDUR_COLUMN_REAL:
        memcpy(&real, cell, sizeof real);
        vidur_json_put_double(json, NULL, real);
        break;
    case VIDUR_COLUMN_FLAG:
        vidur_json_put_int64(json, NULL, *cell);
        break;
    }
}

static void put_rows(struct vidur_json_writer *json,
                     const struct vidur_report_model *model)
{
    static const char *const kinds[] = {"text", "int", "real", "flag"};
    struct vidur_named_columns names;
    const struct vidur_table table = vidur_ranking_table(model->results, &names);
    const struct vidur_column *columns = table.columns;
    const int count = table.num_columns;
    vidur_json_begin_array(json, "columns");
    for (int i = 0; i < count; i++) {
        vidur_json_begin_object(json, NULL);
        vidur_json_put_string(json, "name", columns[i].name);
        vidur_json_put_string(json, "unit", columns[i].unit);
        vidur_json_put_string(json, "description", columns[i].description);
        vidur_json_put_string(json, "kind", kinds[columns[i].kind]);
        vidur_json_end(json);
    }
    vidur_json_end(json);
    vidur_json_begin_array(json, "rows");
    for (int64_t i = 0; i < model->num_rows; i++) {
        vidur_json_begin_array(json, NULL);
        for (int c = 0; c < count; c++)
            put_cell(json, &columns[c],
                     (const char *)&model->rows[i] + columns[c].offset);
        vidur_json_end(json);
    }
    vidur_json_end(json);
}

/* What the best of an SKU costs and draws, as the other reports say it. */
static void put_money(struct vidur_json_writer *json,
                      const struct vidur_report_model *model,
                      const struct vidur_report_sku *sku)
{
    char text[1024];
    vidur_json_begin_object(json, "money");
    if (sku->best) {
        const struct vidur_money money =
            vidur_money_of(model, &model->groups[sku->group], sku->best, NULL);
        vidur_format_costs(sku->best, text, sizeof text);
        if (vidur_row_has_price(sku->best))
            vidur_json_put_string(json, "Costs", text);
        for (int i = 0; i < VIDUR_MONEY_LINES; i++) {
            const enum vidur_money_line line = (enum vidur_money_line)i;
            vidur_format_money(model, &money, line, text, sizeof text);
            if (text[0])
                vidur_json_put_string(json, vidur_money_label(line), text);
        }
    }
    vidur_json_end(json);
}

static void put_left_out(struct vidur_json_writer *json,
                         const struct vidur_report_group *group)
{
    char text[1024];
    const struct vidur_ranking_row *row = vidur_left_out_first(group);
    const char *remedy = vidur_left_out_remedy(row);
    vidur_json_begin_array(json, "left_out");
    for (int i = 0; vidur_format_left_out(group, i, text, sizeof text); i++)
        vidur_json_put_string(json, NULL, text);
    vidur_json_end(json);
    vidur_json_put_string(json, "remedy", group->best ? "" : remedy);
}

static void put_groups(struct vidur_json_writer *json,
                       const struct vidur_report_model *model)
{
    vidur_json_begin_array(json, "groups");
    for (int i = 0; i < model->num_groups; i++) {
        const struct vidur_report_group *group = &model->groups[i];
        char added[512];
        vidur_json_begin_object(json, NULL);
        vidur_json_put_string(json, "model", group->model);
        vidur_json_put_string(json, "trace", group->trace);
        vidur_json_put_int64(json, "first", index_of(model, group->rows));
        vidur_json_put_int64(json, "count", group->num_rows);
        vidur_json_put_int64(json, "best", index_of(model, group->best));
        vidur_json_put_int64(json, "second", index_of(model, group->second));
        vidur_format_added(model, group, added, sizeof added);
        vidur_json_put_string(json, "added", added);
        vidur_json_begin_object(json, "counts");
        for (int s = 0; s < VIDUR_NUM_STATUSES; s++)
            vidur_json_put_int64(json, vidur_status_name((enum vidur_status)s),
                                 group->counts[s]);
        vidur_json_end(json);
        put_left_out(json, group);
        vidur_json_end(json);
    }
    vidur_json_end(json);
    vidur_json_begin_array(json, "skus");
    for (int i = 0; i < model->num_skus; i++) {
        const struct vidur_report_sku *sku = &model->skus[i];
        vidur_json_begin_object(json, NULL);
        vidur_json_put_int64(json, "group", sku->group);
        vidur_json_put_string(json, "device", sku->device);
        vidur_json_put_string(json, "node", sku->network_device);
        vidur_json_put_int64(json, "best", index_of(model, sku->best));
        vidur_json_put_int64(json, "count", sku->num_rows);
        put_money(json, model, sku);
        vidur_json_end(json);
    }
    vidur_json_end(json);
}

/* For sizes at other loads than the one that is asked for. */
static void put_families(struct vidur_json_writer *json,
                         const struct vidur_report_model *model)
{
    vidur_json_begin_array(json, "families");
    for (int i = 0; i < model->num_families; i++) {
        const struct vidur_report_family *family = &model->families[i];
        vidur_json_begin_object(json, NULL);
        vidur_json_put_int64(json, "group", family->group);
        vidur_json_put_string(json, "node", family->network_device);
        vidur_json_put_int64(json, "gpus_per_replica", family->gpus_per_replica);
        vidur_json_put_int64(json, "devices_per_node", family->devices_per_node);
        vidur_json_put_double(json, "usd_per_gpu_hour", family->usd_per_gpu_hour);
        vidur_json_begin_array(json, "sizes");
        for (int j = 0; j < family->num_sizes; j++) {
            vidur_json_begin_array(json, NULL);
            vidur_json_put_int64(json, NULL, family->sizes[j].replicas);
            vidur_json_put_double(json, NULL, family->sizes[j].qps);
            vidur_json_put_int64(json, NULL, index_of(model, family->sizes[j].row));
            vidur_json_end(json);
        }
        vidur_json_end(json);
        vidur_json_end(json);
    }
    vidur_json_end(json);
}

static void put_matrix(struct vidur_json_writer *json,
                       const struct vidur_report_model *model)
{
    vidur_json_begin_array(json, "matrix");
    for (int i = 0; i < model->num_cells; i++) {
        const struct vidur_report_cell *cell = &model->cells[i];
        vidur_json_begin_object(json, NULL);
        vidur_json_put_int64(json, "served", cell->served);
        vidur_json_put_int64(json, "tuned_for", cell->tuned_for);
        vidur_json_put_int64(json, "row", index_of(model, cell->row));
        vidur_json_put_double(json, "loss", cell->loss);
        vidur_json_end(json);
    }
    vidur_json_end(json);
}

/* For the rows that somebody may start: the top, the fronts, the best of each SKU. */
static bool wants_launch(const struct vidur_report_model *model,
                         const struct vidur_ranking_row *row)
{
    if (row->pareto || (row->rank > 0 && row->rank <= LAUNCH_TOP))
        return true;
    for (int i = 0; i < model->num_skus; i++)
        if (model->skus[i].best == row)
            return true;
    for (int i = 0; model->load.target_qps > 0 && i < model->num_groups; i++)
        if (vidur_report_choose(model, i, NULL).row == row)
            return true;
    return false;
}

static void put_launch(struct vidur_json_writer *json,
                       const struct vidur_report_model *model)
{
    vidur_json_begin_object(json, "launch");
    for (int64_t i = 0; i < model->num_rows; i++) {
        struct vidur_launch launch;
        char key[24];
        if (!wants_launch(model, &model->rows[i]))
            continue;
        vidur_launch_line(model->results, &model->rows[i], &launch);
        snprintf(key, sizeof key, "%lld", (long long)i);
        vidur_json_begin_object(json, key);
        vidur_json_put_string(json, "command", launch.command);
        vidur_json_put_string(json, "notes", launch.notes);
        vidur_json_end(json);
    }
    vidur_json_end(json);
}

static void put_search(struct vidur_json_writer *json,
                       const struct vidur_report_model *model)
{
    const struct vidur_report_search *search = &model->search;
    vidur_json_begin_object(json, "search");
    vidur_json_put_int64(json, "probes", search->probes);
    vidur_json_put_int64(json, "feasible", search->feasible);
    vidur_json_put_int64(json, "simulated", search->simulated);
    vidur_json_put_int64(json, "stopped_early", search->stopped_early);
    vidur_json_put_int64(json, "time_limited", search->time_limited);
    vidur_json_put_int64(json, "bracket_violations", search->bracket_violations);
    vidur_json_put_int64(json, "extrapolated_rows", search->extrapolated_rows);
    vidur_json_put_int64(json, "simulated_requests", search->simulated_requests);
    vidur_json_put_double(json, "wall_s", search->wall_s);
    vidur_json_begin_array(json, "ranks");
    for (int i = 0; i < search->num_ranks; i++) {
        vidur_json_begin_object(json, NULL);
        vidur_json_put_int64(json, "probes", search->rank_probes[i]);
        vidur_json_put_double(json, "wall_s", search->rank_wall_s[i]);
        vidur_json_end(json);
    }
    vidur_json_end(json);
    vidur_json_end(json);
}

/* ---- probes ---- */

struct row_id {
    const char *id;
    int64_t index;
};

static int compare_ids(const void *left, const void *right)
{
    return strcmp(((const struct row_id *)left)->id,
                  ((const struct row_id *)right)->id);
}

static struct row_id *make_ids(const struct vidur_report_model *model)
{
    struct row_id *ids = calloc((size_t)model->num_rows + 1, sizeof *ids);
    for (int64_t i = 0; ids && i < model->num_rows; i++)
        ids[i] = (struct row_id){model->rows[i].candidate_id, i};
    if (ids)
        qsort(ids, (size_t)model->num_rows, sizeof *ids, compare_ids);
    return ids;
}

static void put_probe_column(struct vidur_json_writer *json, const char *name,
                             const struct vidur_results *results,
                             const int64_t *row_of_probe)
{
    vidur_json_begin_array(json, name);
    for (int64_t i = 0; i < results->num_probes; i++) {
        const struct vidur_probe_row *probe = &results->probes[i];
        if (row_of_probe[i] < 0)
            continue;
        if (strcmp(name, "row") == 0)
            vidur_json_put_int64(json, NULL, row_of_probe[i]);
        else if (strcmp(name, "qps") == 0)
            vidur_json_put_double(json, NULL, probe->qps);
        else if (strcmp(name, "feasible") == 0)
            vidur_json_put_int64(json, NULL, probe->feasible);
        else if (strcmp(name, "stopped_early") == 0)
            vidur_json_put_int64(json, NULL, probe->stopped_early);
        else if (strcmp(name, "violated_slo") == 0)
            vidur_json_put_string(json, NULL, probe->violated_slo);
    }
    vidur_json_end(json);
}

static int put_probes(struct vidur_json_writer *json,
                      const struct vidur_report_model *model, struct vidur_error *err)
{
    static const char *const names[] = {"row", "qps", "feasible", "stopped_early",
                                        "violated_slo"};
    const struct vidur_results *results = model->results;
    if (model->search.probes > MAX_PROBES) {
        vidur_json_put_string(json, "probes", NULL);
        return 0;
    }
    struct row_id *ids = make_ids(model);
    int64_t *row_of_probe = calloc((size_t)results->num_probes + 1, sizeof(int64_t));
    bool ready = ids && row_of_probe;
    for (int64_t i = 0; ready && i < results->num_probes; i++) {
        struct row_id key = {results->probes[i].candidate_id, 0};
        struct row_id *found =
            bsearch(&key, ids, (size_t)model->num_rows, sizeof *ids, compare_ids);
        row_of_probe[i] = found ? found->index : -1;
    }
    vidur_json_begin_object(json, "probes");
    for (size_t i = 0; ready && i < sizeof names / sizeof names[0]; i++)
        put_probe_column(json, names[i], results, row_of_probe);
    vidur_json_end(json);
    free(row_of_probe);
    free(ids);
    return ready ? 0 : vidur_fail(err, VIDUR_ENOMEM, "out of memory for a report");
}

/* '<' is in strings only; a script element must not see "</script" or "<!--". */
static char *escape(char *text, struct vidur_error *err)
{
    size_t length = 0, extra = 0;
    for (; text && text[length]; length++)
        extra += text[length] == '<' ? 5 : 0;
    char *escaped = text ? malloc(length + extra + 1) : NULL;
    if (!escaped) {
        vidur_fail(err, VIDUR_ENOMEM, "out of memory for a report");
        free(text);
        return NULL;
    }
    char *to = escaped;
    for (size_t i = 0; i <= length; i++) {
        if (text[i] == '<') {
            memcpy(to, "\\u003c", 6);
            to += 6;
        } else {
            *to++ = text[i];
        }
    }
    free(text);
    return escaped;
}

char *vidur_report_json(const struct vidur_report_model *model,
                        const struct vidur_report_options *options,
                        struct vidur_error *err)
{
    struct vidur_json_writer *json = vidur_json_writer_new(err);
    if (!json)
        return NULL;
    vidur_json_begin_object(json, NULL);
    put_meta(json, model, options);
    put_facts(json, model);
    put_slos(json, "slos", model->slos, model->num_slos);
    put_slos(json, "latencies", model->latencies, model->num_latencies);
    put_rows(json, model);
    put_groups(json, model);
    put_families(json, model);
    put_matrix(json, model);
    put_launch(json, model);
    put_search(json, model);
    int failed = put_probes(json, model, err);
    vidur_json_end(json);
    char *text = failed ? NULL : vidur_json_writer_text(json, err);
    vidur_json_writer_free(json);
    return text ? escape(text, err) : NULL;
}
