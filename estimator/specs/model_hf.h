#ifndef VIDUR_MODEL_HF_H
#define VIDUR_MODEL_HF_H

#include <vidur/model.h>

/*
 * Reads a Hugging Face config.json (transformers' configuration of a decoder-only
 * model) into a spec. Keys: hidden_size, num_hidden_layers, num_attention_heads,
 * num_key_value_heads (absent: as many as attention heads), head_dim (absent: their
 * quotient), intermediate_size, vocab_size, max_position_embeddings, hidden_act,
 * tie_word_embeddings; of a multimodal model, those of its text_config. A missing key
 * is an error that names it; mixture-of-experts and encoder-decoder models are refused.
 *
 * The spec's name is the file's `_name_or_path`, else the folder that holds the file:
 * profiles are looked up by it. `model` holds zeros and defaults. Thread-safe.
 */
int vidur_model_read_hf(struct vidur_model_spec *model, const char *path,
                        struct vidur_error *err);

#endif
