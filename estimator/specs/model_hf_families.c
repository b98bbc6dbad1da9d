#include "specs/model_hf_parts.h"

#include <string.h>

/*
 * The defaults are those of transformers' configuration classes (version 4.57, Gemma 4:
 * 5.0); a part of a multimodal configuration is saved without them. Families that are
 * not listed read as Llama does, and their configurations in full.
 */
static const struct hf_family families[] = {
    /* dense */
    {.model_type = "llama",
     .hidden = 4096,
     .layers = 32,
     .q_heads = 32,
     .mlp = 11008,
     .vocab = 32000,
     .context = 2048},
    {.model_type = "mistral",
     .windows = HF_WINDOWS_ALL,
     .window = 4096,
     .hidden = 4096,
     .layers = 32,
     .q_heads = 32,
     .kv_heads = 8,
     .mlp = 14336,
     .vocab = 32000,
     .context = 131072},
    {.model_type = "ministral3"},
    {.model_type = "qwen2",
     .window = 4096,
     .max_window_layers = 28,
     .hidden = 4096,
     .layers = 32,
     .q_heads = 32,
     .mlp = 22016,
     .vocab = 151936,
     .context = 32768},
    {.model_type = "qwen3",
     .window = 4096,
     .max_window_layers = 28,
     .hidden = 4096,
     .layers = 32,
     .q_heads = 32,
     .head_dim = 128,
     .mlp = 22016,
     .vocab = 151936,
     .context = 32768},
    {.model_type = "qwen2_vl_text"},
    {.model_type = "qwen2_5_vl_text"},
    {.model_type = "qwen3_vl_text",
     .hidden = 4096,
     .layers = 32,
     .q_heads = 32,
     .head_dim = 128,
     .mlp = 22016,
     .vocab = 151936,
     .context = 128000},
    {.model_type = "phi3", .windows = HF_WINDOWS_ALL},
    {.model_type = "granite"},
    {.model_type = "smollm3"},
    {.model_type = "olmo"},
    {.model_type = "olmo2", .qk_norm_all_heads = true},
    {.model_type = "olmo3",
     .qk_norm_all_heads = true,
     .windows = HF_WINDOWS_PATTERN,
     .window = 4096,
     .pattern = 4},
    {.model_type = "exaone"},
    {.model_type = "exaone4", .windows = HF_WINDOWS_PATTERN},
    {.model_type = "internlm2"},
    {.model_type = "internlm3"},
    {.model_type = "stablelm"},
    {.model_type = "glm"},
    {.model_type = "glm4"},
    {.model_type = "seed_oss"},
    {.model_type = "gemma", .tied = true, .head_dim = 256},
    {.model_type = "gemma2",
     .tied = true,
     .windows = HF_WINDOWS_PATTERN,
     .window = 4096,
     .pattern = 2,
     .head_dim = 256,
     .hidden = 2304,
     .layers = 26,
     .q_heads = 8,
     .kv_heads = 4,
     .mlp = 9216,
     .vocab = 256000,
     .context = 8192},
    {.model_type = "gemma3_text",
     .tied = true,
     .windows = HF_WINDOWS_PATTERN,
     .window = 4096,
     .pattern = 6,
     .hidden = 2304,
     .layers = 26,
     .q_heads = 8,
     .kv_heads = 4,
     .head_dim = 256,
     .mlp = 9216,
     .vocab = 262208,
     .context = 131072},
    {.model_type = "gemma4_text",
     .tied = true,
     .windows = HF_WINDOWS_PATTERN,
     .window = 512,
     .pattern = 6,
     .shared = HF_SHARED_MLP,
     .hidden = 2304,
     .layers = 30,
     .q_heads = 8,
     .kv_heads = 4,
     .head_dim = 256,
     .mlp = 9216,
     .vocab = 262144,
     .context = 131072,
     .global_head_dim = 512},
    {.model_type = "cohere", .parallel_block = true, .tied = true},
    {.model_type = "cohere2",
     .parallel_block = true,
     .tied = true,
     .windows = HF_WINDOWS_PATTERN,
     .window = 4096,
     .pattern = 4},
    {.model_type = "phi",
     .plain_mlp = true,
     .parallel_block = true,
     .max_tensor_parallel_size = 1},
    {.model_type = "gpt_neox", .plain_mlp = true, .parallel_block = true},
    {.model_type = "starcoder2",
     .plain_mlp = true,
     .tied = true,
     .windows = HF_WINDOWS_ALL},
    {.model_type = "nemotron", .plain_mlp = true},
    {.model_type = "arcee", .plain_mlp = true},
    /* experts */
    {.model_type = "mixtral",
     .windows = HF_WINDOWS_ALL,
     .hidden = 4096,
     .layers = 32,
     .q_heads = 32,
     .kv_heads = 8,
     .mlp = 14336,
     .vocab = 32000,
     .context = 131072,
     .experts = 8,
     .per_token = 2},
    {.model_type = "qwen2_moe",
     .window = 4096,
     .max_window_layers = 28,
     .experts = 60,
     .per_token = 4,
     .expert_dim = 1408,
     .shared_dim = 5632},
    {.model_type = "qwen3_moe",
     .window = 4096,
     .kv_heads = 4,
     .experts = 128,
     .per_token = 8,
     .expert_dim = 768},
    {.model_type = "qwen3_vl_moe_text",
     .hidden = 2048,
     .layers = 24,
     .q_heads = 16,
     .mlp = 5632,
     .vocab = 151936,
     .context = 128000,
     .experts = 60,
     .per_token = 4,
     .expert_dim = 1408},
    {.model_type = "glm4_moe",
     .kv_heads = 8,
     .experts = 128,
     .per_token = 8,
     .expert_dim = 1408,
     .num_shared = 1,
     .first_dense = 1},
    {.model_type = "minimax_m2", .qk_norm_all_heads = true},
    {.model_type = "olmoe", .qk_norm_all_heads = true, .experts = 64, .per_token = 8},
    {.model_type = "phimoe", .windows = HF_WINDOWS_ALL, .experts = 16, .per_token = 2},
    {.model_type = "dbrx", .experts = 4, .per_token = 1},
    {.model_type = "granitemoe", .experts = 8, .per_token = 2},
    {.model_type = "granitemoeshared", .experts = 8, .per_token = 2},
    {.model_type = "ernie4_5_moe",
     .tied = true,
     .kv_heads = 4,
     .experts = 64,
     .per_token = 6,
     .expert_dim = 1536,
     .num_shared = 2,
     .first_dense = 1},
    {.model_type = "gpt_oss",
     .windows = HF_WINDOWS_PATTERN,
     .window = 128,
     .pattern = 2,
     .kv_heads = 8,
     .head_dim = 64,
     .experts = 128,
     .per_token = 4},
    {.model_type = "llama4_text",
     .shared = HF_SHARED_ONE,
     .hidden = 5120,
     .layers = 48,
     .q_heads = 40,
     .kv_heads = 8,
     .head_dim = 128,
     .mlp = 8192,
     .dense_mlp = 16384,
     .vocab = 202048,
     .context = 131072,
     .experts = 16,
     .per_token = 1},
    {.model_type = "deepseek"},
    /* latent attention */
    {.model_type = "deepseek_v2", .latent = true},
    {.model_type = "deepseek_v3", .latent = true, .first_dense = 3, .num_shared = 1},
    {.model_type = "kimi_k2", .latent = true, .first_dense = 3, .num_shared = 1},
    {.model_type = "deepseek_v32", .latent = true, .first_dense = 3, .num_shared = 1},
    {.model_type = "glm_moe_dsa", .latent = true, .first_dense = 3, .num_shared = 1},
    {.model_type = "glm4_moe_lite", .latent = true, .first_dense = 1, .num_shared = 1},
};

