#include "samples/profile_roofline.h"
#include "samples/roofline_fit.h"

#include "test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A model and a device whose times can be worked out by hand. */
static const struct vidur_model_spec model = {.name = "tiny",
                                              .num_layers = 2,
                                              .num_kinds = 1,
                                              .kinds[0].count = 2,
                                              .kinds[0].num_q_heads = 8,
                                              .kinds[0].num_kv_heads = 2,
                                              .kinds[0].head_dim = 16,
                                              .embedding_dim = 128,
                                              .kinds[0].mlp_hidden_dim = 512,
                                              .vocab_size = 1000,
                                              .max_position_embeddings = 4096,
                                              .use_gated_mlp = true,
                                              .post_attn_norm = true};

static const struct vidur_device_sku device = {
    .name = "slow",
    .peak_fp16_tflops = 1e-6,          /* 10^6 FLOP/s */
    .memory_bandwidth_gb_per_s = 1e-3, /* 10^6 bytes/s */
    .roofline = {.gemm_efficiency = 0.5,
                 .memory_efficiency = 0.8,
                 .attention_prefill_efficiency = 0.25,
                 .attention_decode_efficiency = 0.4,
                 .kernel_launch_us = 5,
                 .attention_launch_us = 7,
                 .elementwise_launch_us = 3}};

static const struct vidur_node_sku node = {.name = "pairs",
                                           .devices_per_node = 4,
                                           .pairwise = true,
                                           .link_bandwidth_gb_per_s = 8,
                                           .link_efficiency = 0.5,
                                           .link_latency_us = 2,
                                           .fallback_bandwidth_gb_per_s = 2,
                                           .fallback_efficiency = 0.5,
                                           .inter_node_bandwidth_gb_per_s = 1,
                                           .inter_node_efficiency = 0.5,
                                           .inter_node_latency_us = 9};

static struct vidur_timetable_request request(int tp)
{
    return (struct vidur_timetable_request){.model = &model,
                                            .device = &device,
                                            .node = &node,
                                            .tensor_parallel_size = tp,
                                            .pipeline = true};
}

static double at(int tp, int op, double a, double b)
{
    const struct vidur_timetable_request r = request(tp);
    const double features[2] = {a, b};
    return vidur_roofline_ms(&r, op, features);
}

#define CLOSE(actual, expected)                                                        \
    CU_ASSERT_DOUBLE_EQUAL(actual, expected, 1e-12 * fabs(expected))

static void test_gemms(void)
{
    /* QKV, TP 1: n = (8 + 2 * 2) * 16 = 192, k = 128. With 64 tokens compute takes
     * 2*64*192*128 / 0.5e6 s, memory 2 * (64*128 + 192*128 + 64*192) / 0.5e6 s. */
    CLOSE(at(1, VIDUR_OP_attn_pre_proj, 64, 0),
          2.0 * 64 * 192 * 128 / 0.5e6 * 1e3 + 5e-3);
    /* One token is bound by reading the weights: 2*(128 + 192*128 + 192)/0.8e6 s
     * against 2*192*128/0.5e6 s. */
    struct vidur_device_sku fast = device;
    fast.peak_fp16_tflops = 1;
    struct vidur_timetable_request r = request(1);
    r.device = &fast;
    const double one = 1;
    CLOSE(vidur_roofline_ms(&r, VIDUR_OP_attn_pre_proj, &one),
          2.0 * (128 + 192 * 128 + 192) / 0.5e6 * 1e3 + 5e-3);
    CLOSE(at(1, VIDUR_OP_attn_post_proj, 32, 0),
          2.0 * 32 * 128 * 128 / 0.5e6 * 1e3 + 5e-3);
    CLOSE(at(1, VIDUR_OP_mlp_up_proj, 32, 0),
          2.0 * 32 * 1024 * 128 / 0.5e6 * 1e3 + 5e-3);
    CLOSE(at(1, VIDUR_OP_mlp_down_proj, 32, 0),
          2.0 * 32 * 512 * 128 / 0.5e6 * 1e3 + 5e-3);
    /* TP 4 replicates the two KV heads over four devices: one each. */
    CLOSE(at(4, VIDUR_OP_attn_pre_proj, 64, 0),
          2.0 * 64 * ((2 + 2 * 1) * 16) * 128 / 0.5e6 * 1e3 + 5e-3);
    CLOSE(at(4, VIDUR_OP_mlp_down_proj, 32, 0),
          2.0 * 32 * 128 * 128 / 0.5e6 * 1e3 + 5e-3);
}

