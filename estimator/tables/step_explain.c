#include "tables/step_explain.h"

#include <math.h>
#include <stdlib.h>

enum { MOST_TOKENS = 1 << 24 };

/* What lines are made from. */
struct account {
    struct vidur_step_lines *out;
    struct vidur_step_plan *plan;
    const struct vidur_step_batch *batch;
    double *scratch; /* [limit + 1], for prices of 1 .. limit */
    int64_t limit;
    int64_t rows, row_tokens; /* decode rows, and short chunks that count as such */
    int64_t chunk;            /* 0: no chunk that is worked on as a prompt */
    int64_t sampled;          /* requests that get a token */
};

static const char *const part_names[] = {
#define X(name) #name,
    VIDUR_OPERATOR_PARTS(X)
#undef X
};

int vidur_step_batch_request(struct vidur_engine_request *request,
                             const struct vidur_step_batch *batch,
                             struct vidur_error *err)
{
    const int64_t tokens = batch->decodes + batch->prompt_tokens;
    const int64_t end = batch->prefix_tokens + batch->prompt_tokens;
    if (batch->decodes < 0 || batch->context_tokens < 1 || batch->prompt_tokens < 0 ||
        batch->prefix_tokens < 0 || tokens < 1)
        return vidur_fail(err, VIDUR_EINVAL,
                          "a step has decodes, a prompt or both, with contexts of at "
                          "least 1 token");
    if (tokens > MOST_TOKENS || end > MOST_TOKENS ||
        batch->context_tokens > MOST_TOKENS)
        return vidur_fail(err, VIDUR_EINVAL,
                          "a step, its contexts and its prompt have at most %d tokens",
                          MOST_TOKENS);
    request->max_tokens = vidur_engine_padded_tokens(tokens, batch->max_num_seqs);
    request->max_batch_size = batch->decodes + (batch->prompt_tokens > 0);
    request->max_context_tokens =
        end > batch->context_tokens ? end : batch->context_tokens;
    return 0;
}

static struct account account_of(struct vidur_step_lines *out,
                                 struct vidur_step_plan *plan,
                                 const struct vidur_step_batch *batch)
{
    const int64_t prompt = batch->prompt_tokens;
    const bool as_row = prompt > 0 && prompt <= VIDUR_ENGINE_DECODE_LIKE_TOKENS;
    const struct vidur_engine_request *request = plan->request;
    const int64_t gathered = plan->pricer.ranks * request->max_tokens;
    return (struct account){.out = out,
                            .plan = plan,
                            .batch = batch,
                            .limit = gathered > request->max_context_tokens
                                         ? gathered
                                         : request->max_context_tokens,
                            .rows = batch->decodes + as_row,
                            .row_tokens = batch->decodes * batch->context_tokens +
                                          (as_row ? batch->prefix_tokens + prompt : 0),
                            .chunk = as_row ? 0 : prompt,
                            .sampled = batch->decodes + (prompt > 0)};
}

/* ---- Lines ---- */

/* Fills in the shares; `dtype`: of the products. */
static void add_line(struct account *a, struct vidur_step_line line,
                     enum vidur_dtype dtype)
{
    const struct vidur_pricer *pricer = &a->plan->pricer;
    const double s = line.ms * 1e-3;
    const bool in_memory = line.bytes > 0 && line.bandwidth_share >= 0;
    line.bandwidth_share =
        in_memory ? line.bytes / s / pricer->bandwidth_bytes_per_s : NAN;
    line.peak_share = line.flops > 0
                          ? line.flops / s / pricer->peak_flops[vidur_dtype_peak(dtype)]
                          : NAN;
    a->out->ms += line.ms;
    a->out->at[a->out->count++] = line;
}

static void clear(struct account *a)
{
    for (int64_t i = 0; i <= a->limit; i++)
        a->scratch[i] = 0;
}

/* Tokens that an operator works on; every rank in data parallel has the same batch, of
 * which those with prompts are not padded for each other. */
static int64_t tokens_of(const struct account *a, const struct vidur_operator *op)
{
    const struct vidur_step_lines *out = a->out;
    const int64_t ranks = a->plan->pricer.ranks;
    if (op->place == VIDUR_PLACE_LAST)
        return a->sampled;
    if (op->place != VIDUR_PLACE_GATHERED || ranks == 1)
        return out->padded_tokens;
    return ranks * (a->batch->prompt_tokens > 0 ? out->tokens : out->padded_tokens);
}

