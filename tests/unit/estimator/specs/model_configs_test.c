#define _XOPEN_SOURCE 700 /* opendir */

#include <vidur/shard.h>

#include "test.h"

#include <dirent.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* Published configurations, each read or refused with what is missing; and what a
 * device holds of ten of them, worked out by hand. */

static const struct {
    const char *name;
    int kinds, experts;
    int kv_bytes; /* of a token, on one device */
    const char *precision;
    const char *refused; /* words of the message */
} expected[] = {
    {"MiniMaxAI--MiniMax-M2.5", 1, 256, 253952, "fp8_block", NULL},
    {"MiniMaxAI--MiniMax-M2.7", 1, 256, 253952, "fp8_block", NULL},
    {"MiniMaxAI--MiniMax-M3",
     .refused = "block-sparse attention over grouped KV heads"},
    {"Qwen--Qwen3-0.6B", 1, 0, 114688, "bf16", NULL},
    {"Qwen--Qwen3-1.7B", 1, 0, 114688, "bf16", NULL},
    {"Qwen--Qwen3-235B-A22B-FP8", 1, 128, 192512, "fp8_block", NULL},
    {"Qwen--Qwen3-235B-A22B", 1, 128, 192512, "bf16", NULL},
    {"Qwen--Qwen3-30B-A3B", 1, 128, 98304, "bf16", NULL},
    {"Qwen--Qwen3-32B-FP8-Static-PerTensor", 1, 0, 131072, "fp8, KV cache fp8", NULL},
    {"Qwen--Qwen3-32B-FP8-Static-PerTensor_hf_quant",
     .refused = "name the config.json beside it"},
    {"Qwen--Qwen3-32B-FP8", 1, 0, 262144, "fp8_block", NULL},
    {"Qwen--Qwen3-32B", 1, 0, 262144, "bf16", NULL},
    {"Qwen--Qwen3-8B", 1, 0, 147456, "bf16", NULL},
    {"Qwen--Qwen3-VL-235B-A22B-Instruct", 1, 128, 192512, "bf16", NULL},
    {"Qwen--Qwen3-VL-2B-Instruct", 1, 0, 114688, "bf16", NULL},
    {"Qwen--Qwen3-VL-32B-Instruct", 1, 0, 262144, "bf16", NULL},
    {"Qwen--Qwen3-VL-32B-Thinking", 1, 0, 262144, "bf16", NULL},
    {"Qwen--Qwen3-VL-4B-Instruct", 1, 0, 147456, "bf16", NULL},
    {"Qwen--Qwen3-VL-8B-Instruct", 1, 0, 147456, "bf16", NULL},
    {"Qwen--Qwen3.5-122B-A10B", .refused = "linear attention (gated delta networks)"},
    {"Qwen--Qwen3.5-27B", .refused = "linear attention (gated delta networks)"},
    {"Qwen--Qwen3.5-35B-A3B", .refused = "linear attention (gated delta networks)"},
    {"Qwen--Qwen3.5-397B-A17B", .refused = "linear attention (gated delta networks)"},
    {"deepseek-ai--DeepSeek-R1", 2, 256, 70272, "fp8_block", NULL},
    {"deepseek-ai--DeepSeek-V3.2", 2, 256, 78080, "fp8_block", NULL},
    {"deepseek-ai--DeepSeek-V3", 2, 256, 70272, "fp8_block", NULL},
    {"deepseek-ai--DeepSeek-V4-Flash",
     .refused = "hyper-connections and compressed attention"},
    {"deepseek-ai--DeepSeek-V4-Pro",
     .refused = "hyper-connections and compressed attention"},
    {"inference-sim--codellama-34b-instruct-hf", 1, 0, 196608, "bf16", NULL},
    {"inference-sim--llama-2-7b-hf", 1, 0, 524288, "bf16", NULL},
    {"inference-sim--qwen2.5-7b-instruct", 1, 0, 57344, "bf16", NULL},
    {"inference-sim--qwen3-14b", 1, 0, 163840, "bf16", NULL},
    {"meta-llama--Llama-4-Scout-17B-16E-Instruct", 1, 16, 196608, "bf16", NULL},
    {"meta-llama--Meta-Llama-3.1-70B", 1, 0, 327680, "bf16", NULL},
    {"meta-llama--Meta-Llama-3.1-8B", 1, 0, 131072, "bf16", NULL},
    {"mistralai--Mixtral-8x7B-v0.1", 1, 8, 131072, "bf16", NULL},
    {"moonshotai--Kimi-K2.5", 2, 384, 70272, "bf16, experts int4", NULL},
    {"moonshotai--Kimi-K3", .refused = "linear attention (KDA)"},
    {"nvidia--DeepSeek-V3.2-NVFP4", 2, 256, 42944, "nvfp4, KV cache fp8", NULL},
    {"nvidia--DeepSeek-V3.2-NVFP4_hf_quant",
     .refused = "name the config.json beside it"},
    {"nvidia--DeepSeek-V4-Flash-NVFP4",
     .refused = "hyper-connections and compressed attention"},
    {"nvidia--DeepSeek-V4-Flash-NVFP4_hf_quant",
     .refused = "name the config.json beside it"},
    {"nvidia--DeepSeek-V4-Pro-NVFP4",
     .refused = "hyper-connections and compressed attention"},
    {"nvidia--DeepSeek-V4-Pro-NVFP4_hf_quant",
     .refused = "name the config.json beside it"},
    {"nvidia--GLM-5-NVFP4", 2, 256, 54912, "nvfp4, attention bf16, KV cache fp8", NULL},
    {"nvidia--GLM-5-NVFP4_hf_quant", .refused = "name the config.json beside it"},
    {"nvidia--GLM-5.1-NVFP4", 2, 256, 54912, "bf16, experts nvfp4, KV cache fp8", NULL},
    {"nvidia--GLM-5.1-NVFP4_hf_quant", .refused = "name the config.json beside it"},
    {"nvidia--GLM-5.2-NVFP4", 3, 256, 47616, "bf16, experts nvfp4, KV cache fp8", NULL},
    {"nvidia--GLM-5.2-NVFP4_hf_quant", .refused = "name the config.json beside it"},
    {"nvidia--Gemma-4-26B-A4B-NVFP4", 2, 128, 112640,
     "bf16, experts nvfp4, KV cache fp8", NULL},
    {"nvidia--Gemma-4-26B-A4B-NVFP4_hf_quant",
     .refused = "name the config.json beside it"},
    {"nvidia--Gemma-4-31B-IT-NVFP4", 2, 0, 450560,
     "nvfp4, attention bf16, KV cache fp8", NULL},
    {"nvidia--Gemma-4-31B-IT-NVFP4_hf_quant",
     .refused = "name the config.json beside it"},
    {"nvidia--Kimi-K2.5-NVFP4", 2, 384, 35136, "nvfp4, attention bf16, KV cache fp8",
     NULL},
    {"nvidia--Kimi-K2.6-NVFP4", 2, 384, 35136, "bf16, experts nvfp4, KV cache fp8",
     NULL},
    {"nvidia--Kimi-K2.6-NVFP4_hf_quant", .refused = "name the config.json beside it"},
    {"nvidia--Kimi-K2.7-Code-NVFP4", 2, 384, 35136, "bf16, experts nvfp4, KV cache fp8",
     NULL},
    {"nvidia--Kimi-K2.7-Code-NVFP4_hf_quant",
     .refused = "name the config.json beside it"},
    {"nvidia--Llama-3.1-70B-Instruct-FP8", 1, 0, 163840, "fp8, KV cache fp8", NULL},
    {"nvidia--Llama-3.1-70B-Instruct-FP8_hf_quant",
     .refused = "name the config.json beside it"},
    {"nvidia--MiniMax-M2.5-NVFP4", 1, 256, 126976, "bf16, experts nvfp4, KV cache fp8",
     NULL},
    {"nvidia--MiniMax-M2.5-NVFP4_hf_quant",
     .refused = "name the config.json beside it"},
    {"nvidia--MiniMax-M2.7-NVFP4", 1, 256, 126976, "bf16, experts nvfp4, KV cache fp8",
     NULL},
    {"nvidia--MiniMax-M2.7-NVFP4_hf_quant",
     .refused = "name the config.json beside it"},
    {"nvidia--NVIDIA-Nemotron-3-Super-120B-A12B-FP8",
     .refused = "state-space layers (Mamba) between attention layers"},
    {"nvidia--NVIDIA-Nemotron-3-Super-120B-A12B-FP8_hf_quant",
     .refused = "name the config.json beside it"},
    {"nvidia--NVIDIA-Nemotron-3-Super-120B-A12B-NVFP4",
     .refused = "state-space layers (Mamba) between attention layers"},
    {"nvidia--NVIDIA-Nemotron-3-Super-120B-A12B-NVFP4_hf_quant",
     .refused = "name the config.json beside it"},
    {"nvidia--NVIDIA-Nemotron-3-Ultra-550B-A55B-BF16",
     .refused = "state-space layers (Mamba) between attention layers"},
    {"nvidia--NVIDIA-Nemotron-3-Ultra-550B-A55B-FP8",
     .refused = "state-space layers (Mamba) between attention layers"},
    {"nvidia--NVIDIA-Nemotron-3-Ultra-550B-A55B-FP8_hf_quant",
     .refused = "name the config.json beside it"},
    {"nvidia--NVIDIA-Nemotron-3-Ultra-550B-A55B-NVFP4",
     .refused = "state-space layers (Mamba) between attention layers"},
    {"nvidia--NVIDIA-Nemotron-3-Ultra-550B-A55B-NVFP4_hf_quant",
     .refused = "name the config.json beside it"},
    {"nvidia--NVIDIA-Nemotron-3.5-Lightning-30B-A3B-NVFP4",
     .refused = "state-space layers (Mamba) between attention layers"},
    {"nvidia--Nemotron-H-56B-Base-8K",
     .refused = "state-space layers (Mamba) between attention layers"},
    {"nvidia--Qwen3-235B-A22B-NVFP4", 1, 128, 96256, "nvfp4, KV cache fp8", NULL},
    {"nvidia--Qwen3-235B-A22B-NVFP4_hf_quant",
     .refused = "name the config.json beside it"},
    {"nvidia--Qwen3.5-122B-A10B-NVFP4",
     .refused = "linear attention (gated delta networks)"},
    {"nvidia--Qwen3.5-122B-A10B-NVFP4_hf_quant",
     .refused = "name the config.json beside it"},
    {"nvidia--Qwen3.5-397B-A17B-NVFP4",
     .refused = "linear attention (gated delta networks)"},
    {"nvidia--Qwen3.5-397B-A17B-NVFP4_hf_quant",
     .refused = "name the config.json beside it"},
    {"openai--gpt-oss-120b", 2, 128, 73728, "bf16, experts mxfp4", NULL},
    {"openai--gpt-oss-20b", 2, 32, 49152, "bf16, experts mxfp4", NULL},
    {"sgl-project--DeepSeek-V4-Flash-FP8",
     .refused = "hyper-connections and compressed attention"},
    {"sgl-project--DeepSeek-V4-Pro-FP8",
     .refused = "hyper-connections and compressed attention"},
    {"zai-org--GLM-5-FP8", 2, 256, 99840, "fp8_block", NULL},
    {"zai-org--GLM-5.1-FP8", 2, 256, 99840, "fp8_block", NULL},
    {"zai-org--GLM-5.1", 2, 256, 99840, "bf16", NULL},
    {"zai-org--GLM-5.2", 3, 256, 92544, "bf16", NULL},
    {"zai-org--GLM-5", 2, 256, 99840, "bf16", NULL},
};

