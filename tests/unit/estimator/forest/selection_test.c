#include "forest/regressor.h"

#include "samples_fixture.h"
#include "test.h"

#include <vidur/forest.h>

#include <math.h>
#include <string.h>

/* Folds, scores and the choice among grid points. */

static void test_percent_error(void)
{
    CU_ASSERT_EQUAL(vidur_percent_error(2, 2), 0);
    CU_ASSERT_EQUAL(vidur_percent_error(2, 3), 50);
    CU_ASSERT_EQUAL(vidur_percent_error(2, 0), 100);
    CU_ASSERT_EQUAL(vidur_percent_error(-2, 2), 200);
    CU_ASSERT_EQUAL(vidur_percent_error(0, 0), 0);
    CU_ASSERT_EQUAL(vidur_percent_error(0, 1e-9), 100);
    CU_ASSERT_EQUAL(vidur_percent_error(0, 50), 100);
}

static void one_tree(struct vidur_regressor_grid *grid, int folds)
{
    vidur_regressor_grid_defaults(grid);
    grid->num_estimators[0] = 1;
    grid->max_depth[0] = 1;
    grid->min_samples_split[0] = 1 << 20; /* never: a tree is its sample's mean */
    grid->num_num_estimators = grid->num_max_depth = grid->num_min_samples_split = 1;
    grid->k_fold_splits = folds;
}

/*
 * Which rows are in which fold shows when all targets of the others are equal: the
 * forest then predicts that value whatever it draws. Row r's target is 1 except in one
 * fold's rows, where it is 2: that fold's error is 50, the others' are below 100.
 */
static void check_fold(int rows, int folds, int fold, int begin, int end)
{
    double x[32], y[32];
    for (int i = 0; i < rows; i++) {
        x[i] = i;
        y[i] = i >= begin && i < end ? 2 : 1;
    }
    struct vidur_samples samples = samples_of(rows, x, NULL, y);
    struct vidur_regressor_grid grid;
    struct vidur_selection selection;
    struct vidur_regression *regression;
    one_tree(&grid, folds);
    CU_ASSERT_EQUAL_FATAL(
        vidur_regression_select(&regression, &selection, &samples, &grid, NULL), 0);
    CU_ASSERT_EQUAL(selection.fold_mape[fold], 50);
    vidur_regression_free(regression);
    vidur_samples_release(&samples);
}

/* As scikit-learn's KFold without shuffling: the first n % k folds have one more. */
static void test_folds(void)
{
    static const int starts_10_of_23[] = {0, 3, 6, 9, 11, 13, 15, 17, 19, 21, 23};
    static const int starts_4_of_12[] = {0, 3, 6, 9, 12};
    static const int starts_2_of_9[] = {0, 5,
                                        9}; /* fewer rows than the 10 folds wanted */
    for (int f = 0; f < 10; f++)
        check_fold(23, 10, f, starts_10_of_23[f], starts_10_of_23[f + 1]);
    for (int f = 0; f < 4; f++)
        check_fold(12, 4, f, starts_4_of_12[f], starts_4_of_12[f + 1]);
    for (int f = 0; f < 2; f++)
        check_fold(9, 10, f, starts_2_of_9[f], starts_2_of_9[f + 1]);
}

static void test_number_of_folds(void)
{
    for (int rows = 1; rows <= 24; rows++) {
        double x[24];
        for (int i = 0; i < rows; i++)
            x[i] = i + 1;
        struct vidur_samples samples = samples_of(rows, x, NULL, x);
        struct vidur_regressor_grid grid;
        struct vidur_selection selection;
        struct vidur_regression *regression;
        one_tree(&grid, 10);
        CU_ASSERT_EQUAL_FATAL(
            vidur_regression_select(&regression, &selection, &samples, &grid, NULL), 0);
        CU_ASSERT_EQUAL(selection.num_folds, rows == 1 ? 0 : rows < 10 ? 2 : 10);
        double mean = 0;
        for (int f = 0; f < selection.num_folds; f++)
            mean += selection.fold_mape[f] / selection.num_folds;
        CU_ASSERT(rows == 1 ? isnan(selection.cv_mape) : selection.cv_mape == mean);
        vidur_regression_free(regression);
        vidur_samples_release(&samples);
    }
}

