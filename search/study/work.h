#ifndef VIDUR_SEARCH_WORK_H
#define VIDUR_SEARCH_WORK_H

#include <vidur/deployment.h>
#include <vidur/results.h>
#include <vidur/workload.h>

/*
 * What a workload asks of a GPU at its peaks: FLOPs and bytes of prompts and of
 * outputs. From these follow how a deployment's cost falls to either, and an estimate
 * of what its GPUs draw. Pure functions; CONTRACT.md, "Costs and energy".
 */

/* Of a mean request on one device of a replica; FLOPs by what they cost where bf16
 * costs 1. */
struct work_of_request {
    double prompt_flops, output_flops;
    double cache_bytes; /* of the KV cache, read by the steps that make the output */
};

/* Means over the first 4,096 requests. The first output token is the prompt's work. */
void work_of_request(const struct vidur_deployment *deployment,
                     const struct vidur_workload *workload,
                     struct work_of_request *work);

/* Bytes of weights that a batch of so many tokens reads on a device: of the experts
 * those that evenly routed tokens touch. */
double work_weight_bytes(const struct vidur_deployment *deployment, double tokens);

struct work_estimate {
    double input_share;     /* of the GPUs' time: prompts' */
    double bandwidth_usage; /* percent */
    double watts_per_gpu;   /* NaN: no TDP known */
};

/* What a pool of equal replicas was at: of one pool, a probe's columns. */
struct work_load {
    double replicas;
    double qps;       /* whose outputs it makes */
    double busy, mfu; /* percent */
    double num_batches, mean_tokens_per_batch, mean_decode_batch_size;
    double time_s;
};
void work_estimate_pool(const struct vidur_deployment *deployment,
                        const struct vidur_workload *workload,
                        const struct work_load *load, struct work_estimate *estimate);

/* Of a deployment under the load of a probe. */
void work_estimate(const struct vidur_deployment *deployment,
                   const struct vidur_workload *workload,
                   const struct vidur_probe_row *probe, struct work_estimate *estimate);

/* A GPU's power: idle while nothing runs on it, else that plus what its shares of the
 * peak FLOP/s and of the bandwidth draw, at most its TDP. Shares are means over all of
 * the time, `busy` included, from 0 to 1. */
double work_watts(double tdp_w, double busy, double flops, double bandwidth);

#endif
