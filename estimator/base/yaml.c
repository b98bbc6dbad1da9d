/* From libyaml's documents to our tree. */

#include "base/yaml_tree.h"

#include "base/file.h"
#include "base/intern.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

enum {
    MAX_BYTES = 16 << 20, /* of a configuration file */
    MAX_DEPTH = 64,
    MAX_NODES = 1 << 18, /* aliases are copied: a few lines could ask for billions */
    MAX_ANCHORS = 1000,  /* libyaml looks each alias up in all of them */
    MAX_DIRECTIVES = 100 /* and compares each %TAG with all others */
};

static const char too_deep[] = "nested too deeply (64 levels); make it flatter";

struct loader {
    struct vidur_yaml *doc;
    yaml_document_t *source;
    const char *set_key; /* not NULL: the text is an override's value */
    int num_nodes, depth;
    struct vidur_error *err;
};

static int loader_fail(struct loader *l, int line, const char *what)
{
    if (l->set_key)
        return vidur_fail(l->err, VIDUR_EPARSE, "--set %s: %s", l->set_key, what);
    return vidur_fail(l->err, VIDUR_EPARSE, "%s:%d: %s", l->doc->name, line, what);
}

static int no_memory(struct loader *l)
{
    return vidur_fail(l->err, VIDUR_ENOMEM, "%s: out of memory", l->doc->name);
}

/* ---- From libyaml's document to the tree ---- */

static int line_of(const struct loader *l, const yaml_node_t *from)
{
    return l->set_key ? 0 : (int)from->start_mark.line + 1;
}

static bool is_plain(const yaml_node_t *from, const char *word)
{
    return from->type == YAML_SCALAR_NODE &&
           from->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
           strcmp((const char *)from->data.scalar.value, word) == 0;
}

static bool is_empty(const yaml_node_t *from)
{
    return is_plain(from, "") || is_plain(from, "~") || is_plain(from, "null") ||
           is_plain(from, "Null") || is_plain(from, "NULL");
}

static struct vidur_yaml_node *convert(struct loader *l, int id);

static int convert_scalar(struct loader *l, const yaml_node_t *from,
                          struct vidur_yaml_node *node)
{
    const char *text = (const char *)from->data.scalar.value;
    if (strlen(text) != from->data.scalar.length)
        return loader_fail(l, node->line, "a NUL byte in a value; remove it");
    if (is_empty(from)) {
        node->kind = VIDUR_YAML_IS_EMPTY;
        return 0;
    }
    node->text = strdup(text);
    return node->text ? 0 : no_memory(l);
}

static int convert_sequence(struct loader *l, const yaml_node_t *from,
                            struct vidur_yaml_node *node)
{
    const yaml_node_item_t *items = from->data.sequence.items.start;
    const long count = from->data.sequence.items.top - items;
    for (long i = 0; i < count; i++) {
        struct vidur_yaml_node *child = convert(l, items[i]);
        if (!child)
            return -1;
        if (vidur_yaml_node_append(node, NULL, child)) {
            vidur_yaml_node_free(child);
            return no_memory(l);
        }
    }
    return 0;
}

/* Takes over the entries of `other` whose keys are new; `keys` are the node's. */
static int adopt(struct loader *l, struct vidur_yaml_node *node,
                 struct vidur_yaml_node *other, struct vidur_intern *keys)
{
    for (int i = 0; i < other->count; i++) {
        struct vidur_yaml_entry *entry = &other->entries[i];
        bool is_new;
        if (vidur_intern(keys, entry->key, strlen(entry->key), &is_new) < 0)
            return no_memory(l);
        if (!is_new)
            continue;
        if (vidur_yaml_node_append(node, entry->key, entry->value))
            return no_memory(l);
        entry->value = NULL;
    }
    return 0;
}

