#include <vidur/model.h>

#include <vidur/paths.h>

#include "base/yaml.h"
#include "specs/model_hf.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

enum { MAX_DIMENSION = 1 << 24 }; /* products of three stay within 64 bits */

#define COUNT(type_, key_, least, more_flags)                                          \
    {                                                                                  \
        .key = #key_, .type = VIDUR_YAML_INT,                                          \
        .flags = VIDUR_YAML_MIN | VIDUR_YAML_MAX | (more_flags),                       \
        VIDUR_YAML_AT(type_, key_), .min = (least), .max = MAX_DIMENSION               \
    }
#define SWITCH(key_, more_flags)                                                       \
    {                                                                                  \
        .key = #key_, .type = VIDUR_YAML_BOOL, .flags = (more_flags),                  \
        VIDUR_YAML_AT(struct vidur_model_spec, key_)                                   \
    }

typedef struct vidur_model_spec model_spec;
typedef struct vidur_layer_kind layer_kind;

static const char *const attentions[] = {"gqa", "mla", NULL};

/* Keys of a kind of layers: on the file's top level those that all share. */
static const struct vidur_yaml_field kind_fields[] = {
    {.key = "attention",
     .type = VIDUR_YAML_ENUM,
     .names = attentions,
     VIDUR_YAML_AT(layer_kind, attention)},
    COUNT(layer_kind, num_q_heads, 1, 0),
    COUNT(layer_kind, num_kv_heads, 1, 0),
    COUNT(layer_kind, head_dim, 1, 0),
    COUNT(layer_kind, window_tokens, 0, 0),
    COUNT(layer_kind, q_lora_rank, 0, 0),
    COUNT(layer_kind, kv_lora_rank, 1, 0),
    COUNT(layer_kind, rope_head_dim, 1, 0),
    COUNT(layer_kind, nope_head_dim, 1, 0),
    COUNT(layer_kind, v_head_dim, 1, 0),
    COUNT(layer_kind, index_tokens, 0, 0),
    COUNT(layer_kind, index_head_dim, 0, 0),
    COUNT(layer_kind, mlp_hidden_dim, 0, 0),
    COUNT(layer_kind, num_experts, 0, 0),
    COUNT(layer_kind, experts_per_token, 1, 0),
    COUNT(layer_kind, expert_hidden_dim, 1, 0),
    COUNT(layer_kind, count, 1, 0),
    {.key = NULL}};

static int read_precision(const struct vidur_yaml_node *node, void *out,
                          struct vidur_error *err)
{
    return vidur_precision_read(node, out, err);
}

static const struct vidur_yaml_field model_fields[] = {
    {.key = "name",
     .type = VIDUR_YAML_STRING,
     .flags = VIDUR_YAML_REQUIRED | VIDUR_YAML_FILLED,
     VIDUR_YAML_AT(model_spec, name)},
    {.key = "description", .type = VIDUR_YAML_ELSEWHERE},
    {.key = "note", .type = VIDUR_YAML_STRING, VIDUR_YAML_AT(model_spec, note)},
    {.key = "layers", .type = VIDUR_YAML_ELSEWHERE},
    {.key = "precision",
     .type = VIDUR_YAML_CUSTOM,
     .read = read_precision,
     VIDUR_YAML_AT(model_spec, precision)},
    COUNT(model_spec, num_layers, 1, VIDUR_YAML_REQUIRED),
    COUNT(model_spec, leading_kinds, 0, 0),
    COUNT(model_spec, embedding_dim, 1, VIDUR_YAML_REQUIRED),
    COUNT(model_spec, vocab_size, 1, VIDUR_YAML_REQUIRED),
    COUNT(model_spec, max_position_embeddings, 1, VIDUR_YAML_REQUIRED),
    COUNT(model_spec, max_tensor_parallel_size, 1, 0),
    SWITCH(use_gated_mlp, VIDUR_YAML_REQUIRED),
    SWITCH(post_attn_norm, 0),
    SWITCH(tie_word_embeddings, 0),
    SWITCH(qk_norm_all_heads, 0),
    {.key = NULL}};