enum { NUM_EXPECTED = sizeof expected / sizeof expected[0] };

static int load(const char *name, struct vidur_model_spec *model,
                struct vidur_error *err)
{
    char path[1024];
    memset(err, 0, sizeof *err);
    snprintf(path, sizeof path, "%s/models/%s.json", vidur_test_shared_dir(), name);
    return vidur_model_load(model, path, err);
}

static void check_read(int i, const struct vidur_model_spec *m)
{
    const struct vidur_cut whole = {.tensor = 1, .pipeline = 1};
    struct vidur_shard shard;
    char precision[128];
    int experts = 0;
    vidur_shard_of(&shard, m, &whole);
    vidur_precision_describe(&m->precision, precision, sizeof precision);
    for (int k = 0; k < m->num_kinds; k++)
        if (m->kinds[k].num_experts > experts)
            experts = m->kinds[k].num_experts;
    CU_ASSERT_EQUAL(m->num_kinds, expected[i].kinds);
    CU_ASSERT_EQUAL(experts, expected[i].experts);
    CU_ASSERT_EQUAL(vidur_shard_kv_bytes_per_token(&shard), expected[i].kv_bytes);
    CU_ASSERT_STRING_EQUAL(precision, expected[i].precision);
}

static void test_each(void)
{
    if (!vidur_test_shared_dir())
        vidur_test_skip_golden();
    for (int i = 0; i < NUM_EXPECTED; i++) {
        struct vidur_model_spec m;
        struct vidur_error err;
        const int status = load(expected[i].name, &m, &err);
        CU_ASSERT_EQUAL(status, expected[i].refused ? -1 : 0);
        if (status != (expected[i].refused ? -1 : 0))
            printf("\n  %s: %s\n", expected[i].name, err.text);
        else if (!expected[i].refused)
            check_read(i, &m);
        else
            CU_ASSERT_PTR_NOT_NULL(strstr(err.text, expected[i].refused));
    }
}

