#include "samples_fixture.h"
#include "test.h"

#include <vidur/forest.h>

#include <math.h>
#include <stdlib.h>

/* Filling a table by leaves equals predicting its cells one by one, to the bit. */

enum { MOST_POINTS = 64 * 64 };

static void grid_of(struct vidur_regressor_grid *grid, uint64_t seed)
{
    vidur_regressor_grid_defaults(grid);
    grid->seed = seed;
}

static void check_fill(const struct vidur_regression *regression,
                       const struct vidur_axes *axes)
{
    static double ms[MOST_POINTS];
    const int64_t rows = axes->count[0],
                  columns = axes->num_axes == 2 ? axes->count[1] : 1;
    for (int threads = 0; threads <= 3; threads++) {
        for (int64_t i = 0; i < rows * columns; i++)
            ms[i] = NAN;
        CU_ASSERT_EQUAL(vidur_regression_fill(regression, axes, threads, ms, NULL), 0);
        for (int64_t i = 0; i < rows; i++)
            for (int64_t j = 0; j < columns; j++) {
                const double point[] = {axes->values[0][i],
                                        axes->num_axes == 2 ? axes->values[1][j] : 0};
                const double one = vidur_regression_predict(regression, point);
                CU_ASSERT_EQUAL(ms[i * columns + j], one);
            }
    }
}

/* 64 ascending points from `first`. */
static void make_axis(double *values, double first, double step, bool square)
{
    for (int i = 0; i < 64; i++) {
        const double value = first + i * step;
        values[i] = square ? value * value : value;
    }
}

static void check_one_feature(const struct vidur_regression *regression)
{
    /* inside, off the samples' values, beyond both ends, and single points */
    static const double axes_tried[][2] = {{1, 1}, {-20.3, 0.7}, {0, 100}, {500, 1}};
    double values[64];
    for (int i = 0; i < 4; i++) {
        make_axis(values, axes_tried[i][0], axes_tried[i][1], false);
        for (int count = 1; count <= 64; count += 21) {
            const struct vidur_axes axes = {1, {values}, {count}};
            check_fill(regression, &axes);
        }
    }
}

static void check_two_features(const struct vidur_regression *regression)
{
    static const double axes_tried[][2] = {{1, 1}, {-20.3, 0.7}, {0, 100}};
    double first[64], second[64];
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++) {
            make_axis(first, axes_tried[i][0], axes_tried[i][1], false);
            make_axis(second, fabs(axes_tried[j][0]), axes_tried[j][1], true);
            const struct vidur_axes all = {2, {first, second}, {64, 64}};
            const struct vidur_axes row = {2, {first, second}, {1, 64}};
            const struct vidur_axes column = {2, {first, second}, {64, 1}};
            check_fill(regression, &all);
            check_fill(regression, &row);
            check_fill(regression, &column);
        }
}

static void test_tables_equal_predictions(void)
{
    static const struct samples_recipe recipes[] = {
        {1, 1, {1, 0}, 0, 1},    {1, 2, {9, 0}, 0, 2},     {1, 300, {250, 0}, 0, 3},
        {1, 300, {10, 0}, 4, 4}, {2, 300, {12, 20}, 0, 5}, {2, 300, {60, 60}, 0, 6},
        {2, 300, {6, 6}, 2, 7},  {2, 100, {1, 40}, 0, 8},  {2, 100, {40, 1}, 0, 9},
    };
    static const struct vidur_hyperparameters fitted[] = {
        {.num_estimators = 1, .max_depth = 1, .min_samples_split = 2},
        {.num_estimators = 33, .max_depth = 32, .min_samples_split = 2},
        {.num_estimators = 20, .max_depth = 3, .min_samples_split = 5}};
    for (size_t r = 0; r < sizeof recipes / sizeof recipes[0]; r++) {
        struct vidur_samples samples = samples_random(&recipes[r]);
        for (int p = 0; p < 3; p++) {
            struct vidur_regressor_grid grid;
            struct vidur_regression *regression;
            grid_of(&grid, r);
            CU_ASSERT_EQUAL_FATAL(
                vidur_regression_fit(&regression, &samples, &grid, &fitted[p], NULL),
                0);
            if (samples.num_features == 1)
                check_one_feature(regression);
            else
                check_two_features(regression);
            vidur_regression_free(regression);
        }
        vidur_samples_release(&samples);
    }
}

/* Targets that span many orders of magnitude, as attention's do: small cells must not
 * feel the large ones. */
static void test_small_cells_beside_large_ones(void)
{
    double x[40], z[40], y[40];
    for (int i = 0; i < 40; i++) {
        x[i] = i % 8;
        z[i] = i / 8;
        y[i] = 0.005 * pow(10, z[i]) + 1e-4 * x[i];
    }
    struct vidur_samples samples = samples_of(40, x, z, y);
    struct vidur_regressor_grid grid;
    struct vidur_regression *regression;
    const struct vidur_hyperparameters p = {
        .num_estimators = 750, .max_depth = 32, .min_samples_split = 2};
    grid_of(&grid, 1);
    CU_ASSERT_EQUAL(vidur_regression_fit(&regression, &samples, &grid, &p, NULL), 0);
    check_two_features(regression);
    vidur_regression_free(regression);
    vidur_samples_release(&samples);
}

static void test_empty_and_mismatched_axes(void)
{
    static const struct samples_recipe recipe = {2, 50, {6, 6}, 0, 10};
    struct vidur_samples samples = samples_random(&recipe);
    struct vidur_regressor_grid grid;
    struct vidur_regression *regression;
    struct vidur_error err = {0};
    const struct vidur_hyperparameters p = {
        .num_estimators = 5, .max_depth = 8, .min_samples_split = 2};
    double values[1] = {1}, ms[1] = {-1};
    grid_of(&grid, 1);
    CU_ASSERT_EQUAL(vidur_regression_fit(&regression, &samples, &grid, &p, NULL), 0);
    const struct vidur_axes none = {2, {values, values}, {1, 0}};
    CU_ASSERT_EQUAL(vidur_regression_fill(regression, &none, 1, ms, NULL), 0);
    CU_ASSERT_EQUAL(ms[0], -1);
    const struct vidur_axes one = {1, {values, NULL}, {1, 0}};
    CU_ASSERT_EQUAL(vidur_regression_fill(regression, &one, 1, ms, &err), -1);
    CU_ASSERT_EQUAL(err.code, VIDUR_EINVAL);
    vidur_regression_free(regression);
    vidur_samples_release(&samples);
}

VIDUR_TEST_MAIN("lattice", {"tables equal predictions", test_tables_equal_predictions},
                {"small cells beside large ones", test_small_cells_beside_large_ones},
                {"empty and mismatched axes", test_empty_and_mismatched_axes})
