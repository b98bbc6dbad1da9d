#include "report_parts.h"

#include <math.h>
#include <string.h>

static void put_configuration(struct vidur_text_table *table,
                              const struct vidur_ranking_row *row)
{
    vidur_table_cell(table, row->network_device);
    vidur_table_number(table, vidur_number_int(row->num_replicas));
    vidur_table_number(table, vidur_number_int(row->tensor_parallel_size));
    vidur_table_number(table, vidur_number_int(row->num_pipeline_stages));
    vidur_table_cell(table,
                     row->scheduler_label[0] ? row->scheduler_label : row->scheduler);
    vidur_table_number(table, vidur_number_int(row->batch_size));
}

/* The ranking's columns around its latencies. */
enum { BEFORE_LATENCIES = 10, RANKING_COLUMNS = BEFORE_LATENCIES + VIDUR_MAX_SLOS + 1 };
_Static_assert((int)RANKING_COLUMNS <= (int)VIDUR_TABLE_MAX_COLUMNS,
               "a table takes all of the ranking's columns");

static void start_ranking(struct vidur_text_table *table,
                          const struct vidur_report_model *model)
{
    const char *headers[RANKING_COLUMNS + 1] = {"#rank",  "SKU",       "#repl.", "#TP",
                                                "#PP",    "scheduler", "#batch", "#QPS",
                                                "#QPS/$", "#$/1M tok"};
    char titles[VIDUR_MAX_SLOS][64];
    int count = BEFORE_LATENCIES;
    for (int i = 0; i < model->num_latencies; i++) {
        titles[i][0] = '#';
        vidur_format_slo_header(&model->latencies[i], titles[i] + 1,
                                sizeof titles[i] - 1);
        headers[count++] = titles[i];
    }
    headers[count] = "limited by";
    vidur_table_start(table, headers);
}

int vidur_print_ranking(const struct vidur_printer *to,
                        const struct vidur_report_model *model, int group,
                        struct vidur_error *err)
{
    const struct vidur_report_group *of = &model->groups[group];
    struct vidur_text_table table;
    start_ranking(&table, model);
    for (int64_t i = 0; i < of->num_rows && i < to->top; i++) {
        const struct vidur_ranking_row *row = &of->rows[i];
        if (vidur_status_of(row) != VIDUR_STATUS_INDEX_OK)
            break;
        vidur_table_number(&table, vidur_number_int(row->rank));
        put_configuration(&table, row);
        vidur_table_number(&table, vidur_number3(row->max_qps));
        vidur_table_number(&table, vidur_number3(row->qps_per_dollar));
        vidur_table_number(&table, vidur_number3(row->usd_per_million_tokens));
        for (int l = 0; l < model->num_latencies; l++)
            vidur_table_number(&table, vidur_number_time(vidur_row_latency(
                                           row, &model->latencies[l])));
        vidur_table_cell(&table, row->bottleneck);
    }
    int failed = table.num_rows > 1
                     ? vidur_table_print(&table, to->out, to->markdown, "  ", err)
                     : 0;
    vidur_table_release(&table);
    return failed;
}

static void put_sizing(struct vidur_text_table *table,
                       const struct vidur_ranking_row *row, double target_qps)
{
    struct vidur_report_sizing sizing = vidur_report_size(row, target_qps);
    vidur_table_number(table, vidur_number_int(sizing.replicas));
    vidur_table_number(table, vidur_number_int(sizing.gpus));
    vidur_table_number(table, vidur_number_usd(sizing.usd_per_hour));
}

static void put_sku(struct vidur_text_table *table, const struct vidur_report_sku *sku,
                    const struct vidur_ranking_row *best, double target_qps)
{
    char text[VIDUR_TABLE_CELL];
    vidur_table_cell(table, sku->network_device);
    if (!sku->best) {
        vidur_table_cell(table, "no configuration serves this");
        for (int i = 0; i < (target_qps > 0 ? 6 : 3); i++)
            vidur_table_cell(table, "-");
        return;
    }
    snprintf(text, sizeof text, "TP%lld PP%lld, %s, batch %lld",
             (long long)sku->best->tensor_parallel_size,
             (long long)sku->best->num_pipeline_stages, sku->best->scheduler_label,
             (long long)sku->best->batch_size);
    vidur_table_cell(table, text);
    vidur_table_number(table, vidur_number3(sku->best->qps_per_dollar));
    vidur_table_number(table, vidur_number_change(vidur_cost_factor(best, sku->best)));
    vidur_table_number(table, vidur_number3(sku->best->usd_per_million_tokens));
    if (target_qps > 0)
        put_sizing(table, sku->best, target_qps);
}

