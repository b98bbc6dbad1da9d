#ifndef VIDUR_ESTIMATOR_TREE_SPLIT_H
#define VIDUR_ESTIMATOR_TREE_SPLIT_H

#include "forest/tree.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * What the growers share: the value of a split and the table of functions that each
 * grower is. Only tree*.c include it.
 *
 * With W and S the weight and sum of a node and w, s those of its left part, a split
 * reduces the sum of squares by (s W - w S)^2 / (w (W - w) W). Two splits of a node are
 * compared by cross-multiplying numerator and denominator: no division, and exactly 0
 * for equal means, because s W and w S then round alike.
 */

struct vidur_split {
    double numerator, denominator;
    struct vidur_tally left;
    int feature;   /* -1: none found */
    int last_left; /* rank or position of the last value on the left */
};

/* Any split with something on both sides beats it, one that gains nothing included. */
#define VIDUR_SPLIT_NONE                                                               \
    (struct vidur_split)                                                               \
    {                                                                                  \
        .numerator = -1, .denominator = 1, .feature = -1                               \
    }

/* The node to grow next. */
struct vidur_open_node {
    struct vidur_tally tally;
    int32_t depth;
    uint64_t key;   /* decides which feature is tried first */
    int32_t parent; /* whose right child it is; -1: the one before it, or none */
    int32_t begin[VIDUR_MAX_FEATURES], end[VIDUR_MAX_FEATURES]; /* grower's meaning */
    int32_t wanted_begin, wanted_end; /* [0, 1) where everything is wanted */
};

struct vidur_grower_ops {
    size_t state_size;
    int (*init)(struct vidur_grower *grower, struct vidur_error *err);
    void (*fini)(struct vidur_grower *grower);
    void (*grow)(struct vidur_grower *grower, const struct vidur_bag *bag,
                 const struct vidur_tree_limits *limits, struct vidur_tree *tree);
};

/* Growers' structs start with this. */
struct vidur_grower {
    const struct vidur_grower_ops *ops;
    const struct vidur_cells *cells;
    struct vidur_open_node *stack; /* room for num_cells + 1 */
};

extern const struct vidur_grower_ops vidur_list_grower;
extern const struct vidur_grower_ops vidur_grid_grower; /* two features */
extern const struct vidur_grower_ops vidur_line_grower; /* one feature */

static inline struct vidur_tally vidur_tally_plus(struct vidur_tally a,
                                                  struct vidur_tally b)
{
    return (struct vidur_tally){a.sum + b.sum, a.weight + b.weight, a.rows + b.rows};
}

static inline struct vidur_tally vidur_tally_minus(struct vidur_tally a,
                                                   struct vidur_tally b)
{
    return (struct vidur_tally){a.sum - b.sum, a.weight - b.weight, a.rows - b.rows};
}

static inline double vidur_split_numerator(struct vidur_tally left,
                                           struct vidur_tally node)
{
    const double weight = left.weight;
    const double t = left.sum * node.weight - weight * node.sum;
    return t * t;
}

static inline double vidur_split_denominator(struct vidur_tally left,
                                             struct vidur_tally node)
{
    const double weight = left.weight, node_weight = node.weight;
    return weight * (node_weight - weight);
}

static inline bool vidur_split_better(const struct vidur_split *best,
                                      struct vidur_tally left, struct vidur_tally node)
{
    return vidur_split_numerator(left, node) * best->denominator >
           best->numerator * vidur_split_denominator(left, node);
}

static inline void vidur_split_take(struct vidur_split *best, struct vidur_tally left,
                                    struct vidur_tally node)
{
    best->numerator = vidur_split_numerator(left, node);
    best->denominator = vidur_split_denominator(left, node);
    best->left = left;
}

/* Takes the split with this left part if it is better. */
static inline bool vidur_split_offer(struct vidur_split *best, struct vidur_tally left,
                                     struct vidur_tally node)
{
    const bool better = vidur_split_better(best, left, node);
    if (better)
        vidur_split_take(best, left, node);
    return better;
}

