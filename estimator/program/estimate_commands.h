#ifndef VIDUR_ESTIMATE_COMMANDS_H
#define VIDUR_ESTIMATE_COMMANDS_H

#include "base/args.h"
#include "program/estimate_config.h"

#include <vidur/log.h>

#include <stdio.h>

/*
 * The room estimator/program. The program vidur-estimate: options, commands, output.
 * Only here the floor prints.
 */

/*
 * vidur-estimate's commands. `run` looks up and runs the one that the first positional
 * argument names, prints its results to `out`, and returns the program's exit status: 0
 * done, 1 bad usage, configuration or input, 2 the results could not be written; err
 * says why.
 */
int vidur_estimate_run(const struct vidur_args *args, FILE *out,
                       const struct vidur_log *log, struct vidur_error *err);

/* What a command works on. Commands return as main() does. */
struct vidur_estimate_job {
    const struct vidur_args *args;
    struct vidur_estimate_config *config;
    FILE *out;
    const struct vidur_log *log;
};

int vidur_estimate_train(const struct vidur_estimate_job *job, struct vidur_error *err);
int vidur_estimate_validate(const struct vidur_estimate_job *job,
                            struct vidur_error *err);
/* validate with --against */
int vidur_estimate_against(const struct vidur_estimate_job *job,
                           struct vidur_error *err);
/* validate and fit with --kernels, which need no configuration */
int vidur_estimate_kernels(const struct vidur_args *args, FILE *out,
                           struct vidur_error *err);
int vidur_estimate_fit(const struct vidur_estimate_job *job, struct vidur_error *err);
int vidur_estimate_tables(const struct vidur_estimate_job *job,
                          struct vidur_error *err);
int vidur_estimate_predict(const struct vidur_estimate_job *job,
                           struct vidur_error *err);
/* One engine step, operator by operator. */
int vidur_estimate_explain(const struct vidur_estimate_job *job,
                           struct vidur_error *err);

#endif
