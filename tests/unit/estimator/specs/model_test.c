#include <vidur/shard.h>

#include "temp_dir.h"
#include "test.h"

#include <string.h>

static struct temp_dir dir;

/* ---- Specs of data/models ---- */

static void test_known_models(void)
{
    /* SIMULATOR.md section 1 */
    static const struct {
        const char *name;
        int layers, q, kv, dim, hidden;
    } expected[] = {{"meta-llama/Llama-2-7b-hf", 32, 32, 32, 4096, 11008},
                    {"meta-llama/Llama-2-70b-hf", 80, 64, 8, 8192, 28672},
                    {"meta-llama/Meta-Llama-3-8B", 32, 32, 8, 4096, 14336},
                    {"meta-llama/Meta-Llama-3-70B", 80, 64, 8, 8192, 28672},
                    {"codellama/CodeLlama-34b-Instruct-hf", 48, 64, 8, 8192, 22016},
                    {"internlm/internlm-20b", 60, 40, 40, 5120, 13824},
                    {"internlm/internlm2-20b", 48, 48, 8, 6144, 16384},
                    {"Qwen/Qwen-72B", 80, 64, 64, 8192, 24576},
                    {"Qwen/Qwen-2-7B", 28, 28, 4, 3584, 18944},
                    {"microsoft/phi-2", 32, 32, 32, 2560, 10240}};
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        struct vidur_model_spec model;
        struct vidur_error err = {0};
        CU_ASSERT_EQUAL(vidur_model_load(&model, expected[i].name, &err), 0);
        CU_ASSERT_STRING_EQUAL(err.text, "");
        CU_ASSERT_STRING_EQUAL(model.name, expected[i].name);
        CU_ASSERT_EQUAL(model.num_layers, expected[i].layers);
        CU_ASSERT_EQUAL(model.kinds[0].num_q_heads, expected[i].q);
        CU_ASSERT_EQUAL(model.kinds[0].num_kv_heads, expected[i].kv);
        CU_ASSERT_EQUAL(model.embedding_dim, expected[i].dim);
        CU_ASSERT_EQUAL(model.kinds[0].mlp_hidden_dim, expected[i].hidden);
        CU_ASSERT_EQUAL(model.kinds[0].head_dim, expected[i].dim / expected[i].q);
        const bool phi = strstr(expected[i].name, "phi") != NULL;
        CU_ASSERT_EQUAL(model.use_gated_mlp, !phi);
        CU_ASSERT_EQUAL(model.post_attn_norm, !phi);
        CU_ASSERT_EQUAL(model.max_tensor_parallel_size, phi ? 1 : 0);
    }
}

/* Weights of all layers, embedding and head. */
static double parameters(const struct vidur_model_spec *m)
{
    const struct vidur_cut whole = {.tensor = 1, .pipeline = 1};
    struct vidur_shard shard;
    double sum =
        (m->tie_word_embeddings ? 1.0 : 2.0) * m->vocab_size * m->embedding_dim;
    vidur_shard_of(&shard, m, &whole);
    for (int i = 0; i < shard.num_kinds; i++) {
        const struct vidur_shard_layers *l = &shard.layers[i];
        sum += l->count * (double)(l->attention_weights + l->mlp_weights +
                                   l->expert_weights + l->router_weights);
    }
    return sum;
}

/* Of models with experts, windows or latent attention: the last kind; parameters in
 * 10^9 as published, of Kimi, Llama 4 and GLM with parts that are not counted here. */
