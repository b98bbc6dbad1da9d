#include "load/trace_format.h"
#include "load/trace_json.h"

/* Mooncake: a line per request, with one id for each block of 512 prompt tokens. */

static bool recognise(const char *bytes, size_t size)
{
    return vidur_trace_has_key(bytes, size, "input_length") &&
           vidur_trace_has_key(bytes, size, "output_length");
}

static int read_record(struct vidur_trace *trace, const struct vidur_json_node *record,
                       int line, struct vidur_error *err)
{
    static const struct vidur_trace_members members = {
        .arrived_at = {"timestamp"},
        .prompt_tokens = {"input_length"},
        .output_tokens = {"output_length"},
        .session = {"session_id"},
        .prefix = {"hash_ids"},
        .ended_at = {"ended_at"},
        .latency_s = {"latency_s"},
        .latency_ms = {"latency_ms"},
        .priority = {"priority"},
        .time_unit = "ms",
        .time_optional = true};
    return vidur_trace_add_record(trace, &members, record, line, err);
}

static int read_rows(struct vidur_trace *trace, struct vidur_error *err)
{
    return vidur_trace_each_record(trace, read_record, err);
}

const struct vidur_trace_format vidur_trace_mooncake = {
    .name = "mooncake",
    .title = "Mooncake: JSONL with timestamp (ms), input_length, output_length, "
             "hash_ids",
    .gives = "times, lengths, prefix blocks; sessions (session_id), ends (ended_at, "
             "latency_ms) and priorities (priority) where there are some",
    .time_column = "timestamp",
    .prompt_column = "input_length",
    .output_column = "output_length",
    .recognise = recognise,
    .read = read_rows};