static void test_elementwise(void)
{
    /* Bytes per token over 0.8e6 bytes/s, and a floor of 3 us. */
    static const struct {
        int op;
        double bytes;
    } cases[] = {{VIDUR_OP_attn_rope, 2 * 2 * (128 + 32)},
                 {VIDUR_OP_attn_kv_cache_save, 2 * 4 * 32},
                 {VIDUR_OP_mlp_act, 2 * 3 * 512},
                 {VIDUR_OP_input_layernorm, 2 * 2 * 128},
                 {VIDUR_OP_post_attention_layernorm, 2 * 2 * 128},
                 {VIDUR_OP_add, 2 * 3 * 128}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CLOSE(at(1, cases[i].op, 10, 0), 10 * cases[i].bytes / 0.8e6 * 1e3 + 3e-3);
        CLOSE(at(1, cases[i].op, 0, 0), 3e-3);
    }
    struct vidur_model_spec plain = model;
    struct vidur_timetable_request r = request(1);
    const double ten = 10;
    plain.use_gated_mlp = false;
    r.model = &plain;
    CLOSE(vidur_roofline_ms(&r, VIDUR_OP_mlp_act, &ten),
          10 * 2 * 2 * 512 / 0.8e6 * 1e3 + 3e-3);
    CLOSE(vidur_roofline_ms(&r, VIDUR_OP_mlp_up_proj, &ten),
          2.0 * 10 * 512 * 128 / 0.5e6 * 1e3 + 5e-3);
}

static void test_attention(void)
{
    /* Decode: 3 contexts of 100 tokens, keys and values of 2 heads of 16. */
    CLOSE(at(1, VIDUR_OP_attn_decode, 3, 100),
          3 * 100 * 2.0 * 2 * 2 * 16 / 0.4e6 * 1e3 + 7e-3);
    CLOSE(at(1, VIDUR_OP_attn_decode, 3, 0), 7e-3);
    /* Prefill: 20 tokens behind 100 attend to 20 * 100 + 20 * 20 / 2 pairs. */
    CLOSE(at(1, VIDUR_OP_attn_prefill, 100, 400),
          4.0 * 8 * 16 * (20 * 100 + 200) / 0.25e6 * 1e3 + 7e-3);
    CLOSE(at(2, VIDUR_OP_attn_prefill, 100, 400),
          4.0 * 4 * 16 * (20 * 100 + 200) / 0.25e6 * 1e3 + 7e-3);
}

static void test_links(void)
{
    const double bytes = 64 * 128 * 2;
    /* Two devices share a fast link, 4e9 bytes/s: 2 (n-1)/n = 1. */
    CLOSE(at(2, VIDUR_OP_all_reduce, 64, 0), bytes / 4e9 * 1e3 + 2e-3);
    /* Four cross pairs: 1e9 bytes/s. */
    CLOSE(at(4, VIDUR_OP_all_reduce, 64, 0), 1.5 * bytes / 1e9 * 1e3 + 2e-3);
    /* Eight cross nodes: 0.5e9 bytes/s. */
    CLOSE(at(8, VIDUR_OP_all_reduce, 64, 0), 1.75 * bytes / 0.5e9 * 1e3 + 9e-3);

    CLOSE(at(1, VIDUR_OP_send_recv, 64, 0), bytes / 4e9 * 1e3 + 2e-3);
    CLOSE(at(2, VIDUR_OP_send_recv, 64, 0), bytes / 1e9 * 1e3 + 2e-3);
    struct vidur_timetable_request r = request(2);
    const double tokens = 64;
    r.multi_node = true;
    CLOSE(vidur_roofline_ms(&r, VIDUR_OP_send_recv, &tokens),
          bytes / 0.5e9 * 1e3 + 9e-3);
    struct vidur_node_sku joined = node;
    joined.pairwise = false;
    r = request(4);
    r.node = &joined;
    CLOSE(vidur_roofline_ms(&r, VIDUR_OP_all_reduce, &tokens),
          1.5 * bytes / 4e9 * 1e3 + 2e-3);
    CLOSE(vidur_roofline_ms(&r, VIDUR_OP_send_recv, &tokens), bytes / 4e9 * 1e3 + 2e-3);
}

static void test_no_roofline_for_cpu_overheads(void)
{
    for (int op = VIDUR_FIRST_CPU_OPERATOR; op < VIDUR_NUM_TOKEN_OPERATORS; op++)
        CU_ASSERT(isnan(at(1, op, 4, 0)));
}

/* ---- The profile ---- */

