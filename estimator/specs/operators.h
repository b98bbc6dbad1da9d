#ifndef VIDUR_OPERATORS_H
#define VIDUR_OPERATORS_H

#include <vidur/shard.h>
#include <vidur/timetable.h>

/*
 * The room estimator/specs. What is served and on what: models, precisions, devices
 * and nodes, what a device holds of a model, and the operators that follow. Facts and
 * arithmetic only: no times. Public in model.h, precision.h, shard.h, sku.h and
 * spec_config.h.
 */

/*
 * The catalogue of what a device does in a step: a row an operator, with the layers
 * that it runs on and the work that it is, so that every source of times (kernel
 * timings, rooflines) prices the same work and memory, keys and reports list the same
 * operators. Attention over the KV cache depends on two sizes and is priced by itself;
 * here are those that depend on the number of tokens alone. Source: ENGINE.md
 * section 5. A new operator is a row here, and nothing else.
 */

/* What a time is made of. */
enum vidur_law {
    VIDUR_LAW_GEMM,       /* (tokens, k) x (k, n) */
    VIDUR_LAW_EXPERTS,    /* the grouped products of routed experts */
    VIDUR_LAW_BYTES,      /* memory traffic of a small kernel */
    VIDUR_LAW_ALL_REDUCE, /* a message over the tensor-parallel group */
    /* what all ranks in data parallel have together, on each of them, and sums of it,
     * a rank's part on each */
    VIDUR_LAW_ALL_GATHER,
    VIDUR_LAW_REDUCE_SCATTER,
    VIDUR_LAW_SEND /* a message to the next stage */
};

/* X(name): parts of a step that are told apart in reports. */
#define VIDUR_OPERATOR_PARTS(X) X(gemm) X(experts) X(small) X(communication) X(head)

enum vidur_operator_part {
#define X(name) VIDUR_PART_##name,
    VIDUR_OPERATOR_PARTS(X)
#undef X
        VIDUR_NUM_PARTS
};

/* The work of an operator on one device for x tokens. */
struct vidur_work {
    enum vidur_law law;
    enum vidur_dtype dtype;          /* GEMM, EXPERTS: of the weights */
    double n, k;                     /* GEMM */
    double fixed_bytes, token_bytes; /* the others: fixed + x * token */
    /* EXPERTS: a layer of the whole model and how it is cut */
    int hidden_dim, expert_dim, experts_per_token, num_experts;
    int moe_tensor, moe_expert;
    int matrices; /* of an expert: 3 with a gate */
};

enum vidur_operator_place {
    VIDUR_PLACE_LAYER,    /* in every layer that has it */
    VIDUR_PLACE_GATHERED, /* the same, for the tokens of all ranks in data parallel */
    VIDUR_PLACE_FIRST,    /* once, on the first stage */
    VIDUR_PLACE_BEHIND,   /* once, on every stage that another follows */
    VIDUR_PLACE_LAST /* once, on the last stage, for the requests that get a token */
};

struct vidur_operator {
    const char *name;
    enum vidur_operator_part part;
    enum vidur_operator_place place;
    /* How often it runs in a layer of this kind, and its work there; `layers` is NULL
     * of what is not in a layer. */
    int (*times)(const struct vidur_shard *shard,
                 const struct vidur_shard_layers *layers);
    void (*work)(const struct vidur_shard *shard,
                 const struct vidur_shard_layers *layers, struct vidur_work *work);
    /* The tables of the step model `layers` that its time in layers is divided over in
     * equal parts: SIMULATOR.md section 5. */
    enum vidur_token_operator tables[2];
    int num_tables;
};

enum { VIDUR_MAX_OPERATORS = 24 };

/* By index, in the order of a step; NULL behind the last. */
const struct vidur_operator *vidur_operator_at(int index);
const struct vidur_operator *vidur_operator_find(const char *name);

/* Whether it is a message between devices. */
bool vidur_work_is_message(const struct vidur_work *work);
/* FLOPs for x tokens; 0 of what only moves bytes. */
double vidur_work_flops(const struct vidur_work *work, double tokens);
/* Bytes that must move for x tokens: weights once, of experts those that are touched by
 * evenly routed tokens, inputs and outputs. */
double vidur_work_bytes(const struct vidur_work *work, double tokens);
/* Experts of this device that x evenly routed tokens touch. */
double vidur_work_touched_experts(const struct vidur_work *work, double tokens);

#endif
