#include "base/yaml_tree.h"

#include "base/text.h"

#include <vidur/paths.h>

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- Building ---- */

struct vidur_yaml_node *vidur_yaml_node_new(const struct vidur_yaml *doc,
                                            enum vidur_yaml_kind kind, int line)
{
    struct vidur_yaml_node *node = calloc(1, sizeof *node);
    if (node) {
        node->doc = doc;
        node->kind = kind;
        node->line = line;
    }
    return node;
}

void vidur_yaml_node_free(struct vidur_yaml_node *node)
{
    if (!node)
        return;
    for (int i = 0; i < node->count; i++) {
        free(node->entries[i].key);
        vidur_yaml_node_free(node->entries[i].value);
    }
    free(node->entries);
    free(node->text);
    free(node);
}

int vidur_yaml_node_append(struct vidur_yaml_node *node, const char *key,
                           struct vidur_yaml_node *value)
{
    if (node->count == node->capacity) {
        const int capacity = node->capacity ? 2 * node->capacity : 8;
        struct vidur_yaml_entry *entries =
            realloc(node->entries, (size_t)capacity * sizeof *entries);
        if (!entries)
            return -1;
        node->entries = entries;
        node->capacity = capacity;
    }
    struct vidur_yaml_entry *entry = &node->entries[node->count];
    *entry = (struct vidur_yaml_entry){key ? strdup(key) : NULL, value};
    if (key && !entry->key)
        return -1;
    value->parent = node;
    value->index = node->count++;
    return 0;
}

int vidur_yaml_node_find(const struct vidur_yaml_node *mapping, const char *key)
{
    if (mapping->kind != VIDUR_YAML_IS_MAPPING)
        return -1;
    for (int i = 0; i < mapping->count; i++)
        if (strcmp(mapping->entries[i].key, key) == 0)
            return i;
    return -1;
}

/* ---- Structure ---- */

enum vidur_yaml_kind vidur_yaml_kind(const struct vidur_yaml_node *node)
{
    return node ? node->kind : VIDUR_YAML_IS_EMPTY;
}

const char *vidur_yaml_file(const struct vidur_yaml_node *node)
{
    return node->doc->name;
}

int vidur_yaml_count(const struct vidur_yaml_node *node)
{
    return node ? node->count : 0;
}

const struct vidur_yaml_node *vidur_yaml_item(const struct vidur_yaml_node *node,
                                              int index)
{
    if (!node || index < 0 || index >= node->count)
        return NULL;
    return node->entries[index].value;
}

const char *vidur_yaml_key(const struct vidur_yaml_node *node, int index)
{
    if (!node || index < 0 || index >= node->count)
        return NULL;
    return node->entries[index].key;
}

const struct vidur_yaml_node *vidur_yaml_get(const struct vidur_yaml_node *mapping,
                                             const char *key)
{
    const int index = mapping ? vidur_yaml_node_find(mapping, key) : -1;
    if (index < 0 || mapping->entries[index].value->kind == VIDUR_YAML_IS_EMPTY)
        return NULL;
    return mapping->entries[index].value;
}

/* ---- Errors ---- */

/* Writes "cluster.device: " and the like; nothing for the root. */
static size_t put_path(const struct vidur_yaml_node *node, char *out, size_t size)
{
    if (!node->parent)
        return 0;
    size_t used = put_path(node->parent, out, size);
    const char *dot = used ? "." : "";
    const char *key = node->parent->entries[node->index].key;
    if (used >= size)
        return used;
    const int n = key ? snprintf(out + used, size - used, "%s%s", dot, key)
                      : snprintf(out + used, size - used, "%s%d", dot, node->index);
    return used + (n > 0 ? (size_t)n : 0);
}

static int fail_at(const struct vidur_yaml_node *node, const char *key,
                   struct vidur_error *err, const char *text)
{
    char path[256] = "";
    const bool nested = put_path(node, path, sizeof path) > 0;
    const char *dot = nested && key ? "." : "";
    const char *colon = nested || key ? ": " : "";
    if (node->line == 0)
        return vidur_fail(err, VIDUR_EINVAL, "--set %s%s%s%s%s", path, dot,
                          key ? key : "", colon, text);
    return vidur_fail(err, VIDUR_EINVAL, "%s:%d: %s%s%s%s%s", node->doc->name,
                      node->line, path, dot, key ? key : "", colon, text);
}

int vidur_yaml_fail(const struct vidur_yaml_node *node, struct vidur_error *err,
                    const char *fmt, ...)
{
    char text[768];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return fail_at(node, NULL, err, text);
}

