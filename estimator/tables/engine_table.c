#include <vidur/engine_table.h>

#include "tables/kernel_library.h"
#include "tables/price.h"

#include <vidur/spec_config.h>
#include <vidur/timetable.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ENGINE.md section 3: constants fitted on H100; c_ar is the device's own. */
static const struct vidur_engine_constants defaults = {
    .eta = 0.91, .t0_us = 10, .c_ar_us = NAN, .tokenise_us = 10, .t_api_ms = 2};

enum { ALL_REDUCES_PER_LAYER = 2 };

/* What a table is built from. */
struct builder {
    const struct vidur_engine_request *request;
    struct vidur_shard shard;
    struct vidur_pricer pricer;
    struct vidur_kernels *own; /* closed at the end */
    double *linear, *experts, *comm, *head, *context, *window_context, *decode1;
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

static double or_default(double value, double fallback)
{
    return isnan(value) ? fallback : value;
}

static struct vidur_engine_constants
constants_of(const struct vidur_engine_constants *asked,
             const struct vidur_device_sku *device)
{
    struct vidur_engine_constants c = *asked;
    c.eta = or_default(asked->eta, defaults.eta);
    c.t0_us = or_default(asked->t0_us, defaults.t0_us);
    c.c_ar_us = or_default(asked->c_ar_us, device->engine.all_reduce_skew_us);
    c.tokenise_us = or_default(asked->tokenise_us, defaults.tokenise_us);
    c.t_api_ms = or_default(asked->t_api_ms, defaults.t_api_ms);
    return c;
}

/* ---- Beginning ---- */

static int check(const struct vidur_engine_request *request, struct vidur_error *err)
{
    const struct vidur_device_v1 *v1 = &request->device->v1;
    const struct vidur_cut cut = {request->tensor_parallel_size, 1,
                                  request->expert_parallel};
    if (request->max_tokens < 1 || request->max_batch_size < 1 ||
        request->max_context_tokens < 1)
        return vidur_fail(err, VIDUR_EINVAL, "engine table: limits must be positive");
    if (!(v1->memory_bandwidth_gb_per_s > 0) || !(v1->peak_bf16_tflops > 0))
        return vidur_fail(err, VIDUR_EINVAL,
                          "device %s: v1.memory_bandwidth_gb_per_s and "
                          "v1.peak_bf16_tflops are needed by the engine step model",
                          request->device->name);
    return vidur_shard_check(request->model, &cut, false, err);
}

static int begin(struct builder *b, const struct vidur_engine_request *request,
                 struct vidur_error *err)
{
    const struct vidur_cut cut = {request->tensor_parallel_size, 1,
                                  request->expert_parallel};
    const char *dir = request->kernels_dir;
    struct vidur_kernels *kernels = NULL;
    *b = (struct builder){.request = request};
    if (check(request, err))
        return -1;
    vidur_shard_of(&b->shard, request->model, &cut);
    if (dir && dir[0] && vidur_kernel_library_open(request, &kernels, &b->own, err))
        return -1;
    if (vidur_pricer_init(&b->pricer, request->device, request->node, kernels, err))
        return -1;
    b->pricer.devices = request->tensor_parallel_size;
    b->pricer.constants = constants_of(&request->constants, request->device);
    return 0;
}

static void end(struct builder *b)
{
    vidur_kernels_close(b->own);
}

/* ---- Memory ---- */

static int allocate(struct builder *b, struct vidur_engine_table **out,
                    struct vidur_error *err)
{
    const struct vidur_engine_request *request = b->request;
    const size_t tokens = (size_t)request->max_tokens + 1;
    const size_t batch = (size_t)request->max_batch_size + 1;
    const size_t context = (size_t)request->max_context_tokens + 1;
    struct array {
        double **at;
        size_t count;
    } arrays[] = {{&b->linear, tokens},   {&b->experts, tokens},
                  {&b->comm, tokens},     {&b->head, batch},
                  {&b->context, context}, {&b->window_context, context},
                  {&b->decode1, context}};
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
    table->linear_limit = request->max_tokens;
    table->head_limit = request->max_batch_size;
    table->context_limit = request->max_context_tokens;
    *out = table;
    return 0;
}

/* ---- Operators ---- */

/* The sums that an operator's time belongs to besides linear_ms. */
static double *part_of(struct builder *b, enum vidur_operator_part part)
{
    return part == VIDUR_PART_communication ? b->comm
           : part == VIDUR_PART_experts     ? b->experts
           : part == VIDUR_PART_head        ? b->head
                                            : b->linear;
}

static int price_in_layers(struct builder *b, const struct vidur_operator *op,
                           struct vidur_error *err)
{
    for (int i = 0; i < b->shard.num_kinds; i++) {
        const struct vidur_shard_layers *layers = &b->shard.layers[i];
        const int times = op->times(&b->shard, layers);
        struct vidur_work work;
        if (times == 0)
            continue;
        op->work(&b->shard, layers, &work);
        const struct vidur_price_sum sum = {times * layers->count, part_of(b, op->part),
                                            b->request->max_tokens};
        if (vidur_price_operator(&b->pricer, op->name, &work, &sum, err))
            return -1;
    }
    return 0;
}

static int price_once(struct builder *b, const struct vidur_operator *op,
                      struct vidur_error *err)
{
    const int64_t limit = op->place == VIDUR_PLACE_LAST ? b->request->max_batch_size
                                                        : b->request->max_tokens;
    struct vidur_work work;
    op->work(&b->shard, NULL, &work);
    const struct vidur_price_sum sum = {1, part_of(b, op->part), limit};
    return vidur_price_operator(&b->pricer, op->name, &work, &sum, err);
}

static void add_sampler(struct builder *b)
{
    const double logits_ms =
        b->pricer.constants.sampler_ms_per_million_logits * 1e-6 * b->shard.vocab_size;
    for (int64_t n = 1; n <= b->request->max_batch_size; n++)
        b->head[n] += logits_ms * (double)n;
}

static int price_operators(struct builder *b, struct vidur_error *err)
{
    const struct vidur_operator *op;
    for (int i = 0; (op = vidur_operator_at(i)); i++)
        if (op->place == VIDUR_PLACE_LAYER ? price_in_layers(b, op, err)
                                           : price_once(b, op, err))
            return -1;
    for (int64_t x = 1; x <= b->request->max_tokens; x++)
        b->linear[x] += b->comm[x] + b->experts[x];
    add_sampler(b);
    return 0;
}

/* ---- Attention ---- */

static int price_attention(struct builder *b, struct vidur_error *err)
{
    const int64_t limit = b->request->max_context_tokens;
    for (int i = 0; i < b->shard.num_kinds; i++) {
        const struct vidur_shard_layers *l = &b->shard.layers[i];
        const struct vidur_price_sum prompt = {
            l->count, l->kind.window_tokens > 0 ? b->window_context : b->context,
            limit};
        const struct vidur_price_sum row = {l->count, b->decode1, limit};
        if (vidur_price_prompt(&b->pricer, &b->shard, l, &prompt, err))
            return -1;
        if (l->kind.attention == VIDUR_ATTENTION_GQA && l->kind.window_tokens == 0 &&
            vidur_price_row(&b->pricer, &b->shard, l, &row, err))
            return -1;
    }
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
    const struct vidur_engine_constants *c = &b->pricer.constants;
    const double bytes_per_ms = c->eta * b->pricer.bandwidth_bytes_per_s * 1e-3;
    for (int i = 0; i < b->shard.num_kinds; i++) {
        const struct vidur_shard_layers *l = &b->shard.layers[i];
        const bool latent = l->kind.attention == VIDUR_ATTENTION_MLA;
        const double bytes =
            l->count * (latent ? l->kind.index_head_dim : l->kv_bytes_per_token);
        if (!latent)
            table->decode_launch_ms += l->count * c->t0_us * 1e-3;
        if (l->kind.window_tokens > 0)
            add_window(table, l->kind.window_tokens, bytes / bytes_per_ms);
        else
            table->decode_ms_per_token += bytes / bytes_per_ms;
    }
}

/* All layers of latent attention are taken to be alike, as in all models there are. */
static int add_latent(struct builder *b, struct vidur_engine_table *table,
                      struct vidur_error *err)
{
    struct vidur_latent_times times = {0};
    for (int i = 0; i < b->shard.num_kinds; i++) {
        const struct vidur_shard_layers *l = &b->shard.layers[i];
        if (l->kind.attention != VIDUR_ATTENTION_MLA)
            continue;
        if (table->latent.layers == 0 &&
            vidur_price_latent_rows(&b->pricer, &b->shard, l, &times, err))
            return -1;
        table->latent.most_tokens = l->kind.index_tokens;
        table->latent.layers += l->count;
    }
    table->latent.batches = times.batches;
    table->latent.contexts = times.contexts;
    table->latent.ms = times.ms;
    table->latent.num_batches = times.num_batches;
    table->latent.num_contexts = times.num_contexts;
    table->latent.cut_ms = times.cut_ms;
    table->latent.least_ms = times.least_ms;
    return 0;
}

/* ---- The rest ---- */

static void add_overheads(const struct builder *b, struct vidur_engine_table *table)
{
    const struct vidur_engine_constants *c = &b->pricer.constants;
    table->constants = *c;
    table->step_ms = c->step_us * 1e-3;
    table->request_ms = c->request_us * 1e-3;
    table->mixed_ms = b->request->model->num_layers * c->mixed_layer_us * 1e-3;
    table->tokenise_ms = c->tokenise_us * 1e-3;
    table->t_api_ms = c->t_api_ms;
    table->profiled_context = table->context_limit;
    table->profiled_tokens = table->linear_limit;
}

/* How far the kernels of the first layers' first product and attention were timed. */
static int set_profiled(struct builder *b, struct vidur_engine_table *table,
                        struct vidur_error *err)
{
    if (!b->pricer.kernels)
        return 0;
    return vidur_kernels_reach(&b->pricer, &b->shard, &table->profiled_tokens,
                               &table->profiled_context, err);
}

/* What the numbers come from, then what was borrowed for them. */
static void describe(const struct builder *b, const char *from,
                     struct vidur_engine_table *table)
{
    const char *fitted_on = b->request->device->engine.fitted_on;
    char constants[96] = "";
    if (!b->pricer.kernels)
        snprintf(constants, sizeof constants, "; constants fitted on %s", fitted_on);
    snprintf(table->provenance, sizeof table->provenance,
             "engine step model, %.110s%s%s", from, constants, b->pricer.borrowed);
}

static void describe_source(const struct builder *b, struct vidur_engine_table *table)
{
    char from[128];
    const char *dir = b->request->kernels_dir;
    const size_t n = b->pricer.kernels ? strlen(dir) : 0;
    if (b->pricer.kernels) /* the end of a long path says more than its beginning */
        snprintf(from, sizeof from, "kernel timings %s%s", n > 80 ? "..." : "",
                 n > 80 ? dir + n - 80 : dir);
    else
        snprintf(from, sizeof from, "synthetic roofline of %s",
                 b->request->device->name);
    describe(b, from, table);
}

int vidur_engine_table_build(struct vidur_engine_table **out,
                             const struct vidur_engine_request *request,
                             struct vidur_error *err)
{
    struct builder b;
    struct vidur_engine_table *table = NULL;
    int rc = -1;
    if (begin(&b, request, err) || allocate(&b, &table, err))
        goto out;
    if (price_operators(&b, err) || price_attention(&b, err) ||
        add_latent(&b, table, err))
        goto out;
    add_rows(&b, table);
    add_overheads(&b, table);
    if (set_profiled(&b, table, err))
        goto out;
    describe_source(&b, table);
    *out = table;
    table = NULL;
    rc = 0;
out:
    vidur_engine_table_free(table);
    end(&b);
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
    const int layers = request->model->num_layers;
    const int devices = request->tensor_parallel_size;
    const double skew_ms = b->pricer.constants.c_ar_us * 1e-3 * (devices - 1);
    for (int64_t x = 1; x <= request->max_tokens; x++) {
        if (devices > 1)
            b->comm[x] = ALL_REDUCES_PER_LAYER * layers *
                         (operator_ms(t, VIDUR_OP_all_reduce, x) + skew_ms);
        b->linear[x] =
            layers * layer_ms(t, request->model->post_attn_norm, x) + b->comm[x];
    }
    const int step = t->kv_granularity_tokens;
    for (int64_t c = 1; c <= request->max_context_tokens; c++) {
        b->context[c] = layers * grid_ms(&t->attn_prefill, 0, c - 1);
        b->decode1[c] = layers * grid_ms(&t->attn_decode, 0, (c + step - 1) / step);
    }
}

int vidur_engine_table_from_operators(struct vidur_engine_table **out,
                                      const struct vidur_engine_request *request,
                                      const struct vidur_timetable *operators,
                                      struct vidur_error *err)
{
    struct builder b;
    struct vidur_engine_request plain = *request;
    plain.kernels_dir = NULL;
    if (isnan(plain.constants.c_ar_us))
        plain.constants.c_ar_us = 0; /* in the profiles' times */
    if (begin(&b, &plain, err) || allocate(&b, out, err))
        return -1;
    struct vidur_engine_table *table = *out;
    fill_from_operators(&b, operators);
    if (price_once(&b, vidur_operator_find("head"), err)) {
        vidur_engine_table_free(table);
        return -1;
    }
    add_sampler(&b);
    add_rows(&b, table);
    add_overheads(&b, table);
    table->profiled_context = operators->attn_prefill.profiled_columns;
    table->profiled_tokens = operators->token[VIDUR_OP_mlp_up_proj].profiled_limit;
    describe(&b, operators->provenance, table);
    return 0;
}

void vidur_engine_table_free(struct vidur_engine_table *table)
{
    if (!table)
        return;
    free((void *)(uintptr_t)table->latent.batches);
    free(table);
}
