#include "sessions/spread.h"

#include <math.h>

bool vidur_spread_is_given(const struct vidur_spread *spread)
{
    return spread->num_quantiles > 0 || spread->mean != 0;
}

int vidur_spread_check(const struct vidur_spread *spread, const char *key, double least,
                       struct vidur_error *err)
{
    const struct vidur_spread_quantile *q = spread->quantiles;
    if (spread->num_quantiles > 0 && (spread->mean != 0 || spread->cv != 0))
        return vidur_fail(err, VIDUR_EINVAL,
                          "%s: quantiles beside mean or cv; give one of them", key);
    for (int i = 1; i < spread->num_quantiles; i++)
        if (!(q[i].quantile > q[i - 1].quantile) || q[i].value < q[i - 1].value)
            return vidur_fail(err, VIDUR_EINVAL, "%s.quantiles.%d: not ascending", key,
                              i);
    const double lowest = spread->num_quantiles > 0 ? q[0].value : spread->mean;
    if (!(lowest >= least))
        return vidur_fail(err, VIDUR_EINVAL, "%s: %g; %g or more", key, lowest, least);
    if (spread->max != 0 && !(spread->max >= spread->min && spread->max >= least))
        return vidur_fail(err, VIDUR_EINVAL, "%s.max: %g; %g or more", key, spread->max,
                          fmax(spread->min, least));
    return 0;
}

static double at_quantile(const struct vidur_spread *spread, double p)
{
    const struct vidur_spread_quantile *q = spread->quantiles;
    const int last = spread->num_quantiles - 1;
    if (p <= q[0].quantile)
        return q[0].value;
    for (int i = 1; i <= last; i++)
        if (p <= q[i].quantile)
            return q[i - 1].value + (q[i].value - q[i - 1].value) *
                                        (p - q[i - 1].quantile) /
                                        (q[i].quantile - q[i - 1].quantile);
    return q[last].value;
}

/* The quantile of the standard normal: Acklam's rational approximation, to 1.2e-9. One
 * draw a value, so that a change of the parameters moves no other. */
static double normal_at(double p)
{
    static const double a[] = {-3.969683028665376e+01, 2.209460984245205e+02,
                               -2.759285104469687e+02, 1.383577518672690e+02,
                               -3.066479806614716e+01, 2.506628277459239e+00};
    static const double b[] = {-5.447609879822406e+01, 1.615858368580409e+02,
                               -1.556989798598866e+02, 6.680131188771972e+01,
                               -1.328068155288572e+01};
    static const double c[] = {-7.784894002430293e-03, -3.223964580411365e-01,
                               -2.400758277161838e+00, -2.549732539343734e+00,
                               4.374664141464968e+00,  2.938163982698783e+00};
    static const double d[] = {7.784695709041462e-03, 3.224671290700398e-01,
                               2.445134137142996e+00, 3.754408661907416e+00};
    const double tail = 0.02425;
    if (p > tail && p < 1 - tail) {
        const double q = p - 0.5, r = q * q;
        return (((((a[0] * r + a[1]) * r + a[2]) * r + a[3]) * r + a[4]) * r + a[5]) *
               q / (((((b[0] * r + b[1]) * r + b[2]) * r + b[3]) * r + b[4]) * r + 1);
    }
    const double q = sqrt(-2 * log(p < 0.5 ? p : 1 - p));
    const double x =
        (((((c[0] * q + c[1]) * q + c[2]) * q + c[3]) * q + c[4]) * q + c[5]) /
        ((((d[0] * q + d[1]) * q + d[2]) * q + d[3]) * q + 1);
    return p < 0.5 ? x : -x;
}

double vidur_spread_draw(const struct vidur_spread *spread, struct vidur_rng *rng)
{
    const double p = vidur_rng_uniform(rng) + 0x1p-54; /* never 0 */
    double value = spread->mean;
    if (spread->num_quantiles > 0) {
        value = at_quantile(spread, p);
    } else if (spread->cv > 0 && spread->mean > 0) {
        const double variance = log(1 + spread->cv * spread->cv);
        value = spread->mean * exp(sqrt(variance) * normal_at(p) - variance / 2);
    }
    value = fmax(value, spread->min);
    return spread->max > 0 ? fmin(value, spread->max) : value;
}

int32_t vidur_spread_draw_whole(const struct vidur_spread *spread,
                                struct vidur_rng *rng, int32_t least)
{
    const double value = round(vidur_spread_draw(spread, rng));
    return (int32_t)fmin(fmax(value, least), INT32_MAX / 4);
}
