#include "samples/profile_roofline.h"
#include "tables/price.h"

#include <vidur/paths.h>

#include "test.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* A better device is never slower: of all devices and nodes that are sold, two by two,
 * with equal constants, in every format that both have units for. */

enum { MOST = 64, MOST_TIMES = 512 };

static struct vidur_device_sku devices[MOST];
static struct vidur_node_sku nodes[MOST];
static int num_devices, num_nodes;

static int keep_device(void *context, const char *name)
{
    (void)context;
    return num_devices < MOST
               ? vidur_device_sku_load(&devices[num_devices++], name, NULL)
               : -1;
}

static int keep_node(void *context, const char *name)
{
    (void)context;
    return num_nodes < MOST ? vidur_node_sku_load(&nodes[num_nodes++], name, NULL) : -1;
}

static void set_up(void)
{
    CU_ASSERT_EQUAL_FATAL(vidur_path_each_spec("skus/devices", keep_device, NULL, NULL),
                          0);
    CU_ASSERT_EQUAL_FATAL(vidur_path_each_spec("skus/nodes", keep_node, NULL, NULL), 0);
    CU_ASSERT(num_devices >= 25 && num_nodes >= 27);
}

/* 0: no units of its own. */
static double peak_tflops(const struct vidur_device_sku *device, enum vidur_peak peak)
{
    return peak == VIDUR_PEAK_fp8   ? device->v1.peak_fp8_tflops
           : peak == VIDUR_PEAK_fp4 ? device->v1.peak_fp4_tflops
                                    : device->v1.peak_bf16_tflops;
}

/* Both multiply the format; a is in no figure that counts there below b. */
static bool is_no_worse(const struct vidur_device_sku *a,
                        const struct vidur_device_sku *b, enum vidur_peak peak)
{
    return peak_tflops(a, peak) > 0 && peak_tflops(b, peak) > 0 &&
           peak_tflops(a, peak) >= peak_tflops(b, peak) &&
           a->v1.peak_bf16_tflops >= b->v1.peak_bf16_tflops &&
           a->v1.memory_bandwidth_gb_per_s >= b->v1.memory_bandwidth_gb_per_s;
}

struct times {
    double ms[MOST_TIMES];
    int count;
};

static void keep(struct times *times, double ms)
{
    CU_ASSERT_FATAL(times->count < MOST_TIMES);
    times->ms[times->count++] = ms;
}

static void add_latent(struct times *times, const struct vidur_pricer *p,
                       enum vidur_dtype dtype, double size)
{
    const struct vidur_shard shard = {.precision = vidur_precision_of(dtype)};
    const struct vidur_shard_layers latent = {.kind = {.attention = VIDUR_ATTENTION_MLA,
                                                       .nope_head_dim = 128,
                                                       .rope_head_dim = 64,
                                                       .v_head_dim = 128},
                                              .q_heads = 16,
                                              .attention_weights = 50000000,
                                              .kv_bytes_per_token = 1152};
    keep(times, vidur_roofline_prompt_ms(p, &shard, &latent, size));
    keep(times, vidur_roofline_latent_ms(p, &shard, &latent, 1, size));
    keep(times, vidur_roofline_latent_ms(p, &shard, &latent, 256, size));
}

