#include "report/report_format.h"

#include "base/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What changed between two searches. Candidates are matched by their content: model,
 * workload and configuration, not by rank. */

enum { COMPARE_TOP = 10 };

struct pair {
    const struct vidur_ranking_row *before, *after; /* one may be NULL */
    double factor; /* after / before in QPS per dollar; NaN when one is not ok */
};

struct comparison {
    struct vidur_report_model before, after;
    struct pair *pairs;
    int64_t num_pairs;
    bool markdown;
    FILE *out;
    int top;
};

/* Replicas that are part of a candidate; a search for a load finds them. */
static int64_t replicas_of(const struct vidur_ranking_row *row)
{
    return vidur_row_has_target(row) ? 0 : row->num_replicas;
}

static int compare_content(const struct vidur_ranking_row *a,
                           const struct vidur_ranking_row *b)
{
    const char *const texts[][2] = {
        {a->model, b->model},
        {a->trace, b->trace},
        {a->device, b->device},
        {a->network_device, b->network_device},
        {a->scheduler_label, b->scheduler_label},
        {a->scheduler, b->scheduler},
        {a->router, b->router},
        {a->memory_planner, b->memory_planner},
        {vidur_row_precision(a), vidur_row_precision(b)},
        {vidur_row_kv_cache_dtype(a), vidur_row_kv_cache_dtype(b)}};
    const int64_t numbers[][2] = {{a->chunk_size, b->chunk_size},
                                  {a->tensor_parallel_size, b->tensor_parallel_size},
                                  {a->expert_parallel, b->expert_parallel},
                                  {a->data_parallel_size, b->data_parallel_size},
                                  {a->num_pipeline_stages, b->num_pipeline_stages},
                                  {a->batch_size, b->batch_size},
                                  {replicas_of(a), replicas_of(b)},
                                  {a->max_tokens_in_batch, b->max_tokens_in_batch},
                                  {a->block_size, b->block_size}};
    int order = 0;
    for (size_t i = 0; order == 0 && i < sizeof texts / sizeof texts[0]; i++)
        order = strcmp(texts[i][0], texts[i][1]);
    for (size_t i = 0; order == 0 && i < sizeof numbers / sizeof numbers[0]; i++)
        order = (numbers[i][0] > numbers[i][1]) - (numbers[i][0] < numbers[i][1]);
    return order;
}

static int compare_rows(const void *left, const void *right)
{
    const struct vidur_ranking_row *const *a = left, *const *b = right;
    int order = compare_content(*a, *b);
    return order != 0 ? order : (*a > *b) - (*a < *b);
}

static const struct vidur_ranking_row **
sorted_rows(const struct vidur_report_model *model)
{
    const struct vidur_ranking_row **rows =
        calloc((size_t)model->num_rows + 1, sizeof *rows);
    for (int64_t i = 0; rows && i < model->num_rows; i++)
        rows[i] = &model->rows[i];
    if (rows)
        qsort(rows, (size_t)model->num_rows, sizeof *rows, compare_rows);
    return rows;
}

static bool is_ok(const struct vidur_ranking_row *row)
{
    return row && vidur_status_of(row) == VIDUR_STATUS_INDEX_OK;
}

static void add_pair(struct comparison *c, const struct vidur_ranking_row *before,
                     const struct vidur_ranking_row *after)
{
    double factor = is_ok(before) && is_ok(after) ? vidur_row_qps_per_dollar(after) /
                                                        vidur_row_qps_per_dollar(before)
                                                  : NAN;
    c->pairs[c->num_pairs++] = (struct pair){before, after, factor};
}

static int make_pairs(struct comparison *c, struct vidur_error *err)
{
    const struct vidur_ranking_row **a = sorted_rows(&c->before);
    const struct vidur_ranking_row **b = sorted_rows(&c->after);
    size_t most = (size_t)(c->before.num_rows + c->after.num_rows);
    c->pairs = calloc(most + 1, sizeof *c->pairs);
    int failed = !a || !b || !c->pairs;
    for (int64_t i = 0, j = 0;
         !failed && (i < c->before.num_rows || j < c->after.num_rows);) {
        int order = i == c->before.num_rows  ? 1
                    : j == c->after.num_rows ? -1
                                             : compare_content(a[i], b[j]);
        add_pair(c, order <= 0 ? a[i] : NULL, order >= 0 ? b[j] : NULL);
        i += order <= 0;
        j += order >= 0;
    }
    free(a);
    free(b);
    return failed ? vidur_fail(err, VIDUR_ENOMEM, "out of memory for comparing results")
                  : 0;
}

/* ---- facts ---- */

