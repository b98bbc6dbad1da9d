#include "tree_split.h"

#include <stdlib.h>
#include <string.h>

/* The plain grower: a node is the segment [begin[0], end[0]) of lists of the sample's
 * cells, one list in the order of each feature. */
struct list_grower {
    struct vidur_grower base;
    const struct vidur_bag *bag;
    int32_t *order[VIDUR_MAX_FEATURES];
    int32_t *aside;   /* a segment's right part while it is being divided */
    bool *goes_right; /* by cell */
};

static int list_init(struct vidur_grower *base, struct vidur_error *err)
{
    struct list_grower *grower = (struct list_grower *)base;
    const size_t n = (size_t)base->cells->num_cells;
    bool ok = true;
    for (int f = 0; f < VIDUR_MAX_FEATURES; f++) {
        grower->order[f] = calloc(n, sizeof *grower->order[f]);
        ok = ok && grower->order[f];
    }
    grower->aside = calloc(n, sizeof *grower->aside);
    grower->goes_right = calloc(n, sizeof *grower->goes_right);
    if (ok && grower->aside && grower->goes_right)
        return 0;
    return vidur_fail(err, VIDUR_ENOMEM, "out of memory for a tree");
}

static void list_fini(struct vidur_grower *base)
{
    struct list_grower *grower = (struct list_grower *)base;
    for (int f = 0; f < VIDUR_MAX_FEATURES; f++)
        free(grower->order[f]);
    free(grower->aside);
    free(grower->goes_right);
}

static struct vidur_open_node list_root(struct list_grower *grower,
                                        const struct vidur_tree_limits *limits)
{
    const struct vidur_cells *cells = grower->base.cells;
    const struct vidur_bag *bag = grower->bag;
    struct vidur_open_node root = {0};
    int count = 0, count_second = 0;
    for (int i = 0; i < cells->num_cells; i++) {
        if (bag->rows[i] > 0) {
            grower->order[0][count++] = i;
            root.weight += bag->weight[i];
            root.sum += bag->sum[i];
            root.num_rows += bag->rows[i];
        }
        if (bag->rows[cells->by_second[i]] > 0)
            grower->order[1][count_second++] = cells->by_second[i];
    }
    vidur_open_root(&root, bag, limits);
    root.end[0] = count;
    return root;
}

static void try_feature(const struct list_grower *grower,
                        const struct vidur_open_node *node, int feature,
                        struct vidur_split *best)
{
    const int32_t *order = grower->order[feature];
    const int32_t *rank = grower->base.cells->rank[feature];
    double weight = 0, sum = 0;
    for (int i = node->begin[0]; i < node->end[0] - 1; i++) {
        weight += grower->bag->weight[order[i]];
        sum += grower->bag->sum[order[i]];
        if (rank[order[i]] == rank[order[i + 1]])
            continue;
        if (vidur_split_offer(best, weight, sum, node)) {
            best->feature = feature;
            best->last_left = i;
        }
    }
}

/* Whether all cells of the node have its mean, so that no split can change anything. */
static bool is_pure(const struct list_grower *grower,
                    const struct vidur_open_node *node)
{
    const double mean = node->sum / node->weight;
    for (int i = node->begin[0]; i < node->end[0]; i++) {
        const int32_t cell = grower->order[0][i];
        if (grower->bag->sum[cell] / grower->bag->weight[cell] != mean)
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

/* Stable partition of one list's segment by the side that its cells are on; returns
 * where the right part begins. */
static int divide(struct list_grower *grower, int32_t *order, int begin, int end)
{
    int left = begin, right = 0;
    for (int i = begin; i < end; i++)
        if (grower->goes_right[order[i]])
            grower->aside[right++] = order[i];
        else
            order[left++] = order[i];
    memcpy(order + left, grower->aside, (size_t)right * sizeof *order);
    return left;
}

/* Divides both lists; returns the distinct rows of the left part. */
static int32_t divide_node(struct list_grower *grower, const struct vidur_split *split,
                           struct vidur_open_node *left, struct vidur_open_node *right)
{
    const int begin = left->begin[0], end = left->end[0];
    const int32_t *order = grower->order[split->feature];
    int32_t left_rows = 0;
    for (int i = begin; i < end; i++) {
        grower->goes_right[order[i]] = i > split->last_left;
        left_rows += i > split->last_left ? 0 : grower->bag->rows[order[i]];
    }
    for (int f = 0; f < grower->base.cells->num_features; f++)
        right->begin[0] = divide(grower, grower->order[f], begin, end);
    left->end[0] = right->begin[0];
    return left_rows;
}

static void list_grow(struct vidur_grower *base, const struct vidur_bag *bag,
                      const struct vidur_tree_limits *limits, struct vidur_tree *tree)
{
    struct list_grower *grower = (struct list_grower *)base;
    const double magic = vidur_rounding_magic(limits->rounding);
    grower->bag = bag;
    int open = 0;
    base->stack[open++] = list_root(grower, limits);
    while (open > 0) {
        const struct vidur_open_node at = base->stack[--open];
        const int32_t index = tree->num_nodes;
        struct vidur_node *node = vidur_tree_add(tree, &at, magic);
        struct vidur_split split;
        if (!find_split(grower, &at, limits, &split))
            continue;
        const int32_t *order = grower->order[split.feature] + split.last_left;
        const int32_t *rank = base->cells->rank[split.feature];
        node->feature = split.feature;
        node->threshold = vidur_threshold(base->cells->values[split.feature],
                                          rank[order[0]], rank[order[1]], &node->cut);
        struct vidur_open_node *right = &base->stack[open++];
        struct vidur_open_node *left = &base->stack[open++];
        vidur_open_children(left, right, &at, &split, index);
        const int32_t left_rows = divide_node(grower, &split, left, right);
        vidur_share_out(left, right, left_rows, limits, &at, node);
    }
}

const struct vidur_grower_ops vidur_list_grower = {
    .state_size = sizeof(struct list_grower),
    .init = list_init,
    .fini = list_fini,
    .grow = list_grow,
};
