#define _XOPEN_SOURCE 700 /* realpath */

#include "specs/model_hf.h"

#include "base/json.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* What a model type means and its config.json does not say. */
struct family {
    const char *model_type;
    bool gated_mlp;
    bool parallel_block; /* attention and MLP behind one norm */
    bool tied;           /* default of tie_word_embeddings */
    int max_tensor_parallel_size;
};

static const struct family families[] = {
    {"gemma", true, false, true, 0},       {"gemma2", true, false, true, 0},
    {"gemma3_text", true, false, true, 0}, {"cohere", true, true, true, 0},
    {"phi", false, true, false, 1},        {"gpt_neox", false, true, false, 0},
    {"starcoder2", false, false, true, 0},
};

static const struct family *find_family(const char *model_type)
{
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++)
        if (model_type && strcmp(families[i].model_type, model_type) == 0)
            return &families[i];
    return NULL;
}

static int read_required(const struct vidur_json_node *root, const char *key, int *out,
                         struct vidur_error *err)
{
    struct vidur_json_node node = vidur_json_get(root, key);
    if (!vidur_json_has(root, key))
        return vidur_json_fail(&node, err,
                               "missing; a decoder-only model's config.json has it");
    return vidur_json_as_int(&node, out, err);
}

static int read_optional(const struct vidur_json_node *root, const char *key, int *out,
                         struct vidur_error *err)
{
    struct vidur_json_node node = vidur_json_get(root, key);
    return vidur_json_has(root, key) ? vidur_json_as_int(&node, out, err) : 0;
}

/* A size that follows from others where it is missing. */
static int read_derivable(const struct vidur_json_node *root, const char *key, int *out,
                          struct vidur_error *err)
{
    struct vidur_json_node node = vidur_json_get(root, key);
    if (read_optional(root, key, out, err))
        return -1;
    if (vidur_json_has(root, key) && *out < 1)
        return vidur_json_fail(&node, err,
                               "%d; 1 or more, or leave it out to derive it", *out);
    return 0;
}

static int read_sizes(const struct vidur_json_node *root,
                      struct vidur_model_spec *model, struct vidur_error *err)
{
    const struct {
        const char *key;
        int *out;
    } required[] = {{"hidden_size", &model->embedding_dim},
                    {"num_hidden_layers", &model->num_layers},
                    {"num_attention_heads", &model->kinds[0].num_q_heads},
                    {"intermediate_size", &model->kinds[0].mlp_hidden_dim},
                    {"vocab_size", &model->vocab_size},
                    {"max_position_embeddings", &model->max_position_embeddings}};
    for (size_t i = 0; i < sizeof required / sizeof required[0]; i++)
        if (read_required(root, required[i].key, required[i].out, err))
            return -1;
    if (read_derivable(root, "num_key_value_heads", &model->kinds[0].num_kv_heads, err))
        return -1;
    return read_derivable(root, "head_dim", &model->kinds[0].head_dim, err);
}

/* Keys under which published configurations state their number of experts. */
static int refuse_experts(const struct vidur_json_node *root, struct vidur_error *err)
{
    static const char *const keys[] = {"num_local_experts", "num_experts",
                                       "n_routed_experts", "moe_num_experts"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        int experts = 0;
        if (read_optional(root, keys[i], &experts, err))
            return -1;
        struct vidur_json_node node = vidur_json_get(root, keys[i]);
        if (experts > 1)
            return vidur_json_fail(&node, err,
                                   "a mixture of %d experts; only dense models are "
                                   "supported",
                                   experts);
    }
    return 0;
}

/* Model types whose layers are not attention and one MLP, whatever keys they give. */
static int refuse_types(const struct vidur_json_node *root, struct vidur_error *err)
{
    static const char *const types[] = {
        "mamba",   "mamba2",      "falcon_mamba", "falcon_h1",       "jamba",
        "bamba",   "zamba",       "zamba2",       "recurrent_gemma", "rwkv",
        "rwkv5",   "rwkv6",       "nemotron_h",   "granitemoe",      "granitemoehybrid",
        "mixtral", "qwen2_moe",   "qwen3_moe",    "deepseek_v2",     "deepseek_v3",
        "dbrx",    "phimoe",      "olmoe",        "jetmoe",          "arctic",
        "gpt_oss", "llama4_text", "glm4_moe"};
    if (!vidur_json_has(root, "model_type"))
        return 0;
    struct vidur_json_node node = vidur_json_get(root, "model_type");
    const char *type = vidur_json_as_string(&node, err);
    if (!type)
        return -1;
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (strcmp(type, types[i]) == 0)
            return vidur_json_fail(&node, err,
                                   "%s is no dense transformer (experts or state-space "
                                   "layers); only dense models are supported",
                                   type);
    return 0;
}

