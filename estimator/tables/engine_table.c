#include <vidur/engine_table.h>

#include "tables/kernels.h"

#include <vidur/timetable.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ENGINE.md section 3: constants fitted on H100. */
enum { ALL_REDUCES_PER_LAYER = 2, NUM_ARRAYS = 5 };

static const double small_kernel_efficiency = 0.8;
static const double small_kernel_launch_ms = 3e-3;

static const double same_device_tolerance = 0.1;

/* The roofline source's own constants. */
static const char fitted_device[] = "h100";
static const double roofline_weights_efficiency = 0.838;
static const double roofline_compute_efficiency = 0.65;
static const double roofline_layer_ms = 31.5e-3;
static const double roofline_all_reduce_ms = 4.46e-3;
static const double roofline_all_reduce_growth = 0.654;
static const double roofline_link_efficiency = 2.0 / 3; /* 300 of H100's 450 GB/s */

static const struct vidur_engine_constants kernel_defaults = {
    .eta = 0.91, .t0_us = 10, .c_ar_us = 1.9, .tokenise_us = 10, .t_api_ms = 2};
static const struct vidur_engine_constants roofline_defaults = {
    .eta = 0.79, .t0_us = 0, .c_ar_us = 0, .tokenise_us = 10, .t_api_ms = 2};

/* What a GPU holds of the model, and how fast it is. */
struct shape {
    const struct vidur_model_spec *model;
    const struct vidur_node_sku *node;
    int tensor_parallel_size;
    int q_heads, kv_heads; /* per GPU */
    int64_t gemm[5][2];    /* (n, k): qkv, out, gate-up, down, head */
    double kv_bytes_per_token_layer;
    double bandwidth; /* bytes/s */
    double peak;      /* FLOP/s */
};

enum { GEMM_QKV, GEMM_OUT, GEMM_GATE_UP, GEMM_DOWN, GEMM_HEAD, NUM_GEMMS };

/* A source of times, in ms: of one GEMM, of everything small in a step, of the
 * all-reduces of a step, of attention over a prompt and of one decode row, the last two
 * per layer. */
