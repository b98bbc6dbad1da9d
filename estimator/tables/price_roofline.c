#include "tables/price.h"

#include <math.h>

/* The roofline of ENGINE.md section 7: the slower of moving the bytes and of computing,
 * at the shares of the peaks that the device's kernels reach, and a launch. */

static const double latent_cache_efficiency = 0.8;
static const double latent_launch_us = 20;
enum { LATENT_GEMMS = 6, MOST_TIMED_DEVICES = 8 };

/* The format whose constants stand in for a format that has none; else bf16's do. */
static const enum vidur_dtype relatives[VIDUR_NUM_DTYPES] = {
    [VIDUR_DTYPE_bf16] = VIDUR_DTYPE_bf16,
    [VIDUR_DTYPE_fp8] = VIDUR_DTYPE_fp8_block,
    [VIDUR_DTYPE_fp8_block] = VIDUR_DTYPE_fp8,
    [VIDUR_DTYPE_int8] = VIDUR_DTYPE_fp8,
    [VIDUR_DTYPE_int4] = VIDUR_DTYPE_mxfp4,
    [VIDUR_DTYPE_nvfp4] = VIDUR_DTYPE_mxfp4,
    [VIDUR_DTYPE_mxfp4] = VIDUR_DTYPE_int4};

static const struct vidur_gemm_roofline *gemm_of(const struct vidur_device_sku *device,
                                                 enum vidur_dtype dtype)
{
    const struct vidur_gemm_roofline *gemm = device->engine.gemm;
    if (dtype == VIDUR_DTYPE_fp8_block && gemm[VIDUR_DTYPE_fp8].memory > 0)
        dtype = VIDUR_DTYPE_fp8; /* blocks cost no more */
    if (gemm[dtype].memory > 0)
        return &gemm[dtype];
    if (gemm[relatives[dtype]].memory > 0)
        return &gemm[relatives[dtype]];
    return &gemm[VIDUR_DTYPE_bf16];
}

static const struct vidur_expert_roofline *
experts_of(const struct vidur_device_sku *device, enum vidur_dtype dtype)
{
    const struct vidur_expert_roofline *experts = device->engine.experts;
    if (dtype == VIDUR_DTYPE_fp8 && experts[VIDUR_DTYPE_fp8_block].memory > 0)
        dtype = VIDUR_DTYPE_fp8_block;
    if (experts[dtype].memory > 0)
        return &experts[dtype];
    if (experts[relatives[dtype]].memory > 0)
        return &experts[relatives[dtype]];
    for (int i = 0; i < VIDUR_NUM_DTYPES; i++) /* bf16 is the first */
        if (experts[i].memory > 0)
            return &experts[i];
    return &experts[dtype];
}

/* Formats that the device has no units for are widened. */
static double peak_of(const struct vidur_pricer *pricer, enum vidur_dtype dtype)
{
    return pricer->peak_flops[vidur_dtype_peak(dtype)];
}

static double gemm_ms(const struct vidur_pricer *pricer, const struct vidur_work *work,
                      double tokens)
{
    const struct vidur_gemm_roofline *e = gemm_of(pricer->device, work->dtype);
    const double memory_s =
        vidur_work_bytes(work, tokens) / (e->memory * pricer->bandwidth_bytes_per_s);
    const double compute_s =
        vidur_work_flops(work, tokens) / (e->compute * peak_of(pricer, work->dtype));
    return fmax(memory_s, compute_s) * 1e3 + e->launch_us * 1e-3;
}

static double experts_ms(const struct vidur_pricer *pricer,
                         const struct vidur_work *work, double tokens)
{
    const struct vidur_expert_roofline *e = experts_of(pricer->device, work->dtype);
    const double memory_s =
        vidur_work_bytes(work, tokens) / (e->memory * pricer->bandwidth_bytes_per_s);
    const double compute_s =
        vidur_work_flops(work, tokens) / (e->compute * peak_of(pricer, work->dtype));
    const double pairs = tokens * work->experts_per_token / work->moe_expert;
    return fmax(memory_s, compute_s) * 1e3 + e->launch_us * 1e-3 +
           e->token_ns * 1e-6 * pairs;
}

/* Devices that share a message; `within`: those of the replica that they are among,
 * which lie side by side. */
struct ring {
    int devices, within;
};

/* Bytes/s of the slowest link in a ring. */
static double ring_bandwidth(const struct vidur_pricer *pricer, const struct ring *ring)
{
    const struct vidur_node_sku *node = pricer->node;
    double gb_per_s = node->link_bandwidth_gb_per_s;
    if (ring->within > node->devices_per_node)
        gb_per_s = node->inter_node_bandwidth_gb_per_s;
    else if (node->pairwise && ring->within > 2)
        gb_per_s = node->fallback_bandwidth_gb_per_s;
    /* Groups were timed up to so many; no group has more than the link. */
    const double doublings = log2(fmin(ring->devices, MOST_TIMED_DEVICES) / 2);
    const double share = pricer->device->engine.all_reduce.link *
                         pow(pricer->device->engine.all_reduce.doubling, doublings);
    return fmin(share, 1) * gb_per_s * 1e9;
}