/* Zero targets: predicted 0 they are right, else wholly wrong. */
static void test_zero_targets(void)
{
    double x[20], y[20];
    for (int i = 0; i < 20; i++) {
        x[i] = i;
        y[i] = i < 10 ? 0 : 1;
    }
    struct vidur_samples samples = samples_of(20, x, NULL, y);
    struct vidur_regressor_grid grid;
    struct vidur_selection selection;
    struct vidur_regression *regression;
    vidur_regressor_grid_defaults(&grid);
    grid.k_fold_splits = 2;
    CU_ASSERT_EQUAL_FATAL(
        vidur_regression_select(&regression, &selection, &samples, &grid, NULL), 0);
    CU_ASSERT_EQUAL(selection.fold_mape[0], 100); /* zeros, predicted 1 */
    CU_ASSERT_EQUAL(selection.fold_mape[1], 100); /* ones, predicted 0 */
    vidur_regression_free(regression);
    vidur_samples_release(&samples);
}

/* All grid points tie on constant targets: the first in the grid's order is taken. */
static void test_ties_take_the_first(void)
{
    const double x[] = {1, 2, 3, 4, 5, 6}, y[] = {1, 1, 1, 1, 1, 1};
    struct vidur_samples samples = samples_of(6, x, NULL, y);
    struct vidur_regressor_grid grid;
    struct vidur_selection selection;
    struct vidur_regression *regression;
    vidur_regressor_grid_defaults(&grid);
    CU_ASSERT_EQUAL_FATAL(
        vidur_regression_select(&regression, &selection, &samples, &grid, NULL), 0);
    CU_ASSERT_EQUAL(selection.num_candidates, 27);
    CU_ASSERT_EQUAL(selection.best.num_estimators, 250);
    CU_ASSERT_EQUAL(selection.best.max_depth, 8);
    CU_ASSERT_EQUAL(selection.best.min_samples_split, 2);
    vidur_regression_free(regression);
    strcpy(grid.regressor, "polynomial");
    CU_ASSERT_EQUAL_FATAL(
        vidur_regression_select(&regression, &selection, &samples, &grid, NULL), 0);
    CU_ASSERT_EQUAL(selection.num_candidates, 40);
    CU_ASSERT_EQUAL(selection.best.num_estimators, 0);
    CU_ASSERT(selection.best.degree >= 1);
    vidur_regression_free(regression);
    vidur_samples_release(&samples);
}

/* A step in the middle is better met by deeper trees: the choice is not the first. */
static void test_takes_the_best(void)
{
    static const struct samples_recipe recipe = {1, 200, {150, 0}, 0, 3};
    struct vidur_samples samples = samples_random(&recipe);
    struct vidur_regressor_grid grid;
    struct vidur_selection chosen;
    struct vidur_regression *regression;
    vidur_regressor_grid_defaults(&grid);
    grid.max_depth[0] = 1;
    CU_ASSERT_EQUAL_FATAL(
        vidur_regression_select(&regression, &chosen, &samples, &grid, NULL), 0);
    vidur_regression_free(regression);
    CU_ASSERT(chosen.best.max_depth > 1);
    grid.num_max_depth = 1;
    struct vidur_selection shallow;
    CU_ASSERT_EQUAL_FATAL(
        vidur_regression_select(&regression, &shallow, &samples, &grid, NULL), 0);
    CU_ASSERT(shallow.cv_mape > chosen.cv_mape);
    vidur_regression_free(regression);
    vidur_samples_release(&samples);
}

