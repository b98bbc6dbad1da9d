#ifndef VIDUR_ESTIMATOR_FOREST_MODEL_H
#define VIDUR_ESTIMATOR_FOREST_MODEL_H

#include "forest/regressor.h"

/*
 * A fitted forest: its trees as flat arrays of 16-byte nodes in preorder (an inner
 * node's left child, x <= threshold, follows it).
 */
struct vidur_forest_node {
    double number; /* threshold, or a leaf's value in units */
    int32_t right; /* index of the right child; 0: a leaf */
    int32_t feature;
};

struct vidur_forest {
    struct vidur_regression base;
    int num_trees;
    int max_depth; /* no tree is deeper */
    double unit_ms;
    struct vidur_forest_node **trees;
};

/* The mean of `sum` units over the trees, in ms. */
static inline double vidur_forest_mean(const struct vidur_forest *forest, double sum)
{
    return sum / forest->num_trees * forest->unit_ms;
}

/* The grid search, forest_cv.c, and its grid. */
int vidur_forest_cross_validate(const struct vidur_training *training, double *scores,
                                struct vidur_error *err);
int vidur_forest_num_candidates(const struct vidur_regressor_grid *grid);
void vidur_forest_candidate(const struct vidur_regressor_grid *grid, int index,
                            struct vidur_hyperparameters *parameters);

/* vidur_regression_fill for a forest: lattice.c. */
int vidur_lattice_fill(const struct vidur_forest *forest, const struct vidur_axes *axes,
                       int threads, double *ms, struct vidur_error *err);

#endif
