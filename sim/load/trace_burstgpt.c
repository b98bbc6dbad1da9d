#include "load/trace_csv.h"
#include "load/trace_format.h"

/* BurstGPT: seconds; requests that failed have no response tokens. */

static bool recognise(const char *bytes, size_t size)
{
    return vidur_trace_has_column(bytes, size, "Request tokens") &&
           vidur_trace_has_column(bytes, size, "Response tokens");
}

static int read_rows(struct vidur_trace *trace, struct vidur_error *err)
{
    static const struct vidur_trace_table table = {.arrived_at = "Timestamp",
                                                   .prompt_tokens = "Request tokens",
                                                   .output_tokens = "Response tokens",
                                                   .session = "Session ID",
                                                   .latency_s = "Elapsed time",
                                                   .time_unit = "s"};
    return vidur_trace_read_table(trace, &table, err);
}

const struct vidur_trace_format vidur_trace_burstgpt = {
    .name = "burstgpt",
    .title = "BurstGPT: CSV with Timestamp, Request tokens, Response tokens, perhaps "
             "Session ID, Elapsed time",
    .gives = "times, lengths, sessions, ends",
    .time_column = "Timestamp",
    .prompt_column = "Request tokens",
    .output_column = "Response tokens",
    .recognise = recognise,
    .read = read_rows};
