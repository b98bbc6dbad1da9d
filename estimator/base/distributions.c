/* The distributions that GSL draws, over our generator: GSL sees it as a type of its
 * own whose state we hand over, so nothing is allocated and no draw is lost. */

#include <vidur/rng.h>

#include <gsl/gsl_randist.h>
#include <gsl/gsl_rng.h>

static unsigned long draw_bits(void *state)
{
    return (unsigned long)(vidur_rng_next(state) >> 32);
}

static double draw_double(void *state)
{
    return vidur_rng_uniform(state);
}

static void seed_nothing(void *state, unsigned long seed)
{
    (void)state;
    (void)seed;
}

static const gsl_rng_type adapter = {
    .name = "xoshiro256++",
    .max = 0xffffffffUL,
    .min = 0,
    .size = sizeof(struct vidur_rng),
    .set = seed_nothing,
    .get = draw_bits,
    .get_double = draw_double,
};

double vidur_rng_normal(struct vidur_rng *rng)
{
    const gsl_rng source = {&adapter, rng};
    return gsl_ran_gaussian_ziggurat(&source, 1.0);
}

double vidur_rng_gamma(struct vidur_rng *rng, double shape, double scale)
{
    const gsl_rng source = {&adapter, rng};
    return gsl_ran_gamma(&source, shape, scale);
}
