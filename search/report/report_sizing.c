#include "report/report_sizing.h"

#include "base/text.h"
#include "report/report_format.h"
#include "report/report_model.h"
#include "report/report_pools.h"
#include "results/columns.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

double vidur_load_qps(const struct vidur_report_load *load)
{
    return load->target_qps * (1 + load->headroom);
}

/* What a row is known to serve: max_qps_low where its search was replicated, else
 * max_qps, else the load that it was made for; NaN where none is known. */
static double row_capacity(const struct vidur_ranking_row *row)
{
    return isfinite(row->max_qps_low) ? row->max_qps_low
           : isfinite(row->max_qps)   ? row->max_qps
                                      : row->target_qps;
}

/* ---- the size of a family for a load ---- */

/* The limits of what is said: a billion replicas, and numbers that doubles count. */
static const double MAX_REPLICAS = 1e9, MAX_GPUS = 9007199254740992.0;

/* Replicas that serve qps at the rate of a size; beyond MAX_REPLICAS: no number. The
 * margin is for loads that are a multiple of the rate but for rounding. */
static double replicas_for(double qps, const struct vidur_report_size *at)
{
    const double replicas = ceil(qps * (double)at->replicas / at->qps * (1 - 1e-12));
    return replicas < 1 ? 1 : replicas;
}

static double rate_of(const struct vidur_report_size *size)
{
    return size->qps / (double)size->replicas;
}

/* The size whose rate stands for those just below sizes[i]: see report_sizing.h. */
static const struct vidur_report_size *
scale_below(const struct vidur_report_family *family, int i)
{
    const struct vidur_report_size *above = &family->sizes[i];
    return i > 0 && rate_of(above - 1) <= rate_of(above) ? above - 1 : above;
}

/* Puts the price of a number of replicas; none where it is beyond all limits. */
static struct vidur_report_sizing price(const struct vidur_report_family *family,
                                        const struct vidur_report_load *load,
                                        double replicas,
                                        const struct vidur_report_size *from)
{
    const struct vidur_report_sizing none = {.usd_per_hour = NAN, .capacity_qps = NAN};
    const double gpus = replicas * (double)family->gpus_per_replica;
    const double per_node = (double)family->devices_per_node;
    const double nodes = per_node > 0 ? ceil(gpus / per_node) : 0;
    const double billed = load->whole_nodes ? nodes * per_node : gpus;
    if (!(replicas <= MAX_REPLICAS) || !(gpus < MAX_GPUS) || !(billed < MAX_GPUS))
        return none;
    struct vidur_report_sizing sizing = {
        .row = from->row,
        .replicas = (int64_t)replicas,
        .gpus = (int64_t)gpus,
        .nodes = (int64_t)nodes,
        .billed_gpus = (int64_t)billed,
        .usd_per_hour = family->usd_per_gpu_hour * billed,
        .capacity_qps = from->qps * replicas / (double)from->replicas,
        .simulated = replicas == (double)from->replicas};
    return sizing;
}

struct vidur_report_sizing vidur_family_sizing(const struct vidur_report_family *family,
                                               const struct vidur_report_load *load)
{
    const double qps = vidur_load_qps(load);
    const struct vidur_report_size *last = NULL;
    for (int i = 0; i < family->num_sizes; i++) {
        const struct vidur_report_size *size = &family->sizes[i];
        const struct vidur_report_size *from = scale_below(family, i);
        const double least = last ? (double)last->replicas + 1 : 1;
        const double replicas = fmax(replicas_for(qps, from), least);
        if (replicas < (double)size->replicas)
            return price(family, load, replicas, from);
        if (size->qps >= qps)
            return price(family, load, (double)size->replicas, size);
        last = size;
    }
    return price(family, load,
                 fmax(replicas_for(qps, last), (double)last->replicas + 1), last);
}

static double micro_usd(double usd)
{
    return floor(usd * 1e6 + 0.5);
}

