#include "base/json.h"

#include "base/file.h"
#include "base/text.h"

#include <jansson.h>
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct vidur_json {
    char *name;
    json_t *root;
};

/* ---- Documents ---- */

struct vidur_json *vidur_json_parse(const char *name, const char *text, size_t size,
                                    struct vidur_error *err)
{
    struct vidur_json *doc = calloc(1, sizeof *doc);
    if (!doc || !(doc->name = strdup(name))) {
        free(doc);
        vidur_fail(err, VIDUR_ENOMEM, "%s: out of memory", name);
        return NULL;
    }
    json_error_t why;
    const size_t mark = vidur_text_mark(text, size);
    doc->root = json_loadb(text + mark, size - mark, JSON_REJECT_DUPLICATES, &why);
    if (doc->root)
        return doc;
    vidur_fail(err, VIDUR_EPARSE, "%s:%d: not valid JSON: %s", name,
               why.line > 0 ? why.line : 1, why.text);
    vidur_json_free(doc);
    return NULL;
}

struct vidur_json *vidur_json_parse_at(const char *name, int line, const char *text,
                                       size_t size, struct vidur_error *err)
{
    char place[1100];
    json_error_t why;
    struct vidur_json *doc = calloc(1, sizeof *doc);
    snprintf(place, sizeof place, "%s:%d", name, line);
    if (!doc || !(doc->name = strdup(place))) {
        free(doc);
        vidur_fail(err, VIDUR_ENOMEM, "%s: out of memory", name);
        return NULL;
    }
    doc->root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &why);
    if (doc->root)
        return doc;
    vidur_fail(err, VIDUR_EPARSE, "%s:%d: not valid JSON: %s", name,
               line + (why.line > 0 ? why.line - 1 : 0), why.text);
    vidur_json_free(doc);
    return NULL;
}

struct vidur_json *vidur_json_load(const char *path, struct vidur_error *err)
{
    size_t size;
    char *text = vidur_file_read(path, 0, &size, err);
    if (!text)
        return NULL;
    struct vidur_json *doc = vidur_json_parse(path, text, size, err);
    free(text);
    return doc;
}

void vidur_json_free(struct vidur_json *doc)
{
    if (!doc)
        return;
    json_decref(doc->root);
    free(doc->name);
    free(doc);
}

/* ---- Places ---- */

struct vidur_json_node vidur_json_root(const struct vidur_json *doc)
{
    return (struct vidur_json_node){.doc = doc, .value = doc->root};
}

static const json_t *value_of(const struct vidur_json_node *node)
{
    return node->value;
}

enum vidur_json_kind vidur_json_kind(const struct vidur_json_node *node)
{
    if (!node->value)
        return VIDUR_JSON_ABSENT;
    switch (json_typeof(value_of(node))) {
    case JSON_OBJECT:
        return VIDUR_JSON_OBJECT;
    case JSON_ARRAY:
        return VIDUR_JSON_ARRAY;
    case JSON_STRING:
        return VIDUR_JSON_STRING;
    case JSON_INTEGER:
    case JSON_REAL:
        return VIDUR_JSON_NUMBER;
    case JSON_TRUE:
    case JSON_FALSE:
        return VIDUR_JSON_BOOL;
    case JSON_NULL:
        break;
    }
    return VIDUR_JSON_NULL;
}

int vidur_json_count(const struct vidur_json_node *node)
{
    if (json_is_object(value_of(node)))
        return (int)json_object_size(value_of(node));
    return (int)json_array_size(value_of(node)); /* 0 for what is no array */
}

static struct vidur_json_node child(const struct vidur_json_node *node,
                                    const json_t *value, const char *key)
{
    struct vidur_json_node result = {.doc = node->doc, .value = value};
    snprintf(result.path, sizeof result.path, "%s%s%s", node->path,
             node->path[0] ? "." : "", key);
    return result;
}

static void *iterator_at(const struct vidur_json_node *node, int index)
{
    json_t *object = (json_t *)value_of(node);
    void *iter = json_is_object(object) ? json_object_iter(object) : NULL;
    for (int i = 0; iter && i < index; i++)
        iter = json_object_iter_next(object, iter);
    return index < 0 ? NULL : iter;
}

struct vidur_json_node vidur_json_item(const struct vidur_json_node *node, int index)
{
    char number[16];
    void *iter = iterator_at(node, index);
    if (iter)
        return child(node, json_object_iter_value(iter), json_object_iter_key(iter));
    snprintf(number, sizeof number, "%d", index);
    return child(node, index < 0 ? NULL : json_array_get(value_of(node), (size_t)index),
                 number);
}

const char *vidur_json_key(const struct vidur_json_node *node, int index)
{
    void *iter = iterator_at(node, index);
    return iter ? json_object_iter_key(iter) : NULL;
}

struct vidur_json_node vidur_json_get(const struct vidur_json_node *node,
                                      const char *key)
{
    return child(node, json_object_get(value_of(node), key), key);
}

bool vidur_json_has(const struct vidur_json_node *node, const char *key)
{
    const json_t *value = json_object_get(value_of(node), key);
    return value && !json_is_null(value);
}

/* ---- Values ---- */

int vidur_json_fail(const struct vidur_json_node *node, struct vidur_error *err,
                    const char *fmt, ...)
{
    char text[640];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return vidur_fail(err, VIDUR_EINVAL, "%s: %s%s%s", node->doc->name, node->path,
                      node->path[0] ? ": " : "", text);
}

static int fail_kind(const struct vidur_json_node *node, const char *wanted,
                     struct vidur_error *err)
{
    static const char *const found[] = {"nothing",  "null",     "true or false",
                                        "a number", "a string", "an array",
                                        "an object"};
    return vidur_json_fail(node, err, "%s where %s is needed",
                           found[vidur_json_kind(node)], wanted);
}

