#include "steps/cpu_limit.h"
#include "steps/step_model.h"

#include <vidur/simulator.h>

#include <math.h>

/*
 * The step model `engine`: whole steps of an engine that runs captured graphs, from the
 * tables of <vidur/engine_table.h>, whose formula it follows. Source: ENGINE.md
 * section 3. Where operator tables lie behind the engine table, decode rows are looked
 * up in theirs.
 */

enum { NUM_GRAPH_TOKENS = 512 };

/* One stage's part of them; without a pipeline all of it. */
struct engine {
    const struct vidur_engine_table *table;
    const struct vidur_grid_table *decode; /* ms a layer; NULL: linear in the context */
    int kv_granularity_tokens;
    double num_layers;
    int max_num_seqs;
    /* Of padded steps, [1 .. graph_tokens]; beyond it, the table's own. */
    int64_t graph_tokens;
    double linear_ms[NUM_GRAPH_TOKENS + 1];
    double comm_ms[NUM_GRAPH_TOKENS + 1];
    double experts_ms[NUM_GRAPH_TOKENS + 1];
};

struct pipeline {
    struct vidur_stage_kinds kinds;
    struct vidur_cpu_limit cpu;
    bool is_plain;          /* one stage, no limit on CPUs */
    struct engine engine[]; /* by kind; without a pipeline that of the last stage */
};

static size_t state_bytes(const struct vidur_step_env *env)
{
    const int stages = env->deployment->num_pipeline_stages;
    const int most = stages < VIDUR_MAX_STAGE_KINDS ? stages : VIDUR_MAX_STAGE_KINDS;
    return sizeof(struct pipeline) +
           (size_t)(most < 2 ? 2 : most) * sizeof(struct engine);
}

/* Of the graph that a step runs in, or its own. */
static int64_t padded_tokens(const struct engine *engine, int64_t tokens)
{
    const int64_t padded = vidur_engine_padded_tokens(tokens, engine->max_num_seqs);
    return padded < engine->table->linear_limit ? padded : engine->table->linear_limit;
}

static void init_stage(struct engine *engine, const struct vidur_step_env *env,
                       const struct vidur_engine_table *table, int num_layers)
{
    const struct vidur_timetable *timetable = env->timetable;
    *engine = (struct engine){
        .table = table,
        .decode = timetable->attn_decode.ms ? &timetable->attn_decode : NULL,
        .kv_granularity_tokens = timetable->kv_granularity_tokens,
        .num_layers = num_layers,
        .max_num_seqs = env->deployment->scheduler.max_num_seqs,
        .graph_tokens = table->linear_limit < NUM_GRAPH_TOKENS ? table->linear_limit
                                                               : NUM_GRAPH_TOKENS};
    for (int64_t tokens = 1; tokens <= engine->graph_tokens; tokens++) {
        const int64_t padded = padded_tokens(engine, tokens);
        engine->linear_ms[tokens] = table->linear_ms[padded];
        engine->comm_ms[tokens] = table->comm_ms[padded];
        if (table->experts_ms)
            engine->experts_ms[tokens] = table->experts_ms[padded];
    }
}

static int init(void *state, const struct vidur_step_env *env, struct vidur_error *err)
{
    const struct vidur_timetable *timetable = env->timetable;
    const struct vidur_model_spec *model = &env->deployment->model;
    const struct vidur_cut cut = vidur_deployment_cut(env->deployment);
    struct pipeline *pipeline = state;
    if (vidur_stage_kinds_of(&pipeline->kinds, model, &env->deployment->node, &cut,
                             err))
        return -1;
    pipeline->cpu = vidur_cpu_limit_of(env->deployment);
    pipeline->is_plain = cut.pipeline == 1 && pipeline->cpu.run_s == 0;
    for (int kind = cut.pipeline > 1 ? 0 : VIDUR_STAGE_LAST;
         kind < pipeline->kinds.num_kinds; kind++) {
        const struct vidur_engine_table *table =
            cut.pipeline > 1 ? timetable->engine_stages[kind] : timetable->engine;
        struct vidur_stage_part part;
        if (!table)
            return vidur_fail(err, VIDUR_EINVAL,
                              "the timetable (%s) has no engine steps%s, which "
                              "scheduler %s needs",
                              timetable->provenance,
                              cut.pipeline > 1 ? " of these pipeline stages" : "",
                              env->deployment->scheduler.type);
        if (vidur_cut_ranks(&cut) > 1 && !table->gathered_experts_ms)
            return vidur_fail(err, VIDUR_EINVAL,
                              "the timetable (%s) was made for one rank; "
                              "data_parallel_size is %d",
                              timetable->provenance, cut.data);
        vidur_stage_of(&part, model, cut.pipeline, pipeline->kinds.stage_of[kind]);
        init_stage(&pipeline->engine[kind], env, table, part.num_layers);
    }
    return 0;
}

