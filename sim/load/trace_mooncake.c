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
    static const char *const time[] = {"timestamp", NULL};
    static const char *const prompt[] = {"input_length", NULL};
    static const char *const output[] = {"output_length", NULL};
    static const char *const session[] = {"session_id", NULL};
    static const char *const blocks[] = {"hash_ids", NULL};
    static const struct vidur_trace_members members = {.time = time,
                                                       .prompt = prompt,
                                                       .output = output,
                                                       .session = session,
                                                       .blocks = blocks,
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
    .gives = "times, lengths, prefix blocks, sessions",
    .time_column = "timestamp",
    .prompt_column = "input_length",
    .output_column = "output_length",
    .recognise = recognise,
    .read = read_rows};
