#include <vidur/model.h>

#include "temp_dir.h"
#include "test.h"

#include <string.h>

/* config.json files of Hugging Face. */

static struct temp_dir dir;

static int load_text(struct vidur_model_spec *model, const char *name, const char *text,
                     struct vidur_error *err)
{
    const struct temp_path path = temp_dir_write(&dir, name, text);
    memset(err, 0, sizeof *err);
    return vidur_model_load(model, path.text, err);
}

#define HF_SIZES                                                                       \
    "\"hidden_size\": 4096, \"num_hidden_layers\": 32, \"num_attention_heads\": 32, "  \
    "\"intermediate_size\": 14336, \"vocab_size\": 128256, "                           \
    "\"max_position_embeddings\": 8192"

static void test_hf_llama(void)
{
    struct vidur_model_spec m, spec;
    struct vidur_error err;
    CU_ASSERT_EQUAL(load_text(&m, "hf/config.json",
                              "{\"architectures\": [\"LlamaForCausalLM\"], "
                              "\"_name_or_path\": \"meta-llama/Meta-Llama-3-8B\", "
                              "\"model_type\": \"llama\", \"hidden_act\": \"silu\", "
                              "\"num_key_value_heads\": 8, "
                              "\"tie_word_embeddings\": false, " HF_SIZES "}",
                              &err),
                    0);
    CU_ASSERT_STRING_EQUAL(err.text, "");
    CU_ASSERT_EQUAL(vidur_model_load(&spec, "meta-llama/Meta-Llama-3-8B", NULL), 0);
    CU_ASSERT_STRING_EQUAL(m.name, spec.name);
    CU_ASSERT_EQUAL(m.num_layers, spec.num_layers);
    CU_ASSERT_EQUAL(m.kinds[0].num_q_heads, spec.kinds[0].num_q_heads);
    CU_ASSERT_EQUAL(m.kinds[0].num_kv_heads, spec.kinds[0].num_kv_heads);
    CU_ASSERT_EQUAL(m.kinds[0].head_dim, spec.kinds[0].head_dim);
    CU_ASSERT_EQUAL(m.embedding_dim, spec.embedding_dim);
    CU_ASSERT_EQUAL(m.kinds[0].mlp_hidden_dim, spec.kinds[0].mlp_hidden_dim);
    CU_ASSERT_EQUAL(m.vocab_size, spec.vocab_size);
    CU_ASSERT_EQUAL(m.max_position_embeddings, spec.max_position_embeddings);
    CU_ASSERT_EQUAL(m.use_gated_mlp, spec.use_gated_mlp);
    CU_ASSERT_EQUAL(m.post_attn_norm, spec.post_attn_norm);
    CU_ASSERT_EQUAL(m.tie_word_embeddings, spec.tie_word_embeddings);
}