int vidur_yaml_fail_key(const struct vidur_yaml_node *mapping, const char *key,
                        struct vidur_error *err, const char *fmt, ...)
{
    char text[768];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    const int index = vidur_yaml_node_find(mapping, key);
    if (index >= 0)
        return fail_at(mapping->entries[index].value, NULL, err, text);
    return fail_at(mapping, key, err, text);
}

int vidur_yaml_fail_missing(const struct vidur_yaml_node *mapping, const char *key,
                            struct vidur_error *err)
{
    return vidur_yaml_fail_key(mapping, key, err, "missing; this key needs a value");
}

int vidur_yaml_fail_unknown(const struct vidur_yaml_node *mapping, const char *key,
                            const char *const *names, int count,
                            struct vidur_error *err)
{
    char list[512];
    const char *nearest = vidur_text_nearest(key, names, count);
    const int distance = nearest ? vidur_text_distance(key, nearest) : INT_MAX;
    if (count == 1 && nearest)
        return vidur_yaml_fail_key(mapping, key, err,
                                   "unknown key; the only known one is '%s'", nearest);
    if (distance <= 2 || distance <= (int)strlen(key) / 2) /* a slip of the keyboard */
        return vidur_yaml_fail_key(
            mapping, key, err, "unknown key; the nearest known one is '%s'", nearest);
    vidur_text_list(names, count, list, sizeof list);
    return vidur_yaml_fail_key(mapping, key, err, "unknown key; known are %s", list);
}

/* ---- Scalars ---- */

const char *vidur_yaml_scalar(const struct vidur_yaml_node *node)
{
    return node && node->kind == VIDUR_YAML_IS_SCALAR ? node->text : NULL;
}

static const char *scalar_or_fail(const struct vidur_yaml_node *node,
                                  const char *wanted, struct vidur_error *err)
{
    static const char *const found[] = {"nothing", "a value", "a list", "a mapping"};
    if (node->kind != VIDUR_YAML_IS_SCALAR)
        vidur_yaml_fail(node, err, "%s where %s is needed", found[node->kind], wanted);
    return node->kind == VIDUR_YAML_IS_SCALAR ? node->text : NULL;
}

int vidur_yaml_as_double(const struct vidur_yaml_node *node, double *out,
                         struct vidur_error *err)
{
    const char *text = scalar_or_fail(node, "a number", err);
    if (!text)
        return -1;
    if (!vidur_text_double(text, out))
        return vidur_yaml_fail(
            node, err, "'%.60s' is not a finite number; write it like 0.25", text);
    return 0;
}

int vidur_yaml_as_int64(const struct vidur_yaml_node *node, int64_t *out,
                        struct vidur_error *err)
{
    const char *text = scalar_or_fail(node, "a whole number", err);
    if (!text)
        return -1;
    if (!vidur_text_int64(text, out))
        return vidur_yaml_fail(
            node, err, "'%.60s' is not a whole number; write it like 4096", text);
    return 0;
}

int vidur_yaml_as_int(const struct vidur_yaml_node *node, int *out,
                      struct vidur_error *err)
{
    int64_t value = 0;
    if (vidur_yaml_as_int64(node, &value, err))
        return -1;
    if (value < INT_MIN || value > INT_MAX)
        return vidur_yaml_fail(node, err, "%s is too large; it must be within %d",
                               node->text, value < 0 ? INT_MIN : INT_MAX);
    *out = (int)value;
    return 0;
}

int vidur_yaml_as_bool(const struct vidur_yaml_node *node, bool *out,
                       struct vidur_error *err)
{
    const char *text = scalar_or_fail(node, "true or false", err);
    if (!text)
        return -1;
    if (!vidur_text_bool(text, false, out))
        return vidur_yaml_fail(node, err, "'%.60s' is neither true nor false", text);
    return 0;
}

int vidur_yaml_as_string(const struct vidur_yaml_node *node, char *out, size_t size,
                         struct vidur_error *err)
{
    const char *text = scalar_or_fail(node, "a text", err);
    if (!text)
        return -1;
    const size_t length = strlen(text);
    if (length >= size)
        return vidur_yaml_fail(node, err,
                               "a text of %zu bytes; at most %zu are supported", length,
                               size - 1);
    memcpy(out, text, length + 1);
    return 0;
}

