#ifndef VIDUR_SHARED_PREFIX_H
#define VIDUR_SHARED_PREFIX_H

#include <vidur/error.h>

#include <stdbool.h>
#include <stdint.h>

/*
 * A workload whose prompts share prefixes: groups of prompts that begin with the
 * group's system prompt, sent over and over in a fixed cycle, in stages of constant
 * load. The load generator that published measurements of vLLM were made with. Source:
 * ENGINE.md section 4.
 */

enum { VIDUR_MAX_LOAD_STAGES = 64, VIDUR_MAX_PROMPT_QUANTILES = 32 };

enum vidur_stage_arrivals {
    VIDUR_STAGE_EXPONENTIAL_FILLED, /* exponential gaps, rescaled to fill the stage */
    VIDUR_STAGE_POISSON,            /* exponential gaps */
    VIDUR_STAGE_STATIC              /* equal gaps */
};

struct vidur_load_stage {
    double rate_qps;
    double duration_s;
};

struct vidur_prompt_quantile {
    double quantile; /* in [0, 1], ascending */
    double tokens;   /* ascending */
};

struct vidur_shared_prefix_config {
    int num_groups;
    int num_prompts_per_group;
    int system_prompt_tokens; /* shared by the prompts of a group */
    /* Prompt lengths: normal, or by quantiles where there are any. */
    double prompt_mean_tokens;
    double prompt_std_tokens;
    struct vidur_prompt_quantile quantiles[VIDUR_MAX_PROMPT_QUANTILES];
    int num_quantiles;
    int output_tokens; /* of every request */
    enum vidur_stage_arrivals arrivals;
    struct vidur_load_stage stages[VIDUR_MAX_LOAD_STAGES];
    int num_stages;
};

/* A part of a recorded prompt: prompts with the same node have all blocks in common
 * that both have up to its end. */
struct vidur_recorded_segment {
    int32_t node;
    int32_t end; /* the number of recorded blocks up to it */
};

/* segments[first_segment] up to, without, segments[first_segment + num_segments], with
 * ascending ends */
struct vidur_recorded_prompt {
    int64_t first_segment;
    int32_t num_segments;
};

/* Which prompt a request sends; what prompts have in common. Read-only for simulators.
 */
struct vidur_prompts {
    const int32_t *prompt; /* of every request: 0 .. num_prompts - 1 */
    int32_t num_prompts;
    int32_t num_prompts_per_group; /* prompts p of group p / num_prompts_per_group */
    int32_t system_prompt_tokens;
    /* Of recorded requests instead, where `prompt` is NULL: what of the recorded blocks
     * of `block_tokens` tokens each prompt shares with which others; what lies behind
     * them nobody shares. */
    const struct vidur_recorded_prompt *recorded; /* [requests] */
    const struct vidur_recorded_segment *segments;
    int32_t block_tokens;
};

static inline bool vidur_prompts_are_shared(const struct vidur_prompts *prompts)
{
    return prompts->prompt || prompts->recorded;
}

/*
 * Stages of a run. A stage begins when the one before has drained, so its arrival times
 * are known only then: the workload's are nominal, as if every stage took its duration,
 * and the simulator moves stage s by (when s-1 drained) - start_s[s].
 */
struct vidur_load_stages {
    int count;                                        /* 0: the run has no stages */
    int64_t first_request[VIDUR_MAX_LOAD_STAGES + 1]; /* last: all requests */
    double start_s[VIDUR_MAX_LOAD_STAGES];            /* nominal */
};

/* Values that cannot be; texts start with `workload.`. `max_tokens`: cap on a request.
 */
int vidur_shared_prefix_check(const struct vidur_shared_prefix_config *config,
                              int max_tokens, struct vidur_error *err);

/* One stage of so many requests at a rate of 1, for a workload without stages, whose
 * rate is set. */
void vidur_shared_prefix_unscaled(struct vidur_shared_prefix_config *config,
                                  int64_t num_requests);

/* round(rate * duration) requests a stage. */
void vidur_shared_prefix_stages(const struct vidur_shared_prefix_config *config,
                                struct vidur_load_stages *stages);

/* Arrays of the caller's for as many requests as the stages have. */
struct vidur_shared_prefix_requests {
    double *arrived_at_s;
    int32_t *prefill_tokens;
    int32_t *decode_tokens;
    int32_t *prompt;
};

/* Draws them: streams of their own from `seed`. -1: out of memory. */
int vidur_shared_prefix_draw(const struct vidur_shared_prefix_config *config,
                             int max_tokens, uint64_t seed,
                             const struct vidur_shared_prefix_requests *requests,
                             struct vidur_error *err);

#endif