/* Of a spec that is another one, kept in another precision. */
static const struct vidur_yaml_field variant_fields[] = {
    {.key = "variant_of", .type = VIDUR_YAML_ELSEWHERE},
    {.key = "name",
     .type = VIDUR_YAML_STRING,
     .flags = VIDUR_YAML_REQUIRED | VIDUR_YAML_FILLED,
     VIDUR_YAML_AT(model_spec, name)},
    {.key = "description", .type = VIDUR_YAML_ELSEWHERE},
    {.key = "note", .type = VIDUR_YAML_STRING, VIDUR_YAML_AT(model_spec, note)},
    {.key = "precision",
     .type = VIDUR_YAML_CUSTOM,
     .flags = VIDUR_YAML_REQUIRED,
     .read = read_precision,
     VIDUR_YAML_AT(model_spec, precision)},
    {.key = NULL}};

enum {
    NUM_KIND_FIELDS = sizeof kind_fields / sizeof kind_fields[0] - 1,
    NUM_MODEL_FIELDS = sizeof model_fields / sizeof model_fields[0] - 1
};

/* What a kind may leave to be derived from the rest. */
static int derive(const struct vidur_model_spec *model, struct vidur_layer_kind *kind,
                  struct vidur_error *err)
{
    if (kind->attention == VIDUR_ATTENTION_MLA)
        kind->num_kv_heads = 1;
    else if (kind->num_kv_heads == 0)
        kind->num_kv_heads = kind->num_q_heads;
    if (kind->head_dim != 0 || kind->num_q_heads <= 0)
        return 0;
    kind->head_dim = model->embedding_dim / kind->num_q_heads;
    if (kind->attention == VIDUR_ATTENTION_MLA ||
        model->embedding_dim % kind->num_q_heads == 0)
        return 0;
    return vidur_fail(err, VIDUR_EINVAL,
                      "embedding_dim: %d is not a multiple of num_q_heads %d; head_dim "
                      "must be given",
                      model->embedding_dim, kind->num_q_heads);
}

static int read_kinds(const struct vidur_yaml_node *root,
                      struct vidur_model_spec *model, struct vidur_error *err)
{
    const struct vidur_yaml_node *list = vidur_yaml_get(root, "layers");
    const struct vidur_layer_kind shared = model->kinds[0];
    model->num_kinds = list ? vidur_yaml_count(list) : 1;
    if (!list) {
        model->kinds[0].count = model->num_layers;
        return 0;
    }
    if (vidur_yaml_kind(list) != VIDUR_YAML_IS_SEQUENCE || model->num_kinds < 1 ||
        model->num_kinds > VIDUR_MAX_LAYER_KINDS)
        return vidur_yaml_fail(list, err,
                               "a list of 1 to %d kinds of layers, each a mapping with "
                               "its count and what it has of its own",
                               VIDUR_MAX_LAYER_KINDS);
    for (int i = 0; i < model->num_kinds; i++) {
        model->kinds[i] = shared;
        if (vidur_yaml_read(vidur_yaml_item(list, i), kind_fields, &model->kinds[i],
                            err))
            return -1;
    }
    return 0;
}

/* The keys of a model and of the kind that its layers share are in one mapping: a table
 * of both, with the kind's offsets moved to where it lies in the model. */
static int read_whole(struct vidur_model_spec *model,
                      const struct vidur_yaml_node *root, struct vidur_error *err)
{
    struct vidur_yaml_field fields[NUM_MODEL_FIELDS + NUM_KIND_FIELDS];
    memcpy(fields, model_fields, NUM_MODEL_FIELDS * sizeof fields[0]);
    for (int i = 0; i < NUM_KIND_FIELDS - 1; i++) { /* but count */
        fields[NUM_MODEL_FIELDS + i] = kind_fields[i];
        fields[NUM_MODEL_FIELDS + i].offset += offsetof(model_spec, kinds);
    }
    fields[NUM_MODEL_FIELDS + NUM_KIND_FIELDS - 1] =
        (struct vidur_yaml_field){.key = NULL};
    return vidur_yaml_read(root, fields, model, err) || read_kinds(root, model, err)
               ? -1
               : 0;
}

