#include "load/trace_format.h"
#include "load/trace_json.h"

/* AIPerf's profile_export.jsonl: a line per request that was sent. */

static bool recognise(const char *bytes, size_t size)
{
    return vidur_trace_has_key(bytes, size, "request_start_ns");
}

static int read_record(struct vidur_trace *trace, const struct vidur_json_node *record,
                       int line, struct vidur_error *err)
{
    static const struct vidur_trace_members members = {
        .arrived_at = {"metadata.request_start_ns"},
        .prompt_tokens = {"metrics.input_sequence_length.value"},
        .output_tokens = {"metrics.output_sequence_length.value",
                          "metrics.output_token_count.value"},
        .session = {"metadata.x_correlation_id", "metadata.conversation_id"},
        .ended_at = {"metadata.request_end_ns"},
        .time_unit = "ns",
        .empty_is_left_out = true};
    const struct vidur_json_node error = vidur_json_get(record, "error");
    const struct vidur_json_node cancelled =
        vidur_trace_json_path(record, "metadata.was_cancelled");
    if (vidur_trace_json_is_failure(&error) ||
        vidur_trace_json_is_failure(&cancelled)) {
        vidur_trace_drop(trace);
        return 0;
    }
    return vidur_trace_add_record(trace, &members, record, line, err);
}

static int read_rows(struct vidur_trace *trace, struct vidur_error *err)
{
    return vidur_trace_each_record(trace, read_record, err);
}

const struct vidur_trace_format vidur_trace_aiperf = {
    .name = "aiperf",
    .title = "AIPerf: profile_export.jsonl",
    .gives = "times, lengths, sessions, ends",
    .time_column = "metadata.request_start_ns",
    .prompt_column = "metrics.input_sequence_length",
    .output_column = "metrics.output_sequence_length",
    .recognise = recognise,
    .read = read_rows};
