#include "test.h"

#include <vidur/rng.h>

#include <math.h>
#include <string.h>

/* The generator's published outputs from the state {1, 2, 3, 4}. */
static void test_xoshiro_vector(void)
{
    static const uint64_t expected[] = {
        UINT64_C(41943041),
        UINT64_C(58720359),
        UINT64_C(3588806011781223),
        UINT64_C(3591011842654386),
        UINT64_C(9228616714210784205),
        UINT64_C(9973669472204895162),
        UINT64_C(14011001112246962877),
        UINT64_C(12406186145184390807),
        UINT64_C(15849039046786891736),
        UINT64_C(10450023813501588000),
    };
    struct vidur_rng rng = {{1, 2, 3, 4}};
    for (int i = 0; i < 10; i++)
        CU_ASSERT_EQUAL(vidur_rng_next(&rng), expected[i]);
}

/* Worked out with an implementation in another language: results of old runs must not
 * change silently. */
static void test_seeding_is_pinned(void)
{
    struct vidur_rng rng;
    vidur_rng_init(&rng, 42, 7);
    CU_ASSERT_EQUAL(rng.state[0], UINT64_C(0x16062d6c1339e500));
    CU_ASSERT_EQUAL(rng.state[1], UINT64_C(0x9aa2311424083235));
    CU_ASSERT_EQUAL(rng.state[2], UINT64_C(0x17ae01fbbc52e2dd));
    CU_ASSERT_EQUAL(rng.state[3], UINT64_C(0xf63544c682b3179e));
    CU_ASSERT_EQUAL(vidur_rng_stream("arrivals", 3), UINT64_C(0x51df63faa005bcae));
}

static void test_streams_differ(void)
{
    struct vidur_rng a, b, swapped;
    vidur_rng_init(&a, 42, 7);
    vidur_rng_init(&b, 42, 7);
    CU_ASSERT_EQUAL(memcmp(&a, &b, sizeof a), 0);
    vidur_rng_init(&b, 42, 8);
    vidur_rng_init(&swapped, 7, 42);
    CU_ASSERT_NOT_EQUAL(vidur_rng_next(&a), vidur_rng_next(&b));
    vidur_rng_init(&a, 42, 7);
    CU_ASSERT_NOT_EQUAL(vidur_rng_next(&a), vidur_rng_next(&swapped));
    CU_ASSERT_NOT_EQUAL(vidur_rng_stream("tree", 1), vidur_rng_stream("tree", 2));
    CU_ASSERT_NOT_EQUAL(vidur_rng_stream("tree", 1), vidur_rng_stream("fold", 1));
}

enum { DRAWS = 200000 };

static void test_uniform(void)
{
    struct vidur_rng rng;
    double sum = 0, least = 1, most = 0;
    vidur_rng_init(&rng, 1, 1);
    for (int i = 0; i < DRAWS; i++) {
        const double u = vidur_rng_uniform(&rng);
        sum += u;
        least = fmin(least, u);
        most = fmax(most, u);
    }
    CU_ASSERT(least >= 0 && least < 1e-3);
    CU_ASSERT(most < 1 && most > 1 - 1e-3);
    /* Five standard errors of the mean of uniforms. */
    CU_ASSERT_DOUBLE_EQUAL(sum / DRAWS, 0.5, 5 * sqrt(1 / 12.0 / DRAWS));
    struct vidur_rng ones = {{UINT64_MAX, 0, 0, 0}};
    CU_ASSERT(vidur_rng_uniform(&ones) < 1.0);
}

static void test_below(void)
{
    static const uint32_t bounds[] = {1, 2, 3, 7, 10, 1000, 3000000000u, UINT32_MAX};
    struct vidur_rng rng;
    vidur_rng_init(&rng, 2, 2);
    for (size_t b = 0; b < sizeof bounds / sizeof *bounds; b++) {
        double sum = 0;
        for (int i = 0; i < DRAWS; i++) {
            const uint32_t v = vidur_rng_below(&rng, bounds[b]);
            CU_ASSERT_FATAL(v < bounds[b]);
            sum += v;
        }
        const double n = bounds[b];
        CU_ASSERT_DOUBLE_EQUAL(sum / DRAWS, (n - 1) / 2,
                               5 * sqrt((n * n - 1) / 12 / DRAWS) + 1e-12);
    }
}