/* Where everything is that stages have in common. */
static const struct engine *last_stage(const void *state)
{
    return &((const struct pipeline *)state)->engine[VIDUR_STAGE_LAST];
}

/* Contexts that a step reads, and the chunks that attention works on as prompts. */
struct attention {
    int64_t rows, row_tokens;
    double chunks_ms;
    int32_t extrapolated;
};

/* As fmax, which is a call, does with NaN. */
static inline double larger(double a, double b)
{
    return a > b || isnan(b) ? a : b;
}

/* NaN beyond the table. */
static double chunk_ms(const struct vidur_engine_table *table, int64_t prefix,
                       int64_t chunk)
{
    const int64_t end = prefix + chunk;
    if (end > table->context_limit)
        return NAN;
    const double s = (double)end, p = (double)prefix;
    const double share = (s * s - p * p) / (s * s);
    const double windows_ms =
        table->window_context_ms ? table->window_context_ms[chunk] : 0;
    return larger(larger(table->context_ms[end] * share, table->context_ms[chunk]),
                  table->decode1_ms[end]) +
           windows_ms;
}

static void add_prefills(const struct engine *engine,
                         const struct vidur_replica *replica,
                         const struct vidur_live_batch *batch,
                         struct attention *attention)
{
    for (int32_t i = 0; i < batch->seen.num_members; i++) {
        const int32_t request = batch->seen.member[i];
        if (vidur_request_is_prefilled(replica, request))
            continue;
        const int64_t n = batch->seen.member_prefix[i];
        const int64_t tokens = batch->seen.member_tokens[i];
        if (tokens <= VIDUR_ENGINE_DECODE_LIKE_TOKENS) {
            attention->rows++;
            attention->row_tokens += n + tokens;
        } else {
            attention->chunks_ms += chunk_ms(engine->table, n, tokens);
            attention->extrapolated += n + tokens > engine->table->profiled_context;
        }
    }
}

/* Column of the mean context of decode rows, rounded up. */
static int64_t decode_column(const struct engine *engine,
                             const struct attention *attention)
{
    const int64_t step = engine->kv_granularity_tokens;
    return (attention->row_tokens / attention->rows + step - 1) / step;
}

/* A window is taken to be full once the mean context is as long. */
static double windows_ms(const struct vidur_engine_table *table,
                         const struct attention *attention)
{
    double ms = 0;
    for (int i = 0; i < table->num_windows; i++) {
        const int64_t full = attention->rows * table->windows[i].tokens;
        ms += table->windows[i].ms_per_token *
              (double)(full < attention->row_tokens ? full : attention->row_tokens);
    }
    return ms;
}

static double rows_ms(const struct engine *engine, const struct attention *attention)
{
    const struct vidur_grid_table *grid = engine->decode;
    const struct vidur_engine_table *table = engine->table;
    if (attention->rows == 0)
        return 0;
    if (!grid) {
        double ms = table->decode_launch_ms +
                    table->decode_ms_per_token * (double)attention->row_tokens;
        if (table->num_windows > 0)
            ms += windows_ms(table, attention);
        if (table->latent.layers > 0)
            ms += vidur_engine_latent_ms(&table->latent, attention->rows,
                                         attention->row_tokens);
        return ms;
    }
    const int64_t column = decode_column(engine, attention);
    if (attention->rows > grid->num_rows || column >= grid->num_columns)
        return NAN;
    return engine->num_layers *
           grid->ms[(attention->rows - 1) * grid->num_columns + column];
}

static bool rows_are_extrapolated(const struct engine *engine,
                                  const struct attention *attention)
{
    const struct vidur_grid_table *grid = engine->decode;
    return grid && attention->rows > 0 &&
           (attention->rows > grid->profiled_rows ||
            decode_column(engine, attention) >= grid->profiled_columns);
}

static inline struct attention attention_of(const struct engine *engine,
                                            const struct vidur_replica *replica,
                                            const struct vidur_live_batch *batch)
{
    struct attention attention = {.rows = batch->seen.num_decodes,
                                  .row_tokens = batch->decode_context_tokens};
    if (batch->seen.num_prefills > 0)
        add_prefills(engine, replica, batch, &attention);
    return attention;
}

