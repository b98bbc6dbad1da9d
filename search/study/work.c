#include "study/work.h"

#include <vidur/shard.h>

#include <math.h>

/*
 * Shares of the TDP, from published measurements; data/README.md has their sources. An
 * idle GPU with a model in its memory; reading memory at its full bandwidth; computing
 * at the peak, which prompts never do: at 0.6 of it they reach the TDP.
 */
static const double idle_share = 0.15, bandwidth_share = 0.36, flops_share = 1.3;

enum { SAMPLE = 4096 };

/* Tokens that `steps` steps see that begin behind `prompt` tokens, each at most a
 * window; 0: all. */
static double seen_tokens(double prompt, double steps, double window)
{
    const double within =
        window > 0 ? fmin(fmax(window - prompt, 0), steps) : steps; /* below it */
    return within * prompt + within * (within + 1) / 2 + (steps - within) * window;
}

/* How far back a kind of layer looks; 0: to the beginning. */
static double reach_of(const struct vidur_layer_kind *kind)
{
    return kind->window_tokens > 0 ? kind->window_tokens : kind->index_tokens;
}

static double cache_bytes(const struct vidur_shard *shard, double prompt, double steps)
{
    double bytes = 0;
    for (int i = 0; i < shard->num_kinds; i++) {
        const struct vidur_shard_layers *l = &shard->layers[i];
        bytes += l->count * l->kv_bytes_per_token *
                 seen_tokens(prompt, steps, reach_of(&l->kind));
    }
    return bytes;
}

static struct vidur_shard shard_of(const struct vidur_deployment *deployment)
{
    const struct vidur_cut cut = vidur_deployment_cut(deployment);
    struct vidur_shard shard;
    vidur_shard_of(&shard, &deployment->model, &cut);
    return shard;
}

void work_of_request(const struct vidur_deployment *deployment,
                     const struct vidur_workload *workload,
                     struct work_of_request *work)
{
    const struct vidur_shard shard = shard_of(deployment);
    const struct vidur_relative_peaks peaks = vidur_device_peaks(&deployment->device);
    const int64_t count =
        workload->num_requests < SAMPLE ? workload->num_requests : SAMPLE;
    *work = (struct work_of_request){0};
    for (int64_t i = 0; i < count; i++) {
        const int64_t prompt = workload->num_prefill_tokens[i];
        const int64_t steps =
            workload->num_decode_tokens[i] > 1 ? workload->num_decode_tokens[i] - 1 : 0;
        const int64_t pairs = steps * prompt + steps * (steps + 1) / 2;
        work->prompt_flops +=
            vidur_shard_flops(&shard, &peaks, prompt, prompt * prompt);
        work->output_flops += vidur_shard_flops(&shard, &peaks, steps, pairs);
        work->cache_bytes += cache_bytes(&shard, (double)prompt, (double)steps);
    }
    if (count > 0) {
        work->prompt_flops /= (double)count;
        work->output_flops /= (double)count;
        work->cache_bytes /= (double)count;
    }
}

double work_weight_bytes(const struct vidur_deployment *deployment, double tokens)
{
    const struct vidur_shard shard = shard_of(deployment);
    const struct vidur_precision *p = &shard.precision;
    double bytes = vidur_shard_layer_bytes(&shard) +
                   vidur_shard_embedding_bytes(&shard) / shard.cut.pipeline;
    for (int i = 0; i < shard.num_kinds; i++) {
        const struct vidur_shard_layers *l = &shard.layers[i];
        if (l->kind.num_experts == 0)
            continue;
        const double untouched =
            pow(1 - (double)l->kind.experts_per_token / l->kind.num_experts,
                fmax(tokens, 0));
        bytes -= untouched * l->count * vidur_dtype_bytes(p->experts) *
                 (double)l->expert_weights;
    }
    return bytes;
}

double work_watts(double tdp_w, double busy, double flops, double bandwidth)
{
    if (!(busy > 0))
        return idle_share * tdp_w;
    const double used = (flops_share * flops + bandwidth_share * bandwidth) / busy;
    return tdp_w * ((1 - busy) * idle_share + busy * fmin(1, idle_share + used));
}

/* Seconds of a GPU at its peaks, prompts' and outputs'. */
static double input_share(const struct vidur_deployment *d,
                          const struct work_of_request *work,
                          const struct work_load *load, double mean_steps)
{
    const double peak = d->device.v1.peak_bf16_tflops * 1e12;
    const double bandwidth = d->device.v1.memory_bandwidth_gb_per_s * 1e9;
    const double together = fmax(load->mean_decode_batch_size, 1);
    const double weights = work_weight_bytes(d, together) * mean_steps / together;
    const double input_s = work->prompt_flops / peak;
    const double output_s =
        fmax(work->output_flops / peak, (weights + work->cache_bytes) / bandwidth);
    return input_s + output_s > 0 ? input_s / (input_s + output_s) : NAN;
}

static double mean_steps(const struct vidur_workload *workload)
{
    double steps = 0;
    for (int64_t i = 0; i < workload->num_requests; i++)
        steps += fmax(workload->num_decode_tokens[i] - 1, 0);
    return workload->num_requests > 0 ? steps / (double)workload->num_requests : 0;
}

void work_estimate_pool(const struct vidur_deployment *d,
                        const struct vidur_workload *workload,
                        const struct work_load *load, struct work_estimate *estimate)
{
    const double replicas = load->replicas;
    const double busy = fmin(load->busy / 100, 1);
    /* MFU is a share of what the spec calls fp16, at 2^40 a TFLOP. */
    const double flops = load->mfu / 100 * d->device.peak_fp16_tflops * 0x1p40 /
                         (d->device.v1.peak_bf16_tflops * 1e12);
    struct work_of_request work;
    work_of_request(d, workload, &work);
    const double batches_per_s = load->num_batches / replicas / load->time_s;
    const double bytes_per_s =
        batches_per_s * work_weight_bytes(d, load->mean_tokens_per_batch) +
        load->qps / replicas * work.cache_bytes;
    const double usage = bytes_per_s / (d->device.v1.memory_bandwidth_gb_per_s * 1e9);
    *estimate = (struct work_estimate){
        .input_share = input_share(d, &work, load, mean_steps(workload)),
        .bandwidth_usage = 100 * fmin(usage, 1),
        .watts_per_gpu = work_watts(d->device.tdp_w, busy, flops, fmin(usage, 1))};
}

void work_estimate(const struct vidur_deployment *d,
                   const struct vidur_workload *workload,
                   const struct vidur_probe_row *probe, struct work_estimate *estimate)
{
    const struct work_load load = {
        .replicas = (double)probe->num_replicas,
        .qps = probe->qps,
        .busy = probe->busy,
        .mfu = probe->mfu,
        .num_batches = (double)probe->num_batches,
        .mean_tokens_per_batch = probe->mean_tokens_per_batch,
        .mean_decode_batch_size = probe->mean_decode_batch_size,
        .time_s = probe->simulated_time_s};
    work_estimate_pool(d, workload, &load, estimate);
}
