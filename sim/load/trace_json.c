#include "load/trace_json.h"

#include "base/gz.h"
#include "base/instant.h"
#include "base/text.h"
#include "load/trace_format.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Records ---- */

enum { CHUNK = 1 << 18 };

struct scanner {
    struct vidur_trace *trace;
    vidur_trace_record_reader *read;
    struct vidur_error *err;
    struct vidur_text record;
    int line, record_line;
    bool begun, is_array, ended;
    int depth; /* of brackets in a record of an array */
    bool in_string, escaped;
};

static int fail(const struct scanner *s, int line, const char *what)
{
    return vidur_fail(s->err, VIDUR_EPARSE, "%s:%d: %s", s->trace->path, line, what);
}

static int end_record(struct scanner *s)
{
    if (s->record.failed)
        return vidur_fail(s->err, VIDUR_ENOMEM, "%s: out of memory", s->trace->path);
    size_t blanks = 0;
    while (blanks < s->record.length && strchr(" \t\r", s->record.data[blanks]))
        blanks++;
    if (blanks == s->record.length) {
        s->record.length = 0;
        return 0;
    }
    struct vidur_json *doc = vidur_json_parse_at(
        s->trace->path, s->record_line, s->record.data, s->record.length, s->err);
    if (!doc)
        return -1;
    const struct vidur_json_node root = vidur_json_root(doc);
    const int status =
        vidur_json_kind(&root) == VIDUR_JSON_OBJECT
            ? s->read(s->trace, &root, s->record_line, s->err)
            : fail(s, s->record_line, "not an object; a request is one: {...}");
    vidur_json_free(doc);
    s->record.length = 0;
    return status;
}

/* Up to the next character that says something between the records of an array. */
static int scan_between(struct scanner *s, char c)
{
    if (strchr(" \t\r\n,", c))
        return 0;
    if (c == ']') {
        s->ended = true;
        return 0;
    }
    if (s->ended)
        return fail(s, s->line, "text behind the end of the array; remove it");
    if (c != '{')
        return fail(s, s->line, "not an object; the array has one per request: {...}");
    s->record_line = s->line;
    s->depth = 1;
    vidur_text_add(&s->record, &c, 1);
    return 0;
}

static int scan_within(struct scanner *s, char c)
{
    vidur_text_add(&s->record, &c, 1);
    if (s->in_string) {
        if (s->escaped)
            s->escaped = false;
        else if (c == '\\')
            s->escaped = true;
        else if (c == '"')
            s->in_string = false;
        return 0;
    }
    s->in_string = c == '"';
    if (c == '{' || c == '[')
        s->depth++;
    if (c == '}' || c == ']')
        s->depth--;
    return s->depth == 0 ? end_record(s) : 0;
}

static int scan_array(struct scanner *s, const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        const char c = text[i];
        if (c == 0)
            return fail(s, s->line, "a NUL byte; the file is not text");
        if (s->depth == 0 ? scan_between(s, c) : scan_within(s, c))
            return -1;
        s->line += c == '\n';
    }
    return 0;
}

static int scan_lines(struct scanner *s, const char *text, size_t size)
{
    while (size > 0) {
        const char *newline = memchr(text, '\n', size);
        const size_t length = newline ? (size_t)(newline - text) : size;
        s->record_line = s->line;
        vidur_text_add(&s->record, text, length);
        if (!newline)
            return 0;
        if (end_record(s))
            return -1;
        s->line++;
        text += length + 1;
        size -= length + 1;
    }
    return 0;
}

static int scan(struct scanner *s, const char *text, size_t size)
{
    if (!s->begun) {
        size_t at = vidur_text_mark(text, size);
        while (at < size && text[at] && strchr(" \t\r\n", text[at]))
            s->line += text[at++] == '\n';
        if (at == size)
            return 0;
        s->begun = true;
        s->is_array = text[at] == '[';
        text += at + s->is_array;
        size -= at + s->is_array;
    }
    return s->is_array ? scan_array(s, text, size) : scan_lines(s, text, size);
}

static int end_file(struct scanner *s)
{
    if (s->is_array && s->depth > 0)
        return fail(s, s->record_line,
                    "the request that begins here does not end; is the file cut?");
    if (s->is_array && !s->ended)
        return fail(s, s->line, "the array does not end; is the file cut?");
    return s->is_array ? 0 : end_record(s);
}

