#ifndef VIDUR_TEST_TOY_ENGINE_H
#define VIDUR_TEST_TOY_ENGINE_H

#include <vidur/deployment.h>
#include <vidur/timetable.h>
#include <vidur/workload.h>

/*
 * Small clusters of V1 engines whose step times are given by a formula, for tests.
 */

/* Milliseconds. Multiples of a power of two make sums exact. */
struct toy_step_times {
    double fixed_ms;
    double per_token_ms;    /* of a step */
    double per_sampled_ms;  /* request that gets a token */
    double launch_ms;       /* of decode rows, if there are some */
    double per_context_ms;  /* token of context of a decode row */
    double per_square_ms;   /* attention of a prompt: times the square of its length */
    double row_ms;          /* least attention of a chunk, per token of its context */
    double mixed_ms;        /* of a step with decodes and prompts */
    double tokenise_ms;     /* of the front end, per prompt token */
    double api_ms;          /* behind it, before the engine sees a request */
    int ranks;              /* in data parallel; 0: 1 */
    double gathered_ms;     /* of a step of several, and */
    double per_gathered_ms; /* token of all ranks */
};

/* Tables up to these sizes; NULL when memory is out. */
struct vidur_timetable *toy_engine_new(const struct toy_step_times *times,
                                       int64_t max_tokens, int64_t max_batch,
                                       int64_t max_context);
void toy_engine_free(struct vidur_timetable *timetable);

/* Defaults of vllm_v1 with a toy model, on a device with memory for everything. */
void toy_engine_deployment(struct vidur_deployment *deployment);

#endif