static double mixed_ms(const struct vidur_engine_table *table,
                       const struct vidur_live_batch *batch)
{
    return batch->seen.num_decodes > 0 && batch->seen.num_prefills > 0 ? table->mixed_ms
                                                                       : 0;
}

static double linear_ms(const struct engine *engine, int64_t tokens)
{
    return tokens <= engine->graph_tokens ? engine->linear_ms[tokens]
                                          : engine->table->linear_ms[tokens];
}

static double comm_ms(const struct engine *engine, int64_t tokens)
{
    return tokens <= engine->graph_tokens ? engine->comm_ms[tokens]
                                          : engine->table->comm_ms[tokens];
}

static double experts_ms(const struct engine *engine, int64_t tokens)
{
    if (!engine->table->experts_ms)
        return 0;
    return tokens <= engine->graph_tokens ? engine->experts_ms[tokens]
                                          : engine->table->experts_ms[tokens];
}

/* A step of so many tokens; of ranks without what they do together. */
static double own_ms(const struct engine *engine, const struct vidur_live_batch *batch,
                     const struct attention *attention, int64_t tokens)
{
    const struct vidur_engine_table *table = engine->table;
    double ms = linear_ms(engine, tokens);
    ms += table->head_ms[batch->num_sampled] + rows_ms(engine, attention) +
          attention->chunks_ms + table->step_ms +
          table->request_ms * (double)batch->seen.count;
    ms += mixed_ms(table, batch);
    return ms;
}

/* The batch's step but for its times on stages. */
static inline void begin_step(const struct engine *engine,
                              const struct attention *attention,
                              struct vidur_live_batch *batch)
{
    const bool beyond = batch->seen.num_tokens > engine->table->profiled_tokens;
    struct vidur_step_time *step = &batch->step;
    step->cpu_s = 0;
    step->repeats = INT32_MAX; /* see repeated_s */
    step->extrapolated =
        attention->extrapolated + beyond + rows_are_extrapolated(engine, attention);
    step->run_tokens = step->gathered_tokens = 0;
}

static bool is_in_table(const struct vidur_engine_table *table,
                        const struct vidur_live_batch *batch)
{
    return batch->seen.num_tokens <= table->linear_limit &&
           batch->num_sampled <= table->head_limit;
}

/* All stages but the last. */
static void time_others(const struct pipeline *pipeline,
                        const struct vidur_replica *replica,
                        struct vidur_live_batch *batch)
{
    for (int kind = 0; kind < pipeline->kinds.num_kinds; kind++) {
        const struct engine *engine = &pipeline->engine[kind];
        if (kind == VIDUR_STAGE_LAST)
            continue;
        const struct attention attention = attention_of(engine, replica, batch);
        batch->step.stage_s[kind] =
            own_ms(engine, batch, &attention, batch->seen.num_tokens) * 1e-3;
        batch->step.communication_s[kind] =
            comm_ms(engine, batch->seen.num_tokens) * 1e-3;
    }
}

/* What a limit on CPUs adds to a step that begins now. */
static void stall(const struct vidur_cpu_limit *cpu, double now_s,
                  struct vidur_step_time *step)
{
    step->cpu_s = vidur_cpu_stall_s(cpu, now_s, step->stage_s[VIDUR_STAGE_LAST]);
    step->stage_s[0] = step->stage_s[1] += step->cpu_s;
}

static double stall_s(const void *state, double begins_s, double step_s)
{
    return vidur_cpu_stall_s(&((const struct pipeline *)state)->cpu, begins_s, step_s);
}

static int32_t stage_kind(const void *state, int32_t stage)
{
    return ((const struct pipeline *)state)->kinds.kind_of[stage];
}

static void step_time(const void *state, const struct vidur_replica *replica,
                      struct vidur_live_batch *batch)
{
    const struct pipeline *pipeline = state;
    const struct engine *engine = last_stage(state);
    const int64_t tokens = batch->seen.num_tokens;
    struct vidur_step_time *step = &batch->step;
    const struct attention attention = attention_of(engine, replica, batch);
    begin_step(engine, &attention, batch);
    if (!is_in_table(engine->table, batch)) {
        step->stage_s[0] = step->stage_s[1] = NAN;
        return;
    }
    step->stage_s[0] = step->stage_s[1] =
        own_ms(engine, batch, &attention, tokens) * 1e-3;
    step->communication_s[0] = step->communication_s[1] =
        comm_ms(engine, tokens) * 1e-3;
    if (pipeline->is_plain)
        return;
    if (pipeline->kinds.num_stages > 1)
        time_others(pipeline, replica, batch);
    if (pipeline->cpu.run_s > 0)
        stall(&pipeline->cpu, replica->now_s, step);
}