int vidur_trace_each_record(struct vidur_trace *trace, vidur_trace_record_reader *read,
                            struct vidur_error *err)
{
    struct scanner s = {.trace = trace, .read = read, .err = err, .line = 1};
    struct vidur_gz *gz = vidur_gz_open(trace->path, err);
    char *buffer = gz ? malloc(CHUNK) : NULL;
    int size = 1, status = gz ? 0 : -1;
    if (gz && !buffer)
        status = vidur_fail(err, VIDUR_ENOMEM, "%s: out of memory", trace->path);
    while (status == 0 && size > 0) {
        size = vidur_gz_read(gz, buffer, CHUNK, err);
        status = size < 0 ? -1 : scan(&s, buffer, (size_t)size);
    }
    if (status == 0)
        status = end_file(&s);
    free(s.record.data);
    free(buffer);
    vidur_gz_close(gz);
    return status;
}

static struct vidur_json *read_whole(const struct vidur_trace *trace,
                                     struct vidur_error *err)
{
    struct vidur_text text = {0};
    struct vidur_json *doc = NULL;
    struct vidur_gz *gz = vidur_gz_open(trace->path, err);
    char *buffer = gz ? malloc(CHUNK) : NULL;
    int size = buffer ? 1 : -1;
    while (size > 0 && (size = vidur_gz_read(gz, buffer, CHUNK, err)) > 0)
        vidur_text_add(&text, buffer, (size_t)size);
    if (gz && (!buffer || text.failed))
        vidur_fail(err, VIDUR_ENOMEM, "%s: out of memory", trace->path);
    else if (size == 0)
        doc =
            vidur_json_parse(trace->path, text.data ? text.data : "", text.length, err);
    free(text.data);
    free(buffer);
    vidur_gz_close(gz);
    return doc;
}

int vidur_trace_read_document(struct vidur_trace *trace,
                              vidur_trace_record_reader *read, struct vidur_error *err)
{
    struct vidur_json *doc = read_whole(trace, err);
    if (!doc)
        return -1;
    const struct vidur_json_node root = vidur_json_root(doc);
    const int status = read(trace, &root, 1, err);
    vidur_json_free(doc);
    return status;
}

int vidur_trace_each_item(struct vidur_trace *trace, const struct vidur_json_node *node,
                          const char *path, vidur_trace_record_reader *read,
                          struct vidur_error *err)
{
    const struct vidur_json_node list = vidur_trace_json_path(node, path);
    const int count =
        vidur_json_kind(&list) == VIDUR_JSON_ARRAY ? vidur_json_count(&list) : 0;
    for (int i = 0; i < count; i++) {
        const struct vidur_json_node item = vidur_json_item(&list, i);
        if (read(trace, &item, 1, err))
            return -1;
    }
    return 0;
}

/* ---- Values ---- */

struct vidur_json_node vidur_trace_json_path(const struct vidur_json_node *record,
                                             const char *path)
{
    struct vidur_json_node node = *record;
    char key[128];
    while (*path) {
        const size_t length = strcspn(path, ".");
        snprintf(key, sizeof key, "%.*s", (int)length, path);
        node = vidur_json_get(&node, key);
        path += length + (path[length] == '.');
    }
    return node;
}

static bool has_value(const struct vidur_json_node *node)
{
    return vidur_json_kind(node) > VIDUR_JSON_NULL;
}

struct vidur_json_node vidur_trace_json_any(const struct vidur_json_node *record,
                                            const char *const paths[VIDUR_TRACE_PATHS])
{
    for (int i = 0; i < VIDUR_TRACE_PATHS && paths[i]; i++) {
        const struct vidur_json_node node = vidur_trace_json_path(record, paths[i]);
        if (has_value(&node))
            return node;
    }
    return paths[0] ? vidur_trace_json_path(record, paths[0])
                    : (struct vidur_json_node){0};
}

int vidur_trace_json_tokens(const struct vidur_json_node *node, int64_t *out,
                            struct vidur_error *err)
{
    double value;
    if (vidur_json_as_double(node, &value, err))
        return -1;
    if (value != trunc(value) || fabs(value) > 0x1p53)
        return vidur_json_fail(node, err, "%.17g is not a whole number of tokens",
                               value);
    if (value < 0)
        return vidur_json_fail(node, err, "%.17g is negative; give 0 or more", value);
    *out = (int64_t)value;
    return 0;
}