const struct hf_family *hf_family_of(const char *model_type)
{
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++)
        if (strcmp(families[i].model_type, model_type) == 0)
            return &families[i];
    return NULL;
}

/* ---- What is not built ---- */

#define STATE_SPACE "state-space layers (Mamba)"
#define LINEAR      "linear attention"

static const struct {
    const char *model_type, *missing;
} refused_types[] = {
    {"mamba", STATE_SPACE},
    {"mamba2", STATE_SPACE},
    {"falcon_mamba", STATE_SPACE},
    {"falcon_h1", STATE_SPACE " beside attention"},
    {"jamba", STATE_SPACE " between attention layers"},
    {"bamba", STATE_SPACE " between attention layers"},
    {"zamba", STATE_SPACE " between attention layers"},
    {"zamba2", STATE_SPACE " between attention layers"},
    {"nemotron_h", STATE_SPACE " between attention layers"},
    {"granitemoehybrid", STATE_SPACE " between attention layers"},
    {"recurrent_gemma", "recurrent layers (RG-LRU)"},
    {"rwkv", "recurrent layers (RWKV)"},
    {"rwkv5", "recurrent layers (RWKV)"},
    {"rwkv6", "recurrent layers (RWKV)"},
    {"rwkv7", "recurrent layers (RWKV)"},
    {"qwen3_next", LINEAR " (gated delta networks)"},
    {"qwen3_5", LINEAR " (gated delta networks)"},
    {"qwen3_5_text", LINEAR " (gated delta networks)"},
    {"qwen3_5_moe", LINEAR " (gated delta networks)"},
    {"qwen3_5_moe_text", LINEAR " (gated delta networks)"},
    {"kimi_linear", LINEAR " (KDA)"},
    {"kimi_k3", LINEAR " (KDA)"},
    {"minimax", LINEAR " (lightning attention)"},
    {"minimax_text_01", LINEAR " (lightning attention)"},
    {"lfm2", "short convolutions in place of attention"},
    {"lfm2_moe", "short convolutions in place of attention"},
    {"minimax_m3", "block-sparse attention over grouped KV heads"},
    {"deepseek_v4", "hyper-connections and compressed attention"},
    {"deepseek_ref", "hyper-connections and compressed attention"},
    {"gemma3n", "per-layer embeddings and KV caches shared by layers"},
    {"gemma3n_text", "per-layer embeddings and KV caches shared by layers"},
    {"jetmoe", "experts of attention heads"},
    {"arctic", "a residual of its own for the MLP beside the experts"},
    {"longcat_flash", "two attention blocks a layer and experts without weights"},
    {"mllama", "cross-attention layers"},
    {"mllama_text_model", "cross-attention layers"},
    {"deci", "a configuration of its own for every layer"},
    {"nemotron-nas", "a configuration of its own for every layer"},
};

