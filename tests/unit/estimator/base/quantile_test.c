#include "base/quantile.h"
#include "test.h"

#include <vidur/rng.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_SAMPLES = 3000 };

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The slow path: sort everything, then NumPy's formula as its documentation has it. */
static double sorted_quantile(const double *values, int64_t n, double q)
{
    double *copy = malloc((size_t)n * sizeof *copy);
    memcpy(copy, values, (size_t)n * sizeof *copy);
    qsort(copy, (size_t)n, sizeof *copy, by_value);
    double at = q * (double)(n - 1);
    int64_t below = (int64_t)floor(at);
    int64_t above = below + 1 < n ? below + 1 : n - 1;
    double t = at - (double)below;
    double step = copy[above] - copy[below];
    double result = t >= 0.5 ? copy[above] - step * (1 - t) : copy[below] + step * t;
    free(copy);
    return result;
}

static void fill(double *x, int64_t n, int shape, struct vidur_rng *rng)
{
    for (int64_t i = 0; i < n; i++) {
        double u = vidur_rng_uniform(rng);
        switch (shape) {
        case 0: /* random */
            x[i] = u;
            break;
        case 1: /* few distinct values */
            x[i] = floor(5 * u);
            break;
        case 2: /* sorted */
            x[i] = (double)i;
            break;
        case 3: /* falling */
            x[i] = (double)-i;
            break;
        case 4: /* organ pipe */
            x[i] = (double)(i < n / 2 ? i : n - i);
            break;
        default: /* all equal */
            x[i] = 0.1;
        }
    }
}

static void test_equals_sorting(void)
{
    static const double qs[] = {0, 0.01, 0.25, 0.5, 0.9, 0.95, 0.99, 1};
    static double x[MAX_SAMPLES];
    struct vidur_rng rng;
    vidur_rng_init(&rng, 1, 1);
    for (int64_t n = 1; n <= MAX_SAMPLES; n = n < 40 ? n + 1 : n * 3)
        for (int shape = 0; shape < 6; shape++) {
            fill(x, n, shape, &rng);
            for (size_t i = 0; i < sizeof qs / sizeof *qs; i++) {
                double expected = sorted_quantile(x, n, qs[i]);
                CU_ASSERT_EQUAL(vidur_quantile(x, n, qs[i]), expected);
            }
        }
}

/* What NumPy 1.24 gives, digit by digit. */
static void test_known_values(void)
{
    double x[] = {3, 1, 4, 1, 5, 9, 2, 6};
    struct vidur_distribution d;
    vidur_distribution_of(&d, x, 8);
    CU_ASSERT_EQUAL(d.count, 8);
    CU_ASSERT_EQUAL(d.mean, 3.875);
    CU_ASSERT_EQUAL(d.min, 1);
    CU_ASSERT_EQUAL(d.max, 9);
    CU_ASSERT_EQUAL(d.p50, 3.5);
    CU_ASSERT_EQUAL(d.p90, 6.8999999999999995);
    CU_ASSERT_EQUAL(d.p95, 7.949999999999998);
    CU_ASSERT_EQUAL(d.p99, 8.79);
}

static void test_empty_and_single(void)
{
    struct vidur_distribution d = {.count = 5, .p99 = 7};
    vidur_distribution_of(&d, NULL, 0);
    CU_ASSERT_EQUAL(d.count, 0);
    CU_ASSERT_EQUAL(d.p99, 0);
    d.p99 = 7;
    vidur_distribution_of_weighted(&d, NULL, 0);
    CU_ASSERT_EQUAL(d.p99, 0);
    double one = 0.3;
    vidur_distribution_of(&d, &one, 1);
    CU_ASSERT_EQUAL(d.count, 1);
    CU_ASSERT(d.mean == 0.3 && d.min == 0.3 && d.max == 0.3);
    CU_ASSERT(d.p50 == 0.3 && d.p90 == 0.3 && d.p95 == 0.3 && d.p99 == 0.3);
}

