#include <vidur/ranking.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A row's place in the comparison: the costs of the three aims, all to be minimised. */
struct pareto_point {
    const char *model, *trace;
    double cost[3];
    int64_t row;
};

static int compare_points(const void *left, const void *right)
{
    const struct pareto_point *a = left, *b = right;
    int order = strcmp(a->model, b->model);
    if (order == 0)
        order = strcmp(a->trace, b->trace);
    for (int i = 0; order == 0 && i < 3; i++)
        order = (a->cost[i] > b->cost[i]) - (a->cost[i] < b->cost[i]);
    return order != 0 ? order : (a->row > b->row) - (a->row < b->row);
}

static bool dominates(const struct pareto_point *a, const struct pareto_point *b)
{
    bool better = false;
    for (int i = 0; i < 3; i++) {
        if (a->cost[i] > b->cost[i])
            return false;
        better |= a->cost[i] < b->cost[i];
    }
    return better;
}

/* An unknown latency cannot be the reason to keep a row. */
static double or_worst(double value)
{
    return isnan(value) ? INFINITY : value;
}

static int64_t collect(const struct vidur_ranking_row *rows, int64_t count,
                       struct pareto_point *points)
{
    int64_t found = 0;
    for (int64_t i = 0; i < count; i++) {
        const struct vidur_ranking_row *row = &rows[i];
        if (strcmp(row->status, VIDUR_STATUS_OK) != 0 || isnan(row->qps_per_dollar))
            continue;
        points[found++] = (struct pareto_point){
            row->model,
            row->trace,
            {-row->qps_per_dollar, or_worst(row->ttft_p90_s), or_worst(row->tbt_p99_s)},
            i};
    }
    if (found > 1)
        qsort(points, (size_t)found, sizeof *points, compare_points);
    return found;
}

/* Points come in order of cost[0], so only earlier ones can dominate, and of those it
 * is enough to look at the ones on the front. */
static void mark_fronts(struct vidur_ranking_row *rows, struct pareto_point *points,
                        int64_t count)
{
    int64_t front = 0, size = 0; /* points[front .. front+size) are on this group's */
    for (int64_t i = 0; i < count; i++) {
        if (i == 0 || strcmp(points[i].model, points[front].model) != 0 ||
            strcmp(points[i].trace, points[front].trace) != 0) {
            front = i;
            size = 0;
        }
        bool beaten = false;
        for (int64_t j = 0; j < size && !beaten; j++)
            beaten = dominates(&points[front + j], &points[i]);
        if (beaten)
            continue;
        rows[points[i].row].pareto = 1;
        points[front + size++] = points[i];
    }
}

int vidur_mark_pareto(struct vidur_ranking_row *rows, int64_t count,
                      struct vidur_error *err)
{
    for (int64_t i = 0; i < count; i++)
        rows[i].pareto = 0;
    if (count <= 0)
        return 0;
    struct pareto_point *points = malloc((size_t)count * sizeof *points);
    if (!points)
        return vidur_fail(err, VIDUR_ENOMEM, "out of memory for %lld Pareto points",
                          (long long)count);
    mark_fronts(rows, points, collect(rows, count, points));
    free(points);
    return 0;
}