/* `<<: *a` and `<<: [*a, *b]`: keys of the mapping itself win, then the earlier. */
static int merge(struct loader *l, int id, struct vidur_yaml_node *node,
                 struct vidur_intern *keys)
{
    struct vidur_yaml_node *from = convert(l, id);
    int status = from ? 0 : -1;
    const bool list = from && from->kind == VIDUR_YAML_IS_SEQUENCE;
    const int count = list ? from->count : 1;
    for (int i = 0; status == 0 && i < count; i++) {
        struct vidur_yaml_node *one = list ? from->entries[i].value : from;
        if (one->kind == VIDUR_YAML_IS_MAPPING)
            status = adopt(l, node, one, keys);
        else
            status = loader_fail(l, node->line, "'<<' needs a mapping to merge");
    }
    vidur_yaml_node_free(from);
    return status;
}

static int add_pair(struct loader *l, const yaml_node_pair_t *pair,
                    struct vidur_yaml_node *node, struct vidur_intern *keys)
{
    const yaml_node_t *key = yaml_document_get_node(l->source, pair->key);
    const int line = line_of(l, key);
    const char *text = (const char *)key->data.scalar.value;
    bool is_new;
    if (key->type != YAML_SCALAR_NODE || strlen(text) != key->data.scalar.length)
        return loader_fail(l, line, "a key must be a word");
    if (vidur_intern(keys, text, strlen(text), &is_new) < 0)
        return no_memory(l);
    if (!is_new) {
        char what[160];
        snprintf(what, sizeof what, "%.100s: the key is given twice; keep one", text);
        return loader_fail(l, line, what);
    }
    if (is_plain(key, "<<"))
        return 0;
    struct vidur_yaml_node *value = convert(l, pair->value);
    if (!value)
        return -1;
    value->line = line;
    if (vidur_yaml_node_append(node, text, value)) {
        vidur_yaml_node_free(value);
        return no_memory(l);
    }
    return 0;
}

static int convert_mapping(struct loader *l, const yaml_node_t *from,
                           struct vidur_yaml_node *node)
{
    const yaml_node_pair_t *pairs = from->data.mapping.pairs.start;
    const long count = from->data.mapping.pairs.top - pairs;
    struct vidur_intern keys = {0};
    int status = 0;
    for (long i = 0; status == 0 && i < count; i++)
        status = add_pair(l, &pairs[i], node, &keys);
    for (long i = 0; status == 0 && i < count; i++)
        if (is_plain(yaml_document_get_node(l->source, pairs[i].key), "<<"))
            status = merge(l, pairs[i].value, node, &keys);
    vidur_intern_fini(&keys);
    return status;
}

static int convert_into(struct loader *l, const yaml_node_t *from,
                        struct vidur_yaml_node *node)
{
    switch (from->type) {
    case YAML_SCALAR_NODE:
        node->kind = VIDUR_YAML_IS_SCALAR;
        return convert_scalar(l, from, node);
    case YAML_SEQUENCE_NODE:
        node->kind = VIDUR_YAML_IS_SEQUENCE;
        return convert_sequence(l, from, node);
    case YAML_MAPPING_NODE:
        node->kind = VIDUR_YAML_IS_MAPPING;
        return convert_mapping(l, from, node);
    case YAML_NO_NODE:
        break;
    }
    return 0;
}

static struct vidur_yaml_node *convert(struct loader *l, int id)
{
    const yaml_node_t *from = yaml_document_get_node(l->source, id);
    const int line = line_of(l, from);
    if (++l->num_nodes > MAX_NODES || l->depth >= MAX_DEPTH) {
        loader_fail(l, line,
                    l->depth >= MAX_DEPTH
                        ? too_deep
                        : "too many values after its aliases are expanded; use fewer");
        return NULL;
    }
    struct vidur_yaml_node *node =
        vidur_yaml_node_new(l->doc, VIDUR_YAML_IS_EMPTY, line);
    if (!node) {
        no_memory(l);
        return NULL;
    }
    l->depth++;
    const int status = convert_into(l, from, node);
    l->depth--;
    if (status == 0)
        return node;
    vidur_yaml_node_free(node);
    return NULL;
}

/* ---- Parsing ---- */

