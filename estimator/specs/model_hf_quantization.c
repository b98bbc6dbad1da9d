#include "specs/model_hf_modules.h"
#include "specs/model_hf_parts.h"

#include <stdio.h>
#include <string.h>

void hf_formats_free(struct hf_formats *f)
{
    for (int i = 0; i < f->num_rules; i++)
        hf_patterns_free(&f->rules[i].modules);
    hf_patterns_free(&f->ignored);
}

/* The rule of a format; NULL where there are too many. */
static struct hf_rule *rule_of(struct hf_formats *f, enum vidur_dtype dtype, bool all)
{
    for (int i = 0; i < f->num_rules; i++)
        if (f->rules[i].dtype == dtype && f->rules[i].all == all)
            return &f->rules[i];
    if (f->num_rules == HF_MAX_RULES)
        return NULL;
    f->rules[f->num_rules] = (struct hf_rule){.dtype = dtype, .all = all};
    return &f->rules[f->num_rules++];
}

static int add_all(struct hf_formats *f, enum vidur_dtype dtype)
{
    return rule_of(f, dtype, true) ? 0 : -1;
}

static int read_bits(const struct vidur_json_node *object, const char *names, int *out,
                     struct vidur_error *err)
{
    const struct vidur_json_node node = hf_find(object, names);
    return hf_is_there(&node) ? vidur_json_as_int(&node, out, err) : 0;
}

static bool text_is(const struct vidur_json_node *object, const char *key,
                    const char *text)
{
    const struct vidur_json_node node = vidur_json_get(object, key);
    const char *found = vidur_json_kind(&node) == VIDUR_JSON_STRING
                            ? vidur_json_as_string(&node, NULL)
                            : "";
    return found && strcmp(found, text) == 0;
}

/* ---- KV cache ---- */

int hf_read_kv_cache(const struct vidur_json_node *object, enum vidur_dtype *out,
                     struct vidur_error *err)
{
    const struct vidur_json_node node =
        hf_find(object, "kv_cache_scheme kv_cache_quant_algo");
    int bits = 0;
    if (!hf_is_there(&node))
        return 0;
    if (vidur_json_kind(&node) == VIDUR_JSON_OBJECT) {
        if (read_bits(&node, "num_bits", &bits, err))
            return -1;
        if (bits == 8 && text_is(&node, "type", "float")) {
            *out = VIDUR_DTYPE_fp8;
            return 0;
        }
        return vidur_json_fail(
            &node, err, "a KV cache of %d bits is not built; bf16 and fp8 are", bits);
    }
    const char *text = vidur_json_as_string(&node, err);
    if (!text)
        return -1;
    if (strcmp(text, "FP8") != 0 && strcmp(text, "fp8") != 0 &&
        strcmp(text, "fp8_e4m3") != 0)
        return vidur_json_fail(
            &node, err, "\"%s\": a KV cache that is not built; bf16 and FP8 are", text);
    *out = VIDUR_DTYPE_fp8;
    return 0;
}

/* ---- Methods: what their keys say of the weights ---- */

static int fail_unbuilt(const struct vidur_json_node *node, struct vidur_error *err,
                        const char *what)
{
    return vidur_json_fail(node, err,
                           "%s: not built; fp8 (a scale a tensor, channel or block of "
                           "128 x 128), int8, int4, nvfp4 and mxfp4 are",
                           what);
}

/* ModelOpt's names of formats. */
static int find_algorithm(const struct vidur_json_node *node, enum vidur_dtype *out,
                          struct vidur_error *err)
{
    static const struct {
        const char *name;
        enum vidur_dtype dtype;
    } names[] = {{"FP8", VIDUR_DTYPE_fp8},
                 {"FP8_PER_CHANNEL_PER_TOKEN", VIDUR_DTYPE_fp8},
                 {"FP8_PB_WO", VIDUR_DTYPE_fp8_block},
                 {"NVFP4", VIDUR_DTYPE_nvfp4},
                 {"NVFP4_AWQ", VIDUR_DTYPE_nvfp4},
                 {"MXFP4", VIDUR_DTYPE_mxfp4},
                 {"W4A16_AWQ", VIDUR_DTYPE_int4},
                 {"INT8_SQ", VIDUR_DTYPE_int8},
                 {"W8A8_SQ_PER_CHANNEL", VIDUR_DTYPE_int8}};
    const char *text = vidur_json_as_string(node, err);
    if (!text)
        return -1;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(text, names[i].name) == 0) {
            *out = names[i].dtype;
            return 0;
        }
    return fail_unbuilt(node, err, text);
}

