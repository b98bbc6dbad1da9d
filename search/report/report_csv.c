#include "report/report_money.h"
#include "results/results_layout.h"

#include <vidur/csv.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void put_cell(struct vidur_csv_writer *writer, const struct vidur_column *column,
                     const char *cell)
{
    double real;
    int64_t integer;
    switch (column->kind) {
    case VIDUR_COLUMN_TEXT:
        vidur_csv_put_text(writer, cell);
        break;
    case VIDUR_COLUMN_INT:
        memcpy(&integer, cell, sizeof integer);
        vidur_csv_put_int64(writer, integer);
        break;
    case VIDUR_COLUMN_REAL:
        memcpy(&real, cell, sizeof real);
        vidur_csv_put_double(writer, real);
        break;
    case VIDUR_COLUMN_FLAG:
        vidur_csv_put_int64(writer, *cell);
        break;
    }
}

static void put_columns(struct vidur_csv_writer *writer,
                        const struct vidur_table *table,
                        const struct vidur_ranking_row *row)
{
    for (int c = 0; c < table->num_columns; c++)
        put_cell(writer, &table->columns[c],
                 (const char *)row + table->columns[c].offset);
}

/* ---- beside an API: what it asks for the row's load, and where both cost the same
 * ----
 */

static const char *const api_names[] = {"api_usd_per_month", "api_break_even_qps"};
enum { NUM_API_NAMES = sizeof api_names / sizeof api_names[0] };

static void put_api(struct vidur_csv_writer *writer,
                    const struct vidur_report_model *model,
                    const struct vidur_ranking_row *row)
{
    const double qps = vidur_row_has_target(row) ? row->target_qps : row->max_qps;
    if (!model->api.given)
        return;
    vidur_csv_put_double(writer, VIDUR_HOURS_PER_MONTH *
                                     vidur_api_usd_per_hour(model, row->trace, qps));
    vidur_csv_put_double(writer, vidur_api_break_even_qps(model, row));
}

/* ---- for a load: a row of the ranking, and what its deployment takes ---- */

struct sized_row {
    const struct vidur_ranking_row *row;
    struct vidur_report_sizing sizing;
};

static const char *const sizing_names[] = {
    "load_qps",      "load_replicas",     "load_gpus",          "load_billed_gpus",
    "load_nodes",    "load_usd_per_hour", "load_usd_per_month", "load_capacity_qps",
    "load_known_by", "load_candidate_id"};
enum { NUM_SIZING_NAMES = sizeof sizing_names / sizeof sizing_names[0] };

/* Cheapest first; of one deployment, the row that its size is known by; then by rank.
 */
static int compare_sized(const void *left, const void *right)
{
    const struct sized_row *a = left, *b = right;
    int order = vidur_sizing_compare(&a->sizing, &b->sizing);
    if (order == 0)
        order = (a->sizing.row != a->row) - (b->sizing.row != b->row);
    return order != 0 ? order : (a->row > b->row) - (a->row < b->row);
}

static void put_sizing(struct vidur_csv_writer *writer,
                       const struct vidur_report_sizing *sizing, double qps)
{
    vidur_csv_put_double(writer, qps);
    if (!sizing->row) {
        for (int i = 1; i < NUM_SIZING_NAMES; i++)
            vidur_csv_put_empty(writer);
        return;
    }
    vidur_csv_put_int64(writer, sizing->replicas);
    vidur_csv_put_int64(writer, sizing->gpus);
    vidur_csv_put_int64(writer, sizing->billed_gpus);
    if (sizing->nodes > 0)
        vidur_csv_put_int64(writer, sizing->nodes);
    else
        vidur_csv_put_empty(writer);
    vidur_csv_put_double(writer, sizing->usd_per_hour);
    vidur_csv_put_double(writer, VIDUR_HOURS_PER_MONTH * sizing->usd_per_hour);
    vidur_csv_put_double(writer, sizing->capacity_qps);
    vidur_csv_put_string(writer, sizing->simulated ? "simulated" : "scaled");
    vidur_csv_put_string(writer, sizing->row->candidate_id);
}

static int put_sized_group(struct vidur_csv_writer *writer,
                           const struct vidur_table *table,
                           const struct vidur_report_model *model, int group,
                           int64_t top)
{
    const struct vidur_report_group *from = &model->groups[group];
    struct sized_row *rows = calloc((size_t)from->num_rows, sizeof *rows);
    for (int64_t i = 0; rows && i < from->num_rows; i++) {
        const int family = model->family_of_row[&from->rows[i] - model->rows];
        rows[i].row = &from->rows[i];
        if (family >= 0)
            rows[i].sizing =
                vidur_family_sizing(&model->families[family], &model->load);
    }
    if (!rows)
        return -1;
    qsort(rows, (size_t)from->num_rows, sizeof *rows, compare_sized);
    for (int64_t i = 0; i < from->num_rows && (top <= 0 || i < top); i++) {
        put_columns(writer, table, rows[i].row);
        put_sizing(writer, &rows[i].sizing, vidur_load_qps(&model->load));
        put_api(writer, model, rows[i].row);
        vidur_csv_end_row(writer);
    }
    free(rows);
    return 0;
}

/* ---- the file ---- */

static int put_rows(struct vidur_csv_writer *writer,
                    const struct vidur_report_model *model, int64_t top)
{
    struct vidur_named_columns names;
    const struct vidur_table table = vidur_ranking_table(model->results, &names);
    const bool sized = model->load.target_qps > 0;
    int failed = 0;
    for (int i = 0; i < table.num_columns; i++)
        vidur_csv_put_string(writer, table.columns[i].name);
    for (int i = 0; sized && i < NUM_SIZING_NAMES; i++)
        vidur_csv_put_string(writer, sizing_names[i]);
    for (int i = 0; model->api.given && i < NUM_API_NAMES; i++)
        vidur_csv_put_string(writer, api_names[i]);
    vidur_csv_end_row(writer);
    for (int g = 0; g < model->num_groups && !failed; g++) {
        const struct vidur_report_group *group = &model->groups[g];
        if (sized)
            failed = put_sized_group(writer, &table, model, g, top);
        for (int64_t i = 0; !sized && i < group->num_rows && (top <= 0 || i < top);
             i++) {
            put_columns(writer, &table, &group->rows[i]);
            put_api(writer, model, &group->rows[i]);
            vidur_csv_end_row(writer);
        }
    }
    return failed;
}

int vidur_report_csv(FILE *out, const struct vidur_results *results,
                     const struct vidur_report_options *options,
                     struct vidur_error *err)
{
    struct vidur_report_model model;
    struct vidur_csv_writer *writer = NULL;
    int failed = vidur_report_model_make(&model, results, options, err);
    if (!failed) {
        writer = vidur_csv_writer_on(out, err);
        failed = writer ? 0 : -1;
    }
    if (!failed && put_rows(writer, &model, options ? options->top : 0)) {
        vidur_csv_writer_discard(writer);
        failed = vidur_fail(err, VIDUR_ENOMEM, "out of memory for a report");
    } else if (!failed) {
        failed = vidur_csv_writer_commit(writer, err);
    }
    vidur_report_model_release(&model);
    return failed ? -1 : 0;
}
