#include "base/args.h"
#include "base/file.h"
#include "report/report.h"
#include "report/report_money.h"
#include "results/results_h5.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Reads results, writes reports. Exit status: 0 done, 1 bad usage or input, 2 a report
 * could not be written. */

static const struct vidur_args_option options[] = {
    {"html", 0, "FILE",
     "Write the report as one HTML page that works offline; - is standard output."},
    {"markdown", 0, "FILE", "Write it as Markdown, for a pull request; or -."},
    {"csv", 0, "FILE",
     "Write every column of the ranking as CSV, with --qps those of its sizes; or -."},
    {"top", 0, "N",
     "Rows of the ranking for each model and workload (default: none in the answer, 10 "
     "in Markdown, all in CSV and HTML)."},
    {"model", 0, "NAME", "Only this model."},
    {"trace", 0, "NAME", "Only this workload."},
    {"sku", 0, "NAME", "Only this device or node, e.g. h100 or h100_dgx."},
    {"qps", 0, "QPS",
     "Say first what to rent for this load (requests per second): the cheapest of all "
     "candidates, in whole replicas."},
    {"headroom", 0, "SHARE",
     "Size it for --qps times (1 + SHARE), from 0 to less than 10. Default: 0."},
    {"brief", 0, NULL,
     "Of the answer only a table of what to rent, a row for each model and workload."},
    {"whole-nodes", 0, NULL, "Price whole nodes, not GPUs, for --qps."},
    {"api-price", 0, "INPUT,OUTPUT",
     "What an API asks for a million input and output tokens, USD: says what it would "
     "cost and from which load on GPUs of your own are cheaper."},
    {"compare", 0, "OTHER.h5",
     "Say what changed from RESULTS.h5 to OTHER.h5; as Markdown with --markdown."},
    {"merge", 0, NULL,
     "Put several results of one search (tasks of an array job) into one file; ranks "
     "are made anew. Needs --output."},
    {"output", 'o', "FILE", "Where --merge writes."},
};

/* How a report gets on a stream or into a file. */
struct job {
    const struct vidur_results *results, *other; /* other: to compare with, or NULL */
    const struct vidur_report_options *options;
    bool quiet;
    bool write_failed; /* the report was made but could not be written */
};

typedef int report_function(FILE *out, const struct job *job, struct vidur_error *err);

static int put_answer(FILE *out, const struct job *job, struct vidur_error *err)
{
    return vidur_report_answer(out, job->results, job->options, err);
}

static int put_html(FILE *out, const struct job *job, struct vidur_error *err)
{
    return vidur_report_html(out, job->results, job->options, err);
}

static int put_markdown(FILE *out, const struct job *job, struct vidur_error *err)
{
    return vidur_report_markdown(out, job->results, job->options, err);
}

static int put_csv(FILE *out, const struct job *job, struct vidur_error *err)
{
    return vidur_report_csv(out, job->results, job->options, err);
}

static int put_comparison(FILE *out, const struct job *job, struct vidur_error *err)
{
    return vidur_report_compare(out, job->results, job->other, job->options, err);
}

static int print_report(struct job *job, report_function *put, struct vidur_error *err)
{
    if (put(stdout, job, err))
        return -1;
    job->write_failed = fflush(stdout) != 0 || ferror(stdout);
    return job->write_failed ? vidur_fail(err, VIDUR_EIO, "cannot write to stdout") : 0;
}

static void tell(const struct job *job, const char *path)
{
    if (!job->quiet)
        fprintf(stderr, "wrote %s\n", path);
}

static int write_report(struct job *job, const char *path, report_function *put,
                        struct vidur_error *err)
{
    if (strcmp(path, "-") == 0)
        return print_report(job, put, err);
    struct vidur_file *file = vidur_file_create(path, err);
    if (!file) {
        job->write_failed = true;
        return -1;
    }
    if (put(vidur_file_stream(file), job, err)) {
        vidur_file_discard(file);
        return -1;
    }
    if (vidur_file_commit(file, err)) {
        job->write_failed = true;
        return -1;
    }
    tell(job, path);
    return 0;
}

