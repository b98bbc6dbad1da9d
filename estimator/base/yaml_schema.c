/* Schema tables: from nodes to plain C structs. */

#include "base/text.h"
#include "base/yaml.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Numbers ---- */

/* "at least 1 and below 8" */
static void describe_range(const struct vidur_yaml_field *field, char *out, size_t size)
{
    const unsigned low = VIDUR_YAML_MIN | VIDUR_YAML_ABOVE;
    const unsigned high = VIDUR_YAML_MAX | VIDUR_YAML_BELOW;
    char min[48] = "", max[48] = "";
    if (field->flags & low)
        snprintf(min, sizeof min, "%s %.15g",
                 field->flags & VIDUR_YAML_MIN ? "at least" : "above", field->min);
    if (field->flags & high)
        snprintf(max, sizeof max, "%s %.15g",
                 field->flags & VIDUR_YAML_MAX ? "at most" : "below", field->max);
    snprintf(out, size, "%s%s%s", min, min[0] && max[0] ? " and " : "", max);
}

static int check_range(const struct vidur_yaml_node *node,
                       const struct vidur_yaml_field *field, double value,
                       struct vidur_error *err)
{
    const unsigned flags = field->flags;
    if (((flags & VIDUR_YAML_MIN) && !(value >= field->min)) ||
        ((flags & VIDUR_YAML_ABOVE) && !(value > field->min)) ||
        ((flags & VIDUR_YAML_MAX) && !(value <= field->max)) ||
        ((flags & VIDUR_YAML_BELOW) && !(value < field->max))) {
        char range[128];
        describe_range(field, range, sizeof range);
        return vidur_yaml_fail(node, err, "%s is out of range; it must be %s",
                               vidur_yaml_scalar(node), range);
    }
    return 0;
}

static int read_int(const struct vidur_yaml_node *node,
                    const struct vidur_yaml_field *field, int *out,
                    struct vidur_error *err)
{
    if (vidur_yaml_as_int(node, out, err))
        return -1;
    return check_range(node, field, *out, err);
}

static int read_int64(const struct vidur_yaml_node *node,
                      const struct vidur_yaml_field *field, int64_t *out,
                      struct vidur_error *err)
{
    if (vidur_yaml_as_int64(node, out, err))
        return -1;
    return check_range(node, field, (double)*out, err);
}

static int read_double(const struct vidur_yaml_node *node,
                       const struct vidur_yaml_field *field, double *out,
                       struct vidur_error *err)
{
    if (vidur_yaml_as_double(node, out, err))
        return -1;
    return check_range(node, field, *out, err);
}

/* ---- Words ---- */

static int fail_word(const struct vidur_yaml_node *node, const char *const *names,
                     int count, struct vidur_error *err)
{
    char text[512];
    vidur_text_unknown(vidur_yaml_scalar(node), names, count, text, sizeof text);
    return vidur_yaml_fail(node, err, "%s", text);
}

static int read_enum(const struct vidur_yaml_node *node,
                     const struct vidur_yaml_field *field, int *out,
                     struct vidur_error *err)
{
    const char *text = vidur_yaml_scalar(node);
    int count = 0;
    for (; field->names[count]; count++)
        if (strcmp(field->names[count], text) == 0) {
            *out = count;
            return 0;
        }
    return fail_word(node, field->names, count, err);
}

static int read_string(const struct vidur_yaml_node *node,
                       const struct vidur_yaml_field *field, char *out,
                       struct vidur_error *err)
{
    const bool reference = field->type == VIDUR_YAML_REFERENCE;
    if (reference ? vidur_yaml_as_reference(node, out, field->size, err)
                  : vidur_yaml_as_string(node, out, field->size, err))
        return -1;
    if ((field->flags & VIDUR_YAML_FILLED) && !out[0])
        return vidur_yaml_fail(node, err, "an empty text; give a name");
    return 0;
}

static bool is_scalar_type(enum vidur_yaml_type type)
{
    return type <= VIDUR_YAML_ENUM;
}

/* ---- Lists ---- */

