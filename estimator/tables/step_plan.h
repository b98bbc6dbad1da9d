#ifndef VIDUR_STEP_PLAN_H
#define VIDUR_STEP_PLAN_H

#include "tables/price.h"

#include <vidur/engine_table.h>

/*
 * The one plan of a step: what a device does in it, as a list of terms in the order of
 * the specification, and the prices of those. Engine tables, operator tables of any
 * decoder and `vidur-estimate explain` are sums over it. Source: ENGINE.md sections 3,
 * 6 and 7.
 */

enum vidur_term {
    VIDUR_TERM_OPERATOR, /* of the catalogue */
    VIDUR_TERM_PROMPT,   /* attention of chunks of prompts */
    VIDUR_TERM_ROWS      /* attention of decode rows */
};

/* An operator, or attention, in the layers of one kind. */
struct vidur_step_term {
    enum vidur_term term;
    const struct vidur_operator *op;         /* NULL: attention */
    const struct vidur_shard_layers *layers; /* NULL: not in layers */
    int kind;               /* index of the layers; -1: not in layers */
    double times;           /* a step */
    struct vidur_work work; /* of an operator */
};

enum { VIDUR_MAX_STEP_TERMS = (VIDUR_MAX_OPERATORS + 2) * VIDUR_MAX_LAYER_KINDS };

/* What a step is priced with. The terms point into it: it is not to be copied. */
struct vidur_step_plan {
    const struct vidur_engine_request *request;
    int num_stages, stage; /* which stage of how many it is of */
    struct vidur_shard shard;
    struct vidur_pricer pricer;
    struct vidur_kernels *own; /* closed at the end */
    int num_terms;
    struct vidur_step_term terms[VIDUR_MAX_STEP_TERMS];
};

/* The constants asked for; those that are NaN as ENGINE.md section 3 and the device
 * have them. */
struct vidur_engine_constants
vidur_step_constants(const struct vidur_engine_constants *asked,
                     const struct vidur_device_sku *device);

/* Checks the request, opens its kernels and lists the terms. The request must outlive
 * the plan; end it also after an error. */
int vidur_step_plan_begin(struct vidur_step_plan *plan,
                          const struct vidur_engine_request *request,
                          struct vidur_error *err);
void vidur_step_plan_end(struct vidur_step_plan *plan);

/* Adds an operator's ms for x tokens; the sum says how many times. */
int vidur_step_price(struct vidur_step_plan *plan, const struct vidur_step_term *term,
                     const struct vidur_price_sum *sum, struct vidur_error *err);

double vidur_step_num_layers(const struct vidur_step_plan *plan);

/* ms of a sampler for one request's logits; 0 on stages that have none. */
double vidur_step_sampler_ms(const struct vidur_step_plan *plan);

/* Latent attention of the plan's layers, as tables of rows and contexts, all layers of
 * it being alike as in all models there are; none: layers 0. Released with
 * free(latent->batches). */
int vidur_step_price_latent(struct vidur_step_plan *plan,
                            struct vidur_engine_latent *latent,
                            struct vidur_error *err);

/* "engine step model, FROM" and what was borrowed; describe_source names the plan's own
 * source of times. */
void vidur_step_describe(const struct vidur_step_plan *plan, const char *from,
                         char *out, size_t size);
void vidur_step_describe_source(const struct vidur_step_plan *plan, char *out,
                                size_t size);

#endif