/* MIXED_PRECISION: a format for each of a list of modules. */
static int read_mixed(const struct vidur_json_node *q, struct hf_formats *f,
                      struct vidur_error *err)
{
    const struct vidur_json_node list = vidur_json_get(q, "quantized_layers");
    if (vidur_json_kind(&list) != VIDUR_JSON_OBJECT)
        return vidur_json_fail(&list, err,
                               "missing; MIXED_PRECISION lists its modules there");
    for (int i = 0; i < vidur_json_count(&list); i++) {
        const char *module = vidur_json_key(&list, i);
        const struct vidur_json_node item = vidur_json_get(&list, module);
        const struct vidur_json_node algorithm = vidur_json_get(&item, "quant_algo");
        enum vidur_dtype dtype = VIDUR_DTYPE_bf16;
        if (find_algorithm(&algorithm, &dtype, err))
            return -1;
        struct hf_rule *rule = rule_of(f, dtype, false);
        if (!rule)
            return vidur_json_fail(&list, err, "more than %d formats", HF_MAX_RULES);
        if (hf_patterns_add(&rule->modules, module, &item, err))
            return -1;
    }
    return 0;
}

static int read_modelopt(struct hf_config *config, const struct vidur_json_node *q,
                         struct hf_formats *f, struct vidur_error *err)
{
    const struct vidur_json_node algorithm = vidur_json_get(q, "quant_algo");
    enum vidur_dtype dtype = VIDUR_DTYPE_bf16;
    (void)config;
    if (text_is(q, "quant_algo", "MIXED_PRECISION"))
        return read_mixed(q, f, err);
    return find_algorithm(&algorithm, &dtype, err) ? -1 : add_all(f, dtype);
}

/* [128, 128] */
static int check_block(const struct vidur_json_node *block, struct vidur_error *err)
{
    for (int i = 0; i < 2; i++) {
        const struct vidur_json_node item = vidur_json_item(block, i);
        int size = 0;
        if (vidur_json_as_int(&item, &size, err))
            return -1;
        if (size != 128)
            return vidur_json_fail(&item, err, "%d; blocks of 128 x 128 are built",
                                   size);
    }
    return 0;
}

static int read_fp8(struct hf_config *config, const struct vidur_json_node *q,
                    struct hf_formats *f, struct vidur_error *err)
{
    const struct vidur_json_node block = vidur_json_get(q, "weight_block_size");
    (void)config;
    if (!hf_is_there(&block))
        return add_all(f, VIDUR_DTYPE_fp8);
    return check_block(&block, err) ? -1 : add_all(f, VIDUR_DTYPE_fp8_block);
}

static int read_mxfp4(struct hf_config *config, const struct vidur_json_node *q,
                      struct hf_formats *f, struct vidur_error *err)
{
    (void)config, (void)q, (void)err;
    f->experts_alone = true; /* by the method's definition */
    return add_all(f, VIDUR_DTYPE_mxfp4);
}

static void note_group(struct hf_config *config, int group)
{
    if (group > 0 && group != 128)
        hf_note(config, "int4 in groups of %d counts as in groups of 128", group);
}

/* awq and gptq: integers with a scale a group, activations as they are. */
static int read_integers(struct hf_config *config, const struct vidur_json_node *q,
                         struct hf_formats *f, struct vidur_error *err)
{
    const struct vidur_json_node node = hf_find(q, "bits w_bit");
    int bits = 4, group = 0;
    if (read_bits(q, "bits w_bit", &bits, err) ||
        read_bits(q, "group_size q_group_size", &group, err))
        return -1;
    if (bits == 4) {
        note_group(config, group);
        return add_all(f, VIDUR_DTYPE_int4);
    }
    if (bits != 8)
        return fail_unbuilt(&node, err, "weights of that many bits");
    hf_note(config, "activations beside 8-bit weights count as of 8 bits");
    return add_all(f, VIDUR_DTYPE_int8);
}

/* ---- compressed-tensors ---- */

static int format_of_floats(const struct vidur_json_node *weights, int bits, int group,
                            enum vidur_dtype *out, struct vidur_error *err)
{
    const struct vidur_json_node block = vidur_json_get(weights, "block_structure");
    if (bits == 8 && text_is(weights, "strategy", "block")) {
        *out = VIDUR_DTYPE_fp8_block;
        return check_block(&block, err);
    }
    *out = bits == 8 ? VIDUR_DTYPE_fp8
                     : (group == 16 ? VIDUR_DTYPE_nvfp4 : VIDUR_DTYPE_mxfp4);
    if (bits == 8 || (bits == 4 && (group == 16 || group == 32)))
        return 0;
    return fail_unbuilt(weights, err, "floats of that many bits or in such groups");
}

