#include "report/report_parts.h"

#include "base/text.h"
#include "report/report_money.h"
#include "report/report_pools.h"
#include "results/results_notes.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void put_configuration(struct vidur_text_table *table,
                              const struct vidur_ranking_row *row,
                              const struct vidur_shared_scheduler *shared)
{
    char scheduler[VIDUR_TABLE_CELL];
    vidur_format_own_scheduler(row, shared, scheduler, sizeof scheduler);
    struct vidur_number replicas = vidur_number_int(row->num_replicas);
    char nodes[2 * sizeof row->network_device + 1];
    const struct vidur_row_pool second = vidur_row_second(row);
    const bool pools = vidur_row_has_pools(row);
    const bool two = pools && strcmp(row->network_device, second.network_device) != 0;
    if (pools)
        snprintf(replicas.text, sizeof replicas.text, "%lld+%lld",
                 (long long)second.of_first, (long long)second.num_replicas);
    snprintf(nodes, sizeof nodes, "%s%s%s", row->network_device, two ? "+" : "",
             two ? second.network_device : "");
    vidur_table_cell(table, nodes);
    vidur_table_number(table, replicas);
    vidur_table_number(table, vidur_number_tp(row));
    vidur_table_number(table, vidur_number_int(row->num_pipeline_stages));
    if (!shared->all)
        vidur_table_cell(table, scheduler);
    vidur_table_number(table, vidur_number_int(row->batch_size));
}

void vidur_print_text(const struct vidur_printer *to, const char *text)
{
    if (to->markdown)
        vidur_put_markdown(to->out, text);
    else
        fputs(vidur_text_show(text).text, to->out);
}

/* ---- what to rent ---- */

static const char *load_words(const struct vidur_report_load *load, char *text,
                              size_t size)
{
    char headroom[80] = "";
    if (load->headroom > 0)
        snprintf(headroom, sizeof headroom, " (sized for %.20s: %.20s headroom)",
                 vidur_number3(vidur_load_qps(load)).text,
                 vidur_number_percent(100 * load->headroom).text);
    snprintf(text, size, "For %.20s QPS%s", vidur_number3(load->target_qps).text,
             headroom);
    return text;
}

static void print_load(const struct vidur_printer *to,
                       const struct vidur_report_model *model, int index)
{
    const struct vidur_report_group *group = &model->groups[index];
    const struct vidur_report_load *load = &model->load;
    char words[160], rent[1024];
    if (load->target_qps > 0) {
        const struct vidur_report_sizing sizing =
            vidur_report_choose(model, index, NULL);
        load_words(load, words, sizeof words);
        vidur_format_sizing(&sizing, load, rent, sizeof rent);
    } else {
        snprintf(words, sizeof words, "For %.20s QPS",
                 vidur_number3(group->best->target_qps).text);
        vidur_format_target(group->best, rent, sizeof rent);
    }
    fputs(to->markdown ? "- " : "", to->out);
    vidur_print_text(to, group->model);
    fputs(", ", to->out);
    vidur_print_text(to, group->trace);
    fprintf(to->out, "%s%s%s", to->markdown ? ": **" : ":\n  ", words,
            to->markdown ? "**: " : ": ");
    vidur_print_text(to, rent);
    fputs(to->markdown ? ".\n" : "\n", to->out);
}

void vidur_print_loads(const struct vidur_printer *to,
                       const struct vidur_report_model *model)
{
    int printed = vidur_print_additions(to, model);
    for (int i = 0; i < model->num_groups; i++) {
        const struct vidur_ranking_row *best = model->groups[i].best;
        if (!(model->load.target_qps > 0) && !(best && vidur_row_has_target(best)))
            continue;
        print_load(to, model, i);
        printed++;
    }
    fputs(printed ? "\n" : "", to->out);
}

/* ---- the ranking ---- */