int vidur_yaml_as_path(const struct vidur_yaml_node *node, char *out, size_t size,
                       struct vidur_error *err)
{
    struct vidur_path path;
    struct vidur_error why;
    const char *text = scalar_or_fail(node, "a path", err);
    if (!text)
        return -1;
    if (vidur_path_resolve(node->doc->name, text, &path, &why))
        return vidur_yaml_fail(node, err, "%s", why.text);
    const size_t length = strlen(path.text);
    if (length >= size)
        return vidur_yaml_fail(node, err,
                               "a path of %zu bytes; at most %zu are supported", length,
                               size - 1);
    memcpy(out, path.text, length + 1);
    return 0;
}

int vidur_yaml_as_reference(const struct vidur_yaml_node *node, char *out, size_t size,
                            struct vidur_error *err)
{
    static const char *const suffixes[] = {".yaml", ".yml", ".json"};
    const char *text = vidur_yaml_scalar(node);
    const size_t n = text ? strlen(text) : 0;
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        const size_t length = strlen(suffixes[i]);
        if (n > length && strcasecmp(text + n - length, suffixes[i]) == 0)
            return vidur_yaml_as_path(node, out, size, err);
    }
    return vidur_yaml_as_string(node, out, size, err);
}

int vidur_yaml_read_seed(const struct vidur_yaml_node *node, void *out,
                         struct vidur_error *err)
{
    int64_t seed;
    if (vidur_yaml_as_int64(node, &seed, err) != 0)
        return -1;
    if (seed < 0)
        return vidur_yaml_fail(node, err, "%lld is negative; a seed is 0 or more",
                               (long long)seed);
    *(uint64_t *)out = (uint64_t)seed;
    return 0;
}

/* ---- Canonical text ---- */

static void put_quoted(struct vidur_text *out, const char *text)
{
    vidur_text_adds(out, "\"");
    for (; *text; text++) {
        const unsigned char c = (unsigned char)*text;
        char escaped[8];
        if (c == '"' || c == '\\')
            snprintf(escaped, sizeof escaped, "\\%c", c);
        else if (c < 0x20)
            snprintf(escaped, sizeof escaped, "\\u%04x", c);
        else
            snprintf(escaped, sizeof escaped, "%c", c);
        vidur_text_adds(out, escaped);
    }
    vidur_text_adds(out, "\"");
}

static int compare_entries(const void *a, const void *b)
{
    const struct vidur_yaml_entry *x = a, *y = b;
    return strcmp(x->key, y->key);
}

static void put_canonical(struct vidur_text *out, const struct vidur_yaml_node *node);

/* A key without a value means the default, as if it were not there. */
static void put_mapping(struct vidur_text *out, const struct vidur_yaml_node *node)
{
    const size_t count = (size_t)node->count;
    struct vidur_yaml_entry *sorted = malloc((count ? count : 1) * sizeof *sorted);
    if (!sorted) {
        out->failed = true;
        return;
    }
    if (count)
        memcpy(sorted, node->entries, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, compare_entries);
    const char *comma = "";
    vidur_text_adds(out, "{");
    for (size_t i = 0; i < count; i++) {
        if (sorted[i].value->kind == VIDUR_YAML_IS_EMPTY)
            continue;
        vidur_text_adds(out, comma);
        put_quoted(out, sorted[i].key);
        vidur_text_adds(out, ": ");
        put_canonical(out, sorted[i].value);
        comma = ", ";
    }
    vidur_text_adds(out, "}");
    free(sorted);
}

static void put_sequence(struct vidur_text *out, const struct vidur_yaml_node *node)
{
    vidur_text_adds(out, "[");
    for (int i = 0; i < node->count; i++) {
        if (i > 0)
            vidur_text_adds(out, ", ");
        put_canonical(out, node->entries[i].value);
    }
    vidur_text_adds(out, "]");
}

static void put_canonical(struct vidur_text *out, const struct vidur_yaml_node *node)
{
    switch (vidur_yaml_kind(node)) {
    case VIDUR_YAML_IS_EMPTY:
        vidur_text_adds(out, "null");
        break;
    case VIDUR_YAML_IS_SCALAR:
        put_quoted(out, node->text);
        break;
    case VIDUR_YAML_IS_SEQUENCE:
        put_sequence(out, node);
        break;
    case VIDUR_YAML_IS_MAPPING:
        put_mapping(out, node);
        break;
    }
}

char *vidur_yaml_canonical(const struct vidur_yaml_node *node)
{
    struct vidur_text out = {0};
    put_canonical(&out, node);
    if (!out.failed)
        return out.data;
    free(out.data);
    return NULL;
}