static void test_profile_has_what_is_run(void)
{
    struct vidur_model_spec parallel = model;
    parallel.post_attn_norm = false;
    struct vidur_timetable_request r = request(1);
    struct vidur_profile *profile;
    r.pipeline = false;
    r.model = &parallel;
    CU_ASSERT_EQUAL_FATAL(vidur_profile_roofline(&profile, &r, NULL), 0);
    for (int op = 0; op < VIDUR_NUM_OPERATORS; op++) {
        const bool absent =
            op == VIDUR_OP_all_reduce || op == VIDUR_OP_send_recv ||
            op == VIDUR_OP_post_attention_layernorm || op == VIDUR_OP_mlp_experts ||
            (op >= VIDUR_FIRST_CPU_OPERATOR && op < VIDUR_NUM_TOKEN_OPERATORS);
        CU_ASSERT_EQUAL(profile->operators[op].num_rows == 0, absent);
    }
    vidur_profile_free(profile);
    r = request(2);
    CU_ASSERT_EQUAL_FATAL(vidur_profile_roofline(&profile, &r, NULL), 0);
    CU_ASSERT(profile->operators[VIDUR_OP_all_reduce].num_rows > 0);
    CU_ASSERT(profile->operators[VIDUR_OP_send_recv].num_rows > 0);
    CU_ASSERT(profile->operators[VIDUR_OP_post_attention_layernorm].num_rows > 0);
    vidur_profile_free(profile);
}

static void test_samples_are_the_formula(void)
{
    const struct vidur_timetable_request r = request(2);
    struct vidur_profile *profile;
    CU_ASSERT_EQUAL_FATAL(vidur_profile_roofline(&profile, &r, NULL), 0);
    for (int op = 0; op < VIDUR_NUM_OPERATORS; op++) {
        const struct vidur_samples *samples = &profile->operators[op];
        bool equal = true;
        for (int64_t i = 0; i < samples->num_rows; i++) {
            const double features[2] = {
                samples->features[0][i],
                samples->num_features > 1 ? samples->features[1][i] : 0};
            equal = equal &&
                    samples->target_ms[i] == vidur_roofline_ms(&r, op, features) &&
                    samples->target_ms[i] > 0;
        }
        CU_ASSERT_TRUE(equal);
        if (samples->num_rows > 0)
            CU_ASSERT_STRING_EQUAL(samples->source, "roofline");
    }
    vidur_profile_free(profile);
}

static bool has(const struct vidur_samples *samples, int feature, double value)
{
    for (int64_t i = 0; i < samples->num_rows; i++)
        if (samples->features[feature][i] == value)
            return true;
    return false;
}

/* Every multiple of 8 that a batch of up to 1024 tokens is rounded to, and the powers
 * of two that people configure, are sampled. */
static void test_sampled_values(void)
{
    const struct vidur_timetable_request r = request(1);
    struct vidur_profile *profile;
    CU_ASSERT_EQUAL_FATAL(vidur_profile_roofline(&profile, &r, NULL), 0);
    const struct vidur_samples *tokens = &profile->operators[VIDUR_OP_attn_rope];
    const struct vidur_samples *decode = &profile->operators[VIDUR_OP_attn_decode];
    const struct vidur_samples *prefill = &profile->operators[VIDUR_OP_attn_prefill];
    for (int64_t i = 1; i < tokens->num_rows; i++)
        CU_ASSERT(tokens->features[0][i] > tokens->features[0][i - 1]);
    for (double n = 8; n <= 1024; n += 8)
        CU_ASSERT_TRUE(has(tokens, 0, n));
    for (double n = 1; n <= 8388608; n *= 2)
        CU_ASSERT_TRUE(has(tokens, 0, n));
    for (double n = 1; n <= 4096; n *= 2)
        CU_ASSERT_TRUE(has(decode, 0, n));
    CU_ASSERT_TRUE(has(decode, 1, 0));
    CU_ASSERT_TRUE(has(prefill, 0, 0));
    for (double n = 64; n <= 131072; n *= 2) {
        CU_ASSERT_TRUE(has(decode, 1, n));
        CU_ASSERT_TRUE(has(prefill, 0, n));
        CU_ASSERT_TRUE(has(prefill, 1, n * n));
    }
    vidur_profile_free(profile);
}

/* ---- Comparing and fitting ---- */

