#include "forest/tree_split.h"

#include <stdlib.h>
#include <string.h>

/* A cell of the sample. */
struct item {
    struct vidur_tally tally;
    int32_t rank[VIDUR_MAX_FEATURES];
};

/* The plain grower: a node is the segment [begin[0], end[0]) of lists of the sample's
 * cells, one list in the order of each feature. */
struct list_grower {
    struct vidur_grower base;
    struct item *list[VIDUR_MAX_FEATURES];
    struct item *aside; /* a segment's right part while it is being divided */
};

static int list_init(struct vidur_grower *base, struct vidur_error *err)
{
    struct list_grower *grower = (struct list_grower *)base;
    const size_t n = (size_t)base->cells->num_cells;
    bool ok = true;
    for (int f = 0; f < base->cells->num_features; f++) {
        grower->list[f] = calloc(n, sizeof *grower->list[f]);
        ok = ok && grower->list[f];
    }
    grower->aside = calloc(n, sizeof *grower->aside);
    if (ok && grower->aside)
        return 0;
    return vidur_fail(err, VIDUR_ENOMEM, "out of memory for a tree");
}

static void list_fini(struct vidur_grower *base)
{
    struct list_grower *grower = (struct list_grower *)base;
    for (int f = 0; f < VIDUR_MAX_FEATURES; f++)
        free(grower->list[f]);
    free(grower->aside);
}

/* Lists the sample's cells in the given order, NULL: ascending; returns their number.
 */
static int list_cells(struct item *list, const struct vidur_bag *bag,
                      const int32_t *order)
{
    const struct vidur_cells *cells = bag->cells;
    int count = 0;
    for (int i = 0; i < cells->num_cells; i++) {
        const int32_t cell = order ? order[i] : i;
        list[count] = (struct item){bag->tally[cell],
                                    {cells->rank[0][cell], cells->rank[1][cell]}};
        count += bag->tally[cell].rows > 0;
    }
    return count;
}

static struct vidur_open_node list_root(struct list_grower *grower,
                                        const struct vidur_bag *bag,
                                        const struct vidur_tree_limits *limits)
{
    struct vidur_open_node root = {0};
    vidur_open_root(&root, bag, limits);
    root.end[0] = list_cells(grower->list[0], bag, NULL);
    if (bag->cells->num_features == 2)
        list_cells(grower->list[1], bag, bag->cells->by_second);
    for (int i = 0; i < root.end[0]; i++)
        root.tally = vidur_tally_plus(root.tally, grower->list[0][i].tally);
    return root;
}

static inline void try_feature(const struct list_grower *grower,
                               const struct vidur_open_node *node, int feature,
                               struct vidur_split *best)
{
    const struct item *list = grower->list[feature];
    struct vidur_tally left = {0, 0, 0};
    for (int i = node->begin[0]; i < node->end[0] - 1; i++) {
        left = vidur_tally_plus(left, list[i].tally);
        /* One branch that is rarely taken, instead of another on the ranks. */
        const bool between = list[i].rank[feature] != list[i + 1].rank[feature];
        if (between & vidur_split_better(best, left, node->tally)) {
            vidur_split_take(best, left, node->tally);
            best->feature = feature;
            best->last_left = i;
        }
    }
}

/* Whether all cells of the node have its mean, so that no split can change anything. */
static bool is_pure(const struct list_grower *grower,
                    const struct vidur_open_node *node)
{
    const double mean = node->tally.sum / node->tally.weight;
    for (int i = node->begin[0]; i < node->end[0]; i++) {
        const struct vidur_tally tally = grower->list[0][i].tally;
        if (tally.sum / tally.weight != mean)
            return false;
    }
    return true;
}

static bool find_split(const struct list_grower *grower,
                       const struct vidur_open_node *node,
                       const struct vidur_tree_limits *limits, struct vidur_split *best)
{
    *best = VIDUR_SPLIT_NONE;
    if (!vidur_may_split(node, limits))
        return false;
    const int num_features = grower->base.cells->num_features;
    const int first = vidur_first_feature(node->key) & (num_features - 1);
    for (int i = 0; i < num_features; i++)
        try_feature(grower, node, first ^ i, best);
    if (best->feature < 0)
        return false;
    return best->numerator > 0 || !is_pure(grower, node);
}

/* Stable partition of one list's segment by the cut. The list in the order of the
 * node's own feature is divided already. */
static void divide(struct list_grower *grower, struct item *list,
                   const struct vidur_open_node *at, const struct vidur_node *node)
{
    int left = at->begin[0], right = 0;
    for (int i = at->begin[0]; i < at->end[0]; i++) {
        const struct item item = list[i];
        const int goes_left = item.rank[node->feature] < node->cut;
        list[left] = item;
        grower->aside[right] = item;
        left += goes_left;
        right += 1 - goes_left;
    }
    memcpy(list + left, grower->aside, (size_t)right * sizeof *list);
}

static void list_grow(struct vidur_grower *base, const struct vidur_bag *bag,
                      const struct vidur_tree_limits *limits, struct vidur_tree *tree)
{
    struct list_grower *grower = (struct list_grower *)base;
    const double magic = vidur_rounding_magic(limits->rounding);
    int open = 0;
    base->stack[open++] = list_root(grower, bag, limits);
    while (open > 0) {
        const struct vidur_open_node at = base->stack[--open];
        const int32_t index = tree->num_nodes;
        struct vidur_node *node = vidur_tree_add(tree, &at, magic);
        struct vidur_split split;
        if (!find_split(grower, &at, limits, &split))
            continue;
        const int f = split.feature;
        const struct item *last = &grower->list[f][split.last_left];
        node->feature = f;
        node->threshold = vidur_threshold(base->cells->values[f], last[0].rank[f],
                                          last[1].rank[f], &node->cut);
        if (base->cells->num_features == 2)
            divide(grower, grower->list[1 - f], &at, node);
        struct vidur_open_node *right = &base->stack[open++];
        struct vidur_open_node *left = &base->stack[open++];
        vidur_open_children(left, &at, node, &split, limits);
        right->parent = index;
        left->end[0] = right->begin[0] = split.last_left + 1;
    }
}

const struct vidur_grower_ops vidur_list_grower = {
    .state_size = sizeof(struct list_grower),
    .init = list_init,
    .fini = list_fini,
    .grow = list_grow,
};