/* The specs that are being read, each a variant of the next. */
struct chain {
    const char *path;
    const struct chain *above;
};

enum { MAX_CHAIN = 8 };

static int load(struct vidur_model_spec *model, const char *reference,
                const struct chain *above, struct vidur_error *err);

static int read_variant(struct vidur_model_spec *model,
                        const struct vidur_yaml_node *root, const struct chain *chain,
                        struct vidur_error *err)
{
    const struct vidur_yaml_node *node = vidur_yaml_get(root, "variant_of");
    char base[VIDUR_PATH_MAX];
    if (vidur_yaml_as_string(node, base, sizeof base, err))
        return -1;
    if (load(model, base, chain, err)) {
        struct vidur_error why = *err;
        return vidur_yaml_fail(node, err, "%s", why.text);
    }
    return vidur_yaml_read(root, variant_fields, model, err);
}

static int read_yaml(struct vidur_model_spec *model, const struct chain *chain,
                     struct vidur_error *err)
{
    struct vidur_yaml *doc = vidur_yaml_load(chain->path, err);
    if (!doc)
        return -1;
    const struct vidur_yaml_node *root = vidur_yaml_root(doc);
    const int status = vidur_yaml_get(root, "variant_of")
                           ? read_variant(model, root, chain, err)
                           : read_whole(model, root, err);
    vidur_yaml_free(doc);
    return status;
}

static bool has_suffix(const char *text, const char *suffix)
{
    size_t n = strlen(text), m = strlen(suffix);
    return n >= m && strcmp(text + n - m, suffix) == 0;
}

/* A variant that is, over others or not, one of itself. */
static int check_chain(const struct chain *chain, struct vidur_error *err)
{
    int length = 1;
    for (const struct chain *c = chain->above; c; c = c->above, length++)
        if (strcmp(c->path, chain->path) == 0 || length == MAX_CHAIN)
            return vidur_fail(err, VIDUR_EINVAL,
                              "%s is a variant of itself, or of a variant of too many "
                              "variants (at most %d)",
                              chain->path, MAX_CHAIN);
    return 0;
}

static int load(struct vidur_model_spec *model, const char *reference,
                const struct chain *above, struct vidur_error *err)
{
    struct vidur_path path;
    if (vidur_path_spec(above ? above->path : NULL, "models", reference, &path, err))
        return -1;
    const struct chain chain = {path.text, above};
    if (check_chain(&chain, err))
        return -1;
    memset(model, 0, sizeof *model);
    model->post_attn_norm = true;
    if (has_suffix(path.text, ".json") ? vidur_model_read_hf(model, path.text, err)
                                       : read_yaml(model, &chain, err))
        return -1;
    for (int i = 0; i < model->num_kinds; i++)
        if (derive(model, &model->kinds[i], err))
            return vidur_fail_prefix(err, "%s", path.text);
    if (vidur_model_check(model, err))
        return vidur_fail_prefix(err, "%s", path.text);
    return 0;
}

int vidur_model_load(struct vidur_model_spec *model, const char *reference,
                     struct vidur_error *err)
{
    struct vidur_error own = {0};
    return load(model, reference, NULL, err ? err : &own);
}

struct size {
    const char *name;
    int value;
    bool needed;
};

static int check_sizes(const struct size *sizes, size_t count, struct vidur_error *err)
{
    for (size_t i = 0; i < count; i++) {
        if (sizes[i].needed && sizes[i].value == 0)
            return vidur_fail(err, VIDUR_EINVAL, "%s: missing; it must be 1 to %d",
                              sizes[i].name, MAX_DIMENSION);
        if (sizes[i].value < 0 || sizes[i].value > MAX_DIMENSION)
            return vidur_fail(err, VIDUR_EINVAL,
                              "%s: %d is not a size; it must be 1 to %d", sizes[i].name,
                              sizes[i].value, MAX_DIMENSION);
    }
    return 0;
}

