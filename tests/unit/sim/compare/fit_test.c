#include "test.h"

#include "compare/fit.h"

#include <math.h>
#include <string.h>

enum { NUM_POINTS = 20 };

/* a * exp(-b * t) + c, known at 20 points; and a ripple over it. */
struct curve {
    double a, b, c;
    double ripple;
    int calls, fails_at;
};

static double curve_at(const double *p, double t)
{
    return p[0] * exp(-p[1] * t) + p[2];
}

static int distances(void *context, const double *p, double *residuals,
                     struct vidur_error *err)
{
    struct curve *curve = context;
    const double truth[] = {curve->a, curve->b, curve->c};
    if (++curve->calls == curve->fails_at)
        return vidur_fail(err, VIDUR_EINTR, "stopped");
    for (int i = 0; i < NUM_POINTS; i++) {
        const double t = 0.25 * i;
        residuals[i] = curve_at(p, t) / curve_at(truth, t) - 1 +
                       curve->ripple * sin(1e4 * (p[0] + p[1] * t));
    }
    return 0;
}

static const struct vidur_fit_problem three = {.num_parameters = 3,
                                               .num_residuals = NUM_POINTS,
                                               .residuals = distances,
                                               .difference = 1e-6,
                                               .tolerance = 1e-10,
                                               .max_iterations = 100};

static void test_finds_a_known_curve(void)
{
    struct curve curve = {.a = 5, .b = 0.75, .c = 2};
    struct vidur_fit_problem problem = three;
    struct vidur_fit_result result;
    double p[] = {1, 0.1, 1};
    problem.context = &curve;
    CU_ASSERT_EQUAL_FATAL(vidur_fit(&problem, p, &result, NULL), 0);
    CU_ASSERT_DOUBLE_EQUAL(p[0], 5, 1e-6);
    CU_ASSERT_DOUBLE_EQUAL(p[1], 0.75, 1e-6);
    CU_ASSERT_DOUBLE_EQUAL(p[2], 2, 1e-6);
    CU_ASSERT_TRUE(result.converged);
    CU_ASSERT_TRUE(result.rms_before > 0.1);
    CU_ASSERT_TRUE(result.rms < 1e-8);
    CU_ASSERT_EQUAL(result.num_evaluations, curve.calls);
}

/* Differences wider than the ripple see the slope beneath it. */
static void test_noise(void)
{
    struct curve curve = {.a = 5, .b = 0.75, .c = 2, .ripple = 1e-3};
    struct vidur_fit_problem problem = three;
    struct vidur_fit_result result;
    double p[] = {4, 0.6, 1.5};
    problem.context = &curve;
    problem.difference = 0.05;
    problem.tolerance = 1e-3;
    CU_ASSERT_EQUAL_FATAL(vidur_fit(&problem, p, &result, NULL), 0);
    CU_ASSERT_DOUBLE_EQUAL(p[0], 5, 0.05);
    CU_ASSERT_DOUBLE_EQUAL(p[1], 0.75, 0.02);
    CU_ASSERT_DOUBLE_EQUAL(p[2], 2, 0.02);
    CU_ASSERT_TRUE(result.rms < 2e-3);
}

/* What is returned is never worse than the start. */
static void test_few_iterations(void)
{
    struct curve curve = {.a = 5, .b = 0.75, .c = 2};
    struct vidur_fit_problem problem = three;
    struct vidur_fit_result result;
    double p[] = {1, 0.1, 1};
    problem.context = &curve;
    problem.max_iterations = 1;
    CU_ASSERT_EQUAL_FATAL(vidur_fit(&problem, p, &result, NULL), 0);
    CU_ASSERT_FALSE(result.converged);
    CU_ASSERT_TRUE(result.rms < result.rms_before);
}

static void test_failures(void)
{
    struct vidur_error err = {0};
    struct vidur_fit_problem problem = three;
    struct vidur_fit_result result;
    for (int at = 1; at < 8; at += 3) {
        struct curve curve = {.a = 5, .b = 0.75, .c = 2, .fails_at = at};
        double p[] = {1, 0.1, 1};
        problem.context = &curve;
        CU_ASSERT_EQUAL(vidur_fit(&problem, p, &result, &err), -1);
        CU_ASSERT_EQUAL(err.code, VIDUR_EINTR);
        CU_ASSERT_EQUAL(curve.calls, at);
    }
    struct curve curve = {.a = 5, .b = 0.75, .c = 2};
    double nan[] = {NAN, 0.1, 1};
    problem.context = &curve;
    CU_ASSERT_EQUAL(vidur_fit(&problem, nan, &result, &err), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "not finite"));
    double p[] = {1, 0.1, 1};
    problem.num_residuals = 2;
    CU_ASSERT_EQUAL(vidur_fit(&problem, p, &result, &err), -1);
    CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "3 parameters from 2 residuals"));
}

VIDUR_TEST_MAIN("fit", {"a known curve", test_finds_a_known_curve},
                {"noise", test_noise}, {"few iterations", test_few_iterations},
                {"failures", test_failures})