int vidur_sizing_compare(const struct vidur_report_sizing *a,
                         const struct vidur_report_sizing *b)
{
    if (!a->row || !b->row)
        return !a->row - !b->row;
    const double x = micro_usd(a->usd_per_hour), y = micro_usd(b->usd_per_hour);
    if (isnan(x) != isnan(y))
        return isnan(x) ? 1 : -1;
    if (x < y || x > y)
        return x < y ? -1 : 1;
    if (a->gpus != b->gpus)
        return a->gpus < b->gpus ? -1 : 1;
    if (a->capacity_qps != b->capacity_qps)
        return a->capacity_qps > b->capacity_qps ? -1 : 1;
    if (a->row->margin > b->row->margin || a->row->margin < b->row->margin)
        return a->row->margin > b->row->margin ? -1 : 1;
    return strcmp(a->row->candidate_id, b->row->candidate_id);
}

struct vidur_ranking_row vidur_sizing_row(const struct vidur_report_sizing *sizing)
{
    struct vidur_ranking_row row = *sizing->row;
    row.num_replicas = sizing->replicas;
    row.num_gpus = sizing->gpus;
    row.num_nodes = sizing->nodes;
    row.usd_per_hour = sizing->usd_per_hour;
    row.usd_per_month = VIDUR_HOURS_PER_MONTH * sizing->usd_per_hour;
    return row;
}

struct vidur_report_sizing vidur_report_choose(const struct vidur_report_model *model,
                                               int group, const char *network_device)
{
    struct vidur_report_sizing best = {.usd_per_hour = NAN, .capacity_qps = NAN};
    for (int i = 0; i < model->num_families; i++) {
        const struct vidur_report_family *family = &model->families[i];
        if (family->group != group ||
            (network_device && strcmp(family->network_device, network_device) != 0))
            continue;
        struct vidur_report_sizing sizing = vidur_family_sizing(family, &model->load);
        if (vidur_sizing_compare(&sizing, &best) < 0)
            best = sizing;
    }
    return best;
}

/* ---- families ---- */

static int compare_numbers(double a, double b)
{
    if (isnan(a) || isnan(b))
        return isnan(a) - isnan(b);
    return (a > b) - (a < b);
}

static int compare_cells(const struct vidur_column *column, const char *a,
                         const char *b)
{
    double x, y;
    int64_t i, j;
    a += column->offset;
    b += column->offset;
    switch (column->kind) {
    case VIDUR_COLUMN_TEXT:
        return strncmp(a, b, column->size);
    case VIDUR_COLUMN_REAL:
        memcpy(&x, a, sizeof x);
        memcpy(&y, b, sizeof y);
        return compare_numbers(x, y);
    case VIDUR_COLUMN_INT:
        memcpy(&i, a, sizeof i);
        memcpy(&j, b, sizeof j);
        return (i > j) - (i < j);
    case VIDUR_COLUMN_FLAG:
        return *a - *b;
    }
    return 0;
}

static int64_t gpus_per_replica(const struct vidur_ranking_row *row)
{
    return row->num_gpus / row->num_replicas + (row->num_gpus % row->num_replicas > 0);
}

static double usd_per_gpu_hour(const struct vidur_ranking_row *row)
{
    return row->usd_per_hour / (double)row->num_gpus;
}

static int compare_seconds(const struct vidur_ranking_row *a,
                           const struct vidur_ranking_row *b)
{
    const struct vidur_row_pool x = vidur_row_second(a), y = vidur_row_second(b);
    const char *const labels[] = {a->decode_scheduler_label, a->second_scheduler_label};
    const char *const others[] = {b->decode_scheduler_label, b->second_scheduler_label};
    int order = strcmp(x.network_device, y.network_device);
    for (int i = 0; order == 0 && i < 2; i++)
        order = strcmp(labels[i], others[i]);
    return order != 0 ? order
                      : compare_numbers((double)x.batch_size, (double)y.batch_size);
}

/* Model, workload, all that a candidate is but its replicas, and its price. */
static int compare_deployments(const struct vidur_ranking_row *a,
                               const struct vidur_ranking_row *b)
{
    int count, order = 0;
    const struct vidur_column *columns = vidur_ranking_columns(&count);
    const struct vidur_column *at = vidur_column_find(columns, count, "model");
    const struct vidur_column *end = vidur_column_find(columns, count, "num_replicas");
    for (; order == 0 && at < end; at++)
        order = compare_cells(at, (const char *)a, (const char *)b);
    if (order == 0) /* of two pools the counts, and all of the second */
        order = strcmp(a->pools, b->pools);
    if (order == 0)
        order = compare_seconds(a, b);
    if (order == 0)
        order =
            compare_numbers((double)gpus_per_replica(a), (double)gpus_per_replica(b));
    return order != 0 ? order
                      : compare_numbers(micro_usd(usd_per_gpu_hour(a)),
                                        micro_usd(usd_per_gpu_hour(b)));
}