/* The context that a step reads grows with every token: NaN where such a step would
 * count differently. */
static double repeated_ms(const struct engine *engine,
                          const struct vidur_live_batch *batch, int64_t ahead,
                          int64_t tokens)
{
    const struct attention now = {.rows = batch->seen.num_decodes,
                                  .row_tokens = batch->decode_context_tokens};
    struct attention then = now;
    then.row_tokens += ahead * batch->seen.count;
    if (rows_are_extrapolated(engine, &then) != rows_are_extrapolated(engine, &now))
        return NAN;
    return own_ms(engine, batch, &then, tokens);
}

static double repeated_s(const void *state, const struct vidur_live_batch *batch,
                         int64_t ahead)
{
    return repeated_ms(last_stage(state), batch, ahead, batch->seen.num_tokens) * 1e-3;
}

/* ---- Ranks in lockstep ---- */

/* What the experts of all ranks take. */
static double gathered_ms(const struct engine *engine, int64_t tokens)
{
    return engine->table->gathered_experts_ms[tokens] +
           engine->table->gathered_comm_ms[tokens];
}

/* Tokens that the ranks' batches run as. Without prompts all are padded to the largest
 * one's graph, those of ranks without a batch too. */
struct gathering {
    bool has_prompts;
    int64_t most; /* tokens of a batch */
    int64_t sum;
};

static struct gathering gather(const struct vidur_rank_batch *ranks, int32_t count)
{
    struct gathering g = {0};
    for (int32_t i = 0; i < count; i++) {
        const struct vidur_live_batch *batch = ranks[i].batch;
        if (!batch)
            continue;
        g.has_prompts |= batch->seen.num_prefills > 0;
        g.sum += batch->seen.num_tokens;
        if (batch->seen.num_tokens > g.most)
            g.most = batch->seen.num_tokens;
    }
    return g;
}

/* The longest rank's own time; sets its step's tokens. */
static double longest_ms(const struct engine *engine,
                         const struct vidur_rank_batch *ranks, int32_t count)
{
    const struct gathering g = gather(ranks, count);
    double longest = 0;
    for (int32_t i = 0; i < count; i++) {
        struct vidur_live_batch *batch = ranks[i].batch;
        if (!batch)
            continue;
        const struct attention attention =
            attention_of(engine, ranks[i].replica, batch);
        begin_step(engine, &attention, batch);
        if (!is_in_table(engine->table, batch))
            return NAN;
        batch->step.run_tokens = g.has_prompts ? batch->seen.num_tokens : g.most;
        batch->step.gathered_tokens =
            g.has_prompts ? g.sum : count * padded_tokens(engine, g.most);
        const double ms = own_ms(engine, batch, &attention, batch->step.run_tokens);
        longest = ms > longest || isnan(ms) ? ms : longest;
    }
    return longest;
}

static void time_ranks(const void *state, const struct vidur_rank_batch *ranks,
                       int32_t count)
{
    const struct engine *engine = last_stage(state);
    const struct vidur_cpu_limit *cpu = &((const struct pipeline *)state)->cpu;
    const double longest = longest_ms(engine, ranks, count);
    for (int32_t i = 0; i < count; i++) {
        struct vidur_step_time *step = ranks[i].batch ? &ranks[i].batch->step : NULL;
        if (!step)
            continue;
        step->stage_s[0] = step->stage_s[1] =
            isnan(longest)
                ? NAN
                : (longest + gathered_ms(engine, step->gathered_tokens)) * 1e-3;
        step->communication_s[0] = step->communication_s[1] =
            isnan(longest) ? NAN
                           : (comm_ms(engine, step->run_tokens) +
                              engine->table->gathered_comm_ms[step->gathered_tokens]) *
                                 1e-3;
        if (cpu->run_s > 0)
            stall(cpu, ranks[i].replica->now_s, step);
    }
}