static bool is_same_file(const char *path, const char *other)
{
    struct stat a, b;
    return other && stat(path, &a) == 0 && stat(other, &b) == 0 &&
           a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static int write_reports(struct job *job, const struct vidur_args *args,
                         struct vidur_error *err)
{
    const char *html = vidur_args_value(args, "html");
    const char *markdown = vidur_args_value(args, "markdown");
    const char *csv = vidur_args_value(args, "csv");
    const char *const paths[] = {html, markdown, csv};
    int to_stdout = 0;
    for (int i = 0; i < 3; i++)
        to_stdout += paths[i] && strcmp(paths[i], "-") == 0;
    for (int i = 0; i < 3; i++)
        if (paths[i] && (is_same_file(paths[i], args->positional[0]) ||
                         is_same_file(paths[i], vidur_args_value(args, "compare"))))
            return vidur_fail(
                err, VIDUR_EINVAL,
                "%s: holds the results that are read, which a report would "
                "destroy; name another file",
                paths[i]);
    if (to_stdout > 1)
        return vidur_fail(err, VIDUR_EINVAL,
                          "only one of --html, --markdown and --csv can be -, standard "
                          "output; give the others a FILE");
    if (job->other && (html || csv))
        return vidur_fail(err, VIDUR_EINVAL,
                          "--compare prints text, or Markdown with --markdown FILE; "
                          "leave out --html and --csv");
    if (job->options->brief && (html || markdown || csv || job->other))
        return vidur_fail(err, VIDUR_EINVAL,
                          "--brief is of the answer that is printed; leave out --html, "
                          "--markdown, --csv and --compare, or ask twice");
    if (markdown &&
        write_report(job, markdown, job->other ? put_comparison : put_markdown, err))
        return -1;
    if (csv && write_report(job, csv, put_csv, err))
        return -1;
    if (html &&
        write_report(job, html, put_html, err)) /* last: it may lack its parts */
        return -1;
    if (html || markdown || csv)
        return 0;
    return print_report(job, job->other ? put_comparison : put_answer, err);
}

static int read_load(const struct vidur_args *args, struct vidur_report_load *load,
                     struct vidur_error *err)
{
    static const double MAX_QPS = 1e9;
    load->whole_nodes = vidur_args_given(args, "whole-nodes");
    if (vidur_args_double(args, "qps", &load->target_qps, err) ||
        vidur_args_double(args, "headroom", &load->headroom, err))
        return -1;
    if (!vidur_args_given(args, "qps")) {
        if (load->whole_nodes || vidur_args_given(args, "headroom"))
            return vidur_fail(err, VIDUR_EINVAL,
                              "--headroom and --whole-nodes are about a load; give it "
                              "with --qps");
        return 0;
    }
    if (!(load->target_qps > 0 && load->target_qps <= MAX_QPS))
        return vidur_fail(err, VIDUR_EINVAL,
                          "--qps: %g; give more than 0, and at most %g",
                          load->target_qps, MAX_QPS);
    if (!(load->headroom >= 0 && load->headroom < 10))
        return vidur_fail(err, VIDUR_EINVAL,
                          "--headroom: %g; give a share from 0 to less than 10 (0.1 is "
                          "10 %%)",
                          load->headroom);
    if (vidur_args_given(args, "compare"))
        return vidur_fail(err, VIDUR_EINVAL,
                          "--compare says nothing about a load; leave out --qps");
    return 0;
}

static int read_options(const struct vidur_args *args,
                        struct vidur_report_options *report, struct vidur_error *err)
{
    *report =
        (struct vidur_report_options){.model = vidur_args_value(args, "model"),
                                      .trace = vidur_args_value(args, "trace"),
                                      .sku = vidur_args_value(args, "sku"),
                                      .source = args->positional[0],
                                      .markdown = vidur_args_given(args, "markdown"),
                                      .brief = vidur_args_given(args, "brief")};
    if (vidur_args_int(args, "top", &report->top, err))
        return -1;
    if (vidur_args_given(args, "top") && report->top < 1)
        return vidur_fail(err, VIDUR_EINVAL, "--top: %d; give 1 or more", report->top);
    const char *api = vidur_args_value(args, "api-price");
    if (api && vidur_args_given(args, "compare"))
        return vidur_fail(err, VIDUR_EINVAL,
                          "--compare says nothing about an API; leave out --api-price");
    if (api && vidur_api_price_parse(api, &report->api, err) != 0)
        return -1;
    return read_load(args, &report->load, err);
}

static int report(struct job *job, const struct vidur_args *args,
                  struct vidur_error *err)
{
    struct vidur_report_options report_options;
    struct vidur_results results = {0}, other = {0};
    const char *other_path = vidur_args_value(args, "compare");
    if (args->num_positional != 1)
        return vidur_fail(err, VIDUR_EINVAL,
                          "unexpected argument '%s'; several results need --merge",
                          args->positional[1]);
    if (vidur_args_given(args, "output"))
        return vidur_fail(err, VIDUR_EINVAL,
                          "--output goes with --merge; use --html, --markdown or "
                          "--csv FILE");
    int failed = read_options(args, &report_options, err) ||
                 vidur_results_read(args->positional[0], &results, err) ||
                 (other_path && vidur_results_read(other_path, &other, err));
    if (!failed) {
        job->results = &results;
        job->other = other_path ? &other : NULL;
        job->options = &report_options;
        failed = write_reports(job, args, err);
    }
    job->results = job->other = NULL;
    job->options = NULL;
    vidur_results_destroy(&results);
    vidur_results_destroy(&other);
    return failed ? -1 : 0;
}

static int merge(struct job *job, const struct vidur_args *args,
                 struct vidur_error *err)
{
    const char *path = vidur_args_value(args, "output");
    if (!path)
        return vidur_fail(err, VIDUR_EINVAL, "--merge needs --output FILE");
    if (vidur_results_check_target(path, err) != 0)
        return -1;
    int count = args->num_positional;
    struct vidur_results merged = {0};
    struct vidur_results *parts = calloc((size_t)count, sizeof *parts);
    int failed = parts ? 0 : vidur_fail(err, VIDUR_ENOMEM, "out of memory");
    for (int i = 0; i < count && !failed; i++)
        failed = vidur_results_read(args->positional[i], &parts[i], err);
    failed =
        failed || vidur_results_merge(parts, args->positional, count, &merged, err);
    if (!failed && vidur_results_write(path, &merged, err)) {
        job->write_failed = true;
        failed = -1;
    }
    if (!failed)
        tell(job, path);
    for (int i = 0; parts && i < count; i++)
        vidur_results_destroy(&parts[i]);
    free(parts);
    vidur_results_destroy(&merged);
    return failed ? -1 : 0;
}

int main(int argc, char **argv)
{
    char hdf5[48];
    snprintf(hdf5, sizeof hdf5, "HDF5 %s", vidur_h5_version().text);
    const char *const libraries[] = {hdf5, NULL};
    const struct vidur_args_spec spec = {
        .program = "vidur-report",
        .arguments = "RESULTS.h5 [options]",
        .summary = "Says which deployment to rent, why, and what it costs to be wrong, "
                   "from the results of vidur-search. Without options it prints the "
                   "answer.",
        .options = options,
        .num_options = sizeof options / sizeof options[0],
        .min_positional = 1,
        .max_positional = 100000,
        .examples = {"vidur-report results.h5 --html report.html --qps 40",
                     "vidur-report --merge part-*.h5 -o results.h5", NULL},
        .libraries = libraries};
    struct vidur_args args;
    struct vidur_error err = {0};
    struct job job = {0};
    int failed = vidur_args_parse(&args, &spec, argc, argv, &err);
    job.quiet = args.quiet;
    if (!failed && !vidur_args_answer(&args, stdout))
        failed = vidur_args_given(&args, "merge") ? merge(&job, &args, &err)
                                                  : report(&job, &args, &err);
    if (failed)
        fprintf(stderr, "vidur-report: %s\n", err.text);
    vidur_args_release(&args);
    return failed ? (job.write_failed ? 2 : 1) : 0;
}