static void test_worst_cells(void)
{
    static const struct samples_recipe recipe = {2, 100, {10, 10}, 0, 4};
    struct vidur_samples samples = samples_random(&recipe);
    struct vidur_regressor_grid grid;
    struct vidur_selection s;
    struct vidur_regression *regression;
    vidur_regressor_grid_defaults(&grid);
    CU_ASSERT_EQUAL_FATAL(
        vidur_regression_select(&regression, &s, &samples, &grid, NULL), 0);
    double total = 0, worst = 0;
    for (int64_t i = 0; i < samples.num_rows; i++) {
        const double point[] = {samples.features[0][i], samples.features[1][i]};
        const double percent = vidur_percent_error(
            samples.target_ms[i], vidur_regression_predict(regression, point));
        total += percent;
        worst = fmax(worst, percent);
    }
    CU_ASSERT_DOUBLE_EQUAL(s.in_sample_mape, total / 100, 1e-12 * total);
    CU_ASSERT_EQUAL(s.num_worst, VIDUR_NUM_WORST_CELLS);
    CU_ASSERT_EQUAL(s.worst[0].percent, worst);
    for (int i = 0; i < s.num_worst; i++) {
        const struct vidur_cell_error *cell = &s.worst[i];
        CU_ASSERT(i == 0 || cell->percent <= s.worst[i - 1].percent);
        CU_ASSERT_EQUAL(cell->percent,
                        vidur_percent_error(cell->measured_ms, cell->predicted_ms));
        CU_ASSERT_EQUAL(cell->predicted_ms,
                        vidur_regression_predict(regression, cell->features));
    }
    CU_ASSERT(s.seconds > 0);
    vidur_regression_free(regression);
    vidur_samples_release(&samples);
}

static void test_prints_hyperparameters(void)
{
    const struct vidur_hyperparameters forest = {
        .num_estimators = 250, .max_depth = 8, .min_samples_split = 2};
    const struct vidur_hyperparameters curve = {
        .degree = 3, .interaction_only = true, .fit_intercept = true};
    char text[128];
    vidur_hyperparameters_print(&forest, text, sizeof text);
    CU_ASSERT_STRING_EQUAL(text,
                           "num_estimators 250, max_depth 8, min_samples_split 2");
    vidur_hyperparameters_print(&curve, text, sizeof text);
    CU_ASSERT_STRING_EQUAL(text, "degree 3, interaction_only, fit_intercept");
    vidur_hyperparameters_print(&curve, text, 7);
    CU_ASSERT_STRING_EQUAL(text, "degree");
}

/* ---- Grids that cannot be ---- */

static void assert_bad(const struct vidur_regressor_grid *grid, const char *message)
{
    const double x[] = {1, 2, 3};
    struct vidur_samples samples = samples_of(3, x, NULL, x);
    struct vidur_regression *regression;
    struct vidur_error err = {0};
    CU_ASSERT_EQUAL(vidur_regressor_grid_check(grid, &err), -1);
    CU_ASSERT_EQUAL(err.code, VIDUR_EINVAL);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, message));
    CU_ASSERT_EQUAL(vidur_regression_select(&regression, NULL, &samples, grid, NULL),
                    -1);
    vidur_samples_release(&samples);
}

static void test_bad_grids(void)
{
    struct vidur_regressor_grid good, grid;
    vidur_regressor_grid_defaults(&good);
    CU_ASSERT_EQUAL(vidur_regressor_grid_check(&good, NULL), 0);
    grid = good;
    strcpy(grid.regressor, "forest");
    assert_bad(&grid, "\"forest\" is unknown; random_forest or polynomial");
    grid = good;
    grid.num_estimators[1] = 0;
    assert_bad(&grid, "num_estimators: 0");
    grid = good;
    grid.max_depth[2] = -1;
    assert_bad(&grid, "max_depth: -1");
    grid = good;
    grid.min_samples_split[0] = 1;
    assert_bad(&grid, "min_samples_split: 1");
    grid = good;
    grid.num_max_depth = 0;
    assert_bad(&grid, "max_depth: 0 values");
    grid = good;
    grid.num_num_estimators = VIDUR_MAX_GRID_VALUES + 1;
    assert_bad(&grid, "num_estimators: 17 values");
    grid = good;
    grid.k_fold_splits = 1;
    assert_bad(&grid, "k_fold_cv_splits: 1");
    grid = good;
    grid.max_degree = 6;
    assert_bad(&grid, "max_degree: 6");
}

VIDUR_TEST_MAIN("selection", {"percent error", test_percent_error},
                {"folds", test_folds}, {"number of folds", test_number_of_folds},
                {"zero targets", test_zero_targets},
                {"ties take the first", test_ties_take_the_first},
                {"takes the best", test_takes_the_best},
                {"worst cells", test_worst_cells},
                {"prints hyperparameters", test_prints_hyperparameters},
                {"bad grids", test_bad_grids})
