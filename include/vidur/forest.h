#ifndef VIDUR_FOREST_H
#define VIDUR_FOREST_H

#include <vidur/error.h>
#include <vidur/profile.h>

#include <stdbool.h>
#include <stdint.h>

/*
 * Regressors: from samples of one operator to its time anywhere.
 *
 * A regressor is selected by cross-validation over a grid of hyperparameters and then
 * fitted to all samples. The same samples, grid and seed give the same bits on any
 * number of threads.
 * Source: SIMULATOR.md section 7; Breiman, "Random forests", Machine Learning 45, 2001;
 * scikit-learn's RandomForestRegressor, KFold and GridSearchCV for the conventions.
 *
 * Precision. Random forests work on targets rounded to 2^-b of the largest one, b = 52
 * - log2(rows) (40 for 4,096 rows), and on leaf values rounded to 2^-(50 - log2(trees))
 * of it (40 for 750 trees). Every sum over samples and over trees is then exact in a
 * double, so that it does not depend on the order, and the table-filling path equals
 * the cell by cell one to the bit.
 */

enum { VIDUR_MAX_FOLDS = 64, VIDUR_MAX_DEGREE = 5, VIDUR_NUM_WORST_CELLS = 5 };

/* The grid that is searched, and how. Lists hold num_* values >= 1. */
struct vidur_regressor_grid {
    char regressor[24]; /* "random_forest" or "polynomial" */
    int num_estimators[VIDUR_MAX_GRID_VALUES];
    int num_num_estimators;
    int max_depth[VIDUR_MAX_GRID_VALUES];
    int num_max_depth;
    int min_samples_split[VIDUR_MAX_GRID_VALUES]; /* each >= 2 */
    int num_min_samples_split;
    int max_degree;    /* polynomial: degrees 1..max_degree */
    int k_fold_splits; /* 2 when there are fewer rows */
    uint64_t seed;     /* of the bootstrap samples */
    int threads;       /* 0: as OpenMP decides */
};

/* The reference's grid: forest, {250, 500, 750} x {8, 16, 32} x {2, 5, 10}, 10 folds.
 */
void vidur_regressor_grid_defaults(struct vidur_regressor_grid *grid);
int vidur_regressor_grid_check(const struct vidur_regressor_grid *grid,
                               struct vidur_error *err);

/* One grid point. The members of the other regressor are 0. */
struct vidur_hyperparameters {
    int num_estimators;
    int max_depth;
    int min_samples_split;
    int degree;
    bool include_bias;
    bool interaction_only;
    bool fit_intercept;
};

struct vidur_cell_error {
    double features[VIDUR_MAX_FEATURES];
    double measured_ms;
    double predicted_ms;
    double percent;
};

/* How the selection went. Errors are mean absolute percentage errors, in percent; a
 * target of zero counts 0 if predicted 0, else 100. */
struct vidur_selection {
    struct vidur_hyperparameters best; /* the first in grid order, when several tie */
    int num_candidates;
    int num_folds;
    double cv_mape;                    /* mean over the folds */
    double fold_mape[VIDUR_MAX_FOLDS]; /* of the best */
    double in_sample_mape;             /* after the refit on all rows */
    struct vidur_cell_error worst[VIDUR_NUM_WORST_CELLS]; /* in sample, worst first */
    int num_worst;
    double seconds; /* wall time of selection and refit */
};

/* "num_estimators 250, max_depth 8, min_samples_split 2" or the polynomial's. */
void vidur_hyperparameters_print(const struct vidur_hyperparameters *parameters,
                                 char *text, int size);

/* A fitted regressor: immutable, shared by threads. */
struct vidur_regression;

/*
 * Cross-validates every grid point (k folds in file order, without shuffling: the first
 * num_rows % k folds have one row more), takes the one with the least mean error, and
 * refits it on all rows. One row is fitted without cross-validation (cv_mape NaN).
 * OpenMP-parallel. `selection` may be NULL. Free with vidur_regression_free.
 */
int vidur_regression_select(struct vidur_regression **out,
                            struct vidur_selection *selection,
                            const struct vidur_samples *samples,
                            const struct vidur_regressor_grid *grid,
                            struct vidur_error *err);

/* Fits one grid point to all rows; the grid gives regressor, seed and threads. */
int vidur_regression_fit(struct vidur_regression **out,
                         const struct vidur_samples *samples,
                         const struct vidur_regressor_grid *grid,
                         const struct vidur_hyperparameters *parameters,
                         struct vidur_error *err);

void vidur_regression_free(struct vidur_regression *regression);

/* The time at one point, as many features as the samples had; ms, never negative for
 * a forest. Cell by cell: the reference that tables are tested against. */
double vidur_regression_predict(const struct vidur_regression *regression,
                                const double *features);

/* Points of a table: the product of one or two ascending axes. */
struct vidur_axes {
    int num_axes;
    const double *values[VIDUR_MAX_FEATURES];
    int64_t count[VIDUR_MAX_FEATURES];
};

/* Fills ms[i] or, row-major, ms[i * count[1] + j], equal to predict() at every point
 * (to the bit for forests). OpenMP-parallel; threads 0: as OpenMP decides. */
int vidur_regression_fill(const struct vidur_regression *regression,
                          const struct vidur_axes *axes, int threads, double *ms,
                          struct vidur_error *err);

#endif