static int check_kind(const struct vidur_layer_kind *k, struct vidur_error *err)
{
    const bool mla = k->attention == VIDUR_ATTENTION_MLA, moe = k->num_experts > 0;
    const struct size sizes[] = {{"count", k->count, true},
                                 {"num_q_heads", k->num_q_heads, true},
                                 {"num_kv_heads", k->num_kv_heads, true},
                                 {"head_dim", k->head_dim, !mla},
                                 {"window_tokens", k->window_tokens, false},
                                 {"q_lora_rank", k->q_lora_rank, false},
                                 {"kv_lora_rank", k->kv_lora_rank, mla},
                                 {"rope_head_dim", k->rope_head_dim, mla},
                                 {"nope_head_dim", k->nope_head_dim, mla},
                                 {"v_head_dim", k->v_head_dim, mla},
                                 {"mlp_hidden_dim", k->mlp_hidden_dim, !moe},
                                 {"num_experts", k->num_experts, false},
                                 {"experts_per_token", k->experts_per_token, moe},
                                 {"expert_hidden_dim", k->expert_hidden_dim, moe}};
    if (check_sizes(sizes, sizeof sizes / sizeof sizes[0], err))
        return -1;
    if (k->num_q_heads % k->num_kv_heads)
        return vidur_fail(err, VIDUR_EINVAL,
                          "num_q_heads: %d is not a multiple of num_kv_heads %d",
                          k->num_q_heads, k->num_kv_heads);
    if (moe && k->experts_per_token > k->num_experts)
        return vidur_fail(err, VIDUR_EINVAL, "experts_per_token: %d, of num_experts %d",
                          k->experts_per_token, k->num_experts);
    return 0;
}

int vidur_model_check(const struct vidur_model_spec *model, struct vidur_error *err)
{
    const struct size sizes[] = {
        {"num_layers", model->num_layers, true},
        {"embedding_dim", model->embedding_dim, true},
        {"vocab_size", model->vocab_size, true},
        {"max_position_embeddings", model->max_position_embeddings, true}};
    if (check_sizes(sizes, sizeof sizes / sizeof sizes[0], err))
        return -1;
    if (model->max_tensor_parallel_size < 0)
        return vidur_fail(err, VIDUR_EINVAL,
                          "max_tensor_parallel_size: %d is negative; leave it out for "
                          "no limit",
                          model->max_tensor_parallel_size);
    int layers = 0;
    for (int i = 0; i < model->num_kinds; i++) {
        if (check_kind(&model->kinds[i], err))
            return -1;
        layers += model->kinds[i].count;
    }
    if (layers != model->num_layers)
        return vidur_fail(err, VIDUR_EINVAL,
                          "layers: their counts add up to %d, not to num_layers %d",
                          layers, model->num_layers);
    if (model->leading_kinds != 0 &&
        (model->leading_kinds < 0 || model->leading_kinds >= model->num_kinds))
        return vidur_fail(err, VIDUR_EINVAL,
                          "leading_kinds: %d of %d kinds of layers; fewer than all",
                          model->leading_kinds, model->num_kinds);
    return 0;
}

static bool are_alike(const struct vidur_layer_kind *a,
                      const struct vidur_layer_kind *b)
{
    struct vidur_layer_kind other = *b;
    other.count = a->count;
    return memcmp(a, &other, sizeof other) == 0; /* no padding: all are int */
}

bool vidur_model_is_uniform_dense(const struct vidur_model_spec *model)
{
    const struct vidur_layer_kind *kind = &model->kinds[0];
    for (int i = 1; i < model->num_kinds; i++)
        if (!are_alike(kind, &model->kinds[i]))
            return false;
    return kind->attention == VIDUR_ATTENTION_GQA && kind->num_experts == 0 &&
           kind->window_tokens == 0;
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
