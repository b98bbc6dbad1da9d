#include "sample_cases.h"

#include "toy_cluster.h"
#include "toy_engine.h"

#include <string.h>

struct shape {
    const char *name;
    const char *scheduler;
    const char *router;
    int replicas, tensor_parallel_size, stages;
    int batch_size_cap, num_blocks;
    double gap_s;
    bool restarts;
    enum vidur_semantics semantics;
};

static const struct shape shapes[NUM_SAMPLE_CASES] = {
    {"vllm-restarts", "vllm", "round_robin", 1, 1, 1, 8, 30, 0.03, true,
     VIDUR_SEMANTICS_CORRECTED},
    {"vllm-tp2-pp2", "vllm", "round_robin", 1, 2, 2, 8, 96, 0.05, false,
     VIDUR_SEMANTICS_CORRECTED},
    {"sarathi-pp2-restarts", "sarathi", "round_robin", 1, 1, 2, 8, 30, 0.03, true,
     VIDUR_SEMANTICS_VIDUR},
    {"sarathi-lor-replicas3", "sarathi", "lor", 3, 2, 1, 6, 64, 0.01, false,
     VIDUR_SEMANTICS_CORRECTED},
    {"orca", "orca", "round_robin", 1, 1, 1, 8, 96, 0.05, false,
     VIDUR_SEMANTICS_CORRECTED},
    {"faster-transformer-pp2", "faster_transformer", "round_robin", 1, 1, 2, 8, 96,
     0.05, false, VIDUR_SEMANTICS_CORRECTED},
    {"lightllm", "lightllm", "round_robin", 1, 1, 1, 8, 600, 0.05, false,
     VIDUR_SEMANTICS_CORRECTED},
    {"vllm-v1-prefix-cache", "vllm_v1", "round_robin", 1, 1, 1, 0, 20, 0.03, true,
     VIDUR_SEMANTICS_CORRECTED},
};

/* Uneven, so that no two events fall on one time by chance: rounding would order them.
 */
static const struct toy_times times = {.fixed_ms = 1.1037131,
                                       .per_token_ms = 0.0131719,
                                       .per_decode_ms = 0.0707933,
                                       .per_context_ms = 0.0301313,
                                       .per_chunk_ms = 0.0203011,
                                       .send_recv_ms = 0.4093703};

static const struct toy_step_times step_times = {.fixed_ms = 6.1037131,
                                                 .per_token_ms = 0.0131719,
                                                 .per_sampled_ms = 0.0103703,
                                                 .launch_ms = 0.3,
                                                 .per_context_ms = 1.7e-3,
                                                 .per_square_ms = 1.1e-4,
                                                 .row_ms = 1e-3,
                                                 .mixed_ms = 0.1,
                                                 .api_ms = 7.6};

enum { MAX_BATCH = 24, NUM_PROMPTS = 4, PROMPTS_PER_GROUP = 2, SYSTEM_TOKENS = 40 };

/* Irregular, and the same everywhere. */
static void make_requests(struct sample_case *sample, const struct shape *shape)
{
    double now_s = 0;
    for (int i = 0; i < SAMPLE_REQUESTS; i++) {
        sample->arrived_at_s[i] = now_s;
        sample->prefill[i] = 20 + i * 37 % 91;
        sample->decode[i] = 3 + i * 29 % 83;
        now_s += shape->gap_s * (1 + i * 5 % 7) / 4;
    }
    sample->workload =
        toy_workload(SAMPLE_REQUESTS, SAMPLE_MAX_TOKENS, sample->arrived_at_s,
                     sample->prefill, sample->decode);
}

/* Prompts of two groups, which share what the group begins with. */
static void share_prompts(struct sample_case *sample)
{
    for (int i = 0; i < SAMPLE_REQUESTS; i++) {
        sample->prompt[i] = i * 3 % NUM_PROMPTS;
        sample->prefill[i] = 70 + 9 * sample->prompt[i];
    }
    sample->workload.prompts =
        (struct vidur_prompts){.prompt = sample->prompt,
                               .num_prompts = NUM_PROMPTS,
                               .num_prompts_per_group = PROMPTS_PER_GROUP,
                               .system_prompt_tokens = SYSTEM_TOKENS};
}

static void make_deployment(struct vidur_deployment *deployment,
                            const struct shape *shape)
{
    deployment->num_replicas = shape->replicas;
    deployment->tensor_parallel_size = shape->tensor_parallel_size;
    deployment->num_pipeline_stages = shape->stages;
    deployment->semantics = shape->semantics;
    strcpy(deployment->router, shape->router);
    struct vidur_scheduler_config *knobs = &deployment->scheduler;
    knobs->num_blocks = shape->num_blocks;
    knobs->chunk_size = 64;
    knobs->max_tokens_in_batch = 2 * SAMPLE_MAX_TOKENS;
    knobs->max_waiting_iters = 4;
    if (shape->batch_size_cap > 0)
        knobs->batch_size_cap = shape->batch_size_cap;
    knobs->max_num_seqs = 8;
    knobs->max_num_batched_tokens = 96;
}

bool sample_case_open(struct sample_case *sample, int index)
{
    const struct shape *shape = &shapes[index];
    const bool engine = strcmp(shape->scheduler, "vllm_v1") == 0;
    *sample = (struct sample_case){.name = shape->name, .restarts = shape->restarts};
    make_requests(sample, shape);
    if (engine) {
        toy_engine_deployment(&sample->deployment);
        share_prompts(sample);
        sample->timetable = toy_engine_new(&step_times, 2 * SAMPLE_MAX_TOKENS,
                                           MAX_BATCH, SAMPLE_MAX_TOKENS);
    } else {
        toy_deployment(&sample->deployment, shape->scheduler);
        sample->timetable =
            toy_timetable_new(&times, MAX_BATCH * SAMPLE_MAX_TOKENS, MAX_BATCH);
    }
    if (!sample->timetable)
        return false;
    make_deployment(&sample->deployment, shape);
    if (!engine) /* an all-reduce takes what a transfer between stages does */
        sample->timetable->token[VIDUR_OP_all_reduce] =
            sample->timetable->token[VIDUR_OP_send_recv];
    return true;
}

void sample_case_close(struct sample_case *sample)
{
    if (strcmp(sample->deployment.scheduler.type, "vllm_v1") == 0)
        toy_engine_free(sample->timetable);
    else
        toy_timetable_free(sample->timetable);
}
