#ifndef VIDUR_PRICE_H
#define VIDUR_PRICE_H

#include "specs/operators.h"
#include "tables/kernels.h"

#include <vidur/engine_table.h>
#include <vidur/sku.h>

#include <stddef.h>

/*
 * What the work of an engine's step costs: the catalogue's operators and attention, in
 * ms, from timings of kernels where there are some and from the roofline with the
 * device's constants where there are none. Source: ENGINE.md sections 3, 6 and 7.
 */

struct vidur_pricer {
    const struct vidur_device_sku *device;
    const struct vidur_node_sku *node;
    int devices;                             /* of the tensor-parallel group */
    int ranks;                               /* in data parallel, each such a group */
    enum vidur_stage_link to_next;           /* of the stage that is priced */
    struct vidur_kernels *kernels;           /* NULL: the roofline alone */
    struct vidur_engine_constants constants; /* none is NaN */
    double bandwidth_bytes_per_s;
    double peak_flops[VIDUR_NUM_PEAKS];
    char borrowed[192]; /* "; NAME from ..." for each that stands in for another */
};

/* Where times are added up: `times` times the ms of each size from 1 to limit. */
struct vidur_price_sum {
    double times;
    double *ms; /* [0 .. limit] */
    int64_t limit;
};

/* `kernels` may be NULL; it and the specs must outlive the pricer. Fails where kernels
 * were timed on another device. */
int vidur_pricer_init(struct vidur_pricer *pricer,
                      const struct vidur_device_sku *device,
                      const struct vidur_node_sku *node, struct vidur_kernels *kernels,
                      struct vidur_error *err);

/* Adds the operator's ms for x tokens. */
int vidur_price_operator(struct vidur_pricer *pricer, const char *name,
                         const struct vidur_work *work,
                         const struct vidur_price_sum *sum, struct vidur_error *err);

/* Adds `times` layers' attention of a prompt of s = 1 .. limit tokens, and of one
 * decode row over s tokens; either may be NULL. */
int vidur_price_prompt(struct vidur_pricer *pricer, const struct vidur_shard *shard,
                       const struct vidur_shard_layers *layers,
                       const struct vidur_price_sum *sum, struct vidur_error *err);
int vidur_price_row(struct vidur_pricer *pricer, const struct vidur_shard *shard,
                    const struct vidur_shard_layers *layers,
                    const struct vidur_price_sum *sum, struct vidur_error *err);

/* Decode rows of all layers of a kind: the launch, and each token of their contexts; of
 * latent attention the index alone. */
struct vidur_row_prices {
    double launch_ms, ms_per_token;
};
struct vidur_row_prices vidur_price_rows(const struct vidur_pricer *pricer,
                                         const struct vidur_shard_layers *layers);

/* Latent attention of decode rows over batches and contexts, a layer. */
struct vidur_latent_times {
    int num_batches, num_contexts;
    double *batches, *contexts; /* ascending; of one allocation, freed with batches */
    double *ms;                 /* [batch][context] */
    double cut_ms, least_ms;    /* taken off, and what is left at least */
};

int vidur_price_latent_rows(struct vidur_pricer *pricer,
                            const struct vidur_shard *shard,
                            const struct vidur_shard_layers *layers,
                            struct vidur_latent_times *out, struct vidur_error *err);

/* ---- Between the sources ---- */

/* Notes once that `name` is borrowed: "; NAME from WHERE". */
void vidur_pricer_borrow(struct vidur_pricer *pricer, const char *name, const char *fmt,
                         ...) VIDUR_PRINTF(3, 4);

/* The roofline: of work that is GEMM, EXPERTS or a message; of attention. */
double vidur_roofline_work_ms(const struct vidur_pricer *pricer,
                              const struct vidur_work *work, double tokens);
double vidur_roofline_prompt_ms(const struct vidur_pricer *pricer,
                                const struct vidur_shard *shard,
                                const struct vidur_shard_layers *layers, double tokens);
double vidur_roofline_row_ms(const struct vidur_pricer *pricer,
                             const struct vidur_shard_layers *layers, double tokens);
/* Of a batch of latent attention's decode rows with so much context each. */
double vidur_roofline_latent_ms(const struct vidur_pricer *pricer,
                                const struct vidur_shard *shard,
                                const struct vidur_shard_layers *layers, double rows,
                                double context);
/* Memory traffic of a small kernel. */
double vidur_bytes_ms(const struct vidur_pricer *pricer, double bytes,
                      double launch_us);

/* Of the input of a product in blocks, `k` wide: what FP8's table does not time. */
double vidur_quantise_ms(const struct vidur_pricer *pricer, double k, double tokens);

/* The kernels' answers to the functions above: 1 where the tables have none. */
int vidur_kernels_price_work(struct vidur_pricer *pricer, const char *name,
                             const struct vidur_work *work,
                             const struct vidur_price_sum *sum,
                             struct vidur_error *err);
int vidur_kernels_price_prompt(struct vidur_pricer *pricer,
                               const struct vidur_shard *shard,
                               const struct vidur_shard_layers *layers,
                               const struct vidur_price_sum *sum,
                               struct vidur_error *err);
int vidur_kernels_price_row(struct vidur_pricer *pricer,
                            const struct vidur_shard *shard,
                            const struct vidur_shard_layers *layers,
                            const struct vidur_price_sum *sum, struct vidur_error *err);
int vidur_kernels_latent_rows(struct vidur_pricer *pricer,
                              const struct vidur_shard *shard,
                              const struct vidur_shard_layers *layers,
                              struct vidur_latent_times *out, struct vidur_error *err);
/* Tokens and context up to which the kernels of the first kind of layers were timed. */
int vidur_kernels_reach(struct vidur_pricer *pricer, const struct vidur_shard *shard,
                        int64_t *tokens, int64_t *context, struct vidur_error *err);
/* Memory for a table of latent attention. */
int vidur_latent_times_make(struct vidur_latent_times *out, int num_batches,
                            int num_contexts, struct vidur_error *err);

#endif
