#ifndef VIDUR_TEST_SAMPLES_FIXTURE_H
#define VIDUR_TEST_SAMPLES_FIXTURE_H

#include <vidur/profile.h>

/* Samples for tests of the regressors; release with vidur_samples_release. Functions
 * that make them abort the test program when they cannot. */

/* A copy of these columns; `second` is NULL for one feature. */
struct vidur_samples samples_of(int num_rows, const double *first, const double *second,
                                const double *target_ms);

/* What samples_random makes. */
struct samples_recipe {
    int num_features;
    int num_rows;
    int values[2];    /* distinct values of each feature, at most */
    int target_steps; /* targets are multiples of 1 / this; 0: any */
    uint64_t seed;
};

/* Rows in random order, features drawn from irregularly spaced values, so that cells
 * repeat and are missing; targets grow with the features, with noise. */
struct vidur_samples samples_random(const struct samples_recipe *recipe);

#endif
