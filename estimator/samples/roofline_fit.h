#ifndef VIDUR_ROOFLINE_FIT_H
#define VIDUR_ROOFLINE_FIT_H

#include <vidur/profile.h>
#include <vidur/timetable.h>

/*
 * The roofline against measured profiles: its error, and the efficiencies that make the
 * error least.
 */

/* One measured profile. The request's model, device and node point to what the caller
 * keeps; fitting changes the device and node that all cases share. */
struct vidur_roofline_case {
    struct vidur_timetable_request request;
    const struct vidur_profile *profile;
};

/* Over all samples of one operator in all cases. Percentage errors as in forest.h. */
struct vidur_roofline_error {
    int64_t rows;
    double mape;
    double median_ape;
    double median_ratio; /* roofline over measured; samples of zero left out */
};

int vidur_roofline_compare(struct vidur_roofline_error errors[VIDUR_NUM_OPERATORS],
                           const struct vidur_roofline_case *cases, int num_cases,
                           struct vidur_error *err);

/*
 * Sets the efficiencies of `device` and `node`, which the cases' requests must point
 * to, so that each class of operators has the least mean absolute percentage error:
 * GEMMs, element-wise kernels, prefill attention, decode attention, collectives. Launch
 * floors and latencies stay. A class without samples keeps its number. Values are
 * multiples of 0.01.
 */
void vidur_roofline_fit(struct vidur_device_sku *device, struct vidur_node_sku *node,
                        const struct vidur_roofline_case *cases, int num_cases);

#endif
