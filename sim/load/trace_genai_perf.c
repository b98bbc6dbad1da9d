#include "load/trace_format.h"
#include "load/trace_json.h"

#include <string.h>

/* genai-perf's profile_export.json: send times, but no tokens. A prompt's are estimated
 * from its characters, an output's from the responses of its stream, one a token. */

static bool recognise(const char *bytes, size_t size)
{
    return vidur_trace_has_key(bytes, size, "experiments") ||
           vidur_trace_has_key(bytes, size, "request_inputs");
}

/* Characters of all texts called `prompt`, `content` or `text` in a request's body. */
static int64_t count_characters(const struct vidur_json_node *node, int depth)
{
    struct vidur_error none = {0};
    int64_t sum = 0;
    for (int i = 0; depth > 0 && i < vidur_json_count(node); i++) {
        const struct vidur_json_node item = vidur_json_item(node, i);
        const char *key = vidur_json_key(node, i);
        const bool is_text = vidur_json_kind(&item) == VIDUR_JSON_STRING;
        if (is_text && (!key || strcmp(key, "prompt") == 0 ||
                        strcmp(key, "content") == 0 || strcmp(key, "text") == 0))
            sum += vidur_trace_json_characters(vidur_json_as_string(&item, &none));
        else if (!is_text)
            sum += count_characters(&item, depth - 1);
    }
    return sum;
}

/* The body is a text that holds JSON, or the JSON itself. */
static int64_t prompt_characters(const struct vidur_json_node *inputs)
{
    enum { DEPTH = 8 };
    struct vidur_error none = {0};
    const struct vidur_json_node payload = vidur_json_get(inputs, "payload");
    if (vidur_json_kind(&payload) != VIDUR_JSON_STRING)
        return count_characters(inputs, DEPTH);
    const char *text = vidur_json_as_string(&payload, &none);
    struct vidur_json *body = vidur_json_parse("", text, strlen(text), &none);
    if (!body)
        return vidur_trace_json_characters(text);
    const struct vidur_json_node root = vidur_json_root(body);
    const int64_t sum = count_characters(&root, DEPTH);
    vidur_json_free(body);
    return sum;
}

static int add_request(struct vidur_trace *trace, const struct vidur_json_node *request,
                       struct vidur_error *err)
{
    const struct vidur_json_node time = vidur_json_get(request, "timestamp");
    const struct vidur_json_node inputs = vidur_json_get(request, "request_inputs");
    const struct vidur_json_node responses =
        vidur_json_get(request, "response_timestamps");
    struct vidur_trace_row row = {.line = 1, .session = -1};
    int64_t ns;
    if (trace->wanted & VIDUR_TRACE_TIMES) {
        if (vidur_trace_json_time(&time, vidur_trace_time_unit(trace, "ns"), &ns, err))
            return -1;
        row.time_s = vidur_trace_seconds(trace, ns);
    }
    row.prompt_tokens = vidur_trace_json_estimate(trace, prompt_characters(&inputs));
    row.output_tokens = vidur_json_count(&responses);
    return vidur_trace_add(trace, &row, err);
}

static int read_rows(struct vidur_trace *trace, struct vidur_error *err)
{
    struct vidur_json *doc = vidur_trace_document(trace, err);
    if (!doc)
        return -1;
    const struct vidur_json_node root = vidur_json_root(doc);
    const struct vidur_json_node experiments = vidur_json_get(&root, "experiments");
    int status = 0;
    for (int i = 0; status == 0 && i < vidur_json_count(&experiments); i++) {
        const struct vidur_json_node experiment = vidur_json_item(&experiments, i);
        const struct vidur_json_node requests = vidur_json_get(&experiment, "requests");
        for (int k = 0; status == 0 && k < vidur_json_count(&requests); k++) {
            const struct vidur_json_node request = vidur_json_item(&requests, k);
            status = add_request(trace, &request, err);
        }
    }
    vidur_json_free(doc);
    return status;
}

const struct vidur_trace_format vidur_trace_genai_perf = {
    .name = "genai_perf",
    .title = "genai-perf: profile_export.json; prompts from characters, outputs from "
             "streamed responses",
    .gives = "times, lengths (estimated)",
    .time_column = "timestamp",
    .prompt_column = "request_inputs",
    .output_column = "response_timestamps",
    .recognise = recognise,
    .read = read_rows};