/* `ways`: how often the bytes go round; an all-reduce scatters sums and gathers them.
 */
static double message_ms(const struct vidur_pricer *pricer, const struct ring *ring,
                         int ways, double bytes)
{
    const struct vidur_engine_roofline *e = &pricer->device->engine;
    const double n = ring->devices;
    return e->all_reduce.latency_us * (1 + e->all_reduce.growth * (n - 2)) * 1e-3 +
           ways * (n - 1) / n * bytes / ring_bandwidth(pricer, ring) * 1e3;
}

static double all_reduce_ms(const struct vidur_pricer *pricer,
                            const struct vidur_work *work, double tokens)
{
    const struct ring ring = {pricer->devices, pricer->devices};
    return message_ms(pricer, &ring, 2, vidur_work_bytes(work, tokens));
}

/* Between ranks: the latency of an all-reduce, and half of its traffic. */
static double gathering_ms(const struct vidur_pricer *pricer,
                           const struct vidur_work *work, double tokens)
{
    const struct ring ring = {pricer->ranks, pricer->ranks * pricer->devices};
    return message_ms(pricer, &ring, 1, vidur_work_bytes(work, tokens));
}

double vidur_roofline_work_ms(const struct vidur_pricer *pricer,
                              const struct vidur_work *work, double tokens)
{
    switch (work->law) {
    case VIDUR_LAW_GEMM:
        return gemm_ms(pricer, work, tokens);
    case VIDUR_LAW_EXPERTS:
        return experts_ms(pricer, work, tokens);
    case VIDUR_LAW_ALL_GATHER:
    case VIDUR_LAW_REDUCE_SCATTER:
        return gathering_ms(pricer, work, tokens);
    default:
        return all_reduce_ms(pricer, work, tokens);
    }
}

/* ---- Attention ---- */

/* Pairs of query and key that `tokens` tokens of `dims` values a head meet: half of
 * all, or twice a window's width for each. */
static double prompt_ms(const struct vidur_pricer *pricer, double heads, double dims,
                        double tokens, int window)
{
    const struct vidur_engine_roofline *e = &pricer->device->engine;
    const double seen = window > 0 ? fmin(tokens, 2.0 * window) : tokens;
    const double flops = heads * dims * tokens * seen;
    return flops / (e->prefill.compute * pricer->peak_flops[VIDUR_PEAK_bf16]) * 1e3;
}

/* The projections as one product of all their weights. */
static double projections_ms(const struct vidur_pricer *pricer,
                             const struct vidur_shard *shard,
                             const struct vidur_shard_layers *layers, double tokens)
{
    const enum vidur_dtype dtype = shard->precision.attention;
    const struct vidur_gemm_roofline *e = gemm_of(pricer->device, dtype);
    const double weights = (double)layers->attention_weights;
    const double memory_s = weights * vidur_dtype_bytes(dtype) /
                            (e->memory * pricer->bandwidth_bytes_per_s);
    const double compute_s =
        2 * tokens * weights / (e->compute * peak_of(pricer, dtype));
    return fmax(memory_s, compute_s) * 1e3 + LATENT_GEMMS * e->launch_us * 1e-3;
}

double vidur_roofline_prompt_ms(const struct vidur_pricer *pricer,
                                const struct vidur_shard *shard,
                                const struct vidur_shard_layers *layers, double tokens)
{
    const struct vidur_layer_kind *k = &layers->kind;
    if (k->attention == VIDUR_ATTENTION_MLA)
        return projections_ms(pricer, shard, layers, tokens) +
               prompt_ms(pricer, layers->q_heads,
                         k->nope_head_dim + k->rope_head_dim + k->v_head_dim, tokens,
                         0) +
               latent_launch_us * 1e-3;
    return prompt_ms(pricer, layers->q_heads, 2.0 * k->head_dim, tokens,
                     k->window_tokens) +
           pricer->device->engine.prefill.launch_us * 1e-3;
}

double vidur_roofline_row_ms(const struct vidur_pricer *pricer,
                             const struct vidur_shard_layers *layers, double tokens)
{
    return pricer->constants.t0_us * 1e-3 +
           tokens * layers->kv_bytes_per_token /
               (pricer->constants.eta * pricer->bandwidth_bytes_per_s) * 1e3;
}

double vidur_roofline_latent_ms(const struct vidur_pricer *pricer,
                                const struct vidur_shard *shard,
                                const struct vidur_shard_layers *layers, double rows,
                                double context)
{
    const double cache = layers->kv_bytes_per_token - layers->kind.index_head_dim;
    return projections_ms(pricer, shard, layers, rows) +
           rows * context * cache /
               (latent_cache_efficiency * pricer->bandwidth_bytes_per_s) * 1e3 +
           latent_launch_us * 1e-3;
}
