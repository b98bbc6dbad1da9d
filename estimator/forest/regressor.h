#ifndef VIDUR_ESTIMATOR_REGRESSOR_H
#define VIDUR_ESTIMATOR_REGRESSOR_H

#include "forest/cells.h"

#include <vidur/error.h>
#include <vidur/forest.h>

/*
 * The room estimator/forest. Regressors from samples to a dense lattice of times, and
 * the choice among them. Pure: equal samples and seeds give equal bits on any number
 * of threads. Public in forest.h.
 */

/*
 * A regressor is a table of functions. selection.c knows the folds, the scoring and the
 * choice; regressors know their grid and how to fit.
 */

/* What is fitted to; shared by all folds and threads. */
struct vidur_training {
    const struct vidur_samples *samples;
    const struct vidur_cells *cells;
    const struct vidur_regressor_grid *grid;
    int threads; /* >= 1 */
    int num_folds;
    int fold_begin[VIDUR_MAX_FOLDS +
                   1]; /* rows [begin[i], begin[i + 1]) are held out */
};

struct vidur_regressor_ops {
    const char *name;
    int (*num_candidates)(const struct vidur_regressor_grid *grid);
    /* The grid points in the reference's order: the last key varies fastest. */
    void (*candidate)(const struct vidur_regressor_grid *grid, int index,
                      struct vidur_hyperparameters *parameters);
    /* Mean absolute percentage error, scores[candidate * num_folds + fold]. */
    int (*cross_validate)(const struct vidur_training *training, double *scores,
                          struct vidur_error *err);
    int (*fit)(struct vidur_regression **out, const struct vidur_training *training,
               const struct vidur_hyperparameters *parameters, struct vidur_error *err);
    double (*predict)(const struct vidur_regression *regression,
                      const double *features);
    int (*fill)(const struct vidur_regression *regression,
                const struct vidur_axes *axes, int threads, double *ms,
                struct vidur_error *err);
    void (*free)(struct vidur_regression *regression);
};

/* What fit makes starts with this. */
struct vidur_regression {
    const struct vidur_regressor_ops *ops;
    int num_features;
};

extern const struct vidur_regressor_ops vidur_random_forest;
extern const struct vidur_regressor_ops vidur_polynomial;

/* Of one prediction, in percent; a target of zero counts 0 if predicted 0, else 100. */
double vidur_percent_error(double measured, double predicted);

#endif
