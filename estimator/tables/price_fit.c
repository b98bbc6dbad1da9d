#include "tables/price_fit.h"

#include "base/quantile.h"
#include "tables/price.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    LEAST_WIDTH = 512, /* of products */
    LEAST_LAYER = 1 << 20,
    MOST_LAYER = 1 << 28, /* weights of a layer's product */
    LIGHT = 64,           /* other products: the square root of LEAST_LAYER is 1,024 */
    MOST_GEMM_TOKENS = 8192,
    MOST_EXPERT_TOKENS = 16384,
    LEAST_PROMPT = 64,
    PROMPT_HEAD_DIM = 128,
    LEAST_MESSAGE = 1 << 12, /* of all-reduces: a token of 2,048 values */
    MOST_MESSAGE = 1 << 27,  /* 8,192 tokens of 8,192 */
    SMALL_TOKENS = 256,
    BUSY_TOKENS = 8, /* to SMALL_TOKENS: steps of a busy engine */
    BUSY_WEIGHT = 3,
    MAX_OCTAVES = 64
};

static const double outlier = 0.3; /* a log ratio counts as this at most */

static const char *const class_names[VIDUR_NUM_FIT_CLASSES] = {
#define X(name) [VIDUR_FIT_##name] = #name,
    VIDUR_FIT_CLASSES(X)
#undef X
};

const char *vidur_fit_class_name(enum vidur_fit_class class)
{
    return class_names[class];
}

/* One timed point. */
struct row {
    struct vidur_work work; /* all but prefill */
    int devices, heads;     /* of all_reduce; of prefill */
    double size;            /* tokens, or the message's bytes */
    double timed_ms;
    int octave;
    int64_t weight;
};

/* The rows of a class and format, by octaves. */
struct rows {
    enum vidur_fit_class class;
    enum vidur_dtype dtype;
    struct row *at;
    int count;
    struct vidur_weighted_value *errors; /* as many; scratch */
};

/* ---- Rows of the tables ---- */

static const enum vidur_kernel_table tables[VIDUR_NUM_FIT_CLASSES] = {
    [VIDUR_FIT_gemm] = VIDUR_KERNELS_gemm,
    [VIDUR_FIT_experts] = VIDUR_KERNELS_experts,
    [VIDUR_FIT_prefill] = VIDUR_KERNELS_context,
    [VIDUR_FIT_all_reduce] = VIDUR_KERNELS_all_reduce};

static const double sizes[VIDUR_NUM_FIT_CLASSES][2] = {
    [VIDUR_FIT_gemm] = {1, MOST_GEMM_TOKENS},
    [VIDUR_FIT_experts] = {1, MOST_EXPERT_TOKENS},
    [VIDUR_FIT_prefill] = {LEAST_PROMPT, INFINITY},
    [VIDUR_FIT_all_reduce] = {LEAST_MESSAGE, MOST_MESSAGE}};

static bool take_gemm(const struct vidur_curve *c, enum vidur_dtype dtype,
                      struct row *row)
{
    row->work = (struct vidur_work){
        .law = VIDUR_LAW_GEMM, .dtype = dtype, .n = c->key[1], .k = c->key[2]};
    const double weights = row->work.n * row->work.k;
    row->weight = weights >= LEAST_LAYER && weights <= MOST_LAYER
                      ? (int64_t)sqrt(weights)
                      : LIGHT;
    return c->key[0] == (int32_t)dtype && c->key[1] >= LEAST_WIDTH &&
           c->key[2] >= LEAST_WIDTH;
}

static bool take_experts(const struct vidur_curve *c, enum vidur_dtype dtype,
                         struct row *row)
{
    row->work = (struct vidur_work){.law = VIDUR_LAW_EXPERTS,
                                    .dtype = dtype,
                                    .hidden_dim = c->key[1],
                                    .expert_dim = c->key[2],
                                    .experts_per_token = c->key[3],
                                    .num_experts = c->key[4],
                                    .moe_tensor = c->key[5],
                                    .moe_expert = c->key[6],
                                    .matrices = 3};
    return c->key[0] == (int32_t)dtype;
}

