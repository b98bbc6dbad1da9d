#include "program/estimate_commands.h"

#include "base/text.h"
#include "samples/profile_roofline.h"
#include "samples/roofline_fit.h"
#include "tables/timetable_internal.h"

#include <vidur/paths.h>

#include <stdlib.h>
#include <string.h>

/* validate --against and fit: the roofline beside measured profiles. */

enum { MAX_NAMES = 16, MAX_CASES = 64 };

struct against {
    const struct vidur_estimate_job *job;
    struct vidur_device_sku device; /* fit changes these copies */
    struct vidur_node_sku node;
    struct vidur_model_spec models[MAX_NAMES];
    int num_models;
    int tps[MAX_NAMES];
    int num_tps;
    struct vidur_roofline_case cases[MAX_CASES];
    struct vidur_profile *profiles[MAX_CASES];
    int num_cases;
};

/* Calls `take` for each word of a comma-separated list. */
static int each_word(const char *list, struct against *against,
                     int (*take)(struct against *, const char *, struct vidur_error *),
                     struct vidur_error *err)
{
    while (*list) {
        char word[VIDUR_PATH_MAX];
        const size_t length = strcspn(list, ",");
        if (length == 0 || length >= sizeof word)
            return vidur_fail(err, VIDUR_EINVAL,
                              "'%.60s': words with commas between "
                              "them are needed",
                              list);
        memcpy(word, list, length);
        word[length] = '\0';
        if (take(against, word, err))
            return -1;
        list += length + (list[length] == ',');
    }
    return 0;
}

static int take_model(struct against *against, const char *word,
                      struct vidur_error *err)
{
    if (against->num_models == MAX_NAMES)
        return vidur_fail(err, VIDUR_EINVAL, "--models: more than %d", MAX_NAMES);
    return vidur_model_load(&against->models[against->num_models++], word, err);
}

static int take_tp(struct against *against, const char *word, struct vidur_error *err)
{
    int64_t tp;
    if (!vidur_text_int64(word, &tp) || tp < 1 || tp > 1024)
        return vidur_fail(err, VIDUR_EINVAL, "--tp: '%.40s' is not a number from 1 up",
                          word);
    if (against->num_tps == MAX_NAMES)
        return vidur_fail(err, VIDUR_EINVAL, "--tp: more than %d", MAX_NAMES);
    against->tps[against->num_tps++] = (int)tp;
    return 0;
}

/* A roofline has nothing to learn from what stands in for a missing file. */
static void drop_synthetic(struct vidur_profile *profile)
{
    for (int op = 0; op < VIDUR_NUM_OPERATORS; op++)
        if (vidur_samples_are_synthetic(&profile->operators[op]))
            vidur_samples_release(&profile->operators[op]);
}

static int read_case(struct against *against, const struct vidur_model_spec *model,
                     int tp, struct vidur_error *err)
{
    const struct vidur_estimate_job *job = against->job;
    const int i = against->num_cases;
    struct vidur_roofline_case *one = &against->cases[i];
    struct vidur_estimator_config estimator = job->config->estimator;
    if (i == MAX_CASES)
        return vidur_fail(err, VIDUR_EINVAL, "more than %d profiles at once",
                          MAX_CASES);
    /* Whatever the engines ask: profiles of the reference round KV heads up. */
    const struct vidur_cut cut = {.tensor = tp, .pipeline = 1};
    if (vidur_check_tensor_parallel(model, &cut, VIDUR_SEMANTICS_VIDUR, err))
        return vidur_fail_prefix(err, "--tp");
    one->request = vidur_estimate_request(job->config);
    one->request.model = model;
    one->request.device = &against->device;
    one->request.node = &against->node;
    one->request.tensor_parallel_size = tp;
    one->request.multi_node =
        tp * job->config->num_pipeline_stages > against->node.devices_per_node;
    estimator.source = VIDUR_SOURCE_PROFILES;
    estimator.overheads.model_cpu_overhead = false;
    if (vidur_timetable_profile(&against->profiles[i], &estimator, &one->request,
                                job->log, err))
        return -1;
    drop_synthetic(against->profiles[i]);
    one->profile = against->profiles[i];
    against->num_cases++;
    return 0;
}

