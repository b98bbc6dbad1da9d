#include "load/trace_format.h"
#include "load/trace_json.h"

/* GuideLLM's benchmarks.json: of each benchmark, the requests that succeeded. */

static bool recognise(const char *bytes, size_t size)
{
    return vidur_trace_has_key(bytes, size, "benchmarks");
}

static int add_benchmark(struct vidur_trace *trace,
                         const struct vidur_json_node *benchmark,
                         struct vidur_error *err)
{
    static const char *const time[] = {
        "request_start_time", "info.timings.request_start",
        "scheduler_info.request_timings.request_start", "start_time", NULL};
    static const char *const prompt[] = {"prompt_tokens", "input_metrics.text_tokens",
                                         NULL};
    static const char *const output[] = {"output_tokens", "output_metrics.text_tokens",
                                         NULL};
    static const char *const failed[] = {"requests.errored", "requests.incomplete"};
    static const struct vidur_trace_members members = {
        .time = time, .prompt = prompt, .output = output, .time_unit = "s"};
    const struct vidur_json_node done =
        vidur_trace_json_path(benchmark, "requests.successful");
    if (vidur_json_kind(&done) != VIDUR_JSON_ARRAY)
        return vidur_json_fail(&done, err,
                               "missing; GuideLLM writes requests into a .json output");
    for (int i = 0; i < vidur_json_count(&done); i++) {
        const struct vidur_json_node request = vidur_json_item(&done, i);
        if (vidur_trace_add_record(trace, &members, &request, 1, err))
            return -1;
    }
    for (int i = 0; i < 2; i++) {
        const struct vidur_json_node list = vidur_trace_json_path(benchmark, failed[i]);
        for (int k = vidur_json_count(&list); k > 0; k--)
            vidur_trace_drop(trace);
    }
    return 0;
}

static int read_rows(struct vidur_trace *trace, struct vidur_error *err)
{
    struct vidur_json *doc = vidur_trace_document(trace, err);
    if (!doc)
        return -1;
    const struct vidur_json_node root = vidur_json_root(doc);
    const struct vidur_json_node benchmarks = vidur_json_get(&root, "benchmarks");
    int status = 0;
    for (int i = 0; status == 0 && i < vidur_json_count(&benchmarks); i++) {
        const struct vidur_json_node benchmark = vidur_json_item(&benchmarks, i);
        status = add_benchmark(trace, &benchmark, err);
    }
    vidur_json_free(doc);
    return status;
}

const struct vidur_trace_format vidur_trace_guidellm = {
    .name = "guidellm",
    .title = "GuideLLM: benchmarks.json",
    .gives = "times, lengths",
    .time_column = "start_time",
    .prompt_column = "prompt_tokens",
    .output_column = "output_tokens",
    .recognise = recognise,
    .read = read_rows};