/* Keys that only configurations of other layers have, whatever their type. */
static const struct {
    const char *key, *missing;
} refused_keys[] = {
    {"linear_attn_config", LINEAR},
    {"linear_num_key_heads", LINEAR},
    {"lin_conv_dim", LINEAR},
    {"hybrid_override_pattern", STATE_SPACE " between attention layers"},
    {"layers_block_type", "layers of several blocks"},
    {"attn_layer_period", STATE_SPACE " between attention layers"},
    {"ssm_state_size", STATE_SPACE},
    {"ssm_cfg", STATE_SPACE},
    {"mamba_d_state", STATE_SPACE},
    {"mamba_num_heads", STATE_SPACE},
    {"compress_ratios", "compressed attention"},
    {"hc_mult", "hyper-connections"},
    {"sparse_attention_config", "block-sparse attention"},
    {"cross_attention_layers", "cross-attention layers"},
    {"block_configs", "a configuration of its own for every layer"},
    {"num_kv_shared_layers", "KV caches shared by layers"},
    {"hidden_size_per_layer_input", "per-layer embeddings"},
    {"use_double_wide_mlp", "MLPs of two widths"},
    {"attn_output_gate", "gated attention"},
};

static int refuse_key(const struct vidur_json_node *text, const char *key,
                      const char *missing, struct vidur_error *err)
{
    const struct vidur_json_node node = vidur_json_get(text, key);
    double number;
    bool flag;
    if (!hf_is_there(&node) ||
        (!vidur_json_as_double(&node, &number, NULL) && number == 0) ||
        (!vidur_json_as_bool(&node, &flag, NULL) && !flag))
        return 0;
    return vidur_json_fail(&node, err, "%s: not built", missing);
}

/* attn_type_list: 1 is full attention, 0 linear. */
static int refuse_attention_list(const struct vidur_json_node *text,
                                 struct vidur_error *err)
{
    const struct vidur_json_node list = vidur_json_get(text, "attn_type_list");
    for (int i = 0; i < vidur_json_count(&list); i++) {
        const struct vidur_json_node item = vidur_json_item(&list, i);
        int type = 0;
        if (vidur_json_as_int(&item, &type, err))
            return -1;
        if (type != 1)
            return vidur_json_fail(&item, err, "%d: " LINEAR ", which is not built",
                                   type);
    }
    return 0;
}

static int refuse_type(const struct vidur_json_node *object, struct vidur_error *err)
{
    const struct vidur_json_node node = vidur_json_get(object, "model_type");
    const char *type = hf_is_there(&node) ? vidur_json_as_string(&node, err) : "";
    if (!type)
        return -1;
    for (size_t i = 0; i < sizeof refused_types / sizeof refused_types[0]; i++)
        if (strcmp(type, refused_types[i].model_type) == 0)
            return vidur_json_fail(&node, err,
                                   "%s has %s: not built; supported are decoders of "
                                   "grouped-query or latent attention with MLPs or "
                                   "experts",
                                   type, refused_types[i].missing);
    return 0;
}

int hf_refuse(const struct vidur_json_node *object, struct vidur_error *err)
{
    if (refuse_type(object, err))
        return -1;
    for (size_t i = 0; i < sizeof refused_keys / sizeof refused_keys[0]; i++)
        if (refuse_key(object, refused_keys[i].key, refused_keys[i].missing, err))
            return -1;
    return refuse_attention_list(object, err);
}
