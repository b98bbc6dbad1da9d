/* Overrides: `key.path=value` put into a document's tree. */

#include "base/text.h"
#include "base/yaml_tree.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_SEGMENTS = 32, MAX_SEGMENT = 128 };

struct place {
    struct vidur_yaml *doc;
    const char *key; /* the whole path, for messages */
    struct vidur_error *err;
};

static int fail(const struct place *p, const char *what, const char *segment)
{
    return vidur_fail(p->err, VIDUR_EINVAL, "--set %s: %s '%s'", p->key, what, segment);
}

/* An empty child, to be filled by the next step. */
static struct vidur_yaml_node *append(const struct place *p,
                                      struct vidur_yaml_node *node, const char *key)
{
    struct vidur_yaml_node *child = vidur_yaml_node_new(p->doc, VIDUR_YAML_IS_EMPTY, 0);
    if (child && vidur_yaml_node_append(node, key, child) == 0)
        return child;
    vidur_yaml_node_free(child);
    vidur_fail(p->err, VIDUR_ENOMEM, "--set %s: out of memory", p->key);
    return NULL;
}

static struct vidur_yaml_node *
step_into_list(const struct place *p, struct vidur_yaml_node *node, const char *segment)
{
    int64_t index;
    if (!vidur_text_int64(segment, &index) || index < 0) {
        fail(p, "a list is indexed with a number from 0 on, not with", segment);
        return NULL;
    }
    if (index > node->count) {
        vidur_fail(p->err, VIDUR_EINVAL,
                   "--set %s: the list has %d elements; the next one is %d", p->key,
                   node->count, node->count);
        return NULL;
    }
    if (index == node->count)
        return append(p, node, NULL);
    return node->entries[index].value;
}

static struct vidur_yaml_node *
step_into(const struct place *p, struct vidur_yaml_node *node, const char *segment)
{
    if (node->kind == VIDUR_YAML_IS_SCALAR) {
        fail(p, "the value above is a single one, it has no key", segment);
        return NULL;
    }
    if (node->kind == VIDUR_YAML_IS_EMPTY)
        node->kind =
            strcmp(segment, "0") == 0 ? VIDUR_YAML_IS_SEQUENCE : VIDUR_YAML_IS_MAPPING;
    if (node->kind == VIDUR_YAML_IS_SEQUENCE)
        return step_into_list(p, node, segment);
    const int index = vidur_yaml_node_find(node, segment);
    return index >= 0 ? node->entries[index].value : append(p, node, segment);
}

/* The node that the path names, made where it is missing. */
static struct vidur_yaml_node *find_place(const struct place *p)
{
    struct vidur_yaml_node *node = p->doc->root;
    const char *rest = p->key;
    for (int depth = 0; node; depth++) {
        char segment[MAX_SEGMENT];
        const size_t length = strcspn(rest, ".");
        if (length == 0 || length >= sizeof segment || depth >= MAX_SEGMENTS) {
            fail(p, "not a path of keys like scheduler.chunk_size:", p->key);
            return NULL;
        }
        memcpy(segment, rest, length);
        segment[length] = '\0';
        node = step_into(p, node, segment);
        if (rest[length] == '\0')
            return node;
        rest += length + 1;
    }
    return NULL;
}

/* Puts `value` where `old` is and frees `old`. */
static void replace(struct vidur_yaml_node *old, struct vidur_yaml_node *value)
{
    struct vidur_yaml_node *parent = old->parent;
    value->parent = parent;
    value->index = old->index;
    parent->entries[old->index].value = value;
    vidur_yaml_node_free(old);
}

static int remember(struct vidur_yaml *doc, const char *assignment)
{
    char **sets = realloc(doc->sets, ((size_t)doc->num_sets + 1) * sizeof *sets);
    if (!sets)
        return -1;
    doc->sets = sets;
    if (!(sets[doc->num_sets] = strdup(assignment)))
        return -1;
    doc->num_sets++;
    return 0;
}

int vidur_yaml_set(struct vidur_yaml *doc, const char *assignment,
                   struct vidur_error *err)
{
    const char *equals = strchr(assignment, '=');
    if (!equals || equals == assignment)
        return vidur_fail(err, VIDUR_EINVAL,
                          "--set %s: write it as KEY.PATH=VALUE, without spaces",
                          assignment);
    char *key = strndup(assignment, (size_t)(equals - assignment));
    if (!key || remember(doc, assignment)) {
        free(key);
        return vidur_fail(err, VIDUR_ENOMEM, "--set %s: out of memory", assignment);
    }
    const struct place place = {doc, key, err};
    struct vidur_yaml_node *value = vidur_yaml_parse_value(doc, key, equals + 1, err);
    struct vidur_yaml_node *old = value ? find_place(&place) : NULL;
    if (old)
        replace(old, value);
    else
        vidur_yaml_node_free(value);
    free(key);
    return old ? 0 : -1;
}