static int explain_operator(struct account *a, const struct vidur_step_term *term,
                            struct vidur_error *err)
{
    const int64_t x = tokens_of(a, term->op);
    clear(a);
    const struct vidur_price_sum sum = {term->times, a->scratch, x};
    if (vidur_step_price(a->plan, term, &sum, err))
        return -1;
    const bool network = vidur_work_is_message(&term->work);
    add_line(a,
             (struct vidur_step_line){
                 .name = term->op->name,
                 .part = part_names[term->op->part],
                 .kind = term->kind,
                 .times = term->times,
                 .ms = a->scratch[x],
                 .bytes = term->times * vidur_work_bytes(&term->work, (double)x),
                 .flops = term->times * vidur_work_flops(&term->work, (double)x),
                 .bandwidth_share = network ? NAN : 0},
             term->work.dtype);
    return 0;
}

/* ---- Attention ---- */

/* Values that a pair of query and key multiplies, on this device. */
static double pair_dims(const struct vidur_shard_layers *l)
{
    const struct vidur_layer_kind *k = &l->kind;
    return l->q_heads * (k->attention == VIDUR_ATTENTION_MLA
                             ? k->nope_head_dim + k->rope_head_dim + k->v_head_dim
                             : 2.0 * k->head_dim);
}

/* What a layer's attention works on: tokens (of latent attention its projections',
 * too), tokens that are read of the KV cache, and pairs of query and key. */
struct attended {
    double tokens, read, pairs;
};

static void set_work(const struct account *a, const struct vidur_step_term *term,
                     const struct attended *at, struct vidur_step_line *line)
{
    const struct vidur_shard_layers *l = term->layers;
    line->bytes = l->kv_bytes_per_token * at->read;
    line->flops = 2 * pair_dims(l) * at->pairs;
    if (l->kind.attention == VIDUR_ATTENTION_MLA) {
        line->bytes += (double)l->attention_weights *
                       vidur_dtype_bytes(a->plan->shard.precision.attention);
        line->flops += 2 * at->tokens * (double)l->attention_weights;
    }
    line->bytes *= term->times;
    line->flops *= term->times;
}

/* Tokens of rows' contexts that a layer of this kind reads. */
static double seen_tokens(const struct account *a, const struct vidur_layer_kind *kind)
{
    const int64_t most =
        kind->window_tokens > 0 ? kind->window_tokens : kind->index_tokens;
    const int64_t full = a->rows * most;
    return (double)(most > 0 && full < a->row_tokens ? full : a->row_tokens);
}

static void explain_rows(struct account *a, const struct vidur_step_term *term,
                         const struct vidur_engine_latent *latent)
{
    const struct vidur_layer_kind *kind = &term->layers->kind;
    const struct vidur_row_prices rows =
        vidur_price_rows(&a->plan->pricer, term->layers);
    const bool is_latent = kind->attention == VIDUR_ATTENTION_MLA;
    const double seen = seen_tokens(a, kind);
    struct vidur_step_line line = {.name = is_latent ? "latent_decode" : "attn_decode",
                                   .part = "attention",
                                   .kind = term->kind,
                                   .times = term->times};
    if (a->rows == 0)
        return;
    /* an index is read as a whole */
    line.ms =
        rows.launch_ms + rows.ms_per_token * (is_latent ? (double)a->row_tokens : seen);
    if (is_latent)
        line.ms += vidur_engine_latent_ms(latent, a->rows, a->row_tokens) *
                   term->times / latent->layers;
    set_work(a, term, &(struct attended){(double)a->rows, seen, seen}, &line);
    add_line(a, line, VIDUR_DTYPE_bf16);
}

/* The three bounds of a chunk: its share of the whole prompt, the chunk by itself, one
 * row. */
enum { BOUNDS = 3 };

static int chunk_bounds(struct account *a, const struct vidur_step_term *term,
                        double bounds[BOUNDS], struct vidur_error *err)
{
    const int64_t end = a->batch->prefix_tokens + a->chunk;
    const double s = (double)end, p = (double)a->batch->prefix_tokens;
    const struct vidur_price_sum sum = {term->times, a->scratch, end};
    const struct vidur_shard *shard = &a->plan->shard;
    clear(a);
    if (vidur_price_prompt(&a->plan->pricer, shard, term->layers, &sum, err))
        return -1;
    bounds[0] = a->scratch[end] * (s * s - p * p) / (s * s);
    bounds[1] = a->scratch[a->chunk];
    bounds[2] = 0;
    if (term->layers->kind.attention != VIDUR_ATTENTION_GQA)
        return 0;
    clear(a);
    if (vidur_price_row(&a->plan->pricer, shard, term->layers, &sum, err))
        return -1;
    bounds[2] = a->scratch[end];
    return 0;
}

static bool is_prompt(const struct vidur_step_term *term, bool windowed)
{
    return term->term == VIDUR_TERM_PROMPT &&
           (term->layers->kind.window_tokens > 0) == windowed;
}