/* All that a step does with weights of the format, and the rest of it. */
static struct times price_format(const struct vidur_device_sku *device,
                                 const struct vidur_engine_roofline *constants,
                                 enum vidur_dtype dtype)
{
    static const double sizes[] = {1, 7, 64, 513, 4096, 65536};
    static const double widths[][2] = {{512, 512}, {8192, 3072}, {28672, 8192}};
    const struct vidur_node_sku box = {.devices_per_node = 8,
                                       .link_bandwidth_gb_per_s = 100};
    const struct vidur_shard shard = {.precision = vidur_precision_of(dtype)};
    const struct vidur_shard_layers heads = {
        .kind = {.head_dim = 128}, .q_heads = 8, .kv_bytes_per_token = 4096};
    struct vidur_device_sku alike = *device;
    struct vidur_pricer p;
    struct times times = {.count = 0};
    alike.engine = *constants;
    CU_ASSERT_EQUAL(vidur_pricer_init(&p, &alike, &box, NULL, NULL), 0);
    p.constants = (struct vidur_engine_constants){.eta = 0.91, .t0_us = 10};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        for (size_t w = 0; w < sizeof widths / sizeof *widths; w++) {
            const struct vidur_work product = {.law = VIDUR_LAW_GEMM,
                                               .dtype = dtype,
                                               .n = widths[w][0],
                                               .k = widths[w][1]};
            keep(&times, vidur_roofline_work_ms(&p, &product, sizes[s]));
        }
        for (int topk = 1; topk <= 8; topk *= 8) {
            const struct vidur_work experts = {.law = VIDUR_LAW_EXPERTS,
                                               .dtype = dtype,
                                               .hidden_dim = 4096,
                                               .expert_dim = 1536,
                                               .experts_per_token = topk,
                                               .num_experts = 128,
                                               .moe_tensor = 1,
                                               .moe_expert = 4,
                                               .matrices = 3};
            keep(&times, vidur_roofline_work_ms(&p, &experts, sizes[s]));
        }
        keep(&times, vidur_roofline_prompt_ms(&p, &shard, &heads, sizes[s]));
        keep(&times, vidur_roofline_row_ms(&p, &heads, sizes[s]));
        keep(&times, vidur_bytes_ms(&p, sizes[s], 3));
        add_latent(&times, &p, dtype, sizes[s]);
    }
    return times;
}

/* How many of the times are less by more than rounding; none must be more. */
static int compare(const struct times *better, const struct times *worse)
{
    int less = 0;
    CU_ASSERT_EQUAL(better->count, worse->count);
    for (int i = 0; i < better->count; i++) {
        CU_ASSERT(better->ms[i] > 0 && better->ms[i] <= worse->ms[i] * (1 + 1e-12));
        less += better->ms[i] < worse->ms[i] * (1 - 1e-6);
    }
    return less;
}

/* Every device is in some pair, every format in many; with the constants of either. */
static void test_every_pair_in_every_format(void)
{
    bool met[MOST] = {false};
    for (int format = 0; format < VIDUR_NUM_DTYPES; format++) {
        const enum vidur_dtype dtype = (enum vidur_dtype)format;
        const enum vidur_peak peak = vidur_dtype_peak(dtype);
        int pairs = 0, faster = 0;
        for (int i = 0; i < num_devices; i++)
            for (int k = 0; k < num_devices; k++) {
                const struct vidur_device_sku *a = &devices[i], *b = &devices[k];
                if (i == k || !is_no_worse(a, b, peak))
                    continue;
                const struct vidur_engine_roofline *constants[] = {&a->engine,
                                                                   &b->engine};
                for (int c = 0; c < 2; c++) {
                    const struct times better = price_format(a, constants[c], dtype);
                    const struct times worse = price_format(b, constants[c], dtype);
                    faster += compare(&better, &worse) > 0;
                }
                met[i] = met[k] = true;
                pairs++;
            }
        CU_ASSERT(pairs >= (peak == VIDUR_PEAK_fp4 ? 10 : 100));
        CU_ASSERT(faster >= pairs); /* but for twins, some time is less */
    }
    for (int i = 0; i < num_devices; i++)
        CU_ASSERT(met[i]);
}

/* ---- Nodes ---- */

static bool is_better_node(const struct vidur_node_sku *a,
                           const struct vidur_node_sku *b)
{
    return a->devices_per_node >= b->devices_per_node && a->pairwise <= b->pairwise &&
           a->link_bandwidth_gb_per_s >= b->link_bandwidth_gb_per_s &&
           a->link_efficiency >= b->link_efficiency &&
           a->link_latency_us <= b->link_latency_us &&
           a->fallback_bandwidth_gb_per_s >= b->fallback_bandwidth_gb_per_s &&
           a->fallback_efficiency >= b->fallback_efficiency &&
           a->inter_node_bandwidth_gb_per_s >= b->inter_node_bandwidth_gb_per_s &&
           a->inter_node_efficiency >= b->inter_node_efficiency &&
           a->inter_node_latency_us <= b->inter_node_latency_us;
}

