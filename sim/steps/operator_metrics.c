#include "steps/operator_metrics.h"

#include <vidur/csv.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const column_names[] = {
#define X(name, axis) #name,
    VIDUR_TOKEN_OPERATORS(X)
#undef X
#define X(name) #name,
        VIDUR_OTHER_OPERATORS(X)
#undef X
#define X(name) #name,
            VIDUR_STEP_PARTS(X)
#undef X
};

const char *vidur_operator_column_name(enum vidur_operator_column column)
{
    return column_names[column];
}

struct vidur_operator_range
vidur_operator_columns(const struct vidur_timetable *timetable)
{
    return timetable->engine
               ? (struct vidur_operator_range){VIDUR_NUM_LAYER_COLUMNS,
                                               VIDUR_NUM_OPERATOR_COLUMNS}
               : (struct vidur_operator_range){0, VIDUR_NUM_LAYER_COLUMNS};
}

bool vidur_operator_has_column(const struct vidur_timetable *timetable, int column)
{
    return column != VIDUR_OPERATOR_mlp_experts ||
           timetable->token[VIDUR_OP_mlp_experts].ms != NULL;
}

/* ---- Times ---- */

static double token_ms(const struct vidur_timetable *timetable,
                       enum vidur_token_operator op, int64_t at)
{
    const struct vidur_token_table *table = &timetable->token[op];
    if (!table->ms)
        return 0;
    return at <= table->limit ? table->ms[at] : NAN;
}

static double grid_ms(const struct vidur_grid_table *table, int64_t row, int64_t column)
{
    if (!table->ms)
        return 0;
    return row < table->num_rows && column < table->num_columns
               ? table->ms[row * table->num_columns + column]
               : NAN;
}

static int64_t round_up(int64_t value, int64_t step)
{
    return (value + step - 1) / step * step;
}

static double batching_factor(const struct vidur_model_spec *model, int requests,
                              double fraction)
{
    bool grouped = model->kinds[0].num_q_heads > model->kinds[0].num_kv_heads;
    return 1 + (grouped && requests > 1 ? fraction : 0);
}

static double attn_decode_ms(const struct vidur_deployment *deployment,
                             const struct vidur_timetable *timetable,
                             const struct vidur_batch_record *b)
{
    if (b->num_decodes == 0)
        return 0;
    int64_t mean = b->decode_context_tokens / b->num_decodes;
    int64_t granularity = timetable->kv_granularity_tokens;
    double ms = grid_ms(&timetable->attn_decode, b->num_decodes - 1,
                        round_up(mean, granularity) / granularity);
    double fraction = timetable->overheads.attention_decode_batching_overhead_fraction;
    return ms * batching_factor(&deployment->model, b->num_decodes, fraction);
}

static double attn_prefill_ms(const struct vidur_deployment *deployment,
                              const struct vidur_timetable *timetable,
                              const struct vidur_batch_record *b)
{
    if (b->num_prefills == 0)
        return 0;
    int64_t chunk = (int64_t)rint(sqrt((double)b->prefill_chunk_squares));
    double ms = grid_ms(&timetable->attn_prefill,
                        b->prefill_context_tokens / timetable->kv_granularity_tokens,
                        chunk - 1);
    double fraction = timetable->overheads.attention_prefill_batching_overhead_fraction;
    return ms * batching_factor(&deployment->model, b->num_prefills, fraction);
}

/* Once per layer, in ms; what has another count is put right by the caller. */
static void layer_times(const struct vidur_deployment *deployment,
                        const struct vidur_timetable *timetable,
                        const struct vidur_batch_record *b,
                        double ms[VIDUR_NUM_OPERATOR_COLUMNS])
{
    int64_t padded = round_up(b->num_tokens, 8);
    for (int op = 0; op < VIDUR_FIRST_CPU_OPERATOR; op++)
        ms[op] = token_ms(timetable, (enum vidur_token_operator)op,
                          op == VIDUR_OP_attn_kv_cache_save ? b->num_tokens : padded);
    if (!deployment->model.post_attn_norm)
        ms[VIDUR_OPERATOR_post_attention_layernorm] = 0;
    ms[VIDUR_OPERATOR_attn_decode] = attn_decode_ms(deployment, timetable, b);
    ms[VIDUR_OPERATOR_attn_prefill] = attn_prefill_ms(deployment, timetable, b);
    ms[VIDUR_OPERATOR_all_reduce] *= 2; /* behind attention and MLP */
    int tp = deployment->tensor_parallel_size;
    const struct vidur_step_overheads *overheads = &timetable->overheads;
    ms[VIDUR_OPERATOR_nccl_cpu_overhead] =
        tp > 1 ? 2 * (overheads->nccl_cpu_launch_overhead_ms +
                      overheads->nccl_cpu_skew_overhead_per_device_ms * pow(tp, 1.25))
               : 0;
    if (tp == 1)
        ms[VIDUR_OPERATOR_all_reduce] = 0;
}

/* Seconds of every operator for this batch on its stage; 0 in columns that the run does
 * not have. */