static void heading(const struct comparison *c, const char *text)
{
    fprintf(c->out, c->markdown ? "\n### %s\n\n" : "\n%s\n", text);
}

static int print_facts(const struct comparison *c, struct vidur_error *err)
{
    static const char *const headers[] = {"what", "before", "after", NULL};
    const struct vidur_results *a = c->before.results, *b = c->after.results;
    struct vidur_text_table table;
    char name[VIDUR_TABLE_CELL];
    vidur_table_start(&table, headers);
    for (int64_t i = 0; i < a->num_facts + b->num_facts; i++) {
        bool old = i < a->num_facts;
        const struct vidur_result_fact *fact =
            old ? &a->facts[i] : &b->facts[i - a->num_facts];
        const char *other =
            vidur_results_fact(old ? b : a, fact->section, fact->name, fact->key);
        if (other && (!old || strcmp(other, fact->value) == 0))
            continue; /* the same, or told from the other side */
        snprintf(name, sizeof name, "%s %s %s", fact->section, fact->name, fact->key);
        vidur_table_cell(&table, name);
        vidur_table_cell(&table, old ? fact->value : "-");
        vidur_table_cell(&table, old ? (other ? other : "-") : fact->value);
    }
    const char *const texts[][3] = {
        {"version", a->creator_version, b->creator_version},
        {"commit", a->git_commit, b->git_commit},
        {"configuration", a->config_sha256, b->config_sha256}};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (strcmp(texts[i][1], texts[i][2]) == 0)
            continue;
        vidur_table_cell(&table, texts[i][0]);
        snprintf(name, sizeof name, "%.12s", texts[i][1]);
        vidur_table_cell(&table, name);
        snprintf(name, sizeof name, "%.12s", texts[i][2]);
        vidur_table_cell(&table, name);
    }
    int failed = 0;
    if (table.num_rows > 1) {
        heading(c, "Inputs that differ");
        failed = vidur_table_print(&table, c->out, c->markdown, "  ", err);
    }
    vidur_table_release(&table);
    return failed;
}

/* ---- best configurations ---- */

static const struct vidur_report_group *
find_group(const struct vidur_report_model *model,
           const struct vidur_report_group *wanted)
{
    for (int i = 0; i < model->num_groups; i++)
        if (strcmp(model->groups[i].model, wanted->model) == 0 &&
            strcmp(model->groups[i].trace, wanted->trace) == 0)
            return &model->groups[i];
    return NULL;
}

static void put_best(struct vidur_text_table *table,
                     const struct vidur_report_group *group)
{
    char text[VIDUR_TABLE_CELL] = "not searched";
    if (group && group->best)
        vidur_format_configuration(group->best, text, sizeof text);
    else if (group)
        snprintf(text, sizeof text, "none serves it");
    vidur_table_cell(table, text);
}

static void put_group(struct vidur_text_table *table,
                      const struct vidur_report_group *before,
                      const struct vidur_report_group *after)
{
    const struct vidur_report_group *any = before ? before : after;
    const struct vidur_ranking_row *a = before ? before->best : NULL;
    const struct vidur_ranking_row *b = after ? after->best : NULL;
    vidur_table_cell(table, any->model);
    vidur_table_cell(table, any->trace);
    put_best(table, before);
    if (a && b && vidur_same_configuration(a, b))
        vidur_table_cell(table, "the same");
    else
        put_best(table, after);
    vidur_table_number(table, vidur_number3(a ? vidur_row_qps_per_dollar(a) : NAN));
    vidur_table_number(table, vidur_number3(b ? vidur_row_qps_per_dollar(b) : NAN));
    vidur_table_number(table,
                       vidur_number_change(a && b ? vidur_cost_factor(b, a) : NAN));
}

static int print_best(const struct comparison *c, struct vidur_error *err)
{
    static const char *const headers[] = {
        "model",         "workload",     "best before", "best after",
        "#QPS/$ before", "#QPS/$ after", "#change",     NULL};
    struct vidur_text_table table;
    vidur_table_start(&table, headers);
    for (int i = 0; i < c->before.num_groups; i++)
        put_group(&table, &c->before.groups[i],
                  find_group(&c->after, &c->before.groups[i]));
    for (int i = 0; i < c->after.num_groups; i++)
        if (!find_group(&c->before, &c->after.groups[i]))
            put_group(&table, NULL, &c->after.groups[i]);
    heading(c, "Best configurations");
    int failed = vidur_table_print(&table, c->out, c->markdown, "  ", err);
    vidur_table_release(&table);
    return failed;
}

/* ---- candidates ---- */

static bool is_changed(const struct pair *pair)
{
    if (!pair->before || !pair->after)
        return false;
    if (strcmp(pair->before->status, pair->after->status) != 0)
        return true;
    return !isnan(pair->factor) && fabs(pair->factor - 1) > 1e-9;
}

