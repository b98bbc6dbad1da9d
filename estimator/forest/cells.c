#include "forest/cells.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int vidur_log2_ceil(int64_t n)
{
    int bits = 0;
    while (bits < 62 && (INT64_C(1) << bits) < n)
        bits++;
    return bits;
}

/* Without a branch on the comparison, which no processor can predict. */
int64_t vidur_count_up_to(const double *values, int64_t begin, int64_t end, double x)
{
    int64_t left = end - begin;
    while (left > 1) {
        const int64_t half = left / 2;
        begin += values[begin + half - 1] <= x ? half : 0;
        left -= half;
    }
    return begin + (left == 1 && values[begin] <= x);
}

static int compare_doubles(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int compare_keys(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static int check(const struct vidur_samples *samples, struct vidur_error *err)
{
    if (samples->num_rows < 1)
        return vidur_fail(err, VIDUR_EINVAL, "%s: no samples; at least one is needed",
                          samples->name);
    if (samples->num_rows > VIDUR_CELLS_MAX_ROWS)
        return vidur_fail(err, VIDUR_EINVAL, "%s: %lld samples; at most %d are taken",
                          samples->name, (long long)samples->num_rows,
                          VIDUR_CELLS_MAX_ROWS);
    if (samples->num_features < 1 || samples->num_features > VIDUR_MAX_FEATURES)
        return vidur_fail(err, VIDUR_EINVAL, "%s: %d features; 1 or 2 are needed",
                          samples->name, samples->num_features);
    for (int64_t i = 0; i < samples->num_rows; i++) {
        bool finite = isfinite(samples->target_ms[i]);
        for (int f = 0; f < samples->num_features; f++)
            finite = finite && isfinite(samples->features[f][i]);
        if (!finite)
            return vidur_fail(err, VIDUR_EINVAL,
                              "%s: sample %lld is not finite; numbers are needed",
                              samples->name, (long long)i + 1);
    }
    return 0;
}

static int allocate(struct vidur_cells *cells, struct vidur_error *err)
{
    const size_t n = (size_t)cells->num_rows;
    bool ok = true;
    for (int f = 0; f < VIDUR_MAX_FEATURES; f++) {
        cells->values[f] = calloc(n, sizeof *cells->values[f]);
        cells->rank[f] = calloc(n, sizeof *cells->rank[f]);
        ok = ok && cells->values[f] && cells->rank[f];
    }
    cells->by_second = calloc(n, sizeof *cells->by_second);
    cells->cell_of_row = calloc(n, sizeof *cells->cell_of_row);
    cells->target = calloc(n, sizeof *cells->target);
    if (ok && cells->by_second && cells->cell_of_row && cells->target)
        return 0;
    return vidur_fail(err, VIDUR_ENOMEM, "out of memory for %zu samples", n);
}

static void rank_feature(struct vidur_cells *cells, int f, const double *column)
{
    const size_t n = (size_t)cells->num_rows;
    double *values = cells->values[f];
    memcpy(values, column, n * sizeof *values);
    qsort(values, n, sizeof *values, compare_doubles);
    int distinct = 1;
    for (size_t i = 1; i < n; i++)
        if (values[i] > values[distinct - 1])
            values[distinct++] = values[i];
    cells->num_values[f] = distinct;
}

static int64_t row_key(const struct vidur_cells *cells,
                       const struct vidur_samples *samples, int64_t row)
{
    int64_t key = 0;
    for (int f = 0; f < cells->num_features; f++) {
        int64_t rank = vidur_count_up_to(cells->values[f], 0, cells->num_values[f],
                                         samples->features[f][row]);
        key = key * cells->num_values[f] + (rank - 1);
    }
    return key;
}

/* `keys` has room for two keys a row. */
static void make_cells(struct vidur_cells *cells, const struct vidur_samples *samples,
                       int64_t *keys)
{
    const int n = cells->num_rows, columns = cells->num_values[1];
    int64_t *sorted = keys + n;
    for (int i = 0; i < n; i++)
        sorted[i] = keys[i] = row_key(cells, samples, i);
    qsort(sorted, (size_t)n, sizeof *sorted, compare_keys);
    int count = 1;
    for (int i = 1; i < n; i++)
        if (sorted[i] > sorted[count - 1])
            sorted[count++] = sorted[i];
    cells->num_cells = count;
    for (int i = 0; i < n; i++) {
        const int64_t *found =
            bsearch(&keys[i], sorted, (size_t)count, sizeof *sorted, compare_keys);
        cells->cell_of_row[i] = (int32_t)(found - sorted);
    }
    for (int i = 0; i < count; i++) {
        cells->rank[0][i] = (int32_t)(sorted[i] / columns);
        cells->rank[1][i] = (int32_t)(sorted[i] % columns);
    }
}

/* Counting sort by rank 1: stable, so that cells of one rank 1 ascend by rank 0. */
static void order_by_second(struct vidur_cells *cells, int64_t *starts)
{
    const int32_t *rank = cells->rank[1];
    memset(starts, 0, (size_t)(cells->num_values[1] + 1) * sizeof *starts);
    for (int i = 0; i < cells->num_cells; i++)
        starts[rank[i] + 1]++;
    for (int i = 0; i < cells->num_values[1]; i++)
        starts[i + 1] += starts[i];
    for (int i = 0; i < cells->num_cells; i++)
        cells->by_second[starts[rank[i]]++] = i;
}

static void scale_targets(struct vidur_cells *cells, const double *target_ms)
{
    double largest = 0;
    for (int i = 0; i < cells->num_rows; i++)
        largest = fmax(largest, fabs(target_ms[i]));
    int exponent = 0;
    frexp(largest, &exponent);
    exponent = exponent < -900 ? -900 : exponent; /* the unit must not underflow */
    cells->target_bits = 52 - vidur_log2_ceil(cells->num_rows);
    cells->unit_ms = ldexp(1.0, exponent - cells->target_bits);
    for (int i = 0; i < cells->num_rows; i++)
        cells->target[i] = rint(ldexp(target_ms[i], cells->target_bits - exponent));
}

int vidur_cells_init(struct vidur_cells *cells, const struct vidur_samples *samples,
                     struct vidur_error *err)
{
    memset(cells, 0, sizeof *cells);
    if (check(samples, err))
        return -1;
    cells->num_features = samples->num_features;
    cells->num_rows = (int)samples->num_rows;
    cells->num_values[1] = 1;
    int64_t *keys = calloc((size_t)cells->num_rows * 2 + 1, sizeof *keys);
    if (!keys || allocate(cells, err)) {
        free(keys);
        vidur_cells_fini(cells);
        return vidur_fail(err, VIDUR_ENOMEM, "%s: out of memory", samples->name);
    }
    for (int f = 0; f < cells->num_features; f++)
        rank_feature(cells, f, samples->features[f]);
    make_cells(cells, samples, keys);
    order_by_second(cells, keys);
    scale_targets(cells, samples->target_ms);
    free(keys);
    return 0;
}

void vidur_cells_fini(struct vidur_cells *cells)
{
    for (int f = 0; f < VIDUR_MAX_FEATURES; f++) {
        free(cells->values[f]);
        free(cells->rank[f]);
    }
    free(cells->by_second);
    free(cells->cell_of_row);
    free(cells->target);
    memset(cells, 0, sizeof *cells);
}
