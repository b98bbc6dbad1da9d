#include "load/arrivals.h"

#include "base/policy.h"
#include "base/yaml.h"
#include "load/trace_format.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY(name, kind)                                                                \
    .key = #name, .type = VIDUR_YAML_##kind,                                           \
    VIDUR_YAML_AT(struct vidur_arrivals_config, name)

/* One request in twelve days: with less, times grow so large that doubles cannot tell a
 * request's first token from its arrival. */
#define LEAST_QPS 1e-6

static int check_rate(const struct vidur_arrivals_config *config,
                      struct vidur_error *err)
{
    if (!(config->qps > 0))
        return vidur_fail(err, VIDUR_EINVAL,
                          "workload.arrivals.qps: missing; %s arrivals need requests "
                          "per second above 0",
                          config->type);
    return 0;
}

/* ---- Poisson: exponential gaps, optionally cut ---- */

static const struct vidur_yaml_field poisson_fields[] = {
    {KEY(type, STRING)},
    {KEY(qps, DOUBLE), .flags = VIDUR_YAML_MIN, .min = LEAST_QPS},
    {KEY(truncate, DOUBLE), .flags = VIDUR_YAML_MIN, .min = 0},
    {0},
};

static double poisson_draw(const struct vidur_arrivals_config *config,
                           struct vidur_draws *draws)
{
    (void)config;
    return -log(1.0 - vidur_draws_uniform(draws));
}

static double poisson_gap(const struct vidur_arrivals_config *config, double drawn)
{
    double gap_s = drawn / config->qps;
    if (config->truncate <= 0)
        return gap_s;
    double longest_s = 1.0 / config->qps * config->truncate;
    return gap_s < longest_s ? gap_s : longest_s;
}

/* ---- Gamma: as Poisson, with another coefficient of variation ---- */

static const struct vidur_yaml_field gamma_fields[] = {
    {KEY(type, STRING)},
    {KEY(qps, DOUBLE), .flags = VIDUR_YAML_MIN, .min = LEAST_QPS},
    {KEY(cv, DOUBLE), .flags = VIDUR_YAML_ABOVE, .min = 0},
    {0},
};

static double gamma_shape(const struct vidur_arrivals_config *config)
{
    return 1.0 / (config->cv * config->cv);
}

static double gamma_draw(const struct vidur_arrivals_config *config,
                         struct vidur_draws *draws)
{
    return vidur_rng_gamma(&draws->own, gamma_shape(config), 1.0);
}

static double gamma_gap(const struct vidur_arrivals_config *config, double drawn)
{
    return drawn * (1.0 / (config->qps * gamma_shape(config)));
}

/* ---- Static: everybody at time 0 ---- */

static const struct vidur_yaml_field static_fields[] = {{KEY(type, STRING)}, {0}};

static double static_gap(const struct vidur_arrivals_config *config, double drawn)
{
    (void)config;
    (void)drawn;
    return 0;
}

/* ---- Closed loop: by the completions of the run; its first requests at time 0 ---- */

static const struct vidur_yaml_field closed_loop_fields[] = {
    {KEY(type, STRING)},
    {KEY(concurrency, INT64), .flags = VIDUR_YAML_MIN, .min = 1},
    {0},
};

static int closed_loop_check(const struct vidur_arrivals_config *config,
                             struct vidur_error *err)
{
    if (config->concurrency < 1)
        return vidur_fail(err, VIDUR_EINVAL,
                          "workload.arrivals.concurrency: missing; a closed loop needs "
                          "the number of its clients, 1 or more");
    return 0;
}

/* ---- Trace: differences between the times of a file ---- */

#define DEFAULT_COLUMN "arrived_at"

static const struct vidur_yaml_field trace_fields[] = {
    {KEY(type, STRING)},
    {KEY(file, PATH)}, /* but of sessions, whose own log says it */
    {VIDUR_YAML_KEYS(struct vidur_arrivals_config, trace, vidur_trace_option_fields)},
    {KEY(column, STRING), .flags = VIDUR_YAML_FILLED},
    {"start_time", VIDUR_YAML_DOUBLE, VIDUR_YAML_MIN,
     VIDUR_YAML_AT(struct vidur_arrivals_config, start_time_s), .min = 0},
    {"end_time", VIDUR_YAML_DOUBLE, VIDUR_YAML_MIN,
     VIDUR_YAML_AT(struct vidur_arrivals_config, end_time_s), .min = 0},
    {KEY(time_scale_factor, DOUBLE), .flags = VIDUR_YAML_ABOVE, .min = 0},
    {0},
};

int vidur_arrivals_check_range(const struct vidur_arrivals_config *config,
                               struct vidur_error *err)
{
    if (config->end_time_s > 0 && config->end_time_s <= config->start_time_s)
        return vidur_fail(err, VIDUR_EINVAL,
                          "workload.arrivals.end_time: %g is not after start_time %g; "
                          "rows from start_time up to end_time count",
                          config->end_time_s, config->start_time_s);
    return 0;
}