static bool take_prompts(const struct vidur_curve *c, struct row *row)
{
    enum { QUERY_FORMAT, CACHE_FORMAT, HEAD_DIM, HEADS, KV_HEADS, WINDOW };
    row->heads = c->key[HEADS];
    return c->key[QUERY_FORMAT] == VIDUR_DTYPE_bf16 &&
           c->key[CACHE_FORMAT] == VIDUR_DTYPE_bf16 &&
           c->key[HEAD_DIM] == PROMPT_HEAD_DIM && c->key[WINDOW] == 0;
}

static bool take_all_reduces(const struct vidur_curve *c, struct row *row)
{
    row->devices = c->key[0];
    row->work = (struct vidur_work){.law = VIDUR_LAW_ALL_REDUCE, .token_bytes = 1};
    return c->key[0] > 1;
}

/* False: the curve is not of this class and format. */
static bool take_curve(const struct vidur_curve *c, const struct rows *rows,
                       struct row *row)
{
    *row = (struct row){.weight = 1, .devices = 1};
    switch (rows->class) {
    case VIDUR_FIT_gemm:
        return take_gemm(c, rows->dtype, row);
    case VIDUR_FIT_experts:
        return take_experts(c, rows->dtype, row);
    case VIDUR_FIT_prefill:
        return take_prompts(c, row);
    default:
        return take_all_reduces(c, row);
    }
}

static int by_octave(const void *pa, const void *pb)
{
    const struct row *a = pa, *b = pb;
    return (a->octave > b->octave) - (a->octave < b->octave);
}

/* The first point of each octave. */
static void add_points(struct rows *rows, const struct vidur_curve *c,
                       const struct row *shape)
{
    int last = -1;
    for (int i = 0; i < c->count; i++) {
        const int octave = ilogb(c->x[i]);
        if (c->x[i] < sizes[rows->class][0] || c->x[i] > sizes[rows->class][1] ||
            octave == last || octave >= MAX_OCTAVES)
            continue;
        struct row *row = &rows->at[rows->count++];
        *row = *shape;
        row->size = c->x[i];
        row->timed_ms = c->ms[i];
        row->octave = last = octave;
    }
}

static void release(struct rows *rows)
{
    free(rows->at);
    free(rows->errors);
    rows->at = NULL;
    rows->errors = NULL;
    rows->count = 0;
}

/* Rows of `rows`'s class and format; none where the table has none. */
static int collect(struct rows *rows, struct vidur_kernels *kernels,
                   struct vidur_error *err)
{
    struct vidur_curves all;
    struct row shape;
    size_t points = 0;
    if (vidur_kernels_curves(kernels, tables[rows->class], &all, err))
        return -1;
    for (int i = 0; i < all.count; i++)
        points += take_curve(&all.at[i], rows, &shape) ? (size_t)all.at[i].count : 0;
    rows->at = calloc(points + 1, sizeof *rows->at);
    rows->errors = calloc(points + 1, sizeof *rows->errors);
    if (!rows->at || !rows->errors) {
        release(rows);
        return vidur_fail(err, VIDUR_ENOMEM, "fit: out of memory");
    }
    for (int i = 0; i < all.count; i++)
        if (take_curve(&all.at[i], rows, &shape))
            add_points(rows, &all.at[i], &shape);
    qsort(rows->at, (size_t)rows->count, sizeof *rows->at, by_octave);
    return 0;
}

/* ---- Predictions ---- */

static double predict_ms(struct vidur_pricer *pricer, const struct rows *rows,
                         const struct row *row)
{
    static const struct vidur_shard shard; /* matters to latent attention alone */
    if (rows->class == VIDUR_FIT_prefill) {
        const struct vidur_shard_layers layers = {.kind = {.head_dim = PROMPT_HEAD_DIM},
                                                  .q_heads = row->heads};
        return vidur_roofline_prompt_ms(pricer, &shard, &layers, row->size);
    }
    pricer->devices = row->devices;
    return vidur_roofline_work_ms(pricer, &row->work, row->size);
}

