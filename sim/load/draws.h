#ifndef VIDUR_SIM_DRAWS_H
#define VIDUR_SIM_DRAWS_H

#include <vidur/rng.h>

#include <stddef.h>

/*
 * The room sim/load. What arrives: lengths, arrivals, traces, shared prefixes, closed
 * loops. A workload follows from its configuration and seed alone. Public in
 * workload.h and shared_prefix.h.
 */

/*
 * Where a workload's random numbers come from: a stream of its own, or a Mersenne
 * Twister that it may share with others, as the reference's streams are shared
 * (SIMULATOR.md section 2). Belongs to one thread.
 */
struct vidur_draws {
    struct vidur_rng own;
    struct vidur_mt19937 *reference; /* not NULL: draw from it instead */
};

/* Uniform in [0, 1), a multiple of 2^-53. */
static inline double vidur_draws_uniform(struct vidur_draws *draws)
{
    return draws->reference ? vidur_mt19937_uniform(draws->reference)
                            : vidur_rng_uniform(&draws->own);
}

#endif
