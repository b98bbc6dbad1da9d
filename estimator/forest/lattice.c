#include "forest/forest_model.h"

#include <limits.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

/*
 * A forest over a whole grid of points at once. A leaf of a tree over one or two
 * features is an interval or a rectangle of the grid: add its value at the corners of a
 * difference array, and take prefix sums once at the end. The cost is leaves + points
 * instead of points x trees x depth. Leaf values are multiples of a common unit
 * (tree.h), so that every sum here is exact and the order of additions does not matter.
 */

/*
 * An ascending axis with an index: equal slices of its range, and for each the first
 * value in it or beyond. slice() is monotone, so that what it rounds away costs a step
 * of the search, never a wrong result.
 */
struct axis {
    const double *values;
    int32_t count;
    int32_t num_slices;
    double origin, slices_per_unit;
    int32_t *first; /* num_slices + 1 */
};

static int32_t slice(const struct axis *axis, double x)
{
    const double at = (x - axis->origin) * axis->slices_per_unit;
    if (!(at > 0))
        return 0;
    return at < axis->num_slices ? (int32_t)at : axis->num_slices - 1;
}

static int axis_init(struct axis *axis, const double *values, int64_t count,
                     struct vidur_error *err)
{
    if (count > INT_MAX / 4)
        return vidur_fail(err, VIDUR_EINVAL, "a table of %lld points along one axis",
                          (long long)count);
    const double range = values[count - 1] - values[0];
    axis->values = values;
    axis->count = (int32_t)count;
    axis->num_slices = 2 * axis->count;
    axis->origin = values[0];
    axis->slices_per_unit = range > 0 ? axis->num_slices / range : 0;
    axis->first = calloc((size_t)axis->num_slices + 1, sizeof *axis->first);
    if (!axis->first)
        return vidur_fail(err, VIDUR_ENOMEM, "out of memory for a table");
    for (int32_t i = 0; i < axis->count; i++)
        axis->first[slice(axis, values[i]) + 1]++;
    for (int32_t i = 0; i < axis->num_slices; i++)
        axis->first[i + 1] += axis->first[i];
    return 0;
}

/* How many values are <= x. */
static int32_t count_up_to(const struct axis *axis, double x)
{
    const int32_t at = slice(axis, x);
    return (int32_t)vidur_count_up_to(axis->values, axis->first[at],
                                      axis->first[at + 1], x);
}

/* The grid as rows and columns; a single axis is the columns of one row. */
struct grid {
    int64_t rows, columns;
    struct axis of_feature[VIDUR_MAX_FEATURES];
    int axis_of_feature[VIDUR_MAX_FEATURES]; /* 0: rows, 1: columns */
};

static void grid_fini(struct grid *grid)
{
    for (int f = 0; f < VIDUR_MAX_FEATURES; f++)
        free(grid->of_feature[f].first);
}

static int grid_init(struct grid *grid, const struct vidur_axes *axes,
                     struct vidur_error *err)
{
    const bool two = axes->num_axes == 2;
    *grid = (struct grid){.rows = two ? axes->count[0] : 1,
                          .columns = axes->count[two ? 1 : 0],
                          .axis_of_feature = {two ? 0 : 1, 1}};
    for (int f = 0; f < axes->num_axes; f++)
        if (axis_init(&grid->of_feature[f], axes->values[f], axes->count[f], err)) {
            grid_fini(grid);
            return -1;
        }
    return 0;
}

/* Points [begin[axis], end[axis]) that reach a node. */
struct region {
    int32_t node;
    int32_t begin[VIDUR_MAX_FEATURES], end[VIDUR_MAX_FEATURES];
};

static void add_leaf(double *difference, const struct grid *grid,
                     const struct region *at, double value)
{
    const int64_t pitch = grid->columns + 1;
    double *top = difference + at->begin[0] * pitch;
    top[at->begin[1]] += value;
    top[at->end[1]] -= value;
    if (at->end[0] < grid->rows) {
        double *bottom = difference + at->end[0] * pitch;
        bottom[at->begin[1]] -= value;
        bottom[at->end[1]] += value;
    }
}

