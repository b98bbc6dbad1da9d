#include "load/trace.h"

#include "load/trace_format.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int check_content(const struct vidur_trace *trace, struct vidur_error *err)
{
    const bool may_lack = trace->wanted & VIDUR_TRACE_MAY_LACK;
    if (trace->num_rows == 0 && trace->num_failed > 0)
        return vidur_fail(err, VIDUR_EINVAL,
                          "%s: all %lld requests failed or have no output; a trace "
                          "needs one that was served",
                          trace->path, (long long)trace->num_failed);
    if (trace->num_rows == 0)
        return vidur_fail(err, VIDUR_EINVAL,
                          "%s: no rows below the header; a trace has a row per request",
                          trace->path);
    if (!may_lack && (trace->wanted & VIDUR_TRACE_TIMES) && !trace->time_s)
        return vidur_fail(err, VIDUR_EINVAL,
                          "%s: no times of arrival (format %s); use it for lengths: "
                          "{type: trace, file: ...} beside arrivals with a rate",
                          trace->path, trace->format->name);
    return 0;
}

int vidur_trace_open(struct vidur_trace *trace, const char *path,
                     const struct vidur_trace_options *options, unsigned wanted,
                     struct vidur_error *err)
{
    memset(trace, 0, sizeof *trace);
    trace->options = options;
    trace->wanted = wanted;
    trace->block_tokens =
        options->block_tokens > 0 ? options->block_tokens : VIDUR_TRACE_BLOCK_TOKENS;
    trace->path = strdup(path);
    if (!trace->path)
        return vidur_fail(err, VIDUR_ENOMEM, "%s: out of memory", path);
    if (vidur_trace_format_of(path, options, &trace->format, err))
        return -1;
    trace->time_column = trace->format->time_column;
    trace->prompt_column = trace->format->prompt_column;
    trace->output_column = trace->format->output_column;
    if (trace->format->read(trace, err) || check_content(trace, err) ||
        vidur_trace_finish(trace, err))
        return -1;
    trace->options = NULL;
    return 0;
}

int64_t vidur_trace_longest(const char *path, const struct vidur_trace_options *options,
                            struct vidur_error *err)
{
    struct vidur_trace trace;
    int64_t longest = 2; /* the least that a workload takes */
    if (vidur_trace_open(&trace, path, options, VIDUR_TRACE_LENGTHS, err))
        longest = 0;
    for (int64_t i = 0; longest > 0 && i < trace.num_rows; i++) {
        const int64_t sum = (int64_t)trace.prompt_tokens[i] + trace.output_tokens[i];
        longest = sum > longest ? sum : longest;
    }
    vidur_trace_close(&trace);
    return longest;
}

int vidur_trace_fail(const char *key, struct vidur_error *err)
{
    return err && err->code == VIDUR_EIO ? vidur_fail_prefix(err, "%s", key) : -1;
}

void vidur_trace_close(struct vidur_trace *trace)
{
    vidur_intern_fini(&trace->session_names);
    vidur_intern_fini(&trace->block_names);
    free(trace->path);
    free(trace->time_s);
    free(trace->prompt_tokens);
    free(trace->output_tokens);
    free(trace->line);
    free(trace->session);
    free(trace->end_s);
    free(trace->priority);
    free(trace->first_block);
    free(trace->blocks);
    memset(trace, 0, sizeof *trace);
}

int vidur_trace_row_fail(const struct vidur_trace *trace, int64_t row,
                         const char *column, struct vidur_error *err, const char *fmt,
                         ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return vidur_fail(err, VIDUR_EINVAL, "%s:%d: %s: %s", trace->path,
                      (int)trace->line[row], column, text);
}

int vidur_trace_scale_tokens(const struct vidur_trace *trace, int64_t row,
                             const double factor[2], int64_t tokens[2],
                             struct vidur_error *err)
{
    for (int i = 0; i < 2; i++) {
        const int32_t *column = i == 0 ? trace->prompt_tokens : trace->output_tokens;
        double scaled = (double)column[row] * factor[i];
        if (!(scaled <= INT32_MAX))
            return vidur_trace_row_fail(
                trace, row, i == 0 ? trace->prompt_column : trace->output_column, err,
                "%.17g tokens; at most %d", scaled, INT32_MAX);
        tokens[i] = (int64_t)scaled;
    }
    return 0;
}
