#include "replica/replica.h"
#include "steps/step_model.h"

#include <math.h>
#include <string.h>

/*
 * The step model `layers`: per-operator times of one layer, summed as SIMULATOR.md
 * section 5 says, in its order: it decides the last bits. Sums that depend on the
 * number of tokens alone are added up once, for batches of the usual sizes.
 */

enum {
    TOKEN_STEP = 8,      /* token counts are rounded up to a multiple of this */
    FUSED_TOKENS = 16384 /* larger batches are summed when they come */
};

/* Everything that depends on the rounded number of tokens: of a layer, ms; and of a
 * stage, [0] any but the last. */
struct by_tokens {
    double communication;
    double input_norm;
    double mlp;
    double add;
    double send_recv;
    double communication_s[2];
    int32_t extrapolated;
};

struct layers {
    const struct vidur_timetable *table;
    const double *attention_ms;        /* [T]: projections, rotary, KV save */
    const struct by_tokens *by_tokens; /* [T / 8] */
    const double *cpu_s;               /* [batch size]; NULL: not modelled */
    int64_t fused_tokens;
    int64_t cpu_limit;
    int64_t step;                         /* of contexts, tokens */
    int step_bits;                        /* its logarithm; -1: not a power of two */
    double num_layers;                    /* of a stage */
    double launch_ms;                     /* of a collective; 0 with TP 1 */
    double decode_factor, prefill_factor; /* from the second request on */
    bool parallel;
    bool post_norm;
};

static const char *const operator_names[] = {
#define X(name, axis) #name,
    VIDUR_TOKEN_OPERATORS(X)
#undef X
};

static double token_ms(const struct layers *layers, enum vidur_token_operator op,
                       int64_t tokens)
{
    const struct vidur_token_table *t = &layers->table->token[op];
    return !t->ms ? 0 : tokens <= t->limit ? t->ms[tokens] : NAN;
}

static double attention_ms(const struct layers *layers, int64_t tokens, int64_t rounded)
{
    return token_ms(layers, VIDUR_OP_attn_pre_proj, rounded) +
           token_ms(layers, VIDUR_OP_attn_post_proj, rounded) +
           token_ms(layers, VIDUR_OP_attn_rope, rounded) +
           token_ms(layers, VIDUR_OP_attn_kv_cache_save, tokens);
}

static int32_t extrapolated_operators(const struct layers *layers, int64_t rounded)
{
    int32_t count = 0;
    for (int op = 0; op < VIDUR_FIRST_CPU_OPERATOR; op++) {
        const struct vidur_token_table *t = &layers->table->token[op];
        count += t->ms && rounded > t->profiled_limit;
    }
    return count;
}

static struct by_tokens sum_by_tokens(const struct layers *layers, int64_t rounded)
{
    struct by_tokens sums = {0};
    if (layers->parallel)
        sums.communication =
            token_ms(layers, VIDUR_OP_all_reduce, rounded) + layers->launch_ms;
    sums.input_norm = token_ms(layers, VIDUR_OP_input_layernorm, rounded);
    sums.mlp = token_ms(layers, VIDUR_OP_mlp_up_proj, rounded) +
               token_ms(layers, VIDUR_OP_mlp_down_proj, rounded) +
               token_ms(layers, VIDUR_OP_mlp_act, rounded) + sums.communication;
    if (layers->post_norm)
        sums.mlp += token_ms(layers, VIDUR_OP_post_attention_layernorm, rounded);
    sums.mlp += token_ms(layers, VIDUR_OP_mlp_experts, rounded);
    sums.add = token_ms(layers, VIDUR_OP_add, rounded);
    sums.send_recv = token_ms(layers, VIDUR_OP_send_recv, rounded);
    const double all_reduces_ms = 2 * sums.communication * layers->num_layers;
    sums.communication_s[0] = (all_reduces_ms + sums.send_recv) * 1e-3;
    sums.communication_s[1] = all_reduces_ms * 1e-3;
    sums.extrapolated = extrapolated_operators(layers, rounded);
    return sums;
}

