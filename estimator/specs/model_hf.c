#define _XOPEN_SOURCE 700 /* realpath */

#include "specs/model_hf.h"

#include "base/file.h"
#include "specs/model_hf_parts.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { MAX_BYTES = 16 << 20 };

static const struct hf_family unknown_family = {0};

/* ---- Files ---- */

/* Python writes numbers that JSON has not: Infinity and NaN become null, as long. */
static void replace_infinities(char *text)
{
    static const char *const words[] = {"-Infinity", "Infinity"};
    bool quoted = false;
    for (char *p = text; *p; p++) {
        if (*p == '"')
            quoted = !quoted;
        if (quoted && *p == '\\' && p[1])
            p++;
        for (int i = 0; i < 2 && !quoted; i++) {
            const size_t n = strlen(words[i]);
            if (strncmp(p, words[i], n) == 0) {
                memset(p, ' ', n);
                memcpy(p, "null", 4);
            }
        }
        if (!quoted && strncmp(p, "NaN", 3) == 0)
            memcpy(p, "0  ", 3);
    }
}

static struct vidur_json *load(const char *path, struct vidur_error *err)
{
    size_t size;
    char *text = vidur_file_read(path, MAX_BYTES, &size, err);
    if (!text)
        return NULL;
    replace_infinities(text);
    struct vidur_json *doc = vidur_json_parse(path, text, size, err);
    free(text);
    return doc;
}

/* What a quantisation tool wrote beside the configuration: hf_quant_config.json beside
 * config.json, NAME_hf_quant_config.json beside NAME_config.json, NAME_hf_quant.json
 * beside NAME.json. *doc: NULL where there is none. */
static int load_beside(const char *path, struct vidur_json **doc,
                       struct vidur_error *err)
{
    static const struct {
        const char *end, *beside;
    } names[] = {{"config.json", "hf_quant_config.json"}, {".json", "_hf_quant.json"}};
    const size_t length = strlen(path);
    *doc = NULL;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const size_t n = strlen(names[i].end);
        char other[PATH_MAX];
        if (length < n || strcmp(path + length - n, names[i].end) != 0)
            continue;
        const int used = snprintf(other, sizeof other, "%.*s%s", (int)(length - n),
                                  path, names[i].beside);
        if (used < 0 || (size_t)used >= sizeof other || !vidur_file_exists(other))
            continue;
        *doc = load(other, err);
        return *doc ? 0 : -1;
    }
    return 0;
}

/* ---- Name ---- */

/* "org--name.json" is org/name; config.json has the name of its folder, any other file
 * its own. */
static int name_of_file(const char *path, char *out, size_t size)
{
    char *full = realpath(path, NULL);
    if (!full)
        return -1;
    char *slash = strrchr(full, '/');
    char *name = slash ? slash + 1 : full;
    char *dot = strrchr(name, '.'), *dashes = strstr(name, "--");
    if (dashes && dot > dashes) {
        *dot = '\0';
        *dashes = '/';
        memmove(dashes + 1, dashes + 2, strlen(dashes + 2) + 1);
    } else if (dot && strcasecmp(name, "config.json") != 0) {
        *dot = '\0';
    } else if (slash) {
        *slash = '\0';
        name = strrchr(full, '/');
        name = name ? name + 1 : full;
    }
    const bool ok = name[0] && strlen(name) < size;
    if (ok)
        memcpy(out, name, strlen(name) + 1);
    free(full);
    return ok ? 0 : -1;
}

static int read_name(const struct vidur_json_node *top, const char *path,
                     struct vidur_model_spec *model, struct vidur_error *err)
{
    const struct vidur_json_node node = vidur_json_get(top, "_name_or_path");
    if (hf_is_there(&node)) {
        const char *text = vidur_json_as_string(&node, err);
        if (!text)
            return -1;
        if (text[0] && text[0] != '/' && text[0] != '.' &&
            strlen(text) < sizeof model->name) {
            memcpy(model->name, text, strlen(text) + 1);
            return 0;
        }
    }
    if (name_of_file(path, model->name, sizeof model->name))
        return vidur_json_fail(&node, err,
                               "missing, and the file's folder gives no name either");
    return 0;
}

/* ---- Shape ---- */

static int read_sizes(struct hf_config *config, struct vidur_error *err)
{
    const struct hf_family *family = config->family;
    struct vidur_model_spec *model = config->model;
    return hf_need_size(config, "hidden_size d_model n_embd", family->hidden,
                        &model->embedding_dim, err) ||
                   hf_need_size(config, "num_hidden_layers n_layers n_layer",
                                family->layers, &model->num_layers, err) ||
                   hf_need_size(config, "vocab_size", family->vocab, &model->vocab_size,
                                err) ||
                   hf_need_size(config,
                                "max_position_embeddings max_seq_len n_positions",
                                family->context, &model->max_position_embeddings, err)
               ? -1
               : 0;
}