/* Every value of a small range is equally likely: chi-squared with 6 degrees of freedom
 * exceeds 35 once in 200,000. */
static void test_below_is_flat(void)
{
    struct vidur_rng rng;
    int seen[7] = {0};
    double chi2 = 0;
    vidur_rng_init(&rng, 3, 3);
    for (int i = 0; i < DRAWS; i++)
        seen[vidur_rng_below(&rng, 7)]++;
    for (int i = 0; i < 7; i++)
        chi2 += (seen[i] - DRAWS / 7.0) * (seen[i] - DRAWS / 7.0) / (DRAWS / 7.0);
    CU_ASSERT(chi2 < 35);
}

struct moments {
    double mean, variance, least;
};

static struct moments moments_of(double (*draw)(struct vidur_rng *), uint64_t stream)
{
    struct vidur_rng rng;
    double sum = 0, squares = 0, least = INFINITY;
    vidur_rng_init(&rng, 4, stream);
    for (int i = 0; i < DRAWS; i++) {
        const double x = draw(&rng);
        sum += x;
        squares += x * x;
        least = fmin(least, x);
    }
    const double mean = sum / DRAWS;
    return (struct moments){mean, squares / DRAWS - mean * mean, least};
}

static double draw_gamma_third(struct vidur_rng *rng)
{
    return vidur_rng_gamma(rng, 1.0 / 3, 3.0);
}

static double draw_gamma_four(struct vidur_rng *rng)
{
    return vidur_rng_gamma(rng, 4.0, 0.5);
}

/* Variance of a sample variance: (fourth central moment - variance^2) / n. */
static void check_moments(struct moments m, double mean, double variance, double fourth)
{
    CU_ASSERT_DOUBLE_EQUAL(m.mean, mean, 5 * sqrt(variance / DRAWS));
    CU_ASSERT_DOUBLE_EQUAL(m.variance, variance,
                           5 * sqrt((fourth - variance * variance) / DRAWS));
}

static void test_exponential(void)
{
    const struct moments m = moments_of(vidur_rng_exponential, 1);
    check_moments(m, 1, 1, 9);
    CU_ASSERT(m.least >= 0);
}

static void test_normal(void)
{
    check_moments(moments_of(vidur_rng_normal, 2), 0, 1, 3);
}

/* Fourth central moment of a gamma: 3 k (k + 2) theta^4. */
static void test_gamma(void)
{
    const struct moments third = moments_of(draw_gamma_third, 3);
    const double k = 1.0 / 3;
    check_moments(third, 1, 3, 3 * k * (k + 2) * 81);
    CU_ASSERT(third.least >= 0);
    check_moments(moments_of(draw_gamma_four, 4), 2, 1, 3 * 4.0 * 6.0 * 0.0625);
}

/* Nothing but the explicit state takes part. */
static void test_distributions_repeat(void)
{
    struct vidur_rng a, b;
    vidur_rng_init(&a, 5, 5);
    b = a;
    for (int i = 0; i < 1000; i++) {
        CU_ASSERT_EQUAL(vidur_rng_gamma(&a, 0.7, 2), vidur_rng_gamma(&b, 0.7, 2));
        CU_ASSERT_EQUAL(vidur_rng_normal(&a), vidur_rng_normal(&b));
    }
    CU_ASSERT_EQUAL(memcmp(&a, &b, sizeof a), 0);
}

VIDUR_TEST_MAIN("rng", {"xoshiro256++ vector", test_xoshiro_vector},
                {"seeding is pinned", test_seeding_is_pinned},
                {"streams differ", test_streams_differ}, {"uniform", test_uniform},
                {"below", test_below}, {"below is flat", test_below_is_flat},
                {"exponential", test_exponential}, {"normal", test_normal},
                {"gamma", test_gamma},
                {"distributions repeat", test_distributions_repeat})