static int trace_check(const struct vidur_arrivals_config *config,
                       struct vidur_error *err)
{
    if (!config->file[0])
        return vidur_fail(err, VIDUR_EINVAL,
                          "workload.arrivals.file: missing; a log of requests, such as "
                          "a CSV file with a column of times");
    return vidur_arrivals_check_range(config, err);
}

static int trace_gaps(const struct vidur_arrivals_config *config,
                      const struct vidur_trace *trace, struct vidur_loaded_gaps *out,
                      struct vidur_error *err)
{
    int64_t first = 0;
    int64_t end = trace->num_rows;
    while (first < end && trace->time_s[first] < config->start_time_s)
        first++;
    while (end > first && config->end_time_s > 0 &&
           trace->time_s[end - 1] >= config->end_time_s)
        end--;
    if (end - first < 2)
        return vidur_fail(err, VIDUR_EINVAL,
                          "%s: %lld rows from start_time %g to end_time %g; two or "
                          "more are needed to have gaps",
                          config->file, (long long)(end - first), config->start_time_s,
                          config->end_time_s);
    *out = (struct vidur_loaded_gaps){
        .gaps = malloc((size_t)(end - first) * sizeof *out->gaps),
        .count = end - first - 1,
        .num_failed = trace->num_failed,
        .num_unsorted = trace->num_unsorted};
    if (!out->gaps)
        return vidur_fail(err, VIDUR_ENOMEM, "%s: out of memory", config->file);
    double scale = config->time_scale_factor;
    for (int64_t i = 0; i < out->count; i++) /* scaled, then subtracted */
        out->gaps[i] =
            trace->time_s[first + i + 1] * scale - trace->time_s[first + i] * scale;
    return 0;
}

static int trace_load(const struct vidur_arrivals_config *config,
                      struct vidur_loaded_gaps *out, struct vidur_error *err)
{
    struct vidur_trace trace;
    struct vidur_trace_options options = config->trace;
    if (!options.format[0] && strcmp(config->column, DEFAULT_COLUMN) != 0)
        snprintf(options.format, sizeof options.format, "%s", vidur_trace_vidur.name);
    if (strcmp(options.format, vidur_trace_vidur.name) == 0)
        snprintf(options.columns.arrived_at, sizeof options.columns.arrived_at, "%s",
                 config->column);
    int status =
        vidur_trace_open(&trace, config->file, &options, VIDUR_TRACE_TIMES, err);
    if (status)
        vidur_trace_fail("workload.arrivals.file", err);
    else
        status = trace_gaps(config, &trace, out, err);
    vidur_trace_close(&trace);
    return status;
}

/* ---- The table ---- */

static const struct vidur_arrivals_policy policies[] = {
    {.name = "poisson",
     .has_rate = true,
     .in_reference = true,
     .fields = poisson_fields,
     .check = check_rate,
     .draw = poisson_draw,
     .gap = poisson_gap},
    {.name = "gamma",
     .has_rate = true,
     .fields = gamma_fields,
     .check = check_rate,
     .draw = gamma_draw,
     .gap = gamma_gap},
    {.name = "static",
     .in_reference = true,
     .fields = static_fields,
     .gap = static_gap},
    {.name = "closed_loop",
     .is_closed = true,
     .fields = closed_loop_fields,
     .check = closed_loop_check,
     .gap = static_gap},
    {.name = "trace",
     .in_reference = true,
     .fields = trace_fields,
     .check = trace_check,
     .load = trace_load},
};

enum { NUM_POLICIES = sizeof policies / sizeof policies[0] };

static const char *policy_name(int index)
{
    return index < NUM_POLICIES ? policies[index].name : NULL;
}

const struct vidur_arrivals_policy *vidur_arrivals_find(const char *name)
{
    int index = vidur_policy_find(policy_name, name);
    return index < 0 ? NULL : &policies[index];
}

bool vidur_arrivals_have_rate(const struct vidur_arrivals_config *config)
{
    const struct vidur_arrivals_policy *policy = vidur_arrivals_find(config->type);
    return policy && (policy->has_rate || policy->load);
}

int vidur_arrivals_check(const struct vidur_arrivals_config *config,
                         struct vidur_error *err)
{
    const struct vidur_arrivals_policy *policy = vidur_arrivals_find(config->type);
    if (!policy)
        return vidur_policy_unknown(policy_name, "workload.arrivals.type", config->type,
                                    err);
    return policy->check ? policy->check(config, err) : 0;
}

int vidur_arrivals_config_read(const struct vidur_yaml_node *section,
                               struct vidur_arrivals_config *arrivals,
                               struct vidur_error *err)
{
    if (vidur_policy_read_type(section, policy_name, arrivals->type,
                               sizeof arrivals->type, err))
        return -1;
    return vidur_yaml_read(section, vidur_arrivals_find(arrivals->type)->fields,
                           arrivals, err);
}
