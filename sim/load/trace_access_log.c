#include "load/trace_csv.h"
#include "load/trace_format.h"
#include "load/trace_json.h"

/* Logs of an OpenAI-style API in CSV or JSONL; `columns:` says what they call things.
 * In JSONL a name may be a path: usage.prompt_tokens. */

static bool recognise(const char *bytes, size_t size)
{
    return vidur_trace_has_column(bytes, size, "prompt_tokens") ||
           vidur_trace_has_key(bytes, size, "prompt_tokens") ||
           vidur_trace_has_key(bytes, size, "usage");
}

static int read_table(struct vidur_trace *trace, struct vidur_error *err)
{
    const struct vidur_trace_columns *given = &trace->options->columns;
    const struct vidur_trace_table table = {
#define X(name) .name = vidur_trace_or(given->name, #name),
        VIDUR_TRACE_COLUMNS(X)
#undef X
            .time_unit = "s",
        .time_optional = !given->arrived_at[0]};
    return vidur_trace_read_table(trace, &table, err);
}

static int read_record(struct vidur_trace *trace, const struct vidur_json_node *record,
                       int line, struct vidur_error *err)
{
    const struct vidur_trace_columns *given = &trace->options->columns;
#define NAME(name) vidur_trace_or(given->name, #name)
    const struct vidur_trace_members members = {
        .arrived_at = {NAME(arrived_at), "timestamp", "created", "created_at"},
        .prompt_tokens = {NAME(prompt_tokens), "usage.prompt_tokens",
                          "usage.input_tokens"},
        .output_tokens = {NAME(output_tokens), "completion_tokens",
                          "usage.completion_tokens", "usage.output_tokens"},
        .session = {NAME(session)},
        .prefix = {NAME(prefix)},
        .ended_at = {NAME(ended_at), "completed_at"},
        .latency_s = {NAME(latency_s)},
        .latency_ms = {NAME(latency_ms)},
        .priority = {NAME(priority)},
        .time_unit = "s",
        .time_optional = !given->arrived_at[0]};
#undef NAME
    return vidur_trace_add_record(trace, &members, record, line, err);
}

static int read_rows(struct vidur_trace *trace, struct vidur_error *err)
{
    char head[512];
    int size;
    if (vidur_trace_head(trace->path, head, sizeof head, &size, err))
        return -1;
    return vidur_trace_is_json(head, (size_t)size)
               ? vidur_trace_each_record(trace, read_record, err)
               : read_table(trace, err);
}

const struct vidur_trace_format vidur_trace_access_log = {
    .name = "access_log",
    .title = "OpenAI-style logs: CSV or JSONL; columns: if not arrived_at, "
             "prompt_tokens, output_tokens, session, prefix, ended_at, latency_s, "
             "latency_ms, priority",
    .gives = "times, lengths, prefix blocks, sessions, ends, priorities",
    .time_column = "arrived_at",
    .prompt_column = "prompt_tokens",
    .output_column = "output_tokens",
    .recognise = recognise,
    .read = read_rows};
