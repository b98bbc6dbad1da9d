#ifndef VIDUR_BASE_YAML_TREE_H
#define VIDUR_BASE_YAML_TREE_H

/* The inside of a YAML document, shared by the yaml*.c files only. */

#include "base/yaml.h"

struct vidur_yaml_entry {
    char *key; /* NULL in a sequence */
    struct vidur_yaml_node *value;
};

struct vidur_yaml_node {
    enum vidur_yaml_kind kind;
    int line; /* of the key where it has one; 0: from an override */
    const struct vidur_yaml *doc;
    struct vidur_yaml_node *parent; /* NULL: the root */
    int index;                      /* among the parent's entries */
    char *text;                     /* of a scalar */
    struct vidur_yaml_entry *entries;
    int count, capacity;
};

struct vidur_yaml {
    char *name;
    char *text;
    size_t text_size;
    struct vidur_yaml_node *root;
    char **sets;
    int num_sets;
};

struct vidur_yaml_node *vidur_yaml_node_new(const struct vidur_yaml *doc,
                                            enum vidur_yaml_kind kind, int line);
void vidur_yaml_node_free(struct vidur_yaml_node *node);

/* Appends `value`, which the node then owns; copies the key (NULL in a sequence). On
 * failure, out of memory, nothing is taken. */
int vidur_yaml_node_append(struct vidur_yaml_node *node, const char *key,
                           struct vidur_yaml_node *value);

/* Index of a key in a mapping, or -1. */
int vidur_yaml_node_find(const struct vidur_yaml_node *mapping, const char *key);

/* The tree of an override's value, all lines 0; `key` is for messages. */
struct vidur_yaml_node *vidur_yaml_parse_value(struct vidur_yaml *doc, const char *key,
                                               const char *text,
                                               struct vidur_error *err);

#endif
