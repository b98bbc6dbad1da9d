#include "tell/outputs.h"

#include "tell/batch_csv.h"
#include "tell/trace_writer.h"

#include <vidur/csv.h>
#include <vidur/paths.h>

#include <stdlib.h>

/* A file written as the run goes. */
struct stream_ops {
    const char *file;
    bool (*wanted)(const struct vidur_output_config *output);
    void *(*open)(const char *path, const struct vidur_outputs_options *options,
                  struct vidur_error *err);
    /* NULL: does not look at these */
    int (*batch)(void *stream, const struct vidur_batch_record *record);
    int (*event)(void *stream, const struct vidur_event_record *record);
    /* Frees the stream, too, unless it `stays` to be asked for what it counted. */
    int (*commit)(void *stream, const char *path, struct vidur_error *err);
    void (*discard)(void *stream);
    bool stays;
};

/* ---- batch_metrics.csv ---- */

static bool batches_wanted(const struct vidur_output_config *output)
{
    return output->batches;
}

static void *batches_open(const char *path, const struct vidur_outputs_options *options,
                          struct vidur_error *err)
{
    (void)options;
    return vidur_batch_csv_open(path, err);
}

static int batches_commit(void *stream, const char *path, struct vidur_error *err)
{
    (void)path;
    return vidur_csv_writer_commit(stream, err);
}

static void batches_discard(void *stream)
{
    vidur_csv_writer_discard(stream);
}

/* ---- operator_metrics.csv ---- */

static bool operators_wanted(const struct vidur_output_config *output)
{
    return output->operators;
}

static void *operators_open(const char *path,
                            const struct vidur_outputs_options *options,
                            struct vidur_error *err)
{
    return vidur_operator_metrics_open(path, &options->config->fleet,
                                       options->timetables, err);
}

static int operators_commit(void *stream, const char *path, struct vidur_error *err)
{
    (void)path;
    return vidur_operator_metrics_commit(stream, err);
}

static void operators_discard(void *stream)
{
    vidur_operator_metrics_close(stream);
}

/* ---- Traces ---- */

static bool chrome_wanted(const struct vidur_output_config *output)
{
    return output->chrome_trace;
}

static void *chrome_open(const char *path, const struct vidur_outputs_options *options,
                         struct vidur_error *err)
{
    return vidur_chrome_trace_open(path, &options->config->fleet, options->num_blocks,
                                   err);
}

static bool events_wanted(const struct vidur_output_config *output)
{
    return output->event_trace;
}

static void *events_open(const char *path, const struct vidur_outputs_options *options,
                         struct vidur_error *err)
{
    (void)options;
    return vidur_event_trace_open(path, err);
}

static int trace_commit(void *stream, const char *path, struct vidur_error *err)
{
    (void)path;
    return vidur_trace_writer_commit(stream, err);
}

static void trace_discard(void *stream)
{
    vidur_trace_writer_discard(stream);
}

/* ---- time_series.csv, and what the summary says of batches ---- */

static bool statistics_wanted(const struct vidur_output_config *output)
{
    return output->statistics;
}

static void *statistics_open(const char *path,
                             const struct vidur_outputs_options *options,
                             struct vidur_error *err)
{
    struct vidur_statistics *statistics = NULL;
    (void)path;
    vidur_statistics_create(&statistics, &options->config->fleet, options->num_blocks,
                            err);
    return statistics;
}

static int statistics_commit(void *stream, const char *path, struct vidur_error *err)
{
    return vidur_statistics_write_series(stream, path, err);
}

static void statistics_discard(void *stream)
{
    vidur_statistics_destroy(stream);
}

/* ---- The table ---- */

enum { STATISTICS, BATCHES, OPERATORS, CHROME, EVENTS, NUM_STREAMS };

static const struct stream_ops ops[NUM_STREAMS] = {
    [STATISTICS] = {.file = "time_series.csv",
                    .wanted = statistics_wanted,
                    .open = statistics_open,
                    .batch = vidur_statistics_batch,
                    .commit = statistics_commit,
                    .discard = statistics_discard,
                    .stays = true},
    [BATCHES] = {.file = "batch_metrics.csv",
                 .wanted = batches_wanted,
                 .open = batches_open,
                 .batch = vidur_batch_csv_put,
                 .commit = batches_commit,
                 .discard = batches_discard},
    [OPERATORS] = {.file = "operator_metrics.csv",
                   .wanted = operators_wanted,
                   .open = operators_open,
                   .batch = vidur_operator_metrics_put,
                   .commit = operators_commit,
                   .discard = operators_discard,
                   .stays = true},
    [CHROME] = {.file = "chrome_trace.json",
                .wanted = chrome_wanted,
                .open = chrome_open,
                .batch = vidur_chrome_trace_batch,
                .commit = trace_commit,
                .discard = trace_discard},
    [EVENTS] = {.file = "event_trace.json",
                .wanted = events_wanted,
                .open = events_open,
                .event = vidur_event_trace_event,
                .commit = trace_commit,
                .discard = trace_discard},
};