void vidur_format_confidence(const struct vidur_ranking_row *row, char *text,
                             size_t size)
{
    size_t used = 0;
    text[0] = 0;
    if (isfinite(row->max_qps_low))
        used = (size_t)snprintf(
            text, size, "%.20s QPS, at which the SLOs hold in all %.60s",
            vidur_number3(row->max_qps_low).text,
            vidur_text_counted(row->replications, "replication").text);
    if (row->unbounded && used < size)
        snprintf(text + used, size - used,
                 "%sno load that was tried failed, so the maximum may be higher",
                 used ? "; " : "");
}

/* The ranking's columns around its latencies. */
enum { BEFORE_LATENCIES = 15, RANKING_COLUMNS = BEFORE_LATENCIES + VIDUR_MAX_SLOS + 1 };
_Static_assert((int)RANKING_COLUMNS <= (int)VIDUR_TABLE_MAX_COLUMNS,
               "a table takes all of the ranking's columns");

/* Is there an ok row without a price, which ranks by what a GPU serves? */
static bool has_unpriced(const struct vidur_report_group *group)
{
    for (int64_t i = 0; i < group->num_rows; i++)
        if (vidur_status_of(&group->rows[i]) == VIDUR_STATUS_INDEX_OK &&
            !vidur_row_has_price(&group->rows[i]))
            return true;
    return false;
}

static void start_ranking(struct vidur_text_table *table,
                          const struct vidur_report_model *model,
                          const struct vidur_report_group *group, bool same_scheduler)
{
    static const char *const added[] = {"#+GPUs", "#+$/hour"};
    const bool target = group->best && vidur_row_has_target(group->best);
    const bool adds = group->best && vidur_row_has_added(group->best);
    static const char *const plain[] = {"#rank",  "SKU",       "#repl.", "#TP",
                                        "#PP",    "scheduler", "#batch", "#QPS",
                                        "#QPS/$", "#$/1M tok", NULL};
    static const char *const sized[BEFORE_LATENCIES + 1] = {
        "#rank", "SKU",    "#repl.",  "#TP",      "#PP",   "scheduler", "#batch",
        "#GPUs", "#nodes", "#$/hour", "#$/month", "#busy", "#margin",   NULL};
    const char *headers[RANKING_COLUMNS + 1] = {NULL};
    char titles[VIDUR_MAX_SLOS][64];
    int count = 0;
    for (const char *const *from = target ? sized : plain; *from; from++)
        if (!same_scheduler || strcmp(*from, "scheduler") != 0)
            headers[count++] = *from;
    if (has_unpriced(group) && !target)
        headers[count++] = "#QPS/GPU";
    for (int i = 0; adds && i < 2; i++)
        headers[count++] = added[i];
    if (adds && !target)
        headers[count++] = "#+QPS/$";
    for (int i = 0; i < model->num_latencies; i++) {
        titles[i][0] = '#';
        vidur_format_slo_header(&model->latencies[i], titles[i] + 1,
                                sizeof titles[i] - 1);
        headers[count++] = titles[i];
    }
    headers[count] = "limited by";
    vidur_table_start(table, headers);
}

void vidur_table_target(struct vidur_text_table *table,
                        const struct vidur_ranking_row *row)
{
    vidur_table_number(table, vidur_number_int(row->num_nodes));
    vidur_table_number(table, vidur_number_usd(row->usd_per_hour));
    vidur_table_number(table, vidur_number_usd(row->usd_per_month));
    vidur_table_number(table, vidur_number_percent(row->busy));
    vidur_table_number(table, vidur_number_percent(100 * row->margin));
}