/* No file is forgotten. */
static void test_all(void)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/models", vidur_test_shared_dir());
    DIR *folder = opendir(path);
    CU_ASSERT_PTR_NOT_NULL_FATAL(folder);
    for (struct dirent *entry; (entry = readdir(folder));) {
        const char *end = strstr(entry->d_name, ".json");
        bool known = !end || strcmp(end, ".json") != 0;
        for (int i = 0; i < NUM_EXPECTED && !known; i++)
            known =
                strlen(expected[i].name) == (size_t)(end - entry->d_name) &&
                strncmp(entry->d_name, expected[i].name, strlen(expected[i].name)) == 0;
        CU_ASSERT_TRUE(known);
        if (!known)
            printf("\n  %s is not in the table\n", entry->d_name);
    }
    closedir(folder);
}

/*
 * Weights of a device in GiB: layers, embedding and head. B is the bytes of a weight in
 * blocks, 1 + 4 / 16384; a layer's attention is D hd (2 q + 2 kv) of a device's heads.
 *
 * Llama-3.1-70B fp8, TP 4: 80 (8192 128 (2 16 + 2 2) + 3 8192 28672 / 4)
 *   + 2 2 128256 8192 / 4 = 18,163,433,472. KV 80 2 2 128.
 * Mixtral, TP 2: 32 (2 4096 128 (2 16 + 2 4) + 2 3 4096 14336 8 / 2 + 2 4096 8)
 *   + 2 2 32000 4096 / 2. KV 32 2 4 128 2.
 * Llama-4-Scout, TP 4: 48 (2 5120 128 (2 10 + 2 2) + 2 3 5120 8192 (16 + 1) / 4
 *   + 2 5120 16) + 2 2 202048 5120 / 4. KV 48 2 2 128 2.
 * gpt-oss-120b, TP 4: 36 (2 2880 64 (2 16 + 2 2) + 0.53125 3 2880 2880 128 / 4
 *   + 2 2880 128) + 2 2 201088 2880 / 4. KV 36 2 2 64 2.
 * MiniMax-M2.5, TP 4 with whole experts: 62 (B 3072 128 (2 12 + 2 2)
 *   + B 3 3072 1536 64 + 2 3072 256) + 2 2 200064 3072 / 4. KV 62 2 2 128 2.
 * Qwen3-235B-A22B FP8, TP 4: 94 (B 4096 128 (2 16 + 2 1) + B 3 4096 1536 128 / 4
 *   + 2 4096 128) + 2 2 151936 4096 / 4. KV 94 2 1 128 2.
 * Kimi-K2.5, TP 8: attention A = 1536 (7168 + 8 192) + 7168 576 + 8 512 256
 *   + 8 128 7168; 61 2 A + 2 3 7168 18432 / 8 + 60 (2 3 7168 2048 / 8
 *   + 0.515625 3 7168 2048 384 / 8 + 2 7168 384) + 2 2 163840 7168 / 8. KV 61 576 2.
 * DeepSeek-V3, TP 8: A = 1536 (7168 + 16 192) + 7168 576 + 16 512 256 + 16 128 7168;
 *   61 B A + 3 B 3 7168 18432 / 8 + 58 (B 3 7168 2048 (1 + 256) / 8 + 2 7168 256)
 *   + 2 2 129280 7168 / 8. KV 61 576 2.
 * Qwen3-32B fp8, TP 1: 64 (5120 128 (2 64 + 2 8) + 3 5120 25600) + 2 2 151936 5120.
 *   KV 64 2 8 128.
 * Gemma-4-31B nvfp4, TP 2: 2 5376 (50 256 (2 16 + 2 8) + 10 512 (2 16 + 2 2))
 *   + 60 0.5625 3 5376 21504 / 2 + 2 262144 5376 / 2. KV 50 2 8 256 + 10 2 2 512.
 */
