#include "load/trace_format.h"

#include "base/gz.h"
#include "base/policy.h"
#include "base/sniff.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The registry. The first one that recognises a file has it. */
static const struct vidur_trace_format *const formats[] = {
    &vidur_trace_vidur,      &vidur_trace_azure,     &vidur_trace_burstgpt,
    &vidur_trace_mooncake,   &vidur_trace_sharegpt,  &vidur_trace_aiperf,
    &vidur_trace_genai_perf, &vidur_trace_guidellm,  &vidur_trace_inference_perf,
    &vidur_trace_vllm_bench, &vidur_trace_access_log};

enum { NUM_FORMATS = sizeof formats / sizeof formats[0], HEAD_BYTES = 1 << 16 };

const struct vidur_trace_format *vidur_trace_format_at(int index)
{
    return index >= 0 && index < NUM_FORMATS ? formats[index] : NULL;
}

const char *vidur_trace_format_tell(int index, const char **title, const char **gives)
{
    const struct vidur_trace_format *format = vidur_trace_format_at(index);
    *title = format ? format->title : NULL;
    *gives = format ? format->gives : NULL;
    return format ? format->name : NULL;
}

static const char *format_name(int index)
{
    return index < NUM_FORMATS ? formats[index]->name : NULL;
}

static const struct vidur_trace_format *find_format(const char *name)
{
    const int index = vidur_policy_find(format_name, name);
    return index < 0 ? NULL : formats[index];
}

int vidur_trace_format_check(const char *key, const char *name, struct vidur_error *err)
{
    if (!name[0] || find_format(name))
        return 0;
    return vidur_policy_unknown(format_name, key, name, err);
}

/* ---- By content ---- */

bool vidur_trace_is_json(const char *bytes, size_t size)
{
    size_t at = vidur_text_mark(bytes, size);
    while (at < size && bytes[at] && strchr(" \t\r\n", bytes[at]))
        at++;
    return at < size && (bytes[at] == '{' || bytes[at] == '[');
}

bool vidur_trace_has_key(const char *bytes, size_t size, const char *key)
{
    const size_t length = strlen(key);
    if (!vidur_trace_is_json(bytes, size))
        return false;
    for (size_t i = 0; i + length + 2 < size; i++) {
        if (bytes[i] != '"' || memcmp(bytes + i + 1, key, length) != 0 ||
            bytes[i + 1 + length] != '"')
            continue;
        size_t at = i + length + 2;
        while (at < size && bytes[at] && strchr(" \t\r\n", bytes[at]))
            at++;
        if (at < size && bytes[at] == ':')
            return true;
    }
    return false;
}

bool vidur_trace_has_column(const char *bytes, size_t size, const char *name)
{
    const size_t length = strlen(name);
    size_t at = vidur_text_mark(bytes, size);
    if (vidur_trace_is_json(bytes, size))
        return false;
    while (at < size && (bytes[at] == '\n' || bytes[at] == '\r'))
        at++;
    while (at < size && bytes[at] != '\n' && bytes[at] != '\r') {
        size_t end = at;
        while (end < size &&
               !(bytes[end] == ',' || bytes[end] == '\n' || bytes[end] == '\r'))
            end++;
        const bool quoted = end - at >= 2 && bytes[at] == '"' && bytes[end - 1] == '"';
        const size_t first = at + quoted, last = end - quoted;
        if (last - first == length && memcmp(bytes + first, name, length) == 0)
            return true;
        at = end < size && bytes[end] == ',' ? end + 1 : end;
    }
    return false;
}

bool vidur_trace_maps_columns(const struct vidur_trace_options *options)
{
    const struct vidur_trace_columns *c = &options->columns;
    return false
#define X(name) || c->name[0]
        VIDUR_TRACE_COLUMNS(X)
#undef X
            ;
}

/* What nobody recognises is a table that lacks columns, which its reader says, unless
 * it is JSON. */
static int choose(const char *path, const char *bytes, size_t size,
                  const struct vidur_trace_format **out, struct vidur_error *err)
{
    char names[256];
    const char *known[NUM_FORMATS];
    for (int i = 0; i < NUM_FORMATS; i++)
        known[i] = formats[i]->name;
    for (int i = 0; i < NUM_FORMATS; i++)
        if (formats[i]->recognise(bytes, size)) {
            *out = formats[i];
            return 0;
        }
    *out = &vidur_trace_vidur;
    if (!vidur_trace_is_json(bytes, size))
        return 0;
    vidur_text_list(known, NUM_FORMATS, names, sizeof names);
    return vidur_fail(err, VIDUR_EPARSE,
                      "%s:1: this is JSON, but not a log of requests that is known; "
                      "give format: (%s), or columns: of an access log",
                      path, names);
}

/* Columns are an access log's, or those of an own trace that are not its lengths. */
static const struct vidur_trace_format *
choose_mapped(const struct vidur_trace_options *options, const char *bytes, size_t size)
{
    const struct vidur_trace_columns *c = &options->columns;
    const bool own_lengths = !c->prompt_tokens[0] && !c->output_tokens[0] &&
                             vidur_trace_vidur.recognise(bytes, size);
    return own_lengths ? &vidur_trace_vidur : &vidur_trace_access_log;
}

int vidur_trace_head(const char *path, char *head, int most, int *size,
                     struct vidur_error *err)
{
    struct vidur_gz *gz = vidur_gz_open(path, err);
    if (!gz)
        return -1;
    *size = vidur_gz_read(gz, head, most, err);
    vidur_gz_close(gz);
    return *size < 0 ? -1 : 0;
}

int vidur_trace_format_of(const char *path, const struct vidur_trace_options *options,
                          const struct vidur_trace_format **out,
                          struct vidur_error *err)
{
    int size = 0;
    *out = NULL;
    if (options->format[0]) {
        *out = find_format(options->format);
        return *out ? 0
                    : vidur_trace_format_check("workload.format", options->format, err);
    }
    char *head = malloc(HEAD_BYTES);
    int status = head ? vidur_trace_head(path, head, HEAD_BYTES, &size, err)
                      : vidur_fail(err, VIDUR_ENOMEM, "%s: out of memory", path);
    if (status == 0 && vidur_trace_maps_columns(options))
        *out = choose_mapped(options, head, (size_t)size);
    else if (status == 0)
        status = choose(path, head, (size_t)size, out, err);
    free(head);
    return status;
}

/* ---- Options ---- */

const char *vidur_trace_or(const char *given, const char *name)
{
    return given[0] ? given : name;
}

const char *vidur_trace_time_unit(const struct vidur_trace *trace, const char *unit)
{
    return trace->options->time_unit[0] ? trace->options->time_unit : unit;
}
