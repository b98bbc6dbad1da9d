#include "load/trace_format.h"
#include "load/trace_json.h"

#include <string.h>

/* ShareGPT and its like: conversations as texts. Every answer is a request, whose
 * prompt is all that was said before it; lengths come from numbers of characters. */

static bool recognise(const char *bytes, size_t size)
{
    return vidur_trace_has_key(bytes, size, "conversations");
}

static bool is_answer(const char *who)
{
    static const char *const names[] = {"gpt",  "assistant", "chatgpt",
                                        "bing", "bard",      "model"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(who, names[i]) == 0)
            return true;
    return false;
}

static int add_turns(struct vidur_trace *trace, const struct vidur_json_node *turns,
                     int line, int32_t session, struct vidur_error *err)
{
    static const char *const whos[VIDUR_TRACE_PATHS] = {"from", "role"};
    static const char *const texts[VIDUR_TRACE_PATHS] = {"value", "content"};
    int64_t said = 0;
    for (int i = 0; i < vidur_json_count(turns); i++) {
        char name[32];
        const struct vidur_json_node turn = vidur_json_item(turns, i);
        const struct vidur_json_node who = vidur_trace_json_any(&turn, whos);
        const struct vidur_json_node what = vidur_trace_json_any(&turn, texts);
        const char *text = vidur_json_as_string(&what, err);
        if (!text)
            return -1;
        const int64_t characters = vidur_trace_json_characters(text);
        vidur_trace_json_name(&who, name, sizeof name);
        struct vidur_trace_row row = vidur_trace_row_of(line);
        row.prompt_tokens = vidur_trace_json_estimate(trace, said);
        row.output_tokens = vidur_trace_json_estimate(trace, characters);
        row.session = session;
        if (is_answer(name) && said > 0 && vidur_trace_add(trace, &row, err))
            return -1;
        said += characters;
    }
    return 0;
}

static int read_record(struct vidur_trace *trace, const struct vidur_json_node *record,
                       int line, struct vidur_error *err)
{
    char name[256];
    const struct vidur_json_node turns = vidur_json_get(record, "conversations");
    const struct vidur_json_node id = vidur_json_get(record, "id");
    if (vidur_json_kind(&turns) != VIDUR_JSON_ARRAY)
        return vidur_json_fail(&turns, err,
                               "missing; a conversation is {\"conversations\": "
                               "[{\"from\": \"human\", \"value\": \"...\"}, ...]}");
    vidur_trace_json_name(&id, name, sizeof name);
    return add_turns(trace, &turns, line, vidur_trace_session(trace, name), err);
}

static int read_rows(struct vidur_trace *trace, struct vidur_error *err)
{
    return vidur_trace_each_record(trace, read_record, err);
}

const struct vidur_trace_format vidur_trace_sharegpt = {
    .name = "sharegpt",
    .title = "ShareGPT and its like: JSON or JSONL with conversations, lengths from "
             "characters_per_token",
    .gives = "lengths (estimated), sessions",
    .time_column = "timestamp",
    .prompt_column = "conversations",
    .output_column = "conversations",
    .recognise = recognise,
    .read = read_rows};
