#include "samples/profile_roofline.h"

#include <vidur/shard.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BYTES = 2 /* of an element */ };

/* Heads and widths of one device's share of the model. */
struct shape {
    double q_heads, kv_heads, head_dim, embedding_dim, mlp_dim;
    bool gated;
};

static struct shape shape_of(const struct vidur_timetable_request *request)
{
    const struct vidur_cut cut = {.tensor = request->tensor_parallel_size,
                                  .pipeline = 1};
    struct vidur_shard shard;
    vidur_shard_of(&shard, request->model, &cut);
    const struct vidur_shard_layers *layers = &shard.layers[0];
    return (struct shape){.q_heads = layers->q_heads,
                          .kv_heads = layers->kv_heads,
                          .head_dim = layers->kind.head_dim,
                          .embedding_dim = shard.embedding_dim,
                          .mlp_dim = layers->mlp_dim,
                          .gated = shard.use_gated_mlp};
}

/* ---- Kernels ---- */

static double kernel_ms(double compute_s, double memory_s, double launch_us)
{
    return fmax(compute_s, memory_s) * 1e3 + launch_us * 1e-3;
}

static double seconds_for_flops(const struct vidur_device_sku *device, double flops,
                                double efficiency)
{
    return flops / (device->peak_fp16_tflops * 1e12 * efficiency);
}

static double seconds_for_bytes(const struct vidur_device_sku *device, double bytes,
                                double efficiency)
{
    return bytes / (device->memory_bandwidth_gb_per_s * 1e9 * efficiency);
}

/* (m x k) times (k x n); one efficiency for both of its bounds */
static double gemm_ms(const struct vidur_device_sku *device, double m, double n,
                      double k)
{
    const struct vidur_roofline_efficiency *e = &device->roofline;
    const double bytes = BYTES * (m * k + n * k + m * n);
    return kernel_ms(seconds_for_flops(device, 2 * m * n * k, e->gemm_efficiency),
                     seconds_for_bytes(device, bytes, e->gemm_efficiency),
                     e->kernel_launch_us);
}

/* An element-wise kernel that moves so many elements per token. */
static double elementwise_ms(const struct vidur_device_sku *device, double tokens,
                             double elements)
{
    const struct vidur_roofline_efficiency *e = &device->roofline;
    return kernel_ms(
        0, seconds_for_bytes(device, BYTES * tokens * elements, e->memory_efficiency),
        e->elementwise_launch_us);
}

/* A chunk of c tokens behind `kv` cached ones: each attends to all before it. */
static double prefill_ms(const struct vidur_device_sku *device,
                         const struct shape *shape, double kv, double chunk)
{
    const struct vidur_roofline_efficiency *e = &device->roofline;
    const double pairs = chunk * kv + chunk * chunk / 2;
    const double flops = 4 * shape->q_heads * shape->head_dim * pairs;
    const double bytes = BYTES * 2 * shape->head_dim *
                         (shape->kv_heads * (kv + chunk) + shape->q_heads * chunk);
    return kernel_ms(seconds_for_flops(device, flops, e->attention_prefill_efficiency),
                     seconds_for_bytes(device, bytes, e->memory_efficiency),
                     e->attention_launch_us);
}

/* Reads the keys and values of `batch` contexts of `kv` tokens. */
static double decode_ms(const struct vidur_device_sku *device,
                        const struct shape *shape, double batch, double kv)
{
    const struct vidur_roofline_efficiency *e = &device->roofline;
    const double bytes = BYTES * 2 * shape->head_dim * shape->kv_heads * batch * kv;
    return kernel_ms(0,
                     seconds_for_bytes(device, bytes, e->attention_decode_efficiency),
                     e->attention_launch_us);
}

/* ---- Links ---- */

struct link {
    double bytes_per_s, latency_us;
};

static struct link link_of(const struct vidur_node_sku *node,
                           enum vidur_stage_link link)
{
    if (link == VIDUR_LINK_NODES)
        return (struct link){node->inter_node_bandwidth_gb_per_s * 1e9 *
                                 node->inter_node_efficiency,
                             node->inter_node_latency_us};
    if (link == VIDUR_LINK_FALLBACK)
        return (struct link){node->fallback_bandwidth_gb_per_s * 1e9 *
                                 node->fallback_efficiency,
                             node->link_latency_us};
    return (struct link){node->link_bandwidth_gb_per_s * 1e9 * node->link_efficiency,
                         node->link_latency_us};
}

/* The slowest link that `ranks` neighbouring devices must cross. */
static struct link slowest_link(const struct vidur_node_sku *node, int ranks)
{
    if (ranks > node->devices_per_node)
        return link_of(node, VIDUR_LINK_NODES);
    return link_of(node,
                   node->pairwise && ranks > 2 ? VIDUR_LINK_FALLBACK : VIDUR_LINK_FAST);
}

