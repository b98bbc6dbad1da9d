#ifndef VIDUR_MODEL_HF_MODULES_H
#define VIDUR_MODEL_HF_MODULES_H

#include "base/json.h"
#include "specs/model_hf_parts.h"

/*
 * Lists of a checkpoint's modules: what is ignored, what is quantised how. A pattern is
 * a module's name, or that of what it lies in, with or without what comes before
 * "layers.", a part of it ("self_attn"), a glob (*), or a regular expression (re:...)
 * over the whole name's beginning.
 */

struct hf_patterns {
    int count;
    struct pattern *items; /* of the document's texts, which must outlive them */
};

/* Adds a list of texts; nothing where the node is no list. Fails for an expression that
 * it cannot read. Free with hf_patterns_free(), also after a failure. */
int hf_patterns_read(struct hf_patterns *patterns, const struct vidur_json_node *list,
                     struct vidur_error *err);
/* Adds one, for whose errors the node stands. */
int hf_patterns_add(struct hf_patterns *patterns, const char *text,
                    const struct vidur_json_node *node, struct vidur_error *err);
void hf_patterns_free(struct hf_patterns *patterns);

/* Whether one covers a module of the decoder, "layers.3.self_attn.q_proj". */
bool hf_patterns_cover(const struct hf_patterns *patterns, const char *module);

/* Modules that are kept in a format. */
struct hf_rule {
    enum vidur_dtype dtype;
    bool all; /* all linear ones; else those of `modules` */
    struct hf_patterns modules;
};

enum { HF_MAX_RULES = 8 };

/* What a quantisation's keys say: modules that no rule covers are bf16. */
struct hf_formats {
    struct hf_rule rules[HF_MAX_RULES];
    int num_rules;
    bool experts_alone; /* the rules are for routed experts */
    struct hf_patterns ignored;
    enum vidur_dtype kv_cache;
};

/* Reads a quantization_config or its like into zeros; notes what is approximate. Fails
 * for a method or format that is not built. Free also after a failure. */
int hf_read_formats(struct hf_config *config, const struct vidur_json_node *q,
                    struct hf_formats *formats, struct vidur_error *err);
void hf_formats_free(struct hf_formats *formats);

/* "FP8", {num_bits: 8, type: float}, or nothing, which leaves *out alone. */
int hf_read_kv_cache(const struct vidur_json_node *q, enum vidur_dtype *out,
                     struct vidur_error *err);

#endif
