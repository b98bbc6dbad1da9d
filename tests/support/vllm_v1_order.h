#ifndef VIDUR_TEST_VLLM_V1_ORDER_H
#define VIDUR_TEST_VLLM_V1_ORDER_H

#include <vidur/deployment.h>
#include <vidur/workload.h>

struct world;

/* Who comes first in the reference of the V1 engine. */

static inline bool v1_by_priority(const struct vidur_scheduler_config *knobs)
{
    return knobs->scheduling_policy == VIDUR_SCHEDULING_PRIORITY;
}

/* By priority, then by arrival, then by id. */
bool v1_comes_first(const struct world *w, int32_t a, int32_t b);

/* How many of those that wait come before the request. */
int64_t v1_num_before(const struct world *w, int32_t request);

#endif
