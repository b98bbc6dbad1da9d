#include "tree_split.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int vidur_bag_init(struct vidur_bag *bag, const struct vidur_cells *cells,
                   struct vidur_error *err)
{
    const size_t n = (size_t)cells->num_cells;
    memset(bag, 0, sizeof *bag);
    bag->cells = cells;
    bag->weight = calloc(n, sizeof *bag->weight);
    bag->sum = calloc(n, sizeof *bag->sum);
    bag->rows = calloc(n, sizeof *bag->rows);
    bag->counts = calloc((size_t)cells->num_rows, sizeof *bag->counts);
    if (bag->weight && bag->sum && bag->rows && bag->counts)
        return 0;
    vidur_bag_fini(bag);
    return vidur_fail(err, VIDUR_ENOMEM, "out of memory for a bootstrap sample");
}

void vidur_bag_fini(struct vidur_bag *bag)
{
    free(bag->weight);
    free(bag->sum);
    free(bag->rows);
    free(bag->counts);
    memset(bag, 0, sizeof *bag);
}

/* Counts n draws from 0..n-1, without bias (Lemire, "Fast random integer generation in
 * an interval", 2019), two from each 64 random bits. */
static void draw_counts(uint32_t *counts, struct vidur_rng *rng, uint32_t n)
{
    const uint32_t reject_below = (uint32_t)(-n) % n;
    for (uint32_t i = 0; i < n;) {
        const uint64_t bits = vidur_rng_next(rng);
        const uint64_t a = (bits & UINT32_MAX) * n, b = (bits >> 32) * n;
        if ((uint32_t)a >= reject_below) {
            counts[a >> 32]++;
            i++;
        }
        if ((uint32_t)b >= reject_below && i < n) {
            counts[b >> 32]++;
            i++;
        }
    }
}

/* Adds the drawn rows [begin, end) to their cells; counts start at `begin`. */
static void collapse(struct vidur_bag *bag, uint32_t *counts, int begin, int end)
{
    const double *target = bag->cells->target;
    const int32_t *cell_of_row = bag->cells->cell_of_row;
    for (int row = begin; row < end; row++) {
        const uint32_t count = counts[row - begin];
        const int32_t cell = cell_of_row[row];
        bag->weight[cell] += count;
        bag->sum[cell] += count * target[row];
        bag->rows[cell] += count > 0;
    }
    memset(counts, 0, (size_t)(end - begin) * sizeof *counts);
}

void vidur_bag_draw(struct vidur_bag *bag, struct vidur_rng *rng, int hold_begin,
                    int hold_end)
{
    const size_t n = (size_t)bag->cells->num_cells;
    const int num_rows = bag->cells->num_rows;
    memset(bag->weight, 0, n * sizeof *bag->weight);
    memset(bag->sum, 0, n * sizeof *bag->sum);
    memset(bag->rows, 0, n * sizeof *bag->rows);
    draw_counts(bag->counts, rng, (uint32_t)(num_rows - (hold_end - hold_begin)));
    bag->key = vidur_rng_next(rng);
    collapse(bag, bag->counts, 0, hold_begin);
    collapse(bag, bag->counts + hold_begin, hold_end, num_rows);
}

int vidur_tree_init(struct vidur_tree *tree, const struct vidur_cells *cells,
                    struct vidur_error *err)
{
    tree->num_nodes = 0;
    tree->nodes = calloc((size_t)cells->num_cells * 2, sizeof *tree->nodes);
    return tree->nodes ? 0 : vidur_fail(err, VIDUR_ENOMEM, "out of memory for a tree");
}

void vidur_tree_fini(struct vidur_tree *tree)
{
    free(tree->nodes);
    memset(tree, 0, sizeof *tree);
}

double vidur_tree_rounding(const struct vidur_cells *cells, int num_trees)
{
    return ldexp(1.0, cells->target_bits + vidur_log2_ceil(num_trees) - 50);
}

/* A summed-area table pays where most of the lattice is filled. */
static const struct vidur_grower_ops *choose(const struct vidur_cells *cells,
                                             enum vidur_grower_kind kind)
{
    const int64_t lattice = (int64_t)cells->num_values[0] * cells->num_values[1];
    if (kind == VIDUR_GROWER_LIST)
        return &vidur_list_grower;
    if (cells->num_features == 1)
        return &vidur_line_grower;
    if (kind == VIDUR_GROWER_BEST && lattice > 4 * (int64_t)cells->num_cells)
        return &vidur_list_grower;
    return &vidur_grid_grower;
}

int vidur_grower_create(struct vidur_grower **out, const struct vidur_cells *cells,
                        enum vidur_grower_kind kind, struct vidur_error *err)
{
    const struct vidur_grower_ops *ops = choose(cells, kind);
    struct vidur_grower *grower = calloc(1, ops->state_size);
    if (!grower)
        return vidur_fail(err, VIDUR_ENOMEM, "out of memory for a tree");
    grower->ops = ops;
    grower->cells = cells;
    grower->stack = calloc((size_t)cells->num_cells + 1, sizeof *grower->stack);
    if (!grower->stack || ops->init(grower, err)) {
        vidur_grower_free(grower);
        return vidur_fail(err, VIDUR_ENOMEM, "out of memory for a tree");
    }
    *out = grower;
    return 0;
}

void vidur_grower_free(struct vidur_grower *grower)
{
    if (!grower)
        return;
    grower->ops->fini(grower);
    free(grower->stack);
    free(grower);
}

void vidur_grow(struct vidur_grower *grower, const struct vidur_bag *bag,
                const struct vidur_tree_limits *limits, struct vidur_tree *tree)
{
    tree->num_nodes = 0;
    grower->ops->grow(grower, bag, limits, tree);
}
