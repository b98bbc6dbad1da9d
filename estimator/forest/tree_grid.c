#include "forest/tree_split.h"

#include <stdlib.h>
#include <string.h>

/*
 * The grower for two features: a node is the rectangle [begin[f], end[f]) of ranks, and
 * a summed-area table over the lattice of all ranks tallies any part of it.
 */
struct grid_grower {
    struct vidur_grower base;
    const struct vidur_bag *bag;
    /* stride[f]: from one value of feature f to the next in the table */
    int stride[VIDUR_MAX_FEATURES];
    struct vidur_tally *table; /* [i * stride[0] + j]: of ranks < i and < j */
    int32_t
        *cell_at; /* of each lattice point; the bag's empty one where there is none */
};

static int grid_init(struct vidur_grower *base, struct vidur_error *err)
{
    struct grid_grower *grower = (struct grid_grower *)base;
    const struct vidur_cells *cells = base->cells;
    const int rows = cells->num_values[0], columns = cells->num_values[1];
    const size_t points = (size_t)rows * columns;
    grower->stride[0] = columns + 1;
    grower->stride[1] = 1;
    grower->table = calloc((size_t)(rows + 1) * (columns + 1), sizeof *grower->table);
    grower->cell_at = malloc(points * sizeof *grower->cell_at);
    if (!grower->table || !grower->cell_at)
        return vidur_fail(err, VIDUR_ENOMEM, "out of memory for a tree");
    for (size_t i = 0; i < points; i++)
        grower->cell_at[i] = cells->num_cells;
    for (int i = 0; i < cells->num_cells; i++)
        grower->cell_at[cells->rank[0][i] * columns + cells->rank[1][i]] = i;
    return 0;
}

static void grid_fini(struct vidur_grower *base)
{
    struct grid_grower *grower = (struct grid_grower *)base;
    free(grower->table);
    free(grower->cell_at);
}

static void fill_table(struct grid_grower *grower)
{
    const struct vidur_cells *cells = grower->base.cells;
    const struct vidur_tally *tally = grower->bag->tally;
    const int rows = cells->num_values[0], columns = cells->num_values[1];
    const int32_t *cell_at = grower->cell_at;
    for (int i = 0; i < rows; i++, cell_at += columns) {
        const struct vidur_tally *above = grower->table + (size_t)i * (columns + 1) + 1;
        struct vidur_tally *here = grower->table + (size_t)(i + 1) * (columns + 1) + 1;
        struct vidur_tally run = {0, 0, 0};
        for (int j = 0; j < columns; j++) {
            run = vidur_tally_plus(run, tally[cell_at[j]]);
            here[j] = vidur_tally_plus(above[j], run);
        }
    }
}

static struct vidur_open_node grid_root(struct grid_grower *grower,
                                        const struct vidur_tree_limits *limits)
{
    const struct vidur_cells *cells = grower->base.cells;
    const int rows = cells->num_values[0], columns = cells->num_values[1];
    fill_table(grower);
    struct vidur_open_node root = {
        .tally = grower->table[(size_t)(rows + 1) * (columns + 1) - 1],
        .end = {rows, columns},
    };
    vidur_open_root(&root, grower->bag, limits);
    return root;
}

/* The table along one feature of a node: of its values up to any one. */
struct profile {
    const struct vidur_tally *low, *high;
    int stride;
};

static inline struct profile profile_of(const struct grid_grower *grower,
                                        const struct vidur_open_node *node, int feature)
{
    const int other = 1 - feature;
    const size_t stride = (size_t)grower->stride[other];
    return (struct profile){grower->table + node->begin[other] * stride,
                            grower->table + node->end[other] * stride,
                            grower->stride[feature]};
}

static inline struct vidur_tally tally_up_to(const struct profile *profile, int value)
{
    const size_t at = (size_t)value * (size_t)profile->stride;
    return vidur_tally_minus(profile->high[at], profile->low[at]);
}

static inline void try_feature(const struct grid_grower *grower,
                               const struct vidur_open_node *node, int feature,
                               struct vidur_split *best)
{
    const struct profile profile = profile_of(grower, node, feature);
    const int begin = node->begin[feature], end = node->end[feature];
    const struct vidur_tally before = tally_up_to(&profile, begin);
    for (int i = begin + 1; i < end; i++)
        if (vidur_split_offer(best, vidur_tally_minus(tally_up_to(&profile, i), before),
                              node->tally)) {
            best->feature = feature;
            best->last_left = i - 1;
        }
}

static bool is_pure(const struct grid_grower *grower,
                    const struct vidur_open_node *node)
{
    const double mean = node->tally.sum / node->tally.weight;
    const int columns = grower->base.cells->num_values[1];
    for (int i = node->begin[0]; i < node->end[0]; i++)
        for (int j = node->begin[1]; j < node->end[1]; j++) {
            const int32_t cell = grower->cell_at[(size_t)i * columns + j];
            const struct vidur_tally tally = grower->bag->tally[cell];
            if (tally.rows > 0 && tally.sum / tally.weight != mean)
                return false;
        }
    return true;
}

static inline bool find_split(const struct grid_grower *grower,
                              const struct vidur_open_node *node,
                              struct vidur_split *best)
{
    const int first = vidur_first_feature(node->key);
    *best = VIDUR_SPLIT_NONE;
    try_feature(grower, node, first, best);
    try_feature(grower, node, 1 - first, best);
    if (best->feature < 0)
        return false;
    return best->numerator > 0 || !is_pure(grower, node);
}

/* The next value after the split's last on the left that the node's sample has. */
static inline int first_right(const struct grid_grower *grower,
                              const struct vidur_open_node *node,
                              const struct vidur_split *split)
{
    const struct profile profile = profile_of(grower, node, split->feature);
    int i = split->last_left + 1;
    const int32_t before = tally_up_to(&profile, i).weight;
    while (tally_up_to(&profile, i + 1).weight == before)
        i++;
    return i;
}

static void grid_grow(struct vidur_grower *base, const struct vidur_bag *bag,
                      const struct vidur_tree_limits *limits, struct vidur_tree *tree)
{
    struct grid_grower *grower = (struct grid_grower *)base;
    const double magic = vidur_rounding_magic(limits->rounding);
    grower->bag = bag;
    int open = 0;
    base->stack[open++] = grid_root(grower, limits);
    while (open > 0) {
        const struct vidur_open_node at = base->stack[--open];
        const int32_t index = tree->num_nodes;
        struct vidur_node *node = vidur_tree_add(tree, &at, magic);
        struct vidur_split split;
        if (!vidur_may_split(&at, limits) || !find_split(grower, &at, &split))
            continue;
        const int f = split.feature, next = first_right(grower, &at, &split);
        node->feature = f;
        node->threshold =
            vidur_threshold(base->cells->values[f], split.last_left, next, &node->cut);
        struct vidur_open_node *right = &base->stack[open++];
        struct vidur_open_node *left = &base->stack[open++];
        vidur_open_children(left, &at, node, &split, limits);
        right->parent = index;
        left->end[f] = split.last_left + 1;
        right->begin[f] = next;
    }
}

const struct vidur_grower_ops vidur_grid_grower = {
    .state_size = sizeof(struct grid_grower),
    .init = grid_init,
    .fini = grid_fini,
    .grow = grid_grow,
};
