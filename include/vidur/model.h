#ifndef VIDUR_MODEL_H
#define VIDUR_MODEL_H

#include <vidur/error.h>
#include <vidur/precision.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A decoder-only model as it is served: the shape of its layers and their precision,
 * all that the simulator and the estimator need to know. Plain data, copied by value.
 * Source: ENGINE.md section 5.
 */

enum vidur_attention { VIDUR_ATTENTION_GQA, VIDUR_ATTENTION_MLA };

/* Layers that are alike. Heads and widths are those of the whole model. */
struct vidur_layer_kind {
    int count; /* of such layers */
    enum vidur_attention attention;
    int num_q_heads;
    int num_kv_heads;  /* MLA: 1 */
    int head_dim;      /* MLA: not used */
    int window_tokens; /* attention sees this many tokens back; 0: all */
    /* MLA (multi-head latent attention): ranks and dims of one head */
    int q_lora_rank; /* 0: queries are projected directly */
    int kv_lora_rank;
    int rope_head_dim;
    int nope_head_dim;
    int v_head_dim;
    /* Sparse attention over MLA: decode reads at most this much of the latent cache,
     * chosen by an index of so many bytes a token; 0: dense */
    int index_tokens;
    int index_head_dim;
    /* Feed-forward: an MLP, experts, or experts beside an MLP: shared experts, whose
     * widths add up, or Gemma 4's MLP */
    int mlp_hidden_dim; /* 0: no MLP */
    int num_experts;    /* 0: none */
    int experts_per_token;
    int expert_hidden_dim;
};

enum { VIDUR_MAX_LAYER_KINDS = 8 };

struct vidur_model_spec {
    char name[96];  /* Hugging Face identifier, e.g. "meta-llama/Llama-2-70b-hf" */
    int num_layers; /* the kinds' sum */
    struct vidur_layer_kind kinds[VIDUR_MAX_LAYER_KINDS]; /* at least one */
    int num_kinds;
    int leading_kinds; /* the first so many come one after the other, before the rest,
                          which take turns */
    int embedding_dim;
    int vocab_size;
    int max_position_embeddings;
    int max_tensor_parallel_size; /* 0: no limit beyond divisibility */
    bool use_gated_mlp;
    bool post_attn_norm;      /* false for parallel blocks (phi-2) */
    bool tie_word_embeddings; /* output head shares the embedding's weights */
    bool qk_norm_all_heads;   /* q and k are normalised over all heads, not each by
                                 itself: one more all-reduce a layer */
    struct vidur_precision precision;
    char note[256]; /* for people: what is approximate or left out, else "" */
};

/*
 * Reads a model by reference: the name of a spec in data/models (by its `name` or its
 * file name), a path to such a YAML spec, or a path to a Hugging Face config.json, with
 * its precision. A spec may be a variant of another one (`variant_of`): its sizes, in
 * another precision. Fails with VIDUR_EIO/VIDUR_EPARSE/VIDUR_EINVAL: for an unknown
 * name it names the nearest known one, for layers that are not built what they are.
 * Thread-safe.
 */
int vidur_model_load(struct vidur_model_spec *model, const char *reference,
                     struct vidur_error *err);

/* Sizes are positive, KV heads divide query heads, a token meets no more experts than
 * there are, and the kinds' counts add up to num_layers. */
int vidur_model_check(const struct vidur_model_spec *model, struct vidur_error *err);

/* "max_seq_len 8192 is beyond the context of NAME, 4096 tokens: ..." where `key` asks
 * for requests of more tokens than the model's context; else "". */
void vidur_model_describe_context(const struct vidur_model_spec *model, const char *key,
                                  int max_tokens, char *out, size_t size);

/* All layers are alike, without experts, latent attention and window: what the
 * operator profiles of a single layer can stand for. */
bool vidur_model_is_uniform_dense(const struct vidur_model_spec *model);

struct vidur_sha256;

/* Adds what a spec says to a hash, value by value, but for its note: equal content
 * gives equal hashes on every machine. A new member is added there; a test flips every
 * byte of the struct. */
void vidur_model_digest(struct vidur_sha256 *sha, const struct vidur_model_spec *model);

#endif