static double log_ratio(struct vidur_pricer *pricer, const struct rows *rows,
                        const struct row *row)
{
    return log(predict_ms(pricer, rows, row) / row->timed_ms);
}

/* Of all-reduces an octave has a row for each number of devices: too few for a median
 * to see them all. */
static double mean_error(const struct vidur_weighted_value *errors, int count)
{
    double sum = 0;
    for (int i = 0; i < count; i++)
        sum += errors[i].value;
    return sum / count;
}

/* The root of the weighted mean square of the errors, outliers cut. Libraries have a
 * fast and a slow kernel for neighbouring products: a median sees the more frequent of
 * the two, a step pays for both, and this is least about their mean. */
static double spread(const struct vidur_weighted_value *errors, int count)
{
    double sum = 0, weights = 0;
    for (int i = 0; i < count; i++) {
        const double cut = fmin(errors[i].value, outlier);
        sum += (double)errors[i].weight * cut * cut;
        weights += (double)errors[i].weight;
    }
    return sqrt(sum / weights);
}

/* Of the rows from `begin` to `end`. */
static double octave_error(struct vidur_pricer *pricer, const struct rows *rows,
                           int begin, int end)
{
    struct vidur_weighted_value *errors = &rows->errors[begin];
    for (int i = begin; i < end; i++)
        rows->errors[i] = (struct vidur_weighted_value){
            fabs(log_ratio(pricer, rows, &rows->at[i])), rows->at[i].weight};
    switch (rows->class) {
    case VIDUR_FIT_gemm:
        return spread(errors, end - begin);
    case VIDUR_FIT_all_reduce:
        return mean_error(errors, end - begin);
    default:
        return vidur_weighted_quantile(errors, end - begin, 0.5);
    }
}

static double octave_weight(const struct rows *rows, int at)
{
    const double size = rows->at[at].size;
    return rows->class == VIDUR_FIT_gemm && size >= BUSY_TOKENS && size <= SMALL_TOKENS
               ? BUSY_WEIGHT
               : 1;
}

/* The mean over octaves of the error in each. */
static double mean_over_octaves(struct vidur_pricer *pricer, const struct rows *rows)
{
    double sum = 0, octaves = 0;
    for (int begin = 0, end; begin < rows->count; begin = end) {
        for (end = begin;
             end < rows->count && rows->at[end].octave == rows->at[begin].octave; end++)
            ;
        const double weight = octave_weight(rows, begin);
        sum += weight * octave_error(pricer, rows, begin, end);
        octaves += weight;
    }
    return octaves > 0 ? sum / octaves : 0;
}

/* ---- Fitting ---- */

#define SHARE_OF_BANDWIDTH                                                             \
    {                                                                                  \
        0.2, 1, 10                                                                     \
    }
#define SHARE_OF_PEAK                                                                  \
    {                                                                                  \
        0.02, 1, 10                                                                    \
    }

static const struct vidur_fit_range
    ranges[VIDUR_NUM_FIT_CLASSES][VIDUR_MAX_FIT_CONSTANTS] = {
        [VIDUR_FIT_gemm] = {SHARE_OF_BANDWIDTH, SHARE_OF_PEAK, {0.1, 30, 9}},
        [VIDUR_FIT_experts] = {SHARE_OF_BANDWIDTH,
                               SHARE_OF_PEAK,
                               {1, 300, 7},
                               {0.01, 200, 7}},
        [VIDUR_FIT_prefill] = {SHARE_OF_PEAK, {0.5, 100, 12}},
        [VIDUR_FIT_all_reduce] = {{1, 100, 12}, {0.001, 2, 8}, {0.02, 1, 12}}};

static const int num_constants[VIDUR_NUM_FIT_CLASSES] = {[VIDUR_FIT_gemm] = 3,
                                                         [VIDUR_FIT_experts] = 4,
                                                         [VIDUR_FIT_prefill] = 2,
                                                         [VIDUR_FIT_all_reduce] = 3};

