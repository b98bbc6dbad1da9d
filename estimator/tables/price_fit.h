#ifndef VIDUR_PRICE_FIT_H
#define VIDUR_PRICE_FIT_H

#include "tables/kernels.h"

#include <vidur/sku.h>

#include <stdbool.h>

/*
 * The constants of a device's `engine_roofline`, fitted on timings of its kernels. What
 * is compared with the timings is what prices an engine's step (price.h), so that fit
 * and use cannot differ.
 *
 * Rows: those that an engine runs (of products, n and k from 512 up; of prompts, heads
 * of 128 without a window, bf16), one an octave of tokens (message bytes) and shape, of
 * several kernels the fastest. Error of a row: |log(predicted / timed)|; of an octave
 * the median over its rows; the mean over octaves is made least, so that the few large
 * sizes weigh as much as the many small ones.
 *
 * Of products those of the sizes that layers have (n k from 2^20 to 2^28) are weighted
 * by the square root of n k, because the larger take more of a step, and others hardly
 * count; octaves of 8 to 256 tokens, where busy engines decode, count three times; and
 * an octave's error is the root of the mean square of min(error, 0.3). All-reduces, of
 * which there are a few an octave, count by their mean error.
 *
 * A grid of fixed points, then a pattern search from its best: nothing is drawn at
 * random, equal tables give equal constants. A constant has three significant digits.
 */

/* Replaces `device->engine`: formats that the tables do not time get none, fitted_on
 * names the tables' folders. all_reduce_skew_us stays: in these tables ranks do not
 * wait for each other; so do experts' constants where there is no table of experts.
 * The link's share is of `node`'s bandwidth. A missing table that
 * every model needs is an error. */
int vidur_engine_roofline_fit(struct vidur_device_sku *device,
                              const struct vidur_node_sku *node,
                              struct vidur_kernels *kernels, struct vidur_error *err);

/* ---- The search, for tests ---- */

enum { VIDUR_MAX_FIT_CONSTANTS = 4 };

/* A constant between two bounds above 0; the grid has `steps` points, at equal
 * ratios. */
struct vidur_fit_range {
    double low, high;
    int steps;
};

/* Makes loss(context, constants) least over `count` constants. Deterministic. */
void vidur_fit_search(double *constants, const struct vidur_fit_range *ranges,
                      int count, double (*loss)(void *context, const double *constants),
                      void *context);

#endif