/* Which feature a node tries first: a coin thrown anew in each node. It depends on the
 * path from the root alone, so that a tree is the same whatever its limits. */
static inline int vidur_first_feature(uint64_t key)
{
    return (int)(key >> 63);
}

static inline uint64_t vidur_left_key(uint64_t key)
{
    return key * UINT64_C(0xd1342543de82ef95) + 1;
}

static inline uint64_t vidur_right_key(uint64_t key)
{
    return key * UINT64_C(0xaf251af3b0f025b5) + 1;
}

/* Midway between two neighbouring values; `cut` is the number of values up to it. */
static inline double vidur_threshold(const double *values, int last_left,
                                     int first_right, int32_t *cut)
{
    const double low = values[last_left], high = values[first_right];
    double middle = low / 2 + high / 2;
    if (!(middle < high))
        middle = low;
    int count = last_left + 1;
    while (count < first_right && values[count] <= middle)
        count++;
    *cut = count;
    return middle;
}

/* The root; begin[] and end[] are the grower's. */
static inline void vidur_open_root(struct vidur_open_node *root,
                                   const struct vidur_bag *bag,
                                   const struct vidur_tree_limits *limits)
{
    root->depth = 0;
    root->key = bag->key;
    root->parent = -1;
    root->wanted_begin = 0;
    root->wanted_end = limits->wanted ? limits->wanted->num : 1;
}

/* Whether a node may be split at all. */
static inline bool vidur_may_split(const struct vidur_open_node *node,
                                   const struct vidur_tree_limits *limits)
{
    return node->depth < limits->max_depth && node->tally.rows >= 2 &&
           node->tally.rows >= limits->min_samples_split &&
           node->wanted_begin < node->wanted_end;
}

/* Brings the node's wanted cells below the cut to the front; returns where the others
 * begin. */
static inline int32_t vidur_divide_wanted(const struct vidur_tree_limits *limits,
                                          const struct vidur_open_node *at,
                                          const struct vidur_node *node)
{
    int32_t *order = limits->wanted->order, middle = at->wanted_begin;
    const int32_t *rank = limits->wanted->rank[node->feature];
    for (int32_t i = at->wanted_begin; i < at->wanted_end; i++) {
        const int32_t index = order[i];
        order[i] = order[middle];
        order[middle] = index;
        middle += rank[index] < node->cut;
    }
    return middle;
}

/* The two parts of a node that was given its cut; right is below left on the stack. The
 * grower sets right->parent and what differs in begin[] and end[]. */
static inline void vidur_open_children(struct vidur_open_node *left,
                                       const struct vidur_open_node *at,
                                       const struct vidur_node *node,
                                       const struct vidur_split *split,
                                       const struct vidur_tree_limits *limits)
{
    struct vidur_open_node *right = left - 1;
    *left = *right = *at;
    left->tally = split->left;
    right->tally = vidur_tally_minus(at->tally, split->left);
    left->depth = right->depth = at->depth + 1;
    left->key = vidur_left_key(at->key);
    right->key = vidur_right_key(at->key);
    left->parent = -1;
    if (limits->wanted)
        left->wanted_end = right->wanted_begin = vidur_divide_wanted(limits, at, node);
}

/* Adds the node as a leaf, which it stays unless it is split. */
static inline struct vidur_node *vidur_tree_add(struct vidur_tree *tree,
                                                const struct vidur_open_node *open,
                                                double magic)
{
    struct vidur_node *node = &tree->nodes[tree->num_nodes];
    if (open->parent >= 0)
        tree->nodes[open->parent].right = tree->num_nodes;
    tree->num_nodes++;
    /* Adding and taking away 1.5 * 2^52 roundings leaves a multiple of it. */
    node->value = (open->tally.sum / open->tally.weight + magic) - magic;
    node->right = 0;
    node->num_rows = open->tally.rows;
    node->depth = open->depth;
    node->begin = open->wanted_begin;
    node->end = open->wanted_end;
    return node;
}

static inline double vidur_rounding_magic(double rounding)
{
    return rounding * 0x1.8p52;
}

#endif