static void test_hf_defaults_and_families(void)
{
    static const struct {
        const char *extra;
        int kv, head_dim;
        bool gated, norm, tied;
    } cases[] = {
        {"\"hidden_act\": \"silu\"", 32, 128, true, true, false},
        {"\"hidden_act\": \"silu\", \"num_key_value_heads\": null", 32, 128, true, true,
         false},
        {"\"hidden_act\": \"gelu\"", 32, 128, false, true, false},
        {"\"hidden_act\": \"silu\", \"head_dim\": 64, \"tie_word_embeddings\": true",
         32, 64, true, true, true},
        {"\"model_type\": \"gemma\", \"hidden_act\": \"gelu_pytorch_tanh\"", 32, 256,
         true, true, true},
        {"\"hidden_act\": \"swiglu\"", 32, 128, true, true, false},
        {"\"model_type\": \"llama\"", 32, 128, true, true, false},
        {"\"model_type\": \"mistral\", \"hidden_act\": \"silu\"", 8, 128, true, true,
         false},
        {"\"model_type\": \"cohere2\", \"hidden_act\": \"silu\"", 32, 128, true, false,
         true},
        {"\"model_type\": \"phi\", \"hidden_act\": \"gelu_new\"", 32, 128, false, false,
         false},
        {"\"hidden_act\": \"gelu\", \"parallel_attn\": true", 32, 128, false, false,
         false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[1024];
        struct vidur_model_spec m;
        struct vidur_error err;
        snprintf(text, sizeof text, "{%s, " HF_SIZES "}", cases[i].extra);
        CU_ASSERT_EQUAL(load_text(&m, "some-model/config.json", text, &err), 0);
        CU_ASSERT_STRING_EQUAL(err.text, "");
        CU_ASSERT_STRING_EQUAL(m.name, "some-model");
        CU_ASSERT_EQUAL(m.kinds[0].num_kv_heads, cases[i].kv);
        CU_ASSERT_EQUAL(m.kinds[0].head_dim, cases[i].head_dim);
        CU_ASSERT_EQUAL(m.use_gated_mlp, cases[i].gated);
        CU_ASSERT_EQUAL(m.post_attn_norm, cases[i].norm);
        CU_ASSERT_EQUAL(m.tie_word_embeddings, cases[i].tied);
    }
}

static void test_hf_multimodal_reads_the_text_model(void)
{
    struct vidur_model_spec m;
    struct vidur_error err;
    CU_ASSERT_EQUAL(load_text(&m, "vision/config.json",
                              "{\"vision_config\": {\"hidden_size\": 1}, "
                              "\"text_config\": {\"hidden_act\": \"silu\", " HF_SIZES
                              "}}",
                              &err),
                    0);
    CU_ASSERT_EQUAL(m.embedding_dim, 4096);
}

/* Every key that is needed is named when it is missing, all of them at once. */
static void test_hf_missing_keys(void)
{
    static const char *const members[] = {
        "\"hidden_size\": 4096",       "\"num_hidden_layers\": 32",
        "\"num_attention_heads\": 32", "\"intermediate_size\": 14336",
        "\"vocab_size\": 128256",      "\"max_position_embeddings\": 8192",
        "\"hidden_act\": \"silu\""};
    const int count = (int)(sizeof members / sizeof members[0]);
    struct vidur_model_spec m;
    struct vidur_error err;
    for (int missing = 0; missing < count; missing++) {
        char text[1024] = "{\"model_type\": \"lama\"", key[64];
        for (int i = 0; i < count; i++)
            if (i != missing) {
                strcat(text, ", ");
                strcat(text, members[i]);
            }
        strcat(text, "}");
        sscanf(members[missing], "\"%63[^\"]", key);
        CU_ASSERT_EQUAL(load_text(&m, "hf/config.json", text, &err), -1);
        assert_contains(err.text, key);
        assert_contains(err.text, "missing");
    }
    CU_ASSERT_EQUAL(load_text(&m, "hf/config.json",
                              "{\"model_type\": \"mixtral\", \"vocab_size\": 9}", &err),
                    -1);
    assert_contains(
        err.text, "hf/config.json: hidden_size, num_hidden_layers, "
                  "max_position_embeddings, num_attention_heads, "
                  "moe_intermediate_size: missing; a decoder-only model's config.json "
                  "has them");
    CU_ASSERT_EQUAL(load_text(&m, "hf/config.json",
                              "{\"quantization\": {\"quant_algo\": 1}}", &err),
                    -1);
    assert_contains(err.text, "name the config.json beside it");
}

static void test_hf_refusals(void)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"{\"hidden_act\": \"silu\", \"num_local_experts\": 8, " HF_SIZES "}",
         "num_experts_per_tok: missing"},
        {"{\"model_type\": \"mamba\", \"hidden_size\": 768}",
         "model_type: mamba has state-space layers (Mamba): not built"},
        {"{\"model_type\": \"qwen3_next\", " HF_SIZES "}",
         "linear attention (gated delta networks): not built"},
        {"{\"model_type\": \"new\", \"linear_num_key_heads\": 16, " HF_SIZES "}",
         "linear_num_key_heads: linear attention: not built"},
        {"{\"model_type\": \"new\", \"hidden_size_per_layer_input\": 256, " HF_SIZES
         "}",
         "hidden_size_per_layer_input: per-layer embeddings: not built"},
        {"{\"model_type\": \"minimax_m2\", \"attn_type_list\": [1, 0], " HF_SIZES "}",
         "attn_type_list.1: 0: linear attention, which is not built"},
        {"{\"model_type\": \"glm4_moe\", \"n_shared_experts\": 16777216, " HF_SIZES "}",
         "n_shared_experts: 16777216; shared experts are few"},
        {"{\"model_type\": \"llama\", \"hidden_size\": 8, \"num_hidden_layers\": 5000, "
         "\"num_attention_heads\": 2, \"intermediate_size\": 8, \"vocab_size\": 8, "
         "\"max_position_embeddings\": 8}",
         "num_hidden_layers: 5000; at most 4096 are read"},
        {"{\"model_type\": \"new\", \"kv_lora_rank\": 512, " HF_SIZES "}",
         "kv_lora_rank: latent attention of a model type that is not known"},
        {"{\"model_type\": \"llama\", \"layer_types\": "
         "[\"linear_attention\"], " HF_SIZES "}",
         "layer_types: 1 elements for 32 layers"},
        {"{\"hidden_act\": \"silu\", \"num_key_value_heads\": 0, " HF_SIZES "}",
         "num_key_value_heads: 0; 1 or more"},
        {"{\"hidden_act\": \"silu\", \"head_dim\": -1, " HF_SIZES "}",
         "head_dim: -1; 1 or more"},
        {"{\"hidden_act\": \"silu\", \"is_encoder_decoder\": true, " HF_SIZES "}",
         "decoder-only"},
        {"{\"hidden_act\": 3, " HF_SIZES "}", "hidden_act"},
        {"{\"hidden_act\": \"silu\", \"num_key_value_heads\": \"8\", " HF_SIZES "}",
         "num_key_value_heads"},
        {"{\"hidden_act\": \"silu\", \"num_key_value_heads\": 5, " HF_SIZES "}",
         "not a multiple"},
        {"{\"hidden_act\": \"silu\", " HF_SIZES, "config.json"},
        {"[]", "hidden_size"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct vidur_model_spec m;
        struct vidur_error err;
        CU_ASSERT_EQUAL(load_text(&m, "hf/config.json", cases[i].text, &err), -1);
        assert_contains(err.text, cases[i].message);
    }
}

