#ifndef VIDUR_STEP_EXPLAIN_H
#define VIDUR_STEP_EXPLAIN_H

#include "tables/step_plan.h"

/*
 * One step taken apart: every term of its plan with what it costs, moves and computes.
 * The lines' sum is the engine table's step, up to rounding.
 */

/* Decode rows, and one chunk of a prompt behind what is cached of it. */
struct vidur_step_batch {
    int64_t decodes;
    int64_t context_tokens; /* of each, the token being written included */
    int64_t prompt_tokens;  /* of the chunk; 0: none */
    int64_t prefix_tokens;  /* in front of it */
    int max_num_seqs;       /* which graphs are captured */
};

/* An operator in one kind of layers, attention, or an overhead. */
struct vidur_step_line {
    const char *name; /* "gate_up" */
    const char *part; /* "gemm" */
    int kind;         /* of layers, from 0; -1: not in layers */
    double times;     /* a step */
    double ms;        /* of all of them */
    double bytes;     /* of all: memory traffic, of an all-reduce its messages */
    double flops;
    double bandwidth_share; /* of the device's peak, 0..1; NaN: no memory traffic */
    double peak_share;      /* of its format's peak; NaN: no products */
};

enum { VIDUR_MAX_STEP_LINES = VIDUR_MAX_STEP_TERMS + 4 }; /* and overheads */

struct vidur_step_lines {
    int count;
    struct vidur_step_line at[VIDUR_MAX_STEP_LINES];
    double ms;             /* their sum */
    int64_t tokens;        /* of the step */
    int64_t padded_tokens; /* of the captured graph */
};

/* The plan's request must reach the batch: see vidur_step_batch_request. */
int vidur_step_explain(struct vidur_step_lines *out, struct vidur_step_plan *plan,
                       const struct vidur_step_batch *batch, struct vidur_error *err);

/* Sets a request's limits to what the batch needs; fails on an empty or negative one.
 */
int vidur_step_batch_request(struct vidur_engine_request *request,
                             const struct vidur_step_batch *batch,
                             struct vidur_error *err);

#endif