static void test_models_of_today(void)
{
    static const struct {
        const char *name;
        int layers, kinds, q, kv, dim, experts, per_token;
        double parameters;
        const char *precision;
    } expected[] = {
        {"meta-llama/Llama-3.1-8B", 32, 1, 32, 8, 4096, 0, 0, 8.03, "bf16"},
        {"meta-llama/Llama-3.1-70B", 80, 1, 64, 8, 8192, 0, 0, 70.6, "bf16"},
        {"meta-llama/Llama-3.1-405B", 126, 1, 128, 8, 16384, 0, 0, 405, "bf16"},
        {"meta-llama/Llama-3.3-70B-Instruct", 80, 1, 64, 8, 8192, 0, 0, 70.6, "bf16"},
        {"Qwen/Qwen3-8B", 36, 1, 32, 8, 4096, 0, 0, 8.2, "bf16"},
        {"Qwen/Qwen3-14B", 40, 1, 40, 8, 5120, 0, 0, 14.8, "bf16"},
        {"Qwen/Qwen3-32B", 64, 1, 64, 8, 5120, 0, 0, 32.8, "bf16"},
        {"Qwen/Qwen3-30B-A3B", 48, 1, 32, 4, 2048, 128, 8, 30.5, "bf16"},
        {"Qwen/Qwen3-235B-A22B", 94, 1, 64, 4, 4096, 128, 8, 235, "bf16"},
        {"mistralai/Mistral-Small-3.2-24B-Instruct-2506", 40, 1, 32, 8, 5120, 0, 0,
         23.6, "bf16"},
        {"google/gemma-3-27b-it", 62, 2, 32, 16, 5376, 0, 0, 27, "bf16"},
        {"mistralai/Mixtral-8x7B-v0.1", 32, 1, 32, 8, 4096, 8, 2, 46.7, "bf16"},
        {"openai/gpt-oss-20b", 24, 2, 64, 8, 2880, 32, 4, 20.9, "bf16, experts mxfp4"},
        {"openai/gpt-oss-120b", 36, 2, 64, 8, 2880, 128, 4, 116.8,
         "bf16, experts mxfp4"},
        {"deepseek-ai/DeepSeek-V3", 61, 2, 128, 1, 7168, 256, 8, 671, "fp8_block"},
        {"deepseek-ai/DeepSeek-R1", 61, 2, 128, 1, 7168, 256, 8, 671, "fp8_block"},
        {"moonshotai/Kimi-K2-Instruct", 61, 2, 64, 1, 7168, 384, 8, 1040, "fp8_block"},
        {"moonshotai/Kimi-K2.5", 61, 2, 64, 1, 7168, 384, 8, 1040,
         "bf16, experts int4"},
        {"meta-llama/Llama-4-Scout-17B-16E-Instruct", 48, 1, 40, 8, 5120, 16, 1, 109,
         "bf16"},
        {"meta-llama/Llama-4-Maverick-17B-128E-Instruct", 48, 2, 40, 8, 5120, 128, 1,
         400, "bf16"},
        {"zai-org/GLM-4.5", 92, 2, 96, 8, 5120, 160, 8, 355, "bf16"},
        {"zai-org/GLM-4.6", 92, 2, 96, 8, 5120, 160, 8, 355, "bf16"},
        {"MiniMaxAI/MiniMax-M2.5", 62, 1, 48, 8, 3072, 256, 8, 229, "fp8_block"},
    };
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        struct vidur_model_spec m;
        struct vidur_error err = {0};
        char precision[128];
        CU_ASSERT_EQUAL(vidur_model_load(&m, expected[i].name, &err), 0);
        CU_ASSERT_STRING_EQUAL(err.text, "");
        CU_ASSERT_STRING_EQUAL(m.name, expected[i].name);
        const struct vidur_layer_kind *last = &m.kinds[m.num_kinds - 1];
        CU_ASSERT_EQUAL(m.num_layers, expected[i].layers);
        CU_ASSERT_EQUAL(m.num_kinds, expected[i].kinds);
        CU_ASSERT_EQUAL(last->num_q_heads, expected[i].q);
        CU_ASSERT_EQUAL(last->num_kv_heads, expected[i].kv);
        CU_ASSERT_EQUAL(m.embedding_dim, expected[i].dim);
        CU_ASSERT_EQUAL(last->num_experts, expected[i].experts);
        CU_ASSERT_EQUAL(last->experts_per_token, expected[i].per_token);
        CU_ASSERT_EQUAL(last->window_tokens, 0);
        CU_ASSERT_TRUE(m.use_gated_mlp);
        vidur_precision_describe(&m.precision, precision, sizeof precision);
        CU_ASSERT_STRING_EQUAL(precision, expected[i].precision);
        CU_ASSERT_DOUBLE_EQUAL(parameters(&m) / 1e9, expected[i].parameters,
                               0.015 * expected[i].parameters);
    }
}

