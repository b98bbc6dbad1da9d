#include "load/trace_format.h"
#include "load/trace_json.h"

/* inference-perf's per_request_lifecycle_metrics.json: an array of requests. Output
 * tokens are where versions 0.6, 0.5 and those before have them. */

static bool recognise(const char *bytes, size_t size)
{
    return vidur_trace_has_key(bytes, size, "start_time") &&
           vidur_trace_has_key(bytes, size, "end_time");
}

static int read_record(struct vidur_trace *trace, const struct vidur_json_node *record,
                       int line, struct vidur_error *err)
{
    static const struct vidur_trace_members members = {
        .arrived_at = {"start_time"},
        .prompt_tokens = {"info.request_metrics.text.input_tokens",
                          "info.input_tokens"},
        .output_tokens = {"info.response_metrics.output_tokens",
                          "info.response_info.output_tokens", "info.output_tokens"},
        .session = {"info.extra_info.user_session"},
        .ended_at = {"end_time"},
        .time_unit = "s",
        .empty_is_left_out = true};
    const struct vidur_json_node error = vidur_json_get(record, "error");
    if (vidur_trace_json_is_failure(&error)) {
        vidur_trace_drop(trace);
        return 0;
    }
    return vidur_trace_add_record(trace, &members, record, line, err);
}

static int read_rows(struct vidur_trace *trace, struct vidur_error *err)
{
    return vidur_trace_each_record(trace, read_record, err);
}

const struct vidur_trace_format vidur_trace_inference_perf = {
    .name = "inference_perf",
    .title = "inference-perf: per_request_lifecycle_metrics.json",
    .gives = "times, lengths, ends, sessions of user sessions",
    .time_column = "start_time",
    .prompt_column = "info.input_tokens",
    .output_column = "info.response_metrics.output_tokens",
    .recognise = recognise,
    .read = read_rows};
