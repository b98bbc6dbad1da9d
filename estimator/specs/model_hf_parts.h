#ifndef VIDUR_MODEL_HF_PARTS_H
#define VIDUR_MODEL_HF_PARTS_H

#include <vidur/model.h>

#include "base/json.h"

/*
 * How a config.json is read, in parts: what a family of models means (families), values
 * by any of their names (keys), what each layer is (layers), and the formats that the
 * weights are kept in (quantization). For the files model_hf*.c alone.
 */

/* Which layers see a window of tokens, where `layer_types` does not say so. */
enum hf_windows {
    HF_WINDOWS_ON_REQUEST, /* where use_sliding_window is true, from max_window_layers
                            */
    HF_WINDOWS_ALL,        /* all layers, of a configuration with sliding_window */
    HF_WINDOWS_PATTERN     /* all but every n-th */
};

/* How many experts' widths the MLP beside routed experts has. */
enum hf_shared {
    HF_SHARED_BY_KEY, /* the keys say */
    HF_SHARED_ONE,    /* one of an expert's width */
    HF_SHARED_MLP     /* a whole MLP of its own width */
};

/* What a model type means, and what it has where its configuration has no such key.
 * 0 and NULL: no default. */
struct hf_family {
    const char *model_type;
    bool plain_mlp;      /* no gate */
    bool parallel_block; /* attention and MLP behind one norm */
    bool tied;           /* the head shares the embedding's weights */
    bool latent;         /* MLA */
    bool qk_norm_all_heads;
    int max_tensor_parallel_size;
    enum hf_windows windows;
    int window, pattern, max_window_layers;
    enum hf_shared shared;
    /* sizes */
    int hidden, layers, q_heads, kv_heads, head_dim, mlp, vocab, context;
    int global_head_dim; /* of layers that see all, where it is not head_dim */
    int dense_mlp;       /* of layers without experts, where it is not mlp */
    /* experts */
    int experts, per_token, expert_dim, num_shared, shared_dim, first_dense;
};

/* NULL for an unknown type. */
const struct hf_family *hf_family_of(const char *model_type);

/* Fails where a configuration's type, or a key that it has, stands for layers that are
 * not built, and says what is missing. */
int hf_refuse(const struct vidur_json_node *object, struct vidur_error *err);

/* A configuration as it is being read. */
struct hf_config {
    struct vidur_json_node top;
    struct vidur_json_node text;    /* the language model's: top, or a part of it */
    bool is_part;                   /* text is a part: saved without its defaults */
    const struct hf_family *family; /* never NULL: zeros for an unknown type */
    char missing[256];              /* needed keys that are not there */
    struct vidur_model_spec *model; /* what is being filled */
};

/* Adds a sentence to the model's note. */
void hf_note(struct hf_config *config, const char *fmt, ...) VIDUR_PRINTF(2, 3);

/* ---- Values by name ---- */

/* The value of the first of `names` ("a b.c d": b.c is key c of object b) that is there
 * and not null; else a node of the first name that has no value. */
struct vidur_json_node hf_find(const struct vidur_json_node *object, const char *names);
bool hf_is_there(const struct vidur_json_node *node);

/* Leaves *out alone where no name is there. */
int hf_read_int(const struct hf_config *config, const char *names, int *out,
                struct vidur_error *err);
int hf_read_flag(const struct vidur_json_node *object, const char *names, bool *out,
                 struct vidur_error *err);

/* A size of 1 or more, and else the family's; where there is none, the first name is
 * noted as missing. Of a configuration of its own, not a part, a family's default does
 * not count: those are saved in full. */
int hf_need_size(struct hf_config *config, const char *names, int by_default, int *out,
                 struct vidur_error *err);

/* A size of 1 or more that has a default or follows from others. */
int hf_read_size(const struct hf_config *config, const char *names, int by_default,
                 int *out, struct vidur_error *err);

/* ---- Layers ---- */

/* How a configuration's layers differ, before they are laid out. */
struct hf_plan {
    struct vidur_layer_kind full; /* attention of layers that see all */
    struct vidur_layer_kind windowed;
    /* Which layers are windowed: those of layer_types; else the n-th of a pattern are
     * not ("LLLG" or a period), or those before first_window, or none */
    struct vidur_json_node layer_types;
    const char *pattern;
    int period, first_window;
    bool has_windows;
    struct vidur_json_node indexers; /* indexer_types of sparse attention */
    /* Which layers have experts: those of a list; else those from first_sparse to
     * last_sparse where (layer + shift) % step is 0 and mlp_only does not have them */
    struct vidur_json_node kinds, sparse, frequency, mlp_only;
    int first_sparse, last_sparse, step, shift;
    int dense_dim, shared_dim; /* widths of MLPs alone, and beside experts */
    int experts, per_token, expert_dim;
};

/* Reads it; missing keys are noted in the configuration. */
int hf_read_plan(struct hf_config *config, struct hf_plan *plan,
                 struct vidur_error *err);

/* What the layer is, but for its count. */
int hf_layer_of(const struct hf_config *config, const struct hf_plan *plan, int layer,
                struct vidur_layer_kind *kind, struct vidur_error *err);

/* Fills the model's kinds: layers that are alike are one, in order of appearance. */
int hf_lay_out(struct hf_config *config, const struct hf_plan *plan,
               struct vidur_error *err);

/* ---- Precision ---- */

/* Fills the model's precision from the configuration's quantization_config, else from
 * `beside`, what hf_quant_config.json says (its root), which may be NULL. */
int hf_read_precision(struct hf_config *config, const struct hf_plan *plan,
                      const struct vidur_json_node *beside, struct vidur_error *err);

#endif