static void test_variants(void)
{
    static const struct {
        const char *name, *base, *precision;
    } expected[] = {
        {"nvidia/Llama-3.1-70B-Instruct-FP8", "meta-llama/Llama-3.1-70B",
         "fp8, KV cache fp8"},
        {"nvidia/Llama-3.3-70B-Instruct-FP8", "meta-llama/Llama-3.3-70B-Instruct",
         "fp8"},
        {"nvidia/Llama-3.3-70B-Instruct-NVFP4", "meta-llama/Llama-3.3-70B-Instruct",
         "nvfp4"},
        {"Qwen/Qwen3-32B-FP8", "Qwen/Qwen3-32B", "fp8_block"},
        {"nvidia/Qwen3-32B-NVFP4", "Qwen/Qwen3-32B", "nvfp4, KV cache fp8"},
        {"nvidia/Qwen3-30B-A3B-NVFP4", "Qwen/Qwen3-30B-A3B", "nvfp4, KV cache fp8"},
        {"Qwen/Qwen3-235B-A22B-FP8", "Qwen/Qwen3-235B-A22B", "fp8_block"},
        {"nvidia/Qwen3-235B-A22B-NVFP4", "Qwen/Qwen3-235B-A22B", "nvfp4, KV cache fp8"},
        {"nvidia/DeepSeek-V3-0324-NVFP4", "deepseek-ai/DeepSeek-V3",
         "nvfp4, attention bf16"},
        {"nvidia/Kimi-K2.5-NVFP4", "moonshotai/Kimi-K2.5",
         "nvfp4, attention bf16, KV cache fp8"},
        {"nvidia/MiniMax-M2.5-NVFP4", "MiniMaxAI/MiniMax-M2.5",
         "bf16, experts nvfp4, KV cache fp8"},
    };
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        struct vidur_model_spec m, base;
        struct vidur_error err = {0};
        char precision[128];
        CU_ASSERT_EQUAL(vidur_model_load(&m, expected[i].name, &err), 0);
        CU_ASSERT_STRING_EQUAL(err.text, "");
        CU_ASSERT_STRING_EQUAL(m.name, expected[i].name);
        CU_ASSERT_EQUAL(vidur_model_load(&base, expected[i].base, &err), 0);
        CU_ASSERT_EQUAL(memcmp(m.kinds, base.kinds, sizeof m.kinds), 0);
        CU_ASSERT_EQUAL(m.vocab_size, base.vocab_size);
        vidur_precision_describe(&m.precision, precision, sizeof precision);
        CU_ASSERT_STRING_EQUAL(precision, expected[i].precision);
    }
}

static void test_file_name_is_enough(void)
{
    struct vidur_model_spec model;
    CU_ASSERT_EQUAL(vidur_model_load(&model, "llama-2-70b-hf", NULL), 0);
    CU_ASSERT_STRING_EQUAL(model.name, "meta-llama/Llama-2-70b-hf");
}

static void test_unknown_name_gives_the_nearest(void)
{
    struct vidur_model_spec model;
    struct vidur_error err = {0};
    CU_ASSERT_EQUAL(vidur_model_load(&model, "meta-llama/Llama-2-70-hf", &err), -1);
    assert_contains(err.text, "'llama-2-70b-hf'");
    CU_ASSERT_EQUAL(vidur_model_load(&model, "", &err), -1);
    CU_ASSERT_EQUAL(vidur_model_load(&model, "no/such/file.yaml", &err), -1);
    CU_ASSERT_EQUAL(err.code, VIDUR_EIO);
    assert_contains(err.text, "no/such/file.yaml");
}

/* ---- YAML ---- */

static int load_text(struct vidur_model_spec *model, const char *name, const char *text,
                     struct vidur_error *err)
{
    const struct temp_path path = temp_dir_write(&dir, name, text);
    memset(err, 0, sizeof *err);
    return vidur_model_load(model, path.text, err);
}