/* A row of the ranking from its price on. */
static void put_measured(struct vidur_text_table *table,
                         const struct vidur_report_model *model,
                         const struct vidur_ranking_row *row, bool unpriced)
{
    if (vidur_row_has_target(row)) {
        vidur_table_number(table, vidur_number_int(row->num_gpus));
        vidur_table_target(table, row);
    } else {
        vidur_table_number(table, vidur_number_qps(row));
        vidur_table_number(table, vidur_number3(row->qps_per_dollar));
        vidur_table_number(table, vidur_number3(row->usd_per_million_tokens));
        if (unpriced)
            vidur_table_number(table,
                               vidur_number3(row->max_qps / (double)row->num_gpus));
    }
    if (vidur_row_has_added(row)) {
        vidur_table_number(table, vidur_number_int((int64_t)row->added_gpus));
        vidur_table_number(table, vidur_number_usd(row->added_usd_per_hour));
    }
    if (vidur_row_has_added(row) && !vidur_row_has_target(row))
        vidur_table_number(table, vidur_number3(row->added_qps_per_dollar));
    for (int i = 0; i < model->num_latencies; i++) {
        const struct vidur_report_slo *slo = &model->latencies[i];
        vidur_table_number(table, vidur_row_has_slo(row, slo)
                                      ? vidur_number_slo(row, slo)
                                      : (struct vidur_number){""});
    }
    vidur_table_cell(table, row->bottleneck);
}

static void add_marks(struct vidur_marks *marks, const struct vidur_report_group *group,
                      int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        const struct vidur_ranking_row *row = &group->rows[i];
        marks->burst |= vidur_row_is_burst(row);
        marks->unbounded |= row->unbounded != 0;
        marks->range |= isfinite(row->max_qps_low) && isfinite(row->max_qps_high);
    }
}

void vidur_print_marks(const struct vidur_printer *to, const struct vidur_marks *marks)
{
    const char *indent = to->markdown ? "\n" : "  ";
    if (marks->burst)
        fprintf(to->out,
                "%s%s " VIDUR_BURST ": these QPS are too high; raise num_requests\n",
                indent, to->markdown ? "\\*" : "*");
    if (marks->unbounded)
        fprintf(to->out,
                "%s\xe2\x89\xa5: at least; no load that was tried failed, so the "
                "maximum may be higher\n",
                indent);
    if (marks->range)
        fprintf(to->out,
                "%s(a to b): the least and the largest of the replications; the SLOs "
                "hold in all of them at the least\n",
                indent);
}

/* How many rows of the group's ranking are printed. */
static int64_t count_printed(const struct vidur_printer *to,
                             const struct vidur_report_group *group)
{
    int64_t count = 0;
    while (count < group->num_rows && count < to->top &&
           vidur_status_of(&group->rows[count]) == VIDUR_STATUS_INDEX_OK)
        count++;
    return count;
}

int vidur_print_ranking(const struct vidur_printer *to,
                        const struct vidur_report_model *model, int group,
                        struct vidur_error *err)
{
    const struct vidur_report_group *of = &model->groups[group];
    const int64_t count = count_printed(to, of);
    struct vidur_shared_scheduler shared;
    struct vidur_text_table table;
    /* a terminal is narrow; Markdown is read by programs, too */
    vidur_share_scheduler(of->rows, to->markdown ? 0 : count, &shared);
    if (shared.text[0])
        fprintf(to->out, "  all: %s\n", vidur_text_show(shared.text).text);
    start_ranking(&table, model, of, shared.all);
    for (int64_t i = 0; i < count; i++) {
        vidur_table_number(&table, vidur_number_int(of->rows[i].rank));
        put_configuration(&table, &of->rows[i], &shared);
        put_measured(&table, model, &of->rows[i], has_unpriced(of));
    }
    int failed =
        count > 0 ? vidur_table_print(&table, to->out, to->markdown, "  ", err) : 0;
    struct vidur_marks own = {false};
    add_marks(to->marks ? to->marks : &own, of, count);
    if (!failed && !to->marks)
        vidur_print_marks(to, &own);
    vidur_table_release(&table);
    return failed;
}

/* ---- SKUs ---- */

/* How many times as much as `cheapest`; 1 for itself, where both cost nothing too. */
static struct vidur_number price_change(double usd, double cheapest)
{
    return vidur_number_change(isnan(usd) ? NAN : usd > cheapest ? usd / cheapest : 1);
}