static void test_by_hand(void)
{
    static const struct {
        const char *name;
        struct vidur_cut cut;
        double gib;
        int kv_bytes;
    } cases[] = {
        {"nvidia--Llama-3.1-70B-Instruct-FP8", {4, 1, false, 1}, 16.9160, 40960},
        {"mistralai--Mixtral-8x7B-v0.1", {2, 1, false, 1}, 43.4961, 65536},
        {"meta-llama--Llama-4-Scout-17B-16E-Instruct",
         {4, 1, false, 1},
         50.1895,
         49152},
        {"openai--gpt-oss-120b", {4, 1, false, 1}, 15.1917, 18432},
        {"MiniMaxAI--MiniMax-M2.5", {4, 1, true, 1}, 53.6244, 63488},
        {"Qwen--Qwen3-235B-A22B-FP8", {4, 1, false, 1}, 55.1202, 48128},
        {"moonshotai--Kimi-K2.5", {8, 1, false, 1}, 65.4115, 70272},
        {"deepseek-ai--DeepSeek-V3", {8, 1, false, 1}, 79.2910, 70272},
        {"Qwen--Qwen3-32B-FP8-Static-PerTensor", {1, 1, false, 1}, 31.9604, 131072},
        {"nvidia--Gemma-4-31B-IT-NVFP4", {2, 1, false, 1}, 14.7611, 225280},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct vidur_model_spec m;
        struct vidur_error err;
        struct vidur_shard shard;
        CU_ASSERT_EQUAL_FATAL(load(cases[i].name, &m, &err), 0);
        vidur_shard_of(&shard, &m, &cases[i].cut);
        const double tables = m.tie_word_embeddings ? 1 : 2;
        const double gib = (vidur_shard_layer_bytes(&shard) +
                            tables * vidur_shard_embedding_bytes(&shard)) /
                           (1 << 30);
        CU_ASSERT_DOUBLE_EQUAL(gib, cases[i].gib, 0.0001);
        CU_ASSERT_EQUAL(vidur_shard_kv_bytes_per_token(&shard), cases[i].kv_bytes);
        if (gib - cases[i].gib > 0.0001 || cases[i].gib - gib > 0.0001)
            printf("\n  %s: %.4f GiB\n", cases[i].name, gib);
    }
}