static void put_constants(struct vidur_engine_roofline *engine, const struct rows *rows,
                          const double *c)
{
    switch (rows->class) {
    case VIDUR_FIT_gemm:
        engine->gemm[rows->dtype] = (struct vidur_gemm_roofline){c[0], c[1], c[2]};
        break;
    case VIDUR_FIT_experts:
        engine->experts[rows->dtype] =
            (struct vidur_expert_roofline){c[0], c[1], c[2], c[3]};
        break;
    case VIDUR_FIT_prefill:
        engine->prefill.compute = c[0];
        engine->prefill.launch_us = c[1];
        break;
    default:
        engine->all_reduce.latency_us = c[0];
        engine->all_reduce.growth = c[1];
        engine->all_reduce.link = c[2];
    }
}

struct fitting {
    struct vidur_device_sku *device; /* the pricer's */
    struct vidur_pricer pricer;
    const struct rows *rows;
};

static double loss(void *context, const double *constants)
{
    struct fitting *f = context;
    put_constants(&f->device->engine, f->rows, constants);
    return mean_over_octaves(&f->pricer, f->rows);
}

/* Three significant digits. */
static double rounded(double value)
{
    char text[32];
    snprintf(text, sizeof text, "%.3g", value);
    return strtod(text, NULL);
}

static void fit_rows(struct fitting *f, const struct rows *rows)
{
    double constants[VIDUR_MAX_FIT_CONSTANTS];
    const int count = num_constants[rows->class];
    f->rows = rows;
    vidur_fit_search(constants, ranges[rows->class], count, loss, f);
    for (int i = 0; i < count; i++)
        constants[i] = rounded(constants[i]);
    put_constants(&f->device->engine, rows, constants);
}

/* The first of a class that has formats is priced by the second where that has rows:
 * price_roofline.c. */
static const enum vidur_dtype taken_from[VIDUR_NUM_FIT_CLASSES][2] = {
    [VIDUR_FIT_gemm] = {VIDUR_DTYPE_fp8_block, VIDUR_DTYPE_fp8},
    [VIDUR_FIT_experts] = {VIDUR_DTYPE_fp8, VIDUR_DTYPE_fp8_block}};

/* Calls `use` with the rows of every class and format that has constants of its own. */
static int each_rows(struct vidur_kernels *kernels,
                     void (*use)(void *context, const struct rows *rows), void *context,
                     struct vidur_error *err)
{
    for (int class = 0; class < VIDUR_NUM_FIT_CLASSES; class ++) {
        const enum vidur_dtype *taken = taken_from[class];
        const bool has_formats = taken[0] != taken[1];
        bool timed[VIDUR_NUM_DTYPES] = {false};
        struct rows rows[VIDUR_NUM_DTYPES] = {{0}};
        int status = 0;
        for (int i = 0; status == 0 && i < (has_formats ? VIDUR_NUM_DTYPES : 1); i++) {
            rows[i].class = (enum vidur_fit_class) class;
            rows[i].dtype = (enum vidur_dtype)i;
            status = collect(&rows[i], kernels, err);
            timed[i] = rows[i].count > 0;
        }
        if (has_formats && timed[taken[1]])
            timed[taken[0]] = false;
        for (int i = 0; i < VIDUR_NUM_DTYPES; i++) {
            if (status == 0 && timed[i])
                use(context, &rows[i]);
            release(&rows[i]);
        }
        if (status)
            return -1;
    }
    return 0;
}

static void fit_one(void *context, const struct rows *rows)
{
    fit_rows(context, rows);
}

/* The last two folders of the path: SYSTEM and VERSION. */
static void name_tables(char *out, size_t size, const char *dir)
{
    char path[VIDUR_PATH_MAX];
    snprintf(path, sizeof path, "%s", dir);
    for (size_t n = strlen(path); n > 1 && path[n - 1] == '/'; n--)
        path[n - 1] = '\0';
    char *version = strrchr(path, '/');
    const char *system = path;
    if (version) {
        *version++ = '\0';
        const char *slash = strrchr(path, '/');
        system = slash ? slash + 1 : path;
    }
    snprintf(out, size, "%s%s%s", system, version && *system ? " " : "",
             version ? version : "");
}

static bool has_experts(const struct vidur_engine_roofline *engine)
{
    for (int i = 0; i < VIDUR_NUM_DTYPES; i++)
        if (engine->experts[i].memory > 0)
            return true;
    return false;
}

