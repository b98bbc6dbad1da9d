#include "tables/step_explain.h"

#include "test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MODEL(name_, layers, ...)                                                      \
    {                                                                                  \
        .name = name_, .num_layers = layers, .embedding_dim = 4096,                    \
        .vocab_size = 32000, .max_position_embeddings = 32768, .use_gated_mlp = true,  \
        .post_attn_norm = true, __VA_ARGS__                                            \
    }
#define GQA(n) .count = n, .num_q_heads = 32, .num_kv_heads = 8, .head_dim = 128
#define MLA(n)                                                                         \
    .count = n, .attention = VIDUR_ATTENTION_MLA, .num_q_heads = 32,                   \
    .num_kv_heads = 1, .q_lora_rank = 1536, .kv_lora_rank = 512, .rope_head_dim = 64,  \
    .nope_head_dim = 128, .v_head_dim = 128
#define EXPERTS .num_experts = 16, .experts_per_token = 2, .expert_hidden_dim = 2048

/* Dense; windows and experts in two kinds; latent attention, sparse and not. */
static const struct vidur_model_spec models[] = {
    MODEL("dense", 32, .num_kinds = 1, .kinds = {{GQA(32), .mlp_hidden_dim = 14336}}),
    MODEL("mixed", 24, .num_kinds = 3,
          .kinds = {{GQA(12), .window_tokens = 128, EXPERTS},
                    {GQA(10), EXPERTS, .mlp_hidden_dim = 2048},
                    {GQA(2), .mlp_hidden_dim = 14336}},
          .precision = {VIDUR_DTYPE_fp8, VIDUR_DTYPE_mxfp4, VIDUR_DTYPE_bf16,
                        VIDUR_DTYPE_fp8},
          .qk_norm_all_heads = true),
    MODEL("latent", 12, .num_kinds = 2,
          .kinds = {{MLA(2), .mlp_hidden_dim = 8192}, {MLA(10), EXPERTS}}),
    MODEL("sparse", 4, .num_kinds = 1,
          .kinds = {{MLA(4), EXPERTS, .index_tokens = 512, .index_head_dim = 132}})};

/* Decodes; a chunk that counts as a row, one that does not, alone and mixed. */
static const struct vidur_step_batch batches[] = {
    {1, 1, 0, 0, 128},       {37, 1500, 0, 0, 128}, {9, 100, 50, 576, 128},
    {20, 700, 512, 0, 128},  {0, 1, 591, 0, 128},   {300, 90, 0, 0, 128},
    {20, 700, 65, 3000, 128}};

static struct vidur_device_sku device;
static const struct vidur_node_sku node = {.devices_per_node = 8,
                                           .link_bandwidth_gb_per_s = 450};

static void set_up(void)
{
    vidur_device_sku_defaults(&device);
    device.v1.memory_bandwidth_gb_per_s = 3350;
    device.v1.peak_bf16_tflops = 989;
    device.v1.peak_fp8_tflops = 1979;
}

static struct vidur_engine_request request_for(const struct vidur_model_spec *model,
                                               int tp)
{
    struct vidur_engine_request request = {
        .model = model, .device = &device, .node = &node, .tensor_parallel_size = tp};
    vidur_engine_constants_defaults(&request.constants);
    request.constants.step_us = 40;
    request.constants.request_us = 3;
    request.constants.mixed_layer_us = 2;
    request.constants.sampler_ms_per_million_logits = 0.1;
    return request;
}

/* The formula of <vidur/engine_table.h>. */
static double table_ms(const struct vidur_engine_table *t,
                       const struct vidur_step_batch *b, int ranks)
{
    const bool as_row =
        b->prompt_tokens > 0 && b->prompt_tokens <= VIDUR_ENGINE_DECODE_LIKE_TOKENS;
    const int64_t end = b->prefix_tokens + b->prompt_tokens;
    const int64_t rows = b->decodes + as_row;
    const int64_t sum = b->decodes * b->context_tokens + (as_row ? end : 0);
    const int64_t sampled = b->decodes + (b->prompt_tokens > 0);
    const double s = (double)end, p = (double)b->prefix_tokens;
    double ms = t->linear_ms[vidur_engine_padded_tokens(b->decodes + b->prompt_tokens,
                                                        b->max_num_seqs)] +
                t->head_ms[sampled] + t->step_ms + t->request_ms * (double)sampled;
    if (rows > 0)
        ms += t->decode_launch_ms + t->decode_ms_per_token * (double)sum;
    for (int i = 0; rows > 0 && i < t->num_windows; i++)
        ms += t->windows[i].ms_per_token *
              fmin((double)sum, (double)(rows * t->windows[i].tokens));
    if (rows > 0 && t->latent.layers > 0)
        ms += vidur_engine_latent_ms(&t->latent, rows, sum);
    if (b->prompt_tokens > 0 && !as_row)
        ms += fmax(fmax(t->context_ms[end] * (s * s - p * p) / (s * s),
                        t->context_ms[b->prompt_tokens]),
                   t->decode1_ms[end]) +
              t->window_context_ms[b->prompt_tokens];
    if (b->decodes > 0 && b->prompt_tokens > 0)
        ms += t->mixed_ms;
    if (ranks > 1) {
        const int64_t tokens = b->decodes + b->prompt_tokens;
        const int64_t all =
            ranks * (b->prompt_tokens > 0
                         ? tokens
                         : vidur_engine_padded_tokens(tokens, b->max_num_seqs));
        CU_ASSERT_TRUE_FATAL(all <= t->gathered_limit);
        ms += t->gathered_experts_ms[all] + t->gathered_comm_ms[all];
    }
    return ms;
}

