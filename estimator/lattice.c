#include "forest_model.h"

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

/* Points [begin[axis], end[axis]) that reach a node. */
struct region {
    int32_t node;
    int64_t begin[VIDUR_MAX_FEATURES], end[VIDUR_MAX_FEATURES];
};

/* The grid as rows and columns; a single axis is the columns of one row. */
struct grid {
    int64_t rows, columns;
    const double *values[VIDUR_MAX_FEATURES]; /* by feature */
    int axis_of_feature[VIDUR_MAX_FEATURES];  /* 0: rows, 1: columns */
};

static void add_leaf(double *difference, const struct grid *grid,
                     const struct region *at, double value)
{
    const int64_t pitch = grid->columns + 1;
    double *top = difference + at->begin[0] * pitch;
    double *bottom = difference + at->end[0] * pitch;
    top[at->begin[1]] += value;
    top[at->end[1]] -= value;
    bottom[at->begin[1]] -= value;
    bottom[at->end[1]] += value;
}

/* Puts the node's children onto the stack, those that some point reaches. */
static int open_children(struct region *stack, int open, const struct grid *grid,
                         const struct vidur_forest_node *node, const struct region *at)
{
    const int axis = grid->axis_of_feature[node->feature];
    const int64_t middle = vidur_count_up_to(
        grid->values[node->feature], at->begin[axis], at->end[axis], node->number);
    if (middle < at->end[axis]) {
        stack[open] = *at;
        stack[open].node = node->right;
        stack[open++].begin[axis] = middle;
    }
    if (middle > at->begin[axis]) {
        stack[open] = *at;
        stack[open].node = at->node + 1;
        stack[open++].end[axis] = middle;
    }
    return open;
}

static void add_tree(double *difference, const struct grid *grid,
                     const struct vidur_forest_node *tree, struct region *stack)
{
    int open = 0;
    stack[open++] = (struct region){.end = {grid->rows, grid->columns}};
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
    const bool two = axes->num_axes == 2;
    const struct grid grid = {
        .rows = two ? axes->count[0] : 1,
        .columns = axes->count[two ? 1 : 0],
        .values = {axes->values[0], axes->values[1]},
        .axis_of_feature = {two ? 0 : 1, 1},
    };
    if (grid.rows < 1 || grid.columns < 1)
        return 0;
    return fill(forest, &grid, threads, ms, err);
}