/* Which bound holds for all layers without a window together. */
static int holding_bound(struct account *a, int *bound, struct vidur_error *err)
{
    double sums[BOUNDS] = {0}, bounds[BOUNDS];
    for (int i = 0; i < a->plan->num_terms; i++) {
        if (!is_prompt(&a->plan->terms[i], false))
            continue;
        if (chunk_bounds(a, &a->plan->terms[i], bounds, err))
            return -1;
        for (int j = 0; j < BOUNDS; j++)
            sums[j] += bounds[j];
    }
    *bound = 0;
    for (int j = 1; j < BOUNDS; j++)
        if (sums[j] > sums[*bound])
            *bound = j;
    return 0;
}

static int explain_prompt(struct account *a, const struct vidur_step_term *term,
                          int bound, struct vidur_error *err)
{
    const struct vidur_layer_kind *kind = &term->layers->kind;
    const double c = (double)a->chunk, window = kind->window_tokens;
    const double p = window > 0 ? 0 : (double)a->batch->prefix_tokens;
    double bounds[BOUNDS], pairs = c * p + c * c / 2;
    if (chunk_bounds(a, term, bounds, err))
        return -1;
    if (window > 0)
        pairs = fmin(pairs, c * window);
    struct vidur_step_line line = {.name = kind->attention == VIDUR_ATTENTION_MLA
                                               ? "latent_prefill"
                                               : "attn_prefill",
                                   .part = "attention",
                                   .kind = term->kind,
                                   .times = term->times,
                                   .ms = window > 0 ? bounds[1] : bounds[bound]};
    set_work(a, term, &(struct attended){c, p + c, pairs}, &line);
    add_line(a, line, VIDUR_DTYPE_bf16);
    return 0;
}

static int explain_attention(struct account *a,
                             const struct vidur_engine_latent *latent,
                             struct vidur_error *err)
{
    int bound = 0;
    if (a->chunk > 0 && holding_bound(a, &bound, err))
        return -1;
    for (int i = 0; i < a->plan->num_terms; i++) {
        const struct vidur_step_term *term = &a->plan->terms[i];
        if (term->term == VIDUR_TERM_ROWS)
            explain_rows(a, term, latent);
        else if (term->term == VIDUR_TERM_PROMPT && a->chunk > 0 &&
                 explain_prompt(a, term, bound, err))
            return -1;
    }
    return 0;
}

/* ---- The rest ---- */

static void add_overhead(struct account *a, const char *name, double times, double ms)
{
    if (ms > 0)
        add_line(a,
                 (struct vidur_step_line){.name = name,
                                          .part = "overheads",
                                          .kind = -1,
                                          .times = times,
                                          .ms = ms},
                 VIDUR_DTYPE_bf16);
}

static void explain_overheads(struct account *a)
{
    const struct vidur_engine_constants *c = &a->plan->pricer.constants;
    const double sampled = (double)a->sampled;
    const double layers = vidur_step_num_layers(a->plan);
    const bool mixed = a->batch->decodes > 0 && a->batch->prompt_tokens > 0;
    add_overhead(a, "sampler", sampled, vidur_step_sampler_ms(a->plan) * sampled);
    add_overhead(a, "step", 1, c->step_us * 1e-3);
    add_overhead(a, "requests", sampled, c->request_us * 1e-3 * sampled);
    if (mixed)
        add_overhead(a, "mixed_layers", layers, layers * c->mixed_layer_us * 1e-3);
}

int vidur_step_explain(struct vidur_step_lines *out, struct vidur_step_plan *plan,
                       const struct vidur_step_batch *batch, struct vidur_error *err)
{
    struct account a = account_of(out, plan, batch);
    struct vidur_engine_latent latent = {0};
    int status = 0;
    *out = (struct vidur_step_lines){.tokens = batch->decodes + batch->prompt_tokens,
                                     .padded_tokens = plan->request->max_tokens};
    a.scratch = calloc((size_t)a.limit + 1, sizeof *a.scratch);
    if (!a.scratch)
        return vidur_fail(err, VIDUR_ENOMEM, "out of memory");
    for (int i = 0; status == 0 && i < plan->num_terms; i++)
        if (plan->terms[i].term == VIDUR_TERM_OPERATOR)
            status = explain_operator(&a, &plan->terms[i], err);
    if (status == 0)
        status = vidur_step_price_latent(plan, &latent, err);
    if (status == 0)
        status = explain_attention(&a, &latent, err);
    if (status == 0)
        explain_overheads(&a);
    free((void *)(uintptr_t)latent.batches);
    free(a.scratch);
    return status;
}