/* Of a model type that is known, the family tells; else a gate goes with SiLU, as in
 * Llama and its kin, and with activations called ...glu. */
static int read_gate(struct hf_config *config, struct vidur_error *err)
{
    const struct vidur_json_node node =
        hf_find(&config->text, "hidden_act hidden_activation activation_function");
    const char *act = hf_is_there(&node) ? vidur_json_as_string(&node, err) : "";
    if (!act)
        return -1;
    if (config->family != &unknown_family) {
        config->model->use_gated_mlp = !config->family->plain_mlp;
        return 0;
    }
    if (!act[0])
        return vidur_json_fail(&node, err,
                               "missing; \"silu\" for a gated MLP, \"gelu\" without");
    config->model->use_gated_mlp =
        strcmp(act, "silu") == 0 || strcmp(act, "swish") == 0 || strstr(act, "glu");
    return 0;
}

static int read_shape(struct hf_config *config, struct vidur_error *err)
{
    const struct hf_family *family = config->family;
    struct vidur_model_spec *model = config->model;
    bool parallel = family->parallel_block;
    if (read_gate(config, err) ||
        hf_read_flag(&config->text, "use_parallel_residual parallel_attn", &parallel,
                     err))
        return -1;
    model->post_attn_norm = !parallel;
    model->max_tensor_parallel_size = family->max_tensor_parallel_size;
    model->qk_norm_all_heads = family->qk_norm_all_heads;
    model->tie_word_embeddings = family->tied;
    return hf_read_flag(&config->top, "tie_word_embeddings",
                        &model->tie_word_embeddings, err) ||
                   hf_read_flag(&config->text, "tie_word_embeddings",
                                &model->tie_word_embeddings, err)
               ? -1
               : 0;
}

/* ---- The whole ---- */

/* Finds the language model in a configuration, and its family. */
static int open_config(struct hf_config *config, struct vidur_error *err)
{
    static const char *const parts = "text_config llm_config language_config";
    bool encoder = false;
    const struct vidur_json_node part = hf_find(&config->top, parts);
    config->text = config->top;
    config->family = &unknown_family;
    if (vidur_json_kind(&part) == VIDUR_JSON_OBJECT) {
        config->text = part;
        config->is_part = true;
    }
    const struct vidur_json_node type = vidur_json_get(&config->text, "model_type");
    const char *name = hf_is_there(&type) ? vidur_json_as_string(&type, err) : "";
    if (!name || hf_read_flag(&config->text, "is_encoder_decoder", &encoder, err))
        return -1;
    if (encoder) {
        const struct vidur_json_node node =
            vidur_json_get(&config->text, "is_encoder_decoder");
        return vidur_json_fail(&node, err, "only decoder-only models can be simulated");
    }
    if (hf_refuse(&config->top, err) || hf_refuse(&config->text, err))
        return -1;
    if (config->is_part)
        hf_note(config, "of a multimodal model, its language model alone");
    const struct hf_family *family = hf_family_of(name);
    if (family)
        config->family = family;
    else if (name[0])
        hf_note(config, "model type %s is not known and read as Llama's is", name);
    return 0;
}

static int check_missing(const struct hf_config *config, struct vidur_error *err)
{
    const struct vidur_json_node other = hf_find(&config->top, "quantization producer");
    if (!config->missing[0])
        return 0;
    if (hf_is_there(&other))
        return vidur_json_fail(&other, err,
                               "this describes how the weights of a model are kept; "
                               "name the config.json beside it");
    return vidur_json_fail(
        &config->text, err, "%s: missing; a decoder-only model's config.json has %s",
        config->missing, strchr(config->missing, ',') ? "them" : "it");
}

static int read_config(struct hf_config *config, const char *path,
                       const struct vidur_json_node *beside, struct vidur_error *err)
{
    struct hf_plan plan;
    return open_config(config, err) || read_sizes(config, err) ||
                   hf_read_plan(config, &plan, err) || check_missing(config, err) ||
                   read_shape(config, err) || hf_lay_out(config, &plan, err) ||
                   hf_read_precision(config, &plan, beside, err) ||
                   read_name(&config->top, path, config->model, err)
               ? -1
               : 0;
}

int vidur_model_read_hf(struct vidur_model_spec *model, const char *path,
                        struct vidur_error *err)
{
    struct vidur_json *beside = NULL, *doc = load(path, err);
    int status = -1;
    if (doc && load_beside(path, &beside, err) == 0) {
        const struct vidur_json_node root =
            beside ? vidur_json_root(beside) : vidur_json_root(doc);
        struct hf_config config = {.top = vidur_json_root(doc), .model = model};
        status = read_config(&config, path, beside ? &root : NULL, err);
    }
    vidur_json_free(beside);
    vidur_json_free(doc);
    return status;
}
