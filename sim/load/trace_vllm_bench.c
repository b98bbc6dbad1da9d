#include "load/trace_format.h"
#include "load/trace_json.h"

/* Results of vllm bench serve --save-result --save-detailed: a document with lists that
 * are as long as there are requests. */

static bool recognise(const char *bytes, size_t size)
{
    return vidur_trace_has_key(bytes, size, "input_lens") ||
           vidur_trace_has_key(bytes, size, "request_throughput");
}

struct lists {
    struct vidur_json_node inputs, outputs, starts, errors;
};

static int add_request(struct vidur_trace *trace, const struct lists *lists, int index,
                       struct vidur_error *err)
{
    const struct vidur_json_node error = vidur_json_item(&lists->errors, index);
    const struct vidur_json_node input = vidur_json_item(&lists->inputs, index);
    const struct vidur_json_node output = vidur_json_item(&lists->outputs, index);
    const struct vidur_json_node start = vidur_json_item(&lists->starts, index);
    struct vidur_trace_row row = vidur_trace_row_of(1);
    int64_t ns;
    if (vidur_trace_json_is_failure(&error)) {
        vidur_trace_drop(trace);
        return 0;
    }
    if (vidur_json_count(&lists->starts) > 0 && (trace->wanted & VIDUR_TRACE_TIMES)) {
        if (vidur_trace_json_time(&start, vidur_trace_time_unit(trace, "s"), &ns, err))
            return -1;
        row.time_s = vidur_trace_seconds(trace, ns);
    }
    if (vidur_trace_json_tokens(&input, &row.prompt_tokens, err) ||
        vidur_trace_json_tokens(&output, &row.output_tokens, err))
        return -1;
    return vidur_trace_add(trace, &row, err);
}

static int add_requests(struct vidur_trace *trace, const struct vidur_json_node *root,
                        int line, struct vidur_error *err)
{
    (void)line;
    const struct lists lists = {.inputs = vidur_json_get(root, "input_lens"),
                                .outputs = vidur_json_get(root, "output_lens"),
                                .starts = vidur_json_get(root, "start_times"),
                                .errors = vidur_json_get(root, "errors")};
    const int count = vidur_json_count(&lists.inputs);
    if (vidur_json_kind(&lists.inputs) != VIDUR_JSON_ARRAY)
        return vidur_json_fail(&lists.inputs, err,
                               "missing; run vllm bench serve with --save-detailed");
    if (vidur_json_count(&lists.outputs) != count)
        return vidur_json_fail(&lists.outputs, err, "%d of them, but %d input_lens",
                               vidur_json_count(&lists.outputs), count);
    for (int i = 0; i < count; i++)
        if (add_request(trace, &lists, i, err))
            return -1;
    return 0;
}

static int read_rows(struct vidur_trace *trace, struct vidur_error *err)
{
    return vidur_trace_read_document(trace, add_requests, err);
}

const struct vidur_trace_format vidur_trace_vllm_bench = {
    .name = "vllm_bench",
    .title = "results of vllm bench serve --save-result --save-detailed: JSON",
    .gives = "lengths, times where it has start_times",
    .time_column = "start_times",
    .prompt_column = "input_lens",
    .output_column = "output_lens",
    .recognise = recognise,
    .read = read_rows};
