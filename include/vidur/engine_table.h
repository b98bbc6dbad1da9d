#ifndef VIDUR_ENGINE_TABLE_H
#define VIDUR_ENGINE_TABLE_H

#include <vidur/error.h>
#include <vidur/model.h>
#include <vidur/sku.h>

#include <stdbool.h>
#include <stdint.h>

/*
 * Step times of an engine that runs its layers as captured graphs (vLLM V1), frozen
 * into dense tables for one (model, device, node, TP): what the `engine` step model
 * looks up. Source: ENGINE.md section 3.
 *
 * A step of x tokens (padded by the step model to a captured graph size), b of them
 * sampled, with decode rows of contexts s_i and prefill chunks c behind prefixes p
 * takes
 *
 *   linear_ms[x] + head_ms[b] + step_ms + request_ms * requests
 *   + decode_launch_ms + decode_ms_per_token * sum s_i          (if there are such
 * rows)
 *   + max(context_ms[S] * (S^2 - p^2) / S^2, context_ms[c], decode1_ms[S]), S = p + c
 *   + mixed_ms                                  (if decode rows and chunks are mixed)
 *
 * A prefill chunk of at most VIDUR_ENGINE_DECODE_LIKE_TOKENS counts as a decode row.
 */

enum { VIDUR_ENGINE_DECODE_LIKE_TOKENS = 64 };

struct vidur_timetable;

/* Fitted constants; NaN means the default of the source of times. */
struct vidur_engine_constants {
    double eta;         /* share of peak HBM bandwidth in decode attention */
    double t0_us;       /* per layer: attention launch and KV write */
    double c_ar_us;     /* per all-reduce and device beyond the first: rank skew */
    double tokenise_us; /* per prompt token, one request after the other */
    double t_api_ms;    /* from there to the engine: HTTP and streaming */
    double sampler_ms_per_million_logits;
    double step_us;
    double request_us;
    double mixed_layer_us; /* per layer of a step with decodes and prefills */
};

/* Hot data, read-only and shared. Entry 0 of each array is 0. */
struct vidur_engine_table {
    const double
        *linear_ms; /* 1..linear_limit tokens: GEMMs, small kernels, all-reduce */
    const double *comm_ms; /* the all-reduce part of it */
    int64_t linear_limit;
    const double *head_ms; /* 1..head_limit sampled requests: output head, sampler */
    int64_t head_limit;
    const double
        *context_ms; /* 1..context_limit: attention of a prompt of that length */
    const double *decode1_ms; /* one decode row of that context */
    int64_t context_limit;
    int64_t profiled_context; /* beyond these the kernel tables were extrapolated */
    int64_t profiled_tokens;
    double decode_launch_ms;
    double decode_ms_per_token;
    double step_ms;
    double request_ms;
    double mixed_ms;
    double tokenise_ms; /* per prompt token */
    double t_api_ms;
    struct vidur_engine_constants constants; /* that it was made with; none is NaN */
    char provenance[256];
};

struct vidur_engine_request {
    const struct vidur_model_spec *model;
    const struct vidur_device_sku *device;
    const struct vidur_node_sku *node;
    int tensor_parallel_size;
    const char *kernels_dir; /* NULL or "": the roofline with the spec's constants */
    struct vidur_engine_constants constants;
    int64_t max_tokens;         /* of a step */
    int64_t max_batch_size;     /* requests of a step */
    int64_t max_context_tokens; /* of a request */
};

void vidur_engine_constants_defaults(struct vidur_engine_constants *constants);

/*
 * Builds the tables from kernel timings (a folder with gemm, context_attention,
 * generation_attention and custom_allreduce as .csv or .csv.gz, and system.yaml), or
 * from the roofline. Released with vidur_engine_table_free. A shape that the kernel
 * tables lack is filled as ENGINE.md says for GEMMs; for attention from the nearest
 * head count (named in `provenance`); a missing file, head size or device count is an
 * error.
 */
int vidur_engine_table_build(struct vidur_engine_table **out,
                             const struct vidur_engine_request *request,
                             struct vidur_error *err);
/*
 * The same from the operator tables of one device: projections, norms, activation and
 * all-reduce per layer, attention by prompt length; the output head, which no profile
 * has, from the roofline. Decode rows are looked up in `operators` by the step model.
 */
int vidur_engine_table_from_operators(struct vidur_engine_table **out,
                                      const struct vidur_engine_request *request,
                                      const struct vidur_timetable *operators,
                                      struct vidur_error *err);
void vidur_engine_table_free(struct vidur_engine_table *table);

/* Size of the captured graph that a step of `tokens` runs in: the next of 1, 2, 4, 8 to
 * 256 by 8, 256 to 512 by 16, up to min(2 * max_num_seqs, 512); beyond it, `tokens`. */
int64_t vidur_engine_padded_tokens(int64_t tokens, int max_num_seqs);

#endif
