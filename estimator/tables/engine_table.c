#include <vidur/engine_table.h>

#include "tables/step_plan.h"

#include <vidur/spec_config.h>
#include <vidur/timetable.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ALL_REDUCES_PER_LAYER = 2 };

/* What a table is built from. */
struct builder {
    const struct vidur_engine_request *request;
    struct vidur_step_plan plan;
    double *linear, *experts, *comm, *head, *context, *window_context, *decode1;
    /* by the tokens of all ranks; of one rank the same as experts and comm */
    double *gathered_experts, *gathered_comm;
    int64_t gathered_limit;
};

void vidur_engine_constants_defaults(struct vidur_engine_constants *constants)
{
    *constants = (struct vidur_engine_constants){
        .eta = NAN, .t0_us = NAN, .c_ar_us = NAN, .tokenise_us = NAN, .t_api_ms = NAN};
}

int64_t vidur_engine_padded_tokens(int64_t tokens, int max_num_seqs)
{
    int64_t largest = 2 * (int64_t)max_num_seqs < 512 ? 2 * (int64_t)max_num_seqs : 512;
    int64_t size = tokens;
    if (tokens > 256)
        size = (tokens + 15) / 16 * 16;
    else if (tokens > 4)
        size = (tokens + 7) / 8 * 8;
    else if (tokens == 3)
        size = 4;
    return size <= largest ? size : tokens;
}

/* ---- Memory ---- */

static int allocate(struct builder *b, struct vidur_engine_table **out,
                    struct vidur_error *err)
{
    const struct vidur_engine_request *request = b->request;
    const size_t tokens = (size_t)request->max_tokens + 1;
    const size_t batch = (size_t)request->max_batch_size + 1;
    const size_t context = (size_t)request->max_context_tokens + 1;
    const int ranks = b->plan.pricer.ranks;
    b->gathered_limit = ranks * request->max_tokens;
    const size_t gathered = ranks > 1 ? (size_t)b->gathered_limit + 1 : 0;
    struct array {
        double **at;
        size_t count;
    } arrays[] = {{&b->linear, tokens},         {&b->experts, tokens},
                  {&b->comm, tokens},           {&b->head, batch},
                  {&b->context, context},       {&b->window_context, context},
                  {&b->decode1, context},       {&b->gathered_experts, gathered},
                  {&b->gathered_comm, gathered}};
    size_t count = 0;
    for (size_t i = 0; i < sizeof arrays / sizeof arrays[0]; i++)
        count += arrays[i].count;
    struct vidur_engine_table *table =
        calloc(1, sizeof *table + count * sizeof(double));
    if (!table)
        return vidur_fail(err, VIDUR_ENOMEM, "engine table: out of memory");
    double *at = (double *)(table + 1);
    for (size_t i = 0; i < sizeof arrays / sizeof arrays[0]; i++) {
        *arrays[i].at = at;
        at += arrays[i].count;
    }
    table->linear_ms = b->linear;
    table->experts_ms = b->experts;
    table->comm_ms = b->comm;
    table->head_ms = b->head;
    table->context_ms = b->context;
    table->window_context_ms = b->window_context;
    table->decode1_ms = b->decode1;
    if (ranks == 1) {
        b->gathered_experts = b->experts;
        b->gathered_comm = b->comm;
    } else {
        table->gathered_experts_ms = b->gathered_experts;
        table->gathered_comm_ms = b->gathered_comm;
        table->gathered_limit = b->gathered_limit;
    }
    table->linear_limit = request->max_tokens;
    table->head_limit = request->max_batch_size;
    table->context_limit = request->max_context_tokens;
    *out = table;
    return 0;
}

/* ---- Operators ---- */

/* The sums that an operator's time belongs to besides linear_ms. */
static double *part_of(struct builder *b, const struct vidur_operator *op)
{
    const bool gathered = op->place == VIDUR_PLACE_GATHERED;
    switch (op->part) {
    case VIDUR_PART_communication:
        return gathered ? b->gathered_comm : b->comm;
    case VIDUR_PART_experts:
        return gathered ? b->gathered_experts : b->experts;
    case VIDUR_PART_head:
        return b->head;
    default:
        return b->linear;
    }
}

/* The most tokens, or requests, that it works on. */
static int64_t limit_of(const struct builder *b, const struct vidur_operator *op)
{
    return op->place == VIDUR_PLACE_LAST       ? b->request->max_batch_size
           : op->place == VIDUR_PLACE_GATHERED ? b->gathered_limit
                                               : b->request->max_tokens;
}