/* ---- Kinds of layers ---- */

/* Twelve layers; `extra` ends with a comma. */
static int load_layers(struct vidur_model_spec *m, const char *extra,
                       struct vidur_error *err)
{
    char text[2048];
    snprintf(text, sizeof text,
             "{%s \"hidden_size\": 1024, \"num_hidden_layers\": 12, "
             "\"num_attention_heads\": 16, \"intermediate_size\": 4096, "
             "\"vocab_size\": 1000, \"max_position_embeddings\": 8192}",
             extra);
    return load_text(m, "hf/config.json", text, err);
}

#define TYPE(name) "\"model_type\": \"" name "\", "

/* How many layers see a window, and of how many tokens. */
static void test_windows(void)
{
    static const struct {
        const char *extra;
        int windowed, tokens;
    } cases[] = {
        {TYPE("qwen2") "\"sliding_window\": 512, \"use_sliding_window\": false,", 0, 0},
        {TYPE("qwen2") "\"sliding_window\": 512, \"use_sliding_window\": true, "
                       "\"max_window_layers\": 8,",
         4, 512},
        {TYPE("qwen2") "\"sliding_window\": 512,", 0, 0},
        {TYPE("new") "\"hidden_act\": \"silu\", \"sliding_window\": 512,", 0, 0},
        {TYPE("mistral"), 12, 4096},
        {TYPE("mistral") "\"sliding_window\": null,", 0, 0},
        {TYPE("mixtral") "\"sliding_window\": 512,", 12, 512},
        {TYPE("gemma2"), 6, 4096},
        {TYPE("gemma3_text") "\"sliding_window\": 1024,", 10, 1024},
        {TYPE("gemma3_text") "\"sliding_window_pattern\": 3,", 8, 4096},
        {TYPE(
             "exaone4") "\"sliding_window\": 64, \"sliding_window_pattern\": \"LLLG\",",
         9, 64},
        {TYPE("exaone4") "\"sliding_window\": null,", 0, 0},
        {TYPE("gpt_oss"), 6, 128},
        {TYPE("llama") "\"sliding_window\": 256, \"layer_types\": [\"full_attention\", "
                       "\"sliding_attention\", \"full_attention\", \"full_attention\", "
                       "\"full_attention\", \"full_attention\", \"full_attention\", "
                       "\"full_attention\", \"full_attention\", \"full_attention\", "
                       "\"full_attention\", \"sliding_attention\"],",
         2, 256},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct vidur_model_spec m;
        struct vidur_error err;
        int windowed = 0;
        CU_ASSERT_EQUAL(load_layers(&m, cases[i].extra, &err), 0);
        CU_ASSERT_STRING_EQUAL(err.text, "");
        for (int k = 0; k < m.num_kinds; k++)
            if (m.kinds[k].window_tokens > 0) {
                windowed += m.kinds[k].count;
                CU_ASSERT_EQUAL(m.kinds[k].window_tokens, cases[i].tokens);
            }
        CU_ASSERT_EQUAL(windowed, cases[i].windowed);
        CU_ASSERT(m.num_kinds <= 2);
    }
    struct vidur_model_spec m;
    struct vidur_error err;
    CU_ASSERT_EQUAL(load_layers(&m,
                                TYPE("exaone4") "\"sliding_window\": 64, "
                                                "\"sliding_window_pattern\": \"LX\",",
                                &err),
                    -1);
    assert_contains(err.text, "\"LX\"; L (local) and G (global)");
}

