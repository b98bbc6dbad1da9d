#ifndef VIDUR_TEST_VLLM_V1_STEP_H
#define VIDUR_TEST_VLLM_V1_STEP_H

#include <vidur/engine_table.h>

/* The time of a step, request by request, by ENGINE.md section 3; of gqa layers without
 * windows. */

/* A request's share of it: `chunk` tokens behind n. */
struct v1_part {
    int32_t id, n, chunk;
    int32_t prompt; /* the request's; beyond it it decodes */
};

double v1_step_ms(const struct vidur_engine_table *table, int max_num_seqs,
                  const struct v1_part *parts, int64_t count);
/* The same run as a step of `as` tokens, that of the graph they take. */
double v1_step_as_ms(const struct vidur_engine_table *table, int64_t as,
                     const struct v1_part *parts, int64_t count);
int64_t v1_padded_tokens(const struct vidur_engine_table *table, int max_num_seqs,
                         int64_t tokens);

#endif
