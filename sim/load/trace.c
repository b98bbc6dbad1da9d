#include "load/trace.h"

#include <string.h>

enum { COLUMN_PREFILL, COLUMN_DECODE };

static void want(struct vidur_trace *trace, const char *name, enum vidur_csv_type type)
{
    trace->columns[trace->num_columns++] =
        (struct vidur_csv_column){name, type, VIDUR_CSV_NOT_NEGATIVE};
}

static int check_order(const struct vidur_trace *trace, int column,
                       struct vidur_error *err)
{
    for (int64_t i = 1; i < trace->num_rows; i++)
        if (trace->time_s[i] < trace->time_s[i - 1])
            return vidur_csv_fail(trace->csv, i, column, err,
                                  "%.17g comes after %.17g; sort the rows by time",
                                  trace->time_s[i], trace->time_s[i - 1]);
    return 0;
}

int vidur_trace_open(struct vidur_trace *trace, const char *path,
                     const char *time_column, unsigned wanted, struct vidur_error *err)
{
    memset(trace, 0, sizeof *trace);
    if (wanted & VIDUR_TRACE_LENGTHS) {
        want(trace, "num_prefill_tokens", VIDUR_CSV_INT64);
        want(trace, "num_decode_tokens", VIDUR_CSV_INT64);
    }
    int time = trace->num_columns;
    if (wanted & VIDUR_TRACE_TIMES)
        want(trace, time_column, VIDUR_CSV_DOUBLE);
    const struct vidur_csv_schema schema = {trace->columns, trace->num_columns, false};
    trace->csv = vidur_csv_read(path, &schema, err);
    if (!trace->csv)
        return -1;
    trace->num_rows = vidur_csv_rows(trace->csv);
    if (trace->num_rows == 0)
        return vidur_fail(err, VIDUR_EINVAL,
                          "%s: no rows below the header; a trace has a row per request",
                          path);
    if (wanted & VIDUR_TRACE_LENGTHS) {
        trace->prefill_tokens = vidur_csv_int64s(trace->csv, COLUMN_PREFILL);
        trace->decode_tokens = vidur_csv_int64s(trace->csv, COLUMN_DECODE);
    }
    if (!(wanted & VIDUR_TRACE_TIMES))
        return 0;
    trace->time_s = vidur_csv_doubles(trace->csv, time);
    return check_order(trace, time, err);
}

int vidur_trace_fail(const char *key, struct vidur_error *err)
{
    return err && err->code == VIDUR_EIO ? vidur_fail_prefix(err, "%s", key) : -1;
}

void vidur_trace_close(struct vidur_trace *trace)
{
    vidur_csv_free(trace->csv);
    memset(trace, 0, sizeof *trace);
}

int vidur_trace_scale_tokens(const struct vidur_trace *trace, int64_t row,
                             const double factor[2], int64_t tokens[2],
                             struct vidur_error *err)
{
    for (int i = 0; i < 2; i++) {
        const int64_t *column = i == 0 ? trace->prefill_tokens : trace->decode_tokens;
        double scaled = (double)column[row] * factor[i];
        if (!(scaled <= INT32_MAX))
            return vidur_csv_fail(trace->csv, row,
                                  i == 0 ? COLUMN_PREFILL : COLUMN_DECODE, err,
                                  "%.17g tokens; at most %d", scaled, INT32_MAX);
        tokens[i] = (int64_t)scaled;
    }
    return 0;
}