static struct vidur_step_plan plan;
static struct vidur_step_lines lines;

static void explain(struct vidur_engine_request *request,
                    const struct vidur_step_batch *batch)
{
    struct vidur_error err = {0};
    CU_ASSERT_EQUAL_FATAL(vidur_step_batch_request(request, batch, &err), 0);
    CU_ASSERT_EQUAL_FATAL(vidur_step_plan_begin(&plan, request, &err), 0);
    CU_ASSERT_EQUAL_FATAL(vidur_step_explain(&lines, &plan, batch, &err), 0);
    vidur_step_plan_end(&plan);
}

static void check_sum(const struct vidur_model_spec *model,
                      const struct vidur_step_batch *batch, int tp, int ranks)
{
    struct vidur_engine_request request = request_for(model, tp);
    struct vidur_engine_table *table = NULL;
    struct vidur_error err = {0};
    request.data_parallel_size = ranks;
    request.expert_parallel = ranks > 1;
    explain(&request, batch);
    CU_ASSERT_EQUAL_FATAL(vidur_engine_table_build(&table, &request, &err), 0);
    const double expected = table_ms(table, batch, ranks);
    CU_ASSERT_DOUBLE_EQUAL(lines.ms, expected, 1e-12 * expected);
    if (fabs(lines.ms - expected) > 1e-12 * expected)
        printf("\n  %s, %d + %d tokens, TP %d, DP %d: %.17g, %.17g\n", model->name,
               (int)batch->decodes, (int)batch->prompt_tokens, tp, ranks, lines.ms,
               expected);
    vidur_engine_table_free(table);
}

static void test_sum_is_the_tables_step(void)
{
    for (size_t m = 0; m < sizeof models / sizeof models[0]; m++)
        for (size_t b = 0; b < sizeof batches / sizeof batches[0]; b++)
            for (int tp = 1; tp <= 4; tp *= 4) {
                check_sum(&models[m], &batches[b], tp, 1);
                if (m > 0) /* it has experts */
                    check_sum(&models[m], &batches[b], tp, 8 / tp);
            }
}

static const struct vidur_step_line *find(const char *name, int kind)
{
    for (int i = 0; i < lines.count; i++)
        if (strcmp(lines.at[i].name, name) == 0 && lines.at[i].kind == kind)
            return &lines.at[i];
    CU_FAIL("a line is missing");
    return &lines.at[0];
}

/* Experts and messages see the tokens of all ranks, the rest a rank's own. */
static void test_ranks(void)
{
    const struct vidur_step_batch batch = {30, 1000, 0, 0, 128};
    struct vidur_engine_request request = request_for(&models[1], 2);
    request.expert_parallel = true;
    explain(&request, &batch);
    const double router_ms = find("router", 0)->ms, norm_ms = find("add_norm", 0)->ms;
    request.data_parallel_size = 4;
    explain(&request, &batch);
    CU_ASSERT_EQUAL(find("router", 0)->ms, router_ms);
    CU_ASSERT_EQUAL(find("add_norm", 0)->ms, norm_ms);
    CU_ASSERT_DOUBLE_EQUAL(find("all_gather", 0)->bytes, 12 * 2 * 4096.0 * 4 * 32, 1);
    CU_ASSERT_EQUAL(find("reduce_scatter", 1)->times, 10);
    CU_ASSERT_DOUBLE_EQUAL(find("experts", 0)->flops,
                           12 * 2 * (4 * 32 * 2.0 / 8) * 3 * 4096 * 2048, 1);
    for (int i = 0; i < lines.count; i++) /* a layer without experts has no messages */
        CU_ASSERT_FALSE(lines.at[i].kind == 2 &&
                        strcmp(lines.at[i].name, "all_gather") == 0);
}

