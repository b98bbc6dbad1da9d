#include "base/instant.h"
#include "load/trace_format.h"

#include <vidur/csv.h>

/* The project's own traces: workloads, with times as they are to be. */

static bool recognise(const char *bytes, size_t size)
{
    return vidur_trace_has_column(bytes, size, "num_prefill_tokens") ||
           vidur_trace_has_column(bytes, size, "num_decode_tokens");
}

static int add_rows(struct vidur_trace *trace, const struct vidur_csv *csv,
                    int time_column, struct vidur_error *err)
{
    const bool lengths = trace->wanted & VIDUR_TRACE_LENGTHS;
    const bool times = time_column >= 0 && vidur_csv_has(csv, time_column);
    const double units_per_s =
        1e9 / (double)vidur_instant_unit_ns(vidur_trace_time_unit(trace, "s"));
    trace->has_origin = times;
    for (int64_t i = 0; i < vidur_csv_rows(csv); i++) {
        const struct vidur_trace_row row = {
            .line = vidur_csv_line(csv, i),
            .time_s = times ? vidur_csv_doubles(csv, time_column)[i] / units_per_s : 0,
            .prompt_tokens = lengths ? vidur_csv_int64s(csv, 0)[i] : 0,
            .output_tokens = lengths ? vidur_csv_int64s(csv, 1)[i] : 0,
            .session = -1};
        if (vidur_trace_add(trace, &row, err))
            return -1;
    }
    return 0;
}

static int read_rows(struct vidur_trace *trace, struct vidur_error *err)
{
    struct vidur_csv_column columns[3];
    int count = 0, time_column = -1;
    if (trace->options->columns.arrived_at[0])
        trace->time_column = trace->options->columns.arrived_at;
    if (trace->wanted & VIDUR_TRACE_LENGTHS)
        for (int i = 0; i < 2; i++)
            columns[count++] = (struct vidur_csv_column){
                i == 0 ? trace->prompt_column : trace->output_column, VIDUR_CSV_INT64,
                VIDUR_CSV_NOT_NEGATIVE};
    if (trace->wanted & VIDUR_TRACE_TIMES) {
        const bool all = trace->wanted & VIDUR_TRACE_ALL;
        time_column = count;
        columns[count++] = (struct vidur_csv_column){
            trace->time_column, VIDUR_CSV_DOUBLE,
            VIDUR_CSV_NOT_NEGATIVE | (all ? VIDUR_CSV_OPTIONAL : 0)};
    }
    const struct vidur_csv_schema schema = {columns, count, false};
    struct vidur_csv *csv = vidur_csv_read(trace->path, &schema, err);
    const int status = csv ? add_rows(trace, csv, time_column, err) : -1;
    vidur_csv_free(csv);
    trace->time_column = trace->format->time_column;
    return status;
}

const struct vidur_trace_format vidur_trace_vidur = {
    .name = "vidur",
    .title = "this project's traces: CSV with "
             "num_prefill_tokens, num_decode_tokens, arrived_at",
    .gives = "times, lengths",
    .time_column = "arrived_at",
    .prompt_column = "num_prefill_tokens",
    .output_column = "num_decode_tokens",
    .keeps_times = true,
    .recognise = recognise,
    .read = read_rows};