static void put_short_configuration(struct vidur_text_table *table,
                                    const struct vidur_ranking_row *row)
{
    char scheduler[VIDUR_TABLE_CELL], text[VIDUR_TABLE_CELL + 64];
    vidur_format_scheduler(row, scheduler, sizeof scheduler);
    snprintf(text, sizeof text, "TP%s PP%lld, %s, batch %lld",
             vidur_number_tp(row).text, (long long)row->num_pipeline_stages, scheduler,
             (long long)row->batch_size);
    vidur_table_cell(table, text);
}

static void put_nothing(struct vidur_text_table *table, const char *why)
{
    vidur_table_cell(table, why);
    while (table->next != 0)
        vidur_table_cell(table, "-");
}

/* What an SKU takes for the load that is asked for. */
static void put_sizing(struct vidur_text_table *table,
                       const struct vidur_report_sizing *sizing, double cheapest)
{
    if (!sizing->row) {
        put_nothing(table, "nothing that can be rented for it");
        return;
    }
    put_short_configuration(table, sizing->row);
    vidur_table_number(table, vidur_number_int(sizing->replicas));
    vidur_table_number(table, vidur_number_int(sizing->billed_gpus));
    vidur_table_number(table, vidur_number_usd(sizing->usd_per_hour));
    vidur_table_number(table,
                       vidur_number_usd(VIDUR_HOURS_PER_MONTH * sizing->usd_per_hour));
    vidur_table_number(table, vidur_number3(sizing->capacity_qps));
    vidur_table_number(table, price_change(sizing->usd_per_hour, cheapest));
    vidur_table_cell(table, sizing->simulated ? "simulated" : "scaled");
}

/* What an SKU takes for the load that the search was asked for. */
static void put_target(struct vidur_text_table *table,
                       const struct vidur_ranking_row *row,
                       const struct vidur_ranking_row *best)
{
    put_short_configuration(table, row);
    vidur_table_number(table, vidur_number_int(row->num_replicas));
    vidur_table_number(table, vidur_number_int(row->num_gpus));
    vidur_table_target(table, row);
    vidur_table_number(table, price_change(row->usd_per_hour, best->usd_per_hour));
}

static void put_best(struct vidur_text_table *table,
                     const struct vidur_ranking_row *row,
                     const struct vidur_ranking_row *best)
{
    put_short_configuration(table, row);
    vidur_table_number(table, vidur_number3(row->qps_per_dollar));
    vidur_table_number(table, vidur_number_change(vidur_cost_factor(best, row)));
    vidur_table_number(table, vidur_number3(row->usd_per_million_tokens));
}

int vidur_print_skus(const struct vidur_printer *to,
                     const struct vidur_report_model *model, int group,
                     struct vidur_error *err)
{
    static const char *const plain[] = {"SKU",    "best configuration", "#QPS/$",
                                        "#costs", "#$/1M tok",          NULL};
    static const char *const target[] = {
        "SKU",     "best configuration", "#replicas", "#GPUs",   "#nodes",
        "#$/hour", "#$/month",           "#busy",     "#margin", "#costs",
        NULL};
    const char *const sized[] = {"SKU",
                                 "cheapest for the load",
                                 "#replicas",
                                 "#GPUs",
                                 "#$/hour",
                                 "#$/month",
                                 vidur_report_capacity_header(model),
                                 "#costs",
                                 "known by",
                                 NULL};
    const struct vidur_ranking_row *best = model->groups[group].best;
    const bool has_load = model->load.target_qps > 0;
    const bool has_target = best && vidur_row_has_target(best);
    const double cheapest = vidur_report_choose(model, group, NULL).usd_per_hour;
    struct vidur_text_table table;
    vidur_table_start(&table, has_load ? sized : has_target ? target : plain);
    for (int i = 0; i < model->num_skus; i++) {
        const struct vidur_report_sku *sku = &model->skus[i];
        if (sku->group != group)
            continue;
        vidur_table_cell(&table, sku->network_device);
        const struct vidur_report_sizing sizing =
            vidur_report_choose(model, group, sku->network_device);
        if (!sku->best)
            put_nothing(&table, "no configuration serves this");
        else if (has_load)
            put_sizing(&table, &sizing, cheapest);
        else if (has_target)
            put_target(&table, sku->best, best);
        else
            put_best(&table, sku->best, best);
    }
    int failed = vidur_table_print(&table, to->out, to->markdown, "  ", err);
    vidur_table_release(&table);
    return failed;
}

