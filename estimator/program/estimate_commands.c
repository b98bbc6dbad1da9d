#include "program/estimate_commands.h"

#include "base/text.h"
#include "tables/timetable_internal.h"

#include <stdlib.h>
#include <string.h>

static const struct command {
    const char *name;
    int (*run)(const struct vidur_estimate_job *job, struct vidur_error *err);
    bool takes_more; /* positional arguments behind the configuration */
    bool engine; /* is about whole engine steps, which have a default of their own */
} commands[] = {
    {"train", vidur_estimate_train, false, false},
    {"validate", vidur_estimate_validate, false, false},
    {"tables", vidur_estimate_tables, false, false},
    {"predict", vidur_estimate_predict, true, false},
    {"explain", vidur_estimate_explain, false, true},
    {"fit", vidur_estimate_fit, false, false},
};

enum { NUM_COMMANDS = sizeof commands / sizeof commands[0] };

static const struct command *find(const char *name, struct vidur_error *err)
{
    const char *names[NUM_COMMANDS];
    for (int i = 0; i < NUM_COMMANDS; i++) {
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
        names[i] = commands[i].name;
    }
    vidur_fail(
        err, VIDUR_EINVAL,
        "'%.60s' is no command; the nearest of train, validate, tables, predict, "
        "explain, fit is '%s'",
        name, vidur_text_nearest(name, names, NUM_COMMANDS));
    return NULL;
}

/* Comparisons with measured folders take both sides, whatever the source. */
static int decide_source(const struct vidur_estimate_job *job, bool engine,
                         struct vidur_error *err)
{
    struct vidur_timetable_request request = vidur_estimate_request(job->config);
    struct vidur_estimator_config *estimator = &job->config->estimator;
    request.engine = engine;
    if (vidur_args_given(job->args, "against"))
        return 0;
    return vidur_timetable_decide(estimator, estimator, &request, job->log, err);
}

int vidur_estimate_run(const struct vidur_args *args, FILE *out,
                       const struct vidur_log *log, struct vidur_error *err)
{
    const struct command *command = find(args->positional[0], err);
    if (!command)
        return 1;
    if (vidur_args_given(args, "kernels"))
        return vidur_estimate_kernels(args, out, err);
    if (args->num_positional < 2) {
        vidur_fail(err, VIDUR_EINVAL,
                   "%s: a configuration is missing%s; see vidur-estimate --help",
                   command->name,
                   command->run == vidur_estimate_fit ? " (or --kernels DIR)" : "");
        return 1;
    }
    if (!command->takes_more && args->num_positional > 2) {
        vidur_fail(err, VIDUR_EINVAL, "'%.60s': %s takes one configuration",
                   args->positional[2], command->name);
        return 1;
    }
    struct vidur_estimate_config *config = malloc(sizeof *config);
    if (!config) {
        vidur_fail(err, VIDUR_ENOMEM, "out of memory");
        return 2;
    }
    int status = 1;
    config->engine = command->engine;
    const struct vidur_estimate_job job = {
        .args = args, .config = config, .out = out, .log = log};
    if (vidur_estimate_config_load(config, args->positional[1], args->sets,
                                   args->num_sets, err) == 0 &&
        decide_source(&job, command->engine, err) == 0)
        status = command->run(&job, err);
    free(config);
    return status;
}