static int price_operator(struct builder *b, const struct vidur_step_term *term,
                          struct vidur_error *err)
{
    const struct vidur_price_sum sum = {term->times, part_of(b, term->op),
                                        limit_of(b, term->op)};
    return vidur_step_price(&b->plan, term, &sum, err);
}

static void add_sampler(struct builder *b)
{
    const double logits_ms = vidur_step_sampler_ms(&b->plan);
    for (int64_t n = 1; n <= b->request->max_batch_size; n++)
        b->head[n] += logits_ms * (double)n;
}

/* ---- Attention ---- */

static int price_prompts(struct builder *b, const struct vidur_step_term *term,
                         struct vidur_error *err)
{
    const struct vidur_shard_layers *l = term->layers;
    const struct vidur_price_sum sum = {
        term->times, l->kind.window_tokens > 0 ? b->window_context : b->context,
        b->request->max_context_tokens};
    return vidur_price_prompt(&b->plan.pricer, &b->plan.shard, l, &sum, err);
}

/* One row by itself, below which no chunk of a prompt gets. */
static int price_row(struct builder *b, const struct vidur_step_term *term,
                     struct vidur_error *err)
{
    const struct vidur_layer_kind *kind = &term->layers->kind;
    if (kind->attention != VIDUR_ATTENTION_GQA || kind->window_tokens > 0)
        return 0;
    const struct vidur_price_sum sum = {term->times, b->decode1,
                                        b->request->max_context_tokens};
    return vidur_price_row(&b->plan.pricer, &b->plan.shard, term->layers, &sum, err);
}

static int price_terms(struct builder *b, struct vidur_error *err)
{
    static int (*const price[])(struct builder *, const struct vidur_step_term *,
                                struct vidur_error *) = {
        [VIDUR_TERM_OPERATOR] = price_operator,
        [VIDUR_TERM_PROMPT] = price_prompts,
        [VIDUR_TERM_ROWS] = price_row};
    for (int i = 0; i < b->plan.num_terms; i++)
        if (price[b->plan.terms[i].term](b, &b->plan.terms[i], err))
            return -1;
    for (int64_t x = 1; x <= b->request->max_tokens; x++)
        b->linear[x] += b->comm[x] + b->experts[x];
    add_sampler(b);
    return 0;
}

static void add_window(struct vidur_engine_table *table, int64_t tokens, double ms)
{
    for (int i = 0; i < table->num_windows; i++)
        if (table->windows[i].tokens == tokens) {
            table->windows[i].ms_per_token += ms;
            return;
        }
    table->windows[table->num_windows++] = (struct vidur_engine_window){tokens, ms};
}

/* The KV cache that decode rows read: linear in their contexts. */
static void add_rows(const struct builder *b, struct vidur_engine_table *table)
{
    for (int i = 0; i < b->plan.num_terms; i++) {
        const struct vidur_step_term *term = &b->plan.terms[i];
        if (term->term != VIDUR_TERM_ROWS)
            continue;
        const struct vidur_row_prices rows =
            vidur_price_rows(&b->plan.pricer, term->layers);
        table->decode_launch_ms += rows.launch_ms;
        if (term->layers->kind.window_tokens > 0)
            add_window(table, term->layers->kind.window_tokens, rows.ms_per_token);
        else
            table->decode_ms_per_token += rows.ms_per_token;
    }
}

/* ---- The rest ---- */

static void add_overheads(const struct builder *b, struct vidur_engine_table *table)
{
    const struct vidur_engine_constants *c = &b->plan.pricer.constants;
    table->constants = *c;
    table->step_ms = c->step_us * 1e-3;
    table->request_ms = c->request_us * 1e-3;
    table->mixed_ms = vidur_step_num_layers(&b->plan) * c->mixed_layer_us * 1e-3;
    table->tokenise_ms = c->tokenise_us * 1e-3;
    table->t_api_ms = c->t_api_ms;
    table->profiled_context = table->context_limit;
    table->profiled_tokens = table->linear_limit;
}

/* How far the kernels of the first layers' first product and attention were timed. */
static int set_profiled(struct builder *b, struct vidur_engine_table *table,
                        struct vidur_error *err)
{
    if (!b->plan.pricer.kernels)
        return 0;
    return vidur_kernels_reach(&b->plan.pricer, &b->plan.shard, &table->profiled_tokens,
                               &table->profiled_context, err);
}

