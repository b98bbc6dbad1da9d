#include "specs/model_hf_parts.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void hf_note(struct hf_config *config, const char *fmt, ...)
{
    char *note = config->model->note;
    const size_t size = sizeof config->model->note;
    size_t used = strlen(note);
    if (used > 0 && used + 3 < size) {
        memcpy(note + used, "; ", 3);
        used += 2;
    }
    va_list args;
    va_start(args, fmt);
    vsnprintf(note + used, size - used, fmt, args);
    va_end(args);
}

bool hf_is_there(const struct vidur_json_node *node)
{
    const enum vidur_json_kind kind = vidur_json_kind(node);
    return kind != VIDUR_JSON_ABSENT && kind != VIDUR_JSON_NULL;
}

/* The value of a name with dots, of `length` characters. */
static struct vidur_json_node get(const struct vidur_json_node *object,
                                  const char *name, size_t length)
{
    char key[64];
    struct vidur_json_node node = *object;
    while (length > 0) {
        const char *dot = memchr(name, '.', length);
        const size_t n = dot ? (size_t)(dot - name) : length;
        snprintf(key, sizeof key, "%.*s", (int)n, name);
        node = vidur_json_get(&node, key);
        name += dot ? n + 1 : n;
        length -= dot ? n + 1 : n;
    }
    return node;
}

struct vidur_json_node hf_find(const struct vidur_json_node *object, const char *names)
{
    const struct vidur_json_node first = get(object, names, strcspn(names, " "));
    while (*names) {
        const size_t n = strcspn(names, " ");
        const struct vidur_json_node node = get(object, names, n);
        if (hf_is_there(&node))
            return node;
        names += names[n] ? n + 1 : n;
    }
    return first;
}

int hf_read_int(const struct hf_config *config, const char *names, int *out,
                struct vidur_error *err)
{
    const struct vidur_json_node node = hf_find(&config->text, names);
    return hf_is_there(&node) ? vidur_json_as_int(&node, out, err) : 0;
}

int hf_read_flag(const struct vidur_json_node *object, const char *names, bool *out,
                 struct vidur_error *err)
{
    const struct vidur_json_node node = hf_find(object, names);
    return hf_is_there(&node) ? vidur_json_as_bool(&node, out, err) : 0;
}

int hf_read_size(const struct hf_config *config, const char *names, int by_default,
                 int *out, struct vidur_error *err)
{
    const struct vidur_json_node node = hf_find(&config->text, names);
    *out = by_default;
    if (!hf_is_there(&node))
        return 0;
    if (vidur_json_as_int(&node, out, err))
        return -1;
    if (*out < 1)
        return vidur_json_fail(&node, err,
                               "%d; 1 or more, or leave it out to derive it", *out);
    return 0;
}

int hf_need_size(struct hf_config *config, const char *names, int by_default, int *out,
                 struct vidur_error *err)
{
    if (hf_read_size(config, names, config->is_part ? by_default : 0, out, err))
        return -1;
    if (*out == 0) {
        const size_t used = strlen(config->missing);
        snprintf(config->missing + used, sizeof config->missing - used, "%s%.*s",
                 used ? ", " : "", (int)strcspn(names, " "), names);
    }
    return 0;
}