/* Of equal sizes the one that serves less comes first, and alone counts. */
static int compare_sizes(const void *left, const void *right)
{
    const struct vidur_report_size *a = left, *b = right;
    int order = compare_deployments(a->row, b->row);
    if (order == 0)
        order = (a->replicas > b->replicas) - (a->replicas < b->replicas);
    if (order == 0)
        order = compare_numbers(a->qps, b->qps);
    return order != 0 ? order : strcmp(a->row->candidate_id, b->row->candidate_id);
}

static bool can_be_rented(const struct vidur_ranking_row *row)
{
    const double qps = row_capacity(row);
    return vidur_status_of(row) == VIDUR_STATUS_INDEX_OK && row->num_replicas > 0 &&
           row->num_gpus > 0 && qps > 0 && isfinite(qps) &&
           (isnan(row->usd_per_hour) ||
            (row->usd_per_hour >= 0 && isfinite(row->usd_per_hour)));
}

static int64_t devices_per_node(const struct vidur_results *results, const char *node)
{
    const char *text = vidur_results_fact(results, "node", node, "devices_per_node");
    int64_t devices = 0;
    return text && vidur_text_int64(text, &devices) && devices > 0 ? devices : 0;
}

static int group_of(const struct vidur_report_model *model,
                    const struct vidur_ranking_row *row)
{
    int group = 0;
    while (row >= model->groups[group].rows + model->groups[group].num_rows)
        group++;
    return group;
}

static int start_family(struct vidur_report_model *model, struct vidur_report_size *at,
                        struct vidur_error *err)
{
    struct vidur_report_family *family = &model->families[model->num_families++];
    *family = (struct vidur_report_family){
        .group = group_of(model, at->row),
        .network_device = at->row->network_device,
        .gpus_per_replica = gpus_per_replica(at->row),
        .devices_per_node = devices_per_node(model->results, at->row->network_device),
        .usd_per_gpu_hour = usd_per_gpu_hour(at->row),
        .sizes = at};
    if (model->load.whole_nodes && family->devices_per_node == 0)
        return vidur_fail(err, VIDUR_EINVAL,
                          "--whole-nodes: the results do not say how many GPUs a node "
                          "%s has (an older file?); leave the option out",
                          family->network_device);
    return 0;
}

int vidur_report_families_make(struct vidur_report_model *model,
                               struct vidur_error *err)
{
    struct vidur_report_size *sizes =
        calloc((size_t)model->num_rows + 1, sizeof *sizes);
    model->sizes = sizes;
    model->families = calloc((size_t)model->num_rows + 1, sizeof *model->families);
    model->family_of_row = calloc((size_t)model->num_rows + 1, sizeof(int));
    if (!sizes || !model->families || !model->family_of_row)
        return vidur_fail(err, VIDUR_ENOMEM, "out of memory for a report");
    size_t count = 0;
    for (int64_t i = 0; i < model->num_rows; i++) {
        const struct vidur_ranking_row *row = &model->rows[i];
        model->family_of_row[i] = -1;
        if (can_be_rented(row))
            sizes[count++] =
                (struct vidur_report_size){row->num_replicas, row_capacity(row), row};
    }
    if (count > 1)
        qsort(sizes, count, sizeof *sizes, compare_sizes);
    struct vidur_report_size *to = sizes; /* equal sizes are dropped on the way */
    for (size_t i = 0; i < count; i++) {
        const struct vidur_report_size size = sizes[i];
        const bool new = i == 0 || compare_deployments(to[-1].row, size.row) != 0;
        const bool again = !new &&to[-1].replicas == size.replicas;
        if (!again)
            *to++ = size;
        if (new &&start_family(model, to - 1, err))
            return -1;
        model->families[model->num_families - 1].num_sizes += !again;
        model->family_of_row[size.row - model->rows] = model->num_families - 1;
    }
    return 0;
}