int vidur_engine_table_build(struct vidur_engine_table **out,
                             const struct vidur_engine_request *request,
                             struct vidur_error *err)
{
    struct builder b = {.request = request};
    struct vidur_engine_table *table = NULL;
    int rc = -1;
    if (vidur_step_plan_begin(&b.plan, request, err) || allocate(&b, &table, err))
        goto out;
    if (price_terms(&b, err) || vidur_step_price_latent(&b.plan, &table->latent, err))
        goto out;
    add_rows(&b, table);
    add_overheads(&b, table);
    if (set_profiled(&b, table, err))
        goto out;
    vidur_step_describe_source(&b.plan, table->provenance, sizeof table->provenance);
    *out = table;
    table = NULL;
    rc = 0;
out:
    vidur_engine_table_free(table);
    vidur_step_plan_end(&b.plan);
    return rc;
}

/* ---- From operator tables ---- */

/* NaN beyond the tables. */
static double operator_ms(const struct vidur_timetable *t, enum vidur_token_operator op,
                          int64_t tokens)
{
    const struct vidur_token_table *table = &t->token[op];
    if (!table->ms)
        return 0;
    return tokens <= table->limit ? table->ms[tokens] : NAN;
}

static double layer_ms(const struct vidur_timetable *t, bool post_attn_norm,
                       int64_t tokens)
{
    double sum = 0;
    for (int op = 0; op < VIDUR_OP_all_reduce; op++)
        if (op != VIDUR_OP_post_attention_layernorm || post_attn_norm)
            sum += operator_ms(t, (enum vidur_token_operator)op, tokens);
    return sum;
}

static double grid_ms(const struct vidur_grid_table *grid, int64_t row, int64_t column)
{
    return row < grid->num_rows && column < grid->num_columns
               ? grid->ms[row * grid->num_columns + column]
               : NAN;
}

static void fill_from_operators(struct builder *b, const struct vidur_timetable *t)
{
    const struct vidur_engine_request *request = b->request;
    const double layers = vidur_step_num_layers(&b->plan);
    const bool sends = b->plan.stage < b->plan.num_stages - 1;
    const int devices = request->tensor_parallel_size;
    const double skew_ms = b->plan.pricer.constants.c_ar_us * 1e-3 * (devices - 1);
    for (int64_t x = 1; x <= request->max_tokens; x++) {
        if (devices > 1)
            b->comm[x] = ALL_REDUCES_PER_LAYER * layers *
                         (operator_ms(t, VIDUR_OP_all_reduce, x) + skew_ms);
        if (sends)
            b->comm[x] += operator_ms(t, VIDUR_OP_send_recv, x);
        b->linear[x] =
            layers * layer_ms(t, request->model->post_attn_norm, x) + b->comm[x];
    }
    const int step = t->kv_granularity_tokens;
    for (int64_t c = 1; c <= request->max_context_tokens; c++) {
        b->context[c] = layers * grid_ms(&t->attn_prefill, 0, c - 1);
        b->decode1[c] = layers * grid_ms(&t->attn_decode, 0, (c + step - 1) / step);
    }
}

/* What no profile has. */
static int price_head(struct builder *b, struct vidur_error *err)
{
    for (int i = 0; i < b->plan.num_terms; i++) {
        const struct vidur_step_term *term = &b->plan.terms[i];
        if (term->term == VIDUR_TERM_OPERATOR && term->op->part == VIDUR_PART_head &&
            price_operator(b, term, err))
            return -1;
    }
    return 0;
}

int vidur_engine_table_from_operators(struct vidur_engine_table **out,
                                      const struct vidur_engine_request *request,
                                      const struct vidur_timetable *operators,
                                      struct vidur_error *err)
{
    struct vidur_engine_request plain = *request;
    struct builder b = {.request = &plain};
    plain.kernels_dir = NULL;
    if (isnan(plain.constants.c_ar_us))
        plain.constants.c_ar_us = 0; /* in the profiles' times */
    if (vidur_step_plan_begin(&b.plan, &plain, err) || allocate(&b, out, err))
        return -1;
    struct vidur_engine_table *table = *out;
    fill_from_operators(&b, operators);
    if (price_head(&b, err)) {
        vidur_engine_table_free(table);
        return -1;
    }
    add_sampler(&b);
    add_rows(&b, table);
    add_overheads(&b, table);
    table->profiled_context = operators->attn_prefill.profiled_columns;
    table->profiled_tokens = operators->token[VIDUR_OP_mlp_up_proj].profiled_limit;
    vidur_step_describe(&b.plan, operators->provenance, table->provenance,
                        sizeof table->provenance);
    return 0;
}

void vidur_engine_table_free(struct vidur_engine_table *table)
{
    if (!table)
        return;
    free((void *)(uintptr_t)table->latent.batches);
    free(table);
}