static int read_elements(const struct vidur_yaml_node *node,
                         const struct vidur_yaml_field *field, char *items,
                         struct vidur_error *err)
{
    if (vidur_yaml_kind(node) != VIDUR_YAML_IS_SEQUENCE)
        return vidur_yaml_read_field(node, field->element, items, err);
    for (int i = 0; i < vidur_yaml_count(node); i++) {
        const struct vidur_yaml_node *item = vidur_yaml_item(node, i);
        if (vidur_yaml_kind(item) == VIDUR_YAML_IS_EMPTY)
            return vidur_yaml_fail(item, err,
                                   "an empty element; give a value or remove it");
        if (vidur_yaml_read_field(item, field->element, items + (size_t)i * field->size,
                                  err))
            return -1;
    }
    return 0;
}

static int count_elements(const struct vidur_yaml_node *node,
                          const struct vidur_yaml_field *field, int *count,
                          struct vidur_error *err)
{
    const bool mapping = vidur_yaml_kind(node) == VIDUR_YAML_IS_MAPPING;
    if (vidur_yaml_kind(node) == VIDUR_YAML_IS_SEQUENCE)
        *count = vidur_yaml_count(node);
    else if ((field->flags & VIDUR_YAML_ONE_OK) &&
             !(mapping && is_scalar_type(field->element->type)))
        *count = 1;
    else
        return vidur_yaml_fail_field(node, field, err);
    if (*count == 0 && (field->flags & VIDUR_YAML_FILLED))
        return vidur_yaml_fail(node, err, "an empty list; give at least one element");
    if (field->max_count > 0 && *count > field->max_count)
        return vidur_yaml_fail(node, err, "%d elements; at most %d are supported",
                               *count, field->max_count);
    return 0;
}

static void set_defaults(const struct vidur_yaml_field *field, char *items, int count)
{
    for (int i = 0; i < count; i++) {
        char *item = items + (size_t)i * field->size;
        if (field->element_default)
            memcpy(item, field->element_default, field->size);
        else
            memset(item, 0, field->size);
    }
}

static void release_field(const struct vidur_yaml_field *field, char *out);

static int read_list(const struct vidur_yaml_node *node,
                     const struct vidur_yaml_field *field, char *out,
                     struct vidur_error *err)
{
    int count = 0;
    if (count_elements(node, field, &count, err))
        return -1;
    release_field(field, out); /* the default's elements */
    char *items = out + field->offset;
    if (field->type == VIDUR_YAML_SEQUENCE) {
        items = count ? malloc((size_t)count * field->size) : NULL;
        if (count && !items)
            return vidur_fail(err, VIDUR_ENOMEM, "%s: out of memory",
                              vidur_yaml_file(node));
        memcpy(out + field->offset, &items, sizeof items);
    }
    set_defaults(field, items, count);
    memcpy(out + field->count_offset, &count, sizeof count);
    return read_elements(node, field, items, err);
}

/* ---- Mappings ---- */

/* The tables that a mapping's keys may come from, and one more key. */
struct key_tables {
    const struct vidur_yaml_field *tables[2]; /* NULL: none */
    const char *tag_key;
};

enum { MAX_KEYS = 256 }; /* of a mapping */

/* Adds a table's keys behind the first `count`; returns how many there are then. */
static int add_keys(const struct vidur_yaml_field *fields, const char **names,
                    int count)
{
    for (; fields && fields->key && count < MAX_KEYS; fields++)
        if (fields->type == VIDUR_YAML_PART)
            count = add_keys(fields->part(), names, count);
        else
            names[count++] = fields->key;
    return count;
}

static int list_keys(const struct key_tables *known, const char *names[MAX_KEYS])
{
    int count = 0;
    if (known->tag_key)
        names[count++] = known->tag_key;
    for (int t = 0; t < 2; t++)
        count = add_keys(known->tables[t], names, count);
    return count;
}

static int fail_unknown_key(const struct vidur_yaml_node *mapping, const char *key,
                            const struct key_tables *known, struct vidur_error *err)
{
    const char *names[MAX_KEYS];
    return vidur_yaml_fail_unknown(mapping, key, names, list_keys(known, names), err);
}

static bool is_known(const struct key_tables *known, const char *key)
{
    const char *names[MAX_KEYS];
    const int count = list_keys(known, names);
    for (int i = 0; i < count; i++)
        if (strcmp(names[i], key) == 0)
            return true;
    return false;
}