static void assert_same(const struct vidur_distribution *a,
                        const struct vidur_distribution *b)
{
    CU_ASSERT_EQUAL(a->count, b->count);
    CU_ASSERT_EQUAL(a->mean, b->mean);
    CU_ASSERT_EQUAL(a->min, b->min);
    CU_ASSERT_EQUAL(a->max, b->max);
    CU_ASSERT_EQUAL(a->p50, b->p50);
    CU_ASSERT_EQUAL(a->p90, b->p90);
    CU_ASSERT_EQUAL(a->p95, b->p95);
    CU_ASSERT_EQUAL(a->p99, b->p99);
}

/* All that a distribution reports, also where it looks at a part of the samples only.
 */
static void test_distribution_equals_sorting(void)
{
    static double x[MAX_SAMPLES];
    static struct vidur_weighted_value pairs[MAX_SAMPLES];
    struct vidur_rng rng;
    vidur_rng_init(&rng, 3, 1);
    for (int64_t n = 1000; n <= MAX_SAMPLES; n += n / 3)
        for (int shape = 0; shape < 6; shape++) {
            struct vidur_distribution d, weighted;
            fill(x, n, shape, &rng);
            for (int64_t i = 0; i < n; i++)
                pairs[i] = (struct vidur_weighted_value){x[i], 1};
            vidur_distribution_of_weighted(&weighted, pairs, n);
            vidur_distribution_of(&d, x, n);
            CU_ASSERT_EQUAL(d.p50, sorted_quantile(x, n, 0.5));
            CU_ASSERT_EQUAL(d.p90, sorted_quantile(x, n, 0.9));
            CU_ASSERT_EQUAL(d.p95, sorted_quantile(x, n, 0.95));
            CU_ASSERT_EQUAL(d.p99, sorted_quantile(x, n, 0.99));
            assert_same(&d, &weighted);
        }
}

/* Pairs stand for their expansion: every statistic has the same bits. */
static void test_weighted_equals_expanded(void)
{
    static double expanded[MAX_SAMPLES * 8];
    static double values[MAX_SAMPLES];
    static struct vidur_weighted_value pairs[MAX_SAMPLES];
    struct vidur_rng rng;
    vidur_rng_init(&rng, 2, 1);
    for (int64_t n = 1; n <= MAX_SAMPLES; n = n < 30 ? n + 1 : n * 2)
        for (int shape = 0; shape < 6; shape++) {
            fill(values, n, shape, &rng);
            int64_t total = 0;
            for (int64_t i = 0; i < n; i++) {
                pairs[i].value = values[i];
                pairs[i].weight = 1 + vidur_rng_below(&rng, 8);
                for (int64_t k = 0; k < pairs[i].weight; k++)
                    expanded[total++] = values[i];
            }
            struct vidur_distribution plain;
            struct vidur_distribution weighted;
            double expected = sorted_quantile(expanded, total, 0.37);
            CU_ASSERT_EQUAL(vidur_weighted_quantile(pairs, n, 0.37), expected);
            vidur_distribution_of(&plain, expanded, total);
            vidur_distribution_of_weighted(&weighted, pairs, n);
            assert_same(&plain, &weighted);
            CU_ASSERT_EQUAL(plain.p99, sorted_quantile(expanded, total, 0.99));
        }
}

static void test_sum_ignores_order_and_grouping(void)
{
    struct vidur_rng rng;
    vidur_rng_init(&rng, 3, 1);
    static double x[1000];
    struct vidur_exact_sum up = {0};
    struct vidur_exact_sum down = {0};
    for (int i = 0; i < 1000; i++) {
        x[i] = vidur_rng_exponential(&rng) * (i % 7 == 0 ? -1e6 : 1e-3);
        vidur_exact_sum_add(&up, x[i], 3);
    }
    for (int i = 1000; i-- > 0;)
        for (int k = 0; k < 3; k++)
            vidur_exact_sum_add(&down, x[i], 1);
    CU_ASSERT_EQUAL(up.whole, down.whole);
    CU_ASSERT_EQUAL(up.fraction, down.fraction);
    for (int i = 0; i < 1000; i++)
        vidur_exact_sum_add(&up, -x[i], 3);
    CU_ASSERT_EQUAL(vidur_exact_sum_value(&up), 0);
}

