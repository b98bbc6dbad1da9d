#ifndef VIDUR_SIM_STAGE_METRICS_H
#define VIDUR_SIM_STAGE_METRICS_H

#include <vidur/error.h>
#include <vidur/simulator.h>

/*
 * Latencies of the requests of one stage of load, as measurements of engines tell them.
 * Source: ENGINE.md section 4.
 */
struct vidur_stage_metrics {
    int64_t num_requests; /* of the stage */
    struct vidur_distribution e2e;
    struct vidur_distribution ttft;
    /* (e2e - ttft) / (output tokens - 1), by the tokens that were asked for; of
     * requests with two and more */
    struct vidur_distribution tpot;
};

/* Of requests that have completed. `stages` is the workload's; `stage` in 0 .. count-1.
 */
int vidur_stage_metrics_of(struct vidur_stage_metrics *out,
                           const struct vidur_request_records *records,
                           const struct vidur_load_stages *stages, int stage,
                           struct vidur_error *err);

#endif