static int read_flag(const struct vidur_json_node *root, const char *key, bool *out,
                     struct vidur_error *err)
{
    struct vidur_json_node node = vidur_json_get(root, key);
    return vidur_json_has(root, key) ? vidur_json_as_bool(&node, out, err) : 0;
}

/* Gated (SwiGLU) where the activation is SiLU, as in Llama and its kin; families that
 * differ are in the table. */
static int read_shape(const struct vidur_json_node *root,
                      struct vidur_model_spec *model, struct vidur_error *err)
{
    struct vidur_json_node type = vidur_json_get(root, "model_type");
    const struct family *family = NULL;
    if (vidur_json_has(root, "model_type")) {
        const char *text = vidur_json_as_string(&type, err);
        if (!text)
            return -1;
        family = find_family(text);
    }
    struct vidur_json_node node = vidur_json_get(root, "hidden_act");
    if (!vidur_json_has(root, "hidden_act"))
        return vidur_json_fail(&node, err,
                               "missing; \"silu\" for a gated MLP, \"gelu\" without");
    const char *act = vidur_json_as_string(&node, err);
    if (!act)
        return -1;
    model->use_gated_mlp = family
                               ? family->gated_mlp
                               : strcmp(act, "silu") == 0 || strcmp(act, "swish") == 0;
    bool parallel = family && family->parallel_block;
    if (read_flag(root, "use_parallel_residual", &parallel, err) ||
        read_flag(root, "parallel_attn", &parallel, err))
        return -1;
    model->post_attn_norm = !parallel;
    model->max_tensor_parallel_size = family ? family->max_tensor_parallel_size : 0;
    model->tie_word_embeddings = family && family->tied;
    return read_flag(root, "tie_word_embeddings", &model->tie_word_embeddings, err);
}

/* The name of the folder that holds the file. */
static int folder_name(const char *path, char *out, size_t size)
{
    char *full = realpath(path, NULL);
    if (!full)
        return -1;
    char *slash = strrchr(full, '/');
    if (slash)
        *slash = '\0';
    const char *name = strrchr(full, '/');
    name = name ? name + 1 : full;
    bool ok = name[0] && strlen(name) < size;
    if (ok)
        memcpy(out, name, strlen(name) + 1);
    free(full);
    return ok ? 0 : -1;
}

static int read_name(const struct vidur_json_node *root, const char *path,
                     struct vidur_model_spec *model, struct vidur_error *err)
{
    struct vidur_json_node node = vidur_json_get(root, "_name_or_path");
    if (vidur_json_has(root, "_name_or_path")) {
        const char *text = vidur_json_as_string(&node, err);
        if (!text)
            return -1;
        if (text[0] && text[0] != '/' && text[0] != '.' &&
            strlen(text) < sizeof model->name) {
            memcpy(model->name, text, strlen(text) + 1);
            return 0;
        }
    }
    if (folder_name(path, model->name, sizeof model->name))
        return vidur_json_fail(&node, err,
                               "missing, and the file's folder gives no name either");
    return 0;
}

int vidur_model_read_hf(struct vidur_model_spec *model, const char *path,
                        struct vidur_error *err)
{
    struct vidur_json *doc = vidur_json_load(path, err);
    if (!doc)
        return -1;
    struct vidur_json_node top = vidur_json_root(doc);
    struct vidur_json_node root = top;
    bool encoder = false;
    int status = -1;

    if (!vidur_json_has(&top, "hidden_size") && vidur_json_has(&top, "text_config"))
        root = vidur_json_get(&top, "text_config");
    if (read_flag(&root, "is_encoder_decoder", &encoder, err))
        goto out;
    if (encoder) {
        struct vidur_json_node node = vidur_json_get(&root, "is_encoder_decoder");
        status =
            vidur_json_fail(&node, err, "only decoder-only models can be simulated");
        goto out;
    }
    if (refuse_types(&root, err) || read_sizes(&root, model, err) ||
        refuse_experts(&root, err) || read_shape(&root, model, err) ||
        read_name(&top, path, model, err))
        goto out;
    model->num_kinds = 1;
    model->kinds[0].count = model->num_layers;
    status = 0;
out:
    vidur_json_free(doc);
    return status;
}
