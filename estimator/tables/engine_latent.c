#include <vidur/engine_table.h>

#include <math.h>
#include <stddef.h>

/* Latent attention of decode rows, looked up. */

/* The last of the points that is not beyond x, but the last of all. */
static int segment_of(const double *points, int count, double x)
{
    int low = 0, high = count - 1;
    while (high - low > 1) {
        const int middle = (low + high) / 2;
        if (points[middle] <= x)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* Where x lies between two points; beyond the last, by how much the last is scaled. */
struct place {
    int below;
    double share, scale;
};

static struct place place_of(const double *points, int count, double x)
{
    const double last = points[count - 1];
    if (x >= last)
        return (struct place){count > 1 ? count - 2 : 0, 1, x / last};
    if (x <= points[0])
        return (struct place){0, 0, 1};
    const int low = segment_of(points, count, x);
    return (struct place){low, (x - points[low]) / (points[low + 1] - points[low]), 1};
}

static double along(const double *ms, const struct place *at)
{
    return (ms[at->below] + at->share * (ms[at->below + 1] - ms[at->below])) *
           at->scale;
}

double vidur_engine_latent_ms(const struct vidur_engine_latent *latent, int64_t rows,
                              int64_t row_tokens)
{
    double mean = (double)row_tokens / (double)rows;
    if (latent->most_tokens > 0)
        mean = fmin(mean, (double)latent->most_tokens);
    const struct place row =
        place_of(latent->batches, latent->num_batches, (double)rows);
    const struct place column = place_of(latent->contexts, latent->num_contexts, mean);
    const double *below = latent->ms + (ptrdiff_t)row.below * latent->num_contexts;
    const double ends[2] = {along(below, &column),
                            along(below + latent->num_contexts, &column)};
    const struct place between = {0, row.share, row.scale};
    return latent->layers *
           fmax(along(ends, &between) - latent->cut_ms, latent->least_ms);
}
