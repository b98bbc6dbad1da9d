#include "space/rates.h"

#include <vidur/shard.h>

#include <math.h>

/*
 * Estimates, good for choosing the splits that are simulated and for nothing else: a
 * roofline of whole passes at a fixed share of the peaks. What counts is the ratio of
 * the two pools' rates.
 */
static const double compute_share = 0.5, bandwidth_share = 0.7;
static const double launch_s_per_layer = 20e-6;

int rates_lengths(const struct vidur_workload_config *config, struct rates_lengths *out,
                  struct vidur_error *err)
{
    struct vidur_workload *workload;
    double prompt = 0, output = 0;
    if (vidur_workload_create(&workload, config, err) != 0)
        return -1;
    for (int64_t i = 0; i < workload->num_requests; i++) {
        prompt += workload->num_prefill_tokens[i];
        output += workload->num_decode_tokens[i];
    }
    *out = (struct rates_lengths){prompt / (double)workload->num_requests,
                                  output / (double)workload->num_requests};
    vidur_workload_destroy(workload);
    return 0;
}

/* One device of a stage, on average. */
struct device_work {
    struct vidur_shard shard;
    double weight_s; /* to read its weights once */
    double kv_s;     /* to read a token's cache */
    double flop_s;   /* of one operation that costs what bf16's do */
};

static struct device_work work_of(const struct vidur_deployment *d)
{
    const struct vidur_cut cut = vidur_deployment_cut(d);
    const double bytes_per_s =
        bandwidth_share * d->device.memory_bandwidth_gb_per_s * 1e9;
    struct device_work work;
    vidur_shard_of(&work.shard, &d->model, &cut);
    work.weight_s = vidur_shard_layer_bytes(&work.shard) / bytes_per_s;
    work.kv_s = vidur_shard_kv_bytes_per_token(&work.shard) / bytes_per_s;
    work.flop_s = 1 / (compute_share * d->device.peak_fp16_tflops * 1e12);
    return work;
}

double rates_prompts(const struct vidur_deployment *d,
                     const struct rates_lengths *lengths)
{
    const struct device_work work = work_of(d);
    const struct vidur_relative_peaks peaks = vidur_device_peaks(&d->device);
    const int64_t tokens = (int64_t)lengths->prompt + 1;
    const double flops =
        vidur_shard_flops(&work.shard, &peaks, tokens, tokens * tokens / 2);
    const double passes =
        ceil((double)tokens / (double)d->scheduler.max_num_batched_tokens);
    return 1 / fmax(flops * work.flop_s, passes * work.weight_s);
}

double rates_token_limit_s(const struct vidur_slo_list *slos)
{
    double limit_s = INFINITY;
    for (int i = 0; i < slos->count; i++) {
        const struct vidur_slo *slo = &slos->slos[i];
        if (slo->metric == VIDUR_LATENCY_tpot || slo->metric == VIDUR_LATENCY_tbt)
            limit_s = fmin(limit_s, slo->limit_s);
        if (slo->parts_s[VIDUR_LATENCY_tpot] > 0)
            limit_s = fmin(limit_s, slo->parts_s[VIDUR_LATENCY_tpot]);
    }
    return limit_s;
}

double rates_outputs(const struct vidur_deployment *d, int64_t num_blocks,
                     const struct rates_lengths *lengths, double limit_s)
{
    const struct device_work work = work_of(d);
    const double context = lengths->prompt + lengths->output / 2;
    const double fixed_s = work.weight_s + launch_s_per_layer * d->model.num_layers /
                                               d->num_pipeline_stages;
    const double stages = d->num_pipeline_stages;
    double at_once = (double)num_blocks * d->scheduler.block_size / context;
    at_once = fmin(at_once, vidur_deployment_batch_cap(d)) / stages; /* of a stage */
    const double by_limit = (limit_s / stages - fixed_s) / (work.kv_s * context);
    at_once = fmax(1, fmin(at_once, by_limit));
    return at_once / (fixed_s + at_once * work.kv_s * context) / lengths->output;
}

double rates_requests(const struct vidur_deployment *d, int64_t num_blocks,
                      const struct rates_lengths *lengths, double limit_s)
{
    return 1 / (1 / rates_prompts(d, lengths) +
                1 / rates_outputs(d, num_blocks, lengths, limit_s));
}