int vidur_engine_roofline_fit(struct vidur_device_sku *device,
                              const struct vidur_node_sku *node,
                              struct vidur_kernels *kernels, struct vidur_error *err)
{
    struct fitting f = {.device = device};
    const struct vidur_engine_roofline old = device->engine;
    if (vidur_pricer_init(&f.pricer, device, node, NULL, err))
        return -1;
    device->engine =
        (struct vidur_engine_roofline){.all_reduce_skew_us = old.all_reduce_skew_us};
    name_tables(device->engine.fitted_on, sizeof device->engine.fitted_on,
                vidur_kernels_dir(kernels));
    if (each_rows(kernels, fit_one, &f, err))
        return -1;
    if (!has_experts(&device->engine))
        memcpy(device->engine.experts, old.experts, sizeof old.experts);
    if (device->engine.gemm[VIDUR_DTYPE_bf16].memory > 0 &&
        device->engine.prefill.compute > 0 && device->engine.all_reduce.link > 0)
        return 0;
    return vidur_fail(
        err, VIDUR_EINVAL,
        "%s: no rows of bfloat16 products with n and k from %d up, of "
        "prompts with heads of %d, or of all-reduces: all three are needed",
        vidur_kernels_dir(kernels), LEAST_WIDTH, PROMPT_HEAD_DIM);
}

/* ---- Errors ---- */

struct judging {
    struct vidur_pricer pricer;
    struct vidur_fit_errors *errors;
    double *ratios, *absolutes;
    bool failed;
};

/* Medians over the first `count` rows of at most `most` tokens; sets *n to how many. */
static void medians(struct judging *j, const struct rows *rows, double most, int *n,
                    struct vidur_fit_error *out)
{
    *n = 0;
    for (int i = 0; i < rows->count; i++) {
        if (rows->at[i].size > most)
            continue;
        j->ratios[*n] = log_ratio(&j->pricer, rows, &rows->at[i]);
        j->absolutes[*n] = fabs(j->ratios[*n]);
        ++*n;
    }
    *out = (struct vidur_fit_error){.median = NAN, .p90 = NAN, .median_ratio = NAN};
    if (*n == 0)
        return;
    out->median = vidur_quantile(j->absolutes, *n, 0.5);
    out->p90 = vidur_quantile(j->absolutes, *n, 0.9);
    out->median_ratio = exp(vidur_quantile(j->ratios, *n, 0.5));
}

static void judge_one(void *context, const struct rows *rows)
{
    struct judging *j = context;
    struct vidur_fit_error all, small;
    int count, num_small = 0;
    j->ratios = malloc(((size_t)rows->count + 1) * sizeof *j->ratios);
    j->absolutes = malloc(((size_t)rows->count + 1) * sizeof *j->absolutes);
    if (j->ratios && j->absolutes) {
        const bool in_steps =
            rows->class == VIDUR_FIT_gemm || rows->class == VIDUR_FIT_experts;
        medians(j, rows, in_steps ? SMALL_TOKENS : 0, &num_small, &small);
        medians(j, rows, INFINITY, &count, &all);
        all.class = rows->class;
        all.dtype = rows->dtype;
        all.rows = count;
        all.small_rows = num_small;
        all.small_median = small.median;
        all.small_ratio = small.median_ratio;
        j->errors->at[j->errors->count++] = all;
    } else {
        j->failed = true;
    }
    free(j->ratios);
    free(j->absolutes);
}

int vidur_engine_roofline_errors(struct vidur_fit_errors *errors,
                                 const struct vidur_device_sku *device,
                                 const struct vidur_node_sku *node,
                                 struct vidur_kernels *kernels, struct vidur_error *err)
{
    struct judging j = {.errors = errors};
    errors->count = 0;
    if (vidur_pricer_init(&j.pricer, device, node, NULL, err) ||
        each_rows(kernels, judge_one, &j, err))
        return -1;
    return j.failed ? vidur_fail(err, VIDUR_ENOMEM, "fit: out of memory") : 0;
}
