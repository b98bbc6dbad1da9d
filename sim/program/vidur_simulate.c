/* vidur-simulate: one deployment at one load, simulated. */

#include "base/args.h"
#include "base/file.h"
#include "base/progress.h"
#include "compare/compare.h"
#include "load/trace_format.h"
#include "program/simulation.h"
#include "tell/describe_trace.h"

#include <vidur/paths.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#define PROGRAM "vidur-simulate"

/* Exit statuses; see CONTRACT.md. */
enum { DONE = 0, BAD_INPUT = 1, NOT_COMPLETED = 2, INTERRUPTED = 3 };

/* The one thing that a signal handler may touch. */
static volatile sig_atomic_t interrupted;

static void on_signal(int signal_number)
{
    (void)signal_number;
    interrupted = 1;
}

/* A second signal ends the program at once, as it would without a handler. */
static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

#define DEFAULT_BLOCKS "1000,10000,100000"

static const struct vidur_args_option options[] = {
    {"output", 'o', "DIR",
     "The folder for the files, made if it is missing; files of an earlier run are "
     "replaced. Default: simulation."},
    {"compare", 0, "MEASURED.json",
     "Instead: simulate the experiments of this file, measurements of a real engine, "
     "and print predicted and measured latencies side by side, their errors by model, "
     "precision and device, and what cannot be modelled with its reason; compare.csv "
     "has it all. What an experiment states (model, device, precision, layout, limits "
     "of the engine, load) is its own, the rest comes from the configuration. Formats, "
     "by content: results of vllm bench serve --save-result, closed loops, shared "
     "prefixes at constant rates; data/FIDELITY.md shows each."},
    {"experiments", 0, "ID,...", "Only these. Default: all."},
    {"fit", 0, "NAME,...",
     "Change these constants of the step model (eta, t0, c_ar, tokenise, t_api) to "
     "those with the least squared relative errors of TPOT and TTFT, and print them as "
     "YAML."},
    {"describe", 0, "FILE",
     "Instead, and without CONFIG.yaml: print what is in this log of requests, of any "
     "format that workload.file may have (vidur-search --list formats): its format, "
     "rows, rates over time, lengths, sessions, and the prefix hit rates that stores "
     "of its prompt blocks would have. time_unit, columns, characters_per_token and "
     "block_tokens of a workload are given by --set: --set time_unit=ms."},
    {"format", 0, "NAME",
     "With --describe: the log's format. Default: by its content."},
    {"blocks", 0, "N,...",
     "With --describe: sizes of these stores, in the log's blocks. "
     "Default: " DEFAULT_BLOCKS "."},
};

static const char *const libraries[] = {VIDUR_HDF5, NULL};

static const struct vidur_args_spec spec = {
    .program = PROGRAM,
    .arguments =
        "CONFIG.yaml [-o DIR] [--set KEY.PATH=VALUE]... "
        "[--compare MEASURED.json [--experiments ID,...] [--fit NAME,...]], or "
        "--describe FILE [--format NAME] [--blocks N,...]",
    .summary =
        "Simulates one deployment of a large language model at one load: requests "
        "arrive, a router gives them to replicas, a scheduler forms batches, and each "
        "batch takes the time that a timetable says. Prints latencies, throughput and "
        "utilization, and writes summary.json (all of it, with p50 to p99 of every "
        "metric), request_metrics.csv (a row per request) and time_series.csv; with "
        "output.batches, output.operators, output.chrome_trace and output.event_trace "
        "set to true also batch_metrics.csv, operator_metrics.csv, chrome_trace.json "
        "(open it in ui.perfetto.dev) and event_trace.json. Times are in seconds "
        "unless a name says otherwise. Instead of a rate, clients that wait for their "
        "answers: --set 'workload.arrivals={type: closed_loop, concurrency: 64}'. "
        "Chats and agents of several turns are workload.type sessions, whose summary "
        "tells first and later turns apart: configs/simulate-sessions.yaml. "
        "Several pools of replicas, of other devices, layouts or schedulers, behind "
        "one "
        "router, or with prefill and decode apart: the key `pools`; the summary tells "
        "pool by pool. Every key of the configuration is explained in "
        "configs/simulate-reference.yaml.",
    .options = options,
    .num_options = sizeof options / sizeof options[0],
    .takes_set = true,
    .min_positional = 0, /* check_options */
    .max_positional = 1,
    .libraries = libraries,
    .examples =
        {"vidur-simulate configs/simulate-quickstart.yaml -o out",
         "vidur-simulate configs/simulate-quickstart.yaml "
         "--set workload.arrivals.qps=4 --set output.chrome_trace=true",
         "vidur-simulate configs/simulate-vllm-v1-h100.yaml --compare measured.json "
         "--fit eta,t_api -o out",
         "vidur-simulate --describe requests.jsonl.gz --blocks 1000,20000", NULL},
};