static int line_at(const char *text, size_t size, size_t offset)
{
    int line = 1;
    for (size_t i = 0; i < size && i < offset; i++)
        line += text[i] == '\n';
    return line;
}

static int syntax_error(struct loader *l, const yaml_parser_t *parser, const char *text,
                        size_t size)
{
    char what[256];
    int line = (int)parser->problem_mark.line + 1;
    if (parser->error == YAML_MEMORY_ERROR)
        return no_memory(l);
    if (parser->error == YAML_READER_ERROR)
        line = line_at(text, size, parser->problem_offset);
    snprintf(what, sizeof what, "not valid YAML: %s%s%s; check indentation and quotes",
             parser->problem ? parser->problem : "unreadable",
             parser->context ? ", " : "", parser->context ? parser->context : "");
    return loader_fail(l, line, what);
}

/* Whether a value begins; a list or mapping, and an end, change the depth. */
static bool is_value(const yaml_event_t *event, int *deeper)
{
    const bool begins = event->type == YAML_SEQUENCE_START_EVENT ||
                        event->type == YAML_MAPPING_START_EVENT;
    const bool ends =
        event->type == YAML_SEQUENCE_END_EVENT || event->type == YAML_MAPPING_END_EVENT;
    *deeper = begins - ends;
    return begins || event->type == YAML_SCALAR_EVENT ||
           event->type == YAML_ALIAS_EVENT;
}

static bool has_anchor(const yaml_event_t *event)
{
    return (event->type == YAML_SCALAR_EVENT && event->data.scalar.anchor) ||
           (event->type == YAML_SEQUENCE_START_EVENT &&
            event->data.sequence_start.anchor) ||
           (event->type == YAML_MAPPING_START_EVENT &&
            event->data.mapping_start.anchor);
}

/* What libyaml's documents and our tree take too long for is refused by a look at the
 * events, at the line where it becomes too much. What is no YAML is left to the
 * loading.
 */
static int check_limits(struct loader *l, yaml_parser_t *parser)
{
    yaml_event_t event;
    int depth = 0, deeper, num_values = 0, num_anchors = 0, status = 0;
    for (bool more = true; status == 0 && more && yaml_parser_parse(parser, &event);) {
        const int line = (int)event.start_mark.line + 1;
        const bool value = is_value(&event, &deeper);
        num_values += value;
        num_anchors += has_anchor(&event);
        if (value && depth >= MAX_DEPTH)
            status = loader_fail(l, line, too_deep);
        else if (num_values > MAX_NODES)
            status = loader_fail(l, line, "more than 262144 values; use fewer");
        else if (num_anchors > MAX_ANCHORS)
            status = loader_fail(l, line, "more than 1000 anchors; use fewer");
        depth += deeper;
        more = event.type != YAML_STREAM_END_EVENT;
        yaml_event_delete(&event);
    }
    return status;
}

static int parser_init(struct loader *l, yaml_parser_t *parser, const char *text,
                       size_t size)
{
    if (!yaml_parser_initialize(parser))
        return no_memory(l);
    yaml_parser_set_input_string(parser, (const unsigned char *)text, size);
    yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING);
    return 0;
}

/* A line inside of a text may look like one. */
static int count_directives(const char *text, size_t size)
{
    int count = 0;
    for (size_t i = 0; i < size; i++)
        count += strncmp(text + i, "%TAG", 4) == 0 && (i == 0 || text[i - 1] == '\n');
    return count;
}

static int scan(struct loader *l, const char *text, size_t size)
{
    yaml_parser_t parser;
    if (count_directives(text, size) > MAX_DIRECTIVES)
        return loader_fail(l, 1, "more than 100 %TAG directives; remove them");
    if (parser_init(l, &parser, text, size))
        return -1;
    const int status = check_limits(l, &parser);
    yaml_parser_delete(&parser);
    return status;
}