bool vidur_report_has_target(const struct vidur_report_model *model)
{
    for (int i = 0; i < model->num_groups; i++)
        if (model->groups[i].best)
            return vidur_row_has_target(model->groups[i].best);
    return false;
}

const char *vidur_report_capacity_header(const struct vidur_report_model *model)
{
    return vidur_report_has_target(model) ? "#QPS at least" : "#QPS at most";
}

/* ---- words ---- */

void vidur_format_rent(const struct vidur_ranking_row *row, int64_t replicas,
                       char *text, size_t size)
{
    char scheduler[VIDUR_TABLE_CELL];
    vidur_format_scheduler(row, scheduler, sizeof scheduler);
    if (row->pools[0]) {
        snprintf(text, size, "%lld x (%s), %s, batch %lld and %lld",
                 (long long)replicas, row->pools, scheduler, (long long)row->batch_size,
                 (long long)vidur_row_second(row).batch_size);
        return;
    }
    snprintf(text, size, "%s of TP%s PP%lld on %s, %s, batch %lld",
             vidur_text_counted(replicas, "replica").text, vidur_number_tp(row).text,
             (long long)row->num_pipeline_stages, row->network_device, scheduler,
             (long long)row->batch_size);
}

/* "12 GPUs, $51.00 an hour, $37230.00 a month", "12 GPUs, no price" */
static void format_price(const struct vidur_report_sizing *sizing, char *text,
                         size_t size)
{
    char nodes[96] = "";
    if (sizing->billed_gpus > sizing->gpus)
        snprintf(nodes, sizeof nodes, " on %s, paid whole (%s)",
                 vidur_text_counted(sizing->nodes, "node").text,
                 vidur_text_counted(sizing->billed_gpus, "GPU").text);
    if (isnan(sizing->usd_per_hour)) {
        snprintf(text, size, "%s%s, no price",
                 vidur_text_counted(sizing->gpus, "GPU").text, nodes);
        return;
    }
    snprintf(text, size, "%s%s, $%s an hour, $%s a month",
             vidur_text_counted(sizing->gpus, "GPU").text, nodes,
             vidur_number_usd(sizing->usd_per_hour).text,
             vidur_number_usd(VIDUR_HOURS_PER_MONTH * sizing->usd_per_hour).text);
}

void vidur_format_known(const struct vidur_report_sizing *sizing, char *text,
                        size_t size)
{
    if (sizing->simulated)
        snprintf(text, size, "simulated");
    else
        snprintf(text, size, "scaled from %s, not simulated",
                 vidur_text_counted(sizing->row->num_replicas, "replica").text);
}

void vidur_format_sizing(const struct vidur_report_sizing *sizing,
                         const struct vidur_report_load *load, char *text, size_t size)
{
    char rent[VIDUR_TABLE_CELL], price[192], known[128];
    if (!sizing->row) {
        snprintf(text, size, "nothing in these results can be rented for it");
        return;
    }
    vidur_format_rent(sizing->row, sizing->replicas, rent, sizeof rent);
    format_price(sizing, price, sizeof price);
    vidur_format_known(sizing, known, sizeof known);
    if (vidur_row_has_target(sizing->row)) {
        snprintf(text, size, "rent %s: %s; serves at least %s QPS (%s)", rent, price,
                 vidur_number3(sizing->capacity_qps).text, known);
        return;
    }
    snprintf(text, size, "rent %s: %s; uses %s of %s QPS (%s)", rent, price,
             vidur_number_percent(100 * load->target_qps / sizing->capacity_qps).text,
             vidur_number3(sizing->capacity_qps).text, known);
}

void vidur_format_target(const struct vidur_ranking_row *row, char *text, size_t size)
{
    char rent[VIDUR_TABLE_CELL], price[192];
    const struct vidur_report_sizing sizing = {.row = row,
                                               .gpus = row->num_gpus,
                                               .billed_gpus = row->num_gpus,
                                               .usd_per_hour = row->usd_per_hour};
    vidur_format_rent(row, row->num_replicas, rent, sizeof rent);
    format_price(&sizing, price, sizeof price);
    snprintf(text, size,
             "rent %s: %s; busy %s of the time, %s within the worst SLO's limit "
             "(simulated)",
             rent, price, vidur_number_percent(row->busy).text,
             vidur_number_percent(100 * row->margin).text);
}
