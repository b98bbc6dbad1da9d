#include "load/trace_format.h"
#include "load/trace_json.h"

#include <string.h>

/* genai-perf's profile_export.json: times, what was sent and what came back. Tokens are
 * those that the server counted (usage), or the ids of Triton's C API; else a prompt's
 * are estimated from its characters, an output's are the parts of its stream that have
 * text, or estimated from an answer in one piece. */

static bool recognise(const char *bytes, size_t size)
{
    return vidur_trace_has_key(bytes, size, "experiments") ||
           vidur_trace_has_key(bytes, size, "request_inputs");
}

/* Characters of all texts of a request's body that are called as prompts are. */
static int64_t count_characters(const struct vidur_json_node *node, int depth)
{
    struct vidur_error none = {0};
    int64_t sum = 0;
    for (int i = 0; depth > 0 && i < vidur_json_count(node); i++) {
        const struct vidur_json_node item = vidur_json_item(node, i);
        const char *key = vidur_json_key(node, i);
        const bool is_text = vidur_json_kind(&item) == VIDUR_JSON_STRING;
        if (is_text && (!key || strcmp(key, "prompt") == 0 ||
                        strcmp(key, "content") == 0 || strcmp(key, "text") == 0 ||
                        strcmp(key, "text_input") == 0 || strcmp(key, "inputs") == 0))
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

/* ---- Responses ---- */

/* What a request's responses say: parts with text, characters and ids of tokens in
 * them; tokens that the server counted, or -1. */
struct said {
    int64_t parts, characters, ids;
    int64_t prompt_tokens, output_tokens;
};

static void hear_text(struct said *said, const struct vidur_json_node *node)
{
    struct vidur_error none = {0};
    const char *text = vidur_json_kind(node) == VIDUR_JSON_STRING
                           ? vidur_json_as_string(node, &none)
                           : "";
    said->parts += text[0] != 0;
    said->characters += vidur_trace_json_characters(text);
}

static void hear_count(int64_t *count, const struct vidur_json_node *body,
                       const char *path)
{
    struct vidur_error none = {0};
    const struct vidur_json_node node = vidur_trace_json_path(body, path);
    int64_t value;
    if (vidur_json_kind(&node) == VIDUR_JSON_NUMBER &&
        vidur_trace_json_tokens(&node, &value, &none) == 0)
        *count = value;
}

/* A body of a response, or of one event of a stream. */
static void hear_body(struct said *said, const struct vidur_json_node *body)
{
    static const char *const texts[] = {"delta.content", "delta.reasoning_content",
                                        "message.content", "text"};
    const struct vidur_json_node choices = vidur_json_get(body, "choices");
    const struct vidur_json_node choice = vidur_json_item(&choices, 0);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        const struct vidur_json_node text = vidur_trace_json_path(&choice, texts[i]);
        hear_text(said, &text);
    }
    const struct vidur_json_node triton = vidur_json_get(body, "text_output");
    hear_text(said, &triton);
    const struct vidur_json_node first = vidur_json_item(body, 0);
    const struct vidur_json_node generated =
        vidur_trace_json_path(&first, "generated_text");
    hear_text(said, &generated);
    hear_count(&said->prompt_tokens, body, "usage.prompt_tokens");
    hear_count(&said->output_tokens, body, "usage.completion_tokens");
}

/* JSON, or events of a stream, a line each: `data: {...}`. */
static void hear_response(struct said *said, const char *text)
{
    while (*text) {
        struct vidur_error none = {0};
        const size_t length = strcspn(text, "\r\n");
        size_t skipped = length >= 5 && memcmp(text, "data:", 5) == 0 ? 5 : 0;
        while (skipped < length && text[skipped] == ' ')
            skipped++;
        struct vidur_json *doc =
            vidur_json_parse("", text + skipped, length - skipped, &none);
        if (doc) {
            const struct vidur_json_node root = vidur_json_root(doc);
            hear_body(said, &root);
        }
        vidur_json_free(doc);
        text += length;
        text += strspn(text, "\r\n");
    }
}

static void hear_output(struct said *said, const struct vidur_json_node *output)
{
    struct vidur_error none = {0};
    const struct vidur_json_node response = vidur_json_get(output, "response");
    const struct vidur_json_node text = vidur_json_get(output, "text_output");
    const struct vidur_json_node ids = vidur_json_get(output, "output_ids");
    if (vidur_json_kind(&response) == VIDUR_JSON_STRING)
        hear_response(said, vidur_json_as_string(&response, &none));
    hear_text(said, &text);
    said->ids += vidur_json_kind(&ids) == VIDUR_JSON_ARRAY
                     ? vidur_json_count(&ids)
                     : vidur_json_kind(&ids) == VIDUR_JSON_NUMBER;
}

/* Counted by the server, or ids; else parts of a stream, one a token, or a text. */
static int64_t output_tokens(struct vidur_trace *trace,
                             const struct vidur_json_node *request,
                             const struct said *said)
{
    const struct vidur_json_node outputs = vidur_json_get(request, "response_outputs");
    const struct vidur_json_node responses =
        vidur_json_get(request, "response_timestamps");
    if (vidur_json_kind(&outputs) != VIDUR_JSON_ARRAY)
        return vidur_json_count(&responses);
    if (said->output_tokens >= 0)
        return said->output_tokens;
    if (said->ids > 0)
        return said->ids;
    return said->parts == 1 ? vidur_trace_json_estimate(trace, said->characters)
                            : said->parts;
}

static int64_t prompt_tokens(struct vidur_trace *trace,
                             const struct vidur_json_node *inputs,
                             const struct said *said)
{
    const struct vidur_json_node ids = vidur_json_get(inputs, "input_ids");
    if (said->prompt_tokens >= 0)
        return said->prompt_tokens;
    if (vidur_json_kind(&ids) == VIDUR_JSON_ARRAY)
        return vidur_json_count(&ids);
    return vidur_trace_json_estimate(trace, prompt_characters(inputs));
}

/* ---- Requests ---- */

static int read_end(struct vidur_trace *trace, const struct vidur_json_node *request,
                    struct vidur_trace_row *row, struct vidur_error *err)
{
    const struct vidur_json_node responses =
        vidur_json_get(request, "response_timestamps");
    const int count = vidur_json_count(&responses);
    const struct vidur_json_node last = vidur_json_item(&responses, count - 1);
    int64_t ns;
    if (count == 0 || !(trace->wanted & VIDUR_TRACE_ENDS))
        return 0;
    if (vidur_trace_json_time(&last, vidur_trace_time_unit(trace, "ns"), &ns, err))
        return -1;
    row->end_s = vidur_trace_seconds(trace, ns);
    return 0;
}

static int add_request(struct vidur_trace *trace, const struct vidur_json_node *request,
                       int line, struct vidur_error *err)
{
    static const struct vidur_trace_members members = {
        .arrived_at = {"timestamp"},
        .session = {"request_inputs.session_id"},
        .time_unit = "ns"};
    const struct vidur_json_node inputs = vidur_json_get(request, "request_inputs");
    const struct vidur_json_node outputs = vidur_json_get(request, "response_outputs");
    struct vidur_trace_row row = vidur_trace_row_of(line);
    struct said said = {.prompt_tokens = -1, .output_tokens = -1};
    if (vidur_trace_json_row(trace, &members, request, &row, err) ||
        read_end(trace, request, &row, err))
        return -1;
    for (int i = 0; i < vidur_json_count(&outputs); i++) {
        const struct vidur_json_node output = vidur_json_item(&outputs, i);
        hear_output(&said, &output);
    }
    row.prompt_tokens = prompt_tokens(trace, &inputs, &said);
    row.output_tokens = output_tokens(trace, request, &said);
    return vidur_trace_add(trace, &row, err);
}

static int add_experiment(struct vidur_trace *trace,
                          const struct vidur_json_node *experiment, int line,
                          struct vidur_error *err)
{
    (void)line;
    return vidur_trace_each_item(trace, experiment, "requests", add_request, err);
}

static int add_experiments(struct vidur_trace *trace,
                           const struct vidur_json_node *root, int line,
                           struct vidur_error *err)
{
    (void)line;
    return vidur_trace_each_item(trace, root, "experiments", add_experiment, err);
}

static int read_rows(struct vidur_trace *trace, struct vidur_error *err)
{
    return vidur_trace_read_document(trace, add_experiments, err);
}

const struct vidur_trace_format vidur_trace_genai_perf = {
    .name = "genai_perf",
    .title =
        "genai-perf: profile_export.json; where the server gave no usage, prompts from "
        "characters, outputs from streamed responses",
    .gives = "times, lengths (perhaps estimated), sessions, ends",
    .time_column = "timestamp",
    .prompt_column = "request_inputs",
    .output_column = "response_timestamps",
    .recognise = recognise,
    .read = read_rows};
