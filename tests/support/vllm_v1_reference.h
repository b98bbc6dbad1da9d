#ifndef VIDUR_TEST_VLLM_V1_REFERENCE_H
#define VIDUR_TEST_VLLM_V1_REFERENCE_H

#include <vidur/deployment.h>
#include <vidur/engine_table.h>
#include <vidur/workload.h>

/*
 * A V1 engine simulated the slow way: step by step, request by request, with linear
 * searches, straight from ENGINE.md sections 1 to 3, 8 and 9. One replica. What the
 * scheduler, the step model, the block store and the lockstep are compared with.
 */

enum { V1_REFERENCE_STAGES = 4 };

struct v1_reference_request {
    double arrived_at_s;
    double scheduled_at_s; /* first time; NaN: never, as the next two */
    double first_token_at_s;
    double completed_at_s;
    int restarts;
};

/* What happened on the way, so that tests can tell that they reached it. */
struct v1_reference_tally {
    int64_t steps;
    int64_t hits; /* blocks */
    int64_t evictions;
    int64_t generated;   /* blocks of generated tokens that were cached */
    int64_t forgotten;   /* blocks of prompts that were not computed to their end */
    int64_t emptied;     /* steps that preemption left empty */
    int64_t fixed_apart; /* by an arrival while the step before was running */
    int64_t stages_late; /* of load */
    int64_t overlaps;  /* steps of a pipeline that began while another was under way */
    int64_t chained;   /* parts of prompts that did while the part before was */
    int64_t held_back; /* arrivals that the engine let wait for a step to end */
    int64_t overtaken; /* arrivals that came before others that waited */
    int64_t picked;    /* requests preempted by priority, not as the last admitted */
    int64_t dummies;   /* of ranks: steps of others without a batch of its own */
    int64_t loads;     /* of requests, from host memory */
    int64_t loaded;    /* blocks */
    int64_t host_evictions;
    int64_t padded; /* steps without prompts in which ranks differ in tokens */
};

/* `ids`: the requests that this replica gets, in order; `out`, by id. */
struct v1_reference_input {
    const struct vidur_scheduler_config *knobs; /* num_blocks is given */
    const struct vidur_engine_table *table;     /* of the last stage, or the only one */
    const struct vidur_engine_table *stages[V1_REFERENCE_STAGES]; /* of a pipeline */
    int num_stages;
    const struct vidur_workload *workload;
    const int32_t *ids;
    int64_t count;
    int num_ranks;       /* in data parallel; 0: 1 */
    int32_t host_blocks; /* of each rank; 0: no second tier */
    double host_block_s; /* to load one */
};

void v1_reference_run(const struct v1_reference_input *input,
                      struct v1_reference_request *out,
                      struct v1_reference_tally *tally);

#endif
