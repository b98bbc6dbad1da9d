#ifndef VIDUR_ENGINE_TABLE_H
#define VIDUR_ENGINE_TABLE_H

#include <vidur/error.h>
#include <vidur/model.h>
#include <vidur/sku.h>

#include <stdbool.h>
#include <stdint.h>

/*
 * Step times of an engine that runs its layers as captured graphs (vLLM V1), frozen
 * into dense tables for one (model, device, node, cut): what the `engine` step model
 * looks up. Of a pipeline each kind of stage has a table: its layers, the embedding on
 * the first stage, head and sampler on the last, and on the others what they send to
 * the next. Source: ENGINE.md sections 3, 5, 6 and 8.
 *
 * A step of x tokens (padded by the step model to a captured graph size), b of them
 * sampled, with n decode rows whose contexts add up to C, and prefill chunks c behind
 * prefixes p, S = p + c, takes
 *
 *   linear_ms[x] + head_ms[b] + step_ms + request_ms * requests
 *   + decode_launch_ms + decode_ms_per_token * C
 *   + sum over windows w of w.ms_per_token * min(C, n * w.tokens)
 *   + latent_layers * latent(n, C / n)                  (if there are decode rows)
 *   + max(context_ms[S] * (S^2 - p^2) / S^2, context_ms[c], decode1_ms[S])
 *   + window_context_ms[c]                              (of every chunk)
 *   + mixed_ms                                          (if rows and chunks are mixed)
 *
 * Of ranks in data parallel this is a rank's own time, without its experts; the longest
 * rank's and
 *
 *   gathered_experts_ms[y] + gathered_comm_ms[y]
 *
 * for the tokens y of all ranks, padded or not as the step model says, are the step.
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

/* Layers that read the last `tokens` of a context. */
struct vidur_engine_window {
    int64_t tokens;
    double ms_per_token; /* of all such layers */
};

/* Times of a layer of latent attention over batches and contexts: linear between the
 * points of both, constant below the first, proportional beyond the last, less cut_ms
 * and at least least_ms. */
struct vidur_engine_latent {
    double layers;       /* 0: none */
    int64_t most_tokens; /* of a context that are read (sparse attention); 0: all */
    const double *batches, *contexts, *ms; /* ms[batch * num_contexts + context] */
    int num_batches, num_contexts;
    double cut_ms, least_ms;
};

/* All such layers, projections included, of decode rows (at least one) whose contexts
 * add up to row_tokens. */
double vidur_engine_latent_ms(const struct vidur_engine_latent *latent, int64_t rows,
                              int64_t row_tokens);

enum { VIDUR_MAX_ENGINE_WINDOWS = VIDUR_MAX_LAYER_KINDS };

/* Hot data, read-only and shared. Entry 0 of each array is 0. */
struct vidur_engine_table {
    /* 1..linear_limit tokens: everything that depends on their number alone */
    const double *linear_ms;
    const double
        *experts_ms; /* the part of routed experts and router in it; NULL: none */
    const double
        *comm_ms; /* the part of all-reduces and of sending to the next stage */
    int64_t linear_limit;
    /* 1..gathered_limit tokens of all ranks: experts, and the messages that bring
     * tokens to them and sums back; NULL: one rank, whose experts are in linear_ms */
    const double *gathered_experts_ms, *gathered_comm_ms;
    int64_t gathered_limit;
    const double *head_ms; /* 1..head_limit sampled requests: output head, sampler */
    int64_t head_limit;
    const double
        *context_ms; /* 1..context_limit: attention of a prompt of that length */
    const double *window_context_ms; /* the same of layers with a window; NULL: none */
    const double *decode1_ms;        /* one decode row of that context */
    int64_t context_limit;
    int64_t profiled_context; /* beyond these the kernel tables were extrapolated */
    int64_t profiled_tokens;
    double decode_launch_ms;
    double decode_ms_per_token;
    int num_windows;
    struct vidur_engine_window windows[VIDUR_MAX_ENGINE_WINDOWS];
    struct vidur_engine_latent latent;
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
    bool expert_parallel;
    int data_parallel_size;  /* ranks; 0: 1 */
    int num_stages;          /* of a pipeline; 0 as 1: the table is of all layers */
    int stage;               /* that the table is of, from 0 */
    const char *kernels_dir; /* NULL or "": the roofline with the device's constants */
    struct vidur_kernel_library *library; /* NULL: kernels are read for this table */
    struct vidur_engine_constants constants;
    int64_t max_tokens;         /* of a step */
    int64_t max_batch_size;     /* requests of a step */
    int64_t max_context_tokens; /* of a request */
};

void vidur_engine_constants_defaults(struct vidur_engine_constants *constants);

/* Kernel timings that were read, kept for tables that are built later. Belongs to one
 * thread. */
struct vidur_kernel_library *vidur_kernel_library_create(struct vidur_error *err);
void vidur_kernel_library_destroy(struct vidur_kernel_library *library);

/*
 * Builds the tables from kernel timings (the folder of a system: gemm,
 * context_attention, generation_attention, custom_allreduce, and where a model needs
 * them moe, mla_context and mla_generation, as .csv or .csv.gz, and system.yaml; or the
 * root of several systems), or from the roofline. Released with
 * vidur_engine_table_free. What the kernel tables lack is filled as ENGINE.md section 6
 * says and named in `provenance`; a missing file or device count is an error.
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
