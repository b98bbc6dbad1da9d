#ifndef VIDUR_BASE_QUANTILE_H
#define VIDUR_BASE_QUANTILE_H

#include <vidur/distribution.h>

#include <stdint.h>

/*
 * Exact statistics of samples: quantiles by selection, not by sorting, and sums that do
 * not depend on the order in which samples came.
 *
 * A quantile interpolates linearly between order statistics: over n sorted samples
 * x[0..n-1] it is x at the position q * (n - 1), the default of NumPy and pandas, and
 * equal to theirs to the bit. Samples must not be NaN. Pure functions: thread-safe.
 */

/* `weight` equal samples of one value. */
struct vidur_weighted_value {
    double value;
    int64_t weight; /* at least 1 */
};

/* A sum of value * weight in fixed point (64 bits of integer part, 64 of fraction):
 * the same bits whatever the order and whether k equal samples came as one or as k.
 * Exact for values of at least 2^-11; smaller ones are cut at 2^-64. |sum| < 2^63.
 * Start with all zeros. */
struct vidur_exact_sum {
    uint64_t fraction;
    int64_t whole;
};

void vidur_exact_sum_add(struct vidur_exact_sum *sum, double value, int64_t weight);
double vidur_exact_sum_value(const struct vidur_exact_sum *sum);

/* The q-quantile, q in [0, 1], of n >= 1 samples, which it reorders. Expected time
 * O(n). The weighted one stands for each value repeated `weight` times and gives the
 * same bits as the plain one over that longer list. */
double vidur_quantile(double *values, int64_t n, double q);
double vidur_weighted_quantile(struct vidur_weighted_value *values, int64_t n,
                               double q);

/* Fills every member; all zero when n is 0. Reorders the samples. */
void vidur_distribution_of(struct vidur_distribution *out, double *values, int64_t n);
void vidur_distribution_of_weighted(struct vidur_distribution *out,
                                    struct vidur_weighted_value *values, int64_t n);

#endif
