/* vidur-estimate: trains, judges and prints the operator times of one deployment. */

#include "base/args.h"
#include "program/estimate_commands.h"
#include "tables/cache.h"

#include <stdio.h>
#include <string.h>

static const struct vidur_args_option options[] = {
    {"output", 'o', "PATH",
     "tables: the folder to write OPERATOR.csv files to. fit --kernels: the device's "
     "spec "
     "to put the section into (its other lines stay), or a new file for the section "
     "alone. Default: print it."},
    {"against", 0, "DIR",
     "validate, fit: a folder of measured profiles to compare the roofline with."},
    {"models", 0, "NAME,...",
     "validate --against, fit: the models to compare. Default: the configuration's."},
    {"tp", 0, "N,...",
     "validate --against, fit: the tensor parallel sizes to compare. Default: the "
     "configuration's."},
    {"decodes", 0, "N", "explain: requests that decode in the step. Default: 32."},
    {"context", 0, "TOKENS",
     "explain: context of each, its new token included. Default: 1024."},
    {"prompt", 0, "TOKENS",
     "explain: the chunk of a prompt in the step, its last. Default: 0, none."},
    {"prefix", 0, "TOKENS", "explain: tokens of that prompt before it. Default: 0."},
    {"csv", 0, NULL, "explain: print CSV, unrounded."},
    {"kernels", 0, "DIR",
     "validate, fit: timings of single kernels to compare the engine's roofline with: "
     "a folder with system.yaml, or one above it. validate: of a folder of several "
     "systems a table of all devices."},
    {"device", 0, "NAME",
     "validate --kernels, fit --kernels: the device, or a spec of one. Default: the "
     "one "
     "whose kernel_system is in DIR's path."},
    {"node", 0, "NAME",
     "validate --kernels, fit --kernels: the node whose link is shared, or a spec of "
     "one. "
     "Default: the device's."},
};

static const struct vidur_args_spec spec_without_libraries = {
    .program = "vidur-estimate",
    .arguments = "train|validate|tables|explain|fit CONFIG.yaml, predict CONFIG.yaml "
                 "OPERATOR FEATURE=VALUE..., or validate|fit --kernels DIR",
    .summary =
        "Estimates operator times of a model on a GPU. `train` selects and fits one "
        "regressor per operator and prints rows, hyperparameters, errors (mean "
        "absolute percentage, cross-validated and in sample) and seconds. `validate` "
        "adds the error of every fold and the worst samples; with --against it prints "
        "the roofline's error on measured profiles. `tables` writes the tables that "
        "the simulator looks times up in, one CSV per operator, in ms. `predict` "
        "prints one time in ms, from the regressor and from the table. `explain` "
        "takes one step of an engine apart: every operator on one device with its "
        "time, its share of the step, bytes and FLOPs, and the shares of the memory's "
        "bandwidth and of the peak that it reaches; it takes source kernels or "
        "roofline. `fit` prints the roofline efficiencies with the least error on "
        "measured profiles. With "
        "--kernels, `fit` finds the constants of a device's `engine_roofline` on "
        "timings "
        "of its kernels (least |log(predicted / timed)|, octave by octave of "
        "tokens) and prints their error by operator and format; `validate` prints the "
        "error of those that the device has. Attention of decode rows and of other "
        "heads, latent attention and messages between ranks are judged, not fitted. "
        "all_reduce_skew_us is kept: such timings do not show it. CONFIG.yaml is "
        "vidur-simulate's. Finished tables are cached in "
        "estimator.cache_dir "
        "(default $XDG_CACHE_HOME/vidur-search or ~/.cache/vidur-search; an empty text "
        "switches the cache off).",
    .options = options,
    .num_options = sizeof options / sizeof options[0],
    .takes_set = true,
    .min_positional = 1,
    .max_positional = 8,
    .examples = {"vidur-estimate train configs/simulate-reference.yaml "
                 "--set estimator.profiles=my-profiles",
                 "vidur-estimate predict configs/simulate-reference.yaml attn_decode "
                 "batch_size=32 kv_cache_size=1024",
                 "vidur-estimate explain configs/simulate-vllm-v1-h100.yaml "
                 "--decodes 64 --context 2048",
                 "vidur-estimate fit --kernels kernels/h100_sxm",
                 "vidur-estimate validate --kernels kernels", NULL},
};

static void print_log(void *ctx, enum vidur_log_level level, const char *text)
{
    fprintf(ctx, "vidur-estimate: %s%s\n", level == VIDUR_LOG_WARN ? "warning: " : "",
            text);
}

int main(int argc, char **argv)
{
    char hdf5[32];
    vidur_cache_hdf5_version(hdf5, sizeof hdf5);
    const char *const libraries[] = {hdf5, NULL};
    struct vidur_args_spec spec = spec_without_libraries;
    struct vidur_args args;
    struct vidur_error err = {0};
    int status = 1;

    spec.libraries = libraries;
    if (vidur_args_parse(&args, &spec, argc, argv, &err)) {
        fprintf(stderr, "vidur-estimate: %s\n", err.text);
    } else if (vidur_args_answer(&args, stdout)) {
        status = 0;
    } else {
        const struct vidur_log log = {.write = args.quiet ? NULL : print_log,
                                      .ctx = stderr,
                                      .level = args.verbose ? VIDUR_LOG_INFO
                                                            : VIDUR_LOG_WARN};
        status = vidur_estimate_run(&args, stdout, &log, &err);
        if (status)
            fprintf(stderr, "vidur-estimate: %s\n", err.text);
    }
    vidur_args_release(&args);
    if (fflush(stdout) && status == 0) {
        perror("vidur-estimate: standard output");
        status = 2;
    }
    return status;
}
