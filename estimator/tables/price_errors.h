#ifndef VIDUR_PRICE_ERRORS_H
#define VIDUR_PRICE_ERRORS_H

#include "tables/kernel_rows.h"

/*
 * How far the roofline is from timings of a device's kernels, by class of operators and
 * format: of what is fitted (price_fit.h), and of what the roofline prices beside it.
 */

/* The roofline over a class's rows of one format, each counting once. */
struct vidur_fit_error {
    enum vidur_fit_class class;
    enum vidur_dtype dtype; /* bf16 where formats play no part */
    int rows, small_rows;   /* small: at most 256 tokens, as in steps of decodes */
    double median, p90;     /* of |log(predicted / timed)| */
    double median_ratio;    /* predicted / timed */
    double small_median, small_ratio; /* the same of the small; NaN: there are none */
};

enum { VIDUR_MAX_FIT_ERRORS = VIDUR_NUM_KERNEL_CLASSES * VIDUR_NUM_DTYPES };

/* By class, then format; classes and formats that the tables do not time are not
 * there. */
struct vidur_fit_errors {
    struct vidur_fit_error at[VIDUR_MAX_FIT_ERRORS];
    int count;
};

/* The errors of the device's constants as they are, and of the engine's as they are by
 * default. The tables may lack all but those that every model needs. */
int vidur_engine_roofline_errors(struct vidur_fit_errors *errors,
                                 const struct vidur_device_sku *device,
                                 const struct vidur_node_sku *node,
                                 struct vidur_kernels *kernels,
                                 struct vidur_error *err);

#endif