static void print_log(void *context, enum vidur_log_level level, const char *text)
{
    fprintf(context, PROGRAM ": %s%s\n", level == VIDUR_LOG_WARN ? "warning: " : "",
            text);
}

struct progress {
    struct vidur_progress line;
    const struct vidur_simulation *simulation;
};

static int show_progress(void *context, double time_s, int64_t num_completed)
{
    struct progress *progress = context;
    const struct vidur_workload *workload = progress->simulation->workload;
    char text[64];
    snprintf(text, sizeof text, "simulated %.0f s", time_s);
    vidur_progress_update(&progress->line, (long)num_completed,
                          (long)workload->num_requests, text);
    return 0;
}

static int report(const struct vidur_error *err, int status)
{
    fprintf(stderr, PROGRAM ": %s\n", err->text);
    return status;
}

static int flush(void)
{
    if (!fflush(stdout) && !ferror(stdout))
        return DONE;
    fprintf(stderr, PROGRAM ": cannot write to standard output\n");
    return NOT_COMPLETED;
}

static int run(struct vidur_simulation *simulation,
               const struct vidur_simulation_options *simulation_options, bool quiet,
               struct progress *progress)
{
    struct vidur_error err = {0};
    if (vidur_simulation_prepare(simulation, simulation_options, &err))
        return report(&err, interrupted ? INTERRUPTED : BAD_INPUT);
    vidur_progress_start(&progress->line, stderr, quiet, "requests");
    int status = vidur_simulation_run(simulation, simulation_options, &err);
    vidur_progress_clear(&progress->line);
    if (status && err.code == VIDUR_EINTR) {
        fprintf(stderr, PROGRAM ": interrupted; nothing was written\n");
        return INTERRUPTED;
    }
    if (status || vidur_simulation_write(simulation, &err))
        return report(&err, NOT_COMPLETED);
    if (!quiet) {
        struct vidur_summary summary = vidur_simulation_summary(simulation);
        vidur_summary_print(&summary, stdout);
        printf("files        %s\n", simulation_options->folder);
    }
    if (vidur_simulation_check_finished(simulation, simulation_options, &err)) {
        fprintf(stderr, PROGRAM ": warning: %s\n", err.text);
        flush();
        return NOT_COMPLETED;
    }
    return flush();
}

static struct vidur_log log_of(const struct vidur_args *args)
{
    return (struct vidur_log){.write = args->quiet ? NULL : print_log,
                              .ctx = stderr,
                              .level = args->verbose ? VIDUR_LOG_INFO : VIDUR_LOG_WARN};
}

static const char *folder_of(const struct vidur_args *args)
{
    const char *folder = vidur_args_value(args, "output");
    return folder ? folder : "simulation";
}

static int simulate(const struct vidur_args *args)
{
    struct vidur_simulation simulation;
    struct progress progress = {.simulation = &simulation};
    const struct vidur_log log = log_of(args);
    const struct vidur_simulation_options simulation_options = {
        .config_path = args->positional[0],
        .sets = args->sets,
        .num_sets = args->num_sets,
        .folder = folder_of(args),
        .log = &log,
        .progress = show_progress,
        .progress_context = &progress,
        .cancel = &interrupted,
    };
    catch_signals();
    int status = run(&simulation, &simulation_options, args->quiet, &progress);
    vidur_simulation_release(&simulation);
    return status;
}

/* ---- Beside measurements ---- */

static int write_comparison(const struct vidur_comparison *comparison,
                            const char *folder, struct vidur_error *err)
{
    struct vidur_path path;
    return vidur_file_make_folder(folder, err) ||
                   vidur_path_join(folder, "compare.csv", &path, err) ||
                   vidur_comparison_write(comparison, path.text, err)
               ? -1
               : 0;
}

static void print_fit(const struct vidur_comparison *comparison,
                      const struct vidur_calibration *calibration)
{
    printf("fitted in %d runs%s: errors of TPOT and TTFT, root mean square, %.2f %% "
           "before and %.2f %% now\n\n",
           calibration->num_runs,
           calibration->converged ? "" : " (stopped before it had converged)",
           calibration->rms_before * 100, calibration->rms * 100);
    vidur_comparison_print_constants(comparison, stdout);
    printf("\n");
}

static void show_experiments(void *context, int done, int total)
{
    vidur_progress_update(context, done, total, NULL);
}

