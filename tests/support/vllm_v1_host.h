#ifndef VIDUR_TEST_VLLM_V1_HOST_H
#define VIDUR_TEST_VLLM_V1_HOST_H

#include "vllm_v1_world.h"

/* The reference's second tier of KV blocks, in host memory. */

/* The request's blocks from `begin` up to `end` have been used, the last one first;
 * those that are not there come in. */
void v1_keep_on_host(struct world *w, int32_t id, int32_t begin, int32_t end);
/* How many blocks of its prompt are there from index `from` on. */
int32_t v1_count_on_host(const struct world *w, int32_t id, int32_t from);
/* They begin to come now, one request after the other. */
void v1_load(struct world *w, int32_t id, int32_t blocks);
/* When the first of those comes, or came; infinity: there is none. */
double v1_next_load_s(const struct world *w);
/* It, if it has come by now; or NOBODY. */
int32_t v1_take_loaded(struct world *w);

#endif
