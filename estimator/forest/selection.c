#include "forest/regressor.h"

#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct vidur_regressor_ops *const regressors[] = {
    &vidur_random_forest,
    &vidur_polynomial,
};

enum { NUM_REGRESSORS = sizeof regressors / sizeof regressors[0] };

/* A table of all combinations of distinct values is worth filling up to this many per
 * sample; beyond, the samples are predicted one by one. */
enum { MAX_POINTS_PER_ROW = 64 };

void vidur_regressor_grid_defaults(struct vidur_regressor_grid *grid)
{
    *grid = (struct vidur_regressor_grid){
        .regressor = "random_forest",
        .num_estimators = {250, 500, 750},
        .num_num_estimators = 3,
        .max_depth = {8, 16, 32},
        .num_max_depth = 3,
        .min_samples_split = {2, 5, 10},
        .num_min_samples_split = 3,
        .max_degree = VIDUR_MAX_DEGREE,
        .k_fold_splits = 10,
    };
}

static const struct vidur_regressor_ops *find_regressor(const char *name,
                                                        struct vidur_error *err)
{
    for (int i = 0; i < NUM_REGRESSORS; i++)
        if (strcmp(regressors[i]->name, name) == 0)
            return regressors[i];
    vidur_fail(err, VIDUR_EINVAL,
               "regressor: \"%s\" is unknown; random_forest or polynomial", name);
    return NULL;
}

static int check_list(const char *name, const int *values, int count, int minimum,
                      struct vidur_error *err)
{
    if (count < 1 || count > VIDUR_MAX_GRID_VALUES)
        return vidur_fail(err, VIDUR_EINVAL, "%s: %d values; 1 to %d are needed", name,
                          count, VIDUR_MAX_GRID_VALUES);
    for (int i = 0; i < count; i++)
        if (values[i] < minimum || values[i] > 1 << 20)
            return vidur_fail(err, VIDUR_EINVAL, "%s: %d; at least %d, at most %d",
                              name, values[i], minimum, 1 << 20);
    return 0;
}

int vidur_regressor_grid_check(const struct vidur_regressor_grid *grid,
                               struct vidur_error *err)
{
    if (!find_regressor(grid->regressor, err) ||
        check_list("num_estimators", grid->num_estimators, grid->num_num_estimators, 1,
                   err) ||
        check_list("max_depth", grid->max_depth, grid->num_max_depth, 1, err) ||
        check_list("min_samples_split", grid->min_samples_split,
                   grid->num_min_samples_split, 2, err))
        return -1;
    if (grid->k_fold_splits < 2 || grid->k_fold_splits > VIDUR_MAX_FOLDS)
        return vidur_fail(err, VIDUR_EINVAL, "k_fold_cv_splits: %d; 2 to %d",
                          grid->k_fold_splits, VIDUR_MAX_FOLDS);
    if (grid->max_degree < 1 || grid->max_degree > VIDUR_MAX_DEGREE)
        return vidur_fail(err, VIDUR_EINVAL, "max_degree: %d; 1 to %d",
                          grid->max_degree, VIDUR_MAX_DEGREE);
    return 0;
}

double vidur_percent_error(double measured, double predicted)
{
    if (measured == 0)
        return predicted == 0 ? 0 : 100;
    return fabs(measured - predicted) / fabs(measured) * 100;
}

void vidur_hyperparameters_print(const struct vidur_hyperparameters *parameters,
                                 char *text, int size)
{
    const struct vidur_hyperparameters *p = parameters;
    if (p->num_estimators > 0)
        snprintf(text, (size_t)size,
                 "num_estimators %d, max_depth %d, min_samples_split %d",
                 p->num_estimators, p->max_depth, p->min_samples_split);
    else
        snprintf(text, (size_t)size, "degree %d%s%s%s", p->degree,
                 p->include_bias ? ", include_bias" : "",
                 p->interaction_only ? ", interaction_only" : "",
                 p->fit_intercept ? ", fit_intercept" : "");
}

/* The folds of scikit-learn's KFold: the first n % k have one row more. */
static void plan_folds(struct vidur_training *training)
{
    const int rows = training->cells->num_rows;
    const int wanted = training->grid->k_fold_splits;
    const int folds = rows < wanted ? 2 : wanted;
    training->num_folds = rows < 2 ? 0 : folds;
    for (int i = 0, begin = 0; i < training->num_folds; i++) {
        begin += rows / folds + (i < rows % folds);
        training->fold_begin[i + 1] = begin;
    }
}

static int best_candidate(const double *scores, int candidates, int folds)
{
    int best = 0;
    double least = INFINITY;
    for (int c = 0; c < candidates; c++) {
        double total = 0;
        for (int f = 0; f < folds; f++)
            total += scores[c * folds + f];
        if (total < least) {
            least = total;
            best = c;
        }
    }
    return best;
}

static int cross_validate(const struct vidur_regressor_ops *ops,
                          const struct vidur_training *training,
                          struct vidur_selection *selection, struct vidur_error *err)
{
    const int folds = training->num_folds;
    const int candidates = ops->num_candidates(training->grid);
    selection->num_candidates = candidates;
    selection->num_folds = folds;
    selection->cv_mape = NAN;
    ops->candidate(training->grid, 0, &selection->best);
    if (folds == 0)
        return 0;
    double *scores = calloc((size_t)candidates * folds, sizeof *scores);
    if (!scores)
        return vidur_fail(err, VIDUR_ENOMEM, "out of memory for cross-validation");
    const int rc = ops->cross_validate(training, scores, err);
    if (rc == 0) {
        const int best = best_candidate(scores, candidates, folds);
        ops->candidate(training->grid, best, &selection->best);
        selection->cv_mape = 0;
        for (int f = 0; f < folds; f++) {
            selection->fold_mape[f] = scores[best * folds + f];
            selection->cv_mape += selection->fold_mape[f] / folds;
        }
    }
    free(scores);
    return rc;
}

