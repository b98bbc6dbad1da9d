#include "test.h"

#include <vidur/engine_table.h>
#include <vidur/shard.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

/*
 * Step times and weights of today's models from kernel timings against values that were
 * worked out independently (ENGINE.md section 6), to 0.5 %. Skipped where the timings
 * are not there.
 */

#define GQA(n, q, kv, hd)                                                              \
    .count = n, .num_q_heads = q, .num_kv_heads = kv, .head_dim = hd
#define MOE(e, k, f) .num_experts = e, .experts_per_token = k, .expert_hidden_dim = f
#define MLA(n)                                                                         \
    .count = n, .attention = VIDUR_ATTENTION_MLA, .num_q_heads = 64,                   \
    .num_kv_heads = 1, .q_lora_rank = 1536, .kv_lora_rank = 512, .rope_head_dim = 64,  \
    .nope_head_dim = 128, .v_head_dim = 128
#define MODEL(name_, n, d, v)                                                          \
    .name = name_, .num_layers = n, .embedding_dim = d, .vocab_size = v,               \
    .max_position_embeddings = 131072, .use_gated_mlp = true, .post_attn_norm = true

#define bf16  VIDUR_DTYPE_bf16
#define fp8   VIDUR_DTYPE_fp8
#define fp8b  VIDUR_DTYPE_fp8_block
#define nvfp4 VIDUR_DTYPE_nvfp4

static const struct {
    struct vidur_model_spec model;
    const char *device;
    int tp;
    bool ep;
    double gib, one, many, most, prefill, mixed, chunk;
} rows[] = {
    {{MODEL("Llama-3.1-70B", 80, 8192, 128256), .num_kinds = 1,
      .kinds = {{GQA(80, 64, 8, 128), .mlp_hidden_dim = 28672}},
      .precision = {fp8, fp8, fp8, fp8}},
     "h100",
     4,
     false,
     16.92,
     11.990,
     13.802,
     22.799,
     58.254,
     75.240,
     124.978},
    {{MODEL("Llama-3.1-70B", 80, 8192, 128256), .num_kinds = 1,
      .kinds = {{GQA(80, 64, 8, 128), .mlp_hidden_dim = 28672}},
      .precision = {nvfp4, nvfp4, nvfp4, fp8}},
     "b200",
     1,
     false,
     39.77,
     11.553,
     12.361,
     24.720,
     46.482,
     51.275,
     108.593},
    {{MODEL("Mixtral-8x7B", 32, 4096, 32000), .num_kinds = 1,
      .kinds = {{GQA(32, 32, 8, 128), MOE(8, 2, 14336)}}},
     "h100",
     2,
     false,
     43.49,
     6.440,
     19.441,
     31.604,
     32.851,
     34.632,
     59.903},
    {{MODEL("Llama-4-Scout", 48, 5120, 202048), .num_kinds = 1,
      .kinds = {{GQA(48, 40, 8, 128), .mlp_hidden_dim = 8192, MOE(16, 1, 8192)}},
      .precision = {fp8, fp8b, bf16, bf16}},
     "h100",
     2,
     false,
     52.55,
     9.056,
     22.990,
     42.456,
     47.010,
     52.483,
     84.670},
    {{MODEL("gpt-oss-120b", 36, 2880, 201088), .num_kinds = 2,
      .kinds = {{GQA(18, 64, 8, 64), .window_tokens = 128, MOE(128, 4, 2880)},
                {GQA(18, 64, 8, 64), MOE(128, 4, 2880)}},
      .precision = {bf16, VIDUR_DTYPE_mxfp4, bf16, bf16}},
     "h100",
     4,
     false,
     15.17,
     3.589,
     6.993,
     11.055,
     21.425,
     22.161,
     30.534},
    {{MODEL("MiniMax-M2.5", 62, 3072, 200064), .num_kinds = 1,
      .kinds = {{GQA(62, 48, 8, 128), MOE(256, 8, 1536)}}, .qk_norm_all_heads = true,
      .precision = {fp8b, fp8b, fp8b, fp8}},
     "h100",
     4,
     true,
     53.52,
     7.403,
     18.501,
     31.223,
     42.351,
     44.503,
     67.821},
    {{MODEL("Qwen3-235B-A22B", 94, 4096, 151936), .num_kinds = 1,
      .kinds = {{GQA(94, 64, 4, 128), MOE(128, 8, 1536)}},
      .precision = {fp8b, fp8b, fp8b, bf16}},
     "h200",
     4,
     false,
     55.02,
     9.696,
     23.657,
     34.671,
     56.909,
     61.105,
     105.795},
    {{MODEL("Kimi-K2.5", 61, 7168, 163840), .num_kinds = 2,
      .kinds = {{MLA(1), .mlp_hidden_dim = 18432},
                {MLA(60), .mlp_hidden_dim = 2048, MOE(384, 8, 2048)}},
      .precision = {bf16, VIDUR_DTYPE_int4, bf16, bf16}},
     "b200",
     8,
     false,
     65.10,
     7.433,
     19.855,
     35.203,
     71.241,
     75.741,
     115.425},
};

