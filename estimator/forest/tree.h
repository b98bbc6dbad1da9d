#ifndef VIDUR_ESTIMATOR_TREE_H
#define VIDUR_ESTIMATOR_TREE_H

#include "forest/bag.h"

#include <vidur/error.h>

#include <stdint.h>

/*
 * One regression tree (CART): variance reduction, exact splits, all features at each.
 *
 * As scikit-learn's DecisionTreeRegressor grows it on a bootstrap sample: a node with
 * fewer distinct rows than min_samples_split, at max_depth, or whose targets are equal
 * is a leaf; thresholds lie midway between neighbouring values that occur in the node;
 * of equally good splits the first wins, the features being tried in random order.
 * Source: Breiman, Friedman, Olshen and Stone, "Classification and Regression
 * Trees", 1984.
 */

/*
 * Cells whose values are wanted (held-out ones). A tree grown for them is split only
 * where they are; to them it is the whole tree. Growing permutes `order` so that each
 * leaf's are side by side.
 */
struct vidur_wanted {
    int32_t *order;                          /* indices 0..num-1 */
    const int32_t *rank[VIDUR_MAX_FEATURES]; /* by index */
    int num;
};

/* Nodes in preorder: an inner node's left child (x <= threshold) follows it. */
struct vidur_node {
    double value;     /* mean of the node's sample, in units, rounded; see limits */
    double threshold; /* of inner nodes, as the two below */
    int32_t cut;      /* values of the feature with a rank below it go left */
    int32_t feature;
    int32_t right;    /* index of the right child; 0 in a leaf */
    int32_t num_rows; /* distinct rows of the sample */
    int32_t depth;
    int32_t begin, end; /* its wanted cells: order[begin..end) */
};

struct vidur_tree {
    struct vidur_node *nodes; /* room for 2 * num_cells - 1 */
    int num_nodes;
};

int vidur_tree_init(struct vidur_tree *tree, const struct vidur_cells *cells,
                    struct vidur_error *err);
void vidur_tree_fini(struct vidur_tree *tree);

struct vidur_tree_limits {
    int max_depth; /* the root has depth 0 */
    int min_samples_split;
    double rounding; /* values become multiples of it: a power of two, in units */
    const struct vidur_wanted *wanted; /* NULL: everything */
};

/* The rounding that makes any sum of num_trees leaf values, and any difference of four
 * such sums, exact. */
double vidur_tree_rounding(const struct vidur_cells *cells, int num_trees);

/*
 * Two ways to grow the same tree, equal to the bit. The list grower is the plain one:
 * it walks the node's cells in the order of each feature. The grid grower looks sums up
 * in summed-area tables over the lattice: a node is a rectangle of it, so a candidate
 * split costs four additions whatever the number of cells. It suits lattices that are
 * mostly full, and a single feature.
 *
 * A grower is one thread's workspace for one set of cells.
 */
struct vidur_grower;

enum vidur_grower_kind { VIDUR_GROWER_BEST, VIDUR_GROWER_LIST, VIDUR_GROWER_GRID };

int vidur_grower_create(struct vidur_grower **out, const struct vidur_cells *cells,
                        enum vidur_grower_kind kind, struct vidur_error *err);
void vidur_grower_free(struct vidur_grower *grower);

void vidur_grow(struct vidur_grower *grower, const struct vidur_bag *bag,
                const struct vidur_tree_limits *limits, struct vidur_tree *tree);

#endif