static double transfer_ms(const struct link *link, double bytes)
{
    return bytes / link->bytes_per_s * 1e3 + link->latency_us * 1e-3;
}

double vidur_link_ms(const struct vidur_node_sku *node, enum vidur_stage_link link,
                     double bytes)
{
    const struct link taken = link_of(node, link);
    return transfer_ms(&taken, bytes);
}

/* A ring moves 2 (n-1)/n of the message over every link. */
static double all_reduce_ms(const struct vidur_timetable_request *request, double bytes)
{
    const int ranks = request->tensor_parallel_size;
    const struct link link = slowest_link(request->node, ranks);
    return transfer_ms(&link, 2 * (ranks - 1.0) / ranks * bytes);
}

/* Neighbouring stages are TP devices apart: a pair of single-device stages may share a
 * pair's link, wider ones cross pairs. */
static double send_recv_ms(const struct vidur_timetable_request *request, double bytes)
{
    const struct vidur_node_sku *node = request->node;
    int span = request->tensor_parallel_size > 1 ? 3 : 2;
    if (request->multi_node)
        span = node->devices_per_node + 1;
    else if (span > node->devices_per_node)
        span = node->devices_per_node;
    const struct link link = slowest_link(node, span);
    return transfer_ms(&link, bytes);
}

/* ---- Operators ---- */

static double token_ms(const struct vidur_timetable_request *request, int op,
                       double tokens)
{
    const struct vidur_device_sku *device = request->device;
    const struct shape s = shape_of(request);
    const double d = s.embedding_dim, f = s.mlp_dim;
    const double q = s.q_heads * s.head_dim, kv = s.kv_heads * s.head_dim;

    switch (op) {
    case VIDUR_OP_attn_pre_proj:
        return gemm_ms(device, tokens, q + 2 * kv, d);
    case VIDUR_OP_attn_post_proj:
        return gemm_ms(device, tokens, d, q);
    case VIDUR_OP_mlp_up_proj:
        return gemm_ms(device, tokens, s.gated ? 2 * f : f, d);
    case VIDUR_OP_mlp_down_proj:
        return gemm_ms(device, tokens, d, f);
    case VIDUR_OP_attn_rope: /* queries and keys, read and written */
        return elementwise_ms(device, tokens, 2 * (q + kv));
    case VIDUR_OP_attn_kv_cache_save: /* keys and values, read and written */
        return elementwise_ms(device, tokens, 4 * kv);
    case VIDUR_OP_mlp_act:
        return elementwise_ms(device, tokens, s.gated ? 3 * f : 2 * f);
    case VIDUR_OP_input_layernorm:
    case VIDUR_OP_post_attention_layernorm:
        return elementwise_ms(device, tokens, 2 * d);
    case VIDUR_OP_add:
        return elementwise_ms(device, tokens, 3 * d);
    case VIDUR_OP_all_reduce:
        return all_reduce_ms(request, BYTES * tokens * d);
    case VIDUR_OP_send_recv:
        return send_recv_ms(request, BYTES * tokens * d);
    default:
        return NAN;
    }
}

double vidur_roofline_ms(const struct vidur_timetable_request *request, int op,
                         const double *features)
{
    const struct shape shape = shape_of(request);
    if (op == VIDUR_OP_attn_decode)
        return decode_ms(request->device, &shape, features[0], features[1]);
    if (op == VIDUR_OP_attn_prefill)
        return prefill_ms(request->device, &shape, features[0], sqrt(features[1]));
    return token_ms(request, op, features[0]);
}

bool vidur_request_runs(const struct vidur_timetable_request *request,
                        bool cpu_overhead, int op)
{
    if (op == VIDUR_OP_all_reduce)
        return request->tensor_parallel_size > 1;
    if (op == VIDUR_OP_send_recv)
        return request->pipeline;
    if (op == VIDUR_OP_mlp_experts)
        return false; /* the models that have some are not sampled */
    if (op == VIDUR_OP_post_attention_layernorm)
        return request->model->post_attn_norm;
    if (op >= VIDUR_FIRST_CPU_OPERATOR && op < VIDUR_NUM_TOKEN_OPERATORS)
        return cpu_overhead;
    return true;
}

/* ---- Sampling ---- */

/* Values of one axis: `first`, then steps that double with every octave so that each
 * has per_octave of them. All are whole numbers and every power of two is among them.
 */
struct axis {
    double *values;
    int count;
};

enum { MAX_AXIS = 1200 };

