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

int vidur_rank(struct vidur_ranking_row *rows, int64_t count, struct vidur_error *err)
{
    if (count < 0)
        return vidur_fail(err, VIDUR_EINVAL, "a ranking of %lld rows",
                          (long long)count);
    if (count > 1)
        qsort(rows, (size_t)count, sizeof *rows, compare_rows);
    int64_t rank = 0;
    for (int64_t i = 0; i < count; i++) {
        if (i == 0 || !same_group(&rows[i - 1], &rows[i]))
            rank = 0;
        rows[i].rank = is_ok(&rows[i]) ? ++rank : 0;
    }
    return 0;
}
