#include "load/trace_csv.h"
#include "load/trace_format.h"

/* The project's own traces: workloads, with times as they are to be. */

static bool recognise(const char *bytes, size_t size)
{
    return vidur_trace_has_column(bytes, size, "num_prefill_tokens") ||
           vidur_trace_has_column(bytes, size, "num_decode_tokens");
}

static int read_rows(struct vidur_trace *trace, struct vidur_error *err)
{
    const struct vidur_trace_columns *given = &trace->options->columns;
    const struct vidur_trace_table table = {
        .arrived_at = vidur_trace_or(given->arrived_at, trace->time_column),
        .prompt_tokens = trace->prompt_column,
        .output_tokens = trace->output_column,
        .session = vidur_trace_or(given->session, "session"),
        .ended_at = vidur_trace_or(given->ended_at, "ended_at"),
        .latency_s = vidur_trace_or(given->latency_s, "latency_s"),
        .latency_ms = vidur_trace_or(given->latency_ms, "latency_ms"),
        .priority = vidur_trace_or(given->priority, "priority"),
        .time_unit = "s",
        .plain = true};
    return vidur_trace_read_table(trace, &table, err);
}

const struct vidur_trace_format vidur_trace_vidur = {
    .name = "vidur",
    .title = "this project's traces: CSV with num_prefill_tokens, num_decode_tokens, "
             "arrived_at, perhaps session, ended_at or latency_s, priority",
    .gives = "times, lengths, sessions, ends, priorities",
    .time_column = "arrived_at",
    .prompt_column = "num_prefill_tokens",
    .output_column = "num_decode_tokens",
    .keeps_times = true,
    .recognise = recognise,
    .read = read_rows};