int vidur_trace_json_time(const struct vidur_json_node *node, const char *unit,
                          int64_t *ns, struct vidur_error *err)
{
    const int64_t unit_ns = vidur_instant_unit_ns(unit);
    struct vidur_error none = {0};
    int64_t whole;
    double value;
    bool fits;
    if (vidur_json_kind(node) == VIDUR_JSON_STRING) {
        const char *text = vidur_json_as_string(node, err);
        if (text && vidur_instant_parse(text, unit_ns, ns))
            return 0;
        return vidur_json_fail(node, err,
                               "'%.40s' is not a time; write %s since some start, or "
                               "2024-05-10T00:00:00Z",
                               text ? text : "", unit);
    }
    if (vidur_json_as_int64(node, &whole, &none) == 0)
        fits = vidur_instant_of_int64(whole, unit_ns, ns);
    else if (vidur_json_as_double(node, &value, err) == 0)
        fits = vidur_instant_of_double(value, unit_ns, ns);
    else
        return -1;
    return fits ? 0
                : vidur_json_fail(node, err,
                                  "too large for a time in %s; say its unit with "
                                  "time_unit: ms, us or ns",
                                  unit);
}

const char *vidur_trace_json_name(const struct vidur_json_node *node, char *out,
                                  size_t size)
{
    struct vidur_error none = {0};
    int64_t number;
    out[0] = 0;
    if (vidur_json_kind(node) == VIDUR_JSON_STRING)
        snprintf(out, size, "%s", vidur_json_as_string(node, &none));
    else if (vidur_json_kind(node) == VIDUR_JSON_NUMBER &&
             vidur_json_as_int64(node, &number, &none) == 0)
        snprintf(out, size, "%lld", (long long)number);
    return out;
}

static int add_block(struct vidur_trace *trace, const struct vidur_json_node *node,
                     struct vidur_error *err)
{
    char name[128];
    vidur_trace_json_name(node, name, sizeof name);
    if (!name[0])
        return vidur_json_fail(node, err,
                               "not an id of a block; give whole numbers or texts");
    return vidur_trace_add_block(trace, name, strlen(name), err);
}

/* A list of ids, or one. */
static int add_blocks(struct vidur_trace *trace, const struct vidur_json_node *node,
                      struct vidur_error *err)
{
    if (!has_value(node) || !(trace->wanted & VIDUR_TRACE_BLOCKS))
        return 0;
    if (vidur_json_kind(node) != VIDUR_JSON_ARRAY)
        return add_block(trace, node, err);
    for (int i = 0; i < vidur_json_count(node); i++) {
        const struct vidur_json_node item = vidur_json_item(node, i);
        if (add_block(trace, &item, err))
            return -1;
    }
    return 0;
}

static int read_record_time(struct vidur_trace *trace,
                            const struct vidur_trace_members *members,
                            const struct vidur_json_node *record, double *time_s,
                            struct vidur_error *err)
{
    int64_t ns;
    if (!members->arrived_at[0] || !(trace->wanted & VIDUR_TRACE_TIMES))
        return 0;
    const struct vidur_json_node time =
        vidur_trace_json_any(record, members->arrived_at);
    if (members->time_optional && !has_value(&time) && !trace->has_origin)
        return 0;
    if (vidur_trace_json_time(&time, vidur_trace_time_unit(trace, members->time_unit),
                              &ns, err))
        return -1;
    if (trace->num_rows > 0 && !trace->time_s)
        return vidur_json_fail(&time, err,
                               "a time, which requests before this one do not have");
    *time_s = vidur_trace_seconds(trace, ns);
    return 0;
}

/* Seconds of a latency: NaN where the record has none. */
static int read_latency(const struct vidur_json_node *record,
                        const char *const paths[VIDUR_TRACE_PATHS], double *seconds,
                        struct vidur_error *err)
{
    *seconds = NAN;
    const struct vidur_json_node node = vidur_trace_json_any(record, paths);
    if (!has_value(&node))
        return 0;
    if (vidur_json_as_double(&node, seconds, err))
        return -1;
    return *seconds >= 0
               ? 0
               : vidur_json_fail(&node, err, "%.17g is negative; give 0 or more",
                                 *seconds);
}

