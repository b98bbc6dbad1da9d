#ifndef VIDUR_SIM_TRACE_FORMAT_H
#define VIDUR_SIM_TRACE_FORMAT_H

#include "load/trace.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * Formats of request logs. To add one: a file trace_NAME.c with one of these, and its
 * line in the registry in trace_formats.c.
 */
struct vidur_trace_format {
    const char *name;  /* as `format:` calls it */
    const char *title; /* what the files are */
    const char *gives; /* "times, lengths, blocks": for lists */
    const char *time_column, *prompt_column, *output_column;
    bool keeps_times; /* they are the file's, and no row is left out */
    /* Whether a file that begins so, unzipped, is of this format. */
    bool (*recognise)(const char *bytes, size_t size);
    /* Adds the rows. */
    int (*read)(struct vidur_trace *trace, struct vidur_error *err);
};

extern const struct vidur_trace_format vidur_trace_vidur, vidur_trace_azure,
    vidur_trace_burstgpt, vidur_trace_mooncake, vidur_trace_sharegpt,
    vidur_trace_vllm_bench, vidur_trace_guidellm, vidur_trace_aiperf,
    vidur_trace_genai_perf, vidur_trace_inference_perf, vidur_trace_access_log;

/* By index, NULL beyond the last. */
const struct vidur_trace_format *vidur_trace_format_at(int index);
/* "KEY: 'x' is not known; ..." */
int vidur_trace_format_check(const char *key, const char *name,
                             struct vidur_error *err);

/* Whether the options say what columns are called. */
bool vidur_trace_maps_columns(const struct vidur_trace_options *options);

/* The format of a file: the one that the options name, else by its content. */
int vidur_trace_format_of(const char *path, const struct vidur_trace_options *options,
                          const struct vidur_trace_format **out,
                          struct vidur_error *err);

/* Options from `key.path=value` texts, as --set takes them, and a format or NULL. */
int vidur_trace_options_set(struct vidur_trace_options *options,
                            const char *const *sets, int num_sets, const char *format,
                            struct vidur_error *err);

/* The beginning of a file, unzipped: *size of at most `most` bytes. */
int vidur_trace_head(const char *path, char *head, int most, int *size,
                     struct vidur_error *err);

/* For recognising: whether the first line of a CSV file has the column; whether the
 * text is JSON that has the key somewhere. */
bool vidur_trace_has_column(const char *bytes, size_t size, const char *name);
bool vidur_trace_is_json(const char *bytes, size_t size);
bool vidur_trace_has_key(const char *bytes, size_t size, const char *key);

/* What the options say, or else the default. */
const char *vidur_trace_or(const char *given, const char *name);
const char *vidur_trace_time_unit(const struct vidur_trace *trace, const char *unit);

#endif