struct source {
    struct shape shape;
    struct vidur_engine_constants constants;
    struct vidur_kernels *kernels; /* NULL: roofline */
    struct vidur_gemm gemm[NUM_GEMMS];
    const struct vidur_curve *all_reduce, *context, *generation;
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

static void fill_constants(struct source *source,
                           const struct vidur_engine_constants *asked)
{
    const struct vidur_engine_constants *def =
        source->kernels ? &kernel_defaults : &roofline_defaults;
    source->constants = *asked;
    source->constants.eta = or_default(asked->eta, def->eta);
    source->constants.t0_us = or_default(asked->t0_us, def->t0_us);
    source->constants.c_ar_us = or_default(asked->c_ar_us, def->c_ar_us);
    source->constants.tokenise_us = or_default(asked->tokenise_us, def->tokenise_us);
    source->constants.t_api_ms = or_default(asked->t_api_ms, def->t_api_ms);
}

static void fill_shape(struct shape *s, const struct vidur_engine_request *request)
{
    const struct vidur_model_spec *m = request->model;
    int tp = request->tensor_parallel_size;
    s->model = m;
    s->node = request->node;
    s->tensor_parallel_size = tp;
    s->q_heads = m->num_q_heads / tp;
    s->kv_heads = vidur_model_kv_heads_per_device(m, tp);
    int64_t d = m->embedding_dim, f = m->mlp_hidden_dim / tp;
    int64_t attention = (int64_t)s->q_heads * m->head_dim;
    const int64_t gemm[NUM_GEMMS][2] = {
        [GEMM_QKV] = {(s->q_heads + 2 * s->kv_heads) * (int64_t)m->head_dim, d},
        [GEMM_OUT] = {d, attention},
        [GEMM_GATE_UP] = {(m->use_gated_mlp ? 2 : 1) * f, d},
        [GEMM_DOWN] = {d, f},
        [GEMM_HEAD] = {m->vocab_size / tp, d}};
    for (int i = 0; i < NUM_GEMMS; i++)
        for (int j = 0; j < 2; j++)
            s->gemm[i][j] = gemm[i][j];
    s->kv_bytes_per_token_layer = 2.0 * 2 * s->kv_heads * m->head_dim;
    s->bandwidth = request->device->v1.memory_bandwidth_gb_per_s * 1e9;
    s->peak = request->device->v1.peak_bf16_tflops * 1e12;
}

/* Timings of one GPU with the memory of another would make sense of neither. */
static int check_device(const struct source *source,
                        const struct vidur_engine_request *request,
                        struct vidur_error *err)
{
    const double timed = vidur_kernels_bandwidth_bytes_per_s(source->kernels) * 1e-9;
    const double device = request->device->v1.memory_bandwidth_gb_per_s;
    if (fabs(timed / device - 1) <= same_device_tolerance)
        return 0;
    return vidur_fail(err, VIDUR_EINVAL,
                      "%s: timed on a GPU of %g GB/s; device %s has %g GB/s: take the "
                      "device that the kernels were timed on",
                      request->kernels_dir, timed, request->device->name, device);
}

static int open_kernels(struct source *source,
                        const struct vidur_engine_request *request,
                        struct vidur_error *err)
{
    struct shape *s = &source->shape;
    const char *dir = request->kernels_dir;
    if (vidur_kernels_read(&source->kernels, dir, err) != 0 ||
        check_device(source, request, err) != 0)
        return -1;
    s->bandwidth = vidur_kernels_bandwidth_bytes_per_s(source->kernels);
    s->peak = vidur_kernels_peak_flops(source->kernels);
    for (int i = 0; i < NUM_GEMMS; i++)
        source->gemm[i] =
            vidur_kernels_gemm(source->kernels, s->gemm[i][0], s->gemm[i][1]);
    int head_dim = s->model->head_dim;
    source->context =
        vidur_kernels_context(source->kernels, head_dim, s->q_heads, s->kv_heads);
    source->generation =
        vidur_kernels_generation(source->kernels, head_dim, s->q_heads, s->kv_heads);
    if (!source->context)
        return vidur_fail(err, VIDUR_EINVAL,
                          "%s: context_attention has no rows with head_dim %d and %d "
                          "query heads to a KV head, which %s needs; use `source: "
                          "roofline`",
                          dir, head_dim, s->q_heads / s->kv_heads, s->model->name);
    if (s->tensor_parallel_size == 1)
        return 0;
    source->all_reduce =
        vidur_kernels_all_reduce(source->kernels, s->tensor_parallel_size);
    if (!source->all_reduce)
        return vidur_fail(
            err, VIDUR_EINVAL,
            "%s: custom_allreduce has no graph-mode rows for %d GPUs; use "
            "another tensor_parallel_size or `source: roofline`",
            dir, s->tensor_parallel_size);
    return 0;
}

static double gemm_ms(const struct source *source, int which, int64_t tokens)
{
    if (source->kernels)
        return vidur_gemm_ms(&source->gemm[which], tokens);
    const struct shape *s = &source->shape;
    double weights = (double)s->gemm[which][0] * (double)s->gemm[which][1];
    double memory = 2 * weights / (roofline_weights_efficiency * s->bandwidth);
    double compute =
        2 * (double)tokens * weights / (roofline_compute_efficiency * s->peak);
    return fmax(memory, compute) * 1e3;
}

static double bytes_ms(const struct shape *s, double bytes)
{
    return bytes / (small_kernel_efficiency * s->bandwidth) * 1e3 +
           small_kernel_launch_ms;
}

/* Norms, activation, rotary embedding and the embedding look-up of a whole step. */
static double small_ms(const struct source *source, double tokens)
{
    const struct shape *s = &source->shape;
    const struct vidur_model_spec *m = s->model;
    if (!source->kernels)
        return m->num_layers * roofline_layer_ms;
    double d = m->embedding_dim,
           f = (double)m->mlp_hidden_dim / s->tensor_parallel_size;
    double rotary = 4 * tokens * (s->q_heads + 2 * s->kv_heads) * m->head_dim;
    double add_norms = 2 * bytes_ms(s, 8 * d * tokens);
    double layer = add_norms + bytes_ms(s, 6 * tokens * f) + bytes_ms(s, rotary);
    return m->num_layers * layer + bytes_ms(s, 4 * d * tokens);
}

/* Bytes/s of the slowest link in a ring over the GPUs of a tensor-parallel group. */
static double ring_bandwidth(const struct shape *s)
{
    double gb_per_s = s->node->link_bandwidth_gb_per_s;
    if (s->node->pairwise && s->tensor_parallel_size > 2)
        gb_per_s = s->node->fallback_bandwidth_gb_per_s;
    return roofline_link_efficiency * gb_per_s * 1e9;
}

static double all_reduce_ms(const struct source *source, double tokens)
{
    const struct shape *s = &source->shape;
    int tp = s->tensor_parallel_size;
    if (tp == 1)
        return 0;
    double bytes = 2 * tokens * s->model->embedding_dim;
    double one;
    if (source->kernels)
        one = vidur_curve_at(source->all_reduce, bytes, 1);
    else
        one = roofline_all_reduce_ms * (1 + roofline_all_reduce_growth * (tp - 1)) +
              2.0 * (tp - 1) / tp * bytes / ring_bandwidth(s) * 1e3;
    one += source->constants.c_ar_us * 1e-3 * (tp - 1);
    return ALL_REDUCES_PER_LAYER * s->model->num_layers * one;
}

/* Attention of a prompt of `tokens`, one layer. */
static double context_ms(const struct source *source, double tokens)
{
    const struct shape *s = &source->shape;
    if (source->kernels)
        return vidur_curve_at(source->context, tokens, 2) * s->q_heads /
               source->context->key[1];
    double flops = 2.0 * s->q_heads * s->model->head_dim * tokens * tokens;
    return flops / (roofline_compute_efficiency * s->peak) * 1e3;
}

/* One decode row over `tokens` of context, one layer. */
static double decode_row_ms(const struct source *source, double tokens)
{
    const struct shape *s = &source->shape;
    if (source->generation)
        return vidur_curve_at(source->generation, tokens, 1);
    return source->constants.t0_us * 1e-3 + tokens * s->kv_bytes_per_token_layer /
                                                (source->constants.eta * s->bandwidth) *
                                                1e3;
}

static int allocate(struct vidur_engine_table **out,
                    const struct vidur_engine_request *request, double **arrays,
                    struct vidur_error *err)
{
    size_t tokens = (size_t)request->max_tokens + 1;
    size_t batch = (size_t)request->max_batch_size + 1;
    size_t context = (size_t)request->max_context_tokens + 1;
    size_t count = 2 * tokens + batch + 2 * context;
    struct vidur_engine_table *table =
        calloc(1, sizeof *table + count * sizeof(double));
    if (!table)
        return vidur_fail(err, VIDUR_ENOMEM, "engine table: out of memory");
    double *at = (double *)(table + 1);
    const size_t sizes[] = {tokens, tokens, batch, context, context};
    for (int i = 0; i < NUM_ARRAYS; i++) {
        arrays[i] = at;
        at += sizes[i];
    }
    table->linear_ms = arrays[0];
    table->comm_ms = arrays[1];
    table->head_ms = arrays[2];
    table->context_ms = arrays[3];
    table->decode1_ms = arrays[4];
    table->linear_limit = request->max_tokens;
    table->head_limit = request->max_batch_size;
    table->context_limit = request->max_context_tokens;
    *out = table;
    return 0;
}

/* The output head and the sampler, for `count` requests. */
static double head_ms(const struct source *source, int64_t count)
{
    const double logits_ms = source->constants.sampler_ms_per_million_logits * 1e-6 *
                             source->shape.model->vocab_size;
    return gemm_ms(source, GEMM_HEAD, count) + logits_ms * (double)count;
}

static void fill_arrays(const struct source *source, struct vidur_engine_table *table,
                        double **arrays)
{
    const struct vidur_model_spec *m = source->shape.model;
    for (int64_t x = 1; x <= table->linear_limit; x++) {
        double gemms = 0;
        for (int i = GEMM_QKV; i <= GEMM_DOWN; i++)
            gemms += gemm_ms(source, i, x);
        arrays[1][x] = all_reduce_ms(source, (double)x);
        arrays[0][x] =
            m->num_layers * gemms + small_ms(source, (double)x) + arrays[1][x];
    }
    for (int64_t b = 1; b <= table->head_limit; b++)
        arrays[2][b] = head_ms(source, b);
    for (int64_t s = 1; s <= table->context_limit; s++) {
        arrays[3][s] = m->num_layers * context_ms(source, (double)s);
        arrays[4][s] = m->num_layers * decode_row_ms(source, (double)s);
    }
}

static void fill_scalars(const struct source *source, struct vidur_engine_table *table)
{
    const struct vidur_engine_constants *c = &source->constants;
    int layers = source->shape.model->num_layers;
    table->constants = *c;
    table->decode_launch_ms = layers * c->t0_us * 1e-3;
    table->decode_ms_per_token = layers * source->shape.kv_bytes_per_token_layer /
                                 (c->eta * source->shape.bandwidth) * 1e3;
    table->step_ms = c->step_us * 1e-3;
    table->request_ms = c->request_us * 1e-3;
    table->mixed_ms = layers * c->mixed_layer_us * 1e-3;
    table->tokenise_ms = c->tokenise_us * 1e-3;
    table->t_api_ms = c->t_api_ms;
    table->profiled_context = table->context_limit;
    table->profiled_tokens = table->linear_limit;
    if (!source->kernels)
        return;
    table->profiled_context = (int64_t)source->context->x[source->context->count - 1];
    const struct vidur_curve *qkv = source->gemm[GEMM_QKV].curve[0];
    if (qkv)
        table->profiled_tokens = (int64_t)qkv->x[qkv->count - 1];
}

/* What the numbers come from, then what was borrowed for them. */
static void describe(const struct source *source,
                     const struct vidur_engine_request *request, const char *from,
                     struct vidur_engine_table *table)
{
    char heads[64] = "", constants[64] = "";
    if (source->kernels && source->context->key[1] != source->shape.q_heads)
        snprintf(heads, sizeof heads, "; attention of %d heads scaled from %d",
                 source->shape.q_heads, (int)source->context->key[1]);
    if (strcmp(request->device->name, fitted_device) != 0)
        snprintf(constants, sizeof constants, "; constants fitted on %s",
                 fitted_device);
    snprintf(table->provenance, sizeof table->provenance,
             "engine step model, %.160s%s%s", from, heads, constants);
}

static void describe_source(const struct source *source,
                            const struct vidur_engine_request *request,
                            struct vidur_engine_table *table)
{
    char from[128];
    const char *dir = request->kernels_dir;
    const size_t n = source->kernels ? strlen(dir) : 0;
    if (source->kernels) /* the end of a long path says more than its beginning */
        snprintf(from, sizeof from, "kernel timings %s%s", n > 80 ? "..." : "",
                 n > 80 ? dir + n - 80 : dir);
    else
        snprintf(from, sizeof from, "synthetic roofline of %s", request->device->name);
    describe(source, request, from, table);
}

static int check(const struct vidur_engine_request *request, struct vidur_error *err)
{
    const struct vidur_device_v1 *v1 = &request->device->v1;
    if (request->max_tokens < 1 || request->max_batch_size < 1 ||
        request->max_context_tokens < 1)
        return vidur_fail(err, VIDUR_EINVAL, "engine table: limits must be positive");
    if (request->model->num_q_heads % request->tensor_parallel_size != 0)
        return vidur_fail(
            err, VIDUR_EINVAL,
            "engine table: tensor_parallel_size %d does not divide the %d "
            "query heads of %s",
            request->tensor_parallel_size, request->model->num_q_heads,
            request->model->name);
    if (!(v1->memory_bandwidth_gb_per_s > 0) || !(v1->peak_bf16_tflops > 0))
        return vidur_fail(err, VIDUR_EINVAL,
                          "device %s: v1.memory_bandwidth_gb_per_s and "
                          "v1.peak_bf16_tflops are needed by the engine step model",
                          request->device->name);
    return 0;
}

int vidur_engine_table_build(struct vidur_engine_table **out,
                             const struct vidur_engine_request *request,
                             struct vidur_error *err)
{
    if (check(request, err) != 0)
        return -1;
    struct source source = {0};
    double *arrays[NUM_ARRAYS];
    int rc = -1;
    fill_shape(&source.shape, request);
    if (request->kernels_dir && request->kernels_dir[0] &&
        open_kernels(&source, request, err) != 0)
        goto out;
    fill_constants(&source, &request->constants);
    if (allocate(out, request, arrays, err) != 0)
        goto out;
    fill_arrays(&source, *out, arrays);
    fill_scalars(&source, *out);
    describe_source(&source, request, *out);
    rc = 0;
out:
    vidur_kernels_free(source.kernels);
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

static void fill_from_operators(const struct source *source,
                                const struct vidur_timetable *t,
                                struct vidur_engine_table *table, double **arrays)
{
    const struct shape *s = &source->shape;
    const int layers = s->model->num_layers;
    const double skew_ms =
        source->constants.c_ar_us * 1e-3 * (s->tensor_parallel_size - 1);
    for (int64_t x = 1; x <= table->linear_limit; x++) {
        if (s->tensor_parallel_size > 1)
            arrays[1][x] = ALL_REDUCES_PER_LAYER * layers *
                           (operator_ms(t, VIDUR_OP_all_reduce, x) + skew_ms);
        arrays[0][x] = layers * layer_ms(t, s->model->post_attn_norm, x) + arrays[1][x];
    }
    for (int64_t b = 1; b <= table->head_limit; b++)
        arrays[2][b] = head_ms(source, b);
    const int step = t->kv_granularity_tokens;
    for (int64_t c = 1; c <= table->context_limit; c++) {
        arrays[3][c] = layers * grid_ms(&t->attn_prefill, 0, c - 1);
        arrays[4][c] = layers * grid_ms(&t->attn_decode, 0, (c + step - 1) / step);
    }
}

int vidur_engine_table_from_operators(struct vidur_engine_table **out,
                                      const struct vidur_engine_request *request,
                                      const struct vidur_timetable *operators,
                                      struct vidur_error *err)
{
    struct source source = {0};
    double *arrays[NUM_ARRAYS];
    if (check(request, err) != 0)
        return -1;
    fill_shape(&source.shape, request);
    fill_constants(&source, &request->constants);
    if (allocate(out, request, arrays, err) != 0)
        return -1;
    fill_from_operators(&source, operators, *out, arrays);
    fill_scalars(&source, *out);
    (*out)->profiled_context = operators->attn_prefill.profiled_columns;
    (*out)->profiled_tokens = operators->token[VIDUR_OP_mlp_up_proj].profiled_limit;
    describe(&source, request, operators->provenance, *out);
    return 0;
}

void vidur_engine_table_free(struct vidur_engine_table *table)
{
    free(table);
}