static double repeated_ranks_s(const void *state, const struct vidur_rank_batch *ranks,
                               int32_t count, int64_t ahead)
{
    const struct engine *engine = last_stage(state);
    double longest = 0, gathered = 0;
    for (int32_t i = 0; i < count; i++) {
        const struct vidur_live_batch *batch = ranks[i].batch;
        if (!batch)
            continue;
        const double ms = repeated_ms(engine, batch, ahead, batch->step.run_tokens);
        if (isnan(ms))
            return NAN;
        longest = ms > longest ? ms : longest;
        gathered = gathered_ms(engine, batch->step.gathered_tokens);
    }
    return (longest + gathered) * 1e-3;
}

/* What they do together, and the wait for the longest of them: in the messages that
 * bring them together. */
static void add_gathered(const struct engine *engine,
                         const struct vidur_live_batch *batch, double *ms)
{
    const int64_t tokens = batch->step.gathered_tokens;
    double sum = 0;
    ms[VIDUR_STEP_PART_experts] += engine->table->gathered_experts_ms[tokens];
    for (int i = 0; i < VIDUR_NUM_STEP_PARTS; i++)
        sum += i == VIDUR_STEP_PART_all_reduce ? 0 : ms[i];
    ms[VIDUR_STEP_PART_all_reduce] = batch->step.stage_s[1] * 1e3 - sum;
}

/* ---- Parts ---- */

static void step_parts(const void *state, const struct vidur_replica *replica,
                       const struct vidur_live_batch *batch, int32_t kind,
                       double *parts_s)
{
    const struct engine *engine = &((const struct pipeline *)state)->engine[kind];
    const struct vidur_engine_table *table = engine->table;
    const bool gathers = batch->step.gathered_tokens > 0;
    const int64_t tokens = gathers ? batch->step.run_tokens : batch->seen.num_tokens;
    const struct attention attention = attention_of(engine, replica, batch);
    double ms[VIDUR_NUM_STEP_PARTS] = {
        [VIDUR_STEP_PART_gemm_and_small] = linear_ms(engine, tokens) -
                                           comm_ms(engine, tokens) -
                                           experts_ms(engine, tokens),
        [VIDUR_STEP_PART_experts] = experts_ms(engine, tokens),
        [VIDUR_STEP_PART_all_reduce] = comm_ms(engine, tokens),
        [VIDUR_STEP_PART_attention_decode] = rows_ms(engine, &attention),
        [VIDUR_STEP_PART_attention_prefill] = attention.chunks_ms,
        [VIDUR_STEP_PART_output_head] = table->head_ms[batch->num_sampled],
        [VIDUR_STEP_PART_overheads] = table->step_ms +
                                      table->request_ms * (double)batch->seen.count +
                                      mixed_ms(table, batch) + batch->step.cpu_s * 1e3};
    if (gathers)
        add_gathered(engine, batch, ms);
    for (int i = 0; i < VIDUR_NUM_STEP_PARTS; i++)
        parts_s[i] = ms[i] * 1e-3;
}

static int fail(const void *state, const struct vidur_live_batch *batch,
                struct vidur_error *err)
{
    const struct vidur_engine_table *table = last_stage(state)->table;
    return vidur_fail(
        err, VIDUR_EINVAL,
        "engine table: a step of %lld tokens and %d requests is beyond its "
        "%lld tokens, %lld requests and %lld tokens of context (or the "
        "operator tables behind it)",
        (long long)batch->seen.num_tokens, batch->seen.count,
        (long long)table->linear_limit, (long long)table->head_limit,
        (long long)table->context_limit);
}

static int context_granularity(const void *state)
{
    (void)state;
    return 1;
}

static bool has_cpu_overhead(const void *state)
{
    return ((const struct pipeline *)state)->cpu.run_s > 0;
}

static struct vidur_front_end_times front_end(const void *state)
{
    const struct vidur_engine_table *table = last_stage(state)->table;
    return (struct vidur_front_end_times){.per_prompt_token_s =
                                              table->tokenise_ms * 1e-3,
                                          .delay_s = table->t_api_ms * 1e-3};
}

const struct vidur_step_model_ops vidur_step_engine = {
    .name = "engine",
    .whole_steps = true,
    .state_bytes = state_bytes,
    .init = init,
    .time = step_time,
    .repeated_s = repeated_s,
    .stall_s = stall_s,
    .time_ranks = time_ranks,
    .repeated_ranks_s = repeated_ranks_s,
    .stage_kind = stage_kind,
    .parts = step_parts,
    .fail = fail,
    .context_granularity = context_granularity,
    .has_cpu_overhead = has_cpu_overhead,
    .front_end = front_end,
};