static int read_table(const struct vidur_yaml_node *mapping,
                      const struct vidur_yaml_field *fields, char *out,
                      struct vidur_error *err)
{
    for (; fields && fields->key; fields++) {
        if (fields->type == VIDUR_YAML_PART) {
            if (read_table(mapping, fields->part(), out + fields->offset, err))
                return -1;
            continue;
        }
        const struct vidur_yaml_node *value = vidur_yaml_get(mapping, fields->key);
        const bool given = value != NULL;
        if (!given && (fields->flags & VIDUR_YAML_REQUIRED))
            return vidur_yaml_fail_missing(mapping, fields->key, err);
        if (fields->flags & VIDUR_YAML_TELL)
            memcpy(out + fields->present_offset, &given, sizeof given);
        if (given && vidur_yaml_read_field(value, fields, out, err))
            return -1;
    }
    return 0;
}

/* `field`: what should be there, a MAPPING or UNION. */
static int check_mapping(const struct vidur_yaml_node *node,
                         const struct vidur_yaml_field *field, struct vidur_error *err)
{
    const enum vidur_yaml_kind kind = vidur_yaml_kind(node);
    if (kind == VIDUR_YAML_IS_MAPPING || kind == VIDUR_YAML_IS_EMPTY)
        return 0;
    return vidur_yaml_fail_field(node, field, err);
}

int vidur_yaml_read(const struct vidur_yaml_node *node,
                    const struct vidur_yaml_field *fields, void *out,
                    struct vidur_error *err)
{
    const struct vidur_yaml_field whole = {.type = VIDUR_YAML_MAPPING,
                                           .fields = fields};
    const struct key_tables known = {.tables = {fields, NULL}};
    if (check_mapping(node, &whole, err))
        return -1;
    for (int i = 0; i < vidur_yaml_count(node); i++)
        if (!is_known(&known, vidur_yaml_key(node, i)))
            return fail_unknown_key(node, vidur_yaml_key(node, i), &known, err);
    return read_table(node, fields, out, err);
}

/* ---- Unions ---- */

static const struct vidur_yaml_variant *
find_variant(const struct vidur_yaml_union *choice, int tag)
{
    const struct vidur_yaml_variant *variant = choice->variants;
    while (variant->name && variant->tag != tag)
        variant++;
    return variant->name ? variant : NULL;
}

static int read_tag(const struct vidur_yaml_node *node,
                    const struct vidur_yaml_union *choice, int *tag,
                    struct vidur_error *err)
{
    const char *names[64];
    int count = 0;
    const struct vidur_yaml_node *value = vidur_yaml_get(node, choice->tag_key);
    for (; choice->variants[count].name && count < 64; count++)
        names[count] = choice->variants[count].name;
    if (!value && !choice->tag_required)
        return 0;
    if (!value) {
        char list[384];
        vidur_text_list(names, count, list, sizeof list);
        return vidur_yaml_fail_key(node, choice->tag_key, err, "missing; one of %s",
                                   list);
    }
    const char *text = vidur_yaml_scalar(value);
    if (!text)
        return vidur_yaml_fail_shape(value, "a word", names[0], err);
    for (int i = 0; i < count; i++)
        if (strcmp(names[i], text) == 0) {
            *tag = choice->variants[i].tag;
            return 0;
        }
    return fail_word(value, names, count, err);
}

/* A key that another variant knows is a more likely slip than a misspelling. */
static int fail_variant_key(const struct vidur_yaml_node *node, const char *key,
                            const struct vidur_yaml_union *choice,
                            const struct key_tables *known, struct vidur_error *err)
{
    for (const struct vidur_yaml_variant *v = choice->variants; v->name; v++) {
        const struct key_tables other = {.tables = {v->fields, NULL}};
        if (is_known(&other, key))
            return vidur_yaml_fail_key(node, key, err, "belongs to %s: %s; remove it",
                                       choice->tag_key, v->name);
    }
    return fail_unknown_key(node, key, known, err);
}

