#ifndef VIDUR_SIM_LENGTHS_H
#define VIDUR_SIM_LENGTHS_H

#include "load/draws.h"
#include "load/trace.h"

#include <vidur/workload.h>

#include <stdbool.h>

struct vidur_yaml_field;

/*
 * Length distributions: prompt and output tokens of a request. Each is one entry of the
 * table in lengths.c; to add one, add its functions and its entry.
 */

struct vidur_zipf {
    double theta;
    double items;
    double zeta; /* of items */
    double alpha;
    double eta;
};

/* A source of lengths, opened for one workload. */
struct vidur_lengths {
    const struct vidur_lengths_policy *policy;
    const struct vidur_lengths_config *config; /* outlives the source */
    int max_tokens;
    uint64_t seed;
    uint64_t stream; /* of random numbers under seeds: own; 0 but for classes */
    struct vidur_draws draws;
    struct vidur_zipf zipf;
    struct vidur_mt19937 *zipf_reference; /* its stream under seeds: reference */
    struct vidur_trace trace;
    int64_t *order; /* of the trace's rows */
    int64_t next;
};

struct vidur_tokens {
    int32_t prefill;
    int32_t decode;
    bool is_cut;      /* they were more than max_tokens */
    int32_t priority; /* of the row of a log; 0: it has none */
};

struct vidur_lengths_policy {
    const char *name;
    const struct vidur_yaml_field *fields;
    /* Keys that are wrong together or alone. */
    int (*check)(const struct vidur_lengths_config *config, int max_tokens,
                 struct vidur_error *err);
    /* May be NULL. What it takes is given back by vidur_lengths_close. */
    int (*open)(struct vidur_lengths *lengths, struct vidur_error *err);
    int (*draw)(struct vidur_lengths *lengths, struct vidur_tokens *tokens,
                struct vidur_error *err);
};

/* Texts start with `workload.lengths.`. */
int vidur_lengths_check(const struct vidur_lengths_config *config, int max_tokens,
                        struct vidur_error *err);

/* `reference`: the shared stream of seeds: reference, NULL under seeds: own. */
int vidur_lengths_open(struct vidur_lengths *lengths,
                       const struct vidur_workload_config *workload,
                       struct vidur_mt19937 *reference, struct vidur_error *err);
/* Of the index-th class of a mix, with random numbers of its own; the first class has
 * those that it would have alone. */
int vidur_lengths_open_class(struct vidur_lengths *lengths,
                             const struct vidur_workload_config *workload, int index,
                             struct vidur_error *err);
void vidur_lengths_close(struct vidur_lengths *lengths);

/* The next request's tokens: each at least 1, together at most max_tokens. */
int vidur_lengths_draw(struct vidur_lengths *lengths, struct vidur_tokens *tokens,
                       struct vidur_error *err);

#endif