/* Changed status first, then the largest change of QPS per dollar, then content. */
static int compare_changes(const void *left, const void *right)
{
    const struct pair *a = left, *b = right;
    bool a_size = isnan(a->factor), b_size = isnan(b->factor);
    if (a_size != b_size)
        return b_size - a_size;
    if (!a_size) {
        double x = fabs(log(a->factor)), y = fabs(log(b->factor));
        if (x != y)
            return x < y ? 1 : -1;
    }
    return compare_content(a->before, b->before);
}

static void print_counts(const struct comparison *c, int64_t changed)
{
    int64_t added = 0, removed = 0, same = 0;
    for (int64_t i = 0; i < c->num_pairs; i++) {
        added += !c->pairs[i].before;
        removed += !c->pairs[i].after;
        same += c->pairs[i].before && c->pairs[i].after && !is_changed(&c->pairs[i]);
    }
    fprintf(c->out,
            "%s %s the same in both, %lld changed, %lld only before, %lld only "
            "after.\n",
            vidur_text_counted(same, "candidate").text, same == 1 ? "is" : "are",
            (long long)changed, (long long)removed, (long long)added);
}

static struct vidur_number qps_of(const struct vidur_ranking_row *row)
{
    return vidur_row_has_target(row) ? vidur_number3(row->target_qps)
                                     : vidur_number_qps(row);
}

static void put_change(struct vidur_text_table *table, const struct pair *pair)
{
    char text[VIDUR_TABLE_CELL];
    vidur_table_cell(table, pair->before->model);
    vidur_table_cell(table, pair->before->trace);
    vidur_format_configuration(pair->before, text, sizeof text);
    vidur_table_cell(table, text);
    bool ok = !isnan(pair->factor);
    const struct vidur_number before = qps_of(pair->before),
                              after = qps_of(pair->after);
    vidur_table_cell(table, ok ? before.text : pair->before->status);
    vidur_table_cell(table, ok ? after.text : pair->after->status);
    vidur_table_number(table, vidur_number_change(pair->factor));
    snprintf(text, sizeof text, "%lld -> %lld", (long long)pair->before->rank,
             (long long)pair->after->rank);
    vidur_table_cell(table, text);
}

static int print_candidates(const struct comparison *c, struct vidur_error *err)
{
    static const char *const headers[] = {
        "model",          "workload", "configuration", "#max QPS before",
        "#max QPS after", "#QPS/$",   "#rank",         NULL};
    struct pair *changed = calloc((size_t)c->num_pairs + 1, sizeof *changed);
    if (!changed)
        return vidur_fail(err, VIDUR_ENOMEM, "out of memory for comparing results");
    int64_t count = 0;
    for (int64_t i = 0; i < c->num_pairs; i++)
        if (is_changed(&c->pairs[i]))
            changed[count++] = c->pairs[i];
    qsort(changed, (size_t)count, sizeof *changed, compare_changes);
    heading(c, "Candidates");
    print_counts(c, count);
    struct vidur_text_table table;
    vidur_table_start(&table, headers);
    for (int64_t i = 0; i < count && i < c->top; i++)
        put_change(&table, &changed[i]);
    int failed = 0;
    if (count > 0) {
        fprintf(c->out, "The largest %s:\n%s",
                vidur_text_counted(count < c->top ? count : c->top, "change").text,
                c->markdown ? "\n" : "");
        failed = vidur_table_print(&table, c->out, c->markdown, "  ", err);
    }
    vidur_table_release(&table);
    free(changed);
    return failed;
}

int vidur_report_compare(FILE *out, const struct vidur_results *before,
                         const struct vidur_results *after,
                         const struct vidur_report_options *options,
                         struct vidur_error *err)
{
    struct comparison c = {.out = out, .markdown = options && options->markdown};
    c.top = options && options->top > 0 ? options->top : COMPARE_TOP;
    int failed = vidur_report_model_make(&c.before, before, options, err) ||
                 vidur_report_model_make(&c.after, after, options, err) ||
                 make_pairs(&c, err);
    if (!failed) {
        fputs(c.markdown ? "## Two searches compared\n\n" : "Two searches compared\n",
              out);
        fprintf(out, "Before: %s, after: %s.\n",
                vidur_text_show(before->file_time).text,
                vidur_text_show(after->file_time).text);
        failed =
            print_best(&c, err) || print_candidates(&c, err) || print_facts(&c, err);
    }
    free(c.pairs);
    vidur_report_model_release(&c.before);
    vidur_report_model_release(&c.after);
    return failed ? -1 : 0;
}