static void test_sum_is_exact(void)
{
    struct vidur_exact_sum sum = {0};
    vidur_exact_sum_add(&sum, 0x1p52 + 1, 1);
    vidur_exact_sum_add(&sum, 0x1p-40, 1);
    vidur_exact_sum_add(&sum, -0x1p52, 1);
    CU_ASSERT_EQUAL(vidur_exact_sum_value(&sum), 1 + 0x1p-40);
    vidur_exact_sum_add(&sum, -1e-300, 1); /* below the resolution */
    CU_ASSERT_EQUAL(vidur_exact_sum_value(&sum), 1 + 0x1p-40);
    vidur_exact_sum_add(&sum, 0.1, 1000000000);
    CU_ASSERT_DOUBLE_EQUAL(vidur_exact_sum_value(&sum), 100000001, 1e-7);
}

/* Whether in few units or in all 128 bits. */
static void test_mean_is_exact(void)
{
    static const double scales[] = {1e-9, 1e-3, 1, 1e6, 1e9, 1e15, -1};
    static double x[MAX_SAMPLES];
    struct vidur_rng rng;
    vidur_rng_init(&rng, 5, 1);
    for (size_t s = 0; s < sizeof scales / sizeof *scales; s++) {
        struct vidur_distribution plain, weighted;
        struct vidur_weighted_value pairs[MAX_SAMPLES / 3];
        struct vidur_exact_sum sum = {0};
        for (int i = 0; i < MAX_SAMPLES; i++) {
            x[i] = scales[s] * vidur_rng_exponential(&rng);
            if (i % 3)
                x[i] = x[i - 1];
            else
                pairs[i / 3] = (struct vidur_weighted_value){x[i], 3};
            vidur_exact_sum_add(&sum, x[i], 1);
        }
        const double mean = vidur_exact_sum_value(&sum) / MAX_SAMPLES;
        vidur_distribution_of(&plain, x, MAX_SAMPLES);
        vidur_distribution_of_weighted(&weighted, pairs, MAX_SAMPLES / 3);
        CU_ASSERT_EQUAL(plain.mean, mean);
        CU_ASSERT_EQUAL(weighted.mean, mean);
    }
}

/* Values too far apart for bins, and one so far out that a single bin has the rest. */
static void test_spread(void)
{
    static double x[MAX_SAMPLES];
    for (int i = 0; i < MAX_SAMPLES; i++)
        x[i] = i % 2 ? 1e308 : -1e308;
    struct vidur_distribution d;
    vidur_distribution_of(&d, x, MAX_SAMPLES);
    CU_ASSERT_EQUAL(d.p90, 1e308);
    CU_ASSERT_EQUAL(d.min, -1e308);
    for (int i = 0; i < MAX_SAMPLES; i++)
        x[i] = i == 7 ? 1e300 : i;
    vidur_distribution_of(&d, x, MAX_SAMPLES);
    CU_ASSERT_EQUAL(d.p50, MAX_SAMPLES / 2 + 0.5); /* 7 is missing below it */
    CU_ASSERT_EQUAL(d.max, 1e300);
}

VIDUR_TEST_MAIN("quantile", {"selection equals sorting", test_equals_sorting},
                {"known values", test_known_values},
                {"no sample and one", test_empty_and_single},
                {"distribution equals sorting", test_distribution_equals_sorting},
                {"weighted equals expanded", test_weighted_equals_expanded},
                {"sum ignores order and grouping", test_sum_ignores_order_and_grouping},
                {"sum is exact", test_sum_is_exact},
                {"mean is exact", test_mean_is_exact}, {"spread", test_spread})