static int format_of_group(struct hf_config *config,
                           const struct vidur_json_node *object, enum vidur_dtype *out,
                           struct vidur_error *err)
{
    const struct vidur_json_node weights = vidur_json_get(object, "weights");
    const struct vidur_json_node inputs = vidur_json_get(object, "input_activations");
    int bits = 0, group = 0;
    if (read_bits(&weights, "num_bits", &bits, err) ||
        read_bits(&weights, "group_size", &group, err))
        return -1;
    const bool weights_alone = !hf_is_there(&inputs);
    if (bits == 8 && weights_alone)
        hf_note(config, "activations beside 8-bit weights count as of 8 bits");
    if (text_is(&weights, "type", "float"))
        return format_of_floats(&weights, bits, group, out, err);
    *out = bits == 8 ? VIDUR_DTYPE_int8 : VIDUR_DTYPE_int4;
    if (bits == 4 && !weights_alone)
        return fail_unbuilt(&inputs, err,
                            "activations of few bits beside int4 weights");
    if (!text_is(&weights, "type", "int") || (bits != 8 && bits != 4))
        return fail_unbuilt(&weights, err, "weights of that type");
    if (bits == 4)
        note_group(config, group);
    return 0;
}

/* The modules of a group: all linear ones, or some by name. */
static int read_targets(const struct vidur_json_node *group, enum vidur_dtype dtype,
                        struct hf_formats *f, struct vidur_error *err)
{
    const struct vidur_json_node targets = vidur_json_get(group, "targets");
    const int count = vidur_json_count(&targets);
    if (count == 0)
        return add_all(f, dtype);
    for (int i = 0; i < count; i++) {
        const struct vidur_json_node item = vidur_json_item(&targets, i);
        const char *text = vidur_json_as_string(&item, err);
        if (!text)
            return -1;
        const bool all = strcmp(text, "Linear") == 0;
        if (text[0] >= 'A' && text[0] <= 'Z' && !all)
            return vidur_json_fail(&item, err,
                                   "\"%s\" is no class of modules that is known; "
                                   "Linear is, and names of modules",
                                   text);
        struct hf_rule *rule = rule_of(f, dtype, all);
        if (!rule)
            return vidur_json_fail(&targets, err, "more than %d formats", HF_MAX_RULES);
        if (!all && hf_patterns_add(&rule->modules, text, &item, err))
            return -1;
    }
    return 0;
}

static int read_compressed(struct hf_config *config, const struct vidur_json_node *q,
                           struct hf_formats *f, struct vidur_error *err)
{
    const struct vidur_json_node groups = vidur_json_get(q, "config_groups");
    if (vidur_json_count(&groups) == 0)
        return vidur_json_fail(&groups, err, "missing; it says how weights are kept");
    for (int i = 0; i < vidur_json_count(&groups); i++) {
        const struct vidur_json_node group =
            vidur_json_get(&groups, vidur_json_key(&groups, i));
        enum vidur_dtype dtype = VIDUR_DTYPE_bf16;
        if (format_of_group(config, &group, &dtype, err) ||
            read_targets(&group, dtype, f, err))
            return -1;
    }
    return 0;
}

static const struct {
    const char *name;
    int (*read)(struct hf_config *, const struct vidur_json_node *, struct hf_formats *,
                struct vidur_error *);
} methods[] = {
    {"modelopt", read_modelopt},
    {"modelopt_fp4", read_modelopt},
    {"fp8", read_fp8},
    {"fbgemm_fp8", read_fp8},
    {"awq", read_integers},
    {"gptq", read_integers},
    {"awq_marlin", read_integers},
    {"gptq_marlin", read_integers},
    {"mxfp4", read_mxfp4},
    {"compressed-tensors", read_compressed},
};

/* ModelOpt does not always name itself. */
static const char *method_of(const struct vidur_json_node *q, struct vidur_error *err)
{
    const struct vidur_json_node node = vidur_json_get(q, "quant_method");
    const struct vidur_json_node algorithm = vidur_json_get(q, "quant_algo");
    if (hf_is_there(&algorithm) &&
        (!hf_is_there(&node) || text_is(q, "quant_method", "fp8")))
        return "modelopt";
    return vidur_json_as_string(&node, err);
}

int hf_read_formats(struct hf_config *config, const struct vidur_json_node *q,
                    struct hf_formats *f, struct vidur_error *err)
{
    static const char *const lists[] = {"ignore", "exclude_modules",
                                        "modules_to_not_convert", "ignored_layers"};
    const char *name = method_of(q, err);
    if (!name)
        return -1;
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        const struct vidur_json_node list = vidur_json_get(q, lists[i]);
        if (hf_patterns_read(&f->ignored, &list, err))
            return -1;
    }
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++)
        if (strcmp(name, methods[i].name) == 0)
            return methods[i].read(config, q, f, err);
    const struct vidur_json_node node = vidur_json_get(q, "quant_method");
    return vidur_json_fail(&node, err,
                           "\"%s\" is no method of quantisation that is built; "
                           "modelopt, compressed-tensors, fp8, awq, gptq and mxfp4 are",
                           name);
}
