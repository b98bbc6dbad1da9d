#include <vidur/ranking.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool is_ok(const struct vidur_ranking_row *row)
{
    return strcmp(row->status, VIDUR_STATUS_OK) == 0;
}

/* Larger first; NaN last. */
static int descending(double a, double b)
{
    if (isnan(a) || isnan(b))
        return isnan(a) - isnan(b);
    return (a < b) - (a > b);
}

/* What rows without a price are ranked by: a GPU costs what it costs. NaN: it has one.
 */
static double unpriced_qps_per_gpu(const struct vidur_ranking_row *row)
{
    return isnan(row->qps_per_dollar) && row->num_gpus > 0
               ? row->max_qps / (double)row->num_gpus
               : NAN;
}

static bool has_target(const struct vidur_ranking_row *row)
{
    return isfinite(row->target_qps);
}

/* By what is added to GPUs that are there. */
static int compare_added(const struct vidur_ranking_row *a,
                         const struct vidur_ranking_row *b)
{
    int order = 0;
    if (isnan(a->added_gpus) || isnan(b->added_gpus))
        return isnan(a->added_gpus) - isnan(b->added_gpus);
    if (has_target(a))
        order = descending(-a->added_usd_per_hour, -b->added_usd_per_hour);
    else
        order = descending(a->added_qps_per_dollar, b->added_qps_per_dollar);
    if (order == 0 && !has_target(a))
        order = descending(a->max_qps, b->max_qps);
    return order != 0 ? order : descending(-a->added_gpus, -b->added_gpus);
}

/* Total over distinct candidates, so that the order on entry cannot show. */
static int compare_rows(const void *left, const void *right)
{
    const struct vidur_ranking_row *a = left, *b = right;
    int order = strcmp(a->model, b->model);
    if (order == 0)
        order = strcmp(a->trace, b->trace);
    if (order == 0)
        order = is_ok(b) - is_ok(a);
    if (order == 0)
        order = (a->unbounded != 0) - (b->unbounded != 0);
    if (order == 0)
        order = compare_added(a, b);
    if (order == 0)
        order = descending(a->qps_per_dollar, b->qps_per_dollar);
    if (order == 0)
        order = descending(unpriced_qps_per_gpu(a), unpriced_qps_per_gpu(b));
    if (order == 0)
        order = descending(a->margin, b->margin);
    if (order == 0)
        order = descending(a->max_qps, b->max_qps);
    if (order == 0)
        order = strcmp(a->candidate_id, b->candidate_id);
    return order;
}

static bool same_group(const struct vidur_ranking_row *a,
                       const struct vidur_ranking_row *b)
{
    return strcmp(a->model, b->model) == 0 && strcmp(a->trace, b->trace) == 0;
}

/* What rows of one model and workload add; 0 or NaN counts for nothing. */
static void fill_group(struct vidur_ranking_row *rows, int64_t count)
{
    double base_qps = 0;
    for (int64_t i = 0; i < count; i++)
        if (is_ok(&rows[i]) && rows[i].added_gpus == 0)
            base_qps = fmax(base_qps, rows[i].max_qps);
    for (int64_t i = 0; i < count; i++) {
        struct vidur_ranking_row *row = &rows[i];
        const bool told = is_ok(row) && !isnan(row->added_gpus) && !has_target(row);
        row->added_qps = told ? row->max_qps - base_qps : NAN;
        row->added_qps_per_dollar = !told ? NAN
                                    : row->added_gpus == 0
                                        ? 0
                                        : row->added_qps / row->added_usd_per_hour;
    }
}

/* Over rows that are sorted by model and workload; false: nothing is there already. */
static bool fill_added(struct vidur_ranking_row *rows, int64_t count)
{
    bool any = false;
    for (int64_t i = 0; i < count; i++)
        any |= !isnan(rows[i].added_gpus);
    for (int64_t first = 0, end = 0; any && first < count; first = end) {
        while (end < count && same_group(&rows[first], &rows[end]))
            end++;
        fill_group(&rows[first], end - first);
    }
    return any;
}

int vidur_rank(struct vidur_ranking_row *rows, int64_t count, struct vidur_error *err)
{
    if (count < 0)
        return vidur_fail(err, VIDUR_EINVAL, "a ranking of %lld rows",
                          (long long)count);
    if (count > 1)
        qsort(rows, (size_t)count, sizeof *rows, compare_rows);
    if (fill_added(rows, count) && count > 1)
        qsort(rows, (size_t)count, sizeof *rows, compare_rows);
    int64_t rank = 0;
    for (int64_t i = 0; i < count; i++) {
        if (i == 0 || !same_group(&rows[i - 1], &rows[i]))
            rank = 0;
        rows[i].rank = is_ok(&rows[i]) ? ++rank : 0;
    }
    return 0;
}
