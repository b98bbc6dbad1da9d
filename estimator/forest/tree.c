#include "forest/tree_split.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

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
