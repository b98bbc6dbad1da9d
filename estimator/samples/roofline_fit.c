#include "samples/roofline_fit.h"

#include "samples/profile_roofline.h"

#include <math.h>
#include <stdlib.h>

static double percent_error(double predicted, double measured)
{
    if (measured == 0)
        return predicted == 0 ? 0 : 100;
    return fabs(predicted - measured) / measured * 100;
}

static double predict(const struct vidur_roofline_case *one, int op, int64_t row)
{
    const struct vidur_samples *samples = &one->profile->operators[op];
    const double features[VIDUR_MAX_FEATURES] = {
        samples->features[0][row],
        samples->num_features > 1 ? samples->features[1][row] : 0};
    return vidur_roofline_ms(&one->request, op, features);
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, int64_t count)
{
    if (count == 0)
        return NAN;
    qsort(values, (size_t)count, sizeof *values, ascending);
    return (values[(count - 1) / 2] + values[count / 2]) / 2;
}

static int64_t count_rows(const struct vidur_roofline_case *cases, int num_cases,
                          int op)
{
    int64_t rows = 0;
    for (int i = 0; i < num_cases; i++)
        rows += cases[i].profile->operators[op].num_rows;
    return rows;
}

static int compare_operator(struct vidur_roofline_error *error,
                            const struct vidur_roofline_case *cases, int num_cases,
                            int op, struct vidur_error *err)
{
    const int64_t rows = count_rows(cases, num_cases, op);
    double *errors = malloc(((size_t)rows + 1) * sizeof *errors);
    double *ratios = malloc(((size_t)rows + 1) * sizeof *ratios);
    int64_t row = 0, num_ratios = 0;
    double sum = 0;
    if (!errors || !ratios) {
        free(errors);
        free(ratios);
        return vidur_fail(err, VIDUR_ENOMEM, "no memory to compare %lld samples",
                          (long long)rows);
    }
    for (int i = 0; i < num_cases; i++) {
        const struct vidur_samples *samples = &cases[i].profile->operators[op];
        for (int64_t j = 0; j < samples->num_rows; j++, row++) {
            const double measured = samples->target_ms[j];
            const double predicted = predict(&cases[i], op, j);
            errors[row] = percent_error(predicted, measured);
            sum += errors[row];
            if (measured > 0)
                ratios[num_ratios++] = predicted / measured;
        }
    }
    *error = (struct vidur_roofline_error){.rows = rows,
                                           .mape = rows ? sum / (double)rows : NAN,
                                           .median_ape = median(errors, rows),
                                           .median_ratio = median(ratios, num_ratios)};
    free(errors);
    free(ratios);
    return 0;
}

int vidur_roofline_compare(struct vidur_roofline_error errors[VIDUR_NUM_OPERATORS],
                           const struct vidur_roofline_case *cases, int num_cases,
                           struct vidur_error *err)
{
    for (int op = 0; op < VIDUR_NUM_OPERATORS; op++) {
        errors[op] = (struct vidur_roofline_error){0};
        const bool cpu =
            op >= VIDUR_FIRST_CPU_OPERATOR && op < VIDUR_NUM_TOKEN_OPERATORS;
        if (!cpu && compare_operator(&errors[op], cases, num_cases, op, err))
            return -1;
    }
    return 0;
}

/* ---- Fitting ---- */

struct operators {
    int list[5];
    int count;
};

static double mean_error(const struct vidur_roofline_case *cases, int num_cases,
                         const struct operators *class)
{
    double sum = 0;
    int64_t rows = 0;
    for (int k = 0; k < class->count; k++)
        for (int i = 0; i < num_cases; i++) {
            const int op = class->list[k];
            const struct vidur_samples *samples = &cases[i].profile->operators[op];
            for (int64_t j = 0; j < samples->num_rows; j++)
                sum += percent_error(predict(&cases[i], op, j), samples->target_ms[j]);
            rows += samples->num_rows;
        }
    return rows ? sum / (double)rows : NAN;
}

enum { MIN_PERCENT = 5, MAX_PERCENT = 100 };

/* Takes the hundredth that gives the least error; without samples, none. */
static void scan(double *efficiency, const struct vidur_roofline_case *cases,
                 int num_cases, const struct operators *class)
{
    double best = NAN, best_value = *efficiency;
    for (int percent = MIN_PERCENT; percent <= MAX_PERCENT; percent++) {
        *efficiency = percent / 100.0;
        const double error = mean_error(cases, num_cases, class);
        if (!(error >= best)) {
            best = error;
            best_value = isnan(error) ? best_value : *efficiency;
        }
    }
    *efficiency = best_value;
}

void vidur_roofline_fit(struct vidur_device_sku *device, struct vidur_node_sku *node,
                        const struct vidur_roofline_case *cases, int num_cases)
{
    static const struct operators gemms = {
        {VIDUR_OP_attn_pre_proj, VIDUR_OP_attn_post_proj, VIDUR_OP_mlp_up_proj,
         VIDUR_OP_mlp_down_proj},
        4};
    static const struct operators prefill = {{VIDUR_OP_attn_prefill}, 1};
    static const struct operators decode = {{VIDUR_OP_attn_decode}, 1};
    static const struct operators collectives = {
        {VIDUR_OP_all_reduce, VIDUR_OP_send_recv}, 2};
    static const struct operators elementwise = {
        {VIDUR_OP_attn_rope, VIDUR_OP_mlp_act, VIDUR_OP_input_layernorm,
         VIDUR_OP_post_attention_layernorm, VIDUR_OP_add},
        5};
    struct vidur_roofline_efficiency *e = &device->roofline;

    scan(&e->gemm_efficiency, cases, num_cases, &gemms);
    scan(&e->memory_efficiency, cases, num_cases, &elementwise);
    scan(&e->attention_prefill_efficiency, cases, num_cases, &prefill);
    scan(&e->attention_decode_efficiency, cases, num_cases, &decode);
    scan(&node->link_efficiency, cases, num_cases, &collectives);
}
