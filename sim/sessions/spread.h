#ifndef VIDUR_SIM_SPREAD_H
#define VIDUR_SIM_SPREAD_H

#include <vidur/rng.h>
#include <vidur/sessions.h>

/* Distributions of what sessions are made of. */

/* Whether anything is said of the quantity. */
bool vidur_spread_is_given(const struct vidur_spread *spread);

/* Texts are `KEY: what is wrong`. `least`: that a value may be. */
int vidur_spread_check(const struct vidur_spread *spread, const char *key, double least,
                       struct vidur_error *err);

/* A value; takes the same draws from the stream whatever the parameters. */
double vidur_spread_draw(const struct vidur_spread *spread, struct vidur_rng *rng);

/* Rounded, at least `least`, at most INT32_MAX / 4. */
int32_t vidur_spread_draw_whole(const struct vidur_spread *spread,
                                struct vidur_rng *rng, int32_t least);

#endif