static struct vidur_device_sku device_of(const char *name)
{
    static const struct {
        const char *name;
        double bandwidth, bf16_tflops, skew_us;
    } devices[] = {
        {"h100", 3350, 989, 1.9}, {"h200", 4800, 989, 1.9}, {"b200", 7700, 2250, 0.5}};
    struct vidur_device_sku device;
    vidur_device_sku_defaults(&device);
    snprintf(device.name, sizeof device.name, "%s", name);
    snprintf(device.kernel_system, sizeof device.kernel_system, "%s_sxm", name);
    for (size_t i = 0; i < sizeof devices / sizeof devices[0]; i++)
        if (strcmp(devices[i].name, name) == 0) {
            device.v1.memory_bandwidth_gb_per_s = devices[i].bandwidth;
            device.v1.peak_bf16_tflops = devices[i].bf16_tflops;
            device.engine.all_reduce_skew_us = devices[i].skew_us;
        }
    return device;
}

/* Linear between the points, as the header says. */
static double along(const double *x, const double *y, int count, double at)
{
    int i = 0;
    if (at >= x[count - 1])
        return y[count - 1] * at / x[count - 1];
    if (at <= x[0])
        return y[0];
    while (x[i + 1] < at)
        i++;
    return y[i] + (at - x[i]) / (x[i + 1] - x[i]) * (y[i + 1] - y[i]);
}

static double latent_ms(const struct vidur_engine_latent *l, double batch,
                        double context)
{
    double by_batch[64];
    if (l->layers == 0)
        return 0;
    for (int b = 0; b < l->num_batches; b++)
        by_batch[b] = along(l->contexts, l->ms + (ptrdiff_t)b * l->num_contexts,
                            l->num_contexts, context);
    const double ms = along(l->batches, by_batch, l->num_batches, batch) - l->cut_ms;
    return l->layers * fmax(ms, l->least_ms);
}

/* The header's formula: `batch` decode rows of `context` and a chunk behind a prefix.
 */
static double step_ms(const struct vidur_engine_table *t, int batch, double context,
                      int chunk, int prefix)
{
    const double sum = batch * context, s = prefix + chunk, p = prefix;
    double ms = t->linear_ms[vidur_engine_padded_tokens(batch + chunk, 512)] +
                t->head_ms[batch + (chunk > 0)];
    if (batch > 0) {
        ms += t->decode_launch_ms + t->decode_ms_per_token * sum +
              latent_ms(&t->latent, batch, context);
        for (int i = 0; i < t->num_windows; i++)
            ms += t->windows[i].ms_per_token *
                  fmin(sum, (double)batch * (double)t->windows[i].tokens);
    }
    if (chunk > 0)
        ms += fmax(fmax(t->context_ms[prefix + chunk] * (s * s - p * p) / (s * s),
                        t->context_ms[chunk]),
                   t->decode1_ms[prefix + chunk]) +
              t->window_context_ms[chunk];
    return ms;
}

static void expect(const char *what, double got, double wanted)
{
    printf(" %s %+.2f%%", what, 100 * (got / wanted - 1));
    CU_ASSERT_DOUBLE_EQUAL(got, wanted, 0.005 * wanted);
}

static void test_values(void)
{
    const char *shared = vidur_test_shared_dir();
    char kernels[1024];
    if (!shared)
        vidur_test_skip_golden();
    snprintf(kernels, sizeof kernels, "%s/profiles/kernels", shared);
    struct vidur_kernel_library *library = vidur_kernel_library_create(NULL);
    const struct vidur_node_sku node = {.devices_per_node = 8,
                                        .link_bandwidth_gb_per_s = 450};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct vidur_device_sku device = device_of(rows[i].device);
        struct vidur_engine_request r = {.model = &rows[i].model,
                                         .device = &device,
                                         .node = &node,
                                         .tensor_parallel_size = rows[i].tp,
                                         .expert_parallel = rows[i].ep,
                                         .kernels_dir = kernels,
                                         .library = library,
                                         .max_tokens = 16384,
                                         .max_batch_size = 512,
                                         .max_context_tokens = 16384};
        struct vidur_engine_table *t = NULL;
        struct vidur_error err = {0};
        struct vidur_shard shard;
        const struct vidur_cut cut = {
            .tensor = rows[i].tp, .pipeline = 1, .expert = rows[i].ep};
        vidur_engine_constants_defaults(&r.constants);
        if (vidur_engine_table_build(&t, &r, &err))
            printf("\n  %s", err.text);
        CU_ASSERT_PTR_NOT_NULL_FATAL(t);
        vidur_shard_of(&shard, &rows[i].model, &cut);
        printf("\n  %s:", rows[i].model.name);
        expect("GiB",
               (vidur_shard_layer_bytes(&shard) +
                2 * vidur_shard_embedding_bytes(&shard)) /
                   0x1p30,
               rows[i].gib);
        expect("1", step_ms(t, 1, 1024, 0, 0), rows[i].one);
        expect("32", step_ms(t, 32, 1024, 0, 0), rows[i].many);
        expect("128", step_ms(t, 128, 4096, 0, 0), rows[i].most);
        expect("prefill", step_ms(t, 0, 0, 1024, 0), rows[i].prefill);
        expect("mixed", step_ms(t, 32, 1024, 1024, 0), rows[i].mixed);
        expect("chunk", step_ms(t, 0, 0, 2048, 6144), rows[i].chunk);
        printf("\n    %s", t->provenance);
        vidur_engine_table_free(t);
    }
    vidur_kernel_library_destroy(library);
}

VIDUR_TEST_MAIN("values of today's models", {"values", test_values})
