#include "samples_fixture.h"
#include "test.h"

#include <vidur/forest.h>

#include <math.h>
#include <string.h>

/* Polynomial regression: exact polynomials, scikit-learn's values, too few samples. */

static struct vidur_regression *fit(const struct vidur_samples *samples,
                                    const struct vidur_hyperparameters *parameters)
{
    struct vidur_regressor_grid grid;
    struct vidur_regression *regression = NULL;
    struct vidur_error err = {0};
    vidur_regressor_grid_defaults(&grid);
    strcpy(grid.regressor, "polynomial");
    if (vidur_regression_fit(&regression, samples, &grid, parameters, &err))
        CU_FAIL_FATAL(err.text);
    return regression;
}

static double cubic(double x)
{
    return 2 + 0.5 * x - 0.25 * x * x + 0.125 * x * x * x;
}

/* A polynomial is found again, however large the raw powers are. */
static void test_finds_the_polynomial(void)
{
    static const double scales[] = {1, 1e-3, 4096, 1e6};
    for (int s = 0; s < 4; s++)
        for (int degree = 3; degree <= 5; degree++)
            for (int how = 1; how < 4; how++) { /* bias, intercept, both */
                double x[30], y[30];
                for (int i = 0; i < 30; i++) {
                    x[i] = (i + 1) / 6.0 * scales[s];
                    y[i] = cubic(x[i] / scales[s]);
                }
                struct vidur_samples samples = samples_of(30, x, NULL, y);
                const struct vidur_hyperparameters p = {.degree = degree,
                                                        .include_bias = how & 1,
                                                        .fit_intercept = how & 2};
                struct vidur_regression *r = fit(&samples, &p);
                for (double t = 0; t < 6; t += 0.37) {
                    const double at = t * scales[s];
                    CU_ASSERT_DOUBLE_EQUAL(vidur_regression_predict(r, &at), cubic(t),
                                           1e-8);
                }
                vidur_regression_free(r);
                vidur_samples_release(&samples);
            }
}

static void test_scikit_learn_one_feature(void)
{
    const double x[] = {1, 2, 3, 5, 8, 13}, y[] = {1, 3, 2, 6, 5, 11};
    const double at[] = {0, 4, 10, 20};
    static const double expected[3][4] = {
        {0.6315789473684195, 3.6578947368421053, 8.197368421052634, 15.763157894736848},
        {1.054248388076823, 3.504506633359209, 8.043412213482778, 17.910970079555362},
        {-1.364075124810685, 4.2942422488386525, 6.44764426685919, 50.4060357889028}};
    struct vidur_samples samples = samples_of(6, x, NULL, y);
    for (int degree = 1; degree <= 3; degree++)
        for (int bias = 0; bias < 2; bias++) {
            const struct vidur_hyperparameters p = {
                .degree = degree, .include_bias = bias, .fit_intercept = true};
            struct vidur_regression *r = fit(&samples, &p);
            for (int i = 0; i < 4; i++)
                CU_ASSERT_DOUBLE_EQUAL(vidur_regression_predict(r, &at[i]),
                                       expected[degree - 1][i], 1e-9);
            vidur_regression_free(r);
        }
    vidur_samples_release(&samples);
}

static void test_scikit_learn_two_features(void)
{
    const double y[] = {0.743, 2.221, 4.489, 2.657, 4.412, 5.0,
                        1.956, 4.963, 9.491, 3.42,  7.65,  10.039};
    const double at[3][2] = {{2.5, 2}, {5, 6}, {1, 1}};
    static const struct {
        int degree;
        bool interaction_only;
        double values[3];
    } cases[] = {
        {1, true, {3.4882291666666667, 12.324729166666671, -0.04240833333333516}},
        {1, false, {3.4882291666666667, 12.324729166666671, -0.04240833333333516}},
        {2, true, {3.488229166666666, 14.914291666666674, 0.9934166666666644}},
        {2, false, {3.5158854166666664, 14.810927083333334, 0.9712916666666702}},
        {3, true, {3.488229166666666, 14.914291666666674, 0.9934166666666644}},
    };
    double x[12], z[12];
    const double second[] = {1, 3, 5};
    for (int i = 0; i < 12; i++) {
        x[i] = i / 3 + 1;
        z[i] = second[i % 3];
    }
    struct vidur_samples samples = samples_of(12, x, z, y);
    for (int c = 0; c < 5; c++) {
        const struct vidur_hyperparameters p = {.degree = cases[c].degree,
                                                .include_bias = true,
                                                .interaction_only =
                                                    cases[c].interaction_only,
                                                .fit_intercept = true};
        struct vidur_regression *r = fit(&samples, &p);
        for (int i = 0; i < 3; i++)
            CU_ASSERT_DOUBLE_EQUAL(vidur_regression_predict(r, at[i]),
                                   cases[c].values[i], 1e-9);
        vidur_regression_free(r);
    }
    vidur_samples_release(&samples);
}

