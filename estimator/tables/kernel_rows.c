#include "tables/kernel_rows.h"

#include "tables/step_plan.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    LEAST_LAYER = 1 << 20,
    MOST_LAYER = 1 << 28, /* weights of a layer's product */
    LIGHT = 64,           /* other products: the square root of LEAST_LAYER is 1,024 */
    MOST_GEMM_TOKENS = 8192,
    MOST_DEVICES = 8 /* that experts are cut over in a node */,
    MOST_EXPERT_TOKENS = 16384,
    LEAST_CONTEXT = 64,
    LEAST_MESSAGE = 1 << 12, /* a token of 2,048 values */
    MOST_MESSAGE = 1 << 27,  /* 8,192 tokens of 8,192 */
    VALUE_BYTES = 2,
    ALL_LATENT_HEADS = 128, /* of the model that tables of latent attention time */
    MAX_OCTAVES = 64
};

static const char latent_model[] = "deepseek-ai/DeepSeek-V3"; /* of the tables */

enum formats { FORMATS_none, FORMATS_weights, FORMATS_cache };

struct row_class {
    const char *name;
    enum vidur_kernel_table table;
    enum formats formats;
    double least, most; /* sizes */
    double unit;        /* of a curve's x, in sizes */
};

static const struct row_class classes[VIDUR_NUM_KERNEL_CLASSES] = {
#define X(name_, table_, formats_)                                                     \
    [VIDUR_FIT_##name_] = {.name = #name_,                                             \
                           .table = VIDUR_KERNELS_##table_,                            \
                           .formats = FORMATS_##formats_,                              \
                           SIZES_##table_},
#define SIZES_gemm               .least = 1, .most = MOST_GEMM_TOKENS, .unit = 1
#define SIZES_experts            .least = 1, .most = MOST_EXPERT_TOKENS, .unit = 1
#define SIZES_context            .least = LEAST_CONTEXT, .most = INFINITY, .unit = 1
#define SIZES_generation_batches SIZES_context
#define SIZES_mla_context        SIZES_context
#define SIZES_mla_generation     SIZES_context
#define SIZES_all_reduce         .least = LEAST_MESSAGE, .most = MOST_MESSAGE, .unit = 1
#define SIZES_all_gather                                                               \
    .least = LEAST_MESSAGE, .most = MOST_MESSAGE, .unit = VALUE_BYTES
#define SIZES_reduce_scatter SIZES_all_gather
    VIDUR_FITTED_CLASSES(X) VIDUR_JUDGED_CLASSES(X)
#undef X
};

const char *vidur_fit_class_name(enum vidur_fit_class class)
{
    return classes[class].name;
}

bool vidur_fit_class_has_formats(enum vidur_fit_class class)
{
    return classes[class].formats != FORMATS_none;
}

/* ---- Curves of a class and format ---- */

static bool take_gemm(const struct vidur_curve *c, struct vidur_kernel_row *row)
{
    row->work.law = VIDUR_LAW_GEMM;
    row->work.n = c->key[1];
    row->work.k = c->key[2];
    const double weights = row->work.n * row->work.k;
    row->weight = weights >= LEAST_LAYER && weights <= MOST_LAYER
                      ? (int64_t)sqrt(weights)
                      : LIGHT;
    return c->key[1] >= VIDUR_LEAST_PRODUCT_WIDTH &&
           c->key[2] >= VIDUR_LEAST_PRODUCT_WIDTH;
}

static bool take_experts(const struct vidur_curve *c, struct vidur_kernel_row *row)
{
    row->work = (struct vidur_work){.law = VIDUR_LAW_EXPERTS,
                                    .dtype = row->work.dtype,
                                    .hidden_dim = c->key[1],
                                    .expert_dim = c->key[2],
                                    .experts_per_token = c->key[3],
                                    .num_experts = c->key[4],
                                    .moe_tensor = c->key[5],
                                    .moe_expert = c->key[6],
                                    .matrices = 3};
    return c->key[5] * c->key[6] <= MOST_DEVICES;
}

/* `usual`: heads as those that are fitted; else all others. */
static bool take_attention(const struct vidur_curve *c, enum vidur_dtype cache,
                           bool usual, struct vidur_kernel_row *row)
{
    enum { QUERY_FORMAT, CACHE_FORMAT, HEADS_DIM, HEADS, KV_HEADS, WINDOW, BATCH };
    row->heads = (struct vidur_shard_layers){
        .kind = {.head_dim = c->key[HEADS_DIM], .window_tokens = c->key[WINDOW]},
        .count = 1,
        .q_heads = c->key[HEADS],
        .kv_heads = c->key[KV_HEADS],
        .kv_bytes_per_token =
            2 * c->key[HEADS_DIM] * c->key[KV_HEADS] * vidur_dtype_bytes(cache)};
    row->batch = c->key[BATCH];
    return c->key[QUERY_FORMAT] == VIDUR_DTYPE_bf16 &&
           c->key[CACHE_FORMAT] == (int32_t)cache &&
           usual == (c->key[HEADS_DIM] == VIDUR_FITTED_HEAD_DIM && c->key[WINDOW] == 0);
}

static bool take_latent(const struct vidur_curve *c, enum vidur_dtype dtype,
                        struct vidur_kernel_row *row)
{
    enum { CACHE_FORMAT, FORMAT, HEADS, BATCH };
    row->cache = (enum vidur_dtype)c->key[CACHE_FORMAT];
    row->latent_heads = c->key[HEADS];
    row->batch = c->key[BATCH];
    return c->key[FORMAT] == (int32_t)dtype && dtype != VIDUR_DTYPE_fp8 &&
           row->latent_heads > 0 && ALL_LATENT_HEADS % row->latent_heads == 0;
}

static bool take_messages(const struct vidur_curve *c, enum vidur_law law,
                          struct vidur_kernel_row *row)
{
    row->work = (struct vidur_work){.law = law, .token_bytes = 1};
    if (law == VIDUR_LAW_ALL_REDUCE)
        row->devices = c->key[0];
    else
        row->ranks = c->key[0];
    return c->key[0] > 1;
}

/* False: the curve is not of this class and format. */
static bool take_curve(const struct vidur_curve *c,
                       const struct vidur_kernel_rows *rows,
                       struct vidur_kernel_row *row)
{
    *row = (struct vidur_kernel_row){.weight = 1, .devices = 1, .ranks = 1};
    row->work.dtype = rows->dtype;
    switch (rows->class) {
    case VIDUR_FIT_gemm:
        return c->key[0] == (int32_t)rows->dtype && take_gemm(c, row);
    case VIDUR_FIT_experts:
        return c->key[0] == (int32_t)rows->dtype && take_experts(c, row);
    case VIDUR_FIT_prefill:
    case VIDUR_FIT_decode:
        return take_attention(c, rows->dtype, true, row);
    case VIDUR_FIT_prefill_other:
    case VIDUR_FIT_decode_other:
        return take_attention(c, rows->dtype, false, row);
    case VIDUR_FIT_mla_prefill:
    case VIDUR_FIT_mla_decode:
        return take_latent(c, rows->dtype, row);
    case VIDUR_FIT_all_gather:
        return take_messages(c, VIDUR_LAW_ALL_GATHER, row);
    case VIDUR_FIT_reduce_scatter:
        return take_messages(c, VIDUR_LAW_REDUCE_SCATTER, row);
    default:
        return take_messages(c, VIDUR_LAW_ALL_REDUCE, row);
    }
}

/* ---- Rows of the curves ---- */

/* The format whose table stands in where it is quicker, as in engine tables (ENGINE.md
 * section 6): of products in blocks FP8 and the quantisation of its input, of experts
 * in FP8 those in blocks. Else the format itself. */
static enum vidur_dtype stand_in(const struct vidur_kernel_rows *rows)
{
    if (rows->class == VIDUR_FIT_gemm && rows->dtype == VIDUR_DTYPE_fp8_block)
        return VIDUR_DTYPE_fp8;
    if (rows->class == VIDUR_FIT_experts && rows->dtype == VIDUR_DTYPE_fp8)
        return VIDUR_DTYPE_fp8_block;
    return rows->dtype;
}

/* The time of the point, or the stand-in's where that is less. */
static double time_ms(const struct vidur_kernel_rows *rows,
                      const struct vidur_pricer *pricer, const struct vidur_curves *all,
                      const struct vidur_curve *c, int point)
{
    int32_t key[VIDUR_MAX_KERNEL_KEYS];
    if (stand_in(rows) == rows->dtype)
        return c->ms[point];
    memcpy(key, c->key, sizeof key);
    key[0] = (int32_t)stand_in(rows);
    const struct vidur_curve *other = vidur_curves_find(all, key);
    if (!other)
        return c->ms[point];
    const double ms = vidur_curve_at(other, c->x[point], 1);
    const bool quantises = rows->class == VIDUR_FIT_gemm;
    return fmin(
        c->ms[point],
        ms + (quantises ? vidur_quantise_ms(pricer, c->key[2], c->x[point]) : 0));
}

static int by_octave(const void *pa, const void *pb)
{
    const struct vidur_kernel_row *a = pa, *b = pb;
    return (a->octave > b->octave) - (a->octave < b->octave);
}

/* The first point of each octave. */
static void add_points(struct vidur_kernel_rows *rows,
                       const struct vidur_pricer *pricer,
                       const struct vidur_curves *all, const struct vidur_curve *c,
                       const struct vidur_kernel_row *shape)
{
    const struct row_class *class = &classes[rows->class];
    int last = -1;
    for (int i = 0; i < c->count; i++) {
        const double size = c->x[i] * class->unit;
        const int octave = ilogb(size);
        if (size < class->least || size > class->most || octave == last ||
            octave >= MAX_OCTAVES)
            continue;
        struct vidur_kernel_row *row = &rows->at[rows->count++];
        *row = *shape;
        row->size = size;
        row->timed_ms = time_ms(rows, pricer, all, c, i);
        row->octave = last = octave;
    }
}

static void rows_release(struct vidur_kernel_rows *rows)
{
    free(rows->at);
    free(rows->errors);
    rows->at = NULL;
    rows->errors = NULL;
    rows->count = 0;
}

static struct vidur_shard latent_shard(const struct vidur_kernel_rows *rows,
                                       const struct vidur_kernel_row *row)
{
    struct vidur_shard shard;
    struct vidur_model_spec model = rows->latent;
    const struct vidur_cut cut = {
        .tensor = model.kinds[0].num_q_heads / row->latent_heads, .pipeline = 1};
    model.precision.attention = rows->dtype;
    model.precision.kv_cache = row->cache;
    vidur_shard_of(&shard, &model, &cut);
    return shard;
}

/* Decode rows of latent attention were timed launch by launch: what tables of an engine
 * leave out of the time is left out here. */
static int cut_launches(struct vidur_kernel_rows *rows,
                        const struct vidur_pricer *pricer,
                        struct vidur_kernels *kernels, struct vidur_error *err)
{
    struct vidur_pricer of_tables;
    if (vidur_pricer_init(&of_tables, pricer->device, pricer->node, kernels, err))
        return -1;
    struct vidur_latent_times times = {0};
    for (int i = 0; i < rows->count; i++) {
        struct vidur_kernel_row *row = &rows->at[i];
        const struct vidur_shard shard = latent_shard(rows, row);
        if (i == 0 || row->cache != row[-1].cache ||
            row->latent_heads != row[-1].latent_heads) {
            free(times.batches);
            times.batches = NULL;
            if (vidur_kernels_latent_rows(&of_tables, &shard, &shard.layers[0], &times,
                                          err))
                return -1;
        }
        row->timed_ms = fmax(row->timed_ms - times.cut_ms, times.least_ms);
    }
    free(times.batches);
    return 0;
}

/* Of `rows`'s class and format; none where the table has none. `pricer` is that of the
 * tables' device. Released by rows_release. */
static int rows_collect(struct vidur_kernel_rows *rows,
                        const struct vidur_pricer *pricer,
                        struct vidur_kernels *kernels, struct vidur_error *err)
{
    struct vidur_curves all;
    struct vidur_kernel_row shape;
    size_t points = 0;
    if (vidur_kernels_curves(kernels, classes[rows->class].table, &all, err))
        return -1;
    for (int i = 0; i < all.count; i++)
        points += take_curve(&all.at[i], rows, &shape) ? (size_t)all.at[i].count : 0;
    rows->at = calloc(points + 1, sizeof *rows->at);
    rows->errors = calloc(points + 1, sizeof *rows->errors);
    if (!rows->at || !rows->errors) {
        rows_release(rows);
        return vidur_fail(err, VIDUR_ENOMEM, "fit: out of memory");
    }
    for (int i = 0; i < all.count; i++)
        if (take_curve(&all.at[i], rows, &shape))
            add_points(rows, pricer, &all, &all.at[i], &shape);
    const bool latent =
        rows->class == VIDUR_FIT_mla_prefill || rows->class == VIDUR_FIT_mla_decode;
    if (latent && rows->count > 0 && vidur_model_load(&rows->latent, latent_model, err))
        return -1;
    if (rows->class == VIDUR_FIT_mla_decode && rows->count > 0 &&
        cut_launches(rows, pricer, kernels, err) != 0)
        return -1;
    qsort(rows->at, (size_t)rows->count, sizeof *rows->at, by_octave);
    return 0;
}

/* ---- The roofline beside them ---- */

static double decode_ms(const struct vidur_pricer *pricer,
                        const struct vidur_kernel_row *row)
{
    const struct vidur_row_prices price = vidur_price_rows(pricer, &row->heads);
    const int window = row->heads.kind.window_tokens;
    const double tokens = window > 0 ? fmin(row->size, window) : row->size;
    return price.launch_ms + row->batch * tokens * price.ms_per_token;
}

static double latent_ms(const struct vidur_pricer *pricer,
                        const struct vidur_kernel_rows *rows,
                        const struct vidur_kernel_row *row)
{
    const struct vidur_shard shard = latent_shard(rows, row);
    return rows->class == VIDUR_FIT_mla_prefill
               ? vidur_roofline_prompt_ms(pricer, &shard, &shard.layers[0], row->size)
               : vidur_roofline_latent_ms(pricer, &shard, &shard.layers[0], row->batch,
                                          row->size);
}

static double predict_ms(struct vidur_pricer *pricer,
                         const struct vidur_kernel_rows *rows,
                         const struct vidur_kernel_row *row)
{
    static const struct vidur_shard shard; /* matters to latent attention alone */
    switch (rows->class) {
    case VIDUR_FIT_prefill:
    case VIDUR_FIT_prefill_other:
        return vidur_roofline_prompt_ms(pricer, &shard, &row->heads, row->size);
    case VIDUR_FIT_decode:
    case VIDUR_FIT_decode_other:
        return decode_ms(pricer, row);
    case VIDUR_FIT_mla_prefill:
    case VIDUR_FIT_mla_decode:
        return latent_ms(pricer, rows, row);
    default:
        pricer->devices = row->devices;
        pricer->ranks = row->ranks;
        return vidur_roofline_work_ms(pricer, &row->work, row->size);
    }
}

double vidur_kernel_row_log_ratio(struct vidur_pricer *pricer,
                                  const struct vidur_kernel_rows *rows,
                                  const struct vidur_kernel_row *row)
{
    return log(predict_ms(pricer, rows, row) / row->timed_ms);
}

/* ---- All of them ---- */

/* What has constants of its own: a cache's format has none, and a format that has a
 * stand-in is priced by that one's where there are rows of it (price_roofline.c). */
static bool is_fitted(const struct vidur_kernel_rows *rows, const bool *timed)
{
    const enum vidur_dtype other = stand_in(rows);
    return classes[rows->class].formats == FORMATS_cache
               ? rows->dtype == VIDUR_DTYPE_bf16
               : other == rows->dtype || !timed[other];
}

int vidur_kernel_rows_each(const struct vidur_kernel_rows_of *of,
                           void (*use)(void *context,
                                       const struct vidur_kernel_rows *rows),
                           void *context, struct vidur_error *err)
{
    const int num_classes =
        of->fitted_only ? VIDUR_NUM_FIT_CLASSES : VIDUR_NUM_KERNEL_CLASSES;
    for (int class = 0; class < num_classes; class ++) {
        const int num_formats =
            classes[class].formats == FORMATS_none ? 1 : VIDUR_NUM_DTYPES;
        bool timed[VIDUR_NUM_DTYPES] = {false};
        struct vidur_kernel_rows rows[VIDUR_NUM_DTYPES] = {0};
        int status = 0;
        for (int i = 0; status == 0 && i < num_formats; i++) {
            rows[i].class = (enum vidur_fit_class) class;
            rows[i].dtype = (enum vidur_dtype)i;
            status = rows_collect(&rows[i], of->pricer, of->kernels, err);
            timed[i] = rows[i].count > 0;
        }
        for (int i = 0; i < VIDUR_NUM_DTYPES; i++) {
            if (status == 0 && timed[i] &&
                (!of->fitted_only || is_fitted(&rows[i], timed)))
                use(context, &rows[i]);
            rows_release(&rows[i]);
        }
        if (status)
            return -1;
    }
    return 0;
}
