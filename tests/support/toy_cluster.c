#include "toy_cluster.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum { GRANULARITY = 64, KV_POINTS = 64, MAX_CHUNK = 2048 };

static void fill_tokens(struct vidur_token_table *table, double *ms, int64_t limit,
                        double fixed_ms, double per_token_ms)
{
    ms[0] = 0;
    for (int64_t i = 1; i <= limit; i++)
        ms[i] = fixed_ms + per_token_ms * (double)i;
    *table =
        (struct vidur_token_table){.ms = ms, .limit = limit, .profiled_limit = limit};
}

static void fill_grids(struct vidur_timetable *table, double *decode, double *prefill,
                       const struct toy_times *times)
{
    const struct vidur_grid_table *d = &table->attn_decode;
    for (int64_t b = 0; b < d->num_rows; b++)
        for (int64_t k = 0; k < d->num_columns; k++)
            decode[b * d->num_columns + k] =
                (double)(b + 1) *
                (times->per_decode_ms + times->per_context_ms * (double)k);
    const struct vidur_grid_table *p = &table->attn_prefill;
    for (int64_t k = 0; k < p->num_rows; k++)
        for (int64_t c = 0; c < p->num_columns; c++)
            prefill[k * p->num_columns + c] = times->per_chunk_ms * (double)(c + 1) +
                                              times->per_context_ms * (double)k;
}

struct vidur_timetable *toy_timetable_new(const struct toy_times *times,
                                          int64_t max_tokens, int64_t max_batch)
{
    const int64_t tokens = (max_tokens + 7) / 8 * 8;
    const int64_t chunk = tokens < MAX_CHUNK ? tokens : MAX_CHUNK;
    const int64_t cells = 2 * (tokens + 1) + max_batch * KV_POINTS + KV_POINTS * chunk;
    struct vidur_timetable *table = calloc(1, sizeof *table);
    double *memory = calloc((size_t)cells, sizeof *memory);
    if (!table || !memory) {
        free(table);
        free(memory);
        return NULL;
    }
    double *decode = memory + 2 * (tokens + 1);
    double *prefill = decode + max_batch * KV_POINTS;
    fill_tokens(&table->token[VIDUR_OP_attn_pre_proj], memory, tokens, times->fixed_ms,
                times->per_token_ms);
    fill_tokens(&table->token[VIDUR_OP_send_recv], memory + tokens + 1, tokens,
                times->send_recv_ms, 0);
    table->attn_decode =
        (struct vidur_grid_table){decode, max_batch, KV_POINTS, max_batch, KV_POINTS};
    table->attn_prefill =
        (struct vidur_grid_table){prefill, KV_POINTS, chunk, KV_POINTS, chunk};
    table->kv_granularity_tokens = GRANULARITY;
    strcpy(table->provenance, "a toy");
    fill_grids(table, decode, prefill, times);
    return table;
}

void toy_timetable_free(struct vidur_timetable *timetable)
{
    if (timetable) {
        double *memory;
        const double *first = timetable->token[VIDUR_OP_attn_pre_proj].ms;
        memcpy(&memory, &first, sizeof memory);
        free(memory);
    }
    free(timetable);
}

void toy_deployment(struct vidur_deployment *deployment, const char *scheduler)
{
    vidur_deployment_defaults(deployment);
    deployment->model = (struct vidur_model_spec){.name = "toy",
                                                  .num_layers = TOY_LAYERS,
                                                  .num_kinds = 1,
                                                  .kinds[0].count = TOY_LAYERS,
                                                  .kinds[0].num_q_heads = 4,
                                                  .kinds[0].num_kv_heads = 4,
                                                  .kinds[0].head_dim = 16,
                                                  .embedding_dim = 64,
                                                  .kinds[0].mlp_hidden_dim = 128,
                                                  .vocab_size = 256,
                                                  .max_position_embeddings = 4096,
                                                  .use_gated_mlp = true,
                                                  .post_attn_norm = true};
    deployment->device = (struct vidur_device_sku){
        .name = "toy", .peak_fp16_tflops = 1, .memory_gib = 1};
    deployment->node = (struct vidur_node_sku){
        .name = "toy_node", .device = "toy", .devices_per_node = 8};
    strcpy(deployment->scheduler.type, scheduler);
    if (strcmp(scheduler, "lightllm") == 0)
        deployment->scheduler.block_size = 1;
}

struct vidur_workload toy_workload(int64_t count, int max_tokens,
                                   const double *arrived_at_s, const int32_t *prefill,
                                   const int32_t *decode)
{
    return (struct vidur_workload){.num_requests = count,
                                   .max_tokens = max_tokens,
                                   .arrived_at_s = arrived_at_s,
                                   .num_prefill_tokens = prefill,
                                   .num_decode_tokens = decode,
                                   .seed = 1};
}

const char *toy_metrics_differ(const struct vidur_metrics *a,
                               const struct vidur_metrics *b)
{
    if (memcmp(a->latency, b->latency, sizeof a->latency))
        return "latency";
#define CHECK(name)                                                                    \
    if (memcmp(&a->name, &b->name, sizeof a->name))                                    \
        return #name;
    CHECK(slo_value)
    CHECK(mean_session_s)
    CHECK(slo_missed)
    CHECK(goodput_per_s)
    CHECK(num_classes)
    CHECK(classes)
    CHECK(simulated_time_s)
    CHECK(requests_per_s)
    CHECK(output_tokens_per_s)
    CHECK(total_tokens_per_s)
    CHECK(mfu)
    CHECK(memory_usage)
    CHECK(busy)
    CHECK(num_requests)
    CHECK(num_arrived)
    CHECK(num_completed)
    CHECK(num_restarts)
    CHECK(num_batches)
    CHECK(num_extrapolated)
    CHECK(mean_batch_size)
    CHECK(mean_tokens_per_batch)
    CHECK(mean_decode_batch_size)
    CHECK(prefill_token_fraction)
    CHECK(communication_time_fraction)
    CHECK(pipeline_idle_fraction)
    CHECK(full_batch_fraction)
    CHECK(peak_batch_size)
    CHECK(peak_holders)
    CHECK(blocked_on_memory_fraction)
    CHECK(prefix_hit_rate)
    CHECK(loads)
    CHECK(mean_waiting_requests)
    CHECK(stopped_early)
    CHECK(time_limited)
    CHECK(violated_slo)
    CHECK(pools)
#undef CHECK
    return NULL;
}

const char *toy_records_differ(const struct vidur_request_records *a,
                               const struct vidur_request_records *b)
{
    const size_t n = (size_t)a->count;
    if (a->count != b->count)
        return "count";
#define CHECK(name)                                                                    \
    if (memcmp(a->name, b->name, n * sizeof *a->name))                                 \
        return #name;
    CHECK(scheduled_at_s)
    CHECK(prefill_completed_at_s)
    CHECK(completed_at_s)
    CHECK(execution_time_s)
    CHECK(model_execution_time_s)
    CHECK(preempted_time_s)
    CHECK(num_prefill_tokens)
    CHECK(num_decode_tokens)
    CHECK(num_restarts)
    if (!a->departed_at_s || !b->departed_at_s)
        return a->departed_at_s == b->departed_at_s ? NULL : "departed_at_s";
    CHECK(departed_at_s)
    CHECK(loaded_at_s)
#undef CHECK
    return NULL;
}