static void test_the_roofline_agrees_with_itself(void)
{
    const struct vidur_timetable_request r = request(2);
    struct vidur_profile *profile;
    struct vidur_roofline_error errors[VIDUR_NUM_OPERATORS];
    CU_ASSERT_EQUAL_FATAL(vidur_profile_roofline(&profile, &r, NULL), 0);
    const struct vidur_roofline_case one = {.request = r, .profile = profile};
    CU_ASSERT_EQUAL(vidur_roofline_compare(errors, &one, 1, NULL), 0);
    for (int op = 0; op < VIDUR_NUM_OPERATORS; op++) {
        CU_ASSERT_EQUAL(errors[op].rows, profile->operators[op].num_rows);
        if (errors[op].rows == 0)
            continue;
        CU_ASSERT_EQUAL(errors[op].mape, 0);
        CU_ASSERT_EQUAL(errors[op].median_ape, 0);
        CU_ASSERT_EQUAL(errors[op].median_ratio, 1);
    }
    /* Measured twice as slow: off by half. A measured zero counts 100 %. */
    for (int64_t i = 0; i < profile->operators[VIDUR_OP_add].num_rows; i++)
        profile->operators[VIDUR_OP_add].target_ms[i] *= 2;
    profile->operators[VIDUR_OP_attn_rope].target_ms[0] = 0;
    CU_ASSERT_EQUAL(vidur_roofline_compare(errors, &one, 1, NULL), 0);
    CU_ASSERT_DOUBLE_EQUAL(errors[VIDUR_OP_add].mape, 50, 1e-9);
    CU_ASSERT_DOUBLE_EQUAL(errors[VIDUR_OP_add].median_ratio, 0.5, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(errors[VIDUR_OP_attn_rope].mape,
                           100.0 / (double)errors[VIDUR_OP_attn_rope].rows, 1e-9);
    vidur_profile_free(profile);
}

/* Samples made with known efficiencies give them back, from a wrong start. */
static void test_fit_finds_the_truth(void)
{
    struct vidur_device_sku fitted = device;
    struct vidur_node_sku fitted_node = node;
    struct vidur_timetable_request r = request(2);
    struct vidur_profile *profile;
    fitted.peak_fp16_tflops = 100; /* so that small GEMMs are bound by bandwidth */
    fitted.memory_bandwidth_gb_per_s = 1000;
    fitted.roofline.gemm_efficiency = 0.71;
    fitted.roofline.memory_efficiency = 0.83;
    fitted.roofline.attention_prefill_efficiency = 0.37;
    fitted.roofline.attention_decode_efficiency = 0.59;
    fitted_node.link_efficiency = 0.46;
    r.device = &fitted;
    r.node = &fitted_node;
    CU_ASSERT_EQUAL_FATAL(vidur_profile_roofline(&profile, &r, NULL), 0);
    /* Collectives on one link only, so that one number explains them. */
    vidur_samples_release(&profile->operators[VIDUR_OP_send_recv]);
    const struct vidur_roofline_case one = {.request = r, .profile = profile};
    fitted.roofline = device.roofline;
    fitted_node.link_efficiency = 0.9;
    vidur_roofline_fit(&fitted, &fitted_node, &one, 1);
    CU_ASSERT_DOUBLE_EQUAL(fitted.roofline.gemm_efficiency, 0.71, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(fitted.roofline.memory_efficiency, 0.83, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(fitted.roofline.attention_prefill_efficiency, 0.37, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(fitted.roofline.attention_decode_efficiency, 0.59, 1e-12);
    CU_ASSERT_DOUBLE_EQUAL(fitted_node.link_efficiency, 0.46, 1e-12);
    vidur_profile_free(profile);
}

static void test_fit_without_samples_changes_nothing(void)
{
    struct vidur_device_sku fitted = device;
    struct vidur_node_sku fitted_node = node;
    struct vidur_profile *profile = vidur_profile_create(NULL);
    CU_ASSERT_FATAL(profile != NULL);
    const struct vidur_roofline_case one = {.request = request(2), .profile = profile};
    vidur_roofline_fit(&fitted, &fitted_node, &one, 1);
    CU_ASSERT_EQUAL(memcmp(&fitted.roofline, &device.roofline, sizeof device.roofline),
                    0);
    CU_ASSERT_EQUAL(fitted_node.link_efficiency, node.link_efficiency);
    vidur_profile_free(profile);
}

VIDUR_TEST_MAIN("roofline", {"gemms", test_gemms}, {"element-wise", test_elementwise},
                {"attention", test_attention}, {"links", test_links},
                {"no roofline for CPU overheads", test_no_roofline_for_cpu_overheads},
                {"profile has what is run", test_profile_has_what_is_run},
                {"samples are the formula", test_samples_are_the_formula},
                {"sampled values", test_sampled_values},
                {"the roofline agrees with itself",
                 test_the_roofline_agrees_with_itself},
                {"fit finds the truth", test_fit_finds_the_truth},
                {"fit without samples changes nothing",
                 test_fit_without_samples_changes_nothing})