/* Experts by every name of their keys, and where they are. */
static void test_experts(void)
{
    static const struct {
        const char *extra;
        int layers, experts, per_token, dim, shared, dense_dim;
    } cases[] = {
        {TYPE("mixtral"), 12, 8, 2, 4096, 0, 0},
        {TYPE("qwen3_moe") "\"num_experts\": 16, \"moe_intermediate_size\": 256,", 12,
         16, 8, 256, 0, 0},
        {TYPE("qwen3_moe") "\"mlp_only_layers\": [0, 3],", 10, 128, 8, 768, 0, 4096},
        {TYPE("qwen2_moe") "\"decoder_sparse_step\": 2,", 6, 60, 4, 1408, 5632, 4096},
        {TYPE("qwen2_moe") "\"shared_expert_intermediate_size\": 99,", 12, 60, 4, 1408,
         99, 0},
        {TYPE("deepseek") "\"n_routed_experts\": 64, \"num_experts_per_tok\": 6, "
                          "\"moe_intermediate_size\": 128, \"n_shared_experts\": 2, "
                          "\"first_k_dense_replace\": 1,",
         11, 64, 6, 128, 256, 4096},
        {TYPE("deepseek") "\"n_routed_experts\": 64, \"num_experts_per_tok\": 6, "
                          "\"moe_intermediate_size\": 128, \"moe_layer_freq\": 2,",
         6, 64, 6, 128, 0, 4096},
        {TYPE("minimax_m2") "\"num_local_experts\": 32, \"num_experts_per_tok\": 4, "
                            "\"shared_intermediate_size\": 0,",
         12, 32, 4, 4096, 0, 0},
        {TYPE("new") "\"hidden_act\": \"silu\", \"num_experts\": 4, \"moe_top_k\": 2, "
                     "\"moe_layer_freq\": [0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1],",
         10, 4, 2, 4096, 0, 4096},
        {TYPE("llama4_text") "\"intermediate_size_mlp\": 8000, "
                             "\"interleave_moe_layer_step\": 2,",
         6, 16, 1, 4096, 4096, 8000},
        {TYPE("llama4_text") "\"intermediate_size_mlp\": 8000, \"moe_layers\": [5],", 1,
         16, 1, 4096, 4096, 8000},
        {TYPE("gemma4_text") "\"enable_moe_block\": true, \"num_experts\": 8, "
                             "\"top_k_experts\": 2, \"moe_intermediate_size\": 64,",
         12, 8, 2, 64, 4096, 0},
        {TYPE("gemma4_text") "\"enable_moe_block\": false, \"num_experts\": null,", 0,
         0, 0, 0, 0, 4096},
        {TYPE("glm4_moe") "\"head_dim\": 128,", 11, 128, 8, 1408, 1408, 4096},
        {TYPE("ernie4_5_moe") "\"moe_layer_end_index\": 10,", 10, 64, 6, 1536, 3072,
         4096},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct vidur_model_spec m;
        struct vidur_error err;
        int layers = 0;
        CU_ASSERT_EQUAL(load_layers(&m, cases[i].extra, &err), 0);
        CU_ASSERT_STRING_EQUAL(err.text, "");
        for (int k = 0; k < m.num_kinds; k++) {
            const struct vidur_layer_kind *kind = &m.kinds[k];
            if (kind->num_experts == 0) {
                CU_ASSERT_EQUAL(kind->mlp_hidden_dim, cases[i].dense_dim);
                continue;
            }
            layers += kind->count;
            CU_ASSERT_EQUAL(kind->num_experts, cases[i].experts);
            CU_ASSERT_EQUAL(kind->experts_per_token, cases[i].per_token);
            CU_ASSERT_EQUAL(kind->expert_hidden_dim, cases[i].dim);
            CU_ASSERT_EQUAL(kind->mlp_hidden_dim, cases[i].shared);
        }
        CU_ASSERT_EQUAL(layers, cases[i].layers);
    }
}