static void operator_times(const struct vidur_deployment *deployment,
                           const struct vidur_timetable *timetable,
                           const struct vidur_batch_record *batch,
                           double times_s[VIDUR_NUM_OPERATOR_COLUMNS])
{
    for (int op = 0; op < VIDUR_NUM_OPERATOR_COLUMNS; op++)
        times_s[op] = 0;
    if (batch->step_parts_s) {
        for (int i = 0; i < VIDUR_NUM_STEP_PARTS; i++)
            times_s[VIDUR_NUM_LAYER_COLUMNS + i] = batch->step_parts_s[i];
        return;
    }
    int layers = deployment->model.num_layers / deployment->num_pipeline_stages;
    layer_times(deployment, timetable, batch, times_s);
    for (int op = 0; op < VIDUR_NUM_LAYER_COLUMNS; op++)
        times_s[op] *= 1e-3 * (op == VIDUR_OPERATOR_send_recv ? 1 : layers);
    if (batch->last_stage)
        times_s[VIDUR_OPERATOR_send_recv] = 0;
    bool cpu = timetable->overheads.model_cpu_overhead;
    for (int op = VIDUR_FIRST_CPU_OPERATOR; op < VIDUR_NUM_TOKEN_OPERATORS; op++)
        times_s[op] =
            cpu ? 1e-3 * token_ms(timetable, (enum vidur_token_operator)op, batch->size)
                : 0;
}

/* ---- The file ---- */

struct vidur_operator_metrics {
    const struct vidur_fleet *fleet;
    const struct vidur_timetable *const *timetables; /* by pool */
    struct vidur_operator_range columns;
    struct vidur_csv_writer *writer; /* NULL: committed */
    double totals_s[VIDUR_NUM_OPERATOR_COLUMNS];
};

static void put_header(struct vidur_csv_writer *writer,
                       const struct vidur_timetable *timetable)
{
    const struct vidur_operator_range columns = vidur_operator_columns(timetable);
    char name[64];
    vidur_csv_put_string(writer, "batch_id");
    vidur_csv_put_string(writer, "replica_id");
    vidur_csv_put_string(writer, "stage_id");
    for (int op = columns.first; op < columns.end; op++) {
        if (!vidur_operator_has_column(timetable, op))
            continue;
        snprintf(name, sizeof name, "%s_s", column_names[op]);
        vidur_csv_put_string(writer, name);
    }
    vidur_csv_end_row(writer);
}

static int check_columns(const struct vidur_fleet *fleet,
                         const struct vidur_timetable *const *timetables,
                         struct vidur_error *err)
{
    const struct vidur_operator_range first = vidur_operator_columns(timetables[0]);
    for (int i = 1; i < fleet->num_pools; i++)
        if (vidur_operator_columns(timetables[i]).first != first.first)
            return vidur_fail(
                err, VIDUR_EINVAL,
                "output.operators: pools 0 and %d have times of different "
                "operators, by their schedulers %s and %s; switch it off "
                "or give the pools schedulers of one kind",
                i, fleet->pools[0].deployment.scheduler.type,
                fleet->pools[i].deployment.scheduler.type);
    return 0;
}

struct vidur_operator_metrics *
vidur_operator_metrics_open(const char *path, const struct vidur_fleet *fleet,
                            const struct vidur_timetable *const *timetables,
                            struct vidur_error *err)
{
    if (check_columns(fleet, timetables, err))
        return NULL;
    struct vidur_operator_metrics *metrics = calloc(1, sizeof *metrics);
    if (!metrics) {
        vidur_fail(err, VIDUR_ENOMEM, "%s: out of memory", path);
        return NULL;
    }
    metrics->fleet = fleet;
    metrics->timetables = timetables;
    metrics->writer = vidur_csv_writer_open(path, err);
    if (!metrics->writer) {
        free(metrics);
        return NULL;
    }
    metrics->columns = vidur_operator_columns(timetables[0]);
    put_header(metrics->writer, timetables[0]);
    return metrics;
}

int vidur_operator_metrics_put(void *context, const struct vidur_batch_record *batch)
{
    struct vidur_operator_metrics *metrics = context;
    double times_s[VIDUR_NUM_OPERATOR_COLUMNS];
    const int pool = vidur_fleet_pool_of(metrics->fleet, batch->replica);
    const struct vidur_timetable *timetable = metrics->timetables[pool];
    operator_times(&metrics->fleet->pools[pool].deployment, timetable, batch, times_s);
    vidur_csv_put_int64(metrics->writer, batch->batch_id);
    vidur_csv_put_int64(metrics->writer, batch->seat);
    vidur_csv_put_int64(metrics->writer, batch->stage);
    for (int op = metrics->columns.first; op < metrics->columns.end; op++) {
        if (!vidur_operator_has_column(timetable, op))
            continue;
        vidur_csv_put_double(metrics->writer, times_s[op]);
        metrics->totals_s[op] += times_s[op];
    }
    vidur_csv_end_row(metrics->writer);
    return 0;
}

const double *vidur_operator_totals(const struct vidur_operator_metrics *metrics)
{
    return metrics->totals_s;
}

int vidur_operator_metrics_commit(struct vidur_operator_metrics *metrics,
                                  struct vidur_error *err)
{
    int status = vidur_csv_writer_commit(metrics->writer, err);
    metrics->writer = NULL;
    return status;
}

void vidur_operator_metrics_close(struct vidur_operator_metrics *metrics)
{
    if (!metrics)
        return;
    vidur_csv_writer_discard(metrics->writer);
    free(metrics);
}