/* All-reduces and messages between ranks, from two devices to more than a rack has. */
static struct times price_messages(const struct vidur_node_sku *box)
{
    struct times times = {.count = 0};
    struct vidur_pricer p;
    CU_ASSERT_EQUAL(vidur_pricer_init(&p, &devices[0], box, NULL, NULL), 0);
    for (int n = 2; n <= 128; n *= 2)
        for (double bytes = 4096; bytes <= 1 << 28; bytes *= 64) {
            const struct vidur_work reduce = {.law = VIDUR_LAW_ALL_REDUCE,
                                              .token_bytes = 1};
            const struct vidur_work gather = {.law = VIDUR_LAW_ALL_GATHER,
                                              .token_bytes = 1};
            p.devices = n;
            p.ranks = 1;
            keep(&times, vidur_roofline_work_ms(&p, &reduce, bytes));
            p.devices = 1;
            p.ranks = n;
            keep(&times, vidur_roofline_work_ms(&p, &gather, bytes));
        }
    for (int link = VIDUR_LINK_FAST; link <= VIDUR_LINK_NODES; link++)
        keep(&times, vidur_link_ms(box, (enum vidur_stage_link)link, 1 << 20));
    return times;
}

static void test_better_nodes(void)
{
    bool met[MOST] = {false};
    for (int i = 0; i < num_nodes; i++)
        for (int k = 0; k < num_nodes; k++)
            if (i != k && is_better_node(&nodes[i], &nodes[k])) {
                const struct times better = price_messages(&nodes[i]);
                const struct times worse = price_messages(&nodes[k]);
                compare(&better, &worse);
                met[i] = met[k] = true;
            }
    for (int i = 0; i < num_nodes; i++) {
        CU_ASSERT(met[i]);
        if (!met[i])
            printf("\n  %s is in no pair\n", nodes[i].name);
    }
}

/* ---- The roofline of operators ---- */

static struct times price_operators(const struct vidur_device_sku *device)
{
    static const struct vidur_model_spec model = {.name = "tiny",
                                                  .num_layers = 2,
                                                  .num_kinds = 1,
                                                  .kinds[0].count = 2,
                                                  .kinds[0].num_q_heads = 32,
                                                  .kinds[0].num_kv_heads = 8,
                                                  .kinds[0].head_dim = 128,
                                                  .kinds[0].mlp_hidden_dim = 14336,
                                                  .embedding_dim = 4096,
                                                  .vocab_size = 128000,
                                                  .max_position_embeddings = 131072,
                                                  .use_gated_mlp = true,
                                                  .post_attn_norm = true};
    const struct vidur_timetable_request request = {.model = &model,
                                                    .device = device,
                                                    .node = &nodes[0],
                                                    .tensor_parallel_size = 2,
                                                    .pipeline = true};
    struct times times = {.count = 0};
    for (int op = 0; op < VIDUR_NUM_OPERATORS; op++)
        for (double a = 1; a <= 1 << 15; a *= 32)
            for (double b = 1; b <= 1 << 15; b *= 32) {
                const double features[2] = {a, b};
                const double ms = vidur_roofline_ms(&request, op, features);
                if (!isnan(ms))
                    keep(&times, ms);
            }
    CU_ASSERT(times.count > 100);
    return times;
}

static void test_operators(void)
{
    bool met[MOST] = {false};
    int faster = 0;
    for (int i = 0; i < num_devices; i++)
        for (int k = 0; k < num_devices; k++) {
            struct vidur_device_sku a = devices[i];
            const struct vidur_device_sku *b = &devices[k];
            if (i == k || a.peak_fp16_tflops < b->peak_fp16_tflops ||
                a.memory_bandwidth_gb_per_s < b->memory_bandwidth_gb_per_s)
                continue;
            a.roofline = b->roofline;
            const struct times better = price_operators(&a);
            const struct times worse = price_operators(b);
            faster += compare(&better, &worse) > 0;
            met[i] = met[k] = true;
        }
    CU_ASSERT(faster >= 100);
    for (int i = 0; i < num_devices; i++)
        CU_ASSERT(met[i]);
}

VIDUR_TEST_MAIN("better devices", {"set up", set_up},
                {"every pair in every format", test_every_pair_in_every_format},
                {"better nodes", test_better_nodes}, {"operators", test_operators})