static int64_t round_tokens(int64_t tokens)
{
    return (tokens + TOKEN_STEP - 1) / TOKEN_STEP * TOKEN_STEP;
}

/* ---- Building ---- */

static int64_t fused_limit(const struct vidur_timetable *table)
{
    int64_t limit = FUSED_TOKENS;
    for (int op = 0; op < VIDUR_FIRST_CPU_OPERATOR; op++)
        if (table->token[op].ms && table->token[op].limit < limit)
            limit = table->token[op].limit;
    return limit / TOKEN_STEP * TOKEN_STEP;
}

static int64_t cpu_limit(const struct vidur_timetable *table)
{
    int64_t limit = INT32_MAX;
    for (int op = VIDUR_FIRST_CPU_OPERATOR; op < VIDUR_NUM_TOKEN_OPERATORS; op++)
        if (table->token[op].ms && table->token[op].limit < limit)
            limit = table->token[op].limit;
    return limit == INT32_MAX ? 0 : limit;
}

static size_t align(size_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

static size_t state_bytes(const struct vidur_step_env *env)
{
    const size_t fused = (size_t)fused_limit(env->timetable);
    return align(sizeof(struct layers)) + align((fused + 1) * sizeof(double)) +
           align((fused / TOKEN_STEP + 1) * sizeof(struct by_tokens)) +
           align(((size_t)cpu_limit(env->timetable) + 1) * sizeof(double));
}

static void fuse(struct layers *layers, unsigned char *memory)
{
    double *attention = (double *)(void *)memory;
    memory += align(((size_t)layers->fused_tokens + 1) * sizeof(double));
    struct by_tokens *by_tokens = (struct by_tokens *)(void *)memory;
    attention[0] = 0;
    by_tokens[0] = (struct by_tokens){0};
    for (int64_t tokens = 1; tokens <= layers->fused_tokens; tokens++)
        attention[tokens] = attention_ms(layers, tokens, round_tokens(tokens));
    for (int64_t i = 1; i <= layers->fused_tokens / TOKEN_STEP; i++)
        by_tokens[i] = sum_by_tokens(layers, i * TOKEN_STEP);
    layers->attention_ms = attention;
    layers->by_tokens = by_tokens;
}

static void sum_cpu(struct layers *layers, double *cpu_s)
{
    cpu_s[0] = 0;
    for (int64_t size = 1; size <= layers->cpu_limit; size++) {
        double sum_ms = 0;
        for (int op = VIDUR_FIRST_CPU_OPERATOR; op < VIDUR_NUM_TOKEN_OPERATORS; op++)
            sum_ms += token_ms(layers, (enum vidur_token_operator)op, size);
        cpu_s[size] = 1e-3 * sum_ms;
    }
    layers->cpu_s = cpu_s;
}

static int init(void *state, const struct vidur_step_env *env, struct vidur_error *err)
{
    const struct vidur_deployment *deployment = env->deployment;
    const struct vidur_step_overheads *overheads = &env->timetable->overheads;
    const bool grouped_heads = deployment->model.kinds[0].num_q_heads >
                               deployment->model.kinds[0].num_kv_heads;
    const double degree = deployment->tensor_parallel_size;
    struct layers *layers = state;
    unsigned char *memory = (unsigned char *)state + align(sizeof *layers);

    if (!env->timetable->attn_decode.ms || !env->timetable->attn_prefill.ms)
        return vidur_fail(err, VIDUR_EINVAL,
                          "the timetable (%s) has no attention times",
                          env->timetable->provenance);
    const int stage_layers =
        deployment->model.num_layers / deployment->num_pipeline_stages;
    *layers = (struct layers){.table = env->timetable,
                              .fused_tokens = fused_limit(env->timetable),
                              .step = env->timetable->kv_granularity_tokens,
                              .step_bits =
                                  vidur_bits_of(env->timetable->kv_granularity_tokens),
                              .num_layers = stage_layers,
                              .parallel = deployment->tensor_parallel_size > 1,
                              .post_norm = deployment->model.post_attn_norm,
                              .decode_factor = 1,
                              .prefill_factor = 1};
    if (layers->parallel)
        layers->launch_ms =
            overheads->nccl_cpu_launch_overhead_ms +
            overheads->nccl_cpu_skew_overhead_per_device_ms * pow(degree, 1.25);
    if (grouped_heads) {
        layers->decode_factor += overheads->attention_decode_batching_overhead_fraction;
        layers->prefill_factor +=
            overheads->attention_prefill_batching_overhead_fraction;
    }
    fuse(layers, memory);
    if (overheads->model_cpu_overhead) {
        layers->cpu_limit = cpu_limit(env->timetable);
        memory += align(((size_t)layers->fused_tokens + 1) * sizeof(double)) +
                  align(((size_t)layers->fused_tokens / TOKEN_STEP + 1) *
                        sizeof(struct by_tokens));
        sum_cpu(layers, (double *)(void *)memory);
    }
    return 0;
}

/* ---- Looking up ---- */

/* A cell of a grid table; NaN beyond its ends. */
static inline double cell(const struct vidur_grid_table *grid, int64_t row,
                          int64_t column, int32_t *extrapolated)
{
    if (row >= grid->num_rows || column >= grid->num_columns || column < 0)
        return NAN;
    if (row >= grid->profiled_rows || column >= grid->profiled_columns)
        ++*extrapolated;
    return grid->ms[row * grid->num_columns + column];
}

/* Mean context of the decodes, cut to a whole number. */
static int64_t mean_context(const struct vidur_live_batch *batch)
{
    const int64_t sum = batch->decode_context_tokens;
    return sum <= UINT32_MAX ? (uint32_t)sum / (uint32_t)batch->seen.num_decodes
                             : sum / batch->seen.num_decodes; /* slower */
}

static int64_t round_up(const struct layers *layers, int64_t context)
{
    const int64_t above = context + layers->step - 1;
    return layers->step_bits >= 0 ? above >> layers->step_bits : above / layers->step;
}

static inline double decode_ms(const struct layers *layers,
                               const struct vidur_live_batch *batch, int32_t *repeats,
                               int32_t *extrapolated)
{
    if (batch->seen.num_decodes == 0)
        return 0;
    const int64_t mean = mean_context(batch);
    const int64_t column = round_up(layers, mean);
    const double ms = cell(&layers->table->attn_decode, batch->seen.num_decodes - 1,
                           column, extrapolated);
    *repeats = (int32_t)(column * layers->step - mean + 1);
    return batch->seen.num_decodes > 1 ? ms * layers->decode_factor : ms;
}

/* The root of the sum of squared chunks, half to even. */
static int64_t prefill_column(const struct vidur_live_batch *batch)
{
    return batch->seen.num_prefills == 1
               ? batch->seen.num_prefill_tokens - 1
               : (int64_t)rint(sqrt((double)batch->prefill_chunk_squares)) - 1;
}

static inline double prefill_ms(const struct layers *layers,
                                const struct vidur_live_batch *batch,
                                int32_t *extrapolated)
{
    if (batch->seen.num_prefills == 0)
        return 0;
    const struct vidur_grid_table *grid = &layers->table->attn_prefill;
    int64_t row = round_up(layers, batch->prefill_context_tokens);
    /* Prompts of several batches can meet: their contexts may exceed any prompt's. */
    if (row >= grid->num_rows && batch->seen.num_prefills > 1) {
        row = grid->num_rows - 1;
        ++*extrapolated;
    }
    const double ms = cell(grid, row, prefill_column(batch), extrapolated);
    return batch->seen.num_prefills > 1 ? ms * layers->prefill_factor : ms;
}

static double cpu_time_s(const struct layers *layers, int64_t batch_size)
{
    return !layers->cpu_s                    ? 0
           : batch_size <= layers->cpu_limit ? layers->cpu_s[batch_size]
                                             : NAN;
}

/* `attention`: of the operators that depend on the number of tokens. */
static inline void sum_up(const struct layers *layers, struct vidur_live_batch *batch,
                          const struct by_tokens *sums, double attention)
{
    struct vidur_step_time *step = &batch->step;
    int32_t extrapolated = sums->extrapolated;
    attention += decode_ms(layers, batch, &step->repeats, &extrapolated);
    attention += prefill_ms(layers, batch, &extrapolated);
    attention += sums->communication;
    attention += sums->input_norm;
    const double block = attention + sums->mlp + sums->add;
    const double stage_ms = block * layers->num_layers;
    step->cpu_s = cpu_time_s(layers, batch->seen.count);
    step->stage_s[0] = (stage_ms + sums->send_recv) * 1e-3 + step->cpu_s;
    step->stage_s[1] = stage_ms * 1e-3 + step->cpu_s;
    step->communication_s[0] = sums->communication_s[0];
    step->communication_s[1] = sums->communication_s[1];
    step->extrapolated = extrapolated;
}

static void step_time(const void *state, const struct vidur_replica *replica,
                      struct vidur_live_batch *batch)
{
    (void)replica;
    const struct layers *layers = state;
    const int64_t tokens = batch->seen.num_tokens, rounded = round_tokens(tokens);
    if (rounded <= layers->fused_tokens) {
        sum_up(layers, batch, &layers->by_tokens[rounded / TOKEN_STEP],
               layers->attention_ms[tokens]);
        return;
    }
    const struct by_tokens large = sum_by_tokens(layers, rounded);
    sum_up(layers, batch, &large, attention_ms(layers, tokens, rounded));
}

static int missing(const struct vidur_live_batch *batch, const char *op,
                   const char *axes, const int64_t at[2], struct vidur_error *err)
{
    return vidur_fail(err, VIDUR_EINVAL,
                      "timetable: %s has no time above 0 for %s %lld, %lld, which a "
                      "batch of %d requests and %lld tokens needs; use tables that "
                      "reach it (estimator.max_tokens_per_request, max_batch_size, "
                      "max_prefill_chunk_size)",
                      op, axes, (long long)at[0], (long long)at[1], batch->seen.count,
                      (long long)batch->seen.num_tokens);
}

static int fail(const void *state, const struct vidur_live_batch *batch,
                struct vidur_error *err)
{
    const struct layers *layers = state;
    int32_t repeats, extrapolated = 0;
    if (!(decode_ms(layers, batch, &repeats, &extrapolated) >= 0))
        return missing(
            batch, "attn_decode", "batch_size, kv_cache_size",
            (const int64_t[]){batch->seen.num_decodes,
                              round_up(layers, mean_context(batch)) * layers->step},
            err);
    if (!(prefill_ms(layers, batch, &extrapolated) >= 0))
        return missing(
            batch, "attn_prefill", "kv_cache_size, chunk",
            (const int64_t[]){batch->prefill_context_tokens, prefill_column(batch) + 1},
            err);
    for (int op = 0; op < VIDUR_FIRST_CPU_OPERATOR; op++)
        if (!(token_ms(layers, (enum vidur_token_operator)op,
                       round_tokens(batch->seen.num_tokens)) >= 0))
            return missing(batch, operator_names[op], "num_tokens, rounded",
                           (const int64_t[]){batch->seen.num_tokens,
                                             round_tokens(batch->seen.num_tokens)},
                           err);
    return missing(batch, "the sum of all operators", "num_tokens, batch_size",
                   (const int64_t[]){batch->seen.num_tokens, batch->seen.count}, err);
}

static int context_granularity(const void *state)
{
    return ((const struct layers *)state)->table->kv_granularity_tokens;
}

static bool has_cpu_overhead(const void *state)
{
    return ((const struct layers *)state)->cpu_s != NULL;
}

const struct vidur_step_model_ops vidur_step_layers = {
    .name = "layers",
    .state_bytes = state_bytes,
    .init = init,
    .time = step_time,
    .fail = fail,
    .context_granularity = context_granularity,
    .has_cpu_overhead = has_cpu_overhead,
};