static void test_yaml_defaults(void)
{
    struct vidur_model_spec m;
    struct vidur_error err;
    CU_ASSERT_EQUAL(load_text(&m, "m.yaml",
                              "name: a/b\nnum_layers: 2\nnum_q_heads: 4\n"
                              "embedding_dim: 64\nmlp_hidden_dim: 128\n"
                              "vocab_size: 100\nmax_position_embeddings: 512\n"
                              "use_gated_mlp: true\n",
                              &err),
                    0);
    CU_ASSERT_EQUAL(m.kinds[0].num_kv_heads, 4);
    CU_ASSERT_EQUAL(m.kinds[0].head_dim, 16);
    CU_ASSERT_TRUE(m.post_attn_norm);
    CU_ASSERT_FALSE(m.tie_word_embeddings);
}

static void test_yaml_errors(void)
{
#define REST                                                                           \
    "num_layers: 2\nnum_q_heads: 4\nembedding_dim: 64\nvocab_size: 100\n"              \
    "max_position_embeddings: 512\nuse_gated_mlp: true\n"
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"name: x\n" REST, "mlp_hidden_dim: missing"},
        {"mlp_hidden_dim: 8\n" REST, "name: missing"},
        {"name: x\nmlp_hidden_dim: 8\nhidden: 3\n" REST, "hidden"},
        {"name: x\nmlp_hidden_dim: 0\n" REST, "mlp_hidden_dim"},
        {"name: x\nmlp_hidden_dim: -3\n" REST, "mlp_hidden_dim"},
        {"name: x\nmlp_hidden_dim: many\n" REST, "mlp_hidden_dim"},
        {"name: x\nmlp_hidden_dim: 99999999999999\n" REST, "mlp_hidden_dim"},
        {"name: x\nmlp_hidden_dim: 8\nnum_kv_heads: 3\n" REST,
         "num_q_heads: 4 is not a multiple of num_kv_heads 3"},
        {"name: x\nmlp_hidden_dim: 8\nnum_q_heads: 5\nnum_layers: 2\n"
         "embedding_dim: 64\nvocab_size: 100\nmax_position_embeddings: 512\n"
         "use_gated_mlp: true\n",
         "embedding_dim: 64 is not a multiple of num_q_heads 5; head_dim must be"},
        {"name: x\nmlp_hidden_dim: 8\nleading_kinds: 1\n" REST,
         "leading_kinds: 1 of 1 kinds of layers"},
        {"[1, 2]\n", "keys with values"},
        {"name: {\n", "y.yaml:"},
        {"", "name: missing"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct vidur_model_spec m;
        struct vidur_error err;
        CU_ASSERT_EQUAL(load_text(&m, "y.yaml", cases[i].text, &err), -1);
        assert_contains(err.text, cases[i].message);
        assert_contains(err.text, "y.yaml");
    }
#undef REST
}

#define BASE                                                                           \
    "name: a/base\nnum_layers: 2\nnum_q_heads: 4\nembedding_dim: 64\n"                 \
    "mlp_hidden_dim: 128\nvocab_size: 100\nmax_position_embeddings: 512\n"             \
    "use_gated_mlp: true\nnote: of the base\nprecision: {weights: fp8, kv_cache: "     \
    "fp8}\n"

/* A variant may name a known model or a file beside it, or be one of a variant. */
static void test_variants_of_files(void)
{
    struct vidur_model_spec m;
    struct vidur_error err;
    char precision[128];
    temp_dir_write(&dir, "base.yaml", BASE);
    temp_dir_write(&dir, "mid.yaml",
                   "variant_of: base.yaml\nname: a/mid\nprecision: nvfp4\n");
    CU_ASSERT_EQUAL(load_text(&m, "top.yaml",
                              "variant_of: mid.yaml\nname: a/top\nnote: mine\n"
                              "precision: {attention: bf16}\n",
                              &err),
                    0);
    CU_ASSERT_STRING_EQUAL(err.text, "");
    CU_ASSERT_STRING_EQUAL(m.name, "a/top");
    CU_ASSERT_STRING_EQUAL(m.note, "mine");
    CU_ASSERT_EQUAL(m.kinds[0].mlp_hidden_dim, 128);
    CU_ASSERT_EQUAL(m.kinds[0].count, 2);
    vidur_precision_describe(&m.precision, precision, sizeof precision);
    CU_ASSERT_STRING_EQUAL(precision, "nvfp4, attention bf16, KV cache fp8");
    CU_ASSERT_EQUAL(load_text(&m, "of-known.yaml",
                              "variant_of: microsoft/phi-2\nname: x\nprecision: int4\n",
                              &err),
                    0);
    CU_ASSERT_EQUAL(m.precision.weights, VIDUR_DTYPE_int4);
    CU_ASSERT_FALSE(m.use_gated_mlp);
}

