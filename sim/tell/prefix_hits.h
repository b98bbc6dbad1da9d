#ifndef VIDUR_SIM_PREFIX_HITS_H
#define VIDUR_SIM_PREFIX_HITS_H

#include "load/trace.h"

/*
 * How many of a trace's prompt blocks a store of blocks would have when the prompts
 * come one after the other: the leading blocks of each that are in the store. The store
 * keeps the `capacity` blocks that were used last; 0: all.
 */
struct vidur_prefix_hits {
    int64_t blocks; /* of all prompts */
    int64_t hits;
};

/* Fails only without memory. */
int vidur_prefix_hits_of(const struct vidur_trace *trace, int64_t capacity,
                         struct vidur_prefix_hits *out, struct vidur_error *err);

#endif