/* Kinds whose layers all come first lead; those in turns do not. */
static void test_leading_kinds(void)
{
    static const struct {
        const char *extra;
        int leading;
    } cases[] = {
        {TYPE("mixtral"), 0},
        {TYPE("glm4_moe") "\"head_dim\": 128,", 1},
        {TYPE("new") "\"hidden_act\": \"silu\", \"num_experts\": 4, \"moe_top_k\": 2, "
                     "\"moe_layer_freq\": [0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1],",
         1},
        {TYPE("llama4_text") "\"intermediate_size_mlp\": 8000, "
                             "\"interleave_moe_layer_step\": 2,",
         0},
        {TYPE("qwen3_moe") "\"mlp_only_layers\": [0, 3],", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct vidur_model_spec m;
        struct vidur_error err;
        CU_ASSERT_EQUAL(load_layers(&m, cases[i].extra, &err), 0);
        CU_ASSERT_EQUAL(m.leading_kinds, cases[i].leading);
    }
}

/* dbrx has names of its own for everything. */
static void test_dbrx(void)
{
    struct vidur_model_spec m;
    struct vidur_error err;
    CU_ASSERT_EQUAL(
        load_text(&m, "hf/config.json",
                  "{" TYPE("dbrx") "\"d_model\": 6144, \"n_heads\": 48, "
                                   "\"n_layers\": 40, \"max_seq_len\": 32768, "
                                   "\"vocab_size\": 100352, "
                                   "\"attn_config\": {\"kv_n_heads\": 8}, "
                                   "\"ffn_config\": {\"moe_num_experts\": 16, "
                                   "\"moe_top_k\": 4, "
                                   "\"ffn_hidden_size\": 10752}}",
                  &err),
        0);
    CU_ASSERT_STRING_EQUAL(err.text, "");
    CU_ASSERT_EQUAL(m.num_layers, 40);
    CU_ASSERT_EQUAL(m.embedding_dim, 6144);
    CU_ASSERT_EQUAL(m.max_position_embeddings, 32768);
    CU_ASSERT_EQUAL(m.kinds[0].num_kv_heads, 8);
    CU_ASSERT_EQUAL(m.kinds[0].num_experts, 16);
    CU_ASSERT_EQUAL(m.kinds[0].experts_per_token, 4);
    CU_ASSERT_EQUAL(m.kinds[0].expert_hidden_dim, 10752);
}

#define LATENT                                                                         \
    "\"kv_lora_rank\": 512, \"qk_rope_head_dim\": 64, \"qk_nope_head_dim\": 128, "     \
    "\"v_head_dim\": 96, "

static void test_latent_attention(void)
{
    struct vidur_model_spec m;
    struct vidur_error err;
    CU_ASSERT_EQUAL(
        load_layers(&m, TYPE("deepseek_v2") "\"q_lora_rank\": null," LATENT, &err), 0);
    CU_ASSERT_STRING_EQUAL(err.text, "");
    CU_ASSERT_EQUAL(m.num_kinds, 1);
    CU_ASSERT_EQUAL(m.kinds[0].attention, VIDUR_ATTENTION_MLA);
    CU_ASSERT_EQUAL(m.kinds[0].q_lora_rank, 0);
    CU_ASSERT_EQUAL(m.kinds[0].kv_lora_rank, 512);
    CU_ASSERT_EQUAL(m.kinds[0].v_head_dim, 96);
    CU_ASSERT_EQUAL(m.kinds[0].num_kv_heads, 1);
    CU_ASSERT_STRING_EQUAL(m.note, "");
    CU_ASSERT_EQUAL(
        load_layers(
            &m,
            TYPE("glm_moe_dsa") LATENT
            "\"q_lora_rank\": 768, \"index_topk\": 2048, "
            "\"index_head_dim\": 128, \"indexer_types\": [\"full\", \"shared\", "
            "\"full\", \"full\", \"full\", \"full\", \"full\", \"full\", "
            "\"full\", \"full\", \"full\", \"full\"], ",
            &err),
        0);
    CU_ASSERT_STRING_EQUAL(err.text, "");
    CU_ASSERT_EQUAL(m.num_kinds, 2);
    CU_ASSERT_EQUAL(m.kinds[0].index_tokens, 2048);
    CU_ASSERT_EQUAL(m.kinds[0].index_head_dim, 128);
    CU_ASSERT_EQUAL(m.kinds[1].count, 1);
    CU_ASSERT_EQUAL(m.kinds[1].index_head_dim, 0);
    assert_contains(m.note, "sparse attention is approximate");
    CU_ASSERT_EQUAL(load_layers(&m, TYPE("deepseek_v3"), &err), -1);
    assert_contains(err.text, "kv_lora_rank, qk_rope_head_dim, qk_nope_head_dim, "
                              "v_head_dim: missing");
}

static void test_own_heads(void)
{
    struct vidur_model_spec m;
    struct vidur_error err;
    /* 1024 / 16 is 64: Qwen3's heads are wider, and GLM's need not divide */
    CU_ASSERT_EQUAL(load_layers(&m, TYPE("qwen3"), &err), 0);
    CU_ASSERT_EQUAL(m.kinds[0].head_dim, 128);
    CU_ASSERT_FALSE(m.qk_norm_all_heads);
    CU_ASSERT_EQUAL(load_layers(&m, TYPE("olmo2"), &err), 0);
    CU_ASSERT_EQUAL(m.kinds[0].head_dim, 64);
    CU_ASSERT_TRUE(m.qk_norm_all_heads);
    CU_ASSERT_EQUAL(
        load_layers(&m,
                    TYPE("gemma4_text") "\"num_key_value_heads\": 8, "
                                        "\"attention_k_eq_v\": true, "
                                        "\"num_global_key_value_heads\": 2,",
                    &err),
        0);
    CU_ASSERT_EQUAL(m.num_kinds, 2);
    CU_ASSERT_EQUAL(m.kinds[0].head_dim, 256);
    CU_ASSERT_EQUAL(m.kinds[0].num_kv_heads, 8);
    CU_ASSERT_EQUAL(m.kinds[0].window_tokens, 512);
    CU_ASSERT_EQUAL(m.kinds[1].head_dim, 512);
    CU_ASSERT_EQUAL(m.kinds[1].num_kv_heads, 2);
    CU_ASSERT_EQUAL(m.kinds[1].count, 2);
}

/* A part is saved without what is its model type's default: Gemma 3 of 4B. */
static void test_part_has_defaults(void)
{
    struct vidur_model_spec m;
    struct vidur_error err;
    CU_ASSERT_EQUAL(
        load_text(&m, "hf/config.json",
                  "{" TYPE("gemma3") "\"text_config\": {" TYPE(
                      "gemma3_text") "\"hidden_size\": 2560, \"intermediate_size\": "
                                     "10240, \"num_hidden_layers\": 34, "
                                     "\"sliding_window\": 1024}}",
                  &err),
        0);
    CU_ASSERT_STRING_EQUAL(err.text, "");
    CU_ASSERT_EQUAL(m.kinds[0].num_q_heads, 8);
    CU_ASSERT_EQUAL(m.kinds[0].num_kv_heads, 4);
    CU_ASSERT_EQUAL(m.kinds[0].head_dim, 256);
    CU_ASSERT_EQUAL(m.vocab_size, 262208);
    CU_ASSERT_EQUAL(m.max_position_embeddings, 131072);
    CU_ASSERT_TRUE(m.tie_word_embeddings);
    CU_ASSERT_TRUE(m.use_gated_mlp);
    CU_ASSERT_EQUAL(m.kinds[0].count, 29);
    CU_ASSERT_EQUAL(m.kinds[1].count, 5);
    CU_ASSERT_STRING_EQUAL(m.note, "of a multimodal model, its language model alone");
}

/* Python's Infinity is no JSON, and a config.json may have it. */
static void test_infinity(void)
{
    struct vidur_model_spec m;
    struct vidur_error err;
    CU_ASSERT_EQUAL(
        load_layers(&m,
                    TYPE("llama") "\"limit\": [0.0, Infinity, -Infinity, NaN], "
                                  "\"_name_or_path\": \"a/\\\"Infinity\", ",
                    &err),
        0);
    CU_ASSERT_STRING_EQUAL(err.text, "");
    CU_ASSERT_STRING_EQUAL(m.name, "a/\"Infinity");
}

static void test_names(void)
{
    static const char text[] = "{\"hidden_act\": \"silu\", " HF_SIZES "}";
    struct vidur_model_spec m;
    struct vidur_error err;
    CU_ASSERT_EQUAL(load_text(&m, "hf/org--a-model.json", text, &err), 0);
    CU_ASSERT_STRING_EQUAL(m.name, "org/a-model");
    CU_ASSERT_EQUAL(load_text(&m, "hf/config.json", text, &err), 0);
    CU_ASSERT_STRING_EQUAL(m.name, "hf");
    CU_ASSERT_EQUAL(load_text(&m, "hf/a-model.json", text, &err), 0);
    CU_ASSERT_STRING_EQUAL(m.name, "a-model");
    CU_ASSERT_EQUAL(
        load_text(&m, "hf/new.json",
                  "{\"model_type\": \"new\", \"hidden_act\": \"silu\", " HF_SIZES "}",
                  &err),
        0);
    CU_ASSERT_STRING_EQUAL(m.note,
                           "model type new is not known and read as Llama's is");
}

static void set_up(void)
{
    temp_dir_make(&dir);
}

static void clean_up(void)
{
    temp_dir_remove(&dir);
}

VIDUR_TEST_MAIN("model_hf", {"set up", set_up}, {"llama", test_hf_llama},
                {"defaults and families", test_hf_defaults_and_families},
                {"multimodal", test_hf_multimodal_reads_the_text_model},
                {"missing keys", test_hf_missing_keys}, {"refusals", test_hf_refusals},
                {"windows", test_windows}, {"experts", test_experts},
                {"leading kinds", test_leading_kinds}, {"dbrx", test_dbrx},
                {"latent attention", test_latent_attention},
                {"own heads", test_own_heads}, {"a part", test_part_has_defaults},
                {"infinity", test_infinity}, {"names", test_names},
                {"clean up", clean_up})
