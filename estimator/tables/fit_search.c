#include "tables/price_fit.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

/* A grid, then a pattern search (Hooke and Jeeves) in the logarithms, with steps along
 * one constant and along two at once: the loss has narrow valleys where one constant
 * makes up for another. */

enum { N = VIDUR_MAX_FIT_CONSTANTS };

static const double least_step = 1e-5;
static const double least_gain = 1e-12;

struct search {
    const struct vidur_fit_range *ranges;
    int count;
    double (*loss)(void *context, const double *constants);
    void *context;
    double best[N], best_loss; /* best: logarithms */
};

static double evaluate(const struct search *s, const double *logs)
{
    double constants[N];
    for (int i = 0; i < s->count; i++)
        constants[i] = exp(logs[i]);
    return s->loss(s->context, constants);
}

/* Keeps the point, moved into the ranges, where it is better. */
static bool offer(struct search *s, const double *logs)
{
    double inside[N];
    for (int i = 0; i < s->count; i++)
        inside[i] = fmin(fmax(logs[i], log(s->ranges[i].low)), log(s->ranges[i].high));
    const double loss = evaluate(s, inside);
    if (!(loss < s->best_loss - least_gain))
        return false;
    memcpy(s->best, inside, (size_t)s->count * sizeof *inside);
    s->best_loss = loss;
    return true;
}

static double grid_point(const struct vidur_fit_range *range, int step)
{
    const double low = log(range->low), high = log(range->high);
    return range->steps > 1 ? low + step * (high - low) / (range->steps - 1)
                            : (low + high) / 2;
}

static void search_grid(struct search *s)
{
    int step[N] = {0};
    int at = 0;
    while (at < s->count) {
        double point[N];
        for (int i = 0; i < s->count; i++)
            point[i] = grid_point(&s->ranges[i], step[i]);
        offer(s, point);
        for (at = 0; at < s->count && ++step[at] == s->ranges[at].steps; at++)
            step[at] = 0;
    }
}

/* Steps from the best point; true: one of them was better. */
static bool explore(struct search *s, double step)
{
    static const double signs[4][2] = {{1, 1}, {1, -1}, {-1, 1}, {-1, -1}};
    bool better = false;
    for (int i = 0; i < s->count; i++)
        for (int j = i; j < s->count; j++)
            for (int k = 0; k < 4; k++) {
                double point[N];
                if (i == j && k % 3) /* the signs of one constant alone are equal */
                    continue;
                memcpy(point, s->best, sizeof point);
                point[i] += signs[k][0] * step;
                if (i != j)
                    point[j] += signs[k][1] * step;
                better = offer(s, point) || better;
            }
    return better;
}

/* Once more in the direction that has just been good, as long as it is. */
static void run_on(struct search *s, const double *from)
{
    double move[N], point[N];
    for (int i = 0; i < s->count; i++)
        move[i] = s->best[i] - from[i];
    do {
        for (int i = 0; i < s->count; i++)
            point[i] = s->best[i] + move[i];
    } while (offer(s, point));
}

void vidur_fit_search(double *constants, const struct vidur_fit_range *ranges,
                      int count, double (*loss)(void *context, const double *constants),
                      void *context)
{
    struct search s = {.ranges = ranges,
                       .count = count,
                       .loss = loss,
                       .context = context,
                       .best_loss = INFINITY};
    search_grid(&s);
    double step = 0.1;
    while (step > least_step) {
        double from[N];
        memcpy(from, s.best, sizeof from);
        if (explore(&s, step))
            run_on(&s, from);
        else
            step /= 2;
    }
    for (int i = 0; i < count; i++)
        constants[i] = exp(s.best[i]);
}
