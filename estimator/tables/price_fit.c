#include "tables/price_fit.h"

#include "tables/kernel_rows.h"
#include "tables/price.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SMALL_TOKENS = 256,
    BUSY_TOKENS = 8, /* to SMALL_TOKENS: steps of a busy engine */
    BUSY_WEIGHT = 3
};

static const double outlier = 0.3; /* a log ratio counts as this at most */

/* ---- The loss ---- */

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
static double octave_error(struct vidur_pricer *pricer,
                           const struct vidur_kernel_rows *rows, int begin, int end)
{
    struct vidur_weighted_value *errors = &rows->errors[begin];
    for (int i = begin; i < end; i++)
        rows->errors[i] = (struct vidur_weighted_value){
            fabs(vidur_kernel_row_log_ratio(pricer, rows, &rows->at[i])),
            rows->at[i].weight};
    switch (rows->class) {
    case VIDUR_FIT_gemm:
        return spread(errors, end - begin);
    case VIDUR_FIT_all_reduce:
        return mean_error(errors, end - begin);
    default:
        return vidur_weighted_quantile(errors, end - begin, 0.5);
    }
}

static double octave_weight(const struct vidur_kernel_rows *rows, int at)
{
    const double size = rows->at[at].size;
    return rows->class == VIDUR_FIT_gemm && size >= BUSY_TOKENS && size <= SMALL_TOKENS
               ? BUSY_WEIGHT
               : 1;
}

/* The mean over octaves of the error in each. */
static double mean_over_octaves(struct vidur_pricer *pricer,
                                const struct vidur_kernel_rows *rows)
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

typedef struct vidur_fit_range range_list[VIDUR_MAX_FIT_CONSTANTS];

static const range_list ranges[VIDUR_NUM_FIT_CLASSES] = {
    [VIDUR_FIT_gemm] = {SHARE_OF_BANDWIDTH, SHARE_OF_PEAK, {0.1, 30, 9}},
    [VIDUR_FIT_experts] = {SHARE_OF_BANDWIDTH,
                           SHARE_OF_PEAK,
                           {1, 300, 7},
                           {0.01, 200, 7}},
    [VIDUR_FIT_prefill] = {SHARE_OF_PEAK, {0.5, 100, 12}},
    [VIDUR_FIT_all_reduce] = {{1, 100, 12}, {0.001, 2, 8}, {0.02, 1, 8}, {0.1, 3, 8}}};

static const int num_constants[VIDUR_NUM_FIT_CLASSES] = {[VIDUR_FIT_gemm] = 3,
                                                         [VIDUR_FIT_experts] = 4,
                                                         [VIDUR_FIT_prefill] = 2,
                                                         [VIDUR_FIT_all_reduce] = 4};

static void put_constants(struct vidur_engine_roofline *engine,
                          const struct vidur_kernel_rows *rows, const double *c)
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
        engine->all_reduce.doubling = c[3];
    }
}

struct fitting {
    struct vidur_device_sku *device; /* the pricer's */
    struct vidur_pricer pricer;
    const struct vidur_kernel_rows *rows;
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

static void fit_rows(struct fitting *f, const struct vidur_kernel_rows *rows)
{
    double constants[VIDUR_MAX_FIT_CONSTANTS];
    const int count = num_constants[rows->class];
    f->rows = rows;
    vidur_fit_search(constants, ranges[rows->class], count, loss, f);
    for (int i = 0; i < count; i++)
        constants[i] = rounded(constants[i]);
    put_constants(&f->device->engine, rows, constants);
}

static void fit_one(void *context, const struct vidur_kernel_rows *rows)
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
    const struct vidur_kernel_rows_of of = {&f.pricer, kernels, true};
    const struct vidur_engine_roofline old = device->engine;
    if (vidur_pricer_init(&f.pricer, device, node, NULL, err))
        return -1;
    device->engine =
        (struct vidur_engine_roofline){.all_reduce_skew_us = old.all_reduce_skew_us};
    name_tables(device->engine.fitted_on, sizeof device->engine.fitted_on,
                vidur_kernels_dir(kernels));
    if (vidur_kernel_rows_each(&of, fit_one, &f, err))
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
        vidur_kernels_dir(kernels), VIDUR_LEAST_PRODUCT_WIDTH, VIDUR_FITTED_HEAD_DIM);
}
