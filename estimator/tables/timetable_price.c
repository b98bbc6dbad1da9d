#include "samples/profile_roofline.h"
#include "tables/step_plan.h"
#include "tables/timetable_internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * Operator tables of any decoder, for the step model `layers`: the plan of a step,
 * priced, as means over layers, so that a stage is their sum times its layers. Exact
 * functions; nothing is learned. Source: SIMULATOR.md section 5.
 */

enum { ALL_REDUCES_PER_LAYER = 2 /* of the step model's formula */ };

struct pricing {
    const struct vidur_timetable_request *request;
    struct vidur_cache_entry *entry;
    struct vidur_table_limits limits;
    struct vidur_engine_request wanted;
    struct vidur_step_plan plan;
    struct vidur_engine_latent latent;
    int64_t step; /* of contexts, tokens */
    double num_layers;
};

/* ---- Operators on tokens ---- */

static double *list_of(struct pricing *p, enum vidur_token_operator op,
                       struct vidur_error *err)
{
    const char *name = vidur_token_operator_name(op);
    for (int i = 0; i < p->entry->num_tables; i++)
        if (strcmp(p->entry->tables[i].name, name) == 0)
            return p->entry->memory[i];
    return vidur_cache_add(p->entry, name, 1, p->limits.tokens + 1, err);
}

static int price_operator(struct pricing *p, const struct vidur_step_term *term,
                          struct vidur_error *err)
{
    const int count = term->op->num_tables;
    for (int i = 0; i < count; i++) {
        const enum vidur_token_operator op = term->op->tables[i];
        const double runs =
            count * (op == VIDUR_OP_all_reduce ? ALL_REDUCES_PER_LAYER : 1);
        const struct vidur_price_sum sum = {term->times / p->num_layers / runs,
                                            list_of(p, op, err), p->limits.tokens};
        if (!sum.ms || vidur_step_price(&p->plan, term, &sum, err))
            return -1;
    }
    return 0;
}

/* Between stages: no part of an engine's step. */
static int price_send_recv(struct pricing *p, struct vidur_error *err)
{
    if (!vidur_request_runs(p->request, false, VIDUR_OP_send_recv))
        return 0;
    double *ms = list_of(p, VIDUR_OP_send_recv, err);
    if (!ms)
        return -1;
    for (int64_t x = 1; x <= p->limits.tokens; x++) {
        const double tokens = (double)x;
        ms[x] = vidur_roofline_ms(p->request, VIDUR_OP_send_recv, &tokens);
    }
    return 0;
}

/* ---- Attention of decode rows ---- */

static double rows_ms(const struct pricing *p, const struct vidur_step_term *term,
                      int64_t rows, int64_t context)
{
    const struct vidur_layer_kind *kind = &term->layers->kind;
    const struct vidur_row_prices row = vidur_price_rows(&p->plan.pricer, term->layers);
    const int64_t window = kind->window_tokens;
    const int64_t seen = window > 0 && window < context ? window : context;
    double ms = row.launch_ms + row.ms_per_token * (double)(rows * seen);
    if (kind->attention == VIDUR_ATTENTION_MLA)
        ms += vidur_engine_latent_ms(&p->latent, rows, rows * context) * term->times /
              p->latent.layers;
    return ms / p->num_layers;
}

static int price_decode(struct pricing *p, struct vidur_error *err)
{
    const int64_t columns = p->limits.kv_points;
    double *ms =
        vidur_cache_add(p->entry, "attn_decode", p->limits.batch, columns, err);
    if (!ms)
        return -1;
    for (int i = 0; i < p->plan.num_terms; i++) {
        const struct vidur_step_term *term = &p->plan.terms[i];
        for (int64_t b = 0; term->term == VIDUR_TERM_ROWS && b < p->limits.batch; b++)
            for (int64_t j = 0; j < columns; j++)
                ms[b * columns + j] += rows_ms(p, term, b + 1, j * p->step);
    }
    return 0;
}

/* ---- Attention of chunks ---- */

/* Of the layers with one window, 0: none; a layer's mean over all layers. */
struct chunks {
    int64_t window;
    double *prompt_ms, *row_ms; /* [context]: a whole prompt, one decode row */
};

static double chunk_ms(const struct chunks *c, int64_t context, int64_t chunk)
{
    const int64_t w = c->window;
    const int64_t prefix = w > 0 && w < context ? w : context;
    const int64_t end = prefix + chunk;
    const double s = (double)end, seen = w > 0 ? fmin(s, 2 * (double)w) : s;
    const double before = (double)prefix;
    const double share = (s * seen - before * before) / (s * seen);
    return fmax(fmax(c->prompt_ms[end] * share, c->prompt_ms[chunk]),
                c->row_ms[w > 0 && w < end ? w : end]);
}

static int price_chunks_of(struct pricing *p, struct chunks *chunks,
                           struct vidur_error *err)
{
    const int64_t limit = p->wanted.max_context_tokens;
    struct vidur_pricer *pricer = &p->plan.pricer;
    memset(chunks->prompt_ms, 0, ((size_t)limit + 1) * sizeof(double));
    memset(chunks->row_ms, 0, ((size_t)limit + 1) * sizeof(double));
    for (int i = 0; i < p->plan.num_terms; i++) {
        const struct vidur_step_term *term = &p->plan.terms[i];
        const double times = term->times / p->num_layers;
        const struct vidur_price_sum prompt = {times, chunks->prompt_ms, limit};
        const struct vidur_price_sum row = {times, chunks->row_ms, limit};
        if (term->term != VIDUR_TERM_PROMPT ||
            term->layers->kind.window_tokens != chunks->window)
            continue;
        if (vidur_price_prompt(pricer, &p->plan.shard, term->layers, &prompt, err))
            return -1;
        if (term->layers->kind.attention == VIDUR_ATTENTION_GQA &&
            vidur_price_row(pricer, &p->plan.shard, term->layers, &row, err))
            return -1;
    }
    return 0;
}

