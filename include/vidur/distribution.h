#ifndef VIDUR_DISTRIBUTION_H
#define VIDUR_DISTRIBUTION_H

#include <stdint.h>

/* Statistics of samples, in their unit. The quantiles interpolate linearly between
 * order statistics, as NumPy's and pandas' do by default. */
struct vidur_distribution {
    int64_t count;
    double mean, min, max; /* 0 when count is 0 */
    double p50, p90, p95, p99;
};

#endif