int vidur_json_as_double(const struct vidur_json_node *node, double *out,
                         struct vidur_error *err)
{
    if (!json_is_number(value_of(node)))
        return fail_kind(node, "a number", err);
    *out = json_number_value(value_of(node));
    return 0;
}

int vidur_json_as_int64(const struct vidur_json_node *node, int64_t *out,
                        struct vidur_error *err)
{
    if (!json_is_integer(value_of(node)))
        return fail_kind(node, "a whole number", err);
    *out = json_integer_value(value_of(node));
    return 0;
}

int vidur_json_as_int(const struct vidur_json_node *node, int *out,
                      struct vidur_error *err)
{
    int64_t value = 0;
    if (vidur_json_as_int64(node, &value, err))
        return -1;
    if (value < INT_MIN || value > INT_MAX)
        return vidur_json_fail(node, err, "%lld is too large; it must be within %d",
                               (long long)value, value < 0 ? INT_MIN : INT_MAX);
    *out = (int)value;
    return 0;
}

int vidur_json_as_bool(const struct vidur_json_node *node, bool *out,
                       struct vidur_error *err)
{
    if (!json_is_boolean(value_of(node)))
        return fail_kind(node, "true or false", err);
    *out = json_is_true(value_of(node));
    return 0;
}

const char *vidur_json_as_string(const struct vidur_json_node *node,
                                 struct vidur_error *err)
{
    if (!json_is_string(value_of(node)))
        fail_kind(node, "a string", err);
    return json_string_value(value_of(node));
}

/* ---- Writing ---- */

enum { MAX_OPEN = 32 };

struct vidur_json_writer {
    json_t *root;
    json_t *open[MAX_OPEN]; /* borrowed: the root holds them */
    int depth;
    const char *problem; /* the first one; NULL: none */
};

struct vidur_json_writer *vidur_json_writer_new(struct vidur_error *err)
{
    struct vidur_json_writer *writer = calloc(1, sizeof *writer);
    if (!writer)
        vidur_fail(err, VIDUR_ENOMEM, "out of memory");
    return writer;
}

static void note(struct vidur_json_writer *writer, const char *problem)
{
    if (!writer->problem)
        writer->problem = problem;
}

/* Takes the reference to `value`, also when it cannot be put anywhere. */
static bool put(struct vidur_json_writer *writer, const char *key, json_t *value)
{
    json_t *parent = writer->depth > 0 ? writer->open[writer->depth - 1] : NULL;
    int status = -1;
    if (!value) {
        note(writer, "out of memory, or a text that is not UTF-8");
        return false;
    }
    if (json_is_object(parent) && key)
        status = json_object_set_new(parent, key, value);
    else if (json_is_array(parent) && !key)
        status = json_array_append_new(parent, value);
    else
        json_decref(value);
    if (status != 0)
        note(writer, "a value in the wrong place, or a key that is not UTF-8");
    return status == 0;
}

static void begin(struct vidur_json_writer *writer, const char *key, json_t *value)
{
    if (writer->depth == MAX_OPEN) {
        note(writer, "nested too deeply");
        json_decref(value);
        return;
    }
    if (!writer->root && value)
        writer->root = value;
    else if (!put(writer, key, value))
        return;
    writer->open[writer->depth++] = value;
}

void vidur_json_begin_object(struct vidur_json_writer *writer, const char *key)
{
    begin(writer, key, json_object());
}

void vidur_json_begin_array(struct vidur_json_writer *writer, const char *key)
{
    begin(writer, key, json_array());
}

void vidur_json_end(struct vidur_json_writer *writer)
{
    if (writer->depth == 0)
        note(writer, "an end without a begin");
    else
        writer->depth--;
}

void vidur_json_put_double(struct vidur_json_writer *writer, const char *key,
                           double value)
{
    put(writer, key, isfinite(value) ? json_real(value) : json_null());
}

void vidur_json_put_int64(struct vidur_json_writer *writer, const char *key,
                          int64_t value)
{
    put(writer, key, json_integer(value));
}

void vidur_json_put_bool(struct vidur_json_writer *writer, const char *key, bool value)
{
    put(writer, key, json_boolean(value));
}

void vidur_json_put_string(struct vidur_json_writer *writer, const char *key,
                           const char *value)
{
    put(writer, key, value ? json_string(value) : json_null());
}

char *vidur_json_writer_text(const struct vidur_json_writer *writer,
                             struct vidur_error *err)
{
    const char *problem = writer->problem;
    if (!problem && (!writer->root || writer->depth > 0))
        problem = "an object or array that is not ended";
    char *text =
        problem ? NULL
                : json_dumps(writer->root, JSON_INDENT(2) | JSON_REAL_PRECISION(17));
    if (problem)
        vidur_fail(err, VIDUR_EINVAL, "cannot make JSON: %s", problem);
    else if (!text)
        vidur_fail(err, VIDUR_ENOMEM, "cannot make JSON: out of memory");
    return text;
}

int vidur_json_writer_save(const struct vidur_json_writer *writer, const char *path,
                           struct vidur_error *err)
{
    char *text = vidur_json_writer_text(writer, err);
    if (!text)
        return vidur_fail_prefix(err, "%s", path);
    struct vidur_file *file = vidur_file_create(path, err);
    int status = -1;
    if (file) {
        fprintf(vidur_file_stream(file), "%s\n", text);
        status = vidur_file_commit(file, err);
    }
    free(text);
    return status;
}

void vidur_json_writer_free(struct vidur_json_writer *writer)
{
    if (!writer)
        return;
    json_decref(writer->root);
    free(writer);
}