static int read_cases(struct against *against, struct vidur_error *err)
{
    const struct vidur_args *args = against->job->args;
    const struct vidur_estimate_config *config = against->job->config;
    if (vidur_args_given(args, "models")) {
        if (each_word(vidur_args_value(args, "models"), against, take_model, err))
            return -1;
    } else {
        against->models[against->num_models++] = config->model;
    }
    if (vidur_args_given(args, "tp")) {
        if (each_word(vidur_args_value(args, "tp"), against, take_tp, err))
            return -1;
    } else {
        against->tps[against->num_tps++] = config->tensor_parallel_size;
    }
    for (int i = 0; i < against->num_models; i++)
        for (int k = 0; k < against->num_tps; k++)
            if (read_case(against, &against->models[i], against->tps[k], err))
                return -1;
    return 0;
}

/* The folder given stands first, so that what it lacks may come from the configuration.
 */
static int open_against(struct against **out, const struct vidur_estimate_job *job,
                        struct vidur_error *err)
{
    struct vidur_estimator_config *estimator = &job->config->estimator;
    const char *dir = vidur_args_value(job->args, "against");
    if (!dir)
        return vidur_fail(err, VIDUR_EINVAL,
                          "fit: --against is missing; name a folder of profiles, or "
                          "timings of kernels with --kernels and no configuration");
    if (strlen(dir) >= sizeof estimator->profiles[0])
        return vidur_fail(err, VIDUR_EINVAL, "--against: path too long");
    if (estimator->num_profiles == VIDUR_MAX_PROFILE_DIRS)
        estimator->num_profiles--;
    memmove(&estimator->profiles[1], &estimator->profiles[0],
            (size_t)estimator->num_profiles * sizeof estimator->profiles[0]);
    strcpy(estimator->profiles[0], dir);
    estimator->num_profiles++;

    struct against *against = calloc(1, sizeof *against);
    if (!against)
        return vidur_fail(err, VIDUR_ENOMEM, "out of memory");
    against->job = job;
    against->device = job->config->device;
    against->node = job->config->node;
    *out = against;
    return read_cases(against, err);
}

static void close_against(struct against *against)
{
    if (!against)
        return;
    for (int i = 0; i < against->num_cases; i++)
        vidur_profile_free(against->profiles[i]);
    free(against);
}

static int print_errors(const struct against *against, struct vidur_error *err)
{
    FILE *out = against->job->out;
    struct vidur_roofline_error errors[VIDUR_NUM_OPERATORS];
    if (vidur_roofline_compare(errors, against->cases, against->num_cases, err))
        return -1;
    fprintf(out, "# roofline of %s (%s) against %d measured profile%s\n",
            vidur_text_show(against->device.name).text,
            vidur_text_show(against->node.name).text, against->num_cases,
            against->num_cases == 1 ? "" : "s");
    fprintf(out, "%-26s %7s %9s %12s %12s\n", "operator", "rows", "mape_%",
            "median_ape_%", "median_ratio");
    for (int op = 0; op < VIDUR_NUM_OPERATORS; op++)
        if (errors[op].rows > 0)
            fprintf(out, "%-26s %7lld %9.2f %12.2f %12.3f\n", vidur_operator_name(op),
                    (long long)errors[op].rows, errors[op].mape, errors[op].median_ape,
                    errors[op].median_ratio);
    return 0;
}

int vidur_estimate_against(const struct vidur_estimate_job *job,
                           struct vidur_error *err)
{
    struct against *against = NULL;
    int status = open_against(&against, job, err);
    if (status == 0)
        status = print_errors(against, err);
    close_against(against);
    return status ? 1 : 0;
}

static void print_efficiencies(const struct against *against)
{
    FILE *out = against->job->out;
    const struct vidur_roofline_efficiency *e = &against->device.roofline;
    fprintf(out,
            "# in the device's file\nroofline:\n  gemm_efficiency: %.2f\n"
            "  memory_efficiency: %.2f\n  attention_prefill_efficiency: %.2f\n"
            "  attention_decode_efficiency: %.2f\n  kernel_launch_us: %g\n"
            "  attention_launch_us: %g\n  elementwise_launch_us: %g\n",
            e->gemm_efficiency, e->memory_efficiency, e->attention_prefill_efficiency,
            e->attention_decode_efficiency, e->kernel_launch_us, e->attention_launch_us,
            e->elementwise_launch_us);
    fprintf(out, "# in the node's file\nlink:\n  efficiency: %.2f\n",
            against->node.link_efficiency);
}

int vidur_estimate_fit(const struct vidur_estimate_job *job, struct vidur_error *err)
{
    struct against *against = NULL;
    int status = open_against(&against, job, err);
    if (status == 0) {
        vidur_roofline_fit(&against->device, &against->node, against->cases,
                           against->num_cases);
        print_efficiencies(against);
        status = print_errors(against, err);
    }
    close_against(against);
    return status ? 1 : 0;
}
