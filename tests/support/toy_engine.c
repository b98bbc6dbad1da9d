#include "toy_engine.h"

#include "toy_cluster.h"

#include <stdlib.h>
#include <string.h>

struct toy_engine {
    struct vidur_timetable timetable; /* the first member: what the caller holds */
    struct vidur_engine_table engine;
    double values[];
};

static void fill(double *ms, int64_t limit, double fixed, double slope)
{
    for (int64_t i = 1; i <= limit; i++)
        ms[i] = fixed + slope * (double)i;
}

struct vidur_timetable *toy_engine_new(const struct toy_step_times *times,
                                       int64_t max_tokens, int64_t max_batch,
                                       int64_t max_context)
{
    const int64_t gathered = times->ranks > 1 ? times->ranks * max_tokens + 1 : 0;
    const int64_t cells =
        2 * (max_tokens + 1) + max_batch + 1 + 2 * (max_context + 1) + 2 * gathered;
    struct toy_engine *toy = calloc(1, sizeof *toy + (size_t)cells * sizeof(double));
    if (!toy)
        return NULL;
    double *linear = toy->values, *comm = linear + max_tokens + 1;
    double *head = comm + max_tokens + 1, *context = head + max_batch + 1;
    double *row = context + max_context + 1, *experts = row + max_context + 1;
    fill(linear, max_tokens, times->fixed_ms, times->per_token_ms);
    fill(head, max_batch, 0, times->per_sampled_ms);
    fill(row, max_context, 0, times->row_ms);
    for (int64_t s = 1; s <= max_context; s++)
        context[s] = times->per_square_ms * (double)(s * s);
    toy->engine =
        (struct vidur_engine_table){.linear_ms = linear,
                                    .comm_ms = comm,
                                    .linear_limit = max_tokens,
                                    .head_ms = head,
                                    .head_limit = max_batch,
                                    .context_ms = context,
                                    .decode1_ms = row,
                                    .context_limit = max_context,
                                    .profiled_context = max_context,
                                    .profiled_tokens = max_tokens,
                                    .decode_launch_ms = times->launch_ms,
                                    .decode_ms_per_token = times->per_context_ms,
                                    .mixed_ms = times->mixed_ms,
                                    .tokenise_ms = times->tokenise_ms,
                                    .t_api_ms = times->api_ms,
                                    .provenance = "a toy"};
    if (gathered > 0) {
        fill(experts, gathered - 1, times->gathered_ms, times->per_gathered_ms);
        toy->engine.gathered_experts_ms = experts;
        toy->engine.gathered_comm_ms = experts + gathered;
        toy->engine.gathered_limit = gathered - 1;
    }
    toy->timetable.engine = &toy->engine;
    toy->timetable.kv_granularity_tokens = 64;
    strcpy(toy->timetable.provenance, "a toy");
    return &toy->timetable;
}

void toy_engine_free(struct vidur_timetable *timetable)
{
    free(timetable);
}

void toy_engine_deployment(struct vidur_deployment *deployment)
{
    toy_deployment(deployment, "vllm_v1");
    deployment->device.v1 = (struct vidur_device_v1){
        .usable_memory_gib = 1, .memory_bandwidth_gb_per_s = 1, .peak_bf16_tflops = 1};
}
