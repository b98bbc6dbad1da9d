#ifndef VIDUR_KERNEL_ROWS_H
#define VIDUR_KERNEL_ROWS_H

#include "base/quantile.h"
#include "tables/price.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * Rows of kernel tables, each beside what the roofline says of it: the raw material of
 * fits (price_fit.h) and of their errors (price_errors.h). What is compared with the
 * timings is what prices an engine's step (price.h), so that fit and use cannot differ.
 *
 * Rows: those that an engine runs, one an octave of tokens (message bytes) and shape,
 * of several kernels the fastest. Of products n and k from 512 up, up to 8,192 tokens;
 * of experts up to 16,384 tokens, cut over at most 8 devices, uneven routing; of
 * prompts one at a time and from 64 tokens up; of decode rows contexts from 64 tokens
 * up; messages from 4 KiB to 128 MiB.
 */

enum { VIDUR_LEAST_PRODUCT_WIDTH = 512, VIDUR_FITTED_HEAD_DIM = 128 };

/* X(name, table, formats): classes that have constants. Formats: of weights, or of the
 * KV cache, or none. */
#define VIDUR_FITTED_CLASSES(X)                                                        \
    X(gemm, gemm, weights)                                                             \
    X(experts, experts, weights)                                                       \
    X(prefill, context, cache) /* heads of 128, no window */                           \
    X(all_reduce, all_reduce, none)

/* Classes that the roofline prices with constants of others, or of its own. */
#define VIDUR_JUDGED_CLASSES(X)                                                        \
    X(prefill_other, context, cache) /* other heads, and windows */                    \
    X(decode, generation_batches, cache)                                               \
    X(decode_other, generation_batches, cache)                                         \
    X(mla_prefill, mla_context, weights) /* latent attention, projections included */  \
    X(mla_decode, mla_generation, weights)                                             \
    X(all_gather, all_gather, none)                                                    \
    X(reduce_scatter, reduce_scatter, none)

enum vidur_fit_class {
#define X(name, table, formats) VIDUR_FIT_##name,
    VIDUR_FITTED_CLASSES(X) VIDUR_NUM_FIT_CLASSES,
    VIDUR_FIT_LAST_FITTED = VIDUR_NUM_FIT_CLASSES - 1, /* the next follows it */
    VIDUR_JUDGED_CLASSES(X)
#undef X
        VIDUR_NUM_KERNEL_CLASSES
};

const char *vidur_fit_class_name(enum vidur_fit_class class);
/* Whether its rows are told apart by formats. */
bool vidur_fit_class_has_formats(enum vidur_fit_class class);

/* One timed point. */
struct vidur_kernel_row {
    struct vidur_work work;          /* but of attention */
    struct vidur_shard_layers heads; /* of attention that is not latent */
    enum vidur_dtype cache;          /* of latent attention */
    int latent_heads, devices, ranks;
    double batch;
    double size; /* tokens, context, or the message's bytes */
    double timed_ms;
    int octave;
    int64_t weight; /* in a fit */
};

/* The rows of a class and format, by octaves. */
struct vidur_kernel_rows {
    enum vidur_fit_class class;
    enum vidur_dtype dtype; /* bf16 where formats play no part */
    struct vidur_kernel_row *at;
    int count;
    struct vidur_model_spec latent;      /* whose attention is latent */
    struct vidur_weighted_value *errors; /* as many; scratch */
};

/* log(roofline / timed). */
double vidur_kernel_row_log_ratio(struct vidur_pricer *pricer,
                                  const struct vidur_kernel_rows *rows,
                                  const struct vidur_kernel_row *row);

struct vidur_kernel_rows_of {
    const struct vidur_pricer *pricer; /* of the device that was timed */
    struct vidur_kernels *kernels;
    bool fitted_only; /* what has constants of its own */
};

/* Calls `use` with the rows of every class and format that there are. */
int vidur_kernel_rows_each(const struct vidur_kernel_rows_of *of,
                           void (*use)(void *context,
                                       const struct vidur_kernel_rows *rows),
                           void *context, struct vidur_error *err);

#endif