/* Puts the node's children onto the stack, those that some point reaches. */
static int open_children(struct region *stack, int open, const struct grid *grid,
                         const struct vidur_forest_node *node, const struct region *at)
{
    const int axis = grid->axis_of_feature[node->feature];
    const int32_t middle = count_up_to(&grid->of_feature[node->feature], node->number);
    if (middle < at->end[axis]) {
        stack[open] = *at;
        stack[open].node = node->right;
        if (middle > at->begin[axis])
            stack[open].begin[axis] = middle;
        open++;
    }
    if (middle > at->begin[axis]) {
        stack[open] = *at;
        stack[open].node = at->node + 1;
        if (middle < at->end[axis])
            stack[open].end[axis] = middle;
        open++;
    }
    return open;
}

static void add_tree(double *difference, const struct grid *grid,
                     const struct vidur_forest_node *tree, struct region *stack)
{
    int open = 0;
    stack[open++] =
        (struct region){.end = {(int32_t)grid->rows, (int32_t)grid->columns}};
    while (open > 0) {
        const struct region at = stack[--open];
        const struct vidur_forest_node *node = &tree[at.node];
        if (node->right)
            open = open_children(stack, open, grid, node, &at);
        else
            add_leaf(difference, grid, &at, node->number);
    }
}

/* Prefix sums over both axes of the threads' summed difference arrays, into ms. */
static void finish(const struct vidur_forest *forest, const struct grid *grid,
                   double **differences, int threads, double *ms)
{
    const int64_t pitch = grid->columns + 1;
    double *total = differences[0];
    for (int t = 1; t < threads; t++)
        for (int64_t i = 0; i < grid->rows * pitch; i++)
            total[i] += differences[t][i];
    for (int64_t i = 0; i < grid->rows; i++) {
        double *line = total + i * pitch, run = 0;
        for (int64_t j = 0; j < grid->columns; j++) {
            line[j] += i > 0 ? line[j - pitch] : 0;
            run += line[j];
            ms[i * grid->columns + j] = vidur_forest_mean(forest, run);
        }
    }
}

static int fill(const struct vidur_forest *forest, const struct grid *grid, int threads,
                double *ms, struct vidur_error *err)
{
    const size_t points = (size_t)(grid->rows + 1) * (size_t)(grid->columns + 1);
    const size_t depth = (size_t)forest->max_depth + 2;
    double **differences = calloc((size_t)threads, sizeof *differences);
    struct region *stacks = calloc((size_t)threads * depth, sizeof *stacks);
    int rc = 0;
    if (!differences || !stacks)
        rc = vidur_fail(err, VIDUR_ENOMEM, "out of memory for a table");
    for (int t = 0; rc == 0 && t < threads; t++) {
        differences[t] = calloc(points, sizeof *differences[t]);
        if (!differences[t])
            rc = vidur_fail(err, VIDUR_ENOMEM, "out of memory for a table");
    }
    if (rc == 0) {
#pragma omp parallel for schedule(dynamic, 8) num_threads(threads)
        for (int i = 0; i < forest->num_trees; i++)
            add_tree(differences[omp_get_thread_num()], grid, forest->trees[i],
                     stacks + omp_get_thread_num() * depth);
        finish(forest, grid, differences, threads, ms);
    }
    for (int t = 0; differences && t < threads; t++)
        free(differences[t]);
    free(differences);
    free(stacks);
    return rc;
}

int vidur_lattice_fill(const struct vidur_forest *forest, const struct vidur_axes *axes,
                       int threads, double *ms, struct vidur_error *err)
{
    struct grid grid;
    for (int f = 0; f < axes->num_axes; f++)
        if (axes->count[f] < 1)
            return 0;
    if (grid_init(&grid, axes, err))
        return -1;
    const int rc = fill(forest, &grid, threads, ms, err);
    grid_fini(&grid);
    return rc;
}
