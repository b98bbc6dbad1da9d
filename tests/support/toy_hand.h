#ifndef VIDUR_TEST_TOY_HAND_H
#define VIDUR_TEST_TOY_HAND_H

#include "toy_cluster.h"
#include "toy_engine.h"

#include "tell/session_metrics.h"

/* V1 engines under a few requests, whose times are worked out by hand. */

enum { HAND_REQUESTS = 8, HAND_TOKENS = 64, HAND_STEP = 64, HAND_BATCH = 8 };

struct hand_load {
    int count;
    double arrived_at_s[HAND_REQUESTS];
    int32_t prompt[HAND_REQUESTS], output[HAND_REQUESTS];
    int32_t which[HAND_REQUESTS]; /* prompt, where they are shared */
};

struct hand_outcome {
    struct vidur_metrics metrics;
    struct vidur_session_metrics sessions; /* where the workload has some */
    double arrived_s[HAND_REQUESTS], scheduled_s[HAND_REQUESTS];
    double first_token_s[HAND_REQUESTS], completed_s[HAND_REQUESTS];
    int32_t restarts[HAND_REQUESTS], prompt[HAND_REQUESTS], output[HAND_REQUESTS];
    int32_t cached[HAND_REQUESTS]; /* -1: without a prefix cache */
};

/* Synchronous; up to HAND_BATCH requests and HAND_STEP tokens in a step; blocks for
 * everything. */
void hand_engine(struct vidur_deployment *deployment);

/* Of prompts that are not shared; it refers to the load's arrays. */
struct vidur_workload hand_workload(const struct hand_load *load);

void hand_run(struct hand_outcome *out, const struct vidur_deployment *deployment,
              const struct toy_step_times *times, const struct vidur_workload *workload,
              const struct vidur_run_options *options);

#endif