/* A second document would be ignored without a word: refuse it. */
static int check_end(struct loader *l, yaml_parser_t *parser, const char *text,
                     size_t size)
{
    yaml_document_t next;
    if (!yaml_parser_load(parser, &next))
        return syntax_error(l, parser, text, size);
    const yaml_node_t *root = yaml_document_get_root_node(&next);
    const int line = root ? (int)root->start_mark.line + 1 : 0;
    yaml_document_delete(&next);
    return root ? loader_fail(l, line, "a second document ('---'); keep one") : 0;
}

/* The tree of a text; NULL on error. */
static struct vidur_yaml_node *parse_text(struct loader *l, const char *text,
                                          size_t size)
{
    yaml_parser_t parser;
    yaml_document_t document;
    struct vidur_yaml_node *node = NULL;
    if (scan(l, text, size) || parser_init(l, &parser, text, size))
        return NULL;
    if (!yaml_parser_load(&parser, &document)) {
        syntax_error(l, &parser, text, size);
        yaml_parser_delete(&parser);
        return NULL;
    }
    l->source = &document;
    if (!yaml_document_get_root_node(&document))
        node = vidur_yaml_node_new(l->doc, VIDUR_YAML_IS_EMPTY, l->set_key ? 0 : 1);
    else if (!(node = convert(l, 1)))
        goto out;
    else if (check_end(l, &parser, text, size)) {
        vidur_yaml_node_free(node);
        node = NULL;
        goto out;
    }
    if (!node)
        no_memory(l);
out:
    l->source = NULL;
    yaml_document_delete(&document);
    yaml_parser_delete(&parser);
    return node;
}

struct vidur_yaml *vidur_yaml_parse(const char *name, const char *text, size_t size,
                                    struct vidur_error *err)
{
    struct vidur_yaml *doc = calloc(1, sizeof *doc);
    const size_t mark = vidur_text_mark(text, size);
    text += mark;
    size -= mark;
    if (!doc || !(doc->name = strdup(name)) || !(doc->text = malloc(size + 1))) {
        vidur_fail(err, VIDUR_ENOMEM, "%s: out of memory", name);
        vidur_yaml_free(doc);
        return NULL;
    }
    memcpy(doc->text, text, size);
    doc->text[size] = '\0';
    doc->text_size = size;
    struct loader loader = {.doc = doc, .err = err};
    doc->root = parse_text(&loader, doc->text, size);
    if (doc->root)
        return doc;
    vidur_yaml_free(doc);
    return NULL;
}

struct vidur_yaml_node *vidur_yaml_parse_value(struct vidur_yaml *doc, const char *key,
                                               const char *text,
                                               struct vidur_error *err)
{
    struct loader loader = {.doc = doc, .set_key = key, .err = err};
    return parse_text(&loader, text, strlen(text));
}

struct vidur_yaml *vidur_yaml_load(const char *path, struct vidur_error *err)
{
    size_t size;
    char *text = vidur_file_read(path, MAX_BYTES, &size, err);
    if (!text)
        return NULL;
    struct vidur_yaml *doc = vidur_yaml_parse(path, text, size, err);
    free(text);
    return doc;
}

void vidur_yaml_free(struct vidur_yaml *doc)
{
    if (!doc)
        return;
    vidur_yaml_node_free(doc->root);
    for (int i = 0; i < doc->num_sets; i++)
        free(doc->sets[i]);
    free(doc->sets);
    free(doc->text);
    free(doc->name);
    free(doc);
}

const struct vidur_yaml_node *vidur_yaml_root(const struct vidur_yaml *doc)
{
    return doc->root;
}

const char *vidur_yaml_name(const struct vidur_yaml *doc)
{
    return doc->name;
}

const char *vidur_yaml_text(const struct vidur_yaml *doc, size_t *size)
{
    if (size)
        *size = doc->text_size;
    return doc->text;
}

int vidur_yaml_num_sets(const struct vidur_yaml *doc)
{
    return doc->num_sets;
}

const char *vidur_yaml_set_text(const struct vidur_yaml *doc, int index)
{
    return index >= 0 && index < doc->num_sets ? doc->sets[index] : NULL;
}
