#ifndef VIDUR_MODEL_H
#define VIDUR_MODEL_H

#include <vidur/error.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The shape of a dense decoder-only transformer: all that the simulator and the
 * estimator need to know of a model. Plain data, copied by value.
 */
struct vidur_model_spec {
    char name[96]; /* Hugging Face identifier, e.g. "meta-llama/Llama-2-70b-hf" */
    int num_layers;
    int num_q_heads;
    int num_kv_heads;
    int head_dim;
    int embedding_dim;
    int mlp_hidden_dim;
    int vocab_size;
    int max_position_embeddings;
    int max_tensor_parallel_size; /* 0: no limit beyond divisibility */
    bool use_gated_mlp;
    bool post_attn_norm;      /* false for parallel blocks (phi-2) */
    bool tie_word_embeddings; /* output head shares the embedding's weights */
    bool quantized; /* its weights have fewer than 16 bits; they are taken as 16 */
};

/*
 * Reads a model by reference: the name of a spec in data/models (by its `name` or its
 * file name), a path to such a YAML spec, or a path to a Hugging Face config.json.
 * Fails with VIDUR_EIO/VIDUR_EPARSE/VIDUR_EINVAL and, for an unknown name, names the
 * nearest known one. Thread-safe.
 */
int vidur_model_load(struct vidur_model_spec *model, const char *reference,
                     struct vidur_error *err);

/* Dimensions are positive and divide each other as SIMULATOR.md section 1 asks. */
int vidur_model_check(const struct vidur_model_spec *model, struct vidur_error *err);

/* "max_seq_len 8192 is beyond the context of NAME, 4096 tokens: ..." where `key` asks
 * for requests of more tokens than the model's context; else "". */
void vidur_model_describe_context(const struct vidur_model_spec *model, const char *key,
                                  int max_tokens, char *out, size_t size);

/* Parameters of one decoder layer held by one of `tensor_parallel_size` devices;
 * SIMULATOR.md section 3. Embeddings are not counted. */
int64_t vidur_model_layer_params(const struct vidur_model_spec *model,
                                 int tensor_parallel_size);

/* KV heads on one device: ceil(Hkv / TP). */
int vidur_model_kv_heads_per_device(const struct vidur_model_spec *model,
                                    int tensor_parallel_size);

struct vidur_sha256;

/* Adds what a spec says to a hash, value by value: equal content gives equal hashes on
 * every machine. A new member is added there; a test flips every byte of the struct. */
void vidur_model_digest(struct vidur_sha256 *sha, const struct vidur_model_spec *model);

#endif
