#include "forest/tree_split.h"

#include <stdlib.h>
#include <string.h>

/* The grower for one feature: the sample's cells in order, with prefix sums. A node is
 * the interval [begin[0], end[0]) of them. */
struct line_grower {
    struct vidur_grower base;
    int32_t *rank;              /* of the sample's cells */
    struct vidur_tally *before; /* each cell, and in all */
};

static int line_init(struct vidur_grower *base, struct vidur_error *err)
{
    struct line_grower *grower = (struct line_grower *)base;
    const size_t n = (size_t)base->cells->num_cells + 1;
    grower->rank = calloc(n, sizeof *grower->rank);
    grower->before = calloc(n, sizeof *grower->before);
    if (grower->rank && grower->before)
        return 0;
    return vidur_fail(err, VIDUR_ENOMEM, "out of memory for a tree");
}

static void line_fini(struct vidur_grower *base)
{
    struct line_grower *grower = (struct line_grower *)base;
    free(grower->rank);
    free(grower->before);
}

static struct vidur_open_node line_root(struct line_grower *grower,
                                        const struct vidur_bag *bag,
                                        const struct vidur_tree_limits *limits)
{
    struct vidur_open_node root = {0};
    int count = 0;
    for (int i = 0; i < grower->base.cells->num_cells; i++) {
        grower->rank[count] = i;
        grower->before[count] = root.tally;
        count += bag->tally[i].rows > 0;
        root.tally = vidur_tally_plus(root.tally, bag->tally[i]);
    }
    grower->before[count] = root.tally;
    root.end[0] = count;
    vidur_open_root(&root, bag, limits);
    return root;
}

static bool is_pure(const struct line_grower *grower,
                    const struct vidur_open_node *node)
{
    const double mean = node->tally.sum / node->tally.weight;
    for (int i = node->begin[0]; i < node->end[0]; i++) {
        const struct vidur_tally cell =
            vidur_tally_minus(grower->before[i + 1], grower->before[i]);
        if (cell.sum / cell.weight != mean)
            return false;
    }
    return true;
}

static inline bool find_split(const struct line_grower *grower,
                              const struct vidur_open_node *node,
                              struct vidur_split *best)
{
    const struct vidur_tally before = grower->before[node->begin[0]];
    *best = VIDUR_SPLIT_NONE;
    for (int i = node->begin[0]; i < node->end[0] - 1; i++)
        if (vidur_split_offer(best, vidur_tally_minus(grower->before[i + 1], before),
                              node->tally))
            best->last_left = i;
    return best->numerator > 0 || (best->numerator == 0 && !is_pure(grower, node));
}

static void line_grow(struct vidur_grower *base, const struct vidur_bag *bag,
                      const struct vidur_tree_limits *limits, struct vidur_tree *tree)
{
    struct line_grower *grower = (struct line_grower *)base;
    const double magic = vidur_rounding_magic(limits->rounding);
    int open = 0;
    base->stack[open++] = line_root(grower, bag, limits);
    while (open > 0) {
        const struct vidur_open_node at = base->stack[--open];
        const int32_t index = tree->num_nodes;
        struct vidur_node *node = vidur_tree_add(tree, &at, magic);
        struct vidur_split split;
        if (!vidur_may_split(&at, limits) || at.end[0] - at.begin[0] < 2 ||
            !find_split(grower, &at, &split))
            continue;
        const int middle = split.last_left + 1;
        node->feature = 0;
        node->threshold =
            vidur_threshold(base->cells->values[0], grower->rank[middle - 1],
                            grower->rank[middle], &node->cut);
        struct vidur_open_node *right = &base->stack[open++];
        struct vidur_open_node *left = &base->stack[open++];
        vidur_open_children(left, &at, node, &split, limits);
        right->parent = index;
        left->end[0] = right->begin[0] = middle;
    }
}

const struct vidur_grower_ops vidur_line_grower = {
    .state_size = sizeof(struct line_grower),
    .init = line_init,
    .fini = line_fini,
    .grow = line_grow,
};
