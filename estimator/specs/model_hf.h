#ifndef VIDUR_MODEL_HF_H
#define VIDUR_MODEL_HF_H

#include <vidur/model.h>

/*
 * Reads a Hugging Face config.json (transformers' configuration of a decoder-only
 * model) into a spec; of a multimodal model, its language model. ENGINE.md section 5
 * has the model types and what is read of each. All keys that are missing are named in
 * one error; layers that are not built are refused by name.
 *
 * The precision is that of quantization_config, else of what a quantisation tool left
 * beside the file (hf_quant_config.json; NAME_hf_quant.json beside NAME.json), else
 * bf16. A method that is not known is an error.
 *
 * The spec's name is the file's `_name_or_path`, else org/name of a file
 * org--name.json, else the folder that holds the file: profiles are looked up by it.
 * `model` holds zeros and defaults; its note says what is approximate. Thread-safe.
 */
int vidur_model_read_hf(struct vidur_model_spec *model, const char *path,
                        struct vidur_error *err);

#endif
