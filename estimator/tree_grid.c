#include "tree_split.h"

#include <stdlib.h>
#include <string.h>

/*
 * The grower for two features: a node is the rectangle [begin[f], end[f]) of ranks, and
 * summed-area tables over the lattice of all ranks give the weight and sum of any part
 * of it. Tables are held in both orientations, so that candidate splits along either
 * feature read consecutive elements.
 */
struct grid_table {
    int pitch;            /* elements of a line */
    double *weight, *sum; /* [i * pitch + j]: of ranks < i on the table's first axis, <
                             j on its second */
};

struct grid_grower {
    struct vidur_grower base;
    const struct vidur_bag *bag;
    /* along[f]: lines run along feature f */
    struct grid_table along[VIDUR_MAX_FEATURES];
    int32_t *rows;    /* distinct rows, in the layout of along[1] */
    int32_t *cell_at; /* cell of each lattice point; -1: none */
};

static int table_init(struct grid_table *table, int lines, int pitch)
{
    table->pitch = pitch;
    table->weight = calloc((size_t)lines * pitch, sizeof *table->weight);
    table->sum = calloc((size_t)lines * pitch, sizeof *table->sum);
    return table->weight && table->sum ? 0 : -1;
}

static int grid_init(struct vidur_grower *base, struct vidur_error *err)
{
    struct grid_grower *grower = (struct grid_grower *)base;
    const struct vidur_cells *cells = base->cells;
    const int rows = cells->num_values[0] + 1, columns = cells->num_values[1] + 1;
    const size_t points = (size_t)rows * columns;
    grower->rows = calloc(points, sizeof *grower->rows);
    grower->cell_at = malloc(points * sizeof *grower->cell_at);
    if (!grower->rows || !grower->cell_at ||
        table_init(&grower->along[1], rows, columns) ||
        table_init(&grower->along[0], columns, rows))
        return vidur_fail(err, VIDUR_ENOMEM, "out of memory for a tree");
    memset(grower->cell_at, -1, points * sizeof *grower->cell_at);
    for (int i = 0; i < cells->num_cells; i++)
        grower->cell_at[cells->rank[0][i] * (columns - 1) + cells->rank[1][i]] = i;
    return 0;
}

static void grid_fini(struct vidur_grower *base)
{
    struct grid_grower *grower = (struct grid_grower *)base;
    for (int f = 0; f < VIDUR_MAX_FEATURES; f++) {
        free(grower->along[f].weight);
        free(grower->along[f].sum);
    }
    free(grower->rows);
    free(grower->cell_at);
}

/* One line of the tables from the line above it and the sample's cells. */
static void fill_line(struct grid_grower *grower, int row)
{
    const struct vidur_bag *bag = grower->bag;
    struct grid_table *table = &grower->along[1], *turned = &grower->along[0];
    const int pitch = table->pitch;
    const int32_t *cell_at = grower->cell_at + (size_t)row * (pitch - 1);
    const size_t above = (size_t)row * pitch, here = above + pitch;
    double weight = 0, sum = 0;
    int32_t rows = 0;
    for (int j = 0; j < pitch - 1; j++) {
        const int32_t cell = cell_at[j];
        if (cell >= 0) {
            weight += bag->weight[cell];
            sum += bag->sum[cell];
            rows += bag->rows[cell];
        }
        const size_t at = here + j + 1,
                     turned_at = (size_t)(j + 1) * turned->pitch + row + 1;
        table->weight[at] = table->weight[above + j + 1] + weight;
        table->sum[at] = table->sum[above + j + 1] + sum;
        grower->rows[at] = grower->rows[above + j + 1] + rows;
        turned->weight[turned_at] = table->weight[at];
        turned->sum[turned_at] = table->sum[at];
    }
}

static struct vidur_open_node grid_root(struct grid_grower *grower,
                                        const struct vidur_tree_limits *limits)
{
    const struct vidur_cells *cells = grower->base.cells;
    for (int i = 0; i < cells->num_values[0]; i++)
        fill_line(grower, i);
    const size_t last = (size_t)(cells->num_values[0] + 1) * grower->along[1].pitch - 1;
    struct vidur_open_node root = {
        .weight = grower->along[1].weight[last],
        .sum = grower->along[1].sum[last],
        .num_rows = grower->rows[last],
        .end = {cells->num_values[0], cells->num_values[1]},
    };
    vidur_open_root(&root, grower->bag, limits);
    return root;
}

static inline void try_feature(const struct grid_grower *grower,
                               const struct vidur_open_node *node, int feature,
                               struct vidur_split *best)
{
    const struct grid_table *table = &grower->along[feature];
    const int other = 1 - feature, begin = node->begin[feature];
    const size_t low = (size_t)node->begin[other] * table->pitch;
    const size_t high = (size_t)node->end[other] * table->pitch;
    const double *weight_low = table->weight + low, *weight_high = table->weight + high;
    const double *sum_low = table->sum + low, *sum_high = table->sum + high;
    const double weight_before = weight_high[begin] - weight_low[begin];
    const double sum_before = sum_high[begin] - sum_low[begin];
    for (int i = begin + 1; i < node->end[feature]; i++)
        if (vidur_split_offer(best, weight_high[i] - weight_low[i] - weight_before,
                              sum_high[i] - sum_low[i] - sum_before, node)) {
            best->feature = feature;
            best->last_left = i - 1;
        }
}

static bool is_pure(const struct grid_grower *grower,
                    const struct vidur_open_node *node)
{
    const double mean = node->sum / node->weight;
    const int columns = grower->along[1].pitch - 1;
    for (int i = node->begin[0]; i < node->end[0]; i++)
        for (int j = node->begin[1]; j < node->end[1]; j++) {
            const int32_t cell = grower->cell_at[(size_t)i * columns + j];
            if (cell >= 0 && grower->bag->rows[cell] > 0 &&
                grower->bag->sum[cell] / grower->bag->weight[cell] != mean)
                return false;
        }
    return true;
}

static inline bool find_split(const struct grid_grower *grower,
                              const struct vidur_open_node *node,
                              struct vidur_split *best)
{
    *best = VIDUR_SPLIT_NONE;
    const int first = vidur_first_feature(node->key);
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
    const struct grid_table *table = &grower->along[split->feature];
    const int other = 1 - split->feature;
    const double *low = table->weight + (size_t)node->begin[other] * table->pitch;
    const double *high = table->weight + (size_t)node->end[other] * table->pitch;
    int i = split->last_left + 1;
    const double before = high[i] - low[i];
    while (high[i + 1] - low[i + 1] == before)
        i++;
    return i;
}

static inline int32_t rows_of(const struct grid_grower *grower,
                              const struct vidur_open_node *node)
{
    const size_t pitch = (size_t)grower->along[1].pitch;
    const int32_t *low = grower->rows + node->begin[0] * pitch;
    const int32_t *high = grower->rows + node->end[0] * pitch;
    return high[node->end[1]] - high[node->begin[1]] - low[node->end[1]] +
           low[node->begin[1]];
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
        vidur_open_children(left, right, &at, &split, index);
        left->end[f] = split.last_left + 1;
        right->begin[f] = next;
        vidur_share_out(left, right, rows_of(grower, left), limits, &at, node);
    }
}

const struct vidur_grower_ops vidur_grid_grower = {
    .state_size = sizeof(struct grid_grower),
    .init = grid_init,
    .fini = grid_fini,
    .grow = grid_grow,
};