int vidur_print_skus(const struct vidur_printer *to,
                     const struct vidur_report_model *model, int group,
                     struct vidur_error *err)
{
    static const char *const plain[] = {"SKU",    "best configuration", "#QPS/$",
                                        "#costs", "#$/1M tok",          NULL};
    static const char *const sized[] = {
        "SKU",       "best configuration", "#QPS/$", "#costs",
        "#$/1M tok", "#replicas",          "#GPUs",  "#$/h",
        NULL};
    struct vidur_text_table table;
    vidur_table_start(&table, to->target_qps > 0 ? sized : plain);
    for (int i = 0; i < model->num_skus; i++)
        if (model->skus[i].group == group)
            put_sku(&table, &model->skus[i], model->groups[group].best, to->target_qps);
    int failed = vidur_table_print(&table, to->out, to->markdown, "  ", err);
    vidur_table_release(&table);
    return failed;
}

/* Index of the first cell of a group; num_cells where it has none. */
static int first_cell(const struct vidur_report_model *model, int group)
{
    int cell = 0;
    while (cell < model->num_cells && model->cells[cell].served != group)
        cell++;
    return cell;
}

bool vidur_has_matrix(const struct vidur_report_model *model, int first)
{
    if (first > 0 &&
        strcmp(model->groups[first - 1].model, model->groups[first].model) == 0)
        return false;
    return first_cell(model, first) < model->num_cells;
}

static void put_loss(struct vidur_text_table *table,
                     const struct vidur_report_cell *cell)
{
    char text[VIDUR_TABLE_CELL];
    if (!isnan(cell->loss))
        snprintf(text, sizeof text, "%sx", vidur_number3(cell->loss).text);
    else
        snprintf(text, sizeof text, "%s",
                 cell->row ? cell->row->status : "not searched");
    vidur_table_cell(table, text);
}

int vidur_print_matrix(const struct vidur_printer *to,
                       const struct vidur_report_model *model, int first,
                       struct vidur_error *err)
{
    const char *headers[VIDUR_TABLE_MAX_COLUMNS + 1] = {"workload served"};
    char names[VIDUR_TABLE_MAX_COLUMNS][VIDUR_TABLE_CELL];
    int columns = 1, cell = first_cell(model, first);
    for (int i = cell; i < model->num_cells && model->cells[i].served == first &&
                       columns < VIDUR_TABLE_MAX_COLUMNS;
         i++, columns++) {
        snprintf(names[columns], VIDUR_TABLE_CELL, "#best of %s",
                 model->groups[model->cells[i].tuned_for].trace);
        headers[columns] = names[columns];
    }
    struct vidur_text_table table;
    vidur_table_start(&table, headers);
    for (int last = -1; cell < model->num_cells; cell++) {
        const struct vidur_report_cell *at = &model->cells[cell];
        const struct vidur_report_group *served = &model->groups[at->served];
        if (strcmp(served->model, model->groups[first].model) != 0)
            break;
        if (at->served != last)
            vidur_table_cell(&table, served->trace);
        last = at->served;
        if (at->tuned_for - first + 1 < columns)
            put_loss(&table, at);
    }
    int failed = vidur_table_print(&table, to->out, to->markdown, "  ", err);
    vidur_table_release(&table);
    return failed;
}

static void count_limit(const char *name, const char *names[], int64_t counts[],
                        int *num)
{
    enum { MAX_NAMES = 32 };
    for (int i = 0; i < *num; i++) {
        if (strcmp(names[i], name) == 0) {
            counts[i]++;
            return;
        }
    }
    if (*num < MAX_NAMES) {
        names[*num] = name;
        counts[(*num)++] = 1;
    }
}

int vidur_print_limits(const struct vidur_printer *to,
                       const struct vidur_report_group *group, struct vidur_error *err)
{
    static const char *const headers[] = {"limited by", "#candidates", NULL};
    const char *names[32];
    int64_t counts[32];
    int num = 0;
    for (int64_t i = 0; i < group->num_rows; i++)
        if (group->rows[i].bottleneck[0])
            count_limit(group->rows[i].bottleneck, names, counts, &num);
    struct vidur_text_table table;
    vidur_table_start(&table, headers);
    for (int shown = 0; shown < num; shown++) { /* most first; first seen on ties */
        int most = 0;
        for (int i = 1; i < num; i++)
            most = counts[i] > counts[most] ? i : most;
        vidur_table_cell(&table, names[most]);
        vidur_table_number(&table, vidur_number_int(counts[most]));
        counts[most] = -1;
    }
    int failed =
        num > 0 ? vidur_table_print(&table, to->out, to->markdown, "  ", err) : 0;
    vidur_table_release(&table);
    return failed;
}

void vidur_print_notes(FILE *out, const struct vidur_results *results,
                       const char *prefix)
{
    const struct vidur_report_caution caution = vidur_report_caution(results);
    if (caution.text[0])
        fprintf(out, "%s%s\n", prefix, caution.text);
    for (int64_t i = 0; i < results->num_facts; i++)
        if (strcmp(results->facts[i].section, "note") == 0)
            fprintf(out, "%s%s\n", prefix, results->facts[i].value);
}