/* Without bias and intercept the curve goes through the origin. */
static void test_through_the_origin(void)
{
    const double x[] = {1, 2, 3, 4}, y[] = {5, 6, 7, 8}, zero = 0;
    struct vidur_samples samples = samples_of(4, x, NULL, y);
    const struct vidur_hyperparameters p = {.degree = 2};
    struct vidur_regression *r = fit(&samples, &p);
    CU_ASSERT_EQUAL(vidur_regression_predict(r, &zero), 0);
    vidur_regression_free(r);
    vidur_samples_release(&samples);
}

/* Fewer samples than monomials, equal samples, a feature that is always 0: the samples
 * are still met where they can be. */
static void test_rank_deficient(void)
{
    const double x[] = {1, 3, 1}, y[] = {2, 4, 2}, zero[] = {0, 0, 0};
    for (int rows = 1; rows <= 3; rows++)
        for (int degree = 1; degree <= 5; degree++)
            for (int how = 1; how < 4; how++) {
                struct vidur_samples samples = samples_of(rows, x, zero, y);
                const struct vidur_hyperparameters p = {.degree = degree,
                                                        .include_bias = how & 1,
                                                        .fit_intercept = how & 2};
                struct vidur_regression *r = fit(&samples, &p);
                for (int i = 0; i < rows; i++) {
                    const double at[] = {x[i], 0};
                    CU_ASSERT_DOUBLE_EQUAL(vidur_regression_predict(r, at), y[i], 1e-9);
                }
                vidur_regression_free(r);
                vidur_samples_release(&samples);
            }
}

/* The grid search takes the degree that the samples have, and fills tables with it. */
static void test_selection(void)
{
    double x[40], y[40], ms[40];
    for (int i = 0; i < 40; i++) {
        x[i] = (i * 17) % 40 + 1; /* folds that are not ranges */
        y[i] = 1 + x[i] + 0.01 * x[i] * x[i];
    }
    struct vidur_samples samples = samples_of(40, x, NULL, y);
    struct vidur_regressor_grid grid;
    struct vidur_selection selection, other;
    struct vidur_regression *r, *s;
    vidur_regressor_grid_defaults(&grid);
    strcpy(grid.regressor, "polynomial");
    grid.threads = 1;
    CU_ASSERT_EQUAL_FATAL(
        vidur_regression_select(&r, &selection, &samples, &grid, NULL), 0);
    grid.threads = 3;
    CU_ASSERT_EQUAL_FATAL(vidur_regression_select(&s, &other, &samples, &grid, NULL),
                          0);
    CU_ASSERT_EQUAL(selection.num_candidates, 40);
    CU_ASSERT(selection.best.degree >= 2);
    CU_ASSERT(selection.cv_mape < 1e-6);
    CU_ASSERT_EQUAL(selection.cv_mape, other.cv_mape);
    for (int i = 0; i < 40; i++)
        x[i] = i * 2.5;
    const struct vidur_axes axes = {1, {x}, {40}};
    CU_ASSERT_EQUAL(vidur_regression_fill(r, &axes, 2, ms, NULL), 0);
    for (int i = 0; i < 40; i++) {
        CU_ASSERT_EQUAL(ms[i], vidur_regression_predict(r, &x[i]));
        CU_ASSERT_EQUAL(ms[i], vidur_regression_predict(s, &x[i]));
        CU_ASSERT_DOUBLE_EQUAL(ms[i], 1 + x[i] + 0.01 * x[i] * x[i], 1e-6);
    }
    vidur_regression_free(r);
    vidur_regression_free(s);
    vidur_samples_release(&samples);
}

static void test_fills_two_axes(void)
{
    static const struct samples_recipe recipe = {2, 100, {10, 10}, 0, 3};
    struct vidur_samples samples = samples_random(&recipe);
    const struct vidur_hyperparameters p = {.degree = 3, .fit_intercept = true};
    struct vidur_regression *r = fit(&samples, &p);
    const double first[] = {0, 1, 2.5}, second[] = {0, 10, 20, 1000};
    const struct vidur_axes axes = {2, {first, second}, {3, 4}};
    double ms[12];
    CU_ASSERT_EQUAL(vidur_regression_fill(r, &axes, 2, ms, NULL), 0);
    for (int i = 0; i < 12; i++) {
        const double at[] = {first[i / 4], second[i % 4]};
        CU_ASSERT_EQUAL(ms[i], vidur_regression_predict(r, at));
    }
    vidur_regression_free(r);
    vidur_samples_release(&samples);
}

VIDUR_TEST_MAIN("polynomial", {"finds the polynomial", test_finds_the_polynomial},
                {"scikit-learn, one feature", test_scikit_learn_one_feature},
                {"scikit-learn, two features", test_scikit_learn_two_features},
                {"through the origin", test_through_the_origin},
                {"rank-deficient", test_rank_deficient}, {"selection", test_selection},
                {"fills two axes", test_fills_two_axes})