int vidur_yaml_read_union(const struct vidur_yaml_node *node,
                          const struct vidur_yaml_union *choice, void *out,
                          struct vidur_error *err)
{
    const struct vidur_yaml_field whole = {.type = VIDUR_YAML_UNION, .choice = choice};
    int tag;
    char *base = out;
    memcpy(&tag, base + choice->tag_offset, sizeof tag);
    if (check_mapping(node, &whole, err) || read_tag(node, choice, &tag, err))
        return -1;
    memcpy(base + choice->tag_offset, &tag, sizeof tag);
    const struct vidur_yaml_variant *variant = find_variant(choice, tag);
    const struct key_tables known = {
        .tables = {variant ? variant->fields : NULL, choice->common},
        .tag_key = choice->tag_key};
    for (int i = 0; i < vidur_yaml_count(node); i++)
        if (!is_known(&known, vidur_yaml_key(node, i)))
            return fail_variant_key(node, vidur_yaml_key(node, i), choice, &known, err);
    if (read_table(node, choice->common, base, err))
        return -1;
    return read_table(node, known.tables[0], base, err);
}

/* ---- Fields ---- */

int vidur_yaml_read_field(const struct vidur_yaml_node *node,
                          const struct vidur_yaml_field *field, void *out,
                          struct vidur_error *err)
{
    char *base = out;
    void *member = base + field->offset;
    if (is_scalar_type(field->type) && vidur_yaml_kind(node) != VIDUR_YAML_IS_SCALAR)
        return vidur_yaml_fail_field(node, field, err);
    switch (field->type) {
    case VIDUR_YAML_INT:
        return read_int(node, field, member, err);
    case VIDUR_YAML_INT64:
        return read_int64(node, field, member, err);
    case VIDUR_YAML_DOUBLE:
        return read_double(node, field, member, err);
    case VIDUR_YAML_BOOL:
        return vidur_yaml_as_bool(node, member, err);
    case VIDUR_YAML_STRING:
    case VIDUR_YAML_REFERENCE:
        return read_string(node, field, member, err);
    case VIDUR_YAML_PATH:
        return vidur_yaml_as_path(node, member, field->size, err);
    case VIDUR_YAML_ENUM:
        return read_enum(node, field, member, err);
    case VIDUR_YAML_MAPPING:
        return check_mapping(node, field, err)
                   ? -1
                   : vidur_yaml_read(node, field->fields, member, err);
    case VIDUR_YAML_UNION:
        return vidur_yaml_read_union(node, field->choice, member, err);
    case VIDUR_YAML_SEQUENCE:
    case VIDUR_YAML_ARRAY:
        return read_list(node, field, base, err);
    case VIDUR_YAML_CUSTOM:
        return field->read(node, member, err);
    case VIDUR_YAML_PART: /* read_table()'s */
    case VIDUR_YAML_ELSEWHERE:
        break;
    }
    return 0;
}

/* ---- Release ---- */

static void release_list(const struct vidur_yaml_field *field, char *out)
{
    char *items = out + field->offset;
    int count;
    memcpy(&count, out + field->count_offset, sizeof count);
    if (field->type == VIDUR_YAML_SEQUENCE)
        memcpy(&items, out + field->offset, sizeof items);
    for (int i = 0; items && i < count; i++)
        release_field(field->element, items + (size_t)i * field->size);
    if (field->type == VIDUR_YAML_SEQUENCE) {
        free(items);
        items = NULL;
        memcpy(out + field->offset, &items, sizeof items);
    }
    count = 0;
    memcpy(out + field->count_offset, &count, sizeof count);
}

static void release_field(const struct vidur_yaml_field *field, char *out)
{
    if (field->type == VIDUR_YAML_MAPPING)
        vidur_yaml_release(field->fields, out + field->offset);
    else if (field->type == VIDUR_YAML_PART)
        vidur_yaml_release(field->part(), out + field->offset);
    else if (field->type == VIDUR_YAML_UNION)
        vidur_yaml_release_union(field->choice, out + field->offset);
    else if (field->type == VIDUR_YAML_SEQUENCE || field->type == VIDUR_YAML_ARRAY)
        release_list(field, out);
}

void vidur_yaml_release(const struct vidur_yaml_field *fields, void *out)
{
    for (; fields && fields->key; fields++)
        release_field(fields, out);
}

void vidur_yaml_release_union(const struct vidur_yaml_union *choice, void *out)
{
    int tag;
    memcpy(&tag, (char *)out + choice->tag_offset, sizeof tag);
    const struct vidur_yaml_variant *variant = find_variant(choice, tag);
    vidur_yaml_release(choice->common, out);
    if (variant)
        vidur_yaml_release(variant->fields, out);
}
