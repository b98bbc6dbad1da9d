#ifndef VIDUR_TEST_VLLM_V1_WORLD_H
#define VIDUR_TEST_VLLM_V1_WORLD_H

#include "vllm_v1_reference.h"
#include "vllm_v1_step.h"

#include <stdbool.h>
#include <stdint.h>

/* The inside of the reference: a replica's engine, or a rank's, and its blocks. */

enum { NOBODY = -1 };

struct block {
    int64_t key; /* what it caches; 0: nothing */
    int holders;
    int64_t freed_at; /* order in the queue of free blocks */
};

struct request {
    int32_t prompt, output; /* tokens to compute, and to generate behind them */
    int32_t n;              /* done; the prompt's last step counts one more */
    int32_t chunk;          /* in the step that runs */
    int32_t begun;          /* in a pipeline: done or under way */
    int32_t flights;        /* and the steps under way that it is in */
    int32_t *blocks;
    int32_t held;
    int32_t named; /* of them, those of its prompt that were in the cache or are now */
};

/* A step under way in a pipeline. */
struct flight {
    struct v1_part *parts;
    int64_t count;
    double end_s;
};

struct host_block {
    int64_t key; /* 0: nothing */
    int64_t used_at;
};

/* A request whose blocks come from host memory. */
struct load {
    int32_t id;
    double end_s;
};

struct world {
    const struct v1_reference_input *input;
    struct v1_reference_request *out;
    struct v1_reference_tally *tally;
    struct request *requests; /* by id */
    struct block *blocks;
    int32_t num_blocks, block_size;
    int64_t clock; /* of releases */
    int32_t *running, *waiting;
    int64_t num_running, num_waiting;
    int64_t arrived, completed; /* of the input's ids */
    bool *seen;                 /* sessions: by id, those that have arrived */
    int64_t sent;               /* of them, in a closed loop */
    int32_t started;            /* sessions, of users */
    int stage;
    double delay_s;
    double tokenise_s; /* per prompt token */
    int64_t tokenised; /* of the input's ids: requests whose prompts are, from which */
    double tokenised_at_s, seen_at_s; /* follows when the last is seen */
    bool in_flight;                   /* the last step, which ends at last_end_s */
    double last_end_s;
    int64_t lacks;                              /* blocks, for the next step */
    struct v1_part *parts;                      /* scratch */
    struct flight flights[V1_REFERENCE_STAGES]; /* the first to end is the first */
    int num_flights;
    bool emptied; /* somebody was preempted when the last step was fixed */
    double free_at_s[V1_REFERENCE_STAGES];
    double now_s; /* of the step being fixed */
    struct host_block *host;
    int64_t host_clock;
    double host_free_at_s; /* its link */
    struct load *loads;    /* in their order */
    int64_t num_loads;
    /* Of ranks: the first has the front end of all; what a rank was given of it, and
     * when. */
    struct world *first;
    int32_t *given;
    double *given_at_s;
    int64_t num_given, num_taken;
    bool is_fixed; /* the next step */
};

static inline int32_t v1_least(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

static inline bool has_sessions(const struct world *w)
{
    return w->input->workload->sessions.count > 0;
}

/* ---- Blocks ---- */

int32_t v1_num_free(const struct world *w);
/* The free block that was given back first. */
int32_t v1_take_block(struct world *w);
/* All of a request's: what is computed stays cached. */
void v1_release_blocks(struct world *w, int32_t id);
/* Free blocks that admitting it takes. */
int64_t v1_cost_of(const struct world *w, int32_t id);
/* Those of its prompt, its leading ones from the cache. False: the next ones have to be
 * loaded from host memory. */
bool v1_take_prompt(struct world *w, int32_t id);
/* They have been: its prompt is in the cache. */
void v1_name_prompt(struct world *w, int32_t id);
/* What the index-th block of a request's prompt caches. */
int64_t v1_key_of(const struct world *w, int32_t id, int32_t index);

/* ---- Steps ---- */

/* When the next request reaches the engine; a stage begins when the last has drained.
 */
double v1_next_arrival_s(struct world *w);
/* Whether that is known of at `now_s`. `again`: what was known of that time was not
 * enough for a step. */
bool v1_is_known(struct world *w, double now_s, bool again);
/* It, which reaches the engine: its id. */
int32_t v1_take_arrival(struct world *w);
/* It waits at the front, or at the end; by priority neither matters. */
void v1_wait_for_admission(struct world *w, int32_t id, bool front);
/* Fixes the next step with what waits; false: it would be empty. */
bool v1_decide(struct world *w);
/* Blocks that a step lacks are had by preemption; true if anybody was preempted. */
bool v1_preempt(struct world *w);
/* Chunks and blocks of everything that runs. */
void v1_form(struct world *w, double start_s);
/* Everything that runs, as w->parts. */
void v1_list_parts(struct world *w);
/* The last step has ended: tokens, times, and the blocks of what is complete. */
void v1_settle(struct world *w);

/* All of a run of several ranks, the first of which has the front end. */
void v1_run_ranks(struct world *ranks, int count);

#endif
