#include "compare/compare.h"

#include "compare/fit.h"

#include "base/text.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* Constants that can be fitted. A parameter of the fit is a constant in its unit,
 * mirrored at 0 and at the most that makes a difference (c_ar: the limit of the skew,
 * ENGINE.md section 6), so that there is no edge or plateau to be caught at. */
struct constant {
    const char *name;
    size_t offset; /* in struct vidur_engine_constants */
    double unit;
    double most;
};

static const struct constant constants[] = {
    {"eta", offsetof(struct vidur_engine_constants, eta), 0.1, 1},
    {"t0", offsetof(struct vidur_engine_constants, t0_us), 5, INFINITY},
    {"c_ar", offsetof(struct vidur_engine_constants, c_ar_us), 1, 7},
    {"tokenise", offsetof(struct vidur_engine_constants, tokenise_us), 1, INFINITY},
    {"t_api", offsetof(struct vidur_engine_constants, t_api_ms), 1, INFINITY},
};

enum { NUM_CONSTANTS = sizeof constants / sizeof *constants, MAX_ITERATIONS = 20 };

/* Simulations are smooth over changes of this size, relative to the constant. */
static const double fit_difference = 0.1;
static const double fit_tolerance = 1e-3;

struct calibration {
    struct vidur_comparison *comparison;
    const struct constant *chosen[NUM_CONSTANTS];
    int num_chosen;
};

static double *value_of(struct vidur_engine_constants *all,
                        const struct constant *constant)
{
    return (double *)(void *)((char *)all + constant->offset);
}

static int choose_word(struct calibration *calibration, const char *word, size_t n,
                       struct vidur_error *err)
{
    const char *known[NUM_CONSTANTS];
    char copy[32];
    snprintf(copy, sizeof copy, "%.*s", (int)(n < 31 ? n : 31), word);
    for (int i = 0; i < NUM_CONSTANTS; i++) {
        known[i] = constants[i].name;
        if (strcmp(copy, known[i]) != 0)
            continue;
        for (int j = 0; j < calibration->num_chosen; j++)
            if (calibration->chosen[j] == &constants[i])
                return vidur_fail(err, VIDUR_EINVAL, "--fit: %s: named twice", copy);
        calibration->chosen[calibration->num_chosen++] = &constants[i];
        return 0;
    }
    return vidur_fail(err, VIDUR_EINVAL,
                      "--fit: '%s' is not known; did you mean '%s'? (eta, t0, c_ar, "
                      "tokenise, t_api, with commas between them)",
                      copy, vidur_text_nearest(copy, known, NUM_CONSTANTS));
}

static int choose(struct calibration *calibration, const char *names,
                  struct vidur_error *err)
{
    for (;;) {
        const size_t n = strcspn(names, ",");
        if (choose_word(calibration, names, n, err))
            return -1;
        if (!names[n])
            return 0;
        names += n + 1;
    }
}

static double mirrored(double value, double most)
{
    const double v = fabs(value);
    if (v <= most)
        return v;
    const double beyond = fmod(v, 2 * most);
    return beyond <= most ? beyond : 2 * most - beyond;
}

static void set_constants(const struct calibration *calibration,
                          const double *parameters)
{
    struct vidur_engine_constants *all =
        vidur_comparison_constants(calibration->comparison);
    for (int i = 0; i < calibration->num_chosen; i++) {
        const struct constant *c = calibration->chosen[i];
        *value_of(all, c) = mirrored(parameters[i] * c->unit, c->most);
    }
}

/* Two a stage; 0 where nothing was simulated. */
static void errors_of(const struct vidur_comparison *comparison, double *out)
{
    for (int i = 0; i < vidur_comparison_count(comparison); i++) {
        const struct vidur_compared_stage *stage =
            &vidur_comparison_stages(comparison)[i];
        const double tpot = vidur_compared_error(stage, VIDUR_COMPARED_tpot_mean);
        const double ttft = vidur_compared_error(stage, VIDUR_COMPARED_ttft_mean);
        *out++ = isnan(tpot) ? 0 : tpot;
        *out++ = isnan(ttft) ? 0 : ttft;
    }
}

static int residuals(void *context, const double *parameters, double *out,
                     struct vidur_error *err)
{
    const struct calibration *calibration = context;
    set_constants(calibration, parameters);
    if (vidur_comparison_run(calibration->comparison, err))
        return -1;
    errors_of(calibration->comparison, out);
    return 0;
}

/* The start: as configured, or one unit of what is 0 there; and the errors with it. */
static int look_around(const struct calibration *calibration, double *parameters,
                       struct vidur_calibration *out, struct vidur_error *err)
{
    const struct vidur_comparison *comparison = calibration->comparison;
    const int count = 2 * vidur_comparison_count(comparison);
    struct vidur_engine_constants start;
    double *errors = malloc((size_t)count * sizeof *errors);
    if (!errors)
        return vidur_fail(err, VIDUR_ENOMEM, "--fit: out of memory");
    if (vidur_comparison_run(calibration->comparison, err)) {
        free(errors);
        return -1;
    }
    vidur_comparison_resolved(comparison, &start);
    for (int i = 0; i < calibration->num_chosen; i++) {
        const struct constant *c = calibration->chosen[i];
        const double value = *value_of(&start, c);
        parameters[i] = value > 0 ? value / c->unit : 1;
    }
    errors_of(comparison, errors);
    double sum = 0;
    for (int i = 0; i < count; i++)
        sum += errors[i] * errors[i];
    out->rms_before = sqrt(sum / count);
    free(errors);
    return 0;
}

int vidur_comparison_fit(struct vidur_comparison *comparison, const char *names,
                         struct vidur_calibration *out, struct vidur_error *err)
{
    struct calibration calibration = {.comparison = comparison};
    double parameters[NUM_CONSTANTS];
    struct vidur_fit_result result;
    if (choose(&calibration, names, err) ||
        look_around(&calibration, parameters, out, err))
        return -1;
    const struct vidur_fit_problem problem = {
        .num_parameters = calibration.num_chosen,
        .num_residuals = 2 * vidur_comparison_count(comparison),
        .residuals = residuals,
        .context = &calibration,
        .difference = fit_difference,
        .tolerance = fit_tolerance,
        .max_iterations = MAX_ITERATIONS};
    if (vidur_fit(&problem, parameters, &result, err))
        return -1;
    out->rms = result.rms;
    out->num_runs = result.num_evaluations + 2;
    out->converged = result.converged;
    set_constants(&calibration, parameters);
    return vidur_comparison_run(comparison, err);
}

void vidur_comparison_print_constants(const struct vidur_comparison *comparison,
                                      FILE *out)
{
    struct vidur_engine_constants c;
    vidur_comparison_resolved(comparison, &c);
    fprintf(out,
            "estimator:\n  constants: {eta: %.4g, t0_us: %.4g, c_ar_us: %.4g, "
            "tokenise_us: %.4g, t_api_ms: %.4g",
            c.eta, c.t0_us, c.c_ar_us, c.tokenise_us, c.t_api_ms);
    const struct {
        const char *key;
        double value;
    } others[] = {{"sampler_ms_per_million_logits", c.sampler_ms_per_million_logits},
                  {"step_us", c.step_us},
                  {"request_us", c.request_us},
                  {"mixed_layer_us", c.mixed_layer_us}};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (others[i].value != 0)
            fprintf(out, ", %s: %.4g", others[i].key, others[i].value);
    fprintf(out, "}\n");
}