static int run_comparison(struct vidur_comparison *comparison,
                          const struct vidur_args *args,
                          struct vidur_progress *progress)
{
    struct vidur_error err = {0};
    struct vidur_calibration calibration;
    const char *fit = vidur_args_value(args, "fit");
    const int status = fit ? vidur_comparison_fit(comparison, fit, &calibration, &err)
                           : vidur_comparison_run(comparison, &err);
    vidur_progress_clear(progress);
    if (status && err.code == VIDUR_EINTR) {
        fprintf(stderr, PROGRAM ": interrupted; nothing was written\n");
        return INTERRUPTED;
    }
    if (status)
        return report(&err, BAD_INPUT);
    if (write_comparison(comparison, folder_of(args), &err))
        return report(&err, NOT_COMPLETED);
    if (!args->quiet) {
        if (fit)
            print_fit(comparison, &calibration);
        if (vidur_comparison_print(comparison, stdout, &err))
            return report(&err, NOT_COMPLETED);
        printf("files      %s\n", folder_of(args));
    }
    return flush();
}

static int compare(const struct vidur_args *args)
{
    struct vidur_comparison *comparison;
    struct vidur_progress progress;
    struct vidur_error err = {0};
    const struct vidur_log log = log_of(args);
    const struct vidur_comparison_options comparison_options = {
        .config_path = args->positional[0],
        .sets = args->sets,
        .num_sets = args->num_sets,
        .measured_path = vidur_args_value(args, "compare"),
        .experiments = vidur_args_value(args, "experiments"),
        .log = &log,
        .cancel = &interrupted,
        .progress = show_experiments,
        .progress_context = &progress};
    catch_signals();
    vidur_progress_start(&progress, stderr, args->quiet, "experiments");
    if (vidur_comparison_open(&comparison, &comparison_options, &err))
        return report(&err, BAD_INPUT);
    const int status = run_comparison(comparison, args, &progress);
    vidur_comparison_close(comparison);
    return status;
}

/* ---- What is in a log ---- */

static int describe(const struct vidur_args *args)
{
    struct vidur_trace_question question = {.path = vidur_args_value(args, "describe")};
    struct vidur_error err = {0};
    struct vidur_text text = {0};
    const char *blocks = vidur_args_value(args, "blocks");
    int status = vidur_trace_options_set(&question.options, args->sets, args->num_sets,
                                         vidur_args_value(args, "format"), &err);
    if (status == 0)
        status =
            vidur_trace_read_stores(blocks ? blocks : DEFAULT_BLOCKS, &question, &err);
    if (status == 0)
        status = vidur_trace_describe(&question, &text, &err);
    if (status == 0)
        fputs(text.data, stdout);
    free(text.data);
    return status ? report(&err, BAD_INPUT) : flush();
}

/* Options that go with another one alone, and the configuration, which one does
 * without. */
static int check_options(const struct vidur_args *args)
{
    static const struct {
        const char *name, *with, *example;
    } pairs[] = {{"experiments", "compare", "--compare MEASURED.json"},
                 {"fit", "compare", "--compare MEASURED.json"},
                 {"blocks", "describe", "--describe FILE"},
                 {"format", "describe", "--describe FILE"}};
    const bool describes = vidur_args_given(args, "describe");
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        if (vidur_args_given(args, pairs[i].name) &&
            !vidur_args_given(args, pairs[i].with)) {
            fprintf(stderr, PROGRAM ": --%s: goes with %s\n", pairs[i].name,
                    pairs[i].example);
            return BAD_INPUT;
        }
    if (describes && args->num_positional > 0) {
        fprintf(stderr, PROGRAM ": --describe: takes no configuration; leave out %s\n",
                args->positional[0]);
        return BAD_INPUT;
    }
    if (!describes && args->num_positional == 0) {
        fprintf(stderr, PROGRAM ": arguments are missing: " PROGRAM " %s\n",
                spec.arguments);
        return BAD_INPUT;
    }
    return DONE;
}

int main(int argc, char **argv)
{
    struct vidur_args args;
    struct vidur_error err = {0};
    int status = DONE;
    if (vidur_args_parse(&args, &spec, argc, argv, &err)) {
        fprintf(stderr, PROGRAM ": %s\n", err.text);
        status = BAD_INPUT;
    } else if (!vidur_args_answer(&args, stdout) &&
               (status = check_options(&args)) == DONE) {
        status = vidur_args_given(&args, "describe")  ? describe(&args)
                 : vidur_args_given(&args, "compare") ? compare(&args)
                                                      : simulate(&args);
    }
    vidur_args_release(&args);
    return status;
}