/* Keeps the worst, in descending order; of equal ones the earlier row. */
static void note_error(struct vidur_selection *selection,
                       const struct vidur_cell_error *error)
{
    int at = selection->num_worst;
    while (at > 0 && selection->worst[at - 1].percent < error->percent)
        at--;
    if (at == VIDUR_NUM_WORST_CELLS)
        return;
    const int last = selection->num_worst < VIDUR_NUM_WORST_CELLS
                         ? selection->num_worst++
                         : VIDUR_NUM_WORST_CELLS - 1;
    memmove(&selection->worst[at + 1], &selection->worst[at],
            (size_t)(last - at) * sizeof *error);
    selection->worst[at] = *error;
}

/* Predictions on all combinations of distinct values; NULL where these are too many or
 * memory is short: the samples are then predicted one by one. */
static double *predict_lattice(const struct vidur_regression *regression,
                               const struct vidur_training *training)
{
    const struct vidur_cells *cells = training->cells;
    const int64_t points = (int64_t)cells->num_values[0] * cells->num_values[1];
    const struct vidur_axes axes = {
        .num_axes = cells->num_features,
        .values = {cells->values[0], cells->values[1]},
        .count = {cells->num_values[0], cells->num_values[1]},
    };
    if (points > (int64_t)MAX_POINTS_PER_ROW * cells->num_rows)
        return NULL;
    double *ms = calloc((size_t)points, sizeof *ms);
    if (ms && vidur_regression_fill(regression, &axes, training->threads, ms, NULL)) {
        free(ms);
        return NULL;
    }
    return ms;
}

static void judge_in_sample(const struct vidur_regression *regression,
                            const struct vidur_training *training,
                            struct vidur_selection *selection)
{
    const struct vidur_cells *cells = training->cells;
    const struct vidur_samples *samples = training->samples;
    double *lattice = predict_lattice(regression, training);
    double total = 0;
    selection->num_worst = 0;
    for (int i = 0; i < cells->num_rows; i++) {
        struct vidur_cell_error error = {.measured_ms = samples->target_ms[i]};
        for (int f = 0; f < samples->num_features; f++)
            error.features[f] = samples->features[f][i];
        const int32_t cell = cells->cell_of_row[i];
        const int64_t point =
            (int64_t)cells->rank[0][cell] * cells->num_values[1] + cells->rank[1][cell];
        error.predicted_ms = lattice
                                 ? lattice[point]
                                 : vidur_regression_predict(regression, error.features);
        error.percent = vidur_percent_error(error.measured_ms, error.predicted_ms);
        total += error.percent;
        note_error(selection, &error);
    }
    selection->in_sample_mape = total / cells->num_rows;
    free(lattice);
}

static int num_threads(int wanted)
{
    return wanted > 0 ? wanted : omp_get_max_threads();
}

/* With `parameters` NULL: selects them first. The training has samples and grid. */
static int train(struct vidur_regression **out, struct vidur_selection *selection,
                 struct vidur_training training,
                 const struct vidur_hyperparameters *parameters,
                 struct vidur_error *err)
{
    const double started_s = omp_get_wtime();
    struct vidur_cells cells;
    struct vidur_selection own;
    if (vidur_regressor_grid_check(training.grid, err) ||
        vidur_cells_init(&cells, training.samples, err))
        return -1;
    const struct vidur_regressor_ops *ops =
        find_regressor(training.grid->regressor, err);
    memset(&own, 0, sizeof own);
    training.cells = &cells;
    training.threads = num_threads(training.grid->threads);
    plan_folds(&training);
    int rc = parameters ? 0 : cross_validate(ops, &training, &own, err);
    if (rc == 0)
        rc = ops->fit(out, &training, parameters ? parameters : &own.best, err);
    if (rc == 0 && selection) {
        judge_in_sample(*out, &training, &own);
        own.seconds = omp_get_wtime() - started_s;
        *selection = own;
    }
    vidur_cells_fini(&cells);
    return rc;
}

int vidur_regression_select(struct vidur_regression **out,
                            struct vidur_selection *selection,
                            const struct vidur_samples *samples,
                            const struct vidur_regressor_grid *grid,
                            struct vidur_error *err)
{
    const struct vidur_training training = {.samples = samples, .grid = grid};
    return train(out, selection, training, NULL, err);
}

int vidur_regression_fit(struct vidur_regression **out,
                         const struct vidur_samples *samples,
                         const struct vidur_regressor_grid *grid,
                         const struct vidur_hyperparameters *parameters,
                         struct vidur_error *err)
{
    const struct vidur_training training = {.samples = samples, .grid = grid};
    return train(out, NULL, training, parameters, err);
}

void vidur_regression_free(struct vidur_regression *regression)
{
    if (regression)
        regression->ops->free(regression);
}

double vidur_regression_predict(const struct vidur_regression *regression,
                                const double *features)
{
    return regression->ops->predict(regression, features);
}

int vidur_regression_fill(const struct vidur_regression *regression,
                          const struct vidur_axes *axes, int threads, double *ms,
                          struct vidur_error *err)
{
    if (axes->num_axes != regression->num_features)
        return vidur_fail(err, VIDUR_EINVAL,
                          "a table of %d axes for a regressor of %d features",
                          axes->num_axes, regression->num_features);
    return regression->ops->fill(regression, axes, num_threads(threads), ms, err);
}