static void test_variant_errors(void)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"variant_of: v.yaml\nname: x\nprecision: fp8\n", "is a variant of itself"},
        {"variant_of: w.yaml\nname: x\nprecision: fp8\n", "is a variant of itself"},
        {"variant_of: absent.yaml\nname: x\nprecision: fp8\n", "v.yaml:1: variant_of"},
        {"variant_of: microsoft/phi-3\nname: x\nprecision: fp8\n", "'phi-2'"},
        {"variant_of: microsoft/phi-2\nname: x\n", "precision: missing"},
        {"variant_of: microsoft/phi-2\nprecision: fp8\n", "name: missing"},
        {"variant_of: microsoft/phi-2\nname: x\nprecision: fp9\n", "'fp9'"},
        {"variant_of: microsoft/phi-2\nname: x\nprecision: fp8\nnum_layers: 3\n",
         "num_layers"},
        {"variant_of: [1]\nname: x\nprecision: fp8\n", "variant_of"},
    };
    temp_dir_write(&dir, "w.yaml", "variant_of: v.yaml\nname: x\nprecision: fp8\n");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct vidur_model_spec m;
        struct vidur_error err;
        CU_ASSERT_EQUAL(load_text(&m, "v.yaml", cases[i].text, &err), -1);
        assert_contains(err.text, cases[i].message);
        assert_contains(err.text, "v.yaml");
    }
}

static void test_checks(void)
{
    struct vidur_model_spec m;
    struct vidur_error err = {0};
    CU_ASSERT_EQUAL(vidur_model_load(&m, "meta-llama/Llama-2-7b-hf", NULL), 0);
    CU_ASSERT_EQUAL(vidur_model_check(&m, &err), 0);
    m.embedding_dim = 0;
    CU_ASSERT_EQUAL(vidur_model_check(&m, &err), -1);
    assert_contains(err.text, "embedding_dim: missing");
    m.embedding_dim = 4096;
    m.max_tensor_parallel_size = -1;
    CU_ASSERT_EQUAL(vidur_model_check(&m, &err), -1);
    assert_contains(err.text, "max_tensor_parallel_size");
}

static void test_context(void)
{
    struct vidur_model_spec m;
    char text[160];
    CU_ASSERT_EQUAL(vidur_model_load(&m, "microsoft/phi-2", NULL), 0);
    vidur_model_describe_context(&m, "max_seq_len", 2048, text, sizeof text);
    CU_ASSERT_STRING_EQUAL(text, "");
    vidur_model_describe_context(&m, "max_seq_len", 2049, text, sizeof text);
    assert_contains(text, "max_seq_len 2049 is beyond the context of ");
    assert_contains(text, "phi-2, 2048 tokens");
}

static void set_up(void)
{
    temp_dir_make(&dir);
}

static void clean_up(void)
{
    temp_dir_remove(&dir);
}

VIDUR_TEST_MAIN("model", {"set up", set_up}, {"known models", test_known_models},
                {"models of today", test_models_of_today}, {"variants", test_variants},
                {"file name is enough", test_file_name_is_enough},
                {"unknown name gives the nearest", test_unknown_name_gives_the_nearest},
                {"yaml defaults", test_yaml_defaults},
                {"yaml errors", test_yaml_errors},
                {"variants of files", test_variants_of_files},
                {"variant errors", test_variant_errors}, {"checks", test_checks},
                {"context", test_context}, {"clean up", clean_up})