static bool window_came_before(const struct pricing *p, int kind)
{
    const struct vidur_shard_layers *layers = p->plan.shard.layers;
    for (int i = 0; i < kind; i++)
        if (layers[i].kind.window_tokens == layers[kind].kind.window_tokens)
            return true;
    return false;
}

static int fill_prefill(struct pricing *p, struct chunks *chunks, double *ms,
                        struct vidur_error *err)
{
    const int64_t columns = p->limits.max_chunk;
    for (int k = 0; k < p->plan.shard.num_kinds; k++) {
        if (window_came_before(p, k))
            continue;
        chunks->window = p->plan.shard.layers[k].kind.window_tokens;
        if (price_chunks_of(p, chunks, err))
            return -1;
        for (int64_t i = 0; i < p->limits.kv_points; i++)
            for (int64_t j = 0; j < columns; j++)
                ms[i * columns + j] += chunk_ms(chunks, i * p->step, j + 1);
    }
    return 0;
}

static int price_prefill(struct pricing *p, struct vidur_error *err)
{
    const size_t count = (size_t)p->wanted.max_context_tokens + 1;
    double *ms = vidur_cache_add(p->entry, "attn_prefill", p->limits.kv_points,
                                 p->limits.max_chunk, err);
    double *memory = ms ? calloc(2 * count, sizeof *memory) : NULL;
    struct chunks chunks = {.prompt_ms = memory,
                            .row_ms = memory ? memory + count : NULL};
    if (ms && !memory)
        vidur_fail(err, VIDUR_ENOMEM, "attn_prefill: out of memory");
    const int status = memory ? fill_prefill(p, &chunks, ms, err) : -1;
    free(memory);
    return status;
}

/* ---- All of it ---- */

static int64_t lesser(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* How far the kernels were timed; a roofline has no end. */
static int set_profiled(struct pricing *p, struct vidur_error *err)
{
    int64_t tokens = p->wanted.max_tokens, context = p->wanted.max_context_tokens;
    if (!p->plan.pricer.kernels)
        return 0;
    if (vidur_kernels_reach(&p->plan.pricer, &p->plan.shard, &tokens, &context, err))
        return -1;
    for (int i = 0; i < p->entry->num_tables; i++) {
        struct vidur_cache_table *table = &p->entry->tables[i];
        const int64_t contexts = context / p->step + 1;
        if (strcmp(table->name, "attn_decode") == 0) {
            table->profiled_columns = lesser(contexts, table->columns);
        } else if (strcmp(table->name, "attn_prefill") == 0) {
            table->profiled_rows = lesser(contexts, table->rows);
            table->profiled_columns = lesser(context, table->columns);
        } else {
            table->profiled_columns = lesser(tokens, table->columns - 1);
        }
    }
    return 0;
}

static int price(struct pricing *p, struct vidur_error *err)
{
    for (int i = 0; i < p->plan.num_terms; i++)
        if (p->plan.terms[i].term == VIDUR_TERM_OPERATOR &&
            price_operator(p, &p->plan.terms[i], err))
            return -1;
    if (price_send_recv(p, err) || vidur_step_price_latent(&p->plan, &p->latent, err) ||
        price_decode(p, err) || price_prefill(p, err))
        return -1;
    return set_profiled(p, err);
}

static struct vidur_engine_request
engine_request(const struct vidur_estimator_config *config,
               const struct vidur_timetable_request *request,
               const struct vidur_table_limits *limits)
{
    struct vidur_engine_request wanted =
        vidur_timetable_engine_request(config, request);
    wanted.max_tokens = limits->tokens;
    wanted.max_batch_size = limits->batch;
    wanted.max_context_tokens =
        (limits->kv_points - 1) * config->kv_cache_granularity + limits->max_chunk;
    if (isnan(wanted.constants.c_ar_us))
        wanted.constants.c_ar_us = 0; /* the step model adds its own */
    return wanted;
}

static int run(struct pricing *p, const struct vidur_estimator_config *config,
               struct vidur_error *err)
{
    p->step = config->kv_cache_granularity;
    p->num_layers = p->request->model->num_layers;
    p->wanted = engine_request(config, p->request, &p->limits);
    int status = vidur_step_plan_begin(&p->plan, &p->wanted, err);
    if (status == 0)
        status = price(p, err);
    free((void *)(uintptr_t)p->latent.batches);
    vidur_step_plan_end(&p->plan);
    return status;
}

int vidur_timetable_price(struct vidur_cache_entry *entry,
                          const struct vidur_estimator_config *config,
                          const struct vidur_timetable_request *request,
                          struct vidur_error *err)
{
    struct pricing p = {.request = request,
                        .entry = entry,
                        .limits = vidur_table_limits(config, request, true)};
    return run(&p, config, err);
}

/* Prices of the smallest tables borrow what those of any do. */
int vidur_timetable_borrowed(char *out, size_t size,
                             const struct vidur_estimator_config *config,
                             const struct vidur_timetable_request *request,
                             struct vidur_error *err)
{
    struct vidur_cache_entry entry = {.num_tables = 0};
    struct pricing p = {.request = request, .entry = &entry, .limits = {8, 1, 1, 1}};
    const int status = run(&p, config, err);
    vidur_cache_close(&entry);
    if (status == 0)
        snprintf(out, size, "%s", p.plan.pricer.borrowed);
    return status;
}
