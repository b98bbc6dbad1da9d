#include "base/policy.h"

#include "base/text.h"

#include <stdio.h>
#include <string.h>

enum { MAX_NAMES = 32, MAX_LIST = 512 };

int vidur_policy_find(vidur_policy_names *names, const char *name)
{
    for (int i = 0; names(i); i++)
        if (strcmp(names(i), name) == 0)
            return i;
    return -1;
}

static void describe_unknown(vidur_policy_names *names, const char *name,
                             char text[MAX_LIST])
{
    const char *known[MAX_NAMES];
    int count = 0;
    for (; count < MAX_NAMES && names(count); count++)
        known[count] = names(count);
    vidur_text_unknown(name, known, count, text, MAX_LIST);
}

int vidur_policy_unknown(vidur_policy_names *names, const char *key, const char *name,
                         struct vidur_error *err)
{
    char text[MAX_LIST];
    describe_unknown(names, name, text);
    return vidur_fail(err, VIDUR_EINVAL, "%s: %s", key, text);
}

int vidur_policy_read_type(const struct vidur_yaml_node *section,
                           vidur_policy_names *names, char *type, size_t size,
                           struct vidur_error *err)
{
    char text[MAX_LIST];
    snprintf(text, sizeof text, "{type: %s}", names(0));
    if (vidur_yaml_kind(section) != VIDUR_YAML_IS_MAPPING)
        return vidur_yaml_fail_shape(section, "a mapping", text, err);
    const struct vidur_yaml_node *node = vidur_yaml_get(section, "type");
    const char *name = vidur_yaml_scalar(node);
    if (!node)
        return 0;
    if (!name)
        return vidur_yaml_fail_shape(node, "a word", names(0), err);
    if (vidur_policy_find(names, name) < 0) {
        describe_unknown(names, name, text);
        return vidur_yaml_fail(node, err, "%s", text);
    }
    snprintf(type, size, "%s", name);
    return 0;
}
