#include "load/trace_format.h"
#include "load/trace_json.h"

/* GuideLLM's benchmarks.json: of each benchmark, the requests that succeeded. What it
 * calls them has changed: paths of versions from 0.2 on. */

static bool recognise(const char *bytes, size_t size)
{
    return vidur_trace_has_key(bytes, size, "benchmarks");
}

static int add_request(struct vidur_trace *trace, const struct vidur_json_node *request,
                       int line, struct vidur_error *err)
{
    static const struct vidur_trace_members members = {
        .arrived_at = {"request_start_time", "info.timings.request_start",
                       "info.timings.resolve_start",
                       "scheduler_info.request_timings.request_start", "start_time"},
        .prompt_tokens = {"prompt_tokens", "input_metrics.total_tokens",
                          "input_metrics.text_tokens"},
        .output_tokens = {"output_tokens", "output_metrics.total_tokens",
                          "output_metrics.text_tokens",
                          "info.timings.token_iterations"},
        .session = {"info.conversation_id"},
        .ended_at = {"request_end_time", "info.timings.request_end",
                     "info.timings.resolve_end",
                     "scheduler_info.request_timings.request_end", "end_time"},
        .time_unit = "s"};
    return vidur_trace_add_record(trace, &members, request, line, err);
}

static int drop_request(struct vidur_trace *trace,
                        const struct vidur_json_node *request, int line,
                        struct vidur_error *err)
{
    (void)request, (void)line, (void)err;
    vidur_trace_drop(trace);
    return 0;
}

static int add_benchmark(struct vidur_trace *trace,
                         const struct vidur_json_node *benchmark, int line,
                         struct vidur_error *err)
{
    const struct vidur_json_node done =
        vidur_trace_json_path(benchmark, "requests.successful");
    (void)line;
    if (vidur_json_kind(&done) != VIDUR_JSON_ARRAY)
        return vidur_json_fail(&done, err,
                               "missing; GuideLLM writes requests into a .json output");
    return vidur_trace_each_item(trace, benchmark, "requests.successful", add_request,
                                 err) ||
                   vidur_trace_each_item(trace, benchmark, "requests.errored",
                                         drop_request, err) ||
                   vidur_trace_each_item(trace, benchmark, "requests.incomplete",
                                         drop_request, err)
               ? -1
               : 0;
}

static int add_benchmarks(struct vidur_trace *trace, const struct vidur_json_node *root,
                          int line, struct vidur_error *err)
{
    (void)line;
    return vidur_trace_each_item(trace, root, "benchmarks", add_benchmark, err);
}

static int read_rows(struct vidur_trace *trace, struct vidur_error *err)
{
    return vidur_trace_read_document(trace, add_benchmarks, err);
}

const struct vidur_trace_format vidur_trace_guidellm = {
    .name = "guidellm",
    .title = "GuideLLM: benchmarks.json",
    .gives = "times, lengths, ends, sessions where it has conversations",
    .time_column = "request_start_time",
    .prompt_column = "prompt_tokens",
    .output_column = "output_tokens",
    .recognise = recognise,
    .read = read_rows};