static int read_record_end(struct vidur_trace *trace,
                           const struct vidur_trace_members *members,
                           const struct vidur_json_node *record,
                           struct vidur_trace_row *row, struct vidur_error *err)
{
    int64_t ns;
    double latency_s, latency_ms;
    if (!(trace->wanted & VIDUR_TRACE_ENDS) || !trace->has_origin)
        return 0;
    const struct vidur_json_node end = vidur_trace_json_any(record, members->ended_at);
    if (has_value(&end)) {
        const char *unit = vidur_trace_time_unit(trace, members->time_unit);
        if (vidur_trace_json_time(&end, unit, &ns, err))
            return -1;
        row->end_s = vidur_trace_seconds(trace, ns);
        return 0;
    }
    if (read_latency(record, members->latency_s, &latency_s, err) ||
        read_latency(record, members->latency_ms, &latency_ms, err))
        return -1;
    row->end_s = row->time_s + (isnan(latency_s) ? latency_ms / 1e3 : latency_s);
    return 0;
}

static int read_record_priority(const struct vidur_trace *trace,
                                const struct vidur_trace_members *members,
                                const struct vidur_json_node *record,
                                struct vidur_trace_row *row, struct vidur_error *err)
{
    int64_t value;
    const struct vidur_json_node node = vidur_trace_json_any(record, members->priority);
    if (!has_value(&node) || !(trace->wanted & VIDUR_TRACE_PRIORITIES))
        return 0;
    if (vidur_json_as_int64(&node, &value, err))
        return -1;
    if (!vidur_trace_is_priority(value))
        return vidur_json_fail(&node, err,
                               "%lld is out of range; a priority is a whole number "
                               "from %d to %d",
                               (long long)value, INT32_MIN, INT32_MAX);
    row->priority = (int32_t)value;
    row->has_priority = true;
    return 0;
}

static int read_record_tokens(const struct vidur_json_node *record,
                              const char *const paths[VIDUR_TRACE_PATHS],
                              int64_t *tokens, struct vidur_error *err)
{
    const struct vidur_json_node node = vidur_trace_json_any(record, paths);
    return paths[0] ? vidur_trace_json_tokens(&node, tokens, err) : 0;
}

int vidur_trace_json_row(struct vidur_trace *trace,
                         const struct vidur_trace_members *members,
                         const struct vidur_json_node *record,
                         struct vidur_trace_row *row, struct vidur_error *err)
{
    char name[256];
    if (read_record_time(trace, members, record, &row->time_s, err) ||
        read_record_tokens(record, members->prompt_tokens, &row->prompt_tokens, err) ||
        read_record_tokens(record, members->output_tokens, &row->output_tokens, err) ||
        read_record_end(trace, members, record, row, err) ||
        read_record_priority(trace, members, record, row, err))
        return -1;
    const struct vidur_json_node session =
        vidur_trace_json_any(record, members->session);
    if (has_value(&session)) {
        vidur_trace_json_name(&session, name, sizeof name);
        row->session = vidur_trace_session(trace, name);
    }
    const struct vidur_json_node blocks = vidur_trace_json_any(record, members->prefix);
    return add_blocks(trace, &blocks, err);
}

int vidur_trace_add_record(struct vidur_trace *trace,
                           const struct vidur_trace_members *members,
                           const struct vidur_json_node *record, int line,
                           struct vidur_error *err)
{
    struct vidur_trace_row row = vidur_trace_row_of(line);
    const struct vidur_json_node output =
        vidur_trace_json_any(record, members->output_tokens);
    if (members->empty_is_left_out && !has_value(&output)) {
        vidur_trace_drop(trace);
        return 0;
    }
    return vidur_trace_json_row(trace, members, record, &row, err)
               ? -1
               : vidur_trace_add(trace, &row, err);
}

bool vidur_trace_json_is_failure(const struct vidur_json_node *node)
{
    struct vidur_error none = {0};
    bool value = false;
    switch (vidur_json_kind(node)) {
    case VIDUR_JSON_STRING:
        return vidur_json_as_string(node, &none)[0] != 0;
    case VIDUR_JSON_BOOL:
        return vidur_json_as_bool(node, &value, &none) == 0 && value;
    case VIDUR_JSON_OBJECT:
        return true;
    default:
        return false;
    }
}

int64_t vidur_trace_json_estimate(struct vidur_trace *trace, int64_t characters)
{
    const double given = trace->options->characters_per_token;
    trace->characters_per_token =
        given > 0 ? given : (double)VIDUR_TRACE_CHARACTERS_PER_TOKEN;
    return (int64_t)ceil((double)characters / trace->characters_per_token);
}

int64_t vidur_trace_json_characters(const char *text)
{
    int64_t count = 0;
    for (; *text; text++)
        count += ((unsigned char)*text & 0xc0) != 0x80;
    return count;
}