/* By hand, of a decode step of the dense model on two devices. */
static void test_lines(void)
{
    struct vidur_engine_request request = request_for(&models[0], 2);
    const struct vidur_step_batch batch = {30, 1000, 0, 0, 128};
    explain(&request, &batch);
    CU_ASSERT_EQUAL(lines.tokens, 30);
    CU_ASSERT_EQUAL(lines.padded_tokens, 32);
    const struct vidur_step_line *down = find("down", 0), *norm = find("add_norm", 0);
    const double n = 4096, k = 7168;
    const double bytes = 2 * (n * k + 32 * n + 32 * k), flops = 2 * 32 * n * k;
    const double each_ms = bytes / (0.9 * 3350e6) + 3e-3;
    CU_ASSERT_STRING_EQUAL(down->part, "gemm");
    CU_ASSERT_EQUAL(down->times, 32);
    CU_ASSERT_DOUBLE_EQUAL(down->ms, 32 * each_ms, 1e-9);
    CU_ASSERT_DOUBLE_EQUAL(down->bytes, 32 * bytes, 1e-3);
    CU_ASSERT_DOUBLE_EQUAL(down->flops, 32 * flops, 1e-3);
    CU_ASSERT_DOUBLE_EQUAL(down->bandwidth_share, bytes / (each_ms * 3350e6), 1e-9);
    CU_ASSERT_DOUBLE_EQUAL(down->peak_share, flops / (each_ms * 989e9), 1e-9);
    CU_ASSERT_EQUAL(norm->times, 64);
    CU_ASSERT_TRUE(isnan(norm->peak_share));
    CU_ASSERT_TRUE(isnan(find("all_reduce", 0)->bandwidth_share));
    CU_ASSERT_EQUAL(find("head", -1)->times, 1);
    const struct vidur_step_line *rows = find("attn_decode", 0);
    CU_ASSERT_DOUBLE_EQUAL(rows->bytes, 32.0 * 2 * 2 * 4 * 128 * 30000, 1);
    CU_ASSERT_DOUBLE_EQUAL(rows->flops, 32.0 * 4 * 16 * 128 * 30000, 1);
}

/* A window reads its own width at most; kinds have lines of their own. */
static void test_kinds(void)
{
    struct vidur_engine_request request = request_for(&models[1], 1);
    const struct vidur_step_batch batch = {10, 1000, 0, 0, 128};
    explain(&request, &batch);
    const double token = 2 * 8 * 128; /* fp8 */
    CU_ASSERT_DOUBLE_EQUAL(find("attn_decode", 0)->bytes, 12 * token * 1280, 1e-3);
    CU_ASSERT_DOUBLE_EQUAL(find("attn_decode", 1)->bytes, 10 * token * 10000, 1e-3);
    CU_ASSERT_EQUAL(find("experts", 0)->times, 12);
    CU_ASSERT_EQUAL(find("experts", 1)->times, 10);
    CU_ASSERT_EQUAL(find("down", 2)->times, 2);
    /* fp8 weights at fp8's peak */
    const struct vidur_step_line *down = find("down", 2);
    CU_ASSERT_DOUBLE_EQUAL(down->peak_share, down->flops / (down->ms * 1979e9), 1e-9);
}

static void test_bad_batches(void)
{
    static const struct vidur_step_batch bad[] = {{0, 1, 0, 0, 128},
                                                  {-1, 1, 5, 0, 128},
                                                  {1, 0, 0, 0, 128},
                                                  {1, 1, -1, 0, 128},
                                                  {1, 1, 1, -1, 128}};
    struct vidur_engine_request request = request_for(&models[0], 1);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct vidur_error err = {0};
        CU_ASSERT_EQUAL(vidur_step_batch_request(&request, &bad[i], &err), -1);
        CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "at least 1 token"));
    }
    static const struct vidur_step_batch large[] = {{1 << 25, 1, 0, 0, 128},
                                                    {1, 1 << 25, 0, 0, 128},
                                                    {1, 1, 1 << 23, 1 << 24, 128}};
    for (size_t i = 0; i < sizeof large / sizeof large[0]; i++) {
        struct vidur_error err = {0};
        CU_ASSERT_EQUAL(vidur_step_batch_request(&request, &large[i], &err), -1);
        CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "at most 16777216 tokens"));
    }
}

VIDUR_TEST_MAIN("a step explained", {"set up", set_up},
                {"the sum is the table's step", test_sum_is_the_tables_step},
                {"ranks", test_ranks}, {"lines", test_lines}, {"kinds", test_kinds},
                {"bad batches", test_bad_batches})