struct vidur_outputs {
    const struct vidur_outputs_options *options;
    void *streams[NUM_STREAMS];
    struct vidur_path paths[NUM_STREAMS];
    struct vidur_observer observer;
    int failed; /* stream that stopped the run; -1: none */
};

static int on_batch(void *context, const struct vidur_batch_record *record)
{
    struct vidur_outputs *outputs = context;
    for (int i = 0; i < NUM_STREAMS; i++)
        if (outputs->streams[i] && ops[i].batch &&
            ops[i].batch(outputs->streams[i], record)) {
            outputs->failed = i;
            return -1;
        }
    return 0;
}

static int on_event(void *context, const struct vidur_event_record *record)
{
    struct vidur_outputs *outputs = context;
    for (int i = 0; i < NUM_STREAMS; i++)
        if (outputs->streams[i] && ops[i].event &&
            ops[i].event(outputs->streams[i], record)) {
            outputs->failed = i;
            return -1;
        }
    return 0;
}

static int on_progress(void *context, double time_s, int64_t num_completed)
{
    const struct vidur_outputs *outputs = context;
    return outputs->options->progress(outputs->options->progress_context, time_s,
                                      num_completed);
}

static int open_streams(struct vidur_outputs *outputs, struct vidur_error *err)
{
    const struct vidur_outputs_options *options = outputs->options;
    for (int i = 0; i < NUM_STREAMS; i++) {
        if (!ops[i].wanted(&options->config->output))
            continue;
        if (vidur_path_join(options->folder, ops[i].file, &outputs->paths[i], err))
            return -1;
        outputs->streams[i] = ops[i].open(outputs->paths[i].text, options, err);
        if (!outputs->streams[i])
            return -1;
        if (ops[i].batch)
            outputs->observer.batch = on_batch;
        if (ops[i].event)
            outputs->observer.event = on_event;
    }
    return 0;
}

int vidur_outputs_open(struct vidur_outputs **out,
                       const struct vidur_outputs_options *options,
                       struct vidur_error *err)
{
    struct vidur_outputs *outputs = calloc(1, sizeof *outputs);
    if (!outputs)
        return vidur_fail(err, VIDUR_ENOMEM, "outputs: out of memory");
    outputs->options = options;
    outputs->failed = -1;
    outputs->observer.context = outputs;
    outputs->observer.progress = options->progress ? on_progress : NULL;
    if (open_streams(outputs, err)) {
        vidur_outputs_destroy(outputs);
        return -1;
    }
    *out = outputs;
    return 0;
}

void vidur_outputs_destroy(struct vidur_outputs *outputs)
{
    if (!outputs)
        return;
    for (int i = 0; i < NUM_STREAMS; i++)
        if (outputs->streams[i])
            ops[i].discard(outputs->streams[i]);
    free(outputs);
}

const struct vidur_observer *vidur_outputs_observer(const struct vidur_outputs *outputs)
{
    return &outputs->observer;
}

int vidur_outputs_explain(const struct vidur_outputs *outputs, struct vidur_error *err)
{
    if (outputs->failed < 0)
        return -1;
    if (outputs->failed == STATISTICS)
        return vidur_fail(err, VIDUR_ENOMEM, "statistics: out of memory");
    return vidur_fail(err, VIDUR_EIO, "%s: cannot write; is the disk full?",
                      outputs->paths[outputs->failed].text);
}

struct vidur_statistics *vidur_outputs_statistics(const struct vidur_outputs *outputs)
{
    return outputs->streams[STATISTICS];
}

const double *vidur_outputs_operator_totals(const struct vidur_outputs *outputs)
{
    const struct vidur_operator_metrics *operators = outputs->streams[OPERATORS];
    return operators ? vidur_operator_totals(operators) : NULL;
}

int vidur_outputs_commit(struct vidur_outputs *outputs, struct vidur_error *err)
{
    for (int i = 0; i < NUM_STREAMS; i++) {
        void *stream = outputs->streams[i];
        if (!stream)
            continue;
        if (!ops[i].stays)
            outputs->streams[i] = NULL;
        if (ops[i].commit(stream, outputs->paths[i].text, err))
            return -1;
    }
    return 0;
}