static void print_money(const struct vidur_printer *to,
                        const struct vidur_report_model *model,
                        const struct vidur_report_sku *sku, enum vidur_money_line line,
                        const char *prefix)
{
    char text[1024];
    if (!sku->best)
        return;
    const struct vidur_money money =
        vidur_money_of(model, &model->groups[sku->group], sku->best, NULL);
    vidur_format_money(model, &money, line, text, sizeof text);
    if (!text[0])
        return;
    fputs(prefix, to->out);
    vidur_print_text(to, text);
    fputc('\n', to->out);
}

void vidur_print_unpriced(const struct vidur_printer *to,
                          const struct vidur_report_model *model, int group)
{
    for (int i = 0; i < model->num_skus; i++)
        if (model->skus[i].group == group)
            print_money(to, model, &model->skus[i], VIDUR_MONEY_BREAK_EVEN,
                        to->markdown ? "\n- " : "  ");
}

void vidur_print_api(const struct vidur_printer *to,
                     const struct vidur_report_model *model, int group)
{
    int first = 0; /* of the group, which is the winner */
    while (first < model->num_skus && model->skus[first].group != group)
        first++;
    if (first < model->num_skus)
        print_money(to, model, &model->skus[first], VIDUR_MONEY_API, "  API: ");
}

/* Whether the SKU's device has a price and is not an earlier SKU's. */
static bool is_first_priced(const struct vidur_report_model *model, int sku)
{
    const char *device = model->skus[sku].device;
    for (int i = 0; i < sku; i++)
        if (model->skus[i].best && strcmp(model->skus[i].device, device) == 0)
            return false;
    return model->skus[sku].best && vidur_price_text(model, device)[0];
}

/* From `first` on those whose prices are from the same source; true where an earlier
 * SKU's is, too. */
static bool add_prices(const struct vidur_report_model *model, int first,
                       struct vidur_text *text)
{
    char source[640], other[640], price[160];
    vidur_format_price_source(model, model->skus[first].device, source, sizeof source);
    for (int i = 0; i < model->num_skus; i++) {
        const char *device = model->skus[i].device;
        vidur_format_price_source(model, device, other, sizeof other);
        if (!is_first_priced(model, i) || strcmp(source, other) != 0)
            continue;
        if (i < first)
            return true;
        snprintf(price, sizeof price, "%s%s $%s", i > first ? ", " : "", device,
                 vidur_price_text(model, device));
        vidur_text_adds(text, price);
    }
    vidur_text_adds(text, " per GPU-hour: ");
    vidur_text_adds(text, source);
    return false;
}

void vidur_print_prices(const struct vidur_printer *to,
                        const struct vidur_report_model *model)
{
    for (int i = 0; i < model->num_skus; i++) {
        struct vidur_text text = {0};
        if (is_first_priced(model, i) && !add_prices(model, i, &text) && text.data) {
            fputs("price: ", to->out);
            vidur_print_text(to, text.data);
            fputc('\n', to->out);
        }
        free(text.data);
    }
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

void vidur_print_notes(const struct vidur_printer *to,
                       const struct vidur_results *results, const char *prefix)
{
    const struct vidur_report_caution caution = vidur_report_caution(results);
    if (caution.text[0]) {
        fputs(prefix, to->out);
        vidur_print_text(to, caution.text);
        fputc('\n', to->out);
    }
    for (int64_t i = 0; i < results->num_facts; i++) {
        if (strcmp(results->facts[i].section, "note") != 0)
            continue;
        fputs(prefix, to->out);
        vidur_print_text(to, results->facts[i].value);
        fputc('\n', to->out);
    }
}
