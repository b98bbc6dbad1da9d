#include "tables/price_errors.h"

#include "base/quantile.h"
#include "tables/step_plan.h"

#include <math.h>
#include <stdlib.h>

enum { SMALL_TOKENS = 256 };

struct judging {
    struct vidur_pricer pricer;
    struct vidur_fit_errors *errors;
    double *ratios, *absolutes;
    bool failed;
};

/* Medians over the first `count` rows of at most `most` tokens; sets *n to how many. */
static void medians(struct judging *j, const struct vidur_kernel_rows *rows,
                    double most, int *n, struct vidur_fit_error *out)
{
    *n = 0;
    for (int i = 0; i < rows->count; i++) {
        if (rows->at[i].size > most)
            continue;
        j->ratios[*n] = vidur_kernel_row_log_ratio(&j->pricer, rows, &rows->at[i]);
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

static void judge_one(void *context, const struct vidur_kernel_rows *rows)
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
    struct vidur_engine_constants constants;
    const struct vidur_kernel_rows_of of = {&j.pricer, kernels, false};
    errors->count = 0;
    if (vidur_pricer_init(&j.pricer, device, node, NULL, err))
        return -1;
    vidur_engine_constants_defaults(&constants);
    j.pricer.constants = vidur_step_constants(&constants, device);
    if (vidur_kernel_rows_each(&of, judge_one, &j, err))
        return -1;
    return j.failed ? vidur_fail(err, VIDUR_ENOMEM, "fit: out of memory") : 0;
}
