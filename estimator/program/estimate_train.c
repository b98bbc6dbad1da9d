#include "program/estimate_commands.h"

#include "base/text.h"
#include "samples/profile_roofline.h"
#include "tables/timetable_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* train and validate: one row per operator, and how the selection went. */

static void print_header(const struct vidur_estimate_job *job, const char *provenance)
{
    const struct vidur_estimate_config *c = job->config;
    fprintf(job->out, "# %s on %s (%s), tensor parallel %d, %s\n",
            vidur_text_show(c->model.name).text, vidur_text_show(c->device.name).text,
            vidur_text_show(c->node.name).text, c->tensor_parallel_size,
            vidur_text_show(provenance).text);
    fprintf(job->out, "%-26s %6s %8s %10s %8s  %s\n", "operator", "rows", "cv_mape_%",
            "in_smp_%", "seconds", "best");
}

static void print_operator(FILE *out, const struct vidur_samples *samples,
                           const struct vidur_selection *selection)
{
    char best[160];
    vidur_hyperparameters_print(&selection->best, best, sizeof best);
    fprintf(out, "%-26s %6lld %8.3f %10.3f %8.2f  %s\n", samples->name,
            (long long)samples->num_rows, selection->cv_mape, selection->in_sample_mape,
            selection->seconds, best);
}

static void print_folds(FILE *out, const struct vidur_selection *selection)
{
    fprintf(out, "  folds");
    for (int i = 0; i < selection->num_folds; i++)
        fprintf(out, " %.3f", selection->fold_mape[i]);
    fprintf(out, "\n");
}

static void print_worst(FILE *out, const struct vidur_samples *samples,
                        const struct vidur_selection *selection)
{
    for (int i = 0; i < selection->num_worst; i++) {
        const struct vidur_cell_error *cell = &selection->worst[i];
        fprintf(out, "  worst");
        for (int k = 0; k < samples->num_features; k++)
            fprintf(out, " %s=%.15g", samples->feature_names[k], cell->features[k]);
        fprintf(out, ": measured %.6g ms, predicted %.6g ms, %.2f %%\n",
                cell->measured_ms, cell->predicted_ms, cell->percent);
    }
}

static int train_operator(const struct vidur_estimate_job *job,
                          const struct vidur_samples *samples, bool details,
                          double *seconds, struct vidur_error *err)
{
    struct vidur_regression *regression;
    struct vidur_selection selection;
    if (vidur_timetable_regression(&regression, &selection, &job->config->estimator,
                                   samples, err))
        return vidur_fail_prefix(err, "%s: %s", samples->source, samples->name);
    vidur_regression_free(regression);
    print_operator(job->out, samples, &selection);
    if (details) {
        print_folds(job->out, &selection);
        print_worst(job->out, samples, &selection);
    }
    fflush(job->out);
    *seconds += selection.seconds;
    return 0;
}

static int train(const struct vidur_estimate_job *job, bool details,
                 struct vidur_error *err)
{
    const struct vidur_timetable_request request = vidur_estimate_request(job->config);
    struct vidur_profile *profile;
    char provenance[256];
    double seconds = 0;
    int status = 0, count = 0;
    if (vidur_timetable_profile(&profile, &job->config->estimator, &request, job->log,
                                err))
        return 1;
    if (vidur_timetable_describe(provenance, sizeof provenance, &job->config->estimator,
                                 &request, err)) {
        vidur_profile_free(profile);
        return 1;
    }
    print_header(job, provenance);
    for (int op = 0; status == 0 && op < VIDUR_NUM_OPERATORS; op++) {
        const struct vidur_samples *samples = &profile->operators[op];
        if (samples->num_rows == 0)
            continue;
        status = train_operator(job, samples, details, &seconds, err);
        count++;
    }
    if (status == 0)
        fprintf(job->out, "# %d operators in %.2f s\n", count, seconds);
    vidur_profile_free(profile);
    return status ? 1 : 0;
}

int vidur_estimate_train(const struct vidur_estimate_job *job, struct vidur_error *err)
{
    return train(job, false, err);
}

int vidur_estimate_validate(const struct vidur_estimate_job *job,
                            struct vidur_error *err)
{
    if (vidur_args_given(job->args, "against"))
        return vidur_estimate_against(job, err);
    return train(job, true, err);
}