/* The specs that ship say what these files say. */
static void test_specs_agree(void)
{
    static const struct {
        const char *file, *name;
    } cases[] = {
        {"meta-llama--Meta-Llama-3.1-8B", "meta-llama/Llama-3.1-8B"},
        {"meta-llama--Meta-Llama-3.1-70B", "meta-llama/Llama-3.1-70B"},
        {"nvidia--Llama-3.1-70B-Instruct-FP8", "nvidia/Llama-3.1-70B-Instruct-FP8"},
        {"Qwen--Qwen3-8B", "Qwen/Qwen3-8B"},
        {"inference-sim--qwen3-14b", "Qwen/Qwen3-14B"},
        {"Qwen--Qwen3-32B", "Qwen/Qwen3-32B"},
        {"Qwen--Qwen3-32B-FP8", "Qwen/Qwen3-32B-FP8"},
        {"Qwen--Qwen3-30B-A3B", "Qwen/Qwen3-30B-A3B"},
        {"Qwen--Qwen3-235B-A22B", "Qwen/Qwen3-235B-A22B"},
        {"Qwen--Qwen3-235B-A22B-FP8", "Qwen/Qwen3-235B-A22B-FP8"},
        {"nvidia--Qwen3-235B-A22B-NVFP4", "nvidia/Qwen3-235B-A22B-NVFP4"},
        {"mistralai--Mixtral-8x7B-v0.1", "mistralai/Mixtral-8x7B-v0.1"},
        {"openai--gpt-oss-20b", "openai/gpt-oss-20b"},
        {"openai--gpt-oss-120b", "openai/gpt-oss-120b"},
        {"deepseek-ai--DeepSeek-V3", "deepseek-ai/DeepSeek-V3"},
        {"deepseek-ai--DeepSeek-R1", "deepseek-ai/DeepSeek-R1"},
        {"moonshotai--Kimi-K2.5", "moonshotai/Kimi-K2.5"},
        {"nvidia--Kimi-K2.5-NVFP4", "nvidia/Kimi-K2.5-NVFP4"},
        {"meta-llama--Llama-4-Scout-17B-16E-Instruct",
         "meta-llama/Llama-4-Scout-17B-16E-Instruct"},
        {"MiniMaxAI--MiniMax-M2.5", "MiniMaxAI/MiniMax-M2.5"},
        {"nvidia--MiniMax-M2.5-NVFP4", "nvidia/MiniMax-M2.5-NVFP4"},
        {"inference-sim--codellama-34b-instruct-hf",
         "codellama/CodeLlama-34b-Instruct-hf"},
        {"inference-sim--llama-2-7b-hf", "meta-llama/Llama-2-7b-hf"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct vidur_model_spec file, spec;
        struct vidur_error err;
        CU_ASSERT_EQUAL_FATAL(load(cases[i].file, &file, &err), 0);
        CU_ASSERT_EQUAL_FATAL(vidur_model_load(&spec, cases[i].name, &err), 0);
        memcpy(file.name, spec.name, sizeof file.name);
        CU_ASSERT_STRING_EQUAL(file.note, spec.note);
        memcpy(file.note, spec.note, sizeof file.note);
        const bool equal =
            memcmp(&file, &spec, offsetof(struct vidur_model_spec, post_attn_norm)) ==
                0 &&
            file.tie_word_embeddings == spec.tie_word_embeddings &&
            file.qk_norm_all_heads == spec.qk_norm_all_heads &&
            memcmp(&file.precision, &spec.precision, sizeof file.precision) == 0;
        CU_ASSERT_TRUE(equal);
        if (!equal)
            printf("\n  %s is not as its file\n", cases[i].name);
    }
}

VIDUR_TEST_MAIN("model_configs", {"each is read or refused", test_each},
                {"all are known", test_all}, {"by hand", test_by_hand},
                {"specs agree", test_specs_agree})
