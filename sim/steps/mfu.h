#ifndef VIDUR_SIM_MFU_H
#define VIDUR_SIM_MFU_H

#include <vidur/deployment.h>

/*
 * Model FLOPs of batches and their share of the device's peak; SIMULATOR.md section 6.
 */

/* Floating-point operations of one device of a stage for `tokens` tokens whose sum of
 * t * (t + n) over the batch's requests is `attention`. */
double vidur_stage_flops(const struct vidur_deployment *deployment, int64_t tokens,
                         int64_t attention);

/* Percent of the device's peak over `time_s`; 0 for no time. */
double vidur_mfu_percent(const struct vidur_deployment *deployment, double flops,
                         double time_s);

#endif
