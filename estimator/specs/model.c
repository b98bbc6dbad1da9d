#include <vidur/model.h>

#include <vidur/paths.h>

#include "base/yaml.h"
#include "specs/model_hf.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

enum { MAX_DIMENSION = 1 << 24 }; /* products of three stay within 64 bits */

#define COUNT(key_, member_, more_flags)                                               \
    {                                                                                  \
        .key = key_, .type = VIDUR_YAML_INT,                                           \
        .flags = VIDUR_YAML_MIN | VIDUR_YAML_MAX | (more_flags),                       \
        VIDUR_YAML_AT(struct vidur_model_spec, member_), .min = 1,                     \
        .max = MAX_DIMENSION                                                           \
    }
#define SWITCH(key_, member_, more_flags)                                              \
    {                                                                                  \
        .key = key_, .type = VIDUR_YAML_BOOL, .flags = (more_flags),                   \
        VIDUR_YAML_AT(struct vidur_model_spec, member_)                                \
    }

static const struct vidur_yaml_field model_fields[] = {
    {.key = "name",
     .type = VIDUR_YAML_STRING,
     .flags = VIDUR_YAML_REQUIRED | VIDUR_YAML_FILLED,
     VIDUR_YAML_AT(struct vidur_model_spec, name)},
    {.key = "description", .type = VIDUR_YAML_ELSEWHERE},
    COUNT("num_layers", num_layers, VIDUR_YAML_REQUIRED),
    COUNT("num_q_heads", num_q_heads, VIDUR_YAML_REQUIRED),
    COUNT("num_kv_heads", num_kv_heads, 0),
    COUNT("head_dim", head_dim, 0),
    COUNT("embedding_dim", embedding_dim, VIDUR_YAML_REQUIRED),
    COUNT("mlp_hidden_dim", mlp_hidden_dim, VIDUR_YAML_REQUIRED),
    COUNT("vocab_size", vocab_size, VIDUR_YAML_REQUIRED),
    COUNT("max_position_embeddings", max_position_embeddings, VIDUR_YAML_REQUIRED),
    COUNT("max_tensor_parallel_size", max_tensor_parallel_size, 0),
    SWITCH("use_gated_mlp", use_gated_mlp, VIDUR_YAML_REQUIRED),
    SWITCH("post_attn_norm", post_attn_norm, 0),
    SWITCH("tie_word_embeddings", tie_word_embeddings, 0),
    {.key = NULL}};

static int read_yaml(struct vidur_model_spec *model, const char *path,
                     struct vidur_error *err)
{
    struct vidur_yaml *doc = vidur_yaml_load(path, err);
    if (!doc)
        return -1;
    int status = vidur_yaml_read(vidur_yaml_root(doc), model_fields, model, err);
    vidur_yaml_free(doc);
    return status;
}

/* What a spec may leave to be derived from the rest. */
static void derive(struct vidur_model_spec *model)
{
    if (model->num_kv_heads == 0)
        model->num_kv_heads = model->num_q_heads;
    if (model->head_dim == 0 && model->num_q_heads > 0)
        model->head_dim = model->embedding_dim / model->num_q_heads;
}

static bool has_suffix(const char *text, const char *suffix)
{
    size_t n = strlen(text), m = strlen(suffix);
    return n >= m && strcmp(text + n - m, suffix) == 0;
}

int vidur_model_load(struct vidur_model_spec *model, const char *reference,
                     struct vidur_error *err)
{
    struct vidur_path path;
    if (vidur_path_spec(NULL, "models", reference, &path, err))
        return -1;
    memset(model, 0, sizeof *model);
    model->post_attn_norm = true;
    int status = has_suffix(path.text, ".json")
                     ? vidur_model_read_hf(model, path.text, err)
                     : read_yaml(model, path.text, err);
    if (status)
        return -1;
    derive(model);
    if (vidur_model_check(model, err))
        return vidur_fail_prefix(err, "%s", path.text);
    return 0;
}

static int check_sizes(const struct vidur_model_spec *model, struct vidur_error *err)
{
    const struct {
        const char *name;
        int value;
    } sizes[] = {{"num_layers", model->num_layers},
                 {"num_q_heads", model->num_q_heads},
                 {"num_kv_heads", model->num_kv_heads},
                 {"head_dim", model->head_dim},
                 {"embedding_dim", model->embedding_dim},
                 {"mlp_hidden_dim", model->mlp_hidden_dim},
                 {"vocab_size", model->vocab_size},
                 {"max_position_embeddings", model->max_position_embeddings}};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        if (sizes[i].value < 1 || sizes[i].value > MAX_DIMENSION)
            return vidur_fail(err, VIDUR_EINVAL,
                              "%s: %d is not a size; it must be 1 to %d", sizes[i].name,
                              sizes[i].value, MAX_DIMENSION);
    if (model->max_tensor_parallel_size < 0)
        return vidur_fail(err, VIDUR_EINVAL,
                          "max_tensor_parallel_size: %d is negative; leave it out for "
                          "no limit",
                          model->max_tensor_parallel_size);
    return 0;
}

int vidur_model_check(const struct vidur_model_spec *model, struct vidur_error *err)
{
    if (check_sizes(model, err))
        return -1;
    if (model->embedding_dim % model->num_q_heads)
        return vidur_fail(err, VIDUR_EINVAL,
                          "embedding_dim: %d is not a multiple of num_q_heads %d",
                          model->embedding_dim, model->num_q_heads);
    if (model->num_q_heads % model->num_kv_heads)
        return vidur_fail(err, VIDUR_EINVAL,
                          "num_q_heads: %d is not a multiple of num_kv_heads %d",
                          model->num_q_heads, model->num_kv_heads);
    return 0;
}

void vidur_model_describe_context(const struct vidur_model_spec *model, const char *key,
                                  int max_tokens, char *out, size_t size)
{
    out[0] = 0;
    if (max_tokens > model->max_position_embeddings)
        snprintf(out, size,
                 "%s %d is beyond the context of %s, %d tokens: the engine refuses "
                 "longer requests",
                 key, max_tokens, model->name, model->max_position_embeddings);
}

int vidur_model_kv_heads_per_device(const struct vidur_model_spec *model,
                                    int tensor_parallel_size)
{
    return (model->num_kv_heads + tensor_parallel_size - 1) / tensor_parallel_size;
}

int64_t vidur_model_layer_params(const struct vidur_model_spec *model,
                                 int tensor_parallel_size)
{
    const int64_t tp = tensor_parallel_size;
    const int64_t per_head = (int64_t)model->embedding_dim * model->head_dim;
    const int64_t q_heads = model->num_q_heads / tp;
    const int64_t kv_heads =
        vidur_model_kv_heads_per_device(model, tensor_parallel_size);
    const int64_t matrices = model->use_gated_mlp ? 3 : 2;
    const int64_t mlp = (int64_t)model->embedding_dim * model->mlp_hidden_dim;

    return per_head * (q_heads + 2 * kv_heads) + per_head * q_heads +
           matrices * mlp / tp;
}
