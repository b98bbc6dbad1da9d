#include "base/section.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_PATH = 128 };

/* The key path at the start of a text, up to ": "; false when there is none. */
static bool leading_path(const char *text, char path[MAX_PATH], const char **rest)
{
    size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_.");
    if (n == 0 || n >= MAX_PATH || strncmp(text + n, ": ", 2) != 0)
        return false;
    memcpy(path, text, n);
    path[n] = 0;
    *rest = text + n + 2;
    return true;
}

int vidur_section_fail(const struct vidur_yaml_node *mapping, const char *key,
                       struct vidur_error *err)
{
    if (!err)
        return -1;
    char text[sizeof err->text];
    const enum vidur_error_code code = err->code;
    snprintf(text, sizeof text, "%s", err->text);
    vidur_yaml_fail_key(mapping, key, err, "%s", text);
    err->code = code;
    return -1;
}

/* A mapping's value, or a list's item. */
static const struct vidur_yaml_node *child_of(const struct vidur_yaml_node *node,
                                              const char *key)
{
    if (vidur_yaml_kind(node) != VIDUR_YAML_IS_SEQUENCE)
        return vidur_yaml_get(node, key);
    return strspn(key, "0123456789") == strlen(key) ? vidur_yaml_item(node, atoi(key))
                                                    : NULL;
}

int vidur_section_locate(const struct vidur_yaml_node *section, const char *prefix,
                         struct vidur_error *err)
{
    char path[MAX_PATH];
    const char *rest;
    if (!err || !section || strncmp(err->text, prefix, strlen(prefix)) != 0 ||
        !leading_path(err->text + strlen(prefix), path, &rest))
        return -1;
    const struct vidur_yaml_node *mapping = section;
    char *key = path;
    for (char *dot = strchr(key, '.'); dot; dot = strchr(key, '.')) {
        *dot = 0;
        const struct vidur_yaml_node *child = child_of(mapping, key);
        if (!child) { /* name the place that lacks the rest of the path */
            *dot = '.';
            break;
        }
        mapping = child;
        key = dot + 1;
    }
    memmove(err->text, rest, strlen(rest) + 1);
    return vidur_section_fail(mapping, key, err);
}