static void add_value(struct axis *axis, double value)
{
    if (axis->count < MAX_AXIS &&
        (axis->count == 0 || axis->values[axis->count - 1] < value))
        axis->values[axis->count++] = value;
}

/* From the last value (a power of two) to `last`, per_octave values an octave but none
 * closer than min_step. */
static void add_octaves(struct axis *axis, double last, double per_octave,
                        double min_step)
{
    double at = axis->values[axis->count - 1];
    while (at < last) {
        const double step = fmax(at / per_octave, min_step);
        for (double next = at + step; next <= 2 * at && next <= last; next += step)
            add_value(axis, next);
        at *= 2;
    }
}

/* As profilers sample: every multiple of 8 to 1024, then ever coarser. */
static void token_axis(struct axis *axis)
{
    for (int value = 1; value <= 8; value *= 2)
        add_value(axis, value);
    add_octaves(axis, 1024, 1e9, 8);
    add_octaves(axis, 16384, 64, 8);
    add_octaves(axis, 8388608, 16, 8);
}

static void batch_axis(struct axis *axis)
{
    add_value(axis, 1);
    add_octaves(axis, 16, 1e9, 1);
    add_octaves(axis, 512, 16, 1);
    add_octaves(axis, 4096, 4, 1);
}

static void context_axis(struct axis *axis)
{
    add_value(axis, 0);
    add_value(axis, 64);
    add_octaves(axis, 16384, 16, 64);
    add_octaves(axis, 131072, 4, 64);
}

static void chunk_axis(struct axis *axis)
{
    for (int value = 1; value <= 16; value *= 2)
        add_value(axis, value);
    add_octaves(axis, 16384, 16, 8);
    add_octaves(axis, 131072, 4, 8);
}

static int sample_list(struct vidur_samples *samples,
                       const struct vidur_timetable_request *request, int op,
                       const struct axis *axis, struct vidur_error *err)
{
    if (vidur_samples_resize(samples, axis->count, err))
        return -1;
    for (int i = 0; i < axis->count; i++) {
        samples->features[0][i] = axis->values[i];
        samples->target_ms[i] = vidur_roofline_ms(request, op, &axis->values[i]);
    }
    return 0;
}

static int sample_grid(struct vidur_samples *samples,
                       const struct vidur_timetable_request *request, int op,
                       const struct axis *axes, struct vidur_error *err)
{
    const bool square = op == VIDUR_OP_attn_prefill;
    int64_t row = 0;
    if (vidur_samples_resize(samples, (int64_t)axes[0].count * axes[1].count, err))
        return -1;
    for (int i = 0; i < axes[0].count; i++)
        for (int j = 0; j < axes[1].count; j++, row++) {
            const double y = axes[1].values[j];
            const double at[2] = {axes[0].values[i], square ? y * y : y};
            samples->features[0][row] = at[0];
            samples->features[1][row] = at[1];
            samples->target_ms[row] = vidur_roofline_ms(request, op, at);
        }
    return 0;
}

static const char synthetic[] = "roofline";

bool vidur_samples_are_synthetic(const struct vidur_samples *samples)
{
    return strcmp(samples->source, synthetic) == 0;
}

int vidur_roofline_sample(struct vidur_samples *samples,
                          const struct vidur_timetable_request *request, int op,
                          struct vidur_error *err)
{
    struct axis axes[2] = {{.count = 0}, {.count = 0}};
    double *values = calloc(2 * (size_t)MAX_AXIS, sizeof *values);
    if (!values)
        return vidur_fail(err, VIDUR_ENOMEM, "out of memory");
    axes[0].values = values;
    axes[1].values = values + MAX_AXIS;
    int status;
    if (op == VIDUR_OP_attn_decode) {
        batch_axis(&axes[0]);
        context_axis(&axes[1]);
        status = sample_grid(samples, request, op, axes, err);
    } else if (op == VIDUR_OP_attn_prefill) {
        context_axis(&axes[0]);
        chunk_axis(&axes[1]);
        status = sample_grid(samples, request, op, axes, err);
    } else {
        token_axis(&axes[0]);
        status = sample_list(samples, request, op, &axes[0], err);
    }
    free(values);
    strcpy(samples->source, synthetic);
    return status;
}

int vidur_profile_roofline(struct vidur_profile **out,
                           const struct vidur_timetable_request *request,
                           struct vidur_error *err)
{
    struct vidur_profile *profile = vidur_profile_create(err);
    if (!profile)
        return -1;
    for (int op = 0; op < VIDUR_NUM_OPERATORS; op++)
        if (vidur_request_runs(request, false, op) &&
            vidur_roofline_sample(&profile->operators[op], request, op, err)) {
            vidur_profile_free(profile);
            return -1;
        }
    *out = profile;
    return 0;
}
