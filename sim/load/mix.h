#ifndef VIDUR_SIM_MIX_H
#define VIDUR_SIM_MIX_H

#include "load/lengths.h"

/*
 * Several classes of traffic in one load: arrivals as of any workload, and each request
 * of a class that is drawn by the shares. Classes and lengths have random numbers of
 * their own, so neither depends on the rate, nor a class's lengths on how often others
 * come.
 */
struct vidur_mix {
    int count;
    double up_to[VIDUR_MAX_CLASSES]; /* sums of shares, the last 1 */
    struct vidur_rng draws;
    struct vidur_lengths lengths[VIDUR_MAX_CLASSES];
};

/* What vidur_workload_config_check checks of a mix: texts start with `workload.`. */
int vidur_mix_check(const struct vidur_workload_config *config,
                    struct vidur_error *err);

/* `config` outlives the mix. NULL and *err: a file cannot be read, or no memory. */
struct vidur_mix *vidur_mix_open(const struct vidur_workload_config *config,
                                 struct vidur_error *err);
void vidur_mix_close(struct vidur_mix *mix); /* takes NULL */

/* The next request's class and tokens. */
int vidur_mix_draw(struct vidur_mix *mix, uint8_t *class_of,
                   struct vidur_tokens *tokens, struct vidur_error *err);

#endif
