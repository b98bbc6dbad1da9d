#ifndef VIDUR_SIM_OBJECTIVES_H
#define VIDUR_SIM_OBJECTIVES_H

#include "drive/run.h"

/*
 * What a run comes to request by request: objectives on several latencies at once or on
 * a class of traffic, goodput, and the classes apart.
 */

/* Of a request that never got as far as the latency needs, in a run that has ended:
 * whether it is too late. It is where it waits for ever, or has waited too long. */
bool vidur_request_is_late(const struct vidur_run *run, enum vidur_latency latency,
                           double limit_s, int64_t request);

/* The quantile of any objective but one on gaps; NaN where nothing was measured.
 * `scratch`: [num_requests]. */
double vidur_objective_value(const struct vidur_run *run, const struct vidur_slo *slo,
                             double *scratch);

/* goodput_per_s, slo_missed and the classes; simulated_time_s is known. */
void vidur_fill_objectives(const struct vidur_run *run, double *scratch,
                           struct vidur_metrics *metrics);

#endif
